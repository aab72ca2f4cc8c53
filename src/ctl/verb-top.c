/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>

#include "ctl/connection.h"
#include "ctl/format.h"
#include "ctl/model.h"
#include "ctl/screen.h"
#include "ctl/statistics.h"
#include "ctl/verb-functions.h"

/* Who does how much I/O now: the difference of two samples, drawn again and again. */

typedef struct Sample {
        int64_t at; /* usec */
        json_t *units, *nexuses, *workers;
        GHashTable *by_nexus; /* "SESSION/LUN" -> nexus */
        GHashTable *by_lun;   /* "TARGET/LUN" -> unit */
} Sample;

/* One session at one LUN, per second. */
typedef struct Row {
        const char *target, *initiator; /* of the sample */
        uint64_t lun;
        double reads, writes, bytes;
        uint64_t mean, p99; /* ns, of the LUN */
        uint64_t queue;
} Row;

typedef struct Top {
        Ctl *c;
        Sample before, now;
        GArray *rows; /* Row */
        size_t sort;
        bool reverse, only_active;
} Top;

/* ---- samples ---- */

static char *nexus_key(const json_t *nexus)
{
        return g_strdup_printf("%lld/%lld", (long long)json_number(nexus, "Session"),
                               (long long)json_number(nexus, "Lun"));
}

static char *lun_key(const json_t *x)
{
        return g_strdup_printf("%s/%lld", json_text(x, "Target"), (long long)json_number(x, "Lun"));
}

static void sample_clear(Sample *s)
{
        g_clear_pointer(&s->by_nexus, g_hash_table_unref);
        g_clear_pointer(&s->by_lun, g_hash_table_unref);
        json_decref(s->units);
        json_decref(s->nexuses);
        json_decref(s->workers);
        *s = (Sample){ 0 };
}

static int sample_take(Ctl *c, Sample *s)
{
        json_t *nexus, *unit, *mapping;
        size_t i, k;
        int code = statistics_units(c, &s->units);

        if (code == EXIT_CODE_OK)
                code = statistics_nexuses(c, &s->nexuses);
        if (code == EXIT_CODE_OK)
                code = statistics_workers(c, &s->workers);
        s->at = g_get_monotonic_time();
        s->by_nexus = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        s->by_lun = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        json_array_foreach (s->nexuses, i, nexus)
                g_hash_table_insert(s->by_nexus, nexus_key(nexus), nexus);
        json_array_foreach (s->units, i, unit)
                json_array_foreach (json_object_get(unit, "Mappings"), k, mapping)
                        g_hash_table_insert(s->by_lun, lun_key(mapping), unit);
        return code;
}

/* A unit that was made anew, or a session, begins at 0 again. */
static uint64_t since(uint64_t before, uint64_t now)
{
        return now >= before ? now - before : now;
}

static double rate(const Top *t, const json_t *before, const json_t *now, const char *counter)
{
        double seconds = (double)(t->now.at - t->before.at) / 1e6;
        uint64_t n = since(statistic(before, counter), statistic(now, counter));

        return seconds > 0 ? (double)n / seconds : 0;
}

static void subtract(TimeHistogram *now, const TimeHistogram *before)
{
        now->sum = since(before->sum, now->sum);
        for (unsigned i = 0; i < TIMES_BUCKETS; i++)
                now->buckets[i] = since(before->buckets[i], now->buckets[i]);
}

/* Of reads and writes of the LUN, by all. */
static void latency(const Top *t, const json_t *nexus, Row *row)
{
        static const char *const names[] = { "read", "write" };
        g_autofree char *key = lun_key(nexus);
        const json_t *now = g_hash_table_lookup(t->now.by_lun, key);
        const json_t *before = g_hash_table_lookup(t->before.by_lun, key);
        TimeHistogram all = { 0 };
        uint64_t n;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                TimeHistogram a, b;

                statistic_times(now, names[i], &a);
                statistic_times(before, names[i], &b);
                subtract(&a, &b);
                times_merge(&all, &a);
        }
        n = times_count(&all);
        row->mean = n > 0 ? all.sum / n : 0;
        row->p99 = times_quantile(&all, 990);
}

static void add_row(Top *t, const json_t *nexus)
{
        g_autofree char *key = nexus_key(nexus);
        const json_t *before = g_hash_table_lookup(t->before.by_nexus, key);
        Row row = {
                .target = json_text(nexus, "Target"),
                .initiator = json_text(nexus, "Initiator"),
                .lun = (uint64_t)json_number(nexus, "Lun"),
                .reads = rate(t, before, nexus, "reads"),
                .writes = rate(t, before, nexus, "writes"),
                .bytes = rate(t, before, nexus, "read-bytes") +
                         rate(t, before, nexus, "write-bytes"),
                .queue = statistic(nexus, "in-flight"),
        };

        if (t->only_active && row.reads + row.writes <= 0 && row.queue == 0)
                return;
        latency(t, nexus, &row);
        g_array_append_val(t->rows, row);
}

