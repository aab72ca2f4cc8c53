/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>

#include "bus/authority.h"
#include "bus/polkit.h"

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"
#define POLKIT_ALLOW_USER_INTERACTION 1u

#define ANSWER_TIMEOUT_USEC (60 * UINT64_C(1000000))
/* A person types a password; the question ends with the caller. */
#define INTERACTIVE_TIMEOUT_USEC UINT64_MAX

static int append_detail(sd_bus_message *m, const char *name, const char *value)
{
        return value ? sd_bus_message_append(m, "{ss}", name, value) : 0;
}

/* What a rule can decide on. The secret is not among them. */
static int append_details(sd_bus_message *m, const Call *call, const Check *check)
{
        const char *kind = call->edit.kind;
        char lun[8];
        int r;

        snprintf(lun, sizeof(lun), "%u", check->also ? check->also->lun : call->edit.lun);
        r = sd_bus_message_open_container(m, 'a', "{ss}");
        if (r >= 0)
                r = append_detail(m, "method", call->row->member);
        if (r >= 0)
                r = append_detail(m, "target",
                                  check->also ? check->also->target : call->edit.target);
        if (r >= 0)
                r = append_detail(m, "lun", call->edit.has_lun ? lun : NULL);
        if (r >= 0)
                r = append_detail(m, "unit", call->uuid);
        if (r >= 0)
                r = append_detail(m, "initiator", kind ? call->edit.value : call->initiator);
        if (r >= 0)
                r = append_detail(m, "user", call->edit.user);
        if (r >= 0)
                r = append_detail(m, "portal", call->edit.address);
        if (r >= 0)
                r = append_detail(m, "path", check->path);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r;
}

static void refuse(Call *call, const Check *check, const char *why)
{
        call_fail_named(call, SD_BUS_ERROR_ACCESS_DENIED, "%s (polkit action %s%s%s)", why,
                        check->action, check->path ? ", path " : "",
                        check->path ? check->path : "");
}

static const char *reason_of(const sd_bus_error *e)
{
        if (sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
            sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER))
                return "polkit is not running, so nobody may change anything over this bus; root "
                       "can with tgtctl";
        if (sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY) ||
            sd_bus_error_has_name(e, SD_BUS_ERROR_TIMEOUT))
                return "polkit does not answer";
        if (sd_bus_error_has_name(e, POLKIT_NAME ".Error.Cancelled"))
                return "The authentication was dismissed";
        return "polkit refused to decide";
}

static int polkit_answer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        Call *call = userdata;
        const Check *check = &g_array_index(call->checks, Check, call->n_passed);
        const sd_bus_error *e = sd_bus_message_get_error(m);
        int authorized, challenge;

        call->pending = sd_bus_slot_unref(call->pending);
        g_clear_pointer(&call->cancellation, g_free);

        if (e) {
                refuse(call, check, reason_of(e));
        } else if (sd_bus_message_enter_container(m, 'r', "bba{ss}") < 0 ||
                   sd_bus_message_read(m, "bb", &authorized, &challenge) < 0) {
                refuse(call, check, "polkit gave an answer that makes no sense");
        } else if (authorized) {
                call->n_passed++;
                authority_next(call);
        } else if (challenge) {
                call_fail_named(call, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                                "This needs authentication (polkit action %s); allow interactive "
                                "authorization in the call, or ask as root",
                                check->action);
        } else {
                refuse(call, check, "You are not allowed to do this");
        }
        return 0;
}

static int ask(Call *call, const Check *check)
{
        sd_bus *bus = call->connection->bus;
        bool interactive = sd_bus_message_get_allow_interactive_authorization(call->message) > 0;
        sd_bus_message *m = NULL;
        int r;

        call->cancellation = g_strdup_printf("tgtd-%" PRIu64, call->server->next_cancellation++);
        r = sd_bus_message_new_method_call(bus, &m, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                           "CheckAuthorization");
        if (r >= 0)
                r = sd_bus_message_append(m, "(sa{sv})s", "system-bus-name", 1, "name", "s",
                                          sd_bus_message_get_sender(call->message), check->action);
        if (r >= 0)
                r = append_details(m, call, check);
        if (r >= 0)
                r = sd_bus_message_append(m, "us", interactive ? POLKIT_ALLOW_USER_INTERACTION : 0u,
                                          call->cancellation);
        if (r >= 0)
                r = sd_bus_call_async(bus, &call->pending, m, polkit_answer, call,
                                      interactive ? INTERACTIVE_TIMEOUT_USEC : ANSWER_TIMEOUT_USEC);
        sd_bus_message_unref(m);
        return r;
}

void polkit_ask(Call *call, const Check *check)
{
        if (ask(call, check) < 0)
                refuse(call, check, "Cannot ask polkit");
}

void polkit_cancel(Call *call)
{
        if (!call->cancellation)
                return;
        /* nobody waits for the answer: a question that is over by now is no fault */
        if (call->connection && call->connection->bus)
                (void)sd_bus_call_method_async(
                        call->connection->bus, NULL, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                        "CancelCheckAuthorization", NULL, NULL, "s", call->cancellation);
        g_clear_pointer(&call->cancellation, g_free);
}
