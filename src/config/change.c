/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/directives.h"
#include "config/lexer.h"
#include "config/values.h"

/* What a change is called, by people and by programs. */

static const TargetSpec *target_of(const Change *c)
{
        return c->after ?: c->before;
}

static GPtrArray *values_of(const Directive *d, const void *object)
{
        GPtrArray *values = g_ptr_array_new_with_free_func(g_free);

        d->type->get(d, object, values);
        return values;
}

/* What get() is silent about. */
static void append_default(const Directive *d, const void *object, GString *to)
{
        const bool *b = (const bool *)((const char *)object + d->offset);

        if (d->type == &type_bool) {
                g_auto(GStrv) words = g_strsplit(d->values, "|", -1);

                g_string_append(to, words[*b ? 0 : 1]);
        } else {
                g_string_append(to, d->many ? "none" : "default");
        }
}

/* The values of one directive as one text; without secrets. */
static char *values_text(const Directive *d, const void *object, const GPtrArray *values)
{
        GString *s = g_string_new(NULL);

        for (guint i = 0; i < values->len; i++) {
                g_auto(GStrv) words = NULL;

                g_string_append(s, i > 0 ? ", " : "");
                if (d->type->secret)
                        words = value_split(values->pdata[i]);
                g_string_append(s, words ? words[0] : values->pdata[i]);
        }
        if (values->len == 0)
                append_default(d, object, s);
        return g_string_free(s, FALSE);
}

static bool values_equal(const GPtrArray *a, const GPtrArray *b)
{
        if (a->len != b->len)
                return false;
        for (guint i = 0; i < a->len; i++)
                if (!STREQ(a->pdata[i], b->pdata[i]))
                        return false;
        return true;
}

static void list_free(gpointer list)
{
        g_ptr_array_unref(list);
}

static void directive_change_free(gpointer p)
{
        DirectiveChange *d = p;

        list_free(d->before);
        list_free(d->after);
        g_free(d->name);
        g_free(d);
}

static void add_directive(GPtrArray *to, char *name, GPtrArray *before, GPtrArray *after)
{
        DirectiveChange *c = g_new(DirectiveChange, 1);

        *c = (DirectiveChange){ name, before, after };
        g_ptr_array_add(to, c);
}

static GPtrArray *strings_new(void)
{
        return g_ptr_array_new_with_free_func(g_free);
}

static bool is_of(const Directive *d, unsigned where)
{
        return d->type && !(d->where & IN_GLOBAL) && !STREQ(d->name, "path") &&
               (directive_is_store(d) ? where == IN_LUN : (d->where & where) != 0);
}

/* "write-cache on -> off, readonly 0 -> 1": the directives of where in which a and b differ. */
static void append_differences(const void *a, const void *b, unsigned where, GString *to)
{
        const char *separator = ": ";

        for (const Directive *d = directives(); d->name; d++) {
                g_autoptr(GPtrArray) x = NULL, y = NULL;
                g_autofree char *from = NULL, *into = NULL;

                if (!is_of(d, where))
                        continue;
                x = values_of(d, a);
                y = values_of(d, b);
                if (values_equal(x, y))
                        continue;
                from = values_text(d, a, x);
                into = values_text(d, b, y);
                g_string_append_printf(to, "%s%s ", separator, d->name);
                if (STREQ(from, into)) /* only a secret */
                        g_string_append_printf(to, "%s (another secret)", from);
                else
                        g_string_append_printf(to, "%s -> %s", from, into);
                separator = ", ";
        }
}

/* Without what is secret. */
static GPtrArray *shown_values(const Directive *d, GPtrArray *values)
{
        GPtrArray *shown = strings_new();

        for (guint i = 0; i < values->len; i++) {
                g_auto(GStrv) words = d->type->secret ? value_split(values->pdata[i]) : NULL;

                g_ptr_array_add(shown, g_strdup(words ? words[0] : values->pdata[i]));
        }
        for (guint i = 0; d->type->secret && i < values->len; i++)
                explicit_bzero(values->pdata[i], strlen(values->pdata[i]));
        return shown;
}

/* The same as lists of values. */
static void list_differences(const void *a, const void *b, unsigned where, GPtrArray *to)
{
        for (const Directive *d = directives(); d->name; d++) {
                g_autoptr(GPtrArray) x = NULL, y = NULL;

                if (!is_of(d, where))
                        continue;
                x = values_of(d, a);
                y = values_of(d, b);
                if (!values_equal(x, y))
                        add_directive(to, g_strdup(d->name), shown_values(d, x),
                                      shown_values(d, y));
        }
}

static const char *lun_name(const LunSpec *l)
{
        return l->path ?: l->bs_type;
}

