/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <time.h>

#include "ctl/ctl.h"

/* The iSCSI name for a short one: "disk1" on host storage.example.org in November 2026 is
 * "iqn.2026-11.org.example.storage:disk1" (RFC 7143 4.2.7.3: the date is one at which the domain
 * belonged to whoever gives the name). A host name without a domain is taken as one of .local,
 * where it is that of multicast DNS: "iqn.2026-11.local.storage:disk1". */

bool target_name_is_full(const char *name); /* iqn., eui. or naa., in any case */
/* Newly allocated; NULL: name cannot be the end of one (*ret_why, a constant, says why). */
char *target_name_make(const char *name, const char *host, time_t now, const char **ret_why);
