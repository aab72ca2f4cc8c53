/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/context.h"

/* Draws list as the table of "tgtctl list NAME". */
void format_list(Ctl *c, const char *name, const json_t *list, GString *to);
