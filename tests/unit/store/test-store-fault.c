/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

/* What the fault store does on command, and how the common layer behaves above it. */

#define SIZE MIB

static void bed_fault(Bed *b, const char *options)
{
        Kind kind = { "fault", { .type = "fault", .options = options }, PATH_NONE };

        bed_open(b, &kind, SIZE, 0, 1);
}

static void configure(Bed *b, const char *options)
{
        StoreError error;

        if (store_configure(b->store, options, &error) < 0)
                g_error("%s: %s", options, error.text);
}

static int write_version(Bed *b, uint32_t flags, uint64_t at, uint64_t n, uint32_t version)
{
        g_autofree uint8_t *buf = g_malloc(n);

        fill(buf, n, at, version);
        return run(b, STORE_WRITE, flags, at, buf, n);
}

/* What is at [at, at + n): the version, 0 for zeroes, -1 for something else. */
static int read_version(Bed *b, uint64_t at, uint64_t n)
{
        g_autofree uint8_t *got = g_malloc(n), *expected = g_malloc0(n);

        memset(got, 0xee, n);
        g_assert_cmpint(run(b, STORE_READ, 0, at, got, n), ==, 0);
        for (uint32_t version = 0; version < 10; version++) {
                if (version > 0)
                        fill(expected, n, at, version);
                if (memcmp(got, expected, n) == 0)
                        return (int)version;
        }
        return -1;
}

static void test_options(void)
{
        static const char *const wrong[][2] = {
                { "hang=sometimes", "read, write" },
                { "delay=soon", "a duration" },
                { "error=EPERM", "EIO" },
                { "probability=101", "0 to 100" },
                { "range=5", "OFFSET+LENGTH" },
                { "count=-1", "a number" },
                { "short=perhaps", "yes or no" },
                { "colour=red", "unknown option" },
                { "store=ram", "cannot change" },
                { "block-size=4096", "cannot change" },
                { "error=EIO;delay", "key=value" },
        };
        StoreError error;
        Store *s;
        Bed b;

        bed_fault(&b, "store=ram;");
        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                g_assert_cmpint(store_configure(b.store, wrong[i][0], &error), ==, -EINVAL);
                if (!strstr(error.text, wrong[i][1]))
                        g_error("\"%s\" does not say \"%s\"", error.text, wrong[i][1]);
        }
        /* and none of them has changed anything */
        g_assert_cmpint(write_version(&b, 0, 0, 4096, 1), ==, 0);
        bed_close(&b);
        for (const char *const *o = store_type_find("fault")->options; *o; o++)
                g_assert_nonnull(*o);
        g_assert_cmpint(
                store_open(&(StoreSpec){ .type = "fault", .options = "store=fault" }, &s, &error),
                ==, -EINVAL);
        g_assert_cmpint(
                store_open(&(StoreSpec){ .type = "fault", .options = "store=rbd" }, &s, &error), ==,
                -EINVAL);
        g_assert_cmpint(store_open(&(StoreSpec){ .type = "fault",
                                                 .options = "store=ram;block-size=513",
                                                 .size = 1 },
                                   &s, &error),
                        ==, -EINVAL);
        /* a store that has no such options says so */
        g_assert_cmpint(store_open(&(StoreSpec){ .type = "ram", .size = SIZE }, &s, &error), ==, 0);
        g_assert_cmpint(store_configure(s, "delay=1s", &error), ==, -EOPNOTSUPP);
        store_unref(s);
}

