/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi/core.h"

/* Limits of rate.
 *
 * A Throttle is what all workers share: for each limit one number, the time until which the rate is
 * spent. A Valve is one worker's part of it. A command goes when its valve is open, and is charged
 * as it goes: the worker moves that time on by what the command costs and keeps its own valve
 * closed until what it has used is paid for. So the sum is exact however the load is spread, nobody
 * holds a share that he does not use, workers that all wait take turns, and a command that costs
 * more than the burst goes like any other and is paid for afterwards. Beyond that a worker takes
 * some microseconds of the rate along, so that it meets the others once in that time rather than
 * for each command.
 *
 * Before a closed valve each nexus has a queue, and the queues take turns. */

#define AHEAD_NS (50 * NSEC_PER_USEC) /* of the rate, taken along */
#define TURN_NS (10 * NSEC_PER_MSEC)  /* debt that ends a turn of the queues */
#define CACHE_LINE 64

typedef struct Bucket {
        uint64_t rate;        /* a second; 0: no limit */
        uint64_t ahead;       /* AHEAD_NS of it */
        uint64_t spent_until; /* atomic: monotonic ns */
} Bucket;

typedef struct Lease {
        int64_t tokens;   /* taken along */
        uint64_t open_at; /* monotonic ns */
} Lease;

struct Valve {
        Throttle *throttle;
        ScsiWorker *worker; /* of the timer; set when the first task waits */
        Lease leases[_THROTTLE_MAX];
        List flows[_DIRECTION_MAX];
        unsigned n_flows[_DIRECTION_MAX];
        unsigned turn; /* the direction that is served next */
        LoopTimer timer;
} __attribute__((aligned(CACHE_LINE)));

struct Throttle {
        unsigned ref; /* atomic */
        unsigned n_valves;
        ThrottleLimits limits;
        uint8_t n_kinds[_DIRECTION_MAX]; /* that limit commands of a direction */
        uint8_t kinds[_DIRECTION_MAX][4];
        Valve *valves;
        Bucket buckets[_THROTTLE_MAX] __attribute__((aligned(CACHE_LINE)));
};

/* ---- what is shared ------------------------------------------------------------------------ */

static const uint8_t kinds_of[_DIRECTION_MAX][4] = {
        [DIRECTION_READ] = { THROTTLE_IOPS, THROTTLE_READ_IOPS, THROTTLE_BYTES,
                             THROTTLE_READ_BYTES },
        [DIRECTION_WRITE] = { THROTTLE_IOPS, THROTTLE_WRITE_IOPS, THROTTLE_BYTES,
                              THROTTLE_WRITE_BYTES },
};

bool throttle_limits_equal(const ThrottleLimits *a, const ThrottleLimits *b)
{
        for (unsigned i = 0; i < _THROTTLE_MAX; i++)
                if (a->rate[i] != b->rate[i])
                        return false;
        return a->burst_ns == b->burst_ns;
}

bool throttle_limits_any(const ThrottleLimits *limits)
{
        for (unsigned i = 0; i < _THROTTLE_MAX; i++)
                if (limits->rate[i])
                        return true;
        return false;
}

static void valve_fires(LoopTimer *timer);

int throttle_new(const ThrottleLimits *limits, unsigned n_workers, uint64_t now, Throttle **ret)
{
        Throttle *t = aligned_alloc(CACHE_LINE, sizeof(*t));

        if (!t)
                return -ENOMEM;
        *t = (Throttle){ .ref = 1, .n_valves = n_workers, .limits = *limits };
        t->valves = aligned_alloc(CACHE_LINE, n_workers * sizeof(Valve));
        if (!t->valves) {
                free(t);
                return -ENOMEM;
        }
        if (t->limits.burst_ns == 0)
                t->limits.burst_ns = THROTTLE_BURST_DEFAULT;
        for (unsigned i = 0; i < _THROTTLE_MAX; i++)
                t->buckets[i] = (Bucket){ .rate = MIN(limits->rate[i], THROTTLE_RATE_MAX),
                                          .spent_until = now };
        for (unsigned i = 0; i < _THROTTLE_MAX; i++)
                t->buckets[i].ahead = t->buckets[i].rate / (NSEC_PER_SEC / AHEAD_NS);
        for (unsigned d = 0; d < _DIRECTION_MAX; d++)
                for (unsigned i = 0; i < ELEMENTSOF(kinds_of[d]); i++)
                        if (limits->rate[kinds_of[d][i]])
                                t->kinds[d][t->n_kinds[d]++] = kinds_of[d][i];
        for (unsigned i = 0; i < n_workers; i++) {
                Valve *v = &t->valves[i];

                *v = (Valve){ .throttle = t, .timer.fire = valve_fires };
                for (unsigned d = 0; d < _DIRECTION_MAX; d++)
                        list_init(&v->flows[d]);
        }
        *ret = t;
        return 0;
}

Throttle *throttle_ref(Throttle *t)
{
        if (t)
                __atomic_add_fetch(&t->ref, 1, __ATOMIC_RELAXED);
        return t;
}

