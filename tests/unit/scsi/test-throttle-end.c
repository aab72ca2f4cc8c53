/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "throttle-limits.h"

/* Limits of rate are no obstacle to what ends a command, or comes before it. */

static bool is_throttled(const Command *c)
{
        return c->outcome == PENDING && c->task.state == TASK_THROTTLED;
}

/* Two that wait at the limit of the unit, or of the nexus; the first of c has gone. */
static void make_wait(Fixture *f, Command *c[3], bool by_nexus)
{
        setup(f);
        if (by_nexus) {
                Throttle *t = throttle(f, THROTTLE_BYTES, BS / 100, 0);

                nexus_limit(f->a, t, NULL);
                throttle_unref(t);
        } else
                limit(f, THROTTLE_BYTES, BS / 100);
        c[0] = read_start(f->a, 1);
        command_wait(c[0]);
        c[1] = read_start(f->a, 2);
        c[2] = write_block(f->a, 3, 'w');
        settle(f);
        g_assert_true(is_throttled(c[1]));
        g_assert_true(is_throttled(c[2]));
        g_assert_false(c[2]->asked); /* no data is asked for before its time */
}

static void end_wait(Fixture *f, Command *c[3])
{
        for (unsigned i = 0; i < 3; i++)
                command_free(c[i]);
        teardown(f);
}

static void test_abort(void)
{
        for (int by_nexus = 0; by_nexus < 2; by_nexus++) {
                Command *c[3];
                Fixture f;

                make_wait(&f, c, by_nexus);
                /* what does not touch the medium is answered meanwhile */
                g_assert_true(good(f.a, 1, CDB(0)));
                g_assert_cmpint(run_tmf(f.a, TMF_QUERY_TASK, 1, c[1]->task.tag), ==, TMF_SUCCEEDED);
                g_assert_cmpint(run_tmf(f.a, TMF_ABORT_TASK, 1, c[1]->task.tag), ==, TMF_COMPLETE);
                g_assert_cmpint(c[1]->outcome, ==, ABORTED);
                g_assert_true(is_throttled(c[2]));
                g_assert_cmpint(run_tmf(f.a, TMF_ABORT_TASK_SET, 1, 0), ==, TMF_COMPLETE);
                g_assert_cmpint(c[2]->outcome, ==, ABORTED);
                end_wait(&f, c);
        }
}

static void test_reset(void)
{
        for (int by_nexus = 0; by_nexus < 2; by_nexus++) {
                Command *c[3];
                Fixture f;

                make_wait(&f, c, by_nexus);
                g_assert_cmpint(run_tmf(f.b, TMF_LOGICAL_UNIT_RESET, 1, 0), ==, TMF_COMPLETE);
                g_assert_cmpint(c[1]->outcome, ==, ABORTED);
                g_assert_cmpint(c[2]->outcome, ==, ABORTED);
                /* the limit is still there */
                clear_attention(f.a, 1);
                command_free(c[1]);
                c[1] = read_start(f.a, 1);
                settle(&f);
                g_assert_true(is_throttled(c[1]));
                nexus_free(f.a);
                f.a = NULL;
                g_assert_cmpint(c[1]->outcome, ==, ABORTED);
                end_wait(&f, c);
        }
}

static void test_remove(void)
{
        for (int by_nexus = 0; by_nexus < 2; by_nexus++) {
                Command *c[3];
                LunMap *none;
                Fixture f;

                make_wait(&f, c, by_nexus);
                g_assert_cmpint(lun_map_new(NULL, 0, &none), ==, 0);
                if (by_nexus)
                        nexus_remap(f.a, none);
                else
                        unit_change(&f.w, f.lu, LU_CHANGE_RETIRE, NULL, false, true);
                settle(&f);
                g_assert_cmphex(sense_of(c[1]), ==, 0x052500);
                g_assert_cmphex(sense_of(c[2]), ==, 0x052500);
                lun_map_unref(none);
                end_wait(&f, c);
        }
}

static void test_close(void)
{
        for (int by_nexus = 0; by_nexus < 2; by_nexus++) {
                Command *c[3];
                Fixture f;

                make_wait(&f, c, by_nexus);
                nexus_free(f.a);
                f.a = NULL;
                g_assert_cmpint(c[1]->outcome, ==, ABORTED);
                g_assert_cmpint(c[2]->outcome, ==, ABORTED);
                end_wait(&f, c);
        }
}

