/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helpers.h"

#include <time.h>

/* Time grows with the size, not faster: twice as much takes at most 2.5 times as long. What is
 * measured is the CPU time of this process, the least of three runs. */

static double cpu_seconds(void)
{
        struct timespec t;

        g_assert_cmpint(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), ==, 0);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static char *many_targets(unsigned n)
{
        GString *s = g_string_new("default-driver iscsi\n");

        for (unsigned i = 0; i < n; i++)
                g_string_append_printf(s,
                                       "<target iqn.2026-01.com.example:t%u>\n"
                                       "    backing-store /dev/vg/a%u # first\n"
                                       "    <backing-store /dev/vg/b%u>\n"
                                       "        lun 7\n"
                                       "        vendor_id EXAMPLE\n"
                                       "        scsi_id b%u\n"
                                       "    </backing-store>\n"
                                       "    initiator-address 192.0.2.0/24\n"
                                       "    incominguser user%u secretsecret%u\n"
                                       "    write-cache off\n"
                                       "    controller_tid %u\n"
                                       "</target>\n",
                                       i, i, i, i, i, i, i + 1);
        return g_string_free(s, FALSE);
}

static char *many_luns(unsigned n)
{
        GString *s = g_string_new("<target iqn.2026-01.com.example:t>\n");

        for (unsigned i = 0; i < n; i++)
                g_string_append_printf(s,
                                       "<backing-store /dev/null>\nlun %u\nbs-type null\n"
                                       "size 1G\n</backing-store>\n",
                                       (i * 7919) % (CONFIG_LUN_MAX + 1));
        g_string_append(s, "</target>\n");
        return g_string_free(s, FALSE);
}

static char *many_blocks(unsigned n)
{
        GString *s = g_string_new(NULL);

        for (unsigned i = 0; i < n; i++)
                g_string_append_printf(s,
                                       "<target iqn.2026-01.com.example:t>\n"
                                       "initiator-address 10.%u.%u.1\n"
                                       "initiator-name iqn.2026-01.com.example:i%u\n"
                                       "incominguser u%u secretsecret1\n</target>\n",
                                       i / 256 % 256, i % 256, i, i);
        return g_string_free(s, FALSE);
}

static char *many_problems(unsigned n)
{
        GString *s = g_string_new(NULL);

        for (unsigned i = 0; i < n; i++)
                g_string_append_printf(s,
                                       "<target iqn.2026-01.com.example:t%u>\nvendr_id x\n"
                                       "incominguser a b\n</target>\n",
                                       i);
        return g_string_free(s, FALSE);
}

/* Loading, comparing with nothing and with itself, copying and writing: seconds. */
static double measure(char *(*make)(unsigned), unsigned n)
{
        g_autofree char *text = make(n);
        double least = 1e9;

        for (int run = 0; run < 3; run++) {
                double begin = cpu_seconds();
                _cleanup_loaded_ Loaded l = load(text);
                Desired *copy = desired_dup(l.desired), *none = desired_new();
                g_autoptr(GPtrArray) same = config_diff(l.desired, copy);
                g_autoptr(GPtrArray) all = config_diff(none, l.desired);
                g_autoptr(GString) out = g_string_new(NULL);

                desired_write(l.desired, true, out);
                least = MIN(least, cpu_seconds() - begin);
                g_assert_cmpuint(same->len, ==, 0);
                g_assert_cmpuint(all->len, ==, g_hash_table_size(l.desired->targets));
                desired_free(copy);
                desired_free(none);
        }
        return least;
}

/* Others use the machine too: what is quadratic is so every time, what is not need only once look
 * as it is. */
static void assert_linear(char *(*make)(unsigned), unsigned n)
{
        double one = 0, two = 0;

        for (int attempt = 0; attempt < 4; attempt++) {
                one = measure(make, n);
                two = measure(make, 2 * n);
                g_test_message("%u: %.3f s, %u: %.3f s, ratio %.2f", n, one, 2 * n, two, two / one);
                if (two < 2.5 * one + 0.01)
                        return;
        }
        g_assert_cmpfloat(two, <, 2.5 * one + 0.01);
}

static void test_targets(void)
{
        g_autofree char *text = many_targets(10000);
        double begin = cpu_seconds(), loaded;
        _cleanup_loaded_ Loaded l = load(text);

        loaded = cpu_seconds() - begin;
        g_test_message("10000 targets loaded in %.3f s", loaded);
        assert_messages(&l, "");
        g_assert_cmpuint(g_hash_table_size(l.desired->targets), ==, 10000);
        assert_luns(&l, "iqn.2026-01.com.example:t9999", "1=/dev/vg/a9999 7=/dev/vg/b9999");
        g_assert_cmpfloat(loaded, <, 10); /* sanitizers included; 2 s without */
        assert_linear(many_targets, 10000);
}

static void test_luns(void)
{
        assert_linear(many_luns, 8000);
}

static void test_blocks(void)
{
        assert_linear(many_blocks, 4000);
}

static void test_problems(void)
{
        assert_linear(many_problems, 3000);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/scale/targets", test_targets);
        g_test_add_func("/scale/luns", test_luns);
        g_test_add_func("/scale/blocks", test_blocks);
        g_test_add_func("/scale/problems", test_problems);
        return g_test_run();
}
