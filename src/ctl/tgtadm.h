/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/change.h"
#include "ctl/connection.h"
#include "ctl/model.h"

/* tgtadm: stgt's command line, its output and its exit codes, over D-Bus.
 *
 * One table (tgtadm-rows.c) has a row per mode and operation: which options must be given and may
 * be, what runs it, what stgt calls the errors that it can end with, and a line of help. The checks
 * of the command line, --help and tgtadm(8) read it.
 *
 *   tgtadm.c          the command line
 *   tgtadm-rows.c     the table
 *   tgtadm-message.c  errors in stgt's words, the reason behind them
 *   tgtadm-target.c, -lun.c, -account.c, -session.c, -system.c   what the rows run
 *   tgtadm-show.c     the listing of targets
 *   tgtadm-stat.c     statistics
 *
 * What it changes is kept in /run: it is gone when the daemon is stopped. */

typedef enum AdmMode {
        ADM_SYSTEM,
        ADM_TARGET,
        ADM_LUN,
        ADM_PORTAL,
        ADM_LLD,
        ADM_SESSION,
        ADM_CONNECTION,
        ADM_ACCOUNT,
        _ADM_MODE_MAX,
} AdmMode;

typedef enum AdmOp {
        ADM_NEW,
        ADM_DELETE,
        ADM_SHOW,
        ADM_BIND,
        ADM_UNBIND,
        ADM_UPDATE,
        ADM_STAT,
        ADM_START,
        ADM_STOP,
        _ADM_OP_MAX,
} AdmOp;

extern const char *const adm_mode_names[_ADM_MODE_MAX];
extern const char *const adm_op_names[_ADM_OP_MAX];

/* Exit codes of stgt: errno values. */
enum {
        ADM_OK = 0,
        ADM_UNKNOWN_WORD = 1,
        ADM_INVALID = 22,       /* EINVAL: practically every failure */
        ADM_NOT_CONNECTED = 107 /* ENOTCONN: nobody listens */
};

/* A run: its command line, and where it goes. */
typedef struct Adm {
        Ctl *ctl;
        const struct AdmRow *row;
        const char *not_found, *exists, *in_use; /* the row's, until who runs knows better */
        const char *given[128]; /* by option letter: the value, "" of a flag; NULL: not given */
        int tid;                /* -1: not given */
        uint64_t sid, lun;      /* UINT64_MAX: not given */
        uint32_t cid;
        int control_port; /* -1: not given */
} Adm;

static inline const char *adm_value(const Adm *a, char letter)
{
        return a->given[(unsigned char)letter];
}

/* Returns an exit code; whoever returns another than 0 has said why. */
typedef int AdmRun(Adm *a);

typedef struct AdmRow {
        AdmMode mode;
        AdmOp op;
        const char *required; /* option letters, in the order in which they are asked for */
        const char *allowed;  /* further ones; "LmodC" are always allowed */
        AdmRun *run;
        const char *not_found, *exists, *in_use; /* NULL: "invalid request" */
        const char *synopsis, *help;
} AdmRow;

const AdmRow *adm_rows(void); /* ends with run NULL */
const AdmRow *adm_row_find(AdmMode mode, AdmOp op);
/* What is said where a required option is missing; a sentence of stgt's. */
const char *adm_missing(const AdmRow *row, char letter);

typedef struct AdmOption {
        const char *name;
        int letter;        /* above 127: there is none, only a number */
        const char *value; /* NULL: takes none */
        const char *help;
} AdmOption;
const AdmOption *adm_options(void); /* ends with name NULL */
void adm_help(GString *to);
/* What getopt_long() needs of a table of options: struct option and the letters. */
void adm_getopt(const AdmOption *table, GArray *longs, GString *shorts);

/* Runs one command over ctl, whose connection is made when it is needed and stays. argv[0] is for
 * messages. tgt-admin runs its steps so. */
int adm_run(Ctl *ctl, int argc, char **argv);
/* A Ctl for one of stgt's commands: everything at runtime, nothing said but by us. */
void adm_ctl_init(Ctl *ctl);
void adm_ctl_done(Ctl *ctl);

/* ---- tgtadm-message.c ---- */

/* "tgtadm: TEXT: REASON" on stderr; returns ADM_INVALID. reason may be NULL. */
int adm_fail(Adm *a, const char *text, const char *reason);
int adm_failf(Adm *a, const char *text, const char *format, ...) _printf_(3, 4);
/* A call failed with this code of tgtctl's: says so in stgt's words, the row's first. */
int adm_failed(Adm *a, int code);

/* ---- calls ---- */

/* The target with the tid: its name and its object, newly allocated. */
int adm_target(Adm *a, char **ret_name, char **ret_path);
/* The properties of the session of --sid; ret_path may be NULL. */
int adm_get_session(Adm *a, char **ret_path, json_t **ret);
/* Is --cid the connection of the session? Says so if not. */
int adm_check_connection(Adm *a, const json_t *session);
/* All targets as model_targets() has them, by tid. */
int adm_targets(Adm *a, json_t **ret);
/* --params into the settings of a->ctl. */
int adm_read_params(Adm *a, const char *text);
/* Starts a method call. */
int adm_call(Adm *a, const char *path, const char *interface, const char *member,
             sd_bus_message **ret);
/* Sends m, to which appended is what appending the arguments returned, with the options of a
 * change. *ret_n_changes (may be NULL): how much differed. */
int adm_change(Adm *a, sd_bus_message *m, int appended, bool force, size_t *ret_n_changes);
/* The same for a method without options of its own, whose answer is empty. */
int adm_action(Adm *a, sd_bus_message *m, int appended);

/* ---- tgtadm-show.c ---- */

/* "105 MB" of stgt: what Linux' sd once printed. */
uint64_t adm_megabytes(uint64_t bytes);
/* Appends the lines of one target, or of the one LUN. */
int adm_show_target(Adm *a, const char *path, uint32_t tid, GString *to);
int adm_show_lun(Adm *a, const char *path, uint32_t tid, uint64_t lun, GString *to);
/* The unit of a LUN, of a target as model_target() has it; NULL: none. */
const json_t *adm_find_unit(const json_t *target, uint64_t lun);
/* "127.0.0.1" of "127.0.0.1:3260", without the brackets of IPv6; newly allocated. */
char *adm_peer_address(const char *peer);
/* The sessions of a target with their properties, ascending by id. */
int adm_sessions(Adm *a, const char *path, json_t **ret);

AdmRun adm_system_show, adm_system_stat, adm_system_update, adm_system_delete;
AdmRun adm_lld_show, adm_lld_start, adm_lld_stop;
AdmRun adm_portal_new, adm_portal_delete, adm_portal_show;
AdmRun adm_target_new, adm_target_delete, adm_target_show, adm_target_stat, adm_target_bind,
        adm_target_unbind, adm_target_update;
AdmRun adm_lun_new, adm_lun_delete, adm_lun_update, adm_lun_stat, adm_lun_show;
AdmRun adm_session_show, adm_session_stat, adm_connection_show, adm_connection_stat,
        adm_connection_delete;
AdmRun adm_account_new, adm_account_delete, adm_account_show, adm_account_bind, adm_account_unbind;
