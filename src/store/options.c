/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/options.h"

#include <stdio.h>

int store_option_next(const char **cursor, StoreOption *ret, StoreError *reterr)
{
        const char *s = *cursor, *eq;
        size_t n;

        if (!s || !*s)
                return 0;
        n = strcspn(s, ";");
        eq = memchr(s, '=', n);
        if (!eq || eq == s)
                return store_error(reterr, -EINVAL, "option \"%.*s\": expected key=value",
                                   (int)MIN(n, 64), s);
        if ((size_t)(eq - s) >= sizeof(ret->key))
                return store_error(reterr, -EINVAL, "option \"%.*s\": the name is too long",
                                   (int)MIN(n, 64), s);
        if ((size_t)(s + n - eq) > sizeof(ret->value))
                return store_error(reterr, -EINVAL, "option %.*s: the value is too long",
                                   (int)(eq - s), s);
        *ret = (StoreOption){ 0 };
        memcpy(ret->key, s, (size_t)(eq - s));
        memcpy(ret->value, eq + 1, (size_t)(s + n - eq - 1));
        *cursor = s + n + (s[n] == ';');
        return 1;
}

int store_option_unknown(const StoreOption *o, const char *const *keys, StoreError *reterr)
{
        char list[160];
        size_t n = 0;

        list[0] = '\0';
        for (; *keys && n < sizeof(list); keys++)
                n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", n ? ", " : "", *keys);
        return store_error(reterr, -EINVAL, "unknown option \"%s\"; there are: %s", o->key,
                           n ? list : "none");
}

int store_option_invalid(const StoreOption *o, const char *expected, StoreError *reterr)
{
        return store_error(reterr, -EINVAL, "option %s=%s: expected %s", o->key, o->value,
                           expected);
}
