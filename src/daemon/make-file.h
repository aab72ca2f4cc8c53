/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdatomic.h>

#include "base/base.h"

/* Making the file behind a new LUN. It appears under its name whole or not at all, also when the
 * process or the machine dies meanwhile: it has no name until it is complete (O_TMPFILE), where the
 * file system can do that. It never takes the place of another file.
 *
 * Threads: file_make() blocks, in a job; cancel and done may be used from another thread. May
 * include: base. */

typedef struct FileMake {
        const char *folder;
        const char *name; /* without ".img" */
        bool whole_name;  /* with whatever ends it */
        uint64_t size;    /* bytes; a multiple of 512 */
        bool make_folder; /* if it is not there: the folder is our own */
        bool numbered;    /* "NAME-2.img" ... if "NAME.img" is taken, rather than -EEXIST */
        bool preallocate; /* all of its space is taken now */
        bool overcommit;  /* also where the file system has less room than it may come to need */
        bool dry_run;     /* look whether it could be made */
        /* What it is to hold: what is at this path now, up to size; NULL: zeros. Holes stay holes.
         */
        const char *source;
        int (*open_path)(const char *path, int flags, void *userdata); /* for source; as open(2) */
        void *open_userdata;

        atomic_bool cancel;
        _Atomic uint64_t done; /* bytes */
} FileMake;

/* *ret_path: newly allocated (g_free()), of the file, or in a dry run of what would be it.
 *
 * Negative errno, and nothing is left behind, and reterr says why and what to do: -EEXIST, -ENOSPC,
 * -EINVAL (folder or size), -ECANCELED, or what a system call said. */
int file_make(FileMake *f, char **ret_path, char *reterr, size_t size);
/* copy-file.c: what f->source holds, into to. */
int file_copy(FileMake *f, int to, char *reterr, size_t size);
