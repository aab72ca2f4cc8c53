/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/make-file.h"

#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "daemon/open-policy.h"

/* How much is taken between two looks at whether anybody still wants it. */
#define STEP (64 * (uint64_t)1024 * 1024)
#define ZEROS (1024 * 1024)
#define NUMBERS_MAX 10000U
#define MODE 0600

static int say(char *reterr, size_t size, int error, const char *format, ...) _printf_(4, 5);
static int say(char *reterr, size_t size, int error, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        vsnprintf(reterr, size, format, ap);
        va_end(ap);
        return error;
}

/* ---- where ----------------------------------------------------------------------------------- */

static int open_folder(const FileMake *f, char *reterr, size_t size)
{
        char magic[64], resolved[PATH_MAX];
        _cleanup_close_ int fd = -1;
        ssize_t n;

        if (f->folder[0] != '/')
                return say(reterr, size, -EINVAL, "%s: expected an absolute name", f->folder);
        if (f->make_folder && !f->dry_run && g_mkdir_with_parents(f->folder, 0700) < 0)
                return say(reterr, size, -errno, "%s: %s", f->folder, strerror(errno));
        fd = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT && f->make_folder && f->dry_run) {
                g_autofree char *parent = g_path_get_dirname(f->folder); /* it would be there */

                fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        }
        if (fd < 0)
                return say(reterr, size, -errno, "%s: %s", f->folder, strerror(errno));
        snprintf(magic, sizeof(magic), "/proc/self/fd/%d", fd);
        n = readlink(magic, resolved, sizeof(resolved) - 1);
        if (n < 0)
                return say(reterr, size, -errno, "%s: %s", f->folder, strerror(errno));
        resolved[n] = '\0';
        if (open_policy_check_resolved(resolved, O_RDWR) < 0)
                return say(reterr, size, -EINVAL, "%s: the system itself lives there", f->folder);
        return take_fd(&fd);
}

static int cannot_write(const FileMake *f, int error, char *reterr, size_t size)
{
        if (error != -EACCES && error != -EROFS && error != -EPERM)
                return say(reterr, size, error, "%s: %s", f->folder, strerror(-error));
        return say(reterr, size, error,
                   "%s: tgtd may not make files there (%s). Give it the folder (chown tgt %s) and, "
                   "under systemd, let it write there: systemctl edit tgtd.service, with "
                   "[Service] and ReadWritePaths=%s; or make the file yourself and name it with "
                   "backing-store",
                   f->folder, strerror(-error), f->folder, f->folder);
}

static int check_room(const FileMake *f, int folder, char *reterr, size_t size)
{
        struct statvfs st;
        uint64_t room;

        if (fstatvfs(folder, &st) < 0)
                return say(reterr, size, -errno, "%s: %s", f->folder, strerror(errno));
        room = (uint64_t)st.f_bavail * st.f_frsize;
        if (f->size <= room || (f->overcommit && !f->preallocate))
                return 0;
        return say(reterr, size, -ENOSPC,
                   "%s: %" PRIu64 " MiB are free there, and the file would have %" PRIu64 "%s",
                   f->folder, room >> 20, f->size >> 20,
                   f->preallocate ? "" : " (use force to make it all the same, sparse)");
}

/* ---- what ------------------------------------------------------------------------------------ */

static char *file_name(const FileMake *f, unsigned number)
{
        if (f->whole_name)
                return g_strdup(f->name);
        if (number == 1)
                return g_strdup_printf("%s.img", f->name);
        return g_strdup_printf("%s-%u.img", f->name, number);
}

static bool is_there(int folder, const char *name)
{
        struct stat st;

        return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int taken(const FileMake *f, const char *name, char *reterr, size_t size)
{
        return say(reterr, size, -EEXIST, "%s/%s is there already and is not overwritten: %s",
                   f->folder, name,
                   f->source ? "remove it, or choose another name"
                             : "serve it (backing-store), or remove it");
}

/* A name that is free now. */
static int choose_name(const FileMake *f, int folder, char **ret, char *reterr, size_t size)
{
        for (unsigned number = 1; number < NUMBERS_MAX; number++) {
                g_autofree char *name = file_name(f, number);

                if (!is_there(folder, name)) {
                        *ret = g_steal_pointer(&name);
                        return 0;
                }
                if (!f->numbered)
                        return taken(f, name, reterr, size);
        }
        return say(reterr, size, -EEXIST, "%s: too many files of %s are there", f->folder, f->name);
}

static int write_zeros(int fd, uint64_t from, uint64_t to)
{
        g_autofree char *zeros = g_malloc0(ZEROS);

        while (from < to) {
                ssize_t n = pwrite(fd, zeros, MIN(to - from, (uint64_t)ZEROS), (off_t)from);

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0)
                        from += (uint64_t)n;
        }
        return 0;
}

