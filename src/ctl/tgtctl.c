/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <locale.h>
#include <stdio.h>

#include "ctl/agent.h"
#include "ctl/args.h"
#include "ctl/connection.h"
#include "ctl/pager.h"
#include "ctl/verb-functions.h"

static int run(Ctl *c, int argc, char **argv)
{
        char **args = NULL;
        int code = args_parse(c, argc, argv, &args);

        terminal_detect(&c->terminal, c->options.color);
        if (code != EXIT_CODE_OK)
                return code;
        if (c->options.version) {
                (void)puts("tgtctl " TGT_VERSION);
                return EXIT_CODE_OK;
        }
        if (c->options.help)
                return verb_help(c, args);

        code = c->verb->run(c, args);
        /* also after a failure: what was done before it has been done */
        if (ctl_json(c) && c->result)
                (void)ctl_show_json(c, c->result);
        return code;
}

int tgtctl_main(int argc, char **argv)
{
        Ctl c = { 0 };
        int code;

        (void)setlocale(LC_ALL, "");
        options_init(&c.options);
        terminal_detect(&c.terminal, -1); /* for errors of the command line itself */

        code = run(&c, argc, argv);

        agent_close();
        sd_bus_flush_close_unref(c.bus);
        g_free(c.connect_why);
        g_free(c.error_name);
        json_decref(c.result);
        options_done(&c.options);
        /* a full disk or a closed pipe must not look like success */
        if (fflush(stdout) != 0 && errno != EPIPE && code == EXIT_CODE_OK)
                code = EXIT_CODE_FAILURE;
        pager_close();
        return code;
}
