/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helpers.h"

/* What people read when something is wrong, to the letter; and that it costs the block it is in and
 * nothing else. Each row is the text of a target block, beside which a good one stands. */

#define A "iqn.2026-01.com.example:a"
#define GOOD "iqn.2026-01.com.example:good"

static int check(const char *name, const char *value, char *reterr, size_t size)
{
        if (!STREQ(name, "MaxBurstLength") || STREQ(value, "65536"))
                return 0;
        (void)g_snprintf(reterr, size, "the daemon does not want it");
        return -EINVAL;
}

static const struct {
        const char *block, *messages;
} rows[] = {
        { "vendr_id X\n",
          "t.conf:2: " A ": vendr_id: unknown directive; is \"vendor_id\" meant?\n" },
        { "bogus_directive foo\n", "t.conf:2: " A ": bogus_directive: unknown directive\n" },
        { "portal 192.0.2.1\n", "t.conf:2: " A ": portal: stands outside of all blocks only\n" },
        { "<backing-store /dev/a>\nalias x\n</backing-store>\n",
          "t.conf:3: " A ": alias: stands in a target block only\n" },
        { "write-cache maybe\n", "t.conf:2: " A ": write-cache: \"maybe\": on or off expected\n" },
        { "write-cache\n", "t.conf:2: " A ": write-cache: a value expected: on|off\n" },
        { "write-cache on\nwrite-cache off\n",
          "t.conf:3: " A ": write-cache: given twice; the first is at t.conf:2\n" },
        { "limit-iops 1.5k\n",
          "t.conf:2: " A
          ": limit-iops: \"1.5k\": a number a second, such as 500, 10k or 50M, from 1 "
          "to 1T expected; 0 for no limit\n" },
        { "limit-bandwidth 50\n",
          "t.conf:2: " A ": limit-bandwidth: \"50\": a number a second, such as 500, 10k or 50M, "
          "from 64k to 1T expected; 0 for no limit\n" },
        { "limit-burst 2days\n",
          "t.conf:2: " A ": limit-burst: \"2days\": seconds, or a time such as 500ms, from 10ms to "
          "60s expected\n" },
        { "limit-initiator ALL\n",
          "t.conf:2: " A ": limit-initiator: at least one limit expected, such as iops=1000\n" },
        { "limit-initiator ALL burst=1s\n",
          "t.conf:2: " A ": limit-initiator: at least one limit expected, such as iops=1000\n" },
        { "limit-initiator ALL iops=1k speed=9\n",
          "t.conf:2: " A
          ": limit-initiator: \"speed=9\": iops=, read-iops=, write-iops=, bandwidth=, "
          "read-bandwidth=, write-bandwidth= or burst= expected\n" },
        { "limit-initiator iops=1k\n",
          "t.conf:2: " A ": limit-initiator: a name, an address or ALL expected, and then limits "
          "such as iops=1000\n" },
        { "limit-initiator 192.0.2.0/24 iops=1k\nlimit-initiator ALL iops=1k\n"
          "limit-initiator 192.0.2.0/24 iops=2k\n",
          "t.conf:4: " A ": limit-initiator: \"192.0.2.0/24\" has limits already, at t.conf:2\n" },
        { "backing-store sda\n",
          "t.conf:2: " A ": backing-store: \"sda\": an absolute path expected\n" },
        { "backing-store NONE\nremovable 1\npath sda\n",
          "t.conf:2: " A ": backing-store: \"sda\": an absolute path expected\n" },
        { "backing-store NONE\nremovable 1\nbs-type rbd\npath /dev/a\n",
          "t.conf:2: " A ": backing-store: \"/dev/a\": [POOL/[NAMESPACE/]]IMAGE[@SNAPSHOT] "
          "expected\n" },
        { "backing-store NONE:one\n",
          "t.conf:2: " A ": backing-store: \"NONE:one\": an absolute path expected\n" },
        { "backing-store NONE\n",
          "t.conf:2: " A ": backing-store: bs-type rdwr needs the path of a file or a device, or "
          "removable 1, for a drive without a medium\n" },
        { "backing-store NONE\nbs-type ram\n",
          "t.conf:2: " A ": size: bs-type ram needs it, such as size 1G\n" },
        { "backing-store /dev/a\nbs-type glfs\n",
          "t.conf:3: " A ": bs-type: \"glfs\" is not supported by this build; "
          "rdwr|aio|null|ram|fault|rbd expected\n" },
        { "backing-store /dev/a\nbs-type fast\n",
          "t.conf:3: " A ": bs-type: \"fast\": rdwr|aio|null|ram|fault|rbd expected\n" },
        { "backing-store /dev/a\nbs-type rbd\n",
          "t.conf:2: " A ": backing-store: \"/dev/a\": [POOL/[NAMESPACE/]]IMAGE[@SNAPSHOT] "
          "expected\n" },
        { "backing-store NONE\nbs-type rbd\n",
          "t.conf:2: " A ": backing-store: bs-type rbd needs the name of an image, or removable 1, "
          "for a drive without a medium\n" },
        { "backing-store a\nbs-type rbd\nbsopts \"id=a;cephx_key=secret\"\n",
          "t.conf:4: " A
          ": bsopts: cephx_key is not supported, since keys do not belong here: keep "
          "it in /etc/ceph/ceph.client.NAME.keyring, let the daemon's user read that, and say "
          "id=NAME\n" },
        { "device-type tape\n",
          "t.conf:2: " A
          ": device-type: \"tape\" is not supported by this build; disk expected\n" },
        { "driver iser\n",
          "t.conf:2: " A ": driver: \"iser\" is not supported by this build; iscsi expected\n" },
        { "RedirectAddress 192.0.2.1\n",
          "t.conf:2: " A ": RedirectAddress: not supported by this build\n" },
        { "params element_type=4\n",
          "t.conf:2: " A ": params: \"element_type\": media changers are "
          "not supported by this build\n" },
        { "params swp=1\n", "t.conf:2: " A ": params: \"swp\": no such parameter of a LUN\n" },
        { "params thin_provisioning\n",
          "t.conf:2: " A ": params: \"thin_provisioning\": NAME=VALUE,... expected\n" },
        { "params rotation_rate=7\n",
          "t.conf:2: " A ": params: rotation_rate: \"7\": 0 (not reported), 1 (does not rotate) or "
          "1025 to 65534 per minute expected\n" },
        { "block-size 1000\n", "t.conf:2: " A ": block-size: \"1000\": 512|4096 expected\n" },
        { "block-size 2048\n", "t.conf:2: " A ": block-size: \"2048\" is not supported by this "
                               "build; 512|4096 expected\n" },
        { "lbppbe 99\n", "t.conf:2: " A ": lbppbe: \"99\": a number from 0 to 15 expected\n" },
        { "mode_page 8:0:1:2:3\n",
          "t.conf:2: " A ": mode_page: more than the 1 bytes that its length says\n" },
        { "lun 1\nbacking-store /dev/a\nbacking-store /dev/b\n",
          "t.conf:2: " A ": lun: in a target block it needs exactly one backing-store, not 2\n" },
        { "<backing-store /dev/a>\nlun 7\n</backing-store>\n<backing-store /dev/b>\nlun 7\n"
          "</backing-store>\n",
          "t.conf:5: " A ": lun: 7 is there twice\n" },
        { "identity stgt\nbacking-store /dev/a\n",
          "t.conf:3: " A ": identity: stgt's identities depend on controller_tid, which is not "
          "given\n" },
        { "initiator-address host.example.com\n",
          "t.conf:2: " A ": initiator-address: \"host.example.com\": one IPv4 or IPv6 address, "
          "perhaps with /PREFIX, or ALL expected\n" },
        { "initiator-address 192.0.2.1 192.0.2.2\n",
          "t.conf:2: " A ": initiator-address: \"192.0.2.1 192.0.2.2\": one IPv4 or IPv6 address, "
          "perhaps with /PREFIX, or ALL expected\n" },
        { "initiator-name NONE\ninitiator-address ALL\n",
          "t.conf:3: " A ": initiator-address: NONE stands alone: this target says that nobody may "
          "enter\n" },
        { "initiator-address ALL\ninitiator-name NONE\n",
          "t.conf:3: " A ": initiator-name: NONE stands alone: this target also names "
          "initiators\n" },
        { "incominguser alice\n",
          "t.conf:2: " A ": incominguser: a user and a secret expected, separated by a blank; in "
          "quotes if they contain one\n" },
        { "incominguser alice secretsecret1\nincominguser alice secretsecret2\n",
          "t.conf:3: " A
          ": incominguser: user \"alice\" has another secret already, at t.conf:2\n" },
        { "incominguser alice secretsecret1\noutgoinguser alice secretsecret1\n",
          "t.conf:3: " A ": outgoinguser: user \"alice\" has the same secret in both directions, "
          "which RFC 7143 9.2.1 forbids\n" },
        { "MaxBurstLength 1\n",
          "t.conf:2: " A ": MaxBurstLength: \"1\": 512..16777215 expected\n" },
        { "MaxBurstLength 65537\n",
          "t.conf:2: " A ": MaxBurstLength: \"65537\": the daemon does not want it\n" },
        { "IFMarker Yes\n",
          "t.conf:2: " A ": IFMarker: \"Yes\" is not supported by this build: RFC "
          "7143 has no markers any more; No expected\n" },
        { "alias a\x01"
          "b\n",
          "t.conf:2: " A ": alias: control characters in the value\n" },
        { "alias \xff\n", "t.conf:2: " A ": alias: the value is not UTF-8\n" },
        { "include \"\"\n", "t.conf:2: " A ": include: a path expected\n" },
        { "mode_page 8\n", "t.conf:2: " A ": mode_page: \"8\": PAGE:SUBPAGE:LENGTH:BYTE:... "
                           "expected\n" },
        { "mode_page 0x3f:0:1\n",
          "t.conf:2: " A ": mode_page: \"0x3f\": a number of at most 0x3e expected\n" },
        { "mode_page 8:0:1:256\n", "t.conf:2: " A ": mode_page: \"256\": a byte expected\n" },
        { "controller_tid 70000\nidentity stgt\nbacking-store /dev/a\n",
          "t.conf:4: " A ": identity: stgt's identities need a controller_tid of at most 65535\n" },
        { "<x>\nlun 5\n<x>\n</x>\nlun 6\n</x>\n</backing-store>\n",
          "t.conf:2: " A ": <x>: no such block; <target NAME>, <backing-store PATH> and "
          "<direct-store PATH> are known\n"
          "t.conf:8: " A ": </backing-store> without <backing-store>\n" },
        { "<x>\nlun 5\n", "t.conf:2: " A ": <x>: no such block; <target NAME>, <backing-store "
                          "PATH> and <direct-store PATH> are known\n" },
        { "include /nonexistent/file\n",
          "t.conf:2: " A ": include: \"/nonexistent/file\": No such file or directory\n" },
        { "<lun 1>\nvendr_id x\n</lun>\n",
          "t.conf:2: " A ": <lun>: no such block; <target NAME>, <backing-store PATH> and "
          "<direct-store PATH> are known\n" },
        { "<backing-store>\n</backing-store>\n",
          "t.conf:2: " A ": backing-store: the block has a path: <backing-store PATH>\n"
          "t.conf:2: " A ": backing-store: a value expected: PATH|NONE\n" },
        { "<backing-store /dev/a\nlun 3\n</backing-store>\n",
          "t.conf:2: " A ": a block tag ends with \">\", with nothing behind it on the line\n" },
        { "</backing-store>\n", "t.conf:2: " A ": </backing-store> without <backing-store>\n" },
        { "<backing-store /dev/a>\n<backing-store /dev/b>\n</backing-store>\n",
          "t.conf:2: " A ": backing-store: the block is not closed with </backing-store>\n" },
        { "<backing-store /dev/a>\n",
          "t.conf:2: " A ": backing-store: the block is not closed with </backing-store>\n" },
};

