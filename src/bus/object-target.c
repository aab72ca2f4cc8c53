/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bus/objects.h"
#include "bus/transient.h"

static const TargetSpec *target_of(void *userdata)
{
        const ObjectRef *object = userdata;

        return object->target;
}

static Manager *manager_of(void *userdata)
{
        const ObjectRef *object = userdata;

        return object->connection->server->manager;
}

GETTER(get_name)
{
        return append_text(reply, target_of(userdata)->name);
}

GETTER(get_alias)
{
        return append_text(reply, target_of(userdata)->alias);
}

GETTER(get_tid)
{
        return sd_bus_message_append(
                reply, "u", manager_target_tid(manager_of(userdata), target_of(userdata)->name));
}

GETTER(get_state)
{
        return append_text(reply, target_of(userdata)->online ? "online" : "offline");
}

GETTER(get_persistence)
{
        static const char *const names[] = {
                [TARGET_FRAGMENT] = "fragment",
                [TARGET_SAVED] = "saved",
                [TARGET_RUNTIME] = "runtime",
                [TARGET_TRANSIENT] = "transient",
        };

        return append_text(reply, names[target_of(userdata)->persistence]);
}

GETTER(get_owner)
{
        const ObjectRef *object = userdata;

        return append_text(reply,
                           transient_owner(object->connection->server, object->target->name));
}

