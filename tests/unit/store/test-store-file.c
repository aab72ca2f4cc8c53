/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* What is particular to files: how opening fails and what it says, what refreshing notices, a file
 * system that is full, what is lent. Devices: test-store-device.c. */

#define SIZE MIB

static const char *const types[] = { "rdwr", "aio" };

/* Opens are answered with this instead of open(2). */
static int deny_writing(const char *path, int flags, void *userdata)
{
        int fd;

        if ((flags & O_ACCMODE) != O_RDONLY)
                return *(int *)userdata;
        fd = open(path, flags);
        return fd < 0 ? -errno : fd;
}

static int deny(const char *path, int flags, void *userdata)
{
        return *(int *)userdata;
}

static void assert_refused(const StoreSpec *spec, int expected, const char *says)
{
        StoreError error;
        Store *s = NULL;
        int r = store_open(spec, &s, &error);

        g_assert_cmpint(r, ==, expected);
        g_assert_null(s);
        if (spec->path && says[0] != '!' && *spec->path)
                g_assert_nonnull(strstr(error.text, spec->path));
        if (!strstr(error.text, says[0] == '!' ? says + 1 : says))
                g_error("\"%s\" does not say \"%s\"", error.text, says);
}

static void test_open_errors(void)
{
        static const struct {
                const char *path, *options;
                int denied, expected;
                const char *says;
        } rows[] = {
                { NULL, NULL, 0, -EINVAL, "!needs a path" },
                { "", NULL, 0, -EINVAL, "!needs a path" },
                { "/nonexistent/file", NULL, 0, -ENOENT, "create it" },
                { "/dev", NULL, 0, -EISDIR, "a directory" },
                { "/dev/null", NULL, 0, -EINVAL, "a character device" },
                { "FILE", NULL, -EACCES, -EACCES, "let the daemon's user" },
                { "FILE", NULL, -EBUSY, -EBUSY, "allow-in-use" },
                { "FILE", NULL, -EIO, -EIO, "Input/output error" },
                { "FILE", NULL, -ENXIO, -ENXIO, "attach the device" },
                { "FILE", "colour=red", 0, -EINVAL, "!unknown option \"colour\"" },
                { "FILE", "jobs=0", 0, -EINVAL, "!from 1 to 64" },
                { "FILE", "jobs=many", 0, -EINVAL, "!from 1 to 64" },
                { "FILE", "jobs", 0, -EINVAL, "!key=value" },
                { "FILE", "=1", 0, -EINVAL, "!key=value" },
        };
        g_autofree char *file = make_file(PATH_DISK, SIZE);

        for (size_t t = 0; t < G_N_ELEMENTS(types); t++)
                for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                        int denied = rows[i].denied;
                        StoreSpec spec = { .type = types[t],
                                           .path = rows[i].path,
                                           .options = rows[i].options,
                                           .open_path = denied ? deny : NULL,
                                           .open_userdata = &denied };

                        if (spec.path && strcmp(spec.path, "FILE") == 0)
                                spec.path = file;
                        assert_refused(&spec, rows[i].expected, rows[i].says);
                }
        assert_refused(&(StoreSpec){ .type = "tape" }, -EINVAL, "unknown store type \"tape\"");
        assert_refused(&(StoreSpec){ 0 }, -EINVAL, "unknown store type");
        assert_refused(&(StoreSpec){ .type = "ram" }, -EINVAL, "needs a size");
        assert_refused(&(StoreSpec){ .type = "ram", .size = UINT64_MAX }, -EINVAL, "too large");
        assert_refused(&(StoreSpec){ .type = "ram", .size = 1, .options = "a=b" }, -EINVAL,
                       "there are: none");
        unlink(file);
}

/* A pipe is refused without waiting for its other end. */
static void test_open_pipe(void)
{
        g_autofree char *path = make_file(PATH_DISK, 0);

        unlink(path);
        g_assert_cmpint(mkfifo(path, 0600), ==, 0);
        assert_refused(&(StoreSpec){ .type = "rdwr", .path = path }, -EINVAL, "a pipe");
        unlink(path);
}

