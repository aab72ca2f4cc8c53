/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/jobs.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/list.h"

#define JOB_STACK (512 * KIB)
/* Jobs in a row that did not sleep: one thread per lane will do. */
#define AWAKE_ENOUGH 8
/* Of the last 16 jobs so many slept: it will not. */
#define SLEEPERS_MANY 4
/* So often it is tried out. Alone, because threads that wait for each other sleep, too. */
#define TRY_NS (100 * NSEC_PER_MSEC)

struct JobPool {
        pthread_mutex_t lock;
        pthread_cond_t changed; /* for jobs_free(): a thread ended or a completion was posted */
        LoopLane *first, *last; /* lanes with n_queued > 0 and n_running < max, and only those */
        List idle;              /* of IdleThread, latest first: it is the one still in the cache */
        unsigned max, n_threads, n_running, n_posting;
        uint64_t idle_ns;
        uint64_t n_begun; /* jobs */
        bool serial;      /* jobs do not sleep: one thread per lane */
        bool trying;      /* whether that is so: as serial */
        unsigned n_awake; /* jobs in a row that ran alone and did not sleep */
        uint16_t slept;   /* serial: one bit for each of the last 16 jobs */
        uint64_t try_at;  /* not serial: when to try */
        bool waking;      /* a thread was woken or made and has not looked yet; it wakes the next */
        bool stopping, abandoned;
        cpu_set_t cpus; /* that threads may run on */
};

typedef struct IdleThread {
        List link;
        pthread_cond_t wake;
        bool woken;
} IdleThread;

static bool lane_ready(const LoopLane *lane)
{
        return lane->n_queued > 0 && lane->n_running < MAX(lane->max, 1U);
}

static void ready_append(JobPool *pool, LoopLane *lane)
{
        lane->next_lane = NULL;
        if (pool->last)
                pool->last->next_lane = lane;
        else
                pool->first = lane;
        pool->last = lane;
}

static void ready_remove(JobPool *pool, LoopLane *prev, LoopLane *lane)
{
        if (prev)
                prev->next_lane = lane->next_lane;
        else
                pool->first = lane->next_lane;
        if (pool->last == lane)
                pool->last = prev;
        lane->next_lane = NULL;
}

static bool one_per_lane(const JobPool *pool)
{
        return pool->serial || pool->trying;
}

/* The next lane's turn: the first that has no thread, or else the first. NULL: none, or the threads
 * that are left are for lanes that have none. */
static LoopLane *ready_find(const JobPool *pool, bool only_without, LoopLane **ret_prev)
{
        bool reserved = pool->n_running >= pool->max - pool->max / 4;
        LoopLane *prev = NULL;

        for (LoopLane *lane = pool->first; lane; prev = lane, lane = lane->next_lane)
                if (lane->n_running == 0) {
                        *ret_prev = prev;
                        return lane;
                }
        *ret_prev = NULL;
        return reserved || only_without ? NULL : pool->first;
}

/* ---- do jobs sleep? ---- */

static void go_parallel(JobPool *pool, uint64_t now)
{
        pool->serial = pool->trying = false;
        pool->n_awake = 0;
        pool->try_at = now + TRY_NS;
}

static void job_sample(JobPool *pool, bool alone, bool slept, uint64_t now)
{
        if (pool->serial) {
                pool->slept = (uint16_t)(pool->slept << 1 | slept);
                if (__builtin_popcount(pool->slept) >= SLEEPERS_MANY)
                        go_parallel(pool, now);
        } else if (alone && slept) {
                go_parallel(pool, now);
        } else if (alone && ++pool->n_awake >= AWAKE_ENOUGH) {
                pool->serial = true;
                pool->trying = false;
                pool->slept = 0;
        } else if (now >= pool->try_at) {
                pool->trying = true;
        }
}

/* Voluntary context switches of this thread so far: being preempted is not sleep. */
static long switches(void)
{
        struct rusage usage;

        return getrusage(RUSAGE_THREAD, &usage) < 0 ? 0 : usage.ru_nvcsw;
}

/* ---- lanes ---- */

static LoopJob *job_take(JobPool *pool, LoopLane **ret_lane)
{
        LoopLane *prev, *lane = ready_find(pool, one_per_lane(pool), &prev);
        LoopJob *job;

        if (!lane)
                return NULL;
        ready_remove(pool, prev, lane);
        job = lane->first;
        lane->first = job->next;
        if (!lane->first)
                lane->last = NULL;
        job->next = NULL;
        lane->n_queued--;
        lane->n_running++;
        pool->n_running++;
        pool->n_begun++;
        if (lane_ready(lane))
                ready_append(pool, lane);
        *ret_lane = lane;
        return job;
}

static void lane_finished(JobPool *pool, LoopLane *lane)
{
        bool was_ready = lane_ready(lane);

        lane->n_running--;
        pool->n_running--;
        if (!was_ready && lane_ready(lane))
                ready_append(pool, lane);
}

