/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "ctl/doctor.h"

/* Each check on a machine of files and of programs' answers, in which one thing is wrong. */

#define T1 "iqn.2026-01.org.example:one"
#define T2 "iqn.2026-01.org.example:two"

typedef struct World {
        char *root;
        GHashTable *answers; /* command line -> output; "!" in front: it fails */
        bool unprivileged;
        const char *state_dir;
        json_t *findings;
} World;

static char *answer(const char *const *argv, int *ret_code, void *userdata)
{
        World *w = userdata;
        g_autofree char *line = g_strjoinv(" ", (char **)argv);
        const char *out = g_hash_table_lookup(w->answers, line);

        *ret_code = out && *out == '!';
        return g_strdup(out && *out == '!' ? out + 1 : out);
}

static char *below(World *w, const char *path)
{
        char *real = g_strconcat(w->root, path, NULL);
        g_autofree char *dir = g_path_get_dirname(real);

        g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
        return real;
}

static void put(World *w, const char *path, const char *text)
{
        g_autofree char *real = below(w, path);

        g_assert_true(g_file_set_contents(real, text, -1, NULL));
}

static void put_disk(World *w, const char *path, off_t size, mode_t mode)
{
        g_autofree char *real = below(w, path);

        put(w, path, "");
        g_assert_cmpint(truncate(real, size), ==, 0);
        g_assert_cmpint(chmod(real, mode), ==, 0);
}

static void put_link(World *w, const char *path, const char *to)
{
        g_autofree char *real = below(w, path);

        g_assert_cmpint(symlink(to, real), ==, 0);
}

static void put_mode(World *w, const char *path, mode_t mode)
{
        g_autofree char *real = below(w, path);

        g_assert_cmpint(chmod(real, mode), ==, 0);
}

static void says(World *w, const char *line, const char *out)
{
        g_hash_table_insert(w->answers, g_strdup(line), g_strdup(out));
}

static void unit(World *w, const char *name, const char *property, const char *value)
{
        g_autofree char *line = g_strdup_printf("systemctl show --value -p %s %s", property, name);

        says(w, line, value);
}

static void fragment(World *w, const char *text)
{
        put(w, "/etc/tgt/targets.d/a.conf", text);
        put_mode(w, "/etc/tgt/targets.d/a.conf", 0600);
}

/* A machine on which all is well. */
static void setup(World *w, gconstpointer data)
{
        w->root = g_dir_make_tmp("tgt-doctor-XXXXXX", NULL);
        w->answers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        w->unprivileged = false;
        w->state_dir = "/var/lib/tgt";
        unit(w, "tgtd.service", "LoadState", "loaded\n");
        unit(w, "tgtd.service", "UnitFileState", "disabled\n");
        unit(w, "tgtd.service", "LimitNOFILE", "1048576\n");
        unit(w, "tgtd.socket", "ActiveState", "active\n");
        unit(w, "tgtd.socket", "UnitFileState", "enabled\n");
        unit(w, "tgtd.socket", "Listen", "[::]:3260 (Stream)\n");
        unit(w, "tgtd-open.socket", "LoadState", "loaded\n");
        says(w, "timedatectl show --value -p NTPSynchronized", "yes\n");
        put(w, "/proc/sys/fs/aio-max-nr", "65536\n");
        put(w, "/proc/sys/fs/aio-nr", "0\n");
        put(w, "/proc/net/tcp6",
            "  sl  local_address remote_address st tx rx tr tm->when retrnsmt uid timeout inode\n"
            "   0: 00000000000000000000000000000000:0CBC 00000000000000000000000000000000:0000 0A "
            "00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n");
        put_link(w, "/proc/1/fd/40", "socket:[4711]");
        put(w, "/proc/1/comm", "systemd\n");
        put_disk(w, "/srv/a", 1 << 20, 0600);
        put_disk(w, "/srv/b", 1 << 20, 0600);
        fragment(w, "<target " T1 ">\n backing-store /srv/a\n incominguser u 0123456789abc\n"
                    "</target>\n");
}

static void remove_all(const char *path)
{
        g_autofree char *command = g_strdup_printf("rm -rf '%s'", path);

        g_assert_cmpint(system(command), ==, 0);
}

static void teardown(World *w, gconstpointer data)
{
        json_decref(w->findings);
        remove_all(w->root);
        g_free(w->root);
        g_hash_table_unref(w->answers);
}

