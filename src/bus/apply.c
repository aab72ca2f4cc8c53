/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bus/apply.h"

#include "bus/arguments.h"
#include "bus/authority.h"
#include "bus/methods.h"

/* Manager.Apply: fragments that a client brings along become part of the desired state, all of them
 * or none. What a fragment names is from then on what it says; what it does not name stays, unless
 * the option prune is given. */

#define APPLY_TEXTS_MAX 10000
#define APPLY_BYTES_MAX (64 * MIB)
#define APPLY_PROBLEMS_MAX 50 /* lines of an error */

typedef struct Text {
        char *name, *text;
} Text;

struct Apply {
        GArray *texts; /* Text */
        bool prune;
        Desired *wanted; /* once they were read */
        GHashTable *masked;
        GPtrArray *problems;
};

static void text_clear(gpointer p)
{
        Text *t = p;

        if (t->text) /* there may be secrets in it */
                explicit_bzero(t->text, strlen(t->text));
        g_free(t->text);
        g_free(t->name);
}

Apply *apply_free(Apply *a)
{
        if (!a)
                return NULL;
        g_array_unref(a->texts);
        desired_free(a->wanted);
        if (a->masked)
                g_hash_table_unref(a->masked);
        if (a->problems)
                g_ptr_array_unref(a->problems);
        g_free(a);
        return NULL;
}

/* ---- arguments ------------------------------------------------------------------------------- */

static int read_one(Call *call, sd_bus_message *m, size_t *left, BusError *e)
{
        Text t = { 0 };
        const char *text;
        int r;

        if (read_text(m, "name", &t.name, e) < 0)
                return -1;
        g_array_append_val(call->apply->texts, t);
        r = sd_bus_message_read_basic(m, 's', &text);
        if (r < 0)
                return read_failed(r, e);
        if (strlen(text) > *left || call->apply->texts->len > APPLY_TEXTS_MAX)
                return bus_error_set(e, ERROR_LIMIT, "More than %d fragments, or 64 MiB of them",
                                     APPLY_TEXTS_MAX);
        *left -= strlen(text);
        g_array_index(call->apply->texts, Text, call->apply->texts->len - 1).text = g_strdup(text);
        return 0;
}

