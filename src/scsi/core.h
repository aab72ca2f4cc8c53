/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/counter.h"
#include "scsi/op.h"
#include "scsi/scsi.h"
#include "scsi/sense.h"

/* The objects behind scsi.h and who may touch them:
 *
 *   LuSlot, Itl, Task, Io, Channel   their worker's thread
 *   Coordinator                      the coordinator loop's thread
 *   GhostBoard                       its lock; taken only when a ghost begins or ends, and when a
 *                                    unit or channel begins or ends to use a store
 *   GhostSet, LuConfig               immutable */

/* ---- ghosts (ghost.c) -------------------------------------------------------------------- */

typedef struct GhostRange {
        uint64_t offset, end; /* bytes */
} GhostRange;

/* What may still change on a store though its task was given up, sorted by offset. */
typedef struct GhostSet {
        unsigned ref;    /* atomic */
        bool everywhere; /* there was no memory to say where */
        size_t n;
        GhostRange ranges[];
} GhostSet;

typedef struct GhostBoard GhostBoard;
typedef struct Io Io;

GhostBoard *ghost_board_get(Store *store); /* NULL: no memory */
GhostBoard *ghost_board_put(GhostBoard *b);
/* The unit is told (its coordinator posts) when the board changes. */
void ghost_board_subscribe(GhostBoard *b, LogicalUnit *lu);
void ghost_board_unsubscribe(GhostBoard *b, LogicalUnit *lu);
/* Returns the version of the board that has io. */
uint64_t ghost_board_add(GhostBoard *b, Io *io);
void ghost_board_remove(GhostBoard *b, Io *io);
/* NULL if there is none; never fails. */
GhostSet *ghost_board_snapshot(GhostBoard *b, uint64_t *ret_version);
GhostSet *ghost_set_ref(GhostSet *s);
GhostSet *ghost_set_unref(GhostSet *s);
bool ghost_set_overlaps(const GhostSet *s, uint64_t offset, uint64_t length) _pure_;

/* ---- unit state --------------------------------------------------------------------------- */

/* Bits of the mode pages that can change. */
enum {
        MODE_WCE = 1 << 0,
        MODE_D_SENSE = 1 << 1,
        MODE_SWP = 1 << 2,
        MODE_TAS = 1 << 3,
};

/* What VPD B0 and B2 say and the handlers enforce. Blocks. */
typedef struct LuLimits {
        uint32_t max_transfer;
        uint32_t max_unmap_blocks, max_unmap_descriptors; /* 0: no UNMAP */
        uint32_t unmap_granularity;
        uint64_t max_write_same;
        bool unmap;        /* LBPU, LBPWS, LBPWS10 */
        bool unmap_zeroes; /* LBPRZ */
        bool extents;      /* GET LBA STATUS */
} LuLimits;

/* What is done to the whole medium, or was (operation.c). */
typedef enum OperationState {
        OPERATION_NONE,
        OPERATION_FORMATTING,
        OPERATION_SANITIZING,
        OPERATION_FORMAT_FAILED,
        OPERATION_SANITIZE_FAILED,
} OperationState;

/* What is the same for all workers and changes only through the coordinator, which has the master;
 * each slot has a copy. */
typedef struct LuState {
        Store *store;       /* a reference, or NULL */
        GhostSet *ghosts;   /* a reference, or NULL */
        Throttle *throttle; /* a reference, or NULL */
        uint64_t ghosts_version;
        uint64_t blocks;
        uint64_t reserved_by; /* nexus id; 0: nobody */
        LuLimits limits;
        uint8_t mode, default_mode;
        bool config_readonly;
        bool readonly;
        bool ejected;
        bool retired;
        bool alone; /* no other worker has a slot */
        OperationState operation;
        bool restricted;   /* its failure is not to be left behind (AUSE was 0) */
        unsigned prevents; /* nexuses that prevent removal */
} LuState;

/* ---- coordinator (coordinator.c) ---------------------------------------------------------- */

