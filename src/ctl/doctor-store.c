/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/doctor.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "base/parse.h"
#include "base/system-folder.h"
#include "ctl/format.h"

#define USER "tgt"
#define STATE_ROOM_MIN (UINT64_C(16) << 20)

/* Types whose path is that of a file. */
static bool has_file(const LunSpec *l)
{
        return l->path && l->path[0] == '/' &&
               (!l->bs_type || STREQ(l->bs_type, "rdwr") || STREQ(l->bs_type, "aio"));
}

/* ---- there, and can be opened ---------------------------------------------------------------- */

static bool user_may(const struct stat *st, uid_t uid, bool readonly)
{
        mode_t want = readonly ? 4 : 6;

        if (st->st_uid == uid)
                return ((st->st_mode >> 6) & want) == want;
        return (st->st_mode & want) == want;
}

/* tgtd.service starts it. */
static bool helper_comes(Doctor *d)
{
        g_autofree char *load = doctor_unit(d, "tgtd-open.socket", "LoadState");
        g_autofree char *state = doctor_unit(d, "tgtd-open.socket", "ActiveState");
        g_autofree char *daemon = doctor_unit(d, "tgtd.service", "ActiveState");

        if (daemon && STREQ(daemon, "active"))
                return state && STREQ(state, "active");
        return load && STREQ(load, "loaded");
}

/* What is root's alone is opened by the helper. */
static void check_access(Doctor *d, const LunSpec *l, const struct stat *st)
{
        const struct passwd *pw = getpwnam(USER);
        g_autofree char *fix = NULL;

        if (!pw || pw->pw_uid == 0 || user_may(st, pw->pw_uid, l->readonly) || helper_comes(d))
                return;
        fix = g_strdup_printf("systemctl start tgtd-open.socket, or: chown " USER " %s", l->path);
        doctor_find(d, FINDING_PROBLEM, fix,
                    "%s cannot be opened by the user " USER
                    ", and tgtd-open.socket, which could do it, is not active",
                    l->path);
}

static void check_regular(Doctor *d, const LunSpec *l, const struct stat *st)
{
        g_autofree char *fix = g_strdup_printf("truncate -s 10G %s", l->path);
        g_autofree char *mode = g_strdup_printf("chmod o= %s", l->path);

        if (st->st_size == 0)
                doctor_find(d, FINDING_PROBLEM, fix, "%s is empty: a disk without blocks", l->path);
        else if (st->st_size % 512 != 0)
                doctor_find(d, FINDING_WARNING, NULL,
                            "%s does not end at a multiple of 512 bytes; the rest is not served",
                            l->path);
        if (st->st_mode & S_IROTH)
                doctor_find(d, FINDING_WARNING, mode,
                            "%s can be read by everybody on this host, and so can what initiators "
                            "keep in it",
                            l->path);
}

/* As tgtd-open sees it, which refuses to open what is there. */
static void check_folder(Doctor *d, const LunSpec *l)
{
        g_autofree char *path = doctor_path(d, l->path);
        _cleanup_free_ char *resolved = realpath(path, NULL);
        const char *folder = NULL;

        if (resolved && g_str_has_prefix(resolved, d->root))
                folder = system_folder(resolved + strlen(d->root));
        if (folder)
                doctor_find(d, FINDING_PROBLEM, "Move it to /srv, for example",
                            "%s is below %s, of which nothing is served", l->path, folder);
}

static void check_store(Doctor *d, const TargetSpec *t, const LunSpec *l)
{
        struct stat st;
        int r;

        if (!has_file(l))
                return;
        r = doctor_stat(d, l->path, &st);
        if (r == -EACCES && !d->privileged)
                doctor_find(d, FINDING_UNKNOWN, "Run it as root", "%s cannot be looked at",
                            l->path);
        else if (r == -ENOENT || r == -ENOTDIR)
                doctor_find(d, FINDING_PROBLEM,
                            "Create it, mount what it lies on, or take the LUN away; it comes "
                            "ready by itself",
                            "%s, LUN %u of %s, is not there", l->path, l->lun, t->name);
        else if (r < 0)
                doctor_find(d, FINDING_PROBLEM, NULL, "%s: %s", l->path, g_strerror(-r));
        else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
                doctor_find(d, FINDING_PROBLEM, "Name a file or a block device",
                            "%s is neither a file nor a block device", l->path);
        else {
                check_folder(d, l);
                check_access(d, l, &st);
                if (S_ISREG(st.st_mode))
                        check_regular(d, l, &st);
        }
}

