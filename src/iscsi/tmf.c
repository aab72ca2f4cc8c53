/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iscsi/session.h"

/* Task management (RFC 7143 11.5, 11.6). The device server does it; here are the wire's codes, the
 * tasks that have not come yet, and what is too much. */

typedef struct TmfRequest {
        Tmf tmf;
        Conn *conn;
        uint32_t itt;
        bool cold;
} TmfRequest;

enum {
        RESPONSE_COMPLETE = 0,
        RESPONSE_NO_TASK = 1,
        RESPONSE_NO_LUN = 2,
        RESPONSE_NO_REASSIGN = 4,
        RESPONSE_NOT_SUPPORTED = 5,
        RESPONSE_REJECTED = 255,
};

static const uint8_t responses[] = {
        [TMF_COMPLETE] = RESPONSE_COMPLETE,
        [TMF_SUCCEEDED] = RESPONSE_COMPLETE,
        [TMF_NO_TASK] = RESPONSE_NO_TASK,
        [TMF_NO_LUN] = RESPONSE_NO_LUN,
        [TMF_NOT_SUPPORTED] = RESPONSE_NOT_SUPPORTED,
        [TMF_REJECTED] = RESPONSE_REJECTED,
};

/* RFC 7143 11.5.1; 9 and up want iSCSIProtocolLevel 2 (RFC 7144), which we do not negotiate. */
static const struct {
        uint8_t code;
        TmfFunction function;
        bool per_lun;
} functions[] = {
        { 1, TMF_ABORT_TASK, true },         { 2, TMF_ABORT_TASK_SET, true },
        { 3, TMF_CLEAR_ACA, true },          { 4, TMF_CLEAR_TASK_SET, true },
        { 5, TMF_LOGICAL_UNIT_RESET, true }, { 6, TMF_TARGET_WARM_RESET, false },
        { 7, TMF_TARGET_COLD_RESET, false },
};

enum { FUNCTION_ABORT_TASK = 1, FUNCTION_TASK_REASSIGN = 8 };

size_t tmf_size(void)
{
        return sizeof(TmfRequest);
}

static int answer(Conn *c, uint32_t itt, uint8_t response)
{
        uint8_t bhs[BHS_SIZE] = { 0 };

        bhs[BHS_OPCODE] = OP_TMF_RESPONSE;
        bhs[BHS_FLAGS] = FLAG_FINAL;
        bhs[BHS_RESPONSE] = response;
        put_be32(bhs + BHS_ITT, itt);
        return conn_send(c, bhs, NULL, 0);
}

static void on_done(Tmf *tmf)
{
        TmfRequest *req = CONTAINER_OF(tmf, TmfRequest, tmf);
        Conn *c = req->conn;
        bool cold = req->cold && tmf->response == TMF_COMPLETE;

        if (!c->ended)
                (void)answer(c, req->itt, responses[tmf->response]);
        c->n_tmfs--;
        pool_free(&c->worker->tmfs, req);
        /* RFC 7143 11.5.1: a cold reset ends the sessions, as power off would */
        if (cold)
                session_drop(c, "TARGET COLD RESET by the initiator");
        conn_release(c);
}

/* ABORT TASK of what the device server does not know. true: answered. */
static bool abort_unknown(Conn *c, const uint8_t *bhs, int *ret)
{
        uint32_t ref_sn = get_be32(bhs + BHS_REF_CMDSN), sn = get_be32(bhs + BHS_CMDSN);
        Command *cmd = command_find(c, get_be32(bhs + BHS_RTT));
        uint32_t itt = get_be32(bhs + BHS_ITT);

        if (cmd && memcmp(cmd->task.lun, bhs + BHS_LUN, sizeof(cmd->task.lun)) != 0) {
                *ret = answer(c, itt, RESPONSE_NO_TASK);
                return true;
        }
        if (cmd && (cmd->state == COMMAND_HELD || cmd->state == COMMAND_WAIT_FINAL)) {
                if (cmd->state == COMMAND_HELD)
                        cmd->plug = true;
                else
                        command_give_up(cmd);
                *ret = answer(c, itt, RESPONSE_COMPLETE);
                return true;
        }
        if (cmd && cmd->state == COMMAND_SUBMITTED)
                return false;
        /* not come yet: from now on it counts as received, and aborted */
        if (!cmd && sn_le(c->exp_cmdsn, ref_sn) && sn_lt(ref_sn, sn) &&
            sn_le(ref_sn, conn_max_cmdsn(c))) {
                *ret = answer(c, itt,
                              command_plug(c, ref_sn) < 0 ? RESPONSE_REJECTED : RESPONSE_COMPLETE);
                return true;
        }
        *ret = answer(c, itt, RESPONSE_NO_TASK);
        return true;
}

static int start(Conn *c, const uint8_t *bhs, TmfFunction function)
{
        TmfRequest *req = NULL;

        if (c->n_tmfs < TMF_MAX)
                req = pool_alloc(&c->worker->tmfs);
        if (!req)
                return answer(c, get_be32(bhs + BHS_ITT), RESPONSE_REJECTED);
        req->conn = c;
        req->itt = get_be32(bhs + BHS_ITT);
        req->cold = function == TMF_TARGET_COLD_RESET;
        req->tmf = (Tmf){ .nexus = &c->session->nexus,
                          .function = function,
                          .tag = get_be32(bhs + BHS_RTT),
                          .done = on_done };
        memcpy(req->tmf.lun, bhs + BHS_LUN, sizeof(req->tmf.lun));
        c->n_tmfs++;
        scsi_tmf(&req->tmf);
        return 0;
}

int tmf_received(Conn *c, const ControlPdu *pdu)
{
        const uint8_t *bhs = pdu->bhs;
        uint8_t code = bhs[BHS_FLAGS] & 0x7f;
        int r;

        if (code == FUNCTION_ABORT_TASK && abort_unknown(c, bhs, &r))
                return r;
        for (size_t i = 0; i < ELEMENTSOF(functions); i++) {
                if (functions[i].code != code)
                        continue;
                if (code != FUNCTION_ABORT_TASK && functions[i].function != TMF_CLEAR_ACA)
                        commands_abort_waiting(c, functions[i].per_lun ? bhs + BHS_LUN : NULL,
                                               get_be32(bhs + BHS_CMDSN));
                return start(c, bhs, functions[i].function);
        }
        return answer(c, get_be32(bhs + BHS_ITT),
                      code == FUNCTION_TASK_REASSIGN ? RESPONSE_NO_REASSIGN
                                                     : RESPONSE_NOT_SUPPORTED);
}
