/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stdio.h>

#include "iscsi/framer.h"
#include "iscsi/login.h"
#include "iscsi/session.h"
#include "iscsi/text.h"

/* The life of a connection: made, handed over, terminated, closed by its owner, freed when nothing
 * of it is left below. */

#define END_TIMEOUT (5 * NSEC_PER_SEC) /* for what is queued to go out before the stream closes */

static void on_timer(LoopTimer *timer);
static void on_login_task(LoopTask *task);
static void on_free_task(LoopTask *task);

int conn_new_transport(IscsiWorker *w, Transport *t, const SockAddr *local, const SockAddr *peer,
                       void *user, Conn **ret)
{
        Conn *c;

        if (w->n_logins >= w->limits.logins_max || w->shutting_down)
                return -EBUSY;
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->worker = w;
        c->loop = w->loop;
        if (login_new(c) < 0) {
                free(c);
                return -ENOMEM;
        }
        c->user = user;
        c->local = *local;
        c->peer = *peer;
        sockaddr_format(local, true, c->local_text);
        sockaddr_format(peer, true, c->peer_text);
        c->transport = t;
        t->conn = c;
        c->state = CONN_XPT_UP;
        c->window = 1;
        c->timer.fire = on_timer;
        c->login_task.run = on_login_task;
        c->free_task.run = on_free_task;
        list_init(&c->commands);
        list_init(&c->held);
        for (size_t i = 0; i < ITT_BUCKETS; i++)
                list_init(&c->itt[i]);
        list_append(&w->conns, &c->link);
        w->n_logins++;
        c->counted = true;
        loop_timer_in(c->loop, &c->timer, w->limits.login_timeout_s * NSEC_PER_SEC);
        *ret = c;
        return 0;
}

int conn_new(IscsiWorker *w, const SockAddr *local, const SockAddr *peer, void *user, Conn **ret)
{
        Transport *t;
        int r;

        r = framer_new(w, &t);
        if (r < 0)
                return r;
        r = conn_new_transport(w, t, local, peer, user, ret);
        if (r < 0)
                t->ops->free(t);
        return r;
}

void *conn_user(const Conn *c)
{
        return c->user;
}

void conn_event(Conn *c, ConnEvent event)
{
        ConnState to;

        /* what has no row changes nothing: the caller has checked what a peer can cause */
        if (conn_transition(c->state, event, &to) == 0)
                c->state = to;
}

void conn_wake(Conn *c)
{
        if (c->woken || c->closed || c->detached)
                return;
        c->woken = true;
        c->worker->host->wake(c->worker->userdata, c);
}

void conn_login_over(Conn *c)
{
        if (!c->counted)
                return;
        c->counted = false;
        c->worker->n_logins--;
}

int conn_send(Conn *c, const uint8_t bhs[BHS_SIZE], const void *data, size_t length)
{
        if (c->aborted || c->closed)
                return 0;
        return c->transport->ops->send_control(c->transport, bhs, data, length);
}

void conn_terminate(Conn *c)
{
        if (c->terminating)
                return;
        c->terminating = true;
        c->transport->ops->terminate(c->transport);
        if (!c->detached)
                loop_timer_in(c->loop, &c->timer, END_TIMEOUT);
        conn_wake(c);
}

void conn_break(Conn *c)
{
        c->aborted = true;
        if (!c->terminating && !c->closed)
                loop_timer_in(c->loop, &c->timer, 0);
}

bool conn_finished(const Conn *c)
{
        return c->terminating;
}

/* ---- events ------------------------------------------------------------------------------- */

/* What a peer sent may stand in a reason; nothing but printable ASCII leaves. */
static void sanitize(char *s)
{
        for (; *s; s++)
                if (*s < ' ' || *s > '~')
                        *s = '?';
}

