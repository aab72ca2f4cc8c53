/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <systemd/sd-login.h>

#include "bus/apply.h"
#include "bus/authority.h"
#include "bus/methods.h"
#include "bus/polkit.h"

#define MANAGER "org.tgt1.Manager"
#define TARGET "org.tgt1.Target"
#define UNIT "org.tgt1.LogicalUnit"

#define CREDENTIALS_TIMEOUT_USEC (25 * UINT64_C(1000000))

static bool edit_includes(const Call *call)
{
        return config_text_includes(call->edit.text);
}

static bool text_includes(const Call *call)
{
        return config_text_includes(call->text);
}

static int paths_of_edit(Call *call, GPtrArray *paths, BusError *e)
{
        return edit_new_paths(manager_desired(call->server->manager), call->row->edit, &call->edit,
                              paths, e);
}

static int paths_of_copy(Call *call, GPtrArray *paths, BusError *e)
{
        g_ptr_array_add(paths, g_strdup(call->text));
        return 0;
}

/* clang-format off */
static const MethodRow table[] = {
        /* interface, member, action, arguments, and what it does */
        { MANAGER, "ListTargets", NULL, parse_page_text, run_list_targets },
        { MANAGER, "ListLogicalUnits", NULL, parse_page_text, run_list_units },
        { MANAGER, "ListSessions", NULL, parse_page_id, run_list_sessions },
        { MANAGER, "ListPortals", NULL, parse_nothing, run_list_portals },
        { MANAGER, "ListLogicalUnitStatistics", NULL, parse_page_text, run_list_unit_statistics },
        { MANAGER, "ListSessionStatistics", NULL, parse_page_id, run_list_session_statistics },
        { MANAGER, "ListNexusStatistics", NULL, parse_page_nexus, run_list_nexus_statistics },
        { MANAGER, "ListWorkerStatistics", NULL, parse_nothing, run_list_worker_statistics },
        { MANAGER, "GetTarget", NULL, parse_get_target, run_get_target },
        { MANAGER, "GetTargetByTid", NULL, parse_get_tid, run_get_target_by_tid },
        { MANAGER, "GetLogicalUnit", NULL, parse_get_unit, run_get_unit },
        { MANAGER, "GetSession", NULL, parse_get_session, run_get_session },
        { MANAGER, "CreateTarget", ACTION_TARGET, parse_create_target,
          .edit = edit_create_target, .reply = reply_target, .options = OPTIONS_FILE | OPTION_TRANSIENT,
          .paths = paths_of_edit, .sensitive = true },
        { MANAGER, "ReplaceTarget", ACTION_TARGET, parse_replace_target,
          .edit = edit_replace_target, .reply = reply_target, .options = OPTIONS_EDIT | OPTION_ABSENT,
          .includes = edit_includes, .paths = paths_of_edit, .sensitive = true },
        { MANAGER, "DeleteTarget", ACTION_TARGET, parse_delete_target,
          .edit = edit_delete_target, .options = OPTIONS_EDIT },
        { MANAGER, "AddPortal", ACTION_PORTAL, parse_portal,
          .edit = edit_add_portal, .reply = reply_portal, .options = OPTIONS_PORTAL },
        { MANAGER, "RemovePortal", ACTION_PORTAL, parse_portal,
          .edit = edit_remove_portal, .options = OPTIONS_EDIT },
        { MANAGER, "AddDiscoveryAccount", ACTION_ACCOUNT, parse_account,
          .edit = edit_add_discovery_account, .options = OPTIONS_EDIT, .sensitive = true },
        { MANAGER, "RemoveDiscoveryAccount", ACTION_ACCOUNT, parse_account_name,
          .edit = edit_remove_discovery_account, .options = OPTIONS_EDIT },
        { MANAGER, "AddAccount", ACTION_ACCOUNT, parse_new_account,
          .edit = edit_new_account, .options = OPTIONS_EDIT, .sensitive = true },
        { MANAGER, "RemoveAccount", ACTION_ACCOUNT, parse_delete_account,
          .edit = edit_delete_account, .options = OPTIONS_EDIT },
        { MANAGER, "BindAccount", ACTION_ACCOUNT, parse_bind_account,
          .edit = edit_bind_account, .options = OPTIONS_EDIT },
        { MANAGER, "SetOffline", ACTION_DAEMON, parse_flag, run_set_offline },
        { MANAGER, "SetDebug", ACTION_DAEMON, parse_flag, run_set_debugging },
        { MANAGER, "Stop", ACTION_DAEMON, parse_quit, run_quit, .options = OPTION_FORCE },
        { MANAGER, "Reload", ACTION_RELOAD, parse_options, run_reload,
          .options = OPTIONS_RELOAD },
        { MANAGER, "Compare", ACTION_RELOAD, parse_options, run_compare },
        { MANAGER, "Apply", ACTION_APPLY, parse_apply, run_apply,
          .options = OPTIONS_EDIT | OPTION_PRUNE,
          .includes = apply_includes, .paths = apply_new_paths, .sensitive = true },
        { MANAGER, "Confirm", ACTION_APPLY, parse_options, run_confirm,
          .options = OPTION_GENERATION },
        { MANAGER, "Rollback", ACTION_APPLY, parse_options, run_rollback,
          .options = OPTION_GENERATION },
        { MANAGER, "Verify", ACTION_RELOAD, parse_verify, run_verify },
        { MANAGER, "VerifyText", ACTION_RELOAD, parse_verify_text, run_verify_text,
          .includes = text_includes, .sensitive = true },
        { MANAGER, "Dump", NULL, parse_dump, run_dump,
          .options = OPTION_WITH_SECRETS | OPTION_WITH_IDENTITIES | OPTION_TARGET },

        { TARGET, "AddLogicalUnit", ACTION_LUN, parse_add_lun,
          .edit = edit_add_lun, .reply = reply_lun, .options = OPTIONS_FILE,
          .paths = paths_of_edit },
        { TARGET, "RemoveLogicalUnit", ACTION_LUN, parse_lun,
          .edit = edit_remove_lun, .options = OPTIONS_EDIT },
        { TARGET, "SetLogicalUnit", ACTION_LUN, parse_set_lun,
          .edit = edit_set_lun, .options = OPTIONS_EDIT, .paths = paths_of_edit },
        { TARGET, "Allow", ACTION_ACCESS, parse_acl,
          .edit = edit_allow, .reply = reply_acl, .options = OPTIONS_EDIT },
        { TARGET, "Deny", ACTION_ACCESS, parse_acl,
          .edit = edit_deny, .options = OPTIONS_EDIT },
        { TARGET, "SetInitiatorLimits", ACTION_ACCESS, parse_limits,
          .edit = edit_set_limits, .options = OPTIONS_EDIT },
        { TARGET, "AddAccount", ACTION_ACCOUNT, parse_account,
          .edit = edit_add_account, .reply = reply_account, .options = OPTIONS_EDIT,
          .sensitive = true },
        { TARGET, "RemoveAccount", ACTION_ACCOUNT, parse_account_name,
          .edit = edit_remove_account, .options = OPTIONS_EDIT },
        { TARGET, "Set", ACTION_TARGET, parse_set,
          .edit = edit_set, .options = OPTIONS_EDIT, .paths = paths_of_edit },
        { TARGET, "ListSessions", NULL, parse_page_id, run_list_sessions },
        { TARGET, "Delete", ACTION_TARGET, parse_options,
          .edit = edit_delete_target, .options = OPTIONS_EDIT },

        { "org.tgt1.Acl", "Remove", ACTION_ACCESS, parse_acl_object,
          .edit = edit_deny, .options = OPTIONS_EDIT },
        { "org.tgt1.Account", "Remove", ACTION_ACCOUNT, parse_account_object,
          .edit = edit_remove_account, .options = OPTIONS_EDIT },

        { UNIT, "Refresh", ACTION_LUN, parse_unit, run_refresh_unit },
        { UNIT, "SetStoreOptions", ACTION_LUN, parse_unit_options, run_configure_unit },
        { UNIT, "Sanitize", ACTION_SANITIZE, parse_sanitize, run_operate_unit,
          .options = OPTIONS_OVERWRITE | OPTION_RESTRICTED | OPTION_FORCE },
        { UNIT, "Format", ACTION_FORMAT, parse_format, run_operate_unit,
          .options = OPTION_PATTERN | OPTION_FORCE },
        { UNIT, "Copy", ACTION_COPY, parse_copy, run_copy_unit,
          .options = OPTION_PREALLOCATE | OPTION_FORCE, .paths = paths_of_copy, .with_caller = true },
        { UNIT, "ExitFailure", ACTION_SANITIZE, parse_exit_failure, run_operate_unit },

        { "org.tgt1.Session", "End", ACTION_SESSION, parse_session, run_end_session },
};
/* clang-format on */

