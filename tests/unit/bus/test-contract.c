/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <gio/gio.h>

#include "bus/authority.h"
#include "harness.h"

/* The running server against what is written down: the XML of the interfaces, the table of
 * methods, the actions of the polkit policy. */

static const struct {
        const char *interface, *path;
} objects[] = {
        { "org.tgt1.Manager", "/org/tgt1" },
        { "org.tgt1.Target", TEST_TARGET_PATH },
        { "org.tgt1.Acl", TEST_TARGET_PATH "/acl/initiator_2dname_5fiqn_2ea" },
        { "org.tgt1.Account", TEST_TARGET_PATH "/account/incoming_5fuser" },
        { "org.tgt1.Portal", "/org/tgt1/portal/_3127_2e0_2e0_2e1_3a3260" },
        { "org.tgt1.Session", "/org/tgt1/session/1" },
        { "org.tgt1.LogicalUnit", NULL }, /* asked for */
};

static Harness *harness;
static char *dbus_dir, *policy_file;

static void populate(Harness *h, void *arg)
{
        fake_manager_add_session(h->manager, 1, TEST_TARGET);
}

static void create_all(sd_bus *bus)
{
        assert_call(bus, "/org/tgt1", IFACE_MANAGER, "CreateTarget", "sa{sas}a{sv}", TEST_TARGET, 3,
                    "backing-store", 1, "/srv/a", "initiator-name", 1, "iqn.a", "incominguser", 1,
                    "user secret0123456789", 0);
        assert_call(bus, "/org/tgt1", IFACE_MANAGER, "AddPortal", "sa{sv}", "127.0.0.1", 0);
        harness_run(harness, populate, NULL);
}

static GDBusInterfaceInfo *written(const char *interface)
{
        g_autofree char *file = g_strdup_printf("%s/%s.xml", dbus_dir, interface);
        g_autofree char *xml = NULL;
        g_autoptr(GError) e = NULL;
        GDBusNodeInfo *node;
        GDBusInterfaceInfo *info;

        g_assert_true(g_file_get_contents(file, &xml, NULL, NULL));
        node = g_dbus_node_info_new_for_xml(xml, &e);
        g_assert_no_error(e);
        info = g_dbus_interface_info_ref(g_dbus_node_info_lookup_interface(node, interface));
        g_dbus_node_info_unref(node);
        return info;
}

static GDBusInterfaceInfo *running(sd_bus *bus, const char *path, const char *interface)
{
        sd_bus_message *m =
                call(bus, path, "org.freedesktop.DBus.Introspectable", "Introspect", NULL, NULL);
        g_autoptr(GError) e = NULL;
        GDBusInterfaceInfo *info;
        GDBusNodeInfo *node;
        const char *xml;

        g_assert_cmpint(sd_bus_message_read(m, "s", &xml), >=, 0);
        node = g_dbus_node_info_new_for_xml(xml, &e);
        g_assert_no_error(e);
        info = g_dbus_node_info_lookup_interface(node, interface);
        if (!info)
                g_error("%s has no %s:\n%s", path, interface, xml);
        g_dbus_interface_info_ref(info);
        g_dbus_node_info_unref(node);
        sd_bus_message_unref(m);
        return info;
}

static void describe_args(GString *to, GDBusArgInfo **args, const char *what)
{
        for (; args && *args; args++)
                g_string_append_printf(to, " %s %s %s", what, (*args)->signature, (*args)->name);
}

static void describe_annotations(GString *to, GDBusAnnotationInfo **annotations)
{
        for (; annotations && *annotations; annotations++)
                g_string_append_printf(to, " [%s=%s]", (*annotations)->key, (*annotations)->value);
}

