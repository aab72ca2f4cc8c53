/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <rbd/librbd.h>

#include "harness.h"

/* The contract of store.h over images of a real cluster, and what holds for those alone. The
 * cluster is that of CEPH_CONF; it has a pool rbd, which client.tgt may use, and client.reader may
 * read. */

#define SIZE (4 * MIB)

/* ---- images, made by another client than the store's ---- */

static rados_t cluster;
static rados_ioctx_t pool;
static unsigned n_images;

static void connect_cluster(void)
{
        g_assert_cmpint(rados_create(&cluster, "admin"), ==, 0);
        g_assert_cmpint(rados_conf_read_file(cluster, NULL), ==, 0);
        g_assert_cmpint(rados_conf_set(cluster, "rbd_cache", "false"), ==, 0);
        g_assert_cmpint(rados_connect(cluster), ==, 0);
        g_assert_cmpint(rados_ioctx_create(cluster, "rbd", &pool), ==, 0);
}

static void image_make(const char *name, uint64_t size, uint64_t stripe_unit)
{
        rbd_image_options_t options;

        rbd_image_options_create(&options);
        if (stripe_unit > 0) {
                rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_STRIPE_UNIT, stripe_unit);
                rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_STRIPE_COUNT, 4);
        }
        g_assert_cmpint(rbd_create4(pool, name, size, options), ==, 0);
        rbd_image_options_destroy(options);
}

static char *image_create_with(uint64_t size, uint64_t stripe_unit)
{
        char *name = g_strdup_printf("test-%d-%u", (int)getpid(), n_images++);

        image_make(name, size, stripe_unit);
        return name;
}

static char *image_create(uint64_t size)
{
        return image_create_with(size, 0);
}

static void image_remove(const char *name)
{
        g_assert_cmpint(rbd_remove(pool, name), ==, 0);
}

static rbd_image_t image_open(const char *name)
{
        rbd_image_t image;

        g_assert_cmpint(rbd_open(pool, name, &image, NULL), ==, 0);
        return image;
}

static void image_snapshot(const char *name, const char *snapshot, bool protect)
{
        rbd_image_t image = image_open(name);

        g_assert_cmpint(rbd_snap_create(image, snapshot), ==, 0);
        if (protect)
                g_assert_cmpint(rbd_snap_protect(image, snapshot), ==, 0);
        g_assert_cmpint(rbd_close(image), ==, 0);
}

static void image_drop_snapshot(const char *name, const char *snapshot)
{
        rbd_image_t image = image_open(name);

        (void)rbd_snap_unprotect(image, snapshot);
        g_assert_cmpint(rbd_snap_remove(image, snapshot), ==, 0);
        g_assert_cmpint(rbd_close(image), ==, 0);
}

static int progress(uint64_t offset, uint64_t total, void *userdata)
{
        return 0;
}

static void image_resize(const char *name, uint64_t size)
{
        rbd_image_t image = image_open(name);

        g_assert_cmpint(rbd_resize2(image, size, true, progress, NULL), ==, 0);
        g_assert_cmpint(rbd_close(image), ==, 0);
}

static const ImageMaker maker = { .create = image_create, .remove = image_remove };

/* ---- kinds ---- */

static const Kind image_kinds[] = {
        { "rbd", { .type = "rbd", .options = "id=tgt" }, PATH_IMAGE },
};

static const Kind *const kind = &image_kinds[0];

static Store *open_store(const char *path, const char *options, bool readonly)
{
        StoreSpec spec = { .type = "rbd", .path = path, .options = options, .readonly = readonly };
        StoreError error;
        Store *s;
        int r = store_open(&spec, &s, &error);

        if (r < 0)
                g_error("%s: %s", path, error.text);
        return s;
}

static void assert_refused(const char *path, const char *options, int expected, const char *says)
{
        StoreSpec spec = { .type = "rbd", .path = path, .options = options };
        StoreError error;
        Store *s;

        g_assert_cmpint(store_open(&spec, &s, &error), ==, expected);
        if (!strstr(error.text, says))
                g_error("no \"%s\" in: %s", says, error.text);
}

/* ---- what holds for images ---- */

