/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/context.h"

/* The property Operation of a unit, as people say it. */

/* "formatting", "sanitizing"; "" if nothing is said. */
const char *operation_doing(const json_t *operation);
/* "sanitizing (overwrite), 42% of 10G" or "sanitizing has failed: ..."; newly allocated, "" if
 * there is none. */
char *operation_text(const json_t *operation);
