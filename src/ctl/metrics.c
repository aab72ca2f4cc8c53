/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>

#include "ctl/connection.h"
#include "ctl/model.h"
#include "ctl/statistics.h"
#include "ctl/verb-functions.h"

/* OpenMetrics text 1.0: one row of a table per metric family, its samples from the rows of a list.
 */

/* Bounds of exported buckets: powers of two of nanoseconds, which are bounds of ours. */
#define LE_FIRST 13 /* 8 us */
#define LE_LAST 33  /* 8.6 s */

typedef enum MetricType { METRIC_COUNTER, METRIC_GAUGE, METRIC_INFO, METRIC_HISTOGRAM } MetricType;

static const char *const type_names[] = {
        [METRIC_COUNTER] = "counter",
        [METRIC_GAUGE] = "gauge",
        [METRIC_INFO] = "info",
        [METRIC_HISTOGRAM] = "histogram",
};

/* A sample of a family: the value, and a label that tells it from its siblings. */
typedef struct Sample {
        const char *counter; /* of the row's Statistics, or its Latency */
        const char *label;   /* "operation=\"read\"", or NULL */
        unsigned divisor;    /* of what is told in smaller units; 0: none */
} Sample;

typedef struct Family {
        const char *name; /* without prefix and _total, with its unit */
        MetricType type;
        const char *unit; /* or NULL */
        const char *help;
        Sample samples[3];
} Family;

/* clang-format off */
#define LATENCY_FAMILY                                                                   \
        { "latency_seconds", METRIC_HISTOGRAM, "seconds",                                \
          "Time from the arrival of a command until its answer was handed to the network.", \
          { { "read", "operation=\"read\"", 0 }, { "write", "operation=\"write\"", 0 } } }
/* clang-format on */

static const Family unit_families[] = {
        { "operations",
          METRIC_COUNTER,
          NULL,
          "Commands completed.",
          { { "reads", "operation=\"read\"", 0 },
            { "writes", "operation=\"write\"", 0 },
            { "others", "operation=\"other\"", 0 } } },
        { "transferred_bytes",
          METRIC_COUNTER,
          "bytes",
          "Data read and written.",
          { { "read-bytes", "operation=\"read\"", 0 },
            { "write-bytes", "operation=\"write\"", 0 } } },
        { "errors",
          METRIC_COUNTER,
          NULL,
          "Commands that ended with CHECK CONDITION, but for unit attentions.",
          { { "errors", NULL, 0 } } },
        { "throttled",
          METRIC_COUNTER,
          NULL,
          "Commands that waited for a limit of rate.",
          { { "throttled", NULL, 0 } } },
        { "throttled_seconds",
          METRIC_COUNTER,
          "seconds",
          "Time that commands waited for a limit of rate.",
          { { "throttled-usec", NULL, 1000000 } } },
        { "in_flight", METRIC_GAUGE, NULL, "Commands under way.", { { "in-flight", NULL, 0 } } },
        { "ghosts",
          METRIC_GAUGE,
          NULL,
          "Requests given up that the backing store has not completed.",
          { { "ghosts", NULL, 0 } } },
        LATENCY_FAMILY,
};

/* Of sessions there is none here: each initiator that comes again would be 23 new series. */
static const Family session_families[] = {
        { "commands",
          METRIC_COUNTER,
          NULL,
          "SCSI commands received.",
          { { "commands", NULL, 0 } } },
        { "responses", METRIC_COUNTER, NULL, "Responses sent.", { { "responses", NULL, 0 } } },
        { "received_bytes",
          METRIC_COUNTER,
          "bytes",
          "Bytes received.",
          { { "rx-bytes", NULL, 0 } } },
        { "sent_bytes", METRIC_COUNTER, "bytes", "Bytes sent.", { { "tx-bytes", NULL, 0 } } },
        { "data_pdus",
          METRIC_COUNTER,
          NULL,
          "Data-In PDUs sent and Data-Out PDUs received.",
          { { "data-in-pdus", "operation=\"read\"", 0 },
            { "data-out-pdus", "operation=\"write\"", 0 } } },
};

static const Family worker_families[] = {
        { "turns", METRIC_COUNTER, NULL, "Turns of the event loop.", { { "turns", NULL, 0 } } },
        { "sleeps",
          METRIC_COUNTER,
          NULL,
          "Turns that waited for something to do.",
          { { "sleeps", NULL, 0 } } },
        { "receives", METRIC_COUNTER, NULL, "Receive calls.", { { "receives", NULL, 0 } } },
        { "sends", METRIC_COUNTER, NULL, "Send calls.", { { "sends", NULL, 0 } } },
        { "received_bytes",
          METRIC_COUNTER,
          "bytes",
          "Bytes received.",
          { { "rx-bytes", NULL, 0 } } },
        { "sent_bytes", METRIC_COUNTER, "bytes", "Bytes sent.", { { "tx-bytes", NULL, 0 } } },
        { "commands",
          METRIC_COUNTER,
          NULL,
          "SCSI commands received.",
          { { "commands", NULL, 0 } } },
        { "errors",
          METRIC_COUNTER,
          NULL,
          "Commands that ended with CHECK CONDITION, but for unit attentions.",
          { { "errors", NULL, 0 } } },
        { "busy_seconds",
          METRIC_COUNTER,
          "seconds",
          "Processor time of the thread.",
          { { "busy-usec", NULL, 1000000 } } },
        LATENCY_FAMILY,
};

