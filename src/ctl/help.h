/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/context.h"

/* Texts from the tables of verbs and options. */

void help_all(const Terminal *t, GString *to);
void help_verb(const Terminal *t, const Verb *v, GString *to);
/* Every verb that begins with word ("account"). Returns how many. */
unsigned help_verbs(const Terminal *t, const char *word, GString *to);
