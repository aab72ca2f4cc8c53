/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "iscsi/iscsi.h"

/* The seam between the session engine and a transport: the Datamover primitives of RFC 5047 chapter
 * 8, as a table. Three transports: the TCP framer, the loop transport of the tests (no framing at
 * all), and RDMA (iSER) to come.
 *
 * A Transport lives in its Conn. All on the conn's loop; calls in either direction queue and never
 * re-enter the other side's caller. BHS is in wire format; everything that differs between
 * transports (digests, padding, Data-In, R2T, Data-Out) is below this line and never above it. */

#define BHS_SIZE 48

typedef struct Transport Transport;
typedef struct TransportOps TransportOps;
typedef struct Command Command; /* iscsi/command.h: a SCSI command in the session engine */

/* A control-type PDU: everything but Data-In, Data-Out and R2T (RFC 5047 chapter 6). */
typedef struct ControlPdu {
        const uint8_t *bhs; /* BHS_SIZE bytes */
        const uint8_t *ahs;
        size_t ahs_length;   /* bytes, multiple of 4, checked against TotalAHSLength */
        const uint8_t *data; /* data segment without padding; NULL for a SCSI command, whose
                                immediate data goes to the task's buffer */
        size_t data_length;
} ControlPdu;

struct Transport {
        const TransportOps *ops;
        Conn *conn;
        /* From enable() on: put_data() can send from where the store has it (Task). */
        bool takes_memory;
};

struct TransportOps {
        const char *name; /* "tcp", "loop", "iser" */

        /* Send_Control. bhs is complete but for StatSN, ExpCmdSN and MaxCmdSN: the transport calls
         * conn_stamp() when it builds the PDU, so that they count up in the order on the wire. data
         * is copied. -ENOBUFS: the peer does not read; the connection is to be dropped. */
        int (*send_control)(Transport *t, const uint8_t bhs[BHS_SIZE], const void *data,
                            size_t length);
        /* Put_Data, then the SCSI response: task->in_iov goes out as Data-In in sequences of at
         * most MaxBurstLength and PDUs of at most the initiator's MaxRecvDataSegmentLength, with
         * status in the last one where RFC 7143 11.7.3 allows that (GOOD, no sense), else as a SCSI
         * Response PDU (command_response()). command_sent() follows. */
        int (*put_data)(Transport *t, Command *cmd);
        /* Get_Data: the bytes [offset, offset + length) of the command's Data-Out that do not come
         * unsolicited, by R2Ts of at most MaxBurstLength and MaxOutstandingR2T at a time.
         * command_data_in() follows when all of task->out_want is there. */
        int (*get_data)(Transport *t, Command *cmd);
        /* Deallocate_Task_Resources: cmd was aborted; Data-Out that still comes for it is thrown
         * away, what is queued and not begun is not sent. Idempotent. */
        void (*release)(Transport *t, Command *cmd);
        /* What cmd still has to send is no longer at `from` but where task->in_iov says. */
        void (*moved)(Transport *t, Command *cmd, const uint8_t *from);
        /* Notice_Key_Values and Enable_Datamover: login is over, negotiated values hold from the
         * next PDU on (digests after the final login response). */
        void (*enable)(Transport *t);
        /* Connection_Terminate: after what is queued has gone out. */
        void (*terminate)(Transport *t);
        void (*free)(Transport *t);
};

/* Up-calls of the transport, implemented by the session engine: */

/* Control_Notify. pdu is valid for the call. A SCSI command returns its Command in *ret_cmd if data
 * may follow for it (immediate or unsolicited); NULL otherwise. Negative: the connection ends;
 * the engine has queued what the RFC says is to be sent before. */
int conn_control_notify(Conn *c, const ControlPdu *pdu, Command **ret_cmd);
/* Fills in StatSN, ExpCmdSN and MaxCmdSN of a PDU that is about to be sent, and takes a StatSN if
 * it is one that has its own. */
void conn_stamp(Conn *c, uint8_t bhs[BHS_SIZE]);
/* The SCSI Response of cmd (RFC 7143 11.4) but for what conn_stamp() fills in and its data segment,
 * the task's sense. exp_data_sn: R2Ts or Data-In PDUs that were sent. */
void command_response(Command *cmd, uint32_t exp_data_sn, uint8_t ret_bhs[BHS_SIZE]);
/* Data_Completion_Notify for Get_Data: all bytes are there (0), or why not. */
void command_data_in(Command *cmd, int r);
/* The last byte of put_data() has left: the command is over. */
void command_sent(Command *cmd);
/* Connection_Terminate_Notify: protocol error, digest error, end of stream. reason for the event.
 */
void conn_terminate_notify(Conn *c, int error, const char *reason);
/* A PDU the transport had to refuse (RFC 7143 11.17): sends Reject with reason and the BHS. */
void conn_reject(Conn *c, uint8_t reason, const uint8_t bhs[BHS_SIZE]);
