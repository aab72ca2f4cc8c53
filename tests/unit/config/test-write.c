/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helpers.h"

#include "config/verify.h"

/* What is written reads back as what it was: for specs of every shape, with odd characters. */

static GRand *rand_;

static bool coin(void)
{
        return g_rand_boolean(rand_);
}

static unsigned upto(unsigned n)
{
        return (unsigned)g_rand_int_range(rand_, 0, (gint32)n + 1);
}

/* Anything that a value may have: quotes, blanks, comments, tags, UTF-8. */
static char *odd_text(unsigned max)
{
        static const char *const pieces[] = { "a", "B", "7",  " ",  "\"",    "\\",      "#",
                                              "$", "/", "*",  "<",  ">",     "=",       ",",
                                              "'", ";", "/*", "*/", "<<EOT", "\xc3\xbc" };
        GString *s = g_string_new("x");
        unsigned n = upto(max);

        for (unsigned i = 0; i < n; i++) {
                const char *piece = pieces[upto(G_N_ELEMENTS(pieces) - 1)];

                if (s->len + strlen(piece) <= max)
                        g_string_append(s, piece);
        }
        return g_string_free(s, FALSE);
}

static char *ascii_text(unsigned max)
{
        GString *s = g_string_new(NULL);

        for (unsigned i = upto(max - 1); i > 0; i--)
                g_string_append_c(s, (char)(0x20 + upto(0x5e)));
        g_string_append_c(s, 'z'); /* trailing blanks are padding */
        return g_string_free(s, FALSE);
}

/* What identifies a unit is not there twice. */
static char *unique_text(void)
{
        static unsigned n;
        g_autofree char *text = ascii_text(20);

        return g_strdup_printf("%u%s", n++, text);
}

/* Each is another one: units of one path would have to be alike. */
static char *odd_path(void)
{
        static unsigned n;
        g_autofree char *text = odd_text(30);

        return g_strdup_printf("/srv/%u%s", n++, text);
}

static int maybe(unsigned max)
{
        return coin() ? (int)upto(max) : -1;
}

static char *hex(unsigned n)
{
        GString *s = g_string_new("6");

        while (s->len < n)
                g_string_append_c(s, "0123456789abcdef"[upto(15)]);
        return g_string_free(s, FALSE);
}

/* With whatever unit it is written best. */
static LimitSpec random_limits(void)
{
        static const uint64_t factors[] = { 1, 1000, 1000000, 1000000000, KIB, MIB, GIB };
        LimitSpec limits = { 0 };

        for (size_t i = 0; i < n_limit_fields(); i++) {
                const LimitField *f = &limit_fields()[i];
                uint64_t v = (1 + upto(900)) * factors[upto(G_N_ELEMENTS(factors) - 1)];

                if (coin() && coin())
                        *limit_field(&limits, f) = CLAMP(v, f->min, f->max);
        }
        return limits;
}

static LunSpec *random_lun(uint16_t number)
{
        static const char *const types[] = { "rdwr", "aio", "null", "ram", "fault" };
        LunSpec *l = lun_spec_new();

        l->lun = number;
        l->lun_given = true;
        g_free(l->bs_type);
        l->bs_type = g_strdup(types[upto(G_N_ELEMENTS(types) - 1)]);
        if (STREQ(l->bs_type, "null") || STREQ(l->bs_type, "ram"))
                l->size = 512 + upto(1 << 20);
        if (l->size == 0 || coin())
                l->path = odd_path();
        l->bs_options = coin() ? odd_text(40) : NULL;
        l->direct = coin();
        l->sync = coin();
        l->block_size = coin() ? 4096 : 0;
        l->write_cache = coin();
        l->readonly = coin();
        l->removable = coin();
        l->online = coin();
        l->thin = coin();
        l->allow_in_use = coin();
        l->sense_descriptor = coin();
        l->lbppbe = maybe(15);
        l->la_lba = maybe(0x3fff);
        l->optimal_xfer_gran = maybe(0xffff);
        l->optimal_xfer_len = maybe(1 << 20);
        l->rotation_rate = maybe(1);
        l->scsi_id = coin() ? unique_text() : NULL;
        l->scsi_sn = coin() ? ascii_text(36) : NULL;
        l->vendor_id = coin() ? ascii_text(8) : NULL;
        l->product_id = coin() ? ascii_text(16) : NULL;
        l->product_rev = coin() ? ascii_text(4) : NULL;
        l->uuid = coin() ? g_uuid_string_random() : NULL;
        l->naa = coin() ? hex(32) : NULL;
        l->limits = random_limits();
        for (unsigned i = upto(2); i > 0; i--)
                g_ptr_array_add(l->mode_pages, g_strdup_printf("0x1c:%u:10:%u", i, upto(255)));
        return l;
}

static AccountSpec *random_account(unsigned n)
{
        g_autofree char *user = odd_text(20), *secret = odd_text(60);
        g_autofree char *numbered = g_strdup_printf("%u%s", n, user);
        g_autofree char *longer = g_strdup_printf("%s0123456789ab", secret);

        return account_spec_new(numbered, longer);
}

