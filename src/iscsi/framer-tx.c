/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iscsi/framer.h"

/* Sending: what the engine queued becomes PDUs when the stream has room for them. */

#define TX_OVERHEAD 512      /* counted for each thing that waits: its objects */
#define TX_OUT_MAX (4 * MIB) /* one conn_out() */
#define TX_SMALL 112         /* a sense, a rejected header */
#define TX_QUEUE_SLACK (16 * MIB)

typedef struct TxPdu {
        TxItem item;  /* in queue, then in built */
        Command *cmd; /* whose buffers iov names */
        bool last;    /* of cmd */
        bool header_digest, data_digest;
        uint8_t head_length, tail_length, n_iov;
        uint32_t length; /* of all, when built */
        uint32_t data_length;
        struct iovec iov[2];
        uint8_t *owned;
        uint8_t head[BHS_SIZE + DIGEST_SIZE];
        uint8_t tail[8];
        uint8_t small[TX_SMALL];
} TxPdu;

size_t tx_pdu_size(void)
{
        return sizeof(TxPdu);
}

size_t tx_pdu_clear(void)
{
        return offsetof(TxPdu, tail);
}

static TxPdu *pdu_new(Framer *f)
{
        return pool_alloc(&f->transport.conn->worker->pdus);
}

static void pdu_free(Framer *f, TxPdu *pdu)
{
        list_remove(&pdu->item.link);
        f->queued -= pdu->item.cost;
        free(pdu->owned);
        pool_free(&f->transport.conn->worker->pdus, pdu);
}

/* ---- building ----------------------------------------------------------------------------- */

/* The data segment stands in iov: length, padding and digests. */
static void seal(Framer *f, TxPdu *pdu)
{
        uint32_t pad = pad4(pdu->data_length);

        put_be24(pdu->head + BHS_DATA_LENGTH, pdu->data_length);
        conn_stamp(f->transport.conn, pdu->head);
        pdu->head_length = BHS_SIZE;
        if (pdu->header_digest) {
                digest_put(digest_add(digest_begin(), pdu->head, BHS_SIZE), pdu->head + BHS_SIZE);
                pdu->head_length += DIGEST_SIZE;
        }
        memset(pdu->tail, 0, sizeof(pdu->tail));
        pdu->tail_length = (uint8_t)pad;
        if (pdu->data_digest && pdu->data_length > 0) {
                uint32_t crc = digest_begin();

                for (unsigned i = 0; i < pdu->n_iov; i++)
                        crc = digest_add(crc, pdu->iov[i].iov_base, pdu->iov[i].iov_len);
                digest_put(digest_add(crc, pdu->tail, pad), pdu->tail + pad);
                pdu->tail_length = (uint8_t)(pad + DIGEST_SIZE);
        }
        pdu->length = pdu->head_length + pdu->data_length + pdu->tail_length;
        list_append(&f->built, &pdu->item.link);
}

static void set_data(TxPdu *pdu, void *data, uint32_t length)
{
        pdu->data_length = length;
        if (length == 0)
                return;
        pdu->iov[0] = (struct iovec){ .iov_base = data, .iov_len = length };
        pdu->n_iov = 1;
}

static TxPdu *pdu_for(Framer *f, Command *cmd)
{
        TxPdu *pdu = pdu_new(f);

        if (!pdu)
                return NULL;
        pdu->cmd = cmd;
        pdu->header_digest = f->tx_header_digest;
        pdu->data_digest = f->tx_data_digest;
        return pdu;
}

