/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "iscsi/session.h"

/* Text requests of the full feature phase (RFC 7143 11.10): SendTargets, and what may be declared
 * again. One negotiation at a time; a new one resets it. */

struct TextState {
        uint32_t itt, ttt;
        char *in;
        size_t in_length;
        /* the answer: what is made and not sent, and what is still to be made */
        TextOut out;
        size_t out_sent;
        bool answering;
        bool all;        /* SendTargets=All: targets from at on */
        size_t n_listed; /* of them, that were looked at */
        IscsiMapCursor at;
        IscsiMap *map;
};

int text_received(Conn *c, const ControlPdu *pdu);
TextState *text_free(TextState *t);
