/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iscsi/text.h"

#include <stdio.h>

/* Text negotiation in full feature phase: a request of one or more PDUs, an answer of one or more,
 * tied together by the Target Transfer Tag (RFC 7143 11.10.4). */

TextState *text_free(TextState *t)
{
        if (!t)
                return NULL;
        iscsi_map_unref(t->map);
        free(t->in);
        text_out_done(&t->out);
        free(t);
        return NULL;
}

/* ---- SendTargets (RFC 7143 appendix C) ---------------------------------------------------- */

static void add_address(Conn *c, const SockAddr *a, uint16_t tpgt, TextOut *out)
{
        char text[SOCKADDR_TEXT_MAX];

        sockaddr_format(a, true, text);
        text_out_printf(out, "TargetAddress", "%s,%u", text, tpgt);
}

/* The portals of the target's group. A wildcard stands for the address that the initiator came to:
 * it can reach that one. */
static void add_portals(Conn *c, const IscsiMap *map, const IscsiTarget *t, TextOut *out)
{
        bool local = false;

        for (size_t i = 0; i < map->n_portals; i++) {
                const SockAddr *a = &map->portals[i].address;

                if (map->portals[i].tpgt != t->tpgt)
                        continue;
                if (sockaddr_is_wildcard(a)) {
                        SockAddr mine = c->local;

                        if (mine.sa.sa_family == AF_INET)
                                mine.in.sin_port = htons(sockaddr_port(a));
                        else
                                mine.in6.sin6_port = htons(sockaddr_port(a));
                        if (sockaddr_equal(&mine, &c->local)) {
                                if (local)
                                        continue;
                                local = true;
                        }
                        add_address(c, &mine, t->tpgt, out);
                        continue;
                }
                if (sockaddr_equal(a, &c->local)) {
                        if (local)
                                continue;
                        local = true;
                }
                add_address(c, a, t->tpgt, out);
        }
        if (map->n_portals == 0)
                add_address(c, &c->local, t->tpgt, out);
}

static void add_target(Conn *c, const IscsiMap *map, const IscsiTarget *t, TextOut *out)
{
        if (acl_check(&t->acl, c->session->info.initiator, &c->peer) != ACL_ADMITTED)
                return;
        text_out_add(out, "TargetName", t->name);
        add_portals(c, map, t, out);
}

/* Makes more of the answer until a PDU is full or nothing is left; so 10,000 targets do not stand
 * in memory at once. */
static void fill_answer(Conn *c, TextState *t, size_t want)
{
        if (t->out_sent > 0) {
                memmove(t->out.p, t->out.p + t->out_sent, t->out.n - t->out_sent);
                t->out.n -= t->out_sent;
                t->out_sent = 0;
        }
        for (; t->all && t->n_listed < t->map->n_targets && t->out.n < want && !t->out.failed;
             t->n_listed++)
                add_target(c, t->map, iscsi_map_next(t->map, &t->at), &t->out);
}

static int on_send_targets(Conn *c, TextState *t, const TextPair *pair)
{
        char name[ISCSI_NAME_MAX + 1];
        IscsiTarget *target;

        if (text_is(pair, "All")) {
                if (!c->session->info.discovery) {
                        text_out_add(&t->out, "SendTargets", "Reject");
                        return 0;
                }
                t->all = true;
                return 0;
        }
        if (pair->value_length == 0 && !c->session->info.discovery)
                target = iscsi_map_find(t->map, c->session->info.target);
        else if (pair->value_length == 0 || pair->value_length > ISCSI_NAME_MAX) {
                text_out_add(&t->out, "SendTargets", "Reject");
                return 0;
        } else {
                for (size_t i = 0; i < pair->value_length; i++) {
                        char v = pair->value[i];

                        name[i] = v >= 'A' && v <= 'Z' ? (char)(v - 'A' + 'a') : v;
                }
                name[pair->value_length] = '\0';
                target = iscsi_map_find(t->map, name);
        }
        if (target)
                add_target(c, t->map, target, &t->out);
        return 0;
}

/* ---- requests ----------------------------------------------------------------------------- */

static int take_key(Conn *c, TextState *t, const TextPair *pair, unsigned *n_unknown)
{
        const Key *key = key_find(pair->key, pair->key_length);
        uint64_t v;

        if (!key) {
                if (++*n_unknown > TEXT_UNKNOWN_MAX)
                        return -E2BIG;
                if (!text_is(pair, "NotUnderstood"))
                        text_out_add_n(&t->out, pair->key, pair->key_length, "NotUnderstood");
                return 0;
        }
        if (key_id(key) == KEYID_SEND_TARGETS)
                return on_send_targets(c, t, pair);
        if (key->type == KEY_SEGMENT) {
                if (text_number(pair, &v) < 0 || v < key->min || v > key->max)
                        return -EINVAL;
                c->params.max_xmit_data_segment = min_u32((uint32_t)v, c->xmit_cap);
                return 0;
        }
        if (++*n_unknown > TEXT_UNKNOWN_MAX)
                return -E2BIG;
        text_out_add(&t->out, key->name, "Reject");
        return 0;
}

