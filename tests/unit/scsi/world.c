/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world.h"

#include "base/bytes.h"

static void count_event(void *userdata, const ScsiEvent *event)
{
        World *w = userdata;

        w->events[event->kind]++;
}

void world_init(World *w, uint64_t seed, unsigned n_workers)
{
        *w = (World){ .sim = sim_new(seed, n_workers + 1),
                      .n = n_workers,
                      .budget = { 512 * MIB },
                      .closed = g_ptr_array_new_with_free_func(g_free) };
        for (unsigned i = 0; i < n_workers; i++) {
                ScsiLimits limits = { .ghost_wait = 5 * NSEC_PER_SEC, .tasks_per_slot = 64 };
                ScsiHost host = { .event = count_event, .userdata = w };

                g_assert_cmpint(buffer_pool_new(&w->budget, 4 * MIB, &w->buffers[i]), ==, 0);
                g_assert_cmpint(scsi_worker_new(sim_loop(w->sim, i + 1), w->buffers[i], &limits,
                                                &host, &w->workers[i]),
                                ==, 0);
        }
}

void world_done(World *w)
{
        sim_run(w->sim);
        for (guint i = 0; i < w->closed->len; i++)
                g_assert_cmpuint(((TestNexus *)w->closed->pdata[i])->nexus.buffer_bytes, ==, 0);
        g_ptr_array_unref(w->closed);
        for (unsigned i = 0; i < w->n; i++) {
                unsigned ghosts;

                g_assert_cmpuint(w->workers[i]->n_slots, ==, 0);
                g_assert_cmpuint(w->workers[i]->ios.n_used, ==, 0);
                g_assert_cmpuint(w->workers[i]->ops.n_used, ==, 0);
                g_assert_cmpuint(w->workers[i]->flows.n_used, ==, 0);
                scsi_worker_free(w->workers[i], &ghosts);
                g_assert_cmpuint(ghosts, ==, 0);
                buffer_pool_free(w->buffers[i]);
        }
        sim_free(w->sim);
        g_assert_cmpuint(fake_stores(), ==, 0);
}

bool wait_for(World *w, bool (*cond)(void *), void *userdata)
{
        return sim_run_until(w->sim, cond, userdata, 60 * NSEC_PER_SEC);
}

/* ---- nexuses ------------------------------------------------------------------------------- */

typedef struct Call {
        LoopTask task;
        TestNexus *nexus;
        LunMap *map;
        Throttle *throttles[NEXUS_THROTTLES];
        void (*run)(struct Call *call);
        bool done;
} Call;

static void run_call(LoopTask *task)
{
        Call *call = CONTAINER_OF(task, Call, task);

        call->run(call);
        call->done = true;
}

static bool call_done(void *userdata)
{
        return ((Call *)userdata)->done;
}

/* On the nexus' loop, as a transport would. */
static void on_loop(TestNexus *n, LunMap *map, void (*run)(Call *call))
{
        Call call = { .task.run = run_call, .nexus = n, .map = map, .run = run };

        loop_post(n->nexus.worker->loop, &call.task);
        g_assert_true(wait_for(n->world, call_done, &call));
}

static void do_open(Call *call)
{
        g_assert_cmpint(scsi_nexus_open(&call->nexus->nexus, call->map), ==, 0);
}

TestNexus *nexus_new(World *w, unsigned worker, LunMap *map)
{
        TestNexus *n = g_new0(TestNexus, 1);

        n->world = w;
        n->nexus.worker = w->workers[worker];
        n->nexus.initiator_port = "iqn.2000-01.test:initiator,i,0x400001370000";
        n->nexus.target_port = "iqn.2000-01.test:target,t,0x0001";
        n->nexus.target_name = "iqn.2000-01.test:target";
        n->nexus.relative_port = 1;
        n->nexus.protocol = 5;
        on_loop(n, map, do_open);
        return n;
}

static void do_remap(Call *call)
{
        g_assert_cmpint(scsi_nexus_remap(&call->nexus->nexus, call->map), ==, 0);
}