Throttle *throttle_unref(Throttle *t)
{
        if (!t || __atomic_sub_fetch(&t->ref, 1, __ATOMIC_ACQ_REL) > 0)
                return NULL;
        free(t->valves);
        free(t);
        return NULL;
}

static uint64_t cost_ns(const Bucket *b, uint64_t n)
{
        return n * NSEC_PER_SEC / b->rate;
}

/* Takes what has been used and what is taken along; returns when the former is paid for. What was
 * not used for longer than the burst is lost. */
static uint64_t bucket_take(Throttle *t, Bucket *b, uint64_t used, uint64_t now)
{
        uint64_t least = now > t->limits.burst_ns ? now - t->limits.burst_ns : 0;
        uint64_t old = __atomic_load_n(&b->spent_until, __ATOMIC_RELAXED), from;
        uint64_t cost = cost_ns(b, used + b->ahead);

        do {
                from = old > least ? old : least;
        } while (!__atomic_compare_exchange_n(&b->spent_until, &old, from + cost, true,
                                              __ATOMIC_RELAXED, __ATOMIC_RELAXED));
        return from + cost_ns(b, used);
}

/* ---- one worker's valve -------------------------------------------------------------------- */

Valve *throttle_valve(Throttle *t, const ScsiWorker *w)
{
        return t && w->loop->index < t->n_valves ? &t->valves[w->loop->index] : NULL;
}

static uint64_t open_at(const Valve *v, Direction d)
{
        uint64_t at = 0;

        for (unsigned i = 0; i < v->throttle->n_kinds[d]; i++)
                at = MAX(at, v->leases[v->throttle->kinds[d][i]].open_at);
        return at;
}

/* Commands that read no blocks work on what was written: SYNCHRONIZE CACHE, UNMAP, ... */
static Direction direction_of(const Task *task)
{
        bool reads = (task->op->flags & (OP_TRANSFER | OP_WRITES)) == OP_TRANSFER;

        return reads || task->op->run == sbc_prefetch ? DIRECTION_READ : DIRECTION_WRITE;
}

/* What goes over the line, and what is read without that. Not what WRITE SAME makes of one block: a
 * single command would use up the rate of minutes, and those behind it would time out. */
static uint64_t bytes_of(const Task *task)
{
        unsigned shift = task->slot->lu->block_shift;

        if (task->op->run == sbc_prefetch)
                return sbc_prefetch_blocks(task) << shift;
        return task->op->flags & OP_TRANSFER ? task->blocks << shift : task->out_want;
}

static void charge(Valve *v, const Task *task, Direction d, uint64_t now)
{
        Throttle *t = v->throttle;

        for (unsigned i = 0; i < t->n_kinds[d]; i++) {
                unsigned kind = t->kinds[d][i];
                Lease *lease = &v->leases[kind];
                Bucket *b = &t->buckets[kind];

                lease->tokens -= kind >= THROTTLE_BYTES ? (int64_t)bytes_of(task) : 1;
                if (lease->tokens >= 0)
                        continue;
                lease->open_at = bucket_take(t, b, (uint64_t)-lease->tokens, now);
                lease->tokens = (int64_t)b->ahead;
        }
}

static void arm(Valve *v)
{
        uint64_t at = 0;

        for (unsigned d = 0; d < _DIRECTION_MAX; d++)
                if (!list_empty(&v->flows[d])) {
                        uint64_t open = MAX(open_at(v, d), 1);

                        at = at ? min_u64(at, open) : open;
                }
        if (at == 0)
                loop_timer_cancel(v->worker->loop, &v->timer);
        else if (v->timer.at != at)
                loop_timer_at(v->worker->loop, &v->timer, at);
}

/* ---- waiting ------------------------------------------------------------------------------- */

static Valve *valve_of(const Task *task)
{
        return task->stage < NEXUS_THROTTLES ? task->nexus->valves[task->stage] : task->slot->valve;
}

/* Where the queue of the task's nexus is kept. */
static Flow **flow_of(const Task *task, Direction d)
{
        return task->stage < NEXUS_THROTTLES ? &task->nexus->flows[task->stage][d]
                                             : &task->itl->flows[d];
}

static bool wait_at(Valve *v, Task *task, Direction d, uint64_t now)
{
        Flow **flow = flow_of(task, d), *f = *flow;
        ScsiWorker *w = task->slot->worker;

        v->worker = w;
        if (!f) {
                f = pool_alloc(&w->flows);
                if (!f)
                        return false;
                list_init(&f->tasks);
                list_append(&v->flows[d], &f->link);
                v->n_flows[d]++;
                *flow = f;
        }
        if (task->attribute == TASK_HEAD_OF_QUEUE)
                list_prepend(&f->tasks, &task->flow_link);
        else
                list_append(&f->tasks, &task->flow_link);
        task->state = TASK_THROTTLED;
        task->throttled_at = now;
        if (!task->delayed)
                COUNTER_ADD(task->slot->counters, throttled, 1);
        task->delayed = true;
        arm(v);
        return true;
}

