/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <syslog.h>

#include "base/base.h"

/* Messages with fields. Only daemon/ and ctl/ log above LOG_DEBUG; the layers below report what
 * happened through their event tables, and daemon/ turns that into journal entries.
 *
 * Where messages go is decided once, before threads start: to stderr as "<6>text" where stderr is
 * the journal's stream, plainly otherwise, or to a sink such as the journal's native protocol. */

typedef struct LogField {
        const char *name; /* upper case, as in the journal: "TARGET" */
        const char *value;
} LogField;

/* Called on any thread, with the text complete and without a newline. */
typedef void LogSink(int priority, const char *message_id, const char *text, const LogField *fields,
                     size_t n_fields);

void log_set_sink(LogSink *sink); /* NULL: stderr */
void log_set_max_level(int priority);
int log_max_level(void) _pure_;

void log_send(int priority, const char *message_id, const LogField *fields, size_t n_fields,
              const char *format, ...) _printf_(5, 6);

#define log_full(priority, ...)                                           \
        do {                                                              \
                if ((priority) <= log_max_level())                        \
                        log_send((priority), NULL, NULL, 0, __VA_ARGS__); \
        } while (0)

#define log_debug(...) log_full(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_full(LOG_INFO, __VA_ARGS__)
#define log_notice(...) log_full(LOG_NOTICE, __VA_ARGS__)
#define log_warning(...) log_full(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_full(LOG_ERR, __VA_ARGS__)

/* The two field arguments of log_send():
 * log_send(LOG_INFO, ID, LOG_FIELDS({ "TARGET", name }), "text"); ids: daemon/journal.h. */
#define LOG_FIELDS(...)                    \
        (const LogField[]){ __VA_ARGS__ }, \
                sizeof((const LogField[]){ __VA_ARGS__ }) / sizeof(LogField)

/* A token bucket: at most burst messages at once, one more every interval_ns. For lines that a
 * peer can cause. Not thread-safe: one per owner. */
typedef struct RateLimit {
        uint64_t interval_ns;
        unsigned burst;
        unsigned used;       /* own */
        uint64_t begin_ns;   /* own */
        unsigned suppressed; /* own: since the last one that passed */
} RateLimit;

/* true: go ahead; *ret_suppressed says how many were dropped before this one. */
bool ratelimit_pass(RateLimit *rl, uint64_t now_ns, unsigned *ret_suppressed);
