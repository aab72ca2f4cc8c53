/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world.h"

/* Sessions over the real device server and a ram store: many commands at once, in every way of
 * moving data, cut anywhere, with resets and reinstatement in between. A model says what must be
 * read; where a write was given up, either of both is right. */

#define BLOCKS 256 /* that are used */
#define DEPTH 16
#define MAX_BLOCKS 24

typedef struct Op {
        bool used, write, aborted;
        uint32_t itt, lba, blocks;
        uint8_t stamp;
        uint32_t got;  /* Data-In so far */
        uint32_t sent; /* Data-Out so far */
        uint8_t data[MAX_BLOCKS * 512];
} Op;

typedef struct Model {
        World w;
        Peer *p;
        GRand *rand;
        Op ops[DEPTH];
        uint8_t stamp[BLOCKS]; /* of the last write that is known to be good */
        uint8_t doubt[BLOCKS]; /* of one that was given up; 0: none */
        uint8_t next;
        bool unknown[BLOCKS];
        unsigned n_reads, n_writes, n_aborted;
} Model;

static uint32_t dice(Model *m, uint32_t n)
{
        return (uint32_t)g_rand_int_range(m->rand, 0, (gint32)n);
}

static Op *find(Model *m, uint32_t itt)
{
        for (unsigned i = 0; i < DEPTH; i++)
                if (m->ops[i].used && m->ops[i].itt == itt)
                        return &m->ops[i];
        return NULL;
}

static bool overlaps(Model *m, uint32_t lba, uint32_t blocks)
{
        for (unsigned i = 0; i < DEPTH; i++) {
                const Op *op = &m->ops[i];

                if (op->used && lba < op->lba + op->blocks && op->lba < lba + blocks)
                        return true;
        }
        return false;
}

static void send_out(Model *m, Op *op, uint32_t ttt, uint32_t end)
{
        uint8_t bhs[BHS_SIZE];
        uint32_t datasn = 0;

        do {
                uint32_t n = min_u32(1 + dice(m, 4096), end - op->sent);

                data_out_bhs(m->p, bhs, op->itt, ttt, datasn++, op->sent, op->sent + n == end);
                peer_send(m->p, bhs, NULL, 0, op->data + op->sent, n);
                op->sent += n;
        } while (op->sent < end);
}

static void begin_op(Model *m, Op *op)
{
        uint32_t blocks = 1 + dice(m, MAX_BLOCKS), lba = dice(m, BLOCKS - blocks), length,
                 immediate;
        uint8_t bhs[BHS_SIZE];
        bool more;

        if (overlaps(m, lba, blocks))
                return;
        length = blocks * 512;
        *op = (Op){ .used = true, .write = dice(m, 2), .lba = lba, .blocks = blocks };
        if (!op->write) {
                command_bhs(m->p, bhs, 0xc0, 0x28, lba, (uint16_t)blocks, length);
                op->itt = m->p->itt;
                peer_send(m->p, bhs, NULL, 0, NULL, 0);
                return;
        }
        if (++m->next == 0)
                m->next = 1;
        op->stamp = m->next;
        memset(op->data, op->stamp, length);
        immediate = dice(m, 2) ? dice(m, min_u32(length, 4096) + 1) : 0;
        more = immediate < min_u32(length, 8192) && dice(m, 2);
        command_bhs(m->p, bhs, more ? 0x20 : 0xa0, 0x2a, lba, (uint16_t)blocks, length);
        op->itt = m->p->itt;
        op->sent = immediate;
        peer_send(m->p, bhs, NULL, 0, op->data, immediate);
        if (more)
                send_out(m, op, TAG_NONE, op->sent + 1 + dice(m, min_u32(length, 8192) - op->sent));
}

static void check_read(Model *m, Op *op)
{
        for (uint32_t i = 0; i < op->blocks; i++) {
                uint8_t v = op->data[i * 512], good = m->stamp[op->lba + i],
                        doubt = m->doubt[op->lba + i];

                if (m->unknown[op->lba + i])
                        continue;
                for (uint32_t k = 0; k < 512 && !doubt; k++)
                        g_assert_cmphex(op->data[i * 512 + k], ==, v);
                if (!doubt || v != doubt)
                        g_assert_cmphex(v, ==, good);
        }
}

