/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "ctl/apply.h"
#include "ctl/connection.h"
#include "ctl/message.h"
#include "ctl/model.h"
#include "ctl/offline.h"
#include "ctl/verb-functions.h"

/* A target as text: where its lines come from, and in an editor. */

/* ---- cat ------------------------------------------------------------------------------------- */

static json_t *line_json(const SourceLine *l)
{
        return json_pack("{s:s,s:i,s:s}", "File", l->at.file ? l->at.file : "", "Line",
                         (int)l->at.line, "Text", l->text);
}

static json_t *block_json(const SourceBlock *b)
{
        json_t *lines = json_array();

        for (guint i = 0; i < b->lines->len; i++)
                (void)json_array_append_new(lines, line_json(b->lines->pdata[i]));
        return json_pack("{s:s,s:s,s:i,s:b,s:s,s:o}", "Target", b->target, "File", b->at.file,
                         "Line", (int)b->at.line, "Counts", !b->ignored, "Why",
                         b->ignored ? b->ignored : "", "Lines", lines);
}

static void append_line(const SourceBlock *b, const SourceLine *l, GString *to)
{
        const char *indent = l->nested ? "        " : "    ";

        if (l->at.line == 0)
                g_string_append_printf(to, "%8s%s%s\n", "", indent, l->text);
        else if (STREQ(l->at.file, b->at.file))
                g_string_append_printf(to, "%6u  %s%s\n", l->at.line, indent, l->text);
        else /* of an included file */
                g_string_append_printf(to, "%6u  %s%s    # %s\n", l->at.line, indent, l->text,
                                       l->at.file);
}

static void append_block(const Ctl *c, const SourceBlock *b, GString *to)
{
        const char *begin = color_on(c->terminal.color, b->ignored ? COLOR_YELLOW : COLOR_BOLD);
        const char *end = color_off(c->terminal.color, COLOR_BOLD);

        g_string_append_printf(to, "%s%s# %s:%u%s%s%s%s\n", to->len > 0 ? "\n" : "", begin,
                               b->at.file, b->at.line, b->ignored ? " does not count: " : "",
                               b->ignored ? b->ignored : "", b->ignored ? "." : "", end);
        g_string_append_printf(to, "%6u  <target %s>\n", b->at.line, b->target);
        for (guint i = 0; i < b->lines->len; i++)
                append_line(b, b->lines->pdata[i], to);
        g_string_append_printf(to, "%8s</target>\n", "");
}

/* What is called so, if it is one. */
static int check_one(Ctl *c, const char *name, const GPtrArray *blocks)
{
        const SourceBlock *first = blocks->len > 0 ? blocks->pdata[0] : NULL;

        if (!first)
                return ctl_fail(
                        c, EXIT_CODE_NOT_FOUND,
                        "No fragment has a target %s. One that runs all the same is shown by "
                        "tgtctl dump.",
                        name);
        for (guint i = 1; i < blocks->len; i++) {
                const SourceBlock *b = blocks->pdata[i];

                if (!STREQ(b->target, first->target))
                        return ctl_fail(c, EXIT_CODE_USAGE, "%s may be %s or %s; give more of it.",
                                        name, first->target, b->target);
        }
        return EXIT_CODE_OK;
}

static int cat_one(Ctl *c, const ConfigPaths *paths, const char *arg, GString *text, json_t *list)
{
        g_autoptr(GPtrArray) blocks = NULL, problems = NULL;
        g_autofree char *name = g_ascii_strdown(arg, -1);
        int code, r = config_sources(paths, name, c->options.with_secrets, &blocks, &problems);
        _cleanup_json_ json_t *told = NULL;

        if (r < 0)
                return ctl_fail(c, r == -EACCES ? EXIT_CODE_DENIED : EXIT_CODE_FAILURE,
                                "The configuration cannot be read: %s.", g_strerror(-r));
        told = problems_from_config(problems);
        tell_problems(c, told);
        code = check_one(c, arg, blocks);
        if (code != EXIT_CODE_OK)
                return code;
        for (guint i = 0; i < blocks->len; i++) {
                append_block(c, blocks->pdata[i], text);
                (void)json_array_append_new(list, block_json(blocks->pdata[i]));
        }
        return EXIT_CODE_OK;
}

int verb_cat(Ctl *c, char **args)
{
        g_autoptr(GString) text = g_string_new(NULL);
        _cleanup_json_ json_t *list = json_array();
        ConfigPaths paths = { NULL };
        int code = EXIT_CODE_OK;

        offline_paths(c, &paths);
        for (; *args && code == EXIT_CODE_OK; args++)
                code = cat_one(c, &paths, *args, text, list);
        config_paths_clear(&paths);
        if (code != EXIT_CODE_OK)
                return code;
        if (ctl_json(c))
                return ctl_show_json(c, list);
        ctl_show(c, text->str);
        return EXIT_CODE_OK;
}

