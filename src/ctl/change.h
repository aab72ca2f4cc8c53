/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/context.h"

/* Method calls that change something: directives and options in, what was changed out.
 *
 *      code = change_begin(c, path, interface, member, &m);
 *      ... append the arguments ...
 *      code = change_finish(c, m, r, OPTIONS_ALL, outs);
 *
 * The results of all calls of a run are gathered in c->result, which --json shows at the end. */

typedef enum OptionMask {
        OPTIONS_NONE = 0,
        OPTIONS_RUNTIME = 1 << 0,
        OPTIONS_FORCE = 1 << 1,
        OPTIONS_DRY_RUN = 1 << 2,
        OPTIONS_GENERATION = 1 << 3,
        OPTIONS_APPLY = 1 << 4, /* those that only it has */
        OPTIONS_CONFIRM = 1 << 5,
        OPTIONS_FILE = 1 << 6, /* of the file that is made */
        OPTIONS_RELOAD = 1 << 7,
        OPTIONS_ALL = OPTIONS_RUNTIME | OPTIONS_FORCE | OPTIONS_DRY_RUN | OPTIONS_GENERATION |
                      OPTIONS_CONFIRM,
} OptionMask;

int change_begin(Ctl *c, const char *path, const char *interface, const char *member,
                 sd_bus_message **ret);
/* c->options.settings as a{sas}, values of one directive together. */
int change_append_settings(Ctl *c, sd_bus_message *m);
/* a{sv} with those of the options that were given; what mask lacks is left out. */
int change_append_options(Ctl *c, sd_bus_message *m, unsigned mask);

/* Appends the options that were given to m, sends it, drops it whatever comes. *ret: the arguments
 * of the reply, as an array. appended: what appending the arguments returned. */
int change_send(Ctl *c, sd_bus_message *m, int appended, unsigned mask, json_t **ret);
/* One option that is a list of strings (NULL-terminated). */
int change_append_strings(sd_bus_message *m, const char *name, char *const *values);

/* appended: what appending the arguments returned; the options are appended here. Sends m, drops it
 * whatever comes, and tells the changes. outs: names of the reply's arguments but for the last,
 * which is the list of changes; NULL: the reply is empty. */
int change_finish(Ctl *c, sd_bus_message *m, int appended, unsigned mask, const char *const *outs);

/* Adds name: value to what --json shows; steals value. */
void change_result(Ctl *c, const char *name, json_t *value);
/* Of a line, by how it begins. */
Color change_color(const char *line);
/* That a change was made that waits to be confirmed, if so. */
void tell_confirm(Ctl *c);
/* Lines of changes, on stdout. */
void tell_changes(Ctl *c, const json_t *changes);
/* A list of {File Line Level Target Directive Text}: on stderr. */
void tell_problems(Ctl *c, const json_t *problems);
bool problems_have_error(const json_t *problems);
/* The structs of the bus as such objects; a new reference or NULL. */
json_t *problems_from_bus(const json_t *structs);
