/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bus/objects.h"

static Manager *manager_of(void *userdata)
{
        const ObjectRef *object = userdata;

        return object->connection->server->manager;
}

GETTER(get_version)
{
        return sd_bus_message_append(reply, "s", TGT_VERSION);
}

GETTER(get_state)
{
        return sd_bus_message_append(reply, "s", manager_state(manager_of(userdata)));
}

GETTER(get_generation)
{
        return sd_bus_message_append(reply, "t", manager_generation(manager_of(userdata)));
}

GETTER(get_n_targets)
{
        const Desired *d = manager_desired(manager_of(userdata));

        return sd_bus_message_append(reply, "u", (uint32_t)g_hash_table_size(d->targets));
}

GETTER(get_n_units)
{
        return sd_bus_message_append(reply, "u", (uint32_t)manager_n_units(manager_of(userdata)));
}

GETTER(get_n_sessions)
{
        return sd_bus_message_append(reply, "u",
                                     (uint32_t)manager_n_sessions(manager_of(userdata), NULL));
}

GETTER(get_store_types)
{
        const char *const *types = manager_store_types(manager_of(userdata));

        return sd_bus_message_append_strv(reply, (char **)types);
}

static ArmedInfo armed_info(void *userdata)
{
        ArmedInfo info = { 0 };

        (void)manager_armed(manager_of(userdata), &info);
        return info;
}

GETTER(get_confirm_until)
{
        return sd_bus_message_append(reply, "t", armed_info(userdata).until_usec);
}

GETTER(get_confirm_generation)
{
        return sd_bus_message_append(reply, "t", armed_info(userdata).generation);
}

GETTER(get_confirm_by)
{
        return append_text(reply, armed_info(userdata).by);
}

GETTER(get_confirm_changes)
{
        return append_changes(reply, armed_info(userdata).changes);
}

#define OPERATIONS_MAX 1024

