/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/tgtadm.h"

const char *const adm_mode_names[_ADM_MODE_MAX] = {
        [ADM_SYSTEM] = "system",   [ADM_TARGET] = "target",   [ADM_LUN] = "logicalunit",
        [ADM_PORTAL] = "portal",   [ADM_LLD] = "lld",         [ADM_SESSION] = "session",
        [ADM_CONNECTION] = "conn", [ADM_ACCOUNT] = "account",
};

const char *const adm_op_names[_ADM_OP_MAX] = {
        [ADM_NEW] = "new",   [ADM_DELETE] = "delete", [ADM_SHOW] = "show",
        [ADM_BIND] = "bind", [ADM_UNBIND] = "unbind", [ADM_UPDATE] = "update",
        [ADM_STAT] = "stat", [ADM_START] = "start",   [ADM_STOP] = "stop",
};

static const AdmOption options[] = {
        { "debug", 'd', NULL, "Taken and without effect." },
        { "help", 'h', NULL, "Show what can be done, and end." },
        { "version", 'V', NULL, "Show the version, and end." },
        { "lld", 'L', "DRIVER", "How the target is reached: iscsi." },
        { "op", 'o', "OPERATION", "What to do." },
        { "mode", 'm', "MODE", "To what." },
        { "tid", 't', "NUMBER", "The number of a target." },
        { "sid", 's', "NUMBER", "The number of a session." },
        { "cid", 'c', "NUMBER", "The number of a connection within its session." },
        { "lun", 'l', "NUMBER", "The number of a LUN within its target." },
        { "name", 'n', "NAME", "Which parameter to update." },
        { "value", 'v', "VALUE", "What it becomes." },
        { "backing-store", 'b', "PATH", "The file or device behind a LUN." },
        { "bstype", 'E', "TYPE", "How it is read and written; see bs-type in targets.conf(5)." },
        { "bsopts", 'S', "OPTIONS", "Options of the type of store." },
        { "bsoflags", 'f', "FLAGS", "sync, direct or sync:direct." },
        { "blocksize", 'y', "BYTES", "Of a logical block: 512 or 4096." },
        { "targetname", 'T', "NAME", "The iSCSI name of a target." },
        { "initiator-address", 'I', "ADDRESS", "An address, a network (ADDRESS/PREFIX), or ALL." },
        { "initiator-name", 'Q', "NAME", "The iSCSI name of an initiator." },
        { "user", 'u', "NAME", "The name of an account." },
        { "password", 'p', "SECRET",
          "Its secret. Other users of this host can see it while the command runs; tgtctl account "
          "add asks for it instead." },
        { "host", 'H', "NUMBER", "Not supported by this build." },
        { "bus", 'B', "BUS,DEVICE", "Not supported by this build." },
        { "force", 'F', NULL, "Delete a target although initiators are logged in." },
        { "params", 'P', "NAME=VALUE,...",
          "Parameters of a LUN, or of a portal. A comma belongs to the value unless NAME= follows "
          "it, or \\ stands before it." },
        { "device-type", 'Y', "TYPE", "What the LUN is to initiators: disk." },
        { "outgoing", 'O', NULL, "The account with which the target proves itself." },
        { "control-port", 'C', "NUMBER", "Which instance of the daemon, if there are several." },
        { NULL },
};

const AdmOption *adm_options(void)
{
        return options;
}

#define NO_TARGET "can't find the target"
#define NO_LUN "can't find the logical unit"
#define NO_SESSION "can't find the session"
#define NO_ACCOUNT "can't find the account"
#define TARGET_EXISTS "this target already exists"
#define LUN_EXISTS "this logical unit number already exists"
#define ACCOUNT_EXISTS "this account already exists"
#define TARGET_ACTIVE "this target is still active"
#define LUN_ACTIVE "this logical unit is still active"

