/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <glib.h>
#include <pthread.h>
#include <systemd/sd-bus.h>

/* org.freedesktop.PolicyKit1 as far as a daemon asks it, in a thread of its own. It answers what it
 * is told to, and remembers what it was asked. */

typedef enum PolkitMode { POLKIT_YES, POLKIT_NO, POLKIT_CHALLENGE, POLKIT_HOLD } PolkitMode;

typedef struct MockPolkit {
        pthread_t thread;
        pthread_mutex_t lock; /* of all below */
        sd_event *event;
        sd_bus *bus;
        PolkitMode mode;
        const char *refused; /* this action is refused in any mode; or NULL */
        GString *asked;      /* "ACTION key=value key=value flags=N\n" ... */
        unsigned n_asked, n_cancelled;
        GPtrArray *held; /* sd_bus_message* */
        int wake[2];
} MockPolkit;

MockPolkit *mock_polkit_new(const char *address);
MockPolkit *mock_polkit_free(MockPolkit *p);
void mock_polkit_set(MockPolkit *p, PolkitMode mode, const char *refused); /* forgets the past */
char *mock_polkit_asked(MockPolkit *p);
/* Waits until that many questions were asked or withdrawn. */
void mock_polkit_wait_asked(MockPolkit *p, unsigned n);
void mock_polkit_wait_cancelled(MockPolkit *p, unsigned n);
/* Answers yes to what is held. */
void mock_polkit_release(MockPolkit *p);
