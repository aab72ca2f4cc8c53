/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/progress.h"

#include <inttypes.h>
#include <signal.h>

#include "ctl/agent.h"
#include "ctl/connection.h"
#include "ctl/format.h"

#define BAR_MIN 10U
#define BAR_MAX 40U
/* a rate of the first moments says nothing */
#define RATE_AFTER_USEC (UINT64_C(1000000))

typedef struct Call {
        Progress bar;
        sd_bus_message *reply;
} Call;

static volatile sig_atomic_t interrupted;
static struct sigaction int_before, term_before;

static void on_interrupt(int number)
{
        interrupted = number;
}

/* ", 1.2G/s, 5s left" */
static char *rate_text(uint64_t done, uint64_t total, uint64_t usec)
{
        g_autofree char *rate = NULL;
        double per_second;

        if (usec < RATE_AFTER_USEC || done == 0)
                return g_strdup("");
        per_second = (double)done / ((double)usec / 1e6);
        rate = format_bytes((uint64_t)per_second);
        return g_strdup_printf(", %s/s, %" PRIu64 "s left", rate,
                               (uint64_t)((double)(total - done) / per_second + 0.5));
}

char *progress_line(const char *what, uint64_t done, uint64_t total, uint64_t usec, unsigned width)
{
        unsigned percent, bar, filled;
        g_autofree char *have = NULL, *all = NULL, *rate = NULL, *text = NULL, *dots = NULL;

        total = MAX(total, UINT64_C(1));
        done = MIN(done, total);
        percent = (unsigned)((double)done * 100 / (double)total);
        have = format_bytes(done);
        all = format_bytes(total);
        rate = rate_text(done, total, usec);
        text = g_strdup_printf("%3u%% %s of %s%s", percent, have, all, rate);
        bar = (unsigned)(strlen(what) + strlen(" [] ") + strlen(text));
        bar = width > bar ? width - bar : 0;
        if (bar < BAR_MIN)
                return g_strdup_printf("%s %u%%", what, percent);
        bar = MIN(bar, BAR_MAX);
        filled = (unsigned)((double)done * bar / (double)total);
        dots = g_strnfill(bar, '.');
        memset(dots, '#', filled);
        return g_strdup_printf("%s [%s] %s", what, dots, text);
}

Progress progress_begin(Ctl *c, const char *what)
{
        struct sigaction action = { .sa_handler = on_interrupt }; /* without SA_RESTART */

        interrupted = 0;
        (void)sigaction(SIGINT, &action, &int_before);
        (void)sigaction(SIGTERM, &action, &term_before);
        return (Progress){ .c = c,
                           .what = what,
                           .show = !c->options.quiet && !ctl_json(c) && isatty(STDERR_FILENO),
                           .since = g_get_monotonic_time() };
}

void progress_draw(Progress *p, uint64_t done, uint64_t total)
{
        unsigned width = p->c->terminal.width ? p->c->terminal.width : 80;
        g_autofree char *line = NULL;

        if (!p->show)
                return;
        line = progress_line(p->what, done, total, (uint64_t)(g_get_monotonic_time() - p->since),
                             width - 1);
        (void)fprintf(stderr, "\r%s\x1b[K", line);
        p->shown = true;
}

bool progress_interrupted(void)
{
        return interrupted;
}

void progress_end(Progress *p)
{
        if (p->shown)
                (void)fprintf(stderr, "\r\x1b[K");
        p->shown = false;
        (void)sigaction(SIGINT, &int_before, NULL);
        (void)sigaction(SIGTERM, &term_before, NULL);
}

void progress_die(void)
{
        int number = interrupted;

        (void)signal(number, SIG_DFL);
        (void)raise(number);
}

static int on_progress(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        Call *call = userdata;
        uint64_t done, total;
        const char *path;

        if (sd_bus_message_read(m, "stt", &path, &done, &total) >= 0)
                progress_draw(&call->bar, done, total);
        return 0;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        ((Call *)userdata)->reply = sd_bus_message_ref(m);
        return 0;
}

static int wait_for_reply(Call *p, sd_bus *bus)
{
        while (!p->reply && !interrupted) {
                int r = sd_bus_process(bus, NULL);

                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
                if (r < 0 && r != -EINTR)
                        return r;
        }
        return 0;
}

static int run(Call *p, sd_bus_message *m)
{
        sd_bus *bus = p->bar.c->bus;
        sd_bus_slot *match = NULL, *slot = NULL;
        int r;

        r = sd_bus_add_match(
                bus, &match,
                p->bar.c->peer
                        ? "type='signal',interface='" IFACE("Manager") "',"
                                                                       "member='FileProgress'"
                        : "type='signal',sender='" BUS_NAME
                          "',interface='" IFACE("Manager") "',"
                                                           "member='FileProgress'",
                on_progress, p);
        if (r >= 0)
                r = sd_bus_call_async(bus, &slot, m, on_reply, p, UINT64_MAX);
        if (r >= 0)
                r = wait_for_reply(p, bus);
        sd_bus_slot_unref(slot);
        sd_bus_slot_unref(match);
        return r;
}

/* Does not return. */
static void give_up(Ctl *c)
{
        c->bus = sd_bus_flush_close_unref(c->bus);
        agent_close();
        (void)ctl_fail(c, EXIT_CODE_FAILURE, "Interrupted; the daemon removes what it has begun.");
        progress_die();
}

int progress_invoke(Ctl *c, const char *what, sd_bus_message *m, sd_bus_message **ret_reply)
{
        Call p = { .bar = progress_begin(c, what) };
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r, code = EXIT_CODE_OK;

        r = run(&p, m);
        sd_bus_message_unref(m);
        progress_end(&p.bar);

        if (!p.reply && interrupted)
                give_up(c);
        if (p.reply && !sd_bus_message_is_method_error(p.reply, NULL)) {
                *ret_reply = p.reply;
                return EXIT_CODE_OK;
        }
        if (p.reply)
                (void)sd_bus_error_copy(&error, sd_bus_message_get_error(p.reply));
        else
                (void)sd_bus_error_set_errno(&error, r < 0 ? r : -ECONNRESET);
        code = error_exit_code(error.name);
        (void)ctl_report_error(c, code, &error);
        sd_bus_error_free(&error);
        sd_bus_message_unref(p.reply);
        return code;
}
