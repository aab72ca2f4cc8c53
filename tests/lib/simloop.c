/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "simloop.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <time.h>

#define EXTERNAL SIM_LOOPS_MAX /* the poster when no loop is running, and the job pool */
#define SIM_JOBS_MAX 65536

typedef struct Queue {
        LoopTask *first, *last;
} Queue;

typedef struct SimLoop {
        Loop loop;
        Sim *sim;
        Queue posted[SIM_LOOPS_MAX + 1]; /* by poster */
        Queue deferred;
        LoopTimer **timers;
        size_t n_timers, timers_size;
        int epoll;
        unsigned n_io;
        pthread_mutex_t foreign_lock;
        Queue foreign;    /* what other threads have posted */
        bool has_foreign; /* atomic: a look without the lock */
} SimLoop;

struct Sim {
        pthread_t thread; /* that made it: all else runs on it */
        uint64_t now, state;
        unsigned n_loops, current;
        SimLoop loops[SIM_LOOPS_MAX];
        LoopJob **jobs; /* queued, not begun */
        LoopLane **lanes;
        size_t n_jobs, jobs_size;
        LoopJob **finished; /* work() is over, done() is not delivered */
        LoopLane **finished_lanes;
        size_t n_finished, finished_size;
        bool hold;
};

/* Marks the end of a queue, so that next is never NULL while a task is queued. */
static LoopTask queue_end;

