/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/rbd-spec.h"

#include <stdio.h>

#include "store/module.h"

const char *const store_rbd_options[] = { "conf", "id", "cluster", NULL };

/* stgt's, which put a secret where configuration is read, dumped and logged. Values are not
 * repeated. */
static int refuse_secret(const StoreOption *o, StoreError *reterr)
{
        return store_error(
                reterr, -EINVAL,
                "option %s is not supported, since keys do not belong here: keep the key "
                "in /etc/ceph/ceph.client.NAME.keyring, let the daemon's user read that, "
                "and say id=NAME",
                o->key);
}

static int set_option(RbdSpec *rs, const StoreOption *o, StoreError *reterr)
{
        char *to = STREQ(o->key, "conf")      ? rs->conf
                   : STREQ(o->key, "id")      ? rs->id
                   : STREQ(o->key, "cluster") ? rs->cluster
                                              : NULL;

        if (STREQ(o->key, "cephx_key") || STREQ(o->key, "virsecretuuid"))
                return refuse_secret(o, reterr);
        if (!to)
                return store_option_unknown(o, store_rbd_options, reterr);
        if (!*o->value)
                return store_option_invalid(o, "a value", reterr);
        if (to == rs->id && strncmp(o->value, "client.", 7) == 0)
                return store_option_invalid(o, "the name without \"client.\"", reterr);
        memcpy(to, o->value, sizeof(o->value));
        return 0;
}

int store_rbd_parse(const StoreSpec *spec, RbdSpec *ret, StoreError *reterr)
{
        const char *cursor = spec->options;
        StoreOption o;
        int r;

        *ret = (RbdSpec){ .readonly = spec->readonly };
        if (image_name_parse(spec->path, &ret->name) < 0)
                return store_error(reterr, -EINVAL, "\"%.100s\": " IMAGE_NAME_GRAMMAR " expected",
                                   spec->path);
        while ((r = store_option_next(&cursor, &o, reterr)) > 0) {
                r = set_option(ret, &o, reterr);
                if (r < 0)
                        return r;
        }
        if (*ret->name.snapshot)
                ret->readonly = true;
        return r;
}

int store_rbd_check(const StoreSpec *spec, StoreError *reterr)
{
        RbdSpec rs;

        return store_rbd_parse(spec, &rs, reterr);
}

/* As whom the cluster is asked makes no other image of it. */
int store_rbd_key(const StoreSpec *spec, char *ret, size_t size)
{
        const ImageName *n;
        RbdSpec rs;
        int r = store_rbd_parse(spec, &rs, NULL);

        if (r < 0)
                return r;
        n = &rs.name;
        r = snprintf(ret, size, "rbd:%s:%s:%s/%s/%s@%s", rs.cluster, rs.conf, n->pool, n->space,
                     n->image, n->snapshot);
        return r >= (int)size ? -ENAMETOOLONG : 0;
}

int store_rbd_open(const StoreSpec *spec, Store **ret, StoreError *reterr)
{
        static const StoreModuleName name = {
                .type = "rbd", .library = "librbd", .package = "librbd1", .built = STORE_WITH_RBD
        };

        return store_module_open(&name, spec, ret, reterr);
}
