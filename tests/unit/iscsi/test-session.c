/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world.h"

/* Full feature phase over both transports: commands, CmdSN, task management, text, NOP, the ends of
 * a session. What only exists with framing is in test-data.c. */

static PeerKind kind(gconstpointer data)
{
        return GPOINTER_TO_INT(data);
}

static Peer *logged_in(World *w, gconstpointer data)
{
        Peer *p;

        world_init(w, NULL);
        p = peer_new(w, kind(data));
        peer_login(p, NULL);
        return p;
}

static void send_command(Peer *p, uint8_t flags, uint8_t opcode, uint16_t blocks, uint32_t edtl)
{
        uint8_t bhs[BHS_SIZE];

        command_bhs(p, bhs, flags, opcode, 0, blocks, edtl);
        peer_send(p, bhs, NULL, 0, NULL, 0);
}

/* ---- commands ----------------------------------------------------------------------------- */

static void test_read(gconstpointer data)
{
        World w;
        Peer *p = logged_in(&w, data);
        _result_ Result r = { 0 };

        send_command(p, 0xc0, 0x28, 8, 4096);
        g_assert_true(peer_result(p, p->itt, &r));
        g_assert_cmpuint(r.status, ==, SCSI_GOOD);
        g_assert_cmpuint(r.flags, ==, 0);
        g_assert_cmpuint(r.residual, ==, 0);
        g_assert_cmpmem(r.data, (int)r.length, fake.disk, 4096);
        g_assert_cmpuint(fake.n_live, ==, 0);
        g_assert_cmpuint(p->max_cmdsn, ==, 101 + 127);
        send_command(p, 0x80, 0x00, 0, 0);
        g_assert_true(peer_result(p, p->itt, &r));
        g_assert_cmpuint(r.status, ==, SCSI_GOOD);
        world_done(&w);
}

typedef struct ResidualRow {
        uint8_t flags, opcode;
        uint16_t blocks;
        uint32_t edtl;
        uint8_t out_flags;
        uint32_t residual, length;
} ResidualRow;

static const ResidualRow residuals[] = {
        { 0xc0, 0x28, 2, 1024, 0, 0, 1024 },
        { 0xc0, 0x28, 2, 512, FLAG_OVERFLOW, 512, 512 },
        { 0xc0, 0x28, 2, 4096, FLAG_UNDERFLOW, 3072, 1024 },
        { 0xc0, 0x28, 0, 4096, FLAG_UNDERFLOW, 4096, 0 },
        { 0x80, 0x28, 2, 0, FLAG_OVERFLOW, 1024, 0 },
        { 0xc0, 0x28, 2, 0, FLAG_OVERFLOW, 1024, 0 },
        { 0xc0, 0x00, 0, 512, FLAG_UNDERFLOW, 512, 0 },
        { 0x80, 0x00, 0, 0, 0, 0, 0 },
        { 0xa0, 0x00, 0, 512, FLAG_UNDERFLOW, 512, 0 },
        { 0x80, 0x2a, 2, 0, FLAG_OVERFLOW, 1024, 0 },
        { 0xa0, 0x2a, 2, 1024, 0, 0, 0 },
        { 0xa0, 0x2a, 2, 512, FLAG_OVERFLOW, 512, 0 },
        { 0xa0, 0x2a, 2, 2048, FLAG_UNDERFLOW, 1024, 0 },
        { 0xc0, 0x28, 2, UINT32_MAX, FLAG_UNDERFLOW, UINT32_MAX - 1024, 1024 },
        { 0xa0, 0x00, 0, UINT32_MAX, FLAG_UNDERFLOW, UINT32_MAX, 0 },
};

static void test_residuals(gconstpointer data)
{
        static uint8_t zero[4096];
        World w;
        Peer *p = logged_in(&w, data);

        p->write_data = zero;
        for (size_t i = 0; i < G_N_ELEMENTS(residuals); i++) {
                const ResidualRow *row = &residuals[i];
                _result_ Result r = { 0 };
                _pdu_ Pdu pdu = { 0 };

                g_test_message("row %zu", i);
                send_command(p, row->flags, row->opcode, row->blocks, row->edtl);
                if (p->kind == PEER_TCP && row->opcode == 0x2a && row->edtl) {
                        uint8_t bhs[BHS_SIZE];

                        peer_expect(p, OP_R2T, &pdu);
                        data_out_bhs(p, bhs, p->itt, get_be32(pdu.bhs + BHS_TTT), 0, 0, true);
                        peer_send(p, bhs, NULL, 0, zero, get_be32(pdu.bhs + BHS_R2T_LENGTH));
                }
                g_assert_true(peer_result(p, p->itt, &r));
                g_assert_cmpuint(r.status, ==, SCSI_GOOD);
                g_assert_cmphex(r.flags, ==, row->out_flags);
                g_assert_cmpuint(r.residual, ==, row->residual);
                g_assert_cmpuint(r.length, ==, row->length);
        }
        world_done(&w);
}

static void test_check_condition(gconstpointer data)
{
        World w;
        Peer *p = logged_in(&w, data);
        _result_ Result r = { 0 };

        send_command(p, 0xc0, 0xff, 0, 512);
        g_assert_true(peer_result(p, p->itt, &r));
        g_assert_cmpuint(r.status, ==, SCSI_CHECK_CONDITION);
        g_assert_cmpuint(r.sense_length, ==, 18);
        g_assert_cmphex(r.sense[2], ==, 0x0b);
        g_assert_cmphex(r.flags, ==, FLAG_UNDERFLOW);
        g_assert_cmpuint(r.residual, ==, 512);
        fake.short_by = 512; /* half of it, then an error */
        send_command(p, 0xc0, 0x28, 2, 1024);
        g_assert_true(peer_result(p, p->itt, &r));
        g_assert_cmpuint(r.status, ==, SCSI_CHECK_CONDITION);
        g_assert_cmpuint(r.length, ==, 512);
        g_assert_cmphex(r.flags, ==, FLAG_UNDERFLOW);
        g_assert_cmpuint(r.residual, ==, 512);
        world_done(&w);
}

