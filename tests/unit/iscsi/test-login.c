/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world.h"

#include "iscsi/chap.h"
#include "iscsi/login.h"

/* Login over both transports: what is answered, what is refused, and with which words. */

#define NAMES "InitiatorName=" INITIATOR "|TargetName=" TARGET "|SessionType=Normal"

static void test_plain(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };
        IscsiSessionInfo info[2];
        IscsiSessionStats stats[2];

        world_init(&w, NULL);
        Peer *p = peer_new(&w, kind(data));
        g_assert_cmphex(
                peer_login_step(p, 0x81, NAMES "|AuthMethod=CHAP,None|InitiatorAlias=me", &pdu), ==,
                0);
        g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, 0x81);
        g_assert_true(pdu_has(&pdu, "AuthMethod=None"));
        g_assert_true(pdu_has(&pdu, "TargetPortalGroupTag=1"));
        g_assert_cmpuint(get_be16(pdu.bhs + BHS_TSIH), ==, 0);
        g_assert_cmphex(peer_login_step(p, 0x87,
                                        "HeaderDigest=None|X-foo=bar|MaxBurstLength=16776192"
                                        "|MaxRecvDataSegmentLength=16384|InitialR2T=No",
                                        &pdu),
                        ==, 0);
        g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, 0x87);
        g_assert_true(pdu_has(&pdu, "HeaderDigest=None"));
        g_assert_true(pdu_has(&pdu, "X-foo=NotUnderstood"));
        g_assert_true(pdu_has(&pdu, "MaxBurstLength=1048576"));
        g_assert_true(pdu_has(&pdu, "InitialR2T=No"));
        g_assert_true(pdu_has(&pdu, "MaxRecvDataSegmentLength=262144"));
        g_assert_false(pdu_has(&pdu, "TargetPortalGroupTag=1"));
        g_assert_cmpuint(get_be16(pdu.bhs + BHS_TSIH), ==, 1);
        g_assert_cmpuint(get_be32(pdu.bhs + BHS_EXP_CMDSN), ==, 100);
        g_assert_cmpuint(get_be32(pdu.bhs + BHS_MAX_CMDSN), ==, 100 + 127);
        g_assert_cmpuint(w.n_events[ISCSI_EVENT_LOGIN], ==, 1);
        g_assert_cmpuint(fake.n_open, ==, 1);
        g_assert_cmpuint(iscsi_worker_sessions(w.workers[0], 0, info, 2), ==, 1);
        g_assert_cmpstr(info[0].target, ==, TARGET);
        g_assert_cmpstr(info[0].initiator, ==, INITIATOR);
        g_assert_cmpstr(info[0].alias, ==, "me");
        g_assert_cmpstr(info[0].peer, ==, "10.0.0.5:40000");
        g_assert_cmpuint(info[0].params.max_burst, ==, 1048576);
        g_assert_cmpuint(info[0].params.max_xmit_data_segment, ==, 16384);
        g_assert_cmpuint(iscsi_worker_sessions(w.workers[0], 1, info, 2), ==, 0);
        g_assert_cmpuint(iscsi_worker_session_stats(w.workers[0], 0, stats, 2), ==, 1);
        g_assert_cmpstr(stats[0].info.initiator, ==, INITIATOR);
        g_assert_cmpuint(stats[0].info.traffic.responses, ==, 1); /* the last one of login */
        g_assert_cmpuint(stats[0].info.traffic.commands, ==, 0);
        if (kind(data) == PEER_TCP) /* the other transport has no bytes */
                g_assert_cmpuint(stats[0].info.traffic.rx_bytes, >, BHS_SIZE);
        g_assert_cmpuint(stats[0].latency.read.sum, ==, FAKE_LATENCY);
        g_assert_cmpuint(iscsi_worker_session_stats(w.workers[0], 1, stats, 2), ==, 0);
        g_assert_cmpuint(w.workers[0]->n_logins, ==, 0);
        world_done(&w);
        g_assert_cmpuint(w.n_ended, ==, 1);
        g_assert_cmpuint(w.n_events[ISCSI_EVENT_DISCONNECT], ==, 1);
}

/* Names in any case, names again in later requests, T only when the initiator is ready, an
 * operational stage without a security stage. */
