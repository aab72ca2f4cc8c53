/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "harness.h"
#include "threadloop.h"

/* Threads that write sectors of the same blocks at once, each to sectors of its own: a lost write
 * of a neighbour is a lost write. With the thread sanitizer this is also the race test of the
 * layer. */

enum { THREADS = 3, DEPTH = 8, SECTORS = 512, SECTOR = 512 };

typedef struct Worker Worker;

typedef struct Slot {
        StoreRequest req;
        Worker *worker;
        uint64_t first, count; /* sectors, of this slot alone */
        uint32_t version;
        bool reading;
        uint8_t data[8 * SECTOR];
} Slot;

struct Worker {
        Store *store;
        StoreHost *host;
        StoreChannel *channel;
        Loop *loop;
        Slot slots[DEPTH];
        unsigned left, running, bad;
        GRand *rand;
        LoopTask finish;
};

static bool check(Slot *s)
{
        uint8_t expected[8 * SECTOR] = { 0 };
        uint64_t n = s->count * SECTOR;

        if (s->version)
                fill(expected, n, s->first * SECTOR, s->version);
        return memcmp(expected, s->data, n) == 0;
}

static void finish(LoopTask *task)
{
        Worker *w = CONTAINER_OF(task, Worker, finish);

        w->channel = store_detach(w->channel);
        w->host = store_host_free(w->host);
        threadloop_stop(w->loop);
}

static void done(StoreRequest *req);

/* One request; true if it is complete already. */
static bool submit(Slot *s)
{
        Worker *w = s->worker;
        uint64_t n = s->count * SECTOR;

        s->reading = g_rand_int_range(w->rand, 0, 3) == 0;
        if (!s->reading)
                fill(s->data, n, s->first * SECTOR, ++s->version);
        s->req.op = s->reading ? STORE_READ : STORE_WRITE;
        s->req.flags = 0;
        s->req.offset = s->first * SECTOR;
        s->req.length = n;
        s->req.iov[0] = (struct iovec){ s->data, n };
        s->req.n_iov = 1;
        s->req.done = done;
        return store_submit(w->channel, &s->req);
}

static void look(Slot *s)
{
        if (s->req.result != 0 || (s->reading && !check(s)))
                s->worker->bad++;
}

/* Keeps s going until one is pending, or its worker has done enough. */
static void go_on(Slot *s)
{
        Worker *w = s->worker;

        while (w->left > 0) {
                w->left--;
                if (!submit(s))
                        return;
                look(s);
        }
        if (--w->running == 0)
                loop_post(w->loop, &w->finish);
}

static void done(StoreRequest *req)
{
        Slot *s = CONTAINER_OF(req, Slot, req);

        look(s);
        go_on(s);
}

static void start(Loop *loop, void *userdata)
{
        Worker *w = userdata;

        w->loop = loop;
        if (store_host_new(loop, &w->host) < 0 || store_attach(w->store, w->host, &w->channel) < 0)
                g_error("attach");
        w->running = DEPTH;
        for (unsigned i = 0; i < DEPTH; i++)
                go_on(&w->slots[i]);
}

/* Deals the sectors out in runs of 1 to 8, so that every block has several owners. */
static void deal(Worker *workers, GRand *rand)
{
        uint64_t at = 0;
        unsigned k = 0;

        while (k < THREADS * DEPTH && at + 8 <= SECTORS) {
                Slot *s = &workers[k % THREADS].slots[k / THREADS];

                s->worker = &workers[k % THREADS];
                s->first = at;
                s->count = (uint64_t)g_rand_int_range(rand, 1, 9);
                at += s->count;
                k++;
        }
        g_assert_cmpuint(k, ==, THREADS * DEPTH);
}

static void stress(const StoreSpec *spec, unsigned requests)
{
        g_autofree Worker *workers = g_new0(Worker, THREADS);
        ThreadLoop *threads[THREADS];
        GRand *rand = g_rand_new_with_seed(1);
        StoreError error;
        Store *store;

        if (store_open(spec, &store, &error) < 0)
                g_error("%s", error.text);
        deal(workers, rand);
        threadloop_jobs_start(6);
        for (unsigned i = 0; i < THREADS; i++) {
                workers[i].store = store;
                workers[i].left = requests;
                workers[i].rand = g_rand_new_with_seed(i);
                workers[i].finish.run = finish;
                threads[i] = threadloop_new(i, start, &workers[i]);
        }
        for (unsigned i = 0; i < 50; i++) {
                (void)store_busy(store);
                (void)store_caps(store);
                (void)store_refresh(store, spec, &error);
                g_usleep(500);
        }
        for (unsigned i = 0; i < THREADS; i++) {
                threadloop_join(threads[i]);
                g_assert_cmpuint(workers[i].bad, ==, 0);
                g_rand_free(workers[i].rand);
        }
        threadloop_jobs_stop();
        g_assert_cmpuint(store_busy(store), ==, 0);
        store_unref(store);
        g_rand_free(rand);
}

static void test_stress(const void *userdata)
{
        const char *options = userdata;
        bool fault = strchr(options, '=') != NULL;
        StoreSpec spec = { .type = fault ? "fault" : options, .options = fault ? options : NULL };
        g_autofree char *path = NULL;

        if (strstr(options, "rdwr") || strstr(options, "aio"))
                path = make_file(PATH_DISK, SECTORS * SECTOR);
        spec.path = path;
        spec.size = SECTORS * SECTOR;
        stress(&spec, 2000);
        if (path)
                unlink(path);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_data_func("/store/threads/rmw-rdwr", "store=rdwr;block-size=4096", test_stress);
        g_test_add_data_func("/store/threads/rmw-aio", "store=aio;block-size=4096", test_stress);
        g_test_add_data_func("/store/threads/rmw-lose",
                             "store=rdwr;block-size=4096;lose-unflushed=yes", test_stress);
        g_test_add_data_func("/store/threads/rdwr", "rdwr", test_stress);
        g_test_add_data_func("/store/threads/aio", "aio", test_stress);
        g_test_add_data_func("/store/threads/ram", "ram", test_stress);
        return g_test_run();
}
