/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "config/config.h"
#include "ctl/tgtadm.h"
#include "ctl/verb-functions.h"

DEFINE_CLEANUP(Desired *, desired_free);

/* ---- NAME=VALUE,NAME=VALUE ------------------------------------------------------------------- */

/* Does "NAME=" stand at p? */
static bool begins_setting(const char *p)
{
        const char *q = p;

        while (g_ascii_isalnum(*q) || *q == '_' || *q == '-')
                q++;
        return q > p && *q == '=';
}

/* The end of the value at p, which is copied to value without its backslashes. */
static const char *read_value(const char *p, GString *value)
{
        for (; *p; p++) {
                if (*p == '\\' && (p[1] == ',' || p[1] == '\\')) {
                        g_string_append_c(value, *++p);
                        continue;
                }
                if (*p == ',' && (!p[1] || p[1] == ',' || begins_setting(p + 1)))
                        break;
                g_string_append_c(value, *p);
        }
        return p;
}

static void add_setting(Adm *a, const char *name, const char *value)
{
        Setting s = { g_strdup(directive_name(name)), g_strdup(value) };

        g_array_append_val(a->ctl->options.settings, s);
}

int adm_read_params(Adm *a, const char *text)
{
        const char *p = text;

        while (*p) {
                g_autoptr(GString) value = g_string_new(NULL);
                g_autofree char *name = NULL;
                const char *equals;

                if (*p == ',') { /* scripts add them without looking whether something follows */
                        p++;
                        continue;
                }
                if (!begins_setting(p))
                        return adm_failf(a, "invalid request", "%s: NAME=VALUE expected", p);
                equals = strchr(p, '=');
                name = g_strndup(p, (size_t)(equals - p));
                p = read_value(equals + 1, value);
                add_setting(a, name, value->str);
        }
        return ADM_OK;
}

static void forget_settings(Adm *a)
{
        g_array_set_size(a->ctl->options.settings, 0);
}

/* ---- LUNs ------------------------------------------------------------------------------------ */

static int lun_number(Adm *a)
{
        if (a->lun > CONFIG_LUN_MAX)
                return adm_failf(a, "invalid request", "LUN %" PRIu64 " is greater than %u", a->lun,
                                 CONFIG_LUN_MAX);
        return ADM_OK;
}

/* How stgt calls the types of devices, and what it is to us. */
static const struct {
        const char *word, *directive;
} device_types[] = {
        { "disk", "disk" }, { "tape", "tape" },       { "ssc", "tape" }, { "cd", "cd" },
        { "pt", "pt" },     { "changer", "changer" }, { "osd", "osd" },
};

static int add_type(Adm *a)
{
        const char *word = adm_value(a, 'Y');
        g_autofree char *text = NULL;

        if (!word)
                return ADM_OK;
        for (size_t i = 0; i < ELEMENTSOF(device_types); i++)
                if (STREQ(device_types[i].word, word)) {
                        add_setting(a, "device-type", device_types[i].directive);
                        return ADM_OK;
                }
        text = g_strdup_printf("unknown target type: %s", word);
        return adm_fail(a, text, NULL);
}

/* Options that are directives. */
static const struct {
        char letter;
        const char *directive;
} lun_options[] = {
        { 'E', "bs-type" },
        { 'S', "bsopts" },
        { 'f', "bsoflags" },
        { 'y', "block-size" },
};

/* Relative to where the command was given; an image of rbd is no file. */
static char *absolute_path(const char *path, const char *type)
{
        return !*path || *path == '/' || STREQ(path, "NONE") || g_strcmp0(type, "rbd") == 0
                       ? g_strdup(path)
                       : g_canonicalize_filename(path, NULL);
}

static void add_store(Adm *a)
{
        const char *path = adm_value(a, 'b');
        g_autofree char *absolute = NULL;

        if (!path || !*path) {
                /* a drive without a medium, until one is given by lu update */
                add_setting(a, "backing-store", "NONE");
                add_setting(a, "removable", "1");
                add_setting(a, "online", "0");
                return;
        }
        absolute = absolute_path(path, adm_value(a, 'E'));
        add_setting(a, "backing-store", absolute);
}

static Setting *find_setting(const Adm *a, const char *directive)
{
        const GArray *settings = a->ctl->options.settings;

        for (guint i = 0; i < settings->len; i++)
                if (STREQ(g_array_index(settings, Setting, i).directive, directive))
                        return &g_array_index(settings, Setting, i);
        return NULL;
}

static bool has_setting(const Adm *a, const char *directive, const char *value)
{
        const Setting *s = find_setting(a, directive);

        return s && (!value || STREQ(s->value, value));
}

