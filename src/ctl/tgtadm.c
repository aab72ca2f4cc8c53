/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <stdio.h>

#include "base/parse.h"
#include "ctl/args.h"
#include "ctl/tgtadm.h"

/* ---- the words of --mode, --op and --device-type --------------------------------------------- */

static const struct {
        const char *word;
        AdmMode mode;
} mode_words[] = {
        { "system", ADM_SYSTEM },         { "sys", ADM_SYSTEM },
        { "target", ADM_TARGET },         { "tgt", ADM_TARGET },
        { "logicalunit", ADM_LUN },       { "lu", ADM_LUN },
        { "portal", ADM_PORTAL },         { "pt", ADM_PORTAL },
        { "session", ADM_SESSION },       { "sess", ADM_SESSION },
        { "connection", ADM_CONNECTION }, { "conn", ADM_CONNECTION },
        { "account", ADM_ACCOUNT },       { "lld", ADM_LLD },
};

/* An AdmMode, or negative errno. */
static int find_mode(const char *word)
{
        for (size_t i = 0; i < ELEMENTSOF(mode_words); i++)
                if (STREQ(mode_words[i].word, word))
                        return (int)mode_words[i].mode;
        return -ENOENT;
}

/* An AdmOp, or negative errno. */
static int find_op(const char *word)
{
        for (int i = 0; i < _ADM_OP_MAX; i++)
                if (STREQ(adm_op_names[i], word))
                        return i;
        return -ENOENT;
}

/* ---- the command line ------------------------------------------------------------------------ */

static int try_help(void)
{
        (void)fprintf(stderr, "Try `tgtadm --help' for more information.\n");
        return ADM_INVALID;
}

static int bad_number(char letter, const char *text, bool range)
{
        (void)fprintf(stderr, "-%c argument value '%s' %s\n", letter, text,
                      range ? "out of range" : "invalid");
        return try_help();
}

/* As strtoull(3) with base 0, which takes 0x10 and 010. */
static int read_number(char letter, const char *text, uint64_t max, uint64_t *ret)
{
        unsigned long long v;
        char *end;

        if (!g_ascii_isdigit(*text))
                return bad_number(letter, text, false);
        errno = 0;
        v = strtoull(text, &end, 0);
        if (*end)
                return bad_number(letter, text, false);
        if (errno == ERANGE || v > max)
                return bad_number(letter, text, true);
        *ret = v;
        return ADM_OK;
}

/* Numbers: their letter, their greatest value, where they go. */
static int take_number(Adm *a, char letter, const char *text)
{
        uint64_t v = 0;
        int r;

        switch (letter) {
        case 't':
                r = read_number(letter, text, INT32_MAX, &v);
                a->tid = (int)v;
                return r;
        case 's':
                return read_number(letter, text, UINT64_MAX, &a->sid);
        case 'c':
                r = read_number(letter, text, UINT32_MAX, &v);
                a->cid = (uint32_t)v;
                return r;
        case 'l':
                return read_number(letter, text, UINT64_MAX, &a->lun);
        case 'C':
                r = read_number(letter, text, INT16_MAX, &v);
                a->control_port = (int)v;
                return r;
        case 'H':
        case 'y':
                return read_number(letter, text, UINT32_MAX, &v);
        default:
                return ADM_OK;
        }
}

void adm_getopt(const AdmOption *table, GArray *longs, GString *shorts)
{
        for (const AdmOption *o = table; o->name; o++) {
                struct option l = { o->name, o->value ? required_argument : no_argument, NULL,
                                    o->letter };

                g_array_append_val(longs, l);
                if (o->letter > 127)
                        continue;
                g_string_append_printf(shorts, "%c%s", o->letter, o->value ? ":" : "");
        }
}

/* *ret_end: everything is said, and the code that is returned is that of the program. */
static int parse_options(Adm *a, int argc, char **argv, bool *ret_end)
{
        g_autoptr(GArray) longs = g_array_new(TRUE, TRUE, sizeof(struct option));
        g_autoptr(GString) shorts = g_string_new(NULL);
        int letter, r;

        adm_getopt(adm_options(), longs, shorts);
        optind = 0; /* tgt-admin has us parse more than once */
        while ((letter = getopt_long(argc, argv, shorts->str,
                                     (const struct option *)(const void *)longs->data, NULL)) >=
               0) {
                if (letter == '?')
                        return try_help();
                a->given[letter] = optarg ?: "";
                r = optarg ? take_number(a, (char)letter, optarg) : ADM_OK;
                if (r != ADM_OK)
                        return r;
                *ret_end = letter == 'h' || letter == 'V';
                if (*ret_end)
                        break;
        }
        if (!*ret_end && optind < argc) {
                (void)fprintf(stderr, "tgtadm: unrecognized option '%s'\n", argv[optind]);
                return try_help();
        }
        return ADM_OK;
}

static int answer_help(const Adm *a)
{
        g_autoptr(GString) text = g_string_new(NULL);

        if (adm_value(a, 'V'))
                g_string_append(text, TGT_VERSION "\n");
        else
                adm_help(text);
        (void)fputs(text->str, stdout);
        return ADM_OK;
}

