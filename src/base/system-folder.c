/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/system-folder.h"

#include <string.h>

#include "base/base.h"

static const char *const folders[] = { "/etc",   "/usr",   "/boot",  "/efi",  "/proc",
                                       "/sys",   "/run",   "/bin",   "/sbin", "/lib",
                                       "/lib32", "/lib64", "/libx32" };

const char *system_folder(const char *path)
{
        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                size_t n = strlen(folders[i]);

                if (strncmp(path, folders[i], n) == 0 && (path[n] == '/' || path[n] == '\0'))
                        return folders[i];
        }
        return NULL;
}
