/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

#include <stdio.h>

static void portal_clear(gpointer p)
{
        safe_close(((Portal *)p)->fd);
}

void portals_init(Manager *m)
{
        m->portals = g_array_new(FALSE, TRUE, sizeof(Portal));
        g_array_set_clear_func(m->portals, portal_clear);
}

void portals_done(Manager *m)
{
        g_array_unref(m->portals);
}

static void portal_add(Manager *m, int fd, const SockAddr *address, PortalSource source)
{
        Portal p = { .address = *address, .source = source, .fd = fd };
        socklen_t size = sizeof(p.address.storage);

        /* what was bound, where port 0 was asked for */
        if (getsockname(fd, &p.address.sa, &size) < 0)
                p.address = *address;
        (void)sockaddr_format(&p.address, true, p.text);
        g_array_append_val(m->portals, p);
}

static Portal *portal_find(Manager *m, const SockAddr *address)
{
        for (guint i = 0; i < m->portals->len; i++) {
                Portal *p = &g_array_index(m->portals, Portal, i);

                if (sockaddr_equal(&p->address, address))
                        return p;
        }
        return NULL;
}

static int portal_bind(Manager *m, const SockAddr *address, PortalSource source, char *reterr,
                       size_t size)
{
        int fd;

        if (portal_find(m, address))
                return -EEXIST;
        fd = socket_listen_tcp(address, reterr, size);
        if (fd < 0)
                return fd;
        portal_add(m, fd, address, source);
        return 0;
}

int portals_open(Manager *m, const ManagerConfig *config, char *reterr, size_t size)
{
        static const SockAddr unknown = { .sa = { .sa_family = AF_UNSPEC } };
        PassedSockets *passed = config->passed;

        for (size_t i = 0; passed && i < passed->n_portals; i++)
                portal_add(m, take_fd(&passed->portals[i]), &unknown, PORTAL_PASSED);
        for (size_t i = 0; i < config->n_portals; i++) {
                int r = portal_bind(m, &config->portals[i], PORTAL_COMMAND_LINE, reterr, size);

                if (r < 0 && r != -EEXIST)
                        return r;
        }
        return 0;
}

int portal_open(Manager *m, const char *address, char *reterr, size_t size)
{
        SockAddr a;

        if (sockaddr_parse(address, ISCSI_PORT, true, &a) < 0) {
                snprintf(reterr, size, "%s is not an address of a portal", address);
                return -EINVAL;
        }
        return portal_bind(m, &a, PORTAL_CONFIGURED, reterr, size);
}

void portal_close(Manager *m, const char *address)
{
        SockAddr a;
        Portal *p;

        if (sockaddr_parse(address, ISCSI_PORT, true, &a) < 0)
                return;
        p = portal_find(m, &a);
        if (!p || p->source != PORTAL_CONFIGURED)
                return;
        if (p->fd < 0)
                (void)engine_unlisten(m->engine, &p->address);
        g_array_remove_index(m->portals, (guint)(p - (Portal *)m->portals->data));
        OBSERVE(m, portals_changed);
}

int portals_listen(Manager *m, char *reterr, size_t size)
{
        SockAddr any;
        int r = 0;

        if (m->portals->len == 0) {
                (void)sockaddr_parse("", ISCSI_PORT, true, &any);
                r = portal_bind(m, &any, PORTAL_COMMAND_LINE, reterr, size);
                if (r < 0)
                        return r;
        }
        for (guint i = 0; i < m->portals->len; i++) {
                Portal *p = &g_array_index(m->portals, Portal, i);

                if (p->fd < 0)
                        continue;
                r = engine_listen(m->engine, p->fd);
                if (r < 0) {
                        snprintf(reterr, size, "Portal %s: %s", p->text, strerror(-r));
                        return r;
                }
                p->fd = -1;
                OBSERVE(m, portals_changed);
        }
        return 0;
}

/* A portal of the configuration: the administrator's, or one that a client added? */
static const char *configured_by(const Manager *m, const char *address)
{
        for (guint i = 0; i < m->desired->portals->len; i++) {
                const PortalSpec *p = m->desired->portals->pdata[i];

                if (STREQ(p->address, address) && origin_is_administrator(m, &p->at))
                        return "fragment";
        }
        return "command";
}

static const char *portal_source(const Manager *m, const Portal *p)
{
        switch (p->source) {
        case PORTAL_PASSED:
                return "socket unit";
        case PORTAL_COMMAND_LINE:
                return "command line";
        default:
                return configured_by(m, p->text);
        }
}

size_t manager_portals(const Manager *m, PortalInfo *ret, size_t max)
{
        size_t n = 0;

        for (; n < m->portals->len && n < max; n++) {
                const Portal *p = &g_array_index(m->portals, Portal, n);

                ret[n] =
                        (PortalInfo){ .address = p->text, .tag = 1, .source = portal_source(m, p) };
        }
        return n;
}

/* ---- those of a change ----------------------------------------------------------------------- */

int edit_open_portals(Edit *e)
{
        for (guint i = 0; i < e->diff->len; i++) {
                const Change *c = g_ptr_array_index(e->diff, i);
                char text[256];
                int r;

                if (c->kind != CHANGE_ADD_PORTAL)
                        continue;
                r = portal_open(e->manager, c->portal->address, text, sizeof(text));
                if (r >= 0 || r == -EEXIST)
                        continue;
                if (e->kind == EDIT_CHANGE)
                        return edit_fail(e, ERROR_FAILED, "%s", text);
                edit_problem(e, problem_new(PROBLEM_ERROR, c->portal->at, NULL, "portal", text));
        }
        return 0;
}

void edit_close_portals(Edit *e, ChangeKind kind)
{
        for (guint i = 0; e->diff && i < e->diff->len; i++) {
                const Change *c = g_ptr_array_index(e->diff, i);

                if (c->kind == kind)
                        portal_close(e->manager, c->portal->address);
        }
}
