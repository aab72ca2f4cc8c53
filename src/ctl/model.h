/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/context.h"

/* What the daemon serves, as JSON, under the property names of dbus/. All functions return an
 * ExitCode and have said what failed; *ret is a new reference. */

/* Arrays of objects:
 * targets   Name Object Tid State NLogicalUnits NSessions
 * units     Uuid Object Type StoreType Path State Size BlockSize Mappings [{Target Lun}]
 * sessions  Id Object Target Initiator Peer Since
 * portals   Address Object Tag Source
 * luns      Target Lun and the keys of units but Mappings; ascending by target and LUN */
int model_targets(Ctl *c, json_t **ret);
int model_units(Ctl *c, json_t **ret);
int model_sessions(Ctl *c, const char *target_path, json_t **ret); /* NULL: of all targets */
int model_portals(Ctl *c, json_t **ret);
int model_luns(Ctl *c, json_t **ret);

/* Accounts of the named targets (NULL: of all, and of discovery): Target User Direction. */
int model_accounts(Ctl *c, char *const *names, json_t **ret);
/* Those that no target asks for yet; Direction is "unbound". */
int model_account_pool(Ctl *c, json_t **ret);

/* The properties of org.tgt1.Manager. */
int model_manager(Ctl *c, json_t **ret);
/* Those of org.tgt1.Target, in which Acls are [{Kind Value}], Accounts [{User Direction}] and
 * LogicalUnits are [{Lun, and the properties of org.tgt1.LogicalUnit}]. */
int model_target(Ctl *c, const char *path, json_t **ret);
/* Those of org.tgt1.LogicalUnit, in which Mappings are [{Target Object Lun}]. */
int model_unit(Ctl *c, const char *path, json_t **ret);

/* A target by its name, or by what stands behind the first ':' of it where that is unique; the
 * latter is told on stderr. Both strings are newly allocated; either may be NULL. */
int model_resolve(Ctl *c, const char *name, char **ret_name, char **ret_path);

/* A list in pages, of structs, as an array of objects with these names of their members; the first
 * is what pages go by, of type (0: there are no pages). */
int model_list(Ctl *c, const char *member, char type, const char *const *fields, json_t **ret);
/* Replaces object[key], a list of structs, by a list of objects. */
int model_name_member(Ctl *c, json_t *object, const char *key, const char *const *fields);
/* [v, ...] -> { name: v, ... }; NULL: there are too few. */
json_t *model_name_fields(const json_t *array, const char *const *names);

/* "/org/tgt1/target/... and the like back to the name, UUID or id; newly allocated, NULL if path
 * is not of that kind. */
char *path_label(const char *path, const char *kind);

/* "" where there is none. */
const char *json_text(const json_t *object, const char *key);
json_int_t json_number(const json_t *object, const char *key);

/* The object of a unit: by UUID, or as TARGET/LUN. Newly allocated. */
int model_resolve_unit(Ctl *c, const char *name, char **ret_path);
/* The object of a session. Newly allocated. */
int model_get_session(Ctl *c, uint64_t id, char **ret_path);
