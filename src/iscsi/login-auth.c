/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "iscsi/login.h"

/* The security stage: AuthMethod and CHAP (RFC 7143 chapter 12). */

static void accounts_of(const Conn *c, const IscsiAccount **ret, size_t *ret_n,
                        const IscsiAccount **ret_outgoing)
{
        const Login *l = c->login;

        if (l->discovery) {
                *ret = l->map->incoming;
                *ret_n = l->map->n_incoming;
                *ret_outgoing = l->map->outgoing;
        } else {
                *ret = l->target->incoming;
                *ret_n = l->target->n_incoming;
                *ret_outgoing = l->target->outgoing;
        }
}

static bool list_has(const TextPair *pair, const char *name)
{
        size_t n = strlen(name), pos = 0;

        while (pos + n <= pair->value_length) {
                const char *comma = memchr(pair->value + pos, ',', pair->value_length - pos);
                size_t length =
                        comma ? (size_t)(comma - pair->value) - pos : pair->value_length - pos;

                if (length == n && memcmp(pair->value + pos, name, n) == 0)
                        return true;
                pos += length + 1;
        }
        return false;
}

static int on_auth_method(Conn *c, const TextPair *pair)
{
        Login *l = c->login;

        if (l->auth != AUTH_START)
                return login_refuse(l, LOGIN_INITIATOR_ERROR, "AuthMethod came a second time");
        if (l->auth_required) {
                if (!list_has(pair, "CHAP"))
                        return login_refuse(l, LOGIN_AUTH_FAILED,
                                            "CHAP is required, but the initiator offers only "
                                            "AuthMethod=%.*s; give it a user and secret",
                                            (int)MIN(pair->value_length, (size_t)64), pair->value);
                text_out_add(&l->out, "AuthMethod", "CHAP");
                l->auth = AUTH_ALGORITHM;
                return 0;
        }
        if (!list_has(pair, "None"))
                return login_refuse(l, LOGIN_AUTH_FAILED,
                                    "the initiator insists on AuthMethod=%.*s, but there is no "
                                    "account for it; add one or let the initiator offer None",
                                    (int)MIN(pair->value_length, (size_t)64), pair->value);
        text_out_add(&l->out, "AuthMethod", "None");
        l->auth = AUTH_DONE;
        return 0;
}

/* The first of the initiator's list that we have. */
static const ChapAlgorithm *pick_algorithm(const TextPair *pair)
{
        TextPair item = *pair;
        const char *end = pair->value + pair->value_length;

        for (;;) {
                const char *comma = memchr(item.value, ',', (size_t)(end - item.value));
                const ChapAlgorithm *a;
                uint64_t id;

                item.value_length = (size_t)((comma ? comma : end) - item.value);
                if (text_number(&item, &id) == 0) {
                        a = chap_algorithm(id);
                        if (a)
                                return a;
                }
                if (!comma)
                        return NULL;
                item.value = comma + 1;
        }
}

static int on_algorithm(Conn *c, const TextPair *pair)
{
        Login *l = c->login;
        char text[2 * CHAP_CHALLENGE_SIZE + 3];

        if (l->auth != AUTH_ALGORITHM)
                return login_refuse(l, LOGIN_INITIATOR_ERROR, "CHAP_A came out of order");
        l->algorithm = pick_algorithm(pair);
        if (!l->algorithm)
                return login_refuse(
                        l, LOGIN_AUTH_FAILED,
                        "no CHAP algorithm in common: the initiator offers %.*s, we have "
                        "5 (MD5), 6 (SHA-1), 7 (SHA-256), 8 (SHA3-256)",
                        (int)MIN(pair->value_length, (size_t)64), pair->value);
        if (c->worker->host->random(&l->identifier, 1) < 0 ||
            c->worker->host->random(l->challenge, sizeof(l->challenge)) < 0)
                return login_refuse(l, LOGIN_TARGET_ERROR, "no random numbers for CHAP");
        text_out_printf(&l->out, "CHAP_A", "%u", l->algorithm->id);
        text_out_printf(&l->out, "CHAP_I", "%u", l->identifier);
        chap_encode(l->challenge, sizeof(l->challenge), text);
        text_out_add(&l->out, "CHAP_C", text);
        l->auth = AUTH_RESPONSE;
        return 0;
}

static int take_name(Login *l, const TextPair *pair)
{
        if (pair->value_length == 0 || pair->value_length >= sizeof(l->chap_n))
                return login_refuse(l, LOGIN_AUTH_FAILED, "CHAP_N is empty or too long");
        memcpy(l->chap_n, pair->value, pair->value_length);
        l->chap_n[pair->value_length] = '\0';
        l->has_n = true;
        return 0;
}

static int take_identifier(Login *l, const TextPair *pair)
{
        uint64_t v;

        if (text_number(pair, &v) < 0 || v > UINT8_MAX)
                return login_refuse(l, LOGIN_AUTH_FAILED, "CHAP_I is not a number up to 255");
        l->their_identifier = (uint8_t)v;
        l->has_i = true;
        return 0;
}

