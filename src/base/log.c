/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static LogSink *log_sink;
static int max_level = LOG_INFO;

void log_set_sink(LogSink *sink)
{
        log_sink = sink;
}

void log_set_max_level(int priority)
{
        max_level = priority;
}

int log_max_level(void)
{
        return max_level;
}

static void sink_stderr(int priority, const char *text)
{
        /* sd-daemon(3): JOURNAL_STREAM says that stderr is read by journald, which strips <N>. */
        if (getenv("JOURNAL_STREAM"))
                fprintf(stderr, "<%d>%s\n", priority, text);
        else
                fprintf(stderr, "%s\n", text);
}

void log_send(int priority, const char *message_id, const LogField *fields, size_t n_fields,
              const char *format, ...)
{
        char text[2048];
        int saved = errno;
        va_list ap;

        if (priority > max_level)
                return;
        va_start(ap, format);
        (void)vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        if (log_sink)
                log_sink(priority, message_id, text, fields, n_fields);
        else
                sink_stderr(priority, text);
        errno = saved;
}

bool ratelimit_pass(RateLimit *rl, uint64_t now_ns, unsigned *ret_suppressed)
{
        uint64_t refill = (now_ns - rl->begin_ns) / rl->interval_ns;

        if (refill > 0) {
                rl->used = refill >= rl->used ? 0 : rl->used - (unsigned)refill;
                rl->begin_ns += refill * rl->interval_ns;
        }
        if (rl->used >= rl->burst) {
                rl->suppressed++;
                return false;
        }
        rl->used++;
        *ret_suppressed = rl->suppressed;
        rl->suppressed = 0;
        return true;
}