/* Policies of the kernel that modes say nothing about. */
static void check_mac(Doctor *d)
{
        g_autofree char *selinux = doctor_read(d, "/sys/fs/selinux/enforce");
        g_autofree char *apparmor = doctor_read(d, "/sys/kernel/security/apparmor/profiles");

        if (selinux && *selinux == '1')
                doctor_find(d, FINDING_UNKNOWN,
                            "If a store is refused: ausearch -m avc -ts recent; restorecon -v FILE",
                            "SELinux enforces its policy, which may forbid what modes allow");
        if (apparmor && strstr(apparmor, "tgtd"))
                doctor_find(d, FINDING_UNKNOWN,
                            "If a store is refused: journalctl -k -g apparmor; edit the profile in "
                            "/etc/apparmor.d",
                            "AppArmor has a profile for tgtd, perhaps stgt's, which may forbid "
                            "what modes allow");
}

void check_stores(Doctor *d)
{
        doctor_each_lun(d, check_store);
        check_mac(d);
        if (doctor_all_well(d))
                doctor_find(d, FINDING_OK, NULL, "All are there and can be opened");
}

/* ---- in use ---------------------------------------------------------------------------------- */

static void in_use(Doctor *d, const LunSpec *l, const char *fix, const char *what)
{
        doctor_find(d, l->allow_in_use ? FINDING_WARNING : FINDING_PROBLEM, fix, "%s %s%s", l->path,
                    what, l->allow_in_use ? " (allow-in-use)" : ": two who write destroy it");
}

/* Where "MAJOR:MINOR" is mounted; NULL: nowhere. */
static char *mounted_at(Doctor *d, const char *device)
{
        g_autofree char *text = doctor_read(d, "/proc/self/mountinfo");
        g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);

        for (char **l = lines; *l; l++) {
                g_auto(GStrv) fields = g_strsplit(*l, " ", 6);

                if (g_strv_length(fields) >= 5 && STREQ(fields[2], device))
                        return g_strdup(fields[4]);
        }
        return NULL;
}

static void check_mounted(Doctor *d, const LunSpec *l, const char *device)
{
        g_autofree char *at = mounted_at(d, device);
        g_autofree char *what = at ? g_strdup_printf("is mounted on %s", at) : NULL;
        g_autofree char *fix = at ? g_strdup_printf("umount %s", at) : NULL;

        if (at)
                in_use(d, l, fix, what);
}

static void check_partitions(Doctor *d, const LunSpec *l, const char *folder)
{
        g_autoptr(GPtrArray) names = doctor_list(d, folder);

        for (guint i = 0; i < names->len; i++) {
                const char *name = g_ptr_array_index(names, i);
                g_autofree char *marker = g_strdup_printf("%s/%s/partition", folder, name);
                g_autofree char *number = g_strdup_printf("%s/%s/dev", folder, name);
                g_autofree char *is = doctor_read(d, marker);
                g_autofree char *device = is ? doctor_read(d, number) : NULL;

                if (device)
                        check_mounted(d, l, g_strstrip(device));
        }
}

