/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/identity.h"

#include <fcntl.h>
#include <stdio.h>

#include <glib/gstdio.h>

typedef struct Fixture {
        char *dir, *path;
        Identities *i;
        LunSpec *l;
} Fixture;

static void reopen(Fixture *f, unsigned damaged)
{
        g_autofree char *pending = f->i ? identities_take_pending(f->i) : NULL;
        unsigned n;

        if (pending)
                g_assert_cmpint(identities_append(f->path, pending), ==, 0);
        identities_free(f->i);
        g_assert_cmpint(identities_open(f->path, &f->i, &n), ==, 0);
        g_assert_cmpuint(n, ==, damaged);
}

static void set_up(Fixture *f, gconstpointer data)
{
        f->dir = g_dir_make_tmp("tgt-identity-XXXXXX", NULL);
        f->path = g_build_filename(f->dir, "identities", NULL);
        f->l = lun_spec_new();
        reopen(f, 0);
}

static void tear_down(Fixture *f, gconstpointer data)
{
        identities_free(f->i);
        lun_spec_free(f->l);
        (void)g_unlink(f->path);
        (void)g_rmdir(f->dir);
        g_free(f->path);
        g_free(f->dir);
}

#define _identity_ __attribute__((cleanup(identity_clear)))

static LuIdentity resolve(Fixture *f, const char *key)
{
        LuIdentity id;

        g_assert_cmpint(identities_resolve(f->i, key, f->l, &id), ==, 0);
        return id;
}

static void resolve_again(Fixture *f, const char *key, LuIdentity *id)
{
        identity_clear(id);
        *id = resolve(f, key);
}

static void assert_same(const LuIdentity *a, const LuIdentity *b, bool same)
{
        g_assert_cmpint(memcmp(a->uuid, b->uuid, 16) == 0, ==, same);
        g_assert_cmpint(memcmp(a->naa, b->naa, 16) == 0, ==, same);
        g_assert_cmpint(STREQ(a->serial, b->serial), ==, same);
        g_assert_cmpint(STREQ(a->scsi_id, b->scsi_id), ==, same);
}

static void test_recorded(Fixture *f, gconstpointer data)
{
        _identity_ LuIdentity a = resolve(f, "path:/a\tb\n\"c"), b = resolve(f, "path:/b"),
                              again = { 0 };

        assert_same(&a, &b, false);
        reopen(f, 0);
        resolve_again(f, "path:/a\tb\n\"c", &again);
        assert_same(&a, &again, true);
        resolve_again(f, "path:/b", &again);
        assert_same(&b, &again, true);
        g_assert_null(identities_take_pending(f->i));
}

/* SPC-4 7.8.6.6.5: NAA 6; the OUI is a locally administered one, and no group's. */
static void test_naa_form(Fixture *f, gconstpointer data)
{
        for (unsigned i = 0; i < 200; i++) {
                g_autofree char *key = g_strdup_printf("path:/%u", i);
                _identity_ LuIdentity id = resolve(f, key);

                g_assert_cmpuint(id.naa[0] >> 4, ==, 6);
                g_assert_cmpuint(id.naa[1] & 0x20, ==, 0x20);
                g_assert_cmpuint(id.naa[1] & 0x10, ==, 0);
        }
}

static void test_set(Fixture *f, gconstpointer data)
{
        _identity_ LuIdentity a = { 0 }, b = { 0 };

        f->l->uuid = g_strdup("01234567-89ab-cdef-0123-456789abcdef");
        resolve_again(f, "path:/a", &a);
        resolve_again(f, "path:/other", &b); /* another host, perhaps */
        assert_same(&a, &b, true);
        g_assert_null(identities_take_pending(f->i));
        f->l->naa = g_strdup("6001405000000000000000000000abcd");
        f->l->scsi_sn = g_strdup("SN1");
        f->l->scsi_id = g_strdup("00010001");
        f->l->vendor_id = g_strdup("XTG");
        resolve_again(f, "path:/a", &a);
        g_assert_cmpuint(a.naa[0], ==, 0x60);
        g_assert_cmpuint(a.naa[15], ==, 0xcd);
        g_assert_cmpstr(a.serial, ==, "SN1");
        g_assert_cmpstr(a.scsi_id, ==, "00010001");
        g_assert_cmpstr(a.vendor, ==, "XTG");
}

/* Two hosts that set scsi_id alone present one disk; two disks of one host do not. */
static void test_scsi_id_decides_naa(Fixture *f, gconstpointer data)
{
        _identity_ LuIdentity a = { 0 }, b = { 0 };

        f->l->scsi_id = g_strdup("00010001");
        resolve_again(f, "path:/a", &a);
        resolve_again(f, "path:/b", &b);
        g_assert_cmpmem(a.naa, 16, b.naa, 16);
        g_assert_cmpint(memcmp(a.uuid, b.uuid, 16), !=, 0);
        f->l->scsi_sn = g_strdup("2");
        resolve_again(f, "path:/b", &b);
        g_assert_cmpint(memcmp(a.naa, b.naa, 16), !=, 0);
}