static void test_refused(void)
{
        static const struct {
                const char *path, *options;
                int r;
                const char *says;
        } rows[] = {
                { "no-such", "id=tgt", -ENOENT, "image rbd/no-such does not exist" },
                { "nopool/x", "id=tgt", -ENOENT, "no pool nopool" },
                { "rbd/x", "id=nobody", -ENOENT, "no keyring of client.nobody" },
                { "rbd/x", "conf=/nonexistent", -ENOENT, "/nonexistent does not exist" },
                { "rbd/x", "id=tgt;colour=red", -EINVAL, "there are: conf, id, cluster" },
                { "rbd/x", "id=client.tgt", -EINVAL, "without \"client.\"" },
                { "rbd/x", "cephx_key=QUJD", -EINVAL, "keyring" },
                { "rbd/x", "virsecretuuid=1", -EINVAL, "keyring" },
                { "a/b/c/d", "", -EINVAL, "[POOL/[NAMESPACE/]]IMAGE[@SNAPSHOT] expected" },
                { "/srv/disk", "", -EINVAL, "IMAGE[@SNAPSHOT] expected" },
        };
        g_autofree char *striped = image_create_with(SIZE, 512);
        StoreSpec spec = {
                .type = "rbd", .path = striped, .options = "id=tgt", .granularity = 4096
        };
        StoreError error;
        Store *s;

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
                assert_refused(rows[i].path, rows[i].options, rows[i].r, rows[i].says);
        assert_refused("rbd/x", "cephx_key=QUJD", -EINVAL, "cephx_key");
        /* a block in two objects would not be written as one */
        g_assert_cmpint(store_open(&spec, &s, &error), ==, -EINVAL);
        g_assert_nonnull(strstr(error.text, "striped in units of 512 bytes"));
        spec.granularity = 512;
        g_assert_cmpint(store_open(&spec, &s, &error), ==, 0);
        store_unref(s);
        g_assert_true(store_wait_closed(10 * NSEC_PER_SEC));
        image_remove(striped);
}

/* The same image is the same thing, whatever it is called and whoever asks. */
static void test_identity(void)
{
        static const struct {
                const char *format, *options;
                bool same;
        } rows[] = {
                { "%s", "id=tgt", true },
                { "rbd/%s", "id=tgt", true },
                { "%s", "id=admin", true },
                { "%s@one", "id=tgt", false },
        };
        g_autofree char *name = image_create(SIZE), *other = image_create(SIZE);
        Store *first = open_store(name, "id=tgt", false), *s;
        StoreIdentity a = store_identity(first), b;

        image_snapshot(name, "one", false);
        g_assert_cmpuint(a.kind, ==, 3);
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *path = g_strdup_printf(rows[i].format, name);

                s = open_store(path, rows[i].options, false);
                b = store_identity(s);
                g_assert_true((memcmp(&a, &b, sizeof(a)) == 0) == rows[i].same);
                g_assert_true(store_caps(s).readonly == !rows[i].same);
                store_unref(s);
        }
        s = open_store(other, "id=tgt", false);
        b = store_identity(s);
        g_assert_true(memcmp(&a, &b, sizeof(a)) != 0);
        store_unref(s);
        store_unref(first);
        g_assert_true(store_wait_closed(10 * NSEC_PER_SEC));
        image_drop_snapshot(name, "one");
        image_remove(name);
        image_remove(other);
}

