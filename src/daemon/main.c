/* SPDX-License-Identifier: GPL-2.0-or-later */

/* tgtd: the control thread. Everything it does it does for events; the work is the manager's. */

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "bus/bus.h"
#include "daemon/journal.h"
#include "daemon/manager.h"
#include "daemon/notify.h"
#include "daemon/options.h"

#define STATUS_DELAY (250 * NSEC_PER_MSEC)
#define SETTLE_TIME (3 * NSEC_PER_SEC)
#define CLOSE_TIME (2 * NSEC_PER_SEC)
#define FLUSH_USEC UINT64_C(500000)

typedef struct Daemon {
        Options options;
        PassedSockets passed;
        sd_event *event;
        EventLoop *loop;
        Manager *manager;
        BusServer *bus;
        LoopTimer status_timer;
        LoopTask quit_task;
        char *status; /* as told last */
        int control_lock;
        bool ready, stopping;
        int exit_code;
} Daemon;

/* ---- telling the service manager ------------------------------------------------------------- */

static void on_status(LoopTimer *timer)
{
        Daemon *d = CONTAINER_OF(timer, Daemon, status_timer);
        char *status;

        if (!d->ready || d->stopping)
                return;
        status = manager_status(d->manager);
        if (g_strcmp0(status, d->status) != 0)
                notify_status(status);
        g_free(d->status);
        d->status = status;
}

static void on_changed(void *userdata)
{
        Daemon *d = userdata;

        if (!d->status_timer.at)
                loop_timer_in(event_loop(d->loop), &d->status_timer, STATUS_DELAY);
}

/* ---- stopping -------------------------------------------------------------------------------- */

static void on_stopped(void *userdata)
{
        Daemon *d = userdata;

        if (d->bus)
                bus_server_flush(d->bus, FLUSH_USEC);
        (void)sd_event_exit(d->event, d->exit_code);
}

static void daemon_stop(Daemon *d)
{
        if (d->stopping) { /* asked twice: somebody is in a hurry */
                (void)sd_event_exit(d->event, 1);
                return;
        }
        d->stopping = true;
        notify_stopping();
        log_send(LOG_INFO, MSG_STOPPING, NULL, 0, "Stopping.");
        manager_stop(d->manager, on_stopped, d);
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        daemon_stop(userdata);
        return 0;
}

/* From within a call, which is to be answered first. */
static void on_quit_task(LoopTask *task)
{
        daemon_stop(CONTAINER_OF(task, Daemon, quit_task));
}

static void on_quit(void *userdata)
{
        Daemon *d = userdata;

        if (d->stopping || d->quit_task.run)
                return;
        d->quit_task.run = on_quit_task;
        loop_defer(event_loop(d->loop), &d->quit_task);
}

/* ---- reloading ------------------------------------------------------------------------------- */

static void on_reloaded(const EditResult *result, void *userdata)
{
        Daemon *d = userdata;
        char *status;

        if (d->stopping)
                return;
        status = manager_status(d->manager);
        notify_ready(status);
        g_free(d->status);
        d->status = status;
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        Daemon *d = userdata;
        Caller caller = { .uid = si->ssi_uid, .pid = (pid_t)si->ssi_pid, .name = "SIGHUP" };
        EditOptions options = { 0 };

        if (!d->ready || d->stopping)
                return 0;
        notify_reloading();
        manager_reload(d->manager, &caller, &options, on_reloaded, d, NULL);
        return 0;
}

/* ---- starting -------------------------------------------------------------------------------- */

static void log_portals(const Daemon *d)
{
        PortalInfo portals[64];
        size_t n = manager_portals(d->manager, portals, ELEMENTSOF(portals));

        for (size_t i = 0; i < n; i++)
                log_info("Listening on %s (%s).", portals[i].address, portals[i].source);
}

static void on_bus_report(void *userdata, int priority, const char *text)
{
        log_full(priority, "%s", text);
}

static int open_control(Daemon *d)
{
        g_autofree char *folder = g_path_get_dirname(d->options.control_socket);
        char text[512];
        int fd = take_fd(&d->passed.control), r;

        if (fd < 0) {
                if (g_mkdir_with_parents(folder, 0755) < 0) {
                        log_error("%s: %s", folder, strerror(errno));
                        return -errno;
                }
                fd = socket_listen_control(d->options.control_socket, &d->control_lock, text,
                                           sizeof(text));
                if (fd < 0) {
                        log_error("%s.", text);
                        return fd;
                }
        }
        r = bus_server_listen(d->bus, fd);
        if (r < 0)
                safe_close(fd);
        return r;
}

static int open_server(Daemon *d)
{
        int r;

        r = bus_server_new(d->manager, d->event, &d->bus);
        if (r < 0)
                return r;
        bus_server_set_report(d->bus, on_bus_report, d);
        return open_control(d);
}

/* Only when we serve: who is started by a call on the bus is active once it has the name. */
static void open_bus(Daemon *d)
{
        if (!d->options.bus || bus_server_connect(d->bus, d->options.bus) >= 0)
                return;
        log_error("--bus=%s: expected none, system, session or a D-Bus address", d->options.bus);
        d->exit_code = 1;
        daemon_stop(d);
}

