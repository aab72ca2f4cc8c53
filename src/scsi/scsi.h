/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"
#include "base/histogram.h"
#include "base/list.h"
#include "base/loop.h"
#include "base/pool.h"
#include "store/store.h"

/* scsi: the SAM-5 device server. Logical units, commands, task management. No network, no threads,
 * no sockets: it runs on whatever Loop it is given.
 *
 *   LogicalUnit   one per unit of the host, shared: identity, store, one LuSlot per worker
 *   LuSlot        a worker's part of it: tasks in flight, gate, state copy, counters, channel
 *   ScsiWorker    a worker's device server: slots, buffers, object pools
 *   LunMap        LUN -> LogicalUnit, immutable, reference-counted
 *   ScsiNexus     I_T nexus, owned by one worker; holds an I_T_L state per mapped LUN
 *   Task          one command; embedded in the transport's own command structure
 *   Throttle      limits of rate, of a unit or of some nexuses; shared by all workers
 *
 * Threads. A command touches its worker, its nexus and its slot, all of one thread, so it takes no
 * lock and no atomic. What must be ordered across workers goes through the unit's coordinator (one
 * worker's loop) by message: it closes the gates of all slots, waits until what must be drained is,
 * acts, hands every slot a new LuState, and opens the gates. Commands that meet a closed gate wait
 * in their slot.
 *
 * A request that the store still has when its task is given up becomes a ghost: it keeps buffer,
 * range and store reference; before the abort is answered, every slot of the unit knows the range,
 * and what overlaps it waits (BUSY after ScsiLimits.ghost_wait). Ghosts belong to the store, so
 * they also hold for a unit that is made anew over it.
 *
 * May include: base, store. */

typedef struct LogicalUnit LogicalUnit;
typedef struct LuSlot LuSlot;
typedef struct LunMap LunMap;
typedef struct ScsiWorker ScsiWorker;
typedef struct ScsiNexus ScsiNexus;
typedef struct Task Task;
typedef struct Throttle Throttle;
typedef struct Valve Valve;
typedef struct Flow Flow;

#define SCSI_WORKERS_MAX 64
#define CDB_MAX 260 /* SPC-4 4.2.3: variable length CDB */
#define SENSE_MAX 96

/* SAM-5 table 33 */
typedef enum ScsiStatus {
        SCSI_GOOD = 0x00,
        SCSI_CHECK_CONDITION = 0x02,
        SCSI_CONDITION_MET = 0x04,
        SCSI_BUSY = 0x08,
        SCSI_RESERVATION_CONFLICT = 0x18,
        SCSI_TASK_SET_FULL = 0x28,
        SCSI_ACA_ACTIVE = 0x30,
        SCSI_TASK_ABORTED = 0x40,
} ScsiStatus;

typedef enum TaskAttribute {
        TASK_SIMPLE,
        TASK_ORDERED,
        TASK_HEAD_OF_QUEUE,
        TASK_ACA
} TaskAttribute;

/* ---- tasks ------------------------------------------------------------------------------- */

/* The transport's side. All are called on the nexus' loop, and may be called from inside
 * task_submit() and task_data_out_done(): they queue, they do not re-enter. */
typedef struct TaskOps {
        /* Receive Data-Out (SAM-5 5.4.3): task->out_want bytes are to be put at task->buffer->data,
         * then task_data_out_done(). What the initiator has beyond that is thrown away and shows in
         * the residual. */
        void (*get_data)(Task *task);
        /* Send Data-In and Send Command Complete: status, sense, in_iov are set. The transport
         * calls task_release() when the bytes have left. */
        void (*complete)(Task *task);
        /* The task was aborted: no response is due unless with_status (TAS=1: TASK ABORTED is in
         * status). The transport forgets its data transfers and calls task_release(). */
        void (*aborted)(Task *task, bool with_status);
        /* After complete(): the store wants back what it lent. What was at `from` is at in_iov now;
         * n_in_iov is 0: there is no memory for it, and the transport has to break off. */
        void (*recalled)(Task *task, const uint8_t *from);
} TaskOps;

