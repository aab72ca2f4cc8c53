/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/statistics.h"

#include "base/parse.h"
#include "ctl/connection.h"
#include "ctl/message.h"
#include "ctl/model.h"

#define PAGE_MAX 1000 /* of dbus/org.tgt1.Manager.xml */

static const char *const unit_fields[] = { "Uuid", "Mappings", "Statistics", "Latency", NULL };
static const char *const mapping_fields[] = { "Target", "Lun", NULL };
static const char *const times_fields[] = { "Sum", "Ends", "Counts", NULL };
static const char *const session_fields[] = { "Id",         "Target",  "Initiator",
                                              "Statistics", "Latency", NULL };
static const char *const nexus_fields[] = { "Session", "Target",     "Initiator",
                                            "Lun",     "Statistics", NULL };
static const char *const worker_fields[] = { "Worker", "Statistics", "Latency", NULL };

static int name_times(Ctl *c, json_t *latency)
{
        const char *key;
        json_t *v;

        json_object_foreach (latency, key, v) {
                json_t *named = model_name_fields(v, times_fields);

                if (!named || json_object_set_new(latency, key, named) < 0)
                        return ctl_bad_message(c, -EBADMSG);
        }
        return EXIT_CODE_OK;
}

/* A list whose rows have Latency. */
static int list_times(Ctl *c, const char *method, char key, const char *const *fields, json_t **ret)
{
        _cleanup_json_ json_t *list = NULL;
        json_t *row;
        size_t i;
        int code = model_list(c, method, key, fields, &list);

        json_array_foreach (list, i, row)
                if (code == EXIT_CODE_OK)
                        code = name_times(c, json_object_get(row, "Latency"));
        if (code == EXIT_CODE_OK)
                *ret = TAKE_PTR(list);
        return code;
}

int statistics_units(Ctl *c, json_t **ret)
{
        _cleanup_json_ json_t *list = NULL;
        json_t *unit;
        size_t i;
        int code = list_times(c, "ListLogicalUnitStatistics", 's', unit_fields, &list);

        json_array_foreach (list, i, unit)
                if (code == EXIT_CODE_OK)
                        code = model_name_member(c, unit, "Mappings", mapping_fields);
        if (code == EXIT_CODE_OK)
                *ret = TAKE_PTR(list);
        return code;
}

int statistics_sessions(Ctl *c, json_t **ret)
{
        return list_times(c, "ListSessionStatistics", 't', session_fields, ret);
}

int statistics_workers(Ctl *c, json_t **ret)
{
        return list_times(c, "ListWorkerStatistics", 0, worker_fields, ret);
}

/* From LUN lun of session on, appended to list; *ret_n: how many there were. */
static int read_nexuses(Ctl *c, uint64_t session, uint32_t lun, json_t *list, size_t *ret_n)
{
        sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_json_ json_t *page = NULL;
        json_t *row;
        size_t i;
        int r, code = ctl_method(c, BUS_ROOT, IFACE("Manager"), "ListNexusStatistics", &m);

        if (code != EXIT_CODE_OK)
                return code;
        r = sd_bus_message_append(m, "tuu", session, lun, (uint32_t)PAGE_MAX);
        if (r < 0) {
                sd_bus_message_unref(m);
                return ctl_bad_message(c, r);
        }
        code = ctl_invoke(c, m, &reply);
        if (code != EXIT_CODE_OK)
                return code;
        r = message_read_json(reply, &page);
        sd_bus_message_unref(reply);
        if (r < 0)
                return ctl_bad_message(c, r);
        json_array_foreach (page, i, row)
                if (json_array_append_new(list, model_name_fields(row, nexus_fields)) < 0)
                        return ctl_bad_message(c, -EBADMSG);
        *ret_n = json_array_size(page);
        return EXIT_CODE_OK;
}

int statistics_nexuses(Ctl *c, json_t **ret)
{
        _cleanup_json_ json_t *list = json_array();
        uint64_t session = 0;
        uint32_t lun = 0;
        size_t n = 0;

        do {
                const json_t *last;
                int code = read_nexuses(c, session, lun, list, &n);

                if (code != EXIT_CODE_OK)
                        return code;
                last = json_array_get(list, json_array_size(list) - 1);
                session = (uint64_t)json_number(last, "Session");
                lun = (uint32_t)json_number(last, "Lun") + 1;
        } while (n >= PAGE_MAX);
        *ret = TAKE_PTR(list);
        return EXIT_CODE_OK;
}

/* What is beyond JSON's integers is a string of digits (ctl/message.h). */
static uint64_t number(const json_t *v)
{
        uint64_t n;

        if (json_is_string(v))
                return parse_u64(json_string_value(v), 0, UINT64_MAX, &n) < 0 ? 0 : n;
        return (uint64_t)json_integer_value(v);
}

uint64_t statistic(const json_t *row, const char *name)
{
        return number(json_object_get(json_object_get(row, "Statistics"), name));
}

void statistic_times(const json_t *row, const char *name, TimeHistogram *ret)
{
        const json_t *times = json_object_get(json_object_get(row, "Latency"), name);
        const json_t *ends = json_object_get(times, "Ends");
        const json_t *counts = json_object_get(times, "Counts");
        const json_t *end;
        size_t i;

        *ret = (TimeHistogram){ .sum = number(json_object_get(times, "Sum")) };
        json_array_foreach (ends, i, end) {
                unsigned bucket;

                /* of a daemon with other buckets: the one that it ends in */
                if (times_bucket_of_end(number(end), &bucket) < 0)
                        bucket = times_bucket(number(end));
                ret->buckets[bucket] += number(json_array_get(counts, i));
        }
}
