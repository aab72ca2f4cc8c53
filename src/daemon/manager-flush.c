/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

/* Flushes that no initiator asks for. When the configuration takes a unit's write cache away, what
 * was acknowledged before is to be kept as what is acknowledged from then on: the workers write
 * through by the time this is called, and one flush of the store covers whatever any of them, or
 * one that has no session any more, has written. */

typedef struct UnitFlush {
        StoreRequest req;
        Unit *unit;
        StoreChannel *channel;
} UnitFlush;

static void flush_over(UnitFlush *f)
{
        Unit *u = f->unit;
        int r = f->req.result;

        if (r < 0)
                log_send(LOG_ERR, MSG_IO_ERROR,
                         LOG_FIELDS({ "UNIT_UUID", u->uuid }, { "BACKING_STORE", unit_name(u) }),
                         "%s: the write cache is off, but what was in it could not be flushed: %s",
                         unit_name(u), strerror(-r));
        store_detach(f->channel);
        u->manager->n_jobs--;
        unit_unref(u);
        g_free(f);
}

static void flush_done(StoreRequest *req)
{
        flush_over(CONTAINER_OF(req, UnitFlush, req));
}

static int flush_attach(Unit *u, UnitFlush *f)
{
        Manager *m = u->manager;

        if (!m->store_host) {
                int r = store_host_new(m->loop, &m->store_host);

                if (r < 0)
                        return r;
        }
        return store_attach(u->store, m->store_host, &f->channel);
}

void unit_flush(Unit *u)
{
        UnitFlush *f;

        if (!u->store || u->manager->state == MANAGER_STOPPING)
                return;
        f = g_new0(UnitFlush, 1);
        f->unit = unit_ref(u);
        f->req.op = STORE_FLUSH;
        f->req.done = flush_done;
        u->manager->n_jobs++;
        f->req.result = flush_attach(u, f);
        if (f->req.result < 0 || store_submit(f->channel, &f->req))
                flush_over(f);
}
