/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/directives.h"

#include <strings.h>

#include "config/config.h"
#include "config/values.h"

/* A walk over the table. Each row that sets something has here a value that is not its default, as
 * the writer would write it, and one that it must refuse. A row without an example fails the
 * test. */
static const struct {
        const char *name, *good, *wrong;
} examples[] = {
        { "portal", "192.0.2.1:3261", "example.com" },
        { "incomingdiscoveryuser", "alice secretsecret", "alice" },
        { "account", "dora secretsecret", "dora" },
        { "outgoingdiscoveryuser", "bob secretsecret", "a b c" },
        { "backing-directory", "/srv/tgt", "srv" },
        { "driver", NULL, "iser" },
        { "alias", "A disk", NULL },
        { "controller_tid", "7", "0" },
        { "state", "offline", "sleeping" },
        { "replace", "yes", "perhaps" },
        { "masked", "yes", "perhaps" },
        { "initiator-address", "192.0.2.0/24", "192.0.2.1 192.0.2.2" },
        { "initiator-name", "iqn.2001-04.com.example:host", "a b" },
        { "limit-initiator", "iqn.2001-04.com.example:host iops=10k bandwidth=64Mi burst=500ms",
          "ALL iops=1 bytes=2" },
        { "incominguser", "alice secretsecret", "alice" },
        { "outgoinguser", "bob secretsecret", "bob \"\"" },
        { "lun", "12", "16384" },
        { "device-type", NULL, "tape" },
        { "bs-type", "aio", "glfs" },
        { "bsopts", "a=1;b=2", "a=1;cephx_key=x" },
        { "bsoflags", "sync:direct", "fast" },
        { "block-size", "4096", "1024" },
        { "size", "1073741824", "1X" },
        { "write-cache", "off", "maybe" },
        { "readonly", "1", "2" },
        { "removable", "1", "2" },
        { "online", "0", "2" },
        { "thin-provisioning", "1", "2" },
        { "allow-in-use", "yes", "x" },
        { "sense_format", "1", "2" },
        { "rotation_rate", "7200", "2" },
        { "lbppbe", "3", "16" },
        { "la_lba", "7", "16384" },
        { "optimal_xfer_gran", "8", "65536" },
        { "optimal_xfer_len", "128", "-1" },
        { "vendor_id", "ACME", "\xc3\xbc" },
        { "product_id", "Big disk", "\xc3\xbc" },
        { "product_rev", "0002", "\xc3\xbc" },
        { "scsi_id", "00010001", " " },
        { "scsi_sn", "SN 1", "\x01" },
        { "uuid", "0f2c1a5e-8d21-4d3c-9b5e-6a4f3c2b1d0e", "0f2c" },
        { "naa", "60000000000000000e00000000010001", "50000000000000000e00000000010001" },
        { "identity", "stgt", "mine" },
        { "limit-iops", "10k", "0.5" },
        { "limit-read-iops", "123", "-1" },
        { "limit-write-iops", "2M", "1m" },
        { "limit-bandwidth", "50M", "50" },
        { "limit-read-bandwidth", "64Mi", "64KX" },
        { "limit-write-bandwidth", "3G", "2000T" },
        { "limit-burst", "1500ms", "1ms" },
        { "mode_page", "0x1c:0:10:8", "8:0:1:2:3" },
        { "path", "/dev/sdb", "" },
};

static const char *const without_field[] = { "include",      "default-driver", "ignore-errors",
                                             "control-port", "IFMarker",       "OFMarker",
                                             "IFMarkInt",    "OFMarkInt",      "backing-store",
                                             "direct-store", "params" };

static void *new_object(const Directive *d)
{
        if (d->where & IN_LUN)
                return lun_spec_new();
        return d->where & IN_TARGET ? (void *)target_spec_new("iqn.x") : (void *)desired_new();
}

static void free_object(const Directive *d, void *o)
{
        if (d->where & IN_LUN)
                lun_spec_free(o);
        else if (d->where & IN_TARGET)
                target_spec_free(o);
        else
                desired_free(o);
}

