/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "base/addr.h"
#include "bus/edits.h"
#include "bus/paths.h"

#define ISCSI_PORT 3260

DEFINE_CLEANUP(TargetSpec *, target_spec_free);
DEFINE_CLEANUP(LunSpec *, lun_spec_free);
DEFINE_CLEANUP(Desired *, desired_free);

static void wipe(char **secret)
{
        if (*secret)
                explicit_bzero(*secret, strlen(*secret));
        g_clear_pointer(secret, g_free);
}

void directive_free(Directive *d)
{
        if (!d)
                return;
        /* incominguser has a secret in it; the others lose nothing */
        for (char **v = d->values; v && *v; v++)
                explicit_bzero(*v, strlen(*v));
        g_strfreev(d->values);
        g_free(d->name);
        g_free(d);
}

void edit_lun_free(EditLun *l)
{
        if (!l)
                return;
        g_free(l->target);
        g_free(l);
}

void edit_clear(Edit *e)
{
        g_clear_pointer(&e->target, g_free);
        g_clear_pointer(&e->directives, g_ptr_array_unref);
        g_clear_pointer(&e->also, g_ptr_array_unref);
        g_clear_pointer(&e->uuid, g_free);
        g_clear_pointer(&e->naa, g_free);
        g_clear_pointer(&e->kind, g_free);
        g_clear_pointer(&e->value, g_free);
        g_clear_pointer(&e->user, g_free);
        g_clear_pointer(&e->direction, g_free);
        g_clear_pointer(&e->address, g_free);
        wipe(&e->secret);
        wipe(&e->text);
}

bool text_is_clean(const char *s, size_t max, bool allow_empty)
{
        size_t n = strlen(s);

        if (n > max || (n == 0 && !allow_empty) || !g_utf8_validate(s, (gssize)n, NULL))
                return false;
        for (const char *p = s; *p; p = g_utf8_next_char(p))
                if (g_unichar_iscntrl(g_utf8_get_char(p)))
                        return false;
        return true;
}

static bool directive_has_secret(const char *name)
{
        return strstr(name, "user") != NULL;
}

static const char *error_of(const char *directive)
{
        for (const DirectiveDoc *d = config_directive_docs(); d->name; d++)
                if (STREQ(d->name, directive))
                        return d->supported ? ERROR_INVALID : ERROR_NOT_SUPPORTED;
        return ERROR_INVALID;
}

/* Consumes p. What is said about a secret says nothing of its value. */
static int problem_to_error(Problem *p, const char *directive, BusError *e)
{
        if (!p)
                return bus_error_set(e, ERROR_INVALID, "%s: not a valid value", directive);
        if (directive_has_secret(directive))
                bus_error_set(e, ERROR_INVALID,
                              "%s: expected a user and a secret, separated by a blank, each in "
                              "quotes if it contains one",
                              directive);
        else
                bus_error_set(e, error_of(directive), "%s: %s", directive, p->text);
        problem_free(p);
        return -1;
}

static int set_one(TargetSpec *t, LunSpec *l, const char *directive, const char *value,
                   const Edit *edit, BusError *e)
{
        Problem *problem = NULL;

        if (config_set(t, l, directive, value, edit->check, &problem) < 0)
                return problem_to_error(problem, directive, e);
        problem_free(problem); /* a warning */
        return 0;
}

static int set_all(TargetSpec *t, LunSpec *l, const Directive *d, const Edit *edit, BusError *e)
{
        if (!d->values[0])
                return set_one(t, l, d->name, NULL, edit, e);
        for (char **v = d->values; *v; v++)
                if (set_one(t, l, d->name, *v, edit, e) < 0)
                        return -1;
        return 0;
}

static TargetSpec *find_target(Desired *d, const Edit *edit, BusError *e)
{
        TargetSpec *t = g_hash_table_lookup(d->targets, edit->target);

        if (!t)
                bus_error_set(e, ERROR_NOT_FOUND,
                              "There is no target %s; tgtctl list shows those there are",
                              edit->target);
        return t;
}

