/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "daemon/make-file.h"

/* Files behind new LUNs: file_make() in a job, and what the bus sees of it. */

#define FILES_AT_ONCE 2
#define TELL_NS (200 * NSEC_PER_MSEC)
#define SCAN_BLOCK ((size_t)256 * 1024)
#define SCAN_MAX ((uint64_t)4 * 1024 * 1024 * 1024) /* of what is read of a file to be removed */

struct FileMaking {
        Manager *manager;
        List node; /* of Manager.files, while under way */
        FileMake make;
        char *folder, *name;
        char *expected, *path; /* path: NULL until it is there, since the name can be taken */
        /* of a copy: */
        Unit *unit; /* held; NULL: it is none */
        unsigned n_updates;
        char *source, *audit;
        FileDone *done;
        void *userdata;

        LoopJob job;
        LoopTimer tell;
        int result;
        char why[PATH_MAX + 512];
        struct stat st; /* of what was made */
        uint64_t told;
};

void files_init(Manager *m)
{
        list_init(&m->files);
        m->file_lane.max = FILES_AT_ONCE;
        m->file_folder = g_build_filename(m->state_dir, "disks", NULL);
}

void files_cancel(Manager *m)
{
        LIST_FOREACH (f, &m->files, FileMaking, node)
                manager_cancel_file(f);
}

const char *manager_file_folder(const Manager *m)
{
        return m->file_folder;
}

/* "NAME" of a target that can be part of a file's. */
static char *file_stem(const char *target)
{
        char *name = config_target_file_name(target);

        name[strlen(name) - strlen(".conf")] = '\0';
        return name;
}

char *manager_file_path(const char *folder, const char *target)
{
        g_autofree char *stem = file_stem(target);
        g_autofree char *name = g_strconcat(stem, ".img", NULL);

        return g_build_filename(folder, name, NULL);
}

static void file_free(FileMaking *f)
{
        g_free(f->folder);
        g_free(f->name);
        g_free(f->expected);
        g_free(f->path);
        g_free(f->source);
        g_free(f->audit);
        unit_unref(f->unit);
        g_free(f);
}

/* ---- making ---------------------------------------------------------------------------------- */

static void make_work(LoopJob *job)
{
        FileMaking *f = CONTAINER_OF(job, FileMaking, job);

        f->result = file_make(&f->make, &f->path, f->why, sizeof(f->why));
        if (f->result >= 0 && !f->make.dry_run && stat(f->path, &f->st) < 0)
                f->st = (struct stat){ 0 };
}

static const char *error_name(int error)
{
        return error == -EEXIST      ? ERROR_EXISTS
               : error == -EINVAL    ? ERROR_INVALID
               : error == -ECANCELED ? ERROR_FAILED
                                     : ERROR_BACKING_STORE;
}

/* What is copied has stayed what it was: nobody could write. */
static bool is_at_rest(const Unit *u)
{
        return u->n_maps > 0 && (u->spec->readonly || !u->spec->online);
}

static bool is_still_at_rest(const FileMaking *f)
{
        return is_at_rest(f->unit) && f->unit->n_updates == f->n_updates;
}

static void make_done(LoopJob *job)
{
        FileMaking *f = CONTAINER_OF(job, FileMaking, job);
        BusError e = { 0 };

        f->manager->n_jobs--;
        list_remove(&f->node);
        loop_timer_cancel(f->manager->loop, &f->tell);
        if (f->result < 0)
                bus_error_set(&e, error_name(f->result), "%s", f->why);
        else if (f->unit && !is_still_at_rest(f))
                bus_error_set(&e, ERROR_CONFLICT,
                              "The unit could be written while it was copied, or is not served any "
                              "more: the copy is worth nothing");
        else if (f->unit)
                log_send(LOG_NOTICE, MSG_CHANGED, LOG_FIELDS({ "CHANGE", f->audit }), "Copied: %s",
                         f->audit);
        f->done(e.name ? NULL : f->path, &e, f->userdata);
        bus_error_clear(&e);
}

static void tell(LoopTimer *timer)
{
        FileMaking *f = CONTAINER_OF(timer, FileMaking, tell);
        uint64_t done = atomic_load(&f->make.done);

        if (done != f->told)
                OBSERVE(f->manager, file_progress, f->expected, done, f->make.size);
        f->told = done;
        loop_timer_in(f->manager->loop, &f->tell, TELL_NS);
}

static FileMaking *file_new(Manager *m, const FileWish *wish, FileDone *done, void *userdata)
{
        FileMaking *f = g_new0(FileMaking, 1);

        f->manager = m;
        f->done = done;
        f->userdata = userdata;
        if (wish->path) {
                f->folder = g_path_get_dirname(wish->path);
                f->name = g_path_get_basename(wish->path);
                f->expected = g_strdup(wish->path);
        } else {
                f->folder = g_strdup(wish->folder ? wish->folder : m->file_folder);
                f->name = file_stem(wish->target);
                f->expected = manager_file_path(f->folder, wish->target);
        }
        f->make.folder = f->folder;
        f->make.whole_name = wish->path;
        f->make.name = f->name;
        f->make.size = wish->size;
        f->make.make_folder = !wish->folder && !wish->path;
        f->make.numbered = wish->numbered;
        f->make.preallocate = wish->preallocate;
        f->make.overcommit = wish->overcommit;
        f->make.dry_run = wish->dry_run;
        f->job = (LoopJob){ .work = make_work, .done = make_done };
        f->tell.fire = tell;
        return f;
}