static int gather_settings(Adm *a)
{
        g_autofree char *lun = g_strdup_printf("%" PRIu64, a->lun);
        int r;

        forget_settings(a);
        add_setting(a, "lun", lun);
        add_store(a);
        r = add_type(a);
        for (size_t i = 0; i < ELEMENTSOF(lun_options); i++)
                if (adm_value(a, lun_options[i].letter))
                        add_setting(a, lun_options[i].directive,
                                    adm_value(a, lun_options[i].letter));
        if (r == ADM_OK && adm_value(a, 'P'))
                r = adm_read_params(a, adm_value(a, 'P'));
        if (has_setting(a, "bs-type", "null") && !has_setting(a, "size", NULL))
                add_setting(a, "size", "1T"); /* stgt knows no other */
        return r;
}

int adm_lun_new(Adm *a)
{
        g_autofree char *path = NULL;
        sd_bus_message *m = NULL;
        int r = lun_number(a);

        if (r == ADM_OK)
                r = gather_settings(a);
        if (r == ADM_OK)
                r = adm_target(a, NULL, &path);
        if (r == ADM_OK)
                r = adm_call(a, path, IFACE("Target"), "AddLogicalUnit", &m);
        if (r != ADM_OK)
                return r;
        return adm_change(a, m, change_append_settings(a->ctl, m), false, NULL);
}

int adm_lun_delete(Adm *a)
{
        g_autofree char *path = NULL;
        sd_bus_message *m = NULL;
        int r = lun_number(a);

        /* whatever is missing of it, as stgt says; LUN 0 that is not mapped is the controller's */
        a->not_found = a->lun == 0 ? "invalid request" : "can't find the logical unit";
        if (r == ADM_OK)
                r = adm_target(a, NULL, &path);
        if (r == ADM_OK)
                r = adm_call(a, path, IFACE("Target"), "RemoveLogicalUnit", &m);
        if (r != ADM_OK)
                return r;
        r = sd_bus_message_append(m, "q", (uint16_t)a->lun);
        /* sessions stay, and are told by a unit attention */
        return adm_change(a, m, r, true, NULL);
}

/* ---- mode pages, which are a list: one that is given takes the place of its like ------------- */

static bool same_page(const char *a, const char *b)
{
        char *end_a, *end_b;

        if (strtoul(a, &end_a, 0) != strtoul(b, &end_b, 0) || *end_a != ':' || *end_b != ':')
                return false;
        return strtoul(end_a + 1, NULL, 0) == strtoul(end_b + 1, NULL, 0);
}

static bool is_given(const Adm *a, const char *page)
{
        const GArray *settings = a->ctl->options.settings;

        for (guint i = 0; i < settings->len; i++) {
                const Setting *s = &g_array_index(settings, Setting, i);

                if (STREQ(s->directive, "mode_page") && same_page(s->value, page))
                        return true;
        }
        return false;
}

static int dump_target(Adm *a, const char *name, Desired **ret)
{
        sd_bus_message *m = NULL, *reply = NULL;
        GPtrArray *problems = NULL;
        GHashTable *bad = NULL;
        const char *text;
        int r = adm_call(a, BUS_ROOT, IFACE("Manager"), "Dump", &m), code;

        if (r != ADM_OK)
                return r;
        r = sd_bus_message_append(m, "a{sv}", 1, "target", "s", name);
        if (r < 0) {
                sd_bus_message_unref(m);
                return adm_fail(a, "invalid request", g_strerror(-r));
        }
        code = ctl_invoke(a->ctl, m, &reply);
        if (code != EXIT_CODE_OK)
                return adm_failed(a, code);
        r = sd_bus_message_read(reply, "s", &text);
        if (r >= 0)
                r = config_load_text(text, "dump", NULL, ret, &bad, &problems);
        sd_bus_message_unref(reply);
        if (r < 0)
                return adm_fail(a, "invalid request", g_strerror(-r));
        g_hash_table_unref(bad);
        g_ptr_array_unref(problems);
        return ADM_OK;
}

static int keep_pages(Adm *a, const char *name)
{
        _cleanup_(desired_freep) Desired *d = NULL;
        const TargetSpec *t;
        const LunSpec *l;
        int r;

        if (!has_setting(a, "mode_page", NULL))
                return ADM_OK;
        r = dump_target(a, name, &d);
        if (r != ADM_OK)
                return r;
        t = g_hash_table_lookup(d->targets, name);
        l = t ? target_spec_find_lun(t, (uint16_t)a->lun) : NULL;
        for (guint i = 0; l && i < l->mode_pages->len; i++)
                if (!is_given(a, l->mode_pages->pdata[i]))
                        add_setting(a, "mode_page", l->mode_pages->pdata[i]);
        return ADM_OK;
}

