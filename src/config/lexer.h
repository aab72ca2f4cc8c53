/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "config/config.h"

/* The text of a fragment as statements, one for each logical line: comments are gone, continued
 * lines are one, here-documents are values. Knows no directive. Never fails as a whole: what is not
 * a statement is a STATEMENT_ERROR, and the next one begins on the next line.
 *
 * The text is borrowed, contains no NUL byte and outlives the lexer. */

typedef enum StatementKind {
        STATEMENT_END,
        STATEMENT_DIRECTIVE, /* key, value (NULL: none) */
        STATEMENT_OPEN,      /* <key value>; value is unquoted */
        STATEMENT_EMPTY,     /* <key value/>: opened and closed */
        STATEMENT_CLOSE,     /* </key> */
        STATEMENT_ERROR,     /* text; key: of a block tag, else NULL */
} StatementKind;

typedef struct Statement {
        StatementKind kind;
        unsigned line;       /* where it begins, from 1 */
        const char *key;     /* block tags are in lower case */
        const char *value;   /* as written, quotes and escapes included, but for literal */
        bool literal;        /* value is to be taken as it is: here-document, block name */
        bool glued_comment;  /* a # right behind a word began a comment: perhaps not meant so */
        bool swallowed_rest; /* ERROR: the rest of the file is lost */
        const char *text;
} Statement;

typedef struct Lexer {
        const char *at, *end;
        unsigned line; /* of at */
        GString *buf;  /* the logical line; statements point into it */
        GString *here; /* a here-document */
        bool glued_comment;
} Lexer;

void lexer_init(Lexer *l, const char *text, size_t length);
void lexer_clear(Lexer *l);
/* *ret's strings are valid until the next call. */
void lexer_next(Lexer *l, Statement *ret);

/* A value as written -> what is meant: a pair of quotes around the whole is taken off, and \" \\ \#
 * \$ stand for the character. Newly allocated. */
char *value_unquote(const char *raw);
/* Words separated by blanks, each perhaps in quotes; a value that is one quoted text is split
 * within. Newly allocated, NULL-terminated. */
char **value_split(const char *raw);
/* The inverse of both: text in quotes if it needs them. */
void value_quote(const char *text, GString *to);
