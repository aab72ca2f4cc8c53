/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/image-name.h"

static int take(char *ret, const char *s, size_t n)
{
        if (n == 0 || n >= IMAGE_NAME_PART_MAX)
                return -EINVAL;
        memcpy(ret, s, n);
        ret[n] = '\0';
        return 0;
}

/* IMAGE[@SNAPSHOT], which have neither "/" nor another "@". */
static int take_image(ImageName *n, const char *s)
{
        const char *at = strchr(s, '@');
        size_t length = at ? (size_t)(at - s) : strlen(s);
        int r = take(n->image, s, length);

        if (r < 0 || !at)
                return r;
        return strchr(at + 1, '@') ? -EINVAL : take(n->snapshot, at + 1, strlen(at + 1));
}

int image_name_parse(const char *s, ImageName *ret)
{
        const char *first = strchr(s, '/'), *second = first ? strchr(first + 1, '/') : NULL;
        ImageName n = { .pool = "rbd" };
        int r = 0;

        if (second && (strchr(second + 1, '/') || memchr(first, '@', (size_t)(second - first))))
                return -EINVAL;
        if (first)
                r = take(n.pool, s, (size_t)(first - s));
        if (r >= 0 && second)
                r = take(n.space, first + 1, (size_t)(second - first - 1));
        if (r >= 0)
                r = take_image(&n, second ? second + 1 : first ? first + 1 : s);
        if (r >= 0)
                *ret = n;
        return r;
}
