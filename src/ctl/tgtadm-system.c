/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "base/addr.h"
#include "config/config.h"
#include "ctl/tgtadm.h"

/* ---- system ---------------------------------------------------------------------------------- */

/* Types of stores that take bsoflags. */
static bool takes_flags(const char *store)
{
        return STREQ(store, "rdwr");
}

static void show_stores(const json_t *manager)
{
        const json_t *types = json_object_get(manager, "BackingStoreTypes");

        (void)printf("Backing stores:\n");
        for (size_t i = json_array_size(types); i > 0; i--) {
                const char *name = json_string_value(json_array_get(types, i - 1));

                (void)printf("    %s%s\n", name,
                             takes_flags(name) ? " (bsoflags sync:direct)" : "");
        }
}

/* What the directive device-type takes, in the words of the listing of targets. */
static void show_device_types(void)
{
        (void)printf("Device types:\n");
        for (const DirectiveDoc *d = config_directive_docs(); d->name; d++) {
                g_auto(GStrv) words = NULL;

                if (!STREQ(d->name, "device-type"))
                        continue;
                words = g_strsplit(d->values, "|", -1);
                for (char **w = words; *w; w++)
                        (void)printf("    %s\n", *w);
        }
        (void)printf("    controller\n");
}

static void show_discovery(const json_t *manager)
{
        const json_t *accounts = json_object_get(manager, "DiscoveryAccounts"), *account;
        size_t i;

        if (json_array_size(accounts) == 0)
                return;
        (void)printf("    Account information:\n\n");
        for (int outgoing = 0; outgoing < 2; outgoing++)
                json_array_foreach (accounts, i, account)
                        if (STREQ(json_text(account, "Direction"), "outgoing") == outgoing)
                                (void)printf("    %s%s\n", json_text(account, "User"),
                                             outgoing ? " (outgoing)" : "");
}

static int get_manager(Adm *a, json_t **ret)
{
        int code = model_manager(a->ctl, ret);

        return code == EXIT_CODE_OK ? ADM_OK : adm_failed(a, code);
}

int adm_system_show(Adm *a)
{
        _cleanup_json_ json_t *manager = NULL;
        int r = get_manager(a, &manager);

        if (r != ADM_OK)
                return r;
        (void)printf("System:\n"
                     "    State: %s\n"
                     "    debug: %s\n"
                     "LLDs:\n"
                     "    iscsi: ready\n"
                     "    iser: error\n",
                     json_is_true(json_object_get(manager, "Offline")) ? "offline" : "ready",
                     json_is_true(json_object_get(manager, "Debug")) ? "on" : "off");
        show_stores(manager);
        show_device_types();
        show_discovery(manager);
        (void)printf("iSNS:\n"
                     "    iSNS=Off\n"
                     "    iSNSServerIP=\n"
                     "    iSNSServerPort=3205\n"
                     "    iSNSAccessControl=Off\n");
        return ADM_OK;
}

/* What can be updated: two words, of which the first switches on. */
static const struct {
        const char *name, *on, *off, *method;
} switches[] = {
        { "State", "offline", "ready", "SetOffline" },
        { "debug", "on", "off", "SetDebug" },
};

static int set_switch(Adm *a, size_t i)
{
        const char *value = adm_value(a, 'v');
        bool on = STREQ(value, switches[i].on);
        sd_bus_message *m = NULL;
        int r;

        if (!on && !STREQ(value, switches[i].off))
                return adm_failf(a, "invalid request", "%s: %s or %s expected", switches[i].name,
                                 switches[i].on, switches[i].off);
        r = adm_call(a, BUS_ROOT, IFACE("Manager"), switches[i].method, &m);
        if (r != ADM_OK)
                return r;
        return adm_action(a, m, sd_bus_message_append(m, "b", (int)on));
}

int adm_system_update(Adm *a)
{
        const char *name = adm_value(a, 'n');

        for (size_t i = 0; i < ELEMENTSOF(switches); i++)
                if (strcasecmp(switches[i].name, name) == 0)
                        return set_switch(a, i);
        if (g_ascii_strncasecmp(name, "isns", 4) == 0)
                return adm_failf(a, "invalid request", "%s: not supported by this build", name);
        return adm_failf(a, "invalid request",
                         "there is no parameter %s; State and debug can be "
                         "updated",
                         name);
}