static void test_error(void)
{
        static const struct {
                const char *name;
                int error;
        } rows[] = {
                { "EIO", -EIO }, { "ENOSPC", -ENOSPC }, { "EROFS", -EROFS }, { "ENOMEM", -ENOMEM }
        };
        g_autofree uint8_t *buf = g_malloc0(4096);
        Bed b;

        bed_fault(&b, "store=ram");
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *o = g_strdup_printf("ops=write,flush;error=%s", rows[i].name);

                configure(&b, o);
                g_assert_cmpint(run(&b, STORE_WRITE, 0, 0, buf, 4096), ==, rows[i].error);
                g_assert_cmpint(run(&b, STORE_FLUSH, 0, 0, NULL, 0), ==, rows[i].error);
                g_assert_cmpint(run(&b, STORE_READ, 0, 0, buf, 4096), ==, 0);
                g_assert_cmpint(run(&b, STORE_ZERO, 0, 0, NULL, 4096), ==, 0);
        }
        configure(&b, "ops=all;error=EIO;range=64K+4K");
        g_assert_cmpint(run(&b, STORE_READ, 0, 60 * KIB, buf, 4096), ==, 0);
        g_assert_cmpint(run(&b, STORE_READ, 0, 68 * KIB, buf, 4096), ==, 0);
        g_assert_cmpint(run(&b, STORE_READ, 0, 67 * KIB, buf, 512), ==, -EIO);
        g_assert_cmpint(run(&b, STORE_READ, 0, 64 * KIB - 512, buf, 1024), ==, -EIO);
        configure(&b, "range=all;skip=2;count=3");
        for (unsigned i = 0; i < 8; i++)
                g_assert_cmpint(run(&b, STORE_READ, 0, 0, buf, 512), ==,
                                i >= 2 && i < 5 ? -EIO : 0);
        configure(&b, "nospace=yes;error=none;count=0");
        g_assert_cmpint(run(&b, STORE_WRITE, 0, 0, buf, 512), ==, -ENOSPC);
        g_assert_cmpint(run(&b, STORE_ZERO, 0, 0, NULL, 512), ==, -ENOSPC);
        g_assert_cmpint(run(&b, STORE_READ, 0, 0, buf, 512), ==, 0);
        bed_close(&b);
}

static void test_probability(void)
{
        g_autofree uint8_t *buf = g_malloc0(512);
        unsigned n[2] = { 0 };
        Bed b;

        for (unsigned pass = 0; pass < 2; pass++) {
                bed_fault(&b, "store=ram;error=EIO;probability=30;seed=42");
                for (unsigned i = 0; i < 1000; i++)
                        n[pass] += run(&b, STORE_READ, 0, 0, buf, 512) == -EIO;
                bed_close(&b);
        }
        g_assert_cmpuint(n[0], ==, n[1]);
        g_assert_true(n[0] > 200 && n[0] < 400);
}

static void test_delay(void)
{
        g_autofree uint8_t *buf = g_malloc0(512);
        Op op;
        Bed b;

        bed_fault(&b, "store=ram;delay=10ms");
        op_submit(&op, b.ch[0], STORE_READ, 0, 0, buf, 512);
        sim_advance(b.sim, 9 * NSEC_PER_MSEC);
        g_assert_cmpuint(op.completions, ==, 0);
        sim_advance(b.sim, 2 * NSEC_PER_MSEC);
        g_assert_cmpuint(op.completions, ==, 1);
        g_assert_cmpint(op.req.result, ==, 0);
        op_submit(&op, b.ch[0], STORE_READ, 0, 0, buf, 512);
        store_cancel(&op.req);
        g_assert_cmpuint(op.completions, ==, 0);
        (void)sim_run(b.sim);
        g_assert_cmpuint(op.completions, ==, 1);
        g_assert_cmpint(op.req.result, ==, -ECANCELED);
        bed_close(&b);
}

static void test_hang(void)
{
        g_autofree uint8_t *buf = g_malloc(4096);
        Op op, other;
        Bed b;

        bed_fault(&b, "store=ram;hang=write,flush");
        fill(buf, 4096, 0, 1);
        op_submit(&op, b.ch[0], STORE_WRITE, 0, 0, buf, 4096);
        op_submit(&other, b.ch[1], STORE_FLUSH, 0, 0, NULL, 0);
        sim_advance(b.sim, 3600 * NSEC_PER_SEC);
        g_assert_cmpuint(op.completions + other.completions, ==, 0);
        g_assert_cmpuint(store_busy(b.store), ==, 2);
        g_assert_cmpint(read_version(&b, 0, 4096), ==, 0);
        /* what still hangs is not let go by another change */
        configure(&b, "hang=write");
        (void)sim_run(b.sim);
        g_assert_cmpuint(op.completions, ==, 0);
        g_assert_cmpuint(other.completions, ==, 1);
        configure(&b, "hang=none");
        g_assert_cmpuint(op.completions, ==, 0); /* on its own loop, not here */
        (void)sim_run(b.sim);
        g_assert_cmpuint(op.completions, ==, 1);
        g_assert_cmpint(op.req.result, ==, 0);
        g_assert_cmpint(read_version(&b, 0, 4096), ==, 1);
        g_assert_cmpuint(store_busy(b.store), ==, 0);
        bed_close(&b);
}

