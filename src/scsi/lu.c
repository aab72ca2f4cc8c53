/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi/core.h"

/* A logical unit: identity and configuration, which never change, and references. What changes is
 * the coordinator's. */

#define UNMAP_DESCRIPTORS_MAX 256
#define UNMAP_BLOCKS_MAX (1u << 20)
#define WRITE_SAME_BYTES_MAX (4 * GIB)

void lu_state_copy(LuState *to, const LuState *from)
{
        LuState old = *to;

        *to = *from;
        if (to->store)
                store_ref(to->store);
        ghost_set_ref(to->ghosts);
        throttle_ref(to->throttle);
        lu_state_clear(&old);
}

void lu_state_clear(LuState *s)
{
        if (s->store)
                store_unref(s->store);
        s->store = NULL;
        s->ghosts = ghost_set_unref(s->ghosts);
        s->throttle = throttle_unref(s->throttle);
}

void lu_limits(const LogicalUnit *lu, const StoreCaps *caps, LuLimits *ret)
{
        uint32_t bs = lu->config.block_size;

        *ret = (LuLimits){
                .max_transfer = lu->max_transfer,
                .max_write_same = WRITE_SAME_BYTES_MAX / bs,
        };
        if (lu->config.thin != LU_THIN || caps->discard_granularity == 0)
                return;
        ret->unmap = true;
        ret->unmap_zeroes = caps->discard_zeroes;
        ret->extents = caps->extents;
        ret->max_unmap_blocks = UNMAP_BLOCKS_MAX;
        ret->max_unmap_descriptors = UNMAP_DESCRIPTORS_MAX;
        ret->unmap_granularity = MAX(1u, caps->discard_granularity / bs);
}

void lu_look_at_store(LogicalUnit *lu, LuState *state)
{
        StoreCaps caps;
        uint64_t size;

        if (state->store) {
                caps = store_caps(state->store);
                size = lu->config.size ? min_u64(lu->config.size, caps.size) : caps.size;
                state->blocks = size >> lu->block_shift;
                state->readonly = state->config_readonly || caps.readonly;
                lu_limits(lu, &caps, &state->limits);
        }
        /* without a store the last known size and limits stand */
        __atomic_store_n(&lu->size, state->blocks << lu->block_shift, __ATOMIC_RELAXED);
        __atomic_store_n(&lu->unmap, state->limits.unmap, __ATOMIC_RELAXED);
        __atomic_store_n(&lu->extents, state->limits.extents, __ATOMIC_RELAXED);
}

/* memcmp() looks at what is between members, too */
_Static_assert(sizeof(LuIdentity) ==
                       offsetof(LuIdentity, naa_local) + sizeof(((LuIdentity *)0)->naa_local),
               "LuIdentity has a hole");

bool lu_identity_equal(const LuIdentity *a, const LuIdentity *b)
{
        LuIdentity like = *a;

        like.serial = b->serial;
        like.scsi_id = b->scsi_id;
        return memcmp(&like, b, sizeof(like)) == 0 && STREQ(a->serial, b->serial) &&
               STREQ(a->scsi_id, b->scsi_id);
}

static const char *copy_string(char **at, const char *s)
{
        const char *copy = *at;

        *at = stpcpy(*at, s ? s : "") + 1;
        return copy;
}

/* One block for all of them: there may be thousands of units. */
static int copy_strings(LogicalUnit *lu)
{
        LuConfig *c = &lu->config;
        const char **strings[] = { &c->name, &c->identity.serial, &c->identity.scsi_id };
        size_t n = 0;
        char *at;

        for (size_t i = 0; i < ELEMENTSOF(strings); i++)
                n += strlen(*strings[i] ? *strings[i] : "") + 1;
        at = lu->strings = malloc(n);
        if (!at)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(strings); i++)
                *strings[i] = copy_string(&at, *strings[i]);
        return 0;
}

