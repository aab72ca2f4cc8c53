/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/lexer.h"

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

void lexer_init(Lexer *l, const char *text, size_t length)
{
        static const char bom[] = "\xef\xbb\xbf";

        *l = (Lexer){ .at = text, .end = text + length, .line = 1 };
        if (length >= strlen(bom) && memcmp(text, bom, strlen(bom)) == 0)
                l->at += strlen(bom);
        l->buf = g_string_sized_new(256);
        l->here = g_string_new(NULL);
}

void lexer_clear(Lexer *l)
{
        if (l->buf)
                g_string_free(TAKE_PTR(l->buf), TRUE);
        if (l->here)
                g_string_free(TAKE_PTR(l->here), TRUE);
}

/* The next physical line without its end; false at the end of the text. */
static bool next_line(Lexer *l, const char **ret, const char **ret_end)
{
        const char *nl;

        if (l->at >= l->end)
                return false;
        nl = memchr(l->at, '\n', (size_t)(l->end - l->at));
        *ret = l->at;
        *ret_end = nl ? nl : l->end;
        l->at = nl ? nl + 1 : l->end;
        l->line++;
        if (*ret_end > *ret && (*ret_end)[-1] == '\r')
                (*ret_end)--;
        return true;
}

static const char *find(const char *p, const char *end, const char *what)
{
        return memmem(p, (size_t)(end - p), what, strlen(what));
}

/* The quote that closes the one at p, or NULL. */
static const char *closing_quote(const char *p, const char *end)
{
        for (p++; p < end; p++) {
                if (*p == '\\' && p + 1 < end)
                        p++;
                else if (*p == '"')
                        return p;
        }
        return NULL;
}

/* Appends one physical line without its comments; true if the next line continues it. A quote
 * counts at the beginning of a word and if it is closed on the line; "/" and "*" open a comment
 * within a line only behind a blank and if it is closed there, so that globs stay what they are. */
static bool append_line(Lexer *l, const char *p, const char *end)
{
        bool word_start = true;

        for (; p < end; p++) {
                const char *q;

                if (*p == '#') {
                        if (!word_start && l->buf->len > 0)
                                l->glued_comment = true;
                        return false;
                }
                if (word_start && *p == '/' && end - p >= 4 && p[1] == '*' &&
                    (q = find(p + 2, end, "*/"))) {
                        p = q + 1;
                        continue;
                }
                if (word_start && *p == '"' && (q = closing_quote(p, end))) {
                        g_string_append_len(l->buf, p, q - p + 1);
                        p = q;
                        word_start = false;
                        continue;
                }
                if (*p == '\\') {
                        if (p + 1 == end)
                                return true;
                        g_string_append_len(l->buf, p++, 2);
                        word_start = false;
                        continue;
                }
                g_string_append_c(l->buf, *p);
                word_start = is_blank(*p) || *p == '=';
        }
        return false;
}

/* Moves *p behind comments that begin a line, over as many lines as they take. false: one of them
 * is not closed in this text. */
static bool skip_c_comments(Lexer *l, const char **p, const char **end)
{
        for (;;) {
                const char *q;

                while (*p < *end && is_blank(**p))
                        (*p)++;
                if (*end - *p < 2 || (*p)[0] != '/' || (*p)[1] != '*')
                        return true;
                *p += 2;
                while (!(q = find(*p, *end, "*/")))
                        if (!next_line(l, p, end))
                                return false;
                *p = q + 2;
        }
}

static void trim(GString *s)
{
        size_t n = 0;

        while (s->len > 0 && is_blank(s->str[s->len - 1]))
                g_string_truncate(s, s->len - 1);
        while (n < s->len && is_blank(s->str[n]))
                n++;
        g_string_erase(s, 0, (gssize)n);
}

/* The next logical line that is not empty, into l->buf. 0 at the end, -EBADMSG for a comment that
 * never ends. */
static int next_logical(Lexer *l, unsigned *ret_line)
{
        const char *p, *end;

        for (;;) {
                bool more;

                g_string_truncate(l->buf, 0);
                l->glued_comment = false;
                *ret_line = l->line;
                if (!next_line(l, &p, &end))
                        return 0;
                if (!skip_c_comments(l, &p, &end))
                        return -EBADMSG;
                *ret_line = l->line - 1;
                more = append_line(l, p, end);
                while (more && next_line(l, &p, &end)) {
                        while (p < end && is_blank(*p))
                                p++;
                        more = append_line(l, p, end);
                }
                trim(l->buf);
                if (l->buf->len > 0)
                        return 1;
        }
}

static void error(Statement *s, const char *text)
{
        s->kind = STATEMENT_ERROR;
        s->text = text;
}

/* "name" or name, in place; the result is what is meant. */
static void block_name(Lexer *l, char *p, Statement *s)
{
        g_autofree char *name = NULL;

        while (is_blank(*p))
                p++;
        if (!*p)
                return;
        g_strchomp(p);
        name = value_unquote(p);
        g_string_assign(l->here, name);
        s->value = l->here->str;
        s->literal = true;
}

static void block_statement(Lexer *l, Statement *s)
{
        char *p = l->buf->str + 1, *end = l->buf->str + l->buf->len - 1;
        bool close;

        if (*end != '>' || end < p) {
                error(s, "a block tag ends with \">\", with nothing behind it on the line");
                s->key = p;
                while (*p && !is_blank(*p) && *p != '>')
                        p++;
                *p = '\0';
                return;
        }
        *end = '\0';
        close = *p == '/';
        if (close)
                p++;
        while (is_blank(*p))
                p++;
        s->kind = close ? STATEMENT_CLOSE : STATEMENT_OPEN;
        if (!close && end > p && end[-1] == '/') {
                s->kind = STATEMENT_EMPTY;
                end[-1] = '\0';
        }
        s->key = p;
        while (*p && !is_blank(*p)) {
                *p = g_ascii_tolower(*p);
                p++;
        }
        if (*s->key == '\0') {
                error(s, "a block tag without a name");
                return;
        }
        if (*p)
                *p++ = '\0';
        block_name(l, p, s);
        if (close && s->value)
                error(s, "a closing tag has the name of the block only, such as </target>");
}

