/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fake-iscsi.h"

#include <glib.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "iscsi/iscsi.h"

struct IscsiWorker {
        Loop *loop;
        const IscsiHostOps *host;
        void *userdata;
        List conns;
        bool shutting;
        void (*shut)(void *userdata);
        void *shut_userdata;
        unsigned logins, logins_max;
        uint8_t scratch[16 * KIB];
};

struct Conn {
        IscsiWorker *worker;
        void *user;
        List link;
        uint64_t session;
        IscsiClaim claim;
        LoopTask ask; /* the claim, outside conn_got() */
        bool logging_in, claiming, named, finished, closed;
        uint8_t *lent; /* FAKE_FILE bytes, behind out, of which lent_sent have gone */
        size_t lent_sent;
        uint8_t *out;
        size_t n_out, out_size;
};

struct IscsiMap {
        unsigned ref;
};

static void put(Conn *c, const void *p, size_t n)
{
        if (c->n_out + n > c->out_size) {
                c->out_size = (c->n_out + n) * 2;
                c->out = realloc(c->out, c->out_size);
                if (!c->out)
                        abort();
        }
        memcpy(c->out + c->n_out, p, n);
        c->n_out += n;
}

static void wake(Conn *c)
{
        if (!c->closed)
                c->worker->host->wake(c->worker->userdata, c);
}

/* ---- workers ---- */

void iscsi_limits_default(IscsiLimits *ret)
{
        *ret = (IscsiLimits){ .logins_max = 8, .sessions_max = 64 };
}

int iscsi_worker_new(Loop *loop, ScsiWorker *scsi, const IscsiLimits *limits,
                     const IscsiHostOps *host, void *userdata, IscsiWorker **ret)
{
        IscsiWorker *w = calloc(1, sizeof(*w));

        if (!w)
                return -ENOMEM;
        *w = (IscsiWorker){ .loop = loop, .host = host, .userdata = userdata };
        w->logins_max = limits->logins_max;
        list_init(&w->conns);
        *ret = w;
        return 0;
}

IscsiWorker *iscsi_worker_free(IscsiWorker *w)
{
        free(w);
        return NULL;
}

void iscsi_worker_set_map(IscsiWorker *w, IscsiMap *map)
{
}

static void end_conn(Conn *c)
{
        put(c, FAKE_END, strlen(FAKE_END));
        c->finished = true;
        wake(c);
}

int iscsi_worker_end_session(IscsiWorker *w, uint64_t session, const char *reason)
{
        LIST_FOREACH (c, &w->conns, Conn, link)
                if (c->session == session) {
                        end_conn(c);
                        return 0;
                }
        return -ENOENT;
}

size_t iscsi_worker_nexuses(IscsiWorker *w, uint64_t session, uint32_t lun, IscsiNexusStats *ret,
                            size_t max)
{
        size_t n = 0;

        LIST_FOREACH (c, &w->conns, Conn, link)
                if (c->session >= session && n < max)
                        ret[n++] = (IscsiNexusStats){ .session = c->session };
        return n;
}

static bool next_session(IscsiWorker *w, uint64_t after, IscsiSessionInfo *ret)
{
        const Conn *next = NULL;

        LIST_FOREACH (c, &w->conns, Conn, link)
                if (c->session > after && (!next || c->session < next->session))
                        next = c;
        if (!next)
                return false;
        *ret = (IscsiSessionInfo){ .id = next->session, .worker = w->loop->index };
        return true;
}

size_t iscsi_worker_sessions(IscsiWorker *w, uint64_t after, IscsiSessionInfo *ret, size_t max)
{
        size_t n = 0;

        for (; n < max && next_session(w, after, &ret[n]); n++)
                after = ret[n].id;
        return n;
}