static void test_cancel(void)
{
        g_autofree uint8_t *buf = g_malloc(4096);
        Op op;
        Bed b;

        bed_fault(&b, "store=ram;hang=all");
        fill(buf, 4096, 0, 1);
        op_submit(&op, b.ch[0], STORE_WRITE, 0, 0, buf, 4096);
        store_cancel(&op.req);
        store_cancel(&op.req);
        g_assert_cmpuint(op.completions, ==, 0);
        g_assert_cmpint(op_wait(&b, &op), ==, -ECANCELED);
        configure(&b, "cancel=no");
        op_submit(&op, b.ch[0], STORE_WRITE, 0, 0, buf, 4096);
        store_cancel(&op.req);
        sim_advance(b.sim, NSEC_PER_SEC);
        g_assert_cmpuint(op.completions, ==, 0);
        /* released, and cancelled before it went on */
        configure(&b, "hang=none;cancel=yes");
        store_cancel(&op.req);
        g_assert_cmpint(op_wait(&b, &op), ==, -ECANCELED);
        g_assert_cmpint(read_version(&b, 0, 4096), ==, 0);
        bed_close(&b);
}

static void test_short(void)
{
        Bed b;

        bed_fault(&b, "store=ram");
        g_assert_cmpint(write_version(&b, 0, 0, 8192, 1), ==, 0);
        configure(&b, "short=yes");
        g_assert_cmpint(write_version(&b, 0, 0, 8192, 2), ==, -EIO);
        g_assert_cmpint(write_version(&b, 0, 8192, 512, 2), ==, -EIO);
        configure(&b, "short=no");
        g_assert_cmpint(read_version(&b, 0, 4096), ==, 2);
        g_assert_cmpint(read_version(&b, 4096, 4096), ==, 1);
        g_assert_cmpint(read_version(&b, 8192, 512), ==, 0);
        configure(&b, "corrupt=yes;count=1");
        g_assert_cmpint(read_version(&b, 0, 4096), ==, -1);
        g_assert_cmpint(read_version(&b, 0, 4096), ==, 2);
        bed_close(&b);
}

static void test_gone(void)
{
        g_autofree uint8_t *buf = g_malloc0(512);
        StoreError error;
        Bed b;

        bed_fault(&b, "store=ram;error=ENODEV;ops=write");
        g_assert_cmpint(run(&b, STORE_READ, 0, 0, buf, 512), ==, 0);
        g_assert_cmpint(run(&b, STORE_WRITE, 0, 0, buf, 512), ==, -ENODEV);
        g_assert_cmpint(run(&b, STORE_READ, 0, 0, buf, 512), ==, -ENODEV);
        g_assert_cmpint(store_refresh(b.store, &b.spec, &error), ==, -ENODEV);
        configure(&b, "error=none");
        g_assert_cmpint(run(&b, STORE_READ, 0, 0, buf, 512), ==, -ENODEV);
        g_assert_cmpint(store_refresh(b.store, &b.spec, &error), ==, 1);
        g_assert_cmpint(store_refresh(b.store, &b.spec, &error), ==, 0);
        g_assert_cmpint(run(&b, STORE_WRITE, 0, 0, buf, 512), ==, 0);
        bed_close(&b);
}

/* ---- what was not flushed is lost, and only that ---- */

