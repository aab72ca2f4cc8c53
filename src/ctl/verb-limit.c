/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>

#include "base/parse.h"
#include "config/config.h"
#include "ctl/args.h"
#include "ctl/change.h"
#include "ctl/verb-functions.h"

/* Limits of rate: of a LUN, or of initiators. What is given is all that is limited from then on. */

static const char *const no_outs[] = { NULL };

DEFINE_CLEANUP(TargetSpec *, target_spec_free);

/* As a line of a fragment would have them, with its errors. */
static int parse_limits(Ctl *c, const char *initiator, char **words, LimitSpec *ret)
{
        _cleanup_(target_spec_freep) TargetSpec *scratch = target_spec_new("iqn.scratch");
        g_autofree char *limits = g_strjoinv(" ", words);
        g_autofree char *line = g_strdup_printf("%s %s", initiator, limits);
        Problem *problem = NULL;
        int r = config_set(scratch, NULL, "limit-initiator", line, NULL, &problem);

        if (r < 0)
                (void)ctl_fail(c, EXIT_CODE_USAGE, "%s.", problem ? problem->text : "not a limit");
        problem_free(problem);
        if (r < 0)
                return EXIT_CODE_USAGE;
        *ret = (LimitSpec){ 0 };
        if (scratch->limits->len > 0)
                *ret = ((const InitiatorLimit *)g_ptr_array_index(scratch->limits, 0))->limits;
        else if (*words && strstr(limits, "burst="))
                return ctl_fail(c, EXIT_CODE_USAGE,
                                "There is a burst but no limit: say iops=1000, for example.");
        return EXIT_CODE_OK;
}

static int limit_lun(Ctl *c, const char *target, uint16_t lun, const LimitSpec *limits)
{
        sd_bus_message *m = NULL;
        int r, code = change_begin_target(c, target, "SetLogicalUnit", &m);

        if (code != EXIT_CODE_OK)
                return code;
        for (size_t i = 0; i < n_limit_fields(); i++) {
                const LimitField *f = &limit_fields()[i];
                uint64_t v = limit_value(limits, f);
                g_autofree char *directive = g_strdup_printf("limit-%s", f->name);
                g_autofree char *value = g_strdup_printf(
                        "%" PRIu64 "%s", v, v && !STREQ(f->name, f->property) ? "us" : "");

                options_add_setting(&c->options, directive, value);
        }
        r = sd_bus_message_append(m, "q", lun);
        if (r >= 0)
                r = change_append_settings(c, m);
        return change_finish(c, m, r, OPTIONS_ALL, no_outs);
}

static int limit_initiator(Ctl *c, const char *target, const char *initiator,
                           const LimitSpec *limits)
{
        sd_bus_message *m = NULL;
        int r, code = change_begin_target(c, target, "SetInitiatorLimits", &m);

        if (code != EXIT_CODE_OK)
                return code;
        r = sd_bus_message_append(m, "s", initiator);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{st}");
        for (size_t i = 0; r >= 0 && i < n_limit_fields(); i++) {
                const LimitField *f = &limit_fields()[i];
                uint64_t v = limit_value(limits, f);

                if (v != 0)
                        r = sd_bus_message_append(m, "{st}", f->property, v);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return change_finish(c, m, r, OPTIONS_ALL, no_outs);
}

int verb_set_limit(Ctl *c, char **args)
{
        uint32_t lun;
        bool is_lun = parse_u32(args[1], 0, CONFIG_LUN_MAX, &lun) >= 0;
        LimitSpec limits;
        int code;

        if (!is_lun && !access_kind(args[1]))
                return ctl_fail(c, EXIT_CODE_USAGE,
                                "\"%s\" is neither a LUN (0 to %u) nor the name of an initiator "
                                "(iqn., eui., naa.), an address, a prefix (10.0.0.0/8) or ALL.",
                                args[1], CONFIG_LUN_MAX);
        code = parse_limits(c, is_lun ? "ALL" : args[1], args + 2, &limits);
        if (code != EXIT_CODE_OK)
                return code;
        return is_lun ? limit_lun(c, args[0], (uint16_t)lun, &limits)
                      : limit_initiator(c, args[0], args[1], &limits);
}
