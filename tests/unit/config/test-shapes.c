/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helpers.h"

/* Every shape of file that stgt's users have. */

#define A "iqn.2026-01.com.example:a"
#define B "iqn.2026-01.com.example:b"

static void test_wiki(void)
{
        _cleanup_loaded_ Loaded l = load("<target iqn.2004-01.nl.xtg:iscsi-server1>\n"
                                         " backing-store /dev/sdb\n"
                                         " write-cache on\n"
                                         " initiator-address ALL\n"
                                         " incominguser user password\n"
                                         " scsi_id 00010001\n"
                                         " vendor_id XTG\n"
                                         " lun 12\n"
                                         "</target>\n");
        const TargetSpec *t = target(&l, "iqn.2004-01.nl.xtg:iscsi-server1");
        const LunSpec *u = lun(&l, t->name, 12);
        const AccountSpec *a = t->incoming->pdata[0];

        g_assert_cmpuint(g_hash_table_size(l.bad), ==, 0);
        g_assert_cmpstr(u->path, ==, "/dev/sdb");
        g_assert_cmpstr(u->scsi_id, ==, "00010001");
        g_assert_cmpstr(u->vendor_id, ==, "XTG");
        g_assert_cmpstr(u->bs_type, ==, "rdwr");
        g_assert_true(u->write_cache && u->online && !u->readonly);
        g_assert_cmpstr(t->addresses->pdata[0], ==, "ALL");
        g_assert_cmpstr(a->user, ==, "user");
        g_assert_cmpstr(a->secret, ==, "password");
        g_assert_cmpuint(a->at.line, ==, 5);
        assert_messages(&l, "t.conf:5: warning: iqn.2004-01.nl.xtg:iscsi-server1: incominguser: "
                            "the secret of \"user\" is shorter than the 12 bytes that RFC 7143 "
                            "asks for; some initiators refuse it\n");
}

/* With direct-store as the wiki has it: refused by name, at its line. */
static void test_direct_store(void)
{
        _cleanup_loaded_ Loaded l = load("<target " A ">\n"
                                         " direct-store /dev/sdb\n"
                                         "</target>\n"
                                         "<target " B ">\n"
                                         " <direct-store /dev/sdb>\n"
                                         "  vendor_id X\n"
                                         "  lun 4\n"
                                         " </direct-store>\n"
                                         "</target>\n");

        assert_messages(&l, "t.conf:2: " A ": direct-store: not supported by this build\n"
                            "t.conf:5: " B ": direct-store: not supported by this build\n");
        g_assert_true(config_is_bad(l.bad, A) && config_is_bad(l.bad, B));
        g_assert_cmpuint(g_hash_table_size(l.desired->targets), ==, 0);
}

static void test_simple_list(void)
{
        _cleanup_loaded_ Loaded l = load("default-driver iscsi\n"
                                         "# a list\n"
                                         "<target " A ">\n"
                                         "    backing-store /dev/vg/one\t# Becomes LUN 1\n"
                                         "    backing-store /dev/vg/two\t# Becomes LUN 2\n"
                                         "    backing-store /dev/vg/three\t# Becomes LUN 3\n"
                                         "    write-cache off\n"
                                         "    vendor_id Example\n"
                                         "</target>\n");

        assert_messages(&l, "");
        /* the order of the file, where stgt sorts by path */
        assert_luns(&l, A, "1=/dev/vg/one 2=/dev/vg/two 3=/dev/vg/three");
        for (uint16_t i = 1; i <= 3; i++) {
                g_assert_false(lun(&l, A, i)->write_cache);
                g_assert_cmpstr(lun(&l, A, i)->vendor_id, ==, "Example");
                g_assert_false(lun(&l, A, i)->lun_given);
        }
        g_assert_false(target(&l, A)->access_given);
}