GETTER(get_source)
{
        const Origin *at = &target_of(userdata)->at;
        int r = sd_bus_message_open_container(reply, 'r', "su");

        if (r >= 0)
                r = append_text(reply, at->file);
        if (r >= 0)
                r = sd_bus_message_append(reply, "u", (uint32_t)at->line);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(get_luns)
{
        const TargetSpec *t = target_of(userdata);
        int r = sd_bus_message_open_container(reply, 'a', "(qo)");

        for (guint i = 0; r >= 0 && i < t->luns->len; i++) {
                const LunSpec *l = g_ptr_array_index(t->luns, i);
                const char *uuid = manager_unit_of(manager_of(userdata), t->name, l->lun);

                r = sd_bus_message_open_container(reply, 'r', "qo");
                if (r >= 0)
                        r = sd_bus_message_append(reply, "q", l->lun);
                if (r >= 0)
                        r = append_path(reply, uuid ? path_of_unit(uuid) : strdup("/"));
                if (r >= 0)
                        r = sd_bus_message_close_container(reply);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(get_access)
{
        return append_text(reply, target_spec_access(target_of(userdata)));
}

static int append_acls(sd_bus_message *m, const TargetSpec *t, const char *kind,
                       const GPtrArray *list)
{
        int r = 0;

        for (guint i = 0; r >= 0 && i < list->len; i++)
                r = append_path(m, path_of_acl(t->name, kind, g_ptr_array_index(list, i)));
        return r;
}

GETTER(get_acls)
{
        const TargetSpec *t = target_of(userdata);
        int r = sd_bus_message_open_container(reply, 'a', "o");

        if (r >= 0)
                r = append_acls(reply, t, KIND_NAME, t->names);
        if (r >= 0)
                r = append_acls(reply, t, KIND_ADDRESS, t->addresses);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(get_initiator_limits)
{
        const TargetSpec *t = target_of(userdata);
        int r = sd_bus_message_open_container(reply, 'a', "{sa{st}}");

        for (guint i = 0; r >= 0 && i < t->limits->len; i++) {
                const InitiatorLimit *l = g_ptr_array_index(t->limits, i);

                r = sd_bus_message_open_container(reply, 'e', "sa{st}");
                if (r >= 0)
                        r = append_text(reply, l->initiator);
                if (r >= 0)
                        r = append_limits(reply, &l->limits);
                if (r >= 0)
                        r = sd_bus_message_close_container(reply);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(get_accounts)
{
        const TargetSpec *t = target_of(userdata);
        int r = sd_bus_message_open_container(reply, 'a', "o");

        for (guint i = 0; r >= 0 && i < t->incoming->len; i++) {
                const AccountSpec *a = g_ptr_array_index(t->incoming, i);

                r = append_path(reply, path_of_account(t->name, DIRECTION_INCOMING, a->user));
        }
        if (r >= 0 && t->outgoing)
                r = append_path(reply,
                                path_of_account(t->name, DIRECTION_OUTGOING, t->outgoing->user));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(get_n_sessions)
{
        return sd_bus_message_append(
                reply, "u",
                (uint32_t)manager_n_sessions(manager_of(userdata), target_of(userdata)->name));
}

GETTER(get_parameters)
{
        g_autoptr(GPtrArray) params =
                manager_target_params(manager_of(userdata), target_of(userdata));
        int r = sd_bus_message_open_container(reply, 'a', "{ss}");

        for (guint i = 0; r >= 0 && i + 1 < params->len; i += 2)
                r = sd_bus_message_append(reply, "{ss}", g_ptr_array_index(params, i),
                                          g_ptr_array_index(params, i + 1));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(get_parent)
{
        return append_path(reply, path_of_target(target_of(userdata)->name));
}

GETTER(get_kind)
{
        const ObjectRef *object = userdata;

        return append_text(reply, object->kind);
}

GETTER(get_value)
{
        const ObjectRef *object = userdata;

        return append_text(reply, object->value);
}

GETTER(get_user)
{
        const ObjectRef *object = userdata;

        return append_text(reply, object->account->user);
}

GETTER(get_direction)
{
        const ObjectRef *object = userdata;

        return append_text(reply, object->direction);
}

/* clang-format off */
const sd_bus_vtable target_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Name", "s", get_name, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Alias", "s", get_alias, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Tid", "u", get_tid, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("State", "s", get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Owner", "s", get_owner, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Persistence", "s", get_persistence, 0,
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Source", "(su)", get_source, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("LogicalUnits", "a(qo)", get_luns, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Access", "s", get_access, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Acls", "ao", get_acls, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("InitiatorLimits", "a{sa{st}}", get_initiator_limits, 0,
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Accounts", "ao", get_accounts, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("NSessions", "u", get_n_sessions, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Parameters", "a{ss}", get_parameters, 0,
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),

        SD_BUS_METHOD_WITH_ARGS("AddLogicalUnit",
                                SD_BUS_ARGS("a{sas}", directives, "a{sv}", options),
                                SD_BUS_RESULT("q", lun, "o", unit, "as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RemoveLogicalUnit", SD_BUS_ARGS("q", lun, "a{sv}", options),
                                SD_BUS_RESULT("as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetLogicalUnit",
                                SD_BUS_ARGS("q", lun, "a{sas}", directives, "a{sv}", options),
                                SD_BUS_RESULT("as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Allow", SD_BUS_ARGS("s", kind, "s", value, "a{sv}", options),
                                SD_BUS_RESULT("o", acl, "as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Deny", SD_BUS_ARGS("s", kind, "s", value, "a{sv}", options),
                                SD_BUS_RESULT("as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetInitiatorLimits",
                                SD_BUS_ARGS("s", initiator, "a{st}", limits, "a{sv}", options),
                                SD_BUS_RESULT("as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("AddAccount",
                                SD_BUS_ARGS("s", user, "s", secret, "s", direction, "a{sv}",
                                            options),
                                SD_BUS_RESULT("o", account, "as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RemoveAccount",
                                SD_BUS_ARGS("s", user, "s", direction, "a{sv}", options),
                                SD_BUS_RESULT("as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Set", SD_BUS_ARGS("s", directive, "as", values, "a{sv}", options),
                                SD_BUS_RESULT("as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListSessions", SD_BUS_ARGS("t", after, "u", max),
                                SD_BUS_RESULT("a(tossst)", sessions), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Delete", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

const sd_bus_vtable acl_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Kind", "s", get_kind, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Value", "s", get_value, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Target", "o", get_parent, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_METHOD_WITH_ARGS("Remove", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

const sd_bus_vtable account_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("User", "s", get_user, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Direction", "s", get_direction, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Target", "o", get_parent, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_METHOD_WITH_ARGS("Remove", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("as", changes), call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};
/* clang-format on */
