/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"

/* What an image in a storage cluster is called: [POOL/[NAMESPACE/]]IMAGE[@SNAPSHOT], as Ceph's own
 * tools and stgt write it. */

#define IMAGE_NAME_PART_MAX 128

typedef struct ImageName {
        char pool[IMAGE_NAME_PART_MAX]; /* "rbd" where none is named */
        char space[IMAGE_NAME_PART_MAX], image[IMAGE_NAME_PART_MAX];
        char snapshot[IMAGE_NAME_PART_MAX]; /* this and space: "" where there is none */
} ImageName;

/* For messages and man pages. */
#define IMAGE_NAME_GRAMMAR "[POOL/[NAMESPACE/]]IMAGE[@SNAPSHOT]"

/* -EINVAL: s is no such name. */
int image_name_parse(const char *s, ImageName *ret);