static int build_r2t(Framer *f, Command *cmd)
{
        DataOut *o = &cmd->out;
        uint32_t length;
        TxPdu *pdu;

        if (!data_out_wants_r2t(cmd)) {
                list_remove(&o->r2t_link);
                return 0;
        }
        pdu = pdu_for(f, NULL);
        if (!pdu)
                return -ENOMEM;
        length = min_u32(cmd->conn->params.max_burst, cmd->task.out_want - o->asked);
        pdu->head[BHS_OPCODE] = OP_R2T;
        pdu->head[BHS_FLAGS] = FLAG_FINAL;
        memcpy(pdu->head + BHS_LUN, cmd->task.lun, sizeof(cmd->task.lun));
        put_be32(pdu->head + BHS_ITT, cmd->itt);
        put_be32(pdu->head + BHS_TTT, (uint32_t)o->serial << 16 | (o->r2t_built & 0xffff));
        put_be32(pdu->head + BHS_DATASN, o->r2t_built);
        put_be32(pdu->head + BHS_OFFSET, o->asked);
        put_be32(pdu->head + BHS_R2T_LENGTH, length);
        if (o->r2t_done == o->r2t_built)
                o->burst_end = o->asked + length;
        o->asked += length;
        o->r2t_built++;
        if (!data_out_wants_r2t(cmd))
                list_remove(&o->r2t_link);
        seal(f, pdu);
        return 0;
}

static void slice(const Task *task, uint32_t offset, uint32_t n, TxPdu *pdu)
{
        pdu->data_length = n;
        for (unsigned i = 0; i < task->n_in_iov && n > 0; i++) {
                size_t size = task->in_iov[i].iov_len, m;

                if (offset >= size) {
                        offset -= (uint32_t)size;
                        continue;
                }
                m = MIN(size - offset, (size_t)n);
                pdu->iov[pdu->n_iov++] =
                        (struct iovec){ .iov_base = (uint8_t *)task->in_iov[i].iov_base + offset,
                                        .iov_len = m };
                n -= (uint32_t)m;
                offset = 0;
        }
}

/* RFC 7143 11.7.3: status may ride on the last Data-In unless there is more to say. */
static bool collapses(const Task *task)
{
        return task->sense_length == 0 &&
               (task->status == SCSI_GOOD || task->status == SCSI_CONDITION_MET);
}

static void build_data_in(Framer *f, Command *cmd, TxPdu *pdu)
{
        const IscsiParams *p = &cmd->conn->params;
        const Task *task = &cmd->task;
        DataIn *in = &cmd->in;
        uint32_t n = min_u32(min_u32(p->max_xmit_data_segment, p->max_burst - in->burst),
                             task->in_length - in->offset);
        bool end = in->offset + n == task->in_length;

        pdu->head[BHS_OPCODE] = OP_DATA_IN;
        put_be32(pdu->head + BHS_ITT, cmd->itt);
        put_be32(pdu->head + BHS_TTT, TAG_NONE);
        put_be32(pdu->head + BHS_DATASN, in->datasn++);
        put_be32(pdu->head + BHS_OFFSET, in->offset);
        slice(task, in->offset, n, pdu);
        in->offset += n;
        in->burst += n;
        if (end || in->burst == p->max_burst) {
                pdu->head[BHS_FLAGS] |= FLAG_FINAL;
                in->burst = 0;
        }
        if (end && collapses(task)) {
                pdu->head[BHS_FLAGS] |= FLAG_STATUS;
                pdu->head[BHS_STATUS] = (uint8_t)task->status;
                command_residual(cmd, pdu->head);
                command_leave_window(cmd);
                in->built = pdu->last = true;
        }
        cmd->conn->traffic.data_in_pdus++;
        seal(f, pdu);
}

static void build_response(Framer *f, Command *cmd, TxPdu *pdu)
{
        const Task *task = &cmd->task;
        uint32_t sense = min_u32(task->sense_length, SENSE_MAX);

        command_response(cmd, task->writes ? cmd->out.r2t_built : cmd->in.datasn, pdu->head);
        if (sense > 0) {
                put_be16(pdu->small, (uint16_t)sense);
                memcpy(pdu->small + 2, task->sense, sense);
                set_data(pdu, pdu->small, sense + 2);
        }
        cmd->in.built = pdu->last = true;
        seal(f, pdu);
}

static int build_command(Framer *f, Command *cmd)
{
        TxPdu *pdu = pdu_for(f, cmd);

        if (!pdu)
                return -ENOMEM;
        if (cmd->in.offset < cmd->task.in_length)
                build_data_in(f, cmd, pdu);
        else
                build_response(f, cmd, pdu);
        if (cmd->in.built)
                list_remove(&cmd->tx.link);
        return 0;
}

