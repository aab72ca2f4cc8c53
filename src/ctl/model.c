/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/parse.h"
#include "ctl/connection.h"
#include "ctl/message.h"
#include "ctl/model.h"
#include "base/suggest.h"

#define PAGE_MAX 1000 /* of dbus/org.tgt1.Manager.xml */

const char *json_text(const json_t *object, const char *key)
{
        const char *s = json_string_value(json_object_get(object, key));

        return s ? s : "";
}

json_int_t json_number(const json_t *object, const char *key)
{
        return json_integer_value(json_object_get(object, key));
}

char *path_label(const char *path, const char *kind)
{
        g_autofree char *prefix = g_strconcat(BUS_ROOT "/", kind, NULL);
        char *label = NULL, *copy;

        if (sd_bus_path_decode(path, prefix, &label) <= 0 || strchr(label, '/')) {
                free(label);
                return NULL;
        }
        copy = g_strdup(label);
        free(label);
        return copy;
}

/* Struct members in their order; the first is what pages go by. */
static const char *const target_fields[] = { "Name",          "Object",    "Tid", "State",
                                             "NLogicalUnits", "NSessions", NULL };
static const char *const unit_fields[] = { "Uuid",  "Object", "Type",      "StoreType", "Path",
                                           "State", "Size",   "BlockSize", "Mappings",  NULL };
static const char *const session_fields[] = { "Id",   "Object", "Target", "Initiator",
                                              "Peer", "Since",  NULL };
static const char *const portal_fields[] = { "Address", "Object", "Tag", "Source", NULL };
static const char *const mapping_fields[] = { "Target", "Lun", NULL };
static const char *const unit_mapping_fields[] = { "Target", "Object", "Lun", NULL };
static const char *const account_fields[] = { "User", "Direction", NULL };
static const char *const lun_fields[] = { "Lun", "Object", NULL };
static const char *const source_fields[] = { "File", "Line", NULL };

/* [v, v, ...] -> { name: v, ... } */
json_t *model_name_fields(const json_t *array, const char *const *names)
{
        json_t *object = json_object();

        for (size_t i = 0; object && names[i]; i++) {
                json_t *v = json_array_get(array, i);

                if (!v || json_object_set(object, names[i], v) < 0) {
                        json_decref(object);
                        return NULL;
                }
        }
        return object;
}

/* The same for each element of a list; NULL on a shape that is not as it should be. */
static json_t *name_all(const json_t *list, const char *const *names)
{
        json_t *result = json_array(), *v;
        size_t i;

        if (!json_is_array(list)) {
                json_decref(result);
                return NULL;
        }
        json_array_foreach (list, i, v) {
                if (json_array_append_new(result, model_name_fields(v, names)) < 0) {
                        json_decref(result);
                        return NULL;
                }
        }
        return result;
}

static int append_after(sd_bus_message *m, char type, const json_t *last)
{
        if (type == 's')
                return sd_bus_message_append(m, "su", last ? json_string_value(last) : "",
                                             (uint32_t)PAGE_MAX);
        return sd_bus_message_append(m, "tu", (uint64_t)(last ? json_integer_value(last) : 0),
                                     (uint32_t)PAGE_MAX);
}

/* One page behind last, appended to list; *ret_n: how many there were. */
static int read_page(Ctl *c, const char *path, const char *interface, const char *member, char type,
                     const char *const *fields, json_t *list, size_t *ret_n)
{
        const json_t *last = json_array_get(list, json_array_size(list) - 1);
        sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_json_ json_t *page = NULL, *named = NULL;
        int r, code = ctl_method(c, path, interface, member, &m);

        if (code != EXIT_CODE_OK)
                return code;
        if (type) {
                r = append_after(m, type, last ? json_object_get(last, fields[0]) : NULL);
                if (r < 0) {
                        sd_bus_message_unref(m);
                        return ctl_bad_message(c, r);
                }
        }
        code = ctl_invoke(c, m, &reply);
        if (code != EXIT_CODE_OK)
                return code;
        r = message_read_json(reply, &page);
        sd_bus_message_unref(reply);
        if (r < 0)
                return ctl_bad_message(c, r);
        named = name_all(page, fields);
        if (!named || json_array_extend(list, named) < 0)
                return ctl_bad_message(c, -EBADMSG);
        *ret_n = json_array_size(page);
        return EXIT_CODE_OK;
}