typedef struct CoordOp CoordOp;
typedef struct Operation Operation;

typedef enum CoordAbort {
        COORD_ABORT_NONE,
        COORD_ABORT_ALL,       /* task management: the issuer's silently, others' by TAS */
        COORD_ABORT_IO,        /* what the store has: the store is exchanged */
        COORD_ABORT_RETIRE,    /* everything, with LOGICAL UNIT NOT SUPPORTED */
        COORD_ABORT_OPERATION, /* everything but the command that asks, with IN PROGRESS */
} CoordAbort;

/* One row per operation that is ordered across workers. */
typedef struct CoordKind {
        const char *name;
        CoordAbort abort; /* first phase: gates close, and this is given up */
        /* On the coordinator's thread, between the phases. true: tell the slots (second phase). */
        bool (*apply)(LogicalUnit *lu, CoordOp *op);
        /* When the slots have been told. true: done() comes later, by coord_answer(). */
        bool (*after)(LogicalUnit *lu, CoordOp *op);
} CoordKind;

struct CoordOp {
        LoopTask task;
        List link;
        const CoordKind *kind;
        LogicalUnit *lu; /* a reference while it is under way */
        Loop *origin;
        void (*done)(CoordOp *op); /* on origin; NULL: nobody waits */
        void *owner;               /* Task, Tmf, nexus: done()'s */
        LuSlot *slot;              /* JOIN, LEAVE, ORDER: whose */
        uint64_t nexus;            /* who asks; 0: nobody */
        int result;
        uint8_t mode_value, mode_mask;
        bool flag;            /* kind's */
        UnitAttention ua;     /* established by the second phase */
        uint64_t ua_except;   /* but not for this nexus */
        bool only_slot;       /* the second phase is for op->slot alone */
        bool clear_prevents;  /* the nexuses' own flags, with the second phase */
        bool opened;          /* the second phase has begun */
        bool released;        /* ORDER: its task has been told to go */
        bool cancelled;       /* ORDER: the coordinator knows of the following */
        LoopTask cancel;      /* ORDER: its task was given up before that */
        Operation *operation; /* OPERATE: what is to begin; op's until it has */
        bool immed;           /* OPERATE: done() when it has begun */
        bool begun;           /* OPERATE: done() is about its end */
        bool abandoned;       /* atomic; OPERATE: its task was given up */
};

extern const CoordKind coord_join, coord_leave, coord_ghosts, coord_clear, coord_reset,
        coord_reserve, coord_release, coord_nexus_gone, coord_mode, coord_prevent, coord_eject,
        coord_order, coord_order_end, coord_change, coord_limits, coord_retire, coord_store,
        coord_operate, coord_operate_exit, coord_operate_suspend, coord_operate_end;

typedef struct Coordinator {
        Loop *loop;
        LuState state;
        GhostBoard *board; /* of state.store */
        List members;
        unsigned n_members;
        List ops;
        CoordOp *current;
        unsigned n_acks;
        CoordOp *order; /* the barrier that holds, or is being raised */
        List orders;    /* barriers that wait for it */
        unsigned n_draining;
        List changes;
        LuChange *change;
        CoordOp change_op;
        CoordOp ghosts_op;
        bool ghosts_queued, ghosts_again;
        bool order_raised;
        Operation *operation; /* NULL: none is under way, and none has failed */
        CoordOp operation_end;
} Coordinator;

int coordinator_init(LogicalUnit *lu, Store *store, const LuOperation *operation);
void coordinator_done(LogicalUnit *lu);
/* From any thread; takes a reference on lu until done. */
void coord_submit(CoordOp *op, LogicalUnit *lu, Loop *origin);
/* The task of a coord_order was given up: do not wait for what is older. Its done() still comes. */
void coord_cancel_order(CoordOp *op);
/* The board's: posts a look at it. Called under the board's lock. */
void coord_notify_ghosts(LogicalUnit *lu);
/* One of our own, embedded, with nobody to tell. On the coordinator's thread, as is: */
void coord_run(LogicalUnit *lu, CoordOp *op);
/* An operation whose kind's after() has put that off is over. */
void coord_answer(LogicalUnit *lu, CoordOp *op);
/* The slot's answers, on the coordinator's thread. */
void coord_slot_ack(LogicalUnit *lu, bool drained);
void coord_slot_drained(LogicalUnit *lu);

