/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/base.h"
#include "ctl/convert-text.h"

/* ctl.conf of FreeBSD's ctld: groups of accounts and initiators, groups of portals, LUNs, and
 * targets that name them. Names are known before they are said. */

typedef struct Ctld {
        TextConvert text;
        GHashTable *mapped; /* set of Statement*: LUNs that a target has */
} Ctld;

/* The block of this kind and name; NULL: there is none. */
static const Statement *find_block(const Ctld *ctld, const char *kind, const char *name)
{
        const Statement *root = ctld->text.root;

        for (guint i = 0; i < root->children->len; i++) {
                const Statement *s = root->children->pdata[i];

                if (STREQ(statement_word(s, 0), kind) && STREQ(statement_word(s, 1), name))
                        return s;
        }
        return NULL;
}

static void run_nothing(const StatementScope *scope, const Statement *s)
{
}

/* The word behind the keyword in a block; NULL: it is not there. */
static const char *value_of(const Statement *block, const char *name)
{
        for (guint i = 0; block && block->children && i < block->children->len; i++) {
                const Statement *s = block->children->pdata[i];

                if (STREQ(statement_word(s, 0), name))
                        return statement_word(s, 1);
        }
        return NULL;
}

/* ---- LUNs ------------------------------------------------------------------------------------ */

static void run_path(const StatementScope *scope, const Statement *s)
{
        statement_set(scope->convert, s, scope->target, scope->lun, "backing-store",
                      statement_word(s, 1));
}

static void run_backend(const StatementScope *scope, const Statement *s)
{
        const char *backend = statement_word(s, 1);

        if (STREQ(backend, "ramdisk"))
                statement_set(scope->convert, s, scope->target, scope->lun, "bs-type", "ram");
        else if (!STREQ(backend, "block"))
                statement_tell(scope->convert, s, true, "\"%s\" is not supported", backend);
}

static void set_on(const StatementScope *scope, const Statement *s, const char *directive)
{
        if (word_is_on(statement_word(s, 2)))
                statement_set(scope->convert, s, scope->target, scope->lun, directive, "1");
}

static void option_naa(const StatementScope *scope, const Statement *s)
{
        statement_set(scope->convert, s, scope->target, scope->lun, "naa", statement_word(s, 2));
}

static void option_readonly(const StatementScope *scope, const Statement *s)
{
        set_on(scope, s, "readonly");
}

static void option_unmap(const StatementScope *scope, const Statement *s)
{
        set_on(scope, s, "thin-provisioning");
}

static void option_removable(const StatementScope *scope, const Statement *s)
{
        set_on(scope, s, "removable");
}

static void option_writecache(const StatementScope *scope, const Statement *s)
{
        if (STREQ(statement_word(s, 2), "off"))
                statement_set(scope->convert, s, scope->target, scope->lun, "write-cache", "off");
}

/* clang-format off: one row per option */
static const struct {
        const char *name;
        void (*run)(const StatementScope *scope, const Statement *s);
        const char *directive; /* or NULL: it means nothing here */
} options[] = {
        { "naa", option_naa },
        { "readonly", option_readonly },
        { "unmap", option_unmap },
        { "removable", option_removable },
        { "writecache", option_writecache },
        { "vendor", NULL, "vendor_id" },
        { "product", NULL, "product_id" },
        { "revision", NULL, "product_rev" },
        { "rpm", NULL, "rotation_rate" },
        { "capacity", NULL, "size" },
        { "serseq" },
        { "reordering" },
        { "formfactor" },
        { "num_threads" },
        { "insecure_tpc" },
};
/* clang-format on */

static void run_option(const StatementScope *scope, const Statement *s)
{
        const char *name = statement_word(s, 1), *value = statement_word(s, 2);

        for (size_t i = 0; i < ELEMENTSOF(options); i++) {
                if (!STREQ(options[i].name, name))
                        continue;
                if (options[i].run)
                        options[i].run(scope, s);
                else if (options[i].directive)
                        statement_set(scope->convert, s, scope->target, scope->lun,
                                      options[i].directive, value);
                return;
        }
        statement_tell(scope->convert, s, true, "there is nothing like it here: %s %s", name,
                       value);
}