static bool objects_equal(const Directive *d, const void *a, const void *b)
{
        if (d->where & IN_LUN)
                return lun_spec_equal(a, b);
        if (d->where & IN_TARGET)
                return target_spec_equal(a, b);
        return config_diff(a, b)->len == 0;
}

static void *dup_object(const Directive *d, const void *o)
{
        if (d->where & IN_LUN)
                return lun_spec_dup(o);
        return d->where & IN_TARGET ? (void *)target_spec_dup(o) : (void *)desired_dup(o);
}

static int set(const Directive *d, void *object, const char *value)
{
        Setting s = {
                .directive = d, .raw = value, .value = value, .object = object, .replace = true
        };
        int r = directive_set(&s);

        g_assert_cmpint(r != 0, ==, *s.text != '\0');
        return r;
}

static GPtrArray *get(const Directive *d, const void *object)
{
        GPtrArray *values = g_ptr_array_new_with_free_func(g_free);

        d->type->get(d, object, values);
        return values;
}

/* What has no part in equality: how a merge came about is not an effect, and what masks is. */
static bool has_no_effect(const Directive *d)
{
        return STREQ(d->name, "replace") || STREQ(d->name, "backing-directory");
}

static void walk_good(const Directive *d, const char *value)
{
        void *object = new_object(d), *fresh = new_object(d), *copy;
        g_autoptr(GPtrArray) before = get(d, object), after = NULL, cleared = NULL, copied = NULL;

        g_assert_cmpint(set(d, object, value), ==, 0);
        after = get(d, object);
        g_assert_cmpuint(after->len, ==, 1);
        g_assert_cmpstr(after->pdata[0], ==, value);
        if (!has_no_effect(d))
                g_assert_false(objects_equal(d, object, fresh));

        copy = dup_object(d, object);
        g_assert_true(objects_equal(d, object, copy));
        copied = get(d, copy);
        g_assert_cmpuint(copied->len, ==, 1);

        d->type->clear(d, object);
        cleared = get(d, object);
        g_assert_cmpuint(cleared->len, ==, before->len);
        g_assert_true(objects_equal(d, object, fresh));
        /* the copy shares nothing */
        g_assert_false(has_no_effect(d) ? false : objects_equal(d, object, copy));
        free_object(d, object);
        free_object(d, fresh);
        free_object(d, copy);
}

static void walk_wrong(const Directive *d, const char *value)
{
        void *object = new_object(d), *fresh = new_object(d);

        g_assert_cmpint(set(d, object, value), ==, -EINVAL);
        g_assert_true(objects_equal(d, object, fresh));
        free_object(d, object);
        free_object(d, fresh);
}

/* The daemon's check, which has the last word. */
static int refuse(const char *name, const char *value, char *reterr, size_t size)
{
        (void)g_snprintf(reterr, size, "no %s for %s", value, name);
        return -EINVAL;
}

static int take(const char *name, const char *value, char *reterr, size_t size)
{
        return 0;
}

static void walk_param(const Directive *d)
{
        TargetSpec *t = target_spec_new("iqn.x");
        g_auto(GStrv) words = g_strsplit_set(d->values, "|.", -1);
        Setting s = { .directive = d, .raw = words[0], .value = words[0], .object = t };
        g_autoptr(GPtrArray) values = NULL;

        s.check = take;
        g_assert_cmpint(directive_set(&s), ==, 0);
        g_assert_cmpstr(((ConfigParam *)t->params->pdata[0])->name, ==, d->name);
        values = get(d, t);
        g_assert_cmpstr(values->pdata[0], ==, words[0]);
        s.check = refuse;
        g_assert_cmpint(directive_set(&s), ==, -EINVAL);
        g_assert_nonnull(strstr(s.text, d->name));
        s.check = NULL;
        s.raw = s.value = "wrong";
        g_assert_cmpint(directive_set(&s), ==, -EINVAL);
        g_assert_nonnull(strstr(s.text, d->values));
        d->type->clear(d, t);
        g_assert_cmpuint(t->params->len, ==, 0);
        target_spec_free(t);
}