/* type: of what pages go by; 0: the method has no pages. */
static int read_list(Ctl *c, const char *path, const char *interface, const char *member, char type,
                     const char *const *fields, json_t **ret)
{
        _cleanup_json_ json_t *list = json_array();
        size_t n = 0;

        if (!list)
                return ctl_bad_message(c, -ENOMEM);
        do {
                int code = read_page(c, path, interface, member, type, fields, list, &n);

                if (code != EXIT_CODE_OK)
                        return code;
        } while (type && n >= PAGE_MAX);
        *ret = TAKE_PTR(list);
        return EXIT_CODE_OK;
}

int model_list(Ctl *c, const char *member, char type, const char *const *fields, json_t **ret)
{
        return read_list(c, BUS_ROOT, IFACE("Manager"), member, type, fields, ret);
}

int model_targets(Ctl *c, json_t **ret)
{
        return model_list(c, "ListTargets", 's', target_fields, ret);
}

int model_sessions(Ctl *c, const char *target_path, json_t **ret)
{
        return read_list(c, target_path ? target_path : BUS_ROOT,
                         target_path ? IFACE("Target") : IFACE("Manager"), "ListSessions", 't',
                         session_fields, ret);
}

int model_portals(Ctl *c, json_t **ret)
{
        return model_list(c, "ListPortals", 0, portal_fields, ret);
}

/* Replaces object[key], a list of structs, by a list of objects. */
int model_name_member(Ctl *c, json_t *object, const char *key, const char *const *fields)
{
        json_t *named = name_all(json_object_get(object, key), fields);

        if (!named || json_object_set_new(object, key, named) < 0)
                return ctl_bad_message(c, -EBADMSG);
        return EXIT_CODE_OK;
}

int model_units(Ctl *c, json_t **ret)
{
        _cleanup_json_ json_t *list = NULL;
        json_t *unit;
        size_t i;
        int code = read_list(c, BUS_ROOT, IFACE("Manager"), "ListLogicalUnits", 's', unit_fields,
                             &list);

        if (code != EXIT_CODE_OK)
                return code;
        json_array_foreach (list, i, unit) {
                code = model_name_member(c, unit, "Mappings", mapping_fields);
                if (code != EXIT_CODE_OK)
                        return code;
        }
        *ret = TAKE_PTR(list);
        return EXIT_CODE_OK;
}

static int compare_luns(const void *a, const void *b)
{
        const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
        int r = strcmp(json_text(x, "Target"), json_text(y, "Target"));

        if (r != 0)
                return r;
        return json_number(x, "Lun") < json_number(y, "Lun") ? -1 : 1;
}

int model_luns(Ctl *c, json_t **ret)
{
        _cleanup_json_ json_t *units = NULL, *list = json_array();
        g_autoptr(GPtrArray) luns = g_ptr_array_new();
        json_t *unit, *mapping;
        size_t i, k;
        int code = model_units(c, &units);

        if (code != EXIT_CODE_OK)
                return code;
        json_array_foreach (units, i, unit)
                json_array_foreach (json_object_get(unit, "Mappings"), k, mapping) {
                        json_t *lun = json_copy(mapping);

                        if (!lun || json_object_update(lun, unit) < 0 ||
                            json_object_del(lun, "Mappings") < 0 ||
                            json_array_append_new(list, lun) < 0)
                                return ctl_bad_message(c, -ENOMEM);
                        g_ptr_array_add(luns, lun);
                }
        g_ptr_array_sort(luns, compare_luns);
        *ret = json_array();
        for (guint n = 0; n < luns->len; n++)
                (void)json_array_append(*ret, g_ptr_array_index(luns, n));
        return EXIT_CODE_OK;
}

/* ".../acl/initiator-name_iqn..." -> { "Kind": "initiator-name", "Value": "iqn..." }: the label
 * says all, one call per entry is saved. */
static json_t *entry_from_path(const char *path, const char *target_path, const char *kind,
                               const char *first, const char *second)
{
        g_autofree char *prefix = g_strconcat(target_path, "/", kind, NULL);
        char *label = NULL, *split;
        json_t *entry = NULL;

        if (sd_bus_path_decode(path, prefix, &label) > 0 && (split = strchr(label, '_'))) {
                *split = '\0';
                entry = json_pack("{s:s, s:s}", first, label, second, split + 1);
        }
        free(label);
        return entry;
}

static int name_entries(Ctl *c, json_t *target, const char *path, const char *key, const char *kind,
                        const char *first, const char *second)
{
        json_t *list = json_array(), *entry;
        size_t i;

        json_array_foreach (json_object_get(target, key), i, entry)
                if (json_array_append_new(list, entry_from_path(json_string_value(entry), path,
                                                                kind, first, second)) < 0) {
                        json_decref(list);
                        return ctl_bad_message(c, -EBADMSG);
                }
        return json_object_set_new(target, key, list) < 0 ? ctl_bad_message(c, -ENOMEM)
                                                          : EXIT_CODE_OK;
}