void nexus_remap(TestNexus *n, LunMap *map)
{
        on_loop(n, map, do_remap);
}

static void do_limit(Call *call)
{
        scsi_nexus_set_throttles(&call->nexus->nexus, call->throttles);
}

void nexus_limit(TestNexus *n, Throttle *by_name, Throttle *by_address)
{
        Call call = { .task.run = run_call,
                      .nexus = n,
                      .throttles = { by_name, by_address },
                      .run = do_limit };

        loop_post(n->nexus.worker->loop, &call.task);
        g_assert_true(wait_for(n->world, call_done, &call));
}

static void is_closed(ScsiNexus *nexus)
{
        TestNexus *n = CONTAINER_OF(nexus, TestNexus, nexus);

        g_assert_false(n->closed);
        n->closed = true;
}

static void do_close(Call *call)
{
        scsi_nexus_close(&call->nexus->nexus, is_closed);
}

void nexus_start_close(TestNexus *n)
{
        on_loop(n, NULL, do_close);
}

static bool nexus_closed(void *userdata)
{
        return ((TestNexus *)userdata)->closed;
}

void nexus_free(TestNexus *n)
{
        if (!n->nexus.closing)
                nexus_start_close(n);
        g_assert_true(wait_for(n->world, nexus_closed, n));
        g_ptr_array_add(n->world->closed, n);
}

/* ---- commands ------------------------------------------------------------------------------ */

static void op_get_data(Task *task)
{
        Command *c = CONTAINER_OF(task, Command, task);

        g_assert_nonnull(task->buffer);
        g_assert_cmpuint(task->buffer->size, >=, task->out_want);
        g_assert_cmpuint(task->out_want, <=, task->out_expected);
        c->asked = true;
        if (!c->holds_data)
                command_send_data(c);
}

static void deliver(LoopTask *task)
{
        Command *c = CONTAINER_OF(task, Command, deliver);

        if (c->outcome != PENDING)
                return;
        memcpy(c->task.buffer->data, c->out, c->task.out_want);
        task_data_out_done(&c->task, 0);
}

void command_send_data(Command *c)
{
        c->deliver = (LoopTask){ .run = deliver };
        loop_post(c->task.nexus->worker->loop, &c->deliver);
}

static void finish(LoopTask *task)
{
        Command *c = CONTAINER_OF(task, Command, finish);

        scsi_worker_tick(c->task.nexus->worker);
        task_release(&c->task);
        if (c->free_when_over)
                command_free(c);
}

void command_let_go(Command *c)
{
        c->finish = (LoopTask){ .run = finish };
        loop_post(c->task.nexus->worker->loop, &c->finish);
}

static void end(Command *c, Outcome outcome)
{
        g_assert_cmpint(c->outcome, ==, PENDING);
        c->outcome = outcome;
        if (c->over_now)
                c->over_now(c);
        if (!c->keeps)
                command_let_go(c);
}

static void op_complete(Task *task)
{
        Command *c = CONTAINER_OF(task, Command, task);
        size_t n = 0;

        for (unsigned i = 0; i < task->n_in_iov; i++) {
                g_assert_cmpuint(n + task->in_iov[i].iov_len, <=, sizeof(c->in));
                memcpy(c->in + n, task->in_iov[i].iov_base, task->in_iov[i].iov_len);
                n += task->in_iov[i].iov_len;
        }
        g_assert_cmpuint(n, ==, task->in_length);
        g_assert_cmpuint(n, <=, task->in_expected);
        c->in_length = n;
        c->lent = task->loan.memory;
        end(c, COMPLETED);
}

static void op_aborted(Task *task, bool with_status)
{
        end(CONTAINER_OF(task, Command, task), with_status ? ABORTED_WITH_STATUS : ABORTED);
}

static void op_recalled(Task *task, const uint8_t *from)
{
        Command *c = CONTAINER_OF(task, Command, task);

        g_assert_cmpint(c->outcome, ==, COMPLETED);
        g_assert_true(c->lent == from);
        g_assert_null(task->loan.memory);
        c->recalled = true;
}

