/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "scsi/core.h"
#include "threadloop.h"

/* The same on real threads over real stores: two workers with a nexus each on one unit, commands of
 * all attributes, task management, nexuses that come and go, limits of rate of both and of the
 * unit, and a control plane that changes the unit all the while. Nothing is asserted about data;
 * the sanitizers and the end are the test. */

#define WORKERS 2
#define DEPTH 8
#define COMMANDS 1500 /* of one session */
#define SESSIONS 4

typedef struct Worker Worker;

typedef struct Command {
        Task task;
        Worker *w;
        LoopTask next, data;
        bool idle;
} Command;

struct Worker {
        ThreadLoop *thread;
        Loop *loop;
        BufferPool *buffers;
        ScsiWorker *scsi;
        ScsiNexus nexus;
        Command commands[DEPTH];
        unsigned n_started, n_idle, n_sessions;
        bool ending;
        Tmf tmf;
        bool tmf_runs;
        unsigned random;
        LoopTimer timer;
        unsigned n_good, n_aborted, n_other;
};

static Budget budget = { 256 * MIB };
static Worker workers[WORKERS];
static Store *stores[2];
static LogicalUnit *lu;
static LunMap *map;
static Throttle *both;        /* of the nexuses together */
static Loop *coordinator;     /* worker 0's, once it runs */
static unsigned n_up, n_over; /* atomic */

static unsigned dice(unsigned *state, unsigned n)
{
        *state = *state * 1103515245u + 12345u;
        return (*state >> 16) % n;
}

/* ---- commands -------------------------------------------------------------------------------- */

static void session_begin(Worker *w);
static void session_end(Worker *w);

static void start(Command *c)
{
        static const uint8_t cdbs[][16] = {
                { 0x28, 0, 0, 0, 0, 8, 0, 0, 8 },
                { 0x2a, 0, 0, 0, 0, 8, 0, 0, 8 },
                { 0x2a, 8, 0, 0, 0, 16, 0, 0, 8 },
                { 0x2e, 2, 0, 0, 0, 12, 0, 0, 8 },
                { 0x2f, 0, 0, 0, 0, 8, 0, 0, 64 },
                { 0x35 },
                { 0x93, 1, [9] = 8, [13] = 16 },
                { 0x00 },
                { 0x16 },
                { 0x17 },
                { 0x1a, 8, 0x3f, 0xff, 255 },
                { 0x12, 1, 0xb0, 0, 255 },
        };
        Worker *w = c->w;

        c->idle = false;
        c->task.tag = ++w->n_started;
        c->task.nexus = &w->nexus;
        memcpy(c->task.cdb, cdbs[dice(&w->random, ELEMENTSOF(cdbs))], 16);
        /* each its own blocks: what overlaps on two threads is a race in the store's memory */
        if (c->task.cdb[0] >= 0x28 && c->task.cdb[0] != 0x35)
                c->task.cdb[c->task.cdb[0] == 0x93 ? 9 : 5] += (uint8_t)(w->loop->index * 100);
        c->task.cdb_length = 16;
        lun_encode(1, c->task.lun);
        c->task.reads = c->task.writes = true;
        c->task.in_expected = c->task.out_expected = 4096;
        c->task.attribute = dice(&w->random, 16) ? TASK_SIMPLE : (TaskAttribute)dice(&w->random, 3);
        task_submit(&c->task);
}

static void tmf_done(Tmf *tmf)
{
        Worker *w = CONTAINER_OF(tmf, Worker, tmf);

        w->tmf_runs = false;
        if (w->ending && w->n_idle == DEPTH)
                session_end(w);
}

static void manage(Worker *w)
{
        static const TmfFunction functions[] = { TMF_ABORT_TASK_SET, TMF_CLEAR_TASK_SET,
                                                 TMF_LOGICAL_UNIT_RESET, TMF_I_T_NEXUS_RESET,
                                                 TMF_ABORT_TASK };

        if (w->tmf_runs)
                return;
        w->tmf_runs = true;
        w->tmf = (Tmf){ .nexus = &w->nexus,
                        .function = functions[dice(&w->random, ELEMENTSOF(functions))],
                        .tag = w->n_started - dice(&w->random, DEPTH),
                        .done = tmf_done };
        lun_encode(1, w->tmf.lun);
        scsi_tmf(&w->tmf);
}

static void next(LoopTask *task)
{
        Command *c = CONTAINER_OF(task, Command, next);
        Worker *w = c->w;

        task_release(&c->task);
        c->idle = true;
        if (w->n_started >= COMMANDS) {
                w->n_idle++;
                w->ending = true;
                if (w->n_idle == DEPTH && !w->tmf_runs)
                        session_end(w);
                return;
        }
        start(c);
        if (dice(&w->random, 40) == 0)
                manage(w);
        if (w->n_started == COMMANDS / 2 && w->n_sessions % 2) {
                /* this one is cut off in the middle */
                w->n_started = COMMANDS;
        }
}