/* ---- columns ---- */

static int compare_double(double a, double b)
{
        return a > b ? -1 : a < b;
}

static int by_target(const Row *a, const Row *b)
{
        return strcmp(a->target, b->target);
}

static int by_lun(const Row *a, const Row *b)
{
        return a->lun < b->lun ? -1 : a->lun > b->lun;
}

static int by_initiator(const Row *a, const Row *b)
{
        return strcmp(a->initiator, b->initiator);
}

static int by_reads(const Row *a, const Row *b)
{
        return compare_double(a->reads, b->reads);
}

static int by_writes(const Row *a, const Row *b)
{
        return compare_double(a->writes, b->writes);
}

static int by_bytes(const Row *a, const Row *b)
{
        return compare_double(a->bytes, b->bytes);
}

static int by_latency(const Row *a, const Row *b)
{
        return compare_double((double)a->mean, (double)b->mean);
}

static int by_p99(const Row *a, const Row *b)
{
        return compare_double((double)a->p99, (double)b->p99);
}

static int by_queue(const Row *a, const Row *b)
{
        return compare_double((double)a->queue, (double)b->queue);
}

/* The letter sorts; numbers the greatest first. */
static const struct {
        char key;
        Column column;
        int (*compare)(const Row *a, const Row *b);
} sorts[] = {
        { 't', { "TARGET", COLUMN_SHRINK | COLUMN_MIDDLE }, by_target },
        { 'l', { "LUN", COLUMN_RIGHT }, by_lun },
        { 'i', { "INITIATOR", COLUMN_SHRINK | COLUMN_MIDDLE }, by_initiator },
        { 'r', { "READ/S", COLUMN_RIGHT }, by_reads },
        { 'w', { "WRITE/S", COLUMN_RIGHT }, by_writes },
        { 'm', { "MB/S", COLUMN_RIGHT }, by_bytes },
        { 'a', { "LATENCY", COLUMN_RIGHT }, by_latency },
        { '9', { "P99", COLUMN_RIGHT }, by_p99 },
        { 'u', { "QUEUE", COLUMN_RIGHT }, by_queue },
};

#define SORT_DEFAULT 5  /* MB/S */
#define DELAY_MAX 86400 /* s */

static int compare(gconstpointer a, gconstpointer b, gpointer userdata)
{
        const Top *t = userdata;
        int r = sorts[t->sort].compare(a, b);

        if (r == 0)
                r = by_target(a, b);
        if (r == 0)
                r = by_lun(a, b);
        if (r == 0)
                r = by_initiator(a, b);
        return t->reverse ? -r : r;
}

static void build(Top *t)
{
        json_t *nexus;
        size_t i;

        g_array_set_size(t->rows, 0);
        json_array_foreach (t->now.nexuses, i, nexus)
                add_row(t, nexus);
        g_array_sort_with_data(t->rows, compare, t);
}

/* ---- text ---- */

static void add_text(Table *table, bool grey, char *text)
{
        table_add(table, text, grey ? COLOR_GREY : COLOR_NONE);
        g_free(text);
}

static void draw_row(Table *table, const Row *row)
{
        bool idle = row->reads + row->writes <= 0 && row->queue == 0;

        add_text(table, idle, g_strdup(row->target));
        add_text(table, idle, g_strdup_printf("%" PRIu64, row->lun));
        add_text(table, idle, g_strdup(row->initiator));
        add_text(table, idle, g_strdup_printf("%.0f", row->reads));
        add_text(table, idle, g_strdup_printf("%.0f", row->writes));
        add_text(table, idle, g_strdup_printf("%.1f", row->bytes / 1e6));
        add_text(table, idle, row->mean > 0 ? format_time(row->mean) : NULL);
        add_text(table, idle, row->p99 > 0 ? format_time(row->p99) : NULL);
        add_text(table, idle, g_strdup_printf("%" PRIu64, row->queue));
}

static void draw_totals(const Top *t, GString *to)
{
        double reads = 0, writes = 0, bytes = 0;
        json_t *worker;
        size_t i;

        for (guint n = 0; n < t->rows->len; n++) {
                const Row *row = &g_array_index(t->rows, Row, n);

                reads += row->reads;
                writes += row->writes;
                bytes += row->bytes;
        }
        g_string_append_printf(to, "%.0f reads/s, %.0f writes/s, %.1f MB/s; workers busy:", reads,
                               writes, bytes / 1e6);
        json_array_foreach (t->now.workers, i, worker)
                g_string_append_printf(
                        to, " %.0f%%",
                        rate(t, json_array_get(t->before.workers, i), worker, "busy-usec") / 1e4);
        g_string_append_c(to, '\n');
}

