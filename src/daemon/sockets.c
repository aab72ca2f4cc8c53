/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/sockets.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <glib.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"

#define BACKLOG 1024

static void take_passed(PassedSockets *p, int fd, const char *name)
{
        if (sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) > 0 && p->control < 0) {
                p->control = fd;
                return;
        }
        if (sd_is_socket(fd, AF_INET, SOCK_STREAM, 1) > 0 ||
            sd_is_socket(fd, AF_INET6, SOCK_STREAM, 1) > 0) {
                p->portals[p->n_portals++] = fd;
                return;
        }
        log_warning("Closing descriptor %d \"%s\" from the service manager: "
                    "it is not a listening stream socket.",
                    fd, name ? name : "");
        safe_close(fd);
}

int sockets_passed(PassedSockets *ret)
{
        char **names = NULL;
        int n;

        *ret = (PassedSockets){ .control = -1 };
        n = sd_listen_fds_with_names(1, &names);
        if (n <= 0)
                return n;
        ret->portals = g_new0(int, (gsize)n);
        for (int i = 0; i < n; i++) {
                take_passed(ret, SD_LISTEN_FDS_START + i, names ? names[i] : NULL);
                if (names)
                        free(names[i]);
        }
        free(names);
        return 0;
}

void passed_sockets_clear(PassedSockets *p)
{
        for (size_t i = 0; i < p->n_portals; i++)
                safe_close(p->portals[i]);
        g_free(p->portals);
        safe_close(p->control);
        *p = (PassedSockets){ .control = -1 };
}

/* ---- who has the port ------------------------------------------------------------------------ */

/* The inode of the listening socket on port, from /proc/net/tcp or tcp6; 0: none. */
static unsigned long listener_inode(const char *table, uint16_t port)
{
        unsigned long found = 0;
        char line[512];
        FILE *f = fopen(table, "re");

        if (!f)
                return 0;
        while (!found && fgets(line, sizeof(line), f)) {
                unsigned local, state;
                unsigned long inode;

                /* "sl: ADDR:PORT REMOTE:PORT ST queues timer retransmits uid timeout inode" */
                if (sscanf(line,
                           " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %lu",
                           &local, &state, &inode) != 3)
                        continue;
                if (state == 0x0a /* TCP_LISTEN */ && local == port)
                        found = inode;
        }
        (void)fclose(f);
        return found;
}

static bool process_has(const char *pid, const char *link)
{
        char path[64], target[64];
        struct dirent *entry;
        bool found = false;
        DIR *dir;

        snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
        dir = opendir(path);
        if (!dir)
                return false;
        while (!found && (entry = readdir(dir))) {
                ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

                if (n <= 0)
                        continue;
                target[n] = '\0';
                found = STREQ(target, link);
        }
        (void)closedir(dir);
        return found;
}

/* " by NAME, process PID" or "", where we may not see the other process' descriptors. */
static void port_owner(uint16_t port, char *ret, size_t size)
{
        unsigned long inode = listener_inode("/proc/net/tcp", port);
        struct dirent *entry;
        char link[64];
        DIR *proc;

        ret[0] = '\0';
        if (!inode)
                inode = listener_inode("/proc/net/tcp6", port);
        if (!inode)
                return;
        snprintf(link, sizeof(link), "socket:[%lu]", inode);
        proc = opendir("/proc");
        if (!proc)
                return;
        while ((entry = readdir(proc))) {
                g_autofree char *path = NULL, *name = NULL;

                if (!isdigit((unsigned char)entry->d_name[0]) || !process_has(entry->d_name, link))
                        continue;
                path = g_strdup_printf("/proc/%s/comm", entry->d_name);
                if (g_file_get_contents(path, &name, NULL, NULL))
                        snprintf(ret, size, " by %.32s, process %.20s", g_strstrip(name),
                                 entry->d_name);
                break;
        }
        (void)closedir(proc);
}

/* ---- our own ----------------------------------------------------------------------------------
 */

static int bind_tcp(const SockAddr *address, int fd)
{
        static const int on = 1, off = 0;
        bool v6 = address->sa.sa_family == AF_INET6;

        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
                return -errno;
        if (v6) {
                const int *only = sockaddr_is_wildcard(address) ? &off : &on;

                if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, only, sizeof(*only)) < 0)
                        return -errno;
        }
        if (bind(fd, &address->sa, sockaddr_len(address)) < 0 || listen(fd, BACKLOG) < 0)
                return -errno;
        return 0;
}

static int open_tcp(const SockAddr *address)
{
        _cleanup_close_ int fd = -1;
        int r;

        fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        r = bind_tcp(address, fd);
        return r < 0 ? r : take_fd(&fd);
}

int socket_listen_tcp(const SockAddr *address, char *reterr, size_t size)
{
        char text[SOCKADDR_TEXT_MAX], owner[128];
        SockAddr v4 = { .in = { .sin_family = AF_INET } };
        int r = open_tcp(address);

        /* a kernel without IPv6: everybody is then IPv4 only */
        if (r == -EAFNOSUPPORT && sockaddr_is_wildcard(address)) {
                v4.in.sin_port = htons(sockaddr_port(address));
                r = open_tcp(&v4);
        }
        if (r >= 0)
                return r;
        (void)sockaddr_format(address, true, text);
        if (r == -EADDRINUSE) {
                port_owner(sockaddr_port(address), owner, sizeof(owner));
                snprintf(reterr, size, "Portal %s is in use%s; stop that or choose another port",
                         text, *owner ? owner : " by another program");
        } else if (r == -EADDRNOTAVAIL)
                snprintf(reterr, size, "Portal %s: no interface of this host has that address",
                         text);
        else
                snprintf(reterr, size, "Portal %s: %s", text, strerror(-r));
        return r;
}

static int lock_control(const char *path, int *ret_lock)
{
        g_autofree char *lock = g_strconcat(path, ".lock", NULL);
        _cleanup_close_ int fd = -1;

        fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
        *ret_lock = take_fd(&fd);
        return 0;
}

static int bind_control(const char *path)
{
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -1;
        mode_t mask;
        int r;

        if (strlen(path) >= sizeof(un.sun_path))
                return -ENAMETOOLONG;
        memcpy(un.sun_path, path, strlen(path) + 1);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (unlink(path) < 0 && errno != ENOENT)
                return -errno;
        /* 0600 from the first moment on: no window for a chmod() to close */
        mask = umask(0177);
        r = bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 ? -errno : 0;
        (void)umask(mask);
        if (r < 0)
                return r;
        if (listen(fd, 64) < 0)
                return -errno;
        return take_fd(&fd);
}

int socket_listen_control(const char *path, int *ret_lock, char *reterr, size_t size)
{
        _cleanup_close_ int lock = -1;
        int fd, r;

        r = lock_control(path, &lock);
        if (r == -EADDRINUSE) {
                snprintf(reterr, size, "Another tgtd is using %s; choose another --control-port",
                         path);
                return r;
        }
        fd = r < 0 ? r : bind_control(path);
        if (fd < 0) {
                snprintf(reterr, size, "Control socket %s: %s", path, strerror(-fd));
                return fd;
        }
        *ret_lock = take_fd(&lock);
        return fd;
}
