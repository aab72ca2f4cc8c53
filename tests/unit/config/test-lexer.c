/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/lexer.h"

/* Statements as text: "LINE key=value", "LINE <key value", "LINE </key", "LINE !text". */
static char *lex(const char *text)
{
        GString *out = g_string_new(NULL);
        Lexer l;
        Statement s;

        lexer_init(&l, text, strlen(text));
        for (;;) {
                lexer_next(&l, &s);
                if (s.kind == STATEMENT_END)
                        break;
                g_string_append_printf(out, "%u ", s.line);
                switch (s.kind) {
                case STATEMENT_DIRECTIVE:
                        g_string_append_printf(out, "%s=%s%s", s.key, s.value ?: "(none)",
                                               s.literal ? " (literal)" : "");
                        break;
                case STATEMENT_OPEN:
                case STATEMENT_EMPTY:
                        g_string_append_printf(out, "<%s %s%s", s.key, s.value ?: "(none)",
                                               s.kind == STATEMENT_EMPTY ? "/" : "");
                        break;
                case STATEMENT_CLOSE:
                        g_string_append_printf(out, "</%s", s.key);
                        break;
                default:
                        g_string_append_printf(out, "!%s%s", s.text,
                                               s.swallowed_rest ? " (rest lost)" : "");
                }
                if (s.glued_comment)
                        g_string_append(out, " (glued)");
                g_string_append_c(out, '\n');
        }
        lexer_clear(&l);
        return g_string_free(out, FALSE);
}

