/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/apply.h"
#include "ctl/connection.h"
#include "ctl/message.h"
#include "ctl/verb-functions.h"

/* What is the daemon's own state, and what it is asked to look at. */

/* ---- switches -------------------------------------------------------------------------------- */

static int set_switch(Ctl *c, const char *member, bool on)
{
        sd_bus_message *m = NULL;
        int code = change_begin(c, BUS_ROOT, IFACE("Manager"), member, &m);

        if (code != EXIT_CODE_OK)
                return code;
        return change_finish(c, m, sd_bus_message_append(m, "b", (int)on), OPTIONS_NONE, NULL);
}

/* What tgtctl set TARGET state does. */
static int set_state(Ctl *c, const char *target, const char *state)
{
        static const char *const no_outs[] = { NULL };
        sd_bus_message *m = NULL;
        int code = change_begin_target(c, target, "Set", &m);

        if (code != EXIT_CODE_OK)
                return code;
        return change_finish(c, m, sd_bus_message_append(m, "sas", "state", 1, state), OPTIONS_ALL,
                             no_outs);
}

static int set_states(Ctl *c, char **targets, const char *state)
{
        int code = EXIT_CODE_OK;

        for (; *targets && code == EXIT_CODE_OK; targets++)
                code = set_state(c, *targets, state);
        return code;
}

/* What is not written down takes no options of changes; least of all is --dry-run passed over. */
static int set_offline(Ctl *c, bool offline)
{
        const Options *o = &c->options;

        if (o->runtime || o->force || o->dry_run || o->generation >= 0 || o->confirm_within > 0)
                return ctl_fail(c, EXIT_CODE_USAGE,
                                "--runtime, --force, --dry-run, --generation and --confirm-within "
                                "go with a TARGET only.");
        return set_switch(c, "SetOffline", offline);
}

int verb_offline(Ctl *c, char **args)
{
        return *args ? set_states(c, args, "offline") : set_offline(c, true);
}

int verb_online(Ctl *c, char **args)
{
        return *args ? set_states(c, args, "ready") : set_offline(c, false);
}

int verb_debug(Ctl *c, char **args)
{
        bool on = STREQ(args[0], "on");

        if (!on && !STREQ(args[0], "off"))
                return ctl_fail(c, EXIT_CODE_USAGE, "\"%s\" is neither on nor off.", args[0]);
        return set_switch(c, "SetDebug", on);
}

/* ---- the end --------------------------------------------------------------------------------- */

int verb_stop(Ctl *c, char **args)
{
        sd_bus_message *m = NULL;
        int code = change_begin(c, BUS_ROOT, IFACE("Manager"), "Stop", &m);

        if (code == EXIT_CODE_OK)
                code = change_finish(c, m, 0, OPTIONS_FORCE, NULL);
        if (code == EXIT_CODE_OK && !ctl_wait_for_end(c))
                return ctl_fail(c, EXIT_CODE_FAILURE,
                                "The daemon has not ended yet, or was started again.");
        return code;
}

/* ---- verify --daemon ------------------------------------------------------------------------- */

static int invoke_verify(Ctl *c, sd_bus_message *m, int appended, json_t *to)
{
        _cleanup_json_ json_t *results = NULL, *problems = NULL;
        int code = change_send(c, m, appended, OPTIONS_NONE, &results);

        if (code != EXIT_CODE_OK)
                return code;
        problems = problems_from_bus(json_array_get(results, 0));
        (void)json_array_extend(to, problems);
        return EXIT_CODE_OK;
}

static int verify_all(Ctl *c, json_t *to)
{
        sd_bus_message *m = NULL;
        int code = ctl_method(c, BUS_ROOT, IFACE("Manager"), "Verify", &m);

        if (code != EXIT_CODE_OK)
                return code;
        return invoke_verify(c, m, sd_bus_message_append(m, "as", 0), to);
}

/* What is named is read here: the daemon may not be allowed to. */
static int verify_text(Ctl *c, const FragmentText *f, json_t *to)
{
        sd_bus_message *m = NULL;
        int r, code = ctl_method(c, BUS_ROOT, IFACE("Manager"), "VerifyText", &m);

        if (code != EXIT_CODE_OK)
                return code;
        r = sd_bus_message_sensitive(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", f->name, f->text);
        return invoke_verify(c, m, r, to);
}

int verify_by_daemon(Ctl *c, char **args)
{
        g_autoptr(GArray) fragments = fragments_new();
        _cleanup_json_ json_t *problems = json_array();
        int code = EXIT_CODE_OK;

        for (char **arg = args; *arg && code == EXIT_CODE_OK; arg++)
                code = fragments_read(c, *arg, fragments);
        if (code == EXIT_CODE_OK && !*args)
                code = verify_all(c, problems);
        for (guint i = 0; i < fragments->len && code == EXIT_CODE_OK; i++)
                code = verify_text(c, &g_array_index(fragments, FragmentText, i), problems);
        if (code != EXIT_CODE_OK)
                return code;
        if (ctl_json(c))
                (void)ctl_show_json(c, problems);
        else
                tell_problems(c, problems);
        if (problems_have_error(problems))
                return EXIT_CODE_FAILURE;
        if (!ctl_json(c))
                ctl_say(c, COLOR_NONE, "No errors.");
        return EXIT_CODE_OK;
}