static void examine(World *w)
{
        g_autofree char *etc = g_strconcat(w->root, "/etc/tgt", NULL);
        g_autofree char *var = g_strconcat(w->root, "/var/lib/tgt", NULL);
        g_autofree char *run = g_strconcat(w->root, "/run/tgt", NULL);
        Doctor d = { .root = w->root,
                     .command = answer,
                     .userdata = w,
                     .privileged = !w->unprivileged,
                     .state_dir = w->state_dir };

        config_paths_default(&d.paths, etc, var, run);
        doctor_run(&d);
        json_decref(w->findings);
        w->findings = json_incref(d.findings);
        doctor_done(&d);
}

/* Exactly one thing is not well: of check, of level, with part in its text; fix in what mends it.
 */
static void expect(World *w, const char *check, const char *level, const char *part,
                   const char *fix)
{
        unsigned n = 0;
        json_t *f;
        size_t i;

        examine(w);
        json_array_foreach (w->findings, i, f) {
                const char *text = json_string_value(json_object_get(f, "Text"));
                const char *is = json_string_value(json_object_get(f, "Level"));

                g_test_message("%s %s: %s | %s", is, json_string_value(json_object_get(f, "Check")),
                               text, json_string_value(json_object_get(f, "Fix")));
                if (STREQ(is, "ok"))
                        continue;
                n++;
                g_assert_cmpstr(json_string_value(json_object_get(f, "Check")), ==, check);
                g_assert_cmpstr(is, ==, level);
                g_assert_nonnull(strstr(text, part));
                g_assert_nonnull(strstr(json_string_value(json_object_get(f, "Fix")), fix));
        }
        g_assert_cmpuint(n, ==, check ? 1 : 0);
}

static void expect_well(World *w)
{
        expect(w, NULL, NULL, NULL, NULL);
}

static void test_all_well(World *w, gconstpointer data)
{
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        json_t *f;
        size_t i;

        expect_well(w);
        json_array_foreach (w->findings, i, f)
                g_hash_table_add(seen, (gpointer)json_string_value(json_object_get(f, "Check")));
        for (const Check *c = doctor_checks(); c->name; c++)
                g_assert_true(g_hash_table_contains(seen, c->name));
}

static void test_units(World *w, gconstpointer data)
{
        unit(w, "tgtd.service", "ActiveState", "failed");
        unit(w, "tgtd.service", "Result", "exit-code");
        expect(w, "units", "problem", "tgtd.service has failed (exit-code)", "journalctl -b -u");
        unit(w, "tgtd.service", "ActiveState", "inactive");
        unit(w, "tgtd.socket", "UnitFileState", "disabled");
        expect(w, "units", "warning", "after a reboot", "systemctl enable tgtd.socket");
        unit(w, "tgtd.service", "LoadState", "masked");
        expect(w, "units", "problem", "masked", "unmask");
        unit(w, "tgtd.service", "LoadState", "not-found");
        expect(w, "units", "problem", "not-found", "install");
        unit(w, "tgtd.service", "LoadState", "!");
        expect(w, "units", "unknown", "systemd does not answer", "");
}

static void test_portals(World *w, gconstpointer data)
{
        put(w, "/etc/tgt/targets.d/p.conf", "portal 192.0.2.1:3260\n");
        expect(w, "portals", "problem", "p.conf:1: portal 192.0.2.1:3260 cannot be bound",
               "ListenStream=");
        unit(w, "tgtd.socket", "Listen", "192.0.2.7:3260 (Stream)\n");
        expect(w, "portals", "warning", "only while tgtd.service runs", "enable tgtd.service");
        unit(w, "tgtd.service", "UnitFileState", "enabled");
        expect_well(w);
}

static void test_port(World *w, gconstpointer data)
{
        g_autofree char *fd = below(w, "/proc/1/fd/40");

        /* a program that is not ours */
        g_assert_cmpint(g_unlink(fd), ==, 0);
        put_link(w, "/proc/77/fd/3", "socket:[4711]");
        put(w, "/proc/77/comm", "python3\n");
        expect(w, "port", "problem", "Port 3260 is taken by python3 (process 77)", "End that");
        /* stgt's daemon, whose name is ours */
        put(w, "/proc/77/comm", "tgtd\n");
        put(w, "/proc/77/cgroup", "0::/system.slice/tgt.service\n");
        expect(w, "port", "problem", "stgt's tgtd (process 77)", "disable --now tgt.service");
        put(w, "/proc/77/cgroup", "0::/system.slice/tgtd.service\n");
        expect_well(w);
        /* nobody whom we may look at */
        remove_all((g_free(fd), fd = below(w, "/proc/77/fd")));
        expect(w, "port", "problem", "by the kernel itself", "targetcli");
        w->unprivileged = true;
        expect(w, "port", "unknown", "only root sees", "root");
        w->unprivileged = false;
        put(w, "/proc/net/tcp6", "head\n");
        expect(w, "port", "problem", "Nobody listens", "restart tgtd.socket");
}