static int on_response_key(Conn *c, KeyId id, const TextPair *pair)
{
        Login *l = c->login;
        int r;

        if (l->auth != AUTH_RESPONSE)
                return login_refuse(l, LOGIN_INITIATOR_ERROR, "%s came out of order",
                                    iscsi_keys[id].name);
        if ((id == KEYID_CHAP_N && l->has_n) || (id == KEYID_CHAP_R && l->has_r) ||
            (id == KEYID_CHAP_I && l->has_i) || (id == KEYID_CHAP_C && l->has_c))
                return login_refuse(l, LOGIN_INITIATOR_ERROR, "%s came a second time",
                                    iscsi_keys[id].name);
        switch (id) {
        case KEYID_CHAP_N:
                return take_name(l, pair);
        case KEYID_CHAP_I:
                return take_identifier(l, pair);
        case KEYID_CHAP_R:
                r = chap_decode(pair, l->chap_r, sizeof(l->chap_r), &l->chap_r_length);
                l->has_r = r == 0;
                break;
        default:
                r = chap_decode(pair, l->their_challenge, sizeof(l->their_challenge),
                                &l->their_challenge_length);
                l->has_c = r == 0;
                break;
        }
        if (r < 0)
                return login_refuse(l, LOGIN_AUTH_FAILED,
                                    "%s is neither hexadecimal nor base64 of a length that fits",
                                    iscsi_keys[id].name);
        return 0;
}

int auth_key(Conn *c, const Key *key, const TextPair *pair)
{
        switch (key_id(key)) {
        case KEYID_AUTH_METHOD:
                return on_auth_method(c, pair);
        case KEYID_CHAP_A:
                return on_algorithm(c, pair);
        default:
                return on_response_key(c, key_id(key), pair);
        }
}

/* As long for a user that does not exist, so that time does not tell who does. */
static bool proven(const Login *l, const IscsiAccount *accounts, size_t n)
{
        static const IscsiAccount nobody;
        const IscsiAccount *account = &nobody;
        uint8_t digest[CHAP_DIGEST_MAX];
        bool same;

        for (size_t i = 0; i < n; i++)
                if (STREQ(accounts[i].user, l->chap_n))
                        account = &accounts[i];
        if (chap_response(l->algorithm, l->identifier, account->secret, l->challenge,
                          sizeof(l->challenge), digest) < 0)
                return false;
        same = l->chap_r_length == l->algorithm->size &&
               chap_equal(digest, l->chap_r, l->algorithm->size);
        explicit_bzero(digest, sizeof(digest));
        return same && account != &nobody;
}

/* We prove who we are (mutual CHAP). */
static int answer_challenge(Conn *c, const IscsiAccount *outgoing)
{
        Login *l = c->login;
        uint8_t digest[CHAP_DIGEST_MAX];
        char text[2 * CHAP_DIGEST_MAX + 3];

        if (!outgoing)
                return login_refuse(l, LOGIN_AUTH_FAILED,
                                    "the initiator wants this side to prove itself (mutual CHAP), "
                                    "but there is no outgoing account");
        /* RFC 7143 9.2.1: a challenge that comes back would make us compute the answer to it */
        if (l->their_challenge_length == sizeof(l->challenge) &&
            chap_equal(l->their_challenge, l->challenge, sizeof(l->challenge)))
                return login_refuse(l, LOGIN_AUTH_FAILED, "our own CHAP challenge was reflected");
        if (chap_response(l->algorithm, l->their_identifier, outgoing->secret, l->their_challenge,
                          l->their_challenge_length, digest) < 0)
                return login_refuse(l, LOGIN_TARGET_ERROR, "CHAP with %s is not available here",
                                    l->algorithm->name);
        chap_encode(digest, l->algorithm->size, text);
        text_out_add(&l->out, "CHAP_N", outgoing->user);
        text_out_add(&l->out, "CHAP_R", text);
        explicit_bzero(digest, sizeof(digest));
        return 0;
}

int auth_step(Conn *c)
{
        Login *l = c->login;
        const IscsiAccount *incoming, *outgoing;
        size_t n;
        int r;

        if (l->auth != AUTH_RESPONSE || !(l->has_n || l->has_r || l->has_i || l->has_c))
                return 0;
        if (!l->has_n || !l->has_r || l->has_i != l->has_c)
                return login_refuse(l, LOGIN_MISSING_PARAMETER,
                                    "CHAP_N and CHAP_R, or CHAP_I and CHAP_C, did not come "
                                    "together");
        accounts_of(c, &incoming, &n, &outgoing);
        if (!proven(l, incoming, n))
                return login_refuse(l, LOGIN_AUTH_FAILED,
                                    "CHAP: user \"%s\" is unknown or its secret is wrong",
                                    l->chap_n);
        if (l->has_c) {
                r = answer_challenge(c, outgoing);
                if (r < 0)
                        return r;
        }
        l->auth = AUTH_DONE;
        return 0;
}
