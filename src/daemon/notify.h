/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"

/* What the service manager is told (sd_notify(3)); all of it does nothing where there is none. */

void notify_ready(const char *status);
void notify_status(const char *status);
void notify_reloading(void); /* RELOADING=1 with MONOTONIC_USEC; notify_ready() ends it */
void notify_stopping(void);
