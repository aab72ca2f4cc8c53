/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/directives.h"

#include "base/image-name.h"
#include "config/values.h"

#include "base/suggest.h"

/* The table. Rows are in the order in which they are documented and written. */

#define G(name) .offset = offsetof(Desired, name)
#define T(name) .offset = offsetof(TargetSpec, name)
#define L(name) .offset = offsetof(LunSpec, name)
#define OURS .since = "0.1"
/* How the rows of iSCSI keys look. Their values are words and ranges "0..3600"; a test holds them
 * against the key table of iscsi/. */
#define PARAM(n, v, h)                                                       \
        {                                                                    \
                n, IN_TARGET, &type_param, T(params), .values = v, .help = h \
        }
#define OUR_PARAM(n, v, h)                                                         \
        {                                                                          \
                n, IN_TARGET, &type_param, T(params), .values = v, .help = h, OURS \
        }
/* Rows of limits of a LUN. */
#define LIMIT(n, field, v, h)                                                         \
        {                                                                             \
                n, IN_LUN, &type_limit, L(limits.field), .values = v, .help = h, OURS \
        }
#define NOT_YET(n, w, v, h)                           \
        {                                             \
                n, w, NULL, 0, .values = v, .help = h \
        }

static const Directive table[] = {
        /* global */
        { "include", IN_GLOBAL | IN_TARGET | IN_LUN, &type_ignored, 0, .many = true,
          .values = "PATH",
          .help = "Reads a file, every file that a pattern with *, ? or [] matches, or every file "
                  "of a directory, as if it stood here. Relative paths begin at the directory of "
                  "the file that says so. A pattern that matches nothing is no error." },
        { "default-driver", IN_GLOBAL, &type_ignored, 0, .values = "iscsi", .refused = "iser",
          .help = "How targets are reached that name no driver." },
        { "portal", IN_GLOBAL, &type_portal, G(portals), .many = true, .values = "ADDRESS[:PORT]",
          OURS,
          .help = "An address to listen on, beside those of the socket unit. IPv6 addresses with a "
                  "port are in brackets, * is every address, the port is 3260 unless said "
                  "otherwise." },
        { "incomingdiscoveryuser", IN_GLOBAL, &type_incoming, G(discovery_incoming), .many = true,
          .values = "USER SECRET|USER credential NAME",
          .help = "CHAP in discovery sessions: an initiator proves that it knows the secret." },
        { "outgoingdiscoveryuser", IN_GLOBAL, &type_outgoing, G(discovery_outgoing),
          .values = "USER SECRET|USER credential NAME",
          .help = "CHAP in discovery sessions: the target proves that it knows the secret, if "
                  "asked." },
        { "account", IN_GLOBAL, &type_incoming, G(accounts), .many = true, .values = "USER SECRET",
          OURS,
          .help = "A CHAP account that no target asks for yet: tgtadm makes such accounts, and "
                  "binds "
                  "them to targets." },
        { "backing-directory", IN_GLOBAL, &type_paths, G(backing_directories), .many = true,
          .values = "PATH", OURS,
          .help = "Backing stores below this directory can be added over D-Bus without the "
                  "authority for arbitrary paths." },
        { "ignore-errors", IN_GLOBAL, &type_file_bool, G(ignore_errors), .values = "yes|no",
          .help = "yes: tgt-admin goes on with the next target after an error, as with its option "
                  "--ignore-errors. To the daemon, an error in a block always costs only that "
                  "block." },
        { "control-port", IN_GLOBAL, &type_file_port, G(control_port), .max = INT16_MAX,
          .values = "NUMBER",
          .help = "Which instance of the daemon tgt-admin configures by this file, as with its "
                  "option --control-port. A daemon that reads the file serves it, whatever its "
                  "number." },
        NOT_YET("iSNS", IN_GLOBAL, "On|Off", "Registration with an iSNS server."),
        NOT_YET("iSNSServerIP", IN_GLOBAL, "ADDRESS", "The iSNS server."),
        NOT_YET("iSNSServerPort", IN_GLOBAL, "NUMBER", "The port of the iSNS server."),
        NOT_YET("iSNSAccessControl", IN_GLOBAL, "On|Off", "Access as the iSNS server says."),

        /* target */
        { "driver", IN_TARGET, &type_word, T(driver), .values = "iscsi", .refused = "iser",
          .help = "How the target is reached." },
        { "alias", IN_TARGET, &type_text, T(alias), .max = 255, .values = "TEXT", OURS,
          .help = "A name for people, told to initiators at login." },
        { "controller_tid", IN_TARGET, &type_u32, T(tid), .min = 1, .max = INT32_MAX,
          .values = "NUMBER",
          .help = "The number of the target in tgtadm and tgt-admin. Unless given, the lowest "
                  "free one." },
        { "state", IN_TARGET, &type_bool, T(online), .values = "ready|offline",
          .help = "An offline target refuses logins." },
        { "replace", IN_TARGET, &type_bool, T(replace), .values = "yes|no", OURS,
          .help = "Discards what the other directories of the search path say of this target." },
        { "masked", IN_TARGET, &type_bool, T(masked), .values = "yes|no", OURS,
          .help = "Removes the target, whatever the other directories of the search path say of "
                  "it." },
        { "initiator-address", IN_TARGET, &type_address, T(addresses), .many = true,
          .values = "ADDRESS[/PREFIX]|ALL|NONE",
          .help = "Admits initiators from this IPv4 or IPv6 address or network." },
        { "initiator-name", IN_TARGET, &type_name, T(names), .many = true,
          .values = "NAME|ALL|NONE", .help = "Admits the initiator of this iSCSI name." },
        { "limit-initiator", IN_TARGET, &type_initiator_limit, T(limits), .many = true,
          .values = "ALL|NAME|ADDRESS[/PREFIX] LIMIT=VALUE...", OURS,
          .help = "What the sessions of this initiator, or of these together, may do on all LUNs "
                  "of the target: iops, read-iops, write-iops, bandwidth, read-bandwidth, "
                  "write-bandwidth and burst, as in the directives of a LUN that begin with "
                  "limit. Of several that match a session, that of its name counts, and that of "
                  "its address with the longest prefix; ALL is the prefix of length 0. Admits "
                  "nobody by itself." },
        { "incominguser", IN_TARGET, &type_incoming, T(incoming), .many = true,
          .values = "USER SECRET|USER credential NAME",
          .help = "CHAP: an initiator proves that it knows the secret of one of these users. Both "
                  "words can be in quotes. With credential, the secret is the first line of that "
                  "credential of tgtd.service (LoadCredential= in systemd.exec(5))." },
        { "outgoinguser", IN_TARGET, &type_outgoing, T(outgoing),
          .values = "USER SECRET|USER credential NAME", .many = true,
          .help = "CHAP: the target proves that it knows the secret, if the initiator "
                  "asks for it. Only the first one counts." },
        PARAM("MaxRecvDataSegmentLength", "512..16777215", "Longest data segment that we receive."),
        PARAM("MaxXmitDataSegmentLength", "512..16777215", "Longest data segment that we send."),
        PARAM("HeaderDigest", "None|CRC32C|CRC32C,None|None,CRC32C",
              "Digests of headers, preferred first."),
        PARAM("DataDigest", "None|CRC32C|CRC32C,None|None,CRC32C",
              "Digests of data, preferred first."),
        PARAM("InitialR2T", "Yes|No", "Must initiators wait for R2T before they send data?"),
        PARAM("MaxOutstandingR2T", "1..65535", "Requests for data at once, for each command."),
        PARAM("ImmediateData", "Yes|No", "May data come along with the command?"),
        PARAM("FirstBurstLength", "512..16777215", "Longest unsolicited data of a command."),
        PARAM("MaxBurstLength", "512..16777215", "Longest sequence of Data-In or Data-Out."),
        PARAM("DataPDUInOrder", "Yes", "Data PDUs of a sequence come in order."),
        PARAM("DataSequenceInOrder", "Yes", "Sequences of data come in order."),
        PARAM("ErrorRecoveryLevel", "0..2",
              "Error recovery of sessions; more than 0 is not agreed on."),
        PARAM("DefaultTime2Wait", "0..3600", "Seconds before an initiator tries again."),
        PARAM("DefaultTime2Retain", "0..3600", "Seconds that tasks outlive their connection."),
        PARAM("MaxConnections", "1..65535",
              "Connections of a session; more than 1 is not agreed on."),
        OUR_PARAM("MaxQueueCmd", "1..512", "Commands of a session at once."),
        OUR_PARAM("nop_interval", "0..3600",
                  "Seconds after which an idle initiator is asked whether it lives; 0: never."),
        OUR_PARAM("nop_count", "0..1000",
                  "Unanswered questions after which a connection is closed."),
        { "IFMarker", IN_TARGET, &type_marker, 0, .values = "No", .help = "Obsolete." },
        { "OFMarker", IN_TARGET, &type_marker, 0, .values = "No", .help = "Obsolete." },
        { "IFMarkInt", IN_TARGET, &type_marker, 0, .values = "NUMBER", .help = "Obsolete." },
        { "OFMarkInt", IN_TARGET, &type_marker, 0, .values = "NUMBER", .help = "Obsolete." },
        NOT_YET("RedirectAddress", IN_TARGET, "ADDRESS", "Sends initiators elsewhere."),
        NOT_YET("RedirectPort", IN_TARGET, "NUMBER", "Sends initiators elsewhere."),
        NOT_YET("RedirectReason", IN_TARGET, "Temporary|Permanent", "Sends initiators elsewhere."),
        NOT_YET("RedirectCallback", IN_TARGET, "COMMAND", "Sends initiators elsewhere."),
        { "backing-store", IN_TARGET, &type_store, 0, .many = true, .values = "PATH|NONE",
          .help = "A logical unit: a file or a block device, or NONE for the types of store that "
                  "have no path; with removable 1, for a drive without a medium. NONE:NUMBER is "
                  "short for such a drive that is offline, as stgt makes it. On one line, or as a "
                  "block with directives of this LUN. For "
                  "bs-type rbd, an image of a Ceph cluster: " IMAGE_NAME_GRAMMAR
                  ", in pool rbd unless one is named; a snapshot is read only." },
        NOT_YET("direct-store", IN_TARGET, "PATH",
                "A logical unit that takes its identity from the device."),

        /* LUN */
        { "lun", IN_LUN, &type_lun, L(lun), .values = "0..16383",
          .help = "The number. Unless given, the lowest free one from 1 on, in the order of the "
                  "file." },
        { "device-type", IN_LUN, &type_word, L(device_type), .values = "disk",
          .refused = "tape|ssc|cd|cdrom|dvd|changer|osd|pt|passthrough",
          .help = "What the unit is to initiators." },
        { "bs-type", IN_LUN, &type_word, L(bs_type), .values = "rdwr|aio|null|ram|fault|rbd",
          .refused = "sg|bsg|glfs|sheepdog|ssc|mmc|smc|uring|io_uring",
          .help = "How the store is read and written: through the page cache (rdwr), directly and "
                  "asynchronously (aio), not at all (null: reads zeros), in memory (ram), with "
                  "faults for tests (fault), in a Ceph cluster (rbd)." },
        { "bsopts", IN_LUN, &type_bsopts, L(bs_options), .max = 4096, .values = "NAME=VALUE;...",
          .help = "Options of the type of store. Of rbd: conf=FILE, id=NAME and cluster=NAME." },
        { "bsoflags", IN_LUN, &type_bsoflags, 0, .values = "sync|direct|sync:direct",
          .help = "How the store is opened: each write goes to stable storage (sync), past the "
                  "page cache (direct)." },
        { "block-size", IN_LUN, &type_block_size, L(block_size), .max = UINT32_MAX,
          .values = "512|4096", .help = "Bytes of a logical block." },
        { "size", IN_LUN, &type_size, L(size), .values = "BYTES|NUMBER(K|M|G|T|P)", OURS,
          .help = "The size of a null or ram store; of any other, the part that is served. A null "
                  "store with a path has 1T, as in stgt, unless told otherwise." },
        { "write-cache", IN_LUN, &type_bool, L(write_cache), .values = "on|off",
          .help = "Off: a write is answered when it is on stable storage." },
        { "readonly", IN_LUN, &type_bool, L(readonly), .values = "1|0",
          .help = "Refuses writes, and opens the store for reading only." },
        { "removable", IN_LUN, &type_bool, L(removable), .values = "1|0",
          .help = "The medium is removable." },
        { "online", IN_LUN, &type_bool, L(online), .values = "1|0",
          .help = "0: the unit answers that it is not ready." },
        { "thin-provisioning", IN_LUN, &type_bool, L(thin), .values = "1|0", OURS,
          .help = "Initiators are told that the unit is thin and may give blocks back." },
        { "allow-in-use", IN_LUN, &type_bool, L(allow_in_use), .values = "yes|no",
          .help = "Serves a block device although it is mounted or held." },
        { "sense_format", IN_LUN, &type_bool, L(sense_descriptor), .values = "1|0",
          .help = "1: sense data in descriptor format." },
        { "rotation_rate", IN_LUN, &type_rotation_rate, L(rotation_rate), .max = 0xfffe,
          .values = "0|1|1025..65534", OURS,
          .help = "Rotations per minute; 1 for a disk that does not rotate, 0 says nothing." },
        { "lbppbe", IN_LUN, &type_int, L(lbppbe), .max = 15, .values = "0..15",
          .help = "Logical blocks of a physical block, as an exponent of 2: 3 for 512e." },
        { "la_lba", IN_LUN, &type_int, L(la_lba), .max = 0x3fff, .values = "0..16383",
          .help = "The lowest logical block that begins a physical one." },
        { "optimal_xfer_gran", IN_LUN, &type_int, L(optimal_xfer_gran), .max = 0xffff,
          .values = "0..65535", .help = "Blocks of which transfers are best a multiple." },
        { "optimal_xfer_len", IN_LUN, &type_int, L(optimal_xfer_len), .max = INT32_MAX,
          .values = "0..2147483647", .help = "Blocks of the best transfer." },
        { "vendor_id", IN_LUN, &type_inquiry, L(vendor_id), .max = 8, .values = "TEXT",
          .help = "Vendor in INQUIRY data; at most 8 characters." },
        { "product_id", IN_LUN, &type_inquiry, L(product_id), .max = 16, .values = "TEXT",
          .help = "Product in INQUIRY data; at most 16 characters." },
        { "product_rev", IN_LUN, &type_inquiry, L(product_rev), .max = 4, .values = "TEXT",
          .help = "Product revision in INQUIRY data; at most 4 characters." },
        { "scsi_id", IN_LUN, &type_inquiry, L(scsi_id), .max = 244, .values = "TEXT",
          .help = "The T10 vendor designator of the unit, behind the vendor; at most 244 "
                  "characters, with identity stgt 36." },
        { "scsi_sn", IN_LUN, &type_inquiry, L(scsi_sn), .max = 252, .values = "TEXT",
          .help = "The unit serial number; at most 252 characters, with identity stgt 36." },
        { "uuid", IN_LUN, &type_uuid, L(uuid), .values = "UUID", OURS,
          .help = "The identity under which the state of the unit is kept. Unless given, one is "
                  "generated and recorded." },
        { "naa", IN_LUN, &type_naa, L(naa), .values = "DIGITS", OURS,
          .help = "The NAA designator of the unit (IEEE Registered Extended, begins with 6). "
                  "Unless "
                  "given, one is generated and recorded." },
        { "identity", IN_LUN, &type_identity, L(stgt_identity), .values = "generated|stgt", OURS,
          .help = "stgt: the vendor, product, serial number and designators that stgt gives to "
                  "this LUN of the target with this controller_tid, unless they are set." },
        LIMIT("limit-iops", iops, "NUMBER[k|M]|0",
              "Commands a second that the unit serves: those that read, write, verify, unmap or "
              "flush; the others never wait. What is above the limit waits, each initiator in "
              "turn, and a WRITE before its data is asked for. An initiator gives up on a command "
              "after its own timeout: its commands at once (MaxQueueCmd at most) must be served "
              "within it. 0, here and below: no limit. k, M and G are powers of 1000, Ki, Mi and "
              "Gi of 1024."),
        LIMIT("limit-read-iops", read_iops, "NUMBER[k|M]|0",
              "The same for commands that read or verify."),
        LIMIT("limit-write-iops", write_iops, "NUMBER[k|M]|0", "The same for the other commands."),
        LIMIT("limit-bandwidth", bandwidth, "BYTES[k|M|G]|0",
              "Bytes a second that these commands transfer, or verify without a transfer; at "
              "least 64k."),
        LIMIT("limit-read-bandwidth", read_bandwidth, "BYTES[k|M|G]|0",
              "The same for commands that read or verify."),
        LIMIT("limit-write-bandwidth", write_bandwidth, "BYTES[k|M|G]|0",
              "The same for the other commands."),
        LIMIT("limit-burst", burst_us, "SECONDS|TIME",
              "How long what was not used of a limit can still be used, at once if need be: with "
              "2s and limit-iops 1000, 2000 commands come through after a pause. From 10ms to "
              "60s; 100ms unless given."),
        { "mode_page", IN_LUN, &type_mode_page, L(mode_pages), .many = true,
          .values = "PAGE:SUBPAGE:LENGTH:BYTE:...",
          .help = "The contents of a mode page, which initiators can then read and not change. "
                  "LENGTH counts the bytes behind the page's header; those that are not given are "
                  "0. A caching page (8) without WCE (0x04 in its first byte) turns the write "
                  "cache off." },
        { "path", IN_LUN, &type_path, L(path), .values = "PATH|NONE",
          .help = "Serves this file or device instead of the one that backing-store names. For a "
                  "removable one this is another medium in the same drive; NONE takes it out." },
        { "params", IN_LUN, &type_params, 0, .many = true, .values = "NAME=VALUE,...",
          .help = "Other directives of a LUN, on one line, such as "
                  "thin_provisioning=1,rotation_rate=1. ${lun} in a value is the number of the "
                  "LUN, "
                  "${tid} the controller_tid." },
        { NULL },
};

