/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/change.h"

/* Fragments that are sent to Manager.Apply, and the difference that it and Manager.Compare answer.
 */

typedef struct FragmentText {
        char *name, *text;
} FragmentText;

GArray *fragments_new(void); /* FragmentText; wiped and freed with g_array_unref() */
/* Takes text. */
void fragments_add(GArray *fragments, const char *name, char *text);

/* Those of a file, of all *.conf of a folder, or of standard input ("-"). */
int fragments_read(Ctl *c, const char *arg, GArray *to);
/* Sends them with the options of the command line; what differs is kept as c->result and told,
 * unless quiet. *ret_error (may be NULL): gets what the daemon says is wrong with them, newly
 * allocated, and nothing is told then. */
int fragments_apply(Ctl *c, const GArray *fragments, bool dry_run, bool quiet, char **ret_error);
