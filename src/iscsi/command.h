/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "iscsi/iscsi.h"
#include "iscsi/transport.h"

/* A SCSI command in the session engine: a Task of the device server and what the transport knows
 * about its data. One object from a pool for each, no further allocation in the usual case. */

typedef enum CommandState {
        COMMAND_HELD,       /* a CmdSN before it is missing */
        COMMAND_SUBMITTED,  /* the device server has it */
        COMMAND_WAIT_FINAL, /* complete, but Data-Out is on its way (RFC 7143 11.4.2) */
        COMMAND_RESPONDING, /* the transport sends data and response */
        COMMAND_DRAINING,   /* over; Data-Out that was asked for is thrown away when it comes */
} CommandState;

/* The transport's account of Data-Out. Offsets are bytes from the start of the task's buffer; all
 * sequences come in order (DataPDUInOrder and DataSequenceInOrder are always Yes). */
typedef struct DataOut {
        bool wanted;                  /* get_data() was called, out_want holds */
        bool discard;                 /* nobody wants the data any more */
        bool unsolicited;             /* unsolicited data, F not yet seen */
        bool done;                    /* command_data_in() was called */
        int error;                    /* what command_data_in() will say */
        uint32_t limit;               /* unsolicited: end, FirstBurstLength or less */
        uint32_t received;            /* in order, complete PDUs */
        uint32_t placed;              /* bytes in memory, PDU complete or not */
        uint32_t datasn;              /* expected next, in the sequence that is coming */
        uint32_t asked;               /* end of what R2Ts were made for */
        uint32_t burst_end;           /* of the R2T that is being answered */
        uint32_t r2t_built, r2t_done; /* R2TSN of the next one; of the one being answered */
        uint16_t serial;              /* upper half of its Target Transfer Tags */
        Buffer *early;                /* data that came before get_data() */
        List r2t_link;                /* wants to send R2Ts */
} DataOut;

typedef struct DataIn {
        bool built; /* everything, the status too */
        uint32_t offset, datasn, burst;
} DataIn;

/* What waits to be sent: a command with its result, or a PDU of its own. */
typedef struct TxItem {
        List link;
        bool command;
        size_t cost; /* bytes counted against tx_queue_max */
} TxItem;

struct Command {
        Task task;
        Conn *conn;
        CommandState state;
        bool immediate;
        bool plug;      /* holds the place of a CmdSN whose command was aborted before it came */
        bool submitted; /* the device server has seen it: task_release() is due */
        bool windowed;  /* counts against the CmdSN window */
        uint32_t itt, cmdsn, edtl;
        List link;      /* all commands of the connection; first-come */
        List hash_link; /* by ITT */
        List held_link; /* by CmdSN */
        TxItem tx;      /* in the transport's queue */
        DataOut out;
        DataIn in;
        uint8_t *long_cdb; /* from an AHS */
};

/* A SCSI Command PDU. As conn_control_notify(). */
int command_received(Conn *c, const ControlPdu *pdu, Command **ret);
Command *command_find(Conn *c, uint32_t itt);
/* Data-Out of cmd: no more sequences are open. Called by the transport. */
void command_final(Command *cmd);
/* Delivers what a gap in CmdSN held back. */
void commands_deliver(Conn *c);
/* Aborts what the device server does not have (held, or waiting for the last of its data) of one
 * LUN (NULL: all). */
void commands_abort_waiting(Conn *c, const uint8_t lun[8], uint32_t before_cmdsn);
void command_give_up(Command *cmd);
/* RFC 7143 11.5.1: the CmdSN of a command that has not come counts as received. */
int command_plug(Conn *c, uint32_t cmdsn);
/* Sets flags and count of RFC 7143 11.4.5 in a SCSI Response or Data-In. */
void command_residual(const Command *cmd, uint8_t *bhs);
/* The transport is gone: gives back every task that only waits to be sent. */
void commands_drop(Conn *c);
/* The PDU with its status is being built: another command may come. */
void command_leave_window(Command *cmd);
void commands_logout(Conn *c);
bool command_expects_data(const Command *cmd);
