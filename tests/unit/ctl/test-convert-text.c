/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <jansson.h>

#include "ctl/convert-text.h"

/* scst.conf and ctl.conf: what becomes of them, and that nothing of them is lost in silence. */

static const char *scst_file, *ctld_file;

typedef int ConvertFunc(Convert *c, const char *file, const char *text, char *reterr, size_t size);

static bool told(const Convert *c, bool lost, unsigned line, const char *part)
{
        g_autofree char *place = g_strdup_printf("conf:%u", line);
        unsigned n = 0;
        json_t *t;
        size_t i;

        json_array_foreach (c->told, i, t)
                n += json_is_true(json_object_get(t, "Lost")) == lost &&
                     g_str_equal(json_string_value(json_object_get(t, "What")), place) &&
                     strstr(json_string_value(json_object_get(t, "Text")), part) != NULL;
        g_assert_cmpuint(n, <=, 1); /* once, however many targets have it */
        return n == 1;
}

static unsigned n_lost(const Convert *c)
{
        unsigned n = 0;
        json_t *t;
        size_t i;

        json_array_foreach (c->told, i, t) {
                g_test_message("%s: %s", json_string_value(json_object_get(t, "What")),
                               json_string_value(json_object_get(t, "Text")));
                n += json_is_true(json_object_get(t, "Lost"));
        }
        return n;
}

static void convert_text(Convert *c, ConvertFunc *run, const char *text)
{
        char why[512] = "";

        convert_init(c);
        g_assert_cmpint(run(c, "conf", text, why, sizeof(why)), ==, 0);
}

static void convert_file(Convert *c, ConvertFunc *run, const char *path)
{
        g_autofree char *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        convert_text(c, run, text);
}

static const TargetSpec *target(const Convert *c, const char *name)
{
        g_autofree char *whole = g_strconcat("iqn.2026-01.org.example:", name, NULL);
        const TargetSpec *t = g_hash_table_lookup(c->desired->targets, whole);

        g_assert_nonnull(t);
        return t;
}

static const LunSpec *lun(const TargetSpec *t, uint16_t number)
{
        const LunSpec *l = target_spec_find_lun(t, number);

        g_assert_nonnull(l);
        return l;
}

static const char *account(const TargetSpec *t, guint i)
{
        const AccountSpec *a = g_ptr_array_index(t->incoming, i);
        g_autofree char *text = g_strconcat(a->user, "/", a->secret, NULL);

        return g_intern_string(text);
}