const Directive *directives(void)
{
        return table;
}

size_t n_directives(void)
{
        return ELEMENTSOF(table) - 1;
}

size_t directive_index(const Directive *d)
{
        return (size_t)(d - table);
}

bool directive_is_store(const Directive *d)
{
        return STREQ(d->name, "backing-store") || STREQ(d->name, "direct-store");
}

/* ---- finding --------------------------------------------------------------------------------- */

static char fold_char(char c)
{
        return c == '_' ? '-' : g_ascii_tolower(c);
}

static guint fold_hash(const void *key)
{
        guint h = 5381;

        for (const char *p = key; *p; p++)
                h = h * 33 + (unsigned char)fold_char(*p);
        return h;
}

static gboolean fold_equal(const void *a, const void *b)
{
        const char *p = a, *q = b;

        while (*p && fold_char(*p) == fold_char(*q)) {
                p++;
                q++;
        }
        return !*p && !*q;
}

const Directive *directive_find(const char *name)
{
        static GHashTable *by_name;
        static size_t once;

        if (g_once_init_enter(&once)) {
                by_name = g_hash_table_new(fold_hash, fold_equal);
                for (const Directive *d = table; d->name; d++)
                        g_hash_table_insert(by_name, (char *)d->name, (Directive *)d);
                g_once_init_leave(&once, 1);
        }
        return g_hash_table_lookup(by_name, name);
}