static void test_readonly_fallback(void)
{
        static const int errors[] = { -EACCES, -EROFS, -EPERM };
        g_autofree uint8_t *buf = g_malloc0(4096);

        for (size_t t = 0; t < G_N_ELEMENTS(types); t++)
                for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
                        Kind kind = { types[t], { .type = types[t] }, PATH_DISK };
                        int error = errors[i];
                        StoreError text;
                        Bed b;

                        kind.spec.open_path = deny_writing;
                        kind.spec.open_userdata = &error;
                        bed_open(&b, &kind, SIZE, 0, 1);
                        g_assert_true(store_caps(b.store).readonly);
                        g_assert_cmpint(run(&b, STORE_READ, 0, 0, buf, 4096), ==, 0);
                        g_assert_cmpint(run(&b, STORE_WRITE, 0, 0, buf, 4096), ==, -EROFS);
                        g_assert_cmpint(store_refresh(b.store, &b.spec, &text), ==, 0);
                        /* until it may be written */
                        b.spec.open_path = NULL;
                        g_assert_cmpint(store_refresh(b.store, &b.spec, &text), ==, 1);
                        g_assert_false(store_caps(b.store).readonly);
                        g_assert_cmpint(run(&b, STORE_WRITE, 0, 0, buf, 4096), ==, 0);
                        bed_close(&b);
                }
}

static void test_identity(void)
{
        g_autofree char *a = make_file(PATH_DISK, SIZE), *c = make_file(PATH_DISK, SIZE);
        g_autofree char *link_path = g_strconcat(a, ".link", NULL);
        const char *paths[] = { a, link_path, c };
        StoreIdentity id[3];

        g_assert_cmpint(symlink(a, link_path), ==, 0);
        for (unsigned i = 0; i < 3; i++) {
                Store *s;

                g_assert_cmpint(store_open(&(StoreSpec){ .type = types[i % 2], .path = paths[i] },
                                           &s, NULL),
                                ==, 0);
                id[i] = store_identity(s);
                store_unref(s);
        }
        g_assert_cmpint(memcmp(&id[0], &id[1], sizeof(id[0])), ==, 0);
        g_assert_cmpint(memcmp(&id[0], &id[2], sizeof(id[0])), !=, 0);
        unlink(a);
        unlink(c);
        unlink(link_path);
}

/* ---- looking again ---- */

static void refresh_size(Bed *b)
{
        g_autofree uint8_t *buf = g_malloc0(4096);
        StoreError e;

        g_assert_cmpint(store_refresh(b->store, &b->spec, &e), ==, 0);
        g_assert_cmpint(run(b, STORE_READ, 0, SIZE, buf, 4096), ==, -ERANGE);
        g_assert_cmpint(truncate(b->path, 2 * SIZE), ==, 0);
        g_assert_cmpint(store_refresh(b->store, &b->spec, &e), ==, 1);
        g_assert_cmpuint(store_caps(b->store).size, ==, 2 * SIZE);
        g_assert_cmpint(run(b, STORE_WRITE, 0, 2 * SIZE - 4096, buf, 4096), ==, 0);
        /* smaller: what is read behind the end is an error, noticed or not */
        g_assert_cmpint(truncate(b->path, SIZE / 2), ==, 0);
        g_assert_cmpint(run(b, STORE_READ, 0, SIZE, buf, 4096), ==, -ERANGE);
        g_assert_cmpint(store_refresh(b->store, &b->spec, &e), ==, 1);
        g_assert_cmpuint(store_caps(b->store).size, ==, SIZE / 2);
        g_assert_cmpint(run(b, STORE_WRITE, 0, SIZE / 2, buf, 4096), ==, -ERANGE);
        g_assert_cmpint(truncate(b->path, SIZE), ==, 0);
        g_assert_cmpint(store_refresh(b->store, &b->spec, &e), ==, 1);
}