/* Out of its queue, wherever that is. */
static void stop_waiting(Task *task, uint64_t now)
{
        Direction d = direction_of(task);
        Flow **flow = flow_of(task, d), *f = *flow;

        list_remove(&task->flow_link);
        COUNTER_ADD(task->slot->counters, throttled_ns, now - task->throttled_at);
        task->throttled_at = now;
        if (!f || !list_empty(&f->tasks))
                return;
        *flow = NULL;
        list_remove(&f->link);
        valve_of(task)->n_flows[d]--;
        pool_free(&task->slot->worker->flows, f);
}

void throttle_leave(Task *task)
{
        ScsiWorker *w = task->slot->worker;
        Valve *v = valve_of(task);

        stop_waiting(task, loop_now(w->loop));
        if (v && v->timer.at)
                arm(v);
}

bool throttle_pass(Task *task)
{
        Direction d = direction_of(task);
        uint64_t now = loop_now(task->slot->worker->loop);

        if (!(task->op->flags & (OP_TRANSFER | OP_WRITES | OP_RANGE)))
                return true;
        for (; task->stage < THROTTLE_STAGES; task->stage++) {
                Valve *v = valve_of(task);

                if (!v || v->throttle->n_kinds[d] == 0)
                        continue;
                if (LIKELY(list_empty(&v->flows[d]) && open_at(v, d) <= now)) {
                        charge(v, task, d, now);
                        continue;
                }
                if (!wait_at(v, task, d, now)) {
                        task_status(task, SCSI_BUSY);
                        task_finish(task);
                }
                return false;
        }
        return true;
}

/* Each queue once, so that what a nexus gets does not depend on how much it asks for at a time, or
 * on how many share its worker. */
static void serve_turn(Valve *v, Direction d, uint64_t now)
{
        for (unsigned n = v->n_flows[d];
             n > 0 && !list_empty(&v->flows[d]) && open_at(v, d) <= now + TURN_NS; n--) {
                Flow *f = LIST_FIRST(&v->flows[d], Flow, link);
                Task *task = LIST_FIRST(&f->tasks, Task, flow_link);

                list_remove(&f->link);
                list_append(&v->flows[d], &f->link);
                charge(v, task, d, now);
                stop_waiting(task, now);
                task->stage++;
                task_go_on(task);
        }
}

static void valve_fires(LoopTimer *timer)
{
        Valve *v = CONTAINER_OF(timer, Valve, timer);
        uint64_t now = loop_now(v->worker->loop);
        Throttle *t = throttle_ref(v->throttle);
        unsigned n_closed = 0;

        while (n_closed < _DIRECTION_MAX) {
                Direction d = v->turn;

                v->turn = (v->turn + 1) % _DIRECTION_MAX;
                if (list_empty(&v->flows[d]) || open_at(v, d) > now) {
                        n_closed++;
                        continue;
                }
                n_closed = 0;
                serve_turn(v, d, now);
        }
        arm(v);
        throttle_unref(t);
}

/* ---- changes ------------------------------------------------------------------------------- */

static void suspend(Task *task, unsigned stage, List *to)
{
        if (task->state != TASK_THROTTLED || task->stage != stage)
                return;
        throttle_leave(task);
        list_append(to, &task->flow_link);
}

void throttle_suspend_slot(LuSlot *slot, List *ret)
{
        list_init(ret);
        LIST_FOREACH (task, &slot->tasks, Task, slot_link)
                suspend(task, NEXUS_THROTTLES, ret);
}

void throttle_resume(List *suspended)
{
        while (!list_empty(suspended)) {
                Task *task = LIST_FIRST(suspended, Task, flow_link);

                list_remove(&task->flow_link);
                task_go_on(task);
        }
}

static void itl_look_at_throttles(Itl *itl)
{
        itl->throttled = itl->slot && itl->slot->valve;
        for (unsigned i = 0; itl->slot && i < NEXUS_THROTTLES; i++)
                if (itl->nexus->valves[i])
                        itl->throttled = true;
}

void slot_look_at_throttle(LuSlot *slot)
{
        slot->valve = throttle_valve(slot->state.throttle, slot->worker);
        LIST_FOREACH (itl, &slot->itls, Itl, slot_link)
                itl_look_at_throttles(itl);
}

void nexus_look_at_throttles(ScsiNexus *nexus)
{
        for (size_t i = 0; i < nexus->n_itls; i++)
                itl_look_at_throttles(&nexus->itls[i]);
}

void scsi_nexus_set_throttles(ScsiNexus *nexus, Throttle *const throttles[NEXUS_THROTTLES])
{
        List suspended[NEXUS_THROTTLES];

        for (unsigned i = 0; i < NEXUS_THROTTLES; i++) {
                list_init(&suspended[i]);
                if (nexus->throttles[i] == throttles[i])
                        continue;
                LIST_FOREACH (task, &nexus->tasks, Task, nexus_link)
                        suspend(task, i, &suspended[i]);
                throttle_unref(nexus->throttles[i]);
                nexus->throttles[i] = throttle_ref(throttles[i]);
                nexus->valves[i] = throttle_valve(throttles[i], nexus->worker);
        }
        nexus_look_at_throttles(nexus);
        for (unsigned i = 0; i < NEXUS_THROTTLES; i++)
                throttle_resume(&suspended[i]);
}
