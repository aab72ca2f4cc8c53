/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/verify.h"

#include <sys/stat.h>

#include "base/image-name.h"
#include "config/problem.h"
#include "config/spec.h"
#include "config/values.h"

#include "base/addr.h"

/* What holds across directives, and across targets. */

#define STGT_NULL_SIZE (UINT64_C(1) << 40)

/* ---- one target: LUN numbers ----------------------------------------------------------------- */

#define N_LUNS (CONFIG_LUN_MAX + 1)

static bool lun_is_resolved(const LunSpec *l)
{
        return l->lun_given || l->lun != 0; /* nobody gets 0 unasked */
}

static int compare_luns(const void *a, const void *b)
{
        const LunSpec *p = *(LunSpec *const *)a, *q = *(LunSpec *const *)b;

        return (int)p->lun - (int)q->lun;
}

/* Gives numbers to those that have none, in their order: the lowest from 1 on that no other has. */
static bool number_luns(TargetSpec *t, GPtrArray *problems)
{
        g_autofree bool *used = g_new0(bool, N_LUNS);
        unsigned next = 1;
        bool good = true;

        for (guint i = 0; i < t->luns->len; i++) {
                LunSpec *l = t->luns->pdata[i];

                if (!lun_is_resolved(l))
                        continue;
                if (l->lun > CONFIG_LUN_MAX || used[l->lun]) {
                        problem_error(problems, l->at, t->name, "lun",
                                      l->lun > CONFIG_LUN_MAX ? "%u is too great"
                                                              : "%u is there twice",
                                      l->lun);
                        good = false;
                        continue;
                }
                used[l->lun] = true;
        }
        for (guint i = 0; i < t->luns->len; i++) {
                LunSpec *l = t->luns->pdata[i];

                if (lun_is_resolved(l))
                        continue;
                while (next < N_LUNS && used[next])
                        next++;
                if (next == N_LUNS) {
                        problem_error(problems, l->at, t->name, "backing-store",
                                      "no LUN number is left");
                        return false;
                }
                l->lun = (uint16_t)next++;
        }
        g_ptr_array_sort(t->luns, compare_luns);
        return good;
}

/* ---- one target: LUNs ------------------------------------------------------------------------ */

/* Each store of these types is a thing of its own, whatever it is called. */
static bool is_anonymous(const LunSpec *l)
{
        return !l->path || lun_spec_needs_size(l);
}

/* The path is a name in a cluster. */
static bool is_image(const LunSpec *l)
{
        return STREQ(l->bs_type, "rbd");
}

static void set_unless(char **field, char *value)
{
        if (*field)
                g_free(value);
        else
                *field = value;
}

/* stgt's NAA designator: its SCSI ID from the right, where what is no hexadecimal digit is read as
 * 0, so that the E of "IET" is in it. */
static char *stgt_naa(const char *scsi_id)
{
        char *naa = g_strnfill(32, '0');
        size_t n = MIN(strlen(scsi_id), (size_t)32);

        for (size_t i = 0; i < n; i++) {
                char c = scsi_id[strlen(scsi_id) - 1 - i];

                if (g_ascii_isxdigit(c))
                        naa[31 - i] = g_ascii_tolower(c);
        }
        naa[0] = '6';
        return naa;
}

#define STGT_ID_MAX 36u

/* stgt keeps no more of it. */
static void cut_for_stgt(const TargetSpec *t, const LunSpec *l, char *text, const char *directive,
                         GPtrArray *problems)
{
        if (!text || strlen(text) <= STGT_ID_MAX)
                return;
        problem_warning(problems, l->at, t->name, directive,
                        "\"%s\" is cut to %u characters, as stgt does", text, STGT_ID_MAX);
        text[STGT_ID_MAX] = '\0';
}

/* stgt derives everything from the two numbers. */
static void stgt_identity(LunSpec *l, uint32_t tid)
{
        set_unless(&l->vendor_id, g_strdup("IET"));
        set_unless(&l->product_id, g_strdup("VIRTUAL-DISK"));
        set_unless(&l->product_rev, g_strdup("0001"));
        set_unless(&l->scsi_id, g_strdup_printf("IET     %04x%04x", tid, l->lun));
        set_unless(&l->scsi_sn, g_strdup_printf("beaf%u%u", tid, l->lun));
        set_unless(&l->naa, stgt_naa(l->scsi_id));
        l->stgt_tid = tid;
}