static void refresh_gone(Bed *b, bool fault)
{
        g_autofree uint8_t *in = g_malloc(4096), *out = g_malloc(4096);
        g_autofree char *away = g_strconcat(b->path, ".away", NULL);
        g_autofree char *other = make_file(PATH_DISK, 2 * SIZE);
        StoreIdentity before = store_identity(b->store), after;
        StoreError e;
        Op op;

        fill(in, 4096, 0, 1);
        g_assert_cmpint(run(b, STORE_WRITE, 0, 0, in, 4096), ==, 0);
        g_assert_cmpint(rename(b->path, away), ==, 0);
        g_assert_cmpint(store_refresh(b->store, &b->spec, &e), ==, -ENODEV);
        g_assert_nonnull(strstr(e.text, b->path));
        g_assert_cmpint(run(b, STORE_READ, 0, 0, out, 4096), ==, -ENODEV);
        g_assert_cmpint(run(b, STORE_FLUSH, 0, 0, NULL, 0), ==, -ENODEV);
        g_assert_cmpint(store_refresh(b->store, &b->spec, &e), ==, -ENODEV);
        /* the same file */
        g_assert_cmpint(rename(away, b->path), ==, 0);
        g_assert_cmpint(store_refresh(b->store, &b->spec, &e), ==, 1);
        g_assert_cmpint(run(b, STORE_READ, 0, 0, out, 4096), ==, 0);
        assert_same(out, in, 4096);
        /* another one, which waits for what is under way to the old one */
        if (!fault) {
                sim_hold_jobs(b->sim, true);
                op_submit(&op, b->ch[1], STORE_ZERO, 0, 0, NULL, 4096);
                g_assert_cmpuint(op.completions, ==, 0);
        }
        g_assert_cmpint(rename(other, b->path), ==, 0);
        if (!fault) {
                g_assert_cmpint(store_refresh(b->store, &b->spec, &e), ==, -ENODEV);
                g_assert_nonnull(strstr(e.text, "1 request"));
                sim_hold_jobs(b->sim, false);
                g_assert_cmpint(op_wait(b, &op), ==, 0);
        }
        g_assert_cmpint(store_refresh(b->store, &b->spec, &e), ==, 1);
        g_assert_cmpuint(store_caps(b->store).size, ==, 2 * SIZE);
        after = store_identity(b->store);
        g_assert_cmpint(memcmp(&before, &after, sizeof(before)), !=, 0);
        g_assert_cmpint(run(b, STORE_READ, 0, 0, out, 4096), ==, 0);
        memset(in, 0, 4096);
        assert_same(out, in, 4096);
        g_assert_cmpint(run(b, STORE_WRITE, STORE_FUA, 2 * SIZE - 4096, out, 4096), ==, 0);
}

static void test_refresh(void)
{
        static const Kind rows[] = {
                { "rdwr", { .type = "rdwr" }, PATH_DISK },
                { "aio", { .type = "aio" }, PATH_DISK },
                { "fault", { .type = "fault", .options = "store=rdwr" }, PATH_DISK },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                Bed b;

                bed_open(&b, &rows[i], SIZE, 0, i);
                refresh_size(&b);
                refresh_gone(&b, i == 2);
                bed_close(&b);
        }
}

/* A size that is not whole blocks: direct I/O would make the file longer. */
static void test_odd_size(void)
{
        static const Kind kind = { "aio", { .type = "aio" }, PATH_DISK };
        g_autofree uint8_t *buf = g_malloc0(512);
        struct stat st;
        Bed b;

        bed_open(&b, &kind, 10000, 0, 1);
        g_assert_cmpuint(store_caps(b.store).size, ==, 10000 / 512 * 512);
        g_assert_cmpint(run(&b, STORE_WRITE, 0, 9728 - 512, buf, 512), ==, 0);
        g_assert_cmpint(run(&b, STORE_WRITE, 0, 9728, buf, 512), ==, -ERANGE);
        g_assert_cmpint(stat(b.path, &st), ==, 0);
        g_assert_cmpint(st.st_size, ==, 10000);
        bed_close(&b);
}

/* ---- loans ---- */

#define LENT (64 * KIB)

/* What a system call finds where the loan is: bytes, or negative errno. */
static int copy_loan(const StoreLoan *loan, uint8_t *to)
{
        int fd = memfd_create("copy", MFD_CLOEXEC), r;
        ssize_t n = write(fd, loan->memory, LENT);

        r = n < 0 ? -errno : (int)pread(fd, to, (size_t)n, 0);
        (void)close(fd);
        return r;
}

/* The bytes at offset, lent or not, are those of version (0: zeros). */
static void check_loan(Bed *b, uint64_t offset, bool lent, uint32_t version)
{
        g_autofree uint8_t *expected = g_malloc0(LENT), *got = g_malloc(LENT);
        StoreLoan loan = { 0 };

        if (version)
                fill(expected, LENT, offset, version);
        g_assert_cmpint(store_lend(b->ch[0], offset, LENT, &loan), ==, lent);
        g_assert_cmpuint(store_busy(b->store), ==, lent);
        if (lent) {
                g_assert_cmpint(copy_loan(&loan, got), ==, LENT);
                assert_same(got, expected, LENT);
                g_assert_cmpint(store_loan_read(&loan, 512, got, LENT - 512), ==, 0);
                assert_same(got, expected + 512, LENT - 512);
                store_loan_end(b->ch[0]);
        }
        g_assert_cmpint(run(b, STORE_READ, 0, offset, got, LENT), ==, 0);
        assert_same(got, expected, LENT);
}

