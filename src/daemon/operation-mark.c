/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/operation-mark.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"
#include "daemon/identity.h"

#define FIRST_LINE "# tgt-operation 1\n"
#define ANY_VERSION "# tgt-operation "
#define CHECKSUM "# checksum "
#define GROUP "Operation"

static const char *const kinds[] = {
        [LU_OPERATION_FORMAT] = "format",
        [LU_OPERATION_OVERWRITE] = "overwrite",
        [LU_OPERATION_BLOCK_ERASE] = "block-erase",
};

const char *operation_kind_name(LuOperationKind kind)
{
        return (size_t)kind < ELEMENTSOF(kinds) ? kinds[kind] : NULL;
}

void operation_boot_id(char ret[37])
{
        g_autofree char *text = NULL;

        if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL))
                text = g_strdup("unknown");
        g_strlcpy(ret, g_strstrip(text), 37);
}

/* ---- text ------------------------------------------------------------------------------------ */

static void set_pattern(GKeyFile *k, const LuOperation *what)
{
        g_autoptr(GString) hex = g_string_new(NULL);

        for (unsigned i = 0; i < what->pattern_length; i++)
                g_string_append_printf(hex, "%02x", what->pattern[i]);
        g_key_file_set_string(k, GROUP, "Pattern", hex->str);
}

char *operation_mark_format(const OperationMark *mark, const char *boot)
{
        g_autoptr(GKeyFile) k = g_key_file_new();
        const LuOperation *what = &mark->what;
        g_autofree char *by = g_utf8_make_valid(what->by, -1);
        g_autofree char *body = NULL, *text = NULL, *sum = NULL;

        g_key_file_set_string(k, GROUP, "Kind", operation_kind_name(what->kind));
        g_key_file_set_string(k, GROUP, "By", by);
        g_key_file_set_string(k, GROUP, "Boot", boot);
        g_key_file_set_uint64(k, GROUP, "Started", mark->started_usec);
        g_key_file_set_boolean(k, GROUP, "Failed", what->failed);
        g_key_file_set_integer(k, GROUP, "Error", what->error);
        g_key_file_set_boolean(k, GROUP, "Unrestricted", what->unrestricted);
        g_key_file_set_boolean(k, GROUP, "Invert", what->invert);
        g_key_file_set_uint64(k, GROUP, "Passes", what->passes);
        set_pattern(k, what);
        g_key_file_set_uint64(k, GROUP, "Pass", what->pass);
        g_key_file_set_uint64(k, GROUP, "Offset", what->offset);
        g_key_file_set_uint64(k, GROUP, "StoreKind", what->store.kind);
        g_key_file_set_uint64(k, GROUP, "StoreA", what->store.a);
        g_key_file_set_uint64(k, GROUP, "StoreB", what->store.b);
        g_key_file_set_uint64(k, GROUP, "Size", what->size);
        text = g_key_file_to_data(k, NULL, NULL);
        body = g_strconcat(FIRST_LINE, text, NULL);
        sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, body, -1);
        return g_strconcat(body, CHECKSUM, sum, "\n", NULL);
}

/* A number of at most max; false: it is none. */
static bool get_number(GKeyFile *k, const char *key, uint64_t max, uint64_t *ret)
{
        g_autoptr(GError) error = NULL;

        *ret = g_key_file_get_uint64(k, GROUP, key, &error);
        return !error && *ret <= max;
}

static bool get_flag(GKeyFile *k, const char *key, bool *ret)
{
        g_autoptr(GError) error = NULL;

        *ret = g_key_file_get_boolean(k, GROUP, key, &error);
        return !error;
}

static bool get_kind(GKeyFile *k, LuOperationKind *ret)
{
        g_autofree char *name = g_key_file_get_string(k, GROUP, "Kind", NULL);

        for (size_t i = 1; name && i < ELEMENTSOF(kinds); i++)
                if (STREQ(kinds[i], name)) {
                        *ret = (LuOperationKind)i;
                        return true;
                }
        return false;
}

static bool get_pattern(GKeyFile *k, LuOperation *what)
{
        g_autofree char *hex = g_key_file_get_string(k, GROUP, "Pattern", NULL);
        size_t n = hex ? strlen(hex) : 1;

        if (n % 2 || n / 2 > LU_PATTERN_MAX || (n == 0 && what->kind == LU_OPERATION_OVERWRITE))
                return false;
        for (size_t i = 0; i < n / 2; i++) {
                int high = unhex_char(hex[2 * i]), low = unhex_char(hex[2 * i + 1]);

                if (high < 0 || low < 0)
                        return false;
                what->pattern[i] = (uint8_t)(high << 4 | low);
        }
        what->pattern_length = (uint16_t)(n / 2);
        return true;
}