static int compare_lines(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* One line per member, in the order of their names. */
static char *describe(GDBusInterfaceInfo *info)
{
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);

        for (GDBusPropertyInfo **p = info->properties; p && *p; p++) {
                GString *s = g_string_new(NULL);

                g_string_printf(s, "property %s %s %d", (*p)->name, (*p)->signature,
                                (int)(*p)->flags);
                describe_annotations(s, (*p)->annotations);
                g_ptr_array_add(lines, g_string_free(s, FALSE));
        }
        for (GDBusMethodInfo **m = info->methods; m && *m; m++) {
                GString *s = g_string_new(NULL);

                g_string_printf(s, "method %s", (*m)->name);
                describe_args(s, (*m)->in_args, "in");
                describe_args(s, (*m)->out_args, "out");
                describe_annotations(s, (*m)->annotations);
                g_ptr_array_add(lines, g_string_free(s, FALSE));
        }
        for (GDBusSignalInfo **i = info->signals; i && *i; i++) {
                GString *s = g_string_new(NULL);

                g_string_printf(s, "signal %s", (*i)->name);
                describe_args(s, (*i)->args, "");
                g_ptr_array_add(lines, g_string_free(s, FALSE));
        }
        g_ptr_array_sort(lines, compare_lines);
        g_ptr_array_add(lines, NULL);
        return g_strjoinv("\n", (char **)lines->pdata);
}

static void test_introspection(void)
{
        sd_bus *bus = harness_peer(harness);

        for (size_t i = 0; i < ELEMENTSOF(objects); i++) {
                const char *interface = objects[i].interface;
                g_autofree char *path =
                        objects[i].path ? g_strdup(objects[i].path) : harness_unit_path(bus);
                GDBusInterfaceInfo *a = written(interface), *b = running(bus, path, interface);
                g_autofree char *x = describe(a), *y = describe(b);

                g_assert_cmpstr(x, ==, y);
                g_dbus_interface_info_unref(a);
                g_dbus_interface_info_unref(b);
        }
        sd_bus_flush_close_unref(bus);
}

static bool is_in_table(const char *interface, const char *member, guint8 *seen)
{
        size_t n;
        const MethodRow *table = authority_table(&n);

        for (size_t i = 0; i < n; i++)
                if (STREQ(table[i].interface, interface) && STREQ(table[i].member, member)) {
                        seen[i]++;
                        return true;
                }
        return false;
}

static void test_table(void)
{
        sd_bus *bus = harness_peer(harness);
        size_t n;
        const MethodRow *table = authority_table(&n);
        g_autofree guint8 *seen = g_new0(guint8, n);

        for (size_t i = 0; i < ELEMENTSOF(objects); i++) {
                g_autofree char *path =
                        objects[i].path ? g_strdup(objects[i].path) : harness_unit_path(bus);
                GDBusInterfaceInfo *info = running(bus, path, objects[i].interface);

                for (GDBusMethodInfo **m = info->methods; m && *m; m++)
                        g_assert_true(is_in_table(objects[i].interface, (*m)->name, seen));
                /* a property that can be written would need rows of its own */
                for (GDBusPropertyInfo **p = info->properties; p && *p; p++)
                        g_assert_false((*p)->flags & G_DBUS_PROPERTY_INFO_FLAGS_WRITABLE);
                g_dbus_interface_info_unref(info);
        }
        for (size_t i = 0; i < n; i++) {
                g_assert_cmpuint(seen[i], ==, 1); /* each row is a method, once */
                g_assert_nonnull(table[i].parse);
                g_assert_true((table[i].run != NULL) != (table[i].edit != NULL));
                g_assert_true(!table[i].edit || table[i].action); /* no change for everybody */
                g_assert_true(!table[i].paths || table[i].edit || table[i].options & OPTION_PRUNE ||
                              table[i].with_caller);
        }
        sd_bus_flush_close_unref(bus);
}

/* Methods without an action read, and are named so. */
static void test_open_methods(void)
{
        size_t n;
        const MethodRow *table = authority_table(&n);

        for (size_t i = 0; i < n; i++)
                if (!table[i].action)
                        g_assert_true(g_str_has_prefix(table[i].member, "List") ||
                                      g_str_has_prefix(table[i].member, "Get") ||
                                      STREQ(table[i].member, "Dump"));
}

