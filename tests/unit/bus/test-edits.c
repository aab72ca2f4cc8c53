/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>

#include "bus/edits.h"
#include "bus/paths.h"

#define NAME "iqn.2024-01.net.example:disk"

/* directive, value, directive, value, ..., NULL */
static GPtrArray *directives(const char *first, ...)
{
        GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)directive_free);
        va_list ap;

        va_start(ap, first);
        for (const char *name = first; name; name = va_arg(ap, const char *)) {
                Directive *d = g_new0(Directive, 1);
                const char *value = va_arg(ap, const char *);

                d->name = g_strdup(name);
                d->values = value ? g_strsplit(value, "|", -1) : g_new0(char *, 1);
                g_ptr_array_add(all, d);
        }
        va_end(ap);
        return all;
}

typedef struct Fixture {
        Desired *d;
        Edit edit;
        BusError e;
} Fixture;

static void setup(Fixture *f, const void *data)
{
        f->d = desired_new();
        f->edit.target = g_strdup(NAME);
        f->edit.directives = directives("backing-store", "/srv/a", "initiator-name", "iqn.a", NULL);
        g_assert_cmpint(edit_create_target(f->d, &f->edit, &f->e), ==, 0);
        g_ptr_array_set_size(f->edit.directives, 0);
}

static void teardown(Fixture *f, const void *data)
{
        desired_free(f->d);
        edit_clear(&f->edit);
        bus_error_clear(&f->e);
}

static TargetSpec *target(Fixture *f)
{
        return g_hash_table_lookup(f->d->targets, NAME);
}

static void use(Fixture *f, GPtrArray *all)
{
        g_ptr_array_unref(f->edit.directives);
        f->edit.directives = all;
}

static void set_text(char **field, const char *value)
{
        g_free(*field);
        *field = g_strdup(value);
}

static void succeeds(Fixture *f, EditFunc *edit)
{
        int r = edit(f->d, &f->edit, &f->e);

        if (r < 0)
                g_test_message("%s: %s", f->e.name, f->e.text);
        g_assert_cmpint(r, ==, 0);
}

static void fails(Fixture *f, EditFunc *edit, const char *name)
{
        g_assert_cmpint(edit(f->d, &f->edit, &f->e), ==, -1);
        g_assert_cmpstr(f->e.name, ==, name);
        g_assert_cmpuint(strlen(f->e.text), >, 10);
}

static void test_create(Fixture *f, const void *data)
{
        const LunSpec *l = target_spec_find_lun(target(f), 1);

        g_assert_cmpstr(l->path, ==, "/srv/a");
        g_assert_true(target(f)->access_given);
        g_assert_cmpint(target(f)->persistence, ==, TARGET_SAVED);
        fails(f, edit_create_target, ERROR_EXISTS);

        set_text(&f->edit.target, "iqn.2024-01.net.example:other");
        f->edit.runtime = true;
        /* what applies to LUNs does so wherever it stands in the dictionary */
        use(f, directives("write-cache", "off", "backing-store", "/srv/b|/srv/c", NULL));
        succeeds(f, edit_create_target);
        {
                TargetSpec *t = g_hash_table_lookup(f->d->targets, f->edit.target);

                g_assert_cmpuint(t->luns->len, ==, 2);
                g_assert_false(target_spec_find_lun(t, 1)->write_cache);
                g_assert_false(target_spec_find_lun(t, 2)->write_cache);
                g_assert_cmpint(t->persistence, ==, TARGET_RUNTIME);
                g_assert_true(t->access_given); /* nobody, not everybody */
                g_assert_cmpuint(t->names->len + t->addresses->len, ==, 0);
        }
        set_text(&f->edit.target, "iqn.2024-01.net.example:third");
        use(f, directives("no-such-thing", "x", NULL));
        fails(f, edit_create_target, ERROR_INVALID);
        g_assert_null(g_hash_table_lookup(f->d->targets, f->edit.target));
}

