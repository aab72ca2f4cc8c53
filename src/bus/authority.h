/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "bus/call.h"

/* Who may call what: one table, default deny. A method without a row cannot be called at all, since
 * the row is also what runs it. */

#define ACTION_TARGET "org.tgt1.target.manage"
#define ACTION_LUN "org.tgt1.lun.manage"
#define ACTION_ACCESS "org.tgt1.access.manage"
#define ACTION_ACCOUNT "org.tgt1.account.manage"
#define ACTION_SANITIZE "org.tgt1.lun.sanitize"
#define ACTION_COPY "org.tgt1.lun.copy"
#define ACTION_FORMAT "org.tgt1.lun.format"
#define ACTION_SESSION "org.tgt1.session.end"
#define ACTION_PORTAL "org.tgt1.portal.manage"
#define ACTION_DAEMON "org.tgt1.daemon.control"
#define ACTION_RELOAD "org.tgt1.reload"
#define ACTION_APPLY "org.tgt1.apply"
/* in addition to that of the method */
#define ACTION_ANY_PATH "org.tgt1.use-any-path"
#define ACTION_SECRETS "org.tgt1.dump-secrets"

const MethodRow *authority_find(const char *interface, const char *member);
/* For tests: the table. */
const MethodRow *authority_table(size_t *ret_n);

/* Takes the call through its checks to call_run(), or answers it, or drops it. Returns at once. */
void authority_start(Call *call);
void authority_next(Call *call);
