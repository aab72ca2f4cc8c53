/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "iscsi/login.h"
#include "iscsi/session.h"
#include "iscsi/text.h"

/* Full feature phase: CmdSN, NOP, logout, and the end of sessions. */

#define LOGOUT_TIMEOUT (5 * NSEC_PER_SEC) /* for an initiator that does not read */
/* Idle sessions are looked after together, ten times a second at most: waking up for each of them
 * costs three times as much as what is then done. */
#define IDLE_SLOT (100 * NSEC_PER_MSEC)

/* ---- sessions ----------------------------------------------------------------------------- */

static void name_ports(Session *s, uint16_t tpgt)
{
        const uint8_t *isid = s->info.isid;

        /* SPC-4 7.6.4.5 and RFC 7143 4.2.7.1 */
        (void)snprintf(s->initiator_port, sizeof(s->initiator_port),
                       "%s,i,0x%02x%02x%02x%02x%02x%02x", s->info.initiator, isid[0], isid[1],
                       isid[2], isid[3], isid[4], isid[5]);
        (void)snprintf(s->target_port, sizeof(s->target_port), "%s,t,0x%04x", s->info.target, tpgt);
}

void session_throttle(Session *s)
{
        Throttle *throttles[NEXUS_THROTTLES];

        target_throttles(s->target, s->info.initiator, &s->conn->peer, throttles);
        scsi_nexus_set_throttles(&s->nexus, throttles);
}

static int open_nexus(Session *s, Conn *c)
{
        int r;

        name_ports(s, s->target->tpgt);
        s->nexus = (ScsiNexus){ .worker = c->worker->scsi,
                                .initiator_port = s->initiator_port,
                                .target_port = s->target_port,
                                .target_name = s->info.target, /* the target may be made anew */
                                .session = s->info.id,
                                .relative_port = s->target->tpgt,
                                .protocol = 5 };
        r = scsi_nexus_open(&s->nexus, s->target->luns);
        if (r >= 0)
                session_throttle(s);
        return r;
}

/* Ascending by id; the registrar counts up, so the place is near the end. */
static void insert_session(IscsiWorker *w, Session *s)
{
        List *at = &w->sessions;

        while (at->prev != &w->sessions &&
               LIST_ENTRY(at->prev, Session, link)->info.id > s->info.id)
                at = at->prev;
        list_insert_before(at, &s->link);
}

int session_new(Conn *c, const IscsiClaim *claim, Session **ret)
{
        const Login *l = c->login;
        Session *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        s->conn = c;
        s->info =
                (IscsiSessionInfo){ .id = claim->session,
                                    .tsih = claim->tsih,
                                    .cid = c->cid,
                                    .discovery = l->discovery,
                                    .worker = c->loop->index,
                                    .header_digest = c->params.header_digest == ISCSI_DIGEST_CRC32C,
                                    .data_digest = c->params.data_digest == ISCSI_DIGEST_CRC32C,
                                    .params = c->params,
                                    .since_ns = loop_now(c->loop) };
        memcpy(s->info.isid, l->isid, sizeof(l->isid));
        memcpy(s->info.initiator, l->initiator, sizeof(l->initiator));
        memcpy(s->info.alias, l->alias, sizeof(l->alias));
        memcpy(s->info.peer, c->peer_text, sizeof(c->peer_text));
        memcpy(s->info.portal, c->local_text, sizeof(c->local_text));
        if (!l->discovery) {
                s->target = iscsi_target_ref(l->target);
                (void)snprintf(s->info.target, sizeof(s->info.target), "%s", l->target->name);
                if (open_nexus(s, c) < 0) {
                        session_free(s);
                        return -ENOMEM;
                }
                s->nexus_open = true;
        }
        s->state = SESSION_LOGGED_IN;
        insert_session(c->worker, s);
        c->claimed = false;
        c->traffic.responses = 0; /* those of login are not its own */
        *ret = s;
        return 0;
}

