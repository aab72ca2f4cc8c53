/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "one-nexus.h"

/* What a unit is: capacity, mode pages, medium, LUNs, statistics. */

static void test_capacity(void)
{
        LuConfig config = default_config;
        Fixture f;
        Command *c;

        config.lbppbe = 3;
        config.lowest_aligned = 1;
        setup(&f, &config);
        c = run_in(f.n, 1, CDB(0x25), 8);
        g_assert_cmpuint(get_be32(c->in), ==, SIZE / BS - 1);
        g_assert_cmpuint(get_be32(c->in + 4), ==, BS);
        expect_good(c);
        c = run_in(f.n, 1, CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32), 32);
        g_assert_cmpuint(get_be64(c->in), ==, SIZE / BS - 1);
        g_assert_cmphex(c->in[13], ==, 3);
        g_assert_cmphex(get_be16(c->in + 14), ==, 0xc001);
        expect_good(c);
        /* the file grew: seen when the control plane says so, and told to everybody */
        fake_store_set_size(f.store, SIZE * 2);
        unit_change(&f.w, f.lu, LU_CHANGE_SIZE, NULL, false, false);
        g_assert_cmpuint(lu_size(f.lu), ==, SIZE * 2);
        g_assert_cmphex(clear_attention(f.n, 1), ==, 0x2a09);
        unit_change(&f.w, f.lu, LU_CHANGE_SIZE, NULL, false, false);
        g_assert_cmphex(clear_attention(f.n, 1), ==, 0);
        c = run_in(f.n, 1, CDB(0x25), 8);
        g_assert_cmpuint(get_be32(c->in), ==, SIZE * 2 / BS - 1);
        expect_good(c);
        teardown(&f);
}

static void test_readonly(void)
{
        static const uint8_t writers[][2] = { { 0x0a, 6 },  { 0x2a, 10 }, { 0x2e, 10 },
                                              { 0x41, 10 }, { 0x42, 10 }, { 0x8a, 16 },
                                              { 0x8e, 16 }, { 0x93, 16 }, { 0xaa, 12 },
                                              { 0xae, 12 } };
        LuConfig config = default_config;
        Fixture f;
        Command *c;

        config.readonly = true;
        setup(&f, &config);
        for (size_t i = 0; i < ELEMENTSOF(writers); i++) {
                uint8_t cdb[16] = { writers[i][0] };

                cdb[8] = writers[i][1] == 10;
                cdb[13] = writers[i][1] == 16;
                expect_sense(run_in(f.n, 1, cdb, writers[i][1], 0), 0x072700);
        }
        c = run_in(f.n, 1, CDB(0x1a, 8, 0x3f, 0, 255, 0), 255);
        g_assert_cmphex(c->in[2], ==, 0x90);
        expect_good(c);
        unit_change(&f.w, f.lu, LU_CHANGE_STATE, NULL, false, true);
        g_assert_cmphex(clear_attention(f.n, 1), ==, 0x2a01);
        g_assert_true(good(f.n, 1, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0)));
        teardown(&f);
}

