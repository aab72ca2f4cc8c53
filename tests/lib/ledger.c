/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ledger.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#define STAMP_MAGIC UINT64_C(0x746774206c656467) /* "tgt ledg" */
#define FOREVER UINT64_MAX

/* What stands at the start of a stamped block; the rest is a pattern derived from sequence. */
typedef struct Stamp {
        uint64_t magic, lba, sequence;
        uint32_t writer, crc;
} Stamp;

/* One write of one block. Times are the ledger's: one tick per event. */
typedef struct Entry {
        uint64_t sequence, begin, end;
        uint64_t durable; /* when it was known to be durable; 0: never */
        bool acknowledged, zero;
} Entry;

typedef struct Block {
        Entry *entries;
        uint32_t n, size;
} Block;

typedef struct Write {
        uint64_t sequence, lba;
        uint32_t n;
} Write;

struct Ledger {
        uint64_t n_blocks, time, sequence;
        uint32_t block_size;
        Block *blocks;
        Write *open; /* writes that have not ended */
        size_t n_open, open_size;
        Write *volatile_; /* acknowledged, not yet durable */
        uint64_t *volatile_acked;
        size_t n_volatile, volatile_size;
};

static void *must(void *p)
{
        if (!p) {
                perror("ledger");
                abort();
        }
        return p;
}

static void die(const char *what)
{
        fprintf(stderr, "ledger: misuse: %s\n", what);
        abort();
}

Ledger *ledger_new(uint64_t n_blocks, uint32_t block_size)
{
        Ledger *l = must(calloc(1, sizeof(*l)));

        if (block_size < sizeof(Stamp))
                die("blocks are too small for a stamp");
        l->n_blocks = n_blocks;
        l->block_size = block_size;
        l->time = 1;
        l->blocks = must(calloc(n_blocks, sizeof(*l->blocks)));
        return l;
}

Ledger *ledger_free(Ledger *l)
{
        if (!l)
                return NULL;
        for (uint64_t i = 0; i < l->n_blocks; i++)
                free(l->blocks[i].entries);
        free(l->blocks);
        free(l->open);
        free(l->volatile_);
        free(l->volatile_acked);
        free(l);
        return NULL;
}

uint64_t ledger_blocks(const Ledger *l)
{
        return l->n_blocks;
}

uint32_t ledger_block_size(const Ledger *l)
{
        return l->block_size;
}

static uint32_t checksum(const uint8_t *p, size_t n)
{
        uint32_t h = 2166136261u; /* FNV-1a */

        for (size_t i = 0; i < n; i++)
                h = (h ^ p[i]) * 16777619u;
        return h;
}

static void stamp_block(uint8_t *block, uint32_t size, uint64_t lba, uint64_t sequence,
                        uint32_t writer)
{
        Stamp s = { .magic = STAMP_MAGIC, .lba = lba, .sequence = sequence, .writer = writer };
        uint64_t x = sequence * UINT64_C(0x9e3779b97f4a7c15) ^ lba;

        for (size_t i = sizeof(s); i + 8 <= size; i += 8) {
                x = x * UINT64_C(6364136223846793005) + 1442695040888963407u;
                memcpy(block + i, &x, 8);
        }
        s.crc = checksum(block + sizeof(s), size - sizeof(s));
        memcpy(block, &s, sizeof(s));
}

typedef enum Kind { KIND_STAMP, KIND_ZERO, KIND_TORN } Kind;

static Kind read_stamp(const uint8_t *block, uint32_t size, Stamp *ret)
{
        memcpy(ret, block, sizeof(*ret));
        if (ret->magic == STAMP_MAGIC &&
            ret->crc == checksum(block + sizeof(*ret), size - sizeof(*ret)))
                return KIND_STAMP;
        for (uint32_t i = 0; i < size; i++)
                if (block[i])
                        return KIND_TORN;
        return KIND_ZERO;
}

static Entry *block_add(Block *b)
{
        if (b->n == b->size) {
                b->size = b->size ? b->size * 2 : 2;
                b->entries = must(realloc(b->entries, b->size * sizeof(Entry)));
        }
        return &b->entries[b->n++];
}

static uint64_t begin(Ledger *l, uint64_t lba, uint32_t n, bool zero)
{
        uint64_t sequence = ++l->sequence, now = ++l->time;

        if (lba + n > l->n_blocks)
                die("write behind the end");
        for (uint32_t i = 0; i < n; i++)
                *block_add(&l->blocks[lba + i]) =
                        (Entry){ .sequence = sequence, .begin = now, .end = FOREVER, .zero = zero };
        if (l->n_open == l->open_size) {
                l->open_size = l->open_size ? l->open_size * 2 : 64;
                l->open = must(realloc(l->open, l->open_size * sizeof(Write)));
        }
        l->open[l->n_open++] = (Write){ .sequence = sequence, .lba = lba, .n = n };
        return sequence;
}