/* clang-format off: one row per mode and operation */
static const AdmRow rows[] = {
        { ADM_TARGET, ADM_NEW, "tT", "", adm_target_new, NO_TARGET, TARGET_EXISTS, NULL,
          "--tid NUMBER --targetname NAME",
          "Makes a target. Nobody may log in until somebody is bound to it." },
        { ADM_TARGET, ADM_DELETE, "t", "F", adm_target_delete, NO_TARGET, NULL, TARGET_ACTIVE,
          "[--force] --tid NUMBER",
          "Deletes a target; with --force also while initiators are logged in." },
        { ADM_TARGET, ADM_SHOW, "", "t", adm_target_show, NO_TARGET, NULL, NULL, "[--tid NUMBER]",
          "Shows all targets, or the parameters of one." },
        { ADM_TARGET, ADM_BIND, "t", "IQHB", adm_target_bind, NO_TARGET,
          "this access control rule already exists", NULL,
          "--tid NUMBER [--initiator-address ADDRESS] [--initiator-name NAME]",
          "Admits initiators. One that logs in must match one entry of each kind that there is." },
        { ADM_TARGET, ADM_UNBIND, "t", "IQHB", adm_target_unbind, NO_TARGET, NULL, NULL,
          "--tid NUMBER [--initiator-address ADDRESS] [--initiator-name NAME]",
          "Takes that back." },
        { ADM_TARGET, ADM_UPDATE, "tnv", "", adm_target_update, NO_TARGET, NULL, TARGET_ACTIVE,
          "--tid NUMBER --name PARAMETER --value VALUE",
          "Changes a parameter: those that show lists, and state (ready or offline)." },
        { ADM_TARGET, ADM_STAT, "t", "", adm_target_stat, NO_TARGET, NULL, NULL, "--tid NUMBER",
          "Shows what sessions did at each LUN." },
        { ADM_LUN, ADM_NEW, "tl", "bfyESYP", adm_lun_new, NO_TARGET, LUN_EXISTS, NULL,
          "--tid NUMBER --lun NUMBER [--backing-store PATH] [--bstype TYPE] [--bsopts OPTIONS] "
          "[--bsoflags FLAGS] [--blocksize BYTES] [--params NAME=VALUE,...]",
          "Adds a LUN. Without --backing-store it is a drive without a medium: removable and "
          "offline." },
        { ADM_LUN, ADM_DELETE, "tl", "", adm_lun_delete, NO_TARGET, NULL, LUN_ACTIVE,
          "--tid NUMBER --lun NUMBER", "Removes a LUN." },
        { ADM_LUN, ADM_UPDATE, "tl", "P", adm_lun_update, NO_TARGET, NULL, LUN_ACTIVE,
          "--tid NUMBER --lun NUMBER --params NAME=VALUE,...",
          "Changes parameters of a LUN: the directives of a LUN in targets.conf(5). "
          "path=PATH loads another medium while the LUN is offline, and brings it online." },
        { ADM_LUN, ADM_SHOW, "t", "l", adm_lun_show, NO_TARGET, NULL, NULL,
          "--tid NUMBER [--lun NUMBER]", "Shows the LUNs of a target, or one of them." },
        { ADM_LUN, ADM_STAT, "tl", "s", adm_lun_stat, NO_TARGET, NULL, NULL,
          "--tid NUMBER --lun NUMBER [--sid NUMBER]",
          "Shows what sessions, or one of them, did at a LUN." },
        { ADM_ACCOUNT, ADM_NEW, "up", "", adm_account_new, NO_ACCOUNT, ACCOUNT_EXISTS, NULL,
          "--user NAME --password SECRET", "Makes an account." },
        { ADM_ACCOUNT, ADM_DELETE, "u", "", adm_account_delete, NO_ACCOUNT, NULL, NULL,
          "--user NAME", "Deletes an account, from every target that has it as well." },
        { ADM_ACCOUNT, ADM_SHOW, "", "", adm_account_show, NULL, NULL, NULL, "",
          "Shows all accounts, the newest first." },
        { ADM_ACCOUNT, ADM_BIND, "u", "tO", adm_account_bind, NO_ACCOUNT, ACCOUNT_EXISTS, NULL,
          "[--tid NUMBER] --user NAME [--outgoing]",
          "Gives an account to a target or, without --tid, to discovery." },
        { ADM_ACCOUNT, ADM_UNBIND, "u", "tO", adm_account_unbind, NO_ACCOUNT, NULL, NULL,
          "[--tid NUMBER] --user NAME [--outgoing]", "Takes that back." },
        { ADM_SESSION, ADM_SHOW, "", "ts", adm_session_show, NO_SESSION, NULL, NULL,
          "[--tid NUMBER] [--sid NUMBER]", "Shows sessions: all, those of a target, or one." },
        { ADM_SESSION, ADM_STAT, "", "s", adm_session_stat, NO_SESSION, NULL, NULL, "--sid NUMBER",
          "Shows what a session did at each LUN, and what went over its connection." },
        { ADM_CONNECTION, ADM_SHOW, "", "t", adm_connection_show, NO_TARGET, NULL, NULL,
          "--tid NUMBER", "Shows the connections to a target." },
        { ADM_CONNECTION, ADM_STAT, "", "sc", adm_connection_stat, NO_SESSION, NULL, NULL,
          "--sid NUMBER --cid NUMBER", "Shows what went over a connection." },
        { ADM_CONNECTION, ADM_DELETE, "", "tsc", adm_connection_delete, NO_SESSION, NULL, NULL,
          "--tid NUMBER --sid NUMBER --cid NUMBER",
          "Closes a connection, and with it its session. The initiator may log in again." },
        { ADM_PORTAL, ADM_NEW, "P", "", adm_portal_new, NULL, NULL, NULL,
          "--params portal=ADDRESS[:PORT]", "Listens on one more address." },
        { ADM_PORTAL, ADM_DELETE, "P", "", adm_portal_delete, NULL, NULL, NULL,
          "--params portal=ADDRESS[:PORT]", "Stops that." },
        { ADM_PORTAL, ADM_SHOW, "", "", adm_portal_show, NULL, NULL, NULL, "",
          "Shows where is listened, the newest first." },
        { ADM_LLD, ADM_START, "", "", adm_lld_start, NULL, NULL, NULL, "--lld DRIVER",
          "Does nothing for iscsi, which runs as long as the daemon does." },
        { ADM_LLD, ADM_STOP, "", "", adm_lld_stop, NULL, NULL, NULL, "--lld DRIVER",
          "Is refused: stop the daemon instead." },
        { ADM_LLD, ADM_SHOW, "", "", adm_lld_show, NULL, NULL, NULL, "",
          "Shows the drivers and the targets of each." },
        { ADM_SYSTEM, ADM_SHOW, "", "", adm_system_show, NULL, NULL, NULL, "",
          "Shows the state of the daemon, and what it can do." },
        { ADM_SYSTEM, ADM_STAT, "", "tl", adm_system_stat, NULL, NULL, NULL,
          "[--tid NUMBER] [--lun NUMBER]",
          "Shows what sessions did at each LUN of every target; the numbers change nothing." },
        { ADM_SYSTEM, ADM_UPDATE, "nv", "", adm_system_update, NULL, NULL, NULL,
          "--name State|debug --value ready|offline|on|off",
          "Takes the daemon offline, so that it refuses every new connection, or back; switches "
          "debugging on or off." },
        { ADM_SYSTEM, ADM_DELETE, "", "", adm_system_delete, NULL, NULL, NULL, "",
          "Stops the daemon. Refused while there are targets." },
        { .run = NULL },
};
/* clang-format on */