typedef enum TaskState {
        TASK_IDLE,      /* the transport's */
        TASK_GATED,     /* waits in its slot: gate, order or ghost */
        TASK_THROTTLED, /* waits at a valve: a limit of rate */
        TASK_DATA_OUT,  /* waits for the transport's data */
        TASK_RUNNING,   /* a handler has it: store requests are under way */
        TASK_COMPLETE,  /* the transport is sending; waits for task_release() */
        TASK_GIVEN_UP,  /* aborted() was called; waits for task_release() */
} TaskState;

struct Task {
        /* The transport fills these (the rest is zero) and calls task_submit(): */
        const TaskOps *ops;
        ScsiNexus *nexus;
        uint64_t tag; /* unique within the nexus; iSCSI: the ITT */
        uint8_t lun[8];
        TaskAttribute attribute;
        uint8_t priority;
        uint16_t cdb_length;
        uint8_t cdb[32];
        const uint8_t *long_cdb; /* whole CDB if cdb_length > 32, valid until release; else NULL */
        bool reads, writes;      /* what the initiator said it expects */
        uint32_t in_expected;    /* bytes it will take */
        uint32_t out_expected;   /* bytes it will send */
        bool takes_memory; /* it need not look at Data-In: that may be a loan, and still change */

        /* Results, valid in complete(): */
        ScsiStatus status;
        uint16_t sense_length;
        uint8_t sense[SENSE_MAX];
        struct iovec in_iov[2]; /* Data-In, at most in_expected bytes, in task's buffers */
        unsigned n_in_iov;
        uint32_t in_length;  /* bytes in in_iov */
        StoreLoan loan;      /* memory is not NULL: in_iov is it */
        uint64_t in_wanted;  /* what the command had, cut or not: residual (RFC 7143 11.4.5) */
        uint64_t out_wanted; /* what the command takes: residual */

        /* Data-Out: both are set when task_submit() returns, unless the task is over by then: what
         * comes with the command (immediate data) can go straight to buffer. NULL: none is taken.
         */
        Buffer *buffer;
        uint32_t out_want; /* min(out_expected, out_wanted) */

        /* scsi's own: */
        TaskState state;
        uint64_t since; /* ns: the batch it came with */
        List slot_link; /* in its slot's list: of tasks, of what waits, or of loans */
        List nexus_link;
        const struct ScsiOp *op;
        LuSlot *slot; /* NULL: no unit at that LUN, or the controller */
        struct Itl *itl;
        struct Io *io; /* what the store has, or NULL */
        Buffer *in_buffer;
        struct Channel *lender; /* Data-In is a loan of its store's */
        uint64_t lba;
        uint64_t blocks;
        uint64_t cursor;          /* the handler's: blocks done */
        unsigned step;            /* the handler's */
        uint32_t aux;             /* the handler's */
        uint64_t seq;             /* order of arrival in its slot */
        uint64_t deadline_ns;     /* waits for a ghost until then; 0: does not */
        uint64_t ghosts_seen;     /* version of the ghosts it was checked against */
        bool admitted;            /* has passed the gates that a command passes once */
        bool data_ready;          /* Data-Out is in buffer */
        bool go;                  /* ORDERED: everything older is over */
        bool older;               /* an ordered task, perhaps elsewhere, waits for it */
        bool delayed;             /* has waited at a valve */
        bool timed;               /* complete, and its time is to be counted: keeps slot */
        uint8_t stage;            /* the valve where it waits or is to be charged next */
        uint64_t throttled_at;    /* waits at it since */
        List flow_link;           /* in the queue before it */
        struct CoordOp *order_op; /* ORDERED: its barrier */
        struct CoordOp *coord_op; /* a change of the unit's state it waits for */
};

/* Takes the task: exactly one of complete() and aborted() follows. */
void task_submit(Task *task);
/* After get_data(): r is 0 when all bytes are there, negative errno if the transport failed (the
 * task then completes with ABORTED COMMAND 0b/4b xx). */
void task_data_out_done(Task *task, int r);
/* The transport has no more use for buffers and result; the structure is its own again. */
void task_release(Task *task);

/* ---- task management (SAM-5 7) -------------------------------------------------------------- */

typedef enum TmfFunction {
        TMF_ABORT_TASK,
        TMF_ABORT_TASK_SET,
        TMF_CLEAR_TASK_SET,
        TMF_LOGICAL_UNIT_RESET,
        TMF_TARGET_WARM_RESET,
        TMF_TARGET_COLD_RESET,
        TMF_CLEAR_ACA,
        TMF_QUERY_TASK,
        TMF_QUERY_TASK_SET,
        TMF_I_T_NEXUS_RESET,
} TmfFunction;

