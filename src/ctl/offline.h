/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "config/config.h"
#include "ctl/context.h"

/* What is configured, read from the fragments: what status and list show when no daemon runs. The
 * shapes are those of model.h, with State "not-running" and without what only a daemon knows. */

/* The search path, with --config-dir and --state-dir as the daemon takes them. */
void offline_paths(const Ctl *c, ConfigPaths *ret);
/* Says on stderr that the daemon is not running, and what the fragments have wrong. *ret NULL: they
 * cannot be read, which has been told. */
void offline_load(Ctl *c, Desired **ret);

json_t *offline_targets(const Desired *d);
json_t *offline_luns(const Desired *d);
json_t *offline_portals(const Desired *d);
json_t *offline_accounts(const Desired *d);
/* As model_target(). */
json_t *offline_target(const TargetSpec *t);
/* By name, or by what stands behind its first ':' if that is unique. NULL: none. */
const TargetSpec *offline_find(const Desired *d, const char *name);

/* Problem* as the objects of change.h. */
json_t *problems_from_config(const GPtrArray *problems);
