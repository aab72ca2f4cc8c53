/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "config/config.h"
#include "scsi/scsi.h"

/* Identities of logical units: made once, recorded in the state directory, the same for ever after.
 *
 * A unit is known by its key: the path of its backing store, or target and LUN where it has none.
 * The record holds everything that was generated (UUID, NAA, serial, SCSI id), so that a later
 * version that generates them otherwise changes no disk under an initiator's feet. What the
 * configuration sets is not recorded; a uuid in the configuration decides all that is not set.
 *
 * File: a line "tgt-identities 1", then per record tab-separated key, uuid, naa, serial, scsi id
 * and a checksum of what stands before it. Records are only ever appended, later ones count; a line
 * that is torn or damaged costs itself.
 *
 * Threads: control, but for identities_append(), which blocks and runs in a job. */

typedef struct Identities Identities;

/* Reads path; a file that does not exist is empty. -EPROTONOSUPPORT: written by a later version.
 * *ret_damaged counts lines that were skipped. */
int identities_open(const char *path, Identities **ret, unsigned *ret_damaged);
Identities *identities_free(Identities *i);
DEFINE_CLEANUP(Identities *, identities_free);

/* Is l something that has a path, and is known by it? */
bool identity_has_path(const LunSpec *l);
/* The key of l in target; newly allocated. */
char *identity_key(const char *target, const LunSpec *l);
/* What l is to be known as: recorded, derived or new (and then pending). identity_clear() is due.
 */
int identities_resolve(Identities *i, const char *key, const LunSpec *l, LuIdentity *ret);
void identity_clear(LuIdentity *id); /* idempotent */
/* key is another name of what is known as like: records that. */
void identities_alias(Identities *i, const char *key, const char *like);
/* The key whose identity key was found to share; NULL: it has its own. */
const char *identities_original(const Identities *i, const char *key);
/* key turned out to be another thing than its record says: a new identity, pending. */
void identities_renew(Identities *i, const char *key);

/* What is to be appended to the file, or NULL if nothing is pending; the caller's to g_free(). */
char *identities_take_pending(Identities *i);
/* text could not be written: it is pending again. */
void identities_put_back(Identities *i, const char *text);
/* Appends and makes durable. Negative errno. */
int identities_append(const char *path, const char *text);

void uuid_format(const uint8_t uuid[16], char ret[37]);
int uuid_parse(const char *s, uint8_t ret[16]); /* with or without dashes; -EINVAL */
