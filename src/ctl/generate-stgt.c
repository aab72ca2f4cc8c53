/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/generate.h"
#include "ctl/tgt-admin.h"
#include "ctl/tgt-setup-lun.h"
#include "ctl/tgtimg.h"

static void title(const char *upper, const char *name, GString *to)
{
        g_string_append_printf(to, ".TH %s 8 \"\" \"tgt " TGT_VERSION "\" \"%s\"\n", upper, name);
}

static void adm_title(GString *to)
{
        title("TGTADM", "tgtadm", to);
}

static void admin_title(GString *to)
{
        title("TGT\\-ADMIN", "tgt\\-admin", to);
}

static void setup_title(GString *to)
{
        title("TGT\\-SETUP\\-LUN", "tgt\\-setup\\-lun", to);
}

static void img_title(GString *to)
{
        title("TGTIMG", "tgtimg", to);
}

static void adm_man_rows(GString *to)
{
        for (const AdmRow *r = adm_rows(); r->run; r++) {
                g_autofree char *head = g_strdup_printf(
                        "--mode %s --op %s", adm_mode_names[r->mode], adm_op_names[r->op]);

                g_string_append(to, ".TP\n.B ");
                roff_append(head, to);
                if (*r->synopsis) {
                        g_string_append(to, " \\fR");
                        roff_append(r->synopsis, to);
                }
                g_string_append_c(to, '\n');
                roff_append(r->help, to);
                g_string_append_c(to, '\n');
        }
}

static void man_options(const AdmOption *table, GString *to)
{
        for (const AdmOption *o = table; o->name; o++) {
                g_string_append(to, ".TP\n");
                if (o->letter < 128)
                        g_string_append_printf(to, "\\fB\\-%c\\fR, ", o->letter);
                g_string_append(to, "\\fB\\-\\-");
                roff_append(o->name, to);
                g_string_append(to, "\\fR");
                if (o->value)
                        g_string_append_printf(to, " \\fI%s\\fR", o->value);
                g_string_append_c(to, '\n');
                roff_append(o->help, to);
                g_string_append_c(to, '\n');
        }
}

static void adm_man_options(GString *to)
{
        man_options(adm_options(), to);
}

static void admin_man_options(GString *to)
{
        man_options(admin_options(), to);
}

static void setup_man_options(GString *to)
{
        man_options(setup_options(), to);
}

static void img_man_options(GString *to)
{
        man_options(img_options(), to);
}

static void option_list(const char *name, const AdmOption *table, GString *to)
{
        g_string_append_printf(to, "        %s='", name);
        for (const AdmOption *o = table; o->name; o++)
                g_string_append_printf(to, "--%s ", o->name);
        g_string_append(to, "'\n");
}

/* Assignments that bash and zsh both understand. */
static void adm_completion(GString *to)
{
        g_string_append(to, "        adm_modes='");
        for (int i = 0; i < _ADM_MODE_MAX; i++)
                g_string_append_printf(to, "%s ", adm_mode_names[i]);
        g_string_append(to, "'\n");
        option_list("adm_options", adm_options(), to);
        option_list("admin_options", admin_options(), to);
        option_list("setup_options", setup_options(), to);
        option_list("img_options", img_options(), to);
        for (int mode = 0; mode < _ADM_MODE_MAX; mode++) {
                g_string_append_printf(to, "        adm_ops[%s]='", adm_mode_names[mode]);
                for (const AdmRow *r = adm_rows(); r->run; r++)
                        if (r->mode == (AdmMode)mode)
                                g_string_append_printf(to, "%s ", adm_op_names[r->op]);
                g_string_append(to, "'\n");
        }
}

const Mark stgt_marks[] = {
        { "@ADM_TITLE@", adm_title },
        { "@ADMIN_TITLE@", admin_title },
        { "@ADMIN_OPTIONS@", admin_man_options },
        { "@SETUP_TITLE@", setup_title },
        { "@SETUP_OPTIONS@", setup_man_options },
        { "@IMG_TITLE@", img_title },
        { "@IMG_OPTIONS@", img_man_options },
        { "@ADM_ROWS@", adm_man_rows },
        { "@ADM_OPTIONS@", adm_man_options },
        { "@ADM_COMPLETION@", adm_completion },
        { NULL },
};
