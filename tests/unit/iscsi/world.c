/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world.h"

#include "device.h"

#include <string.h>

static World *the_world; /* what host operations without userdata need */
static GPtrArray *peers;

/* ---- the host ----------------------------------------------------------------------------- */

static void on_event(void *userdata, const IscsiEvent *event)
{
        World *w = userdata;

        w->n_events[event->kind]++;
        w->status = event->status;
        g_strlcpy(w->reason, event->reason ? event->reason : "", sizeof(w->reason));
        g_assert_nonnull(event->peer);
}

static void on_claim(void *userdata, IscsiClaim *claim)
{
        World *w = userdata;

        w->n_claims++;
        if (w->hold_claims) {
                w->claim = claim;
                return;
        }
        claim->result = w->claim_result;
        if (claim->result == 0) {
                claim->session = ++w->next_session;
                claim->tsih = claim->tsih ? claim->tsih : (uint16_t)w->next_session;
                claim->worker = w->place;
        }
        iscsi_claim_done(claim);
}

static void on_session_ended(void *userdata, uint64_t session)
{
        World *w = userdata;

        w->n_ended++;
        w->last_ended = session;
}

static void on_move(void *userdata, Conn *conn, unsigned worker)
{
        World *w = userdata;
        Peer *p = conn_user(conn);

        w->n_moves++;
        p->worker = worker;
        conn_detach(conn);
        conn_attach(conn, w->workers[worker]);
}

static void on_wake(void *userdata, Conn *conn)
{
        Peer *p = conn_user(conn);

        if (p)
                p->woken = true;
}

static int on_random(void *buf, size_t n)
{
        memset(buf, the_world->random, n);
        return 0;
}

static const IscsiHostOps host_ops = { .event = on_event,
                                       .claim = on_claim,
                                       .session_ended = on_session_ended,
                                       .move = on_move,
                                       .wake = on_wake,
                                       .random = on_random };

void world_init(World *w, const IscsiLimits *limits)
{
        static AddrPrefix all;
        static const IscsiLimits defaults;

        *w = (World){ .random = 7 };
        the_world = w;
        peers = g_ptr_array_new();
        w->sim = sim_new(1, 2);
        device_init(w->sim);
        for (unsigned i = 0; i < 2; i++)
                g_assert_cmpint(iscsi_worker_new(sim_loop(w->sim, i), device_worker(i),
                                                 limits ? limits : &defaults, &host_ops, w,
                                                 &w->workers[i]),
                                ==, 0);
        w->target.name = TARGET;
        w->target.tpgt = 1;
        w->target.online = true;
        iscsi_params_default(&w->target.params);
        w->target.acl.addresses = &all;
        w->target.acl.n_addresses = 1;
        w->no_incoming = true;
        g_strlcpy(w->incoming.user, "alice", sizeof(w->incoming.user));
        g_strlcpy(w->incoming.secret, "wonderland123", sizeof(w->incoming.secret));
        g_strlcpy(w->outgoing.user, "target", sizeof(w->outgoing.user));
        g_strlcpy(w->outgoing.secret, "lookingglass", sizeof(w->outgoing.secret));
        w->discovery = w->incoming;
        world_map(w);
}

void world_map(World *w)
{
        IscsiMapConfig config = { .portals = w->portals, .n_portals = w->n_portals };
        IscsiTarget *t = NULL;

        if (w->target.name) {
                if (!w->luns)
                        w->luns = device_luns();
                w->target.luns = w->luns;
                w->target.incoming = &w->incoming;
                w->target.n_incoming = !w->no_incoming;
                w->target.outgoing = w->mutual ? &w->outgoing : NULL;
                g_assert_cmpint(iscsi_target_new(&w->target, &t), ==, 0);
                config.targets = &t;
                config.n_targets = 1;
        }
        if (w->discovery_auth) {
                config.discovery_incoming = &w->discovery;
                config.n_discovery_incoming = 1;
        }
        iscsi_map_unref(w->map);
        g_assert_cmpint(iscsi_map_new(&config, &w->map), ==, 0);
        iscsi_target_unref(t);
        for (unsigned i = 0; i < 2; i++)
                iscsi_worker_set_map(w->workers[i], w->map);
}

