/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/context.h"

/* The way to the daemon, and calls.
 *
 * The private socket is taken where it is named (--socket, --control-port, --bus=private,
 * $TGT_IPC_SOCKET); else the system bus if org.tgt1 is on it; else the private socket if somebody
 * listens there; else the system bus once more, for verbs that may start the daemon. */

#define BUS_NAME "org.tgt1"
#define BUS_ROOT "/org/tgt1"
#define IFACE(name) "org.tgt1." name

/* Connects once; later calls give the same answer. Returns an ExitCode and says nothing: the reason
 * is c->connect_why. */
int ctl_connect(Ctl *c);
/* The same, and says why not. */
int ctl_need(Ctl *c);
/* Is the daemon on this bus now? It is not started by that. */
bool ctl_is_on_bus(sd_bus *bus);
/* Until nobody answers any more. false: somebody still does after half a minute, perhaps since an
 * initiator has had the daemon started again. */
bool ctl_wait_for_end(Ctl *c);
/* What to do to start the daemon; a sentence or two. */
const char *ctl_start_hint(void);

/* Calls. All return an ExitCode; unless "quiet" stands in the name, they have said what failed. */
int ctl_method(Ctl *c, const char *path, const char *interface, const char *member,
               sd_bus_message **ret);
/* Drops m whatever comes. ret_reply may be NULL. */
int ctl_invoke(Ctl *c, sd_bus_message *m, sd_bus_message **ret_reply);
int ctl_invoke_quiet(Ctl *c, sd_bus_message *m, sd_bus_error *error, sd_bus_message **ret_reply);
/* Errors and problems speak of options of methods; here they begin with dashes. Newly allocated. */
char *ctl_in_our_words(const char *message);
int ctl_report_error(Ctl *c, int code, const sd_bus_error *error);
/* All properties of one interface, as an object. */
int ctl_get_all(Ctl *c, const char *path, const char *interface, json_t **ret);
/* "The message from the daemon cannot be read." */
int ctl_bad_message(Ctl *c, int r);

/* By the name of the error alone. */
ExitCode error_exit_code(const char *name);
/* Where the private socket is: newly allocated. control_port -1: not given. */
char *control_socket_path(const char *socket, int64_t control_port);
