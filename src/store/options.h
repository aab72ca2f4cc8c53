/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "store/internal.h"

/* "key=value;key=value": what fragments call bsopts. A ';' at the end is allowed; keys and values
 * are taken as they stand, without quoting. */

#define STORE_OPTION_KEY_MAX 32
#define STORE_OPTION_VALUE_MAX 128

typedef struct StoreOption {
        char key[STORE_OPTION_KEY_MAX], value[STORE_OPTION_VALUE_MAX];
} StoreOption;

/* The next one at *cursor, which moves on. 1: one was found; 0: the end; -EINVAL with a sentence.
 */
int store_option_next(const char **cursor, StoreOption *ret, StoreError *reterr);
/* Says which keys there are; returns -EINVAL. */
int store_option_unknown(const StoreOption *o, const char *const *keys, StoreError *reterr);
int store_option_invalid(const StoreOption *o, const char *expected, StoreError *reterr);