static const StatementRow lun_rows[] = {
        { "path", run_path },
        { "backend", run_backend },
        { "blocksize", .directive = "block-size" },
        { "size", .directive = "size" },
        { "serial", .directive = "scsi_sn" },
        { "device-id", .directive = "scsi_id" },
        { "device-type", run_nothing }, /* is_disk() */
        { "option", run_option },
        { "ctl-lun", .ignored = "" },
        { NULL },
};

static bool has_statement(const Statement *block, const char *name, const char *option)
{
        for (guint i = 0; block->children && i < block->children->len; i++) {
                const Statement *s = block->children->pdata[i];

                if (STREQ(statement_word(s, 0), name) &&
                    (!option || STREQ(statement_word(s, 1), option)))
                        return true;
        }
        return false;
}

/* What CTL makes of the number that it gives to the LUN. */
static void tell_identity(const TextConvert *t, const Statement *lun)
{
        static const struct {
                const char *name, *option, *directive;
        } made[] = {
                { "serial", NULL, "scsi_sn" },
                { "device-id", NULL, "scsi_id" },
                { "option", "naa", "naa" },
        };

        for (size_t i = 0; i < ELEMENTSOF(made); i++)
                if (!has_statement(lun, made[i].name, made[i].option))
                        statement_tell(t, lun, true,
                                       "%s: it has no %s%s%s, and CTL makes one: read it on an "
                                       "initiator (sg_vpd), and set %s",
                                       statement_word(lun, 1), made[i].name,
                                       made[i].option ? " " : "",
                                       made[i].option ? made[i].option : "", made[i].directive);
}

/* Within the target or outside; s: where the target says its number. */
static void convert_lun(const StatementScope *scope, const Statement *s, const Statement *lun)
{
        static const char *const defaults[][2] = { { "vendor_id", "FREEBSD" },
                                                   { "product_id", "CTLDISK" },
                                                   { "product_rev", "0001" } };
        StatementScope inner = *scope;

        inner.lun = lun_spec_new();
        for (size_t i = 0; i < ELEMENTSOF(defaults); i++)
                statement_set(scope->convert, lun, scope->target, inner.lun, defaults[i][0],
                              defaults[i][1]);
        statements_walk(&inner, lun, lun_rows);
        statement_set(scope->convert, s, scope->target, inner.lun, "lun", statement_word(s, 1));
        tell_identity(scope->convert, lun);
        if (target_spec_add_lun(scope->target, inner.lun) < 0) {
                statement_tell(scope->convert, s, true, "%s is there twice", statement_word(s, 1));
                lun_spec_free(inner.lun);
        }
}

static bool is_disk(const Statement *lun)
{
        static const char *const disks[] = { "0", "disk", "direct", NULL };
        const char *type = value_of(lun, "device-type");

        return !type || g_strv_contains(disks, type);
}

static void run_target_lun(const StatementScope *scope, const Statement *s)
{
        Ctld *ctld = scope->data;
        const Statement *lun = s->children ? s : find_block(ctld, "lun", statement_word(s, 2));

        if (!lun) {
                statement_tell(scope->convert, s, true, "%s: there is no lun %s",
                               statement_word(s, 1), statement_word(s, 2));
                return;
        }
        g_hash_table_add(ctld->mapped, (gpointer)lun);
        if (is_disk(lun))
                convert_lun(scope, s, lun);
        else
                statement_tell(scope->convert, lun, true,
                               "%s: device-type %s is not supported by this build",
                               statement_word(lun, 1), value_of(lun, "device-type"));
}

/* ---- who may enter --------------------------------------------------------------------------- */

static void run_chap(const StatementScope *scope, const Statement *s)
{
        convert_incoming(scope->convert, scope->target, statement_word(s, 1), statement_word(s, 2));
}

static void run_chap_mutual(const StatementScope *scope, const Statement *s)
{
        run_chap(scope, s);
        convert_outgoing(scope->convert, s, scope->target, statement_word(s, 3),
                         statement_word(s, 4));
}

/* Discovery asks nobody's name. */
static bool is_of_discovery(const StatementScope *scope, const Statement *s)
{
        if (scope->target)
                return false;
        statement_tell(scope->convert, s, true, "%s: discovery asks for an account only",
                       statement_word(s, 1));
        return true;
}

