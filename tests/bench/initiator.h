/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <sys/uio.h>

#include "base/base.h"

/* An initiator that makes load: PDUs of its own, no copies of payload, one send and few receives
 * for many commands, so that the target is what is measured. What it writes is the same bytes over
 * and over; what it reads is thrown away in the kernel. It checks headers, status and lengths, and
 * gives up at the first that is wrong. */

#define INITIATOR_DEPTH_MAX 1024

typedef struct Histogram {
        uint64_t n, sum_ns, max_ns;
        uint32_t bucket[64 * 32]; /* 32 per power of two */
} Histogram;

void histogram_add(Histogram *h, uint64_t ns);
void histogram_merge(Histogram *to, const Histogram *from);
uint64_t histogram_percentile(const Histogram *h, double p); /* ns */

/* What is asked of every connection. */
typedef struct Load {
        const char *host, *target;
        unsigned port, lun;
        unsigned depth;
        uint32_t io_bytes;
        unsigned read_percent;
        bool sequential;
} Load;

typedef struct Slot {
        uint64_t start_ns;
        bool busy, is_read;
        uint32_t received; /* Data-In bytes */
} Slot;

typedef struct OutPdu {
        uint8_t bhs[48];
        uint32_t data; /* bytes of the pattern that follow */
} OutPdu;

typedef struct Initiator {
        const Load *load;
        int fd;
        unsigned number;
        bool blocked; /* the socket's buffer is full */

        /* negotiated */
        uint32_t first_burst, max_burst, max_xmit; /* bytes per burst, burst, PDU */
        bool initial_r2t, immediate;

        uint32_t cmdsn, maxcmdsn, expstatsn;
        uint64_t n_blocks;
        uint32_t block_size;

        Slot slots[INITIATOR_DEPTH_MAX];
        uint16_t free_slots[INITIATOR_DEPTH_MAX];
        unsigned n_free;
        uint64_t next_block; /* sequential */
        uint64_t random;

        OutPdu *out; /* ring */
        size_t out_size, out_head, out_n;
        size_t out_offset; /* of the first one that has gone */

        uint8_t *in;
        size_t in_n;      /* bytes in in */
        uint64_t skip;    /* payload still to be thrown away, */
        uint8_t held[48]; /* of this PDU, which counts when it is whole */

        bool stopping; /* no new commands */
        uint64_t done, bytes, retries;
        Histogram latency;
        char error[256];
} Initiator;

/* Connects, logs in, reads the capacity; blocks. 0, or negative errno with a sentence in error. */
int initiator_open(Initiator *i, const Load *load, unsigned number);
void initiator_close(Initiator *i);
/* Issues what depth and window allow, and sends. */
int initiator_fill(Initiator *i, uint64_t now);
/* Receives what there is; completions are counted when record is set. */
int initiator_receive(Initiator *i, uint64_t now, bool record);
int initiator_send(Initiator *i);
bool initiator_idle(const Initiator *i); /* nothing is in flight */