GETTER(get_operations)
{
        const ObjectRef *object = userdata;
        const char *uuids[OPERATIONS_MAX];
        size_t n =
                manager_operations(object->connection->server->manager, uuids, ELEMENTSOF(uuids));
        int r = sd_bus_message_open_container(reply, 'a', "o");

        for (size_t i = 0; r >= 0 && i < n; i++)
                r = append_path(reply, path_of_unit(uuids[i]));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_account(sd_bus_message *m, const AccountSpec *a, const char *direction)
{
        int r = sd_bus_message_open_container(m, 'r', "ss");

        if (r >= 0)
                r = append_text(m, a->user);
        if (r >= 0)
                r = append_text(m, direction);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

GETTER(get_discovery_accounts)
{
        const Desired *d = manager_desired(manager_of(userdata));
        int r = sd_bus_message_open_container(reply, 'a', "(ss)");

        for (guint i = 0; r >= 0 && i < d->discovery_incoming->len; i++)
                r = append_account(reply, g_ptr_array_index(d->discovery_incoming, i),
                                   DIRECTION_INCOMING);
        if (r >= 0 && d->discovery_outgoing)
                r = append_account(reply, d->discovery_outgoing, DIRECTION_OUTGOING);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_user(sd_bus_message *m, GHashTable *seen, const AccountSpec *a)
{
        if (!a || !g_hash_table_add(seen, a->user))
                return 0;
        return append_text(m, a->user);
}

static int append_users(sd_bus_message *m, GHashTable *seen, const GPtrArray *accounts)
{
        int r = 0;

        for (guint i = 0; r >= 0 && i < accounts->len; i++)
                r = append_user(m, seen, g_ptr_array_index(accounts, i));
        return r;
}

GETTER(get_accounts)
{
        const Desired *d = manager_desired(manager_of(userdata));
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        int r = sd_bus_message_open_container(reply, 'a', "s");

        if (r >= 0)
                r = append_users(reply, seen, d->accounts);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(get_offline)
{
        return sd_bus_message_append(reply, "b", (int)manager_is_offline(manager_of(userdata)));
}

GETTER(get_debug)
{
        return sd_bus_message_append(reply, "b", (int)manager_is_debugging(manager_of(userdata)));
}

GETTER(get_targets_conf)
{
        return append_text(reply, manager_targets_conf(manager_of(userdata)));
}

/* clang-format off */
const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Generation", "t", get_generation, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("NTargets", "u", get_n_targets, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("NLogicalUnits", "u", get_n_units, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("NSessions", "u", get_n_sessions, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("BackingStoreTypes", "as", get_store_types, 0,
                        SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("DiscoveryAccounts", "a(ss)", get_discovery_accounts, 0,
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),

        SD_BUS_PROPERTY("Accounts", "as", get_accounts, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Offline", "b", get_offline, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Debug", "b", get_debug, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("TargetsConf", "s", get_targets_conf, 0, SD_BUS_VTABLE_PROPERTY_CONST),

        SD_BUS_PROPERTY("ConfirmUntil", "t", get_confirm_until, 0,
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ConfirmGeneration", "t", get_confirm_generation, 0,
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ConfirmBy", "s", get_confirm_by, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Operations", "ao", get_operations, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ConfirmChanges", "as", get_confirm_changes, 0,
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),

        SD_BUS_METHOD_WITH_ARGS("ListTargets", SD_BUS_ARGS("s", after, "u", max),
                                SD_BUS_RESULT("a(sousuu)", targets), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListLogicalUnits", SD_BUS_ARGS("s", after, "u", max),
                                SD_BUS_RESULT("a(sosssstua(sq))", units), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListSessions", SD_BUS_ARGS("t", after, "u", max),
                                SD_BUS_RESULT("a(tossst)", sessions), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListPortals", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("a(soqs)", portals), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListLogicalUnitStatistics", SD_BUS_ARGS("s", after, "u", max),
                                SD_BUS_RESULT("a(sa(sq)" STATISTICS LATENCY ")", units), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListSessionStatistics", SD_BUS_ARGS("t", after, "u", max),
                                SD_BUS_RESULT("a(tss" STATISTICS LATENCY ")", sessions), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListNexusStatistics",
                                SD_BUS_ARGS("t", session, "u", lun, "u", max),
                                SD_BUS_RESULT("a(tssq" STATISTICS ")", rows), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListWorkerStatistics", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("a(u" STATISTICS LATENCY ")", workers), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetTarget", SD_BUS_ARGS("s", name), SD_BUS_RESULT("o", target),
                                call_entry, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetTargetByTid", SD_BUS_ARGS("u", tid), SD_BUS_RESULT("o", target),
                                call_entry, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetLogicalUnit", SD_BUS_ARGS("s", uuid),
                                SD_BUS_RESULT("o", unit), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetSession", SD_BUS_ARGS("t", id), SD_BUS_RESULT("o", session),
                                call_entry, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CreateTarget",
                                SD_BUS_ARGS("s", name, "a{sas}", directives, "a{sv}", options),
                                SD_BUS_RESULT("o", target, "as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ReplaceTarget",
                                SD_BUS_ARGS("s", name, "s", text, "a{sv}", options),
                                SD_BUS_RESULT("o", target, "as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("DeleteTarget", SD_BUS_ARGS("s", name, "a{sv}", options),
                                SD_BUS_RESULT("as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("AddPortal", SD_BUS_ARGS("s", address, "a{sv}", options),
                                SD_BUS_RESULT("o", portal, "as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RemovePortal", SD_BUS_ARGS("s", address, "a{sv}", options),
                                SD_BUS_RESULT("as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("AddDiscoveryAccount",
                                SD_BUS_ARGS("s", user, "s", secret, "s", direction, "a{sv}",
                                            options),
                                SD_BUS_RESULT("as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RemoveDiscoveryAccount",
                                SD_BUS_ARGS("s", user, "s", direction, "a{sv}", options),
                                SD_BUS_RESULT("as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("AddAccount",
                                SD_BUS_ARGS("s", user, "s", secret, "a{sv}", options),
                                SD_BUS_RESULT("as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RemoveAccount", SD_BUS_ARGS("s", user, "a{sv}", options),
                                SD_BUS_RESULT("as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("BindAccount",
                                SD_BUS_ARGS("s", target, "s", user, "s", direction, "a{sv}",
                                            options),
                                SD_BUS_RESULT("as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetOffline", SD_BUS_ARGS("b", offline, "a{sv}", options),
                                SD_BUS_NO_RESULT, call_entry, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetDebug", SD_BUS_ARGS("b", debug, "a{sv}", options),
                                SD_BUS_NO_RESULT, call_entry, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Stop", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                call_entry, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("as", changes, "a(sussss)", problems), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Compare", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("t", generation, "a(sssia(sasas))", changes,
                                              "a(sussss)", problems),
                                call_entry, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Apply", SD_BUS_ARGS("a(ss)", fragments, "a{sv}", options),
                                SD_BUS_RESULT("t", generation, "a(sssia(sasas))", changes,
                                              "a(sussss)", problems),
                                call_entry, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Confirm", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Rollback", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Verify", SD_BUS_ARGS("as", files, "a{sv}", options),
                                SD_BUS_RESULT("a(sussss)", problems), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("VerifyText",
                                SD_BUS_ARGS("s", name, "s", text, "a{sv}", options),
                                SD_BUS_RESULT("a(sussss)", problems), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Dump", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("s", text),
                                call_entry, SD_BUS_VTABLE_UNPRIVILEGED),

        SD_BUS_SIGNAL_WITH_ARGS("LoginRejected",
                                SD_BUS_ARGS("s", target, "s", initiator, "s", peer, "s", reason,
                                            "q", status),
                                0),
        SD_BUS_SIGNAL_WITH_ARGS("FileProgress", SD_BUS_ARGS("s", path, "t", done, "t", total), 0),
        SD_BUS_VTABLE_END
};
/* clang-format on */
