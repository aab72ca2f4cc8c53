/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/connection.h"
#include "ctl/format.h"
#include "ctl/model.h"
#include "ctl/offline.h"
#include "base/suggest.h"
#include "ctl/verb-functions.h"
#include "ctl/verb-list.h"

typedef enum Format {
        FORMAT_TEXT,
        FORMAT_NUMBER, /* "-" where it is not known */
        FORMAT_BYTES,  /* "-" for 0 */
        FORMAT_STATE,
        FORMAT_SINCE,
} Format;

/* One column of a list: which key of the model, under which title, drawn how. */
typedef struct ListColumn {
        const char *key;
        Format format;
        Column column;
} ListColumn;

static const ListColumn target_columns[] = {
        { "Name", FORMAT_TEXT, { "NAME", COLUMN_SHRINK | COLUMN_MIDDLE } },
        { "State", FORMAT_STATE, { "STATE", 0 } },
        { "NLogicalUnits", FORMAT_NUMBER, { "LUNS", COLUMN_RIGHT } },
        { "NSessions", FORMAT_NUMBER, { "SESSIONS", COLUMN_RIGHT } },
        { "Tid", FORMAT_NUMBER, { "TID", COLUMN_RIGHT } },
        { NULL },
};

static const ListColumn lun_columns[] = {
        { "Target", FORMAT_TEXT, { "TARGET", COLUMN_SHRINK | COLUMN_MIDDLE } },
        { "Lun", FORMAT_NUMBER, { "LUN", COLUMN_RIGHT } },
        { "Type", FORMAT_TEXT, { "TYPE", 0 } },
        { "StoreType", FORMAT_TEXT, { "STORE", 0 } },
        { "Size", FORMAT_BYTES, { "SIZE", COLUMN_RIGHT } },
        { "State", FORMAT_STATE, { "STATE", 0 } },
        { "Path", FORMAT_TEXT, { "PATH", COLUMN_SHRINK | COLUMN_MIDDLE } },
        { "Uuid", FORMAT_TEXT, { "UNIT", COLUMN_SHRINK } },
        { NULL },
};

static const ListColumn session_columns[] = {
        { "Id", FORMAT_NUMBER, { "ID", COLUMN_RIGHT } },
        { "Initiator", FORMAT_TEXT, { "INITIATOR", COLUMN_SHRINK | COLUMN_MIDDLE } },
        { "Peer", FORMAT_TEXT, { "PEER", COLUMN_SHRINK } },
        { "Target", FORMAT_TEXT, { "TARGET", COLUMN_SHRINK | COLUMN_MIDDLE } },
        { "Since", FORMAT_SINCE, { "SINCE", COLUMN_SHRINK } },
        { NULL },
};

static const ListColumn portal_columns[] = {
        { "Address", FORMAT_TEXT, { "ADDRESS", COLUMN_SHRINK } },
        { "Tag", FORMAT_NUMBER, { "TAG", COLUMN_RIGHT } },
        { "Source", FORMAT_TEXT, { "SOURCE", 0 } },
        { NULL },
};

static const ListColumn account_columns[] = {
        { "User", FORMAT_TEXT, { "USER", COLUMN_SHRINK } },
        { "Direction", FORMAT_TEXT, { "DIRECTION", 0 } },
        { "Target", FORMAT_TEXT, { "TARGET", COLUMN_SHRINK | COLUMN_MIDDLE } },
        { NULL },
};

static int load_sessions(Ctl *c, json_t **ret)
{
        return model_sessions(c, NULL, ret);
}

static int load_accounts(Ctl *c, json_t **ret)
{
        _cleanup_json_ json_t *pool = NULL;
        int code = model_account_pool(c, &pool);

        if (code == EXIT_CODE_OK)
                code = model_accounts(c, NULL, ret);
        if (code == EXIT_CODE_OK)
                (void)json_array_extend(*ret, pool);
        return code;
}

/* What can be listed. offline NULL: only a daemon knows. */
static const struct {
        const char *name, *noun;
        const ListColumn *columns;
        int (*load)(Ctl *c, json_t **ret);
        json_t *(*offline)(const Desired *d);
} lists[] = {
        { "targets", "target", target_columns, model_targets, offline_targets },
        { "luns", "LUN", lun_columns, model_luns, offline_luns },
        { "sessions", "session", session_columns, load_sessions, NULL },
        { "portals", "portal", portal_columns, model_portals, offline_portals },
        { "accounts", "account", account_columns, load_accounts, offline_accounts },
};

