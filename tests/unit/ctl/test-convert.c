/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <jansson.h>

#include "ctl/convert.h"

#define HOST "iqn.2003-01.org.linux-iscsi.host:"

static char *sample;

static void test_naa(void)
{
        static const struct {
                const char *serial, *naa;
        } rows[] = {
                { "f3e8a1c2-0d4b-4c5e-9a6f-7b8091a2b3c4", "6001405f3e8a1c20d4b4c5e9a6f7b809" },
                { "F3E8A1C2", "6001405f3e8a1c200000000000000000" },
                { "", "60014050000000000000000000000000" },
                { "x-1-y", "60014051000000000000000000000000" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *naa = lio_naa(rows[i].serial);

                g_assert_cmpstr(naa, ==, rows[i].naa);
                g_assert_cmpuint(strlen(naa), ==, 32);
        }
}

static bool told(const Convert *c, bool lost, const char *what, const char *part)
{
        json_t *t;
        size_t i;

        json_array_foreach (c->told, i, t)
                if (json_is_true(json_object_get(t, "Lost")) == lost &&
                    strstr(json_string_value(json_object_get(t, "What")), what) &&
                    strstr(json_string_value(json_object_get(t, "Text")), part))
                        return true;
        return false;
}

static const TargetSpec *target(const Convert *c, const char *name)
{
        g_autofree char *whole = g_strconcat(HOST, name, NULL);

        return g_hash_table_lookup(c->desired->targets, whole);
}

static void convert(Convert *c)
{
        char why[512] = "";
        json_t *t;
        size_t i;

        convert_init(c);
        g_assert_cmpint(convert_lio(c, "x", sample, why, sizeof(why)), ==, 0);
        json_array_foreach (c->told, i, t)
                g_test_message("%s %s: %s",
                               json_is_true(json_object_get(t, "Lost")) ? "lost" : "note",
                               json_string_value(json_object_get(t, "What")),
                               json_string_value(json_object_get(t, "Text")));
}

static void test_disks(void)
{
        const TargetSpec *t;
        const LunSpec *l;
        Convert c;

        convert(&c);
        t = target(&c, "one");
        g_assert_nonnull(t);
        /* of four: those that both initiators see alike, and of a type that there is */
        g_assert_cmpuint(t->luns->len, ==, 2);
        l = target_spec_find_lun(t, 5); /* as the initiators knew it, not as the group does */
        g_assert_nonnull(l);
        g_assert_cmpstr(l->path, ==, "/srv/a.img");
        g_assert_cmpstr(l->naa, ==, "6001405f3e8a1c20d4b4c5e9a6f7b809");
        g_assert_cmpstr(l->uuid, ==, "f3e8a1c2-0d4b-4c5e-9a6f-7b8091a2b3c4");
        g_assert_cmpstr(l->scsi_sn, ==, "f3e8a1c2-0d4b-4c5e-9a6f-7b8091a2b3c4");
        g_assert_cmpstr(l->vendor_id, ==, "LIO-ORG");
        g_assert_cmpstr(l->scsi_id, ==, "a:f3e8a1c2-0d4b-4c5e-9a6f-7b8091a2b3c4");
        g_assert_cmpstr(l->product_id, ==, "a");
        g_assert_cmpstr(l->product_rev, ==, "4.0");
        g_assert_true(l->write_cache && l->thin && !l->readonly);
        g_assert_cmpint(l->rotation_rate, ==, 1);
        l = target_spec_find_lun(t, 1);
        g_assert_nonnull(l);
        g_assert_cmpstr(l->path, ==, "/dev/vg/b");
        g_assert_cmpstr(l->product_id, ==, "IBLOCK");
        g_assert_cmpuint(l->block_size, ==, 4096);
        g_assert_true(l->readonly && !l->write_cache);
        g_assert_true(told(&c, true, "LUN 2", "do not all see it alike"));
        g_assert_true(told(&c, true, "LUN 3", "backstores of type pscsi"));
        g_assert_true(told(&c, true, "LUN 1", "attribute pi_prot_type 1"));
        g_assert_false(told(&c, false, "LUN 0", "T10 designator"));
        g_assert_true(told(&c, false, "/backstores/fileio/lonely", "no target maps it"));
        g_assert_false(told(&c, true, "", "max_unmap_lba_count"));

        t = target(&c, "open");
        l = target_spec_find_lun(t, 0);
        g_assert_cmpstr(l->bs_type, ==, "rbd");
        g_assert_cmpstr(l->path, ==, "pool/image");
        g_assert_true(told(&c, true, "LUN 0", "osd_op_timeout=30"));
        t = target(&c, "shown"); /* demo mode is read-only unless it says otherwise */
        l = target_spec_find_lun(t, 7);
        g_assert_cmpstr(l->bs_type, ==, "ram");
        g_assert_cmpuint(l->size, ==, 1048576);
        g_assert_true(l->readonly);
        convert_done(&c);
}

static void test_access(void)
{
        const TargetSpec *t;
        const AccountSpec *a;
        Convert c;

        convert(&c);
        t = target(&c, "one");
        g_assert_cmpuint(t->names->len, ==, 2);
        g_assert_cmpstr(t->names->pdata[0], ==, "iqn.1993-08.org.debian:01:h1");
        g_assert_cmpuint(t->incoming->len, ==, 2);
        a = g_ptr_array_index(t->incoming, 1);
        g_assert_cmpstr(a->user, ==, "u2");
        g_assert_cmpstr(a->secret, ==, "secret-of-u2");
        g_assert_cmpstr(t->outgoing->user, ==, "m");
        g_assert_true(t->access_given && t->online);
        g_assert_true(told(&c, false, "host:one", "any of its initiators may use any"));
        g_assert_true(told(&c, true, "host:one", "attribute default_erl 2"));
        g_assert_true(told(&c, true, "host:one", "target portal group 2"));

        t = target(&c, "open");
        g_assert_cmpuint(t->names->len, ==, 1);
        g_assert_cmpstr(t->names->pdata[0], ==, "ALL");
        g_assert_cmpstr(t->alias, ==, "the open one");
        t = target(&c, "shut"); /* nobody had an account, so nobody could enter */
        g_assert_false(t->online);
        g_assert_true(told(&c, true, "host:shut", "authentication 1 without an account"));
        g_assert_true(told(&c, true, "naa.5001405c9a0f3ce7", "fabric vhost"));
        g_assert_cmpuint(g_hash_table_size(c.desired->targets), ==, 4);
        convert_done(&c);
}

static void test_the_rest(void)
{
        const AccountSpec *a;
        Convert c;

        convert(&c);
        g_assert_cmpuint(c.desired->portals->len, ==, 1);
        g_assert_cmpstr(((PortalSpec *)c.desired->portals->pdata[0])->address, ==,
                        "[2001:db8::1]:3261");
        g_assert_true(told(&c, true, "portal 192.0.2.1:3260", "iSER"));
        g_assert_true(told(&c, false, "portal [2001:db8::1]:3261", "all targets"));
        g_assert_cmpuint(c.desired->discovery_incoming->len, ==, 1);
        a = c.desired->discovery_incoming->pdata[0];
        g_assert_cmpstr(a->user, ==, "finder");
        g_assert_cmpuint(target(&c, "one")->params->len, ==, 2); /* HeaderDigest, MaxBurstLength */
        g_assert_true(told(&c, true, "host:one", "FrobLength 7"));
        convert_done(&c);
}

/* What is written is read again, as the same. */
static void test_round_trip(void)
{
        g_autoptr(GString) text = g_string_new(NULL);
        g_autoptr(GPtrArray) problems = NULL;
        g_autoptr(GHashTable) bad = NULL;
        Desired *again = NULL;
        GHashTableIter iter;
        gpointer value;
        Convert c;

        convert(&c);
        desired_write(c.desired, true, text);
        g_assert_cmpint(config_load_text(text->str, "x", NULL, &again, &bad, &problems), ==, 0);
        g_assert_cmpuint(g_hash_table_size(bad), ==, 0);
        g_hash_table_iter_init(&iter, c.desired->targets);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const TargetSpec *t = value;

                g_assert_true(target_spec_equal(t, g_hash_table_lookup(again->targets, t->name)));
        }
        desired_free(again);
        convert_done(&c);
}

