/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <isa-l/crc.h>

#include "iscsi/framer.h"

/* Receiving: states that can be left and entered anywhere in the stream. */

#define BULK_SIZE (32 * KIB) /* a payload from which on the next one is not read ahead */
#define BULK_READ_AHEAD 512  /* digests, and headers that follow */

uint32_t digest_add(uint32_t crc, const void *p, size_t n)
{
        return n ? crc32_iscsi((unsigned char *)p, (int)n, crc) : crc;
}

void digest_put(uint32_t crc, uint8_t ret[DIGEST_SIZE])
{
        crc = ~crc;
        for (unsigned i = 0; i < DIGEST_SIZE; i++)
                ret[i] = (uint8_t)(crc >> 8 * i);
}

static bool digest_matches(uint32_t crc, const uint8_t *p)
{
        uint8_t ours[DIGEST_SIZE];

        digest_put(crc, ours);
        return memcmp(ours, p, DIGEST_SIZE) == 0;
}

static void begin_pdu(Framer *f)
{
        free(f->body);
        f->body = NULL;
        f->rx = RX_BHS;
        f->target = RX_DISCARD;
        f->have = 0;
        f->need = BHS_SIZE;
}

/* ---- the end of a PDU --------------------------------------------------------------------- */

static int notify(Framer *f, const uint8_t *data, Command **ret_cmd)
{
        ControlPdu pdu = { .bhs = f->head,
                           .ahs = f->head + BHS_SIZE,
                           .ahs_length = f->head[BHS_AHS_LENGTH] * 4u,
                           .data = data,
                           .data_length = f->length };

        return conn_control_notify(f->transport.conn, &pdu, ret_cmd);
}

static int end_pdu(Framer *f, const uint8_t *body, bool bad)
{
        Conn *c = f->transport.conn;
        Command *cmd;
        int r = 0;

        if (f->target == RX_COMMAND)
                data_out_pdu_done(f, bad);
        else if (f->target == RX_BODY) {
                if (bad)
                        r = conn_protocol_error(c, REJECT_DATA_DIGEST, f->head,
                                                "data digest error in a PDU with opcode %02x",
                                                bhs_opcode(f->head));
                else
                        r = notify(f, body, &cmd);
        }
        begin_pdu(f);
        return r;
}

/* ---- the header --------------------------------------------------------------------------- */

static uint32_t length_limit(const Conn *c)
{
        return c->session ? c->params.max_recv_data_segment : LOGIN_SEGMENT_MAX;
}

/* The BHS is there: how much more header is to come? */
static int check_bhs(Framer *f)
{
        Conn *c = f->transport.conn;
        uint32_t ahs = f->head[BHS_AHS_LENGTH] * 4u;

        f->length = bhs_data_length(f->head);
        if (f->length > length_limit(c))
                return conn_protocol_error(
                        c, REJECT_PROTOCOL_ERROR, c->session ? f->head : NULL,
                        "a data segment of %u bytes; MaxRecvDataSegmentLength is %u", f->length,
                        length_limit(c));
        if (ahs > AHS_MAX)
                return conn_protocol_error(c, REJECT_INVALID_FIELD, c->session ? f->head : NULL,
                                           "additional header segments of %u bytes", ahs);
        f->need = BHS_SIZE + ahs + (f->rx_header_digest ? DIGEST_SIZE : 0);
        f->rx = RX_HEADER;
        return 0;
}

static bool header_digest_ok(const Framer *f)
{
        uint32_t n = f->need - DIGEST_SIZE;

        return !f->rx_header_digest ||
               digest_matches(digest_add(digest_begin(), f->head, n), f->head + n);
}

static int dispatch_header(Framer *f)
{
        Conn *c = f->transport.conn;
        uint8_t opcode = bhs_opcode(f->head);
        Command *cmd = NULL;
        int r;

        f->target = RX_DISCARD;
        if (opcode == OP_DATA_OUT && c->session)
                return data_out_header(f, f->head);
        if (opcode != OP_SCSI_COMMAND || !c->session) {
                f->target = RX_BODY;
                return 0;
        }
        r = notify(f, NULL, &cmd);
        if (r < 0)
                return r;
        if (cmd && f->length > 0) {
                f->target = RX_COMMAND;
                f->itt = cmd->itt;
                f->serial = cmd->out.serial;
                f->offset = 0;
        }
        return 0;
}

