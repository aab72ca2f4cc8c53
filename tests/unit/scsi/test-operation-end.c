/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "operation.h"

/* FORMAT UNIT and SANITIZE: what becomes of them when they fail, and when the store, the unit or
 * the process ends in the middle. */

/* ---- failing --------------------------------------------------------------------------------- */

#define FAIL_ALL (1u << STORE_WRITE | 1u << STORE_ZERO | 1u << STORE_DISCARD)

static void test_sanitize_fails(void)
{
        uint8_t list[5] = { 1, 0, 0, 1, 0xaa };
        Command *c;
        Fixture f;
        Keeper k;

        begin(&f, &k);
        fake_store_fail(f.store, FAIL_ALL, -EIO);
        expect_sense(wait(sanitize(f.a, ERASE, NULL, 0)), FAILED);
        g_assert_true(k.kept.failed);
        g_assert_cmpint(k.kept.error, ==, -EIO);
        fake_store_fail(f.store, 0, 0);
        for (unsigned i = 0; i < 2; i++) {
                expect_sense(ready(f.a), FAILED);
                expect_sense(wait(read_start(f.b, 0)), FAILED);
                expect_sense(wait(write_block(f.b, 0, 1)), FAILED);
                expect_sense(wait(format(f.a, 0, NULL, 0)), FAILED);
                c = run_in(f.a, 1, CDB(0x03, 0, 0, 0, 252, 0), 252);
                g_assert_cmphex(c->in[2], ==, 3);
                g_assert_cmphex(c->in[15], ==, 0);
                command_free(c);
                g_assert_true(good(f.a, 1, CDB(0x12, 0, 0, 0, 96, 0)));
                /* AUSE was 0: only one that succeeds leads out */
                c = wait(sanitize(f.a, EXIT, NULL, 0));
                g_assert_cmpuint(get_be16(c->task.sense + 16), ==, 1);
                expect_sense(c, 0x052400);
                g_assert_true(k.kept.failed);
                /* ... also if another that would allow it fails after it */
                fake_store_fail(f.store, FAIL_ALL, -EIO);
                expect_sense(wait(sanitize(f.a, OVERWRITE | AUSE, list, 5)), FAILED);
                fake_store_fail(f.store, 0, 0);
        }
        run_tmf(f.a, TMF_LOGICAL_UNIT_RESET, 1, 0);
        clear_attention(f.a, 1);
        expect_sense(ready(f.a), FAILED);
        expect_good(wait(sanitize(f.a, OVERWRITE, list, 5)));
        expect_good(ready(f.a));
        all_bytes(&f, list + 4, 1, 0);
        teardown(&f);
}

static void test_exit(void)
{
        Fixture f;
        Keeper k;

        begin(&f, &k);
        fake_store_fail(f.store, 1u << STORE_FLUSH, -EIO);
        expect_sense(wait(sanitize(f.a, ERASE | AUSE, NULL, 0)), FAILED);
        fake_store_fail(f.store, 0, 0);
        expect_sense(ready(f.b), FAILED);
        expect_good(wait(sanitize(f.b, EXIT, NULL, 0)));
        g_assert_cmpint(k.kept.kind, ==, LU_OPERATION_NONE);
        expect_good(ready(f.b));
        expect_good(wait(write_block(f.b, 0, 1)));
        teardown(&f);
}

static void test_format_fails(void)
{
        Fixture f;
        Keeper k;

        begin(&f, &k);
        fake_store_fail(f.store, FAIL_ALL, -ENOSPC);
        expect_sense(wait(format(f.a, 0, NULL, 0)), FORMAT_FAILED);
        fake_store_fail(f.store, 0, 0);
        expect_sense(ready(f.a), CORRUPTED);
        expect_sense(wait(read_start(f.b, 0)), CORRUPTED);
        g_assert_true(good(f.a, 1, CDB(0x1a, 8, 0x3f, 0, 255, 0)));
        expect_good(wait(sanitize(f.a, EXIT, NULL, 0)));
        expect_sense(ready(f.a), CORRUPTED); /* that is not what exit is for */
        expect_good(wait(format(f.a, 0, NULL, 0)));
        expect_good(ready(f.a));
        teardown(&f);
}

