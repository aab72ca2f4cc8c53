/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <rbd/librbd.h>

#include "store/rbd-spec.h"

/* Connections to Ceph clusters, and the images that are open through them; part of the rbd module.
 *
 * Images whose conf, id and cluster are the same share one connection. It has a thread of its own,
 * which makes it, opens and closes images and ends it when nobody has an image any more: whatever
 * may wait for a cluster waits there, so that a cluster that hangs takes no thread of anybody else.
 * Any thread may call what is here. */

typedef struct RbdCluster RbdCluster;

typedef struct RbdWork RbdWork;
struct RbdWork {
        List link;
        void (*run)(RbdWork *work); /* on the connection's thread, without the lock */
};

typedef struct RbdImage {
        RbdCluster *cluster;
        rados_ioctx_t pool;
        rbd_image_t image;
        bool readonly; /* opened so, asked for or not */
        bool cache;    /* librbd's is on, by the configuration of the image or its pool */
        /* rbd-cluster.c's */
        RbdWork work;
        unsigned ref;
        bool *closed; /* to be set when it is; or NULL */
        uint64_t watch;
        bool watched;
        bool changed; /* its header has, since it was looked at */
        enum { PROBE_NONE, PROBE_PENDING, PROBE_OVER } probe;
        int probe_result;
        char probe_byte;
} RbdImage;

/* Blocks, for seconds at most: -ENODEV then, while the attempt goes on; a later call for the same
 * gets what has become of it. A reference in *ret. */
int cluster_open(const RbdSpec *spec, RbdImage **ret, StoreError *reterr);
RbdImage *image_ref(RbdImage *image);
/* The last one closes, in the background; wait: blocks until that is over, and, if it was the last
 * image, the connection has ended. */
RbdImage *image_unref(RbdImage *image, bool wait);

/* After a change of the image that librbd was told of: 1, what librbd says of size and snapshots
 * is up to date; 0: nothing has changed, or it is not known yet. Blocks for seconds at most.
 * Negative: the image cannot be read any more. */
int image_look(RbdImage *image);
/* What the last look found was not enough: the next one looks, changed or not. */
void image_look_again(RbdImage *image);
/* The cluster has shut this connection out (a blocklist): new images get another. */
void image_shut_out(RbdImage *image);

/* The cluster's UUID; ret has room for 37 bytes. */
int image_fsid(RbdImage *image, char *ret);
