/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/list.h"
#include "config/commit.h"
#include "daemon/identity.h"
#include "daemon/journal.h"
#include "daemon/manager.h"
#include "daemon/opener.h"
#include "daemon/operation-mark.h"

/* What the parts of the manager share. Each section belongs to the file it names. */

typedef struct Unit Unit;
typedef struct Armed Armed;
typedef struct MadeFile MadeFile;
typedef struct Edit Edit;
typedef struct Target Target;

typedef enum ManagerState {
        MANAGER_STARTING,
        MANAGER_RUNNING,
        MANAGER_RELOADING,
        MANAGER_STOPPING
} ManagerState;

/* One LUN of one target; holds its unit. */
typedef struct Mapping {
        uint16_t lun;
        Unit *unit;
} Mapping;

/* Limits of an initiator, and what the workers make of them. */
typedef struct TargetThrottle {
        char *initiator;
        LimitSpec limits;
        Throttle *throttle;
} TargetThrottle;

/* A target as it runs, or as it is about to (Edit.builds). */
struct Target {
        char *name;
        uint32_t tid;
        Mapping *maps; /* ascending lun */
        size_t n_maps;
        GArray *throttles; /* TargetThrottle; NULL before it is built */
        IscsiTarget *iscsi;
        unsigned n_sessions;
};

typedef enum PortalSource { PORTAL_PASSED, PORTAL_COMMAND_LINE, PORTAL_CONFIGURED } PortalSource;

typedef struct Portal {
        SockAddr address;
        char text[SOCKADDR_TEXT_MAX];
        PortalSource source;
        int fd; /* -1 once the engine has it */
} Portal;

#define ISID_TEXT 13

typedef struct SessionRow {
        uint64_t id;
        char *target, *initiator, *alias, *peer; /* target "" in discovery */
        uint64_t since_usec;
        char isid[ISID_TEXT];
        IscsiSessionInfo *info; /* of the last answer, or NULL */
} SessionRow;

/* Lines that peers can cause, one bucket per kind. */
typedef enum RateKind {
        RATE_LOGIN,
        RATE_REJECTED,
        RATE_ENDED,
        RATE_PROTOCOL,
        RATE_IO_ERROR,
        RATE_N
} RateKind;

struct Manager {
        EventLoop *event_loop;
        Loop *loop;
        Engine *engine;
        ConfigPaths paths;
        char *state_dir, *runtime_dir, *identity_path;
        Opener opener;
        char *opener_socket;
        uint64_t settle_ns;
        void (*changed)(void *userdata);
        void (*quit)(void *userdata);
        void *changed_userdata; /* of both */
        bool offline;
        int log_level; /* to go back to after debugging */

        ManagerState state;
        Desired *desired;
        uint64_t generation;
        Identities *identities;
        GHashTable *targets; /* name -> Target, owned */
        GTree *target_order; /* the same names, ascending */
        GHashTable *tids;    /* tid -> Target */
        IscsiMap *map;       /* what was published last; NULL: nothing yet */
        uint32_t next_tid;   /* none below is free */

        /* manager-unit.c */
        GHashTable *units;          /* uuid -> Unit: those that are served */
        GHashTable *units_by_key;   /* key -> Unit: the same and their aliases */
        GHashTable *claims;         /* uuid -> Unit whose store has been seen and is known so */
        GHashTable *units_by_store; /* StoreIdentity -> Unit: whoever has it open or last had */
        GTree *unit_order;          /* the same UUIDs as units, ascending */
        LoopLane open_lane, remote_lane, persist_lane, load_lane;
        LoopTimer refresh;
        size_t refresh_next;
        unsigned n_away, n_jobs;
        size_t n_luns;
        LoopTask republish_task;
        GHashTable *republish; /* Target: to be built anew */
        GPtrArray *dropped;    /* LogicalUnit: to be retired after that */
        RateLimit store_rate;
        bool ring_reported;
        StoreHost *store_host; /* of our own channels, or NULL */

        /* manager-edit.c */
        GQueue edits; /* Edit*, waiting */
        Edit *current;
        LoopTask next_task;
        void (*stopped)(void *userdata);
        void *stopped_userdata;

        /* manager-persist.c */
        CommitLog *state_log, *runtime_log; /* NULL: nothing can be written there */
        LoopTimer settle_timer;
        LoopJob settle_job;
        bool settle_soon; /* the timer runs, or the job */
        int settle_left;

