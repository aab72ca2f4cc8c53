/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helpers.h"

#include <glib/gstdio.h>
#include <sys/stat.h>

/* The search path and includes, on real directories. */

#define A "iqn.2026-01.com.example:a"
#define B "iqn.2026-01.com.example:b"
#define C "iqn.2026-01.com.example:c"

typedef struct Dirs {
        char *root;
        ConfigPaths paths;
} Dirs;

static void dirs_make(Dirs *d)
{
        g_autofree char *etc = NULL;

        d->root = g_dir_make_tmp("tgt-config-XXXXXX", NULL);
        g_assert_nonnull(d->root);
        etc = g_build_filename(d->root, "etc", NULL);
        config_paths_default(&d->paths, etc, NULL, NULL);
        g_free(d->paths.run);
        g_free(d->paths.var);
        d->paths.run = g_build_filename(d->root, "run", NULL);
        d->paths.var = g_build_filename(d->root, "var", NULL);
        d->paths.usr = g_build_filename(d->root, "usr", NULL);
}

static void remove_tree(const char *path)
{
        GDir *dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
        const char *name;

        while (dir && (name = g_dir_read_name(dir))) {
                g_autofree char *child = g_build_filename(path, name, NULL);

                remove_tree(child);
        }
        if (dir)
                g_dir_close(dir);
        (void)g_remove(path);
}

static void dirs_clear(Dirs *d)
{
        remove_tree(d->root);
        g_free(d->root);
        config_paths_clear(&d->paths);
}

#define _cleanup_dirs_ __attribute__((cleanup(dirs_clear)))

/* path is below the root; its directories are made. */
static void put(const Dirs *d, const char *path, const char *text)
{
        g_autofree char *full = g_build_filename(d->root, path, NULL);
        g_autofree char *dir = g_path_get_dirname(full);

        g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
        g_assert_true(g_file_set_contents(full, text, -1, NULL));
}

static void put_link(const Dirs *d, const char *path, const char *to)
{
        g_autofree char *full = g_build_filename(d->root, path, NULL);
        g_autofree char *dir = g_path_get_dirname(full);

        g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
        g_assert_cmpint(symlink(to, full), ==, 0);
}

static void put_target(const Dirs *d, const char *path, const char *name, const char *body)
{
        g_autofree char *text = g_strdup_printf("<target %s>\n%s\n</target>\n", name, body);

        put(d, path, text);
}

static Loaded load_dirs(const Dirs *d)
{
        Loaded l = { 0 };

        g_assert_cmpint(config_load(&d->paths, NULL, &l.desired, &l.bad, &l.problems), ==, 0);
        return l;
}

/* Messages without the name of the temporary directory. */
static void assert_problems(const Dirs *d, const Loaded *l, const char *expected)
{
        g_autofree char *got = messages(l->problems);
        g_auto(GStrv) parts = NULL;
        g_autofree char *root = g_strdup_printf("%s/", d->root), *text = NULL;

        parts = g_strsplit(got, root, -1);
        text = g_strjoinv("", parts);
        g_assert_cmpstr(text, ==, expected);
}

static void test_defaults(void)
{
        ConfigPaths p;

        config_paths_default(&p, NULL, NULL, NULL);
        g_assert_cmpstr(p.targets_conf, ==, "/etc/tgt/targets.conf");
        g_assert_cmpstr(p.etc, ==, "/etc/tgt/targets.d");
        g_assert_cmpstr(p.run, ==, "/run/tgt/targets.d");
        g_assert_cmpstr(p.var, ==, "/var/lib/tgt/targets.d");
        g_assert_cmpstr(p.usr, ==, "/usr/lib/tgt/targets.d");
        config_paths_clear(&p);
        config_paths_default(&p, "/c", "/s", "/r");
        g_assert_cmpstr(p.etc, ==, "/c/targets.d");
        g_assert_cmpstr(p.var, ==, "/s/targets.d");
        g_assert_cmpstr(p.run, ==, "/r/targets.d");
        g_assert_null(p.usr);
        config_paths_clear(&p);
        config_paths_clear(&p);
}

