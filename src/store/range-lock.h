/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <pthread.h>

#include "base/base.h"
#include "base/list.h"
#include "base/loop.h"

/* Locks on byte ranges of a store that has blocks larger than what is written to it. A
 * read-modify-write holds its blocks exclusively, every other write shares them: without this, a
 * block that was read before and is written after somebody else's write takes that write back.
 *
 * Granted in the order of asking where ranges conflict, on whatever thread. Nobody blocks: who has
 * to wait is told by a task on its own loop. */

typedef struct RangeLocks {
        pthread_mutex_t mutex; /* a leaf */
        List exclusive, shared, waiting;
} RangeLocks;

typedef struct RangeLock {
        List link;
        uint64_t begin, end;
        Loop *loop;
        LoopTask task; /* run() is the owner's: called when the lock is granted */
        bool is_exclusive;
        bool held;
} RangeLock;

int range_locks_init(RangeLocks *locks);
void range_locks_done(RangeLocks *locks);

/* true: held now; false: task.run() will be called on loop, holding it. */
bool range_lock(RangeLocks *locks, RangeLock *lock);
/* Gives up waiting; false: too late, it is held or granted. */
bool range_lock_cancel(RangeLocks *locks, RangeLock *lock);
void range_unlock(RangeLocks *locks, RangeLock *lock);