/* A snapshot keeps what was there; who may only read gets what may be read. */
static void test_read_only(void)
{
        g_autofree uint8_t *buf = g_malloc(8192), *old = g_malloc(8192);
        Bed b, snap = { 0 };
        StoreError error;

        bed_open(&b, kind, SIZE, 0, 1);
        fill(old, 8192, 0, 1);
        g_assert_cmpint(run(&b, STORE_WRITE, 0, 0, old, 8192), ==, 0);
        g_assert_cmpint(run(&b, STORE_FLUSH, 0, 0, NULL, 0), ==, 0);
        image_snapshot(b.path, "one", false);
        fill(buf, 8192, 0, 2);
        g_assert_cmpint(run(&b, STORE_WRITE, 0, 0, buf, 8192), ==, 0);
        for (unsigned i = 0; i < 2; i++) {
                g_autofree char *path = g_strdup_printf("%s%s", b.path, i ? "" : "@one");

                snap = b;
                snap.spec.path = path;
                snap.spec.options = i ? "id=reader" : "id=tgt";
                snap.store = open_store(path, snap.spec.options, false);
                g_assert_true(store_caps(snap.store).readonly);
                g_assert_cmpuint(store_caps(snap.store).discard_granularity, ==, 0);
                g_assert_cmpint(store_attach(snap.store, b.host[0], &snap.ch[0]), ==, 0);
                g_assert_cmpint(run(&snap, STORE_READ, 0, 0, buf, 8192), ==, 0);
                if (i)
                        fill(old, 8192, 0, 2);
                assert_same(buf, old, 8192);
                g_assert_cmpint(run(&snap, STORE_WRITE, 0, 0, buf, 8192), ==, -EROFS);
                g_assert_cmpint(store_refresh(snap.store, &snap.spec, &error), ==, 0);
                store_detach(snap.ch[0]);
                store_unref(snap.store);
        }
        image_drop_snapshot(b.path, "one");
        bed_close(&b);
}

/* Whoever makes the image larger or smaller, the next look sees it. */
static void test_resize(void)
{
        g_autofree uint8_t *buf = g_malloc0(MIB);
        StoreError error;
        Bed b;

        bed_open(&b, kind, SIZE, 0, 1);
        g_assert_cmpint(store_refresh(b.store, &b.spec, &error), ==, 0);
        for (unsigned i = 0; i < 2; i++) {
                uint64_t size = i ? 3 * MIB : 10 * MIB;
                int r = 0;

                image_resize(b.path, size);
                for (unsigned k = 0; k < 1000 && r == 0; k++) {
                        r = store_refresh(b.store, &b.spec, &error);
                        g_usleep(10000);
                }
                g_assert_cmpint(r, ==, 1);
                g_assert_cmpuint(store_caps(b.store).size, ==, size);
                g_assert_cmpint(run(&b, STORE_READ, 0, size - MIB, buf, MIB), ==, 0);
                g_assert_cmpint(run(&b, STORE_READ, 0, size, buf, MIB), ==, -ERANGE);
        }
        bed_close(&b);
}

/* Who may only read is not told, and sees it all the same; also that the image is another one. */
static void test_reader(void)
{
        g_autofree uint8_t *in = g_malloc(4096), *out = g_malloc(4096);
        g_autofree char *name = image_create(SIZE);
        StoreIdentity before;
        StoreError error;
        rbd_image_t image;
        Bed b, reader;

        bed_open(&b, kind, SIZE, 0, 1); /* for its loops */
        reader = b;
        reader.spec.path = name;
        reader.spec.options = "id=reader";
        reader.store = open_store(name, "id=reader", false);
        before = store_identity(reader.store);
        g_assert_cmpint(store_attach(reader.store, b.host[0], &reader.ch[0]), ==, 0);
        g_assert_cmpint(run(&reader, STORE_READ, 0, 0, out, 4096), ==, 0);
        g_assert_cmpint(store_refresh(reader.store, &reader.spec, &error), ==, 0);
        image_resize(name, 2 * SIZE);
        g_assert_cmpint(store_refresh(reader.store, &reader.spec, &error), ==, 1);
        g_assert_cmpuint(store_caps(reader.store).size, ==, 2 * SIZE);
        g_assert_cmpint(run(&reader, STORE_READ, 0, 2 * SIZE - 4096, out, 4096), ==, 0);
        image_remove(name);
        g_assert_cmpint(store_refresh(reader.store, &reader.spec, &error), ==, -ENODEV);
        g_assert_nonnull(strstr(error.text, "does not exist"));
        g_assert_cmpint(run(&reader, STORE_READ, 0, 0, out, 4096), ==, -ENODEV);
        image_make(name, SIZE, 0);
        image = image_open(name);
        fill(in, 4096, 0, 7);
        g_assert_cmpint(rbd_write(image, 0, 4096, (char *)in), ==, 4096);
        g_assert_cmpint(rbd_close(image), ==, 0);
        g_assert_cmpint(store_refresh(reader.store, &reader.spec, &error), ==, 1);
        g_assert_cmpint(run(&reader, STORE_READ, 0, 0, out, 4096), ==, 0);
        assert_same(out, in, 4096);
        g_assert_true(store_identity(reader.store).b != before.b);
        store_detach(reader.ch[0]);
        store_unref(reader.store);
        bed_close(&b);
        image_remove(name);
}