static int verify_target(TargetSpec *t, BusError *e)
{
        g_autoptr(GPtrArray) problems =
                g_ptr_array_new_with_free_func((GDestroyNotify)problem_free);

        if (config_verify_target(t, problems))
                return 0;
        for (guint i = 0; i < problems->len; i++) {
                const Problem *p = g_ptr_array_index(problems, i);

                if (p->level != PROBLEM_ERROR)
                        continue;
                return bus_error_set(e, ERROR_INVALID, "%s: %s%s%s", t->name,
                                     p->directive ? p->directive : "", p->directive ? ": " : "",
                                     p->text);
        }
        return bus_error_set(e, ERROR_INVALID, "%s: not a valid target", t->name);
}

static bool names_a_store(const Directive *d)
{
        return STREQ(d->name, "backing-store") || STREQ(d->name, "direct-store");
}

static int set_target_directives(TargetSpec *t, const Edit *edit, bool stores, BusError *e)
{
        for (guint i = 0; i < edit->directives->len; i++) {
                const Directive *d = g_ptr_array_index(edit->directives, i);

                if (names_a_store(d) == stores && set_all(t, NULL, d, edit, e) < 0)
                        return -1;
        }
        return 0;
}

int edit_create_target(Desired *d, void *userdata, BusError *e)
{
        Edit *edit = userdata;
        _cleanup_(target_spec_freep) TargetSpec *t = NULL;

        if (g_hash_table_contains(d->targets, edit->target))
                return bus_error_set(e, ERROR_EXISTS, "There is a target %s already", edit->target);

        t = target_spec_new(edit->target);
        t->access_given = true; /* nobody, until somebody is named */
        t->persistence = edit->runtime ? TARGET_RUNTIME : TARGET_SAVED;
        /* a dictionary has no order: LUNs first, then what applies to all of them */
        if (set_target_directives(t, edit, true, e) < 0 ||
            set_target_directives(t, edit, false, e) < 0)
                return -1;
        if (verify_target(t, e) < 0)
                return -1;
        g_hash_table_insert(d->targets, t->name, t);
        t = NULL;
        return 0;
}

static int text_error(const GPtrArray *problems, BusError *e)
{
        for (guint i = 0; i < problems->len; i++) {
                const Problem *p = g_ptr_array_index(problems, i);

                if (p->level == PROBLEM_ERROR)
                        return bus_error_set(
                                e, p->directive ? error_of(p->directive) : ERROR_INVALID,
                                "line %u: %s%s%s", p->at.line, p->directive ? p->directive : "",
                                p->directive ? ": " : "", p->text);
        }
        return 0;
}

/* The one target that the text has; NULL with *e set. */
static TargetSpec *target_of_text(const Edit *edit, BusError *e)
{
        GPtrArray *problems = NULL;
        GHashTable *bad = NULL;
        TargetSpec *t = NULL;
        Desired *d = NULL;
        int r = config_load_text(edit->text, "text", edit->check, &d, &bad, &problems);

        if (r < 0) {
                bus_error_set(e, ERROR_FAILED, "The text cannot be read: %s", g_strerror(-r));
                return NULL;
        }
        t = g_hash_table_lookup(d->targets, edit->target);
        if (text_error(problems, e) < 0)
                t = NULL;
        else if (!t || g_hash_table_size(d->targets) != 1)
                t = NULL,
                bus_error_set(e, ERROR_INVALID, "expected one block, of %s", edit->target);
        if (t)
                t = target_spec_dup(t);
        desired_free(d);
        g_hash_table_unref(bad);
        g_ptr_array_unref(problems);
        return t;
}

int edit_replace_target(Desired *d, void *userdata, BusError *e)
{
        const Edit *edit = userdata;
        const TargetSpec *before = g_hash_table_lookup(d->targets, edit->target);
        TargetSpec *t = target_of_text(edit, e);

        if (!t)
                return -1;
        t->at = (Origin){ 0 };
        t->replace = t->masked = false;
        t->persistence = edit->runtime ? TARGET_RUNTIME : TARGET_SAVED;
        t->administrator = before ? before->administrator : (Origin){ 0 };
        desired_put(d, t);
        return verify_target(t, e);
}

