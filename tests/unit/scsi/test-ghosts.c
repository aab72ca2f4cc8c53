/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>

#include "ledger.h"
#include "world.h"

/* Commands, aborts, resets, lost nexuses and units made anew, in random order on workers whose
 * messages are shuffled, over a store that hangs and lets go as it likes. A ledger of all writes
 * says at each read and at the end whether one was lost, came back, or is stale.
 *
 * A write that was given up is over when the task management function is answered, or the nexus is
 * closed: from then on it must not be seen to happen. */

#define BLOCKS 160
#define BS 512
#define NEXUSES 4
#define DEPTH 6

typedef struct Chaos Chaos;

typedef struct Entry {
        Command *c;
        Chaos *chaos;
        unsigned nexus;
        uint64_t write; /* the ledger's, or 0 */
        uint64_t read;
        uint64_t lba;
        uint32_t n;
        bool flush;
} Entry;

typedef struct Where {
        uint64_t lba;
        uint32_t n;
} Where;

struct Chaos {
        World w;
        uint64_t seed;
        Store *store;
        LogicalUnit *lu;
        LunMap *map;
        TestNexus *nexus[NEXUSES];
        unsigned in_flight[NEXUSES];
        Ledger *ledger;
        TestTmf *tmf;
        GPtrArray *given_up; /* writes that are over with what is under way */
        GArray *where;       /* ... and where they were */
        unsigned n_writes, n_reads, n_aborted, n_busy, n_checks;
        uint64_t n_throttled;
};

static uint64_t dice(Chaos *x, uint64_t n)
{
        return sim_random(x->w.sim, n);
}

static void start_write(Chaos *x, unsigned nexus, uint64_t lba, uint32_t n);

/* From now on what was given up must not happen; and what is written there now must not wait for
 * luck to be in its way. */
static void give_up_over(Chaos *x)
{
        GArray *where = x->where;

        x->where = g_array_new(FALSE, FALSE, sizeof(Where));
        for (guint i = 0; i < x->given_up->len; i++)
                ledger_end(x->ledger, GPOINTER_TO_SIZE(x->given_up->pdata[i]), LEDGER_GIVEN_UP,
                           false);
        g_ptr_array_set_size(x->given_up, 0);
        for (guint i = 0; i < where->len; i++) {
                unsigned k = (unsigned)dice(x, NEXUSES);

                if (x->nexus[k] && x->in_flight[k] < 3 * DEPTH)
                        start_write(x, k, g_array_index(where, Where, i).lba,
                                    g_array_index(where, Where, i).n);
        }
        g_array_unref(where);
}

static void check_read(Entry *e)
{
        Chaos *x = e->chaos;
        char error[256];

        x->n_checks++;
        if (ledger_check(x->ledger, e->read, e->lba, e->n, e->c->in, error, sizeof(error)) < 0)
                g_error("seed %" PRIu64 ": %s", x->seed, error);
}

/* In op_complete() and op_aborted() already, that is before anything else can happen. */
static void command_over(Command *c)
{
        Entry *e = c->userdata;
        Chaos *x = e->chaos;

        x->in_flight[e->nexus]--;
        switch (c->outcome) {
        case PENDING:
                g_assert_not_reached();
        case ABORTED:
        case ABORTED_WITH_STATUS:
                x->n_aborted++;
                if (e->write) {
                        Where where = { e->lba, e->n };

                        g_ptr_array_add(x->given_up, GSIZE_TO_POINTER(e->write));
                        g_array_append_val(x->where, where);
                }
                break;
        case COMPLETED:
                if (c->task.status == SCSI_BUSY)
                        x->n_busy++;
                if (e->write)
                        ledger_end(x->ledger, e->write,
                                   c->task.status == SCSI_GOOD ? LEDGER_ACKNOWLEDGED
                                                               : LEDGER_FAILED,
                                   false);
                else if (e->read && c->task.status == SCSI_GOOD)
                        check_read(e);
        }
        g_free(e);
}

