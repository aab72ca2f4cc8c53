/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iscsi/framer.h"

/* Data-Out (RFC 7143 11.7, 11.8): every byte is checked against what was asked for before it is
 * put anywhere. DataPDUInOrder and DataSequenceInOrder hold, so that one offset says it all. */

static bool data_out_final(const uint8_t *bhs)
{
        return bhs[BHS_FLAGS] & FLAG_FINAL;
}

Command *data_out_command(Framer *f)
{
        Command *cmd = command_find(f->transport.conn, f->itt);

        /* a tag may have been given up in the middle of its payload */
        return cmd && cmd->out.serial == f->serial ? cmd : NULL;
}

/* Where the bytes of cmd from offset on go: *ret_n of n. NULL: they are thrown away. */
uint8_t *data_out_at(Conn *c, Command *cmd, uint32_t offset, uint32_t n, uint32_t *ret_n)
{
        DataOut *o = &cmd->out;
        uint32_t end;
        uint8_t *data;

        *ret_n = n;
        if (o->discard || o->error)
                return NULL;
        if (o->wanted) {
                end = (uint32_t)MIN((size_t)cmd->task.out_want, cmd->task.buffer->size);
                data = cmd->task.buffer->data;
        } else { /* the device server has not come to it: a gate is closed, or a CmdSN is missing */
                if (!o->early)
                        o->early = buffer_new(c->worker->early, o->limit);
                if (!o->early) {
                        o->error = -ENOMEM;
                        return NULL;
                }
                end = o->limit;
                data = o->early->data;
        }
        if (offset >= end)
                return NULL;
        *ret_n = min_u32(n, end - offset);
        return data + offset;
}

/* ---- checks ------------------------------------------------------------------------------- */

static uint32_t r2t_tag(const Command *cmd, uint32_t r2tsn)
{
        return (uint32_t)cmd->out.serial << 16 | (r2tsn & 0xffff);
}

/* NULL: as asked for. */
static const char *data_out_fault(const Command *cmd, const uint8_t *bhs)
{
        const DataOut *o = &cmd->out;
        uint32_t ttt = get_be32(bhs + BHS_TTT), offset = get_be32(bhs + BHS_OFFSET);
        uint32_t length = bhs_data_length(bhs), end;

        if (ttt == TAG_NONE) {
                if (!o->unsolicited)
                        return "Data-Out that was not asked for (RFC 7143 11.7.2)";
                end = o->limit;
        } else {
                if (o->r2t_done == o->r2t_built || ttt != r2t_tag(cmd, o->r2t_done))
                        return "Data-Out with a Target Transfer Tag that is not due (RFC 7143 "
                               "11.7.2)";
                end = o->burst_end;
        }
        if (offset != o->received)
                return "Data-Out with a wrong Buffer Offset (RFC 7143 11.7.4)";
        if (length > end - offset)
                return "Data-Out beyond what was asked for (RFC 7143 11.7.4)";
        if (ttt != TAG_NONE && data_out_final(bhs) != (offset + length == end))
                return "Data-Out with a wrong F bit (RFC 7143 11.7.1)";
        return NULL;
}

int data_out_header(Framer *f, const uint8_t *bhs)
{
        Conn *c = f->transport.conn;
        Command *cmd;
        const char *fault;

        f->target = RX_DISCARD;
        if (!conn_full_feature(c))
                return 0;
        c->received = true;
        if (c->session->info.discovery || bhs[BHS_AHS_LENGTH])
                return conn_protocol_error(c, REJECT_PROTOCOL_ERROR, bhs,
                                           "Data-Out in a discovery session, or with an AHS");
        cmd = command_find(c, get_be32(bhs + BHS_ITT));
        if (!cmd) {
                conn_reject(c, REJECT_INVALID_FIELD, bhs);
                return 0;
        }
        fault = data_out_fault(cmd, bhs);
        if (fault)
                return conn_protocol_error(c, REJECT_PROTOCOL_ERROR, bhs, "%s", fault);
        /* RFC 7143 7.9: a PDU before it was lost. Without recovery within the command, that ends
         * with an error when all has come; the session lives. */
        if (get_be32(bhs + BHS_DATASN) != cmd->out.datasn && !cmd->out.error)
                cmd->out.error = -EPROTO;
        c->traffic.data_out_pdus++;
        f->target = RX_COMMAND;
        f->itt = cmd->itt;
        f->serial = cmd->out.serial;
        f->offset = get_be32(bhs + BHS_OFFSET);
        return 0;
}

/* ---- progress ----------------------------------------------------------------------------- */

bool data_out_wants_r2t(const Command *cmd)
{
        const DataOut *o = &cmd->out;

        return o->wanted && !o->done && !o->discard && !o->error && !o->unsolicited &&
               o->asked < cmd->task.out_want &&
               o->r2t_built - o->r2t_done < cmd->conn->params.max_outstanding_r2t;
}

/* Is it all there? Ask for more if not. r says what command_data_in() is to say. */
static bool data_out_complete(Framer *f, Command *cmd, int *ret)
{
        DataOut *o = &cmd->out;

        if (!o->wanted || o->done || o->discard)
                return false;
        if (data_out_wants_r2t(cmd) && !list_linked(&o->r2t_link)) {
                list_append(&f->urgent, &o->r2t_link);
                conn_wake(f->transport.conn);
        }
        if (command_expects_data(cmd) || list_linked(&o->r2t_link))
                return false;
        *ret = o->error;
        return o->error || o->received >= cmd->task.out_want;
}

static void sequence_done(DataOut *o, bool unsolicited, uint32_t max_burst)
{
        o->datasn = 0;
        if (unsolicited) {
                o->unsolicited = false;
                o->asked = o->received;
                return;
        }
        o->r2t_done++;
        o->burst_end = min_u32(o->burst_end + max_burst, o->asked);
}

void data_out_pdu_done(Framer *f, bool bad)
{
        Conn *c = f->transport.conn;
        Command *cmd = data_out_command(f);
        bool immediate = bhs_opcode(f->head) == OP_SCSI_COMMAND;
        bool unsolicited = immediate || get_be32(f->head + BHS_TTT) == TAG_NONE;
        DataOut *o;
        int r;

        if (bad)
                conn_reject(c, REJECT_DATA_DIGEST, f->head);
        if (!cmd)
                return;
        o = &cmd->out;
        if (bad && !o->error)
                o->error = -EBADMSG;
        o->received += f->length;
        if (!immediate)
                o->datasn++;
        if (data_out_final(f->head))
                sequence_done(o, unsolicited, c->params.max_burst);
        if (cmd->state == COMMAND_WAIT_FINAL || cmd->state == COMMAND_DRAINING)
                command_final(cmd);
        else if (data_out_complete(f, cmd, &r))
                command_data_in(cmd, r);
}

/* The device server may call from inside task_submit(): what is complete already is said later. */
int framer_get_data(Transport *t, Command *cmd)
{
        Framer *f = CONTAINER_OF(t, Framer, transport);
        IscsiWorker *w = t->conn->worker;
        DataOut *o = &cmd->out;
        int r;

        if (o->early) {
                memcpy(cmd->task.buffer->data, o->early->data,
                       min_u32(o->placed, cmd->task.out_want));
                o->early = buffer_unref(o->early);
        }
        if (!o->unsolicited)
                o->asked = MAX(o->asked, o->received);
        if (data_out_complete(f, cmd, &r)) {
                list_append(&w->ready, &o->r2t_link);
                loop_defer(w->loop, &w->ready_task);
        }
        return 0;
}
