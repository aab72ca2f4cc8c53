/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz.h"

#include "iscsi-host.h"

/* Login text: byte 0 says whether CHAP is required; then requests, each its flags and its text up
 * to a FFh byte, which no text has. Whatever comes in, what goes out is bounded. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t pdu[BHS_SIZE + LOGIN_SEGMENT_MAX + 4];
        unsigned n_requests = 0;
        Host h;

        if (size < 2 || size > 65536)
                return 0;
        host_init(&h, data[0] & 1);
        for (size_t at = 1; at < size && !conn_finished(h.conn);) {
                uint8_t flags = data[at++];
                const uint8_t *end = memchr(data + at, 0xff, size - at);
                size_t n =
                        MIN(end ? (size_t)(end - data) - at : size - at, (size_t)LOGIN_SEGMENT_MAX);

                memset(pdu, 0, BHS_SIZE);
                pdu[BHS_OPCODE] = OP_LOGIN_REQUEST | OP_IMMEDIATE;
                pdu[BHS_FLAGS] = flags;
                put_be24(pdu + BHS_DATA_LENGTH, (uint32_t)n);
                memcpy(pdu + BHS_SIZE, data + at, n);
                memset(pdu + BHS_SIZE + n, 0, pad4((uint32_t)n));
                host_feed(&h, pdu, BHS_SIZE + n + pad4((uint32_t)n), SIZE_MAX, SIZE_MAX);
                at += n + (end != NULL);
                n_requests++;
                if (h.n_out > n_requests * (BHS_SIZE + LOGIN_SEGMENT_MAX))
                        abort();
                if (!h.conn->login)
                        break; /* full feature phase: that is the other target's */
        }
        host_done(&h);
        return 0;
}
