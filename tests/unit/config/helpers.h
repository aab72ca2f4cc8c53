/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "config/config.h"

/* What loading gave, and how the tests look at it. */
typedef struct Loaded {
        Desired *desired;
        GHashTable *bad;
        GPtrArray *problems;
} Loaded;

static inline void loaded_clear(Loaded *l)
{
        if (l->desired)
                desired_free(l->desired);
        if (l->bad)
                g_hash_table_unref(l->bad);
        if (l->problems)
                g_ptr_array_unref(l->problems);
        *l = (Loaded){ 0 };
}

#define _cleanup_loaded_ __attribute__((cleanup(loaded_clear)))

static inline Loaded load_checked(const char *text, ConfigCheckParam *check)
{
        Loaded l = { 0 };

        g_assert_cmpint(config_load_text(text, "t.conf", check, &l.desired, &l.bad, &l.problems),
                        ==, 0);
        return l;
}

static inline Loaded load(const char *text)
{
        return load_checked(text, NULL);
}

/* Every problem on a line of its own. */
static inline char *messages(const GPtrArray *problems)
{
        GString *s = g_string_new(NULL);

        for (guint i = 0; i < problems->len; i++) {
                g_autofree char *line = problem_format(problems->pdata[i]);

                g_string_append_printf(s, "%s\n", line);
        }
        return g_string_free(s, FALSE);
}

static inline void assert_messages(const Loaded *l, const char *expected)
{
        g_autofree char *got = messages(l->problems);

        g_assert_cmpstr(got, ==, expected);
}

static inline TargetSpec *target(const Loaded *l, const char *name)
{
        TargetSpec *t = g_hash_table_lookup(l->desired->targets, name);

        g_assert_nonnull(t);
        return t;
}

static inline LunSpec *lun(const Loaded *l, const char *name, uint16_t number)
{
        LunSpec *lun = target_spec_find_lun(target(l, name), number);

        g_assert_nonnull(lun);
        return lun;
}

static inline bool has_target(const Loaded *l, const char *name)
{
        return g_hash_table_contains(l->desired->targets, name);
}

/* "1=/dev/a 2=/dev/b": what is served under which number. */
static inline char *luns_text(const TargetSpec *t)
{
        GString *s = g_string_new(NULL);

        for (guint i = 0; i < t->luns->len; i++) {
                const LunSpec *l = t->luns->pdata[i];

                g_string_append_printf(s, "%s%u=%s", i ? " " : "", l->lun, l->path ?: "");
        }
        return g_string_free(s, FALSE);
}

static inline void assert_luns(const Loaded *l, const char *name, const char *expected)
{
        g_autofree char *got = luns_text(target(l, name));

        g_assert_cmpstr(got, ==, expected);
}
