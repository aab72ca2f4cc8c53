/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/aio.h"

#ifdef STORE_WITH_URING

#include <liburing.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/utsname.h>

/* io_uring, for the one thing that it does and libaio does not: a write with RWF_NOWAIT to a file
 * system that is frozen comes back at once, so that a worker may submit it. It does so since
 * Linux 6.12; on older kernels the ring is not used. */

#define ENTRIES 256
#define IN_FLIGHT_MAX (2 * ENTRIES) /* the size of the completion queue */
#define RETRY_NS NSEC_PER_MSEC      /* the kernel is out of memory and nothing of ours is with it */

struct Uring {
        struct io_uring ring;
        Loop *loop;
        LoopIo io; /* the ring itself: readable when something is complete */
        LoopTask flush;
        LoopTimer retry;
        List queue; /* AioIo.link: not submitted */
        unsigned in_flight;
};

static bool kernel_heeds_nowait(void)
{
        struct utsname name;
        unsigned major, minor;

        return uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
               (major > 6 || (major == 6 && minor >= 12));
}

static void prepare(Uring *u, AioIo *aio)
{
        struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
        StoreIo *io = aio->io;
        FileStore *fs = (FileStore *)io->channel->store;
        int flags = RWF_NOWAIT | (io->flags & STORE_FUA ? RWF_DSYNC : 0);

        io_uring_prep_writev2(sqe, fs->fd, io->iov, io->n_iov, io->offset, flags);
        io_uring_sqe_set_data(sqe, io);
        u->in_flight++;
        list_remove(&aio->link);
}

/* What the ring and the kernel have room for. */
static AioIo *next(Uring *u)
{
        if (u->in_flight >= IN_FLIGHT_MAX || io_uring_sq_space_left(&u->ring) == 0)
                return NULL;
        return LIST_FIRST(&u->queue, AioIo, link);
}

static void flush(LoopTask *task)
{
        Uring *u = CONTAINER_OF(task, Uring, flush);
        List cancelled;
        AioIo *aio;

        aio_take_cancelled(&u->queue, &cancelled);
        aio_end_cancelled(&cancelled);
        do {
                for (unsigned n = 0; n < AIO_BUNCH && (aio = next(u)); n++)
                        prepare(u, aio);
                /* what the kernel does not take now stays in the ring */
                if (io_uring_submit(&u->ring) < 0)
                        break;
        } while (!list_empty(&u->queue) && u->in_flight < IN_FLIGHT_MAX);
        if (io_uring_sq_ready(&u->ring) > 0)
                loop_timer_in(u->loop, &u->retry, RETRY_NS);
}

static void retry_fire(LoopTimer *timer)
{
        Uring *u = CONTAINER_OF(timer, Uring, retry);

        loop_defer(u->loop, &u->flush);
}

static void ready(LoopIo *lio, uint32_t events)
{
        Uring *u = CONTAINER_OF(lio, Uring, io);
        struct io_uring_cqe *cqe;

        while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
                StoreIo *io = io_uring_cqe_get_data(cqe);
                int res = cqe->res;

                io_uring_cqe_seen(&u->ring, cqe);
                u->in_flight--;
                aio_finish(io, res);
        }
        if (!list_empty(&u->queue))
                loop_defer(u->loop, &u->flush);
}

/* A ring that works: a sandbox may permit the call that makes one and not the one that uses it. */
static int ring_open(struct io_uring *ring)
{
        struct io_uring_cqe *cqe;
        int r = kernel_heeds_nowait() ? 0 : -EOPNOTSUPP;

        if (r >= 0)
                r = io_uring_queue_init(ENTRIES, ring, IORING_SETUP_CLAMP);
        if (r < 0)
                return r;
        io_uring_prep_nop(io_uring_get_sqe(ring)); /* the ring is empty: there is one */
        r = io_uring_submit_and_wait(ring, 1);
        if (r >= 0)
                r = io_uring_peek_cqe(ring, &cqe);
        if (r < 0) {
                io_uring_queue_exit(ring);
                return r;
        }
        io_uring_cqe_seen(ring, cqe);
        return 0;
}

int uring_check(void)
{
        static bool works; /* atomic; one answer for all files */
        struct io_uring ring;
        int r;

        if (kernel_heeds_nowait() && __atomic_load_n(&works, __ATOMIC_RELAXED))
                return 0;
        r = ring_open(&ring);
        if (r < 0)
                return r;
        io_uring_queue_exit(&ring);
        __atomic_store_n(&works, true, __ATOMIC_RELAXED);
        return 0;
}

void uring_submit(Uring *u, AioIo *aio)
{
        list_append(&u->queue, &aio->link);
        loop_defer(u->loop, &u->flush);
}

bool uring_cancel(Uring *u, const StoreIo *io)
{
        if (!aio_cancel_in(&u->queue, io))
                return false;
        loop_defer(u->loop, &u->flush);
        return true;
}

int uring_new(Loop *loop, Uring **ret)
{
        Uring *u;
        int r;

        u = calloc(1, sizeof(*u));
        if (!u)
                return -ENOMEM;
        u->loop = loop;
        u->flush.run = flush;
        u->retry.fire = retry_fire;
        u->io.ready = ready;
        list_init(&u->queue);
        r = ring_open(&u->ring);
        if (r < 0) {
                free(u);
                return r;
        }
        u->io.fd = u->ring.ring_fd;
        r = loop_io(loop, &u->io, EPOLLIN);
        if (r < 0) {
                io_uring_queue_exit(&u->ring);
                free(u);
                return r;
        }
        *ret = u;
        return 0;
}

Uring *uring_free(Uring *u)
{
        if (!u)
                return NULL;
        loop_timer_cancel(u->loop, &u->retry);
        (void)loop_io(u->loop, &u->io, 0);
        io_uring_queue_exit(&u->ring);
        free(u);
        return NULL;
}

#else

int uring_check(void)
{
        return -EOPNOTSUPP;
}

int uring_new(Loop *loop, Uring **ret)
{
        return -EOPNOTSUPP;
}

Uring *uring_free(Uring *u)
{
        return NULL;
}

void uring_submit(Uring *u, AioIo *aio)
{
}

bool uring_cancel(Uring *u, const StoreIo *io)
{
        return false;
}

#endif
