/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <limits.h>

#include "base/suggest.h"

static void test_distance(void)
{
        static const struct {
                const char *a, *b;
                unsigned distance;
        } rows[] = {
                { "", "", 0 },
                { "", "abc", 3 },
                { "abc", "", 3 },
                { "abc", "abc", 0 },
                { "abc", "abd", 1 },
                { "abc", "ac", 1 },
                { "abc", "abxc", 1 },
                { "abc", "acb", 1 },
                { "ca", "abc", 3 },
                { "status", "satus", 1 },
                { "status", "sttaus", 1 },
                { "kitten", "sitting", 3 },
        };
        g_autofree char *long_word = g_strnfill(EDIT_DISTANCE_MAX_WORD + 1, 'x');

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_test_message("%s %s", rows[i].a, rows[i].b);
                g_assert_cmpuint(edit_distance(rows[i].a, rows[i].b, NULL), ==, rows[i].distance);
                g_assert_cmpuint(edit_distance(rows[i].b, rows[i].a, NULL), ==, rows[i].distance);
        }
        g_assert_cmpuint(edit_distance(long_word, "x", NULL), ==, UINT_MAX);
        g_assert_cmpuint(edit_distance(long_word, long_word, NULL), ==, 0);
        long_word[EDIT_DISTANCE_MAX_WORD] = '\0';
        g_assert_cmpuint(edit_distance(long_word, "x", NULL), ==, EDIT_DISTANCE_MAX_WORD - 1);
}

static char no_case(char c)
{
        return g_ascii_tolower(c);
}

static void test_folded(void)
{
        g_assert_cmpuint(edit_distance("Status", "sTATUS", no_case), ==, 0);
        g_assert_cmpuint(edit_distance("Satus", "sTATUS", no_case), ==, 1);
        g_assert_cmpuint(edit_distance("Sattus", "sTATUS", no_case), ==, 1);
        g_assert_cmpuint(edit_distance("Status", "sTATUS", NULL), ==, 6);
}

static void test_suggest(void)
{
        static const char *const words[] = { "status",     "list",   "show", "sessions",
                                             "add-lun",    "allow",  "deny", "delete",
                                             "remove-lun", "reload", NULL };
        static const struct {
                const char *word, *meant;
        } rows[] = {
                { "stauts", "status" }, { "satus", "status" },
                { "lst", "list" },      { "addlun", "add-lun" },
                { "delte", "delete" },  { "sess", "sessions" },
                { "relaod", "reload" }, { "rem", "remove-lun" },
                { "s", NULL },          { "frobnicate", NULL },
                { "", NULL },           { "xyz", NULL },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_test_message("%s", rows[i].word);
                g_assert_cmpstr(suggest(rows[i].word, words), ==, rows[i].meant);
        }
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/suggest/distance", test_distance);
        g_test_add_func("/suggest/folded", test_folded);
        g_test_add_func("/suggest/suggest", test_suggest);
        return g_test_run();
}