static void test_firewalld(World *w, gconstpointer data)
{
        says(w, "firewall-cmd --state", "running\n");
        says(w, "firewall-cmd --list-services", "ssh dhcpv6-client\n");
        says(w, "firewall-cmd --list-ports", "\n");
        expect(w, "firewall", "problem", "does not let port 3260 in", "--add-service=tgt");
        says(w, "firewall-cmd --list-services", "ssh tgt\n");
        expect_well(w);
        says(w, "firewall-cmd --list-services", "ssh\n");
        says(w, "firewall-cmd --list-ports", "80/tcp 3260/tcp\n");
        expect_well(w);
        says(w, "firewall-cmd --list-ports", "!");
        expect(w, "firewall", "unknown", "does not say", "root");
}

static void test_nftables(World *w, gconstpointer data)
{
        says(w, "nft list ruleset",
             "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority 0; policy "
             "drop;\n\t\ttcp dport 22 accept\n\t}\n}\n");
        expect(w, "firewall", "warning", "no rule names port 3260", "nftables");
        says(w, "nft list ruleset",
             "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority 0; policy "
             "drop;\n\t\ttcp dport 3260 accept\n\t}\n}\n");
        expect_well(w);
        says(w, "nft list ruleset", "!");
        expect(w, "firewall", "unknown", "Only root", "");
        says(w, "iptables -S INPUT", "-P INPUT DROP\n-A INPUT -p tcp --dport 22 -j ACCEPT\n");
        expect(w, "firewall", "warning", "iptables drops", "iptables");
        says(w, "iptables -S INPUT", "-P INPUT ACCEPT\n");
        expect_well(w);
}

static void test_others(World *w, gconstpointer data)
{
        g_autofree char *np = below(w, "/sys/kernel/config/target/iscsi/" T2 "/tpgt_1/np/x");

        put(w, "/sys/kernel/config/target/iscsi/" T2 "/tpgt_1/np/0.0.0.0:3261", "");
        expect_well(w);
        put(w, "/sys/kernel/config/target/iscsi/" T2 "/tpgt_1/np/0.0.0.0:3260", "");
        expect(w, "others", "problem", "LIO serves " T2 " on 0.0.0.0:3260", "tgtctl convert lio");
        remove_all((g_free(np), np = below(w, "/sys/kernel")));
        put(w, "/sys/kernel/config/target/iscsi/" T1 "/param", "");
        expect(w, "others", "warning", "LIO has a target " T1, "one of them");
        remove_all(np);
        unit(w, "tgt.service", "ActiveState", "active");
        expect(w, "others", "problem", "stgt's daemon", "disable --now tgt.service");
        unit(w, "tgt.service", "ActiveState", "inactive");
        unit(w, "scst.service", "ActiveState", "active");
        expect(w, "others", "warning", "SCST", "disable --now scst.service");
        unit(w, "scst.service", "ActiveState", "inactive");
        put(w, "/proc/modules", "target_core_mod 1 2 - Live 0x0\n");
        w->unprivileged = true;
        put_link(w, "/proc/2/fd/1", "x"); /* nothing to do with it */
        expect(w, "others", "unknown", "LIO's modules", "root");
}

static void test_config(World *w, gconstpointer data)
{
        g_autofree char *folder = below(w, "/run/tgt/targets.d");

        put(w, "/etc/tgt/targets.d/x.conf", "<target " T2 ">\n frob 1\n</target>\n");
        expect(w, "config", "problem", "x.conf:2: ", "tgtctl verify");
        put(w, "/etc/tgt/targets.d/x.conf", "");
        put(w, "/run/tgt/targets.d", "");
        expect(w, "config", "problem", "cannot be read: Not a directory", "");
        remove_all(folder);
        fragment(w, "<target " T1 ">\n backing-store /srv/a\n incominguser u short\n</target>\n");
        expect(w, "config", "warning", "shorter than the 12 bytes", "");
        fragment(w, "<target " T1 ">\n backing-store /srv/a\n incominguser u 0123456789abc\n"
                    " outgoinguser v 0123456789abc\n</target>\n");
        expect(w, "config", "warning", "which RFC 7143 9.2.1 forbids", "");
}

