/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "fake-scsi.h"
#include "iscsi/framer.h"
#include "iscsi/iscsi.h"
#include "iscsi/session.h"
#include "simloop.h"

/* One worker with one target, for the fuzz targets of iscsi/: whatever comes, nothing but the
 * connection may suffer, and everything is given back. */

typedef struct Host {
        Sim *sim;
        IscsiWorker *worker;
        Conn *conn;
        size_t n_out; /* bytes it has sent */
} Host;

#define FUZZ_TARGET "iqn.t"

void host_init(Host *h, bool chap);
/* Feeds n bytes in receives of at most chunk bytes; what is answered is thrown away, send bytes at
 * a time. */
void host_feed(Host *h, const uint8_t *bytes, size_t n, size_t chunk, size_t send);
void host_login(Host *h, bool discovery);
void host_done(Host *h);
