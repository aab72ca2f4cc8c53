/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <strings.h>

#include "config/lexer.h"
#include "config/problem.h"
#include "config/spec.h"
#include "config/values.h"

#include "base/parse.h"

/* ---- what is served, and under which number -------------------------------------------------- */

/* stgt's word for a drive without a medium; the number only tells several of them apart. */
static bool is_numbered_none(const char *value)
{
        uint64_t n;

        return g_str_has_prefix(value, "NONE:") &&
               parse_u64(value + strlen("NONE:"), 0, UINT64_MAX, &n) == 0;
}

/* The object is a LunSpec here: the parser and config_set() make one for each store. NONE is for
 * stores without a path, and for a drive without a medium. What else may stand here depends on
 * bs-type, which may come later: verification looks at it. */
static int set_store(Setting *s)
{
        LunSpec *l = s->object;

        if (strlen(s->value) >= 4096)
                return setting_error(s, "a path longer than 4095 bytes");
        g_clear_pointer(&l->path, g_free);
        if (is_numbered_none(s->value)) {
                l->removable = true;
                l->online = false;
        } else if (!STREQ(s->value, "NONE")) {
                l->path = g_strdup(s->value);
        }
        return 0;
}

static void get_store(const Directive *d, const void *object, GPtrArray *values)
{
        const LunSpec *l = object;

        g_ptr_array_add(values, g_strdup(l->path ?: "NONE"));
}

static void clear_store(const Directive *d, void *object)
{
        LunSpec *l = object;

        g_free(TAKE_PTR(l->path));
}

const DirectiveType type_store = { .set = set_store, .get = get_store, .clear = clear_store };

static int set_lun(Setting *s)
{
        LunSpec *l = s->object;
        uint32_t v;

        if (parse_u32(s->value, 0, CONFIG_LUN_MAX, &v) < 0)
                return setting_error(s, "\"%s\": a number from 0 to %u expected", s->value,
                                     CONFIG_LUN_MAX);
        l->lun = (uint16_t)v;
        l->lun_given = true;
        return 0;
}

static void get_lun(const Directive *d, const void *object, GPtrArray *values)
{
        const LunSpec *l = object;

        if (l->lun_given || l->lun != 0)
                g_ptr_array_add(values, g_strdup_printf("%u", l->lun));
}

static void clear_lun(const Directive *d, void *object)
{
        LunSpec *l = object;

        l->lun = 0;
        l->lun_given = false;
}

const DirectiveType type_lun = { .set = set_lun, .get = get_lun, .clear = clear_lun };

/* ---- bsopts, bsoflags
 * -------------------------------------------------------------------------------- */

/* What options there are is the type's to say. But a secret is refused before it is part of
 * anything that is dumped, logged or shown; nor is it repeated here. */
static int set_bsopts(Setting *s)
{
        g_auto(GStrv) options = g_strsplit(s->value, ";", -1);

        for (char **o = options; *o; o++)
                if (g_str_has_prefix(*o, "cephx_key="))
                        return setting_error(s,
                                             "cephx_key is not supported, since keys do not belong "
                                             "here: keep it in "
                                             "/etc/ceph/ceph.client.NAME.keyring, let the "
                                             "daemon's user read that, and say id=NAME");
        return type_text.set(s);
}

const DirectiveType type_bsopts = { .set = set_bsopts,
                                    .get = value_get_text,
                                    .clear = value_clear_text };

static int set_bsoflags(Setting *s)
{
        g_auto(GStrv) words = g_strsplit_set(s->value, ": ,", -1);
        LunSpec *l = s->object;
        bool sync = false, direct = false;

        for (char **w = words; *w; w++) {
                if (STREQ(*w, "sync"))
                        sync = true;
                else if (STREQ(*w, "direct"))
                        direct = true;
                else if (**w)
                        return setting_error(s, "\"%s\": sync, direct or sync:direct expected", *w);
        }
        l->sync = sync;
        l->direct = direct;
        return 0;
}