void conn_report(Conn *c, IscsiEventKind kind, uint16_t status, const char *reason)
{
        char text[640] = "", alias[256] = "";
        const Session *s = c->session;
        const Login *l = c->login;
        IscsiEvent event = { .kind = kind, .peer = c->peer_text, .status = status };

        if (s) {
                event.session = s->info.id;
                event.target = s->info.discovery ? NULL : s->info.target;
                event.initiator = s->info.initiator;
                (void)snprintf(alias, sizeof(alias), "%s", s->info.alias);
        } else if (l) {
                event.target = l->has_target ? l->target_name : NULL;
                event.initiator = l->has_initiator ? l->initiator : NULL;
                (void)snprintf(alias, sizeof(alias), "%s", l->alias);
        }
        sanitize(alias);
        event.alias = alias[0] ? alias : NULL;
        if (reason) {
                (void)snprintf(text, sizeof(text), "%s", reason);
                sanitize(text);
                event.reason = text;
        }
        c->worker->host->event(c->worker->userdata, &event);
}

/* ---- the ends ----------------------------------------------------------------------------- */

int conn_protocol_error(Conn *c, uint8_t reason, const uint8_t *bhs, const char *format, ...)
{
        char text[256];
        va_list ap;

        if (c->terminating)
                return -EPROTO;
        va_start(ap, format);
        (void)vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        conn_report(c, ISCSI_EVENT_PROTOCOL_ERROR, 0, text);
        commands_drop(c);
        if (bhs)
                conn_reject(c, reason, bhs);
        session_end(c, ISCSI_EVENT_DISCONNECT, text);
        conn_event(c, CONN_EVENT_DROPPED);
        conn_terminate(c);
        return -EPROTO;
}

void conn_terminate_notify(Conn *c, int error, const char *reason)
{
        if (c->closed)
                return;
        if (error == -EPROTO || error == -EBADMSG)
                if (!c->terminating)
                        conn_report(c, ISCSI_EVENT_PROTOCOL_ERROR, 0, reason);
        c->aborted = true;
        commands_drop(c);
        session_end(c, ISCSI_EVENT_DISCONNECT, reason);
        conn_event(c, CONN_EVENT_DROPPED);
        conn_terminate(c);
}

void conn_closed(Conn *c, int error)
{
        char reason[128];

        if (c->closed)
                return;
        if (error < 0)
                (void)snprintf(reason, sizeof(reason), "connection lost: %s", strerror(-error));
        else
                (void)snprintf(reason, sizeof(reason), "connection closed by the initiator");
        c->aborted = c->terminating = true;
        commands_drop(c);
        session_end(c, ISCSI_EVENT_DISCONNECT, reason);
        conn_event(c, CONN_EVENT_DROPPED);
        conn_login_over(c);
        c->closed = true;
        c->user = NULL;
        loop_timer_cancel(c->loop, &c->timer);
        conn_release(c);
}

static bool conn_idle(const Conn *c)
{
        return c->closed && !c->claiming && !c->login_pending && c->n_commands == 0 &&
               c->n_tmfs == 0 && !(c->session && c->session->nexus_open);
}

void conn_release(Conn *c)
{
        if (conn_idle(c))
                loop_defer(c->loop, &c->free_task);
}

static void on_free_task(LoopTask *task)
{
        Conn *c = CONTAINER_OF(task, Conn, free_task);
        IscsiWorker *w = c->worker;

        if (!conn_idle(c))
                return;
        if (c->claimed) /* granted, and nobody made a session of it */
                w->host->session_ended(w->userdata, c->login->claim.session);
        list_remove(&c->link);
        w->past_commands += c->traffic.commands;
        c->session = session_free(c->session);
        c->login = login_free(c->login);
        c->text = text_free(c->text);
        c->transport->ops->free(c->transport);
        free(c);
        worker_check_shutdown(w);
}

static void on_timer(LoopTimer *timer)
{
        Conn *c = CONTAINER_OF(timer, Conn, timer);

        if (c->terminating) { /* it does not read: no longer waited for */
                c->aborted = true;
                commands_drop(c);
                c->woken = false;
                conn_wake(c);
        } else if (c->aborted)
                conn_terminate_notify(c, -EIO,
                                      "what is half sent has gone, or there is no memory for it");
        else if (c->login)
                login_timeout(c);
        else
                session_timer(c);
}

