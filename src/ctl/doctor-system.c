/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/parse.h"
#include "ctl/doctor.h"

#define ISCSI_PORT 3260
#define TCP_LISTEN "0A"

/* ---- units ----------------------------------------------------------------------------------- */

static bool unit_is(Doctor *d, const char *unit, const char *property, const char *value)
{
        g_autofree char *is = doctor_unit(d, unit, property);

        return is && STREQ(is, value);
}

static bool is_active(Doctor *d, const char *unit)
{
        return unit_is(d, unit, "ActiveState", "active");
}

static void check_failed(Doctor *d)
{
        static const char *const units[] = { "tgtd.service", "tgtd.socket", "tgtd-open.socket",
                                             "tgtd-open.service" };

        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                g_autofree char *fix = g_strdup_printf("journalctl -b -u %s; then systemctl "
                                                       "restart %s",
                                                       units[i], units[i]);
                g_autofree char *result = NULL;

                if (!unit_is(d, units[i], "ActiveState", "failed"))
                        continue;
                result = doctor_unit(d, units[i], "Result");
                doctor_find(d, FINDING_PROBLEM, fix, "%s has failed (%s)", units[i],
                            result && *result ? result : "no reason given");
        }
}

void check_units(Doctor *d)
{
        g_autofree char *load = doctor_unit(d, "tgtd.service", "LoadState");
        bool active;

        if (!load || !*load) {
                doctor_find(d, FINDING_UNKNOWN, NULL,
                            "systemd does not answer here; tgtd must be started by other means");
                return;
        }
        if (!STREQ(load, "loaded")) {
                doctor_find(d, FINDING_PROBLEM,
                            STREQ(load, "masked") ? "systemctl unmask tgtd.service"
                                                  : "make install; systemctl daemon-reload",
                            "tgtd.service is %s", load);
                return;
        }
        check_failed(d);
        active = is_active(d, "tgtd.socket") || is_active(d, "tgtd.service");
        if (!unit_is(d, "tgtd.socket", "UnitFileState", "enabled") &&
            !unit_is(d, "tgtd.service", "UnitFileState", "enabled"))
                doctor_find(d, FINDING_WARNING, "systemctl enable tgtd.socket",
                            "Neither tgtd.socket nor tgtd.service is enabled: after a reboot "
                            "nothing is served");
        if (!active)
                doctor_find(d, FINDING_WARNING, "systemctl start tgtd.socket",
                            "Neither tgtd.socket nor tgtd.service is active: nothing is served "
                            "now");
        if (doctor_all_well(d))
                doctor_find(d, FINDING_OK, NULL, "tgtd is enabled and active");
}

/* ---- portals --------------------------------------------------------------------------------- */

/* The addresses of "[::]:3260 (Stream)\n...". */
static char **socket_addresses(Doctor *d)
{
        g_autofree char *listen = doctor_unit(d, "tgtd.socket", "Listen");
        g_autoptr(GPtrArray) found = g_ptr_array_new();
        g_auto(GStrv) words = g_strsplit_set(listen ? listen : "", " \n", -1);

        for (char **w = words; *w; w++)
                if (**w && **w != '(')
                        g_ptr_array_add(found, g_strdup(*w));
        g_ptr_array_add(found, NULL);
        return (char **)g_ptr_array_free(g_steal_pointer(&found), FALSE);
}

static void add_port(GArray *ports, const char *address)
{
        SockAddr a;
        uint16_t port;

        if (sockaddr_parse(address, ISCSI_PORT, true, &a) < 0)
                return;
        port = sockaddr_port(&a);
        for (guint i = 0; i < ports->len; i++)
                if (g_array_index(ports, uint16_t, i) == port)
                        return;
        g_array_append_val(ports, port);
}

GArray *doctor_ports(Doctor *d)
{
        GArray *ports = g_array_new(FALSE, FALSE, sizeof(uint16_t));
        g_auto(GStrv) addresses = socket_addresses(d);

        for (char **a = addresses; *a; a++)
                add_port(ports, *a);
        for (guint i = 0; i < d->desired->portals->len; i++)
                add_port(ports, ((PortalSpec *)g_ptr_array_index(d->desired->portals, i))->address);
        if (ports->len == 0)
                add_port(ports, "0.0.0.0:3260");
        return ports;
}

