/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>

#include "ctl/tgtadm.h"

/* The listing of targets, line by line as stgt writes it. */

uint64_t adm_megabytes(uint64_t bytes)
{
        int64_t n = (int64_t)(bytes / 512);

        return (uint64_t)((n - (n / 625 - 974)) / 1950);
}

char *adm_peer_address(const char *peer)
{
        const char *colon = strrchr(peer, ':');
        size_t n = colon ? (size_t)(colon - peer) : strlen(peer);

        if (n >= 2 && peer[0] == '[' && peer[n - 1] == ']')
                return g_strndup(peer + 1, n - 2);
        return g_strndup(peer, n);
}

static const struct {
        const char *ours, *stgt;
} types[] = {
        { "cd", "cd/dvd" },      { "cdrom", "cd/dvd" }, { "dvd", "cd/dvd" },
        { "pt", "passthrough" }, { "ssc", "tape" },
};

static const char *type_name(const char *ours)
{
        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (STREQ(types[i].ours, ours))
                        return types[i].stgt;
        return ours;
}

typedef struct Lun {
        uint64_t number;
        const char *type, *sn, *store, *path, *flags;
        char *id;
        uint64_t size, block;
        bool online, removable, prevented, readonly, swp, thin;
} Lun;

static const char *yes_no(bool b)
{
        return b ? "Yes" : "No";
}

static void append_lun(const Lun *l, GString *to)
{
        g_string_append_printf(to,
                               "        LUN: %" PRIu64 "\n"
                               "            Type: %s\n"
                               "            SCSI ID: %s\n"
                               "            SCSI SN: %s\n"
                               "            Size: %" PRIu64 " MB, Block size: %" PRIu64 "\n"
                               "            Online: %s\n"
                               "            Removable media: %s\n"
                               "            Prevent removal: %s\n"
                               "            Readonly: %s\n"
                               "            SWP: %s\n"
                               "            Thin-provisioning: %s\n"
                               "            Backing store type: %s\n"
                               "            Backing store path: %s\n"
                               "            Backing store flags: %s\n",
                               l->number, l->type, l->id, l->sn, adm_megabytes(l->size), l->block,
                               yes_no(l->online), yes_no(l->removable), yes_no(l->prevented),
                               yes_no(l->readonly), yes_no(l->swp), yes_no(l->thin), l->store,
                               *l->path ? l->path : "None", l->flags);
}

/* What answers at LUN 0 where no unit is mapped there. */
static void append_controller(uint32_t tid, GString *to)
{
        g_autofree char *sn = g_strdup_printf("beaf%u0", tid);
        g_autofree char *id = g_strdup_printf("IET     %04x0000", tid);
        Lun l = { .type = "controller",
                  .id = id,
                  .sn = sn,
                  .store = "null",
                  .path = "",
                  .flags = "",
                  .block = 1,
                  .online = true };

        append_lun(&l, to);
}

static void append_unit(const json_t *unit, GString *to)
{
        const char *type = json_text(unit, "Type");
        bool disk = STREQ(type, "disk") || !*type;
        bool removable = json_is_true(json_object_get(unit, "Removable"));
        bool empty = removable && !*json_text(unit, "Path");
        bool stgt = STREQ(json_text(unit, "Identity"), "stgt");
        /* the designator as initiators see it */
        g_autofree char *id =
                g_strdup_printf("%-*s%s", stgt ? 0 : 8, stgt ? "" : json_text(unit, "Vendor"),
                                json_text(unit, "ScsiId"));
        Lun l = {
                .number = (uint64_t)json_number(unit, "Lun"),
                .type = disk ? "disk" : type_name(type),
                .id = id,
                .sn = json_text(unit, "Serial"),
                .store = json_text(unit, "StoreType"),
                .path = json_text(unit, "Path"),
                .flags = json_text(unit, "StoreFlags"),
                .size = disk ? (uint64_t)json_number(unit, "Size") : 0,
                .block = disk ? (uint64_t)json_number(unit, "BlockSize") : 1,
                .online = empty ? json_is_true(json_object_get(unit, "Online"))
                                : STREQ(json_text(unit, "State"), "ready"),
                .removable = removable,
                .prevented = json_is_true(json_object_get(unit, "RemovalPrevented")),
                .readonly = json_is_true(json_object_get(unit, "Readonly")),
                .swp = json_is_true(json_object_get(unit, "SoftwareWriteProtect")),
                .thin = json_is_true(json_object_get(unit, "Thin")),
        };

        append_lun(&l, to);
}

static void append_luns(const json_t *target, uint32_t tid, GString *to)
{
        const json_t *units = json_object_get(target, "LogicalUnits"), *unit;
        size_t i;

        g_string_append(to, "    LUN information:\n");
        if (json_array_size(units) == 0 || json_number(json_array_get(units, 0), "Lun") != 0)
                append_controller(tid, to);
        json_array_foreach (units, i, unit)
                append_unit(unit, to);
}