int edit_delete_target(Desired *d, void *userdata, BusError *e)
{
        const Edit *edit = userdata;

        if (!find_target(d, edit, e))
                return -1;
        g_hash_table_remove(d->targets, edit->target);
        return 0;
}

/* Directives with a method of their own, which knows what adding and removing means; as a Set they
 * would replace the whole list, or hide from the authority that guards them. */
static const struct {
        const char *directive, *method;
} own_methods[] = {
        { KIND_NAME, "Allow and Deny" },
        { KIND_ADDRESS, "Allow and Deny" },
        { "limit-initiator", "SetInitiatorLimits" },
        { "incominguser", "AddAccount and RemoveAccount" },
        { "outgoinguser", "AddAccount and RemoveAccount" },
        { "backing-store", "AddLogicalUnit and RemoveLogicalUnit" },
        { "direct-store", "AddLogicalUnit and RemoveLogicalUnit" },
        { "lun", "AddLogicalUnit and RemoveLogicalUnit" },
};

int edit_set(Desired *d, void *userdata, BusError *e)
{
        const Edit *edit = userdata;
        const Directive *directive = g_ptr_array_index(edit->directives, 0);
        TargetSpec *t = find_target(d, edit, e);

        if (!t)
                return -1;
        for (size_t i = 0; i < ELEMENTSOF(own_methods); i++)
                if (STREQ(own_methods[i].directive, directive->name))
                        return bus_error_set(e, ERROR_INVALID, "%s: use the methods %s",
                                             directive->name, own_methods[i].method);
        if (set_one(t, NULL, directive->name, NULL, edit, e) < 0)
                return -1;
        if (directive->values[0] && set_all(t, NULL, directive, edit, e) < 0)
                return -1;
        return verify_target(t, e);
}

static int set_lun_directives(TargetSpec *t, LunSpec *l, const Edit *edit, BusError *e)
{
        for (guint i = 0; i < edit->directives->len; i++)
                if (set_all(t, l, g_ptr_array_index(edit->directives, i), edit, e) < 0)
                        return -1;
        return 0;
}

int edit_add_lun(Desired *d, void *userdata, BusError *e)
{
        Edit *edit = userdata;
        TargetSpec *t = find_target(d, edit, e);
        _cleanup_(lun_spec_freep) LunSpec *l = NULL;

        if (!t)
                return -1;
        l = lun_spec_new();
        if (set_lun_directives(NULL, l, edit, e) < 0)
                return -1;
        if (!l->lun_given) {
                if (target_spec_free_lun(t, &l->lun) < 0)
                        return bus_error_set(e, ERROR_LIMIT, "%s has no free LUN", t->name);
                /* the answer names it, so it stays that one whatever is added beside it */
                l->lun_given = true;
        }
        edit->lun = l->lun;
        edit->has_lun = true;
        if (target_spec_add_lun(t, l) < 0)
                return bus_error_set(e, ERROR_EXISTS,
                                     "%s has a LUN %u already; leave lun out for a free one",
                                     t->name, l->lun);
        l = NULL;
        return verify_target(t, e);
}

static int no_lun(const Edit *edit, BusError *e)
{
        return bus_error_set(e, ERROR_NOT_FOUND, "%s has no LUN %u", edit->target, edit->lun);
}

int edit_remove_lun(Desired *d, void *userdata, BusError *e)
{
        const Edit *edit = userdata;
        TargetSpec *t = find_target(d, edit, e);

        if (!t)
                return -1;
        if (!target_spec_remove_lun(t, edit->lun))
                return no_lun(edit, e);
        return verify_target(t, e);
}

