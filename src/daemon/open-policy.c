/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/open-policy.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "base/system-folder.h"

/* O_PATH: only to learn what is there, by fstat(). */
static const int allowed_flags = O_ACCMODE | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_EXCL | O_DIRECT |
                                 O_DSYNC | O_SYNC | O_NOATIME | O_LARGEFILE | O_PATH;

/* The daemon's own fragments, which hold secrets and are often root's alone: for reading. */
static const char config_folder[] = "/etc/tgt/";

static bool is_clean(const char *path)
{
        if (path[0] != '/')
                return false;
        for (const char *p = path; *p; p++) {
                if (p[0] != '/')
                        continue;
                if (p[1] == '/')
                        return false;
                if (p[1] == '.' && (p[2] == '/' || p[2] == '\0'))
                        return false;
                if (p[1] == '.' && p[2] == '.' && (p[3] == '/' || p[3] == '\0'))
                        return false;
        }
        return true;
}

int open_policy_check_request(const char *path, int flags)
{
        if ((flags & ~allowed_flags) != 0)
                return -EINVAL;
        if ((flags & O_ACCMODE) != O_RDONLY && (flags & O_ACCMODE) != O_RDWR)
                return -EINVAL;
        return is_clean(path) ? 0 : -EINVAL;
}

int open_policy_check_resolved(const char *path, int flags)
{
        if (path[0] != '/') /* deleted, or outside of our root */
                return -EACCES;
        if (strncmp(path, config_folder, strlen(config_folder)) == 0 &&
            (flags & O_ACCMODE) == O_RDONLY)
                return 0;
        /* a target that serves what is there is a mistake or an attack */
        return system_folder(path) ? -EACCES : 0;
}

static int open_no_magic(const char *path)
{
        struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS };
        long fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

        return fd < 0 ? -errno : (int)fd;
}

/* What the O_PATH descriptor fd refers to is a file or a device, in a place that may be served. */
static int check_handle(int fd, const char *magic, int flags)
{
        char resolved[PATH_MAX];
        struct stat st;
        ssize_t n;

        n = readlink(magic, resolved, sizeof(resolved) - 1);
        if (n < 0)
                return -errno;
        resolved[n] = '\0';
        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
                return -EACCES;
        return open_policy_check_resolved(resolved, flags);
}

int open_policy_open(const char *path, int flags)
{
        _cleanup_close_ int handle = -1;
        struct stat before, after;
        char magic[64];
        int fd, r;

        r = open_policy_check_request(path, flags);
        if (r < 0)
                return r;
        handle = open_no_magic(path);
        if (handle < 0)
                return handle;
        snprintf(magic, sizeof(magic), "/proc/self/fd/%d", handle);
        r = check_handle(handle, magic, flags);
        if (r < 0)
                return r;
        if (flags & O_PATH)
                return take_fd(&handle);
        fd = open(magic, flags | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;
        /* the same inode by construction; believed only when seen */
        if (fstat(handle, &before) < 0 || fstat(fd, &after) < 0 || before.st_dev != after.st_dev ||
            before.st_ino != after.st_ino || before.st_rdev != after.st_rdev ||
            (before.st_mode & S_IFMT) != (after.st_mode & S_IFMT)) {
                safe_close(fd);
                return -ESTALE;
        }
        return fd;
}

/* ---- the exchange ---------------------------------------------------------------------------- */

static int send_reply(int fd, int result)
{
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = { 0 };
        OpenReply reply = { .error = result < 0 ? result : 0 };
        struct iovec iov = { &reply, sizeof(reply) };
        struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (result >= 0) {
                struct cmsghdr *c;

                msg.msg_control = control.bytes;
                msg.msg_controllen = sizeof(control.bytes);
                c = CMSG_FIRSTHDR(&msg);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(c), &result, sizeof(int));
        }
        return sendmsg(fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int open_serve(int fd)
{
        OpenRequest request;
        ssize_t n;
        int opened, r;

        n = recv(fd, &request, sizeof(request), 0);
        if (n < 0)
                return -errno;
        if ((size_t)n <= OPEN_REQUEST_HEAD || request.version != OPEN_VERSION ||
            memchr(request.path, '\0', (size_t)n - OPEN_REQUEST_HEAD) != (char *)&request + n - 1)
                return send_reply(fd, -EINVAL);
        opened = open_policy_open(request.path, request.flags);
        r = send_reply(fd, opened);
        safe_close(opened);
        return r;
}

static int connect_opener(const char *socket_path)
{
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -1;

        if (strlen(socket_path) >= sizeof(un.sun_path))
                return -ENAMETOOLONG;
        memcpy(un.sun_path, socket_path, strlen(socket_path) + 1);
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
                return -ENOTCONN;
        return take_fd(&fd);
}

static int receive_reply(int fd)
{
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control;
        OpenReply reply = { 0 };
        struct iovec iov = { &reply, sizeof(reply) };
        struct msghdr msg = { .msg_iov = &iov,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof(control.bytes) };
        ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
        struct cmsghdr *c;
        int opened;

        if (n < 0)
                return -errno;
        if (n != sizeof(reply))
                return -EPROTO;
        if (reply.error < 0)
                return reply.error;
        c = CMSG_FIRSTHDR(&msg);
        if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
            c->cmsg_len != CMSG_LEN(sizeof(int)))
                return -EPROTO;
        memcpy(&opened, CMSG_DATA(c), sizeof(int));
        return opened;
}

int open_ask(const char *socket_path, const char *path, int flags)
{
        OpenRequest request = { .version = OPEN_VERSION, .flags = flags };
        size_t length = strlen(path) + 1;
        _cleanup_close_ int fd = -1;

        if (length > sizeof(request.path))
                return -ENAMETOOLONG;
        memcpy(request.path, path, length);
        fd = connect_opener(socket_path);
        if (fd < 0)
                return fd;
        if (send(fd, &request, OPEN_REQUEST_HEAD + length, MSG_NOSIGNAL) < 0)
                return -errno;
        return receive_reply(fd);
}
