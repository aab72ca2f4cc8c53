/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <sys/stat.h>

#include "bus/arguments.h"
#include "bus/authority.h"
#include "bus/methods.h"
#include "bus/paths.h"

/* Methods that change: their arguments, and what comes before the list of changes. */

#define VERIFY_FILES_MAX 64
#define VERIFY_TEXT_MAX (16 * MIB)

DEFINE_CLEANUP(TargetSpec *, target_spec_free);
DEFINE_CLEANUP(Desired *, desired_free);

/* The object that was called is what the call is about. */
static void take_object(Call *call, const ObjectRef *object)
{
        call->edit.check = manager_check_param();
        if (object->target) {
                g_free(call->edit.target);
                call->edit.target = g_strdup(object->target->name);
        }
}

int parse_nothing(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        return 0;
}

int parse_options(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        take_object(call, object);
        return read_options(call, m, e);
}

int parse_create_target(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        if (read_target_name(m, &call->edit.target, e) < 0 ||
            read_directives(m, &call->edit.directives, e) < 0 ||
            parse_options(call, object, m, e) < 0)
                return -1;
        return call_wish_file(call, false, e);
}

int parse_replace_target(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        const char *text;
        int r;

        if (read_target_name(m, &call->edit.target, e) < 0)
                return -1;
        r = sd_bus_message_read(m, "s", &text);
        if (r < 0)
                return read_failed(r, e);
        if (strlen(text) > VERIFY_TEXT_MAX)
                return bus_error_set(e, ERROR_LIMIT, "The text is longer than 16 MiB");
        call->edit.text = g_strdup(text);
        /* a block says everything, so who may change only some of it may not write one */
        call_add_check(call, ACTION_LUN, NULL);
        call_add_check(call, ACTION_ACCESS, NULL);
        call_add_check(call, ACTION_ACCOUNT, NULL);
        return parse_options(call, object, m, e);
}

int parse_delete_target(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        if (read_target_name(m, &call->edit.target, e) < 0)
                return -1;
        return parse_options(call, object, m, e);
}

int parse_portal(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        if (read_text(m, "address", &call->edit.address, e) < 0)
                return -1;
        return parse_options(call, object, m, e);
}

/* ---- targets ---- */

static int read_lun(Call *call, sd_bus_message *m, BusError *e)
{
        int r = sd_bus_message_read(m, "q", &call->edit.lun);

        call->edit.has_lun = true;
        return r < 0 ? read_failed(r, e) : 0;
}

int parse_lun(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        if (read_lun(call, m, e) < 0)
                return -1;
        return parse_options(call, object, m, e);
}

int parse_add_lun(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        if (read_directives(m, &call->edit.directives, e) < 0 ||
            parse_options(call, object, m, e) < 0)
                return -1;
        return call_wish_file(call, true, e);
}

/* What a unit is to initiators, so that its edit can hold on to it. */
static void add_identity(Call *call, const char *uuid)
{
        UnitInfo unit;

        if (manager_unit(call->server->manager, uuid, &unit) < 0)
                return;
        call->edit.uuid = g_strdup(unit.uuid);
        call->edit.naa = g_strdup(unit.naa);
}

/* A unit is set as a whole, so whoever sets it must be allowed to for each target that maps it. */
static void add_unit(Call *call)
{
        Manager *manager = call->server->manager;
        const char *uuid = manager_unit_of(manager, call->edit.target, call->edit.lun);
        size_t n = uuid ? manager_unit_mappings(manager, uuid, NULL, 0) : 0;
        g_autofree UnitMapping *mappings = g_new(UnitMapping, MAX(n, 1U));

        if (n > 0)
                n = manager_unit_mappings(manager, uuid, mappings, n);
        if (n == 1)
                add_identity(call, uuid);
        call->edit.also = g_ptr_array_new_with_free_func((GDestroyNotify)edit_lun_free);
        for (size_t i = 0; i < n; i++) {
                bool here = STREQ(mappings[i].target, call->edit.target);
                EditLun *other;

                if (here && mappings[i].lun == call->edit.lun)
                        continue;
                other = g_new0(EditLun, 1);
                other->target = g_strdup(mappings[i].target);
                other->lun = mappings[i].lun;
                g_ptr_array_add(call->edit.also, other);
                if (!here)
                        call_add_lun_check(call, other);
        }
}