/* One PDU more. false: nothing waits, or no memory (then the next conn_sent() tries again). */
static bool build_next(Framer *f)
{
        TxItem *item;
        TxPdu *pdu;

        if (!list_empty(&f->urgent))
                return build_r2t(f, LIST_ENTRY(f->urgent.next, Command, out.r2t_link)) == 0;
        item = LIST_FIRST(&f->queue, TxItem, link);
        if (!item)
                return false;
        if (item->command)
                return build_command(f, CONTAINER_OF(item, Command, tx)) == 0;
        pdu = CONTAINER_OF(item, TxPdu, item);
        list_remove(&item->link);
        seal(f, pdu);
        return true;
}

/* ---- the engine's side -------------------------------------------------------------------- */

int framer_send_control(Transport *t, const uint8_t bhs[BHS_SIZE], const void *data, size_t length)
{
        Framer *f = CONTAINER_OF(t, Framer, transport);
        TxPdu *pdu;

        if (f->queued > t->conn->worker->limits.tx_queue_max + TX_QUEUE_SLACK)
                return -ENOBUFS;
        pdu = pdu_for(f, NULL);
        if (!pdu)
                return -ENOMEM;
        memcpy(pdu->head, bhs, BHS_SIZE);
        if (length > TX_SMALL) {
                pdu->owned = malloc(length);
                if (!pdu->owned) {
                        pdu_free(f, pdu);
                        return -ENOMEM;
                }
        }
        if (length > 0) {
                uint8_t *copy = pdu->owned ? pdu->owned : pdu->small;

                memcpy(copy, data, length);
                set_data(pdu, copy, (uint32_t)length);
        }
        pdu->item.cost = length + TX_OVERHEAD;
        f->queued += pdu->item.cost;
        list_append(&f->queue, &pdu->item.link);
        conn_wake(t->conn);
        return 0;
}

int framer_put_data(Transport *t, Command *cmd)
{
        Framer *f = CONTAINER_OF(t, Framer, transport);

        cmd->tx = (TxItem){ .command = true, .cost = cmd->task.in_length + TX_OVERHEAD };
        f->queued += cmd->tx.cost;
        list_append(&f->queue, &cmd->tx.link);
        conn_wake(t->conn);
        return 0;
}

static int copy_data(const TxPdu *pdu, uint8_t *p)
{
        const StoreLoan *loan = &pdu->cmd->task.loan;
        const uint8_t *lent = pdu->iov[0].iov_base;

        if (loan->memory)
                return store_loan_read(loan, (uint64_t)(lent - loan->memory), p, pdu->data_length);
        for (unsigned i = 0; i < pdu->n_iov; i++) {
                memcpy(p, pdu->iov[i].iov_base, pdu->iov[i].iov_len);
                p += pdu->iov[i].iov_len;
        }
        return 0;
}

/* A PDU that is half on the wire must end as it began, though its buffers go. */
static bool own_data(TxPdu *pdu)
{
        uint8_t *copy = malloc(MAX(pdu->data_length, 1u));

        if (!copy || copy_data(pdu, copy) < 0) {
                free(copy);
                return false;
        }
        pdu->owned = copy;
        pdu->n_iov = 0;
        set_data(pdu, copy, pdu->data_length);
        pdu->cmd = NULL;
        pdu->last = false;
        return true;
}

void framer_release(Transport *t, Command *cmd)
{
        Framer *f = CONTAINER_OF(t, Framer, transport);

        cmd->out.discard = true;
        list_remove(&cmd->out.r2t_link);
        list_remove(&cmd->tx.link);
        f->queued -= cmd->tx.cost;
        cmd->tx.cost = 0;
        if (cmd->state != COMMAND_RESPONDING)
                return; /* nothing of it was built */
        LIST_FOREACH_SAFE (item, &f->built, TxItem, link) {
                TxPdu *pdu = CONTAINER_OF(item, TxPdu, item);

                if (pdu->cmd != cmd)
                        continue;
                if (f->built.next != &item->link || f->sent == 0)
                        pdu_free(f, pdu);
                else if (!own_data(pdu)) {
                        conn_break(t->conn);
                        f->sent = 0;
                        pdu_free(f, pdu);
                }
        }
}