static void end_op(Model *m, Op *op, uint8_t status)
{
        op->used = false;
        g_assert_cmphex(status, ==, SCSI_GOOD);
        if (!op->write) {
                g_assert_cmpuint(op->got, ==, op->blocks * 512);
                check_read(m, op);
                m->n_reads++;
                return;
        }
        g_assert_cmpuint(op->sent, ==, op->blocks * 512);
        for (uint32_t i = 0; i < op->blocks; i++) {
                m->stamp[op->lba + i] = op->stamp;
                m->doubt[op->lba + i] = 0;
                m->unknown[op->lba + i] = false;
        }
        m->n_writes++;
}

/* false: nothing came. */
static bool take_pdu(Model *m)
{
        _pdu_ Pdu pdu = { 0 };
        Op *op;

        if (!peer_recv(m->p, &pdu))
                return false;
        if (bhs_opcode(pdu.bhs) == OP_TMF_RESPONSE) {
                g_assert_cmpuint(pdu.bhs[BHS_RESPONSE], ==, 0);
                return true;
        }
        op = find(m, get_be32(pdu.bhs + BHS_ITT));
        g_assert_nonnull(op);
        switch (bhs_opcode(pdu.bhs)) {
        case OP_R2T:
                g_assert_cmpuint(get_be32(pdu.bhs + BHS_OFFSET), ==, op->sent);
                send_out(m, op, get_be32(pdu.bhs + BHS_TTT),
                         op->sent + get_be32(pdu.bhs + BHS_R2T_LENGTH));
                break;
        case OP_DATA_IN:
                g_assert_cmpuint(get_be32(pdu.bhs + BHS_OFFSET), ==, op->got);
                g_assert_cmpuint(op->got + pdu.length, <=, sizeof(op->data));
                memcpy(op->data + op->got, pdu.data, pdu.length);
                op->got += pdu.length;
                if (pdu.bhs[BHS_FLAGS] & FLAG_STATUS)
                        end_op(m, op, pdu.bhs[BHS_STATUS]);
                break;
        default:
                g_assert_cmphex(bhs_opcode(pdu.bhs), ==, OP_SCSI_RESPONSE);
                end_op(m, op, pdu.bhs[BHS_STATUS]);
                break;
        }
        return true;
}

static void login(Model *m, unsigned digests)
{
        g_autofree char *text = g_strdup_printf(
                "InitiatorName=" INITIATOR "|TargetName=" TARGET
                "|InitialR2T=No|FirstBurstLength=8192|MaxBurstLength=%u|MaxOutstandingR2T=1"
                "|MaxRecvDataSegmentLength=%u|HeaderDigest=%s|DataDigest=%s",
                8192 + dice(m, 8000), 512 + dice(m, 8000), digests & 1 ? "CRC32C" : "None",
                digests & 2 ? "CRC32C" : "None");
        _pdu_ Pdu pdu = { 0 };

        m->p = peer_new(&m->w, PEER_TCP);
        m->p->chunk = dice(m, 2) ? 1 + dice(m, 3000) : 0;
        m->p->isid[1] = (uint8_t)dice(m, 250);
        m->w.place = dice(m, 2);
        g_assert_cmphex(peer_login_step(m->p, 0x87, text, &pdu), ==, 0);
        m->p->header_digest = digests & 1;
        m->p->data_digest = digests & 2;
        for (unsigned i = 0;; i++) { /* unit attentions */
                uint8_t bhs[BHS_SIZE];
                _result_ Result r = { 0 };

                g_assert_cmpuint(i, <, 5);
                command_bhs(m->p, bhs, 0x80, 0x00, 0, 0, 0);
                peer_send(m->p, bhs, NULL, 0, NULL, 0);
                g_assert_true(peer_result(m->p, m->p->itt, &r));
                if (r.status == SCSI_GOOD)
                        break;
                g_assert_cmphex(r.sense[2] & 15, ==, 6);
        }
}

static void give_up(Model *m)
{
        for (unsigned i = 0; i < DEPTH; i++) {
                Op *op = &m->ops[i];

                if (!op->used)
                        continue;
                op->used = false;
                m->n_aborted++;
                for (uint32_t k = 0; op->write && k < op->blocks; k++) {
                        /* two writes in doubt: no statement until it is written again */
                        m->unknown[op->lba + k] |= m->doubt[op->lba + k] != 0;
                        m->doubt[op->lba + k] = op->stamp;
                }
        }
}

static void all_done(Model *m)
{
        while (take_pdu(m))
                ;
        for (unsigned i = 0; i < DEPTH; i++)
                g_assert_false(m->ops[i].used);
}

