/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dlfcn.h>
#include <fcntl.h>
#include <libaio.h>
#ifdef STORE_WITH_URING
#include <liburing.h>
#endif
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "harness.h"

/* Stable means stable: the system calls that make it so are seen to end before the request does.
 * The functions through which the store layer reaches the kernel are replaced here by ones that
 * keep account and pass on: a block is dirty once a call changed it without O_DSYNC or RWF_DSYNC,
 * and clean again when a later fdatasync() has ended well. Jobs run one after the other here, so
 * that "later" is what the account says. */

#define SIZE MIB
#define BLOCK 512

static bool dirty[SIZE / BLOCK]; /* changed, not stable */
static unsigned n_syncs;         /* that ended well */
static bool refuse_dsync;        /* RWF_DSYNC is unknown, as before Linux 4.7 */
static bool fail_sync;

static void mark(uint64_t offset, uint64_t length, bool is_dirty)
{
        for (uint64_t b = offset / BLOCK; b < DIV_ROUND_UP(offset + length, BLOCK); b++)
                if (b < G_N_ELEMENTS(dirty))
                        dirty[b] = is_dirty;
}

static bool any_dirty(uint64_t offset, uint64_t length)
{
        for (uint64_t b = offset / BLOCK; b < DIV_ROUND_UP(offset + length, BLOCK); b++)
                if (dirty[b])
                        return true;
        return false;
}

static bool is_dsync(int fd)
{
        return fcntl(fd, F_GETFL) & O_DSYNC;
}

static void synced(void)
{
        n_syncs++;
        memset(dirty, 0, sizeof(dirty));
}

/* ---- in the place of libc's and libaio's ---- */

int fdatasync(int fd)
{
        int r;

        if (fail_sync) {
                errno = EIO;
                return -1;
        }
        r = (int)syscall(SYS_fdatasync, fd);
        if (r == 0)
                synced();
        return r;
}

ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
        long r;

        if ((flags & RWF_DSYNC) && refuse_dsync) {
                errno = EOPNOTSUPP;
                return -1;
        }
        r = syscall(SYS_pwritev2, fd, iov, (long)n, (long)offset, 0L, (long)flags);
        if (r > 0)
                mark((uint64_t)offset, (uint64_t)r, !(flags & RWF_DSYNC) && !is_dsync(fd));
        return r;
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
        int r = (int)syscall(SYS_fallocate, fd, (long)mode, (long)offset, (long)length);

        if (r == 0)
                mark((uint64_t)offset, (uint64_t)length, true);
        return r;
}

/* Requests of a submission are looked at when they complete. */
int io_getevents(io_context_t ctx, long min, long max, struct io_event *events,
                 struct timespec *timeout)
{
        long n = syscall(SYS_io_getevents, ctx, min, max, events, timeout);

        for (long i = 0; i < n; i++) {
                const struct iocb *cb = events[i].obj;

                if (cb->aio_lio_opcode == IO_CMD_FDSYNC && events[i].res == 0) {
                        if (fail_sync)
                                events[i].res = (unsigned long)-EIO;
                        else
                                synced();
                }
                if (cb->aio_lio_opcode == IO_CMD_PWRITEV && (long)events[i].res > 0)
                        mark((uint64_t)cb->u.c.offset, events[i].res,
                             !(cb->aio_rw_flags & RWF_DSYNC) && !is_dsync((int)cb->aio_fildes));
        }
        return n < 0 ? -errno : (int)n;
}

#ifdef STORE_WITH_URING
/* Its completions cannot be seen here: what is submitted counts as done. Only writes are. */
int io_uring_submit(struct io_uring *ring)
{
        static int (*next)(struct io_uring * ring);

        if (!next)
                next = (int (*)(struct io_uring *))dlsym(RTLD_NEXT, "io_uring_submit");
        for (unsigned i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++) {
                const struct io_uring_sqe *sqe = &ring->sq.sqes[i & *ring->sq.kring_mask];
                const struct iovec *iov = (const struct iovec *)(uintptr_t)sqe->addr;
                uint64_t length = 0;

                g_assert_cmpint(sqe->opcode, ==, IORING_OP_WRITEV);
                for (unsigned k = 0; k < sqe->len; k++)
                        length += iov[k].iov_len;
                mark(sqe->off, length,
                     !((unsigned)sqe->rw_flags & RWF_DSYNC) && !is_dsync(sqe->fd));
        }
        return next(ring);
}
#endif

/* ---- the cases ---- */

static void open_bed(Bed *b, const Kind *kind, uint32_t granularity)
{
        g_autofree uint8_t *buf = g_malloc(SIZE);

        refuse_dsync = fail_sync = false;
        bed_open(b, kind, SIZE, granularity, 1);
        fill(buf, SIZE, 0, 1);
        g_assert_cmpint(run(b, STORE_WRITE, 0, 0, buf, SIZE), ==, 0);
        g_assert_cmpint(run(b, STORE_FLUSH, 0, 0, NULL, 0), ==, 0);
        memset(dirty, 0, sizeof(dirty));
        n_syncs = 0;
}

static const Kind order_kinds[] = {
        { "rdwr-memory", { .type = "rdwr" }, PATH_MEMORY },
        { "rdwr", { .type = "rdwr" }, PATH_DISK },
        { "rdwr-direct", { .type = "rdwr", .direct = true }, PATH_DISK },
        { "rdwr-sync", { .type = "rdwr", .sync = true }, PATH_DISK },
        { "aio", { .type = "aio" }, PATH_DISK },
        { "aio-sync", { .type = "aio", .sync = true }, PATH_DISK },
        { "aio-old-kernel", { .type = "aio" }, PATH_DISK, .old_kernel = true },
        { "fault-rdwr", { .type = "fault", .options = "store=rdwr;block-size=4096" }, PATH_DISK },
        { "fault-bare",
          { .type = "fault", .options = "store=aio;no-fua=yes;no-zero=yes;block-size=4096" },
          PATH_DISK },
        { "fault-lose",
          { .type = "fault", .options = "store=rdwr;lose-unflushed=yes" },
          PATH_DISK },
};

