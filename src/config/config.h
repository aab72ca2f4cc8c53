/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <glib.h>

#include "base/addr.h"
#include "base/base.h"

/* config: fragments -> desired state -> difference.
 *
 * One grammar, that of stgt's targets.conf(5) with our directives beside. One table of directives
 * (config/directives.c) says for each: name, where it may stand, how often, its values, what it
 * sets, one line of help; parsing, verifying, writing, completion and the man page read it.
 *
 * A Desired is a value: made whole, compared, never changed in place once it runs (edit a
 * desired_dup()). Verification is complete before anything is applied; every Problem names file,
 * line, directive and what was expected, and a bad block costs only itself.
 *
 * Threads: none; control thread and client alike. May include: base, glib. Strings are GLib's. */

/* Where a line stands; file is interned (g_intern_string). line 0: not from a file. */
typedef struct Origin {
        const char *file;
        unsigned line;
} Origin;

typedef enum ProblemLevel { PROBLEM_WARNING, PROBLEM_ERROR } ProblemLevel;

typedef struct Problem {
        ProblemLevel level;
        Origin at;
        char *target;    /* NULL: none or not known */
        char *directive; /* NULL: syntax */
        char *text;      /* what is wrong and what was expected */
} Problem;

void problem_free(Problem *p);
/* text may hold anything that a file says; what is kept is valid UTF-8. */
Problem *problem_new(ProblemLevel level, Origin at, const char *target, const char *directive,
                     const char *text);
/* "FILE:LINE: TARGET: directive: text", newly allocated. */
char *problem_format(const Problem *p);
/* "FILE:LINE" or "an earlier change": newly allocated, for use within a text. */
char *origin_format(Origin at);

/* Parameters of iSCSI sessions are checked by whoever knows them (iscsi_params_set() in the daemon,
 * a copy of nothing in the client): returns 0 or negative errno with a sentence. NULL: names are
 * checked against the directive table only. */
typedef int ConfigCheckParam(const char *name, const char *value, char *reterr, size_t size);

typedef struct AccountSpec {
        char *user, *secret;
        char *credential; /* NULL, or the systemd credential that has the secret, which is "" then
                           */
        Origin at;
} AccountSpec;

/* Limits of rate, a second; 0: no limit. In the order of limit_fields(). */
typedef struct LimitSpec {
        uint64_t iops, read_iops, write_iops;
        uint64_t bandwidth, read_bandwidth, write_bandwidth; /* bytes */
        uint64_t burst_us; /* what was not used stays for so long; 0: the default */
} LimitSpec;

#define CONFIG_BURST_DEFAULT_US UINT64_C(100000)

typedef struct LimitField {
        const char *name;     /* in directives: "read-iops" */
        const char *property; /* in D-Bus dictionaries: the same, but "burst-usec" */
        size_t offset;        /* in LimitSpec */
        uint64_t min, max;    /* or 0 */
} LimitField;

const LimitField *limit_fields(void);
size_t n_limit_fields(void);
uint64_t *limit_field(LimitSpec *l, const LimitField *f);
uint64_t limit_value(const LimitSpec *l, const LimitField *f) _pure_;
bool limit_spec_equal(const LimitSpec *a, const LimitSpec *b) _pure_;
/* "iops=2k burst=2s": as limit-initiator has them, separated by blanks. Newly allocated. */
char *limit_spec_format(const LimitSpec *l);
bool limit_spec_any(const LimitSpec *l) _pure_; /* false: nothing is limited */

/* What the sessions of an initiator may do together, on all LUNs of a target. */
typedef struct InitiatorLimit {
        char *initiator; /* name, address, prefix, or "ALL": as in the access list */
        LimitSpec limits;
        Origin at;
} InitiatorLimit;

#define CONFIG_LUN_MAX 16383u /* what flat space addressing holds, SAM-5 4.7.7.3 */

/* One LUN of one target, as configured. Strings are NULL and numbers -1 or 0 where not given;
 * has_* say which numbers were. */
typedef struct LunSpec {
        uint16_t lun; /* resolved: given, or the lowest free one >= 1 */
        bool lun_given;
        char *path;        /* backing store; NULL for types without one */
        char *device_type; /* "disk" */
        char *bs_type;     /* "rdwr" */
        char *bs_options;
        bool direct, sync;   /* bsoflags */
        uint32_t block_size; /* 0: not given */
        uint64_t size;       /* our directive, for null and ram; 0: not given */
        bool write_cache;    /* on unless said otherwise */
        bool readonly, removable, online, thin, allow_in_use;
        bool sense_descriptor;                                          /* sense_format 1 */
        int lbppbe;                                                     /* -1: not given */
        int la_lba, optimal_xfer_gran, optimal_xfer_len, rotation_rate; /* -1: not given */
        char *scsi_id, *scsi_sn, *vendor_id, *product_id, *product_rev;
        char *uuid, *naa;      /* ours; NULL: generated and recorded. naa: 32 lower-case digits */
        bool stgt_identity;    /* identity stgt; verification sets scsi_id, scsi_sn, naa by it */
        uint32_t stgt_tid;     /* of the target, as stgt's designators have it */
        GPtrArray *mode_pages; /* char*, stgt's syntax, one for each page; may be empty */
        GPtrArray *deferred;   /* ConfigParam*: of params, with ${tid} or ${lun}; empty once
                                  verification has set them */
        LimitSpec limits;
        Origin at;
} LunSpec;

