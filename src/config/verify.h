/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "config/directives.h"

/* What holds across targets (TargetSpec*), looked at in this order: of two that exclude each other,
 * the later is at fault. Its name is added to bad, which may be NULL. */
bool verify_together(const GPtrArray *targets, GHashTable *bad, GPtrArray *problems);
bool verify_globals(const Desired *d, GPtrArray *problems);

/* TargetSpec*, borrowed, by name. */
GPtrArray *desired_sorted_targets(const Desired *d);
