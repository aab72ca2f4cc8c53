/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "two-nexuses.h"

/* Ordered tasks, reservations, unit attentions, maps that change. */

/* ---- order ------------------------------------------------------------------------------------
 */

static void test_ordered(void)
{
        Fixture f;
        Command *w1, *w2, *o, *w3, *w4, *h;

        setup(&f);
        fake_store_hold(f.store);
        w1 = write_block(f.a, 1, '1');
        w2 = write_block(f.b, 2, '2');
        settle(&f);
        o = write_start(f.a, 3, 1, 'o', TASK_ORDERED);
        settle(&f);
        w3 = write_block(f.a, 4, '3');
        w4 = write_block(f.b, 5, '4');
        h = write_start(f.b, 6, 1, 'h', TASK_HEAD_OF_QUEUE);
        settle(&f);
        /* older ones and the head of queue are below; the others wait on both workers */
        g_assert_cmpuint(fake_store_held(f.store), ==, 3);
        g_assert_cmpint(o->task.state, ==, TASK_GATED);
        g_assert_cmpint(w3->task.state, ==, TASK_GATED);
        g_assert_cmpint(w4->task.state, ==, TASK_GATED);
        fake_store_release_one(f.store, 0);
        settle(&f);
        g_assert_cmpint(o->task.state, ==, TASK_GATED);
        fake_store_release_one(f.store, 0);
        settle(&f);
        g_assert_cmpint(o->task.state, ==, TASK_RUNNING);
        g_assert_cmpint(w3->task.state, ==, TASK_GATED);
        g_assert_cmpint(w4->task.state, ==, TASK_GATED);
        fake_store_release_one(f.store, 1);
        settle(&f);
        g_assert_cmpint(o->outcome, ==, COMPLETED);
        g_assert_cmpint(w3->task.state, ==, TASK_RUNNING);
        g_assert_cmpint(w4->task.state, ==, TASK_RUNNING);
        fake_store_release(f.store);
        command_wait(w3);
        command_wait(w4);
        command_wait(h);
        command_free(w1);
        command_free(w2);
        command_free(w3);
        command_free(w4);
        command_free(o);
        command_free(h);
        teardown(&f);
}

/* Many barriers from both workers, some given up: none is stuck. */
static void test_ordered_many(void)
{
        Fixture f;
        Command *c[40];

        setup(&f);
        for (unsigned i = 0; i < ELEMENTSOF(c); i++)
                c[i] = write_start(i % 2 ? f.b : f.a, (uint8_t)i, 1, 'x',
                                   i % 3 == 0 ? TASK_ORDERED : TASK_SIMPLE);
        for (unsigned i = 0; i < ELEMENTSOF(c); i++) {
                command_wait(c[i]);
                g_assert_cmpint(c[i]->task.status, ==, SCSI_GOOD);
                command_free(c[i]);
        }
        teardown(&f);
}

/* The ordered task is aborted while what is older hangs: the others need not wait for that. */
static void test_ordered_aborted(void)
{
        Fixture f;
        Command *w1, *o, *o2, *w2, *w3;

        setup(&f);
        fake_store_hold(f.store);
        w1 = write_block(f.a, 1, '1');
        settle(&f);
        o = write_start(f.a, 2, 1, 'o', TASK_ORDERED);
        settle(&f);
        o2 = write_start(f.b, 3, 1, 'o', TASK_ORDERED);
        settle(&f);
        w2 = write_block(f.a, 4, '2');
        w3 = write_block(f.b, 5, '3');
        settle(&f);
        g_assert_cmpint(w3->task.state, ==, TASK_GATED);
        g_assert_cmpint(run_tmf(f.a, TMF_ABORT_TASK, 1, o->task.tag), ==, TMF_COMPLETE);
        settle(&f);
        g_assert_cmpint(run_tmf(f.b, TMF_ABORT_TASK, 1, o2->task.tag), ==, TMF_COMPLETE);
        settle(&f);
        g_assert_cmpint(w2->task.state, ==, TASK_RUNNING);
        g_assert_cmpint(w3->task.state, ==, TASK_RUNNING);
        fake_store_release(f.store);
        command_wait(w1);
        command_wait(w2);
        command_wait(w3);
        command_free(w1);
        command_free(w2);
        command_free(w3);
        command_free(o);
        command_free(o2);
        teardown(&f);
}

/* A reset gets through a barrier that waits for a hung store. */
static void test_ordered_reset(void)
{
        Fixture f;
        Command *w1, *o, *w2;

        setup(&f);
        fake_store_hold(f.store);
        w1 = write_block(f.a, 1, '1');
        settle(&f);
        o = write_start(f.b, 2, 1, 'o', TASK_ORDERED);
        settle(&f);
        w2 = write_block(f.a, 4, '2');
        settle(&f);
        g_assert_cmpint(run_tmf(f.a, TMF_LOGICAL_UNIT_RESET, 1, 0), ==, TMF_COMPLETE);
        g_assert_cmpint(w1->outcome, ==, ABORTED);
        g_assert_cmpint(w2->outcome, ==, ABORTED);
        g_assert_cmpint(o->outcome, ==, ABORTED);
        fake_store_release(f.store);
        settle(&f);
        clear_attention(f.a, 1);
        command_free(w2);
        w2 = write_block(f.a, 1, '2');
        command_wait(w2);
        g_assert_cmpint(w2->task.status, ==, SCSI_GOOD);
        command_free(w1);
        command_free(w2);
        command_free(o);
        teardown(&f);
}

