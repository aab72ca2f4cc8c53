/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/commit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"

#define MAGIC "tgt-changes 1"
#define BOOT_ID_SIZE 37
#define UNKNOWN_BOOT "unknown"

struct CommitLog {
        char *path;
        bool durable;
        char boot[BOOT_ID_SIZE];
        off_t end;           /* of what counts */
        GHashTable *changed; /* paths that are not synchronised yet */
        bool doubtful;       /* some may have been lost on the way to the disk */
};

/* ---- changes --------------------------------------------------------------------------------- */

static void free_secretly(char *text, size_t size)
{
        if (text)
                explicit_bzero(text, size);
        g_free(text);
}

FileChange *file_change_new(const char *path, char *text, size_t size)
{
        FileChange *c = g_new0(FileChange, 1);

        c->path = g_strdup(path);
        c->text = text;
        c->size = size;
        return c;
}

void file_change_free(FileChange *c)
{
        if (!c)
                return;
        free_secretly(c->text, c->size);
        free_secretly(c->before, c->before_size);
        g_free(c->path);
        g_free(c);
}

/* ---- files ----------------------------------------------------------------------------------- */

static int write_all(int fd, const char *p, size_t n)
{
        while (n > 0) {
                ssize_t k = write(fd, p, n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k <= 0)
                        return k < 0 ? -errno : -EIO;
                p += k;
                n -= (size_t)k;
        }
        return 0;
}

static int sync_path(const char *path, int flags)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

        if (fd < 0)
                return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
        return fsync(fd) < 0 ? -errno : 0;
}

static int sync_directory_of(const char *path)
{
        g_autofree char *dir = g_path_get_dirname(path);

        return sync_path(dir, O_DIRECTORY);
}

/* Beside path, under a name that begins with a dot: whoever reads the directory passes it over. */
static int write_temporary(const char *path, const char *text, size_t size, char **ret)
{
        g_autofree char *dir = g_path_get_dirname(path);
        char *temporary = g_build_filename(dir, ".tgt-XXXXXX", NULL);
        _cleanup_close_ int fd = -1;
        int r;

        fd = g_mkdir_with_parents(dir, 0755) < 0
                     ? -1
                     : g_mkstemp_full(temporary, O_RDWR | O_CLOEXEC, 0600);
        if (fd < 0) {
                r = -errno;
                g_free(temporary);
                return r;
        }
        r = write_all(fd, text, size);
        if (r == 0 && fchmod(fd, 0600) < 0)
                r = -errno;
        if (r < 0) {
                (void)unlink(temporary);
                g_free(temporary);
                return r;
        }
        *ret = temporary;
        return 0;
}

static int remove_path(const char *path)
{
        return unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR ? -errno : 0;
}

/* path is as text says from now on. */
static int put_file(const char *path, const char *text, size_t size)
{
        g_autofree char *temporary = NULL;
        int r;

        if (!text)
                return remove_path(path);
        r = write_temporary(path, text, size, &temporary);
        if (r == 0 && rename(temporary, path) < 0) {
                r = -errno;
                (void)unlink(temporary);
        }
        return r;
}

/* ---- the log --------------------------------------------------------------------------------- */

static GString *record_make(const GPtrArray *changes)
{
        g_autoptr(GString) body = g_string_new(NULL);
        g_autofree char *sum = NULL;
        GString *record;

        for (guint i = 0; i < changes->len; i++) {
                const FileChange *c = changes->pdata[i];

                if (c->text)
                        g_string_append_printf(body, "put %zu %zu\n", strlen(c->path), c->size);
                else
                        g_string_append_printf(body, "remove %zu 0\n", strlen(c->path));
                g_string_append(body, c->path);
                if (c->text)
                        g_string_append_len(body, c->text, (gssize)c->size);
        }
        sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)body->str, body->len);
        record = g_string_new(NULL);
        g_string_append_printf(record, "change %u %zu %s\n", changes->len, body->len, sum);
        g_string_append_len(record, body->str, (gssize)body->len);
        explicit_bzero(body->str, body->len);
        return record;
}

