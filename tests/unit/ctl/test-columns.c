/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <locale.h>

#include "ctl/format.h"
#include "ctl/table.h"

static const Terminal plain = { .unicode = true };

static char *draw(const Table *t, const Terminal *terminal, bool full, bool legend)
{
        GString *s = g_string_new(NULL);

        table_format(t, terminal, full, legend, s);
        return g_string_free(s, FALSE);
}

static Table *sample(void)
{
        static const Column columns[] = {
                { "NAME", COLUMN_SHRINK | COLUMN_MIDDLE },
                { "LUNS", COLUMN_RIGHT },
                { "PATH", COLUMN_SHRINK },
        };
        Table *t = table_new(columns, G_N_ELEMENTS(columns));

        table_add(t, "iqn.2026-01.org.example:disk1", COLOR_NONE);
        table_add(t, "12", COLOR_GREEN);
        table_add(t, "/srv/disk1.img", COLOR_NONE);
        table_add(t, "iqn.2026-01.org.example:d2", COLOR_NONE);
        table_add(t, "3", COLOR_NONE);
        table_add(t, NULL, COLOR_NONE);
        return t;
}

static void test_plain(void)
{
        _cleanup_(table_freep) Table *t = sample();
        g_autofree char *with = draw(t, &plain, false, true);
        g_autofree char *without = draw(t, &plain, false, false);

        g_assert_cmpuint(table_rows(t), ==, 2);
        g_assert_cmpstr(with, ==,
                        "NAME                          LUNS PATH\n"
                        "iqn.2026-01.org.example:disk1   12 /srv/disk1.img\n"
                        "iqn.2026-01.org.example:d2       3 -\n");
        g_assert_cmpstr(without, ==,
                        "iqn.2026-01.org.example:disk1 12 /srv/disk1.img\n"
                        "iqn.2026-01.org.example:d2     3 -\n");
}

static void test_fits(void)
{
        _cleanup_(table_freep) Table *t = sample();

        for (unsigned width = 8; width < 60; width++) {
                Terminal narrow = { .unicode = true, .width = width };
                g_autofree char *text = draw(t, &narrow, false, true);
                g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

                for (char **l = lines; *l; l++)
                        g_assert_cmpuint(text_width(*l), <=, width);
                g_assert_cmpint(strstr(text, "\xe2\x80\xa6") != NULL, ==, width < 49);
        }
        for (int unicode = 0; unicode < 2; unicode++) { /* columns of which none is left */
                Terminal narrow = { .unicode = unicode, .width = 15 };
                g_autofree char *text = draw(t, &narrow, false, true);

                g_assert_cmpstr(text, ==,
                                unicode ? "NAME   LUNS \xe2\x80\xa6\n"
                                          "iqn\xe2\x80\xa6k1   12 \xe2\x80\xa6\n"
                                          "iqn\xe2\x80\xa6"
                                          "d2    3 \xe2\x80\xa6\n"
                                        : "NAME   LUNS ...\niq...1   12 ...\niq...2    3 ...\n");
        }
        for (int unicode = 0; unicode < 2; unicode++) {
                Terminal narrow = { .unicode = unicode, .width = 40 };
                g_autofree char *full = draw(t, &narrow, true, true);

                g_assert_nonnull(strstr(full, "iqn.2026-01.org.example:disk1   12 /srv/disk1.img"));
        }
}

static void test_middle(void)
{
        _cleanup_(table_freep) Table *t = sample();
        Terminal narrow = { .unicode = true, .width = 40 };
        g_autofree char *text = draw(t, &narrow, false, false);

        /* names differ at their ends: both stay */
        g_assert_nonnull(strstr(text, "iqn.2026"));
        g_assert_nonnull(strstr(text, ":disk1"));
        g_assert_nonnull(strstr(text, ":d2"));
}

static void test_color(void)
{
        _cleanup_(table_freep) Table *t = sample();
        Terminal color = { .unicode = true, .color = true };
        g_autofree char *with = draw(t, &color, false, true),
                        *without = draw(t, &plain, false, true);

        g_assert_nonnull(strstr(with, "\x1b[0;1;32m12\x1b[0m"));
        g_assert_null(strchr(without, '\x1b'));
}

static void test_wide(void)
{
        static const Column columns[] = { { "A", COLUMN_SHRINK }, { "B", 0 } };
        _cleanup_(table_freep) Table *t = table_new(columns, 2);
        g_autofree char *text = NULL;

        /* two columns each; and a combining accent, which takes none */
        table_add(t, "\xe6\xbc\xa2\xe5\xad\x97", COLOR_NONE);
        table_add(t, "x", COLOR_NONE);
        table_add(t, "e\xcc\x81", COLOR_NONE);
        table_add(t, "y", COLOR_NONE);
        text = draw(t, &plain, false, false);
        g_assert_cmpstr(text, ==, "\xe6\xbc\xa2\xe5\xad\x97 x\ne\xcc\x81    y\n");
}

