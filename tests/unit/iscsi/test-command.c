/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world.h"

/* Commands and task management in the full feature phase over both transports: residuals, CDBs,
 * AHS, CmdSN, aborts. What only exists with framing is in test-data.c and test-data-out.c. */

/* ---- commands ----------------------------------------------------------------------------- */

static void test_read(gconstpointer data)
{
        World w;
        Peer *p = peer_logged_in(&w, kind(data));
        _result_ Result r = { 0 };

        peer_send_command(p, 0xc0, 0x28, 8, 4096);
        g_assert_true(peer_result(p, p->itt, &r));
        g_assert_cmpuint(r.status, ==, SCSI_GOOD);
        g_assert_cmpuint(r.flags, ==, 0);
        g_assert_cmpuint(r.residual, ==, 0);
        g_assert_cmpmem(r.data, (int)r.length, fake.disk, 4096);
        g_assert_cmpuint(fake.n_live, ==, 0);
        g_assert_cmpuint(p->max_cmdsn, ==, 101 + 127);
        peer_send_command(p, 0x80, 0x00, 0, 0);
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
        Peer *p = peer_logged_in(&w, kind(data));

        p->write_data = zero;
        for (size_t i = 0; i < G_N_ELEMENTS(residuals); i++) {
                const ResidualRow *row = &residuals[i];
                _result_ Result r = { 0 };
                _pdu_ Pdu pdu = { 0 };

                g_test_message("row %zu", i);
                peer_send_command(p, row->flags, row->opcode, row->blocks, row->edtl);
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
        Peer *p = peer_logged_in(&w, kind(data));
        _result_ Result r = { 0 };

        peer_send_command(p, 0xc0, 0xff, 0, 512);
        g_assert_true(peer_result(p, p->itt, &r));
        g_assert_cmpuint(r.status, ==, SCSI_CHECK_CONDITION);
        g_assert_cmpuint(r.sense_length, ==, 18);
        g_assert_cmphex(r.sense[2], ==, 0x0b);
        g_assert_cmphex(r.flags, ==, FLAG_UNDERFLOW);
        g_assert_cmpuint(r.residual, ==, 512);
        fake.short_by = 512; /* half of it, then an error */
        peer_send_command(p, 0xc0, 0x28, 2, 1024);
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
        Peer *p = peer_logged_in(&w, kind(data));
        _result_ Result r = { 0 };
        _pdu_ Pdu pdu = { 0 };
        uint8_t bhs[BHS_SIZE];

        memset(pattern, 0x5a, sizeof(pattern));
        p->write_data = pattern;
        peer_send_command(p, 0xa0, 0x2a, 128, 65536);
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
        Peer *p = peer_logged_in(&w, kind(data));
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
        peer_send_command(p, 0x80, 0x00, 0, 0); /* the session goes on */
        g_assert_true(peer_result(p, p->itt, &r));
        world_done(&w);
}

static void test_extended_cdb(gconstpointer data)
{
        static const uint16_t lengths[] = { 17, 18, 20, 32, 33, 48, 128, 260 };
        World w;
        Peer *p = peer_logged_in(&w, kind(data));
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
                peer_send_command(p, 0x80, 0x00, 0, 0);
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
        peer_send_command(p, 0x80, 0x00, 0, 0);
        p->cmdsn = 108;
        peer_send_command(p, 0x80, 0x00, 0, 0);
        p->cmdsn = 104 - 0x80000000u;
        peer_send_command(p, 0x80, 0x00, 0, 0);
        peer_expect_nothing(p);
        g_assert_cmpuint(fake.n_submitted, ==, 5);
        p->cmdsn = 104;
        peer_send_command(p, 0x80, 0x00, 0, 0);
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
        peer_send_command(p, 0x80, 0x00, 0, 0); /* FFFFFFFF */
        p->cmdsn++;
        peer_send_command(p, 0x80, 0x00, 0, 0); /* 1 */
        first = p->itt - 1;
        p->cmdsn = 0;
        peer_send_command(p, 0x80, 0x00, 0, 0); /* 0 */
        p->cmdsn = 1;
        peer_send_command(p, 0x80, 0x00, 0, 0); /* 1 again: dropped */
        peer_expect_nothing(p);
        g_assert_cmpuint(fake.n_submitted, ==, 0);
        p->cmdsn = UINT32_MAX - 1;
        peer_send_command(p, 0x80, 0x00, 0, 0);
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
        Peer *p = peer_logged_in(&w, kind(data));
        _pdu_ Pdu pdu = { 0 };

        fake.hold = true;
        peer_send_command(p, 0x80, 0x00, 0, 0);
        p->itt--;
        peer_send_command(p, 0x80, 0x00, 0, 0);
        peer_expect(p, OP_REJECT, &pdu);
        g_assert_cmphex(pdu.bhs[BHS_RESPONSE], ==, REJECT_TASK_IN_PROGRESS);
        peer_expect_closed(p);
        world_done(&w);
        g_assert_cmpuint(fake.n_aborted, ==, 1);
}

static void test_immediate_limit(gconstpointer data)
{
        World w;
        Peer *p = peer_logged_in(&w, kind(data));
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
        Peer *p = peer_logged_in(&w, kind(data));
        _result_ Result r = { 0 };

        fake.hold = true;
        peer_send_command(p, 0xc0, 0x28, 1, 512);
        send_tmf(p, 1, p->itt, p->cmdsn - 1);
        g_assert_cmpuint(tmf_response(p), ==, 0);
        g_assert_cmpuint(fake.n_aborted, ==, 1);
        g_assert_cmpuint(fake.n_live, ==, 0);
        peer_expect_nothing(p);
        send_tmf(p, 1, 12345, 99); /* nobody, and its CmdSN is past */
        g_assert_cmpuint(tmf_response(p), ==, 1);
        fake.tas = true;
        peer_send_command(p, 0xc0, 0x28, 1, 512);
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
        Peer *p = peer_logged_in(&w, kind(data));
        _result_ Result r = { 0 };
        uint32_t lost = p->cmdsn;

        p->cmdsn++;
        peer_send_command(p, 0x80, 0x00, 0, 0); /* held */
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
        peer_send_command(p, 0x80, 0x00, 0, 0);
        peer_expect_nothing(p);
        p->cmdsn = next;
        /* a held command is aborted itself */
        p->cmdsn = next + 1;
        peer_send_command(p, 0x80, 0x00, 0, 0);
        send_tmf(p, 1, p->itt, next + 1);
        g_assert_cmpuint(tmf_response(p), ==, 0);
        p->cmdsn = next;
        peer_send_command(p, 0x80, 0x00, 0, 0);
        g_assert_true(peer_result(p, p->itt, &r));
        peer_expect_nothing(p);
        g_assert_cmpuint(fake.n_submitted, ==, 2);
        g_assert_cmpuint(p->conn->exp_cmdsn, ==, next + 2);
        world_done(&w);
}

static void test_tmf_codes(gconstpointer data)
{
        World w;
        Peer *p = peer_logged_in(&w, kind(data));
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
        Peer *p = peer_logged_in(&w, kind(data));

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

int main(int argc, char **argv)
{
        static const TransportTest tests[] = {
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
        };

        g_test_init(&argc, &argv, NULL);
        add_transport_tests("/iscsi/command", tests, G_N_ELEMENTS(tests));
        return g_test_run();
}
