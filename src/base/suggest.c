/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <limits.h>

#include "base/suggest.h"

static char as_it_is(char c)
{
        return c;
}

unsigned edit_distance(const char *a, const char *b, char (*fold)(char c))
{
        size_t la = strlen(a), lb = strlen(b);
        unsigned rows[3][EDIT_DISTANCE_MAX_WORD + 1];
        unsigned *before = rows[0], *last = rows[1], *now = rows[2];

        if (!fold)
                fold = as_it_is;
        if (STREQ(a, b))
                return 0;
        if (la > EDIT_DISTANCE_MAX_WORD || lb > EDIT_DISTANCE_MAX_WORD)
                return UINT_MAX;

        for (size_t j = 0; j <= lb; j++)
                last[j] = (unsigned)j;
        for (size_t i = 1; i <= la; i++) {
                unsigned *spare = before;

                now[0] = (unsigned)i;
                for (size_t j = 1; j <= lb; j++) {
                        unsigned best = last[j - 1] + (fold(a[i - 1]) != fold(b[j - 1]));

                        best = MIN(best, MIN(last[j], now[j - 1]) + 1);
                        if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
                            fold(a[i - 2]) == fold(b[j - 1]))
                                best = MIN(best, before[j - 2] + 1);
                        now[j] = best;
                }
                before = last;
                last = now;
                now = spare;
        }
        return last[lb];
}

const char *suggest(const char *word, const char *const *words)
{
        size_t length = strlen(word);
        unsigned limit = (unsigned)MIN((length + 2) / 3, (size_t)4), n_prefix = 0;
        const char *best = NULL, *prefix = NULL;

        if (length == 0)
                return NULL;
        for (; *words; words++) {
                unsigned d = edit_distance(word, *words, NULL);

                if (d <= limit && d < strlen(*words)) {
                        best = *words;
                        if (d == 0)
                                return best;
                        limit = d - 1; /* only what is nearer, from now on */
                }
                if (strncmp(*words, word, length) == 0) {
                        prefix = *words;
                        n_prefix++;
                }
        }
        return best ? best : n_prefix == 1 ? prefix : NULL;
}
