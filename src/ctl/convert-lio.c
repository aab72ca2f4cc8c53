/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "base/base.h"
#include "ctl/convert.h"
#include "ctl/model.h"

#define ISCSI_PORT 3260
#define SERIAL_MAX 252U /* of scsi_sn */
#define T10_ID_MAX 244U /* of scsi_id */
#define PRODUCT_MAX 16U /* of product_id */

/* ---- reading --------------------------------------------------------------------------------- */

/* The text of a value, "" if there is none: rtslib writes numbers and truth values as either. */
static char *text_of(const json_t *object, const char *key)
{
        const json_t *v = json_object_get(object, key);

        if (json_is_string(v))
                return g_strdup(json_string_value(v));
        if (json_is_integer(v))
                return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(v));
        if (json_is_boolean(v))
                return g_strdup(json_is_true(v) ? "1" : "0");
        return g_strdup("");
}

static bool is_set(const json_t *object, const char *key)
{
        g_autofree char *text = text_of(object, key);

        return *text && !STREQ(text, "0") && g_ascii_strcasecmp(text, "false") != 0 &&
               g_ascii_strcasecmp(text, "no") != 0;
}

/* ---- what is said and has no place here ------------------------------------------------------ */

typedef struct Default {
        const char *name, *value; /* NULL: whatever it is, it is converted or means nothing here */
} Default;

static const Default device_attributes[] = {
        { "block_size", NULL },
        { "emulate_tpu", NULL },
        { "emulate_write_cache", NULL },
        { "emulate_model_alias", NULL },
        { "is_nonrot", NULL },
        { "emulate_3pc", "1" },
        { "emulate_caw", "1" },
        { "emulate_dpo", "1" },
        { "emulate_fua_read", "1" },
        { "emulate_fua_write", "1" },
        { "emulate_pr", "1" },
        { "emulate_rest_reord", "0" },
        { "emulate_rsoc", "1" },
        { "emulate_tas", "1" },
        { "emulate_tpws", "0" },
        { "emulate_ua_intlck_ctrl", "0" },
        { "enforce_pr_isids", "1" },
        { "force_pr_aptpl", "0" },
        { "pi_prot_format", "0" },
        { "pi_prot_type", "0" },
        { "pi_prot_verify", "0" },
        { "unmap_zeroes_data", "0" },
        { "alua_support", "1" },
        { "pgr_support", "1" },
        /* limits that are ours to choose */
        { "max_unmap_block_desc_count", NULL },
        { "max_unmap_lba_count", NULL },
        { "max_write_same_len", NULL },
        { "optimal_sectors", NULL },
        { "queue_depth", NULL },
        { "hw_block_size", NULL },
        { "hw_max_sectors", NULL },
        { "hw_queue_depth", NULL },
        { "hw_pi_prot_type", NULL },
        { "unmap_granularity", NULL },
        { "unmap_granularity_alignment", NULL },
        { "submit_type", NULL },
        { NULL },
};

static const Default group_attributes[] = {
        { "authentication", NULL },
        { "generate_node_acls", NULL },
        { "demo_mode_write_protect", NULL },
        { "cache_dynamic_acls", NULL },
        { "default_cmdsn_depth", NULL },
        { "default_erl", "0" },
        { "demo_mode_discovery", "1" },
        { "fabric_prot_type", "0" },
        { "login_keys_workaround", NULL },
        { "login_timeout", NULL },
        { "netif_timeout", NULL },
        { "prod_mode_write_protect", NULL },
        { "t10_pi", "0" },
        { "tpg_enabled_sendtargets", "1" },
        { NULL },
};

static void tell_attributes(Convert *c, const json_t *attributes, const Default *table,
                            const char *what)
{
        const char *key;
        json_t *v;

        json_object_foreach ((json_t *)attributes, key, v) {
                g_autofree char *value = text_of(attributes, key);
                const Default *d = table;

                while (d->name && !STREQ(d->name, key))
                        d++;
                if (!d->name || (d->value && !STREQ(d->value, value)))
                        convert_tell(c, true, what, "attribute %s %s", key, value);
        }
}