static void test_habits(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };

        world_init(&w, NULL);
        Peer *p = peer_new(&w, kind(data));
        g_assert_cmphex(peer_login_step(p, 0x00,
                                        "InitiatorName=IQN.1994-05.org.Example:Host|TargetName="
                                        "iqn.2026-01.ORG.example:disk|AuthMethod=None",
                                        &pdu),
                        ==, 0);
        g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, 0x00);
        g_assert_true(pdu_has(&pdu, "AuthMethod=None"));
        g_assert_cmphex(peer_login_step(p, 0x81, NAMES "|MaxRecvDataSegmentLength=8192", &pdu), ==,
                        0);
        g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, 0x81);
        g_assert_cmphex(peer_login_step(p, 0x04, NAMES "|MaxRecvDataSegmentLength=4096", &pdu), ==,
                        0);
        g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, 0x04);
        g_assert_true(pdu_has(&pdu, "MaxRecvDataSegmentLength=262144"));
        g_assert_cmphex(peer_login_step(p, 0x87, "", &pdu), ==, 0);
        g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, 0x87);
        g_assert_cmpuint(p->conn->params.max_xmit_data_segment, ==, 4096);
        g_assert_true(p->conn->params.initial_r2t); /* nobody spoke of it */

        p = peer_new(&w, kind(data));
        peer_login(p, NULL);
        p = peer_new(&w, kind(data)); /* from security straight to full feature */
        g_assert_cmphex(peer_login_step(p, 0x83, NAMES, &pdu), ==, 0);
        g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, 0x83);
        g_assert_true(pdu_has(&pdu, "MaxRecvDataSegmentLength=262144"));
        world_done(&w);
}

typedef struct Refusal {
        uint8_t flags;
        const char *text;
        uint16_t status;
        const char *reason;
} Refusal;

static const Refusal refusals[] = {
        { 0x87, "TargetName=" TARGET, 0x0207, "no InitiatorName" },
        { 0x87, "InitiatorName=" INITIATOR, 0x0207, "named no target" },
        { 0x87, "InitiatorName=" INITIATOR "|TargetName=iqn.nowhere", 0x0203,
          "there is no target iqn.nowhere" },
        { 0x87, "InitiatorName=" INITIATOR "|SessionType=Weird", 0x0209, "SessionType" },
        { 0x87, "InitiatorName=a b|TargetName=" TARGET, 0x0200, "character" },
        { 0x87, "InitiatorName=a,i|TargetName=" TARGET, 0x0200, "character" },
        { 0x87, "InitiatorName=|TargetName=" TARGET, 0x0200, "empty" },
        { 0x87, NAMES "|InitiatorName=iqn.other", 0x0200, "differs" },
        { 0x87, NAMES "|garbage", 0x0200, "key=value" },
        { 0x87, NAMES "|HeaderDigest=None|HeaderDigest=None", 0x0200, "second time" },
        { 0x87, NAMES "|HeaderDigest=MD5", 0x0200, "nothing in common" },
        { 0x87, NAMES "|MaxBurstLength=x", 0x0200, "not a number" },
        { 0x87, NAMES "|MaxRecvDataSegmentLength=100", 0x0200, "512 to 16777215" },
        { 0x87, NAMES "|TargetAddress=1.2.3.4", 0x0200, "target's to send" },
        { 0x81, NAMES "|AuthMethod=CHAP", 0x0201, "insists on AuthMethod=CHAP" },
        { 0x81, NAMES "|AuthMethod=None|AuthMethod=None", 0x0200, "second time" },
        { 0x81, NAMES "|CHAP_A=5", 0x0200, "out of order" },
        { 0x81, NAMES "|CHAP_N=x|CHAP_R=0x00", 0x0200, "out of order" },
        { 0x86, NAMES, 0x0200, "no transition" },
        { 0x85, NAMES, 0x0200, "no transition" },
        { 0x84, NAMES, 0x0200, "no transition" },
        { 0x82, NAMES, 0x0200, "no transition" },
        { 0xc1, NAMES, 0x0200, "T and C bit" },
        { 0x8f, NAMES, 0x0200, "begins in stage 3" },
        { 0x8b, NAMES, 0x0200, "begins in stage 2" },
};

