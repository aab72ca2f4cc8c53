/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fuzz.h"

#include "base/base.h"

/* Runs a fuzz target over files and directories of files, with the results as TAP. */

static unsigned n_inputs;

static int replay_file(const char *path)
{
        FILE *f = fopen(path, "re");
        struct stat st;
        uint8_t *data;
        size_t size;

        if (!f || fstat(fileno(f), &st) < 0) {
                printf("Bail out! %s: %m\n", path);
                return -1;
        }
        /* as long as the input and no longer: a sanitizer sees one byte too many */
        size = (size_t)st.st_size;
        data = malloc(size > 0 ? size : 1);
        if (!data || fread(data, 1, size, f) != size) {
                printf("Bail out! %s: cannot be read\n", path);
                free(data);
                (void)fclose(f);
                return -1;
        }
        (void)fclose(f);
        (void)LLVMFuzzerTestOneInput(data, size);
        free(data);
        printf("ok %u %s\n", ++n_inputs, path);
        (void)fflush(stdout);
        return 0;
}

static int is_input(const struct dirent *e)
{
        return e->d_name[0] != '.';
}

static int replay(const char *path)
{
        struct dirent **entries = NULL;
        struct stat st;
        int n, r = 0;

        if (stat(path, &st) < 0) {
                printf("Bail out! %s: %m\n", path);
                return -1;
        }
        if (!S_ISDIR(st.st_mode))
                return replay_file(path);
        n = scandir(path, &entries, is_input, alphasort);
        for (int i = 0; i < n; i++) {
                char *child = NULL;

                if (r == 0 && asprintf(&child, "%s/%s", path, entries[i]->d_name) >= 0)
                        r = replay_file(child);
                free(child);
                free(entries[i]);
        }
        free(entries);
        return n < 0 ? -1 : r;
}

int main(int argc, char **argv)
{
        for (int i = 1; i < argc; i++)
                if (replay(argv[i]) < 0)
                        return EXIT_FAILURE;
        if (n_inputs == 0) {
                printf("Bail out! no inputs\n");
                return EXIT_FAILURE;
        }
        printf("1..%u\n", n_inputs);
        return EXIT_SUCCESS;
}
