/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

#include <sys/stat.h>

/* The contract of store.h: the same cases over every kind of store. */

#define SIZE (4 * MIB)

/* ---- what is read is what was written ---- */

static void test_caps(const Kind *kind)
{
        StoreCaps caps;
        Bed b;

        bed_open(&b, kind, SIZE, 0, 1);
        caps = store_caps(b.store);
        g_assert_cmpuint(caps.size, ==, SIZE);
        g_assert_true(caps.block_size >= 512 && caps.block_size <= 4096);
        g_assert_cmpuint(caps.physical_size, >=, caps.block_size);
        g_assert_cmpuint(caps.physical_size % caps.block_size, ==, 0);
        g_assert_false(caps.readonly);
        g_assert_cmpstr(store_type(b.store)->name, ==, kind->spec.type);
        g_assert_cmpuint(store_lane(b.store)->max, >=, 1);
        g_assert_cmpuint(store_identity(b.store).kind, ==,
                         kind->where == PATH_NONE     ? 0
                         : kind->where == PATH_DEVICE ? 2
                         : kind->where == PATH_IMAGE  ? 3
                                                      : 1);
        bed_close(&b);
}

static void test_read_write(const Kind *kind)
{
        g_autofree uint8_t *in = g_malloc(3 * MIB), *out = g_malloc(3 * MIB);
        static const uint64_t lengths[] = { 512, 4096, 65536, MIB, 3 * MIB };
        Bed b;

        bed_open(&b, kind, SIZE, 0, 2);
        for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
                uint64_t n = lengths[i], at = i * 512;

                memset(out, 0xee, n);
                g_assert_cmpint(run(&b, STORE_READ, 0, at, out, n), ==, 0);
                if (i == 0 || kind->forgets)
                        for (size_t k = 0; k < n; k++)
                                g_assert_cmpuint(out[k], ==, 0);
                fill(in, n, at, (uint32_t)i);
                g_assert_cmpint(run(&b, STORE_WRITE, 0, at, in, n), ==, 0);
                memset(out, 0xee, n);
                g_assert_cmpint(run(&b, STORE_READ, 0, at, out, n), ==, 0);
                if (!kind->forgets)
                        assert_same(in, out, n);
                g_assert_cmpint(run(&b, STORE_FLUSH, 0, 0, NULL, 0), ==, 0);
                memset(out, 0xee, n);
                g_assert_cmpint(run(&b, STORE_READ, 0, at, out, n), ==, 0);
                if (!kind->forgets)
                        assert_same(in, out, n);
        }
        g_assert_cmpuint(store_busy(b.store), ==, 0);
        bed_close(&b);
}

/* Four buffers at odd addresses and of odd lengths. */
static void test_vectors(const Kind *kind)
{
        static const size_t cut[] = { 1, 511, 3000, 2488 + 2192 };
        g_autofree uint8_t *in = g_malloc(8192 + 1), *out = g_malloc(8192 + 4);
        size_t total = 0;
        Op op;
        Bed b;

        bed_open(&b, kind, SIZE, 0, 3);
        fill(in, 8192, 512, 7);
        for (unsigned pass = 0; pass < 2; pass++) {
                size_t at = 0;

                op.req.n_iov = 4;
                for (unsigned i = 0; i < 4; i++) {
                        op.req.iov[i] = (struct iovec){ (pass ? out + i : in) + at, cut[i] };
                        at += cut[i];
                }
                total = at;
                op_submit_iov(&op, b.ch[0], pass ? STORE_READ : STORE_WRITE, 0, 512, total);
                g_assert_cmpint(op_wait(&b, &op), ==, 0);
        }
        g_assert_cmpuint(total, ==, 8192);
        for (size_t i = 0, at = 0; i < 4 && !kind->forgets; at += cut[i++])
                assert_same(in + at, out + i + at, cut[i]);
        bed_close(&b);
}

