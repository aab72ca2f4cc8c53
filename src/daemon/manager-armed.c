/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/* A change that is taken back unless somebody confirms it in time: for changes over the very
 * network that they might break.
 *
 * What it takes to go back is written down together with the change, in one record of the log, so
 * that neither a crash nor a restart leaves a change that nobody would take back. While one waits,
 * nothing else is changed: going back would undo it, or meet what it does not know. */

#define FORMAT 1
#define GROUP "armed"
#define RETRY (10 * NSEC_PER_SEC) /* after what was to be put back could not be written */
#define USEC_PER_DAY (24 * 3600 * UINT64_C(1000000))

typedef struct ArmedFile {
        char *path;
        bool existed;
        char *before;
        size_t before_size;
        char *after; /* digest of what the change wrote; "": it removed the file */
} ArmedFile;

struct Armed {
        Manager *manager;
        bool runtime;
        uint64_t generation;
        uint64_t since, until;   /* CLOCK_REALTIME, usec */
        uint64_t until_boottime; /* of that boot */
        char boot[40], *by;
        GPtrArray *changes; /* char* */
        GPtrArray *targets; /* char*: names of those it touched */
        bool globals;
        Desired *before;  /* these targets, where they were there, and what is global */
        GPtrArray *files; /* ArmedFile* */
        MadeFile *made;   /* behind what it added; or NULL */
        LoopTimer timer;
};

static void file_free(gpointer p)
{
        ArmedFile *f = p;

        if (f->before)
                explicit_bzero(f->before, f->before_size);
        g_free(f->before);
        g_free(f->path);
        g_free(f->after);
        g_free(f);
}

static Armed *armed_new(Manager *m)
{
        Armed *a = g_new0(Armed, 1);

        a->manager = m;
        a->changes = g_ptr_array_new_with_free_func(g_free);
        a->targets = g_ptr_array_new_with_free_func(g_free);
        a->files = g_ptr_array_new_with_free_func(file_free);
        return a;
}

Armed *armed_free(Armed *a)
{
        if (!a)
                return NULL;
        loop_timer_cancel(a->manager->loop, &a->timer);
        desired_free(a->before);
        g_ptr_array_unref(a->changes);
        g_ptr_array_unref(a->targets);
        g_ptr_array_unref(a->files);
        made_file_free(a->made);
        g_free(a->by);
        g_free(a);
        return NULL;
}

static uint64_t now_usec(clockid_t clock)
{
        struct timespec t;

        (void)clock_gettime(clock, &t);
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void read_boot_id(char *ret, size_t size)
{
        g_autofree char *text = NULL;

        if (g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL))
                g_strlcpy(ret, g_strstrip(text), size);
}

static char *path_in(const Manager *m, bool runtime)
{
        return g_build_filename(runtime ? m->runtime_dir : m->state_dir, "armed", NULL);
}

/* ---- written down ---------------------------------------------------------------------------- */

static void set_bytes(GKeyFile *k, const char *group, const char *key, const char *p, size_t n)
{
        g_autofree char *text = g_base64_encode((const guchar *)p, n);

        g_key_file_set_string(k, group, key, text);
        explicit_bzero(text, strlen(text));
}

static char *get_bytes(GKeyFile *k, const char *group, const char *key, size_t *ret_size)
{
        g_autofree char *text = g_key_file_get_string(k, group, key, NULL);
        size_t n = 0;
        guchar *p = text ? g_base64_decode(text, &n) : NULL;
        char *copy = g_malloc0(n + 1);

        if (n > 0) {
                memcpy(copy, p, n);
                explicit_bzero(p, n);
        }
        g_free(p);
        *ret_size = n;
        return copy;
}

static void write_target(GKeyFile *k, const TargetSpec *t, unsigned i)
{
        g_autofree char *group = g_strdup_printf("target %u", i);

        g_key_file_set_string(k, group, "name", t->name);
        g_key_file_set_integer(k, group, "persistence", (int)t->persistence);
        if (t->administrator.file) {
                g_key_file_set_string(k, group, "administrator", t->administrator.file);
                g_key_file_set_integer(k, group, "line", (int)t->administrator.line);
        }
}