static const TaskOps ops = { op_get_data, op_complete, op_aborted, op_recalled };

Command *command_new(TestNexus *n, uint16_t lun, const uint8_t *cdb, size_t cdb_length)
{
        static uint64_t last_tag;
        Command *c = g_malloc(sizeof(*c));

        memset(c, 0, offsetof(Command, in));
        memset((char *)c + offsetof(Command, in_length), 0,
               sizeof(*c) - offsetof(Command, in_length));
        c->world = n->world;
        c->task.ops = &ops;
        c->task.nexus = &n->nexus;
        c->task.tag = ++last_tag;
        c->task.cdb_length = 16; /* as iSCSI has it */
        memcpy(c->task.cdb, cdb, cdb_length);
        lun_encode(lun, c->task.lun);
        return c;
}

void command_out(Command *c, const void *data, size_t n)
{
        c->task.writes = true;
        c->task.out_expected = (uint32_t)n;
        c->out = g_memdup2(data, n);
        c->out_size = n;
}

void command_in(Command *c, size_t n)
{
        c->task.reads = true;
        c->task.in_expected = (uint32_t)n;
}

static void submit(LoopTask *task)
{
        Command *c = CONTAINER_OF(task, Command, submit);

        scsi_worker_tick(c->task.nexus->worker);
        task_submit(&c->task);
}

void command_start(Command *c)
{
        c->submit = (LoopTask){ .run = submit };
        loop_post(c->task.nexus->worker->loop, &c->submit);
}

static bool command_over(void *userdata)
{
        Command *c = userdata;

        return c->outcome != PENDING && c->task.state == TASK_IDLE;
}

void command_wait(Command *c)
{
        g_assert_true(wait_for(c->world, command_over, c));
}

void command_free(Command *c)
{
        if (!c)
                return;
        g_assert_cmpint(c->outcome, !=, PENDING);
        if (!c->free_when_over)
                command_wait(c);
        g_free(c->out);
        g_free(c);
}

Command *run_in(TestNexus *n, uint16_t lun, const uint8_t *cdb, size_t cdb_length, size_t in)
{
        Command *c = command_new(n, lun, cdb, cdb_length);

        command_in(c, in);
        command_start(c);
        command_wait(c);
        return c;
}

Command *run_out(TestNexus *n, uint16_t lun, const uint8_t *cdb, size_t cdb_length,
                 const void *data, size_t out)
{
        Command *c = command_new(n, lun, cdb, cdb_length);

        command_out(c, data, out);
        command_start(c);
        command_wait(c);
        return c;
}

bool good(TestNexus *n, uint16_t lun, const uint8_t *cdb, size_t cdb_length)
{
        Command *c = run_in(n, lun, cdb, cdb_length, 0);
        bool ok = c->outcome == COMPLETED && c->task.status == SCSI_GOOD;

        command_free(c);
        return ok;
}

uint32_t sense_of(const Command *c)
{
        const uint8_t *s = c->task.sense;

        if (c->outcome != COMPLETED || c->task.status != SCSI_CHECK_CONDITION)
                return 0;
        if (s[0] == 0x72)
                return (uint32_t)(s[1] << 16 | get_be16(s + 2));
        return (uint32_t)((s[2] & 0x0f) << 16 | get_be16(s + 12));
}

unsigned attentions(TestNexus *n, uint16_t lun, uint16_t *ret, unsigned max)
{
        for (unsigned i = 0; i < max; i++) {
                Command *c = run_in(n, lun, CDB(0, 0, 0, 0, 0, 0), 0);
                uint32_t sense = sense_of(c);

                command_free(c);
                if (sense >> 16 != SENSE_UNIT_ATTENTION)
                        return i;
                ret[i] = (uint16_t)sense;
        }
        g_assert_not_reached();
}

unsigned clear_attention(TestNexus *n, uint16_t lun)
{
        uint16_t asc[16];
        unsigned k = attentions(n, lun, asc, 16);

        return k ? asc[k - 1] : 0;
}

