/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/terminal.h"

/* A whole terminal, redrawn from time to time, and keys without Enter. There is one. */

/* Takes standard input and output over; false: they are not a terminal. */
bool screen_open(void);
/* Gives it back as it was, if it was taken. */
void screen_close(void);
/* Rows of the terminal now; columns go to terminal->width. */
unsigned screen_size(Terminal *terminal);
/* Shows text from the top; what does not fit is cut. */
void screen_draw(const char *text);
/* Waits at most until CLOCK_MONOTONIC usec deadline. The key; 0: time is up; -1: it is to end (q,
 * ^C, a signal, the terminal is gone). */
int screen_key(int64_t deadline);
/* The same without a terminal: false if a signal came. */
bool screen_wait(int64_t deadline);
