/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iscsi/command.h"

#include "iscsi/session.h"

/* SCSI commands: from the PDU to the device server and back to the transport. */

static void on_get_data(Task *task);
static void on_complete(Task *task);
static void on_aborted(Task *task, bool with_status);
static void on_recalled(Task *task, const uint8_t *from);

static const TaskOps task_ops = { .get_data = on_get_data,
                                  .complete = on_complete,
                                  .aborted = on_aborted,
                                  .recalled = on_recalled };

static List *itt_bucket(Conn *c, uint32_t itt)
{
        return &c->itt[itt * UINT32_C(2654435761) >> 26]; /* ITT_BUCKETS is 1 << 6 */
}

Command *command_find(Conn *c, uint32_t itt)
{
        LIST_FOREACH (cmd, itt_bucket(c, itt), Command, hash_link)
                if (cmd->itt == itt)
                        return cmd;
        return NULL;
}

void command_leave_window(Command *cmd)
{
        if (!cmd->windowed)
                return;
        cmd->windowed = false;
        cmd->conn->n_windowed--;
}

static Command *command_free(Command *cmd)
{
        Conn *c = cmd->conn;

        command_leave_window(cmd);
        list_remove(&cmd->link);
        list_remove(&cmd->hash_link);
        list_remove(&cmd->held_link);
        list_remove(&cmd->out.r2t_link);
        buffer_unref(cmd->out.early);
        free(cmd->long_cdb);
        if (cmd->immediate)
                c->n_immediate--;
        if (cmd->state == COMMAND_DRAINING)
                c->n_draining--;
        c->n_commands--;
        pool_free(&c->worker->commands, cmd);
        conn_release(c);
        return NULL;
}

bool command_expects_data(const Command *cmd)
{
        return cmd->out.unsolicited || cmd->out.r2t_done != cmd->out.r2t_built;
}

/* Over, but for Data-Out that the initiator was asked for: its ITT is kept until that has come. */
static void command_drain(Command *cmd)
{
        Conn *c = cmd->conn;

        /* beyond the limit what still comes is rejected, as for any tag that nobody has */
        if (!command_expects_data(cmd) || c->terminating || c->ended ||
            c->n_draining >= DRAINING_MAX) {
                command_free(cmd);
                return;
        }
        command_leave_window(cmd);
        cmd->out.discard = true;
        cmd->out.early = buffer_unref(cmd->out.early);
        cmd->state = COMMAND_DRAINING;
        c->n_draining++;
}

/* ---- from the device server --------------------------------------------------------------- */

static void on_get_data(Task *task)
{
        Command *cmd = CONTAINER_OF(task, Command, task);

        cmd->out.wanted = true;
        cmd->conn->transport->ops->get_data(cmd->conn->transport, cmd);
}

static void respond(Command *cmd)
{
        Conn *c = cmd->conn;

        cmd->state = COMMAND_RESPONDING;
        if (c->aborted || c->closed || c->transport->ops->put_data(c->transport, cmd) < 0)
                command_sent(cmd);
}

static void on_complete(Task *task)
{
        Command *cmd = CONTAINER_OF(task, Command, task);

        if (cmd->conn->session && cmd->conn->ended && !cmd->conn->logout_pending) {
                cmd->state = COMMAND_RESPONDING;
                command_sent(cmd);
                return;
        }
        if (command_expects_data(cmd)) {
                cmd->out.discard = true;
                cmd->state = COMMAND_WAIT_FINAL;
                return;
        }
        respond(cmd);
}

static void on_aborted(Task *task, bool with_status)
{
        Command *cmd = CONTAINER_OF(task, Command, task);
        Conn *c = cmd->conn;

        c->transport->ops->release(c->transport, cmd);
        cmd->out.discard = true;
        if (with_status && !c->ended && !c->terminating) {
                task->in_length = 0;
                task->n_in_iov = 0;
                respond(cmd);
                return;
        }
        task_release(task);
        command_drain(cmd);
}