const MethodRow *authority_table(size_t *ret_n)
{
        *ret_n = ELEMENTSOF(table);
        return table;
}

const MethodRow *authority_find(const char *interface, const char *member)
{
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (STREQ(table[i].interface, interface) && STREQ(table[i].member, member))
                        return &table[i];
        return NULL;
}

/* Stores that the change would open and that are not in a trusted directory. */
static int add_path_checks(Call *call)
{
        g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
        Manager *manager = call->server->manager;
        BusError e = { 0 };

        if (!call->row->paths)
                return 0;
        if (call->row->paths(call, paths, &e) < 0) {
                call_fail(call, &e);
                bus_error_clear(&e);
                return -1;
        }
        for (guint i = 0; i < paths->len; i++)
                if (!manager_path_is_trusted(manager, g_ptr_array_index(paths, i)))
                        call_add_check(call, ACTION_ANY_PATH, g_ptr_array_index(paths, i));
        return 0;
}

/* As Verify, which names files: what is wrong with them is told. */
static int add_include_check(Call *call)
{
        if (call->row->includes && call->row->includes(call))
                call_add_check(call, ACTION_ANY_PATH, NULL);
        return 0;
}

void authority_next(Call *call)
{
        /* What a probe answers, and its time, is for those who may make the change. Each comes
         * after the checks of those before it. */
        static int (*const probes[])(Call * call) = { add_include_check, add_path_checks };

        while (call->n_passed == call->checks->len && call->n_probes < ELEMENTSOF(probes))
                if (probes[call->n_probes++](call) < 0)
                        return;
        if (call->n_passed < call->checks->len)
                polkit_ask(call, &g_array_index(call->checks, Check, call->n_passed));
        else
                call_run(call);
}

