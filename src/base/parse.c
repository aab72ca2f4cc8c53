/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/parse.h"

#include <strings.h>

int unhex_char(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -EINVAL;
}

/* Digits of the base at *s up to the first other character, which *s is moved to. */
static int parse_digits(const char **s, unsigned base, uint64_t *ret)
{
        const char *p = *s;
        uint64_t v = 0;

        for (int d; (d = unhex_char(*p)) >= 0 && (unsigned)d < base; p++)
                if (MUL_OVERFLOW(v, base, &v) || ADD_OVERFLOW(v, (uint64_t)d, &v))
                        return -ERANGE;
        if (p == *s)
                return -EINVAL;
        *s = p;
        *ret = v;
        return 0;
}

int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
        unsigned base = 10;
        uint64_t v;
        int r;

        if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
                base = 16;
                s += 2;
        }
        r = parse_digits(&s, base, &v);
        if (r < 0)
                return r;
        if (*s)
                return -EINVAL;
        if (v < min || v > max)
                return -ERANGE;
        *ret = v;
        return 0;
}

int parse_u32(const char *s, uint32_t min, uint32_t max, uint32_t *ret)
{
        uint64_t v;
        int r;

        r = parse_u64(s, min, max, &v);
        if (r < 0)
                return r;
        *ret = (uint32_t)v;
        return 0;
}

int parse_size(const char *s, uint64_t *ret)
{
        static const char suffixes[] = "KMGTP";
        uint64_t v;
        int r;

        r = parse_digits(&s, 10, &v);
        if (r < 0)
                return r;
        if (*s) {
                const char *at = strchr(suffixes, *s >= 'a' ? *s - 'a' + 'A' : *s);

                if (!at)
                        return -EINVAL;
                if (!STREQ(s + 1, "") && !STREQ(s + 1, "iB"))
                        return -EINVAL;
                for (ptrdiff_t i = 0; i <= at - suffixes; i++)
                        if (MUL_OVERFLOW(v, UINT64_C(1024), &v))
                                return -ERANGE;
        }
        *ret = v;
        return 0;
}

int parse_rate(const char *s, uint64_t *ret)
{
        static const char suffixes[] = "kMGT";
        uint64_t v, factor = 1000;
        int r;

        r = parse_digits(&s, 10, &v);
        if (r < 0)
                return r;
        if (*s && *s != 'B') {
                const char *at = strchr(suffixes, *s == 'K' ? 'k' : *s);

                if (!at)
                        return -EINVAL;
                if (*++s == 'i') {
                        factor = 1024;
                        s++;
                }
                for (ptrdiff_t i = 0; i <= at - suffixes; i++)
                        if (MUL_OVERFLOW(v, factor, &v))
                                return -ERANGE;
        }
        if (!STREQ(s, "") && !STREQ(s, "B"))
                return -EINVAL;
        *ret = v;
        return 0;
}

int parse_duration(const char *s, uint64_t *ret_ns)
{
        static const struct {
                const char *suffix;
                uint64_t ns;
        } units[] = {
                { "", NSEC_PER_SEC },       { "s", NSEC_PER_SEC },
                { "sec", NSEC_PER_SEC },    { "ms", NSEC_PER_MSEC },
                { "us", NSEC_PER_USEC },    { "min", 60 * NSEC_PER_SEC },
                { "m", 60 * NSEC_PER_SEC }, { "h", 3600 * NSEC_PER_SEC },
        };
        uint64_t v;
        int r;

        r = parse_digits(&s, 10, &v);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (STREQ(s, units[i].suffix))
                        return MUL_OVERFLOW(v, units[i].ns, ret_ns) ? -ERANGE : 0;
        return -EINVAL;
}

int parse_bool(const char *s, bool *ret)
{
        static const char *const yes[] = { "yes", "on", "true", "1" };
        static const char *const no[] = { "no", "off", "false", "0" };

        for (size_t i = 0; i < ELEMENTSOF(yes); i++) {
                if (strcasecmp(s, yes[i]) == 0) {
                        *ret = true;
                        return 0;
                }
                if (strcasecmp(s, no[i]) == 0) {
                        *ret = false;
                        return 0;
                }
        }
        return -EINVAL;
}
