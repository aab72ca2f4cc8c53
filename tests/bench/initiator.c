/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "initiator.h"

#include <isa-l/crc.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "scsi/scsi.h"

#define PATTERN_SIZE (1 * MIB)
#define SEND_IOV 384
#define RECEIVES 16 /* of one connection before another gets its turn */
/* From this size on payload is thrown away in the kernel (MSG_TRUNC, tcp(7)), and receives that
 * look for a header take little more than headers. */
#define SKIP_MIN (16 * KIB)
#define HEAD_SIZE (2 * KIB)

static uint8_t pattern[PATTERN_SIZE];

int initiator_fail(Initiator *i, int error, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(i->error, sizeof(i->error), format, ap);
        va_end(ap);
        return error;
}

bool initiator_idle(const Initiator *i)
{
        return i->n_free == i->load->depth;
}

/* ---- digests (RFC 7143 13.1) ---- */

uint32_t crc_add(uint32_t crc, const void *p, size_t n)
{
        return crc32_iscsi((unsigned char *)p, (int)n, crc);
}

void digest_of(uint32_t crc, uint8_t ret[DIGEST_SIZE])
{
        crc = ~crc;
        for (unsigned k = 0; k < DIGEST_SIZE; k++)
                ret[k] = (uint8_t)(crc >> 8 * k);
}

/* Of the first n bytes of the pattern: there are few lengths, each is computed once. */
static const uint8_t *pattern_digest(uint32_t n)
{
        static _Thread_local struct {
                uint32_t n;
                uint8_t digest[DIGEST_SIZE];
        } known[8];
        static _Thread_local unsigned next;
        size_t at;

        for (size_t k = 0; k < ELEMENTSOF(known); k++)
                if (known[k].n == n)
                        return known[k].digest;
        at = next++ % ELEMENTSOF(known);
        known[at].n = n;
        digest_of(crc_add(UINT32_MAX, pattern, n), known[at].digest);
        return known[at].digest;
}

/* ---- sending ---- */

static OutPdu *out_push(Initiator *i, uint32_t data)
{
        OutPdu *pdu;

        if (i->out_n == i->out_size) {
                OutPdu *ring = malloc(2 * i->out_size * sizeof(*ring));

                if (!ring)
                        return NULL;
                for (size_t k = 0; k < i->out_n; k++)
                        ring[k] = i->out[(i->out_head + k) % i->out_size];
                free(i->out);
                i->out = ring;
                i->out_head = 0;
                i->out_size *= 2;
        }
        pdu = &i->out[(i->out_head + i->out_n++) % i->out_size];
        pdu->data = data;
        return pdu;
}

static void out_ready(const Initiator *i, OutPdu *pdu)
{
        if (i->params.header_digest)
                digest_of(crc_add(UINT32_MAX, pdu->bhs, BHS_SIZE), pdu->bhs + BHS_SIZE);
}

static void put_lun(const Initiator *i, uint8_t *bhs)
{
        put_be16(bhs + BHS_LUN, (uint16_t)(i->load->lun & 0x3fff));
}

void command_bhs(Initiator *i, uint8_t bhs[BHS_SIZE], uint8_t flags, uint32_t itt, uint32_t edtl)
{
        memset(bhs, 0, BHS_SIZE);
        bhs[BHS_OPCODE] = OP_SCSI_COMMAND;
        bhs[BHS_FLAGS] = (uint8_t)(FLAG_FINAL | 1 | flags); /* SIMPLE */
        put_lun(i, bhs);
        put_be32(bhs + BHS_ITT, itt);
        put_be32(bhs + BHS_EDTL, edtl);
        put_be32(bhs + BHS_CMDSN, i->cmdsn++);
        put_be32(bhs + BHS_EXP_STATSN, i->expstatsn);
}