static void lose(const char *options)
{
        Op flush;
        Bed b;

        bed_fault(&b, options);
        /* flushed, then written again */
        g_assert_cmpint(write_version(&b, 0, 0, 16384, 1), ==, 0);
        g_assert_cmpint(run(&b, STORE_FLUSH, 0, 0, NULL, 0), ==, 0);
        g_assert_cmpint(write_version(&b, 0, 4096, 8192, 2), ==, 0);
        g_assert_cmpint(read_version(&b, 4096, 8192), ==, 2);
        configure(&b, "crash=yes");
        g_assert_cmpint(read_version(&b, 0, 16384), ==, 1);
        /* FUA keeps its own range, and nothing else */
        g_assert_cmpint(write_version(&b, 0, 0, 4096, 3), ==, 0);
        g_assert_cmpint(write_version(&b, STORE_FUA, 4096, 512, 4), ==, 0);
        g_assert_cmpint(write_version(&b, 0, 8192, 4096, 5), ==, 0);
        configure(&b, "crash=yes");
        g_assert_cmpint(read_version(&b, 4096, 512), ==, 4);
        g_assert_cmpint(read_version(&b, 4608, 3584), ==, 1);
        if (!strstr(options, "no-fua")) {
                g_assert_cmpint(read_version(&b, 0, 4096), ==, 1);
                g_assert_cmpint(read_version(&b, 8192, 4096), ==, 1);
        }
        /* zeroes too */
        g_assert_cmpint(write_version(&b, 0, 0, 16384, 6), ==, 0);
        g_assert_cmpint(run(&b, STORE_FLUSH, 0, 0, NULL, 0), ==, 0);
        g_assert_cmpint(run(&b, STORE_ZERO, STORE_FUA, 0, NULL, 4096), ==, 0);
        g_assert_cmpint(run(&b, STORE_ZERO, 0, 4096, NULL, 4096), ==, 0);
        g_assert_cmpint(run(&b, STORE_DISCARD, 0, 8192, NULL, 4096), ==, 0);
        g_assert_cmpint(read_version(&b, 8192, 4096), ==, 0);
        configure(&b, "crash=yes");
        g_assert_cmpint(read_version(&b, 0, 4096), ==, 0);
        g_assert_cmpint(read_version(&b, 4096, 12288), ==, 6);
        /* a flush on one channel covers what another has written */
        g_assert_cmpint(write_version(&b, 0, 0, 4096, 7), ==, 0);
        op_submit(&flush, b.ch[1], STORE_FLUSH, 0, 0, NULL, 0);
        g_assert_cmpint(op_wait(&b, &flush), ==, 0);
        configure(&b, "crash=yes");
        g_assert_cmpint(read_version(&b, 0, 4096), ==, 7);
        /* a flush that fails has not flushed; it may have in part */
        g_assert_cmpint(write_version(&b, 0, 0, 4096, 8), ==, 0);
        configure(&b, "error=EIO;ops=flush");
        g_assert_cmpint(run(&b, STORE_FLUSH, 0, 0, NULL, 0), ==, -EIO);
        configure(&b, "error=none;crash=yes");
        g_assert_cmpint(read_version(&b, 0, 4096), ==, 7);
        /* switched off: nothing is lost any more */
        configure(&b, "lose-unflushed=no");
        g_assert_cmpint(write_version(&b, 0, 0, 4096, 9), ==, 0);
        configure(&b, "crash=yes");
        g_assert_cmpint(read_version(&b, 0, 4096), ==, 9);
        bed_close(&b);
}

static void test_lose_unflushed(void)
{
        lose("store=ram;lose-unflushed=yes");
        lose("store=ram;lose-unflushed=yes;no-zero=yes");
        lose("store=ram;lose-unflushed=yes;no-fua=yes;no-zero=yes");
        lose("store=ram;lose-unflushed=yes;block-size=512;delay=1us");
}

/* Many flushes and FUA writes at once, in any order, then a crash: what was acknowledged before a
 * flush began is there. */