/* What the parent of a clone has does not shine through what was zeroed or given back. */
static void test_clone(void)
{
        static const struct {
                uint64_t at, n;
        } ranges[] = { { 0, SIZE },
                       { 512, 512 },
                       { 4096, 65536 },
                       { SIZE + 100, 3 },
                       { 2 * SIZE, 2 * SIZE } };
        g_autofree char *parent = image_create(4 * SIZE);
        g_autofree uint8_t *data = g_malloc(4 * SIZE), *model = g_malloc(4 * SIZE),
                           *out = g_malloc(4 * SIZE);
        rbd_image_t image = image_open(parent);

        fill(data, 4 * SIZE, 0, 9);
        g_assert_cmpint(rbd_write(image, 0, 4 * SIZE, (char *)data), ==, 4 * SIZE);
        g_assert_cmpint(rbd_close(image), ==, 0);
        image_snapshot(parent, "base", true);
        for (unsigned i = 0; i < 6; i++) {
                g_autofree char *name = g_strdup_printf("clone-%d-%u", (int)getpid(), i);
                StoreOp what = i % 2 ? STORE_ZERO : STORE_DISCARD;
                int order = 0;
                Bed b, c;

                memcpy(model, data, 4 * SIZE);
                g_assert_cmpint(
                        rbd_clone(pool, parent, "base", pool, name, RBD_FEATURE_LAYERING, &order),
                        ==, 0);
                bed_open(&b, kind, SIZE, 1, i); /* for its loops */
                c = b;
                c.spec.path = name;
                {
                        StoreError error;
                        int r = store_open(&c.spec, &c.store, &error);

                        if (r < 0)
                                g_error("%s", error.text);
                }
                g_assert_cmpint(store_attach(c.store, b.host[0], &c.ch[0]), ==, 0);
                for (size_t k = i > 3 ? 1 : 0; k < G_N_ELEMENTS(ranges); k++) {
                        uint32_t flags = i == 1 || i == 5 ? STORE_UNMAP_OK : 0;

                        g_assert_cmpint(run(&c, what, flags, ranges[k].at, NULL, ranges[k].n), ==,
                                        0);
                        memset(model + ranges[k].at, 0, ranges[k].n);
                }
                g_assert_cmpint(run(&c, STORE_READ, 0, 0, out, 4 * SIZE), ==, 0);
                assert_same(out, model, 4 * SIZE);
                store_detach(c.ch[0]);
                store_unref(c.store);
                bed_close(&b);
                image_remove(name);
        }
        image_drop_snapshot(parent, "base");
        image_remove(parent);
}

/* Shut out by the cluster, as when another takes the lock of one that seems dead: every request
 * fails, and the next look is through a new connection. */
static void test_shut_out(void)
{
        g_autofree uint8_t *in = g_malloc(8192), *out = g_malloc(8192);
        rbd_image_watcher_t watchers[4];
        size_t n = G_N_ELEMENTS(watchers);
        rbd_image_t image;
        StoreError error;
        Bed b;

        bed_open(&b, kind, SIZE, 0, 1);
        fill(in, 8192, 0, 1);
        g_assert_cmpint(run(&b, STORE_WRITE, 0, 0, in, 8192), ==, 0);
        g_assert_cmpint(rbd_open_read_only(pool, b.path, &image, NULL), ==, 0);
        g_assert_cmpint(rbd_watchers_list(image, watchers, &n), ==, 0);
        g_assert_cmpuint(n, ==, 1);
        g_assert_cmpint(rados_blocklist_add(cluster, watchers[0].addr, 0), ==, 0);
        rbd_watchers_list_cleanup(watchers, n);
        g_assert_cmpint(rbd_close(image), ==, 0);
        for (unsigned i = 0; i < 2; i++)
                g_assert_cmpint(run(&b, STORE_WRITE, 0, 0, in, 8192), ==, -ENODEV);
        g_assert_cmpint(store_refresh(b.store, &b.spec, &error), ==, 1);
        g_assert_cmpint(run(&b, STORE_READ, 0, 0, out, 8192), ==, 0);
        assert_same(out, in, 8192);
        fill(in, 8192, 0, 2);
        g_assert_cmpint(run(&b, STORE_WRITE, STORE_FUA, 0, in, 8192), ==, 0);
        /* the other channel, which has seen nothing of it */
        b.ch[0] = store_detach(b.ch[0]);
        b.ch[0] = TAKE_PTR(b.ch[1]);
        g_assert_cmpint(run(&b, STORE_READ, 0, 0, out, 8192), ==, 0);
        assert_same(out, in, 8192);
        bed_close(&b);
}

