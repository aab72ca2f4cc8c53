/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world.h"

/* The TCP framer: chunks, digests, Data-In, R2T and Data-Out, and all that may be wrong with them.
 */

static uint8_t pattern[2 * MIB];

static Peer *logged_in(World *w)
{
        Peer *p;

        for (size_t i = 0; i < sizeof(pattern); i++)
                pattern[i] = (uint8_t)(i * 7 + (i >> 11));
        world_init(w, NULL);
        p = peer_new(w, PEER_TCP);
        peer_login(p, NULL);
        return p;
}

static void expect_good(Peer *p, uint32_t itt)
{
        _result_ Result r = { 0 };

        g_assert_true(peer_result(p, itt, &r));
        g_assert_cmpuint(r.status, ==, SCSI_GOOD);
}

static uint32_t send_write(Peer *p, uint8_t flags, uint16_t blocks, uint32_t edtl,
                           uint32_t immediate)
{
        uint8_t bhs[BHS_SIZE];

        command_bhs(p, bhs, flags, 0x2a, 0, blocks, edtl);
        peer_send(p, bhs, NULL, 0, pattern, immediate);
        return p->itt;
}

static void send_data_from(Peer *p, uint32_t itt, uint32_t ttt, uint32_t datasn, uint32_t offset,
                           uint32_t n, bool final)
{
        uint8_t bhs[BHS_SIZE];

        data_out_bhs(p, bhs, itt, ttt, datasn, offset, final);
        peer_send(p, bhs, NULL, 0, pattern + offset, n);
}

/* The R2T that is due; returns its TTT. */
static uint32_t expect_r2t(Peer *p, uint32_t itt, uint32_t r2tsn, uint32_t offset, uint32_t length)
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

static void assert_written(uint32_t n)
{
        g_assert_cmpmem(fake.disk, (int)n, pattern, n);
}

/* RFC 7143 appendix A.4 */
static void test_crc(void)
{
        uint8_t bytes[32], digest[4];
        static const struct {
                uint8_t first, step, digest[4];
        } rows[] = {
                { 0x00, 0, { 0xaa, 0x36, 0x91, 0x8a } },
                { 0xff, 0, { 0x43, 0xab, 0xa8, 0x62 } },
                { 0x00, 1, { 0x4e, 0x79, 0xdd, 0x46 } },
                { 0x1f, 0xff, { 0x5c, 0xdb, 0x3f, 0x11 } },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                for (unsigned k = 0; k < 32; k++)
                        bytes[k] = (uint8_t)(rows[i].first + k * rows[i].step);
                digest_put(digest_add(digest_add(digest_begin(), bytes, 13), bytes + 13, 19),
                           digest);
                g_assert_cmpmem(digest, 4, rows[i].digest, 4);
        }
}

/* ---- every way of cutting the stream ------------------------------------------------------ */

static void one_of_each(Peer *p)
{
        _result_ Result r = { 0 };
        _pdu_ Pdu pdu = { 0 };
        uint8_t bhs[BHS_SIZE], nop[BHS_SIZE] = { OP_NOP_OUT | OP_IMMEDIATE, 0x80 };
        uint32_t itt, ttt;

        memset(fake.disk, 0, 16384);
        itt = send_write(p, 0x20, 32, 16384, 1000); /* immediate, unsolicited, solicited */
        send_data_from(p, itt, TAG_NONE, 0, 1000, 1001, false);
        send_data_from(p, itt, TAG_NONE, 1, 2001, 999, true);
        ttt = expect_r2t(p, itt, 0, 3000, 13384);
        send_data_from(p, itt, ttt, 0, 3000, 13, false);
        send_data_from(p, itt, ttt, 1, 3013, 13371, true);
        expect_good(p, itt);
        assert_written(16384);
        command_bhs(p, bhs, 0xc0, 0x28, 0, 32, 16384);
        peer_send(p, bhs, NULL, 0, NULL, 0);
        g_assert_true(peer_result(p, p->itt, &r));
        g_assert_cmpmem(r.data, (int)r.length, pattern, 16384);
        command_bhs(p, bhs, 0x80, 0xff, 0, 0, 0);
        peer_send(p, bhs, NULL, 0, NULL, 0);
        g_assert_true(peer_result(p, p->itt, &r));
        g_assert_cmpuint(r.sense_length, ==, 18);
        put_be32(nop + BHS_ITT, 5);
        peer_send(p, nop, NULL, 0, pattern, 777);
        peer_expect(p, OP_NOP_IN, &pdu);
        g_assert_cmpmem(pdu.data, (int)pdu.length, pattern, 777);
}

static void test_chunks(void)
{
        static const size_t chunks[] = { 1, 2, 3, 7, 47, 48, 49, 52, 100, 1001, 4096, 65536, 0 };

        for (size_t i = 0; i < G_N_ELEMENTS(chunks); i++)
                for (unsigned digests = 0; digests < 4; digests++) {
                        g_autofree char *keys = g_strdup_printf("HeaderDigest=%s|DataDigest=%s",
                                                                digests & 1 ? "CRC32C" : "None",
                                                                digests & 2 ? "CRC32C" : "None");
                        World w;
                        Peer *p;

                        logged_in(&w);
                        p = peer_new(&w, PEER_TCP);
                        p->chunk = chunks[i];
                        peer_login(p, keys);
                        p->header_digest = digests & 1;
                        p->data_digest = digests & 2;
                        g_assert_true(p->conn->session->info.header_digest == p->header_digest);
                        one_of_each(p);
                        g_assert_cmpuint(framer_of(p->conn)->queued, ==, 0);
                        world_done(&w);
                }
}