static void write_targets(GKeyFile *k, const Armed *a)
{
        GHashTableIter iter;
        gpointer t;
        unsigned i = 0;

        g_hash_table_iter_init(&iter, a->before->targets);
        while (g_hash_table_iter_next(&iter, NULL, &t))
                write_target(k, t, i++);
}

static void write_files(GKeyFile *k, const Armed *a)
{
        for (guint i = 0; i < a->files->len; i++) {
                const ArmedFile *f = a->files->pdata[i];
                g_autofree char *group = g_strdup_printf("file %u", i);

                set_bytes(k, group, "path", f->path, strlen(f->path));
                g_key_file_set_boolean(k, group, "existed", f->existed);
                if (f->existed)
                        set_bytes(k, group, "before", f->before, f->before_size);
                g_key_file_set_string(k, group, "after", f->after);
        }
}

#define MADE_GROUP "made"

static void write_made(GKeyFile *k, const MadeFile *f)
{
        if (!f)
                return;
        set_bytes(k, MADE_GROUP, "path", f->path, strlen(f->path));
        g_key_file_set_uint64(k, MADE_GROUP, "device", f->device);
        g_key_file_set_uint64(k, MADE_GROUP, "inode", f->inode);
        g_key_file_set_uint64(k, MADE_GROUP, "size", f->size);
}

static FileChange *armed_file_change(const Armed *a)
{
        g_autoptr(GKeyFile) k = g_key_file_new();
        g_autofree char *path = path_in(a->manager, a->runtime);
        GString *before = g_string_new(NULL);
        size_t size;
        char *text;

        g_key_file_set_integer(k, GROUP, "format", FORMAT);
        g_key_file_set_uint64(k, GROUP, "generation", a->generation);
        g_key_file_set_uint64(k, GROUP, "since", a->since);
        g_key_file_set_uint64(k, GROUP, "until", a->until);
        g_key_file_set_uint64(k, GROUP, "until-boottime", a->until_boottime);
        g_key_file_set_string(k, GROUP, "boot", a->boot);
        g_key_file_set_string(k, GROUP, "by", a->by);
        g_key_file_set_boolean(k, GROUP, "globals", a->globals);
        g_key_file_set_string_list(k, GROUP, "changes", (const char *const *)a->changes->pdata,
                                   a->changes->len);
        g_key_file_set_string_list(k, GROUP, "targets", (const char *const *)a->targets->pdata,
                                   a->targets->len);
        desired_write(a->before, true, before);
        set_bytes(k, GROUP, "before", before->str, before->len);
        explicit_bzero(before->str, before->len);
        g_string_free(before, TRUE);
        write_targets(k, a);
        write_files(k, a);
        write_made(k, a->made);
        text = g_key_file_to_data(k, &size, NULL);
        return file_change_new(path, text, size);
}

/* ---- read back ------------------------------------------------------------------------------- */

static void read_strings(GKeyFile *k, const char *key, GPtrArray *to)
{
        g_auto(GStrv) list = g_key_file_get_string_list(k, GROUP, key, NULL, NULL);

        for (char **s = list; s && *s; s++)
                g_ptr_array_add(to, g_strdup(*s));
}

/* What a text does not say: whose a target was. */
static void read_origins(GKeyFile *k, Armed *a)
{
        for (unsigned i = 0;; i++) {
                g_autofree char *group = g_strdup_printf("target %u", i);
                g_autofree char *name = g_key_file_get_string(k, group, "name", NULL), *file = NULL;
                TargetSpec *t = name ? g_hash_table_lookup(a->before->targets, name) : NULL;

                if (!name)
                        return;
                if (!t)
                        continue;
                file = g_key_file_get_string(k, group, "administrator", NULL);
                t->persistence =
                        (TargetPersistence)g_key_file_get_integer(k, group, "persistence", NULL);
                t->administrator = (Origin){
                        .file = file ? g_intern_string(file) : NULL,
                        .line = (unsigned)g_key_file_get_integer(k, group, "line", NULL),
                };
        }
}