static void test_refusals(gconstpointer data)
{
        World w;

        world_init(&w, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++) {
                const Refusal *row = &refusals[i];
                _pdu_ Pdu pdu = { 0 };
                Peer *p = peer_new(&w, kind(data));

                g_test_message("%s", row->text);
                g_assert_cmphex(peer_login_step(p, row->flags, row->text, &pdu), ==, row->status);
                g_assert_cmphex(pdu.bhs[BHS_FLAGS] & FLAG_TRANSIT, ==, 0);
                g_assert_cmpuint(w.n_events[ISCSI_EVENT_LOGIN_REJECTED], ==, i + 1);
                g_assert_cmphex(w.status, ==, row->status);
                g_assert_nonnull(strstr(w.reason, row->reason));
                peer_expect_closed(p);
                peer_free(p);
        }
        g_assert_cmpuint(w.n_claims, ==, 0);
        world_done(&w);
}

static void test_acl_reason(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };
        AddrPrefix prefix;
        char *names[] = { (char *)"iqn.someone.else" };

        world_init(&w, NULL);
        w.target.acl = (IscsiAcl){ .names = names, .n_names = 1 };
        world_map(&w);
        Peer *p = peer_new(&w, kind(data));
        g_assert_cmphex(peer_login_step(p, 0x87, NAMES, &pdu), ==, 0x0202);
        g_assert_cmpstr(w.reason, ==,
                        "initiator " INITIATOR " at 10.0.0.5 is not in the access list of " TARGET
                        "; allow it with: tgtctl allow " TARGET " " INITIATOR);
        g_assert_cmpint(addr_prefix_parse("192.168.0.0/16", &prefix), ==, 0);
        w.target.acl = (IscsiAcl){ .addresses = &prefix, .n_addresses = 1 };
        world_map(&w);
        p = peer_new(&w, kind(data));
        g_assert_cmphex(peer_login_step(p, 0x87, NAMES, &pdu), ==, 0x0202);
        g_assert_nonnull(strstr(w.reason, "tgtctl allow " TARGET " 10.0.0.5"));
        w.target.acl = (IscsiAcl){ 0 };
        world_map(&w);
        p = peer_new(&w, kind(data));
        g_assert_cmphex(peer_login_step(p, 0x87, NAMES, &pdu), ==, 0x0202);
        w.target.acl.addresses = &prefix;
        g_assert_cmpint(addr_prefix_parse("10.0.0.0/8", &prefix), ==, 0);
        w.target.acl.n_addresses = 1;
        w.target.online = false;
        world_map(&w);
        p = peer_new(&w, kind(data));
        g_assert_cmphex(peer_login_step(p, 0x87, NAMES, &pdu), ==, 0x0301);
        world_done(&w);
}

static void test_version_and_change(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };
        uint8_t bhs[BHS_SIZE] = { OP_LOGIN_REQUEST | OP_IMMEDIATE, 0x87, 1, 1 };

        world_init(&w, NULL);
        Peer *p = peer_new(&w, kind(data));
        peer_send(p, bhs, NULL, 0, NULL, 0);
        peer_expect(p, OP_LOGIN_RESPONSE, &pdu);
        g_assert_cmphex(get_be16(pdu.bhs + BHS_LOGIN_STATUS), ==, 0x0205);
        p = peer_new(&w, kind(data));
        g_assert_cmphex(peer_login_step(p, 0x00, NAMES, &pdu), ==, 0);
        p->isid[3] ^= 1;
        g_assert_cmphex(peer_login_step(p, 0x81, "", &pdu), ==, 0x0200);
        p = peer_new(&w, kind(data));
        g_assert_cmphex(peer_login_step(p, 0x81, NAMES, &pdu), ==, 0);
        g_assert_cmphex(peer_login_step(p, 0x81, "", &pdu), ==, 0x0200); /* the stage is past */
        world_done(&w);
}

/* The text comes in pieces, cut anywhere (RFC 7143 6.2), and goes out in pieces. */
static void test_continue(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };
        static const char text[] = NAMES "|InitialR2T=No|MaxBurstLength=65536";

        world_init(&w, NULL);
        Peer *p = peer_new(&w, kind(data));
        for (size_t i = 0; i < sizeof(text) - 1; i++) {
                uint8_t bhs[BHS_SIZE] = { OP_LOGIN_REQUEST | OP_IMMEDIATE, 0x44 };
                char c = text[i] == '|' ? '\0' : text[i];

                bhs[BHS_ISID] = 0x80;
                put_be32(bhs + BHS_CMDSN, 100);
                peer_send(p, bhs, NULL, 0, &c, 1);
                peer_expect(p, OP_LOGIN_RESPONSE, &pdu);
                g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, 0x04);
                g_assert_cmpuint(pdu.length, ==, 0);
        }
        g_assert_cmphex(peer_login_step(p, 0x87, "", &pdu), ==, 0);
        g_assert_true(pdu_has(&pdu, "MaxBurstLength=65536"));
        g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, 0x87);
        world_done(&w);
}