/* ---- Data-In ------------------------------------------------------------------------------ */

static void test_data_in(void)
{
        World w;
        _pdu_ Pdu pdu = { 0 };
        uint8_t bhs[BHS_SIZE];
        uint32_t offset = 0, burst = 0;
        Peer *p;

        logged_in(&w);
        w.target.params.max_burst = 100000;
        world_map(&w);
        p = peer_new(&w, PEER_TCP);
        g_assert_cmphex(peer_login_step(p, 0x87,
                                        "InitiatorName=" INITIATOR "|TargetName=" TARGET
                                        "|MaxBurstLength=100000"
                                        "|MaxRecvDataSegmentLength=40000",
                                        &pdu),
                        ==, 0);
        command_bhs(p, bhs, 0xc0, 0x28, 0, 512, 262144);
        peer_send(p, bhs, NULL, 0, NULL, 0);
        for (uint32_t sn = 0; offset < 262144; sn++) {
                bool last, f;

                peer_expect(p, OP_DATA_IN, &pdu);
                g_assert_cmpuint(pdu.length, <=, 40000);
                g_assert_cmpuint(get_be32(pdu.bhs + BHS_DATASN), ==, sn);
                g_assert_cmpuint(get_be32(pdu.bhs + BHS_OFFSET), ==, offset);
                g_assert_cmpmem(pdu.data, (int)pdu.length, fake.disk + offset, pdu.length);
                offset += pdu.length;
                burst += pdu.length;
                last = offset == 262144;
                f = last || burst == 100000;
                g_assert_cmpuint(burst, <=, 100000);
                g_assert_cmpint((pdu.bhs[BHS_FLAGS] & FLAG_FINAL) != 0, ==, f);
                g_assert_cmpint((pdu.bhs[BHS_FLAGS] & FLAG_STATUS) != 0, ==, last);
                if (f)
                        burst = 0;
        }
        peer_expect_nothing(p);
        /* with an error status does not ride along */
        fake.short_by = 100;
        command_bhs(p, bhs, 0xc0, 0x28, 0, 1, 512);
        peer_send(p, bhs, NULL, 0, NULL, 0);
        peer_expect(p, OP_DATA_IN, &pdu);
        g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, FLAG_FINAL);
        g_assert_cmpuint(pdu.length, ==, 412);
        peer_expect(p, OP_SCSI_RESPONSE, &pdu);
        g_assert_cmpuint(get_be32(pdu.bhs + BHS_DATASN), ==, 1); /* ExpDataSN */
        g_assert_cmpuint(get_be32(pdu.bhs + BHS_RESIDUAL), ==, 100);
        world_done(&w);
}

/* Read data goes out from where the store has put it. */
static void test_no_copy(void)
{
        World w;
        Peer *p = logged_in(&w);
        uint8_t bhs[BHS_SIZE];
        struct iovec iov[16];
        size_t n;

        p->deaf = true;
        for (unsigned i = 0; i < 3; i++) {
                command_bhs(p, bhs, 0xc0, 0x28, 0, 8, 4096);
                peer_send(p, bhs, NULL, 0, NULL, 0);
        }
        n = conn_out(p->conn, iov, 16);
        g_assert_cmpuint(n, ==, 9); /* three PDUs in one send: header and two parts of data each */
        g_assert_cmpuint(iov[0].iov_len, ==, BHS_SIZE);
        g_assert_cmpuint(iov[1].iov_len, ==, 1000);
        g_assert_cmpuint(fake.n_live, ==, 3);
        conn_sent(p->conn, BHS_SIZE + 4095);
        g_assert_cmpuint(fake.n_live, ==, 3);
        n = conn_out(p->conn, iov, 16);
        g_assert_cmpuint(iov[0].iov_len, ==, 1);
        conn_sent(p->conn, 1);
        g_assert_cmpuint(fake.n_live, ==, 2);
        n = conn_out(p->conn, iov, 1);
        g_assert_cmpuint(n, ==, 1);
        world_done(&w);
}

/* ---- Data-Out ----------------------------------------------------------------------------- */

static void test_r2t(void)
{
        World w;
        Peer *p = logged_in(&w); /* MaxBurstLength 262144, MaxOutstandingR2T 4 */
        uint32_t itt, ttt[8];
        _pdu_ Pdu pdu = { 0 };

        itt = send_write(p, 0xa0, 3072, 1572864, 0); /* six bursts */
        for (unsigned i = 0; i < 4; i++)
                ttt[i] = expect_r2t(p, itt, i, i * 262144, 262144);
        peer_expect_nothing(p);
        for (unsigned i = 0; i < 6; i++) {
                send_data_from(p, itt, ttt[i], 0, i * 262144, 131072, false);
                peer_expect_nothing(p);
                send_data_from(p, itt, ttt[i], 1, i * 262144 + 131072, 131072, true);
                if (i < 2)
                        ttt[i + 4] = expect_r2t(p, itt, i + 4, (i + 4) * 262144, 262144);
        }
        peer_expect(p, OP_SCSI_RESPONSE, &pdu);
        g_assert_cmpuint(pdu.bhs[BHS_STATUS], ==, 0);
        g_assert_cmpuint(get_be32(pdu.bhs + BHS_DATASN), ==, 6); /* ExpDataSN: R2Ts */
        assert_written(1572864);
        world_done(&w);
}