static void over(Command *c)
{
        c->next = (LoopTask){ .run = next };
        loop_defer(c->w->loop, &c->next);
}

static void op_complete(Task *task)
{
        Command *c = CONTAINER_OF(task, Command, task);

        if (task->status == SCSI_GOOD)
                c->w->n_good++;
        else
                c->w->n_other++;
        over(c);
}

static void op_aborted(Task *task, bool with_status)
{
        Command *c = CONTAINER_OF(task, Command, task);

        c->w->n_aborted++;
        over(c);
}

static void data_is_there(LoopTask *task)
{
        Command *c = CONTAINER_OF(task, Command, data);

        if (c->task.state == TASK_DATA_OUT)
                task_data_out_done(&c->task, 0);
}

static void op_get_data(Task *task)
{
        Command *c = CONTAINER_OF(task, Command, task);

        memset(task->buffer->data, 'x', task->out_want);
        if (c->data.pending)
                return; /* of a task that was aborted: it will do for this one */
        c->data.run = data_is_there;
        loop_defer(c->w->loop, &c->data);
}

static const TaskOps ops = { op_get_data, op_complete, op_aborted };

/* ---- sessions -------------------------------------------------------------------------------- */

static void worker_over(LoopTimer *timer)
{
        Worker *w = CONTAINER_OF(timer, Worker, timer);
        unsigned ghosts;

        /* the other may still need this loop as the unit's coordinator */
        if (w->scsi->n_slots > 0 || w->scsi->n_ghosts > 0 ||
            __atomic_load_n(&n_over, __ATOMIC_ACQUIRE) <= WORKERS) {
                loop_timer_in(w->loop, &w->timer, NSEC_PER_MSEC);
                return;
        }
        g_assert_cmpuint(w->scsi->ios.n_used, ==, 0);
        g_assert_cmpuint(w->scsi->ops.n_used, ==, 0);
        g_assert_cmpuint(w->scsi->flows.n_used, ==, 0);
        scsi_worker_free(w->scsi, &ghosts);
        g_assert_cmpuint(ghosts, ==, 0);
        buffer_pool_free(w->buffers);
        threadloop_stop(w->loop);
}

static void session_closed(ScsiNexus *nexus)
{
        Worker *w = CONTAINER_OF(nexus, Worker, nexus);

        if (++w->n_sessions < SESSIONS) {
                session_begin(w);
                return;
        }
        __atomic_add_fetch(&n_over, 1, __ATOMIC_RELEASE);
        w->timer.fire = worker_over;
        loop_timer_in(w->loop, &w->timer, NSEC_PER_MSEC);
}

static void session_end(Worker *w)
{
        scsi_nexus_close(&w->nexus, session_closed);
}

static void session_begin(Worker *w)
{
        w->n_started = w->n_idle = 0;
        w->ending = false;
        w->nexus = (ScsiNexus){ .worker = w->scsi,
                                .initiator_port = "i",
                                .target_port = "t",
                                .target_name = "t",
                                .protocol = 5 };
        g_assert_cmpint(scsi_nexus_open(&w->nexus, map), ==, 0);
        scsi_nexus_set_throttles(&w->nexus, (Throttle *const[]){ both, NULL });
        for (unsigned i = 0; i < DEPTH; i++) {
                w->commands[i].w = w;
                w->commands[i].task.ops = &ops;
                start(&w->commands[i]);
        }
}

static void worker_begin(LoopTimer *timer)
{
        Worker *w = CONTAINER_OF(timer, Worker, timer);

        if (!__atomic_load_n(&lu, __ATOMIC_ACQUIRE)) {
                loop_timer_in(w->loop, timer, NSEC_PER_MSEC);
                return;
        }
        session_begin(w);
}

static void worker_start(Loop *loop, void *userdata)
{
        ScsiLimits limits = { .ghost_wait = 20 * NSEC_PER_MSEC, .tasks_per_slot = 64 };
        Worker *w = userdata;

        w->loop = loop;
        w->random = loop->index + 1;
        g_assert_cmpint(buffer_pool_new(&budget, 4 * MIB, &w->buffers), ==, 0);
        g_assert_cmpint(scsi_worker_new(loop, w->buffers, &limits, NULL, &w->scsi), ==, 0);
        if (loop->index == 0)
                __atomic_store_n(&coordinator, loop, __ATOMIC_RELEASE);
        __atomic_add_fetch(&n_up, 1, __ATOMIC_RELEASE);
        w->timer.fire = worker_begin;
        loop_timer_in(loop, &w->timer, 1);
}