/* What is built on the device. */
static void check_holders(Doctor *d, const LunSpec *l, const char *folder)
{
        g_autofree char *holders = g_strdup_printf("%s/holders", folder);
        g_autoptr(GPtrArray) names = doctor_list(d, holders);

        for (guint i = 0; i < names->len; i++) {
                const char *name = g_ptr_array_index(names, i);
                g_autofree char *path = g_strdup_printf("%s/%s/dm/uuid", holders, name);
                g_autofree char *uuid = doctor_read(d, path);
                g_autofree char *what = NULL;

                if (uuid && g_str_has_prefix(uuid, "mpath-")) {
                        what = g_strdup_printf("is one path of the multipath device %s", name);
                        in_use(d, l,
                               "Serve /dev/mapper/NAME of the multipath device (multipath -ll)",
                               what);
                } else {
                        what = g_strdup_printf("is part of %s (%s)", name,
                                               uuid && g_str_has_prefix(uuid, "LVM-") ? "LVM"
                                               : uuid                         ? g_strchomp(uuid)
                                               : g_str_has_prefix(name, "md") ? "RAID"
                                                                              : "a holder");
                        in_use(d, l, "Serve what is built on it, or take it apart", what);
                }
        }
}

static void check_swaps(Doctor *d, const LunSpec *l)
{
        g_autofree char *text = doctor_read(d, "/proc/swaps");
        g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
        g_autofree char *fix = g_strdup_printf("swapoff %s", l->path);

        for (char **line = lines; *line; line++) {
                g_auto(GStrv) fields = g_strsplit_set(*line, " \t", 2);

                if (fields[0] && STREQ(fields[0], l->path))
                        in_use(d, l, fix, "is swapped to");
        }
}

static void check_loops(Doctor *d, const LunSpec *l)
{
        g_autoptr(GPtrArray) names = doctor_list(d, "/sys/block");

        for (guint i = 0; i < names->len; i++) {
                const char *name = g_ptr_array_index(names, i);
                g_autofree char *path = g_strdup_printf("/sys/block/%s/loop/backing_file", name);
                g_autofree char *file = doctor_read(d, path);
                g_autofree char *what = NULL, *fix = NULL;

                if (!file || !STREQ(g_strchomp(file), l->path))
                        continue;
                what = g_strdup_printf("is behind /dev/%s", name);
                fix = g_strdup_printf("losetup -d /dev/%s", name);
                in_use(d, l, fix, what);
        }
}

/* core/HBA/NAME/udev_path, of files and devices alike */
static void check_lio(Doctor *d, const LunSpec *l)
{
        static const char core[] = "/sys/kernel/config/target/core";
        g_autoptr(GPtrArray) hbas = doctor_list(d, core);

        for (guint i = 0; i < hbas->len; i++) {
                g_autofree char *hba =
                        g_strdup_printf("%s/%s", core, (char *)g_ptr_array_index(hbas, i));
                g_autoptr(GPtrArray) names = doctor_list(d, hba);

                for (guint k = 0; k < names->len; k++) {
                        const char *name = g_ptr_array_index(names, k);
                        g_autofree char *path = g_strdup_printf("%s/%s/udev_path", hba, name);
                        g_autofree char *file = doctor_read(d, path);
                        g_autofree char *what = NULL;

                        if (!file || !STREQ(g_strstrip(file), l->path))
                                continue;
                        what = g_strdup_printf("is served by LIO as %s", name);
                        in_use(d, l, "Delete LIO's backstore: targetcli /backstores", what);
                }
        }
}

static void check_one_use(Doctor *d, const TargetSpec *t, const LunSpec *l)
{
        g_autofree char *device = NULL, *folder = NULL;
        struct stat st;

        if (!has_file(l))
                return;
        check_swaps(d, l);
        check_lio(d, l);
        if (doctor_stat(d, l->path, &st) < 0)
                return;
        if (S_ISREG(st.st_mode))
                check_loops(d, l);
        if (!S_ISBLK(st.st_mode))
                return;
        device = g_strdup_printf("%u:%u", major(st.st_rdev), minor(st.st_rdev));
        folder = g_strdup_printf("/sys/dev/block/%s", device);
        check_mounted(d, l, device);
        check_partitions(d, l, folder);
        check_holders(d, l, folder);
}

void check_use(Doctor *d)
{
        doctor_each_lun(d, check_one_use);
        if (doctor_all_well(d))
                doctor_find(d, FINDING_OK, NULL, "Nothing is used by somebody else");
}

