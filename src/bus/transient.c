/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bus/transient.h"

struct Transient {
        List node; /* of BusServer.transients */
        BusServer *server;
        BusConnection *connection; /* NULL: gone */
        char *target, *owner;      /* owner: a bus name; NULL: the connection itself */
        uid_t uid;
        pid_t pid;
        sd_bus_slot *watch, *question;
        bool made, gone; /* the target; the owner */
};

static void transient_free(Transient *t)
{
        list_remove(&t->node);
        sd_bus_slot_unref(t->watch);
        sd_bus_slot_unref(t->question);
        g_free(t->target);
        g_free(t->owner);
        g_free(t);
}

/* ---- removing -------------------------------------------------------------------------------- */

static int edit_remove(Desired *d, void *userdata, BusError *e)
{
        const TargetSpec *t = g_hash_table_lookup(d->targets, userdata);

        /* removed by hand, and made again by somebody else, it is not ours any more */
        if (t && t->persistence == TARGET_TRANSIENT)
                (void)g_hash_table_remove(d->targets, userdata);
        return 0;
}

static void remove_target(const Transient *t)
{
        const char *const targets[] = { t->target, NULL };
        const EditOptions options = { .force = true, .internal = true };
        g_autofree char *who =
                g_strdup_printf("%s, which made it, is gone", t->owner ? t->owner : "the client");
        const Caller caller = { .uid = t->uid, .pid = t->pid, .name = who };

        manager_edit(t->server->manager, &caller, &options, targets, edit_remove, NULL,
                     g_strdup(t->target), g_free);
}

static void owner_gone(Transient *t)
{
        t->gone = true;
        if (!t->made)
                return; /* transient_made() comes */
        remove_target(t);
        transient_free(t);
}

/* ---- watching -------------------------------------------------------------------------------- */

static int on_name_lost(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        owner_gone(userdata);
        return 0;
}

static int on_has_owner(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        Transient *t = userdata;
        int owned = 1;

        t->question = sd_bus_slot_unref(t->question);
        if (!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_read(m, "b", &owned) >= 0 &&
            !owned)
                owner_gone(t);
        return 0;
}

/* It may have gone before it was watched: then nobody will say so. */
static int on_watching(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        Transient *t = userdata;

        if (sd_bus_message_is_method_error(m, NULL)) {
                owner_gone(t); /* what cannot be watched is not kept for ever */
                return 0;
        }
        if (sd_bus_call_method_async(t->connection->bus, &t->question, "org.freedesktop.DBus",
                                     "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                     "NameHasOwner", on_has_owner, t, "s", t->owner) < 0)
                owner_gone(t);
        return 0;
}

static int watch_owner(Transient *t)
{
        g_autofree char *match = g_strdup_printf(
                "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s',arg2=''",
                t->owner);

        return sd_bus_add_match_async(t->connection->bus, &t->watch, match, on_name_lost,
                                      on_watching, t);
}

static Transient *find(const BusServer *b, const char *target)
{
        LIST_FOREACH (t, &b->transients, Transient, node)
                if (STREQ(t->target, target))
                        return t;
        return NULL;
}

void transient_begin(Call *call)
{
        const char *sender = sd_bus_message_get_sender(call->message);
        Transient *t = g_new0(Transient, 1);

        t->server = call->server;
        t->connection = call->connection;
        t->target = g_strdup(call->edit.target);
        t->owner = call->connection->kind == CONNECTION_PEER ? NULL : g_strdup(sender);
        t->uid = call->uid;
        t->pid = call->pid;
        list_append(&call->server->transients, &t->node);
        call->transient = t;
        if (t->owner && watch_owner(t) < 0)
                t->gone = true;
}

/* Somebody has removed the earlier target of that name: it is not the owner's of then any more. */
static void forget_others(Transient *t)
{
        LIST_FOREACH_SAFE (other, &t->server->transients, Transient, node)
                if (other != t && other->made && STREQ(other->target, t->target))
                        transient_free(other);
}

void transient_made(Call *call, bool made)
{
        Transient *t = TAKE_PTR(call->transient);

        if (!t)
                return;
        if (made)
                forget_others(t);
        t->made = made;
        if (made && t->gone)
                remove_target(t);
        if (!made || t->gone)
                transient_free(t);
}

void transients_drop(BusConnection *c)
{
        LIST_FOREACH_SAFE (t, &c->server->transients, Transient, node) {
                if (t->connection != c)
                        continue;
                t->watch = sd_bus_slot_unref(t->watch);
                t->question = sd_bus_slot_unref(t->question);
                t->connection = NULL;
                if (!t->gone)
                        owner_gone(t);
        }
}

const char *transient_owner(const BusServer *b, const char *target)
{
        const Transient *t = find(b, target);

        return !t || !t->made ? NULL : t->owner ? t->owner : "private socket";
}

void transients_free(BusServer *b)
{
        LIST_FOREACH_SAFE (t, &b->transients, Transient, node)
                transient_free(t);
}