static void test_stores(World *w, gconstpointer data)
{
        g_autofree char *a = below(w, "/srv/a");

        g_assert_cmpint(g_unlink(a), ==, 0);
        expect(w, "stores", "problem", "/srv/a, LUN 1 of " T1 ", is not there", "Create it");
        g_assert_cmpint(g_mkdir(a, 0755), ==, 0);
        expect(w, "stores", "problem", "neither a file nor a block device", "block device");
        g_assert_cmpint(g_rmdir(a), ==, 0);
        put_disk(w, "/srv/a", 0, 0600);
        expect(w, "stores", "problem", "is empty", "truncate");
        put_disk(w, "/srv/a", 1000, 0600);
        expect(w, "stores", "warning", "multiple of 512", "");
        put_disk(w, "/srv/a", 1 << 20, 0644);
        expect(w, "stores", "warning", "read by everybody", "chmod o= /srv/a");
        put_disk(w, "/srv/a", 1 << 20, 0600);
        fragment(w, "<target " T1 ">\n backing-store /srv/link\n</target>\n");
        put_disk(w, "/usr/share/a", 1 << 20, 0600);
        put_link(w, "/srv/link", "../usr/share/a");
        expect(w, "stores", "problem", "/srv/link is below /usr, of which nothing", "Move it");
        fragment(w, "<target " T1 ">\n backing-store /srv/a\n</target>\n");
        put(w, "/sys/fs/selinux/enforce", "1");
        expect(w, "stores", "unknown", "SELinux", "restorecon");
        put(w, "/sys/fs/selinux/enforce", "0");
        put(w, "/sys/kernel/security/apparmor/profiles", "/usr/sbin/tgtd (enforce)\n");
        expect(w, "stores", "unknown", "AppArmor", "/etc/apparmor.d");
}

static void test_use(World *w, gconstpointer data)
{
        put(w, "/proc/swaps", "Filename\tType\n/srv/a   file 1\n");
        expect(w, "use", "problem", "/srv/a is swapped to", "swapoff /srv/a");
        put(w, "/proc/swaps", "Filename\tType\n");
        put(w, "/sys/block/loop3/loop/backing_file", "/srv/a\n");
        expect(w, "use", "problem", "is behind /dev/loop3", "losetup -d /dev/loop3");
        put(w, "/sys/block/loop3/loop/backing_file", "/srv/other\n");
        put(w, "/sys/kernel/config/target/core/fileio_0/disk/udev_path", "/srv/a\n");
        expect(w, "use", "problem", "is served by LIO as disk", "backstore");
}

static void test_use_of_devices(World *w, gconstpointer data)
{
        g_autofree char *device = below(w, "/dev/disk");

        g_assert_cmpint(mknod(device, S_IFBLK | 0600, makedev(251, 7)), ==, 0);
        fragment(w, "<target " T1 ">\n backing-store /dev/disk\n</target>\n");
        expect_well(w);
        put(w, "/proc/self/mountinfo", "22 1 251:7 / /data rw - ext4 /dev/disk rw\n");
        expect(w, "use", "problem", "is mounted on /data", "umount /data");
        put(w, "/proc/self/mountinfo", "22 1 251:8 / /part rw - ext4 /dev/disk1 rw\n");
        put(w, "/sys/dev/block/251:7/disk1/partition", "1\n");
        put(w, "/sys/dev/block/251:7/disk1/dev", "251:8\n");
        expect(w, "use", "problem", "is mounted on /part", "umount /part");
        put(w, "/proc/self/mountinfo", "");
        put(w, "/sys/dev/block/251:7/holders/dm-0/dm/uuid", "mpath-3600\n");
        expect(w, "use", "problem", "one path of the multipath device dm-0", "/dev/mapper");
        put(w, "/sys/dev/block/251:7/holders/dm-0/dm/uuid", "LVM-abc\n");
        expect(w, "use", "problem", "is part of dm-0 (LVM)", "Serve what is built");
        fragment(w, "<target " T1 ">\n <backing-store /dev/disk>\n allow-in-use yes\n"
                    " </backing-store>\n</target>\n");
        expect(w, "use", "warning", "allow-in-use", "Serve what is built");
}