static void read_files(GKeyFile *k, Armed *a)
{
        for (unsigned i = 0;; i++) {
                g_autofree char *group = g_strdup_printf("file %u", i);
                ArmedFile *f;
                size_t n;

                if (!g_key_file_has_group(k, group))
                        return;
                f = g_new0(ArmedFile, 1);
                f->path = get_bytes(k, group, "path", &n);
                f->existed = g_key_file_get_boolean(k, group, "existed", NULL);
                if (f->existed)
                        f->before = get_bytes(k, group, "before", &f->before_size);
                f->after = g_key_file_get_string(k, group, "after", NULL);
                if (!f->after)
                        f->after = g_strdup("");
                g_ptr_array_add(a->files, f);
        }
}

static MadeFile *read_made(GKeyFile *k)
{
        MadeFile *f;
        size_t n;

        if (!g_key_file_has_group(k, MADE_GROUP))
                return NULL;
        f = g_new0(MadeFile, 1);
        f->path = get_bytes(k, MADE_GROUP, "path", &n);
        f->device = g_key_file_get_uint64(k, MADE_GROUP, "device", NULL);
        f->inode = g_key_file_get_uint64(k, MADE_GROUP, "inode", NULL);
        f->size = g_key_file_get_uint64(k, MADE_GROUP, "size", NULL);
        return f;
}

static int read_before(GKeyFile *k, Armed *a)
{
        GPtrArray *problems = NULL;
        GHashTable *bad = NULL;
        size_t n;
        g_autofree char *text = get_bytes(k, GROUP, "before", &n);
        int r = config_load_text(text, "armed", manager_check_param(), &a->before, &bad, &problems);

        explicit_bzero(text, n);
        if (r < 0)
                return r;
        for (guint i = 0; i < problems->len; i++)
                if (((Problem *)problems->pdata[i])->level == PROBLEM_ERROR)
                        r = -EBADMSG;
        g_hash_table_unref(bad);
        g_ptr_array_unref(problems);
        return r;
}

static int armed_read(Manager *m, bool runtime, Armed **ret)
{
        g_autofree char *path = path_in(m, runtime), *boot = NULL;
        g_autoptr(GKeyFile) k = g_key_file_new();
        Armed *a;

        if (!g_file_test(path, G_FILE_TEST_EXISTS))
                return -ENOENT;
        if (!g_key_file_load_from_file(k, path, G_KEY_FILE_NONE, NULL) ||
            g_key_file_get_integer(k, GROUP, "format", NULL) != FORMAT)
                return -EBADMSG;
        a = armed_new(m);
        a->runtime = runtime;
        a->generation = g_key_file_get_uint64(k, GROUP, "generation", NULL);
        a->since = g_key_file_get_uint64(k, GROUP, "since", NULL);
        a->until = g_key_file_get_uint64(k, GROUP, "until", NULL);
        a->until_boottime = g_key_file_get_uint64(k, GROUP, "until-boottime", NULL);
        boot = g_key_file_get_string(k, GROUP, "boot", NULL);
        g_strlcpy(a->boot, boot ? boot : "", sizeof(a->boot));
        a->by = g_key_file_get_string(k, GROUP, "by", NULL);
        a->globals = g_key_file_get_boolean(k, GROUP, "globals", NULL);
        read_strings(k, "changes", a->changes);
        read_strings(k, "targets", a->targets);
        if (!a->by || a->until < a->since || read_before(k, a) < 0) {
                armed_free(a);
                return -EBADMSG;
        }
        read_origins(k, a);
        read_files(k, a);
        a->made = read_made(k);
        *ret = a;
        return 0;
}

/* ---- going back ------------------------------------------------------------------------------ */

static void keep_changed(const ArmedFile *f, char *found, size_t size, GPtrArray *to)
{
        g_autofree char *kept = g_strconcat(f->path, ".changed-meanwhile", NULL);

        log_warning("%s was changed by somebody else while a change of it waited to be confirmed; "
                    "that version is kept as %s.",
                    f->path, kept);
        g_ptr_array_add(to, file_change_new(kept, found, size));
}