static void test_mode_select(void)
{
        uint8_t list[4 + 12] = { 0, 0, 0, 0 };
        Fixture f;
        TestNexus *other;
        Command *c;

        setup(&f, &default_config);
        other = nexus_new(&f.w, 0, f.map);
        clear_attention(other, 1);
        c = run_in(f.n, 1, CDB(0x1a, 8, 0x0a, 0, 255, 0), 255);
        memcpy(list + 4, c->in + 4, 12);
        command_free(c);
        list[4 + 4] |= 0x08;                                                          /* SWP */
        expect_sense(run_out(f.n, 1, CDB(0x15, 0, 0, 0, 16, 0), list, 16), 0x052400); /* PF */
        expect_good(run_out(f.n, 1, CDB(0x15, 0x10, 0, 0, 16, 0), list, 16));
        g_assert_cmphex(clear_attention(f.n, 1), ==, 0);
        g_assert_cmphex(clear_attention(other, 1), ==, 0x2a01);
        expect_sense(run_out(other, 1, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0),
                             fake_store_data(f.store), BS),
                     0x072700);
        /* the default is as it was */
        c = run_in(f.n, 1, CDB(0x1a, 8, 0x8a, 0, 255, 0), 255);
        g_assert_cmphex(c->in[4 + 4], ==, 0);
        command_free(c);
        list[4 + 4] = 0;
        list[4 + 2] |= 0x04; /* D_SENSE */
        expect_good(run_out(f.n, 1, CDB(0x15, 0x10, 0, 0, 16, 0), list, 16));
        g_assert_cmphex(clear_attention(other, 1), ==, 0x2a01);
        c = run_in(f.n, 1, CDB(0x28, 0, 0xff, 0, 0, 0, 0, 0, 1, 0), BS);
        g_assert_cmphex(c->task.sense[0], ==, 0x72);
        expect_sense(c, 0x052100);
        /* what may not change is named by its place */
        list[4 + 3] ^= 0x10;
        c = run_out(f.n, 1, CDB(0x15, 0x10, 0, 0, 16, 0), list, 16);
        g_assert_cmpuint(get_be16(c->task.sense + 13), ==, 7);
        g_assert_cmphex(c->task.sense[12], ==, 0x80);
        expect_sense(c, 0x052600);
        /* cut lists and unknown pages */
        for (unsigned n = 1; n < 16; n++)
                if (n != 4)
                        expect_sense(run_out(f.n, 1, CDB(0x15, 0x10, 0, 0, (uint8_t)n, 0), list, n),
                                     0x051a00);
        list[4] = 0x33;
        expect_sense(run_out(f.n, 1, CDB(0x15, 0x10, 0, 0, 16, 0), list, 16), 0x052600);
        /* nothing changed: nobody is told */
        g_assert_cmphex(clear_attention(other, 1), ==, 0);
        nexus_free(other);
        teardown(&f);
}

/* The write cache off by MODE SELECT(10): flushed before that is acknowledged. */
/* What was under way when the cache went off is answered after the answer to that, and has to be as
 * stable as what comes later. */
static void test_write_cache_off_under_way(void)
{
        static uint8_t data[BS], pattern[BS] = { 7 };
        static const struct {
                uint8_t cdb[16];
                unsigned length;
                const uint8_t *out;
        } writes[] = {
                { { 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0 }, 10, data },
                { { 0x93, 0, [13] = 1 }, 16, pattern },
                { { 0x93, 0, [13] = 1 }, 16, data },
        };
        Fixture f;

        for (size_t i = 0; i < ELEMENTSOF(writes); i++) {
                Command *c;
                unsigned before;

                setup(&f, &default_config);
                fake_store_hold(f.store);
                c = command_new(f.n, 1, writes[i].cdb, writes[i].length);
                command_out(c, writes[i].out, BS);
                command_start(c);
                sim_run(f.w.sim);
                g_assert_cmpuint(fake_store_held(f.store), ==, 1);
                unit_change(&f.w, f.lu, LU_CHANGE_STATE, NULL, false, false);
                before = fake_store_stats(f.store).flushes;
                fake_store_release(f.store);
                command_wait(c);
                g_assert_cmpuint(fake_store_stats(f.store).flushes, ==, before + 1);
                expect_good(c);
                teardown(&f);
        }
}

static void test_write_cache_off(void)
{
        uint8_t list[8 + 16 + 20] = { [4] = 1, [7] = 16 };
        Fixture f;
        Command *c;

        setup(&f, &default_config);
        c = run_in(f.n, 1, CDB(0x5a, 0x10, 0x08, 0, 0, 0, 0, 0, 255, 0), 255);
        g_assert_cmpuint(c->in_length, ==, sizeof(list));
        g_assert_cmphex(c->in[4], ==, 1);
        g_assert_cmpuint(get_be64(c->in + 8), ==, SIZE / BS);
        memcpy(list + 8, c->in + 8, 36);
        expect_good(c);
        list[24 + 2] &= 0xfb;
        expect_good(run_out(f.n, 1, CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, sizeof(list), 0), list,
                            sizeof(list)));
        g_assert_cmpuint(fake_store_stats(f.store).flushes, ==, 1);
        expect_good(run_out(f.n, 1, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), fake_store_data(f.store),
                            BS));
        g_assert_cmpuint(fake_store_stats(f.store).fua, ==, 1);
        /* another block size is refused */
        put_be32(list + 20, 4096);
        expect_sense(run_out(f.n, 1, CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 24, 0), list, 24), 0x052600);
        teardown(&f);
}

