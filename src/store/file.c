/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "base/parse.h"
#include "store/file-io.h"
#include "store/options.h"

#define CLOSE_WAIT (5 * NSEC_PER_SEC)
#define ALIGN_MAX UINT32_C(65536)

const char *const rdwr_options[] = { "jobs", NULL };

/* ---- what the thing is ---- */

static int open_error(const char *path, int r, bool direct, StoreError *reterr);

static bool is_memory(int fd)
{
        struct statfs sf;

        return fstatfs(fd, &sf) == 0 && (sf.f_type == TMPFS_MAGIC || sf.f_type == RAMFS_MAGIC);
}

/* /sys/dev/block/MAJ:MIN/queue/NAME, or of the whole disk for a partition; -1 where unreadable. */
static int64_t queue_attribute(dev_t dev, const char *name)
{
        char path[128], text[32];

        for (unsigned i = 0; i < 2; i++) {
                _cleanup_close_ int fd = -1;
                uint64_t v;
                ssize_t n;

                (void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%squeue/%s", major(dev),
                               minor(dev), i ? "../" : "", name);
                fd = open(path, O_RDONLY | O_CLOEXEC);
                n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
                if (n <= 0)
                        continue;
                text[n] = '\0';
                text[strcspn(text, "\n")] = '\0';
                if (parse_u64(text, 0, INT64_MAX, &v) == 0)
                        return (int64_t)v;
        }
        return -1;
}

static int get_size(int fd, const struct stat *st, uint64_t *ret)
{
        if (!S_ISBLK(st->st_mode)) {
                *ret = (uint64_t)st->st_size;
                return 0;
        }
        return ioctl(fd, BLKGETSIZE64, ret) < 0 ? -errno : 0;
}

static StoreIdentity identity_of(const struct stat *st)
{
        if (S_ISBLK(st->st_mode))
                return (StoreIdentity){ .kind = 2, .a = st->st_rdev };
        return (StoreIdentity){ .kind = 1, .a = st->st_dev, .b = st->st_ino };
}

/* Offsets and memory that O_DIRECT takes; block_size is the device's, or 0. */
static int direct_alignment(int fd, uint32_t block_size, uint32_t *ret_align, uint32_t *ret_mem)
{
        _cleanup_free_ void *buf = NULL;
        ssize_t n;

#ifdef STATX_DIOALIGN
        struct statx sx;

        if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 &&
            (sx.stx_mask & STATX_DIOALIGN)) {
                if (sx.stx_dio_offset_align == 0 || sx.stx_dio_offset_align > ALIGN_MAX)
                        return -EINVAL;
                *ret_align = MAX(sx.stx_dio_offset_align, MAX(block_size, UINT32_C(512)));
                *ret_mem = MAX(sx.stx_dio_mem_align, UINT32_C(4));
                return 0;
        }
#endif
        if (block_size > 0) {
                *ret_align = *ret_mem = block_size;
                return 0;
        }
        /* Nobody says: try. A file of less than a block tells nothing, and needs nothing. */
        buf = aligned_alloc(4096, 4096);
        if (!buf)
                return -ENOMEM;
        n = pread(fd, buf, 512, 0);
        *ret_align = *ret_mem = n < 0 && errno == EINVAL ? 4096 : 512;
        return 0;
}

static int describe_device(FileStore *fs, const struct stat *st, StoreError *reterr)
{
        StoreCaps *caps = &fs->store.caps;
        int logical = 512;
        unsigned physical = 512;
        int64_t v;

        if (ioctl(fs->fd, BLKSSZGET, &logical) < 0 || logical < 512)
                return store_error(reterr, -EIO, "%s: cannot read its block size", fs->path);
        if (ioctl(fs->fd, BLKPBSZGET, &physical) < 0)
                physical = (unsigned)logical;
        caps->block_size = (uint32_t)logical;
        caps->physical_size = MAX(physical, caps->block_size);
        caps->rotational = queue_attribute(st->st_rdev, "rotational") > 0;
        v = queue_attribute(st->st_rdev, "discard_granularity");
        if (queue_attribute(st->st_rdev, "discard_max_bytes") > 0)
                caps->discard_granularity =
                        v > 0 && v <= INT32_MAX ? (uint32_t)v : caps->block_size;
        /* Only write-zeroes promises zeros; BLKDISCARD promises nothing. */
        caps->discard_zeroes = caps->discard_granularity > 0 &&
                               queue_attribute(st->st_rdev, "write_zeroes_max_bytes") > 0;
        fs->no_punch = !caps->discard_zeroes;
        caps->zero = queue_attribute(st->st_rdev, "write_zeroes_max_bytes") > 0;
        fs->store.zap_align = caps->block_size;
        return 0;
}