/* Little in, much out: what is answered is bounded, not only what is asked. */
static void test_output_bound(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };
        g_autoptr(GString) text = g_string_new(NAMES);

        world_init(&w, NULL);
        for (unsigned i = 0; i < TEXT_UNKNOWN_MAX; i++)
                g_string_append_printf(text, "|X-%u=b", i);
        Peer *p = peer_new(&w, kind(data));
        g_assert_cmphex(peer_login_step(p, 0x87, text->str, &pdu), ==, 0);
        g_string_append(text, "|a=b");
        p = peer_new(&w, kind(data));
        g_assert_cmphex(peer_login_step(p, 0x87, text->str, &pdu), ==, 0x0200);
        g_assert_nonnull(strstr(w.reason, "unknown keys"));

        /* more than limits.login_bytes_max by pieces */
        p = peer_new(&w, kind(data));
        g_autofree char *big = g_strnfill(8000, 'x');
        uint16_t status = 0;
        unsigned n = 0;
        while (status == 0 && n++ < 100)
                status = peer_login_step(p, 0x44, big, &pdu);
        g_assert_cmphex(status, ==, 0x0200);
        g_assert_cmpuint(n, ==, 9);
        world_done(&w);
}

static void test_long_answer(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };
        g_autofree char *name = g_strnfill(60, 'k');
        g_autoptr(GString) text = g_string_new(NAMES);
        unsigned n = 1;

        world_init(&w, NULL);
        g_string_append(text, "|InitialR2T=No");
        Peer *p = peer_new(&w, kind(data));
        for (unsigned i = 0; i < 60; i++)
                g_string_append_printf(text, "|%s%02u=b", name, i);
        /* as if the first answer were longer than a PDU */
        g_assert_cmphex(peer_login_step(p, 0x04, text->str, &pdu), ==, 0);
        g_assert_cmpuint(pdu.length, >, 4000);
        p->conn->login->out.n = 0;
        for (unsigned i = 0; i < 200; i++)
                text_out_printf(&p->conn->login->out, "X-filler", "%060u", i);
        for (; n < 10; n++) {
                g_assert_cmphex(peer_login_step(p, 0x87, "", &pdu), ==, 0);
                if (!(pdu.bhs[BHS_FLAGS] & FLAG_CONTINUE))
                        break;
                g_assert_cmpuint(pdu.length, ==, 8192);
                g_assert_cmphex(pdu.bhs[BHS_FLAGS] & FLAG_TRANSIT, ==, 0);
        }
        g_assert_cmpuint(n, ==, 2);
        /* text in between is refused */
        p = peer_new(&w, kind(data));
        g_assert_cmphex(peer_login_step(p, 0x04, NAMES, &pdu), ==, 0);
        for (unsigned i = 0; i < 200; i++)
                text_out_printf(&p->conn->login->out, "X-filler", "%060u", i);
        g_assert_cmphex(peer_login_step(p, 0x87, "InitialR2T=No", &pdu), ==, 0x0200);
        world_done(&w);
}

/* ---- CHAP --------------------------------------------------------------------------------- */

static char *pdu_value(const Pdu *pdu, const char *key)
{
        size_t pos = 0;
        TextPair t;

        while (text_next((const char *)pdu->data, pdu->length, &pos, &t) > 0)
                if (t.key_length == strlen(key) && memcmp(t.key, key, t.key_length) == 0)
                        return g_strndup(t.value, t.value_length);
        return NULL;
}

