/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

const Kind kinds[] = {
        { "rdwr-memory", { .type = "rdwr" }, PATH_MEMORY },
        { "rdwr-disk", { .type = "rdwr" }, PATH_DISK },
        { "rdwr-direct", { .type = "rdwr", .direct = true }, PATH_DISK },
        { "rdwr-sync", { .type = "rdwr", .sync = true }, PATH_DISK },
        { "rdwr-jobs", { .type = "rdwr", .options = "jobs=1" }, PATH_DISK },
        { "aio", { .type = "aio" }, PATH_DISK },
        { "aio-sync", { .type = "aio", .sync = true }, PATH_DISK },
        { "aio-old-kernel", { .type = "aio" }, PATH_DISK, .old_kernel = true },
        { "null", { .type = "null" }, PATH_NONE, .forgets = true },
        { "ram", { .type = "ram" }, PATH_NONE },
        { "fault-ram", { .type = "fault", .options = "store=ram" }, PATH_NONE },
        { "fault-aio", { .type = "fault", .options = "store=aio;delay=10us" }, PATH_DISK },
        { "fault-4k",
          { .type = "fault", .options = "store=ram;block-size=4096;delay=100us" },
          PATH_NONE },
        { "fault-4k-aio", { .type = "fault", .options = "store=aio;block-size=4096" }, PATH_DISK },
        { "fault-bare",
          { .type = "fault", .options = "store=ram;no-fua=yes;no-zero=yes;block-size=1024" },
          PATH_NONE },
        { "fault-lose", { .type = "fault", .options = "store=ram;lose-unflushed=yes" }, PATH_NONE },
        { "fault-lose-4k",
          { .type = "fault", .options = "store=rdwr;lose-unflushed=yes;block-size=4096" },
          PATH_DISK },
};
const size_t n_kinds = G_N_ELEMENTS(kinds);

const Kind device_kinds[] = {
        { "rdwr", { .type = "rdwr" }, PATH_DEVICE },
        { "rdwr-direct", { .type = "rdwr", .direct = true }, PATH_DEVICE },
        { "aio", { .type = "aio" }, PATH_DEVICE },
        { "aio-sync", { .type = "aio", .sync = true }, PATH_DEVICE },
        { "fault-rdwr", { .type = "fault", .options = "store=rdwr" }, PATH_DEVICE },
        { "fault-aio",
          { .type = "fault", .options = "store=aio;lose-unflushed=yes" },
          PATH_DEVICE },
};
const size_t n_device_kinds = G_N_ELEMENTS(device_kinds);

const ImageMaker *image_maker;

static bool old_kernel;

/* In the place of libc's: the store layer asks what the kernel can do. */
int uname(struct utsname *ret)
{
        int r = (int)syscall(SYS_uname, ret);

        if (r == 0 && old_kernel)
                g_strlcpy(ret->release, "6.1.0-test", sizeof(ret->release));
        return r;
}

static bool is_memory(const char *dir)
{
        struct statfs sf;

        return statfs(dir, &sf) == 0 && sf.f_type == TMPFS_MAGIC;
}

/* A directory on a disk's file system, or in memory. */
static const char *directory(KindPath where)
{
        static const char *const candidates[] = { "/var/tmp", ".", "/tmp", "/dev/shm", "/run" };

        for (size_t i = 0; i < G_N_ELEMENTS(candidates); i++)
                if (access(candidates[i], W_OK) == 0 &&
                    is_memory(candidates[i]) == (where == PATH_MEMORY))
                        return candidates[i];
        g_error("no writable directory %s", where == PATH_MEMORY ? "on tmpfs" : "on a disk");
}

/* The first free loop device, over file and without a name for it. */
static char *make_device(const char *file)
{
        int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
        int fd = open(file, O_RDWR | O_CLOEXEC);

        g_assert_true(control >= 0 && fd >= 0);
        for (unsigned tries = 0; tries < 100; tries++) {
                struct loop_config config = { .fd = (unsigned)fd, .block_size = 4096 };
                int n = ioctl(control, LOOP_CTL_GET_FREE), loop, r;
                char *path;

                g_assert_cmpint(n, >=, 0);
                path = g_strdup_printf("/dev/loop%d", n);
                loop = open(path, O_RDWR | O_CLOEXEC);
                r = loop < 0 ? -1 : ioctl(loop, LOOP_CONFIGURE, &config);
                safe_close(loop);
                if (r >= 0) {
                        close(fd);
                        close(control);
                        unlink(file);
                        return path;
                }
                g_free(path);
                g_usleep(10000); /* somebody else took it */
        }
        g_error("no loop device for %s", file);
}

bool have_devices(void)
{
        int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
        bool r = control >= 0 && ioctl(control, LOOP_CTL_GET_FREE) >= 0;

        safe_close(control);
        return r;
}

