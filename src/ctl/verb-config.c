/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/change.h"
#include "ctl/connection.h"
#include "ctl/model.h"
#include "ctl/offline.h"
#include "ctl/verb-functions.h"

/* What activation by the socket cannot give: ports that only a running daemon opens. */
static void note_portals(Ctl *c, const Desired *d)
{
        if (d->portals->len > 0)
                ctl_note(c, "The fragments open portals of their own. They are there only while "
                            "tgtd.service runs: enable it, not only tgtd.socket.");
}

int verb_verify(Ctl *c, char **args)
{
        g_autoptr(GPtrArray) problems = NULL;
        g_autoptr(GHashTable) bad = NULL;
        _cleanup_json_ json_t *list = NULL;
        ConfigPaths paths = { NULL };
        Desired *d = NULL;
        bool errors;
        guint n;
        int r;

        if (c->options.by_daemon)
                return verify_by_daemon(c, args);
        if (*args)
                r = config_load_files((const char *const *)args, NULL, &d, &bad, &problems);
        else {
                offline_paths(c, &paths);
                r = config_load(&paths, NULL, &d, &bad, &problems);
                config_paths_clear(&paths);
        }
        if (r < 0)
                return ctl_fail(c, r == -EACCES ? EXIT_CODE_DENIED : EXIT_CODE_FAILURE,
                                "The configuration cannot be read: %s.", g_strerror(-r));

        list = problems_from_config(problems);
        errors = problems_have_error(list);
        if (ctl_json(c))
                (void)ctl_show_json(c, list);
        else
                tell_problems(c, list);
        n = g_hash_table_size(d->targets);
        if (!errors && !ctl_json(c)) {
                note_portals(c, d);
                ctl_say(c, COLOR_NONE, "%u target%s, no errors.", n, n == 1 ? "" : "s");
        }
        (void)desired_free(d);
        return errors ? EXIT_CODE_FAILURE : EXIT_CODE_OK;
}

static int append_dump_options(Ctl *c, sd_bus_message *m, const char *target)
{
        int r = sd_bus_message_open_container(m, 'a', "{sv}");

        if (r >= 0 && c->options.with_secrets)
                r = sd_bus_message_append(m, "{sv}", "with-secrets", "b", 1);
        if (r >= 0 && c->options.with_identities)
                r = sd_bus_message_append(m, "{sv}", "with-identities", "b", 1);
        if (r >= 0 && target)
                r = sd_bus_message_append(m, "{sv}", "target", "s", target);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int verb_dump(Ctl *c, char **args)
{
        sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_json_ json_t *object = NULL;
        g_autofree char *target = NULL;
        const char *text;
        int r, code = args[0] ? model_resolve(c, args[0], &target, NULL) : EXIT_CODE_OK;

        if (code == EXIT_CODE_OK)
                code = ctl_method(c, BUS_ROOT, IFACE("Manager"), "Dump", &m);
        if (code != EXIT_CODE_OK)
                return code;
        /* reading secrets takes an authority that may have to be asked for */
        if (c->options.with_secrets && !c->options.no_ask_password)
                (void)sd_bus_message_set_allow_interactive_authorization(m, true);
        r = append_dump_options(c, m, target);
        if (r < 0) {
                sd_bus_message_unref(m);
                return ctl_bad_message(c, r);
        }
        code = ctl_invoke(c, m, &reply);
        if (code != EXIT_CODE_OK)
                return code;
        r = sd_bus_message_read(reply, "s", &text);
        if (r < 0)
                code = ctl_bad_message(c, r);
        else if (ctl_json(c)) {
                object = json_pack("{s:s}", "Text", text);
                code = ctl_show_json(c, object);
        } else
                ctl_show(c, text);
        sd_bus_message_unref(reply);
        return code;
}
