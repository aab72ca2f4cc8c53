/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <sys/stat.h>

#include "ctl/change.h"
#include "ctl/message.h"
#include "ctl/tgt-admin.h"

#define DEFAULT_CONF "/etc/tgt/targets.conf"

/* ---- the file -------------------------------------------------------------------------------- */

static bool same_file(const char *a, const char *b)
{
        struct stat s, t;

        return stat(a, &s) == 0 && stat(b, &t) == 0 && s.st_dev == t.st_dev && s.st_ino == t.st_ino;
}

/* The number in the file counts unless the command line has one. It is looked for before there is a
 * daemon to ask which file is its own. */
static int take_file_port(Admin *a)
{
        const char *files[] = { a->given['c'] ?: DEFAULT_CONF, NULL };
        GPtrArray *problems = NULL;
        GHashTable *bad = NULL;
        Desired *d = NULL;
        uint32_t port;

        if (a->ctl.connected || config_load_files(files, NULL, &d, &bad, &problems) < 0)
                return ADMIN_OK; /* who loads it in earnest says so */
        port = d->control_port;
        desired_free(d);
        g_hash_table_unref(bad);
        g_ptr_array_unref(problems);
        if (port == 0)
                return ADMIN_OK;
        if (a->ctl.options.control_port > 0)
                return admin_stop(ADMIN_WRONG,
                                  "Multiple control-port definitions are not allowed!\n");
        a->ctl.options.control_port = port;
        return ADMIN_OK;
}

/* Which file, and whether the daemon reads it itself. */
static int find_file(Admin *a, char **ret)
{
        _cleanup_json_ json_t *manager = NULL;
        const char *conf = a->given['c'], *theirs;
        int code = model_manager(&a->ctl, &manager);

        if (code != EXIT_CODE_OK)
                return admin_failed(a, code, NULL);
        theirs = json_text(manager, "TargetsConf");
        *ret = g_strdup(conf ?: *theirs ? conf ?: theirs : DEFAULT_CONF);
        a->own = STREQ(*ret, theirs) || same_file(*ret, theirs);
        return ADMIN_OK;
}

static bool concerns(const Problem *p, const char *name)
{
        return !name || !p->target || STREQ(p->target, name);
}

/* Says what is wrong; name: only this target is meant. */
static int check_problems(Admin *a, const char *name)
{
        int r = ADMIN_OK;

        for (guint i = 0; i < a->problems->len; i++) {
                const Problem *p = g_ptr_array_index(a->problems, i);
                g_autofree char *text = problem_format(p);
                g_autofree char *clean = text_sanitize(text, true);

                if (!concerns(p, name))
                        continue;
                if (p->level == PROBLEM_WARNING) {
                        if (admin_has(a, 'v'))
                                (void)fprintf(stderr, "%s\n", clean);
                        continue;
                }
                (void)fprintf(stderr, "%s\n", clean);
                r = MAX(r, p->directive ? ADMIN_WRONG : ADMIN_SYNTAX);
        }
        return admin_tolerate(a, r);
}

static int load_file(Admin *a)
{
        g_autofree char *file = NULL;
        const char *files[] = { NULL, NULL };
        int r = take_file_port(a);

        if (r == ADMIN_OK)
                r = find_file(a, &file);
        if (r != ADMIN_OK)
                return r;
        if (access(file, F_OK) < 0) {
                (void)fprintf(stderr, "Config file %s not found. Exiting...\n", file);
                return ADMIN_NO_FILE;
        }
        admin_comment(a, "Using %s as configuration file", file);
        files[0] = file;
        r = config_load_files(files, NULL, &a->wanted, &a->bad, &a->problems);
        if (r < 0)
                return admin_stop(ADMIN_NO_FILE, "%s: %s\n", file, g_strerror(-r));
        return ADMIN_OK;
}

/* ---- carrying out ---------------------------------------------------------------------------- */

static void tell(const Admin *a, const json_t *changes)
{
        const json_t *line;
        size_t i;

        json_array_foreach (changes, i, line)
                admin_comment(a, "%s", json_string_value(line) ?: "");
}