static void on_started(const EditResult *result, void *userdata)
{
        Daemon *d = userdata;

        if (d->stopping)
                return;
        if (result->error.name) {
                log_error("%s.", result->error.text);
                d->exit_code = 1;
                daemon_stop(d);
                return;
        }
        d->ready = true;
        d->status = manager_status(d->manager);
        log_portals(d);
        log_send(LOG_INFO, MSG_STARTED, NULL, 0, "%s.", d->status);
        notify_ready(d->status);
        open_bus(d);
}

static int open_manager(Daemon *d)
{
        const Options *o = &d->options;
        ManagerConfig config = {
                .config_dir = o->config_dir,
                .state_dir = o->state_dir,
                .runtime_dir = o->runtime_dir,
                .opener_socket = o->opener_socket,
                .portals = o->portals,
                .n_portals = o->n_portals,
                .passed = &d->passed,
                .settle_ns = SETTLE_TIME,
                .changed = on_changed,
                .quit = on_quit,
                .userdata = d,
        };

        engine_config_default(&config.engine);
        if (o->workers > 0)
                config.engine.workers = o->workers;
        config.engine.spin = o->spin * NSEC_PER_USEC;
        if (o->wake >= 0)
                config.engine.wake_ns = (uint64_t)o->wake * NSEC_PER_USEC;
        return manager_new(d->loop, &config, &d->manager);
}

static int add_signals(Daemon *d)
{
        int r;

        r = sd_event_add_signal(d->event, NULL, SIGTERM, on_terminate, d);
        if (r >= 0)
                r = sd_event_add_signal(d->event, NULL, SIGINT, on_terminate, d);
        if (r >= 0)
                r = sd_event_add_signal(d->event, NULL, SIGHUP, on_hangup, d);
        return r;
}

/* Before any thread is made: they inherit it. */
static void prepare_process(void)
{
        struct rlimit limit;
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        (void)sigprocmask(SIG_BLOCK, &set, NULL);
        (void)signal(SIGPIPE, SIG_IGN);
        (void)umask(0077);
        /* one descriptor per LUN and per session */
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                limit.rlim_cur = limit.rlim_max;
                (void)setrlimit(RLIMIT_NOFILE, &limit);
        }
}

/* For init scripts that were written for stgt; whoever has systemd needs none. */
static int write_pid(const char *path)
{
        g_autofree char *text = g_strdup_printf("%ld\n", (long)getpid());
        g_autoptr(GError) error = NULL;

        if (!path ||
            g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0644, &error))
                return 0;
        log_error("--pid-file: %s", error->message);
        return -EIO;
}

static int daemon_open(Daemon *d)
{
        int r = write_pid(d->options.pid_file);

        if (r < 0)
                return r;
        r = sockets_passed(&d->passed);
        if (r < 0)
                return r;
        r = sd_event_default(&d->event);
        if (r < 0)
                return r;
        r = add_signals(d);
        if (r < 0)
                return r;
        (void)sd_event_set_watchdog(d->event, true);
        r = event_loop_new(d->event, &d->loop);
        if (r < 0)
                return r;
        d->status_timer.fire = on_status;
        r = open_manager(d);
        if (r < 0)
                return r;
        return open_server(d);
}

/* Who tells us to end means what systemctl stop means, also where there is no systemd to remove the
 * directory: what was changed at runtime is gone. */
static void forget_runtime(const char *runtime_dir)
{
        g_autofree char *folder = g_build_filename(runtime_dir, "targets.d", NULL);
        g_autofree char *log = g_build_filename(runtime_dir, "changes", NULL);
        GDir *dir = g_dir_open(folder, 0, NULL);
        const char *name;

        while (dir && (name = g_dir_read_name(dir))) {
                g_autofree char *path = g_build_filename(folder, name, NULL);

                (void)unlink(path);
        }
        if (dir)
                g_dir_close(dir);
        (void)unlink(log);
}

static void daemon_close(Daemon *d)
{
        d->bus = bus_server_free(d->bus);
        if (d->manager && d->loop)
                loop_timer_cancel(event_loop(d->loop), &d->status_timer);
        d->manager = manager_free(d->manager);
        if (d->quit_task.run)
                forget_runtime(d->options.runtime_dir);
        passed_sockets_clear(&d->passed);
        if (d->options.pid_file)
                (void)unlink(d->options.pid_file);
        if (d->control_lock >= 0)
                (void)unlink(d->options.control_socket);
        safe_close(d->control_lock);
        g_free(d->status);
        options_clear(&d->options);
}

int main(int argc, char **argv)
{
        Daemon d = { .control_lock = -1, .passed.control = -1 };
        int r;

        r = options_parse(&d.options, argc, argv);
        if (r != 0) {
                options_clear(&d.options);
                return r < 0 ? 2 : 0;
        }
        prepare_process();
        journal_setup(d.options.debug);
        r = daemon_open(&d);
        if (r >= 0) {
                manager_start(d.manager, on_started, &d);
                r = sd_event_loop(d.event);
        }
        if (r < 0)
                log_debug("Leaving: %s", strerror(-r));
        daemon_close(&d);
        r = r < 0 ? 1 : r;
        /* Threads of a library that hang in a store are not to see the end of what they use. */
        if (!store_wait_closed(CLOSE_TIME))
                _exit(r);
        return r;
}