static void go(Entry *e)
{
        if (dice(e->chaos, 12) == 0)
                e->c->task.attribute = dice(e->chaos, 2) ? TASK_ORDERED : TASK_HEAD_OF_QUEUE;
        e->c->userdata = e;
        e->c->over_now = command_over;
        e->c->free_when_over = true;
        e->chaos->in_flight[e->nexus]++;
        command_start(e->c);
}

static void start_write(Chaos *x, unsigned nexus, uint64_t lba, uint32_t n)
{
        uint8_t data[8 * BS];
        Entry *e = g_new0(Entry, 1);

        *e = (Entry){ .chaos = x, .nexus = nexus, .lba = lba, .n = n };
        e->c = command_new(
                x->nexus[nexus], 1,
                CDB(dice(x, 4) ? 0x2a : 0x2e, 0, 0, 0, 0, (uint8_t)lba, 0, 0, (uint8_t)n, 0));
        e->write = ledger_begin(x->ledger, nexus, lba, n, data);
        command_out(e->c, data, n * BS);
        x->n_writes++;
        go(e);
}

static void start(Chaos *x)
{
        unsigned k = (unsigned)dice(x, NEXUSES);
        uint64_t lba = dice(x, BLOCKS);
        uint32_t n = 1 + (uint32_t)dice(x, MIN(8, BLOCKS - lba));
        Entry *e;

        if (x->in_flight[k] >= DEPTH)
                return;
        e = g_new0(Entry, 1);
        *e = (Entry){ .chaos = x, .nexus = k, .lba = lba, .n = n };
        switch (dice(x, 10)) {
        case 0: { /* WRITE SAME of zeros, without data */
                e->c = command_new(
                        x->nexus[k], 1,
                        CDB(0x93, 1, 0, 0, 0, 0, 0, 0, 0, (uint8_t)lba, 0, 0, 0, (uint8_t)n, 0, 0));
                e->write = ledger_begin_zero(x->ledger, lba, n);
                break;
        }
        case 1: {
                uint8_t list[24] = { 0, 22, 0, 16, [15] = (uint8_t)lba, [19] = (uint8_t)n };

                e->c = command_new(x->nexus[k], 1, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0));
                command_out(e->c, list, sizeof(list));
                e->write = ledger_begin_zero(x->ledger, lba, n);
                break;
        }
        case 2:
        case 3:
        case 4:
                e->c = command_new(x->nexus[k], 1,
                                   CDB(0x28, 0, 0, 0, 0, (uint8_t)lba, 0, 0, (uint8_t)n, 0));
                command_in(e->c, n * BS);
                e->read = ledger_read_begin(x->ledger);
                x->n_reads++;
                break;
        default:
                g_free(e);
                start_write(x, k, lba, n);
                return;
        }
        go(e);
}

static void tmf_over(TestTmf *t)
{
        Chaos *x = t->userdata;

        give_up_over(x);
        x->tmf = NULL;
        t->free_me = true;
}

/* One at a time, so that it is known which one gave a write up. */
static void manage(Chaos *x)
{
        static const TmfFunction functions[] = { TMF_ABORT_TASK_SET,  TMF_ABORT_TASK_SET,
                                                 TMF_CLEAR_TASK_SET,  TMF_LOGICAL_UNIT_RESET,
                                                 TMF_I_T_NEXUS_RESET, TMF_TARGET_WARM_RESET };
        unsigned k = (unsigned)dice(x, NEXUSES);
        TmfFunction f = functions[dice(x, ELEMENTSOF(functions))];
        uint64_t tag = 0;

        if (x->tmf)
                return;
        if (dice(x, 2) && !list_empty(&x->nexus[k]->nexus.tasks)) {
                f = TMF_ABORT_TASK;
                tag = LIST_FIRST(&x->nexus[k]->nexus.tasks, Task, nexus_link)->tag;
        }
        x->tmf = tmf_start(x->nexus[k], f, 1, tag);
        x->tmf->userdata = x;
        x->tmf->over = tmf_over;
}

static bool tmf_none(void *userdata)
{
        return ((Chaos *)userdata)->tmf == NULL;
}