static void test_write_protected(void)
{
        Fixture f;
        Keeper k;

        begin(&f, &k);
        fake_store_set_readonly(f.store, true);
        unit_change(&f.w, f.lu, LU_CHANGE_STATE, NULL, true, true);
        clear_attention(f.a, 1);
        expect_sense(wait(sanitize(f.a, ERASE, NULL, 0)), 0x072700);
        expect_sense(wait(format(f.a, 0, NULL, 0)), 0x072700);
        expect_good(wait(sanitize(f.a, EXIT, NULL, 0)));
        teardown(&f);
}

/* What cannot be remembered does not begin; what cannot be forgotten is not over, since it would
 * be done again over what is written by then. */
static void test_keeper_fails(void)
{
        Fixture f;
        Keeper k;
        Command *c;

        begin(&f, &k);
        k.fail = -EROFS;
        c = sanitize(f.a, ERASE, NULL, 0);
        settle(&f);
        g_assert_cmpint(c->outcome, ==, PENDING);
        g_assert_cmpuint(fake_store_stats(f.store).submitted, ==, 0);
        k.fail = 0;
        expect_sense(wait(c), 0x044400);
        g_assert_cmpuint(fake_store_stats(f.store).submitted, ==, 0);
        expect_good(ready(f.a));

        fake_store_hold(f.store);
        c = sanitize(f.a, ERASE, NULL, 0);
        settle(&f);
        k.fail = -EIO;
        fake_store_release(f.store);
        for (unsigned i = 0; i < 5; i++) {
                settle(&f);
                sim_advance(f.w.sim, NSEC_PER_SEC);
                expect_sense(ready(f.b), IN_PROGRESS);
                g_assert_cmpint(c->outcome, ==, PENDING);
        }
        k.fail = 0;
        expect_good(wait(c));
        expect_sense(ready(f.b), 0x062800);
        expect_good(ready(f.b));
        teardown(&f);
}

/* Another attempt that cannot begin leaves the failure before it what it was. */
static void test_keeper_fails_after_failure(void)
{
        Fixture f;
        Keeper k;
        Command *c;

        begin(&f, &k);
        fake_store_fail(f.store, FAIL_ALL, -EIO);
        expect_sense(wait(sanitize(f.a, ERASE, NULL, 0)), FAILED);
        fake_store_fail(f.store, 0, 0);
        k.fail = -EIO;
        c = sanitize(f.a, ERASE | AUSE, NULL, 0);
        for (unsigned i = 0; i < 3; i++) {
                settle(&f);
                sim_advance(f.w.sim, NSEC_PER_SEC);
        }
        k.fail = 0;
        expect_sense(wait(c), 0x044400);
        expect_sense(ready(f.b), FAILED);
        g_assert_true(k.kept.failed && !k.kept.unrestricted);
        expect_sense(wait(sanitize(f.a, EXIT, NULL, 0)), 0x052400);
        expect_good(wait(sanitize(f.a, ERASE, NULL, 0)));
        expect_good(ready(f.a));
        teardown(&f);
}

/* ---- the store, the unit, the process ----------------------------------------------------------
 */

static void test_store_goes(void)
{
        uint8_t list[5] = { 2, 0, 0, 1, 0xaa };
        Store *other;
        Command *c;
        Fixture f;
        Keeper k;

        begin(&f, &k);
        fake_store_hold(f.store);
        c = sanitize(f.a, OVERWRITE, list, sizeof(list));
        settle(&f);
        g_assert_cmpuint(fake_store_held(f.store), ==, 1);
        unit_change(&f.w, f.lu, LU_CHANGE_STORE, NULL, false, true);
        expect_sense(ready(f.b), IN_PROGRESS);
        unit_change(&f.w, f.lu, LU_CHANGE_STORE, f.store, false, true);
        settle(&f);
        /* what it had then comes first */
        g_assert_cmpuint(fake_store_held(f.store), ==, 1);
        fake_store_fail(f.store, 1u << STORE_WRITE, -ENODEV);
        fake_store_release(f.store);
        settle(&f);
        sim_advance(f.w.sim, 3 * NSEC_PER_SEC);
        g_assert_cmpuint(k.n_gone, >, 0);
        g_assert_cmpint(c->outcome, ==, PENDING);
        fake_store_fail(f.store, 0, 0);
        expect_good(wait(c));
        all_bytes(&f, list + 4, 1, 0);

        /* another disk under its name is not what was to be wiped */
        clear_attention(f.a, 1);
        fake_store_hold(f.store);
        c = sanitize(f.a, OVERWRITE, list, sizeof(list));
        settle(&f);
        other = fake_store_new(f.w.sim, SIZE, caps);
        fake_store_identity(other, STORE_ID + 1);
        memset(fake_store_data(other), 'y', SIZE);
        unit_change(&f.w, f.lu, LU_CHANGE_STORE, other, false, true);
        expect_sense(wait(c), FAILED);
        g_assert_cmpint(k.kept.error, ==, -ESTALE);
        g_assert_cmpuint(fake_store_stats(other).submitted, ==, 0);
        clear_attention(f.a, 1);
        expect_good(wait(sanitize(f.a, EXIT, NULL, 0))); /* and whoever put it there may have it */
        expect_good(ready(f.a));
        fake_store_release(f.store);
        settle(&f);
        store_unref(other);
        teardown(&f);
}