static void test_task_set_full(void)
{
        Fixture f;
        Command *c[65];
        unsigned full = 0;

        setup(&f);
        fake_store_hold(f.store);
        for (unsigned i = 0; i < ELEMENTSOF(c); i++)
                c[i] = read_start(f.a, (uint8_t)i);
        settle(&f);
        fake_store_release(f.store);
        for (unsigned i = 0; i < ELEMENTSOF(c); i++) {
                command_wait(c[i]);
                full += c[i]->task.status == SCSI_TASK_SET_FULL;
                command_free(c[i]);
        }
        g_assert_cmpuint(full, ==, 1);
        teardown(&f);
}

/* ---- reservations and unit attentions ---------------------------------------------------------
 */

static ScsiStatus status_of(TestNexus *n, const uint8_t *cdb, size_t length)
{
        Command *c = run_in(n, 1, cdb, length, 255);
        ScsiStatus status = c->task.status;

        command_free(c);
        return status;
}

static void test_reserve(void)
{
        const OpSet *set = op_set_disk();
        Fixture f;

        setup(&f);
        g_assert_true(good(f.a, 1, CDB(0x16)));
        g_assert_true(good(f.a, 1, CDB(0x16)));
        /* every row conflicts unless it says that it does not */
        for (unsigned i = 0; i < set->n; i++) {
                const ScsiOp *op = set->rows[i];
                uint8_t cdb[16] = { op->opcode };
                ScsiStatus status;

                if (op->flags & OP_SERVICE_ACTION)
                        cdb[1] = op->service_action;
                if (op->flags & OP_NOT_ZERO)
                        cdb[op->length.at + op->length.size - 1] = 1;
                status = status_of(f.b, cdb, op->cdb_length);
                g_assert_cmpint(status == SCSI_RESERVATION_CONFLICT, ==,
                                !(op->flags & OP_PASS_RESERVATION));
        }
        g_assert_cmpint(status_of(f.a, CDB(0)), ==, SCSI_GOOD);
        /* RELEASE of another is nothing */
        g_assert_true(good(f.b, 1, CDB(0x17)));
        g_assert_cmpint(status_of(f.b, CDB(0)), ==, SCSI_RESERVATION_CONFLICT);
        g_assert_true(good(f.a, 1, CDB(0x17)));
        g_assert_cmpint(status_of(f.b, CDB(0x16)), ==, SCSI_GOOD);
        g_assert_cmpint(status_of(f.a, CDB(0)), ==, SCSI_RESERVATION_CONFLICT);
        /* resets and the end of the nexus end it */
        g_assert_cmpint(run_tmf(f.a, TMF_LOGICAL_UNIT_RESET, 1, 0), ==, TMF_COMPLETE);
        clear_attention(f.a, 1);
        clear_attention(f.b, 1);
        g_assert_true(good(f.a, 1, CDB(0)));
        g_assert_true(good(f.b, 1, CDB(0x16)));
        nexus_free(f.b);
        f.b = NULL;
        g_assert_true(good(f.a, 1, CDB(0)));
        teardown(&f);
}

static void test_attentions(void)
{
        uint16_t ua[16];
        Fixture f;
        TestNexus *n;
        Command *c;

        setup(&f);
        n = nexus_new(&f.w, 0, f.map);
        /* three commands do not report it; one of those does, as data, and then it is gone */
        c = run_in(n, 1, CDB(0x12, 0, 0, 0, 255, 0), 255);
        g_assert_cmpint(c->task.status, ==, SCSI_GOOD);
        command_free(c);
        c = run_in(n, 1, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64), 64);
        g_assert_cmpint(c->task.status, ==, SCSI_GOOD);
        command_free(c);
        c = run_in(n, 1, CDB(0x03, 1, 0, 0, 255, 0), 255);
        g_assert_cmphex(c->in[0], ==, 0x72);
        g_assert_cmphex(c->in[1], ==, 6);
        g_assert_cmphex(c->in[2], ==, 0x29);
        command_free(c);
        g_assert_true(good(n, 1, CDB(0)));
        c = run_in(n, 1, CDB(0x03, 0, 0, 0, 255, 0), 255);
        g_assert_cmphex(c->in[2], ==, 0);
        command_free(c);
        /* their order */
        unit_change(&f.w, f.lu, LU_CHANGE_STATE, NULL, true, true);
        fake_store_set_size(f.store, SIZE * 2);
        unit_change(&f.w, f.lu, LU_CHANGE_SIZE, NULL, true, true);
        run_tmf(f.b, TMF_LOGICAL_UNIT_RESET, 1, 0);
        g_assert_cmpuint(attentions(n, 1, ua, 16), ==, 3);
        g_assert_cmphex(ua[0], ==, 0x2903);
        g_assert_cmphex(ua[1], ==, 0x2a09);
        g_assert_cmphex(ua[2], ==, 0x2a01);
        nexus_free(n);
        teardown(&f);
}

