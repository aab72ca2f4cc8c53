/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <systemd/sd-journal.h>

#define FIELDS_MAX 24
#define FIELD_MAX 4096

/* "NAME=value" into *ret; the journal takes values of any bytes, so nothing needs escaping. */
static bool field(struct iovec *ret, const char *name, const char *value)
{
        char *text = NULL;
        int n = asprintf(&text, "%s=%.*s", name, FIELD_MAX, value);

        if (n < 0)
                return false;
        ret->iov_base = text;
        ret->iov_len = (size_t)n;
        return true;
}

static void journal_sink(int priority, const char *message_id, const char *text,
                         const LogField *fields, size_t n_fields)
{
        struct iovec iov[FIELDS_MAX];
        char number[8];
        size_t n = 0;

        snprintf(number, sizeof(number), "%d", priority);
        n += field(&iov[n], "PRIORITY", number);
        n += field(&iov[n], "MESSAGE", text);
        n += field(&iov[n], "SYSLOG_IDENTIFIER", "tgtd");
        if (message_id)
                n += field(&iov[n], "MESSAGE_ID", message_id);
        for (size_t i = 0; i < n_fields && n < FIELDS_MAX; i++)
                if (fields[i].value && *fields[i].value)
                        n += field(&iov[n], fields[i].name, fields[i].value);
        if (sd_journal_sendv(iov, (int)n) < 0)
                fprintf(stderr, "<%d>%s\n", priority, text);
        for (size_t i = 0; i < n; i++)
                free(iov[i].iov_base);
}

/* sd-daemon(3): JOURNAL_STREAM holds "device:inode" of the stream; a program run with stderr
 * somewhere else inherits the variable, but not the stream. */
static bool stderr_is_journal(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        uint64_t device, inode;
        struct stat st;

        if (!stream || sscanf(stream, "%" SCNu64 ":%" SCNu64, &device, &inode) != 2)
                return false;
        if (fstat(STDERR_FILENO, &st) < 0)
                return false;
        return st.st_dev == device && st.st_ino == inode;
}

void journal_setup(bool debug)
{
        if (debug)
                log_set_max_level(LOG_DEBUG);
        if (stderr_is_journal())
                log_set_sink(journal_sink);
        else
                (void)unsetenv("JOURNAL_STREAM"); /* no "<6>" in front of what a person reads */
}
