/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/histogram.h"
#include "config/config.h"

/* The manager as the bus sees it: the one interface between the view and the model. Implemented by
 * daemon/manager*.c; bus/ includes this and nothing of daemon/, engine/, iscsi/ or scsi/.
 *
 * Reading: the running state is a Desired plus live facts; getters return borrowed pointers that
 * are valid until control returns to the event loop. Changing: manager_edit() takes a function that
 * edits a copy of the desired state; then verify -> difference -> apply -> persist, one change
 * after the other; done() is called exactly once, later, with a BusError. Nothing is changed when
 * it carries an error.
 *
 * Threads: control thread only. */

typedef struct Manager Manager;

/* name: "org.tgt1.Error.InUse" ..., see dbus/; NULL: no error. text says what to do. */
typedef struct BusError {
        const char *name; /* a constant of the table below */
        char *text;       /* g_free() */
} BusError;

/* The comment before each is its line in org.tgt1(5). */

/* there is no such target, LUN, entry, account, portal, unit or session */
#define ERROR_NOT_FOUND "org.tgt1.Error.NotFound"
/* it is there already */
#define ERROR_EXISTS "org.tgt1.Error.Exists"
/* an argument, directive or option is not valid; the text says what was expected */
#define ERROR_INVALID "org.tgt1.Error.InvalidArgument"
/* sessions would be dropped; the text names initiators; see the option force */
#define ERROR_IN_USE "org.tgt1.Error.InUse"
/* the configuration has changed since the generation that was named */
#define ERROR_CONFLICT "org.tgt1.Error.Conflict"
/* not supported, or not yet */
#define ERROR_NOT_SUPPORTED "org.tgt1.Error.NotSupported"
/* the file or device cannot be used; the text says why */
#define ERROR_BACKING_STORE "org.tgt1.Error.BackingStore"
/* a file of the administrator defines it; the text names file and line */
#define ERROR_ADMINISTRATOR "org.tgt1.Error.DefinedByAdministrator"
/* another change waits to be confirmed; the text names it */
#define ERROR_UNCONFIRMED "org.tgt1.Error.Unconfirmed"
/* a limit is reached */
#define ERROR_LIMIT "org.tgt1.Error.LimitExceeded"
/* anything else; the text says what */
#define ERROR_FAILED "org.tgt1.Error.Failed"

/* Sets *e (frees an old text); returns -1 so that callers can return it. */
int bus_error_set(BusError *e, const char *name, const char *format, ...) _printf_(3, 4);
void bus_error_clear(BusError *e);

typedef struct FileMaking FileMaking;

/* Who asks: for the audit entry. Strings are copied by whoever keeps them. */
typedef struct Caller {
        uid_t uid;
        pid_t pid;
        const char *unit; /* systemd unit, or NULL */
        const char *name; /* bus name, or "private socket", "SIGHUP", "start" */
} Caller;

typedef struct EditOptions {
        bool runtime;   /* written to /run, gone after stop */
        bool force;     /* also drop sessions; override what /etc defines */
        bool dry_run;   /* verify and report the difference, change nothing */
        bool detailed;  /* EditResult.details */
        bool located;   /* errors tell file and line: it stands in a text of the caller's */
        bool transient; /* what is made is written to no file */
        bool internal;  /* of our own: done also while a change waits to be confirmed */
        bool absent; /* a backing store that is not there makes a LUN that is not ready, no error */
        char **only; /* reload: names of the targets that are; NULL: all. Borrowed until done() */
        bool revert; /* reload: what was changed with runtime is taken back */
        bool has_generation;
        uint64_t generation;   /* ERROR_CONFLICT if the state has moved */
        uint64_t confirm_usec; /* taken back unless confirmed within; 0: it stays */
        /* that was made for it: goes when the change is taken back, if nothing was written to it.
         * Borrowed until done() */
        const FileMaking *made;
} EditOptions;

typedef struct EditResult {
        BusError error;
        GPtrArray *changes;  /* char*: change_format() lines, in order; empty: nothing differed */
        GPtrArray *details;  /* ChangeDetail*: the same, if they were asked for */
        GPtrArray *problems; /* Problem*: warnings too */
        uint64_t generation; /* after the change */
} EditResult;

