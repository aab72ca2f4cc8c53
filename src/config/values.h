/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "config/directives.h"

/* The types of directives: how values become fields. */

/* values.c: fields of any object */
extern const DirectiveType type_bool;      /* bool; the first of "yes|no" is true */
extern const DirectiveType type_int;       /* int, -1: not given */
extern const DirectiveType type_u32;       /* uint32_t, 0: not given */
extern const DirectiveType type_size;      /* uint64_t bytes, 0: not given */
extern const DirectiveType type_text;      /* char*, any text of at most max bytes */
extern const DirectiveType type_inquiry;   /* char*, ASCII as INQUIRY data wants it, cut at max */
extern const DirectiveType type_word;      /* char*, one of values */
extern const DirectiveType type_path;      /* char*, absolute */
extern const DirectiveType type_paths;     /* GPtrArray of char*, absolute */
extern const DirectiveType type_file_bool; /* the same of the file at hand: not written again */
extern const DirectiveType type_file_port; /* uint32_t, 0: not given; likewise */
extern const DirectiveType type_ignored;   /* taken and without effect; a word that is not the first
                                              of values gets a warning */

/* values-lun.c */
extern const DirectiveType type_store, type_lun, type_bsopts, type_bsoflags, type_uuid, type_naa,
        type_identity, type_mode_page, type_params, type_block_size, type_rotation_rate;

/* values-target.c */
extern const DirectiveType type_address, type_name, type_incoming, type_outgoing, type_param,
        type_marker, type_portal;

/* Sets those of l's params that had to wait for its number. false: there is an error among
 * problems.
 */
bool lun_set_deferred(const TargetSpec *t, LunSpec *l, GPtrArray *problems);

/* values-limit.c */
extern const DirectiveType type_limit, type_initiator_limit;

/* The halves that several types have in common. */
void value_get_u32(const Directive *d, const void *object, GPtrArray *values);
void value_clear_u32(const Directive *d, void *object);
void value_get_int(const Directive *d, const void *object, GPtrArray *values);
void value_clear_int(const Directive *d, void *object);
void value_get_text(const Directive *d, const void *object, GPtrArray *values);
void value_clear_text(const Directive *d, void *object);

/* What setters return. */
int setting_error(Setting *s, const char *format, ...) _printf_(2, 3);
int setting_warning(Setting *s, const char *format, ...) _printf_(2, 3);
void *setting_field(const Setting *s);
/* An initiator as access lists name it: a name, an address, a prefix, or ALL. */
int setting_initiator(Setting *s, const char *text, char **ret);
/* Is word one of list, "a|b|c"? */
bool word_in_list(const char *word, const char *list);