/* librbd's cache is off, whatever its default, but where an image has it turned on. */
static void test_cache(void)
{
        g_autofree char *name = image_create(SIZE);
        rbd_image_t image = image_open(name);
        StoreSpec spec = { .type = "rbd", .path = name, .options = "id=tgt", .sync = true };
        g_autofree uint8_t *in = g_malloc(4096), *out = g_malloc(4096);
        StoreError error;
        Store *s = open_store(name, "id=tgt", false);
        Bed b, cached;

        g_assert_false(store_caps(s).volatile_cache);
        store_unref(s);
        g_assert_cmpint(rbd_metadata_set(image, "conf_rbd_cache", "true"), ==, 0);
        g_assert_cmpint(rbd_metadata_set(image, "conf_rbd_cache_policy", "writeback"), ==, 0);
        g_assert_cmpint(rbd_close(image), ==, 0);
        bed_open(&b, kind, SIZE, 0, 1); /* for its loops */
        cached = b;
        cached.store = open_store(name, "id=tgt", false);
        g_assert_true(store_caps(cached.store).volatile_cache);
        g_assert_cmpint(store_attach(cached.store, b.host[0], &cached.ch[0]), ==, 0);
        /* librbd keeps writes back after the first flush; another client sees what is kept for good
         */
        for (uint32_t i = 0; i < 20; i++) {
                fill(in, 4096, 0, i);
                g_assert_cmpint(run(&cached, STORE_WRITE, i % 2 ? STORE_FUA : 0, 0, in, 4096), ==,
                                0);
                if (i % 2 == 0)
                        g_assert_cmpint(run(&cached, STORE_FLUSH, 0, 0, NULL, 0), ==, 0);
                g_assert_cmpint(rbd_open_read_only(pool, name, &image, NULL), ==, 0);
                g_assert_cmpint(rbd_read(image, 0, 4096, (char *)out), ==, 4096);
                g_assert_cmpint(rbd_close(image), ==, 0);
                assert_same(out, in, 4096);
        }
        store_detach(cached.ch[0]);
        store_unref(cached.store);
        bed_close(&b);
        g_assert_cmpint(store_open(&spec, &s, &error), ==, -EINVAL);
        g_assert_nonnull(strstr(error.text, "rbd_cache false"));
        g_assert_true(store_wait_closed(10 * NSEC_PER_SEC));
        image_remove(name);
}

int main(int argc, char **argv)
{
        int r;

        g_test_init(&argc, &argv, NULL);
        image_maker = &maker;
        connect_cluster();
        contract_add("/store", image_kinds, G_N_ELEMENTS(image_kinds));
        g_test_add_func("/rbd/refused", test_refused);
        g_test_add_func("/rbd/identity", test_identity);
        g_test_add_func("/rbd/read-only", test_read_only);
        g_test_add_func("/rbd/resize", test_resize);
        g_test_add_func("/rbd/reader", test_reader);
        g_test_add_func("/rbd/clone", test_clone);
        g_test_add_func("/rbd/cache", test_cache);
        g_test_add_func("/rbd/shut-out", test_shut_out);
        r = g_test_run();
        rados_ioctx_destroy(pool);
        rados_shutdown(cluster);
        return r;
}