static void test_removable(void)
{
        LuConfig config = default_config;
        TestNexus *other;
        Fixture f;

        setup(&f, &default_config);
        expect_sense(run_in(f.n, 1, CDB(0x1b, 0, 0, 0, 2, 0), 0), 0x052400);
        g_assert_true(good(f.n, 1, CDB(0x1b, 0, 0, 0, 0, 0)));
        g_assert_cmpuint(fake_store_stats(f.store).flushes, ==, 1);
        g_assert_true(good(f.n, 1, CDB(0x1b, 0, 0, 0, 4, 0)));
        g_assert_cmpuint(fake_store_stats(f.store).flushes, ==, 1);
        teardown(&f);

        config.removable = true;
        setup(&f, &config);
        other = nexus_new(&f.w, 0, f.map);
        clear_attention(other, 1);
        for (uint8_t pc = 1; pc < 16; pc++)
                g_assert_true(good(f.n, 1, CDB(0x1b, 1, 0, 0, (uint8_t)(pc << 4 | 2), 0)));
        g_assert_true(good(f.n, 1, CDB(0)));
        g_assert_true(good(other, 1, CDB(0x1e, 0, 0, 0, 1, 0)));
        g_assert_true(good(other, 1, CDB(0x1e, 0, 0, 0, 1, 0)));
        expect_sense(run_in(f.n, 1, CDB(0x1b, 0, 0, 0, 2, 0), 0), 0x055302);
        g_assert_true(good(other, 1, CDB(0x1e, 0, 0, 0, 0, 0)));
        g_assert_true(good(f.n, 1, CDB(0x1b, 0, 0, 0, 2, 0)));
        expect_sense(run_in(f.n, 1, CDB(0), 0), 0x023a00);
        expect_sense(run_in(other, 1, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), BS), 0x023a00);
        /* loading is prevented as well; a nexus that goes prevents no longer */
        g_assert_true(good(other, 1, CDB(0x1e, 0, 0, 0, 1, 0)));
        expect_sense(run_in(f.n, 1, CDB(0x1b, 0, 0, 0, 3, 0), 0), 0x055302);
        nexus_free(other);
        g_assert_true(good(f.n, 1, CDB(0x1b, 0, 0, 0, 3, 0)));
        g_assert_true(good(f.n, 1, CDB(0)));
        teardown(&f);
}

static void test_no_store(void)
{
        LuConfig config = default_config;
        Fixture f;
        Command *c;

        setup(&f, &config);
        unit_change(&f.w, f.lu, LU_CHANGE_STORE, NULL, false, false);
        expect_sense(run_in(f.n, 1, CDB(0), 0), 0x020400);
        expect_sense(run_in(f.n, 1, CDB(0x25), 8), 0x020400);
        c = run_in(f.n, 1, CDB(0x03, 0, 0, 0, 255, 0), 255);
        g_assert_cmphex(c->in[2], ==, 2);
        expect_good(c);
        g_assert_true(good(f.n, 1, CDB(0x12, 0, 0, 0, 255, 0)));
        unit_change(&f.w, f.lu, LU_CHANGE_STORE, f.store, false, false);
        g_assert_cmphex(clear_attention(f.n, 1), ==, 0x2800);
        g_assert_true(good(f.n, 1, CDB(0)));
        unit_change(&f.w, f.lu, LU_CHANGE_RETIRE, NULL, false, false);
        expect_sense(run_in(f.n, 1, CDB(0), 0), 0x052500);
        c = run_in(f.n, 1, CDB(0x12, 0, 0, 0, 255, 0), 255);
        g_assert_cmphex(c->in[0], ==, 0x7f);
        expect_good(c);
        teardown(&f);
}

