/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "bus/call.h"

/* Manager.Apply and Manager.Compare: a set of fragments as one change, and what a reload would
 * change. */

Apply *apply_free(Apply *a);
CallParse parse_apply;
CallRun run_apply, run_compare, run_confirm, run_rollback;
int apply_set_prune(Call *call, sd_bus_message *m); /* of the option prune */
CallIncludes apply_includes;
CallPaths apply_new_paths; /* reads the fragments */
