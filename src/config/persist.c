/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "config/write.h"

/* Fragments of ours, one file for each target, replaced as a whole. */

#define FILE_NAME_MAX 255

static const char header[] = "# Written by tgtd; change it with tgtctl. Files of the administrator "
                             "belong into\n# /etc/tgt/targets.d.\n";

/* The name with what a file name should not hold as %XX. What gets too long ends in a digest: "~"
 * stands in no other. */
char *config_target_file_name(const char *name)
{
        GString *s = g_string_new(NULL);

        for (const char *p = name; *p; p++)
                if (g_ascii_isalnum(*p) || *p == '_' || *p == '-' || *p == ':' ||
                    (*p == '.' && p != name))
                        g_string_append_c(s, *p);
                else
                        g_string_append_printf(s, "%%%02X", (unsigned char)*p);
        if (s->len + strlen(".conf") > FILE_NAME_MAX) {
                g_autofree char *digest =
                        g_compute_checksum_for_string(G_CHECKSUM_SHA256, name, -1);

                g_string_truncate(s, 150);
                g_string_append_c(s, '~');
                g_string_append(s, digest);
        }
        g_string_append(s, ".conf");
        return g_string_free(s, FALSE);
}

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

static int sync_directory(const char *dir)
{
        _cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0 || fsync(fd) < 0)
                return -errno;
        return 0;
}

/* Temporary names begin with a dot: whoever reads the directory meanwhile passes them over. */
static int replace_file(const char *dir, const char *name, const GString *text)
{
        g_autofree char *path = g_build_filename(dir, name, NULL);
        g_autofree char *temporary = g_build_filename(dir, ".tgt-XXXXXX", NULL);
        _cleanup_close_ int fd = -1;
        int r;

        if (g_mkdir_with_parents(dir, 0755) < 0)
                return -errno;
        fd = g_mkstemp_full(temporary, O_RDWR | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        r = write_all(fd, header, strlen(header));
        if (r == 0)
                r = write_all(fd, text->str, text->len);
        if (r == 0 && (fchmod(fd, 0600) < 0 || fsync(fd) < 0))
                r = -errno;
        if (r == 0 && rename(temporary, path) < 0)
                r = -errno;
        if (r < 0) {
                (void)unlink(temporary);
                return r;
        }
        return sync_directory(dir);
}

static int remove_file(const char *dir, const char *name)
{
        g_autofree char *path = g_build_filename(dir, name, NULL);
        int r;

        if (unlink(path) < 0)
                return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
        r = sync_directory(dir);
        return r < 0 ? r : 1;
}

static void free_secretly(GString *s)
{
        explicit_bzero(s->str, s->len);
        g_string_free(s, TRUE);
}

int config_save_target(const char *dir, const TargetSpec *t)
{
        g_autofree char *name = config_target_file_name(t->name);
        GString *text = g_string_new(NULL);
        int r;

        target_spec_write(t, true, text);
        r = replace_file(dir, name, text);
        free_secretly(text);
        return r;
}

int config_forget_target(const char *dir, const char *target)
{
        g_autofree char *name = config_target_file_name(target);

        return remove_file(dir, name);
}

int config_save_globals(const char *dir, const Desired *d)
{
        GString *text = g_string_new(NULL);
        int r;

        globals_write(d, true, text);
        if (text->len > 0)
                r = replace_file(dir, CONFIG_GLOBALS_FILE, text);
        else
                r = MIN(remove_file(dir, CONFIG_GLOBALS_FILE), 0);
        free_secretly(text);
        return r;
}
