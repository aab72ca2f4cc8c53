/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* What each fuzz target is: called with any bytes, returns 0, and aborts where a promise of the
 * code under test is broken. libFuzzer calls it with what it makes up, replay-main.c with the files
 * of the target's corpus: what was found once is an ordinary test from then on. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