static void test_policy(void)
{
        static const char *const additional[] = { ACTION_ANY_PATH, ACTION_SECRETS };
        g_autofree char *policy = NULL;
        g_autoptr(GHashTable) used = g_hash_table_new(g_str_hash, g_str_equal);
        size_t n, defined = 0;
        const MethodRow *table = authority_table(&n);
        GHashTableIter iter;
        gpointer action;

        g_assert_true(g_file_get_contents(policy_file, &policy, NULL, NULL));
        for (size_t i = 0; i < n; i++)
                if (table[i].action)
                        g_hash_table_add(used, (gpointer)table[i].action);
        for (size_t i = 0; i < ELEMENTSOF(additional); i++)
                g_hash_table_add(used, (gpointer)additional[i]);

        g_hash_table_iter_init(&iter, used);
        while (g_hash_table_iter_next(&iter, &action, NULL)) {
                g_autofree char *tag = g_strdup_printf("<action id=\"%s\">", (char *)action);

                if (!strstr(policy, tag))
                        g_error("%s is not in the policy", (char *)action);
        }
        for (const char *p = policy; (p = strstr(p, "<action id=")); p++)
                defined++;
        g_assert_cmpuint(defined, ==, g_hash_table_size(used));

        /* nothing is open to everybody, and the daemon may ask with details */
        g_assert_null(strstr(policy, ">yes<"));
        g_assert_null(strstr(policy, ">auth_self"));
        n = 0;
        for (const char *p = policy;
             (p = strstr(p, "org.freedesktop.policykit.owner\">unix-user:tgt<")); p++)
                n++;
        g_assert_cmpuint(n, ==, defined);
}

/* The options that the table takes are those that the XML names. */
static bool is_of_word(char c)
{
        return g_ascii_isalnum(c) || c == '-';
}

/* As a word of its own: "targets" does not say "target". */
static bool says(const char *text, const char *word)
{
        size_t n = strlen(word);

        for (const char *p = text; (p = strstr(p, word)); p += n)
                if (!is_of_word(p[n]) && (p == text || !is_of_word(p[-1])))
                        return true;
        return false;
}

static void test_options(void)
{
        static const struct {
                unsigned bit;
                const char *name;
        } names[] = {
                { OPTION_RUNTIME, "runtime" },
                { OPTION_FORCE, "force" },
                { OPTION_DRY_RUN, "dry-run" },
                { OPTION_GENERATION, "generation" },
                { OPTION_WITH_SECRETS, "with-secrets" },
                { OPTION_TARGET, "target" },
                { OPTION_WITH_IDENTITIES, "with-identities" },
                { OPTION_TARGETS, "targets" },
                { OPTION_REVERT, "revert" },
                { OPTION_ABSENT, "absent" },
                { OPTION_PASSES, "passes" },
                { OPTION_PATTERN, "pattern" },
                { OPTION_INVERT, "invert" },
                { OPTION_RESTRICTED, "restricted" },
        };
        size_t n;
        const MethodRow *table = authority_table(&n);

        for (size_t i = 0; i < n; i++) {
                g_autofree char *file = g_strdup_printf("%s/%s.xml", dbus_dir, table[i].interface);
                g_autofree char *tag = g_strdup_printf("<method name=\"%s\">", table[i].member);
                g_autofree char *xml = NULL;
                char *method, *doc;

                if (!table[i].options)
                        continue;
                g_assert_true(g_file_get_contents(file, &xml, NULL, NULL));
                method = strstr(xml, tag);
                g_assert_nonnull(method);
                *method = 0;
                doc = g_strrstr(xml, "<!--");
                doc = strstr(doc, "Options:") ? strstr(doc, "Options:") : doc;
                for (size_t j = 0; j < ELEMENTSOF(names); j++) {
                        bool said = says(doc, names[j].name);

                        if (strstr(doc, "as Target.") || strstr(doc, "as Manager."))
                                continue; /* told there */
                        if (said != !!(table[i].options & names[j].bit))
                                g_error("%s.%s: option %s", table[i].interface, table[i].member,
                                        names[j].name);
                }
        }
}

int main(int argc, char **argv)
{
        sd_bus *bus;
        int r;

        g_test_init(&argc, &argv, NULL);
        if (argc != 3)
                g_error("usage: test-contract DBUS-FOLDER POLICY");
        dbus_dir = argv[1];
        policy_file = argv[2];
        harness = harness_new(NULL);
        bus = harness_peer(harness);
        create_all(bus);
        sd_bus_flush_close_unref(bus);
        g_test_add_func("/contract/introspection", test_introspection);
        g_test_add_func("/contract/table", test_table);
        g_test_add_func("/contract/open-methods", test_open_methods);
        g_test_add_func("/contract/policy", test_policy);
        g_test_add_func("/contract/options", test_options);
        r = g_test_run();
        harness_free(harness);
        return r;
}