#define SIM_CHECK(expr)                                                                     \
        do {                                                                                \
                if (!(expr)) {                                                              \
                        fprintf(stderr, "simloop: %s:%d: %s\n", __FILE__, __LINE__, #expr); \
                        abort();                                                            \
                }                                                                           \
        } while (0)

static void queue_push(Queue *q, LoopTask *task)
{
        SIM_CHECK(!task->next);
        task->next = &queue_end;
        if (q->last)
                q->last->next = task;
        else
                q->first = task;
        q->last = task;
}

static LoopTask *queue_pop(Queue *q)
{
        LoopTask *task = q->first;

        if (!task)
                return NULL;
        q->first = task->next == &queue_end ? NULL : task->next;
        if (!q->first)
                q->last = NULL;
        task->next = NULL;
        return task;
}

static void *grow(void *array, size_t n, size_t *size, size_t element)
{
        if (n < *size)
                return array;
        *size = *size ? *size * 2 : 16;
        array = realloc(array, *size * element);
        SIM_CHECK(array);
        return array;
}

uint64_t sim_random(Sim *sim, uint64_t n)
{
        /* splitmix64 */
        uint64_t z = (sim->state += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return (z ^ (z >> 31)) % n;
}

/* ---- the loop's operations ---- */

static SimLoop *sim_loop_of(Loop *loop)
{
        return CONTAINER_OF(loop, SimLoop, loop);
}

static uint64_t op_now(Loop *loop)
{
        return sim_loop_of(loop)->sim->now;
}

static void op_post(Loop *loop, LoopTask *task)
{
        SimLoop *l = sim_loop_of(loop);

        if (pthread_equal(pthread_self(), l->sim->thread)) {
                queue_push(&l->posted[l->sim->current], task);
                return;
        }
        pthread_mutex_lock(&l->foreign_lock);
        queue_push(&l->foreign, task);
        __atomic_store_n(&l->has_foreign, true, __ATOMIC_RELAXED);
        pthread_mutex_unlock(&l->foreign_lock);
}

/* The poster of what other threads post is the world outside. */
static void take_foreign(SimLoop *l)
{
        LoopTask *task;

        if (!__atomic_load_n(&l->has_foreign, __ATOMIC_RELAXED))
                return;
        pthread_mutex_lock(&l->foreign_lock);
        __atomic_store_n(&l->has_foreign, false, __ATOMIC_RELAXED);
        while ((task = queue_pop(&l->foreign)))
                queue_push(&l->posted[EXTERNAL], task);
        pthread_mutex_unlock(&l->foreign_lock);
}

static void op_defer(Loop *loop, LoopTask *task)
{
        if (task->pending)
                return;
        task->pending = true;
        queue_push(&sim_loop_of(loop)->deferred, task);
}

static void timer_remove(SimLoop *l, LoopTimer *timer)
{
        for (size_t i = 0; i < l->n_timers; i++)
                if (l->timers[i] == timer) {
                        l->timers[i] = l->timers[--l->n_timers];
                        timer->at = 0;
                        return;
                }
        SIM_CHECK(false && "timer is not armed on this loop");
}

static void op_timer(Loop *loop, LoopTimer *timer, uint64_t at)
{
        SimLoop *l = sim_loop_of(loop);

        if (timer->at)
                timer_remove(l, timer);
        if (!at)
                return;
        l->timers = grow(l->timers, l->n_timers, &l->timers_size, sizeof(*l->timers));
        l->timers[l->n_timers++] = timer;
        timer->at = at;
}

static int op_io(Loop *loop, LoopIo *io, uint32_t events)
{
        SimLoop *l = sim_loop_of(loop);
        struct epoll_event ev = { .events = events, .data.ptr = io };
        int op = !events ? EPOLL_CTL_DEL : io->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

        if (!events && !io->events)
                return 0;
        if (epoll_ctl(l->epoll, op, io->fd, &ev) < 0)
                return -errno;
        if (op == EPOLL_CTL_ADD)
                l->n_io++;
        if (op == EPOLL_CTL_DEL)
                l->n_io--;
        io->events = events;
        return 0;
}

static void op_job(Loop *loop, LoopLane *lane, LoopJob *job)
{
        Sim *sim = sim_loop_of(loop)->sim;
        size_t size = sim->jobs_size;

        SIM_CHECK(sim->n_jobs < SIM_JOBS_MAX && lane && lane->max > 0);
        job->origin = loop;
        sim->jobs = grow(sim->jobs, sim->n_jobs, &size, sizeof(*sim->jobs));
        sim->lanes = grow(sim->lanes, sim->n_jobs, &sim->jobs_size, sizeof(*sim->lanes));
        sim->jobs[sim->n_jobs] = job;
        sim->lanes[sim->n_jobs++] = lane;
        lane->n_queued++;
}

static const LoopOps sim_ops = {
        .now = op_now,
        .post = op_post,
        .defer = op_defer,
        .timer = op_timer,
        .io = op_io,
        .job = op_job,
};

/* ---- running ---- */

Sim *sim_new(uint64_t seed, unsigned n_loops)
{
        Sim *sim = calloc(1, sizeof(*sim));

        SIM_CHECK(sim && n_loops >= 1 && n_loops <= SIM_LOOPS_MAX);
        sim->thread = pthread_self();
        sim->state = seed;
        sim->now = 1000 * NSEC_PER_SEC;
        sim->n_loops = n_loops;
        sim->current = EXTERNAL;
        for (unsigned i = 0; i < n_loops; i++) {
                sim->loops[i].loop = (Loop){ .ops = &sim_ops, .index = i };
                sim->loops[i].sim = sim;
                (void)pthread_mutex_init(&sim->loops[i].foreign_lock, NULL);
                sim->loops[i].epoll = epoll_create1(EPOLL_CLOEXEC);
                SIM_CHECK(sim->loops[i].epoll >= 0);
        }
        return sim;
}

Sim *sim_free(Sim *sim)
{
        if (!sim)
                return NULL;
        SIM_CHECK(sim->n_jobs == 0 && sim->n_finished == 0);
        for (unsigned i = 0; i < sim->n_loops; i++) {
                SimLoop *l = &sim->loops[i];

                for (unsigned p = 0; p <= SIM_LOOPS_MAX; p++)
                        SIM_CHECK(!l->posted[p].first);
                SIM_CHECK(!l->foreign.first && !l->deferred.first && l->n_timers == 0);
                (void)pthread_mutex_destroy(&l->foreign_lock);
                free(l->timers);
                safe_close(l->epoll);
        }
        free(sim->jobs);
        free(sim->lanes);
        free(sim->finished);
        free(sim->finished_lanes);
        free(sim);
        return NULL;
}

Loop *sim_loop(Sim *sim, unsigned index)
{
        SIM_CHECK(index < sim->n_loops);
        return &sim->loops[index].loop;
}

uint64_t sim_now(const Sim *sim)
{
        return sim->now;
}

void sim_hold_jobs(Sim *sim, bool hold)
{
        sim->hold = hold;
}

/* What could run next. kind 0: a posted task, 1: deferred work, 2: a job's work, 3: its done, 4: a
 * due timer, 5: a ready descriptor. */
typedef struct Choice {
        int kind;
        unsigned loop, poster;
        size_t index;
        uint32_t events;
        LoopIo *io;
} Choice;

typedef struct Choices {
        Choice items[512];
        size_t n;
} Choices;

static void choose(Choices *c, Choice choice)
{
        if (c->n < ELEMENTSOF(c->items))
                c->items[c->n++] = choice;
}

static void gather_loop(Sim *sim, unsigned i, Choices *c)
{
        SimLoop *l = &sim->loops[i];
        struct epoll_event ev[8];
        int n;

        take_foreign(l);
        for (unsigned p = 0; p <= SIM_LOOPS_MAX; p++)
                if (l->posted[p].first)
                        choose(c, (Choice){ .kind = 0, .loop = i, .poster = p });
        if (l->deferred.first)
                choose(c, (Choice){ .kind = 1, .loop = i });
        for (size_t t = 0; t < l->n_timers; t++)
                if (l->timers[t]->at <= sim->now)
                        choose(c, (Choice){ .kind = 4, .loop = i, .index = t });
        if (l->n_io == 0)
                return;
        n = epoll_wait(l->epoll, ev, ELEMENTSOF(ev), 0);
        for (int e = 0; e < n; e++)
                choose(c, (Choice){ .kind = 5,
                                    .loop = i,
                                    .events = ev[e].events,
                                    .io = ev[e].data.ptr });
}

/* Is the j-th queued job the first of its lane, and may the lane run another? */
static bool job_may_run(const Sim *sim, size_t j)
{
        for (size_t k = 0; k < j; k++)
                if (sim->lanes[k] == sim->lanes[j])
                        return false;
        return sim->lanes[j]->n_running < sim->lanes[j]->max;
}

static void gather(Sim *sim, Choices *c)
{
        c->n = 0;
        for (unsigned i = 0; i < sim->n_loops; i++)
                gather_loop(sim, i, c);
        if (!sim->hold)
                for (size_t j = 0; j < sim->n_jobs; j++)
                        if (job_may_run(sim, j))
                                choose(c, (Choice){ .kind = 2, .index = j });
        for (size_t j = 0; j < sim->n_finished; j++)
                choose(c, (Choice){ .kind = 3, .index = j });
}

static void run_job(Sim *sim, size_t j)
{
        LoopJob *job = sim->jobs[j];
        LoopLane *lane = sim->lanes[j];
        size_t size = sim->finished_size;

        sim->n_jobs--;
        memmove(sim->jobs + j, sim->jobs + j + 1, (sim->n_jobs - j) * sizeof(*sim->jobs));
        memmove(sim->lanes + j, sim->lanes + j + 1, (sim->n_jobs - j) * sizeof(*sim->lanes));
        lane->n_queued--;
        lane->n_running++;
        job->work(job);
        sim->finished = grow(sim->finished, sim->n_finished, &size, sizeof(*sim->finished));
        sim->finished_lanes = grow(sim->finished_lanes, sim->n_finished, &sim->finished_size,
                                   sizeof(*sim->finished_lanes));
        sim->finished[sim->n_finished] = job;
        sim->finished_lanes[sim->n_finished++] = lane;
}

static void finish_job(Sim *sim, size_t j)
{
        LoopJob *job = sim->finished[j];

        sim->finished_lanes[j]->n_running--;
        sim->n_finished--;
        sim->finished[j] = sim->finished[sim->n_finished];
        sim->finished_lanes[j] = sim->finished_lanes[sim->n_finished];
        sim->current = job->origin->index;
        job->done(job);
}

static void run_deferred(SimLoop *l)
{
        Queue q = l->deferred;
        LoopTask *task;

        l->deferred = (Queue){ 0 };
        while ((task = queue_pop(&q))) {
                task->pending = false;
                task->run(task);
        }
}

static void run_choice(Sim *sim, const Choice *c)
{
        SimLoop *l = &sim->loops[c->loop];
        LoopTask *task;
        LoopTimer *timer;

        sim->current = c->loop;
        switch (c->kind) {
        case 0:
                task = queue_pop(&l->posted[c->poster]);
                task->run(task);
                break;
        case 1:
                run_deferred(l);
                break;
        case 2:
                sim->current = EXTERNAL;
                run_job(sim, c->index);
                break;
        case 3:
                finish_job(sim, c->index);
                break;
        case 4:
                timer = l->timers[c->index];
                timer_remove(l, timer);
                timer->fire(timer);
                break;
        case 5:
                c->io->ready(c->io, c->events);
                break;
        }
        sim->current = EXTERNAL;
}

bool sim_step(Sim *sim)
{
        Choices c;

        gather(sim, &c);
        if (c.n == 0)
                return false;
        run_choice(sim, &c.items[sim_random(sim, c.n)]);
        return true;
}

unsigned sim_run(Sim *sim)
{
        unsigned n = 0;

        while (sim_step(sim)) {
                n++;
                SIM_CHECK(n < 50 * 1000 * 1000); /* a loop that never idles */
        }
        return n;
}

/* The earliest timer, or 0. */
static uint64_t next_timer(const Sim *sim)
{
        uint64_t at = 0;

        for (unsigned i = 0; i < sim->n_loops; i++)
                for (size_t t = 0; t < sim->loops[i].n_timers; t++)
                        if (!at || sim->loops[i].timers[t]->at < at)
                                at = sim->loops[i].timers[t]->at;
        return at;
}

void sim_advance(Sim *sim, uint64_t ns)
{
        uint64_t end = sim->now + ns, at;

        sim_run(sim);
        while ((at = next_timer(sim)) && at <= end) {
                sim->now = MAX(at, sim->now);
                sim_run(sim);
        }
        sim->now = end;
        sim_run(sim);
}

/* Waits up to 10 ms of real time for any descriptor; false if there is none to wait for. */
static bool wait_io(Sim *sim)
{
        bool any = false;

        for (unsigned i = 0; i < sim->n_loops && !any; i++)
                any = sim->loops[i].n_io > 0;
        if (any)
                (void)nanosleep(&(struct timespec){ .tv_nsec = 200 * 1000 }, NULL);
        return any;
}

bool sim_run_until(Sim *sim, bool (*cond)(void *userdata), void *userdata, uint64_t max_ns)
{
        uint64_t end = sim->now + max_ns;
        struct timespec begin, t;

        (void)clock_gettime(CLOCK_MONOTONIC, &begin);
        for (;;) {
                uint64_t at;

                while (!cond(userdata) && sim_step(sim))
                        ;
                if (cond(userdata))
                        return true;
                (void)clock_gettime(CLOCK_MONOTONIC, &t);
                if (wait_io(sim) && t.tv_sec - begin.tv_sec < 1)
                        continue;
                at = next_timer(sim);
                if (at && at <= end)
                        sim->now = MAX(at, sim->now);
                else if (t.tv_sec - begin.tv_sec >= 5 || !wait_io(sim))
                        return false;
        }
}
