/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <strings.h>

#include "config/lexer.h"
#include "config/values.h"

#include "base/parse.h"

/* ---- who may enter --------------------------------------------------------------------------- */

/* A client adds to a list that is complete. What a fragment gives twice is found at the end, by
 * verification: looking each time would make long lists slow. */
static void add_text(Setting *s, GPtrArray *a, const char *value)
{
        if (!s->replace || !g_ptr_array_find_with_equal_func(a, value, g_str_equal, NULL))
                g_ptr_array_add(a, g_strdup(value));
}

/* In a fragment, NONE is recognised by what it leaves: access given, nobody named. A client adds to
 * what is there, so that NONE is simply what was there before. */
static int set_nobody(Setting *s, TargetSpec *t)
{
        if (!s->replace && (t->names->len > 0 || t->addresses->len > 0))
                return setting_error(s, "NONE stands alone: this target also names initiators");
        g_ptr_array_set_size(t->names, 0);
        g_ptr_array_set_size(t->addresses, 0);
        t->access_given = true;
        return 0;
}

static int add_access(Setting *s, TargetSpec *t, GPtrArray *list, const char *value)
{
        if (!s->replace && t->access_given && t->names->len == 0 && t->addresses->len == 0)
                return setting_error(s, "NONE stands alone: this target says that nobody may "
                                        "enter");
        add_text(s, list, value);
        t->access_given = true;
        return 0;
}

static int set_address(Setting *s)
{
        TargetSpec *t = s->object;
        AddrPrefix prefix;

        if (strcasecmp(s->value, "NONE") == 0)
                return set_nobody(s, t);
        if (strcasecmp(s->value, "ALL") == 0)
                return add_access(s, t, t->addresses, "ALL");
        if (addr_prefix_parse(s->value, &prefix) < 0)
                return setting_error(s,
                                     "\"%s\": one IPv4 or IPv6 address, perhaps with /PREFIX, or "
                                     "ALL expected",
                                     s->value);
        return add_access(s, t, t->addresses, s->value);
}

static void copy_values(const GPtrArray *from, GPtrArray *to)
{
        for (guint i = 0; i < from->len; i++)
                g_ptr_array_add(to, g_strdup(from->pdata[i]));
}

/* Access is always said: a file of ours never depends on what a fragment means by silence. */
static void get_address(const Directive *d, const void *object, GPtrArray *values)
{
        const TargetSpec *t = object;

        copy_values(t->addresses, values);
        if (!t->access_given)
                g_ptr_array_add(values, g_strdup("ALL"));
}

/* Without the last rule of any kind a target admits nobody, never everybody. */
static void clear_address(const Directive *d, void *object)
{
        TargetSpec *t = object;

        g_ptr_array_set_size(t->addresses, 0);
        t->access_given = true;
}

const DirectiveType type_address = { .set = set_address,
                                     .get = get_address,
                                     .clear = clear_address };

/* 0, 1 with a warning, or -EINVAL. */
static int name_of(Setting *s, const char *text, char **ret)
{
        char why[200] = "";
        int r = iscsi_name_normalize(text, ret, why, sizeof(why));

        if (r < 0 && (strpbrk(text, " \t,/\"") || strlen(text) > 223))
                return setting_error(s, "%s; or ALL, or NONE", why);
        if (r < 0)
                *ret = g_ascii_strdown(text, -1);
        return r != 0 ? setting_warning(s, "%s", why) : 0;
}

int setting_initiator(Setting *s, const char *text, char **ret)
{
        AddrPrefix prefix;

        if (strcasecmp(text, "ALL") == 0)
                *ret = g_strdup("ALL");
        else if (addr_prefix_parse(text, &prefix) == 0)
                *ret = g_ascii_strdown(text, -1);
        else
                return name_of(s, text, ret);
        return 0;
}

static int set_name(Setting *s)
{
        TargetSpec *t = s->object;
        g_autofree char *name = NULL;
        AddrPrefix prefix;
        int r, warned;

        if (strcasecmp(s->value, "NONE") == 0)
                return set_nobody(s, t);
        if (strcasecmp(s->value, "ALL") == 0)
                return add_access(s, t, t->names, "ALL");
        /* stgt's own --dump writes prefixes so */
        if (addr_prefix_parse(s->value, &prefix) == 0) {
                r = add_access(s, t, t->addresses, s->value);
                if (r < 0)
                        return r;
                return setting_warning(s, "\"%s\" is an address: taken as initiator-address",
                                       s->value);
        }
        warned = name_of(s, s->value, &name);
        if (warned < 0)
                return warned;
        r = add_access(s, t, t->names, name);
        return r < 0 ? r : warned;
}

static void get_name(const Directive *d, const void *object, GPtrArray *values)
{
        const TargetSpec *t = object;

        copy_values(t->names, values);
        if (t->access_given && t->names->len == 0 && t->addresses->len == 0)
                g_ptr_array_add(values, g_strdup("NONE"));
}

