/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/placement.h"

/* proc(5), /proc/PID/schedstat: time on a processor, time waiting for one, times it ran */
#define SCHEDSTAT "/proc/thread-self/schedstat"

#define ROUNDS 32
#define ROUNDS_TIME (20 * NSEC_PER_MSEC) /* where the processors are not idle */
/* A measurement beyond that was disturbed. */
#define WAKE_MAX (50 * NSEC_PER_USEC)

struct PlacementThread {
        cpu_set_t allowed;
        int fd; /* of SCHEDSTAT */
};

int placement_thread_new(PlacementThread **ret)
{
        PlacementThread *t = calloc(1, sizeof(*t));
        int r;

        if (!t)
                return -ENOMEM;
        t->fd = open(SCHEDSTAT, O_RDONLY | O_CLOEXEC);
        if (t->fd < 0 || sched_getaffinity(0, sizeof(t->allowed), &t->allowed) < 0) {
                r = -errno;
                (void)placement_thread_free(t);
                return r;
        }
        *ret = t;
        return 0;
}

PlacementThread *placement_thread_free(PlacementThread *t)
{
        if (!t)
                return NULL;
        (void)safe_close(t->fd);
        free(t);
        return NULL;
}

static int thread_bind(void *userdata, int cpu)
{
        PlacementThread *t = userdata;
        cpu_set_t set = t->allowed;

        if (cpu != PLACEMENT_FREE) {
                if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &t->allowed))
                        return -EINVAL;
                CPU_ZERO(&set);
                CPU_SET(cpu, &set);
        }
        return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

static int thread_use(void *userdata, PlacementUse *ret)
{
        PlacementThread *t = userdata;
        char text[80];
        ssize_t n = pread(t->fd, text, sizeof(text) - 1, 0);

        if (n < 0)
                return -errno;
        text[n] = '\0';
        if (sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64, &ret->run_ns, &ret->wait_ns,
                   &ret->slices) != 3)
                return -EBADMSG;
        return 0;
}

const PlacementOps placement_thread_ops = { .bind = thread_bind, .use = thread_use };

/* ---- what a wake-up takes ---- */

/* Two threads, each on a processor of its own, that wake each other in turn. */
typedef struct Echo {
        int ask, answer; /* eventfd */
        uint64_t rtt[ROUNDS];
        unsigned n;
} Echo;

static void *echo_answer(void *arg)
{
        const Echo *e = arg;
        eventfd_t v;

        /* 2 ends it */
        while (eventfd_read(e->ask, &v) == 0 && v == 1)
                (void)eventfd_write(e->answer, 1);
        return NULL;
}

static void *echo_ask(void *arg)
{
        Echo *e = arg;
        uint64_t begin = monotonic_now(), now = begin, then;
        eventfd_t v;

        while (e->n < ROUNDS && now - begin < ROUNDS_TIME) {
                then = now;
                if (eventfd_write(e->ask, 1) < 0 || eventfd_read(e->answer, &v) < 0)
                        break;
                now = monotonic_now();
                e->rtt[e->n++] = now - then;
        }
        (void)eventfd_write(e->ask, 2);
        return NULL;
}

static int create_on(int cpu, void *(*run)(void *), void *arg, pthread_t *ret)
{
        pthread_attr_t attr;
        cpu_set_t set;
        int r;

        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        r = pthread_attr_init(&attr);
        if (r != 0)
                return -r;
        r = pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
        if (r == 0)
                r = pthread_create(ret, &attr, run, arg);
        (void)pthread_attr_destroy(&attr);
        return -r;
}

static int compare(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return x < y ? -1 : x > y;
}

/* The first two processors we may run on. */
static bool two_processors(int ret_cpu[2])
{
        cpu_set_t set;
        unsigned n = 0;

        if (sched_getaffinity(0, sizeof(set), &set) < 0)
                return false;
        for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
                if (CPU_ISSET(i, &set))
                        ret_cpu[n++] = i;
        return n == 2;
}

static bool echo_run(Echo *e)
{
        pthread_t asks, answers;
        int cpu[2];

        if (!two_processors(cpu) || create_on(cpu[0], echo_answer, e, &answers) < 0)
                return false;
        if (create_on(cpu[1], echo_ask, e, &asks) < 0)
                (void)eventfd_write(e->ask, 2);
        else
                (void)pthread_join(asks, NULL);
        (void)pthread_join(answers, NULL);
        return e->n > 0;
}

uint64_t placement_measure_wake(void)
{
        Echo e = { .ask = eventfd(0, EFD_CLOEXEC), .answer = eventfd(0, EFD_CLOEXEC) };
        uint64_t wake = 0;

        if (e.ask >= 0 && e.answer >= 0 && echo_run(&e)) {
                qsort(e.rtt, e.n, sizeof(e.rtt[0]), compare);
                wake = min_u64(e.rtt[e.n / 4] / 2, WAKE_MAX); /* what disturbs makes it longer */
        }
        (void)safe_close(e.ask);
        (void)safe_close(e.answer);
        return wake;
}
