/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "config/directives.h"

/* Files -> raw blocks: what is written, where, and in which directory of the search path; includes
 * are followed, nothing is merged and no value is looked at. A file at fault costs its blocks. */

/* The directories of the search path, highest precedence first. */
typedef enum Layer { LAYER_ETC, LAYER_RUN, LAYER_VAR, LAYER_USR, N_LAYERS } Layer;

/* One directive, or one store with its block. */
typedef struct RawItem {
        const Directive *directive;
        char *raw; /* value as written; "" for none */
        bool literal;
        Origin at;
        Layer layer;
        GPtrArray *nested; /* RawItem*, of a backing-store block; NULL: one line */
} RawItem;

typedef struct RawBlock {
        char *name; /* normalized */
        Layer layer;
        Origin at;
        bool bad;         /* a problem has been reported */
        GPtrArray *items; /* RawItem* */
} RawBlock;

/* What has been read so far. */
typedef struct Raw {
        GPtrArray *blocks;   /* RawBlock*, in the order read */
        GPtrArray *globals;  /* RawItem* */
        GHashTable *files;   /* "dev:ino" of the files that were read: none is read twice */
        GHashTable *bad;     /* set of names; borrowed */
        GPtrArray *problems; /* borrowed */
        int (*open_path)(const char *path, int flags, void *userdata); /* as in ConfigPaths */
        void *open_userdata;
        uint64_t bytes;
        unsigned depth; /* of includes */
} Raw;

/* Limits: nothing here is reached by a file that a person or a tool of ours wrote. */
#define RAW_FILE_MAX (64 * MIB)
#define RAW_TOTAL_MAX (512 * MIB)
#define RAW_DEPTH_MAX 16

void raw_init(Raw *raw, GHashTable *bad, GPtrArray *problems);
void raw_clear(Raw *raw);

/* A file that cannot be read is a problem, and makes every name doubtful. */
void raw_read_file(Raw *raw, const char *path, Layer layer);
void raw_read_text(Raw *raw, const char *text, size_t length, const char *file, Layer layer);
