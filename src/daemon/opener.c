/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/opener.h"

#include <fcntl.h>

#include "daemon/open-policy.h"

/* Errors that our sandbox can be the reason of. ENOENT: PrivateDevices= and ProtectHome= show empty
 * folders. */
static bool may_be_sandbox(int error)
{
        return error == EACCES || error == EPERM || error == EROFS || error == ENOENT;
}

int opener_open(const char *path, int flags, void *userdata)
{
        const Opener *opener = userdata;
        int fd = open(path, flags | O_CLOEXEC), error = errno, r;

        if (fd >= 0)
                return fd;
        if (!opener->socket_path || !may_be_sandbox(error))
                return -error;
        r = open_ask(opener->socket_path, path, flags & ~O_CREAT);
        /* no opener: what open(2) said is the better answer */
        return r == -ENOTCONN ? -error : r;
}
