/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config.h"

#include "config/build.h"
#include "config/problem.h"
#include "config/search.h"
#include "config/verify.h"

/* The search path, and from raw blocks to what is desired. */

void config_paths_default(ConfigPaths *ret, const char *config_dir, const char *state_dir,
                          const char *runtime_dir)
{
        *ret = (ConfigPaths){
                .targets_conf = g_build_filename(config_dir ?: "/etc/tgt", "targets.conf", NULL),
                .etc = g_build_filename(config_dir ?: "/etc/tgt", "targets.d", NULL),
                .run = g_build_filename(runtime_dir ?: "/run/tgt", "targets.d", NULL),
                .var = g_build_filename(state_dir ?: "/var/lib/tgt", "targets.d", NULL),
                /* whoever names a directory of configuration wants that, and no vendor's */
                .usr = config_dir ? NULL : g_strdup("/usr/lib/tgt/targets.d"),
        };
}

void config_paths_clear(ConfigPaths *p)
{
        g_free(p->targets_conf);
        g_free(p->etc);
        g_free(p->run);
        g_free(p->var);
        g_free(p->usr);
        *p = (ConfigPaths){ 0 };
}

/* ---- from raw to desired --------------------------------------------------------------------- */

static void unref_array(void *a)
{
        g_ptr_array_unref(a);
}

/* The blocks of each name, in the order in which the names first come: GPtrArray of GPtrArray. */
static GPtrArray *group_blocks(const Raw *raw)
{
        g_autoptr(GHashTable) by_name = g_hash_table_new(g_str_hash, g_str_equal);
        GPtrArray *groups = g_ptr_array_new_with_free_func(unref_array);

        for (guint i = 0; i < raw->blocks->len; i++) {
                RawBlock *b = raw->blocks->pdata[i];
                GPtrArray *group = g_hash_table_lookup(by_name, b->name);

                if (!group) {
                        group = g_ptr_array_new();
                        g_ptr_array_add(groups, group);
                        g_hash_table_insert(by_name, b->name, group);
                }
                g_ptr_array_add(group, b);
        }
        return groups;
}

/* masked: gets the names that are; or NULL. */
static Desired *make_desired(const Raw *raw, ConfigCheckParam *check, GHashTable *masked)
{
        g_autoptr(GPtrArray) groups = group_blocks(raw);
        g_autoptr(GPtrArray) targets = g_ptr_array_new();
        Desired *d = desired_new();

        build_globals(raw->globals, check, d, raw->problems);
        (void)verify_globals(d, raw->problems);
        for (guint i = 0; i < groups->len; i++) {
                bool is_bad = false;
                TargetSpec *t = build_target(groups->pdata[i], check, &is_bad, raw->problems);

                if (is_bad) {
                        g_hash_table_add(raw->bad, g_strdup(t->name));
                        target_spec_free(t);
                } else if (t) {
                        g_ptr_array_add(targets, t);
                } else if (masked) {
                        const GPtrArray *group = groups->pdata[i];

                        g_hash_table_add(masked, g_strdup(((RawBlock *)group->pdata[0])->name));
                }
        }
        (void)verify_together(targets, raw->bad, raw->problems);
        for (guint i = 0; i < targets->len; i++) {
                TargetSpec *t = targets->pdata[i];

                if (g_hash_table_contains(raw->bad, t->name))
                        target_spec_free(t);
                else
                        desired_put(d, t);
        }
        return d;
}

bool config_is_bad(GHashTable *bad, const char *name)
{
        return g_hash_table_contains(bad, name) || g_hash_table_contains(bad, "*");
}

/* What the three ways of loading share: they differ in how raw is filled. */
typedef struct Load {
        Raw raw;
        GHashTable *bad, *masked; /* masked: or NULL */
        GPtrArray *problems;
} Load;

static void load_begin(Load *l)
{
        l->masked = NULL;
        l->bad = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        l->problems = problems_new();
        raw_init(&l->raw, l->bad, l->problems);
}

/* Problems are found while reading, then block by block, then between blocks: people read them from
 * top to bottom, file by file in the order of reading. */
typedef struct Ranked {
        Problem *problem;
        guint file, index;
} Ranked;

static int compare_ranked(const void *a, const void *b)
{
        const Ranked *p = a, *q = b;

        if (p->file != q->file)
                return p->file < q->file ? -1 : 1;
        if (p->problem->at.line != q->problem->at.line)
                return p->problem->at.line < q->problem->at.line ? -1 : 1;
        return p->index < q->index ? -1 : p->index > q->index;
}

static void sort_problems(GPtrArray *problems)
{
        g_autofree Ranked *ranked = g_new(Ranked, problems->len);
        g_autoptr(GHashTable) files = g_hash_table_new(NULL, NULL); /* names are interned */

        for (guint i = 0; i < problems->len; i++) {
                Problem *p = problems->pdata[i];
                void *file = (void *)p->at.file;

                if (!g_hash_table_contains(files, file))
                        g_hash_table_insert(files, file,
                                            GUINT_TO_POINTER(g_hash_table_size(files)));
                ranked[i] = (Ranked){ .problem = p,
                                      .file = GPOINTER_TO_UINT(g_hash_table_lookup(files, file)),
                                      .index = i };
        }
        if (problems->len > 0)
                qsort(ranked, problems->len, sizeof(*ranked), compare_ranked);
        for (guint i = 0; i < problems->len; i++)
                problems->pdata[i] = ranked[i].problem;
}

static int load_end(Load *l, int r, ConfigCheckParam *check, Desired **ret, GHashTable **ret_bad,
                    GPtrArray **ret_problems)
{
        if (r < 0) {
                g_hash_table_unref(l->bad);
                g_ptr_array_unref(l->problems);
        } else {
                *ret = make_desired(&l->raw, check, l->masked);
                sort_problems(l->problems);
                *ret_bad = l->bad;
                *ret_problems = l->problems;
        }
        raw_clear(&l->raw);
        return r;
}

int config_load(const ConfigPaths *paths, ConfigCheckParam *check, Desired **ret,
                GHashTable **ret_bad, GPtrArray **ret_problems)
{
        Load l;

        load_begin(&l);
        return load_end(&l, search_path_read(&l.raw, paths, NULL), check, ret, ret_bad,
                        ret_problems);
}

int config_load_files(const char *const *files, ConfigCheckParam *check, Desired **ret,
                      GHashTable **ret_bad, GPtrArray **ret_problems)
{
        Load l;

        load_begin(&l);
        for (; *files; files++)
                raw_read_file(&l.raw, *files, LAYER_ETC);
        return load_end(&l, 0, check, ret, ret_bad, ret_problems);
}

int config_load_text(const char *text, const char *file, ConfigCheckParam *check, Desired **ret,
                     GHashTable **ret_bad, GPtrArray **ret_problems)
{
        Load l;

        load_begin(&l);
        raw_read_text(&l.raw, text, strlen(text), file, LAYER_ETC);
        return load_end(&l, 0, check, ret, ret_bad, ret_problems);
}

int config_load_texts(const ConfigText *texts, size_t n, ConfigCheckParam *check, Desired **ret,
                      GHashTable **ret_masked, GHashTable **ret_bad, GPtrArray **ret_problems)
{
        Load l;

        load_begin(&l);
        l.masked = *ret_masked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        for (size_t i = 0; i < n; i++)
                raw_read_text(&l.raw, texts[i].text, strlen(texts[i].text), texts[i].name,
                              LAYER_ETC);
        return load_end(&l, 0, check, ret, ret_bad, ret_problems);
}
