/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "ctl/tgtadm.h"

/* stgt has one set of accounts, which are bound to targets. Here an account is a target's; those of
 * tgtadm are kept beside until they are bound. All of them are one set again where tgtadm shows
 * them. */

/* Where an account is: { "Target": name or "", "Direction" }. */
static int find_user(Adm *a, const char *user, json_t **ret)
{
        _cleanup_json_ json_t *all = NULL, *found = json_array();
        json_t *account;
        size_t i;
        int code = model_accounts(a->ctl, NULL, &all);

        if (code != EXIT_CODE_OK)
                return adm_failed(a, code);
        json_array_foreach (all, i, account)
                if (STREQ(json_text(account, "User"), user))
                        (void)json_array_append(found, account);
        *ret = TAKE_PTR(found);
        return ADM_OK;
}

static bool has_text(const json_t *list, const char *text)
{
        const json_t *s;
        size_t i;

        json_array_foreach (list, i, s)
                if (g_strcmp0(json_string_value(s), text) == 0)
                        return true;
        return false;
}

/* Users of accounts: those of the pool, the newest first, then those that only targets have. */
static int all_users(Adm *a, json_t **ret_pool, json_t **ret_users)
{
        _cleanup_json_ json_t *manager = NULL, *bound = NULL, *users = json_array();
        const json_t *pool, *account;
        size_t i;
        int code = model_manager(a->ctl, &manager);

        if (code == EXIT_CODE_OK)
                code = model_accounts(a->ctl, NULL, &bound);
        if (code != EXIT_CODE_OK)
                return adm_failed(a, code);
        pool = json_object_get(manager, "Accounts");
        for (i = json_array_size(pool); i > 0; i--)
                (void)json_array_append(users, json_array_get(pool, i - 1));
        json_array_foreach (bound, i, account)
                if (!has_text(users, json_text(account, "User")))
                        (void)json_array_append(users, json_object_get(account, "User"));
        if (ret_pool)
                *ret_pool = json_incref((json_t *)pool);
        *ret_users = TAKE_PTR(users);
        return ADM_OK;
}

int adm_account_show(Adm *a)
{
        _cleanup_json_ json_t *users = NULL;
        const json_t *user;
        size_t i;
        int r = all_users(a, NULL, &users);

        if (r != ADM_OK)
                return r;
        if (json_array_size(users) > 0)
                (void)printf("Account list:\n");
        json_array_foreach (users, i, user)
                (void)printf("    %s\n", json_string_value(user));
        return ADM_OK;
}

int adm_account_new(Adm *a)
{
        const char *user = adm_value(a, 'u');
        _cleanup_json_ json_t *users = NULL;
        sd_bus_message *m = NULL;
        int r = all_users(a, NULL, &users);

        if (r != ADM_OK)
                return r;
        if (has_text(users, user))
                return adm_fail(a, a->exists, user);
        r = adm_call(a, BUS_ROOT, IFACE("Manager"), "AddAccount", &m);
        if (r != ADM_OK)
                return r;
        (void)sd_bus_message_sensitive(m);
        r = sd_bus_message_append(m, "ss", user, adm_value(a, 'p'));
        /* it stands in argv, where others can see it: no longer than need be */
        explicit_bzero((char *)adm_value(a, 'p'), strlen(adm_value(a, 'p')));
        return adm_change(a, m, r, false, NULL);
}

static int target_path(Adm *a, const char *name, char **ret)
{
        int code = model_resolve(a->ctl, name, NULL, ret);

        return code == EXIT_CODE_OK ? ADM_OK : adm_failed(a, code);
}

/* target "": of discovery */
static int take_account(Adm *a, const char *target, const char *user, const char *direction)
{
        g_autofree char *path = NULL;
        sd_bus_message *m = NULL;
        int r = *target ? target_path(a, target, &path) : ADM_OK;

        if (r == ADM_OK)
                r = path ? adm_call(a, path, IFACE("Target"), "RemoveAccount", &m)
                         : adm_call(a, BUS_ROOT, IFACE("Manager"), "RemoveDiscoveryAccount", &m);
        if (r != ADM_OK)
                return r;
        r = sd_bus_message_append(m, "ss", user, direction);
        return adm_change(a, m, r, true, NULL);
}

int adm_account_delete(Adm *a)
{
        const char *user = adm_value(a, 'u');
        _cleanup_json_ json_t *pool = NULL, *users = NULL, *bound = NULL;
        const json_t *account;
        sd_bus_message *m = NULL;
        size_t i;
        int r = all_users(a, &pool, &users);

        if (r == ADM_OK)
                r = find_user(a, user, &bound);
        if (r == ADM_OK && !has_text(users, user))
                return adm_fail(a, "can't find the account", user);
        json_array_foreach (bound, i, account)
                if (r == ADM_OK)
                        r = take_account(a, json_text(account, "Target"), user,
                                         json_text(account, "Direction"));
        if (r != ADM_OK || !has_text(pool, user))
                return r;
        r = adm_call(a, BUS_ROOT, IFACE("Manager"), "RemoveAccount", &m);
        if (r != ADM_OK)
                return r;
        r = sd_bus_message_append(m, "s", user);
        return adm_change(a, m, r, false, NULL);
}

static const char *direction(const Adm *a)
{
        return adm_value(a, 'O') ? "outgoing" : "incoming";
}

/* The target of --tid, or "" for discovery. */
static int bound_target(Adm *a, char **ret)
{
        if (!adm_value(a, 't')) {
                *ret = g_strdup("");
                return ADM_OK;
        }
        return adm_target(a, ret, NULL);
}

int adm_account_bind(Adm *a)
{
        g_autofree char *target = NULL;
        sd_bus_message *m = NULL;
        int r;

        a->not_found = "can't find the target";
        r = bound_target(a, &target);
        if (r == ADM_OK)
                r = adm_call(a, BUS_ROOT, IFACE("Manager"), "BindAccount", &m);
        if (r != ADM_OK)
                return r;
        a->not_found = "can't find the account";
        if (adm_value(a, 'O'))
                a->exists = "this target already has an outgoing account";
        r = sd_bus_message_append(m, "sss", target, adm_value(a, 'u'), direction(a));
        return adm_change(a, m, r, false, NULL);
}

int adm_account_unbind(Adm *a)
{
        g_autofree char *target = NULL;
        int r;

        a->not_found = "can't find the target";
        r = bound_target(a, &target);
        if (r != ADM_OK)
                return r;
        a->not_found = "can't find the account";
        return take_account(a, target, adm_value(a, 'u'), direction(a));
}