static int set_lun(TargetSpec *t, LunSpec *l, const Edit *edit, BusError *e)
{
        for (guint i = 0; i < edit->directives->len; i++) {
                const Directive *directive = g_ptr_array_index(edit->directives, i);

                if (STREQ(directive->name, "lun"))
                        return bus_error_set(e, ERROR_INVALID,
                                             "lun: a LUN keeps its number; remove it and add it "
                                             "under another");
                /* the method says what the directive is from now on: a list starts anew */
                if (set_one(NULL, l, directive->name, NULL, edit, e) < 0)
                        return -1;
        }
        if (set_lun_directives(NULL, l, edit, e) < 0)
                return -1;
        return verify_target(t, e);
}

/* Another file under one number is not the others' business; anything else is the unit's. */
static bool leaves_unit(const Edit *edit)
{
        for (guint i = 0; i < edit->directives->len; i++)
                if (STREQ(((const Directive *)g_ptr_array_index(edit->directives, i))->name,
                          "path"))
                        return true;
        return false;
}

/* A drive stays the one that initiators know, whatever is in it. */
static void keep_drive(LunSpec *l, const char *path, const Edit *edit)
{
        if (!l->removable || !edit->uuid || g_strcmp0(l->path, path) == 0)
                return;
        if (!l->naa)
                l->naa = g_strdup(edit->naa);
        if (!l->uuid)
                l->uuid = g_strdup(edit->uuid);
}

int edit_set_lun(Desired *d, void *userdata, BusError *e)
{
        const Edit *edit = userdata;
        TargetSpec *t = find_target(d, edit, e);
        g_autofree char *path = NULL;
        LunSpec *l;

        if (!t)
                return -1;
        l = target_spec_find_lun(t, edit->lun);
        if (!l)
                return no_lun(edit, e);
        path = g_strdup(l->path);
        if (set_lun(t, l, edit, e) < 0)
                return -1;
        keep_drive(l, path, edit);
        for (guint i = 0; edit->also && i < edit->also->len && !leaves_unit(edit); i++) {
                const EditLun *other = g_ptr_array_index(edit->also, i);

                /* what has gone meanwhile has nothing to contradict */
                t = g_hash_table_lookup(d->targets, other->target);
                l = t ? target_spec_find_lun(t, other->lun) : NULL;
                if (l && set_lun(t, l, edit, e) < 0)
                        return -1;
        }
        return 0;
}

/* ---- access ---- */

static GPtrArray *list_of_kind(TargetSpec *t, const char *kind)
{
        return STREQ(kind, KIND_NAME) ? t->names : t->addresses;
}

static bool list_find(const GPtrArray *list, guint n, const char *value, guint *ret)
{
        for (guint i = 0; i < n; i++)
                if (STREQ(g_ptr_array_index(list, i), value)) {
                        *ret = i;
                        return true;
                }
        return false;
}

/* The value as a block with it would have it. NONE is a word for an empty list, not an entry. */
static int normalize_acl(Edit *edit, BusError *e)
{
        _cleanup_(target_spec_freep) TargetSpec *scratch = target_spec_new(edit->target);
        GPtrArray *list;

        if (set_one(scratch, NULL, edit->kind, edit->value, edit, e) < 0)
                return -1;
        list = list_of_kind(scratch, edit->kind);
        if (list->len != 1)
                return bus_error_set(e, ERROR_INVALID,
                                     "%s: expected one name, address, prefix or ALL", edit->kind);
        g_free(edit->value);
        edit->value = g_strdup(g_ptr_array_index(list, 0));
        return 0;
}

int edit_allow(Desired *d, void *userdata, BusError *e)
{
        Edit *edit = userdata;
        TargetSpec *t = find_target(d, edit, e);
        guint i;

        if (!t || normalize_acl(edit, e) < 0)
                return -1;
        if (!t->access_given && !edit->force)
                return bus_error_set(e, ERROR_INVALID,
                                     "%s admits everybody; with an entry it would admit only who "
                                     "matches. Use the option force if that is meant",
                                     t->name);
        if (list_find(list_of_kind(t, edit->kind), list_of_kind(t, edit->kind)->len, edit->value,
                      &i))
                return 0;
        if (set_one(t, NULL, edit->kind, edit->value, edit, e) < 0)
                return -1;
        return verify_target(t, e);
}