static void test_nested(void)
{
        _cleanup_loaded_ Loaded l = load("<target " A ">\n"
                                         "  <backing-store /dev/sdd>\n"
                                         "    vendor_id one\n"
                                         "    removable 1\n"
                                         "    device-type disk\n"
                                         "    lun 2\n"
                                         "  </backing-store>\n"
                                         "  <backing-store /dev/sdb1>\n"
                                         "    vendor_id two\n"
                                         "    scsi_sn SERIAL\n"
                                         "    write-cache on\n"
                                         "    # lun 3\n"
                                         "  </backing-store>\n"
                                         "  <backing-store /dev/sda>\n"
                                         "    lun 15\n"
                                         "    bs-type aio\n"
                                         "    mode_page 8:0:18:0x10:0:0xff\n"
                                         "    mode_page 0x1c:0:10:4\n"
                                         "    mode_page 28:0:10:8 # the later one counts\n"
                                         "    params thin_provisioning=1,rotation_rate=1\n"
                                         "  </backing-store>\n"
                                         "  <backing-store /dev/sdc>\n"
                                         "    block-size 4096\n"
                                         "    bsoflags direct\n"
                                         "    readonly 1\n"
                                         "  </backing-store>\n"
                                         "  write-cache off\n"
                                         "  scsi_sn common\n"
                                         "  allow-in-use yes\n"
                                         "  mode_page 0x0a:0:10\n"
                                         "</target>\n");

        assert_messages(&l, "");
        assert_luns(&l, A, "1=/dev/sdb1 2=/dev/sdd 3=/dev/sdc 15=/dev/sda");
        g_assert_true(lun(&l, A, 1)->write_cache); /* overridden */
        g_assert_cmpstr(lun(&l, A, 1)->scsi_sn, ==, "SERIAL");
        g_assert_false(lun(&l, A, 2)->write_cache); /* of the target */
        g_assert_cmpstr(lun(&l, A, 2)->scsi_sn, ==, "common");
        g_assert_true(lun(&l, A, 2)->removable);
        g_assert_true(lun(&l, A, 15)->thin && lun(&l, A, 15)->rotation_rate == 1);
        g_assert_cmpuint(lun(&l, A, 15)->mode_pages->len, ==, 2); /* not those of the target */
        g_assert_cmpstr(lun(&l, A, 15)->mode_pages->pdata[1], ==, "28:0:10:8");
        g_assert_cmpuint(lun(&l, A, 1)->mode_pages->len, ==, 1);
        g_assert_cmpuint(lun(&l, A, 3)->block_size, ==, 4096);
        g_assert_true(lun(&l, A, 3)->direct && lun(&l, A, 3)->readonly);
        g_assert_true(lun(&l, A, 3)->allow_in_use);
        g_assert_cmpuint(lun(&l, A, 15)->at.line, ==, 14);
}

/* Config::General dies on this; here it is what it says. */
static void test_mixed(void)
{
        _cleanup_loaded_ Loaded l = load("<target " A ">\n"
                                         "  backing-store /dev/a\n"
                                         "  <backing-store /dev/b>\n"
                                         "    lun 1\n"
                                         "  </backing-store>\n"
                                         "  <backing-store /dev/c/>\n"
                                         "  backing-store=/dev/d\n"
                                         "</target>\n");

        assert_messages(&l, "");
        assert_luns(&l, A, "1=/dev/b 2=/dev/a 3=/dev/c 4=/dev/d");
}

static void test_merged(void)
{
        _cleanup_loaded_ Loaded l = load("<target " A ">\n"
                                         " backing-store /dev/a\n"
                                         " initiator-address 192.0.2.1\n"
                                         "</target>\n"
                                         "<target " B ">\n"
                                         " backing-store /dev/x\n"
                                         "</target>\n"
                                         "<TARGET IQN.2026-01.com.example:A>\n"
                                         " backing-store /dev/b\n"
                                         " backing-store /dev/a # said already\n"
                                         " initiator-address 192.0.2.2\n"
                                         " write-cache off\n"
                                         "</Target>\n");

        assert_messages(&l, "");
        assert_luns(&l, A, "1=/dev/a 2=/dev/b");
        g_assert_cmpuint(target(&l, A)->addresses->len, ==, 2);
        g_assert_false(lun(&l, A, 1)->write_cache);
        g_assert_true(lun(&l, B, 1)->write_cache);
        g_assert_cmpuint(target(&l, A)->at.line, ==, 1);
}

