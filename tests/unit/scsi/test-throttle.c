/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>

#include "throttle-limits.h"

/* Limits of rate, in virtual time: exact, fair, changed while they hold. */

#define DEPTH_MAX 32

/* ---- an initiator that asks for as much as it gets ------------------------------------------- */

typedef struct Load Load;

typedef struct Ask {
        Task task;
        Load *load;
        LoopTask data, again;
        bool busy;
} Ask;

struct Load {
        TestNexus *nexus;
        unsigned depth;
        uint8_t opcode;
        uint8_t blocks;
        bool mixed; /* every other one is a WRITE */
        bool stopped;
        unsigned n_started;
        uint64_t n, reads, writes, bytes;
        Ask asks[DEPTH_MAX];
};

static void ask(Ask *a)
{
        Load *l = a->load;
        uint8_t opcode = l->mixed && l->n_started % 2 ? 0x2a : l->opcode;
        const uint8_t cdb[10] = { opcode, [8] = l->blocks };

        l->n_started++;
        a->busy = true;
        a->task.cdb_length = 16;
        memcpy(a->task.cdb, cdb, sizeof(cdb));
        a->task.writes = opcode == 0x2a;
        a->task.reads = !a->task.writes;
        a->task.in_expected = a->task.reads ? l->blocks * BS : 0;
        a->task.out_expected = a->task.writes ? l->blocks * BS : 0;
        task_submit(&a->task);
}

static void ask_again(LoopTask *task)
{
        Ask *a = CONTAINER_OF(task, Ask, again);

        if (a->busy)
                task_release(&a->task);
        a->busy = false;
        if (!a->load->stopped)
                ask(a);
}

static void send_data(LoopTask *task)
{
        Ask *a = CONTAINER_OF(task, Ask, data);

        memset(a->task.buffer->data, 'x', a->task.out_want);
        task_data_out_done(&a->task, 0);
}

static void on_get_data(Task *task)
{
        Ask *a = CONTAINER_OF(task, Ask, task);

        a->data = (LoopTask){ .run = send_data };
        loop_post(task->nexus->worker->loop, &a->data);
}

static void post_again(Ask *a)
{
        a->again = (LoopTask){ .run = ask_again };
        loop_post(a->task.nexus->worker->loop, &a->again);
}

static void on_complete(Task *task)
{
        Ask *a = CONTAINER_OF(task, Ask, task);
        Load *l = a->load;

        g_assert_cmpint(task->status, ==, SCSI_GOOD);
        l->n++;
        *(task->writes ? &l->writes : &l->reads) += 1;
        l->bytes += l->blocks * BS;
        post_again(a);
}

static void on_aborted(Task *task, bool with_status)
{
        post_again(CONTAINER_OF(task, Ask, task));
}

static const TaskOps ask_ops = { on_get_data, on_complete, on_aborted };

static void load_start(Load *l)
{
        for (unsigned i = 0; i < l->depth; i++) {
                Ask *a = &l->asks[i];

                *a = (Ask){ .load = l };
                a->task.ops = &ask_ops;
                a->task.nexus = &l->nexus->nexus;
                a->task.tag = 1000 + i;
                lun_encode(1, a->task.lun);
                post_again(a);
        }
}

static void load_reset(Load *l)
{
        l->n = l->reads = l->writes = l->bytes = 0;
}

static bool load_idle(void *userdata)
{
        Load *l = userdata;

        for (unsigned i = 0; i < l->depth; i++)
                if (l->asks[i].busy)
                        return false;
        return true;
}

static void load_stop(Load *l)
{
        World *w = l->nexus->world;

        l->stopped = true;
        g_assert_true(sim_run_until(w->sim, load_idle, l, 600 * NSEC_PER_SEC));
        sim_run(w->sim);
}