static void get_bsoflags(const Directive *d, const void *object, GPtrArray *values)
{
        const LunSpec *l = object;

        if (l->sync || l->direct)
                g_ptr_array_add(values, g_strdup(!l->direct ? "sync"
                                                 : l->sync  ? "sync:direct"
                                                            : "direct"));
}

static void clear_bsoflags(const Directive *d, void *object)
{
        LunSpec *l = object;

        l->sync = l->direct = false;
}

const DirectiveType type_bsoflags = { .set = set_bsoflags,
                                      .get = get_bsoflags,
                                      .clear = clear_bsoflags };

/* ---- numbers with holes ---------------------------------------------------------------------- */

static int set_block_size(Setting *s)
{
        uint64_t v;

        if (parse_u64(s->value, 1, UINT32_MAX, &v) < 0 || (v & (v - 1)) != 0)
                return setting_error(s, "\"%s\": %s expected", s->value, s->directive->values);
        if (v != 512 && v != 4096)
                return setting_error(s, "\"%s\" is not supported by this build; %s expected",
                                     s->value, s->directive->values);
        return type_u32.set(s);
}

const DirectiveType type_block_size = { .set = set_block_size,
                                        .get = value_get_u32,
                                        .clear = value_clear_u32 };

/* SBC-3 6.6.2: 0 not reported, 1 does not rotate, 401h to FFFEh revolutions per minute. */
static int set_rotation_rate(Setting *s)
{
        uint64_t v;

        if (parse_u64(s->value, 0, 0xfffe, &v) < 0 || (v > 1 && v < 0x401))
                return setting_error(s,
                                     "\"%s\": 0 (not reported), 1 (does not rotate) or 1025 to "
                                     "65534 per minute expected",
                                     s->value);
        return type_int.set(s);
}

const DirectiveType type_rotation_rate = { .set = set_rotation_rate,
                                           .get = value_get_int,
                                           .clear = value_clear_int };

/* ---- identity -------------------------------------------------------------------------------- */

static bool all_hex(const char *s, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (unhex_char(s[i]) < 0)
                        return false;
        return s[n] == '\0';
}

static void replace_lower(Setting *s, const char *value)
{
        char **f = setting_field(s);

        g_free(*f);
        *f = g_ascii_strdown(value, -1);
}

static int set_uuid(Setting *s)
{
        if (!g_uuid_string_is_valid(s->value))
                return setting_error(s,
                                     "\"%s\": a UUID such as "
                                     "0f2c1a5e-8d21-4d3c-9b5e-6a4f3c2b1d0e expected",
                                     s->value);
        replace_lower(s, s->value);
        return 0;
}

const DirectiveType type_uuid = { .set = set_uuid,
                                  .get = value_get_text,
                                  .clear = value_clear_text };

/* SPC-4 7.8.6.6.5: NAA IEEE Registered Extended is 16 bytes, the first digit is 6. */
static int set_naa(Setting *s)
{
        const char *v = s->value;

        if (g_ascii_strncasecmp(v, "naa.", 4) == 0)
                v += 4;
        else if (g_ascii_strncasecmp(v, "0x", 2) == 0)
                v += 2;
        if (v[0] != '6' || !all_hex(v, strnlen(v, 32)) || strlen(v) != 32)
                return setting_error(s, "\"%s\": 32 hexadecimal digits expected, the first a 6",
                                     s->value);
        replace_lower(s, v);
        return 0;
}

const DirectiveType type_naa = { .set = set_naa, .get = value_get_text, .clear = value_clear_text };

static int set_identity(Setting *s)
{
        LunSpec *l = s->object;

        if (strcasecmp(s->value, "stgt") == 0)
                l->stgt_identity = true;
        else if (strcasecmp(s->value, "generated") == 0)
                l->stgt_identity = false;
        else
                return setting_error(s, "\"%s\": %s expected", s->value, s->directive->values);
        return 0;
}

static void get_identity(const Directive *d, const void *object, GPtrArray *values)
{
        const LunSpec *l = object;

        if (l->stgt_identity)
                g_ptr_array_add(values, g_strdup("stgt"));
}