/* ---- edit ------------------------------------------------------------------------------------ */

static const char intro[] = "# The target as it runs. Save and leave the editor to apply what you "
                            "have changed; without\n"
                            "# a change, or with nothing left, everything stays as it is. "
                            "targets.conf(5) has the words.\n";

typedef struct Editing {
        char *target, *dir, *path;
        char *text; /* as it was written last */
} Editing;

static void wipe(char *text)
{
        if (text)
                explicit_bzero(text, strlen(text));
        g_free(text);
}

/* There are secrets in it. */
static void editing_done(Editing *e, bool keep)
{
        if (e->path && !keep) {
                (void)unlink(e->path);
                (void)rmdir(e->dir);
        }
        wipe(e->text);
        g_free(e->target);
        g_free(e->path);
        g_free(e->dir);
}

/* What the administrator's files define is edited there. */
static int check_editable(Ctl *c, const char *path, const char *name)
{
        _cleanup_json_ json_t *properties = NULL;
        const json_t *source;
        int code = ctl_get_all(c, path, IFACE("Target"), &properties);

        if (code != EXIT_CODE_OK || c->options.runtime || c->options.force || c->options.dry_run ||
            !STREQ(json_text(properties, "Persistence"), "fragment"))
                return code;
        source = json_object_get(properties, "Source");
        return ctl_fail(c, EXIT_CODE_CONFLICT,
                        "%s is defined in %s, line %lld: edit it there, and tgtctl reload; or "
                        "override it with --runtime or --force.",
                        name, json_string_value(json_array_get(source, 0)),
                        (long long)json_integer_value(json_array_get(source, 1)));
}

static int fetch_generation(Ctl *c)
{
        _cleanup_json_ json_t *manager = NULL;
        int code = EXIT_CODE_OK;

        if (c->options.generation < 0) {
                code = ctl_get_all(c, BUS_ROOT, IFACE("Manager"), &manager);
                if (code == EXIT_CODE_OK)
                        c->options.generation = json_number(manager, "Generation");
        }
        return code;
}

static int fetch_text(Ctl *c, Editing *e)
{
        sd_bus_message *m = NULL, *reply = NULL;
        const char *text;
        int r, code = ctl_method(c, BUS_ROOT, IFACE("Manager"), "Dump", &m);

        if (code != EXIT_CODE_OK)
                return code;
        if (!c->options.no_ask_password)
                (void)sd_bus_message_set_allow_interactive_authorization(m, true);
        r = sd_bus_message_append(m, "a{sv}", 2, "with-secrets", "b", 1, "target", "s", e->target);
        if (r < 0) {
                sd_bus_message_unref(m);
                return ctl_bad_message(c, r);
        }
        code = ctl_invoke(c, m, &reply);
        if (code != EXIT_CODE_OK)
                return code;
        r = sd_bus_message_read(reply, "s", &text);
        if (r >= 0)
                e->text = g_strconcat(intro, text, NULL);
        sd_bus_message_unref(reply);
        return r < 0 ? ctl_bad_message(c, r) : EXIT_CODE_OK;
}

static int make_file(Ctl *c, Editing *e)
{
        const char *run = g_getenv("XDG_RUNTIME_DIR");
        g_autoptr(GError) error = NULL;

        /* in memory, where that can be had; nobody else's in any case */
        e->dir = g_build_filename(run ? run : g_get_tmp_dir(), "tgtctl-XXXXXX", NULL);
        if (!g_mkdtemp(e->dir))
                return ctl_fail(c, EXIT_CODE_FAILURE, "%s: %s.", e->dir, g_strerror(errno));
        e->path = g_build_filename(e->dir, "target.conf", NULL);
        if (!g_file_set_contents_full(e->path, e->text, -1, G_FILE_SET_CONTENTS_NONE, 0600, &error))
                return ctl_fail(c, EXIT_CODE_FAILURE, "%s.", error->message);
        return EXIT_CODE_OK;
}

/* As systemctl edit looks for one. */
static const char *editor(void)
{
        static const char *const variables[] = { "SYSTEMD_EDITOR", "EDITOR", "VISUAL" };
        static const char *const usual[] = { "editor", "nano", "vim", "vi" };

        for (size_t i = 0; i < ELEMENTSOF(variables); i++) {
                const char *value = g_getenv(variables[i]);

                if (value && *value)
                        return value;
        }
        for (size_t i = 0; i < ELEMENTSOF(usual); i++) {
                g_autofree char *found = g_find_program_in_path(usual[i]);

                if (found)
                        return usual[i];
        }
        return NULL;
}

static void hear_signals(gpointer userdata)
{
        (void)signal(SIGINT, SIG_DFL);
        (void)signal(SIGQUIT, SIG_DFL);
}

