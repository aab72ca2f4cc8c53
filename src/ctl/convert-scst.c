/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/base.h"
#include "ctl/convert-text.h"

/* scst.conf of SCST, as scstadmin writes it: devices by their handlers, then targets by their
 * drivers, whose LUNs are devices by name. */

/* ---- devices --------------------------------------------------------------------------------- */

static const struct {
        const char *name, *bs_type, *vendor; /* bs_type NULL: not here */
} handlers[] = {
        { "vdisk_fileio", "rdwr", "SCST_FIO" },
        { "vdisk_blockio", "aio", "SCST_BIO" },
        { "vdisk_nullio", "null", "SCST_FIO" },
};

typedef struct Device {
        const Statement *statement;
        const char *handler;
        bool mapped;
} Device;

typedef struct Scst {
        TextConvert text;
        GHashTable *devices; /* name -> Device */
} Scst;

static void run_filename(const StatementScope *scope, const Statement *s)
{
        statement_set(scope->convert, s, scope->target, scope->lun, "backing-store",
                      statement_word(s, 1));
}

static void run_naa(const StatementScope *scope, const Statement *s)
{
        const char *value = statement_word(s, 1);
        size_t n = strlen(value) - (g_str_has_prefix(value, "0x") ? 2 : 0);

        if (n == 32)
                statement_set(scope->convert, s, scope->target, scope->lun, "naa", value);
        else
                statement_tell(scope->convert, s, true,
                               "%s: the NAA designator here has 32 digits and begins with 6",
                               value);
}

/* What the device says of its cache is one setting here. */
static void run_write_through(const StatementScope *scope, const Statement *s)
{
        if (word_is_on(statement_word(s, 1)))
                statement_set(scope->convert, s, scope->target, scope->lun, "write-cache", "off");
}

static void run_nv_cache(const StatementScope *scope, const Statement *s)
{
        if (word_is_on(statement_word(s, 1)))
                statement_tell(scope->convert, s, false,
                               "here a flush reaches the disk all the same");
}

static void run_o_direct(const StatementScope *scope, const Statement *s)
{
        if (word_is_on(statement_word(s, 1)))
                statement_set(scope->convert, s, scope->target, scope->lun, "bsoflags", "direct");
}

/* SCST says whether it rotates, we how fast. */
static void run_rotational(const StatementScope *scope, const Statement *s)
{
        if (!word_is_on(statement_word(s, 1)))
                statement_set(scope->convert, s, scope->target, scope->lun, "rotation_rate", "1");
}

static void run_size_mb(const StatementScope *scope, const Statement *s)
{
        g_autofree char *size = g_strconcat(statement_word(s, 1), "M", NULL);

        statement_set(scope->convert, s, scope->target, scope->lun, "size", size);
}

/* clang-format off: one row per attribute */
static const StatementRow device_rows[] = {
        { "filename", run_filename },
        { "blocksize", .directive = "block-size" },
        { "read_only", .directive = "readonly" },
        { "removable", .directive = "removable" },
        { "thin_provisioned", .directive = "thin-provisioning" },
        { "usn", .directive = "scsi_sn" },
        { "naa_id", run_naa },
        { "t10_vend_id", .directive = "vendor_id" },
        { "prod_id", .directive = "product_id" },
        { "prod_rev_lvl", .directive = "product_rev" },
        { "t10_dev_id", .directive = "scsi_id" },
        { "size", .directive = "size" },
        { "size_mb", run_size_mb },
        { "write_through", run_write_through },
        { "nv_cache", run_nv_cache },
        { "o_direct", run_o_direct },
        { "rotational", run_rotational },
        /* how SCST does its work, or what it says by default */
        { "active", .ignored = "1" },
        { "async", .ignored = "" },
        { "cluster_mode", .ignored = "0" },
        { "dif_mode", .ignored = "none" },
        { "dif_type", .ignored = "0" },
        { "dummy", .ignored = "0" },
        { "expl_alua", .ignored = "0" },
        { "lb_per_pb_exp", .ignored = "" },
        { "numa_node_id", .ignored = "" },
        { "threads_num", .ignored = "" },
        { "threads_pool_type", .ignored = "" },
        { "tst", .ignored = "1" },
        { "zero_copy", .ignored = "" },
        { "max_tgt_dev_commands", .ignored = "" },
        { NULL },
};
/* clang-format on */

static void add_device(Scst *scst, const Statement *handler, const Statement *s)
{
        Device *d = g_new0(Device, 1);

        d->statement = s;
        d->handler = statement_word(handler, 1);
        g_hash_table_replace(scst->devices, g_strdup(statement_word(s, 1)), d);
}

