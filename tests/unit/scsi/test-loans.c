/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "one-nexus.h"

/* Data-In that is sent from the store's own memory: when, until when, and what waits for it. */

#define LENGTH (64 * KIB)

static bool was_lent(const Fixture *f, const Command *c)
{
        const uint8_t *data = fake_store_data(f->store);

        return c->lent >= data && c->lent < data + SIZE;
}

static void begin(Fixture *f, unsigned workers)
{
        world_init(&f->w, 7, workers);
        f->store = fake_store_new(f->w.sim, SIZE, thin_caps);
        f->lu = unit_new(&f->w, f->store, &default_config);
        f->map = map_of(f->lu, 1);
        f->n = nexus_new(&f->w, 0, f->map);
        clear_attention(f->n, 1);
        fake_store_delay(f->store, 0);
        fake_store_lend(f->store);
        fill(fake_store_data(f->store), SIZE, 5);
}

/* A READ of which the transport keeps the result. */
static Command *start_read(TestNexus *n, uint64_t lba, uint32_t length)
{
        uint8_t cdb[16];
        Command *c = command_new(n, 1, cdb, rw_cdb(cdb, 16, false, lba, length / BS));

        command_in(c, length);
        c->task.takes_memory = c->keeps = true;
        command_start(c);
        sim_run(n->world->sim);
        g_assert_cmpint(c->outcome, ==, COMPLETED);
        g_assert_cmpint(c->task.status, ==, SCSI_GOOD);
        return c;
}

static void end_read(Command *c)
{
        command_let_go(c);
        command_free(c);
}

static void test_lent(void)
{
        Fixture f;
        Command *c;

        begin(&f, 1);
        c = start_read(f.n, 100, LENGTH);
        g_assert_true(was_lent(&f, c));
        g_assert_true(c->task.in_iov[0].iov_base == fake_store_data(f.store) + 100 * BS);
        g_assert_cmpuint(c->in_length, ==, LENGTH);
        g_assert_cmpmem(c->in, LENGTH, fake_store_data(f.store) + 100 * BS, LENGTH);
        g_assert_cmpuint(store_busy(f.store), ==, 1);
        end_read(c);
        g_assert_cmpuint(store_busy(f.store), ==, 0);
        teardown(&f);
}

static void test_not_lent(void)
{
        Fixture f;
        Command *c;
        uint8_t cdb[16];

        setup(&f, &default_config);
        fake_store_delay(f.store, 0);
        /* the store does not */
        c = start_read(f.n, 0, LENGTH);
        g_assert_false(was_lent(&f, c));
        end_read(c);
        fake_store_lend(f.store);
        /* too little to pay */
        c = start_read(f.n, 0, BS);
        g_assert_false(was_lent(&f, c));
        end_read(c);
        /* the transport looks at what it sends */
        c = command_new(f.n, 1, cdb, rw_cdb(cdb, 16, false, 0, LENGTH / BS));
        command_in(c, LENGTH);
        command_start(c);
        command_wait(c);
        g_assert_false(was_lent(&f, c));
        command_free(c);
        teardown(&f);
}

/* ---- what recalls a loan ------------------------------------------------------------------- */

static Command *start_write(TestNexus *n, TaskAttribute attribute)
{
        static uint8_t data[LENGTH];
        uint8_t cdb[16];
        Command *c = command_new(n, 1, cdb, rw_cdb(cdb, 16, true, 0, LENGTH / BS));

        memset(data, 0xaa, LENGTH);
        command_out(c, data, LENGTH);
        c->task.attribute = attribute;
        command_start(c);
        return c;
}

/* c sends what was there when it was read, and the store has its bytes back. */
static void check_recalled(const Fixture *f, const Command *c)
{
        g_autofree uint8_t *old = g_malloc(SIZE);

        fill(old, SIZE, 5);
        g_assert_true(c->lent && c->recalled);
        g_assert_cmpuint(store_busy(f->store), ==, 0);
        g_assert_cmpuint(c->task.n_in_iov, ==, 1);
        g_assert_cmpuint(c->task.in_iov[0].iov_len, ==, LENGTH);
        g_assert_cmpmem(c->task.in_iov[0].iov_base, LENGTH, old, LENGTH);
}