static void test_retired(void)
{
        Command *c;
        Fixture f;
        Keeper k;

        begin(&f, &k);
        fake_store_hold(f.store);
        c = sanitize(f.a, ERASE, NULL, 0);
        settle(&f);
        unit_change(&f.w, f.lu, LU_CHANGE_RETIRE, NULL, false, false);
        expect_sense(wait(c), 0x052500);
        settle(&f);
        /* where it is added again, it goes on */
        g_assert_cmpint(k.kept.kind, ==, LU_OPERATION_BLOCK_ERASE);
        fake_store_release(f.store);
        settle(&f);
        teardown(&f);
}

typedef struct Wish {
        bool done;
        int r;
} Wish;

static void wish_done(void *userdata, int r)
{
        *(Wish *)userdata = (Wish){ true, r };
}

static bool is_done(void *userdata)
{
        return ((Wish *)userdata)->done;
}

static int operate(Fixture *f, LuOperate how, const LuOperation *what)
{
        Wish w = {};

        g_assert_cmpint(lu_operate(f->lu, how, what, sim_loop(f->w.sim, 0), wish_done, &w), ==, 0);
        g_assert_true(wait_for(&f->w, is_done, &w));
        return w.r;
}

static void test_control_plane(void)
{
        static const LuOperation erase = { .kind = LU_OPERATION_BLOCK_ERASE, .passes = 1 };
        static const LuOperation zeroes = { .kind = LU_OPERATION_FORMAT, .passes = 1 };
        static const uint8_t zero;
        Fixture f;
        Keeper k;

        begin(&f, &k);
        fake_store_hold(f.store);
        g_assert_cmpint(operate(&f, LU_OPERATE_EXIT, NULL), ==, 0);
        g_assert_cmpint(operate(&f, LU_OPERATE_START, &erase), ==, 0);
        g_assert_cmpint(operate(&f, LU_OPERATE_START, &zeroes), ==, -EBUSY);
        g_assert_cmpint(operate(&f, LU_OPERATE_EXIT, NULL), ==, -EBUSY);
        fake_store_release(f.store);
        settle(&f);
        sim_advance(f.w.sim, NSEC_PER_SEC);
        all_bytes(&f, &zero, 1, 0);
        /* everybody is told: none of them asked */
        expect_sense(ready(f.a), 0x062800);
        expect_sense(ready(f.b), 0x062800);
        fake_store_fail(f.store, FAIL_ALL, -EIO);
        g_assert_cmpint(operate(&f, LU_OPERATE_START, &zeroes), ==, 0);
        settle(&f);
        sim_advance(f.w.sim, NSEC_PER_SEC);
        expect_sense(ready(f.a), CORRUPTED);
        g_assert_cmpint(operate(&f, LU_OPERATE_EXIT, NULL), ==, 0);
        clear_attention(f.a, 1);
        expect_good(ready(f.a));
        g_assert_cmpint(operate(&f, LU_OPERATE_START, &erase), ==, 0);
        settle(&f);
        sim_advance(f.w.sim, NSEC_PER_SEC);
        g_assert_cmpint(operate(&f, LU_OPERATE_EXIT, NULL), ==, -EPERM);
        teardown(&f);
}