static FileMaking *file_begin(FileMaking *f)
{
        Manager *m = f->manager;

        if (m->state == MANAGER_STOPPING)
                atomic_store(&f->make.cancel, true);
        list_append(&m->files, &f->node);
        m->n_jobs++;
        if ((f->make.preallocate || f->make.source) && !f->make.dry_run)
                loop_timer_in(m->loop, &f->tell, TELL_NS);
        manager_job(m, &m->file_lane, &f->job);
        return f;
}

FileMaking *manager_make_file(Manager *m, const FileWish *wish, FileDone *done, void *userdata)
{
        return file_begin(file_new(m, wish, done, userdata));
}

/* ---- copies ---------------------------------------------------------------------------------- */

/* -1 with *e set. */
static int check_copy(Manager *m, const Unit *u, BusError *e)
{
        const char *type;

        if (!u)
                return bus_error_set(e, ERROR_NOT_FOUND, "There is no such unit");
        type = u->spec->bs_type;
        if (!u->spec->path || (!STREQ(type, "rdwr") && !STREQ(type, "aio")))
                return bus_error_set(e, ERROR_NOT_SUPPORTED,
                                     "Only files and devices of this host can be copied, not what "
                                     "bs-type %s has",
                                     type);
        if (!u->store || u->state != UNIT_READY)
                return bus_error_set(e, ERROR_BACKING_STORE, "It is not ready: %s",
                                     u->reason ? u->reason : "its store is not open");
        if (operation_of(m, u->uuid))
                return bus_error_set(e, ERROR_IN_USE,
                                     "It is being formatted or sanitized, or that "
                                     "has failed");
        if (!is_at_rest(u))
                return bus_error_set(e, ERROR_IN_USE,
                                     "It can be written, so that what is copied would never have "
                                     "been on it at one time; set readonly yes, or online no, "
                                     "until the copy is made");
        return 0;
}

FileMaking *manager_copy_unit(Manager *m, const Caller *caller, const char *uuid,
                              const FileWish *wish, FileDone *done, void *userdata, BusError *e)
{
        Unit *u = g_hash_table_lookup(m->units, uuid);
        FileMaking *f;

        if (check_copy(m, u, e) < 0)
                return NULL;
        f = file_new(m, wish, done, userdata);
        f->unit = unit_ref(u);
        f->n_updates = u->n_updates;
        f->source = g_strdup(u->spec->path);
        f->audit = g_strdup_printf("unit %s (%s) to %s (%s, uid %u)", uuid, f->source, wish->path,
                                   caller->name ? caller->name : "", (unsigned)caller->uid);
        f->make.size = store_caps(u->store).size / 512 * 512;
        f->make.source = f->source;
        f->make.open_path = opener_open;
        f->make.open_userdata = &m->opener;
        return file_begin(f);
}

void manager_cancel_file(FileMaking *f)
{
        atomic_store(&f->make.cancel, true);
}

/* ---- what was made --------------------------------------------------------------------------- */

MadeFile *made_file_new(const FileMaking *making)
{
        MadeFile *f = g_new0(MadeFile, 1);

        f->path = g_strdup(making->path);
        f->device = making->st.st_dev;
        f->inode = making->st.st_ino;
        f->size = (uint64_t)making->st.st_size;
        return f;
}

MadeFile *made_file_free(MadeFile *f)
{
        if (!f)
                return NULL;
        g_free(f->path);
        g_free(f);
        return NULL;
}

static bool is_the_one(const MadeFile *f, const struct stat *st)
{
        return S_ISREG(st->st_mode) && st->st_nlink == 1 && st->st_dev == f->device &&
               st->st_ino == f->inode && (uint64_t)st->st_size == f->size;
}

/* ---- taking it back -------------------------------------------------------------------------- */

static bool is_served(const Manager *m, const char *path)
{
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, m->desired->targets);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const TargetSpec *t = value;

                for (guint i = 0; i < t->luns->len; i++)
                        if (g_strcmp0(((LunSpec *)g_ptr_array_index(t->luns, i))->path, path) == 0)
                                return true;
        }
        return false;
}

static void remove_work(LoopJob *job)
{
        FileMaking *f = CONTAINER_OF(job, FileMaking, job);
        MadeFile *made = made_file_new(f);
        struct stat st;

        /* that very file, not what somebody has put there since */
        if (lstat(f->path, &st) < 0)
                f->result = errno == ENOENT ? 0 : -errno;
        else if (!is_the_one(made, &st))
                f->result = -EEXIST;
        else
                f->result = unlink(f->path) < 0 ? -errno : 0;
        made_file_free(made);
}

