/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/ctl.h"

/* The table of verbs and the table of options. Dispatch, checks, --help, completion and tgtctl(1)
 * read them; tests/unit/ctl/test-verbs.c walks them. */

typedef enum VerbFlags {
        VERB_READ_ONLY = 1 << 0, /* never starts the daemon */
        VERB_LOCAL = 1 << 1,     /* needs no daemon at all */
        VERB_DEFAULT = 1 << 2,   /* runs when no verb is given */
        /* --DIRECTIVE=VALUE is taken for every directive that may stand there */
        VERB_TARGET_DIRECTIVES = 1 << 3,
        VERB_LUN_DIRECTIVES = 1 << 4,
} VerbFlags;

/* args: what follows the verb, NULL-terminated, its number within min_args and max_args. Returns an
 * ExitCode; whoever returns another than 0 has said why. */
typedef int VerbFunc(Ctl *c, char **args);

/* What a word of the command line is, for completion. */
typedef enum WordKind {
        WORD_NONE,
        WORD_TARGET,
        WORD_UNIT,
        WORD_SESSION,
        WORD_FILE,
        WORD_LUN,  /* of the target before it, if there is one */
        WORD_USER, /* of CHAP accounts */
        WORD_ON_OFF,
        WORD_INITIATOR, /* names and addresses that are known */
        WORD_OBJECTS,   /* targets luns sessions portals accounts */
        WORD_DIRECTIVE,
        WORD_VERB,
        _WORD_KIND_MAX,
} WordKind;

#define ANY_NUMBER G_MAXUINT

typedef struct Verb {
        const char *name; /* one word, or two: "account add" */
        const char *args; /* as in the synopsis: "TARGET [LUN...]" */
        unsigned min_args, max_args;
        unsigned flags;
        VerbFunc *run;
        WordKind words[3];       /* by position; the last that is given repeats */
        const char *group;       /* heading in --help; NULL: as the row above */
        const char *help;        /* one line */
        const char *description; /* for the man page and help VERB: plain text, blank line = new
                                    paragraph */
        const char *examples;    /* one command a line */
} Verb;

/* Ends with name NULL. */
const Verb *verbs(void);
/* The row for the words at args (NULL-terminated), and how many words its name took. NULL: none. */
const Verb *verb_find(char *const *args, unsigned *ret_words);
const Verb *verb_default(void);
/* Every name of one word, or first word of two, once (NULL-terminated, g_free() the array). */
const char **verb_first_words(void);

typedef enum OptionType {
        OPTION_FLAG,      /* bool */
        OPTION_STRING,    /* const char*, within argv */
        OPTION_SECRET,    /* char*, owned; wiped from argv */
        OPTION_NUMBER,    /* int64_t, 0..INT64_MAX */
        OPTION_DURATION,  /* uint64_t, in ns */
        OPTION_JSON,      /* JsonMode, value optional */
        OPTION_COLOR,     /* int, value optional */
        OPTION_DIRECTIVE, /* appends to settings */
        OPTION_ALIAS,     /* the same, of one directive */
} OptionType;

typedef struct Option {
        const char *name;
        char letter; /* 0: none */
        OptionType type;
        size_t offset;       /* into Options */
        const char *value;   /* of the synopsis: "PATH"; NULL: takes none */
        const char *verbs;   /* comma-separated names; NULL: all */
        const char *choices; /* space-separated, for completion; NULL */
        const char *help;
        const char *directive; /* OPTION_ALIAS: which; without a value it is set to 1 */
} Option;

const Option *options_table(void); /* ends with name NULL */
bool option_applies(const Option *o, const Verb *v);