char *change_format(const Change *c)
{
        GString *s = g_string_new(NULL);
        const TargetSpec *t = target_of(c);

        switch (c->kind) {
        case CHANGE_ADD_TARGET:
                g_string_append_printf(s, "+ target %s", t->name);
                break;
        case CHANGE_REMOVE_TARGET:
                g_string_append_printf(s, "- target %s", t->name);
                break;
        case CHANGE_TARGET:
                g_string_append_printf(s, "~ target %s", t->name);
                append_differences(c->before, c->after, IN_TARGET, s);
                break;
        case CHANGE_ADD_LUN:
                g_string_append_printf(s, "+ target %s lun %u: %s", t->name, c->lun_after->lun,
                                       lun_name(c->lun_after));
                break;
        case CHANGE_REMOVE_LUN:
                g_string_append_printf(s, "- target %s lun %u: %s", t->name, c->lun_before->lun,
                                       lun_name(c->lun_before));
                break;
        case CHANGE_LUN:
        case CHANGE_REPLACE_LUN:
                g_string_append_printf(s, "~ target %s lun %u%s", t->name, c->lun_after->lun,
                                       c->kind == CHANGE_LUN ? "" : " (replaced)");
                append_differences(c->lun_before, c->lun_after, IN_LUN, s);
                break;
        case CHANGE_ADD_PORTAL:
                g_string_append_printf(s, "+ portal %s", c->portal->address);
                break;
        case CHANGE_REMOVE_PORTAL:
                g_string_append_printf(s, "- portal %s", c->portal->address);
                break;
        case CHANGE_DISCOVERY:
                g_string_append(s, "~ accounts of discovery");
                break;
        case CHANGE_ACCOUNTS:
                g_string_append(s, "~ accounts of no target");
                break;
        }
        return g_string_free(s, FALSE);
}

/* ---- for programs ---------------------------------------------------------------------------- */

static const char *const kind_names[] = {
        [CHANGE_ADD_TARGET] = "add-target",       [CHANGE_REMOVE_TARGET] = "remove-target",
        [CHANGE_TARGET] = "change-target",        [CHANGE_ADD_LUN] = "add-lun",
        [CHANGE_REMOVE_LUN] = "remove-lun",       [CHANGE_LUN] = "change-lun",
        [CHANGE_REPLACE_LUN] = "replace-lun",     [CHANGE_ADD_PORTAL] = "add-portal",
        [CHANGE_REMOVE_PORTAL] = "remove-portal", [CHANGE_DISCOVERY] = "change-discovery",
        [CHANGE_ACCOUNTS] = "change-accounts",
};

/* "backing-store /srv/a.img", "readonly 1": what l says beyond the defaults. */
static GPtrArray *lun_lines(const LunSpec *l)
{
        g_autoptr(GPtrArray) said =
                g_ptr_array_new_with_free_func((GDestroyNotify)directive_change_free);
        GPtrArray *lines = strings_new();
        LunSpec *plain = lun_spec_new();

        list_differences(plain, l, IN_LUN, said);
        lun_spec_free(plain);
        for (guint i = 0; i < said->len; i++) {
                const DirectiveChange *d = said->pdata[i];

                for (guint k = 0; k < d->after->len && !STREQ(d->name, "lun"); k++)
                        g_ptr_array_add(lines, g_strdup_printf("%s %s", d->name,
                                                               (char *)d->after->pdata[k]));
        }
        if (lines->len == 0)
                g_ptr_array_add(lines, g_strdup_printf("backing-store %s", lun_name(l)));
        return lines;
}

/* All that a target that comes or goes says. */
static void list_target(const TargetSpec *t, bool comes, GPtrArray *to)
{
        TargetSpec *plain = target_spec_new(t->name);

        list_differences(comes ? plain : t, comes ? t : plain, IN_TARGET, to);
        target_spec_free(plain);
        for (guint i = 0; i < t->luns->len; i++) {
                const LunSpec *l = t->luns->pdata[i];
                GPtrArray *lines = lun_lines(l), *none = strings_new();

                add_directive(to, g_strdup_printf("lun %u", l->lun), comes ? none : lines,
                              comes ? lines : none);
        }
}

static void list_lun(const LunSpec *before, const LunSpec *after, GPtrArray *to)
{
        LunSpec *plain = lun_spec_new();

        list_differences(before ? before : plain, after ? after : plain, IN_LUN, to);
        lun_spec_free(plain);
}

ChangeDetail *change_detail_new(const Change *c)
{
        ChangeDetail *d = g_new0(ChangeDetail, 1);
        const TargetSpec *t = c->after ? c->after : c->before;
        const LunSpec *l = c->lun_after ? c->lun_after : c->lun_before;

        d->kind = kind_names[c->kind];
        d->line = change_format(c);
        d->name = g_strdup(t ? t->name : c->portal ? c->portal->address : "");
        d->lun = l ? l->lun : -1;
        d->directives = g_ptr_array_new_with_free_func(directive_change_free);
        if (l)
                list_lun(c->lun_before, c->lun_after, d->directives);
        else if (c->kind == CHANGE_TARGET)
                list_differences(c->before, c->after, IN_TARGET, d->directives);
        else if (t)
                list_target(t, c->after != NULL, d->directives);
        return d;
}

void change_detail_free(ChangeDetail *d)
{
        if (!d)
                return;
        g_ptr_array_unref(d->directives);
        g_free(d->line);
        g_free(d->name);
        g_free(d);
}