static void lose_nexus(Chaos *x)
{
        unsigned k = (unsigned)dice(x, NEXUSES);

        g_assert_true(wait_for(&x->w, tmf_none, x));
        sim_run(x->w.sim); /* what was started has been submitted */
        g_assert_true(wait_for(&x->w, tmf_none, x));
        /* the others write there as soon as it is closed; nothing runs in between */
        nexus_free(TAKE_PTR(x->nexus[k]));
        g_assert_cmpuint(x->in_flight[k], ==, 0);
        give_up_over(x);
        x->nexus[k] = nexus_new(&x->w, k % x->w.n, x->map);
}

static void count_throttled(Chaos *x)
{
        LuStats stats;

        lu_stats(x->lu, &stats);
        x->n_throttled += stats.throttled;
}

/* The unit is removed and made again over the same store. */
static void make_anew(Chaos *x)
{
        LunMap *old = x->map;
        LogicalUnit *old_lu = x->lu;

        g_assert_true(wait_for(&x->w, tmf_none, x));
        unit_change(&x->w, x->lu, LU_CHANGE_RETIRE, NULL, false, true);
        count_throttled(x);
        x->lu = unit_new(&x->w, x->store, &default_config);
        x->map = map_of(x->lu, 1);
        for (unsigned k = 0; k < NEXUSES; k++)
                nexus_remap(x->nexus[k], x->map);
        lun_map_unref(old);
        lu_unref(old_lu);
}

/* Of the unit, of a nexus, or of all of them together: what waits waits elsewhere, or no longer. */
static void change_limits(Chaos *x)
{
        unsigned kind = (unsigned)dice(x, _THROTTLE_MAX), k = (unsigned)dice(x, NEXUSES + 2);
        ThrottleLimits limits = { .burst_ns = 1 + dice(x, NSEC_PER_MSEC) };
        Throttle *t = NULL;

        limits.rate[kind] = (kind >= THROTTLE_BYTES ? 500 * BS : 500) * (1 + dice(x, 50));
        if (dice(x, 3) > 0)
                g_assert_cmpint(throttle_new(&limits, x->w.n + 1, sim_now(x->w.sim), &t), ==, 0);
        if (k == NEXUSES + 1)
                unit_limit(&x->w, x->lu, t);
        for (unsigned i = 0; i < NEXUSES; i++)
                if (i == k || k == NEXUSES)
                        nexus_limit(x->nexus[i], dice(x, 2) ? t : NULL, t);
        throttle_unref(t);
}

static bool all_over(void *userdata)
{
        Chaos *x = userdata;

        for (unsigned k = 0; k < NEXUSES; k++)
                if (x->in_flight[k] > 0)
                        return false;
        return x->tmf == NULL;
}

static void chaos_init(Chaos *x, uint64_t seed)
{
        *x = (Chaos){ .seed = seed };
        world_init(&x->w, seed, 1 + (unsigned)(seed % WORKERS_MAX));
        x->store = fake_store_new(x->w.sim, BLOCKS * BS,
                                  (StoreCaps){ .block_size = 512,
                                               .physical_size = 512,
                                               .discard_granularity = 512,
                                               .discard_zeroes = true });
        x->lu = unit_new(&x->w, x->store, &default_config);
        x->map = map_of(x->lu, 1);
        x->ledger = ledger_new(BLOCKS, BS);
        x->given_up = g_ptr_array_new();
        x->where = g_array_new(FALSE, FALSE, sizeof(Where));
        for (unsigned k = 0; k < NEXUSES; k++)
                x->nexus[k] = nexus_new(&x->w, k % x->w.n, x->map);
}

static void chaos_done(Chaos *x)
{
        char error[256];
        uint64_t mark;

        fake_store_release(x->store);
        unit_limit(&x->w, x->lu, NULL);
        g_assert_true(wait_for(&x->w, all_over, x));
        count_throttled(x);
        sim_advance(x->w.sim, 10 * NSEC_PER_SEC);
        g_assert_cmpuint(store_busy(x->store), ==, 0);
        g_assert_cmpuint(x->given_up->len, ==, 0);
        mark = ledger_read_begin(x->ledger);
        if (ledger_check(x->ledger, mark, 0, BLOCKS, fake_store_data(x->store), error,
                         sizeof(error)) < 0)
                g_error("seed %" PRIu64 ", at the end: %s", x->seed, error);
        for (unsigned k = 0; k < NEXUSES; k++)
                nexus_free(x->nexus[k]);
        g_ptr_array_unref(x->given_up);
        g_array_unref(x->where);
        ledger_free(x->ledger);
        lun_map_unref(x->map);
        lu_unref(x->lu);
        store_unref(x->store);
        world_done(&x->w);
}