#define CONFIG_MODE_PAGES_MAX 24u /* of a LUN */

/* What a mode_page directive says, in numbers; length counts what follows the page's header. */
typedef struct ModePageSpec {
        uint8_t page, subpage, length, bytes[255];
} ModePageSpec;

/* Of one of LunSpec.mode_pages. */
void mode_page_spec(const char *text, ModePageSpec *ret);

typedef enum TargetPersistence {
        TARGET_FRAGMENT,  /* the administrator's file: /etc or /usr/lib, or targets.conf */
        TARGET_SAVED,     /* ours in /var/lib */
        TARGET_RUNTIME,   /* ours in /run */
        TARGET_TRANSIENT, /* in no file: it goes with the client that made it */
} TargetPersistence;

typedef struct TargetSpec {
        char *name; /* iqn., eui. or naa. name, lower case */
        char *alias;
        uint32_t tid;          /* controller_tid; 0: not given */
        char *driver;          /* "iscsi" */
        bool online;           /* state */
        GPtrArray *luns;       /* LunSpec*, ascending lun */
        GPtrArray *addresses;  /* char*, initiator-address */
        GPtrArray *names;      /* char*, initiator-name */
        bool access_given;     /* false: the fragment names neither kind, everybody is admitted;
                                  true with both empty: nobody is (initiator-name NONE) */
        GPtrArray *incoming;   /* AccountSpec* */
        AccountSpec *outgoing; /* NULL: none */
        GPtrArray *params;     /* ConfigParam*: iSCSI keys in the order given */
        GPtrArray *limits;     /* InitiatorLimit* */
        bool replace, masked;
        TargetPersistence persistence;
        Origin at;            /* first block */
        Origin administrator; /* where /etc or /usr has a block of this target, whether it counts or
                                 a replace hides it; file NULL: nowhere */
} TargetSpec;

typedef struct ConfigParam {
        char *name, *value;
        Origin at;
} ConfigParam;

typedef struct PortalSpec {
        char *address; /* "ADDR:PORT" */
        Origin at;
} PortalSpec;

typedef struct Desired {
        GHashTable *targets;           /* name -> TargetSpec*; owned, key is the spec's own name */
        GPtrArray *portals;            /* PortalSpec*: beside those of the socket unit */
        GPtrArray *discovery_incoming; /* AccountSpec* */
        AccountSpec *discovery_outgoing;
        GPtrArray *accounts;            /* AccountSpec*: known by name, to be bound by tgtadm */
        GPtrArray *backing_directories; /* char*: paths below need no extra authority */
        bool ignore_errors;             /* of the file, for tgt-admin; no part of what runs */
        uint32_t control_port;          /* likewise; 0: not given */
} Desired;

Desired *desired_new(void);
Desired *desired_dup(const Desired *d);         /* shares nothing */
Desired *desired_globals_dup(const Desired *d); /* the same without targets */
Desired *desired_free(Desired *d);
/* Takes t over, in place of one of the same name. g_hash_table_remove() by name frees one. */
void desired_put(Desired *d, TargetSpec *t);
TargetSpec *target_spec_new(const char *name); /* admits nobody */
TargetSpec *target_spec_dup(const TargetSpec *t);
TargetSpec *target_spec_free(TargetSpec *t);
LunSpec *lun_spec_new(void); /* with every default */
LunSpec *lun_spec_dup(const LunSpec *l);
LunSpec *lun_spec_free(LunSpec *l);
/* Its type of store is given its size here, since it has no file. */
bool lun_spec_needs_size(const LunSpec *l) _pure_;
/* A drive without a medium. */
bool lun_spec_is_empty(const LunSpec *l) _pure_;
AccountSpec *account_spec_new(const char *user, const char *secret);
AccountSpec *account_spec_new_credential(const char *user, const char *credential);
AccountSpec *account_spec_dup(const AccountSpec *a);
AccountSpec *account_spec_free(AccountSpec *a);
PortalSpec *portal_spec_new(const char *address);
PortalSpec *portal_spec_free(PortalSpec *p);
ConfigParam *config_param_new(const char *name, const char *value);
ConfigParam *config_param_free(ConfigParam *p);
/* Equal in effect: origins, persistence, replace and how a LUN number was found play no part. */
bool lun_spec_equal(const LunSpec *a, const LunSpec *b);
bool target_spec_equal(const TargetSpec *a, const TargetSpec *b);
bool account_spec_equal(const AccountSpec *a, const AccountSpec *b); /* NULL is equal to NULL */
/* Adds l (taken over) in its place by number. -EEXIST: there is one, l is still the caller's. */
int target_spec_add_lun(TargetSpec *t, LunSpec *l);
InitiatorLimit *target_spec_find_limit(const TargetSpec *t, const char *initiator); /* or NULL */
/* Limits that limit nothing remove the entry. */
void target_spec_set_limit(TargetSpec *t, const char *initiator, const LimitSpec *limits);
bool target_spec_remove_lun(TargetSpec *t, uint16_t lun);         /* false: there was none */
LunSpec *target_spec_find_lun(const TargetSpec *t, uint16_t lun); /* NULL: none */

