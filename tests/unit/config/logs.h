/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "config/commit.h"

/* A directory, and a log of changes in it. */

static inline char *make_dir(void)
{
        char *dir = g_dir_make_tmp("tgt-persist-XXXXXX", NULL);

        g_assert_nonnull(dir);
        return dir;
}

static inline guint count_files(const char *dir)
{
        GDir *d = g_dir_open(dir, 0, NULL);
        guint n = 0;

        while (g_dir_read_name(d))
                n++;
        g_dir_close(d);
        return n;
}

static inline CommitLog *open_log(const char *dir, unsigned redone)
{
        g_autofree char *path = g_build_filename(dir, "changes", NULL);
        CommitLog *log;
        unsigned n;

        g_assert_cmpint(commit_log_open(path, true, &log, &n), ==, 0);
        g_assert_cmpuint(n, ==, redone);
        return log;
}

static inline int run_one(CommitLog *log, FileChange *change)
{
        g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)file_change_free);

        g_ptr_array_add(all, change);
        return commit_log_run(log, all);
}

static inline void put(GPtrArray *to, const char *dir, const char *name, const char *text)
{
        g_autofree char *path = g_build_filename(dir, name, NULL);

        g_ptr_array_add(to, file_change_new(path, g_strdup(text), text ? strlen(text) : 0));
}

/* text NULL: there is no such file. */
static inline void assert_file(const char *dir, const char *name, const char *text)
{
        g_autofree char *path = g_build_filename(dir, name, NULL), *found = NULL;

        (void)g_file_get_contents(path, &found, NULL, NULL);
        g_assert_cmpstr(found, ==, text);
}

static inline void remove_all(const char *dir)
{
        const char *argv[] = { "rm", "-r", dir, NULL };

        g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
                                   NULL, NULL, NULL));
}