/* ---- the state directory and room ------------------------------------------------------------ */

static void check_state_dir(Doctor *d)
{
        const struct passwd *pw = getpwnam(USER);
        g_autofree char *path = doctor_path(d, d->state_dir), *fix = NULL;
        struct statvfs fs;
        struct stat st;
        uint64_t room;

        if (stat(path, &st) < 0) {
                if (errno != ENOENT) /* or the service makes it when it starts */
                        doctor_find(d, FINDING_UNKNOWN, "Run it as root", "%s: %s", d->state_dir,
                                    g_strerror(errno));
                return;
        }
        fix = g_strdup_printf("chown -R " USER ": %s", d->state_dir);
        if (!S_ISDIR(st.st_mode))
                doctor_find(d, FINDING_PROBLEM, NULL, "%s is not a folder", d->state_dir);
        else if (pw && st.st_uid != pw->pw_uid && STREQ(d->state_dir, "/var/lib/tgt"))
                doctor_find(d, FINDING_PROBLEM, fix,
                            "%s does not belong to " USER
                            ": changes and identities cannot be written down",
                            d->state_dir);
        if (statvfs(path, &fs) < 0)
                return;
        room = (uint64_t)fs.f_bavail * fs.f_frsize;
        if (fs.f_flag & ST_RDONLY)
                doctor_find(d, FINDING_PROBLEM, "Mount it for writing", "%s is read-only",
                            d->state_dir);
        else if (room < STATE_ROOM_MIN)
                doctor_find(d, FINDING_PROBLEM, "Make room",
                            "%s has %" PRIu64 " KiB left: changes cannot be written down",
                            d->state_dir, room >> 10);
}

/* Of one file system: what its sparse files may still come to need. */
typedef struct Sparse {
        uint64_t missing;
        char *path; /* one of them */
        char *real;
        unsigned n;
} Sparse;

static void sparse_free(gpointer p)
{
        Sparse *s = p;

        g_free(s->path);
        g_free(s->real);
        g_free(s);
}

static void note_sparse(Doctor *d, const TargetSpec *t, const LunSpec *l)
{
        struct stat st;
        gpointer key;
        Sparse *s;

        if (!has_file(l) || doctor_stat(d, l->path, &st) < 0 || !S_ISREG(st.st_mode) ||
            st.st_size / 512 <= st.st_blocks)
                return;
        key = GUINT_TO_POINTER((guint)st.st_dev);
        s = g_hash_table_lookup(d->sparse, key);
        if (!s) {
                s = g_new0(Sparse, 1);
                s->path = g_strdup(l->path);
                s->real = doctor_path(d, l->path);
                g_hash_table_insert(d->sparse, key, s);
        }
        s->missing += (uint64_t)(st.st_size - st.st_blocks * 512);
        s->n++;
}

static void check_sparse(Doctor *d)
{
        GHashTableIter iter;
        gpointer value;

        d->sparse = g_hash_table_new_full(NULL, NULL, NULL, sparse_free);
        doctor_each_lun(d, note_sparse);
        g_hash_table_iter_init(&iter, d->sparse);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const Sparse *s = value;
                g_autofree char *missing = format_bytes(s->missing), *room = NULL;
                struct statvfs fs;

                if (statvfs(s->real, &fs) < 0 || (uint64_t)fs.f_bavail * fs.f_frsize >= s->missing)
                        continue;
                room = format_bytes((uint64_t)fs.f_bavail * fs.f_frsize);
                doctor_find(d, FINDING_WARNING,
                            "Make room: when it is full, initiators get write errors",
                            "%s%s: sparse, may come to need %s more, and %s are free there",
                            s->path, s->n > 1 ? " and others beside it" : "", missing, room);
        }
        g_clear_pointer(&d->sparse, g_hash_table_unref);
}

void check_state(Doctor *d)
{
        check_state_dir(d);
        check_sparse(d);
        if (doctor_all_well(d))
                doctor_find(d, FINDING_OK, NULL, "There is room, and it can be written");
}
