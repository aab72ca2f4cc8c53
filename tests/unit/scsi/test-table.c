/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "one-nexus.h"
#include "scsi/mode.h"
#include "scsi/vpd.h"

static void test_rows(void)
{
        const OpSet *sets[] = { op_set_disk(), op_set_controller() };

        g_assert_cmpuint(sets[0]->n, ==, n_spc_ops + n_sbc_ops);
        for (size_t k = 0; k < ELEMENTSOF(sets); k++) {
                const OpSet *set = sets[k];

                for (unsigned i = 0; i < set->n; i++) {
                        const ScsiOp *op = set->rows[i];
                        const uint8_t cdb[2] = { op->opcode, op->service_action };
                        bool first = set->first[op->opcode] == i;

                        if (i > 0) {
                                const ScsiOp *p = set->rows[i - 1];

                                g_assert_true(p->opcode < op->opcode ||
                                              (p->opcode == op->opcode &&
                                               p->service_action < op->service_action));
                        }
                        g_assert_true(first || (op->flags & OP_SERVICE_ACTION));
                        g_assert_true(op->run);
                        g_assert_true(op->name && op->name[0]);
                        g_assert_cmpuint(op->usage[0], ==, op->opcode);
                        g_assert_cmpuint(op->usage[op->cdb_length - 1], ==, CTL);
                        for (unsigned b = op->cdb_length; b < sizeof(op->usage); b++)
                                g_assert_cmpuint(op->usage[b], ==, 0);
                        /* the group code says how long a CDB is (SPC-4 4.2.5.1) */
                        static const uint8_t lengths[8] = { 6, 10, 10, 0, 16, 12, 0, 0 };
                        g_assert_cmpuint(op->cdb_length, ==, lengths[op->opcode >> 5]);
                        if (op->flags & OP_SERVICE_ACTION)
                                g_assert_cmpuint(op->usage[1] & 0x1f, ==, op->service_action);
                        /* every byte of a field may be anything but in 6 byte CDBs */
                        for (unsigned b = 0; b < op->lba.size; b++)
                                g_assert_cmpuint(op->usage[op->lba.at + b], ==,
                                                 op->lba.size == 3 && b == 0 ? 0x1f : 0xff);
                        for (unsigned b = 0; b < op->length.size; b++)
                                g_assert_cmpuint(op->usage[op->length.at + b], ==, 0xff);
                        /* what changes the medium needs it, and names its range or parameters, or
                         * changes all of it */
                        if (op->flags & OP_WRITES) {
                                g_assert_true(op->flags & OP_MEDIUM);
                                g_assert_true(op->flags &
                                              (OP_RANGE | OP_PARAMETERS | OP_FORMAT | OP_SANITIZE));
                                g_assert_false(op->flags & (OP_PASS_UA | OP_PASS_RESERVATION));
                        }
                        if (!op->enabled)
                                g_assert_true(op_find(set, NULL, cdb) == op);
                }
        }
}

/* A CDB that the row allows, as harmless as can be. */
static void plain_cdb(const ScsiOp *op, uint8_t cdb[16])
{
        memset(cdb, 0, 16);
        cdb[0] = op->opcode;
        if (op->flags & OP_SERVICE_ACTION)
                cdb[1] = op->service_action;
}

static void check_pointer(const Command *c, bool descriptor, unsigned byte, unsigned bit)
{
        const uint8_t *s = c->task.sense;
        const uint8_t *sks = descriptor ? s + 8 + 4 : s + 15;

        g_assert_cmphex(sense_of(c), ==, SENSE_ILLEGAL_REQUEST << 16 | ASC_INVALID_FIELD_IN_CDB);
        g_assert_cmphex(s[0], ==, descriptor ? 0x72 : 0x70);
        if (descriptor) {
                g_assert_cmphex(s[8], ==, 0x02);
                g_assert_cmphex(s[9], ==, 0x06);
                g_assert_cmpuint(c->task.sense_length, ==, 16);
        } else
                g_assert_cmpuint(c->task.sense_length, ==, 18);
        g_assert_cmphex(sks[0], ==, 0xc8 | bit);
        g_assert_cmpuint(get_be16(sks + 1), ==, byte);
}

