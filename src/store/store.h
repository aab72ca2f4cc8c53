/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <sys/uio.h>

#include "base/base.h"
#include "base/list.h"
#include "base/loop.h"

/* store: bytes on something that keeps them. Read, write, flush, discard, zero; no SCSI, no CDBs.
 *
 * A Store is one opened file, device or memory area, shared by all threads and reference-counted.
 * Each worker that uses it attaches a StoreChannel and submits StoreRequests to that; everything on
 * a channel happens on its loop's thread. Opening and refreshing may block and run where that is
 * allowed (a job, or before threads start); nothing else here ever blocks the caller.
 *
 * The contract, kept by every type and tested in one suite over all of them:
 *  - Each submitted request completes exactly once: either store_submit() returns true and
 *    req->result is set, or done() is called later from the loop, never from inside submit.
 *  - Buffers and the request itself are the store's until then, cancelled or not.
 *  - Requests may complete in any order; two that overlap have no order. Whoever needs one waits.
 * But each block is of one of two overlapping writes, never half of each.
 *  - Data is whole or an error: no short success. What is read behind the end is an error
 * (-ERANGE).
 *  - STORE_FLUSH covers every write, discard and zero that completed before it was submitted, on
 *    any channel, and returns after stable storage has them. STORE_FUA does so for one request.
 *  - Discarded ranges read as zeros if caps.discard_zeroes, else as before or zeros per block.
 *  - result is 0 or: -EINVAL not aligned to StoreSpec.granularity; -EIO medium or transport error;
 * -ENOSPC; -ENODEV the thing is gone (the store stays closed to I/O until store_refresh()
 * succeeds); -ERANGE; -EROFS; -ENOMEM; -ECANCELED after store_cancel(); -EOPNOTSUPP for what caps
 * do not declare.
 *
 * May include: base. */

typedef struct Store Store;
typedef struct StoreChannel StoreChannel;
typedef struct StoreRequest StoreRequest;
typedef struct StoreHost StoreHost;

typedef enum StoreOp { STORE_READ, STORE_WRITE, STORE_FLUSH, STORE_DISCARD, STORE_ZERO } StoreOp;

enum {
        STORE_FUA = 1 << 0,     /* WRITE, ZERO: stable before completion */
        STORE_UNMAP_OK = 1 << 1 /* ZERO: may be done by deallocating */
};

#define STORE_PRIVATE_SIZE 384
#define STORE_IOV_MAX 4

struct StoreRequest {
        StoreOp op;
        uint32_t flags;
        uint64_t offset, length; /* bytes; both multiples of caps.block_size or emulated by the
                                    store layer; FLUSH: both 0 */
        struct iovec iov[STORE_IOV_MAX]; /* READ, WRITE: sums to length */
        unsigned n_iov;
        void (*done)(StoreRequest *req); /* on the channel's loop */
        int result;

        /* the store layer's: */
        StoreChannel *channel;
        List link;
        _Alignas(16) uint8_t private[STORE_PRIVATE_SIZE];
};

/* What a store can do; constant but for size and readonly (which refresh may change). */
typedef struct StoreCaps {
        uint64_t size;                /* bytes */
        uint32_t block_size;          /* natural logical block of what is below: 512, 4096 */
        uint32_t physical_size;       /* preferred multiple, >= block_size */
        uint32_t discard_granularity; /* 0: cannot discard */
        bool readonly;
        bool discard_zeroes; /* what was discarded reads as zeros */
        bool zero;           /* STORE_ZERO without writing every byte */
        bool rotational;
        bool volatile_cache; /* a flush does something */
        bool extents;        /* store_extent() knows */
        /* Negative: writes go through threads, since io_uring cannot be used. -EOPNOTSUPP: the
         * kernel is too old for it; -EPERM, -ENOSYS and others: it refuses, or a sandbox does. */
        int ring_error;
} StoreCaps;

/* What to open. Strings are the caller's, for the call. */
typedef struct StoreSpec {
        const char *type;    /* "rdwr", "aio", "null", "ram", "fault", "rbd" */
        const char *path;    /* NULL for null and ram */
        const char *options; /* "key=value;key=value" or NULL; an unknown key is an error */
        uint64_t size;       /* null, ram: required */
        bool readonly;
        bool direct, sync;    /* bsoflags */
        bool allow_in_use;    /* open a mounted or held block device all the same */
        uint32_t granularity; /* every request's offset and length is a multiple of this, else
                                 -EINVAL; 0: 512. Writes are serialised per block only where the
                                 store's blocks are larger, so say 4096 where it is so */
        /* Opens path: a descriptor or negative errno. flags as open(2). NULL: open(2) itself.
         * daemon/ passes one that asks the privileged opener. May block. */
        int (*open_path)(const char *path, int flags, void *userdata);
        void *open_userdata;
} StoreSpec;

/* Where errors become sentences: filled by what returns an errno and has more to say. */
typedef struct StoreError {
        char text[256];
} StoreError;

