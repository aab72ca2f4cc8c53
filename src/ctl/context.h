/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "ctl/ctl.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include "ctl/verbs.h"

/* One run of tgtctl: what was asked for and where it goes. */

typedef enum JsonMode { JSON_OFF, JSON_SHORT, JSON_PRETTY } JsonMode;

/* One --DIRECTIVE=VALUE or --set DIRECTIVE=VALUE; both strings are owned. */
typedef struct Setting {
        char *directive, *value;
} Setting;

typedef struct Options {
        JsonMode json;
        int color; /* -1: not given */
        bool help, version, quiet, full;
        bool no_pager, no_legend, no_ask_password;
        bool runtime, force, dry_run, with_secrets, with_identities, outgoing;
        const char *socket, *bus, *config_dir, *state_dir, *secret_file;
        char *secret;            /* owned */
        int64_t control_port;    /* -1: not given */
        int64_t generation;      /* -1: not given */
        uint64_t confirm_within; /* ns; 0: not given */
        bool prune, by_daemon, revert;
        char **only; /* of reload: names of targets; NULL: all. Borrowed */
        bool preallocate;
        bool yes, no_wait, invert, restricted, exit_failure; /* sanitize, format */
        const char *method, *pattern;
        int64_t passes; /* 0: not given */
        const char *store_dir;
        uint64_t file_size; /* of the file that is to be made for a LUN; 0: none is */
        const char *by;     /* of stats; NULL: not given */
        bool batch;
        int64_t delay, iterations; /* 0 and -1: not given */
        GArray *settings;          /* Setting */
} Options;

struct Ctl {
        const Verb *verb;
        Options options;
        Terminal terminal;

        sd_bus *bus;    /* NULL: not connected */
        bool peer;      /* the private socket: no bus daemon between */
        bool connected; /* ctl_connect() has been tried */
        int connect_code;
        char *connect_why; /* what to tell when connect_code is not 0 */

        GString *caught;  /* what would be said on stderr; NULL: it is said there */
        char *error_name; /* of the last call that failed, on D-Bus; NULL: none did */
        json_t *result;   /* of changes, for --json; NULL: none */
};

/* Says "text" on stderr and returns code. */
int ctl_fail(Ctl *c, ExitCode code, const char *format, ...) _printf_(3, 4);
/* On stderr, unless --quiet. */
void ctl_note(Ctl *c, const char *format, ...) _printf_(2, 3);
/* On stdout, unless --quiet: what a change did. */
void ctl_say(Ctl *c, Color color, const char *format, ...) _printf_(3, 4);
/* The page is shown, by a pager if need be; frees nothing. */
void ctl_show(Ctl *c, const char *text);
/* In the mode of --json; returns an ExitCode. */
int ctl_show_json(Ctl *c, const json_t *j);
/* Draws t with the legend and a line that counts its rows, "3 targets". */
void ctl_show_table(Ctl *c, const Table *t, const char *noun);
static inline bool ctl_json(const Ctl *c)
{
        return c->options.json != JSON_OFF;
}