static void clear_name(const Directive *d, void *object)
{
        TargetSpec *t = object;

        g_ptr_array_set_size(t->names, 0);
        t->access_given = true;
}

const DirectiveType type_name = { .set = set_name, .get = get_name, .clear = clear_name };

/* ---- accounts -------------------------------------------------------------------------------- */

/* systemd.exec(5), LoadCredential=: what can be the name of a file. */
static bool is_credential_name(const char *name)
{
        return *name && strlen(name) <= NAME_MAX && !strchr(name, '/') && *name != '.';
}

/* USER SECRET, or USER credential NAME. */
static AccountSpec *parse_account(Setting *s)
{
        g_auto(GStrv) words = NULL;
        AccountSpec *a = NULL;
        bool credential;

        words = s->literal ? g_strsplit(s->raw, " ", -1) : value_split(s->raw);
        credential = g_strv_length(words) == 3 && STREQ(words[1], "credential");
        if (g_strv_length(words) != 2 && !credential)
                (void)setting_error(s, "a user and a secret expected, separated by a blank; in "
                                       "quotes if they contain one");
        else if (!*words[0] || strlen(words[0]) > ACCOUNT_TEXT_MAX)
                (void)setting_error(s, "a user of 1 to %d bytes expected", ACCOUNT_TEXT_MAX);
        else if (credential && !is_credential_name(words[2]))
                (void)setting_error(s, "\"%s\": the name of a credential expected", words[2]);
        else if (credential)
                a = account_spec_new_credential(words[0], words[2]);
        else if (!*words[1] || strlen(words[1]) > ACCOUNT_TEXT_MAX)
                (void)setting_error(s, "a secret of 1 to %d bytes expected", ACCOUNT_TEXT_MAX);
        else if (STREQ(words[1], ACCOUNT_NO_SECRET))
                (void)setting_error(s,
                                    "the word that tgt-admin --dump writes in place of a secret: "
                                    "write the secret");
        else
                a = account_spec_new(words[0], words[1]);
        for (char **w = words; *w; w++)
                explicit_bzero(*w, strlen(*w));
        if (a)
                a->at = s->at;
        return a;
}

/* RFC 7143 9.2.1: at least 96 bits where the line is not protected by IPsec. */
static int check_length(Setting *s, const AccountSpec *a)
{
        if (a->credential || strlen(a->secret) >= 12)
                return 0;
        return setting_warning(s,
                               "the secret of \"%s\" is shorter than the 12 bytes that RFC 7143 "
                               "asks for; some initiators refuse it",
                               a->user);
}

/* As above; a client gives a user that is there another secret. */
static int add_account(Setting *s, GPtrArray *accounts)
{
        AccountSpec *a = parse_account(s);

        if (!a)
                return -EINVAL;
        for (guint i = 0; s->replace && i < accounts->len; i++) {
                AccountSpec *old = accounts->pdata[i];

                if (!STREQ(old->user, a->user))
                        continue;
                account_spec_free(old);
                accounts->pdata[i] = a;
                return check_length(s, a);
        }
        g_ptr_array_add(accounts, a);
        return check_length(s, a);
}

static int set_account(Setting *s, AccountSpec **account)
{
        AccountSpec *a = parse_account(s);
        int r;

        if (!a)
                return -EINVAL;
        if (*account && !s->replace && !account_spec_equal(*account, a)) {
                account_spec_free(a);
                return setting_warning(s, "only one is possible: the first stays, this one has no "
                                          "effect");
        }
        r = check_length(s, a);
        account_spec_free(*account);
        *account = a;
        return r;
}

static void get_account(const AccountSpec *a, GPtrArray *values)
{
        GString *text = g_string_new(NULL);

        value_quote(a->user, text);
        g_string_append_c(text, ' ');
        if (a->credential)
                g_string_append(text, "credential ");
        value_quote(a->credential ?: a->secret, text);
        g_ptr_array_add(values, g_string_free(text, FALSE));
}

static int set_incoming(Setting *s)
{
        return add_account(s, *(GPtrArray **)setting_field(s));
}

static void get_incoming(const Directive *d, const void *object, GPtrArray *values)
{
        const GPtrArray *accounts =
                *(GPtrArray *const *)(const void *)((const char *)object + d->offset);

        for (guint i = 0; i < accounts->len; i++)
                get_account(accounts->pdata[i], values);
}

static void clear_incoming(const Directive *d, void *object)
{
        g_ptr_array_set_size(*(GPtrArray **)(void *)((char *)object + d->offset), 0);
}

const DirectiveType type_incoming = { .set = set_incoming,
                                      .get = get_incoming,
                                      .clear = clear_incoming,
                                      .raw = true,
                                      .secret = true };

static int set_outgoing(Setting *s)
{
        return set_account(s, setting_field(s));
}

static void get_outgoing(const Directive *d, const void *object, GPtrArray *values)
{
        const AccountSpec *a =
                *(AccountSpec *const *)(const void *)((const char *)object + d->offset);

        if (a)
                get_account(a, values);
}

