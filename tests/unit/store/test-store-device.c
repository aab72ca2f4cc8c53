/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "harness.h"

/* What is particular to block devices; the contract itself runs over them by test-store --devices.
 */

#define SIZE (4 * MIB)

static const char *const types[] = { "rdwr", "aio" };

static void device_ioctl(const char *path, unsigned long request, void *argument)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        g_assert_cmpint(fd, >=, 0);
        if (ioctl(fd, request, argument) < 0)
                g_error("%s: ioctl %lx: %s", path, request, g_strerror(errno));
        close(fd);
}

static void test_caps(void)
{
        for (size_t t = 0; t < G_N_ELEMENTS(types); t++) {
                Kind kind = { types[t], { .type = types[t] }, PATH_DEVICE };
                StoreCaps caps;
                Bed b;

                bed_open(&b, &kind, SIZE, 0, 1);
                caps = store_caps(b.store);
                g_assert_cmpuint(caps.block_size, ==, 4096);
                g_assert_cmpuint(caps.physical_size, >=, 4096);
                g_assert_cmpuint(caps.discard_granularity, >, 0);
                g_assert_true(caps.discard_zeroes);
                g_assert_true(caps.volatile_cache);
                bed_close(&b);
        }
}

/* One owner at a time, unless told otherwise. */
static void test_in_use(void)
{
        for (size_t t = 0; t < G_N_ELEMENTS(types); t++) {
                Kind kind = { types[t], { .type = types[t] }, PATH_DEVICE };
                StoreError error;
                StoreSpec spec;
                Store *s;
                Bed b;

                bed_open(&b, &kind, SIZE, 0, 1);
                spec = b.spec;
                g_assert_cmpint(store_open(&spec, &s, &error), ==, -EBUSY);
                g_assert_nonnull(strstr(error.text, "allow-in-use"));
                g_assert_nonnull(strstr(error.text, b.path));
                spec.allow_in_use = true;
                g_assert_cmpint(store_open(&spec, &s, &error), ==, 0);
                store_unref(s);
                bed_close(&b);
        }
}

static void test_readonly(void)
{
        for (size_t t = 0; t < G_N_ELEMENTS(types); t++) {
                Kind kind = { types[t], { .type = types[t] }, PATH_DEVICE };
                g_autofree uint8_t *buf = g_malloc0(4096);
                StoreError error;
                int on = 1, off = 0;
                Store *s;
                Bed b;

                bed_open(&b, &kind, SIZE, 0, 1);
                device_ioctl(b.path, BLKROSET, &on);
                g_assert_cmpint(store_refresh(b.store, &b.spec, &error), ==, 1);
                g_assert_true(store_caps(b.store).readonly);
                g_assert_cmpint(run(&b, STORE_WRITE, 0, 0, buf, 4096), ==, -EROFS);
                /* opened so */
                b.spec.allow_in_use = true;
                g_assert_cmpint(store_open(&b.spec, &s, &error), ==, 0);
                g_assert_true(store_caps(s).readonly);
                store_unref(s);
                device_ioctl(b.path, BLKROSET, &off); /* it outlives the loop */
                bed_close(&b);
        }
}

/* The device grows; then its path names another one. */
static void test_refresh(void)
{
        for (size_t t = 0; t < G_N_ELEMENTS(types); t++) {
                Kind kind = { types[t], { .type = types[t] }, PATH_DEVICE };
                g_autofree char *link_path = make_file(PATH_DISK, 0);
                g_autofree uint8_t *in = g_malloc(4096), *out = g_malloc(4096);
                char *other = make_file(PATH_DEVICE, 2 * SIZE);
                struct loop_info64 info = { 0 };
                StoreIdentity before, after;
                StoreError error;
                Bed b;

                /* half of it is hidden at first */
                bed_open(&b, &kind, SIZE, 0, 1);
                info.lo_sizelimit = SIZE / 2;
                device_ioctl(b.path, LOOP_SET_STATUS64, &info);
                g_assert_cmpint(store_refresh(b.store, &b.spec, &error), ==, 1);
                g_assert_cmpuint(store_caps(b.store).size, ==, SIZE / 2);
                g_assert_cmpint(run(&b, STORE_READ, 0, SIZE / 2, out, 4096), ==, -ERANGE);
                info.lo_sizelimit = 0;
                device_ioctl(b.path, LOOP_SET_STATUS64, &info);
                g_assert_cmpint(store_refresh(b.store, &b.spec, &error), ==, 1);
                g_assert_cmpuint(store_caps(b.store).size, ==, SIZE);
                g_assert_cmpint(run(&b, STORE_READ, 0, SIZE / 2, out, 4096), ==, 0);
                /* by way of a link, as udev makes them */
                unlink(link_path);
                b.spec.path = link_path;
                g_assert_cmpint(store_refresh(b.store, &b.spec, &error), ==, -ENODEV);
                g_assert_cmpint(run(&b, STORE_READ, 0, 0, out, 4096), ==, -ENODEV);
                g_assert_cmpint(symlink(b.path, link_path), ==, 0);
                g_assert_cmpint(store_refresh(b.store, &b.spec, &error), ==, 1);
                fill(in, 4096, 0, 1);
                g_assert_cmpint(run(&b, STORE_WRITE, STORE_FUA, 0, in, 4096), ==, 0);
                before = store_identity(b.store);
                unlink(link_path);
                g_assert_cmpint(symlink(other, link_path), ==, 0);
                g_assert_cmpint(store_refresh(b.store, &b.spec, &error), ==, 1);
                g_assert_cmpuint(store_caps(b.store).size, ==, 2 * SIZE);
                after = store_identity(b.store);
                g_assert_cmpint(memcmp(&before, &after, sizeof(before)), !=, 0);
                g_assert_cmpint(run(&b, STORE_READ, 0, 0, out, 4096), ==, 0);
                memset(in, 0, 4096);
                assert_same(out, in, 4096);
                bed_close(&b);
                unlink(link_path);
                remove_file(PATH_DEVICE, other);
        }
}

/* Let go and taken again at once, while the close is still under way. */
static void test_reopen(void)
{
        g_autofree uint8_t *buf = g_malloc0(65536);
        Kind kind = { "rdwr", { .type = "rdwr" }, PATH_DEVICE };
        StoreError error;
        Bed b;

        bed_open(&b, &kind, SIZE, 0, 1);
        for (unsigned i = 0; i < 20; i++) {
                g_assert_cmpint(run(&b, STORE_WRITE, 0, 0, buf, 65536), ==, 0);
                for (unsigned k = 0; k < 2; k++)
                        b.ch[k] = store_detach(b.ch[k]);
                b.store = store_unref(b.store);
                if (store_open(&b.spec, &b.store, &error) < 0)
                        g_error("%s", error.text);
                for (unsigned k = 0; k < 2; k++)
                        g_assert_cmpint(store_attach(b.store, b.host[k], &b.ch[k]), ==, 0);
        }
        bed_close(&b);
}

static void no_devices(void)
{
        g_test_skip("no loop devices: needs root and /dev/loop-control");
}

static const struct {
        const char *name;
        void (*test)(void);
} cases[] = {
        { "/store/device/caps", test_caps },         { "/store/device/in-use", test_in_use },
        { "/store/device/readonly", test_readonly }, { "/store/device/refresh", test_refresh },
        { "/store/device/reopen", test_reopen },
};

int main(int argc, char **argv)
{
        bool have = have_devices();

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                g_test_add_func(cases[i].name, have ? cases[i].test : no_devices);
        return g_test_run();
}
