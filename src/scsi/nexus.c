/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "scsi/core.h"

/* I_T nexuses and the maps that say which unit is which LUN. */

/* ---- LUNs (SAM-5 4.7) ---------------------------------------------------------------------- */

uint32_t lun_decode(const uint8_t lun[8])
{
        static const uint8_t zero[6];

        if (memcmp(lun + 2, zero, sizeof(zero)) != 0)
                return LUN_NONE;
        switch (lun[0] >> 6) {
        case 0: /* peripheral device addressing, bus 0 */
                return lun[0] == 0 ? lun[1] : LUN_NONE;
        case 1: /* flat space addressing */
                return (uint32_t)get_be16(lun) & 0x3fff;
        case 3: /* extended: well-known logical units */
                return get_be16(lun) == LUN_REPORT_LUNS ? LUN_REPORT_LUNS : LUN_NONE;
        default:
                return LUN_NONE;
        }
}

void lun_encode(uint16_t lun, uint8_t ret[8])
{
        memset(ret, 0, 8);
        if (lun == LUN_REPORT_LUNS || lun < 256)
                put_be16(ret, lun);
        else
                put_be16(ret, (uint16_t)(0x4000 | lun));
}

/* ---- maps ---------------------------------------------------------------------------------- */

int lun_map_new(const LunMapEntry *entries, size_t n, LunMap **ret)
{
        LunMap *m;

        for (size_t i = 0; i < n; i++)
                if (entries[i].lun > 16383 || (i > 0 && entries[i].lun <= entries[i - 1].lun))
                        return -EINVAL;
        m = malloc(sizeof(*m) + n * sizeof(LunMapEntry));
        if (!m)
                return -ENOMEM;
        m->ref = 1;
        m->n = n;
        for (size_t i = 0; i < n; i++)
                m->entries[i] = (LunMapEntry){ entries[i].lun, lu_ref(entries[i].lu) };
        *ret = m;
        return 0;
}

LunMap *lun_map_ref(LunMap *m)
{
        __atomic_add_fetch(&m->ref, 1, __ATOMIC_RELAXED);
        return m;
}

LunMap *lun_map_unref(LunMap *m)
{
        if (!m || __atomic_sub_fetch(&m->ref, 1, __ATOMIC_ACQ_REL) > 0)
                return NULL;
        for (size_t i = 0; i < m->n; i++)
                lu_unref(m->entries[i].lu);
        free(m);
        return NULL;
}

/* ---- the I_T_L nexuses of a nexus ----------------------------------------------------------- */

Itl *nexus_itl(ScsiNexus *nexus, uint32_t lun)
{
        size_t low = 0, high = nexus->n_itls;

        if (LIKELY(lun < nexus->n_itls && nexus->itls[lun].lun == lun))
                return &nexus->itls[lun];
        while (low < high) {
                size_t mid = (low + high) / 2;

                if (nexus->itls[mid].lun == lun)
                        return &nexus->itls[mid];
                if (nexus->itls[mid].lun < lun)
                        low = mid + 1;
                else
                        high = mid;
        }
        return NULL;
}

static void itl_done(Itl *itl)
{
        if (itl->slot) {
                list_remove(&itl->slot_link);
                itl->slot->n_itls--;
        }
        itl->slot = slot_unref(itl->slot);
}

static void free_itls(ScsiNexus *nexus, Itl *itls, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                pool_free(&nexus->worker->ops, itls[i].gone);
                itl_done(&itls[i]);
        }
        free(itls);
}

/* All of a map, with the controller where LUN 0 is free and the REPORT LUNS unit last; sorted. */
static int make_itls(ScsiNexus *nexus, const LunMap *map, Itl **ret, size_t *ret_n)
{
        bool controller = map->n == 0 || map->entries[0].lun != 0;
        Itl *itls = calloc(map->n + 2, sizeof(*itls));
        size_t n = 0;

        if (!itls)
                return -ENOMEM;
        if (controller)
                itls[n++] = (Itl){ .nexus = nexus };
        for (size_t i = 0; i < map->n; i++) {
                Itl *itl = &itls[n];

                *itl = (Itl){ .lun = map->entries[i].lun, .nexus = nexus };
                itl->slot = slot_get(nexus->worker, map->entries[i].lu);
                if (!itl->slot) {
                        free_itls(nexus, itls, n);
                        return -ENOMEM;
                }
                list_append(&itl->slot->itls, &itl->slot_link);
                itl->slot->n_itls++;
                slot_recall_loans(itl->slot); /* they are others' */
                n++;
        }
        itls[n++] = (Itl){ .lun = LUN_REPORT_LUNS, .nexus = nexus };
        *ret = itls;
        *ret_n = n;
        return 0;
}

