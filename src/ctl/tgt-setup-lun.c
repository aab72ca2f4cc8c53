/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <stdio.h>

#include "base/parse.h"
#include "ctl/tgt-setup-lun.h"

/* tgt-setup-lun: a target with one LUN that initiators may enter, in one command. */

static const AdmOption options[] = {
        { "name", 'n', "NAME",
          "The target: an iSCSI name, or what stands behind iqn.2001-04.com.HOST- in one." },
        { "device", 'd', "PATH", "The file or device that is served." },
        { "bstype", 'b', "TYPE", "How it is read and written (rdwr)." },
        { "blocksize", 'B', "BYTES", "Of a logical block (512)." },
        { "transport", 't', "DRIVER", "How the target is reached (iscsi)." },
        { "control-port", 'C', "NUMBER", "Which instance of the daemon, if there are several." },
        { "help", 'h', NULL, "Show this, and end." },
        { NULL },
};

const AdmOption *setup_options(void)
{
        return options;
}

typedef struct Setup {
        Ctl ctl;
        const char *given[128];
        char **initiators; /* within argv */
        char *name, *tid, *lun;
        bool made; /* the target, by us */
} Setup;

static const char *value(const Setup *s, char letter)
{
        return s->given[(unsigned char)letter];
}

static int fail(const char *format, ...) _printf_(1, 2);
static int fail(const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        /* as stgt's, on stdout */
        (void)fputs("Error: ", stdout);
        (void)vprintf(format, ap);
        (void)fputc('\n', stdout);
        va_end(ap);
        return 1;
}

static void print_help(FILE *to)
{
        (void)fprintf(to, "Usage: tgt-setup-lun -n NAME -d PATH [OPTION...] [ADDRESS...]\n\n"
                          "Makes a target with one LUN, and lets initiators at these addresses log "
                          "in; without\none, all.\n\n");
        for (const AdmOption *o = options; o->name; o++)
                (void)fprintf(to, "  -%c %-10s %s\n", o->letter, o->value ?: "", o->help);
        (void)fprintf(to, "\nSee tgt-setup-lun(8).\n");
}

/* A command of tgtadm; NULL ends the words. */
static int step(Setup *s, ...) __attribute__((sentinel));
static int step(Setup *s, ...)
{
        g_autoptr(GPtrArray) argv = g_ptr_array_new();
        const char *word;
        va_list ap;

        g_ptr_array_add(argv, (char *)"tgtadm");
        g_ptr_array_add(argv, (char *)"--lld");
        g_ptr_array_add(argv, (char *)(value(s, 't') ?: "iscsi"));
        va_start(ap, s);
        while ((word = va_arg(ap, const char *)))
                g_ptr_array_add(argv, (char *)word);
        va_end(ap);
        g_ptr_array_add(argv, NULL);
        (void)fflush(stdout);
        return adm_run(&s->ctl, (int)argv->len - 1, (char **)argv->pdata);
}

static char *full_name(const char *name)
{
        char host[256] = "localhost";

        if (g_str_has_prefix(name, "iqn."))
                return g_strdup(name);
        (void)gethostname(host, sizeof(host) - 1);
        host[strcspn(host, ".")] = '\0';
        return g_strdup_printf("iqn.2001-04.com.%s-%s", host, name);
}

/* The lowest number from 1 that no element of list has under key; newly allocated. */
static char *lowest_free(const json_t *list, const char *key)
{
        g_autoptr(GHashTable) taken = g_hash_table_new(NULL, NULL);
        const json_t *e;
        unsigned n = 1;
        size_t i;

        json_array_foreach (list, i, e)
                g_hash_table_add(taken, GUINT_TO_POINTER((unsigned)json_number(e, key)));
        while (g_hash_table_contains(taken, GUINT_TO_POINTER(n)))
                n++;
        return g_strdup_printf("%u", n);
}

/* Only a person can say so. */
static bool may_add_to(const char *name)
{
        char line[16] = "";

        if (!isatty(STDIN_FILENO))
                return false;
        (void)printf("There is a target %s. Add a new lun to it? (yes/NO) ", name);
        (void)fflush(stdout);
        return fgets(line, sizeof(line), stdin) && g_str_has_prefix(line, "yes");
}

static int take_existing(Setup *s, const json_t *target)
{
        _cleanup_json_ json_t *properties = NULL;
        Adm adm = { .ctl = &s->ctl };
        int code;

        if (!may_add_to(s->name))
                return fail("target named %s already exists", s->name);
        code = model_target(&s->ctl, json_text(target, "Object"), &properties);
        if (code != EXIT_CODE_OK)
                return adm_failed(&adm, code), 1;
        s->tid = g_strdup_printf("%lld", (long long)json_number(target, "Tid"));
        s->lun = lowest_free(json_object_get(properties, "LogicalUnits"), "Lun");
        return 0;
}