/* within 1 in 50: the claim is 1 in 20 */
#define ASSERT_RATE(measured, wanted)                                           \
        do {                                                                    \
                double _m = (double)(measured), _w = (double)(wanted);          \
                                                                                \
                if (_m < _w * 0.98 - 1.5 || _m > _w * 1.02 + 1.5)               \
                        g_error("%s: %.0f instead of %.0f", #measured, _m, _w); \
        } while (0)

static void run_seconds(Fixture *f, unsigned n)
{
        sim_advance(f->w.sim, n * NSEC_PER_SEC);
}

static void setup_slow(Fixture *f)
{
        setup(f);
        fake_store_delay(f->store, 50 * NSEC_PER_USEC);
}

/* ---- exact ----------------------------------------------------------------------------------- */

/* One kind of limit, one or both workers, different sizes: what comes through in two seconds. */
static void test_exact(void)
{
        static const struct {
                ThrottleKind kind;
                uint64_t rate;
                uint8_t opcode, blocks;
                bool mixed;
                unsigned depth_a, depth_b;
        } cases[] = {
                { THROTTLE_IOPS, 10, 0x28, 1, false, 32, 0 },
                { THROTTLE_IOPS, 1000, 0x28, 1, false, 32, 0 },
                { THROTTLE_IOPS, 1000, 0x2a, 1, false, 0, 32 },
                { THROTTLE_IOPS, 1000, 0x28, 1, true, 7, 20 },
                { THROTTLE_IOPS, 100000, 0x28, 1, false, 32, 32 },
                { THROTTLE_IOPS, 100000, 0x28, 1, false, 32, 0 },
                { THROTTLE_READ_IOPS, 2000, 0x28, 8, false, 32, 1 },
                { THROTTLE_WRITE_IOPS, 2000, 0x2a, 8, false, 1, 32 },
                { THROTTLE_BYTES, 1000000, 0x28, 8, false, 32, 32 },
                { THROTTLE_BYTES, 1000000, 0x2a, 8, true, 32, 0 },
                /* each costs more than the burst */
                { THROTTLE_BYTES, 1000000, 0x28, 250, false, 4, 4 },
                { THROTTLE_READ_BYTES, 50000000, 0x28, 128, false, 32, 0 },
                { THROTTLE_WRITE_BYTES, 300000, 0x2a, 16, false, 3, 5 },
        };

        for (unsigned i = 0; i < ELEMENTSOF(cases); i++) {
                bool bytes = cases[i].kind >= THROTTLE_BYTES;
                Load a = { .depth = cases[i].depth_a }, b = { .depth = cases[i].depth_b };
                uint64_t got;
                Fixture f;

                setup_slow(&f);
                a.nexus = f.a;
                b.nexus = f.b;
                a.opcode = b.opcode = cases[i].opcode;
                a.blocks = b.blocks = cases[i].blocks;
                a.mixed = b.mixed = cases[i].mixed;
                limit(&f, cases[i].kind, cases[i].rate);
                load_start(&a);
                load_start(&b);
                run_seconds(&f, 2); /* what the first of each worker cost has been paid */
                load_reset(&a);
                load_reset(&b);
                run_seconds(&f, 4);
                got = bytes ? a.bytes + b.bytes : a.n + b.n;
                g_test_message("case %u: %" PRIu64 " in 4 s", i, got);
                if (bytes && cases[i].blocks * BS * 8ULL > cases[i].rate) {
                        /* in whole commands */
                        g_assert_cmpuint(got + cases[i].blocks * BS, >=, cases[i].rate * 4);
                        g_assert_cmpuint(got, <=, cases[i].rate * 4 + cases[i].blocks * BS);
                } else
                        ASSERT_RATE(got, cases[i].rate * 4);
                load_stop(&a);
                load_stop(&b);
                teardown(&f);
        }
}

/* Each kind by itself, all at once; the others are not held up by it. */
static void test_kinds(void)
{
        Load reads = { .depth = 8, .opcode = 0x28, .blocks = 8 };
        Load writes = { .depth = 8, .opcode = 0x2a, .blocks = 8 };
        ThrottleLimits limits = {
                .rate = { [THROTTLE_READ_IOPS] = 100, [THROTTLE_WRITE_BYTES] = 4096 * 3000 }
        };
        Throttle *t;
        Fixture f;

        setup_slow(&f);
        reads.nexus = writes.nexus = f.a;
        g_assert_cmpint(throttle_new(&limits, 8, sim_now(f.w.sim), &t), ==, 0);
        set_limits(&f, t);
        load_start(&reads);
        load_start(&writes);
        run_seconds(&f, 2);
        ASSERT_RATE(reads.n, 200);
        ASSERT_RATE(writes.n, 6000);
        /* a limit of both beside them: each has its share of it */
        limits.rate[THROTTLE_IOPS] = 150;
        g_assert_cmpint(throttle_new(&limits, 8, sim_now(f.w.sim), &t), ==, 0);
        set_limits(&f, t);
        load_reset(&reads);
        load_reset(&writes);
        run_seconds(&f, 4);
        ASSERT_RATE(reads.n + writes.n, 600);
        g_assert_cmpuint(reads.n, >, 200);
        g_assert_cmpuint(writes.n, >, 200);
        load_stop(&reads);
        load_stop(&writes);
        teardown(&f);
}

/* What a command costs: the next one waits until that is paid for. */
static void test_costs(void)
{
        static uint8_t data[8 * BS];
        static const struct {
                uint8_t cdb[16];
                size_t in, out;
                Direction direction;
                bool free;
                uint64_t bytes;
        } rows[] = {
                { { 0x28, [8] = 8 }, 8 * BS, 0, DIRECTION_READ, false, 8 * BS },
                { { 0x2a, [8] = 8 }, 0, 8 * BS, DIRECTION_WRITE, false, 8 * BS },
                { { 0x2e, [8] = 8 }, 0, 8 * BS, DIRECTION_WRITE, false, 8 * BS },
                /* a prefix is written (FCP-4 9.4.2), and only that is paid for */
                { { 0x2a, [8] = 8 }, 0, 2 * BS, DIRECTION_WRITE, false, 2 * BS },
                { { 0x2f, [8] = 80 }, 0, 0, DIRECTION_READ, false, 80 * BS },
                { { 0x34, [8] = 100 }, 0, 0, DIRECTION_READ, false, 100 * BS },
                { { 0x41, [7] = 4 }, 0, BS, DIRECTION_WRITE, false, BS },
                { { 0x42, [8] = 24 }, 0, 24, DIRECTION_WRITE, false, 24 },
                { { 0x35 }, 0, 0, DIRECTION_WRITE, false, 0 },
                { { 0x00 }, 0, 0, DIRECTION_READ, true, 0 },
                { { 0x12, [4] = 96 }, 96, 0, DIRECTION_READ, true, 0 },
                { { 0x1a, [2] = 0x3f, [4] = 96 }, 96, 0, DIRECTION_WRITE, true, 0 },
                { { 0x25 }, 8, 0, DIRECTION_READ, true, 0 },
        };

        data[1] = 22, data[3] = 16; /* a list of one range for UNMAP, of no blocks */
        for (unsigned i = 0; i < ELEMENTSOF(rows) * 2; i++) {
                bool iops = i % 2;
                Direction d = rows[i / 2].direction;
                Command *first, *next;
                uint64_t begin, waited, wanted;
                Fixture f;

                setup(&f);
                fake_store_delay(f.store, 0); /* no other wait is in it */
                limit(&f,
                      iops ? (d == DIRECTION_READ ? THROTTLE_READ_IOPS : THROTTLE_WRITE_IOPS)
                           : THROTTLE_BYTES,
                      iops ? 10 : 1000000);
                begin = sim_now(f.w.sim);
                first = command_new(f.a, 1, rows[i / 2].cdb, 16);
                if (rows[i / 2].in)
                        command_in(first, rows[i / 2].in);
                if (rows[i / 2].out)
                        command_out(first, data, rows[i / 2].out);
                command_start(first);
                command_wait(first);
                g_assert_cmpint(first->task.status, ==, SCSI_GOOD);
                next = d == DIRECTION_READ ? read_start(f.a, 1) : write_block(f.a, 1, 'x');
                command_wait(next);
                waited = (sim_now(f.w.sim) - begin) / NSEC_PER_USEC;
                wanted = rows[i / 2].free ? 0 : iops ? 100000 : rows[i / 2].bytes;
                g_test_message("row %u: %" PRIu64 " us, %" PRIu64 " expected", i / 2, waited,
                               wanted);
                g_assert_cmpuint(waited + 50, >=, wanted);
                g_assert_cmpuint(waited, <=, wanted + 50);
                command_free(first);
                command_free(next);
                teardown(&f);
        }
}

/* ---- changes --------------------------------------------------------------------------------- */

static void test_change(void)
{
        static const uint64_t rates[] = { 1000, 100, 5000, 20, 800 };
        Load a = { .depth = 16, .opcode = 0x28, .blocks = 1 };
        Load b = { .depth = 16, .opcode = 0x2a, .blocks = 1 };
        Fixture f;

        setup_slow(&f);
        a.nexus = f.a;
        b.nexus = f.b;
        load_start(&a);
        load_start(&b);
        for (unsigned i = 0; i < ELEMENTSOF(rates); i++) {
                limit(&f, THROTTLE_IOPS, rates[i]);
                load_reset(&a);
                load_reset(&b);
                run_seconds(&f, 3);
                /* but for what was below when it changed */
                g_assert_cmpuint(a.n + b.n, >=, rates[i] * 3 * 98 / 100 - 2);
                g_assert_cmpuint(a.n + b.n, <=, rates[i] * 3 * 102 / 100 + 34);
        }
        /* off: nothing waits any longer than the store takes */
        set_limits(&f, NULL);
        load_reset(&a);
        load_reset(&b);
        sim_advance(f.w.sim, 10 * NSEC_PER_MSEC);
        g_assert_cmpuint(a.n, >=, 16 * 100);
        g_assert_cmpuint(b.n, >=, 16 * 100);
        a.stopped = b.stopped = true;
        load_stop(&a);
        load_stop(&b);
        g_assert_true(clear_attention(f.a, 1) == 0);
        teardown(&f);
}

/* What waits for a second is over at once with a higher limit. */
static void test_retimed(void)
{
        Command *c[9];
        Fixture f;

        setup(&f);
        limit(&f, THROTTLE_BYTES, BS);
        for (unsigned i = 0; i < ELEMENTSOF(c); i++)
                c[i] = read_start(f.a, (uint8_t)i);
        settle(&f);
        for (unsigned i = 1; i < ELEMENTSOF(c); i++)
                g_assert_cmpint(c[i]->task.state, ==, TASK_THROTTLED);
        limit(&f, THROTTLE_BYTES, BS * 10000);
        settle(&f);
        for (unsigned i = 0; i < ELEMENTSOF(c); i++) {
                g_assert_cmpint(c[i]->outcome, ==, COMPLETED);
                command_free(c[i]);
        }
        teardown(&f);
}

/* ---- bursts ---------------------------------------------------------------------------------- */

static void test_burst(void)
{
        Load a = { .depth = 32, .opcode = 0x28, .blocks = 1 };
        Load b = { .depth = 32, .opcode = 0x28, .blocks = 1 };
        Fixture f;

        setup_slow(&f);
        a.nexus = f.a;
        b.nexus = f.b;
        set_limits(&f, throttle(&f, THROTTLE_IOPS, 1000, 500 * NSEC_PER_MSEC));
        run_seconds(&f, 10);
        load_start(&a);
        load_start(&b);
        /* what was saved up comes at once, and no more than that */
        sim_advance(f.w.sim, 20 * NSEC_PER_MSEC);
        g_assert_cmpuint(a.n + b.n, >=, 500);
        g_assert_cmpuint(a.n + b.n, <=, 500 + 20 + 30);
        run_seconds(&f, 2);
        load_reset(&a);
        load_reset(&b);
        run_seconds(&f, 2);
        ASSERT_RATE(a.n + b.n, 2000);
        load_stop(&a);
        load_stop(&b);
        teardown(&f);
}

/* ---- fair ------------------------------------------------------------------------------------ */

/* A flood beside one that asks for one command at a time, on the same worker and on another. */
static void test_flood(void)
{
        for (unsigned other = 0; other < 2; other++) {
                Load flood = { .depth = 32, .opcode = 0x28, .blocks = 1 };
                Load one = { .depth = 1, .opcode = 0x28, .blocks = 1 };
                TestNexus *n;
                Fixture f;

                setup_slow(&f);
                n = nexus_new(&f.w, other, f.map);
                clear_attention(n, 1);
                flood.nexus = f.a;
                one.nexus = n;
                limit(&f, THROTTLE_IOPS, 1000);
                load_start(&flood);
                load_start(&one);
                run_seconds(&f, 4);
                ASSERT_RATE(flood.n + one.n, 4000);
                g_assert_cmpuint(one.n, >, 1800);
                load_stop(&flood);
                load_stop(&one);
                nexus_free(n);
                teardown(&f);
        }
}

/* Three sessions on one worker, one on the other, all with much to ask: a quarter for each. */
static void test_spread(void)
{
        Load l[4] = { { 0 } };
        TestNexus *more[2];
        uint64_t sum = 0;
        Fixture f;

        setup_slow(&f);
        more[0] = nexus_new(&f.w, 0, f.map);
        more[1] = nexus_new(&f.w, 0, f.map);
        l[0].nexus = f.a;
        l[1].nexus = f.b;
        l[2].nexus = more[0];
        l[3].nexus = more[1];
        limit(&f, THROTTLE_IOPS, 2000);
        for (unsigned i = 0; i < 4; i++) {
                if (i > 1)
                        clear_attention(l[i].nexus, 1);
                l[i].depth = 8;
                l[i].opcode = 0x28;
                l[i].blocks = 1;
                load_start(&l[i]);
        }
        run_seconds(&f, 4);
        for (unsigned i = 0; i < 4; i++)
                sum += l[i].n;
        ASSERT_RATE(sum, 8000);
        for (unsigned i = 0; i < 4; i++) {
                g_assert_cmpuint(l[i].n, >, 8000 / 4 * 8 / 10);
                load_stop(&l[i]);
        }
        nexus_free(more[0]);
        nexus_free(more[1]);
        teardown(&f);
}

/* Many sessions that wait do not make a burst of their own: a turn ends where the debt does. */
static void test_many(void)
{
        Load l[30];
        uint64_t n = 0;
        Fixture f;

        setup_slow(&f);
        for (unsigned i = 0; i < ELEMENTSOF(l); i++) {
                l[i] = (Load){ .depth = 2, .opcode = 0x28, .blocks = 1 };
                l[i].nexus = nexus_new(&f.w, 0, f.map);
                clear_attention(l[i].nexus, 1);
        }
        limit(&f, THROTTLE_IOPS, 100);
        for (unsigned i = 0; i < ELEMENTSOF(l); i++)
                load_start(&l[i]);
        for (unsigned ms = 0; ms < 200; ms++) {
                uint64_t done = 0;

                sim_advance(f.w.sim, NSEC_PER_MSEC);
                for (unsigned i = 0; i < ELEMENTSOF(l); i++)
                        done += l[i].n;
                g_assert_cmpuint(done - n, <=, 3);
                n = done;
        }
        g_assert_cmpuint(n, >=, 19);
        g_assert_cmpuint(n, <=, 23);
        run_seconds(&f, 3);
        for (unsigned i = 0; i < ELEMENTSOF(l); i++) {
                g_assert_cmpuint(l[i].n, >=, 9);
                g_assert_cmpuint(l[i].n, <=, 12);
        }
        set_limits(&f, NULL);
        for (unsigned i = 0; i < ELEMENTSOF(l); i++) {
                load_stop(&l[i]);
                nexus_free(l[i].nexus);
        }
        teardown(&f);
}

/* ---- limits of initiators -------------------------------------------------------------------- */

static void test_nexus(void)
{
        Load a = { .depth = 32, .opcode = 0x28, .blocks = 1 };
        Load b = { .depth = 4, .opcode = 0x28, .blocks = 1 };
        Throttle *slow, *fast, *both;
        Fixture f;

        setup_slow(&f);
        a.nexus = f.a;
        b.nexus = f.b;
        slow = throttle(&f, THROTTLE_IOPS, 100, 0);
        fast = throttle(&f, THROTTLE_IOPS, 500, 0);
        both = throttle(&f, THROTTLE_BYTES, 400 * BS, 0);
        nexus_limit(f.a, slow, NULL);
        nexus_limit(f.b, NULL, fast);
        load_start(&a);
        load_start(&b);
        run_seconds(&f, 2);
        /* each its own */
        ASSERT_RATE(a.n, 200);
        ASSERT_RATE(b.n, 1000);
        /* ... and together one by their address */
        nexus_limit(f.a, slow, both);
        nexus_limit(f.b, fast, both);
        run_seconds(&f, 1);
        load_reset(&a);
        load_reset(&b);
        run_seconds(&f, 4);
        ASSERT_RATE(a.n + b.n, 1600);
        g_assert_cmpuint(a.n, >, 380);
        g_assert_cmpuint(a.n, <, 420);
        /* ... and the unit's */
        limit(&f, THROTTLE_READ_IOPS, 90);
        run_seconds(&f, 1);
        load_reset(&a);
        load_reset(&b);
        run_seconds(&f, 4);
        ASSERT_RATE(a.n + b.n, 360);
        g_assert_cmpuint(a.n, >, 160);
        g_assert_cmpuint(b.n, >, 160);
        /* none any more */
        set_limits(&f, NULL);
        nexus_limit(f.a, NULL, NULL);
        nexus_limit(f.b, NULL, NULL);
        load_reset(&a);
        sim_advance(f.w.sim, 10 * NSEC_PER_MSEC);
        g_assert_cmpuint(a.n, >, 1000);
        throttle_unref(slow);
        throttle_unref(fast);
        throttle_unref(both);
        load_stop(&a);
        load_stop(&b);
        teardown(&f);
}

/* ---- what is counted ------------------------------------------------------------------------- */

static void test_counters(void)
{
        Command *c[4];
        LuStats stats;
        Fixture f;

        setup(&f);
        limit(&f, THROTTLE_IOPS, 10);
        for (unsigned i = 0; i < ELEMENTSOF(c); i++)
                c[i] = read_start(f.a, (uint8_t)i);
        for (unsigned i = 0; i < ELEMENTSOF(c); i++) {
                command_wait(c[i]);
                command_free(c[i]);
        }
        lu_stats(f.lu, &stats);
        g_assert_cmpuint(stats.throttled, ==, 3);
        /* 100, 200 and 300 ms */
        g_assert_cmpuint(stats.throttled_ns, >, 550 * NSEC_PER_MSEC);
        g_assert_cmpuint(stats.throttled_ns, <, 650 * NSEC_PER_MSEC);
        teardown(&f);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/scsi/throttle/exact", test_exact);
        g_test_add_func("/scsi/throttle/kinds", test_kinds);
        g_test_add_func("/scsi/throttle/costs", test_costs);
        g_test_add_func("/scsi/throttle/change", test_change);
        g_test_add_func("/scsi/throttle/retimed", test_retimed);
        g_test_add_func("/scsi/throttle/burst", test_burst);
        g_test_add_func("/scsi/throttle/flood", test_flood);
        g_test_add_func("/scsi/throttle/spread", test_spread);
        g_test_add_func("/scsi/throttle/many", test_many);
        g_test_add_func("/scsi/throttle/nexus", test_nexus);
        g_test_add_func("/scsi/throttle/counters", test_counters);
        return g_test_run();
}