/* Any offset, length and address, against a model. */
static void test_unaligned(const Kind *kind)
{
        g_autofree uint8_t *model = g_malloc0(SIZE), *buf = g_malloc(MIB + 4096);
        Bed b;

        bed_open(&b, kind, SIZE, 1, 4);
        for (unsigned i = 0; i < 400 && !kind->forgets; i++) {
                uint64_t n = 1 + sim_random(b.sim, i % 10 ? 9000 : MIB);
                uint64_t at = sim_random(b.sim, SIZE - n);
                uint8_t *p = buf + sim_random(b.sim, 4096);
                uint32_t fua = sim_random(b.sim, 12) ? 0 : STORE_FUA;

                switch (sim_random(b.sim, 4)) {
                case 0:
                        g_assert_cmpint(run(&b, STORE_ZERO, fua | (i % 2 ? STORE_UNMAP_OK : 0), at,
                                            NULL, n),
                                        ==, 0);
                        memset(model + at, 0, n);
                        break;
                case 1:
                        memset(p, 0xee, n);
                        g_assert_cmpint(run(&b, STORE_READ, 0, at, p, n), ==, 0);
                        assert_same(p, model + at, n);
                        break;
                default:
                        fill(p, n, at, i);
                        g_assert_cmpint(run(&b, STORE_WRITE, fua, at, p, n), ==, 0);
                        memcpy(model + at, p, n);
                }
        }
        for (uint64_t at = 0; at < SIZE && !kind->forgets; at += MIB) {
                g_assert_cmpint(run(&b, STORE_READ, 0, at, buf, MIB), ==, 0);
                assert_same(buf, model + at, MIB);
        }
        bed_close(&b);
}

/* Neighbours that share blocks are written at once, on two channels, in any order: each byte has
 * what its own writer wrote. */
static void neighbours(const Kind *kind, uint64_t seed, uint64_t area, uint32_t granularity)
{
        enum { N = 64 };
        g_autofree Op *ops = g_new0(Op, N);
        g_autofree uint8_t *model = g_malloc(area), *data = g_malloc(area), *out = g_malloc(area);
        Bed b;

        bed_open(&b, kind, SIZE, granularity, seed);
        fill(model, area, 0, 1000);
        g_assert_cmpint(run(&b, STORE_WRITE, 0, 0, model, area), ==, 0);
        for (unsigned round = 0; round < 4; round++) {
                uint64_t at = 0;
                unsigned n = 0;

                fill(data, area, 0, round);
                while (at < area && n < N) {
                        uint64_t len = (1 + sim_random(b.sim, 4000 / granularity)) * granularity;
                        StoreOp what = sim_random(b.sim, 5) ? STORE_WRITE : STORE_ZERO;

                        len = MIN(len, area - at);
                        if (what == STORE_WRITE)
                                memcpy(model + at, data + at, len);
                        else
                                memset(model + at, 0, len);
                        op_submit(&ops[n], b.ch[sim_random(b.sim, 2)], what,
                                  sim_random(b.sim, 16) ? 0 : STORE_FUA, at,
                                  what == STORE_WRITE ? data + at : NULL, len);
                        at += len;
                        n++;
                        for (uint64_t k = sim_random(b.sim, 4); k > 0; k--)
                                (void)sim_step(b.sim);
                }
                for (unsigned i = 0; i < n; i++)
                        g_assert_cmpint(op_wait(&b, &ops[i]), ==, 0);
                g_assert_cmpuint(store_busy(b.store), ==, 0);
                g_assert_cmpint(run(&b, STORE_READ, 0, 0, out, area), ==, 0);
                assert_same(out, model, area);
        }
        bed_close(&b);
}

static void test_neighbours(const Kind *kind)
{
        uint64_t n = kind->spec.sync ? 1 : 5; /* each write waits for the disk */

        for (uint64_t seed = 0; seed < n && !kind->forgets; seed++)
                neighbours(kind, seed, 64 * KIB, seed % 2 ? 1 : 512);
}

/* ---- requests ---- */

