/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <pthread.h>

#include "store/range-lock.h"
#include "store/store.h"

/* What store types and the common layer know of each other; nobody outside store/ includes this.
 *
 * A type gets StoreIos, not StoreRequests: the common layer (submit.c, emulate.c) has checked the
 * range and cut the request so that it fits Store.align. A type completes each StoreIo exactly
 * once: submit() returns true with io->result set, or io->done() is called later on the channel's
 * loop. */

/* A request is one frame: the piece of it that the type has now, and where emulation stands. */
typedef struct StoreIo StoreIo;
struct StoreIo {
        StoreOp op;
        uint32_t flags;
        uint64_t offset, length;
        const struct iovec *iov;
        unsigned n_iov;
        int result;
        StoreChannel *channel;
        void (*done)(StoreIo *io);
        _Alignas(16) uint8_t private[112]; /* the type's */
};

typedef struct StoreOps {
        int (*attach)(StoreChannel *ch);  /* NULL: nothing to do */
        void (*detach)(StoreChannel *ch); /* NULL: nothing to do */
        bool (*submit)(StoreChannel *ch, StoreIo *io);
        void (*cancel)(StoreChannel *ch, StoreIo *io); /* NULL: hints are ignored */
        /* store_lend() of a range that is there; NULL: never */
        bool (*lend)(Store *s, uint64_t offset, uint64_t length, StoreLoan *ret);
        /* Blocks. Updates caps.size and caps.readonly through store_set_size(), ..._readonly(). */
        int (*refresh)(Store *s, const StoreSpec *spec, StoreError *reterr);
        int (*configure)(Store *s, const char *options, StoreError *reterr); /* NULL: no options */
        /* store_extent() of an offset that is there; NULL: all of it takes room. Blocks. */
        int (*extent)(Store *s, uint64_t offset, bool *ret_mapped, uint64_t *ret_length);
        void (*free)(Store *s); /* closes and frees what the type added, and s */
} StoreOps;

/* What a type does by itself; what it does not is emulated. */
enum {
        NATIVE_FUA = 1 << 0, /* flags & STORE_FUA on WRITE, and on ZERO if that is native */
        NATIVE_ZERO = 1 << 1 /* STORE_ZERO; -EOPNOTSUPP for one range is not an error */
};

struct Store {
        const StoreType *type;
        const StoreOps *ops;
        unsigned ref;
        unsigned native;
        bool close_blocks; /* the last reference is not dropped on the caller's thread */

        /* Reads and writes must be multiples of align at memory that is a multiple of mem_align;
         * discards and zeroes multiples of zap_align, a multiple of align. 1: anything goes. */
        uint32_t align, mem_align, zap_align;
        uint32_t granularity; /* of requests, StoreSpec */
        bool locked;          /* align > granularity: read-modify-write may happen */
        RangeLocks ranges;

        uint64_t size; /* atomics, read by every request */
        bool readonly;
        bool gone;

        pthread_mutex_t mutex; /* caps, identity, channels; a leaf */
        StoreCaps caps;        /* but size and readonly */
        StoreIdentity identity;
        List channels;

        LoopLane lane;
};

struct StoreHost {
        Loop *loop;
        unsigned n_channels;
        struct AioContext *aio; /* aio.c's, or NULL */
};

typedef struct Bounce Bounce;

struct StoreChannel {
        Store *store;
        StoreHost *host;
        Loop *loop;
        unsigned busy; /* atomic; written by the owner only */
        List link;     /* Store.channels */
        /* emulate.c's */
        Bounce *bounces; /* free ones */
        unsigned n_bounces;
        List waiting;  /* StoreRequest.link: for a bounce */
        void *private; /* the type's */
};

/* ---- for types ---- */

/* Fills what is common; caps.size, readonly and align.. are the type's to set before store_ready().
 */
int store_init(Store *s, const StoreOps *ops, const StoreSpec *spec);
void store_done(Store *s);
/* caps, align and so on are set: derives the rest. */
void store_ready(Store *s);
void store_set_size(Store *s, uint64_t size);
void store_set_readonly(Store *s, bool readonly);

/* Blocks until a store that was let go has closed its file, at most ns: true; false: none has. */
bool store_wait_closing(uint64_t ns);

/* by +1, -1: something is (no longer) under way that counts as an open store for
 * store_wait_closed(), such as a connection with threads of its own. */
void store_hold(int by);

static inline bool store_is_gone(const Store *s)
{
        return __atomic_load_n(&s->gone, __ATOMIC_RELAXED);
}

static inline uint64_t store_size(const Store *s)
{
        return __atomic_load_n(&s->size, __ATOMIC_RELAXED);
}

static inline bool store_is_readonly(const Store *s)
{
        return __atomic_load_n(&s->readonly, __ATOMIC_RELAXED);
}

int store_error(StoreError *reterr, int r, const char *format, ...) _printf_(3, 4);

/* 0 s and zero bytes in s: shared zeroes, read-only by custom, aligned for O_DIRECT. */
#define STORE_ZEROES_SIZE MIB
extern uint8_t store_zeroes[STORE_ZEROES_SIZE];

/* Copies len bytes between buf and the bytes of iov behind skip. */
void iov_copy_to(const struct iovec *iov, unsigned n, size_t skip, const void *buf, size_t len);
void iov_copy_from(const struct iovec *iov, unsigned n, size_t skip, void *buf, size_t len);
void iov_fill(const struct iovec *iov, unsigned n, uint8_t byte);
/* iov behind skip bytes, into ret (n entries); returns the number of entries. */
unsigned iov_skip(const struct iovec *iov, unsigned n, size_t skip, struct iovec *ret);

/* ---- submit.c, emulate.c ---- */

typedef struct Frame {
        StoreIo io;
        RangeLock lock;
        struct iovec iov;    /* of a piece that is not the caller's */
        uint64_t pos;        /* next byte to do */
        uint64_t begin, end; /* the piece under way, multiples of align */
        Bounce *bounce;
        uint8_t phase;
        uint8_t budget; /* pieces that may still complete without going back to the loop */
        bool by_write;  /* zeroing has to be done by writes */
        bool emulated;
        bool locked;
} Frame;

_Static_assert(sizeof(Frame) <= STORE_PRIVATE_SIZE, "STORE_PRIVATE_SIZE is too small");

static inline Frame *frame_of(StoreRequest *req)
{
        return (Frame *)(void *)req->private;
}

static inline StoreRequest *frame_request(Frame *f)
{
        return (StoreRequest *)(void *)((char *)f - offsetof(StoreRequest, private));
}

/* What store_submit() cannot give to the type as it is. true: complete, req->result is set. */
bool emulate_start(StoreRequest *req);
void emulate_cancel(StoreRequest *req);
int emulate_attach(StoreChannel *ch);
void emulate_detach(StoreChannel *ch);
/* Ends an asynchronous request: counters, errors with consequences, done(). */
void request_complete(StoreRequest *req, int result);

/* ---- types ---- */

int rdwr_open(const StoreSpec *spec, Store **ret, StoreError *reterr);
int aio_open(const StoreSpec *spec, Store **ret, StoreError *reterr);
int null_open(const StoreSpec *spec, Store **ret, StoreError *reterr);
int ram_open(const StoreSpec *spec, Store **ret, StoreError *reterr);
int fault_open(const StoreSpec *spec, Store **ret, StoreError *reterr);
extern const char *const rdwr_options[], *const null_options[], *const fault_options[];

struct AioContext *aio_context_free(struct AioContext *ctx);