static int get_all(GKeyFile *k, const char *boot, OperationMark *ret)
{
        g_autofree char *by = g_key_file_get_string(k, GROUP, "By", NULL);
        g_autofree char *then = g_key_file_get_string(k, GROUP, "Boot", NULL);
        LuOperation *what = &ret->what;
        uint64_t passes, pass;

        if (!by || !then || !get_kind(k, &what->kind) || !get_pattern(k, what) ||
            !get_flag(k, "Failed", &what->failed) ||
            !get_flag(k, "Unrestricted", &what->unrestricted) ||
            !get_flag(k, "Invert", &what->invert) || !get_number(k, "Passes", 31, &passes) ||
            passes == 0 || !get_number(k, "Pass", passes, &pass) ||
            !get_number(k, "Started", UINT64_MAX, &ret->started_usec) ||
            !get_number(k, "Offset", UINT64_MAX, &what->offset) ||
            !get_number(k, "StoreKind", UINT64_MAX, &what->store.kind) ||
            !get_number(k, "StoreA", UINT64_MAX, &what->store.a) ||
            !get_number(k, "StoreB", UINT64_MAX, &what->store.b) ||
            !get_number(k, "Size", UINT64_MAX, &what->size))
                return -EBADMSG;
        g_strlcpy(what->by, by, sizeof(what->by));
        what->error = g_key_file_get_integer(k, GROUP, "Error", NULL);
        what->passes = (uint8_t)passes;
        what->pass = (uint8_t)pass;
        if (what->store.kind == 2 && !what->failed && !STREQ(then, boot)) {
                what->failed = what->unrestricted = true;
                what->error = -ESTALE;
        }
        return 0;
}

int operation_mark_parse(const char *text, const char *boot, OperationMark *ret)
{
        g_autoptr(GKeyFile) k = g_key_file_new();
        g_autofree char *sum = NULL, *line = NULL;
        const char *last = g_strrstr(text, CHECKSUM);

        *ret = (OperationMark){ 0 };
        if (!g_str_has_prefix(text, ANY_VERSION))
                return -EBADMSG;
        if (!g_str_has_prefix(text, FIRST_LINE))
                return -EPROTONOSUPPORT;
        if (!last)
                return -EBADMSG;
        sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, last - text);
        line = g_strconcat(CHECKSUM, sum, "\n", NULL);
        if (!STREQ(last, line) ||
            !g_key_file_load_from_data(k, text, (gsize)(last - text), G_KEY_FILE_NONE, NULL))
                return -EBADMSG;
        return get_all(k, boot, ret);
}

void operation_mark_unreadable(OperationMark *ret, int error)
{
        *ret = (OperationMark){ .what = { .kind = LU_OPERATION_BLOCK_ERASE,
                                          .failed = true,
                                          .unrestricted = true,
                                          .passes = 1,
                                          .error = error } };
}

/* ---- files ----------------------------------------------------------------------------------- */

static int sync_directory(const char *dir)
{
        _cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int make_directory(const char *dir)
{
        g_autofree char *above = g_path_get_dirname(dir);
        int r;

        if (mkdir(dir, 0700) < 0)
                return errno == EEXIST ? 0 : -errno;
        r = sync_directory(above);
        if (r < 0)
                (void)rmdir(dir); /* what is there counts as synchronised */
        return r;
}

static int file_error(const GError *error)
{
        static const struct {
                int code, error;
        } codes[] = {
                { G_FILE_ERROR_NOSPC, -ENOSPC },
                { G_FILE_ERROR_ROFS, -EROFS },
                { G_FILE_ERROR_ACCES, -EACCES },
                { G_FILE_ERROR_NOTDIR, -ENOTDIR },
        };

        for (size_t i = 0; i < ELEMENTSOF(codes); i++)
                if (codes[i].code == error->code)
                        return codes[i].error;
        log_error("%s", error->message); /* says more than GLib has codes for, as of a quota */
        return -EIO;
}

int operation_mark_store(const char *dir, const char *uuid, const char *text)
{
        g_autofree char *path = g_build_filename(dir, uuid, NULL);
        g_autoptr(GError) error = NULL;
        int r;

        if (!text) {
                if (unlink(path) == 0)
                        return sync_directory(dir);
                return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
        }
        r = make_directory(dir);
        if (r < 0)
                return r;
        if (!g_file_set_contents_full(path, text, -1,
                                      G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                      0600, &error))
                return file_error(error);
        return sync_directory(dir);
}

static void load_one(const char *dir, const char *name, OperationMarkFound *found, void *userdata)
{
        g_autofree char *path = g_build_filename(dir, name, NULL), *text = NULL;
        uint8_t uuid[16];

        /* the rest are half-written ones of earlier runs */
        if (strlen(name) != 36 || uuid_parse(name, uuid) < 0)
                return;
        if (g_file_get_contents(path, &text, NULL, NULL))
                found(userdata, name, 0, text);
        else
                found(userdata, name, -EIO, NULL);
}

/* Not GDir, to which a directory that cannot be read is one that ends. */
int operation_marks_load(const char *dir, OperationMarkFound *found, void *userdata)
{
        DIR *d = opendir(dir);
        struct dirent *entry;
        int r;

        if (!d)
                return errno == ENOENT ? 0 : -errno;
        while (errno = 0, (entry = readdir(d)))
                load_one(dir, entry->d_name, found, userdata);
        r = -errno;
        (void)closedir(d);
        return r;
}