int parse_set_lun(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        if (read_lun(call, m, e) < 0 || read_directives(m, &call->edit.directives, e) < 0 ||
            parse_options(call, object, m, e) < 0)
                return -1;
        add_unit(call);
        return 0;
}

int parse_set(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        Directive *d = g_new0(Directive, 1);

        call->edit.directives = g_ptr_array_new_with_free_func((GDestroyNotify)directive_free);
        g_ptr_array_add(call->edit.directives, d);
        if (read_text(m, "directive", &d->name, e) < 0 ||
            read_texts(m, d->name, 1024, &d->values, e) < 0)
                return -1;
        return parse_options(call, object, m, e);
}

static int read_kind(Call *call, sd_bus_message *m, BusError *e)
{
        if (read_text(m, "kind", &call->edit.kind, e) < 0)
                return -1;
        if (!STREQ(call->edit.kind, KIND_NAME) && !STREQ(call->edit.kind, KIND_ADDRESS))
                return bus_error_set(e, ERROR_INVALID,
                                     "%s: expected " KIND_NAME " or " KIND_ADDRESS,
                                     call->edit.kind);
        return 0;
}

int parse_acl(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        if (read_kind(call, m, e) < 0 || read_text(m, "value", &call->edit.value, e) < 0)
                return -1;
        return parse_options(call, object, m, e);
}

int parse_limits(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        if (read_text(m, "initiator", &call->edit.value, e) < 0 ||
            read_limits(m, &call->edit.limits, e) < 0)
                return -1;
        return parse_options(call, object, m, e);
}

int parse_acl_object(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        call->edit.kind = g_strdup(object->kind);
        call->edit.value = g_strdup(object->value);
        return parse_options(call, object, m, e);
}

static int read_direction(Call *call, sd_bus_message *m, BusError *e)
{
        char **direction = &call->edit.direction;

        if (read_text(m, "direction", direction, e) < 0)
                return -1;
        if (!STREQ(*direction, DIRECTION_INCOMING) && !STREQ(*direction, DIRECTION_OUTGOING))
                return bus_error_set(e, ERROR_INVALID,
                                     "%s: expected " DIRECTION_INCOMING " or " DIRECTION_OUTGOING,
                                     *direction);
        return 0;
}

int parse_account(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        if (read_text(m, "user", &call->edit.user, e) < 0 ||
            read_text(m, "secret", &call->edit.secret, e) < 0 || read_direction(call, m, e) < 0)
                return -1;
        return parse_options(call, object, m, e);
}

int parse_account_name(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        if (read_text(m, "user", &call->edit.user, e) < 0 || read_direction(call, m, e) < 0)
                return -1;
        return parse_options(call, object, m, e);
}

int parse_account_object(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        call->edit.user = g_strdup(object->account->user);
        call->edit.direction = g_strdup(object->direction);
        return parse_options(call, object, m, e);
}

int parse_new_account(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        if (read_text(m, "user", &call->edit.user, e) < 0 ||
            read_text(m, "secret", &call->edit.secret, e) < 0)
                return -1;
        return parse_options(call, object, m, e);
}

int parse_delete_account(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        if (read_text(m, "user", &call->edit.user, e) < 0)
                return -1;
        return parse_options(call, object, m, e);
}

static const char *secret_in(const GPtrArray *accounts, const char *user)
{
        for (guint i = 0; i < accounts->len; i++) {
                const AccountSpec *a = g_ptr_array_index(accounts, i);

                if (STREQ(a->user, user) && !a->credential)
                        return a->secret;
        }
        return NULL;
}

/* Of an account that a fragment gives to some target: in stgt there is one set of accounts. */
static const char *secret_elsewhere(const Desired *d, const char *user)
{
        const char *secret = secret_in(d->discovery_incoming, user);
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, d->targets);
        while (!secret && g_hash_table_iter_next(&iter, NULL, &value)) {
                const TargetSpec *t = value;

                secret = secret_in(t->incoming, user);
                if (!secret && t->outgoing && STREQ(t->outgoing->user, user) &&
                    !t->outgoing->credential)
                        secret = t->outgoing->secret;
        }
        return secret;
}

