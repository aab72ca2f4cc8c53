/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bus/objects.h"

/* Sessions and portals: properties only, but for Session.End. */

static const SessionInfo *session_of(void *userdata)
{
        const ObjectRef *object = userdata;

        return &object->session;
}

static const PortalInfo *portal_of(void *userdata)
{
        const ObjectRef *object = userdata;

        return &object->portal;
}

#define SESSION_TEXT(name, field)                                       \
        GETTER(name)                                                    \
        {                                                               \
                return append_text(reply, session_of(userdata)->field); \
        }
#define SESSION_NUMBER(name, type, field)                                               \
        GETTER(name)                                                                    \
        {                                                                               \
                return sd_bus_message_append(reply, type, session_of(userdata)->field); \
        }

SESSION_TEXT(get_target, target)
SESSION_TEXT(get_initiator, initiator)
SESSION_TEXT(get_alias, alias)
SESSION_TEXT(get_peer, peer)
SESSION_TEXT(get_portal, portal)
SESSION_TEXT(get_isid, isid)
SESSION_NUMBER(get_id, "t", id)
SESSION_NUMBER(get_tsih, "q", tsih)
SESSION_NUMBER(get_cid, "q", cid)
SESSION_NUMBER(get_worker, "u", worker)
SESSION_NUMBER(get_header_digest, "b", header_digest)
SESSION_NUMBER(get_data_digest, "b", data_digest)
SESSION_NUMBER(get_since, "t", since_usec)
SESSION_NUMBER(get_rx_bytes, "t", rx_bytes)
SESSION_NUMBER(get_tx_bytes, "t", tx_bytes)
SESSION_NUMBER(get_commands, "t", commands)

GETTER(get_statistics)
{
        return append_session_statistics(reply, session_of(userdata));
}

GETTER(get_latency)
{
        return append_latency(reply, session_of(userdata)->latency);
}

GETTER(get_address)
{
        return append_text(reply, portal_of(userdata)->address);
}

GETTER(get_tag)
{
        return sd_bus_message_append(reply, "q", portal_of(userdata)->tag);
}

GETTER(get_source)
{
        return append_text(reply, portal_of(userdata)->source);
}

/* clang-format off */
const sd_bus_vtable session_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Id", "t", get_id, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Target", "s", get_target, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Initiator", "s", get_initiator, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Alias", "s", get_alias, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Peer", "s", get_peer, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Portal", "s", get_portal, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Tsih", "q", get_tsih, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Cid", "q", get_cid, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Isid", "s", get_isid, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Worker", "u", get_worker, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("HeaderDigest", "b", get_header_digest, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("DataDigest", "b", get_data_digest, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Since", "t", get_since, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("RxBytes", "t", get_rx_bytes, 0, 0),
        SD_BUS_PROPERTY("TxBytes", "t", get_tx_bytes, 0, 0),
        SD_BUS_PROPERTY("Commands", "t", get_commands, 0, 0),
        SD_BUS_PROPERTY("Statistics", STATISTICS, get_statistics, 0, 0),
        SD_BUS_PROPERTY("Latency", LATENCY, get_latency, 0, 0),
        SD_BUS_METHOD_WITH_ARGS("End", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT, call_entry,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

const sd_bus_vtable portal_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Address", "s", get_address, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Tag", "q", get_tag, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Source", "s", get_source, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_VTABLE_END
};
/* clang-format on */

/* ---- fresh counters ---- */

/* sd-bus reads properties at once, but what a session moved is known to its worker: a Get or GetAll
 * of a session is held until the manager has asked, and answered from the same vtable then.
 * Anything unusual about it is left to sd-bus. */

#define PROPERTIES "org.freedesktop.DBus.Properties"

static const MethodRow refresh_row = { PROPERTIES, "Get", .action = NULL };

static const sd_bus_vtable *find_property(const char *name)
{
        for (const sd_bus_vtable *v = session_vtable; v->type != _SD_BUS_VTABLE_END; v++)
                if (v->type == _SD_BUS_VTABLE_PROPERTY && STREQ(v->x.property.member, name))
                        return v;
        return NULL;
}

static int append_property(sd_bus_message *m, const sd_bus_vtable *v, ObjectRef *object)
{
        int r = sd_bus_message_open_container(m, 'v', v->x.property.signature);

        if (r >= 0)
                r = v->x.property.get(NULL, NULL, INTERFACE_SESSION, v->x.property.member, m,
                                      object, NULL);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_properties(sd_bus_message *m, ObjectRef *object)
{
        int r = sd_bus_message_open_container(m, 'a', "{sv}");

        for (const sd_bus_vtable *v = session_vtable; r >= 0 && v->type != _SD_BUS_VTABLE_END;
             v++) {
                if (v->type != _SD_BUS_VTABLE_PROPERTY)
                        continue;
                r = sd_bus_message_open_container(m, 'e', "sv");
                if (r >= 0)
                        r = sd_bus_message_append(m, "s", v->x.property.member);
                if (r >= 0)
                        r = append_property(m, v, object);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static void done_refresh(const SessionInfo *sessions, size_t n, void *userdata)
{
        Call *call = userdata;
        sd_bus_message *reply;
        ObjectRef object = { 0 };
        int r = -ENOMEM;

        if (!call->connection) {
                call_free(call);
                return;
        }
        if (n == 0 || sessions[0].id != call->session) {
                call_fail_named(call, SD_BUS_ERROR_UNKNOWN_OBJECT, "The session has ended");
                return;
        }
        object.session = sessions[0];
        reply = call_new_reply(call);
        if (reply)
                r = call->text ? append_property(reply, find_property(call->text), &object)
                               : append_properties(reply, &object);
        call_answer(call, reply, r);
}

/* The id of the session whose properties m asks for, and which (NULL: all); false: not such a
 * message. */
static bool read_request(sd_bus_message *m, uint64_t *ret_id, const char **ret_property)
{
        bool all = sd_bus_message_is_method_call(m, PROPERTIES, "GetAll") > 0;
        const char *interface;

        if (!all && sd_bus_message_is_method_call(m, PROPERTIES, "Get") <= 0)
                return false;
        if (path_parse_session(sd_bus_message_get_path(m), ret_id) <= 0 || *ret_id == 0)
                return false;
        *ret_property = NULL;
        if (sd_bus_message_has_signature(m, all ? "s" : "ss") <= 0 ||
            sd_bus_message_read(m, "s", &interface) < 0 || !STREQ(interface, INTERFACE_SESSION))
                return false;
        return all ||
               (sd_bus_message_read(m, "s", ret_property) >= 0 && find_property(*ret_property));
}

int session_refresh(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        BusConnection *c = userdata;
        const char *property;
        SessionInfo session;
        Call *call = NULL;
        uint64_t id;

        if (read_request(m, &id, &property) &&
            manager_session(c->server->manager, id, &session) >= 0)
                call = call_start_reading(c, m, &refresh_row);
        if (!call)
                return sd_bus_message_rewind(m, true) < 0 ? -EIO : 0;
        call->session = id;
        call->text = g_strdup(property);
        manager_session_stats(c->server->manager, id - 1, 1, done_refresh, call);
        return 1;
}