static char *chap_answer(const Pdu *pdu, unsigned algorithm, const char *secret, bool base64)
{
        const ChapAlgorithm *a = chap_algorithm(algorithm);
        g_autofree char *identifier = pdu_value(pdu, "CHAP_I"),
                        *challenge = pdu_value(pdu, "CHAP_C");
        uint8_t bytes[64], digest[CHAP_DIGEST_MAX];
        char hex[80];
        TextPair pair;
        size_t n;

        g_assert_nonnull(identifier);
        g_assert_nonnull(challenge);
        pair = (TextPair){ .value = challenge, .value_length = strlen(challenge) };
        g_assert_cmpint(chap_decode(&pair, bytes, sizeof(bytes), &n), ==, 0);
        g_assert_cmpint(chap_response(a, (uint8_t)atoi(identifier), secret, bytes, n, digest), ==,
                        0);
        if (base64) {
                g_autofree char *text = g_base64_encode(digest, a->size);

                return g_strconcat("0b", text, NULL);
        }
        chap_encode(digest, a->size, hex);
        return g_strdup(hex);
}

/* From AuthMethod to the challenge. */
static Peer *challenged(World *w, PeerKind k, unsigned algorithm, Pdu *pdu)
{
        Peer *p = peer_new(w, k);
        g_autofree char *a = g_strdup_printf("CHAP_A=99,%u", algorithm),
                        *expected = g_strdup_printf("CHAP_A=%u", algorithm);

        g_assert_cmphex(peer_login_step(p, 0x81, NAMES "|AuthMethod=CHAP,None", pdu), ==, 0);
        g_assert_cmphex(pdu->bhs[BHS_FLAGS], ==, 0x00); /* not yet */
        g_assert_true(pdu_has(pdu, "AuthMethod=CHAP"));
        g_assert_true(pdu_has(pdu, "TargetPortalGroupTag=1"));
        g_assert_cmphex(peer_login_step(p, 0x81, a, pdu), ==, 0);
        g_assert_cmphex(pdu->bhs[BHS_FLAGS], ==, 0x00);
        g_assert_true(pdu_has(pdu, expected));
        return p;
}

static void test_chap(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };

        world_init(&w, NULL);
        w.no_incoming = false;
        world_map(&w);
        for (unsigned i = 0; i < 8; i++) {
                unsigned algorithm = 5 + i % 4;
                Peer *p = challenged(&w, kind(data), algorithm, &pdu);
                g_autofree char *r = chap_answer(&pdu, algorithm, "wonderland123", i >= 4);
                g_autofree char *text = g_strdup_printf("CHAP_N=alice|CHAP_R=%s", r);

                if (i % 2) { /* T with the proof, or after it */
                        g_assert_cmphex(peer_login_step(p, 0x81, text, &pdu), ==, 0);
                        g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, 0x81);
                } else {
                        g_assert_cmphex(peer_login_step(p, 0x00, text, &pdu), ==, 0);
                        g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, 0x00);
                        g_assert_cmphex(peer_login_step(p, 0x81, "", &pdu), ==, 0);
                        g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, 0x81);
                }
                g_assert_cmphex(peer_login_step(p, 0x87, "", &pdu), ==, 0);
                g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, 0x87);
        }
        world_done(&w);
}