static void test_delete(Fixture *f, const void *data)
{
        succeeds(f, edit_delete_target);
        g_assert_null(target(f));
        fails(f, edit_delete_target, ERROR_NOT_FOUND);
}

static void test_set(Fixture *f, const void *data)
{
        use(f, directives("MaxBurstLength", "65536", NULL));
        succeeds(f, edit_set);
        g_assert_cmpuint(target(f)->params->len, ==, 1);
        use(f, directives("MaxBurstLength", "131072", NULL));
        succeeds(f, edit_set);
        g_assert_cmpuint(target(f)->params->len, ==, 1);
        use(f, directives("MaxBurstLength", NULL, NULL));
        succeeds(f, edit_set);
        g_assert_cmpuint(target(f)->params->len, ==, 0);
        use(f, directives("initiator-name", "iqn.b", NULL));
        fails(f, edit_set, ERROR_INVALID);
        use(f, directives("incominguser", "a b", NULL));
        fails(f, edit_set, ERROR_INVALID);
        use(f, directives("backing-store", "/etc/shadow", NULL));
        fails(f, edit_set, ERROR_INVALID);
        g_assert_cmpuint(target(f)->names->len, ==, 1);
        g_assert_cmpuint(target(f)->luns->len, ==, 1);
}

static void test_luns(Fixture *f, const void *data)
{
        use(f, directives("backing-store", "/srv/b", "readonly", "yes", NULL));
        succeeds(f, edit_add_lun);
        g_assert_cmpuint(f->edit.lun, ==, 2);
        g_assert_true(target_spec_find_lun(target(f), 2)->readonly);

        use(f, directives("backing-store", "/srv/c", "lun", "0", NULL));
        succeeds(f, edit_add_lun);
        g_assert_cmpuint(f->edit.lun, ==, 0);
        use(f, directives("backing-store", "/srv/d", "lun", "2", NULL));
        fails(f, edit_add_lun, ERROR_EXISTS);
        use(f, directives("direct-store", "/dev/sda", NULL));
        fails(f, edit_add_lun, ERROR_NOT_SUPPORTED);
        use(f, directives("readonly", "yes", NULL));
        fails(f, edit_add_lun, ERROR_INVALID); /* no store */
        target_spec_remove_lun(target(f), 3);  /* the Desired of a failed edit is dropped */

        f->edit.lun = 2;
        use(f, directives("readonly", "no", "write-cache", "off", NULL));
        succeeds(f, edit_set_lun);
        g_assert_false(target_spec_find_lun(target(f), 2)->readonly);
        g_assert_false(target_spec_find_lun(target(f), 2)->write_cache);
        g_assert_cmpstr(target_spec_find_lun(target(f), 2)->path, ==, "/srv/b");
        use(f, directives("write-cache", NULL, NULL));
        succeeds(f, edit_set_lun);
        g_assert_true(target_spec_find_lun(target(f), 2)->write_cache);
        use(f, directives("lun", "5", NULL));
        fails(f, edit_set_lun, ERROR_INVALID);

        succeeds(f, edit_remove_lun);
        fails(f, edit_remove_lun, ERROR_NOT_FOUND);
        fails(f, edit_set_lun, ERROR_NOT_FOUND);
}

#define DRIVE "0f2c1a5e-8d21-4d3c-9b5e-6a4f3c2b1d0e"
#define DRIVE_NAA "60000000000000000000000000000001"

