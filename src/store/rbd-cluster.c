/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/rbd-cluster.h"

#include <stdio.h>

#include "base/clock.h"
#include "store/module.h"

#define OPEN_WAIT (2500 * NSEC_PER_MSEC) /* less than a change waits for stores */
#define LOOK_WAIT (2 * NSEC_PER_SEC)
/* What became open when nobody waited for it any more: as long as whoever did may come again. */
#define KEEP (60 * NSEC_PER_SEC)

typedef enum ClusterState { CONNECTING, CONNECTED, FAILED } ClusterState;

struct RbdCluster {
        List link; /* clusters; not linked: nothing new is opened through it */
        char conf[STORE_OPTION_VALUE_MAX], id[STORE_OPTION_VALUE_MAX], name[STORE_OPTION_VALUE_MAX];
        ClusterState state;
        int result;
        StoreError error;
        rados_t rados;
        uint64_t deadline; /* for those who wait for the connection */
        List work;         /* RbdWork.link */
        List openings;     /* Opening.link, oldest first */
        unsigned users;    /* openings that are not over, and images */
        pthread_cond_t wake;
        bool *closed; /* of the image that was the last, to be set when the connection has ended */
};

/* An image that is being opened, or is open and waits for whoever wanted it. */
typedef struct Opening {
        RbdWork work;
        List link;
        RbdCluster *cluster;
        RbdSpec spec;
        bool readonly;
        uint64_t deadline; /* for those who wait */
        uint64_t until;    /* over, and nobody waits: kept so long */
        unsigned waiters;
        bool over;
        int result;
        StoreError error;
        RbdImage *image;
} Opening;

/* Everything here; a leaf. Not held in calls of librados and librbd. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static List clusters;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_condition(pthread_cond_t *c)
{
        pthread_condattr_t attr;

        (void)pthread_condattr_init(&attr);
        (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        (void)pthread_cond_init(c, &attr);
        (void)pthread_condattr_destroy(&attr);
}

static void init(void)
{
        list_init(&clusters);
        init_condition(&changed);
}

/* false: it is time. */
static bool wait_until(pthread_cond_t *c, uint64_t at)
{
        struct timespec ts = { .tv_sec = (time_t)(at / NSEC_PER_SEC),
                               .tv_nsec = (long)(at % NSEC_PER_SEC) };

        return pthread_cond_timedwait(c, &lock, &ts) == 0;
}

static void queue_work(RbdCluster *c, RbdWork *work, void (*run)(RbdWork *))
{
        work->run = run;
        list_append(&c->work, &work->link);
        pthread_cond_signal(&c->wake);
}

/* ---- connecting ---- */

/* Our words for librados' errors; what it knows better goes to its own log. */
static int connect_error(const RbdCluster *c, int r, StoreError *ret)
{
        const char *conf = *c->conf ? c->conf : "/etc/ceph/ceph.conf";
        const char *id = *c->id ? c->id : "admin";

        switch (r) {
        case -ETIMEDOUT:
                return store_error(ret, -ENODEV,
                                   "the monitors that %s names do not answer; it is tried again",
                                   conf);
        case -ENOENT:
                return store_error(ret, r,
                                   "there is no keyring of client.%s that the daemon's user may "
                                   "read: ceph auth get-or-create client.%s, or say id=NAME in "
                                   "bsopts",
                                   id, id);
        case -EACCES:
        case -EPERM:
                return store_error(ret, -EACCES,
                                   "the cluster of %s refuses client.%s: check its key and its "
                                   "capabilities (ceph auth get client.%s)",
                                   conf, id, id);
        case -EINVAL:
                return store_error(ret, r,
                                   "%s is no configuration of a Ceph client, or its "
                                   "keyring is none",
                                   conf);
        default:
                return store_error(ret, r, "no connection to the cluster of %s: %s", conf,
                                   strerror(-r));
        }
}

