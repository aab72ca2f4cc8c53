/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <limits.h>

#include "base/base.h"

/* The privileged opener: what tgtd asks of it, and what it grants. tgtd runs without privileges in
 * a sandbox that shows it neither devices nor home directories; a backing store that root owns is
 * opened for it by tgtd-open, which passes the descriptor and does nothing else. So are fragments
 * with secrets that only root can read.
 *
 * Protocol, on a SOCK_SEQPACKET AF_UNIX socket: one OpenRequest (fixed part and path), one
 * OpenReply with the descriptor as SCM_RIGHTS if error is 0, then the end. Both sides are of one
 * build and one host, so the fields are native.
 *
 * Threads: none of its own; everything may block. May include: base. */

#define OPEN_SOCKET_PATH "/run/tgtd-open/socket"
#define OPEN_VERSION 1U

typedef struct OpenRequest {
        uint32_t version;
        int32_t flags;
        char path[PATH_MAX]; /* absolute, with its NUL; the message ends there */
} OpenRequest;

#define OPEN_REQUEST_HEAD offsetof(OpenRequest, path)

typedef struct OpenReply {
        int32_t error; /* 0 or negative errno */
} OpenReply;

/* 0, or -EINVAL: flags beyond what a backing store needs (nothing is created, truncated, appended
 * to), or a path that is not absolute and clean. */
int open_policy_check_request(const char *path, int flags);
/* -EACCES: path, with all links resolved, is below a folder that never holds a backing store.
 * Fragments in /etc/tgt may be read. */
int open_policy_check_resolved(const char *path, int flags);

/* Opens path for somebody else: checks, resolves without magic links, checks where that led and
 * what it is (a regular file or a block device), and only then opens that very inode. Returns a
 * descriptor or negative errno. */
int open_policy_open(const char *path, int flags);

/* One exchange with the opener at socket_path; the descriptor or negative errno. -ENOTCONN if there
 * is no opener. */
int open_ask(const char *socket_path, const char *path, int flags);

/* One exchange with a client, on an accepted socket. Answers in any case but a broken peer. */
int open_serve(int fd);