/* Data-Out PDUs of one sequence (RFC 7143 11.7). */
static int push_data_out(Initiator *i, uint32_t itt, uint32_t ttt, uint32_t offset, uint32_t length)
{
        for (uint32_t datasn = 0; length > 0; datasn++) {
                uint32_t n = min_u32(length, i->params.max_xmit);
                OutPdu *pdu = out_push(i, n);

                if (!pdu)
                        return initiator_fail(i, -ENOMEM, "out of memory");
                memset(pdu->bhs, 0, BHS_SIZE);
                pdu->bhs[BHS_OPCODE] = OP_DATA_OUT;
                pdu->bhs[BHS_FLAGS] = n == length ? FLAG_FINAL : 0;
                put_be24(pdu->bhs + BHS_DATA_LENGTH, n);
                put_lun(i, pdu->bhs);
                put_be32(pdu->bhs + BHS_ITT, itt);
                put_be32(pdu->bhs + BHS_TTT, ttt);
                put_be32(pdu->bhs + BHS_EXP_STATSN, i->expstatsn);
                put_be32(pdu->bhs + BHS_DATASN, datasn);
                put_be32(pdu->bhs + BHS_OFFSET, offset);
                out_ready(i, pdu);
                offset += n;
                length -= n;
        }
        return 0;
}

static uint64_t pick_block(Initiator *i)
{
        uint64_t per_io = i->load->io_bytes / i->block_size, n = i->n_blocks / per_io, at;

        if (i->load->sequential) {
                at = i->next_block / per_io % n;
                i->next_block = (at + 1) * per_io;
                return at * per_io;
        }
        i->random ^= i->random << 13; /* xorshift64 */
        i->random ^= i->random >> 7;
        i->random ^= i->random << 17;
        return i->random % n * per_io;
}

static bool pick_read(Initiator *i)
{
        if (i->load->read_percent == 0 || i->load->read_percent >= 100)
                return i->load->read_percent > 0;
        i->random = i->random * UINT64_C(6364136223846793005) + 1442695040888963407;
        return (i->random >> 33) % 100 < i->load->read_percent;
}

static int issue(Initiator *i, uint16_t number, uint64_t now)
{
        uint32_t length = i->load->io_bytes, immediate = 0, unsolicited = 0;
        const Params *p = &i->params;
        bool is_read = pick_read(i);
        uint64_t lba = pick_block(i);
        OutPdu *pdu;

        if (!is_read && p->immediate)
                immediate = min_u32(min_u32(length, p->first_burst), p->max_xmit);
        if (!is_read && !p->initial_r2t)
                unsolicited = min_u32(length, p->first_burst) - immediate;
        pdu = out_push(i, immediate);
        if (!pdu)
                return initiator_fail(i, -ENOMEM, "out of memory");
        i->slots[number] = (Slot){
                .start_ns = now, .busy = true, .is_read = is_read, .moved = immediate + unsolicited
        };
        command_bhs(i, pdu->bhs, is_read ? FLAG_READ : FLAG_WRITE, number, length);
        if (unsolicited > 0)
                pdu->bhs[BHS_FLAGS] &= (uint8_t)~FLAG_FINAL;
        put_be24(pdu->bhs + BHS_DATA_LENGTH, immediate);
        pdu->bhs[BHS_CDB] = is_read ? 0x88 : 0x8a; /* READ(16), WRITE(16) */
        put_be64(pdu->bhs + BHS_CDB + 2, lba);
        put_be32(pdu->bhs + BHS_CDB + 10, length / i->block_size);
        out_ready(i, pdu);
        return push_data_out(i, number, TAG_NONE, immediate, unsolicited);
}

static size_t header_size(const Initiator *i)
{
        return BHS_SIZE + (i->params.header_digest ? DIGEST_SIZE : 0);
}

static size_t data_digest_size(const Initiator *i, uint32_t data)
{
        return i->params.data_digest && data > 0 ? DIGEST_SIZE : 0;
}

static size_t wire_size(const Initiator *i, const OutPdu *pdu)
{
        return header_size(i) + pdu->data + pad4(pdu->data) + data_digest_size(i, pdu->data);
}

/* The part of [p, p + n) that skip leaves; returns how much of skip is left for what follows. */
static size_t add_iov(struct iovec *iov, size_t *n_iov, const void *p, size_t n, size_t skip)
{
        if (n > skip)
                iov[(*n_iov)++] = (struct iovec){ (uint8_t *)p + skip, n - skip };
        return skip > n ? skip - n : 0;
}

