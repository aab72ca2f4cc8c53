/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/context.h"
#include "ctl/verbs.h"

#define CHANGES                                                                               \
        "create,delete,set,add-lun,remove-lun,set-lun,allow,deny,set-limit,account add,"      \
        "account remove,account create,account bind,account delete,portal add,portal remove," \
        "offline,online,apply,edit"
#define FIELD(name) offsetof(Options, name)

/* clang-format off: one row per option */
static const Option option_table[] = {
        { "help", 'h', OPTION_FLAG, FIELD(help), NULL, NULL, NULL,
          "Show help, of the verb if there is one" },
        { "version", 0, OPTION_FLAG, FIELD(version), NULL, NULL, NULL, "Show the version" },
        { "json", 0, OPTION_JSON, 0, "[=MODE]", NULL, "pretty short off",
          "Output as JSON: pretty (also --json alone), short, off" },
        { "quiet", 'q', OPTION_FLAG, FIELD(quiet), NULL, NULL, NULL,
          "Say only what was asked for, and errors" },
        { "full", 'l', OPTION_FLAG, FIELD(full), NULL, NULL, NULL,
          "Cut nothing to fit the terminal" },
        { "no-legend", 0, OPTION_FLAG, FIELD(no_legend), NULL, NULL, NULL,
          "No column titles and no totals" },
        { "no-pager", 0, OPTION_FLAG, FIELD(no_pager), NULL, NULL, NULL, "No pager" },
        { "color", 0, OPTION_COLOR, 0, "[=WHEN]", NULL, "yes no auto",
          "Colors: yes (also --color alone), no, auto" },
        { "no-ask-password", 0, OPTION_FLAG, FIELD(no_ask_password), NULL, NULL, NULL,
          "Ask for nothing on the terminal" },
        { "bus", 0, OPTION_STRING, FIELD(bus), "BUS", NULL, "system session private",
          "Find the daemon on system, session, private, or a D-Bus address" },
        { "socket", 0, OPTION_STRING, FIELD(socket), "PATH", NULL, NULL,
          "Find the daemon on this private socket" },
        { "control-port", 'C', OPTION_NUMBER, FIELD(control_port), "N", NULL, NULL,
          "Find the daemon that was started with the same number" },
        { "config-dir", 0, OPTION_STRING, FIELD(config_dir), "DIR", "status,list,verify,doctor,cat",
          NULL, "Where fragments are, for what is read without a daemon" },
        { "state-dir", 0, OPTION_STRING, FIELD(state_dir), "DIR", "status,list,verify,doctor,cat",
          NULL, "Where saved targets are, for what is read without a daemon" },
        { "runtime", 0, OPTION_FLAG, FIELD(runtime), NULL, CHANGES, NULL,
          "Keep the change only until the daemon is stopped" },
        { "force", 'f', OPTION_FLAG, FIELD(force), NULL,
          "create,delete,set,add-lun,remove-lun,set-lun,allow,deny,account add,account remove,"
          "account create,account bind,account delete,portal "
          "remove,offline,online,stop,reload,apply,"
          "edit,copy,sanitize,format",
          NULL, "Also drop sessions, override /etc, take what is not there yet" },
        { "dry-run", 'n', OPTION_FLAG, FIELD(dry_run), NULL, CHANGES ",reload", NULL,
          "Check, and show what would change" },
        { "generation", 0, OPTION_NUMBER, FIELD(generation), "N",
          CHANGES ",reload,confirm,rollback", NULL,
          "Refuse if the configuration has changed since generation N" },
        { "prune", 0, OPTION_FLAG, FIELD(prune), NULL, "apply", NULL,
          "Remove the targets that are not named, but for those of /etc" },
        { "revert", 0, OPTION_FLAG, FIELD(revert), NULL, "reload", NULL,
          "Take back what was changed with --runtime" },
        { "daemon", 0, OPTION_FLAG, FIELD(by_daemon), NULL, "verify", NULL,
          "Let the daemon that runs check, not this program" },
        { "confirm-within", 0, OPTION_DURATION, FIELD(confirm_within), "TIME", CHANGES, NULL,
          "Take the change back unless it is confirmed in time: 30s, 2min" },
        { "set", 0, OPTION_DIRECTIVE, 0, "DIRECTIVE=VALUE", "create,add-lun,set-lun", NULL,
          "Any directive of targets.conf(5); the same as --DIRECTIVE=VALUE" },
        { "type", 0, OPTION_ALIAS, 0, "TYPE", "add-lun", "disk", "The directive device-type",
          "device-type" },
        { "thin", 0, OPTION_ALIAS, 0, NULL, "add-lun,set-lun", NULL,
          "The directive thin-provisioning, set to 1", "thin-provisioning" },
        { "size", 0, OPTION_ALIAS, 0, "SIZE", "create,add-lun,set-lun", NULL,
          "Size of the file that is made, as 10G; of a PATH, what is served", "size" },
        { "preallocate", 0, OPTION_FLAG, FIELD(preallocate), NULL, "create,add-lun,copy", NULL,
          "Take all of the space of that file now" },
        { "store-dir", 0, OPTION_STRING, FIELD(store_dir), "DIR", "create,add-lun", NULL,
          "Make that file in DIR, where the daemon may write" },
        { "outgoing", 0, OPTION_FLAG, FIELD(outgoing), NULL,
          "account add,account remove,account bind", NULL,
          "The account by which we prove ourselves to the initiator" },
        { "secret-file", 0, OPTION_STRING, FIELD(secret_file), "FILE", "account add,account create",
          NULL, "Read the secret from the first line of FILE (-: standard input)" },
        { "secret", 0, OPTION_SECRET, FIELD(secret), "SECRET", "account add,account create", NULL,
          "The secret itself; other users may see it while the command starts" },
        { "yes", 'y', OPTION_FLAG, FIELD(yes), NULL, "sanitize,format", NULL,
          "Do not ask whether the data may go" },
        { "no-wait", 0, OPTION_FLAG, FIELD(no_wait), NULL, "sanitize,format", NULL,
          "Return when it has begun" },
        { "method", 0, OPTION_STRING, FIELD(method), "METHOD", "sanitize", "overwrite block-erase",
          "overwrite (also without this option), block-erase" },
        { "passes", 0, OPTION_NUMBER, FIELD(passes), "N", "sanitize", NULL,
          "Overwrite N times, up to 31 (1)" },
        { "pattern", 0, OPTION_STRING, FIELD(pattern), "HEX", "sanitize,format", NULL,
          "What each block is filled with, as aa55 (zeros)" },
        { "invert", 0, OPTION_FLAG, FIELD(invert), NULL, "sanitize", NULL,
          "Invert the pattern with every pass but the last" },
        { "restricted", 0, OPTION_FLAG, FIELD(restricted), NULL, "sanitize", NULL,
          "If it fails, only another one that succeeds helps" },
        { "exit-failure", 0, OPTION_FLAG, FIELD(exit_failure), NULL, "sanitize", NULL,
          "Leave one that has failed behind, and wipe nothing" },
        { "by", 0, OPTION_STRING, FIELD(by), "WHAT", "stats", "lun session worker",
          "A line per lun (also without this option), session or worker" },
        { "batch", 'b', OPTION_FLAG, FIELD(batch), NULL, "top", NULL,
          "Tables one after the other, also on a terminal" },
        { "delay", 'd', OPTION_NUMBER, FIELD(delay), "SECONDS", "top", NULL,
          "Seconds between two tables (1)" },
        { "iterations", 'N', OPTION_NUMBER, FIELD(iterations), "N", "top", NULL,
          "End after N tables" },
        { "with-secrets", 0, OPTION_FLAG, FIELD(with_secrets), NULL, "dump,cat", NULL,
          "With CHAP secrets" },
        { "with-identities", 0, OPTION_FLAG, FIELD(with_identities), NULL, "dump", NULL,
          "With the identities of disks that were generated" },
        { NULL },
};
/* clang-format on */

const Option *options_table(void)
{
        return option_table;
}

bool option_applies(const Option *o, const Verb *v)
{
        g_auto(GStrv) names = NULL;

        if (!o->verbs)
                return true;
        names = g_strsplit(o->verbs, ",", -1);
        return g_strv_contains((const char *const *)names, v->name);
}