static void test_once(const Kind *kind)
{
        enum { N = 200 };
        g_autofree Op *ops = g_new0(Op, N);
        g_autofree uint8_t *buf = g_malloc0(N * 8192);
        Bed b;

        bed_open(&b, kind, SIZE, 0, 5);
        for (unsigned i = 0; i < N; i++) {
                static const StoreOp what[] = { STORE_WRITE, STORE_READ, STORE_ZERO, STORE_FLUSH,
                                                STORE_DISCARD };
                StoreOp op = what[i % 5];
                bool data = op == STORE_WRITE || op == STORE_READ;

                op_submit(&ops[i], b.ch[i % 2], op, 0, op == STORE_FLUSH ? 0 : i * 8192,
                          data ? buf + i * 8192 : NULL, op == STORE_FLUSH ? 0 : 8192);
                if (i % 7 == 0 && ops[i].completions == 0)
                        store_cancel(&ops[i].req);
        }
        for (unsigned i = 0; i < N; i++) {
                int r = op_wait(&b, &ops[i]);

                if (r == -ECANCELED)
                        g_assert_cmpuint(i % 7, ==, 0);
                else
                        g_assert_cmpint(r, ==, 0);
        }
        (void)sim_run(b.sim);
        for (unsigned i = 0; i < N; i++)
                g_assert_cmpuint(ops[i].completions, ==, 1);
        g_assert_cmpuint(store_busy(b.store), ==, 0);
        bed_close(&b);
}

static void test_end(const Kind *kind)
{
        static const StoreOp what[] = { STORE_READ, STORE_WRITE, STORE_ZERO, STORE_DISCARD };
        g_autofree uint8_t *buf = g_malloc0(8192);
        Bed b;

        bed_open(&b, kind, SIZE, 0, 6);
        for (size_t i = 0; i < G_N_ELEMENTS(what); i++) {
                bool data = i < 2;

                g_assert_cmpint(run(&b, what[i], 0, SIZE - 4096, data ? buf : NULL, 4096), ==, 0);
                g_assert_cmpint(run(&b, what[i], 0, SIZE - 4096, data ? buf : NULL, 8192), ==,
                                -ERANGE);
                g_assert_cmpint(run(&b, what[i], 0, SIZE, data ? buf : NULL, 512), ==, -ERANGE);
                g_assert_cmpint(run(&b, what[i], 0, UINT64_MAX - 511, data ? buf : NULL, 4096), ==,
                                -ERANGE);
                g_assert_cmpint(run(&b, what[i], 0, 512, data ? buf : NULL, 0), ==, 0);
                g_assert_cmpint(run(&b, what[i], 0, 100, data ? buf : NULL, 512), ==, -EINVAL);
        }
        if (b.path && b.where != PATH_DEVICE && b.where != PATH_IMAGE) {
                struct stat st;

                g_assert_cmpint(stat(b.path, &st), ==, 0);
                g_assert_cmpint(st.st_size, ==, SIZE);
        }
        bed_close(&b);
}

static void test_readonly(const Kind *kind)
{
        StoreSpec spec = kind->spec;
        g_autofree uint8_t *buf = g_malloc0(4096);
        Bed b;

        spec.readonly = true;
        bed_open_spec(&b, kind, &spec, SIZE, 7);
        g_assert_true(store_caps(b.store).readonly);
        g_assert_cmpint(run(&b, STORE_READ, 0, 0, buf, 4096), ==, 0);
        g_assert_cmpint(run(&b, STORE_WRITE, 0, 0, buf, 4096), ==, -EROFS);
        g_assert_cmpint(run(&b, STORE_ZERO, 0, 0, NULL, 4096), ==, -EROFS);
        g_assert_cmpint(run(&b, STORE_DISCARD, 0, 0, NULL, 4096), ==, -EROFS);
        g_assert_cmpint(run(&b, STORE_FLUSH, 0, 0, NULL, 0), ==, 0);
        bed_close(&b);
}

