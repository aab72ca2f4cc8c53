/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <jansson.h>
#include <systemd/sd-bus.h>

/* D-Bus values as JSON: a{s*} and a{o*} are objects, other dictionaries arrays of pairs, structs
 * arrays, variants what is in them, ay a string of hexadecimal digits, h null. Integers above
 * INT64_MAX are decimal strings. */

/* The next complete value of m. Negative errno; *ret is a new reference. */
int message_read_json(sd_bus_message *m, json_t **ret);
/* All that is left of m, as an array with one element per argument. */
int message_read_all(sd_bus_message *m, json_t **ret);