void framer_moved(Transport *t, Command *cmd, const uint8_t *from)
{
        uint8_t *to = cmd->task.in_iov[0].iov_base;

        LIST_FOREACH (item, &CONTAINER_OF(t, Framer, transport)->built, TxItem, link) {
                TxPdu *pdu = CONTAINER_OF(item, TxPdu, item);

                if (pdu->cmd == cmd && pdu->n_iov > 0)
                        pdu->iov[0].iov_base = to + ((uint8_t *)pdu->iov[0].iov_base - from);
        }
}

void framer_tx_free(Framer *f)
{
        LIST_FOREACH_SAFE (item, &f->built, TxItem, link)
                pdu_free(f, CONTAINER_OF(item, TxPdu, item));
        LIST_FOREACH_SAFE (item, &f->queue, TxItem, link)
                if (!item->command) /* commands were dropped before */
                        pdu_free(f, CONTAINER_OF(item, TxPdu, item));
}

static unsigned count_pdus(const Framer *f)
{
        unsigned n = 0;

        LIST_FOREACH (item, &f->built, TxItem, link)
                n++;
        LIST_FOREACH (item, &f->queue, TxItem, link)
                n += !item->command;
        return n;
}

/* Pool objects wander with their connection. */
void framer_detach(Transport *t)
{
        t->conn->worker->pdus.n_used -= count_pdus(CONTAINER_OF(t, Framer, transport));
}

void framer_attach(Transport *t)
{
        t->conn->worker->pdus.n_used += count_pdus(CONTAINER_OF(t, Framer, transport));
}

/* ---- the owner's side --------------------------------------------------------------------- */

typedef struct Gather {
        struct iovec *iov;
        size_t n, max, skip, bytes;
} Gather;

static bool gather(Gather *g, const void *p, size_t n)
{
        size_t skip = MIN(g->skip, n);

        g->skip -= skip;
        if (n == skip)
                return true;
        if (g->n == g->max)
                return false;
        g->iov[g->n++] = (struct iovec){ .iov_base = (uint8_t *)p + skip, .iov_len = n - skip };
        g->bytes += n - skip;
        return true;
}

static bool gather_pdu(Gather *g, const TxPdu *pdu)
{
        bool more = gather(g, pdu->head, pdu->head_length);

        for (unsigned i = 0; i < pdu->n_iov && more; i++)
                more = gather(g, pdu->iov[i].iov_base, pdu->iov[i].iov_len);
        return more && gather(g, pdu->tail, pdu->tail_length);
}

size_t conn_out(Conn *c, struct iovec *iov, size_t max)
{
        Framer *f = framer_of(c);
        Gather g = { .iov = iov, .max = max, .skip = f->sent };
        List *at = &f->built;

        c->woken = false;
        if (c->aborted || c->closed)
                return 0;
        while (g.n < g.max && g.bytes < TX_OUT_MAX) {
                if (at->next == &f->built && !build_next(f))
                        break;
                if (at->next == &f->built)
                        continue; /* an R2T that was no longer wanted */
                at = at->next;
                if (!gather_pdu(&g, CONTAINER_OF(LIST_ENTRY(at, TxItem, link), TxPdu, item)))
                        break;
        }
        return g.n;
}

static void pdu_sent(Framer *f, TxPdu *pdu)
{
        Command *cmd = pdu->last ? pdu->cmd : NULL;

        pdu_free(f, pdu);
        if (!cmd)
                return;
        f->queued -= cmd->tx.cost;
        cmd->tx.cost = 0;
        command_sent(cmd);
}

void conn_sent(Conn *c, size_t n)
{
        Framer *f = framer_of(c);

        c->traffic.tx_bytes += n;
        scsi_worker_tick(c->worker->scsi);
        f->sent += n;
        for (;;) {
                TxItem *item = LIST_FIRST(&f->built, TxItem, link);
                TxPdu *pdu = item ? CONTAINER_OF(item, TxPdu, item) : NULL;

                if (!pdu || f->sent < pdu->length)
                        break;
                f->sent -= pdu->length;
                pdu_sent(f, pdu);
        }
        if (c->want_again && f->queued <= c->worker->limits.tx_queue_max / 2) {
                c->want_again = false;
                conn_wake(c);
        }
}