/* ---- logical unit (lu.c) ------------------------------------------------------------------- */

/* Written by one worker, read by anybody (base/counter.h). */
typedef struct LuCounters {
        uint64_t reads, writes, others, read_bytes, write_bytes, errors;
        uint64_t in_flight; /* in the slot's task set */
        uint64_t ghosts, throttled, throttled_ns;
        size_t ghost_bytes; /* of their buffers; the worker's own */
        IoLatency *latency; /* made with the first channel: NULL until then (acquire) */
} LuCounters;

struct LogicalUnit {
        unsigned ref; /* atomic */
        LuConfig config;
        char *strings; /* of config */
        unsigned block_shift;
        uint32_t max_transfer; /* blocks */
        const OpSet *ops;
        struct UnitPage *pages; /* mode pages in order; NULL: those of the table, as they are */
        size_t n_pages;
        LuSlot *slots[SCSI_WORKERS_MAX];        /* each entry is one worker's */
        LuCounters *counters[SCSI_WORKERS_MAX]; /* likewise; readable by all (acquire) */
        Coordinator coord;
        List board_link; /* the board's lock */
        LoopTask ghosts_task;
        bool ghosts_posted; /* atomic; set under the board's lock */
        uint64_t size;      /* atomic, for lu_size() */
        unsigned flags;     /* atomic, for lu_flags() */
        LoopTask kept;      /* lu_kept() */
        int kept_result;
        /* atomics, for lu_operation() */
        unsigned operation_kind; /* LuOperationKind */
        bool operation_failed;
        uint64_t operation_done, operation_total;
        bool unmap, extents; /* atomics; they decide what commands there are */
};

/* mode.c: lu->pages from config; -EINVAL, -ENOMEM. */
int lu_pages_init(LogicalUnit *lu);
void lu_pages_done(LogicalUnit *lu);
/* What the unit begins with, and a reset brings back. */
uint8_t lu_default_mode(const LogicalUnit *lu, bool write_cache) _pure_;

static inline bool lu_can_unmap(const LogicalUnit *lu)
{
        return __atomic_load_n(&lu->unmap, __ATOMIC_RELAXED);
}

LogicalUnit *lu_ref_unless_gone(LogicalUnit *lu); /* NULL: the last reference is being dropped */
void lu_limits(const LogicalUnit *lu, const StoreCaps *caps, LuLimits *ret);
/* Tells lu_flags() what state says. */
void lu_show_flags(LogicalUnit *lu, const LuState *state);
/* Makes size, limits and readonly of state what its store says now. */
void lu_look_at_store(LogicalUnit *lu, LuState *state);
void lu_state_copy(LuState *to, const LuState *from); /* drops to's references */
void lu_state_clear(LuState *s);

/* ---- operations on the medium (operation.c) ---------------------------------------------------
 */

/* On the coordinator's thread: */
bool operation_apply(LogicalUnit *lu, CoordOp *op); /* of the kinds: apply() ... */
bool operation_apply_exit(LogicalUnit *lu, CoordOp *op);
bool operation_apply_end(LogicalUnit *lu, CoordOp *op);
bool operation_began(LogicalUnit *lu, CoordOp *op); /* ... and after() */
bool operation_leaves(LogicalUnit *lu, CoordOp *op);
bool operation_suspends(LogicalUnit *lu, CoordOp *op);
bool operation_ended(LogicalUnit *lu, CoordOp *op);
void operation_look(LogicalUnit *lu);          /* ghosts, size, store: something may have moved */
void operation_store_changes(LogicalUnit *lu); /* before it does */
void operation_retire(LogicalUnit *lu);
/* lu is new, and this was under way. -ENOMEM */
int operation_resume(LogicalUnit *lu, const LuOperation *what);
void operation_clear(LogicalUnit *lu); /* nobody has lu */