static void on_recalled(Task *task, const uint8_t *from)
{
        Command *cmd = CONTAINER_OF(task, Command, task);
        Conn *c = cmd->conn;

        if (task->n_in_iov > 0)
                c->transport->ops->moved(c->transport, cmd, from);
        else
                conn_break(c);
}

/* ---- from the transport ------------------------------------------------------------------- */

void command_data_in(Command *cmd, int r)
{
        if (cmd->out.done || cmd->state != COMMAND_SUBMITTED)
                return;
        cmd->out.done = true;
        task_data_out_done(&cmd->task, r);
}

void command_final(Command *cmd)
{
        if (command_expects_data(cmd))
                return;
        if (cmd->state == COMMAND_WAIT_FINAL)
                respond(cmd);
        else if (cmd->state == COMMAND_DRAINING)
                command_free(cmd);
}

void command_sent(Command *cmd)
{
        if (cmd->submitted)
                task_release(&cmd->task);
        command_drain(cmd);
}

static void put_residual(uint8_t *bhs, uint64_t expected, uint64_t wanted)
{
        uint64_t residual = wanted > expected ? wanted - expected : expected - wanted;

        if (residual == 0)
                return;
        bhs[BHS_FLAGS] |= wanted > expected ? FLAG_OVERFLOW : FLAG_UNDERFLOW;
        put_be32(bhs + BHS_RESIDUAL, (uint32_t)min_u64(residual, UINT32_MAX));
}

/* RFC 7143 11.4.5: what the command had or took, against what the initiator expected. */
void command_residual(const Command *cmd, uint8_t *bhs)
{
        const Task *task = &cmd->task;

        if (task->reads) {
                uint64_t wanted = task->in_wanted;

                /* an error sends less than the command had: that was not transferred */
                if (task->in_length < min_u64(wanted, task->in_expected))
                        wanted = task->in_length;
                put_residual(bhs, task->in_expected, wanted);
        } else if (task->writes)
                put_residual(bhs, task->out_expected, task->out_wanted);
        else
                put_residual(bhs, 0, MAX(task->in_wanted, task->out_wanted));
}

void command_response(Command *cmd, uint32_t exp_data_sn, uint8_t ret_bhs[BHS_SIZE])
{
        command_leave_window(cmd);
        memset(ret_bhs, 0, BHS_SIZE);
        ret_bhs[BHS_OPCODE] = OP_SCSI_RESPONSE;
        ret_bhs[BHS_FLAGS] = FLAG_FINAL;
        ret_bhs[BHS_STATUS] = (uint8_t)cmd->task.status;
        put_be32(ret_bhs + BHS_ITT, cmd->itt);
        put_be32(ret_bhs + BHS_DATASN, exp_data_sn);
        if (cmd->task.sense_length > 0)
                put_be24(ret_bhs + BHS_DATA_LENGTH, cmd->task.sense_length + 2u);
        command_residual(cmd, ret_bhs);
}

void commands_drop(Conn *c)
{
        LIST_FOREACH_SAFE (cmd, &c->commands, Command, link) {
                c->transport->ops->release(c->transport, cmd);
                switch (cmd->state) {
                case COMMAND_SUBMITTED:
                        break; /* the end of the nexus aborts it */
                case COMMAND_WAIT_FINAL:
                case COMMAND_RESPONDING:
                        if (cmd->submitted)
                                task_release(&cmd->task);
                        command_free(cmd);
                        break;
                case COMMAND_HELD:
                case COMMAND_DRAINING:
                        command_free(cmd);
                        break;
                }
        }
}

/* The session ends by logout: what is complete is answered, what waits for data no longer waits. */
void commands_logout(Conn *c)
{
        LIST_FOREACH_SAFE (cmd, &c->commands, Command, link) {
                if (cmd->state == COMMAND_WAIT_FINAL) {
                        cmd->out.unsolicited = false;
                        cmd->out.r2t_done = cmd->out.r2t_built;
                        respond(cmd);
                } else if (cmd->state == COMMAND_HELD || cmd->state == COMMAND_DRAINING) {
                        c->transport->ops->release(c->transport, cmd);
                        command_free(cmd);
                }
        }
}

