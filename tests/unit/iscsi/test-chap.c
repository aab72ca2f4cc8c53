/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "iscsi/chap.h"

static int decode(const char *s, uint8_t *out, size_t size, size_t *n)
{
        /* exactly as long as the text: a sanitizer sees a read beyond it */
        size_t length = strlen(s);
        g_autofree char *copy = g_memdup2(s, MAX(length, 1));
        TextPair pair = { .key = "", .value = copy, .value_length = length };

        return chap_decode(&pair, out, size, n);
}

static void test_decode(void)
{
        uint8_t out[8];
        size_t n;

        g_assert_cmpint(decode("0x0102fE", out, 8, &n), ==, 0);
        g_assert_cmpmem(out, (int)n, "\x01\x02\xfe", 3);
        g_assert_cmpint(decode("0X102", out, 8, &n), ==, 0);
        g_assert_cmpmem(out, (int)n, "\x01\x02", 2);
        g_assert_cmpint(decode("0bAQL+", out, 8, &n), ==, 0);
        g_assert_cmpmem(out, (int)n, "\x01\x02\xfe", 3);
        g_assert_cmpint(decode("0BAQI=", out, 8, &n), ==, 0);
        g_assert_cmpmem(out, (int)n, "\x01\x02", 2);
        g_assert_cmpint(decode("0bAQ==", out, 8, &n), ==, 0);
        g_assert_cmpmem(out, (int)n, "\x01", 1);
        /* the length is checked before a byte is decoded */
        g_assert_cmpint(decode("0x010203040506070809", out, 8, &n), ==, -EMSGSIZE);
        g_assert_cmpint(decode("0bAQIDBAUGBwgJ", out, 8, &n), ==, -EMSGSIZE);
        static const char *const bad[] = { "",       "0",     "0x",     "0b",     "0102",
                                           "0xg1",   "0x1 2", "0bA",    "0bAQ=a", "0b=AQI=",
                                           "0bAQ*=", "1x01",  "0b====", "0bAQI" };
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                g_assert_cmpint(decode(bad[i], out, 8, &n), ==, -EINVAL);
}

static void test_encode(void)
{
        static const uint8_t bytes[] = { 0x00, 0x9a, 0xff };
        char text[9];

        chap_encode(bytes, 3, text);
        g_assert_cmpstr(text, ==, "0x009aff");
}

/* digest("\x01" "secret" "challenge"), by another implementation (Python's hashlib) */
static const struct {
        uint8_t id;
        const char *hex;
} vectors[] = {
        { 5, "46e47770030e2b4e26a0db72a7efec00" },
        { 6, "011f25d29fe1baaced569c0d7e4878e40ddb7d7e" },
        { 7, "2dfa0526f4764864b7c3c5bc6596bcead3d8dbd984f4fc1d9f330299f0beced4" },
        { 8, "9444877c4dff778ed2add0f102dcd561e11944e7e948ee1b89508451a9e680ad" },
};

static void test_algorithms(void)
{
        size_t n = 0;

        for (const ChapAlgorithm *a = chap_algorithms; a->id; a++, n++) {
                uint8_t digest[CHAP_DIGEST_MAX];
                char text[CHAP_DIGEST_MAX * 2 + 3];

                g_assert_true(chap_algorithm(a->id) == a);
                g_assert_cmpint(
                        chap_response(a, 1, "secret", (const uint8_t *)"challenge", 9, digest), ==,
                        0);
                chap_encode(digest, a->size, text);
                g_assert_cmpuint(vectors[n].id, ==, a->id);
                g_assert_cmpstr(text + 2, ==, vectors[n].hex);
        }
        g_assert_cmpuint(n, ==, G_N_ELEMENTS(vectors));
        g_assert_null(chap_algorithm(4));
        g_assert_null(chap_algorithm(0));
        g_assert_null(chap_algorithm(UINT64_C(0x100000005)));
}

static void test_equal(void)
{
        g_assert_true(chap_equal((const uint8_t *)"abc", (const uint8_t *)"abc", 3));
        g_assert_false(chap_equal((const uint8_t *)"abc", (const uint8_t *)"abd", 3));
        g_assert_false(chap_equal((const uint8_t *)"xbc", (const uint8_t *)"abc", 3));
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/iscsi/chap/decode", test_decode);
        g_test_add_func("/iscsi/chap/encode", test_encode);
        g_test_add_func("/iscsi/chap/algorithms", test_algorithms);
        g_test_add_func("/iscsi/chap/equal", test_equal);
        return g_test_run();
}
