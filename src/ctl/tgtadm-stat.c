/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/statistics.h"
#include "ctl/tgtadm.h"

/* What sessions did at LUNs, and over their connections, in stgt's columns. */

static void print_header(void)
{
        (void)printf("tgt lun sid rd_subm(bytes,cmds) rd_done(bytes,cmds) wr_subm(bytes,cmds) "
                     "wr_done(bytes,cmds) errs\n");
}

/* row NULL: nothing was done there. */
static void print_row(uint32_t tid, uint64_t lun, uint64_t sid, const json_t *row)
{
        static const char *const columns[][2] = {
                { "read-bytes-submitted", "reads-submitted" },
                { "read-bytes", "reads" },
                { "write-bytes-submitted", "writes-submitted" },
                { "write-bytes", "writes" },
        };

        (void)printf("%3u %3" PRIu64 " %3" PRIu64, tid, lun, sid);
        for (size_t i = 0; i < ELEMENTSOF(columns); i++)
                (void)printf(" %12" PRIu64 " %6" PRIu64, row ? statistic(row, columns[i][0]) : 0,
                             row ? statistic(row, columns[i][1]) : 0);
        (void)printf(" %4" PRIu64 "\n", row ? statistic(row, "errors") : 0);
}

static const json_t *find_row(const json_t *rows, uint64_t sid, uint64_t lun)
{
        const json_t *r;
        size_t i;

        json_array_foreach (rows, i, r)
                if ((uint64_t)json_number(r, "Session") == sid &&
                    (uint64_t)json_number(r, "Lun") == lun)
                        return r;
        return NULL;
}

static int get_rows(Adm *a, json_t **ret)
{
        int code = statistics_nexuses(a->ctl, ret);

        return code == EXIT_CODE_OK ? ADM_OK : adm_failed(a, code);
}

/* Numbers of a target's LUNs, ascending, with the one that always answers. */
static int get_luns(Adm *a, const char *path, GArray **ret)
{
        _cleanup_json_ json_t *target = NULL;
        const json_t *l;
        uint64_t lun = 0;
        size_t i;
        int code = model_target(a->ctl, path, &target);

        if (code != EXIT_CODE_OK)
                return adm_failed(a, code);
        *ret = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        g_array_append_val(*ret, lun);
        json_array_foreach (json_object_get(target, "LogicalUnits"), i, l) {
                lun = (uint64_t)json_number(l, "Lun");
                if (lun > 0)
                        g_array_append_val(*ret, lun);
        }
        return ADM_OK;
}

static bool has_lun(const GArray *luns, uint64_t lun)
{
        for (guint i = 0; i < luns->len; i++)
                if (g_array_index(luns, uint64_t, i) == lun)
                        return true;
        return false;
}

/* The rows of a target; lun and sid UINT64_MAX: all. */
static int print_target(Adm *a, const char *path, uint32_t tid, uint64_t lun, uint64_t sid,
                        const json_t *rows)
{
        _cleanup_json_ json_t *sessions = NULL;
        g_autoptr(GArray) luns = NULL;
        const json_t *s;
        size_t k;
        int r = get_luns(a, path, &luns);

        if (r == ADM_OK)
                r = adm_sessions(a, path, &sessions);
        if (r != ADM_OK)
                return r;
        for (guint i = 0; i < luns->len; i++) {
                uint64_t n = g_array_index(luns, uint64_t, i);

                json_array_foreach (sessions, k, s) {
                        uint64_t id = (uint64_t)json_number(s, "Id");

                        if ((lun == UINT64_MAX || n == lun) && (sid == UINT64_MAX || id == sid))
                                print_row(tid, n, id, find_row(rows, id, n));
                }
        }
        return ADM_OK;
}

int adm_target_stat(Adm *a)
{
        _cleanup_json_ json_t *rows = NULL;
        g_autofree char *path = NULL;
        int r = adm_target(a, NULL, &path);

        if (r == ADM_OK)
                r = get_rows(a, &rows);
        if (r != ADM_OK)
                return r;
        print_header();
        return print_target(a, path, (uint32_t)a->tid, UINT64_MAX, UINT64_MAX, rows);
}

int adm_lun_stat(Adm *a)
{
        _cleanup_json_ json_t *rows = NULL;
        g_autofree char *path = NULL;
        g_autoptr(GArray) luns = NULL;
        int r = adm_target(a, NULL, &path);

        if (r == ADM_OK)
                r = get_luns(a, path, &luns);
        if (r == ADM_OK && !has_lun(luns, a->lun))
                return adm_fail(a, "can't find the logical unit", NULL);
        if (r == ADM_OK)
                r = get_rows(a, &rows);
        if (r != ADM_OK)
                return r;
        print_header();
        return print_target(a, path, (uint32_t)a->tid, a->lun, a->sid, rows);
}

int adm_system_stat(Adm *a)
{
        _cleanup_json_ json_t *rows = NULL, *targets = NULL;
        const json_t *t;
        size_t i;
        int r = adm_targets(a, &targets);

        if (r == ADM_OK)
                r = get_rows(a, &rows);
        if (r == ADM_OK)
                print_header();
        json_array_foreach (targets, i, t)
                if (r == ADM_OK && json_number(t, "NSessions") > 0)
                        r = print_target(a, json_text(t, "Object"), (uint32_t)json_number(t, "Tid"),
                                         UINT64_MAX, UINT64_MAX, rows);
        return r;
}

static void print_connection(const json_t *session)
{
        (void)printf("sid cid rxdata_octets txdata_octets dataout_pdus datain_pdus cmd_pdus "
                     "rsp_pdus\n"
                     "%3lld %3lld %13" PRIu64 " %13" PRIu64 " %12" PRIu64 " %11" PRIu64 " %8" PRIu64
                     " %8" PRIu64 "\n",
                     (long long)json_number(session, "Id"), (long long)json_number(session, "Cid"),
                     statistic(session, "rx-bytes"), statistic(session, "tx-bytes"),
                     statistic(session, "data-out-pdus"), statistic(session, "data-in-pdus"),
                     statistic(session, "commands"), statistic(session, "responses"));
}

int adm_connection_stat(Adm *a)
{
        _cleanup_json_ json_t *session = NULL;
        int r = adm_get_session(a, NULL, &session);

        if (r == ADM_OK)
                r = adm_check_connection(a, session);
        if (r == ADM_OK)
                print_connection(session);
        return r;
}

int adm_session_stat(Adm *a)
{
        _cleanup_json_ json_t *session = NULL, *rows = NULL, *target = NULL;
        g_autofree char *path = NULL;
        g_autoptr(GArray) luns = NULL;
        int code, r = adm_get_session(a, NULL, &session);

        if (r != ADM_OK)
                return r;
        code = model_resolve(a->ctl, json_text(session, "Target"), NULL, &path);
        if (code == EXIT_CODE_OK)
                code = ctl_get_all(a->ctl, path, IFACE("Target"), &target);
        if (code != EXIT_CODE_OK)
                return adm_failed(a, code);
        r = get_luns(a, path, &luns);
        if (r == ADM_OK)
                r = get_rows(a, &rows);
        if (r != ADM_OK)
                return r;
        print_header();
        for (guint i = luns->len; i > 0; i--) {
                uint64_t lun = g_array_index(luns, uint64_t, i - 1);

                print_row((uint32_t)json_number(target, "Tid"), lun, a->sid,
                          find_row(rows, a->sid, lun));
        }
        (void)printf("\n");
        print_connection(session);
        return ADM_OK;
}
