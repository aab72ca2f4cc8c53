/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <libaio.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "harness.h"

/* What the kernel may answer, and seldom does: interrupted, not now, only a part, not supported.
 * The functions through which the store layer reaches it are replaced by ones that do so at random;
 * the data must be right all the same, and each request complete once. */

#define SIZE MIB

static GRand *dice;
enum { ANSWER_AGAIN, ANSWER_PART, ANSWER_INTERRUPTED, ANSWER_UNSUPPORTED, N_ANSWERS };
static unsigned n_answers[N_ANSWERS];

static bool bad_luck(unsigned answer, gint32 one_in)
{
        if (!dice || g_rand_int_range(dice, 0, one_in) != 0)
                return false;
        n_answers[answer]++;
        return true;
}

/* ---- in the place of libc's and libaio's ---- */

static ssize_t transfer(long call, int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
        struct iovec v = iov[0];

        if (bad_luck(ANSWER_INTERRUPTED, 8)) {
                errno = EINTR;
                return -1;
        }
        if ((flags & RWF_NOWAIT) && bad_luck(ANSWER_AGAIN, 3)) {
                errno = EAGAIN;
                return -1;
        }
        if (v.iov_len > 512 && bad_luck(ANSWER_PART, 3)) {
                v.iov_len = v.iov_len / 2 / 512 * 512;
                return syscall(call, fd, &v, 1L, (long)offset, 0L, (long)flags);
        }
        return syscall(call, fd, iov, (long)n, (long)offset, 0L, (long)flags);
}

ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
        return transfer(SYS_preadv2, fd, iov, n, offset, flags);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
        return transfer(SYS_pwritev2, fd, iov, n, offset, flags);
}

int fdatasync(int fd)
{
        if (bad_luck(ANSWER_INTERRUPTED, 3)) {
                errno = EINTR;
                return -1;
        }
        return 0; /* what it does is not the point here */
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
        if (bad_luck(ANSWER_INTERRUPTED, 3)) {
                errno = EINTR;
                return -1;
        }
        if ((mode & FALLOC_FL_ZERO_RANGE) && bad_luck(ANSWER_UNSUPPORTED, 10)) {
                errno = EOPNOTSUPP;
                return -1;
        }
        return (int)syscall(SYS_fallocate, fd, (long)mode, (long)offset, (long)length);
}

int io_submit(io_context_t ctx, long n, struct iocb **iocbs)
{
        long r;

        if (bad_luck(ANSWER_AGAIN, 4))
                return g_rand_boolean(dice) ? -EAGAIN : -ENOMEM;
        if (bad_luck(ANSWER_INTERRUPTED, 8))
                return -EINTR;
        if (iocbs[0]->aio_lio_opcode == IO_CMD_FDSYNC && bad_luck(ANSWER_UNSUPPORTED, 2))
                return -EINVAL;
        if ((iocbs[0]->aio_rw_flags & RWF_NOWAIT) && bad_luck(ANSWER_UNSUPPORTED, 200))
                return -EOPNOTSUPP;
        if (n > 1 && bad_luck(ANSWER_PART, 2))
                n /= 2;
        r = syscall(SYS_io_submit, ctx, n, iocbs);
        return r < 0 ? -errno : (int)r;
}

/* What was done behind the first keep bytes was not. */
static void undo(const struct iocb *cb, size_t keep)
{
        static uint8_t garbage[512] __attribute__((aligned(4096)));
        const struct iovec *iov = cb->u.c.buf;

        memset(garbage, 0xdd, sizeof(garbage));
        if (cb->aio_lio_opcode == IO_CMD_PREADV)
                memset((uint8_t *)iov->iov_base + keep, 0xdd, iov->iov_len - keep);
        else
                g_assert_cmpint(pwrite((int)cb->aio_fildes, garbage, sizeof(garbage),
                                       cb->u.c.offset + (off_t)keep),
                                ==, sizeof(garbage));
}

int io_getevents(io_context_t ctx, long min, long max, struct io_event *events,
                 struct timespec *timeout)
{
        long n;