static int append_options(const Admin *a, sd_bus_message *m, bool runtime)
{
        int r = sd_bus_message_append(m, "{sv}", "force", "b", (int)admin_has(a, 'f'));

        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", "dry-run", "b", (int)admin_has(a, 'p'));
        if (r >= 0 && runtime)
                r = sd_bus_message_append(m, "{sv}", "runtime", "b", 1);
        return r;
}

static int not_now(const json_t *target, const char *name)
{
        (void)printf("# Target with tid %lld (%s) is in use, it won't be updated.\n",
                     (long long)json_number(target, "Tid"), name);
        return ADMIN_OK;
}

/* Sends m, drops it; *ret: what is answered, as an array. */
static int invoke(Admin *a, sd_bus_message *m, int appended, const char *what, json_t **ret)
{
        sd_bus_message *reply = NULL;
        int r = appended, code;

        if (r < 0) {
                sd_bus_message_unref(m);
                return admin_failed(a, ctl_bad_message(&a->ctl, r), what);
        }
        code = ctl_invoke(&a->ctl, m, &reply);
        if (code != EXIT_CODE_OK)
                return code == EXIT_CODE_CONFLICT ? -EBUSY : admin_failed(a, code, what);
        r = message_read_all(reply, ret);
        sd_bus_message_unref(reply);
        return r < 0 ? admin_failed(a, ctl_bad_message(&a->ctl, r), what) : ADMIN_OK;
}

static int append_block(sd_bus_message *m, const TargetSpec *t)
{
        GString *text = g_string_new(NULL);
        int r;

        target_spec_write(t, true, text);
        r = sd_bus_message_append(m, "ss", t->name, text->str);
        explicit_bzero(text->str, text->len);
        g_string_free(text, TRUE);
        return r;
}

/* A target of a file that is only ours. */
static int put_target(Admin *a, const TargetSpec *t)
{
        const json_t *running = admin_find_name(a, t->name);
        _cleanup_json_ json_t *answer = NULL;
        sd_bus_message *m = NULL;
        int r, code = ctl_method(&a->ctl, BUS_ROOT, IFACE("Manager"), "ReplaceTarget", &m);

        if (code != EXIT_CODE_OK)
                return admin_failed(a, code, t->name);
        (void)sd_bus_message_sensitive(m);
        r = append_block(m, t);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_options(a, m, true);
        if (r >= 0) /* as a file's, a LUN whose device is not there yet waits for it */
                r = sd_bus_message_append(m, "{sv}", "absent", "b", 1);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        admin_comment(a, "%s target: %s", running ? "Updating" : "Adding", t->name);
        r = invoke(a, m, r, t->name, &answer);
        if (r == -EBUSY && running && json_number(running, "NSessions") > 0) {
                g_string_truncate(a->ctl.caught, 0);
                return not_now(running, t->name);
        }
        if (r == -EBUSY)
                r = admin_failed(a, EXIT_CODE_CONFLICT, t->name);
        if (r == ADMIN_OK)
                tell(a, json_array_get(answer, 1));
        return admin_tolerate(a, r);
}

/* What a reload could not do: for targets in use that is no error. */
static int tell_refused(Admin *a, const json_t *problems)
{
        _cleanup_json_ json_t *list = problems_from_bus(problems);
        const json_t *p;
        int r = ADMIN_OK;
        size_t i;

        json_array_foreach (list, i, p) {
                const char *name = json_text(p, "Target");
                const json_t *running = admin_find_name(a, name);
                g_autofree char *text = NULL;

                if (!STREQ(json_text(p, "Level"), "error"))
                        continue;
                if (running && json_number(running, "NSessions") > 0 &&
                    g_str_has_prefix(json_text(p, "Text"), "in use by ")) {
                        (void)not_now(running, name);
                        continue;
                }
                text = text_sanitize(json_text(p, "Text"), true);
                (void)fprintf(stderr, "tgt-admin: %s:%lld: %s: %s%s%s\n", json_text(p, "File"),
                              (long long)json_number(p, "Line"), name, json_text(p, "Directive"),
                              *json_text(p, "Directive") ? ": " : "", text);
                r = ADM_INVALID;
        }
        return admin_tolerate(a, r);
}

