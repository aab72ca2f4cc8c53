/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/build.h"
#include "config/directives.h"
#include "config/lexer.h"
#include "config/problem.h"
#include "config/search.h"

/* Where each line of a target comes from, and what does not count: for people who wonder. */

static void line_free(gpointer p)
{
        SourceLine *l = p;

        if (l->text)
                explicit_bzero(l->text, strlen(l->text));
        g_free(l->text);
        g_free(l);
}

void source_block_free(SourceBlock *b)
{
        if (!b)
                return;
        g_ptr_array_unref(b->lines);
        g_free(b->target);
        g_free(b->ignored);
        g_free(b);
}

static void add_line(GPtrArray *to, Origin at, bool nested, char *text)
{
        SourceLine *l = g_new(SourceLine, 1);

        *l = (SourceLine){ at, nested, text };
        g_ptr_array_add(to, l);
}

static void add_item(const RawItem *i, bool nested, bool with_secrets, GPtrArray *to)
{
        const Directive *d = i->directive;

        if (i->nested) {
                add_line(to, i->at, nested, g_strdup_printf("<%s %s>", d->name, i->raw));
                for (guint k = 0; k < i->nested->len; k++)
                        add_item(i->nested->pdata[k], true, with_secrets, to);
                add_line(to, (Origin){ 0 }, nested, g_strdup_printf("</%s>", d->name));
        } else if (d->type && d->type->secret && !with_secrets) {
                g_auto(GStrv) words = value_split(i->raw);

                add_line(to, i->at, nested,
                         g_strdup_printf("%s %s ********", d->name,
                                         words && words[0] ? words[0] : ""));
                for (char **w = words; w && *w; w++)
                        explicit_bzero(*w, strlen(*w));
        } else {
                add_line(to, i->at, nested,
                         g_strconcat(d->name, *i->raw ? " " : NULL, i->raw, NULL));
        }
}

static SourceBlock *block_new(const RawBlock *raw, bool with_secrets, char *ignored)
{
        SourceBlock *b = g_new0(SourceBlock, 1);

        b->target = g_strdup(raw->name);
        b->at = raw->at;
        b->ignored = ignored;
        b->lines = g_ptr_array_new_with_free_func(line_free);
        for (guint i = 0; i < raw->items->len; i++)
                add_item(raw->items->pdata[i], false, with_secrets, b->lines);
        return b;
}

/* By its whole name, or by what stands behind its first ':'. */
static bool is_called(const RawBlock *b, const char *name)
{
        const char *colon = strchr(b->name, ':');

        return STREQ(b->name, name) || (colon && STREQ(colon + 1, name));
}

static const RawBlock *find_decider(const GPtrArray *blocks, Layer layer)
{
        for (guint i = 0; i < blocks->len; i++) {
                const RawBlock *b = blocks->pdata[i];

                if (b->layer == layer && block_replaces(b))
                        return b;
        }
        return NULL;
}

static void add_blocks(const Raw *raw, const char *name, bool with_secrets, GPtrArray *to)
{
        g_autoptr(GPtrArray) found = g_ptr_array_new();
        Layer only;

        for (guint i = 0; i < raw->blocks->len; i++)
                if (is_called(raw->blocks->pdata[i], name))
                        g_ptr_array_add(found, raw->blocks->pdata[i]);
        only = replacing_layer(found);
        for (guint i = 0; i < found->len; i++) {
                const RawBlock *b = found->pdata[i];
                const RawBlock *decider =
                        only != N_LAYERS && b->layer != only ? find_decider(found, only) : NULL;
                char *ignored = decider ? g_strdup_printf("%s:%u replaces or masks it",
                                                          decider->at.file, decider->at.line)
                                        : NULL;

                g_ptr_array_add(to, block_new(b, with_secrets, ignored));
        }
}

/* What a file says that another one of its name hides. */
static void add_hidden(const Fragment *f, const char *name, bool with_secrets, GPtrArray *to)
{
        g_autoptr(GHashTable) bad = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(GPtrArray) problems =
                g_ptr_array_new_with_free_func((GDestroyNotify)problem_free);
        Raw raw;

        if (fragment_is_mask(f->path))
                return;
        raw_init(&raw, bad, problems);
        raw_read_file(&raw, f->path, f->layer);
        for (guint i = 0; i < raw.blocks->len; i++) {
                const RawBlock *b = raw.blocks->pdata[i];

                if (is_called(b, name))
                        g_ptr_array_add(
                                to, block_new(b, with_secrets,
                                              g_strdup_printf(
                                                      "%s %s it", f->hidden_by,
                                                      fragment_is_mask(f->hidden_by)
                                                              ? "masks"
                                                              : "has the same name and hides")));
        }
        raw_clear(&raw);
}

int config_sources(const ConfigPaths *paths, const char *name, bool with_secrets, GPtrArray **ret,
                   GPtrArray **ret_problems)
{
        g_autoptr(GPtrArray) hidden = g_ptr_array_new_with_free_func(fragment_free);
        g_autoptr(GHashTable) bad = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(GPtrArray) problems = problems_new();
        GPtrArray *blocks;
        Raw raw;
        int r;

        raw_init(&raw, bad, problems);
        r = search_path_read(&raw, paths, hidden);
        if (r >= 0) {
                blocks = g_ptr_array_new_with_free_func((GDestroyNotify)source_block_free);
                add_blocks(&raw, name, with_secrets, blocks);
                for (guint i = 0; i < hidden->len; i++)
                        add_hidden(hidden->pdata[i], name, with_secrets, blocks);
                *ret = blocks;
                *ret_problems = g_steal_pointer(&problems);
        }
        raw_clear(&raw);
        return r;
}
