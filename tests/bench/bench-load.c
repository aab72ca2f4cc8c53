/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/parse.h"
#include "cpu.h"
#include "initiator.h"

/* bench-load: load on one LUN over iSCSI; see usage(). The processor time of the target is taken
 * over the same interval as the commands that are counted; so is this program's own, since a
 * generator that is busy all the time measures itself. */

#define EVENTS 64
#define ANSWER_NS (20 * NSEC_PER_SEC) /* for the last commands, after the end */

typedef struct Thread {
        pthread_t thread;
        int epoll_fd;
        Initiator *initiators;
        unsigned n;
        uint8_t *scratch;
        bool joined;
        int result;
        const char *error;
} Thread;

static struct {
        Load load;
        unsigned connections, threads, seconds_ms, warmup_ms;
        unsigned pid; /* of the target; 0: none */
        bool json, spin;
} options = {
        .load = { .host = "127.0.0.1",
                  .port = 3260,
                  .lun = 1,
                  .depth = 1,
                  .io_bytes = 4096,
                  .read_percent = 100,
                  .segment = 256 * KIB,
                  .first_burst = 256 * KIB,
                  .max_burst = 16 * MIB - 4 * KIB },
        .connections = 1,
        .threads = 1,
        .seconds_ms = 5000,
        .warmup_ms = 1000,
};

enum { PHASE_WARMUP, PHASE_RECORD, PHASE_END };
static int phase; /* atomic */

/* ---- threads ---- */

static int watch(Thread *t, Initiator *i, int op)
{
        struct epoll_event event = { .events = EPOLLIN | (i->blocked ? EPOLLOUT : 0),
                                     .data.ptr = i };

        return epoll_ctl(t->epoll_fd, op, i->fd, &event) < 0 ? -errno : 0;
}

/* Receives and answers what there is; the next commands go out with the answers. */
static int serve(Thread *t, Initiator *i)
{
        int at = __atomic_load_n(&phase, __ATOMIC_RELAXED), r;
        bool was_blocked = i->blocked;
        uint64_t now;

        i->stopping = at == PHASE_END;
        r = initiator_receive(i, at == PHASE_RECORD, &now);
        if (r == 0 && (now != 0 || was_blocked || initiator_idle(i)))
                r = initiator_fill(i, now ? now : monotonic_now());
        if (r == 0 && i->blocked != was_blocked)
                r = watch(t, i, EPOLL_CTL_MOD);
        if (r < 0)
                t->error = i->error;
        return r;
}

/* Everything is answered, and nothing more will be asked. */
static bool finished(const Thread *t, bool stopping)
{
        for (unsigned k = 0; k < t->n; k++)
                if (!initiator_idle(&t->initiators[k]) || (!stopping && t->initiators[k].left > 0))
                        return false;
        return true;
}

static int start(Thread *t)
{
        int r = 0;

        t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (t->epoll_fd < 0)
                return -errno;
        for (unsigned k = 0; k < t->n && r == 0; k++) {
                t->initiators[k].scratch = t->scratch;
                r = watch(t, &t->initiators[k], EPOLL_CTL_ADD);
                if (r == 0)
                        r = serve(t, &t->initiators[k]);
        }
        return r;
}

static int turn(Thread *t)
{
        struct epoll_event events[EVENTS];
        int r = 0, n;

        if (options.spin) { /* never sleeps: its own wake-up is not part of the latency */
                for (unsigned k = 0; k < t->n && r == 0; k++)
                        r = serve(t, &t->initiators[k]);
                return r;
        }
        n = epoll_wait(t->epoll_fd, events, EVENTS, 1000);
        for (int k = 0; k < n && r == 0; k++)
                r = serve(t, events[k].data.ptr);
        return r;
}

static int thread_run(Thread *t)
{
        uint64_t deadline = 0;
        int r = start(t);

        /* until the last command is answered: a benchmark must not hide what got lost */
        while (r == 0) {
                bool stopping = __atomic_load_n(&phase, __ATOMIC_RELAXED) == PHASE_END;

                if (finished(t, stopping))
                        break;
                if (stopping && deadline == 0)
                        deadline = monotonic_now() + ANSWER_NS;
                if (stopping && monotonic_now() > deadline) {
                        t->error = "commands are not answered";
                        r = -ETIMEDOUT;
                        break;
                }
                r = turn(t);
        }
        (void)safe_close(t->epoll_fd);
        return r;
}