static void test_empty(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        _cleanup_loaded_ Loaded l = { 0 };

        dirs_make(&d);
        l = load_dirs(&d); /* no directory is there at all */
        assert_problems(&d, &l, "");
        g_assert_cmpuint(g_hash_table_size(l.desired->targets), ==, 0);
}

/* Sorted by file name over all directories, targets.conf first; others than *.conf and hidden files
 * are nobody's. */
static void test_order(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        _cleanup_loaded_ Loaded l = { 0 };

        dirs_make(&d);
        put_target(&d, "etc/targets.conf", A, "backing-store /dev/0");
        put_target(&d, "usr/10-a.conf", A, "backing-store /dev/1");
        put_target(&d, "etc/targets.d/20-a.conf", A, "backing-store /dev/2");
        put_target(&d, "var/30-a.conf", A, "backing-store /dev/3");
        put_target(&d, "run/15-a.conf", A, "backing-store /dev/15");
        put_target(&d, "etc/targets.d/.40-a.conf", A, "bogus");
        put_target(&d, "etc/targets.d/50-a.conf~", A, "bogus");
        l = load_dirs(&d);
        assert_problems(&d, &l, "");
        assert_luns(&l, A, "1=/dev/0 2=/dev/1 3=/dev/15 4=/dev/2 5=/dev/3");
        g_assert_cmpint(target(&l, A)->persistence, ==, TARGET_FRAGMENT);
}

/* Of a name that is in several directories, the first counts; a link to /dev/null hides too. */
static void test_hiding(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        _cleanup_loaded_ Loaded l = { 0 };

        dirs_make(&d);
        put_target(&d, "usr/10-a.conf", A, "backing-store /dev/usr");
        put_target(&d, "var/10-a.conf", A, "backing-store /dev/var");
        put_target(&d, "etc/targets.d/10-a.conf", A, "backing-store /dev/etc");
        put_target(&d, "usr/20-b.conf", B, "backing-store /dev/b");
        put_link(&d, "run/20-b.conf", "/dev/null");
        put_target(&d, "var/30-c.conf", C, "backing-store /dev/c");
        put(&d, "etc/targets.d/30-c.conf", "");
        l = load_dirs(&d);
        assert_problems(&d, &l, "");
        assert_luns(&l, A, "1=/dev/etc");
        g_assert_cmpuint(g_hash_table_size(l.desired->targets), ==, 1);
}

/* What is given once: of another directory, the later file decides; of the same, it is a mistake.
 */
static void test_override(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        _cleanup_loaded_ Loaded l = { 0 };

        dirs_make(&d);
        put_target(&d, "usr/10-a.conf", A,
                   "<backing-store /dev/a>\nwrite-cache on\nmode_page 8:0:1\n</backing-store>\n"
                   "alias vendor");
        put_target(&d, "etc/targets.d/90-a.conf", A,
                   "<backing-store /dev/a>\nwrite-cache off\nlun 4\n</backing-store>\nalias mine");
        put_target(&d, "etc/targets.d/10-b.conf", B, "alias one");
        put_target(&d, "etc/targets.d/20-b.conf", B, "alias two");
        l = load_dirs(&d);
        assert_problems(&d, &l,
                        "etc/targets.d/20-b.conf:2: " B
                        ": alias: given twice; the first is at etc/targets.d/10-b.conf:2\n");
        assert_luns(&l, A, "4=/dev/a");
        g_assert_false(lun(&l, A, 4)->write_cache);
        g_assert_cmpuint(lun(&l, A, 4)->mode_pages->len, ==, 1);
        g_assert_cmpstr(target(&l, A)->alias, ==, "mine");
}

