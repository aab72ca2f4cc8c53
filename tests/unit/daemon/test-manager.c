/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

#include <fcntl.h>
#include <stdio.h>

#include <glib/gstdio.h>

#include "base/log.h"

/* The manager over the real engine: what a change does, and what it leaves alone. */

#define ONE "iqn.2026-01.org.example:one"
#define TWO "iqn.2026-01.org.example:two"

typedef struct Fixture {
        char *dir, *config, *state, *runtime, *fragments;
        sd_event *event;
        EventLoop *loop;
        Manager *manager;
        bool done, stopped;
        char *error, *text;
        GPtrArray *changes, *problems;
        uint64_t generation;
        GString *signals, *answers;
        unsigned n_unit_changes, waiting;
        EditDone *on_queued_done; /* NULL: the usual one */
} Fixture;

static void remove_tree(const char *path)
{
        g_autofree char *quoted = g_shell_quote(path);
        g_autofree char *command = g_strconcat("rm -rf -- ", quoted, NULL);

        g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
}

static void on_done(const EditResult *result, void *userdata)
{
        Fixture *f = userdata;

        g_assert_false(f->done);
        f->done = true;
        g_free(f->error);
        g_free(f->text);
        f->error = g_strdup(result->error.name);
        f->text = g_strdup(result->error.text);
        g_ptr_array_set_size(f->changes, 0);
        g_ptr_array_set_size(f->problems, 0);
        for (guint i = 0; i < result->changes->len; i++)
                g_ptr_array_add(f->changes, g_strdup(g_ptr_array_index(result->changes, i)));
        for (guint i = 0; i < result->problems->len; i++)
                g_ptr_array_add(f->problems,
                                problem_format(g_ptr_array_index(result->problems, i)));
        f->generation = result->generation;
}

static void wait_for(Fixture *f, bool *flag)
{
        for (unsigned i = 0; i < 2000 && !*flag; i++)
                g_assert_cmpint(sd_event_run(f->event, 10000), >=, 0);
        g_assert_true(*flag);
        *flag = false;
}

/* ---- signals --------------------------------------------------------------------------------- */

static void on_target_added(void *userdata, const char *name)
{
        g_string_append_printf(((Fixture *)userdata)->signals, "+%s ", strrchr(name, ':') + 1);
}

static void on_target_removed(void *userdata, const char *name)
{
        g_string_append_printf(((Fixture *)userdata)->signals, "-%s ", strrchr(name, ':') + 1);
}

static void on_target_changed(void *userdata, const char *name)
{
        g_string_append_printf(((Fixture *)userdata)->signals, "~%s ", strrchr(name, ':') + 1);
}

static void on_unit_changed(void *userdata, const char *uuid)
{
        ((Fixture *)userdata)->n_unit_changes++;
}

static const ManagerObserver observer = { .unit_changed = on_unit_changed,
                                          .target_added = on_target_added,
                                          .target_removed = on_target_removed,
                                          .target_changed = on_target_changed };

/* ---- the fixture ----------------------------------------------------------------------------- */

static void start(Fixture *f)
{
        SockAddr portal = { 0 };
        ManagerConfig config = { .config_dir = f->config,
                                 .state_dir = f->state,
                                 .runtime_dir = f->runtime,
                                 .portals = &portal,
                                 .n_portals = 1,
                                 .settle_ns = NSEC_PER_SEC };

        portal.in.sin_family = AF_INET; /* any free port */
        portal.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        engine_config_default(&config.engine);
        config.engine.workers = 2;
        config.engine.memory_max = 64 * MIB;
        g_assert_cmpint(event_loop_new(f->event, &f->loop), ==, 0);
        g_assert_cmpint(manager_new(f->loop, &config, &f->manager), ==, 0);
        manager_set_observer(f->manager, &observer, f);
        manager_start(f->manager, on_done, f);
        wait_for(f, &f->done);
        g_assert_cmpstr(f->error, ==, NULL);
}

static void on_stopped(void *userdata)
{
        ((Fixture *)userdata)->stopped = true;
}

static void stop(Fixture *f)
{
        manager_stop(f->manager, on_stopped, f);
        wait_for(f, &f->stopped);
        f->manager = manager_free(f->manager);
        f->loop = event_loop_free(f->loop);
}

