/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iscsi/login.h"

#include <stdarg.h>
#include <stdio.h>

/* Login: requests in, one response each, until the registrar has agreed to the session. */

int login_refuse(Login *l, uint16_t status, const char *format, ...)
{
        va_list ap;

        l->status = status;
        va_start(ap, format);
        (void)vsnprintf(l->reason, sizeof(l->reason), format, ap);
        va_end(ap);
        return -EACCES;
}

int login_new(Conn *c)
{
        Login *l = calloc(1, sizeof(*l));

        if (!l)
                return -ENOMEM;
        l->out.max = c->worker->limits.login_bytes_max;
        c->login = l;
        return 0;
}

Login *login_free(Login *l)
{
        if (!l)
                return NULL;
        iscsi_target_unref(l->target);
        iscsi_map_unref(l->map);
        free(l->in);
        text_out_done(&l->out);
        explicit_bzero(l, sizeof(*l));
        free(l);
        return NULL;
}

/* ---- responses ---------------------------------------------------------------------------- */

static int send_response(Conn *c, uint8_t flags, const char *text, size_t length)
{
        Login *l = c->login;
        uint8_t bhs[BHS_SIZE] = { 0 };

        bhs[BHS_OPCODE] = OP_LOGIN_RESPONSE;
        bhs[BHS_FLAGS] = flags | (uint8_t)(l->stage << 2);
        put_be24(bhs + BHS_DATA_LENGTH, (uint32_t)length);
        memcpy(bhs + BHS_ISID, l->isid, sizeof(l->isid));
        put_be16(bhs + BHS_TSIH, l->final ? l->claim.tsih : l->tsih);
        put_be32(bhs + BHS_ITT, l->itt);
        put_be16(bhs + BHS_LOGIN_STATUS, l->status);
        return conn_send(c, bhs, text, length);
}

static int send_refusal(Conn *c)
{
        Login *l = c->login;

        conn_report(c, ISCSI_EVENT_LOGIN_REJECTED, l->status, l->reason);
        (void)send_response(c, 0, NULL, 0);
        conn_event(c, CONN_EVENT_LOGIN_FAILED);
        conn_terminate(c);
        return -EACCES;
}

static int claim_session(Conn *c)
{
        Login *l = c->login;
        IscsiClaim *claim = &l->claim;

        *claim = (IscsiClaim){ .tsih = l->tsih, .cid = l->cid, .conn = c, .origin = c->loop };
        memcpy(claim->initiator, l->initiator, sizeof(claim->initiator));
        memcpy(claim->isid, l->isid, sizeof(claim->isid));
        if (!l->discovery) {
                (void)snprintf(claim->target, sizeof(claim->target), "%s", l->target->name);
                claim->tpgt = l->target->tpgt;
        }
        c->claiming = true;
        c->worker->host->claim(c->worker->userdata, claim);
        return 0;
}

/* What fits of the answer; the rest when the initiator asks for it with an empty request. */
static int send_answer(Conn *c)
{
        Login *l = c->login;
        size_t left = l->out.n - l->out_sent, n = MIN(left, (size_t)LOGIN_SEGMENT_MAX);
        uint8_t flags = 0;
        int r;

        if (l->out.failed)
                return login_refuse(l, LOGIN_INITIATOR_ERROR,
                                    "the answer to this login text would exceed %u bytes",
                                    c->worker->limits.login_bytes_max);
        if (n < left)
                flags = FLAG_CONTINUE;
        else if (l->transit && l->next_stage == STAGE_FULL_FEATURE)
                return claim_session(c);
        else if (l->transit)
                flags = FLAG_TRANSIT | l->next_stage;
        r = send_response(c, flags, l->out.p + l->out_sent, n);
        if (r < 0)
                return r;
        l->out_sent += n;
        if (flags & FLAG_CONTINUE)
                return 0;
        l->out.n = l->out_sent = 0;
        if (l->transit)
                l->stage = l->next_stage;
        return 0;
}

/* ---- names -------------------------------------------------------------------------------- */

