/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "config/config.h"
#include "ctl/ctl.h"

/* Configurations of other targets as fragments of ours. What is said there and cannot be said here
 * is told by name: nothing is dropped in silence. Access is never wider than it was. */

typedef struct Convert {
        Desired *desired;
        json_t *told; /* array of {What Text Lost}; Lost: it is not in desired */
} Convert;

void convert_init(Convert *c);
void convert_done(Convert *c);
/* what: the thing by its name, as its configuration has it. */
void convert_tell(Convert *c, bool lost, const char *what, const char *format, ...) _printf_(4, 5);
/* A directive of ours; one that we do not take is told. */
void convert_set(Convert *c, TargetSpec *t, LunSpec *l, const char *what, const char *directive,
                 const char *value);

bool convert_has_portal(const Convert *c, const char *address);
bool convert_has_account(const GPtrArray *accounts, const char *user);

/* The text of LIO's saveconfig.json (targetcli, rtslib). -EINVAL, with a sentence. */
int convert_lio(Convert *c, const char *file, const char *text, char *reterr, size_t size);

/* scst.conf of SCST (scstadmin), ctl.conf of FreeBSD's ctld; file is what is told of places. */
int convert_scst(Convert *c, const char *file, const char *text, char *reterr, size_t size);
int convert_ctld(Convert *c, const char *file, const char *text, char *reterr, size_t size);

/* The NAA designator (32 digits, newly allocated) that LIO makes of a unit serial number. */
char *lio_naa(const char *serial);