void world_done(World *w)
{
        while (peers->len > 0)
                peer_free(peers->pdata[0]);
        sim_run(w->sim);
        sim_advance(w->sim, 10 * NSEC_PER_SEC);
        for (unsigned i = 0; i < 2; i++) {
                g_assert_cmpuint(w->workers[i]->n_logins, ==, 0);
                g_assert_cmpuint(w->workers[i]->commands.n_used, ==, 0);
                g_assert_cmpuint(w->workers[i]->pdus.n_used, ==, 0);
                g_assert_cmpuint(w->workers[i]->tmfs.n_used, ==, 0);
                g_assert_true(list_empty(&w->workers[i]->conns));
                g_assert_true(list_empty(&w->workers[i]->sessions));
                iscsi_worker_free(w->workers[i]);
        }
        iscsi_map_unref(w->map);
        lun_map_unref(w->luns);
        device_done(w->sim);
        sim_free(w->sim);
        g_ptr_array_free(peers, TRUE);
}

/* ---- the loop transport ------------------------------------------------------------------- */

typedef struct LoopTransport {
        Transport transport;
        Peer *peer;
        GQueue *results; /* Commands whose put_data() is due */
        GQueue *writes;  /* Commands whose get_data() is due */
        LoopTask task;
} LoopTransport;

static void push_pdu(LoopTransport *lt, Pdu *pdu)
{
        if (lt->peer)
                g_queue_push_tail(lt->peer->pdus, pdu);
        else
                pdu_clear(pdu), g_free(pdu);
}

static int loop_send_control(Transport *t, const uint8_t bhs[BHS_SIZE], const void *data,
                             size_t length)
{
        LoopTransport *lt = CONTAINER_OF(t, LoopTransport, transport);
        Pdu *pdu = g_new0(Pdu, 1);

        memcpy(pdu->bhs, bhs, BHS_SIZE);
        conn_stamp(t->conn, pdu->bhs);
        pdu->data = g_memdup2(data, length);
        pdu->length = (uint32_t)length;
        push_pdu(lt, pdu);
        return 0;
}

static void send_result(LoopTransport *lt, Command *cmd)
{
        Pdu *pdu = g_new0(Pdu, 1);
        const Task *task = &cmd->task;

        command_response(cmd, 0, pdu->bhs);
        conn_stamp(cmd->conn, pdu->bhs);
        if (task->sense_length > 0) {
                pdu->length = task->sense_length + 2u;
                pdu->data = g_malloc(pdu->length);
                put_be16(pdu->data, task->sense_length);
                memcpy(pdu->data + 2, task->sense, task->sense_length);
        }
        pdu->read_length = task->in_length;
        pdu->read_data = g_malloc(task->in_length + 1);
        for (uint32_t i = 0, at = 0; i < task->n_in_iov; at += (uint32_t)task->in_iov[i++].iov_len)
                memcpy(pdu->read_data + at, task->in_iov[i].iov_base, task->in_iov[i].iov_len);
        push_pdu(lt, pdu);
        command_sent(cmd);
}

static void loop_run(LoopTask *task)
{
        LoopTransport *lt = CONTAINER_OF(task, LoopTransport, task);
        Command *cmd;

        while ((cmd = g_queue_pop_head(lt->results)))
                send_result(lt, cmd);
        while ((cmd = g_queue_pop_head(lt->writes))) {
                memcpy(cmd->task.buffer->data, lt->peer->write_data, cmd->task.out_want);
                command_data_in(cmd, 0);
        }
}

static int loop_put_data(Transport *t, Command *cmd)
{
        LoopTransport *lt = CONTAINER_OF(t, LoopTransport, transport);

        g_queue_push_tail(lt->results, cmd);
        loop_defer(t->conn->loop, &lt->task);
        return 0;
}

static int loop_get_data(Transport *t, Command *cmd)
{
        LoopTransport *lt = CONTAINER_OF(t, LoopTransport, transport);

        if (!lt->peer->write_data)
                return 0; /* never comes */
        g_queue_push_tail(lt->writes, cmd);
        loop_defer(t->conn->loop, &lt->task);
        return 0;
}

static void loop_release(Transport *t, Command *cmd)
{
        LoopTransport *lt = CONTAINER_OF(t, LoopTransport, transport);

        g_queue_remove(lt->results, cmd);
        g_queue_remove(lt->writes, cmd);
}