static int take_text(Login *l, const char *what, const TextPair *pair, bool lower, char *field,
                     size_t size, bool *has)
{
        char value[256];

        if (pair->value_length >= MIN(size, sizeof(value)) || (lower && pair->value_length == 0))
                return login_refuse(l, LOGIN_INITIATOR_ERROR, "%s is empty or too long", what);
        for (size_t i = 0; i < pair->value_length; i++) {
                char v = pair->value[i];

                /* RFC 7143 4.2.7.2: names compare in lower case; a comma would end the name in a
                 * port name (SPC-4 7.6.4.5) */
                if (lower && (v <= ' ' || v > '~' || v == ','))
                        return login_refuse(l, LOGIN_INITIATOR_ERROR,
                                            "%s has a character that no iSCSI name has", what);
                if (v < ' ' || v > '~')
                        v = '?'; /* an alias goes to journals and buses */
                value[i] = lower && v >= 'A' && v <= 'Z' ? (char)(v - 'A' + 'a') : v;
        }
        value[pair->value_length] = '\0';
        if (*has && !STREQ(field, value))
                return login_refuse(l, LOGIN_INITIATOR_ERROR, "%s came again and differs", what);
        memcpy(field, value, pair->value_length + 1);
        *has = true;
        return 0;
}

static int take_session_type(Login *l, const TextPair *pair)
{
        bool discovery = text_is(pair, "Discovery");

        if (!discovery && !text_is(pair, "Normal"))
                return login_refuse(l, LOGIN_BAD_SESSION_TYPE,
                                    "SessionType is neither Normal nor Discovery");
        if (l->identified && discovery != l->discovery)
                return login_refuse(l, LOGIN_INITIATOR_ERROR, "SessionType came again and differs");
        l->discovery = discovery;
        return 0;
}

/* The keys that say who wants what: taken before all others, wherever they stand. */
static int take_identity(Login *l, const Key *key, const TextPair *pair)
{
        bool any = false;

        switch (key_id(key)) {
        case KEYID_INITIATOR_NAME:
                return take_text(l, key->name, pair, true, l->initiator, sizeof(l->initiator),
                                 &l->has_initiator);
        case KEYID_TARGET_NAME:
                return take_text(l, key->name, pair, true, l->target_name, sizeof(l->target_name),
                                 &l->has_target);
        case KEYID_SESSION_TYPE:
                return take_session_type(l, pair);
        case KEYID_INITIATOR_ALIAS:
                return take_text(l, key->name, pair, false, l->alias, sizeof(l->alias), &any);
        default:
                return 0;
        }
}

static bool is_identity(const Key *key)
{
        KeyId id = key_id(key);

        return id == KEYID_INITIATOR_NAME || id == KEYID_TARGET_NAME || id == KEYID_SESSION_TYPE ||
               id == KEYID_INITIATOR_ALIAS || id == KEYID_NODE_ARCHITECTURE;
}

static int refuse_by_acl(Conn *c, AclVerdict verdict)
{
        Login *l = c->login;
        char address[SOCKADDR_TEXT_MAX];

        sockaddr_format(&c->peer, false, address);
        if (verdict == ACL_ADDRESS)
                return login_refuse(
                        l, LOGIN_FORBIDDEN,
                        "initiator %s comes from %s, which is not in the access list of "
                        "%s; allow it with: tgtctl allow %s %s",
                        l->initiator, address, l->target->name, l->target->name, address);
        return login_refuse(l, LOGIN_FORBIDDEN,
                            "initiator %s at %s is not in the access list of %s; allow it with: "
                            "tgtctl allow %s %s",
                            l->initiator, address, l->target->name, l->target->name, l->initiator);
}

static int find_target(Conn *c)
{
        Login *l = c->login;
        AclVerdict verdict;
        IscsiTarget *t;

        if (!l->has_target)
                return login_refuse(l, LOGIN_MISSING_PARAMETER,
                                    "initiator %s named no target and does not ask for discovery",
                                    l->initiator);
        t = iscsi_map_find(l->map, l->target_name);
        if (!t)
                return login_refuse(l, LOGIN_NOT_FOUND, "there is no target %s; see: tgtctl list",
                                    l->target_name);
        l->target = iscsi_target_ref(t);
        verdict = acl_check(&t->acl, l->initiator, &c->peer);
        if (verdict != ACL_ADMITTED)
                return refuse_by_acl(c, verdict);
        if (!t->online)
                return login_refuse(l, LOGIN_UNAVAILABLE, "target %s is offline", t->name);
        return 0;
}