/* The header is whole. */
static int begin_data(Framer *f)
{
        Conn *c = f->transport.conn;
        int r;

        if (!header_digest_ok(f)) {
                conn_terminate_notify(c, -EBADMSG, "header digest error (RFC 7143 7.7)");
                return -EBADMSG;
        }
        r = dispatch_header(f);
        if (r < 0)
                return r;
        f->done = 0;
        f->tail_have = 0;
        f->tail_need = 0;
        if (f->length == 0)
                return end_pdu(f, NULL, false);
        f->tail_need = (uint8_t)(pad4(f->length) + (f->rx_data_digest ? DIGEST_SIZE : 0));
        f->crc = digest_begin();
        f->rx = RX_DATA;
        return 0;
}

/* ---- data and what follows it ------------------------------------------------------------- */

static int end_tail(Framer *f)
{
        bool bad = false;

        if (f->rx_data_digest) {
                uint32_t pad = f->tail_need - (uint32_t)DIGEST_SIZE;

                bad = !digest_matches(digest_add(f->crc, f->tail, pad), f->tail + pad);
        }
        return end_pdu(f, f->body, bad);
}

/* n more bytes of data are where they belong. */
static int advance_data(Framer *f, const uint8_t *p, uint32_t n)
{
        if (f->rx_data_digest && p) /* without p they are thrown away, whatever they were */
                f->crc = digest_add(f->crc, p, n);
        f->done += n;
        if (f->done < f->length)
                return 0;
        f->rx = RX_TAIL;
        return f->tail_need == 0 ? end_tail(f) : 0;
}

static void place(Framer *f, const uint8_t *p, uint32_t n)
{
        Conn *c = f->transport.conn;
        Command *cmd = data_out_command(f);

        uint8_t *at = NULL;
        uint32_t m;

        if (cmd)
                at = data_out_at(c, cmd, f->offset + f->done, n, &m);
        if (!at)
                return;
        memcpy(at, p, m); /* what is beyond m is more than the command takes */
        cmd->out.placed = MAX(cmd->out.placed, f->offset + f->done + m);
}

/* A whole segment in scratch is used where it is. */
static int use_in_place(Framer *f, const uint8_t *p)
{
        uint32_t pad = pad4(f->length);
        bool bad = f->rx_data_digest &&
                   !digest_matches(digest_add(f->crc, p, f->length + pad), p + f->length + pad);

        return end_pdu(f, p, bad);
}

/* Returns how many of n bytes were taken, or negative. */
static ssize_t take_data(Framer *f, const uint8_t *p, size_t n)
{
        uint32_t m = (uint32_t)MIN(n, f->length - f->done);
        int r;

        if (f->target == RX_BODY && !f->body) {
                if (n >= (size_t)f->length + f->tail_need) {
                        m = f->length + f->tail_need;
                        r = use_in_place(f, p);
                        return r < 0 ? r : (ssize_t)m;
                }
                f->body = malloc(f->length);
                if (!f->body) {
                        conn_terminate_notify(f->transport.conn, -ENOMEM, "out of memory");
                        return -ENOMEM;
                }
        }
        if (f->target == RX_BODY)
                memcpy(f->body + f->done, p, m);
        else if (f->target == RX_COMMAND)
                place(f, p, m);
        r = advance_data(f, p, m);
        return r < 0 ? r : (ssize_t)m;
}

static ssize_t take_tail(Framer *f, const uint8_t *p, size_t n)
{
        uint8_t m = (uint8_t)MIN(n, (size_t)(f->tail_need - f->tail_have));
        int r = 0;

        memcpy(f->tail + f->tail_have, p, m);
        f->tail_have = (uint8_t)(f->tail_have + m);
        if (f->tail_have == f->tail_need)
                r = end_tail(f);
        return r < 0 ? r : m;
}

static ssize_t take_header(Framer *f, const uint8_t *p, size_t n)
{
        uint32_t m = (uint32_t)MIN(n, (size_t)(f->need - f->have));
        int r = 0;

        memcpy(f->head + f->have, p, m);
        f->have += m;
        if (f->have == f->need && f->rx == RX_BHS)
                r = check_bhs(f);
        if (r == 0 && f->have == f->need && f->rx == RX_HEADER)
                r = begin_data(f);
        return r < 0 ? r : (ssize_t)m;
}

static void consume(Framer *f, const uint8_t *p, size_t n)
{
        Conn *c = f->transport.conn;

        while (n > 0 && !c->terminating) {
                ssize_t m;

                switch (f->rx) {
                case RX_DATA:
                        m = take_data(f, p, n);
                        break;
                case RX_TAIL:
                        m = take_tail(f, p, n);
                        break;
                default:
                        m = take_header(f, p, n);
                        break;
                }
                if (m < 0) {
                        if (!c->terminating)
                                conn_terminate_notify(c, (int)m, "no memory to go on");
                        return;
                }
                p += m;
                n -= (size_t)m;
        }
}

