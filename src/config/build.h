/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "config/parse.h"

/* Raw blocks -> specs: merges the blocks of a target, sets what they say. */

/* The directory whose blocks are all that counts of those of a target, the first with one that says
 * replace or masked; N_LAYERS: there is none, all of them count. */
Layer replacing_layer(const GPtrArray *blocks);
bool block_replaces(const RawBlock *b); /* does it say so? */
/* Makes the target of blocks (RawBlock*, of one name, in order). NULL: masked. *ret_bad: an error
 * has been reported. */
TargetSpec *build_target(const GPtrArray *blocks, ConfigCheckParam *check, bool *ret_bad,
                         GPtrArray *problems);
void build_globals(const GPtrArray *items, ConfigCheckParam *check, Desired *d,
                   GPtrArray *problems);
