/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/operation.h"

#include "ctl/format.h"
#include "ctl/model.h"

const char *operation_doing(const json_t *operation)
{
        const char *kind = json_text(operation, "Kind");

        return STREQ(kind, "format") ? "formatting" : *kind ? "sanitizing" : "";
}

char *operation_text(const json_t *operation)
{
        const char *doing = operation_doing(operation), *kind = json_text(operation, "Kind");
        uint64_t done = (uint64_t)json_number(operation, "Done");
        uint64_t total = (uint64_t)json_number(operation, "Total");
        bool format = STREQ(kind, "format");
        g_autofree char *all = format_bytes(total);

        if (!*doing)
                return g_strdup("");
        if (STREQ(json_text(operation, "State"), "failed"))
                return g_strdup_printf("%s has failed: %s", doing, json_text(operation, "Reason"));
        return g_strdup_printf("%s%s%s%s, %u%% of %s", doing, format ? "" : " (",
                               format ? "" : kind, format ? "" : ")",
                               total ? (unsigned)((double)done * 100 / (double)total) : 0, all);
}
