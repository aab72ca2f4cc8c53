/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <sys/stat.h>

#include "config/config.h"
#include "ctl/ctl.h"

/* tgtctl doctor: looks for what commonly goes wrong, and says how to mend it. It asks no daemon and
 * needs no privileges: what it may not see, it says it could not see.
 *
 * One table (doctor.c) has a row per check: its name, what is looked at, and the function that
 * looks; the verb, --json and tgtctl(1) read it.
 *
 *   doctor.c           the table, what was found, how it is shown
 *   doctor-system.c    units, ports, firewall, others beside us, clock, limits
 *   doctor-config.c    fragments, accounts
 *   doctor-store.c     backing stores, the state directory
 *
 * Everything is read below root and every program is run by a function, so that a test can have any
 * machine. */

typedef enum FindingLevel {
        FINDING_OK,
        FINDING_UNKNOWN, /* could not be seen */
        FINDING_WARNING, /* works, and will surprise somebody */
        FINDING_PROBLEM, /* does not work */
        _FINDING_LEVEL_MAX,
} FindingLevel;

typedef struct Doctor Doctor;

typedef struct Check {
        const char *name;
        const char *looks_at;   /* a line for the man page */
        void (*run)(Doctor *d); /* finds at least one thing */
} Check;

/* Standard output of a program in LC_ALL=C, newly allocated, with its exit code; NULL: it could not
 * be run. */
typedef char *DoctorCommand(const char *const *argv, int *ret_code, void *userdata);

struct Doctor {
        const char *root; /* "" or a folder that stands for "/" */
        DoctorCommand *command;
        void *userdata;
        bool privileged; /* sees everything */

        const char *state_dir;
        ConfigPaths paths;
        Desired *desired;    /* what is configured */
        GPtrArray *problems; /* Problem*: of it; NULL: it cannot be read, for load_error */
        int load_error;
        const Check *running; /* which findings are of */
        GHashTable *units;    /* "UNIT PROPERTY" -> value: systemctl has been asked */
        /* of the check that runs, for doctor_each_lun() */
        unsigned n_luns, n_aio;
        GHashTable *sparse;
        json_t *findings; /* array of {Check Level Text Fix} */
};

const Check *doctor_checks(void); /* ends with name NULL */
const char *finding_level_name(FindingLevel level);
/* root, command, userdata, privileged, state_dir and paths are set. Reads the configuration and
 * runs all checks. */
void doctor_run(Doctor *d);
void doctor_done(Doctor *d);
DoctorCommand doctor_spawn;

/* ---- for the checks ---- */

/* fix: what to do, NULL: nothing. */
void doctor_find(Doctor *d, FindingLevel level, const char *fix, const char *format, ...)
        _printf_(4, 5);
/* Has the running check found nothing worse than FINDING_OK? */
bool doctor_all_well(const Doctor *d);
char *doctor_path(const Doctor *d, const char *path);
char *doctor_read(const Doctor *d, const char *path);                 /* NULL: cannot be read */
int doctor_stat(const Doctor *d, const char *path, struct stat *ret); /* negative errno */
/* Names in a folder, sorted (GPtrArray of char*); empty if it cannot be read. */
GPtrArray *doctor_list(const Doctor *d, const char *path);
/* NULL-terminated arguments; trimmed output of a program that succeeded, else NULL. */
char *doctor_ask(Doctor *d, const char *program, ...) __attribute__((sentinel));
/* A property of a unit; NULL: systemd does not say. */
char *doctor_unit(Doctor *d, const char *unit, const char *property);

/* The ports that are, or would be, listened on (GArray of uint16_t). */
GArray *doctor_ports(Doctor *d);
typedef void DoctorLun(Doctor *d, const TargetSpec *t, const LunSpec *l);
void doctor_each_lun(Doctor *d, DoctorLun *f);

typedef void DoctorCheck(Doctor *d);
DoctorCheck check_units, check_portals, check_port, check_firewall, check_others, check_clock,
        check_limits;
DoctorCheck check_config, check_secrets;
DoctorCheck check_stores, check_use, check_state;