static void *thread_main(void *arg)
{
        Thread *t = arg;

        t->result = thread_run(t);
        return NULL;
}

static void join(Thread *threads)
{
        for (unsigned k = 0; k < options.threads; k++)
                if (!threads[k].joined)
                        threads[k].joined = pthread_join(threads[k].thread, NULL) == 0;
}

/* ---- result ---- */

typedef struct Result {
        Histogram latency;
        uint64_t done, bytes, retries, elapsed_ns;
        uint64_t least, most; /* commands of one connection */
        Cpu target, own;
        Params params;
} Result;

static double per_io(const Result *r, double ns)
{
        return r->done ? ns / 1000.0 / (double)r->done : 0;
}

static const char *json_bool(bool b)
{
        return b ? "true" : "false";
}

static void print_json(const Result *r, double seconds, double busy)
{
        const Params *p = &r->params;
        double cpu = per_io(r, (double)r->target.total_ns);

        (void)printf("{\"iops\": %.1f, \"mb_s\": %.2f, ", (double)r->done / seconds,
                     (double)r->bytes / seconds / 1e6);
        histogram_print_json(&r->latency);
        (void)printf(", \"cpu_us\": %.3f, \"cpu_user_us\": %.3f, \"cpu_system_us\": %.3f, "
                     "\"load_cpu_us\": %.3f, \"load_busy\": %.3f, ",
                     cpu, cpu * r->target.user, cpu * (1 - r->target.user),
                     per_io(r, (double)r->own.total_ns), busy);
        (void)printf("\"ios\": %llu, \"retries\": %llu, \"connection_iops\": [%.1f, %.1f], "
                     "\"negotiated\": {\"initial_r2t\": %s, \"immediate_data\": %s, "
                     "\"first_burst\": %u, \"max_burst\": %u, \"segment\": %u, "
                     "\"header_digest\": %s, \"data_digest\": %s}}\n",
                     (unsigned long long)r->done, (unsigned long long)r->retries,
                     (double)r->least / seconds, (double)r->most / seconds,
                     json_bool(p->initial_r2t), json_bool(p->immediate), p->first_burst,
                     p->max_burst, p->max_xmit, json_bool(p->header_digest),
                     json_bool(p->data_digest));
}

static void print_result(const Result *r)
{
        double seconds = (double)r->elapsed_ns / 1e9, cpu = per_io(r, (double)r->target.total_ns),
               busy = (double)r->own.total_ns / (double)r->elapsed_ns / options.threads;

        if (options.json) {
                print_json(r, seconds, busy);
                return;
        }
        (void)printf("%.0f IOPS  %.1f MB/s  %llu I/Os, %llu retried\n"
                     "latency us: mean %.1f  p50 %.1f  p99 %.1f  p99.9 %.1f  max %.1f\n",
                     (double)r->done / seconds, (double)r->bytes / seconds / 1e6,
                     (unsigned long long)r->done, (unsigned long long)r->retries,
                     r->latency.n ? (double)r->latency.sum_ns / (double)r->latency.n / 1e3 : 0,
                     (double)histogram_percentile(&r->latency, 50) / 1e3,
                     (double)histogram_percentile(&r->latency, 99) / 1e3,
                     (double)histogram_percentile(&r->latency, 99.9) / 1e3,
                     (double)r->latency.max_ns / 1e3);
        (void)printf("CPU us per I/O: target %.2f (user %.2f system %.2f)  load %.2f, its threads "
                     "are busy %.0f %% of the time\n",
                     cpu, cpu * r->target.user, cpu * (1 - r->target.user),
                     per_io(r, (double)r->own.total_ns), busy * 100);
}

/* Waits for the time that is asked for, or for a fill, as long as that takes. */
static void pass_time(Thread *threads)
{
        if (options.load.fill)
                join(threads);
        else
                (void)usleep(options.seconds_ms * 1000);
}