static void clear_identity(const Directive *d, void *object)
{
        LunSpec *l = object;

        l->stgt_identity = false;
}

const DirectiveType type_identity = { .set = set_identity,
                                      .get = get_identity,
                                      .clear = clear_identity };

/* ---- mode pages and parameters --------------------------------------------------------------- */

/* stgt's numbers: decimal, 0x hexadecimal, 0 octal. */
static bool c_number(const char *s, unsigned max, unsigned *ret)
{
        char *end;
        unsigned long v;

        if (!g_ascii_isdigit(*s))
                return false;
        errno = 0;
        v = strtoul(s, &end, 0);
        if (errno != 0 || *end || v > max)
                return false;
        *ret = (unsigned)v;
        return true;
}

/* "page:subpage:length:byte:byte...": as many bytes as length says, or fewer. */
static int parse_mode_page(Setting *s, const char *text, ModePageSpec *ret)
{
        static const unsigned max[] = { 0x3e, 0xfe, 0xff };
        g_auto(GStrv) parts = g_strsplit(text, ":", -1);
        unsigned v[3] = { 0 }, n = g_strv_length(parts), byte;

        *ret = (ModePageSpec){ 0 };
        if (n < 3)
                return setting_error(s, "\"%s\": PAGE:SUBPAGE:LENGTH:BYTE:... expected", text);
        for (unsigned i = 0; i < 3; i++)
                if (!c_number(parts[i], max[i], &v[i]))
                        return setting_error(s, "\"%s\": a number of at most 0x%x expected",
                                             parts[i], max[i]);
        if (n - 3 > v[2])
                return setting_error(s, "more than the %u bytes that its length says", v[2]);
        ret->page = (uint8_t)v[0];
        ret->subpage = (uint8_t)v[1];
        ret->length = (uint8_t)v[2];
        for (unsigned i = 3; i < n; i++) {
                if (!c_number(parts[i], 0xff, &byte))
                        return setting_error(s, "\"%s\": a byte expected", parts[i]);
                ret->bytes[i - 3] = (uint8_t)byte;
        }
        return 0;
}

void mode_page_spec(const char *text, ModePageSpec *ret)
{
        Setting s = { 0 };

        (void)parse_mode_page(&s, text, ret);
}

/* The later of two for the same page counts, as in stgt. */
static int set_mode_page(Setting *s)
{
        LunSpec *l = s->object;
        ModePageSpec page, other;
        int r = parse_mode_page(s, s->value, &page);

        if (r < 0)
                return r;
        for (guint i = 0; i < l->mode_pages->len; i++) {
                mode_page_spec(l->mode_pages->pdata[i], &other);
                if (other.page == page.page && other.subpage == page.subpage)
                        g_ptr_array_remove_index(l->mode_pages, i--);
        }
        if (l->mode_pages->len >= CONFIG_MODE_PAGES_MAX)
                return setting_error(s, "more than %u mode pages", CONFIG_MODE_PAGES_MAX);
        g_ptr_array_add(l->mode_pages, g_strdup(s->value));
        return 0;
}

static void get_mode_page(const Directive *d, const void *object, GPtrArray *values)
{
        const LunSpec *l = object;

        for (guint i = 0; i < l->mode_pages->len; i++)
                g_ptr_array_add(values, g_strdup(l->mode_pages->pdata[i]));
}

static void clear_mode_page(const Directive *d, void *object)
{
        const LunSpec *l = object;

        g_ptr_array_set_size(l->mode_pages, 0);
}

const DirectiveType type_mode_page = { .set = set_mode_page,
                                       .get = get_mode_page,
                                       .clear = clear_mode_page };

static bool is_changer_param(const char *key)
{
        return word_in_list(key, "element_type|start_address|quantity|address|sides|clear_slot|"
                                 "barcode|volume_tag|tid|media_home|dump");
}

/* stgt since 1.0.96: ${tid} and ${lun} in params are the numbers of the target and of the LUN. The
 * latter is known when all LUNs are. */