static void test_alias(Fixture *f, gconstpointer data)
{
        _identity_ LuIdentity a = resolve(f, "path:/a"), b = { 0 };

        resolve_again(f, "path:/link", &b);
        identities_alias(f->i, "path:/link", "path:/a");
        reopen(f, 0);
        resolve_again(f, "path:/link", &b);
        assert_same(&a, &b, true);
        identities_renew(f->i, "path:/link");
        reopen(f, 0);
        resolve_again(f, "path:/link", &b);
        assert_same(&a, &b, false);
}

static void damage(const Fixture *f, gsize cut, bool flip)
{
        g_autofree char *text = NULL;
        gsize n;

        g_assert_true(g_file_get_contents(f->path, &text, &n, NULL));
        if (flip)
                text[n - cut] ^= 1;
        g_assert_true(g_file_set_contents(f->path, text, (gssize)(flip ? n : n - cut), NULL));
}

/* A line that was torn by a crash costs itself, and the next one is not glued to it. */
static void test_torn(Fixture *f, gconstpointer data)
{
        _identity_ LuIdentity a = resolve(f, "path:/a"), b = resolve(f, "path:/b"), c = { 0 },
                              again = { 0 };

        reopen(f, 0);
        damage(f, 10, false);
        reopen(f, 1);
        resolve_again(f, "path:/b", &c);
        assert_same(&b, &c, false);
        reopen(f, 1);
        resolve_again(f, "path:/a", &again);
        assert_same(&a, &again, true);
        resolve_again(f, "path:/b", &again);
        assert_same(&c, &again, true);
}

static void test_flipped_bit(Fixture *f, gconstpointer data)
{
        _identity_ LuIdentity a = resolve(f, "path:/a"), again = { 0 };

        reopen(f, 0);
        damage(f, 20, true);
        reopen(f, 1);
        resolve_again(f, "path:/a", &again);
        assert_same(&a, &again, false);
}

static void test_versions(Fixture *f, gconstpointer data)
{
        Identities *i = NULL;
        unsigned n;

        g_assert_true(g_file_set_contents(f->path, "tgt-identities 2\n", -1, NULL));
        g_assert_cmpint(identities_open(f->path, &i, &n), ==, -EPROTONOSUPPORT);
        g_assert_true(g_file_set_contents(f->path, "something\n", -1, NULL));
        g_assert_cmpint(identities_open(f->path, &i, &n), ==, -EBADMSG);
        g_assert_null(i);
}

static void test_put_back(Fixture *f, gconstpointer data)
{
        _identity_ LuIdentity a = resolve(f, "path:/a"), again = { 0 };
        char *text = identities_take_pending(f->i);

        identities_put_back(f->i, text); /* the disk was full */
        g_free(text);
        resolve_again(f, "path:/b", &again);
        reopen(f, 0);
        resolve_again(f, "path:/a", &again);
        assert_same(&a, &again, true);
}

static void test_keys(void)
{
        LunSpec *l = lun_spec_new();
        g_autofree char *a = NULL, *b = NULL;

        l->lun = 7;
        a = identity_key("iqn.t", l);
        g_assert_cmpstr(a, ==, "lun:iqn.t/7");
        l->path = g_strdup("/x");
        b = identity_key("iqn.t", l);
        g_assert_cmpstr(b, ==, "path:/x");
        lun_spec_free(l);
}

static void test_uuid_parse(void)
{
        uint8_t u[16];

        g_assert_cmpint(uuid_parse("0123456789abcdef0123456789abcdef", u), ==, 0);
        g_assert_cmpint(uuid_parse("01234567-89ab-cdef-0123-456789ABCDEF", u), ==, 0);
        g_assert_cmpuint(u[15], ==, 0xef);
        g_assert_cmpint(uuid_parse("0123456-789ab-cdef-0123-456789abcdef", u), ==, -EINVAL);
        g_assert_cmpint(uuid_parse("01234567-89ab-cdef-0123-456789abcdefa", u), ==, -EINVAL);
        g_assert_cmpint(uuid_parse("01234567-89ab-cdef-0123-456789abcde", u), ==, -EINVAL);
        g_assert_cmpint(uuid_parse("", u), ==, -EINVAL);
}

#define ADD(name, function) \
        g_test_add("/identity/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/identity/keys", test_keys);
        g_test_add_func("/identity/uuid-parse", test_uuid_parse);
        ADD("recorded", test_recorded);
        ADD("naa-form", test_naa_form);
        ADD("set", test_set);
        ADD("scsi-id-decides-naa", test_scsi_id_decides_naa);
        ADD("alias", test_alias);
        ADD("torn", test_torn);
        ADD("flipped-bit", test_flipped_bit);
        ADD("versions", test_versions);
        ADD("put-back", test_put_back);
        return g_test_run();
}