static void test_blocks(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *text =
                        g_strdup_printf("<target " A ">\n%s</target>\n<target " GOOD ">\n"
                                        "backing-store /dev/good\n</target>\n",
                                        rows[i].block);
                _cleanup_loaded_ Loaded l = load_checked(text, check);

                g_test_message("%s", rows[i].messages);
                assert_messages(&l, rows[i].messages);
                g_assert_true(g_hash_table_contains(l.bad, A));
                g_assert_false(has_target(&l, A));
                g_assert_false(g_hash_table_contains(l.bad, GOOD));
                assert_luns(&l, GOOD, "1=/dev/good");
        }
}

/* What is odd and served all the same. */
static void test_warnings(void)
{
        static const struct {
                const char *block, *messages;
        } odd[] = {
                { "vendor_id Company Inc.\n",
                  "t.conf:2: warning: " A
                  ": vendor_id: \"Company Inc.\" is cut to 8 characters\n" },
                { "controller_tid 1\nidentity stgt\nscsi_id "
                  "0123456789012345678901234567890123456\nbacking-store /dev/a\n",
                  "t.conf:5: warning: " A ": scsi_id: \"0123456789012345678901234567890123456\" is "
                  "cut to 36 characters, as stgt does\n" },
                { "params vendor_id=Company Inc.\n",
                  "t.conf:2: warning: " A ": params: vendor_id: \"Company Inc.\" is cut to 8 "
                  "characters\n" },
                { "IFMarkInt 2048\n",
                  "t.conf:2: warning: " A ": IFMarkInt: has no effect: RFC 7143 "
                  "has no markers any more\n" },
                { "initiator-name iqn.2026-01.com.example:a_b\n",
                  "t.conf:2: warning: " A ": initiator-name: the name has a \"_\", which RFC 7143 "
                  "4.2.7 does not allow; some initiators refuse it\n" },
                { "initiator-name myhost\n",
                  "t.conf:2: warning: " A ": initiator-name: \"myhost\" is not an iSCSI name, such "
                  "as iqn.2001-04.com.example:disk1\n" },
                { "outgoinguser alice secretsecret1\n",
                  "t.conf:2: warning: " A ": outgoinguser: has no effect without incominguser\n" },
                { "backing-store /dev/a\nlimit-burst 1s\n",
                  "t.conf:2: warning: " A
                  ": limit-burst: has no effect: nothing of this LUN is limited\n" },
                { "initiator-name iqn.2026-01.com.example:i\nlimit-initiator "
                  "iqn.2026-01.com.example:k iops=1\n",
                  "t.conf:3: warning: " A ": limit-initiator: no initiator-name admits "
                  "\"iqn.2026-01.com.example:k\": this has no effect\n" },
                { "incominguser alice secretsecret1\noutgoinguser bob secretsecret1\n",
                  "t.conf:3: warning: " A ": outgoinguser: the secret is that of the incoming user "
                  "\"alice\" too, which RFC 7143 9.2.1 forbids\n" },
                { "alias a#b\n", "t.conf:2: warning: " A ": alias: the # begins a comment although "
                                 "no blank is before it; write \\# if it belongs to the value\n" },
                { "initiator-name ALL\ninitiator-name ALL\nbacking-store /dev/a\n"
                  "backing-store /dev/a\nmode_page 0:0:0\nmode_page 8:0:1\n",
                  "" },
        };
        _cleanup_loaded_ Loaded lenient = load("<target iqn.2026-01.com.example:a_b>\n</target>\n");

        for (size_t i = 0; i < G_N_ELEMENTS(odd); i++) {
                g_autofree char *text =
                        g_strdup_printf("<target " A ">\n%s</target>\n", odd[i].block);
                _cleanup_loaded_ Loaded l = load(text);

                assert_messages(&l, odd[i].messages);
                g_assert_true(has_target(&l, A));
                g_assert_cmpuint(g_hash_table_size(l.bad), ==, 0);
                g_assert_cmpuint(target(&l, A)->names->len, <=, 1);
        }
        assert_messages(
                &lenient,
                "t.conf:1: warning: iqn.2026-01.com.example:a_b: the name has a \"_\", which "
                "RFC 7143 4.2.7 does not allow; some initiators refuse it\n");
        g_assert_true(has_target(&lenient, "iqn.2026-01.com.example:a_b"));
}