/* ---- text ---- */

static void append_escaped(GString *to, const char *s)
{
        g_autofree char *valid = g_utf8_make_valid(s, -1);

        for (const char *p = valid; *p; p++)
                if (*p == '\n')
                        g_string_append(to, "\\n");
                else if (*p == '"' || *p == '\\')
                        g_string_append_printf(to, "\\%c", *p);
                else
                        g_string_append_c(to, *p);
}

static void append_label(GString *to, const char *name, const char *value)
{
        g_string_append_printf(to, "%s%s=\"", to->len > 0 ? "," : "", name);
        append_escaped(to, value);
        g_string_append_c(to, '"');
}

/* n / divisor as a decimal fraction, exact where divisor is a power of ten. */
static void append_quotient(GString *to, uint64_t n, uint64_t divisor, int digits)
{
        g_string_append_printf(to, "%" PRIu64, n / divisor);
        if (n % divisor == 0)
                return;
        g_string_append_printf(to, ".%0*" PRIu64, digits, n % divisor);
        while (to->str[to->len - 1] == '0')
                g_string_truncate(to, to->len - 1);
}

static void append_seconds(GString *to, uint64_t ns)
{
        append_quotient(to, ns, NSEC_PER_SEC, 9);
}

/* "tgt_KIND_NAME", and for what kind. */
static void append_head(GString *to, const char *name, const Family *f)
{
        g_string_append_printf(to, "# TYPE %s %s\n", name, type_names[f->type]);
        if (f->unit)
                g_string_append_printf(to, "# UNIT %s %s\n", name, f->unit);
        g_string_append_printf(to, "# HELP %s %s\n", name, f->help);
}

static void append_name(GString *to, const char *name, const char *suffix, const char *labels,
                        const char *more)
{
        g_string_append_printf(to, "%s%s{%s%s%s} ", name, suffix, labels,
                               *labels && more ? "," : "", more ? more : "");
}

static void append_histogram(GString *to, const char *name, const char *labels, const char *more,
                             const TimeHistogram *h)
{
        g_autofree char *all = g_strconcat(labels, ",", more, NULL);

        for (unsigned e = LE_FIRST; e <= LE_LAST; e++) {
                g_string_append_printf(to, "%s_bucket{%s,le=\"", name, all);
                append_seconds(to, UINT64_C(1) << e);
                g_string_append_printf(to, "\"} %" PRIu64 "\n",
                                       times_count_below(h, UINT64_C(1) << e));
        }
        g_string_append_printf(to, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name, all,
                               times_count(h));
        append_name(to, name, "_count", all, NULL);
        g_string_append_printf(to, "%" PRIu64 "\n", times_count(h));
        append_name(to, name, "_sum", all, NULL);
        append_seconds(to, h->sum);
        g_string_append_c(to, '\n');
}

static void append_sample(GString *to, const char *name, const Family *f, const Sample *s,
                          const json_t *row, const char *labels)
{
        if (f->type == METRIC_HISTOGRAM) {
                TimeHistogram h;

                statistic_times(row, s->counter, &h);
                if (times_count(&h) > 0) /* thousands of idle LUNs have nothing to say */
                        append_histogram(to, name, labels, s->label, &h);
                return;
        }
        append_name(to, name, f->type == METRIC_COUNTER ? "_total" : "", labels, s->label);
        append_quotient(to, statistic(row, s->counter), s->divisor ? s->divisor : 1, 6);
        g_string_append_c(to, '\n');
}

/* ---- lists ---- */

static char *mapping_labels(const json_t *unit, const json_t *mapping)
{
        g_autofree char *lun = g_strdup_printf("%lld", (long long)json_number(mapping, "Lun"));
        GString *s = g_string_new(NULL);

        append_label(s, "uuid", json_text(unit, "Uuid"));
        append_label(s, "target", json_text(mapping, "Target"));
        append_label(s, "lun", mapping ? lun : "");
        return g_string_free(s, FALSE);
}

static char *unit_labels(const json_t *unit)
{
        return mapping_labels(unit, json_array_get(json_object_get(unit, "Mappings"), 0));
}

static char *session_labels(const json_t *session)
{
        g_autofree char *id = g_strdup_printf("%lld", (long long)json_number(session, "Id"));
        GString *s = g_string_new(NULL);

        append_label(s, "session", id);
        append_label(s, "target", json_text(session, "Target"));
        append_label(s, "initiator", json_text(session, "Initiator"));
        return g_string_free(s, FALSE);
}

static char *worker_labels(const json_t *worker)
{
        return g_strdup_printf("worker=\"%lld\"", (long long)json_number(worker, "Worker"));
}