static void test_write(gconstpointer data)
{
        static uint8_t pattern[65536];
        World w;
        Peer *p = logged_in(&w, data);
        _result_ Result r = { 0 };
        _pdu_ Pdu pdu = { 0 };
        uint8_t bhs[BHS_SIZE];

        memset(pattern, 0x5a, sizeof(pattern));
        p->write_data = pattern;
        send_command(p, 0xa0, 0x2a, 128, 65536);
        if (p->kind == PEER_TCP) {
                peer_expect(p, OP_R2T, &pdu);
                data_out_bhs(p, bhs, p->itt, get_be32(pdu.bhs + BHS_TTT), 0, 0, true);
                peer_send(p, bhs, NULL, 0, pattern, 65536);
        }
        g_assert_true(peer_result(p, p->itt, &r));
        g_assert_cmpuint(r.status, ==, SCSI_GOOD);
        g_assert_cmpmem(fake.disk, 65536, pattern, 65536);
        world_done(&w);
}

static void test_bidirectional(gconstpointer data)
{
        World w;
        Peer *p = logged_in(&w, data);
        _result_ Result r = { 0 };
        uint8_t bhs[BHS_SIZE], ahs[8] = { 0, 5, AHS_BIDI_READ_LENGTH, 0, 0, 0, 2, 0 };

        command_bhs(p, bhs, 0xe0, 0x53, 0, 1, 512);
        peer_send(p, bhs, ahs, sizeof(ahs), NULL, 0);
        g_assert_true(peer_result(p, p->itt, &r));
        g_assert_cmpuint(r.status, ==, SCSI_CHECK_CONDITION);
        g_assert_cmphex(r.sense[2], ==, 0x05);
        g_assert_cmphex(r.sense[12], ==, 0x0e);
        g_assert_cmphex(r.sense[13], ==, 0x03);
        g_assert_cmpuint(fake.n_submitted, ==, 0);
        send_command(p, 0x80, 0x00, 0, 0); /* the session goes on */
        g_assert_true(peer_result(p, p->itt, &r));
        world_done(&w);
}

static void test_extended_cdb(gconstpointer data)
{
        static const uint16_t lengths[] = { 17, 18, 20, 32, 33, 48, 128, 260 };
        World w;
        Peer *p = logged_in(&w, data);
        _result_ Result r = { 0 };

        for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
                uint8_t bhs[BHS_SIZE], ahs[256] = { 0 };
                uint16_t n = (uint16_t)(lengths[i] - 16);

                command_bhs(p, bhs, 0x80, 0x7f, 0, 0, 0);
                put_be16(ahs, (uint16_t)(n + 1));
                ahs[2] = AHS_EXTENDED_CDB;
                for (unsigned k = 0; k < n; k++)
                        ahs[4 + k] = (uint8_t)(k + 1);
                peer_send(p, bhs, ahs, ROUND_UP(4u + n, 4u), NULL, 0);
                g_assert_true(peer_result(p, p->itt, &r));
                g_assert_cmpuint(r.status, ==, SCSI_GOOD);
                g_assert_cmpuint(fake.last_cdb_length, ==, lengths[i]);
                g_assert_cmpmem(fake.last_cdb + 16, n, ahs + 4, n);
        }
        world_done(&w);
}

typedef struct AhsRow {
        uint8_t words;
        uint8_t bytes[12];
} AhsRow;

static const AhsRow bad_ahs[] = {
        { 1, { 0, 0, 1, 0 } }, /* length 0 */
        { 1, { 0, 1, 1, 0 } }, /* no CDB at all */
        { 1, { 0, 9, 1, 0 } }, /* longer than what came */
        { 1, { 0xff, 0xff, 1, 0 } },
        { 2, { 0, 5, 3, 0, 0, 0, 0, 0 } },             /* a reserved type */
        { 2, { 0, 4, 2, 0, 0, 0, 0, 0 } },             /* bidirectional length of 3 bytes */
        { 3, { 0, 2, 1, 0, 9, 0, 0, 0, 0, 1, 1, 0 } }, /* the second is empty */
        { 1, { 0, 0, 0, 0 } },
        { 2, { 0, 5, 1, 0, 1, 2, 3, 4 } }, /* fine; made two below */
};

static void test_bad_ahs(gconstpointer data)
{
        World w;
        static uint8_t big[1020];

        world_init(&w, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(bad_ahs); i++) {
                Peer *p = peer_new(&w, kind(data));
                _pdu_ Pdu pdu = { 0 };
                uint8_t bhs[BHS_SIZE], ahs[24] = { 0 };
                bool twice = i == G_N_ELEMENTS(bad_ahs) - 1;

                memcpy(ahs, bad_ahs[i].bytes, 12);
                if (twice)
                        memcpy(ahs + 8, ahs, 8);
                peer_login(p, NULL);
                command_bhs(p, bhs, 0x80, 0x7f, 0, 0, 0);
                peer_send(p, bhs, ahs, twice ? 16 : bad_ahs[i].words * 4u, NULL, 0);
                peer_expect(p, OP_REJECT, &pdu);
                g_assert_cmphex(pdu.bhs[BHS_RESPONSE], ==, REJECT_INVALID_FIELD);
                g_assert_cmpuint(pdu.length, ==, BHS_SIZE);
                peer_expect_closed(p);
                peer_free(p);
        }
        if (kind(data) == PEER_TCP) { /* more than any CDB needs */
                Peer *p = peer_new(&w, kind(data));
                _pdu_ Pdu pdu = { 0 };
                uint8_t bhs[BHS_SIZE];

                peer_login(p, NULL);
                command_bhs(p, bhs, 0x80, 0x7f, 0, 0, 0);
                peer_send(p, bhs, big, sizeof(big), NULL, 0);
                peer_expect(p, OP_REJECT, &pdu);
                peer_expect_closed(p);
        }
        g_assert_cmpuint(fake.n_submitted, ==, 0);
        world_done(&w);
}

static void test_format_errors(gconstpointer data)
{
        World w;
        static const struct {
                uint8_t flags;
                uint32_t itt;
        } rows[] = { { 0x80, TAG_NONE }, { 0x85, 7 }, { 0x86, 7 }, { 0x87, 7 } };

        world_init(&w, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                Peer *p = peer_new(&w, kind(data));
                _pdu_ Pdu pdu = { 0 };
                uint8_t bhs[BHS_SIZE];

                peer_login(p, NULL);
                command_bhs(p, bhs, 0x80, 0x00, 0, 0, 0);
                bhs[BHS_FLAGS] = rows[i].flags;
                put_be32(bhs + BHS_ITT, rows[i].itt);
                peer_send(p, bhs, NULL, 0, NULL, 0);
                peer_expect(p, OP_REJECT, &pdu);
                peer_expect_closed(p);
        }
        g_assert_cmpuint(fake.n_submitted, ==, 0);
        world_done(&w);
}