/* Is portal's port taken on every address by one of the socket unit's? */
static bool socket_has_all(char **addresses, const char *portal)
{
        SockAddr p, a;

        if (sockaddr_parse(portal, ISCSI_PORT, true, &p) < 0)
                return false;
        for (; *addresses; addresses++)
                if ((g_str_has_prefix(*addresses, "[::]:") ||
                     g_str_has_prefix(*addresses, "0.0.0.0:")) &&
                    sockaddr_parse(*addresses, ISCSI_PORT, true, &a) >= 0 &&
                    sockaddr_port(&a) == sockaddr_port(&p))
                        return true;
        return false;
}

void check_portals(Doctor *d)
{
        g_auto(GStrv) addresses = socket_addresses(d);
        bool by_socket = is_active(d, "tgtd.socket");
        bool service = unit_is(d, "tgtd.service", "UnitFileState", "enabled");

        for (guint i = 0; i < d->desired->portals->len; i++) {
                const PortalSpec *p = g_ptr_array_index(d->desired->portals, i);

                if (by_socket && socket_has_all(addresses, p->address))
                        doctor_find(d, FINDING_PROBLEM,
                                    "Take the portal away, or give tgtd.socket addresses of its "
                                    "own: systemctl edit tgtd.socket (ListenStream=)",
                                    "%s:%u: portal %s cannot be bound: tgtd.socket has that port "
                                    "on all addresses",
                                    p->at.file ? p->at.file : "", p->at.line, p->address);
                else if (*addresses && !service)
                        doctor_find(d, FINDING_WARNING, "systemctl enable tgtd.service",
                                    "%s:%u: portal %s is there only while tgtd.service runs, "
                                    "which is not enabled",
                                    p->at.file ? p->at.file : "", p->at.line, p->address);
        }
        if (doctor_all_well(d))
                doctor_find(d, FINDING_OK, NULL, "%u of fragments, %u of tgtd.socket",
                            d->desired->portals->len, g_strv_length(addresses));
}

/* ---- the port -------------------------------------------------------------------------------- */

/* Inodes of the sockets that listen on port, from a table of /proc/net. */
static void add_listeners(Doctor *d, const char *table, uint16_t port, GPtrArray *inodes)
{
        g_autofree char *text = doctor_read(d, table);
        g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);

        for (char **l = lines; *l && l[1]; l++) {
                char local[64], state[8];
                unsigned long inode;
                const char *colon;

                if (sscanf(l[1], " %*s %63s %*s %7s %*s %*s %*s %*s %*s %lu", local, state,
                           &inode) != 3)
                        continue;
                colon = strrchr(local, ':');
                if (STREQ(state, TCP_LISTEN) && colon && strtoul(colon + 1, NULL, 16) == port)
                        g_ptr_array_add(inodes, g_strdup_printf("socket:[%lu]", inode));
        }
}

/* The number of a process that has the socket; 0: none that we may look at. */
static unsigned find_owner(Doctor *d, const char *socket)
{
        g_autoptr(GPtrArray) processes = doctor_list(d, "/proc");

        for (guint i = 0; i < processes->len; i++) {
                const char *pid = g_ptr_array_index(processes, i);
                g_autofree char *folder = g_strdup_printf("/proc/%s/fd", pid);
                g_autoptr(GPtrArray) fds = NULL;

                if (!g_ascii_isdigit(*pid))
                        continue;
                fds = doctor_list(d, folder);
                for (guint k = 0; k < fds->len; k++) {
                        g_autofree char *name = g_strdup_printf("%s%s/%s", d->root, folder,
                                                                (char *)g_ptr_array_index(fds, k));
                        g_autofree char *link = g_file_read_link(name, NULL);

                        if (link && STREQ(link, socket))
                                return (unsigned)strtoul(pid, NULL, 10);
                }
        }
        return 0;
}

static bool in_unit(Doctor *d, unsigned pid, const char *unit)
{
        g_autofree char *path = g_strdup_printf("/proc/%u/cgroup", pid);
        g_autofree char *needle = g_strdup_printf("/%s", unit);
        g_autofree char *text = doctor_read(d, path);

        return text && strstr(text, needle);
}