static void test_unsolicited(void)
{
        World w;
        Peer *p = logged_in(&w); /* FirstBurstLength 65536 */
        uint32_t itt, ttt;

        itt = send_write(p, 0xa0, 16, 8192, 8192); /* all of it immediate */
        expect_good(p, itt);
        assert_written(8192);
        itt = send_write(p, 0x20, 128, 65536, 0); /* none of it */
        send_data_from(p, itt, TAG_NONE, 0, 0, 65536, true);
        expect_good(p, itt);
        assert_written(65536);
        itt = send_write(p, 0x20, 256, 131072, 4096);
        send_data_from(p, itt, TAG_NONE, 0, 4096, 61440, true);
        ttt = expect_r2t(p, itt, 0, 65536, 65536);
        send_data_from(p, itt, ttt, 0, 65536, 65536, true);
        expect_good(p, itt);
        assert_written(131072);
        itt = send_write(p, 0x20, 16, 8192, 0); /* less than it might, F in an empty one */
        send_data_from(p, itt, TAG_NONE, 0, 0, 512, false);
        send_data_from(p, itt, TAG_NONE, 1, 512, 0, true);
        ttt = expect_r2t(p, itt, 0, 512, 7680);
        send_data_from(p, itt, ttt, 0, 512, 7680, true);
        expect_good(p, itt);
        world_done(&w);
}

/* More unsolicited data than the command takes: thrown away, and in the residual. */
static void test_too_much(void)
{
        World w;
        Peer *p = logged_in(&w);
        _result_ Result r = { 0 };
        uint32_t itt;
        uint8_t after = fake.disk[512];

        itt = send_write(p, 0x20, 1, 8192, 4096);
        peer_expect_nothing(p);
        send_data_from(p, itt, TAG_NONE, 0, 4096, 4096, true);
        g_assert_true(peer_result(p, itt, &r));
        g_assert_cmpuint(r.status, ==, SCSI_GOOD);
        g_assert_cmphex(r.flags, ==, FLAG_UNDERFLOW);
        g_assert_cmpuint(r.residual, ==, 8192 - 512);
        assert_written(512);
        g_assert_cmphex(fake.disk[512], ==, after);
        world_done(&w);
}

/* RFC 7143 11.4.2: no status before the last of the unsolicited data. */
static void test_wait_final(void)
{
        World w;
        Peer *p = logged_in(&w);
        _result_ Result r = { 0 };
        uint8_t bhs[BHS_SIZE];

        command_bhs(p, bhs, 0x20, 0xff, 0, 0, 8192);
        peer_send(p, bhs, NULL, 0, pattern, 100);
        g_assert_cmpuint(fake.n_completed, ==, 1);
        peer_expect_nothing(p);
        send_data_from(p, p->itt, TAG_NONE, 0, 100, 1000, false);
        peer_expect_nothing(p);
        send_data_from(p, p->itt, TAG_NONE, 1, 1100, 1, true);
        g_assert_true(peer_result(p, p->itt, &r));
        g_assert_cmpuint(r.status, ==, SCSI_CHECK_CONDITION);
        command_bhs(p, bhs, 0xa0, 0xff, 0, 0, 100);
        peer_send(p, bhs, NULL, 0, pattern, 100);
        g_assert_true(peer_result(p, p->itt, &r));
        world_done(&w);
}

/* The rest never comes, and the initiator gives up: the command does not stay for ever. */
static void test_abort_waiting(void)
{
        World w;
        Peer *p = logged_in(&w);
        _pdu_ Pdu pdu = { 0 };
        uint8_t bhs[BHS_SIZE], tmf[BHS_SIZE] = { OP_TMF_REQUEST | OP_IMMEDIATE, 0x80 };

        for (uint8_t function = 1; function <= 5; function += 4) { /* ABORT TASK, LUN RESET */
                command_bhs(p, bhs, 0x20, 0xff, 0, 0, 8192);
                peer_send(p, bhs, NULL, 0, pattern, 100);
                g_assert_cmpuint(p->conn->n_windowed, ==, 1);
                tmf[BHS_FLAGS] = 0x80 | function;
                put_be32(tmf + BHS_ITT, 0x9999);
                put_be32(tmf + BHS_RTT, p->itt);
                put_be32(tmf + BHS_CMDSN, p->cmdsn);
                peer_send(p, tmf, NULL, 0, NULL, 0);
                peer_expect(p, OP_TMF_RESPONSE, &pdu);
                g_assert_cmpuint(pdu.bhs[BHS_RESPONSE], ==, 0);
                g_assert_cmpuint(p->conn->n_windowed, ==, 0);
                g_assert_cmpuint(fake.n_live, ==, 0);
                send_data_from(p, p->itt, TAG_NONE, 0, 100, 1000,
                               true); /* after all: nobody minds */
                peer_expect_nothing(p);
                g_assert_cmpuint(p->conn->n_commands, ==, 0);
        }
        world_done(&w);
}