static void reborn(Fixture *f, Keeper *k, const LuConfig *base)
{
        LuConfig config = *base;

        nexus_free(f->a);
        nexus_free(f->b);
        lun_map_unref(f->map);
        lu_unref(f->lu);
        config.keeper = &k->ops;
        config.operation = k->kept.kind ? &k->kept : NULL;
        f->lu = unit_new(&f->w, f->store, &config);
        f->map = map_of(f->lu, 1);
        f->a = nexus_new(&f->w, 0, f->map);
        f->b = nexus_new(&f->w, 1, f->map);
        clear_attention(f->a, 1);
        clear_attention(f->b, 1);
}

/* The process ends in the middle of the second pass, and begins again. */
static void test_restart(void)
{
        uint8_t list[5] = { 4, 0, 0, 1, 0xaa };
        unsigned last = 0, before;
        Wish w = {};
        Command *c;
        Fixture f;
        Keeper k;

        begin(&f, &k);
        fake_store_hold(f.store);
        c = sanitize(f.a, OVERWRITE, list, sizeof(list));
        settle(&f);
        step(&f); /* the first pass */
        step(&f); /* its flush */
        g_assert_cmpuint(k.kept.pass, ==, 0);
        before = k.n_kept;
        g_assert_cmpint(
                lu_operate(f.lu, LU_OPERATE_SUSPEND, NULL, sim_loop(f.w.sim, 0), wish_done, &w), ==,
                0);
        settle(&f);
        g_assert_false(w.done);
        step(&f); /* of the second pass */
        step(&f);
        g_assert_true(w.done && w.r == 0);
        /* what is done is on the medium, and remembered; who waits is told that it goes on */
        g_assert_cmpuint(k.n_kept, >, before);
        g_assert_cmpuint(k.kept.pass, ==, 2);
        expect_sense(wait(c), IN_PROGRESS);
        settle(&f);
        g_assert_cmpuint(fake_store_held(f.store), ==, 0);

        memset(fake_store_data(f.store), 'z', SIZE);
        reborn(&f, &k, &default_config);
        in_progress(f.a, IN_PROGRESS, &last);
        g_assert_cmpuint(last, >=, 0x8000);
        fake_store_release(f.store);
        settle(&f);
        sim_advance(f.w.sim, NSEC_PER_SEC);
        expect_sense(ready(f.a), 0x062800);
        expect_good(ready(f.a));
        all_bytes(&f, list + 4, 1, 0);
        g_assert_cmpint(k.kept.kind, ==, LU_OPERATION_NONE);
        teardown(&f);
}

/* It just ends: what is remembered is from the begin, and all of it is done again. */
static void test_crash(void)
{
        static const uint8_t zero;
        LuOperation kept;
        unsigned last = 0;
        Fixture f;
        Keeper k;

        begin(&f, &k);
        fake_store_hold(f.store);
        expect_good(wait(sanitize(f.a, ERASE | IMMED, NULL, 0)));
        settle(&f);
        kept = k.kept;
        unit_change(&f.w, f.lu, LU_CHANGE_RETIRE, NULL, false, false);
        k.kept = kept;
        fake_store_release(f.store);
        fake_store_hold(f.store);
        reborn(&f, &k, &default_config);
        in_progress(f.b, IN_PROGRESS, &last);
        fake_store_release(f.store);
        settle(&f);
        sim_advance(f.w.sim, NSEC_PER_SEC);
        clear_attention(f.a, 1);
        expect_good(ready(f.a));
        all_bytes(&f, &zero, 1, 0);
        /* a failure is remembered as well */
        fake_store_fail(f.store, FAIL_ALL, -EIO);
        expect_sense(wait(sanitize(f.a, ERASE, NULL, 0)), FAILED);
        reborn(&f, &k, &default_config);
        expect_sense(ready(f.a), FAILED);
        expect_sense(wait(sanitize(f.a, EXIT, NULL, 0)), 0x052400);
        teardown(&f);
}

