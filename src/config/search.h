/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "config/parse.h"

/* The search path: which files are read, in which order, and which are hidden by others. */

typedef struct Fragment {
        char *name, *path;
        Layer layer;
        char *hidden_by; /* path of the file of the same name that is read in its place; or NULL */
} Fragment;

void fragment_free(gpointer fragment);
/* A link to /dev/null, or an empty file: only there to hide others of its name. */
bool fragment_is_mask(const char *path);
/* Reads all that counts. hidden (GPtrArray of Fragment*) gets what does not; or NULL. Negative
 * errno only if a folder of the path cannot be read. */
int search_path_read(Raw *raw, const ConfigPaths *paths, GPtrArray *hidden);