/* replace: what other directories say does not count, good or bad. The first directory wins. */
static void test_replace(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        _cleanup_loaded_ Loaded l = { 0 };
        const TargetSpec *t;

        dirs_make(&d);
        put_target(&d, "etc/targets.d/10-a.conf", A, "backing-store /dev/etc\nbogus_directive x");
        put_target(&d, "var/a.conf", A, "replace yes\nbacking-store /dev/var");
        put_target(&d, "run/b.conf", A,
                   "replace yes\nbacking-store /dev/run\n"
                   "initiator-name NONE");
        put_target(&d, "run/c.conf", A, "backing-store /dev/run2");
        l = load_dirs(&d);
        t = target(&l, A);
        g_assert_cmpuint(g_hash_table_size(l.bad), ==, 0);
        assert_luns(&l, A, "1=/dev/run 2=/dev/run2");
        g_assert_true(t->replace);
        g_assert_cmpint(t->persistence, ==, TARGET_RUNTIME);
        g_assert_true(t->access_given);
        g_assert_true(g_str_has_suffix(t->administrator.file, "etc/targets.d/10-a.conf"));
        g_assert_cmpuint(t->administrator.line, ==, 1);
}

static void test_masked(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        _cleanup_loaded_ Loaded l = { 0 };

        dirs_make(&d);
        put_target(&d, "etc/targets.d/10-a.conf", A, "backing-store /dev/etc");
        put_target(&d, "run/z.conf", A, "masked yes");
        put_target(&d, "var/b.conf", B, "masked yes");
        put_target(&d, "etc/targets.d/10-b.conf", B, "replace yes\nbacking-store /dev/b");
        l = load_dirs(&d);
        assert_problems(&d, &l, "");
        g_assert_false(has_target(&l, A));
        g_assert_false(config_is_bad(l.bad, A)); /* it is to go */
        assert_luns(&l, B, "1=/dev/b");          /* the administrator's word is the first */
}

static void test_persistence(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        _cleanup_loaded_ Loaded l = { 0 };

        dirs_make(&d);
        put_target(&d, "etc/targets.d/a.conf", A, "");
        put_target(&d, "var/a2.conf", A, "backing-store /dev/a");
        put_target(&d, "var/b.conf", B, "");
        put_target(&d, "run/c.conf", C, "");
        l = load_dirs(&d);
        g_assert_cmpint(target(&l, A)->persistence, ==, TARGET_FRAGMENT);
        g_assert_cmpint(target(&l, B)->persistence, ==, TARGET_SAVED);
        g_assert_cmpint(target(&l, C)->persistence, ==, TARGET_RUNTIME);
        g_assert_null(target(&l, C)->administrator.file);
}

/* A file that cannot be read hides nobody knows what. */
static void test_unreadable(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        _cleanup_loaded_ Loaded l = { 0 };
        g_autofree char *dir = NULL;

        dirs_make(&d);
        dir = g_build_filename(d.root, "etc/targets.d/dir.conf", NULL);
        g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
        put_target(&d, "etc/targets.d/a.conf", A, "");
        put_link(&d, "etc/targets.d/gone.conf", "/nonexistent/file");
        l = load_dirs(&d);
        g_assert_true(has_target(&l, A));
        g_assert_true(config_is_bad(l.bad, B));
        assert_problems(&d, &l,
                        "etc/targets.d/dir.conf: cannot be read: Is a "
                        "directory\n"
                        "etc/targets.d/gone.conf: cannot be read: No such "
                        "file or directory\n");
}

static void test_not_text(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        _cleanup_loaded_ Loaded l = { 0 };
        g_autofree char *path = NULL;

        dirs_make(&d);
        put(&d, "etc/targets.d/a.conf", "x");
        path = g_build_filename(d.root, "etc/targets.d/a.conf", NULL);
        g_assert_true(g_file_set_contents(path, "<target \0>", 10, NULL));
        l = load_dirs(&d);
        assert_problems(&d, &l, "etc/targets.d/a.conf: is not a text file\n");
        g_assert_true(config_is_bad(l.bad, A));
}

/* What only another can open is asked for, and only that. */
static int open_for_us(const char *path, int flags, void *userdata)
{
        GPtrArray *asked = userdata;

        g_assert_true(g_path_is_absolute(path));
        g_assert_null(strstr(path, ".."));
        g_ptr_array_add(asked, g_path_get_basename(path));
        return -EPERM;
}