static void test_luns(void)
{
        LunMapEntry entries[3];
        Fixture f;
        TestNexus *n;
        LunMap *map;
        Command *c;

        setup(&f, &default_config);
        /* the controller */
        c = run_in(f.n, 0, CDB(0x12, 0, 0, 0, 255, 0), 255);
        g_assert_cmphex(c->in[0], ==, 0x0c);
        expect_good(c);
        clear_attention(f.n, 0);
        g_assert_true(good(f.n, 0, CDB(0)));
        expect_sense(run_in(f.n, 0, CDB(0x28), 0), 0x052000);
        /* nobody */
        c = run_in(f.n, 7, CDB(0x12, 0, 0, 0, 255, 0), 255);
        g_assert_cmphex(c->in[0], ==, 0x7f);
        expect_good(c);
        expect_sense(run_in(f.n, 7, CDB(0), 0), 0x052500);
        expect_sense(run_in(f.n, 7, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64), 64), 0x052500);
        c = run_in(f.n, 7, CDB(0x03, 0, 0, 0, 255, 0), 255);
        g_assert_cmphex(c->in[12], ==, 0x25);
        expect_good(c);
        /* the well-known unit */
        c = run_in(f.n, LUN_REPORT_LUNS, CDB(0x12, 0, 0, 0, 255, 0), 255);
        g_assert_cmphex(c->in[0], ==, 0x1e);
        expect_good(c);
        c = run_in(f.n, LUN_REPORT_LUNS, CDB(0xa0, 0, 2, 0, 0, 0, 0, 0, 0, 64), 64);
        g_assert_cmpuint(get_be32(c->in), ==, 24);
        g_assert_cmphex(get_be64(c->in + 8), ==, 0);
        g_assert_cmphex(get_be64(c->in + 16), ==, UINT64_C(1) << 48);
        g_assert_cmphex(get_be64(c->in + 24), ==, UINT64_C(0xc101) << 48);
        expect_good(c);
        c = run_in(f.n, 0, CDB(0xa0, 0, 1, 0, 0, 0, 0, 0, 0, 64), 64);
        g_assert_cmpuint(get_be32(c->in), ==, 8);
        expect_good(c);
        expect_sense(run_in(f.n, 0, CDB(0xa0, 0, 3, 0, 0, 0, 0, 0, 0, 64), 64), 0x052400);
        /* a unit at LUN 0, and one that needs flat addressing; one unit may have two LUNs */
        entries[0] = (LunMapEntry){ 0, f.lu };
        entries[1] = (LunMapEntry){ 300, f.lu };
        entries[2] = (LunMapEntry){ 16383, f.lu };
        g_assert_cmpint(lun_map_new(entries, 3, &map), ==, 0);
        n = nexus_new(&f.w, 0, map);
        c = run_in(n, 0, CDB(0x12, 0, 0, 0, 255, 0), 255);
        g_assert_cmphex(c->in[0], ==, 0);
        expect_good(c);
        c = run_in(n, 0, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64), 64);
        g_assert_cmpuint(get_be32(c->in), ==, 24);
        g_assert_cmphex(get_be64(c->in + 16), ==, UINT64_C(0x412c) << 48);
        g_assert_cmphex(get_be64(c->in + 24), ==, UINT64_C(0x7fff) << 48);
        expect_good(c);
        clear_attention(n, 16383);
        g_assert_true(good(n, 16383, CDB(0)));
        entries[1].lun = 0;
        LunMap *bad;
        g_assert_cmpint(lun_map_new(entries, 3, &bad), ==, -EINVAL);
        nexus_free(n);
        lun_map_unref(map);
        teardown(&f);
}