static void test_statements(void)
{
        static const struct {
                const char *text, *expected;
        } rows[] = {
                { "", "" },
                { "\n \n\t\n", "" },
                { "key value", "1 key=value\n" },
                { "key = value\n", "1 key=value\n" },
                { "key=value", "1 key=value\n" },
                { "key= a = b", "1 key=a = b\n" },
                { "key a=b,c=d", "1 key=a=b,c=d\n" },
                { "key", "1 key=(none)\n" },
                { "key =", "1 key=(none)\n" },
                { "  key\t value with blanks  \r\n", "1 key=value with blanks\n" },
                { "\xef\xbb\xbfkey value", "1 key=value\n" },
                { "= x\nkey v", "1 !a directive begins with its name\n2 key=v\n" },
                /* comments */
                { "# a\n\n  # b\nkey v # c\n", "4 key=v\n" },
                { "key v#c", "1 key=v (glued)\n" },
                { "key a\\#b", "1 key=a\\#b\n" },
                { "key \"a # b\" # c", "1 key=\"a # b\"\n" },
                { "key \"a # b", "1 key=\"a\n" },
                { "key 3.5\" x # the 3.5\" one", "1 key=3.5\" x\n" },
                { "/* a */ key v", "1 key=v\n" },
                { "/* a\n * b\n */ key v\nkey2 w", "3 key=v\n4 key2=w\n" },
                { "/* a */ /* b\n*/ key v", "2 key=v\n" },
                { "key v /* c */", "1 key=v\n" },
                { "include /etc/tgt/*.conf", "1 include=/etc/tgt/*.conf\n" },
                { "include /etc/*/tgt/*/x", "1 include=/etc/*/tgt/*/x\n" },
                { "# /* no comment\nkey v", "2 key=v\n" },
                { "key v\n/* never\nkey w\n",
                  "1 key=v\n2 !the comment that begins here with /* is not ended (rest lost)\n" },
                /* continued lines */
                { "key a \\\n   b \\\n\tc\nkey2 d", "1 key=a b c\n4 key2=d\n" },
                { "key a\\\\\nkey2 b", "1 key=a\\\\\n2 key2=b\n" },
                { "key a\\", "1 key=a\n" },
                /* here-documents */
                { "key <<EOT\na # b\n  c\nEOT\nkey2 v", "1 key=a # b\n  c (literal)\n5 key2=v\n" },
                { "key = << EOT\n\t\ta\n\t\tb\n\t\tEOT\n", "1 key=a\nb (literal)\n" },
                { "key <<EOT\na\n",
                  "1 !the text that begins here with << is not ended (rest lost)\n" },
                { "key <<\na\n", "1 !<< is followed by the word that ends the text\n2 a=(none)\n" },
                /* blocks */
                { "<target iqn.x>\n</target>", "1 <target iqn.x\n2 </target\n" },
                { "<TARGET  iqn.X >\n</ Target >", "1 <target iqn.X\n2 </target\n" },
                { "<target \"a b # c\"> # d", "1 <target a b # c\n" },
                { "<target x/>", "1 <target x/\n" },
                { "<target \"x/\">", "1 <target x/\n" },
                { "<backing-store /dev/x y>", "1 <backing-store /dev/x y\n" },
                { "<target>", "1 <target (none)\n" },
                { "<target x",
                  "1 !a block tag ends with \">\", with nothing behind it on the line\n" },
                { "<target x> lun 1",
                  "1 !a block tag ends with \">\", with nothing behind it on the line\n" },
                { "<>\n</>", "1 !a block tag without a name\n2 !a block tag without a name\n" },
                { "<", "1 !a block tag ends with \">\", with nothing behind it on the line\n" },
                { "</target x>", "1 !a closing tag has the name of the block only, such as "
                                 "</target>\n" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *got = lex(rows[i].text);

                g_test_message("%s", rows[i].text);
                g_assert_cmpstr(got, ==, rows[i].expected);
        }
}

static void test_unquote(void)
{
        static const struct {
                const char *raw, *meant;
        } rows[] = {
                { "a", "a" },
                { "\"a b\"", "a b" },
                { "\"\"", "" },
                { "\"", "\"" },
                { "\"a\" \"b\"", "\"a\" \"b\"" },
                { "a\\#b", "a#b" },
                { "\"a\\\"b\"", "a\"b" },
                { "a\\\\b\\$c", "a\\b$c" },
                { "a\\b", "a\\b" },
                { "'a'", "'a'" },
                { "\"a\\\"", "\"a\"" },
                { "\" a \"", " a " },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *got = value_unquote(rows[i].raw);

                g_assert_cmpstr(got, ==, rows[i].meant);
        }
}

static void test_split(void)
{
        static const struct {
                const char *raw, *words; /* joined with | */
        } rows[] = {
                { "user password", "user|password" },
                { " user \t password ", "user|password" },
                { "\"us er\" \"pa ss\"", "us er|pa ss" },
                { "\"user password\"", "user|password" },
                { "user \"pa \\\" ss\"", "user|pa \" ss" },
                { "user pass\\#word", "user|pass#word" },
                { "user", "user" },
                { "a b c", "a|b|c" },
                { "", "" },
                { "user \"", "user|\"" },
                { "user a\\", "user|a\\" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_auto(GStrv) words = value_split(rows[i].raw);
                g_autofree char *got = g_strjoinv("|", words);

                g_assert_cmpstr(got, ==, rows[i].words);
        }
}

/* Whatever is quoted lexes, unquotes and splits to what it was. */
static void test_quote(void)
{
        static const char alphabet[] = "ab \"\\#$/*<>='\t,:.~!{}[]|&;%";
        g_autoptr(GRand) rand = g_rand_new_with_seed(4);

        for (int round = 0; round < 20000; round++) {
                char text[12] = "";
                int n = g_rand_int_range(rand, 1, sizeof(text));
                g_autoptr(GString) line = g_string_new("key ");
                g_autofree char *back = NULL;
                g_auto(GStrv) words = NULL;
                Lexer l;
                Statement s;

                for (int i = 0; i < n; i++)
                        text[i] = alphabet[g_rand_int_range(rand, 0, sizeof(alphabet) - 1)];
                value_quote(text, line);
                lexer_init(&l, line->str, line->len);
                lexer_next(&l, &s);
                g_assert_cmpint(s.kind, ==, STATEMENT_DIRECTIVE);
                g_assert_false(s.literal);
                back = value_unquote(s.value);
                g_assert_cmpstr(back, ==, text);
                lexer_next(&l, &s);
                g_assert_cmpint(s.kind, ==, STATEMENT_END);
                lexer_clear(&l);

                g_string_assign(line, "word ");
                value_quote(text, line);
                words = value_split(line->str);
                g_assert_cmpuint(g_strv_length(words), ==, 2);
                g_assert_cmpstr(words[1], ==, text);
        }
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/lexer/statements", test_statements);
        g_test_add_func("/lexer/unquote", test_unquote);
        g_test_add_func("/lexer/split", test_split);
        g_test_add_func("/lexer/quote", test_quote);
        return g_test_run();
}