typedef enum TmfResponse {
        TMF_COMPLETE,
        TMF_SUCCEEDED, /* queries: the task is there */
        TMF_NO_TASK,
        TMF_NO_LUN,
        TMF_NOT_SUPPORTED,
        TMF_REJECTED,
} TmfResponse;

/* Embedded by the transport; done() is called once, on the nexus' loop, perhaps from inside
 * scsi_tmf(). It comes within bounded time whatever the stores do. */
typedef struct Tmf {
        ScsiNexus *nexus;
        TmfFunction function;
        uint8_t lun[8];
        uint64_t tag; /* ABORT TASK, QUERY TASK */
        void (*done)(struct Tmf *tmf);
        TmfResponse response;
        /* scsi's own: */
        unsigned n_pending;
} Tmf;

void scsi_tmf(Tmf *tmf);

/* ---- limits of rate (throttle.c) ---------------------------------------------------------------
 */

typedef enum ThrottleKind {
        THROTTLE_IOPS, /* commands that read, write, verify, unmap or flush */
        THROTTLE_READ_IOPS,
        THROTTLE_WRITE_IOPS,
        THROTTLE_BYTES, /* that they transfer, or verify without a transfer */
        THROTTLE_READ_BYTES,
        THROTTLE_WRITE_BYTES,
        _THROTTLE_MAX
} ThrottleKind;

#define THROTTLE_RATE_MAX UINT64_C(1000000000000)
#define THROTTLE_BURST_DEFAULT (100 * NSEC_PER_MSEC)

typedef struct ThrottleLimits {
        uint64_t rate[_THROTTLE_MAX]; /* a second; 0: no limit */
        uint64_t burst_ns;            /* what was not used stays for so long; 0: the default */
} ThrottleLimits;

bool throttle_limits_equal(const ThrottleLimits *a, const ThrottleLimits *b) _pure_;
bool throttle_limits_any(const ThrottleLimits *limits) _pure_; /* false: nothing is limited */
/* For workers with an index below n_workers. now: the monotonic time from which on the rate counts.
 */
int throttle_new(const ThrottleLimits *limits, unsigned n_workers, uint64_t now, Throttle **ret);
Throttle *throttle_ref(Throttle *t);   /* any thread; NULL is NULL */
Throttle *throttle_unref(Throttle *t); /* any thread */

/* ---- nexuses and maps ------------------------------------------------------------------------ */

/* A map is made whole, then never changed. Units are referenced. */
typedef struct LunMapEntry {
        uint16_t lun; /* 0..16383 */
        LogicalUnit *lu;
} LunMapEntry;

int lun_map_new(const LunMapEntry *entries, size_t n, LunMap **ret); /* ascending, unique LUNs */
LunMap *lun_map_ref(LunMap *m);                                      /* any thread */
LunMap *lun_map_unref(LunMap *m);                                    /* any thread */

#define NEXUS_THROTTLES 2 /* by the initiator's name, and by its address */

/* Embedded by the transport in its session. */
struct ScsiNexus {
        /* The transport fills these: */
        ScsiWorker *worker;
        const char *initiator_port; /* "iqn...,i,0x..." (SPC-4 7.6.4.5), the transport's, stable */
        const char *target_port;    /* "iqn...,t,0x0001" */
        const char *target_name;
        uint64_t session;       /* the transport's number of it, for who traces commands */
        uint16_t relative_port; /* relative target port identifier */
        uint8_t protocol;       /* SPC-4 table 477: 5 is iSCSI */
        /* scsi's own: */
        LunMap *map;
        struct Itl *itls;
        size_t n_itls;
        List tasks;
        List worker_link;
        uint64_t id;         /* unique in the process, never reused */
        size_t buffer_bytes; /* that its tasks hold */
        IoLatency *latency;  /* of all its LUNs, the worker's own; NULL: nothing was timed yet */
        bool closing;
        unsigned n_pending;
        void (*closed)(ScsiNexus *nexus);
        LoopTask close_task;
        Throttle *throttles[NEXUS_THROTTLES];
        Valve *valves[NEXUS_THROTTLES];
        Flow *flows[NEXUS_THROTTLES][2];
};