static void identify(Call *call, uid_t uid, pid_t pid)
{
        call->identified = true;
        call->uid = uid;
        call->pid = pid;
        /* for the audit entry only: the process may be gone, or somebody else by now */
        if (pid > 0 && sd_pid_get_unit(pid, &call->unit) < 0 &&
            sd_pid_get_user_unit(pid, &call->unit) < 0)
                call->unit = NULL;
}

static int read_credentials(sd_bus_message *m, uint32_t *ret_uid, uint32_t *ret_pid)
{
        const char *name;
        bool found = false;
        int r;

        *ret_pid = 0;
        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &name);
                if (r < 0)
                        return r;
                if (STREQ(name, "UnixUserID")) {
                        r = sd_bus_message_read(m, "v", "u", ret_uid);
                        found = true;
                } else if (STREQ(name, "ProcessID")) {
                        r = sd_bus_message_read(m, "v", "u", ret_pid);
                } else {
                        r = sd_bus_message_skip(m, "v");
                }
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        return found ? 0 : -ENODATA;
}

/* More clients are no way round the limit of one. */
static bool user_asks_too_much(const Call *call)
{
        unsigned n = 0;

        LIST_FOREACH (other, &call->server->calls, Call, node)
                if (other->identified && other->connection == call->connection &&
                    other->uid == call->uid)
                        n++;
        return n > CALLS_PER_USER_MAX; /* call itself is one of them */
}

static int credentials_answer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        Call *call = userdata;
        uint32_t uid, pid;

        call->pending = sd_bus_slot_unref(call->pending);
        if (sd_bus_message_is_method_error(m, NULL)) {
                call_free(call); /* the bus knows no such name: the caller is gone */
                return 0;
        }
        if (read_credentials(m, &uid, &pid) < 0) {
                call_fail_named(call, SD_BUS_ERROR_ACCESS_DENIED,
                                "The bus does not say who is asking");
                return 0;
        }
        identify(call, (uid_t)uid, (pid_t)pid);
        if (user_asks_too_much(call))
                call_fail_named(call, ERROR_LIMIT,
                                "Too many calls of this user wait for an answer; wait for some");
        else if (call->connection->kind == CONNECTION_SYSTEM)
                authority_next(call);
        else if (uid == 0 || uid == geteuid())
                call_run(call);
        else
                call_fail_named(call, SD_BUS_ERROR_ACCESS_DENIED,
                                "On this bus only root and the user that runs tgtd may do this");
        return 0;
}

static int caller_gone(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        Call *call = userdata;

        if (!call->running) {
                call_free(call);
                return 0;
        }
        call->connection = NULL;
        call_give_up_file(call);
        return 0;
}

static int watch_caller(Call *call, const char *sender)
{
        _cleanup_free_ char *match = NULL;

        if (asprintf(&match,
                     "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                     "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s',arg2=''",
                     sender) < 0) {
                match = NULL;
                return -ENOMEM;
        }
        return sd_bus_add_match_async(call->connection->bus, &call->watch, match, caller_gone, NULL,
                                      call);
}

/* Asks the bus who the caller is, and to be told when it goes; neither waits. */
static int ask_credentials(Call *call)
{
        const char *sender = sd_bus_message_get_sender(call->message);
        sd_bus *bus = call->connection->bus;
        sd_bus_message *m = NULL;
        int r;

        if (!sender)
                return -ENXIO;
        /* before the question, so that there is no moment in which it could go unseen */
        r = watch_caller(call, sender);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_call(bus, &m, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                           "org.freedesktop.DBus", "GetConnectionCredentials");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", sender);
        if (r >= 0)
                r = sd_bus_call_async(bus, &call->pending, m, credentials_answer, call,
                                      CREDENTIALS_TIMEOUT_USEC);
        sd_bus_message_unref(m);
        return r;
}

void authority_start(Call *call)
{
        int r;

        if (call->connection->kind == CONNECTION_PEER) {
                identify(call, call->connection->uid, call->connection->pid);
                call_run(call);
                return;
        }
        if (call->checks->len == 0) {
                call_run(call);
                return;
        }
        r = ask_credentials(call);
        if (r < 0)
                call_fail_named(call, SD_BUS_ERROR_ACCESS_DENIED, "Cannot find out who asks: %s",
                                g_strerror(-r));
}