static void found_owner(Doctor *d, uint16_t port, unsigned pid)
{
        g_autofree char *path = g_strdup_printf("/proc/%u/comm", pid);
        g_autofree char *comm = doctor_read(d, path);
        struct stat st;

        g_strchomp(comm ? comm : (comm = g_strdup("?")));
        if (in_unit(d, pid, "tgt.service"))
                doctor_find(d, FINDING_PROBLEM, "systemctl disable --now tgt.service",
                            "Port %u is taken by stgt's tgtd (process %u)", port, pid);
        else if (pid == 1 && (is_active(d, "tgtd.socket") || is_active(d, "tgtd.service")))
                doctor_find(d, FINDING_OK, NULL, "systemd has port %u for tgtd", port);
        else if (pid != 1 && STREQ(comm, "tgtd") &&
                 (in_unit(d, pid, "tgtd.service") || doctor_stat(d, "/run/tgt", &st) >= 0))
                doctor_find(d, FINDING_OK, NULL, "tgtd (process %u) has port %u", pid, port);
        else
                doctor_find(d, FINDING_PROBLEM,
                            "End that program, or give tgtd another port: systemctl edit "
                            "tgtd.socket (ListenStream=)",
                            "Port %u is taken by %s (process %u)", port, comm, pid);
}

static void check_one_port(Doctor *d, uint16_t port)
{
        g_autoptr(GPtrArray) inodes = g_ptr_array_new_with_free_func(g_free);

        add_listeners(d, "/proc/net/tcp", port, inodes);
        add_listeners(d, "/proc/net/tcp6", port, inodes);
        if (inodes->len == 0 && is_active(d, "tgtd.socket"))
                doctor_find(d, FINDING_PROBLEM, "systemctl restart tgtd.socket",
                            "Nobody listens on port %u, although tgtd.socket is active", port);
        else if (inodes->len == 0)
                doctor_find(d, FINDING_OK, NULL, "Port %u is free", port);
        for (guint i = 0; i < inodes->len; i++) {
                unsigned pid = find_owner(d, g_ptr_array_index(inodes, i));

                if (pid > 0)
                        found_owner(d, port, pid);
                else if (!d->privileged)
                        doctor_find(d, FINDING_UNKNOWN, "Run it as root",
                                    "Somebody listens on port %u; only root sees who", port);
                else
                        doctor_find(d, FINDING_PROBLEM, "targetcli clearconfig confirm=True",
                                    "Port %u is taken by the kernel itself: LIO", port);
        }
}

void check_port(Doctor *d)
{
        g_autoptr(GArray) ports = doctor_ports(d);

        for (guint i = 0; i < ports->len; i++)
                check_one_port(d, g_array_index(ports, uint16_t, i));
}

/* ---- the firewall ---------------------------------------------------------------------------- */

static bool has_word(const char *text, const char *word)
{
        g_auto(GStrv) words = g_strsplit_set(text, " \t\n", -1);

        return g_strv_contains((const char *const *)words, word);
}

/* true: firewalld decides, and it has been said what. */
static bool check_firewalld(Doctor *d, uint16_t port)
{
        g_autofree char *state = doctor_ask(d, "firewall-cmd", "--state", NULL);
        g_autofree char *services = NULL, *ports = NULL, *wanted = NULL;

        if (!state || !STREQ(state, "running"))
                return false;
        services = doctor_ask(d, "firewall-cmd", "--list-services", NULL);
        ports = doctor_ask(d, "firewall-cmd", "--list-ports", NULL);
        wanted = g_strdup_printf("%u/tcp", port);
        if (!services || !ports)
                doctor_find(d, FINDING_UNKNOWN, "Run it as root",
                            "firewalld runs, and does not say what it lets in");
        else if ((port == ISCSI_PORT &&
                  (has_word(services, "tgt") || has_word(services, "iscsi-target"))) ||
                 has_word(ports, wanted))
                doctor_find(d, FINDING_OK, NULL, "firewalld lets port %u in", port);
        else {
                g_autofree char *fix =
                        port == ISCSI_PORT
                                ? g_strdup("firewall-cmd --permanent --add-service=tgt && "
                                           "firewall-cmd --reload")
                                : g_strdup_printf("firewall-cmd --permanent --add-port=%s && "
                                                  "firewall-cmd --reload",
                                                  wanted);

                doctor_find(d, FINDING_PROBLEM, fix,
                            "firewalld does not let port %u in (in its default zone)", port);
        }
        return true;
}

