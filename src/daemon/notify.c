/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/notify.h"

#include <inttypes.h>

#include <systemd/sd-daemon.h>

#include "base/clock.h"

void notify_ready(const char *status)
{
        (void)sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void notify_status(const char *status)
{
        (void)sd_notifyf(0, "STATUS=%s", status);
}

void notify_reloading(void)
{
        (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=Reloading",
                         monotonic_now() / NSEC_PER_USEC);
}

void notify_stopping(void)
{
        (void)sd_notify(0, "STOPPING=1\nSTATUS=Stopping");
}