/* More units than may be at it at once: the others wait for their turn, and come to it. */
static void test_many(void)
{
        enum { MANY = 100 };
        static const LuOperation erase = { .kind = LU_OPERATION_BLOCK_ERASE, .passes = 1 };
        LogicalUnit *units[MANY];
        Store *stores[MANY];
        unsigned busy = 0, running = MANY;
        Wish wishes[MANY] = {};
        World w;

        world_init(&w, 3, 2);
        for (unsigned i = 0; i < MANY; i++) {
                stores[i] = fake_store_new(w.sim, 64 * KIB, caps);
                units[i] = unit_new(&w, stores[i], &default_config);
                fake_store_hold(stores[i]);
                g_assert_cmpint(lu_operate(units[i], LU_OPERATE_START, &erase, sim_loop(w.sim, 0),
                                           wish_done, &wishes[i]),
                                ==, 0);
        }
        sim_run(w.sim);
        sim_advance(w.sim, NSEC_PER_MSEC);
        for (unsigned i = 0; i < MANY; i++) {
                g_assert_true(wishes[i].done && wishes[i].r == 0);
                busy += fake_store_held(stores[i]);
        }
        g_assert_cmpuint(busy, ==, 64);
        for (unsigned i = 0; i < MANY; i++)
                fake_store_release(stores[i]);
        for (unsigned i = 0; i < 100 && running > 0; i++) {
                LuOperationInfo info;

                sim_advance(w.sim, 100 * NSEC_PER_MSEC);
                running = 0;
                for (unsigned n = 0; n < MANY; n++) {
                        lu_operation(units[n], &info);
                        running += info.kind != LU_OPERATION_NONE;
                }
        }
        g_assert_cmpuint(running, ==, 0);
        for (unsigned i = 0; i < MANY; i++) {
                lu_unref(units[i]);
                store_unref(stores[i]);
        }
        world_done(&w);
}

/* ---- all of it, in any order -------------------------------------------------------------------
 */

typedef struct Chaos {
        Fixture f;
        Keeper k;
        bool away, held;
        Wish suspended;
        TestNexus **nexus[2];
} Chaos;

static void chaos_begin(Chaos *x)
{
        uint8_t list[6] = { (uint8_t)(1 + sim_random(x->f.w.sim, 3)), 0, 0, 2, 0x11, 0x22 };
        TestNexus *n = *x->nexus[sim_random(x->f.w.sim, 2)];
        uint8_t ause = sim_random(x->f.w.sim, 2) ? AUSE : 0;
        static const uint8_t immed[4] = { 0, 0x02 };
        Command *c;

        switch (sim_random(x->f.w.sim, 4)) {
        case 0:
                c = sanitize(n, (uint8_t)(OVERWRITE | IMMED | ause), list, 6);
                break;
        case 1:
                c = sanitize(n, (uint8_t)(ERASE | IMMED | ause), NULL, 0);
                break;
        case 2:
                c = format(n, 0x10, immed, 4);
                break;
        default:
                c = sanitize(n, EXIT, NULL, 0);
        }
        c->free_when_over = true;
        settle(&x->f);
}

/* Commands that nobody waits for: they end with what they end with. */
static void chaos_command(Chaos *x)
{
        TestNexus *n = *x->nexus[sim_random(x->f.w.sim, 2)];
        Command *c = sim_random(x->f.w.sim, 2)
                             ? sanitize(n, ERASE, NULL, 0)
                             : write_block(n, (uint8_t)sim_random(x->f.w.sim, 200), 'w');

        c->free_when_over = true;
}

static void chaos_store(Chaos *x)
{
        x->away = !x->away;
        unit_change(&x->f.w, x->f.lu, LU_CHANGE_STORE, x->away ? NULL : x->f.store, false, true);
}

static void chaos_hold(Chaos *x)
{
        x->held = !x->held;
        if (x->held)
                fake_store_hold(x->f.store);
        else
                fake_store_release(x->f.store);
}

static void chaos_fail(Chaos *x)
{
        static const int errors[] = { 0, 0, -EIO, -ENODEV, -ENOMEM };

        fake_store_fail(x->f.store, 1u << STORE_WRITE | 1u << STORE_ZERO | 1u << STORE_FLUSH,
                        errors[sim_random(x->f.w.sim, ELEMENTSOF(errors))]);
        x->k.fail = sim_random(x->f.w.sim, 4) ? 0 : -EIO;
}

static void chaos_reset(Chaos *x)
{
        static const TmfFunction functions[] = { TMF_ABORT_TASK_SET, TMF_CLEAR_TASK_SET,
                                                 TMF_LOGICAL_UNIT_RESET, TMF_I_T_NEXUS_RESET };

        run_tmf(*x->nexus[sim_random(x->f.w.sim, 2)],
                functions[sim_random(x->f.w.sim, ELEMENTSOF(functions))], 1, 0);
}