static void deadline_in(uint64_t ns, struct timespec *ret)
{
        uint64_t at = monotonic_now() + ns;

        ret->tv_sec = (time_t)(at / NSEC_PER_SEC);
        ret->tv_nsec = (long)(at % NSEC_PER_SEC);
}

static int monotonic_cond_init(pthread_cond_t *cond)
{
        pthread_condattr_t attr;
        int r;

        r = pthread_condattr_init(&attr);
        if (r != 0)
                return -r;
        r = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        if (r == 0)
                r = pthread_cond_init(cond, &attr);
        (void)pthread_condattr_destroy(&attr);
        return -r;
}

/* Under the lock. false: the thread is to end. The first thread stays, so that there is always one
 * even when no other can be made. */
static bool thread_wait(JobPool *pool, IdleThread *idle)
{
        struct timespec until;
        int r = 0;

        if (pool->stopping)
                return false;
        deadline_in(pool->idle_ns, &until);
        idle->woken = false;
        list_prepend(&pool->idle, &idle->link);
        while (!idle->woken && !pool->stopping && r != ETIMEDOUT) {
                if (pool->n_threads == 1) {
                        (void)pthread_cond_wait(&idle->wake, &pool->lock);
                        continue;
                }
                r = pthread_cond_timedwait(&idle->wake, &pool->lock, &until);
        }
        list_remove(&idle->link);
        if (idle->woken) {
                pool->waking = false;
                return true;
        }
        return !pool->stopping && pool->n_threads == 1;
}

static void *job_thread(void *arg);

/* Threads of the data plane take no signals. */
static int thread_create(JobPool *pool)
{
        sigset_t all, old;
        pthread_attr_t attr;
        pthread_t thread;
        int r;

        r = pthread_attr_init(&attr);
        if (r != 0)
                return -r;
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        (void)pthread_attr_setstacksize(&attr, JOB_STACK);
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &old);
        r = pthread_create(&thread, &attr, job_thread, pool);
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
        (void)pthread_attr_destroy(&attr);
        return -r;
}

/* Under the lock: one thread more, if there is something to take and somebody to take it. One at a
 * time: each that comes wakes the next while there is more. */
static void wake_one(JobPool *pool)
{
        IdleThread *idle;
        LoopLane *prev;

        if (pool->waking || pool->stopping || !ready_find(pool, one_per_lane(pool), &prev))
                return;
        idle = LIST_FIRST(&pool->idle, IdleThread, link);
        if (idle) {
                list_remove(&idle->link);
                idle->woken = true;
                pool->waking = true;
                (void)pthread_cond_signal(&idle->wake);
        } else if (pool->n_threads < pool->max) {
                pool->n_threads++;
                pool->waking = true;
                if (thread_create(pool) < 0) {
                        /* those that there are take it in their turn */
                        pool->n_threads--;
                        pool->waking = false;
                }
        }
}

/* Under the lock: job is over, and its completion is this thread's to post, without the lock. NULL:
 * jobs_free() gave up, and the origin may be gone. */
static LoopJob *begin_post(JobPool *pool, LoopJob *job)
{
        if (pool->abandoned)
                return NULL;
        pool->n_posting++;
        return job;
}

static void end_post(JobPool *pool)
{
        pool->n_posting--;
        if (pool->stopping)
                (void)pthread_cond_broadcast(&pool->changed);
}

static void thread_ended(JobPool *pool)
{
        bool last = --pool->n_threads == 0 && pool->abandoned;

        (void)pthread_cond_broadcast(&pool->changed);
        (void)pthread_mutex_unlock(&pool->lock);
        if (last)
                free(pool);
}

/* Under the lock, which it drops while it posts what is over and works. */
static LoopJob *job_run(JobPool *pool, LoopLane *lane, LoopJob *job, LoopJob *over)
{
        bool alone = job && lane->n_running == 1, slept = false;
        long before;

        wake_one(pool);
        (void)pthread_mutex_unlock(&pool->lock);
        if (over)
                loop_post(over->origin, &over->task);
        if (job) {
                before = switches();
                job->work(job);
                slept = switches() != before;
        }
        (void)pthread_mutex_lock(&pool->lock);
        if (over)
                end_post(pool);
        if (!job)
                return NULL;
        job_sample(pool, alone && lane->n_running == 1, slept, monotonic_now());
        /* before done(): its owner may free the lane */
        lane_finished(pool, lane);
        return begin_post(pool, job);
}

static void *job_thread(void *arg)
{
        JobPool *pool = arg;
        IdleThread idle = { 0 };
        LoopJob *job, *over = NULL;
        LoopLane *lane = NULL;

        (void)pthread_setname_np(pthread_self(), "tgt-job");
        /* the worker that made it may be bound (engine/placement.h) */
        (void)sched_setaffinity(0, sizeof(pool->cpus), &pool->cpus);
        (void)pthread_mutex_lock(&pool->lock);
        pool->waking = false;
        if (monotonic_cond_init(&idle.wake) < 0) {
                thread_ended(pool);
                return NULL;
        }
        for (;;) {
                job = job_take(pool, &lane);
                if (job || over)
                        over = job_run(pool, lane, job, over);
                else if (!thread_wait(pool, &idle))
                        break;
        }
        (void)pthread_cond_destroy(&idle.wake);
        thread_ended(pool);
        return NULL;
}

