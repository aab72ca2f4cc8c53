/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

#include <sys/stat.h>

#include "daemon/make-file.h"

/* Files behind new LUNs: file_make() in a job, and what the bus sees of it. */

#define FILES_AT_ONCE 2
#define TELL_NS (200 * NSEC_PER_MSEC)

struct FileMaking {
        Manager *manager;
        List node; /* of Manager.files, while under way */
        FileMake make;
        char *folder, *name;
        char *expected, *path; /* path: NULL until it is there, since the name can be taken */
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

static void make_done(LoopJob *job)
{
        FileMaking *f = CONTAINER_OF(job, FileMaking, job);
        BusError e = { 0 };

        f->manager->n_jobs--;
        list_remove(&f->node);
        loop_timer_cancel(f->manager->loop, &f->tell);
        if (f->result < 0)
                bus_error_set(&e, error_name(f->result), "%s", f->why);
        f->done(f->result < 0 ? NULL : f->path, &e, f->userdata);
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

FileMaking *manager_make_file(Manager *m, const FileWish *wish, FileDone *done, void *userdata)
{
        FileMaking *f = g_new0(FileMaking, 1);

        f->manager = m;
        f->done = done;
        f->userdata = userdata;
        f->folder = g_strdup(wish->folder ? wish->folder : m->file_folder);
        f->name = file_stem(wish->target);
        f->expected = manager_file_path(f->folder, wish->target);
        f->make.folder = f->folder;
        f->make.name = f->name;
        f->make.size = wish->size;
        f->make.make_folder = !wish->folder;
        f->make.numbered = wish->numbered;
        f->make.preallocate = wish->preallocate;
        f->make.overcommit = wish->overcommit;
        f->make.dry_run = wish->dry_run;
        f->job = (LoopJob){ .work = make_work, .done = make_done };
        f->tell.fire = tell;
        if (m->state == MANAGER_STOPPING)
                atomic_store(&f->make.cancel, true);
        list_append(&m->files, &f->node);
        m->n_jobs++;
        if (wish->preallocate && !wish->dry_run)
                loop_timer_in(m->loop, &f->tell, TELL_NS);
        manager_job(m, &m->file_lane, &f->job);
        return f;
}

void manager_cancel_file(FileMaking *f)
{
        atomic_store(&f->make.cancel, true);
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
        struct stat st;

        /* that very file, not what somebody has put there since */
        f->result = stat(f->path, &st);
        if (f->result == 0 && (st.st_dev != f->st.st_dev || st.st_ino != f->st.st_ino))
                return;
        f->result = unlink(f->path) < 0 ? -errno : 0;
}

static void remove_done(LoopJob *job)
{
        FileMaking *f = CONTAINER_OF(job, FileMaking, job);

        f->manager->n_jobs--;
        if (f->result < 0)
                log_warning("%s was made for a LUN that came to nothing, and could not be removed "
                            "again: %s",
                            f->path, strerror(-f->result));
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