/* ---- the owner's side --------------------------------------------------------------------- */

/* Where payload goes without a stop in scratch; 0: nowhere. */
static uint32_t direct_target(Framer *f, struct iovec *ret)
{
        uint32_t left = f->length - f->done, n = 0;
        uint8_t *at = NULL;
        Command *cmd;

        if (f->rx != RX_DATA || left == 0)
                return 0;
        if (f->target == RX_BODY && f->body) {
                at = f->body + f->done;
                n = left;
        } else if (f->target == RX_COMMAND) {
                cmd = data_out_command(f);
                if (cmd)
                        at = data_out_at(f->transport.conn, cmd, f->offset + f->done, left, &n);
        }
        if (!at)
                return 0;
        *ret = (struct iovec){ .iov_base = at, .iov_len = n };
        return n;
}

size_t conn_want(Conn *c, struct iovec *iov, size_t max)
{
        Framer *f = framer_of(c);
        size_t ahead = c->worker->scratch_size, n = 0;

        c->woken = false;
        if (c->terminating || c->claiming || c->login_pending || c->claimed || max == 0)
                return 0;
        if (f->queued > c->worker->limits.tx_queue_max) { /* it does not read: nor do we */
                c->want_again = true;
                return 0;
        }
        f->direct = direct_target(f, iov);
        if (f->direct > 0)
                n++;
        if (f->bulk || f->direct >= BULK_SIZE)
                ahead = BULK_READ_AHEAD;
        /* beyond a part of the segment there is more of it to come: no scratch behind that */
        if (n < max && (n == 0 || f->direct == f->length - f->done))
                iov[n++] = (struct iovec){ .iov_base = c->worker->scratch, .iov_len = ahead };
        return n;
}

/* The stream has put n bytes where direct_target() said. */
static int advance_direct(Framer *f, uint32_t n)
{
        const uint8_t *at = NULL;
        uint32_t m;

        if (f->target == RX_BODY)
                at = f->body + f->done;
        else {
                Command *cmd = data_out_command(f);

                if (cmd)
                        at = data_out_at(f->transport.conn, cmd, f->offset + f->done, n, &m);
                if (at)
                        cmd->out.placed = MAX(cmd->out.placed, f->offset + f->done + n);
        }
        return advance_data(f, at, n);
}

void conn_got(Conn *c, size_t n)
{
        Framer *f = framer_of(c);
        uint32_t direct = (uint32_t)MIN(n, f->direct);

        f->direct = 0;
        if (c->terminating || c->closed)
                return;
        if (n == 0) {
                conn_terminate_notify(c, 0, "the initiator closed the connection");
                return;
        }
        c->traffic.rx_bytes += n;
        scsi_worker_tick(c->worker->scsi);
        if (direct > 0 && advance_direct(f, direct) < 0)
                return;
        consume(f, c->worker->scratch, n - direct);
        /* a header of a large segment with little of it read: what follows is large as well */
        f->bulk = f->rx == RX_DATA ? f->length >= BULK_SIZE : f->bulk && n >= BULK_SIZE;
}

/* ---- life --------------------------------------------------------------------------------- */

static void framer_enable(Transport *t)
{
        Framer *f = CONTAINER_OF(t, Framer, transport);

        f->rx_header_digest = f->tx_header_digest =
                t->conn->params.header_digest == ISCSI_DIGEST_CRC32C;
        f->rx_data_digest = f->tx_data_digest = t->conn->params.data_digest == ISCSI_DIGEST_CRC32C;
        /* a digest must be that of the bytes which follow it */
        t->takes_memory = !f->tx_data_digest;
}

static void framer_terminate(Transport *t)
{
        /* what is queued goes out by conn_out(); conn_finished() says that no more follows */
}

static void framer_free(Transport *t)
{
        Framer *f = CONTAINER_OF(t, Framer, transport);

        framer_tx_free(f);
        free(f->body);
        free(f);
}

int framer_new(IscsiWorker *w, Transport **ret)
{
        Framer *f = calloc(1, sizeof(*f));

        if (!f)
                return -ENOMEM;
        f->transport.ops = &framer_ops;
        list_init(&f->urgent);
        list_init(&f->queue);
        list_init(&f->built);
        begin_pdu(f);
        *ret = &f->transport;
        return 0;
}

const TransportOps framer_ops = {
        .name = "tcp",
        .send_control = framer_send_control,
        .put_data = framer_put_data,
        .get_data = framer_get_data,
        .release = framer_release,
        .moved = framer_moved,
        .enable = framer_enable,
        .terminate = framer_terminate,
        .free = framer_free,
};
