/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/mman.h>

#include "store/internal.h"

/* What a type lacks, made from what it has: parts of blocks by read-modify-write, memory that
 * O_DIRECT does not take by a bounce buffer, zeroing by writes, FUA by a flush that follows.
 *
 * A request goes through phases, one piece after the other. Each phase either goes on to the next
 * or has given something to the type (or to the lock, or to the queue for a bounce buffer) and is
 * called again when that is over:
 *
 *   BOUNCE -> LOCK -> PIECE -> [HEAD -> TAIL -> MERGE] -> WRITTEN -> PIECE ... -> FLUSH -> END
 *                      |   \-> READ (copied out) -> PIECE
 *                      \-> NATIVE (zero or discard by the type) -> PIECE
 *
 * A bounce buffer is taken before the lock: who holds a lock never waits for a buffer, so those
 * who hold buffers and wait for locks always get them. */

typedef enum Phase {
        PHASE_BOUNCE,
        PHASE_LOCK,
        PHASE_PIECE,
        PHASE_READ,
        PHASE_HEAD,
        PHASE_TAIL,
        PHASE_MERGE,
        PHASE_WRITTEN,
        PHASE_NATIVE,
        PHASE_FLUSH,
        PHASE_END
} Phase;

typedef enum Progress { GO_ON, WAIT } Progress;

#define BOUNCE_SIZE (128 * KIB)
#define BOUNCE_MAX 8      /* per channel: 1 MiB */
#define PIECES_PER_TURN 4 /* that complete at once, before other work of the loop gets its turn */

/* In front of its memory's page: the free list. */
struct Bounce {
        Bounce *next;
        uint8_t *data; /* BOUNCE_SIZE bytes, page-aligned */
};

static void frame_run(StoreRequest *req);
static bool frame_step(StoreRequest *req);

/* ---- bounce buffers ---- */