/* ---- order (RFC 7143 4.2.2.1) ------------------------------------------------------------- */

/* Both directions at once: no command of ours has them. CHECK CONDITION, INVALID FIELD IN COMMAND
 * INFORMATION UNIT (SPC-4 annex D), without asking the device server. */
static void refuse_bidirectional(Command *cmd)
{
        static const uint8_t sense[18] = { 0x70, 0, 0x05, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x0e, 0x03 };

        cmd->task.status = SCSI_CHECK_CONDITION;
        memcpy(cmd->task.sense, sense, sizeof(sense));
        cmd->task.sense_length = sizeof(sense);
        on_complete(&cmd->task);
}

static void submit(Command *cmd)
{
        cmd->state = COMMAND_SUBMITTED;
        if (cmd->task.reads && cmd->task.writes) {
                refuse_bidirectional(cmd);
                return;
        }
        cmd->submitted = true;
        task_submit(&cmd->task);
}

/* false: there is one with that CmdSN. */
static bool hold(Conn *c, Command *cmd)
{
        List *at = &c->held;

        while (at->prev != &c->held) {
                uint32_t sn = LIST_ENTRY(at->prev, Command, held_link)->cmdsn;

                if (sn == cmd->cmdsn)
                        return false;
                if (sn_lt(sn, cmd->cmdsn))
                        break;
                at = at->prev;
        }
        list_insert_before(at, &cmd->held_link);
        cmd->state = COMMAND_HELD;
        return true;
}

void commands_deliver(Conn *c)
{
        Command *cmd;

        while (!c->ended && (cmd = LIST_FIRST(&c->held, Command, held_link)) &&
               cmd->cmdsn == c->exp_cmdsn) {
                c->exp_cmdsn++;
                list_remove(&cmd->held_link);
                if (cmd->plug) {
                        c->transport->ops->release(c->transport, cmd);
                        command_drain(cmd);
                } else
                        submit(cmd);
        }
}

/* Complete, but the initiator has not sent the data that it announced, and gives up. */
void command_give_up(Command *cmd)
{
        Conn *c = cmd->conn;

        c->transport->ops->release(c->transport, cmd);
        if (cmd->submitted)
                task_release(&cmd->task);
        cmd->submitted = false;
        command_drain(cmd);
}

void commands_abort_waiting(Conn *c, const uint8_t lun[8], uint32_t before_cmdsn)
{
        LIST_FOREACH_SAFE (cmd, &c->commands, Command, link) {
                if (!sn_lt(cmd->cmdsn, before_cmdsn) ||
                    (lun && memcmp(cmd->task.lun, lun, sizeof(cmd->task.lun)) != 0))
                        continue;
                if (cmd->state == COMMAND_HELD)
                        cmd->plug = true;
                else if (cmd->state == COMMAND_WAIT_FINAL)
                        command_give_up(cmd);
        }
}

static Command *command_new(Conn *c, uint32_t itt)
{
        Command *cmd = pool_alloc(&c->worker->commands);

        if (!cmd)
                return NULL;
        cmd->conn = c;
        cmd->itt = itt;
        cmd->out.serial = c->next_serial;
        /* TTTs are serial << 16 | R2TSN and never FFFFFFFF */
        if (++c->next_serial == UINT16_MAX)
                c->next_serial = 0;
        list_append(&c->commands, &cmd->link);
        c->n_commands++;
        return cmd;
}

int command_plug(Conn *c, uint32_t cmdsn)
{
        Command *cmd;

        if (cmdsn == c->exp_cmdsn) {
                c->exp_cmdsn++;
                commands_deliver(c);
                return 0;
        }
        cmd = command_new(c, TAG_NONE);
        if (!cmd)
                return -ENOMEM;
        cmd->cmdsn = cmdsn;
        cmd->plug = true;
        if (!hold(c, cmd))
                command_free(cmd);
        return 0;
}

