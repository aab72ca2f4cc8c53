/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <sys/uio.h>

#include "iscsi/session.h"

/* The TCP framer: PDUs over a byte stream (RFC 7143 chapters 5 and 11). It names the next buffer:
 * headers and small payloads come through the worker's scratch, many PDUs in one receive; the rest
 * of a Data-Out payload lands in the task's buffer. What is sent is built when the stream has room,
 * so that sequence numbers and digests are those of the order on the wire. */

typedef enum RxState {
        RX_BHS,
        RX_HEADER, /* AHS and header digest */
        RX_DATA,
        RX_TAIL, /* padding and data digest */
} RxState;

typedef enum RxTarget { RX_DISCARD, RX_BODY, RX_COMMAND } RxTarget;

typedef struct Framer {
        Transport transport;

        RxState rx;
        RxTarget target;
        bool rx_header_digest, rx_data_digest, tx_header_digest, tx_data_digest;
        bool bulk;           /* large payloads follow each other: leave them to the next receive */
        uint32_t have, need; /* bytes of head */
        uint32_t length, done; /* of the data segment */
        uint32_t crc;
        uint32_t itt; /* RX_COMMAND: whose data */
        uint16_t serial;
        uint32_t offset; /* ... and where it begins */
        uint32_t direct; /* bytes that conn_want() put outside of scratch */
        uint8_t tail_have, tail_need;
        uint8_t tail[8];
        uint8_t *body; /* RX_BODY */
        uint8_t head[BHS_SIZE + AHS_MAX + 4];

        List urgent;   /* commands that want R2Ts */
        List queue;    /* TxItem: control PDUs and commands with a result */
        List built;    /* TxPdu: on the way */
        size_t sent;   /* of the first of them */
        size_t queued; /* bytes that wait or are on the way, with overhead */
} Framer;

extern const TransportOps framer_ops;

int framer_new(IscsiWorker *w, Transport **ret);
void framer_detach(Transport *t);
void framer_attach(Transport *t);

static inline Framer *framer_of(const Conn *c)
{
        return CONTAINER_OF(c->transport, Framer, transport);
}

/* CRC32C as RFC 7143 13.1 wants it: begin, add, and the four bytes on the wire. */
#define DIGEST_SIZE 4
static inline uint32_t digest_begin(void)
{
        return UINT32_MAX;
}
uint32_t digest_add(uint32_t crc, const void *p, size_t n);
void digest_put(uint32_t crc, uint8_t ret[DIGEST_SIZE]);

/* framer-data.c: Data-Out */
int data_out_header(Framer *f, const uint8_t *bhs); /* checks; sets target, itt, offset */
uint8_t *data_out_at(Conn *c, Command *cmd, uint32_t offset, uint32_t n, uint32_t *ret_n);
Command *data_out_command(Framer *f);
/* The PDU (Data-Out, or a command with immediate data) is complete; bad: its digest is not. */
void data_out_pdu_done(Framer *f, bool bad);
int framer_get_data(Transport *t, Command *cmd);
bool data_out_wants_r2t(const Command *cmd);

/* framer-tx.c */
int framer_send_control(Transport *t, const uint8_t bhs[BHS_SIZE], const void *data, size_t length);
int framer_put_data(Transport *t, Command *cmd);
void framer_release(Transport *t, Command *cmd);
void framer_moved(Transport *t, Command *cmd, const uint8_t *from);
void framer_tx_free(Framer *f);