/* Edits d. Returns 0, or -1 with *e set. Called once, after authorization, perhaps later. */
typedef int EditFunc(Desired *d, void *userdata, BusError *e);
typedef void EditDone(const EditResult *result, void *userdata);

/* Every change of the desired state by a client. targets: names of the targets that are edited (for
 * persistence and audit), NULL-terminated. destroy frees userdata after done(). */
void manager_edit(Manager *m, const Caller *caller, const EditOptions *options,
                  const char *const *targets, EditFunc *edit, EditDone *done, void *userdata,
                  GDestroyNotify destroy);
/* Reads the fragments again and applies the difference. */
void manager_reload(Manager *m, const Caller *caller, const EditOptions *options, EditDone *done,
                    void *userdata, GDestroyNotify destroy);

/* A file that is made to be the backing store of a new LUN. */
typedef struct FileWish {
        const char *folder; /* absolute; NULL: manager_file_folder() */
        const char *target; /* it is called after it */
        bool numbered;      /* "-2" ... behind the name if that is taken, rather than an error */
        uint64_t size;      /* bytes */
        bool preallocate;   /* take its space now, in a job that may be long */
        bool overcommit;    /* also where there is less room than that */
        bool dry_run;       /* only look whether it could be made */
        const char *path;   /* in place of folder and target: all of its name */
} FileWish;

/* e->name NULL: the file is there, at path, or would be (dry run). Later, once. */
typedef void FileDone(const char *path, const BusError *e, void *userdata);
/* What is borrowed is copied. The observer is told of how far it is. */
FileMaking *manager_make_file(Manager *m, const FileWish *wish, FileDone *done, void *userdata);
/* A file, wish->path, that holds what the unit does, which nobody may change meanwhile: it is
 * read-only or offline. NULL with *e set: it is not, or has no file; done() does not come. */
FileMaking *manager_copy_unit(Manager *m, const Caller *caller, const char *uuid,
                              const FileWish *wish, FileDone *done, void *userdata, BusError *e);
/* Gives it up, soon: done() comes, with an error unless it was done already. */
void manager_cancel_file(FileMaking *f);
/* After done(). keep false: the file is removed again, unless somebody serves it. */
void manager_end_file(FileMaking *f, bool keep);
/* Where files are made that nobody named a folder for. Borrowed. */
const char *manager_file_folder(const Manager *m);
/* "FOLDER/NAME.img" of a target. */
char *manager_file_path(const char *folder, const char *target);

/* A change with confirm_usec waits to be confirmed: nothing else is changed meanwhile, and when its
 * time is over it is taken back, as by manager_rollback(). Of the options only the generation
 * counts: it must be that of the change. */
void manager_confirm(Manager *m, const Caller *caller, const EditOptions *options, EditDone *done,
                     void *userdata, GDestroyNotify destroy);
void manager_rollback(Manager *m, const Caller *caller, const EditOptions *options, EditDone *done,
                      void *userdata, GDestroyNotify destroy);
typedef struct ArmedInfo {
        uint64_t until_usec; /* CLOCK_REALTIME */
        uint64_t generation; /* of the change */
        const char *by;
        const GPtrArray *changes; /* char* */
} ArmedInfo;
bool manager_armed(const Manager *m, ArmedInfo *ret); /* false: no change waits */

const Desired *manager_desired(const Manager *m); /* what runs */
uint64_t manager_generation(const Manager *m);
const char *manager_state(const Manager *m); /* "starting", "running", "reloading", "stopping" */
/* Is path below a directory in which backing stores need no extra authority? */
bool manager_path_is_trusted(const Manager *m, const char *path);
ConfigCheckParam *manager_check_param(void);
/* What bs-type can be: NULL-terminated, does not change while the daemon runs. */
const char *const *manager_store_types(const Manager *m);
/* Every parameter of t with its effective value: name, value pairs in table order (GPtrArray of
 * char*, owned by the caller). */
GPtrArray *manager_target_params(const Manager *m, const TargetSpec *t);
/* Names greater than after (NULL: from the start), ascending, at most max. Borrowed. */
size_t manager_target_names(Manager *m, const char *after, const char **ret, size_t max);
uint32_t manager_target_tid(const Manager *m, const char *target); /* 0: none */
const char *manager_target_of_tid(const Manager *m, uint32_t tid); /* NULL: none */

