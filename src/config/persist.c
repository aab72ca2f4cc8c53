/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/commit.h"
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

static void append_secretly(GString *to, GString *text)
{
        g_string_append_len(to, text->str, (gssize)text->len);
        explicit_bzero(text->str, text->len);
        g_string_free(text, TRUE);
}

static FileChange *change_of(const char *dir, const char *name, GString *text)
{
        g_autofree char *path = g_build_filename(dir, name, NULL);
        GString *all;
        size_t size;

        if (!text)
                return file_change_new(path, NULL, 0);
        all = g_string_sized_new(sizeof(header) + text->len); /* as it grows it leaves no secret */
        g_string_append(all, header);
        append_secretly(all, text);
        size = all->len;
        return file_change_new(path, g_string_free(all, FALSE), size);
}

FileChange *config_target_change(const char *dir, const TargetSpec *t)
{
        g_autofree char *name = config_target_file_name(t->name);
        GString *text = g_string_new(NULL);

        target_spec_write(t, true, text);
        return change_of(dir, name, text);
}

FileChange *config_forget_change(const char *dir, const char *target)
{
        g_autofree char *name = config_target_file_name(target);

        return change_of(dir, name, NULL);
}

FileChange *config_forget_file_change(const char *dir, const char *file)
{
        return change_of(dir, file, NULL);
}

FileChange *config_globals_change(const char *dir, const Desired *d)
{
        GString *text = g_string_new(NULL);

        globals_write(d, true, text);
        if (text->len > 0)
                return change_of(dir, CONFIG_GLOBALS_FILE, text);
        g_string_free(text, TRUE);
        return change_of(dir, CONFIG_GLOBALS_FILE, NULL);
}
