/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "store/internal.h"

/* Types of store whose library the daemon is not to drag in: each is a module,
 * LIBDIR/tgt/store-NAME.so (TGT_MODULE_DIR names another folder), which is loaded when the first
 * store of the type is opened, and stays. The row of types[] is always there, with its options and
 * its check(); a row of a module has an open() that is one call of store_module_open().
 *
 * A module exports one StoreModule named tgt_store_module. It is built from the same tree as what
 * loads it, uses what store/internal.h declares, and is refused if it is from another build. */

/* What threads that run other people's code have: of our own, some have less than a library needs.
 */
#define STORE_MODULE_STACK (8 * MIB)

typedef struct StoreModule {
        const char *version; /* TGT_VERSION */
        size_t store_size, io_size;
        int (*open)(const StoreSpec *spec, Store **ret, StoreError *reterr);
} StoreModule;

#define STORE_MODULE(function)                                              \
        extern const StoreModule tgt_store_module;                          \
        const StoreModule tgt_store_module = { .version = TGT_VERSION,      \
                                               .store_size = sizeof(Store), \
                                               .io_size = sizeof(StoreIo),  \
                                               .open = (function) }

/* Where a module is looked for, and what to say when it is not there. */
typedef struct StoreModuleName {
        const char *type;
        const char *library, *package; /* what it stands on, and what brings that */
        bool built;                    /* this build made it */
} StoreModuleName;

/* Any thread; loads once. -EOPNOTSUPP, with a sentence: it cannot be had. */
int store_module_open(const StoreModuleName *name, const StoreSpec *spec, Store **ret,
                      StoreError *reterr);
