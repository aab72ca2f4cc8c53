/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "initiator.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/bytes.h"

#define BHS 48
#define IN_SIZE (256 * KIB)
#define PATTERN_SIZE (1 * MIB)
#define SEND_IOV 256
#define SKIP_WHOLE (16 * KIB) /* payload beyond what was received that is not copied out */

/* RFC 7143 11.2.1.2 */
enum {
        OP_NOP_OUT = 0x00,
        OP_SCSI = 0x01,
        OP_LOGIN = 0x03,
        OP_DATA_OUT = 0x05,
        OP_NOP_IN = 0x20,
        OP_SCSI_RESPONSE = 0x21,
        OP_LOGIN_RESPONSE = 0x23,
        OP_DATA_IN = 0x25,
        OP_R2T = 0x31,
        OP_ASYNC = 0x32,
};

static uint8_t pattern[PATTERN_SIZE];

/* ---- latency ---- */

static unsigned bucket_of(uint64_t ns)
{
        unsigned log = ns < 32 ? 0 : 63 - (unsigned)__builtin_clzll(ns) - 4;

        return log * 32 + (unsigned)(ns >> log & 31);
}

static uint64_t bucket_value(unsigned b)
{
        unsigned log = b / 32;
        uint64_t low = b % 32;

        /* values below 32 stand for themselves; above, bit 4 is always set in the index */
        return low << log;
}

void histogram_add(Histogram *h, uint64_t ns)
{
        unsigned b = bucket_of(ns);

        h->bucket[MIN(b, (unsigned)ELEMENTSOF(h->bucket) - 1)]++;
        h->n++;
        h->sum_ns += ns;
        h->max_ns = MAX(h->max_ns, ns);
}

void histogram_merge(Histogram *to, const Histogram *from)
{
        for (size_t i = 0; i < ELEMENTSOF(to->bucket); i++)
                to->bucket[i] += from->bucket[i];
        to->n += from->n;
        to->sum_ns += from->sum_ns;
        to->max_ns = MAX(to->max_ns, from->max_ns);
}

uint64_t histogram_percentile(const Histogram *h, double p)
{
        uint64_t want = (uint64_t)((double)h->n * p / 100.0), seen = 0;

        for (unsigned i = 0; i < ELEMENTSOF(h->bucket); i++) {
                seen += h->bucket[i];
                if (seen > want)
                        return bucket_value(i);
        }
        return h->max_ns;
}

/* ---- errors ---- */

static int fail(Initiator *i, int error, const char *format, ...) _printf_(3, 4);
static int fail(Initiator *i, int error, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(i->error, sizeof(i->error), format, ap);
        va_end(ap);
        return error;
}

/* ---- blocking part: connect, login, capacity ---- */