/* The folders of the search path in order of precedence; fixed but for tests and --config-dir. */
typedef struct ConfigPaths {
        char *targets_conf; /* /etc/tgt/targets.conf, read first where it exists; or NULL */
        char *etc, *run, *var, *usr; /* .../targets.d; each may be NULL */
        /* Opens a file for reading that open(2) is refused (EACCES, EPERM): a descriptor or
         * negative errno. Fragments with secrets are often root's alone. NULL: nobody can. May
         * block. */
        int (*open_path)(const char *path, int flags, void *userdata);
        GHashTable *run_hidden; /* set of names of files in run that do not count; or NULL */
        void *open_userdata;
} ConfigPaths;

void config_paths_default(ConfigPaths *ret, const char *config_dir, const char *state_dir,
                          const char *runtime_dir);
void config_paths_clear(ConfigPaths *p);

/* Reads everything, merges, resolves LUN numbers, verifies. *ret_problems is a GPtrArray of
 * Problem*; blocks with errors are left out of *ret, and their names are in *ret_bad (GHashTable as
 * set), so that what runs under such a name can stay; ask it with config_is_bad(). Negative errno
 * only if the search path itself cannot be read (ENOENT is an empty folder). */
int config_load(const ConfigPaths *paths, ConfigCheckParam *check, Desired **ret,
                GHashTable **ret_bad, GPtrArray **ret_problems);
/* The same over files that are named, or over text (file is what problems call it). */
int config_load_files(const char *const *files, ConfigCheckParam *check, Desired **ret,
                      GHashTable **ret_bad, GPtrArray **ret_problems);
int config_load_text(const char *text, const char *file, ConfigCheckParam *check, Desired **ret,
                     GHashTable **ret_bad, GPtrArray **ret_problems);
/* Does text make who loads it read files? */
bool config_text_includes(const char *text);

/* The same over several texts, as if each were a file; *ret_masked is the set of names that a block
 * says masked of. */
typedef struct ConfigText {
        const char *name, *text;
} ConfigText;
int config_load_texts(const ConfigText *texts, size_t n, ConfigCheckParam *check, Desired **ret,
                      GHashTable **ret_masked, GHashTable **ret_bad, GPtrArray **ret_problems);

/* Where each line of a target comes from, for people. at.line 0: the end of a block. */
typedef struct SourceLine {
        Origin at;
        bool nested; /* in a block of a LUN */
        char *text;
} SourceLine;

typedef struct SourceBlock {
        char *target;
        Origin at;
        char *ignored;    /* why it does not count; NULL: it does */
        GPtrArray *lines; /* SourceLine* */
} SourceBlock;

void source_block_free(SourceBlock *b);
/* SourceBlock* of the targets that are called name, wholly or behind their first ':': those that
 * are read in their order, then those that are hidden. Negative errno as config_load(). */
int config_sources(const ConfigPaths *paths, const char *name, bool with_secrets, GPtrArray **ret,
                   GPtrArray **ret_problems);

/* Must what runs as target name stay, although *ret does not have it? Its block is bad, or a file
 * that may have held it could not be read to its end (the set then has the name "*"). */
bool config_is_bad(GHashTable *bad, const char *name);

/* Applies one directive to a target or a LUN as if it stood in a block: for D-Bus and the client.
 * Lists grow by the value; anything else is replaced. value NULL: back to the default, lists are
 * emptied. LUN-level: l not NULL, t may be; target-level: l NULL (LUN directives then apply to each
 * of t's LUNs, backing-store adds one). -EINVAL with a Problem (reterr may be NULL); 1: done, with
 * a Problem that is a warning. Call config_verify_target() after the last one. */
