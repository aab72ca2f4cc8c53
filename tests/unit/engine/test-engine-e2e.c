/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include "engine/engine.h"
#include "engine/jobs.h"
#include "engine/loop-epoll.h"

/* The whole data path in one process: engine, iscsi, scsi and stores on one side, libiscsi on the
 * other. What the control plane does, the main thread does by hand. */

#define WORKERS 3
#define TARGET "iqn.2026-01.org.tgt1.test:e2e"
#define BLOCK 512
#define RAM_SIZE (64 * MIB)
#define LUN_RAM 1
#define LUN_FAULT 2

typedef struct World {
        JobPool *jobs;
        Loop *control;
        Engine *engine;
        GThread *thread;
        LoopTask pause_task;
        Store *stores[2];
        LogicalUnit *units[2];
        char portal[64];
        gint done;
        size_t n_infos;
        unsigned on[WORKERS];
        gint n_disconnects;
} World;

/* ---- the control plane ---- */

static void on_iscsi(void *userdata, const IscsiEvent *event)
{
        World *w = userdata;

        if (event->kind == ISCSI_EVENT_DISCONNECT || event->kind == ISCSI_EVENT_LOGOUT)
                g_atomic_int_inc(&w->n_disconnects);
}

static void on_done(void *userdata, int r)
{
        World *w = userdata;

        g_assert_cmpint(r, ==, 0);
        g_atomic_int_inc(&w->done);
}

static void on_stopped(void *userdata)
{
        World *w = userdata;

        g_atomic_int_inc(&w->done);
}

static void turn_until(World *w, gint done)
{
        gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;

        while (g_atomic_int_get(&w->done) < done) {
                g_assert_cmpint(g_get_monotonic_time(), <, end);
                epoll_loop_turn(w->control, false);
                g_usleep(200);
        }
        w->done = 0;
}

static gpointer control_main(gpointer data)
{
        World *w = data;

        epoll_loop_run(w->control);
        return NULL;
}

static void pause_run(LoopTask *task)
{
        epoll_loop_stop(CONTAINER_OF(task, World, pause_task)->control);
}

/* The control loop turns in a thread of its own while tests talk to the target, and in the main
 * thread when they talk to the engine. */
static void control_start(World *w)
{
        w->thread = g_thread_new("control", control_main, w);
}

static void control_pause(World *w)
{
        loop_post(w->control, &w->pause_task);
        (void)g_thread_join(w->thread);
}

static void on_sessions(void *userdata, const IscsiSessionInfo *sessions, size_t n)
{
        World *w = userdata;

        w->n_infos = n;
        memset(w->on, 0, sizeof(w->on));
        for (size_t i = 0; i < n; i++)
                w->on[sessions[i].worker]++;
        g_atomic_int_inc(&w->done);
}

static void count_sessions(World *w)
{
        control_pause(w);
        g_assert_cmpint(engine_sessions(w->engine, 0, SIZE_MAX, on_sessions, w), ==, 0);
        turn_until(w, 1);
        control_start(w);
}

/* ---- units and targets ---- */

static void open_unit(World *w, unsigned i, const char *type, const char *options)
{
        StoreSpec spec = { .type = type, .options = options, .size = RAM_SIZE };
        LuConfig config = {
                .name = type, .block_size = BLOCK, .max_transfer = 32768, .write_cache = true
        };
        StoreError error = { "" };

        if (store_open(&spec, &w->stores[i], &error) < 0)
                g_error("%s", error.text);
        config.identity.uuid[0] = config.identity.naa[15] = (uint8_t)(i + 1);
        config.identity.naa[0] = 0x60;
        config.identity.serial = i == 0 ? "serial0" : "serial1";
        g_strlcpy(config.identity.vendor, "TEST", sizeof(config.identity.vendor));
        g_strlcpy(config.identity.product, "DISK", sizeof(config.identity.product));
        g_assert_cmpint(
                lu_new(&config, w->stores[i], engine_coordinator(w->engine, i), &w->units[i]), ==,
                0);
}