/* The device server comes to the command only after its data has come: gate or CmdSN gap. */
static void test_early_data(void)
{
        World w;
        Peer *p = logged_in(&w);
        uint32_t itt, ttt, first;
        uint8_t bhs[BHS_SIZE];

        for (unsigned round = 0; round < 3; round++) {
                memset(fake.disk, 0, 65536);
                fake.gate = true;
                itt = send_write(p, 0x20, 64, 32768, 1000);
                send_data_from(p, itt, TAG_NONE, 0, 1000, 3000, false);
                if (round == 0) /* before the F bit, after it, in the middle of a PDU */
                        fake_run();
                if (round < 2)
                        send_data_from(p, itt, TAG_NONE, 1, 4000, 96, true);
                else {
                        g_autoptr(GByteArray) saved = g_byte_array_new();

                        data_out_bhs(p, bhs, itt, TAG_NONE, 1, 4000, true);
                        put_be24(bhs + BHS_DATA_LENGTH, 96);
                        g_byte_array_append(saved, bhs, BHS_SIZE);
                        g_byte_array_append(saved, pattern + 4000, 96);
                        peer_bytes(p, saved->data, BHS_SIZE + 50);
                        fake_run();
                        peer_bytes(p, saved->data + BHS_SIZE + 50, 46);
                }
                if (round == 1) {
                        peer_expect_nothing(p);
                        fake_run();
                }
                ttt = expect_r2t(p, itt, 0, 4096, 28672);
                send_data_from(p, itt, ttt, 0, 4096, 28672, true);
                expect_good(p, itt);
                assert_written(32768);
                g_assert_cmpint(w.workers[0]->early_budget.left, >=, (int64_t)(63 * MIB));
        }
        memset(fake.disk, 0, 65536);
        fake.gate = true; /* complete before it is asked for */
        itt = send_write(p, 0xa0, 16, 8192, 8192);
        fake_run();
        expect_good(p, itt);
        assert_written(8192);
        /* a gap in CmdSN does the same */
        memset(fake.disk, 0, 65536);
        first = p->cmdsn++;
        itt = send_write(p, 0xa0, 16, 8192, 8192);
        g_assert_cmpuint(fake.n_live, ==, 0);
        p->cmdsn = first;
        command_bhs(p, bhs, 0x80, 0x00, 0, 0, 0);
        peer_send(p, bhs, NULL, 0, NULL, 0);
        expect_good(p, p->itt);
        expect_good(p, itt);
        assert_written(8192);
        world_done(&w);
}

static void test_early_limit(void)
{
        World w;
        IscsiLimits limits = { .early_data_max = 8192 };
        Peer *p;
        uint32_t a, b;
        _result_ Result r = { 0 };

        world_init(&w, &limits);
        p = peer_new(&w, PEER_TCP);
        peer_login(p, NULL);
        fake.gate = true;
        a = send_write(p, 0xa0, 16, 8192, 8192);
        b = send_write(p, 0xa0, 16, 8192, 8192); /* no room: it fails, nothing else does */
        fake_run();
        peer_run(p);
        g_assert_cmpint(fake.last_error, ==, -ENOMEM);
        expect_good(p, a);
        g_assert_true(peer_result(p, b, &r));
        g_assert_cmpuint(r.status, ==, SCSI_CHECK_CONDITION);
        world_done(&w);
}

/* Large payload lands in the task's buffer without a stop. */
static void test_direct(void)
{
        World w;
        Peer *p = logged_in(&w);
        struct iovec iov[2];
        uint8_t bhs[BHS_SIZE];
        uint32_t itt = send_write(p, 0xa0, 512, 262144, 0), ttt = expect_r2t(p, itt, 0, 0, 262144);
        Command *cmd = command_find(p->conn, itt);

        data_out_bhs(p, bhs, itt, ttt, 0, 0, true);
        put_be24(bhs + BHS_DATA_LENGTH, 262144);
        peer_bytes(p, bhs, BHS_SIZE);
        g_assert_cmpuint(conn_want(p->conn, iov, 2), ==, 2);
        g_assert_true(iov[0].iov_base == cmd->task.buffer->data);
        g_assert_cmpuint(iov[0].iov_len, ==, 262144);
        g_assert_cmpuint(iov[1].iov_len, <, 4096); /* the next payload is left alone */
        peer_bytes(p, pattern, 262144);
        expect_good(p, itt);
        assert_written(262144);
        world_done(&w);
}

/* ---- what is wrong ------------------------------------------------------------------------ */

typedef struct FaultRow {
        const char *name;
        uint32_t ttt_xor, datasn, offset, length;
        bool final, unsolicited;
        uint8_t reason; /* 0: nothing wrong */
} FaultRow;

/* Against an R2T for [0, 8192) of a WRITE of 8192 bytes. */
static const FaultRow faults[] = {
        { "right", 0, 0, 0, 8192, true, false, 0 },
        { "part", 0, 0, 0, 4096, false, false, 0 },
        { "beyond the burst", 0, 0, 0, 8193, true, false, REJECT_PROTOCOL_ERROR },
        { "beyond, and more to come", 0, 0, 0, 8193, false, false, REJECT_PROTOCOL_ERROR },
        { "beyond by offset", 0, 0, 8192, 1, true, false, REJECT_PROTOCOL_ERROR },
        { "offset that wraps", 0, 0, 0xffffffff, 2, true, false, REJECT_PROTOCOL_ERROR },
        { "hole", 0, 0, 512, 512, false, false, REJECT_PROTOCOL_ERROR },
        { "short with F", 0, 0, 0, 4096, true, false, REJECT_PROTOCOL_ERROR },
        { "whole without F", 0, 0, 0, 8192, false, false, REJECT_PROTOCOL_ERROR },
        { "TTT", 1, 0, 0, 8192, true, false, REJECT_PROTOCOL_ERROR },
        { "TTT of another", 0x10000, 0, 0, 8192, true, false, REJECT_PROTOCOL_ERROR },
        { "unsolicited", 0, 0, 0, 8192, true, true, REJECT_PROTOCOL_ERROR },
        { "huge", 0, 0, 0, 262145, true, false, REJECT_PROTOCOL_ERROR },
};