int lu_new(const LuConfig *config, Store *store, Loop *coordinator, LogicalUnit **ret)
{
        LogicalUnit *lu;
        int r;

        if (config->block_size != 512 && config->block_size != 4096)
                return -EINVAL;
        lu = calloc(1, sizeof(*lu));
        if (!lu)
                return -ENOMEM;
        lu->ref = 1;
        lu->config = *config;
        lu->config.throttle = NULL; /* the coordinator's */
        lu->config.operation = NULL;
        lu->block_shift = (unsigned)__builtin_ctz(config->block_size);
        lu->max_transfer = (uint32_t)(BUFFER_MAX_SIZE / config->block_size);
        if (config->max_transfer)
                lu->max_transfer = min_u32(lu->max_transfer, config->max_transfer);
        lu->ops = op_set_disk();
        r = copy_strings(lu);
        if (r < 0) {
                free(lu);
                return r;
        }
        lu->coord.loop = coordinator;
        lu->coord.state.throttle = throttle_ref(config->throttle);
        r = lu_pages_init(lu);
        if (r >= 0)
                r = coordinator_init(lu, store, config->operation);
        if (r < 0) {
                throttle_unref(lu->coord.state.throttle);
                lu_pages_done(lu);
                free(lu->strings);
                free(lu);
                return r;
        }
        *ret = lu;
        return 0;
}

LogicalUnit *lu_ref(LogicalUnit *lu)
{
        __atomic_add_fetch(&lu->ref, 1, __ATOMIC_RELAXED);
        return lu;
}

LogicalUnit *lu_ref_unless_gone(LogicalUnit *lu)
{
        unsigned n = __atomic_load_n(&lu->ref, __ATOMIC_RELAXED);

        while (n > 0)
                if (__atomic_compare_exchange_n(&lu->ref, &n, n + 1, true, __ATOMIC_ACQUIRE,
                                                __ATOMIC_RELAXED))
                        return lu;
        return NULL;
}

LogicalUnit *lu_unref(LogicalUnit *lu)
{
        if (!lu || __atomic_sub_fetch(&lu->ref, 1, __ATOMIC_ACQ_REL) > 0)
                return NULL;
        /* slots, operations and ghosts hold references: there are none */
        coordinator_done(lu);
        for (unsigned i = 0; i < ELEMENTSOF(lu->counters); i++) {
                if (lu->counters[i])
                        free(lu->counters[i]->latency);
                free(lu->counters[i]);
        }
        lu_pages_done(lu);
        free(lu->strings);
        free(lu);
        return NULL;
}

const LuConfig *lu_config(const LogicalUnit *lu)
{
        return &lu->config;
}

void lu_stats(const LogicalUnit *lu, LuStats *ret)
{
        *ret = (LuStats){};
        for (unsigned i = 0; i < ELEMENTSOF(lu->counters); i++) {
                const LuCounters *c = __atomic_load_n(&lu->counters[i], __ATOMIC_ACQUIRE);

                if (!c)
                        continue;
                ret->reads += COUNTER_READ(c, reads);
                ret->writes += COUNTER_READ(c, writes);
                ret->others += COUNTER_READ(c, others);
                ret->read_bytes += COUNTER_READ(c, read_bytes);
                ret->write_bytes += COUNTER_READ(c, write_bytes);
                ret->errors += COUNTER_READ(c, errors);
                ret->in_flight += COUNTER_READ(c, in_flight);
                ret->ghosts += COUNTER_READ(c, ghosts);
                ret->throttled += COUNTER_READ(c, throttled);
                ret->throttled_ns += COUNTER_READ(c, throttled_ns);
        }
}

void lu_latency(const LogicalUnit *lu, IoLatency *ret)
{
        *ret = (IoLatency){};
        for (unsigned i = 0; i < ELEMENTSOF(lu->counters); i++) {
                const LuCounters *c = __atomic_load_n(&lu->counters[i], __ATOMIC_ACQUIRE);
                const IoLatency *latency =
                        c ? __atomic_load_n(&c->latency, __ATOMIC_ACQUIRE) : NULL;

                if (latency)
                        latency_merge(ret, latency);
        }
}

void lu_show_flags(LogicalUnit *lu, const LuState *s)
{
        unsigned flags = (s->prevents > 0 ? LU_PREVENTED : 0U) | (s->ejected ? LU_EJECTED : 0U) |
                         (s->mode & MODE_SWP ? LU_WRITE_PROTECTED : 0U);

        __atomic_store_n(&lu->flags, flags, __ATOMIC_RELAXED);
}

unsigned lu_flags(const LogicalUnit *lu)
{
        return __atomic_load_n(&lu->flags, __ATOMIC_RELAXED);
}

uint64_t lu_size(const LogicalUnit *lu)
{
        return __atomic_load_n(&lu->size, __ATOMIC_RELAXED);
}