static void loop_nothing(Transport *t)
{
}

static void loop_free(Transport *t)
{
        LoopTransport *lt = CONTAINER_OF(t, LoopTransport, transport);

        g_queue_free(lt->results);
        g_queue_free(lt->writes);
        g_free(lt);
}

static const TransportOps loop_ops = { .name = "loop",
                                       .send_control = loop_send_control,
                                       .put_data = loop_put_data,
                                       .get_data = loop_get_data,
                                       .release = loop_release,
                                       .enable = loop_nothing,
                                       .terminate = loop_nothing,
                                       .free = loop_free };

/* ---- initiators --------------------------------------------------------------------------- */

void pdu_clear(Pdu *pdu)
{
        g_clear_pointer(&pdu->data, g_free);
        g_clear_pointer(&pdu->read_data, g_free);
}

Peer *peer_new(World *w, PeerKind kind)
{
        Peer *p = g_new0(Peer, 1);
        SockAddr local, remote;
        int r;

        p->world = w;
        p->kind = kind;
        p->in = g_byte_array_new();
        p->out = g_byte_array_new();
        p->pdus = g_queue_new();
        p->cmdsn = 100;
        p->isid[0] = 0x80;
        g_assert_cmpint(sockaddr_parse("10.0.0.1:3260", 0, false, &local), ==, 0);
        g_assert_cmpint(sockaddr_parse("10.0.0.5:40000", 0, false, &remote), ==, 0);
        if (kind == PEER_TCP)
                r = conn_new(w->workers[0], &local, &remote, p, &p->conn);
        else {
                LoopTransport *lt = g_new0(LoopTransport, 1);

                lt->transport.ops = &loop_ops;
                lt->peer = p;
                lt->results = g_queue_new();
                lt->writes = g_queue_new();
                lt->task.run = loop_run;
                r = conn_new_transport(w->workers[0], &lt->transport, &local, &remote, p, &p->conn);
                if (r < 0)
                        loop_free(&lt->transport);
        }
        if (r < 0) {
                p->gone = true;
                errno = -r;
        }
        g_ptr_array_add(peers, p);
        return p;
}

void peer_free(Peer *p)
{
        if (!p->gone) {
                if (p->kind == PEER_LOOP)
                        CONTAINER_OF(p->conn->transport, LoopTransport, transport)->peer = NULL;
                conn_closed(p->conn, 0);
        }
        sim_run(p->world->sim);
        g_ptr_array_remove(peers, p);
        g_byte_array_free(p->in, TRUE);
        g_byte_array_free(p->out, TRUE);
        for (Pdu *pdu; (pdu = g_queue_pop_head(p->pdus));) {
                pdu_clear(pdu);
                g_free(pdu);
        }
        g_queue_free(p->pdus);
        g_free(p);
}

static bool push_in(Peer *p)
{
        struct iovec iov[2];
        size_t n, left, done = 0;

        if (p->out->len == 0)
                return false;
        n = conn_want(p->conn, iov, 2);
        if (n == 0)
                return false;
        left = p->chunk ? MIN(p->chunk, p->out->len) : p->out->len;
        for (size_t i = 0; i < n && left > 0; i++) {
                size_t m = MIN(left, iov[i].iov_len);

                memcpy(iov[i].iov_base, p->out->data + done, m);
                done += m;
                left -= m;
        }
        g_byte_array_remove_range(p->out, 0, (guint)done);
        conn_got(p->conn, done);
        return true;
}

static bool pull_out(Peer *p)
{
        struct iovec iov[8];
        size_t n, total = 0, limit = p->chunk ? p->chunk : SIZE_MAX;

        if (p->deaf)
                return false;
        n = conn_out(p->conn, iov, p->chunk ? 3 : 8);
        if (n == 0)
                return false;
        for (size_t i = 0; i < n; i++) {
                size_t m = MIN(iov[i].iov_len, limit - total);

                g_byte_array_append(p->in, iov[i].iov_base, (guint)m);
                total += m;
        }
        conn_sent(p->conn, total);
        return true;
}

void peer_run(Peer *p)
{
        bool more = true;

        while (more) {
                more = sim_run(p->world->sim) > 0;
                if (p->kind == PEER_LOOP || p->gone)
                        continue;
                more |= push_in(p);
                more |= pull_out(p);
        }
}

