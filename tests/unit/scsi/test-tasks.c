/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "two-nexuses.h"

/* Task sets, task management, unit attentions, reservations and ghosts, step by step. */

/* ---- aborts and ghosts ----------------------------------------------------------------------- */

static void test_abort_task(void)
{
        Fixture f;
        Command *w1, *w2, *w3, *r;

        setup(&f);
        fake_store_hold(f.store);
        w1 = write_block(f.a, 5, '1');
        settle(&f);
        g_assert_cmpuint(fake_store_held(f.store), ==, 1);
        g_assert_cmpint(run_tmf(f.a, TMF_QUERY_TASK, 1, w1->task.tag), ==, TMF_SUCCEEDED);
        g_assert_cmpint(run_tmf(f.a, TMF_QUERY_TASK_SET, 1, 0), ==, TMF_SUCCEEDED);
        g_assert_cmpint(run_tmf(f.b, TMF_QUERY_TASK_SET, 1, 0), ==, TMF_COMPLETE);
        /* another nexus' tag is not ours */
        g_assert_cmpint(run_tmf(f.b, TMF_ABORT_TASK, 1, w1->task.tag), ==, TMF_NO_TASK);
        g_assert_cmpint(run_tmf(f.a, TMF_ABORT_TASK, 1, w1->task.tag), ==, TMF_COMPLETE);
        g_assert_cmpint(w1->outcome, ==, ABORTED);
        g_assert_cmpint(run_tmf(f.a, TMF_ABORT_TASK, 1, w1->task.tag), ==, TMF_NO_TASK);
        g_assert_cmpuint(fake_store_stats(f.store).cancelled, ==, 1);
        /* what overlaps the ghost waits, on both workers; what does not goes on */
        w2 = write_block(f.b, 5, '2');
        r = read_start(f.a, 5);
        w3 = write_block(f.b, 6, '3');
        settle(&f);
        g_assert_cmpint(w2->task.state, ==, TASK_GATED);
        g_assert_cmpint(r->task.state, ==, TASK_GATED);
        g_assert_cmpint(w3->task.state, ==, TASK_RUNNING);
        /* the ghost lands at last, and only then the newer write */
        fake_store_release(f.store);
        command_wait(w2);
        command_wait(w3);
        command_wait(r);
        g_assert_cmpint(w2->task.status, ==, SCSI_GOOD);
        g_assert_cmpint(byte_at(&f, 5), ==, '2');
        g_assert_cmpint(byte_at(&f, 6), ==, '3');
        g_assert_cmpuint(f.w.events[SCSI_EVENT_GHOST], ==, 1);
        command_free(w1);
        command_free(w2);
        command_free(w3);
        command_free(r);
        teardown(&f);
}

/* After ghost_wait: BUSY, and the store never saw it. */
static void test_ghost_busy(void)
{
        Fixture f;
        Command *w1, *w2;
        LuStats s;

        setup(&f);
        fake_store_hold(f.store);
        w1 = write_block(f.a, 5, '1');
        settle(&f);
        run_tmf(f.a, TMF_ABORT_TASK, 1, w1->task.tag);
        w2 = write_block(f.b, 5, '2');
        sim_advance(f.w.sim, 4 * NSEC_PER_SEC);
        g_assert_cmpint(w2->outcome, ==, PENDING);
        lu_stats(f.lu, &s);
        g_assert_cmpuint(s.ghosts, ==, 1);
        sim_advance(f.w.sim, 2 * NSEC_PER_SEC);
        g_assert_cmpint(w2->outcome, ==, COMPLETED);
        g_assert_cmpint(w2->task.status, ==, SCSI_BUSY);
        g_assert_cmpuint(fake_store_held(f.store), ==, 1);
        fake_store_release(f.store);
        settle(&f);
        lu_stats(f.lu, &s);
        g_assert_cmpuint(s.ghosts, ==, 0);
        command_free(w1);
        command_free(w2);
        teardown(&f);
}