/* What a drive is to initiators is written down with the first medium that it gets. */
static void test_media(Fixture *f, const void *data)
{
        const LunSpec *l;

        use(f, directives("backing-store", "NONE", "removable", "1", NULL));
        succeeds(f, edit_add_lun);
        f->edit.uuid = g_strdup(DRIVE);
        f->edit.naa = g_strdup(DRIVE_NAA);
        l = target_spec_find_lun(target(f), f->edit.lun);
        use(f, directives("online", "1", NULL));
        succeeds(f, edit_set_lun);
        g_assert_null(l->uuid);
        use(f, directives("path", "/srv/m", NULL));
        succeeds(f, edit_set_lun);
        g_assert_cmpstr(l->path, ==, "/srv/m");
        g_assert_cmpstr(l->uuid, ==, DRIVE);
        g_assert_cmpstr(l->naa, ==, DRIVE_NAA);
        use(f, directives("path", "NONE", NULL));
        succeeds(f, edit_set_lun);
        g_assert_null(l->path);
        g_assert_cmpstr(l->uuid, ==, DRIVE);
        /* a disk with another file is another disk */
        use(f, directives("backing-store", "/srv/d", NULL));
        succeeds(f, edit_add_lun);
        l = target_spec_find_lun(target(f), f->edit.lun);
        use(f, directives("path", "/srv/e", NULL));
        succeeds(f, edit_set_lun);
        g_assert_null(l->uuid);
}

static void access_entry(Fixture *f, const char *kind, const char *value)
{
        set_text(&f->edit.kind, kind);
        set_text(&f->edit.value, value);
}

static void test_access(Fixture *f, const void *data)
{
        TargetSpec *t = target(f);

        access_entry(f, KIND_NAME, "IQN.2024-01.net.example:B");
        succeeds(f, edit_allow);
        g_assert_cmpstr(f->edit.value, ==, "iqn.2024-01.net.example:b"); /* as configured */
        succeeds(f, edit_allow);                                         /* twice is once */
        g_assert_cmpuint(t->names->len, ==, 2);

        access_entry(f, KIND_ADDRESS, "10.0.0.0/8");
        succeeds(f, edit_allow);
        access_entry(f, KIND_ADDRESS, "not an address");
        fails(f, edit_allow, ERROR_INVALID);
        access_entry(f, KIND_NAME, "NONE");
        fails(f, edit_allow, ERROR_INVALID);

        access_entry(f, KIND_NAME, "iqn.2024-01.net.example:b");
        succeeds(f, edit_deny);
        fails(f, edit_deny, ERROR_NOT_FOUND);
        /* the last name, while an address is left: would let all of 10/8 in */
        access_entry(f, KIND_NAME, "iqn.a");
        fails(f, edit_deny, ERROR_INVALID);
        g_assert_cmpuint(t->names->len, ==, 1);
        f->edit.force = true;
        succeeds(f, edit_deny);
        f->edit.force = false;
        access_entry(f, KIND_ADDRESS, "10.0.0.0/8");
        succeeds(f, edit_deny);
        g_assert_cmpuint(t->addresses->len + t->names->len, ==, 0);
        g_assert_true(t->access_given); /* nobody */
}

static void test_limits(Fixture *f, const void *data)
{
        TargetSpec *t = target(f);
        const InitiatorLimit *l;

        set_text(&f->edit.value, "IQN.A");
        f->edit.limits = (LimitSpec){ .iops = 100, .burst_us = 20000 };
        succeeds(f, edit_set_limits);
        f->edit.limits = (LimitSpec){ .bandwidth = 1000000 };
        succeeds(f, edit_set_limits); /* in place of those before */
        set_text(&f->edit.value, "10.0.0.0/8");
        succeeds(f, edit_set_limits);
        g_assert_cmpuint(t->limits->len, ==, 2);
        l = target_spec_find_limit(t, "iqn.a");
        g_assert_cmpuint(l->limits.iops, ==, 0);
        g_assert_cmpuint(l->limits.bandwidth, ==, 1000000);
        g_assert_cmpuint(l->limits.burst_us, ==, 0);

        set_text(&f->edit.value, "iqn.a iops=5");
        fails(f, edit_set_limits, ERROR_INVALID);
        set_text(&f->edit.value, "iqn.a");
        f->edit.limits = (LimitSpec){ .burst_us = 20000 };
        fails(f, edit_set_limits, ERROR_INVALID);
        use(f, directives("limit-initiator", "iqn.a iops=1", NULL));
        fails(f, edit_set, ERROR_INVALID); /* it has a method with another authority */

        f->edit.limits = (LimitSpec){ 0 };
        set_text(&f->edit.value, "10.0.0.0/8");
        succeeds(f, edit_set_limits);
        g_assert_cmpuint(t->limits->len, ==, 1);
        /* they go with the entry that admits */
        access_entry(f, KIND_NAME, "iqn.a");
        succeeds(f, edit_deny);
        g_assert_cmpuint(t->limits->len, ==, 0);
}