static void test_access(void)
{
        _cleanup_loaded_ Loaded l = load("<target " A ">\n"
                                         " initiator-address 192.0.2.0/24\n"
                                         " initiator-address [2001:db8::]/32\n"
                                         " initiator-address 2001:db8::1\n"
                                         " initiator-name IQN.1994-05.com.redhat:ABC\n"
                                         " initiator-name 198.51.100.0/24\n"
                                         "</target>\n"
                                         "<target " B ">\n"
                                         " initiator-name NONE\n"
                                         "</target>\n"
                                         "<target iqn.2026-01.com.example:c>\n"
                                         " initiator-name all\n"
                                         "</target>\n");
        const TargetSpec *a = target(&l, A), *b = target(&l, B);

        assert_messages(&l, "t.conf:6: warning: " A ": initiator-name: \"198.51.100.0/24\" is an "
                            "address: taken as initiator-address\n");
        g_assert_cmpuint(a->addresses->len, ==, 4);
        g_assert_cmpuint(a->names->len, ==, 1);
        g_assert_cmpstr(a->names->pdata[0], ==, "iqn.1994-05.com.redhat:abc");
        g_assert_true(b->access_given);
        g_assert_cmpuint(b->names->len + b->addresses->len, ==, 0);
        g_assert_cmpstr(target(&l, "iqn.2026-01.com.example:c")->names->pdata[0], ==, "ALL");
}

static void test_accounts(void)
{
        _cleanup_loaded_ Loaded l = load("incomingdiscoveryuser disc \"secret secret\"\n"
                                         "outgoingdiscoveryuser back secretsecret2\n"
                                         "<target " A ">\n"
                                         " incominguser user1   secretpass12\n"
                                         " incominguser \"us er\" \"pa ss # word\"\n"
                                         " incominguser \"user3 secretpass34\"\n"
                                         " incominguser user1 secretpass12\n"
                                         " outgoinguser userA secretpassAA\n"
                                         " outgoinguser userB secretpassBB\n"
                                         "</target>\n");
        const TargetSpec *t = target(&l, A);
        const AccountSpec *a;

        assert_messages(&l, "t.conf:9: warning: " A ": outgoinguser: only one is possible: the "
                            "first stays, this one has no effect\n");
        g_assert_cmpuint(t->incoming->len, ==, 3);
        a = t->incoming->pdata[1];
        g_assert_cmpstr(a->user, ==, "us er");
        g_assert_cmpstr(a->secret, ==, "pa ss # word");
        a = t->incoming->pdata[2];
        g_assert_cmpstr(a->user, ==, "user3");
        g_assert_cmpstr(t->outgoing->user, ==, "userA");
        a = l.desired->discovery_incoming->pdata[0];
        g_assert_cmpstr(a->secret, ==, "secret secret");
        g_assert_cmpstr(l.desired->discovery_outgoing->user, ==, "back");
}

/* The secret is the service manager's: nothing is known of it here. */
static void test_credentials(void)
{
        _cleanup_loaded_ Loaded l = load("incomingdiscoveryuser disc credential find\n"
                                         "<target " A ">\n"
                                         " incominguser user1 credential chap.user1\n"
                                         " incominguser \"us er\" credential other\n"
                                         " outgoinguser userA credential chap.back\n"
                                         "</target>\n"
                                         "<target " B ">\n"
                                         " incominguser user1 credential ../passwd\n"
                                         " incominguser user2 secretpass12 more\n"
                                         "</target>\n"
                                         "<target iqn.2026-01.com.example:c>\n"
                                         " incominguser user credential one\n"
                                         " incominguser user credential two\n"
                                         " outgoinguser user credential one\n"
                                         "</target>\n");
        g_autoptr(GString) text = g_string_new(NULL);
        const TargetSpec *t = target(&l, A);
        const AccountSpec *a = t->incoming->pdata[1];

        assert_messages(
                &l, "t.conf:8: " B ": incominguser: \"../passwd\": the name of a credential "
                    "expected\n"
                    "t.conf:9: " B ": incominguser: a user and a secret expected, separated by a "
                    "blank; in quotes if they contain one\n"
                    "t.conf:13: iqn.2026-01.com.example:c: incominguser: user \"user\" has "
                    "another secret already, at t.conf:12\n"
                    "t.conf:14: iqn.2026-01.com.example:c: outgoinguser: user \"user\" has the "
                    "same secret in both directions, which RFC 7143 9.2.1 forbids\n");
        g_assert_cmpstr(a->user, ==, "us er");
        g_assert_cmpstr(a->credential, ==, "other");
        g_assert_cmpstr(a->secret, ==, "");
        target_spec_write(t, false, text);
        g_assert_nonnull(strstr(text->str, "\tincominguser \"us er\" credential other\n"));
        g_assert_nonnull(strstr(text->str, "\toutgoinguser userA credential chap.back\n"));
}