Session *session_free(Session *s)
{
        if (!s)
                return NULL;
        list_remove(&s->link);
        iscsi_target_unref(s->target);
        free(s);
        return NULL;
}

static void answer_logout(Conn *c, uint8_t response)
{
        uint8_t bhs[BHS_SIZE] = { 0 };

        bhs[BHS_OPCODE] = OP_LOGOUT_RESPONSE;
        bhs[BHS_FLAGS] = FLAG_FINAL;
        bhs[BHS_RESPONSE] = response;
        memcpy(bhs + BHS_ITT, c->logout_bhs + BHS_ITT, 4);
        put_be16(bhs + BHS_LOGOUT_TIME2WAIT, (uint16_t)c->params.default_time2wait);
        put_be16(bhs + BHS_LOGOUT_TIME2WAIT + 2, (uint16_t)c->params.default_time2retain);
        (void)conn_send(c, bhs, NULL, 0);
}

/* The nexus is gone (or there was none): now a session of the same name may begin. */
static void session_over(Session *s)
{
        Conn *c = s->conn;
        IscsiWorker *w = c->worker;

        s->state = SESSION_FREE;
        list_remove(&s->link);
        w->host->session_ended(w->userdata, s->info.id);
        if (c->logout_pending) {
                c->logout_pending = false;
                answer_logout(c, 0);
                conn_event(c, CONN_EVENT_LOGOUT_DONE);
                conn_terminate(c);
        }
        conn_event(c, CONN_EVENT_CLEAN);
        conn_release(c);
        worker_check_shutdown(w);
}

static void on_nexus_closed(ScsiNexus *nexus)
{
        Session *s = CONTAINER_OF(nexus, Session, nexus);

        s->nexus_open = false;
        session_over(s);
}

void session_end(Conn *c, IscsiEventKind kind, const char *reason)
{
        Session *s = c->session;

        if (!s || c->ended)
                return;
        c->ended = true;
        s->state = SESSION_FAILED;
        conn_report(c, kind, 0, reason);
        if (s->nexus_open)
                scsi_nexus_close(&s->nexus, on_nexus_closed);
        else
                session_over(s);
}

void session_drop(Conn *c, const char *reason)
{
        uint8_t bhs[BHS_SIZE] = { 0 };

        if (c->ended)
                return;
        commands_drop(c);
        bhs[BHS_OPCODE] = OP_ASYNC_MESSAGE;
        bhs[BHS_FLAGS] = FLAG_FINAL;
        put_be32(bhs + BHS_ITT, TAG_NONE);
        bhs[BHS_ASYNC_EVENT] = ASYNC_DROP_SESSION;
        put_be16(bhs + BHS_ASYNC_EVENT + 4, (uint16_t)c->params.default_time2wait);
        put_be16(bhs + BHS_ASYNC_EVENT + 6, (uint16_t)c->params.default_time2retain);
        (void)conn_send(c, bhs, NULL, 0);
        session_end(c, ISCSI_EVENT_DISCONNECT, reason);
        conn_event(c, CONN_EVENT_DROPPED);
        conn_terminate(c);
}

/* ---- CmdSN (RFC 7143 4.2.2.1) ------------------------------------------------------------- */

uint32_t conn_max_cmdsn(const Conn *c)
{
        return c->exp_cmdsn - 1 + (c->window - MIN(c->n_windowed, c->window));
}

CmdSnVerdict cmdsn_check(const Conn *c, const uint8_t *bhs)
{
        uint32_t sn = get_be32(bhs + BHS_CMDSN);

        if (bhs_immediate(bhs) || sn == c->exp_cmdsn)
                return bhs_immediate(bhs) || sn_le(sn, conn_max_cmdsn(c)) ? CMDSN_TAKE
                                                                          : CMDSN_IGNORE;
        if (sn_lt(sn, c->exp_cmdsn) || !sn_le(sn, conn_max_cmdsn(c)))
                return CMDSN_IGNORE;
        return CMDSN_HOLD;
}

