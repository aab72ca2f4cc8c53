/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi/mode.h"

#include "base/bytes.h"

/* Mode pages, MODE SENSE and MODE SELECT (SPC-4 6.11 to 6.14 and 7.5, SBC-3 6.5). */

/* ---- pages ----------------------------------------------------------------------------------- */

static void fill_zero(uint8_t mode, uint8_t *p)
{
}

static void fill_recovery(uint8_t mode, uint8_t *p)
{
        p[2] = 0x80; /* AWRE: what the store does, it does by itself */
}

static void fill_caching(uint8_t mode, uint8_t *p)
{
        p[2] = mode & MODE_WCE ? 0x04 : 0;
        p[12] = 0x20; /* DRA: reading ahead is not ours */
}

static uint8_t parse_caching(const uint8_t *p)
{
        return p[2] & 0x04 ? MODE_WCE : 0;
}

static void fill_control(uint8_t mode, uint8_t *p)
{
        p[2] = mode & MODE_D_SENSE ? 0x04 : 0; /* TST 0: one task set; GLTSD 0 */
        p[3] = 0x10;                           /* unrestricted reordering */
        p[4] = mode & MODE_SWP ? 0x08 : 0;
        p[5] = mode & MODE_TAS ? 0x40 : 0;
        put_be16(p + 8, 0xffff); /* BUSY TIMEOUT PERIOD: unlimited */
}

static uint8_t parse_control(const uint8_t *p)
{
        return (uint8_t)((p[2] & 0x04 ? MODE_D_SENSE : 0) | (p[4] & 0x08 ? MODE_SWP : 0) |
                         (p[5] & 0x40 ? MODE_TAS : 0));
}

static void fill_control_extension(uint8_t mode, uint8_t *p)
{
        p[6] = SENSE_MAX; /* MAXIMUM SENSE DATA LENGTH */
}

static void fill_exceptions(uint8_t mode, uint8_t *p)
{
        p[2] = 0x08; /* DEXCPT: there are none to report */
}

const ModePage mode_pages[] = {
        { 0x01, 0x00, 12, "Read-Write Error Recovery", fill_recovery, {}, 0, NULL },
        { 0x02, 0x00, 16, "Disconnect-Reconnect", fill_zero, {}, 0, NULL },
        { 0x08, 0x00, 20, "Caching", fill_caching, { [2] = 0x04 }, MODE_WCE, parse_caching },
        { 0x0a,
          0x00,
          12,
          "Control",
          fill_control,
          { [2] = 0x04, [4] = 0x08, [5] = 0x40 },
          MODE_D_SENSE | MODE_SWP | MODE_TAS,
          parse_control },
        { 0x0a, 0x01, 32, "Control Extension", fill_control_extension, {}, 0, NULL },
        { 0x1c, 0x00, 12, "Informational Exceptions Control", fill_exceptions, {}, 0, NULL },
};
const size_t n_mode_pages = ELEMENTSOF(mode_pages);

/* ---- pages of a unit ------------------------------------------------------------------------- */

#define PAGE_HEADER 2
#define SUBPAGE_HEADER 4
#define UNIT_PAGE_MAX (SUBPAGE_HEADER + 255)

/* A row, what the administrator has instead of it, or a page that only the administrator has. */
typedef struct UnitPage {
        const ModePage *row;
        const LuModePage *given;
} UnitPage;

static uint8_t page_code(const UnitPage *u)
{
        return u->given ? u->given->page : u->row->page;
}

static uint8_t page_subcode(const UnitPage *u)
{
        return u->given ? u->given->subpage : u->row->subpage;
}

static unsigned page_header(const UnitPage *u)
{
        return page_subcode(u) ? SUBPAGE_HEADER : PAGE_HEADER;
}

static unsigned page_length(const UnitPage *u)
{
        return u->given ? page_header(u) + u->given->length : u->row->length;
}

/* "All pages" come in ascending order, page 00h last (SPC-4 6.11.1, 7.5.1). */
static int compare_pages(const void *a, const void *b)
{
        const UnitPage *x = a, *y = b;
        int p = (int)((page_code(x) - 1u) & 0xff) << 8 | page_subcode(x);
        int q = (int)((page_code(y) - 1u) & 0xff) << 8 | page_subcode(y);

        return p - q;
}

static const ModePage *find_row(uint8_t page, uint8_t subpage)
{
        for (size_t i = 0; i < n_mode_pages; i++)
                if (mode_pages[i].page == page && mode_pages[i].subpage == subpage)
                        return &mode_pages[i];
        return NULL;
}