int config_set(TargetSpec *t, LunSpec *l, const char *directive, const char *value,
               ConfigCheckParam *check, Problem **reterr);
/* Everything that holds across directives of a target; resolves LUN numbers. Appends to problems;
 * false if there is an error among them. Idempotent. */
bool config_verify_target(TargetSpec *t, GPtrArray *problems);
/* Everything that holds across targets (tids, identities, one configuration per backing store), and
 * the accounts outside of targets. Appends to problems; names at fault are added to bad (may be
 * NULL). */
bool config_verify(const Desired *d, GHashTable *bad, GPtrArray *problems);
/* The lowest LUN >= 1 that t does not use; -ENOSPC. */
int target_spec_free_lun(const TargetSpec *t, uint16_t *ret);
/* "iqn.", "eui.", "naa." names as RFC 7143 4.2.7 wants them; folds case. -EINVAL with sentence; 1,
 * with a sentence too: not as the RFC wants it, but what stgt takes (underscores, no date). */
int iscsi_name_normalize(const char *name, char **ret, char *reterr, size_t size);

/* "everybody", "listed" (those of names and addresses) or "nobody". */
const char *target_spec_access(const TargetSpec *t) _pure_;

/* The block of t as a fragment (access always explicit; NONE where nobody may enter). */
void target_spec_write(const TargetSpec *t, bool with_secrets, GString *to);
void desired_write(const Desired *d, bool with_secrets, GString *to);

/* Persistence: one file per target in dir, its name derived from the target's, one name per target;
 * mode 0600, secrets included. These say what is to be written there, or (forget; globals where d
 * has none) that a file is to go; config/commit.h does it. */
typedef struct FileChange FileChange;
FileChange *config_target_change(const char *dir, const TargetSpec *t);
FileChange *config_forget_change(const char *dir, const char *name);
/* A file of dir by its name goes. */
FileChange *config_forget_file_change(const char *dir, const char *file);
/* The same for what is global (portals, accounts, backing directories). */
#define CONFIG_GLOBALS_FILE "00-globals.conf"
FileChange *config_globals_change(const char *dir, const Desired *d);
char *config_target_file_name(const char *name); /* without dir; newly allocated */

typedef enum ChangeKind {
        CHANGE_ADD_TARGET,
        CHANGE_REMOVE_TARGET,
        CHANGE_TARGET, /* ACL, accounts, parameters, state, alias: no session is dropped */
        CHANGE_ADD_LUN,
        CHANGE_REMOVE_LUN,
        CHANGE_LUN,         /* what can change in place: write-cache, readonly, size, online; the
                                medium of a drive that is empty or offline */
        CHANGE_REPLACE_LUN, /* another store, type or identity under the same number */
        CHANGE_ADD_PORTAL,
        CHANGE_REMOVE_PORTAL,
        CHANGE_DISCOVERY, /* accounts */
        CHANGE_ACCOUNTS,  /* those that are only known by name */
} ChangeKind;

typedef struct Change {
        ChangeKind kind;
        const TargetSpec *before, *after; /* borrowed from the two Desireds; NULL where none */
        const LunSpec *lun_before, *lun_after;
        const PortalSpec *portal;
} Change;

/* What must be done to come from a to b, in an order in which it can be done. GPtrArray of Change*.
 * Linear in the size of a and b. */
GPtrArray *config_diff(const Desired *a, const Desired *b);
/* One line for people: "+ target NAME", "~ target NAME lun 3: write-cache on -> off". */
char *change_format(const Change *c);

/* The same for programs: what changed, with the values that each directive had and has; of what
 * comes or goes, all that it says beyond the defaults ("lun N" for its LUNs, a value for each
 * directive). Without secrets. */
typedef struct DirectiveChange {
        char *name;
        GPtrArray *before, *after; /* char* */
} DirectiveChange;

typedef struct ChangeDetail {
        const char *kind;      /* "add-target", "change-lun", "remove-portal", ... */
        char *line;            /* change_format() */
        char *name;            /* of a target, or address of a portal; "" where there is none */
        int lun;               /* -1: none */
        GPtrArray *directives; /* DirectiveChange* */
} ChangeDetail;

ChangeDetail *change_detail_new(const Change *c);
void change_detail_free(ChangeDetail *d);

/* The directive table, for help, completion and man pages. Ends with name NULL. where: of "global",
 * "target", "lun", separated by blanks. values: alternatives separated by "|", words in capitals
 * stand for something. since: of this project; stgt's have "stgt". */
typedef struct DirectiveDoc {
        const char *name, *where, *values, *help, *since;
        bool many;            /* may be given more than once */
        bool supported;       /* false: refused by name */
        const char *standard; /* the value where it is not given; NULL: none, or it depends */
} DirectiveDoc;
const DirectiveDoc *config_directive_docs(void);
