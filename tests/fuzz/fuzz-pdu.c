/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz.h"

#include "iscsi-host.h"

/* Any bytes to the TCP framer, before and after login, cut anywhere. Byte 0: how the session is and
 * what the device server does; byte 1: how the stream is cut; then the stream. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const size_t chunks[] = { 1, 13, 48, 100, 512, 4096, 65536, SIZE_MAX };
        Host h;
        size_t half;

        if (size < 2)
                return 0;
        host_init(&h, false);
        if (data[0] & 1)
                host_login(&h, data[0] & 2);
        fake.hold = data[0] & 4;
        fake.gate = data[0] & 8;
        fake.hold_tmf = data[0] & 16;
        fake.tas = data[0] & 32;
        half = data[0] & 64 ? (size - 2) / 2 : size - 2;
        host_feed(&h, data + 2, half, chunks[data[1] & 7], chunks[data[1] >> 3 & 7]);
        if (half < size - 2) { /* what was held goes on in the middle of it */
                fake_run();
                host_feed(&h, data + 2 + half, size - 2 - half, chunks[data[1] & 7],
                          chunks[data[1] >> 3 & 7]);
        }
        if (data[0] & 128)
                (void)iscsi_worker_end_session(h.worker, 1, "fuzz");
        host_done(&h);
        return 0;
}
