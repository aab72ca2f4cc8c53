/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "config/config.h"

/* What is global, as a fragment; nothing where there is nothing. */
void globals_write(const Desired *d, bool with_secrets, GString *to);