int model_manager(Ctl *c, json_t **ret)
{
        int code = ctl_get_all(c, BUS_ROOT, IFACE("Manager"), ret);

        if (code == EXIT_CODE_OK)
                code = model_name_member(c, *ret, "DiscoveryAccounts", account_fields);
        if (code != EXIT_CODE_OK && *ret) {
                json_decref(*ret);
                *ret = NULL;
        }
        return code;
}

int model_unit(Ctl *c, const char *path, json_t **ret)
{
        _cleanup_json_ json_t *unit = NULL;
        int code = ctl_get_all(c, path, IFACE("LogicalUnit"), &unit);

        if (code == EXIT_CODE_OK)
                code = model_name_member(c, unit, "Mappings", unit_mapping_fields);
        if (code == EXIT_CODE_OK)
                *ret = TAKE_PTR(unit);
        return code;
}

static int expand_unit(Ctl *c, json_t *lun)
{
        _cleanup_json_ json_t *unit = NULL;
        const char *path = json_text(lun, "Object");
        int code;

        if (STREQ(path, "/")) /* is being set up */
                return EXIT_CODE_OK;
        code = model_unit(c, path, &unit);
        if (code == EXIT_CODE_OK && json_object_update(lun, unit) < 0)
                code = ctl_bad_message(c, -ENOMEM);
        return code;
}

int model_target(Ctl *c, const char *path, json_t **ret)
{
        _cleanup_json_ json_t *target = NULL;
        json_t *lun, *source;
        size_t i;
        int code = ctl_get_all(c, path, IFACE("Target"), &target);

        if (code == EXIT_CODE_OK)
                code = name_entries(c, target, path, "Acls", "acl", "Kind", "Value");
        if (code == EXIT_CODE_OK)
                code = name_entries(c, target, path, "Accounts", "account", "Direction", "User");
        if (code == EXIT_CODE_OK)
                code = model_name_member(c, target, "LogicalUnits", lun_fields);
        json_array_foreach (json_object_get(target, "LogicalUnits"), i, lun)
                if (code == EXIT_CODE_OK)
                        code = expand_unit(c, lun);
        if (code != EXIT_CODE_OK)
                return code;
        source = model_name_fields(json_object_get(target, "Source"), source_fields);
        if (!source || json_object_set_new(target, "Source", source) < 0)
                return ctl_bad_message(c, -EBADMSG);
        *ret = TAKE_PTR(target);
        return EXIT_CODE_OK;
}

static int get_property(Ctl *c, const char *path, const char *interface, const char *name,
                        json_t **ret)
{
        sd_bus_message *m = NULL, *reply = NULL;
        int r, code = ctl_method(c, path, "org.freedesktop.DBus.Properties", "Get", &m);

        if (code != EXIT_CODE_OK)
                return code;
        r = sd_bus_message_append(m, "ss", interface, name);
        if (r < 0) {
                sd_bus_message_unref(m);
                return ctl_bad_message(c, r);
        }
        code = ctl_invoke(c, m, &reply);
        if (code != EXIT_CODE_OK)
                return code;
        r = message_read_json(reply, ret);
        sd_bus_message_unref(reply);
        return r < 0 ? ctl_bad_message(c, r) : EXIT_CODE_OK;
}

static int append_accounts(Ctl *c, const char *name, const char *path, json_t *list)
{
        _cleanup_json_ json_t *paths = NULL;
        json_t *object;
        size_t i;
        int code = get_property(c, path, IFACE("Target"), "Accounts", &paths);

        json_array_foreach (paths, i, object) {
                _cleanup_json_ json_t *account = entry_from_path(json_string_value(object), path,
                                                                 "account", "Direction", "User");

                if (!account ||
                    json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "Target", name, "User",
                                                          json_text(account, "User"), "Direction",
                                                          json_text(account, "Direction"))) < 0)
                        return ctl_bad_message(c, -EBADMSG);
        }
        return code;
}

static int append_discovery_accounts(Ctl *c, json_t *list)
{
        _cleanup_json_ json_t *manager = NULL;
        json_t *account;
        size_t i;
        int code = model_manager(c, &manager);

        json_array_foreach (json_object_get(manager, "DiscoveryAccounts"), i, account)
                if (json_object_set_new(account, "Target", json_string("")) < 0 ||
                    json_array_append(list, account) < 0)
                        return ctl_bad_message(c, -ENOMEM);
        return code;
}