static void test_data_out_faults(void)
{
        World w;

        logged_in(&w);
        for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
                const FaultRow *row = &faults[i];
                _pdu_ Pdu pdu = { 0 };
                Peer *p = peer_new(&w, PEER_TCP);
                uint32_t itt, ttt;

                g_test_message("%s", row->name);
                peer_login(p, NULL);
                itt = send_write(p, 0xa0, 16, 8192, 0);
                ttt = expect_r2t(p, itt, 0, 0, 8192);
                {
                        uint8_t bhs[BHS_SIZE];

                        data_out_bhs(p, bhs, itt, row->unsolicited ? TAG_NONE : ttt ^ row->ttt_xor,
                                     row->datasn, row->offset, row->final);
                        peer_send(p, bhs, NULL, 0, pattern, row->length);
                }
                if (row->reason) {
                        peer_expect(p, OP_REJECT, &pdu);
                        g_assert_cmphex(pdu.bhs[BHS_RESPONSE], ==, row->reason);
                        peer_expect_closed(p);
                } else if (row->final)
                        expect_good(p, itt);
                else
                        peer_expect_nothing(p);
                peer_free(p);
        }
        world_done(&w);
}

/* RFC 7143 7.9: an implied digest error. It ends the command, not the session. */
static void test_wrong_datasn(void)
{
        World w;
        Peer *p = logged_in(&w);
        uint32_t itt, ttt;
        _pdu_ Pdu pdu = { 0 };

        itt = send_write(p, 0xa0, 16, 8192, 0);
        ttt = expect_r2t(p, itt, 0, 0, 8192);
        send_data_from(p, itt, ttt, 1, 0, 4096, false);
        peer_expect_nothing(p);
        send_data_from(p, itt, ttt, 1, 4096, 4096, true);
        peer_expect(p, OP_SCSI_RESPONSE, &pdu);
        g_assert_cmpuint(pdu.bhs[BHS_STATUS], ==, 2);
        itt = send_write(p, 0xa0, 16, 8192, 0);
        ttt = expect_r2t(p, itt, 0, 0, 8192);
        send_data_from(p, itt, ttt, 0, 0, 8192, true);
        peer_expect(p, OP_SCSI_RESPONSE, &pdu);
        g_assert_cmpuint(pdu.bhs[BHS_STATUS], ==, 0);
        world_done(&w);
}

/* The same burst again; data for a READ; data for nobody; data after everything. */
static void test_data_out_nobody(void)
{
        World w;
        Peer *p = logged_in(&w);
        _pdu_ Pdu pdu = { 0 };
        uint8_t bhs[BHS_SIZE];
        uint32_t itt, ttt;

        send_data_from(p, 4711, TAG_NONE, 0, 0, 512, true);
        peer_expect(p, OP_REJECT, &pdu);
        g_assert_cmphex(pdu.bhs[BHS_RESPONSE], ==, REJECT_INVALID_FIELD);
        itt = send_write(p, 0xa0, 16, 8192, 0);
        ttt = expect_r2t(p, itt, 0, 0, 8192);
        send_data_from(p, itt, ttt, 0, 0, 8192, true);
        expect_good(p, itt);
        send_data_from(p, itt, ttt, 0, 0, 8192, true);
        peer_expect(p, OP_REJECT, &pdu);
        g_assert_false(conn_finished(p->conn));
        fake.hold = true;
        command_bhs(p, bhs, 0xc0, 0x28, 0, 16, 8192);
        peer_send(p, bhs, NULL, 0, NULL, 0);
        send_data_from(p, p->itt, TAG_NONE, 0, 0, 512, true);
        peer_expect(p, OP_REJECT, &pdu);
        g_assert_cmphex(pdu.bhs[BHS_RESPONSE], ==, REJECT_PROTOCOL_ERROR);
        peer_expect_closed(p);
        world_done(&w);
}

/* Unsolicited data past FirstBurstLength, and past what the command expects. */
static void test_unsolicited_faults(void)
{
        World w;
        static const struct {
                uint32_t edtl, n;
        } rows[] = { { 131072, 65537 }, { 8192, 8193 }, { 8192, 65536 } };

        logged_in(&w);
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
                for (unsigned gated = 0; gated < 2; gated++) {
                        Peer *p = peer_new(&w, PEER_TCP);
                        _pdu_ Pdu pdu = { 0 };
                        uint32_t itt;

                        peer_login(p, NULL);
                        fake.gate = gated;
                        itt = send_write(p, 0x20, 256, rows[i].edtl, 0);
                        send_data_from(p, itt, TAG_NONE, 0, 0, rows[i].n, false);
                        peer_expect(p, OP_REJECT, &pdu);
                        g_assert_cmphex(pdu.bhs[BHS_RESPONSE], ==, REJECT_PROTOCOL_ERROR);
                        peer_expect_closed(p);
                        peer_free(p);
                }
        world_done(&w);
}

typedef struct CommandRow {
        uint8_t flags;
        uint32_t edtl, immediate;
        const char *keys;
} CommandRow;

