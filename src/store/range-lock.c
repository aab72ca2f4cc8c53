/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/range-lock.h"

int range_locks_init(RangeLocks *locks)
{
        list_init(&locks->exclusive);
        list_init(&locks->shared);
        list_init(&locks->waiting);
        return -pthread_mutex_init(&locks->mutex, NULL);
}

void range_locks_done(RangeLocks *locks)
{
        (void)pthread_mutex_destroy(&locks->mutex);
}

static bool conflicts(const List *head, const RangeLock *lock)
{
        for (const List *n = head->next; n != head; n = n->next) {
                const RangeLock *other = LIST_ENTRY(n, RangeLock, link);

                if (!other->is_exclusive && !lock->is_exclusive)
                        continue;
                if (other->begin < lock->end && lock->begin < other->end)
                        return true;
        }
        return false;
}

static bool is_free(const RangeLocks *locks, const RangeLock *lock)
{
        if (conflicts(&locks->exclusive, lock))
                return false;
        return !lock->is_exclusive || !conflicts(&locks->shared, lock);
}

static void hold(RangeLocks *locks, RangeLock *lock)
{
        list_append(lock->is_exclusive ? &locks->exclusive : &locks->shared, &lock->link);
        lock->held = true;
}

bool range_lock(RangeLocks *locks, RangeLock *lock)
{
        bool r;

        pthread_mutex_lock(&locks->mutex);
        /* Nobody overtakes who waits for the same bytes, or a busy range would starve it. */
        r = is_free(locks, lock) && !conflicts(&locks->waiting, lock);
        if (r)
                hold(locks, lock);
        else
                list_append(&locks->waiting, &lock->link);
        pthread_mutex_unlock(&locks->mutex);
        return r;
}

/* Grants what can be granted, in order: one that must wait on keeps back what conflicts with it. */
static void grant(RangeLocks *locks)
{
        List still;

        list_init(&still);
        LIST_FOREACH_SAFE (lock, &locks->waiting, RangeLock, link) {
                list_remove(&lock->link);
                if (!is_free(locks, lock) || conflicts(&still, lock)) {
                        list_append(&still, &lock->link);
                        continue;
                }
                hold(locks, lock);
                loop_post(lock->loop, &lock->task);
        }
        list_splice(&locks->waiting, &still);
}

bool range_lock_cancel(RangeLocks *locks, RangeLock *lock)
{
        bool r;

        pthread_mutex_lock(&locks->mutex);
        r = !lock->held;
        if (r) {
                list_remove(&lock->link);
                grant(locks);
        }
        pthread_mutex_unlock(&locks->mutex);
        return r;
}

void range_unlock(RangeLocks *locks, RangeLock *lock)
{
        pthread_mutex_lock(&locks->mutex);
        list_remove(&lock->link);
        lock->held = false;
        if (!list_empty(&locks->waiting))
                grant(locks);
        pthread_mutex_unlock(&locks->mutex);
}