static void publish(World *w)
{
        AddrPrefix everybody = { .family = AF_UNSPEC };
        LunMapEntry entries[] = { { LUN_RAM, w->units[0] }, { LUN_FAULT, w->units[1] } };
        IscsiTargetConfig config = { .name = TARGET,
                                     .tpgt = 1,
                                     .id = 1,
                                     .online = true,
                                     .acl = { .addresses = &everybody, .n_addresses = 1 } };
        IscsiMapConfig map_config = { .n_targets = 1 };
        IscsiTarget *target;
        IscsiMap *map;

        iscsi_params_default(&config.params);
        g_assert_cmpint(lun_map_new(entries, ELEMENTSOF(entries), &config.luns), ==, 0);
        g_assert_cmpint(iscsi_target_new(&config, &target), ==, 0);
        map_config.targets = &target;
        g_assert_cmpint(iscsi_map_new(&map_config, &map), ==, 0);
        g_assert_cmpint(engine_publish(w->engine, map, on_done, w), ==, 0);
        turn_until(w, 1);
        (void)iscsi_map_unref(map);
        (void)iscsi_target_unref(target);
        (void)lun_map_unref(config.luns);
}

static void listen_somewhere(World *w)
{
        SockAddr a = { .in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
        socklen_t len = sizeof(a);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        g_assert_cmpint(bind(fd, &a.sa, sizeof(a.in)), ==, 0);
        g_assert_cmpint(listen(fd, 256), ==, 0);
        g_assert_cmpint(getsockname(fd, &a.sa, &len), ==, 0);
        g_assert_cmpint(engine_listen(w->engine, fd), ==, 0);
        (void)sockaddr_format(&a, true, w->portal);
}

static void world_new(World *w, gconstpointer data)
{
        static const EngineEvents events = { .iscsi = on_iscsi };
        EngineConfig config;

        *w = (World){ .pause_task.run = pause_run };
        g_assert_cmpint(jobs_new(1, NSEC_PER_SEC, &w->jobs), ==, 0);
        g_assert_cmpint(epoll_loop_new(99, w->jobs, &w->control), ==, 0);
        engine_config_default(&config);
        config.workers = WORKERS;
        g_assert_cmpint(engine_new(&config, w->control, &events, w, &w->engine), ==, 0);
        open_unit(w, 0, "ram", NULL);
        open_unit(w, 1, "fault", "store=ram");
        publish(w);
        listen_somewhere(w);
        control_start(w);
}

static void on_retired(LuChange *change)
{
        *(gint *)(change + 1) = 1;
}

static void world_free(World *w, gconstpointer data)
{
        struct {
                LuChange change;
                gint done;
        } retire;

        control_pause(w);
        w->done = 0;
        engine_stop(w->engine, 10 * NSEC_PER_SEC, on_stopped, w);
        turn_until(w, 1);
        for (unsigned i = 0; i < ELEMENTSOF(w->units); i++) {
                retire.change = (LuChange){ .kind = LU_CHANGE_RETIRE,
                                            .origin = w->control,
                                            .done = on_retired };
                retire.done = 0;
                lu_change(w->units[i], &retire.change);
                while (!retire.done) {
                        epoll_loop_turn(w->control, false);
                        g_usleep(200);
                }
                w->units[i] = lu_unref(w->units[i]);
                w->stores[i] = store_unref(w->stores[i]);
        }
        w->engine = engine_free(w->engine);
        epoll_loop_turn(w->control, false);
        g_assert_cmpint(jobs_free(w->jobs, NSEC_PER_SEC), ==, 0);
        w->control = epoll_loop_free(w->control);
}

/* ---- the initiator ---- */

static struct iscsi_context *try_log_in(World *w, const char *name, int lun)
{
        struct iscsi_context *iscsi = iscsi_create_context(name);

        (void)iscsi_set_targetname(iscsi, TARGET);
        (void)iscsi_set_session_type(iscsi, ISCSI_SESSION_NORMAL);
        (void)iscsi_set_isid_en(iscsi, 42, 1);
        (void)iscsi_set_noautoreconnect(iscsi, 1);
        (void)iscsi_set_timeout(iscsi, 20);
        if (iscsi_full_connect_sync(iscsi, w->portal, lun) != 0) {
                g_test_message("%s", iscsi_get_error(iscsi));
                (void)iscsi_destroy_context(iscsi);
                return NULL;
        }
        return iscsi;
}

static struct iscsi_context *log_in(World *w, const char *name, int lun)
{
        struct iscsi_context *iscsi = try_log_in(w, name, lun);

        g_assert_nonnull(iscsi);
        return iscsi;
}

/* Takes the unit attentions that wait for this nexus. */
static void take_attentions(struct iscsi_context *iscsi, int lun)
{
        for (unsigned i = 0; i < 5; i++) {
                struct scsi_task *task = iscsi_testunitready_sync(iscsi, lun);
                int status;

                g_assert_nonnull(task);
                status = task->status;
                scsi_free_scsi_task(task);
                if (status == SCSI_STATUS_GOOD)
                        return;
        }
        g_assert_not_reached();
}

static void log_out(struct iscsi_context *iscsi)
{
        g_assert_cmpint(iscsi_logout_sync(iscsi), ==, 0);
        (void)iscsi_destroy_context(iscsi);
}

/* Every block says where it is, in which round it was written, and by whom. */
static void fill(uint8_t *p, size_t n, uint64_t lba, uint64_t round)
{
        for (size_t i = 0; i < n; i += 16, lba += i % BLOCK == 0) {
                uint64_t words[2] = { lba * 1000003 + i, round * UINT64_C(0x9e3779b97f4a7c15) };

                memcpy(p + i, words, sizeof(words));
        }
}

static void write_blocks(struct iscsi_context *iscsi, int lun, uint64_t lba, uint32_t bytes,
                         uint64_t round)
{
        g_autofree uint8_t *data = g_malloc(bytes);
        struct scsi_task *task;

        fill(data, bytes, lba, round);
        task = iscsi_write16_sync(iscsi, lun, lba, data, bytes, BLOCK, 0, 0, 0, 0, 0);
        g_assert_nonnull(task);
        g_assert_cmpint(task->status, ==, SCSI_STATUS_GOOD);
        scsi_free_scsi_task(task);
}

static void check_blocks(struct iscsi_context *iscsi, int lun, uint64_t lba, uint32_t bytes,
                         uint64_t round)
{
        g_autofree uint8_t *want = g_malloc(bytes);
        struct scsi_task *task;

        fill(want, bytes, lba, round);
        task = iscsi_read16_sync(iscsi, lun, lba, bytes, BLOCK, 0, 0, 0, 0, 0);
        g_assert_nonnull(task);
        g_assert_cmpint(task->status, ==, SCSI_STATUS_GOOD);
        g_assert_cmpint(task->datain.size, ==, (int)bytes);
        g_assert_cmpint(memcmp(task->datain.data, want, bytes), ==, 0);
        scsi_free_scsi_task(task);
}

/* ---- tests ---- */

static void test_read_write(World *w, gconstpointer data)
{
        static const uint32_t sizes[] = { 512,    1024,         4096,    8192 + 512, 65536,
                                          131072, 262144 + 512, 1048576, 4194304 };

        for (int lun = LUN_RAM; lun <= LUN_FAULT; lun++) {
                struct iscsi_context *iscsi = log_in(w, "iqn.test:rw", lun);
                uint64_t lba = 3;

                for (unsigned i = 0; i < ELEMENTSOF(sizes); i++) {
                        write_blocks(iscsi, lun, lba, sizes[i], i);
                        lba += sizes[i] / BLOCK;
                }
                lba = 3;
                for (unsigned i = 0; i < ELEMENTSOF(sizes); i++) {
                        check_blocks(iscsi, lun, lba, sizes[i], i);
                        lba += sizes[i] / BLOCK;
                }
                log_out(iscsi);
        }
}

/* 100 at once: each in its own place, spread evenly over the workers, and gone afterwards. */
static void test_many_sessions(World *w, gconstpointer data)
{
        enum { N = 100, BYTES = 65536 };
        struct iscsi_context *iscsi[N];

        for (unsigned i = 0; i < N; i++) {
                g_autofree char *name = g_strdup_printf("iqn.test:many%u", i);

                iscsi[i] = log_in(w, name, LUN_RAM);
        }
        count_sessions(w);
        g_assert_cmpuint(w->n_infos, ==, N);
        for (unsigned i = 0; i < WORKERS; i++)
                g_assert_cmpuint(w->on[i], >=, N / WORKERS);
        for (unsigned i = 0; i < N; i++)
                write_blocks(iscsi[i], LUN_RAM, i * (BYTES / BLOCK), BYTES, i);
        for (unsigned i = 0; i < N; i++)
                check_blocks(iscsi[(i + 1) % N], LUN_RAM, i * (BYTES / BLOCK), BYTES, i);
        for (unsigned i = 0; i < N; i++)
                log_out(iscsi[i]);
        for (unsigned i = 0; engine_n_sessions(w->engine) > 0; i++) {
                g_assert_cmpuint(i, <, 5000);
                g_usleep(1000);
        }
}

/* The same initiator port again and again: the new session works, the old one is over. */
static void test_reinstatement(World *w, gconstpointer data)
{
        struct iscsi_context *old = NULL;

        for (unsigned i = 0; i < 20; i++) {
                struct iscsi_context *iscsi = log_in(w, "iqn.test:again", LUN_RAM);

                g_assert_cmpuint(engine_n_sessions(w->engine), ==, 1);
                write_blocks(iscsi, LUN_RAM, 8, 8192, i);
                if (old) {
                        struct scsi_task *task = iscsi_testunitready_sync(old, LUN_RAM);

                        g_assert_true(!task || task->status != SCSI_STATUS_GOOD);
                        if (task)
                                scsi_free_scsi_task(task);
                        (void)iscsi_destroy_context(old);
                }
                check_blocks(iscsi, LUN_RAM, 8, 8192, i);
                old = iscsi;
        }
        log_out(old);
}

typedef struct Killer {
        World *w;
        unsigned number;
} Killer;

static void ignore_result(struct iscsi_context *iscsi, int status, void *command_data,
                          void *private_data)
{
        scsi_free_scsi_task(command_data);
}

/* Logs in, has writes in flight, and vanishes, many times over. */
static gpointer killer_main(gpointer data)
{
        const Killer *k = data;
        g_autofree char *name = g_strdup_printf("iqn.test:kill%u", k->number);
        g_autofree uint8_t *bytes = g_malloc0(262144);
        struct linger reset = { .l_onoff = 1, .l_linger = 0 };

        for (unsigned i = 0; i < 25; i++) {
                struct iscsi_context *iscsi = try_log_in(k->w, name, LUN_RAM);
                struct pollfd p;

                g_assert_nonnull(iscsi);
                for (unsigned n = 0; n < 16; n++) {
                        uint64_t lba = 4096 + (k->number * 16 + n) * 512;

                        if (n & 1)
                                (void)iscsi_write16_task(iscsi, LUN_RAM, lba, bytes, 262144, BLOCK,
                                                         0, 0, 0, 0, 0, ignore_result, NULL);
                        else
                                (void)iscsi_read16_task(iscsi, LUN_RAM, lba, 262144, BLOCK, 0, 0, 0,
                                                        0, 0, ignore_result, NULL);
                }
                for (unsigned n = 0; n < i % 5; n++) {
                        p = (struct pollfd){ .fd = iscsi_get_fd(iscsi),
                                             .events = (short)iscsi_which_events(iscsi) };
                        (void)poll(&p, 1, 100);
                        (void)iscsi_service(iscsi, p.revents);
                }
                if (i & 1)
                        (void)setsockopt(iscsi_get_fd(iscsi), SOL_SOCKET, SO_LINGER, &reset,
                                         sizeof(reset));
                (void)iscsi_destroy_context(iscsi);
        }
        return NULL;
}

static void test_kill_under_load(World *w, gconstpointer data)
{
        enum { KILLERS = 4 };
        struct iscsi_context *iscsi = log_in(w, "iqn.test:witness", LUN_RAM);
        Killer killers[KILLERS];
        GThread *threads[KILLERS];

        for (unsigned i = 0; i < KILLERS; i++) {
                killers[i] = (Killer){ w, i };
                threads[i] = g_thread_new("killer", killer_main, &killers[i]);
        }
        for (unsigned i = 0; i < 50; i++) {
                write_blocks(iscsi, LUN_RAM, 16, 65536, i);
                check_blocks(iscsi, LUN_RAM, 16, 65536, i);
        }
        for (unsigned i = 0; i < KILLERS; i++)
                (void)g_thread_join(threads[i]);
        for (unsigned i = 0; engine_n_sessions(w->engine) > 1; i++) {
                g_assert_cmpuint(i, <, 10000);
                g_usleep(1000);
        }
        check_blocks(iscsi, LUN_RAM, 16, 65536, 49);
        log_out(iscsi);
}

static void configure_fault(World *w, const char *options)
{
        StoreError error = { "" };

        if (store_configure(w->stores[1], options, &error) < 0)
                g_error("%s", error.text);
}

typedef struct Hung {
        bool over;
        int status;
} Hung;

static void hung_over(struct iscsi_context *iscsi, int status, void *command_data,
                      void *private_data)
{
        Hung *h = private_data;

        h->over = true;
        h->status = status;
        scsi_free_scsi_task(command_data);
}

/* A store that hangs: the reset of its LUN is answered, other LUNs of the same session work, a
 * logout works, and when the store comes back so does the LUN. */
static void test_hung_store(World *w, gconstpointer data)
{
        struct iscsi_context *iscsi = log_in(w, "iqn.test:hung", LUN_FAULT), *other;
        uint8_t block[BLOCK] = { 1 };
        gint64 begin;
        Hung h = { 0 };

        take_attentions(iscsi, LUN_RAM);
        write_blocks(iscsi, LUN_FAULT, 0, 4096, 1);
        configure_fault(w, "hang=write");
        g_assert_nonnull(iscsi_write16_task(iscsi, LUN_FAULT, 100, block, BLOCK, BLOCK, 0, 0, 0, 0,
                                            0, hung_over, &h));
        for (unsigned i = 0; i < 20; i++) {
                struct pollfd p = { .fd = iscsi_get_fd(iscsi),
                                    .events = (short)iscsi_which_events(iscsi) };

                if (poll(&p, 1, 10) > 0)
                        g_assert_cmpint(iscsi_service(iscsi, p.revents), ==, 0);
        }
        g_assert_false(h.over);
        /* the other LUN of the session, and the hung one for reads elsewhere */
        write_blocks(iscsi, LUN_RAM, 0, 4096, 2);
        check_blocks(iscsi, LUN_RAM, 0, 4096, 2);
        check_blocks(iscsi, LUN_FAULT, 0, 4096, 1);
        begin = g_get_monotonic_time();
        g_assert_cmpint(iscsi_task_mgmt_lun_reset_sync(iscsi, LUN_FAULT), ==, 0);
        g_assert_cmpint(g_get_monotonic_time() - begin, <, 2 * G_USEC_PER_SEC);
        /* another session is not held up either, and the logout of this one is not */
        other = log_in(w, "iqn.test:other", LUN_RAM);
        check_blocks(other, LUN_RAM, 0, 4096, 2);
        (void)iscsi_scsi_cancel_all_tasks(iscsi);
        log_out(iscsi);
        for (unsigned i = 0; engine_n_sessions(w->engine) > 1; i++) {
                g_assert_cmpuint(i, <, 5000);
                g_usleep(1000);
        }
        configure_fault(w, "hang=none");
        take_attentions(other, LUN_FAULT);
        write_blocks(other, LUN_FAULT, 100, 4096, 3);
        check_blocks(other, LUN_FAULT, 100, 4096, 3);
        log_out(other);
}

#define ADD(name, test) g_test_add("/e2e/" name, World, NULL, world_new, test, world_free)

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        ADD("read-write", test_read_write);
        ADD("many-sessions", test_many_sessions);
        ADD("reinstatement", test_reinstatement);
        ADD("kill-under-load", test_kill_under_load);
        ADD("hung-store", test_hung_store);
        return g_test_run();
}
