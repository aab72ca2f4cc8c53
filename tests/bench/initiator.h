/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <sys/uio.h>

#include "iscsi/pdu.h"
#include "latency.h"

/* An initiator that makes load: PDUs of its own, one receive for many of them, one vectored send
 * for many commands, no copy of payload in user space, so that the target is what is measured. What
 * it writes is the same bytes over and over; what it reads goes into one scratch area, or is thrown
 * away in the kernel. It checks headers, sequence numbers, digests, status, residuals and lengths,
 * and gives up at the first that is wrong.
 *
 * An initiator belongs to one thread at a time; those of one thread share their scratch. */

#define INITIATOR_DEPTH_MAX 1024
#define INITIATOR_IO_MAX (16 * MIB)
#define SCRATCH_SIZE (256 * KIB)
#define DIGEST_SIZE 4

/* What is asked of every connection. */
typedef struct Load {
        const char *host, *target;
        unsigned port, lun;
        unsigned depth;
        uint32_t io_bytes;
        unsigned read_percent;
        bool sequential;
        bool fill; /* write each block once, in sequence, and no more */
        bool copy; /* receive payload into the scratch even where it need not be looked at */
        /* offered at login */
        uint32_t segment, first_burst, max_burst; /* bytes */
        bool initial_r2t, no_immediate, header_digest, data_digest;
} Load;

/* As negotiated. */
typedef struct Params {
        uint32_t first_burst, max_burst, max_xmit; /* bytes: burst, burst, PDU that we send */
        bool initial_r2t, immediate, header_digest, data_digest;
} Params;

typedef struct Slot {
        uint64_t start_ns;
        bool busy, is_read;
        uint32_t moved;  /* bytes of Data-In that came, or of data that went or was asked for */
        uint32_t datasn; /* of the next Data-In or R2T */
} Slot;

typedef struct OutPdu {
        uint8_t bhs[BHS_SIZE + DIGEST_SIZE];
        uint32_t data; /* bytes of the pattern that follow */
} OutPdu;

typedef struct Initiator {
        const Load *load;
        int fd;
        unsigned number;
        bool blocked; /* the socket's buffer is full */
        Params params;

        uint32_t cmdsn, maxcmdsn, expstatsn;
        uint64_t n_blocks;
        uint32_t block_size;

        Slot slots[INITIATOR_DEPTH_MAX];
        uint16_t free_slots[INITIATOR_DEPTH_MAX];
        unsigned n_free;
        uint64_t next_block; /* sequential */
        uint64_t left;       /* commands still to be issued */
        uint64_t random;

        OutPdu *out; /* ring */
        size_t out_size, out_head, out_n;
        size_t out_offset; /* of the first one that has gone */

        uint8_t *scratch;                       /* SCRATCH_SIZE bytes, the thread's */
        uint8_t header[BHS_SIZE + DIGEST_SIZE]; /* of the PDU that is coming in */
        size_t n_header;                        /* bytes of it that are here */
        uint32_t payload;                       /* with padding, still to come */
        uint32_t crc;                           /* of the payload so far */
        uint8_t digest[DIGEST_SIZE];
        size_t n_digest; /* bytes of the data digest still to come */

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
/* Receives what there is; completions are counted when record is set. ret_now: when the last of it
 * had been received (0: nothing had). */
int initiator_receive(Initiator *i, bool record, uint64_t *ret_now);
bool initiator_idle(const Initiator *i); /* nothing is in flight */

/* Between the files of the initiator. */
int initiator_fail(Initiator *i, int error, const char *format, ...) _printf_(3, 4);
int initiator_login(Initiator *i);
void command_bhs(Initiator *i, uint8_t bhs[BHS_SIZE], uint8_t flags, uint32_t itt, uint32_t edtl);
void digest_of(uint32_t crc, uint8_t ret[DIGEST_SIZE]);
uint32_t crc_add(uint32_t crc, const void *p, size_t n);
