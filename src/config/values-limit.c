/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>

#include "config/limit.h"
#include "config/values.h"

#include "base/parse.h"

/* Limits of rate: of a LUN, one directive each; of an initiator, all on one line. */

/* ---- numbers --------------------------------------------------------------------------------- */

#define BURST_MIN 10000 /* us: less is lost whenever a worker is late */
#define BURST_MAX 60000000

static char *format_rate(uint64_t v)
{
        static const struct {
                uint64_t factor;
                const char *suffix;
        } units[] = {
                { UINT64_C(1000000000000), "T" },
                { UINT64_C(1000000000), "G" },
                { UINT64_C(1000000), "M" },
                { GIB, "Gi" },
                { MIB, "Mi" },
                { UINT64_C(1000), "k" },
                { KIB, "Ki" },
        };

        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (v >= units[i].factor && v % units[i].factor == 0)
                        return g_strdup_printf("%" PRIu64 "%s", v / units[i].factor,
                                               units[i].suffix);
        return g_strdup_printf("%" PRIu64, v);
}

static char *format_usec(uint64_t us)
{
        if (us % 1000000 == 0)
                return g_strdup_printf("%" PRIu64 "s", us / 1000000);
        if (us % 1000 == 0)
                return g_strdup_printf("%" PRIu64 "ms", us / 1000);
        return g_strdup_printf("%" PRIu64 "us", us);
}

static int parse_usec(const char *s, uint64_t *ret)
{
        uint64_t ns = 0;
        int r = parse_duration(s, &ns);

        if (r >= 0)
                *ret = ns / NSEC_PER_USEC;
        return r;
}

/* ---- the table ------------------------------------------------------------------------------- */

/* Bytes are counted in tens of thousands at least: "50" is never what is meant. */
#define BYTES_MIN 64000

static const LimitField fields[] = {
        { "iops", "iops", offsetof(LimitSpec, iops), 1, CONFIG_RATE_MAX },
        { "read-iops", "read-iops", offsetof(LimitSpec, read_iops), 1, CONFIG_RATE_MAX },
        { "write-iops", "write-iops", offsetof(LimitSpec, write_iops), 1, CONFIG_RATE_MAX },
        { "bandwidth", "bandwidth", offsetof(LimitSpec, bandwidth), BYTES_MIN, CONFIG_RATE_MAX },
        { "read-bandwidth", "read-bandwidth", offsetof(LimitSpec, read_bandwidth), BYTES_MIN,
          CONFIG_RATE_MAX },
        { "write-bandwidth", "write-bandwidth", offsetof(LimitSpec, write_bandwidth), BYTES_MIN,
          CONFIG_RATE_MAX },
        { "burst", "burst-usec", offsetof(LimitSpec, burst_us), BURST_MIN, BURST_MAX },
};

_Static_assert(sizeof(LimitSpec) == ELEMENTSOF(fields) * sizeof(uint64_t), "all of them");

const LimitField *limit_fields(void)
{
        return fields;
}

size_t n_limit_fields(void)
{
        return ELEMENTSOF(fields);
}

static bool is_burst(const LimitField *f)
{
        return f->offset == offsetof(LimitSpec, burst_us);
}

uint64_t *limit_field(LimitSpec *l, const LimitField *f)
{
        return (uint64_t *)(void *)((char *)l + f->offset);
}

uint64_t limit_value(const LimitSpec *l, const LimitField *f)
{
        return *(const uint64_t *)(const void *)((const char *)l + f->offset);
}

bool limit_spec_equal(const LimitSpec *a, const LimitSpec *b)
{
        for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                if (limit_value(a, &fields[i]) != limit_value(b, &fields[i]))
                        return false;
        return true;
}

bool limit_spec_any(const LimitSpec *l)
{
        for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                if (!is_burst(&fields[i]) && limit_value(l, &fields[i]) != 0)
                        return true;
        return false;
}

static int parse_field(Setting *s, const LimitField *f, const char *value, uint64_t *ret)
{
        g_autofree char *least = is_burst(f) ? format_usec(f->min) : format_rate(f->min);
        g_autofree char *most = is_burst(f) ? format_usec(f->max) : format_rate(f->max);
        uint64_t v = 0;

        if ((is_burst(f) ? parse_usec(value, &v) : parse_rate(value, &v)) < 0 ||
            (v != 0 && (v < f->min || v > f->max)))
                return setting_error(s,
                                     is_burst(f) ? "\"%s\": seconds, or a time such as 500ms, from "
                                                   "%s to %s expected"
                                                 : "\"%s\": a number a second, such as 500, 10k or "
                                                   "50M, from %s to %s expected; 0 for no limit",
                                     value, least, most);
        *ret = v;
        return 0;
}

static char *format_field(const LimitField *f, uint64_t v)
{
        return is_burst(f) ? format_usec(v) : format_rate(v);
}

char *limit_spec_format(const LimitSpec *l)
{
        GString *text = g_string_new(NULL);

        for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
                uint64_t v = limit_value(l, &fields[i]);
                g_autofree char *value = v != 0 ? format_field(&fields[i], v) : NULL;

                if (value)
                        g_string_append_printf(text, "%s%s=%s", text->len ? " " : "",
                                               fields[i].name, value);
        }
        return g_string_free(text, FALSE);
}

