/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <sys/stat.h>

#include "daemon/make-file.h"

/* The bytes of one file or device into a new file. */

#define STEP (16 * MIB) /* between two looks at whether anybody still wants it */
#define BLOCK (64 * KIB)

static bool is_zero(const char *p, size_t n)
{
        return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

/* By hand; what is zero is left out, since it is zero there. */
static int copy_read(int from, int to, uint64_t at, uint64_t end, char *block)
{
        while (at < end) {
                ssize_t n = pread(from, block, (size_t)min_u64(end - at, BLOCK), (off_t)at), w = 0;

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -ENODATA; /* it is shorter than it was */
                while (w < n && !is_zero(block + w, (size_t)(n - w))) {
                        ssize_t k = pwrite(to, block + w, (size_t)(n - w), (off_t)at + w);

                        if (k < 0 && errno != EINTR)
                                return -errno;
                        if (k > 0)
                                w += k;
                }
                at += (uint64_t)n;
        }
        return 0;
}

/* By the kernel, which may share the blocks. -EOPNOTSUPP: not between these two. */
static int copy_range(int from, int to, uint64_t at, uint64_t end)
{
        while (at < end) {
                off_t in = (off_t)at, out = (off_t)at;
                ssize_t n = copy_file_range(from, &in, to, &out, end - at, 0);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS ||
                              errno == EOPNOTSUPP || errno == EPERM))
                        return -EOPNOTSUPP;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -EOPNOTSUPP; /* some file systems say so of what they cannot do */
                at += (uint64_t)n;
        }
        return 0;
}

/* The next piece that is data: *at moves to its begin; returns its end. No data: both are the end
 * of all. What does not know of holes has none. */
static uint64_t next_data(int from, uint64_t *at, uint64_t end)
{
        off_t data = lseek(from, (off_t)*at, SEEK_DATA), hole;

        if (data < 0 && errno == ENXIO) {
                *at = end;
                return end;
        }
        if (data < 0)
                return end;
        hole = lseek(from, data, SEEK_HOLE);
        *at = min_u64((uint64_t)data, end);
        return hole < 0 ? end : min_u64((uint64_t)hole, end);
}

static int copy_all(FileMake *f, int from, int to)
{
        g_autofree char *block = g_malloc(BLOCK);
        bool by_kernel = true;
        uint64_t at = 0;

        while (at < f->size) {
                uint64_t end = next_data(from, &at, f->size);
                int r = 0;

                if (atomic_load(&f->cancel))
                        return -ECANCELED;
                end = min_u64(end, at + STEP);
                if (at < end && by_kernel)
                        r = copy_range(from, to, at, end);
                if (r == -EOPNOTSUPP)
                        by_kernel = false;
                if (at < end && !by_kernel)
                        r = copy_read(from, to, at, end, block);
                if (r < 0)
                        return r;
                at = end;
                atomic_store(&f->done, at);
        }
        return 0;
}

int file_copy(FileMake *f, int to, char *reterr, size_t size)
{
        _cleanup_close_ int from = f->open_path(f->source, O_RDONLY | O_CLOEXEC, f->open_userdata);
        int r = from < 0 ? from : copy_all(f, from, to);
        struct stat st;

        /* what is behind its end looks like a hole */
        if (r >= 0 && fstat(from, &st) >= 0 && S_ISREG(st.st_mode) &&
            (uint64_t)st.st_size < f->size)
                r = -ENODATA;
        if (r < 0 && r != -ECANCELED)
                (void)snprintf(reterr, size, "%s could not be copied: %s", f->source, strerror(-r));
        return r;
}
