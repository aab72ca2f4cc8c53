/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iscsi/chap.h"

#include <gcrypt.h>
#include <pthread.h>

#include "base/parse.h"

const ChapAlgorithm chap_algorithms[] = {
        { 5, "MD5", GCRY_MD_MD5, 16 },
        { 6, "SHA-1", GCRY_MD_SHA1, 20 },
        { 7, "SHA-256", GCRY_MD_SHA256, 32 },
        { 8, "SHA3-256", GCRY_MD_SHA3_256, 32 },
        { 0 },
};

const ChapAlgorithm *chap_algorithm(uint64_t id)
{
        for (const ChapAlgorithm *a = chap_algorithms; a->id; a++)
                if (a->id == id)
                        return a;
        return NULL;
}

static void library_init(void)
{
        if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P))
                return;
        (void)gcry_check_version(NULL);
        /* what is hashed here are secrets that the configuration holds in plain memory anyway */
        (void)gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
        (void)gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
}

int chap_response(const ChapAlgorithm *a, uint8_t identifier, const char *secret,
                  const uint8_t *challenge, size_t length, uint8_t ret[CHAP_DIGEST_MAX])
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        gcry_md_hd_t md;
        const uint8_t *digest;
        int r = -EIO;

        (void)pthread_once(&once, library_init);
        if (gcry_md_open(&md, a->gcrypt, 0) != 0)
                return -EIO;
        gcry_md_write(md, &identifier, 1);
        gcry_md_write(md, secret, strlen(secret));
        gcry_md_write(md, challenge, length);
        digest = gcry_md_read(md, a->gcrypt);
        if (digest) {
                memcpy(ret, digest, a->size);
                r = 0;
        }
        gcry_md_close(md);
        return r;
}

bool chap_equal(const uint8_t *a, const uint8_t *b, size_t n)
{
        volatile uint8_t different = 0;

        for (size_t i = 0; i < n; i++)
                different |= a[i] ^ b[i];
        return different == 0;
}

static int decode_hex(const char *s, size_t n, uint8_t *ret, size_t size, size_t *ret_length)
{
        size_t length = (n + 1) / 2, i = 0;

        if (n == 0)
                return -EINVAL;
        if (length > size)
                return -EMSGSIZE;
        /* an odd number of digits: the first byte has one */
        if (n % 2) {
                int low = unhex_char(*s++);

                if (low < 0)
                        return -EINVAL;
                ret[i++] = (uint8_t)low;
        }
        for (; i < length; i++, s += 2) {
                int high = unhex_char(s[0]), low = unhex_char(s[1]);

                if (high < 0 || low < 0)
                        return -EINVAL;
                ret[i] = (uint8_t)(high << 4 | low);
        }
        *ret_length = length;
        return 0;
}

static int base64_char(char c)
{
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        return c == '+' ? 62 : c == '/' ? 63 : -EINVAL;
}

static int decode_base64(const char *s, size_t n, uint8_t *ret, size_t size, size_t *ret_length)
{
        size_t length, out = 0;
        uint32_t bits = 0;

        if (n == 0 || n % 4)
                return -EINVAL;
        for (unsigned pads = 0; pads < 2 && s[n - 1] == '='; pads++)
                n--;
        length = n * 3 / 4;
        if (length > size)
                return -EMSGSIZE;
        for (size_t i = 0; i < n; i++) {
                int v = base64_char(s[i]);

                if (v < 0)
                        return -EINVAL;
                bits = bits << 6 | (uint32_t)v;
                if (i % 4)
                        ret[out++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
        }
        *ret_length = length;
        return 0;
}

int chap_decode(const TextPair *pair, uint8_t *ret, size_t size, size_t *ret_length)
{
        const char *s = pair->value;

        if (pair->value_length < 3 || s[0] != '0')
                return -EINVAL;
        if (s[1] == 'x' || s[1] == 'X')
                return decode_hex(s + 2, pair->value_length - 2, ret, size, ret_length);
        if (s[1] == 'b' || s[1] == 'B')
                return decode_base64(s + 2, pair->value_length - 2, ret, size, ret_length);
        return -EINVAL;
}

void chap_encode(const uint8_t *bytes, size_t n, char *ret)
{
        static const char digits[] = "0123456789abcdef";

        *ret++ = '0';
        *ret++ = 'x';
        for (size_t i = 0; i < n; i++) {
                *ret++ = digits[bytes[i] >> 4];
                *ret++ = digits[bytes[i] & 15];
        }
        *ret = '\0';
}
