/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/tgtadm.h"

/* Sessions and their connections: one each. */

static void print_connection(const json_t *s, bool full)
{
        g_autofree char *address = adm_peer_address(json_text(s, "Peer"));
        const char *alias = json_text(s, "Alias");

        (void)printf("Session: %lld\n", (long long)json_number(s, "Id"));
        if (full)
                (void)printf("    Target: %s\n"
                             "    Initiator: %s alias: %s\n",
                             json_text(s, "Target"), json_text(s, "Initiator"),
                             *alias ? alias : "none");
        (void)printf("    Connection: %lld\n"
                     "        Initiator: %s\n"
                     "        IP Address: %s\n",
                     (long long)json_number(s, "Cid"), json_text(s, "Initiator"), address);
}

int adm_connection_show(Adm *a)
{
        _cleanup_json_ json_t *sessions = NULL;
        g_autofree char *path = NULL;
        const json_t *s;
        size_t i;
        int r = adm_target(a, NULL, &path);

        if (r == ADM_OK)
                r = adm_sessions(a, path, &sessions);
        json_array_foreach (sessions, i, s)
                print_connection(s, false);
        return r;
}

int adm_session_show(Adm *a)
{
        _cleanup_json_ json_t *sessions = NULL;
        g_autofree char *path = NULL;
        const json_t *s;
        bool found = false;
        size_t i;
        int r = adm_value(a, 't') ? adm_target(a, NULL, &path) : ADM_OK;

        if (r == ADM_OK)
                r = adm_sessions(a, path, &sessions);
        json_array_foreach (sessions, i, s) {
                if (adm_value(a, 's') && (uint64_t)json_number(s, "Id") != a->sid)
                        continue;
                print_connection(s, true);
                found = true;
        }
        if (r == ADM_OK && !found && adm_value(a, 's'))
                return adm_fail(a, "can't find the session", NULL);
        return r;
}

int adm_get_session(Adm *a, char **ret_path, json_t **ret)
{
        g_autofree char *path = NULL;
        int code;

        if (!adm_value(a, 's'))
                return adm_fail(a, "can't find the session", NULL);
        code = model_get_session(a->ctl, a->sid, &path);
        if (code == EXIT_CODE_OK)
                code = ctl_get_all(a->ctl, path, IFACE("Session"), ret);
        if (code != EXIT_CODE_OK)
                return adm_failed(a, code);
        if (ret_path)
                *ret_path = TAKE_PTR(path);
        return ADM_OK;
}

int adm_check_connection(Adm *a, const json_t *session)
{
        if (!adm_value(a, 'c') || json_number(session, "Cid") != (json_int_t)a->cid)
                return adm_fail(a, "can't find the connection", NULL);
        return ADM_OK;
}

int adm_connection_delete(Adm *a)
{
        _cleanup_json_ json_t *session = NULL;
        g_autofree char *path = NULL, *target = NULL;
        sd_bus_message *m = NULL;
        int r = ADM_OK;

        if (adm_value(a, 't')) {
                a->not_found = "can't find the target";
                r = adm_target(a, &target, NULL);
                a->not_found = "can't find the session";
        }
        if (r == ADM_OK)
                r = adm_get_session(a, &path, &session);
        if (r == ADM_OK && target && !STREQ(target, json_text(session, "Target")))
                return adm_fail(a, a->not_found, NULL);
        if (r == ADM_OK)
                r = adm_check_connection(a, session);
        if (r == ADM_OK)
                r = adm_call(a, path, IFACE("Session"), "End", &m);
        return r == ADM_OK ? adm_action(a, m, 0) : r;
}
