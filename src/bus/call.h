/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "bus/edits.h"
#include "bus/server.h"

/* One call of a method, from its arrival to its answer:
 *
 *   parse       arguments are read and checked for form; the model is not looked at, but for the
 *               object that was called
 *   authorize   who asks, then polkit, once per Check (authority.c)
 *   probe       for methods that name stores: which paths outside the trusted directories would
 *               be opened; each is one more Check. Before that, whether a text includes files,
 *               which its problems would tell of
 *   run         the work, once; the answer may come later
 *
 * A call whose connection or caller is gone before run is dropped; after that it completes, and
 * the answer goes nowhere. */

typedef struct Call Call;
typedef struct Apply Apply;
typedef struct Transient Transient;
typedef struct MethodRow MethodRow;

/* -1 with *e set. */
typedef int CallParse(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e);
/* Answers, or hands the call to the manager; the call is not the caller's any more. */
typedef void CallRun(Call *call);
/* Does a text that came with the call include files? */
typedef bool CallIncludes(const Call *call);
/* Appends to paths (char*) what the call would newly open. -1 with *e set. */
typedef int CallPaths(Call *call, GPtrArray *paths, BusError *e);
/* Appends what comes before the list of changes. */
typedef int CallReply(const Call *call, sd_bus_message *reply);

typedef enum OptionBits {
        OPTION_RUNTIME = 1 << 0,
        OPTION_FORCE = 1 << 1,
        OPTION_DRY_RUN = 1 << 2,
        OPTION_GENERATION = 1 << 3,
        OPTION_WITH_SECRETS = 1 << 4,
        OPTION_TARGET = 1 << 5,
        OPTION_WITH_IDENTITIES = 1 << 6,
        OPTION_PRUNE = 1 << 7,
        OPTION_CONFIRM = 1 << 8,
        OPTION_TRANSIENT = 1 << 9,
        OPTION_SIZE = 1 << 10,
        OPTION_PREALLOCATE = 1 << 11,
        OPTION_DIRECTORY = 1 << 12,
        OPTION_TARGETS = 1 << 13,
        OPTION_REVERT = 1 << 14,
        OPTION_ABSENT = 1 << 15,
        OPTION_PASSES = 1 << 16,
        OPTION_PATTERN = 1 << 17,
        OPTION_INVERT = 1 << 18,
        OPTION_RESTRICTED = 1 << 19,
} OptionBits;

#define OPTIONS_PORTAL (OPTION_RUNTIME | OPTION_DRY_RUN | OPTION_GENERATION | OPTION_CONFIRM)
#define OPTIONS_EDIT (OPTIONS_PORTAL | OPTION_FORCE)
#define OPTIONS_RELOAD \
        (OPTION_FORCE | OPTION_DRY_RUN | OPTION_GENERATION | OPTION_TARGETS | OPTION_REVERT)

#define OPTIONS_OVERWRITE (OPTION_PASSES | OPTION_PATTERN | OPTION_INVERT)

/* of methods for which a file can be made */
#define OPTIONS_FILE (OPTIONS_EDIT | OPTION_SIZE | OPTION_PREALLOCATE | OPTION_DIRECTORY)

/* One row per method of our interfaces (authority.c). */
struct MethodRow {
        const char *interface, *member;
        const char *action; /* polkit; NULL: anybody may, it reads what properties tell anyway */
        CallParse *parse;
        CallRun *run;           /* or */
        EditFunc *edit;         /* with call->edit; answered with reply and the list of changes */
        CallReply *reply;       /* NULL: only the list of changes */
        unsigned options;       /* OptionBits that the last argument may have */
        CallIncludes *includes; /* NULL: it has no text */
        CallPaths *paths;       /* what it would open, to be probed; NULL: nothing */
        bool sensitive;         /* the message carries a secret: wipe it */
        bool with_caller;       /* given up when the caller goes */
};

typedef struct Check {
        const char *action;
        char *path;          /* a detail, or NULL */
        const EditLun *also; /* of the call's edit: this target and LUN instead of those that the
                                call names; or NULL */
} Check;

