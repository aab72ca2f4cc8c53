/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"

/* Long output goes through a pager when standard output is a terminal: $TGT_PAGER, $PAGER, less,
 * more, in that order; "" or "cat" means none. Where the caller's privileges are not his own
 * (sudo, pkexec), only less is started, and with its commands that start programs disabled. */

/* Redirects standard output. 1: a pager runs; 0: none (not wanted, not a terminal, none found). */
int pager_open(void);
/* Flushes, gives standard output back and waits until the reader has finished. */
void pager_close(void);
