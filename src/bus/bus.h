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

/* address: "system", "session", or a D-Bus address; the name org.tgt1 is requested. */
int bus_server_new(Manager *m, sd_event *event, BusServer **ret);
/* Connects in the background; lost connections are made again. -errno if the address is nonsense.
 */
int bus_server_connect(BusServer *b, const char *address);
/* Serves the same objects peer-to-peer on a listening AF_UNIX socket: root and our own uid only.
 * Takes fd on success. */
int bus_server_listen(BusServer *b, int fd);
/* Sends what is queued, with a bound in time. */
void bus_server_flush(BusServer *b, uint64_t timeout_usec);
BusServer *bus_server_free(BusServer *b);
