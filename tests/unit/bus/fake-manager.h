/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "bus/manager.h"

/* manager.h over a plain Desired: every LUN is a unit at once, sessions are what a test puts in.
 * Answers come in a later turn of the event loop, as the real ones do. */

typedef struct FakeSession {
        SessionInfo info;
} FakeSession;

struct Manager {
        sd_event *event;
        Desired *desired;
        uint64_t generation;
        char *trusted;      /* directory */
        GPtrArray *pending; /* answers that are due */
        bool offline, debugging;
        bool hold;                   /* no answer until it is false again */
        const char *shared_with;     /* a target that maps every unit too, as its LUN 5; or NULL */
        UnitOperationInfo operation; /* of every unit */
        GPtrArray *sessions;         /* FakeSession* */
        GPtrArray *ended; /* text of each end_session, configure, refresh: "NAME ARGUMENT" */
        const ManagerObserver *observer;
        void *observer_userdata;
        /* of the last change */
        unsigned n_edits;
        uid_t caller_uid;
        pid_t caller_pid;
        char *caller_name;
        EditOptions options;
};

#define FAKE_FRESH_BYTES 4711 /* RxBytes as manager_sessions() says; manager_session() has 0 */

Manager *fake_manager_new(sd_event *event);
Manager *fake_manager_free(Manager *m);
void fake_manager_release(Manager *m); /* ends hold */
void fake_manager_add_session(Manager *m, uint64_t id, const char *target);
void fake_manager_remove_session(Manager *m, uint64_t id);
