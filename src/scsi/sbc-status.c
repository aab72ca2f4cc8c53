/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "scsi/core.h"

/* GET LBA STATUS (SBC-4 5.6). Only the file system knows, and asking it may wait: a job of the
 * store's asks. The command can be given up meanwhile; the job then tells nobody. */

#define HEADER 8
#define DESCRIPTOR 16
#define DESCRIPTORS_MAX 64

bool sbc_has_extents(const LuSlot *slot)
{
        return __atomic_load_n(&slot->lu->extents, __ATOMIC_RELAXED);
}

typedef struct Extent {
        uint64_t lba, blocks;
        bool mapped;
} Extent;

typedef struct Look {
        CoordOp op; /* never submitted: it is how a task is told from one that was given up */
        LoopJob job;
        Store *store;
        unsigned shift;
        uint64_t lba, end;
        int result;
        unsigned n, max;
        Extent found[DESCRIPTORS_MAX];
} Look;

static Look *look_of(CoordOp *op)
{
        return CONTAINER_OF(op, Look, op);
}

/* Blocks from lba on that are all mapped, or all not; one that is so in part is mapped. */
static int next_extent(const Look *look, uint64_t lba, Extent *ret)
{
        uint64_t offset = lba << look->shift, length;
        int r = store_extent(look->store, offset, &ret->mapped, &length);

        if (r < 0)
                return r;
        ret->lba = lba;
        ret->blocks = length >> look->shift;
        if (ret->blocks == 0 || (ret->mapped && (length & ((UINT64_C(1) << look->shift) - 1)))) {
                ret->blocks++;
                ret->mapped = true;
        }
        ret->blocks = min_u64(ret->blocks, look->end - lba);
        return 0;
}

static void add_extent(Look *look, const Extent *e)
{
        Extent *last = look->n > 0 ? &look->found[look->n - 1] : NULL;

        if (last && last->mapped == e->mapped)
                last->blocks += e->blocks;
        else
                look->found[look->n++] = *e;
}

static void look_work(LoopJob *job)
{
        Look *look = CONTAINER_OF(job, Look, job);
        uint64_t lba = look->lba;

        /* one more than there is room for, so that the last is whole */
        while (look->result == 0 && lba < look->end) {
                Extent e;

                look->result = next_extent(look, lba, &e);
                if (look->result < 0 ||
                    (look->n == look->max && look->found[look->n - 1].mapped != e.mapped))
                        return;
                add_extent(look, &e);
                lba += e.blocks;
        }
}

static void look_done(LoopJob *job)
{
        Look *look = CONTAINER_OF(job, Look, job);
        LuSlot *slot = look->op.slot;
        Task *task = look->op.owner;

        if (task)
                task_advance(task, look->result);
        store_unref(look->store);
        free(look);
        slot_unref(slot);
}

static Run begin(Task *task)
{
        LuSlot *slot = task->slot;
        uint64_t allocation = cdb_field(task_cdb(task), task->op->length);
        Look *look = calloc(1, sizeof(*look));

        if (!look)
                return task_status(task, SCSI_BUSY);
        look->op.owner = task;
        look->op.slot = slot_ref(slot);
        look->job = (LoopJob){ .work = look_work, .done = look_done };
        look->store = store_ref(slot->state.store);
        look->shift = slot->lu->block_shift;
        look->lba = task->lba;
        look->end = slot->state.blocks;
        look->max =
                allocation < HEADER + 2 * DESCRIPTOR
                        ? 1
                        : (unsigned)min_u64((allocation - HEADER) / DESCRIPTOR, DESCRIPTORS_MAX);
        task->coord_op = &look->op;
        task->step = 1;
        loop_job(slot->worker->loop, store_lane(look->store), &look->job);
        return RUN_WAIT;
}

static void write_extent(Writer *w, const Extent *e)
{
        write_be64(w, e->lba);
        write_be32(w, (uint32_t)min_u64(e->blocks, UINT32_MAX));
        write_u8(w, e->mapped ? 0 : 1); /* mapped (or unknown), deallocated */
        write_fill(w, 0, 3);
}

Run sbc_get_lba_status(Task *task, int r)
{
        const Look *look;
        Writer w;

        if (task->step == 0) {
                if (task->lba >= task->slot->state.blocks)
                        return task_check(task, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
                return begin(task);
        }
        look = look_of(TAKE_PTR(task->coord_op));
        if (r < 0)
                return task_store_error(task, r);
        if (!task_reply(task, HEADER + DESCRIPTORS_MAX * DESCRIPTOR, &w))
                return RUN_DONE;
        write_be32(&w, 0);
        write_be32(&w, 0);
        for (unsigned i = 0; i < look->n; i++) {
                write_extent(&w, &look->found[i]);
                if (look->found[i].blocks > UINT32_MAX)
                        break; /* what comes next is not next to it */
        }
        patch_be32(&w, 0, (uint32_t)(writer_stored(&w) - 4));
        return task_reply_done(task, &w);
}
