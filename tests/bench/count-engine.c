/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world.h"

#include "base/parse.h"

/* count-engine read|write BYTES plain|digests COMMANDS: the path of an I/O without sockets, threads
 * and clocks, for test_instructions.py to count under callgrind: session engine and framer over a
 * byte stream in memory, device server, ram store, simulated loop. What is counted is entered by
 * the functions counted_*(): all that engine/socket.c would call, and the loop's turns; this
 * program's own part, the initiator, is outside. */

#define BATCH_BYTES (512 * KIB) /* in flight, */
#define BATCH_MAX 32            /* and commands */
#define LBAS (8 * MIB / 512)    /* of the unit in real-scsi.c */

typedef struct Count {
        World w;
        Peer *p;
        bool is_read, digests;
        uint32_t io_bytes;
        uint32_t immediate; /* bytes of data that go with a command */
        uint32_t lba;
        unsigned answered;
} Count;

static uint8_t payload[256 * KIB];

#define COUNTED __attribute__((noinline))

/* A barrier after the call, or it would be a jump, and the function left before it was entered. */
#define STAY __asm__ volatile("" ::: "memory")

COUNTED static size_t counted_want(Conn *c, struct iovec *iov, size_t max)
{
        size_t n = conn_want(c, iov, max);

        STAY;
        return n;
}

COUNTED static void counted_got(Conn *c, size_t n)
{
        conn_got(c, n);
        STAY;
}

COUNTED static size_t counted_out(Conn *c, struct iovec *iov, size_t max)
{
        size_t n = conn_out(c, iov, max);

        STAY;
        return n;
}

COUNTED static void counted_sent(Conn *c, size_t n)
{
        conn_sent(c, n);
        STAY;
}

COUNTED static void counted_turn(Sim *sim)
{
        (void)sim_run(sim);
        STAY;
}

/* ---- the byte stream: as engine/socket.c does ---- */

static size_t receive(Peer *p)
{
        struct iovec iov[16];
        size_t n = counted_want(p->conn, iov, ELEMENTSOF(iov)), done = 0;

        for (size_t i = 0; i < n && done < p->out->len; i++) {
                size_t m = MIN(iov[i].iov_len, p->out->len - done);

                memcpy(iov[i].iov_base, p->out->data + done, m);
                done += m;
        }
        if (done > 0) {
                g_byte_array_remove_range(p->out, 0, (guint)done);
                counted_got(p->conn, done);
        }
        return done;
}

static size_t transmit(Peer *p)
{
        struct iovec iov[128];
        size_t n = counted_out(p->conn, iov, ELEMENTSOF(iov)), total = 0;

        for (size_t i = 0; i < n; i++) {
                g_byte_array_append(p->in, iov[i].iov_base, (guint)iov[i].iov_len);
                total += iov[i].iov_len;
        }
        if (total > 0)
                counted_sent(p->conn, total);
        return total;
}

static void turns(Count *c)
{
        size_t moved;

        do {
                moved = 0;
                while (c->p->out->len > 0) {
                        size_t n = receive(c->p);

                        if (n == 0)
                                break;
                        moved += n;
                }
                counted_turn(c->w.sim);
                moved += transmit(c->p);
        } while (moved > 0);
}

/* ---- the initiator ---- */

static void append_digest(GByteArray *to, const uint8_t *p, size_t n)
{
        uint8_t digest[4];

        digest_put(digest_add(digest_begin(), p, n), digest);
        g_byte_array_append(to, digest, sizeof(digest));
}

static void queue_pdu(Count *c, uint8_t bhs[BHS_SIZE], uint32_t length)
{
        put_be24(bhs + BHS_DATA_LENGTH, length);
        g_byte_array_append(c->p->out, bhs, BHS_SIZE);
        if (c->digests)
                append_digest(c->p->out, bhs, BHS_SIZE);
        if (length == 0)
                return;
        g_byte_array_append(c->p->out, payload, length);
        if (c->digests)
                append_digest(c->p->out, payload, length);
}