static void test_scst(void)
{
        const TargetSpec *t;
        const LunSpec *l;
        Convert c;

        convert_file(&c, convert_scst, scst_file);
        g_assert_cmpuint(g_hash_table_size(c.desired->targets), ==, 2);
        t = target(&c, "mail");
        g_assert_cmpstr(t->alias, ==, "the mail");
        g_assert_cmpuint(t->luns->len, ==, 2);
        l = lun(t, 0);
        g_assert_cmpstr(l->path, ==, "/srv/mail.img");
        g_assert_cmpuint(l->block_size, ==, 4096);
        g_assert_cmpstr(l->scsi_sn, ==, "a1b2c3d4");
        g_assert_cmpstr(l->scsi_id, ==, "a1b2c3d4-mail");
        g_assert_cmpstr(l->naa, ==, "60000000000000000000000000000a01");
        g_assert_cmpstr(l->vendor_id, ==, "SCST_FIO");
        g_assert_cmpstr(l->product_id, ==, "mail");
        g_assert_true(l->thin && l->rotation_rate == 1 && l->write_cache && !l->readonly);
        l = lun(t, 5);
        g_assert_cmpstr(l->bs_type, ==, "aio");
        g_assert_cmpstr(l->vendor_id, ==, "SCST_BIO");
        g_assert_true(l->readonly); /* by the LUN, not by the device */
        /* both groups that see the same; the third does not */
        g_assert_cmpuint(t->names->len, ==, 2);
        g_assert_cmpstr(t->names->pdata[1], ==, "iqn.1993-08.org.debian:01:h2");
        g_assert_true(told(&c, true, 85, "others: here all initiators"));
        g_assert_cmpuint(t->incoming->len, ==, 1);
        g_assert_cmpstr(account(t, 0), ==, "joe/secret of joe");
        g_assert_cmpstr(t->outgoing->user, ==, "we");
        g_assert_cmpuint(t->params->len, ==, 2);

        t = target(&c, "open");
        g_assert_false(t->online);
        g_assert_cmpstr(t->names->pdata[0], ==, "ALL");
        l = lun(t, 0);
        g_assert_cmpstr(l->path, ==, "/srv/two words.img");
        g_assert_cmpstr(l->vendor_id, ==, "ACME");
        g_assert_true(l->readonly && !l->write_cache);

        g_assert_cmpuint(c.desired->portals->len, ==, 1);
        g_assert_cmpuint(c.desired->discovery_incoming->len, ==, 1);
        g_assert_true(told(&c, true, 14, "cluster_mode: \"1\""));
        g_assert_true(told(&c, true, 16, "iso has no usn"));
        g_assert_true(told(&c, true, 16, "iso has no naa_id"));
        g_assert_true(told(&c, true, 30, "naa_id: 0x5000000000000001"));
        g_assert_true(told(&c, true, 31, "frobnicate"));
        g_assert_true(told(&c, false, 33, "no target maps lonely"));
        g_assert_true(told(&c, true, 39, "vcdrom"));
        g_assert_true(told(&c, true, 53, "iSNSServer"));
        g_assert_true(told(&c, true, 60, "allowed_portal"));
        g_assert_true(told(&c, true, 65, "redirect"));
        g_assert_true(told(&c, true, 73, "no patterns here"));
        g_assert_true(told(&c, true, 74, "IncomingUser"));
        g_assert_false(told(&c, true, 74, "secret-of-hidden"));
        g_assert_true(told(&c, true, 95, "there is no device nothing"));
        g_assert_true(told(&c, true, 99, "qla2x00t"));
        g_assert_true(told(&c, true, 105, "DEVICE_GROUP"));
        g_assert_cmpuint(n_lost(&c), ==, 15);
        convert_done(&c);
}