int parse_bind_account(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        char why[256] = "";
        const char *target;
        int r = sd_bus_message_read(m, "s", &target);

        if (r < 0)
                return read_failed(r, e);
        if (*target && iscsi_name_normalize(target, &call->edit.target, why, sizeof(why)) < 0)
                return bus_error_set(e, ERROR_INVALID, "%s: %s", target, why);
        if (parse_account_name(call, object, m, e) < 0)
                return -1;
        call->edit.secret =
                g_strdup(secret_elsewhere(manager_desired(call->server->manager), call->edit.user));
        return 0;
}

/* ---- the daemon itself ---- */

int parse_flag(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        int flag, r = sd_bus_message_read(m, "b", &flag);

        if (r < 0)
                return read_failed(r, e);
        call->flag = flag;
        return read_options(call, m, e);
}

void run_set_offline(Call *call)
{
        Caller caller = call_caller(call);

        manager_set_offline(call->server->manager, &caller, call->flag);
        call_answer(call, call_new_reply(call), 0);
}

void run_set_debugging(Call *call)
{
        Caller caller = call_caller(call);

        manager_set_debugging(call->server->manager, &caller, call->flag);
        call_answer(call, call_new_reply(call), 0);
}

int parse_quit(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        return read_options(call, m, e);
}

void run_quit(Call *call)
{
        const Desired *d = manager_desired(call->server->manager);
        Caller caller = call_caller(call);
        guint n = g_hash_table_size(d->targets);

        if (n > 0 && !call->options.force) {
                call_fail_named(call, ERROR_IN_USE,
                                "%u target%s served; delete %s first, or use the option force", n,
                                n == 1 ? " is" : "s are", n == 1 ? "it" : "them");
                return;
        }
        manager_quit(call->server->manager, &caller);
        call_answer(call, call_new_reply(call), 0);
}

int reply_target(const Call *call, sd_bus_message *reply)
{
        return append_path(reply, path_of_target(call->edit.target));
}

int reply_lun(const Call *call, sd_bus_message *reply)
{
        const char *uuid = NULL;
        int r = sd_bus_message_append(reply, "q", call->edit.lun);

        if (r < 0)
                return r;
        if (!call->options.dry_run)
                uuid = manager_unit_of(call->server->manager, call->edit.target, call->edit.lun);
        return append_path(reply, uuid ? path_of_unit(uuid) : strdup("/"));
}

int reply_acl(const Call *call, sd_bus_message *reply)
{
        return append_path(reply,
                           path_of_acl(call->edit.target, call->edit.kind, call->edit.value));
}

int reply_account(const Call *call, sd_bus_message *reply)
{
        return append_path(
                reply, path_of_account(call->edit.target, call->edit.direction, call->edit.user));
}

int reply_portal(const Call *call, sd_bus_message *reply)
{
        return append_path(reply, path_of_portal(call->edit.address));
}

/* ---- units and sessions ---- */

int parse_unit(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        UnitMapping mappings[2];

        call->uuid = g_strdup(object->unit.uuid);
        /* A rule for one target must not reach into a unit that others map as well: then polkit
         * is told the unit alone. */
        if (manager_unit_mappings(call->server->manager, call->uuid, mappings, 2) == 1) {
                call->edit.target = g_strdup(mappings[0].target);
                call->edit.lun = mappings[0].lun;
                call->edit.has_lun = true;
        }
        return read_options(call, m, e);
}

int parse_unit_options(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        if (read_text(m, "store_options", &call->text, e) < 0)
                return -1;
        if (strchr(call->text, '/')) /* names a file, or may */
                call_add_check(call, ACTION_ANY_PATH, call->text);
        return parse_unit(call, object, m, e);
}

int parse_sanitize(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        if (read_text(m, "method", &call->text, e) < 0 || parse_unit(call, object, m, e) < 0)
                return -1;
        if (!STREQ(call->text, "overwrite") && !STREQ(call->text, "block-erase"))
                return bus_error_set(e, ERROR_INVALID,
                                     "There is no method '%s'; there are overwrite and block-erase",
                                     call->text);
        if (STREQ(call->text, "block-erase") &&
            (call->operation.passes > 0 || call->operation.pattern || call->operation.invert))
                return bus_error_set(e, ERROR_INVALID,
                                     "The options passes, pattern and invert are of overwrite");
        call->operation.kind = call->text;
        return 0;
}