/* Each bit that a row does not allow is refused, and named. */
static void reserved_bits(bool descriptor)
{
        LuConfig config = default_config;
        const OpSet *set = op_set_disk();
        Fixture f;
        unsigned n = 0;

        config.descriptor_sense = descriptor;
        setup(&f, &config);
        for (unsigned i = 0; i < set->n; i++) {
                const ScsiOp *op = set->rows[i];

                for (unsigned byte = 1; byte < op->cdb_length; byte++)
                        for (unsigned bit = 0; bit < 8; bit++) {
                                uint8_t cdb[16];
                                Command *c;

                                if (op->usage[byte] & (1u << bit))
                                        continue;
                                if (byte == 1 && (op->flags & OP_SERVICE_ACTION) && bit < 5)
                                        continue;
                                plain_cdb(op, cdb);
                                cdb[byte] |= (uint8_t)(1u << bit);
                                c = run_in(f.n, 1, cdb, op->cdb_length, 0);
                                check_pointer(c, descriptor, byte, bit);
                                command_free(c);
                                n++;
                        }
        }
        g_assert_cmpuint(n, >, 500);
        teardown(&f);
}

static void test_reserved_fixed(void)
{
        reserved_bits(false);
}

static void test_reserved_descriptor(void)
{
        reserved_bits(true);
}

/* Dispatch and REPORT SUPPORTED OPERATION CODES agree on all 256 opcodes and 32 service actions. */
static void test_rsoc(void)
{
        const OpSet *set = op_set_disk();
        Fixture f;
        Command *c;
        size_t n;

        setup(&f, &default_config);
        c = run_in(f.n, 1, CDB(0xa3, 0x0c, 0x80, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0), 65535);
        g_assert_cmpint(c->task.status, ==, SCSI_GOOD);
        n = get_be32(c->in) / 20;
        g_assert_cmpuint(n, ==, set->n);
        g_assert_cmpuint(c->in_length, ==, 4 + n * 20);
        for (size_t i = 0; i < n; i++) {
                const uint8_t *d = c->in + 4 + i * 20;

                g_assert_cmphex(d[0], ==, set->rows[i]->opcode);
                g_assert_cmphex(get_be16(d + 2), ==, set->rows[i]->service_action);
                g_assert_cmphex(d[5] & 2, ==, 2);
                g_assert_cmpuint(get_be16(d + 6), ==, set->rows[i]->cdb_length);
                g_assert_cmpuint(get_be16(d + 8), ==, 10);
        }
        command_free(c);
        for (unsigned op = 0; op < 256; op++) {
                bool there = set->count[op] > 0;
                bool sa = there && (set->rows[set->first[op]]->flags & OP_SERVICE_ACTION);

                c = run_in(f.n, 1, CDB(0xa3, 0x0c, 1, (uint8_t)op, 0, 0, 0, 0, 2, 0), 512);
                if (sa)
                        g_assert_cmphex(sense_of(c), ==, 0x052400);
                else {
                        g_assert_cmpint(c->task.status, ==, SCSI_GOOD);
                        g_assert_cmpuint(c->in[1] & 7, ==, there ? 3 : 1);
                        if (there) {
                                const ScsiOp *row = set->rows[set->first[op]];

                                g_assert_cmpuint(get_be16(c->in + 2), ==, row->cdb_length);
                                g_assert_cmpmem(c->in + 4, row->cdb_length, row->usage,
                                                row->cdb_length);
                        }
                }
                command_free(c);
                c = run_in(f.n, 1, CDB((uint8_t)op), 0);
                if (!there)
                        g_assert_cmphex(sense_of(c), ==, 0x052000);
                else
                        g_assert_cmphex(sense_of(c), !=, 0x052000);
                command_free(c);
                if (op == 0x1b || op == 0x16) /* START STOP, RESERVE: nothing lasting */
                        g_assert_true(good(f.n, 1, CDB(0x17, 0, 0, 0, 0, 0)));
        }
        /* a thick unit has no UNMAP, and says so everywhere */
        teardown(&f);
}

