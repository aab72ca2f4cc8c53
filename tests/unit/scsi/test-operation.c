/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "operation.h"

/* FORMAT UNIT and SANITIZE: what they take, what they write, and who is told what meanwhile. */

/* ---- what is written ------------------------------------------------------------------------- */

static void test_overwrite(void)
{
        uint8_t list[4 + BS], pattern[BS];
        const size_t lengths[] = { 1, 3, 4, BS - 1, BS };
        Fixture f;
        Keeper k;

        for (size_t i = 0; i < BS; i++)
                pattern[i] = (uint8_t)(i * 5 + 1);
        for (size_t i = 0; i < ELEMENTSOF(lengths); i++) {
                size_t n = overwrite_list(list, 1, pattern, lengths[i]);

                begin(&f, &k);
                expect_good(wait(sanitize(f.a, OVERWRITE, list, n)));
                all_bytes(&f, pattern, lengths[i], 0);
                g_assert_cmpuint(fake_store_stats(f.store).flushes, ==, 1);
                g_assert_cmpint(k.kept.kind, ==, LU_OPERATION_NONE);
                g_assert_cmpuint(k.n_kept, ==, 2);
                expect_good(ready(f.a));
                teardown(&f);
        }
}

/* Each pass is on the medium before the next one begins; the last is the pattern itself, so with
 * INVERT the first of an even number is inverted (SBC-4 5.37.3). */
static void test_passes(void)
{
        static const uint8_t pattern[4] = { 0x12, 0x34, 0x56, 0x78 };
        uint8_t list[8];
        Fixture f;
        Keeper k;

        for (uint8_t passes = 1; passes <= 31; passes += 6)
                for (unsigned invert = 0; invert < 2; invert++) {
                        size_t n =
                                overwrite_list(list, (uint8_t)(invert << 7 | passes), pattern, 4);
                        unsigned before, writes = 0;
                        Command *c;

                        begin(&f, &k);
                        fake_store_hold(f.store);
                        c = sanitize(f.a, OVERWRITE, list, n);
                        for (uint8_t pass = 0; pass < passes; pass++) {
                                uint8_t mask = invert && ((passes - 1 - pass) & 1) ? 0xff : 0;

                                before = fake_store_stats(f.store).flushes;
                                sim_run(f.w.sim);
                                while (fake_store_stats(f.store).flushes == before) {
                                        g_assert_true(fake_store_release_one(f.store, 0));
                                        writes++;
                                        sim_run(f.w.sim);
                                        sim_advance(f.w.sim, NSEC_PER_MSEC);
                                }
                                all_bytes(&f, pattern, 4, mask);
                                g_assert_true(fake_store_release_one(f.store, 0));
                                sim_run(f.w.sim);
                                sim_advance(f.w.sim, NSEC_PER_MSEC);
                        }
                        expect_good(wait(c));
                        g_assert_cmpuint(writes, >=, passes);
                        fake_store_release(f.store);
                        teardown(&f);
                }
}

static void test_overwrite_lists(void)
{
        static const struct {
                uint8_t head[4];
                size_t length; /* of the list */
                uint32_t sense;
                uint16_t field;
        } cases[] = {
                { { 1, 0, 0, 4 }, 0, 0x052400, 7 },    { { 1, 0, 0, 4 }, 3, 0x052400, 7 },
                { { 1, 0, 0, 4 }, 4, 0x052400, 7 },    { { 1, 0, 0, 4 }, BS + 5, 0x052400, 7 },
                { { 0, 0, 0, 4 }, 8, 0x052600, 0 },    /* no passes */
                { { 0x21, 0, 0, 4 }, 8, 0x052600, 0 }, /* TEST */
                { { 0x41, 0, 0, 4 }, 8, 0x052600, 0 }, { { 1, 1, 0, 4 }, 8, 0x052600, 1 },
                { { 1, 0x80, 0, 4 }, 8, 0x052600, 1 }, { { 1, 0, 0, 0 }, 8, 0x052600, 2 },
                { { 1, 0, 0, 5 }, 8, 0x052600, 2 },    { { 1, 0, 2, 1 }, BS + 4, 0x052600, 2 },
        };
        uint8_t list[BS + 8] = {};
        Fixture f;
        Keeper k;

        begin(&f, &k);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Command *c;

                memcpy(list, cases[i].head, 4);
                c = wait(sanitize(f.a, OVERWRITE, list, cases[i].length));
                g_assert_cmphex(sense_of(c), ==, cases[i].sense);
                g_assert_cmpuint(get_be16(c->task.sense + 16), ==, cases[i].field);
                command_free(c);
        }
        /* there are no keys to forget, and no zones */
        expect_sense(wait(sanitize(f.a, CRYPTO, NULL, 0)), 0x052400);
        expect_sense(wait(sanitize(f.a, ERASE | 0x40, NULL, 0)), 0x052400);
        expect_sense(wait(sanitize(f.a, ERASE, list, 8)), 0x052400);
        expect_sense(wait(sanitize(f.a, EXIT, list, 8)), 0x052400);
        expect_good(wait(sanitize(f.a, EXIT, NULL, 0))); /* nothing has failed */
        g_assert_cmpuint(fake_store_stats(f.store).submitted, ==, 0);
        g_assert_cmpuint(k.n_kept, ==, 0);
        teardown(&f);
}