/* ---- the PDU ------------------------------------------------------------------------------ */

static int parse_ahs(const ControlPdu *pdu, Command *cmd)
{
        Reader r = READER(pdu->ahs, pdu->ahs_length);
        bool bidi = false;

        while (r.n > 0) {
                uint16_t length = read_be16(&r);
                uint8_t type = read_u8(&r);
                const uint8_t *body = read_bytes(&r, length);

                /* AHSLength counts what follows AHSType; the whole is padded to words */
                if (!body || !read_bytes(&r, pad4(length + 3u)))
                        return -EBADMSG;
                if (type == AHS_EXTENDED_CDB) {
                        size_t n = length - 1u; /* a reserved byte comes first */

                        if (length < 2 || cmd->long_cdb || 16 + n > CDB_MAX)
                                return -EBADMSG;
                        cmd->long_cdb = malloc(16 + n);
                        if (!cmd->long_cdb)
                                return -ENOMEM;
                        memcpy(cmd->long_cdb, pdu->bhs + BHS_CDB, 16);
                        memcpy(cmd->long_cdb + 16, body + 1, n);
                        cmd->task.cdb_length = (uint16_t)(16 + n);
                } else if (type == AHS_BIDI_READ_LENGTH) {
                        if (length != 5 || bidi)
                                return -EBADMSG;
                        bidi = true;
                } else
                        return -EBADMSG;
        }
        return r.bad ? -EBADMSG : 0;
}

static void fill_task(Command *cmd, const ControlPdu *pdu)
{
        const uint8_t *bhs = pdu->bhs;
        Task *task = &cmd->task;
        static const TaskAttribute attributes[] = { TASK_SIMPLE, TASK_SIMPLE, TASK_ORDERED,
                                                    TASK_HEAD_OF_QUEUE, TASK_ACA };

        task->ops = &task_ops;
        task->nexus = &cmd->conn->session->nexus;
        task->tag = cmd->itt;
        memcpy(task->lun, bhs + BHS_LUN, sizeof(task->lun));
        task->attribute = attributes[bhs[BHS_FLAGS] & FLAG_ATTR];
        memcpy(task->cdb, bhs + BHS_CDB, 16);
        if (cmd->long_cdb) {
                memcpy(task->cdb, cmd->long_cdb, MIN(task->cdb_length, sizeof(task->cdb)));
                if (task->cdb_length > sizeof(task->cdb))
                        task->long_cdb = cmd->long_cdb;
        } else
                task->cdb_length = 16;
        task->reads = bhs[BHS_FLAGS] & FLAG_READ;
        task->writes = bhs[BHS_FLAGS] & FLAG_WRITE;
        task->in_expected = task->reads ? cmd->edtl : 0;
        task->out_expected = task->writes ? cmd->edtl : 0;
        task->takes_memory = cmd->conn->transport->takes_memory;
}

/* What RFC 7143 7.6 calls format errors, and 7.8 protocol errors. NULL: none. */
static const char *command_fault(const Conn *c, const uint8_t *bhs)
{
        uint8_t flags = bhs[BHS_FLAGS];
        uint32_t edtl = get_be32(bhs + BHS_EDTL), length = bhs_data_length(bhs);

        if (get_be32(bhs + BHS_ITT) == TAG_NONE)
                return "SCSI command with the reserved Initiator Task Tag (RFC 7143 11.2.1.8)";
        if ((flags & FLAG_ATTR) > 4)
                return "SCSI command with a reserved task attribute (RFC 7143 11.3.1)";
        if (length > 0) {
                if (!(flags & FLAG_WRITE))
                        return "immediate data for a command that does not write (RFC 7143 11.3.4)";
                if (!c->params.immediate_data)
                        return "immediate data, though ImmediateData=No (RFC 7143 13.11)";
                if (length > edtl)
                        return "more immediate data than the expected length (RFC 7143 11.3.4)";
                if (length > c->params.first_burst)
                        return "more immediate data than FirstBurstLength (RFC 7143 13.14)";
        }
        if (!(flags & FLAG_FINAL) && flags & FLAG_WRITE && c->params.initial_r2t)
                return "unsolicited data announced, though InitialR2T=Yes (RFC 7143 11.3.1)";
        return NULL;
}