/* Ctrl-C is for the editor: we stay, to wipe what it leaves. */
static bool spawn_editor(const char *const *argv, int *ret_status, GError **e)
{
        void (*interrupt)(int) = signal(SIGINT, SIG_IGN), (*quit)(int) = signal(SIGQUIT, SIG_IGN);
        bool ran = g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_CHILD_INHERITS_STDIN,
                                hear_signals, NULL, NULL, NULL, ret_status, e);

        (void)signal(SIGINT, interrupt);
        (void)signal(SIGQUIT, quit);
        return ran;
}

static int run_editor(Ctl *c, const char *path)
{
        const char *command = editor();
        g_autofree char *script = command ? g_strdup_printf("exec %s \"$1\"", command) : NULL;
        /* with arguments in it, as people set it */
        const char *argv[] = { "/bin/sh", "-c", script, "sh", path, NULL };
        g_autoptr(GError) e = NULL;
        int status;

        if (!command)
                return ctl_fail(c, EXIT_CODE_FAILURE, "There is no editor; name one in $EDITOR.");
        if (!spawn_editor(argv, &status, &e) || !g_spawn_check_wait_status(status, &e))
                return ctl_fail(c, EXIT_CODE_FAILURE, "%s: %s; nothing was changed.", command,
                                e->message);
        return EXIT_CODE_OK;
}

static bool is_blank(const char *text)
{
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (char **l = lines; *l; l++) {
                g_strstrip(*l);
                if (**l && **l != '#')
                        return false;
        }
        return true;
}

/* It stays the one that is edited, and the only one. */
static char *check_text(const Editing *e, const char *text)
{
        g_autoptr(GPtrArray) problems = NULL;
        g_autoptr(GHashTable) bad = NULL;
        Desired *d = NULL;
        char *fault = NULL;

        if (config_load_text(text, e->path, NULL, &d, &bad, &problems) < 0)
                return g_strdup("It cannot be read.");
        if (g_hash_table_size(bad) == 0 &&
            (g_hash_table_size(d->targets) != 1 || !g_hash_table_contains(d->targets, e->target)))
                fault = g_strdup_printf("It must be about %s, and nothing else; see tgtctl create, "
                                        "delete and apply.",
                                        e->target);
        desired_free(d);
        return fault;
}

static void apply_text(Ctl *c, const Editing *e, char *text, int *ret_code, char **ret_fault)
{
        g_autoptr(GArray) fragments = fragments_new();

        *ret_code = EXIT_CODE_FAILURE;
        *ret_fault = check_text(e, text);
        if (*ret_fault)
                return;
        fragments_add(fragments, e->path, g_strdup(text));
        *ret_code = fragments_apply(c, fragments, c->options.dry_run, false, ret_fault);
}

static bool ask_again(Ctl *c)
{
        char line[16];

        if (c->options.no_ask_password || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
                return false;
        fprintf(stderr, "Edit it again? [Y/n] ");
        return fgets(line, sizeof(line), stdin) && g_ascii_tolower(*g_strstrip(line)) != 'n';
}

/* One pass through the editor. true: it is over. */
static bool edit_once(Ctl *c, Editing *e, int *ret_code, bool *ret_keep)
{
        g_autofree char *fault = NULL;
        g_autoptr(GError) error = NULL;
        char *text = NULL;

        *ret_code = run_editor(c, e->path);
        if (*ret_code != EXIT_CODE_OK)
                return true;
        if (!g_file_get_contents(e->path, &text, NULL, &error)) {
                *ret_code = ctl_fail(c, EXIT_CODE_FAILURE, "%s.", error->message);
                return true;
        }
        if (STREQ(text, e->text) || is_blank(text)) {
                ctl_note(c, "Nothing was changed.");
                wipe(text);
                return true;
        }
        apply_text(c, e, text, ret_code, &fault);
        wipe(text);
        if (*ret_code == EXIT_CODE_OK)
                return true;
        if (fault)
                (void)ctl_fail(c, *ret_code, "%s", fault);
        if (*ret_code != EXIT_CODE_CONFLICT && ask_again(c))
                return false;
        *ret_keep = true;
        return true;
}

int verb_edit(Ctl *c, char **args)
{
        g_autofree char *path = NULL;
        Editing e = { NULL };
        bool keep = false;
        int code = model_resolve(c, args[0], &e.target, &path);

        if (code == EXIT_CODE_OK)
                code = check_editable(c, path, e.target);
        if (code == EXIT_CODE_OK)
                code = fetch_generation(c);
        if (code == EXIT_CODE_OK)
                code = fetch_text(c, &e);
        if (code == EXIT_CODE_OK)
                code = make_file(c, &e);
        if (code == EXIT_CODE_OK)
                while (!edit_once(c, &e, &code, &keep))
                        ;
        if (keep)
                ctl_note(c, "What was written is kept in %s.", e.path);
        editing_done(&e, keep);
        return code;
}