const char *directive_suggest(const char *name, unsigned where)
{
        const char *best = NULL;
        unsigned least = MAX((unsigned)strlen(name) / 3, 1u) + 1;

        for (const Directive *d = table; d->name; d++) {
                unsigned distance;

                if (where && !(d->where & where))
                        continue;
                distance = edit_distance(name, d->name, fold_char);
                if (distance < least) {
                        least = distance;
                        best = d->name;
                }
        }
        return best;
}

const char *directive_place(const Directive *d)
{
        if (d->where & IN_LUN)
                return "in a target or backing-store block";
        return d->where & IN_TARGET ? "in a target block" : "outside of all blocks";
}

/* ---- setting --------------------------------------------------------------------------------- */

static const void *make_default(unsigned where)
{
        if (where & IN_LUN)
                return lun_spec_new();
        if (where & IN_TARGET)
                return target_spec_new("");
        return desired_new();
}

const void *directive_default(const Directive *d)
{
        static const void *objects[3];
        static size_t once[3];
        size_t i = d->where & IN_LUN ? 2 : d->where & IN_TARGET ? 1 : 0;

        if (g_once_init_enter(&once[i])) {
                objects[i] = make_default(d->where);
                g_once_init_leave(&once[i], 1);
        }
        return objects[i];
}