static bool is_given(const LogicalUnit *lu, const ModePage *row)
{
        for (size_t i = 0; i < lu->config.n_mode_pages; i++)
                if (lu->config.mode_pages[i].page == row->page &&
                    lu->config.mode_pages[i].subpage == row->subpage)
                        return true;
        return false;
}

int lu_pages_init(LogicalUnit *lu)
{
        const LuModePage *given = lu->config.mode_pages;
        size_t n = lu->config.n_mode_pages;
        LuModePage *copy;

        lu->config.mode_pages = NULL;
        if (n == 0)
                return 0;
        if (n > LU_MODE_PAGES_MAX)
                return -EINVAL;
        copy = calloc(n, sizeof(*copy));
        lu->pages = calloc(n + n_mode_pages, sizeof(*lu->pages));
        lu->config.mode_pages = copy;
        if (!copy || !lu->pages)
                return -ENOMEM;
        memcpy(copy, given, n * sizeof(*copy));
        for (size_t i = 0; i < n; i++)
                lu->pages[lu->n_pages++] =
                        (UnitPage){ find_row(copy[i].page, copy[i].subpage), &copy[i] };
        for (size_t i = 0; i < n_mode_pages; i++)
                if (!is_given(lu, &mode_pages[i]))
                        lu->pages[lu->n_pages++] = (UnitPage){ &mode_pages[i], NULL };
        qsort(lu->pages, lu->n_pages, sizeof(*lu->pages), compare_pages);
        return 0;
}

void lu_pages_done(LogicalUnit *lu)
{
        free(lu->pages);
        free((void *)lu->config.mode_pages);
        lu->pages = NULL;
        lu->config.mode_pages = NULL;
}

static size_t n_pages(const LogicalUnit *lu)
{
        return lu->pages ? lu->n_pages : n_mode_pages;
}

static UnitPage page_at(const LogicalUnit *lu, size_t i)
{
        return lu->pages ? lu->pages[i] : (UnitPage){ &mode_pages[i], NULL };
}

static bool find_page(const LogicalUnit *lu, uint8_t page, uint8_t subpage, UnitPage *ret)
{
        for (size_t i = 0; i < n_pages(lu); i++) {
                *ret = page_at(lu, i);
                if (page_code(ret) == page && page_subcode(ret) == subpage)
                        return true;
        }
        return false;
}

static void write_header(const UnitPage *u, uint8_t *p)
{
        p[0] = page_code(u); /* PS 0: nothing is saved */
        if (page_subcode(u)) {
                p[0] |= 0x40; /* SPF */
                p[1] = page_subcode(u);
                put_be16(p + 2, (uint16_t)(page_length(u) - SUBPAGE_HEADER));
        } else
                p[1] = (uint8_t)(page_length(u) - PAGE_HEADER);
}

/* What is given, with the bits of it that do something as they are now. */
static void fill_given(const UnitPage *u, uint8_t mode, uint8_t *p)
{
        uint8_t now[MODE_PAGE_MAX] = {};

        memcpy(p + page_header(u), u->given->bytes, u->given->length);
        if (!u->row)
                return;
        u->row->fill(mode, now);
        for (unsigned i = 0; i < MIN(page_length(u), (unsigned)u->row->length); i++)
                p[i] = (uint8_t)((p[i] & ~u->row->changeable[i]) |
                                 (now[i] & u->row->changeable[i]));
}

static void make_page(const UnitPage *u, uint8_t mode, bool changeable, uint8_t p[UNIT_PAGE_MAX])
{
        memset(p, 0, UNIT_PAGE_MAX);
        if (changeable && !u->given)
                memcpy(p, u->row->changeable, MODE_PAGE_MAX);
        else if (!changeable && u->given)
                fill_given(u, mode, p);
        else if (!changeable)
                u->row->fill(mode, p);
        write_header(u, p);
}

/* The cache is on where both say so; anything else is on where either does. */
uint8_t lu_default_mode(const LogicalUnit *lu, bool write_cache)
{
        uint8_t mode = (uint8_t)((write_cache ? MODE_WCE : 0) |
                                 (lu->config.descriptor_sense ? MODE_D_SENSE : 0));

        for (size_t i = 0; i < lu->n_pages; i++) {
                const UnitPage *u = &lu->pages[i];
                uint8_t p[UNIT_PAGE_MAX] = {}, value;

                if (!u->given || !u->row || !u->row->parse)
                        continue;
                memcpy(p + page_header(u), u->given->bytes, u->given->length);
                value = u->row->parse(p);
                mode = (uint8_t)(mode | (value & ~MODE_WCE));
                if (u->row->mask & MODE_WCE & ~value)
                        mode = (uint8_t)(mode & ~MODE_WCE);
        }
        return mode;
}