static const CommandRow bad_commands[] = {
        { 0xa0, 0, 512, NULL },                 /* W, expected length 0, immediate data */
        { 0xa0, 511, 512, NULL },               /* more than expected */
        { 0x80, 512, 512, NULL },               /* neither R nor W */
        { 0xc0, 512, 512, NULL },               /* with a READ */
        { 0xa0, 131072, 65537, NULL },          /* more than FirstBurstLength */
        { 0xa0, 512, 512, "ImmediateData=No" }, /* not agreed */
        { 0x20, 512, 0, "InitialR2T=Yes" },     /* F=0, not agreed */
};

static void test_bad_commands(void)
{
        World w;

        logged_in(&w);
        for (size_t i = 0; i < G_N_ELEMENTS(bad_commands); i++) {
                const CommandRow *row = &bad_commands[i];
                g_autofree char *text =
                        g_strdup_printf("InitiatorName=" INITIATOR "|TargetName=" TARGET "%s%s",
                                        row->keys ? "|" : "", row->keys ? row->keys : "");
                Peer *p = peer_new(&w, PEER_TCP);
                _pdu_ Pdu pdu = { 0 };
                uint8_t bhs[BHS_SIZE];

                g_assert_cmphex(peer_login_step(p, 0x87, text, &pdu), ==, 0);
                command_bhs(p, bhs, row->flags, 0x2a, 0, 1, row->edtl);
                peer_send(p, bhs, NULL, 0, pattern, row->immediate);
                peer_expect(p, OP_REJECT, &pdu);
                g_assert_cmphex(pdu.bhs[BHS_RESPONSE], ==, REJECT_INVALID_FIELD);
                peer_expect_closed(p);
        }
        g_assert_cmpuint(fake.n_submitted, ==, 0);
        world_done(&w);
}

/* Lengths beyond what was declared, before anything is allocated for them. */
static void test_too_long(void)
{
        World w;
        Peer *p = logged_in(&w);
        _pdu_ Pdu pdu = { 0 };
        uint8_t bhs[BHS_SIZE] = { OP_NOP_OUT | OP_IMMEDIATE, 0x80 };

        put_be24(bhs + BHS_DATA_LENGTH, 262145);
        peer_bytes(p, bhs, BHS_SIZE);
        peer_expect(p, OP_REJECT, &pdu);
        peer_expect_closed(p);
        p = peer_new(&w, PEER_TCP); /* 8192 in login */
        bhs[BHS_OPCODE] = OP_LOGIN_REQUEST | OP_IMMEDIATE;
        put_be24(bhs + BHS_DATA_LENGTH, 8193);
        peer_bytes(p, bhs, BHS_SIZE);
        peer_expect_closed(p);
        world_done(&w);
}

/* ---- aborts ------------------------------------------------------------------------------- */

static void reset(Peer *p)
{
        uint8_t bhs[BHS_SIZE] = { OP_TMF_REQUEST | OP_IMMEDIATE, 0x85 };
        _pdu_ Pdu pdu = { 0 };

        put_be32(bhs + BHS_ITT, 0x1000);
        put_be32(bhs + BHS_CMDSN, p->cmdsn);
        peer_send(p, bhs, NULL, 0, NULL, 0);
        peer_expect(p, OP_TMF_RESPONSE, &pdu);
}

/* Data that was asked for before the abort is thrown away, quietly. */
static void test_abort_while_data_comes(void)
{
        World w;
        Peer *p = logged_in(&w);
        uint32_t itt, ttt, ttt2;

        itt = send_write(p, 0xa0, 1024, 524288, 0);
        ttt = expect_r2t(p, itt, 0, 0, 262144);
        ttt2 = expect_r2t(p, itt, 1, 262144, 262144);
        send_data_from(p, itt, ttt, 0, 0, 1000, false);
        reset(p);
        g_assert_cmpuint(fake.n_aborted, ==, 1);
        g_assert_cmpuint(fake.n_live, ==, 0);
        g_assert_cmpuint(p->conn->n_draining, ==, 1);
        send_data_from(p, itt, ttt, 1, 1000, 261144, true);
        send_data_from(p, itt, ttt2, 0, 262144, 262144, true);
        peer_expect_nothing(p);
        g_assert_cmpuint(p->conn->n_commands, ==, 0);
        g_assert_cmpuint(p->conn->n_draining, ==, 0);
        /* or it does not come, and the tag is used again */
        itt = send_write(p, 0x20, 16, 8192, 0);
        reset(p);
        g_assert_cmpuint(p->conn->n_draining, ==, 1);
        p->itt = itt - 1;
        itt = send_write(p, 0xa0, 16, 8192, 8192);
        expect_good(p, itt);
        /* never: there is an end to what is kept */
        for (unsigned i = 0; i < DRAINING_MAX + 10; i++) {
                send_write(p, 0x20, 16, 8192, 0);
                reset(p);
        }
        g_assert_cmpuint(p->conn->n_draining, ==, DRAINING_MAX);
        world_done(&w);
}

