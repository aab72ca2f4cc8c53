/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "one-nexus.h"

/* Counters and latencies: exact, wherever a command ends. */

typedef struct Ask {
        LoopTask task;
        const ScsiNexus *nexus;
        ItlStats stats[4];
        size_t n;
        bool done;
} Ask;

static void run_ask(LoopTask *task)
{
        Ask *a = CONTAINER_OF(task, Ask, task);

        a->n = scsi_nexus_stats(a->nexus, 0, a->stats, ELEMENTSOF(a->stats));
        a->done = true;
}

static bool answered(void *userdata)
{
        return ((Ask *)userdata)->done;
}

/* Of LUN 1. */
static ItlStats ask(Fixture *f)
{
        Ask a = { .task.run = run_ask, .nexus = &f->n->nexus };

        loop_post(f->n->nexus.worker->loop, &a.task);
        g_assert_true(wait_for(&f->w, answered, &a));
        g_assert_cmpuint(a.n, ==, 1);
        g_assert_cmpuint(a.stats[0].lun, ==, 1);
        return a.stats[0];
}

static Command *start_rw(Fixture *f, bool write, uint64_t lba, uint32_t blocks)
{
        static const uint8_t data[64 * BS];
        uint8_t cdb[16];
        Command *c = command_new(f->n, 1, cdb, rw_cdb(cdb, 10, write, lba, blocks));

        if (write)
                command_out(c, data, blocks * BS);
        else
                command_in(c, blocks * BS);
        command_start(c);
        return c;
}

static void rw(Fixture *f, bool write, uint64_t lba, uint32_t blocks)
{
        Command *c = start_rw(f, write, lba, blocks);

        command_wait(c);
        command_free(c);
}

static void test_counts(void)
{
        Fixture f;
        LuStats before, s;
        ItlStats mine;
        IoLatency l;

        setup(&f, &default_config);
        lu_stats(f.lu, &before); /* of clear_attention() */
        g_assert_cmpuint(before.reads + before.writes + before.errors, ==, 0);
        rw(&f, false, 0, 3);
        rw(&f, false, 8, 5);
        rw(&f, true, 0, 2);
        rw(&f, true, SIZE / BS, 2); /* refused: no byte of it was taken */
        rw(&f, false, SIZE / BS - 1, 2);
        g_assert_true(good(f.n, 1, CDB(0x00, 0, 0, 0, 0, 0)));
        lu_stats(f.lu, &s);
        g_assert_cmpuint(s.reads, ==, 3);
        g_assert_cmpuint(s.writes, ==, 2);
        g_assert_cmpuint(s.others - before.others, ==, 1);
        g_assert_cmpuint(s.read_bytes, ==, 8 * BS);
        g_assert_cmpuint(s.write_bytes, ==, 2 * BS);
        g_assert_cmpuint(s.errors, ==, 2);
        g_assert_cmpuint(s.in_flight, ==, 0);
        g_assert_cmpuint(scsi_worker_errors(f.w.workers[0]), ==, 2);
        mine = ask(&f);
        g_assert_cmpuint(mine.done.reads, ==, 3);
        g_assert_cmpuint(mine.done.writes, ==, 2);
        g_assert_cmpuint(mine.done.read_bytes, ==, 8 * BS);
        g_assert_cmpuint(mine.done.write_bytes, ==, 2 * BS);
        g_assert_cmpuint(mine.done.errors, ==, 2);
        g_assert_cmpuint(mine.done.others, ==, s.others);
        g_assert_cmpuint(mine.reads + mine.writes + mine.done.lost_reads + mine.done.lost_writes,
                         ==, 0);
        lu_latency(f.lu, &l);
        g_assert_cmpuint(times_count(&l.read), ==, 3);
        g_assert_cmpuint(times_count(&l.write), ==, 2);
        teardown(&f);
}

/* The time that the store takes is in it. */
static void test_latency(void)
{
        Fixture f;
        IoLatency l;
        Command *c;

        setup(&f, &default_config);
        rw(&f, false, 0, 1);
        fake_store_hold(f.store);
        c = start_rw(&f, true, 0, 1);
        sim_run(f.w.sim);
        sim_advance(f.w.sim, 70 * NSEC_PER_MSEC);
        fake_store_release(f.store);
        command_wait(c);
        command_free(c);
        lu_latency(f.lu, &l);
        g_assert_cmpuint(times_count(&l.write), ==, 1);
        g_assert_cmpuint(l.write.sum, >=, 70 * NSEC_PER_MSEC);
        g_assert_cmpuint(l.write.sum, <, 71 * NSEC_PER_MSEC);
        g_assert_cmpuint(l.read.sum, <, NSEC_PER_MSEC);
        g_assert_cmpuint(times_quantile(&l.write, 990), >=, 70 * NSEC_PER_MSEC);
        teardown(&f);
}