int edit_deny(Desired *d, void *userdata, BusError *e)
{
        Edit *edit = userdata;
        TargetSpec *t = find_target(d, edit, e);
        GPtrArray *list, *other;
        guint i;

        if (!t || normalize_acl(edit, e) < 0)
                return -1;
        list = list_of_kind(t, edit->kind);
        other = STREQ(edit->kind, KIND_NAME) ? t->addresses : t->names;
        if (!list_find(list, list->len, edit->value, &i)) {
                if (!t->access_given)
                        return bus_error_set(e, ERROR_NOT_FOUND,
                                             "%s has no access list, it admits everybody; allow "
                                             "somebody to have one",
                                             t->name);
                return bus_error_set(e, ERROR_NOT_FOUND, "%s has no %s %s", t->name, edit->kind,
                                     edit->value);
        }
        /* Both kinds restrict where both are given: without its last entry one restricts no more.
         */
        if (list->len == 1 && other->len > 0 && !edit->force)
                return bus_error_set(e, ERROR_INVALID,
                                     "%s is the last %s of %s: without it whoever matches the "
                                     "other entries could enter. Use the option force if that is "
                                     "meant",
                                     edit->value, edit->kind, t->name);
        g_ptr_array_remove_index(list, i);
        t->access_given = true;
        /* what it may do goes with it */
        target_spec_set_limit(t, edit->value, &(LimitSpec){ 0 });
        return verify_target(t, e);
}

int edit_set_limits(Desired *d, void *userdata, BusError *e)
{
        Edit *edit = userdata;
        _cleanup_(target_spec_freep) TargetSpec *scratch = target_spec_new(edit->target);
        TargetSpec *t = find_target(d, edit, e);
        g_autofree char *line = g_strdup_printf("%s iops=1", edit->value);

        if (!t)
                return -1;
        /* as a block with it would have it */
        if (strpbrk(edit->value, " \t,"))
                return bus_error_set(e, ERROR_INVALID,
                                     "initiator: expected one name, address, prefix or ALL");
        if (set_one(scratch, NULL, "limit-initiator", line, edit, e) < 0)
                return -1;
        g_free(edit->value);
        edit->value = g_strdup(((InitiatorLimit *)scratch->limits->pdata[0])->initiator);
        if (edit->limits.burst_us != 0 && !limit_spec_any(&edit->limits))
                return bus_error_set(e, ERROR_INVALID, "burst-usec: there is nothing to limit");
        target_spec_set_limit(t, edit->value, &edit->limits);
        return verify_target(t, e);
}

/* ---- accounts ---- */

static AccountSpec *find_account(GPtrArray *list, const char *user, guint *ret_index)
{
        for (guint i = 0; i < list->len; i++) {
                AccountSpec *a = g_ptr_array_index(list, i);

                if (STREQ(a->user, user)) {
                        *ret_index = i;
                        return a;
                }
        }
        return NULL;
}

static int check_account(const Edit *edit, BusError *e)
{
        if (!text_is_clean(edit->user, 255, false))
                return bus_error_set(e, ERROR_INVALID,
                                     "A user name has 1 to 255 bytes and no control characters");
        if (!text_is_clean(edit->secret, 255, false))
                return bus_error_set(e, ERROR_INVALID,
                                     "A secret has 1 to 255 bytes and no control characters");
        return 0;
}

static void put_account(GPtrArray *incoming, AccountSpec **outgoing, const Edit *edit)
{
        guint i;

        if (STREQ(edit->direction, DIRECTION_OUTGOING)) {
                account_spec_free(*outgoing);
                *outgoing = account_spec_new(edit->user, edit->secret);
                return;
        }
        if (find_account(incoming, edit->user, &i))
                g_ptr_array_remove_index(incoming, i);
        g_ptr_array_add(incoming, account_spec_new(edit->user, edit->secret));
}

