/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "config/config.h"
#include "ctl/tgtadm.h"

/* tgt-admin: stgt's tool for configuration files.
 *
 *   tgt-admin.c          the command line; showing, dumping, deleting, taking offline
 *   tgt-admin-config.c   from a file to what runs
 *
 * A file that the daemon reads itself is reloaded, for the targets that are meant; the targets of
 * any other file are made at runtime. Either way only what differs is changed. */

enum {
        ADMIN_OK = 0,
        ADMIN_WRONG = 1, /* the configuration, or what was asked for */
        ADMIN_NO_FILE = 2,
        ADMIN_SYNTAX = 255 /* the file is not one of targets.conf(5) */
};

typedef struct Admin {
        Ctl ctl;
        const char *given[256]; /* by option letter or number: the value, "" of a flag */
        json_t *targets;        /* those that run, by tid */
        /* of the file */
        Desired *wanted;
        GHashTable *bad;
        GPtrArray *problems;
        bool own; /* the daemon reads it itself */
} Admin;

/* Options without a letter. */
enum {
        OPT_DELETE = 128,
        OPT_OFFLINE,
        OPT_READY,
        OPT_UPDATE,
        OPT_DUMP,
        OPT_IGNORE_ERRORS,
        OPT_WITH_SECRETS,
        OPT_WITH_IDENTITIES
};

static inline bool admin_has(const Admin *a, int option)
{
        return a->given[option] != NULL;
}

const AdmOption *admin_options(void); /* ends with name NULL */

/* "# text" where it is asked for: --verbose or --pretend. */
void admin_comment(const Admin *a, const char *format, ...) _printf_(2, 3);
/* On stdout, and code. */
int admin_stop(int code, const char *format, ...) _printf_(2, 3);
/* One command of tgtadm; NULL ends the words. */
int admin_step(Admin *a, ...) __attribute__((sentinel));
/* A call has failed with this code of tgtctl's: says so, and returns our code. */
int admin_failed(Admin *a, int code, const char *what);
/* Was that code of admin_step() or admin_failed() to be passed over? */
int admin_tolerate(const Admin *a, int code);

int admin_get_targets(Admin *a);
/* "tid=3" or a name; NULL: none. */
const json_t *admin_find(const Admin *a, const char *what);
const json_t *admin_find_name(const Admin *a, const char *name);
int admin_delete_target(Admin *a, const json_t *target);

int admin_execute(Admin *a);
int admin_update(Admin *a, const char *what);