static const struct {
        const char *kind;
        int (*load)(Ctl *c, json_t **ret);
        char *(*labels)(const json_t *row);
        const Family *families;
        size_t n_families;
} lists[] = {
        { "logical_unit", statistics_units, unit_labels, unit_families, ELEMENTSOF(unit_families) },
        { "session", statistics_sessions, session_labels, session_families,
          ELEMENTSOF(session_families) },
        { "worker", statistics_workers, worker_labels, worker_families,
          ELEMENTSOF(worker_families) },
};

static void append_list(GString *to, size_t which, const json_t *list)
{
        g_autoptr(GPtrArray) labels = g_ptr_array_new_with_free_func(g_free);
        json_t *row;
        size_t i;

        json_array_foreach (list, i, row)
                g_ptr_array_add(labels, lists[which].labels(row));
        for (size_t k = 0; k < lists[which].n_families; k++) {
                const Family *f = &lists[which].families[k];
                g_autofree char *name = g_strdup_printf("tgt_%s_%s", lists[which].kind, f->name);

                append_head(to, name, f);
                json_array_foreach (list, i, row)
                        for (const Sample *s = f->samples;
                             s < f->samples + ELEMENTSOF(f->samples) && s->counter; s++)
                                append_sample(to, name, f, s, row, g_ptr_array_index(labels, i));
        }
}

/* The families of units name the first target that maps one; this says all. */
static void append_mappings(GString *to, const json_t *units)
{
        const Family info = { .type = METRIC_INFO, .help = "Targets and LUNs of a logical unit." };
        json_t *unit, *mapping;
        size_t i, k;

        append_head(to, "tgt_mapping", &info);
        json_array_foreach (units, i, unit)
                json_array_foreach (json_object_get(unit, "Mappings"), k, mapping) {
                        g_autofree char *labels = mapping_labels(unit, mapping);

                        append_name(to, "tgt_mapping", "_info", labels, NULL);
                        g_string_append(to, "1\n");
                }
}

/* ---- the daemon ---- */

static void append_one(GString *to, const char *name, MetricType type, const char *help,
                       const char *suffix, uint64_t value)
{
        const Family f = { .type = type, .help = help };

        append_head(to, name, &f);
        g_string_append_printf(to, "%s%s %" PRIu64 "\n", name, suffix, value);
}

static void append_up(GString *to, bool up)
{
        append_one(to, "tgt_up", METRIC_GAUGE, "Whether tgtd runs and answers.", "", up);
}

static void append_manager(GString *to, const json_t *manager)
{
        const Family info = { .type = METRIC_INFO, .help = "The daemon." };
        g_autoptr(GString) labels = g_string_new(NULL);

        append_head(to, "tgt_daemon", &info);
        append_label(labels, "version", json_text(manager, "Version"));
        g_string_append_printf(to, "tgt_daemon_info{%s} 1\n", labels->str);
        append_one(to, "tgt_targets", METRIC_GAUGE, "Targets.", "",
                   (uint64_t)json_number(manager, "NTargets"));
        append_one(to, "tgt_logical_units", METRIC_GAUGE, "Logical units.", "",
                   (uint64_t)json_number(manager, "NLogicalUnits"));
        append_one(to, "tgt_sessions", METRIC_GAUGE, "Sessions of initiators.", "",
                   (uint64_t)json_number(manager, "NSessions"));
        append_one(to, "tgt_generation", METRIC_GAUGE, "Generation of the configuration.", "",
                   (uint64_t)json_number(manager, "Generation"));
}

char *metrics_down(void)
{
        GString *to = g_string_new(NULL);

        append_up(to, false);
        g_string_append(to, "# EOF\n");
        return g_string_free(to, FALSE);
}

int metrics_collect(Ctl *c, char **ret)
{
        _cleanup_json_ json_t *manager = NULL;
        g_autoptr(GString) to = g_string_new(NULL);
        int code = model_manager(c, &manager);

        append_up(to, true);
        if (code == EXIT_CODE_OK)
                append_manager(to, manager);
        for (size_t i = 0; i < ELEMENTSOF(lists) && code == EXIT_CODE_OK; i++) {
                _cleanup_json_ json_t *list = NULL;

                code = lists[i].load(c, &list);
                if (code == EXIT_CODE_OK)
                        append_list(to, i, list);
                if (code == EXIT_CODE_OK && lists[i].load == statistics_units)
                        append_mappings(to, list);
        }
        g_string_append(to, "# EOF\n");
        *ret = code == EXIT_CODE_OK ? g_string_free(TAKE_PTR(to), FALSE) : metrics_down();
        return code;
}

int verb_metrics(Ctl *c, char **args)
{
        g_autofree char *text = NULL;
        int code = ctl_connect(c);

        if (code == EXIT_CODE_NOT_RUNNING)
                text = metrics_down();
        else if (code == EXIT_CODE_OK)
                code = metrics_collect(c, &text);
        else
                return ctl_need(c);
        (void)fputs(text, stdout);
        return code;
}