/* ---- claims and the hand-over ------------------------------------------------------------- */

void iscsi_claim_done(IscsiClaim *claim)
{
        Conn *c = claim->conn;

        c->claiming = false;
        c->claimed = claim->result == 0;
        /* perhaps we are inside of host->claim(), and so of conn_got() */
        c->login_pending = true;
        loop_defer(c->loop, &c->login_task);
}

static void on_login_task(LoopTask *task)
{
        Conn *c = CONTAINER_OF(task, Conn, login_task);
        const IscsiClaim *claim = &c->login->claim;

        c->login_pending = false;
        if (c->closed || c->terminating) {
                conn_release(c);
                return;
        }
        if (claim->result == 0 && claim->worker != c->loop->index) {
                c->worker->host->move(c->worker->userdata, c, claim->worker);
                return;
        }
        login_finish(c);
        conn_wake(c);
}

void conn_detach(Conn *c)
{
        loop_timer_cancel(c->loop, &c->timer);
        list_remove(&c->link);
        if (c->counted)
                c->worker->n_logins--;
        if (c->transport->ops == &framer_ops)
                framer_detach(c->transport);
        c->detached = true;
        c->worker = NULL;
        c->loop = NULL;
}

void conn_attach(Conn *c, IscsiWorker *w)
{
        c->worker = w;
        c->loop = w->loop;
        c->detached = false;
        c->woken = false;
        list_append(&w->conns, &c->link);
        if (c->counted)
                w->n_logins++;
        if (c->transport->ops == &framer_ops)
                framer_attach(c->transport);
        login_finish(c);
        conn_wake(c);
}

/* ---- up-calls of transports --------------------------------------------------------------- */

int conn_control_notify(Conn *c, const ControlPdu *pdu, Command **ret_cmd)
{
        *ret_cmd = NULL;
        if (c->terminating || c->closed)
                return -EPROTO;
        c->received = true;
        if (c->state == CONN_XPT_UP || c->state == CONN_IN_LOGIN)
                return login_received(c, pdu);
        if (!conn_full_feature(c))
                return 0; /* S6: nothing follows a logout request (RFC 7143 8.1.3) */
        return session_control(c, pdu, ret_cmd);
}

/* PDUs whose StatSN is their own (RFC 7143 4.2.2.2) */
static bool takes_statsn(const uint8_t *bhs)
{
        switch (bhs_opcode(bhs)) {
        case OP_NOP_IN:
                return get_be32(bhs + BHS_ITT) != TAG_NONE;
        case OP_DATA_IN:
                return bhs[BHS_FLAGS] & FLAG_STATUS;
        case OP_R2T:
                return false;
        default:
                return true;
        }
}

void conn_stamp(Conn *c, uint8_t bhs[BHS_SIZE])
{
        bool own = takes_statsn(bhs);

        if (own || bhs_opcode(bhs) != OP_DATA_IN)
                put_be32(bhs + BHS_STATSN, c->statsn);
        put_be32(bhs + BHS_EXP_CMDSN, c->exp_cmdsn);
        put_be32(bhs + BHS_MAX_CMDSN, conn_max_cmdsn(c));
        if (own) {
                c->statsn++;
                c->traffic.responses++;
        }
}

void conn_reject(Conn *c, uint8_t reason, const uint8_t bhs[BHS_SIZE])
{
        uint8_t reject[BHS_SIZE] = { 0 };

        reject[BHS_OPCODE] = OP_REJECT;
        reject[BHS_FLAGS] = FLAG_FINAL;
        reject[BHS_RESPONSE] = reason;
        put_be24(reject + BHS_DATA_LENGTH, BHS_SIZE);
        put_be32(reject + BHS_ITT, TAG_NONE);
        (void)conn_send(c, reject, bhs, BHS_SIZE);
}