static int take_space(FileMake *f, int fd)
{
        bool can_allocate = true;

        for (uint64_t at = 0; at < f->size;) {
                uint64_t n = MIN(f->size - at, STEP);
                int r = 0;

                if (atomic_load(&f->cancel))
                        return -ECANCELED;
                if (can_allocate && fallocate(fd, 0, (off_t)at, (off_t)n) < 0) {
                        if (errno == EINTR)
                                continue;
                        if (errno != EOPNOTSUPP)
                                return -errno;
                        can_allocate = false;
                }
                if (!can_allocate)
                        r = write_zeros(fd, at, at + n);
                if (r < 0)
                        return r;
                at += n;
                atomic_store(&f->done, at);
        }
        return 0;
}

static int fill(FileMake *f, int fd, char *reterr, size_t size)
{
        int r = 0;

        if (f->size > INT64_MAX || ftruncate(fd, (off_t)f->size) < 0)
                r = f->size > INT64_MAX ? -EFBIG : -errno;
        if (r >= 0 && f->preallocate)
                r = take_space(f, fd);
        if (r >= 0 && f->source)
                r = file_copy(f, fd, reterr, size);
        if (r < 0 && reterr[0])
                return r;
        if (r >= 0 && fsync(fd) < 0)
                r = -errno;
        if (r >= 0 && atomic_load(&f->cancel))
                r = -ECANCELED;
        if (r == -ECANCELED)
                return say(reterr, size, r, "It was given up; nothing is left behind");
        if (r < 0)
                return say(reterr, size, r, "%s: the file could not be made: %s", f->folder,
                           strerror(-r));
        return 0;
}

/* ---- making it ------------------------------------------------------------------------------- */

/* fd has no name yet. */
static int give_name(const FileMake *f, int folder, int fd, char **name, char *reterr, size_t size)
{
        char magic[64];

        snprintf(magic, sizeof(magic), "/proc/self/fd/%d", fd);
        for (;;) {
                int r;

                if (linkat(AT_FDCWD, magic, folder, *name, AT_SYMLINK_FOLLOW) == 0)
                        return 0;
                if (errno != EEXIST)
                        return say(reterr, size, -errno, "%s/%s: %s", f->folder, *name,
                                   strerror(errno));
                /* somebody was faster */
                g_clear_pointer(name, g_free);
                r = choose_name(f, folder, name, reterr, size);
                if (r < 0)
                        return r;
        }
}

static int make_nameless(FileMake *f, int folder, char **name, char *reterr, size_t size)
{
        _cleanup_close_ int fd = openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, MODE);
        int r;

        if (fd < 0)
                return cannot_write(f, -errno, reterr, size);
        r = fill(f, fd, reterr, size);
        return r < 0 ? r : give_name(f, folder, fd, name, reterr, size);
}

/* Where a file must have a name from its beginning. */
static int make_named(FileMake *f, int folder, const char *name, char *reterr, size_t size)
{
        _cleanup_close_ int fd =
                openat(folder, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC, MODE);
        int r;

        if (fd < 0 && errno == EEXIST)
                return taken(f, name, reterr, size);
        if (fd < 0)
                return cannot_write(f, -errno, reterr, size);
        r = fill(f, fd, reterr, size);
        if (r < 0)
                (void)unlinkat(folder, name, 0);
        return r;
}

static int make(FileMake *f, int folder, char **name, char *reterr, size_t size)
{
        int r = make_nameless(f, folder, name, reterr, size);

        if (r == -EOPNOTSUPP || r == -EISDIR)
                r = make_named(f, folder, *name, reterr, size);
        if (r >= 0 && fsync(folder) < 0) {
                r = say(reterr, size, -errno, "%s: %s", f->folder, strerror(errno));
                (void)unlinkat(folder, *name, 0);
        }
        return r;
}

int file_make(FileMake *f, char **ret_path, char *reterr, size_t size)
{
        g_autofree char *name = NULL;
        _cleanup_close_ int folder = -1;
        int r;

        if (f->size == 0 || f->size % 512 != 0)
                return say(reterr, size, -EINVAL,
                           "%" PRIu64 ": a disk has a multiple of 512 bytes, and not none",
                           f->size);
        folder = open_folder(f, reterr, size);
        if (folder < 0)
                return folder;
        r = choose_name(f, folder, &name, reterr, size);
        if (r >= 0)
                r = check_room(f, folder, reterr, size);
        if (r >= 0 && f->dry_run && faccessat(folder, ".", W_OK, AT_EACCESS) < 0)
                r = cannot_write(f, -errno, reterr, size);
        if (r >= 0 && !f->dry_run)
                r = make(f, folder, &name, reterr, size);
        if (r < 0)
                return r;
        *ret_path = g_build_filename(f->folder, name, NULL);
        return 0;
}
