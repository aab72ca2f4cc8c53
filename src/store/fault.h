/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "store/internal.h"

/* The fault store: a plan per request (fault.c), and a volatile cache in front of the inner store
 * that can be lost (fault-cache.c). */

#define FAULT_SECTOR 512
#define FAULT_PAGE 4096

typedef struct FaultCache FaultCache;
typedef struct FaultPage FaultPage;

typedef enum FaultStage {
        FAULT_HUNG,       /* or delayed: nothing has been done */
        FAULT_INNER,      /* the inner store has the request */
        FAULT_CACHE_READ, /* the inner store reads; the cache's sectors go over that */
        FAULT_CACHE_WAIT, /* for its turn to write to the inner store */
        FAULT_CACHE_PAGE, /* a page is being written */
        FAULT_CACHE_PASS  /* the last step, a flush or zap of the inner store */
} FaultStage;

/* One StoreIo on its way through. */
typedef struct FaultIo FaultIo;
struct FaultIo {
        StoreRequest inner;
        StoreIo *io;
        StoreChannel *channel; /* the fault store's */
        FaultIo *next;         /* free list */
        LoopTask task;
        LoopTimer timer;
        List link; /* hung requests, or FaultCache's queue */
        FaultStage stage;
        bool cancelled;

        /* the plan */
        int error;
        bool is_short, corrupt;

        /* fault-cache.c */
        uint64_t begin, end, sequence;
        FaultPage *page;
        uint8_t sectors;
        uint8_t data[FAULT_PAGE];
};

StoreChannel *fault_inner(const FaultIo *f);
int fault_cache_new(FaultCache **ret);
FaultCache *fault_cache_free(FaultCache *c);
/* Forgets what was not flushed. Any thread. */
void fault_cache_crash(FaultCache *c);
/* Runs f (inner is filled in) through the cache. write_through: nothing stays behind unflushed.
 * true: complete, *ret_result is set; false: call fault_cache_continue() when f's task or
 * inner request comes back. */
bool fault_cache_submit(FaultCache *c, FaultIo *f, bool write_through, int *ret_result);
/* Goes on with f, whose inner request or turn has come. As submit. */
bool fault_cache_continue(FaultCache *c, FaultIo *f, int *ret_result);