int adm_system_delete(Adm *a)
{
        sd_bus_message *m = NULL;
        int r = adm_call(a, BUS_ROOT, IFACE("Manager"), "Stop", &m);

        if (r == ADM_OK)
                r = adm_action(a, m, 0);
        if (r == ADM_OK)
                (void)ctl_wait_for_end(a->ctl); /* as stgt's does; it may be there again already */
        return r;
}

/* ---- drivers --------------------------------------------------------------------------------- */

int adm_lld_show(Adm *a)
{
        _cleanup_json_ json_t *targets = NULL;
        const json_t *t;
        size_t i;
        int r = adm_targets(a, &targets);

        if (r != ADM_OK)
                return r;
        (void)printf("LLDs:\n    iscsi: ready\n");
        json_array_foreach (targets, i, t)
                (void)printf("        Target %lld: %s\n", (long long)json_number(t, "Tid"),
                             json_text(t, "Name"));
        (void)printf("    iser: error\n");
        return ADM_OK;
}

static bool is_iscsi(const Adm *a)
{
        const char *driver = adm_value(a, 'L');

        return !driver || STREQ(driver, "iscsi");
}

int adm_lld_start(Adm *a)
{
        int code = ctl_connect(a->ctl);

        if (code != EXIT_CODE_OK) {
                g_string_assign(a->ctl->caught, a->ctl->connect_why);
                return adm_failed(a, code);
        }
        if (!is_iscsi(a))
                return adm_failf(a, "unknown error", "%s is not supported by this build",
                                 adm_value(a, 'L'));
        return ADM_OK;
}

int adm_lld_stop(Adm *a)
{
        int r = adm_lld_start(a);

        if (r != ADM_OK)
                return r;
        return adm_fail(a, "this driver is busy",
                        "it stops with the daemon: systemctl stop "
                        "tgtd.service tgtd.socket");
}

/* ---- portals --------------------------------------------------------------------------------- */

int adm_portal_show(Adm *a)
{
        _cleanup_json_ json_t *portals = NULL;
        int code = model_portals(a->ctl, &portals);

        if (code != EXIT_CODE_OK)
                return adm_failed(a, code);
        for (size_t i = json_array_size(portals); i > 0; i--) {
                const json_t *p = json_array_get(portals, i - 1);

                (void)printf("Portal: %s,%lld\n", json_text(p, "Address"),
                             (long long)json_number(p, "Tag"));
        }
        return ADM_OK;
}

/* Whoever listens there: to the daemon, one of the command line is no reason against another. */
static int check_new_portal(Adm *a, const char *address)
{
        _cleanup_json_ json_t *portals = NULL;
        char text[SOCKADDR_TEXT_MAX];
        const json_t *p;
        SockAddr parsed;
        size_t i;
        int code = model_portals(a->ctl, &portals);

        if (code != EXIT_CODE_OK)
                return adm_failed(a, code);
        if (sockaddr_parse(address, 3260, true, &parsed) < 0)
                return ADM_OK; /* the daemon says what is wrong with it */
        (void)sockaddr_format(&parsed, true, text);
        json_array_foreach (portals, i, p)
                if (STREQ(json_text(p, "Address"), text))
                        return adm_failf(a, "invalid request", "there is a portal %s already",
                                         text);
        return ADM_OK;
}

static int change_portal(Adm *a, const char *member)
{
        const char *params = adm_value(a, 'P'), *address;
        sd_bus_message *m = NULL;
        int r = ADM_OK;

        if (!g_str_has_prefix(params, "portal="))
                return adm_failf(a, "invalid request", "%s: portal=ADDRESS[:PORT] expected",
                                 params);
        address = params + strlen("portal=");
        if (a->row->op == ADM_NEW)
                r = check_new_portal(a, address);
        if (r != ADM_OK)
                return r;
        r = adm_call(a, BUS_ROOT, IFACE("Manager"), member, &m);
        if (r != ADM_OK)
                return r;
        r = sd_bus_message_append(m, "s", *address ? address : "*");
        return adm_change(a, m, r, false, NULL);
}

int adm_portal_new(Adm *a)
{
        return change_portal(a, "AddPortal");
}

int adm_portal_delete(Adm *a)
{
        return change_portal(a, "RemovePortal");
}