/* ---- CmdSN -------------------------------------------------------------------------------- */

static void test_window(gconstpointer data)
{
        World w;
        _result_ Result r = { 0 };
        _pdu_ Pdu pdu = { 0 };
        uint8_t bhs[BHS_SIZE];
        Peer *p;

        world_init(&w, NULL);
        w.target.params.max_queue_cmd = 4;
        world_map(&w);
        p = peer_new(&w, kind(data));
        peer_login(p, NULL);
        fake.hold = true;
        for (unsigned i = 0; i < 6; i++) /* two too many: ignored */
                send_command(p, 0x80, 0x00, 0, 0);
        g_assert_cmpuint(fake.n_submitted, ==, 4);
        peer_expect_nothing(p);
        p->cmdsn -= 2;
        command_bhs(p, bhs, 0x80, 0x00, 0, 0, 0); /* an immediate one gets through */
        bhs[BHS_OPCODE] |= OP_IMMEDIATE;
        p->cmdsn--;
        peer_send(p, bhs, NULL, 0, NULL, 0);
        g_assert_cmpuint(fake.n_submitted, ==, 5);
        fake_run();
        for (unsigned i = 0; i < 5; i++)
                peer_expect(p, OP_SCSI_RESPONSE, &pdu);
        g_assert_cmpuint(p->max_cmdsn, ==, 104 - 1 + 4);
        /* what was before is a duplicate, what is behind is too far */
        p->cmdsn = 103;
        send_command(p, 0x80, 0x00, 0, 0);
        p->cmdsn = 108;
        send_command(p, 0x80, 0x00, 0, 0);
        p->cmdsn = 104 - 0x80000000u;
        send_command(p, 0x80, 0x00, 0, 0);
        peer_expect_nothing(p);
        g_assert_cmpuint(fake.n_submitted, ==, 5);
        p->cmdsn = 104;
        send_command(p, 0x80, 0x00, 0, 0);
        g_assert_true(peer_result(p, p->itt, &r));
        world_done(&w);
}

/* A gap holds back what follows it, until it is filled; so does the wrap of the number. */
static void test_order(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };
        uint32_t first;
        Peer *p;

        world_init(&w, NULL);
        p = peer_new(&w, kind(data));
        p->cmdsn = UINT32_MAX - 1;
        peer_login(p, NULL);
        p->cmdsn++;
        send_command(p, 0x80, 0x00, 0, 0); /* FFFFFFFF */
        p->cmdsn++;
        send_command(p, 0x80, 0x00, 0, 0); /* 1 */
        first = p->itt - 1;
        p->cmdsn = 0;
        send_command(p, 0x80, 0x00, 0, 0); /* 0 */
        p->cmdsn = 1;
        send_command(p, 0x80, 0x00, 0, 0); /* 1 again: dropped */
        peer_expect_nothing(p);
        g_assert_cmpuint(fake.n_submitted, ==, 0);
        p->cmdsn = UINT32_MAX - 1;
        send_command(p, 0x80, 0x00, 0, 0);
        g_assert_cmpuint(fake.n_submitted, ==, 4);
        peer_expect(p, OP_SCSI_RESPONSE, &pdu);
        g_assert_cmpuint(get_be32(pdu.bhs + BHS_ITT), ==, p->itt);
        peer_expect(p, OP_SCSI_RESPONSE, &pdu);
        g_assert_cmpuint(get_be32(pdu.bhs + BHS_ITT), ==, first);
        peer_expect(p, OP_SCSI_RESPONSE, &pdu);
        g_assert_cmpuint(get_be32(pdu.bhs + BHS_ITT), ==, first + 2);
        peer_expect(p, OP_SCSI_RESPONSE, &pdu);
        g_assert_cmpuint(get_be32(pdu.bhs + BHS_ITT), ==, first + 1);
        g_assert_cmpuint(get_be32(pdu.bhs + BHS_EXP_CMDSN), ==, 2);
        world_done(&w);
}

static void test_same_itt(gconstpointer data)
{
        World w;
        Peer *p = logged_in(&w, data);
        _pdu_ Pdu pdu = { 0 };

        fake.hold = true;
        send_command(p, 0x80, 0x00, 0, 0);
        p->itt--;
        send_command(p, 0x80, 0x00, 0, 0);
        peer_expect(p, OP_REJECT, &pdu);
        g_assert_cmphex(pdu.bhs[BHS_RESPONSE], ==, REJECT_TASK_IN_PROGRESS);
        peer_expect_closed(p);
        world_done(&w);
        g_assert_cmpuint(fake.n_aborted, ==, 1);
}

static void test_immediate_limit(gconstpointer data)
{
        World w;
        Peer *p = logged_in(&w, data);
        _pdu_ Pdu pdu = { 0 };

        fake.hold = true;
        for (unsigned i = 0; i <= IMMEDIATE_MAX; i++) {
                uint8_t bhs[BHS_SIZE];

                command_bhs(p, bhs, 0x80, 0x00, 0, 0, 0);
                bhs[BHS_OPCODE] |= OP_IMMEDIATE;
                peer_send(p, bhs, NULL, 0, NULL, 0);
        }
        g_assert_cmpuint(fake.n_submitted, ==, IMMEDIATE_MAX);
        peer_expect(p, OP_REJECT, &pdu);
        g_assert_cmphex(pdu.bhs[BHS_RESPONSE], ==, REJECT_IMMEDIATE);
        g_assert_false(conn_finished(p->conn));
        world_done(&w);
}

/* ---- task management ---------------------------------------------------------------------- */