/* Any thread; operate.c from here: */
Operation *operation_new(const LuOperation *what); /* NULL: no memory */
Operation *operation_free(Operation *o);           /* which has not begun, or is over */
void operation_set_by(Operation *o, const char *by);
const LuOperation *operation_what(const Operation *o) _pure_;
OperationState operation_state(const LuOperation *what) _pure_;
/* What state makes of commands with these flags; false: nothing. */
bool operation_sense(const LogicalUnit *lu, OperationState state, uint32_t flags, Sense *ret);
/* The sense of who is in the way of op. */
Sense operation_sense_of(const CoordOp *op);
/* On a slot's thread. Asks for it; the handler is called again with what became of
 * it: operation_answer(). */
Run task_operate(Task *task, const LuOperation *what, bool immed);
Run operation_answer(Task *task, int r);

/* ---- worker, slot, nexus -------------------------------------------------------------------- */

/* How long a command took that came at since, if it is over now. Those of a batch mostly end in a
 * batch, so it is found once for many. */
typedef struct Lap {
        uint64_t since, ns;
        unsigned bucket; /* of ns in a histogram */
} Lap;

#define LAP_NONE UINT64_MAX /* since: nothing was looked up yet */

struct ScsiWorker {
        Loop *loop;
        BufferPool *buffers;
        ScsiLimits limits;
        uint64_t now;      /* of scsi_worker_tick() */
        Lap lap;           /* up to now */
        IoLatency past;    /* of nexuses that are closed, or had no memory for their own */
        uint64_t n_errors; /* readable by all */
        ScsiHost host;
        StoreHost *stores;
        const OpSet *controller_ops;
        Pool ios, ops, flows;
        List nexuses;
        unsigned n_slots;
        unsigned n_ghosts;
};

/* A worker's way to a store; counted, because ghosts keep theirs when the unit gets another. */
typedef struct Channel {
        unsigned ref;
        StoreChannel *store;
        GhostBoard *board;
        Loop *loop;
        LoopTask task;
} Channel;

static inline Channel *channel_ref(Channel *ch)
{
        ch->ref++;
        return ch;
}
Channel *channel_unref(Channel *ch);

/* I_T_L nexus: what one nexus has at one unit. */
typedef struct Itl {
        uint16_t lun;
        LuSlot *slot; /* NULL: the controller */
        ScsiNexus *nexus;
        uint32_t ua;    /* bits by UnitAttention */
        bool prevents;  /* prevents removal */
        bool throttled; /* the unit or the nexus has a valve */
        Flow *flows[2]; /* what waits at the unit's */
        CoordOp *gone;  /* coord_nexus_gone, made before the nexus gets something to give up */
        ItlCounters counters; /* the worker's own */
        List slot_link;
} Itl;

struct LuSlot {
        LogicalUnit *lu;
        ScsiWorker *worker;
        LuCounters *counters;
        Channel *channel; /* NULL until used */
        Valve *valve;     /* of state.throttle */
        LuState state;
        bool joined;
        bool closed;          /* between the phases of an operation */
        bool barrier;         /* an ordered task has the unit: only what is older may go on */
        uint64_t need_ghosts; /* closed until the state has this version of the board */
        uint64_t seq, barrier_seq;
        unsigned n_older;   /* tasks the barrier waits for */
        unsigned n_ordered; /* ORDERED tasks in waiting */
        unsigned n_itls;
        unsigned refs; /* I_T_L nexuses, operations, loans, tasks that are timed */
        List tasks;    /* DATA_OUT, RUNNING */
        List waiting;  /* GATED, by arrival */
        List loans;    /* COMPLETE, and Data-In is still the store's */
        List itls;
        LoopTimer timer; /* the first deadline in waiting */
        LoopTask kick;
        CoordOp membership;
        List member_link; /* the coordinator's */
        /* messages; each has one sender and is out at most once */
        LoopTask inbox; /* coordinator -> slot */
        CoordOp *inbox_op;
        bool inbox_open;
        LoopTask ack;     /* slot -> coordinator */
        bool ack_drained; /* goes with ack */
        LoopTask drained; /* slot -> coordinator */
        bool drain_due;
};