static int append(CommitLog *l, const char *text, size_t size, bool sync)
{
        bool is_new = l->end == 0;
        _cleanup_close_ int fd = open(l->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        g_autofree char *header = g_strdup_printf(MAGIC " %s\n", l->boot);
        off_t end = l->end;
        int r;

        if (fd < 0)
                return -errno;
        /* whatever stands behind was never decided */
        if (ftruncate(fd, end) < 0 || lseek(fd, end, SEEK_SET) < 0)
                return -errno;
        r = is_new ? write_all(fd, header, strlen(header)) : 0;
        if (r == 0)
                r = write_all(fd, text, size);
        if (r == 0 && sync && fdatasync(fd) < 0)
                r = -errno;
        if (r == 0 && sync && is_new)
                r = sync_directory_of(l->path);
        if (r < 0) {
                /* should even this fail: it has no "done", and the checksum of what is torn is
                 * wrong */
                (void)!ftruncate(fd, end);
                return r;
        }
        l->end = end + (off_t)size + (is_new ? (off_t)strlen(header) : 0);
        return 0;
}

/* The record that was appended last does not count any more. */
static int append_undo(CommitLog *l, off_t end)
{
        _cleanup_close_ int fd = open(l->path, O_WRONLY | O_CLOEXEC);

        l->end = end; /* the next one is written over it */
        if (fd < 0 || ftruncate(fd, end) < 0 || (l->durable && fdatasync(fd) < 0))
                return -errno;
        return 0;
}

/* ---- carrying out ---------------------------------------------------------------------------- */

static int remember(FileChange *c)
{
        g_autoptr(GError) e = NULL;

        if (g_file_get_contents(c->path, &c->before, &c->before_size, &e)) {
                c->existed = true;
                return 0;
        }
        if (g_error_matches(e, G_FILE_ERROR, G_FILE_ERROR_NOENT) ||
            g_error_matches(e, G_FILE_ERROR, G_FILE_ERROR_NOTDIR))
                return 0;
        /* what cannot be read could not be put back */
        return g_error_matches(e, G_FILE_ERROR, G_FILE_ERROR_ISDIR)   ? -EISDIR
               : g_error_matches(e, G_FILE_ERROR, G_FILE_ERROR_ACCES) ? -EACCES
                                                                      : -EIO;
}

static void drop_temporaries(char **temporaries, guint n)
{
        for (guint i = 0; i < n; i++) {
                if (temporaries[i])
                        (void)unlink(temporaries[i]);
                g_free(temporaries[i]);
        }
        g_free(temporaries);
}

static int prepare(const GPtrArray *changes, char **temporaries)
{
        int r = 0;

        for (guint i = 0; i < changes->len && r == 0; i++) {
                FileChange *c = changes->pdata[i];

                r = remember(c);
                if (r == 0 && c->text)
                        r = write_temporary(c->path, c->text, c->size, &temporaries[i]);
        }
        return r;
}

static int put_in_place(const GPtrArray *changes, char **temporaries, guint *ret_n)
{
        for (guint i = 0; i < changes->len; i++) {
                const FileChange *c = changes->pdata[i];
                int r = 0;

                *ret_n = i;
                if (!temporaries[i])
                        r = remove_path(c->path);
                else if (rename(temporaries[i], c->path) < 0)
                        r = -errno;
                else
                        g_clear_pointer(&temporaries[i], g_free);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The first n were put in place, the next one could not be. */
static void take_back(CommitLog *l, const GPtrArray *changes, guint n, off_t end)
{
        int r = append_undo(l, end);

        if (r < 0)
                log_error("A change that is refused could not be taken out of %s: %s; until the "
                          "next one it would be made when tgtd is started.",
                          l->path, strerror(-r));
        for (; n > 0; n--) {
                const FileChange *c = changes->pdata[n - 1];

                r = put_file(c->path, c->before, c->before_size);
                /* no log has this */
                if (r == 0 && l->durable)
                        r = sync_path(c->path, O_NOFOLLOW | O_NONBLOCK);
                if (r == 0 && l->durable)
                        r = sync_directory_of(c->path);
                if (r < 0)
                        log_error("%s was changed by what is refused, and could not be put back: "
                                  "%s",
                                  c->path, strerror(-r));
        }
}

int commit_log_run(CommitLog *l, const GPtrArray *changes)
{
        char **temporaries = g_new0(char *, changes->len + 1);
        GString *record = NULL;
        off_t end = l->end;
        guint n = 0;
        int r;

        r = prepare(changes, temporaries);
        if (r == 0) {
                record = record_make(changes);
                r = append(l, record->str, record->len, l->durable);
                explicit_bzero(record->str, record->len);
                g_string_free(record, TRUE);
        }
        if (r == 0) {
                r = put_in_place(changes, temporaries, &n);
                if (r < 0)
                        take_back(l, changes, n, end);
        }
        drop_temporaries(temporaries, changes->len);
        if (r < 0)
                return r;
        for (guint i = 0; i < changes->len; i++)
                g_hash_table_add(l->changed, g_strdup(((FileChange *)changes->pdata[i])->path));
        /* without it, this one and what follows are done once more */
        (void)append(l, "done\n", strlen("done\n"), false);
        return 0;
}

/* ---- reading the log ------------------------------------------------------------------------- */

typedef struct Reader {
        const char *p;
        size_t n;
} Reader;

/* The next n bytes; NULL: there are not so many. */
static const char *take(Reader *in, size_t n)
{
        const char *p = in->p;

        if (n > in->n)
                return NULL;
        in->p += n;
        in->n -= n;
        return p;
}

/* The next line, copied without its end; false: none that is complete, or one that is too long. */
static bool take_line(Reader *in, char *line, size_t size)
{
        const char *end = memchr(in->p, '\n', in->n);
        size_t n = end ? (size_t)(end - in->p) : 0;

        if (!end || n >= size)
                return false;
        memcpy(line, in->p, n);
        line[n] = '\0';
        (void)take(in, n + 1);
        return true;
}

static bool read_change(Reader *in, GPtrArray *to)
{
        char line[64], verb[8];
        const char *path, *text;
        size_t n_path, n_text;

        if (!take_line(in, line, sizeof(line)) ||
            sscanf(line, "%7s %zu %zu", verb, &n_path, &n_text) != 3)
                return false;
        path = take(in, n_path);
        text = path ? take(in, n_text) : NULL;
        if (!text)
                return false;
        g_ptr_array_add(to,
                        file_change_new("", STREQ(verb, "put") ? g_memdup2(text, n_text + 1) : NULL,
                                        n_text));
        g_free(((FileChange *)to->pdata[to->len - 1])->path);
        ((FileChange *)to->pdata[to->len - 1])->path = g_strndup(path, n_path);
        return true;
}

/* One record that is whole; false: none, or a torn one. */
static bool read_record(Reader *in, GPtrArray *ret)
{
        char line[160], sum[65];
        g_autofree char *found = NULL;
        const char *body;
        unsigned n;
        size_t size;

        if (!take_line(in, line, sizeof(line)) ||
            sscanf(line, "change %u %zu %64s", &n, &size, sum) != 3)
                return false;
        body = take(in, size);
        if (!body)
                return false;
        found = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)body, size);
        if (!STREQ(found, sum))
                return false;
        for (Reader inner = { body, size }; n > 0; n--)
                if (!read_change(&inner, ret))
                        return false;
        return true;
}

static int redo(const GPtrArray *changes)
{
        for (guint i = 0; i < changes->len; i++) {
                const FileChange *c = changes->pdata[i];
                int r = put_file(c->path, c->text, c->size);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* trust_done: what is said to be done is, as long as everything before it was. */
static int replay(CommitLog *l, Reader *in, const char *begin, bool trust_done,
                  unsigned *ret_redone)
{
        static const char done[] = "done\n";

        for (;;) {
                g_autoptr(GPtrArray) changes =
                        g_ptr_array_new_with_free_func((GDestroyNotify)file_change_free);
                bool is_done;
                int r;

                if (!read_record(in, changes))
                        return 0;
                is_done = in->n >= strlen(done) && memcmp(in->p, done, strlen(done)) == 0;
                if (is_done)
                        (void)take(in, strlen(done));
                /* what is older must not come to stand where what is newer was put */
                trust_done = trust_done && is_done;
                if (!trust_done) {
                        r = redo(changes);
                        if (r < 0)
                                return r;
                        *ret_redone += 1;
                }
                l->end = in->p - begin;
                for (guint i = 0; i < changes->len; i++)
                        g_hash_table_add(l->changed,
                                         g_strdup(((FileChange *)changes->pdata[i])->path));
        }
}

static int replay_all(CommitLog *l, const char *text, size_t size, bool trust_done,
                      unsigned *ret_redone)
{
        Reader in = { text, size };
        char line[128], boot[BOOT_ID_SIZE] = "";

        if (size == 0 || !take_line(&in, line, sizeof(line)))
                return 0; /* not even its first line was written to its end */
        if (sscanf(line, MAGIC " %36s", boot) != 1)
                return g_str_has_prefix(line, "tgt-changes ") ? -EPROTONOSUPPORT : -EBADMSG;
        l->end = in.p - text;
        trust_done = trust_done && STREQ(boot, l->boot) && !STREQ(boot, UNKNOWN_BOOT);
        return replay(l, &in, text, trust_done, ret_redone);
}

/* ---- settling -------------------------------------------------------------------------------- */

unsigned commit_log_unsettled(const CommitLog *l)
{
        return g_hash_table_size(l->changed);
}

static int empty(CommitLog *l)
{
        _cleanup_close_ int fd = open(l->path, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        if (ftruncate(fd, 0) < 0 || (l->durable && fdatasync(fd) < 0))
                return -errno;
        l->end = 0;
        return 0;
}

/* All that the log has is written once more. */
static int write_again(CommitLog *l)
{
        g_autofree char *text = NULL;
        off_t end = l->end;
        unsigned redone;
        size_t size;
        int r;

        if (!g_file_get_contents(l->path, &text, &size, NULL))
                return -EIO;
        r = (off_t)size < end ? -EBADMSG : replay_all(l, text, (size_t)end, false, &redone);
        if (r == 0 && l->end != end)
                r = -EBADMSG;
        l->end = end;
        explicit_bzero(text, size);
        return r;
}

/* Those of paths, and their directories. */
static int sync_all(const GPtrArray *paths)
{
        g_autoptr(GHashTable) dirs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        GHashTableIter iter;
        gpointer dir;
        int r = 0;

        for (guint i = 0; i < paths->len && r == 0; i++) {
                r = sync_path(paths->pdata[i], O_NOFOLLOW | O_NONBLOCK);
                g_hash_table_add(dirs, g_path_get_dirname(paths->pdata[i]));
        }
        g_hash_table_iter_init(&iter, dirs);
        while (r == 0 && g_hash_table_iter_next(&iter, &dir, NULL))
                r = sync_path(dir, O_DIRECTORY);
        return r;
}

/* Up to max of what was changed; the table owns the paths. */
static GPtrArray *some_changed(const CommitLog *l, unsigned max)
{
        GPtrArray *paths = g_ptr_array_new();
        GHashTableIter iter;
        gpointer path;

        g_hash_table_iter_init(&iter, l->changed);
        while (paths->len < max && g_hash_table_iter_next(&iter, &path, NULL))
                g_ptr_array_add(paths, path);
        return paths;
}

int commit_log_settle(CommitLog *l, unsigned max)
{
        g_autoptr(GPtrArray) paths = NULL;
        int r;

        if (l->doubtful) {
                r = write_again(l);
                if (r < 0)
                        return r;
                l->doubtful = false;
        }
        paths = some_changed(l, max);
        r = l->durable ? sync_all(paths) : 0;
        if (r < 0) {
                /* An error of fsync(2) is told once; the next call may succeed without what was to
                 * be written, and the same goes for what was synchronised just before. */
                l->doubtful = true;
                return r;
        }
        for (guint i = 0; i < paths->len; i++)
                g_hash_table_remove(l->changed, paths->pdata[i]);
        if (commit_log_unsettled(l) == 0)
                r = empty(l);
        return r < 0 ? r : (int)commit_log_unsettled(l);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void read_boot_id(char ret[BOOT_ID_SIZE])
{
        g_autofree char *text = NULL;

        /* without one everything is done once more: right, if less quick */
        if (g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL))
                g_strlcpy(ret, g_strstrip(text), BOOT_ID_SIZE);
        else
                g_strlcpy(ret, UNKNOWN_BOOT, BOOT_ID_SIZE);
}

int commit_log_open(const char *path, bool durable, CommitLog **ret, unsigned *ret_redone)
{
        CommitLog *l = g_new0(CommitLog, 1);
        g_autoptr(GError) e = NULL;
        g_autofree char *text = NULL;
        size_t size = 0;
        int r = 0;

        *ret_redone = 0;
        l->path = g_strdup(path);
        l->durable = durable;
        l->changed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        read_boot_id(l->boot);
        if (g_file_get_contents(path, &text, &size, &e))
                r = replay_all(l, text, size, true, ret_redone);
        else if (!g_error_matches(e, G_FILE_ERROR, G_FILE_ERROR_NOENT))
                r = g_error_matches(e, G_FILE_ERROR, G_FILE_ERROR_ACCES) ? -EACCES : -EIO;
        if (text)
                explicit_bzero(text, size);
        /* what another boot wrote is synchronised before it is forgotten */
        if (r == 0 && *ret_redone > 0)
                r = MIN(commit_log_settle(l, UINT_MAX), 0);
        if (r < 0) {
                commit_log_free(l);
                return r;
        }
        *ret = l;
        return 0;
}

CommitLog *commit_log_free(CommitLog *l)
{
        if (!l)
                return NULL;
        g_hash_table_unref(l->changed);
        g_free(l->path);
        g_free(l);
        return NULL;
}