static void test_lose_concurrent(void)
{
        enum { N = 120 };
        g_autofree Op *ops = g_new0(Op, N);
        g_autofree uint8_t *data = g_malloc(N * 4096), *out = g_malloc(N * 4096);
        static const Kind kind = { "fault",
                                   { .type = "fault", .options = "store=rdwr;lose-unflushed=yes" },
                                   PATH_DISK };

        for (uint64_t seed = 0; seed < 10; seed++) {
                unsigned half = N / 2;
                Bed b;

                bed_open(&b, &kind, SIZE, 0, seed);
                fill(data, N * 4096, 0, 1);
                for (unsigned i = 0; i < N; i++) {
                        bool fua = i >= half;

                        op_submit(&ops[i], b.ch[i % 2], STORE_WRITE, fua ? STORE_FUA : 0, i * 4096,
                                  data + i * 4096, 4096);
                        if (i == half - 1) {
                                for (unsigned k = 0; k < half; k++)
                                        g_assert_cmpint(op_wait(&b, &ops[k]), ==, 0);
                                op_submit(&ops[0], b.ch[0], STORE_FLUSH, 0, 0, NULL, 0);
                                op_submit(&ops[1], b.ch[1], STORE_FLUSH, 0, 0, NULL, 0);
                        }
                }
                g_assert_cmpint(op_wait(&b, &ops[0]), ==, 0);
                g_assert_cmpint(op_wait(&b, &ops[1]), ==, 0);
                for (unsigned i = half; i < N; i++)
                        g_assert_cmpint(op_wait(&b, &ops[i]), ==, 0);
                configure(&b, "crash=yes");
                g_assert_cmpint(run(&b, STORE_READ, 0, 0, out, N * 4096), ==, 0);
                assert_same(out, data, N * 4096);
                bed_close(&b);
        }
}

/* A flush that writes an older version out, and a FUA write of the same sectors behind it: the
 * newer version is what stays. */
static void test_lose_rewrite(void)
{
        enum { N = 32 };
        static const Kind kind = { "fault",
                                   { .type = "fault", .options = "store=rdwr;lose-unflushed=yes" },
                                   PATH_DISK };
        g_autofree uint8_t *data = g_malloc(N * 4096), *out = g_malloc(N * 4096);
        g_autofree Op *ops = g_new0(Op, N + 1);

        for (uint64_t seed = 0; seed < 20; seed++) {
                Bed b;

                bed_open(&b, &kind, SIZE, 0, seed);
                g_assert_cmpint(write_version(&b, 0, 0, N * 4096, 1), ==, 0);
                op_submit(&ops[N], b.ch[0], STORE_FLUSH, 0, 0, NULL, 0);
                for (uint64_t k = sim_random(b.sim, 40); k > 0; k--)
                        (void)sim_step(b.sim);
                fill(data, N * 4096, 0, 2);
                for (unsigned i = 0; i < N; i++)
                        op_submit(&ops[i], b.ch[1], STORE_WRITE, STORE_FUA, i * 4096,
                                  data + i * 4096, 4096);
                for (unsigned i = 0; i <= N; i++)
                        g_assert_cmpint(op_wait(&b, &ops[i]), ==, 0);
                configure(&b, "crash=yes");
                g_assert_cmpint(run(&b, STORE_READ, 0, 0, out, N * 4096), ==, 0);
                assert_same(out, data, N * 4096);
                bed_close(&b);
        }
}

/* ---- the common layer above a store that hangs ---- */

/* Who waits for a block that a stuck read-modify-write holds can give up; it does not get in. */
static void test_lock_wait(void)
{
        g_autofree uint8_t *buf = g_malloc(8192), *out = g_malloc0(4096);
        Op stuck, aligned, partial, apart;
        Bed b;

        bed_fault(&b, "store=ram;block-size=4096;hang=write;range=0+4K");
        fill(buf, 8192, 0, 1);
        op_submit(&stuck, b.ch[0], STORE_WRITE, 0, 512, buf + 512, 512);
        op_submit(&aligned, b.ch[1], STORE_WRITE, 0, 0, buf, 4096);
        op_submit(&partial, b.ch[1], STORE_WRITE, 0, 1024, buf + 1024, 512);
        op_submit(&apart, b.ch[1], STORE_WRITE, 0, 4608, buf + 4608, 512);
        g_assert_cmpint(op_wait(&b, &apart), ==, 0);
        (void)sim_run(b.sim);
        g_assert_cmpuint(stuck.completions + aligned.completions + partial.completions, ==, 0);
        g_assert_cmpuint(store_busy(b.store), ==, 3);
        store_cancel(&aligned.req);
        store_cancel(&aligned.req);
        g_assert_cmpuint(aligned.completions, ==, 0);
        g_assert_cmpint(op_wait(&b, &aligned), ==, -ECANCELED);
        configure(&b, "hang=none");
        g_assert_cmpint(op_wait(&b, &stuck), ==, 0);
        g_assert_cmpint(op_wait(&b, &partial), ==, 0);
        g_assert_cmpint(run(&b, STORE_READ, 0, 0, out, 4096), ==, 0);
        memset(buf, 0, 512);
        memset(buf + 1536, 0, 4096 - 1536);
        assert_same(out, buf, 4096);
        bed_close(&b);
}

