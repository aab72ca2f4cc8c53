/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stdio.h>

#include "ctl/tgtadm.h"

/* Errors. stgt's text comes first, to the character, so that who looks for it finds it; behind it
 * stands what really was the matter. */

#define NOT_CONNECTED \
        "failed to send request hdr to tgt daemon, Transport endpoint is not connected"

/* Hints at options that tgtadm does not have. */
static const char *const not_ours[] = {
        " (use --force to add it all the same)",
        ", or use --force",
        ". Use --force if that is meant",
};

static char *one_line(const char *text)
{
        GString *s = g_string_new(text);
        char *line;

        for (size_t i = 0; i < ELEMENTSOF(not_ours); i++)
                (void)g_string_replace(s, not_ours[i], "", 0);
        line = g_strdelimit(g_string_free(s, FALSE), "\n", ' ');

        while (g_str_has_suffix(line, ".") || g_str_has_suffix(line, " "))
                line[strlen(line) - 1] = '\0';
        return line;
}

int adm_fail(Adm *a, const char *text, const char *reason)
{
        g_autofree char *line = one_line(reason ?: "");
        g_autofree char *clean = text_sanitize(line, true);

        (void)fflush(stdout);
        (void)fprintf(stderr, "tgtadm: %s%s%s\n", text, *clean ? ": " : "", clean);
        return ADM_INVALID;
}

int adm_failf(Adm *a, const char *text, const char *format, ...)
{
        g_autofree char *reason = NULL;
        va_list ap;

        va_start(ap, format);
        reason = g_strdup_vprintf(format, ap);
        va_end(ap);
        return adm_fail(a, text, reason);
}

/* What the daemon calls it -> what stgt does. */
static const struct {
        const char *error;
        size_t offset;
} words[] = {
        { "org.tgt1.Error.NotFound", offsetof(Adm, not_found) },
        { SD_BUS_ERROR_UNKNOWN_OBJECT, offsetof(Adm, not_found) },
        { "org.tgt1.Error.Exists", offsetof(Adm, exists) },
        { "org.tgt1.Error.InUse", offsetof(Adm, in_use) },
};

int adm_failed(Adm *a, int code)
{
        Ctl *c = a->ctl;
        g_autofree char *reason = g_strdup(c->caught->str);
        const char *text = NULL;

        g_string_truncate(c->caught, 0);
        if (code == EXIT_CODE_NOT_RUNNING || !c->bus) {
                (void)adm_fail(a, NOT_CONNECTED, reason);
                return ADM_NOT_CONNECTED;
        }
        for (size_t i = 0; i < ELEMENTSOF(words) && c->error_name; i++)
                if (STREQ(words[i].error, c->error_name))
                        text = *(const char *const *)(const void *)((const char *)a +
                                                                    words[i].offset);
        return adm_fail(a, text ?: "invalid request", reason);
}

/* ---- calls ----------------------------------------------------------------------------------- */

int adm_call(Adm *a, const char *path, const char *interface, const char *member,
             sd_bus_message **ret)
{
        int code = ctl_method(a->ctl, path, interface, member, ret);

        return code == EXIT_CODE_OK ? ADM_OK : adm_failed(a, code);
}

static int bad_message(Adm *a, int r)
{
        return adm_fail(a, "invalid request", g_strerror(-r));
}

int adm_target(Adm *a, char **ret_name, char **ret_path)
{
        sd_bus_message *m = NULL, *reply = NULL;
        const char *path;
        int r, code;

        if (a->tid <= 0)
                return adm_fail(a, "can't find the target", NULL);
        r = adm_call(a, BUS_ROOT, IFACE("Manager"), "GetTargetByTid", &m);
        if (r != ADM_OK)
                return r;
        r = sd_bus_message_append(m, "u", (uint32_t)a->tid);
        if (r < 0) {
                sd_bus_message_unref(m);
                return bad_message(a, r);
        }
        code = ctl_invoke(a->ctl, m, &reply);
        if (code != EXIT_CODE_OK)
                return adm_failed(a, code);
        r = sd_bus_message_read(reply, "o", &path);
        if (r >= 0 && ret_path)
                *ret_path = g_strdup(path);
        if (r >= 0 && ret_name)
                *ret_name = path_label(path, "target");
        sd_bus_message_unref(reply);
        return r < 0 ? bad_message(a, r) : ADM_OK;
}

static int append_options(sd_bus_message *m, bool force)
{
        int r = sd_bus_message_open_container(m, 'a', "{sv}");

        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", "runtime", "b", 1);
        if (r >= 0 && force)
                r = sd_bus_message_append(m, "{sv}", "force", "b", 1);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* The list of changes is the last of the answer. */
static int count_changes(sd_bus_message *reply, size_t *ret)
{
        char type;
        const char *contents;
        int r;

        while ((r = sd_bus_message_peek_type(reply, &type, &contents)) > 0 && type != 'a')
                r = sd_bus_message_skip(reply, NULL);
        if (r > 0)
                r = sd_bus_message_enter_container(reply, 'a', "s");
        *ret = 0;
        while (r >= 0 && (r = sd_bus_message_skip(reply, "s")) > 0)
                (*ret)++;
        return MIN(r, 0);
}

int adm_change(Adm *a, sd_bus_message *m, int appended, bool force, size_t *ret_n_changes)
{
        sd_bus_message *reply = NULL;
        int r = appended, code;

        if (r >= 0)
                r = append_options(m, force);
        if (r < 0) {
                sd_bus_message_unref(m);
                return bad_message(a, r);
        }
        code = ctl_invoke(a->ctl, m, &reply);
        if (code != EXIT_CODE_OK)
                return adm_failed(a, code);
        if (ret_n_changes)
                r = count_changes(reply, ret_n_changes);
        sd_bus_message_unref(reply);
        return r < 0 ? bad_message(a, r) : ADM_OK;
}

int adm_action(Adm *a, sd_bus_message *m, int appended)
{
        int r = appended, code;

        if (r >= 0)
                r = sd_bus_message_append(m, "a{sv}", 0);
        if (r < 0) {
                sd_bus_message_unref(m);
                return bad_message(a, r);
        }
        code = ctl_invoke(a->ctl, m, NULL);
        return code == EXIT_CODE_OK ? ADM_OK : adm_failed(a, code);
}