LuSlot *slot_get(ScsiWorker *w, LogicalUnit *lu); /* a reference, or NULL: no memory */
LuSlot *slot_gone(LuSlot *slot);                  /* nobody has a reference any more */
static inline LuSlot *slot_unref(LuSlot *slot)
{
        return !slot || LIKELY(--slot->refs > 0) ? NULL : slot_gone(slot);
}
static inline LuSlot *slot_ref(LuSlot *slot)
{
        slot->refs++;
        return slot;
}
/* Message of the coordinator's round. */
void slot_receive(LoopTask *task);
Channel *slot_channel(LuSlot *slot); /* not a reference; NULL with no memory or no store */

static inline bool slot_gated(const LuSlot *slot)
{
        return !slot->joined || slot->closed || slot->barrier || slot->n_ordered > 0 ||
               slot->need_ghosts > slot->state.ghosts_version;
}

/* task enters and leaves a slot's task set */
void slot_add(LuSlot *slot, Task *task);
void slot_remove(Task *task);
void slot_wait(Task *task); /* into waiting, by arrival */
bool slot_may_enter(const LuSlot *slot, const Task *task) _pure_;
void slot_kick_later(LuSlot *slot);
/* waits for a ghost; BUSY at the deadline */
void slot_wait_ghost(Task *task);
/* Raises the barrier for an ORDERED task; -ENOMEM. */
int order_begin(Task *task);

/* ---- limits of rate (throttle.c) ----------------------------------------------------------- */

typedef enum Direction { DIRECTION_READ, DIRECTION_WRITE, _DIRECTION_MAX } Direction;

#define THROTTLE_STAGES (NEXUS_THROTTLES + 1) /* the nexus' throttles, then the unit's */

/* The tasks of one nexus that wait at a valve for one direction. */
struct Flow {
        List link; /* the valve's */
        List tasks;
};

/* Charges the task at each valve that it has not passed. false: it waits, or it is over. */
bool throttle_pass(Task *task);
/* A task that waits is given up. */
void throttle_leave(Task *task);
Valve *throttle_valve(Throttle *t, const ScsiWorker *w);
/* The unit has other limits: takes what waits for the old ones out of their queues, before they go;
 * when slot->valve is the new one it goes on. */
void throttle_suspend_slot(LuSlot *slot, List *ret);
void throttle_resume(List *suspended);
/* The limits of slot, or the LUNs of nexus, are others. */
void slot_look_at_throttle(LuSlot *slot);
void nexus_look_at_throttles(ScsiNexus *nexus);

void itl_establish(Itl *itl, UnitAttention ua);
/* The next condition, which is thereby cleared; UA_NONE. */
UnitAttention itl_take_attention(Itl *itl);

struct LunMap {
        unsigned ref; /* atomic */
        size_t n;
        LunMapEntry entries[];
};

#define LUN_NONE UINT32_MAX
#define LUN_REPORT_LUNS 0xc101u /* REPORT LUNS well-known logical unit (SPC-4 8.2) */
/* The number in an 8 byte LUN, LUN_REPORT_LUNS, or LUN_NONE for what nobody has. */
uint32_t lun_decode(const uint8_t lun[8]) _pure_;
void lun_encode(uint16_t lun, uint8_t ret[8]);
Itl *nexus_itl(ScsiNexus *nexus, uint32_t lun) _pure_;
/* A nexus has memory for times from its first command that is timed on. Without memory, and when it
 * is closed, its worker's past takes them. */