static void run_handler(const StatementScope *scope, const Statement *s)
{
        for (guint i = 0; s->children && i < s->children->len; i++) {
                const Statement *child = s->children->pdata[i];

                if (STREQ(statement_word(child, 0), "DEVICE"))
                        add_device(scope->data, s, child);
                else
                        statement_tell(scope->convert, child, true,
                                       "there is nothing like it here: %s",
                                       statement_word(child, 1));
        }
}

static bool has_attribute(const Statement *device, const char *name)
{
        for (guint i = 0; device->children && i < device->children->len; i++)
                if (STREQ(statement_word(device->children->pdata[i], 0), name))
                        return true;
        return false;
}

/* What SCST makes of the name of a device where the file does not say. */
static void tell_identity(const TextConvert *t, const Statement *device)
{
        static const char *const made[][2] = { { "usn", "scsi_sn" }, { "naa_id", "naa" } };

        for (size_t i = 0; i < ELEMENTSOF(made); i++)
                if (!has_attribute(device, made[i][0]))
                        statement_tell(t, device, true,
                                       "%s has no %s, and SCST makes one: read it on an initiator "
                                       "(sg_vpd), and set %s",
                                       statement_word(device, 1), made[i][0], made[i][1]);
}

static LunSpec *convert_device(const StatementScope *scope, Device *d)
{
        const TextConvert *t = scope->convert;
        StatementScope inner = *scope;

        d->mapped = true;
        for (size_t i = 0; i < ELEMENTSOF(handlers); i++) {
                if (!STREQ(handlers[i].name, d->handler))
                        continue;
                inner.lun = lun_spec_new();
                statement_set(t, d->statement, scope->target, inner.lun, "bs-type",
                              handlers[i].bs_type);
                statement_set(t, d->statement, scope->target, inner.lun, "vendor_id",
                              handlers[i].vendor);
                statement_set(t, d->statement, scope->target, inner.lun, "product_id",
                              statement_word(d->statement, 1));
                statements_walk(&inner, d->statement, device_rows);
                tell_identity(t, d->statement);
                return inner.lun;
        }
        statement_tell(t, d->statement, true, "devices of the handler %s: not supported",
                       d->handler);
        return NULL;
}

/* ---- LUNs ------------------------------------------------------------------------------------ */

static void run_lun_readonly(const StatementScope *scope, const Statement *s)
{
        if (word_is_on(statement_word(s, 1)))
                statement_set(scope->convert, s, scope->target, scope->lun, "readonly", "1");
}

static const StatementRow lun_rows[] = {
        { "read_only", run_lun_readonly },
        { NULL },
};

static void run_lun(const StatementScope *scope, const Statement *s)
{
        Scst *scst = scope->data;
        Device *d = g_hash_table_lookup(scst->devices, statement_word(s, 2));
        StatementScope inner = *scope;

        if (!d) {
                statement_tell(scope->convert, s, true, "%s: there is no device %s",
                               statement_word(s, 1), statement_word(s, 2));
                return;
        }
        inner.lun = convert_device(scope, d);
        if (!inner.lun)
                return;
        statement_set(scope->convert, s, scope->target, inner.lun, "lun", statement_word(s, 1));
        statements_walk(&inner, s, lun_rows);
        if (target_spec_add_lun(scope->target, inner.lun) < 0) {
                statement_tell(scope->convert, s, true, "%s is there twice", statement_word(s, 1));
                lun_spec_free(inner.lun);
        }
}

/* ---- access ---------------------------------------------------------------------------------- */

static void run_initiator(const StatementScope *scope, const Statement *s)
{
        const char *name = statement_word(s, 1);

        if (STREQ(name, "*"))
                statement_set(scope->convert, s, scope->target, NULL, "initiator-name", "ALL");
        else if (strpbrk(name, "*?!#"))
                statement_tell(scope->convert, s, true,
                               "%s: no patterns here: name the initiators, or allow their network "
                               "by initiator-address",
                               name);
        else
                statement_set(scope->convert, s, scope->target, NULL, "initiator-name", name);
}

static const StatementRow group_rows[] = {
        { "LUN", run_lun },
        { "INITIATOR", run_initiator },
        { "cpu_mask", .ignored = "" },
        { "io_grouping_type", .ignored = "" },
        { "black_hole", .ignored = "0" },
        { NULL },
};