static void remove_done(LoopJob *job)
{
        FileMaking *f = CONTAINER_OF(job, FileMaking, job);

        f->manager->n_jobs--;
        if (f->result < 0)
                log_warning("%s was made for a LUN that came to nothing, and could not be removed "
                            "again: %s",
                            f->path,
                            f->result == -EEXIST ? "it is not as it was made"
                                                 : strerror(-f->result));
        file_free(f);
}

void manager_end_file(FileMaking *f, bool keep)
{
        if (!f)
                return;
        if (keep || f->result < 0 || f->make.dry_run || is_served(f->manager, f->path)) {
                file_free(f);
                return;
        }
        f->job = (LoopJob){ .work = remove_work, .done = remove_done };
        f->manager->n_jobs++;
        if (f->manager->state == MANAGER_STOPPING) { /* no more jobs are begun */
                remove_work(&f->job);
                remove_done(&f->job);
                return;
        }
        manager_job(f->manager, &f->manager->file_lane, &f->job);
}

/* ---- with a change that is taken back -------------------------------------------------------- */

static bool is_all_zero(const char *p, size_t n)
{
        return n == 0 || (*p == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* What was only allocated is a hole to lseek(2), but not on every file system. -EFBIG: more than
 * anybody wants to wait for. */
static int read_zeros(int fd, off_t from, off_t to, uint64_t *left)
{
        g_autofree char *buffer = g_malloc(SCAN_BLOCK);

        while (from < to) {
                ssize_t n = pread(fd, buffer, (size_t)MIN(to - from, (off_t)SCAN_BLOCK), from);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return 0;
                if (!is_all_zero(buffer, (size_t)n))
                        return -EEXIST;
                if ((uint64_t)n > *left)
                        return -EFBIG;
                *left -= (uint64_t)n;
                from += n;
        }
        return 0;
}

/* 0: there is nothing in it but zeros. */
static int has_only_zeros(int fd, off_t size)
{
        uint64_t left = SCAN_MAX;
        off_t at = 0;
        int r = 0;

        while (at < size && r == 0) {
                off_t data = lseek(fd, at, SEEK_DATA), hole;

                if (data < 0)
                        return errno == ENXIO ? 0 : -errno;
                hole = lseek(fd, data, SEEK_HOLE);
                if (hole < 0)
                        return -errno;
                r = read_zeros(fd, data, hole, &left);
                at = hole;
        }
        return r;
}

/* Removes it if nothing but zeros is lost with it. */
static int withdraw(const MadeFile *f)
{
        _cleanup_close_ int fd = open(f->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        struct stat st;
        int r;

        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!is_the_one(f, &st))
                return -EEXIST;
        r = has_only_zeros(fd, st.st_size);
        if (r < 0)
                return r;
        if (lstat(f->path, &st) < 0)
                return -errno;
        if (!is_the_one(f, &st))
                return -EEXIST;
        return unlink(f->path) < 0 ? -errno : 0;
}

typedef struct Withdrawal {
        LoopJob job;
        Manager *manager;
        MadeFile *file;
        int result; /* -EEXIST: it is not as it was made */
} Withdrawal;

static void withdraw_work(LoopJob *job)
{
        Withdrawal *w = CONTAINER_OF(job, Withdrawal, job);

        w->result = withdraw(w->file);
}

static void stays(const char *path, const char *why)
{
        log_send(LOG_WARNING, NULL, LOG_FIELDS({ "BACKING_STORE", path }),
                 "%s was made for a change that was taken back, and stays: %s", path, why);
}

static void withdraw_done(LoopJob *job)
{
        Withdrawal *w = CONTAINER_OF(job, Withdrawal, job);
        const char *path = w->file->path;

        w->manager->n_jobs--;
        if (w->result == 0)
                log_notice("%s was made for a change that was taken back, and is removed: nothing "
                           "was written to it.",
                           path);
        else if (w->result == -EEXIST)
                stays(path, "it was written to, or is another file now. Remove it if it is not "
                            "needed.");
        else if (w->result == -EFBIG)
                stays(path, "it is too large to look whether something was written to it. Remove "
                            "it if it is not needed.");
        else if (w->result != -ENOENT)
                stays(path, strerror(-w->result));
        made_file_free(w->file);
        g_free(w);
}

void made_file_withdraw(Manager *m, MadeFile *f)
{
        Withdrawal *w;

        if (!f)
                return;
        if (is_served(m, f->path)) {
                stays(f->path, "something else serves it now.");
                made_file_free(f);
                return;
        }
        w = g_new0(Withdrawal, 1);
        w->manager = m;
        w->file = f;
        w->job = (LoopJob){ .work = withdraw_work, .done = withdraw_done };
        m->n_jobs++;
        if (m->state == MANAGER_STOPPING) { /* no more jobs are begun */
                withdraw_work(&w->job);
                withdraw_done(&w->job);
                return;
        }
        manager_job(m, &m->file_lane, &w->job);
}