/* ---- backstores ------------------------------------------------------------------------------ */

/* SPC-4 7.8.6.2.5; LIO's is its company's number, 001405, and the first 25 hex digits of the serial
 * number, whatever stands between them. */
char *lio_naa(const char *serial)
{
        GString *s = g_string_new("6001405");

        for (const char *p = serial; *p && s->len < 32; p++)
                if (g_ascii_isxdigit(*p))
                        g_string_append_c(s, g_ascii_tolower(*p));
        while (s->len < 32)
                g_string_append_c(s, '0');
        return g_string_free(s, FALSE);
}

static bool is_uuid(const char *s)
{
        return strlen(s) == 36 && strspn(s, "0123456789abcdefABCDEF-") == 36 && s[8] == '-' &&
               s[13] == '-' && s[18] == '-' && s[23] == '-';
}

static void set_identity(Convert *c, TargetSpec *t, LunSpec *l, const json_t *object,
                         const char *what)
{
        const json_t *attributes = json_object_get(object, "attributes");
        const char *plugin = json_text(object, "plugin"), *name = json_text(object, "name");
        const char *serial = json_text(object, "wwn");
        const char *model = is_set(attributes, "emulate_model_alias") ? name
                            : STREQ(plugin, "fileio")                 ? "FILEIO"
                            : STREQ(plugin, "ramdisk")                ? "RAMDISK-MCP"
                            : STREQ(plugin, "user")                   ? "TCMU device"
                                                                      : "IBLOCK";
        g_autofree char *product = g_strndup(model, PRODUCT_MAX);
        g_autofree char *naa = NULL, *t10 = NULL;

        convert_set(c, t, l, what, "vendor_id", "LIO-ORG");
        convert_set(c, t, l, what, "product_id", product);
        convert_set(c, t, l, what, "product_rev", "4.0");
        if (!*serial) {
                convert_tell(c, true, what, "it has no wwn, so its identity will be another");
                return;
        }
        naa = lio_naa(serial);
        convert_set(c, t, l, what, "naa", naa);
        if (is_uuid(serial))
                convert_set(c, t, l, what, "uuid", serial);
        if (strlen(serial) <= SERIAL_MAX)
                convert_set(c, t, l, what, "scsi_sn", serial);
        else
                convert_tell(c, true, what, "unit serial number %s: it is longer than %u", serial,
                             SERIAL_MAX);
        t10 = g_strdup_printf("%s:%s", product, serial);
        if (strlen(t10) <= T10_ID_MAX)
                convert_set(c, t, l, what, "scsi_id", t10);
        else
                convert_tell(c, false, what,
                             "the T10 designator \"%s\" is too long for scsi_id and becomes "
                             "another; the NAA designator, by which hosts know a disk, stays",
                             t10);
}

static void set_number(Convert *c, TargetSpec *t, LunSpec *l, const char *what,
                       const char *directive, json_int_t value)
{
        g_autofree char *text = g_strdup_printf("%" JSON_INTEGER_FORMAT, value);

        convert_set(c, t, l, what, directive, text);
}

static void set_settings(Convert *c, TargetSpec *t, LunSpec *l, const json_t *object,
                         const char *what)
{
        const json_t *attributes = json_object_get(object, "attributes");
        json_int_t block_size = json_number(attributes, "block_size");
        bool cache = STREQ(json_text(object, "plugin"), "fileio")
                             ? is_set(object, "write_back")
                             : is_set(attributes, "emulate_write_cache");

        if (block_size && block_size != 512)
                set_number(c, t, l, what, "block-size", block_size);
        if (!STREQ(json_text(object, "plugin"), "ramdisk"))
                convert_set(c, t, l, what, "write-cache", cache ? "on" : "off");
        if (is_set(attributes, "emulate_tpu"))
                convert_set(c, t, l, what, "thin-provisioning", "1");
        if (is_set(attributes, "is_nonrot"))
                convert_set(c, t, l, what, "rotation_rate", "1");
        if (is_set(object, "readonly"))
                convert_set(c, t, l, what, "readonly", "1");
        tell_attributes(c, attributes, device_attributes, what);
}

