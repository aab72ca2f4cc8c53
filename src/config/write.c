/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/directives.h"
#include "config/lexer.h"
#include "config/verify.h"
#include "config/write.h"

/* Specs -> fragments, row by row of the table. What is written reads back as what it was. */

static void write_line(const Directive *d, const char *value, bool with_secrets, const char *indent,
                       GString *to)
{
        g_string_append(to, indent);
        g_string_append(to, d->name);
        g_string_append_c(to, ' ');
        if (d->type->secret && !with_secrets) {
                g_auto(GStrv) words = value_split(value);

                /* Without its secret the line is an error: a dump that is used as it is must not
                 * make a target that asks for nothing. */
                value_quote(words[0], to);
                if (g_strv_length(words) == 3) {
                        g_string_append(to, " credential ");
                        value_quote(words[2], to);
                } else
                        g_string_append(to, " # the secret is not shown: write it behind the user");
        } else if (d->type->raw) {
                g_string_append(to, value);
        } else {
                value_quote(value, to);
        }
        g_string_append_c(to, '\n');
}

static void write_rows(const void *object, unsigned where, bool with_secrets, const char *indent,
                       GString *to)
{
        for (const Directive *d = directives(); d->name; d++) {
                g_autoptr(GPtrArray) values = NULL;

                if (!(d->where & where) || !d->type || directive_is_store(d) ||
                    (where != IN_GLOBAL && d->where & IN_GLOBAL))
                        continue;
                /* the path stands in the tag */
                if (STREQ(d->name, "path"))
                        continue;
                values = g_ptr_array_new_with_free_func(g_free);
                d->type->get(d, object, values);
                for (guint i = 0; i < values->len; i++)
                        write_line(d, values->pdata[i], with_secrets, indent, to);
        }
}

static void write_lun(const LunSpec *l, GString *to)
{
        g_string_append(to, "\t<backing-store ");
        value_quote(l->path ?: "NONE", to);
        g_string_append(to, ">\n");
        write_rows(l, IN_LUN, true, "\t\t", to);
        g_string_append(to, "\t</backing-store>\n");
}

void target_spec_write(const TargetSpec *t, bool with_secrets, GString *to)
{
        g_string_append(to, "<target ");
        value_quote(t->name, to);
        g_string_append(to, ">\n");
        if (t->masked) {
                g_string_append(to, "\tmasked yes\n");
        } else {
                write_rows(t, IN_TARGET, with_secrets, "\t", to);
                for (guint i = 0; i < t->luns->len; i++)
                        write_lun(t->luns->pdata[i], to);
        }
        g_string_append(to, "</target>\n");
}

void globals_write(const Desired *d, bool with_secrets, GString *to)
{
        write_rows(d, IN_GLOBAL, with_secrets, "", to);
}

void desired_write(const Desired *d, bool with_secrets, GString *to)
{
        g_autoptr(GPtrArray) targets = desired_sorted_targets(d);

        globals_write(d, with_secrets, to);
        for (guint i = 0; i < targets->len; i++) {
                if (to->len > 0)
                        g_string_append_c(to, '\n');
                target_spec_write(targets->pdata[i], with_secrets, to);
        }
}