static int measure(Thread *threads, Result *ret)
{
        Cpu before = { 0 }, after = { 0 }, own_before, own_after;
        uint64_t start;
        int r;

        if (!options.load.fill)
                (void)usleep(options.warmup_ms * 1000);
        start = monotonic_now();
        r = cpu_read(getpid(), &own_before);
        if (options.pid && r == 0)
                r = cpu_read((pid_t)options.pid, &before);
        __atomic_store_n(&phase, PHASE_RECORD, __ATOMIC_RELAXED);
        pass_time(threads);
        __atomic_store_n(&phase, PHASE_END, __ATOMIC_RELAXED);
        ret->elapsed_ns = monotonic_now() - start;
        if (options.pid && r == 0)
                r = cpu_read((pid_t)options.pid, &after);
        if (r == 0)
                r = cpu_read(getpid(), &own_after);
        if (r < 0) {
                (void)fprintf(stderr, "bench-load: processor time of process %u: %s\n", options.pid,
                              strerror(-r));
                return r;
        }
        ret->target = cpu_between(&before, &after);
        ret->own = cpu_between(&own_before, &own_after);
        return 0;
}

static int start_threads(Thread *threads, Initiator *initiators)
{
        unsigned next = 0;

        for (unsigned k = 0; k < options.threads; k++) {
                unsigned n = (options.connections - next) / (options.threads - k);
                int r;

                threads[k] = (Thread){ .epoll_fd = -1,
                                       .initiators = &initiators[next],
                                       .n = n,
                                       .scratch = malloc(SCRATCH_SIZE) };
                next += n;
                if (!threads[k].scratch)
                        return -ENOMEM;
                r = -pthread_create(&threads[k].thread, NULL, thread_main, &threads[k]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void add_up(Result *ret, const Initiator *i)
{
        ret->least = min_u64(ret->least, i->done);
        ret->most = MAX(ret->most, i->done);
        ret->done += i->done;
        ret->bytes += i->bytes;
        ret->retries += i->retries;
        histogram_merge(&ret->latency, &i->latency);
        ret->params = i->params;
}

static int run(Thread *threads, Initiator *initiators, Result *ret)
{
        int r;

        for (unsigned k = 0; k < options.connections; k++) {
                r = initiator_open(&initiators[k], &options.load, k);
                if (r < 0) {
                        (void)fprintf(stderr, "bench-load: %s\n", initiators[k].error);
                        return r;
                }
        }
        r = start_threads(threads, initiators);
        if (r < 0) /* with threads that run: the process ends */
                return r;
        r = measure(threads, ret);
        join(threads);
        for (unsigned k = 0; k < options.threads; k++) {
                if (threads[k].result < 0) {
                        r = threads[k].result;
                        (void)fprintf(stderr, "bench-load: %s\n",
                                      threads[k].error ? threads[k].error : strerror(-r));
                }
                free(threads[k].scratch);
        }
        for (unsigned k = 0; k < options.connections; k++) {
                add_up(ret, &initiators[k]);
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
        { "fill", OPTION_FLAG, &options.load.fill,
          "write the whole unit once, as long as it takes" },
        { "segment", OPTION_SIZE, &options.load.segment,
          "SIZE: MaxRecvDataSegmentLength that is declared (256K)" },
        { "first-burst", OPTION_SIZE, &options.load.first_burst, "SIZE: offered (256K)" },
        { "max-burst", OPTION_SIZE, &options.load.max_burst, "SIZE: offered (16380K)" },
        { "initial-r2t", OPTION_FLAG, &options.load.initial_r2t, "no unsolicited Data-Out" },
        { "no-immediate", OPTION_FLAG, &options.load.no_immediate, "no immediate data" },
        { "header-digest", OPTION_FLAG, &options.load.header_digest, "CRC32C of headers" },
        { "data-digest", OPTION_FLAG, &options.load.data_digest, "CRC32C of data, also checked" },
        { "copy", OPTION_FLAG, &options.load.copy,
          "copy all that is read out of the kernel, as most initiators do" },
        { "spin", OPTION_FLAG, &options.spin, "poll, do not sleep until there is an answer" },
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
                (void)printf("  --%-14s %s\n", rows[i].name, rows[i].help);
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
            options.load.depth == 0 || options.load.io_bytes == 0 || options.load.port > 65535 ||
            options.load.read_percent > 100 || options.load.segment < 512 ||
            options.load.segment > SCRATCH_SIZE ||
            (options.load.fill && options.connections != 1)) {
                usage();
                return -EINVAL;
        }
        if (options.load.fill) {
                options.load.read_percent = 0;
                options.load.sequential = true;
        }
        options.threads = MIN(MAX(options.threads, 1U), options.connections);
        return 0;
}

int main(int argc, char *argv[])
{
        Initiator *initiators;
        Result result = { .least = UINT64_MAX };
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
