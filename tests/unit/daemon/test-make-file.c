/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/make-file.h"

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <sys/stat.h>

static char *dir;

static void expect_files(unsigned n)
{
        g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
        unsigned found = 0;

        while (g_dir_read_name(d))
                found++;
        g_assert_cmpuint(found, ==, n);
}

static int make(FileMake f, char **ret_path, const char *part)
{
        char why[5000] = "";
        int r;

        if (!f.folder)
                f.folder = dir;
        if (!f.name)
                f.name = "disk";
        r = file_make(&f, ret_path, why, sizeof(why));
        g_test_message("%d %s", r, why);
        if (part && !strstr(why, part))
                g_error("%s: no \"%s\"", why, part);
        return r;
}

static void test_sparse_and_preallocated(void)
{
        g_autofree char *sparse = NULL, *full = NULL;
        struct stat st;

        g_assert_cmpint(make((FileMake){ .size = 8 * MIB }, &sparse, NULL), ==, 0);
        g_assert_true(g_str_has_suffix(sparse, "/disk.img"));
        g_assert_cmpint(stat(sparse, &st), ==, 0);
        g_assert_cmpuint((guint64)st.st_size, ==, 8 * MIB);
        g_assert_cmpuint((guint64)st.st_blocks, <, 8 * MIB / 512);
        g_assert_cmpuint(st.st_mode, ==, S_IFREG | 0600);

        g_assert_cmpint(make((FileMake){ .size = 3 * MIB, .name = "full", .preallocate = true },
                             &full, NULL),
                        ==, 0);
        g_assert_cmpint(stat(full, &st), ==, 0);
        g_assert_cmpuint((guint64)st.st_size, ==, 3 * MIB);
        g_assert_cmpuint((guint64)st.st_blocks, >=, 3 * MIB / 512);
        expect_files(2);
}

static int open_plainly(const char *path, int flags, void *userdata)
{
        int fd = open(path, flags);

        return fd < 0 ? -errno : fd;
}

/* Data, holes, zeros and a part of a block at the end: what is read is the same, and what was not
 * there takes no room. */
