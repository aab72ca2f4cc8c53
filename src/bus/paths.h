/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"

/* Object paths and what they name. The makers return malloc()ed strings, NULL when out of memory
 * (that is what sd-bus frees). The parsers take the one canonical spelling only: 1 and new strings,
 * 0 if path is not of that shape, -ENOMEM. */

#define BUS_NAME "org.tgt1"
#define BUS_ROOT "/org/tgt1"
#define PATH_TARGETS BUS_ROOT "/target"
#define PATH_UNITS BUS_ROOT "/unit"
#define PATH_SESSIONS BUS_ROOT "/session"
#define PATH_PORTALS BUS_ROOT "/portal"

#define KIND_NAME "initiator-name"
#define KIND_ADDRESS "initiator-address"
#define DIRECTION_INCOMING "incoming"
#define DIRECTION_OUTGOING "outgoing"

char *path_of_target(const char *name);
char *path_of_unit(const char *uuid);
char *path_of_session(uint64_t id);
char *path_of_portal(const char *address);
char *path_of_acl(const char *target, const char *kind, const char *value);
char *path_of_account(const char *target, const char *direction, const char *user);

int path_parse_target(const char *path, char **ret_name);
int path_parse_unit(const char *path, char **ret_uuid);
int path_parse_session(const char *path, uint64_t *ret_id);
int path_parse_portal(const char *path, char **ret_address);
int path_parse_acl(const char *path, char **ret_target, char **ret_kind, char **ret_value);
int path_parse_account(const char *path, char **ret_target, char **ret_direction, char **ret_user);