/* Rules can say anything; what is looked for is a chain that drops by itself, and whether any rule
 * names the port. */
static void check_rules(Doctor *d, const char *rules, const char *program, bool drops,
                        uint16_t port)
{
        g_autofree char *number = g_strdup_printf("%u", port);
        g_autofree char *fix = g_strdup_printf("Let tcp port %u in with %s", port, program);

        if (!drops)
                doctor_find(d, FINDING_OK, NULL, "%s drops nothing by default", program);
        else if (strstr(rules, number) || strstr(rules, "iscsi"))
                doctor_find(d, FINDING_OK, NULL, "A rule of %s names port %u", program, port);
        else
                doctor_find(d, FINDING_WARNING, fix,
                            "%s drops what no rule lets in, and no rule names port %u", program,
                            port);
}

static void check_one_firewall(Doctor *d, uint16_t port)
{
        static const char *const nft[] = { "nft", "list", "ruleset", NULL };
        static const char *const iptables[] = { "iptables", "-S", "INPUT", NULL };
        g_autofree char *rules = NULL, *old = NULL;
        int nft_code = 0, iptables_code = 0;

        if (check_firewalld(d, port))
                return;
        rules = d->command(nft, &nft_code, d->userdata);
        old = d->command(iptables, &iptables_code, d->userdata);
        if (rules && nft_code == 0)
                check_rules(d, rules, "nftables",
                            strstr(rules, "hook input") &&
                                    (strstr(rules, "policy drop") || strstr(rules, "reject") ||
                                     strstr(rules, "\tdrop")),
                            port);
        else if (old && iptables_code == 0)
                check_rules(d, old, "iptables",
                            strstr(old, "-P INPUT DROP") || strstr(old, "-j REJECT") ||
                                    strstr(old, "-j DROP"),
                            port);
        else if (rules || old)
                doctor_find(d, FINDING_UNKNOWN, d->privileged ? NULL : "Run it as root",
                            "Only root sees the rules of the firewall");
        else
                doctor_find(d, FINDING_OK, NULL, "There is no firewalld, nftables or iptables");
}

void check_firewall(Doctor *d)
{
        g_autoptr(GArray) ports = doctor_ports(d);

        for (guint i = 0; i < ports->len; i++)
                check_one_firewall(d, g_array_index(ports, uint16_t, i));
}

/* ---- others beside us ------------------------------------------------------------------------ */

#define LIO_ISCSI "/sys/kernel/config/target/iscsi"

static bool has_port(Doctor *d, const char *portal)
{
        g_autoptr(GArray) ports = doctor_ports(d);
        const char *colon = strrchr(portal, ':');

        for (guint i = 0; colon && i < ports->len; i++)
                if (strtoul(colon + 1, NULL, 10) == g_array_index(ports, uint16_t, i))
                        return true;
        return false;
}

static void check_lio_target(Doctor *d, const char *target)
{
        g_autofree char *folder = g_strdup_printf(LIO_ISCSI "/%s", target);
        g_autoptr(GPtrArray) groups = doctor_list(d, folder);

        for (guint i = 0; i < groups->len; i++) {
                g_autofree char *np =
                        g_strdup_printf("%s/%s/np", folder, (char *)g_ptr_array_index(groups, i));
                g_autoptr(GPtrArray) portals = doctor_list(d, np);

                for (guint k = 0; k < portals->len; k++)
                        if (has_port(d, g_ptr_array_index(portals, k)))
                                doctor_find(d, FINDING_PROBLEM,
                                            "targetcli saveconfig; targetcli clearconfig "
                                            "confirm=True; tgtctl convert lio shows how to go on",
                                            "LIO serves %s on %s", target,
                                            (char *)g_ptr_array_index(portals, k));
        }
        if (g_hash_table_contains(d->desired->targets, target))
                doctor_find(d, FINDING_WARNING, "Serve it by one of them",
                            "LIO has a target %s too", target);
}