static int bounce_new(StoreChannel *ch)
{
        Bounce *b = calloc(1, sizeof(*b));
        void *data;

        if (!b)
                return -ENOMEM;
        data = mmap(NULL, BOUNCE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (data == MAP_FAILED) {
                free(b);
                return -ENOMEM;
        }
        b->data = data;
        b->next = ch->bounces;
        ch->bounces = b;
        ch->n_bounces++;
        return 0;
}

int emulate_attach(StoreChannel *ch)
{
        list_init(&ch->waiting);
        /* One is always there, so that nothing ever fails for want of it. */
        return ch->store->align > 1 ? bounce_new(ch) : 0;
}

void emulate_detach(StoreChannel *ch)
{
        Bounce *b;

        while ((b = ch->bounces)) {
                ch->bounces = b->next;
                (void)munmap(b->data, BOUNCE_SIZE);
                free(b);
        }
}

static void bounce_put(StoreChannel *ch, Bounce *b)
{
        StoreRequest *next = LIST_FIRST(&ch->waiting, StoreRequest, link);

        if (!b)
                return;
        if (next) {
                list_remove(&next->link);
                frame_of(next)->bounce = b;
                loop_post(ch->loop, &frame_of(next)->lock.task);
                return;
        }
        b->next = ch->bounces;
        ch->bounces = b;
}

/* ---- what a request needs ---- */

/* Does it touch a block in part, for good? */
static bool is_partial(const StoreRequest *req)
{
        const Store *s = req->channel->store;

        return req->op != STORE_READ && (req->offset | req->length) % s->align != 0;
}

static bool needs_bounce(const StoreRequest *req)
{
        const Store *s = req->channel->store;

        if (s->align == 1)
                return false;
        if (is_partial(req))
                return true;
        if (req->op != STORE_READ && req->op != STORE_WRITE)
                return false;
        if (req->op == STORE_READ && (req->offset | req->length) % s->align != 0)
                return true;
        for (unsigned i = 0; i < req->n_iov; i++)
                if ((uintptr_t)req->iov[i].iov_base % s->mem_align != 0 ||
                    req->iov[i].iov_len % s->align != 0)
                        return true;
        return false;
}

static bool needs_flush(const StoreRequest *req)
{
        return (req->flags & STORE_FUA) && !(req->channel->store->native & NATIVE_FUA) &&
               (req->op == STORE_WRITE || req->op == STORE_ZERO);
}

/* ---- giving pieces to the type ---- */

static void piece_done(StoreIo *io)
{
        StoreRequest *req = frame_request(CONTAINER_OF(io, Frame, io));

        frame_of(req)->budget = PIECES_PER_TURN;
        frame_run(req);
}

static Progress issue(StoreRequest *req, StoreOp op, uint64_t offset, uint64_t length, void *buf,
                      Phase next)
{
        StoreChannel *ch = req->channel;
        Frame *f = frame_of(req);

        f->phase = (uint8_t)next;
        f->iov = (struct iovec){ .iov_base = buf, .iov_len = (size_t)length };
        f->io = (StoreIo){
                .op = op,
                .flags = op == STORE_WRITE || op == STORE_ZERO ? req->flags : 0,
                .offset = offset,
                .length = length,
                .iov = &f->iov,
                .n_iov = buf ? 1 : 0,
                .channel = ch,
                .done = piece_done,
        };
        if (!(ch->store->native & NATIVE_FUA))
                f->io.flags &= ~(uint32_t)STORE_FUA;
        return ch->store->ops->submit(ch, &f->io) ? GO_ON : WAIT;
}

/* ---- phases ---- */

static Progress phase_bounce(StoreRequest *req)
{
        StoreChannel *ch = req->channel;
        Frame *f = frame_of(req);

        f->phase = PHASE_LOCK;
        if (f->bounce || !needs_bounce(req))
                return GO_ON;
        if (!ch->bounces && ch->n_bounces < BOUNCE_MAX)
                (void)bounce_new(ch); /* or wait for one that is in use */
        if (ch->bounces) {
                f->bounce = ch->bounces;
                ch->bounces = f->bounce->next;
                return GO_ON;
        }
        list_append(&ch->waiting, &req->link);
        f->phase = PHASE_BOUNCE;
        return WAIT;
}

static Progress phase_lock(StoreRequest *req)
{
        Store *s = req->channel->store;
        Frame *f = frame_of(req);

        f->phase = PHASE_PIECE;
        if (!s->locked || req->op == STORE_READ || req->op == STORE_FLUSH)
                return GO_ON;
        f->lock.begin = ROUND_DOWN(req->offset, s->align);
        f->lock.end = ROUND_UP(req->offset + req->length, s->align);
        f->lock.is_exclusive = is_partial(req);
        f->locked = true;
        return range_lock(&s->ranges, &f->lock) ? GO_ON : WAIT;
}

/* A piece that goes through the bounce buffer: whole blocks, as many as fit into it. */
static void set_piece(StoreRequest *req, uint64_t limit)
{
        const Store *s = req->channel->store;
        Frame *f = frame_of(req);

        f->begin = ROUND_DOWN(f->pos, s->align);
        f->end = MIN(ROUND_UP(limit, s->align), f->begin + ROUND_DOWN(BOUNCE_SIZE, s->align));
}

/* The caller's buffers as they are: only the lock or the flush kept the request from being plain.
 */
static Progress issue_whole(StoreRequest *req)
{
        StoreChannel *ch = req->channel;
        Frame *f = frame_of(req);

        f->begin = f->pos;
        f->end = req->offset + req->length;
        f->phase = PHASE_WRITTEN;
        f->io = (StoreIo){
                .op = req->op,
                .flags = ch->store->native & NATIVE_FUA ? req->flags : 0,
                .offset = req->offset,
                .length = req->length,
                .iov = req->iov,
                .n_iov = req->n_iov,
                .channel = ch,
                .done = piece_done,
        };
        return ch->store->ops->submit(ch, &f->io) ? GO_ON : WAIT;
}

/* Zeroes [pos, limit) by writing: whole blocks from the shared zeroes, others by way of RMW. */
static Progress issue_zeroes(StoreRequest *req, uint64_t limit)
{
        const Store *s = req->channel->store;
        Frame *f = frame_of(req);
        uint64_t whole = ROUND_DOWN(limit, s->align);

        if (f->pos % s->align == 0 && whole > f->pos) {
                f->begin = f->pos;
                f->end = MIN(whole, f->pos + ROUND_DOWN(STORE_ZEROES_SIZE, s->align));
                return issue(req, STORE_WRITE, f->begin, f->end - f->begin, store_zeroes,
                             PHASE_WRITTEN);
        }
        /* only up to the next boundary: the rest is whole blocks again */
        set_piece(req, MIN(limit, ROUND_DOWN(f->pos, s->align) + s->align));
        f->phase = PHASE_HEAD;
        return GO_ON;
}

/* ZERO and DISCARD: what the type takes in one, the edges by writing zeroes. */
static Progress phase_zap(StoreRequest *req)
{
        const Store *s = req->channel->store;
        Frame *f = frame_of(req);
        uint64_t end = req->offset + req->length;
        uint64_t first = ROUND_UP(f->pos, s->zap_align), last = ROUND_DOWN(end, s->zap_align);

        if (req->op == STORE_ZERO && (f->by_write || !(s->native & NATIVE_ZERO)))
                return issue_zeroes(req, end);
        if (first == f->pos && last > f->pos) {
                f->begin = f->pos;
                f->end = last;
                return issue(req, req->op, f->begin, last - f->begin, NULL, PHASE_NATIVE);
        }
        /* an edge: in front of the first whole unit, or behind the last */
        end = first > f->pos ? MIN(first, end) : end;
        if (req->op == STORE_DISCARD && !s->caps.discard_zeroes) {
                f->pos = end; /* to discard less is allowed */
                return GO_ON;
        }
        return issue_zeroes(req, end);
}

static Progress phase_piece(StoreRequest *req)
{
        Frame *f = frame_of(req);
        uint64_t end = req->offset + req->length;

        if (f->pos >= end) {
                f->phase = PHASE_END;
                if (needs_flush(req))
                        return issue(req, STORE_FLUSH, 0, 0, NULL, PHASE_FLUSH);
                return GO_ON;
        }
        switch (req->op) {
        case STORE_READ:
                set_piece(req, end);
                return issue(req, STORE_READ, f->begin, f->end - f->begin, f->bounce->data,
                             PHASE_READ);
        case STORE_WRITE:
                if (!f->bounce)
                        return issue_whole(req);
                set_piece(req, end);
                f->phase = PHASE_HEAD;
                return GO_ON;
        default:
                return phase_zap(req);
        }
}

static uint64_t piece_limit(const StoreRequest *req, const Frame *f)
{
        return MIN(req->offset + req->length, f->end);
}

static Progress phase_read(StoreRequest *req)
{
        Frame *f = frame_of(req);
        uint64_t limit = piece_limit(req, f);

        iov_copy_to(req->iov, req->n_iov, (size_t)(f->pos - req->offset),
                    f->bounce->data + (f->pos - f->begin), (size_t)(limit - f->pos));
        f->pos = limit;
        f->phase = PHASE_PIECE;
        return GO_ON;
}

static Progress phase_head(StoreRequest *req)
{
        const Store *s = req->channel->store;
        Frame *f = frame_of(req);

        f->phase = PHASE_TAIL;
        if (f->pos == f->begin)
                return GO_ON;
        return issue(req, STORE_READ, f->begin, s->align, f->bounce->data, PHASE_TAIL);
}

static Progress phase_tail(StoreRequest *req)
{
        const Store *s = req->channel->store;
        Frame *f = frame_of(req);
        uint64_t last = f->end - s->align;

        f->phase = PHASE_MERGE;
        if (piece_limit(req, f) == f->end || (last == f->begin && f->pos > f->begin))
                return GO_ON;
        return issue(req, STORE_READ, last, s->align, f->bounce->data + (last - f->begin),
                     PHASE_MERGE);
}

static Progress phase_merge(StoreRequest *req)
{
        Frame *f = frame_of(req);
        uint8_t *at = f->bounce->data + (f->pos - f->begin);
        size_t n = (size_t)(piece_limit(req, f) - f->pos);

        if (req->op == STORE_WRITE)
                iov_copy_from(req->iov, req->n_iov, (size_t)(f->pos - req->offset), at, n);
        else
                memset(at, 0, n);
        return issue(req, STORE_WRITE, f->begin, f->end - f->begin, f->bounce->data, PHASE_WRITTEN);
}

static Progress phase_written(StoreRequest *req)
{
        Frame *f = frame_of(req);

        f->pos = piece_limit(req, f);
        f->phase = PHASE_PIECE;
        return GO_ON;
}

static Progress phase_native(StoreRequest *req)
{
        Frame *f = frame_of(req);

        f->phase = PHASE_PIECE;
        if (req->op == STORE_ZERO && f->io.result == -EOPNOTSUPP) {
                f->io.result = 0;
                f->by_write = true;
                return GO_ON;
        }
        if (f->io.result == 0)
                f->pos = f->end;
        return GO_ON;
}

static Progress phase_flush(StoreRequest *req)
{
        frame_of(req)->phase = PHASE_END;
        return GO_ON;
}

static Progress (*const phases[PHASE_END])(StoreRequest *req) = {
        [PHASE_BOUNCE] = phase_bounce, [PHASE_LOCK] = phase_lock,
        [PHASE_PIECE] = phase_piece,   [PHASE_READ] = phase_read,
        [PHASE_HEAD] = phase_head,     [PHASE_TAIL] = phase_tail,
        [PHASE_MERGE] = phase_merge,   [PHASE_WRITTEN] = phase_written,
        [PHASE_NATIVE] = phase_native, [PHASE_FLUSH] = phase_flush,
};

/* ---- the machine ---- */

static void frame_end(StoreRequest *req)
{
        StoreChannel *ch = req->channel;
        Frame *f = frame_of(req);

        if (f->locked)
                range_unlock(&ch->store->ranges, &f->lock);
        f->locked = false;
        bounce_put(ch, TAKE_PTR(f->bounce));
}

/* Runs until something is pending (false) or the request is over (true, req->result). */
static bool frame_step(StoreRequest *req)
{
        Frame *f = frame_of(req);

        for (;;) {
                if (f->phase == PHASE_NATIVE)
                        (void)phase_native(req);
                if (f->io.result < 0)
                        f->phase = PHASE_END;
                if (f->phase == PHASE_END) {
                        req->result = f->io.result;
                        frame_end(req);
                        return true;
                }
                if (f->phase == PHASE_PIECE && f->budget-- == 0) {
                        f->budget = PIECES_PER_TURN;
                        loop_post(req->channel->loop, &f->lock.task);
                        return false;
                }
                if (phases[f->phase](req) == WAIT)
                        return false;
        }
}

static void frame_run(StoreRequest *req)
{
        if (frame_step(req))
                request_complete(req, req->result);
}

/* A bounce buffer or the lock came, or it is our turn again. */
static void frame_task(LoopTask *task)
{
        RangeLock *lock = CONTAINER_OF(task, RangeLock, task);

        frame_run(frame_request(CONTAINER_OF(lock, Frame, lock)));
}

bool emulate_start(StoreRequest *req)
{
        Frame *f = frame_of(req);

        f->emulated = true;
        f->lock = (RangeLock){ .loop = req->channel->loop, .task = { .run = frame_task } };
        f->bounce = NULL;
        f->locked = false;
        f->pos = req->offset;
        f->phase = PHASE_BOUNCE;
        f->budget = PIECES_PER_TURN;
        f->io.result = 0;
        return frame_step(req);
}

void emulate_cancel(StoreRequest *req)
{
        StoreChannel *ch = req->channel;
        Frame *f = frame_of(req);

        switch (f->phase) {
        case PHASE_BOUNCE:
                if (!list_linked(&req->link))
                        return;
                list_remove(&req->link);
                break;
        case PHASE_PIECE:
                /* waits for the lock, or for its turn */
                if (!f->locked || !range_lock_cancel(&ch->store->ranges, &f->lock))
                        return;
                f->locked = false;
                break;
        default:
                if (ch->store->ops->cancel)
                        ch->store->ops->cancel(ch, &f->io);
                return;
        }
        f->io.result = -ECANCELED;
        loop_post(ch->loop, &f->lock.task);
}