static size_t out_iov(const Initiator *i, struct iovec *iov, size_t max)
{
        size_t n = 0, skip = i->out_offset;

        for (size_t k = 0; k < i->out_n && n + 3 <= max; k++) {
                const OutPdu *pdu = &i->out[(i->out_head + k) % i->out_size];
                uint32_t padded = pdu->data + pad4(pdu->data);

                skip = add_iov(iov, &n, pdu->bhs, header_size(i), skip);
                skip = add_iov(iov, &n, pattern, padded, skip);
                if (data_digest_size(i, pdu->data))
                        skip = add_iov(iov, &n, pattern_digest(padded), DIGEST_SIZE, skip);
        }
        return n;
}

/* One vectored send for all that is queued. */
static int transmit(Initiator *i)
{
        struct iovec iov[SEND_IOV];
        struct msghdr msg = { .msg_iov = iov };

        i->blocked = false;
        while (i->out_n > 0) {
                size_t size;
                ssize_t n;

                msg.msg_iovlen = out_iov(i, iov, SEND_IOV);
                n = sendmsg(i->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n < 0 && errno == EAGAIN) {
                        i->blocked = true;
                        return 0;
                }
                if (n < 0)
                        return initiator_fail(i, -errno, "send: %s", strerror(errno));
                i->out_offset += (size_t)n;
                while (i->out_n > 0 &&
                       i->out_offset >= (size = wire_size(i, &i->out[i->out_head]))) {
                        i->out_offset -= size;
                        i->out_head = (i->out_head + 1) % i->out_size;
                        i->out_n--;
                }
        }
        return 0;
}

int initiator_fill(Initiator *i, uint64_t now)
{
        int r;

        while (!i->stopping && i->left > 0 && i->n_free > 0 && sn_le(i->cmdsn, i->maxcmdsn)) {
                i->left--;
                r = issue(i, i->free_slots[--i->n_free], now);
                if (r < 0)
                        return r;
        }
        return transmit(i);
}

/* ---- what is received ---- */

static int completed(Initiator *i, uint16_t number, uint64_t now, bool record)
{
        const uint8_t *bhs = i->header;
        Slot *slot = &i->slots[number];
        const char *name = slot->is_read ? "READ" : "WRITE";
        uint8_t status = bhs[BHS_STATUS];

        if (get_be32(bhs + BHS_STATSN) != i->expstatsn)
                return initiator_fail(i, -EPROTO, "StatSN %u, expected %u",
                                      get_be32(bhs + BHS_STATSN), i->expstatsn);
        i->expstatsn++;
        slot->busy = false;
        i->free_slots[i->n_free++] = number;
        if (status == SCSI_BUSY || status == SCSI_TASK_SET_FULL) {
                i->retries++;
                return i->load->fill ? initiator_fail(i, -EBUSY, "the unit is busy") : 0;
        }
        if (status != SCSI_GOOD)
                return initiator_fail(i, -EIO, "%s: status %02x", name, status);
        if ((bhs[BHS_FLAGS] & (FLAG_OVERFLOW | FLAG_UNDERFLOW)) ||
            get_be32(bhs + BHS_RESIDUAL) != 0)
                return initiator_fail(i, -EPROTO, "%s: a residual of %u bytes", name,
                                      get_be32(bhs + BHS_RESIDUAL));
        if (slot->moved != i->load->io_bytes)
                return initiator_fail(i, -EPROTO, "%s: %u bytes of %u", name, slot->moved,
                                      i->load->io_bytes);
        if (record) {
                i->done++;
                i->bytes += i->load->io_bytes;
                histogram_add(&i->latency, now > slot->start_ns ? now - slot->start_ns : 0);
        }
        return 0;
}