static void set_up(Fixture *f, gconstpointer data)
{
        f->dir = g_dir_make_tmp("tgt-manager-XXXXXX", NULL);
        f->config = g_build_filename(f->dir, "etc", NULL);
        f->state = g_build_filename(f->dir, "state", NULL);
        f->runtime = g_build_filename(f->dir, "run", NULL);
        f->fragments = g_build_filename(f->config, "targets.d", NULL);
        g_assert_cmpint(g_mkdir_with_parents(f->fragments, 0700), ==, 0);
        f->changes = g_ptr_array_new_with_free_func(g_free);
        f->problems = g_ptr_array_new_with_free_func(g_free);
        f->signals = g_string_new(NULL);
        f->answers = g_string_new(NULL);
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        start(f);
}

static void tear_down(Fixture *f, gconstpointer data)
{
        stop(f);
        sd_event_unref(f->event);
        remove_tree(f->dir);
        g_ptr_array_unref(f->changes);
        g_ptr_array_unref(f->problems);
        g_string_free(f->signals, TRUE);
        g_string_free(f->answers, TRUE);
        g_free(f->error);
        g_free(f->text);
        g_free(f->dir);
        g_free(f->config);
        g_free(f->state);
        g_free(f->runtime);
        g_free(f->fragments);
}

static char *disk(Fixture *f, const char *name)
{
        char *path = g_build_filename(f->dir, name, NULL);
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(ftruncate(fd, 1 << 20), ==, 0);
        close(fd);
        return path;
}

/* ---- edits: a script of "NAME" (make), "-NAME" (remove), "NAME+PATH" (add a LUN), "NAME~"
 * (its LUNs become read-only) ---- */

static int run_line(Desired *d, const char *line, BusError *e)
{
        g_auto(GStrv) parts = g_strsplit_set(*line == '-' ? line + 1 : line, "+~", 2);
        TargetSpec *t = g_hash_table_lookup(d->targets, parts[0]);
        LunSpec *l;

        if (strchr(line, '~')) {
                for (guint i = 0; i < t->luns->len; i++)
                        ((LunSpec *)g_ptr_array_index(t->luns, i))->readonly = true;
                return 0;
        }
        if (*line == '-')
                return g_hash_table_remove(d->targets, parts[0])
                               ? 0
                               : bus_error_set(e, ERROR_NOT_FOUND, "no %s", parts[0]);
        if (!t) {
                t = target_spec_new(parts[0]);
                g_hash_table_replace(d->targets, t->name, t);
        }
        if (!parts[1])
                return 0;
        l = lun_spec_new();
        l->path = g_strdup(parts[1]);
        if (target_spec_free_lun(t, &l->lun) < 0 || target_spec_add_lun(t, l) < 0)
                return bus_error_set(e, ERROR_FAILED, "no LUN is free");
        return 0;
}

typedef struct Script {
        Fixture *fixture;
        char **lines;
} Script;

static int run_script(Desired *d, void *userdata, BusError *e)
{
        for (char **line = ((Script *)userdata)->lines; *line; line++)
                if (run_line(d, *line, e) < 0)
                        return -1;
        return 0;
}

static void on_script_done(const EditResult *result, void *userdata)
{
        on_done(result, ((Script *)userdata)->fixture);
}

static void free_script(gpointer script)
{
        g_strfreev(((Script *)script)->lines);
        g_free(script);
}

static char **script_targets(char **script)
{
        GPtrArray *names = g_ptr_array_new();

        for (; *script; script++) {
                const char *name = **script == '-' ? *script + 1 : *script;

                g_ptr_array_add(names, g_strndup(name, strcspn(name, "+~")));
        }
        g_ptr_array_add(names, NULL);
        return (char **)g_ptr_array_free(names, FALSE);
}