int jobs_new(unsigned max, uint64_t idle_ns, JobPool **ret)
{
        JobPool *pool = calloc(1, sizeof(*pool));
        int r;

        if (!pool)
                return -ENOMEM;
        pool->max = MAX(max, 1U);
        pool->idle_ns = idle_ns;
        (void)sched_getaffinity(0, sizeof(pool->cpus), &pool->cpus);
        list_init(&pool->idle);
        r = monotonic_cond_init(&pool->changed);
        if (r < 0)
                goto no_cond;
        r = -pthread_mutex_init(&pool->lock, NULL);
        if (r < 0)
                goto no_mutex;
        pool->n_threads = 1;
        r = thread_create(pool);
        if (r < 0)
                goto no_thread;
        *ret = pool;
        return 0;

no_thread:
        (void)pthread_mutex_destroy(&pool->lock);
no_mutex:
        (void)pthread_cond_destroy(&pool->changed);
no_cond:
        free(pool);
        return r;
}

int jobs_free(JobPool *pool, uint64_t timeout_ns)
{
        struct timespec until;
        int r = 0;

        if (!pool)
                return 0;
        deadline_in(timeout_ns, &until);
        (void)pthread_mutex_lock(&pool->lock);
        pool->stopping = true;
        LIST_FOREACH (idle, &pool->idle, IdleThread, link)
                (void)pthread_cond_signal(&idle->wake);
        while (pool->n_threads > 0 && r != ETIMEDOUT)
                r = pthread_cond_timedwait(&pool->changed, &pool->lock, &until);
        if (pool->n_threads > 0) {
                pool->abandoned = true;
                while (pool->n_posting > 0)
                        (void)pthread_cond_wait(&pool->changed, &pool->lock);
                (void)pthread_mutex_unlock(&pool->lock);
                return -ETIMEDOUT; /* the last thread frees the pool */
        }
        (void)pthread_mutex_unlock(&pool->lock);
        (void)pthread_mutex_destroy(&pool->lock);
        (void)pthread_cond_destroy(&pool->changed);
        free(pool);
        return 0;
}

static void job_done(LoopTask *task)
{
        LoopJob *job = CONTAINER_OF(task, LoopJob, task);

        job->done(job);
}

void jobs_queue(JobPool *pool, LoopLane *lane, LoopJob *job, Loop *origin)
{
        bool was_ready;

        job->origin = origin;
        job->task.run = job_done;
        job->next = NULL;
        (void)pthread_mutex_lock(&pool->lock);
        was_ready = lane_ready(lane);
        if (lane->last)
                lane->last->next = job;
        else
                lane->first = job;
        lane->last = job;
        lane->n_queued++;
        if (!was_ready && lane_ready(lane))
                ready_append(pool, lane);
        (void)pthread_mutex_unlock(&pool->lock);
}

/* Under the lock: is there something that another thread could take? */
static bool waits(const JobPool *pool)
{
        LoopLane *prev;

        return ready_find(pool, false, &prev);
}

bool jobs_kick(JobPool *pool, uint64_t *ret_begun)
{
        LoopLane *lane, *prev;
        bool more;

        (void)pthread_mutex_lock(&pool->lock);
        wake_one(pool);
        lane = ready_find(pool, false, &prev);
        /* more than what the thread takes that is on its way */
        more = lane && (!pool->waking || lane->n_queued > 1 || pool->first != pool->last);
        *ret_begun = pool->n_begun;
        (void)pthread_mutex_unlock(&pool->lock);
        return more;
}

bool jobs_check(JobPool *pool, uint64_t *begun)
{
        bool more;

        (void)pthread_mutex_lock(&pool->lock);
        more = waits(pool);
        if (more && pool->n_begun == *begun) {
                go_parallel(pool, monotonic_now());
                wake_one(pool);
        }
        *begun = pool->n_begun;
        (void)pthread_mutex_unlock(&pool->lock);
        return more;
}

void jobs_wake(JobPool *pool)
{
        (void)pthread_mutex_lock(&pool->lock);
        if (waits(pool))
                go_parallel(pool, monotonic_now());
        wake_one(pool);
        (void)pthread_mutex_unlock(&pool->lock);
}

unsigned jobs_threads(JobPool *pool)
{
        unsigned n;

        (void)pthread_mutex_lock(&pool->lock);
        n = pool->n_threads;
        (void)pthread_mutex_unlock(&pool->lock);
        return n;
}

bool jobs_idle(JobPool *pool)
{
        bool idle;

        (void)pthread_mutex_lock(&pool->lock);
        idle = !pool->first && pool->n_running == 0 && pool->n_posting == 0;
        (void)pthread_mutex_unlock(&pool->lock);
        return idle;
}
