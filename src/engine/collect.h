/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "engine/worker.h"

/* A page of rows that the workers have: the question goes from worker to worker, and home to the
 * control thread with the answer. */

typedef void CollectDone(void); /* whatever the kind's deliver() takes it for */

/* Where the page begins; what it means is the kind's. */
typedef struct CollectFrom {
        uint64_t id;
        uint32_t lun;
} CollectFrom;

typedef struct CollectKind {
        size_t size; /* of a row */
        /* On w's thread: its first rows of the page, at most max. */
        size_t (*find)(Worker *w, const CollectFrom *from, void *rows, size_t max);
        int (*compare)(const void *a, const void *b);
        /* rows: n of them, ascending; freed after the call. */
        void (*deliver)(CollectDone *done, void *userdata, const void *rows, size_t n);
} CollectKind;

/* On the control thread, and deliver() too, unless the engine is freed before. -ENOMEM. */
int collect(const CollectKind *kind, Worker *workers, unsigned n_workers, const CollectFrom *from,
            size_t max, CollectDone *done, void *userdata);