static void queue(Fixture *f, const EditOptions *options, const char *script)
{
        static const EditOptions none = { 0 };
        Caller caller = { .uid = 7, .name = "test" };
        Script *s = g_new0(Script, 1);
        g_auto(GStrv) targets = NULL;

        s->fixture = f;
        s->lines = g_strsplit(script, " ", 0);
        targets = script_targets(s->lines);
        manager_edit(f->manager, &caller, options ? options : &none, (const char *const *)targets,
                     run_script, f->on_queued_done ? f->on_queued_done : on_script_done, s,
                     free_script);
}

static void edit(Fixture *f, const EditOptions *options, const char *script, const char *error)
{
        queue(f, options, script);
        wait_for(f, &f->done);
        g_assert_cmpstr(f->error, ==, error);
}

static void reload(Fixture *f, const char *error)
{
        Caller caller = { .name = "test" };

        manager_reload(f->manager, &caller, NULL, on_done, f, NULL);
        wait_for(f, &f->done);
        g_assert_cmpstr(f->error, ==, error);
}

static void fragment(Fixture *f, const char *name, const char *text)
{
        g_autofree char *path = g_build_filename(f->fragments, name, NULL);

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void assert_targets(Fixture *f, size_t n, size_t luns, size_t units)
{
        g_assert_cmpuint(manager_n_targets(f->manager), ==, n);
        g_assert_cmpuint(g_hash_table_size(manager_desired(f->manager)->targets), ==, n);
        g_assert_cmpuint(manager_n_luns(f->manager), ==, luns);
        g_assert_cmpuint(manager_n_units(f->manager), ==, units);
}

static void assert_saved(Fixture *f, const char *name, bool saved)
{
        g_autofree char *file = config_target_file_name(name);
        g_autofree char *path = g_build_filename(f->state, "targets.d", file, NULL);

        g_assert_cmpint(g_file_test(path, G_FILE_TEST_EXISTS), ==, saved);
}

static void restart(Fixture *f)
{
        stop(f);
        start(f);
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void test_make_and_remove(Fixture *f, gconstpointer data)
{
        g_autofree char *a = disk(f, "a");
        g_autofree char *script = g_strconcat(ONE "+", a, " " TWO "+", a, NULL);
        uint64_t before = manager_generation(f->manager);
        UnitMapping mappings[4];
        UnitInfo info;

        edit(f, NULL, script, NULL);
        g_assert_cmpuint(f->generation, ==, before + 1);
        g_assert_cmpuint(f->changes->len, ==, 2);
        g_assert_true(strstr(f->signals->str, "+one"));
        assert_targets(f, 2, 2, 1); /* one file is one unit */
        g_assert_cmpstr(manager_unit_of(f->manager, ONE, 1), ==,
                        manager_unit_of(f->manager, TWO, 1));
        g_assert_cmpint(manager_unit(f->manager, manager_unit_of(f->manager, ONE, 1), &info), ==,
                        0);
        g_assert_cmpstr(info.state, ==, "ready");
        g_assert_cmpuint(info.size, ==, 1 << 20);
        g_assert_cmpuint(manager_unit_mappings(f->manager, info.uuid, mappings, 4), ==, 2);
        g_assert_cmpuint(manager_target_tid(f->manager, ONE), !=, 0);
        g_assert_cmpuint(manager_target_tid(f->manager, ONE), !=,
                         manager_target_tid(f->manager, TWO));
        edit(f, NULL, "-" ONE, NULL);
        assert_targets(f, 1, 1, 1);
        assert_saved(f, ONE, false);
        assert_saved(f, TWO, true);
        edit(f, NULL, "-" TWO, NULL);
        assert_targets(f, 0, 0, 0);
}

/* One wrong part, and nothing of it happens. */
static void test_all_or_nothing(Fixture *f, gconstpointer data)
{
        uint64_t before = manager_generation(f->manager);

        edit(f, NULL, ONE " " TWO "+/nonexistent/disk", ERROR_BACKING_STORE);
        g_assert_true(strstr(f->text, "/nonexistent/disk"));
        edit(f, NULL, ONE " -" TWO, ERROR_NOT_FOUND);
        edit(f, NULL, ONE " " TWO "+/dev/null", ERROR_BACKING_STORE);
        assert_targets(f, 0, 0, 0);
        assert_saved(f, ONE, false);
        g_assert_cmpuint(manager_generation(f->manager), ==, before);
        g_assert_cmpstr(f->signals->str, ==, "");
}

/* Written down in part, and then not: what was written is taken back, whatever came first. */
static void test_taken_back(Fixture *f, gconstpointer data)
{
        static const char names[] = "iqn.2026-01.org.example:a iqn.2026-01.org.example:b "
                                    "iqn.2026-01.org.example:c iqn.2026-01.org.example:d "
                                    "iqn.2026-01.org.example:e iqn.2026-01.org.example:f";
        static const char gone[] = "-iqn.2026-01.org.example:a -iqn.2026-01.org.example:b "
                                   "-iqn.2026-01.org.example:c -iqn.2026-01.org.example:d "
                                   "-iqn.2026-01.org.example:e -iqn.2026-01.org.example:f " TWO;
        g_autofree char *file = config_target_file_name(TWO);
        g_autofree char *path = g_build_filename(f->state, "targets.d", file, "in-the-way", NULL);

        edit(f, NULL, names, NULL);
        g_assert_cmpint(g_mkdir_with_parents(path, 0700), ==, 0);
        edit(f, NULL, gone, ERROR_FAILED);
        assert_targets(f, 6, 0, 0);
        for (char c = 'a'; c <= 'f'; c++) {
                g_autofree char *name = g_strdup_printf("iqn.2026-01.org.example:%c", c);

                assert_saved(f, name, true);
        }
        restart(f);
        assert_targets(f, 6, 0, 0);
}

static void test_force_keeps_what_is_missing(Fixture *f, gconstpointer data)
{
        EditOptions force = { .force = true };
        UnitInfo info;

        edit(f, &force, ONE "+/nonexistent/disk", NULL);
        assert_targets(f, 1, 1, 1);
        g_assert_cmpint(manager_unit(f->manager, manager_unit_of(f->manager, ONE, 1), &info), ==,
                        0);
        g_assert_cmpstr(info.state, ==, "not-ready");
        g_assert_true(strstr(info.reason, "/nonexistent/disk"));
}

static void test_dry_run_and_generation(Fixture *f, gconstpointer data)
{
        uint64_t before = manager_generation(f->manager);
        EditOptions dry = { .dry_run = true };
        EditOptions old = { .has_generation = true, .generation = before };

        edit(f, &dry, ONE, NULL);
        g_assert_cmpuint(f->changes->len, ==, 1);
        assert_targets(f, 0, 0, 0);
        edit(f, &old, ONE, NULL);
        edit(f, &old, TWO, ERROR_CONFLICT);
        assert_targets(f, 1, 0, 0);
        edit(f, NULL, ONE, NULL); /* nothing differs */
        g_assert_cmpuint(f->changes->len, ==, 0);
        g_assert_cmpuint(manager_generation(f->manager), ==, before + 1);
}

/* What arrives together is done in its order. */
static void test_queue(Fixture *f, gconstpointer data)
{
        queue(f, NULL, ONE);
        queue(f, NULL, "-" ONE);
        queue(f, NULL, ONE);
        for (unsigned i = 0; i < 3; i++) {
                wait_for(f, &f->done);
                g_assert_cmpstr(f->error, ==, NULL);
        }
        g_assert_cmpstr(f->signals->str, ==, "+one -one +one ");
}

static void on_counted(const EditResult *result, void *userdata)
{
        Fixture *f = ((Script *)userdata)->fixture;

        g_string_append_printf(f->answers, "%s%u%s ", ((Script *)userdata)->lines[0] + 24,
                               result->changes->len,
                               result->error.name ? strrchr(result->error.name, '.') : "");
        f->generation = result->generation;
        f->done = --f->waiting == 0;
}

/* Waits for all that gather() has queued. */
static void assert_answers(Fixture *f, const char *answers)
{
        wait_for(f, &f->done);
        g_assert_cmpstr(f->answers->str, ==, answers);
        g_string_truncate(f->answers, 0);
}

static void gather(Fixture *f, const EditOptions *options, const char *script)
{
        f->on_queued_done = on_counted;
        f->waiting++;
        queue(f, options, script);
        f->on_queued_done = NULL;
}

static off_t log_size(Fixture *f)
{
        g_autofree char *path = g_build_filename(f->state, "changes", NULL);
        struct stat st;

        return stat(path, &st) == 0 ? st.st_size : 0;
}

static unsigned n_records(Fixture *f)
{
        g_autofree char *path = g_build_filename(f->state, "changes", NULL), *text = NULL;
        unsigned n = 0;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        for (const char *p = text; (p = strstr(p, "\nchange ")); p++)
                n++;
        return n;
}

#define X(name) "iqn.2026-01.org.example:" name

/* What waits together becomes one change, of one generation and one record; each keeps its own
 * answer. */
static void test_batch(Fixture *f, gconstpointer data)
{
        EditOptions old = { .has_generation = true }, passing = { .runtime = true };
        uint64_t before = manager_generation(f->manager);

        old.generation = before;
        gather(f, NULL, X("a"));
        gather(f, NULL, X("b") " " X("c"));
        gather(f, NULL, "-" X("none"));                 /* fails alone */
        gather(f, NULL, X("d") " " X("e") " -" X("e")); /* one that changes its mind */
        assert_answers(f, ":none0.NotFound a1 b2 d1 ");
        g_assert_cmpuint(f->generation, ==, before + 1);
        g_assert_cmpuint(manager_generation(f->manager), ==, before + 1);
        g_assert_cmpuint(n_records(f), ==, 1);
        assert_targets(f, 4, 0, 0);

        /* what concerns the same target comes after; what names a generation was overtaken */
        old.generation = before + 1;
        gather(f, &old, "-" X("a"));
        gather(f, NULL, X("g"));
        gather(f, NULL, "-" X("g"));
        gather(f, &old, "-" X("b"));
        gather(f, &passing, X("h"));
        assert_answers(f, ":a1 g1 :g1 :b0.Conflict h1 ");
        g_assert_cmpuint(manager_generation(f->manager), ==, before + 4);
        g_assert_cmpuint(n_records(f), ==, 3); /* and one in the other log */

        /* what is refused only in the end takes nobody along */
        gather(f, NULL, X("i"));
        gather(f, NULL, X("j+/nonexistent/disk"));
        gather(f, NULL, X("k"));
        assert_answers(f, "i1 j+/nonexistent/disk1.BackingStore k1 ");
        assert_saved(f, X("i"), true);
        assert_saved(f, X("j"), false);
        restart(f);
        assert_targets(f, 6, 0, 0); /* b, c, d, h, i, k */
        g_assert_cmpint(log_size(f), ==, 0);
}

/* One file for two targets that are made together is one disk. */
static void test_batch_shares_units(Fixture *f, gconstpointer data)
{
        g_autofree char *a = disk(f, "a");
        g_autofree char *one = g_strconcat(X("a") "+", a, NULL);
        g_autofree char *two = g_strconcat(X("b") "+", a, NULL);

        gather(f, NULL, one);
        gather(f, NULL, two);
        wait_for(f, &f->done);
        assert_targets(f, 2, 2, 1);
        g_assert_cmpstr(manager_unit_of(f->manager, X("a"), 1), ==,
                        manager_unit_of(f->manager, X("b"), 1));
}

static void test_reload(Fixture *f, gconstpointer data)
{
        fragment(f, "1.conf", "<target " ONE ">\n</target>\n<target " TWO ">\n</target>\n");
        reload(f, NULL);
        assert_targets(f, 2, 0, 0);
        g_assert_cmpuint(f->problems->len, ==, 0);
        g_string_truncate(f->signals, 0);
        fragment(f, "1.conf",
                 "<target " ONE ">\n  bogus 1\n</target>\n"
                 "<target " TWO ">\n  initiator-address 192.0.2.1\n</target>\n");
        reload(f, NULL);
        assert_targets(f, 2, 0, 0);
        g_assert_cmpuint(f->problems->len, ==, 1);
        g_assert_true(strstr(g_ptr_array_index(f->problems, 0), "1.conf:2"));
        g_assert_cmpstr(f->signals->str, ==, "~two "); /* nobody else is disturbed */
        edit(f, NULL, "-" ONE, ERROR_ADMINISTRATOR);
        g_assert_true(strstr(f->text, "1.conf"));
        fragment(f, "1.conf", "");
        reload(f, NULL);
        assert_targets(f, 0, 0, 0);
}

/* The default portal is not needed where one is given, and that one stays the only one. */
static void test_portals(Fixture *f, gconstpointer data)
{
        PortalInfo portals[4];

        g_assert_cmpuint(manager_portals(f->manager, portals, 4), ==, 1);
        g_assert_true(g_str_has_prefix(portals[0].address, "127.0.0.1:"));
        g_assert_cmpstr(portals[0].source, ==, "command line");
}

static void test_trusted_paths(Fixture *f, gconstpointer data)
{
        g_assert_true(manager_path_is_trusted(f->manager, "/srv/a"));
        g_assert_false(manager_path_is_trusted(f->manager, "/srv"));
        g_assert_false(manager_path_is_trusted(f->manager, "/srvx/a"));
        g_assert_false(manager_path_is_trusted(f->manager, "/srv/../etc/shadow"));
        g_assert_false(manager_path_is_trusted(f->manager, "/srv/.."));
        g_assert_false(manager_path_is_trusted(f->manager, "srv/a"));
        g_assert_false(manager_path_is_trusted(f->manager, "/dev/sda"));
        fragment(f, "1.conf", "backing-directory /data/\n");
        reload(f, NULL);
        g_assert_true(manager_path_is_trusted(f->manager, "/data/x"));
        g_assert_false(manager_path_is_trusted(f->manager, "/data"));
}

static void test_paging(Fixture *f, gconstpointer data)
{
        g_autoptr(GString) text = g_string_new("<target " ONE ">\n");
        const char *uuids[16], *last = NULL;
        size_t n = 0, k;

        for (unsigned i = 0; i < 40; i++)
                g_string_append_printf(
                        text, "<backing-store x%u>\nbs-type ram\nsize 64K\n</backing-store>\n", i);
        g_string_append(text, "</target>\n");
        fragment(f, "1.conf", text->str);
        reload(f, NULL);
        while ((k = manager_unit_uuids(f->manager, last, uuids, 16)) > 0) {
                for (size_t i = 0; i < k; i++) {
                        g_assert_true(!last || strcmp(last, uuids[i]) < 0);
                        last = uuids[i];
                }
                n += k;
        }
        g_assert_cmpuint(n, ==, 40);
        g_assert_cmpuint(manager_n_units(f->manager), ==, 40);
}

/* The same identities after a restart, and no target moves. */
static void test_restart(Fixture *f, gconstpointer data)
{
        g_autofree char *a = disk(f, "a"), *b = disk(f, "b"), *first = NULL, *second = NULL;
        g_autofree char *script = g_strconcat(ONE "+", a, " " ONE "+", b, NULL);

        edit(f, NULL, script, NULL);
        first = g_strdup(manager_unit_of(f->manager, ONE, 1));
        second = g_strdup(manager_unit_of(f->manager, ONE, 2));
        g_assert_cmpstr(first, !=, second);
        restart(f);
        assert_targets(f, 1, 2, 2);
        g_assert_cmpstr(manager_unit_of(f->manager, ONE, 1), ==, first);
        g_assert_cmpstr(manager_unit_of(f->manager, ONE, 2), ==, second);
}

/* What is told is what is so now, not what it was made with. */
static void test_set_in_place(Fixture *f, gconstpointer data)
{
        g_autofree char *a = disk(f, "a"), *script = g_strconcat(ONE "+", a, NULL);
        UnitInfo info;

        edit(f, NULL, script, NULL);
        g_assert_cmpint(manager_unit(f->manager, manager_unit_of(f->manager, ONE, 1), &info), ==,
                        0);
        g_assert_false(info.readonly);
        edit(f, NULL, ONE "~", NULL);
        g_assert_cmpint(manager_unit(f->manager, manager_unit_of(f->manager, ONE, 1), &info), ==,
                        0);
        g_assert_true(info.readonly);
}

/* A unit has changed when another target maps it, and when none does any more; not when something
 * else of its targets is changed. */
static void test_mappings_are_told(Fixture *f, gconstpointer data)
{
        g_autofree char *a = disk(f, "a"), *b = disk(f, "b");
        g_autofree char *first = g_strconcat(ONE "+", a, NULL);
        g_autofree char *second = g_strconcat(TWO "+", a, NULL);
        g_autofree char *other = g_strconcat(ONE "+", b, NULL);

        edit(f, NULL, first, NULL);
        f->n_unit_changes = 0;
        edit(f, NULL, second, NULL);
        g_assert_cmpuint(f->n_unit_changes, ==, 1);
        edit(f, NULL, "-" TWO, NULL);
        g_assert_cmpuint(f->n_unit_changes, ==, 2);
        g_string_truncate(f->signals, 0);
        edit(f, NULL, other, NULL);
        g_assert_cmpstr(f->signals->str, ==, "~one ");
        g_assert_cmpuint(f->n_unit_changes, ==, 2);
}

static void test_discovery_is_no_session(Fixture *f, gconstpointer data)
{
        IscsiEvent event = { .kind = ISCSI_EVENT_LOGIN, .session = 11, .initiator = "iqn.a" };
        uint64_t ids[4];

        manager_engine_events.iscsi(f->manager, &event);
        g_assert_cmpuint(manager_session_ids(f->manager, 0, ids, 4), ==, 1);
        g_assert_cmpuint(manager_n_sessions(f->manager, NULL), ==, 0);
        event.session = 12;
        event.target = ONE;
        manager_engine_events.iscsi(f->manager, &event);
        g_assert_cmpuint(manager_n_sessions(f->manager, NULL), ==, 1);
        event.kind = ISCSI_EVENT_LOGOUT;
        manager_engine_events.iscsi(f->manager, &event);
        g_assert_cmpuint(manager_n_sessions(f->manager, NULL), ==, 0);
        event.session = 11;
        event.target = NULL;
        manager_engine_events.iscsi(f->manager, &event);
        g_assert_cmpuint(manager_n_sessions(f->manager, NULL), ==, 0);
        g_assert_cmpuint(manager_session_ids(f->manager, 0, ids, 4), ==, 0);
}

static char *logged; /* the last line */

static void keep_line(int priority, const char *id, const char *text, const LogField *fields,
                      size_t n_fields)
{
        g_free(logged);
        logged = g_strdup(text);
}

/* A request that was given up has no error yet: the line says what is the matter instead. */
static void test_ghost_in_the_journal(Fixture *f, gconstpointer data)
{
        ScsiEvent event = { .kind = SCSI_EVENT_GHOST, .target = ONE, .opcode = 0x2a, .blocks = 8 };

        log_set_sink(keep_line);
        log_set_max_level(LOG_ERR);
        manager_engine_events.scsi(f->manager, &event);
        g_assert_true(strstr(logged, "has not answered"));
        g_assert_null(strstr(logged, strerror(0)));
        event.kind = SCSI_EVENT_IO_ERROR;
        event.error = -EIO;
        manager_engine_events.scsi(f->manager, &event);
        g_assert_true(strstr(logged, strerror(EIO)));
        log_set_sink(NULL);
        log_set_max_level(LOG_CRIT);
        g_clear_pointer(&logged, g_free);
}

#define ADD(name, function) g_test_add("/manager/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        log_set_max_level(LOG_CRIT);
        ADD("make-and-remove", test_make_and_remove);
        ADD("all-or-nothing", test_all_or_nothing);
        ADD("taken-back", test_taken_back);
        ADD("force-keeps-what-is-missing", test_force_keeps_what_is_missing);
        ADD("dry-run-and-generation", test_dry_run_and_generation);
        ADD("queue", test_queue);
        ADD("batch", test_batch);
        ADD("batch/units", test_batch_shares_units);
        ADD("reload", test_reload);
        ADD("portals", test_portals);
        ADD("trusted-paths", test_trusted_paths);
        ADD("paging", test_paging);
        ADD("restart", test_restart);
        ADD("set-in-place", test_set_in_place);
        ADD("mappings-are-told", test_mappings_are_told);
        ADD("discovery-is-no-session", test_discovery_is_no_session);
        ADD("ghost-in-the-journal", test_ghost_in_the_journal);
        return g_test_run();
}
