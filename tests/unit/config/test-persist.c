/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/commit.h"
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

static CommitLog *open_log(const char *dir, unsigned redone)
{
        g_autofree char *path = g_build_filename(dir, "changes", NULL);
        CommitLog *log;
        unsigned n;

        g_assert_cmpint(commit_log_open(path, true, &log, &n), ==, 0);
        g_assert_cmpuint(n, ==, redone);
        return log;
}

static int run_one(CommitLog *log, FileChange *change)
{
        g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)file_change_free);

        g_ptr_array_add(all, change);
        return commit_log_run(log, all);
}

static void put(GPtrArray *to, const char *dir, const char *name, const char *text)
{
        g_autofree char *path = g_build_filename(dir, name, NULL);

        g_ptr_array_add(to, file_change_new(path, g_strdup(text), text ? strlen(text) : 0));
}

/* text NULL: there is no such file. */
static void assert_file(const char *dir, const char *name, const char *text)
{
        g_autofree char *path = g_build_filename(dir, name, NULL), *found = NULL;

        (void)g_file_get_contents(path, &found, NULL, NULL);
        g_assert_cmpstr(found, ==, text);
}

static void remove_all(const char *dir)
{
        const char *argv[] = { "rm", "-r", dir, NULL };

        g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
                                   NULL, NULL, NULL));
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

/* When one of them cannot be done, what was there before all of them is still there. */
static void test_failure(void)
{
        g_autofree char *dir = make_dir(), *blocked = g_build_filename(dir, "b", NULL);
        g_autofree char *inside = g_build_filename(blocked, "x", NULL);
        g_autoptr(GPtrArray) first =
                g_ptr_array_new_with_free_func((GDestroyNotify)file_change_free);
        g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)file_change_free);
        g_autoptr(GPtrArray) dirless =
                g_ptr_array_new_with_free_func((GDestroyNotify)file_change_free);
        CommitLog *log = open_log(dir, 0);

        put(first, dir, "a", "1");
        put(first, dir, "d", "1");
        g_assert_cmpint(commit_log_run(log, first), ==, 0);

        /* a directory in the place of a file: known before anything is done */
        g_assert_cmpint(g_mkdir_with_parents(inside, 0755), ==, 0);
        put(all, dir, "a", "2");
        put(all, dir, "d", NULL);
        put(all, dir, "b", "2");
        g_assert_cmpint(commit_log_run(log, all), ==, -EISDIR);
        assert_file(dir, "a", "1");
        assert_file(dir, "d", "1");
        put(dirless, dir, "a", "3");
        put(dirless, "/proc", "nothing/x", "3");
        g_assert_cmpint(commit_log_run(log, dirless), <, 0);
        assert_file(dir, "a", "1");
        g_assert_cmpuint(count_files(dir), ==, 4); /* a, d, b, the log; nothing temporary */
        commit_log_free(log);

        /* and the log does not remember what was refused */
        log = open_log(dir, 0);
        assert_file(dir, "a", "1");
        commit_log_free(log);
        remove_all(dir);
}

/* What ends the process or the machine between the log and the files is made good; what ends it
 * before the log is complete has changed nothing. */
static void test_torn(void)
{
        g_autofree char *dir = make_dir(), *path = g_build_filename(dir, "changes", NULL);
        g_autofree char *whole = NULL, *other = NULL;
        g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)file_change_free);
        CommitLog *log = open_log(dir, 0);
        size_t size;

        put(all, dir, "a", "one\n");
        put(all, dir, "sub/b", "");
        put(all, dir, "c", NULL);
        g_assert_cmpint(commit_log_run(log, all), ==, 0);
        commit_log_free(log);
        g_assert_true(g_file_get_contents(path, &whole, &size, NULL));
        g_assert_true(g_str_has_suffix(whole, "done\n"));

        for (size_t n = 0; n <= size; n++) {
                bool decided = n >= size - strlen("done\n"), done = n == size;

                g_assert_true(g_file_set_contents(path, whole, (gssize)n, NULL));
                for (guint i = 0; i < all->len; i++)
                        (void)g_unlink(((FileChange *)all->pdata[i])->path);
                g_assert_true(g_file_set_contents(((FileChange *)all->pdata[2])->path, "there", -1,
                                                  NULL));
                log = open_log(dir, decided && !done);
                assert_file(dir, "a", decided && !done ? "one\n" : NULL);
                assert_file(dir, "sub/b", decided && !done ? "" : NULL);
                assert_file(dir, "c", decided && !done ? NULL : "there");
                commit_log_free(log);
        }

        /* another boot: the files were never synchronised, so all of it is done once more */
        other = g_strdup(whole);
        other[strlen("tgt-changes 1 ")] ^= 1;
        g_assert_true(g_file_set_contents(path, other, (gssize)size, NULL));
        log = open_log(dir, 1);
        assert_file(dir, "a", "one\n");
        assert_file(dir, "c", NULL);
        g_assert_cmpuint(commit_log_unsettled(log), ==, 0); /* has been synchronised */
        commit_log_free(log);
        assert_file(dir, "changes", "");

        /* a bit that fell over */
        whole[size - 9] ^= 1;
        g_assert_true(g_file_set_contents(path, whole, (gssize)(size - strlen("done\n")), NULL));
        log = open_log(dir, 0);
        commit_log_free(log);
        remove_all(dir);
}

/* It is emptied once everything is synchronised, a few files at a time. */
static void test_settle(void)
{
        g_autofree char *dir = make_dir(), *path = g_build_filename(dir, "changes", NULL);
        CommitLog *log = open_log(dir, 0);
        struct stat st;

        for (unsigned i = 0; i < 5; i++) {
                g_autofree char *file = g_strdup_printf("%s/%u", dir, i % 3);

                g_assert_cmpint(run_one(log, file_change_new(file, g_strdup("x"), 1)), ==, 0);
        }
        g_assert_cmpuint(commit_log_unsettled(log), ==, 3);
        g_assert_cmpint(commit_log_settle(log, 2), ==, 1);
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 07777, ==, 0600); /* there are secrets in it */
        g_assert_cmpint(st.st_size, >, 0);
        g_assert_cmpint(commit_log_settle(log, 2), ==, 0);
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpint(st.st_size, ==, 0);
        commit_log_free(log);
        remove_all(dir);
}

static void test_foreign_log(void)
{
        g_autofree char *dir = make_dir(), *path = g_build_filename(dir, "changes", NULL);
        CommitLog *log;
        unsigned n;

        g_assert_true(g_file_set_contents(path, "tgt-changes 2 x\n", -1, NULL));
        g_assert_cmpint(commit_log_open(path, true, &log, &n), ==, -EPROTONOSUPPORT);
        g_assert_true(g_file_set_contents(path, "what is this?\n", -1, NULL));
        g_assert_cmpint(commit_log_open(path, true, &log, &n), ==, -EBADMSG);
        remove_all(dir);
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
        g_test_add_func("/persist/failure", test_failure);
        g_test_add_func("/config/persist/torn", test_torn);
        g_test_add_func("/config/persist/settle", test_settle);
        g_test_add_func("/config/persist/foreign-log", test_foreign_log);
        g_test_add_func("/persist/globals", test_globals);
        return g_test_run();
}
