/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "bus/manager.h"

/* What each changing method does to the desired state: functions over config's values alone, with
 * neither bus nor manager, so that one test per sentence of the contract is enough. All are
 * EditFuncs whose userdata is an Edit. An edit that fails leaves a Desired that is to be dropped.
 *
 * Secrets are never quoted in an error. Strings that come in are free of control characters
 * (text_is_clean()): a line feed would start another directive in the file that is written. */

typedef struct Directive {
        char *name;
        char **values; /* NULL-terminated; empty: back to the default */
} Directive;

void directive_free(Directive *d);

/* A LUN of a target. */
typedef struct EditLun {
        char *target;
        uint16_t lun;
} EditLun;

void edit_lun_free(EditLun *l);

typedef struct Edit {
        bool runtime, force; /* as the options of the same names */
        ConfigCheckParam *check;
        char *target;          /* as iscsi_name_normalize() returns it, or as configured */
        bool has_lun;          /* lun is meant; add_lun sets both */
        uint16_t lun;          /* in; out of add_lun */
        GPtrArray *directives; /* Directive* */
        GPtrArray *also;       /* EditLun*: what else maps the unit that is set; or NULL */
        char *uuid, *naa;      /* of the unit that is set, unless something else maps it; or NULL */
        char *kind, *value;    /* of an ACL entry; value is rewritten as configured */
        char *user, *secret, *direction;
        char *address;    /* of a portal; rewritten as "ADDR:PORT" */
        LimitSpec limits; /* of the initiator that value names */
        char *text;       /* of a fragment; may hold secrets */
} Edit;

void edit_clear(Edit *e); /* wipes the secrets */

/* Valid UTF-8 without control characters, 1 to max bytes (0 with allow_empty). */
bool text_is_clean(const char *s, size_t max, bool allow_empty);

EditFunc edit_create_target, edit_replace_target, edit_delete_target, edit_set;
EditFunc edit_add_lun, edit_remove_lun, edit_set_lun;
EditFunc edit_allow, edit_deny, edit_set_limits;
EditFunc edit_add_account, edit_remove_account;
EditFunc edit_add_discovery_account, edit_remove_discovery_account;
EditFunc edit_new_account, edit_delete_account;
/* secret: that of an account of this name elsewhere, or NULL; one of Desired.accounts comes first.
 * target NULL: discovery. */
EditFunc edit_bind_account;
EditFunc edit_add_portal, edit_remove_portal;

/* Appends to paths (char*) every backing path that before (may be NULL) does not have at the same
 * LUN, and store options that name files. */
void new_paths_of_target(const TargetSpec *before, const TargetSpec *after, GPtrArray *paths);
/* What an edit of e->target would newly open: runs it over a copy of that target alone and appends
 * to paths (char*) every backing path that running does not have at the same LUN, and store options
 * that name files. -1 with *error if the edit fails. e is not changed. */
int edit_new_paths(const Desired *running, EditFunc *edit, const Edit *e, GPtrArray *paths,
                   BusError *error);