static void write_all(Bed *b, uint64_t from, uint64_t to, uint32_t version)
{
        g_autofree uint8_t *buf = g_malloc(LENT);

        for (uint64_t at = from; at < to; at += LENT) {
                fill(buf, LENT, at, version);
                g_assert_cmpint(run(b, STORE_WRITE, 0, at, buf, LENT), ==, 0);
        }
}

static uint64_t blocks_of(const char *path)
{
        struct stat st;

        g_assert_cmpint(stat(path, &st), ==, 0);
        return (uint64_t)st.st_blocks;
}

/* A file that is whole is lent, as it is now. One with holes is not: they would be filled by that.
 */
static void test_lend(void)
{
        static const Kind kind = { "rdwr", { .type = "rdwr" }, PATH_MEMORY };
        StoreLoan loan;
        StoreError e;
        Bed b;

        bed_open(&b, &kind, SIZE, 0, 1);
        check_loan(&b, 0, false, 0);
        g_assert_cmpuint(blocks_of(b.path), ==, 0);
        write_all(&b, 0, SIZE, 1);
        check_loan(&b, 0, true, 1);
        check_loan(&b, SIZE - LENT, true, 1);
        g_assert_false(store_lend(b.ch[0], SIZE - LENT + 512, LENT, &loan));
        write_all(&b, 0, LENT, 2);
        check_loan(&b, 0, true, 2);
        g_assert_cmpint(run(&b, STORE_DISCARD, 0, 0, NULL, LENT), ==, 0);
        check_loan(&b, 0, false, 0);
        check_loan(&b, LENT, false, 1);
        write_all(&b, 0, LENT, 3);
        check_loan(&b, 0, true, 3);
        /* longer, and much longer: the same, when there is something */
        for (unsigned i = 2; i < 10; i += 7) {
                g_assert_cmpint(truncate(b.path, i * SIZE), ==, 0);
                g_assert_cmpint(store_refresh(b.store, &b.spec, &e), ==, 1);
                check_loan(&b, i * SIZE - LENT, false, 0);
                write_all(&b, SIZE, i * SIZE, i);
                check_loan(&b, i * SIZE - LENT, true, i);
        }
        bed_close(&b);
}

/* Cut off while it is lent: an error, to who sends and to who copies, and not a signal. */
static void test_lend_cut_off(void)
{
        static const Kind kind = { "rdwr", { .type = "rdwr" }, PATH_MEMORY };
        g_autofree uint8_t *got = g_malloc(LENT);
        StoreLoan loan, none;
        StoreError e;
        Bed b;

        bed_open(&b, &kind, SIZE, 0, 1);
        write_all(&b, 0, SIZE, 1);
        g_assert_true(store_lend(b.ch[0], SIZE / 2, LENT, &loan));
        g_assert_cmpint(truncate(b.path, SIZE / 2), ==, 0);
        g_assert_cmpint(copy_loan(&loan, got), ==, -EFAULT);
        g_assert_cmpint(store_loan_read(&loan, 0, got, LENT), ==, -ERANGE);
        g_assert_false(store_lend(b.ch[0], SIZE / 2, LENT, &none)); /* before it is noticed */
        store_loan_end(b.ch[0]);
        g_assert_cmpint(store_refresh(b.store, &b.spec, &e), ==, 1);
        check_loan(&b, 0, true, 1);
        bed_close(&b);
}

/* Another file under the same path: what the old one had is let go of, and never sent again. */
static void test_lend_replaced(void)
{
        static const Kind kind = { "rdwr", { .type = "rdwr" }, PATH_MEMORY };
        g_autofree char *other = make_file(PATH_MEMORY, SIZE);
        g_autofree uint8_t *got = g_malloc(LENT);
        StoreLoan loan;
        StoreError e;
        Bed b;

        bed_open(&b, &kind, SIZE, 0, 1);
        write_all(&b, 0, SIZE, 1);
        g_assert_true(store_lend(b.ch[0], 0, LENT, &loan));
        g_assert_cmpint(rename(other, b.path), ==, 0);
        g_assert_cmpint(store_refresh(b.store, &b.spec, &e), ==, -ENODEV); /* it is lent */
        store_loan_end(b.ch[0]);
        g_assert_cmpint(store_refresh(b.store, &b.spec, &e), ==, 1);
        g_assert_cmpint(copy_loan(&loan, got), ==, -EFAULT);
        check_loan(&b, 0, false, 0);
        write_all(&b, 0, SIZE, 2);
        check_loan(&b, 0, true, 2);
        bed_close(&b);
}