void cmdsn_take(Conn *c, const uint8_t *bhs)
{
        if (!bhs_immediate(bhs))
                c->exp_cmdsn++;
}

/* ---- NOP (RFC 7143 11.18, 11.19) ---------------------------------------------------------- */

static int nop_received(Conn *c, const ControlPdu *pdu)
{
        uint8_t bhs[BHS_SIZE] = { 0 };
        uint32_t n = (uint32_t)pdu->data_length;

        if (get_be32(pdu->bhs + BHS_ITT) == TAG_NONE)
                return 0; /* the answer to ours, or nothing wanted: it came, that is all */
        n = min_u32(n, c->params.max_xmit_data_segment);
        bhs[BHS_OPCODE] = OP_NOP_IN;
        bhs[BHS_FLAGS] = FLAG_FINAL;
        put_be24(bhs + BHS_DATA_LENGTH, n);
        memcpy(bhs + BHS_LUN, pdu->bhs + BHS_LUN, 8);
        memcpy(bhs + BHS_ITT, pdu->bhs + BHS_ITT, 4);
        put_be32(bhs + BHS_TTT, TAG_NONE);
        return conn_send(c, bhs, pdu->data, n);
}

static void send_ping(Conn *c)
{
        uint8_t bhs[BHS_SIZE] = { 0 };

        bhs[BHS_OPCODE] = OP_NOP_IN;
        bhs[BHS_FLAGS] = FLAG_FINAL;
        put_be32(bhs + BHS_ITT, TAG_NONE);
        if (++c->nop_ttt == TAG_NONE)
                c->nop_ttt = 0;
        put_be32(bhs + BHS_TTT, c->nop_ttt);
        (void)conn_send(c, bhs, NULL, 0);
        c->nops_unanswered++;
}

void session_arm_timer(Conn *c)
{
        uint32_t s = c->session->info.discovery ? c->worker->limits.discovery_idle_s
                                                : c->params.nop_interval;

        c->received = false;
        if (s > 0)
                loop_timer_at(c->loop, &c->timer,
                              ROUND_UP(loop_now(c->loop) + s * NSEC_PER_SEC, IDLE_SLOT));
        else
                loop_timer_cancel(c->loop, &c->timer);
}

void session_timer(Conn *c)
{
        char reason[128];

        if (c->logout_pending) {
                conn_terminate_notify(c, -ETIMEDOUT, "logout could not be answered");
                return;
        }
        if (c->received)
                c->nops_unanswered = 0;
        else if (c->session->info.discovery) {
                session_drop(c, "the discovery session was idle");
                return;
        }
        if (c->session->info.discovery) {
                session_arm_timer(c);
                return;
        }
        if (c->nops_unanswered >= MAX(c->params.nop_count, 1u)) {
                (void)snprintf(reason, sizeof(reason),
                               "the initiator did not answer %u NOP-In, %u s apart",
                               c->nops_unanswered, c->params.nop_interval);
                conn_terminate_notify(c, -ETIMEDOUT, reason);
                return;
        }
        send_ping(c);
        session_arm_timer(c);
}

/* ---- logout (RFC 7143 11.14) -------------------------------------------------------------- */

static int logout_received(Conn *c, const ControlPdu *pdu)
{
        uint8_t reason = pdu->bhs[BHS_FLAGS] & 0x7f;

        memcpy(c->logout_bhs, pdu->bhs, BHS_SIZE);
        if (reason > 2)
                return conn_protocol_error(c, REJECT_INVALID_FIELD, pdu->bhs,
                                           "logout with reason code %u (RFC 7143 11.14.1)", reason);
        if (reason > 0 && get_be16(pdu->bhs + BHS_CID) != c->cid) {
                answer_logout(c, 1); /* CID not found */
                return 0;
        }
        if (reason == 2) {
                answer_logout(c, 2); /* connection recovery is not supported */
                return 0;
        }
        /* one connection: closing it closes the session. What is complete goes out first; the
         * answer says that nothing of the session runs any more */
        conn_event(c, CONN_EVENT_LOGOUT_REQUEST);
        c->logout_pending = true;
        commands_logout(c);
        loop_timer_in(c->loop, &c->timer, LOGOUT_TIMEOUT);
        session_end(c, ISCSI_EVENT_LOGOUT, NULL);
        return 0;
}