/* Access is never wider than it was. */
static void test_scst_groups(void)
{
        static const char *const head =
                "HANDLER vdisk_fileio {\nDEVICE a {\nfilename /a\n}\nDEVICE b {\nfilename "
                "/b\n}\n}\nTARGET_DRIVER iscsi {\nTARGET iqn.2026-01.org.example:x {\n";
        static const struct {
                const char *body, *names;
                guint n_luns;
        } rows[] = {
                { "", "", 0 },
                { "LUN 0 a\n", "ALL ", 1 },
                { "LUN 0 a\nGROUP g {\nLUN 0 b\nINITIATOR iqn.2026-01.org.example:h\n}\n",
                  "iqn.2026-01.org.example:h ", 1 },
                { "GROUP g {\nLUN 0 b\nLUN 1 a\n}\n", "", 2 },
                { "GROUP g {\nLUN 0 b\nINITIATOR *\n}\n", "ALL ", 1 },
                { "GROUP g {\nLUN 0 a\nINITIATOR iqn.2026-01.org.example:h\n}\nGROUP k {\nLUN 0 b\n"
                  "INITIATOR *\n}\n",
                  "iqn.2026-01.org.example:h ", 1 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *text = g_strconcat(head, rows[i].body, "}\n}\n", NULL);
                g_autoptr(GString) names = g_string_new(NULL);
                const TargetSpec *t;
                Convert c;

                g_test_message("%s", rows[i].body);
                convert_text(&c, convert_scst, text);
                t = target(&c, "x");
                for (guint k = 0; k < t->names->len; k++)
                        g_string_append_printf(names, "%s ", (char *)t->names->pdata[k]);
                g_assert_cmpstr(names->str, ==, rows[i].names);
                g_assert_true(t->access_given);
                g_assert_cmpuint(t->luns->len, ==, rows[i].n_luns);
                convert_done(&c);
        }
}

static void test_ctld(void)
{
        const TargetSpec *t;
        const LunSpec *l;
        Convert c;

        convert_file(&c, convert_ctld, ctld_file);
        g_assert_cmpuint(g_hash_table_size(c.desired->targets), ==, 5);
        t = target(&c, "shared");
        g_assert_cmpuint(t->luns->len, ==, 2);
        l = lun(t, 0);
        g_assert_cmpstr(l->path, ==, "/dev/zvol/tank/shared");
        g_assert_cmpstr(l->scsi_id, ==, "shared designator, of more than thirty-six bytes");
        g_assert_cmpstr(l->scsi_sn, ==, "SHARED0001");
        g_assert_cmpstr(l->naa, ==, "60000000000000000000000000000b01");
        g_assert_cmpstr(l->vendor_id, ==, "ACME");
        g_assert_cmpstr(l->product_rev, ==, "7");
        g_assert_true(l->block_size == 4096 && l->thin && l->rotation_rate == 7200);
        l = lun(t, 3);
        g_assert_cmpstr(l->vendor_id, ==, "FREEBSD");
        g_assert_cmpstr(l->product_id, ==, "CTLDISK");
        g_assert_true(l->readonly && !l->write_cache);
        g_assert_cmpstr(t->names->pdata[0], ==, "iqn.1993-08.org.debian:01:h1");
        g_assert_cmpuint(t->addresses->len, ==, 2);
        g_assert_cmpstr(t->addresses->pdata[1], ==, "[2001:db8::]/64");
        g_assert_cmpuint(t->incoming->len, ==, 2);
        g_assert_cmpstr(account(t, 0), ==, "joe/secret-of-joe");
        g_assert_cmpstr(t->outgoing->user, ==, "we");

        g_assert_cmpstr(target_spec_access(target(&c, "open")), ==, "nobody");
        g_assert_cmpstr(target_spec_access(target(&c, "default")), ==, "nobody");
        g_assert_cmpstr(target(&c, "free")->names->pdata[0], ==, "ALL");
        g_assert_cmpuint(target(&c, "free")->incoming->len, ==, 0);
        g_assert_cmpstr(target(&c, "own")->names->pdata[0], ==, "ALL");
        g_assert_cmpstr(account(target(&c, "own"), 0), ==, "bob/secret-of-bob");

        g_assert_cmpuint(c.desired->portals->len, ==, 1);
        g_assert_cmpuint(c.desired->discovery_incoming->len, ==, 1);
        g_assert_true(told(&c, true, 3, "isns-server"));
        g_assert_true(told(&c, true, 8, "redirect"));
        g_assert_true(told(&c, true, 21, "frobnicate"));
        g_assert_true(told(&c, true, 34, "eui 0x0102030405060708"));
        g_assert_true(told(&c, false, 37, "no target has lonely"));
        g_assert_true(told(&c, true, 46, "readonly"));
        g_assert_true(told(&c, true, 53, "device-type 5"));
        g_assert_true(told(&c, true, 58, "there is no lun missing"));
        g_assert_true(told(&c, true, 59, "port"));
        g_assert_true(told(&c, true, 64, "does not depend on the portal"));
        g_assert_true(told(&c, false, 78, "nobody may enter"));
        g_assert_true(told(&c, true, 83, "controller"));
        g_assert_cmpuint(n_lost(&c), ==, 10);
        convert_done(&c);
}

/* Lines and blanks say nothing there; and where a type of authentication is said, it counts. */
static void test_ctld_forms(void)
{
        static const struct {
                const char *auth, *access;
                guint n_accounts;
        } rows[] = {
                { "auth-type none", "ALL", 0 },
                { "auth-type deny chap a secretsecret", NULL, 0 },
                { "auth-type chap", NULL, 0 },
                { "auth-type chap chap a secretsecret", "ALL", 1 },
                { "auth-group no-access", NULL, 0 },
                { "auth-group nowhere", NULL, 0 },
                { "chap a secretsecret chap b secretsecret", "ALL", 2 },
                { "initiator-name iqn.2026-01.org.example:h", "iqn.2026-01.org.example:h", 0 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *text = g_strdup_printf(
                        "target iqn.2026-01.org.example:x{%s lun 0{path /a serial s "
                        "device-id d option naa "
                        "0x60000000000000000000000000000001}}",
                        rows[i].auth);
                const TargetSpec *t;
                Convert c;

                g_test_message("%s", text);
                convert_text(&c, convert_ctld, text);
                t = target(&c, "x");
                g_assert_cmpstr(lun(t, 0)->path, ==, "/a");
                g_assert_cmpuint(t->incoming->len, ==, rows[i].n_accounts);
                g_assert_cmpuint(t->names->len, ==, rows[i].access != NULL);
                if (rows[i].access)
                        g_assert_cmpstr(t->names->pdata[0], ==, rows[i].access);
                convert_done(&c);
        }
}

/* What is written is read again, as the same. */
static void test_round_trip(void)
{
        static ConvertFunc *const funcs[] = { convert_scst, convert_ctld };
        const char *const files[] = { scst_file, ctld_file };

        for (size_t i = 0; i < G_N_ELEMENTS(funcs); i++) {
                g_autoptr(GString) text = g_string_new(NULL);
                g_autoptr(GPtrArray) problems = NULL;
                g_autoptr(GHashTable) bad = NULL;
                Desired *again = NULL;
                GHashTableIter iter;
                gpointer value;
                Convert c;

                convert_file(&c, funcs[i], files[i]);
                desired_write(c.desired, true, text);
                g_assert_cmpint(config_load_text(text->str, "x", NULL, &again, &bad, &problems), ==,
                                0);
                g_assert_cmpuint(g_hash_table_size(bad), ==, 0);
                g_hash_table_iter_init(&iter, c.desired->targets);
                while (g_hash_table_iter_next(&iter, NULL, &value)) {
                        const TargetSpec *t = value;

                        g_assert_true(
                                target_spec_equal(t, g_hash_table_lookup(again->targets, t->name)));
                }
                desired_free(again);
                convert_done(&c);
        }
}

static void test_nonsense(void)
{
        static const struct {
                const char *text, *why;
        } rows[] = {
                { "a \"b\nc", "line 1: a quote is not closed" },
                { "\n{", "line 2: a { without a statement before it" },
                { "a {\n} }", "line 2: a } without a {" },
                { "a\nb {\nc {\n}\n", "line 2: the block is not closed" },
                { "a { b { c { d { e { f { g { h { i { j { k { l { m { n { o { p { q {",
                  "line 1: too many blocks within blocks" },
                { "a \xff", "line 1: this is not a text in UTF-8" },
                { "a { } { }", "line 1: a { without a statement before it" },
        };
        static const char *const odd[] = {
                "HANDLER\nTARGET_DRIVER\nLUN\n",
                "TARGET_DRIVER iscsi {\nTARGET\nTARGET x {\nLUN\n}\nTARGET "
                "iqn.2026-01.org.example:x {\nLUN 70000 y\nGROUP\nIncomingUser x\n}\n}\n",
                "HANDLER vdisk_fileio {\nDEVICE\nDEVICE d {\nfilename\nusn\nnaa_id\n}\n}\n"
                "TARGET_DRIVER iscsi {\nTARGET iqn.2026-01.org.example:x {\nLUN 99999 d\nLUN 1 "
                "d\nLUN 1 d\n}\n}\n",
                "target\ntarget x\nlun\nauth-group\ntarget iqn.2026-01.org.example:x { lun lun 1 { "
                "} "
                "lun 1 { } auth-group chap chap-mutual portal-group option }\n",
                "enabled { a }\n",
        };
        static ConvertFunc *const funcs[] = { convert_scst, convert_ctld };

        for (size_t f = 0; f < G_N_ELEMENTS(funcs); f++) {
                for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                        char why[512] = "";
                        Convert c;

                        convert_init(&c);
                        g_assert_cmpint(funcs[f](&c, "conf", rows[i].text, why, sizeof(why)), ==,
                                        -EINVAL);
                        g_assert_cmpstr(why, ==, rows[i].why);
                        convert_done(&c);
                }
                for (size_t i = 0; i < G_N_ELEMENTS(odd); i++) { /* no reason to fall over */
                        Convert c;

                        convert_text(&c, funcs[f], odd[i]);
                        g_assert_cmpuint(json_array_size(c.told), >, 0);
                        convert_done(&c);
                }
        }
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(argc, ==, 3);
        scst_file = argv[1];
        ctld_file = argv[2];
        g_test_add_func("/convert-text/scst", test_scst);
        g_test_add_func("/convert-text/scst-groups", test_scst_groups);
        g_test_add_func("/convert-text/ctld", test_ctld);
        g_test_add_func("/convert-text/ctld-forms", test_ctld_forms);
        g_test_add_func("/convert-text/round-trip", test_round_trip);
        g_test_add_func("/convert-text/nonsense", test_nonsense);
        return g_test_run();
}