static void clear_outgoing(const Directive *d, void *object)
{
        AccountSpec **a = (AccountSpec **)(void *)((char *)object + d->offset);

        *a = account_spec_free(*a);
}

const DirectiveType type_outgoing = { .set = set_outgoing,
                                      .get = get_outgoing,
                                      .clear = clear_outgoing,
                                      .raw = true,
                                      .secret = true };

/* ---- iSCSI parameters ------------------------------------------------------------------------ */

static ConfigParam *find_param(const TargetSpec *t, const char *name, guint *ret_index)
{
        for (guint i = 0; i < t->params->len; i++) {
                ConfigParam *p = t->params->pdata[i];

                if (STREQ(p->name, name)) {
                        if (ret_index)
                                *ret_index = i;
                        return p;
                }
        }
        return NULL;
}

/* Is value one of values, "word|word|LEAST..MOST"? So that it can be said without the daemon. */
static bool is_documented(const char *value, const char *values)
{
        g_auto(GStrv) words = g_strsplit(values, "|", -1);

        for (char **w = words; *w; w++) {
                char *dots = strstr(*w, "..");
                uint64_t least = 0, most = 0, v;

                if (strcasecmp(*w, value) == 0)
                        return true;
                if (!dots)
                        continue;
                *dots = '\0';
                if (parse_u64(*w, 0, UINT64_MAX, &least) == 0 &&
                    parse_u64(dots + 2, 0, UINT64_MAX, &most) == 0 &&
                    parse_u64(value, least, most, &v) == 0)
                        return true;
        }
        return false;
}

static int set_param(Setting *s)
{
        TargetSpec *t = s->object;
        const char *name = s->directive->name;
        ConfigParam *p;
        char why[200] = "";

        if (!is_documented(s->value, s->directive->values))
                return setting_error(s, "\"%s\": %s expected", s->value, s->directive->values);
        if (s->check && s->check(name, s->value, why, sizeof(why)) < 0)
                return setting_error(s, "\"%s\": %s", s->value,
                                     *why ? why : "not supported by this build");
        p = find_param(t, name, NULL);
        if (!p) {
                p = config_param_new(name, s->value);
                g_ptr_array_add(t->params, p);
        } else {
                g_free(p->value);
                p->value = g_strdup(s->value);
        }
        p->at = s->at;
        return 0;
}

static void get_param(const Directive *d, const void *object, GPtrArray *values)
{
        const ConfigParam *p = find_param(object, d->name, NULL);

        if (p)
                g_ptr_array_add(values, g_strdup(p->value));
}

static void clear_param(const Directive *d, void *object)
{
        TargetSpec *t = object;
        guint i;

        if (find_param(t, d->name, &i))
                g_ptr_array_remove_index(t->params, i);
}

const DirectiveType type_param = { .set = set_param, .get = get_param, .clear = clear_param };

/* RFC 7143 13.25 made the keys of markers obsolete: they are answered, and never used. */
static int set_marker(Setting *s)
{
        bool on;

        if (g_str_has_suffix(s->directive->name, "Marker") && parse_bool(s->value, &on) == 0 && !on)
                return 0;
        if (g_str_has_suffix(s->directive->name, "MarkInt"))
                return setting_warning(s, "has no effect: RFC 7143 has no markers any more");
        return setting_error(s,
                             "\"%s\" is not supported by this build: RFC 7143 has no markers "
                             "any more; No expected",
                             s->value);
}

static void get_nothing(const Directive *d, const void *object, GPtrArray *values)
{
}

static void clear_nothing(const Directive *d, void *object)
{
}

const DirectiveType type_marker = { .set = set_marker, .get = get_nothing, .clear = clear_nothing };

/* ---- portals --------------------------------------------------------------------------------- */

static int set_portal(Setting *s)
{
        GPtrArray *portals = *(GPtrArray **)setting_field(s);
        char text[SOCKADDR_TEXT_MAX];
        SockAddr address;
        PortalSpec *p;

        if (sockaddr_parse(s->value, 3260, true, &address) < 0)
                return setting_error(s,
                                     "\"%s\": ADDRESS[:PORT] with an IPv4 or [IPv6] address or "
                                     "* expected",
                                     s->value);
        (void)sockaddr_format(&address, true, text);
        for (guint i = 0; i < portals->len; i++)
                if (STREQ(((PortalSpec *)portals->pdata[i])->address, text))
                        return 0;
        p = portal_spec_new(text);
        p->at = s->at;
        g_ptr_array_add(portals, p);
        return 0;
}

static void get_portal(const Directive *d, const void *object, GPtrArray *values)
{
        const Desired *desired = object;

        for (guint i = 0; i < desired->portals->len; i++) {
                const PortalSpec *p = desired->portals->pdata[i];

                g_ptr_array_add(values, g_strdup(p->address));
        }
}

static void clear_portal(const Directive *d, void *object)
{
        const Desired *desired = object;

        g_ptr_array_set_size(desired->portals, 0);
}

const DirectiveType type_portal = { .set = set_portal, .get = get_portal, .clear = clear_portal };