static void append_sessions(const json_t *sessions, GString *to)
{
        const json_t *s;
        size_t i;

        g_string_append(to, "    I_T nexus information:\n");
        json_array_foreach (sessions, i, s) {
                g_autofree char *address = adm_peer_address(json_text(s, "Peer"));
                const char *alias = json_text(s, "Alias");

                g_string_append_printf(to,
                                       "        I_T nexus: %lld\n"
                                       "            Initiator: %s alias: %s\n"
                                       "            Connection: %lld\n"
                                       "                IP Address: %s\n",
                                       (long long)json_number(s, "Id"), json_text(s, "Initiator"),
                                       *alias ? alias : "none", (long long)json_number(s, "Cid"),
                                       address);
        }
}

static void append_accounts(const json_t *target, GString *to)
{
        const json_t *account;
        size_t i;

        g_string_append(to, "    Account information:\n");
        for (int outgoing = 0; outgoing < 2; outgoing++)
                json_array_foreach (json_object_get(target, "Accounts"), i, account)
                        if (STREQ(json_text(account, "Direction"), "outgoing") == outgoing)
                                g_string_append_printf(to, "        %s%s\n",
                                                       json_text(account, "User"),
                                                       outgoing ? " (outgoing)" : "");
}

static void append_access(const json_t *target, GString *to)
{
        const json_t *entry;
        size_t i;

        g_string_append(to, "    ACL information:\n");
        if (STREQ(json_text(target, "Access"), "everybody"))
                g_string_append(to, "        ALL\n");
        for (int names = 0; names < 2; names++)
                json_array_foreach (json_object_get(target, "Acls"), i, entry)
                        if (STREQ(json_text(entry, "Kind"), "initiator-name") == names)
                                g_string_append_printf(to, "        %s\n",
                                                       json_text(entry, "Value"));
}

static const char *parameter(const json_t *target, const char *name)
{
        return json_text(json_object_get(target, "Parameters"), name);
}

int adm_sessions(Adm *a, const char *path, json_t **ret)
{
        _cleanup_json_ json_t *list = NULL, *all = json_array();
        const json_t *row;
        size_t i;
        int code = model_sessions(a->ctl, path, &list);

        if (code != EXIT_CODE_OK)
                return adm_failed(a, code);
        json_array_foreach (list, i, row) {
                json_t *session = NULL;

                if (!path && !*json_text(row, "Target"))
                        continue; /* discovery */
                code = ctl_get_all(a->ctl, json_text(row, "Object"), IFACE("Session"), &session);
                if (code == EXIT_CODE_OK) {
                        (void)json_array_append_new(all, session);
                } else if (code == EXIT_CODE_NOT_FOUND) {
                        g_string_truncate(a->ctl->caught, 0); /* has ended meanwhile */
                } else {
                        return adm_failed(a, code);
                }
        }
        *ret = TAKE_PTR(all);
        return ADM_OK;
}

int adm_show_target(Adm *a, const char *path, uint32_t tid, GString *to)
{
        _cleanup_json_ json_t *target = NULL, *sessions = NULL;
        int code = model_target(a->ctl, path, &target);

        if (code != EXIT_CODE_OK)
                return adm_failed(a, code);
        if (json_number(target, "NSessions") > 0) {
                int r = adm_sessions(a, path, &sessions);

                if (r != ADM_OK)
                        return r;
        }
        g_string_append_printf(to,
                               "Target %u: %s\n"
                               "    System information:\n"
                               "        Driver: iscsi\n"
                               "        State: %s\n",
                               tid, json_text(target, "Name"),
                               STREQ(json_text(target, "State"), "online") ? "ready" : "offline");
        if (!STREQ(parameter(target, "nop_interval"), "0"))
                g_string_append_printf(to,
                                       "        Nop interval: %s\n"
                                       "        Nop count: %s\n",
                                       parameter(target, "nop_interval"),
                                       parameter(target, "nop_count"));
        append_sessions(sessions, to);
        append_luns(target, tid, to);
        append_accounts(target, to);
        append_access(target, to);
        return ADM_OK;
}

const json_t *adm_find_unit(const json_t *target, uint64_t lun)
{
        const json_t *unit;
        size_t i;

        json_array_foreach (json_object_get(target, "LogicalUnits"), i, unit)
                if ((uint64_t)json_number(unit, "Lun") == lun)
                        return unit;
        return NULL;
}

int adm_show_lun(Adm *a, const char *path, uint32_t tid, uint64_t lun, GString *to)
{
        _cleanup_json_ json_t *target = NULL;
        const json_t *unit;
        int code = model_target(a->ctl, path, &target);

        if (code != EXIT_CODE_OK)
                return adm_failed(a, code);
        g_string_append_printf(to, "Target %u: %s\n", tid, json_text(target, "Name"));
        if (lun == UINT64_MAX) {
                append_luns(target, tid, to);
                return ADM_OK;
        }
        g_string_append(to, "    LUN information:\n");
        unit = adm_find_unit(target, lun);
        if (unit) {
                append_unit(unit, to);
                return ADM_OK;
        }
        if (lun == 0) {
                append_controller(tid, to);
                return ADM_OK;
        }
        return adm_fail(a, "can't find the logical unit", NULL);
}
