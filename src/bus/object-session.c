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
SESSION_NUMBER(get_worker, "u", worker)
SESSION_NUMBER(get_header_digest, "b", header_digest)
SESSION_NUMBER(get_data_digest, "b", data_digest)
SESSION_NUMBER(get_since, "t", since_usec)
SESSION_NUMBER(get_rx_bytes, "t", rx_bytes)
SESSION_NUMBER(get_tx_bytes, "t", tx_bytes)
SESSION_NUMBER(get_commands, "t", commands)

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
        SD_BUS_PROPERTY("Isid", "s", get_isid, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Worker", "u", get_worker, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("HeaderDigest", "b", get_header_digest, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("DataDigest", "b", get_data_digest, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Since", "t", get_since, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("RxBytes", "t", get_rx_bytes, 0, 0),
        SD_BUS_PROPERTY("TxBytes", "t", get_tx_bytes, 0, 0),
        SD_BUS_PROPERTY("Commands", "t", get_commands, 0, 0),
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