static int dial(Initiator *i)
{
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *list;
        char port[8];
        int r, one = 1;

        (void)snprintf(port, sizeof(port), "%u", i->load->port);
        r = getaddrinfo(i->load->host, port, &hints, &list);
        if (r != 0)
                return fail(i, -EINVAL, "%s: %s", i->load->host, gai_strerror(r));
        i->fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        r = i->fd < 0 || connect(i->fd, list->ai_addr, list->ai_addrlen) < 0 ? -errno : 0;
        freeaddrinfo(list);
        if (r < 0)
                return fail(i, r, "connect to %s:%s: %s", i->load->host, port, strerror(-r));
        (void)setsockopt(i->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        return 0;
}

static int send_all(Initiator *i, const void *p, size_t n)
{
        const uint8_t *b = p;

        while (n > 0) {
                ssize_t k = send(i->fd, b, n, MSG_NOSIGNAL);

                if (k < 0)
                        return fail(i, -errno, "send: %s", strerror(errno));
                b += k;
                n -= (size_t)k;
        }
        return 0;
}

static int receive_all(Initiator *i, void *p, size_t n)
{
        ssize_t k = n > 0 ? recv(i->fd, p, n, MSG_WAITALL) : 0;

        if (k < 0)
                return fail(i, -errno, "receive: %s", strerror(errno));
        if ((size_t)k != n)
                return fail(i, -ECONNRESET, "the target closed the connection");
        return 0;
}

/* One PDU into bhs and i->in; the data's length. */
static int receive_pdu(Initiator *i, uint8_t bhs[BHS])
{
        uint32_t length;
        int r;

        r = receive_all(i, bhs, BHS);
        if (r < 0)
                return r;
        length = get_be24(bhs + 5);
        if (length > IN_SIZE)
                return fail(i, -EPROTO, "a PDU of %u bytes", length);
        r = receive_all(i, i->in, ROUND_UP(length, 4));
        return r < 0 ? r : (int)length;
}

static uint32_t key_number(const char *text, size_t n, const char *key, uint32_t otherwise)
{
        size_t len = strlen(key);

        for (const char *p = text; p < text + n; p += strlen(p) + 1)
                if (strncmp(p, key, len) == 0 && p[len] == '=')
                        return (uint32_t)strtoul(p + len + 1, NULL, 10);
        return otherwise;
}

static bool key_yes(const char *text, size_t n, const char *key, bool otherwise)
{
        size_t len = strlen(key);

        for (const char *p = text; p < text + n; p += strlen(p) + 1)
                if (strncmp(p, key, len) == 0 && p[len] == '=')
                        return p[len + 1] == 'Y';
        return otherwise;
}

static size_t login_text(const Initiator *i, char *text, size_t size)
{
        int n = snprintf(text, size,
                         "InitiatorName=iqn.2026-01.org.tgt1.bench:%d-%u%c"
                         "TargetName=%s%cSessionType=Normal%cHeaderDigest=None%cDataDigest=None%c"
                         "InitialR2T=No%cImmediateData=Yes%cMaxRecvDataSegmentLength=262144%c"
                         "MaxBurstLength=16776192%cFirstBurstLength=262144%c"
                         "MaxOutstandingR2T=1%cMaxConnections=1%cErrorRecoveryLevel=0%c"
                         "DataPDUInOrder=Yes%cDataSequenceInOrder=Yes%c"
                         "DefaultTime2Wait=2%cDefaultTime2Retain=0%c",
                         (int)getpid(), i->number, 0, i->load->target, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                         0, 0, 0, 0, 0, 0);

        return (size_t)n;
}

static int login(Initiator *i)
{
        char text[2048];
        size_t n = login_text(i, text, sizeof(text));
        uint8_t bhs[BHS] = { 0x40 | OP_LOGIN, 0x87 }; /* T, operational to full feature */
        int r;

        put_be24(bhs + 5, (uint32_t)n);
        bhs[8] = 0x80; /* ISID: random format (RFC 7143 11.12.5) */
        put_be32(bhs + 9, (uint32_t)getpid());
        bhs[13] = (uint8_t)i->number;
        put_be32(bhs + 16, 1); /* ITT */
        put_be32(bhs + 24, 1); /* CmdSN */
        memset(text + n, 0, 4);
        r = send_all(i, bhs, BHS);
        if (r == 0)
                r = send_all(i, text, ROUND_UP(n, 4));
        if (r < 0)
                return r;
        r = receive_pdu(i, bhs);
        if (r < 0)
                return r;
        if ((bhs[0] & 0x3f) != OP_LOGIN_RESPONSE || get_be16(bhs + 36) != 0)
                return fail(i, -EACCES, "login refused: status %04x", get_be16(bhs + 36));
        if ((bhs[1] & 0x83) != 0x83)
                return fail(i, -EPROTO, "the target wants more login stages than this tool has");
        i->in[r] = 0;
        i->first_burst = key_number((char *)i->in, (size_t)r, "FirstBurstLength", 65536);
        i->max_burst = key_number((char *)i->in, (size_t)r, "MaxBurstLength", 262144);
        i->max_xmit = key_number((char *)i->in, (size_t)r, "MaxRecvDataSegmentLength", 8192);
        i->max_xmit = min_u32(i->max_xmit, PATTERN_SIZE);
        i->immediate = key_yes((char *)i->in, (size_t)r, "ImmediateData", true);
        i->initial_r2t = key_yes((char *)i->in, (size_t)r, "InitialR2T", true);
        i->cmdsn = 1;
        i->expstatsn = get_be32(bhs + 24) + 1;
        i->maxcmdsn = get_be32(bhs + 32);
        return 0;
}

static void scsi_bhs(Initiator *i, uint8_t bhs[BHS], uint8_t flags, uint32_t itt, uint32_t edtl)
{
        memset(bhs, 0, BHS);
        bhs[0] = OP_SCSI;
        bhs[1] = (uint8_t)(0x81 | flags); /* final, SIMPLE */
        bhs[8] = (uint8_t)(i->load->lun >> 8 & 0x3f);
        bhs[9] = (uint8_t)i->load->lun;
        put_be32(bhs + 16, itt);
        put_be32(bhs + 20, edtl);
        put_be32(bhs + 24, i->cmdsn++);
        put_be32(bhs + 28, i->expstatsn);
}

/* One command that reads at most size bytes, synchronously; its SCSI status. */
static int simple_command(Initiator *i, const uint8_t *cdb, size_t cdb_size, void *data,
                          uint32_t size)
{
        uint8_t bhs[BHS];
        int r;

        scsi_bhs(i, bhs, size ? 0x40 : 0, 0x10000, size);
        memcpy(bhs + 32, cdb, cdb_size);
        r = send_all(i, bhs, BHS);
        while (r >= 0) {
                r = receive_pdu(i, bhs);
                if (r < 0)
                        break;
                i->maxcmdsn = get_be32(bhs + 32);
                if ((bhs[0] & 0x3f) == OP_DATA_IN) {
                        memcpy(data, i->in, min_u32((uint32_t)r, size));
                        if (!(bhs[1] & 0x01))
                                continue;
                } else if ((bhs[0] & 0x3f) != OP_SCSI_RESPONSE) {
                        continue;
                }
                i->expstatsn = get_be32(bhs + 24) + 1;
                return bhs[3];
        }
        return r;
}

static int read_capacity(Initiator *i)
{
        static const uint8_t ready[6] = { 0 };
        static const uint8_t capacity[16] = { 0x9e, 0x10, [13] = 32 };
        uint8_t data[32] = { 0 };
        int r = 0;

        /* unit attentions, one at a time */
        for (unsigned k = 0; k < 8; k++) {
                r = simple_command(i, ready, sizeof(ready), NULL, 0);
                if (r <= 0)
                        break;
        }
        if (r < 0)
                return r;
        if (r > 0)
                return fail(i, -EIO, "TEST UNIT READY: status %02x", r);
        r = simple_command(i, capacity, sizeof(capacity), data, sizeof(data));
        if (r != 0)
                return r < 0 ? r : fail(i, -EIO, "READ CAPACITY(16): status %02x", r);
        i->n_blocks = get_be64(data) + 1;
        i->block_size = get_be32(data + 8);
        if (i->block_size == 0 || i->load->io_bytes % i->block_size != 0 ||
            i->n_blocks * i->block_size < i->load->io_bytes)
                return fail(i, -EINVAL, "%u bytes do not go with %llu blocks of %u",
                            i->load->io_bytes, (unsigned long long)i->n_blocks, i->block_size);
        return 0;
}

int initiator_open(Initiator *i, const Load *load, unsigned number)
{
        int r;

        *i = (Initiator){ .load = load, .fd = -1, .number = number };
        if (load->depth > INITIATOR_DEPTH_MAX || load->io_bytes > 16 * MIB)
                return fail(i, -EINVAL, "depth or block size is too large");
        i->random = UINT64_C(0x9e3779b97f4a7c15) * (number + 1);
        i->out_size = 1024;
        i->out = malloc(i->out_size * sizeof(*i->out));
        i->in = malloc(IN_SIZE + 4);
        if (!i->out || !i->in)
                return fail(i, -ENOMEM, "out of memory");
        r = dial(i);
        if (r == 0)
                r = login(i);
        if (r == 0)
                r = read_capacity(i);
        if (r < 0)
                return r;
        for (unsigned k = 0; k < load->depth; k++)
                i->free_slots[i->n_free++] = (uint16_t)k;
        i->next_block = i->n_blocks / 64 * (number % 64);
        return 0;
}

void initiator_close(Initiator *i)
{
        i->fd = safe_close(i->fd);
        free(i->out);
        free(i->in);
        i->out = NULL;
        i->in = NULL;
}

bool initiator_idle(const Initiator *i)
{
        return i->n_free == i->load->depth;
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

/* Data-Out PDUs of one sequence (RFC 7143 11.7). */
static int push_data_out(Initiator *i, uint32_t itt, uint32_t ttt, uint32_t offset, uint32_t length)
{
        for (uint32_t datasn = 0; length > 0; datasn++) {
                uint32_t n = min_u32(length, i->max_xmit);
                OutPdu *pdu = out_push(i, n);

                if (!pdu)
                        return fail(i, -ENOMEM, "out of memory");
                memset(pdu->bhs, 0, BHS);
                pdu->bhs[0] = OP_DATA_OUT;
                pdu->bhs[1] = n == length ? 0x80 : 0;
                put_be24(pdu->bhs + 5, n);
                pdu->bhs[8] = (uint8_t)(i->load->lun >> 8 & 0x3f);
                pdu->bhs[9] = (uint8_t)i->load->lun;
                put_be32(pdu->bhs + 16, itt);
                put_be32(pdu->bhs + 20, ttt);
                put_be32(pdu->bhs + 28, i->expstatsn);
                put_be32(pdu->bhs + 36, datasn);
                put_be32(pdu->bhs + 40, offset);
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
        bool is_read = pick_read(i);
        uint64_t lba = pick_block(i);
        OutPdu *pdu;

        if (!is_read && i->immediate)
                immediate = min_u32(min_u32(length, i->first_burst), i->max_xmit);
        if (!is_read && !i->initial_r2t)
                unsolicited = min_u32(length, i->first_burst) - immediate;
        pdu = out_push(i, immediate);
        if (!pdu)
                return fail(i, -ENOMEM, "out of memory");
        i->slots[number] = (Slot){ .start_ns = now, .busy = true, .is_read = is_read };
        scsi_bhs(i, pdu->bhs, is_read ? 0x40 : 0x20, number, length);
        if (unsolicited > 0)
                pdu->bhs[1] &= 0x7f;
        put_be24(pdu->bhs + 5, immediate);
        pdu->bhs[32] = is_read ? 0x88 : 0x8a; /* READ(16), WRITE(16) */
        put_be64(pdu->bhs + 34, lba);
        put_be32(pdu->bhs + 42, length / i->block_size);
        return push_data_out(i, number, UINT32_MAX, immediate, unsolicited);
}

int initiator_fill(Initiator *i, uint64_t now)
{
        int r;

        while (!i->stopping && i->n_free > 0 && (int32_t)(i->maxcmdsn - i->cmdsn) >= 0) {
                r = issue(i, i->free_slots[--i->n_free], now);
                if (r < 0)
                        return r;
        }
        return initiator_send(i);
}

static size_t out_iov(const Initiator *i, struct iovec *iov, size_t max)
{
        size_t n = 0, skip = i->out_offset;

        for (size_t k = 0; k < i->out_n && n + 2 <= max; k++) {
                OutPdu *pdu = &i->out[(i->out_head + k) % i->out_size];

                if (skip < BHS)
                        iov[n++] = (struct iovec){ pdu->bhs + skip, BHS - skip };
                skip = skip > BHS ? skip - BHS : 0;
                if (pdu->data > skip)
                        iov[n++] = (struct iovec){ pattern + skip, pdu->data - skip };
                skip = 0;
        }
        return n;
}

int initiator_send(Initiator *i)
{
        struct iovec iov[SEND_IOV];
        struct msghdr msg = { .msg_iov = iov };

        i->blocked = false;
        while (i->out_n > 0) {
                ssize_t n;

                msg.msg_iovlen = out_iov(i, iov, SEND_IOV);
                n = sendmsg(i->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n < 0 && errno == EAGAIN) {
                        i->blocked = true;
                        return 0;
                }
                if (n < 0)
                        return fail(i, -errno, "send: %s", strerror(errno));
                i->out_offset += (size_t)n;
                while (i->out_n > 0 && i->out_offset >= BHS + i->out[i->out_head].data) {
                        i->out_offset -= BHS + i->out[i->out_head].data;
                        i->out_head = (i->out_head + 1) % i->out_size;
                        i->out_n--;
                }
        }
        return 0;
}

/* ---- receiving ---- */

static int completed(Initiator *i, uint16_t number, uint8_t status, uint64_t now, bool record)
{
        Slot *slot = &i->slots[number];

        slot->busy = false;
        i->free_slots[i->n_free++] = number;
        if (status == 0x08 || status == 0x28) { /* BUSY, TASK SET FULL */
                i->retries++;
                return 0;
        }
        if (status != 0)
                return fail(i, -EIO, "%s: status %02x", slot->is_read ? "READ" : "WRITE", status);
        if (slot->is_read && slot->received != i->load->io_bytes)
                return fail(i, -EPROTO, "READ: %u bytes of %u", slot->received, i->load->io_bytes);
        if (record) {
                i->done++;
                i->bytes += i->load->io_bytes;
                histogram_add(&i->latency, now > slot->start_ns ? now - slot->start_ns : 0);
        }
        return 0;
}

static int answer_nop(Initiator *i, const uint8_t *bhs)
{
        OutPdu *pdu;

        if (get_be32(bhs + 20) == UINT32_MAX)
                return 0;
        pdu = out_push(i, 0);
        if (!pdu)
                return fail(i, -ENOMEM, "out of memory");
        memset(pdu->bhs, 0, BHS);
        pdu->bhs[0] = 0x40 | OP_NOP_OUT;
        pdu->bhs[1] = 0x80;
        memcpy(pdu->bhs + 8, bhs + 8, 8);
        put_be32(pdu->bhs + 16, UINT32_MAX);
        memcpy(pdu->bhs + 20, bhs + 20, 4);
        put_be32(pdu->bhs + 24, i->cmdsn);
        put_be32(pdu->bhs + 28, i->expstatsn);
        return 0;
}

static int handle(Initiator *i, const uint8_t *bhs, uint64_t now, bool record)
{
        uint8_t op = bhs[0] & 0x3f;
        uint32_t itt = get_be32(bhs + 16), maxcmdsn = get_be32(bhs + 32);
        Slot *slot = NULL;

        if ((int32_t)(maxcmdsn - i->maxcmdsn) > 0)
                i->maxcmdsn = maxcmdsn;
        if (op == OP_DATA_IN || op == OP_SCSI_RESPONSE || op == OP_R2T) {
                if (itt >= i->load->depth || !i->slots[itt].busy)
                        return fail(i, -EPROTO, "opcode %02x for task %08x", op, itt);
                slot = &i->slots[itt];
        }
        switch (op) {
        case OP_DATA_IN:
                if (get_be32(bhs + 40) != slot->received)
                        return fail(i, -EPROTO, "Data-In at %u, expected %u", get_be32(bhs + 40),
                                    slot->received);
                slot->received += get_be24(bhs + 5);
                if (!(bhs[1] & 0x01))
                        return 0;
                i->expstatsn = get_be32(bhs + 24) + 1;
                return completed(i, (uint16_t)itt, bhs[3], now, record);
        case OP_SCSI_RESPONSE:
                i->expstatsn = get_be32(bhs + 24) + 1;
                if (bhs[2] != 0)
                        return fail(i, -EIO, "iSCSI response %02x", bhs[2]);
                return completed(i, (uint16_t)itt, bhs[3], now, record);
        case OP_R2T:
                if (get_be32(bhs + 40) + (uint64_t)get_be32(bhs + 44) > i->load->io_bytes)
                        return fail(i, -EPROTO, "R2T beyond the command");
                return push_data_out(i, itt, get_be32(bhs + 20), get_be32(bhs + 40),
                                     get_be32(bhs + 44));
        case OP_NOP_IN:
                return answer_nop(i, bhs);
        case OP_ASYNC:
                return 0;
        default:
                return fail(i, -EPROTO, "unexpected opcode %02x", op);
        }
}

/* What is in the buffer; what is left of a PDU moves to its start. */
static int parse(Initiator *i, uint64_t now, bool record)
{
        size_t at = 0;
        int r = 0;

        while (r == 0 && i->in_n - at >= BHS) {
                const uint8_t *bhs = i->in + at;
                uint64_t payload = ROUND_UP(get_be24(bhs + 5), 4);

                at += BHS;
                if (payload > i->in_n - at) {
                        i->skip = payload - (i->in_n - at);
                        memcpy(i->held, bhs, BHS);
                        at = i->in_n;
                        break;
                }
                at += payload;
                r = handle(i, bhs, now, record);
        }
        memmove(i->in, i->in + at, i->in_n - at);
        i->in_n -= at;
        return r;
}

int initiator_receive(Initiator *i, uint64_t now, bool record)
{
        for (unsigned turns = 0; turns < 64; turns++) {
                bool skipping = i->skip > 0;
                size_t want = skipping ? (size_t)i->skip : SKIP_WHOLE - i->in_n;
                ssize_t n;
                int r;

                /* MSG_TRUNC: TCP throws the bytes away without a copy (tcp(7)) */
                n = recv(i->fd, i->in + i->in_n, want, MSG_DONTWAIT | (skipping ? MSG_TRUNC : 0));
                if (n < 0 && errno == EAGAIN)
                        return 0;
                if (n < 0)
                        return fail(i, -errno, "receive: %s", strerror(errno));
                if (n == 0)
                        return fail(i, -ECONNRESET, "the target closed the connection");
                if (skipping) {
                        i->skip -= (uint64_t)n;
                        r = i->skip == 0 ? handle(i, i->held, now, record) : 0;
                } else {
                        i->in_n += (size_t)n;
                        r = parse(i, now, record);
                }
                if (r < 0)
                        return r;
                if ((size_t)n < want)
                        return 0;
        }
        return 0;
}