/* An aborted read is nobody's hindrance, but keeps its buffer. */
static void test_abort_read(void)
{
        Fixture f;
        Command *r, *w;

        setup(&f);
        fake_store_hold(f.store);
        r = read_start(f.a, 5);
        settle(&f);
        g_assert_cmpint(run_tmf(f.a, TMF_ABORT_TASK_SET, 1, 0), ==, TMF_COMPLETE);
        g_assert_cmpint(r->outcome, ==, ABORTED);
        w = write_block(f.b, 5, '2');
        settle(&f);
        g_assert_cmpint(w->task.state, ==, TASK_RUNNING);
        fake_store_release(f.store);
        command_wait(w);
        command_free(r);
        command_free(w);
        teardown(&f);
}

/* Given up while its data was on the way, or while it waited: no ghost. */
static void test_abort_early(void)
{
        Fixture f;
        uint8_t data[BS] = {};
        Command *c;
        LuStats s;

        setup(&f);
        c = command_new(f.a, 1, CDB(0x2a, 0, 0, 0, 0, 1, 0, 0, 1, 0));
        command_out(c, data, BS);
        c->holds_data = true;
        command_start(c);
        settle(&f);
        g_assert_true(c->asked);
        g_assert_cmpint(run_tmf(f.a, TMF_ABORT_TASK, 1, c->task.tag), ==, TMF_COMPLETE);
        g_assert_cmpint(c->outcome, ==, ABORTED);
        task_data_out_done(&c->task, 0); /* came too late: nothing */
        lu_stats(f.lu, &s);
        g_assert_cmpuint(s.ghosts + s.in_flight, ==, 0);
        g_assert_cmpuint(fake_store_stats(f.store).submitted, ==, 0);
        command_free(c);
        teardown(&f);
}

static void reset_while_hung(TmfFunction function, unsigned asc)
{
        Fixture f;
        Command *w1, *w2, *w3;
        uint16_t ua[16];
        bool clear = function == TMF_CLEAR_TASK_SET;

        setup(&f);
        fake_store_hold(f.store);
        w1 = write_block(f.a, 5, '1');
        w2 = write_block(f.b, 6, '2');
        settle(&f);
        g_assert_cmpint(run_tmf(f.a, function, 1, 0), ==, TMF_COMPLETE);
        g_assert_cmpint(w1->outcome, ==, ABORTED);
        g_assert_cmpint(w2->outcome, ==, ABORTED);
        g_assert_cmpuint(attentions(f.a, 1, ua, 16), ==, clear ? 0 : 1);
        if (!clear)
                g_assert_cmphex(ua[0], ==, asc);
        g_assert_cmpuint(attentions(f.b, 1, ua, 16), ==, clear ? 1 : 2);
        g_assert_cmphex(ua[0], ==, asc);
        g_assert_cmphex(ua[clear ? 0 : 1], ==, 0x2f00);
        w3 = write_start(f.a, 5, 2, '3', TASK_SIMPLE);
        settle(&f);
        g_assert_cmpint(w3->task.state, ==, TASK_GATED);
        /* one of the two ghosts ends: the other still holds it */
        fake_store_release_one(f.store, 0);
        settle(&f);
        g_assert_cmpint(w3->task.state, ==, TASK_GATED);
        fake_store_release(f.store);
        command_wait(w3);
        g_assert_cmpint(w3->task.status, ==, SCSI_GOOD);
        g_assert_cmpint(byte_at(&f, 5), ==, '3');
        g_assert_cmpint(byte_at(&f, 6), ==, '3');
        command_free(w1);
        command_free(w2);
        command_free(w3);
        teardown(&f);
}

static void test_clear_task_set(void)
{
        reset_while_hung(TMF_CLEAR_TASK_SET, 0x2f00);
}

static void test_unit_reset(void)
{
        reset_while_hung(TMF_LOGICAL_UNIT_RESET, 0x2903);
}

static void test_target_reset(void)
{
        reset_while_hung(TMF_TARGET_WARM_RESET, 0x2902);
}