static void send_tmf(Peer *p, uint8_t function, uint32_t rtt, uint32_t ref_cmdsn)
{
        uint8_t bhs[BHS_SIZE] = { OP_TMF_REQUEST | OP_IMMEDIATE, (uint8_t)(0x80 | function) };

        put_be32(bhs + BHS_ITT, ++p->itt);
        put_be32(bhs + BHS_RTT, rtt);
        put_be32(bhs + BHS_CMDSN, p->cmdsn);
        put_be32(bhs + BHS_REF_CMDSN, ref_cmdsn);
        peer_send(p, bhs, NULL, 0, NULL, 0);
}

static uint8_t tmf_response(Peer *p)
{
        _pdu_ Pdu pdu = { 0 };

        peer_expect(p, OP_TMF_RESPONSE, &pdu);
        g_assert_cmpuint(get_be32(pdu.bhs + BHS_ITT), ==, p->itt);
        return pdu.bhs[BHS_RESPONSE];
}

static void test_abort_task(gconstpointer data)
{
        World w;
        Peer *p = logged_in(&w, data);
        _result_ Result r = { 0 };

        fake.hold = true;
        send_command(p, 0xc0, 0x28, 1, 512);
        send_tmf(p, 1, p->itt, p->cmdsn - 1);
        g_assert_cmpuint(tmf_response(p), ==, 0);
        g_assert_cmpuint(fake.n_aborted, ==, 1);
        g_assert_cmpuint(fake.n_live, ==, 0);
        peer_expect_nothing(p);
        send_tmf(p, 1, 12345, 99); /* nobody, and its CmdSN is past */
        g_assert_cmpuint(tmf_response(p), ==, 1);
        fake.tas = true;
        send_command(p, 0xc0, 0x28, 1, 512);
        uint32_t itt = p->itt;
        fake.hold_tmf = true;
        send_tmf(p, 5, TAG_NONE, 0);
        g_assert_true(peer_result(p, itt, &r));
        g_assert_cmpuint(r.status, ==, SCSI_TASK_ABORTED);
        g_assert_cmpuint(r.residual, ==, 512);
        fake.hold_tmf = false;
        fake_run();
        g_assert_cmpuint(tmf_response(p), ==, 0);
        world_done(&w);
}

/* RFC 7143 11.5.1: what has not come yet counts as come, and aborted. */
static void test_abort_before_it_comes(gconstpointer data)
{
        World w;
        Peer *p = logged_in(&w, data);
        _result_ Result r = { 0 };
        uint32_t lost = p->cmdsn;

        p->cmdsn++;
        send_command(p, 0x80, 0x00, 0, 0); /* held */
        uint32_t held = p->itt;
        peer_expect_nothing(p);
        send_tmf(p, 1, 777, lost);
        peer_run(p);
        /* the held one is delivered as the gap is closed, the answer follows or precedes it */
        _pdu_ Pdu a = { 0 }, b = { 0 };
        g_assert_true(peer_recv(p, &a));
        g_assert_true(peer_recv(p, &b));
        g_assert_cmpuint(fake.n_submitted, ==, 1);
        g_assert_true((bhs_opcode(a.bhs) == OP_TMF_RESPONSE) !=
                      (bhs_opcode(b.bhs) == OP_TMF_RESPONSE));
        g_assert_true(get_be32(a.bhs + BHS_ITT) == held || get_be32(b.bhs + BHS_ITT) == held);
        /* it comes after all: a duplicate now */
        uint32_t next = p->cmdsn;
        p->cmdsn = lost;
        send_command(p, 0x80, 0x00, 0, 0);
        peer_expect_nothing(p);
        p->cmdsn = next;
        /* a held command is aborted itself */
        p->cmdsn = next + 1;
        send_command(p, 0x80, 0x00, 0, 0);
        send_tmf(p, 1, p->itt, next + 1);
        g_assert_cmpuint(tmf_response(p), ==, 0);
        p->cmdsn = next;
        send_command(p, 0x80, 0x00, 0, 0);
        g_assert_true(peer_result(p, p->itt, &r));
        peer_expect_nothing(p);
        g_assert_cmpuint(fake.n_submitted, ==, 2);
        g_assert_cmpuint(p->conn->exp_cmdsn, ==, next + 2);
        world_done(&w);
}

static void test_tmf_codes(gconstpointer data)
{
        World w;
        Peer *p = logged_in(&w, data);
        static const struct {
                uint8_t function;
                TmfResponse scsi;
                uint8_t response;
                TmfFunction called;
        } rows[] = {
                { 2, TMF_COMPLETE, 0, TMF_ABORT_TASK_SET },
                { 3, TMF_NOT_SUPPORTED, 5, TMF_CLEAR_ACA },
                { 4, TMF_COMPLETE, 0, TMF_CLEAR_TASK_SET },
                { 5, TMF_NO_LUN, 2, TMF_LOGICAL_UNIT_RESET },
                { 5, TMF_REJECTED, 255, TMF_LOGICAL_UNIT_RESET },
                { 6, TMF_COMPLETE, 0, TMF_TARGET_WARM_RESET },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                fake.tmf_response = rows[i].scsi;
                send_tmf(p, rows[i].function, TAG_NONE, 0);
                g_assert_cmpuint(tmf_response(p), ==, rows[i].response);
                g_assert_cmpint(fake.last_tmf, ==, rows[i].called);
                g_assert_cmpuint(fake.n_tmfs, ==, i + 1);
        }
        send_tmf(p, 8, 1, 0);
        g_assert_cmpuint(tmf_response(p), ==, 4);
        send_tmf(p, 9, 1, 0);
        g_assert_cmpuint(tmf_response(p), ==, 5);
        send_tmf(p, 0, 1, 0);
        g_assert_cmpuint(tmf_response(p), ==, 5);
        g_assert_cmpuint(fake.n_tmfs, ==, G_N_ELEMENTS(rows));
        fake.tmf_response = TMF_COMPLETE;
        send_tmf(p, 7, TAG_NONE, 0);
        g_assert_cmpuint(tmf_response(p), ==, 0);
        _pdu_ Pdu pdu = { 0 };
        peer_expect(p, OP_ASYNC_MESSAGE, &pdu);
        peer_expect_closed(p);
        world_done(&w);
}

