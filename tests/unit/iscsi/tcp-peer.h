/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "world.h"

/* An initiator over the TCP framer that writes a pattern. */

static uint8_t pattern[2 * MIB];

static inline Peer *logged_in(World *w)
{
        for (size_t i = 0; i < sizeof(pattern); i++)
                pattern[i] = (uint8_t)(i * 7 + (i >> 11));
        return peer_logged_in(w, PEER_TCP);
}

static inline void expect_good(Peer *p, uint32_t itt)
{
        _result_ Result r = { 0 };

        g_assert_true(peer_result(p, itt, &r));
        g_assert_cmpuint(r.status, ==, SCSI_GOOD);
}

static inline uint32_t send_write(Peer *p, uint8_t flags, uint16_t blocks, uint32_t edtl,
                                  uint32_t immediate)
{
        uint8_t bhs[BHS_SIZE];

        command_bhs(p, bhs, flags, 0x2a, 0, blocks, edtl);
        peer_send(p, bhs, NULL, 0, pattern, immediate);
        return p->itt;
}

static inline void send_data_from(Peer *p, uint32_t itt, uint32_t ttt, uint32_t datasn,
                                  uint32_t offset, uint32_t n, bool final)
{
        uint8_t bhs[BHS_SIZE];

        data_out_bhs(p, bhs, itt, ttt, datasn, offset, final);
        peer_send(p, bhs, NULL, 0, pattern + offset, n);
}

/* The R2T that is due; returns its TTT. */
static inline uint32_t expect_r2t(Peer *p, uint32_t itt, uint32_t r2tsn, uint32_t offset,
                                  uint32_t length)
{
        _pdu_ Pdu pdu = { 0 };

        peer_expect(p, OP_R2T, &pdu);
        g_assert_cmpuint(get_be32(pdu.bhs + BHS_ITT), ==, itt);
        g_assert_cmpuint(get_be32(pdu.bhs + BHS_DATASN), ==, r2tsn);
        g_assert_cmpuint(get_be32(pdu.bhs + BHS_OFFSET), ==, offset);
        g_assert_cmpuint(get_be32(pdu.bhs + BHS_R2T_LENGTH), ==, length);
        g_assert_cmphex(get_be32(pdu.bhs + BHS_TTT), !=, TAG_NONE);
        return get_be32(pdu.bhs + BHS_TTT);
}

static inline void assert_written(uint32_t n)
{
        g_assert_cmpmem(fake.disk, (int)n, pattern, n);
}

/* RFC 7143 appendix A.4 */
