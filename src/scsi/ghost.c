/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pthread.h>

#include "scsi/core.h"

/* Ghosts are kept by what the store is (inode, device), not by unit or Store object: a unit that is
 * removed and made again over the same thing finds them. All boards share one lock; it is taken
 * when a ghost begins or ends and when units and channels come and go, never for a command. */

struct GhostBoard {
        unsigned ref;
        StoreIdentity identity;
        const Store *store; /* for a store that is only itself */
        uint64_t version;   /* never the same twice, over all boards */
        List ghosts;        /* Io.ghost_link */
        List units;         /* LogicalUnit.board_link */
        GhostBoard *next;   /* in its bucket */
};

/* Fixed, so that there is nothing to allocate or rehash under the lock: with the 10,000 units that
 * a process may have, a handful in each. */
#define BUCKET_BITS 12

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GhostBoard *buckets[1 << BUCKET_BITS];
static uint64_t last_version;

static GhostBoard **bucket_of(const Store *store, const StoreIdentity *id)
{
        uint64_t h = id->kind == 0 ? (uintptr_t)store : id->a * 31 + id->b;

        /* Fibonacci hashing: inode numbers and addresses are anything but random */
        return &buckets[h * UINT64_C(0x9e3779b97f4a7c15) >> (64 - BUCKET_BITS)];
}

static bool is_board_of(const GhostBoard *b, const Store *store, const StoreIdentity *id)
{
        if (id->kind == 0)
                return b->identity.kind == 0 && b->store == store;
        return b->identity.kind == id->kind && b->identity.a == id->a && b->identity.b == id->b;
}

GhostBoard *ghost_board_get(Store *store)
{
        StoreIdentity id = store_identity(store);
        GhostBoard **bucket = bucket_of(store, &id), *found;

        pthread_mutex_lock(&lock);
        for (found = *bucket; found && !is_board_of(found, store, &id);)
                found = found->next;
        if (!found) {
                found = calloc(1, sizeof(*found));
                if (found) {
                        found->identity = id;
                        found->store = store;
                        found->version = ++last_version;
                        list_init(&found->ghosts);
                        list_init(&found->units);
                        found->next = *bucket;
                        *bucket = found;
                }
        }
        if (found)
                found->ref++;
        pthread_mutex_unlock(&lock);
        return found;
}

GhostBoard *ghost_board_put(GhostBoard *b)
{
        if (!b)
                return NULL;
        pthread_mutex_lock(&lock);
        if (--b->ref > 0) {
                b = NULL;
        } else {
                GhostBoard **at = bucket_of(b->store, &b->identity);

                while (*at != b)
                        at = &(*at)->next;
                *at = b->next;
        }
        pthread_mutex_unlock(&lock);
        free(b);
        return NULL;
}

void ghost_board_subscribe(GhostBoard *b, LogicalUnit *lu)
{
        pthread_mutex_lock(&lock);
        list_append(&b->units, &lu->board_link);
        pthread_mutex_unlock(&lock);
}

void ghost_board_unsubscribe(GhostBoard *b, LogicalUnit *lu)
{
        pthread_mutex_lock(&lock);
        list_remove(&lu->board_link);
        pthread_mutex_unlock(&lock);
}

static uint64_t board_changed(GhostBoard *b)
{
        b->version = ++last_version;
        LIST_FOREACH (lu, &b->units, LogicalUnit, board_link)
                coord_notify_ghosts(lu);
        return b->version;
}

uint64_t ghost_board_add(GhostBoard *b, Io *io)
{
        uint64_t version;

        pthread_mutex_lock(&lock);
        list_append(&b->ghosts, &io->ghost_link);
        version = board_changed(b);
        pthread_mutex_unlock(&lock);
        return version;
}

void ghost_board_remove(GhostBoard *b, Io *io)
{
        pthread_mutex_lock(&lock);
        list_remove(&io->ghost_link);
        board_changed(b);
        pthread_mutex_unlock(&lock);
}

static int compare_ranges(const void *a, const void *b)
{
        const GhostRange *x = a, *y = b;

        return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Where there is no memory for the list: nothing may go anywhere until the ghosts are gone. */
static GhostSet everywhere = { .ref = 1, .everywhere = true };

GhostSet *ghost_board_snapshot(GhostBoard *b, uint64_t *ret_version)
{
        GhostSet *s = NULL;
        size_t n = 0;

        pthread_mutex_lock(&lock);
        *ret_version = b->version;
        LIST_FOREACH (io, &b->ghosts, Io, ghost_link)
                n++;
        if (n > 0) {
                s = malloc(sizeof(*s) + n * sizeof(GhostRange));
                if (s) {
                        *s = (GhostSet){ .ref = 1 };
                        LIST_FOREACH (io, &b->ghosts, Io, ghost_link)
                                s->ranges[s->n++] = (GhostRange){ io->req.offset,
                                                                  io->req.offset + io->req.length };
                } else
                        s = ghost_set_ref(&everywhere);
        }
        pthread_mutex_unlock(&lock);
        if (s && s->n > 1)
                qsort(s->ranges, s->n, sizeof(GhostRange), compare_ranges);
        return s;
}

GhostSet *ghost_set_ref(GhostSet *s)
{
        if (s)
                __atomic_add_fetch(&s->ref, 1, __ATOMIC_RELAXED);
        return s;
}

GhostSet *ghost_set_unref(GhostSet *s)
{
        if (s && __atomic_sub_fetch(&s->ref, 1, __ATOMIC_ACQ_REL) == 0)
                free(s);
        return NULL;
}

bool ghost_set_overlaps(const GhostSet *s, uint64_t offset, uint64_t length)
{
        uint64_t end = offset + length;

        if (!s || length == 0)
                return false;
        if (s->everywhere)
                return true;
        for (size_t i = 0; i < s->n && s->ranges[i].offset < end; i++)
                if (s->ranges[i].end > offset)
                        return true;
        return false;
}