static void draw_table(const Top *t, guint max_rows, GString *to)
{
        Column columns[ELEMENTSOF(sorts)];
        _cleanup_(table_freep) Table *table = NULL;

        for (size_t i = 0; i < ELEMENTSOF(sorts); i++)
                columns[i] = sorts[i].column;
        table = table_new(columns, ELEMENTSOF(columns));
        for (guint i = 0; i < MIN(t->rows->len, max_rows); i++)
                draw_row(table, &g_array_index(t->rows, Row, i));
        table_format(table, &t->c->terminal, t->c->options.full, !t->c->options.no_legend, to);
}

static int show_json(Top *t)
{
        _cleanup_json_ json_t *list = json_array();

        for (guint i = 0; i < t->rows->len; i++) {
                const Row *row = &g_array_index(t->rows, Row, i);

                (void)json_array_append_new(
                        list,
                        json_pack("{s:s, s:I, s:s, s:f, s:f, s:f, s:I, s:I, s:I}", "Target",
                                  row->target, "Lun", (json_int_t)row->lun, "Initiator",
                                  row->initiator, "Reads", row->reads, "Writes", row->writes,
                                  "Bytes", row->bytes, "Latency", (json_int_t)row->mean, "P99",
                                  (json_int_t)row->p99, "Queue", (json_int_t)row->queue));
        }
        return ctl_show_json(t->c, list);
}

/* ---- running ---- */

static int next_sample(Top *t)
{
        sample_clear(&t->before);
        t->before = t->now;
        t->now = (Sample){ 0 };
        return sample_take(t->c, &t->now);
}

static int run_batch(Top *t, int64_t interval, int64_t iterations)
{
        int code = next_sample(t);

        while (code == EXIT_CODE_OK && iterations-- > 0) {
                g_autoptr(GString) s = g_string_new(NULL);

                if (!screen_wait(t->now.at + interval))
                        break;
                code = next_sample(t);
                if (code != EXIT_CODE_OK)
                        break;
                build(t);
                if (ctl_json(t->c)) {
                        code = show_json(t);
                } else {
                        draw_totals(t, s);
                        draw_table(t, G_MAXUINT, s);
                        (void)printf("%s%s", s->str, iterations > 0 ? "\n" : "");
                }
                (void)fflush(stdout);
        }
        return code;
}

static void draw(Top *t)
{
        g_autoptr(GString) s = g_string_new(NULL);
        unsigned rows = screen_size(&t->c->terminal);

        if (t->before.nexuses) {
                build(t);
                draw_totals(t, s);
                draw_table(t, rows > 3 ? rows - 3 : 1, s);
        } else
                g_string_append(s, "Looking...\n");
        g_string_append_printf(s,
                               "sorted by %s%s; sort: t l i r w m a 9 u, R reverse, o %s, q quit",
                               sorts[t->sort].column.title, t->reverse ? ", reversed" : "",
                               t->only_active ? "all" : "only active");
        screen_draw(s->str);
}

static void press(Top *t, int key)
{
        for (size_t i = 0; i < ELEMENTSOF(sorts); i++)
                if (sorts[i].key == key) {
                        t->sort = i;
                        t->reverse = false;
                }
        if (key == 'R')
                t->reverse = !t->reverse;
        if (key == 'o')
                t->only_active = !t->only_active;
}

static int run_screen(Top *t, int64_t interval, int64_t iterations)
{
        int key = 0, code = EXIT_CODE_OK;

        while (key >= 0 && iterations > 0 && code == EXIT_CODE_OK) {
                bool first = !t->now.nexuses;

                code = next_sample(t);
                if (code != EXIT_CODE_OK)
                        break;
                iterations -= !first;
                do {
                        draw(t);
                        key = iterations > 0 ? screen_key(t->now.at + interval) : 0;
                        press(t, key);
                } while (key > 0);
        }
        screen_close();
        return code;
}

int verb_top(Ctl *c, char **args)
{
        const Options *o = &c->options;
        Top t = { .c = c, .sort = SORT_DEFAULT };
        int64_t interval = (o->delay > 0 ? MIN(o->delay, (int64_t)DELAY_MAX) : 1) * G_USEC_PER_SEC;
        int code = ctl_need(c);

        if (code != EXIT_CODE_OK)
                return code;
        t.rows = g_array_new(FALSE, FALSE, sizeof(Row));
        if (!o->batch && !ctl_json(c) && screen_open())
                code = run_screen(&t, interval, o->iterations > 0 ? o->iterations : INT64_MAX);
        else
                code = run_batch(&t, interval, o->iterations > 0 ? o->iterations : 1);
        sample_clear(&t.before);
        sample_clear(&t.now);
        g_array_unref(t.rows);
        return code;
}