static void test_thick(void)
{
        LuConfig config = default_config;
        Fixture f;
        Command *c;

        config.thin = LU_THICK;
        setup(&f, &config);
        c = run_in(f.n, 1, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
        g_assert_cmphex(sense_of(c), ==, 0x052000);
        command_free(c);
        c = run_in(f.n, 1, CDB(0xa3, 0x0c, 1, 0x42, 0, 0, 0, 0, 2, 0), 512);
        g_assert_cmpuint(c->in[1] & 7, ==, 1);
        command_free(c);
        c = run_in(f.n, 1, CDB(0xa3, 0x0c, 1, 0x93, 0, 0, 0, 0, 2, 0), 512);
        g_assert_cmphex(c->in[4 + 1], ==, 0x01);
        command_free(c);
        c = run_out(f.n, 1, CDB(0x41, 0x08, 0, 0, 0, 0, 0, 0, 1, 0), fake_store_data(f.store), 512);
        check_pointer(c, false, 1, 3);
        command_free(c);
        c = run_in(f.n, 1, CDB(0x12, 1, 0xb0, 0, 255, 0), 255);
        g_assert_cmpuint(get_be32(c->in + 20), ==, 0);
        g_assert_cmpuint(get_be32(c->in + 24), ==, 0);
        command_free(c);
        c = run_in(f.n, 1, CDB(0x12, 1, 0xb2, 0, 255, 0), 255);
        g_assert_cmphex(c->in[5], ==, 0);
        command_free(c);
        c = run_in(f.n, 1, CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32), 32);
        g_assert_cmphex(c->in[14], ==, 0);
        command_free(c);
        teardown(&f);
}

static void test_vpd(void)
{
        Fixture f;
        Command *c;

        setup(&f, &default_config);
        for (size_t i = 1; i < n_vpd_pages; i++)
                g_assert_cmpuint(vpd_pages[i - 1].code, <, vpd_pages[i].code);
        for (unsigned page = 0; page < 256; page++) {
                bool there = false;

                for (size_t i = 0; i < n_vpd_pages; i++)
                        there = there || vpd_pages[i].code == page;
                c = run_in(f.n, 1, CDB(0x12, 1, (uint8_t)page, 2, 0, 0), 512);
                if (there) {
                        g_assert_cmpint(c->task.status, ==, SCSI_GOOD);
                        g_assert_cmpuint(c->in[1], ==, page);
                        g_assert_cmpuint(get_be16(c->in + 2) + 4, ==, c->in_length);
                } else
                        g_assert_cmphex(sense_of(c), ==, 0x052400);
                command_free(c);
        }
        /* 00h is the table */
        c = run_in(f.n, 1, CDB(0x12, 1, 0, 0, 255, 0), 255);
        g_assert_cmpuint(c->in[3], ==, n_vpd_pages);
        for (size_t i = 0; i < n_vpd_pages; i++)
                g_assert_cmpuint(c->in[4 + i], ==, vpd_pages[i].code);
        command_free(c);
        /* B0h and B2h are what is enforced */
        c = run_in(f.n, 1, CDB(0x12, 1, 0xb0, 0, 255, 0), 255);
        g_assert_cmpuint(c->in[3], ==, 0x3c);
        g_assert_cmpuint(get_be32(c->in + 8), ==, f.lu->coord.state.limits.max_transfer);
        g_assert_cmpuint(get_be32(c->in + 20), ==, f.lu->coord.state.limits.max_unmap_blocks);
        g_assert_cmpuint(get_be32(c->in + 24), ==, f.lu->coord.state.limits.max_unmap_descriptors);
        g_assert_cmpuint(get_be32(c->in + 28), ==, 8);
        g_assert_cmpuint(get_be64(c->in + 36), ==, f.lu->coord.state.limits.max_write_same);
        command_free(c);
        c = run_in(f.n, 1, CDB(0x12, 1, 0xb2, 0, 255, 0), 255);
        g_assert_cmphex(c->in[5], ==, 0xe4);
        g_assert_cmphex(c->in[6], ==, 2);
        command_free(c);
        teardown(&f);
}

