/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/build.h"

#include "config/lexer.h"
#include "config/problem.h"

#include "base/parse.h"

/* Setting the directives of one object: which were seen, and what came of it. */
typedef struct Build {
        const char *target;
        ConfigCheckParam *check;
        GPtrArray *problems;
        bool bad;
} Build;

/* Values are compared as meant: a difference in quotes is none. */
static bool same_value(const RawItem *a, const RawItem *b)
{
        g_autofree char *x = a->literal ? g_strdup(a->raw) : value_unquote(a->raw);
        g_autofree char *y = b->literal ? g_strdup(b->raw) : value_unquote(b->raw);

        return STREQ(x, y);
}

/* What may be given once: within a directory of the search path a second value is a mistake, of
 * another directory the later file decides. false: i is not to be set. */
static bool may_repeat(Build *b, const RawItem *before, const RawItem *i)
{
        g_autofree char *where = NULL;

        if (i->directive->many || before->layer != i->layer)
                return true;
        if (same_value(before, i))
                return false;
        where = origin_format(before->at);
        problem_error(b->problems, i->at, b->target, i->directive->name,
                      "given twice; the first is at %s", where);
        b->bad = true;
        return false;
}

static void set(Build *b, void *object, const RawItem *i)
{
        g_autofree char *value = i->literal ? g_strdup(i->raw) : value_unquote(i->raw);
        Setting s = { .directive = i->directive,
                      .raw = i->raw,
                      .literal = i->literal,
                      .value = value,
                      .object = object,
                      .at = i->at,
                      .check = b->check };
        int r = directive_set(&s);

        if (r < 0) {
                problem_error(b->problems, i->at, b->target, i->directive->name, "%s", s.text);
                b->bad = true;
        } else if (r > 0) {
                problem_warning(b->problems, i->at, b->target, i->directive->name, "%s", s.text);
        }
        explicit_bzero(value, strlen(value));
}

/* Sets those of items that stand in where; the stores are not among them. overrides: what is listed
 * here takes the place of what the object has, instead of adding to it. */
static void set_items(Build *b, void *object, const GPtrArray *items, unsigned where,
                      bool overrides)
{
        g_autofree const RawItem **seen = g_new0(const RawItem *, n_directives());

        for (guint k = 0; k < items->len; k++) {
                const RawItem *i = items->pdata[k];
                const RawItem **before = &seen[directive_index(i->directive)];

                if (!(i->directive->where & where) || directive_is_store(i->directive))
                        continue;
                if (*before && !may_repeat(b, *before, i))
                        continue;
                if (!*before && overrides && i->directive->many)
                        i->directive->type->clear(i->directive, object);
                *before = i;
                set(b, object, i);
        }
}

/* ---- LUNs ------------------------------------------------------------------------------------ */

/* A store of a target: the directives of all its blocks. */
typedef struct Store {
        const RawItem *item; /* the first */
        char *path;
        char *lun;        /* value of its directive lun, or NULL */
        GPtrArray *items; /* RawItem* of the nested blocks; borrowed */
} Store;

static void store_free(void *p)
{
        Store *s = p;

        g_free(s->path);
        g_free(s->lun);
        g_ptr_array_unref(s->items);
        g_free(s);
}

static char *nested_lun(const RawItem *store)
{
        for (guint k = 0; store->nested && k < store->nested->len; k++) {
                const RawItem *i = store->nested->pdata[k];

                if (STREQ(i->directive->name, "lun"))
                        return i->literal ? g_strdup(i->raw) : value_unquote(i->raw);
        }
        return NULL;
}

static void add_nested(Store *s, const RawItem *item, char *lun)
{
        if (!s->lun)
                s->lun = lun;
        else
                g_free(lun);
        for (guint k = 0; item->nested && k < item->nested->len; k++)
                g_ptr_array_add(s->items, item->nested->pdata[k]);
}

/* Stores of the same path are one, as in stgt, unless they name different LUNs. by_path has the
 * first of each path, and each of "LUN PATH". */
static void add_store(GPtrArray *stores, GHashTable *by_path, const RawItem *item)
{
        g_autofree char *path = item->literal ? g_strdup(item->raw) : value_unquote(item->raw);
        g_autofree char *key = NULL;
        char *lun = nested_lun(item);
        Store *s;

        key = g_strdup_printf("%s %s", lun ?: "", path);
        s = g_hash_table_lookup(by_path, key);
        if (!s)
                s = g_hash_table_lookup(by_path, path);
        if (s && (!lun || !s->lun || STREQ(lun, s->lun))) {
                if (lun && !s->lun)
                        g_hash_table_insert(by_path, TAKE_PTR(key), s);
                add_nested(s, item, lun);
                return;
        }
        s = g_new0(Store, 1);
        s->item = item;
        s->path = TAKE_PTR(path);
        s->items = g_ptr_array_new();
        add_nested(s, item, lun);
        g_ptr_array_add(stores, s);
        if (!g_hash_table_contains(by_path, s->path))
                g_hash_table_insert(by_path, g_strdup(s->path), s);
        if (s->lun)
                g_hash_table_insert(by_path, TAKE_PTR(key), s);
}

static GPtrArray *collect_stores(const GPtrArray *items)
{
        GPtrArray *stores = g_ptr_array_new_with_free_func(store_free);
        g_autoptr(GHashTable) by_path =
                g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

        for (guint k = 0; k < items->len; k++) {
                const RawItem *i = items->pdata[k];

                /* what is not supported has been reported */
                if (directive_is_store(i->directive) && i->directive->type)
                        add_store(stores, by_path, i);
        }
        return stores;
}