static void test_lend_not(void)
{
        static const Kind rows[] = {
                { "rdwr-disk", { .type = "rdwr" }, PATH_DISK },
                { "aio", { .type = "aio" }, PATH_DISK },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                Bed b;

                bed_open(&b, &rows[i], SIZE, 0, i);
                write_all(&b, 0, SIZE, 1);
                check_loan(&b, 0, false, 1);
                bed_close(&b);
        }
}

/* ---- the page cache ---- */

static size_t pages_cached(const char *path)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        uint8_t *p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
        uint8_t in[SIZE / 4096];
        size_t n = 0;

        g_assert_true(fd >= 0 && p != MAP_FAILED);
        g_assert_cmpint(mincore(p, SIZE, in), ==, 0);
        for (size_t i = 0; i < sizeof(in); i++)
                n += in[i] & 1;
        (void)munmap(p, SIZE);
        (void)close(fd);
        return n;
}

/* What is opened for direct I/O is not cached from before; what is not stays so. */
static void test_cached_before(void)
{
        for (size_t t = 0; t < G_N_ELEMENTS(types); t++) {
                g_autofree char *path = make_file(PATH_DISK, SIZE);
                g_autofree uint8_t *buf = g_malloc0(SIZE);
                int fd = open(path, O_WRONLY | O_CLOEXEC);
                StoreSpec spec = { .type = types[t], .path = path };
                StoreError error;
                Store *s;

                g_assert_cmpint(pwrite(fd, buf, SIZE, 0), ==, SIZE);
                g_assert_cmpint(fsync(fd), ==, 0);
                (void)close(fd);
                g_assert_cmpuint(pages_cached(path), ==, SIZE / 4096);
                g_assert_cmpint(store_open(&spec, &s, &error), ==, 0);
                g_assert_cmpuint(pages_cached(path), ==, t == 0 ? SIZE / 4096 : 0);
                (void)store_unref(s);
                (void)unlink(path);
        }
}

/* ---- without io_uring ---- */

static void test_old_kernel(void)
{
        static const Kind rows[] = {
                { "aio", { .type = "aio" }, PATH_DISK, .old_kernel = true },
                { "rdwr", { .type = "rdwr" }, PATH_DISK, .old_kernel = true },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                Bed b;

                bed_open(&b, &rows[i], SIZE, 0, i);
                g_assert_cmpint(store_caps(b.store).ring_error, ==, i == 0 ? -EOPNOTSUPP : 0);
                bed_close(&b);
        }
}

typedef struct Refusal {
        const char *name;
        unsigned call;
        int error;
} Refusal;

/* From now on, in this process and for good. */
static void refuse_call(const Refusal *r)
{
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, r->call, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)r->error),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog filter = { .len = G_N_ELEMENTS(code), .filter = code };

        g_assert_cmpint(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
        g_assert_cmpint(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), ==, 0);
}

static void write_without_ring(const Refusal *r)
{
        static const Kind kind = { "aio", { .type = "aio" }, PATH_DISK };
        Bed b;

        refuse_call(r);
        bed_open(&b, &kind, SIZE, 0, 1);
        g_assert_cmpint(store_caps(b.store).ring_error, ==, -r->error);
        for (uint32_t version = 1; version < 3; version++) {
                write_all(&b, 0, SIZE, version);
                for (uint64_t at = 0; at < SIZE; at += LENT)
                        check_loan(&b, at, false, version);
        }
        bed_close(&b);
}

/* A sandbox that refuses it, or half of it: writes go another way. */
static void test_ring_refused(gconstpointer data)
{
        int status;
        pid_t pid = fork();

        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                write_without_ring(data);
                _exit(0);
        }
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_cmpint(status, ==, 0);
}

static const Refusal refusals[] = {
        { "/store/file/ring-refused-setup", SYS_io_uring_setup, EPERM },
        { "/store/file/ring-refused-setup-unknown", SYS_io_uring_setup, ENOSYS },
        { "/store/file/ring-refused-enter", SYS_io_uring_enter, EPERM },
};

/* ---- no space ---- */