static int identify(Conn *c)
{
        Login *l = c->login;
        IscsiParams ours;
        int r;

        if (l->identified)
                return 0;
        if (!l->has_initiator)
                return login_refuse(l, LOGIN_MISSING_PARAMETER,
                                    "the first login request has no InitiatorName");
        if (!c->worker->map || c->worker->shutting_down)
                return login_refuse(l, LOGIN_UNAVAILABLE, "not serving");
        l->map = iscsi_map_ref(c->worker->map);
        iscsi_params_default(&ours);
        if (!l->discovery) {
                r = find_target(c);
                if (r < 0)
                        return r;
                ours = l->target->params;
        }
        l->auth_required = (l->discovery ? l->map->n_incoming : l->target->n_incoming) > 0;
        if (l->auth_required && l->stage != STAGE_SECURITY)
                return login_refuse(l, LOGIN_AUTH_FAILED,
                                    "CHAP is required, but initiator %s passed over the security "
                                    "stage; give it a user and secret",
                                    l->initiator);
        negotiation_init(&l->neg, &ours, l->discovery);
        c->window = ours.max_queue_cmd;
        l->identified = true;
        return 0;
}

/* ---- requests ----------------------------------------------------------------------------- */

static int take_key(Conn *c, const Key *key, const TextPair *pair)
{
        Login *l = c->login;
        char why[256];

        if (!key)
                return text_is(pair, "NotUnderstood") ||
                                       negotiate_unknown(&l->neg, pair, &l->out) == 0
                               ? 0
                               : login_refuse(l, LOGIN_INITIATOR_ERROR, "more than %d unknown keys",
                                              TEXT_UNKNOWN_MAX);
        if (is_identity(key))
                return 0;
        if (key->type == KEY_SECURITY && l->stage == STAGE_SECURITY)
                return auth_key(c, key, pair);
        if (key->type == KEY_TARGET_ONLY &&
            (text_is(pair, "NotUnderstood") || text_is(pair, "Irrelevant")))
                return 0;
        if (negotiate(&l->neg, key, pair, &l->out, why, sizeof(why)) < 0)
                return login_refuse(l, LOGIN_INITIATOR_ERROR, "%s", why);
        return 0;
}