/* Targets of the daemon's own files: what they say counts again. names NULL: all. */
static int reload(Admin *a, const GPtrArray *names)
{
        _cleanup_json_ json_t *answer = NULL;
        sd_bus_message *m = NULL;
        int r, code;

        if (names && names->len == 0)
                return ADMIN_OK;
        code = ctl_method(&a->ctl, BUS_ROOT, IFACE("Manager"), "Reload", &m);
        if (code != EXIT_CODE_OK)
                return admin_failed(a, code, NULL);
        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_options(a, m, false);
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", "revert", "b", 1);
        if (r >= 0 && names) {
                g_autoptr(GPtrArray) list = g_ptr_array_copy((GPtrArray *)names, NULL, NULL);

                g_ptr_array_add(list, NULL);
                r = change_append_strings(m, "targets", (char **)list->pdata);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        r = invoke(a, m, r, NULL, &answer);
        if (r == -EBUSY)
                r = admin_failed(a, EXIT_CODE_CONFLICT, NULL);
        if (r != ADMIN_OK)
                return r;
        tell(a, json_array_get(answer, 0));
        return tell_refused(a, json_array_get(answer, 1));
}

/* ---- what is global -------------------------------------------------------------------------- */

static int add_discovery(Admin *a, const AccountSpec *account, const char *direction)
{
        _cleanup_json_ json_t *answer = NULL;
        sd_bus_message *m = NULL;
        int r, code = ctl_method(&a->ctl, BUS_ROOT, IFACE("Manager"), "AddDiscoveryAccount", &m);

        if (code != EXIT_CODE_OK)
                return admin_failed(a, code, account->user);
        (void)sd_bus_message_sensitive(m);
        r = sd_bus_message_append(m, "sss", account->user, account->secret, direction);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_options(a, m, true);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        r = invoke(a, m, r, account->user, &answer);
        if (r == -EBUSY)
                r = admin_failed(a, EXIT_CODE_CONFLICT, account->user);
        if (r == ADMIN_OK)
                tell(a, json_array_get(answer, 0));
        return admin_tolerate(a, r);
}

static int add_portal(Admin *a, const char *address)
{
        _cleanup_json_ json_t *portals = NULL;
        g_autofree char *params = g_strdup_printf("portal=%s", address);
        const json_t *p;
        size_t i;
        int code = model_portals(&a->ctl, &portals);

        if (code != EXIT_CODE_OK)
                return admin_failed(a, code, address);
        json_array_foreach (portals, i, p)
                if (STREQ(json_text(p, "Address"), address))
                        return ADMIN_OK;
        return admin_step(a, "--op", "new", "--mode", "portal", "--params", params, NULL);
}

static int put_globals(Admin *a)
{
        const Desired *d = a->wanted;
        int r = ADMIN_OK;

        for (guint i = 0; r == ADMIN_OK && i < d->portals->len; i++)
                r = add_portal(a, ((PortalSpec *)d->portals->pdata[i])->address);
        for (guint i = 0; r == ADMIN_OK && i < d->discovery_incoming->len; i++)
                r = add_discovery(a, d->discovery_incoming->pdata[i], "incoming");
        if (r == ADMIN_OK && d->discovery_outgoing)
                r = add_discovery(a, d->discovery_outgoing, "outgoing");
        return r;
}

/* ---- the two actions ------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *wanted_names(const Admin *a)
{
        GPtrArray *names = g_ptr_array_new();
        GHashTableIter iter;
        gpointer name;

        g_hash_table_iter_init(&iter, a->wanted->targets);
        while (g_hash_table_iter_next(&iter, &name, NULL))
                g_ptr_array_add(names, name);
        g_ptr_array_sort(names, compare_names);
        return names;
}

static int begin(Admin *a, const char *name)
{
        int r = load_file(a);

        if (r == ADMIN_OK)
                r = check_problems(a, name);
        return r == ADMIN_OK ? admin_get_targets(a) : r;
}

static bool is_wanted(const Admin *a, const char *name)
{
        /* what is wrong in the file is no reason to take away what runs */
        return g_hash_table_contains(a->wanted->targets, name) || config_is_bad(a->bad, name);
}

