/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <strings.h>

#include "ctl/tgtadm.h"

/* a{sas} with one value each; NULL ends the names. */
static int append_directive(sd_bus_message *m, const char *name, const char *value)
{
        return sd_bus_message_append(m, "{sas}", name, 1, value);
}

int adm_target_new(Adm *a)
{
        g_autofree char *tid = g_strdup_printf("%d", a->tid);
        sd_bus_message *m = NULL;
        int r = adm_call(a, BUS_ROOT, IFACE("Manager"), "CreateTarget", &m);

        if (r != ADM_OK)
                return r;
        r = sd_bus_message_append(m, "s", adm_value(a, 'T'));
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sas}");
        if (r >= 0)
                r = append_directive(m, "controller_tid", tid);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return adm_change(a, m, r, false, NULL);
}

int adm_target_delete(Adm *a)
{
        g_autofree char *name = NULL;
        sd_bus_message *m = NULL;
        int r = adm_target(a, &name, NULL);

        if (r == ADM_OK)
                r = adm_call(a, BUS_ROOT, IFACE("Manager"), "DeleteTarget", &m);
        if (r != ADM_OK)
                return r;
        r = sd_bus_message_append(m, "s", name);
        return adm_change(a, m, r, adm_value(a, 'F'), NULL);
}

/* ---- showing --------------------------------------------------------------------------------- */

/* In stgt's order. What is not negotiated here has the value that stgt would show, since that is
 * what a session ends up with. */
static const struct {
        const char *name, *fixed;
} parameters[] = {
        { "nop_interval", NULL },
        { "nop_count", NULL },
        { "MaxRecvDataSegmentLength", NULL },
        { "HeaderDigest", NULL },
        { "DataDigest", NULL },
        { "InitialR2T", NULL },
        { "MaxOutstandingR2T", NULL },
        { "ImmediateData", NULL },
        { "FirstBurstLength", NULL },
        { "MaxBurstLength", NULL },
        { "DataPDUInOrder", NULL },
        { "DataSequenceInOrder", NULL },
        { "ErrorRecoveryLevel", NULL },
        { "IFMarker", "No" },
        { "OFMarker", "No" },
        { "DefaultTime2Wait", NULL },
        { "DefaultTime2Retain", NULL },
        { "OFMarkInt", "Reject" },
        { "IFMarkInt", "Reject" },
        { "MaxConnections", NULL },
        { "RDMAExtensions", "Yes" },
        { "TargetRecvDataSegmentLength", "262144" },
        { "InitiatorRecvDataSegmentLength", "262144" },
        { "MaxOutstandingUnexpectedPDUs", "0" },
        { "MaxXmitDataSegmentLength", NULL },
        { "MaxQueueCmd", NULL },
};

static const char *fixed_value(const char *name, const char **ret_name)
{
        for (size_t i = 0; i < ELEMENTSOF(parameters); i++)
                if (strcasecmp(parameters[i].name, name) == 0) {
                        *ret_name = parameters[i].name;
                        return parameters[i].fixed;
                }
        return NULL;
}

static int show_parameters(Adm *a)
{
        _cleanup_json_ json_t *target = NULL;
        g_autofree char *path = NULL;
        const json_t *values;
        int code, r = adm_target(a, NULL, &path);

        if (r != ADM_OK)
                return r;
        code = ctl_get_all(a->ctl, path, IFACE("Target"), &target);
        if (code != EXIT_CODE_OK)
                return adm_failed(a, code);
        values = json_object_get(target, "Parameters");
        for (size_t i = 0; i < ELEMENTSOF(parameters); i++)
                (void)printf("%s=%s\n", parameters[i].name,
                             parameters[i].fixed ?: json_text(values, parameters[i].name));
        return ADM_OK;
}

static int compare_tids(const void *a, const void *b)
{
        json_int_t x = json_number(*(json_t *const *)a, "Tid");
        json_int_t y = json_number(*(json_t *const *)b, "Tid");

        return x < y ? -1 : x > y;
}

int adm_targets(Adm *a, json_t **ret)
{
        g_autoptr(GPtrArray) order = g_ptr_array_new();
        _cleanup_json_ json_t *targets = NULL;
        json_t *t;
        size_t i;
        int code = model_targets(a->ctl, &targets);

        if (code != EXIT_CODE_OK)
                return adm_failed(a, code);
        json_array_foreach (targets, i, t)
                g_ptr_array_add(order, t);
        g_ptr_array_sort(order, compare_tids);
        *ret = json_array();
        for (guint k = 0; k < order->len; k++)
                (void)json_array_append(*ret, g_ptr_array_index(order, k));
        return ADM_OK;
}