static int take_account(GPtrArray *incoming, AccountSpec **outgoing, const Edit *edit,
                        const char *of, BusError *e)
{
        guint i;

        if (STREQ(edit->direction, DIRECTION_OUTGOING)) {
                if (*outgoing && STREQ((*outgoing)->user, edit->user)) {
                        *outgoing = account_spec_free(*outgoing);
                        return 0;
                }
        } else if (find_account(incoming, edit->user, &i)) {
                if (incoming->len == 1 && !edit->force)
                        return bus_error_set(e, ERROR_INVALID,
                                             "%s is the last incoming account of %s: without it "
                                             "initiators enter without a secret. Use the option "
                                             "force if that is meant",
                                             edit->user, of);
                g_ptr_array_remove_index(incoming, i);
                return 0;
        }
        return bus_error_set(e, ERROR_NOT_FOUND, "There is no %s account %s of %s", edit->direction,
                             edit->user, of);
}

int edit_add_account(Desired *d, void *userdata, BusError *e)
{
        const Edit *edit = userdata;
        TargetSpec *t = find_target(d, edit, e);

        if (!t || check_account(edit, e) < 0)
                return -1;
        put_account(t->incoming, &t->outgoing, edit);
        return verify_target(t, e);
}

int edit_remove_account(Desired *d, void *userdata, BusError *e)
{
        const Edit *edit = userdata;
        TargetSpec *t = find_target(d, edit, e);

        if (!t || take_account(t->incoming, &t->outgoing, edit, t->name, e) < 0)
                return -1;
        return verify_target(t, e);
}

int edit_add_discovery_account(Desired *d, void *userdata, BusError *e)
{
        const Edit *edit = userdata;

        if (check_account(edit, e) < 0)
                return -1;
        put_account(d->discovery_incoming, &d->discovery_outgoing, edit);
        return 0;
}

int edit_remove_discovery_account(Desired *d, void *userdata, BusError *e)
{
        return take_account(d->discovery_incoming, &d->discovery_outgoing, userdata, "discovery",
                            e);
}

/* Accounts that no target asks for, until they are bound: tgtadm's. */
int edit_new_account(Desired *d, void *userdata, BusError *e)
{
        const Edit *edit = userdata;
        guint i;

        if (check_account(edit, e) < 0)
                return -1;
        if (find_account(d->accounts, edit->user, &i))
                return bus_error_set(e, ERROR_EXISTS, "There is an account %s already", edit->user);
        g_ptr_array_add(d->accounts, account_spec_new(edit->user, edit->secret));
        return 0;
}

int edit_delete_account(Desired *d, void *userdata, BusError *e)
{
        const Edit *edit = userdata;
        guint i;

        if (!find_account(d->accounts, edit->user, &i))
                return bus_error_set(e, ERROR_NOT_FOUND, "There is no account %s", edit->user);
        g_ptr_array_remove_index(d->accounts, i);
        return 0;
}

static int bind_to(GPtrArray *incoming, AccountSpec **outgoing, const Edit *edit, const char *of,
                   BusError *e)
{
        guint i;

        if (STREQ(edit->direction, DIRECTION_OUTGOING) && *outgoing)
                return bus_error_set(e, ERROR_EXISTS, "%s has the outgoing account %s already", of,
                                     (*outgoing)->user);
        if (STREQ(edit->direction, DIRECTION_INCOMING) && find_account(incoming, edit->user, &i))
                return bus_error_set(e, ERROR_EXISTS, "%s has the account %s already", of,
                                     edit->user);
        put_account(incoming, outgoing, edit);
        return 0;
}