static void test_erase(void)
{
        static const uint8_t zero;
        Fixture f;
        Keeper k;
        Command *c;

        begin(&f, &k);
        expect_good(wait(sanitize(f.a, ERASE, NULL, 0)));
        all_bytes(&f, &zero, 1, 0);
        /* what is read afterwards is read without an error, and the VPD page says so */
        c = run_in(f.a, 1, CDB(0x12, 1, 0xb1, 0, 255, 0), 255);
        g_assert_cmphex(c->in[7], ==, 0x40);
        command_free(c);
        expect_good(run_in(f.a, 1, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 8, 0), 8 * BS));
        teardown(&f);
}

static void test_format(void)
{
        static const uint8_t zero, pattern[3] = { 7, 8, 9 };
        static const uint8_t short_list[] = { 0, 0x88, 0, 0, 0, 1, 0, 3, 7, 8, 9 };
        static const uint8_t long_list[] = { 0, 0xf8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 3, 7, 8, 9 };
        static const uint8_t fixed[] = { 0, 0x88, 0, 0, 0, 0, 0, 0 };
        Fixture f;
        Keeper k;

        begin(&f, &k);
        expect_good(wait(format(f.a, 0, NULL, 0)));
        all_bytes(&f, &zero, 1, 0);
        expect_good(wait(format(f.a, 0x10, short_list, sizeof(short_list))));
        all_bytes(&f, pattern, 3, 0);
        expect_good(wait(format(f.a, 0x10, fixed, sizeof(fixed))));
        all_bytes(&f, &zero, 1, 0);
        expect_good(wait(format(f.a, 0x38, long_list, sizeof(long_list))));
        all_bytes(&f, pattern, 3, 0);
        expect_good(wait(format(f.a, 0x18, fixed, 4 + 4)));
        expect_good(wait(format(f.a, 0x10, &(uint8_t[4]){}, 4)));
        teardown(&f);
}

