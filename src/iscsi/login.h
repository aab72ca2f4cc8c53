/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "iscsi/session.h"

/* Login (RFC 7143 chapter 6): what a connection has until full feature phase, and no longer. */

typedef enum AuthState {
        AUTH_START,     /* nothing said */
        AUTH_ALGORITHM, /* AuthMethod=CHAP answered, CHAP_A awaited */
        AUTH_RESPONSE,  /* challenge sent, CHAP_N and CHAP_R awaited */
        AUTH_DONE,      /* proven, or None where that is allowed */
} AuthState;

struct Login {
        bool begun;      /* the first request came */
        bool identified; /* names are known, the target found and allowed */
        bool sent_tpgt, sent_alias;
        uint8_t stage; /* CSG */
        uint8_t isid[6];
        uint16_t tsih, cid;
        uint32_t itt;
        char initiator[ISCSI_NAME_MAX + 1], target_name[ISCSI_NAME_MAX + 1], alias[256];
        bool has_initiator, has_target, has_type, discovery;
        IscsiTarget *target;
        IscsiMap *map; /* whose accounts hold for discovery */

        char *in; /* text of the request so far */
        size_t in_length, in_size;
        TextOut out;
        size_t out_sent;
        bool transit; /* asked for, with out */
        uint8_t next_stage;
        bool final; /* the last response waits for the registrar */
        Negotiation neg;

        AuthState auth;
        bool auth_required;
        const ChapAlgorithm *algorithm;
        uint8_t identifier;
        uint8_t challenge[CHAP_CHALLENGE_SIZE];
        /* from the initiator, of the PDU that proves who it is */
        char chap_n[256];
        uint8_t chap_r[CHAP_DIGEST_MAX];
        size_t chap_r_length;
        bool has_n, has_r, has_i, has_c;
        uint8_t their_identifier;
        uint8_t their_challenge[CHAP_BINARY_MAX];
        size_t their_challenge_length;

        uint8_t bhs[BHS_SIZE]; /* of the request that is being answered */
        uint16_t status;
        char reason[640]; /* of a refusal, for the administrator */
        IscsiClaim claim;
};

int login_new(Conn *c);
Login *login_free(Login *l);
/* A PDU before full feature phase. Negative: the connection ends. */
int login_received(Conn *c, const ControlPdu *pdu);
/* The registrar's answer is in login->claim, on the worker that owns the session. */
void login_finish(Conn *c);
void login_timeout(Conn *c);
/* Sets status and reason. Returns -EACCES, for return login_refuse(...). */
int login_refuse(Login *l, uint16_t status, const char *format, ...) _printf_(3, 4);

/* login-auth.c: the keys of the security stage. 0, or what login_refuse() returns. */
int auth_key(Conn *c, const Key *key, const TextPair *pair);
/* All keys of a request are seen. */
int auth_step(Conn *c);
