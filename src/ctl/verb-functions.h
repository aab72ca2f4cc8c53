/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/verbs.h"

/* What the rows of the verb table run. */
VerbFunc verb_status, verb_list, verb_show, verb_sessions;
VerbFunc verb_stats, verb_top, verb_metrics;
VerbFunc verb_create, verb_delete, verb_add_lun, verb_remove_lun, verb_set, verb_set_lun;
VerbFunc verb_allow, verb_deny, verb_set_limit, verb_portal_add, verb_portal_remove;
VerbFunc verb_account_add, verb_account_remove, verb_account_list;
VerbFunc verb_account_create, verb_account_delete, verb_account_bind;
VerbFunc verb_disconnect, verb_reload, verb_unit_refresh, verb_unit_store_options;
VerbFunc verb_cat, verb_edit;
VerbFunc verb_copy, verb_sanitize, verb_format;
VerbFunc verb_apply, verb_diff, verb_confirm, verb_rollback;
VerbFunc verb_offline, verb_online, verb_debug, verb_stop;
VerbFunc verb_doctor, verb_convert_lio, verb_convert_scst, verb_convert_ctld;
VerbFunc verb_verify, verb_dump, verb_monitor, verb_help;

/* As it is spelled in the table of directives ("write_cache" -> "write-cache"); name itself if it
 * is not there: the daemon says so then. Borrowed. */
const char *directive_name(const char *name);
/* May it be given more than once? Also true for those that are not in the table. */
bool directive_takes_many(const char *name);
/* verb-change.c, for what changes more: */
/* A method of the target that is called name. */
int change_begin_target(Ctl *c, const char *name, const char *member, sd_bus_message **ret);
/* verb-daemon.c: verify, as the daemon sees it. */
VerbFunc verify_by_daemon;
/* What kind of access entry is it? NULL: none. */
const char *access_kind(const char *value);
/* "target NAME", "session 3", ...: the object behind a path, as people call it. Newly allocated. */
char *describe_path(const char *path);
