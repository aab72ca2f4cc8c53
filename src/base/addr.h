/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/base.h"

/* Addresses of portals and peers, and prefixes of access lists. Numbers only: no name is looked up
 * anywhere. IPv4-mapped IPv6 addresses (::ffff:a.b.c.d) are the IPv4 address that they map. */

typedef union SockAddr {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_storage storage;
} SockAddr;

#define SOCKADDR_TEXT_MAX 72 /* "[v6%scope]:port" with its NUL */

/* "A.B.C.D[:port]", "[v6][:port]", "v6", and with allow_any also "", "*" and ":port", which are the
 * IPv6 wildcard (it takes IPv4 too). -EINVAL for anything else. */
int sockaddr_parse(const char *s, uint16_t default_port, bool allow_any, SockAddr *ret);
socklen_t sockaddr_len(const SockAddr *a) _pure_;
uint16_t sockaddr_port(const SockAddr *a) _pure_;
/* Into buf (SOCKADDR_TEXT_MAX); returns buf. with_port: "1.2.3.4:3260", "[::1]:3260"; without:
 * "1.2.3.4", "::1". */
const char *sockaddr_format(const SockAddr *a, bool with_port, char *buf);
bool sockaddr_equal(const SockAddr *a, const SockAddr *b) _pure_;
bool sockaddr_is_wildcard(const SockAddr *a) _pure_;

typedef struct AddrPrefix {
        int family; /* AF_INET, AF_INET6; AF_UNSPEC: everybody ("ALL") */
        uint8_t length;
        uint8_t bytes[16]; /* bits behind length are zero */
} AddrPrefix;

/* "ALL", "A.B.C.D[/n]", "v6[/n]", "[v6][/n]"; host bits are allowed and dropped. */
int addr_prefix_parse(const char *s, AddrPrefix *ret);
bool addr_prefix_match(const AddrPrefix *prefix, const SockAddr *peer) _pure_;
