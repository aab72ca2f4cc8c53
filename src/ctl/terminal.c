/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <langinfo.h>
#include <sys/ioctl.h>

#include "base/parse.h"
#include "ctl/terminal.h"

static const char *const color_codes[_COLOR_MAX] = {
        [COLOR_NONE] = "",
        [COLOR_BOLD] = "\x1b[0;1m",
        [COLOR_GREEN] = "\x1b[0;1;32m",
        [COLOR_YELLOW] = "\x1b[0;1;33m",
        [COLOR_RED] = "\x1b[0;1;31m",
        [COLOR_GREY] = "\x1b[0;38;5;245m",
        [COLOR_UNDERLINE] = "\x1b[0;4m",
};

const char *color_on(bool enabled, Color color)
{
        return enabled ? color_codes[color] : "";
}

const char *color_off(bool enabled, Color color)
{
        return enabled && color != COLOR_NONE ? "\x1b[0m" : "";
}

static bool wants_color(int fd, int force)
{
        const char *e;
        bool yes;

        if (force >= 0)
                return force;
        e = getenv("SYSTEMD_COLORS");
        if (e && *e)
                return parse_bool(e, &yes) < 0 || yes; /* "16", "256", "auto-256" are colors too */
        e = getenv("NO_COLOR");                        /* no-color.org: present and not empty */
        if (e && *e)
                return false;
        e = getenv("TERM");
        return isatty(fd) && e && *e && !STREQ(e, "dumb");
}

static unsigned detect_width(bool tty)
{
        const char *e = getenv("COLUMNS");
        uint32_t columns;
        struct winsize ws = { 0 };

        if (e && parse_u32(e, 1, 32767, &columns) >= 0)
                return columns;
        if (!tty)
                return 0;
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) >= 0 && ws.ws_col > 0)
                return ws.ws_col;
        return 80;
}

void terminal_detect(Terminal *t, int force_color)
{
        *t = (Terminal){
                .stdout_tty = isatty(STDOUT_FILENO),
                .color = wants_color(STDOUT_FILENO, force_color),
                .color_error = wants_color(STDERR_FILENO, force_color),
                .unicode = STREQ(nl_langinfo(CODESET), "UTF-8"),
        };
        /* whoever reads a pipe wants whole names */
        t->width = t->stdout_tty ? detect_width(true) : 0;
}

static unsigned char_width(gunichar c)
{
        return g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
}

unsigned text_width(const char *s)
{
        unsigned n = 0;

        for (; *s; s = g_utf8_next_char(s))
                n += char_width(g_utf8_get_char(s));
        return n;
}

/* Format characters include the overrides of writing direction, with which a name can be made to
 * look like another. */
static bool is_unsafe(gunichar c)
{
        switch (g_unichar_type(c)) {
        case G_UNICODE_CONTROL:
        case G_UNICODE_FORMAT:
        case G_UNICODE_UNASSIGNED:
        case G_UNICODE_SURROGATE:
        case G_UNICODE_PRIVATE_USE:
        case G_UNICODE_LINE_SEPARATOR:
        case G_UNICODE_PARAGRAPH_SEPARATOR:
                return true;
        default:
                return false;
        }
}

char *text_sanitize(const char *s, bool unicode)
{
        g_autofree char *valid = g_utf8_make_valid(s, -1);
        GString *out = g_string_sized_new(strlen(valid));

        for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
                gunichar c = g_utf8_get_char(p);

                if (c == '\t')
                        g_string_append_c(out, ' ');
                else if (is_unsafe(c) || (!unicode && c > 0x7e))
                        g_string_append(out, unicode ? "\xef\xbf\xbd" : "?");
                else
                        g_string_append_unichar(out, c);
        }
        return g_string_free(out, FALSE);
}

/* The longest start of s that takes at most width columns. */
static const char *prefix_end(const char *s, unsigned width)
{
        unsigned n = 0;

        while (*s) {
                unsigned w = char_width(g_utf8_get_char(s));

                if (n + w > width)
                        break;
                n += w;
                s = g_utf8_next_char(s);
        }
        return s;
}

char *text_ellipsize(const char *s, unsigned width, bool middle, bool unicode)
{
        const char *dots = unicode ? "\xe2\x80\xa6" : "...", *head, *tail;
        unsigned dots_width = unicode ? 1 : 3, total = text_width(s), keep, back;

        if (total <= width)
                return g_strdup(s);
        if (width <= dots_width)
                return g_strndup(s, (size_t)(prefix_end(s, width) - s));

        keep = width - dots_width;
        back = middle ? keep / 2 : 0;
        head = prefix_end(s, keep - back);
        /* what is cut off in front of the tail takes at least total - back columns */
        tail = prefix_end(s, total - back);
        while (*tail && text_width(tail) > back)
                tail = g_utf8_next_char(tail);
        return g_strdup_printf("%.*s%s%s", (int)(head - s), s, dots, tail);
}