static void test_target_level(void)
{
        _cleanup_loaded_ Loaded l = load("control-port 0\n"
                                         "ignore-errors yes\n"
                                         "portal 192.0.2.1\n"
                                         "portal [2001:db8::1]:3261\n"
                                         "portal *\n"
                                         "portal 192.0.2.1:3260\n"
                                         "backing-directory /srv/tgt\n"
                                         "<target " A ">\n"
                                         " driver iscsi\n"
                                         " controller_tid 5\n"
                                         " state offline\n"
                                         " alias \"A disk\"\n"
                                         " MaxRecvDataSegmentLength 262144\n"
                                         " headerdigest CRC32C,None\n"
                                         " nop_interval 5\n"
                                         " IFMarker No\n"
                                         "</target>\n");
        const TargetSpec *t = target(&l, A);
        const ConfigParam *p;

        assert_messages(&l, "");
        g_assert_true(l.desired->ignore_errors);
        g_assert_cmpuint(l.desired->portals->len, ==, 3);
        g_assert_cmpstr(((PortalSpec *)l.desired->portals->pdata[1])->address, ==,
                        "[2001:db8::1]:3261");
        g_assert_cmpstr(l.desired->backing_directories->pdata[0], ==, "/srv/tgt");
        g_assert_cmpuint(t->tid, ==, 5);
        g_assert_false(t->online);
        g_assert_cmpstr(t->alias, ==, "A disk");
        g_assert_cmpuint(t->params->len, ==, 3);
        p = t->params->pdata[1];
        g_assert_cmpstr(p->name, ==, "HeaderDigest");
        g_assert_cmpstr(p->value, ==, "CRC32C,None");
        g_assert_cmpuint(p->at.line, ==, 14);
}

static void test_stores_without_path(void)
{
        _cleanup_loaded_ Loaded l = load("<target " A ">\n"
                                         " <backing-store NONE>\n"
                                         "  bs-type null\n"
                                         "  size 1T\n"
                                         "  lun 5\n"
                                         " </backing-store>\n"
                                         " <backing-store NONE>\n"
                                         "  bs-type ram\n"
                                         "  size 64M\n"
                                         "  lun 6\n"
                                         " </backing-store>\n"
                                         " <backing-store label>\n"
                                         "  bs-type null\n"
                                         "  size 64M\n"
                                         " </backing-store>\n"
                                         "</target>\n"
                                         "<target " B ">\n"
                                         " bs-type null\n"
                                         " backing-store /dev/null\n"
                                         "</target>\n");

        assert_messages(&l, "");
        assert_luns(&l, A, "1=label 5= 6=");
        g_assert_cmpuint(lun(&l, A, 1)->size, ==, 64 * MIB);
        g_assert_cmpuint(lun(&l, B, 1)->size, ==, UINT64_C(1) << 40); /* as stgt has it */
        g_assert_cmpuint(lun(&l, A, 5)->size, ==, UINT64_C(1) << 40);
        g_assert_cmpstr(lun(&l, A, 6)->bs_type, ==, "ram");
}

static void test_spelling(void)
{
        _cleanup_loaded_ Loaded l = load("<target " A ">\n"
                                         "  backing-store = \\\n"
                                         "      \"/srv/with blank.img\"\n"
                                         "  vendor_id \"My Co\"\n"
                                         "  product_id <<EOT\n"
                                         "  Big # disk\n"
                                         "  EOT\n"
                                         "  /* scsi_sn gone\n"
                                         "     lun 9 */ scsi_sn here\n"
                                         "  thin_provisioning 1\n"
                                         "  product_rev 1\\#2\n"
                                         "</target>\n");
        const LunSpec *u = lun(&l, A, 1);

        assert_messages(&l, "");
        g_assert_cmpstr(u->path, ==, "/srv/with blank.img");
        g_assert_cmpstr(u->vendor_id, ==, "My Co");
        g_assert_cmpstr(u->product_id, ==, "Big # disk");
        g_assert_cmpstr(u->scsi_sn, ==, "here");
        g_assert_cmpstr(u->product_rev, ==, "1#2");
        g_assert_true(u->thin);
}