static void misplaced_lun(Build *b, const GPtrArray *items, guint n_stores)
{
        for (guint k = 0; k < items->len; k++) {
                const RawItem *i = items->pdata[k];

                if (!STREQ(i->directive->name, "lun"))
                        continue;
                problem_error(b->problems, i->at, b->target, "lun",
                              "in a target block it needs exactly one backing-store, not %u",
                              n_stores);
                b->bad = true;
                return;
        }
}

/* What a directive of the target block says of every LUN is set once, in a LUN that the others are
 * copies of. */
static void build_luns(Build *b, TargetSpec *t, const GPtrArray *items)
{
        g_autoptr(GPtrArray) stores = collect_stores(items);
        LunSpec *model = lun_spec_new();

        set_items(b, model, items, IN_LUN, false);
        if (model->lun_given && (stores->len > 1 || (stores->len == 0 && !b->bad)))
                misplaced_lun(b, items, stores->len);
        for (guint k = 0; k < stores->len; k++) {
                const Store *s = stores->pdata[k];
                LunSpec *l = lun_spec_dup(model);
                g_autofree char *path = TAKE_PTR(l->path);

                l->at = s->item->at;
                set(b, l, s->item);
                if (path) { /* the directive path, at target level */
                        g_free(l->path);
                        l->path = TAKE_PTR(path);
                }
                set_items(b, l, s->items, IN_LUN, true);
                g_ptr_array_add(t->luns, l);
        }
        lun_spec_free(model);
}

/* ---- targets --------------------------------------------------------------------------------- */

static bool block_says(const RawBlock *b, const char *directive)
{
        for (guint k = 0; k < b->items->len; k++) {
                const RawItem *i = b->items->pdata[k];
                g_autofree char *value = NULL;
                bool yes;

                if (!STREQ(i->directive->name, directive))
                        continue;
                value = i->literal ? g_strdup(i->raw) : value_unquote(i->raw);
                if (parse_bool(value, &yes) == 0 && yes)
                        return true;
        }
        return false;
}

bool block_replaces(const RawBlock *b)
{
        return block_says(b, "replace") || block_says(b, "masked");
}

Layer replacing_layer(const GPtrArray *blocks)
{
        Layer layer = N_LAYERS;

        for (guint k = 0; k < blocks->len; k++) {
                const RawBlock *b = blocks->pdata[k];

                if (b->layer < layer && block_replaces(b))
                        layer = b->layer;
        }
        return layer;
}

static TargetPersistence persistence(const GPtrArray *blocks)
{
        TargetPersistence p = TARGET_FRAGMENT;
        bool seen[N_LAYERS] = { false };

        for (guint k = 0; k < blocks->len; k++)
                seen[((const RawBlock *)blocks->pdata[k])->layer] = true;
        if (!seen[LAYER_ETC] && !seen[LAYER_USR])
                p = seen[LAYER_RUN] ? TARGET_RUNTIME : TARGET_SAVED;
        return p;
}

/* The blocks that count, and the items of all of them in order. */
static void select_blocks(const GPtrArray *all, GPtrArray *blocks, GPtrArray *items)
{
        Layer only = replacing_layer(all);

        for (guint k = 0; k < all->len; k++) {
                RawBlock *b = all->pdata[k];

                if (only != N_LAYERS && b->layer != only)
                        continue;
                g_ptr_array_add(blocks, b);
                for (guint j = 0; j < b->items->len; j++)
                        g_ptr_array_add(items, b->items->pdata[j]);
        }
}

static Origin administrator(const GPtrArray *all)
{
        for (guint k = 0; k < all->len; k++) {
                const RawBlock *b = all->pdata[k];

                if (b->layer == LAYER_ETC || b->layer == LAYER_USR)
                        return b->at;
        }
        return (Origin){ 0 };
}

TargetSpec *build_target(const GPtrArray *all, ConfigCheckParam *check, bool *ret_bad,
                         GPtrArray *problems)
{
        g_autoptr(GPtrArray) blocks = g_ptr_array_new();
        g_autoptr(GPtrArray) items = g_ptr_array_new();
        const RawBlock *first;
        TargetSpec *t;
        Build b;

        select_blocks(all, blocks, items);
        first = blocks->pdata[0];
        b = (Build){ .target = first->name, .check = check, .problems = problems };
        t = target_spec_new(first->name);
        t->at = first->at;
        t->administrator = administrator(all);
        t->access_given = false;
        t->persistence = persistence(blocks);
        for (guint k = 0; k < blocks->len; k++)
                b.bad |= ((const RawBlock *)blocks->pdata[k])->bad;
        set_items(&b, t, items, IN_TARGET, false);
        if (!t->masked)
                build_luns(&b, t, items);
        if (!b.bad && !t->masked && !config_verify_target(t, problems))
                b.bad = true;
        *ret_bad = b.bad;
        if (t->masked && !b.bad)
                t = target_spec_free(t);
        return t;
}

void build_globals(const GPtrArray *items, ConfigCheckParam *check, Desired *d, GPtrArray *problems)
{
        Build b = { .check = check, .problems = problems };

        set_items(&b, d, items, IN_GLOBAL, false);
}