static void test_opener(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        _cleanup_loaded_ Loaded l = { 0 };
        g_autoptr(GPtrArray) asked = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *path = NULL;

        dirs_make(&d);
        put(&d, "etc/targets.conf", "include ../etc/targets.d/b.conf\n");
        put_target(&d, "etc/targets.d/a.conf", A, "");
        put_target(&d, "etc/targets.d/b.conf", B, "");
        path = g_build_filename(d.root, "etc/targets.d/b.conf", NULL);
        g_assert_cmpint(chmod(path, 0), ==, 0);
        d.paths.open_path = open_for_us;
        d.paths.open_userdata = asked;
        /* root reads everything */
        g_assert_cmpint(chmod(d.root, 0755), ==, 0);
        g_assert_true(geteuid() != 0 || seteuid(65534) == 0);
        l = load_dirs(&d);
        g_assert_true(getuid() != 0 || seteuid(0) == 0);
        g_assert_cmpuint(asked->len, ==, 2);
        g_assert_cmpstr(asked->pdata[0], ==, "b.conf");
        g_assert_cmpstr(asked->pdata[1], ==, "b.conf");
        g_assert_true(has_target(&l, A) && config_is_bad(l.bad, B));
}

/* ---- includes -------------------------------------------------------------------------------- */

static void test_include(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        _cleanup_loaded_ Loaded l = { 0 };

        dirs_make(&d);
        put(&d, "etc/targets.conf",
            "include conf.d/*.conf\n"
            "Include nothing.d/*.conf\n"
            "include \"more dir\"\n"
            "IncludeOptional absent.conf\n"
            "<target " C ">\n include c.inc\n <backing-store /dev/n>\n  include lun.inc\n"
            " </backing-store>\n</target>\n");
        put_target(&d, "etc/conf.d/2.conf", A, "backing-store /dev/2");
        put_target(&d, "etc/conf.d/1.conf", A, "backing-store /dev/1");
        put(&d, "etc/conf.d/3.txt", "bogus x\n");
        put_target(&d, "etc/more dir/any.name", B, "backing-store /dev/b");
        put(&d, "etc/more dir/.hidden", "bogus x\n");
        put(&d, "etc/c.inc", "backing-store /dev/c\nlun 3\n"); /* lun: two stores */
        put(&d, "etc/lun.inc", "readonly 1\n");
        l = load_dirs(&d);
        assert_problems(&d, &l,
                        "etc/c.inc:2: " C ": lun: in a target block it needs exactly one "
                        "backing-store, not 2\n");
        assert_luns(&l, A, "1=/dev/1 2=/dev/2");
        assert_luns(&l, B, "1=/dev/b");
}

static void test_include_nested(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        _cleanup_loaded_ Loaded l = { 0 };

        dirs_make(&d);
        put(&d, "etc/targets.conf",
            "<target " A ">\n <backing-store /dev/n>\n  include lun.inc\n </backing-store>\n"
            "</target>\n");
        put(&d, "etc/lun.inc", "readonly 1\n");
        l = load_dirs(&d);
        assert_problems(&d, &l, "");
        g_assert_true(lun(&l, A, 1)->readonly);
}

/* An included file closes what it opens, and nothing else. */
static void test_include_unbalanced(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        _cleanup_loaded_ Loaded l = { 0 };

        dirs_make(&d);
        put(&d, "etc/targets.conf",
            "<target " A ">\ninclude x.inc\n</target>\n"
            "include y.inc\n<target " B ">\n</target>\n");
        put(&d, "etc/x.inc", "</target>\n<target " C ">\n</target>\n");
        put(&d, "etc/y.inc", "<target " C ">\nbacking-store /dev/c\n");
        l = load_dirs(&d);
        assert_problems(&d, &l,
                        "etc/x.inc:1: " A ": </target> of a block that another file opened\n"
                        "etc/x.inc:2: " A ": a target block within the block that includes this "
                        "file\n"
                        "etc/y.inc:1: " C ": the block is not closed with </target>\n");
        g_assert_true(has_target(&l, B));
        g_assert_true(config_is_bad(l.bad, A) && config_is_bad(l.bad, C));
        g_assert_false(config_is_bad(l.bad, B));
}