        /* manager-file.c */
        List files; /* FileMaking, under way */
        LoopLane file_lane;
        char *file_folder;

        /* manager-operation.c */
        GHashTable *operations; /* uuid -> OperationMark */
        char *operation_dir, boot[37];
        uint64_t operations_version;
        LuKeeper keeper;
        LoopLane operation_lane;
        LoopTimer operation_tell;

        /* manager-armed.c */
        Armed *armed;        /* waits to be confirmed; or NULL */
        MadeFile *left_over; /* of one that was taken back at the start; or NULL */

        /* manager-portal.c */
        GArray *portals; /* Portal */

        /* manager-session.c */
        GTree *sessions;      /* id -> SessionRow, ascending */
        unsigned n_discovery; /* of them */
        RateLimit rates[RATE_N];

        const ManagerObserver *observer;
        void *observer_userdata;
};

/* ---- manager.c ------------------------------------------------------------------------------- */

#define OBSERVE(m, signal, ...)                                                       \
        do {                                                                          \
                if ((m)->observer && (m)->observer->signal)                           \
                        (m)->observer->signal((m)->observer_userdata, ##__VA_ARGS__); \
        } while (0)

#define SWAP(a, b)                  \
        do {                        \
                typeof(a) _t = (a); \
                (a) = (b);          \
                (b) = _t;           \
        } while (0)

int compare_strings(gconstpointer a, gconstpointer b);
void manager_touch(Manager *m); /* generation, state or counts have moved */
void manager_job(Manager *m, LoopLane *lane, LoopJob *job);

/* ---- manager-target.c ------------------------------------------------------------------------ */

/* Checks what config does not know: parameters, driver, addresses, accounts. -EINVAL, with reterr.
 */
int target_check(const TargetSpec *spec, char *reterr, size_t size);
Target *target_new(const char *name, uint32_t tid);
Target *target_free(Target *t); /* gives up its units */
/* Its units are t's from now on (own), or no longer. other: the same target before or after, or
 * NULL: what both map has not changed. */
void target_own_units(Target *t, const Target *other, bool own);
/* (Re)makes t->iscsi from spec and the units of t->maps. */
int target_build(Manager *m, Target *t, const TargetSpec *spec);
/* Gives the workers a map that differs from the last one in over: name -> Target, or NULL: gone.
 * done() when they have it. */
int targets_publish(Manager *m, GHashTable *over, const Desired *d, EngineDone *done,
                    void *userdata);

/* ---- manager-limit.c ------------------------------------------------------------------------- */

/* *ret is NULL if nothing is limited. */
int throttle_make(Manager *m, const LimitSpec *limits, Throttle **ret);
/* TargetThrottle; those that the running target of that name has with the same limits are kept. */
int target_throttles_make(Manager *m, const TargetSpec *spec, GArray **ret);
/* The same for iscsi_target_new(): strings and throttles are borrowed, the array is to be freed. */
IscsiThrottle *target_throttles_config(const GArray *all);

/* ---- manager-unit.c -------------------------------------------------------------------------- */

typedef enum UnitState {
        UNIT_NEW,       /* nothing is open, nothing is under way */
        UNIT_OPENING,   /* a job looks at or opens the backing store */
        UNIT_READY,     /* the store is open */
        UNIT_AWAY,      /* it could not be opened, or has gone; tried again */
        UNIT_CLOSING,   /* workers let go of the store, then it is opened anew */
        UNIT_RETIRING,  /* no longer served; workers are letting go */
        UNIT_LINGERING, /* ... and have, but the store still has requests (ghosts) */
        UNIT_CLOSED
} UnitState;

typedef struct UnitOwner {
        Target *target;
        uint16_t lun;
} UnitOwner;

struct Unit {
        Manager *manager;
        unsigned refs;   /* jobs and changes hold it too */
        unsigned n_maps; /* mappings and aliases that hold it: 0 retires it */
        UnitState state;
        bool listed;     /* in units and units_by_key */
        bool journaled;  /* that it is away */
        bool refused;    /* away because the configuration contradicts itself */
        bool takes_over; /* the identity of the one that it replaces: a drive with another medium */
        char uuid[37], naa_text[33];
        char *key;
        char *reason; /* why it is not ready; NULL: it is */
        LunSpec *spec;
        LuIdentity identity;
        LogicalUnit *lu;     /* NULL until the unit is published */
        Store *store;        /* open, or was before it went away */
        bool store_readonly; /* opened so */
        StoreIdentity store_id;
        bool has_store_id;
        Unit *alias;                   /* serves instead, having the same store; held */
        GPtrArray *aliases;            /* Unit*: the other side; or NULL */
        GArray *owners;                /* UnitOwner: targets that run; or NULL */
        Unit *predecessor, *successor; /* same key: one closes before the other opens */
        bool job;                      /* one is under way */
        LoopTimer retry;
        unsigned n_retries;
        unsigned n_updates; /* of its settings */
        Edit *waiter;       /* waits until it is settled */
};

Unit *unit_ref(Unit *u);
Unit *unit_unref(Unit *u);
/* The unit that serves for u: itself, or what it is an alias of. */
Unit *unit_resolve(Unit *u);
/* A unit for l under key (taken): not listed, not opened, held by nobody. */
int unit_new(Manager *m, const LunSpec *l, char *key, Unit **ret);
void unit_hold(Unit *u);    /* a mapping begins */
void unit_release(Unit *u); /* ... and ends: the last one retires the unit */
void unit_list(Unit *u);    /* it is served from now on */
void unit_set_state(Unit *u, UnitState state, const char *format, ...) _printf_(3, 4);
void unit_closed(Unit *u); /* the store is let go of */
/* u serves what real does: their stores were found to be the same. */
void unit_make_alias(Unit *u, Unit *real);
void unit_leave_alias(Unit *u);
/* u's store was seen, and is another than anybody else's: the identity is u's from now on. If it is
 * somebody's already, u gets a new one. */
int unit_claim(Unit *u);
/* Its LogicalUnit, made if need be (with or without a store). */
int unit_need_lu(Unit *u);
/* What u->lu was made with no longer fits: the next republish makes another. */
void unit_drop_lu(Unit *u);
/* May a running unit take over b's settings in place (true), or must it be replaced? */
bool lun_specs_compatible(const LunSpec *a, const LunSpec *b);
/* Do both say the same of one backing store? allow-in-use of any of them will do. */
bool lun_specs_agree(const LunSpec *a, const LunSpec *b);
/* Takes over l's settings: those that lun_specs_compatible() leaves open. */
void unit_update(Unit *u, const LunSpec *l);
void unit_lu_config(const Unit *u, LuConfig *ret);
/* Everything that serves u gets a new map, soon. */
void unit_republish(Unit *u);
void units_republish(Manager *m); /* now, if anything is due; not while a change publishes */
void units_init(Manager *m);
void units_done(Manager *m);
void unit_own(Unit *u, Target *t, uint16_t lun);
void unit_disown(Unit *u, Target *t, uint16_t lun);
void unit_mappings_changed(Unit *u); /* tells the observer of whatever serves u */
/* The path or, without one, the type: for messages. */
const char *unit_name(const Unit *u);

/* Carries out a change on u->lu through its coordinator; then() when it is done. */
void unit_change(Unit *u, LogicalUnit *lu, LuChangeKind kind, Store *store, void (*then)(Unit *u));

/* ---- manager-store.c ------------------------------------------------------------------------- */

void unit_start(Unit *u);         /* opens the store, in jobs, and tries again until it is there */
void unit_reopen(Unit *u);        /* closes it first */
void unit_publish_store(Unit *u); /* what is open becomes what u->lu uses */
/* u has the store of other, but says other things about it: it is not served. */
void unit_contradicts(Unit *u, Unit *other, const LunSpec *said);
void unit_journal_away(Unit *u); /* unless it has been */
void refresh_init(Manager *m);
void refresh_stop(Manager *m);
typedef void UnitJobDone(int r, const char *text, void *userdata);
/* Looks at the store again, or (options) changes its options. -EBUSY: a job is under way. */
int unit_refresh(Unit *u, UnitJobDone *done, void *userdata);
int unit_configure(Unit *u, const char *options, UnitJobDone *done, void *userdata);

/* ---- manager-operation.c --------------------------------------------------------------------- */

void operations_open(Manager *m); /* what earlier runs left under way */
void operations_close(Manager *m);
/* Keeps how far they are, so that the next run goes on: then(), within bounded time. */
void operations_suspend(Manager *m, void (*then)(Manager *m));
void operation_info(Manager *m, const Unit *u, UnitOperationInfo *ret);
/* NULL: nothing is under way, and nothing has failed. */
const LuOperation *operation_of(const Manager *m, const char *uuid);

/* ---- manager-view.c -------------------------------------------------------------------------- */

/* Something that a client asks for and that is no change of the desired state: done() with error
 * (NULL: none), and what is journaled. */
typedef struct Action Action;
/* what: for the journal; taken. NULL: nothing to say. */
Action *action_new(Manager *m, const Caller *caller, EditDone *done, void *userdata,
                   GDestroyNotify destroy, char *what);
void action_over(Action *a, const char *error, const char *text); /* frees a */

/* ---- manager-flush.c ------------------------------------------------------------------------- */

/* What was written before reaches stable storage; if it cannot, the journal says so. */
void unit_flush(Unit *u);

/* ---- manager-edit.c -------------------------------------------------------------------------- */

typedef enum EditKind {
        EDIT_CHANGE,
        EDIT_RELOAD,
        EDIT_START,
        EDIT_CONFIRM,  /* of what is armed */
        EDIT_ROLLBACK, /* the same, taken back */
} EditKind;

typedef enum EditPhase {
        EDIT_WAITING,
        EDIT_LOADING,    /* a job reads the fragments */
        EDIT_SETTLING,   /* stores are being opened */
        EDIT_PERSISTING, /* a job writes the state directory */
        EDIT_PUBLISHING, /* workers take the map over */
        EDIT_UNDOING,    /* a job takes back what was written */
        EDIT_OVER
} EditPhase;

typedef struct UnitUpdate {
        Unit *unit;
        const LunSpec *spec;
} UnitUpdate;

struct Edit {
        Manager *manager;
        EditKind kind;
        EditPhase phase;
        struct {
                uid_t uid;
                pid_t pid;
                char *unit, *name;
        } caller;
        EditOptions options;
        char **targets; /* NULL: all of them may be edited */
        EditFunc *edit;
        EditDone *done;
        void *userdata;
        GDestroyNotify destroy;
        EditResult result;

        /* manager-batch.c */
        void *userdata_edit; /* of edit, in place of userdata; or NULL */
        Armed *armed;        /* what it becomes, if it is to be confirmed; or NULL */
        GPtrArray *members;  /* Edit*: it stands for these; NULL: for itself */
        bool alone;          /* not to be one of a batch: that has failed */

        /* the two states; partial: they hold the named targets only, and before is ours */
        bool partial;
        Desired *before, *after;
        GHashTable *bad; /* reload: names that failed to load; or NULL */
        GPtrArray *diff; /* Change* */

        /* manager-verify.c: how to come from one to the other */
        GHashTable *builds;          /* name -> Target, NULL for one that goes */
        GHashTable *candidates;      /* key -> Unit: new ones, held */
        GHashTable *candidates_uuid; /* uuid -> Unit */
        GHashTable *planned;         /* names of the targets that are touched */
        GHashTable *planned_luns;    /* key -> LunSpec* */
        GArray *updates;             /* UnitUpdate */
        GHashTable *tids;            /* set of numbers; or NULL */
        uint32_t next_tid;

        unsigned n_unsettled;
        LoopTimer deadline;
        LoopTask settled;
        LoopJob job;
        int job_result;
        char *identities;   /* text to append */
        GHashTable *hidden; /* reload with revert: names of files in /run that go; or NULL */
        GPtrArray *files;   /* FileChange* */
        bool written;       /* they are */
};

Edit *edit_new(Manager *m, EditKind kind, const Caller *caller, const EditOptions *options,
               EditDone *done, void *userdata, GDestroyNotify destroy);
void edit_free(Edit *e);
void edit_finish(Edit *e); /* tells the journal and who waits; frees e */
/* Makes e's change on after, which has its targets. -1 with e's error. */
int edit_make_on(Edit *e, Desired *after);
void edit_reset_target(Edit *e, const char *name); /* e does not change it */
void edit_add_change(Edit *e, const Change *c);
void edit_unit_settled(Edit *e, Unit *u);
/* Sets the error of e's result; returns -1. The first one stays. */
int edit_fail(Edit *e, const char *name, const char *format, ...) _printf_(3, 4);
int edit_fail_by_problem(Edit *e, const char *name, Problem *p); /* takes p */
void edits_init(Manager *m);
/* What waits, and what waits for stores, is answered with an error. */
void edits_cancel(Manager *m);
void edit_problem(Edit *e, Problem *p); /* takes p */

/* ---- manager-commit.c ------------------------------------------------------------------------ */

/* The workers have it: from here on nothing fails. */
void edit_commit(Edit *e);

/* ---- manager-batch.c ------------------------------------------------------------------------- */

/* The next of m->edits, or one that stands for several of them. */
Edit *batch_take(Manager *m);
int batch_make(Edit *b);
void batch_share_results(Edit *b);
void batch_finish(Edit *b);

/* ---- manager-reload.c ------------------------------------------------------------------------ */

/* Where e's fragments are: without what is reverted. In a job. */
ConfigPaths edit_paths(Edit *e);
/* after has been loaded: what was not asked for stays as it is. */
void edit_narrow(Edit *e);
/* The target name stays as it runs, so its file in /run does too. */
void edit_kept(Edit *e, const char *name);

/* ---- manager-audit.c ------------------------------------------------------------------------- */

void edit_journal(Edit *e);

/* ---- manager-verify.c ------------------------------------------------------------------------ */

/* Makes builds, candidates and updates for e->diff. A change that is refused: an EDIT_CHANGE fails
 * (-1, with its error); at start and reload the name goes to refused, with a problem, and 0. */
int edit_plan(Edit *e, GHashTable *refused);
void edit_plan_clear(Edit *e);
/* Once the candidates have settled: -1, with e's error, if a store that a person names is not
 * there. */
int edit_check_stores(Edit *e);

/* ---- manager-persist.c ----------------------------------------------------------------------- */

/* What is to be written for e, into e->files; -1 with e's error where the administrator's word
 * stands against it. */
int edit_plan_persist(Edit *e);
/* Is it in a file of /etc or /usr, rather than in one of ours or in none yet? */
bool origin_is_administrator(const Manager *m, const Origin *at);
int edit_persist(Edit *e);       /* in a job */
void edit_persist_undo(Edit *e); /* in a job */
/* What earlier runs did not finish is finished. */
void logs_open(Manager *m);
void logs_settle_later(Manager *m); /* something was written */
void logs_stop(Manager *m);
void logs_close(Manager *m);

/* ---- manager-file.c -------------------------------------------------------------------------- */

void files_init(Manager *m);
void files_cancel(Manager *m);

bool edit_changes_globals(const Edit *e);

/* A file that a change has made. */
struct MadeFile {
        char *path;
        uint64_t device, inode, size;
};

MadeFile *made_file_new(const FileMaking *making);
MadeFile *made_file_free(MadeFile *f);
/* Removes it in a job, unless something serves it or there is anything in it but zeros: then it
 * stays, and the journal says so. Takes f; NULL is nothing to do. */
void made_file_withdraw(Manager *m, MadeFile *f);

/* ---- manager-armed.c ------------------------------------------------------------------------- */

Armed *armed_free(Armed *a);
void armed_open(Manager *m); /* takes up, or takes back, what waits since an earlier run */
/* What it takes to take e back goes to its files. -1 with its error. */
int armed_prepare(Edit *e);
void armed_begin(Edit *e);      /* e is what runs now */
int armed_refuses(Edit *e);     /* -1 with its error: something waits to be confirmed */
int armed_take(Edit *e);        /* the begin of EDIT_CONFIRM and EDIT_ROLLBACK; -1 with its error */
void armed_plan_files(Edit *e); /* of EDIT_ROLLBACK */
void armed_retry(Manager *m);   /* it could not be taken back: once more, later */
void armed_end(Edit *e);        /* of both: nothing waits any more */

/* ---- manager-session.c ----------------------------------------------------------------------- */

extern const EngineEvents manager_engine_events;
void sessions_init(Manager *m);
unsigned sessions_count(const Manager *m, const char *target); /* by looking at each */
/* "iqn.a, iqn.b and 3 more" of target, newly allocated; NULL: nobody. */
char *sessions_initiators(const Manager *m, const char *target);

/* ---- manager-portal.c ------------------------------------------------------------------------ */

void portals_init(Manager *m);
void portals_done(Manager *m);
/* Binds what the service manager passed and the command line names. */
int portals_open(Manager *m, const ManagerConfig *config, char *reterr, size_t size);
/* Binds one that the configuration names; -EEXIST if it is there already. */
int portal_open(Manager *m, const char *address, char *reterr, size_t size);
/* Closes it, if it is the configuration's. */
void portal_close(Manager *m, const char *address);
int edit_open_portals(Edit *e); /* those that e adds; -1 with its error */
void edit_close_portals(Edit *e, ChangeKind kind);
/* Hands what is bound and not yet listened on to the engine; binds the default if there is none. */
int portals_listen(Manager *m, char *reterr, size_t size);