static void test_secrets(World *w, gconstpointer data)
{
        put_mode(w, "/etc/tgt/targets.d/a.conf", 0644);
        expect(w, "secrets", "problem", "everybody can read it", "chmod go= ");
        put_mode(w, "/etc/tgt/targets.d/a.conf", 0640);
        expect(w, "secrets", "warning", "its group can read it", "chmod go= ");
        /* without accounts, anybody may read it */
        fragment(w, "<target " T1 ">\n backing-store /srv/a\n</target>\n");
        put_mode(w, "/etc/tgt/targets.d/a.conf", 0644);
        expect_well(w);
        fragment(w, "<target " T1 ">\n backing-store /srv/a\n incominguser u credential chap.u\n"
                    "</target>\n");
        expect(w, "secrets", "unknown",
               "does not say whether tgtd.service has the credential chap.u", "");
        says(w, "systemctl cat --no-pager tgtd.service",
             "[Service]\nLoadCredential=chap.u2:/etc/tgt/u\n#LoadCredential=chap.u:/etc/tgt/u\n");
        expect(w, "secrets", "problem", "no credential chap.u, of which the secret of u is",
               "LoadCredential=chap.u:FILE");
        says(w, "systemctl cat --no-pager tgtd.service",
             "[Service]\n# x\n LoadCredentialEncrypted=chap.u:/etc/tgt/u\n");
        expect_well(w);
}

static void test_identities(World *w, gconstpointer data)
{
        fragment(w, "<target " T1 ">\n <backing-store /srv/a>\n scsi_id same\n </backing-store>\n"
                    "</target>\n"
                    "<target " T2 ">\n <backing-store /srv/b>\n scsi_id same\n </backing-store>\n"
                    "</target>\n");
        expect(w, "config", "problem", "which is another unit", "tgtctl verify");
        /* one disk on two paths is what multipath is for */
        fragment(w, "<target " T1 ">\n <backing-store /srv/a>\n scsi_id same\n </backing-store>\n"
                    "</target>\n"
                    "<target " T2 ">\n <backing-store /srv/a>\n scsi_id same\n </backing-store>\n"
                    "</target>\n");
        expect_well(w);
}

static void test_state(World *w, gconstpointer data)
{
        w->state_dir = "/var/lib/other";
        put(w, w->state_dir, "no folder");
        expect(w, "state", "problem", "is not a folder", "");
}

static void test_sparse(World *w, gconstpointer data)
{
        put_disk(w, "/srv/a", (off_t)1 << 42, 0600); /* 4 TiB: more than any test machine has */
        expect(w, "state", "warning", "/srv/a: sparse, may come to need 4T more", "Make room");
}

static void test_limits(World *w, gconstpointer data)
{
        unit(w, "tgtd.service", "LimitNOFILE", "1024");
        expect(w, "limits", "problem", "may open 1024 files", "LimitNOFILE=");
        unit(w, "tgtd.service", "LimitNOFILE", "1048576");
        put(w, "/proc/sys/fs/aio-nr", "65536\n");
        expect(w, "limits", "problem", "65536 are taken", "fs.aio-max-nr");
        put(w, "/proc/sys/fs/aio-nr", "65535\n");
        expect_well(w);
        fragment(w, "<target " T1 ">\n backing-store /srv/a\n bs-type aio\n</target>\n");
        expect(w, "limits", "problem", "for bs-type aio", "fs.aio-max-nr");
}

static void test_clock(World *w, gconstpointer data)
{
        says(w, "timedatectl show --value -p NTPSynchronized", "no\n");
        expect(w, "clock", "warning", "not synchronised", "set-ntp");
        says(w, "timedatectl show --value -p NTPSynchronized", "!");
        expect(w, "clock", "unknown", "does not say", "");
}

int main(int argc, char **argv)
{
        static const struct {
                const char *name;
                void (*run)(World *w, gconstpointer data);
        } tests[] = {
                { "all-well", test_all_well },
                { "units", test_units },
                { "portals", test_portals },
                { "port", test_port },
                { "firewalld", test_firewalld },
                { "nftables", test_nftables },
                { "others", test_others },
                { "config", test_config },
                { "stores", test_stores },
                { "use", test_use },
                { "use-of-devices", test_use_of_devices },
                { "secrets", test_secrets },
                { "identities", test_identities },
                { "state", test_state },
                { "sparse", test_sparse },
                { "limits", test_limits },
                { "clock", test_clock },
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
                g_autofree char *name = g_strconcat("/doctor/", tests[i].name, NULL);

                g_test_add(name, World, NULL, setup, tests[i].run, teardown);
        }
        return g_test_run();
}