static void test_open_target(Fixture *f, const void *data)
{
        TargetSpec *t = target(f);

        /* as a fragment that names nobody */
        g_ptr_array_set_size(t->names, 0);
        t->access_given = false;
        access_entry(f, KIND_NAME, "iqn.a");
        fails(f, edit_deny, ERROR_NOT_FOUND);
        fails(f, edit_allow, ERROR_INVALID); /* it would shut everybody else out */
        f->edit.force = true;
        succeeds(f, edit_allow);
        g_assert_true(t->access_given);
        g_assert_cmpuint(t->names->len, ==, 1);
}

static void account(Fixture *f, const char *user, const char *secret, const char *direction)
{
        set_text(&f->edit.user, user);
        set_text(&f->edit.secret, secret);
        set_text(&f->edit.direction, direction);
}

static void test_accounts(Fixture *f, const void *data)
{
        TargetSpec *t = target(f);

        account(f, "u", "first-secret-1", DIRECTION_INCOMING);
        succeeds(f, edit_add_account);
        account(f, "u", "other-secret-1", DIRECTION_INCOMING);
        succeeds(f, edit_add_account);
        g_assert_cmpuint(t->incoming->len, ==, 1);
        g_assert_cmpstr(((AccountSpec *)g_ptr_array_index(t->incoming, 0))->secret, ==,
                        "other-secret-1");
        account(f, "o", "third-secret-1", DIRECTION_OUTGOING);
        succeeds(f, edit_add_account);
        g_assert_cmpstr(t->outgoing->user, ==, "o");
        succeeds(f, edit_remove_account);
        g_assert_null(t->outgoing);
        fails(f, edit_remove_account, ERROR_NOT_FOUND);

        account(f, "u", NULL, DIRECTION_INCOMING);
        fails(f, edit_remove_account, ERROR_INVALID); /* the last one guards the target */
        f->edit.force = true;
        succeeds(f, edit_remove_account);

        account(f, "u", "line\nfeed-secret", DIRECTION_INCOMING);
        fails(f, edit_add_account, ERROR_INVALID);
        g_assert_null(strstr(f->e.text, "feed"));
        use(f, directives("incominguser", "only-a-secret-of-mine", NULL));
        set_text(&f->edit.target, "iqn.2024-01.net.example:new");
        fails(f, edit_create_target, ERROR_INVALID);
        g_assert_null(strstr(f->e.text, "of-mine"));
}

/* What is accepted can be written, and is read back as it was. */
static void test_account_round_trip(Fixture *f, const void *data)
{
        static const char *const texts[] = {
                "plain",  "two words", "quote\"in", "single'quote", "back\\slash", "#hash",
                "a#hash", "</target>", "<b>",       "end\\",        "$HOME",       "\"quoted\"",
                "=equal", " lead",     "trailing ", "/* c */",      "\303\251",    "'",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                g_autofree char *secret = g_strdup_printf("%s0123456789ab", texts[i]);
                g_autofree char *backwards = g_strdup_printf("0123456789ab%s", texts[i]);

                account(f, texts[i], secret, DIRECTION_INCOMING);
                succeeds(f, edit_add_account);
                account(f, texts[i], backwards, DIRECTION_OUTGOING);
                succeeds(f, edit_add_account);
                {
                        GString *text = g_string_new(NULL);
                        GPtrArray *problems;
                        GHashTable *bad;
                        Desired *again;

                        target_spec_write(target(f), true, text);
                        g_assert_cmpint(
                                config_load_text(text->str, "t", NULL, &again, &bad, &problems), ==,
                                0);
                        if (!g_hash_table_lookup(again->targets, NAME) ||
                            !target_spec_equal(g_hash_table_lookup(again->targets, NAME),
                                               target(f)))
                                g_error("not read back: %s\n%s", texts[i], text->str);
                        desired_free(again);
                        g_hash_table_unref(bad);
                        g_ptr_array_unref(problems);
                        g_string_free(text, TRUE);
                }
                g_ptr_array_set_size(target(f)->incoming, 0);
        }
}