void check_others(Doctor *d)
{
        static const struct {
                const char *unit, *what;
                FindingLevel level;
        } units[] = {
                { "tgt.service", "stgt's daemon", FINDING_PROBLEM },
                { "scst.service", "SCST", FINDING_WARNING },
                { "rtslib-fb-targetctl.service", "LIO's configuration", FINDING_WARNING },
                { "target.service", "LIO's configuration", FINDING_WARNING },
        };
        g_autoptr(GPtrArray) targets = doctor_list(d, LIO_ISCSI);
        g_autofree char *modules = doctor_read(d, "/proc/modules");
        struct stat st;

        for (guint i = 0; i < targets->len; i++)
                if (strchr(g_ptr_array_index(targets, i), '.'))
                        check_lio_target(d, g_ptr_array_index(targets, i));
        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                g_autofree char *fix = g_strdup_printf("systemctl disable --now %s", units[i].unit);

                if (is_active(d, units[i].unit))
                        doctor_find(d, units[i].level, fix, "%s runs beside (%s)", units[i].what,
                                    units[i].unit);
        }
        if (modules && strstr(modules, "target_core_mod ") && doctor_stat(d, LIO_ISCSI, &st) < 0 &&
            !d->privileged)
                doctor_find(d, FINDING_UNKNOWN, "Run it as root",
                            "LIO's modules are loaded; only root sees what it serves");
        if (doctor_all_well(d))
                doctor_find(d, FINDING_OK, NULL, "No other target serves on our ports");
}

/* ---- limits and clock ------------------------------------------------------------------------ */

static bool read_number(Doctor *d, const char *path, uint64_t *ret)
{
        g_autofree char *text = doctor_read(d, path);

        return text && parse_u64(g_strstrip(text), 0, UINT64_MAX, ret) >= 0;
}

static void count_lun(Doctor *d, const TargetSpec *t, const LunSpec *l)
{
        d->n_luns++;
        d->n_aio += l->bs_type && STREQ(l->bs_type, "aio");
}

#define FILES_PER_LUN 2 /* its store, and a lock */
#define FILES_SPARE 1024
#define AIO_PER_WORKER 1024U /* store/aio.c */

/* What runs has taken its share already. */
static uint64_t aio_wanted(Doctor *d)
{
        return is_active(d, "tgtd.service") || d->n_aio == 0
                       ? 0
                       : AIO_PER_WORKER * (uint64_t)g_get_num_processors();
}

void check_limits(Doctor *d)
{
        g_autofree char *limit = doctor_unit(d, "tgtd.service", "LimitNOFILE");
        uint64_t files, aio_max = 0, aio_used = 0, wanted;

        d->n_luns = d->n_aio = 0;
        doctor_each_lun(d, count_lun);
        wanted = d->n_luns * FILES_PER_LUN + FILES_SPARE;
        if (limit && parse_u64(limit, 0, UINT64_MAX, &files) >= 0 && files < wanted)
                doctor_find(d, FINDING_PROBLEM, "systemctl edit tgtd.service (LimitNOFILE=1048576)",
                            "tgtd.service may open %" PRIu64 " files, and %u LUNs and their "
                            "sessions want %" PRIu64,
                            files, d->n_luns, wanted);
        if (!read_number(d, "/proc/sys/fs/aio-max-nr", &aio_max) ||
            !read_number(d, "/proc/sys/fs/aio-nr", &aio_used))
                doctor_find(d, FINDING_UNKNOWN, NULL,
                            "The kernel does not say how much asynchronous I/O it allows");
        else if (aio_used + aio_wanted(d) >= aio_max)
                doctor_find(d, FINDING_PROBLEM,
                            "sysctl fs.aio-max-nr=1048576, and for good in "
                            "/etc/sysctl.d",
                            "The kernel allows %" PRIu64 " asynchronous requests, %" PRIu64
                            " are taken, and tgtd wants %" PRIu64 " for bs-type aio",
                            aio_max, aio_used, aio_wanted(d));
        if (doctor_all_well(d))
                doctor_find(d, FINDING_OK, NULL, "Enough files and requests for %u LUNs",
                            d->n_luns);
}

void check_clock(Doctor *d)
{
        g_autofree char *yes =
                doctor_ask(d, "timedatectl", "show", "--value", "-p", "NTPSynchronized", NULL);

        if (!yes)
                doctor_find(d, FINDING_UNKNOWN, NULL,
                            "timedatectl does not say whether the clock is synchronised");
        else if (STREQ(yes, "yes"))
                doctor_find(d, FINDING_OK, NULL, "The clock is synchronised");
        else
                doctor_find(d, FINDING_WARNING, "timedatectl set-ntp true",
                            "The clock is not synchronised: the journal cannot be compared with "
                            "those of initiators");
}
