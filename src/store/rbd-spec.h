/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/image-name.h"
#include "store/options.h"

/* What is known of an rbd store without a cluster, and without librbd: its row in types[]. */

typedef struct RbdSpec {
        ImageName name;
        /* "": what Ceph takes by itself, /etc/ceph/ceph.conf, "admin" and "ceph" */
        char conf[STORE_OPTION_VALUE_MAX], id[STORE_OPTION_VALUE_MAX],
                cluster[STORE_OPTION_VALUE_MAX];
        bool readonly;
} RbdSpec;

extern const char *const store_rbd_options[];
int store_rbd_parse(const StoreSpec *spec, RbdSpec *ret, StoreError *reterr);
/* StoreType's. */
int store_rbd_check(const StoreSpec *spec, StoreError *reterr);
int store_rbd_key(const StoreSpec *spec, char *ret, size_t size);
int store_rbd_open(const StoreSpec *spec, Store **ret, StoreError *reterr);
