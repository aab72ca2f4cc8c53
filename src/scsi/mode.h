/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "scsi/core.h"

/* One row per mode page, in the order of MODE SENSE's "all pages" (SPC-4 table 455). */
#define MODE_PAGE_MAX 32

typedef struct ModePage {
        uint8_t page, subpage;
        uint8_t length; /* of the page with its header */
        const char *name;
        /* What a mode value (MODE_...) looks like in the page; the header is there already. */
        void (*fill)(uint8_t mode, uint8_t *p);
        uint8_t changeable[MODE_PAGE_MAX]; /* PC 01b: bits that MODE SELECT may change */
        /* The bits of mode that stand in the page, and what they are there. */
        uint8_t mask;
        uint8_t (*parse)(const uint8_t *p);
} ModePage;

extern const ModePage mode_pages[];
extern const size_t n_mode_pages;
