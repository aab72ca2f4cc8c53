/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "ctl/generate.h"

/* Build time only: tgtctl-generate TEMPLATE > OUTPUT */
int main(int argc, char **argv)
{
        g_autofree char *template = NULL, *text = NULL, *mark = NULL;
        g_autoptr(GError) error = NULL;

        if (argc != 2 || !g_file_get_contents(argv[1], &template, NULL, &error)) {
                (void)fprintf(stderr, "%s\n", error ? error->message : "one TEMPLATE is needed");
                return EXIT_FAILURE;
        }
        text = generate(template, &mark);
        if (!text) {
                (void)fprintf(stderr, "%s: unknown mark %s\n", argv[1], mark);
                return EXIT_FAILURE;
        }
        return fputs(text, stdout) < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