uint64_t ledger_begin(Ledger *l, uint32_t writer, uint64_t lba, uint32_t n, void *buf)
{
        uint64_t sequence = begin(l, lba, n, false);

        for (uint32_t i = 0; i < n; i++)
                stamp_block((uint8_t *)buf + (size_t)i * l->block_size, l->block_size, lba + i,
                            sequence, writer);
        return sequence;
}

uint64_t ledger_begin_zero(Ledger *l, uint64_t lba, uint32_t n)
{
        return begin(l, lba, n, true);
}

/* An entry that a durable later one supersedes can never be found rightly again, but by a read that
 * began before the later one ended: forget it when that is PRUNE_AGE events ago. */
#define PRUNE_AGE 10000
#define PRUNE_ABOVE 64

static void block_prune(const Ledger *l, Block *b)
{
        uint64_t newest = 0; /* begin of the youngest durable entry */
        uint32_t kept = 0;

        if (b->n <= PRUNE_ABOVE)
                return;
        for (uint32_t i = 0; i < b->n; i++)
                if (b->entries[i].durable && b->entries[i].end + PRUNE_AGE < l->time)
                        newest = MAX(newest, b->entries[i].begin);
        for (uint32_t i = 0; i < b->n; i++)
                if (b->entries[i].end >= newest)
                        b->entries[kept++] = b->entries[i];
        b->n = kept;
}

static Entry *block_find(Block *b, uint64_t sequence)
{
        for (uint32_t i = b->n; i-- > 0;)
                if (b->entries[i].sequence == sequence)
                        return &b->entries[i];
        return NULL;
}

static void make_durable(Ledger *l, const Write *w)
{
        for (uint32_t i = 0; i < w->n; i++) {
                Entry *e = block_find(&l->blocks[w->lba + i], w->sequence);

                if (e)
                        e->durable = l->time;
                block_prune(l, &l->blocks[w->lba + i]);
        }
}

void ledger_end(Ledger *l, uint64_t write, LedgerEnd how, bool durable)
{
        uint64_t now = ++l->time;
        size_t o = 0;
        Write w;

        while (o < l->n_open && l->open[o].sequence != write)
                o++;
        if (o == l->n_open)
                die("a write ends that is not open");
        w = l->open[o];
        l->open[o] = l->open[--l->n_open];
        for (uint32_t i = 0; i < w.n; i++) {
                Entry *e = block_find(&l->blocks[w.lba + i], write);

                e->end = now;
                e->acknowledged = how == LEDGER_ACKNOWLEDGED;
        }
        if (how != LEDGER_ACKNOWLEDGED)
                return;
        if (durable) {
                make_durable(l, &w);
                return;
        }
        if (l->n_volatile == l->volatile_size) {
                l->volatile_size = l->volatile_size ? l->volatile_size * 2 : 64;
                l->volatile_ = must(realloc(l->volatile_, l->volatile_size * sizeof(Write)));
                l->volatile_acked =
                        must(realloc(l->volatile_acked, l->volatile_size * sizeof(uint64_t)));
        }
        l->volatile_[l->n_volatile] = w;
        l->volatile_acked[l->n_volatile++] = now;
}

uint64_t ledger_flush_begin(Ledger *l)
{
        return ++l->time;
}

void ledger_flush_end(Ledger *l, uint64_t mark)
{
        size_t kept = 0;

        ++l->time;
        for (size_t i = 0; i < l->n_volatile; i++) {
                if (l->volatile_acked[i] < mark) {
                        make_durable(l, &l->volatile_[i]);
                        continue;
                }
                l->volatile_[kept] = l->volatile_[i];
                l->volatile_acked[kept++] = l->volatile_acked[i];
        }
        l->n_volatile = kept;
}

uint64_t ledger_read_begin(Ledger *l)
{
        return ++l->time;
}

/* May what carries sequence (0: nothing was ever written) be found by a read that began at since?
 * *ret_by: the write that forbids it, or 0 if no such write is known at all. */
static bool allowed(Block *b, uint64_t sequence, uint64_t since, bool durable, uint64_t *ret_by)
{
        const Entry *c = block_find(b, sequence);
        uint64_t end = c ? c->end : 0;

        *ret_by = 0;
        if (sequence && !c)
                return false;
        for (uint32_t i = 0; i < b->n; i++) {
                const Entry *d = &b->entries[i];
                bool holds = durable ? d->durable != 0 : d->acknowledged && d->end < since;

                if (holds && d->sequence != sequence && end < d->begin) {
                        *ret_by = d->sequence;
                        return false;
                }
        }
        return true;
}

/* Half of one write and half of another: only while one of them was under way since the read began,
 * or was left half-way by a failure and nothing newer has been acknowledged. */
static bool allowed_torn(const Block *b, uint64_t since)
{
        for (uint32_t i = 0; i < b->n; i++) {
                const Entry *e = &b->entries[i];
                bool superseded = false;

                if (e->end >= since)
                        return true;
                for (uint32_t k = 0; k < b->n; k++)
                        superseded |= b->entries[k].acknowledged && b->entries[k].begin > e->end;
                if (!e->acknowledged && !superseded)
                        return true;
        }
        return false;
}