int parse_copy(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        if (read_text(m, "path", &call->text, e) < 0 || parse_unit(call, object, m, e) < 0)
                return -1;
        if (call->text[0] != '/' || g_str_has_suffix(call->text, "/"))
                return bus_error_set(e, ERROR_INVALID, "%s: expected an absolute name of a file",
                                     call->text);
        return 0;
}

int parse_format(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        call->operation.kind = "format";
        return parse_unit(call, object, m, e);
}

int parse_exit_failure(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        call->operation.kind = "exit-failure";
        return parse_unit(call, object, m, e);
}

int parse_session(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        call->session = object->session.id;
        call->edit.target = g_strdup(object->session.target);
        call->initiator = g_strdup(object->session.initiator);
        return read_options(call, m, e);
}

void run_refresh_unit(Call *call)
{
        Caller caller = call_caller(call);

        manager_unit_refresh(call->server->manager, &caller, call->uuid, call_done_empty, call,
                             NULL);
}

void run_configure_unit(Call *call)
{
        Caller caller = call_caller(call);

        manager_unit_configure(call->server->manager, &caller, call->uuid, call->text,
                               call_done_empty, call, NULL);
}

void run_operate_unit(Call *call)
{
        Caller caller = call_caller(call);

        call->operation.force = call->options.force;
        manager_unit_operate(call->server->manager, &caller, call->uuid, &call->operation,
                             call_done_empty, call, NULL);
}

static void copy_done(const char *path, const BusError *e, void *userdata)
{
        Call *call = userdata;
        sd_bus_message *reply;
        int r;

        call->made = true;
        if (e->name || !call->connection) {
                if (call->connection)
                        call_fail(call, e); /* removes what was made */
                else
                        call_free(call);
                return;
        }
        reply = call_new_reply(call);
        r = reply ? append_text(reply, path) : -ENOMEM;
        call_end_file(call, true); /* path goes with it */
        call_answer(call, reply, r);
}

void run_copy_unit(Call *call)
{
        const FileWish wish = {
                .path = call->text,
                .preallocate = call->preallocate,
                .overcommit = call->options.force,
        };
        Caller caller = call_caller(call);
        BusError e = { 0 };

        call->making = manager_copy_unit(call->server->manager, &caller, call->uuid, &wish,
                                         copy_done, call, &e);
        if (call->making)
                return;
        call_fail(call, &e);
        bus_error_clear(&e);
}

void run_end_session(Call *call)
{
        Caller caller = call_caller(call);

        manager_end_session(call->server->manager, &caller, call->session, call_done_empty, call,
                            NULL);
}

/* ---- fragments ---- */

void run_reload(Call *call)
{
        Caller caller = call_caller(call);

        manager_reload(call->server->manager, &caller, &call->options, call_done_reload, call,
                       NULL);
}

int parse_verify(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        if (read_texts(m, "files", VERIFY_FILES_MAX, &call->files, e) < 0)
                return -1;
        for (char **f = call->files; *f; f++) {
                if ((*f)[0] != '/')
                        return bus_error_set(e, ERROR_INVALID, "%s: expected an absolute name", *f);
                /* what is wrong with a file tells what is in it */
                call_add_check(call, ACTION_ANY_PATH, *f);
        }
        return parse_options(call, object, m, e);
}

static void answer_problems(Call *call, const GPtrArray *problems)
{
        sd_bus_message *reply = call_new_reply(call);

        call_answer(call, reply, reply ? append_problems(reply, problems) : -ENOMEM);
}

static void done_verify(const EditResult *result, void *userdata)
{
        Call *call = userdata;

        if (!call->connection)
                call_free(call);
        else if (result->error.name)
                call_fail(call, &result->error);
        else
                answer_problems(call, result->problems);
}

static void answer_loaded(Call *call, int r, Desired *d, GHashTable *bad, GPtrArray *problems)
{
        if (r < 0) {
                call_fail_named(call, ERROR_FAILED, "Cannot read: %s", g_strerror(-r));
                return;
        }
        answer_problems(call, problems);
        desired_free(d);
        g_hash_table_unref(bad);
        g_ptr_array_unref(problems);
}

