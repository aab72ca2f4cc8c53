/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>

#include "bus/arguments.h"
#include "bus/methods.h"
#include "bus/paths.h"

/* Methods that only read: lists in pages, and finding an object by its name. Their arguments are
 * read where they lie: the call is answered before its message goes. */

uint32_t page_size(uint32_t max)
{
        return max == 0 || max > PAGE_MAX ? PAGE_MAX : max;
}

int parse_page_text(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        int r = sd_bus_message_read(m, "su", &call->after_text, &call->max);

        call->max = page_size(call->max);
        return r < 0 ? read_failed(r, e) : 0;
}

int parse_page_id(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        int r = sd_bus_message_read(m, "tu", &call->after, &call->max);

        call->max = page_size(call->max);
        if (object->target)
                call->edit.target = g_strdup(object->target->name);
        return r < 0 ? read_failed(r, e) : 0;
}

/* ---- rows ---- */

static int append_struct(sd_bus_message *m, Manager *manager, const char *members,
                         AppendRow *append, const void *row)
{
        int r = sd_bus_message_open_container(m, 'r', members);

        if (r >= 0)
                r = append(m, manager, row);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

void answer_rows(Call *call, const char *members, AppendRow *append, const void *rows, size_t n,
                 size_t size)
{
        g_autofree char *signature = g_strdup_printf("(%s)", members);
        sd_bus_message *reply;
        int r;

        if (!call->connection) {
                call_free(call);
                return;
        }
        reply = call_new_reply(call);
        r = reply ? sd_bus_message_open_container(reply, 'a', signature) : -ENOMEM;
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = append_struct(reply, call->server->manager, members, append,
                                  (const uint8_t *)rows + i * size);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        call_answer(call, reply, r);
}

void answer_no_rows(Call *call, int r)
{
        if (!call->connection)
                call_free(call);
        else
                call_answer(call, call_new_reply(call), r);
}

/* What a page of names begins behind. */
static const char *page_begin(const Call *call)
{
        return call->after_text[0] ? call->after_text : NULL;
}

/* ---- targets ---- */

static int append_target(sd_bus_message *m, Manager *manager, const void *row)
{
        const char *name = *(const char *const *)row;
        const TargetSpec *t = g_hash_table_lookup(manager_desired(manager)->targets, name);
        int r = append_text(m, name);

        if (r >= 0)
                r = append_path(m, path_of_target(name));
        if (r < 0)
                return r;
        return sd_bus_message_append(m, "usuu", manager_target_tid(manager, name),
                                     t->online ? "online" : "offline", (uint32_t)t->luns->len,
                                     (uint32_t)manager_n_sessions(manager, name));
}

void run_list_targets(Call *call)
{
        g_autofree const char **names = g_new(const char *, call->max);
        size_t n = manager_target_names(call->server->manager, page_begin(call), names, call->max);

        answer_rows(call, "sousuu", append_target, names, n, sizeof(names[0]));
}

/* ---- units ---- */

int append_mappings(sd_bus_message *m, Manager *manager, const char *uuid)
{
        UnitMapping mappings[MAPPINGS_MAX];
        size_t n = manager_unit_mappings(manager, uuid, mappings, ELEMENTSOF(mappings));
        int r = sd_bus_message_open_container(m, 'a', "(sq)");

        for (size_t i = 0; r >= 0 && i < MIN(n, ELEMENTSOF(mappings)); i++)
                r = sd_bus_message_append(m, "(sq)", mappings[i].target, mappings[i].lun);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_unit(sd_bus_message *m, Manager *manager, const void *row)
{
        const UnitInfo *u = row;
        const char *const texts[] = { u->spec->device_type, u->spec->bs_type, u->spec->path,
                                      u->state };
        int r = append_text(m, u->uuid);

        if (r >= 0)
                r = append_path(m, path_of_unit(u->uuid));
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(texts); i++)
                r = append_text(m, texts[i]);
        if (r >= 0)
                r = sd_bus_message_append(m, "tu", u->size, u->block_size);
        return r < 0 ? r : append_mappings(m, manager, u->uuid);
}

void answer_units(Call *call, const char *members, AppendRow *append)
{
        Manager *manager = call->server->manager;
        g_autofree const char **uuids = g_new(const char *, call->max);
        size_t n_uuids = manager_unit_uuids(manager, page_begin(call), uuids, call->max), n = 0;
        g_autofree UnitInfo *units = g_new(UnitInfo, n_uuids);

        for (size_t i = 0; i < n_uuids; i++)
                n += manager_unit(manager, uuids[i], &units[n]) >= 0;
        answer_rows(call, members, append, units, n, sizeof(units[0]));
}

void run_list_units(Call *call)
{
        answer_units(call, "sosssstua(sq)", append_unit);
}

/* ---- sessions ---- */

static int append_session(sd_bus_message *m, Manager *manager, const void *row)
{
        const SessionInfo *s = row;
        int r = sd_bus_message_append(m, "t", s->id);

        if (r >= 0)
                r = append_path(m, path_of_session(s->id));
        if (r >= 0)
                r = append_text(m, s->target);
        if (r >= 0)
                r = append_text(m, s->initiator);
        if (r >= 0)
                r = append_text(m, s->peer);
        return r < 0 ? r : sd_bus_message_append(m, "t", s->since_usec);
}

static void done_list_sessions(const SessionInfo *sessions, size_t n, void *userdata)
{
        answer_rows(userdata, "tossst", append_session, sessions, n, sizeof(sessions[0]));
}

void run_list_sessions(Call *call)
{
        manager_sessions(call->server->manager, call->edit.target, call->after, call->max,
                         done_list_sessions, call, NULL);
}

/* ---- portals ---- */

static int append_portal(sd_bus_message *m, Manager *manager, const void *row)
{
        const PortalInfo *p = row;
        int r = append_text(m, p->address);

        if (r >= 0)
                r = append_path(m, path_of_portal(p->address));
        return r < 0 ? r : sd_bus_message_append(m, "qs", p->tag, p->source);
}

void run_list_portals(Call *call)
{
        PortalInfo portals[PORTALS_MAX];
        size_t n = manager_portals(call->server->manager, portals, ELEMENTSOF(portals));

        answer_rows(call, "soqs", append_portal, portals, n, sizeof(portals[0]));
}

/* ---- by name ---- */

int parse_get_target(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        return read_target_name(m, &call->edit.target, e);
}

int parse_get_tid(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        int r = sd_bus_message_read(m, "u", &call->max);

        return r < 0 ? read_failed(r, e) : 0;
}

int parse_get_unit(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        return read_text(m, "uuid", &call->uuid, e);
}

int parse_get_session(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        int r = sd_bus_message_read(m, "t", &call->session);

        return r < 0 ? read_failed(r, e) : 0;
}

static void answer_path(Call *call, char *path)
{
        sd_bus_message *reply = call_new_reply(call);
        int r;

        if (!reply) {
                free(path);
                r = -ENOMEM;
        } else {
                r = append_path(reply, path);
        }
        call_answer(call, reply, r);
}

void run_get_target(Call *call)
{
        const Desired *d = manager_desired(call->server->manager);

        if (!g_hash_table_contains(d->targets, call->edit.target))
                call_fail_named(call, ERROR_NOT_FOUND,
                                "There is no target %s; ListTargets tells those there are",
                                call->edit.target);
        else
                answer_path(call, path_of_target(call->edit.target));
}

void run_get_target_by_tid(Call *call)
{
        const char *name = manager_target_of_tid(call->server->manager, call->max);

        if (!name)
                call_fail_named(call, ERROR_NOT_FOUND, "There is no target with the id %u",
                                call->max);
        else
                answer_path(call, path_of_target(name));
}

void run_get_unit(Call *call)
{
        UnitInfo unit;

        if (manager_unit(call->server->manager, call->uuid, &unit) < 0)
                call_fail_named(call, ERROR_NOT_FOUND, "There is no logical unit %s", call->uuid);
        else
                answer_path(call, path_of_unit(unit.uuid));
}

void run_get_session(Call *call)
{
        SessionInfo session;

        if (manager_session(call->server->manager, call->session, &session) < 0)
                call_fail_named(call, ERROR_NOT_FOUND, "There is no session %" PRIu64,
                                call->session);
        else
                answer_path(call, path_of_session(session.id));
}