/* Punching behind the end changes nothing and says whether it can be done. */
static bool can_punch(int fd, uint64_t size)
{
        int r;

        do
                r = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                              (off_t)ROUND_UP(size, 1 * MIB) + (off_t)MIB, 4096);
        while (r < 0 && errno == EINTR);
        return r == 0;
}

static void describe_file(FileStore *fs, const struct stat *st)
{
        StoreCaps *caps = &fs->store.caps;
        uint32_t block =
                st->st_blksize >= 512 && st->st_blksize <= 65536 ? (uint32_t)st->st_blksize : 4096;

        caps->block_size = 512;
        caps->physical_size = block;
        if (!caps->readonly && can_punch(fs->fd, caps->size))
                caps->discard_granularity = block;
        caps->discard_zeroes = caps->discard_granularity > 0;
        caps->extents = true;
        fs->no_punch = caps->discard_granularity == 0;
        caps->zero = !fs->memory;
        fs->no_zero_range = fs->memory;
        caps->rotational = queue_attribute(st->st_dev, "rotational") > 0;
}

static int describe(FileStore *fs, const struct stat *st, StoreError *reterr)
{
        Store *s = &fs->store;
        int r;

        s->native = NATIVE_FUA | NATIVE_ZERO;
        fs->memory = !fs->block_device && is_memory(fs->fd);
        r = get_size(fs->fd, st, &s->caps.size);
        if (r < 0)
                return store_error(reterr, r, "%s: cannot read its size: %s", fs->path,
                                   strerror(-r));
        if (fs->block_device) {
                r = describe_device(fs, st, reterr);
                if (r < 0)
                        return r;
        } else
                describe_file(fs, st);
        s->caps.volatile_cache = !fs->sync;
        if (fs->direct) {
                r = direct_alignment(fs->fd, fs->block_device ? s->caps.block_size : 0, &s->align,
                                     &s->mem_align);
                if (r < 0)
                        return open_error(fs->path, r, true, reterr);
                s->caps.block_size = s->align;
                s->caps.physical_size = MAX(s->caps.physical_size, s->align);
        }
        s->identity = identity_of(st);
        /* tmpfs and the like close at once; others may write back. */
        s->close_blocks = !fs->memory;
        return 0;
}

/* ---- opening ---- */

static int open_error(const char *path, int r, bool direct, StoreError *reterr)
{
        switch (r) {
        case -ENOENT:
                return store_error(reterr, r,
                                   "%s does not exist: create it (truncate -s SIZE) or correct "
                                   "the path",
                                   path);
        case -EACCES:
        case -EPERM:
                return store_error(reterr, r,
                                   "%s: permission denied: let the daemon's user read and write "
                                   "it",
                                   path);
        case -EBUSY:
                return store_error(reterr, r,
                                   "%s is in use (mounted, or held by LVM, RAID or another "
                                   "program): release it, or set allow-in-use yes",
                                   path);
        case -EINVAL:
                if (direct)
                        return store_error(reterr, r,
                                           "%s: its file system cannot do direct I/O: use store "
                                           "type rdwr without direct",
                                           path);
                break;
        case -ENXIO:
        case -ENODEV:
        case -ENOMEDIUM:
                return store_error(reterr, r, "%s: there is no device behind it: attach the device",
                                   path);
        default:
                break;
        }
        return store_error(reterr, r, "%s cannot be opened: %s", path, strerror(-r));
}