struct Call {
        List node;
        BusServer *server;         /* NULL: gone, and so is the connection */
        BusConnection *connection; /* NULL: gone, nobody to answer */
        sd_bus_message *message;
        const MethodRow *row;
        bool running; /* past authorization */

        bool identified; /* uid and pid are known */
        uid_t uid;
        pid_t pid;
        char *unit; /* systemd unit of pid; or NULL */

        GArray *checks; /* Check */
        unsigned n_passed;
        unsigned n_probes;    /* that were made */
        sd_bus_slot *pending; /* the question that is out */
        sd_bus_slot *watch;   /* for the caller to go */
        char *cancellation;   /* polkit's name for the question that is out */

        /* the file that is made first (call-file.c); size 0: none */
        uint64_t file_size;
        bool preallocate;
        char *directory;
        FileMaking *making;
        bool made, numbered;

        Edit edit; /* also target and LUN that the call is about, for polkit */
        EditOptions options;
        bool with_secrets, with_identities;
        bool flag;              /* of the methods that switch something */
        char *initiator, *uuid; /* details for polkit; uuid: the unit */
        uint64_t session;
        UnitOperation operation; /* of Sanitize and its like */
        uint8_t *pattern;        /* of it */
        char *name, *text;       /* of VerifyText; text: also store options */
        char **files;            /* of Verify; names of targets of Reload */
        Apply *apply;            /* of Apply */
        Transient *transient;    /* of CreateTarget with that option, until it is made */
        const char *after_text;  /* of the message */
        uint64_t after;
        uint32_t lun; /* with after: from this LUN of that session on */
        uint32_t max;
};

/* The one handler of all vtables. */
int call_entry(sd_bus_message *m, void *userdata, sd_bus_error *e);
/* A call of something that only reads and has no row in the table of methods; NULL: too many wait
 * already. It is past authorization. */
Call *call_start_reading(BusConnection *c, sd_bus_message *m, const MethodRow *row);

void call_add_check(Call *call, const char *action, const char *path);
/* The same action, for another target that the call changes too. */
void call_add_lun_check(Call *call, const EditLun *also);
/* Runs it; the checks have passed. */
void call_run(Call *call);
/* ---- call-file.c ---- */

/* After the arguments: takes the options of a file into the edit. -1 with *e set. */
int call_wish_file(Call *call, bool numbered, BusError *e);
/* Makes it; call_run() goes on when it is there. */
void call_make_file(Call *call);
/* Nobody waits for it any more. */
void call_give_up_file(Call *call);
/* The change has come to something, or not. */
void call_end_file(Call *call, bool keep);

/* Answers and frees. */
void call_fail(Call *call, const BusError *e);
void call_fail_named(Call *call, const char *name, const char *format, ...) _printf_(3, 4);
/* Sends reply (consumed; NULL: out of memory) if r >= 0, an error otherwise; frees the call. */
void call_answer(Call *call, sd_bus_message *reply, int r);
sd_bus_message *call_new_reply(Call *call); /* NULL: out of memory */
/* No answer: the caller is gone. */
Call *call_free(Call *call);
Caller call_caller(const Call *call);
/* The connection is going away. */
void calls_drop(BusServer *server, BusConnection *connection);
/* The server is: what still runs in the manager completes without it. */
void calls_orphan(BusServer *server);

/* The EditDone of methods that answer nothing. */
void call_done_empty(const EditResult *result, void *userdata);
void call_done_reload(const EditResult *result, void *userdata);

/* Appending; negative errno. */
int append_text(sd_bus_message *m, const char *s);             /* made valid UTF-8; NULL is "" */
int append_path(sd_bus_message *m, char *path);                /* frees path; NULL: -ENOMEM */
int append_limits(sd_bus_message *m, const LimitSpec *limits); /* a{st} of those there are */
int append_changes(sd_bus_message *m, const GPtrArray *changes);
int append_problems(sd_bus_message *m, const GPtrArray *problems);