/* Another nexus resets the unit in the middle of a payload. */
static void test_abort_inside_payload(void)
{
        World w;
        Peer *p = logged_in(&w);
        uint32_t itt = send_write(p, 0xa0, 512, 262144, 0), ttt = expect_r2t(p, itt, 0, 0, 262144);
        uint8_t bhs[BHS_SIZE];
        Command *cmd = command_find(p->conn, itt);

        data_out_bhs(p, bhs, itt, ttt, 0, 0, true);
        put_be24(bhs + BHS_DATA_LENGTH, 262144);
        peer_bytes(p, bhs, BHS_SIZE);
        peer_bytes(p, pattern, 100000);
        fake.n_tasks = 0;
        cmd->task.state = TASK_GIVEN_UP;
        cmd->task.ops->aborted(&cmd->task, false);
        g_assert_cmpuint(fake.n_live, ==, 0);
        peer_bytes(p, pattern + 100000, 162144);
        peer_expect_nothing(p);
        g_assert_cmpuint(p->conn->n_commands, ==, 0);
        itt = send_write(p, 0xa0, 16, 8192, 8192);
        expect_good(p, itt);
        world_done(&w);
}

/* The session ends with a PDU half on the wire: it ends as it began, from a copy. */
static void test_end_inside_pdu(void)
{
        World w;
        Peer *p = logged_in(&w);
        uint8_t bhs[BHS_SIZE];
        struct iovec iov[8];
        _pdu_ Pdu pdu = { 0 };
        size_t n, total = 0;

        p->deaf = true;
        for (unsigned i = 0; i < 3; i++) {
                command_bhs(p, bhs, 0xc0, 0x28, 0, 16, 8192);
                peer_send(p, bhs, NULL, 0, NULL, 0);
        }
        n = conn_out(p->conn, iov, 8);
        for (size_t i = 0; i < n && total < 3000; i++) {
                size_t m = MIN(iov[i].iov_len, 3000 - total);

                g_byte_array_append(p->in, iov[i].iov_base, (guint)m);
                total += m;
        }
        conn_sent(p->conn, total);
        g_assert_cmpint(iscsi_worker_end_session(w.workers[0], 1, "x"), ==, 0);
        sim_run(w.sim);
        g_assert_cmpuint(fake.n_live, ==, 0); /* nothing waits for the peer */
        g_assert_cmpuint(w.n_ended, ==, 1);
        p->deaf = false;
        peer_expect(p, OP_DATA_IN, &pdu);
        g_assert_cmpmem(pdu.data, (int)pdu.length, fake.disk, 8192);
        p->exp_statsn += 2; /* two results were built and are not sent */
        peer_expect(p, OP_ASYNC_MESSAGE, &pdu);
        peer_expect_closed(p);
        world_done(&w);
}

/* ---- a peer that does not read ------------------------------------------------------------ */

static void test_back_pressure(void)
{
        World w;
        IscsiLimits limits = { .tx_queue_max = 100000 };
        Peer *p;
        struct iovec iov[2], out[64];
        uint8_t bhs[BHS_SIZE];
        _pdu_ Pdu pdu = { 0 };

        world_init(&w, &limits);
        p = peer_new(&w, PEER_TCP);
        peer_login(p, NULL);
        p->deaf = true;
        for (unsigned i = 0; i < 50; i++) {
                command_bhs(p, bhs, 0xc0, 0x28, 0, 16, 8192);
                peer_send(p, bhs, NULL, 0, NULL, 0);
        }
        g_assert_cmpuint(conn_want(p->conn, iov, 2), ==, 0);
        g_assert_cmpuint(fake.n_submitted, <=, 13); /* the others are not even read */
        g_assert_cmpuint(framer_of(p->conn)->queued, <, 120000);
        p->woken = false;
        for (size_t n; (n = conn_out(p->conn, out, 64)) > 0;) { /* it reads again: so do we */
                size_t total = 0;

                for (size_t i = 0; i < n; i++) {
                        g_byte_array_append(p->in, out[i].iov_base, (guint)out[i].iov_len);
                        total += out[i].iov_len;
                }
                conn_sent(p->conn, total);
        }
        g_assert_true(p->woken);
        g_assert_cmpuint(conn_want(p->conn, iov, 2), >, 0);
        p->deaf = false;
        for (unsigned i = 0; i < 50; i++)
                peer_expect(p, OP_DATA_IN, &pdu);
        g_assert_cmpuint(framer_of(p->conn)->queued, ==, 0);
        world_done(&w);
}

static void test_never_reads(void)
{
        World w;
        Peer *p = logged_in(&w);
        uint8_t bhs[BHS_SIZE];
        struct iovec iov[4];

        p->deaf = true;
        for (unsigned i = 0; i < 20; i++) {
                command_bhs(p, bhs, 0xc0, 0x28, 0, 16, 8192);
                peer_send(p, bhs, NULL, 0, NULL, 0);
        }
        memset(bhs, 0, BHS_SIZE);
        bhs[BHS_OPCODE] = OP_LOGOUT_REQUEST | OP_IMMEDIATE;
        bhs[BHS_FLAGS] = 0x80;
        peer_send(p, bhs, NULL, 0, NULL, 0);
        sim_advance(w.sim, 30 * NSEC_PER_SEC);
        g_assert_cmpuint(w.n_ended, ==, 1);
        g_assert_cmpuint(fake.n_live, ==, 0);
        g_assert_true(conn_finished(p->conn));
        g_assert_cmpuint(conn_out(p->conn, iov, 4), ==, 0);
        world_done(&w);
}

/* ---- digests ------------------------------------------------------------------------------ */

static Peer *digest_peer(World *w)
{
        Peer *p = peer_new(w, PEER_TCP);

        peer_login(p, "HeaderDigest=CRC32C|DataDigest=CRC32C");
        p->header_digest = p->data_digest = true;
        return p;
}

