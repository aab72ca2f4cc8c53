/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "one-nexus.h"

/* What each command means, on a store that keeps what it is given. */

static void test_read_write(void)
{
        static const unsigned sizes[] = { 6, 10, 12, 16 };
        static uint8_t data[256 * BS];
        Fixture f;

        setup(&f, &default_config);
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                for (unsigned n = 1; n <= 256; n += 85) {
                        uint64_t lba = 100 * i + n;
                        uint8_t cdb[16];
                        size_t k = rw_cdb(cdb, sizes[i], true, lba, n);
                        Command *c;

                        fill(data, n * BS, (uint8_t)(i + n));
                        c = run_out(f.n, 1, cdb, k, data, n * BS);
                        g_assert_cmpuint(c->task.out_wanted, ==, n * BS);
                        expect_good(c);
                        g_assert_cmpmem(fake_store_data(f.store) + lba * BS, n * BS, data, n * BS);
                        k = rw_cdb(cdb, sizes[i], false, lba, n);
                        c = run_in(f.n, 1, cdb, k, n * BS);
                        g_assert_cmpmem(c->in, (int)c->in_length, data, n * BS);
                        g_assert_cmpuint(c->task.in_wanted, ==, n * BS);
                        expect_good(c);
                }
        }
        teardown(&f);
}

/* READ(6) and WRITE(6) of 0 blocks are of 256. */
static void test_six_bytes(void)
{
        Fixture f;
        Command *c;

        setup(&f, &default_config);
        c = run_in(f.n, 1, CDB(0x08, 0, 0, 3, 0, 0), 256 * BS);
        g_assert_cmpuint(c->in_length, ==, 256 * BS);
        expect_good(c);
        teardown(&f);
}

static void test_range(void)
{
        static const uint8_t ranged[][2] = { { 0x28, 7 },  { 0x2a, 7 },  { 0x2e, 7 },  { 0x2f, 7 },
                                             { 0x34, 7 },  { 0x35, 7 },  { 0x41, 7 },  { 0x88, 10 },
                                             { 0x8a, 10 }, { 0x8e, 10 }, { 0x8f, 10 }, { 0x90, 10 },
                                             { 0x91, 10 }, { 0x93, 10 }, { 0xa8, 6 },  { 0xaa, 6 },
                                             { 0xae, 6 },  { 0xaf, 6 } };
        const uint64_t end = SIZE / BS;
        static uint8_t data[8 * BS];
        Fixture f;

        setup(&f, &default_config);
        for (size_t i = 0; i < ELEMENTSOF(ranged); i++) {
                const uint64_t lbas[] = { end + 1,          end - 1,    end,
                                          UINT32_MAX,       UINT64_MAX, UINT64_MAX - 1,
                                          UINT64_C(1) << 63 };

                for (size_t k = 0; k < ELEMENTSOF(lbas); k++) {
                        bool same = ranged[i][0] == 0x41 || ranged[i][0] == 0x93;
                        uint8_t cdb[16] = { ranged[i][0] };
                        unsigned length = ranged[i][1] == 10 ? 16 : ranged[i][1] == 7 ? 10 : 12;
                        Command *c;

                        if (length == 16) {
                                put_be64(cdb + 2, lbas[k]);
                                put_be32(cdb + 10, 2);
                        } else {
                                put_be32(cdb + 2, (uint32_t)min_u64(lbas[k], UINT32_MAX));
                                cdb[length == 10 ? 8 : 9] = 2;
                        }
                        c = run_out(f.n, 1, cdb, length, data, same ? BS : 2 * BS);
                        g_assert_cmphex(c->task.sense[0] & 0x80, ==,
                                        lbas[k] > UINT32_MAX && length == 16 ? 0 : 0x80);
                        expect_sense(c, 0x052100);
                }
        }
        g_assert_true(good(f.n, 1, CDB(0x28, 0, 0, 0, 0x20, 0, 0, 0, 0, 0)));  /* 0 at the end */
        g_assert_false(good(f.n, 1, CDB(0x28, 0, 0, 0, 0x20, 1, 0, 0, 0, 0))); /* behind it */
        g_assert_cmpuint(fake_store_stats(f.store).submitted, ==, 0);
        teardown(&f);
}