/* f as it was; what somebody else has made of it meanwhile is kept beside it. */
static void put_back(const ArmedFile *f, GPtrArray *to)
{
        g_autofree char *found = NULL, *sum = NULL;
        size_t size = 0;

        if (g_file_get_contents(f->path, &found, &size, NULL)) {
                sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guchar *)found, size);
                if (!STREQ(sum, f->after) &&
                    !(f->existed && size == f->before_size && memcmp(found, f->before, size) == 0))
                        keep_changed(f, g_steal_pointer(&found), size, to);
        }
        if (found)
                explicit_bzero(found, size);
        g_ptr_array_add(
                to, file_change_new(f->path,
                                    f->existed ? g_memdup2(f->before, f->before_size + 1) : NULL,
                                    f->before_size));
}

static void armed_files(const Armed *a, GPtrArray *to)
{
        g_autofree char *path = path_in(a->manager, a->runtime);

        for (guint i = 0; i < a->files->len; i++)
                put_back(a->files->pdata[i], to);
        g_ptr_array_add(to, file_change_new(path, NULL, 0));
}

static int edit_back(Desired *d, void *userdata, BusError *e)
{
        const Armed *a = userdata;
        Desired *copy = desired_dup(a->before);

        for (guint i = 0; i < a->targets->len; i++) {
                const char *name = a->targets->pdata[i];
                TargetSpec *t = g_hash_table_lookup(copy->targets, name);

                if (t) {
                        g_hash_table_steal(copy->targets, name);
                        desired_put(d, t);
                } else {
                        (void)g_hash_table_remove(d->targets, name);
                }
        }
        if (a->globals) {
                SWAP(d->portals, copy->portals);
                SWAP(d->discovery_incoming, copy->discovery_incoming);
                SWAP(d->discovery_outgoing, copy->discovery_outgoing);
                SWAP(d->accounts, copy->accounts);
        }
        desired_free(copy);
        return 0;
}

static void on_timer(LoopTimer *timer)
{
        Armed *a = CONTAINER_OF(timer, Armed, timer);
        const Caller nobody = { .uid = getuid(), .pid = getpid(), .name = "not confirmed in time" };

        manager_rollback(a->manager, &nobody, NULL, NULL, NULL, NULL);
}

/* How long is left, in ns. A clock that was set makes it no longer than it was to be. */
static uint64_t time_left(const Armed *a)
{
        uint64_t until = a->until, now = now_usec(CLOCK_REALTIME), window = a->until - a->since;
        char boot[sizeof(a->boot)] = "";

        read_boot_id(boot, sizeof(boot));
        if (*boot && STREQ(boot, a->boot)) {
                until = a->until_boottime;
                now = now_usec(CLOCK_BOOTTIME);
        }
        return until <= now ? 0 : MIN(until - now, window) * NSEC_PER_USEC;
}

static void armed_wait(Armed *a, uint64_t ns)
{
        a->timer.fire = on_timer;
        loop_timer_in(a->manager->loop, &a->timer, ns);
}

/* ---- for edits ------------------------------------------------------------------------------- */

static void remember_file(Armed *a, const FileChange *c)
{
        ArmedFile *f = g_new0(ArmedFile, 1);

        f->path = g_strdup(c->path);
        f->existed = g_file_get_contents(c->path, &f->before, &f->before_size, NULL);
        f->after =
                c->text ? g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guchar *)c->text, c->size)
                        : g_strdup("");
        g_ptr_array_add(a->files, f);
}

static void remember_targets(Armed *a, const Edit *e)
{
        g_autoptr(GHashTable) none = g_hash_table_new(g_str_hash, g_str_equal);
        Desired globals = *e->before;
        GHashTableIter iter;
        gpointer name;

        globals.targets = none;
        a->before = desired_dup(&globals);
        g_hash_table_iter_init(&iter, e->planned);
        while (g_hash_table_iter_next(&iter, &name, NULL)) {
                const TargetSpec *t = g_hash_table_lookup(e->before->targets, name);

                g_ptr_array_add(a->targets, g_strdup(name));
                if (t)
                        desired_put(a->before, target_spec_dup(t));
        }
}