/* ---- a medium is loaded ---------------------------------------------------------------------- */

static void replace_value(Setting *s, char *value)
{
        g_free(s->value);
        s->value = value;
}

static int begin_set(Adm *a, const char *target_path, sd_bus_message **ret)
{
        int r = adm_call(a, target_path, IFACE("Target"), "SetLogicalUnit", ret);

        a->not_found = "can't find the logical unit";
        if (r != ADM_OK)
                return r;
        r = sd_bus_message_append(*ret, "q", (uint16_t)a->lun);
        if (r >= 0)
                return ADM_OK;
        sd_bus_message_unref(*ret);
        return adm_fail(a, "invalid request", g_strerror(-r));
}

static int take_offline(Adm *a, const char *target_path)
{
        sd_bus_message *m = NULL;
        int r = begin_set(a, target_path, &m);

        if (r != ADM_OK)
                return r;
        return adm_change(a, m, sd_bus_message_append(m, "a{sas}", 1, "online", 1, "0"), true,
                          NULL);
}

/* May the medium go? As with stgt not while an initiator prevents it. */
static int check_removal(Adm *a, const json_t *unit, bool other_path)
{
        if (!json_is_true(json_object_get(unit, "Online")) ||
            !json_is_true(json_object_get(unit, "RemovalPrevented")))
                return ADM_OK;
        return adm_fail(a, other_path ? "invalid request" : "this device has Prevent Removal set",
                        "an initiator has the medium in use, and locked in the drive");
}

/* As with stgt, another path takes a unit that is offline, if need be because that stands before
 * it, and brings it online. */
static int load_medium(Adm *a, const char *target_path, const json_t *unit)
{
        Setting *path = find_setting(a, "path"), *online = find_setting(a, "online");
        bool offline = online && STREQ(online->value, "0");
        int r;

        if (*json_text(unit, "Path") && json_is_true(json_object_get(unit, "Online"))) {
                if (!offline)
                        return adm_fail(a, "invalid request",
                                        "the unit is online: another path goes with "
                                        "--params online=0,path=PATH");
                r = take_offline(a, target_path);
                if (r != ADM_OK)
                        return r;
        }
        replace_value(path, absolute_path(path->value, json_text(unit, "StoreType")));
        if (online)
                replace_value(online, g_strdup("1"));
        else
                add_setting(a, "online", "1");
        return ADM_OK;
}

/* What is done to the medium depends on what the unit is doing. */
static int prepare_medium(Adm *a, const char *target_path)
{
        bool offline = has_setting(a, "online", "0"), other_path = has_setting(a, "path", NULL);
        _cleanup_json_ json_t *target = NULL;
        const json_t *unit;
        int r, code;

        if (!offline && !other_path)
                return ADM_OK;
        code = model_target(a->ctl, target_path, &target);
        if (code != EXIT_CODE_OK)
                return adm_failed(a, code);
        unit = adm_find_unit(target, a->lun);
        if (!unit)
                return adm_fail(a, "can't find the logical unit", NULL);
        r = offline ? check_removal(a, unit, other_path) : ADM_OK;
        return r == ADM_OK && other_path ? load_medium(a, target_path, unit) : r;
}

int adm_lun_update(Adm *a)
{
        g_autofree char *path = NULL, *name = NULL;
        sd_bus_message *m = NULL;
        int r = adm_target(a, &name, &path);

        if (r == ADM_OK)
                r = lun_number(a);
        if (r != ADM_OK || !adm_value(a, 'P'))
                return r;
        forget_settings(a);
        r = adm_read_params(a, adm_value(a, 'P'));
        if (r == ADM_OK)
                r = keep_pages(a, name);
        if (r == ADM_OK)
                r = prepare_medium(a, path);
        if (r == ADM_OK)
                r = begin_set(a, path, &m);
        if (r != ADM_OK)
                return r;
        /* a medium that cannot be read is refused */
        return adm_change(a, m, change_append_settings(a->ctl, m), !has_setting(a, "path", NULL),
                          NULL);
}

int adm_lun_show(Adm *a)
{
        g_autoptr(GString) text = g_string_new(NULL);
        g_autofree char *path = NULL;
        int r = adm_target(a, NULL, &path);

        if (r == ADM_OK)
                r = adm_show_lun(a, path, (uint32_t)a->tid, a->lun, text);
        if (r == ADM_OK)
                (void)fputs(text->str, stdout);
        return r;
}
