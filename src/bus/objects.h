/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "bus/call.h"
#include "bus/paths.h"

/* The vtables, one file per family (object-*.c); objects.c finds what they are asked for. */
extern const sd_bus_vtable manager_vtable[], target_vtable[], acl_vtable[], account_vtable[];
extern const sd_bus_vtable unit_vtable[], session_vtable[], portal_vtable[];

/* methods-stats.c: STATISTICS and LATENCY */
#define STATISTICS "a{st}"
#define LATENCY_ENTRY "{s(tatat)}"
#define LATENCY "a" LATENCY_ENTRY
int append_unit_statistics(sd_bus_message *m, const UnitInfo *u);
int append_unit_latency(sd_bus_message *m, Manager *manager, const char *uuid);
int append_session_statistics(sd_bus_message *m, const SessionInfo *s);
int append_latency(sd_bus_message *m, const IoLatency *latency); /* NULL: empty */

/* Answers Get and GetAll of a session with counters that are asked for now (a filter). */
int session_refresh(sd_bus_message *m, void *userdata, sd_bus_error *error);

#define INTERFACE_MANAGER "org.tgt1.Manager"
#define INTERFACE_TARGET "org.tgt1.Target"
#define INTERFACE_ACL "org.tgt1.Acl"
#define INTERFACE_ACCOUNT "org.tgt1.Account"
#define INTERFACE_UNIT "org.tgt1.LogicalUnit"
#define INTERFACE_SESSION "org.tgt1.Session"
#define INTERFACE_PORTAL "org.tgt1.Portal"

/* Every getter has this form; userdata is an ObjectRef. */
#define GETTER(name)                                                                 \
        static int name(sd_bus *bus, const char *path, const char *interface,        \
                        const char *property, sd_bus_message *reply, void *userdata, \
                        sd_bus_error *error)
