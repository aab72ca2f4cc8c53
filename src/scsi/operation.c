/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi/core.h"

/* Operations on the whole medium: FORMAT UNIT and SANITIZE (SBC-4 4.9, 4.11). The coordinator has
 * them, since they outlive the command that asks, its nexus, and resets; all of this but what says
 * otherwise is on its thread. One request to the store at a time, in pieces that take a moment
 * each.
 *
 *   STARTING --> RUNNING <--> SAVING      each arrow from and to a phase in capitals that ends in
 *                   |                     -ING waits for the keeper: what is to be remembered is
 *                   v                     remembered before anybody is told
 *                 ENDING --> over, or FAILED, or (as the process ends) SUSPENDED
 *
 * What the store has when it is exchanged becomes a ghost, as with commands. */

#define PIECE_MIN MIB
#define PIECE_MAX GIB
#define PIECE_TIME (50 * NSEC_PER_MSEC)       /* what a piece is to take, below us */
#define PIECE_TIME_HERE (500 * NSEC_PER_USEC) /* ... and if the store does it on this thread */
#define PATTERN_SIZE (256 * KIB)
#define STINTS_MAX 64 /* of all units; with PATTERN_SIZE, what peers can make us allocate */
#define RETRY NSEC_PER_SEC
#define TURN_WAIT (100 * NSEC_PER_MSEC)
#define SAVE_EVERY (60 * NSEC_PER_SEC)

typedef enum Phase {
        PHASE_STARTING,
        PHASE_RUNNING,
        PHASE_SAVING,
        PHASE_ENDING,
        PHASE_FAILED,
        PHASE_SUSPENDED,
} Phase;

/* At one store; with a host of its own, since the unit may have no slot on this thread. */
typedef struct Stint {
        Operation *op; /* NULL: given up */
        Loop *loop;
        StoreHost *host;
        StoreChannel *channel;
        GhostBoard *board;
        Io io; /* its request, and what the board wants */
        uint8_t *pattern;
        unsigned filled; /* pass whose pattern that is, + 1 */
        bool busy;
        LoopTask close;
} Stint;

struct Operation {
        LogicalUnit *lu;
        bool held; /* a reference on lu: a request or the timer is pending */
        LuOperation what;
        Phase phase;
        Operation *previous; /* failed; comes back if this one cannot begin */
        bool unbegun;        /* ending before it has */
        uint64_t nexus;      /* who asked; 0: nobody */
        CoordOp *waiter, *leaver, *suspender;
        Stint *stint;
        uint8_t pass;
        uint64_t cursor;
        bool moved;    /* since the last flush */
        bool flushing; /* what the store has */
        uint64_t piece, began, saved_at;
        int result;
        LoopTimer timer;
};

static unsigned n_stints; /* atomic */

void operation_set_by(Operation *o, const char *by)
{
        size_t n = strnlen(by, LU_BY_MAX - 1);

        memcpy(o->what.by, by, n);
        o->what.by[n] = '\0';
}

const LuOperation *operation_what(const Operation *o)
{
        return &o->what;
}

static uint64_t unit_size(const LogicalUnit *lu)
{
        return lu->coord.state.blocks << lu->block_shift;
}