static uint64_t next_id; /* atomic */

int scsi_nexus_open(ScsiNexus *nexus, LunMap *map)
{
        int r;

        nexus->id = __atomic_add_fetch(&next_id, 1, __ATOMIC_RELAXED);
        nexus->closing = false;
        nexus->buffer_bytes = 0;
        nexus->n_pending = 0;
        nexus->closed = NULL;
        nexus->latency = NULL;
        memset(nexus->throttles, 0, sizeof(nexus->throttles));
        memset(nexus->valves, 0, sizeof(nexus->valves));
        memset(nexus->flows, 0, sizeof(nexus->flows));
        list_init(&nexus->tasks);
        r = make_itls(nexus, map, &nexus->itls, &nexus->n_itls);
        if (r < 0)
                return r;
        nexus->map = lun_map_ref(map);
        list_append(&nexus->worker->nexuses, &nexus->worker_link);
        nexus_look_at_throttles(nexus);
        for (size_t i = 0; i < nexus->n_itls; i++)
                itl_establish(&nexus->itls[i], UA_POWER_ON);
        return 0;
}

/* ---- giving back --------------------------------------------------------------------------- */

void nexus_operation_done(ScsiNexus *nexus)
{
        if (--nexus->n_pending == 0 && nexus->closing)
                loop_defer(nexus->worker->loop, &nexus->close_task);
}

static void gone_done(CoordOp *op)
{
        ScsiNexus *nexus = op->owner;

        pool_free(&nexus->worker->ops, op);
        nexus_operation_done(nexus);
}

/* What the nexus holds at the unit goes back, and every slot knows of its ghosts by then. */
static void itl_give_back(Itl *itl)
{
        ScsiNexus *nexus = itl->nexus;
        LuSlot *slot = itl->slot;
        CoordOp *op;

        if (!slot)
                return;
        op = TAKE_PTR(itl->gone);
        if (!op && slot->need_ghosts > slot->state.ghosts_version)
                op = coord_op_new(nexus->worker, &coord_ghosts, NULL);
        if (!op)
                return;
        op->owner = nexus;
        op->done = gone_done;
        op->nexus = nexus->id;
        op->flag = itl->prevents;
        nexus->n_pending++;
        coord_submit(op, slot->lu, nexus->worker->loop);
}

/* ---- changes ------------------------------------------------------------------------------- */

static void keep_itl(Itl *to, Itl *from)
{
        to->ua = from->ua;
        to->prevents = from->prevents;
        to->counters = from->counters;
        to->gone = TAKE_PTR(from->gone);
        memcpy(to->flows, from->flows, sizeof(to->flows));
}

/* A drive that initiators know, with another medium in it, and other settings for that. */
static bool is_same_drive(const Itl *a, const Itl *b)
{
        const LuConfig *x, *y;

        if (!a->slot || !b->slot)
                return false;
        x = &a->slot->lu->config;
        y = &b->slot->lu->config;
        return x->removable && y->removable &&
               memcmp(x->identity.uuid, y->identity.uuid, sizeof(x->identity.uuid)) == 0;
}

int scsi_nexus_remap(ScsiNexus *nexus, LunMap *map)
{
        Itl *old = nexus->itls, *itls;
        size_t n_old = nexus->n_itls, n_kept = 0, n;
        int r;

        r = make_itls(nexus, map, &itls, &n);
        if (r < 0)
                return r;
        nexus->itls = itls;
        nexus->n_itls = n;
        nexus_look_at_throttles(nexus);
        for (size_t i = 0; i < n; i++)
                itl_establish(&itls[i], UA_POWER_ON);
        for (size_t i = 0; i < n_old; i++) {
                Itl *now = nexus_itl(nexus, old[i].lun);

                if (!now || (now->slot != old[i].slot && !is_same_drive(now, &old[i])))
                        continue;
                if (now->slot == old[i].slot)
                        keep_itl(now, &old[i]);
                else
                        itl_establish(now, UA_MEDIUM_CHANGED);
                n_kept++;
        }
        LIST_FOREACH_SAFE (task, &nexus->tasks, Task, nexus_link) {
                Itl *now = task->itl ? nexus_itl(nexus, task->itl->lun) : NULL;

                if (now && now->slot == task->slot) {
                        task->itl = now;
                        continue;
                }
                task_check(task, SENSE_ILLEGAL_REQUEST, ASC_LUN_NOT_SUPPORTED);
                task_give_up(task, GIVE_UP_COMPLETE);
        }
        for (size_t i = 0; i < n_old; i++) {
                Itl *now = nexus_itl(nexus, old[i].lun);

                if (!now || now->slot != old[i].slot)
                        itl_give_back(&old[i]);
                /* who addresses a new one knows already: that it is new says 29/00 */
                if (now && (n_kept < n || n_kept < n_old))
                        itl_establish(now, UA_LUNS_CHANGED);
        }
        free_itls(nexus, old, n_old);
        lun_map_ref(map);
        lun_map_unref(nexus->map);
        nexus->map = map;
        return 0;
}

