/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "base/addr.h"

static void test_parse(void)
{
        static const struct {
                const char *text, *out;
        } rows[] = {
                { "127.0.0.1", "127.0.0.1:3260" },
                { "127.0.0.1:13260", "127.0.0.1:13260" },
                { "::1", "[::1]:3260" },
                { "[::1]", "[::1]:3260" },
                { "[::1]:99", "[::1]:99" },
                { "::ffff:10.0.0.1", "10.0.0.1:3260" },
                { "", NULL },
                { ":3260", NULL },
                { "localhost", NULL },
                { "127.0.0.1:", NULL },
                { "127.0.0.1:0", NULL },
                { "127.0.0.1:65536", NULL },
                { "[127.0.0.1]:1", NULL },
                { "[::1", NULL },
                { "[::1]x", NULL },
                { "[::1]:", NULL },
                { "1.2.3", NULL },
                { "1.2.3.4.5", NULL },
        };
        char buf[SOCKADDR_TEXT_MAX];

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                SockAddr a;
                int r = sockaddr_parse(rows[i].text, 3260, false, &a);

                g_test_message("%s", rows[i].text);
                if (!rows[i].out) {
                        g_assert_cmpint(r, ==, -EINVAL);
                        continue;
                }
                g_assert_cmpint(r, ==, 0);
                g_assert_cmpstr(sockaddr_format(&a, true, buf), ==, rows[i].out);
        }
}

static void test_wildcard(void)
{
        SockAddr a;

        g_assert_cmpint(sockaddr_parse(":13260", 3260, true, &a), ==, 0);
        g_assert_true(sockaddr_is_wildcard(&a));
        g_assert_cmpuint(sockaddr_port(&a), ==, 13260);
        g_assert_cmpint(sockaddr_parse("0.0.0.0", 3260, false, &a), ==, 0);
        g_assert_true(sockaddr_is_wildcard(&a));
}

static void test_prefix(void)
{
        static const struct {
                const char *prefix, *peer;
                bool match;
        } rows[] = {
                { "ALL", "10.1.2.3", true },
                { "ALL", "fe80::1", true },
                { "10.1.2.3", "10.1.2.3", true },
                { "10.1.2.3", "10.1.2.4", false },
                { "10.1.2.3/32", "10.1.2.3", true },
                { "127.0.0.5/8", "127.9.9.9", true }, /* host bits set: stgt matches nothing */
                { "192.168.0.0/23", "192.168.1.255", true },
                { "192.168.0.0/23", "192.168.2.0", false },
                { "0.0.0.0/0", "8.8.8.8", true },
                { "0.0.0.0/0", "2001:db8::1", false },
                { "10.0.0.0/8", "::ffff:10.3.4.5", true }, /* IPv4 on a dual-stack socket */
                { "[2001:db8::]/32", "2001:db8:1::7", true },
                { "2001:db8::/32", "2001:db9::", false },
                { "::/0", "2001:db9::", true },
        };
        AddrPrefix p;

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                SockAddr a;

                g_test_message("%s %s", rows[i].prefix, rows[i].peer);
                g_assert_cmpint(addr_prefix_parse(rows[i].prefix, &p), ==, 0);
                g_assert_cmpint(sockaddr_parse(rows[i].peer, 1, false, &a), ==, 0);
                g_assert_cmpint(addr_prefix_match(&p, &a), ==, rows[i].match);
        }
        g_assert_cmpint(addr_prefix_parse("10.0.0.0/33", &p), ==, -EINVAL);
        g_assert_cmpint(addr_prefix_parse("10.0.0.0/", &p), ==, -EINVAL);
        g_assert_cmpint(addr_prefix_parse("host.example", &p), ==, -EINVAL);
        g_assert_cmpint(addr_prefix_parse("10.0.0.*", &p), ==, -EINVAL);
        g_assert_cmpint(addr_prefix_parse("", &p), ==, -EINVAL);
        g_assert_cmpint(addr_prefix_parse("[::1/64", &p), ==, -EINVAL);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/addr/parse", test_parse);
        g_test_add_func("/addr/wildcard", test_wildcard);
        g_test_add_func("/addr/prefix", test_prefix);
        return g_test_run();
}