static int open_with(const StoreSpec *spec, int flags)
{
        int fd;

        if (spec->open_path)
                return spec->open_path(spec->path, flags, spec->open_userdata);
        do
                fd = open(spec->path, flags);
        while (fd < 0 && errno == EINTR);
        return fd < 0 ? -errno : fd;
}

/* To note the time of a read is a write to the file system, which may wait for its journal: not
 * on a worker, where we are permitted to say so. */
static int open_once(const StoreSpec *spec, int flags)
{
        int fd = flags & O_PATH ? -EPERM : open_with(spec, flags | O_NOATIME);

        return fd == -EPERM ? open_with(spec, flags) : fd;
}

/* A device that is let go and opened again at once may be in use by nobody but our own close. */
static int call_open(const StoreSpec *spec, int flags)
{
        int fd;

        do
                fd = open_once(spec, flags);
        while (fd == -EBUSY && store_wait_closing(CLOSE_WAIT));
        return fd;
}

static int not_suitable(const char *path, mode_t mode, StoreError *reterr)
{
        const char *what = S_ISDIR(mode)    ? "a directory"
                           : S_ISCHR(mode)  ? "a character device"
                           : S_ISFIFO(mode) ? "a pipe"
                           : S_ISSOCK(mode) ? "a socket"
                                            : "something else";

        return store_error(reterr, S_ISDIR(mode) ? -EISDIR : -EINVAL,
                           "%s is %s: name a regular file or a block device", path, what);
}