static void test_include_loop(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        _cleanup_loaded_ Loaded l = { 0 };

        dirs_make(&d);
        put(&d, "etc/targets.conf", "include targets.conf\ninclude a.inc\n");
        put(&d, "etc/a.inc", "include b.inc\n");
        put(&d, "etc/b.inc", "include a.inc\n<target " A ">\n</target>\n");
        l = load_dirs(&d);
        assert_problems(&d, &l,
                        "etc/targets.conf:1: warning: etc/targets.conf has been read before, and "
                        "is left out here\n"
                        "etc/b.inc:1: warning: etc/a.inc has been read before, and is left out "
                        "here\n");
        g_assert_true(has_target(&l, A));
}

static void test_include_depth(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        _cleanup_loaded_ Loaded l = { 0 };

        dirs_make(&d);
        put(&d, "etc/targets.conf", "include 0.inc\n");
        for (int i = 0; i < 40; i++) {
                g_autofree char *path = g_strdup_printf("etc/%d.inc", i);
                g_autofree char *text = g_strdup_printf("include %d.inc\n", i + 1);

                put(&d, path, text);
        }
        l = load_dirs(&d);
        assert_problems(&d, &l, "etc/15.inc:1: include: more than 16 files deep\n");
        g_assert_true(config_is_bad(l.bad, A));
}

/* A file that the search path has too is not read twice. */
static void test_include_again(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        _cleanup_loaded_ Loaded l = { 0 };

        dirs_make(&d);
        put(&d, "etc/targets.conf", "include targets.d/*.conf\n");
        put_target(&d, "etc/targets.d/a.conf", A, "backing-store /dev/a");
        l = load_dirs(&d);
        assert_problems(&d, &l,
                        "etc/targets.d/a.conf: warning: has been read "
                        "before, and is left out here\n");
        assert_luns(&l, A, "1=/dev/a");
}

/* Directories are read in order, found by a pattern or by name; one that cannot be read may hide
 * anything. */
static void test_include_directory(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        _cleanup_loaded_ Loaded l = { 0 };
        g_autofree char *closed = NULL;

        dirs_make(&d);
        put(&d, "etc/targets.conf", "include d*\ninclude closed\ninclude closed/*.conf\n");
        put_target(&d, "etc/dir/2", A, "backing-store /dev/2");
        put_target(&d, "etc/dir/1", A, "backing-store /dev/1");
        put_target(&d, "etc/dir/3", A, "backing-store /dev/3");
        put(&d, "etc/dir/sub/file", "bogus x\n");
        put(&d, "etc/closed/x.conf", "bogus x\n");
        closed = g_build_filename(d.root, "etc/closed", NULL);
        g_assert_cmpint(chmod(closed, 0), ==, 0);
        g_assert_cmpint(chmod(d.root, 0755), ==, 0);
        g_assert_true(geteuid() != 0 || seteuid(65534) == 0);
        l = load_dirs(&d);
        g_assert_true(getuid() != 0 || seteuid(0) == 0);
        g_assert_cmpint(chmod(closed, 0755), ==, 0);
        assert_luns(&l, A, "1=/dev/1 2=/dev/2 3=/dev/3");
        assert_problems(&d, &l,
                        "etc/targets.conf:2: include: \"etc/closed\": Permission denied\n"
                        "etc/targets.conf:3: include: \"etc/closed/*.conf\": cannot be searched\n");
        g_assert_true(config_is_bad(l.bad, B));
}

/* Two names of one file are one unit: what identifies it may be said twice. */
static void test_same_file(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        _cleanup_loaded_ Loaded l = { 0 };
        g_autofree char *one = NULL, *two = NULL, *three = NULL;

        dirs_make(&d);
        put(&d, "disk", "x");
        put(&d, "other", "x");
        put_link(&d, "link", "disk");
        one = g_strdup_printf("backing-store %s/disk\nscsi_id X", d.root);
        two = g_strdup_printf("backing-store %s/link\nscsi_id X", d.root);
        three = g_strdup_printf("backing-store %s/other\nscsi_id X", d.root);
        put_target(&d, "etc/targets.d/a.conf", A, one);
        put_target(&d, "etc/targets.d/b.conf", B, two);
        put_target(&d, "etc/targets.d/c.conf", C, three);
        l = load_dirs(&d);
        g_assert_true(has_target(&l, A) && has_target(&l, B) && !has_target(&l, C));
        g_assert_cmpuint(l.problems->len, ==, 1);
}

