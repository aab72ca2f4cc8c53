/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "base/log.h"
#include "base/parse.h"

static void test_u64(void)
{
        static const struct {
                const char *text;
                int r;
                uint64_t v;
        } rows[] = {
                { "0", 0, 0 },        { "10", 0, 10 },
                { "010", 0, 10 },     { "0x10", 0, 16 },
                { "0XfF", 0, 255 },   { "18446744073709551615", 0, UINT64_MAX },
                { "", -EINVAL, 0 },   { "-1", -EINVAL, 0 },
                { "+1", -EINVAL, 0 }, { " 1", -EINVAL, 0 },
                { "1 ", -EINVAL, 0 }, { "1k", -EINVAL, 0 },
                { "0x", -EINVAL, 0 }, { "18446744073709551616", -ERANGE, 0 },
                { "a", -EINVAL, 0 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                uint64_t v = 0;

                g_test_message("%s", rows[i].text);
                g_assert_cmpint(parse_u64(rows[i].text, 0, UINT64_MAX, &v), ==, rows[i].r);
                g_assert_cmpuint(v, ==, rows[i].v);
        }
}

static void test_range(void)
{
        uint32_t v = 7;

        g_assert_cmpint(parse_u32("5", 1, 4, &v), ==, -ERANGE);
        g_assert_cmpint(parse_u32("0", 1, 4, &v), ==, -ERANGE);
        g_assert_cmpuint(v, ==, 7); /* untouched on failure */
        g_assert_cmpint(parse_u32("4", 1, 4, &v), ==, 0);
        g_assert_cmpuint(v, ==, 4);
        g_assert_cmpint(parse_u32("4294967296", 0, UINT32_MAX, &v), ==, -ERANGE);
}

static void test_size(void)
{
        uint64_t v;

        g_assert_cmpint(parse_size("512", &v), ==, 0);
        g_assert_cmpuint(v, ==, 512);
        g_assert_cmpint(parse_size("10G", &v), ==, 0);
        g_assert_cmpuint(v, ==, 10 * GIB);
        g_assert_cmpint(parse_size("1kiB", &v), ==, 0);
        g_assert_cmpuint(v, ==, 1024);
        g_assert_cmpint(parse_size("1GB", &v), ==, -EINVAL);
        g_assert_cmpint(parse_size("G", &v), ==, -EINVAL);
        g_assert_cmpint(parse_size("99999999999P", &v), ==, -ERANGE);
}

static void test_rate(void)
{
        static const struct {
                const char *text;
                uint64_t v;
        } good[] = {
                { "0", 0 },           { "500", 500 },          { "10k", 10000 },
                { "10K", 10000 },     { "50M", 50000000 },     { "50MB", 50000000 },
                { "64Ki", 64 * KIB }, { "64KiB", 64 * KIB },   { "1G", 1000000000 },
                { "2Gi", 2 * GIB },   { "3T", 3000000000000 }, { "7B", 7 },
        };
        static const char *const wrong[] = { "",     "k",    "-1",  "1.5M", "1m",  "1Q",
                                             "1ki ", "1kBi", "1 k", "1i",   "1kk", "1BB" };
        uint64_t v;

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                g_assert_cmpint(parse_rate(good[i].text, &v), ==, 0);
                g_assert_cmpuint(v, ==, good[i].v);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
                g_assert_cmpint(parse_rate(wrong[i], &v), ==, -EINVAL);
        g_assert_cmpint(parse_rate("99999999999T", &v), ==, -ERANGE);
}

static void test_duration(void)
{
        uint64_t v;

        g_assert_cmpint(parse_duration("5", &v), ==, 0);
        g_assert_cmpuint(v, ==, 5 * NSEC_PER_SEC);
        g_assert_cmpint(parse_duration("10ms", &v), ==, 0);
        g_assert_cmpuint(v, ==, 10 * NSEC_PER_MSEC);
        g_assert_cmpint(parse_duration("2min", &v), ==, 0);
        g_assert_cmpuint(v, ==, 120 * NSEC_PER_SEC);
        g_assert_cmpint(parse_duration("2 min", &v), ==, -EINVAL);
        g_assert_cmpint(parse_duration("99999999999999h", &v), ==, -ERANGE);
}

static void test_bool(void)
{
        bool v = false;

        g_assert_cmpint(parse_bool("On", &v), ==, 0);
        g_assert_true(v);
        g_assert_cmpint(parse_bool("0", &v), ==, 0);
        g_assert_false(v);
        g_assert_cmpint(parse_bool("maybe", &v), ==, -EINVAL);
}

static void test_ratelimit(void)
{
        RateLimit rl = { .interval_ns = NSEC_PER_SEC, .burst = 2 };
        uint64_t now = 1000 * NSEC_PER_SEC;
        unsigned lost = 99;

        g_assert_true(ratelimit_pass(&rl, now, &lost));
        g_assert_true(ratelimit_pass(&rl, now, &lost));
        g_assert_false(ratelimit_pass(&rl, now, &lost));
        g_assert_false(ratelimit_pass(&rl, now + 1, &lost));
        g_assert_cmpuint(lost, ==, 0);
        g_assert_true(ratelimit_pass(&rl, now + NSEC_PER_SEC, &lost));
        g_assert_cmpuint(lost, ==, 2);
        g_assert_false(ratelimit_pass(&rl, now + NSEC_PER_SEC, &lost));
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/parse/u64", test_u64);
        g_test_add_func("/parse/range", test_range);
        g_test_add_func("/parse/size", test_size);
        g_test_add_func("/parse/rate", test_rate);
        g_test_add_func("/parse/duration", test_duration);
        g_test_add_func("/parse/bool", test_bool);
        g_test_add_func("/log/ratelimit", test_ratelimit);
        return g_test_run();
}
