/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/parse.h"
#include "initiator.h"

/* bench-load: load on one LUN over iSCSI; see usage(). The processor time of the target is taken
 * over the same interval as the commands that are counted. */

#define EVENTS 64

typedef struct Thread {
        pthread_t thread;
        int epoll_fd;
        Initiator *initiators;
        unsigned n;
        int result;
        const char *error;
} Thread;

typedef struct Cpu {
        uint64_t user_ns, system_ns;
} Cpu;

static struct {
        Load load;
        unsigned connections, threads, seconds_ms, warmup_ms;
        unsigned pid; /* of the target; 0: none */
        bool json;
} options = {
        .load = { .host = "127.0.0.1",
                  .port = 3260,
                  .lun = 1,
                  .depth = 1,
                  .io_bytes = 4096,
                  .read_percent = 100 },
        .connections = 1,
        .threads = 1,
        .seconds_ms = 5000,
        .warmup_ms = 1000,
};

enum { PHASE_WARMUP, PHASE_RECORD, PHASE_END };
static int phase; /* atomic */

static uint64_t clock_now(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* ---- threads ---- */

static int watch(Thread *t, Initiator *i, int op)
{
        struct epoll_event event = { .events = EPOLLIN | (i->blocked ? EPOLLOUT : 0),
                                     .data.ptr = i };

        return epoll_ctl(t->epoll_fd, op, i->fd, &event) < 0 ? -errno : 0;
}

static int serve(Thread *t, Initiator *i, uint64_t now)
{
        int at = __atomic_load_n(&phase, __ATOMIC_RELAXED);
        bool was_blocked = i->blocked;
        int r;

        i->stopping = at == PHASE_END;
        r = initiator_receive(i, now, at == PHASE_RECORD);
        if (r == 0)
                r = initiator_fill(i, now);
        if (r == 0 && i->blocked != was_blocked)
                r = watch(t, i, EPOLL_CTL_MOD);
        return r;
}

static bool all_idle(const Thread *t)
{
        for (unsigned k = 0; k < t->n; k++)
                if (!initiator_idle(&t->initiators[k]))
                        return false;
        return true;
}

static int thread_run(Thread *t)
{
        struct epoll_event events[EVENTS];
        int r;

        t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (t->epoll_fd < 0)
                return -errno;
        for (unsigned k = 0; k < t->n; k++) {
                r = watch(t, &t->initiators[k], EPOLL_CTL_ADD);
                if (r == 0)
                        r = serve(t, &t->initiators[k], clock_now());
                if (r < 0) {
                        t->error = t->initiators[k].error;
                        return r;
                }
        }
        /* until the last command is answered: a benchmark must not hide what got lost */
        while (__atomic_load_n(&phase, __ATOMIC_RELAXED) != PHASE_END || !all_idle(t)) {
                int n = epoll_wait(t->epoll_fd, events, EVENTS, 1000);
                uint64_t now = clock_now();

                for (int k = 0; k < n; k++) {
                        Initiator *i = events[k].data.ptr;

                        r = serve(t, i, now);
                        if (r < 0) {
                                t->error = i->error;
                                return r;
                        }
                }
        }
        return 0;
}

static void *thread_main(void *arg)
{
        Thread *t = arg;

        t->result = thread_run(t);
        return NULL;
}

/* ---- the target's processor time ---- */

/* All threads, those that ended too: fields 14 and 15 of proc(5)'s stat, in ticks. */
static int cpu_read(unsigned pid, Cpu *ret)
{
        unsigned long long user, system;
        char path[64], line[1024], *p;
        FILE *f;
        int n;

        (void)snprintf(path, sizeof(path), "/proc/%u/stat", pid);
        f = fopen(path, "re");
        if (!f)
                return -errno;
        p = fgets(line, sizeof(line), f);
        (void)fclose(f);
        p = p ? strrchr(line, ')') : NULL; /* the name may hold anything */
        if (!p)
                return -EIO;
        n = sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system);
        if (n != 2)
                return -EIO;
        ret->user_ns = user * (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
        ret->system_ns = system * (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
        return 0;
}

/* ---- result ---- */

typedef struct Result {
        Histogram latency;
        uint64_t done, bytes, retries, elapsed_ns;
        Cpu cpu;
} Result;

static double per_io(const Result *r, uint64_t ns)
{
        return r->done ? (double)ns / 1000.0 / (double)r->done : 0;
}

static void print_result(const Result *r)
{
        double seconds = (double)r->elapsed_ns / 1e9;
        const char *format =
                options.json ? "{\"iops\": %.1f, \"mib_s\": %.2f, \"lat_us\": {\"mean\": %.1f, "
                               "\"p50\": %.1f, \"p99\": %.1f, \"p99.9\": %.1f, \"max\": %.1f}, "
                               "\"cpu_us_per_io\": %.3f, \"cpu_user_us_per_io\": %.3f, "
                               "\"cpu_system_us_per_io\": %.3f, \"ios\": %llu, \"retries\": %llu}\n"
                             : "%.0f IOPS  %.1f MiB/s  latency us: mean %.1f p50 %.1f p99 %.1f "
                               "p99.9 %.1f max %.1f  target us/IO: %.2f (user %.2f system %.2f)  "
                               "%llu I/Os, %llu retried\n";

        (void)printf(format, (double)r->done / seconds, (double)r->bytes / seconds / (double)MIB,
                     r->latency.n ? (double)r->latency.sum_ns / (double)r->latency.n / 1e3 : 0,
                     (double)histogram_percentile(&r->latency, 50) / 1e3,
                     (double)histogram_percentile(&r->latency, 99) / 1e3,
                     (double)histogram_percentile(&r->latency, 99.9) / 1e3,
                     (double)r->latency.max_ns / 1e3, per_io(r, r->cpu.user_ns + r->cpu.system_ns),
                     per_io(r, r->cpu.user_ns), per_io(r, r->cpu.system_ns),
                     (unsigned long long)r->done, (unsigned long long)r->retries);
}

static int measure(Result *ret)
{
        Cpu before = { 0 }, after = { 0 };
        uint64_t start;
        int r = 0;

        (void)usleep(options.warmup_ms * 1000);
        start = clock_now();
        if (options.pid)
                r = cpu_read(options.pid, &before);
        __atomic_store_n(&phase, PHASE_RECORD, __ATOMIC_RELAXED);
        (void)usleep(options.seconds_ms * 1000);
        __atomic_store_n(&phase, PHASE_END, __ATOMIC_RELAXED);
        ret->elapsed_ns = clock_now() - start;
        if (options.pid && r == 0)
                r = cpu_read(options.pid, &after);
        ret->cpu = (Cpu){ after.user_ns - before.user_ns, after.system_ns - before.system_ns };
        return r;
}

static int run(Thread *threads, Initiator *initiators, Result *ret)
{
        unsigned next = 0;
        int r;

        for (unsigned k = 0; k < options.connections; k++) {
                r = initiator_open(&initiators[k], &options.load, k);
                if (r < 0) {
                        (void)fprintf(stderr, "bench-load: %s\n", initiators[k].error);
                        return r;
                }
        }
        for (unsigned k = 0; k < options.threads; k++) {
                unsigned n = (options.connections - next) / (options.threads - k);

                threads[k] = (Thread){ .initiators = &initiators[next], .n = n };
                next += n;
                r = -pthread_create(&threads[k].thread, NULL, thread_main, &threads[k]);
                if (r < 0)
                        return r;
        }
        r = measure(ret);
        for (unsigned k = 0; k < options.threads; k++) {
                (void)pthread_join(threads[k].thread, NULL);
                if (threads[k].result < 0) {
                        r = threads[k].result;
                        (void)fprintf(stderr, "bench-load: %s\n",
                                      threads[k].error ? threads[k].error : strerror(-r));
                }
        }
        for (unsigned k = 0; k < options.connections; k++) {
                ret->done += initiators[k].done;
                ret->bytes += initiators[k].bytes;
                ret->retries += initiators[k].retries;
                histogram_merge(&ret->latency, &initiators[k].latency);
                initiator_close(&initiators[k]);
        }
        return r;
}

typedef enum OptionKind {
        OPTION_TEXT,
        OPTION_NUMBER,
        OPTION_SIZE,
        OPTION_TIME,
        OPTION_FLAG
} OptionKind;

static const struct {
        const char *name;
        OptionKind kind;
        void *value;
        const char *help;
} rows[] = {
        { "host", OPTION_TEXT, &options.load.host, "NAME: of the target (127.0.0.1)" },
        { "port", OPTION_NUMBER, &options.load.port, "N: its TCP port (3260)" },
        { "target", OPTION_TEXT, &options.load.target, "IQN: required" },
        { "lun", OPTION_NUMBER, &options.load.lun, "N: (1)" },
        { "connections", OPTION_NUMBER, &options.connections, "N: sessions (1)" },
        { "depth", OPTION_NUMBER, &options.load.depth, "N: commands in flight in each (1)" },
        { "bs", OPTION_SIZE, &options.load.io_bytes, "SIZE: of a command (4K)" },
        { "read", OPTION_NUMBER, &options.load.read_percent, "PERCENT: the rest writes (100)" },
        { "sequential", OPTION_FLAG, &options.load.sequential, "each in a row, not at random" },
        { "threads", OPTION_NUMBER, &options.threads, "N: of this program (1)" },
        { "time", OPTION_TIME, &options.seconds_ms, "TIME: that is measured (5s)" },
        { "warmup", OPTION_TIME, &options.warmup_ms, "TIME: before that (1s)" },
        { "pid", OPTION_NUMBER, &options.pid, "PID: of the target: its CPU time per I/O" },
        { "json", OPTION_FLAG, &options.json, "one line of JSON" },
};

static void usage(void)
{
        (void)puts("bench-load --target=IQN [OPTION...]\n");
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                (void)printf("  --%-12s %s\n", rows[i].name, rows[i].help);
}

static int set_option(size_t i, const char *text)
{
        uint64_t n = 0;
        int r = 0;

        switch (rows[i].kind) {
        case OPTION_TEXT:
                *(const char **)rows[i].value = text;
                return 0;
        case OPTION_FLAG:
                *(bool *)rows[i].value = true;
                return 0;
        case OPTION_NUMBER:
                r = parse_u64(text, 0, UINT32_MAX, &n);
                break;
        case OPTION_SIZE:
                r = parse_size(text, &n);
                break;
        case OPTION_TIME:
                r = parse_duration(text, &n);
                n /= NSEC_PER_MSEC;
                break;
        }
        if (r < 0 || n > UINT32_MAX)
                return -EINVAL;
        *(uint32_t *)rows[i].value = (uint32_t)n;
        return 0;
}

static int parse_options(int argc, char *argv[])
{
        struct option longs[ELEMENTSOF(rows) + 1] = { 0 };
        int c, r = 0;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                longs[i] = (struct option){
                        .name = rows[i].name,
                        .has_arg = rows[i].kind == OPTION_FLAG ? no_argument : required_argument,
                        .val = (int)i,
                };
        while (r == 0 && (c = getopt_long(argc, argv, "", longs, NULL)) >= 0)
                r = c == '?' ? -EINVAL : set_option((size_t)c, optarg);
        if (r < 0 || optind < argc || !options.load.target || options.connections == 0 ||
            options.load.depth == 0 || options.load.io_bytes == 0 || options.load.port > 65535) {
                usage();
                return -EINVAL;
        }
        options.threads = MIN(MAX(options.threads, 1U), options.connections);
        return 0;
}

int main(int argc, char *argv[])
{
        Initiator *initiators;
        Result result = { 0 };
        Thread *threads;
        int r;

        if (parse_options(argc, argv) < 0)
                return 2;
        initiators = calloc(options.connections, sizeof(*initiators));
        threads = calloc(options.threads, sizeof(*threads));
        if (!initiators || !threads)
                return 1;
        r = run(threads, initiators, &result);
        if (r == 0 && result.done == 0) {
                (void)fputs("bench-load: nothing was completed\n", stderr);
                r = -EIO;
        }
        if (r == 0)
                print_result(&result);
        free(initiators);
        free(threads);
        return r < 0 ? 1 : 0;
}