static void test_nexus_reset(void)
{
        Fixture f;
        Command *w1, *w2;

        setup(&f);
        g_assert_true(good(f.a, 1, CDB(0x16)));
        fake_store_hold(f.store);
        w1 = write_block(f.a, 5, '1');
        settle(&f);
        g_assert_cmpint(run_tmf(f.a, TMF_I_T_NEXUS_RESET, 0, 0), ==, TMF_COMPLETE);
        g_assert_cmpint(w1->outcome, ==, ABORTED);
        g_assert_cmphex(clear_attention(f.a, 1), ==, 0x2907);
        g_assert_cmphex(clear_attention(f.b, 1), ==, 0);
        g_assert_true(good(f.b, 1, CDB(0x16)));
        w2 = write_block(f.b, 5, '2');
        settle(&f);
        g_assert_cmpint(w2->task.state, ==, TASK_GATED);
        fake_store_release(f.store);
        command_wait(w2);
        g_assert_cmpint(byte_at(&f, 5), ==, '2');
        command_free(w1);
        command_free(w2);
        teardown(&f);
}

static void test_tmf_answers(void)
{
        Fixture f;

        setup(&f);
        g_assert_cmpint(run_tmf(f.a, TMF_ABORT_TASK, 9, 1), ==, TMF_NO_LUN);
        g_assert_cmpint(run_tmf(f.a, TMF_LOGICAL_UNIT_RESET, 9, 1), ==, TMF_NO_LUN);
        g_assert_cmpint(run_tmf(f.a, TMF_LOGICAL_UNIT_RESET, 0, 1), ==, TMF_COMPLETE);
        g_assert_cmpint(run_tmf(f.a, TMF_CLEAR_ACA, 1, 1), ==, TMF_NOT_SUPPORTED);
        g_assert_cmpint(run_tmf(f.a, (TmfFunction)99, 1, 1), ==, TMF_NOT_SUPPORTED);
        g_assert_cmpint(run_tmf(f.a, TMF_QUERY_TASK, 1, 12345), ==, TMF_COMPLETE);
        g_assert_cmpint(run_tmf(f.a, TMF_TARGET_COLD_RESET, 0, 0), ==, TMF_COMPLETE);
        teardown(&f);
}

/* TAS: the others are told by status instead of by a unit attention. */
static void test_tas(void)
{
        uint8_t list[16];
        Fixture f;
        Command *c, *w1, *w2;

        setup(&f);
        c = run_in(f.a, 1, CDB(0x1a, 8, 0x0a, 0, 255, 0), 255);
        memset(list, 0, 4);
        memcpy(list + 4, c->in + 4, 12);
        command_free(c);
        list[4 + 5] |= 0x40;
        c = run_out(f.a, 1, CDB(0x15, 0x10, 0, 0, 16, 0), list, 16);
        g_assert_cmpint(c->task.status, ==, SCSI_GOOD);
        command_free(c);
        clear_attention(f.b, 1);
        fake_store_hold(f.store);
        w1 = write_block(f.a, 5, '1');
        w2 = write_block(f.b, 6, '2');
        settle(&f);
        run_tmf(f.a, TMF_CLEAR_TASK_SET, 1, 0);
        g_assert_cmpint(w1->outcome, ==, ABORTED);
        g_assert_cmpint(w2->outcome, ==, ABORTED_WITH_STATUS);
        g_assert_cmpint(w2->task.status, ==, SCSI_TASK_ABORTED);
        g_assert_cmphex(clear_attention(f.b, 1), ==, 0);
        fake_store_release(f.store);
        settle(&f);
        command_free(w1);
        command_free(w2);
        teardown(&f);
}