static int defer(Setting *s, const char *name, const char *value)
{
        LunSpec *l = s->object;
        ConfigParam *p;

        for (const char *at = value; (at = strstr(at, "${")); at++)
                if (!g_str_has_prefix(at, "${tid}") && !g_str_has_prefix(at, "${lun}"))
                        return setting_error(s, "%s: \"%.*s\": ${tid} or ${lun} expected", name,
                                             (int)strcspn(at, "}") + 1, at);
        p = config_param_new(name, value);
        p->at = s->at;
        g_ptr_array_add(l->deferred, p);
        return 0;
}

static char *expand(const char *value, const TargetSpec *t, const LunSpec *l)
{
        GString *s = g_string_new(value);
        char number[16];

        (void)g_snprintf(number, sizeof(number), "%u", t->tid);
        g_string_replace(s, "${tid}", number, 0);
        (void)g_snprintf(number, sizeof(number), "%u", l->lun);
        g_string_replace(s, "${lun}", number, 0);
        return g_string_free(s, FALSE);
}

static int set_deferred(const ConfigParam *p, const TargetSpec *t, LunSpec *l, Setting *s)
{
        g_autofree char *value = NULL;
        int r;

        *s = (Setting){ .directive = directive_find(p->name), .literal = true, .object = l };
        if (t->tid == 0 && strstr(p->value, "${tid}"))
                return setting_error(s, "${tid} is the controller_tid, which is not given");
        value = expand(p->value, t, l);
        s->raw = s->value = value;
        r = directive_set(s);
        s->raw = s->value = NULL;
        return r;
}

bool lun_set_deferred(const TargetSpec *t, LunSpec *l, GPtrArray *problems)
{
        g_autoptr(GPtrArray) deferred = TAKE_PTR(l->deferred);
        bool good = true;

        l->deferred = params_new();
        for (guint i = 0; i < deferred->len; i++) {
                const ConfigParam *p = deferred->pdata[i];
                Setting s;
                int r = set_deferred(p, t, l, &s);

                if (r < 0)
                        problem_error(problems, p->at, t->name, "params", "%s: %s", p->name,
                                      s.text);
                else if (r > 0)
                        problem_warning(problems, p->at, t->name, "params", "%s: %s", p->name,
                                        s.text);
                good &= r >= 0;
        }
        return good;
}

/* One key of params is the directive of that name. */
static int set_one_param(Setting *outer, const char *key, const char *value)
{
        Setting s = { .directive = directive_find(key),
                      .raw = value,
                      .value = value,
                      .literal = true,
                      .replace = outer->replace,
                      .object = outer->object,
                      .at = outer->at,
                      .check = outer->check };
        int r;

        if (!s.directive && is_changer_param(key))
                return setting_error(outer,
                                     "\"%s\": media changers are not supported by this "
                                     "build",
                                     key);
        if (!s.directive || !(s.directive->where & IN_LUN) || s.directive->type == &type_params)
                return setting_error(outer, "\"%s\": no such parameter of a LUN", key);
        if (strstr(value, "${"))
                return defer(outer, s.directive->name, value);
        r = directive_set(&s);
        if (r != 0)
                (void)setting_warning(outer, "%s: %s", key, s.text);
        return r;
}

static int set_params(Setting *s)
{
        g_auto(GStrv) parts = g_strsplit(s->value, ",", -1);
        int warned = 0;

        for (char **p = parts; *p; p++) {
                char *equals = strchr(g_strstrip(*p), '=');
                int r;

                if (!equals)
                        return setting_error(s, "\"%s\": NAME=VALUE,... expected", *p);
                *equals = '\0';
                r = set_one_param(s, *p, equals + 1);
                if (r < 0)
                        return r;
                warned |= r;
        }
        return warned;
}

/* What it set is written by the directives that it stands for. */
static void get_params(const Directive *d, const void *object, GPtrArray *values)
{
}

static void clear_params(const Directive *d, void *object)
{
}

const DirectiveType type_params = { .set = set_params, .get = get_params, .clear = clear_params };
