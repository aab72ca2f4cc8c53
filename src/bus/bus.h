/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "bus/manager.h"

/* bus: the manager's model as D-Bus objects under /org/tgt1, and nothing else. No decision is made
 * here but who may ask (bus/authority.h: one table, default deny, polkit asked asynchronously
 * before any side effect). the XML in dbus/ is the contract.
 *
 * Threads: control thread only; the bus is driven by its sd-event.
 * May include: base, config, libsystemd, glib. */

typedef struct BusServer BusServer;

/* What the administrator should know: a bus that is gone, back, or refuses the name. */
typedef void BusReport(void *userdata, int priority, const char *text);

/* Observes m from here on. */
int bus_server_new(Manager *m, sd_event *event, BusServer **ret);
void bus_server_set_report(BusServer *b, BusReport *report, void *userdata); /* NULL: nobody */
/* address: "system" (polkit decides who may change), "session", or a D-Bus address (there root and
 * our own uid may); the name org.tgt1 is requested. Connects in the background; lost connections
 * are made again. -EINVAL if the address is nonsense. */
int bus_server_connect(BusServer *b, const char *address);
/* Serves the same objects peer-to-peer on a listening AF_UNIX socket: root and our own uid only.
 * Takes fd (listening, non-blocking) on success; one such socket. */
int bus_server_listen(BusServer *b, int fd);
/* Refuses further calls, and sends what is queued, with a bound in time: before bus_server_free().
 */
void bus_server_flush(BusServer *b, uint64_t timeout_usec);
BusServer *bus_server_free(BusServer *b);