/* A nexus that goes: closed() waits for nothing but messages, and then everybody knows. */
static void test_nexus_close(void)
{
        Fixture f;
        Command *w1, *w2;
        uint64_t before;

        setup(&f);
        g_assert_true(good(f.a, 1, CDB(0x16)));
        fake_store_hold(f.store);
        w1 = write_block(f.a, 5, '1');
        settle(&f);
        before = sim_now(f.w.sim);
        nexus_free(f.a);
        g_assert_cmpuint(sim_now(f.w.sim) - before, <, NSEC_PER_MSEC);
        g_assert_cmpint(w1->outcome, ==, ABORTED);
        f.a = nexus_new(&f.w, 0, f.map);
        clear_attention(f.a, 1);
        w2 = write_block(f.a, 5, '2');
        settle(&f);
        g_assert_cmpint(w2->task.state, ==, TASK_GATED);
        fake_store_release(f.store);
        command_wait(w2);
        g_assert_cmpint(w2->task.status, ==, SCSI_GOOD);
        g_assert_cmpint(byte_at(&f, 5), ==, '2');
        command_free(w1);
        command_free(w2);
        teardown(&f);
}

/* Removed and made anew over the same thing, even by another Store: the ghost is still there. */
static void test_retire(bool another)
{
        Fixture f;
        Command *w1, *w2;
        Store *store;
        LunMap *empty, *map;
        LogicalUnit *lu;

        setup(&f);
        fake_store_identity(f.store, 42);
        /* learnt by the unit anew */
        unit_change(&f.w, f.lu, LU_CHANGE_STORE, NULL, false, true);
        unit_change(&f.w, f.lu, LU_CHANGE_STORE, f.store, false, true);
        clear_attention(f.a, 1);
        clear_attention(f.b, 1);
        fake_store_hold(f.store);
        w1 = write_block(f.a, 5, '1');
        settle(&f);
        g_assert_cmpint(w1->task.state, ==, TASK_RUNNING);
        unit_change(&f.w, f.lu, LU_CHANGE_RETIRE, NULL, false, true);
        g_assert_cmphex(sense_of(w1), ==, 0x052500);
        g_assert_cmpint(lun_map_new(NULL, 0, &empty), ==, 0);
        nexus_remap(f.a, empty);
        nexus_remap(f.b, empty);
        g_assert_cmphex(clear_attention(f.a, 0), ==, 0x3f0e);
        if (another) {
                store = fake_store_new(f.w.sim, SIZE, caps);
                fake_store_identity(store, 42);
        } else
                store = store_ref(f.store);
        lu = unit_new(&f.w, store, &default_config);
        map = map_of(lu, 2);
        nexus_remap(f.b, map);
        clear_attention(f.b, 2);
        w2 = command_new(f.b, 2, CDB(0x2a, 0, 0, 0, 0, 5, 0, 0, 1, 0));
        command_out(w2, fake_store_data(f.store), BS);
        command_start(w2);
        settle(&f);
        g_assert_cmpint(w2->task.state, ==, TASK_GATED);
        fake_store_release(f.store);
        command_wait(w2);
        g_assert_cmpint(w2->task.status, ==, SCSI_GOOD);
        command_free(w1);
        command_free(w2);
        nexus_remap(f.b, empty);
        lun_map_unref(map);
        lun_map_unref(empty);
        lu_unref(lu);
        store_unref(store);
        teardown(&f);
}

static void test_retire_same(void)
{
        test_retire(false);
}

static void test_retire_another(void)
{
        test_retire(true);
}

/* Another store under a unit: what was with the old one ends with an error, and is not written
 * to the new one. */
static void test_exchange(void)
{
        Fixture f;
        Command *w1, *w2;
        Store *old, *new;

        setup(&f);
        fake_store_hold(f.store);
        w1 = write_block(f.a, 5, '1');
        settle(&f);
        old = f.store;
        new = fake_store_new(f.w.sim, SIZE * 2, caps);
        unit_change(&f.w, f.lu, LU_CHANGE_STORE, new, false, true);
        g_assert_cmphex(sense_of(w1), ==, 0x0b0000);
        g_assert_cmphex(clear_attention(f.a, 1), ==, 0x2a09);
        clear_attention(f.b, 1);
        /* the ghost is the old one's: the new one is free */
        w2 = write_block(f.b, 5, '2');
        command_wait(w2);
        g_assert_cmpint(w2->task.status, ==, SCSI_GOOD);
        g_assert_cmpint(fake_store_data(new)[5 * BS], ==, '2');
        fake_store_release(old);
        settle(&f);
        g_assert_cmpint(fake_store_data(new)[5 * BS], ==, '2');
        g_assert_cmpint(fake_store_data(old)[5 * BS], ==, '1');
        command_free(w1);
        command_free(w2);
        store_unref(new);
        teardown(&f);
}