static int take_text(Conn *c, TextState *t)
{
        size_t pos = 0;
        unsigned n_unknown = 0;
        TextPair pair;
        int r;

        while ((r = text_next(t->in, t->in_length, &pos, &pair)) > 0) {
                r = take_key(c, t, &pair, &n_unknown);
                if (r < 0)
                        return r;
        }
        return r;
}

static int send_text(Conn *c, TextState *t, uint8_t flags, const char *text, size_t length)
{
        uint8_t bhs[BHS_SIZE] = { 0 };

        bhs[BHS_OPCODE] = OP_TEXT_RESPONSE;
        bhs[BHS_FLAGS] = flags;
        put_be24(bhs + BHS_DATA_LENGTH, (uint32_t)length);
        put_be32(bhs + BHS_ITT, t->itt);
        put_be32(bhs + BHS_TTT, flags & FLAG_FINAL ? TAG_NONE : t->ttt);
        return conn_send(c, bhs, text, length);
}

static int send_answer(Conn *c)
{
        TextState *t = c->text;
        size_t want = c->params.max_xmit_data_segment, n;
        bool more;
        int r;

        fill_answer(c, t, want + 1);
        if (t->out.failed) {
                c->text = text_free(t);
                return -ENOMEM;
        }
        n = MIN(t->out.n, want);
        more = n < t->out.n || (t->all && t->n_listed < t->map->n_targets);
        r = send_text(c, t, more ? FLAG_CONTINUE : FLAG_FINAL, t->out.p, n);
        t->out_sent = n;
        if (r < 0 || !more)
                c->text = text_free(t);
        return r;
}

static int begin(Conn *c, const uint8_t *bhs)
{
        TextState *t = calloc(1, sizeof(*t));

        c->text = text_free(c->text);
        if (!t)
                return -ENOMEM;
        if (++c->text_ttt == TAG_NONE)
                c->text_ttt = 1;
        t->ttt = c->text_ttt;
        t->itt = get_be32(bhs + BHS_ITT);
        /* bounded by want and one target's addresses, or by limits and names for a single one */
        t->out.max = c->params.max_xmit_data_segment + c->worker->limits.login_bytes_max + 1 * MIB;
        t->map = iscsi_map_ref(c->worker->map);
        c->text = t;
        return 0;
}

static int append(Conn *c, TextState *t, const ControlPdu *pdu)
{
        size_t n = t->in_length + pdu->data_length;
        char *p;

        if (n > c->worker->limits.login_bytes_max)
                return -E2BIG;
        if (pdu->data_length == 0)
                return 0;
        p = realloc(t->in, n);
        if (!p)
                return -ENOMEM;
        memcpy(p + t->in_length, pdu->data, pdu->data_length);
        t->in = p;
        t->in_length = n;
        return 0;
}

int text_received(Conn *c, const ControlPdu *pdu)
{
        const uint8_t *bhs = pdu->bhs;
        uint8_t flags = bhs[BHS_FLAGS];
        int r = 0;

        if (flags & FLAG_FINAL && flags & FLAG_CONTINUE)
                return conn_protocol_error(c, REJECT_PROTOCOL_ERROR, bhs,
                                           "F and C bit in one text request (RFC 7143 11.10.2)");
        if (get_be32(bhs + BHS_ITT) == TAG_NONE)
                return conn_protocol_error(c, REJECT_INVALID_FIELD, bhs,
                                           "text request with the reserved Initiator Task Tag");
        if (get_be32(bhs + BHS_TTT) == TAG_NONE)
                r = begin(c, bhs); /* what was under way is reset (RFC 7143 11.10.4) */
        else if (!c->text || c->text->ttt != get_be32(bhs + BHS_TTT) ||
                 c->text->itt != get_be32(bhs + BHS_ITT)) {
                conn_reject(c, REJECT_INVALID_FIELD, bhs);
                return 0;
        } else if (c->text->answering)
                return send_answer(c);
        if (r == 0)
                r = append(c, c->text, pdu);
        if (r == 0 && flags & FLAG_CONTINUE)
                return send_text(c, c->text, 0, NULL, 0);
        if (r == 0)
                r = take_text(c, c->text);
        if (r < 0) {
                c->text = text_free(c->text);
                return conn_protocol_error(c, REJECT_PROTOCOL_ERROR, bhs,
                                           "the text is too long or not a list of key=value "
                                           "(RFC 7143 6.1)");
        }
        c->text->answering = true;
        return send_answer(c);
}