/* More than MAXIMUM TRANSFER LENGTH is refused before anything is allocated. */
static void test_transfer_limit(void)
{
        LuConfig config = default_config;
        Fixture f;
        Command *c;

        config.max_transfer = 16;
        setup(&f, &config);
        c = run_in(f.n, 1, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 16, 0), 16 * BS);
        expect_good(c);
        c = run_in(f.n, 1, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 17, 0), 17 * BS);
        g_assert_cmpuint(get_be16(c->task.sense + 16), ==, 7);
        expect_sense(c, 0x052400);
        c = run_in(f.n, 1, CDB(0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff), 512);
        expect_sense(c, 0x052400);
        teardown(&f);
}

static void test_residuals(void)
{
        static uint8_t a[4 * BS], b[4 * BS];
        Fixture f;
        Command *c;

        setup(&f, &default_config);
        memset(a, 'a', sizeof(a));
        memset(b, 'b', sizeof(b));
        expect_good(run_out(f.n, 1, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 4, 0), a, 4 * BS));
        /* a read is cut where the initiator's buffer ends */
        c = run_in(f.n, 1, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), 200);
        g_assert_cmpuint(c->in_length, ==, 200);
        g_assert_cmpuint(c->task.in_wanted, ==, BS);
        expect_good(c);
        c = run_in(f.n, 1, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), 10000);
        g_assert_cmpuint(c->in_length, ==, BS);
        expect_good(c);
        /* and one that is said to be a write gives nothing */
        c = run_out(f.n, 1, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), b, BS);
        g_assert_cmpuint(c->in_length, ==, 0);
        g_assert_cmpuint(c->task.in_wanted, ==, BS);
        expect_good(c);
        /* whole blocks are written, and the residual says how many were not */
        c = run_out(f.n, 1, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 2, 0), b, BS);
        g_assert_cmpuint(c->task.out_wanted, ==, 2 * BS);
        g_assert_cmpuint(c->task.out_want, ==, BS);
        expect_good(c);
        g_assert_cmpmem(fake_store_data(f.store), BS, b, BS);
        g_assert_cmpmem(fake_store_data(f.store) + BS, BS, a, BS);
        c = run_out(f.n, 1, CDB(0x2e, 2, 0, 0, 0, 0, 0, 0, 1, 0), b, 0);
        g_assert_cmpuint(c->task.out_wanted, ==, BS);
        expect_good(c);
        c = run_out(f.n, 1, CDB(0x2e, 2, 0, 0, 0, 1, 0, 0, 1, 0), b, 2 * BS);
        g_assert_cmpuint(c->task.out_want, ==, BS);
        expect_good(c);
        g_assert_cmpmem(fake_store_data(f.store) + BS, BS, b, BS);
        g_assert_cmpmem(fake_store_data(f.store) + 2 * BS, BS, a, BS);
        /* a part of a block is not */
        c = run_out(f.n, 1, CDB(0x2a, 0, 0, 0, 0, 3, 0, 0, 1, 0), b, 200);
        g_assert_false(c->asked);
        g_assert_cmpuint(c->task.out_wanted, ==, BS);
        expect_sense(c, 0x050e03);
        g_assert_cmpmem(fake_store_data(f.store) + 3 * BS, BS, a, BS);
        /* and a write that is said to be none at all is refused */
        c = run_in(f.n, 1, CDB(0x2a, 0, 0, 0, 0, 3, 0, 0, 1, 0), BS);
        expect_sense(c, 0x050e03);
        /* parameter lists are whole */
        c = run_out(f.n, 1, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0), b, 16);
        expect_sense(c, 0x050e03);
        teardown(&f);
}

static void test_data_phase_error(void)
{
        uint8_t data[BS] = {};
        Fixture f;
        Command *c;

        setup(&f, &default_config);
        c = command_new(f.n, 1, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0));
        command_out(c, data, sizeof(data));
        c->holds_data = true;
        command_start(c);
        sim_run(f.w.sim);
        g_assert_true(c->asked);
        g_assert_cmpint(c->task.state, ==, TASK_DATA_OUT);
        task_data_out_done(&c->task, -EIO);
        command_wait(c);
        expect_sense(c, 0x0b4b00);
        teardown(&f);
}