/* Each nexus has its own, over all LUNs; its worker's is what all had, also those that are gone. */
static void test_nexuses(void)
{
        Fixture f;
        IoLatency l;
        TestNexus *other;
        Command *c;

        setup(&f, &default_config);
        other = nexus_new(&f.w, 0, f.map);
        clear_attention(other, 1);
        scsi_nexus_latency(&f.n->nexus, &l);
        g_assert_cmpuint(times_count(&l.read) + times_count(&l.write), ==, 0);
        g_assert_null(f.n->nexus.latency); /* who does nothing needs no memory for it */
        rw(&f, false, 0, 1);
        rw(&f, true, 0, 1);
        rw(&f, true, 1, 1);
        fake_store_hold(f.store);
        c = command_new(other, 1, CDB(0x28, 0, 0, 0, 0, 9, 0, 0, 1, 0));
        command_in(c, BS);
        command_start(c);
        sim_run(f.w.sim);
        sim_advance(f.w.sim, 30 * NSEC_PER_MSEC);
        fake_store_release(f.store);
        command_wait(c);
        command_free(c);
        scsi_nexus_latency(&f.n->nexus, &l);
        g_assert_cmpuint(times_count(&l.read), ==, 1);
        g_assert_cmpuint(times_count(&l.write), ==, 2);
        g_assert_cmpuint(l.read.sum, <, NSEC_PER_MSEC);
        scsi_nexus_latency(&other->nexus, &l);
        g_assert_cmpuint(times_count(&l.read), ==, 1);
        g_assert_cmpuint(times_count(&l.write), ==, 0);
        g_assert_cmpuint(l.read.sum, >=, 30 * NSEC_PER_MSEC);
        g_assert_cmpuint(times_quantile(&l.read, 500), >=, 30 * NSEC_PER_MSEC);
        lu_latency(f.lu, &l);
        g_assert_cmpuint(times_count(&l.read), ==, 2);
        g_assert_cmpuint(times_count(&l.write), ==, 2);
        nexus_free(other);
        scsi_worker_latency(f.w.workers[0], &l);
        g_assert_cmpuint(times_count(&l.read), ==, 2);
        g_assert_cmpuint(times_count(&l.write), ==, 2);
        g_assert_cmpuint(l.read.sum, >=, 30 * NSEC_PER_MSEC);
        teardown(&f);
}

/* Commands of a batch that end together took the same time, others not. */
static void test_batches(void)
{
        Fixture f;
        IoLatency l;
        Command *first, *second;

        setup(&f, &default_config);
        fake_store_hold(f.store);
        first = start_rw(&f, false, 0, 1);
        sim_run(f.w.sim);
        sim_advance(f.w.sim, 40 * NSEC_PER_MSEC);
        second = start_rw(&f, false, 1, 1);
        sim_run(f.w.sim);
        sim_advance(f.w.sim, 20 * NSEC_PER_MSEC);
        fake_store_release(f.store);
        command_wait(first);
        command_wait(second);
        command_free(first);
        command_free(second);
        scsi_nexus_latency(&f.n->nexus, &l);
        g_assert_cmpuint(times_count(&l.read), ==, 2);
        g_assert_cmpuint(times_quantile(&l.read, 500), <, 30 * NSEC_PER_MSEC);
        g_assert_cmpuint(times_quantile(&l.read, 990), >=, 60 * NSEC_PER_MSEC);
        g_assert_cmpuint(l.read.sum, >=, 80 * NSEC_PER_MSEC);
        g_assert_cmpuint(l.read.sum, <, 82 * NSEC_PER_MSEC);
        teardown(&f);
}

/* What is under way shows, and what was given up is neither done nor timed. */
static void test_lost(void)
{
        Fixture f;
        IoLatency l;
        ItlStats s;
        Command *r, *w;

        setup(&f, &default_config);
        fake_store_hold(f.store);
        r = start_rw(&f, false, 0, 4);
        w = start_rw(&f, true, 8, 2);
        sim_run(f.w.sim);
        s = ask(&f);
        g_assert_cmpuint(s.reads, ==, 1);
        g_assert_cmpuint(s.read_bytes, ==, 4 * BS);
        g_assert_cmpuint(s.writes, ==, 1);
        g_assert_cmpuint(s.write_bytes, ==, 2 * BS);
        g_assert_cmpuint(s.done.reads + s.done.writes, ==, 0);
        g_assert_cmpint(run_tmf(f.n, TMF_ABORT_TASK_SET, 1, 0), ==, TMF_COMPLETE);
        s = ask(&f);
        g_assert_cmpuint(s.reads + s.writes + s.read_bytes + s.write_bytes, ==, 0);
        g_assert_cmpuint(s.done.reads + s.done.writes, ==, 0);
        g_assert_cmpuint(s.done.lost_reads, ==, 1);
        g_assert_cmpuint(s.done.lost_read_bytes, ==, 4 * BS);
        g_assert_cmpuint(s.done.lost_writes, ==, 1);
        g_assert_cmpuint(s.done.lost_write_bytes, ==, 2 * BS);
        fake_store_release(f.store);
        sim_advance(f.w.sim, NSEC_PER_SEC);
        command_free(r);
        command_free(w);
        lu_latency(f.lu, &l);
        g_assert_cmpuint(times_count(&l.read) + times_count(&l.write), ==, 0);
        teardown(&f);
}

