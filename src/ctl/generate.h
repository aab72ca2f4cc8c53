/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/ctl.h"

/* What is made of the tables at build time: the man page and the completions. */

/* Replaces every line of template that is one of the marks ("@MAN_VERBS@", ...) by what the mark
 * stands for. An unknown mark is an error: NULL, and *ret_mark is it (g_free()). */
char *generate(const char *template, char **ret_mark);

/* Text that roff takes as it is. */
void roff_append(const char *text, GString *to);

/* generate-stgt.c: the marks of stgt's commands. */
typedef struct Mark {
        const char *mark;
        void (*write)(GString *to);
} Mark;
extern const Mark stgt_marks[]; /* ends with mark NULL */
