/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <libaio.h>

#include "store/file.h"

/* What aio.c and uring.c share: a StoreIo on its way through the kernel. */

/* Requests that go to the kernel at a time. What goes together comes back together, where a device
 * says so once for all: in smaller bunches it has something to do while the initiator has its turn.
 */
#define AIO_BUNCH 8

/* In StoreIo.private; once the request goes to a job, a FileJob is there instead. */
typedef struct AioIo {
        struct iocb iocb;
        List link;
        StoreIo *io;
        long res;
        bool cancelled;
        bool in_batch; /* of its channel's job, which may still look at it */
        bool complete; /* in_batch: with res */
} AioIo;

_Static_assert(sizeof(AioIo) <= sizeof(((StoreIo *)0)->private), "StoreIo.private is too small");

/* What the kernel said: bytes or negative errno. Completes io, or lets a job do it. */
void aio_finish(StoreIo *io, long res);
/* RWF_NOWAIT was refused for this file and direction. */
bool *aio_nowait_refused(const StoreIo *io);

/* Marks io if it is in queue. */
bool aio_cancel_in(List *queue, const StoreIo *io);
/* Moves what is marked from queue to ret, and ends it: the last may be the last of its channel. */
void aio_take_cancelled(List *queue, List *ret);
void aio_end_cancelled(List *cancelled);

/* ---- uring.c: one ring per worker, for writes to regular files ---- */

typedef struct Uring Uring;

/* 0, or why there can be no ring: StoreCaps.ring_error. */
int uring_check(void);
int uring_new(Loop *loop, Uring **ret);
Uring *uring_free(Uring *u); /* nothing is in it */
/* Goes to the kernel at the end of the turn. */
void uring_submit(Uring *u, AioIo *aio);
/* true: it was still here, and ends with -ECANCELED soon. */
bool uring_cancel(Uring *u, const StoreIo *io);
