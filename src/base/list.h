/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"

/* An intrusive, circular, doubly linked list. A List is the head or a node. A zeroed node is "not
 * linked"; a head must be list_init()ed. list_remove() leaves the node zeroed and is idempotent. */

typedef struct List List;
struct List {
        List *next, *prev;
};

static inline void list_init(List *head)
{
        head->next = head->prev = head;
}

static inline bool list_empty(const List *head)
{
        return head->next == head;
}

static inline bool list_linked(const List *node)
{
        return node->next != NULL;
}

static inline void list_insert_before(List *at, List *node)
{
        node->next = at;
        node->prev = at->prev;
        at->prev->next = node;
        at->prev = node;
}

static inline void list_append(List *head, List *node)
{
        list_insert_before(head, node);
}

static inline void list_prepend(List *head, List *node)
{
        list_insert_before(head->next, node);
}

static inline void list_remove(List *node)
{
        if (!node->next)
                return;
        node->prev->next = node->next;
        node->next->prev = node->prev;
        node->next = node->prev = NULL;
}

/* Moves all of from to the end of to; from is empty afterwards. */
static inline void list_splice(List *to, List *from)
{
        if (list_empty(from))
                return;
        from->next->prev = to->prev;
        to->prev->next = from->next;
        from->prev->next = to;
        to->prev = from->prev;
        list_init(from);
}

#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)
#define LIST_FIRST(head, type, member) \
        (list_empty(head) ? NULL : LIST_ENTRY((head)->next, type, member))
#define LIST_FOREACH(it, head, type, member)                                           \
        for (type *it = LIST_ENTRY((head)->next, type, member); &it->member != (head); \
             it = LIST_ENTRY(it->member.next, type, member))
/* The body may remove it, and only it, from the list. */
#define LIST_FOREACH_SAFE(it, head, type, member)                         \
        for (type *it = LIST_ENTRY((head)->next, type, member),           \
                  *it##_next = LIST_ENTRY(it->member.next, type, member); \
             &it->member != (head);                                       \
             it = it##_next, it##_next = LIST_ENTRY(it->member.next, type, member))
