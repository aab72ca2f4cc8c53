/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "config/config.h"

/* Within config/: limits of rate as the directives, the verifier and the copies need them. */

#define CONFIG_RATE_MAX UINT64_C(1000000000000)

bool initiator_limit_equal(const InitiatorLimit *a, const InitiatorLimit *b);
InitiatorLimit *initiator_limit_new(const char *initiator, const LimitSpec *limits);
InitiatorLimit *initiator_limit_free(InitiatorLimit *l);
