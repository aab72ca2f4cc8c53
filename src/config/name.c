/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stdio.h>

#include "config/config.h"

#include "base/parse.h"

/* iSCSI names, RFC 7143 4.2.7: at most 223 bytes of "iqn." date "." reversed domain [":" text],
 * "eui." 16 digits, or "naa." 16 or 32 digits. */

#define NAME_MAX_BYTES 223

static _printf_(3, 4) void say(char *text, size_t size, const char *format, ...)
{
        va_list ap;

        if (!text || size == 0)
                return;
        va_start(ap, format);
        (void)vsnprintf(text, size, format, ap);
        va_end(ap);
}

static bool is_hex(const char *s, size_t n)
{
        if (strlen(s) != n)
                return false;
        for (; *s; s++)
                if (unhex_char(*s) < 0)
                        return false;
        return true;
}

/* "YYYY-MM." and something behind it. */
static bool is_dated(const char *s)
{
        for (int i = 0; i < 8; i++) {
                char want = "dddd-dd."[i];

                if (want == 'd' ? !g_ascii_isdigit(s[i]) : s[i] != want)
                        return false;
        }
        return g_ascii_isalnum(s[8]) || (s[8] & 0x80);
}

/* The stringprep profile of RFC 3722, as far as GLib goes: compatible forms, no case. */
static char *fold(const char *name)
{
        g_autofree char *folded = NULL;

        if (g_str_is_ascii(name))
                return g_ascii_strdown(name, -1);
        folded = g_utf8_casefold(name, -1);
        return g_utf8_normalize(folded, -1, G_NORMALIZE_NFKC);
}

/* The first character that cannot be in a name at all, as text; NULL: there is none. */
static char *bad_character(const char *name)
{
        for (const char *p = name; *p; p = g_utf8_next_char(p)) {
                gunichar c = g_utf8_get_char(p);

                if (c < 0x80 ? !(g_ascii_isalnum((char)c) || strchr("-.:_", (int)c))
                             : !g_unichar_isalnum(c))
                        return g_strndup(p, (size_t)(g_utf8_next_char(p) - p));
        }
        return NULL;
}

int iscsi_name_normalize(const char *name, char **ret, char *reterr, size_t size)
{
        g_autofree char *folded = NULL, *bad = NULL;
        int r = 0;

        if (!g_utf8_validate(name, -1, NULL)) {
                say(reterr, size, "an iSCSI name is UTF-8");
                return -EINVAL;
        }
        folded = fold(name);
        if (!folded || (!g_str_has_prefix(folded, "iqn.") && !g_str_has_prefix(folded, "eui.") &&
                        !g_str_has_prefix(folded, "naa."))) {
                say(reterr, size,
                    "\"%.100s\" is not an iSCSI name, such as iqn.2001-04.com.example:disk1", name);
                return -EINVAL;
        }
        if (strlen(folded) > NAME_MAX_BYTES) {
                say(reterr, size, "an iSCSI name has at most %d bytes, this one %zu",
                    NAME_MAX_BYTES, strlen(folded));
                return -EINVAL;
        }
        bad = bad_character(folded);
        if (bad) {
                say(reterr, size, "\"%s\" cannot be in an iSCSI name", bad);
                return -EINVAL;
        }
        if (folded[0] == 'e' && !is_hex(folded + 4, 16)) {
                say(reterr, size, "an eui. name has 16 hexadecimal digits");
                return -EINVAL;
        }
        if (folded[0] == 'n' && !is_hex(folded + 4, 16) && !is_hex(folded + 4, 32)) {
                say(reterr, size, "an naa. name has 16 or 32 hexadecimal digits");
                return -EINVAL;
        }
        if (folded[0] == 'i' && !folded[4]) {
                say(reterr, size, "an iqn. name has a date and a domain, iqn.2001-04.com.example");
                return -EINVAL;
        }
        if (folded[0] == 'i' && !is_dated(folded + 4)) {
                say(reterr, size,
                    "the name has no date and domain as in iqn.2001-04.com.example (RFC 7143 "
                    "4.2.7.3); some initiators refuse it");
                r = 1;
        } else if (strchr(folded, '_')) {
                say(reterr, size,
                    "the name has a \"_\", which RFC 7143 4.2.7 does not allow; some initiators "
                    "refuse it");
                r = 1;
        }
        *ret = TAKE_PTR(folded);
        return r;
}
