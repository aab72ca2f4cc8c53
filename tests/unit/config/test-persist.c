/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helpers.h"
#include "logs.h"

#include <sys/stat.h>

#define A "iqn.2026-01.com.example:a"

static void test_names(void)
{
        static const char *const names[] = { "iqn.2026-01.com.example:a",
                                             "iqn.2026-01.com.example:a_",
                                             "iqn.2026-01.com.example-a",
                                             "iqn.2026-01.com.example:\xc3\xbc",
                                             "iqn.2026-01.com.example:%c3%bc",
                                             "iqn.2026-01.com.example:a/../../b",
                                             "..",
                                             ".",
                                             "/",
                                             "",
                                             "eui.0123456789abcdef",
                                             "iqn.2026-01.com.example:a~" };
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                char *file = config_target_file_name(names[i]);

                g_assert_null(strchr(file, '/'));
                g_assert_true(g_str_has_suffix(file, ".conf"));
                g_assert_cmpstr(file, !=, "..conf");
                g_assert_true(file[0] != '.' || STREQ(names[i], ""));
                g_assert_true(g_hash_table_add(seen, file));
        }
}

/* Long names too: one file each, and one that the file system takes. */
static void test_long_names(void)
{
        g_autoptr(GString) a = g_string_new("iqn."), b = NULL;
        g_autofree char *x = NULL, *y = NULL;

        while (a->len < 222)
                g_string_append(a, "\xc3\xbc");
        b = g_string_new(a->str);
        g_string_append_c(a, 'a');
        g_string_append_c(b, 'b');
        x = config_target_file_name(a->str);
        y = config_target_file_name(b->str);
        g_assert_cmpuint(strlen(x), <=, 255);
        g_assert_cmpstr(x, !=, y);
}

static void test_save(void)
{
        g_autofree char *root = make_dir(),
                        *dir = g_build_filename(root, "state", "targets.d", NULL);
        g_autofree char *file = config_target_file_name(A);
        g_autofree char *path = g_build_filename(dir, file, NULL);
        TargetSpec *t = target_spec_new(A);
        ConfigPaths paths = { .var = dir };
        _cleanup_loaded_ Loaded l = { 0 };
        CommitLog *log = open_log(root, 0);
        struct stat st;

        g_assert_cmpint(config_set(t, NULL, "backing-store", "/dev/a", NULL, NULL), ==, 0);
        g_assert_cmpint(config_set(t, NULL, "incominguser", "al secretsecret1", NULL, NULL), ==, 0);
        g_assert_cmpint(run_one(log, config_target_change(dir, t)), ==, 0);
        g_assert_cmpint(config_set(t, NULL, "alias", "second", NULL, NULL), ==, 0);
        g_assert_cmpint(run_one(log, config_target_change(dir, t)), ==, 0);
        g_assert_cmpuint(count_files(dir), ==, 1); /* and no temporary one */
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 07777, ==, 0600);

        g_assert_cmpint(config_load(&paths, NULL, &l.desired, &l.bad, &l.problems), ==, 0);
        assert_messages(&l, "");
        g_assert_true(target_spec_equal(target(&l, A), t));
        g_assert_cmpint(target(&l, A)->persistence, ==, TARGET_SAVED);

        g_assert_cmpint(run_one(log, config_forget_change(dir, A)), ==, 0);
        g_assert_cmpuint(count_files(dir), ==, 0);
        g_assert_cmpint(run_one(log, config_forget_change(dir, A)), ==, 0);
        g_assert_cmpint(run_one(log, config_forget_change("/nonexistent", A)), ==, 0);
        target_spec_free(t);
        commit_log_free(log);
        remove_all(root);
}

static void test_globals(void)
{
        g_autofree char *root = make_dir(), *dir = g_build_filename(root, "targets.d", NULL);
        Desired *d = desired_new(), *none = desired_new();
        CommitLog *log = open_log(root, 0);
        ConfigPaths paths = { .var = dir };
        _cleanup_loaded_ Loaded l = { 0 };
        g_autoptr(GPtrArray) changes = NULL;

        g_ptr_array_add(d->portals, portal_spec_new("192.0.2.1:3260"));
        g_ptr_array_add(d->discovery_incoming, account_spec_new("a", "secret # secret"));
        desired_put(d, target_spec_new(A)); /* not written here */
        g_assert_cmpint(run_one(log, config_globals_change(dir, d)), ==, 0);
        g_assert_cmpint(config_load(&paths, NULL, &l.desired, &l.bad, &l.problems), ==, 0);
        g_hash_table_remove(d->targets, A);
        changes = config_diff(d, l.desired);
        g_assert_cmpuint(changes->len, ==, 0);
        g_assert_cmpint(run_one(log, config_globals_change(dir, none)), ==, 0);
        g_assert_cmpuint(count_files(dir), ==, 0);
        g_assert_cmpint(run_one(log, config_globals_change(dir, none)), ==, 0);
        desired_free(d);
        desired_free(none);
        commit_log_free(log);
        remove_all(root);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/persist/names", test_names);
        g_test_add_func("/persist/long-names", test_long_names);
        g_test_add_func("/persist/save", test_save);
        g_test_add_func("/persist/globals", test_globals);
        return g_test_run();
}
