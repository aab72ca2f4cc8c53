/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "store/file.h"

/* preadv2()/pwritev2() of io behind skip bytes with RWF_ flags: bytes or negative errno. */
ssize_t file_transfer(int fd, const StoreIo *io, size_t skip, int flags);
