/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"

/* "Did you mean ...?" for mistyped words. */

/* Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment), in
 * bytes; words longer than EDIT_DISTANCE_MAX_WORD are UINT_MAX apart from all others. */
#define EDIT_DISTANCE_MAX_WORD 256
/* fold: what makes two characters the same; NULL: only what they are. */
unsigned edit_distance(const char *a, const char *b, char (*fold)(char c));

/* The word of the NULL-terminated list that is nearest to word, if it is near enough to be what was
 * meant: at most one edit in three characters, or the only one that begins with word. NULL: none.
 */
const char *suggest(const char *word, const char *const *words);
