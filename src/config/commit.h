/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "config/config.h"

/* Several files changed as one: all or none of them, whatever ends the process or the machine in
 * between, at the cost of one synchronous write however many there are.
 *
 * What is to be changed goes into a log first, as a record with a checksum; once that is on disk
 * the change is decided, and the files are replaced without being synchronised one by one. Whoever
 * opens the log next finishes what was not finished: after a crash of the process the first record
 * that is not done and all that follow it, after one of the machine (another boot id) all of them.
 * commit_log_settle() synchronises the files some time later and empties the log.
 *
 * Log: a line "tgt-changes 1 BOOTID", then per change a line "change FILES BYTES SHA256", BYTES of
 * it, and a line "done" once its files are in place. Per file there is a line "put LENGTH LENGTH"
 * or "remove LENGTH 0", its path and its text.
 *
 * Threads: one at a time; everything blocks. */

struct FileChange {
        char *path; /* its directory is made if need be */
        char *text; /* NULL: the file goes */
        size_t size;
        /* what was there, once it has been carried out */
        bool existed;
        char *before;
        size_t before_size;
};

/* Takes text (NULL: the file goes); wiped when freed, as is what was there. */
FileChange *file_change_new(const char *path, char *text, size_t size);
void file_change_free(FileChange *c);

typedef struct CommitLog CommitLog;

/* Finishes what path says is unfinished; *ret_redone counts the changes that this took. durable: it
 * must outlast the machine (false below /run). The file need not exist, and is made by the first
 * change. -EPROTONOSUPPORT: written by a later version; other negative errno: what was to be
 * finished could not be. */
int commit_log_open(const char *path, bool durable, CommitLog **ret, unsigned *ret_redone);
CommitLog *commit_log_free(CommitLog *l);
/* Carries out changes (FileChange*), all (0) or none of them (negative errno). */
int commit_log_run(CommitLog *l, const GPtrArray *changes);
/* Synchronises up to max of the files that were changed; the log is emptied with the last. Returns
 * how many are left, or negative errno: nothing is forgotten then, and the next call writes all of
 * them again first, from the log. */
int commit_log_settle(CommitLog *l, unsigned max);
unsigned commit_log_unsettled(const CommitLog *l);
