/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/convert.h"

/* Configurations that are words and blocks in braces, as those of SCST and ctld: read into
 * statements, and walked along tables that say what each becomes. What no table has is told with
 * file and line. */

typedef struct Statement {
        unsigned line;
        GPtrArray *words;    /* char*, at least one */
        GPtrArray *children; /* Statement* of its block; NULL: it has none */
} Statement;

/* How many words may follow a keyword of a block, where lines need not end statements. */
typedef unsigned MostWords(const char *keyword, const Statement *block);

/* The whole as a block without words. most NULL: a statement is a line. -EINVAL, with a sentence.
 */
int statements_parse(const char *text, MostWords *most, Statement **ret, char *reterr, size_t size);
Statement *statement_free(Statement *s);
/* The word behind the keyword by its number from 1 on; "": there is none. */
const char *statement_word(const Statement *s, unsigned i);
/* All of them, separated by blanks; newly allocated. */
char *statement_text(const Statement *s);

typedef struct TextConvert {
        Convert *convert;
        const char *file;
        const Statement *root;
} TextConvert;

/* "FILE:LINE", newly allocated. */
char *statement_place(const TextConvert *t, const Statement *s);
/* A statement is not converted, or (lost false) becomes something else. */
void statement_tell(const TextConvert *t, const Statement *s, bool lost, const char *format, ...)
        _printf_(4, 5);
/* A directive of ours, of target or (lun not NULL) of lun, which s asks for. */
void statement_set(const TextConvert *t, const Statement *s, TargetSpec *target, LunSpec *lun,
                   const char *directive, const char *value);

/* What a block makes of its statements. */
typedef struct StatementScope {
        const TextConvert *convert;
        TargetSpec *target;
        LunSpec *lun;
        void *data;
} StatementScope;

typedef struct StatementRow {
        const char *name;
        /* what it is, one of three: */
        void (*run)(const StatementScope *scope, const Statement *s);
        const char *directive; /* ours, with the same value */
        const char *ignored;   /* the value that means nothing here, others are told; "": any */
} StatementRow;

/* rows ends with name NULL. */
void statements_walk(const StatementScope *scope, const Statement *block, const StatementRow *rows);

/* The same, of what rows have: other rows are for the rest. */
void statements_pick(const StatementScope *scope, const Statement *block, const StatementRow *rows);

/* "on", "yes", "1", "true"? */
bool word_is_on(const char *word);
/* A target of the name behind the keyword; NULL: it cannot have that name, which is told. */
TargetSpec *convert_target_new(const TextConvert *t, const Statement *s);
/* A portal that is not among those of tgtd.socket; port 3260 unless said otherwise. */
void convert_portal(const TextConvert *t, const Statement *s, const char *address);
/* CHAP: of target, or of discovery if it is NULL. */
void convert_incoming(const TextConvert *t, TargetSpec *target, const char *user,
                      const char *secret);
void convert_outgoing(const TextConvert *t, const Statement *s, TargetSpec *target,
                      const char *user, const char *secret);