static void run_seed(uint32_t seed)
{
        Model m = { .rand = g_rand_new_with_seed(seed) };

        g_test_message("seed %u", seed);
        world_init(&m.w, NULL);
        for (unsigned session = 0; session < 3; session++) {
                login(&m, dice(&m, 4));
                for (unsigned i = 0; i < 150; i++) {
                        Op *op = &m.ops[dice(&m, DEPTH)];

                        if (!op->used)
                                begin_op(&m, op);
                        if (dice(&m, 3) == 0)
                                (void)take_pdu(&m);
                }
                if (dice(&m, 2))
                        all_done(&m);
                peer_free(m.p); /* with whatever is under way */
                sim_run(m.w.sim);
                give_up(&m);
        }
        login(&m, 0);
        for (uint32_t lba = 0; lba < BLOCKS; lba += 16) {
                Op *op = &m.ops[0];
                uint8_t bhs[BHS_SIZE];

                *op = (Op){ .used = true, .lba = lba, .blocks = 16 };
                command_bhs(m.p, bhs, 0xc0, 0x28, lba, 16, 8192);
                op->itt = m.p->itt;
                peer_send(m.p, bhs, NULL, 0, NULL, 0);
                all_done(&m);
        }
        g_assert_cmpuint(m.n_reads, >, 16);
        g_assert_cmpuint(m.n_writes, >, 10);
        g_rand_free(m.rand);
        world_done(&m.w);
}

static void test_random(void)
{
        for (uint32_t seed = 1; seed <= 20; seed++)
                run_seed(seed);
}

/* LUN RESET in the middle: every command is over, none of them answered twice, the session lives.
 */
static void test_reset(void)
{
        for (uint32_t seed = 100; seed < 110; seed++) {
                Model m = { .rand = g_rand_new_with_seed(seed) };
                uint8_t bhs[BHS_SIZE] = { OP_TMF_REQUEST | OP_IMMEDIATE, 0x85 };
                _pdu_ Pdu pdu = { 0 };
                _result_ Result r = { 0 };

                world_init(&m.w, NULL);
                login(&m, 0);
                for (unsigned i = 0; i < DEPTH; i++)
                        begin_op(&m, &m.ops[i]);
                put_be32(bhs + BHS_ITT, 0x77777777);
                put_be32(bhs + BHS_CMDSN, m.p->cmdsn);
                peer_send(m.p, bhs, NULL, 0, NULL, 0);
                sim_advance(m.w.sim, 1 * NSEC_PER_SEC);
                do {
                        g_assert_true(peer_recv(m.p, &pdu));
                        if (bhs_opcode(pdu.bhs) == OP_R2T) /* asked for before: it comes */
                                continue;
                } while (bhs_opcode(pdu.bhs) != OP_TMF_RESPONSE);
                g_assert_cmpuint(pdu.bhs[BHS_RESPONSE], ==, 0);
                peer_expect_nothing(m.p);
                do {
                        command_bhs(m.p, bhs, 0x80, 0x00, 0, 0, 0);
                        peer_send(m.p, bhs, NULL, 0, NULL, 0);
                        g_assert_true(peer_result(m.p, m.p->itt, &r));
                } while (r.status != SCSI_GOOD);
                g_assert_cmpuint(m.p->conn->n_windowed, ==, 0);
                g_rand_free(m.rand);
                world_done(&m.w);
        }
}

/* The name in the identification page is that of the target also after it has been made anew. */
static void test_identification_after_change(void)
{
        Model m = { .rand = g_rand_new_with_seed(1) };
        uint8_t bhs[BHS_SIZE];
        _result_ Result r = { 0 };

        world_init(&m.w, NULL);
        login(&m, 0);
        world_map(&m.w);
        sim_run(m.w.sim);
        command_bhs(m.p, bhs, 0xc0, 0x12, 0, 0, 255);
        bhs[BHS_CDB + 1] = 1; /* EVPD */
        bhs[BHS_CDB + 2] = 0x83;
        bhs[BHS_CDB + 4] = 255;
        peer_send(m.p, bhs, NULL, 0, NULL, 0);
        g_assert_true(peer_result(m.p, m.p->itt, &r));
        g_assert_cmphex(r.status, ==, SCSI_GOOD);
        g_assert_nonnull(memmem(r.data, r.length, TARGET, strlen(TARGET) + 1));
        g_rand_free(m.rand);
        world_done(&m.w);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/iscsi/real/random", test_random);
        g_test_add_func("/iscsi/real/reset", test_reset);
        g_test_add_func("/iscsi/real/identification-after-change",
                        test_identification_after_change);
        return g_test_run();
}
