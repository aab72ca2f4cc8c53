/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <glib.h>

#include "scsi/scsi.h"

/* What is remembered of a FORMAT UNIT or SANITIZE that is under way or has failed, in a file per
 * unit, STATE/operations/UUID: a first line "# tgt-operation 1", the keys of one group, and a last
 * line with a checksum of what stands before it. It is there before the first byte is changed, and
 * goes only when the operation is over; it is replaced as a whole.
 *
 * Threads: any; those that read and write files block. May include: base, scsi. */

typedef struct OperationMark {
        uint64_t started_usec; /* CLOCK_REALTIME */
        LuOperation what;
        uint64_t told; /* bytes done when the bus was told last; not in the file */
} OperationMark;

/* Newly allocated. boot: which boot of the machine this is. */
char *operation_mark_format(const OperationMark *mark, const char *boot);
/* -EBADMSG: damaged; -EPROTONOSUPPORT: written by a later version. A block device may be another
 * disk under its name since another boot: what was under way there comes back as failed. */
int operation_mark_parse(const char *text, const char *boot, OperationMark *ret);
/* Of one that cannot be read: something was under way, and is not gone on with. */
void operation_mark_unreadable(OperationMark *ret, int error);

/* "format", "overwrite", "block-erase" */
const char *operation_kind_name(LuOperationKind kind);

/* text NULL: it goes. When 0 is returned it is so whatever ends the machine. */
int operation_mark_store(const char *dir, const char *uuid, const char *text);
/* r: 0, or why *text is not there. */
typedef void OperationMarkFound(void *userdata, const char *uuid, int r, const char *text);
/* Each mark in dir; a directory that is not there has none. Negative errno: there may be more. */
int operation_marks_load(const char *dir, OperationMarkFound *found, void *userdata);
/* This boot's id, or "unknown". */
void operation_boot_id(char ret[37]);