static void test_chap_refused(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };

        world_init(&w, NULL);
        w.no_incoming = false;
        world_map(&w);
        static const struct {
                const char *secret, *text;
                uint16_t status;
        } rows[] = {
                { "wrong", "CHAP_N=alice|CHAP_R=%s", 0x0201 },
                { "wonderland123", "CHAP_N=bob|CHAP_R=%s", 0x0201 },
                { "wonderland123", "CHAP_N=0xalice|CHAP_R=%s", 0x0201 },
                { "", "CHAP_N=bob|CHAP_R=%s", 0x0201 }, /* nobody has no secret to know */
                { "wonderland123", "CHAP_N=|CHAP_R=%s", 0x0201 },
                { "wonderland123", "CHAP_R=%s", 0x0207 },
                { "wonderland123", "CHAP_N=alice|CHAP_R=%s00", 0x0201 },
                { "wonderland123", "CHAP_N=alice|CHAP_R=%s|CHAP_R=0x00", 0x0200 },
                { "wonderland123", "CHAP_N=alice|CHAP_R=%s|CHAP_I=1", 0x0207 },
                { "wonderland123", "CHAP_N=alice|CHAP_R=%s|CHAP_I=256|CHAP_C=0x01", 0x0201 },
                { "wonderland123", "CHAP_N=alice|CHAP_R=%s|CHAP_I=0x1g|CHAP_C=0x01", 0x0201 },
                /* mutual, but there is no outgoing account */
                { "wonderland123", "CHAP_N=alice|CHAP_R=%s|CHAP_I=1|CHAP_C=0x0102", 0x0201 },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                Peer *p = challenged(&w, kind(data), 7, &pdu);
                g_autofree char *r = chap_answer(&pdu, 7, rows[i].secret, false);
                g_auto(GStrv) parts = g_strsplit(rows[i].text, "%s", 2);
                g_autofree char *text = g_strconcat(parts[0], r, parts[1], NULL);

                g_assert_cmphex(peer_login_step(p, 0x81, text, &pdu), ==, rows[i].status);
                peer_expect_closed(p);
        }
        /* a right beginning is not enough, nor is more than enough */
        for (unsigned i = 0; i < 2; i++) {
                Peer *p = challenged(&w, kind(data), 5, &pdu);
                g_autofree char *r = chap_answer(&pdu, 5, "wonderland123", false);
                g_autofree char *text = g_strdup_printf("CHAP_N=alice|CHAP_R=%.*s%s", i ? 34 : 32,
                                                        r, i ? "00" : "");

                g_assert_cmphex(peer_login_step(p, 0x81, text, &pdu), ==, 0x0201);
        }
        /* ways around it */
        static const struct {
                uint8_t flags;
                const char *text;
        } around[] = {
                { 0x87, NAMES },
                { 0x81, NAMES },
                { 0x83, NAMES },
                { 0x81, NAMES "|AuthMethod=None" },
                { 0x81, NAMES "|AuthMethod=KRB5,SRP" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(around); i++) {
                Peer *p = peer_new(&w, kind(data));

                g_assert_cmphex(peer_login_step(p, around[i].flags, around[i].text, &pdu), ==,
                                0x0201);
        }
        Peer *p = peer_new(&w, kind(data)); /* CHAP_A that nobody has */
        g_assert_cmphex(peer_login_step(p, 0x81, NAMES "|AuthMethod=CHAP", &pdu), ==, 0);
        g_assert_cmphex(peer_login_step(p, 0x81, "CHAP_A=0,1,,x", &pdu), ==, 0x0201);
        p = challenged(&w, kind(data), 5, &pdu); /* no proof, but on */
        g_assert_cmphex(peer_login_step(p, 0x81, "", &pdu), ==, 0);
        g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, 0x00);
        g_assert_cmphex(peer_login_step(p, 0x87, "", &pdu), ==, 0x0200);
        g_assert_cmpuint(w.n_claims, ==, 0);
        world_done(&w);
}

static void test_mutual(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };
        uint8_t digest[CHAP_DIGEST_MAX];
        char hex[80];

        world_init(&w, NULL);
        w.no_incoming = false;
        w.mutual = true;
        world_map(&w);
        Peer *p = challenged(&w, kind(data), 8, &pdu);
        g_autofree char *r = chap_answer(&pdu, 8, "wonderland123", false);
        g_autofree char *text =
                g_strdup_printf("CHAP_N=alice|CHAP_R=%s|CHAP_I=0x21|CHAP_C=0x68656c6c6f", r);
        g_assert_cmphex(peer_login_step(p, 0x81, text, &pdu), ==, 0);
        g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, 0x81);
        g_assert_true(pdu_has(&pdu, "CHAP_N=target"));
        g_assert_cmpint(chap_response(chap_algorithm(8), 0x21, "lookingglass",
                                      (const uint8_t *)"hello", 5, digest),
                        ==, 0);
        chap_encode(digest, 32, hex);
        g_autofree char *expected = g_strdup_printf("CHAP_R=%s", hex);
        g_assert_true(pdu_has(&pdu, expected));

        /* our own challenge comes back */
        p = challenged(&w, kind(data), 8, &pdu);
        g_autofree char *c = pdu_value(&pdu, "CHAP_C"),
                        *r2 = chap_answer(&pdu, 8, "wonderland123", false);
        g_autofree char *text2 =
                g_strdup_printf("CHAP_N=alice|CHAP_R=%s|CHAP_I=7|CHAP_C=%s", r2, c);
        g_assert_cmphex(peer_login_step(p, 0x81, text2, &pdu), ==, 0x0201);
        g_assert_nonnull(strstr(w.reason, "reflected"));

        /* a binary value that is longer than RFC 7143 allows */
        p = challenged(&w, kind(data), 8, &pdu);
        g_autofree char *r3 = chap_answer(&pdu, 8, "wonderland123", false);
        g_autofree char *big = g_strnfill(2 * CHAP_BINARY_MAX + 2, 'a');
        g_autofree char *text3 =
                g_strdup_printf("CHAP_N=alice|CHAP_R=%s|CHAP_I=7|CHAP_C=0x%s", r3, big);
        g_assert_cmphex(peer_login_step(p, 0x81, text3, &pdu), ==, 0x0201);
        world_done(&w);
}

