/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "base/bytes.h"
#include "base/list.h"

static void test_endian(void)
{
        uint8_t b[8];

        put_be16(b, 0x1234);
        g_assert_cmphex(get_be16(b), ==, 0x1234);
        g_assert_cmphex(b[0], ==, 0x12);
        put_be24(b, 0xabcdef);
        g_assert_cmphex(get_be24(b), ==, 0xabcdef);
        put_be32(b, 0xdeadbeef);
        g_assert_cmphex(get_be32(b), ==, 0xdeadbeef);
        g_assert_cmphex(b[3], ==, 0xef);
        put_be64(b, UINT64_C(0xfedcba9876543210));
        g_assert_cmphex(get_be64(b), ==, UINT64_C(0xfedcba9876543210));
}

static void test_reader_bounds(void)
{
        static const uint8_t data[] = { 1, 2, 3, 4, 5 };
        Reader r = READER(data, sizeof(data));

        g_assert_cmpuint(read_be16(&r), ==, 0x0102);
        g_assert_cmpuint(read_be16(&r), ==, 0x0304);
        g_assert_false(r.bad);
        g_assert_cmpuint(read_be16(&r), ==, 0);
        g_assert_true(r.bad);
        g_assert_cmpuint(read_u8(&r), ==, 0); /* stays bad and empty */
        g_assert_true(r.bad);
}

static void test_writer_bounds(void)
{
        uint8_t b[5];
        Writer w = WRITER(b, 4);

        b[4] = 0x5a;
        write_be16(&w, 0);
        write_be32(&w, 0x01020304);
        g_assert_cmpuint(w.n, ==, 6);
        g_assert_cmpuint(writer_stored(&w), ==, 4);
        g_assert_cmpuint(w.n, >, w.size);
        g_assert_cmpuint(b[3], ==, 2);
        g_assert_cmpuint(b[4], ==, 0x5a);
        patch_be16(&w, 0, 0xffee);
        g_assert_cmpuint(b[1], ==, 0xee);
        patch_be16(&w, 3, 0x1122); /* half of it was cut */
        g_assert_cmpuint(b[3], ==, 0x11);
        g_assert_cmpuint(b[4], ==, 0x5a);
}

static void test_ascii(void)
{
        uint8_t b[8];
        Writer w = WRITER(b, sizeof(b));

        write_ascii(&w, "IET", 8);
        g_assert_cmpmem(b, 8, "IET     ", 8);
        w = WRITER(b, sizeof(b));
        write_ascii(&w, "TOO LONG A NAME", 8);
        g_assert_cmpmem(b, 8, "TOO LONG", 8);
        g_assert_cmpuint(w.n, ==, w.size);
}

typedef struct Item {
        int value;
        List link;
} Item;

static void test_list(void)
{
        Item items[4] = { { 0 }, { 1 }, { 2 }, { 3 } };
        List head, other;
        int sum = 0;

        list_init(&head);
        list_init(&other);
        for (int i = 0; i < 4; i++)
                list_append(&head, &items[i].link);
        LIST_FOREACH_SAFE (it, &head, Item, link) {
                if (it->value % 2)
                        list_remove(&it->link);
        }
        g_assert_false(list_linked(&items[1].link));
        list_remove(&items[1].link); /* idempotent */
        list_splice(&other, &head);
        g_assert_true(list_empty(&head));
        LIST_FOREACH (it, &other, Item, link) {
                sum += it->value;
        }
        g_assert_cmpint(sum, ==, 2);
        g_assert_true(LIST_FIRST(&other, Item, link) == &items[0]);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/bytes/endian", test_endian);
        g_test_add_func("/bytes/reader-bounds", test_reader_bounds);
        g_test_add_func("/bytes/writer-bounds", test_writer_bounds);
        g_test_add_func("/bytes/ascii", test_ascii);
        g_test_add_func("/list", test_list);
        return g_test_run();
}