size_t iscsi_worker_session_stats(IscsiWorker *w, uint64_t after, IscsiSessionStats *ret,
                                  size_t max)
{
        size_t n = 0;

        for (; n < max && next_session(w, after, &ret[n].info); n++) {
                after = ret[n].info.id;
                ret[n].latency = (IoLatency){ .read.sum = after };
        }
        return n;
}

static void check_shut(IscsiWorker *w)
{
        if (!w->shutting)
                return;
        LIST_FOREACH (c, &w->conns, Conn, link)
                if (c->session)
                        return;
        w->shutting = false;
        w->shut(w->shut_userdata);
}

void iscsi_worker_shutdown(IscsiWorker *w, void (*done)(void *userdata), void *userdata)
{
        w->shutting = true;
        w->shut = done;
        w->shut_userdata = userdata;
        LIST_FOREACH (c, &w->conns, Conn, link)
                if (c->session)
                        end_conn(c);
        check_shut(w);
}

/* ---- connections ---- */

static void ask_run(LoopTask *task)
{
        Conn *c = CONTAINER_OF(task, Conn, ask);

        if (!c->closed) {
                c->claiming = true;
                c->worker->host->claim(c->worker->userdata, &c->claim);
        } else {
                free(c->out);
                free(c);
        }
}

int conn_new(IscsiWorker *w, const SockAddr *local, const SockAddr *peer, void *user, Conn **ret)
{
        Conn *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        *c = (Conn){ .worker = w, .user = user, .ask.run = ask_run };
        list_append(&w->conns, &c->link);
        *ret = c;
        return 0;
}

void *conn_user(const Conn *c)
{
        return c->user;
}

size_t conn_want(Conn *c, struct iovec *iov, size_t max)
{
        if (c->n_out > FAKE_QUEUE_MAX || c->logging_in || c->finished)
                return 0;
        iov[0] = (struct iovec){ c->worker->scratch, sizeof(c->worker->scratch) };
        return 1;
}

static void login(Conn *c, char name)
{
        c->claim = (IscsiClaim){ .conn = c, .origin = c->worker->loop };
        if (name != 'D') {
                (void)snprintf(c->claim.initiator, sizeof(c->claim.initiator), "iqn.%c", name);
                (void)snprintf(c->claim.target, sizeof(c->claim.target), "iqn.t");
        }
        c->logging_in = true;
        loop_defer(c->worker->loop, &c->ask);
}

static void events(Conn *c)
{
        IscsiEvent event = { .kind = ISCSI_EVENT_PROTOCOL_ERROR, .target = "t", .reason = "r" };

        for (unsigned i = 0; i < FAKE_EVENTS; i++) {
                event.session = i;
                c->worker->host->event(c->worker->userdata, &event);
        }
}

