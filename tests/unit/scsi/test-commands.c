/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "world.h"

/* What each command means, on a store that keeps what it is given. */

#define SIZE (4 * MIB)
#define BS 512

typedef struct Fixture {
        World w;
        Store *store;
        LogicalUnit *lu;
        LunMap *map;
        TestNexus *n;
} Fixture;

static const StoreCaps thin_caps = { .block_size = 512,
                                     .physical_size = 4096,
                                     .discard_granularity = 4096,
                                     .discard_zeroes = true };

static void setup(Fixture *f, const LuConfig *config)
{
        world_init(&f->w, 7, 1);
        f->store = fake_store_new(f->w.sim, SIZE, thin_caps);
        f->lu = unit_new(&f->w, f->store, config);
        f->map = map_of(f->lu, 1);
        f->n = nexus_new(&f->w, 0, f->map);
        clear_attention(f->n, 1);
}

static void teardown(Fixture *f)
{
        nexus_free(f->n);
        lun_map_unref(f->map);
        lu_unref(f->lu);
        store_unref(f->store);
        world_done(&f->w);
}

static void fill(uint8_t *p, size_t n, uint8_t seed)
{
        for (size_t i = 0; i < n; i++)
                p[i] = (uint8_t)(seed + i * 7 + i / 512);
}

/* A CDB of one command in 6, 10, 12 or 16 bytes. */
static size_t rw_cdb(uint8_t cdb[16], unsigned size, bool write, uint64_t lba, uint32_t blocks)
{
        static const uint8_t ops[2][4] = { { 0x08, 0x28, 0xa8, 0x88 }, { 0x0a, 0x2a, 0xaa, 0x8a } };

        memset(cdb, 0, 16);
        cdb[0] = ops[write][size == 6 ? 0 : size == 10 ? 1 : size == 12 ? 2 : 3];
        switch (size) {
        case 6:
                put_be24(cdb + 1, (uint32_t)lba);
                cdb[4] = (uint8_t)blocks;
                break;
        case 10:
                put_be32(cdb + 2, (uint32_t)lba);
                put_be16(cdb + 7, (uint16_t)blocks);
                break;
        case 12:
                put_be32(cdb + 2, (uint32_t)lba);
                put_be32(cdb + 6, blocks);
                break;
        default:
                put_be64(cdb + 2, lba);
                put_be32(cdb + 10, blocks);
        }
        return size;
}

static void check_good(Command *c, int line)
{
        if (c->outcome != COMPLETED || c->task.status != SCSI_GOOD)
                g_error("line %d: outcome %d, status %02x, sense %06x", line, c->outcome,
                        c->task.status, sense_of(c));
        command_free(c);
}

static void check_sense(Command *c, uint32_t sense, int line)
{
        if (sense_of(c) != sense)
                g_error("line %d: sense %06x, not %06x", line, sense_of(c), sense);
        command_free(c);
}

#define expect_good(c) check_good((c), __LINE__)
#define expect_sense(c, sense) check_sense((c), (sense), __LINE__)

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
        g_assert_cmpint(lu_medium(f.lu), ==, LU_NOT_READY);
        expect_sense(run_in(f.n, 1, CDB(0), 0), 0x020400);
        expect_sense(run_in(f.n, 1, CDB(0x25), 8), 0x020400);
        c = run_in(f.n, 1, CDB(0x03, 0, 0, 0, 255, 0), 255);
        g_assert_cmphex(c->in[2], ==, 2);
        expect_good(c);
        g_assert_true(good(f.n, 1, CDB(0x12, 0, 0, 0, 255, 0)));
        unit_change(&f.w, f.lu, LU_CHANGE_STORE, f.store, false, false);
        g_assert_cmphex(clear_attention(f.n, 1), ==, 0x2800);
        g_assert_true(good(f.n, 1, CDB(0)));
        g_assert_cmpint(lu_medium(f.lu), ==, LU_READY);
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
        g_test_add_func("/scsi/commands/unmap", test_unmap);
        g_test_add_func("/scsi/commands/unmap-total", test_unmap_total);
        g_test_add_func("/scsi/commands/write-same", test_write_same);
        g_test_add_func("/scsi/commands/capacity", test_capacity);
        g_test_add_func("/scsi/commands/readonly", test_readonly);
        g_test_add_func("/scsi/commands/mode-select", test_mode_select);
        g_test_add_func("/scsi/commands/write-cache-off", test_write_cache_off);
        g_test_add_func("/scsi/commands/removable", test_removable);
        g_test_add_func("/scsi/commands/no-store", test_no_store);
        g_test_add_func("/scsi/commands/luns", test_luns);
        g_test_add_func("/scsi/commands/lun-codes", test_lun_codes);
        g_test_add_func("/scsi/commands/4k", test_4k);
        g_test_add_func("/scsi/commands/stats", test_stats);
        g_test_add_func("/scsi/commands/no-memory", test_no_memory);
        return g_test_run();
}