static void test_discovery_chap(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };

        world_init(&w, NULL);
        w.discovery_auth = true;
        world_map(&w);
        Peer *p = peer_new(&w, kind(data));
        g_assert_cmphex(peer_login_step(p, 0x87, "InitiatorName=x|SessionType=Discovery", &pdu), ==,
                        0x0201);
        p = peer_new(&w, kind(data));
        peer_login(p, NULL); /* normal sessions have accounts of their own */
        world_done(&w);
}

/* ---- the registrar, time, limits ---------------------------------------------------------- */

static void test_claims(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };
        static const struct {
                int result;
                uint16_t status;
        } rows[] = {
                { -ENOENT, 0x020a }, { -EBUSY, 0x0302 }, { -EEXIST, 0x0208 }, { -EIO, 0x0300 }
        };

        world_init(&w, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                Peer *p = peer_new(&w, kind(data));

                w.claim_result = rows[i].result;
                p->tsih = 77;
                g_assert_cmphex(peer_login_step(p, 0x87, NAMES, &pdu), ==, rows[i].status);
        }
        g_assert_cmpuint(w.n_ended, ==, 0);
        w.claim_result = 0;
        Peer *p = peer_new(&w, kind(data));
        p->tsih = 77;
        g_assert_cmphex(peer_login_step(p, 0x87, NAMES, &pdu), ==, 0);
        g_assert_cmpuint(get_be16(pdu.bhs + BHS_TSIH), ==, 77);
        fake.fail_open = true;
        p = peer_new(&w, kind(data));
        g_assert_cmphex(peer_login_step(p, 0x87, NAMES, &pdu), ==, 0x0302);
        g_assert_cmpuint(w.n_ended, ==, 1); /* the claim is given back, once */
        peer_free(p);
        g_assert_cmpuint(w.n_ended, ==, 1);
        world_done(&w);
}

/* The answer comes late: the connection is gone, or the target is. */
static void test_late_claim(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };

        world_init(&w, NULL);
        w.hold_claims = true;
        Peer *p = peer_new(&w, kind(data));
        peer_login_request(p, 0x87, NAMES);
        peer_expect_nothing(p);
        g_assert_nonnull(w.claim);
        peer_free(p);
        w.claim->result = 0;
        w.claim->session = 9;
        iscsi_claim_done(w.claim);
        sim_run(w.sim);
        g_assert_cmpuint(w.n_ended, ==, 1);
        g_assert_cmpuint(w.last_ended, ==, 9);

        p = peer_new(&w, kind(data));
        peer_login_request(p, 0x87, NAMES);
        w.target.online = false;
        world_map(&w);
        w.claim->session = 10;
        iscsi_claim_done(w.claim);
        peer_expect(p, OP_LOGIN_RESPONSE, &pdu);
        g_assert_cmphex(get_be16(pdu.bhs + BHS_LOGIN_STATUS), ==, 0x0301);
        g_assert_cmpuint(w.n_ended, ==, 2);
        world_done(&w);
        g_assert_cmpuint(w.n_ended, ==, 2);
}

static void test_move(gconstpointer data)
{
        World w;

        world_init(&w, NULL);
        w.place = 1;
        Peer *p = peer_new(&w, kind(data));
        peer_login(p, NULL);
        g_assert_cmpuint(w.n_moves, ==, 1);
        g_assert_true(p->conn->worker == w.workers[1]);
        g_assert_true(list_empty(&w.workers[0]->conns));
        g_assert_cmpuint(p->conn->session->info.worker, ==, 1);
        world_done(&w);
}