/* Without flags nothing is promised, and the account notices it: this is what makes the other cases
 * able to fail. */
static void test_plain(const void *userdata)
{
        const Kind *kind = userdata;
        g_autofree uint8_t *buf = g_malloc0(8192);
        Bed b;

        open_bed(&b, kind, 0);
        g_assert_cmpint(run(&b, STORE_WRITE, 0, 4096, buf, 8192), ==, 0);
        if (!kind->spec.sync && !strstr(kind->name, "lose"))
                g_assert_true(any_dirty(4096, 8192));
        bed_close(&b);
}

static void test_fua(const void *userdata)
{
        static const struct {
                uint64_t at, n;
        } rows[] = { { 4096, 4096 }, { 0, SIZE }, { 512, 512 }, { 1000, 9000 }, { 8192, 300000 } };
        const Kind *kind = userdata;
        g_autofree uint8_t *buf = g_malloc0(SIZE);
        Bed b;

        open_bed(&b, kind, 1);
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
                for (unsigned old = 0; old < 2; old++) {
                        refuse_dsync = old;
                        fill(buf, rows[i].n, rows[i].at, (uint32_t)i);
                        g_assert_cmpint(run(&b, STORE_WRITE, STORE_FUA, rows[i].at, buf, rows[i].n),
                                        ==, 0);
                        g_assert_false(any_dirty(rows[i].at, rows[i].n));
                        g_assert_cmpint(run(&b, STORE_ZERO, STORE_FUA, rows[i].at, NULL, rows[i].n),
                                        ==, 0);
                        g_assert_false(any_dirty(rows[i].at, rows[i].n));
                        g_assert_cmpint(run(&b, STORE_ZERO, STORE_FUA | STORE_UNMAP_OK, rows[i].at,
                                            NULL, rows[i].n),
                                        ==, 0);
                        g_assert_false(any_dirty(rows[i].at, rows[i].n));
                }
        bed_close(&b);
}

/* sync on open: everything is stable at once. */
static void test_sync(const void *userdata)
{
        const Kind *kind = userdata;
        g_autofree uint8_t *buf = g_malloc0(8192);
        Bed b;

        if (!kind->spec.sync)
                return;
        open_bed(&b, kind, 0);
        g_assert_cmpint(run(&b, STORE_WRITE, 0, 0, buf, 8192), ==, 0);
        g_assert_false(any_dirty(0, SIZE));
        g_assert_cmpint(run(&b, STORE_ZERO, 0, 0, NULL, 8192), ==, 0);
        g_assert_false(any_dirty(0, SIZE));
        g_assert_cmpint(run(&b, STORE_DISCARD, 0, 0, NULL, 8192), ==, 0);
        g_assert_false(any_dirty(0, SIZE));
        bed_close(&b);
}

/* A flush, on either channel, after writes of both. */
static void test_flush(const void *userdata)
{
        const Kind *kind = userdata;
        g_autofree uint8_t *buf = g_malloc0(64 * KIB);
        Op ops[8], flush;
        Bed b;

        open_bed(&b, kind, 0);
        for (unsigned round = 0; round < 8; round++) {
                unsigned before = n_syncs;

                for (unsigned i = 0; i < 8; i++)
                        op_submit(&ops[i], b.ch[i % 2], i % 3 ? STORE_WRITE : STORE_ZERO, 0,
                                  i * 8192, i % 3 ? buf : NULL, 8192);
                for (unsigned i = 0; i < 8; i++)
                        g_assert_cmpint(op_wait(&b, &ops[i]), ==, 0);
                op_submit(&flush, b.ch[round % 2], STORE_FLUSH, 0, 0, NULL, 0);
                g_assert_cmpint(op_wait(&b, &flush), ==, 0);
                g_assert_cmpuint(n_syncs, >, before);
                g_assert_false(any_dirty(0, SIZE));
        }
        bed_close(&b);
}

/* A sync that fails is not a success. */
static void test_failure(const void *userdata)
{
        const Kind *kind = userdata;
        Bed b;

        open_bed(&b, kind, 0);
        fail_sync = refuse_dsync = true;
        g_assert_cmpint(run(&b, STORE_FLUSH, 0, 0, NULL, 0), ==, -EIO);
        g_assert_cmpint(run(&b, STORE_ZERO, STORE_FUA, 0, NULL, 4096), ==, -EIO);
        fail_sync = false;
        g_assert_cmpint(run(&b, STORE_FLUSH, 0, 0, NULL, 0), ==, 0);
        bed_close(&b);
}

static const struct {
        const char *name;
        void (*test)(const void *userdata);
} cases[] = {
        { "plain", test_plain }, { "fua", test_fua },         { "sync", test_sync },
        { "flush", test_flush }, { "failure", test_failure },
};

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        for (size_t k = 0; k < G_N_ELEMENTS(order_kinds); k++)
                for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                        g_autofree char *path = g_strdup_printf("/store/order/%s/%s",
                                                                order_kinds[k].name, cases[i].name);

                        g_test_add_data_func(path, &order_kinds[k], cases[i].test);
                }
        return g_test_run();
}