static void test_references(const Kind *kind)
{
        g_autofree uint8_t *buf = g_malloc0(4096);
        Store *s;
        Bed b;

        bed_open(&b, kind, SIZE, 0, 8);
        s = b.store;
        g_assert_true(store_ref(s) == s);
        g_assert_null(store_unref(s));
        g_assert_null(store_unref(s)); /* the opener's; channels keep it */
        g_assert_cmpint(run(&b, STORE_READ, 0, 0, buf, 4096), ==, 0);
        b.ch[1] = store_detach(b.ch[1]);
        g_assert_cmpint(run(&b, STORE_READ, 0, 0, buf, 4096), ==, 0);
        b.store = NULL;
        bed_close(&b);
        g_assert_null(store_unref(NULL));
        g_assert_null(store_detach(NULL));
        g_assert_null(store_host_free(NULL));
}

static void test_busy(const Kind *kind)
{
        g_autofree uint8_t *buf = g_malloc0(MIB);
        Op ops[2];
        Bed b;

        bed_open(&b, kind, SIZE, 0, 9);
        sim_hold_jobs(b.sim, true);
        for (unsigned i = 0; i < 2; i++)
                op_submit(&ops[i], b.ch[i], STORE_WRITE, STORE_FUA, i * MIB, buf, MIB);
        g_assert_cmpuint(store_busy(b.store), ==, 2 - ops[0].completions - ops[1].completions);
        sim_hold_jobs(b.sim, false);
        for (unsigned i = 0; i < 2; i++)
                g_assert_cmpint(op_wait(&b, &ops[i]), ==, 0);
        g_assert_cmpuint(store_busy(b.store), ==, 0);
        bed_close(&b);
}

/* ---- discard and zero ---- */

static void zap(const Kind *kind, StoreOp what, uint32_t flags, uint64_t at, uint64_t n)
{
        g_autofree uint8_t *before = g_malloc(MIB), *after = g_malloc(MIB);
        StoreCaps caps;
        Bed b;

        bed_open(&b, kind, SIZE, 1, at + n);
        caps = store_caps(b.store);
        fill(before, MIB, 0, 3);
        g_assert_cmpint(run(&b, STORE_WRITE, 0, 0, before, MIB), ==, 0);
        if (n % 3 == 0)
                g_assert_cmpint(run(&b, STORE_FLUSH, 0, 0, NULL, 0), ==, 0);
        g_assert_cmpint(run(&b, what, flags, at, NULL, n), ==, 0);
        g_assert_cmpint(run(&b, STORE_READ, 0, 0, after, MIB), ==, 0);
        if (what == STORE_ZERO || caps.discard_zeroes)
                memset(before + at, 0, n);
        else
                memcpy(before + at, after + at, n);
        if (!kind->forgets)
                assert_same(before, after, MIB);
        bed_close(&b);
}

static void test_zap(const Kind *kind)
{
        static const struct {
                uint64_t at, n;
        } ranges[] = { { 0, MIB },         { 4096, 8192 },       { 512, 512 },   { 4095, 2 },
                       { 100, 300 * KIB }, { 4096, 131072 + 1 }, { 4097, 4095 }, { 1, MIB - 2 } };

        for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
                zap(kind, STORE_ZERO, 0, ranges[i].at, ranges[i].n);
                zap(kind, STORE_ZERO, STORE_UNMAP_OK | STORE_FUA, ranges[i].at, ranges[i].n);
                zap(kind, STORE_DISCARD, 0, ranges[i].at, ranges[i].n);
        }
}