static void run_initiator_name(const StatementScope *scope, const Statement *s)
{
        if (!is_of_discovery(scope, s))
                statement_set(scope->convert, s, scope->target, NULL, "initiator-name",
                              statement_word(s, 1));
}

static void run_initiator_portal(const StatementScope *scope, const Statement *s)
{
        if (!is_of_discovery(scope, s))
                statement_set(scope->convert, s, scope->target, NULL, "initiator-address",
                              statement_word(s, 1));
}

static const StatementRow auth_rows[] = {
        { "auth-type", run_nothing }, /* auth_type() */
        { "chap", run_chap },
        { "chap-mutual", run_chap_mutual },
        { "initiator-name", run_initiator_name },
        { "initiator-portal", run_initiator_portal },
        { NULL },
};

static const StatementRow auth_names[] = {
        { "auth-type", run_nothing },        { "chap", run_nothing },
        { "chap-mutual", run_nothing },      { "initiator-name", run_nothing },
        { "initiator-portal", run_nothing }, { NULL },
};

/* By those that name it; what nobody knows is told here, once. */
static void run_auth_group(const StatementScope *scope, const Statement *s)
{
        statements_walk(scope, s, auth_names);
}

static bool has_accounts(const Statement *auth)
{
        return has_statement(auth, "chap", NULL) || has_statement(auth, "chap-mutual", NULL);
}

/* Does a group let anybody in? Without a type it is that of its accounts, or none is needed. */
static bool admits(const Statement *auth)
{
        const char *type = value_of(auth, "auth-type");

        if (type && STREQ(type, "deny"))
                return false;
        if (type && g_str_has_prefix(type, "chap"))
                return has_accounts(auth);
        return true;
}

static void convert_auth(const StatementScope *scope, const Statement *auth)
{
        TargetSpec *t = scope->target;

        if (!admits(auth))
                return;
        statements_pick(scope, auth, auth_rows);
        if (t && t->names->len == 0 && t->addresses->len == 0)
                statement_set(scope->convert, auth, t, NULL, "initiator-name", "ALL");
}

/* "no-authentication" and "no-access" are groups that are there without being written. */
static void convert_auth_group(const StatementScope *scope, const Statement *s, const char *name)
{
        const Statement *auth = find_block(scope->data, "auth-group", name);

        if (STREQ(name, "no-access") && !scope->target)
                statement_tell(scope->convert, s, true,
                               "%s: discovery shows everybody what he may enter", name);
        else if (auth)
                convert_auth(scope, auth);
        else if (STREQ(name, "no-authentication") && scope->target)
                statement_set(scope->convert, s, scope->target, NULL, "initiator-name", "ALL");
        else if (!STREQ(name, "no-authentication") && !STREQ(name, "no-access") &&
                 !STREQ(name, "default"))
                statement_tell(scope->convert, s, true, "there is no auth-group %s", name);
}

/* ---- portals --------------------------------------------------------------------------------- */

static void run_listen(const StatementScope *scope, const Statement *s)
{
        convert_portal(scope->convert, s, statement_word(s, 1));
}

static void run_discovery_auth(const StatementScope *scope, const Statement *s)
{
        convert_auth_group(scope, s, statement_word(s, 1));
}

static const StatementRow portal_rows[] = {
        { "listen", run_listen },
        { "discovery-auth-group", run_discovery_auth },
        { "discovery-filter", .ignored = "none" },
        { "tag", .ignored = "" },
        { "dscp", .ignored = "" },
        { "pcp", .ignored = "" },
        { NULL },
};

static void run_portal_group(const StatementScope *scope, const Statement *s)
{
        statements_walk(scope, s, portal_rows);
}

/* ---- targets --------------------------------------------------------------------------------- */

/* clang-format off: one row per statement */
static const StatementRow target_rows[] = {
        { "alias", .directive = "alias" },
        { "lun", run_target_lun },
        { "portal-group", run_nothing }, /* those of the daemon; access of it: target_auth() */
        { "auth-group", run_nothing },
        { "auth-type", run_nothing },
        { "chap", run_nothing },
        { "chap-mutual", run_nothing },
        { "initiator-name", run_nothing },
        { "initiator-portal", run_nothing },
        { NULL },
};
/* clang-format on */