/* Walks the designators; each lies within the page. */
static void test_identification(void)
{
        unsigned seen[16] = {};
        Fixture f;
        Command *c;
        size_t at = 4, end;

        setup(&f, &default_config);
        c = run_in(f.n, 1, CDB(0x12, 1, 0x83, 2, 0, 0), 512);
        end = 4 + get_be16(c->in + 2);
        while (at < end) {
                const uint8_t *d = c->in + at;
                unsigned type = d[1] & 0x0f;

                g_assert_cmpuint(at + 4 + d[3], <=, end);
                seen[type]++;
                if (type == 3)
                        g_assert_cmpmem(d + 4, d[3], default_config.identity.naa, 16);
                if (type == 1)
                        g_assert_cmpmem(d + 4, d[3], "TGT     id-1", 12);
                if (type == 0xa)
                        g_assert_cmpmem(d + 6, d[3] - 2, default_config.identity.uuid, 16);
                if (type == 8) {
                        bool port = (d[1] & 0x30) == 0x10;

                        g_assert_cmpstr((const char *)d + 4, ==,
                                        port ? "iqn.2000-01.test:target,t,0x0001"
                                             : "iqn.2000-01.test:target");
                        g_assert_cmpuint(d[3] % 4, ==, 0);
                        g_assert_cmphex(d[0], ==, 0x53);
                        g_assert_cmphex(d[1] & 0x80, ==, 0x80);
                }
                if (type == 4)
                        g_assert_cmpuint(get_be32(d + 4), ==, 1);
                at += 4u + d[3];
        }
        g_assert_cmpuint(at, ==, end);
        g_assert_true(seen[1] == 1 && seen[3] == 1 && seen[4] == 1 && seen[8] == 2 &&
                      seen[0xa] == 1);
        command_free(c);
        teardown(&f);
}

static void test_mode_pages(void)
{
        Fixture f;
        Command *c;

        setup(&f, &default_config);
        for (unsigned pc = 0; pc < 4; pc++)
                for (unsigned page = 0; page < 64; page++) {
                        size_t expect = 0;

                        for (size_t i = 0; i < n_mode_pages; i++)
                                if ((page == 0x3f || mode_pages[i].page == page) &&
                                    mode_pages[i].subpage == 0)
                                        expect += mode_pages[i].length;
                        c = run_in(f.n, 1, CDB(0x1a, 8, (uint8_t)(pc << 6 | page), 0, 0xff, 0),
                                   255);
                        if (pc == 3)
                                g_assert_cmphex(sense_of(c), ==, 0x053900);
                        else if (expect == 0)
                                g_assert_cmphex(sense_of(c), ==, 0x052400);
                        else {
                                g_assert_cmpuint(c->in_length, ==, 4 + expect);
                                g_assert_cmpuint(c->in[0], ==, c->in_length - 1);
                        }
                        command_free(c);
                        c = run_in(f.n, 1,
                                   CDB(0x5a, 0x18, (uint8_t)(pc << 6 | page), 0, 0, 0, 0, 2, 0, 0),
                                   512);
                        if (pc != 3 && expect > 0) {
                                g_assert_cmpuint(c->in_length, ==, 8 + expect);
                                g_assert_cmpuint(get_be16(c->in), ==, c->in_length - 2);
                        }
                        command_free(c);
                }
        /* what is changeable is what the row parses */
        for (size_t i = 0; i < n_mode_pages; i++)
                for (uint8_t bit = 1; bit; bit = (uint8_t)(bit << 1)) {
                        const ModePage *row = &mode_pages[i];
                        uint8_t p[MODE_PAGE_MAX] = {};

                        if (!(row->mask & bit))
                                continue;
                        row->fill(bit, p);
                        g_assert_cmphex(row->parse(p), ==, bit);
                        row->fill(0, memset(p, 0, sizeof(p)));
                        g_assert_cmphex(row->parse(p), ==, 0);
                        memcpy(p, row->changeable, sizeof(p));
                        g_assert_cmphex(row->parse(p), ==, row->mask);
                }
        teardown(&f);
}

