/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "two-nexuses.h"

/* FORMAT UNIT and SANITIZE on a unit whose keeper is the test's. */

typedef struct Keeper {
        LuKeeper ops;
        LuOperation kept; /* kind NONE: nothing */
        unsigned n_kept, n_gone;
        bool hold; /* does not answer */
        int fail;  /* from now on */
        LogicalUnit *waits;
} Keeper;

static inline void keep(void *userdata, LogicalUnit *lu, const LuOperation *what)
{
        Keeper *k = userdata;

        k->n_kept++;
        g_assert_null(k->waits);
        if (k->fail == 0)
                k->kept = what ? *what : (LuOperation){};
        if (k->hold)
                k->waits = lu;
        else
                lu_kept(lu, k->fail);
}

static inline void gone(void *userdata, LogicalUnit *lu)
{
        ((Keeper *)userdata)->n_gone++;
}

static inline void keeper_init(Keeper *k)
{
        *k = (Keeper){ .ops = { .keep = keep, .gone = gone, .userdata = k } };
}

static inline void begin(Fixture *f, Keeper *k)
{
        LuConfig config = default_config;

        keeper_init(k);
        config.keeper = &k->ops;
        setup_config(f, &config);
        memset(fake_store_data(f->store), 'x', SIZE);
}

/* ---- the commands ---------------------------------------------------------------------------- */

enum { OVERWRITE = 0x01, ERASE = 0x02, CRYPTO = 0x03, EXIT = 0x1f, IMMED = 0x80, AUSE = 0x20 };

static inline Command *sanitize(TestNexus *n, uint8_t what, const void *list, size_t length)
{
        Command *c = command_new(
                n, 1, CDB(0x48, what, 0, 0, 0, 0, 0, (uint8_t)(length >> 8), (uint8_t)length, 0));

        if (length > 0)
                command_out(c, list, length);
        command_start(c);
        return c;
}

static inline Command *wait(Command *c)
{
        command_wait(c);
        return c;
}

static inline Command *format(TestNexus *n, uint8_t bits, const void *list, size_t length)
{
        Command *c = command_new(n, 1, CDB(0x04, bits, 0, 0, 0, 0));

        if (length > 0)
                command_out(c, list, length);
        command_start(c);
        return c;
}

static inline Command *ready(TestNexus *n)
{
        return run_in(n, 1, CDB(0, 0, 0, 0, 0, 0), 0);
}

#define expect_good(c)                                       \
        do {                                                 \
                Command *_c = (c);                           \
                                                             \
                g_assert_cmpint(_c->outcome, ==, COMPLETED); \
                g_assert_cmphex(sense_of(_c), ==, 0);        \
                g_assert_cmphex(_c->task.status, ==, 0);     \
                command_free(_c);                            \
        } while (0)
#define expect_sense(c, sense)                            \
        do {                                              \
                Command *_c = (c);                        \
                                                          \
                g_assert_cmphex(sense_of(_c), ==, sense); \
                command_free(_c);                         \
        } while (0)

#define IN_PROGRESS 0x02041b
#define FORMATTING 0x020404
#define FAILED 0x033103
#define FORMAT_FAILED 0x033101
#define CORRUPTED 0x033100

static inline void all_bytes(Fixture *f, const uint8_t *pattern, size_t n, uint8_t mask)
{
        const uint8_t *data = fake_store_data(f->store);

        for (size_t i = 0; i < SIZE; i++)
                if (data[i] != (pattern[i % BS % n] ^ mask))
                        g_error("byte %zu is %02x, not %02x", i, data[i],
                                pattern[i % BS % n] ^ mask);
}

/* A list of OVERWRITE; returns its length. */
static inline size_t overwrite_list(uint8_t *list, uint8_t first, const void *pattern, size_t n)
{
        list[0] = first;
        list[1] = 0;
        put_be16(list + 2, (uint16_t)n);
        memcpy(list + 4, pattern, n);
        return 4 + n;
}

static inline unsigned progress(const uint8_t *sense)
{
        g_assert_cmphex(sense[15], ==, 0x80);
        return get_be16(sense + 16);
}

/* Until the store holds another request. */
static inline void step(Fixture *f)
{
        g_assert_true(fake_store_release_one(f->store, 0));
        settle(f);
}

static inline void in_progress(TestNexus *n, uint32_t sense, unsigned *last)
{
        static const uint8_t cdbs[][10] = {
                { 0x00 },
                { 0x28, 0, 0, 0, 0, 0, 0, 0, 1 },
                { 0x2a, 0, 0, 0, 0, 0, 0, 0, 0 },
                { 0x25 },
                { 0x1a, 8, 0x3f, 0, 255 },
                { 0x16 },
                { 0x1b, 0, 0, 0, 1 },
                { 0x35 },
                { 0x48, ERASE },
                { 0x48, EXIT },
                { 0x04 },
                { 0x5a, 8, 0x3f, 0, 0, 0, 0, 0, 255 },
        };
        unsigned now = 0;
        Command *c;

        for (size_t i = 0; i < ELEMENTSOF(cdbs); i++) {
                c = run_in(n, 1, cdbs[i], 10, 0);
                g_assert_cmphex(sense_of(c), ==, sense);
                now = progress(c->task.sense);
                command_free(c);
        }
        g_assert_cmpuint(now, >=, *last);
        *last = now;
        c = run_in(n, 1, CDB(0x03, 0, 0, 0, 252, 0), 252);
        g_assert_cmphex(c->in[2], ==, sense >> 16);
        g_assert_cmphex(get_be16(c->in + 12), ==, sense & 0xffff);
        g_assert_cmpuint(progress(c->in), ==, now);
        command_free(c);
        c = run_in(n, 1, CDB(0x03, 1, 0, 0, 252, 0), 252);
        g_assert_cmphex(c->in[8], ==, 2);
        g_assert_cmphex(c->in[12], ==, 0x80);
        g_assert_cmpuint(get_be16(c->in + 13), ==, now);
        command_free(c);
        g_assert_true(good(n, 1, CDB(0x12, 0, 0, 0, 96, 0)));
        g_assert_true(good(n, 1, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0)));
}