int adm_target_show(Adm *a)
{
        _cleanup_json_ json_t *targets = NULL;
        const json_t *t;
        size_t i;
        int r;

        if (adm_value(a, 't'))
                return show_parameters(a);
        r = adm_targets(a, &targets);
        if (r != ADM_OK)
                return r;
        json_array_foreach (targets, i, t) {
                g_autoptr(GString) text = g_string_new(NULL);

                r = adm_show_target(a, json_text(t, "Object"), (uint32_t)json_number(t, "Tid"),
                                    text);
                if (r != ADM_OK)
                        return r;
                (void)fputs(text->str, stdout);
        }
        return ADM_OK;
}

/* ---- access ---------------------------------------------------------------------------------- */

static const struct {
        char letter;
        const char *kind;
} kinds[] = {
        { 'I', "initiator-address" },
        { 'Q', "initiator-name" },
};

static int change_access(Adm *a, const char *path, const char *member, const char *kind,
                         const char *value, size_t *ret_n)
{
        sd_bus_message *m = NULL;
        int r = adm_call(a, path, IFACE("Target"), member, &m);

        if (r != ADM_OK)
                return r;
        r = sd_bus_message_append(m, "ss", kind, value);
        return adm_change(a, m, r, true, ret_n);
}

static int for_each_kind(Adm *a,
                         int (*what)(Adm *a, const char *path, const char *kind, const char *value))
{
        g_autofree char *path = NULL;
        int r;

        if (adm_value(a, 'H') || adm_value(a, 'B'))
                return adm_fail(a, "invalid request",
                                "--host and --bus are not supported by this "
                                "build");
        if (!adm_value(a, 'I') && !adm_value(a, 'Q'))
                /* the sentence is stgt's, as it is */
                return adm_fail(a,
                                a->row->op == ADM_BIND ? "bind operation requires "
                                                         "initiator-address, initiator-nameor bus"
                                                       : "unbind operation requires "
                                                         "initiator-address, initiator-name or bus",
                                NULL);
        r = adm_target(a, NULL, &path);
        for (size_t i = 0; i < ELEMENTSOF(kinds) && r == ADM_OK; i++)
                if (adm_value(a, kinds[i].letter))
                        r = what(a, path, kinds[i].kind, adm_value(a, kinds[i].letter));
        return r;
}

static int bind_one(Adm *a, const char *path, const char *kind, const char *value)
{
        size_t n = 0;
        int r = change_access(a, path, "Allow", kind, value, &n);

        if (r == ADM_OK && n == 0)
                return adm_fail(a, a->exists, value);
        return r;
}

static int unbind_one(Adm *a, const char *path, const char *kind, const char *value)
{
        /* the target is there: what is not found is the rule */
        a->not_found = "this access control rule does not exist";
        return change_access(a, path, "Deny", kind, value, NULL);
}

int adm_target_bind(Adm *a)
{
        return for_each_kind(a, bind_one);
}

int adm_target_unbind(Adm *a)
{
        return for_each_kind(a, unbind_one);
}

/* ---- parameters ------------------------------------------------------------------------------ */

static int set_directive(Adm *a, const char *path, const char *name, const char *value)
{
        sd_bus_message *m = NULL;
        int r = adm_call(a, path, IFACE("Target"), "Set", &m);

        if (r != ADM_OK)
                return r;
        r = sd_bus_message_append(m, "sas", name, 1, value);
        /* as in stgt, sessions are no reason not to refuse further ones */
        return adm_change(a, m, r, STREQ(name, "state"), NULL);
}

int adm_target_update(Adm *a)
{
        const char *name = adm_value(a, 'n'), *value = adm_value(a, 'v'), *fixed, *known = name;
        g_autofree char *path = NULL;
        int r = adm_target(a, NULL, &path);

        if (r != ADM_OK)
                return r;
        fixed = fixed_value(name, &known);
        if (fixed && strcasecmp(fixed, value) == 0)
                return ADM_OK;
        if (fixed)
                return adm_failf(a, "invalid request",
                                 "%s other than %s is not supported by this build", known, fixed);
        if (strcasecmp(known, "state") == 0 && !STREQ(value, "ready") && !STREQ(value, "offline"))
                return adm_failf(a, "invalid request", "state: ready or offline expected");
        return set_directive(a, path, known, value);
}