/* Establishes 29/00 (or 29/07 for a lost nexus) on every LUN. Takes a reference on map. */
int scsi_nexus_open(ScsiNexus *nexus, LunMap *map);
/* The target's map changed: tasks on units that left are aborted, 3F/0E is established. */
int scsi_nexus_remap(ScsiNexus *nexus, LunMap *map);
/* What limits the nexus over all its LUNs, together with others that have the same; each may be
 * NULL. Takes references. What waits is timed anew. */
void scsi_nexus_set_throttles(ScsiNexus *nexus, Throttle *const throttles[NEXUS_THROTTLES]);
/* I_T nexus loss: aborts every task (each gets aborted()), makes ghosts known to all slots, gives
 * up what the nexus reserved. Then closed(), once, never from inside; only after it may a session
 * of the same name and port begin. The structure stays until every task has been released. */
void scsi_nexus_close(ScsiNexus *nexus, void (*closed)(ScsiNexus *nexus));

/* ---- units: control plane -------------------------------------------------------------------- */

#define LU_SERIAL_MAX 252u  /* a page that also those read who know 255 bytes at most */
#define LU_SCSI_ID_MAX 244u /* with the vendor 252: the length of a designator is one byte */

/* Fixed for the life of the unit; strings are copied, NULL is "". Lengths are SPC-4's. */
typedef struct LuIdentity {
        uint8_t uuid[16];
        uint8_t naa[16];     /* NAA 6, 16 bytes */
        const char *serial;  /* unit serial number: at most LU_SERIAL_MAX */
        const char *scsi_id; /* T10 vendor id designator, without the vendor: LU_SCSI_ID_MAX */
        char vendor[9], product[17], revision[5];
        bool stgt;            /* laid out as stgt does, to the byte: scsi_id with its vendor */
        uint8_t naa_local[8]; /* then also NAA 3 */
} LuIdentity;

bool lu_identity_equal(const LuIdentity *a, const LuIdentity *b) _pure_;

typedef enum LuThin { LU_THICK, LU_THIN } LuThin;

/* A mode page as the administrator words it: initiators read it and cannot change it. Bits that do
 * something here (WCE, D_SENSE, SWP, TAS) do it. */
typedef struct LuModePage {
        uint8_t page, subpage;
        uint8_t length; /* of bytes, which are what follows the page's header */
        uint8_t bytes[255];
} LuModePage;

#define LU_MODE_PAGES_MAX 24

/* FORMAT UNIT or SANITIZE, as it is to be gone on with after the process or the machine has ended:
 * a sanitize that has begun ends with nothing else (SBC-4 4.11.3), and no more does a format here.
 */
typedef enum LuOperationKind {
        LU_OPERATION_NONE,
        LU_OPERATION_FORMAT,
        LU_OPERATION_OVERWRITE,
        LU_OPERATION_BLOCK_ERASE,
} LuOperationKind;

#define LU_PATTERN_MAX 4096 /* a block */
#define LU_BY_MAX 256

typedef struct LuOperation {
        LuOperationKind kind;
        bool failed;
        int error;         /* of a failure: negative errno */
        bool unrestricted; /* AUSE: a failure can be left behind without another that succeeds */
        bool invert;       /* ... the pattern, with each pass but the last */
        uint8_t passes;    /* at least 1 */
        uint16_t pattern_length; /* each block begins with it anew; 0: zeros */
        uint8_t pattern[LU_PATTERN_MAX];
        char by[LU_BY_MAX]; /* who asked, for people; a command's: its initiator port */
        /* scsi's own: what has been done and is on the medium, and which medium that is */
        uint8_t pass;
        uint64_t offset;
        StoreIdentity store;
        uint64_t size; /* 0: none has been seen yet */
} LuOperation;

/* Who keeps what a unit is to remember. */
typedef struct LuKeeper {
        /* On the coordinator's thread. Copies what (NULL: nothing is under way), and calls
         * lu_kept() when no crash can make it forgotten, or with why that cannot be. */
        void (*keep)(void *userdata, LogicalUnit *lu, const LuOperation *what);
        /* On the same: the store has gone, which somebody should look at. */
        void (*gone)(void *userdata, LogicalUnit *lu);
        void *userdata;
} LuKeeper;