/* Another initiator counts on whole blocks, wherever its session is. */
static void test_shared(gconstpointer data)
{
        unsigned worker = GPOINTER_TO_UINT(data);
        TestNexus *other;
        Fixture f;
        Command *c;

        begin(&f, 2);
        other = nexus_new(&f.w, worker, f.map);
        sim_run(f.w.sim);
        c = start_read(f.n, 0, LENGTH);
        g_assert_false(was_lent(&f, c));
        end_read(c);
        nexus_free(other);
        sim_run(f.w.sim);
        c = start_read(f.n, 0, LENGTH);
        g_assert_true(was_lent(&f, c));
        end_read(c);
        teardown(&f);
}

/* It comes while something is lent, and writes at once: that is copied before. */
static void test_newcomer(gconstpointer data)
{
        unsigned worker = GPOINTER_TO_UINT(data);
        Command *read, *write;
        TestNexus *other;
        Fixture f;

        begin(&f, 3);
        read = start_read(f.n, 0, LENGTH);
        g_assert_true(was_lent(&f, read));
        other = nexus_new(&f.w, worker, f.map);
        clear_attention(other, 1);
        write = start_write(other, TASK_SIMPLE);
        command_wait(write);
        expect_good(write);
        g_assert_cmpuint(fake_store_data(f.store)[0], ==, 0xaa);
        check_recalled(&f, read);
        end_read(read);
        /* and a third one finds nothing that could be recalled */
        nexus_free(nexus_new(&f.w, 2, f.map));
        nexus_free(other);
        teardown(&f);
}

/* The one who reads is gone already when another comes. */
static void test_late_newcomer(void)
{
        TestNexus *other;
        Command *read;
        Fixture f;

        begin(&f, 2);
        read = start_read(f.n, 0, LENGTH);
        nexus_free(f.n);
        g_assert_false(read->recalled);
        other = nexus_new(&f.w, 1, f.map);
        g_assert_cmphex(clear_attention(other, 1), ==, 0x2900);
        check_recalled(&f, read);
        end_read(read);
        f.n = other;
        teardown(&f);
}

/* SAM-5 8.6: an ORDERED task begins when everything older is over. It does not wait for a peer that
 * does not read. */
static void test_ordered(void)
{
        Command *read, *write, *after;
        Fixture f;

        begin(&f, 1);
        read = start_read(f.n, 0, LENGTH);
        g_assert_true(was_lent(&f, read));
        write = start_write(f.n, TASK_ORDERED);
        command_wait(write);
        expect_good(write);
        g_assert_cmpuint(fake_store_data(f.store)[0], ==, 0xaa);
        check_recalled(&f, read);
        end_read(read);
        after = start_read(f.n, 0, LENGTH);
        g_assert_true(was_lent(&f, after));
        end_read(after);
        teardown(&f);
}

/* What is older than an ORDERED task that waits is not lent: it would be sent after it. */
static void test_before_ordered(void)
{
        Command *slow, *write, *read;
        uint8_t cdb[16];
        Fixture f;

        begin(&f, 1);
        fake_store_hold(f.store);
        slow = command_new(f.n, 1, cdb, rw_cdb(cdb, 16, false, 4000, 1));
        command_in(slow, BS);
        command_start(slow);
        write = start_write(f.n, TASK_ORDERED);
        sim_run(f.w.sim);
        g_assert_cmpint(write->outcome, ==, PENDING);
        read = command_new(f.n, 1, cdb, rw_cdb(cdb, 16, false, 0, LENGTH / BS));
        command_in(read, LENGTH);
        read->task.takes_memory = true;
        read->task.attribute = TASK_HEAD_OF_QUEUE;
        command_start(read);
        sim_run(f.w.sim);
        g_assert_cmpint(read->outcome, ==, PENDING); /* the store has it, as any read */
        g_assert_null(read->lent);
        fake_store_release(f.store);
        command_wait(write);
        expect_good(slow);
        expect_good(read);
        expect_good(write);
        teardown(&f);
}