static int new_command(Conn *c, const ControlPdu *pdu, Command **ret)
{
        const uint8_t *bhs = pdu->bhs;
        uint8_t flags = bhs[BHS_FLAGS];
        Command *cmd = command_new(c, get_be32(bhs + BHS_ITT));
        int r;

        if (!cmd)
                return conn_protocol_error(c, REJECT_OUT_OF_RESOURCES, bhs, "out of memory");
        list_append(itt_bucket(c, cmd->itt), &cmd->hash_link);
        cmd->cmdsn = get_be32(bhs + BHS_CMDSN);
        cmd->edtl = get_be32(bhs + BHS_EDTL);
        cmd->immediate = bhs_immediate(bhs);
        if (cmd->immediate)
                c->n_immediate++;
        r = parse_ahs(pdu, cmd);
        if (r < 0) {
                command_free(cmd);
                return conn_protocol_error(c, REJECT_INVALID_FIELD, bhs,
                                           "AHS of a wrong type or length (RFC 7143 11.2.2)");
        }
        fill_task(cmd, pdu);
        if (flags & FLAG_WRITE) {
                cmd->out.limit = min_u32(c->params.first_burst, cmd->edtl);
                cmd->out.unsolicited = !(flags & FLAG_FINAL) || bhs_data_length(bhs) > 0;
        }
        *ret = cmd;
        return 0;
}

static int check_itt(Conn *c, const uint8_t *bhs)
{
        Command *old = command_find(c, get_be32(bhs + BHS_ITT));

        if (!old)
                return 0;
        if (old->state != COMMAND_DRAINING)
                return conn_protocol_error(c, REJECT_TASK_IN_PROGRESS, bhs,
                                           "Initiator Task Tag %08x is in use (RFC 7143 11.2.1.8)",
                                           old->itt);
        c->transport->ops->release(c->transport, old);
        command_free(old);
        return 0;
}

int command_received(Conn *c, const ControlPdu *pdu, Command **ret)
{
        CmdSnVerdict verdict = cmdsn_check(c, pdu->bhs);
        const char *fault;
        Command *cmd = NULL;
        uint16_t serial;
        uint32_t itt;
        int r;

        *ret = NULL;
        if (verdict == CMDSN_IGNORE)
                return 0;
        fault = command_fault(c, pdu->bhs);
        if (fault)
                return conn_protocol_error(c, REJECT_INVALID_FIELD, pdu->bhs, "%s", fault);
        if (bhs_immediate(pdu->bhs) && c->n_immediate >= IMMEDIATE_MAX) {
                conn_reject(c, REJECT_IMMEDIATE, pdu->bhs);
                return 0;
        }
        r = check_itt(c, pdu->bhs);
        if (r < 0)
                return r;
        r = new_command(c, pdu, &cmd);
        if (r < 0)
                return r;
        c->traffic.commands++;
        if (verdict == CMDSN_HOLD) {
                if (!hold(c, cmd)) { /* came twice */
                        command_free(cmd);
                        return 0;
                }
        } else
                cmdsn_take(c, pdu->bhs);
        if (!cmd->immediate) {
                cmd->windowed = true;
                c->n_windowed++;
        }
        itt = cmd->itt;
        serial = cmd->out.serial;
        if (verdict != CMDSN_HOLD) {
                submit(cmd);
                commands_deliver(c);
        }
        /* it may be over already, and gone */
        cmd = command_find(c, itt);
        if (cmd && cmd->out.serial == serial && command_expects_data(cmd))
                *ret = cmd;
        return 0;
}