/* What a target says of access: of its own, by a group, by the group of a portal group, or nothing,
 * which is the group "default". */
static void target_auth(const StatementScope *scope, const Statement *target)
{
        const Statement *of_portal = NULL;
        const char *group = value_of(target, "auth-group");
        bool own = false;

        for (guint i = 0; target->children && i < target->children->len; i++) {
                const Statement *s = target->children->pdata[i];

                if (STREQ(statement_word(s, 0), "portal-group") && *statement_word(s, 2))
                        of_portal = s;
                for (const StatementRow *row = auth_rows; row->name; row++)
                        own |= STREQ(statement_word(s, 0), row->name);
        }
        if (of_portal)
                statement_tell(scope->convert, of_portal, true,
                               "%s: access does not depend on the portal here",
                               statement_word(of_portal, 2));
        else if (group)
                convert_auth_group(scope, target, group);
        else if (own)
                convert_auth(scope, target);
        else
                convert_auth_group(scope, target, "default");
        if (STREQ(target_spec_access(scope->target), "nobody"))
                statement_tell(scope->convert, target, false, "%s: nobody may enter",
                               statement_word(target, 1));
}

static void run_target(const StatementScope *scope, const Statement *s)
{
        StatementScope inner = *scope;

        inner.target = convert_target_new(scope->convert, s);
        if (!inner.target)
                return;
        statements_walk(&inner, s, target_rows);
        target_auth(&inner, s);
        desired_put(scope->convert->convert->desired, inner.target);
}

/* ---- the file -------------------------------------------------------------------------------- */

/* clang-format off: one row per statement */
static const StatementRow root_rows[] = {
        { "target", run_target },
        { "lun", run_nothing }, /* by the targets that have it */
        { "auth-group", run_auth_group },
        { "portal-group", run_portal_group },
        { "debug", .ignored = "" },
        { "maxproc", .ignored = "" },
        { "pidfile", .ignored = "" },
        { "timeout", .ignored = "" },
        { NULL },
};

/* Words behind a keyword, where it is not one. */
static const struct {
        const char *keyword;
        unsigned most;
} arities[] = {
        { "chap", 2 },
        { "chap-mutual", 4 },
        { "option", 2 },
        { "portal-group", 2 },
};
/* clang-format on */

static bool is_keyword(const char *word)
{
        static const StatementRow *const tables[] = { root_rows, target_rows, lun_rows, auth_rows,
                                                      portal_rows };

        for (size_t i = 0; i < ELEMENTSOF(tables); i++)
                for (const StatementRow *row = tables[i]; row->name; row++)
                        if (STREQ(row->name, word))
                                return true;
        return false;
}

/* What is not known is told with all of its line. */
static unsigned most_words(const char *keyword, const Statement *block)
{
        for (size_t i = 0; i < ELEMENTSOF(arities); i++)
                if (STREQ(arities[i].keyword, keyword))
                        return arities[i].most;
        if (STREQ(keyword, "lun"))
                return block->words->len > 0 ? 2 : 1; /* in a target: number and name */
        return is_keyword(keyword) ? 1 : G_MAXUINT;
}

static void tell_unmapped(const Ctld *ctld)
{
        const Statement *root = ctld->text.root;

        for (guint i = 0; i < root->children->len; i++) {
                const Statement *s = root->children->pdata[i];

                if (STREQ(statement_word(s, 0), "lun") && !g_hash_table_contains(ctld->mapped, s))
                        statement_tell(&ctld->text, s, false, "no target has %s",
                                       statement_word(s, 1));
        }
}

int convert_ctld(Convert *c, const char *file, const char *text, char *reterr, size_t size)
{
        Ctld ctld = { .text = { .convert = c, .file = file } };
        StatementScope scope = { .convert = &ctld.text, .data = &ctld };
        Statement *root = NULL;
        int r = statements_parse(text, most_words, &root, reterr, size);

        if (r < 0)
                return r;
        ctld.text.root = root;
        ctld.mapped = g_hash_table_new(NULL, NULL);
        statements_walk(&scope, root, root_rows);
        tell_unmapped(&ctld);
        g_hash_table_unref(ctld.mapped);
        (void)statement_free(root);
        return 0;
}
