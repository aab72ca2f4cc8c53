/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/terminal.h"

/* Values as people read them. All newly allocated. */

/* "512B", "1.5K", "10G". */
char *format_bytes(uint64_t bytes);
/* "870ns", "12.3us", "4.56ms", "1.20s": three digits. */
char *format_time(uint64_t ns);
/* "3min 2s ago" for what happened at usec, CLOCK_REALTIME; the two largest units. */
char *format_ago(uint64_t usec, uint64_t now_usec);
/* ready and online green, not-ready red, what lies between yellow. */
Color state_color(const char *state);