/* A cache that cannot be written out keeps what it has: the flush fails until there is room. */
static int full_cache(Bed *b, uint8_t *buf)
{
        g_autofree uint8_t *out = g_malloc(64 * KIB);

        for (uint64_t at = 0; at < 512 * KIB; at += 64 * KIB) {
                fill(buf, 64 * KIB, at, 1);
                g_assert_cmpint(run(b, STORE_WRITE, 0, at, buf, 64 * KIB), ==, 0);
        }
        g_assert_cmpint(run(b, STORE_FLUSH, 0, 0, NULL, 0), ==, -ENOSPC);
        g_assert_cmpint(run(b, STORE_FLUSH, 0, 0, NULL, 0), ==, -ENOSPC);
        g_assert_cmpint(mount(NULL, "/mnt", NULL, MS_REMOUNT, "size=4m"), ==, 0);
        g_assert_cmpint(run(b, STORE_FLUSH, 0, 0, NULL, 0), ==, 0);
        g_assert_cmpint(store_configure(b->store, "crash=yes", NULL), ==, 0);
        for (uint64_t at = 0; at < 512 * KIB; at += 64 * KIB) {
                fill(buf, 64 * KIB, at, 1);
                g_assert_cmpint(run(b, STORE_READ, 0, at, out, 64 * KIB), ==, 0);
                assert_same(out, buf, 64 * KIB);
        }
        return 0;
}

/* In a process of its own, which has a small tmpfs: 0 if all is as it should be. */
static int full_child(const StoreSpec *how)
{
        g_autofree uint8_t *buf = g_malloc0(64 * KIB);
        int fd, full = 0;
        StoreSpec spec = *how;
        Bed b;

        if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
                return 77;
        if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", "/mnt", "tmpfs", 0, "size=256k") < 0)
                return 77;
        fd = open("/mnt/file", O_RDWR | O_CREAT, 0600);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(ftruncate(fd, MIB), ==, 0);
        close(fd);
        spec.path = "/mnt/file";
        b = (Bed){ .sim = sim_new(1, 1), .spec = spec };
        g_assert_cmpint(store_open(&spec, &b.store, NULL), ==, 0);
        g_assert_cmpint(store_host_new(sim_loop(b.sim, 0), &b.host[0]), ==, 0);
        g_assert_cmpint(store_attach(b.store, b.host[0], &b.ch[0]), ==, 0);
        if (spec.options)
                return full_cache(&b, buf);
        for (uint64_t at = 0; at < MIB; at += 64 * KIB) {
                int r = run(&b, STORE_WRITE, 0, at, buf, 64 * KIB);

                g_assert_true(r == 0 || r == -ENOSPC);
                full += r == -ENOSPC;
        }
        g_assert_cmpint(full, >=, 12);
        /* discarding makes room again */
        g_assert_cmpint(run(&b, STORE_DISCARD, 0, 0, NULL, 256 * KIB), ==, 0);
        g_assert_cmpint(run(&b, STORE_WRITE, 0, MIB - 64 * KIB, buf, 64 * KIB), ==, 0);
        return 0;
}

static void test_no_space(const void *userdata)
{
        int status;
        pid_t pid = fork();

        if (pid == 0)
                _exit(full_child(userdata));
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77)
                g_test_skip("neither root nor user namespaces: no small tmpfs");
        else
                g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

int main(int argc, char **argv)
{
        static const StoreSpec rdwr = { .type = "rdwr" };
        static const StoreSpec cached = { .type = "fault",
                                          .options = "store=rdwr;lose-unflushed=yes" };

        g_test_init(&argc, &argv, NULL);
        /* first: that it works is remembered */
        for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++)
                g_test_add_data_func(refusals[i].name, &refusals[i], test_ring_refused);
        g_test_add_func("/store/file/open-errors", test_open_errors);
        g_test_add_func("/store/file/open-pipe", test_open_pipe);
        g_test_add_func("/store/file/readonly-fallback", test_readonly_fallback);
        g_test_add_func("/store/file/identity", test_identity);
        g_test_add_func("/store/file/refresh", test_refresh);
        g_test_add_func("/store/file/odd-size", test_odd_size);
        g_test_add_func("/store/file/lend", test_lend);
        g_test_add_func("/store/file/lend-cut-off", test_lend_cut_off);
        g_test_add_func("/store/file/lend-replaced", test_lend_replaced);
        g_test_add_func("/store/file/lend-not", test_lend_not);
        g_test_add_func("/store/file/cached-before", test_cached_before);
        g_test_add_func("/store/file/old-kernel", test_old_kernel);
        g_test_add_data_func("/store/file/no-space", &rdwr, test_no_space);
        g_test_add_data_func("/store/file/no-space-cached", &cached, test_no_space);
        return g_test_run();
}
