/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <stdio.h>
#include <time.h>

#include "harness.h"
#include "threadloop.h"

/* bench-store [SECONDS]: 4 KiB at random, 32 at a time, one loop thread, per type and place. Prints
 * I/Os per second and CPU time per I/O (loop and jobs). */

enum { DEPTH = 32, BLOCK = 4096, SIZE = 256 * 1024 * 1024 };

typedef struct Bench Bench;

typedef struct Slot {
        StoreRequest req;
        Bench *bench;
        uint8_t *data;
} Slot;

struct Bench {
        Store *store;
        StoreHost *host;
        StoreChannel *channel;
        Loop *loop;
        StoreOp op;
        uint32_t flags;
        uint64_t seed, n_done, n_inline, until, failed;
        unsigned running;
        Slot slots[DEPTH];
        LoopTask turn, finish;
};

static uint64_t now(clockid_t id)
{
        struct timespec t;

        (void)clock_gettime(id, &t);
        return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

static uint64_t next_offset(Bench *b)
{
        b->seed ^= b->seed << 13;
        b->seed ^= b->seed >> 7;
        b->seed ^= b->seed << 17;
        return b->seed % (SIZE / BLOCK) * BLOCK;
}

static void done(StoreRequest *req);

static bool submit(Slot *s)
{
        Bench *b = s->bench;

        s->req.op = b->op;
        s->req.flags = b->flags;
        s->req.offset = next_offset(b);
        s->req.length = BLOCK;
        s->req.iov[0] = (struct iovec){ s->data, BLOCK };
        s->req.n_iov = 1;
        s->req.done = done;
        return store_submit(b->channel, &s->req);
}

/* As a worker would: what completes at once is answered, and the loop gets its turn. */
static void turn(LoopTask *task)
{
        Bench *b = CONTAINER_OF(task, Bench, turn);
        bool over = now(CLOCK_MONOTONIC) >= b->until;

        for (unsigned i = 0; i < DEPTH && !over; i++) {
                if (b->slots[i].req.done)
                        continue;
                if (!submit(&b->slots[i])) {
                        b->running++;
                        continue;
                }
                b->failed += b->slots[i].req.result != 0;
                b->slots[i].req.done = NULL;
                b->n_done++;
                b->n_inline++;
        }
        if (!over && b->running < DEPTH)
                loop_defer(b->loop, &b->turn);
        if (over && b->running == 0)
                loop_post(b->loop, &b->finish);
}

static void done(StoreRequest *req)
{
        Slot *s = CONTAINER_OF(req, Slot, req);
        Bench *b = s->bench;

        b->failed += req->result != 0;
        b->n_done++;
        b->running--;
        req->done = NULL;
        loop_defer(b->loop, &b->turn);
}

static void finish(LoopTask *task)
{
        Bench *b = CONTAINER_OF(task, Bench, finish);

        b->channel = store_detach(b->channel);
        b->host = store_host_free(b->host);
        threadloop_stop(b->loop);
}

static void start(Loop *loop, void *userdata)
{
        Bench *b = userdata;

        b->loop = loop;
        if (store_host_new(loop, &b->host) < 0 || store_attach(b->store, b->host, &b->channel) < 0)
                g_error("attach");
        loop_defer(loop, &b->turn);
}

static void measure(Store *store, const char *name, const char *what, StoreOp op, uint32_t flags,
                    double seconds)
{
        g_autofree Bench *b = g_new0(Bench, 1);
        g_autofree uint8_t *memory = NULL;
        uint64_t cpu = now(CLOCK_PROCESS_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
        uint8_t *data;

        memory = g_malloc0((DEPTH + 1) * BLOCK);
        data = memory + (BLOCK - (uintptr_t)memory % BLOCK);
        b->store = store;
        b->op = op;
        b->flags = flags;
        b->seed = 88172645463325252U;
        b->until = wall + (uint64_t)(seconds * (double)NSEC_PER_SEC);
        b->turn.run = turn;
        b->finish.run = finish;
        for (unsigned i = 0; i < DEPTH; i++) {
                b->slots[i].bench = b;
                b->slots[i].data = data + i * BLOCK;
        }
        threadloop_join(threadloop_new(0, start, b));
        wall = now(CLOCK_MONOTONIC) - wall;
        cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        printf("%-24s %-10s %10.0f/s  %7.2f us CPU  %3.0f%% inline%s\n", name, what,
               (double)b->n_done * 1e9 / (double)wall,
               (double)cpu / 1e3 / (double)MAX(b->n_done, 1),
               100.0 * (double)b->n_inline / (double)MAX(b->n_done, 1),
               b->failed ? "  FAILED REQUESTS" : "");
        (void)fflush(stdout);
}

/* So that reads are not of holes. */
static void prepare(const char *path)
{
        g_autofree char *data = g_malloc0(SIZE);

        memset(data, 0x5a, SIZE);
        if (path && !g_file_set_contents(path, data, SIZE, NULL))
                g_error("%s", path);
}

int main(int argc, char **argv)
{
        static const Kind places[] = {
                { "null", { .type = "null" }, PATH_NONE },
                { "ram", { .type = "ram" }, PATH_NONE },
                { "rdwr, tmpfs", { .type = "rdwr" }, PATH_MEMORY },
                { "rdwr, disk, cached", { .type = "rdwr" }, PATH_DISK },
                { "aio, disk", { .type = "aio" }, PATH_DISK },
                { "fault over ram", { .type = "fault", .options = "store=ram" }, PATH_NONE },
        };
        double seconds = argc > 1 ? g_ascii_strtod(argv[1], NULL) : 1.0;

        threadloop_jobs_start(16);
        for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
                StoreSpec spec = places[i].spec;
                char *path = NULL;
                StoreError error;
                Store *store;

                if (places[i].where != PATH_NONE)
                        path = make_file(places[i].where, SIZE);
                prepare(path);
                spec.path = path;
                spec.size = SIZE;
                if (store_open(&spec, &store, &error) < 0)
                        g_error("%s", error.text);
                measure(store, places[i].name, "read", STORE_READ, 0, seconds);
                measure(store, places[i].name, "write", STORE_WRITE, 0, seconds);
                measure(store, places[i].name, "write FUA", STORE_WRITE, STORE_FUA, seconds);
                store_unref(store);
                if (path)
                        remove_file(places[i].where, path);
        }
        threadloop_jobs_stop();
        return 0;
}
