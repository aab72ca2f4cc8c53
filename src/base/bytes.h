/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"

/* Big-endian fields, and a bounded Reader and Writer over bytes that somebody else sent.
 *
 * A Reader never reads past its end: a read that does not fit returns 0 (or NULL) and sets bad,
 * which stays set; callers check bad once, at the end. A Writer likewise: what does not fit is
 * counted in n but not stored, so that n is always the length that was asked for ("n > size" says
 * truncated). SCSI's allocation lengths and iSCSI's response limits are both built on that. */

static inline uint16_t get_be16(const void *p)
{
        const uint8_t *b = p;

        return (uint16_t)(b[0] << 8 | b[1]);
}

static inline uint32_t get_be24(const void *p)
{
        const uint8_t *b = p;

        return (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
}

static inline uint32_t get_be32(const void *p)
{
        uint32_t v;

        memcpy(&v, p, sizeof(v));
        return __builtin_bswap32(v);
}

static inline uint64_t get_be64(const void *p)
{
        uint64_t v;

        memcpy(&v, p, sizeof(v));
        return __builtin_bswap64(v);
}

static inline void put_be16(void *p, uint16_t v)
{
        uint8_t *b = p;

        b[0] = (uint8_t)(v >> 8);
        b[1] = (uint8_t)v;
}

static inline void put_be24(void *p, uint32_t v)
{
        uint8_t *b = p;

        b[0] = (uint8_t)(v >> 16);
        b[1] = (uint8_t)(v >> 8);
        b[2] = (uint8_t)v;
}

static inline void put_be32(void *p, uint32_t v)
{
        v = __builtin_bswap32(v);
        memcpy(p, &v, sizeof(v));
}

static inline void put_be64(void *p, uint64_t v)
{
        v = __builtin_bswap64(v);
        memcpy(p, &v, sizeof(v));
}

typedef struct Reader {
        const uint8_t *p;
        size_t n; /* bytes left */
        bool bad; /* something did not fit */
} Reader;

#define READER(ptr, len) ((Reader){ .p = (ptr), .n = (len) })

/* n bytes at the cursor, which moves past them; NULL and bad if there are fewer. */
static inline const uint8_t *read_bytes(Reader *r, size_t n)
{
        const uint8_t *p = r->p;

        if (n > r->n) {
                r->bad = true;
                r->n = 0;
                return NULL;
        }
        r->p += n;
        r->n -= n;
        return p;
}

static inline uint8_t read_u8(Reader *r)
{
        const uint8_t *p = read_bytes(r, 1);

        return p ? *p : 0;
}

static inline uint16_t read_be16(Reader *r)
{
        const uint8_t *p = read_bytes(r, 2);

        return p ? get_be16(p) : 0;
}

typedef struct Writer {
        uint8_t *p;
        size_t size; /* bytes at p */
        size_t n;    /* bytes written or asked for */
} Writer;

#define WRITER(ptr, len) ((Writer){ .p = (ptr), .size = (len) })

/* Bytes that really stand at w->p. */
static inline size_t writer_stored(const Writer *w)
{
        return MIN(w->n, w->size);
}

static inline void write_bytes(Writer *w, const void *src, size_t n)
{
        if (n == 0)
                return;
        if (w->n < w->size)
                memcpy(w->p + w->n, src, MIN(n, w->size - w->n));
        w->n += n;
}

static inline void write_fill(Writer *w, uint8_t byte, size_t n)
{
        if (n == 0)
                return;
        if (w->n < w->size)
                memset(w->p + w->n, byte, MIN(n, w->size - w->n));
        w->n += n;
}

static inline void write_u8(Writer *w, uint8_t v)
{
        write_bytes(w, &v, 1);
}

static inline void write_be16(Writer *w, uint16_t v)
{
        uint8_t b[2];

        put_be16(b, v);
        write_bytes(w, b, sizeof(b));
}

static inline void write_be32(Writer *w, uint32_t v)
{
        uint8_t b[4];

        put_be32(b, v);
        write_bytes(w, b, sizeof(b));
}

static inline void write_be64(Writer *w, uint64_t v)
{
        uint8_t b[8];

        put_be64(b, v);
        write_bytes(w, b, sizeof(b));
}

/* s left-aligned in a field of n bytes, filled with spaces, cut if longer (SPC-4 4.4.1). */
static inline void write_ascii(Writer *w, const char *s, size_t n)
{
        size_t len = strnlen(s, n);

        write_bytes(w, s, len);
        write_fill(w, ' ', n - len);
}

/* Overwrites the 16 bits at offset at, where they were stored: a length that is known at last. */
static inline void patch_be16(Writer *w, size_t at, uint16_t v)
{
        uint8_t b[2];

        put_be16(b, v);
        for (size_t i = 0; i < sizeof(b); i++)
                if (at + i < writer_stored(w))
                        w->p[at + i] = b[i];
}

static inline void patch_be32(Writer *w, size_t at, uint32_t v)
{
        uint8_t b[4];

        put_be32(b, v);
        for (size_t i = 0; i < sizeof(b); i++)
                if (at + i < writer_stored(w))
                        w->p[at + i] = b[i];
}
