/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fake-store.h"

struct Store {
        unsigned ref;
        Sim *sim;
        StoreCaps caps;
        StoreIdentity identity;
        uint8_t *data;
        bool hold, lends;
        unsigned fail_ops;
        int fail_error;
        uint64_t max_delay;
        List held;
        FakeStats stats;
        unsigned busy;
        LoopLane lane;
};

struct StoreChannel {
        Store *store;
        StoreHost *host;
        unsigned pending;
};

struct StoreHost {
        Loop *loop;
        unsigned channels;
};

typedef struct Private {
        LoopTimer timer;
        List link;
        StoreRequest *req;
} Private;

_Static_assert(sizeof(Private) <= STORE_PRIVATE_SIZE, "private");

static unsigned n_stores;

Store *fake_store_new(Sim *sim, uint64_t size, StoreCaps caps)
{
        Store *s = calloc(1, sizeof(*s));

        s->ref = 1;
        s->sim = sim;
        s->caps = caps;
        s->caps.size = size;
        s->data = calloc(1, size);
        s->max_delay = 50 * NSEC_PER_USEC;
        list_init(&s->held);
        s->lane.max = 4;
        n_stores++;
        return s;
}

uint8_t *fake_store_data(Store *s)
{
        return s->data;
}

void fake_store_set_size(Store *s, uint64_t size)
{
        s->data = realloc(s->data, size);
        if (size > s->caps.size)
                memset(s->data + s->caps.size, 0, size - s->caps.size);
        s->caps.size = size;
}

void fake_store_set_readonly(Store *s, bool readonly)
{
        s->caps.readonly = readonly;
}

void fake_store_hold(Store *s)
{
        s->hold = true;
}

unsigned fake_store_held(const Store *s)
{
        unsigned n = 0;

        LIST_FOREACH (p, &s->held, Private, link)
                n++;
        return n;
}

static void let_go(Private *p)
{
        list_remove(&p->link);
        loop_timer_in(p->req->channel->host->loop, &p->timer, 1);
}

void fake_store_release(Store *s)
{
        s->hold = false;
        LIST_FOREACH_SAFE (p, &s->held, Private, link)
                let_go(p);
}

bool fake_store_release_one(Store *s, unsigned n)
{
        LIST_FOREACH (p, &s->held, Private, link)
                if (n-- == 0) {
                        let_go(p);
                        return true;
                }
        return false;
}

void fake_store_fail(Store *s, unsigned ops, int error)
{
        s->fail_ops = ops;
        s->fail_error = error;
}

void fake_store_delay(Store *s, uint64_t max_ns)
{
        s->max_delay = max_ns;
}

void fake_store_lend(Store *s)
{
        s->lends = true;
}

void fake_store_identity(Store *s, uint64_t a)
{
        s->identity = (StoreIdentity){ .kind = 1, .a = a, .b = a };
}

FakeStats fake_store_stats(const Store *s)
{
        return s->stats;
}

unsigned fake_stores(void)
{
        return n_stores;
}

static int perform(Store *s, StoreRequest *req)
{
        uint8_t *p = s->data + req->offset;
        size_t at = 0;

        s->stats.completed++;
        if (s->fail_ops & (1u << req->op))
                return s->fail_error;
        if (req->offset + req->length > s->caps.size)
                return -ERANGE;
        switch (req->op) {
        case STORE_READ:
                for (unsigned i = 0; i < req->n_iov; at += req->iov[i++].iov_len)
                        memcpy(req->iov[i].iov_base, p + at, req->iov[i].iov_len);
                break;
        case STORE_WRITE:
                for (unsigned i = 0; i < req->n_iov; at += req->iov[i++].iov_len)
                        memcpy(p + at, req->iov[i].iov_base, req->iov[i].iov_len);
                break;
        case STORE_DISCARD:
        case STORE_ZERO:
                memset(p, 0, req->length);
                break;
        case STORE_FLUSH:
                break;
        }
        return 0;
}