bool text_has_control(const char *s)
{
        for (; *s; s++)
                if ((unsigned char)*s < 0x20 || *s == 0x7f)
                        return true;
        return false;
}

/* What is said later takes the place of what waits for the LUN's number. */
static void forget_deferred(LunSpec *l, const char *name)
{
        for (guint i = 0; i < l->deferred->len; i++)
                if (STREQ(((const ConfigParam *)l->deferred->pdata[i])->name, name))
                        g_ptr_array_remove_index(l->deferred, i--);
}

int directive_set(Setting *s)
{
        if (!s->directive->type)
                return setting_error(s, "not supported by this build");
        if (!*s->value && s->directive->type != &type_text)
                return setting_error(s, "a value expected: %s", s->directive->values);
        /* Values appear in the journal, on terminals and on the bus. */
        if (text_has_control(s->value))
                return setting_error(s, "control characters in the value");
        if (!g_utf8_validate(s->value, -1, NULL))
                return setting_error(s, "the value is not UTF-8");
        if (s->directive->where == IN_LUN)
                forget_deferred(s->object, s->directive->name);
        return s->directive->type->set(s);
}

/* ---- documents ------------------------------------------------------------------------------- */

static DirectiveDoc docs[ELEMENTSOF(table)];

/* What holds where a directive is not given; NULL if that is nothing, or not known here. */
static const char *standard_value(const Directive *d)
{
        const char *field = (const char *)directive_default(d) + d->offset;

        if (d->type == &type_word)
                return *(char *const *)(const void *)field;
        if (d->type == &type_bool) {
                g_auto(GStrv) words = g_strsplit(d->values, "|", -1);

                return g_intern_string(words[*(const bool *)field ? 0 : 1]);
        }
        return NULL;
}

static void make_docs(void)
{
        for (size_t i = 0; i < n_directives(); i++) {
                const Directive *d = &table[i];

                docs[i] = (DirectiveDoc){
                        .name = d->name,
                        .where = d->where & IN_GLOBAL && d->where & IN_LUN ? "global target lun"
                                 : d->where & IN_LUN                       ? "target lun"
                                 : d->where & IN_TARGET                    ? "target"
                                                                           : "global",
                        .values = d->values,
                        .help = d->help,
                        .since = d->since ?: "stgt",
                        .many = d->many,
                        .supported = d->type,
                        .standard = standard_value(d),
                };
        }
}

const DirectiveDoc *config_directive_docs(void)
{
        static size_t once;

        if (g_once_init_enter(&once)) {
                make_docs();
                g_once_init_leave(&once, 1);
        }
        return docs;
}