int parse_apply(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        size_t left = APPLY_BYTES_MAX;
        int r = sd_bus_message_enter_container(m, 'a', "(ss)");

        call->apply = g_new0(Apply, 1);
        call->apply->texts = g_array_new(FALSE, TRUE, sizeof(Text));
        g_array_set_clear_func(call->apply->texts, text_clear);
        if (r < 0)
                return read_failed(r, e);
        while ((r = sd_bus_message_enter_container(m, 'r', "ss")) > 0) {
                if (read_one(call, m, &left, e) < 0)
                        return -1;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return read_failed(r, e);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? read_failed(r, e) : parse_options(call, object, m, e);
}

int apply_set_prune(Call *call, sd_bus_message *m)
{
        int value, r = sd_bus_message_read(m, "b", &value);

        call->apply->prune = value;
        return r;
}

bool apply_includes(const Call *call)
{
        const GArray *texts = call->apply->texts;

        for (guint i = 0; i < texts->len; i++)
                if (config_text_includes(g_array_index(texts, Text, i).text))
                        return true;
        return false;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Every error on a line of its own, as verify tells them. */
static int fail_by_problems(const GPtrArray *problems, BusError *e)
{
        g_autoptr(GString) s = g_string_new(NULL);
        unsigned n = 0;

        for (guint i = 0; i < problems->len; i++) {
                const Problem *p = problems->pdata[i];
                g_autofree char *line = NULL;

                if (p->level != PROBLEM_ERROR || ++n > APPLY_PROBLEMS_MAX)
                        continue;
                line = problem_format(p);
                g_string_append_printf(s, "%s%s", n > 1 ? "\n" : "", line);
        }
        if (n > APPLY_PROBLEMS_MAX)
                g_string_append_printf(s, "\n... and %u more", n - APPLY_PROBLEMS_MAX);
        return n > 0 ? bus_error_set(e, ERROR_INVALID, "%s", s->str) : 0;
}

static bool has_globals(const Desired *d)
{
        return d->portals->len + d->discovery_incoming->len + d->accounts->len > 0 ||
               d->discovery_outgoing;
}

static int check_wanted(const Apply *a, BusError *e)
{
        if (fail_by_problems(a->problems, e) < 0)
                return -1;
        /* it would extend what its caller may do */
        if (a->wanted->backing_directories->len > 0)
                return bus_error_set(e, ERROR_INVALID,
                                     "backing-directory: stands in the administrator's files only, "
                                     "below /etc/tgt");
        if (g_hash_table_size(a->wanted->targets) + g_hash_table_size(a->masked) == 0 &&
            !has_globals(a->wanted) && !a->prune)
                return bus_error_set(e, ERROR_INVALID, "The fragments name nothing to apply");
        return 0;
}

/* Once, when the caller is known to be one who may. */
static int apply_read(Call *call, BusError *e)
{
        Apply *a = call->apply;
        GHashTable *bad = NULL;
        int r;

        if (a->wanted)
                return 0;
        r = config_load_texts((const ConfigText *)a->texts->data, a->texts->len,
                              manager_check_param(), &a->wanted, &a->masked, &bad, &a->problems);
        if (r < 0)
                return bus_error_set(e, ERROR_FAILED, "Cannot read: %s", g_strerror(-r));
        g_hash_table_unref(bad);
        return check_wanted(a, e);
}

int apply_new_paths(Call *call, GPtrArray *paths, BusError *e)
{
        const Desired *running = manager_desired(call->server->manager);
        GHashTableIter iter;
        gpointer t;

        if (apply_read(call, e) < 0)
                return -1;
        g_hash_table_iter_init(&iter, call->apply->wanted->targets);
        while (g_hash_table_iter_next(&iter, NULL, &t))
                new_paths_of_target(g_hash_table_lookup(running->targets, ((TargetSpec *)t)->name),
                                    t, paths);
        return 0;
}

/* ---- the edit -------------------------------------------------------------------------------- */

static bool has_portal(const Desired *d, const char *address)
{
        for (guint i = 0; i < d->portals->len; i++)
                if (STREQ(((PortalSpec *)d->portals->pdata[i])->address, address))
                        return true;
        return false;
}

/* What to has of the same user gives way. */
static void put_accounts(GPtrArray *to, const GPtrArray *from)
{
        for (guint i = 0; i < from->len; i++) {
                const AccountSpec *a = from->pdata[i];

                for (guint k = 0; k < to->len; k++)
                        if (STREQ(((AccountSpec *)to->pdata[k])->user, a->user)) {
                                g_ptr_array_remove_index(to, k);
                                break;
                        }
                g_ptr_array_add(to, account_spec_new(a->user, a->secret));
        }
}

static void put_globals(Desired *d, const Desired *wanted)
{
        for (guint i = 0; i < wanted->portals->len; i++) {
                const PortalSpec *p = wanted->portals->pdata[i];

                if (!has_portal(d, p->address))
                        g_ptr_array_add(d->portals, portal_spec_new(p->address));
        }
        put_accounts(d->discovery_incoming, wanted->discovery_incoming);
        put_accounts(d->accounts, wanted->accounts);
        if (wanted->discovery_outgoing) {
                account_spec_free(d->discovery_outgoing);
                d->discovery_outgoing = account_spec_new(wanted->discovery_outgoing->user,
                                                         wanted->discovery_outgoing->secret);
        }
}

/* The administrator's files stay as they are, and so does what lives as long as a client. */
static bool is_prunable(const TargetSpec *t)
{
        return !t->administrator.file && t->persistence != TARGET_TRANSIENT;
}

static gboolean is_pruned(gpointer name, gpointer t, gpointer userdata)
{
        const Apply *a = userdata;

        return is_prunable(t) && !g_hash_table_contains(a->wanted->targets, name);
}

static int edit_apply(Desired *d, void *userdata, BusError *e)
{
        const Apply *a = ((Call *)userdata)->apply;
        GHashTableIter iter;
        gpointer name, t;

        if (a->prune)
                (void)g_hash_table_foreach_remove(d->targets, is_pruned, (gpointer)a);
        g_hash_table_iter_init(&iter, a->masked);
        while (g_hash_table_iter_next(&iter, &name, NULL))
                (void)g_hash_table_remove(d->targets, name);
        g_hash_table_iter_init(&iter, a->wanted->targets);
        while (g_hash_table_iter_next(&iter, NULL, &t)) {
                const TargetSpec *before = g_hash_table_lookup(d->targets, ((TargetSpec *)t)->name);
                TargetSpec *copy;

                if (before && target_spec_equal(before, t))
                        continue; /* it is kept where it was */
                copy = target_spec_dup(t);
                copy->replace = false; /* there is nothing beside it */
                copy->administrator = (Origin){ 0 };
                desired_put(d, copy);
        }
        put_globals(d, a->wanted);
        return 0;
}

static void add_names(GPtrArray *names, GHashTable *from)
{
        GHashTableIter iter;
        gpointer name;

        g_hash_table_iter_init(&iter, from);
        while (g_hash_table_iter_next(&iter, &name, NULL))
                g_ptr_array_add(names, name);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static int append_strings(sd_bus_message *m, const GPtrArray *strings)
{
        return append_changes(m, strings); /* as */
}

static int append_directive(sd_bus_message *m, const DirectiveChange *d)
{
        int r = sd_bus_message_open_container(m, 'r', "sasas");

        if (r >= 0)
                r = append_text(m, d->name);
        if (r >= 0)
                r = append_strings(m, d->before);
        if (r >= 0)
                r = append_strings(m, d->after);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_detail(sd_bus_message *m, const ChangeDetail *c)
{
        int r = sd_bus_message_open_container(m, 'r', "sssia(sasas)");

        if (r >= 0)
                r = append_text(m, c->line);
        if (r >= 0)
                r = append_text(m, c->kind);
        if (r >= 0)
                r = append_text(m, c->name);
        if (r >= 0)
                r = sd_bus_message_append(m, "i", c->lun);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sasas)");
        for (guint i = 0; r >= 0 && i < c->directives->len; i++)
                r = append_directive(m, c->directives->pdata[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_details(sd_bus_message *m, const GPtrArray *details)
{
        int r = sd_bus_message_open_container(m, 'a', "(sssia(sasas))");

        for (guint i = 0; r >= 0 && i < details->len; i++)
                r = append_detail(m, details->pdata[i]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static void answer(Call *call, const EditResult *result, const GPtrArray *problems)
{
        sd_bus_message *reply = call_new_reply(call);
        int r = reply ? sd_bus_message_append(reply, "t", result->generation) : -ENOMEM;

        if (r >= 0)
                r = append_details(reply, result->details);
        if (r >= 0)
                r = append_problems(reply, problems);
        call_answer(call, reply, r);
}

static void done_apply(const EditResult *result, void *userdata)
{
        Call *call = userdata;

        if (!call->connection)
                call_free(call); /* nobody to answer, perhaps not even a server */
        else if (result->error.name)
                call_fail(call, &result->error);
        else
                answer(call, result, call->apply->problems);
}

void run_apply(Call *call)
{
        Caller caller = call_caller(call);
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        BusError e = { 0 };

        if (apply_read(call, &e) < 0) {
                call_fail(call, &e);
                bus_error_clear(&e);
                return;
        }
        add_names(names, call->apply->wanted->targets);
        add_names(names, call->apply->masked);
        g_ptr_array_add(names, NULL);
        call->options.detailed = call->options.located = true;
        manager_edit(call->server->manager, &caller, &call->options,
                     call->apply->prune ? NULL : (const char *const *)names->pdata, edit_apply,
                     done_apply, call, NULL);
}

/* ---- what runs and what is configured -------------------------------------------------------- */

static void done_compare(const EditResult *result, void *userdata)
{
        Call *call = userdata;

        if (!call->connection)
                call_free(call);
        else if (result->error.name)
                call_fail(call, &result->error);
        else
                answer(call, result, result->problems);
}

void run_compare(Call *call)
{
        Caller caller = call_caller(call);

        call->options.dry_run = call->options.detailed = true;
        call->options.force = true; /* it is shown, also if it would be refused */
        manager_reload(call->server->manager, &caller, &call->options, done_compare, call, NULL);
}

/* ---- what waits to be confirmed -------------------------------------------------------------- */

static void done_changes(const EditResult *result, void *userdata)
{
        Call *call = userdata;
        sd_bus_message *reply;

        if (!call->connection) {
                call_free(call);
        } else if (result->error.name) {
                call_fail(call, &result->error);
        } else {
                reply = call_new_reply(call);
                call_answer(call, reply, reply ? append_changes(reply, result->changes) : -ENOMEM);
        }
}

void run_confirm(Call *call)
{
        Caller caller = call_caller(call);

        manager_confirm(call->server->manager, &caller, &call->options, done_changes, call, NULL);
}

void run_rollback(Call *call)
{
        Caller caller = call_caller(call);

        manager_rollback(call->server->manager, &caller, &call->options, done_changes, call, NULL);
}
