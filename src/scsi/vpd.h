/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/bytes.h"
#include "scsi/core.h"

/* One row per VPD page, ascending; page 00h is this list. Emitters write what follows the header;
 * length and allocation length are the caller's. */
typedef struct VpdPage {
        uint8_t code;
        const char *name;
        void (*emit)(const Task *task, Writer *w);
} VpdPage;

extern const VpdPage vpd_pages[];
extern const size_t n_vpd_pages;