int edit_bind_account(Desired *d, void *userdata, BusError *e)
{
        Edit *edit = userdata;
        const AccountSpec *known;
        TargetSpec *t = NULL;
        guint i;

        if (edit->target) {
                t = find_target(d, edit, e);
                if (!t)
                        return -1;
        }
        known = find_account(d->accounts, edit->user, &i);
        if (known) {
                wipe(&edit->secret);
                edit->secret = g_strdup(known->secret);
        }
        if (!edit->secret)
                return bus_error_set(e, ERROR_NOT_FOUND, "There is no account %s", edit->user);
        if (!t)
                return bind_to(d->discovery_incoming, &d->discovery_outgoing, edit, "discovery", e);
        if (bind_to(t->incoming, &t->outgoing, edit, t->name, e) < 0)
                return -1;
        return verify_target(t, e);
}

/* ---- portals ---- */

static int normalize_portal(Edit *edit, BusError *e)
{
        char text[SOCKADDR_TEXT_MAX];
        SockAddr address;

        if (sockaddr_parse(edit->address, ISCSI_PORT, true, &address) < 0 ||
            sockaddr_port(&address) == 0)
                return bus_error_set(e, ERROR_INVALID,
                                     "%s: expected ADDRESS[:PORT] or [IPV6-ADDRESS][:PORT]",
                                     edit->address);
        g_free(edit->address);
        edit->address = g_strdup(sockaddr_format(&address, true, text));
        return 0;
}

static bool find_portal(const Desired *d, const char *address, guint *ret)
{
        for (guint i = 0; i < d->portals->len; i++) {
                const PortalSpec *p = g_ptr_array_index(d->portals, i);

                if (STREQ(p->address, address)) {
                        *ret = i;
                        return true;
                }
        }
        return false;
}

int edit_add_portal(Desired *d, void *userdata, BusError *e)
{
        Edit *edit = userdata;
        guint i;

        if (normalize_portal(edit, e) < 0)
                return -1;
        if (find_portal(d, edit->address, &i))
                return bus_error_set(e, ERROR_EXISTS, "There is a portal %s already",
                                     edit->address);
        g_ptr_array_add(d->portals, portal_spec_new(edit->address));
        return 0;
}

int edit_remove_portal(Desired *d, void *userdata, BusError *e)
{
        Edit *edit = userdata;
        guint i;

        if (normalize_portal(edit, e) < 0)
                return -1;
        if (!find_portal(d, edit->address, &i))
                return bus_error_set(
                        e, ERROR_NOT_FOUND,
                        "No portal %s was added here; those of the socket unit and of the "
                        "command line are changed there",
                        edit->address);
        g_ptr_array_remove_index(d->portals, i);
        return 0;
}

/* ---- what a change would open ---- */

static void new_paths_of_lun(const LunSpec *before, const LunSpec *after, GPtrArray *paths)
{
        if (after->path && (!before || g_strcmp0(before->path, after->path) != 0))
                g_ptr_array_add(paths, g_strdup(after->path));
        /* options are the store's own; what looks like a file name there is treated as one */
        if (after->bs_options && strchr(after->bs_options, '/') &&
            (!before || g_strcmp0(before->bs_options, after->bs_options) != 0))
                g_ptr_array_add(paths, g_strdup(after->bs_options));
}

void new_paths_of_target(const TargetSpec *before, const TargetSpec *after, GPtrArray *paths)
{
        for (guint i = 0; i < after->luns->len; i++) {
                const LunSpec *l = g_ptr_array_index(after->luns, i);

                new_paths_of_lun(before ? target_spec_find_lun(before, l->lun) : NULL, l, paths);
        }
}

int edit_new_paths(const Desired *running, EditFunc *edit, const Edit *e, GPtrArray *paths,
                   BusError *error)
{
        const TargetSpec *before = g_hash_table_lookup(running->targets, e->target), *after;
        _cleanup_(desired_freep) Desired *scratch = desired_new();
        Edit copy = *e; /* the edits of targets and LUNs set numbers only */

        if (before) {
                TargetSpec *t = target_spec_dup(before);

                g_hash_table_insert(scratch->targets, t->name, t);
        }
        if (edit(scratch, &copy, error) < 0)
                return -1;
        after = g_hash_table_lookup(scratch->targets, e->target);
        if (after)
                new_paths_of_target(before, after, paths);
        return 0;
}
