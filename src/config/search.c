/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/search.h"

#include "config/problem.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

void fragment_free(gpointer p)
{
        Fragment *f = p;

        g_free(f->name);
        g_free(f->path);
        g_free(f->hidden_by);
        g_free(f);
}

static int compare_fragments(const void *a, const void *b)
{
        const Fragment *p = *(Fragment *const *)a, *q = *(Fragment *const *)b;

        return strcmp(p->name, q->name);
}

/* names: those of directories before this one (name -> path), which hide the same names here. skip:
 * further names that do not count here; or NULL. */
static int list_directory(const char *path, Layer layer, GHashTable *names, GHashTable *skip,
                          GPtrArray *fragments, GPtrArray *hidden)
{
        const struct dirent *entry;
        DIR *dir = opendir(path);

        if (!dir)
                return errno == ENOENT ? 0 : -errno;
        while ((entry = readdir(dir))) {
                const char *name = entry->d_name, *by = g_hash_table_lookup(names, name);
                Fragment *f;

                if (name[0] == '.' || !g_str_has_suffix(name, ".conf") || (by && !hidden) ||
                    (skip && g_hash_table_contains(skip, name)))
                        continue;
                f = g_new0(Fragment, 1);
                f->name = g_strdup(name);
                f->path = g_build_filename(path, name, NULL);
                f->layer = layer;
                f->hidden_by = g_strdup(by);
                if (by) {
                        g_ptr_array_add(hidden, f);
                        continue;
                }
                g_hash_table_insert(names, f->name, f->path);
                g_ptr_array_add(fragments, f);
        }
        (void)closedir(dir);
        return 0;
}

bool fragment_is_mask(const char *path)
{
        struct stat st;

        if (stat(path, &st) < 0)
                return false;
        return (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) ||
               (S_ISREG(st.st_mode) && st.st_size == 0);
}

static bool has_fragments(const GPtrArray *fragments, Layer layer)
{
        for (guint i = 0; i < fragments->len; i++)
                if (((const Fragment *)fragments->pdata[i])->layer == layer)
                        return true;
        return false;
}

/* The first of the files *.conf in a folder, but for what is read there; how many there are. */
static guint find_astray(const char *folder, const char *read, char **ret)
{
        GDir *dir = g_dir_open(folder, 0, NULL);
        const char *name;
        guint n = 0;

        while (dir && (name = g_dir_read_name(dir))) {
                g_autofree char *path = g_build_filename(folder, name, NULL);

                if (name[0] == '.' || !g_str_has_suffix(name, ".conf") ||
                    g_strcmp0(path, read) == 0)
                        continue;
                n++;
                if (!*ret || strcmp(path, *ret) < 0) {
                        g_free(*ret);
                        *ret = TAKE_PTR(path);
                }
        }
        if (dir)
                g_dir_close(dir);
        return n;
}

/* Fragments beside the folder for fragments: who puts them there waits in vain for his targets. */
static void warn_astray(Raw *raw, const ConfigPaths *paths)
{
        g_autofree char *folder = g_path_get_dirname(paths->etc), *first = NULL;
        guint n = find_astray(folder, paths->targets_conf, &first);

        if (n == 1)
                problem_warning(raw->problems, (Origin){ 0 }, NULL, NULL,
                                "%s is not read: fragments belong into %s", first, paths->etc);
        else if (n > 1)
                problem_warning(raw->problems, (Origin){ 0 }, NULL, NULL,
                                "%s and %u more there are not read: fragments belong into %s",
                                first, n - 1, paths->etc);
}

int search_path_read(Raw *raw, const ConfigPaths *paths, GPtrArray *hidden)
{
        const char *const dirs[N_LAYERS] = { [LAYER_ETC] = paths->etc,
                                             [LAYER_RUN] = paths->run,
                                             [LAYER_VAR] = paths->var,
                                             [LAYER_USR] = paths->usr };
        g_autoptr(GPtrArray) fragments = g_ptr_array_new_with_free_func(fragment_free);
        g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
        bool has_conf;
        struct stat st;

        raw->open_path = paths->open_path;
        raw->open_userdata = paths->open_userdata;
        for (int layer = 0; layer < N_LAYERS; layer++) {
                GHashTable *skip = layer == LAYER_RUN ? paths->run_hidden : NULL;
                int r = dirs[layer] ? list_directory(dirs[layer], (Layer)layer, names, skip,
                                                     fragments, hidden)
                                    : 0;
                if (r < 0)
                        return r;
        }
        has_conf = paths->targets_conf && (stat(paths->targets_conf, &st) == 0 || errno != ENOENT);
        if (has_conf)
                raw_read_file(raw, paths->targets_conf, LAYER_ETC);
        else if (paths->etc && !has_fragments(fragments, LAYER_ETC))
                warn_astray(raw, paths);
        g_ptr_array_sort(fragments, compare_fragments);
        for (guint i = 0; i < fragments->len; i++) {
                const Fragment *f = fragments->pdata[i];

                if (!fragment_is_mask(f->path))
                        raw_read_file(raw, f->path, f->layer);
        }
        return 0;
}