/* Zeros may be any zeroing write or the unwritten state. */
static bool allowed_zero(Block *b, uint64_t since, bool durable, uint64_t *ret_by)
{
        uint64_t by;

        for (uint32_t i = 0; i < b->n; i++)
                if (b->entries[i].zero && allowed(b, b->entries[i].sequence, since, durable, &by))
                        return true;
        return allowed(b, 0, since, durable, ret_by);
}

static int check_block(Ledger *l, uint64_t since, bool durable, uint64_t lba, const uint8_t *block,
                       char *error, size_t size)
{
        Block *b = &l->blocks[lba];
        uint64_t by = 0;
        Stamp s;

        switch (read_stamp(block, l->block_size, &s)) {
        case KIND_TORN:
                if (!durable && allowed_torn(b, since))
                        return 0;
                snprintf(error, size, "LBA %" PRIu64 ": torn or foreign data", lba);
                return -1;
        case KIND_ZERO:
                if (allowed_zero(b, since, durable, &by))
                        return 0;
                snprintf(error, size, "LBA %" PRIu64 ": zeros, write %" PRIu64 " is lost", lba, by);
                return -1;
        case KIND_STAMP:
                break;
        }
        if (s.lba != lba) {
                snprintf(error, size, "LBA %" PRIu64 ": holds the data of LBA %" PRIu64, lba,
                         s.lba);
                return -1;
        }
        if (allowed(b, s.sequence, since, durable, &by))
                return 0;
        if (by)
                snprintf(error, size,
                         "LBA %" PRIu64 ": write %" PRIu64 " of writer %u instead of %" PRIu64
                         " (lost, or the older one was resurrected)",
                         lba, s.sequence, s.writer, by);
        else
                snprintf(error, size,
                         "LBA %" PRIu64 ": write %" PRIu64 " of writer %u, superseded long ago",
                         lba, s.sequence, s.writer);
        return -1;
}

int ledger_check(Ledger *l, uint64_t read, uint64_t lba, uint32_t n, const void *buf, char *error,
                 size_t size)
{
        for (uint32_t i = 0; i < n; i++)
                if (check_block(l, read, false, lba + i,
                                (const uint8_t *)buf + (size_t)i * l->block_size, error, size) < 0)
                        return -1;
        return 0;
}

int ledger_check_durable(Ledger *l, uint64_t lba, uint32_t n, const void *buf, char *error,
                         size_t size)
{
        for (uint32_t i = 0; i < n; i++)
                if (check_block(l, FOREVER, true, lba + i,
                                (const uint8_t *)buf + (size_t)i * l->block_size, error, size) < 0)
                        return -1;
        return 0;
}

void ledger_adopt(Ledger *l, uint64_t lba, uint32_t n, const void *buf)
{
        for (uint32_t i = 0; i < n; i++) {
                Block *b = &l->blocks[lba + i];
                Stamp s;
                Kind k = read_stamp((const uint8_t *)buf + (size_t)i * l->block_size, l->block_size,
                                    &s);

                b->n = 0;
                *block_add(b) = (Entry){ .sequence = k == KIND_STAMP ? s.sequence : ++l->sequence,
                                         .begin = 1,
                                         .end = 1,
                                         .durable = 1,
                                         .acknowledged = true,
                                         .zero = k != KIND_STAMP };
        }
        l->n_volatile = 0;
}

int ledger_save(const Ledger *l, const char *path)
{
        FILE *f = fopen(path, "we");
        int r;

        if (!f)
                return -errno;
        fprintf(f, "ledger %" PRIu64 " %u %" PRIu64 " %" PRIu64 "\n", l->n_blocks, l->block_size,
                l->time, l->sequence);
        for (uint64_t i = 0; i < l->n_blocks; i++)
                for (uint32_t e = 0; e < l->blocks[i].n; e++) {
                        const Entry *x = &l->blocks[i].entries[e];

                        fprintf(f,
                                "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                                " %d %d\n",
                                i, x->sequence, x->begin, x->end, x->durable, x->acknowledged,
                                x->zero);
                }
        r = ferror(f) ? -EIO : 0;
        return fclose(f) != 0 ? -EIO : r;
}

int ledger_load(const char *path, Ledger **ret)
{
        FILE *f = fopen(path, "re");
        uint64_t blocks, time, sequence, lba;
        uint32_t block_size;
        int acknowledged, zero;
        Ledger *l;
        Entry e;

        if (!f)
                return -errno;
        if (fscanf(f, "ledger %" SCNu64 " %u %" SCNu64 " %" SCNu64 "\n", &blocks, &block_size,
                   &time, &sequence) != 4) {
                (void)fclose(f);
                return -EINVAL;
        }
        l = ledger_new(blocks, block_size);
        l->time = time;
        l->sequence = sequence;
        while (fscanf(f, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %d %d\n",
                      &lba, &e.sequence, &e.begin, &e.end, &e.durable, &acknowledged, &zero) == 7) {
                e.acknowledged = acknowledged;
                e.zero = zero;
                if (lba < blocks)
                        *block_add(&l->blocks[lba]) = e;
        }
        (void)fclose(f);
        *ret = l;
        return 0;
}