static void fires(LoopTimer *timer)
{
        Private *p = CONTAINER_OF(timer, Private, timer);
        StoreRequest *req = p->req;

        req->result = perform(req->channel->store, req);
        req->channel->pending--;
        req->channel->store->busy--;
        req->done(req);
}

bool store_submit(StoreChannel *ch, StoreRequest *req)
{
        Store *s = ch->store;
        Private *p = (Private *)(void *)req->private;
        uint64_t delay = s->max_delay ? sim_random(s->sim, s->max_delay) : 0;

        req->channel = ch;
        s->stats.submitted++;
        if (req->op == STORE_FLUSH)
                s->stats.flushes++;
        if (req->flags & STORE_FUA)
                s->stats.fua++;
        if (!s->hold && (s->max_delay == 0 || delay % 8 == 0)) {
                req->result = perform(s, req);
                return true;
        }
        *p = (Private){ .timer.fire = fires, .req = req };
        ch->pending++;
        s->busy++;
        if (s->hold)
                list_append(&s->held, &p->link);
        else
                loop_timer_in(ch->host->loop, &p->timer, delay);
        return false;
}

void store_cancel(StoreRequest *req)
{
        req->channel->store->stats.cancelled++;
}

bool store_lend(StoreChannel *ch, uint64_t offset, uint64_t length, StoreLoan *ret)
{
        Store *s = ch->store;

        if (!s->lends || offset + length > s->caps.size)
                return false;
        *ret = (StoreLoan){ .memory = s->data + offset, .fd = -1 };
        ch->pending++;
        s->busy++;
        return true;
}

void store_loan_end(StoreChannel *ch)
{
        ch->pending--;
        ch->store->busy--;
}

int store_loan_read(const StoreLoan *loan, uint64_t skip, void *buf, size_t n)
{
        memcpy(buf, loan->memory + skip, n);
        return 0;
}

Store *store_ref(Store *s)
{
        s->ref++;
        return s;
}

Store *store_unref(Store *s)
{
        if (s && --s->ref == 0) {
                n_stores--;
                free(s->data);
                free(s);
        }
        return NULL;
}

StoreIdentity store_identity(const Store *s)
{
        return s->identity;
}

StoreCaps store_caps(const Store *s)
{
        return s->caps;
}

unsigned store_busy(const Store *s)
{
        return s->busy;
}

#define FAKE_PAGE 4096

static bool page_is_zero(const Store *s, uint64_t at)
{
        for (uint64_t i = at; i < min_u64(at + FAKE_PAGE, s->caps.size); i++)
                if (s->data[i])
                        return false;
        return true;
}

/* Pages of zeros take no room. */
int store_extent(Store *s, uint64_t offset, bool *ret_mapped, uint64_t *ret_length)
{
        uint64_t page = offset / FAKE_PAGE * FAKE_PAGE, at = page;

        if (s->fail_ops & (1u << STORE_READ))
                return s->fail_error;
        if (offset >= s->caps.size)
                return -ERANGE;
        *ret_mapped = !page_is_zero(s, page);
        while (at < s->caps.size && page_is_zero(s, at) != *ret_mapped)
                at += FAKE_PAGE;
        *ret_length = min_u64(at, s->caps.size) - offset;
        return 0;
}

LoopLane *store_lane(Store *s)
{
        return &s->lane;
}

int store_host_new(Loop *loop, StoreHost **ret)
{
        *ret = calloc(1, sizeof(**ret));
        (*ret)->loop = loop;
        return 0;
}

StoreHost *store_host_free(StoreHost *host)
{
        if (host && host->channels > 0)
                abort();
        free(host);
        return NULL;
}

int store_attach(Store *s, StoreHost *host, StoreChannel **ret)
{
        *ret = calloc(1, sizeof(**ret));
        **ret = (StoreChannel){ .store = store_ref(s), .host = host };
        host->channels++;
        return 0;
}

StoreChannel *store_detach(StoreChannel *ch)
{
        if (!ch)
                return NULL;
        if (ch->pending > 0)
                abort();
        ch->host->channels--;
        store_unref(ch->store);
        free(ch);
        return NULL;
}
