/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <sys/stat.h>

#include "store/internal.h"

/* Regular files and block devices: what rdwr and aio share. Everything here may block. */

typedef struct FileMap FileMap;

typedef struct FileStore {
        Store store;
        int fd; /* the number never changes; what it refers to may, in a refresh */
        char *path;
        bool block_device;
        bool direct, sync;
        bool memory;   /* atomic; the file system is memory: nothing ever waits for a disk */
        FileMap *map;  /* atomic; what is lent from, or NULL */
        FileMap *maps; /* it, and older ones that somebody may still send from */
        /* Atomics: what was tried and refused is not tried again. */
        bool no_nowait_read, no_nowait_write, no_zero_range, no_punch;
} FileStore;

/* Progress of one StoreIo in a job, in its private part. */
typedef struct FileJob {
        LoopJob job;
        StoreIo *io;
        size_t transferred; /* READ, WRITE: before the job */
        bool cancelled;     /* atomic */
        List link;          /* rdwr's batches */
} FileJob;

_Static_assert(sizeof(FileJob) <= sizeof(((StoreIo *)0)->private), "StoreIo.private is too small");

int file_open(const StoreSpec *spec, const StoreOps *ops, bool direct, Store **ret,
              StoreError *reterr);
int file_refresh(Store *s, const StoreSpec *spec, StoreError *reterr);
void file_free(Store *s);

/* Has a file of size that is in memory mapped, if it can be. replaced: it is another file. */
void file_map(FileStore *fs, uint64_t size, bool replaced);
void file_unmap(FileStore *fs);
int file_extent(Store *s, uint64_t offset, bool *ret_mapped, uint64_t *ret_length);
bool file_lend(Store *s, uint64_t offset, uint64_t length, StoreLoan *ret);

/* Does all of io but the first transferred bytes, and returns its result. */
int file_execute(FileStore *fs, const StoreIo *io, size_t transferred, const bool *cancelled);
/* Fills io's FileJob in; executes it, on whatever thread, into io->result. */
FileJob *file_job_init(StoreIo *io, size_t transferred);
void file_job_execute(FileJob *fj);
/* Does so in a job of its own. */
void file_job(StoreChannel *ch, StoreIo *io, size_t transferred);
void file_cancel(StoreChannel *ch, StoreIo *io);