/* ---- task management ------------------------------------------------------------------------- */

static void tmf_over(Tmf *tmf)
{
        TestTmf *t = CONTAINER_OF(tmf, TestTmf, tmf);

        g_assert_false(t->done);
        t->done = true;
        if (t->over)
                t->over(t);
        if (t->free_me)
                g_free(t);
}

static void tmf_submit(LoopTask *task)
{
        scsi_tmf(&CONTAINER_OF(task, TestTmf, submit)->tmf);
}

TestTmf *tmf_start(TestNexus *n, TmfFunction f, uint16_t lun, uint64_t tag)
{
        TestTmf *t = g_new0(TestTmf, 1);

        t->tmf = (Tmf){ .nexus = &n->nexus, .function = f, .tag = tag, .done = tmf_over };
        lun_encode(lun, t->tmf.lun);
        t->submit = (LoopTask){ .run = tmf_submit };
        loop_post(n->nexus.worker->loop, &t->submit);
        return t;
}

static bool tmf_is_done(void *userdata)
{
        return ((TestTmf *)userdata)->done;
}

TmfResponse run_tmf(TestNexus *n, TmfFunction f, uint16_t lun, uint64_t tag)
{
        TestTmf *t = tmf_start(n, f, lun, tag);
        uint64_t before = sim_now(n->world->sim);
        TmfResponse response;

        g_assert_true(wait_for(n->world, tmf_is_done, t));
        /* bounded: messages only, never time */
        g_assert_cmpuint(sim_now(n->world->sim) - before, <, NSEC_PER_MSEC);
        response = t->tmf.response;
        g_free(t);
        return response;
}

/* ---- units ----------------------------------------------------------------------------------- */

const LuConfig default_config = {
        .identity = {
                .uuid = { 1, 2, 3 },
                .naa = { 0x60, 1, 2, 3 },
                .serial = "serial-1",
                .scsi_id = "id-1",
                .vendor = "TGT",
                .product = "VIRTUAL-DISK",
                .revision = "0001",
        },
        .name = "fake",
        .block_size = 512,
        .thin = LU_THIN,
        .write_cache = true,
};

LogicalUnit *unit_new(World *w, Store *store, const LuConfig *config)
{
        LogicalUnit *lu;

        g_assert_cmpint(lu_new(config, store, sim_loop(w->sim, w->n > 1 ? 2 : 1), &lu), ==, 0);
        return lu;
}

LunMap *map_of(LogicalUnit *lu, uint16_t lun)
{
        LunMap *m;

        g_assert_cmpint(lun_map_new(&(LunMapEntry){ lun, lu }, 1, &m), ==, 0);
        return m;
}

typedef struct TestChange {
        LuChange change;
        bool done;
} TestChange;

static void change_over(LuChange *change)
{
        CONTAINER_OF(change, TestChange, change)->done = true;
}

static bool change_is_done(void *userdata)
{
        return ((TestChange *)userdata)->done;
}

static void change_unit(World *w, LogicalUnit *lu, const LuChange *change)
{
        TestChange c = { .change = *change };

        c.change.origin = sim_loop(w->sim, 0);
        c.change.done = change_over;
        lu_change(lu, &c.change);
        g_assert_true(wait_for(w, change_is_done, &c));
}

void unit_change(World *w, LogicalUnit *lu, LuChangeKind kind, Store *store, bool readonly,
                 bool write_cache)
{
        const LuChange change = {
                .kind = kind, .store = store, .readonly = readonly, .write_cache = write_cache
        };

        change_unit(w, lu, &change);
}

void unit_limit(World *w, LogicalUnit *lu, Throttle *t)
{
        const LuChange change = { .kind = LU_CHANGE_LIMITS, .throttle = t };
        uint64_t before = sim_now(w->sim);

        change_unit(w, lu, &change);
        g_assert_cmpuint(sim_now(w->sim) - before, <, NSEC_PER_MSEC);
}