static bool verify_lun(TargetSpec *t, LunSpec *l, GPtrArray *problems)
{
        ImageName name;
        bool good = true;

        if (!l->path && !lun_spec_is_empty(l) && !lun_spec_needs_size(l) &&
            !STREQ(l->bs_type, "fault")) {
                problem_error(problems, l->at, t->name, "backing-store",
                              "bs-type %s needs %s, or removable 1, for a drive without a medium",
                              l->bs_type,
                              is_image(l) ? "the name of an image"
                                          : "the path of a file or a device");
                good = false;
        }
        if (l->path && is_image(l) && image_name_parse(l->path, &name) < 0) {
                problem_error(problems, l->at, t->name, "backing-store",
                              "\"%s\": " IMAGE_NAME_GRAMMAR " expected", l->path);
                good = false;
        } else if (l->path && !is_anonymous(l) && !is_image(l) && l->path[0] != '/') {
                problem_error(problems, l->at, t->name, "backing-store",
                              "\"%s\": an absolute path expected", l->path);
                good = false;
        }
        if (STREQ(l->bs_type, "null") && l->path && l->size == 0)
                l->size = STGT_NULL_SIZE; /* a path is what stgt's files have there */
        if (lun_spec_needs_size(l) && l->size == 0) {
                problem_error(problems, l->at, t->name, "size",
                              "bs-type %s needs it, such as size 1G", l->bs_type);
                good = false;
        }
        if (l->limits.burst_us && !limit_spec_any(&l->limits))
                problem_warning(problems, l->at, t->name, "limit-burst",
                                "has no effect: nothing of this LUN is limited");
        if (l->stgt_identity && t->tid == 0) {
                problem_error(problems, l->at, t->name, "identity",
                              "stgt's identities depend on controller_tid, which is not given");
                good = false;
        } else if (l->stgt_identity && t->tid > 0xffff) {
                problem_error(problems, l->at, t->name, "identity",
                              "stgt's identities need a controller_tid of at most %u", 0xffff);
                good = false;
        } else if (l->stgt_identity) {
                cut_for_stgt(t, l, l->scsi_id, "scsi_id", problems);
                cut_for_stgt(t, l, l->scsi_sn, "scsi_sn", problems);
                stgt_identity(l, t->tid);
        }
        return good;
}

/* ---- access and accounts --------------------------------------------------------------------- */

/* What is said twice is there once; a user who has two secrets is a mistake. */
static bool unique_accounts(GPtrArray *accounts, const char *target, const char *directive,
                            GPtrArray *problems)
{
        g_autoptr(GHashTable) users = g_hash_table_new(g_str_hash, g_str_equal);
        bool good = true;
        guint kept = 0;

        for (guint i = 0; i < accounts->len; i++) {
                AccountSpec *a = accounts->pdata[i];
                const AccountSpec *first = g_hash_table_lookup(users, a->user);
                g_autofree char *where = NULL;

                if (first && account_spec_equal(first, a)) {
                        account_spec_free(a);
                        continue;
                }
                if (first) {
                        where = origin_format(first->at);
                        problem_error(problems, a->at, target, directive,
                                      "user \"%s\" has another secret already, at %s", a->user,
                                      where);
                        good = false;
                } else {
                        g_hash_table_insert(users, a->user, a);
                }
                accounts->pdata[kept++] = a;
        }
        g_ptr_array_set_free_func(accounts, NULL); /* what is behind kept has moved or is gone */
        g_ptr_array_set_size(accounts, (gint)kept);
        g_ptr_array_set_free_func(accounts, destroy_account);
        return good;
}

static bool is_limited_in_vain(const TargetSpec *t, const InitiatorLimit *l)
{
        AddrPrefix prefix;

        if (t->names->len == 0 || addr_prefix_parse(l->initiator, &prefix) == 0 ||
            g_ptr_array_find_with_equal_func(t->names, "ALL", g_str_equal, NULL))
                return false;
        return !g_ptr_array_find_with_equal_func(t->names, l->initiator, g_str_equal, NULL);
}