/* Opens what spec names, read-only where writing is not permitted (as stgt does). */
static int open_thing(const StoreSpec *spec, bool direct, int *ret_fd, struct stat *ret_st,
                      bool *ret_readonly, StoreError *reterr)
{
        int flags = O_CLOEXEC | O_NOCTTY | (direct ? O_DIRECT : 0) | (spec->sync ? O_DSYNC : 0);
        _cleanup_close_ int fd = -1;
        bool readonly = spec->readonly;
        struct stat st;

        /* Before opening, since opening a tape, a pipe or a terminal does something. Where the
         * path cannot be looked at, the opener can, and non-blocking at least does not hang. */
        if (stat(spec->path, &st) == 0) {
                if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
                        return not_suitable(spec->path, st.st_mode, reterr);
                if (S_ISBLK(st.st_mode) && !spec->allow_in_use)
                        flags |= O_EXCL;
        } else {
                flags |= O_NONBLOCK;
                /* without O_CREAT it says nothing of regular files */
                if (!spec->allow_in_use)
                        flags |= O_EXCL;
        }
        fd = call_open(spec, flags | (readonly ? O_RDONLY : O_RDWR));
        if (!readonly && (fd == -EACCES || fd == -EROFS || fd == -EPERM)) {
                int again = call_open(spec, flags | O_RDONLY);

                /* the first refusal says more than the second */
                if (again >= 0) {
                        fd = again;
                        readonly = true;
                }
        }
        if (fd < 0)
                return open_error(spec->path, fd, direct, reterr);
        if (fstat(fd, &st) < 0)
                return open_error(spec->path, -errno, direct, reterr);
        if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
                return not_suitable(spec->path, st.st_mode, reterr);
        /* What whoever made the file has left in the page cache: a write would have to throw it
         * out, and those that may not wait are refused meanwhile. What is not written back yet
         * stays. */
        if (direct && S_ISREG(st.st_mode))
                (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        *ret_readonly = readonly;
        *ret_st = st;
        *ret_fd = take_fd(&fd);
        return 0;
}

static bool device_is_readonly(int fd, const struct stat *st)
{
        int ro = 0;

        return S_ISBLK(st->st_mode) && ioctl(fd, BLKROGET, &ro) == 0 && ro;
}

static int set_options(Store *s, const char *options, StoreError *reterr)
{
        const char *cursor = options;
        StoreOption o;
        uint32_t n;
        int r;

        while ((r = store_option_next(&cursor, &o, reterr)) > 0) {
                if (!STREQ(o.key, "jobs"))
                        return store_option_unknown(&o, rdwr_options, reterr);
                if (parse_u32(o.value, 1, 64, &n) < 0)
                        return store_option_invalid(&o, "a number from 1 to 64", reterr);
                s->lane.max = n;
        }
        return r;
}

void file_free(Store *s)
{
        FileStore *fs = (FileStore *)s;

        file_unmap(fs);
        fs->fd = safe_close(fs->fd);
        free(fs->path);
        store_done(s);
        free(fs);
}

int file_open(const StoreSpec *spec, const StoreOps *ops, bool direct, Store **ret,
              StoreError *reterr)
{
        FileStore *fs = calloc(1, sizeof(*fs));
        struct stat st;
        int r;

        if (!fs)
                return -ENOMEM;
        fs->fd = -1;
        fs->direct = direct;
        fs->sync = spec->sync;
        r = store_init(&fs->store, ops, spec);
        if (r < 0) {
                free(fs);
                return r;
        }
        fs->path = strdup(spec->path);
        r = fs->path ? set_options(&fs->store, spec->options, reterr) : -ENOMEM;
        if (r >= 0)
                r = open_thing(spec, direct, &fs->fd, &st, &fs->store.caps.readonly, reterr);
        if (r >= 0) {
                fs->block_device = S_ISBLK(st.st_mode);
                if (device_is_readonly(fs->fd, &st))
                        fs->store.caps.readonly = true;
                r = describe(fs, &st, reterr);
        }
        if (r < 0) {
                file_free(&fs->store);
                return r;
        }
        if (ops->lend)
                file_map(fs, fs->store.caps.size, false);
        store_ready(&fs->store);
        *ret = &fs->store;
        return 0;
}

/* ---- looking again ---- */

/* stat(2), through whoever opens: a sandbox shows us no devices, and no home directories. */
static int look_at(const StoreSpec *spec, struct stat *ret)
{
        _cleanup_close_ int fd = -1;

        if (!spec->open_path)
                return stat(spec->path, ret) < 0 ? -errno : 0;
        fd = call_open(spec, O_PATH | O_CLOEXEC);
        if (fd < 0)
                return fd;
        return fstat(fd, ret) < 0 ? -errno : 0;
}

/* Is what fd has open still what the path names? 1 yes, 0 no, -ENODEV there is nothing. */
static int still_there(FileStore *fs, const StoreSpec *spec, const struct stat *ours)
{
        struct stat st;
        uint64_t size;
        int r;

        r = look_at(spec, &st);
        if (r == -ENOENT || r == -ENOTDIR || r == -ENXIO)
                return -ENODEV;
        /* Not ours to look at: a file that still has a name is taken to have this one. */
        if (r < 0)
                return ours->st_nlink > 0;
        if (!fs->block_device)
                return st.st_dev == ours->st_dev && st.st_ino == ours->st_ino;
        if (!S_ISBLK(st.st_mode) || st.st_rdev != ours->st_rdev)
                return 0;
        /* A disk that was pulled has no size; one that was plugged in for it is another. */
        return ioctl(fs->fd, BLKGETSIZE64, &size) == 0 && (size > 0 || store_size(&fs->store) == 0);
}

/* Block sizes do not change under a running unit. */
static int same_blocks(FileStore *fs, int fd)
{
        const Store *s = &fs->store;
        uint32_t align = 1, mem_align = 1;
        int logical = 0, r;

        if (fs->block_device &&
            (ioctl(fd, BLKSSZGET, &logical) < 0 || (uint32_t)logical != s->zap_align))
                return -EINVAL;
        if (!fs->direct)
                return 0;
        r = direct_alignment(fd, (uint32_t)logical, &align, &mem_align);
        if (r < 0)
                return r;
        return align == s->align && mem_align <= s->mem_align ? 0 : -EINVAL;
}

/* Puts what the path names now in the place of what is open. The number of the descriptor stays,
 * and what is under way in the kernel keeps the old file by itself. */
static int reopen(FileStore *fs, const StoreSpec *spec, StoreError *reterr)
{
        Store *s = &fs->store;
        _cleanup_close_ int fd = -1;
        bool readonly = false;
        struct stat st;
        int r;

        __atomic_store_n(&s->gone, true, __ATOMIC_RELAXED);
        if (store_busy(s) > 0)
                return store_error(reterr, -ENODEV,
                                   "%s was replaced, and %u requests to the old one are still "
                                   "under way: try again when they are over",
                                   spec->path, store_busy(s));
        r = open_thing(spec, fs->direct, &fd, &st, &readonly, reterr);
        if (r < 0)
                return -ENODEV;
        if (S_ISBLK(st.st_mode) != fs->block_device)
                return store_error(reterr, -ENODEV,
                                   "%s was replaced by another kind of thing: remove the unit and "
                                   "add it again",
                                   spec->path);
        r = same_blocks(fs, fd);
        if (r < 0)
                return store_error(reterr, -ENODEV,
                                   "%s was replaced by something with other blocks: remove the "
                                   "unit and add it again",
                                   spec->path);
        if (dup3(fd, fs->fd, O_CLOEXEC) < 0)
                return store_error(reterr, -ENODEV, "%s: %s", spec->path, strerror(errno));
        __atomic_store_n(&fs->memory, !fs->block_device && is_memory(fd), __ATOMIC_RELAXED);
        pthread_mutex_lock(&s->mutex);
        s->identity = identity_of(&st);
        pthread_mutex_unlock(&s->mutex);
        store_set_readonly(s, readonly || device_is_readonly(fs->fd, &st));
        return 0;
}

/* A file that could only be read may have been opened to us since. */
static void try_writing(FileStore *fs, const StoreSpec *spec, const struct stat *ours)
{
        int flags = O_RDWR | O_CLOEXEC | O_NOCTTY | (fs->direct ? O_DIRECT : 0) |
                    (fs->sync ? O_DSYNC : 0);
        _cleanup_close_ int fd = call_open(spec, flags);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != ours->st_dev || st.st_ino != ours->st_ino)
                return;
        if (dup3(fd, fs->fd, O_CLOEXEC) >= 0)
                store_set_readonly(&fs->store, false);
}

