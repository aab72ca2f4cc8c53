/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/context.h"

/* What may take long: a bar on the terminal while it does, and Ctrl-C. */

typedef struct Progress {
        Ctl *c;
        const char *what;
        bool show, shown;
        gint64 since;
} Progress;

/* From here on SIGINT and SIGTERM are noted only. what: "Allocating". */
Progress progress_begin(Ctl *c, const char *what);
/* Where standard error is a terminal. */
void progress_draw(Progress *p, uint64_t done, uint64_t total);
bool progress_interrupted(void);
/* The bar goes, and signals are what they were. */
void progress_end(Progress *p);
/* By the signal that was noted. */
void progress_die(void);

/* "Allocating [####....]  40% 4G of 10G, 1.2G/s, 5s left" of width columns; usec: since the start.
 * Newly allocated. */
char *progress_line(const char *what, uint64_t done, uint64_t total, uint64_t usec, unsigned width);

/* Sends m, drops it, and waits for as long as it takes; what FileProgress says is shown. Ctrl-C
 * gives up by closing the connection, which makes the daemon take back what it has not finished;
 * the process ends by the signal then. Returns an ExitCode. */
int progress_invoke(Ctl *c, const char *what, sd_bus_message *m, sd_bus_message **ret_reply);
