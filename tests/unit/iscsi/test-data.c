/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/mman.h>

#include "tcp-peer.h"

/* The TCP framer: chunks, digests, Data-In, aborts and peers that do not read. Data-Out is in
 * test-data-out.c. */

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

/* ---- Data-In that is lent ------------------------------------------------------------------ */

#define LENT (FAKE_BLOCKS * 512)

/* The device server lends a file whose bytes are not those of its buffers. */
static Peer *peer_with_loans(World *w, const char *keys)
{
        uint8_t *p;
        Peer *peer;
        int fd;

        logged_in(w);
        fd = memfd_create("disk", MFD_CLOEXEC);
        g_assert_cmpint(ftruncate(fd, LENT), ==, 0);
        p = mmap(NULL, LENT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        g_assert_true(p != MAP_FAILED);
        for (unsigned i = 0; i < LENT; i++)
                p[i] = (uint8_t)(i / 1024 % 251);
        fake.lent = (StoreLoan){ .memory = p, .fd = fd };
        peer = peer_new(w, PEER_TCP);
        peer_login(peer, keys);
        return peer;
}

static void end_loans(World *w)
{
        (void)munmap((void *)fake.lent.memory, LENT);
        (void)close(fake.lent.fd);
        fake.lent.memory = NULL;
        world_done(w);
}

static void read_megabyte(Peer *p, Result *ret)
{
        uint8_t bhs[BHS_SIZE];

        command_bhs(p, bhs, 0xc0, 0x28, 2, 2048, MIB);
        peer_send(p, bhs, NULL, 0, NULL, 0);
        g_assert_true(peer_result(p, p->itt, ret));
        g_assert_cmpuint(ret->length, ==, MIB);
}

static void check_lent(const uint8_t *data, unsigned first_block, size_t n)
{
        for (unsigned k = 0; k < n; k++)
                if (data[k] != (first_block / 2 + k / 1024) % 251)
                        g_error("byte %u is %u", k, data[k]);
}

static void test_lent(void)
{
        static const size_t chunks[] = { 0, 13, 48, 65536, 100003 };

        for (size_t i = 0; i < G_N_ELEMENTS(chunks); i++) {
                World w;
                Peer *p = peer_with_loans(&w, "MaxRecvDataSegmentLength=70000");
                _result_ Result r = { 0 };

                p->chunk = chunks[i];
                read_megabyte(p, &r);
                check_lent(r.data, 2, r.length);
                g_assert_cmpuint(framer_of(p->conn)->queued, ==, 0);
                end_loans(&w);
        }
}

/* Not with digests, which must be those of the bytes that follow. */
static void test_not_lent(void)
{
        World w;
        Peer *p = peer_with_loans(&w, "DataDigest=CRC32C");
        _result_ Result r = { 0 };

        p->data_digest = true;
        read_megabyte(p, &r);
        g_assert_cmpmem(r.data, (int)r.length, fake.disk + 1024, r.length);
        end_loans(&w);
}

/* Two reads of 128 KiB from block 0, of whose first PDU n bytes are on the wire. */
static void read_in_part(Peer *p, size_t n)
{
        uint8_t bhs[BHS_SIZE];
        struct iovec iov[16];
        size_t n_iov;

        p->deaf = true;
        for (unsigned i = 0; i < 2; i++) {
                command_bhs(p, bhs, 0xc0, 0x28, 0, 256, 131072);
                peer_send(p, bhs, NULL, 0, NULL, 0);
        }
        n_iov = conn_out(p->conn, iov, 16);
        g_assert_cmpuint(n_iov, ==, 4);
        g_assert_true(iov[1].iov_base == fake.lent.memory);
        g_byte_array_append(p->in, iov[0].iov_base, BHS_SIZE);
        g_byte_array_append(p->in, iov[1].iov_base, (guint)(n - BHS_SIZE));
        conn_sent(p->conn, n);
        p->deaf = false;
}

/* The session ends with half of it sent: the rest of the PDU comes all the same. The file may be
 * gone: nobody but the kernel looks at it. */
static void test_end_inside_lent(void)
{
        World w;
        Peer *p = peer_with_loans(&w, "MaxRecvDataSegmentLength=262144");
        _pdu_ Pdu pdu = { 0 };

        read_in_part(p, 50000);
        p->deaf = true;
        iscsi_worker_end_session(w.workers[0], p->conn->session->info.id, "test");
        p->deaf = false;
        (void)ftruncate(fake.lent.fd, 0);
        peer_expect(p, OP_DATA_IN, &pdu);
        g_assert_cmpuint(pdu.length, ==, 131072);
        check_lent(pdu.data, 0, pdu.length);
        end_loans(&w);
}

/* What is recalled in the middle goes on from the copy, to the byte, whatever becomes of the file.
 */
static void test_recalled(void)
{
        static const size_t sent[] = { BHS_SIZE, 50000, BHS_SIZE + 131072 };

        for (size_t i = 0; i < G_N_ELEMENTS(sent); i++) {
                World w;
                Peer *p = peer_with_loans(&w, "MaxRecvDataSegmentLength=131072");
                Command *cmds[2];

                read_in_part(p, sent[i]);
                cmds[0] = command_find(p->conn, p->itt - 1);
                cmds[1] = command_find(p->conn, p->itt);
                for (unsigned k = 0; k < 2; k++)
                        if (cmds[k])
                                fake_recall(&cmds[k]->task, true);
                memset((void *)fake.lent.memory, 0xee, LENT);
                for (unsigned k = 2; k-- > 0;) {
                        _result_ Result r = { 0 };

                        g_assert_true(peer_result(p, p->itt - k, &r));
                        g_assert_cmpuint(r.length, ==, 131072);
                        check_lent(r.data, 0, r.length);
                }
                g_assert_cmpuint(framer_of(p->conn)->queued, ==, 0);
                end_loans(&w);
        }
}

/* No memory for the copy: the stream cannot go on, and nothing else is sent in place of it. */
static void test_recalled_in_vain(void)
{
        World w;
        Peer *p = peer_with_loans(&w, "MaxRecvDataSegmentLength=131072");

        read_in_part(p, 50000);
        p->deaf = true;
        fake_recall(&command_find(p->conn, p->itt)->task, false);
        p->deaf = false;
        g_assert_false(conn_finished(p->conn)); /* not from inside of the device server */
        peer_run(p);
        g_assert_true(conn_finished(p->conn));
        g_assert_cmpuint(p->in->len, ==, 50000);
        g_assert_cmpuint(fake.n_live, ==, 0);
        end_loans(&w);
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
        g_test_add_func("/iscsi/data/lent", test_lent);
        g_test_add_func("/iscsi/data/not-lent", test_not_lent);
        g_test_add_func("/iscsi/data/end-inside-lent", test_end_inside_lent);
        g_test_add_func("/iscsi/data/recalled", test_recalled);
        g_test_add_func("/iscsi/data/recalled-in-vain", test_recalled_in_vain);
        g_test_add_func("/iscsi/data/abort-while-data-comes", test_abort_while_data_comes);
        g_test_add_func("/iscsi/data/abort-inside-payload", test_abort_inside_payload);
        g_test_add_func("/iscsi/data/end-inside-pdu", test_end_inside_pdu);
        g_test_add_func("/iscsi/data/back-pressure", test_back_pressure);
        g_test_add_func("/iscsi/data/never-reads", test_never_reads);
        g_test_add_func("/iscsi/data/header-digest-error", test_header_digest_error);
        g_test_add_func("/iscsi/data/data-digest-error", test_data_digest_error);
        g_test_add_func("/iscsi/data/pools", test_pools);
        return g_test_run();
}