static void test_tmf_storm(gconstpointer data)
{
        World w;
        Peer *p = logged_in(&w, data);

        fake.hold_tmf = true;
        send_tmf(p, 5, TAG_NONE, 0);
        fake.hold_tmf = true;
        p->conn->n_tmfs = TMF_MAX;
        send_tmf(p, 5, TAG_NONE, 0);
        g_assert_cmpuint(tmf_response(p), ==, 255);
        p->conn->n_tmfs = 1;
        peer_free(p); /* with a function under way */
        g_assert_cmpuint(w.workers[0]->tmfs.n_used, ==, 1);
        fake_run();
        sim_run(w.sim);
        world_done(&w);
}

/* ---- NOP, reject -------------------------------------------------------------------------- */

static void test_nop(gconstpointer data)
{
        World w;
        Peer *p = logged_in(&w, data);
        _pdu_ Pdu pdu = { 0 };
        uint8_t bhs[BHS_SIZE] = { OP_NOP_OUT | OP_IMMEDIATE, 0x80 };

        put_be32(bhs + BHS_ITT, 5);
        put_be32(bhs + BHS_TTT, TAG_NONE);
        put_be32(bhs + BHS_CMDSN, p->cmdsn);
        peer_send(p, bhs, NULL, 0, "ping?", 5);
        peer_expect(p, OP_NOP_IN, &pdu);
        g_assert_cmpuint(get_be32(pdu.bhs + BHS_ITT), ==, 5);
        g_assert_cmphex(get_be32(pdu.bhs + BHS_TTT), ==, TAG_NONE);
        g_assert_cmpmem(pdu.data, (int)pdu.length, "ping?", 5);
        bhs[BHS_OPCODE] = OP_NOP_OUT; /* with a CmdSN of its own */
        peer_send(p, bhs, NULL, 0, NULL, 0);
        peer_expect(p, OP_NOP_IN, &pdu);
        g_assert_cmpuint(get_be32(pdu.bhs + BHS_EXP_CMDSN), ==, p->cmdsn + 1);
        put_be32(bhs + BHS_ITT, TAG_NONE); /* no answer wanted */
        bhs[BHS_OPCODE] = OP_NOP_OUT | OP_IMMEDIATE;
        peer_send(p, bhs, NULL, 0, NULL, 0);
        peer_expect_nothing(p);
        world_done(&w);
}

static void test_nop_in(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };
        uint8_t bhs[BHS_SIZE] = { OP_NOP_OUT | OP_IMMEDIATE, 0x80 };
        Peer *p;

        world_init(&w, NULL);
        w.target.params.nop_interval = 5;
        w.target.params.nop_count = 2;
        world_map(&w);
        p = peer_new(&w, kind(data));
        peer_login(p, NULL);
        for (unsigned i = 0; i < 10; i++) { /* answered: for ever */
                sim_advance(w.sim, 5 * NSEC_PER_SEC);
                peer_expect(p, OP_NOP_IN, &pdu);
                g_assert_cmphex(get_be32(pdu.bhs + BHS_ITT), ==, TAG_NONE);
                g_assert_cmphex(get_be32(pdu.bhs + BHS_TTT), !=, TAG_NONE);
                put_be32(bhs + BHS_ITT, TAG_NONE);
                memcpy(bhs + BHS_TTT, pdu.bhs + BHS_TTT, 4);
                put_be32(bhs + BHS_CMDSN, p->cmdsn);
                peer_send(p, bhs, NULL, 0, NULL, 0);
        }
        sim_advance(w.sim, 5 * NSEC_PER_SEC);
        peer_expect(p, OP_NOP_IN, &pdu);
        sim_advance(w.sim, 5 * NSEC_PER_SEC);
        peer_expect(p, OP_NOP_IN, &pdu);
        g_assert_false(conn_finished(p->conn));
        sim_advance(w.sim, 5 * NSEC_PER_SEC);
        peer_expect_closed(p);
        g_assert_nonnull(strstr(w.reason, "did not answer 2 NOP-In"));
        g_assert_cmpuint(w.n_events[ISCSI_EVENT_DISCONNECT], ==, 1);
        g_assert_cmpuint(w.n_ended, ==, 1);
        world_done(&w);
}

static void test_unknown(gconstpointer data)
{
        World w;
        Peer *p = logged_in(&w, data);
        _pdu_ Pdu pdu = { 0 };
        static const uint8_t known[] = { OP_NOP_OUT,       OP_SCSI_COMMAND, OP_TMF_REQUEST,
                                         OP_LOGIN_REQUEST, OP_TEXT_REQUEST, OP_DATA_OUT,
                                         OP_LOGOUT_REQUEST };

        for (uint8_t opcode = 0; opcode < 64; opcode++) {
                uint8_t bhs[BHS_SIZE] = { opcode, 0x80 };

                if (memchr(known, opcode, sizeof(known)))
                        continue;
                peer_send(p, bhs, NULL, 0, "some data", 9);
                peer_expect(p, OP_REJECT, &pdu);
                g_assert_cmphex(pdu.bhs[BHS_RESPONSE], ==,
                                opcode == OP_SNACK ? REJECT_SNACK : REJECT_NOT_SUPPORTED);
                g_assert_cmphex(get_be32(pdu.bhs + BHS_ITT), ==, TAG_NONE);
                g_assert_cmphex(pdu.data[0], ==, opcode);
        }
        g_assert_false(conn_finished(p->conn));
        peer_login_request(p, 0x87, "InitiatorName=x");
        peer_expect(p, OP_REJECT, &pdu);
        peer_expect_closed(p);
        world_done(&w);
}

/* ---- ends --------------------------------------------------------------------------------- */

static void send_logout(Peer *p, uint8_t reason, uint16_t cid)
{
        uint8_t bhs[BHS_SIZE] = { OP_LOGOUT_REQUEST | OP_IMMEDIATE, (uint8_t)(0x80 | reason) };

        put_be32(bhs + BHS_ITT, ++p->itt);
        put_be16(bhs + BHS_CID, cid);
        put_be32(bhs + BHS_CMDSN, p->cmdsn);
        peer_send(p, bhs, NULL, 0, NULL, 0);
}