static void chaos_nexus(Chaos *x)
{
        unsigned i = (unsigned)sim_random(x->f.w.sim, 2);

        nexus_free(*x->nexus[i]);
        *x->nexus[i] = nexus_new(&x->f.w, i, x->f.map);
}

static void chaos_time(Chaos *x)
{
        sim_run(x->f.w.sim);
        sim_advance(x->f.w.sim, sim_random(x->f.w.sim, 2 * NSEC_PER_SEC));
}

/* The unit is made anew from what is remembered, as after a restart or a crash. */
static void chaos_crash(Chaos *x)
{
        LuOperation kept;

        if (sim_random(x->f.w.sim, 2)) { /* in order, as far as the store lets it */
                g_assert_cmpint(lu_operate(x->f.lu, LU_OPERATE_SUSPEND, NULL,
                                           sim_loop(x->f.w.sim, 0), wish_done, &x->suspended),
                                ==, 0);
                settle(&x->f);
        }
        x->k.fail = 0;
        settle(&x->f);
        kept = x->k.kept;
        unit_change(&x->f.w, x->f.lu, LU_CHANGE_RETIRE, NULL, false, false);
        settle(&x->f);
        x->k.kept = kept;
        reborn(&x->f, &x->k, &default_config);
        if (x->away)
                unit_change(&x->f.w, x->f.lu, LU_CHANGE_STORE, NULL, false, true);
}

static void chaos(uint64_t seed)
{
        static void (*const steps[])(Chaos * x) = {
                chaos_begin, chaos_begin, chaos_begin, chaos_command, chaos_command,
                chaos_store, chaos_hold,  chaos_fail,  chaos_reset,   chaos_nexus,
                chaos_time,  chaos_time,  chaos_crash,
        };
        static const uint8_t zero;
        Chaos x = {};
        LuOperationInfo info;

        begin(&x.f, &x.k);
        x.nexus[0] = &x.f.a;
        x.nexus[1] = &x.f.b;
        for (uint64_t i = 0; i < seed; i++)
                (void)sim_random(x.f.w.sim, 2);
        for (unsigned i = 0; i < 120; i++)
                steps[sim_random(x.f.w.sim, ELEMENTSOF(steps))](&x);
        /* everything is well again: what was begun ends, and one more leads out of any failure */
        if (x.held)
                chaos_hold(&x);
        if (x.away)
                chaos_store(&x);
        fake_store_fail(x.f.store, 0, 0);
        x.k.fail = 0;
        for (unsigned i = 0; i < 20; i++)
                settle(&x.f), sim_advance(x.f.w.sim, NSEC_PER_SEC);
        lu_operation(x.f.lu, &info);
        g_assert_true(info.kind == LU_OPERATION_NONE || info.failed);
        g_assert_cmpint(x.k.kept.kind, ==, info.kind);
        clear_attention(x.f.a, 1);
        expect_good(wait(sanitize(x.f.a, ERASE, NULL, 0)));
        all_bytes(&x.f, &zero, 1, 0);
        g_assert_cmpint(x.k.kept.kind, ==, LU_OPERATION_NONE);
        clear_attention(x.f.b, 1);
        expect_good(ready(x.f.b));
        teardown(&x.f);
}

static void test_chaos(void)
{
        for (uint64_t seed = 0; seed < 300; seed++) {
                g_test_message("seed %u", (unsigned)seed);
                chaos(seed);
        }
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/operation-end/sanitize-fails", test_sanitize_fails);
        g_test_add_func("/operation-end/exit", test_exit);
        g_test_add_func("/operation-end/format-fails", test_format_fails);
        g_test_add_func("/operation-end/write-protected", test_write_protected);
        g_test_add_func("/operation-end/keeper-fails", test_keeper_fails);
        g_test_add_func("/operation-end/keeper-fails-after-failure",
                        test_keeper_fails_after_failure);
        g_test_add_func("/operation-end/store-goes", test_store_goes);
        g_test_add_func("/operation-end/retired", test_retired);
        g_test_add_func("/operation-end/control-plane", test_control_plane);
        g_test_add_func("/operation-end/restart", test_restart);
        g_test_add_func("/operation-end/crash", test_crash);
        g_test_add_func("/operation-end/many", test_many);
        g_test_add_func("/operation-end/chaos", test_chaos);
        return g_test_run();
}