static void show(LogicalUnit *lu)
{
        const Operation *o = lu->coord.operation;
        uint64_t size = unit_size(lu), done = 0, total = 0;

        if (o) {
                total = o->what.passes * size;
                done = min_u64(o->pass * size + o->cursor, total);
        }
        __atomic_store_n(&lu->operation_done, done, __ATOMIC_RELAXED);
        __atomic_store_n(&lu->operation_total, total, __ATOMIC_RELAXED);
        __atomic_store_n(&lu->operation_failed, o && o->what.failed, __ATOMIC_RELAXED);
        __atomic_store_n(&lu->operation_kind, o ? o->what.kind : LU_OPERATION_NONE,
                         __ATOMIC_RELAXED);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void go_on(Operation *o);
static void end(Operation *o, int r);
static void timer_fires(LoopTimer *timer);

/* Any thread. */
Operation *operation_new(const LuOperation *what)
{
        Operation *o = calloc(1, sizeof(*o));

        if (!o)
                return NULL;
        o->what = *what;
        o->pass = what->pass;
        o->cursor = what->offset;
        o->piece = PIECE_MIN;
        o->timer.fire = timer_fires;
        return o;
}

Operation *operation_free(Operation *o)
{
        if (o)
                free(o->previous);
        free(o);
        return NULL;
}

static void hold(Operation *o)
{
        if (!o->held)
                lu_ref(o->lu);
        o->held = true;
}

/* Ends what was called from outside: o may be gone afterwards, with its unit. */
static void settle(Operation *o)
{
        if (!o->held || o->timer.at || (o->stint && o->stint->busy))
                return;
        o->held = false;
        lu_unref(o->lu);
}

static void wake(Operation *o, uint64_t ns)
{
        hold(o);
        loop_timer_in(o->lu->coord.loop, &o->timer, ns);
}

static void answer(LogicalUnit *lu, CoordOp **op, int r)
{
        CoordOp *waiting = TAKE_PTR(*op);

        if (!waiting)
                return;
        waiting->result = r;
        coord_answer(lu, waiting);
}

/* ---- at a store ------------------------------------------------------------------------------ */

static void stint_close(LoopTask *task)
{
        Stint *s = CONTAINER_OF(task, Stint, close);

        store_detach(s->channel);
        ghost_board_put(s->board);
        store_host_free(s->host);
        free(s->pattern);
        free(s);
        __atomic_sub_fetch(&n_stints, 1, __ATOMIC_RELAXED);
}

/* Not at once: it may be one of the store's own completions that ends it. */
static void stint_end(Operation *o)
{
        Stint *s = TAKE_PTR(o->stint);

        if (!s)
                return;
        s->op = NULL;
        if (!s->busy) {
                loop_defer(s->loop, &s->close);
                return;
        }
        if (s->io.changes) {
                s->io.on_board = true;
                ghost_board_add(s->board, &s->io);
        }
        store_cancel(&s->io.req);
}

static bool writes_pattern(const LuOperation *what)
{
        static const uint8_t zeroes[LU_PATTERN_MAX];

        /* to zero is not to overwrite: a store may do that by changing what it knows of a block */
        return what->kind == LU_OPERATION_OVERWRITE ||
               memcmp(what->pattern, zeroes, what->pattern_length) != 0;
}

/* SBC-4 5.37.3: the last pass writes the pattern as it is. */
static bool is_inverted(const Operation *o)
{
        return o->what.invert && ((o->what.passes - 1 - o->pass) & 1);
}

static void fill_pattern(Operation *o)
{
        Stint *s = o->stint;
        uint8_t mask = is_inverted(o) ? 0xff : 0;
        size_t block = (size_t)1 << o->lu->block_shift;

        if (s->filled == o->pass + 1U)
                return;
        s->filled = o->pass + 1U;
        for (size_t i = 0; i < block; i++)
                s->pattern[i] = (uint8_t)(o->what.pattern[i % o->what.pattern_length] ^ mask);
        for (size_t at = block; at < PATTERN_SIZE; at += block)
                memcpy(s->pattern + at, s->pattern, block);
}

/* -EAGAIN: too many others are at it. */
static int stint_begin(Operation *o)
{
        LogicalUnit *lu = o->lu;
        Store *store = lu->coord.state.store;
        Stint *s;
        int r = -ENOMEM;

        if (o->stint)
                return 0;
        if (__atomic_add_fetch(&n_stints, 1, __ATOMIC_RELAXED) > STINTS_MAX) {
                __atomic_sub_fetch(&n_stints, 1, __ATOMIC_RELAXED);
                return -EAGAIN;
        }
        s = calloc(1, sizeof(*s));
        if (!s)
                goto fail;
        s->op = o;
        s->loop = lu->coord.loop;
        s->close.run = stint_close;
        if (writes_pattern(&o->what)) {
                s->pattern = aligned_alloc(4096, PATTERN_SIZE);
                if (!s->pattern)
                        goto fail;
        }
        s->board = ghost_board_get(store);
        if (!s->board)
                goto fail;
        r = store_host_new(s->loop, &s->host);
        if (r >= 0)
                r = store_attach(store, s->host, &s->channel);
        if (r < 0)
                goto fail;
        o->stint = s;
        return 0;
fail:
        if (s) {
                store_host_free(s->host);
                ghost_board_put(s->board);
                free(s->pattern);
        }
        free(s);
        __atomic_sub_fetch(&n_stints, 1, __ATOMIC_RELAXED);
        return r;
}

/* Is it the one that was begun with? A name, or the number of a device, may be another's by now. */
static bool is_same_medium(const Operation *o)
{
        const LuOperation *what = &o->what;
        StoreIdentity id = store_identity(o->lu->coord.state.store);

        if (id.kind != what->store.kind)
                return false;
        if (id.kind == 2)
                return id.a == what->store.a && unit_size(o->lu) == what->size;
        /* an inode's device may have another number after the next boot */
        return id.b == what->store.b && (id.kind == 1 || id.a == what->store.a);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* Pieces that take long enough to be worth it, and let others have their turn. */
static void adapt(Operation *o, bool here)
{
        Loop *loop = o->lu->coord.loop;
        uint64_t want = here ? PIECE_TIME_HERE : PIECE_TIME, took;

        loop_refresh(loop);
        took = loop_now(loop) - o->began;
        if (took > want)
                o->piece = MAX(o->piece / 2, (uint64_t)PIECE_MIN);
        else if (took < want / 4)
                o->piece = MIN(o->piece * 2, (uint64_t)PIECE_MAX);
}

static void keep(Operation *o, const LuOperation *what)
{
        const LuKeeper *keeper = o->lu->config.keeper;

        lu_ref(o->lu); /* until it is kept */
        if (keeper)
                keeper->keep(keeper->userdata, o->lu, what);
        else
                lu_kept(o->lu, 0);
}

static void save(Operation *o)
{
        o->phase = PHASE_SAVING;
        o->what.size = unit_size(o->lu);
        keep(o, &o->what);
}

static void flushed(Operation *o)
{
        LuOperation *what = &o->what;

        o->moved = false;
        if (o->cursor >= unit_size(o->lu)) {
                o->pass++;
                o->cursor = 0;
        }
        what->pass = o->pass;
        what->offset = o->cursor;
        if (o->pass >= what->passes)
                end(o, 0);
        else if (o->suspender || loop_now(o->lu->coord.loop) - o->saved_at >= SAVE_EVERY)
                save(o);
}

static void request_failed(Operation *o, int r)
{
        const LuKeeper *keeper = o->lu->config.keeper;

        if (r != -ENODEV && r != -ENOMEM && r != -ECANCELED) {
                end(o, r);
                return;
        }
        if (r == -ENODEV && keeper)
                keeper->gone(keeper->userdata, o->lu);
        wake(o, RETRY);
}

/* here: the store did it on this thread, inside submit. */
static void request_over(Operation *o, bool here)
{
        const StoreRequest *req = &o->stint->io.req;

        if (req->result < 0)
                request_failed(o, req->result);
        else if (o->flushing)
                flushed(o);
        else {
                o->cursor += req->length;
                o->moved = true;
                adapt(o, here);
        }
        show(o->lu);
}

static void stint_done(StoreRequest *req)
{
        Stint *s = CONTAINER_OF(req, Stint, io.req);
        Operation *o = s->op;

        s->busy = false;
        if (!o) {
                if (s->io.on_board)
                        ghost_board_remove(s->board, &s->io);
                loop_defer(s->loop, &s->close);
                return;
        }
        request_over(o, false);
        go_on(o);
        settle(o);
}

static void prepare(Operation *o, uint64_t size)
{
        Stint *s = o->stint;
        StoreRequest *req = &s->io.req;
        bool thin = o->lu->coord.state.limits.unmap;

        req->done = stint_done;
        req->flags = 0;
        req->offset = req->length = 0;
        req->n_iov = 0;
        o->flushing = o->cursor >= size || (o->moved && o->suspender) ||
                      (o->moved && loop_now(s->loop) - o->saved_at >= SAVE_EVERY);
        s->io.changes = !o->flushing;
        if (o->flushing) {
                req->op = STORE_FLUSH;
                return;
        }
        req->offset = o->cursor;
        if (!s->pattern) {
                req->op = STORE_ZERO;
                req->flags = thin ? STORE_UNMAP_OK : 0;
                req->length = min_u64(size - o->cursor, o->piece);
                return;
        }
        fill_pattern(o);
        req->op = STORE_WRITE;
        while (req->n_iov < STORE_IOV_MAX && o->cursor + req->length < size) {
                size_t n = min_u64(size - o->cursor - req->length, PATTERN_SIZE);

                req->iov[req->n_iov++] = (struct iovec){ s->pattern, n };
                req->length += n;
        }
}

static void submit(Operation *o)
{
        Loop *loop = o->lu->coord.loop;
        Stint *s = o->stint;

        prepare(o, unit_size(o->lu));
        loop_refresh(loop);
        o->began = loop_now(loop);
        s->busy = true;
        hold(o);
        if (!store_submit(s->channel, &s->io.req))
                return;
        s->busy = false;
        request_over(o, true);
        /* the rest of this thread has its turn first */
        if (o->phase == PHASE_RUNNING && !o->timer.at)
                wake(o, 0);
}

/* ---- phases ---------------------------------------------------------------------------------- */

static void suspended(Operation *o)
{
        stint_end(o);
        o->phase = PHASE_SUSPENDED;
        answer(o->lu, &o->waiter, -EINPROGRESS);
        answer(o->lu, &o->suspender, 0);
}

static void go_on(Operation *o)
{
        const LuState *state = &o->lu->coord.state;
        int r;

        if (o->phase != PHASE_RUNNING || o->timer.at || (o->stint && o->stint->busy))
                return;
        if (o->suspender && !(o->moved && o->stint)) {
                suspended(o);
                return;
        }
        /* what was given up before comes to its end first */
        if (!state->store || state->ghosts)
                return;
        if (!o->stint && !is_same_medium(o)) {
                o->what.unrestricted = true; /* whoever put another one there may have it */
                end(o, -ESTALE);
                return;
        }
        r = stint_begin(o);
        if (r < 0)
                wake(o, r == -EAGAIN ? TURN_WAIT : RETRY);
        else
                submit(o);
}

/* What is to be remembered when it is over; NULL: nothing. */
static const LuOperation *outcome(const Operation *o)
{
        if (o->unbegun)
                return o->previous ? &o->previous->what : NULL;
        return o->what.failed ? &o->what : NULL;
}

static void end(Operation *o, int r)
{
        stint_end(o);
        o->result = r;
        o->what.failed = r < 0;
        o->what.error = r;
        o->phase = PHASE_ENDING;
        keep(o, outcome(o));
}

static void timer_fires(LoopTimer *timer)
{
        Operation *o = CONTAINER_OF(timer, Operation, timer);

        if (o->phase == PHASE_ENDING)
                keep(o, outcome(o));
        else
                go_on(o);
        settle(o);
}

static void start_kept(Operation *o, int r)
{
        if (r < 0) {
                o->result = -EIO; /* whatever it was, it was not the medium */
                o->unbegun = true;
                o->phase = PHASE_ENDING;
                /* what is left of the attempt is not to be found later */
                keep(o, outcome(o));
                return;
        }
        o->phase = PHASE_RUNNING;
        o->previous = operation_free(o->previous);
        if (!o->waiter)
                return;
        o->waiter->begun = true;
        if (o->waiter->immed)
                answer(o->lu, &o->waiter, 0);
}

static void kept_arrives(LoopTask *task)
{
        LogicalUnit *lu = CONTAINER_OF(task, LogicalUnit, kept);
        Coordinator *c = &lu->coord;
        Operation *o = c->operation;

        if (!o)
                ; /* the unit has been retired */
        else if (o->phase == PHASE_STARTING)
                start_kept(o, lu->kept_result);
        else if (o->phase == PHASE_SAVING) {
                /* if it could not be: there will be more to do again, and no harm in that */
                o->saved_at = loop_now(c->loop);
                o->phase = PHASE_RUNNING;
        } else if (o->phase == PHASE_ENDING && lu->kept_result < 0)
                wake(o, RETRY);
        else if (o->phase == PHASE_ENDING) {
                c->operation_end = (CoordOp){ .kind = &coord_operate_end, .ua = UA_NONE };
                coord_run(lu, &c->operation_end);
        }
        if (c->operation)
                go_on(c->operation);
        lu_unref(lu);
}

void lu_kept(LogicalUnit *lu, int r)
{
        lu->kept_result = r;
        lu->kept = (LoopTask){ .run = kept_arrives };
        loop_post(lu->coord.loop, &lu->kept);
}

/* ---- the coordinator's -------------------------------------------------------------------------
 */

bool operation_apply(LogicalUnit *lu, CoordOp *op)
{
        Coordinator *c = &lu->coord;
        LuState *s = &c->state;
        Operation *o = op->operation;

        if (__atomic_load_n(&op->abandoned, __ATOMIC_RELAXED))
                op->result = -ECANCELED;
        else if (c->operation && c->operation->phase != PHASE_FAILED)
                op->result = -EBUSY;
        else if (!s->store || s->ejected || s->retired)
                op->result = -ENODEV;
        else if (s->readonly || (s->mode & MODE_SWP))
                op->result = -EROFS;
        else {
                op->operation = NULL;
                o->lu = lu;
                o->nexus = op->nexus;
                o->previous = c->operation;
                /* what forbids to leave a failure behind is not talked away by another attempt */
                if (s->operation == OPERATION_SANITIZE_FAILED && s->restricted)
                        o->what.unrestricted = false;
                o->what.store = store_identity(s->store);
                o->what.size = unit_size(lu);
                c->operation = o;
                s->operation = operation_state(&o->what);
                s->restricted = !o->what.unrestricted;
                show(lu);
        }
        return true; /* the gates are closed */
}

bool operation_began(LogicalUnit *lu, CoordOp *op)
{
        Operation *o = lu->coord.operation;

        if (op->result < 0)
                return false;
        o->waiter = op;
        o->phase = PHASE_STARTING;
        o->saved_at = loop_now(lu->coord.loop);
        keep(o, &o->what);
        return true;
}

/* EXIT FAILURE MODE (SBC-4 5.37.6) is about a sanitize; we may also leave a format behind. */
bool operation_apply_exit(LogicalUnit *lu, CoordOp *op)
{
        const Operation *o = lu->coord.operation;

        if (!o)
                return false;
        if (o->phase != PHASE_FAILED)
                op->result = -EBUSY;
        else if (o->what.kind == LU_OPERATION_FORMAT)
                op->flag = op->nexus == 0;
        else if (!o->what.unrestricted)
                op->result = -EPERM;
        else
                op->flag = true;
        return false;
}

bool operation_leaves(LogicalUnit *lu, CoordOp *op)
{
        Operation *o = lu->coord.operation;

        if (!op->flag)
                return false;
        o->leaver = op;
        o->nexus = op->nexus;
        o->result = 0;
        o->what.failed = false;
        o->phase = PHASE_ENDING;
        keep(o, NULL);
        return true;
}

bool operation_suspends(LogicalUnit *lu, CoordOp *op)
{
        Operation *o = lu->coord.operation;

        if (!o || o->phase >= PHASE_FAILED)
                return false;
        o->suspender = op;
        if (o->phase == PHASE_RUNNING)
                loop_timer_cancel(lu->coord.loop, &o->timer);
        go_on(o);
        settle(o);
        return true;
}

bool operation_apply_end(LogicalUnit *lu, CoordOp *op)
{
        LuState *s = &lu->coord.state;
        Operation *o = lu->coord.operation;

        if (!o)
                return false; /* retired meanwhile */
        s->operation = OPERATION_NONE;
        if (o->unbegun && o->previous)
                s->operation = operation_state(&o->previous->what);
        else if (o->what.failed)
                s->operation = operation_state(&o->what);
        else if (!o->unbegun) {
                op->ua = UA_MEDIUM_CHANGED;
                op->ua_except = o->nexus;
        }
        return true;
}

bool operation_ended(LogicalUnit *lu, CoordOp *op)
{
        Coordinator *c = &lu->coord;
        Operation *o = c->operation;

        if (!o)
                return true;
        answer(lu, &o->waiter, o->result);
        answer(lu, &o->leaver, 0);
        answer(lu, &o->suspender, 0);
        o->phase = PHASE_FAILED;
        if (o->unbegun)
                c->operation = TAKE_PTR(o->previous);
        else if (!o->what.failed)
                c->operation = NULL;
        show(lu);
        settle(o); /* who called us has the unit */
        if (c->operation != o)
                operation_free(o);
        return true;
}

void operation_look(LogicalUnit *lu)
{
        Operation *o = lu->coord.operation;

        show(lu);
        go_on(o);
}

void operation_store_changes(LogicalUnit *lu)
{
        Operation *o = lu->coord.operation;

        if (!o || (o->phase != PHASE_RUNNING && o->phase != PHASE_SAVING))
                return;
        stint_end(o);
        loop_timer_cancel(lu->coord.loop, &o->timer);
        /* of what was done since then nobody knows whether it has come to anything */
        o->pass = o->what.pass;
        o->cursor = o->what.offset;
        o->moved = false;
        settle(o);
}

void operation_retire(LogicalUnit *lu)
{
        Operation *o = TAKE_PTR(lu->coord.operation);

        if (!o)
                return;
        stint_end(o);
        loop_timer_cancel(lu->coord.loop, &o->timer);
        answer(lu, &o->waiter, -ENODEV);
        answer(lu, &o->leaver, -ENODEV);
        answer(lu, &o->suspender, 0);
        lu->coord.state.operation = OPERATION_NONE;
        settle(o);
        operation_free(o);
        show(lu);
}

/* Before others know lu; the thread is not the coordinator's. */
int operation_resume(LogicalUnit *lu, const LuOperation *what)
{
        Coordinator *c = &lu->coord;
        Operation *o = operation_new(what);

        if (!o)
                return -ENOMEM;
        o->lu = lu;
        o->phase = what->failed ? PHASE_FAILED : PHASE_RUNNING;
        c->operation = o;
        c->state.operation = operation_state(what);
        c->state.restricted = !what->unrestricted;
        show(lu);
        if (what->failed)
                return 0;
        lu_ref(lu);
        lu_kept(lu, 0);
        return 0;
}

void operation_clear(LogicalUnit *lu)
{
        lu->coord.operation = operation_free(lu->coord.operation);
}
