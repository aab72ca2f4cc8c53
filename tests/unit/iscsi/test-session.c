/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world.h"

/* Full feature phase over both transports: NOP, Reject, text, discovery, the ends of a session. */

/* ---- NOP, reject -------------------------------------------------------------------------- */

static void test_nop(gconstpointer data)
{
        World w;
        Peer *p = peer_logged_in(&w, kind(data));
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
        Peer *p = peer_logged_in(&w, kind(data));
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
                peer_send_command(p, 0xc0, 0x28, 1, 512); /* under way: aborted */
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
        Peer *p = peer_logged_in(&w, kind(data));
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
        Peer *p = peer_logged_in(&w, kind(data));
        _pdu_ Pdu pdu = { 0 };

        fake.hold = true;
        peer_send_command(p, 0xc0, 0x28, 1, 512);
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
        Peer *p = peer_logged_in(&w, kind(data));
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

/* Which limits a session has: of its name, and of its address with the longest prefix. */
static void test_throttles(gconstpointer data)
{
        int users[5] = { 0 };
        IscsiThrottle throttles[5] = {
                { .name = (char *)"iqn.2001-04.org.example:another" },
                { .name = NULL },
                { .name = NULL },
                { .name = NULL },
                { .name = (char *)INITIATOR },
        };
        static const char *const prefixes[] = { NULL, "10.0.0.0/24", "ALL", "10.0.0.0/28" };
        World w;
        Peer *p;

        world_init(&w, NULL);
        for (unsigned i = 0; i < ELEMENTSOF(throttles); i++) {
                throttles[i].throttle = (Throttle *)(void *)&users[i];
                if (i > 0 && i < 4)
                        g_assert_cmpint(addr_prefix_parse(prefixes[i], &throttles[i].address), ==,
                                        0);
        }
        w.target.throttles = throttles;
        w.target.n_throttles = ELEMENTSOF(throttles);
        world_map(&w);
        p = peer_new(&w, kind(data));
        peer_login(p, NULL);
        g_assert_cmpuint(fake.n_throttled, ==, 1);
        g_assert_true(fake.throttles[0] == throttles[4].throttle);
        g_assert_true(fake.throttles[1] == throttles[3].throttle);
        /* others, while it is logged in */
        w.target.n_throttles = 3;
        world_map(&w);
        g_assert_cmpuint(fake.n_throttled, ==, 2);
        g_assert_null(fake.throttles[0]);
        g_assert_true(fake.throttles[1] == throttles[1].throttle);
        throttles[1].name = (char *)"iqn.2001-04.org.example:third";
        world_map(&w);
        g_assert_true(fake.throttles[1] == throttles[2].throttle);
        w.target.n_throttles = 0;
        world_map(&w);
        g_assert_null(fake.throttles[1]);
        peer_expect_nothing(p);
        world_done(&w);
        for (unsigned i = 0; i < ELEMENTSOF(users); i++)
                g_assert_cmpint(users[i], ==, 0);
}

static void on_shutdown(void *userdata)
{
        ++*(unsigned *)userdata;
}

static void test_shutdown(gconstpointer data)
{
        World w;
        Peer *p = peer_logged_in(&w, kind(data)), *q = peer_new(&w, kind(data));
        unsigned n = 0;
        _pdu_ Pdu pdu = { 0 };

        fake.hold = true;
        peer_send_command(p, 0xc0, 0x28, 1, 512);
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
        Peer *p = peer_logged_in(&w, kind(data));

        fake.hold = true;
        peer_send_command(p, 0xc0, 0x28, 1, 512);
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
        peer_send_command(p, 0x80, 0x00, 0, 0);
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
        Peer *p = peer_logged_in(&w, kind(data));
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

        p = peer_logged_in(&w, kind(data));
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
        static const TransportTest tests[] = {
                { "nop", test_nop },
                { "nop-in", test_nop_in },
                { "unknown", test_unknown },
                { "logout", test_logout },
                { "logout-order", test_logout_order },
                { "end-session", test_end_session },
                { "target-changes", test_target_changes },
                { "throttles", test_throttles },
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
        add_transport_tests("/iscsi/session", tests, G_N_ELEMENTS(tests));
        return g_test_run();
}