void run_verify(Call *call)
{
        Caller caller = call_caller(call);
        GPtrArray *problems = NULL;
        GHashTable *bad = NULL;
        Desired *d = NULL;
        int r;

        if (!call->files[0]) {
                call->options.dry_run = true;
                manager_reload(call->server->manager, &caller, &call->options, done_verify, call,
                               NULL);
                return;
        }
        for (char **f = call->files; *f; f++) {
                struct stat st;

                /* a pipe would keep us waiting for whoever writes */
                if (stat(*f, &st) < 0) {
                        call_fail_named(call, ERROR_NOT_FOUND, "%s: %s", *f, g_strerror(errno));
                        return;
                }
                if (!S_ISREG(st.st_mode)) {
                        call_fail_named(call, ERROR_INVALID, "%s: not a regular file", *f);
                        return;
                }
        }
        r = config_load_files((const char *const *)call->files, manager_check_param(), &d, &bad,
                              &problems);
        answer_loaded(call, r, d, bad, problems);
}

int parse_verify_text(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        const char *text;
        int r;

        if (read_text(m, "name", &call->name, e) < 0)
                return -1;
        r = sd_bus_message_read(m, "s", &text);
        if (r < 0)
                return read_failed(r, e);
        if (strlen(text) > VERIFY_TEXT_MAX)
                return bus_error_set(e, ERROR_LIMIT, "The text is longer than 16 MiB");
        call->text = g_strdup(text);
        return parse_options(call, object, m, e);
}

void run_verify_text(Call *call)
{
        GPtrArray *problems = NULL;
        GHashTable *bad = NULL;
        Desired *d = NULL;
        int r = config_load_text(call->text, call->name, manager_check_param(), &d, &bad,
                                 &problems);

        explicit_bzero(call->text, strlen(call->text));
        answer_loaded(call, r, d, bad, problems);
}

int parse_dump(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        if (parse_options(call, object, m, e) < 0)
                return -1;
        if (call->with_secrets)
                call_add_check(call, ACTION_SECRETS, NULL);
        return 0;
}

static void name_identity(char **field, const char *value)
{
        if (!*field && *value)
                *field = g_strdup(value);
}

/* t with the identities that its LUNs have, as if they had been configured. */
static TargetSpec *with_identities(Manager *manager, const TargetSpec *t)
{
        TargetSpec *copy = target_spec_dup(t);

        for (guint i = 0; i < copy->luns->len; i++) {
                LunSpec *l = g_ptr_array_index(copy->luns, i);
                const char *uuid = manager_unit_of(manager, t->name, l->lun);
                UnitInfo info;

                if (!uuid || manager_unit(manager, uuid, &info) < 0)
                        continue;
                name_identity(&l->uuid, info.uuid);
                name_identity(&l->naa, info.naa);
                name_identity(&l->scsi_id, info.scsi_id);
                name_identity(&l->scsi_sn, info.serial);
        }
        return copy;
}

static Desired *all_with_identities(Call *call, const Desired *d)
{
        Desired *copy = desired_dup(d);
        GHashTableIter iter;
        gpointer t;

        g_hash_table_iter_init(&iter, d->targets);
        while (g_hash_table_iter_next(&iter, NULL, &t))
                desired_put(copy, with_identities(call->server->manager, t));
        return copy;
}

void run_dump(Call *call)
{
        const Desired *d = manager_desired(call->server->manager);
        _cleanup_(target_spec_freep) TargetSpec *copy = NULL;
        _cleanup_(desired_freep) Desired *all = NULL;
        sd_bus_message *reply;
        GString *text;
        int r = -ENOMEM;

        text = g_string_new(NULL);
        if (call->edit.target) {
                const TargetSpec *t = g_hash_table_lookup(d->targets, call->edit.target);

                if (!t) {
                        g_string_free(text, TRUE);
                        call_fail_named(call, ERROR_NOT_FOUND, "There is no target %s",
                                        call->edit.target);
                        return;
                }
                if (call->with_identities)
                        t = copy = with_identities(call->server->manager, t);
                target_spec_write(t, call->with_secrets, text);
        } else if (call->with_identities) {
                all = all_with_identities(call, d);
                desired_write(all, call->with_secrets, text);
        } else
                desired_write(d, call->with_secrets, text);

        reply = call_new_reply(call);
        if (reply)
                r = append_text(reply, text->str);
        if (reply && call->with_secrets)
                (void)sd_bus_message_sensitive(reply);
        explicit_bzero(text->str, text->len);
        g_string_free(text, TRUE);
        call_answer(call, reply, r);
}
