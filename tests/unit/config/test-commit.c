/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "logs.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <glib/gstdio.h>

/* The disk: it fails when it is told to, and what it forgets then is forgotten. */
static struct {
        const char *fails; /* the end of a path whose next fsync(2) fails */
        GPtrArray *synced; /* paths */
} disk;

static char *path_of(int fd)
{
        g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);

        return g_file_read_link(link, NULL);
}

int fsync(int fd)
{
        char *path = path_of(fd);

        if (disk.fails && g_str_has_suffix(path, disk.fails)) {
                disk.fails = NULL;
                g_free(path);
                errno = EIO;
                return -1;
        }
        g_ptr_array_add(disk.synced, path);
        return (int)syscall(SYS_fsync, fd);
}

static bool was_synced(const char *path)
{
        return g_ptr_array_find_with_equal_func(disk.synced, path, g_str_equal, NULL);
}

static off_t size_of(const char *path)
{
        struct stat st;

        g_assert_cmpint(stat(path, &st), ==, 0);
        return st.st_size;
}

static int set_one(CommitLog *log, const char *dir, const char *name, const char *text)
{
        g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)file_change_free);

        put(all, dir, name, text);
        return commit_log_run(log, all);
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

/* No room for the "done" of a change: what is done once more for it does not undo what came after.
 */
static void test_no_room_for_done(void)
{
        g_autofree char *dir = make_dir(), *path = g_build_filename(dir, "changes", NULL);
        CommitLog *log = open_log(dir, 0);
        struct rlimit before, full;

        g_assert_cmpint(set_one(log, dir, "a", "0"), ==, 0);
        g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
        full = before;
        /* a record of a file of the same size, without its "done" */
        full.rlim_cur =
                (rlim_t)(2 * size_of(path)) - strlen("done\n") - (strlen("tgt-changes 1 \n") + 36);
        (void)signal(SIGXFSZ, SIG_IGN);
        g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &full), ==, 0);
        g_assert_cmpint(set_one(log, dir, "a", "1"), ==, 0);
        g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
        g_assert_cmpint(set_one(log, dir, "a", "2"), ==, 0);
        commit_log_free(log);
        log = open_log(dir, 2); /* it, and what came after */
        assert_file(dir, "a", "2");
        commit_log_free(log);
        remove_all(dir);
}

/* A file or a directory that cannot be synchronised: the kernel says so once, and may have dropped
 * what was to be written, so that it is written again from the log before that is emptied. */
static void test_sync_fails(gconstpointer data)
{
        g_autofree char *dir = make_dir(), *path = g_build_filename(dir, "changes", NULL),
                        *file = g_build_filename(dir, "sub", "a", NULL),
                        *sub = g_build_filename(dir, "sub", NULL);
        CommitLog *log = open_log(dir, 0);
        off_t size;

        g_assert_cmpint(set_one(log, dir, "sub/a", "1"), ==, 0);
        g_assert_cmpint(set_one(log, dir, "sub/b", "1"), ==, 0);
        g_assert_cmpint(set_one(log, dir, "sub/b", NULL), ==, 0);
        size = size_of(path);
        disk.fails = data;
        g_assert_cmpint(commit_log_settle(log, 16), ==, -EIO);
        g_assert_cmpint(size_of(path), ==, size);
        g_assert_cmpuint(commit_log_unsettled(log), ==, 2);

        /* what the disk has lost */
        g_assert_true(g_file_set_contents(file, "", 0, NULL));
        g_ptr_array_set_size(disk.synced, 0);
        g_assert_cmpint(commit_log_settle(log, 16), ==, 0);
        assert_file(dir, "sub/a", "1");
        assert_file(dir, "sub/b", NULL);
        g_assert_true(was_synced(file));
        g_assert_true(was_synced(sub));
        g_assert_cmpint(size_of(path), ==, 0);

        /* and the log goes on */
        g_assert_cmpint(set_one(log, dir, "sub/a", "2"), ==, 0);
        g_assert_cmpint(commit_log_settle(log, 16), ==, 0);
        commit_log_free(log);
        log = open_log(dir, 0);
        assert_file(dir, "sub/a", "2");
        commit_log_free(log);
        remove_all(dir);
}

/* Nor is it emptied where it cannot be read any more. */
static void test_sync_fails_without_log(void)
{
        g_autofree char *dir = make_dir(), *path = g_build_filename(dir, "changes", NULL);
        CommitLog *log = open_log(dir, 0);
        g_autofree char *whole = NULL, *broken = NULL;
        size_t size;

        g_assert_cmpint(set_one(log, dir, "a", "1"), ==, 0);
        g_assert_true(g_file_get_contents(path, &whole, &size, NULL));
        disk.fails = "/a";
        g_assert_cmpint(commit_log_settle(log, 16), ==, -EIO);
        broken = g_memdup2(whole, size);
        broken[size - strlen("done\n") - 1] ^= 1;
        g_assert_true(g_file_set_contents(path, broken, (gssize)size, NULL));
        g_assert_cmpint(commit_log_settle(log, 16), <, 0);
        g_assert_cmpuint(commit_log_unsettled(log), ==, 1);
        g_assert_true(g_file_set_contents(path, whole, (gssize)size, NULL));
        g_assert_cmpint(commit_log_settle(log, 16), ==, 0);
        commit_log_free(log);
        remove_all(dir);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        disk.synced = g_ptr_array_new_with_free_func(g_free);
        g_test_add_func("/config/commit/failure", test_failure);
        g_test_add_func("/config/commit/torn", test_torn);
        g_test_add_func("/config/commit/settle", test_settle);
        g_test_add_func("/config/commit/foreign-log", test_foreign_log);
        g_test_add_func("/config/commit/no-room-for-done", test_no_room_for_done);
        g_test_add_data_func("/config/commit/sync-fails/file", "/sub/a", test_sync_fails);
        g_test_add_data_func("/config/commit/sync-fails/directory", "/sub", test_sync_fails);
        g_test_add_func("/config/commit/sync-fails/no-log", test_sync_fails_without_log);
        return g_test_run();
}
