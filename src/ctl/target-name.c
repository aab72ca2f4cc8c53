/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/target-name.h"

#include <glib.h>

bool target_name_is_full(const char *name)
{
        return g_ascii_strncasecmp(name, "iqn.", 4) == 0 ||
               g_ascii_strncasecmp(name, "eui.", 4) == 0 ||
               g_ascii_strncasecmp(name, "naa.", 4) == 0;
}

/* A label of the host's name as one of an iSCSI name: letters, digits, dashes. */
static void append_label(const char *label, GString *to)
{
        g_string_append_c(to, '.');
        for (const char *p = label; *p; p++)
                g_string_append_c(to, g_ascii_isalnum(*p) ? g_ascii_tolower(*p) : '-');
}

static void append_domain(const char *host, GString *to)
{
        g_auto(GStrv) labels = g_strsplit(host, ".", -1);
        guint n = g_strv_length(labels), used = 0;

        for (guint i = 0; i < n; i++)
                used += *labels[i] != '\0';
        if (used <= 1)
                g_string_append(to, ".local");
        for (guint i = n; i > 0; i--)
                if (*labels[i - 1])
                        append_label(labels[i - 1], to);
        if (used == 0)
                g_string_append(to, ".localhost");
}

char *target_name_make(const char *name, const char *host, time_t now, const char **ret_why)
{
        GString *s;
        struct tm tm = { 0 };

        *ret_why = NULL;
        if (*name == '\0')
                *ret_why = "it is empty";
        for (const char *p = name; *p && !*ret_why; p++)
                if (*p == ':')
                        *ret_why = "a whole name begins with iqn., eui. or naa., and a short one "
                                   "has no colon";
                else if (!g_ascii_isalnum(*p) && !strchr("-._", *p))
                        *ret_why = "a short name has letters, digits, dashes and dots";
        if (*ret_why)
                return NULL;
        (void)gmtime_r(&now, &tm);
        s = g_string_new(NULL);
        g_string_printf(s, "iqn.%04d-%02d", tm.tm_year + 1900, tm.tm_mon + 1);
        append_domain(host, s);
        g_string_append_printf(s, ":%s", name);
        g_string_ascii_down(s);
        return g_string_free(s, FALSE);
}
