/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/open-policy.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "daemon/opener.h"

static char *dir;

static char *in_dir(const char *name)
{
        return g_build_filename(dir, name, NULL);
}

static char *make_file(const char *name)
{
        char *path = in_dir(name);

        g_assert_true(g_file_set_contents(path, "contents", -1, NULL));
        return path;
}

static void test_requests(void)
{
        static const struct {
                const char *path;
                int flags, expected;
        } rows[] = {
                { "/srv/a", O_RDWR, 0 },
                { "/srv/a", O_RDONLY, 0 },
                { "/srv/a", O_RDWR | O_EXCL | O_DIRECT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0 },
                { "/srv/a", O_RDWR | O_SYNC, 0 },
                { "/srv/a", O_RDWR | O_DSYNC, 0 },
                { "/srv/..a", O_RDWR, 0 },
                { "/srv/a", O_PATH, 0 },
                { "/srv/a", O_WRONLY, -EINVAL },
                { "/srv/a", O_RDWR | O_CREAT, -EINVAL },
                { "/srv/a", O_RDWR | O_TRUNC, -EINVAL },
                { "/srv/a", O_RDWR | O_APPEND, -EINVAL },
                { "/srv/a", O_RDONLY | O_DIRECTORY, -EINVAL },
                { "/srv", O_RDWR | O_TMPFILE, -EINVAL },
                { "srv/a", O_RDWR, -EINVAL },
                { "", O_RDWR, -EINVAL },
                { "/srv/../etc/shadow", O_RDWR, -EINVAL },
                { "/srv/..", O_RDWR, -EINVAL },
                { "/srv/./a", O_RDWR, -EINVAL },
                { "//srv/a", O_RDWR, -EINVAL },
                { "/srv//a", O_RDWR, -EINVAL },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_test_message("%s %x", rows[i].path, (unsigned)rows[i].flags);
                g_assert_cmpint(open_policy_check_request(rows[i].path, rows[i].flags), ==,
                                rows[i].expected);
        }
}

static void test_folders(void)
{
        static const char *const refused[] = { "/etc/shadow",   "/etc",        "/usr/bin/sh",
                                               "/boot/vmlinuz", "/proc/kcore", "/sys/x",
                                               "/run/x",        "/lib/x",      "relative",
                                               "(deleted)",     "/bin/sh" };
        static const char *const granted[] = { "/etcetera/x",  "/srv/etc/x", "/dev/sda",
                                               "/home/a/disk", "/var/lib/x", "/root/x",
                                               "/runtime/x" };

        for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
                g_assert_cmpint(open_policy_check_resolved(refused[i], O_RDONLY), ==, -EACCES);
        for (size_t i = 0; i < G_N_ELEMENTS(granted); i++)
                g_assert_cmpint(open_policy_check_resolved(granted[i], O_RDWR), ==, 0);
        g_assert_cmpint(open_policy_check_resolved("/etc/tgt/targets.d/a", O_RDONLY), ==, 0);
        g_assert_cmpint(open_policy_check_resolved("/etc/tgt/targets.d/a", O_RDWR), ==, -EACCES);
        g_assert_cmpint(open_policy_check_resolved("/etc/tgtd", O_RDONLY), ==, -EACCES);
}