static void test_walk(void)
{
        for (const Directive *d = directives(); d->name; d++) {
                bool found = g_strv_contains(without_field, d->name) || !d->type;

                g_test_message("%s", d->name);
                g_assert_true(directive_find(d->name) == d);
                g_assert_true(d->values && *d->values && d->help && *d->help && d->where);
                if (d->type)
                        g_assert_true(d->type->set && d->type->get && d->type->clear);
                if (d->type == &type_param) {
                        walk_param(d);
                        found = true;
                }
                for (size_t i = 0; i < G_N_ELEMENTS(examples); i++) {
                        if (!STREQ(examples[i].name, d->name))
                                continue;
                        found = true;
                        if (examples[i].good)
                                walk_good(d, examples[i].good);
                        if (examples[i].wrong)
                                walk_wrong(d, examples[i].wrong);
                }
                g_assert_true(found);
        }
}

/* Every word that a row promises or refuses by name is promised or refused. */
static void test_words(void)
{
        for (const Directive *d = directives(); d->name; d++) {
                g_auto(GStrv) words = g_strsplit(d->values, "|", -1);
                g_auto(GStrv) refused = g_strsplit(d->refused ?: "", "|", -1);
                void *object = new_object(d);

                if (d->type == &type_word || d->type == &type_bool)
                        for (char **w = words; *w; w++)
                                g_assert_cmpint(set(d, object, *w), ==, 0);
                for (char **w = refused; *w; w++) {
                        Setting s = { .directive = d, .raw = *w, .value = *w, .object = object };

                        g_assert_cmpint(directive_set(&s), ==, -EINVAL);
                        g_assert_nonnull(strstr(s.text, "not supported by this build"));
                }
                free_object(d, object);
        }
}

static void test_find(void)
{
        g_assert_cmpstr(directive_find("THIN_Provisioning")->name, ==, "thin-provisioning");
        g_assert_cmpstr(directive_find("block_size")->name, ==, "block-size");
        g_assert_cmpstr(directive_find("scsi-id")->name, ==, "scsi_id");
        g_assert_null(directive_find("scsiid"));
        g_assert_null(directive_find(""));
        for (const Directive *d = directives(); d->name; d++)
                for (const Directive *e = d + 1; e->name; e++)
                        g_assert_cmpint(strcasecmp(d->name, e->name), !=, 0);
}

static void test_suggest(void)
{
        g_assert_cmpstr(directive_suggest("vendr_id", IN_LUN), ==, "vendor_id");
        g_assert_cmpstr(directive_suggest("write-cahce", IN_LUN), ==, "write-cache");
        g_assert_cmpstr(directive_suggest("initiator-adress", 0), ==, "initiator-address");
        g_assert_cmpstr(directive_suggest("backing-stor", IN_TARGET), ==, "backing-store");
        g_assert_null(directive_suggest("bogus_directive", 0));
        g_assert_null(directive_suggest("backing-stor", IN_GLOBAL | IN_LUN));
}

static const DirectiveDoc *find_doc(const char *name)
{
        const DirectiveDoc *doc = config_directive_docs();

        while (!STREQ(doc->name, name))
                doc++;
        return doc;
}

static void test_docs(void)
{
        const DirectiveDoc *doc = config_directive_docs();
        size_t n = 0;

        for (; doc[n].name; n++) {
                g_assert_cmpstr(doc[n].name, ==, directives()[n].name);
                g_assert_true(doc[n].where && doc[n].values && doc[n].help && doc[n].since);
                g_assert_cmpint(doc[n].supported, ==, directives()[n].type != NULL);
        }
        g_assert_cmpuint(n, ==, n_directives());
        g_assert_cmpstr(find_doc("write-cache")->standard, ==, "on");
        g_assert_cmpstr(find_doc("readonly")->standard, ==, "0");
        g_assert_cmpstr(find_doc("bs-type")->standard, ==, "rdwr");
        g_assert_null(find_doc("scsi_id")->standard);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/directives/walk", test_walk);
        g_test_add_func("/directives/words", test_words);
        g_test_add_func("/directives/find", test_find);
        g_test_add_func("/directives/suggest", test_suggest);
        g_test_add_func("/directives/docs", test_docs);
        return g_test_run();
}