/* What the administrator says a page is, initiators read and cannot change. */
static void test_given_mode_pages(void)
{
        static const LuModePage pages[] = {
                { 0x20, 0, 4, { 1, 2, 3, 4 } },
                { 0x08, 0, 18, { 0x10, 0xaa, 0, 0, 0, 0, 0, 0, 0, 0, 0x80 } }, /* not WCE */
                { 0x0a, 0, 10, { 0, 0x10, 0x08 } },                            /* SWP */
                { 0x0a, 0x05, 2, { 7, 8 } },
        };
        static const uint8_t order[] = { 0x01, 0x02, 0x08, 0x0a, 0x4a, 0x4a, 0x1c, 0x20 };
        static uint8_t block[BS];
        LuConfig config = default_config;
        size_t at = 8;
        Fixture f;
        Command *c;

        config.write_cache = true;
        config.mode_pages = pages;
        config.n_mode_pages = ELEMENTSOF(pages);
        setup(&f, &config);
        c = run_in(f.n, 1, CDB(0x5a, 8, 0x3f, 0xff, 0, 0, 0, 2, 0, 0), 512);
        for (size_t i = 0; i < ELEMENTSOF(order); i++) {
                const uint8_t *p = c->in + at;

                g_assert_cmphex(p[0], ==, order[i]);
                if (p[0] == 0x08)
                        g_assert_true(p[1] == 18 && p[2] == 0x10 && p[3] == 0xaa && p[12] == 0x80);
                else if (p[0] == 0x0a)
                        g_assert_true(p[1] == 10 && p[4] == 0x08);
                else if (p[0] == 0x4a && p[1] == 5)
                        g_assert_true(get_be16(p + 2) == 2 && p[4] == 7 && p[5] == 8);
                else if (p[0] == 0x20)
                        g_assert_true(p[1] == 4 && p[2] == 1 && p[5] == 4);
                at += p[0] & 0x40 ? 4u + get_be16(p + 2) : 2u + p[1];
        }
        g_assert_cmpuint(at, ==, c->in_length);
        g_assert_cmphex(c->in[3], ==, 0x90); /* WP as SWP says, DPOFUA */
        command_free(c);
        /* they do what they say */
        c = run_out(f.n, 1, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), block, BS);
        expect_sense(c, 0x072700);
        /* nothing of them is changeable */
        c = run_in(f.n, 1, CDB(0x1a, 8, 0x48, 0, 0xff, 0), 255);
        for (size_t i = 6; i < c->in_length; i++)
                g_assert_cmphex(c->in[i], ==, 0);
        command_free(c);
        c = run_out(f.n, 1, CDB(0x15, 0x10, 0, 0, 24, 0),
                    ((uint8_t[24]){ 0, 0, 0, 0, 0x08, 18, 0x14, 0xaa, [16] = 0x80 }), 24);
        expect_sense(c, 0x052600);
        c = run_out(f.n, 1, CDB(0x15, 0x10, 0, 0, 24, 0),
                    ((uint8_t[24]){ 0, 0, 0, 0, 0x08, 18, 0x10, 0xaa, [16] = 0x80 }), 24);
        expect_good(c);
        teardown(&f);
}

