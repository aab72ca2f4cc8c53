/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/addr.h"
#include "base/base.h"

/* The command line of tgtd, with every default filled in. */
typedef struct Options {
        char *config_dir; /* NULL: the default */
        char *state_dir, *runtime_dir;
        char *bus; /* NULL: none */
        char *control_socket;
        char *opener_socket;
        char *pid_file; /* NULL: none */
        SockAddr *portals;
        size_t n_portals;
        unsigned workers;
        unsigned spin; /* us */
        int64_t wake;  /* us; -1: not given */
        bool debug;
} Options;

/* 0: go on; 1: --help or --version was answered; negative errno after a message on stderr. */
int options_parse(Options *o, int argc, char **argv);
void options_clear(Options *o);