static void add_cell(Table *t, const json_t *row, const ListColumn *column, uint64_t now)
{
        const json_t *v = json_object_get(row, column->key);
        g_autofree char *text = NULL;
        Color color = COLOR_NONE;

        switch (column->format) {
        case FORMAT_TEXT:
                text = g_strdup(json_string_value(v));
                break;
        case FORMAT_NUMBER:
                if (json_is_integer(v))
                        text = g_strdup_printf("%lld", (long long)json_integer_value(v));
                break;
        case FORMAT_BYTES:
                if (json_integer_value(v) > 0)
                        text = format_bytes((uint64_t)json_integer_value(v));
                break;
        case FORMAT_STATE:
                text = g_strdup(json_string_value(v));
                color = state_color(text ? text : "");
                break;
        case FORMAT_SINCE:
                text = format_ago((uint64_t)json_integer_value(v), now);
                break;
        }
        table_add(t, text, color);
}

static Table *build_table(const json_t *list, const ListColumn *columns, Column *storage)
{
        uint64_t now = (uint64_t)g_get_real_time();
        const json_t *row;
        size_t i, n = 0;
        Table *t;

        for (; columns[n].key; n++)
                storage[n] = columns[n].column;
        t = table_new(storage, n);
        json_array_foreach (list, i, row)
                for (size_t k = 0; k < n; k++)
                        add_cell(t, row, &columns[k], now);
        return t;
}

static int show_list(Ctl *c, size_t which, const json_t *list)
{
        Column storage[16];
        _cleanup_(table_freep) Table *t = NULL;

        if (ctl_json(c))
                return ctl_show_json(c, list);
        t = build_table(list, lists[which].columns, storage);
        ctl_show_table(c, t, lists[which].noun);
        return EXIT_CODE_OK;
}

void format_list(Ctl *c, const char *name, const json_t *list, GString *to)
{
        Column storage[16];

        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                if (STREQ(lists[i].name, name)) {
                        _cleanup_(table_freep) Table *t =
                                build_table(list, lists[i].columns, storage);

                        table_format(t, &c->terminal, c->options.full, !c->options.no_legend, to);
                        return;
                }
}

static int list_offline(Ctl *c, size_t which)
{
        _cleanup_json_ json_t *list = NULL;
        Desired *d = NULL;

        if (!lists[which].offline)
                return ctl_need(c);
        offline_load(c, &d);
        if (d) {
                list = lists[which].offline(d);
                (void)show_list(c, which, list);
        }
        (void)desired_free(d);
        return EXIT_CODE_NOT_RUNNING;
}

static int unknown_list(Ctl *c, const char *what)
{
        const char *names[ELEMENTSOF(lists) + 1] = { NULL }, *near;

        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                names[i] = lists[i].name;
        near = suggest(what, names);
        if (near)
                return ctl_fail(c, EXIT_CODE_USAGE, "\"%s\" cannot be listed. Did you mean \"%s\"?",
                                what, near);
        return ctl_fail(
                c, EXIT_CODE_USAGE,
                "\"%s\" cannot be listed: targets, luns, sessions, portals and accounts can.",
                what);
}

int verb_list(Ctl *c, char **args)
{
        const char *what = args[0] ? args[0] : "targets";
        _cleanup_json_ json_t *list = NULL;
        size_t which = 0;
        int code;

        while (which < ELEMENTSOF(lists) && !STREQ(lists[which].name, what))
                which++;
        if (which == ELEMENTSOF(lists))
                return unknown_list(c, what);
        code = ctl_connect(c);
        if (code == EXIT_CODE_NOT_RUNNING)
                return list_offline(c, which);
        if (code != EXIT_CODE_OK)
                return ctl_need(c);
        code = lists[which].load(c, &list);
        return code == EXIT_CODE_OK ? show_list(c, which, list) : code;
}

int verb_sessions(Ctl *c, char **args)
{
        _cleanup_json_ json_t *list = NULL;
        g_autofree char *path = NULL;
        int code = args[0] ? model_resolve(c, args[0], NULL, &path) : EXIT_CODE_OK;

        if (code == EXIT_CODE_OK)
                code = model_sessions(c, path, &list);
        for (size_t i = 0; i < ELEMENTSOF(lists) && code == EXIT_CODE_OK; i++)
                if (STREQ(lists[i].name, "sessions"))
                        return show_list(c, i, list);
        return code;
}

int verb_account_list(Ctl *c, char **args)
{
        _cleanup_json_ json_t *list = NULL;
        int code = args[0] ? model_accounts(c, args, &list) : load_accounts(c, &list);

        for (size_t i = 0; i < ELEMENTSOF(lists) && code == EXIT_CODE_OK; i++)
                if (STREQ(lists[i].name, "accounts"))
                        return show_list(c, i, list);
        return code;
}