static void test_nonsense(void)
{
        static const char *const texts[] = {
                "",
                "x",
                "[]",
                "{}",
                "{\"storage_objects\": 1, \"targets\": []}",
                "{\"storage_objects\": [], \"targets\": {}}",
        };
        static const char *const odd[] = {
                "{\"storage_objects\": [1, null, {}], \"targets\": [null, 3, {}, {\"fabric\": "
                "\"iscsi\"}, {\"fabric\": \"iscsi\", \"wwn\": \"iqn.2026-01.org.example:x\"}]}",
                "{\"storage_objects\": [], \"targets\": [{\"fabric\": \"iscsi\", \"wwn\": "
                "\"iqn.2026-01.org.example:x\", \"tpgs\": [{\"luns\": [{\"index\": -1}, 7, "
                "{\"index\": 99999, \"storage_object\": \"/backstores/x/y\"}], \"node_acls\": "
                "[{}], "
                "\"portals\": [{}, {\"ip_address\": \"\\n\", \"port\": -5}], \"parameters\": [], "
                "\"attributes\": 9}]}]}",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                char why[512] = "";
                Convert c;

                convert_init(&c);
                g_assert_cmpint(convert_lio(&c, "x", texts[i], why, sizeof(why)), ==, -EINVAL);
                g_assert_cmpuint(strlen(why), >, 5);
                convert_done(&c);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(odd); i++) { /* odd, and no reason to fall over */
                char why[512] = "";
                Convert c;

                convert_init(&c);
                g_assert_cmpint(convert_lio(&c, "x", odd[i], why, sizeof(why)), ==, 0);
                g_assert_cmpuint(json_array_size(c.told), >, 0);
                convert_done(&c);
        }
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(argc, ==, 2);
        g_assert_true(g_file_get_contents(argv[1], &sample, NULL, NULL));
        g_test_add_func("/convert/naa", test_naa);
        g_test_add_func("/convert/disks", test_disks);
        g_test_add_func("/convert/access", test_access);
        g_test_add_func("/convert/the-rest", test_the_rest);
        g_test_add_func("/convert/round-trip", test_round_trip);
        g_test_add_func("/convert/nonsense", test_nonsense);
        return g_test_run();
}