void peer_bytes(Peer *p, const void *bytes, size_t n)
{
        g_byte_array_append(p->out, bytes, (guint)n);
        peer_run(p);
}

static void append_digest(GByteArray *to, uint32_t crc, bool corrupt)
{
        uint8_t digest[4];

        digest_put(crc, digest);
        digest[0] ^= corrupt;
        g_byte_array_append(to, digest, 4);
}

static void send_tcp(Peer *p, const uint8_t *bhs, const void *ahs, size_t ahs_length,
                     const void *data, size_t length)
{
        static const uint8_t zero[4];
        uint32_t crc;

        g_byte_array_append(p->out, bhs, BHS_SIZE);
        g_byte_array_append(p->out, ahs, (guint)ahs_length);
        if (p->header_digest) {
                crc = digest_add(digest_add(digest_begin(), bhs, BHS_SIZE), ahs, ahs_length);
                append_digest(p->out, crc, p->corrupt_header);
        }
        if (length == 0)
                return;
        g_byte_array_append(p->out, data, (guint)length);
        g_byte_array_append(p->out, zero, pad4((uint32_t)length));
        if (p->data_digest) {
                crc = digest_add(digest_add(digest_begin(), data, length), zero,
                                 pad4((uint32_t)length));
                append_digest(p->out, crc, p->corrupt_data);
        }
}

void peer_send(Peer *p, uint8_t *bhs, const void *ahs, size_t ahs_length, const void *data,
               size_t length)
{
        bhs[BHS_AHS_LENGTH] = (uint8_t)(ahs_length / 4);
        put_be24(bhs + BHS_DATA_LENGTH, (uint32_t)length);
        if (p->kind == PEER_TCP)
                send_tcp(p, bhs, ahs, ahs_length, data, length);
        else {
                ControlPdu pdu = { .bhs = bhs,
                                   .ahs = ahs,
                                   .ahs_length = ahs_length,
                                   .data = data,
                                   .data_length = length };
                Command *cmd;

                (void)conn_control_notify(p->conn, &pdu, &cmd);
        }
        peer_run(p);
}

static bool recv_tcp(Peer *p, Pdu *ret)
{
        const uint8_t *at = p->in->data;
        uint32_t need = BHS_SIZE + (p->header_digest ? 4 : 0), length, pad;

        if (p->in->len < BHS_SIZE)
                return false;
        length = get_be24(at + BHS_DATA_LENGTH);
        pad = pad4(length);
        g_assert_cmpuint(at[BHS_AHS_LENGTH], ==, 0);
        if (p->in->len < need + length + pad + (length && p->data_digest ? 4 : 0))
                return false;
        memcpy(ret->bhs, at, BHS_SIZE);
        if (p->header_digest) {
                uint8_t digest[4];

                digest_put(digest_add(digest_begin(), at, BHS_SIZE), digest);
                g_assert_cmpmem(at + BHS_SIZE, 4, digest, 4);
        }
        ret->data = g_memdup2(at + need, length);
        ret->length = length;
        if (length && p->data_digest) {
                uint8_t digest[4];

                digest_put(digest_add(digest_begin(), at + need, length + pad), digest);
                g_assert_cmpmem(at + need + length + pad, 4, digest, 4);
                need += 4;
        }
        g_byte_array_remove_range(p->in, 0, need + length + pad);
        return true;
}

bool peer_recv(Peer *p, Pdu *ret)
{
        Pdu *pdu;
        bool own;

        peer_run(p);
        pdu_clear(ret);
        *ret = (Pdu){ 0 };
        if (p->kind == PEER_TCP) {
                if (!recv_tcp(p, ret))
                        return false;
        } else {
                pdu = g_queue_pop_head(p->pdus);
                if (!pdu)
                        return false;
                *ret = *pdu;
                g_free(pdu);
        }
        /* StatSN counts up in the order on the wire (RFC 7143 4.2.2.2) */
        own = bhs_opcode(ret->bhs) != OP_R2T &&
              !(bhs_opcode(ret->bhs) == OP_NOP_IN && get_be32(ret->bhs + BHS_ITT) == TAG_NONE) &&
              !(bhs_opcode(ret->bhs) == OP_DATA_IN && !(ret->bhs[BHS_FLAGS] & FLAG_STATUS));
        if (own) {
                if (bhs_opcode(ret->bhs) != OP_LOGIN_RESPONSE)
                        g_assert_cmphex(get_be32(ret->bhs + BHS_STATSN), ==, p->exp_statsn);
                p->exp_statsn = get_be32(ret->bhs + BHS_STATSN) + 1;
        }
        p->max_cmdsn = get_be32(ret->bhs + BHS_MAX_CMDSN);
        return true;
}

