/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/doctor.h"

/* ---- fragments ------------------------------------------------------------------------------- */

static bool is_unreadable(const Problem *p)
{
        return strstr(p->text, g_strerror(EACCES)) != NULL;
}

void check_config(Doctor *d)
{
        if (!d->problems) {
                bool hidden = !d->privileged && d->load_error == -EACCES;

                doctor_find(d, hidden ? FINDING_UNKNOWN : FINDING_PROBLEM,
                            hidden ? "Run it as root" : NULL, "The fragments cannot be read: %s",
                            g_strerror(-d->load_error));
                return;
        }
        for (guint i = 0; i < d->problems->len; i++) {
                const Problem *p = g_ptr_array_index(d->problems, i);
                g_autofree char *text = problem_format(p);

                if (!d->privileged && is_unreadable(p))
                        doctor_find(d, FINDING_UNKNOWN, "Run it as root", "%s", text);
                else if (p->level == PROBLEM_ERROR)
                        doctor_find(d, FINDING_PROBLEM,
                                    "Edit the file, then: tgtctl verify; tgtctl reload", "%s",
                                    text);
                else
                        doctor_find(d, FINDING_WARNING, NULL, "%s", text);
        }
        if (doctor_all_well(d))
                doctor_find(d, FINDING_OK, NULL, "%u targets, no errors",
                            g_hash_table_size(d->desired->targets));
}

/* ---- secrets --------------------------------------------------------------------------------- */

static void check_file_of(Doctor *d, GHashTable *seen, const AccountSpec *a)
{
        g_autofree char *fix = NULL;
        struct stat st;

        if (!a->at.file || a->credential || !g_hash_table_add(seen, (gpointer)a->at.file))
                return;
        if (stat(a->at.file, &st) < 0 || (st.st_mode & (S_IROTH | S_IRGRP)) == 0)
                return;
        fix = g_strdup_printf("chmod go= %s (tgtd reads files of root all the same)", a->at.file);
        doctor_find(d, st.st_mode & S_IROTH ? FINDING_PROBLEM : FINDING_WARNING, fix,
                    "%s has CHAP secrets, and %s can read it", a->at.file,
                    st.st_mode & S_IROTH ? "everybody" : "its group");
}

/* Do the files of tgtd.service, as systemctl cat has them, pass a credential of this name? */
static bool is_passed(const char *files, const char *name)
{
        static const char *const settings[] = { "LoadCredential=", "LoadCredentialEncrypted=",
                                                "SetCredential=", "SetCredentialEncrypted=" };
        g_auto(GStrv) lines = g_strsplit(files, "\n", -1);
        size_t n = strlen(name);

        for (char **l = lines; *l; l++)
                for (size_t i = 0; i < ELEMENTSOF(settings); i++) {
                        const char *value = g_strchug(*l) + strlen(settings[i]);

                        if (g_str_has_prefix(*l, settings[i]) && strncmp(value, name, n) == 0 &&
                            (value[n] == ':' || value[n] == '\0'))
                                return true;
                }
        return false;
}

static void check_credential(Doctor *d, GHashTable *seen, const AccountSpec *a)
{
        g_autofree char *fix = NULL, *files = NULL;

        if (!a->credential || !g_hash_table_add(seen, (gpointer)g_intern_string(a->credential)))
                return;
        files = doctor_ask(d, "systemctl", "cat", "--no-pager", "tgtd.service", NULL);
        if (!files) {
                doctor_find(d, FINDING_UNKNOWN, NULL,
                            "systemd does not say whether tgtd.service has the credential %s",
                            a->credential);
                return;
        }
        if (is_passed(files, a->credential))
                return;
        fix = g_strdup_printf("systemctl edit tgtd.service: below [Service], "
                              "LoadCredential=%s:FILE; systemctl restart tgtd.service",
                              a->credential);
        doctor_find(
                d, FINDING_PROBLEM, fix,
                "tgtd.service has no credential %s, of which the secret of %s is: what needs it is "
                "not served",
                a->credential, a->user);
}

static void check_account(Doctor *d, GHashTable *seen, const AccountSpec *a)
{
        check_file_of(d, seen, a);
        check_credential(d, seen, a);
}

static void check_accounts(Doctor *d, GHashTable *seen, const GPtrArray *incoming,
                           const AccountSpec *outgoing)
{
        if (outgoing)
                check_account(d, seen, outgoing);
        for (guint i = 0; i < incoming->len; i++)
                check_account(d, seen, g_ptr_array_index(incoming, i));
}

void check_secrets(Doctor *d)
{
        g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
        const Desired *all = d->desired;
        GHashTableIter iter;
        gpointer value;

        check_accounts(d, seen, all->discovery_incoming, all->discovery_outgoing);
        g_hash_table_iter_init(&iter, all->targets);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const TargetSpec *t = value;

                check_accounts(d, seen, t->incoming, t->outgoing);
        }
        if (doctor_all_well(d))
                doctor_find(d, FINDING_OK, NULL, "No secret can be read by others");
}
