/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tcp-peer.h"

/* R2T, immediate and unsolicited Data-Out over the TCP framer, and all that may be wrong with
 * them. */

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

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/iscsi/data-out/r2t", test_r2t);
        g_test_add_func("/iscsi/data-out/unsolicited", test_unsolicited);
        g_test_add_func("/iscsi/data-out/too-much", test_too_much);
        g_test_add_func("/iscsi/data-out/wait-final", test_wait_final);
        g_test_add_func("/iscsi/data-out/abort-waiting", test_abort_waiting);
        g_test_add_func("/iscsi/data-out/early-data", test_early_data);
        g_test_add_func("/iscsi/data-out/early-limit", test_early_limit);
        g_test_add_func("/iscsi/data-out/direct", test_direct);
        g_test_add_func("/iscsi/data-out/data-out-faults", test_data_out_faults);
        g_test_add_func("/iscsi/data-out/data-out-nobody", test_data_out_nobody);
        g_test_add_func("/iscsi/data-out/unsolicited-faults", test_unsolicited_faults);
        g_test_add_func("/iscsi/data-out/bad-commands", test_bad_commands);
        g_test_add_func("/iscsi/data-out/too-long", test_too_long);
        g_test_add_func("/iscsi/data-out/wrong-datasn", test_wrong_datasn);
        return g_test_run();
}