void peer_expect(Peer *p, uint8_t opcode, Pdu *ret)
{
        g_assert_true(peer_recv(p, ret));
        g_assert_cmphex(bhs_opcode(ret->bhs), ==, opcode);
}

void peer_expect_nothing(Peer *p)
{
        _pdu_ Pdu pdu = { 0 };

        g_assert_false(peer_recv(p, &pdu));
}

void peer_expect_closed(Peer *p)
{
        peer_run(p);
        g_assert_cmpuint(p->in->len, ==, 0);
        g_assert_cmpuint(p->pdus->length, ==, 0);
        g_assert_true(conn_finished(p->conn));
}

void peer_login_request(Peer *p, uint8_t flags, const char *text)
{
        uint8_t bhs[BHS_SIZE] = { OP_LOGIN_REQUEST | OP_IMMEDIATE, flags };
        g_autofree char *copy = g_strdup(text);
        size_t n = strlen(text);

        for (char *c = copy; *c; c++)
                if (*c == '|')
                        *c = '\0';
        memcpy(bhs + BHS_ISID, p->isid, 6);
        put_be16(bhs + BHS_TSIH, p->tsih);
        put_be32(bhs + BHS_ITT, p->itt);
        put_be16(bhs + BHS_CID, p->cid);
        put_be32(bhs + BHS_CMDSN, p->cmdsn);
        put_be32(bhs + BHS_EXP_STATSN, p->exp_statsn);
        peer_send(p, bhs, NULL, 0, copy, n ? n + 1 : 0);
}

uint16_t peer_login_step(Peer *p, uint8_t flags, const char *text, Pdu *ret)
{
        peer_login_request(p, flags, text);
        peer_expect(p, OP_LOGIN_RESPONSE, ret);
        return get_be16(ret->bhs + BHS_LOGIN_STATUS);
}

bool pdu_has(const Pdu *pdu, const char *pair)
{
        size_t pos = 0;
        TextPair t;

        while (text_next((const char *)pdu->data, pdu->length, &pos, &t) > 0) {
                g_autofree char *s = g_strndup(t.key, t.key_length + 1 + t.value_length);

                if (STREQ(s, pair))
                        return true;
        }
        return false;
}

void peer_login(Peer *p, const char *extra)
{
        g_autofree char *text =
                g_strdup_printf("InitiatorName=" INITIATOR "|TargetName=" TARGET
                                "|SessionType=Normal|InitialR2T=No|ImmediateData=Yes"
                                "|MaxRecvDataSegmentLength=65536"
                                "|MaxBurstLength=262144|FirstBurstLength=65536"
                                "|MaxOutstandingR2T=4%s%s",
                                extra ? "|" : "", extra ? extra : "");
        _pdu_ Pdu pdu = { 0 };

        g_assert_cmphex(peer_login_step(p, 0x87, text, &pdu), ==, 0);
        g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, 0x87);
        p->tsih = get_be16(pdu.bhs + BHS_TSIH);
        g_assert_cmpuint(p->tsih, !=, 0);
}

void peer_discover(Peer *p)
{
        _pdu_ Pdu pdu = { 0 };

        g_assert_cmphex(
                peer_login_step(p, 0x87, "InitiatorName=" INITIATOR "|SessionType=Discovery", &pdu),
                ==, 0);
        g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, 0x87);
}

