/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>

#include "ctl/context.h"
#include "ctl/model.h"
#include "ctl/offline.h"
#include "ctl/verb-functions.h"

/* clang-format off: one row per check, in the order in which they are shown */
static const Check table[] = {
        { "units",
          "Whether tgtd.socket or tgtd.service is enabled and well, and the helper that "
          "opens files of root",
          check_units },
        { "portals", "Whether the portals of fragments and of tgtd.socket fit together",
          check_portals },
        { "port", "Whether another process has the port, and which", check_port },
        { "firewall", "Whether firewalld, nftables or iptables keep initiators out",
          check_firewall },
        { "others", "Whether LIO, stgt or SCST run beside, on our port or with our files",
          check_others },
        { "config",
          "Errors and warnings of fragments, as verify has them; CHAP secrets that are too short "
          "or serve both directions",
          check_config },
        { "stores", "Whether backing stores are there, can be opened, and are files or devices",
          check_stores },
        { "use",
          "Whether backing stores are mounted, swapped to, part of a multipath, RAID or "
          "LVM device, or served by LIO",
          check_use },
        { "secrets",
          "Whether others can read CHAP secrets, and tgtd.service gets the credentials that have "
          "them",
          check_secrets },
        { "state",
          "Whether the state directory can be written, and the room on its disk and on "
          "those of sparse files",
          check_state },
        { "limits", "Limits of the kernel and of the unit: open files, asynchronous I/O",
          check_limits },
        { "clock", "Whether the clock is synchronised", check_clock },
        { NULL },
};
/* clang-format on */

const Check *doctor_checks(void)
{
        return table;
}

const char *finding_level_name(FindingLevel level)
{
        static const char *const names[_FINDING_LEVEL_MAX] = { "ok", "unknown", "warning",
                                                               "problem" };

        return names[level];
}

/* ---- what the checks use ---- */

void doctor_find(Doctor *d, FindingLevel level, const char *fix, const char *format, ...)
{
        g_autofree char *text = NULL, *valid = NULL;
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        valid = g_utf8_make_valid(text, -1);
        (void)json_array_append_new(d->findings,
                                    json_pack("{s:s, s:s, s:s, s:s}", "Check", d->running->name,
                                              "Level", finding_level_name(level), "Text", valid,
                                              "Fix", fix ? fix : ""));
}

bool doctor_all_well(const Doctor *d)
{
        json_t *f;
        size_t i;

        json_array_foreach (d->findings, i, f)
                if (STREQ(json_text(f, "Check"), d->running->name) &&
                    !STREQ(json_text(f, "Level"), "ok"))
                        return false;
        return true;
}

char *doctor_path(const Doctor *d, const char *path)
{
        return g_strconcat(d->root, path, NULL);
}

char *doctor_read(const Doctor *d, const char *path)
{
        g_autofree char *real = doctor_path(d, path);
        char *text = NULL;

        return g_file_get_contents(real, &text, NULL, NULL) ? text : NULL;
}