static void test_timeout(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };

        world_init(&w, NULL);
        Peer *p = peer_new(&w, kind(data));
        g_assert_cmphex(peer_login_step(p, 0x00, NAMES, &pdu), ==, 0);
        sim_advance(w.sim, 14 * NSEC_PER_SEC);
        g_assert_false(conn_finished(p->conn));
        sim_advance(w.sim, 2 * NSEC_PER_SEC);
        peer_expect_closed(p);
        g_assert_cmpuint(w.n_events[ISCSI_EVENT_LOGIN_REJECTED], ==, 1);
        g_assert_nonnull(strstr(w.reason, "15 s"));
        world_done(&w);
}

static void test_limits(gconstpointer data)
{
        World w;
        IscsiLimits limits = { .logins_max = 2 };

        world_init(&w, &limits);
        Peer *a = peer_new(&w, kind(data)), *b = peer_new(&w, kind(data)),
             *c = peer_new(&w, kind(data));
        g_assert_false(a->gone);
        g_assert_false(b->gone);
        g_assert_true(c->gone);
        g_assert_cmpint(errno, ==, EBUSY);
        peer_login(a, NULL); /* no longer among them */
        g_assert_false(peer_new(&w, kind(data))->gone);
        peer_free(b);
        g_assert_false(peer_new(&w, kind(data))->gone);
        world_done(&w);
}

/* Anything but a login before login ends the connection without a word (RFC 7143 6.3). */
static void test_before_login(gconstpointer data)
{
        World w;

        world_init(&w, NULL);
        for (unsigned opcode = 0; opcode < 64; opcode++) {
                uint8_t bhs[BHS_SIZE] = { (uint8_t)(opcode | OP_IMMEDIATE), 0x80 };
                Peer *p;

                if (opcode == OP_LOGIN_REQUEST)
                        continue;
                p = peer_new(&w, kind(data));
                peer_send(p, bhs, NULL, 0, NULL, 0);
                peer_expect_closed(p);
                peer_free(p);
        }
        g_assert_cmpuint(w.n_events[ISCSI_EVENT_PROTOCOL_ERROR], ==, 63);
        world_done(&w);
}

/* What a peer sends does not reach a log unfiltered. */
static void test_sanitized(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };

        world_init(&w, NULL);
        Peer *p = peer_new(&w, kind(data));
        g_assert_cmphex(peer_login_step(p, 0x81, NAMES "|AuthMethod=\033[31m\nfoo\x80", &pdu), ==,
                        0x0201);
        for (const char *c = w.reason; *c; c++)
                g_assert_true(*c >= ' ' && *c <= '~');
        p = peer_new(&w, kind(data));
        peer_login(p, "InitiatorAlias=a\nb\xff");
        g_assert_cmpstr(p->conn->session->info.alias, ==, "a?b?");
        world_done(&w);
}

/* A target that insists on digests asks for them. */
static void test_offered(gconstpointer data)
{
        World w;
        _pdu_ Pdu pdu = { 0 };

        world_init(&w, NULL);
        w.target.params.immediate_data = false;
        world_map(&w);
        Peer *p = peer_new(&w, kind(data));
        g_assert_cmphex(peer_login_step(p, 0x87, NAMES, &pdu), ==, 0);
        g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, 0x04); /* no transition before it has answered */
        g_assert_true(pdu_has(&pdu, "ImmediateData=No"));
        g_assert_cmphex(peer_login_step(p, 0x87, "ImmediateData=No", &pdu), ==, 0);
        g_assert_cmphex(pdu.bhs[BHS_FLAGS], ==, 0x87);
        g_assert_false(p->conn->params.immediate_data);
        world_done(&w);
}

int main(int argc, char **argv)
{
        static const TransportTest tests[] = {
                { "plain", test_plain },
                { "habits", test_habits },
                { "refusals", test_refusals },
                { "acl-reason", test_acl_reason },
                { "version-and-change", test_version_and_change },
                { "continue", test_continue },
                { "output-bound", test_output_bound },
                { "long-answer", test_long_answer },
                { "chap", test_chap },
                { "chap-refused", test_chap_refused },
                { "mutual", test_mutual },
                { "discovery-chap", test_discovery_chap },
                { "claims", test_claims },
                { "late-claim", test_late_claim },
                { "move", test_move },
                { "timeout", test_timeout },
                { "limits", test_limits },
                { "before-login", test_before_login },
                { "sanitized", test_sanitized },
                { "offered", test_offered },
        };

        g_test_init(&argc, &argv, NULL);
        add_transport_tests("/iscsi/login", tests, G_N_ELEMENTS(tests));
        return g_test_run();
}
