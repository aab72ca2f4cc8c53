/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/context.h"

/* The command line. */

void options_init(Options *o);
void options_done(Options *o);
/* One more, as --DIRECTIVE=VALUE does. */
void options_add_setting(Options *o, const char *directive, const char *value);

/* Parses argv into c->options and finds the verb. *ret_args: what follows the verb, within argv.
 * Returns an ExitCode; it has said what is wrong. With --help or --version, c->verb may be NULL. */
int args_parse(Ctl *c, int argc, char **argv, char ***ret_args);

/* "write_cache" and "write-cache" are the same directive to us; returns its name in the table, or
 * NULL. where: VERB_*_DIRECTIVES flags. */
const char *option_directive(const char *name, unsigned where);