/* "rbd/POOL/IMAGE;options" of tcmu-runner. */
static bool set_user_store(Convert *c, TargetSpec *t, LunSpec *l, const json_t *object,
                           const char *what)
{
        const char *config = json_text(object, "config");
        g_autofree char *image = NULL;

        if (!g_str_has_prefix(config, "rbd/")) {
                convert_tell(c, true, what, "handler of tcmu-runner: %s", config);
                return false;
        }
        image = g_strndup(config + 4, strcspn(config + 4, ";"));
        convert_set(c, t, l, what, "bs-type", "rbd");
        convert_set(c, t, l, what, "backing-store", image);
        if (strchr(config, ';'))
                convert_tell(c, true, what, "options of tcmu-runner: %s", strchr(config, ';') + 1);
        return true;
}

static bool set_store(Convert *c, TargetSpec *t, LunSpec *l, const json_t *object, const char *what)
{
        const char *plugin = json_text(object, "plugin");

        if (STREQ(plugin, "fileio") || STREQ(plugin, "block")) {
                convert_set(c, t, l, what, "backing-store", json_text(object, "dev"));
                if (is_set(object, "aio"))
                        convert_set(c, t, l, what, "bs-type", "aio");
        } else if (STREQ(plugin, "ramdisk")) {
                convert_set(c, t, l, what, "bs-type", is_set(object, "nullio") ? "null" : "ram");
                set_number(c, t, l, what, "size", json_number(object, "size"));
        } else if (STREQ(plugin, "user")) {
                return set_user_store(c, t, l, object, what);
        } else {
                convert_tell(c, true, what, "backstores of type %s", plugin);
                return false;
        }
        return true;
}

static void tell_alua(Convert *c, const json_t *object, const char *what)
{
        json_t *group;
        size_t i;

        json_array_foreach (json_object_get(object, "alua_tpgs"), i, group)
                if (!STREQ(json_text(group, "name"), "default_tg_pt_gp"))
                        convert_tell(c, true, what, "ALUA group %s", json_text(group, "name"));
}

/* "/backstores/fileio/disk" */
static char *backstore_path(const json_t *object)
{
        return g_strdup_printf("/backstores/%s/%s", json_text(object, "plugin"),
                               json_text(object, "name"));
}

static const json_t *find_backstore(const json_t *root, const char *path)
{
        json_t *object;
        size_t i;

        json_array_foreach (json_object_get(root, "storage_objects"), i, object) {
                g_autofree char *name = backstore_path(object);

                if (STREQ(name, path))
                        return object;
        }
        return NULL;
}

/* ---- who sees what --------------------------------------------------------------------------- */

typedef struct Mapping {
        json_int_t number;
        bool readonly;
} Mapping;

/* How initiator maps the LUN of its group; false: it does not see it. */
static bool mapped_by(const json_t *acl, json_int_t lun, Mapping *ret)
{
        json_t *m;
        size_t i;

        json_array_foreach (json_object_get(acl, "mapped_luns"), i, m) {
                if (json_number(m, "tpg_lun") != lun)
                        continue;
                *ret = (Mapping){ json_number(m, "index"), is_set(m, "write_protect") };
                return true;
        }
        return false;
}

/* Here a LUN is there for all initiators of a target or for none: only what all see alike can be
 * served without showing somebody what was kept from him. */