static void test_copy(void)
{
        g_autofree char *from = g_build_filename(dir, "from", NULL), *path = NULL, *a = NULL,
                        *b = NULL;
        g_autofree char *data = g_malloc(3 * MIB);
        FileMake f = { .source = from, .open_path = open_plainly, .whole_name = true };
        const uint64_t size = 64 * MIB + 512;
        int fd = open(from, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        struct stat st;
        char *none = NULL;
        gsize n, k;

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
        for (size_t i = 0; i < 3 * MIB; i++)
                data[i] = (char)(i * 7 + i / 4096);
        memset(data + MIB, 0, MIB);
        g_assert_cmpint(pwrite(fd, data, 3 * MIB, 20 * (off_t)MIB), ==, 3 * (ssize_t)MIB);
        g_assert_cmpint(pwrite(fd, data, 512, 64 * (off_t)MIB), ==, 512);
        close(fd);

        f.size = size;
        f.name = "copy";
        g_assert_cmpint(make(f, &path, NULL), ==, 0);
        g_assert_true(g_str_has_suffix(path, "/copy"));
        g_assert_true(g_file_get_contents(from, &a, &n, NULL));
        g_assert_true(g_file_get_contents(path, &b, &k, NULL));
        g_assert_cmpuint(n, ==, k);
        g_assert_true(memcmp(a, b, n) == 0);
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpuint((guint64)st.st_blocks, <, 8 * MIB / 512);

        g_assert_cmpint(make(f, &none, "is there already"), ==, -EEXIST);
        f.name = "longer";
        f.size = size + 512; /* it is shorter by now */
        g_assert_cmpint(make(f, &none, "could not be copied"), ==, -ENODATA);
        f.name = "given-up";
        f.cancel = true;
        g_assert_cmpint(make(f, &none, "given up"), ==, -ECANCELED);
        f.cancel = false;
        f.source = "/nonexistent/x";
        g_assert_cmpint(make(f, &none, "could not be copied"), ==, -ENOENT);
        expect_files(2);
}

static void test_never_overwrites(void)
{
        g_autofree char *there = g_build_filename(dir, "disk.img", NULL), *path = NULL,
                        *text = NULL;
        g_autofree char *link = g_build_filename(dir, "link.img", NULL);
        char *none = NULL;

        g_assert_true(g_file_set_contents(there, "data", -1, NULL));
        g_assert_cmpint(make((FileMake){ .size = MIB }, &none, "is there already"), ==, -EEXIST);
        g_assert_cmpint(make((FileMake){ .size = MIB, .numbered = true }, &path, NULL), ==, 0);
        g_assert_true(g_str_has_suffix(path, "/disk-2.img"));
        g_assert_true(g_file_get_contents(there, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "data");
        /* also not what a link names, and not where it leads nowhere */
        g_assert_cmpint(symlink("/nonexistent/x", link), ==, 0);
        g_assert_cmpint(make((FileMake){ .size = MIB, .name = "link" }, &none, NULL), ==, -EEXIST);
        expect_files(3);
}

static void test_refusals(void)
{
        static const struct {
                uint64_t size;
                const char *folder, *why;
                bool preallocate, overcommit;
                int r;
        } rows[] = {
                { 0, NULL, "multiple of 512", false, false, -EINVAL },
                { 1000, NULL, "multiple of 512", false, false, -EINVAL },
                { MIB, "srv", "absolute", false, false, -EINVAL },
                { MIB, "/etc", "the system itself", false, false, -EINVAL },
                { MIB, "/run", "the system itself", false, false, -EINVAL },
                { MIB, "/nonexistent", "No such", false, false, -ENOENT },
                { MIB, "/dev/null", "Not a directory", false, false, -ENOTDIR },
                { UINT64_C(1) << 60, NULL, "use force", false, false, -ENOSPC },
                { UINT64_C(1) << 60, NULL, "MiB are free", true, false, -ENOSPC },
                { UINT64_C(1) << 60, NULL, "MiB are free", true, true, -ENOSPC },
        };
        char *none = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
                g_assert_cmpint(make((FileMake){ .size = rows[i].size,
                                                 .folder = rows[i].folder,
                                                 .preallocate = rows[i].preallocate,
                                                 .overcommit = rows[i].overcommit },
                                     &none, rows[i].why),
                                ==, rows[i].r);
        expect_files(0);
}

static void test_overcommit(void)
{
        g_autofree char *path = NULL;

        g_assert_cmpint(
                make((FileMake){ .size = UINT64_C(1) << 42, .overcommit = true }, &path, NULL), ==,
                0);
        g_assert_cmpint(g_unlink(path), ==, 0);
}

static void test_dry_run(void)
{
        g_autofree char *path = NULL, *other = NULL, *folder = g_build_filename(dir, "new", NULL);

        g_assert_cmpint(make((FileMake){ .size = MIB, .dry_run = true }, &path, NULL), ==, 0);
        g_assert_true(g_str_has_suffix(path, "/disk.img"));
        g_assert_cmpint(make((FileMake){ .size = MIB,
                                         .dry_run = true,
                                         .folder = folder,
                                         .make_folder = true },
                             &other, NULL),
                        ==, 0);
        expect_files(0);
}

static void test_cancel(void)
{
        char *none = NULL;

        g_assert_cmpint(make((FileMake){ .size = MIB, .cancel = true }, &none, "given up"), ==,
                        -ECANCELED);
        g_assert_cmpint(make((FileMake){ .size = MIB, .preallocate = true, .cancel = true }, &none,
                             "given up"),
                        ==, -ECANCELED);
        expect_files(0);
}

/* The folder of the state directory is made when it is first needed, for nobody else. */
static void test_folder_is_made(void)
{
        g_autofree char *folder = g_build_filename(dir, "a", NULL), *path = NULL;
        struct stat st;

        g_assert_cmpint(
                make((FileMake){ .size = MIB, .folder = folder, .make_folder = true }, &path, NULL),
                ==, 0);
        g_assert_cmpint(stat(folder, &st), ==, 0);
        g_assert_cmpuint(st.st_mode, ==, S_IFDIR | 0700);
        g_assert_cmpint(g_unlink(path), ==, 0);
        g_assert_cmpint(g_rmdir(folder), ==, 0);
}

static void with_dir(gconstpointer data)
{
        void (*run)(void) = (void (*)(void))data;
        g_autoptr(GDir) d = NULL;
        const char *name;

        dir = g_dir_make_tmp("tgt-make-XXXXXX", NULL);
        g_assert_nonnull(dir);
        run();
        d = g_dir_open(dir, 0, NULL);
        while ((name = g_dir_read_name(d))) {
                g_autofree char *path = g_build_filename(dir, name, NULL);

                g_assert_cmpint(g_unlink(path), ==, 0);
        }
        g_assert_cmpint(g_rmdir(dir), ==, 0);
        g_free(dir);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
#define TEST(name, run) g_test_add_data_func("/make-file/" name, (gconstpointer)(run), with_dir)
        TEST("copy", test_copy);
        TEST("sparse-and-preallocated", test_sparse_and_preallocated);
        TEST("never-overwrites", test_never_overwrites);
        TEST("refusals", test_refusals);
        TEST("overcommit", test_overcommit);
        TEST("dry-run", test_dry_run);
        TEST("cancel", test_cancel);
        TEST("folder-is-made", test_folder_is_made);
        return g_test_run();
}