/* What is wrong outside of blocks costs itself only. */
static void test_globals(void)
{
        static const struct {
                const char *line, *messages;
        } lines[] = {
                { "iSNS On", "t.conf:1: iSNS: not supported by this build\n" },
                { "iSNSServerIP 192.0.2.1",
                  "t.conf:1: iSNSServerIP: not supported by this build\n" },
                { "default-driver iser", "t.conf:1: default-driver: \"iser\" is not supported by "
                                         "this build; iscsi expected\n" },
                { "default-driver iscis", "t.conf:1: default-driver: \"iscis\": iscsi expected\n" },
                { "portal example.com", "t.conf:1: portal: \"example.com\": ADDRESS[:PORT] with an "
                                        "IPv4 or [IPv6] address "
                                        "or * expected\n" },
                { "control-port 7",
                  "t.conf:1: warning: control-port: \"7\" is for tgt-admin; a daemon that "
                  "reads this file serves it\n" },
                { "write-cache off", "t.conf:1: write-cache: stands in a target or backing-store "
                                     "block only\n" },
                { "</target>", "t.conf:1: </target> without <target NAME>\n" },
                { "<backing-store /dev/a/>",
                  "t.conf:1: backing-store: stands in a target block only\n" },
                { "<target disk1>\nlun 3\n</target>",
                  "t.conf:1: disk1: \"disk1\" is not an iSCSI name, such as "
                  "iqn.2001-04.com.example:disk1\n" },
                { "<target>\nlun 3\n</target>",
                  "t.conf:1: a target block has a name: <target NAME>\n" },
                { "<target " A "\nlun 3\n</target>",
                  "t.conf:1: a block tag ends with \">\", with nothing behind it on the line\n" },
                { "<target " A ">\nlun 3",
                  "t.conf:1: " A ": the block is not closed with </target>\n" },
                { "alias#x y", "t.conf:1: warning: alias: the # begins a comment although no blank "
                               "is before it; "
                               "write \\# if it belongs to the value\n"
                               "t.conf:1: alias: stands in a target block only\n" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                g_autofree char *text = g_strdup_printf("%s\n<target " GOOD ">\n"
                                                        "backing-store /dev/good\n</target>\n",
                                                        lines[i].line);
                _cleanup_loaded_ Loaded l = load(text);

                assert_messages(&l, lines[i].messages);
                assert_luns(&l, GOOD, "1=/dev/good");
        }
}

/* Where a name may have been lost, every name that is missing may be the one. */
static void test_lost_names(void)
{
        static const char *const lost[] = { "/* never closed\n<target " A ">\n</target>\n",
                                            "portal <<EOT\n<target " A ">\n</target>\n",
                                            "<target " A "\nlun 1\n</target>\n",
                                            "include /nonexistent/file\n" };
        _cleanup_loaded_ Loaded fine = load("bogus x\n<target " A ">\n</target>\n");

        for (size_t i = 0; i < G_N_ELEMENTS(lost); i++) {
                _cleanup_loaded_ Loaded l = load(lost[i]);

                g_assert_true(config_is_bad(l.bad, A));
        }
        g_assert_false(config_is_bad(fine.bad, A));
        g_assert_true(has_target(&fine, A));
}

/* Two targets that exclude each other: the later is at fault, the earlier is served. */
static void test_across(void)
{
        static const struct {
                const char *one, *two, *messages;
        } pairs[] = {
                { "controller_tid 4", "controller_tid 4",
                  "t.conf:5: " GOOD ": controller_tid: 4 is that of target " A " (t.conf:1)\n" },
                { "naa 60000000000000000e00000000010001", "naa 60000000000000000E00000000010001",
                  "t.conf:6: " GOOD
                  ": naa: \"60000000000000000e00000000010001\" is that of target " A
                  " lun 1 (t.conf:2), which is another unit: initiators would take them for "
                  "one\n" },
                { "scsi_id X", "scsi_id X",
                  "t.conf:6: " GOOD ": scsi_id: \"        X\" is that of target " A
                  " lun 1 (t.conf:2), which is another unit: initiators would take them for "
                  "one\n" },
                { "path /dev/same", "path /dev/same\nblock-size 4096",
                  "t.conf:6: " GOOD ": block-size: /dev/same is served as target " A
                  " lun 1 (t.conf:2) too, as one unit: it has to be configured alike there\n" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
                g_autofree char *text =
                        g_strdup_printf("<target " A ">\nbacking-store /dev/a\n%s\n</target>\n"
                                        "<target " GOOD ">\nbacking-store /dev/b\n%s\n</target>\n",
                                        pairs[i].one, pairs[i].two);
                _cleanup_loaded_ Loaded l = load(text);

                assert_messages(&l, pairs[i].messages);
                g_assert_true(has_target(&l, A) && !has_target(&l, GOOD));
                g_assert_true(config_is_bad(l.bad, GOOD) && !config_is_bad(l.bad, A));
        }
}

/* A target that is not served for one reason stands in nobody's way for another. */
static void test_no_claim(void)
{
        _cleanup_loaded_ Loaded l = load("<target " A ">\nbacking-store /dev/a\ncontroller_tid 1\n"
                                         "</target>\n"
                                         "<target " GOOD "2>\nbacking-store /dev/b\nscsi_id X\n"
                                         "controller_tid 1\n</target>\n"
                                         "<target " GOOD ">\nbacking-store /dev/c\nscsi_id X\n"
                                         "</target>\n");

        assert_messages(&l, "t.conf:5: " GOOD "2: controller_tid: 1 is that of target " A
                            " (t.conf:1)\n");
        g_assert_true(has_target(&l, GOOD) && has_target(&l, A));
}

/* One store under two targets is one unit, and may say so: no conflict. */
static void test_shared(void)
{
        _cleanup_loaded_ Loaded l = load("<target " A ">\nbacking-store /dev/a\nscsi_id X\n"
                                         "allow-in-use yes\n</target>\n"
                                         "<target " GOOD ">\n<backing-store /dev/a>\nscsi_id X\n"
                                         "lun 9\n</backing-store>\n</target>\n");

        assert_messages(&l, "");
        g_assert_cmpuint(g_hash_table_size(l.desired->targets), ==, 2);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/problems/blocks", test_blocks);
        g_test_add_func("/problems/warnings", test_warnings);
        g_test_add_func("/problems/globals", test_globals);
        g_test_add_func("/problems/lost-names", test_lost_names);
        g_test_add_func("/problems/across", test_across);
        g_test_add_func("/problems/no-claim", test_no_claim);
        g_test_add_func("/problems/shared", test_shared);
        return g_test_run();
}
