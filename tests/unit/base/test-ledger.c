/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <unistd.h>

#include "ledger.h"

/* The checker itself: each fault that it is there for must be found, and nothing else. */

#define BS 512

static uint8_t disk[8][BS], old[8][BS], buf[8][BS];
static char error[256];

static uint64_t put(Ledger *l, uint64_t lba, uint32_t n, LedgerEnd how, bool durable)
{
        uint64_t w = ledger_begin(l, 1, lba, n, buf);

        memcpy(disk[lba], buf, n * BS);
        ledger_end(l, w, how, durable);
        return w;
}

static int check(Ledger *l)
{
        return ledger_check(l, ledger_read_begin(l), 0, 8, disk, error, sizeof(error));
}

static int check_durable(Ledger *l)
{
        return ledger_check_durable(l, 0, 8, disk, error, sizeof(error));
}

static void test_lost_and_stale(void)
{
        Ledger *l = ledger_new(8, BS);

        memset(disk, 0, sizeof(disk));
        g_assert_cmpint(check(l), ==, 0);
        put(l, 0, 4, LEDGER_ACKNOWLEDGED, false);
        g_assert_cmpint(check(l), ==, 0);
        memcpy(old, disk, sizeof(disk));
        put(l, 1, 2, LEDGER_ACKNOWLEDGED, false);
        g_assert_cmpint(check(l), ==, 0);
        memcpy(disk[1], old[1], BS); /* an older write comes back */
        g_assert_cmpint(check(l), ==, -1);
        memset(disk[1], 0, BS); /* lost altogether */
        g_assert_cmpint(check(l), ==, -1);
        memcpy(disk[1], disk[3], BS); /* in the wrong place */
        g_assert_cmpint(check(l), ==, -1);
        memcpy(disk[1], old[1], BS);
        disk[1][300] ^= 1; /* torn */
        g_assert_cmpint(check(l), ==, -1);
        ledger_free(l);
}

static void test_concurrent(void)
{
        Ledger *l = ledger_new(8, BS);
        uint8_t a[BS], b[BS];
        uint64_t wa, wb;

        memset(disk, 0, sizeof(disk));
        wa = ledger_begin(l, 1, 2, 1, a);
        wb = ledger_begin(l, 2, 2, 1, b);
        g_assert_cmpint(check(l), ==, 0); /* neither has happened yet */
        ledger_end(l, wb, LEDGER_ACKNOWLEDGED, false);
        memcpy(disk[2], a, BS); /* overlapping in time: either may win */
        g_assert_cmpint(check(l), ==, 0);
        ledger_end(l, wa, LEDGER_GIVEN_UP, false);
        g_assert_cmpint(check(l), ==, 0);
        put(l, 2, 1, LEDGER_ACKNOWLEDGED, false);
        g_assert_cmpint(check(l), ==, 0);
        memcpy(disk[2], a, BS); /* the aborted write lands late */
        g_assert_cmpint(check(l), ==, -1);
        ledger_free(l);
}

static void test_old_read(void)
{
        Ledger *l = ledger_new(8, BS);
        uint64_t read;

        memset(disk, 0, sizeof(disk));
        put(l, 0, 1, LEDGER_ACKNOWLEDGED, false);
        memcpy(old, disk, sizeof(disk));
        read = ledger_read_begin(l);
        put(l, 0, 1, LEDGER_ACKNOWLEDGED, true);
        /* the read began before the second write ended: it may have seen the first */
        g_assert_cmpint(ledger_check(l, read, 0, 8, old, error, sizeof(error)), ==, 0);
        read = ledger_read_begin(l);
        g_assert_cmpint(ledger_check(l, read, 0, 8, old, error, sizeof(error)), ==, -1);
        ledger_free(l);
}

static void test_torn(void)
{
        Ledger *l = ledger_new(8, BS);
        uint64_t read, w;

        memset(disk, 0, sizeof(disk));
        put(l, 0, 1, LEDGER_ACKNOWLEDGED, false);
        disk[0][300] ^= 1;
        g_assert_cmpint(check(l), ==, -1); /* nothing was under way */
        w = ledger_begin(l, 1, 0, 1, buf);
        g_assert_cmpint(check(l), ==, 0);
        read = ledger_read_begin(l);
        ledger_end(l, w, LEDGER_ACKNOWLEDGED, false);
        g_assert_cmpint(ledger_check(l, read, 0, 8, disk, error, sizeof(error)), ==, 0);
        g_assert_cmpint(check(l), ==, -1); /* that read began after it had ended */
        w = ledger_begin(l, 1, 0, 1, buf);
        ledger_end(l, w, LEDGER_FAILED, false);
        g_assert_cmpint(check(l), ==, 0); /* left half-way */
        put(l, 0, 1, LEDGER_ACKNOWLEDGED, false);
        g_assert_cmpint(check(l), ==, 0);
        disk[0][300] ^= 1;
        g_assert_cmpint(check(l), ==, -1);
        ledger_free(l);
}

