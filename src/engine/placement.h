/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"

/* Which processor a worker runs on.
 *
 * To wake a thread that sleeps on another processor takes an interrupt there, and where that one
 * idles its way out of idle: in a virtual machine several times what a small command takes, and the
 * kernel always picks a processor that idles. So a worker whose turns are short goes to the
 * processor where the kernel receives what it serves (SO_INCOMING_CPU): that of the network card's
 * interrupt, or of an initiator on this host, which waits for us anyway. It is free again while its
 * turns are long, while it has to wait for that processor, and while no processor receives most.
 *
 * A Placement belongs to its worker's thread. */

#define PLACEMENT_FREE (-1)       /* instead of a processor: any */
#define PLACEMENT_SAMPLES 16      /* looked at for each decision */
#define PLACEMENT_SAMPLE_EVERY 16 /* receives */

/* What the kernel says of the thread so far. */
typedef struct PlacementUse {
        uint64_t run_ns, wait_ns; /* on a processor; ready to run, but waiting for one */
        uint64_t slices;          /* times it came to run */
} PlacementUse;

/* What a Placement does to the world; negative errno. */
typedef struct PlacementOps {
        int (*bind)(void *userdata, int cpu); /* the calling thread; may be PLACEMENT_FREE */
        int (*use)(void *userdata, PlacementUse *ret);
} PlacementOps;

typedef struct Placement {
        const PlacementOps *ops;
        void *userdata;
        uint64_t wake_ns; /* what it takes to wake a thread on another processor; 0: stays free */
        int cpu;          /* that it is bound to, or PLACEMENT_FREE */
        unsigned n_receives, n_samples;
        int samples[PLACEMENT_SAMPLES]; /* where was received */
        PlacementUse before;            /* at the last decision */
        uint64_t bound_at;
        uint64_t free_until, back_off; /* after binding was a mistake */
} Placement;

void placement_init(Placement *p, const PlacementOps *ops, void *userdata, uint64_t wake_ns);

/* Counts a receive; true: placement_sample() is due. */
static inline bool placement_due(Placement *p)
{
        return p->wake_ns > 0 && ++p->n_receives % PLACEMENT_SAMPLE_EVERY == 0;
}

/* cpu: where the kernel received what was just taken. now: loop_now(). */
void placement_sample(Placement *p, int cpu, uint64_t now);

/* The real ops, of the calling thread. */
typedef struct PlacementThread PlacementThread;
extern const PlacementOps placement_thread_ops;
int placement_thread_new(PlacementThread **ret);
PlacementThread *placement_thread_free(PlacementThread *t);

/* Measures wake_ns, in a few milliseconds. 0: only one processor, or it cannot be told. */
uint64_t placement_measure_wake(void);
