/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/context.h"
#include "ctl/verb-functions.h"

/* clang-format off: one row per verb, in the order of --help */
static const Verb verb_table[] = {
        { "status",
          "[TARGET...]",
          0,
          ANY_NUMBER,
          VERB_READ_ONLY | VERB_DEFAULT,
          verb_status,
          { WORD_TARGET },
          "Look",
          "Show the daemon, or targets with their LUNs and sessions",
          "Without arguments, shows the daemon, its portals and its targets. With names, shows "
          "each "
          "target: who may enter, its LUNs, its sessions.\n\n"
          "If the daemon is not running, what is configured is shown instead, and the exit code is "
          "3.",
          "tgtctl status\n"
          "tgtctl status disk1" },
        { "list",
          "[targets|luns|sessions|portals|accounts]",
          0,
          1,
          VERB_READ_ONLY,
          verb_list,
          { WORD_OBJECTS },
          NULL,
          "List targets, or objects of another kind",
          "One line each, fit for reading by scripts when standard output is not a terminal: "
          "nothing "
          "is cut then. Like status, shows what is configured if the daemon is not running.",
          "tgtctl list\n"
          "tgtctl list luns --no-legend\n"
          "tgtctl list sessions --json=short" },
        { "show",
          "[TARGET|TARGET/LUN|UNIT|SESSION...]",
          0,
          ANY_NUMBER,
          VERB_READ_ONLY,
          verb_show,
          { WORD_TARGET },
          NULL,
          "Show all properties, as KEY=VALUE",
          "The D-Bus properties of targets (by name), logical units (by UUID, or by a target that "
          "maps them and the LUN) and sessions (by number); without arguments, those of the "
          "daemon. "
          "What a property contains is shown as OUTER.INNER=VALUE, elements of a list by number.",
          "tgtctl show disk1\n"
          "tgtctl show disk1/1\n"
          "tgtctl show 3 --json" },
        { "sessions",
          "[TARGET]",
          0,
          1,
          VERB_READ_ONLY,
          verb_sessions,
          { WORD_TARGET },
          NULL,
          "List the sessions of initiators",
          "Of all targets, or of one.",
          "tgtctl sessions\n"
          "tgtctl sessions disk1" },
        { "stats",
          "[TARGET|TARGET/LUN]",
          0,
          1,
          VERB_READ_ONLY,
          verb_stats,
          { WORD_TARGET },
          NULL,
          "Show what LUNs have done: commands, bytes, errors, latency",
          "Since each logical unit was set up: reads and writes that were completed, their bytes, "
          "and "
          "the times that 50, 99 and 99.9 percent of them did not exceed; commands that ended in "
          "an "
          "error, and those under way now. A unit that several targets map shows the same under "
          "each.\n\n"
          "With --by=session or --by=worker a line is a session since its login, or a thread that "
          "serves initiators since the daemon started: what came and went over the network, and "
          "the same times.\n\n"
          "The time of a command runs from when it was received until its whole answer was handed "
          "to "
          "the network: waiting for other commands, for limits and for the backing store is in it, "
          "the way to the initiator is not. With --json also what each session did at each LUN, "
          "the "
          "sessions themselves, and the threads that serve them; times are nanoseconds, and Ends "
          "and "
          "Counts are where buckets of a histogram end and what is in them.",
          "tgtctl stats\n"
          "tgtctl stats disk1/1\n"
          "tgtctl stats --by=session disk1\n"
          "tgtctl stats disk1 --json" },
        { "top",
          "",
          0,
          0,
          VERB_READ_ONLY,
          verb_top,
          { WORD_NONE },
          NULL,
          "Watch who does how much I/O",
          "One line per session and LUN: reads, writes and megabytes (10^6) per second, mean and "
          "99th "
          "percentile of the latency of the LUN, and commands under way. Letters sort: t target, l "
          "LUN, i initiator, r reads, w writes, m megabytes, a latency, 9 its percentile, u queue; "
          "R "
          "turns the order around, o hides what is idle, q ends.\n\n"
          "Without a terminal, or with --batch, the tables follow each other: one, or as many as "
          "--iterations says.",
          "tgtctl top\n"
          "tgtctl top --batch --delay=10 --iterations=6" },
        { "metrics",
          "",
          0,
          0,
          VERB_READ_ONLY,
          verb_metrics,
          { WORD_NONE },
          NULL,
          "Write everything countable for Prometheus",
          "As OpenMetrics text, the same that tgt-metrics.socket(8) serves over HTTP. If the "
          "daemon is "
          "not running, tgt_up is 0 and the exit code is 3.",
          "tgtctl metrics\n"
          "tgtctl metrics > /var/lib/prometheus/node-exporter/tgt.prom" },
        { "monitor",
          "",
          0,
          0,
          VERB_READ_ONLY,
          verb_monitor,
          { WORD_NONE },
          NULL,
          "Tell what happens, until interrupted",
          "Targets, units and sessions that come, go and change, and logins that were refused. "
          "With "
          "--json=short, one object per line.",
          "tgtctl monitor\n"
          "tgtctl monitor --json=short" },
        { "dump",
          "[TARGET]",
          0,
          1,
          VERB_READ_ONLY,
          verb_dump,
          { WORD_TARGET },
          NULL,
          "Write what runs as a fragment",
          "In the syntax of targets.conf(5), of all targets or of one. CHAP secrets are left out "
          "unless --with-secrets is given, which takes an authority of its own. Identities that "
          "were "
          "generated are written with --with-identities: for another host that is to serve the "
          "same "
          "disks to the same initiators, never for copies of the disks.",
          "tgtctl dump\n"
          "tgtctl dump disk1 --with-secrets > disk1.conf" },
        { "verify",
          "[FILE...]",
          0,
          ANY_NUMBER,
          VERB_READ_ONLY | VERB_LOCAL,
          verb_verify,
          { WORD_FILE },
          NULL,
          "Check fragments without a daemon",
          "Reads the files as the daemon would, or the whole search path if none is named, and "
          "tells "
          "everything that is wrong as FILE:LINE. The exit code is 1 if there is an error.\n\n"
          "Nothing but the files is looked at: whether backing stores exist, the daemon says when "
          "it "
          "reads them; tgtctl reload --dry-run asks it. With --daemon, the daemon that runs checks "
          "what is named (- is standard input), or its own search path, of which it may read more.",
          "tgtctl verify /etc/tgt/targets.d/disk1.conf\n"
          "tgtctl verify\n"
          "tgtctl verify --daemon disk1.conf" },
        { "doctor",
          "",
          0,
          0,
          VERB_READ_ONLY | VERB_LOCAL,
          verb_doctor,
          { WORD_NONE },
          NULL,
          "Look for what commonly goes wrong, and say how to mend it",
          "Looks at the units, the ports, the firewall, other targets beside, the fragments, "
          "backing stores, secrets, limits and the clock: see CHECKS. It needs neither the daemon "
          "nor root; what it may not see, it says it could not see. The exit code is 1 if there "
          "is a problem; warnings alone leave it 0.",
          "tgtctl doctor\n"
          "tgtctl doctor --quiet\n"
          "tgtctl doctor --json" },
        { "convert lio",
          "FILE [DIR]",
          1,
          2,
          VERB_READ_ONLY | VERB_LOCAL,
          verb_convert_lio,
          { WORD_FILE, WORD_FILE },
          NULL,
          "Make fragments of LIO's saveconfig.json",
          "Writes what targetcli has saved as fragments to standard output, or as one file for "
          "each "
          "target into DIR, where nothing is overwritten. Disks keep their LUN numbers, serial "
          "numbers and NAA designators, so that multipath and VMFS know them. What cannot be "
          "said here is told by name, and makes the exit code 1; access is never wider than it "
          "was. CHAP secrets are in the output. See tgt-migrate(7).",
          "tgtctl convert lio /etc/target/saveconfig.json\n"
          "tgtctl convert lio /etc/rtslib-fb-target/saveconfig.json /etc/tgt/targets.d" },
        { "convert scst",
          "FILE [DIR]",
          1,
          2,
          VERB_READ_ONLY | VERB_LOCAL,
          verb_convert_scst,
          { WORD_FILE, WORD_FILE },
          NULL,
          "Make fragments of SCST's scst.conf",
          "As convert lio does, of what scstadmin has written. Every statement that cannot be said "
          "here is told with file and line.",
          "tgtctl convert scst /etc/scst.conf\n"
          "tgtctl convert scst /etc/scst.conf /etc/tgt/targets.d" },
        { "convert ctld",
          "FILE [DIR]",
          1,
          2,
          VERB_READ_ONLY | VERB_LOCAL,
          verb_convert_ctld,
          { WORD_FILE, WORD_FILE },
          NULL,
          "Make fragments of ctl.conf of FreeBSD's ctld",
          "As convert lio does. Every statement that cannot be said here is told with file and "
          "line. Paths stay as they are.",
          "tgtctl convert ctld ctl.conf\n"
          "tgtctl convert ctld ctl.conf /etc/tgt/targets.d" },

        { "create",
          "NAME [--DIRECTIVE=VALUE...]",
          1,
          1,
          VERB_TARGET_DIRECTIVES,
          verb_create,
          { WORD_NONE },
          "Targets",
          "Make a target",
          "NAME is an iSCSI name (iqn., eui., naa.). A short one, of letters, digits, dashes and "
          "dots, is made whole with this month and the name of this host: disk1 on "
          "storage.example.org becomes iqn.2026-01.org.example.storage:disk1 in January 2026. A "
          "host name without a domain is taken as one of .local.\n\n"
          "With --size, the daemon makes the file behind LUN 1: NAME.img in the folder disks of "
          "its state directory (/var/lib/tgt), or in --store-dir. The file is sparse; with "
          "--preallocate all of its space is taken now. That may take long: Ctrl-C gives it up, "
          "and nothing stays behind. A file that is there already is never overwritten, and "
          "deleting the target does not delete it.\n\n"
          "Every directive of a target block of "
          "targets.conf(5) can be given as an option, also more than once. Nobody may enter the "
          "new "
          "target until an initiator-name or initiator-address is given, here or with allow.",
          "tgtctl create disk1 --size 10G --initiator-address=10.0.0.0/8\n"
          "tgtctl create vm7 --size 200G --preallocate --store-dir=/srv/disks\n"
          "tgtctl create iqn.2026-01.org.example:disk1\n"
          "tgtctl create iqn.2026-01.org.example:disk2 --backing-store=/srv/disk2.img "
          "--initiator-address=10.0.0.0/8" },
        { "delete",
          "TARGET...",
          1,
          ANY_NUMBER,
          0,
          verb_delete,
          { WORD_TARGET },
          NULL,
          "Remove targets",
          "With their LUNs; files and devices behind them stay as they are. Refused while "
          "initiators "
          "are logged in, unless --force is given. If one of the names is wrong, nothing is "
          "removed.",
          "tgtctl delete disk1\n"
          "tgtctl delete disk1 --dry-run" },
        { "set",
          "TARGET DIRECTIVE [VALUE...]",
          2,
          ANY_NUMBER,
          0,
          verb_set,
          { WORD_TARGET, WORD_DIRECTIVE, WORD_NONE },
          NULL,
          "Set a directive of a target",
          "The values replace all that the directive had; none restores its default. Access, "
          "accounts "
          "and LUNs have verbs of their own.",
          "tgtctl set disk1 alias \"The big one\"\n"
          "tgtctl set disk1 MaxBurstLength 1048576\n"
          "tgtctl set disk1 alias" },

        { "add-lun",
          "TARGET [PATH] [--DIRECTIVE=VALUE...]",
          1,
          2,
          VERB_LUN_DIRECTIVES,
          verb_add_lun,
          { WORD_TARGET, WORD_FILE },
          "LUNs",
          "Add a logical unit to a target",
          "PATH is the file or device behind it. Every directive of a backing-store block of "
          "targets.conf(5) can be given as an option. Without --lun it gets the lowest free number "
          "from 1. Initiators that are logged in are told of the new LUN. With --size and without "
          "PATH, the daemon makes the file, as create does. NONE with --removable is a drive "
          "without "
          "a medium.",
          "tgtctl add-lun disk1 /dev/vg0/disk1\n"
          "tgtctl add-lun disk1 --size 10G\n"
          "tgtctl add-lun disk1 /srv/disk1.img --lun=5 --bs-type=aio --thin --readonly\n"
          "tgtctl add-lun disk1 --bs-type=null --size=1G --block-size=4096\n"
          "tgtctl add-lun disk1 NONE --removable" },
        { "remove-lun",
          "TARGET LUN...",
          2,
          ANY_NUMBER,
          0,
          verb_remove_lun,
          { WORD_TARGET, WORD_LUN },
          NULL,
          "Remove logical units from a target",
          "The file or device stays as it is. Refused while initiators are logged in, unless "
          "--force "
          "is given.",
          "tgtctl remove-lun disk1 5" },
        { "set-lun",
          "TARGET LUN [DIRECTIVE VALUE...] [--DIRECTIVE=VALUE...]",
          2,
          ANY_NUMBER,
          VERB_LUN_DIRECTIVES,
          verb_set_lun,
          { WORD_TARGET, WORD_LUN, WORD_DIRECTIVE },
          NULL,
          "Set directives of a LUN",
          "One directive with its values as words, or several as options. The others stay as they "
          "are. Where several targets serve the same disk, it is set for all of them; only path is "
          "for this LUN alone. The path of a removable LUN is the medium in the drive, which stays "
          "what it is to initiators; NONE takes it out.",
          "tgtctl set-lun disk1 5 write-cache off\n"
          "tgtctl set-lun disk1 5 --readonly\n"
          "tgtctl set-lun disk1 6 path /srv/medium.img" },
        { "unit refresh",
          "UNIT|TARGET/LUN...",
          1,
          ANY_NUMBER,
          0,
          verb_unit_refresh,
          { WORD_UNIT },
          NULL,
          "Look at the size of a backing store anew",
          "After the file or device has grown. Initiators are told.",
          "tgtctl unit refresh disk1/1" },
        { "unit store-options",
          "UNIT|TARGET/LUN OPTIONS",
          2,
          2,
          0,
          verb_unit_store_options,
          { WORD_UNIT, WORD_NONE },
          NULL,
          "Give options to a running backing store",
          "In the syntax of the directive bsopts; what they do is the store's. They are not kept. "
          "The store fault injects faults by them.",
          "tgtctl unit store-options disk1/1 'ops=write;delay=100ms'" },

        { "copy",
          "UNIT|TARGET/LUN FILE",
          2,
          2,
          0,
          verb_copy,
          { WORD_UNIT, WORD_FILE },
          NULL,
          "Copy what is on a disk to a new file",
          "FILE is made by the daemon, where it may write, whole or not at all; Ctrl-C gives it "
          "up. "
          "Nobody may write to the disk meanwhile: it is set readonly, or offline. What is a file "
          "or "
          "a device of this host can be copied, and holes stay holes.",
          "tgtctl copy disk1/1 /srv/disks/disk1-copy.img" },
        { "sanitize",
          "UNIT|TARGET/LUN",
          1,
          1,
          0,
          verb_sanitize,
          { WORD_UNIT },
          NULL,
          "Erase everything on a disk, past recovery",
          "As SANITIZE of an initiator does. Asks first, or needs --yes. Overwriting writes every "
          "block, each pass to stable storage before the next; a block erase zeroes, and gives the "
          "space of a thin LUN back. Nobody can use the disk meanwhile. It cannot be called off: "
          "Ctrl-C ends the waiting only, and a restart of the daemon only interrupts it. If it "
          "fails, the disk stays unreadable until another one succeeds, or --exit-failure.\n\n"
          "What a file system or a disk keeps elsewhere, as snapshots, is not reached: see "
          "tgtd(8).",
          "tgtctl sanitize disk1/1\n"
          "tgtctl sanitize disk1/1 --passes=3 --pattern=aa --invert --yes\n"
          "tgtctl sanitize disk1/1 --method=block-erase --no-wait" },
        { "format",
          "UNIT|TARGET/LUN",
          1,
          1,
          0,
          verb_format,
          { WORD_UNIT },
          NULL,
          "Format a disk, so that it reads as zeros",
          "As FORMAT UNIT of an initiator does. Asks first, or needs --yes. Unlike sanitize, it "
          "may "
          "leave traces on what is below.",
          "tgtctl format disk1/1" },

        { "allow",
          "TARGET NAME|ADDRESS[/PREFIX]|ALL...",
          2,
          ANY_NUMBER,
          0,
          verb_allow,
          { WORD_TARGET, WORD_INITIATOR },
          "Access",
          "Let initiators in",
          "By name (iqn., eui., naa.) or by address, or everybody by ALL. Where names and "
          "addresses "
          "are both given, an initiator must match one of each.",
          "tgtctl allow disk1 iqn.2026-01.org.example:host7\n"
          "tgtctl allow disk1 192.0.2.0/24 2001:db8::/32\n"
          "tgtctl allow disk1 ALL" },
        { "deny",
          "TARGET NAME|ADDRESS[/PREFIX]|ALL...",
          2,
          ANY_NUMBER,
          0,
          verb_deny,
          { WORD_TARGET, WORD_INITIATOR },
          NULL,
          "Take back what allow gave",
          "Removes entries from the access list. Sessions that are there stay: see disconnect. "
          "When "
          "the last entry goes, nobody may enter.",
          "tgtctl deny disk1 192.0.2.0/24" },
        { "set-limit",
          "TARGET LUN|NAME|ADDRESS[/PREFIX]|ALL [LIMIT=VALUE...]",
          2,
          ANY_NUMBER,
          0,
          verb_set_limit,
          { WORD_TARGET, WORD_LUN, WORD_NONE },
          NULL,
          "Limit the rate of a LUN, or of initiators",
          "Of a LUN, by its number; or of what the sessions of an initiator, or of all that an "
          "address admits, do together on all LUNs of the target. LIMIT is iops, read-iops, "
          "write-iops, bandwidth, read-bandwidth or write-bandwidth, a second; burst is for how "
          "long what was not used stays. k, M and G are powers of 1000, Ki, Mi and Gi of 1024. "
          "What is not named is not limited; without any, nothing is. It holds at once, in "
          "sessions that are there too, and for commands that wait already.\n\n"
          "The properties Limits and InitiatorLimits of show tell what is limited, Statistics how "
          "many commands had to wait and for how long.",
          "tgtctl set-limit disk1 1 iops=2000 bandwidth=50M\n"
          "tgtctl set-limit disk1 iqn.2026-01.org.example:host7 write-iops=500 burst=2s\n"
          "tgtctl set-limit disk1 ALL bandwidth=1G\n"
          "tgtctl set-limit disk1 1" },
        { "account add",
          "[TARGET] USER",
          1,
          2,
          0,
          verb_account_add,
          { WORD_TARGET, WORD_NONE },
          NULL,
          "Add a CHAP account, or change its secret",
          "To a target, or to discovery if none is named. The secret is asked for on the terminal, "
          "or "
          "read as one line from standard input or --secret-file; it cannot be read back. "
          "Initiators commonly want 12 to 16 characters.",
          "tgtctl account add disk1 host7\n"
          "tgtctl account add disk1 host7 --secret-file=/root/host7.secret\n"
          "tgtctl account add disk1 disk1-itself --outgoing" },
        { "account remove",
          "[TARGET] USER",
          1,
          2,
          0,
          verb_account_remove,
          { WORD_TARGET, WORD_NONE },
          NULL,
          "Remove a CHAP account",
          "From a target, or from discovery if none is named. Removing the last incoming account "
          "lets "
          "initiators in without CHAP and takes --force.",
          "tgtctl account remove disk1 host7" },
        { "account create",
          "USER",
          1,
          1,
          0,
          verb_account_create,
          { WORD_NONE },
          NULL,
          "Make a CHAP account that no target asks for yet",
          "It has an effect once account bind has given it to targets, or to discovery, where "
          "account remove takes it away again. The secret is asked for as by account add.",
          "tgtctl account create host7\n"
          "tgtctl account create host7 --secret-file=/root/host7.secret" },
        { "account bind",
          "[TARGET] USER",
          1,
          2,
          0,
          verb_account_bind,
          { WORD_TARGET, WORD_USER },
          NULL,
          "Give a CHAP account that is there to a target",
          "One that account create made or, if there is none of that name, one that another target "
          "has; to discovery if no target is named. So several targets have an account whose "
          "secret is typed once.",
          "tgtctl account bind disk1 host7\n"
          "tgtctl account bind disk1 disk1-itself --outgoing" },
        { "account delete",
          "USER",
          1,
          1,
          0,
          verb_account_delete,
          { WORD_USER },
          NULL,
          "Delete a CHAP account that account create made",
          "What it was bound to keeps it.",
          "tgtctl account delete host7" },
        { "account list",
          "[TARGET...]",
          0,
          ANY_NUMBER,
          VERB_READ_ONLY,
          verb_account_list,
          { WORD_TARGET },
          NULL,
          "List CHAP accounts",
          "Of targets, or of all targets, discovery, and those that are not bound. Secrets are "
          "never "
          "shown.",
          "tgtctl account list disk1" },
        { "disconnect",
          "SESSION|INITIATOR...",
          1,
          ANY_NUMBER,
          0,
          verb_disconnect,
          { WORD_SESSION },
          NULL,
          "End sessions",
          "By the number that sessions shows, or all of an initiator by its name. It may log in "
          "again "
          "unless it is denied.",
          "tgtctl disconnect 3\n"
          "tgtctl disconnect iqn.2026-01.org.example:host7" },

        { "portal add",
          "ADDRESS:PORT...",
          1,
          ANY_NUMBER,
          0,
          verb_portal_add,
          { WORD_NONE },
          "Daemon",
          "Listen on one more address",
          "\"[ADDRESS]:PORT\" for IPv6. Portals that should be there before the first initiator "
          "belong to tgtd.socket.",
          "tgtctl portal add 192.0.2.1:3260\n"
          "tgtctl portal add [2001:db8::1]:3260 --runtime" },
        { "portal remove",
          "ADDRESS:PORT...",
          1,
          ANY_NUMBER,
          0,
          verb_portal_remove,
          { WORD_NONE },
          NULL,
          "Stop listening on an address",
          "One that portal add named; those of a fragment and of tgtd.socket are removed there.",
          "tgtctl portal remove 192.0.2.1:3260" },
        { "offline",
          "[TARGET...]",
          0,
          ANY_NUMBER,
          0,
          verb_offline,
          { WORD_TARGET },
          NULL,
          "Admit no initiators for now",
          "To the targets that are named: the same as set TARGET state offline, and refused while "
          "initiators are logged in, unless --force is given. Without a name, the daemon closes "
          "new "
          "connections as soon as they come; sessions go on, and a restart ends it.",
          "tgtctl offline\n"
          "tgtctl offline disk1" },
        { "online",
          "[TARGET...]",
          0,
          ANY_NUMBER,
          0,
          verb_online,
          { WORD_TARGET },
          NULL,
          "Admit initiators again",
          "What offline has ended.",
          "tgtctl online\n"
          "tgtctl online disk1" },
        { "debug",
          "on|off",
          1,
          1,
          0,
          verb_debug,
          { WORD_ON_OFF },
          NULL,
          "Log messages for those who look for an error, or no longer",
          "They are in the journal. A restart of the daemon ends it.",
          "tgtctl debug on\n"
          "tgtctl debug off" },
        { "stop",
          "",
          0,
          0,
          0,
          verb_stop,
          { WORD_NONE },
          NULL,
          "End the daemon",
          "Refused while there are targets, unless --force is given, which ends all sessions. For "
          "daemons that systemd does not know, in containers for example; of a service, systemctl "
          "stop tgtd.service tgtd.socket does more: it keeps the next initiator from starting it "
          "again.",
          "tgtctl stop\n"
          "tgtctl --control-port=1 stop --force" },
        { "apply",
          "FILE|FOLDER|-...",
          1,
          ANY_NUMBER,
          0,
          verb_apply,
          { WORD_FILE },
          "Several changes as one",
          "Apply a set of fragments, all or nothing",
          "Sends fragments in the syntax of targets.conf(5) to the daemon: files, all *.conf of "
          "folders, standard input. Targets that they name are from then on what they say; one "
          "with \"masked yes\" is removed; portals and accounts are added. Everything else stays, "
          "unless --prune is given. If anything is wrong, nothing is changed. What is changed is "
          "kept in a file for each target, as with other commands; the fragments themselves are "
          "not.\n\n"
          "With --dry-run, shows the difference, and checks it against what runs.",
          "tgtctl apply disk1.conf --dry-run\n"
          "tgtctl apply /root/targets --confirm-within=2min\n"
          "tgtctl apply all.conf --prune --generation=17" },
        { "edit",
          "TARGET",
          1,
          1,
          0,
          verb_edit,
          { WORD_TARGET },
          NULL,
          "Change a target in an editor",
          "Opens the target as it runs in $SYSTEMD_EDITOR, $EDITOR or $VISUAL, and applies what "
          "was "
          "changed as one change: what sessions can keep they keep. What is wrong is told, and the "
          "text can be edited again. Refused if somebody else has changed something meanwhile. "
          "CHAP secrets are in the text; reading them takes an authority of its own.",
          "tgtctl edit disk1\n"
          "tgtctl edit disk1 --runtime\n"
          "tgtctl edit disk1 --confirm-within=1min" },
        { "cat",
          "TARGET...",
          1,
          ANY_NUMBER,
          VERB_READ_ONLY | VERB_LOCAL,
          verb_cat,
          { WORD_TARGET },
          NULL,
          "Show what the fragments say of a target, and where",
          "Every line with its file and number, in the order in which they are read. Blocks that "
          "do "
          "not count are shown too, with what hides, masks or replaces them. Needs no daemon, but "
          "the right to read the files. Secrets are left out unless --with-secrets is given.",
          "tgtctl cat disk1\n"
          "tgtctl cat disk1 --json" },
        { "confirm",
          "",
          0,
          0,
          0,
          verb_confirm,
          { WORD_NONE },
          NULL,
          "Let a change stay that was made with --confirm-within",
          "Without it, the change is taken back when its time is over: a change that cuts off who "
          "made it mends itself. Until then nothing else can be changed. Neither a restart of the "
          "daemon nor of the machine makes it stay.",
          "tgtctl confirm\n"
          "tgtctl confirm --generation=18" },
        { "rollback",
          "",
          0,
          0,
          0,
          verb_rollback,
          { WORD_NONE },
          NULL,
          "Take back a change that waits to be confirmed",
          "At once, also where that ends sessions. Everything that the change concerned is as it "
          "was "
          "before. A file that create or add-lun had made for it goes too, unless something was "
          "written to it: then it stays, and the journal names it.",
          "tgtctl rollback" },
        { "diff",
          "[TARGET...]",
          0,
          ANY_NUMBER,
          VERB_READ_ONLY,
          verb_diff,
          { WORD_TARGET },
          NULL,
          "Show how what is configured differs from what runs",
          "What a reload would change, of all targets or of some. The exit code is 7 if there is a "
          "difference. Needs the authority to reload.",
          "tgtctl diff\n"
          "tgtctl diff disk1 --json" },

        { "reload",
          "[TARGET...]",
          0,
          ANY_NUMBER,
          0,
          verb_reload,
          { WORD_TARGET },
          NULL,
          "Read the fragments again and apply what differs",
          "A block with an error costs only itself and makes the exit code 1; others apply. What "
          "would drop a session is refused unless --force is given. With names, only these targets "
          "are "
          "looked at. With --revert, what was changed with --runtime, by tgtadm for example, is "
          "taken "
          "back.",
          "tgtctl reload --dry-run\n"
          "tgtctl reload\n"
          "tgtctl reload disk1 --revert" },
        { "help",
          "[VERB]",
          0,
          2,
          VERB_READ_ONLY | VERB_LOCAL,
          verb_help,
          { WORD_VERB },
          NULL,
          "Show this, or what one verb does",
          "The same as tgtctl VERB --help.",
          "tgtctl help add-lun" },
        { NULL },
};
/* clang-format on */

const Verb *verbs(void)
{
        return verb_table;
}