/* ---- MODE SENSE ------------------------------------------------------------------------------ */

#define DBD 0x08
#define LLBAA 0x10
#define ALL_PAGES 0x3f
#define ALL_SUBPAGES 0xff

/* headers, a block descriptor, and every page */
#define MODE_DATA_MAX (24 + 16 * MODE_PAGE_MAX + LU_MODE_PAGES_MAX * UNIT_PAGE_MAX)

enum { PC_CURRENT, PC_CHANGEABLE, PC_DEFAULT, PC_SAVED };

static void write_block_descriptor(const LuSlot *slot, bool longlba, Writer *w)
{
        uint64_t blocks = slot->state.blocks;

        if (longlba) {
                write_be64(w, blocks);
                write_be32(w, 0);
        } else
                write_be32(w, (uint32_t)min_u64(blocks, UINT32_MAX));
        write_be32(w, slot->lu->config.block_size);
}

static bool wanted(const UnitPage *u, uint8_t page, uint8_t subpage)
{
        return (page == ALL_PAGES || page == page_code(u)) &&
               (subpage == ALL_SUBPAGES || subpage == page_subcode(u));
}

static bool write_pages(const Task *task, uint8_t pc, uint8_t page, uint8_t subpage, Writer *w)
{
        const LuState *s = &task->slot->state;
        bool any = false;

        for (size_t i = 0; i < n_pages(task->slot->lu); i++) {
                UnitPage u = page_at(task->slot->lu, i);
                uint8_t p[UNIT_PAGE_MAX];

                if (!wanted(&u, page, subpage))
                        continue;
                make_page(&u, pc == PC_DEFAULT ? s->default_mode : s->mode, pc == PC_CHANGEABLE, p);
                write_bytes(w, p, page_length(&u));
                any = true;
        }
        return any;
}

Run spc_mode_sense(Task *task, int r)
{
        const uint8_t *cdb = task_cdb(task);
        const LuState *s = &task->slot->state;
        bool ten = task->op->cdb_length == 10, longlba = ten && (cdb[1] & LLBAA);
        uint8_t pc = cdb[2] >> 6, page = cdb[2] & 0x3f, subpage = cdb[3];
        uint8_t descriptor = cdb[1] & DBD ? 0 : longlba ? 16 : 8;
        /* WP, DPOFUA */
        uint8_t device = (uint8_t)((s->readonly || (s->mode & MODE_SWP) ? 0x80 : 0) | 0x10);
        Writer w;

        if (pc == PC_SAVED)
                return task_check(task, SENSE_ILLEGAL_REQUEST, ASC_SAVING_NOT_SUPPORTED);
        if (!task_reply(task, MODE_DATA_MAX, &w))
                return RUN_DONE;
        if (ten) {
                write_be16(&w, 0);
                write_u8(&w, 0);
                write_u8(&w, device);
                write_u8(&w, longlba && descriptor ? 0x01 : 0);
                write_u8(&w, 0);
                write_be16(&w, descriptor);
        } else {
                write_be16(&w, 0);
                write_u8(&w, device);
                write_u8(&w, descriptor);
        }
        if (descriptor)
                write_block_descriptor(task->slot, longlba, &w);
        if (!write_pages(task, pc, page, subpage, &w))
                return task_bad_cdb(task, page == ALL_PAGES ? 3 : 2, page == ALL_PAGES ? -1 : 5);
        if (ten)
                patch_be16(&w, 0, (uint16_t)(writer_stored(&w) - 2));
        else
                task->in_buffer->data[0] = (uint8_t)MIN(writer_stored(&w) - 1, 255u);
        return task_reply_done(task, &w);
}

/* ---- MODE SELECT ----------------------------------------------------------------------------- */

#define PF 0x10
#define BAD_NONE (-1)

