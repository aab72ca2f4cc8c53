/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdarg.h>

#include "ctl/change.h"
#include "ctl/convert.h"
#include "ctl/model.h"
#include "ctl/offline.h"
#include "ctl/verb-functions.h"

DEFINE_CLEANUP(Desired *, desired_free);

void convert_init(Convert *c)
{
        c->desired = desired_new();
        c->told = json_array();
}

void convert_done(Convert *c)
{
        c->desired = desired_free(c->desired);
        json_decref(c->told);
}

void convert_tell(Convert *c, bool lost, const char *what, const char *format, ...)
{
        g_autofree char *text = NULL, *clean = NULL, *name = g_utf8_make_valid(what, -1);
        _cleanup_json_ json_t *row = NULL;
        const json_t *other;
        va_list ap;
        size_t i;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        clean = g_utf8_make_valid(text, -1);
        row = json_pack("{s:s, s:s, s:b}", "What", name, "Text", clean, "Lost", lost);
        /* what several targets have is told once */
        json_array_foreach (c->told, i, other)
                if (json_equal(other, row))
                        return;
        (void)json_array_append(c->told, row);
}

void convert_set(Convert *c, TargetSpec *t, LunSpec *l, const char *what, const char *directive,
                 const char *value)
{
        Problem *p = NULL;
        int r = config_set(t, l, directive, value, NULL, &p);

        if (p)
                convert_tell(c, r < 0, what, "%s %s: %s", directive, value, p->text);
        else if (r < 0)
                convert_tell(c, true, what, "%s %s", directive, value);
        problem_free(p);
}

bool convert_has_portal(const Convert *c, const char *address)
{
        for (guint i = 0; i < c->desired->portals->len; i++)
                if (STREQ(((PortalSpec *)c->desired->portals->pdata[i])->address, address))
                        return true;
        return false;
}

bool convert_has_account(const GPtrArray *accounts, const char *user)
{
        for (guint i = 0; i < accounts->len; i++)
                if (STREQ(((AccountSpec *)accounts->pdata[i])->user, user))
                        return true;
        return false;
}

/* ---- writing --------------------------------------------------------------------------------- */

static int write_new(Ctl *c, const char *folder, const char *name, const GString *text)
{
        g_autofree char *path = g_build_filename(folder, name, NULL);
        _cleanup_close_ int fd =
                open(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0600);
        size_t done = 0;

        if (fd < 0)
                return ctl_fail(c, EXIT_CODE_FAILURE, "%s: %s%s", path, g_strerror(errno),
                                errno == EEXIST ? "; nothing is overwritten" : "");
        while (done < text->len) {
                ssize_t n = write(fd, text->str + done, text->len - done);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return ctl_fail(c, EXIT_CODE_FAILURE, "%s: %s", path, g_strerror(errno));
                done += (size_t)n;
        }
        if (fsync(fd) < 0)
                return ctl_fail(c, EXIT_CODE_FAILURE, "%s: %s", path, g_strerror(errno));
        ctl_say(c, COLOR_NONE, "%s", path);
        return EXIT_CODE_OK;
}

/* What is of no target. */
static Desired *globals_of(const Desired *d)
{
        g_autoptr(GHashTable) none = g_hash_table_new(g_str_hash, g_str_equal);
        Desired copy = *d;

        copy.targets = none;
        return desired_dup(&copy);
}

static int write_files(Ctl *c, const Desired *d, const char *folder)
{
        _cleanup_(desired_freep) Desired *globals = globals_of(d);
        g_autoptr(GString) text = g_string_new(NULL);
        g_autoptr(GList) names =
                g_list_sort(g_hash_table_get_keys(d->targets), (GCompareFunc)strcmp);
        int code = EXIT_CODE_OK;

        desired_write(globals, true, text);
        if (text->len > 0)
                code = write_new(c, folder, "00-globals.conf", text);
        for (GList *n = names; n && code == EXIT_CODE_OK; n = n->next) {
                g_autofree char *name = config_target_file_name(n->data);

                g_string_truncate(text, 0);
                target_spec_write(g_hash_table_lookup(d->targets, n->data), true, text);
                code = write_new(c, folder, name, text);
        }
        return code;
}

/* What is lost first in red, what is otherwise, after that. */
static bool tell_told(Ctl *c, const json_t *told)
{
        bool lost = false;
        json_t *t;
        size_t i;

        json_array_foreach (told, i, t) {
                if (json_is_true(json_object_get(t, "Lost"))) {
                        lost = true;
                        if (!ctl_json(c))
                                (void)ctl_fail(c, EXIT_CODE_FAILURE, "Not converted: %s: %s",
                                               json_text(t, "What"), json_text(t, "Text"));
                } else if (!ctl_json(c))
                        ctl_note(c, "Note: %s: %s", json_text(t, "What"), json_text(t, "Text"));
        }
        return lost;
}

/* What we write must be what we read: whatever the values were. */
static int check(Ctl *c, const char *text)
{
        g_autoptr(GPtrArray) problems = NULL;
        g_autoptr(GHashTable) bad = NULL;
        _cleanup_(desired_freep) Desired *again = NULL;
        _cleanup_json_ json_t *list = NULL;
        int r = config_load_text(text, "converted", NULL, &again, &bad, &problems);

        if (r < 0)
                return ctl_fail(c, EXIT_CODE_FAILURE, "What was converted cannot be read: %s.",
                                g_strerror(-r));
        list = problems_from_config(problems);
        if (!ctl_json(c))
                tell_problems(c, list);
        return problems_have_error(list) ? EXIT_CODE_FAILURE : EXIT_CODE_OK;
}

static int finish(Ctl *c, const Convert *convert, const char *folder)
{
        g_autoptr(GString) text = g_string_new(NULL);
        bool lost;
        int code;

        desired_write(convert->desired, true, text);
        lost = tell_told(c, convert->told);
        code = check(c, text->str);
        if (code == EXIT_CODE_OK && folder)
                code = write_files(c, convert->desired, folder);
        if (ctl_json(c)) {
                _cleanup_json_ json_t *j =
                        json_pack("{s:s, s:O}", "Text", text->str, "Told", convert->told);

                (void)ctl_show_json(c, j);
        } else if (!folder)
                (void)fputs(text->str, stdout);
        return code == EXIT_CODE_OK && lost ? EXIT_CODE_FAILURE : code;
}

static int convert_file(Ctl *c, char **args,
                        int (*run)(Convert *c, const char *file, const char *text, char *reterr,
                                   size_t size))
{
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL;
        char why[512] = "";
        Convert convert;
        int code;

        if (!g_file_get_contents(args[0], &text, NULL, &error))
                return ctl_fail(c, EXIT_CODE_FAILURE, "%s", error->message);
        convert_init(&convert);
        if (run(&convert, args[0], text, why, sizeof(why)) < 0)
                code = ctl_fail(c, EXIT_CODE_FAILURE, "%s: %s.", args[0], why);
        else
                code = finish(c, &convert, args[1]);
        convert_done(&convert);
        explicit_bzero(text, strlen(text)); /* there may be secrets in it */
        return code;
}

int verb_convert_lio(Ctl *c, char **args)
{
        return convert_file(c, args, convert_lio);
}

int verb_convert_scst(Ctl *c, char **args)
{
        return convert_file(c, args, convert_scst);
}

int verb_convert_ctld(Ctl *c, char **args)
{
        return convert_file(c, args, convert_ctld);
}