static bool all_see_alike(Convert *c, const json_t *acls, json_int_t lun, const char *what,
                          Mapping *ret)
{
        json_t *acl;
        size_t i;

        json_array_foreach (acls, i, acl) {
                Mapping other;
                bool sees = mapped_by(acl, lun, &other);

                if (i == 0 && sees)
                        *ret = other;
                if (sees && other.number == ret->number && other.readonly == ret->readonly)
                        continue;
                convert_tell(c, true, what,
                             "the initiators of the target do not all see it alike (%s does not, "
                             "for one): make a target for each of them that does",
                             json_text(acl, "node_wwn"));
                return false;
        }
        return true;
}

static void convert_lun(Convert *c, const json_t *root, const json_t *group, const json_t *lun,
                        TargetSpec *t)
{
        const json_t *attributes = json_object_get(group, "attributes");
        const json_t *acls = json_object_get(group, "node_acls");
        const char *path = json_text(lun, "storage_object");
        const json_t *object = find_backstore(root, path);
        Mapping m = { json_number(lun, "index"), false };
        g_autofree char *what =
                g_strdup_printf("%s LUN %" JSON_INTEGER_FORMAT " (%s)", t->name, m.number, path);
        LunSpec *l;

        if (!object) {
                convert_tell(c, true, what, "there is no such backstore");
                return;
        }
        if (json_array_size(acls) > 0) {
                if (!all_see_alike(c, acls, m.number, what, &m))
                        return;
        } else
                m.readonly = is_set(attributes, "generate_node_acls") &&
                             (!json_object_get(attributes, "demo_mode_write_protect") ||
                              is_set(attributes, "demo_mode_write_protect"));
        l = lun_spec_new();
        if (!set_store(c, t, l, object, what)) {
                lun_spec_free(l);
                return;
        }
        set_number(c, t, l, what, "lun", m.number);
        set_settings(c, t, l, object, what);
        if (m.readonly)
                convert_set(c, t, l, what, "readonly", "1");
        set_identity(c, t, l, object, what);
        tell_alua(c, object, what);
        if (target_spec_add_lun(t, l) < 0) {
                convert_tell(c, true, what, "there is another LUN %" JSON_INTEGER_FORMAT " already",
                             m.number);
                lun_spec_free(l);
        }
}

/* ---- access ---------------------------------------------------------------------------------- */

/* of: a group or an initiator, with CHAP names and passwords. */
static void convert_accounts(Convert *c, TargetSpec *t, const json_t *of, const char *what)
{
        const char *user = json_text(of, "chap_userid"), *secret = json_text(of, "chap_password");
        const char *mutual = json_text(of, "chap_mutual_userid");
        const char *mutual_secret = json_text(of, "chap_mutual_password");

        if (*user && *secret && !convert_has_account(t->incoming, user))
                g_ptr_array_add(t->incoming, account_spec_new(user, secret));
        else if (*user && *secret)
                convert_tell(c, true, what, "account %s: the target has one of that name", user);
        if (!*mutual || !*mutual_secret)
                return;
        if (!t->outgoing)
                t->outgoing = account_spec_new(mutual, mutual_secret);
        else if (!STREQ(t->outgoing->user, mutual) || !STREQ(t->outgoing->secret, mutual_secret))
                convert_tell(c, true, what,
                             "mutual account %s: a target proves itself by one account, %s here",
                             mutual, t->outgoing->user);
}