static void test_logout(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };

        world_init(&w, NULL);
        for (uint8_t reason = 0; reason < 2; reason++) {
                Peer *p = peer_new(&w, kind(data));

                p->cid = 3;
                peer_login(p, NULL);
                send_logout(p, 1, 4);
                peer_expect(p, OP_LOGOUT_RESPONSE, &pdu);
                g_assert_cmpuint(pdu.bhs[BHS_RESPONSE], ==, 1);
                send_logout(p, 2, 3);
                peer_expect(p, OP_LOGOUT_RESPONSE, &pdu);
                g_assert_cmpuint(pdu.bhs[BHS_RESPONSE], ==, 2);
                g_assert_cmpuint(w.n_ended, ==, reason);
                fake.hold = true;
                send_command(p, 0xc0, 0x28, 1, 512); /* under way: aborted */
                send_logout(p, reason, 3);
                peer_expect(p, OP_LOGOUT_RESPONSE, &pdu);
                g_assert_cmpuint(pdu.bhs[BHS_RESPONSE], ==, 0);
                g_assert_cmpuint(get_be32(pdu.bhs + BHS_ITT), ==, p->itt);
                peer_expect_closed(p);
                g_assert_cmpuint(w.n_ended, ==, reason + 1u);
                g_assert_cmpuint(w.n_events[ISCSI_EVENT_LOGOUT], ==, reason + 1u);
                peer_free(p);
        }
        g_assert_cmpuint(w.n_events[ISCSI_EVENT_DISCONNECT], ==, 0);
        Peer *p = peer_new(&w, kind(data));
        peer_login(p, NULL);
        send_logout(p, 3, 0);
        peer_expect(p, OP_REJECT, &pdu);
        peer_expect_closed(p);
        world_done(&w);
}

/* What was complete before a logout is answered before it. */
static void test_logout_order(gconstpointer data)
{
        World w;
        Peer *p = logged_in(&w, data);
        _result_ Result r = { 0 };
        _pdu_ Pdu pdu = { 0 };
        uint8_t bhs[BHS_SIZE], logout[BHS_SIZE] = { OP_LOGOUT_REQUEST | OP_IMMEDIATE, 0x80 };

        command_bhs(p, bhs, 0xc0, 0x28, 0, 8, 4096);
        if (p->kind == PEER_TCP) {
                put_be32(logout + BHS_ITT, 999);
                g_byte_array_append(p->out, bhs, BHS_SIZE);
                g_byte_array_append(p->out, logout, BHS_SIZE);
                g_assert_true(peer_result(p, p->itt, &r));
                g_assert_cmpuint(r.length, ==, 4096);
                peer_expect(p, OP_LOGOUT_RESPONSE, &pdu);
        }
        world_done(&w);
}

static void test_end_session(gconstpointer data)
{
        World w;
        Peer *p = logged_in(&w, data);
        _pdu_ Pdu pdu = { 0 };

        fake.hold = true;
        send_command(p, 0xc0, 0x28, 1, 512);
        g_assert_cmpint(iscsi_worker_end_session(w.workers[0], 99, "x"), ==, -ENOENT);
        g_assert_cmpint(iscsi_worker_end_session(w.workers[0], 1, "asked to"), ==, 0);
        peer_expect(p, OP_ASYNC_MESSAGE, &pdu);
        g_assert_cmpuint(pdu.bhs[BHS_ASYNC_EVENT], ==, ASYNC_DROP_SESSION);
        g_assert_cmphex(get_be32(pdu.bhs + BHS_ITT), ==, TAG_NONE);
        peer_expect_closed(p);
        g_assert_cmpstr(w.reason, ==, "asked to");
        g_assert_cmpuint(w.n_ended, ==, 1); /* before the stream is closed */
        g_assert_cmpuint(fake.n_aborted, ==, 1);
        g_assert_cmpint(iscsi_worker_end_session(w.workers[0], 1, "again"), ==, -ENOENT);
        world_done(&w);
        g_assert_cmpuint(w.n_events[ISCSI_EVENT_DISCONNECT], ==, 1);
}

static void test_target_changes(gconstpointer data)
{
        World w;
        Peer *p = logged_in(&w, data);
        _pdu_ Pdu pdu = { 0 };

        world_map(&w); /* the same LUNs */
        g_assert_cmpuint(fake.n_remapped, ==, 0);
        LunMap *old = w.luns;
        g_assert_cmpint(lun_map_new(NULL, 0, &w.luns), ==, 0);
        lun_map_unref(old);
        world_map(&w);
        g_assert_cmpuint(fake.n_remapped, ==, 1);
        peer_expect_nothing(p);
        w.target.online = false;
        world_map(&w);
        peer_expect(p, OP_ASYNC_MESSAGE, &pdu);
        peer_expect_closed(p);
        g_assert_nonnull(strstr(w.reason, "offline"));
        w.target.online = true;
        world_map(&w);
        p = peer_new(&w, kind(data));
        peer_login(p, NULL);
        w.target.name = NULL;
        world_map(&w);
        peer_expect(p, OP_ASYNC_MESSAGE, &pdu);
        g_assert_nonnull(strstr(w.reason, "removed"));
        world_done(&w);
}

static void on_shutdown(void *userdata)
{
        ++*(unsigned *)userdata;
}

static void test_shutdown(gconstpointer data)
{
        World w;
        Peer *p = logged_in(&w, data), *q = peer_new(&w, kind(data));
        unsigned n = 0;
        _pdu_ Pdu pdu = { 0 };

        fake.hold = true;
        send_command(p, 0xc0, 0x28, 1, 512);
        iscsi_worker_shutdown(w.workers[0], on_shutdown, &n);
        g_assert_cmpuint(n, ==, 0);
        peer_expect(p, OP_ASYNC_MESSAGE, &pdu);
        peer_expect_closed(p);
        peer_expect_closed(q);
        g_assert_cmpuint(n, ==, 1);
        iscsi_worker_shutdown(w.workers[1], on_shutdown, &n);
        sim_run(w.sim);
        g_assert_cmpuint(n, ==, 2);
        world_done(&w);
        g_assert_cmpuint(n, ==, 2);
}

static void test_stream_breaks(gconstpointer data)
{
        World w;
        Peer *p = logged_in(&w, data);

        fake.hold = true;
        send_command(p, 0xc0, 0x28, 1, 512);
        conn_closed(p->conn, -ECONNRESET);
        p->gone = true;
        g_assert_nonnull(strstr(w.reason, "Connection reset"));
        sim_run(w.sim);
        g_assert_cmpuint(fake.n_aborted, ==, 1);
        g_assert_cmpuint(w.n_ended, ==, 1);
        world_done(&w);
}