const AdmRow *adm_rows(void)
{
        return rows;
}

const AdmRow *adm_row_find(AdmMode mode, AdmOp op)
{
        for (const AdmRow *r = rows; r->run; r++)
                if (r->mode == mode && r->op == op)
                        return r;
        return NULL;
}

/* The first that fits; letter 0 or op _ADM_OP_MAX: any. */
static const struct {
        char letter;
        AdmMode mode;
        AdmOp op;
        const char *text;
} missing[] = {
        { 't', _ADM_MODE_MAX, _ADM_OP_MAX, "'tid' option is necessary" },
        { 'l', _ADM_MODE_MAX, _ADM_OP_MAX, "'lun' option is necessary" },
        { 'T', ADM_TARGET, ADM_NEW, "creating new target requires a name, use --targetname" },
        { 'u', ADM_ACCOUNT, ADM_NEW, "'user' and 'password' options are required" },
        { 'p', ADM_ACCOUNT, ADM_NEW, "'user' and 'password' options are required" },
        { 'u', ADM_ACCOUNT, _ADM_OP_MAX, "'user' option is necessary" },
        { 'n', _ADM_MODE_MAX, ADM_UPDATE, "update operation requires 'name' and 'value' options" },
        { 'v', _ADM_MODE_MAX, ADM_UPDATE, "update operation requires 'name' and 'value' options" },
        { 'P', ADM_PORTAL, _ADM_OP_MAX, "you must specify --param portal=<portal>" },
};

const char *adm_missing(const AdmRow *row, char letter)
{
        for (size_t i = 0; i < ELEMENTSOF(missing); i++)
                if (missing[i].letter == letter &&
                    (missing[i].mode == row->mode || missing[i].mode == _ADM_MODE_MAX) &&
                    (missing[i].op == row->op || missing[i].op == _ADM_OP_MAX))
                        return missing[i].text;
        return "an option is missing";
}

void adm_help(GString *to)
{
        g_string_append(to, "Usage: tgtadm --mode MODE --op OPERATION [OPTION...]\n\n"
                            "Controls the SCSI target daemon with the commands of stgt. What is "
                            "changed is gone\nwhen the daemon is stopped; tgtctl changes things to "
                            "stay.\n");
        for (const AdmRow *r = rows; r->run; r++)
                g_string_append_printf(to, "\n  --mode %s --op %s%s%s\n        %s\n",
                                       adm_mode_names[r->mode], adm_op_names[r->op],
                                       *r->synopsis ? " " : "", r->synopsis, r->help);
        g_string_append(to, "\nOptions:\n");
        for (const AdmOption *o = options; o->name; o++) {
                g_autofree char *name = g_strdup_printf("-%c, --%s%s%s", o->letter, o->name,
                                                        o->value ? " " : "", o->value ?: "");

                g_string_append_printf(to, "  %-34s %s\n", name, o->help);
        }
        g_string_append(to, "\nSee tgtadm(8).\n");
}