static void convert_access(Convert *c, TargetSpec *t, const json_t *group)
{
        const json_t *attributes = json_object_get(group, "attributes");
        const json_t *acls = json_object_get(group, "node_acls");
        bool chap = !json_object_get(attributes, "authentication") ||
                    is_set(attributes, "authentication");
        json_t *acl;
        size_t i;

        if (chap)
                convert_accounts(c, t, group, t->name);
        json_array_foreach (acls, i, acl) {
                const char *name = json_text(acl, "node_wwn");
                g_autofree char *what = g_strdup_printf("%s ACL %s", t->name, name);

                convert_set(c, t, NULL, what, "initiator-name", name);
                if (chap)
                        convert_accounts(c, t, acl, what);
                else if (*json_text(acl, "chap_userid"))
                        convert_tell(c, false, what,
                                     "account %s was not asked for (authentication 0), and is "
                                     "not here",
                                     json_text(acl, "chap_userid"));
        }
        if (t->incoming->len > 1)
                convert_tell(c, false, t->name,
                             "each of its accounts belonged to one initiator; here any of its "
                             "initiators may use any of them");
        if (json_array_size(acls) == 0 && is_set(attributes, "generate_node_acls"))
                convert_set(c, t, NULL, t->name, "initiator-name", "ALL");
        else if (json_array_size(acls) > 0 && is_set(attributes, "generate_node_acls"))
                convert_tell(c, true, t->name,
                             "generate_node_acls: initiators that have no ACL are not let in");
        t->access_given = true; /* nobody, if nobody was */
        if (is_set(attributes, "authentication") && t->incoming->len == 0) {
                convert_tell(c, true, t->name,
                             "authentication 1 without an account: nobody could log in, and here "
                             "the target is offline; give it accounts, or take \"state offline\" "
                             "away to let its initiators in without");
                convert_set(c, t, NULL, t->name, "state", "offline");
        }
}

/* ---- parameters and portals ------------------------------------------------------------------ */

/* Of RFC 3720 and gone since, or about what only LIO sends. */
static bool means_nothing(const char *key)
{
        static const char *const keys[] = { "AuthMethod",
                                            "IFMarkInt",
                                            "IFMarker",
                                            "OFMarkInt",
                                            "OFMarker",
                                            "DataPDUInOrder",
                                            "DataSequenceInOrder",
                                            "MaxXmitDataSegmentLength",
                                            NULL };

        return g_strv_contains(keys, key);
}

static void convert_parameters(Convert *c, TargetSpec *t, const json_t *group)
{
        json_t *parameters = json_object_get(group, "parameters"), *v;
        const char *key;

        json_object_foreach (parameters, key, v) {
                g_autofree char *value = text_of(parameters, key);

                if (STREQ(key, "TargetAlias")) {
                        if (*value && !STREQ(value, "LIO Target"))
                                convert_set(c, t, NULL, t->name, "alias", value);
                } else if (!means_nothing(key))
                        convert_set(c, t, NULL, t->name, key, value);
        }
}

static void convert_portals(Convert *c, const TargetSpec *t, const json_t *group)
{
        json_t *portal;
        size_t i;

        json_array_foreach (json_object_get(group, "portals"), i, portal) {
                g_autofree char *ip = g_strdup(json_text(portal, "ip_address"));
                json_int_t port = json_number(portal, "port");
                g_autofree char *address = NULL, *what = NULL;

                g_strdelimit(ip, "[]", ' ');
                g_strstrip(ip);
                address = g_strdup_printf(strchr(ip, ':') ? "[%s]:%" JSON_INTEGER_FORMAT
                                                          : "%s:%" JSON_INTEGER_FORMAT,
                                          ip, port);
                what = g_strdup_printf("%s portal %s", t->name, address);
                if (is_set(portal, "iser") || is_set(portal, "offload")) {
                        convert_tell(c, true, what, "it is one of %s",
                                     is_set(portal, "iser") ? "iSER" : "an offload engine");
                        continue;
                }
                if (port == ISCSI_PORT && (STREQ(ip, "0.0.0.0") || STREQ(ip, "::")))
                        continue; /* what tgtd.socket has */
                if (convert_has_portal(c, address))
                        continue;
                g_ptr_array_add(c->desired->portals, portal_spec_new(address));
                convert_tell(c, false, what,
                             "portals are of the daemon here: all targets are "
                             "reached on them, and on those of tgtd.socket");
        }
}

/* ---- targets --------------------------------------------------------------------------------- */

/* Old files do not say. */
static bool is_enabled(const json_t *group)
{
        return !json_object_get(group, "enable") || is_set(group, "enable");
}

