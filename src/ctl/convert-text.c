/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stdio.h>

#include "base/addr.h"
#include "ctl/convert-text.h"

#define ISCSI_PORT 3260
#define DEPTH_MAX 16 /* of blocks in blocks */

/* ---- statements ------------------------------------------------------------------------------ */

static void free_statement(gpointer s)
{
        (void)statement_free(s);
}

static Statement *statement_new(unsigned line)
{
        Statement *s = g_new0(Statement, 1);

        s->line = line;
        s->words = g_ptr_array_new_with_free_func(g_free);
        return s;
}

Statement *statement_free(Statement *s)
{
        if (!s)
                return NULL;
        for (guint i = 0; i < s->words->len; i++) /* there may be secrets among them */
                explicit_bzero(s->words->pdata[i], strlen(s->words->pdata[i]));
        g_ptr_array_unref(s->words);
        if (s->children)
                g_ptr_array_unref(s->children);
        g_free(s);
        return NULL;
}

DEFINE_CLEANUP(Statement *, statement_free);

const char *statement_word(const Statement *s, unsigned i)
{
        return i < s->words->len ? s->words->pdata[i] : "";
}

char *statement_text(const Statement *s)
{
        GString *text = g_string_new(NULL);

        for (guint i = 0; i < s->words->len; i++)
                g_string_append_printf(text, "%s%s", i ? " " : "", (char *)s->words->pdata[i]);
        return g_string_free(text, FALSE);
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct Reader {
        const char *at;
        unsigned line;
        MostWords *most;
        Statement *stack[DEPTH_MAX];
        unsigned depth;
        Statement *open; /* the statement that still takes words; or NULL */
        char *reterr;
        size_t size;
} Reader;

static int fails(const Reader *r, const char *text)
{
        (void)g_snprintf(r->reterr, r->size, "line %u: %s", r->line, text);
        return -EINVAL;
}

static Statement *block_of(const Reader *r)
{
        return r->stack[r->depth];
}

static Statement *last_of(const Statement *block)
{
        return block->children->len > 0 ? block->children->pdata[block->children->len - 1] : NULL;
}

/* Taken: a word. */
static void add_word(Reader *r, char *word)
{
        Statement *block = block_of(r);

        if (!r->open) {
                r->open = statement_new(r->line);
                g_ptr_array_add(block->children, r->open);
        }
        g_ptr_array_add(r->open->words, word);
        if (r->most && r->open->words->len > r->most(r->open->words->pdata[0], block))
                r->open = NULL;
}

static int read_quoted(Reader *r)
{
        g_autoptr(GString) word = g_string_new(NULL);
        const char *p = r->at + 1;

        for (; *p && *p != '"' && *p != '\n'; p++) {
                if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
                        p++;
                g_string_append_c(word, *p);
        }
        if (*p != '"')
                return fails(r, "a quote is not closed");
        r->at = p + 1;
        add_word(r, g_strdup(word->str));
        return 0;
}

static void read_bare(Reader *r)
{
        size_t n = strcspn(r->at, " \t\r\n{}\"#;");

        add_word(r, g_strndup(r->at, n));
        r->at += n;
}

/* A brace belongs to the statement before it, also where that stands on the line above. */
static int open_block(Reader *r)
{
        Statement *s = r->open ? r->open : last_of(block_of(r));

        if (!s || s->children)
                return fails(r, "a { without a statement before it");
        if (r->depth + 1 == DEPTH_MAX)
                return fails(r, "too many blocks within blocks");
        s->children = g_ptr_array_new_with_free_func(free_statement);
        r->stack[++r->depth] = s;
        r->open = NULL;
        return 0;
}

static int close_block(Reader *r)
{
        if (r->depth == 0)
                return fails(r, "a } without a {");
        r->depth--;
        r->open = NULL;
        return 0;
}

static int read_one(Reader *r)
{
        switch (*r->at) {
        case '\n':
                r->line++;
                r->open = NULL;
                break;
        case ';':
                r->open = NULL;
                break;
        case ' ':
        case '\t':
        case '\r':
                break;
        case '#':
                r->at += strcspn(r->at, "\n");
                return 0;
        case '"':
                return read_quoted(r);
        case '{':
                r->at++;
                return open_block(r);
        case '}':
                r->at++;
                return close_block(r);
        default:
                read_bare(r);
                return 0;
        }
        r->at++;
        return 0;
}

int statements_parse(const char *text, MostWords *most, Statement **ret, char *reterr, size_t size)
{
        _cleanup_(statement_freep) Statement *root = statement_new(1);
        Reader r = { .at = text, .line = 1, .most = most, .reterr = reterr, .size = size };

        root->children = g_ptr_array_new_with_free_func(free_statement);
        r.stack[0] = root;
        if (!g_utf8_validate(text, -1, NULL))
                return fails(&r, "this is not a text in UTF-8");
        while (*r.at)
                if (read_one(&r) < 0)
                        return -EINVAL;
        if (r.depth > 0) {
                r.line = block_of(&r)->line;
                return fails(&r, "the block is not closed");
        }
        *ret = TAKE_PTR(root);
        return 0;
}

/* ---- telling, setting ------------------------------------------------------------------------ */

char *statement_place(const TextConvert *t, const Statement *s)
{
        return g_strdup_printf("%s:%u", t->file, s->line);
}

void statement_tell(const TextConvert *t, const Statement *s, bool lost, const char *format, ...)
{
        g_autofree char *place = statement_place(t, s), *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        convert_tell(t->convert, lost, place, "%s: %s", statement_word(s, 0), text);
}

void statement_set(const TextConvert *t, const Statement *s, TargetSpec *target, LunSpec *lun,
                   const char *directive, const char *value)
{
        g_autofree char *place = statement_place(t, s);

        convert_set(t->convert, target, lun, place, directive, value);
}

/* ---- walking --------------------------------------------------------------------------------- */

static void walk_one(const StatementScope *scope, const Statement *s, const StatementRow *row)
{
        const TextConvert *t = scope->convert;
        const char *value = statement_word(s, 1);

        if (row->run) {
                row->run(scope, s);
                return;
        }
        if (s->children)
                statement_tell(t, s, true, "a block is not expected here");
        else if (row->directive)
                statement_set(t, s, scope->target, scope->lun, row->directive, value);
        else if (*row->ignored && !STREQ(value, row->ignored))
                statement_tell(t, s, true, "\"%s\" is not supported", value);
}

/* Is there a secret behind the keyword? It is not repeated. */
static bool has_secret(const char *keyword)
{
        g_autofree char *lower = g_ascii_strdown(keyword, -1);

        return strstr(lower, "user") || strstr(lower, "chap") || strstr(lower, "secret") ||
               strstr(lower, "password");
}

static void tell_unknown(const TextConvert *t, const Statement *s)
{
        const char *keyword = statement_word(s, 0), *value = statement_word(s, 1);
        bool told = *value && !has_secret(keyword);

        statement_tell(t, s, true, "there is nothing like it here%s%s", told ? ": " : "",
                       told ? value : "");
}

static void walk(const StatementScope *scope, const Statement *block, const StatementRow *rows,
                 bool all)
{
        for (guint i = 0; block->children && i < block->children->len; i++) {
                const Statement *s = block->children->pdata[i];
                const StatementRow *row = rows;

                while (row->name && !STREQ(row->name, statement_word(s, 0)))
                        row++;
                if (row->name)
                        walk_one(scope, s, row);
                else if (all)
                        tell_unknown(scope->convert, s);
        }
}

void statements_walk(const StatementScope *scope, const Statement *block, const StatementRow *rows)
{
        walk(scope, block, rows, true);
}

void statements_pick(const StatementScope *scope, const Statement *block, const StatementRow *rows)
{
        walk(scope, block, rows, false);
}

/* ---- what several have ----------------------------------------------------------------------- */

bool word_is_on(const char *word)
{
        static const char *const on[] = { "1", "on", "yes", "true", NULL };
        g_autofree char *lower = g_ascii_strdown(word, -1);

        return g_strv_contains(on, lower);
}

TargetSpec *convert_target_new(const TextConvert *t, const Statement *s)
{
        g_autofree char *name = NULL;
        char why[256] = "";

        if (iscsi_name_normalize(statement_word(s, 1), &name, why, sizeof(why)) >= 0)
                return target_spec_new(name);
        statement_tell(t, s, true, "%s: %s", statement_word(s, 1), why);
        return NULL;
}

void convert_portal(const TextConvert *t, const Statement *s, const char *address)
{
        Desired *d = t->convert->desired;
        char text[SOCKADDR_TEXT_MAX];
        SockAddr a;

        if (sockaddr_parse(address, ISCSI_PORT, false, &a) < 0) {
                statement_tell(t, s, true, "\"%s\" is not an address with a port", address);
                return;
        }
        (void)sockaddr_format(&a, true, text);
        if (STREQ(text, "0.0.0.0:3260") || STREQ(text, "[::]:3260") ||
            convert_has_portal(t->convert, text))
                return; /* what tgtd.socket has */
        g_ptr_array_add(d->portals, portal_spec_new(text));
        statement_tell(t, s, false,
                       "%s: portals are of the daemon here: all targets are reached on them, and "
                       "on those of tgtd.socket",
                       text);
}

void convert_incoming(const TextConvert *t, TargetSpec *target, const char *user,
                      const char *secret)
{
        GPtrArray *accounts = target ? target->incoming : t->convert->desired->discovery_incoming;

        if (!convert_has_account(accounts, user))
                g_ptr_array_add(accounts, account_spec_new(user, secret));
}

void convert_outgoing(const TextConvert *t, const Statement *s, TargetSpec *target,
                      const char *user, const char *secret)
{
        AccountSpec **account =
                target ? &target->outgoing : &t->convert->desired->discovery_outgoing;

        if (!*account)
                *account = account_spec_new(user, secret);
        else if (!STREQ((*account)->user, user))
                statement_tell(t, s, true, "%s: there is one outgoing account, that of %s", user,
                               (*account)->user);
}