/* The descriptor may say what is so, or 0 blocks, which is the same (SBC-3 6.5.2). */
static int check_block_descriptor(const Task *task, const uint8_t *p, size_t n)
{
        const LuSlot *slot = task->slot;
        uint64_t blocks = n == 16 ? get_be64(p) : get_be32(p);
        uint32_t size = n == 16 ? get_be32(p + 12) : get_be24(p + 5);
        uint64_t have = n == 16 ? slot->state.blocks : min_u64(slot->state.blocks, UINT32_MAX);

        if (blocks != 0 && blocks != have)
                return 0;
        return size == slot->lu->config.block_size ? BAD_NONE : (n == 16 ? 12 : 5);
}

/* Offset within the page of the first byte that may not be so; BAD_NONE. */
static int check_page(const UnitPage *u, uint8_t mode, const uint8_t *p)
{
        uint8_t now[UNIT_PAGE_MAX], changeable[UNIT_PAGE_MAX];

        make_page(u, mode, false, now);
        make_page(u, mode, true, changeable);
        for (unsigned i = 0; i < page_length(u); i++) {
                uint8_t allowed = i < page_header(u) ? 0 : changeable[i];

                if ((p[i] ^ now[i]) & ~allowed)
                        return (int)i;
        }
        return BAD_NONE;
}

/* Reads the whole list before anything changes. false: the task has its status. */
static bool parse_list(Task *task, uint8_t *ret_value, uint8_t *ret_mask)
{
        bool ten = task->op->cdb_length == 10;
        const uint8_t *p = task->buffer->data;
        size_t n = task->out_want, header = ten ? 8 : 4, at = header, descriptor;

        *ret_value = *ret_mask = 0;
        if (n < header)
                goto short_list;
        descriptor = ten ? get_be16(p + 6) : p[3];
        if (descriptor > 0) {
                bool longlba = ten && (p[4] & 1);
                int bad;

                if (descriptor != (longlba ? 16 : 8)) {
                        task_bad_parameter(task, ten ? 6 : 3, -1);
                        return false;
                }
                if (n - at < descriptor)
                        goto short_list;
                bad = check_block_descriptor(task, p + at, descriptor);
                if (bad != BAD_NONE) {
                        task_bad_parameter(task, (int)at + bad, -1);
                        return false;
                }
                at += descriptor;
        }
        while (at < n) {
                bool sub = p[at] & 0x40;
                UnitPage u;
                int bad;

                if (n - at < (sub ? 4u : 2u))
                        goto short_list;
                if (!find_page(task->slot->lu, p[at] & 0x3f, sub ? p[at + 1] : 0, &u)) {
                        task_bad_parameter(task, (int)at, 5);
                        return false;
                }
                if (n - at < page_length(&u))
                        goto short_list;
                bad = check_page(&u, task->slot->state.mode, p + at);
                if (bad != BAD_NONE) {
                        task_bad_parameter(task, (int)at + bad, -1);
                        return false;
                }
                if (!u.given && u.row->parse) {
                        *ret_mask |= u.row->mask;
                        *ret_value = (uint8_t)((*ret_value & ~u.row->mask) | u.row->parse(p + at));
                }
                at += page_length(&u);
        }
        return true;
short_list:
        task_check(task, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
        return false;
}

enum { SELECT_START, SELECT_CHANGED, SELECT_FLUSHED };

Run spc_mode_select(Task *task, int r)
{
        uint8_t value, mask;
        CoordOp *op;
        bool flush;

        switch (task->step) {
        case SELECT_START:
                if (!(task_cdb(task)[1] & PF) && task->out_wanted > 0)
                        return task_bad_cdb(task, 1, 4);
                if (task->out_wanted == 0)
                        return task_status(task, SCSI_GOOD);
                if (!parse_list(task, &value, &mask))
                        return RUN_DONE;
                if (!mask)
                        return task_status(task, SCSI_GOOD);
                op = task_coord_op(task, &coord_mode);
                if (!op)
                        return RUN_DONE;
                op->mode_value = value;
                op->mode_mask = mask;
                task->step = SELECT_CHANGED;
                return task_coord_run(task, op);
        case SELECT_CHANGED:
                flush = task->coord_op->flag && task->slot->state.store;
                task->coord_op = NULL;
                if (!flush)
                        return task_status(task, SCSI_GOOD);
                /* the write cache went off: nothing is left in it when that is acknowledged */
                task->step = SELECT_FLUSHED;
                return io_prepare(task, STORE_FLUSH, 0, 0, NULL, 0) ? RUN_IO : RUN_DONE;
        default:
                return r < 0 ? task_store_error(task, r) : task_status(task, SCSI_GOOD);
        }
}
