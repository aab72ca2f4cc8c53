/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iscsi-host.h"

#include <stdio.h>

static void on_event(void *userdata, const IscsiEvent *event)
{
        for (const char *c = event->reason ? event->reason : ""; *c; c++)
                if (*c < ' ' || *c > '~')
                        abort();
}

static void on_claim(void *userdata, IscsiClaim *claim)
{
        claim->result = claim->tsih ? -ENOENT : 0;
        claim->tsih = 1;
        claim->session = 1;
        iscsi_claim_done(claim);
}

static void on_session_ended(void *userdata, uint64_t session)
{
}

static void on_move(void *userdata, Conn *conn, unsigned worker)
{
        abort();
}

static void on_wake(void *userdata, Conn *conn)
{
}

static int on_random(void *buf, size_t n)
{
        memset(buf, 42, n);
        return 0;
}

static const IscsiHostOps host_ops = { .event = on_event,
                                       .claim = on_claim,
                                       .session_ended = on_session_ended,
                                       .move = on_move,
                                       .wake = on_wake,
                                       .random = on_random };

static void check(bool ok)
{
        if (!ok)
                abort();
}

void host_init(Host *h, bool chap)
{
        static const IscsiLimits limits = { .tx_queue_max = 1 * MIB, .early_data_max = 1 * MIB };
        static const IscsiAccount account = { "user", "secret" };
        AddrPrefix all = { 0 };
        IscsiTargetConfig config = { .name = FUZZ_TARGET,
                                     .tpgt = 1,
                                     .online = true,
                                     .acl = { .addresses = &all, .n_addresses = 1 },
                                     .incoming = &account,
                                     .n_incoming = chap,
                                     .outgoing = &account };
        IscsiTarget *t;
        IscsiMap *map;
        SockAddr a;

        *h = (Host){ .sim = sim_new(1, 1) };
        fake_init(sim_loop(h->sim, 0));
        check(iscsi_worker_new(sim_loop(h->sim, 0), NULL, &limits, &host_ops, h, &h->worker) == 0);
        iscsi_params_default(&config.params);
        check(lun_map_new(NULL, 0, &config.luns) == 0);
        check(iscsi_target_new(&config, &t) == 0);
        lun_map_unref(config.luns);
        check(iscsi_map_new(&(IscsiMapConfig){ .targets = &t, .n_targets = 1 }, &map) == 0);
        iscsi_target_unref(t);
        iscsi_worker_set_map(h->worker, map);
        iscsi_map_unref(map);
        check(sockaddr_parse("10.0.0.1:3260", 0, false, &a) == 0);
        check(conn_new(h->worker, &a, &a, h, &h->conn) == 0);
}

static void drain(Host *h, size_t send)
{
        struct iovec iov[16];
        size_t n;

        (void)sim_run(h->sim);
        while ((n = conn_out(h->conn, iov, 16)) > 0) {
                size_t total = 0;

                for (size_t i = 0; i < n; i++)
                        total += iov[i].iov_len;
                conn_sent(h->conn, MIN(total, send));
                h->n_out += MIN(total, send);
                (void)sim_run(h->sim);
        }
}

void host_feed(Host *h, const uint8_t *bytes, size_t n, size_t chunk, size_t send)
{
        while (n > 0) {
                struct iovec iov[2];
                size_t k = conn_want(h->conn, iov, 2), left = MIN(n, chunk), done = 0;

                if (k == 0)
                        break;
                for (size_t i = 0; i < k && left > 0; i++) {
                        size_t m = MIN(left, iov[i].iov_len);

                        memcpy(iov[i].iov_base, bytes + done, m);
                        done += m;
                        left -= m;
                }
                conn_got(h->conn, done);
                bytes += done;
                n -= done;
                drain(h, send);
        }
        drain(h, send);
}

void host_login(Host *h, bool discovery)
{
        static const char normal[] = "InitiatorName=i\0TargetName=" FUZZ_TARGET
                                     "\0InitialR2T=No\0MaxBurstLength=4096\0FirstBurstLength=2048\0"
                                     "MaxOutstandingR2T=2",
                          other[] = "InitiatorName=i\0SessionType=Discovery";
        uint8_t pdu[512] = { OP_LOGIN_REQUEST | OP_IMMEDIATE, 0x87 };
        const char *text = discovery ? other : normal;
        uint32_t n = discovery ? sizeof(other) : sizeof(normal);

        put_be24(pdu + BHS_DATA_LENGTH, n);
        memcpy(pdu + BHS_SIZE, text, n);
        host_feed(h, pdu, BHS_SIZE + n + pad4(n), SIZE_MAX, SIZE_MAX);
        check(conn_full_feature(h->conn));
}

void host_done(Host *h)
{
        conn_closed(h->conn, 0);
        (void)sim_run(h->sim);
        fake_run();
        (void)sim_run(h->sim);
        check(list_empty(&h->worker->conns));
        check(h->worker->commands.n_used == 0 && h->worker->pdus.n_used == 0);
        check(h->worker->early_budget.left >= 0);
        iscsi_worker_free(h->worker);
        fake_done();
        sim_free(h->sim);
}