static const json_t *first_enabled(const json_t *groups)
{
        json_t *group;
        size_t i;

        json_array_foreach (groups, i, group)
                if (is_enabled(group))
                        return group;
        return json_array_get(groups, 0);
}

static void convert_target(Convert *c, const json_t *root, const json_t *target)
{
        const char *fabric = json_text(target, "fabric"), *wwn = json_text(target, "wwn");
        const json_t *groups = json_object_get(target, "tpgs"), *group = first_enabled(groups);
        g_autofree char *name = NULL;
        char why[256] = "";
        json_t *other, *lun;
        TargetSpec *t;
        size_t i;

        if (!STREQ(fabric, "iscsi")) {
                convert_tell(c, true, wwn, "a target of the fabric %s", fabric);
                return;
        }
        if (iscsi_name_normalize(wwn, &name, why, sizeof(why)) < 0) {
                convert_tell(c, true, wwn, "%s", why);
                return;
        }
        t = target_spec_new(name);
        json_array_foreach (groups, i, other)
                if (other != group)
                        convert_tell(c, true, wwn, "target portal group %lld: a target has one",
                                     (long long)json_number(other, "tag"));
        if (group && !is_enabled(group))
                convert_set(c, t, NULL, wwn, "state", "offline");
        tell_attributes(c, json_object_get(group, "attributes"), group_attributes, wwn);
        convert_access(c, t, group);
        convert_parameters(c, t, group);
        convert_portals(c, t, group);
        json_array_foreach (json_object_get(group, "luns"), i, lun)
                convert_lun(c, root, group, lun, t);
        desired_put(c->desired, t);
}

static bool is_mapped(const json_t *root, const char *path)
{
        json_t *target, *group, *lun;
        size_t i, k, n;

        json_array_foreach (json_object_get(root, "targets"), i, target)
                json_array_foreach (json_object_get(target, "tpgs"), k, group)
                        json_array_foreach (json_object_get(group, "luns"), n, lun)
                                if (STREQ(json_text(lun, "storage_object"), path))
                                        return true;
        return false;
}

static void tell_unmapped(Convert *c, const json_t *root)
{
        json_t *object;
        size_t i;

        json_array_foreach (json_object_get(root, "storage_objects"), i, object) {
                g_autofree char *path = backstore_path(object);

                if (!is_mapped(root, path))
                        convert_tell(c, false, path, "no target maps it");
        }
}

static void convert_discovery(Convert *c, const json_t *root)
{
        Desired *d = c->desired;
        json_t *module;
        size_t i;

        json_array_foreach (json_object_get(root, "fabric_modules"), i, module) {
                const char *user = json_text(module, "discovery_userid");
                const char *mutual = json_text(module, "discovery_mutual_userid");

                if (!STREQ(json_text(module, "name"), "iscsi") ||
                    !is_set(module, "discovery_enable_auth"))
                        continue;
                if (*user)
                        g_ptr_array_add(
                                d->discovery_incoming,
                                account_spec_new(user, json_text(module, "discovery_password")));
                if (*mutual && !d->discovery_outgoing)
                        d->discovery_outgoing = account_spec_new(
                                mutual, json_text(module, "discovery_mutual_password"));
        }
}

int convert_lio(Convert *c, const char *file, const char *text, char *reterr, size_t size)
{
        _cleanup_json_ json_t *root = NULL;
        json_error_t error;
        json_t *target;
        size_t i;

        root = json_loads(text, 0, &error);
        if (!root) {
                snprintf(reterr, size, "line %d: %s", error.line, error.text);
                return -EINVAL;
        }
        if (!json_is_array(json_object_get(root, "storage_objects")) ||
            !json_is_array(json_object_get(root, "targets"))) {
                snprintf(reterr, size,
                         "it has no storage_objects and targets: not a saveconfig.json");
                return -EINVAL;
        }
        convert_discovery(c, root);
        json_array_foreach (json_object_get(root, "targets"), i, target)
                convert_target(c, root, target);
        tell_unmapped(c, root);
        return 0;
}