/* "USER SECRET", of which the latter may have blanks. */
static bool split_user(const Statement *s, char **ret_user, char **ret_secret)
{
        g_autofree char *all = g_strdup(statement_word(s, 1));
        const char *blank = strchr(all, ' ');
        bool two = s->words->len > 2;

        if (!two && !blank)
                return false;
        *ret_user = two ? g_strdup(all) : g_strndup(all, (size_t)(blank - all));
        *ret_secret = g_strdup(two ? statement_word(s, 2) : blank + 1);
        explicit_bzero(all, strlen(all));
        return true;
}

static void run_user(const StatementScope *scope, const Statement *s)
{
        g_autofree char *user = NULL, *secret = NULL;

        if (!split_user(s, &user, &secret))
                statement_tell(scope->convert, s, true, "a user and a secret expected");
        else if (g_str_has_prefix(statement_word(s, 0), "Incoming"))
                convert_incoming(scope->convert, scope->target, user, secret);
        else
                convert_outgoing(scope->convert, s, scope->target, user, secret);
        if (secret)
                explicit_bzero(secret, strlen(secret));
}

static void run_allowed_portal(const StatementScope *scope, const Statement *s)
{
        convert_portal(scope->convert, s, statement_word(s, 1));
}

/* ---- targets --------------------------------------------------------------------------------- */

static void run_enabled(const StatementScope *scope, const Statement *s)
{
        if (!word_is_on(statement_word(s, 1)))
                statement_set(scope->convert, s, scope->target, NULL, "state", "offline");
}

static void run_nothing(const StatementScope *scope, const Statement *s)
{
}

/* Of iSCSI's keys those that are ours under the same name. */
#define PARAM(name)                     \
        {                               \
                name, .directive = name \
        }

/* clang-format off: one row per attribute */
static const StatementRow target_rows[] = {
        { "LUN", run_nothing }, /* convert_luns() */
        { "GROUP", run_nothing },
        { "enabled", run_enabled },
        { "alias", .directive = "alias" },
        { "allowed_portal", run_allowed_portal },
        { "IncomingUser", run_user },
        { "OutgoingUser", run_user },
        PARAM("HeaderDigest"),
        PARAM("DataDigest"),
        PARAM("FirstBurstLength"),
        PARAM("ImmediateData"),
        PARAM("InitialR2T"),
        PARAM("MaxBurstLength"),
        PARAM("MaxOutstandingR2T"),
        PARAM("MaxRecvDataSegmentLength"),
        PARAM("MaxXmitDataSegmentLength"),
        { "QueuedCommands", .directive = "MaxQueueCmd" },
        { "NopInInterval", .directive = "nop_interval" },
        { "NopInTimeout", .ignored = "" },
        { "RspTimeout", .ignored = "" },
        { "MaxSessions", .ignored = "0" },
        { "addr_method", .ignored = "PERIPHERAL" },
        { "black_hole", .ignored = "0" },
        { "cpu_mask", .ignored = "" },
        { "forwarding", .ignored = "0" },
        { "io_grouping_type", .ignored = "" },
        { "per_portal_acl", .ignored = "0" },
        { "per_sess_dedicated_tgt_threads", .ignored = "" },
        { "rel_tgt_id", .ignored = "" },
        { NULL },
};
/* clang-format on */

/* The first group, or NULL; *ret_default: are there LUNs for who is in none? */
static const Statement *first_group(const Statement *target, bool *ret_default)
{
        const Statement *group = NULL;

        *ret_default = false;
        for (guint i = 0; target->children && i < target->children->len; i++) {
                const Statement *s = target->children->pdata[i];

                if (STREQ(statement_word(s, 0), "GROUP") && !group)
                        group = s;
                *ret_default |= STREQ(statement_word(s, 0), "LUN");
        }
        return group;
}

/* The LUNs of a block, one a line. */
static char *luns_of(const Statement *block)
{
        GString *text = g_string_new(NULL);

        for (guint i = 0; block->children && i < block->children->len; i++) {
                const Statement *s = block->children->pdata[i];
                g_autofree char *line = statement_text(s);

                if (!STREQ(statement_word(s, 0), "LUN"))
                        continue;
                g_string_append_printf(text, "%s", line);
                for (guint k = 0; s->children && k < s->children->len; k++) {
                        g_autofree char *inner = statement_text(s->children->pdata[k]);

                        g_string_append_printf(text, " %s", inner);
                }
                g_string_append_c(text, '\n');
        }
        return g_string_free(text, FALSE);
}

static bool same_luns(const Statement *a, const Statement *b)
{
        g_autofree char *x = luns_of(a), *y = luns_of(b);

        return STREQ(x, y);
}