        if (bad_luck(ANSWER_INTERRUPTED, 8))
                return -EINTR;
        n = syscall(SYS_io_getevents, ctx, min, max, events, timeout);
        for (long i = 0; i < n; i++) {
                if ((long)events[i].res <= 512)
                        continue;
                if (bad_luck(ANSWER_PART, 6)) {
                        undo(events[i].obj, 512);
                        events[i].res = 512;
                } else if (bad_luck(ANSWER_AGAIN, 6)) {
                        undo(events[i].obj, 0);
                        events[i].res = (unsigned long)-EAGAIN;
                }
        }
        return n < 0 ? -errno : (int)n;
}

/* ---- */

static void weather(const Kind *kind, uint64_t seed)
{
        enum { N = 24, AREA = 24 * 8192 };
        g_autofree Op *ops = g_new0(Op, N);
        g_autofree uint8_t *model = g_malloc0(SIZE), *data = g_malloc(SIZE), *out = g_malloc(SIZE);
        Bed b;

        dice = NULL;
        bed_open(&b, kind, SIZE, 0, seed);
        dice = g_rand_new_with_seed((guint32)seed);
        for (uint32_t round = 0; round < 10; round++) {
                fill(data, AREA, 0, round);
                for (unsigned i = 0; i < N; i++) {
                        static const StoreOp what[] = { STORE_WRITE, STORE_WRITE, STORE_READ,
                                                        STORE_ZERO, STORE_DISCARD };
                        StoreOp op = what[sim_random(b.sim, G_N_ELEMENTS(what))];
                        uint64_t at = i * 8192, n = 512 * (1 + sim_random(b.sim, 16));

                        if (op == STORE_WRITE)
                                memcpy(model + at, data + at, n);
                        else if (op != STORE_READ)
                                memset(model + at, 0, n);
                        op_submit(&ops[i], b.ch[i % 2], op,
                                  op == STORE_WRITE && i % 8 == 0 ? STORE_FUA : 0, at,
                                  op == STORE_WRITE  ? data + at
                                  : op == STORE_READ ? out + at
                                                     : NULL,
                                  n);
                        if (sim_random(b.sim, 3) == 0)
                                (void)sim_step(b.sim);
                }
                for (unsigned i = 0; i < N; i++) {
                        g_assert_cmpint(op_wait(&b, &ops[i]), ==, 0);
                        if (ops[i].req.op == STORE_READ)
                                assert_same(out + ops[i].req.offset, model + ops[i].req.offset,
                                            ops[i].req.length);
                }
                g_assert_cmpint(run(&b, STORE_FLUSH, 0, 0, NULL, 0), ==, 0);
                g_assert_cmpint(run(&b, STORE_READ, 0, 0, out, SIZE), ==, 0);
                assert_same(out, model, SIZE);
        }
        (void)sim_run(b.sim);
        for (unsigned i = 0; i < N; i++)
                g_assert_cmpuint(ops[i].completions, ==, 1);
        g_clear_pointer(&dice, g_rand_free);
        bed_close(&b);
}

static void test_weather(const void *userdata)
{
        memset(n_answers, 0, sizeof(n_answers));
        for (uint64_t seed = 0; seed < 6; seed++)
                weather(userdata, seed);
        /* it was as bad as it was meant to be */
        g_assert_cmpuint(n_answers[ANSWER_INTERRUPTED], >, 20);
        g_assert_cmpuint(n_answers[ANSWER_PART], >, 20);
        g_assert_cmpuint(n_answers[ANSWER_UNSUPPORTED], >, 0);
}

int main(int argc, char **argv)
{
        static const Kind weather_kinds[] = {
                { "rdwr", { .type = "rdwr" }, PATH_DISK },
                { "rdwr-direct", { .type = "rdwr", .direct = true }, PATH_DISK },
                { "aio", { .type = "aio" }, PATH_DISK },
                { "aio-4k",
                  { .type = "fault", .options = "store=aio;block-size=4096" },
                  PATH_DISK },
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t k = 0; k < G_N_ELEMENTS(weather_kinds); k++) {
                g_autofree char *path = g_strdup_printf("/store/weather/%s", weather_kinds[k].name);

                g_test_add_data_func(path, &weather_kinds[k], test_weather);
        }
        return g_test_run();
}