/* A write that overlaps one that hangs, completes, and is then overtaken by the abort of the
 * other: it is not lost. */
static void test_overtaken(void)
{
        Fixture f;
        Command *w1, *w2;
        TestTmf *t;

        setup(&f);
        fake_store_hold(f.store);
        w1 = write_block(f.a, 5, '1');
        settle(&f);
        w2 = write_block(f.b, 5, '2');
        settle(&f);
        g_assert_cmpuint(fake_store_held(f.store), ==, 2);
        t = tmf_start(f.a, TMF_ABORT_TASK, 1, w1->task.tag);
        settle(&f);
        g_assert_true(t->done);
        fake_store_release_one(f.store, 1);
        settle(&f);
        g_assert_cmpint(byte_at(&f, 5), ==, '2');
        g_assert_cmpint(w2->outcome, ==, PENDING);
        fake_store_release(f.store);
        command_wait(w2);
        g_assert_cmpint(w2->task.status, ==, SCSI_GOOD);
        g_assert_cmpint(byte_at(&f, 5), ==, '2');
        command_free(w1);
        command_free(w2);
        g_free(t);
        teardown(&f);
}

static bool flush_is_over(void *userdata)
{
        return fake_store_stats(userdata).completed > 0;
}

/* Given up while it waits for the coordinator, its request being over: no ghost of that. */
static void test_abort_between(void)
{
        LuConfig config = default_config;
        Fixture f;
        Command *c;
        LuStats s;

        config.removable = true;
        setup_config(&f, &config);
        fake_store_hold(f.store);
        c = command_new(f.a, 1, CDB(0x1b, 0, 0, 0, 2, 0)); /* flush, then eject */
        command_start(c);
        settle(&f);
        g_assert_cmpuint(fake_store_held(f.store), ==, 1);
        fake_store_release_one(f.store, 0);
        g_assert_true(wait_for(&f.w, flush_is_over, f.store));
        g_assert_cmpint(c->outcome, ==, PENDING);
        g_assert_nonnull(c->task.coord_op);
        nexus_free(f.a);
        f.a = NULL;
        g_assert_cmpint(c->outcome, ==, ABORTED);
        lu_stats(f.lu, &s);
        g_assert_cmpuint(s.ghosts, ==, 0);
        command_free(c);
        teardown(&f);
}

/* IMMED: the failure of a flush that was answered is told to the administrator. */
static void test_flush_fails(void)
{
        Fixture f;

        setup(&f);
        fake_store_fail(f.store, 1 << STORE_FLUSH, -EIO);
        g_assert_true(good(f.a, 1, CDB(0x35, 2)));
        settle(&f);
        g_assert_cmpuint(f.w.events[SCSI_EVENT_IO_ERROR], ==, 1);
        teardown(&f);
}

/* ---- memory ---------------------------------------------------------------------------------- */

#define N_GREEDY 48
#define PIECE 64 /* blocks, 32 KiB */

static Command *read_piece(TestNexus *n)
{
        Command *c = command_new(n, 1, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, PIECE, 0));

        command_in(c, (size_t)PIECE * BS);
        command_start(c);
        return c;
}

/* Reads as many pieces as it gets memory for; returns how many. */
static unsigned take_all(Fixture *f, Command *commands[N_GREEDY])
{
        unsigned n = 0;

        for (unsigned i = 0; i < N_GREEDY; i++)
                commands[i] = read_piece(f->a);
        settle(f);
        for (unsigned i = 0; i < N_GREEDY; i++)
                if (commands[i]->outcome == PENDING)
                        n++;
                else
                        g_assert_cmpint(commands[i]->task.status, ==, SCSI_TASK_SET_FULL);
        return n;
}