/* FUA, write cache off and SYNCHRONIZE CACHE each reach the store as what they are. */
static void test_durability(void)
{
        LuConfig config = default_config;
        uint8_t data[BS] = { 1 };
        FakeStats s;
        Fixture f;

        setup(&f, &default_config);
        expect_good(run_out(f.n, 1, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), data, BS));
        g_assert_cmpuint(fake_store_stats(f.store).fua, ==, 0);
        expect_good(run_out(f.n, 1, CDB(0x2a, 8, 0, 0, 0, 0, 0, 0, 1, 0), data, BS));
        g_assert_cmpuint(fake_store_stats(f.store).fua, ==, 1);
        expect_good(run_out(f.n, 1, CDB(0x2e, 0, 0, 0, 0, 0, 0, 0, 1, 0), data, BS));
        g_assert_cmpuint(fake_store_stats(f.store).fua, ==, 2);
        expect_good(run_in(f.n, 1, CDB(0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0));
        g_assert_cmpuint(fake_store_stats(f.store).flushes, ==, 1);
        expect_good(run_in(f.n, 1, CDB(0x28, 8, 0, 0, 0, 0, 0, 0, 1, 0), BS));
        g_assert_cmpuint(fake_store_stats(f.store).flushes, ==, 2);
        /* IMMED: the answer does not wait, the flush goes on */
        fake_store_hold(f.store);
        expect_good(run_in(f.n, 1, CDB(0x35, 2, 0, 0, 0, 0, 0, 0, 0, 0), 0));
        g_assert_cmpuint(fake_store_held(f.store), ==, 1);
        fake_store_release(f.store);
        sim_advance(f.w.sim, NSEC_PER_MSEC);
        g_assert_cmpuint(fake_store_stats(f.store).flushes, ==, 3);
        /* an error of a flush is an error of the command */
        fake_store_fail(f.store, 1 << STORE_FLUSH, -EIO);
        expect_sense(run_in(f.n, 1, CDB(0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0), 0x030c00);
        fake_store_fail(f.store, 0, 0);
        teardown(&f);

        config.write_cache = false;
        setup(&f, &config);
        expect_good(run_out(f.n, 1, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), data, BS));
        g_assert_cmpuint(fake_store_stats(f.store).fua, ==, 1);
        expect_good(run_out(f.n, 1, CDB(0x41, 0, 0, 0, 0, 0, 0, 0, 1, 0), data, BS));
        g_assert_cmpuint(fake_store_stats(f.store).fua, ==, 2);
        s = fake_store_stats(f.store);
        uint8_t list[24] = { 0, 22, 0, 16, [19] = 8 };
        expect_good(run_out(f.n, 1, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0), list, 24));
        g_assert_cmpuint(fake_store_stats(f.store).flushes, ==, s.flushes + 1);
        teardown(&f);
}

static void test_errors(void)
{
        static const struct {
                int error;
                uint32_t read, write;
        } cases[] = {
                { -EIO, 0x031100, 0x030c00 },    { -ENOSPC, 0x072707, 0x072707 },
                { -ENODEV, 0x020400, 0x020400 }, { -EROFS, 0x072700, 0x072700 },
                { -ERANGE, 0x052100, 0x052100 }, { -EPROTO, 0x044400, 0x044400 },
        };
        uint8_t data[BS] = {};
        Fixture f;
        Command *c;

        setup(&f, &default_config);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                fake_store_fail(f.store, 1 << STORE_READ | 1 << STORE_WRITE, cases[i].error);
                expect_sense(run_in(f.n, 1, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), BS),
                             cases[i].read);
                expect_sense(run_out(f.n, 1, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), data, BS),
                             cases[i].write);
        }
        fake_store_fail(f.store, 1 << STORE_READ, -ENOMEM);
        c = run_in(f.n, 1, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), BS);
        g_assert_cmpint(c->task.status, ==, SCSI_BUSY);
        command_free(c);
        g_assert_cmpuint(f.w.events[SCSI_EVENT_UNIT_GONE], ==, 2);
        g_assert_cmpuint(f.w.events[SCSI_EVENT_IO_ERROR], ==, 10);
        teardown(&f);
}

