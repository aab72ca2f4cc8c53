/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <glib.h>

#include "simloop.h"
#include "store/store.h"

/* What the tests of stores share: kinds of stores to run the same cases over, and requests that
 * are waited for. */

typedef enum KindPath { PATH_NONE, PATH_MEMORY, PATH_DISK, PATH_DEVICE, PATH_IMAGE } KindPath;

/* A way to open a store; the contract holds for each. */
typedef struct Kind {
        const char *name;
        StoreSpec spec;
        KindPath where;
        bool old_kernel; /* as if it were Linux 6.1 */
        bool forgets;    /* null: what is written is not read back */
} Kind;

extern const Kind kinds[], device_kinds[];
extern const size_t n_kinds, n_device_kinds;

typedef struct Bed {
        Sim *sim;
        StoreHost *host[2];
        StoreChannel *ch[2]; /* of store, one per loop */
        Store *store;
        StoreSpec spec; /* as opened */
        KindPath where;
        char *path;
} Bed;

/* Images in a cluster, made and removed by the test that has one. Names are newly allocated. */
typedef struct ImageMaker {
        char *(*create)(uint64_t size);
        void (*remove)(const char *name);
} ImageMaker;
extern const ImageMaker *image_maker;

/* contract.c: adds the cases that hold for every kind, each as PREFIX/KIND/CASE. */
void contract_add(const char *prefix, const Kind *table, size_t n);

/* Opens kind with size bytes; granularity 0 is the default. Fails the test if that fails. */
void bed_open(Bed *b, const Kind *kind, uint64_t size, uint32_t granularity, uint64_t seed);
/* As bed_open(), changing the spec first. */
void bed_open_spec(Bed *b, const Kind *kind, const StoreSpec *spec, uint64_t size, uint64_t seed);
void bed_close(Bed *b);

/* A file of size bytes (sparse), or a loop device of 4096-byte blocks over one. */
char *make_file(KindPath where, uint64_t size);
void remove_file(KindPath where, char *path);
/* Can loop devices be made here? */
bool have_devices(void);

/* A request with its count of completions. */
typedef struct Op {
        StoreRequest req;
        unsigned completions;
        bool inside; /* submit is running */
} Op;

/* Gives it to the store; op->completions says when it is over. */
void op_submit(Op *op, StoreChannel *ch, StoreOp what, uint32_t flags, uint64_t offset, void *buf,
               uint64_t length);
/* As above, with the caller's iov in op->req. */
void op_submit_iov(Op *op, StoreChannel *ch, StoreOp what, uint32_t flags, uint64_t offset,
                   uint64_t length);
int op_wait(Bed *b, Op *op);

/* Submits and waits; the result. */
int run(Bed *b, StoreOp what, uint32_t flags, uint64_t offset, void *buf, uint64_t length);

/* Fails at the first byte that differs. */
void assert_same(const uint8_t *got, const uint8_t *expected, uint64_t n);

/* Bytes that tell where they belong and which write made them. */
void fill(uint8_t *buf, size_t n, uint64_t offset, uint32_t version);