/* A group whose initiators see the same as those of the first one: they come along. */
static void join_group(const StatementScope *scope, const Statement *first, const Statement *group)
{
        if (!same_luns(first, group)) {
                statement_tell(scope->convert, group, true,
                               "%s: here all initiators of a target see the same LUNs: make a "
                               "target of another name for them",
                               statement_word(group, 1));
                return;
        }
        for (guint i = 0; group->children && i < group->children->len; i++) {
                const Statement *s = group->children->pdata[i];

                if (STREQ(statement_word(s, 0), "INITIATOR"))
                        run_initiator(scope, s);
        }
}

/* Whoever is in no group sees what the target itself maps. */
static void convert_luns(const StatementScope *scope, const Statement *target)
{
        bool for_all;
        const Statement *group = first_group(target, &for_all);

        if (group) {
                statements_walk(scope, group, group_rows);
                if (for_all)
                        statement_tell(scope->convert, target, true,
                                       "%s: its LUNs for who is in no group: here all initiators "
                                       "of a target see the same LUNs, those of GROUP %s",
                                       statement_word(target, 1), statement_word(group, 1));
        } else if (for_all) {
                statement_set(scope->convert, target, scope->target, NULL, "initiator-name", "ALL");
        }
        for (guint i = 0; target->children && i < target->children->len; i++) {
                const Statement *s = target->children->pdata[i];

                if (STREQ(statement_word(s, 0), "GROUP") && s != group)
                        join_group(scope, group, s);
                else if (STREQ(statement_word(s, 0), "LUN") && !group)
                        run_lun(scope, s);
        }
}

static void run_target(const StatementScope *scope, const Statement *s)
{
        StatementScope inner = *scope;

        inner.target = convert_target_new(scope->convert, s);
        if (!inner.target)
                return;
        statements_walk(&inner, s, target_rows);
        convert_luns(&inner, s);
        desired_put(scope->convert->convert->desired, inner.target);
}

/* clang-format off: one row per attribute */
static const StatementRow driver_rows[] = {
        { "TARGET", run_target },
        { "IncomingUser", run_user }, /* of discovery */
        { "OutgoingUser", run_user },
        { "enabled", .ignored = "1" },
        { "link_local", .ignored = "" },
        { "trace_level", .ignored = "" },
        { NULL },
};
/* clang-format on */

static void run_driver(const StatementScope *scope, const Statement *s)
{
        const char *name = statement_word(s, 1);

        if (STREQ(name, "iscsi"))
                statements_walk(scope, s, driver_rows);
        else if (STREQ(name, "copy_manager"))
                statement_tell(scope->convert, s, false,
                               "it maps what others serve, for SCST's "
                               "own copying");
        else
                statement_tell(scope->convert, s, true, "targets of the driver %s", name);
}

/* ---- the file -------------------------------------------------------------------------------- */

/* clang-format off: one row per statement */
static const StatementRow root_rows[] = {
        { "HANDLER", run_handler },
        { "TARGET_DRIVER", run_nothing }, /* when all devices are known */
        { "setup_id", .ignored = "" },
        { "threads", .ignored = "" },
        { "max_tasklet_cmd", .ignored = "" },
        { "poll_us", .ignored = "" },
        { "suspend", .ignored = "" },
        { "trace_level", .ignored = "" },
        { NULL },
};
/* clang-format on */

static const StatementRow driver_pass[] = {
        { "TARGET_DRIVER", run_driver },
        { NULL },
};

static void tell_unmapped(const Scst *scst)
{
        GHashTableIter iter;
        gpointer name, value;

        g_hash_table_iter_init(&iter, scst->devices);
        while (g_hash_table_iter_next(&iter, &name, &value))
                if (!((Device *)value)->mapped)
                        statement_tell(&scst->text, ((Device *)value)->statement, false,
                                       "no target maps %s", (char *)name);
}

int convert_scst(Convert *c, const char *file, const char *text, char *reterr, size_t size)
{
        Scst scst = { .text = { .convert = c, .file = file } };
        StatementScope scope = { .convert = &scst.text, .data = &scst };
        Statement *root = NULL;
        int r = statements_parse(text, NULL, &root, reterr, size);

        if (r < 0)
                return r;
        scst.text.root = root;
        scst.devices = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        statements_walk(&scope, root, root_rows);
        statements_pick(&scope, root, driver_pass);
        tell_unmapped(&scst);
        g_hash_table_unref(scst.devices);
        (void)statement_free(root);
        return 0;
}