static int answer_nop(Initiator *i)
{
        const uint8_t *bhs = i->header;
        OutPdu *pdu;

        if (get_be32(bhs + BHS_TTT) == TAG_NONE)
                return 0;
        pdu = out_push(i, 0);
        if (!pdu)
                return initiator_fail(i, -ENOMEM, "out of memory");
        memset(pdu->bhs, 0, BHS_SIZE);
        pdu->bhs[BHS_OPCODE] = OP_IMMEDIATE | OP_NOP_OUT;
        pdu->bhs[BHS_FLAGS] = FLAG_FINAL;
        memcpy(pdu->bhs + BHS_LUN, bhs + BHS_LUN, 8);
        put_be32(pdu->bhs + BHS_ITT, TAG_NONE);
        memcpy(pdu->bhs + BHS_TTT, bhs + BHS_TTT, 4);
        put_be32(pdu->bhs + BHS_CMDSN, i->cmdsn);
        put_be32(pdu->bhs + BHS_EXP_STATSN, i->expstatsn);
        out_ready(i, pdu);
        return 0;
}

/* Data-In and R2T of one task are numbered from 0 (RFC 7143 11.7.5, 11.8.3), and come in order. */
static int in_order(Initiator *i, Slot *slot, const char *what, uint32_t length)
{
        const uint8_t *bhs = i->header;
        uint32_t offset = get_be32(bhs + BHS_OFFSET), datasn = get_be32(bhs + BHS_DATASN);

        if (datasn != slot->datasn || offset != slot->moved)
                return initiator_fail(i, -EPROTO, "%s number %u at %u, expected %u at %u", what,
                                      datasn, offset, slot->datasn, slot->moved);
        if (length == 0 || length > i->load->io_bytes - offset)
                return initiator_fail(i, -EPROTO, "%s of %u bytes at %u of %u", what, length,
                                      offset, i->load->io_bytes);
        slot->datasn++;
        slot->moved += length;
        return 0;
}

static int take_r2t(Initiator *i, uint32_t itt)
{
        const uint8_t *bhs = i->header;
        uint32_t length = get_be32(bhs + BHS_R2T_LENGTH);
        int r;

        if (length > i->params.max_burst)
                return initiator_fail(i, -EPROTO, "R2T for more than MaxBurstLength");
        r = in_order(i, &i->slots[itt], "R2T", length);
        return r < 0 ? r
                     : push_data_out(i, itt, get_be32(bhs + BHS_TTT), get_be32(bhs + BHS_OFFSET),
                                     length);
}

/* The header of a PDU is here; its payload follows. */
static int take_header(Initiator *i)
{
        const uint8_t *bhs = i->header;
        uint32_t length = bhs_data_length(bhs), maxcmdsn = get_be32(bhs + BHS_MAX_CMDSN);
        uint8_t digest[DIGEST_SIZE];

        if (i->params.header_digest) {
                digest_of(crc_add(UINT32_MAX, bhs, BHS_SIZE), digest);
                if (memcmp(digest, bhs + BHS_SIZE, DIGEST_SIZE) != 0)
                        return initiator_fail(i, -EBADMSG, "a header digest is wrong");
        }
        if (bhs[BHS_AHS_LENGTH] != 0 || length > i->load->segment)
                return initiator_fail(i, -EPROTO, "a PDU of %u AHS words and %u bytes",
                                      bhs[BHS_AHS_LENGTH], length);
        if (sn_lt(i->maxcmdsn, maxcmdsn))
                i->maxcmdsn = maxcmdsn;
        i->payload = length + pad4(length);
        i->crc = UINT32_MAX;
        i->n_digest = data_digest_size(i, length);
        return 0;
}