void command_bhs(Peer *p, uint8_t *bhs, uint8_t flags, uint8_t opcode, uint32_t lba,
                 uint16_t blocks, uint32_t edtl)
{
        memset(bhs, 0, BHS_SIZE);
        bhs[BHS_OPCODE] = OP_SCSI_COMMAND;
        bhs[BHS_FLAGS] = flags | 1;
        put_be32(bhs + BHS_ITT, ++p->itt);
        put_be32(bhs + BHS_EDTL, edtl);
        put_be32(bhs + BHS_CMDSN, p->cmdsn++);
        put_be32(bhs + BHS_EXP_STATSN, p->exp_statsn);
        bhs[BHS_CDB] = opcode;
        put_be32(bhs + BHS_CDB + 2, lba);
        put_be16(bhs + BHS_CDB + 7, blocks);
}

void data_out_bhs(Peer *p, uint8_t *bhs, uint32_t itt, uint32_t ttt, uint32_t datasn,
                  uint32_t offset, bool final)
{
        memset(bhs, 0, BHS_SIZE);
        bhs[BHS_OPCODE] = OP_DATA_OUT;
        bhs[BHS_FLAGS] = final ? FLAG_FINAL : 0;
        put_be32(bhs + BHS_ITT, itt);
        put_be32(bhs + BHS_TTT, ttt);
        put_be32(bhs + BHS_DATASN, datasn);
        put_be32(bhs + BHS_OFFSET, offset);
}

void result_clear(Result *r)
{
        g_clear_pointer(&r->data, g_free);
}

static void take_status(Result *ret, const Pdu *pdu)
{
        ret->status = pdu->bhs[BHS_STATUS];
        ret->flags = pdu->bhs[BHS_FLAGS] & (FLAG_OVERFLOW | FLAG_UNDERFLOW);
        ret->residual = get_be32(pdu->bhs + BHS_RESIDUAL);
        ret->exp_data_sn = get_be32(pdu->bhs + BHS_DATASN);
        if (pdu->length > 2 && bhs_opcode(pdu->bhs) == OP_SCSI_RESPONSE) {
                ret->sense_length = get_be16(pdu->data);
                g_assert_cmpuint(ret->sense_length + 2, ==, pdu->length);
                memcpy(ret->sense, pdu->data + 2, MIN(ret->sense_length, sizeof(ret->sense)));
        }
}

bool peer_result(Peer *p, uint32_t itt, Result *ret)
{
        _pdu_ Pdu pdu = { 0 };
        g_autoptr(GByteArray) data = g_byte_array_new();

        result_clear(ret);
        *ret = (Result){ 0 };
        while (peer_recv(p, &pdu)) {
                g_assert_cmphex(get_be32(pdu.bhs + BHS_ITT), ==, itt);
                if (bhs_opcode(pdu.bhs) == OP_DATA_IN) {
                        g_assert_cmpuint(get_be32(pdu.bhs + BHS_OFFSET), ==, data->len);
                        g_assert_cmpuint(get_be32(pdu.bhs + BHS_DATASN), ==, ret->n_data_in++);
                        g_byte_array_append(data, pdu.data, pdu.length);
                        if (!(pdu.bhs[BHS_FLAGS] & FLAG_STATUS))
                                continue;
                } else {
                        g_assert_cmphex(bhs_opcode(pdu.bhs), ==, OP_SCSI_RESPONSE);
                        if (pdu.read_data)
                                g_byte_array_append(data, pdu.read_data, pdu.read_length);
                }
                take_status(ret, &pdu);
                ret->length = data->len;
                ret->data = g_memdup2(data->data, data->len);
                return true;
        }
        return false;
}

Peer *peer_logged_in(World *w, PeerKind kind)
{
        Peer *p;

        world_init(w, NULL);
        p = peer_new(w, kind);
        peer_login(p, NULL);
        return p;
}

void peer_send_command(Peer *p, uint8_t flags, uint8_t opcode, uint16_t blocks, uint32_t edtl)
{
        uint8_t bhs[BHS_SIZE];

        command_bhs(p, bhs, flags, opcode, 0, blocks, edtl);
        peer_send(p, bhs, NULL, 0, NULL, 0);
}

void add_transport_tests(const char *group, const TransportTest *tests, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                g_autofree char *tcp = g_strdup_printf("%s/tcp/%s", group, tests[i].name),
                                *loop = g_strdup_printf("%s/loop/%s", group, tests[i].name);

                g_test_add_data_func(tcp, GINT_TO_POINTER(PEER_TCP), tests[i].func);
                g_test_add_data_func(loop, GINT_TO_POINTER(PEER_LOOP), tests[i].func);
        }
}
