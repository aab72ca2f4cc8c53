/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "bus/call.h"

/* Reading what a client sent. -1 with *e set; strings are checked (text_is_clean()) and copied. */

#define TEXT_MAX 4096

/* what: names the argument in the error. */
int read_text(sd_bus_message *m, const char *what, char **ret, BusError *e);
/* An initiator's or target's name, in the form in which it is configured. */
int read_target_name(sd_bus_message *m, char **ret, BusError *e);
int read_directives(sd_bus_message *m, GPtrArray **ret, BusError *e);
/* An "as" of at most max strings. */
int read_texts(sd_bus_message *m, const char *what, size_t max, char ***ret, BusError *e);
/* a{st} of limits of rate; what is not there is 0. */
int read_limits(sd_bus_message *m, LimitSpec *ret, BusError *e);
/* The a{sv} that comes last, against call->row->options. */
int read_options(Call *call, sd_bus_message *m, BusError *e);
/* sd-bus could not read what the signature promised. */
int read_failed(int r, BusError *e);