int file_refresh(Store *s, const StoreSpec *spec, StoreError *reterr)
{
        FileStore *fs = (FileStore *)s;
        bool replaced = false;
        struct stat st;
        uint64_t size;
        int r;

        if (fstat(fs->fd, &st) < 0)
                return store_error(reterr, -ENODEV, "%s: %s", spec->path, strerror(errno));
        r = still_there(fs, spec, &st);
        if (r < 0)
                return store_error(reterr, r, "%s is gone: bring it back under the same path",
                                   spec->path);
        if (r == 0) {
                r = reopen(fs, spec, reterr);
                if (r < 0)
                        return r;
                replaced = true;
                if (fstat(fs->fd, &st) < 0)
                        return store_error(reterr, -ENODEV, "%s: %s", spec->path, strerror(errno));
        }
        r = get_size(fs->fd, &st, &size);
        if (r < 0)
                return store_error(reterr, -ENODEV, "%s: cannot read its size: %s", spec->path,
                                   strerror(-r));
        if (s->ops->lend)
                file_map(fs, size, replaced);
        store_set_size(s, size);
        if (fs->block_device) {
                if (!spec->readonly && device_is_readonly(fs->fd, &st))
                        store_set_readonly(s, true);
        } else if (store_is_readonly(s) && !spec->readonly)
                try_writing(fs, spec, &st);
        return 0;
}

int file_extent(Store *s, uint64_t offset, bool *ret_mapped, uint64_t *ret_length)
{
        const FileStore *fs = (const FileStore *)s;
        off_t next;

        if (fs->block_device)
                return 0; /* no device tells */
        next = lseek(fs->fd, (off_t)offset, SEEK_DATA);
        *ret_mapped = next == (off_t)offset;
        if (*ret_mapped)
                next = lseek(fs->fd, (off_t)offset, SEEK_HOLE);
        if (next < 0 && errno == ENXIO)
                return 0; /* a hole up to the end */
        if (next < 0)
                return -errno;
        *ret_length = (uint64_t)next - offset;
        return 0;
}