/* Of one initiator there is one. */
static bool verify_limits(const TargetSpec *t, GPtrArray *problems)
{
        bool good = true;

        for (guint i = 0; i < t->limits->len; i++) {
                const InitiatorLimit *l = t->limits->pdata[i];
                const InitiatorLimit *first = target_spec_find_limit(t, l->initiator);

                if (first != l) {
                        g_autofree char *where = origin_format(first->at);

                        problem_error(problems, l->at, t->name, "limit-initiator",
                                      "\"%s\" has limits already, at %s", l->initiator, where);
                        good = false;
                } else if (is_limited_in_vain(t, l)) {
                        problem_warning(problems, l->at, t->name, "limit-initiator",
                                        "no initiator-name admits \"%s\": this has no effect",
                                        l->initiator);
                }
        }
        return good;
}

static void unique_texts(GPtrArray *texts)
{
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        guint kept = 0;

        for (guint i = 0; i < texts->len; i++) {
                if (g_hash_table_add(seen, texts->pdata[i]))
                        texts->pdata[kept++] = texts->pdata[i];
                else
                        g_free(texts->pdata[i]);
        }
        g_ptr_array_set_free_func(texts, NULL);
        g_ptr_array_set_size(texts, (gint)kept);
        g_ptr_array_set_free_func(texts, g_free);
}

/* Accounts need not come through the directive table: what they hold ends up in a line of a file,
 * on the bus and in the journal. The secret is not repeated. */
static bool verify_account(const AccountSpec *a, const char *target, const char *directive,
                           GPtrArray *problems)
{
        const char *const texts[] = { a->user, a->credential ? a->credential : a->secret };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                const char *what = i == 0 ? "user" : "secret";

                if (!*texts[i] || strlen(texts[i]) > ACCOUNT_TEXT_MAX) {
                        problem_error(problems, a->at, target, directive,
                                      "a %s of 1 to %d bytes expected", what, ACCOUNT_TEXT_MAX);
                        return false;
                }
                if (text_has_control(texts[i]) || !g_utf8_validate(texts[i], -1, NULL)) {
                        problem_error(problems, a->at, target, directive,
                                      "a %s without control characters, in UTF-8, expected", what);
                        return false;
                }
        }
        return true;
}

/* RFC 7143 9.2.1: not the same secret in both directions, or the one side can be made to answer its
 * own challenge. */
static bool verify_accounts(const GPtrArray *incoming, const char *incoming_directive,
                            const AccountSpec *outgoing, const char *directive, const char *target,
                            GPtrArray *problems)
{
        bool good = true;

        for (guint i = 0; i < incoming->len; i++)
                good &= verify_account(incoming->pdata[i], target, incoming_directive, problems);
        if (outgoing)
                good &= verify_account(outgoing, target, directive, problems);
        for (guint i = 0; outgoing && i < incoming->len; i++) {
                const AccountSpec *a = incoming->pdata[i];

                if (!STREQ(a->secret, outgoing->secret) ||
                    g_strcmp0(a->credential, outgoing->credential) != 0)
                        continue;
                if (STREQ(a->user, outgoing->user)) {
                        problem_error(problems, outgoing->at, target, directive,
                                      "user \"%s\" has the same secret in both directions, which "
                                      "RFC 7143 9.2.1 forbids",
                                      a->user);
                        good = false;
                } else {
                        problem_warning(problems, outgoing->at, target, directive,
                                        "the secret is that of the incoming user \"%s\" too, which "
                                        "RFC 7143 9.2.1 forbids",
                                        a->user);
                }
        }
        return good;
}

bool config_verify_target(TargetSpec *t, GPtrArray *problems)
{
        bool good = number_luns(t, problems);

        for (guint i = 0; i < t->luns->len; i++) {
                good &= lun_set_deferred(t, t->luns->pdata[i], problems);
                good &= verify_lun(t, t->luns->pdata[i], problems);
        }
        unique_texts(t->addresses);
        unique_texts(t->names);
        good &= verify_limits(t, problems);
        good &= unique_accounts(t->incoming, t->name, "incominguser", problems);
        if (t->outgoing && t->incoming->len == 0)
                problem_warning(problems, t->outgoing->at, t->name, "outgoinguser",
                                "has no effect without incominguser");
        good &= verify_accounts(t->incoming, "incominguser", t->outgoing, "outgoinguser", t->name,
                                problems);
        return good;
}