static void lend_half(Conn *c)
{
        int fd = memfd_create("fake", MFD_CLOEXEC);

        g_assert_cmpint(ftruncate(fd, FAKE_FILE), ==, 0);
        c->lent = mmap(NULL, FAKE_FILE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        g_assert_true(c->lent != MAP_FAILED);
        for (size_t i = 0; i < FAKE_FILE; i++)
                c->lent[i] = (uint8_t)(i / 4096);
        g_assert_cmpint(ftruncate(fd, FAKE_FILE / 2), ==, 0);
        (void)close(fd);
}

static void byte(Conn *c, uint8_t b)
{
        static const uint8_t megabyte[MIB];

        if (c->named) {
                c->named = false;
                login(c, (char)b);
        } else if (b == 'L') {
                c->named = true;
        } else if (b == 'D') {
                login(c, 'D');
        } else if (b == 'Q') {
                put(c, "bye", 3);
                c->finished = true;
        } else if (b == 'V') {
                events(c);
                put(c, "v", 1);
        } else if (b == 'S') {
                put(c, "s", 1);
                lend_half(c);
        } else if (b == 'M') {
                put(c, megabyte, sizeof(megabyte));
        } else {
                put(c, &b, 1);
        }
}

void conn_got(Conn *c, size_t n)
{
        if (n == 0)
                c->finished = true;
        for (size_t i = 0; i < n && !c->finished; i++)
                byte(c, c->worker->scratch[i]);
}

size_t conn_out(Conn *c, struct iovec *iov, size_t max)
{
        if (c->n_out == 0 && c->lent) {
                iov[0] = (struct iovec){ c->lent + c->lent_sent, FAKE_FILE - c->lent_sent };
                return 1;
        }
        if (c->n_out == 0)
                return 0;
        /* in two pieces, so that there are several */
        iov[0] = (struct iovec){ c->out, c->n_out / 2 };
        iov[1] = (struct iovec){ c->out + c->n_out / 2, c->n_out - c->n_out / 2 };
        return 2;
}

void conn_sent(Conn *c, size_t n)
{
        size_t m = MIN(n, c->n_out);

        memmove(c->out, c->out + m, c->n_out - m);
        c->n_out -= m;
        c->lent_sent += n - m;
}

bool conn_finished(const Conn *c)
{
        return c->finished;
}

static void over(Conn *c)
{
        IscsiWorker *w = c->worker;
        bool had = c->session != 0;

        if (had)
                w->host->session_ended(w->userdata, c->session);
        list_remove(&c->link);
        free(c->out);
        free(c);
        if (had)
                check_shut(w);
}

void conn_closed(Conn *c, int error)
{
        c->closed = true;
        c->user = NULL;
        if (c->claiming)
                return; /* until the answer */
        if (c->ask.pending) {
                list_remove(&c->link);
                return;
        }
        over(c);
}

void conn_detach(Conn *c)
{
        list_remove(&c->link);
        c->worker = NULL;
}

static void begin(Conn *c)
{
        const IscsiEvent event = { .kind = ISCSI_EVENT_LOGIN, .session = c->claim.session };
        char text[8];

        c->session = c->claim.session;
        c->logging_in = false;
        (void)snprintf(text, sizeof(text), "+%u", c->worker->loop->index);
        put(c, text, 2);
        c->worker->host->event(c->worker->userdata, &event);
}

void conn_attach(Conn *c, IscsiWorker *w)
{
        c->worker = w;
        list_append(&w->conns, &c->link);
        begin(c);
}

void iscsi_claim_done(IscsiClaim *claim)
{
        Conn *c = claim->conn;

        c->claiming = false;
        if (c->closed) {
                if (claim->result == 0)
                        c->session = claim->session;
                over(c);
                return;
        }
        if (claim->result < 0) {
                put(c, "-", 1);
                c->finished = true;
                wake(c);
        } else if (claim->worker == c->worker->loop->index) {
                begin(c);
                wake(c);
        } else {
                c->worker->host->move(c->worker->userdata, c, claim->worker);
        }
}

/* ---- what else engine/ refers to ---- */

IscsiMap *iscsi_map_ref(IscsiMap *m)
{
        return m;
}

IscsiMap *iscsi_map_unref(IscsiMap *m)
{
        return NULL;
}

int scsi_worker_new(Loop *loop, BufferPool *buffers, const ScsiLimits *limits, const ScsiHost *host,
                    ScsiWorker **ret)
{
        *ret = NULL;
        return 0;
}

ScsiWorker *scsi_worker_free(ScsiWorker *w, unsigned *ret_ghosts)
{
        *ret_ghosts = 0;
        return NULL;
}

LogicalUnit *lu_ref(LogicalUnit *lu)
{
        return lu;
}

LogicalUnit *lu_unref(LogicalUnit *lu)
{
        return NULL;
}

uint64_t scsi_worker_errors(const ScsiWorker *w)
{
        return 0;
}

void scsi_worker_latency(const ScsiWorker *w, IoLatency *ret)
{
        *ret = (IoLatency){ .write.sum = FAKE_LATENCY };
}

uint64_t iscsi_worker_commands(const IscsiWorker *w)
{
        return w->loop->index;
}
