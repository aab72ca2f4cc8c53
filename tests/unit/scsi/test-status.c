/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "one-nexus.h"

/* GET LBA STATUS over a store whose pages of zeros take no room. */

#define PAGE 4096

static Command *ask(Fixture *f, uint64_t lba, uint32_t allocation)
{
        uint8_t cdb[16] = { 0x9e, 0x12 };

        put_be64(cdb + 2, lba);
        put_be32(cdb + 10, allocation);
        return run_in(f->n, 1, cdb, 16, allocation);
}

/* expected: LBA, blocks, status; ends with blocks 0. */
static void expect(Fixture *f, uint64_t lba, uint32_t allocation, const uint64_t (*expected)[3])
{
        Command *c = ask(f, lba, allocation);
        unsigned n = 0;

        g_assert_cmphex(c->task.status, ==, SCSI_GOOD);
        for (; expected[n][1]; n++) {
                const uint8_t *d = c->in + 8 + n * 16;

                g_assert_cmpuint(get_be64(d), ==, expected[n][0]);
                g_assert_cmpuint(get_be32(d + 8), ==, expected[n][1]);
                g_assert_cmpuint(d[12], ==, expected[n][2]);
        }
        g_assert_cmpuint(get_be32(c->in), ==, 4 + n * 16);
        g_assert_cmpuint(c->in_length, ==, MIN(allocation, 8 + n * 16));
        command_free(c);
}

static void test_extents(void)
{
        const uint64_t blocks = SIZE / BS;
        Fixture f;

        setup(&f, &default_config);
        expect(&f, 0, 4096, (const uint64_t[][3]){ { 0, blocks, 1 }, {} });
        memset(fake_store_data(f.store) + 2 * PAGE, 1, PAGE);
        memset(fake_store_data(f.store) + SIZE - PAGE, 1, PAGE);
        expect(&f, 0, 4096,
               (const uint64_t[][3]){ { 0, 16, 1 },
                                      { 16, 8, 0 },
                                      { 24, blocks - 32, 1 },
                                      { blocks - 8, 8, 0 },
                                      {} });
        expect(&f, 20, 4096,
               (const uint64_t[][3]){
                       { 20, 4, 0 }, { 24, blocks - 32, 1 }, { blocks - 8, 8, 0 }, {} });
        /* as many as there is room for, and one at least */
        expect(&f, 3, 8 + 2 * 16, (const uint64_t[][3]){ { 3, 13, 1 }, { 16, 8, 0 }, {} });
        expect(&f, 3, 24, (const uint64_t[][3]){ { 3, 13, 1 }, {} });
        expect(&f, blocks - 1, 24, (const uint64_t[][3]){ { blocks - 1, 1, 0 }, {} });
        /* what UNMAP has taken away is gone */
        expect_good(run_out(f.n, 1, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0),
                            (const uint8_t[24]){ [1] = 22, [3] = 16, [15] = 16, [19] = 8 }, 24));
        expect(&f, 0, 24, (const uint64_t[][3]){ { 0, blocks - 8, 1 }, {} });
        teardown(&f);
}

/* More pieces than one answer has. */
static void test_many(void)
{
        Fixture f;
        Command *c;

        setup(&f, &default_config);
        for (unsigned i = 0; i < 200; i += 2)
                memset(fake_store_data(f.store) + (size_t)i * PAGE, 1, PAGE);
        c = ask(&f, 0, 65535);
        g_assert_cmpuint(get_be32(c->in), ==, 4 + 64 * 16);
        for (unsigned i = 0; i < 64; i++) {
                g_assert_cmpuint(get_be64(c->in + 8 + i * 16), ==, i * 8);
                g_assert_cmpuint(get_be32(c->in + 16 + i * 16), ==, 8);
                g_assert_cmpuint(c->in[20 + i * 16], ==, i % 2);
        }
        command_free(c);
        teardown(&f);
}

static void test_errors(void)
{
        LuConfig thick = default_config;
        Fixture f;
        Command *c;

        setup(&f, &default_config);
        expect_sense(ask(&f, SIZE / BS, 24), 0x052100);
        expect_sense(ask(&f, UINT64_MAX, 24), 0x052100);
        fake_store_fail(f.store, 1u << STORE_READ, -EIO);
        c = ask(&f, 0, 24);
        g_assert_cmphex(sense_of(c) >> 16, ==, SENSE_MEDIUM_ERROR);
        command_free(c);
        teardown(&f);

        thick.thin = LU_THICK; /* has no such command */
        setup(&f, &thick);
        expect_sense(ask(&f, 0, 24), 0x052400);
        teardown(&f);
}

/* Given up while the job is under way: it has nobody to tell. */
static void test_given_up(void)
{
        Fixture f;

        setup(&f, &default_config);
        for (unsigned i = 0; i < 20; i++) {
                Command *c =
                        command_new(f.n, 1, CDB(0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24));

                command_in(c, 24);
                command_start(c);
                run_tmf(f.n, TMF_LOGICAL_UNIT_RESET, 1, 0);
                command_wait(c);
                command_free(c);
                clear_attention(f.n, 1);
        }
        teardown(&f);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/status/extents", test_extents);
        g_test_add_func("/status/many", test_many);
        g_test_add_func("/status/errors", test_errors);
        g_test_add_func("/status/given-up", test_given_up);
        return g_test_run();
}