/* What is done to the whole of a unit, or has failed. */
typedef struct UnitOperationInfo {
        const char *kind;      /* "format", "overwrite", "block-erase"; NULL: nothing */
        bool failed;           /* nobody gets at the data until it has been done again */
        const char *reason;    /* why; "" */
        const char *by;        /* who asked */
        uint64_t done, total;  /* bytes, over all passes */
        uint64_t started_usec; /* CLOCK_REALTIME */
} UnitOperationInfo;

/* Live facts of a unit. A unit is one object, whatever maps it: key is its UUID as text. */
typedef struct UnitInfo {
        const char *uuid;
        const char *state;   /* "ready", "not-ready", "opening" */
        const char *reason;  /* why not ready, or "" */
        const LunSpec *spec; /* of the first mapping; never NULL */
        uint64_t size;       /* bytes */
        uint32_t block_size;
        bool readonly;
        bool prevented, write_protected; /* by initiators: removal of the medium, and SWP */
        const char *scsi_id, *serial, *vendor, *product, *revision, *naa; /* naa as hex */
        uint64_t reads, writes, others, read_bytes, write_bytes, errors, in_flight, ghosts;
        uint64_t throttled, throttled_usec; /* commands that waited for a limit, and how long */
        UnitOperationInfo operation;
} UnitInfo;

typedef struct UnitMapping {
        const char *target;
        uint16_t lun;
} UnitMapping;

size_t manager_n_units(const Manager *m);
/* UUIDs greater than after (NULL: from the start), ascending, at most max. Borrowed strings. */
size_t manager_unit_uuids(Manager *m, const char *after, const char **ret, size_t max);
int manager_unit(Manager *m, const char *uuid, UnitInfo *ret); /* -ENOENT */
/* How long reads and writes took (scsi/scsi.h). -ENOENT */
int manager_unit_latency(Manager *m, const char *uuid, IoLatency *ret);
/* How many there are, of which at most max are told. */
size_t manager_unit_mappings(Manager *m, const char *uuid, UnitMapping *ret, size_t max);
const char *manager_unit_of(Manager *m, const char *target, uint16_t lun); /* uuid or NULL */
/* Store options of a running unit (fault injection); size looked at anew. */
void manager_unit_configure(Manager *m, const Caller *caller, const char *uuid, const char *options,
                            EditDone *done, void *userdata, GDestroyNotify destroy);
void manager_unit_refresh(Manager *m, const Caller *caller, const char *uuid, EditDone *done,
                          void *userdata, GDestroyNotify destroy);

/* UUIDs of units with an operation under way, or one that failed; at most max, in no order. */
size_t manager_operations(const Manager *m, const char **ret, size_t max);
uint64_t manager_operations_version(const Manager *m); /* another whenever that may be others */

#define UNIT_PATTERN_MAX 4096

/* An operation on the whole of a unit, as an initiator's FORMAT UNIT or SANITIZE would begin it. */
typedef struct UnitOperation {
        const char
                *kind;   /* as in UnitOperationInfo; "exit-failure": leave one that failed behind */
        unsigned passes; /* of "overwrite": 1 to 31 */
        bool invert;     /* ... the pattern, in between */
        bool restricted; /* a failure is not to be left behind but by another that succeeds */
        bool force;      /* also under initiators that are logged in */
        const uint8_t *pattern; /* of a block at most; longer ones are refused */
        size_t n_pattern;       /* 0: zeros */
} UnitOperation;

/* done() when it has begun. */
void manager_unit_operate(Manager *m, const Caller *caller, const char *uuid,
                          const UnitOperation *wish, EditDone *done, void *userdata,
                          GDestroyNotify destroy);

/* Sessions: the manager keeps the table that engine events maintain; counters are asked for, so
 * that the synchronous getters give those of the last answer. */
typedef struct SessionInfo {
        uint64_t id;
        const char *target; /* "" in discovery */
        const char *initiator, *alias, *peer, *portal;
        uint16_t tsih, cid;
        const char *isid; /* 12 hex digits */
        unsigned worker;
        bool discovery, header_digest, data_digest;
        uint64_t since_usec; /* CLOCK_REALTIME */
        uint64_t rx_bytes, tx_bytes, commands, responses, data_in_pdus, data_out_pdus;
        const IoLatency *latency; /* manager_session_stats(): over all LUNs; else NULL */
} SessionInfo;