int model_account_pool(Ctl *c, json_t **ret)
{
        _cleanup_json_ json_t *manager = NULL, *list = json_array();
        const json_t *user;
        size_t i;
        int code = model_manager(c, &manager);

        json_array_foreach (json_object_get(manager, "Accounts"), i, user)
                if (json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "Target", "", "User",
                                                          json_string_value(user), "Direction",
                                                          "unbound")) < 0)
                        return ctl_bad_message(c, -ENOMEM);
        if (code == EXIT_CODE_OK)
                *ret = TAKE_PTR(list);
        return code;
}

int model_accounts(Ctl *c, char *const *names, json_t **ret)
{
        _cleanup_json_ json_t *list = json_array(), *targets = NULL;
        json_t *target;
        size_t i;
        int code = EXIT_CODE_OK;

        for (; names && *names && code == EXIT_CODE_OK; names++) {
                g_autofree char *name = NULL, *path = NULL;

                code = model_resolve(c, *names, &name, &path);
                if (code == EXIT_CODE_OK)
                        code = append_accounts(c, name, path, list);
        }
        if (!names) {
                code = append_discovery_accounts(c, list);
                if (code == EXIT_CODE_OK)
                        code = model_targets(c, &targets);
                json_array_foreach (targets, i, target)
                        if (code == EXIT_CODE_OK)
                                code = append_accounts(c, json_text(target, "Name"),
                                                       json_text(target, "Object"), list);
        }
        if (code == EXIT_CODE_OK)
                *ret = TAKE_PTR(list);
        return code;
}

static int target_not_found(Ctl *c, const char *name, const json_t *targets)
{
        g_autoptr(GPtrArray) known = g_ptr_array_new();
        const json_t *target;
        const char *near;
        size_t i;

        json_array_foreach (targets, i, target) {
                const char *full = json_text(target, "Name"), *colon = strchr(full, ':');

                g_ptr_array_add(known, (char *)full);
                if (colon)
                        g_ptr_array_add(known, (char *)colon + 1);
        }
        g_ptr_array_add(known, NULL);
        near = suggest(name, (const char *const *)known->pdata);
        if (near)
                return ctl_fail(c, EXIT_CODE_NOT_FOUND, "There is no target %s. Did you mean %s?",
                                name, near);
        return ctl_fail(c, EXIT_CODE_NOT_FOUND,
                        "There is no target %s. See tgtctl list for those there are.", name);
}

/* The one target whose name is name behind the first ':'. */
static int resolve_short(Ctl *c, const char *name, char **ret)
{
        _cleanup_json_ json_t *targets = NULL;
        const char *found = NULL;
        json_t *target;
        size_t i;
        int code = model_targets(c, &targets);

        if (code != EXIT_CODE_OK)
                return code;
        json_array_foreach (targets, i, target) {
                const char *full = json_text(target, "Name"), *colon = strchr(full, ':');

                if (!colon || !STREQ(colon + 1, name))
                        continue;
                if (found)
                        return ctl_fail(c, EXIT_CODE_NOT_FOUND,
                                        "%s could be %s or %s; give the whole name.", name, found,
                                        full);
                found = full;
        }
        if (!found)
                return target_not_found(c, name, targets);
        ctl_note(c, "Taking %s for %s.", name, found);
        *ret = g_strdup(found);
        return EXIT_CODE_OK;
}

/* A name, or "tid=4" as tgt-admin has it, which is no name. */
static int begin_get_target(Ctl *c, const char *name, sd_bus_message **ret, int *ret_appended)
{
        uint32_t tid = 0;
        bool by_tid = g_str_has_prefix(name, "tid=") &&
                      parse_u32(name + strlen("tid="), 1, INT32_MAX, &tid) >= 0;
        int code = ctl_method(c, BUS_ROOT, IFACE("Manager"),
                              by_tid ? "GetTargetByTid" : "GetTarget", ret);

        if (code == EXIT_CODE_OK)
                *ret_appended = by_tid ? sd_bus_message_append(*ret, "u", tid)
                                       : sd_bus_message_append(*ret, "s", name);
        return code;
}

static int get_target(Ctl *c, const char *name, sd_bus_error *error, char **ret_path)
{
        sd_bus_message *m = NULL, *reply = NULL;
        const char *path = NULL;
        int r = 0, code = begin_get_target(c, name, &m, &r);

        if (code != EXIT_CODE_OK)
                return code;
        if (r < 0) {
                sd_bus_message_unref(m);
                return ctl_fail(c, EXIT_CODE_USAGE, "\"%s\" cannot be the name of a target.", name);
        }
        code = ctl_invoke_quiet(c, m, error, &reply);
        if (code != EXIT_CODE_OK)
                return code;
        r = sd_bus_message_read(reply, "o", &path);
        if (r >= 0)
                *ret_path = g_strdup(path);
        sd_bus_message_unref(reply);
        return r < 0 ? ctl_bad_message(c, r) : EXIT_CODE_OK;
}

