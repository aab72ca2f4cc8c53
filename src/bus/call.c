/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>

#include "bus/apply.h"
#include "bus/authority.h"
#include "bus/polkit.h"
#include "bus/transient.h"

static void check_clear(Check *check)
{
        g_free(check->path);
}

Call *call_free(Call *call)
{
        if (!call)
                return NULL;
        polkit_cancel(call);
        call_end_file(call, false);
        g_free(call->directory);
        sd_bus_slot_unref(call->pending);
        sd_bus_slot_unref(call->watch);
        if (call->server) {
                list_remove(&call->node);
                call->server->n_calls--;
        }
        sd_bus_message_unref(call->message);
        g_array_unref(call->checks);
        edit_clear(&call->edit);
        free(call->unit);
        g_free(call->initiator);
        g_free(call->uuid);
        g_free(call->name);
        g_free(call->text);
        g_free(call->pattern);
        g_strfreev(call->files);
        apply_free(call->apply);
        g_free(call);
        return NULL;
}

static Call *call_new(BusConnection *c, sd_bus_message *m, const MethodRow *row)
{
        Call *call = g_new0(Call, 1);

        call->server = c->server;
        call->connection = c;
        call->message = sd_bus_message_ref(m);
        call->row = row;
        call->checks = g_array_new(FALSE, TRUE, sizeof(Check));
        g_array_set_clear_func(call->checks, (GDestroyNotify)check_clear);
        list_append(&c->server->calls, &call->node);
        c->server->n_calls++;
        return call;
}

void call_add_check(Call *call, const char *action, const char *path)
{
        Check check = { action, g_strdup(path), NULL };

        g_array_append_val(call->checks, check);
}

void call_add_lun_check(Call *call, const EditLun *also)
{
        Check check = { call->row->action, NULL, also };

        g_array_append_val(call->checks, check);
}

Caller call_caller(const Call *call)
{
        const char *sender = sd_bus_message_get_sender(call->message);

        return (Caller){
                .uid = call->uid,
                .pid = call->pid,
                .unit = call->unit,
                .name = sender ? sender : "private socket",
        };
}

/* ---- answers ---- */

int append_text(sd_bus_message *m, const char *s)
{
        g_autofree char *valid = NULL;

        if (s && !g_utf8_validate(s, -1, NULL))
                s = valid = g_utf8_make_valid(s, -1);
        return sd_bus_message_append_basic(m, 's', s ? s : "");
}

int append_path(sd_bus_message *m, char *path)
{
        _cleanup_free_ char *p = path;

        return p ? sd_bus_message_append_basic(m, 'o', p) : -ENOMEM;
}