/* ---- control plane ----------------------------------------------------------------------------
 */

static struct {
        Loop *loop;
        LoopTimer timer;
        LuChange change;
        unsigned n, random;
} control;

static void change(LoopTimer *timer);

static void change_done(LuChange *c)
{
        LuStats stats;

        lu_stats(lu, &stats);
        g_assert_cmpuint(lu_size(lu), >, 0);
        if (c->kind == LU_CHANGE_RETIRE) {
                __atomic_add_fetch(&n_over, 1, __ATOMIC_RELEASE);
                threadloop_stop(control.loop);
                return;
        }
        control.timer.fire = change;
        loop_timer_in(control.loop, &control.timer, 300 * NSEC_PER_USEC);
}

static Throttle *make_throttle(uint64_t iops)
{
        ThrottleLimits limits = {
                .rate = { [THROTTLE_IOPS] = iops, [THROTTLE_READ_BYTES] = 100 * MIB },
                .burst_ns = NSEC_PER_MSEC
        };
        Throttle *t;

        g_assert_cmpint(throttle_new(&limits, WORKERS, loop_now(control.loop), &t), ==, 0);
        return t;
}

static void change_limits(void)
{
        Throttle *t = control.n % 10 ? make_throttle(20000 + control.n % 7 * 1000) : NULL;

        throttle_unref(control.change.throttle);
        control.change = (LuChange){
                .kind = LU_CHANGE_LIMITS, .throttle = t, .origin = control.loop, .done = change_done
        };
        lu_change(lu, &control.change);
}

static void change(LoopTimer *timer)
{
        bool last = __atomic_load_n(&n_over, __ATOMIC_ACQUIRE) >= WORKERS;

        control.n++;
        if (control.n % 5 == 0 && !last) {
                change_limits();
                return;
        }
        throttle_unref(control.change.throttle);
        control.change =
                (LuChange){ .kind = last ? LU_CHANGE_RETIRE
                                    : control.n % 16 == 0
                                            ? LU_CHANGE_STORE
                                            : (control.n % 2 ? LU_CHANGE_SIZE : LU_CHANGE_STATE),
                            .store = stores[control.n / 16 % 2],
                            .write_cache = control.n % 4 == 0,
                            .origin = control.loop,
                            .done = change_done };
        lu_change(lu, &control.change);
}

static void control_start(Loop *loop, void *userdata)
{
        static const LuConfig config = {
                .block_size = 512, .write_cache = true, .thin = LU_THIN, .removable = true
        };
        LogicalUnit *made;

        control.loop = loop;
        g_assert_cmpint(lu_new(&config, stores[0], coordinator, &made), ==, 0);
        g_assert_cmpint(lun_map_new(&(LunMapEntry){ 1, made }, 1, &map), ==, 0);
        both = make_throttle(30000);
        __atomic_store_n(&lu, made, __ATOMIC_RELEASE);
        control.timer.fire = change;
        loop_timer_in(loop, &control.timer, NSEC_PER_MSEC);
}

static void test_threads(void)
{
        ThreadLoop *t;

        threadloop_jobs_start(2);
        for (unsigned i = 0; i < ELEMENTSOF(stores); i++) {
                StoreSpec spec = { .type = "fault",
                                   .size = 4 * MIB,
                                   .options = "store=ram;delay=100us;probability=30" };
                StoreError error = {};

                if (store_open(&spec, &stores[i], &error) < 0)
                        g_error("%s", error.text);
        }
        for (unsigned i = 0; i < WORKERS; i++)
                workers[i].thread = threadloop_new(i, worker_start, &workers[i]);
        while (__atomic_load_n(&n_up, __ATOMIC_ACQUIRE) < WORKERS)
                g_usleep(1000);
        t = threadloop_new(WORKERS, control_start, NULL);
        threadloop_join(t);
        for (unsigned i = 0; i < WORKERS; i++) {
                threadloop_join(workers[i].thread);
                g_test_message("worker %u: %u good, %u aborted, %u other", i, workers[i].n_good,
                               workers[i].n_aborted, workers[i].n_other);
                g_assert_cmpuint(workers[i].n_good, >, 0);
        }
        lun_map_unref(map);
        lu_unref(lu);
        throttle_unref(both);
        for (unsigned i = 0; i < ELEMENTSOF(stores); i++)
                store_unref(stores[i]);
        threadloop_jobs_stop();
        g_assert_cmpint(budget.left, ==, 256 * MIB);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/scsi/threads", test_threads);
        return g_test_run();
}