static void test_sanitize(void)
{
        static const struct {
                const char *in, *unicode, *ascii;
        } rows[] = {
                { "plain", "plain", "plain" },
                { "a\tb", "a b", "a b" },
                { "\x1b[31mred", "\xef\xbf\xbd[31mred", "?[31mred" },
                { "line\nbreak\r",
                  "line\xef\xbf\xbd"
                  "break\xef\xbf\xbd",
                  "line?break?" },
                { "\x7f", "\xef\xbf\xbd", "?" },
                { "c1 \xc2\x9b"
                  "31m",
                  "c1 \xef\xbf\xbd"
                  "31m",
                  "c1 ?31m" },
                /* what turns the direction of writing */
                { "abc\xe2\x80\xae"
                  "fdp",
                  "abc\xef\xbf\xbd"
                  "fdp",
                  "abc?fdp" },
                { "bad \xff utf8", "bad \xef\xbf\xbd utf8", "bad ? utf8" },
                { "\xc3\xa4", "\xc3\xa4", "?" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *unicode = text_sanitize(rows[i].in, true);
                g_autofree char *ascii = text_sanitize(rows[i].in, false);

                g_assert_cmpstr(unicode, ==, rows[i].unicode);
                g_assert_cmpstr(ascii, ==, rows[i].ascii);
        }
}

/* No cell can break out of its place, whatever a stranger calls himself. */
static void test_hostile_cell(void)
{
        static const Column columns[] = { { "A", COLUMN_SHRINK } };
        _cleanup_(table_freep) Table *t = table_new(columns, 1);
        g_autofree char *text = NULL;

        table_add(t, "x\n\x1b]0;owned\x07y", COLOR_NONE);
        text = draw(t, &plain, false, false);
        g_assert_null(strchr(text, '\x1b'));
        g_assert_null(strchr(text, '\x07'));
        g_assert_true(strchr(text, '\n') == text + strlen(text) - 1);
}

static void test_ellipsize(void)
{
        static const char *const texts[] = { "abcdefghijklmnop",
                                             "\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc"
                                             "\xa2\xe5\xad\x97",
                                             "a\xe6\xbc\xa2"
                                             "b\xe5\xad\x97"
                                             "c",
                                             "" };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                for (unsigned width = 0; width < 20; width++)
                        for (int flags = 0; flags < 4; flags++) {
                                g_autofree char *s =
                                        text_ellipsize(texts[i], width, flags & 1, flags & 2);

                                g_assert_true(g_utf8_validate(s, -1, NULL));
                                g_assert_cmpuint(text_width(s), <=, width);
                                if (text_width(texts[i]) <= width)
                                        g_assert_cmpstr(s, ==, texts[i]);
                        }
}

static void test_values(void)
{
        static const struct {
                uint64_t bytes;
                const char *text;
        } sizes[] = {
                { 0, "0B" },           { 512, "512B" },         { 1024, "1K" },
                { 1536, "1.5K" },      { 1 << 30, "1G" },       { UINT64_C(10) << 40, "10T" },
                { 1000000, "976.6K" }, { UINT64_MAX, "16.0E" },
        };
        static const struct {
                uint64_t seconds;
                const char *text;
        } ages[] = {
                { 0, "0s ago" },         { 59, "59s ago" },      { 60, "1min ago" },
                { 3661, "1h 1min ago" }, { 90061, "1d 1h ago" }, { 86401, "1d 1s ago" },
        };
        g_autofree char *future = format_ago(2000000, 1000000);

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autofree char *text = format_bytes(sizes[i].bytes);

                g_assert_cmpstr(text, ==, sizes[i].text);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(ages); i++) {
                g_autofree char *text = format_ago(1000000, 1000000 + ages[i].seconds * 1000000);

                g_assert_cmpstr(text, ==, ages[i].text);
        }
        g_assert_cmpstr(future, ==, "0s ago");
}

static void test_detect(void)
{
        static const struct {
                const char *no_color, *systemd_colors;
                int force;
                bool color;
        } rows[] = {
                /* standard output is no terminal here */
                { NULL, NULL, -1, false }, { NULL, NULL, 1, true },  { NULL, "1", -1, true },
                { "1", "1", -1, true },    { "1", NULL, -1, false }, { "1", NULL, 1, true },
                { NULL, "256", -1, true }, { NULL, "0", -1, false }, { NULL, "1", 0, false },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                Terminal t;

                g_unsetenv("NO_COLOR");
                g_unsetenv("SYSTEMD_COLORS");
                if (rows[i].no_color)
                        g_setenv("NO_COLOR", rows[i].no_color, true);
                if (rows[i].systemd_colors)
                        g_setenv("SYSTEMD_COLORS", rows[i].systemd_colors, true);
                terminal_detect(&t, rows[i].force);
                g_test_message("%zu", i);
                g_assert_cmpint(t.color, ==, rows[i].color);
        }
}

int main(int argc, char **argv)
{
        (void)setlocale(LC_ALL, "C.UTF-8");
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/table/plain", test_plain);
        g_test_add_func("/table/fits", test_fits);
        g_test_add_func("/table/middle", test_middle);
        g_test_add_func("/table/color", test_color);
        g_test_add_func("/table/wide", test_wide);
        g_test_add_func("/table/hostile-cell", test_hostile_cell);
        g_test_add_func("/terminal/sanitize", test_sanitize);
        g_test_add_func("/terminal/ellipsize", test_ellipsize);
        g_test_add_func("/terminal/detect", test_detect);
        g_test_add_func("/format/values", test_values);
        return g_test_run();
}
