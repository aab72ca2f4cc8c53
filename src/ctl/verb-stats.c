/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>

#include "base/parse.h"
#include "ctl/connection.h"
#include "ctl/format.h"
#include "ctl/model.h"
#include "ctl/statistics.h"
#include "ctl/verb-functions.h"

/* Whose statistics are asked for: everything, a target, or one LUN of it. */
typedef struct Scope {
        char *target; /* NULL: all */
        bool one;
        uint32_t lun;
} Scope;

static int scope_parse(Ctl *c, const char *arg, Scope *ret)
{
        const char *slash = arg ? strrchr(arg, '/') : NULL;
        g_autofree char *name = NULL;

        *ret = (Scope){ 0 };
        if (!arg)
                return EXIT_CODE_OK;
        ret->one = slash && parse_u32(slash + 1, 0, 16383, &ret->lun) >= 0;
        if (slash && !ret->one)
                return ctl_fail(c, EXIT_CODE_USAGE,
                                "\"%s\" is not TARGET/LUN: a LUN is a number from 0 to 16383.",
                                arg);
        name = ret->one ? g_strndup(arg, (size_t)(slash - arg)) : g_strdup(arg);
        return model_resolve(c, name, &ret->target, NULL);
}

static bool scope_has(const Scope *s, const json_t *target_and_lun)
{
        return (!s->target || STREQ(json_text(target_and_lun, "Target"), s->target)) &&
               (!s->one || json_number(target_and_lun, "Lun") == s->lun);
}

static bool scope_has_unit(const Scope *s, const json_t *unit)
{
        const json_t *mapping;
        size_t i;

        json_array_foreach (json_object_get(unit, "Mappings"), i, mapping)
                if (scope_has(s, mapping))
                        return true;
        return !s->target;
}

static bool scope_has_nexus(const Scope *s, const json_t *nexus)
{
        return scope_has(s, nexus);
}

static bool scope_has_session(const Scope *s, const json_t *session)
{
        return !s->target || STREQ(json_text(session, "Target"), s->target);
}

static bool scope_has_worker(const Scope *s, const json_t *worker)
{
        return !s->target;
}

/* ---- lists ---- */

typedef enum List { LIST_UNITS, LIST_NEXUSES, LIST_SESSIONS, LIST_WORKERS } List;

static const struct {
        const char *key;
        int (*load)(Ctl *c, json_t **ret);
        bool (*has)(const Scope *s, const json_t *row);
} lists[] = {
        [LIST_UNITS] = { "LogicalUnits", statistics_units, scope_has_unit },
        [LIST_NEXUSES] = { "Nexuses", statistics_nexuses, scope_has_nexus },
        [LIST_SESSIONS] = { "Sessions", statistics_sessions, scope_has_session },
        [LIST_WORKERS] = { "Workers", statistics_workers, scope_has_worker },
};

static int load(Ctl *c, const Scope *scope, List which, json_t **ret)
{
        _cleanup_json_ json_t *list = NULL;
        json_t *row;
        size_t i;
        int code = lists[which].load(c, &list);

        if (code != EXIT_CODE_OK)
                return code;
        *ret = json_array();
        json_array_foreach (list, i, row)
                if (lists[which].has(scope, row))
                        (void)json_array_append(*ret, row);
        return EXIT_CODE_OK;
}

/* ---- JSON ---- */

static json_int_t bounded(uint64_t n)
{
        return (json_int_t)min_u64(n, INT64_MAX);
}

/* What people would calculate first. */
static void add_quantiles(json_t *row, const char *name)
{
        json_t *times = json_object_get(json_object_get(row, "Latency"), name);
        TimeHistogram h;

        if (!times)
                return;
        statistic_times(row, name, &h);
        (void)json_object_set_new(times, "Count", json_integer(bounded(times_count(&h))));
        (void)json_object_set_new(times, "P50", json_integer(bounded(times_quantile(&h, 500))));
        (void)json_object_set_new(times, "P99", json_integer(bounded(times_quantile(&h, 990))));
        (void)json_object_set_new(times, "P999", json_integer(bounded(times_quantile(&h, 999))));
}

static int show_json(Ctl *c, const Scope *scope)
{
        _cleanup_json_ json_t *all = json_object();
        json_t *row;
        size_t k;

        for (List i = 0; i < ELEMENTSOF(lists); i++) {
                json_t *list = NULL;
                int code = load(c, scope, i, &list);

                if (code != EXIT_CODE_OK)
                        return code;
                json_array_foreach (list, k, row) {
                        add_quantiles(row, "read");
                        add_quantiles(row, "write");
                }
                (void)json_object_set_new(all, lists[i].key, list);
        }
        return ctl_show_json(c, all);
}