/* ---- discovery and text ------------------------------------------------------------------- */

static void send_text(Peer *p, uint8_t flags, uint32_t ttt, const char *text)
{
        uint8_t bhs[BHS_SIZE] = { OP_TEXT_REQUEST | OP_IMMEDIATE, flags };
        size_t n = strlen(text);

        put_be32(bhs + BHS_ITT, p->itt);
        put_be32(bhs + BHS_TTT, ttt);
        put_be32(bhs + BHS_CMDSN, p->cmdsn);
        peer_send(p, bhs, NULL, 0, text, n ? n + 1 : 0);
}

static void expect_text(Peer *p, Pdu *pdu, uint8_t flags)
{
        peer_expect(p, OP_TEXT_RESPONSE, pdu);
        g_assert_cmphex(pdu->bhs[BHS_FLAGS], ==, flags);
        g_assert_cmpuint(get_be32(pdu->bhs + BHS_ITT), ==, p->itt);
        g_assert_cmpint(get_be32(pdu->bhs + BHS_TTT) == TAG_NONE, ==, (flags & FLAG_FINAL) != 0);
}

static void test_send_targets(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };
        static const char *const portals[] = { "[::]:3260", "0.0.0.0:3261", "10.0.0.1:3260",
                                               "[fd00::1]:3260" };

        world_init(&w, NULL);
        Peer *p = peer_new(&w, kind(data));
        peer_discover(p);
        g_assert_cmpuint(fake.n_open, ==, 0);
        send_text(p, 0x80, TAG_NONE, "SendTargets=All");
        expect_text(p, &pdu, 0x80);
        g_assert_true(pdu_has(&pdu, "TargetName=" TARGET));
        g_assert_true(pdu_has(&pdu, "TargetAddress=10.0.0.1:3260,1"));
        for (size_t i = 0; i < G_N_ELEMENTS(portals); i++) {
                g_assert_cmpint(sockaddr_parse(portals[i], 0, false, &w.portals[i].address), ==, 0);
                w.portals[i].tpgt = 1;
        }
        w.n_portals = 4;
        world_map(&w);
        send_text(p, 0x80, TAG_NONE, "SendTargets=IQN.2026-01.org.example:disk");
        expect_text(p, &pdu, 0x80);
        static const char expected[] = "TargetName=" TARGET "\0TargetAddress=10.0.0.1:3260,1\0"
                                       "TargetAddress=10.0.0.1:3261,1\0"
                                       "TargetAddress=[fd00::1]:3260,1";
        g_assert_cmpmem(pdu.data, (int)pdu.length, expected, sizeof(expected));
        w.portals[2].tpgt = w.portals[3].tpgt = w.portals[1].tpgt = 2; /* of another group */
        world_map(&w);
        send_text(p, 0x80, TAG_NONE, "SendTargets=All");
        expect_text(p, &pdu, 0x80);
        g_assert_cmpuint(pdu.length, ==,
                         sizeof("TargetName=" TARGET "|TargetAddress=10.0.0.1:3260,1"));
        send_text(p, 0x80, TAG_NONE, "SendTargets=iqn.nowhere");
        expect_text(p, &pdu, 0x80);
        g_assert_cmpuint(pdu.length, ==, 0);
        send_text(p, 0x80, TAG_NONE, "SendTargets=");
        expect_text(p, &pdu, 0x80);
        g_assert_true(pdu_has(&pdu, "SendTargets=Reject"));
        w.target.acl.n_addresses = 0; /* who may not log in does not see it */
        world_map(&w);
        send_text(p, 0x80, TAG_NONE, "SendTargets=All");
        expect_text(p, &pdu, 0x80);
        g_assert_cmpuint(pdu.length, ==, 0);
        /* no commands here */
        send_command(p, 0x80, 0x00, 0, 0);
        peer_expect(p, OP_REJECT, &pdu);
        peer_expect_closed(p);
        world_done(&w);
}

static void test_discovery_only(gconstpointer data)
{
        World w;
        static const uint8_t opcodes[] = { OP_TMF_REQUEST, OP_SNACK, OP_SCSI_COMMAND, 0x1c };

        world_init(&w, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(opcodes); i++) {
                Peer *p = peer_new(&w, kind(data));
                uint8_t bhs[BHS_SIZE] = { opcodes[i] | OP_IMMEDIATE, 0x85 };
                _pdu_ Pdu pdu = { 0 };

                peer_discover(p);
                peer_send(p, bhs, NULL, 0, NULL, 0);
                peer_expect(p, OP_REJECT, &pdu);
                g_assert_cmphex(pdu.bhs[BHS_RESPONSE], ==, REJECT_PROTOCOL_ERROR);
                peer_expect_closed(p);
        }
        g_assert_cmpuint(fake.n_tmfs, ==, 0);
        world_done(&w);
}

static void test_text_in_session(gconstpointer data)
{
        World w;
        Peer *p = logged_in(&w, data);
        _pdu_ Pdu pdu = { 0 };

        send_text(p, 0x80, TAG_NONE, "SendTargets=");
        expect_text(p, &pdu, 0x80);
        g_assert_true(pdu_has(&pdu, "TargetName=" TARGET));
        send_text(p, 0x80, TAG_NONE, "SendTargets=All");
        expect_text(p, &pdu, 0x80);
        g_assert_true(pdu_has(&pdu, "SendTargets=Reject"));
        send_text(p, 0x80, TAG_NONE, "MaxRecvDataSegmentLength=4096");
        expect_text(p, &pdu, 0x80);
        g_assert_cmpuint(p->conn->params.max_xmit_data_segment, ==, 4096);
        send_text(p, 0x80, TAG_NONE, "MaxBurstLength=4096");
        expect_text(p, &pdu, 0x80);
        g_assert_true(pdu_has(&pdu, "MaxBurstLength=Reject"));
        send_text(p, 0x80, TAG_NONE, "X-what=1");
        expect_text(p, &pdu, 0x80);
        g_assert_true(pdu_has(&pdu, "X-what=NotUnderstood"));
        /* nothing at all with the C bit (CVE-2021-28361), then the rest */
        send_text(p, 0x40, TAG_NONE, "");
        expect_text(p, &pdu, 0x00);
        uint32_t ttt = get_be32(pdu.bhs + BHS_TTT);
        send_text(p, 0x80, ttt, "SendTargets=");
        expect_text(p, &pdu, 0x80);
        g_assert_true(pdu_has(&pdu, "TargetName=" TARGET));
        send_text(p, 0x80, ttt, ""); /* over */
        peer_expect(p, OP_REJECT, &pdu);
        send_text(p, 0xc0, TAG_NONE, "");
        peer_expect(p, OP_REJECT, &pdu);
        peer_expect_closed(p);
        world_done(&w);
}