/* ---- across targets -------------------------------------------------------------------------- */

/* Who has what: "kind:value" -> the first LUN or target. */
typedef struct Owner {
        const TargetSpec *target;
        const LunSpec *lun; /* NULL: the target itself */
} Owner;

typedef struct Verifier {
        GHashTable *owners;
        GPtrArray *problems;
        GPtrArray *added; /* keys of the target that is being looked at; borrowed */
} Verifier;

/* Two names of one file or device. */
static bool same_store(const char *a, const char *b)
{
        struct stat x, y;

        if (STREQ(a, b))
                return true;
        if (stat(a, &x) < 0 || stat(b, &y) < 0)
                return false;
        if (S_ISBLK(x.st_mode) && S_ISBLK(y.st_mode))
                return x.st_rdev == y.st_rdev;
        return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The first of this key, or NULL after making it (target, lun). */
static const Owner *claim(Verifier *v, const char *kind, const char *value, const TargetSpec *t,
                          const LunSpec *l)
{
        char *key = g_strdup_printf("%s:%s", kind, value);
        Owner *o = g_hash_table_lookup(v->owners, key);

        if (o) {
                g_free(key);
                return o;
        }
        o = g_new0(Owner, 1);
        o->target = t;
        o->lun = l;
        g_hash_table_insert(v->owners, key, o);
        g_ptr_array_add(v->added, key);
        return NULL;
}

static char *owner_format(const Owner *o)
{
        g_autofree char *at = origin_format(o->lun ? o->lun->at : o->target->at);

        if (!o->lun)
                return g_strdup_printf("target %s (%s)", o->target->name, at);
        return g_strdup_printf("target %s lun %u (%s)", o->target->name, o->lun->lun, at);
}

static bool verify_identity(Verifier *v, const char *kind, const char *value, const TargetSpec *t,
                            const LunSpec *l)
{
        g_autofree char *other = NULL;
        const Owner *o;

        if (!value)
                return true;
        o = claim(v, kind, value, t, l);
        if (!o || (!is_anonymous(l) && !is_anonymous(o->lun) && same_store(l->path, o->lun->path)))
                return true;
        other = owner_format(o);
        problem_error(v->problems, l->at, t->name, kind,
                      "\"%s\" is that of %s, which is another unit: initiators would take them for "
                      "one",
                      value, other);
        return false;
}

/* SPC-4 7.8.6.4: a T10 designator is the vendor and what is unique with it. */
static bool verify_t10(Verifier *v, const TargetSpec *t, const LunSpec *l)
{
        g_autofree char *id = NULL;

        if (!l->scsi_id)
                return true;
        id = g_strdup_printf("%-8s%s", l->vendor_id ?: "", l->scsi_id);
        return verify_identity(v, "scsi_id", id, t, l);
}

/* The first directive in which two LUNs differ, or NULL. */
static const char *difference(const LunSpec *a, const LunSpec *b)
{
        const char *found = NULL;

        for (const Directive *d = directives(); d->name && !found; d++) {
                g_autoptr(GPtrArray) x = NULL, y = NULL;

                if (!(d->where & IN_LUN) || !d->type || STREQ(d->name, "lun") ||
                    STREQ(d->name, "path") || STREQ(d->name, "allow-in-use"))
                        continue;
                x = g_ptr_array_new_with_free_func(g_free);
                y = g_ptr_array_new_with_free_func(g_free);
                d->type->get(d, a, x);
                d->type->get(d, b, y);
                if (x->len != y->len)
                        found = d->name;
                for (guint i = 0; i < x->len && !found; i++)
                        if (!STREQ(x->pdata[i], y->pdata[i]))
                                found = d->name;
        }
        return found;
}

/* The same store under two numbers is one unit with two paths, and has one configuration. */
static bool verify_store(Verifier *v, const TargetSpec *t, const LunSpec *l)
{
        g_autofree char *other = NULL, *image = NULL;
        const char *differs;
        const Owner *o;

        if (is_anonymous(l))
                return true;
        if (is_image(l)) { /* which cluster is meant is among the options */
                image = g_strconcat(l->path, ";", l->bs_options, NULL);
                o = claim(v, "image", image, t, l);
        } else
                o = claim(v, "path", l->path, t, l);
        if (!o)
                return true;
        differs = difference(l, o->lun);
        if (!differs)
                return true;
        other = owner_format(o);
        problem_error(v->problems, l->at, t->name, differs,
                      "%s is served as %s too, as one unit: it has to be configured alike there",
                      l->path, other);
        return false;
}

static bool verify_tid(Verifier *v, const TargetSpec *t)
{
        g_autofree char *tid = NULL, *other = NULL;
        const Owner *o;

        if (t->tid == 0)
                return true;
        tid = g_strdup_printf("%u", t->tid);
        o = claim(v, "controller_tid", tid, t, NULL);
        if (!o)
                return true;
        other = owner_format(o);
        problem_error(v->problems, t->at, t->name, "controller_tid", "%s is that of %s", tid,
                      other);
        return false;
}

static bool verify_one(Verifier *v, const TargetSpec *t)
{
        bool good = verify_tid(v, t);

        for (guint i = 0; i < t->luns->len; i++) {
                const LunSpec *l = t->luns->pdata[i];

                good &= verify_store(v, t, l);
                good &= verify_identity(v, "uuid", l->uuid, t, l);
                good &= verify_identity(v, "naa", l->naa, t, l);
                good &= verify_t10(v, t, l);
        }
        return good;
}

bool verify_together(const GPtrArray *targets, GHashTable *bad, GPtrArray *problems)
{
        Verifier v = { .problems = problems };
        bool good = true;

        v.owners = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        v.added = g_ptr_array_new();
        for (guint i = 0; i < targets->len; i++) {
                const TargetSpec *t = targets->pdata[i];

                g_ptr_array_set_size(v.added, 0);
                if (verify_one(&v, t))
                        continue;
                good = false;
                if (bad)
                        g_hash_table_add(bad, g_strdup(t->name));
                /* a target that will not be served stands in nobody's way */
                for (guint k = 0; k < v.added->len; k++)
                        g_hash_table_remove(v.owners, v.added->pdata[k]);
        }
        g_hash_table_unref(v.owners);
        g_ptr_array_unref(v.added);
        return good;
}

static int compare_targets(const void *a, const void *b)
{
        return strcmp((*(TargetSpec *const *)a)->name, (*(TargetSpec *const *)b)->name);
}

GPtrArray *desired_sorted_targets(const Desired *d)
{
        GPtrArray *targets = g_ptr_array_sized_new(g_hash_table_size(d->targets));
        GHashTableIter iter;
        void *t;

        g_hash_table_iter_init(&iter, d->targets);
        while (g_hash_table_iter_next(&iter, NULL, &t))
                g_ptr_array_add(targets, t);
        g_ptr_array_sort(targets, compare_targets);
        return targets;
}

bool verify_globals(const Desired *d, GPtrArray *problems)
{
        bool good;

        if (d->discovery_outgoing && d->discovery_incoming->len == 0)
                problem_warning(problems, d->discovery_outgoing->at, NULL, "outgoingdiscoveryuser",
                                "has no effect without incomingdiscoveryuser");
        good = unique_accounts(d->accounts, NULL, "account", problems);
        good &= verify_accounts(d->accounts, "account", NULL, NULL, NULL, problems);
        good &= unique_accounts(d->discovery_incoming, NULL, "incomingdiscoveryuser", problems);
        return verify_accounts(d->discovery_incoming, "incomingdiscoveryuser",
                               d->discovery_outgoing, "outgoingdiscoveryuser", NULL, problems) &&
               good;
}

bool config_verify(const Desired *d, GHashTable *bad, GPtrArray *problems)
{
        g_autoptr(GPtrArray) targets = desired_sorted_targets(d);
        bool good = verify_globals(d, problems);

        return verify_together(targets, bad, problems) && good;
}
