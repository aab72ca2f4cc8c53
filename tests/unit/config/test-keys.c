/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config.h"
#include "config/directives.h"
#include "config/values.h"

#include "iscsi/iscsi.h"

/* The values that the directive table documents for iSCSI keys are those that the key table of
 * iscsi/ takes: the two layers do not see each other, people see both. */

static int try(const char *name, const char *value)
{
        IscsiParams p;
        char why[200] = "";

        iscsi_params_default(&p);
        return iscsi_params_set(&p, name, value, why, sizeof(why));
}

static void try_number(const char *name, guint64 v, bool good)
{
        g_autofree char *value = g_strdup_printf("%" G_GUINT64_FORMAT, v);

        g_test_message("%s %s", name, value);
        if (good)
                g_assert_cmpint(try(name, value), ==, 0);
        else
                g_assert_cmpint(try(name, value), <, 0);
}

static void walk(const Directive *d)
{
        g_auto(GStrv) words = g_strsplit(d->values, "|", -1);

        for (char **w = words; *w; w++) {
                guint64 least, most;
                char *end;

                if (!g_ascii_isdigit(**w)) {
                        g_test_message("%s %s", d->name, *w);
                        g_assert_cmpint(try(d->name, *w), ==, 0);
                        continue;
                }
                least = g_ascii_strtoull(*w, &end, 10);
                most = g_str_has_prefix(end, "..") ? g_ascii_strtoull(end + 2, NULL, 10) : least;
                try_number(d->name, least, true);
                try_number(d->name, most, true);
                try_number(d->name, most + 1, false);
                if (least > 0)
                        try_number(d->name, least - 1, false);
        }
        g_assert_cmpint(try(d->name, "nonsense"), <, 0);
}

static void test_values(void)
{
        for (const Directive *d = directives(); d->name; d++)
                if (d->type == &type_param)
                        walk(d);
}

/* And every key that can be set has a directive. */
static void test_names(void)
{
        IscsiParams p;
        char value[300];
        const char *name;

        iscsi_params_default(&p);
        for (size_t i = 0; (name = iscsi_params_get(&p, i, value, sizeof(value))); i++) {
                const Directive *d = directive_find(name);

                g_test_message("%s=%s", name, value);
                if (try(name, value) < 0)
                        continue; /* shown, not set */
                g_assert_nonnull(d);
                g_assert_cmpstr(d->name, ==, name);
        }
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/keys/values", test_values);
        g_test_add_func("/keys/names", test_names);
        return g_test_run();
}
