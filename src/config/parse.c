/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/parse.h"

#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <strings.h>
#include <sys/stat.h>

#include "config/lexer.h"
#include "config/problem.h"

/* One file on its way through the lexer. The blocks that are open belong to the file that opened
 * them: an included file cannot close them. */
typedef struct Parser {
        Raw *raw;
        const char *file;
        Layer layer;
        RawBlock *block;             /* open target block */
        RawItem *store;              /* open backing-store block within it */
        const RawBlock *outer_block; /* what was open where this file was included */
        const RawItem *outer_store;
        char *skip; /* tag of an unknown block, up to whose end all is skipped */
        unsigned skip_depth;
} Parser;

static void raw_item_free(RawItem *i)
{
        if (!i)
                return;
        explicit_bzero(i->raw, strlen(i->raw));
        g_free(i->raw);
        if (i->nested)
                g_ptr_array_unref(i->nested);
        g_free(i);
}

static GPtrArray *items_new(void)
{
        return g_ptr_array_new_with_free_func((GDestroyNotify)raw_item_free);
}

static void raw_block_free(RawBlock *b)
{
        if (!b)
                return;
        g_free(b->name);
        g_ptr_array_unref(b->items);
        g_free(b);
}

void raw_init(Raw *raw, GHashTable *bad, GPtrArray *problems)
{
        *raw = (Raw){ .bad = bad, .problems = problems };
        raw->blocks = g_ptr_array_new_with_free_func((GDestroyNotify)raw_block_free);
        raw->globals = items_new();
        raw->files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

void raw_clear(Raw *raw)
{
        g_ptr_array_unref(TAKE_PTR(raw->blocks));
        g_ptr_array_unref(TAKE_PTR(raw->globals));
        g_hash_table_unref(TAKE_PTR(raw->files));
}

/* Some name may have been here that nobody can read any more. */
static void any_name_is_bad(Raw *raw)
{
        g_hash_table_add(raw->bad, g_strdup("*"));
}

static Origin here(const Parser *p, unsigned line)
{
        return (Origin){ .file = p->file, .line = line };
}

/* A problem of the block that is open, if one is. */
static _printf_(4, 5) void block_error(Parser *p, Origin at, const char *directive,
                                       const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        problem_addv(p->raw->problems, PROBLEM_ERROR, at, p->block ? p->block->name : NULL,
                     directive, format, ap);
        va_end(ap);
        if (p->block)
                p->block->bad = true;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void skip_block(Parser *p, const char *tag)
{
        g_free(p->skip);
        p->skip = g_ascii_strdown(tag, -1);
        p->skip_depth = 1;
}

static void open_target(Parser *p, const Statement *s)
{
        g_autofree char *name = NULL;
        char why[300] = "";
        Origin at = here(p, s->line);
        RawBlock *b;
        int r;

        if (!s->value || !*s->value) {
                block_error(p, at, NULL, "a target block has a name: <target NAME>");
                any_name_is_bad(p->raw);
                if (s->kind == STATEMENT_OPEN)
                        skip_block(p, "target");
                return;
        }
        r = iscsi_name_normalize(s->value, &name, why, sizeof(why));
        if (r < 0) {
                problem_error(p->raw->problems, at, s->value, NULL, "%s", why);
                g_hash_table_add(p->raw->bad, g_utf8_make_valid(s->value, -1));
                if (s->kind == STATEMENT_OPEN)
                        skip_block(p, "target");
                return;
        }
        if (r > 0)
                problem_warning(p->raw->problems, at, name, NULL, "%s", why);
        b = g_new0(RawBlock, 1);
        b->name = TAKE_PTR(name);
        b->layer = p->layer;
        b->at = at;
        b->items = items_new();
        g_ptr_array_add(p->raw->blocks, b);
        p->block = s->kind == STATEMENT_OPEN ? b : NULL;
}

static RawItem *add_item(Parser *p, const Directive *d, const Statement *s)
{
        RawItem *i = g_new0(RawItem, 1);

        i->directive = d;
        i->raw = g_strdup(s->value ?: "");
        i->literal = s->literal;
        i->at = here(p, s->line);
        i->layer = p->layer;
        g_ptr_array_add(p->store   ? p->store->nested
                        : p->block ? p->block->items
                                   : p->raw->globals,
                        i);
        return i;
}

static void open_store(Parser *p, const Directive *d, const Statement *s)
{
        RawItem *i;

        if (!d->type)
                block_error(p, here(p, s->line), d->name, "not supported by this build");
        if (!s->value || !*s->value)
                block_error(p, here(p, s->line), d->name, "the block has a path: <%s PATH>",
                            d->name);
        i = add_item(p, d, s);
        i->nested = items_new();
        if (s->kind == STATEMENT_OPEN)
                p->store = i;
}

/* Something begins that cannot stand within what is open: that has no end, then. */
static void close_unfinished(Parser *p, bool target)
{
        if (p->store && p->store != p->outer_store) {
                block_error(p, p->store->at, p->store->directive->name,
                            "the block is not closed with </%s>", p->store->directive->name);
                p->store = NULL;
        }
        if (target && p->block && p->block != p->outer_block) {
                block_error(p, p->block->at, NULL, "the block is not closed with </target>");
                p->block = NULL;
        }
}

static void open_block(Parser *p, const Statement *s)
{
        const Directive *d;

        if (STREQ(s->key, "target")) {
                close_unfinished(p, true);
                if (p->block) {
                        block_error(p, here(p, s->line), NULL,
                                    "a target block within the block that includes this file");
                        if (s->kind == STATEMENT_OPEN)
                                skip_block(p, s->key);
                        return;
                }
                open_target(p, s);
                return;
        }
        d = directive_find(s->key);
        if (d && directive_is_store(d) && p->block) {
                close_unfinished(p, false);
                if (p->store)
                        block_error(p, here(p, s->line), d->name,
                                    "a store within the block that includes this file");
                else {
                        open_store(p, d, s);
                        return;
                }
        } else if (d && directive_is_store(d)) {
                block_error(p, here(p, s->line), d->name, "stands in a target block only");
        } else {
                block_error(p, here(p, s->line), NULL,
                            "<%s>: no such block; <target NAME>, <backing-store PATH> and "
                            "<direct-store PATH> are known",
                            s->key);
        }
        if (s->kind == STATEMENT_OPEN)
                skip_block(p, s->key);
}

static void close_block(Parser *p, const Statement *s)
{
        if (STREQ(s->key, "target")) {
                if (!p->block) {
                        block_error(p, here(p, s->line), NULL, "</target> without <target NAME>");
                        return;
                }
                if (p->block == p->outer_block) {
                        block_error(p, here(p, s->line), NULL,
                                    "</target> of a block that another file opened");
                        return;
                }
                close_unfinished(p, false);
                p->block = NULL;
                return;
        }
        if (p->store && p->store != p->outer_store && STREQ(p->store->directive->name, s->key)) {
                p->store = NULL;
                return;
        }
        block_error(p, here(p, s->line), NULL, "</%s> without <%s>", s->key, s->key);
}

/* ---- includes -------------------------------------------------------------------------------- */

static void include_file(Parser *p, Origin at, const char *path);

static bool has_glob(const char *path)
{
        return strpbrk(path, "*?[{") != NULL;
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The files of a directory by name; what begins with a dot or ends with ~ is nobody's fragment. */
static void include_directory(Parser *p, Origin at, const char *path)
{
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        GDir *dir = g_dir_open(path, 0, NULL);
        const char *name;

        if (!dir) {
                block_error(p, at, "include", "\"%s\": %s", path, g_strerror(errno));
                any_name_is_bad(p->raw);
                return;
        }
        while ((name = g_dir_read_name(dir)))
                if (name[0] != '.' && !g_str_has_suffix(name, "~"))
                        g_ptr_array_add(names, g_build_filename(path, name, NULL));
        g_dir_close(dir);
        g_ptr_array_sort(names, compare_names);
        for (guint i = 0; i < names->len; i++) {
                struct stat st;

                if (stat(names->pdata[i], &st) == 0 && S_ISREG(st.st_mode))
                        include_file(p, at, names->pdata[i]);
        }
}

/* What is not there matches nothing; what cannot be looked into may hide anything. */
static int glob_error(const char *path, int error)
{
        return error != ENOENT && error != ENOTDIR;
}

/* Files that match, in order. 0: none does. */
static size_t include_glob(Parser *p, Origin at, const char *pattern)
{
        glob_t g = { 0 };
        size_t n;
        int r = glob(pattern, GLOB_BRACE, glob_error, &g);

        if (r != 0 && r != GLOB_NOMATCH) {
                block_error(p, at, "include", "\"%s\": cannot be searched", pattern);
                any_name_is_bad(p->raw);
        }
        n = r == 0 ? g.gl_pathc : 0;
        for (size_t i = 0; i < n; i++) {
                struct stat st;

                if (stat(g.gl_pathv[i], &st) == 0 && S_ISDIR(st.st_mode))
                        include_directory(p, at, g.gl_pathv[i]);
                else
                        include_file(p, at, g.gl_pathv[i]);
        }
        globfree(&g);
        return n;
}

/* 0: nothing is there. */
static size_t include_path(Parser *p, Origin at, const char *path)
{
        struct stat st;

        if (has_glob(path))
                return include_glob(p, at, path);
        if (stat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
                return 0;
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
                include_directory(p, at, path);
        else
                include_file(p, at, path);
        return 1;
}

/* Relative to the directory of the file that says so; where nothing is found there, relative to the
 * current one, as stgt had it. */
static void include(Parser *p, const Statement *s)
{
        g_autofree char *path = s->value ? value_unquote(s->value) : NULL;
        g_autofree char *dir = NULL, *beside = NULL;
        Origin at = here(p, s->line);

        if (!path || !*path) {
                block_error(p, at, "include", "a path expected");
                return;
        }
        if (!g_path_is_absolute(path)) {
                dir = g_path_get_dirname(p->file);
                beside = g_build_filename(dir, path, NULL);
                if (include_path(p, at, beside) > 0)
                        return;
        }
        if (include_path(p, at, path) > 0 || has_glob(path) ||
            g_ascii_strcasecmp(s->key, "includeoptional") == 0)
                return;
        block_error(p, at, "include", "\"%s\": %s", path, g_strerror(ENOENT));
        any_name_is_bad(p->raw);
}

/* ---- directives ------------------------------------------------------------------------------ */

static bool may_stand_here(const Parser *p, const Directive *d)
{
        if (p->store)
                return d->where & IN_LUN;
        if (p->block)
                return d->where & (IN_TARGET | IN_LUN);
        return d->where & IN_GLOBAL;
}

static void unknown_directive(Parser *p, const Statement *s)
{
        unsigned where = p->store ? IN_LUN : p->block ? IN_TARGET | IN_LUN : IN_GLOBAL;
        const char *near = directive_suggest(s->key, where) ?: directive_suggest(s->key, 0);
        g_autofree char *key = g_strndup(s->key, 60);

        if (near)
                block_error(p, here(p, s->line), key, "unknown directive; is \"%s\" meant?", near);
        else
                block_error(p, here(p, s->line), key, "unknown directive");
}

static bool is_include(const Statement *s)
{
        return g_ascii_strcasecmp(s->key, "include") == 0 ||
               g_ascii_strcasecmp(s->key, "includeoptional") == 0;
}

bool config_text_includes(const char *text)
{
        bool found = false;
        Statement s;
        Lexer l;

        lexer_init(&l, text, strlen(text));
        do {
                lexer_next(&l, &s);
                found = s.kind == STATEMENT_DIRECTIVE && is_include(&s);
        } while (!found && s.kind != STATEMENT_END);
        lexer_clear(&l);
        return found;
}

static void directive(Parser *p, const Statement *s)
{
        const Directive *d;

        if (is_include(s)) {
                include(p, s);
                return;
        }
        d = directive_find(s->key);
        if (!d) {
                unknown_directive(p, s);
                return;
        }
        if (s->glued_comment)
                problem_warning(p->raw->problems, here(p, s->line),
                                p->block ? p->block->name : NULL, d->name,
                                "the # begins a comment although no blank is before it; write \\# "
                                "if it belongs to the value");
        if (!may_stand_here(p, d))
                block_error(p, here(p, s->line), d->name, "stands %s only", directive_place(d));
        else if (!d->type)
                block_error(p, here(p, s->line), d->name, "not supported by this build");
        else
                (void)add_item(p, d, s);
}

/* true: s is part of an unknown block. A target block always ends that. */
static bool skipped(Parser *p, const Statement *s)
{
        if (!p->skip)
                return false;
        if (s->kind == STATEMENT_OPEN && STREQ(s->key, "target")) {
                g_free(TAKE_PTR(p->skip));
                return false;
        }
        if (s->kind == STATEMENT_CLOSE && STREQ(s->key, "target") && !STREQ(p->skip, "target") &&
            p->block) {
                g_free(TAKE_PTR(p->skip));
                return false;
        }
        if (s->kind == STATEMENT_OPEN && STREQ(s->key, p->skip))
                p->skip_depth++;
        if (s->kind == STATEMENT_CLOSE && STREQ(s->key, p->skip) && --p->skip_depth == 0)
                g_free(TAKE_PTR(p->skip));
        return true;
}

/* What is in a block whose tag is broken would be misunderstood outside of it: it is skipped. */
static void broken(Parser *p, const Statement *s)
{
        bool target = s->key && g_ascii_strcasecmp(s->key, "target") == 0;

        if (target)
                close_unfinished(p, true);
        block_error(p, here(p, s->line), NULL, "%s", s->text);
        if (s->swallowed_rest || !p->block)
                any_name_is_bad(p->raw);
        if (target || (s->key && directive_find(s->key)))
                skip_block(p, s->key);
}

static void statement(Parser *p, const Statement *s)
{
        switch (s->kind) {
        case STATEMENT_ERROR:
                broken(p, s);
                break;
        case STATEMENT_DIRECTIVE:
                directive(p, s);
                break;
        case STATEMENT_OPEN:
        case STATEMENT_EMPTY:
                open_block(p, s);
                break;
        case STATEMENT_CLOSE:
                close_block(p, s);
                break;
        case STATEMENT_END:
                break;
        }
}

static void parse(Parser *p, const char *text, size_t length)
{
        Lexer lexer;
        Statement s;

        lexer_init(&lexer, text, length);
        do {
                lexer_next(&lexer, &s);
                if (s.kind == STATEMENT_ERROR || !skipped(p, &s))
                        statement(p, &s);
        } while (s.kind != STATEMENT_END);
        close_unfinished(p, true);
        g_free(TAKE_PTR(p->skip));
        lexer_clear(&lexer);
}

/* ---- files ----------------------------------------------------------------------------------- */

static int read_all(int fd, uint64_t max, char **ret, size_t *ret_length)
{
        g_autoptr(GByteArray) data = g_byte_array_new();
        guint8 chunk[16384];
        ssize_t n;

        while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (data->len + (uint64_t)n > max)
                        return -EFBIG;
                g_byte_array_append(data, chunk, (guint)n);
        }
        *ret_length = data->len;
        g_byte_array_append(data, (const guint8 *)"", 1);
        *ret = (char *)g_byte_array_free(g_steal_pointer(&data), FALSE);
        return 0;
}

static int open_fragment(Raw *raw, const char *path)
{
        /* not O_RDONLY alone: a FIFO must not hang the daemon */
        int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
        g_autofree char *clean = NULL;
        int fd = open(path, flags);

        if (fd >= 0)
                return fd;
        if ((errno != EACCES && errno != EPERM) || !raw->open_path)
                return -errno;
        /* who opens for others wants a path without detours */
        clean = g_canonicalize_filename(path, NULL);
        return raw->open_path(clean, flags, raw->open_userdata);
}

/* 1: *ret is the text; 0: the file has been read before. */
static int open_and_read(Raw *raw, const char *path, char **ret, size_t *ret_length)
{
        _cleanup_close_ int fd = -1;
        g_autofree char *key = NULL;
        struct stat st;
        int r;

        fd = open_fragment(raw, path);
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
                return -EINVAL;
        if (S_ISREG(st.st_mode)) {
                key = g_strdup_printf("%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
                if (!g_hash_table_add(raw->files, TAKE_PTR(key)))
                        return 0;
        }
        r = read_all(fd, MIN(RAW_FILE_MAX, RAW_TOTAL_MAX - raw->bytes), ret, ret_length);
        if (r < 0)
                return r;
        raw->bytes += *ret_length;
        return 1;
}

/* p has file, layer and what is open around it. */
static void read_file(Parser *p, Origin at)
{
        g_autofree char *text = NULL;
        const char *name = at.line ? p->file : ""; /* it is named before the text otherwise */
        size_t length = 0;
        int r = open_and_read(p->raw, p->file, &text, &length);

        if (r == 0) {
                problem_warning(p->raw->problems, at, NULL, NULL,
                                "%s%shas been read before, and is left out here", name,
                                *name ? " " : "");
                return;
        }
        if (r > 0 && memchr(text, '\0', length)) {
                problem_error(p->raw->problems, at, NULL, NULL, "%s%sis not a text file", name,
                              *name ? " " : "");
                r = -EINVAL;
        } else if (r < 0) {
                problem_error(p->raw->problems, at, NULL, NULL, "%s%scannot be read: %s", name,
                              *name ? " " : "", g_strerror(-r));
        }
        if (r < 0) {
                if (p->block)
                        p->block->bad = true;
                any_name_is_bad(p->raw);
                return;
        }
        parse(p, text, length);
        explicit_bzero(text, length);
}

static void include_file(Parser *p, Origin at, const char *path)
{
        Parser inner = { .raw = p->raw,
                         .file = g_intern_string(path),
                         .layer = p->layer,
                         .block = p->block,
                         .store = p->store,
                         .outer_block = p->block,
                         .outer_store = p->store };

        if (p->raw->depth >= RAW_DEPTH_MAX) {
                block_error(p, at, "include", "more than %d files deep", RAW_DEPTH_MAX);
                any_name_is_bad(p->raw);
                return;
        }
        p->raw->depth++;
        read_file(&inner, at);
        p->raw->depth--;
}

void raw_read_file(Raw *raw, const char *path, Layer layer)
{
        Parser p = { .raw = raw, .file = g_intern_string(path), .layer = layer };

        read_file(&p, (Origin){ .file = p.file });
}

void raw_read_text(Raw *raw, const char *text, size_t length, const char *file, Layer layer)
{
        Parser p = { .raw = raw, .file = g_intern_string(file ?: "(text)"), .layer = layer };

        if (memchr(text, '\0', length)) {
                problem_error(raw->problems, here(&p, 0), NULL, NULL, "not a text file");
                any_name_is_bad(raw);
                return;
        }
        parse(&p, text, length);
}