static bool touches_transient(const Edit *e)
{
        GHashTableIter iter;
        gpointer name;

        g_hash_table_iter_init(&iter, e->planned);
        while (g_hash_table_iter_next(&iter, &name, NULL)) {
                const TargetSpec *before = g_hash_table_lookup(e->before->targets, name);
                const TargetSpec *after = g_hash_table_lookup(e->after->targets, name);

                if ((before && before->persistence == TARGET_TRANSIENT) ||
                    (after && after->persistence == TARGET_TRANSIENT))
                        return true;
        }
        return false;
}

int armed_prepare(Edit *e)
{
        Manager *m = e->manager;
        Armed *a;

        if (e->options.confirm_usec < 1000000 || e->options.confirm_usec > USEC_PER_DAY)
                return edit_fail(e, ERROR_INVALID, "confirm-within: expected 1s to 24h");
        if (touches_transient(e))
                return edit_fail(e, ERROR_INVALID,
                                 "confirm-within: a transient target goes with its client, and "
                                 "cannot be brought back");
        e->armed = a = armed_new(m);
        a->runtime = e->options.runtime;
        a->generation = m->generation + 1;
        a->since = now_usec(CLOCK_REALTIME);
        a->until = a->since + e->options.confirm_usec;
        a->until_boottime = now_usec(CLOCK_BOOTTIME) + e->options.confirm_usec;
        read_boot_id(a->boot, sizeof(a->boot));
        a->by = g_strdup_printf("uid %u (%s)", (unsigned)e->caller.uid, e->caller.name);
        a->globals = edit_changes_globals(e);
        for (guint i = 0; i < e->result.changes->len; i++)
                g_ptr_array_add(a->changes, g_strdup(e->result.changes->pdata[i]));
        if (e->options.made)
                a->made = made_file_new(e->options.made);
        remember_targets(a, e);
        for (guint i = 0; i < e->files->len; i++)
                remember_file(a, e->files->pdata[i]);
        g_ptr_array_add(e->files, armed_file_change(a));
        return 0;
}

static char *clock_text(uint64_t usec)
{
        g_autoptr(GDateTime) t = g_date_time_new_from_unix_local((gint64)(usec / 1000000));

        return t ? g_date_time_format(t, "%Y-%m-%d %H:%M:%S") : g_strdup("soon");
}

/* Its change is what runs now. */
void armed_begin(Edit *e)
{
        Manager *m = e->manager;
        g_autofree char *until = clock_text(e->armed->until);

        m->armed = TAKE_PTR(e->armed);
        armed_wait(m->armed, time_left(m->armed));
        log_send(LOG_NOTICE, MSG_ARMED, LOG_FIELDS({ "CALLER_NAME", e->caller.name }),
                 "A change by %s is taken back unless it is confirmed before %s.", m->armed->by,
                 until);
}

int armed_refuses(Edit *e)
{
        const Armed *a = e->manager->armed;
        g_autofree char *until = NULL;

        if (!a || e->options.dry_run || e->options.internal ||
            (e->kind != EDIT_CHANGE && e->kind != EDIT_RELOAD))
                return 0;
        until = clock_text(a->until);
        return edit_fail(e, ERROR_UNCONFIRMED,
                         "A change by %s waits to be confirmed until %s; confirm it, or take it "
                         "back, before anything else is changed",
                         a->by, until);
}