typedef struct LuConfig {
        LuIdentity identity;
        const char *name;    /* for events: the backing path or type */
        uint32_t block_size; /* 512 or 4096 */
        uint8_t lbppbe;      /* logical blocks per physical block exponent: 512e is 3 */
        uint16_t lowest_aligned;
        uint32_t opt_granularity, opt_length; /* blocks, VPD B0 */
        uint32_t max_transfer;                /* blocks, VPD B0; what a command may ask for */
        uint16_t rotation_rate;               /* VPD B1: 0 not reported, 1 non-rotating */
        LuThin thin;
        bool readonly;
        bool write_cache;
        bool removable;
        bool descriptor_sense;
        uint64_t size;                /* bytes served; 0: the store's size rounded down */
        const LuModePage *mode_pages; /* copied; each page and subpage at most once */
        size_t n_mode_pages;          /* at most LU_MODE_PAGES_MAX */
        Throttle *throttle; /* referenced; NULL: no limits. LU_CHANGE_LIMITS sets another */
        const LuOperation *operation; /* copied; what was kept; NULL: nothing */
        const LuKeeper *keeper;       /* outlives the unit; NULL: nothing is remembered */
} LuConfig;

/* store may be NULL: the unit answers 02/04 until lu_set_store(). coordinator: the loop that orders
 * what must be ordered across workers. Takes a reference on store. Control thread. */
int lu_new(const LuConfig *config, Store *store, Loop *coordinator, LogicalUnit **ret);
LogicalUnit *lu_ref(LogicalUnit *lu);   /* any thread */
LogicalUnit *lu_unref(LogicalUnit *lu); /* any thread */
const LuConfig *lu_config(const LogicalUnit *lu);

/* A change from the control plane, carried out through the coordinator; done() runs on origin. */
typedef enum LuChangeKind {
        LU_CHANGE_STATE,  /* config's changeable part: readonly, write_cache; UA 2A/01 */
        LU_CHANGE_STORE,  /* another store, or none; UA 2A/09 if the size differs, else 28/00 */
        LU_CHANGE_SIZE,   /* the store's size is read anew; UA 2A/09 */
        LU_CHANGE_LIMITS, /* of rate; what waits is timed anew */
        LU_CHANGE_RETIRE, /* no longer served: tasks aborted, channels detached, ghosts stay with
                             the store */
} LuChangeKind;

typedef struct LuChange {
        LuChangeKind kind;
        Store *store;       /* STORE: referenced on success */
        Throttle *throttle; /* LIMITS: referenced; NULL: none */
        bool readonly, write_cache;
        Loop *origin;
        void (*done)(struct LuChange *change);
        LogicalUnit *lu;
        /* scsi's own: */
        LoopTask task;
        List link;
} LuChange;

void lu_change(LogicalUnit *lu, LuChange *change);

/* ---- operations on the whole medium (operation.c) ----------------------------------------------
 * One at a time, while which no command gets at the medium. It goes on whatever becomes of the
 * command that asked for it, of its nexus, and of the process. */

/* The last keep() is over: r is 0 or negative errno. Any thread. */
void lu_kept(LogicalUnit *lu, int r);

typedef enum LuOperate {
        LU_OPERATE_START,
        LU_OPERATE_EXIT,    /* leave the failure of a sanitize or a format behind */
        LU_OPERATE_SUSPEND, /* the process ends: keep how far it is, and do no more */
} LuOperate;

/* r: 0 when it has begun (what is kept) or is done; -EBUSY one is under way; -EROFS, -ENODEV;
 * -EPERM the failure is one that must be mended; otherwise it could not be kept. */
typedef void LuOperateDone(void *userdata, int r);
/* done() runs on origin, once. what: of START, copied. -ENOMEM: it does not. */
int lu_operate(LogicalUnit *lu, LuOperate how, const LuOperation *what, Loop *origin,
               LuOperateDone *done, void *userdata);

typedef struct LuOperationInfo {
        LuOperationKind kind; /* NONE: nothing else is said */
        bool failed;
        uint64_t done, total; /* bytes, over all passes */
} LuOperationInfo;

void lu_operation(const LogicalUnit *lu, LuOperationInfo *ret); /* any thread */