/* The same thing on this host is the same identity, whatever path led to it. */
typedef struct StoreIdentity {
        uint64_t kind; /* 0: unique (ram, null); 1: inode; 2: block device; 3: image of a cluster */
        uint64_t a, b; /* st_dev, st_ino; st_rdev, 0; a hash of cluster, pool, image, snapshot */
} StoreIdentity;

/* One row per type; store_types() ends with a row whose name is NULL. */
typedef struct StoreType {
        const char *name;
        const char *summary; /* one line, for humans and the man page */
        bool needs_path, needs_size;
        /* path names no file of this host: whoever looks for one, or passes descriptors of it, is
         * not asked; what it is is known when it is open, and opening may wait for other machines
         */
        bool remote;
        const char *const *options; /* keys it takes, NULL-terminated */
        /* What can be said of path and options without opening; NULL: nothing. Does not block. */
        int (*check)(const StoreSpec *spec, StoreError *reterr);
        /* remote: the same text for settings that mean the same thing. -EINVAL, -ENAMETOOLONG. */
        int (*key)(const StoreSpec *spec, char *ret, size_t size);
        int (*open)(const StoreSpec *spec, Store **ret, StoreError *reterr);
} StoreType;

const StoreType *store_types(void) _pure_;
const StoreType *store_type_find(const char *name) _pure_;

/* Is spec complete, and does its type take it? Opens nothing, waits for nothing. */
int store_check(const StoreSpec *spec, StoreError *reterr);
/* Blocks, for seconds at most where what it waits for is another machine (-ENODEV: try again).
 * -EINVAL and friends with a sentence in *reterr that names path and reason. */
int store_open(const StoreSpec *spec, Store **ret, StoreError *reterr);
Store *store_ref(Store *s);   /* any thread */
Store *store_unref(Store *s); /* any thread; the last one closes, in a pool thread if need be */

const StoreType *store_type(const Store *s);
StoreIdentity store_identity(const Store *s);
/* A consistent copy; any thread, cheap but not for the I/O path. */
StoreCaps store_caps(const Store *s);
/* Blocks. Looks again at size, and reopens what went away (a regular file or device that came back
 * under the same path). Returns 1 if caps changed, 0 if not, negative errno while it is away. */
int store_refresh(Store *s, const StoreSpec *spec, StoreError *reterr);
/* Blocks briefly. Changes a running store's options ("key=value;..."): fault injection. */
int store_configure(Store *s, const char *options, StoreError *reterr);
/* Blocks. Does what stands at offset take room, and up to where is that so? *ret_length is at least
 * 1 and goes to the end of the store at most. Of a type that cannot tell all does. -ERANGE,
 * -ENODEV, or what a system call said. */
int store_extent(Store *s, uint64_t offset, bool *ret_mapped, uint64_t *ret_length);
/* Requests submitted and not completed, on all channels: ghosts keep a store busy. */
unsigned store_busy(const Store *s);
/* Waits until every store is closed, at most ns. false: some are open all the same, and may have
 * threads of their own: not a time to take static state away. For the end of a program. */
bool store_wait_closed(uint64_t ns);
/* The lane that blocking work for this store shares. */
LoopLane *store_lane(Store *s);

/* What the channels of one worker share: one libaio context, for example. On its loop's thread. */
int store_host_new(Loop *loop, StoreHost **ret);
StoreHost *store_host_free(StoreHost *host); /* all channels are detached */

int store_attach(Store *s, StoreHost *host, StoreChannel **ret); /* takes a reference on s */
StoreChannel *store_detach(StoreChannel *ch);                    /* nothing is pending on ch */

/* true: complete, see req->result; false: done() will be called. Requests submitted in one turn of
 * the loop may go to the kernel together at the end of the turn. Handles what the type lacks:
 * requests not aligned to its blocks, zeroing and FUA by other means. */
bool store_submit(StoreChannel *ch, StoreRequest *req);
/* A hint, on the channel's thread: the request may complete early with -ECANCELED, or as if nothing
 * had been said. A write that is cancelled may have been done in part. */
void store_cancel(StoreRequest *req);

/* Bytes that can be sent from where the store has them. They are what it has when they are sent,
 * not when they were lent. Only system calls look at memory (EFAULT: they are gone), which copy it;
 * everybody else calls store_loan_read(). */
typedef struct StoreLoan {
        const uint8_t *memory;
        int fd;          /* of the file that is mapped there, or -1 */
        uint64_t offset; /* in fd */
} StoreLoan;

/* true: [offset, offset + length) is in memory, and *ret says where until store_loan_end(). Until
 * then the loan counts as a request. On the channel's thread, both. */
bool store_lend(StoreChannel *ch, uint64_t offset, uint64_t length, StoreLoan *ret);
void store_loan_end(StoreChannel *ch);
/* Copies n bytes behind skip of what was lent, without waiting. Negative errno if they are not
 * there any more. */
int store_loan_read(const StoreLoan *loan, uint64_t skip, void *buf, size_t n);
