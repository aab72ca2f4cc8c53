/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/parse.h"
#include "initiator.h"

/* What an initiator does before there is load, one PDU at a time, blocking: connect, log in, wait
 * until the unit is ready, read its capacity. */

static int dial(Initiator *i)
{
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *list;
        char port[8];
        int r, one = 1;

        (void)snprintf(port, sizeof(port), "%u", i->load->port);
        r = getaddrinfo(i->load->host, port, &hints, &list);
        if (r != 0)
                return initiator_fail(i, -EINVAL, "%s: %s", i->load->host, gai_strerror(r));
        i->fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        r = i->fd < 0 || connect(i->fd, list->ai_addr, list->ai_addrlen) < 0 ? -errno : 0;
        freeaddrinfo(list);
        if (r < 0)
                return initiator_fail(i, r, "connect to %s:%s: %s", i->load->host, port,
                                      strerror(-r));
        (void)setsockopt(i->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        return 0;
}

static int send_all(Initiator *i, const void *p, size_t n)
{
        const uint8_t *b = p;

        while (n > 0) {
                ssize_t k = send(i->fd, b, n, MSG_NOSIGNAL);

                if (k < 0)
                        return initiator_fail(i, -errno, "send: %s", strerror(errno));
                b += k;
                n -= (size_t)k;
        }
        return 0;
}

static int receive_all(Initiator *i, void *p, size_t n)
{
        ssize_t k = n > 0 ? recv(i->fd, p, n, MSG_WAITALL) : 0;

        if (k < 0)
                return initiator_fail(i, -errno, "receive: %s", strerror(errno));
        if ((size_t)k != n)
                return initiator_fail(i, -ECONNRESET, "the target closed the connection");
        return 0;
}

static int check_digest(Initiator *i, uint32_t crc, const uint8_t *received)
{
        uint8_t ours[DIGEST_SIZE];

        digest_of(crc, ours);
        return memcmp(ours, received, DIGEST_SIZE) == 0
                       ? 0
                       : initiator_fail(i, -EBADMSG, "a digest is wrong");
}

static int send_pdu(Initiator *i, const uint8_t bhs[BHS_SIZE], const void *data, size_t n)
{
        static const uint8_t zeros[4];
        uint8_t digest[DIGEST_SIZE];
        int r;

        r = send_all(i, bhs, BHS_SIZE);
        if (r == 0 && i->params.header_digest) {
                digest_of(crc_add(UINT32_MAX, bhs, BHS_SIZE), digest);
                r = send_all(i, digest, DIGEST_SIZE);
        }
        if (r == 0)
                r = send_all(i, data, n);
        return r == 0 ? send_all(i, zeros, pad4((uint32_t)n)) : r;
}

/* One PDU into bhs and the scratch; the data's length. */
static int receive_pdu(Initiator *i, uint8_t bhs[BHS_SIZE])
{
        uint8_t digest[DIGEST_SIZE];
        uint32_t length;
        int r;

        r = receive_all(i, bhs, BHS_SIZE);
        if (r == 0 && i->params.header_digest) {
                r = receive_all(i, digest, DIGEST_SIZE);
                if (r == 0)
                        r = check_digest(i, crc_add(UINT32_MAX, bhs, BHS_SIZE), digest);
        }
        if (r < 0)
                return r;
        length = bhs_data_length(bhs);
        if (length + pad4(length) > SCRATCH_SIZE)
                return initiator_fail(i, -EPROTO, "a PDU of %u bytes", length);
        r = receive_all(i, i->scratch, length + pad4(length));
        if (r == 0 && i->params.data_digest && length > 0) {
                r = receive_all(i, digest, DIGEST_SIZE);
                if (r == 0)
                        r = check_digest(i, crc_add(UINT32_MAX, i->scratch, length + pad4(length)),
                                         digest);
        }
        return r < 0 ? r : (int)length;
}

/* ---- login ---- */

typedef struct Answer {
        const char *text; /* pairs, each ends with NUL */
        size_t n;
} Answer;

static const char *answer_value(const Answer *a, const char *key)
{
        size_t len = strlen(key);

        for (const char *p = a->text; p < a->text + a->n; p += strlen(p) + 1)
                if (strncmp(p, key, len) == 0 && p[len] == '=')
                        return p + len + 1;
        return NULL;
}

static uint32_t answer_number(const Answer *a, const char *key, uint32_t otherwise)
{
        const char *value = answer_value(a, key);
        uint32_t n;

        return value && parse_u32(value, 0, UINT32_MAX, &n) == 0 ? n : otherwise;
}

static bool answer_is(const Answer *a, const char *key, const char *what, bool otherwise)
{
        const char *value = answer_value(a, key);

        return value ? STREQ(value, what) : otherwise;
}

static const char *yes(bool b)
{
        return b ? "Yes" : "No";
}

static size_t login_text(const Initiator *i, char *text, size_t size)
{
        const Load *l = i->load;
        int n = snprintf(text, size,
                         "InitiatorName=iqn.2026-01.org.tgt1.bench:%d-%u\n"
                         "TargetName=%s\nSessionType=Normal\nHeaderDigest=%s\nDataDigest=%s\n"
                         "InitialR2T=%s\nImmediateData=%s\nMaxRecvDataSegmentLength=%u\n"
                         "MaxBurstLength=%u\nFirstBurstLength=%u\n"
                         "MaxOutstandingR2T=1\nMaxConnections=1\nErrorRecoveryLevel=0\n"
                         "DataPDUInOrder=Yes\nDataSequenceInOrder=Yes\n"
                         "DefaultTime2Wait=2\nDefaultTime2Retain=0\n",
                         (int)getpid(), i->number, l->target, l->header_digest ? "CRC32C" : "None",
                         l->data_digest ? "CRC32C" : "None", yes(l->initial_r2t),
                         yes(!l->no_immediate), l->segment, l->max_burst, l->first_burst);

        for (int k = 0; k < n && (size_t)k < size; k++)
                if (text[k] == '\n')
                        text[k] = 0;
        return (size_t)n;
}

/* RFC 7143 13: what we said counts where the target says nothing. */
static int take_answer(Initiator *i, const Answer *a)
{
        const Load *l = i->load;
        Params *p = &i->params;

        *p = (Params){
                .first_burst = answer_number(a, "FirstBurstLength", l->first_burst),
                .max_burst = answer_number(a, "MaxBurstLength", l->max_burst),
                .max_xmit = answer_number(a, "MaxRecvDataSegmentLength", LOGIN_SEGMENT_MAX),
                .immediate = answer_is(a, "ImmediateData", "Yes", !l->no_immediate),
                .initial_r2t = answer_is(a, "InitialR2T", "Yes", true),
                .header_digest = answer_is(a, "HeaderDigest", "CRC32C", false),
                .data_digest = answer_is(a, "DataDigest", "CRC32C", false),
        };
        if (p->header_digest != l->header_digest || p->data_digest != l->data_digest)
                return initiator_fail(i, -EPROTO, "the target does not agree to the digests");
        if (p->first_burst == 0 || p->max_burst == 0 || p->max_xmit == 0)
                return initiator_fail(i, -EPROTO, "the target negotiates a length of 0");
        return 0;
}

static int exchange_login(Initiator *i, uint8_t bhs[BHS_SIZE], Answer *ret)
{
        char text[2048];
        size_t n = login_text(i, text, sizeof(text));
        int r;

        if (n >= sizeof(text))
                return initiator_fail(i, -EINVAL, "the target's name is too long");
        bhs[BHS_OPCODE] = OP_IMMEDIATE | OP_LOGIN_REQUEST;
        bhs[BHS_FLAGS] = FLAG_TRANSIT | STAGE_OPERATIONAL << 2 | STAGE_FULL_FEATURE;
        put_be24(bhs + BHS_DATA_LENGTH, (uint32_t)n);
        bhs[BHS_ISID] = 0x80; /* random format (RFC 7143 11.12.5) */
        put_be32(bhs + BHS_ISID + 1, (uint32_t)getpid());
        bhs[BHS_ISID + 5] = (uint8_t)i->number;
        put_be32(bhs + BHS_ITT, 1);
        put_be32(bhs + BHS_CMDSN, 1);
        r = send_pdu(i, bhs, text, n);
        if (r == 0)
                r = receive_pdu(i, bhs);
        if (r < 0)
                return r;
        i->scratch[MIN((size_t)r, (size_t)SCRATCH_SIZE - 1)] = 0;
        *ret = (Answer){ (const char *)i->scratch, (size_t)r };
        return 0;
}

int initiator_login(Initiator *i)
{
        uint8_t bhs[BHS_SIZE] = { 0 };
        Answer answer;
        int r;

        r = exchange_login(i, bhs, &answer);
        if (r < 0)
                return r;
        if (bhs_opcode(bhs) != OP_LOGIN_RESPONSE || get_be16(bhs + BHS_LOGIN_STATUS) != LOGIN_OK)
                return initiator_fail(i, -EACCES, "login refused: status %04x",
                                      get_be16(bhs + BHS_LOGIN_STATUS));
        if ((bhs[BHS_FLAGS] & 0x83) != (FLAG_TRANSIT | STAGE_FULL_FEATURE))
                return initiator_fail(i, -EPROTO,
                                      "the target wants more login stages than this tool has");
        i->cmdsn = 1;
        i->expstatsn = get_be32(bhs + BHS_STATSN) + 1;
        i->maxcmdsn = get_be32(bhs + BHS_MAX_CMDSN);
        return take_answer(i, &answer);
}

/* ---- the unit ---- */

/* One command that reads at most size bytes; its SCSI status. */
static int simple_command(Initiator *i, const uint8_t *cdb, size_t cdb_size, void *data,
                          uint32_t size)
{
        uint8_t bhs[BHS_SIZE];
        int r;

        command_bhs(i, bhs, size ? FLAG_READ : 0, 0x10000, size);
        memcpy(bhs + BHS_CDB, cdb, cdb_size);
        r = send_pdu(i, bhs, NULL, 0);
        while (r >= 0) {
                r = receive_pdu(i, bhs);
                if (r < 0)
                        break;
                i->maxcmdsn = get_be32(bhs + BHS_MAX_CMDSN);
                if (bhs_opcode(bhs) == OP_DATA_IN) {
                        memcpy(data, i->scratch, min_u32((uint32_t)r, size));
                        if (!(bhs[BHS_FLAGS] & FLAG_STATUS))
                                continue;
                } else if (bhs_opcode(bhs) != OP_SCSI_RESPONSE) {
                        continue;
                }
                i->expstatsn = get_be32(bhs + BHS_STATSN) + 1;
                return bhs[BHS_STATUS];
        }
        return r;
}

static int read_capacity(Initiator *i)
{
        static const uint8_t ready[6] = { 0 };
        static const uint8_t capacity[16] = { 0x9e, 0x10, [13] = 32 };
        uint8_t data[32] = { 0 };
        int r = 0;

        for (unsigned k = 0; k < 8; k++) { /* unit attentions, one at a time */
                r = simple_command(i, ready, sizeof(ready), NULL, 0);
                if (r <= 0)
                        break;
        }
        if (r < 0)
                return r;
        if (r > 0)
                return initiator_fail(i, -EIO, "TEST UNIT READY: status %02x", r);
        r = simple_command(i, capacity, sizeof(capacity), data, sizeof(data));
        if (r != 0)
                return r < 0 ? r : initiator_fail(i, -EIO, "READ CAPACITY(16): status %02x", r);
        i->n_blocks = get_be64(data) + 1;
        i->block_size = get_be32(data + 8);
        if (i->block_size == 0 || i->load->io_bytes % i->block_size != 0 ||
            i->n_blocks * i->block_size < i->load->io_bytes)
                return initiator_fail(i, -EINVAL, "%u bytes do not go with %llu blocks of %u",
                                      i->load->io_bytes, (unsigned long long)i->n_blocks,
                                      i->block_size);
        return 0;
}

int initiator_open(Initiator *i, const Load *load, unsigned number)
{
        int r;

        *i = (Initiator){
                .load = load, .fd = -1, .number = number, .scratch = malloc(SCRATCH_SIZE)
        };
        if (load->depth > INITIATOR_DEPTH_MAX || load->io_bytes > INITIATOR_IO_MAX)
                return initiator_fail(i, -EINVAL, "depth or block size is too large");
        i->random = UINT64_C(0x9e3779b97f4a7c15) * (number + 1);
        i->out_size = 1024;
        i->out = malloc(i->out_size * sizeof(*i->out));
        if (!i->out || !i->scratch)
                return initiator_fail(i, -ENOMEM, "out of memory");
        r = dial(i);
        if (r == 0)
                r = initiator_login(i);
        if (r == 0)
                r = read_capacity(i);
        free(i->scratch);
        i->scratch = NULL;
        if (r < 0)
                return r;
        for (unsigned k = 0; k < load->depth; k++)
                i->free_slots[i->n_free++] = (uint16_t)k;
        i->next_block = load->fill ? 0 : i->n_blocks / 64 * (number % 64);
        i->left = load->fill ? i->n_blocks / (load->io_bytes / i->block_size) : UINT64_MAX;
        return 0;
}

void initiator_close(Initiator *i)
{
        i->fd = safe_close(i->fd);
        free(i->out);
        i->out = NULL;
}