/* As many as there may be, in a list that is longer than the header of 6 bytes can say. */
static void test_many_mode_pages(void)
{
        LuModePage pages[LU_MODE_PAGES_MAX];
        LuConfig config = default_config;
        LogicalUnit *lu;
        Fixture f;
        Command *c;

        for (size_t i = 0; i < ELEMENTSOF(pages); i++) {
                pages[i] = (LuModePage){ (uint8_t)(0x20 + i % 16), (uint8_t)(1 + i / 16), 255, {} };
                memset(pages[i].bytes, (int)i, 255);
        }
        config.mode_pages = pages;
        config.n_mode_pages = ELEMENTSOF(pages);
        setup(&f, &config);
        c = run_in(f.n, 1, CDB(0x5a, 8, 0x3f, 0xff, 0, 0, 0, 0xff, 0xff, 0), 65535);
        g_assert_cmpuint(c->in_length, >, LU_MODE_PAGES_MAX * 259);
        g_assert_cmpuint(get_be16(c->in), ==, c->in_length - 2);
        command_free(c);
        c = run_in(f.n, 1, CDB(0x1a, 8, 0x3f, 0xff, 0xff, 0), 255);
        g_assert_cmpuint(c->in_length, ==, 255);
        g_assert_cmpuint(c->in[0], ==, 255);
        command_free(c);
        config.n_mode_pages++;
        g_assert_cmpint(lu_new(&config, NULL, f.lu->coord.loop, &lu), ==, -EINVAL);
        teardown(&f);
}

/* Allocation lengths cut, and never change what is said. */
static void test_allocation(void)
{
        static const struct {
                uint8_t cdb[16];
                unsigned length, at;
        } cases[] = {
                { { 0x12, 0, 0, 0, 0 }, 6, 4 },
                { { 0x12, 1, 0x83 }, 6, 4 },
                { { 0x1a, 0, 0x3f, 0xff }, 6, 4 },
                { { 0x5a, 0x10, 0x3f, 0xff }, 10, 8 },
                { { 0xa0 }, 12, 9 },
                { { 0x9e, 0x10 }, 16, 13 },
                { { 0xa3, 0x0c, 0x80 }, 12, 9 },
                { { 0xa3, 0x0d, 0x80 }, 12, 9 },
                { { 0x03 }, 6, 4 },
        };
        Fixture f;

        setup(&f, &default_config);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint8_t cdb[16];
                Command *full, *c;

                memcpy(cdb, cases[i].cdb, sizeof(cdb));
                cdb[cases[i].at] = 255;
                full = run_in(f.n, 1, cdb, cases[i].length, 255);
                g_assert_cmpint(full->task.status, ==, SCSI_GOOD);
                g_assert_cmpuint(full->in_length, >, 0);
                for (unsigned n = 0; n <= full->in_length; n++) {
                        cdb[cases[i].at] = (uint8_t)n;
                        c = run_in(f.n, 1, cdb, cases[i].length, 255);
                        g_assert_cmpint(c->task.status, ==, SCSI_GOOD);
                        g_assert_cmpmem(c->in, (int)c->in_length, full->in, (int)n);
                        g_assert_cmpuint(c->task.in_wanted, ==, n);
                        command_free(c);
                        /* and what the initiator takes cuts again, which is a residual */
                        cdb[cases[i].at] = 255;
                        c = run_in(f.n, 1, cdb, cases[i].length, n);
                        g_assert_cmpmem(c->in, (int)c->in_length, full->in, (int)n);
                        g_assert_cmpuint(c->task.in_wanted, ==, full->in_length);
                        command_free(c);
                }
                command_free(full);
        }
        teardown(&f);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/scsi/table/rows", test_rows);
        g_test_add_func("/scsi/table/reserved-fixed", test_reserved_fixed);
        g_test_add_func("/scsi/table/reserved-descriptor", test_reserved_descriptor);
        g_test_add_func("/scsi/table/rsoc", test_rsoc);
        g_test_add_func("/scsi/table/thick", test_thick);
        g_test_add_func("/scsi/table/vpd", test_vpd);
        g_test_add_func("/scsi/table/identification", test_identification);
        g_test_add_func("/scsi/table/mode-pages", test_mode_pages);
        g_test_add_func("/scsi/table/given-mode-pages", test_given_mode_pages);
        g_test_add_func("/scsi/table/many-mode-pages", test_many_mode_pages);
        g_test_add_func("/scsi/table/allocation", test_allocation);
        return g_test_run();
}
