/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <glib.h>

#include "base/base.h"

/* What the terminal can do, and text made fit for it.
 *
 * Strings that come from the network (aliases, names of initiators) or from files pass
 * text_sanitize() before they reach a terminal: no escape sequence of a stranger is ever printed.
 */

typedef enum Color {
        COLOR_NONE,
        COLOR_BOLD,
        COLOR_GREEN,
        COLOR_YELLOW,
        COLOR_RED,
        COLOR_GREY,
        COLOR_UNDERLINE,
        _COLOR_MAX,
} Color;

typedef struct Terminal {
        bool stdout_tty;
        bool color;       /* on stdout */
        bool color_error; /* on stderr */
        bool unicode;
        unsigned width; /* columns; 0: no limit */
} Terminal;

/* force_color: --color, -1 not given. Before it counts: NO_COLOR, SYSTEMD_COLORS, TERM=dumb. */
void terminal_detect(Terminal *t, int force_color);

/* Never NULL; "" where colors are off. */
const char *color_on(bool enabled, Color color);
const char *color_off(bool enabled, Color color);

/* Columns that s takes; s is valid UTF-8 without control characters. */
unsigned text_width(const char *s);
/* Valid UTF-8 in which every control, format and unassigned character is a replacement character
 * ('?' if not unicode). Newlines too. */
char *text_sanitize(const char *s, bool unicode);
/* Into at most width columns; middle: keep both ends. */
char *text_ellipsize(const char *s, unsigned width, bool middle, bool unicode);