static void test_discovery(Fixture *f, const void *data)
{
        account(f, "u", "first-secret-1", DIRECTION_INCOMING);
        succeeds(f, edit_add_discovery_account);
        g_assert_cmpuint(f->d->discovery_incoming->len, ==, 1);
        f->edit.force = true;
        succeeds(f, edit_remove_discovery_account);
        fails(f, edit_remove_discovery_account, ERROR_NOT_FOUND);
}

static void test_replace(Fixture *f, const void *data)
{
        set_text(&f->edit.text,
                 "<target " NAME ">\n<backing-store /srv/b>\nlun 4\n</backing-store>\n"
                 "initiator-address ALL\n</target>\n");
        succeeds(f, edit_replace_target);
        g_assert_cmpuint(target(f)->luns->len, ==, 1);
        g_assert_cmpuint(target(f)->names->len, ==, 0);
        g_assert_nonnull(target_spec_find_lun(target(f), 4));
        set_text(&f->edit.text, "<target iqn.2024-01.net.example:another>\n</target>\n");
        fails(f, edit_replace_target, ERROR_INVALID);
        set_text(&f->edit.text, "<target " NAME ">\nbogus 1\n</target>\n");
        fails(f, edit_replace_target, ERROR_INVALID);
        set_text(&f->edit.text, "<target " NAME ">\ndirect-store /srv/a\n</target>\n");
        fails(f, edit_replace_target, ERROR_NOT_SUPPORTED);
        set_text(&f->edit.text, "<target " NAME ">\n");
        fails(f, edit_replace_target, ERROR_INVALID);
        g_assert_nonnull(target_spec_find_lun(target(f), 4));
}

/* Accounts that are made first and bound later. */
static void test_bound_accounts(Fixture *f, const void *data)
{
        account(f, "u", "first-secret-1", DIRECTION_INCOMING);
        fails(f, edit_delete_account, ERROR_NOT_FOUND);
        succeeds(f, edit_new_account);
        fails(f, edit_new_account, ERROR_EXISTS);
        g_assert_cmpuint(f->d->accounts->len, ==, 1);
        g_assert_cmpuint(target(f)->incoming->len, ==, 0);

        /* its secret is the one that counts, whatever was found elsewhere */
        set_text(&f->edit.secret, "another-secret-2");
        succeeds(f, edit_bind_account);
        fails(f, edit_bind_account, ERROR_EXISTS);
        g_assert_cmpstr(((AccountSpec *)target(f)->incoming->pdata[0])->secret, ==,
                        "first-secret-1");
        succeeds(f, edit_delete_account);
        g_assert_cmpuint(target(f)->incoming->len, ==, 1);

        account(f, "v", "second-secret-2", DIRECTION_OUTGOING);
        succeeds(f, edit_bind_account);
        g_assert_cmpstr(target(f)->outgoing->secret, ==, "second-secret-2");
        fails(f, edit_bind_account, ERROR_EXISTS);
        account(f, "w", "third-secret-3", DIRECTION_INCOMING);
        g_clear_pointer(&f->edit.secret, g_free);
        fails(f, edit_bind_account, ERROR_NOT_FOUND);

        g_clear_pointer(&f->edit.target, g_free);
        account(f, "x", "fourth-secret-4", DIRECTION_INCOMING);
        succeeds(f, edit_bind_account);
        g_assert_cmpuint(f->d->discovery_incoming->len, ==, 1);
}