static void test_remap(void)
{
        LunMapEntry entries[2];
        Fixture f;
        LunMap *two;
        Store *store;
        LogicalUnit *lu;
        Command *w, *c;

        setup(&f);
        store = fake_store_new(f.w.sim, SIZE, caps);
        lu = unit_new(&f.w, store, &default_config);
        entries[0] = (LunMapEntry){ 1, f.lu };
        entries[1] = (LunMapEntry){ 5, lu };
        g_assert_cmpint(lun_map_new(entries, 2, &two), ==, 0);
        fake_store_hold(f.store);
        fake_store_hold(store);
        w = write_block(f.a, 1, '1');
        settle(&f);
        nexus_remap(f.a, two);
        /* what runs is not disturbed; REPORT LUNS ends the condition everywhere */
        g_assert_cmpint(w->outcome, ==, PENDING);
        c = run_in(f.a, 0, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64), 64);
        g_assert_cmpuint(c->in[3], ==, 24);
        command_free(c);
        g_assert_cmphex(clear_attention(f.a, 1), ==, 0);
        g_assert_cmphex(clear_attention(f.a, 5), ==, 0x2900);
        c = command_new(f.a, 5, CDB(0x2a, 0, 0, 0, 0, 1, 0, 0, 1, 0));
        command_out(c, fake_store_data(store), BS);
        command_start(c);
        settle(&f);
        g_assert_cmpint(c->task.state, ==, TASK_RUNNING);
        nexus_remap(f.a, f.map);
        command_wait(c);
        g_assert_cmphex(sense_of(c), ==, 0x052500);
        command_free(c);
        g_assert_cmphex(clear_attention(f.a, 1), ==, 0x3f0e);
        fake_store_release(f.store);
        fake_store_release(store);
        command_wait(w);
        g_assert_cmpint(w->task.status, ==, SCSI_GOOD);
        command_free(w);
        lun_map_unref(two);
        lu_unref(lu);
        store_unref(store);
        teardown(&f);
}

/* A drive under its number, with another medium: told as that, and only to who has it. */
static void test_remap_drive(void)
{
        LuConfig config = default_config;
        LogicalUnit *units[3];
        LunMap *maps[3];
        uint16_t found[4];
        Fixture f;

        setup(&f);
        config.removable = true;
        for (uint8_t i = 0; i < 3; i++) {
                config.identity.uuid[0] = i < 2 ? 1 : 2; /* the third is another drive */
                units[i] = unit_new(&f.w, i == 0 ? NULL : f.store, &config);
                g_assert_cmpint(
                        lun_map_new((LunMapEntry[]){ { 1, f.lu }, { 5, units[i] } }, 2, &maps[i]),
                        ==, 0);
        }
        nexus_remap(f.a, maps[0]);
        clear_attention(f.a, 1);
        clear_attention(f.a, 5);
        nexus_remap(f.a, maps[1]);
        g_assert_cmpuint(attentions(f.a, 5, found, 4), ==, 2);
        g_assert_cmphex(found[0], ==, 0x2900);
        g_assert_cmphex(found[1], ==, 0x2800);
        g_assert_cmphex(clear_attention(f.a, 1), ==, 0);
        nexus_remap(f.a, maps[2]);
        g_assert_cmphex(clear_attention(f.a, 1), ==, 0x3f0e);
        g_assert_cmpuint(attentions(f.a, 5, found, 4), ==, 2);
        g_assert_cmphex(found[0], ==, 0x2900);
        g_assert_cmphex(found[1], ==, 0x3f0e);
        nexus_remap(f.a, f.map);
        for (int i = 0; i < 3; i++) {
                lun_map_unref(maps[i]);
                lu_unref(units[i]);
        }
        teardown(&f);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/scsi/order/ordered", test_ordered);
        g_test_add_func("/scsi/order/ordered-many", test_ordered_many);
        g_test_add_func("/scsi/order/ordered-aborted", test_ordered_aborted);
        g_test_add_func("/scsi/order/ordered-reset", test_ordered_reset);
        g_test_add_func("/scsi/order/task-set-full", test_task_set_full);
        g_test_add_func("/scsi/order/reserve", test_reserve);
        g_test_add_func("/scsi/order/attentions", test_attentions);
        g_test_add_func("/scsi/order/remap", test_remap);
        g_test_add_func("/scsi/order/remap-drive", test_remap_drive);
        return g_test_run();
}
