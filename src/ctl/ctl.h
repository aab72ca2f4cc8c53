/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdio.h>

#include "base/base.h"

/* ctl: the client programs in one binary; argv[0] decides which (ctl/personality.c).
 *
 * tgtctl speaks D-Bus to the daemon and nothing else; what it can say without one (verify, and what
 * is configured) comes from config/. One table of verbs and one of options (ctl/verbs.c) drive
 * dispatch, checks of the command line, help, completion and the man page.
 *
 * What is shown is JSON first: a reply of the daemon becomes a json_t as it is (ctl/message.h),
 * under the names of dbus/, and tables and status texts are drawn from that. So --json shows
 * exactly what the tables are made of.
 *
 * Threads: none. May include: config, base, libsystemd, glib, jansson. */

/* Exit codes are an interface: documented in tgtctl(1), never renumbered. */
typedef enum ExitCode {
        EXIT_CODE_OK = 0,
        EXIT_CODE_FAILURE = 1,
        EXIT_CODE_USAGE = 2,
        EXIT_CODE_NOT_RUNNING = 3,
        EXIT_CODE_NOT_FOUND = 4,
        EXIT_CODE_DENIED = 5,
        EXIT_CODE_CONFLICT = 6,
        EXIT_CODE_DIFFERS = 7,
        _EXIT_CODE_MAX,
} ExitCode;

/* One sentence each, for the man page. */
const char *exit_code_help(ExitCode code);

typedef struct Ctl Ctl;

/* Whom a program of this binary is called as. */
typedef struct Personality {
        const char *name; /* of argv[0], without folders */
        int (*main)(int argc, char **argv);
        const char *help;
} Personality;

/* Ends with name NULL; the first row is who answers to names that are not in the table. */
const Personality *personalities(void);
const Personality *personality_find(const char *argv0);

/* Returns an ExitCode. argv is permuted. */
int tgtctl_main(int argc, char **argv);
/* Returns stgt's exit codes. */
int tgtadm_main(int argc, char **argv);
int tgt_admin_main(int argc, char **argv);
int tgt_setup_lun_main(int argc, char **argv);
int tgtimg_main(int argc, char **argv);

/* json_decrefp() is jansson's. */
#define _cleanup_json_ _cleanup_(json_decrefp)