/* ---- of a LUN -------------------------------------------------------------------------------- */

/* The row's offset is that of the field in the LunSpec. */
static const LimitField *field_of(const Directive *d)
{
        for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                if (offsetof(LunSpec, limits) + fields[i].offset == d->offset)
                        return &fields[i];
        return NULL;
}

static int set_limit(Setting *s)
{
        return parse_field(s, field_of(s->directive), s->value, setting_field(s));
}

static void get_limit(const Directive *d, const void *object, GPtrArray *values)
{
        const LimitField *f = field_of(d);
        uint64_t v = limit_value(&((const LunSpec *)object)->limits, f);

        if (v != 0)
                g_ptr_array_add(values, format_field(f, v));
}

static void clear_limit(const Directive *d, void *object)
{
        *limit_field(&((LunSpec *)object)->limits, field_of(d)) = 0;
}

const DirectiveType type_limit = { .set = set_limit, .get = get_limit, .clear = clear_limit };

/* ---- of an initiator ------------------------------------------------------------------------- */

InitiatorLimit *initiator_limit_new(const char *initiator, const LimitSpec *limits)
{
        InitiatorLimit *l = g_new0(InitiatorLimit, 1);

        l->initiator = g_strdup(initiator);
        l->limits = *limits;
        return l;
}

InitiatorLimit *initiator_limit_free(InitiatorLimit *l)
{
        if (l)
                g_free(l->initiator);
        g_free(l);
        return NULL;
}

bool initiator_limit_equal(const InitiatorLimit *a, const InitiatorLimit *b)
{
        return STREQ(a->initiator, b->initiator) && limit_spec_equal(&a->limits, &b->limits);
}

InitiatorLimit *target_spec_find_limit(const TargetSpec *t, const char *initiator)
{
        for (guint i = 0; i < t->limits->len; i++) {
                InitiatorLimit *l = t->limits->pdata[i];

                if (STREQ(l->initiator, initiator))
                        return l;
        }
        return NULL;
}

void target_spec_set_limit(TargetSpec *t, const char *initiator, const LimitSpec *limits)
{
        InitiatorLimit *l = target_spec_find_limit(t, initiator);

        if (l && !limit_spec_any(limits))
                g_ptr_array_remove(t->limits, l);
        else if (l)
                l->limits = *limits;
        else if (limit_spec_any(limits))
                g_ptr_array_add(t->limits, initiator_limit_new(initiator, limits));
}

static int parse_pair(Setting *s, const char *pair, LimitSpec *limits)
{
        const char *equals = strchr(pair, '=');
        g_autofree char *name = equals ? g_strndup(pair, (gsize)(equals - pair)) : NULL;

        for (size_t i = 0; name && i < ELEMENTSOF(fields); i++)
                if (STREQ(fields[i].name, name))
                        return parse_field(s, &fields[i], equals + 1,
                                           limit_field(limits, &fields[i]));
        return setting_error(s,
                             "\"%s\": iops=, read-iops=, write-iops=, bandwidth=, "
                             "read-bandwidth=, write-bandwidth= or burst= expected",
                             pair);
}

static int set_initiator_limit(Setting *s)
{
        g_auto(GStrv) words = g_strsplit_set(s->value, " \t,", -1);
        TargetSpec *t = s->object;
        g_autofree char *initiator = NULL;
        LimitSpec limits = { 0 };
        InitiatorLimit *l;
        int warned;

        if (!words[0] || !*words[0] || strchr(words[0], '='))
                return setting_error(s, "a name, an address or ALL expected, and then limits such "
                                        "as iops=1000");
        warned = setting_initiator(s, words[0], &initiator);
        if (warned < 0)
                return warned;
        for (char **w = words + 1; *w; w++)
                if (**w && parse_pair(s, *w, &limits) < 0)
                        return -EINVAL;
        if (s->replace) {
                target_spec_set_limit(t, initiator, &limits);
                return warned;
        }
        if (!limit_spec_any(&limits))
                return setting_error(s, "at least one limit expected, such as iops=1000");
        l = initiator_limit_new(initiator, &limits);
        l->at = s->at;
        g_ptr_array_add(t->limits, l);
        return warned;
}

static void get_initiator_limit(const Directive *d, const void *object, GPtrArray *values)
{
        const TargetSpec *t = object;

        for (guint i = 0; i < t->limits->len; i++) {
                const InitiatorLimit *l = t->limits->pdata[i];
                g_autofree char *limits = limit_spec_format(&l->limits);

                g_ptr_array_add(values, g_strdup_printf("%s %s", l->initiator, limits));
        }
}

static void clear_initiator_limit(const Directive *d, void *object)
{
        TargetSpec *t = object;

        g_ptr_array_set_size(t->limits, 0);
}

const DirectiveType type_initiator_limit = { .set = set_initiator_limit,
                                             .get = get_initiator_limit,
                                             .clear = clear_initiator_limit,
                                             .raw = true };