static void test_lun_codes(void)
{
        static const struct {
                uint8_t lun[8];
                uint32_t number;
        } cases[] = {
                { { 0, 5 }, 5 },           { { 0x40, 5 }, 5 },
                { { 0x41, 0x2c }, 300 },   { { 0x7f, 0xff }, 16383 },
                { { 1, 5 }, LUN_NONE },    { { 0x80, 5 }, LUN_NONE },
                { { 0xc1, 1 }, 0xc101 },   { { 0xc1, 2 }, LUN_NONE },
                { { 0, 5, 1 }, LUN_NONE }, { { 0, 5, 0, 0, 0, 0, 0, 1 }, LUN_NONE },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                g_assert_cmphex(lun_decode(cases[i].lun), ==, cases[i].number);
        for (unsigned lun = 0; lun < 16384; lun++) {
                uint8_t code[8];

                lun_encode((uint16_t)lun, code);
                g_assert_cmpuint(lun_decode(code), ==, lun);
        }
}

static void test_4k(void)
{
        static uint8_t data[2 * 4096];
        LuConfig config = default_config;
        Fixture f;
        Command *c;

        config.block_size = 4096;
        setup(&f, &config);
        fill(data, sizeof(data), 5);
        expect_good(run_out(f.n, 1, CDB(0x2a, 0, 0, 0, 0, 3, 0, 0, 2, 0), data, sizeof(data)));
        g_assert_cmpmem(fake_store_data(f.store) + 3 * 4096, sizeof(data), data, sizeof(data));
        c = run_in(f.n, 1, CDB(0x25), 8);
        g_assert_cmpuint(get_be32(c->in), ==, SIZE / 4096 - 1);
        g_assert_cmpuint(get_be32(c->in + 4), ==, 4096);
        expect_good(c);
        teardown(&f);
}

static void test_stats(void)
{
        uint8_t data[BS] = {};
        LuStats s;
        Fixture f;

        setup(&f, &default_config);
        expect_good(run_out(f.n, 1, CDB(0x2a, 0, 0, 0, 0, 3, 0, 0, 1, 0), data, BS));
        expect_good(run_in(f.n, 1, CDB(0x28, 0, 0, 0, 0, 3, 0, 0, 1, 0), BS));
        lu_stats(f.lu, &s);
        g_assert_cmpuint(s.reads, ==, 1);
        g_assert_cmpuint(s.writes, ==, 1);
        g_assert_cmpuint(s.read_bytes, ==, BS);
        g_assert_cmpuint(s.write_bytes, ==, BS);
        g_assert_cmpuint(s.in_flight, ==, 0);
        g_assert_cmpuint(s.errors, ==, 0);
        expect_sense(run_in(f.n, 1, CDB(0x28, 0, 0xff, 0, 0, 3, 0, 0, 1, 0), BS), 0x052100);
        lu_stats(f.lu, &s);
        g_assert_cmpuint(s.errors, ==, 1);
        teardown(&f);
}

/* No buffer: TASK SET FULL, and everything is given back. */
static void test_no_memory(void)
{
        static uint8_t data[64 * KIB];
        Fixture f;
        Command *c;

        setup(&f, &default_config);
        f.w.budget.left = 8 * KIB;
        c = run_out(f.n, 1, CDB(0x2a, 0, 0, 0, 0, 3, 0, 0, 128, 0), data, sizeof(data));
        g_assert_cmpint(c->task.status, ==, SCSI_TASK_SET_FULL);
        command_free(c);
        c = run_in(f.n, 1, CDB(0x28, 0, 0, 0, 0, 3, 0, 0, 128, 0), sizeof(data));
        g_assert_cmpint(c->task.status, ==, SCSI_TASK_SET_FULL);
        command_free(c);
        expect_good(run_in(f.n, 1, CDB(0x28, 0, 0, 0, 0, 3, 0, 0, 8, 0), 4096));
        f.w.budget.left += 512 * MIB;
        teardown(&f);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/scsi/unit/capacity", test_capacity);
        g_test_add_func("/scsi/unit/readonly", test_readonly);
        g_test_add_func("/scsi/unit/mode-select", test_mode_select);
        g_test_add_func("/scsi/unit/write-cache-off", test_write_cache_off);
        g_test_add_func("/scsi/unit/write-cache-off-under-way", test_write_cache_off_under_way);
        g_test_add_func("/scsi/unit/removable", test_removable);
        g_test_add_func("/scsi/unit/no-store", test_no_store);
        g_test_add_func("/scsi/unit/luns", test_luns);
        g_test_add_func("/scsi/unit/lun-codes", test_lun_codes);
        g_test_add_func("/scsi/unit/4k", test_4k);
        g_test_add_func("/scsi/unit/stats", test_stats);
        g_test_add_func("/scsi/unit/no-memory", test_no_memory);
        return g_test_run();
}