/* What stgt would say for this LUN of this target, so that initiators find their disks again. */
static void test_stgt_identity(void)
{
        _cleanup_loaded_ Loaded l = load("<target " A ">\n"
                                         " controller_tid 1\n"
                                         " identity stgt\n"
                                         " backing-store /dev/a\n"
                                         " <backing-store /dev/b>\n"
                                         "  lun 11\n"
                                         "  scsi_sn mine\n"
                                         " </backing-store>\n"
                                         " <backing-store /dev/c>\n"
                                         "  identity generated\n"
                                         " </backing-store>\n"
                                         "</target>\n");
        const LunSpec *u = lun(&l, A, 1);

        assert_messages(&l, "");
        g_assert_cmpstr(u->vendor_id, ==, "IET");
        g_assert_cmpstr(u->product_id, ==, "VIRTUAL-DISK");
        g_assert_cmpstr(u->scsi_id, ==, "IET     00010001");
        g_assert_cmpstr(u->scsi_sn, ==, "beaf11");
        g_assert_cmpstr(u->naa, ==, "60000000000000000e00000000010001");
        u = lun(&l, A, 11);
        g_assert_cmpstr(u->scsi_sn, ==, "mine");
        g_assert_cmpstr(u->naa, ==, "60000000000000000e0000000001000b");
        g_assert_null(lun(&l, A, 2)->naa);
}

/* stgt's since 1.0.96; what is said of one LUN takes the place of what is said of all. */
static void test_params_with_numbers(void)
{
        _cleanup_loaded_ Loaded l = load("<target " A ">\n"
                                         " controller_tid 7\n"
                                         " params scsi_sn=t${tid}l${lun},vendor_id=V${lun}\n"
                                         " backing-store /dev/a\n"
                                         " <backing-store /dev/b>\n"
                                         "  lun 11\n"
                                         "  vendor_id mine\n"
                                         "  params product_id=disk-${lun}\n"
                                         " </backing-store>\n"
                                         "</target>\n");
        const LunSpec *u = lun(&l, A, 1);

        assert_messages(&l, "");
        g_assert_cmpstr(u->scsi_sn, ==, "t7l1");
        g_assert_cmpstr(u->vendor_id, ==, "V1");
        g_assert_null(u->product_id);
        u = lun(&l, A, 11);
        g_assert_cmpstr(u->scsi_sn, ==, "t7l11");
        g_assert_cmpstr(u->vendor_id, ==, "mine");
        g_assert_cmpstr(u->product_id, ==, "disk-11");
}

static void test_params_with_other_words(void)
{
        _cleanup_loaded_ Loaded l = load("<target " A ">\n"
                                         " params scsi_sn=${tid}\n"
                                         " backing-store /dev/a\n"
                                         "</target>\n"
                                         "<target " B ">\n"
                                         " params scsi_sn=x${LUN}y\n"
                                         " backing-store /dev/b\n"
                                         "</target>\n"
                                         "<target iqn.2026-01.com.example:c>\n"
                                         " params lbppbe=${lun}\n"
                                         " <backing-store /dev/c>\n"
                                         "  lun 16\n"
                                         " </backing-store>\n"
                                         "</target>\n");

        assert_messages(&l,
                        "t.conf:2: " A ": params: scsi_sn: ${tid} is the controller_tid, which "
                        "is not given\n"
                        "t.conf:6: " B ": params: scsi_sn: \"${LUN}\": ${tid} or ${lun} "
                        "expected\n"
                        "t.conf:10: iqn.2026-01.com.example:c: params: lbppbe: \"16\": a number "
                        "from 0 to 15 expected\n");
        g_assert_cmpuint(g_hash_table_size(l.desired->targets), ==, 0);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/shapes/wiki", test_wiki);
        g_test_add_func("/shapes/direct-store", test_direct_store);
        g_test_add_func("/shapes/simple-list", test_simple_list);
        g_test_add_func("/shapes/nested", test_nested);
        g_test_add_func("/shapes/mixed", test_mixed);
        g_test_add_func("/shapes/merged", test_merged);
        g_test_add_func("/shapes/access", test_access);
        g_test_add_func("/shapes/accounts", test_accounts);
        g_test_add_func("/shapes/credentials", test_credentials);
        g_test_add_func("/shapes/target-level", test_target_level);
        g_test_add_func("/shapes/without-path", test_stores_without_path);
        g_test_add_func("/shapes/spelling", test_spelling);
        g_test_add_func("/shapes/stgt-identity", test_stgt_identity);
        g_test_add_func("/shapes/params-with-numbers", test_params_with_numbers);
        g_test_add_func("/shapes/params-with-other-words", test_params_with_other_words);
        return g_test_run();
}