/* More than there are bounce buffers; those that wait for one can give up. */
static void test_bounce_wait(void)
{
        enum { N = 40 };
        g_autofree Op *ops = g_new0(Op, N);
        g_autofree uint8_t *buf = g_malloc0(N * 4096);
        unsigned cancelled = 0;
        Bed b;

        bed_fault(&b, "store=ram;block-size=4096;hang=read;cancel=no");
        for (unsigned i = 0; i < N; i++)
                op_submit(&ops[i], b.ch[0], STORE_WRITE, 0, i * 4096 + 512, buf, 1024);
        (void)sim_run(b.sim);
        for (unsigned i = 0; i < N; i += 2)
                store_cancel(&ops[i].req);
        (void)sim_run(b.sim);
        g_assert_cmpuint(ops[0].completions, ==, 0); /* has a buffer, hangs in the store */
        g_assert_cmpuint(ops[N - 2].completions, ==, 1);
        configure(&b, "hang=none");
        for (unsigned i = 0; i < N; i++) {
                int r = op_wait(&b, &ops[i]);

                g_assert_true(r == 0 || (i % 2 == 0 && r == -ECANCELED));
                cancelled += r == -ECANCELED;
        }
        g_assert_cmpuint(cancelled, >, 10);
        g_assert_cmpuint(store_busy(b.store), ==, 0);
        bed_close(&b);
}

/* An error in any step of an emulated request is the request's, and lets go of everything. */
static void test_emulated_errors(void)
{
        static const char *const ops[] = { "read", "write", "flush" };
        g_autofree uint8_t *buf = g_malloc0(8192);
        Bed b;

        bed_fault(&b, "store=ram;block-size=4096;no-fua=yes");
        for (unsigned i = 0; i < 3; i++)
                for (unsigned skip = 0; skip < 2; skip++) {
                        g_autofree char *o =
                                g_strdup_printf("error=EIO;ops=%s;skip=%u", ops[i], skip);
                        bool fails = skip == 0 || i == 0;

                        configure(&b, o);
                        g_assert_cmpint(run(&b, STORE_WRITE, STORE_FUA, 512, buf, 8192), ==,
                                        fails ? -EIO : 0);
                        configure(&b, "error=none");
                        g_assert_cmpint(run(&b, STORE_WRITE, STORE_FUA, 512, buf, 8192), ==, 0);
                        g_assert_cmpuint(store_busy(b.store), ==, 0);
                }
        bed_close(&b);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/store/fault/options", test_options);
        g_test_add_func("/store/fault/error", test_error);
        g_test_add_func("/store/fault/probability", test_probability);
        g_test_add_func("/store/fault/delay", test_delay);
        g_test_add_func("/store/fault/hang", test_hang);
        g_test_add_func("/store/fault/cancel", test_cancel);
        g_test_add_func("/store/fault/short", test_short);
        g_test_add_func("/store/fault/gone", test_gone);
        g_test_add_func("/store/fault/lose-unflushed", test_lose_unflushed);
        g_test_add_func("/store/fault/lose-concurrent", test_lose_concurrent);
        g_test_add_func("/store/fault/lose-rewrite", test_lose_rewrite);
        g_test_add_func("/store/emulate/lock-wait", test_lock_wait);
        g_test_add_func("/store/emulate/bounce-wait", test_bounce_wait);
        g_test_add_func("/store/emulate/errors", test_emulated_errors);
        return g_test_run();
}