int doctor_stat(const Doctor *d, const char *path, struct stat *ret)
{
        g_autofree char *real = doctor_path(d, path);

        return stat(real, ret) < 0 ? -errno : 0;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *doctor_list(const Doctor *d, const char *path)
{
        g_autofree char *real = doctor_path(d, path);
        g_autoptr(GDir) dir = g_dir_open(real, 0, NULL);
        GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
        const char *name;

        while (dir && (name = g_dir_read_name(dir)))
                g_ptr_array_add(names, g_strdup(name));
        g_ptr_array_sort(names, compare_names);
        return names;
}

char *doctor_spawn(const char *const *argv, int *ret_code, void *userdata)
{
        g_auto(GStrv) environment = g_environ_setenv(g_get_environ(), "LC_ALL", "C", TRUE);
        char *out = NULL;
        int status;

        /* where these programs are, also for a user whose PATH lacks them */
        environment = g_environ_setenv(
                environment, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                TRUE);
        if (!g_spawn_sync(NULL, (char **)argv, environment,
                          G_SPAWN_SEARCH_PATH_FROM_ENVP | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
                          &out, NULL, &status, NULL))
                return NULL;
        *ret_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
        return out;
}

char *doctor_ask(Doctor *d, const char *program, ...)
{
        g_autoptr(GPtrArray) argv = g_ptr_array_new();
        const char *argument = program;
        char *out;
        va_list ap;
        int code = 0;

        va_start(ap, program);
        for (; argument; argument = va_arg(ap, const char *))
                g_ptr_array_add(argv, (char *)argument);
        va_end(ap);
        g_ptr_array_add(argv, NULL);
        out = d->command((const char *const *)argv->pdata, &code, d->userdata);
        if (!out || code != 0) {
                g_free(out);
                return NULL;
        }
        return g_strstrip(out);
}

char *doctor_unit(Doctor *d, const char *unit, const char *property)
{
        g_autofree char *key = g_strdup_printf("%s %s", unit, property);
        gpointer value;

        if (!g_hash_table_lookup_extended(d->units, key, NULL, &value)) {
                value = doctor_ask(d, "systemctl", "show", "--value", "-p", property, unit, NULL);
                g_hash_table_insert(d->units, g_steal_pointer(&key), value);
        }
        return g_strdup(value);
}

void doctor_each_lun(Doctor *d, DoctorLun *f)
{
        g_autoptr(GList) names = g_hash_table_get_keys(d->desired->targets);

        names = g_list_sort(names, (GCompareFunc)strcmp);
        for (GList *n = names; n; n = n->next) {
                const TargetSpec *t = g_hash_table_lookup(d->desired->targets, n->data);

                for (guint i = 0; i < t->luns->len; i++)
                        f(d, t, g_ptr_array_index(t->luns, i));
        }
}

/* ---- running ---- */

void doctor_run(Doctor *d)
{
        g_autoptr(GHashTable) bad = NULL;

        d->findings = json_array();
        d->units = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        d->load_error = config_load(&d->paths, NULL, &d->desired, &bad, &d->problems);
        if (d->load_error < 0) {
                d->desired = desired_new();
                d->problems = NULL;
        }
        for (d->running = table; d->running->name; d->running++)
                d->running->run(d);
}

void doctor_done(Doctor *d)
{
        if (d->problems)
                g_ptr_array_unref(d->problems);
        d->desired = desired_free(d->desired);
        g_hash_table_unref(d->units);
        json_decref(d->findings);
        config_paths_clear(&d->paths);
}

static Color level_color(const char *level)
{
        return STREQ(level, "ok")        ? COLOR_GREEN
               : STREQ(level, "problem") ? COLOR_RED
               : STREQ(level, "warning") ? COLOR_YELLOW
                                         : COLOR_GREY;
}

static unsigned count(const json_t *findings, const char *level)
{
        unsigned n = 0;
        json_t *f;
        size_t i;

        json_array_foreach (findings, i, f)
                n += STREQ(json_text(f, "Level"), level);
        return n;
}

/* What to do stands below what it is for, indented as it. */
static void show_finding(Ctl *c, const json_t *f)
{
        const char *level = json_text(f, "Level");
        const char *fix = json_text(f, "Fix");
        g_autofree char *text = text_sanitize(json_text(f, "Text"), c->terminal.unicode);
        g_autofree char *clean = text_sanitize(fix, c->terminal.unicode);

        (void)printf("%s%-8s%s %-11s %s\n", color_on(c->terminal.color, level_color(level)), level,
                     color_off(c->terminal.color, level_color(level)), json_text(f, "Check"), text);
        if (*clean)
                (void)printf("%-21smend: %s\n", "", clean);
}

int verb_doctor(Ctl *c, char **args)
{
        const char *state = c->options.state_dir;
        Doctor d = { .root = "",
                     .command = doctor_spawn,
                     .privileged = geteuid() == 0,
                     .state_dir = state ? state : "/var/lib/tgt" };
        unsigned problems;
        json_t *f;
        size_t i;

        offline_paths(c, &d.paths);
        doctor_run(&d);
        problems = count(d.findings, "problem");
        if (ctl_json(c))
                (void)ctl_show_json(c, d.findings);
        else {
                json_array_foreach (d.findings, i, f)
                        if (!c->options.quiet || !STREQ(json_text(f, "Level"), "ok"))
                                show_finding(c, f);
                if (!c->options.no_legend && !c->options.quiet)
                        (void)printf("\n%u problem%s, %u warning%s, %u could not be seen%s.\n",
                                     problems, problems == 1 ? "" : "s",
                                     count(d.findings, "warning"),
                                     count(d.findings, "warning") == 1 ? "" : "s",
                                     count(d.findings, "unknown"),
                                     d.privileged ? "" : " (root sees more)");
        }
        doctor_done(&d);
        return problems > 0 ? EXIT_CODE_FAILURE : EXIT_CODE_OK;
}
