/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "ctl/verbs.h"

/* Looking a verb up in the table. */

const Verb *verb_default(void)
{
        for (const Verb *v = verbs(); v->name; v++)
                if (v->flags & VERB_DEFAULT)
                        return v;
        return NULL;
}

const Verb *verb_find(char *const *args, unsigned *ret_words)
{
        g_autofree char *two = NULL;

        if (!args[0])
                return NULL;
        if (args[1])
                two = g_strconcat(args[0], " ", args[1], NULL);
        for (const Verb *v = verbs(); v->name; v++) {
                bool both = two && STREQ(v->name, two);

                if (!both && !STREQ(v->name, args[0]))
                        continue;
                *ret_words = both ? 2 : 1;
                return v;
        }
        return NULL;
}

const char **verb_first_words(void)
{
        GPtrArray *words = g_ptr_array_new();

        for (const Verb *v = verbs(); v->name; v++) {
                g_autofree char *word = g_strndup(v->name, strcspn(v->name, " "));
                const char *interned = g_intern_string(word);

                if (!g_ptr_array_find(words, interned, NULL))
                        g_ptr_array_add(words, (char *)interned);
        }
        g_ptr_array_add(words, NULL);
        return (const char **)g_ptr_array_free(words, FALSE);
}
