/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "iscsi/keys.h"

/* CHAP (RFC 1994, RFC 7143 12.1.3) with the algorithms of the IANA registry, by libgcrypt. */

#define CHAP_CHALLENGE_SIZE 32 /* ours */
#define CHAP_BINARY_MAX 1024   /* RFC 7143 12.1.3: of CHAP_C and CHAP_R */
#define CHAP_DIGEST_MAX 32

typedef struct ChapAlgorithm {
        uint8_t id; /* CHAP_A */
        const char *name;
        int gcrypt;
        size_t size; /* of the response */
} ChapAlgorithm;

/* Ends with a row whose id is 0. */
extern const ChapAlgorithm chap_algorithms[];

const ChapAlgorithm *chap_algorithm(uint64_t id);
/* digest(identifier, secret, challenge); -EIO if the library refuses (MD5 in FIPS mode). */
int chap_response(const ChapAlgorithm *a, uint8_t identifier, const char *secret,
                  const uint8_t *challenge, size_t length, uint8_t ret[CHAP_DIGEST_MAX]);
/* In time that does not depend on where they differ. */
bool chap_equal(const uint8_t *a, const uint8_t *b, size_t n);

/* A binary value of RFC 7143 6.1: 0x hexadecimal or 0b base64. Lengths are checked before anything
 * is decoded. -EINVAL; -EMSGSIZE: more than size bytes. */
int chap_decode(const TextPair *pair, uint8_t *ret, size_t size, size_t *ret_length);
/* "0x..." into ret, which holds 2 * n + 3 bytes. */
void chap_encode(const uint8_t *bytes, size_t n, char *ret);
