/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "base/histogram.h"

/* Each bucket takes what is between its neighbours' ends, and nothing is wider than an eighth. */
static void test_bounds(void)
{
        uint64_t start = 0;

        for (unsigned i = 0; i < TIMES_BUCKETS - 1; i++) {
                uint64_t end = times_end(i);
                unsigned back;

                g_assert_cmpuint(end, >, start);
                g_assert_cmpuint(times_bucket(start), ==, i);
                g_assert_cmpuint(times_bucket(end - 1), ==, i);
                g_assert_cmpuint(times_bucket(end), ==, i + 1);
                if (i > 0)
                        g_assert_cmpuint((end - start) * 8, <=, start);
                g_assert_cmpint(times_bucket_of_end(end, &back), ==, 0);
                g_assert_cmpuint(back, ==, i);
                g_assert_cmpint(times_bucket_of_end(end + 1, &back), ==, -EINVAL);
                start = end;
        }
        g_assert_cmpuint(start, ==, UINT64_C(1) << TIMES_LAST);
        g_assert_cmpuint(times_bucket(UINT64_MAX), ==, TIMES_BUCKETS - 1);
        g_assert_cmpuint(times_end(TIMES_BUCKETS - 1), ==, UINT64_MAX);
        /* powers of two are ends: what is exported in coarse steps is exact */
        for (unsigned e = TIMES_FIRST; e <= TIMES_LAST; e++)
                g_assert_cmpuint(times_end(times_bucket((UINT64_C(1) << e) - 1)), ==,
                                 UINT64_C(1) << e);
}

static void test_quantiles(void)
{
        TimeHistogram h = { 0 };

        g_assert_cmpuint(times_quantile(&h, 500), ==, 0);
        for (unsigned i = 0; i < 990; i++)
                times_add(&h, 100 * NSEC_PER_USEC);
        for (unsigned i = 0; i < 9; i++)
                times_add(&h, 5 * NSEC_PER_MSEC);
        times_add(&h, 1000 * NSEC_PER_SEC);
        g_assert_cmpuint(times_count(&h), ==, 1000);
        g_assert_cmpuint(h.sum, ==,
                         990 * 100 * NSEC_PER_USEC + 45 * NSEC_PER_MSEC + 1000 * NSEC_PER_SEC);
        for (unsigned q = 0; q <= 990; q += 90) {
                g_assert_cmpuint(times_quantile(&h, q), >, 100 * NSEC_PER_USEC);
                g_assert_cmpuint(times_quantile(&h, q), <=, 113 * NSEC_PER_USEC);
        }
        g_assert_cmpuint(times_quantile(&h, 991), >, 5 * NSEC_PER_MSEC);
        g_assert_cmpuint(times_quantile(&h, 999), <=, 5700 * NSEC_PER_USEC);
        /* it has no end: at least so long */
        g_assert_cmpuint(times_quantile(&h, 1000), ==, UINT64_C(1) << TIMES_LAST);
}

static void test_few(void)
{
        TimeHistogram h = { 0 };

        times_add(&h, 10 * NSEC_PER_USEC);
        times_add(&h, 20 * NSEC_PER_USEC);
        times_add(&h, 40 * NSEC_PER_USEC);
        /* of three, the median is the second, and all above two thirds is the third */
        g_assert_cmpuint(times_bucket(times_quantile(&h, 500) - 1), ==,
                         times_bucket(20 * NSEC_PER_USEC));
        g_assert_cmpuint(times_bucket(times_quantile(&h, 667) - 1), ==,
                         times_bucket(40 * NSEC_PER_USEC));
}

static void test_merge(void)
{
        TimeHistogram a = { 0 }, b = { 0 };

        times_add(&a, 0);
        times_add(&b, 0);
        times_add(&b, 3 * NSEC_PER_USEC);
        times_merge(&a, &b);
        g_assert_cmpuint(a.buckets[0], ==, 2);
        g_assert_cmpuint(a.buckets[times_bucket(3 * NSEC_PER_USEC)], ==, 1);
        g_assert_cmpuint(a.sum, ==, 3 * NSEC_PER_USEC);
        g_assert_cmpuint(times_count_below(&a, 1024), ==, 2);
        g_assert_cmpuint(times_count_below(&a, 2048), ==, 2);
        g_assert_cmpuint(times_count_below(&a, 4096), ==, 3);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/histogram/bounds", test_bounds);
        g_test_add_func("/histogram/quantiles", test_quantiles);
        g_test_add_func("/histogram/few", test_few);
        g_test_add_func("/histogram/merge", test_merge);
        return g_test_run();
}