/* LUNs come and go beside one that waits: it is not disturbed. */
static void test_remap(void)
{
        for (int by_nexus = 0; by_nexus < 2; by_nexus++) {
                LunMapEntry entries[2];
                Command *c[3];
                LunMap *two;
                Fixture f;

                make_wait(&f, c, by_nexus);
                entries[0] = (LunMapEntry){ 1, f.lu };
                entries[1] = (LunMapEntry){ 2, f.lu };
                g_assert_cmpint(lun_map_new(entries, 2, &two), ==, 0);
                nexus_remap(f.a, two);
                settle(&f);
                g_assert_true(is_throttled(c[1]));
                clear_attention(f.a, 1);
                if (by_nexus)
                        nexus_limit(f.a, NULL, NULL);
                else
                        set_limits(&f, NULL);
                command_wait(c[1]);
                command_wait(c[2]);
                g_assert_cmpint(c[1]->task.status, ==, SCSI_GOOD);
                g_assert_cmpint(c[2]->task.status, ==, SCSI_GOOD);
                lun_map_unref(two);
                end_wait(&f, c);
        }
}

/* The device goes away while a command waits: it is not ready then, and not served from memory. */
static void test_store_gone(void)
{
        Command *c[3];
        Fixture f;

        make_wait(&f, c, false);
        unit_change(&f.w, f.lu, LU_CHANGE_STORE, NULL, false, true);
        set_limits(&f, NULL);
        settle(&f);
        g_assert_cmphex(sense_of(c[1]), ==, 0x020400);
        g_assert_cmphex(sense_of(c[2]), ==, 0x020400);
        end_wait(&f, c);
}

/* ---- order ----------------------------------------------------------------------------------- */

static Command *done_first;

static void note_first(Command *c)
{
        if (!done_first)
                done_first = c;
}

static void test_order(void)
{
        Command *w1, *o, *w2, *h;
        Fixture f;

        setup(&f);
        limit(&f, THROTTLE_WRITE_IOPS, 10);
        w1 = write_block(f.a, 1, '1');
        command_wait(w1);
        command_free(w1);
        w1 = write_block(f.a, 1, '1');
        settle(&f);
        o = write_start(f.b, 1, 1, 'o', TASK_ORDERED);
        settle(&f);
        w2 = write_block(f.b, 1, '2');
        settle(&f);
        g_assert_true(is_throttled(w1));
        g_assert_cmpint(o->task.state, ==, TASK_GATED);
        g_assert_cmpint(w2->task.state, ==, TASK_GATED);
        command_wait(o);
        g_assert_cmpint(w1->outcome, ==, COMPLETED);
        g_assert_cmpint(w2->outcome, ==, PENDING);
        g_assert_cmpint(byte_at(&f, 1), ==, 'o');
        command_wait(w2);
        g_assert_cmpint(byte_at(&f, 1), ==, '2');
        command_free(w1);
        command_free(w2);
        command_free(o);
        /* head of queue: before what its nexus asked for earlier */
        w1 = write_block(f.a, 1, '1');
        w2 = write_block(f.a, 1, '2');
        settle(&f);
        h = write_start(f.a, 1, 1, 'h', TASK_HEAD_OF_QUEUE);
        settle(&f);
        g_assert_true(is_throttled(w2));
        g_assert_true(is_throttled(h));
        done_first = NULL;
        w2->over_now = h->over_now = note_first;
        command_wait(w2);
        command_wait(h);
        g_assert_true(done_first == h);
        command_wait(w1);
        command_free(w1);
        command_free(w2);
        command_free(h);
        teardown(&f);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/scsi/throttle/abort", test_abort);
        g_test_add_func("/scsi/throttle/reset", test_reset);
        g_test_add_func("/scsi/throttle/remove", test_remove);
        g_test_add_func("/scsi/throttle/close", test_close);
        g_test_add_func("/scsi/throttle/remap", test_remap);
        g_test_add_func("/scsi/throttle/store-gone", test_store_gone);
        g_test_add_func("/scsi/throttle/order", test_order);
        return g_test_run();
}
