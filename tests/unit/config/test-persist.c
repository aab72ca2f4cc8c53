/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helpers.h"

#include <glib/gstdio.h>
#include <sys/stat.h>

#define A "iqn.2026-01.com.example:a"

static char *make_dir(void)
{
        char *dir = g_dir_make_tmp("tgt-persist-XXXXXX", NULL);

        g_assert_nonnull(dir);
        return dir;
}

static guint count_files(const char *dir)
{
        GDir *d = g_dir_open(dir, 0, NULL);
        guint n = 0;

        while (g_dir_read_name(d))
                n++;
        g_dir_close(d);
        return n;
}

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
        g_autofree char *path = g_build_filename(dir, file, NULL), *parent = NULL;
        TargetSpec *t = target_spec_new(A);
        ConfigPaths paths = { .var = dir };
        _cleanup_loaded_ Loaded l = { 0 };
        struct stat st;

        g_assert_cmpint(config_set(t, NULL, "backing-store", "/dev/a", NULL, NULL), ==, 0);
        g_assert_cmpint(config_set(t, NULL, "incominguser", "al secretsecret1", NULL, NULL), ==, 0);
        g_assert_cmpint(config_save_target(dir, t), ==, 0);
        g_assert_cmpint(config_set(t, NULL, "alias", "second", NULL, NULL), ==, 0);
        g_assert_cmpint(config_save_target(dir, t), ==, 0);
        g_assert_cmpuint(count_files(dir), ==, 1); /* and no temporary one */
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 07777, ==, 0600);

        g_assert_cmpint(config_load(&paths, NULL, &l.desired, &l.bad, &l.problems), ==, 0);
        assert_messages(&l, "");
        g_assert_true(target_spec_equal(target(&l, A), t));
        g_assert_cmpint(target(&l, A)->persistence, ==, TARGET_SAVED);

        g_assert_cmpint(config_forget_target(dir, A), ==, 1);
        g_assert_cmpint(config_forget_target(dir, A), ==, 0);
        g_assert_cmpint(config_forget_target("/nonexistent", A), ==, 0);
        target_spec_free(t);
        g_assert_cmpint(g_rmdir(dir), ==, 0);
        parent = g_path_get_dirname(dir);
        g_assert_cmpint(g_rmdir(parent), ==, 0);
        g_assert_cmpint(g_rmdir(root), ==, 0);
}

/* When it cannot be done, what was there is still there. */
static void test_failure(void)
{
        g_autofree char *dir = make_dir(), *file = config_target_file_name(A);
        g_autofree char *path = g_build_filename(dir, file, NULL);
        TargetSpec *t = target_spec_new(A);

        /* a directory in the place of the file: rename fails at the end */
        g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
        g_assert_cmpint(config_save_target(dir, t), ==, -EISDIR);
        g_assert_cmpuint(count_files(dir), ==, 1);
        g_assert_true(g_file_test(path, G_FILE_TEST_IS_DIR));
        g_assert_cmpint(config_save_target("/proc/nothing", t), <, 0);
        target_spec_free(t);
        g_assert_cmpint(g_rmdir(path), ==, 0);
        g_assert_cmpint(g_rmdir(dir), ==, 0);
}

static void test_globals(void)
{
        g_autofree char *dir = make_dir();
        Desired *d = desired_new(), *none = desired_new();
        ConfigPaths paths = { .var = dir };
        _cleanup_loaded_ Loaded l = { 0 };
        g_autoptr(GPtrArray) changes = NULL;

        g_ptr_array_add(d->portals, portal_spec_new("192.0.2.1:3260"));
        g_ptr_array_add(d->discovery_incoming, account_spec_new("a", "secret # secret"));
        desired_put(d, target_spec_new(A)); /* not written here */
        g_assert_cmpint(config_save_globals(dir, d), ==, 0);
        g_assert_cmpint(config_load(&paths, NULL, &l.desired, &l.bad, &l.problems), ==, 0);
        g_hash_table_remove(d->targets, A);
        changes = config_diff(d, l.desired);
        g_assert_cmpuint(changes->len, ==, 0);
        g_assert_cmpint(config_save_globals(dir, none), ==, 0);
        g_assert_cmpuint(count_files(dir), ==, 0);
        g_assert_cmpint(config_save_globals(dir, none), ==, 0);
        desired_free(d);
        desired_free(none);
        g_assert_cmpint(g_rmdir(dir), ==, 0);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/persist/names", test_names);
        g_test_add_func("/persist/long-names", test_long_names);
        g_test_add_func("/persist/save", test_save);
        g_test_add_func("/persist/failure", test_failure);
        g_test_add_func("/persist/globals", test_globals);
        return g_test_run();
}