int model_resolve(Ctl *c, const char *name, char **ret_name, char **ret_path)
{
        g_autofree char *path = NULL, *full = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int code = get_target(c, name, &error, &path);

        if (code != EXIT_CODE_OK && !sd_bus_error_is_set(&error))
                return code; /* has been told */
        if (code != EXIT_CODE_OK) {
                bool no_name = code == EXIT_CODE_NOT_FOUND ||
                               sd_bus_error_has_name(&error, "org.tgt1.Error.InvalidArgument");

                if (!no_name)
                        (void)ctl_report_error(c, code, &error);
                sd_bus_error_free(&error);
                if (!no_name)
                        return code;
                code = resolve_short(c, name, &full);
                if (code == EXIT_CODE_OK)
                        code = get_target(c, full, &error, &path);
                if (sd_bus_error_is_set(&error))
                        (void)ctl_report_error(c, code, &error);
                sd_bus_error_free(&error);
                if (code != EXIT_CODE_OK)
                        return code;
        } else
                full = path_label(path, "target"); /* as the daemon writes it */
        if (ret_name)
                *ret_name = full ? TAKE_PTR(full) : g_strdup(name);
        if (ret_path)
                *ret_path = TAKE_PTR(path);
        return EXIT_CODE_OK;
}

/* The unit behind "TARGET/LUN". */
static int resolve_lun(Ctl *c, const char *target, uint32_t number, char **ret_path)
{
        _cleanup_json_ json_t *properties = NULL;
        g_autofree char *path = NULL;
        json_t *lun;
        size_t i;
        int code = model_resolve(c, target, NULL, &path);

        if (code == EXIT_CODE_OK)
                code = ctl_get_all(c, path, IFACE("Target"), &properties);
        if (code == EXIT_CODE_OK)
                code = model_name_member(c, properties, "LogicalUnits", lun_fields);
        if (code != EXIT_CODE_OK)
                return code;
        json_array_foreach (json_object_get(properties, "LogicalUnits"), i, lun) {
                const char *object = json_text(lun, "Object");

                if (json_number(lun, "Lun") != number)
                        continue;
                if (STREQ(object, "/"))
                        return ctl_fail(c, EXIT_CODE_FAILURE, "LUN %u of %s is being set up.",
                                        number, target);
                *ret_path = g_strdup(object);
                return EXIT_CODE_OK;
        }
        return ctl_fail(c, EXIT_CODE_NOT_FOUND, "%s has no LUN %u.", target, number);
}

/* Sends m, to which appended is what appending the arguments returned; the reply is a path. */
static int get_object(Ctl *c, sd_bus_message *m, int appended, char **ret_path)
{
        sd_bus_message *reply = NULL;
        const char *path;
        int r = appended, code;

        if (r < 0) {
                sd_bus_message_unref(m);
                return ctl_bad_message(c, r);
        }
        code = ctl_invoke(c, m, &reply);
        if (code != EXIT_CODE_OK)
                return code;
        r = sd_bus_message_read(reply, "o", &path);
        if (r >= 0)
                *ret_path = g_strdup(path);
        sd_bus_message_unref(reply);
        return r < 0 ? ctl_bad_message(c, r) : EXIT_CODE_OK;
}

int model_resolve_unit(Ctl *c, const char *name, char **ret_path)
{
        const char *slash = strrchr(name, '/');
        sd_bus_message *m = NULL;
        uint32_t number;
        int code;

        if (slash && parse_u32(slash + 1, 0, 16383, &number) >= 0) {
                g_autofree char *target = g_strndup(name, (size_t)(slash - name));

                return resolve_lun(c, target, number, ret_path);
        }
        code = ctl_method(c, BUS_ROOT, IFACE("Manager"), "GetLogicalUnit", &m);
        if (code != EXIT_CODE_OK)
                return code;
        return get_object(c, m, sd_bus_message_append(m, "s", name), ret_path);
}

int model_get_session(Ctl *c, uint64_t id, char **ret_path)
{
        sd_bus_message *m = NULL;
        int code = ctl_method(c, BUS_ROOT, IFACE("Manager"), "GetSession", &m);

        if (code != EXIT_CODE_OK)
                return code;
        return get_object(c, m, sd_bus_message_append(m, "t", id), ret_path);
}