static int find_row(Adm *a)
{
        const char *op_word = adm_value(a, 'o'), *mode_word = adm_value(a, 'm');
        int op = op_word ? find_op(op_word) : 0, mode = mode_word ? find_mode(mode_word) : 0;

        if (op < 0) {
                (void)adm_failf(a, "unknown operation", "%s", op_word);
                return ADM_UNKNOWN_WORD;
        }
        if (mode < 0) {
                (void)adm_failf(a, "unknown mode", "%s", mode_word);
                return ADM_UNKNOWN_WORD;
        }
        if (!op_word)
                return adm_fail(a, "specify the operation type", NULL);
        if (!mode_word)
                return adm_fail(a, "specify the mode", NULL);
        a->row = adm_row_find((AdmMode)mode, (AdmOp)op);
        if (!a->row) {
                g_autofree char *text = g_strdup_printf("operation %s not supported in %s mode",
                                                        adm_op_names[op], adm_mode_names[mode]);

                return adm_fail(a, text, NULL);
        }
        return ADM_OK;
}

static int check_required(Adm *a)
{
        const AdmRow *row = a->row;

        for (const char *p = row->required; *p; p++) {
                if (!adm_value(a, *p))
                        return adm_fail(a, adm_missing(row, *p), NULL);
                if (*p == 't' && a->tid == 0)
                        return adm_fail(a,
                                        row->mode == ADM_TARGET ? "'tid' cannot be 0"
                                                                : "'tid' must not be 0",
                                        NULL);
        }
        return ADM_OK;
}

static int check_allowed(Adm *a)
{
        const AdmRow *row = a->row;
        bool is_portal_or_update = /* where stgt has another sentence */
                row->mode == ADM_PORTAL || (row->mode == ADM_LUN && row->op == ADM_UPDATE);

        for (const AdmOption *o = adm_options(); o->name; o++) {
                g_autofree char *text = NULL;

                if (!adm_value(a, (char)o->letter) || strchr("LmodC", o->letter) ||
                    strchr(row->required, o->letter) || strchr(row->allowed, o->letter))
                        continue;
                text = is_portal_or_update
                               ? g_strdup_printf("option '-%c' not supported in %s mode", o->letter,
                                                 adm_mode_names[row->mode])
                               : g_strdup_printf("%s mode: option '-%c' is not allowed/supported",
                                                 adm_mode_names[row->mode], o->letter);
                return adm_fail(a, text, NULL);
        }
        return ADM_OK;
}

static int check_driver(Adm *a)
{
        const char *driver = adm_value(a, 'L');

        if (!driver || STREQ(driver, "iscsi"))
                return ADM_OK;
        if (a->row->mode == ADM_LLD && a->row->op != ADM_SHOW)
                return ADM_OK; /* says so itself */
        return adm_failf(a, "can't find the driver", "%s is not supported by this build", driver);
}

static int run_row(Adm *a)
{
        int r = check_required(a);

        if (r == ADM_OK)
                r = check_allowed(a);
        if (r == ADM_OK)
                r = check_driver(a);
        if (r != ADM_OK)
                return r;
        a->not_found = a->row->not_found;
        a->exists = a->row->exists;
        a->in_use = a->row->in_use;
        if (a->control_port >= 0)
                a->ctl->options.control_port = a->control_port;
        return a->row->run(a);
}

int adm_run(Ctl *ctl, int argc, char **argv)
{
        Adm a = { .ctl = ctl,
                  .tid = -1,
                  .sid = UINT64_MAX,
                  .lun = UINT64_MAX,
                  .cid = UINT32_MAX,
                  .control_port = -1 };
        bool end = false;
        int r = parse_options(&a, argc, argv, &end);

        if (r != ADM_OK)
                return r;
        if (end)
                return answer_help(&a);
        r = find_row(&a);
        return r == ADM_OK ? run_row(&a) : r;
}

void adm_ctl_init(Ctl *ctl)
{
        /* as with stgt, no command starts the daemon */
        static const Verb verb = { .name = "tgtadm", .flags = VERB_READ_ONLY };

        *ctl = (Ctl){ .verb = &verb };
        options_init(&ctl->options);
        ctl->options.runtime = true;
        ctl->options.quiet = true;
        ctl->caught = g_string_new(NULL);
}

void adm_ctl_done(Ctl *ctl)
{
        sd_bus_flush_close_unref(ctl->bus);
        g_free(ctl->connect_why);
        g_free(ctl->error_name);
        json_decref(ctl->result);
        g_string_free(ctl->caught, TRUE);
        options_done(&ctl->options);
}

int tgtadm_main(int argc, char **argv)
{
        Ctl ctl;
        int r;

        adm_ctl_init(&ctl);
        r = adm_run(&ctl, argc, argv);
        adm_ctl_done(&ctl);
        if (fflush(stdout) != 0 && errno != EPIPE && r == ADM_OK)
                r = EIO;
        return r;
}
