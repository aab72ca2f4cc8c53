/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A protocol that is no iSCSI behind the functions that engine/ calls, so that threads, sockets and
 * the registrar can be tested without it. Bytes are echoed, but for
 *   L x   log in as initiator x: the answer is "+w" (w: the worker that owns the session) or "-"
 *   D     a discovery session
 *   Q     the answer is "bye", and the connection is over
 *   V     10,000 events
 *   M     names a megabyte to be sent at once
 *   S     "s", and FAKE_FILE bytes of a file, each the low byte of its offset / 4096, that is only
 *         half as long by then */

#define FAKE_EVENTS 10000
#define FAKE_QUEUE_MAX (64 * 1024) /* bytes to be sent, from which on nothing is read */
#define FAKE_FILE (1024 * 1024)
#define FAKE_END "end"
#define FAKE_LATENCY 4711 /* ns: sum of what a worker wrote; of what a session read: its id */