typedef void SessionsDone(const SessionInfo *sessions, size_t n, void *userdata);
/* Sessions with id > after, ascending, at most max; target NULL: of all. done() once, later. */
void manager_sessions(Manager *m, const char *target, uint64_t after, size_t max,
                      SessionsDone *done, void *userdata, GDestroyNotify destroy);
/* The same with latencies, of all targets. */
void manager_session_stats(Manager *m, uint64_t after, size_t max, SessionsDone *done,
                           void *userdata);
int manager_session(Manager *m, uint64_t id, SessionInfo *ret); /* -ENOENT */
/* Ids greater than after, ascending, at most max. */
size_t manager_session_ids(Manager *m, uint64_t after, uint64_t *ret, size_t max);
unsigned manager_n_sessions(const Manager *m, const char *target); /* NULL: of all targets */
void manager_end_session(Manager *m, const Caller *caller, uint64_t id, EditDone *done,
                         void *userdata, GDestroyNotify destroy);

/* What one session did at one LUN since it logged in. Submitted is what came, also what is under
 * way or was aborted; bytes are those that were asked for, where they have not been moved. */
typedef struct NexusInfo {
        uint64_t session;
        const char *target, *initiator;
        uint16_t lun;
        uint64_t reads, writes, others, read_bytes, write_bytes, errors, in_flight;
        uint64_t reads_submitted, writes_submitted, read_bytes_submitted, write_bytes_submitted;
} NexusInfo;

typedef void NexusesDone(int r, const NexusInfo *rows, size_t n, void *userdata);
/* From LUN lun of session on, by session and LUN, at most max. done() once, perhaps at once. */
void manager_nexuses(Manager *m, uint64_t session, uint32_t lun, size_t max, NexusesDone *done,
                     void *userdata);

/* What a worker did since the daemon started. */
typedef struct WorkerInfo {
        unsigned index;
        uint64_t turns, sleeps, receives, sends, rx_bytes, tx_bytes, commands, errors, busy_usec;
        const IoLatency *latency; /* of what its sessions read and wrote */
} WorkerInfo;

typedef void WorkersDone(int r, const WorkerInfo *rows, size_t n, void *userdata);
/* Of all, ascending. done() once, perhaps at once. */
void manager_workers(Manager *m, WorkersDone *done, void *userdata);

typedef struct PortalInfo {
        const char *address; /* "ADDR:PORT" */
        uint16_t tag;
        const char *source; /* "socket unit", "command line", "fragment", "command" */
} PortalInfo;
size_t manager_portals(const Manager *m, PortalInfo *ret, size_t max);

/* What is said to the process and to no file; it ends with it. */
bool manager_is_offline(const Manager *m); /* connections are closed as soon as they come */
void manager_set_offline(Manager *m, const Caller *caller, bool offline);
bool manager_is_debugging(const Manager *m);
void manager_set_debugging(Manager *m, const Caller *caller, bool debugging);
/* The file of the administrator that is read first, as it was named; NULL: none. */
const char *manager_targets_conf(const Manager *m);
/* Ends the process, soon, as SIGTERM does. */
void manager_quit(Manager *m, const Caller *caller);

/* The bus's side: called by the manager when something changed. Signals are coalesced by the bus.
 */
typedef struct ManagerObserver {
        void (*target_added)(void *userdata, const char *name);
        void (*target_removed)(void *userdata, const char *name); /* with all below it */
        void (*target_changed)(void *userdata,
                               const char *name); /* its own properties, ACLs, LUNs */
        void (*unit_added)(void *userdata, const char *uuid);
        void (*unit_removed)(void *userdata, const char *uuid);
        void (*unit_changed)(void *userdata, const char *uuid); /* and what maps it */
        void (*session_added)(void *userdata, uint64_t id, const char *target);
        void (*session_removed)(void *userdata, uint64_t id, const char *target);
        void (*portals_changed)(void *userdata);
        void (*login_rejected)(void *userdata, const char *target, const char *initiator,
                               const char *peer, const char *reason, uint16_t status);
        void (*unit_progress)(void *userdata, const char *uuid); /* of its operation */
        void (*file_progress)(void *userdata, const char *path, uint64_t done, uint64_t total);
        void (*changed)(void *userdata); /* generation, state, counts */
} ManagerObserver;

void manager_set_observer(Manager *m, const ManagerObserver *observer, void *userdata);
