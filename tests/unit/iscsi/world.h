/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <glib.h>

#include "fake-scsi.h"
#include "iscsi/framer.h"
#include "iscsi/iscsi.h"
#include "iscsi/session.h"
#include "simloop.h"

/* Two workers on a simulated loop, a registrar, and initiators that say exactly what they are told
 * to, over the TCP framer or over a transport without any framing. */

#define TARGET "iqn.2026-01.org.example:disk"
#define INITIATOR "iqn.1994-05.org.example:host"

typedef struct World {
        Sim *sim;
        IscsiWorker *workers[2];
        IscsiMap *map;
        LunMap *luns;
        IscsiTargetConfig target; /* of the target that world_map() makes */
        IscsiAccount incoming, outgoing, discovery;
        bool no_incoming, mutual, discovery_auth;
        IscsiPortalConfig portals[4];
        size_t n_portals;

        /* the registrar */
        unsigned place; /* worker of new sessions */
        bool hold_claims;
        int claim_result;
        IscsiClaim *claim;
        uint64_t next_session;
        unsigned n_ended, n_claims, n_moves;
        uint64_t last_ended;

        /* events */
        unsigned n_events[ISCSI_EVENT_PROTOCOL_ERROR + 1];
        char reason[1024];
        uint16_t status;
        uint8_t random; /* what random() says next */
} World;

void world_init(World *w, const IscsiLimits *limits);
/* Makes and sets the map from w->target and so on. */
void world_map(World *w);
void world_done(World *w);

/* A PDU as the initiator sees it. */
typedef struct Pdu {
        uint8_t bhs[BHS_SIZE];
        uint8_t *data;
        uint32_t length;
        uint8_t *read_data; /* loop transport: Data-In of the response */
        uint32_t read_length;
} Pdu;

void pdu_clear(Pdu *pdu);
#define _pdu_ __attribute__((cleanup(pdu_clear)))

typedef enum PeerKind { PEER_TCP, PEER_LOOP } PeerKind;

typedef struct Peer {
        World *world;
        PeerKind kind;
        Conn *conn;
        unsigned worker;
        bool detached, gone;
        bool woken;
        size_t chunk; /* bytes in one receive or send; 0: as many as fit */
        bool header_digest, data_digest, corrupt_header, corrupt_data;
        bool deaf;       /* does not read what is sent */
        GByteArray *in;  /* from the target */
        GByteArray *out; /* not yet taken by it */
        GQueue *pdus;    /* loop transport: from the target */
        uint32_t itt, cmdsn, exp_statsn, max_cmdsn;
        uint16_t tsih, cid;
        uint8_t isid[6];
        const uint8_t *write_data; /* loop transport: what get_data() gets */
} Peer;

Peer *peer_new(World *w, PeerKind kind);
void peer_free(Peer *p);
/* Everything moves until nothing does. */
void peer_run(Peer *p);
void peer_bytes(Peer *p, const void *bytes, size_t n);
/* bhs' data length and AHS length are set here. */
void peer_send(Peer *p, uint8_t *bhs, const void *ahs, size_t ahs_length, const void *data,
               size_t length);
/* The next PDU; false: there is none. */
bool peer_recv(Peer *p, Pdu *ret);
/* The next PDU, which must be of that opcode. */
void peer_expect(Peer *p, uint8_t opcode, Pdu *ret);
void peer_expect_nothing(Peer *p);
/* The target has closed: no bytes are left and conn_finished(). */
void peer_expect_closed(Peer *p);

/* text: "A=b" separated by '|' */
void peer_login_request(Peer *p, uint8_t flags, const char *text);
/* Sends, and gets the answer; returns its status. */
uint16_t peer_login_step(Peer *p, uint8_t flags, const char *text, Pdu *ret);
bool pdu_has(const Pdu *pdu, const char *pair);
/* One step, from operational to full feature. extra: NULL or more keys. */
void peer_login(Peer *p, const char *extra);
/* A world with the default limits, and one initiator that is logged in. */
Peer *peer_logged_in(World *w, PeerKind kind);
void peer_discover(Peer *p);

/* A SCSI command as it is usual. */
void command_bhs(Peer *p, uint8_t *bhs, uint8_t flags, uint8_t opcode, uint32_t lba,
                 uint16_t blocks, uint32_t edtl);
/* And sends it, for LBA 0, without data. */
void peer_send_command(Peer *p, uint8_t flags, uint8_t opcode, uint16_t blocks, uint32_t edtl);
typedef struct Result {
        uint8_t status, flags;
        uint32_t residual;
        uint8_t *data;
        uint32_t length, n_data_in, exp_data_sn;
        uint8_t sense[96];
        uint32_t sense_length;
} Result;
void result_clear(Result *r);
#define _result_ __attribute__((cleanup(result_clear)))
/* Data-In and response of itt; checks DataSN, offsets, StatSN. false: none came. */
bool peer_result(Peer *p, uint32_t itt, Result *ret);
void data_out_bhs(Peer *p, uint8_t *bhs, uint32_t itt, uint32_t ttt, uint32_t datasn,
                  uint32_t offset, bool final);

/* A test that runs over either transport; func gets which as its data. */
typedef struct TransportTest {
        const char *name;
        void (*func)(gconstpointer data);
} TransportTest;
static inline PeerKind kind(gconstpointer data)
{
        return GPOINTER_TO_INT(data);
}
void add_transport_tests(const char *group, const TransportTest *tests, size_t n);