/* ---- statistics ---------------------------------------------------------------------------- */

static ItlStats *find_stats(ItlStats *stats, size_t n, uint16_t lun)
{
        for (size_t low = 0, high = n; low < high;) {
                size_t mid = (low + high) / 2;

                if (stats[mid].lun == lun)
                        return &stats[mid];
                if (stats[mid].lun < lun)
                        low = mid + 1;
                else
                        high = mid;
        }
        return NULL;
}

static size_t first_itl(const ScsiNexus *nexus, uint32_t lun)
{
        size_t low = 0, high = nexus->n_itls;

        while (low < high) {
                size_t mid = (low + high) / 2;

                if (nexus->itls[mid].lun < lun)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

size_t scsi_nexus_stats(const ScsiNexus *nexus, uint32_t first, ItlStats *ret, size_t max)
{
        size_t n = 0;

        for (size_t i = first_itl(nexus, first); i < nexus->n_itls && n < max; i++) {
                const Itl *itl = &nexus->itls[i];

                if (itl->slot)
                        ret[n++] = (ItlStats){ .lun = itl->lun, .done = itl->counters };
        }
        LIST_FOREACH (task, &nexus->tasks, Task, nexus_link) {
                ItlStats *s = task->slot ? find_stats(ret, n, task->itl->lun) : NULL;

                if (!s || !task->op || !(task->op->flags & OP_TRANSFER))
                        continue;
                if (task->op->flags & OP_WRITES) {
                        s->writes++;
                        s->write_bytes += task->out_want;
                } else {
                        s->reads++;
                        s->read_bytes += task_read_bytes(task);
                }
        }
        return n;
}

void nexus_make_latency(ScsiNexus *nexus)
{
        nexus->latency = calloc(1, sizeof(*nexus->latency));
        if (!nexus->latency)
                nexus->latency = &nexus->worker->past;
}

const IoLatency *nexus_own_latency(const ScsiNexus *nexus)
{
        return nexus->latency == &nexus->worker->past ? NULL : nexus->latency;
}

void scsi_nexus_latency(const ScsiNexus *nexus, IoLatency *ret)
{
        const IoLatency *own = nexus_own_latency(nexus);

        *ret = own ? *own : (IoLatency){ 0 };
}

/* The worker keeps what it did, and counts what is still to be sent. */
static void end_latency(ScsiNexus *nexus)
{
        IoLatency *past = &nexus->worker->past;

        if (nexus_own_latency(nexus)) {
                latency_merge(past, nexus->latency);
                free(nexus->latency);
        }
        nexus->latency = past;
}

/* ---- the end ------------------------------------------------------------------------------- */

static void run_closed(LoopTask *task)
{
        ScsiNexus *nexus = CONTAINER_OF(task, ScsiNexus, close_task);

        nexus->closed(nexus);
}

void scsi_nexus_close(ScsiNexus *nexus, void (*closed)(ScsiNexus *nexus))
{
        nexus->closing = true;
        nexus->closed = closed;
        nexus->close_task = (LoopTask){ .run = run_closed };
        nexus->n_pending++; /* ours */
        LIST_FOREACH_SAFE (task, &nexus->tasks, Task, nexus_link)
                task_give_up(task, GIVE_UP_SILENT);
        for (size_t i = 0; i < nexus->n_itls; i++)
                itl_give_back(&nexus->itls[i]);
        free_itls(nexus, TAKE_PTR(nexus->itls), nexus->n_itls);
        nexus->n_itls = 0;
        nexus->map = lun_map_unref(nexus->map);
        for (unsigned i = 0; i < NEXUS_THROTTLES; i++) {
                nexus->valves[i] = NULL;
                nexus->throttles[i] = throttle_unref(nexus->throttles[i]);
        }
        list_remove(&nexus->worker_link);
        end_latency(nexus);
        nexus_operation_done(nexus);
}