static void test_files(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        _cleanup_loaded_ Loaded l = { 0 };
        g_autofree char *one = NULL, *two = NULL;

        dirs_make(&d);
        put_target(&d, "one", A, "backing-store /dev/1");
        put_target(&d, "two", A, "backing-store /dev/2");
        one = g_build_filename(d.root, "one", NULL);
        two = g_build_filename(d.root, "two", NULL);
        g_assert_cmpint(config_load_files((const char *[]){ two, one, NULL }, NULL, &l.desired,
                                          &l.bad, &l.problems),
                        ==, 0);
        assert_luns(&l, A, "1=/dev/2 2=/dev/1");
}

/* Fragments in the folder above the one for fragments: a trap for who comes with his own folder. */
static void test_astray(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        Loaded l;

        dirs_make(&d);
        put(&d, "etc/notes.txt", "nothing of ours");
        l = load_dirs(&d);
        assert_problems(&d, &l, "");
        loaded_clear(&l);
        put_target(&d, "etc/two.conf", A, "backing-store /dev/1");
        l = load_dirs(&d);
        assert_problems(&d, &l,
                        "warning: etc/two.conf is not read: fragments belong into etc/targets.d\n");
        g_assert_false(has_target(&l, A));
        g_assert_cmpint(((Problem *)l.problems->pdata[0])->level, ==, PROBLEM_WARNING);
        loaded_clear(&l);
        put_target(&d, "etc/one.conf", B, "backing-store /dev/1");
        l = load_dirs(&d);
        assert_problems(
                &d, &l,
                "warning: etc/one.conf and 1 more there are not read: fragments belong into "
                "etc/targets.d\n");
        loaded_clear(&l);
        /* whoever has fragments in their place, or includes, knows what he does */
        put_target(&d, "etc/targets.d/three.conf", C, "backing-store /dev/1");
        l = load_dirs(&d);
        assert_problems(&d, &l, "");
        loaded_clear(&l);
        remove_tree(d.paths.etc);
        put(&d, "etc/targets.conf", "include t*o.conf\n");
        l = load_dirs(&d);
        assert_problems(&d, &l, "");
        loaded_clear(&l);
}

/* The search path itself cannot be read: nothing is known, and nothing is returned. */
static void test_no_path(void)
{
        _cleanup_dirs_ Dirs d = { 0 };
        Desired *desired = NULL;
        GHashTable *bad = NULL;
        GPtrArray *problems = NULL, *blocks = NULL;

        dirs_make(&d);
        put(&d, "etc/targets.d", "a file, no directory");
        g_assert_cmpint(config_load(&d.paths, NULL, &desired, &bad, &problems), ==, -ENOTDIR);
        g_assert_true(!desired && !bad && !problems);
        g_assert_cmpint(config_sources(&d.paths, A, false, &blocks, &problems), ==, -ENOTDIR);
        g_assert_true(!blocks && !problems);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/load/defaults", test_defaults);
        g_test_add_func("/load/empty", test_empty);
        g_test_add_func("/load/order", test_order);
        g_test_add_func("/load/hiding", test_hiding);
        g_test_add_func("/load/override", test_override);
        g_test_add_func("/load/replace", test_replace);
        g_test_add_func("/load/masked", test_masked);
        g_test_add_func("/load/persistence", test_persistence);
        g_test_add_func("/load/unreadable", test_unreadable);
        g_test_add_func("/load/not-text", test_not_text);
        g_test_add_func("/load/opener", test_opener);
        g_test_add_func("/load/include", test_include);
        g_test_add_func("/load/include-nested", test_include_nested);
        g_test_add_func("/load/include-unbalanced", test_include_unbalanced);
        g_test_add_func("/load/include-loop", test_include_loop);
        g_test_add_func("/load/include-depth", test_include_depth);
        g_test_add_func("/load/include-again", test_include_again);
        g_test_add_func("/load/include-directory", test_include_directory);
        g_test_add_func("/load/same-file", test_same_file);
        g_test_add_func("/load/files", test_files);
        g_test_add_func("/load/astray", test_astray);
        g_test_add_func("/load/no-path", test_no_path);
        return g_test_run();
}