static int make_target(Setup *s)
{
        _cleanup_json_ json_t *targets = NULL;
        Adm adm = { .ctl = &s->ctl };
        const json_t *t;
        size_t i;

        if (adm_targets(&adm, &targets) != ADM_OK)
                return 1;
        json_array_foreach (targets, i, t)
                if (STREQ(json_text(t, "Name"), s->name))
                        return take_existing(s, t);
        s->tid = lowest_free(targets, "Tid");
        s->lun = g_strdup("1");
        (void)printf("Creating new target (name=%s, tid=%s)\n", s->name, s->tid);
        if (step(s, "--op", "new", "--mode", "target", "--tid", s->tid, "-T", s->name, NULL) !=
            ADM_OK)
                return fail("failed to create target (name=%s, tid=%s)", s->name, s->tid);
        s->made = true;
        return 0;
}

static int add_lun(Setup *s)
{
        const char *path = value(s, 'd'), *type = value(s, 'b'), *size = value(s, 'B');
        int r;

        (void)printf("Adding a logical unit (%s) to target, tid=%s\n", path, s->tid);
        if (type)
                (void)printf("Setting backing store type: %s\n", type);
        r = step(s, "--op", "new", "--mode", "lu", "--tid", s->tid, "--lun", s->lun, "-b", path,
                 "--bstype", type ?: "rdwr", size ? "--blocksize" : NULL, size, NULL);
        return r == ADM_OK
                       ? 0
                       : fail("failed to add a logical unit (%s) to target, tid=%s", path, s->tid);
}

static int admit(Setup *s, const char *address)
{
        if (step(s, "--op", "bind", "--mode", "target", "--tid", s->tid, "-I", address, NULL) ==
            ADM_OK)
                return 0;
        return fail("could not assign initiator to the target (tid=%s, initiator=%s)", s->tid,
                    address);
}

static int admit_all(Setup *s)
{
        g_autofree char *list = g_strjoinv(" ", s->initiators);
        int r = 0;

        if (!*s->initiators) {
                if (!s->made)
                        return 0; /* who may enter it has been said */
                (void)printf("Accepting connections from all initiators\n");
                return admit(s, "ALL");
        }
        (void)printf("Accepting connections from %s\n", list);
        for (char **i = s->initiators; *i && r == 0; i++)
                r = admit(s, *i);
        return r;
}

static int set_up(Setup *s)
{
        int r;

        (void)printf("Using transport: %s\n", value(s, 't') ?: "iscsi");
        r = make_target(s);
        if (r != 0)
                return r;
        r = add_lun(s);
        if (r == 0)
                r = admit_all(s);
        if (r != 0 && s->made) {
                (void)printf("Deleting new target, tid=%s\n", s->tid);
                (void)step(s, "--op", "delete", "--mode", "target", "--tid", s->tid, "--force",
                           NULL);
        }
        return r;
}

static int parse(Setup *s, int argc, char **argv)
{
        g_autoptr(GArray) longs = g_array_new(TRUE, TRUE, sizeof(struct option));
        g_autoptr(GString) shorts = g_string_new(NULL);
        uint32_t port;
        int letter;

        adm_getopt(options, longs, shorts);
        while ((letter = getopt_long(argc, argv, shorts->str,
                                     (const struct option *)(const void *)longs->data, NULL)) >=
               0) {
                if (letter == '?')
                        return 1;
                s->given[letter] = optarg ?: "";
        }
        s->initiators = argv + optind;
        if (value(s, 'h'))
                return 0;
        if (!value(s, 'd') || !*value(s, 'd'))
                return fail("a device is mandatory");
        if (!value(s, 'n') || !*value(s, 'n'))
                return fail("a target name is mandatory");
        if (!value(s, 'C'))
                return 0;
        if (parse_u32(value(s, 'C'), 0, INT16_MAX, &port) < 0)
                return fail("%s: a control port from 0 to %d expected", value(s, 'C'), INT16_MAX);
        s->ctl.options.control_port = port;
        return 0;
}

int tgt_setup_lun_main(int argc, char **argv)
{
        Setup s = { 0 };
        int r;

        if (argc == 1) {
                print_help(stderr);
                return 1;
        }
        adm_ctl_init(&s.ctl);
        r = parse(&s, argc, argv);
        if (r == 0 && value(&s, 'h')) {
                print_help(stdout);
        } else if (r == 0) {
                s.name = full_name(value(&s, 'n'));
                r = set_up(&s);
        }
        g_free(s.name);
        g_free(s.tid);
        g_free(s.lun);
        adm_ctl_done(&s.ctl);
        return r;
}