static void test_verify(void)
{
        static uint8_t data[600 * BS];
        Fixture f;

        setup(&f, &default_config);
        fill(data, sizeof(data), 3);
        memcpy(fake_store_data(f.store) + 8 * BS, data, sizeof(data));
        /* 600 blocks: more than one piece */
        expect_good(run_out(f.n, 1, CDB(0x2f, 2, 0, 0, 0, 8, 0, 2, 0x58, 0), data, sizeof(data)));
        data[599 * BS + 511] ^= 1;
        expect_sense(run_out(f.n, 1, CDB(0x2f, 2, 0, 0, 0, 8, 0, 2, 0x58, 0), data, sizeof(data)),
                     0x0e1d00);
        expect_good(run_in(f.n, 1, CDB(0x2f, 0, 0, 0, 0, 8, 0, 2, 0x58, 0), 0));
        /* BYTCHK 3: one block against each */
        memset(fake_store_data(f.store), 'x', 600 * BS);
        memset(data, 'x', BS);
        expect_good(run_out(f.n, 1, CDB(0xaf, 6, 0, 0, 0, 0, 0, 0, 2, 0x58, 0, 0), data, BS));
        fake_store_data(f.store)[599 * BS] = 'y';
        expect_sense(run_out(f.n, 1, CDB(0xaf, 6, 0, 0, 0, 0, 0, 0, 2, 0x58, 0, 0), data, BS),
                     0x0e1d00);
        expect_sense(run_in(f.n, 1, CDB(0x2f, 4, 0, 0, 0, 0, 0, 0, 1, 0), 0), 0x052400);
        fake_store_fail(f.store, 1 << STORE_READ, -EIO);
        expect_sense(run_in(f.n, 1, CDB(0x2f, 0, 0, 0, 0, 0, 0, 0, 1, 0), 0), 0x031100);
        teardown(&f);
}

static void test_write_verify(void)
{
        static uint8_t data[4 * BS];
        Fixture f;

        setup(&f, &default_config);
        fill(data, sizeof(data), 9);
        expect_good(run_out(f.n, 1, CDB(0x8e, 2, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 4, 0, 0), data,
                            sizeof(data)));
        g_assert_cmpmem(fake_store_data(f.store) + 5 * BS, sizeof(data), data, sizeof(data));
        g_assert_cmpuint(fake_store_stats(f.store).submitted, ==, 2);
        fake_store_fail(f.store, 1 << STORE_READ, -EIO);
        expect_sense(run_out(f.n, 1, CDB(0x2e, 0, 0, 0, 0, 0, 0, 0, 4, 0), data, sizeof(data)),
                     0x031100);
        fake_store_fail(f.store, 1 << STORE_WRITE, -EIO);
        expect_sense(run_out(f.n, 1, CDB(0x2e, 0, 0, 0, 0, 0, 0, 0, 4, 0), data, sizeof(data)),
                     0x030c00);
        teardown(&f);
}

