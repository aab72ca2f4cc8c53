/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "simloop.h"
#include "store/store.h"

/* store.h in memory, as badly behaved as its contract allows: requests change the data when they
 * complete, which is now, some virtual time later in any order, or when the test lets go. */

typedef struct FakeStats {
        unsigned submitted, completed, flushes, fua, cancelled;
} FakeStats;

Store *fake_store_new(Sim *sim, uint64_t size, StoreCaps caps);
uint8_t *fake_store_data(Store *s);
void fake_store_set_size(Store *s, uint64_t size);
void fake_store_set_readonly(Store *s, bool readonly);
/* Requests submitted from now on stay below until fake_store_release(). */
void fake_store_hold(Store *s);
/* Lets go of all of them, and of what comes. */
void fake_store_release(Store *s);
/* Completes the n-th of those that are held; false: there are not so many. */
bool fake_store_release_one(Store *s, unsigned n);
unsigned fake_store_held(const Store *s);
/* Requests of a kind (NULL-free bit mask of 1 << StoreOp) that fail with error; 0: none. */
void fake_store_fail(Store *s, unsigned ops, int error);
void fake_store_delay(Store *s, uint64_t max_ns); /* 0: completes inside submit */
void fake_store_lend(Store *s);                   /* from now on */
void fake_store_identity(Store *s, uint64_t a);   /* the same thing as every other with this */
FakeStats fake_store_stats(const Store *s);
unsigned fake_stores(void); /* not yet freed */