static TargetSpec *random_target(unsigned n)
{
        static const char *const params[][2] = { { "MaxBurstLength", "65536" },
                                                 { "HeaderDigest", "CRC32C,None" },
                                                 { "nop_interval", "5" } };
        g_autofree char *name = g_strdup_printf("iqn.2026-01.com.example:t%u", n);
        TargetSpec *t = target_spec_new(name);

        t->alias = coin() ? odd_text(100) : NULL;
        t->tid = coin() ? n + 1 : 0;
        t->online = coin();
        t->access_given = upto(3) > 0;
        if (t->access_given && coin())
                g_ptr_array_add(t->addresses, g_strdup(coin() ? "ALL" : "192.0.2.0/24"));
        if (t->access_given && coin())
                g_ptr_array_add(t->names, g_strdup(coin() ? "ALL" : "iqn.2026-01.com.example:i"));
        for (unsigned i = upto(3); i > 0; i--)
                g_ptr_array_add(t->incoming, random_account(i));
        t->outgoing = coin() ? random_account(9) : NULL;
        for (unsigned i = 0; i < G_N_ELEMENTS(params); i++)
                if (coin())
                        g_ptr_array_add(t->params, config_param_new(params[i][0], params[i][1]));
        for (unsigned i = upto(3); i > 0; i--) {
                g_autofree char *host = g_strdup_printf("iqn.2026-01.com.example:i%u", i);
                LimitSpec limits = random_limits();

                target_spec_set_limit(t, i == 2 ? "192.0.2.0/24" : i == 1 ? "ALL" : host, &limits);
        }
        t->replace = coin();
        for (unsigned i = upto(4), number = upto(9); i > 0; i--, number += 1 + upto(100))
                g_ptr_array_add(t->luns, random_lun((uint16_t)number));
        return t;
}

static void assert_round_trip(const Desired *d)
{
        g_autoptr(GString) text = g_string_new(NULL), again = g_string_new(NULL);
        g_autoptr(GPtrArray) changes = NULL;
        _cleanup_loaded_ Loaded l = { 0 };

        desired_write(d, true, text);
        l = load(text->str);
        for (guint i = 0; i < l.problems->len; i++) {
                g_autofree char *line = problem_format(l.problems->pdata[i]);

                if (((Problem *)l.problems->pdata[i])->level == PROBLEM_ERROR)
                        g_error("%s\n%s", line, text->str);
        }
        changes = config_diff(d, l.desired);
        for (guint i = 0; i < changes->len; i++) {
                g_autofree char *line = change_format(changes->pdata[i]);

                g_error("%s\n%s", line, text->str);
        }
        desired_write(l.desired, true, again);
        g_assert_cmpstr(again->str, ==, text->str);
}

static void test_round_trip(void)
{
        rand_ = g_rand_new_with_seed(2026);
        for (unsigned round = 0; round < 3000; round++) {
                Desired *d = desired_new(), *copy;
                g_autoptr(GPtrArray) changes = NULL;

                for (unsigned i = upto(2); i > 0; i--)
                        desired_put(d, random_target(i));
                if (coin())
                        g_ptr_array_add(d->portals, portal_spec_new("[::1]:3261"));
                if (coin())
                        g_ptr_array_add(d->discovery_incoming, random_account(1));
                if (coin())
                        d->discovery_outgoing = random_account(2);
                if (coin())
                        g_ptr_array_add(d->backing_directories, odd_path());
                assert_round_trip(d);
                copy = desired_dup(d);
                changes = config_diff(d, copy);
                g_assert_cmpuint(changes->len, ==, 0);
                desired_free(copy);
                desired_free(d);
        }
        g_rand_free(rand_);
}

/* A dump without secrets does not make a target that asks for none. */
static void test_without_secrets(void)
{
        _cleanup_loaded_ Loaded l = load("incomingdiscoveryuser disc discsecret123\n"
                                         "<target iqn.2026-01.com.example:a>\n"
                                         " incominguser \"al ice\" verysecret123\n"
                                         " outgoinguser bob othersecret45\n"
                                         " backing-store /dev/a\n"
                                         "</target>\n");
        g_autoptr(GString) text = g_string_new(NULL);
        _cleanup_loaded_ Loaded again = { 0 };

        desired_write(l.desired, false, text);
        g_assert_null(strstr(text->str, "secret1"));
        g_assert_null(strstr(text->str, "secret4"));
        g_assert_cmpstr(text->str, ==,
                        "incomingdiscoveryuser disc # the secret is not shown: write it behind the "
                        "user\n"
                        "\n"
                        "<target iqn.2026-01.com.example:a>\n"
                        "\tinitiator-address ALL\n"
                        "\tincominguser \"al ice\" # the secret is not shown: write it behind the "
                        "user\n"
                        "\toutgoinguser bob # the secret is not shown: write it behind the user\n"
                        "\t<backing-store /dev/a>\n"
                        "\t\tlun 1\n"
                        "\t</backing-store>\n"
                        "</target>\n");
        again = load(text->str);
        g_assert_true(config_is_bad(again.bad, "iqn.2026-01.com.example:a"));
}

/* Access is always written. */
static void test_access(void)
{
        TargetSpec *t = target_spec_new("iqn.2026-01.com.example:a");
        g_autoptr(GString) text = g_string_new(NULL);

        target_spec_write(t, true, text);
        g_assert_cmpstr(text->str, ==,
                        "<target iqn.2026-01.com.example:a>\n\tinitiator-name NONE\n</target>\n");
        t->access_given = false;
        g_string_truncate(text, 0);
        target_spec_write(t, true, text);
        g_assert_cmpstr(text->str, ==,
                        "<target iqn.2026-01.com.example:a>\n"
                        "\tinitiator-address ALL\n</target>\n");
        t->masked = true;
        g_string_truncate(text, 0);
        target_spec_write(t, true, text);
        g_assert_cmpstr(text->str, ==,
                        "<target iqn.2026-01.com.example:a>\n\tmasked yes\n</target>\n");
        target_spec_free(t);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/write/round-trip", test_round_trip);
        g_test_add_func("/write/without-secrets", test_without_secrets);
        g_test_add_func("/write/access", test_access);
        return g_test_run();
}