/* What is said to take no room reads as zeros; what was written does; and no byte is left out. */
static void test_extents(const Kind *kind)
{
        g_autofree uint8_t *data = g_malloc(MIB), *zeros = g_malloc0(MIB);
        uint64_t at = 0, length, unmapped = 0;
        StoreCaps caps;
        bool mapped;
        Bed b;

        bed_open(&b, kind, SIZE, 1, 21);
        caps = store_caps(b.store);
        fill(data, MIB, 0, 5);
        g_assert_cmpint(run(&b, STORE_WRITE, 0, 0, data, MIB), ==, 0);
        g_assert_cmpint(run(&b, STORE_ZERO, STORE_UNMAP_OK, 256 * KIB, NULL, 256 * KIB), ==, 0);
        g_assert_cmpint(store_extent(b.store, 0, &mapped, &length), ==, 0);
        g_assert_true(mapped);
        while (at < caps.size) {
                g_assert_cmpint(store_extent(b.store, at, &mapped, &length), ==, 0);
                g_assert_cmpuint(length, >, 0);
                g_assert_cmpuint(length, <=, caps.size - at);
                if (!mapped && at < MIB) {
                        uint64_t n = MIN(length, MIB - at);

                        g_assert_cmpint(run(&b, STORE_READ, 0, at, data, n), ==, 0);
                        assert_same(data, zeros, n);
                }
                unmapped += mapped ? 0 : length;
                at += length;
        }
        g_assert_cmpuint(at, ==, caps.size);
        g_assert_true(caps.extents || unmapped == 0); /* who cannot tell does not */
        g_assert_cmpint(store_extent(b.store, caps.size, &mapped, &length), ==, -ERANGE);
        bed_close(&b);
}

/* Lengths that do not fit 32 bits, on something sparse. */
static void test_huge(const Kind *kind)
{
        static const uint64_t marks[] = { 0, MIB, 4 * GIB - 512, 4 * GIB, 5 * GIB, 6 * GIB - 512 };
        g_autofree uint8_t *in = g_malloc(512), *out = g_malloc(512);
        uint64_t size = 6 * GIB, begin = MIB, end = 5 * GIB + 512;
        Bed b;

        bed_open(&b, kind, size, 0, 10);
        for (size_t i = 0; i < G_N_ELEMENTS(marks); i++) {
                fill(in, 512, marks[i], 1);
                g_assert_cmpint(run(&b, STORE_WRITE, 0, marks[i], in, 512), ==, 0);
        }
        g_assert_cmpint(run(&b, STORE_DISCARD, 0, begin, NULL, end - begin), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(marks) && !kind->forgets; i++) {
                fill(in, 512, marks[i], 1);
                if (marks[i] >= begin && marks[i] < end)
                        memset(in, 0, 512);
                g_assert_cmpint(run(&b, STORE_READ, 0, marks[i], out, 512), ==, 0);
                assert_same(in, out, 512);
        }
        if (b.path && b.where != PATH_DEVICE && b.where != PATH_IMAGE) {
                struct stat st;

                g_assert_cmpint(run(&b, STORE_FLUSH, 0, 0, NULL, 0), ==, 0);
                g_assert_cmpint(stat(b.path, &st), ==, 0);
                g_assert_cmpint(st.st_blocks * 512, <, (off_t)MIB);
        }
        bed_close(&b);
}

/* ---- */

static const struct {
        const char *name;
        void (*test)(const Kind *kind);
} cases[] = {
        { "caps", test_caps },
        { "read-write", test_read_write },
        { "vectors", test_vectors },
        { "unaligned", test_unaligned },
        { "neighbours", test_neighbours },
        { "once", test_once },
        { "end", test_end },
        { "readonly", test_readonly },
        { "references", test_references },
        { "busy", test_busy },
        { "zap", test_zap },
        { "extents", test_extents },
        { "huge", test_huge },
};

typedef struct Case {
        const Kind *kind;
        void (*test)(const Kind *kind);
} Case;

static void run_case(const void *userdata)
{
        const Case *c = userdata;

        c->test(c->kind);
}

void contract_add(const char *prefix, const Kind *table, size_t n)
{
        for (size_t k = 0; k < n; k++)
                for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                        g_autofree char *path =
                                g_strdup_printf("%s/%s/%s", prefix, table[k].name, cases[i].name);
                        Case *c = g_new(Case, 1);

                        *c = (Case){ &table[k], cases[i].test };
                        g_test_add_data_func_full(path, c, run_case, g_free);
                }
}