/* Lines up to one that is marker; indentation that stands before the marker comes off every line.
 * false: there is no such line. */
static bool read_here(Lexer *l, const char *marker)
{
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
        const char *p, *end;

        g_string_truncate(l->here, 0);
        while (next_line(l, &p, &end)) {
                g_autofree char *line = g_strndup(p, (size_t)(end - p));
                char *text = line;
                size_t indent;

                while (is_blank(*text))
                        text++;
                indent = (size_t)(text - line);
                if (g_str_has_prefix(text, marker) && *g_strchug(text + strlen(marker)) == '\0') {
                        for (guint i = 0; i < lines->len; i++) {
                                const char *t = lines->pdata[i];

                                if (strncmp(t, line, indent) == 0)
                                        t += indent;
                                g_string_append_printf(l->here, "%s%s", i ? "\n" : "", t);
                        }
                        return true;
                }
                g_ptr_array_add(lines, g_strdup(line));
        }
        return false;
}

static void directive_statement(Lexer *l, Statement *s)
{
        char *p = l->buf->str;

        s->kind = STATEMENT_DIRECTIVE;
        s->key = p;
        while (*p && !is_blank(*p) && *p != '=')
                p++;
        if (p == s->key) {
                error(s, "a directive begins with its name");
                return;
        }
        if (*p) {
                bool equals = *p == '=';

                *p++ = '\0';
                while (is_blank(*p))
                        p++;
                if (!equals && *p == '=') {
                        p++;
                        equals = true;
                }
                while (equals && is_blank(*p))
                        p++;
        }
        if (!*p)
                return;
        s->value = p;
        if (!g_str_has_prefix(p, "<<"))
                return;
        p += 2;
        while (is_blank(*p))
                p++;
        if (!*p) {
                error(s, "<< is followed by the word that ends the text");
                return;
        }
        if (!read_here(l, p)) {
                error(s, "the text that begins here with << is not ended");
                s->swallowed_rest = true;
                return;
        }
        s->value = l->here->str;
        s->literal = true;
}

void lexer_next(Lexer *l, Statement *ret)
{
        int r;

        *ret = (Statement){ 0 };
        r = next_logical(l, &ret->line);
        ret->glued_comment = l->glued_comment;
        if (r == 0) {
                ret->kind = STATEMENT_END;
        } else if (r < 0) {
                error(ret, "the comment that begins here with /* is not ended");
                ret->swallowed_rest = true;
        } else if (l->buf->str[0] == '<') {
                block_statement(l, ret);
        } else {
                directive_statement(l, ret);
        }
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool is_escapable(char c)
{
        return c == '"' || c == '\\' || c == '#' || c == '$';
}

static void unescape(const char *p, const char *end, GString *to)
{
        for (; p < end; p++) {
                if (*p == '\\' && p + 1 < end && is_escapable(p[1]))
                        p++;
                g_string_append_c(to, *p);
        }
}

/* Is [p, end) one quoted text, and nothing else? */
static bool is_quoted(const char *p, const char *end)
{
        return end - p >= 2 && *p == '"' && closing_quote(p, end) == end - 1;
}

char *value_unquote(const char *raw)
{
        const char *p = raw, *end = raw + strlen(raw);
        GString *s = g_string_sized_new((size_t)(end - p) + 1);

        if (is_quoted(p, end)) {
                p++;
                end--;
        }
        unescape(p, end, s);
        return g_string_free(s, FALSE);
}

static void split(const char *p, const char *end, bool quotes, GPtrArray *words)
{
        for (;;) {
                GString *word;
                const char *q;

                while (p < end && is_blank(*p))
                        p++;
                if (p == end)
                        return;
                word = g_string_new(NULL);
                if (quotes && *p == '"' && (q = closing_quote(p, end)) &&
                    (q + 1 == end || is_blank(q[1]))) {
                        unescape(p + 1, q, word);
                        p = q + 1;
                } else {
                        for (q = p; q < end && !is_blank(*q); q++)
                                if (*q == '\\' && q + 1 < end)
                                        q++;
                        unescape(p, q, word);
                        p = q;
                }
                g_ptr_array_add(words, g_string_free(word, FALSE));
        }
}

char **value_split(const char *raw)
{
        const char *end = raw + strlen(raw);
        GPtrArray *words = g_ptr_array_new();

        if (is_quoted(raw, end))
                split(raw + 1, end - 1, false, words);
        else
                split(raw, end, true, words);
        g_ptr_array_add(words, NULL);
        return (char **)g_ptr_array_free(words, FALSE);
}

void value_quote(const char *text, GString *to)
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                    "_-.,:;/+@%[]*~^";
        size_t n = strspn(text, plain);

        /* A value of "/..." could look like a comment, a name ending in "/" like an empty block. */
        if (n > 0 && text[n] == '\0' && text[n - 1] != '/' && !strstr(text, "/*")) {
                g_string_append(to, text);
                return;
        }
        g_string_append_c(to, '"');
        for (; *text; text++) {
                if (is_escapable(*text))
                        g_string_append_c(to, '\\');
                g_string_append_c(to, *text);
        }
        g_string_append_c(to, '"');
}
