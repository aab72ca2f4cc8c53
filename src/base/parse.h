/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"

/* Strict parsers: the whole string or -EINVAL (not a number, trailing text, sign, empty), -ERANGE
 * (a number outside [min, max]). Nothing is skipped, not even blanks; the locale plays no part. */

/* Decimal, or hexadecimal after 0x. A leading 0 is decimal, not octal. */
int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
int parse_u32(const char *s, uint32_t min, uint32_t max, uint32_t *ret);

/* "10G", "512", "64K": binary suffixes K M G T P (and KiB, MiB, ...), bytes. */
int parse_size(const char *s, uint64_t *ret);

/* "500", "10k", "50M", "64Ki": powers of 1000 (k M G T) or of 1024 (Ki Mi Gi Ti), perhaps with B.
 */
int parse_rate(const char *s, uint64_t *ret);

/* "5s", "10ms", "2min", "1h", bare numbers are seconds; result in ns. */
int parse_duration(const char *s, uint64_t *ret_ns);

/* yes/no, on/off, true/false, 1/0 in any case. */
int parse_bool(const char *s, bool *ret);

/* The value of one hexadecimal digit, or -EINVAL. */
int unhex_char(char c);