/* All text of a request is there: who, then everything else in its order. */
static int take_request_text(Conn *c)
{
        Login *l = c->login;
        TextPair pair;
        size_t pos = 0;
        int r;

        while ((r = text_next(l->in, l->in_length, &pos, &pair)) > 0) {
                const Key *key = key_find(pair.key, pair.key_length);

                r = key ? take_identity(l, key, &pair) : 0;
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return login_refuse(l, LOGIN_INITIATOR_ERROR,
                                    "the login text is not a list of key=value (RFC 7143 6.1)");
        r = identify(c);
        if (r < 0)
                return r;
        for (pos = 0; text_next(l->in, l->in_length, &pos, &pair) > 0;) {
                r = take_key(c, key_find(pair.key, pair.key_length), &pair);
                if (r < 0)
                        return r;
        }
        l->in_length = 0;
        return auth_step(c);
}

/* May the initiator go where it wants to go? l->transit says. */
static int decide_transit(Conn *c, uint8_t flags)
{
        Login *l = c->login;

        l->transit = flags & FLAG_TRANSIT;
        l->next_stage = flags & 3;
        if (l->stage == STAGE_SECURITY && l->transit && l->auth_required && l->auth != AUTH_DONE) {
                if (l->auth == AUTH_START)
                        return login_refuse(l, LOGIN_AUTH_FAILED,
                                            "CHAP is required, but initiator %s offers no "
                                            "AuthMethod; give it a user and secret",
                                            l->initiator);
                l->transit = false; /* not before it has proven who it is */
        }
        if (l->stage == STAGE_OPERATIONAL || (l->transit && l->next_stage == STAGE_FULL_FEATURE)) {
                bool complete = flags & FLAG_TRANSIT;

                if (negotiation_offer(&l->neg, complete, &l->out))
                        l->transit = false; /* not before it has answered */
        }
        return 0;
}

static void first_answer(Login *l)
{
        if (l->sent_tpgt || l->discovery)
                return;
        /* RFC 7143 13.9: in the first response of a leading login */
        l->sent_tpgt = true;
        text_out_printf(&l->out, "TargetPortalGroupTag", "%u", l->target->tpgt);
        if (l->target->alias)
                text_out_printf(&l->out, "TargetAlias", "%.255s", l->target->alias);
}

static int check_first(Conn *c, const uint8_t *bhs)
{
        Login *l = c->login;

        l->begun = true;
        conn_event(c, CONN_EVENT_LOGIN_REQUEST);
        l->stage = bhs[BHS_FLAGS] >> 2 & 3;
        memcpy(l->isid, bhs + BHS_ISID, sizeof(l->isid));
        l->tsih = get_be16(bhs + BHS_TSIH);
        l->itt = get_be32(bhs + BHS_ITT);
        l->cid = c->cid = get_be16(bhs + BHS_CID);
        c->exp_cmdsn = get_be32(bhs + BHS_CMDSN);
        c->statsn = get_be32(bhs + BHS_EXP_STATSN);
        if (bhs[3] > 0) /* Version-min; there is only version 0 */
                return login_refuse(l, LOGIN_BAD_VERSION, "the initiator wants iSCSI version %u",
                                    bhs[3]);
        if (l->stage != STAGE_SECURITY && l->stage != STAGE_OPERATIONAL)
                return login_refuse(l, LOGIN_INITIATOR_ERROR, "login begins in stage %u", l->stage);
        return 0;
}

static int check_request(Conn *c, const uint8_t *bhs)
{
        Login *l = c->login;
        uint8_t flags = bhs[BHS_FLAGS], stage = flags >> 2 & 3, next = flags & 3;
        int r;

        if (!l->begun) {
                r = check_first(c, bhs);
                if (r < 0)
                        return r;
        } else if (memcmp(l->isid, bhs + BHS_ISID, sizeof(l->isid)) != 0 ||
                   l->tsih != get_be16(bhs + BHS_TSIH) || l->cid != get_be16(bhs + BHS_CID))
                return login_refuse(l, LOGIN_INITIATOR_ERROR,
                                    "ISID, TSIH or CID changed during login");
        l->itt = get_be32(bhs + BHS_ITT);
        if (stage != l->stage)
                return login_refuse(l, LOGIN_INITIATOR_ERROR,
                                    "the login request is of stage %u, not %u", stage, l->stage);
        if (flags & FLAG_TRANSIT && flags & FLAG_CONTINUE)
                return login_refuse(l, LOGIN_INITIATOR_ERROR,
                                    "T and C bit in one login request (RFC 7143 11.12.2)");
        if (flags & FLAG_TRANSIT && (next <= stage || next == 2))
                return login_refuse(l, LOGIN_INITIATOR_ERROR,
                                    "no transition leads from login stage %u to %u", stage, next);
        return 0;
}

static int append_text(Conn *c, const ControlPdu *pdu)
{
        Login *l = c->login;
        size_t n = l->in_length + pdu->data_length;

        if (n > c->worker->limits.login_bytes_max)
                return login_refuse(l, LOGIN_INITIATOR_ERROR, "the login text exceeds %u bytes",
                                    c->worker->limits.login_bytes_max);
        if (n > l->in_size) {
                char *p = realloc(l->in, n);

                if (!p)
                        return login_refuse(l, LOGIN_NO_RESOURCES, "out of memory");
                l->in = p;
                l->in_size = n;
        }
        if (pdu->data_length > 0)
                memcpy(l->in + l->in_length, pdu->data, pdu->data_length);
        l->in_length = n;
        return 0;
}

static int handle_request(Conn *c, const ControlPdu *pdu)
{
        Login *l = c->login;
        uint8_t flags = pdu->bhs[BHS_FLAGS];
        int r;

        r = check_request(c, pdu->bhs);
        if (r < 0)
                return r;
        if (l->out.n > 0) { /* the rest of our answer is asked for (RFC 7143 6.2) */
                if (pdu->data_length > 0)
                        return login_refuse(l, LOGIN_INITIATOR_ERROR,
                                            "text came while our answer was not complete");
                return send_answer(c);
        }
        r = append_text(c, pdu);
        if (r < 0)
                return r;
        if (flags & FLAG_CONTINUE)
                return send_response(c, 0, NULL, 0);
        r = take_request_text(c);
        if (r < 0)
                return r;
        first_answer(l);
        r = decide_transit(c, flags);
        if (r < 0)
                return r;
        return send_answer(c);
}

int login_received(Conn *c, const ControlPdu *pdu)
{
        int r;

        if (bhs_opcode(pdu->bhs) != OP_LOGIN_REQUEST)
                return conn_protocol_error(c, 0, NULL,
                                           "PDU with opcode %02x before login (RFC 7143 6.3)",
                                           bhs_opcode(pdu->bhs));
        if (c->claiming)
                return conn_protocol_error(c, 0, NULL,
                                           "a PDU before the last login response was sent");
        r = handle_request(c, pdu);
        if (r == -EACCES)
                return send_refusal(c);
        return r;
}

void login_timeout(Conn *c)
{
        char reason[128];

        (void)snprintf(reason, sizeof(reason), "login was not complete within %u s",
                       c->worker->limits.login_timeout_s);
        conn_report(c, ISCSI_EVENT_LOGIN_REJECTED, LOGIN_INITIATOR_ERROR, reason);
        conn_event(c, CONN_EVENT_LOGIN_FAILED);
        conn_terminate(c);
}

/* ---- the end ------------------------------------------------------------------------------ */

static int check_claim(Conn *c)
{
        Login *l = c->login;
        const char *name = l->discovery ? "discovery" : l->target->name;

        switch (l->claim.result) {
        case 0:
                return 0;
        case -ENOENT:
                return login_refuse(l, LOGIN_NO_SESSION, "there is no session with TSIH %u of %s",
                                    l->tsih, name);
        case -EEXIST:
                return login_refuse(l, LOGIN_CANNOT_INCLUDE,
                                    "a session has one connection only (MaxConnections=1)");
        case -EBUSY:
                return login_refuse(l, LOGIN_NO_RESOURCES,
                                    "there are %u sessions, no more are allowed",
                                    c->worker->limits.sessions_max);
        default:
                return login_refuse(l, LOGIN_TARGET_ERROR, "no session can be made: %s",
                                    strerror(-l->claim.result));
        }
}

/* The target as it is now, on the worker that owns the session: it may have changed meanwhile. */
static int refresh_target(Conn *c)
{
        Login *l = c->login;
        AclVerdict verdict;
        IscsiTarget *t;

        if (c->worker->shutting_down)
                return login_refuse(l, LOGIN_UNAVAILABLE, "not serving");
        if (l->discovery)
                return 0;
        t = iscsi_map_find(c->worker->map, l->target_name);
        if (!t)
                return login_refuse(l, LOGIN_NOT_FOUND, "target %s was removed during login",
                                    l->target_name);
        if (!t->online)
                return login_refuse(l, LOGIN_UNAVAILABLE, "target %s is offline", t->name);
        iscsi_target_ref(t);
        iscsi_target_unref(l->target);
        l->target = t;
        verdict = acl_check(&t->acl, l->initiator, &c->peer);
        return verdict == ACL_ADMITTED ? 0 : refuse_by_acl(c, verdict);
}

static int enter_full_feature(Conn *c)
{
        Login *l = c->login;
        int r;

        r = check_claim(c);
        if (r < 0)
                return r;
        negotiation_finish(&l->neg);
        c->params = l->neg.params;
        c->xmit_cap = l->neg.ours.max_xmit_data_segment;
        r = refresh_target(c);
        if (r < 0)
                goto give_back;
        r = session_new(c, &l->claim, &c->session);
        if (r < 0) {
                r = login_refuse(l, LOGIN_NO_RESOURCES, "out of memory");
                goto give_back;
        }
        l->final = true;
        r = send_response(c, FLAG_TRANSIT | STAGE_FULL_FEATURE, l->out.p + l->out_sent,
                          l->out.n - l->out_sent);
        if (r < 0)
                return r;
        c->transport->ops->enable(c->transport);
        conn_event(c, CONN_EVENT_LOGIN_DONE);
        return 0;

give_back:
        c->claimed = false;
        c->worker->host->session_ended(c->worker->userdata, l->claim.session);
        return r;
}

void login_finish(Conn *c)
{
        int r = enter_full_feature(c);

        if (r == -EACCES)
                (void)send_refusal(c);
        else if (r < 0)
                conn_terminate_notify(c, r, "the last login response could not be sent");
        if (r < 0)
                return;
        conn_report(c, ISCSI_EVENT_LOGIN, LOGIN_OK, NULL);
        c->login = login_free(c->login);
        conn_login_over(c);
        session_arm_timer(c);
}
