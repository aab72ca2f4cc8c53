/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/screen.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>

#define ENTER "\x1b[?1049h\x1b[?25l\x1b[?7l" /* the other screen, no cursor, lines are cut */
#define LEAVE "\x1b[?7h\x1b[?25h\x1b[?1049l"

static struct termios saved;
static bool is_open;
static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
        interrupted = 1;
}

static void catch_signals(void)
{
        static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
        struct sigaction sa = { .sa_handler = on_signal }; /* no SA_RESTART: poll() is to end */

        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                (void)sigaction(signals[i], &sa, NULL);
}

bool screen_open(void)
{
        struct termios raw;

        if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &saved) < 0)
                return false;
        catch_signals();
        (void)signal(SIGTSTP, SIG_IGN); /* the shell would get a terminal that is not its own */
        raw = saved;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) < 0)
                return false;
        is_open = true;
        (void)fputs(ENTER, stdout);
        return true;
}

void screen_close(void)
{
        if (!is_open)
                return;
        is_open = false;
        (void)fputs(LEAVE, stdout);
        (void)fflush(stdout);
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
}

unsigned screen_size(Terminal *terminal)
{
        struct winsize ws = { 0 };

        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0 || ws.ws_row == 0 || ws.ws_col == 0)
                return 24;
        terminal->width = ws.ws_col;
        return ws.ws_row;
}

void screen_draw(const char *text)
{
        Terminal unused;
        unsigned rows = screen_size(&unused);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        (void)fputs("\x1b[H", stdout);
        for (unsigned i = 0; lines[i] && i < rows; i++)
                (void)printf("%s%s\x1b[K", i > 0 ? "\r\n" : "", lines[i]);
        (void)fputs("\x1b[J", stdout);
        (void)fflush(stdout);
}

static int milliseconds_until(int64_t deadline)
{
        int64_t left = deadline - g_get_monotonic_time();

        return left <= 0 ? 0 : (int)MIN(left / 1000 + 1, (int64_t)INT32_MAX);
}

int screen_key(int64_t deadline)
{
        struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
        unsigned char key;
        int r;

        if (interrupted)
                return -1;
        r = poll(&p, 1, milliseconds_until(deadline));
        if (interrupted || (r < 0 && errno != EINTR))
                return -1;
        if (r <= 0)
                return 0;
        if (read(STDIN_FILENO, &key, 1) != 1)
                return -1;
        return key == 'q' ? -1 : key;
}

bool screen_wait(int64_t deadline)
{
        catch_signals();
        while (!interrupted && g_get_monotonic_time() < deadline)
                (void)poll(NULL, 0, milliseconds_until(deadline));
        return !interrupted;
}
