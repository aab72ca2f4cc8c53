/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The folder that path (absolute, clean, without links) is or is below, of those where the system
 * itself lives: what is there is no backing store. NULL: none. */
const char *system_folder(const char *path);