/* ---- tables ---- */

static const Column lun_columns[] = {
        { "TARGET", COLUMN_SHRINK | COLUMN_MIDDLE },
        { "LUN", COLUMN_RIGHT },
        { "READS", COLUMN_RIGHT },
        { "READ", COLUMN_RIGHT },
        { "P50", COLUMN_RIGHT },
        { "P99", COLUMN_RIGHT },
        { "P99.9", COLUMN_RIGHT },
        { "WRITES", COLUMN_RIGHT },
        { "WRITTEN", COLUMN_RIGHT },
        { "P50", COLUMN_RIGHT },
        { "P99", COLUMN_RIGHT },
        { "P99.9", COLUMN_RIGHT },
        { "ERRORS", COLUMN_RIGHT },
        { "QUEUE", COLUMN_RIGHT },
};

static const Column session_columns[] = {
        { "ID", COLUMN_RIGHT },
        { "TARGET", COLUMN_SHRINK | COLUMN_MIDDLE },
        { "INITIATOR", COLUMN_SHRINK | COLUMN_MIDDLE },
        { "COMMANDS", COLUMN_RIGHT },
        { "RECEIVED", COLUMN_RIGHT },
        { "SENT", COLUMN_RIGHT },
        { "READ P50", COLUMN_RIGHT },
        { "P99", COLUMN_RIGHT },
        { "P99.9", COLUMN_RIGHT },
        { "WRITE P50", COLUMN_RIGHT },
        { "P99", COLUMN_RIGHT },
        { "P99.9", COLUMN_RIGHT },
};

static const Column worker_columns[] = {
        { "WORKER", COLUMN_RIGHT },    { "COMMANDS", COLUMN_RIGHT }, { "ERRORS", COLUMN_RIGHT },
        { "RECEIVED", COLUMN_RIGHT },  { "SENT", COLUMN_RIGHT },     { "BUSY", COLUMN_RIGHT },
        { "READ P50", COLUMN_RIGHT },  { "P99", COLUMN_RIGHT },      { "P99.9", COLUMN_RIGHT },
        { "WRITE P50", COLUMN_RIGHT }, { "P99", COLUMN_RIGHT },      { "P99.9", COLUMN_RIGHT },
};

static void add_number(Table *t, uint64_t n, Color color)
{
        g_autofree char *text = g_strdup_printf("%" PRIu64, n);

        table_add(t, text, n > 0 ? color : COLOR_NONE);
}

static void add_bytes(Table *t, uint64_t n)
{
        g_autofree char *text = format_bytes(n);

        table_add(t, text, COLOR_NONE);
}

static void add_times(Table *t, const json_t *row, const char *name)
{
        static const unsigned quantiles[] = { 500, 990, 999 };
        TimeHistogram h;

        statistic_times(row, name, &h);
        for (size_t i = 0; i < ELEMENTSOF(quantiles); i++) {
                uint64_t ns = times_quantile(&h, quantiles[i]);
                g_autofree char *text = ns > 0 ? format_time(ns) : NULL;

                table_add(t, text, COLOR_NONE);
        }
}

static void add_row(Table *t, const json_t *unit, const json_t *mapping)
{
        table_add(t, json_text(mapping, "Target"), COLOR_NONE);
        add_number(t, (uint64_t)json_number(mapping, "Lun"), COLOR_NONE);
        add_number(t, statistic(unit, "reads"), COLOR_NONE);
        add_bytes(t, statistic(unit, "read-bytes"));
        add_times(t, unit, "read");
        add_number(t, statistic(unit, "writes"), COLOR_NONE);
        add_bytes(t, statistic(unit, "write-bytes"));
        add_times(t, unit, "write");
        add_number(t, statistic(unit, "errors"), COLOR_YELLOW);
        add_number(t, statistic(unit, "in-flight"), COLOR_NONE);
}

typedef struct Row {
        const json_t *unit, *mapping;
} Row;

static int compare_rows(gconstpointer a, gconstpointer b)
{
        const json_t *x = ((const Row *)a)->mapping, *y = ((const Row *)b)->mapping;
        int r = strcmp(json_text(x, "Target"), json_text(y, "Target"));

        return r != 0 ? r : json_number(x, "Lun") < json_number(y, "Lun") ? -1 : 1;
}

