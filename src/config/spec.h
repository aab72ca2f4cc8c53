/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "config/config.h"

/* Equal in effect but for the LUNs. */
bool target_head_equal(const TargetSpec *a, const TargetSpec *b);

/* An empty list of ConfigParam*. */
GPtrArray *params_new(void);

/* account_spec_free() as containers want it. */
void destroy_account(void *a);