/* The begin of EDIT_CONFIRM and EDIT_ROLLBACK. */
int armed_take(Edit *e)
{
        Armed *a = e->manager->armed;
        g_autofree char *path = NULL;

        if (!a)
                return edit_fail(e, ERROR_NOT_FOUND, "No change waits to be confirmed");
        if (e->options.has_generation && e->options.generation != a->generation)
                return edit_fail(e, ERROR_CONFLICT,
                                 "The change that waits to be confirmed is that of generation "
                                 "%" PRIu64,
                                 a->generation);
        e->options = (EditOptions){ .force = true, .runtime = a->runtime };
        if (e->kind == EDIT_ROLLBACK) {
                e->edit = edit_back;
                e->userdata_edit = a;
                g_ptr_array_add(a->targets, NULL);
                e->targets = g_strdupv((char **)a->targets->pdata);
                g_ptr_array_set_size(a->targets, (gint)a->targets->len - 1);
                return 0;
        }
        path = path_in(a->manager, a->runtime);
        e->files = g_ptr_array_new_with_free_func((GDestroyNotify)file_change_free);
        g_ptr_array_add(e->files, file_change_new(path, NULL, 0));
        for (guint i = 0; i < a->changes->len; i++)
                g_ptr_array_add(e->result.changes, g_strdup(a->changes->pdata[i]));
        return 0;
}

void armed_plan_files(Edit *e)
{
        armed_files(e->manager->armed, e->files);
}

void armed_retry(Manager *m)
{
        if (m->armed)
                armed_wait(m->armed, RETRY);
}

void armed_end(Edit *e)
{
        Manager *m = e->manager;

        if (e->kind == EDIT_ROLLBACK && !e->written) {
                log_error("The files of the change that was taken back could not be put back; "
                          "trying again in 10 s.");
                armed_retry(m);
                return;
        }
        if (e->kind == EDIT_ROLLBACK && m->armed->made) {
                g_ptr_array_add(e->result.changes,
                                g_strdup_printf("- file %s (if nothing was written to it)",
                                                m->armed->made->path));
                made_file_withdraw(m, TAKE_PTR(m->armed->made));
        }
        m->armed = armed_free(m->armed);
}

/* ---- at start -------------------------------------------------------------------------------- */

/* Before any fragment is read. */
static void expired_at_start(Armed *a)
{
        Manager *m = a->manager;
        g_autoptr(GPtrArray) files =
                g_ptr_array_new_with_free_func((GDestroyNotify)file_change_free);
        CommitLog *log = a->runtime ? m->runtime_log : m->state_log;
        int r;

        armed_files(a, files);
        r = log ? commit_log_run(log, files) : -EROFS;
        if (r < 0) {
                log_error("A change by %s was not confirmed in time, and could not be taken back: "
                          "%s; trying again.",
                          a->by, strerror(-r));
                m->armed = a;
                armed_wait(a, RETRY);
                return;
        }
        log_send(LOG_WARNING, MSG_ROLLED_BACK, LOG_FIELDS({ "CALLER_NAME", a->by }),
                 "Taken back: %u changes by %s, which nobody confirmed before tgtd was started.",
                 a->changes->len, a->by);
        m->left_over = TAKE_PTR(a->made); /* until it is known what is served */
        armed_free(a);
}

static void open_one(Manager *m, bool runtime)
{
        g_autofree char *path = path_in(m, runtime), *away = NULL, *until = NULL;
        Armed *a = NULL;
        int r = armed_read(m, runtime, &a);

        if (r == -ENOENT)
                return;
        if (r < 0) {
                away = g_strconcat(path, ".damaged", NULL);
                (void)rename(path, away);
                log_error(
                        "%s cannot be read; the change that waited to be confirmed stays. The file "
                        "is kept as %s.",
                        path, away);
                return;
        }
        if (time_left(a) == 0) {
                expired_at_start(a);
                return;
        }
        until = clock_text(a->until);
        m->armed = a;
        armed_wait(a, time_left(a));
        log_send(LOG_NOTICE, MSG_ARMED, LOG_FIELDS({ "CALLER_NAME", a->by }),
                 "A change by %s is taken back unless it is confirmed before %s.", a->by, until);
}

void armed_open(Manager *m)
{
        open_one(m, false);
        if (!m->armed)
                open_one(m, true);
}

/* ---- the bus's side -------------------------------------------------------------------------- */

bool manager_armed(const Manager *m, ArmedInfo *ret)
{
        const Armed *a = m->armed;

        if (!a)
                return false;
        *ret = (ArmedInfo){ .until_usec = a->until,
                            .generation = a->generation,
                            .by = a->by,
                            .changes = a->changes };
        return true;
}