static int read_configuration(RbdCluster *c, StoreError *ret)
{
        int r = rados_conf_read_file(c->rados, *c->conf ? c->conf : NULL);

        if (r == -ENOENT || r == -EACCES)
                return store_error(ret, r,
                                   "%s %s: write it (or say conf=FILE in bsopts), and let the "
                                   "daemon's user read it",
                                   *c->conf ? c->conf : "/etc/ceph/ceph.conf",
                                   r == -ENOENT ? "does not exist" : "cannot be read");
        return r < 0 ? connect_error(c, r, ret) : 0;
}

/* What librados waits for at most applies to monitors only, whatever the configuration says: a
 * request for data is never given up, since it could still be carried out after whatever came
 * instead of it.
 *
 * librbd's cache would be lost with this process, while initiators, which live on, take what was
 * acknowledged for written: it is off, unless a pool's or an image's own configuration says
 * otherwise. */
static int set_defaults(RbdCluster *c, StoreError *ret)
{
        static const struct {
                const char *key, *value;
        } rows[] = {
                { "rbd_cache", "false" },         { "rbd_non_blocking_aio", "true" },
                { "client_mount_timeout", "30" }, { "rados_mon_op_timeout", "30" },
                { "rados_osd_op_timeout", "0" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                int r = rados_conf_set(c->rados, rows[i].key, rows[i].value);

                if (r < 0)
                        return store_error(ret, r, "librados does not take %s=%s: %s", rows[i].key,
                                           rows[i].value, strerror(-r));
        }
        return 0;
}

static int cluster_connect(RbdCluster *c, StoreError *ret)
{
        char user[STORE_OPTION_VALUE_MAX + 8];
        int r;

        (void)snprintf(user, sizeof(user), "client.%s", *c->id ? c->id : "admin");
        r = rados_create2(&c->rados, *c->name ? c->name : "ceph", user, 0);
        if (r < 0) {
                c->rados = NULL;
                return connect_error(c, r, ret);
        }
        r = read_configuration(c, ret);
        if (r >= 0)
                r = set_defaults(c, ret);
        if (r < 0)
                return r;
        r = rados_connect(c->rados);
        return r < 0 ? connect_error(c, r, ret) : 0;
}

/* ---- closing ---- */

static void image_gone(RbdWork *work)
{
        RbdImage *image = CONTAINER_OF(work, RbdImage, work);
        RbdCluster *c = image->cluster;

        if (image->pool)
                rados_ioctx_destroy(image->pool);
        pthread_mutex_lock(&lock);
        c->users--;
        if (image->closed && c->users == 0)
                c->closed = image->closed; /* when the connection is, too */
        else if (image->closed)
                *image->closed = true;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
        free(image);
}

static void image_closed(rbd_completion_t completion, void *userdata)
{
        RbdImage *image = userdata;

        if (completion)
                rbd_aio_release(completion);
        pthread_mutex_lock(&lock);
        queue_work(image->cluster, &image->work, image_gone);
        pthread_mutex_unlock(&lock);
}

static void image_close(RbdWork *work)
{
        RbdImage *image = CONTAINER_OF(work, RbdImage, work);
        rbd_completion_t completion = NULL;

        if (image->watched)
                (void)rbd_update_unwatch(image->image, image->watch);
        if (rbd_aio_create_completion(image, image_closed, &completion) < 0) {
                (void)rbd_close(image->image);
                image_closed(NULL, image);
                return;
        }
        if (rbd_aio_close(image->image, completion) < 0)
                image_closed(completion, image);
}

/* ---- the connection's thread ---- */

/* Images that nobody came back for; the time when the next one will be. UINT64_MAX: never. */
static uint64_t drop_kept(RbdCluster *c)
{
        uint64_t next = UINT64_MAX;

        LIST_FOREACH_SAFE (o, &c->openings, Opening, link) {
                if (!o->over || o->waiters > 0)
                        continue;
                if (o->until > monotonic_now()) {
                        next = MIN(next, o->until);
                        continue;
                }
                list_remove(&o->link);
                queue_work(c, &o->image->work, image_close);
                free(o);
        }
        return next;
}

/* One piece of work; false: there is none, and will be none. */
static bool cluster_serve(RbdCluster *c)
{
        RbdWork *work;

        for (;;) {
                uint64_t next = drop_kept(c);

                if (c->closed && c->users > 0) { /* it goes on */
                        *TAKE_PTR(c->closed) = true;
                        pthread_cond_broadcast(&changed);
                }
                work = LIST_FIRST(&c->work, RbdWork, link);
                if (work || c->users == 0)
                        break;
                if (next == UINT64_MAX)
                        pthread_cond_wait(&c->wake, &lock);
                else
                        (void)wait_until(&c->wake, next);
        }
        if (!work)
                return false;
        list_remove(&work->link);
        pthread_mutex_unlock(&lock);
        work->run(work);
        pthread_mutex_lock(&lock);
        return true;
}

static void *cluster_main(void *userdata)
{
        RbdCluster *c = userdata;
        StoreError error = { "" };
        int r = cluster_connect(c, &error);

        pthread_mutex_lock(&lock);
        c->state = r < 0 ? FAILED : CONNECTED;
        c->result = r;
        c->error = error;
        if (r < 0)
                list_remove(&c->link);
        pthread_cond_broadcast(&changed);
        while (cluster_serve(c))
                ;
        list_remove(&c->link);
        pthread_mutex_unlock(&lock);
        if (c->rados)
                rados_shutdown(c->rados);
        store_hold(-1);
        pthread_mutex_lock(&lock);
        if (c->closed)
                *c->closed = true;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
        (void)pthread_cond_destroy(&c->wake);
        free(c);
        return NULL;
}

static int cluster_new(const RbdSpec *spec, RbdCluster **ret)
{
        RbdCluster *c = calloc(1, sizeof(*c));
        pthread_attr_t attr;
        pthread_t thread;
        int r;

        if (!c)
                return -ENOMEM;
        memcpy(c->conf, spec->conf, sizeof(c->conf));
        memcpy(c->id, spec->id, sizeof(c->id));
        memcpy(c->name, spec->cluster, sizeof(c->name));
        c->deadline = monotonic_now() + OPEN_WAIT;
        c->users = 1; /* the caller's, so that the thread does not end before it is used */
        list_init(&c->work);
        list_init(&c->openings);
        init_condition(&c->wake);
        (void)pthread_attr_init(&attr);
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        (void)pthread_attr_setstacksize(&attr, STORE_MODULE_STACK);
        r = -pthread_create(&thread, &attr, cluster_main, c);
        (void)pthread_attr_destroy(&attr);
        if (r < 0) {
                (void)pthread_cond_destroy(&c->wake);
                free(c);
                return r;
        }
        store_hold(+1);
        list_append(&clusters, &c->link);
        *ret = c;
        return 0;
}

/* Counts a user. */
static int cluster_get(const RbdSpec *spec, RbdCluster **ret)
{
        LIST_FOREACH (c, &clusters, RbdCluster, link)
                if (STREQ(c->conf, spec->conf) && STREQ(c->id, spec->id) &&
                    STREQ(c->name, spec->cluster)) {
                        c->users++;
                        *ret = c;
                        return 0;
                }
        return cluster_new(spec, ret);
}

/* ---- references ---- */

RbdImage *image_ref(RbdImage *image)
{
        pthread_mutex_lock(&lock);
        image->ref++;
        pthread_mutex_unlock(&lock);
        return image;
}

RbdImage *image_unref(RbdImage *image, bool wait)
{
        bool closed = false;

        if (!image)
                return NULL;
        pthread_mutex_lock(&lock);
        if (--image->ref == 0) {
                image->closed = wait ? &closed : NULL;
                queue_work(image->cluster, &image->work, image_close);
                while (wait && !closed)
                        pthread_cond_wait(&changed, &lock);
        }
        pthread_mutex_unlock(&lock);
        return NULL;
}

/* ---- opening ---- */

static int open_error(const Opening *o, int r, StoreError *ret)
{
        const ImageName *n = &o->spec.name;
        const char *slash = *n->space ? "/" : "";
        const char *at = *n->snapshot ? "@" : "";

        switch (r) {
        case -ENOENT:
                return store_error(ret, r,
                                   "image %s/%s%s%s%s%s does not exist in the cluster: create it "
                                   "(rbd create --size SIZE) or correct the name",
                                   n->pool, n->space, slash, n->image, at, n->snapshot);
        case -EACCES:
        case -EPERM:
                return store_error(ret, -EACCES,
                                   "client.%s may not open image %s/%s%s%s: give it the "
                                   "capabilities mon 'profile rbd' osd 'profile rbd pool=%s'",
                                   *o->spec.id ? o->spec.id : "admin", n->pool, n->space, slash,
                                   n->image, n->pool);
        case -ETIMEDOUT:
                return store_error(ret, -ENODEV, "the cluster does not answer; it is tried again");
        case -ESHUTDOWN: /* what Ceph calls EBLOCKLISTED */
                return store_error(ret, -ENODEV,
                                   "the cluster has shut this client out (ceph osd blocklist ls); "
                                   "another connection is made");
        default:
                return store_error(ret, r, "image %s/%s%s%s%s%s cannot be opened: %s", n->pool,
                                   n->space, slash, n->image, at, n->snapshot, strerror(-r));
        }
}

/* The end of an attempt, with the lock. */
static void opening_set_result(Opening *o, int r)
{
        RbdCluster *c = o->cluster;

        o->over = true;
        o->result = r;
        o->until = monotonic_now() + KEEP;
        if (r < 0) {
                RbdImage *image = TAKE_PTR(o->image);

                if (image)
                        queue_work(c, &image->work, image_gone);
                else
                        c->users--;
                /* the connection may end before those who wait have looked */
                list_remove(&o->link);
                if (o->waiters == 0)
                        free(o);
        }
        pthread_cond_signal(&c->wake);
        pthread_cond_broadcast(&changed);
}

static void opening_over(Opening *o, int r)
{
        int mapped = r < 0 ? open_error(o, r, &o->error) : 0;

        pthread_mutex_lock(&lock);
        if (r == -ESHUTDOWN)
                list_remove(&o->cluster->link);
        opening_set_result(o, mapped);
        pthread_mutex_unlock(&lock);
}

static void header_changed(void *userdata)
{
        image_look_again(userdata);
}

/* Is librbd's cache on for this image, for all that set_defaults() says? */
static bool has_cache(rbd_image_t image)
{
        rbd_config_option_t *options;
        int n = 0, r;
        bool cache = true; /* where it cannot be seen, it is not denied */

        r = rbd_config_image_list(image, NULL, &n);
        if (r != -ERANGE || n <= 0)
                return true;
        options = calloc((size_t)n, sizeof(*options));
        if (!options)
                return true;
        r = rbd_config_image_list(image, options, &n);
        for (int i = 0; r >= 0 && i < n; i++)
                if (STREQ(options[i].name, "rbd_cache"))
                        cache = !STREQ(options[i].value, "false");
        if (r >= 0)
                rbd_config_image_list_cleanup(options, n);
        free(options);
        return cache;
}

static void opening_examine(RbdWork *work)
{
        Opening *o = CONTAINER_OF(work, Opening, work);
        RbdImage *image = o->image;

        image->cache = has_cache(image->image);
        image->watched = rbd_update_watch(image->image, &image->watch, header_changed, image) >= 0;
        opening_over(o, 0);
}

static void opening_run(RbdWork *work);

static void opening_opened(rbd_completion_t completion, void *userdata)
{
        Opening *o = userdata;
        RbdImage *image = o->image;
        int r = (int)rbd_aio_get_return_value(completion);

        rbd_aio_release(completion);
        /* Who may only read gets that, as with files. Otherwise an image is opened for writing even
         * where it is only read: that is how librbd hears of a change of its size. */
        if (r < 0 && (o->readonly || (r != -EPERM && r != -EACCES && r != -EROFS))) {
                opening_over(o, r);
                return;
        }
        pthread_mutex_lock(&lock);
        image->readonly = o->readonly;
        o->readonly |= r < 0;
        queue_work(o->cluster, &o->work, r < 0 ? opening_run : opening_examine);
        pthread_mutex_unlock(&lock);
}

static int opening_begin(Opening *o, RbdImage *image)
{
        const ImageName *n = &o->spec.name;
        const char *snapshot = *n->snapshot ? n->snapshot : NULL;
        rbd_completion_t completion;
        int r;

        if (!image->pool) {
                r = rados_ioctx_create(o->cluster->rados, n->pool, &image->pool);
                if (r < 0)
                        return r;
                rados_ioctx_set_namespace(image->pool, n->space);
        }
        r = rbd_aio_create_completion(o, opening_opened, &completion);
        if (r < 0)
                return r;
        r = o->readonly ? rbd_aio_open_read_only(image->pool, n->image, &image->image, snapshot,
                                                 completion)
                        : rbd_aio_open(image->pool, n->image, &image->image, snapshot, completion);
        if (r < 0)
                rbd_aio_release(completion);
        return r;
}

static void opening_run(RbdWork *work)
{
        Opening *o = CONTAINER_OF(work, Opening, work);
        RbdCluster *c = o->cluster;
        int r = c->result;

        if (c->state == FAILED) {
                pthread_mutex_lock(&lock);
                o->error = c->error;
                opening_set_result(o, r);
                pthread_mutex_unlock(&lock);
                return;
        }
        if (!o->image) {
                o->image = calloc(1, sizeof(*o->image));
                if (!o->image) {
                        opening_over(o, -ENOMEM);
                        return;
                }
                o->image->cluster = c;
                o->image->ref = 1;
        }
        r = opening_begin(o, o->image);
        if (r == -ENOENT && !o->image->pool) {
                (void)store_error(&o->error, r,
                                  "there is no pool %s in the cluster: correct the "
                                  "name, or create it (ceph osd pool create)",
                                  o->spec.name.pool);
                pthread_mutex_lock(&lock);
                opening_set_result(o, r);
                pthread_mutex_unlock(&lock);
        } else if (r < 0)
                opening_over(o, r);
}

static bool wants_same(const Opening *o, const RbdSpec *spec)
{
        const ImageName *a = &o->spec.name, *b = &spec->name;

        /* one that is over without an image failed, or somebody has it: that is not for others */
        return (!o->over || o->image) && o->spec.readonly == spec->readonly &&
               STREQ(a->pool, b->pool) && STREQ(a->space, b->space) && STREQ(a->image, b->image) &&
               STREQ(a->snapshot, b->snapshot);
}

/* The attempt that is under way for spec, or a new one. */
static int opening_get(const RbdSpec *spec, Opening **ret)
{
        RbdCluster *c;
        Opening *o;
        int r = cluster_get(spec, &c);

        if (r < 0)
                return r;
        LIST_FOREACH (other, &c->openings, Opening, link)
                if (wants_same(other, spec)) {
                        c->users--; /* it has been counted */
                        *ret = other;
                        return 0;
                }
        o = calloc(1, sizeof(*o));
        if (!o) {
                c->users--;
                pthread_cond_signal(&c->wake);
                return -ENOMEM;
        }
        o->cluster = c;
        o->spec = *spec;
        o->readonly = *spec->name.snapshot != '\0';
        o->deadline = monotonic_now() + OPEN_WAIT;
        list_append(&c->openings, &o->link);
        queue_work(c, &o->work, opening_run);
        *ret = o;
        return 0;
}

static bool opening_wait(const Opening *o)
{
        const RbdCluster *c = o->cluster;
        uint64_t until = c->state == CONNECTING ? c->deadline : o->deadline;

        return monotonic_now() < until && wait_until(&changed, until);
}

static int opening_take(Opening *o, RbdImage **ret, StoreError *reterr)
{
        int r;

        if (!o->over)
                return store_error(reterr, -ENODEV,
                                   "the cluster of %s does not answer; it is tried on",
                                   *o->spec.conf ? o->spec.conf : "/etc/ceph/ceph.conf");
        r = o->result;
        if (r < 0 && reterr)
                *reterr = o->error;
        if (r >= 0) {
                r = o->image ? 0 : -EAGAIN; /* another who waited was first */
                *ret = TAKE_PTR(o->image);
                list_remove(&o->link);
        }
        if (o->waiters == 0)
                free(o);
        return r;
}

int cluster_open(const RbdSpec *spec, RbdImage **ret, StoreError *reterr)
{
        Opening *o;
        int r;

        (void)pthread_once(&once, init);
        pthread_mutex_lock(&lock);
        do {
                r = opening_get(spec, &o);
                if (r < 0)
                        break;
                o->waiters++;
                while (!o->over && opening_wait(o))
                        ;
                o->waiters--;
                r = opening_take(o, ret, reterr);
        } while (r == -EAGAIN);
        pthread_mutex_unlock(&lock);
        return r;
}

/* ---- looking again ---- */

static void probe_over(rbd_completion_t completion, void *userdata)
{
        RbdImage *image = userdata;
        ssize_t r = rbd_aio_get_return_value(completion);

        rbd_aio_release(completion);
        pthread_mutex_lock(&lock);
        image->probe = PROBE_OVER;
        image->probe_result = r < 0 ? (int)r : 0;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
}

/* librbd reads the header anew before the next request; a call that asks for the size would do that
 * itself, and wait for it as long as it takes. So it is a request that waits. */
static int probe_begin(RbdImage *image)
{
        rbd_completion_t completion;
        int r = rbd_aio_create_completion(image, probe_over, &completion);

        if (r < 0)
                return r;
        r = rbd_aio_read(image->image, 0, 1, &image->probe_byte, completion);
        if (r < 0)
                rbd_aio_release(completion);
        return r;
}

/* With the lock, which is given up meanwhile. */
static int probe(RbdImage *image)
{
        uint64_t until = monotonic_now() + LOOK_WAIT;
        int r;

        image->probe = PROBE_PENDING;
        pthread_mutex_unlock(&lock);
        r = probe_begin(image);
        pthread_mutex_lock(&lock);
        if (r < 0) {
                image->probe = PROBE_NONE;
                return r;
        }
        while (image->probe == PROBE_PENDING && wait_until(&changed, until))
                ;
        return 0;
}

int image_look(RbdImage *image)
{
        int r = 0;

        pthread_mutex_lock(&lock);
        if (image->probe == PROBE_NONE &&
            __atomic_exchange_n(&image->changed, false, __ATOMIC_RELAXED))
                r = probe(image);
        if (image->probe == PROBE_OVER) {
                image->probe = PROBE_NONE;
                r = image->probe_result < 0 ? image->probe_result : 1;
        }
        pthread_mutex_unlock(&lock);
        return r;
}

void image_look_again(RbdImage *image)
{
        __atomic_store_n(&image->changed, true, __ATOMIC_RELAXED);
}

void image_shut_out(RbdImage *image)
{
        pthread_mutex_lock(&lock);
        list_remove(&image->cluster->link);
        pthread_mutex_unlock(&lock);
}

int image_fsid(RbdImage *image, char *ret)
{
        int r = rados_cluster_fsid(image->cluster->rados, ret, 37);

        return r < 0 ? r : 0;
}
