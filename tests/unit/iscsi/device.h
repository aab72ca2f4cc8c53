/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "scsi/scsi.h"
#include "simloop.h"

/* The device server below a test's sessions: fake-scsi.c is a scripted one, real-scsi.c is src/scsi
 * over a ram store. Whichever is linked. */

void device_init(Sim *sim);
ScsiWorker *device_worker(unsigned i);
LunMap *device_luns(void); /* a new reference */
/* Every session is closed, every map dropped; checks that nothing is left. */
void device_done(Sim *sim);