static void test_format_lists(void)
{
        static const struct {
                uint8_t bits;
                uint8_t list[16];
                size_t length;
                uint32_t sense;
                int field;
        } cases[] = {
                { 0x40, {}, 0, 0x052400, 1 },    /* FMTPINFO */
                { 0x14, { 0 }, 4, 0x052400, 1 }, /* a format of defects */
                { 0x20, {}, 0, 0x052400, 1 },    /* LONGLIST without FMTDATA */
                { 0x10, {}, 0, 0x051a00, -1 },   /* no list */
                { 0x10, { 0 }, 3, 0x051a00, -1 },
                { 0x30, { 0 }, 7, 0x051a00, -1 },
                { 0x10, { 1 }, 4, 0x052600, 0 },              /* PROTECTION FIELD USAGE */
                { 0x10, { 0, 0x80, 0, 8 }, 12, 0x052600, 2 }, /* defects */
                { 0x30, { 0, 0x80, 0, 0, 0, 0, 0, 8 }, 16, 0x052600, 4 },
                { 0x30, { 0, 0x80, 1, 0, 0, 0, 0, 0 }, 8, 0x052600, 2 },
                { 0x30, { 0, 0x80, 0, 3, 0, 0, 0, 0 }, 8, 0x052600, 3 },
                { 0x10, { 0, 0x08 }, 8, 0x052600, 1 }, /* IP without FOV */
                { 0x10, { 0, 0x40 }, 4, 0x052600, 1 },
                { 0x10, { 0, 0x84 }, 4, 0x052600, 1 },             /* obsolete */
                { 0x10, { 0, 0x81 }, 4, 0x052600, 1 },             /* vendor's */
                { 0x10, { 0, 0x88, 0, 0 }, 7, 0x051a00, -1 },      /* half a descriptor */
                { 0x10, { 0, 0x88, 0, 0, 0x20 }, 8, 0x052600, 4 }, /* SI */
                { 0x10, { 0, 0x88, 0, 0, 0, 2 }, 8, 0x052600, 5 }, /* type */
                { 0x10, { 0, 0x88, 0, 0, 0, 0, 0, 1 }, 9, 0x052600, 6 },
                { 0x10, { 0, 0x88, 0, 0, 0, 1, 0, 0 }, 9, 0x052600, 6 },
                { 0x10, { 0, 0x88, 0, 0, 0, 1, 2, 1 }, 16, 0x052600, 6 },
                { 0x10, { 0, 0x88, 0, 0, 0, 1, 0, 5 }, 12, 0x051a00, -1 },
        };
        Fixture f;
        Keeper k;

        begin(&f, &k);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Command *c = wait(format(f.a, cases[i].bits, cases[i].list, cases[i].length));

                if (sense_of(c) != cases[i].sense)
                        g_error("case %zu: %06x", i, sense_of(c));
                if (cases[i].field >= 0)
                        g_assert_cmpuint(get_be16(c->task.sense + 16), ==, cases[i].field);
                command_free(c);
        }
        g_assert_cmpuint(fake_store_stats(f.store).submitted, ==, 0);
        teardown(&f);
}

/* ---- meanwhile ------------------------------------------------------------------------------- */

static void meanwhile(bool is_format)
{
        uint8_t list[4 + 2] = { 4, 0, 0, 2, 1, 2 };
        static const uint8_t immed[4] = { 0, 0x02 };
        uint32_t sense = is_format ? FORMATTING : IN_PROGRESS;
        unsigned last = 0, a = 0;
        LuOperationInfo info;
        Fixture f;
        Keeper k;

        begin(&f, &k);
        fake_store_hold(f.store);
        k.hold = true;
        Command *c = is_format ? format(f.a, 0x10, immed, 4)
                               : sanitize(f.a, OVERWRITE | IMMED, list, sizeof(list));
        settle(&f);
        /* not before it is remembered */
        g_assert_cmpint(c->outcome, ==, PENDING);
        g_assert_cmpuint(fake_store_stats(f.store).submitted, ==, 0);
        in_progress(f.b, sense, &last);
        k.hold = false;
        lu_kept(TAKE_PTR(k.waits), 0);
        expect_good(wait(c));
        g_assert_cmpint(k.kept.kind, ==, is_format ? LU_OPERATION_FORMAT : LU_OPERATION_OVERWRITE);
        for (unsigned i = 0; i < (is_format ? 1 : 6); i++) {
                in_progress(f.a, sense, &a);
                in_progress(f.b, sense, &last);
                lu_operation(f.lu, &info);
                g_assert_cmpint(info.kind, ==, k.kept.kind);
                g_assert_cmpuint(info.total, ==, SIZE * (is_format ? 1 : 4));
                step(&f);
        }
        g_assert_true(is_format || last > 0);
        fake_store_release(f.store);
        settle(&f);
        sim_advance(f.w.sim, NSEC_PER_SEC);
        /* the others are told that what they knew of the medium is over */
        expect_good(ready(f.a));
        expect_sense(ready(f.b), 0x062800);
        expect_good(ready(f.b));
        lu_operation(f.lu, &info);
        g_assert_cmpint(info.kind, ==, LU_OPERATION_NONE);
        teardown(&f);
}