/* It reads: what is asked for, in pieces, and no more than is good for the others. */
static void test_prefetch(void)
{
        Fixture f;

        setup(&f, &default_config);
        expect_good(run_in(f.n, 1, CDB(0x34, 0, 0, 0, 0, 0, 0, 0, 8, 0), 0));
        g_assert_cmpuint(fake_store_stats(f.store).submitted, ==, 1);
        expect_good(run_in(f.n, 1, CDB(0x34, 2, 0, 0, 0, 0, 0, 0, 8, 0), 0));
        g_assert_cmpuint(fake_store_stats(f.store).submitted, ==, 2);
        /* 0 blocks: the rest, 4 MiB, in pieces of 256 KiB */
        expect_good(run_in(f.n, 1, CDB(0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0));
        g_assert_cmpuint(fake_store_stats(f.store).submitted, ==, 2 + 16);
        expect_good(run_in(f.n, 1, CDB(0x34, 0, 0, 0, 0x20, 0, 0, 0, 0, 0), 0)); /* at the end */
        g_assert_cmpuint(fake_store_stats(f.store).submitted, ==, 2 + 16);
        fake_store_fail(f.store, 1 << STORE_READ, -EIO);
        expect_sense(run_in(f.n, 1, CDB(0x34, 0, 0, 0, 0, 0, 0, 0, 8, 0), 0), 0x031100);
        teardown(&f);
}

static size_t unmap_list(uint8_t *p, const uint64_t (*d)[2], size_t n)
{
        memset(p, 0, 8 + n * 16);
        put_be16(p, (uint16_t)(6 + n * 16));
        put_be16(p + 2, (uint16_t)(n * 16));
        for (size_t i = 0; i < n; i++) {
                put_be64(p + 8 + i * 16, d[i][0]);
                put_be32(p + 8 + i * 16 + 8, (uint32_t)d[i][1]);
        }
        return 8 + n * 16;
}

static Command *unmap(Fixture *f, const uint64_t (*d)[2], size_t n)
{
        static uint8_t list[8 + 300 * 16];
        size_t length = unmap_list(list, d, n);

        return run_out(f->n, 1,
                       CDB(0x42, 0, 0, 0, 0, 0, 0, (uint8_t)(length >> 8), (uint8_t)length, 0),
                       list, length);
}

static void test_unmap(void)
{
        const uint64_t end = SIZE / BS;
        static uint64_t many[300][2];
        uint8_t *p;
        Fixture f;

        setup(&f, &default_config);
        p = fake_store_data(f.store);
        memset(p, 'a', SIZE);
        expect_good(unmap(&f, (const uint64_t[][2]){ { 1, 2 }, { 10, 0 }, { end - 1, 1 } }, 3));
        g_assert_cmpuint(p[BS - 1], ==, 'a');
        g_assert_cmpuint(p[BS], ==, 0);
        g_assert_cmpuint(p[3 * BS - 1], ==, 0);
        g_assert_cmpuint(p[3 * BS], ==, 'a');
        g_assert_cmpuint(p[SIZE - 1], ==, 0);
        /* nothing is done unless all can be */
        expect_sense(unmap(&f, (const uint64_t[][2]){ { 100, 1 }, { end, 1 } }, 2), 0x052100);
        expect_sense(unmap(&f, (const uint64_t[][2]){ { 100, 1 }, { UINT64_MAX, 2 } }, 2),
                     0x052100);
        expect_sense(unmap(&f, (const uint64_t[][2]){ { 100, 1 }, { 0, UINT32_MAX } }, 2),
                     0x052100);
        g_assert_cmpuint(p[100 * BS], ==, 'a');
        expect_good(unmap(&f, (const uint64_t[][2]){ { end, 0 } }, 1));
        expect_good(unmap(&f, NULL, 0));
        /* the limits of VPD B0 */
        for (size_t i = 0; i < ELEMENTSOF(many); i++)
                many[i][0] = i, many[i][1] = 1;
        expect_good(unmap(&f, many, 256));
        expect_sense(unmap(&f, many, 257), 0x052600);
        /* a list that is shorter than its header; none at all */
        expect_sense(run_out(f.n, 1, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 7, 0), p, 7), 0x051a00);
        g_assert_true(good(f.n, 1, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0)));
        /* what the header says beyond what came is not read */
        uint8_t lie[24] = { 0xff, 0xff, 0xff, 0xff, [15] = 200, [19] = 1 };
        expect_good(run_out(f.n, 1, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0), lie, 24));
        g_assert_cmpuint(p[200 * BS], ==, 0);
        fake_store_fail(f.store, 1 << STORE_DISCARD, -EIO);
        expect_sense(unmap(&f, (const uint64_t[][2]){ { 1, 2 } }, 1), 0x030c00);
        teardown(&f);
}

static void test_unmap_total(void)
{
        LuConfig config = default_config;
        Fixture f;

        /* 1 GiB that nobody touches: the total limit is below its size */
        world_init(&f.w, 7, 1);
        f.store = fake_store_new(f.w.sim, GIB, thin_caps);
        f.lu = unit_new(&f.w, f.store, &config);
        f.map = map_of(f.lu, 1);
        f.n = nexus_new(&f.w, 0, f.map);
        clear_attention(f.n, 1);
        fake_store_fail(f.store, 1 << STORE_DISCARD, 0);
        expect_sense(unmap(&f, (const uint64_t[][2]){ { 0, 1 << 20 }, { 1 << 20, 1 } }, 2),
                     0x052600);
        g_assert_cmpuint(fake_store_stats(f.store).submitted, ==, 0);
        expect_good(unmap(&f, (const uint64_t[][2]){ { 0, (1 << 20) - 1 }, { 1 << 20, 1 } }, 2));
        teardown(&f);
}

