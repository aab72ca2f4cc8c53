/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "one-nexus.h"

/* Data-In that is sent from the store's own memory: when, until when, and what waits for it. */

#define LENGTH (64 * KIB)

static bool was_lent(const Fixture *f, const Command *c)
{
        const uint8_t *data = fake_store_data(f->store), *p = c->task.in_iov[0].iov_base;

        return c->task.in_length > 0 && p >= data && p < data + SIZE;
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

        setup(&f, &default_config);
        fake_store_delay(f.store, 0);
        fake_store_lend(f.store);
        fill(fake_store_data(f.store), SIZE, 5);
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

/* Another initiator counts on whole blocks. */
static void test_shared(void)
{
        TestNexus *other;
        Fixture f;
        Command *c;

        setup(&f, &default_config);
        fake_store_delay(f.store, 0);
        fake_store_lend(f.store);
        other = nexus_new(&f.w, 0, f.map);
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

/* SAM-5 8.6: an ORDERED task begins when everything older is over, which what is still being sent
 * is not. */
static void test_ordered(void)
{
        uint8_t cdb[16], *data = g_malloc(LENGTH);
        Command *read, *write;
        Fixture f;

        setup(&f, &default_config);
        fake_store_delay(f.store, 0);
        fake_store_lend(f.store);
        read = start_read(f.n, 0, LENGTH);
        g_assert_true(was_lent(&f, read));
        memset(data, 0xaa, LENGTH);
        write = command_new(f.n, 1, cdb, rw_cdb(cdb, 16, true, 0, LENGTH / BS));
        command_out(write, data, LENGTH);
        write->task.attribute = TASK_ORDERED;
        command_start(write);
        sim_run(f.w.sim);
        g_assert_cmpint(write->outcome, ==, PENDING);
        g_assert_cmpuint(fake_store_data(f.store)[0], ==, 0);
        command_let_go(read);
        command_wait(write);
        expect_good(write);
        g_assert_cmpuint(fake_store_data(f.store)[0], ==, 0xaa);
        command_free(read);
        g_free(data);
        teardown(&f);
}

/* A peer that does not read keeps what it was lent longer than its nexus. */
static void test_nexus_gone(void)
{
        Fixture f;
        Command *c;

        setup(&f, &default_config);
        fake_store_delay(f.store, 0);
        fake_store_lend(f.store);
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
        g_test_add_func("/scsi/loans/shared", test_shared);
        g_test_add_func("/scsi/loans/ordered", test_ordered);
        g_test_add_func("/scsi/loans/nexus-gone", test_nexus_gone);
        return g_test_run();
}
