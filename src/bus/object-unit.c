/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bus/objects.h"

static const UnitInfo *unit_of(void *userdata)
{
        const ObjectRef *object = userdata;

        return &object->unit;
}

/* A property that is a string of UnitInfo, or of its spec. */
#define TEXT_GETTER(name, field)                                     \
        GETTER(name)                                                 \
        {                                                            \
                return append_text(reply, unit_of(userdata)->field); \
        }

TEXT_GETTER(get_uuid, uuid)
TEXT_GETTER(get_type, spec->device_type)
TEXT_GETTER(get_store_type, spec->bs_type)
TEXT_GETTER(get_path, spec->path)
TEXT_GETTER(get_state, state)
TEXT_GETTER(get_reason, reason)
TEXT_GETTER(get_scsi_id, scsi_id)
TEXT_GETTER(get_serial, serial)
TEXT_GETTER(get_vendor, vendor)
TEXT_GETTER(get_product, product)
TEXT_GETTER(get_revision, revision)
TEXT_GETTER(get_naa, naa)

GETTER(get_identity)
{
        return sd_bus_message_append(reply, "s",
                                     unit_of(userdata)->spec->stgt_identity ? "stgt" : "generated");
}

GETTER(get_size)
{
        return sd_bus_message_append(reply, "t", unit_of(userdata)->size);
}

GETTER(get_block_size)
{
        return sd_bus_message_append(reply, "u", unit_of(userdata)->block_size);
}

GETTER(get_readonly)
{
        return sd_bus_message_append(reply, "b", (int)unit_of(userdata)->readonly);
}

GETTER(get_thin)
{
        return sd_bus_message_append(reply, "b", (int)unit_of(userdata)->spec->thin);
}

GETTER(get_store_flags)
{
        const LunSpec *l = unit_of(userdata)->spec;

        return sd_bus_message_append(reply, "s",
                                     l->sync && l->direct ? "sync:direct"
                                     : l->sync            ? "sync"
                                     : l->direct          ? "direct"
                                                          : "");
}

GETTER(get_prevented)
{
        return sd_bus_message_append(reply, "b", (int)unit_of(userdata)->prevented);
}

GETTER(get_write_protected)
{
        return sd_bus_message_append(reply, "b", (int)unit_of(userdata)->write_protected);
}

GETTER(get_write_cache)
{
        return sd_bus_message_append(reply, "b", (int)unit_of(userdata)->spec->write_cache);
}

GETTER(get_removable)
{
        return sd_bus_message_append(reply, "b", (int)unit_of(userdata)->spec->removable);
}

GETTER(get_online)
{
        return sd_bus_message_append(reply, "b", (int)unit_of(userdata)->spec->online);
}

GETTER(get_limits)
{
        return append_limits(reply, &unit_of(userdata)->spec->limits);
}

GETTER(get_operation)
{
        const UnitOperationInfo *o = &unit_of(userdata)->operation;
        g_autofree char *by = o->by ? g_utf8_make_valid(o->by, -1) : NULL; /* as it logged in */
        int r = sd_bus_message_open_container(reply, 'a', "{sv}");

        if (r >= 0 && o->kind)
                r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "Kind", "s",
                                          o->kind, "State", "s", o->failed ? "failed" : "running",
                                          "Reason", "s", o->reason, "By", "s", by, "Done", "t",
                                          o->done, "Total", "t", o->total, "Started", "t",
                                          o->started_usec);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(get_mappings)
{
        const ObjectRef *object = userdata;
        UnitMapping mappings[MAPPINGS_MAX];
        size_t n = manager_unit_mappings(object->connection->server->manager, object->unit.uuid,
                                         mappings, ELEMENTSOF(mappings));
        int r = sd_bus_message_open_container(reply, 'a', "(soq)");

        for (size_t i = 0; r >= 0 && i < MIN(n, ELEMENTSOF(mappings)); i++) {
                r = sd_bus_message_open_container(reply, 'r', "soq");
                if (r >= 0)
                        r = append_text(reply, mappings[i].target);
                if (r >= 0)
                        r = append_path(reply, path_of_target(mappings[i].target));
                if (r >= 0)
                        r = sd_bus_message_append(reply, "q", mappings[i].lun);
                if (r >= 0)
                        r = sd_bus_message_close_container(reply);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(get_statistics)
{
        return append_unit_statistics(reply, unit_of(userdata));
}

GETTER(get_latency)
{
        const ObjectRef *object = userdata;

        return append_unit_latency(reply, object->connection->server->manager, object->unit.uuid);
}

/* clang-format off */
const sd_bus_vtable unit_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Uuid", "s", get_uuid, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Type", "s", get_type, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("StoreType", "s", get_store_type, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Path", "s", get_path, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Size", "t", get_size, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("BlockSize", "u", get_block_size, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Readonly", "b", get_readonly, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Thin", "b", get_thin, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("WriteCache", "b", get_write_cache, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Removable", "b", get_removable, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Online", "b", get_online, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("StoreFlags", "s", get_store_flags, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("RemovalPrevented", "b", get_prevented, 0, 0),
        SD_BUS_PROPERTY("SoftwareWriteProtect", "b", get_write_protected, 0, 0),
        SD_BUS_PROPERTY("State", "s", get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Reason", "s", get_reason, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Identity", "s", get_identity, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ScsiId", "s", get_scsi_id, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Serial", "s", get_serial, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Vendor", "s", get_vendor, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Product", "s", get_product, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Revision", "s", get_revision, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Naa", "s", get_naa, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Limits", "a{st}", get_limits, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Operation", "a{sv}", get_operation, 0,
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Mappings", "a(soq)", get_mappings, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Statistics", STATISTICS, get_statistics, 0, 0),
        SD_BUS_PROPERTY("Latency", LATENCY, get_latency, 0, 0),

        SD_BUS_METHOD_WITH_ARGS("Refresh", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                call_entry, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetStoreOptions",
                                SD_BUS_ARGS("s", store_options, "a{sv}", options),
                                SD_BUS_NO_RESULT, call_entry, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Sanitize", SD_BUS_ARGS("s", method, "a{sv}", options),
                                SD_BUS_NO_RESULT, call_entry, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Format", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                call_entry, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Copy", SD_BUS_ARGS("s", path, "a{sv}", options),
                                SD_BUS_RESULT("s", made), call_entry, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ExitFailure", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                call_entry, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};
/* clang-format on */