int append_changes(sd_bus_message *m, const GPtrArray *changes)
{
        int r = sd_bus_message_open_container(m, 'a', "s");

        for (guint i = 0; r >= 0 && changes && i < changes->len; i++)
                r = append_text(m, g_ptr_array_index(changes, i));
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_problem(sd_bus_message *m, const Problem *p)
{
        int r = sd_bus_message_open_container(m, 'r', "sussss");

        if (r >= 0)
                r = append_text(m, p->at.file);
        if (r >= 0)
                r = sd_bus_message_append(m, "u", (uint32_t)p->at.line);
        if (r >= 0)
                r = append_text(m, p->level == PROBLEM_ERROR ? "error" : "warning");
        if (r >= 0)
                r = append_text(m, p->target);
        if (r >= 0)
                r = append_text(m, p->directive);
        if (r >= 0)
                r = append_text(m, p->text);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int append_problems(sd_bus_message *m, const GPtrArray *problems)
{
        int r = sd_bus_message_open_container(m, 'a', "(sussss)");

        for (guint i = 0; r >= 0 && problems && i < problems->len; i++)
                r = append_problem(m, g_ptr_array_index(problems, i));
        return r < 0 ? r : sd_bus_message_close_container(m);
}

sd_bus_message *call_new_reply(Call *call)
{
        sd_bus_message *reply = NULL;

        if (sd_bus_message_new_method_return(call->message, &reply) < 0)
                return NULL;
        return reply;
}

void call_fail_named(Call *call, const char *name, const char *format, ...)
{
        g_autofree char *text = NULL, *valid = NULL;
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        valid = g_utf8_make_valid(text, -1);

        /* a client that is gone gets no answer, and nothing can be done about it */
        if (call->connection && call->connection->bus)
                (void)sd_bus_reply_method_errorf(call->message, name, "%s", valid);
        call_free(call);
}

void call_fail(Call *call, const BusError *e)
{
        call_fail_named(call, e->name, "%s", e->text ? e->text : "Failed");
}

void call_answer(Call *call, sd_bus_message *reply, int r)
{
        if (!call->connection || !call->connection->bus) {
                call_free(call);
        } else if (!reply || r < 0) {
                call_fail_named(call, ERROR_FAILED, "Cannot write the answer: %s",
                                g_strerror(reply ? -r : ENOMEM));
        } else {
                if (call->row->sensitive)
                        (void)sd_bus_message_sensitive(reply);
                (void)sd_bus_send(NULL, reply, NULL);
                call_free(call);
        }
        sd_bus_message_unref(reply);
}

/* ---- work ---- */

void call_done_empty(const EditResult *result, void *userdata)
{
        Call *call = userdata;

        if (result->error.name)
                call_fail(call, &result->error);
        else
                call_answer(call, call_new_reply(call), 0);
}

void call_done_reload(const EditResult *result, void *userdata)
{
        Call *call = userdata;
        sd_bus_message *reply;
        int r = -ENOMEM;

        if (!call->connection) {
                call_free(call); /* nobody to answer, perhaps not even a server */
                return;
        }
        if (result->error.name) {
                call_fail(call, &result->error);
                return;
        }
        reply = call_new_reply(call);
        if (reply)
                r = append_changes(reply, result->changes);
        if (r >= 0)
                r = append_problems(reply, result->problems);
        call_answer(call, reply, r);
}

static void done_edit(const EditResult *result, void *userdata)
{
        Call *call = userdata;
        sd_bus_message *reply;
        int r = -ENOMEM;

        call_end_file(call, !result->error.name);
        transient_made(call, !result->error.name && !call->options.dry_run);
        if (!call->connection) {
                call_free(call); /* nobody to answer, perhaps not even a server */
                return;
        }
        if (result->error.name) {
                call_fail(call, &result->error);
                return;
        }
        reply = call_new_reply(call);
        if (reply)
                r = call->row->reply ? call->row->reply(call, reply) : 0;
        if (r >= 0)
                r = append_changes(reply, result->changes);
        call_answer(call, reply, r);
}

static int edit_call(Desired *d, void *userdata, BusError *e)
{
        Call *call = userdata;

        return call->row->edit(d, &call->edit, e);
}

static void add_name(GPtrArray *names, char *name)
{
        if (name && !g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
                g_ptr_array_add(names, name);
}

void call_run(Call *call)
{
        g_autoptr(GPtrArray) targets = g_ptr_array_new();
        Caller caller = call_caller(call);

        call->running = true;
        if (call->file_size > 0 && !call->made) {
                call_make_file(call);
                return;
        }
        if (call->options.transient)
                transient_begin(call); /* before its caller is watched no more */
        if (!call->row->with_caller)
                call->watch = sd_bus_slot_unref(call->watch);
        if (call->row->run) {
                call->row->run(call);
                return;
        }
        add_name(targets, call->edit.target);
        for (guint i = 0; call->edit.also && i < call->edit.also->len; i++)
                add_name(targets, ((EditLun *)g_ptr_array_index(call->edit.also, i))->target);
        g_ptr_array_add(targets, NULL);
        manager_edit(call->server->manager, &caller, &call->options,
                     (const char *const *)targets->pdata, edit_call, done_edit, call, NULL);
}

/* ---- arrival ---- */

static bool too_many(const BusConnection *c, sd_bus_message *m)
{
        const char *sender = sd_bus_message_get_sender(m);
        unsigned n = 0;

        if (c->server->n_calls >= CALLS_MAX)
                return true;
        LIST_FOREACH (call, &c->server->calls, Call, node)
                if (call->connection == c &&
                    g_strcmp0(sd_bus_message_get_sender(call->message), sender) == 0)
                        n++;
        return n >= CALLS_PER_SENDER_MAX;
}

Call *call_start_reading(BusConnection *c, sd_bus_message *m, const MethodRow *row)
{
        Call *call;

        if (c->server->stopping || too_many(c, m))
                return NULL;
        call = call_new(c, m, row);
        call->running = true;
        return call;
}

int call_entry(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const ObjectRef *object = userdata;
        BusConnection *c = object->connection;
        const char *interface = sd_bus_message_get_interface(m);
        const MethodRow *row =
                interface ? authority_find(interface, sd_bus_message_get_member(m)) : NULL;
        BusError error = { 0 };
        Call *call;

        if (!row)
                return sd_bus_error_setf(e, SD_BUS_ERROR_ACCESS_DENIED,
                                         "There is no rule for this method, so nobody may call it");
        if (c->server->stopping)
                return sd_bus_error_set(e, ERROR_FAILED, "The daemon is stopping");
        if (too_many(c, m))
                return sd_bus_error_set(e, ERROR_LIMIT,
                                        "Too many calls wait for an answer; wait for some");
        if (row->sensitive) {
                int r = sd_bus_message_sensitive(m);

                if (r < 0)
                        return r;
        }

        call = call_new(c, m, row);
        if (row->action)
                call_add_check(call, row->action, NULL);
        if (row->parse(call, object, m, &error) < 0) {
                call_fail(call, &error);
                bus_error_clear(&error);
                return 1;
        }
        authority_start(call);
        return 1;
}

void calls_drop(BusServer *server, BusConnection *connection)
{
        LIST_FOREACH_SAFE (call, &server->calls, Call, node) {
                if (call->connection != connection)
                        continue;
                if (call->running) {
                        call->connection = NULL; /* it completes; nobody hears of it */
                        call_give_up_file(call);
                } else
                        call_free(call);
        }
}

void calls_orphan(BusServer *server)
{
        LIST_FOREACH_SAFE (call, &server->calls, Call, node) {
                list_remove(&call->node);
                call->transient = NULL; /* goes with the server */
                call->server = NULL;
        }
}