static void test_open(void)
{
        g_autofree char *path = make_file("disk");
        int fd = open_policy_open(path, O_RDWR);
        char text[8];

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(fcntl(fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
        g_assert_cmpint(pread(fd, text, sizeof(text), 0), ==, 8);
        close(fd);
        g_assert_cmpint(open_policy_open("/nonexistent/x", O_RDWR), ==, -ENOENT);
        (void)g_unlink(path);
}

/* Where a link leads decides, not what it is called. */
static void test_links(void)
{
        g_autofree char *path = make_file("disk"), *good = in_dir("good"), *bad = in_dir("bad"),
                        *magic = in_dir("magic"), *loop = in_dir("loop"), *through = NULL;
        int own, fd;

        g_assert_cmpint(symlink(path, good), ==, 0);
        fd = open_policy_open(good, O_RDWR);
        g_assert_cmpint(fd, >=, 0);
        close(fd);
        g_assert_cmpint(symlink("/etc/passwd", bad), ==, 0);
        g_assert_cmpint(open_policy_open(bad, O_RDONLY), ==, -EACCES);
        g_assert_cmpint(symlink(loop, loop), ==, 0);
        g_assert_cmpint(open_policy_open(loop, O_RDONLY), ==, -ELOOP);
        own = open(path, O_RDWR | O_CLOEXEC);
        through = g_strdup_printf("/proc/self/fd/%d", own);
        g_assert_cmpint(symlink(through, magic), ==, 0);
        g_assert_cmpint(open_policy_open(magic, O_RDONLY), ==, -ELOOP);
        close(own);
        (void)g_unlink(good);
        (void)g_unlink(bad);
        (void)g_unlink(loop);
        (void)g_unlink(magic);
        (void)g_unlink(path);
}

static void test_kinds(void)
{
        g_autofree char *fifo = in_dir("fifo");

        g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
        g_assert_cmpint(open_policy_open(fifo, O_RDWR | O_NONBLOCK), ==, -EACCES);
        g_assert_cmpint(open_policy_open(dir, O_RDONLY), ==, -EISDIR);
        g_assert_cmpint(open_policy_open("/dev/null", O_RDWR), ==, -EACCES);
        (void)g_unlink(fifo);
}

/* ---- the exchange ---------------------------------------------------------------------------- */

static int listener;

static void *serve_one(void *userdata)
{
        int fd = accept(listener, NULL, NULL);

        g_assert_cmpint(fd, >=, 0);
        (void)open_serve(fd);
        close(fd);
        return NULL;
}

static char *listen_in_dir(void)
{
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        char *path = in_dir("opener");

        g_strlcpy(un.sun_path, path, sizeof(un.sun_path));
        listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        g_assert_cmpint(bind(listener, (struct sockaddr *)&un, sizeof(un)), ==, 0);
        g_assert_cmpint(listen(listener, 4), ==, 0);
        return path;
}

static int ask(const char *socket_path, const char *path, int flags)
{
        pthread_t thread;
        int r;

        g_assert_cmpint(pthread_create(&thread, NULL, serve_one, NULL), ==, 0);
        r = open_ask(socket_path, path, flags);
        pthread_join(thread, NULL);
        return r;
}

static void test_exchange(void)
{
        g_autofree char *socket_path = listen_in_dir(), *path = make_file("disk");
        struct stat a, b;
        int fd = ask(socket_path, path, O_RDWR);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(fstat(fd, &a), ==, 0);
        g_assert_cmpint(stat(path, &b), ==, 0);
        g_assert_cmpuint(a.st_ino, ==, b.st_ino);
        close(fd);
        g_assert_cmpint(ask(socket_path, "/etc/passwd", O_RDONLY), ==, -EACCES);
        g_assert_cmpint(ask(socket_path, "/nonexistent", O_RDONLY), ==, -ENOENT);
        g_assert_cmpint(ask(socket_path, path, O_RDWR | O_TRUNC), ==, -EINVAL);
        close(listener);
        (void)g_unlink(socket_path);
        g_assert_cmpint(open_ask(socket_path, path, O_RDWR), ==, -ENOTCONN);
        (void)g_unlink(path);
}

/* Whatever comes in is answered, and nothing but a whole request is obeyed. */
static void test_bad_messages(void)
{
        OpenRequest request = { .version = OPEN_VERSION, .flags = O_RDONLY, .path = "/srv/a" };
        static const size_t lengths[] = { 1, 4, 8, OPEN_REQUEST_HEAD + 3, sizeof(OpenRequest) };

        for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
                OpenReply reply = { 0 };
                int pair[2];

                if (lengths[i] == sizeof(OpenRequest))
                        memset(request.path, 'a', sizeof(request.path)); /* no NUL */
                g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), ==, 0);
                g_assert_cmpint(send(pair[0], &request, lengths[i], 0), ==, lengths[i]);
                g_assert_cmpint(open_serve(pair[1]), ==, 0);
                g_assert_cmpint(recv(pair[0], &reply, sizeof(reply), 0), ==, sizeof(reply));
                g_assert_cmpint(reply.error, ==, -EINVAL);
                close(pair[0]);
                close(pair[1]);
        }
}

/* What open(2) says stands where there is nobody to ask. */
static void test_opener_alone(void)
{
        Opener nobody = { .socket_path = NULL }, gone = { .socket_path = "/nonexistent/socket" };

        g_assert_cmpint(opener_open("/nonexistent/x", O_RDWR, &nobody), ==, -ENOENT);
        g_assert_cmpint(opener_open("/nonexistent/x", O_RDWR, &gone), ==, -ENOENT);
        g_assert_cmpint(opener_open("/dev", O_RDWR, &gone), ==, -EISDIR);
}

int main(int argc, char **argv)
{
        int r;

        g_test_init(&argc, &argv, NULL);
        dir = g_dir_make_tmp("tgt-open-XXXXXX", NULL);
        g_test_add_func("/open-policy/requests", test_requests);
        g_test_add_func("/open-policy/folders", test_folders);
        g_test_add_func("/open-policy/open", test_open);
        g_test_add_func("/open-policy/links", test_links);
        g_test_add_func("/open-policy/kinds", test_kinds);
        g_test_add_func("/open-policy/exchange", test_exchange);
        g_test_add_func("/open-policy/bad-messages", test_bad_messages);
        g_test_add_func("/open-policy/opener-alone", test_opener_alone);
        r = g_test_run();
        (void)g_rmdir(dir);
        g_free(dir);
        return r;
}
