/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"

/* What a disk may hold, written down write by write: finds lost, stale, torn and resurrected
 * writes.
 *
 * Every block that is written carries a stamp: (LBA, sequence number, writer, checksum). The ledger
 * knows when each write began and when it ended, and how: acknowledged, failed or given up
 * (aborted, connection lost; such a write may or may not have happened). Then a block may hold
 * write C unless an acknowledged write D of it began after C had ended: finding C then means that D
 * is lost, or that C was resurrected. After a loss of power the same holds with "durable" for
 * "acknowledged".
 *
 * Not thread-safe. Blocks that were never written hold zeros. */

typedef struct Ledger Ledger;

typedef enum LedgerEnd { LEDGER_ACKNOWLEDGED, LEDGER_FAILED, LEDGER_GIVEN_UP } LedgerEnd;

Ledger *ledger_new(uint64_t n_blocks, uint32_t block_size); /* aborts when out of memory: a test */
Ledger *ledger_free(Ledger *l);

/* A write of n blocks at lba begins: stamps buf (n * block_size bytes); returns its number (> 0).
 */
uint64_t ledger_begin(Ledger *l, uint32_t writer, uint64_t lba, uint32_t n, void *buf);
/* ... writes zeros instead (UNMAP with LBPRZ, WRITE SAME of zeros). */
uint64_t ledger_begin_zero(Ledger *l, uint64_t lba, uint32_t n);
/* It ended. durable: it was acknowledged with FUA, or write-through. */
void ledger_end(Ledger *l, uint64_t write, LedgerEnd how, bool durable);

/* A flush begins: returns a mark. When it is acknowledged, everything acknowledged before the mark
 * is durable. */
uint64_t ledger_flush_begin(Ledger *l);
void ledger_flush_end(Ledger *l, uint64_t mark);

/* A read begins; when its data is there, it is judged against every state that the blocks may have
 * had since. Returns 0, or -1 with a sentence in error that says which block and what is wrong. */
uint64_t ledger_read_begin(Ledger *l);
int ledger_check(Ledger *l, uint64_t read, uint64_t lba, uint32_t n, const void *buf, char *error,
                 size_t size);
/* The same for what is found after the power was lost now: everything that was durable, nothing
 * that it superseded. */
int ledger_check_durable(Ledger *l, uint64_t lba, uint32_t n, const void *buf, char *error,
                         size_t size);
/* What is there now becomes the truth: after a crash was checked, before the next round. */
void ledger_adopt(Ledger *l, uint64_t lba, uint32_t n, const void *buf);

/* To and from a file, so that another process can check. */
int ledger_save(const Ledger *l, const char *path);
int ledger_load(const char *path, Ledger **ret);
uint64_t ledger_blocks(const Ledger *l);
uint32_t ledger_block_size(const Ledger *l);
