/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

#include <stdio.h>

/* Every change, made or refused, is told to the journal: who, what, before, after. Secrets never
 * are: change_format() and problems do not have them. */

#define JOURNAL_CHANGES_MAX 100 /* lines of one reload; the rest is counted */

static void journal_caller(Edit *e, int priority, const char *id, const char *change,
                           const char *text)
{
        char uid[16], pid[16];
        const char *reason = e->result.error.text;

        snprintf(uid, sizeof(uid), "%u", (unsigned)e->caller.uid);
        snprintf(pid, sizeof(pid), "%d", (int)e->caller.pid);
        log_send(priority, id,
                 LOG_FIELDS({ "CALLER_UID", uid }, { "CALLER_PID", pid },
                            { "CALLER_UNIT", e->caller.unit }, { "CALLER_NAME", e->caller.name },
                            { "TARGET", e->targets && e->targets[0] ? e->targets[0] : NULL },
                            { "CHANGE", change }, { "REASON", reason }),
                 "%s", text);
}

static void journal_change(Edit *e, const char *change)
{
        g_autofree char *text = NULL;

        if (e->kind == EDIT_CHANGE)
                text = g_strdup_printf("Changed: %s (%s, uid %u%s%s)", change, e->caller.name,
                                       (unsigned)e->caller.uid, e->caller.unit ? ", " : "",
                                       e->caller.unit ? e->caller.unit : "");
        else
                text = g_strdup_printf("Changed: %s", change);
        journal_caller(e, LOG_NOTICE, MSG_CHANGED, change, text);
}

static void journal_problems(Edit *e)
{
        for (guint i = 0; i < e->result.problems->len && i < JOURNAL_CHANGES_MAX; i++) {
                const Problem *p = g_ptr_array_index(e->result.problems, i);
                g_autofree char *text = problem_format(p);

                log_send(p->level == PROBLEM_ERROR ? LOG_ERR : LOG_WARNING, MSG_PROBLEM,
                         LOG_FIELDS({ "TARGET", p->target }, { "CONFIG_FILE", p->at.file },
                                    { "DIRECTIVE", p->directive }),
                         "%s", text);
        }
        if (e->result.problems->len > JOURNAL_CHANGES_MAX)
                log_warning("... and %u more problems.",
                            e->result.problems->len - JOURNAL_CHANGES_MAX);
}

void edit_journal(Edit *e)
{
        GPtrArray *changes = e->result.changes;
        g_autofree char *text = NULL;

        if (e->options.dry_run)
                return;
        if (e->kind != EDIT_CHANGE)
                journal_problems(e);
        if (e->result.error.name) {
                text = g_strdup_printf("Refused a change (%s, uid %u): %s", e->caller.name,
                                       (unsigned)e->caller.uid, e->result.error.text);
                journal_caller(e, LOG_NOTICE, MSG_REFUSED, e->result.error.name, text);
                return;
        }
        if (e->kind == EDIT_CONFIRM) {
                text = g_strdup_printf("Confirmed: %u change%s (%s, uid %u)", changes->len,
                                       changes->len == 1 ? "" : "s", e->caller.name,
                                       (unsigned)e->caller.uid);
                journal_caller(e, LOG_NOTICE, MSG_CONFIRMED, NULL, text);
                return;
        }
        /* at start everything is new: main() says how much of it there is */
        if (e->kind == EDIT_START)
                return;
        for (guint i = 0; i < changes->len; i++) {
                if (e->kind == EDIT_RELOAD && i == JOURNAL_CHANGES_MAX) {
                        log_notice("... and %u more changes.", changes->len - i);
                        break;
                }
                journal_change(e, g_ptr_array_index(changes, i));
        }
        if (e->kind == EDIT_ROLLBACK) {
                text = g_strdup_printf("Taken back: %u change%s (%s, uid %u)", changes->len,
                                       changes->len == 1 ? "" : "s", e->caller.name,
                                       (unsigned)e->caller.uid);
                journal_caller(e, LOG_WARNING, MSG_ROLLED_BACK, NULL, text);
        }
        if (e->kind == EDIT_RELOAD) {
                text = g_strdup_printf("Reloaded: %u change%s, %u problem%s (%s)", changes->len,
                                       changes->len == 1 ? "" : "s", e->result.problems->len,
                                       e->result.problems->len == 1 ? "" : "s", e->caller.name);
                journal_caller(e, LOG_NOTICE, MSG_RELOADED, NULL, text);
        }
}