static int persistence_of(Admin *a, const json_t *target, bool *ret_runtime)
{
        _cleanup_json_ json_t *properties = NULL;
        int code = ctl_get_all(&a->ctl, json_text(target, "Object"), IFACE("Target"), &properties);

        if (code != EXIT_CODE_OK)
                return admin_failed(a, code, json_text(target, "Name"));
        *ret_runtime = STREQ(json_text(properties, "Persistence"), "runtime");
        return ADMIN_OK;
}

/* Targets of tgtadm that the file does not have. */
static int remove_unwanted(Admin *a)
{
        const json_t *t;
        size_t i;
        int r = ADMIN_OK;

        json_array_foreach (a->targets, i, t) {
                bool runtime = false;

                if (is_wanted(a, json_text(t, "Name")) || json_number(t, "NSessions") > 0)
                        continue;
                r = persistence_of(a, t, &runtime);
                if (r == ADMIN_OK && runtime)
                        r = admin_delete_target(a, t);
                if (r != ADMIN_OK)
                        break;
        }
        return r;
}

int admin_execute(Admin *a)
{
        g_autoptr(GPtrArray) names = NULL, missing = g_ptr_array_new();
        int r = begin(a, NULL);

        if (r != ADMIN_OK)
                return r;
        names = wanted_names(a);
        if (!a->own)
                r = put_globals(a);
        for (guint i = 0; r == ADMIN_OK && i < names->len; i++) {
                const char *name = g_ptr_array_index(names, i);

                if (admin_find_name(a, name))
                        admin_comment(a, "Target %s already exists!", name);
                else if (a->own)
                        g_ptr_array_add(missing, (char *)name);
                else
                        r = put_target(a, g_hash_table_lookup(a->wanted->targets, name));
        }
        if (r == ADMIN_OK)
                r = reload(a, missing);
        /* as in stgt, a file without targets takes nothing away */
        if (r == ADMIN_OK && names->len > 0)
                r = remove_unwanted(a);
        return r;
}

static int update_all(Admin *a)
{
        g_autoptr(GPtrArray) names = wanted_names(a);
        const json_t *t;
        size_t i;
        int r = ADMIN_OK;

        if (a->own)
                return reload(a, NULL);
        r = put_globals(a);
        /* first what goes: a device of it may have another target now */
        json_array_foreach (a->targets, i, t)
                if (r == ADMIN_OK && !is_wanted(a, json_text(t, "Name")))
                        r = admin_delete_target(a, t);
        for (guint k = 0; r == ADMIN_OK && k < names->len; k++)
                r = put_target(
                        a, g_hash_table_lookup(a->wanted->targets, g_ptr_array_index(names, k)));
        return r;
}

static int update_one(Admin *a, const char *name)
{
        const TargetSpec *t = g_hash_table_lookup(a->wanted->targets, name);
        const json_t *running = admin_find_name(a, name);
        g_autoptr(GPtrArray) names = g_ptr_array_new();

        if (!t && !running && !config_is_bad(a->bad, name))
                return admin_stop(ADMIN_WRONG,
                                  "Target %s is currently not configured\n"
                                  "and does not exist in the config file - can't continue!\n",
                                  name);
        if (a->own) {
                g_ptr_array_add(names, (char *)name);
                return reload(a, names);
        }
        if (t)
                return put_target(a, t);
        return running && !is_wanted(a, name) ? admin_delete_target(a, running) : ADMIN_OK;
}

int admin_update(Admin *a, const char *what)
{
        g_autofree char *name = NULL;
        const json_t *target;
        char why[256];
        int r;

        if (STREQ(what, "ALL")) {
                r = begin(a, NULL);
                return r == ADMIN_OK ? update_all(a) : r;
        }
        r = load_file(a);
        if (r == ADMIN_OK)
                r = admin_get_targets(a);
        if (r != ADMIN_OK)
                return r;
        target = admin_find(a, what);
        if (!target && g_str_has_prefix(what, "tid="))
                return admin_stop(ADMIN_WRONG, "There is no target with tid %s, can't continue!\n",
                                  what + strlen("tid="));
        if (target)
                name = g_strdup(json_text(target, "Name"));
        else if (iscsi_name_normalize(what, &name, why, sizeof(why)) < 0)
                name = g_strdup(what);
        r = check_problems(a, name);
        return r == ADMIN_OK ? update_one(a, name) : r;
}