static void act(Chaos *x)
{
        unsigned n = (unsigned)dice(x, 20);

        switch (dice(x, 100)) {
        case 0:
                fake_store_hold(x->store);
                break;
        case 1:
        case 2:
                fake_store_release(x->store);
                break;
        case 3 ... 8:
                fake_store_release_one(x->store, (unsigned)dice(x, 4));
                break;
        case 9:
        case 10:
                manage(x);
                break;
        case 11:
                if (dice(x, 4) == 0)
                        lose_nexus(x);
                break;
        case 12:
                if (dice(x, 12) == 0)
                        make_anew(x);
                break;
        case 13:
                if (dice(x, 8) == 0)
                        sim_advance(x->w.sim, dice(x, 7) * NSEC_PER_SEC);
                break;
        case 14:
                if (dice(x, 4) == 0)
                        change_limits(x);
                break;
        case 15 ... 49:
                sim_advance(x->w.sim, dice(x, 40 * NSEC_PER_USEC));
                break;
        default:
                start(x);
        }
        while (n-- > 0 && sim_step(x->w.sim))
                ;
}

static void test_chaos(void)
{
        const char *env = g_getenv("TGT_TEST_SEEDS");
        uint64_t n = env ? g_ascii_strtoull(env, NULL, 10) : 200;
        const char *first = g_getenv("TGT_TEST_SEED");
        uint64_t seed = first ? g_ascii_strtoull(first, NULL, 10) : 1;
        unsigned writes = 0, aborted = 0, busy = 0, checks = 0;
        uint64_t throttled = 0;

        for (uint64_t end = seed + n; seed < end; seed++) {
                Chaos x;

                chaos_init(&x, seed);
                for (unsigned i = 0; i < 1200; i++)
                        act(&x);
                chaos_done(&x);
                writes += x.n_writes;
                aborted += x.n_aborted;
                busy += x.n_busy;
                checks += x.n_checks;
                throttled += x.n_throttled;
        }
        g_test_message("%u writes, %u given up, %u busy, %u reads checked, %" PRIu64
                       " waited for a limit",
                       writes, aborted, busy, checks, throttled);
        g_assert_cmpuint(aborted, >, 0);
        g_assert_cmpuint(checks, >, 0);
        g_assert_cmpuint(throttled, >, 0);
}

/* As many units as a process may have: each store finds its own board, whatever else comes and
 * goes. Every other store is what its neighbour is. */
static void test_boards(void)
{
        enum { N = 10000 };
        static Store *stores[N];
        static GhostBoard *boards[N];
        g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
        Sim *sim = sim_new(1, 1);

        for (unsigned i = 0; i < N; i++) {
                stores[i] = fake_store_new(sim, 512, (StoreCaps){ .block_size = 512 });
                if (i % 4 < 2)
                        fake_store_identity(stores[i], 1000 + i / 2);
                boards[i] = ghost_board_get(stores[i]);
                g_assert_nonnull(boards[i]);
                g_hash_table_add(seen, boards[i]);
                if (i % 4 == 1)
                        g_assert_true(boards[i] == boards[i - 1]);
        }
        g_assert_cmpuint(g_hash_table_size(seen), ==, N / 4 * 3);
        for (unsigned i = 0; i < N; i += 3)
                boards[i] = ghost_board_put(boards[i]);
        for (unsigned i = 0; i < N; i++) {
                GhostBoard *b = ghost_board_get(stores[i]);

                if (boards[i])
                        g_assert_true(b == boards[i]);
                ghost_board_put(b);
                ghost_board_put(boards[i]);
                store_unref(stores[i]);
        }
        sim_free(sim);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/scsi/ghosts/boards", test_boards);
        g_test_add_func("/scsi/ghosts/chaos", test_chaos);
        return g_test_run();
}
