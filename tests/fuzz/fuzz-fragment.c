/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz.h"

#include <stdio.h>

#include "config/config.h"

/* Any text is a fragment, good or bad. What is good in it can be written, reads back without an
 * error, and is then what it was. */

static void promise(bool kept, const char *what, const char *text)
{
        if (kept)
                return;
        fprintf(stderr, "broken: %s\n%s\n", what, text);
        abort();
}

static bool has_error(const GPtrArray *problems)
{
        for (guint i = 0; i < problems->len; i++)
                if (((const Problem *)problems->pdata[i])->level == PROBLEM_ERROR)
                        return true;
        return false;
}

static void format_all(const GPtrArray *problems)
{
        for (guint i = 0; i < problems->len; i++) {
                g_autofree char *line = problem_format(problems->pdata[i]);

                promise(g_utf8_validate(line, -1, NULL), "problems are UTF-8", line);
        }
}

static void round_trip(const Desired *d)
{
        g_autoptr(GString) text = g_string_new(NULL);
        g_autoptr(GPtrArray) problems = NULL, changes = NULL;
        g_autoptr(GHashTable) bad = NULL;
        Desired *again = NULL;

        desired_write(d, true, text);
        promise(config_load_text(text->str, "again", NULL, &again, &bad, &problems) == 0, "reads",
                text->str);
        promise(!has_error(problems) && g_hash_table_size(bad) == 0, "reads without an error",
                text->str);
        changes = config_diff(d, again);
        promise(changes->len == 0, "is what it was", text->str);
        desired_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        g_autofree char *text = g_strndup((const char *)data, size);
        g_autoptr(GPtrArray) problems = NULL;
        g_autoptr(GHashTable) bad = NULL;
        Desired *d = NULL;

        /* the files of this machine are no inputs */
        if (strcasestr(text, "include"))
                return 0;
        if (config_load_text(text, "fuzz", NULL, &d, &bad, &problems) < 0)
                return 0;
        format_all(problems);
        if (config_verify(d, NULL, NULL))
                round_trip(d);
        desired_free(d);
        return 0;
}
