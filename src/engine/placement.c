/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/placement.h"

/* A turn that takes so many wake-ups' time is long: to share a processor delays the initiator by
 * it. Bound, it may be a little longer, so that it does not change to and fro. */
#define TURN_WAKES_FREE 2
#define TURN_WAKES_BOUND 3
#define MOST(n) ((n)*3 / 4)
#define BACK_OFF_MIN (100 * NSEC_PER_MSEC)
#define BACK_OFF_MAX (10 * NSEC_PER_SEC)
/* Bound for so long it was no mistake, even if it is one now. */
#define LASTED (1 * NSEC_PER_SEC)

void placement_init(Placement *p, const PlacementOps *ops, void *userdata, uint64_t wake_ns)
{
        *p = (Placement){ .ops = ops,
                          .userdata = userdata,
                          .wake_ns = wake_ns,
                          .cpu = PLACEMENT_FREE,
                          .back_off = BACK_OFF_MIN };
}

static int receives_most(const Placement *p)
{
        for (unsigned i = 0; i < PLACEMENT_SAMPLES; i++) {
                unsigned n = 0;

                for (unsigned k = 0; k < PLACEMENT_SAMPLES; k++)
                        n += p->samples[k] == p->samples[i];
                if (n >= MOST(PLACEMENT_SAMPLES))
                        return p->samples[i] >= 0 ? p->samples[i] : PLACEMENT_FREE;
        }
        return PLACEMENT_FREE;
}

static void place(Placement *p, int cpu, uint64_t now)
{
        if (p->ops->bind(p->userdata, cpu) < 0) {
                /* not one of ours, or not allowed: it is where it was, and there is no hurry */
                p->free_until = now + BACK_OFF_MAX;
                return;
        }
        if (p->cpu == PLACEMENT_FREE)
                p->bound_at = now;
        p->cpu = cpu;
}

static void release(Placement *p, uint64_t now)
{
        if (now - p->bound_at >= LASTED)
                p->back_off = BACK_OFF_MIN;
        p->free_until = now + p->back_off;
        p->back_off = min_u64(p->back_off * 2, BACK_OFF_MAX);
        place(p, PLACEMENT_FREE, now);
}

static void decide(Placement *p, const PlacementUse *use, uint64_t now)
{
        uint64_t slices = MAX(use->slices - p->before.slices, UINT64_C(1));
        uint64_t turn = (use->run_ns - p->before.run_ns) / slices;
        uint64_t wait = (use->wait_ns - p->before.wait_ns) / slices;
        int cpu = receives_most(p);

        if (p->cpu == PLACEMENT_FREE) {
                if (cpu != PLACEMENT_FREE && turn <= TURN_WAKES_FREE * p->wake_ns &&
                    now >= p->free_until)
                        place(p, cpu, now);
        } else if (cpu == PLACEMENT_FREE || turn > TURN_WAKES_BOUND * p->wake_ns ||
                   wait > p->wake_ns) {
                release(p, now);
        } else if (cpu != p->cpu) {
                place(p, cpu, now);
        }
}

void placement_sample(Placement *p, int cpu, uint64_t now)
{
        PlacementUse use;

        p->samples[p->n_samples++] = cpu;
        if (p->n_samples < PLACEMENT_SAMPLES)
                return;
        p->n_samples = 0;
        if (p->ops->use(p->userdata, &use) < 0) {
                p->wake_ns = 0; /* a kernel that does not tell */
                return;
        }
        decide(p, &use, now);
        p->before = use;
}
