/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/directives.h"

#include "config/lexer.h"
#include "config/problem.h"
#include "config/values.h"

/* One directive at a time, for clients: the same table and the same checks as in a fragment. */

typedef struct Change1 {
        const Directive *directive;
        const char *value; /* NULL: back to the default */
        ConfigCheckParam *check;
        char text[400]; /* of the last error or warning */
} Change1;

static int change(Change1 *c, void *object)
{
        g_autofree char *value = NULL;
        Setting s = { .directive = c->directive,
                      .raw = c->value,
                      .replace = true,
                      .object = object,
                      .check = c->check };
        int r;

        if (!c->directive->type) {
                g_strlcpy(c->text, "not supported by this build", sizeof(c->text));
                return -EINVAL;
        }
        if (!c->value) {
                c->directive->type->clear(c->directive, object);
                return 0;
        }
        /* a client has no file whose quotes and comments it had to escape: only the words of an
         * account are told apart by them */
        value = g_strdup(c->value);
        s.value = value;
        r = directive_set(&s);
        explicit_bzero(value, strlen(value));
        if (r != 0)
                g_strlcpy(c->text, s.text, sizeof(c->text));
        return r;
}

static int add_store(Change1 *c, TargetSpec *t)
{
        LunSpec *l = lun_spec_new();
        uint16_t lun = 0;
        int r = change(c, l);

        if (r >= 0 && target_spec_free_lun(t, &lun) < 0) {
                g_strlcpy(c->text, "no LUN number is left", sizeof(c->text));
                r = -EINVAL;
        }
        if (r < 0) {
                lun_spec_free(l);
                return r;
        }
        l->lun = lun;
        (void)target_spec_add_lun(t, l);
        return r;
}

static int change_each_lun(Change1 *c, TargetSpec *t)
{
        int r = 0;

        if (STREQ(c->directive->name, "lun") && t->luns->len != 1) {
                g_strlcpy(c->text, "in a target it needs exactly one LUN", sizeof(c->text));
                return -EINVAL;
        }
        for (guint i = 0; i < t->luns->len; i++) {
                int k = change(c, t->luns->pdata[i]);

                if (k < 0)
                        return k;
                r |= k;
        }
        return r;
}

static int refuse(Change1 *c, const char *text)
{
        g_strlcpy(c->text, text, sizeof(c->text));
        return -EINVAL;
}

static int dispatch(Change1 *c, TargetSpec *t, LunSpec *l)
{
        const Directive *d = c->directive;

        if (d->where & IN_GLOBAL || (!t && !l))
                return refuse(c, "stands outside of all blocks only");
        if (l) {
                if (!(d->where & IN_LUN) && !directive_is_store(d))
                        return refuse(c, "is for a target, not for a LUN");
                return change(c, l);
        }
        if (directive_is_store(d)) {
                if (!d->type || c->value)
                        return add_store(c, t);
                g_ptr_array_set_size(t->luns, 0);
                return 0;
        }
        if (d->where & IN_LUN)
                return change_each_lun(c, t);
        return change(c, t);
}

int config_set(TargetSpec *t, LunSpec *l, const char *directive, const char *value,
               ConfigCheckParam *check, Problem **reterr)
{
        Change1 c = { .directive = directive_find(directive), .value = value, .check = check };
        int r;

        if (c.directive) {
                r = dispatch(&c, t, l);
        } else {
                const char *near = directive_suggest(directive, l ? IN_LUN : IN_TARGET | IN_LUN);

                (void)g_snprintf(c.text, sizeof(c.text), "unknown directive%s%s%s",
                                 near ? "; is \"" : "", near ?: "", near ? "\" meant?" : "");
                r = -EINVAL;
        }
        if (r != 0 && reterr)
                *reterr = problem_new(r < 0 ? PROBLEM_ERROR : PROBLEM_WARNING, (Origin){ 0 },
                                      t ? t->name : NULL,
                                      c.directive ? c.directive->name : directive, c.text);
        return r;
}
