/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>

#include "base/parse.h"

/* host may be "fe80::1%eth0". */
static int set_host(const char *host, uint16_t port, SockAddr *ret)
{
        char plain[INET6_ADDRSTRLEN];
        const char *scope = strchr(host, '%');
        size_t n = scope ? (size_t)(scope - host) : strlen(host);
        SockAddr a = { 0 };

        if (n == 0 || n >= sizeof(plain))
                return -EINVAL;
        memcpy(plain, host, n);
        plain[n] = '\0';
        if (!scope && inet_pton(AF_INET, plain, &a.in.sin_addr) == 1) {
                a.in.sin_family = AF_INET;
                a.in.sin_port = htons(port);
                *ret = a;
                return 0;
        }
        if (inet_pton(AF_INET6, plain, &a.in6.sin6_addr) != 1)
                return -EINVAL;
        if (scope) {
                a.in6.sin6_scope_id = if_nametoindex(scope + 1);
                if (a.in6.sin6_scope_id == 0)
                        return -EINVAL;
        }
        a.in6.sin6_family = AF_INET6;
        a.in6.sin6_port = htons(port);
        *ret = a;
        return 0;
}

static int parse_port(const char *s, uint16_t *ret)
{
        uint32_t v;
        int r;

        r = parse_u32(s, 1, UINT16_MAX, &v);
        if (r < 0)
                return -EINVAL;
        *ret = (uint16_t)v;
        return 0;
}

int sockaddr_parse(const char *s, uint16_t default_port, bool allow_any, SockAddr *ret)
{
        char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
        const char *end, *port = NULL;
        uint16_t number = default_port;
        size_t n;

        if (*s == '[') {
                s++;
                end = strchr(s, ']');
                if (!end || (end[1] && end[1] != ':'))
                        return -EINVAL;
                if (end[1] == ':')
                        port = end + 2;
                if (!memchr(s, ':', (size_t)(end - s)))
                        return -EINVAL;
        } else {
                const char *colon = strchr(s, ':');

                /* more than one colon outside of brackets: an IPv6 address without a port */
                if (colon && !strchr(colon + 1, ':')) {
                        end = colon;
                        port = colon + 1;
                } else
                        end = s + strlen(s);
        }
        n = (size_t)(end - s);
        if (n >= sizeof(host))
                return -EINVAL;
        memcpy(host, s, n);
        host[n] = '\0';
        if (port) {
                int r = parse_port(port, &number);

                if (r < 0)
                        return r;
        }
        if (allow_any && (STREQ(host, "") || STREQ(host, "*")))
                return set_host("::", number, ret);
        return set_host(host, number, ret);
}

socklen_t sockaddr_len(const SockAddr *a)
{
        return a->sa.sa_family == AF_INET ? sizeof(a->in) : sizeof(a->in6);
}

uint16_t sockaddr_port(const SockAddr *a)
{
        return ntohs(a->sa.sa_family == AF_INET ? a->in.sin_port : a->in6.sin6_port);
}

/* The address without its port: 4 or 16 bytes, and their family; IPv4-mapped is IPv4. */
static const uint8_t *host_bytes(const SockAddr *a, int *ret_family)
{
        if (a->sa.sa_family == AF_INET) {
                *ret_family = AF_INET;
                return (const uint8_t *)&a->in.sin_addr;
        }
        if (IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr)) {
                *ret_family = AF_INET;
                return a->in6.sin6_addr.s6_addr + 12;
        }
        *ret_family = AF_INET6;
        return a->in6.sin6_addr.s6_addr;
}

const char *sockaddr_format(const SockAddr *a, bool with_port, char *buf)
{
        char host[INET6_ADDRSTRLEN] = "", scope[IF_NAMESIZE + 1] = "";
        const uint8_t *bytes;
        int family;

        bytes = host_bytes(a, &family);
        (void)inet_ntop(family, bytes, host, sizeof(host));
        if (family == AF_INET6 && a->in6.sin6_scope_id) {
                char name[IF_NAMESIZE];

                if (if_indextoname(a->in6.sin6_scope_id, name))
                        (void)snprintf(scope, sizeof(scope), "%%%s", name);
        }
        if (!with_port)
                (void)snprintf(buf, SOCKADDR_TEXT_MAX, "%s%s", host, scope);
        else if (family == AF_INET6)
                (void)snprintf(buf, SOCKADDR_TEXT_MAX, "[%s%s]:%u", host, scope, sockaddr_port(a));
        else
                (void)snprintf(buf, SOCKADDR_TEXT_MAX, "%s:%u", host, sockaddr_port(a));
        return buf;
}

bool sockaddr_equal(const SockAddr *a, const SockAddr *b)
{
        int fa, fb;
        const uint8_t *x = host_bytes(a, &fa), *y = host_bytes(b, &fb);

        return fa == fb && sockaddr_port(a) == sockaddr_port(b) &&
               memcmp(x, y, fa == AF_INET ? 4 : 16) == 0;
}

bool sockaddr_is_wildcard(const SockAddr *a)
{
        static const uint8_t zero[16];
        int family;
        const uint8_t *bytes = host_bytes(a, &family);

        return memcmp(bytes, zero, family == AF_INET ? 4 : 16) == 0;
}

static void mask_host_bits(AddrPrefix *p)
{
        size_t size = p->family == AF_INET ? 4 : 16;

        for (size_t i = 0; i < size; i++) {
                unsigned bits = p->length > i * 8 ? (unsigned)MIN(p->length - i * 8, 8) : 0;

                p->bytes[i] &= (uint8_t)(0xff << (8 - bits));
        }
}

int addr_prefix_parse(const char *s, AddrPrefix *ret)
{
        char host[INET6_ADDRSTRLEN + 2];
        const char *slash = strchr(s, '/');
        size_t n = slash ? (size_t)(slash - s) : strlen(s);
        AddrPrefix p = { 0 };
        SockAddr a;
        uint32_t length;
        const uint8_t *bytes;
        int r;

        if (STREQ(s, "ALL")) {
                *ret = p;
                return 0;
        }
        if (n >= sizeof(host))
                return -EINVAL;
        memcpy(host, s, n);
        host[n] = '\0';
        if (host[0] == '[') {
                if (host[n - 1] != ']')
                        return -EINVAL;
                host[n - 1] = '\0';
                memmove(host, host + 1, n - 1);
        }
        if (strchr(host, '%'))
                return -EINVAL;
        r = set_host(host, 0, &a);
        if (r < 0)
                return r;
        bytes = host_bytes(&a, &p.family);
        memcpy(p.bytes, bytes, p.family == AF_INET ? 4 : 16);
        length = p.family == AF_INET ? 32 : 128;
        if (slash && parse_u32(slash + 1, 0, length, &length) < 0)
                return -EINVAL;
        p.length = (uint8_t)length;
        mask_host_bits(&p);
        *ret = p;
        return 0;
}

bool addr_prefix_match(const AddrPrefix *prefix, const SockAddr *peer)
{
        AddrPrefix p = { .length = prefix->length };
        const uint8_t *bytes;

        if (prefix->family == AF_UNSPEC)
                return true;
        bytes = host_bytes(peer, &p.family);
        if (p.family != prefix->family)
                return false;
        memcpy(p.bytes, bytes, p.family == AF_INET ? 4 : 16);
        mask_host_bits(&p);
        return memcmp(p.bytes, prefix->bytes, sizeof(p.bytes)) == 0;
}