void remove_file(KindPath where, char *path)
{
        if (where == PATH_DEVICE) {
                int fd = open(path, O_RDWR | O_CLOEXEC);

                (void)ioctl(fd, LOOP_CLR_FD);
                safe_close(fd);
        } else if (where == PATH_IMAGE)
                image_maker->remove(path);
        else
                unlink(path);
        g_free(path);
}

char *make_file(KindPath where, uint64_t size)
{
        char *path;
        int fd;

        if (where == PATH_IMAGE)
                return image_maker->create(size);
        path = g_strdup_printf("%s/tgt-store-XXXXXX", directory(where));
        fd = mkstemp(path);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
        close(fd);
        if (where == PATH_DEVICE) {
                char *device = make_device(path);

                g_free(path);
                return device;
        }
        return path;
}

void bed_open_spec(Bed *b, const Kind *kind, const StoreSpec *spec, uint64_t size, uint64_t seed)
{
        StoreError error;
        int r;

        old_kernel = kind->old_kernel;
        *b = (Bed){ .sim = sim_new(seed, 2), .spec = *spec, .where = kind->where };
        if (kind->where != PATH_NONE)
                b->path = make_file(kind->where, size);
        b->spec.path = b->path;
        b->spec.size = size;
        r = store_open(&b->spec, &b->store, &error);
        if (r < 0)
                g_error("%s: %s", kind->name, error.text);
        for (unsigned i = 0; i < 2; i++) {
                g_assert_cmpint(store_host_new(sim_loop(b->sim, i), &b->host[i]), ==, 0);
                g_assert_cmpint(store_attach(b->store, b->host[i], &b->ch[i]), ==, 0);
        }
}

void bed_open(Bed *b, const Kind *kind, uint64_t size, uint32_t granularity, uint64_t seed)
{
        StoreSpec spec = kind->spec;

        spec.granularity = granularity;
        bed_open_spec(b, kind, &spec, size, seed);
}

void bed_close(Bed *b)
{
        for (unsigned i = 0; i < 2; i++) {
                b->ch[i] = store_detach(b->ch[i]);
                b->host[i] = store_host_free(b->host[i]);
        }
        b->store = store_unref(b->store);
        if (b->where == PATH_IMAGE)
                g_assert_true(store_wait_closed(60 * NSEC_PER_SEC)); /* an image in use stays */
        b->sim = sim_free(b->sim);
        if (b->path)
                remove_file(b->where, b->path);
        b->path = NULL;
}

static void op_done(StoreRequest *req)
{
        Op *op = CONTAINER_OF(req, Op, req);

        g_assert_false(op->inside);
        op->completions++;
}

void op_submit_iov(Op *op, StoreChannel *ch, StoreOp what, uint32_t flags, uint64_t offset,
                   uint64_t length)
{
        op->req.op = what;
        op->req.flags = flags;
        op->req.offset = offset;
        op->req.length = length;
        op->req.done = op_done;
        op->req.result = 1; /* must be replaced */
        op->completions = 0;
        /* nothing in private is to be relied on */
        memset(op->req.private, 0xa5, sizeof(op->req.private));
        op->inside = true;
        if (store_submit(ch, &op->req))
                op->completions++;
        op->inside = false;
}

void op_submit(Op *op, StoreChannel *ch, StoreOp what, uint32_t flags, uint64_t offset, void *buf,
               uint64_t length)
{
        op->req.n_iov = buf ? 1 : 0;
        op->req.iov[0] = (struct iovec){ buf, length };
        op_submit_iov(op, ch, what, flags, offset, length);
}

/* Real time for descriptors, virtual time for timers, both in small steps: a store under test may
 * need either. */
int op_wait(Bed *b, Op *op)
{
        gint64 deadline = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
        uint64_t step = 10 * NSEC_PER_USEC;

        while (op->completions == 0) {
                if (sim_step(b->sim))
                        continue;
                if (g_get_monotonic_time() > deadline)
                        g_error("a request has not completed");
                sim_advance(b->sim, step);
                step = MIN(step * 2, NSEC_PER_MSEC);
                g_usleep(10);
        }
        g_assert_cmpuint(op->completions, ==, 1);
        g_assert_cmpint(op->req.result, <=, 0);
        return op->req.result;
}

int run(Bed *b, StoreOp what, uint32_t flags, uint64_t offset, void *buf, uint64_t length)
{
        Op op;

        op_submit(&op, b->ch[0], what, flags, offset, buf, length);
        return op_wait(b, &op);
}

void fill(uint8_t *buf, size_t n, uint64_t offset, uint32_t version)
{
        for (size_t i = 0; i < n; i++) {
                uint64_t z = (offset + i) * UINT64_C(0x9e3779b97f4a7c15) + version * 0x85ebca6bU;

                buf[i] = (uint8_t)((z >> 29) ^ (z >> 47));
        }
}

void assert_same(const uint8_t *got, const uint8_t *expected, uint64_t n)
{
        for (uint64_t i = 0; i < n; i++)
                if (got[i] != expected[i])
                        g_error("byte %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                                ": %02x instead of %02x",
                                i, n, got[i], expected[i]);
}
