/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/control.h"

#define QUEUED_MAX 4096 /* events on their way; more are counted and dropped */

/* A task that stands for "something happened", however often it did. */
typedef struct Notice {
        LoopTask task;
        bool posted; /* atomic */
        Control *control;
} Notice;

struct Control {
        unsigned refs; /* atomic */
        Loop *loop;
        EngineEvents events;
        void *userdata;
        bool closed;        /* control thread */
        unsigned queued;    /* atomic */
        uint64_t n_dropped; /* atomic */
        Notice changed, dropped;
};

typedef struct QueuedEvent {
        LoopTask task;
        Control *control;
        bool is_scsi;
        IscsiEvent iscsi;
        ScsiEvent scsi;
        char strings[];
} QueuedEvent;

Control *control_ref(Control *c)
{
        (void)__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
        return c;
}

Control *control_unref(Control *c)
{
        if (c && __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) == 0)
                free(c);
        return NULL;
}

void control_close(Control *c)
{
        c->closed = true;
}

bool control_closed(const Control *c)
{
        return c->closed;
}

Loop *control_loop(const Control *c)
{
        return c->loop;
}

/* ---- notices ---- */

static void notice_post(Notice *n)
{
        if (__atomic_exchange_n(&n->posted, true, __ATOMIC_ACQ_REL))
                return;
        (void)control_ref(n->control);
        loop_post(n->control->loop, &n->task);
}

static Control *notice_take(LoopTask *task)
{
        Notice *n = CONTAINER_OF(task, Notice, task);

        /* first: what happens from here on is worth another one */
        __atomic_store_n(&n->posted, false, __ATOMIC_RELEASE);
        return n->control;
}

static void changed_run(LoopTask *task)
{
        Control *c = notice_take(task);

        if (!c->closed && c->events.sessions_changed)
                c->events.sessions_changed(c->userdata);
        (void)control_unref(c);
}

static void dropped_run(LoopTask *task)
{
        Control *c = notice_take(task);
        uint64_t n = __atomic_exchange_n(&c->n_dropped, 0, __ATOMIC_ACQ_REL);

        if (!c->closed && n > 0 && c->events.dropped)
                c->events.dropped(c->userdata, n);
        (void)control_unref(c);
}

void control_sessions_changed(Control *c)
{
        notice_post(&c->changed);
}

/* ---- events ---- */

static void event_run(LoopTask *task)
{
        QueuedEvent *q = CONTAINER_OF(task, QueuedEvent, task);
        Control *c = q->control;

        (void)__atomic_sub_fetch(&c->queued, 1, __ATOMIC_RELAXED);
        if (!c->closed) {
                if (q->is_scsi && c->events.scsi)
                        c->events.scsi(c->userdata, &q->scsi);
                else if (!q->is_scsi && c->events.iscsi)
                        c->events.iscsi(c->userdata, &q->iscsi);
        }
        if (q->is_scsi)
                (void)lu_unref((LogicalUnit *)q->scsi.lu);
        (void)control_unref(c);
        free(q);
}

static QueuedEvent *event_new(Control *c, size_t n_strings)
{
        QueuedEvent *q = NULL;

        if (__atomic_add_fetch(&c->queued, 1, __ATOMIC_RELAXED) <= QUEUED_MAX)
                q = calloc(1, sizeof(*q) + n_strings);
        if (!q) {
                (void)__atomic_sub_fetch(&c->queued, 1, __ATOMIC_RELAXED);
                (void)__atomic_add_fetch(&c->n_dropped, 1, __ATOMIC_ACQ_REL);
                notice_post(&c->dropped);
                return NULL;
        }
        q->task.run = event_run;
        q->control = control_ref(c);
        return q;
}

static size_t string_size(const char *s)
{
        return s ? strlen(s) + 1 : 0;
}

static const char *string_put(const char *s, char **at)
{
        char *copy = *at;

        if (!s)
                return NULL;
        *at = stpcpy(copy, s) + 1;
        return copy;
}

void control_iscsi_event(Control *c, const IscsiEvent *event)
{
        QueuedEvent *q = event_new(c, string_size(event->target) + string_size(event->initiator) +
                                              string_size(event->alias) + string_size(event->peer) +
                                              string_size(event->reason));
        char *at;

        if (!q)
                return;
        at = q->strings;
        q->iscsi = *event;
        q->iscsi.target = string_put(event->target, &at);
        q->iscsi.initiator = string_put(event->initiator, &at);
        q->iscsi.alias = string_put(event->alias, &at);
        q->iscsi.peer = string_put(event->peer, &at);
        q->iscsi.reason = string_put(event->reason, &at);
        loop_post(c->loop, &q->task);
}

void control_scsi_event(Control *c, const ScsiEvent *event)
{
        QueuedEvent *q = event_new(c, string_size(event->target) + string_size(event->initiator));
        char *at;

        if (!q)
                return;
        at = q->strings;
        q->is_scsi = true;
        q->scsi = *event;
        q->scsi.target = string_put(event->target, &at);
        q->scsi.initiator = string_put(event->initiator, &at);
        if (event->lu)
                q->scsi.lu = lu_ref((LogicalUnit *)event->lu);
        loop_post(c->loop, &q->task);
}

int control_new(Loop *loop, const EngineEvents *events, void *userdata, Control **ret)
{
        Control *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->refs = 1;
        c->loop = loop;
        c->events = *events;
        c->userdata = userdata;
        c->changed = (Notice){ .task.run = changed_run, .control = c };
        c->dropped = (Notice){ .task.run = dropped_run, .control = c };
        *ret = c;
        return 0;
}