static int show_luns(Ctl *c, const Scope *scope, Table *t)
{
        _cleanup_json_ json_t *units = NULL;
        g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(Row));
        json_t *unit, *mapping;
        size_t i, k;
        int code = load(c, scope, LIST_UNITS, &units);

        json_array_foreach (units, i, unit)
                json_array_foreach (json_object_get(unit, "Mappings"), k, mapping) {
                        Row row = { unit, mapping };

                        if (scope_has(scope, mapping))
                                g_array_append_val(rows, row);
                }
        g_array_sort(rows, compare_rows);
        for (guint n = 0; n < rows->len; n++)
                add_row(t, g_array_index(rows, Row, n).unit, g_array_index(rows, Row, n).mapping);
        return code;
}

static int show_sessions(Ctl *c, const Scope *scope, Table *t)
{
        _cleanup_json_ json_t *sessions = NULL;
        const json_t *s;
        size_t i;
        int code = load(c, scope, LIST_SESSIONS, &sessions);

        json_array_foreach (sessions, i, s) {
                add_number(t, (uint64_t)json_number(s, "Id"), COLOR_NONE);
                table_add(t, json_text(s, "Target"), COLOR_NONE);
                table_add(t, json_text(s, "Initiator"), COLOR_NONE);
                add_number(t, statistic(s, "commands"), COLOR_NONE);
                add_bytes(t, statistic(s, "rx-bytes"));
                add_bytes(t, statistic(s, "tx-bytes"));
                add_times(t, s, "read");
                add_times(t, s, "write");
        }
        return code;
}

static int show_workers(Ctl *c, const Scope *scope, Table *t)
{
        _cleanup_json_ json_t *workers = NULL;
        const json_t *w;
        size_t i;
        int code = load(c, scope, LIST_WORKERS, &workers);

        json_array_foreach (workers, i, w) {
                g_autofree char *busy = format_time(statistic(w, "busy-usec") * NSEC_PER_USEC);

                add_number(t, (uint64_t)json_number(w, "Worker"), COLOR_NONE);
                add_number(t, statistic(w, "commands"), COLOR_NONE);
                add_number(t, statistic(w, "errors"), COLOR_YELLOW);
                add_bytes(t, statistic(w, "rx-bytes"));
                add_bytes(t, statistic(w, "tx-bytes"));
                table_add(t, busy, COLOR_NONE);
                add_times(t, w, "read");
                add_times(t, w, "write");
        }
        return code;
}

static const struct {
        const char *name, *what;
        bool of_all; /* no target has them */
        const Column *columns;
        size_t n_columns;
        int (*show)(Ctl *c, const Scope *scope, Table *t);
} views[] = {
        { "lun", "LUN", false, lun_columns, ELEMENTSOF(lun_columns), show_luns },
        { "session", "session", false, session_columns, ELEMENTSOF(session_columns),
          show_sessions },
        { "worker", "worker", true, worker_columns, ELEMENTSOF(worker_columns), show_workers },
};

static int show_table(Ctl *c, const Scope *scope, size_t view)
{
        _cleanup_(table_freep) Table *t = table_new(views[view].columns, views[view].n_columns);
        int code = views[view].show(c, scope, t);

        if (code == EXIT_CODE_OK)
                ctl_show_table(c, t, views[view].what);
        return code;
}

static int find_view(Ctl *c, const Scope *scope, size_t *ret)
{
        const char *by = c->options.by ? c->options.by : views[0].name;

        for (*ret = 0; *ret < ELEMENTSOF(views) && !STREQ(views[*ret].name, by);)
                ++*ret;
        if (*ret == ELEMENTSOF(views))
                return ctl_fail(c, EXIT_CODE_USAGE, "--by=%s: expected lun, session or worker.",
                                by);
        if (scope->one && *ret > 0)
                return ctl_fail(
                        c, EXIT_CODE_USAGE,
                        "--by=%s and a LUN do not go together: name the target, or nothing.", by);
        if (scope->target && views[*ret].of_all)
                return ctl_fail(c, EXIT_CODE_USAGE,
                                "--by=%s: a worker serves all targets; name none.", by);
        return EXIT_CODE_OK;
}

int verb_stats(Ctl *c, char **args)
{
        Scope scope;
        size_t view = 0;
        int code = scope_parse(c, args[0], &scope);

        if (code == EXIT_CODE_OK)
                code = find_view(c, &scope, &view);

        /* a LUN that is not there is an error, not an empty list */
        if (code == EXIT_CODE_OK && scope.one) {
                g_autofree char *name = g_strdup_printf("%s/%u", scope.target, scope.lun);
                g_autofree char *path = NULL;

                code = model_resolve_unit(c, name, &path);
        }
        if (code == EXIT_CODE_OK)
                code = ctl_json(c) ? show_json(c, &scope) : show_table(c, &scope, view);
        g_free(scope.target);
        return code;
}