static void test_durable(void)
{
        char path[] = "/tmp/test-ledger-XXXXXX";
        Ledger *l = ledger_new(8, BS), *copy = NULL;
        uint64_t mark;

        memset(disk, 0, sizeof(disk));
        put(l, 0, 2, LEDGER_ACKNOWLEDGED, false);
        memset(disk, 0, sizeof(disk));
        g_assert_cmpint(check_durable(l), ==, 0); /* nobody promised anything */
        put(l, 0, 2, LEDGER_ACKNOWLEDGED, false);
        mark = ledger_flush_begin(l);
        memcpy(old, disk, sizeof(disk));
        put(l, 2, 1, LEDGER_ACKNOWLEDGED, false); /* after the mark */
        ledger_flush_end(l, mark);
        g_assert_cmpint(check_durable(l), ==, 0);
        g_assert_cmpint(ledger_check_durable(l, 0, 8, old, error, sizeof(error)), ==, 0);
        memset(disk[0], 0, BS);
        g_assert_cmpint(check_durable(l), ==, -1);
        g_assert_cmpint(close(g_mkstemp(path)), ==, 0);
        g_assert_cmpint(ledger_save(l, path), ==, 0);
        g_assert_cmpint(ledger_load(path, &copy), ==, 0);
        g_assert_cmpint(ledger_check_durable(copy, 0, 8, disk, error, sizeof(error)), ==, -1);
        g_assert_cmpint(ledger_check_durable(copy, 0, 8, old, error, sizeof(error)), ==, 0);
        unlink(path);
        ledger_free(copy);
        memset(old, 0, sizeof(old));
        put(l, 5, 1, LEDGER_ACKNOWLEDGED, true); /* FUA */
        g_assert_cmpint(ledger_check_durable(l, 5, 1, old, error, sizeof(error)), ==, -1);
        ledger_free(l);
}

static void test_zero(void)
{
        Ledger *l = ledger_new(8, BS);
        uint64_t w;

        memset(disk, 0, sizeof(disk));
        put(l, 0, 8, LEDGER_ACKNOWLEDGED, true);
        memcpy(old, disk, sizeof(disk));
        w = ledger_begin_zero(l, 0, 8);
        ledger_end(l, w, LEDGER_ACKNOWLEDGED, true);
        g_assert_cmpint(check(l), ==, -1);
        memset(disk, 0, sizeof(disk));
        g_assert_cmpint(check(l), ==, 0);
        put(l, 3, 1, LEDGER_ACKNOWLEDGED, true);
        memset(disk[3], 0, BS);
        g_assert_cmpint(check(l), ==, -1);
        ledger_adopt(l, 0, 8, disk);
        g_assert_cmpint(check(l), ==, 0);
        ledger_free(l);
}

static void test_prune(void)
{
        Ledger *l = ledger_new(8, BS);

        memset(disk, 0, sizeof(disk));
        put(l, 0, 1, LEDGER_ACKNOWLEDGED, true);
        memcpy(old, disk, sizeof(disk));
        for (int i = 0; i < 20000; i++)
                put(l, 0, 1, LEDGER_ACKNOWLEDGED, true);
        g_assert_cmpint(check(l), ==, 0);
        memcpy(disk, old, sizeof(disk));
        g_assert_cmpint(check(l), ==, -1);
        ledger_free(l);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/ledger/lost-and-stale", test_lost_and_stale);
        g_test_add_func("/ledger/concurrent", test_concurrent);
        g_test_add_func("/ledger/old-read", test_old_read);
        g_test_add_func("/ledger/torn", test_torn);
        g_test_add_func("/ledger/durable", test_durable);
        g_test_add_func("/ledger/zero", test_zero);
        g_test_add_func("/ledger/prune", test_prune);
        return g_test_run();
}