static void test_header_digest_error(void)
{
        World w;
        Peer *p;
        uint8_t bhs[BHS_SIZE];

        logged_in(&w);
        p = digest_peer(&w);
        p->corrupt_header = true;
        command_bhs(p, bhs, 0x80, 0x00, 0, 0, 0);
        peer_send(p, bhs, NULL, 0, NULL, 0);
        peer_expect_closed(p);
        g_assert_cmpuint(fake.n_submitted, ==, 0);
        g_assert_cmpuint(w.n_events[ISCSI_EVENT_PROTOCOL_ERROR], ==, 1);
        world_done(&w);
}

static void test_data_digest_error(void)
{
        World w;
        Peer *p;
        _pdu_ Pdu pdu = { 0 };
        _result_ Result r = { 0 };
        uint8_t nop[BHS_SIZE] = { OP_NOP_OUT | OP_IMMEDIATE, 0x80 };
        uint32_t itt, ttt;

        logged_in(&w);
        for (unsigned chunk = 0; chunk < 100; chunk += 33) {
                p = digest_peer(&w);
                p->chunk = chunk;
                for (unsigned where = 0; where < 3; where++) {
                        p->corrupt_data = where == 0;
                        itt = send_write(p, 0x20, 32, 16384, 1000);
                        p->corrupt_data = where == 1;
                        send_data_from(p, itt, TAG_NONE, 0, 1000, 3096, true);
                        p->corrupt_data = where == 2;
                        if (where == 2) {
                                ttt = expect_r2t(p, itt, 0, 4096, 12288);
                                send_data_from(p, itt, ttt, 0, 4096, 12288, true);
                        }
                        p->corrupt_data = false;
                        peer_expect(p, OP_REJECT, &pdu);
                        g_assert_cmphex(pdu.bhs[BHS_RESPONSE], ==, REJECT_DATA_DIGEST);
                        g_assert_true(peer_result(p, itt, &r));
                        g_assert_cmpuint(r.status, ==, SCSI_CHECK_CONDITION);
                        g_assert_cmpint(fake.last_error, ==, -EBADMSG);
                }
                itt = send_write(p, 0xa0, 16, 8192, 8192); /* the session goes on */
                expect_good(p, itt);
                p->corrupt_data = true;
                put_be32(nop + BHS_ITT, 1);
                peer_send(p, nop, NULL, 0, "x", 1);
                peer_expect(p, OP_REJECT, &pdu);
                peer_expect_closed(p);
                peer_free(p);
        }
        world_done(&w);
}

/* Pools, not malloc: what one command took serves the next. */
static void test_pools(void)
{
        World w;
        Peer *p = logged_in(&w);
        uint8_t bhs[BHS_SIZE];
        _result_ Result r = { 0 };
        unsigned commands = 0, pdus = 0;

        for (unsigned i = 0; i < 100; i++) {
                command_bhs(p, bhs, 0xc0, 0x28, 0, 8, 4096);
                peer_send(p, bhs, NULL, 0, NULL, 0);
                g_assert_true(peer_result(p, p->itt, &r));
                if (i == 0) {
                        commands = w.workers[0]->commands.n_free;
                        pdus = w.workers[0]->pdus.n_free;
                }
        }
        g_assert_cmpuint(w.workers[0]->commands.n_free, ==, commands);
        g_assert_cmpuint(w.workers[0]->pdus.n_free, ==, pdus);
        world_done(&w);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/iscsi/data/crc", test_crc);
        g_test_add_func("/iscsi/data/chunks", test_chunks);
        g_test_add_func("/iscsi/data/data-in", test_data_in);
        g_test_add_func("/iscsi/data/no-copy", test_no_copy);
        g_test_add_func("/iscsi/data/r2t", test_r2t);
        g_test_add_func("/iscsi/data/unsolicited", test_unsolicited);
        g_test_add_func("/iscsi/data/too-much", test_too_much);
        g_test_add_func("/iscsi/data/wait-final", test_wait_final);
        g_test_add_func("/iscsi/data/abort-waiting", test_abort_waiting);
        g_test_add_func("/iscsi/data/early-data", test_early_data);
        g_test_add_func("/iscsi/data/early-limit", test_early_limit);
        g_test_add_func("/iscsi/data/direct", test_direct);
        g_test_add_func("/iscsi/data/data-out-faults", test_data_out_faults);
        g_test_add_func("/iscsi/data/data-out-nobody", test_data_out_nobody);
        g_test_add_func("/iscsi/data/unsolicited-faults", test_unsolicited_faults);
        g_test_add_func("/iscsi/data/bad-commands", test_bad_commands);
        g_test_add_func("/iscsi/data/too-long", test_too_long);
        g_test_add_func("/iscsi/data/abort-while-data-comes", test_abort_while_data_comes);
        g_test_add_func("/iscsi/data/abort-inside-payload", test_abort_inside_payload);
        g_test_add_func("/iscsi/data/end-inside-pdu", test_end_inside_pdu);
        g_test_add_func("/iscsi/data/back-pressure", test_back_pressure);
        g_test_add_func("/iscsi/data/never-reads", test_never_reads);
        g_test_add_func("/iscsi/data/wrong-datasn", test_wrong_datasn);
        g_test_add_func("/iscsi/data/header-digest-error", test_header_digest_error);
        g_test_add_func("/iscsi/data/data-digest-error", test_data_digest_error);
        g_test_add_func("/iscsi/data/pools", test_pools);
        return g_test_run();
}