void nexus_make_latency(ScsiNexus *nexus);
const IoLatency *nexus_own_latency(const ScsiNexus *nexus) _pure_; /* or NULL */
/* One operation of the nexus that close has to wait for. */
void nexus_operation_done(ScsiNexus *nexus);

CoordOp *coord_op_new(ScsiWorker *w, const CoordKind *kind, void *owner);

/* ---- tasks and their requests (task.c, io.c) ------------------------------------------------- */

struct Io {
        StoreRequest req;
        Task *task; /* NULL: given up */
        ScsiWorker *worker;
        Channel *channel; /* a reference */
        Buffer *buffer;   /* a reference, or NULL */
        LogicalUnit *lu;  /* a reference once it is a ghost */
        LuCounters *counters;
        List ghost_link; /* the board's */
        bool changes;    /* the medium */
        bool on_board;
        bool submitted;
};

/* Prepares task->io; false: out of memory, and the task has its status. */
bool io_prepare(Task *task, StoreOp op, uint64_t lba, uint64_t blocks, Buffer *buffer,
                uint32_t buffer_offset);
/* true: length bytes from lba on are the task's Data-In, as a loan, and the task is done. */
bool task_lend(Task *task, uint32_t length);
void task_loan_begin(Task *task); /* it has left the task set */
void task_loan_end(Task *task);
/* All that is not sent yet is copied: nothing that is done to the unit from now on changes it. */
void slot_recall_loans(LuSlot *slot);
/* true: complete with *ret_r. */
bool io_issue(Io *io, int *ret_r);
Io *io_free(Io *io);
/* Detaches io from its task; its range is a ghost from now on if it changes the medium. The slot
 * lets nothing in before every slot knows. true: it is such a ghost. */
bool io_give_up(Io *io, LuSlot *slot);
/* Sends the prepared flush or read on its way without its task (IMMED). */
void io_detach(Task *task);

static inline const uint8_t *task_cdb(const Task *task)
{
        return task->long_cdb ? task->long_cdb : task->cdb;
}

/* Bytes that a command that transfers asks to read. */
static inline uint64_t task_read_bytes(const Task *task)
{
        return min_u64(task->blocks << task->slot->lu->block_shift, task->in_expected);
}

Run task_sense(Task *task, Sense sense);
Run task_check(Task *task, SenseKey key, uint16_t asc);
Run task_bad_cdb(Task *task, int byte, int bit);
Run task_bad_parameter(Task *task, int byte, int bit);
Run task_status(Task *task, ScsiStatus status);
/* The status for an errno of the store. */
Run task_store_error(Task *task, int r);
/* Not ready, ejected, an operation: sense of the unit's medium; false: it is there. */
bool slot_medium_sense(const LuSlot *slot, Sense *ret);
/* An I/O buffer for what is to be task's buffer or in_buffer. NULL: no memory, or others need it
 * more; TASK SET FULL. */
Buffer *task_buffer(Task *task, size_t size);
/* Buffer for at most max bytes of parameter data; false: none, and the task has its status. */
bool task_reply(Task *task, size_t max, void *ret_writer);
/* Ends it: cuts to what CDB and initiator allow. GOOD. */
Run task_reply_done(Task *task, const void *writer);
/* Operations on the unit's state: runs kind and resumes the task with its result. */
CoordOp *task_coord_op(Task *task, const CoordKind *kind);
Run task_coord_run(Task *task, CoordOp *op);

void task_advance(Task *task, int r);
void task_finish(Task *task);
/* A task in waiting may go on: through the gates, or to its handler. */
void task_enable(Task *task);
/* The same, unless its slot's gate has closed meanwhile. */
void task_go_on(Task *task);
/* Gives up whatever it is doing. status: complete with what is in task, else aborted(). Returns
 * true if it left a ghost. */
typedef enum GiveUp { GIVE_UP_SILENT, GIVE_UP_TASK_ABORTED, GIVE_UP_COMPLETE } GiveUp;
bool task_give_up(Task *task, GiveUp how);
void task_event(Task *task, ScsiEventKind kind, int error);