static void test_text_bounds(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };
        g_autofree char *big = g_strnfill(60000, 'x');
        Peer *p;

        p = logged_in(&w, data);
        send_text(p, 0x40, TAG_NONE, big);
        expect_text(p, &pdu, 0x00);
        send_text(p, 0x40, get_be32(pdu.bhs + BHS_TTT), big);
        peer_expect(p, OP_REJECT, &pdu);
        peer_expect_closed(p);
        p = peer_new(&w, kind(data));
        peer_login(p, NULL);
        send_text(p, 0x80, TAG_NONE, "nothing");
        peer_expect(p, OP_REJECT, &pdu);
        peer_expect_closed(p);
        world_done(&w);
}

/* An answer longer than a PDU goes out in pieces, each asked for by its TTT. */
static void test_long_list(gconstpointer data)
{
        enum { N = 300 };
        World w;
        _pdu_ Pdu pdu = { 0 };
        IscsiTarget *targets[N];
        IscsiMap *map;
        g_autoptr(GByteArray) all = g_byte_array_new();
        unsigned n_pdus = 1, n = 0;
        size_t pos = 0;
        TextPair pair;

        world_init(&w, NULL);
        for (unsigned i = 0; i < N; i++) {
                g_autofree char *name = g_strdup_printf("iqn.2026-01.org.example:%u", i);
                IscsiTargetConfig config = w.target;

                config.name = name;
                g_assert_cmpint(iscsi_target_new(&config, &targets[i]), ==, 0);
        }
        IscsiMapConfig config = { .targets = targets, .n_targets = N };
        g_assert_cmpint(iscsi_map_new(&config, &map), ==, 0);
        iscsi_worker_set_map(w.workers[0], map);
        iscsi_map_unref(map);
        Peer *p = peer_new(&w, kind(data));
        peer_discover(p); /* its MaxRecvDataSegmentLength is 8192 */
        send_text(p, 0x80, TAG_NONE, "SendTargets=All");
        peer_expect(p, OP_TEXT_RESPONSE, &pdu);
        while (!(pdu.bhs[BHS_FLAGS] & FLAG_FINAL)) {
                g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, FLAG_CONTINUE);
                g_assert_cmpuint(pdu.length, ==, 8192);
                g_byte_array_append(all, pdu.data, pdu.length);
                send_text(p, 0x80, get_be32(pdu.bhs + BHS_TTT), "");
                peer_expect(p, OP_TEXT_RESPONSE, &pdu);
                n_pdus++;
        }
        g_byte_array_append(all, pdu.data, pdu.length);
        while (text_next((const char *)all->data, all->len, &pos, &pair) > 0)
                n++;
        g_assert_cmpuint(n, ==, 2 * N);
        g_assert_cmpuint(n_pdus, ==, DIV_ROUND_UP(all->len, 8192));
        for (unsigned i = 0; i < N; i++)
                iscsi_target_unref(targets[i]);
        world_done(&w);
}

static void test_discovery_idle(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };

        world_init(&w, NULL);
        Peer *p = peer_new(&w, kind(data));
        peer_discover(p);
        sim_advance(w.sim, 59 * NSEC_PER_SEC);
        send_text(p, 0x80, TAG_NONE, "SendTargets=All");
        expect_text(p, &pdu, 0x80);
        sim_advance(w.sim, 59 * NSEC_PER_SEC);
        peer_expect_nothing(p);
        g_assert_false(conn_finished(p->conn));
        sim_advance(w.sim, 3 * NSEC_PER_SEC);
        peer_expect(p, OP_ASYNC_MESSAGE, &pdu);
        peer_expect_closed(p);
        p = peer_new(&w, kind(data)); /* and the usual end */
        peer_discover(p);
        send_logout(p, 0, 0);
        peer_expect(p, OP_LOGOUT_RESPONSE, &pdu);
        peer_expect_closed(p);
        g_assert_cmpuint(w.n_ended, ==, 2);
        world_done(&w);
}

int main(int argc, char **argv)
{
        static const struct {
                const char *name;
                void (*func)(gconstpointer);
        } tests[] = {
                { "read", test_read },
                { "residuals", test_residuals },
                { "check-condition", test_check_condition },
                { "write", test_write },
                { "bidirectional", test_bidirectional },
                { "extended-cdb", test_extended_cdb },
                { "bad-ahs", test_bad_ahs },
                { "format-errors", test_format_errors },
                { "window", test_window },
                { "order", test_order },
                { "same-itt", test_same_itt },
                { "immediate-limit", test_immediate_limit },
                { "abort-task", test_abort_task },
                { "abort-before-it-comes", test_abort_before_it_comes },
                { "tmf-codes", test_tmf_codes },
                { "tmf-storm", test_tmf_storm },
                { "nop", test_nop },
                { "nop-in", test_nop_in },
                { "unknown", test_unknown },
                { "logout", test_logout },
                { "logout-order", test_logout_order },
                { "end-session", test_end_session },
                { "target-changes", test_target_changes },
                { "shutdown", test_shutdown },
                { "stream-breaks", test_stream_breaks },
                { "send-targets", test_send_targets },
                { "discovery-only", test_discovery_only },
                { "text-in-session", test_text_in_session },
                { "text-bounds", test_text_bounds },
                { "long-list", test_long_list },
                { "discovery-idle", test_discovery_idle },
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
                g_autofree char *tcp = g_strdup_printf("/iscsi/session/tcp/%s", tests[i].name),
                                *loop = g_strdup_printf("/iscsi/session/loop/%s", tests[i].name);

                g_test_add_data_func(tcp, GINT_TO_POINTER(PEER_TCP), tests[i].func);
                g_test_add_data_func(loop, GINT_TO_POINTER(PEER_LOOP), tests[i].func);
        }
        return g_test_run();
}