static void test_meanwhile(void)
{
        meanwhile(false);
        meanwhile(true);
}

/* Commands that are under way end, and what the store has of them comes before the sanitize. */
static void test_under_way(void)
{
        static const uint8_t zero;
        Command *write, *read, *c;
        Fixture f;
        Keeper k;

        begin(&f, &k);
        fake_store_hold(f.store);
        write = write_block(f.b, 9, 'w');
        read = read_start(f.a, 3);
        settle(&f);
        g_assert_cmpuint(fake_store_held(f.store), ==, 2);
        c = sanitize(f.a, ERASE, NULL, 0);
        expect_sense(wait(write), IN_PROGRESS);
        expect_sense(wait(read), IN_PROGRESS);
        settle(&f);
        g_assert_cmpuint(fake_store_stats(f.store).submitted, ==, 2);
        g_assert_cmpint(c->outcome, ==, PENDING);
        fake_store_release(f.store);
        expect_good(wait(c));
        all_bytes(&f, &zero, 1, 0);
        teardown(&f);
}

/* Where the store does everything at once, others have their turns all the same. */
static void test_fast_store(void)
{
        uint8_t list[5] = { 31, 0, 0, 1, 0xaa };
        unsigned n = 0;
        Command *c;
        Fixture f;
        Keeper k;

        begin(&f, &k);
        fake_store_delay(f.store, 0);
        c = sanitize(f.a, OVERWRITE, list, sizeof(list));
        while (c->outcome == PENDING) {
                Command *t = ready(f.a);

                if (sense_of(t) == IN_PROGRESS)
                        n++;
                command_free(t);
        }
        expect_good(wait(c));
        g_assert_cmpuint(n, >, 10);
        teardown(&f);
}

static void test_reset(void)
{
        uint8_t list[5] = { 8, 0, 0, 1, 0xaa };
        const TmfFunction functions[] = { TMF_ABORT_TASK_SET,     TMF_CLEAR_TASK_SET,
                                          TMF_LOGICAL_UNIT_RESET, TMF_TARGET_WARM_RESET,
                                          TMF_TARGET_COLD_RESET,  TMF_I_T_NEXUS_RESET };
        unsigned last = 0;
        Command *c;
        Fixture f;
        Keeper k;

        begin(&f, &k);
        fake_store_hold(f.store);
        c = sanitize(f.a, OVERWRITE, list, sizeof(list));
        settle(&f);
        g_assert_cmpint(run_tmf(f.a, TMF_ABORT_TASK, 1, c->task.tag), ==, TMF_COMPLETE);
        g_assert_cmpint(c->outcome, ==, ABORTED);
        command_free(c);
        for (size_t i = 0; i < ELEMENTSOF(functions); i++) {
                run_tmf(f.a, functions[i], 1, 0);
                clear_attention(f.a, 1);
                in_progress(f.a, IN_PROGRESS, &last);
                step(&f);
        }
        /* and when nobody is there any more */
        nexus_free(f.a);
        nexus_free(f.b);
        f.b = NULL;
        step(&f);
        step(&f);
        f.a = nexus_new(&f.w, 0, f.map);
        clear_attention(f.a, 1);
        in_progress(f.a, IN_PROGRESS, &last);
        fake_store_release(f.store);
        settle(&f);
        sim_advance(f.w.sim, NSEC_PER_SEC);
        clear_attention(f.a, 1);
        expect_good(ready(f.a));
        all_bytes(&f, list + 4, 1, 0);
        g_assert_cmpint(k.kept.kind, ==, LU_OPERATION_NONE);
        teardown(&f);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/operation/overwrite", test_overwrite);
        g_test_add_func("/operation/passes", test_passes);
        g_test_add_func("/operation/overwrite-lists", test_overwrite_lists);
        g_test_add_func("/operation/erase", test_erase);
        g_test_add_func("/operation/format", test_format);
        g_test_add_func("/operation/format-lists", test_format_lists);
        g_test_add_func("/operation/meanwhile", test_meanwhile);
        g_test_add_func("/operation/under-way", test_under_way);
        g_test_add_func("/operation/fast-store", test_fast_store);
        g_test_add_func("/operation/reset", test_reset);
        return g_test_run();
}