static void queue_command(Count *c)
{
        uint8_t bhs[BHS_SIZE];
        uint16_t blocks = (uint16_t)(c->io_bytes / 512);

        if (c->lba + blocks > LBAS)
                c->lba = 0;
        command_bhs(c->p, bhs, FLAG_FINAL | (c->is_read ? FLAG_READ : FLAG_WRITE),
                    c->is_read ? 0x28 : 0x2a, c->lba, blocks, c->io_bytes);
        c->lba += blocks;
        queue_pdu(c, bhs, c->is_read ? 0 : min_u32(c->io_bytes, c->immediate));
}

static void take_answers(Count *c)
{
        _pdu_ Pdu pdu = { 0 };
        uint8_t bhs[BHS_SIZE];

        while (c->p->in->len > 0 && peer_recv(c->p, &pdu)) {
                if (bhs_opcode(pdu.bhs) == OP_R2T) {
                        data_out_bhs(c->p, bhs, get_be32(pdu.bhs + BHS_ITT),
                                     get_be32(pdu.bhs + BHS_TTT), 0, get_be32(pdu.bhs + BHS_OFFSET),
                                     true);
                        queue_pdu(c, bhs, get_be32(pdu.bhs + BHS_R2T_LENGTH));
                } else if (bhs_opcode(pdu.bhs) == OP_SCSI_RESPONSE ||
                           (pdu.bhs[BHS_FLAGS] & FLAG_STATUS)) {
                        g_assert_cmphex(pdu.bhs[BHS_STATUS], ==, SCSI_GOOD);
                        c->answered++;
                }
        }
}

static void run_commands(Count *c, unsigned n)
{
        unsigned batch = MIN((unsigned)(BATCH_BYTES / c->io_bytes), (unsigned)BATCH_MAX);

        c->answered = 0;
        for (unsigned done = 0; done < n; done += batch) {
                for (unsigned k = 0; k < batch; k++)
                        queue_command(c);
                while (c->p->out->len > 0) {
                        turns(c);
                        take_answers(c);
                }
                g_assert_cmpuint(c->answered, ==, done + batch);
        }
}

/* ---- set-up, not counted ---- */

static void log_in(Count *c)
{
        const char *digest = c->digests ? "CRC32C" : "None";
        g_autofree char *text = g_strdup_printf(
                "InitiatorName=" INITIATOR "|TargetName=" TARGET
                "|InitialR2T=No|ImmediateData=Yes|MaxRecvDataSegmentLength=262144"
                "|MaxBurstLength=16776192|FirstBurstLength=262144|MaxOutstandingR2T=1"
                "|HeaderDigest=%s|DataDigest=%s",
                digest, digest);
        _pdu_ Pdu pdu = { 0 };

        c->p = peer_new(&c->w, PEER_TCP);
        g_assert_cmphex(peer_login_step(c->p, 0x87, text, &pdu), ==, 0);
        c->p->header_digest = c->p->data_digest = c->digests;
        c->immediate = c->p->conn->params.immediate_data ? c->p->conn->params.first_burst : 0;
}

static void clear_attentions(Count *c)
{
        _result_ Result r = { 0 };

        do {
                uint8_t bhs[BHS_SIZE];

                command_bhs(c->p, bhs, FLAG_FINAL, 0x00, 0, 0, 0);
                peer_send(c->p, bhs, NULL, 0, NULL, 0);
                g_assert_true(peer_result(c->p, c->p->itt, &r));
        } while (r.status != SCSI_GOOD);
}

int main(int argc, char **argv)
{
        Count c = { 0 };
        uint32_t n;

        if (argc != 5 || parse_u32(argv[2], 512, sizeof(payload), &c.io_bytes) < 0 ||
            parse_u32(argv[4], 1, 1000000, &n) < 0) {
                g_printerr("count-engine read|write BYTES plain|digests COMMANDS\n");
                return 2;
        }
        c.is_read = STREQ(argv[1], "read");
        c.digests = STREQ(argv[3], "digests");
        world_init(&c.w, NULL);
        log_in(&c);
        clear_attentions(&c);
        run_commands(&c, n);
        g_print("%u\n", c.answered);
        world_done(&c.w);
        return 0;
}