static void free_all(Command *commands[N_GREEDY])
{
        for (unsigned i = 0; i < N_GREEDY; i++)
                command_free(commands[i]);
}

/* Nexus a takes what it can get: b, which has nothing, gets its own all the same. */
static void test_memory_share(void)
{
        Command *greedy[N_GREEDY], *c;
        Fixture f;

        setup(&f);
        f.w.budget.left = 2 * MIB; /* 64 pieces, the last of the budget: a sixteenth for each */
        fake_store_hold(f.store);
        g_assert_cmpuint(take_all(&f, greedy), ==, 3);
        c = read_piece(f.b);
        settle(&f);
        g_assert_cmpint(c->outcome, ==, PENDING);
        fake_store_release(f.store);
        command_wait(c);
        g_assert_cmpint(c->task.status, ==, SCSI_GOOD);
        command_free(c);
        settle(&f);
        free_all(greedy);
        g_assert_cmpuint(f.a->nexus.buffer_bytes, ==, 0);
        teardown(&f);
}

/* The same by way of a disk that hangs and tasks that are given up: their ghosts hold the memory.
 */
static void test_memory_of_ghosts(void)
{
        Command *greedy[N_GREEDY], *c;
        unsigned total = 0;
        Fixture f;

        setup(&f);
        f.w.budget.left = 2 * MIB;
        fake_store_hold(f.store);
        for (unsigned round = 0; round < 40; round++) {
                total += take_all(&f, greedy);
                run_tmf(f.a, TMF_ABORT_TASK_SET, 1, 0);
                free_all(greedy);
        }
        g_assert_cmpuint(total, >=, 16);
        g_assert_cmpuint(total, <=, 34); /* half of it, and what the pool keeps */
        g_assert_cmpuint(f.a->nexus.buffer_bytes, ==, 0);
        /* parameter data is had even there */
        g_assert_true(good(f.a, 1, CDB(0x12, 0, 0, 0, 96, 0)));
        fake_store_release(f.store);
        settle(&f);
        c = read_piece(f.a);
        command_wait(c);
        g_assert_cmpint(c->task.status, ==, SCSI_GOOD);
        command_free(c);
        teardown(&f);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/scsi/tasks/abort-task", test_abort_task);
        g_test_add_func("/scsi/tasks/ghost-busy", test_ghost_busy);
        g_test_add_func("/scsi/tasks/abort-read", test_abort_read);
        g_test_add_func("/scsi/tasks/abort-early", test_abort_early);
        g_test_add_func("/scsi/tasks/clear-task-set", test_clear_task_set);
        g_test_add_func("/scsi/tasks/unit-reset", test_unit_reset);
        g_test_add_func("/scsi/tasks/target-reset", test_target_reset);
        g_test_add_func("/scsi/tasks/nexus-reset", test_nexus_reset);
        g_test_add_func("/scsi/tasks/tmf-answers", test_tmf_answers);
        g_test_add_func("/scsi/tasks/tas", test_tas);
        g_test_add_func("/scsi/tasks/nexus-close", test_nexus_close);
        g_test_add_func("/scsi/tasks/retire-same", test_retire_same);
        g_test_add_func("/scsi/tasks/retire-another", test_retire_another);
        g_test_add_func("/scsi/tasks/exchange", test_exchange);
        g_test_add_func("/scsi/tasks/overtaken", test_overtaken);
        g_test_add_func("/scsi/tasks/abort-between", test_abort_between);
        g_test_add_func("/scsi/tasks/flush-fails", test_flush_fails);
        g_test_add_func("/scsi/tasks/memory-share", test_memory_share);
        g_test_add_func("/scsi/tasks/memory-of-ghosts", test_memory_of_ghosts);
        return g_test_run();
}