/* Sums over slots of relaxed per-worker counters; any thread. */
typedef struct LuStats {
        uint64_t reads, writes, others; /* commands completed */
        uint64_t read_bytes, write_bytes;
        uint64_t errors; /* CHECK CONDITION but unit attention */
        uint64_t in_flight, ghosts;
        uint64_t throttled, throttled_ns; /* commands that waited for a limit, and for how long */
} LuStats;

void lu_stats(const LogicalUnit *lu, LuStats *ret);

/* How long commands took that read or wrote and ended well: from the batch of bytes they came with
 * (scsi_worker_tick()) until the transport had nothing of their answer left to send. So the time in
 * gates, in the store and in our queues is in it, and the network's is not. Each is counted for its
 * unit and for its nexus. */
void lu_latency(const LogicalUnit *lu, IoLatency *ret); /* any thread */
/* On the nexus' loop. */
void scsi_nexus_latency(const ScsiNexus *nexus, IoLatency *ret);

/* What one nexus did at one unit. lost: begun, then given up. */
typedef struct ItlCounters {
        uint64_t reads, writes, others, read_bytes, write_bytes, errors;
        uint64_t lost_reads, lost_writes, lost_read_bytes, lost_write_bytes;
} ItlCounters;

typedef struct ItlStats {
        uint16_t lun;
        ItlCounters done;
        uint64_t reads, writes, read_bytes, write_bytes; /* under way; bytes that they ask for */
} ItlStats;

/* Of the mapped LUNs from number first on, ascending, at most max; on the nexus' loop. */
size_t scsi_nexus_stats(const ScsiNexus *nexus, uint32_t first, ItlStats *ret, size_t max);

uint64_t lu_size(const LogicalUnit *lu); /* bytes; any thread */

/* What initiators have asked for. */
typedef enum LuFlags {
        LU_PREVENTED = 1 << 0,       /* removal of the medium, by PREVENT ALLOW MEDIUM REMOVAL */
        LU_EJECTED = 1 << 1,         /* by START STOP UNIT */
        LU_WRITE_PROTECTED = 1 << 2, /* by SWP of the control mode page */
} LuFlags;
unsigned lu_flags(const LogicalUnit *lu); /* any thread */

/* ---- workers ----------------------------------------------------------------------------------
 */

typedef struct ScsiLimits {
        uint64_t ghost_wait;     /* ns a command waits for a ghost before BUSY; 5 s */
        uint32_t tasks_per_slot; /* TASK SET FULL beyond; 4096 */
} ScsiLimits;

typedef enum ScsiEventKind {
        SCSI_EVENT_IO_ERROR,
        SCSI_EVENT_GHOST,
        SCSI_EVENT_UNIT_GONE
} ScsiEventKind;

/* What the control plane wants to hear. Called on the worker's thread; copies and posts. */
typedef struct ScsiEvent {
        ScsiEventKind kind;
        const char *target, *initiator;
        const LogicalUnit *lu;
        uint16_t lun;
        int error; /* negative errno */
        uint8_t opcode;
        uint64_t lba, blocks;
} ScsiEvent;

typedef struct ScsiHost {
        void (*event)(void *userdata, const ScsiEvent *event);
        void *userdata;
} ScsiHost;

/* loop->index is the worker's index in every unit's table of slots. The worker has its own
 * StoreHost on that loop. */
int scsi_worker_new(Loop *loop, BufferPool *buffers, const ScsiLimits *limits, const ScsiHost *host,
                    ScsiWorker **ret);
/* The transport says that a batch of bytes has come, or has gone out: it is loop_now() for the
 * commands in it. */
void scsi_worker_tick(ScsiWorker *w);
/* Errors as in LuStats, of all units; any thread. */
uint64_t scsi_worker_errors(const ScsiWorker *w);
/* Of all nexuses that it has, or had; on its loop. */
void scsi_worker_latency(const ScsiWorker *w, IoLatency *ret);
/* Every nexus is closed and the loop has run what they posted. Ghosts whose store still hangs are
 * left behind with all that they own: returns how many there are by then in *ret_ghosts (may be
 * NULL), and the process had better end. */
ScsiWorker *scsi_worker_free(ScsiWorker *w, unsigned *ret_ghosts);
