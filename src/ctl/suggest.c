/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <limits.h>

#include "ctl/suggest.h"

unsigned edit_distance(const char *a, const char *b)
{
        size_t la = strlen(a), lb = strlen(b);
        unsigned rows[3][EDIT_DISTANCE_MAX_WORD + 1];
        unsigned *before = rows[0], *last = rows[1], *now = rows[2];

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
                        unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);

                        best = MIN(best, MIN(last[j], now[j - 1]) + 1);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
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
                unsigned d = edit_distance(word, *words);

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