/* All of a PDU is here. */
static int take_pdu(Initiator *i, uint64_t now, bool record)
{
        const uint8_t *bhs = i->header;
        uint8_t op = bhs_opcode(bhs);
        uint32_t itt = get_be32(bhs + BHS_ITT);
        int r;

        i->n_header = 0;
        if (op == OP_DATA_IN || op == OP_SCSI_RESPONSE || op == OP_R2T) {
                if (itt >= i->load->depth || !i->slots[itt].busy ||
                    (op != OP_SCSI_RESPONSE && i->slots[itt].is_read != (op == OP_DATA_IN)))
                        return initiator_fail(i, -EPROTO, "opcode %02x for task %08x", op, itt);
        }
        switch (op) {
        case OP_DATA_IN:
                r = in_order(i, &i->slots[itt], "Data-In", bhs_data_length(bhs));
                if (r < 0 || !(bhs[BHS_FLAGS] & FLAG_STATUS))
                        return r;
                return completed(i, (uint16_t)itt, now, record);
        case OP_SCSI_RESPONSE:
                if (bhs[BHS_RESPONSE] != 0)
                        return initiator_fail(i, -EIO, "iSCSI response %02x", bhs[BHS_RESPONSE]);
                return completed(i, (uint16_t)itt, now, record);
        case OP_R2T:
                return take_r2t(i, itt);
        case OP_NOP_IN:
                return answer_nop(i);
        default:
                return initiator_fail(i, -EPROTO, "unexpected opcode %02x", op);
        }
}

static size_t take_bytes(void *to, size_t have, size_t size, const uint8_t *p, size_t n)
{
        size_t k = MIN(size - have, n);

        memcpy((uint8_t *)to + have, p, k);
        return k;
}

static int take_digest(Initiator *i)
{
        uint8_t ours[DIGEST_SIZE];

        digest_of(i->crc, ours);
        return memcmp(ours, i->digest, DIGEST_SIZE) == 0
                       ? 0
                       : initiator_fail(i, -EBADMSG, "a data digest is wrong");
}

/* The next bytes of the stream, in whatever pieces they come. */
static int take(Initiator *i, const uint8_t *p, size_t n, uint64_t now, bool record)
{
        while (n > 0) {
                size_t k, whole = header_size(i);
                int r = 0;

                if (i->n_header < whole) {
                        k = take_bytes(i->header, i->n_header, whole, p, n);
                        i->n_header += k;
                        if (i->n_header == whole)
                                r = take_header(i);
                } else if (i->payload > 0) {
                        k = MIN(i->payload, n);
                        i->payload -= (uint32_t)k;
                        if (i->params.data_digest)
                                i->crc = crc_add(i->crc, p, k);
                } else {
                        k = take_bytes(i->digest, DIGEST_SIZE - i->n_digest, DIGEST_SIZE, p, n);
                        i->n_digest -= k;
                        if (i->n_digest == 0)
                                r = take_digest(i);
                }
                if (r == 0 && i->n_header == whole && i->payload == 0 && i->n_digest == 0)
                        r = take_pdu(i, now, record);
                if (r < 0)
                        return r;
                p += k;
                n -= k;
        }
        return 0;
}

/* How much to receive, and whether into the scratch at all. */
static size_t receive_size(const Initiator *i, bool *ret_skip)
{
        bool may_skip = !i->load->copy && !i->params.data_digest && i->load->io_bytes >= SKIP_MIN &&
                        i->load->read_percent > 0;

        *ret_skip = may_skip && i->payload >= SKIP_MIN;
        if (*ret_skip)
                return i->payload;
        return may_skip ? HEAD_SIZE : SCRATCH_SIZE;
}

int initiator_receive(Initiator *i, bool record, uint64_t *ret_now)
{
        *ret_now = 0;
        for (unsigned k = 0; k < RECEIVES; k++) {
                bool skip;
                size_t want = receive_size(i, &skip);
                ssize_t n = recv(i->fd, i->scratch, want, MSG_DONTWAIT | (skip ? MSG_TRUNC : 0));
                int r = 0;

                if (n < 0 && errno == EAGAIN)
                        return 0;
                if (n < 0)
                        return initiator_fail(i, -errno, "receive: %s", strerror(errno));
                if (n == 0)
                        return initiator_fail(i, -ECONNRESET, "the target closed the connection");
                *ret_now = monotonic_now();
                if (skip) {
                        i->payload -= (uint32_t)n;
                        if (i->payload == 0)
                                r = take_pdu(i, *ret_now, record);
                } else {
                        r = take(i, i->scratch, (size_t)n, *ret_now, record);
                }
                if (r < 0 || (size_t)n < want)
                        return r;
        }
        return 0;
}