static bool is_complete(void *userdata)
{
        return ((Command *)userdata)->outcome == COMPLETED;
}

/* An answer that is not taken until its unit is gone: the time is counted where nobody looks any
 * more, and nothing that was freed is touched. */
static void test_slow_reader(void)
{
        Fixture f;
        LunMap *none;
        Command *c;

        setup(&f, &default_config);
        c = start_rw(&f, false, 0, 1);
        c->keeps = true;
        g_assert_true(wait_for(&f.w, is_complete, c));
        g_assert_cmpint(lun_map_new(NULL, 0, &none), ==, 0);
        nexus_remap(f.n, none);
        lun_map_unref(none);
        f.map = lun_map_unref(f.map);
        f.lu = lu_unref(f.lu);
        sim_advance(f.w.sim, NSEC_PER_SEC);
        g_assert_cmpuint(f.w.workers[0]->n_slots, ==, 1); /* it waits for the command */
        command_let_go(c);
        command_wait(c);
        command_free(c);
        teardown(&f);
}

/* An answer that is not taken until its nexus is closed: its worker counts it. */
static void test_late(void)
{
        Fixture f;
        IoLatency l;
        Command *c;

        setup(&f, &default_config);
        rw(&f, false, 0, 1);
        c = start_rw(&f, false, 0, 1);
        c->keeps = true;
        g_assert_true(wait_for(&f.w, is_complete, c));
        nexus_start_close(f.n);
        sim_advance(f.w.sim, NSEC_PER_SEC);
        scsi_worker_latency(f.w.workers[0], &l);
        g_assert_cmpuint(times_count(&l.read), ==, 1);
        command_let_go(c);
        command_wait(c);
        command_free(c);
        scsi_worker_latency(f.w.workers[0], &l);
        g_assert_cmpuint(times_count(&l.read), ==, 2);
        g_assert_cmpuint(l.read.sum, >=, NSEC_PER_SEC);
        lu_latency(f.lu, &l);
        g_assert_cmpuint(times_count(&l.read), ==, 2);
        teardown(&f);
}

/* Counters of a nexus outlive a change of the target's LUNs. */
static void test_remap(void)
{
        Fixture f;
        LunMap *more;
        LunMapEntry entries[2];
        Ask a = { .task.run = run_ask };

        setup(&f, &default_config);
        rw(&f, false, 0, 2);
        entries[0] = (LunMapEntry){ 1, f.lu };
        entries[1] = (LunMapEntry){ 7, f.lu };
        g_assert_cmpint(lun_map_new(entries, 2, &more), ==, 0);
        nexus_remap(f.n, more);
        a.nexus = &f.n->nexus;
        loop_post(f.n->nexus.worker->loop, &a.task);
        g_assert_true(wait_for(&f.w, answered, &a));
        g_assert_cmpuint(a.n, ==, 2);
        g_assert_cmpuint(a.stats[0].lun, ==, 1);
        g_assert_cmpuint(a.stats[0].done.reads, ==, 1);
        g_assert_cmpuint(a.stats[0].done.read_bytes, ==, 2 * BS);
        g_assert_cmpuint(a.stats[1].lun, ==, 7);
        g_assert_cmpuint(a.stats[1].done.reads, ==, 0);
        lun_map_unref(more);
        teardown(&f);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/scsi/stats/counts", test_counts);
        g_test_add_func("/scsi/stats/latency", test_latency);
        g_test_add_func("/scsi/stats/nexuses", test_nexuses);
        g_test_add_func("/scsi/stats/batches", test_batches);
        g_test_add_func("/scsi/stats/late", test_late);
        g_test_add_func("/scsi/stats/lost", test_lost);
        g_test_add_func("/scsi/stats/slow-reader", test_slow_reader);
        g_test_add_func("/scsi/stats/remap", test_remap);
        return g_test_run();
}
