/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

/* From limits of rate as they are configured to what the workers share. A throttle lives as long as
 * its limits stay the same, whatever else of its target or unit changes: nobody gains a burst by a
 * change beside it. */

int throttle_make(Manager *m, const LimitSpec *l, Throttle **ret)
{
        const ThrottleLimits limits = {
                .rate = { [THROTTLE_IOPS] = l->iops,
                          [THROTTLE_READ_IOPS] = l->read_iops,
                          [THROTTLE_WRITE_IOPS] = l->write_iops,
                          [THROTTLE_BYTES] = l->bandwidth,
                          [THROTTLE_READ_BYTES] = l->read_bandwidth,
                          [THROTTLE_WRITE_BYTES] = l->write_bandwidth },
                .burst_ns = l->burst_us * NSEC_PER_USEC,
        };

        *ret = NULL;
        if (!limit_spec_any(l))
                return 0;
        return throttle_new(&limits, engine_workers(m->engine), loop_now(m->loop), ret);
}

static void clear_throttle(gpointer p)
{
        TargetThrottle *t = p;

        g_free(t->initiator);
        throttle_unref(t->throttle);
}

/* The same limits of the same initiator as before. */
static Throttle *find_throttle(const GArray *old, const InitiatorLimit *l)
{
        for (guint i = 0; old && i < old->len; i++) {
                const TargetThrottle *t = &g_array_index(old, TargetThrottle, i);

                if (STREQ(t->initiator, l->initiator) && limit_spec_equal(&t->limits, &l->limits))
                        return t->throttle;
        }
        return NULL;
}

int target_throttles_make(Manager *m, const TargetSpec *spec, GArray **ret)
{
        const Target *running = g_hash_table_lookup(m->targets, spec->name);
        GArray *all = g_array_new(FALSE, FALSE, sizeof(TargetThrottle));

        g_array_set_clear_func(all, clear_throttle);
        for (guint i = 0; i < spec->limits->len; i++) {
                const InitiatorLimit *l = g_ptr_array_index(spec->limits, i);
                TargetThrottle t = { .limits = l->limits };
                int r = 0;

                t.throttle = throttle_ref(find_throttle(running ? running->throttles : NULL, l));
                if (!t.throttle)
                        r = throttle_make(m, &l->limits, &t.throttle);
                if (r < 0) {
                        g_array_unref(all);
                        return r;
                }
                t.initiator = g_strdup(l->initiator);
                g_array_append_val(all, t);
        }
        *ret = all;
        return 0;
}

IscsiThrottle *target_throttles_config(const GArray *all)
{
        IscsiThrottle *config = g_new0(IscsiThrottle, MAX(all->len, 1U));

        for (guint i = 0; i < all->len; i++) {
                const TargetThrottle *t = &g_array_index(all, TargetThrottle, i);

                config[i].throttle = t->throttle;
                if (addr_prefix_parse(t->initiator, &config[i].address) < 0)
                        config[i].name = t->initiator;
        }
        return config;
}