/* ---- dispatch ----------------------------------------------------------------------------- */

static int snack_received(Conn *c, const ControlPdu *pdu)
{
        conn_reject(c, REJECT_SNACK, pdu->bhs); /* ErrorRecoveryLevel 0 */
        return 0;
}

static int login_again(Conn *c, const ControlPdu *pdu)
{
        return conn_protocol_error(c, REJECT_PROTOCOL_ERROR, pdu->bhs,
                                   "login request in full feature phase (RFC 7143 6.3)");
}

static const struct PduRule {
        uint8_t opcode;
        bool cmdsn;     /* carries one, and may be immediate */
        bool discovery; /* allowed in a discovery session (RFC 7143 4.3) */
        int (*handler)(Conn *c, const ControlPdu *pdu);
} pdu_rules[] = {
        { OP_NOP_OUT, true, true, nop_received },
        { OP_TMF_REQUEST, true, false, tmf_received },
        { OP_TEXT_REQUEST, true, true, text_received },
        { OP_LOGOUT_REQUEST, true, true, logout_received },
        { OP_SNACK, false, false, snack_received },
        { OP_LOGIN_REQUEST, false, true, login_again },
};

static int dispatch(Conn *c, const struct PduRule *rule, const ControlPdu *pdu)
{
        int r;

        if (c->session->info.discovery && !rule->discovery)
                return conn_protocol_error(c, REJECT_PROTOCOL_ERROR, pdu->bhs,
                                           "opcode %02x in a discovery session (RFC 7143 4.3)",
                                           rule->opcode);
        if (pdu->ahs_length > 0)
                return conn_protocol_error(c, REJECT_INVALID_FIELD, pdu->bhs,
                                           "opcode %02x with an AHS", rule->opcode);
        if (rule->cmdsn) {
                switch (cmdsn_check(c, pdu->bhs)) {
                case CMDSN_IGNORE:
                        return 0;
                case CMDSN_HOLD:
                        return conn_protocol_error(c, REJECT_PROTOCOL_ERROR, pdu->bhs,
                                                   "opcode %02x with CmdSN %u, expected %u",
                                                   rule->opcode, get_be32(pdu->bhs + BHS_CMDSN),
                                                   c->exp_cmdsn);
                case CMDSN_TAKE:
                        cmdsn_take(c, pdu->bhs);
                }
        }
        r = rule->handler(c, pdu);
        if (r == 0 && rule->cmdsn)
                commands_deliver(c);
        return r;
}

int session_control(Conn *c, const ControlPdu *pdu, Command **ret_cmd)
{
        uint8_t opcode = bhs_opcode(pdu->bhs);

        if (opcode == OP_SCSI_COMMAND && !c->session->info.discovery)
                return command_received(c, pdu, ret_cmd);
        for (size_t i = 0; i < ELEMENTSOF(pdu_rules); i++)
                if (pdu_rules[i].opcode == opcode)
                        return dispatch(c, &pdu_rules[i], pdu);
        if (c->session->info.discovery)
                return conn_protocol_error(c, REJECT_PROTOCOL_ERROR, pdu->bhs,
                                           "opcode %02x in a discovery session (RFC 7143 4.3)",
                                           opcode);
        conn_reject(c, REJECT_NOT_SUPPORTED, pdu->bhs);
        return 0;
}