/* After a reset, or when a nexus has given up its tasks, nothing of them is under way. */
static void test_management(void)
{
        static const TmfFunction functions[] = { TMF_LOGICAL_UNIT_RESET, TMF_TARGET_WARM_RESET,
                                                 TMF_CLEAR_TASK_SET, TMF_ABORT_TASK_SET,
                                                 TMF_I_T_NEXUS_RESET };

        for (size_t i = 0; i < G_N_ELEMENTS(functions); i++) {
                Command *read;
                Fixture f;

                begin(&f, 1);
                read = start_read(f.n, 0, LENGTH);
                g_assert_true(was_lent(&f, read));
                g_assert_cmpint(run_tmf(f.n, functions[i], 1, 0), ==, TMF_COMPLETE);
                memset(fake_store_data(f.store), 0xaa, LENGTH);
                check_recalled(&f, read);
                end_read(read);
                teardown(&f);
        }
}

/* The store goes to somebody else. */
static void test_retired(void)
{
        Command *read;
        Fixture f;

        begin(&f, 1);
        read = start_read(f.n, 0, LENGTH);
        unit_change(&f.w, f.lu, LU_CHANGE_RETIRE, NULL, false, false);
        memset(fake_store_data(f.store), 0xaa, LENGTH);
        check_recalled(&f, read);
        end_read(read);
        teardown(&f);
}

static void test_no_memory(void)
{
        Command *read;
        Fixture f;

        begin(&f, 1);
        read = start_read(f.n, 0, LENGTH);
        f.w.budget.left -= INT64_MAX / 2;
        g_assert_cmpint(run_tmf(f.n, TMF_ABORT_TASK_SET, 1, 0), ==, TMF_COMPLETE);
        f.w.budget.left += INT64_MAX / 2;
        g_assert_true(read->recalled);
        g_assert_cmpuint(read->task.n_in_iov, ==, 0);
        g_assert_cmpuint(store_busy(f.store), ==, 0);
        end_read(read);
        teardown(&f);
}

/* A peer that does not read keeps what it was lent longer than its nexus. */
static void test_nexus_gone(void)
{
        Fixture f;
        Command *c;

        begin(&f, 1);
        c = start_read(f.n, 0, LENGTH);
        nexus_free(f.n);
        g_assert_cmpuint(store_busy(f.store), ==, 1);
        end_read(c);
        g_assert_cmpuint(store_busy(f.store), ==, 0);
        f.n = nexus_new(&f.w, 0, f.map);
        teardown(&f);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/scsi/loans/lent", test_lent);
        g_test_add_func("/scsi/loans/not-lent", test_not_lent);
        for (unsigned worker = 0; worker < 2; worker++) {
                g_autofree char *shared = g_strdup_printf("/scsi/loans/shared/%u", worker);
                g_autofree char *newcomer = g_strdup_printf("/scsi/loans/newcomer/%u", worker);

                g_test_add_data_func(shared, GUINT_TO_POINTER(worker), test_shared);
                g_test_add_data_func(newcomer, GUINT_TO_POINTER(worker), test_newcomer);
        }
        g_test_add_func("/scsi/loans/late-newcomer", test_late_newcomer);
        g_test_add_func("/scsi/loans/ordered", test_ordered);
        g_test_add_func("/scsi/loans/before-ordered", test_before_ordered);
        g_test_add_func("/scsi/loans/management", test_management);
        g_test_add_func("/scsi/loans/retired", test_retired);
        g_test_add_func("/scsi/loans/no-memory", test_no_memory);
        g_test_add_func("/scsi/loans/nexus-gone", test_nexus_gone);
        return g_test_run();
}