static void test_portals(Fixture *f, const void *data)
{
        set_text(&f->edit.address, "127.0.0.1");
        succeeds(f, edit_add_portal);
        g_assert_cmpstr(f->edit.address, ==, "127.0.0.1:3260");
        set_text(&f->edit.address, "127.0.0.1:3260");
        fails(f, edit_add_portal, ERROR_EXISTS);
        succeeds(f, edit_remove_portal);
        fails(f, edit_remove_portal, ERROR_NOT_FOUND);
        set_text(&f->edit.address, "localhost:1");
        fails(f, edit_add_portal, ERROR_INVALID);
        set_text(&f->edit.address, "127.0.0.1:0");
        fails(f, edit_add_portal, ERROR_INVALID);
}

static void expect_paths(Fixture *f, EditFunc *edit, const char *expected)
{
        g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *joined = NULL;

        if (edit_new_paths(f->d, edit, &f->edit, paths, &f->e) < 0)
                g_error("%s", f->e.text);
        g_ptr_array_add(paths, NULL);
        joined = g_strjoinv(" ", (char **)paths->pdata);
        g_ptr_array_remove_index(paths, paths->len - 1);
        g_assert_cmpstr(joined, ==, expected);
}

static void test_new_paths(Fixture *f, const void *data)
{
        use(f, directives("backing-store", "/etc/shadow", NULL));
        expect_paths(f, edit_add_lun, "/etc/shadow");
        g_assert_cmpuint(target(f)->luns->len, ==, 1); /* a probe changes nothing */

        f->edit.lun = 1;
        use(f, directives("backing-store", "/etc/passwd", NULL));
        expect_paths(f, edit_set_lun, "/etc/passwd");
        use(f, directives("path", "/etc/group", NULL));
        expect_paths(f, edit_set_lun, "/etc/group");
        use(f, directives("params", "path=/etc/hosts", NULL));
        expect_paths(f, edit_set_lun, "/etc/hosts");
        use(f, directives("path", "/etc/fstab", NULL));
        expect_paths(f, edit_set, "/etc/fstab");
        use(f, directives("bsopts", "inner=/etc/issue", NULL));
        expect_paths(f, edit_set_lun, "inner=/etc/issue");
        use(f, directives("backing-store", "/srv/a", "readonly", "yes", NULL));
        expect_paths(f, edit_set_lun, "");

        set_text(&f->edit.target, "iqn.2024-01.net.example:new");
        use(f, directives("backing-store", "/a|/b", NULL));
        expect_paths(f, edit_create_target, "/a /b");
}

static void test_clean(void)
{
        g_assert_true(text_is_clean("a b\303\251", 10, false));
        g_assert_false(text_is_clean("a\nb", 10, false));
        g_assert_false(text_is_clean("a\tb", 10, false));
        g_assert_false(text_is_clean("a\302\205b", 10, false)); /* U+0085 NEXT LINE */
        g_assert_false(text_is_clean("\x7f", 10, false));
        g_assert_false(text_is_clean("", 10, false));
        g_assert_true(text_is_clean("", 10, true));
        g_assert_false(text_is_clean("abc", 2, false));
        g_assert_false(text_is_clean("\xff", 10, false));
}

int main(int argc, char **argv)
{
        static const struct {
                const char *name;
                void (*run)(Fixture *f, const void *data);
        } tests[] = {
                { "/edits/create", test_create },
                { "/edits/delete", test_delete },
                { "/edits/set", test_set },
                { "/edits/luns", test_luns },
                { "/edits/media", test_media },
                { "/edits/access", test_access },
                { "/edits/limits", test_limits },
                { "/edits/open-target", test_open_target },
                { "/edits/accounts", test_accounts },
                { "/edits/account-round-trip", test_account_round_trip },
                { "/edits/discovery", test_discovery },
                { "/edits/replace", test_replace },
                { "/edits/bound-accounts", test_bound_accounts },
                { "/edits/portals", test_portals },
                { "/edits/new-paths", test_new_paths },
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < ELEMENTSOF(tests); i++)
                g_test_add(tests[i].name, Fixture, NULL, setup, tests[i].run, teardown);
        g_test_add_func("/edits/clean", test_clean);
        return g_test_run();
}
