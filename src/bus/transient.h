/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "bus/call.h"

/* Targets that live as long as the client that made them: a name on a bus, or a connection of the
 * private socket. When it goes they are removed, with the sessions that they have. */

/* Before the target is made: its owner is watched from here on. */
void transient_begin(Call *call);
/* It was made (true), or not. */
void transient_made(Call *call, bool made);
void transients_drop(BusConnection *c); /* the connection is going away */
/* The owner of target: a bus name, "private socket", or NULL. */
const char *transient_owner(const BusServer *b, const char *target);
void transients_free(BusServer *b);