static void test_write_same(void)
{
        static uint8_t one[BS], zero[BS];
        uint8_t *p;
        Fixture f;

        setup(&f, &default_config);
        p = fake_store_data(f.store);
        fill(one, sizeof(one), 1);
        /* 3000 blocks: more than one piece */
        expect_good(run_out(f.n, 1, CDB(0x41, 0, 0, 0, 0, 5, 0, 0x0b, 0xb8, 0), one, BS));
        for (unsigned i = 0; i < 3000; i++)
                g_assert_cmpmem(p + (5 + i) * BS, BS, one, BS);
        g_assert_cmpuint(p[4 * BS + 9], ==, 0);
        g_assert_cmpuint(p[3005 * BS + 9], ==, 0);
        /* UNMAP with a pattern: the pattern is what is read */
        expect_good(run_out(f.n, 1, CDB(0x41, 8, 0, 0, 0, 0, 0, 0, 4, 0), one, BS));
        g_assert_cmpmem(p + 3 * BS, BS, one, BS);
        expect_good(run_out(f.n, 1, CDB(0x41, 8, 0, 0, 0, 0, 0, 0, 4, 0), zero, BS));
        g_assert_cmpmem(p + 3 * BS, BS, zero, BS);
        g_assert_cmpmem(p + 5 * BS, BS, one, BS);
        /* NDOB needs no data; WSNZ says that 0 blocks are none */
        memset(p, 'a', SIZE);
        expect_good(run_in(f.n, 1, CDB(0x93, 1, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0x10, 0), 0));
        g_assert_cmpuint(p[0x1000 * BS - 1], ==, 'a');
        g_assert_cmpuint(p[0x1000 * BS], ==, 0);
        g_assert_cmpuint(p[SIZE - 1], ==, 0);
        expect_sense(run_in(f.n, 1, CDB(0x93, 1, 0, 0), 0), 0x052400);
        expect_sense(run_out(f.n, 1, CDB(0x41), p, BS), 0x052400);
        Command *c = run_in(f.n, 1, CDB(0x12, 1, 0xb0, 0, 255, 0), 255);
        g_assert_cmphex(c->in[4], ==, 1);
        expect_good(c);
        /* exactly one block of data, no more, no less */
        expect_sense(run_out(f.n, 1, CDB(0x41, 0, 0, 0, 0, 0, 0, 0, 1, 0), p, BS / 2), 0x050e03);
        expect_sense(run_out(f.n, 1, CDB(0x41, 0, 0, 0, 0, 0, 0, 0, 1, 0), p, BS * 2), 0x050e03);
        /* ANCHOR */
        expect_sense(run_out(f.n, 1, CDB(0x41, 0x18, 0, 0, 0, 0, 0, 0, 1, 0), zero, BS), 0x052400);
        teardown(&f);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/scsi/commands/read-write", test_read_write);
        g_test_add_func("/scsi/commands/six-bytes", test_six_bytes);
        g_test_add_func("/scsi/commands/range", test_range);
        g_test_add_func("/scsi/commands/transfer-limit", test_transfer_limit);
        g_test_add_func("/scsi/commands/residuals", test_residuals);
        g_test_add_func("/scsi/commands/data-phase-error", test_data_phase_error);
        g_test_add_func("/scsi/commands/durability", test_durability);
        g_test_add_func("/scsi/commands/errors", test_errors);
        g_test_add_func("/scsi/commands/verify", test_verify);
        g_test_add_func("/scsi/commands/write-verify", test_write_verify);
        g_test_add_func("/scsi/commands/prefetch", test_prefetch);
        g_test_add_func("/scsi/commands/unmap", test_unmap);
        g_test_add_func("/scsi/commands/unmap-total", test_unmap_total);
        g_test_add_func("/scsi/commands/write-same", test_write_same);
        return g_test_run();
}
