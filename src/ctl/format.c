/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>

#include "ctl/format.h"

#define USEC_PER_SEC UINT64_C(1000000)

char *format_bytes(uint64_t bytes)
{
        static const char suffixes[] = "BKMGTPE";
        size_t i = 0;
        uint64_t unit = 1;

        while (i + 2 < sizeof(suffixes) && bytes / unit >= 1024) {
                unit *= 1024;
                i++;
        }
        if (bytes % unit == 0)
                return g_strdup_printf("%" PRIu64 "%c", bytes / unit, suffixes[i]);
        return g_strdup_printf("%.1f%c", (double)bytes / (double)unit, suffixes[i]);
}

char *format_time(uint64_t ns)
{
        static const char *const units[] = { "ns", "us", "ms", "s" };
        double v = (double)ns;
        size_t i = 0;

        for (; i + 1 < ELEMENTSOF(units) && v >= 999.5; i++)
                v /= 1000;
        return g_strdup_printf("%.*f%s",
                               i == 0 || v >= 99.95 ? 0
                               : v >= 9.995         ? 1
                                                    : 2,
                               v, units[i]);
}

char *format_ago(uint64_t usec, uint64_t now_usec)
{
        static const struct {
                const char *name;
                uint64_t seconds;
        } units[] = { { "d", 86400 }, { "h", 3600 }, { "min", 60 }, { "s", 1 } };
        uint64_t left = now_usec > usec ? (now_usec - usec) / USEC_PER_SEC : 0;
        GString *s = g_string_new(NULL);
        unsigned n = 0;

        for (size_t i = 0; i < ELEMENTSOF(units) && n < 2; i++) {
                if (left < units[i].seconds)
                        continue;
                g_string_append_printf(s, "%" PRIu64 "%s ", left / units[i].seconds, units[i].name);
                left %= units[i].seconds;
                n++;
        }
        if (n == 0)
                g_string_append(s, "0s ");
        g_string_append(s, "ago");
        return g_string_free(s, FALSE);
}

Color state_color(const char *state)
{
        static const struct {
                const char *state;
                Color color;
        } colors[] = {
                { "ready", COLOR_GREEN },      { "online", COLOR_GREEN },
                { "running", COLOR_GREEN },    { "offline", COLOR_YELLOW },
                { "opening", COLOR_YELLOW },   { "starting", COLOR_YELLOW },
                { "reloading", COLOR_YELLOW }, { "stopping", COLOR_YELLOW },
                { "not-ready", COLOR_RED },    { "not-running", COLOR_RED },
        };

        for (size_t i = 0; i < ELEMENTSOF(colors); i++)
                if (STREQ(colors[i].state, state))
                        return colors[i].color;
        return COLOR_NONE;
}
