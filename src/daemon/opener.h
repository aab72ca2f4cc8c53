/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"

/* How tgtd opens backing stores: by itself where it may, by tgtd-open where it may not. Threads:
 * any (jobs call it); blocks. */

typedef struct Opener {
        const char *socket_path; /* of tgtd-open; NULL: never ask */
} Opener;

/* StoreSpec.open_path; userdata is an Opener. */
int opener_open(const char *path, int flags, void *userdata);
