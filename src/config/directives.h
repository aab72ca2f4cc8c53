/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "config/config.h"

/* The directive table as the parser, the setter, the writer and the documents read it.
 *
 * A row says what a directive is called, where it stands, what it takes and which field of which
 * object it sets; its type says how: text to field, field to text, field to default. */

typedef struct Directive Directive;

enum {
        IN_GLOBAL = 1 << 0, /* object: Desired */
        IN_TARGET = 1 << 1, /* object: TargetSpec */
        IN_LUN = 1 << 2     /* object: LunSpec; at target level it is for every LUN */
};

/* One value on its way into an object. set() returns 0, 1 (done, text is a warning) or -EINVAL
 * (text says what was expected; the object is as it was). */
typedef struct Setting {
        const Directive *directive;
        const char *raw;   /* as written */
        const char *value; /* what is meant */
        bool literal;      /* raw has no quotes or escapes */
        bool replace;      /* a change by a client: what exists under that name is replaced */
        void *object;
        Origin at;
        ConfigCheckParam *check;
        char text[400];
} Setting;

typedef struct DirectiveType {
        int (*set)(Setting *s);
        /* Appends the values (char*, newly allocated) that set() would need to make *object; none
         * if that is the default. Values of raw types are written as they are, others are quoted.
         */
        void (*get)(const Directive *d, const void *object, GPtrArray *values);
        void (*clear)(const Directive *d, void *object); /* back to the default */
        bool raw;
        bool secret; /* values are "user secret"; the second word is not shown to everybody */
} DirectiveType;

struct Directive {
        const char *name;
        unsigned where;
        const DirectiveType *type; /* NULL: refused by name */
        size_t offset;             /* of the field in the object */
        uint64_t min, max;         /* numbers: range; texts: longest */
        bool many;
        const char *values;
        const char *refused; /* further values, not supported by this build: "a|b|c" */
        const char *help;
        const char *since; /* NULL: stgt has it */
};

const Directive *directives(void); /* ends with name NULL */
size_t n_directives(void);
/* By name; case plays no part, nor which of - and _ is written. NULL: none. */
const Directive *directive_find(const char *name);
/* The nearest name of those that may stand in where (0: anywhere), or NULL if none is near. */
const char *directive_suggest(const char *name, unsigned where);
size_t directive_index(const Directive *d);
bool directive_is_store(const Directive *d);
/* "in a target block", ... for messages. */
const char *directive_place(const Directive *d);

/* The object of d's kind with every default: borrowed, constant. */
const void *directive_default(const Directive *d);

/* Sets one value: checks text, calls the type. As Setting says. */
int directive_set(Setting *s);

/* Is there a character in s that would end a line, or do something to a terminal? */
bool text_has_control(const char *s);

/* CHAP names and secrets are texts of at most 255 bytes here, RFC 7143 6.1 (text values). */
#define ACCOUNT_TEXT_MAX 255
/* stgt's word for a secret that is not told: everybody knows it. */
#define ACCOUNT_NO_SECRET "PLEASE_CORRECT_THE_PASSWORD"
