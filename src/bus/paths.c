/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-bus.h>

#include "base/parse.h"
#include "bus/paths.h"

#define FORMAT_TARGET PATH_TARGETS "/%"
#define FORMAT_ACL PATH_TARGETS "/%/acl/%"
#define FORMAT_ACCOUNT PATH_TARGETS "/%/account/%"
#define FORMAT_PORTAL PATH_PORTALS "/%"

static char *encode1(const char *format, const char *a)
{
        char *path;

        return sd_bus_path_encode_many(&path, format, a) < 0 ? NULL : path;
}

/* Two labels, the second of which is "first_second". */
static char *encode_pair(const char *format, const char *target, const char *first,
                         const char *second)
{
        _cleanup_free_ char *label = NULL;
        char *path;

        if (asprintf(&label, "%s_%s", first, second) < 0) {
                label = NULL;
                return NULL;
        }
        return sd_bus_path_encode_many(&path, format, target, label) < 0 ? NULL : path;
}

char *path_of_target(const char *name)
{
        return encode1(FORMAT_TARGET, name);
}

/* A UUID stays readable: only its dashes, which no label may have, are written otherwise. */
char *path_of_unit(const char *uuid)
{
        char *path;

        if (asprintf(&path, PATH_UNITS "/%s", uuid) < 0)
                return NULL;
        for (char *p = path + strlen(PATH_UNITS "/"); *p; p++)
                if (*p == '-')
                        *p = '_';
        return path;
}

char *path_of_session(uint64_t id)
{
        char *path;

        return asprintf(&path, PATH_SESSIONS "/%" PRIu64, id) < 0 ? NULL : path;
}

char *path_of_portal(const char *address)
{
        return encode1(FORMAT_PORTAL, address);
}

char *path_of_acl(const char *target, const char *kind, const char *value)
{
        return encode_pair(FORMAT_ACL, target, kind, value);
}

char *path_of_account(const char *target, const char *direction, const char *user)
{
        return encode_pair(FORMAT_ACCOUNT, target, direction, user);
}

/* An object has one path: what would decode to the same name but is spelt otherwise is no object.
 * Takes canonical. */
static int is_canonical(char *canonical, const char *path)
{
        _cleanup_free_ char *c = canonical;

        return c ? STREQ(c, path) : -ENOMEM;
}

static int decode1(const char *path, const char *format, char **ret)
{
        _cleanup_free_ char *a = NULL;
        int r;

        r = sd_bus_path_decode_many(path, format, &a);
        if (r <= 0)
                return r;
        r = is_canonical(encode1(format, a), path);
        if (r > 0)
                *ret = TAKE_PTR(a);
        return r;
}

static int decode_pair(const char *path, const char *format, char **ret_target, char **ret_first,
                       char **ret_second)
{
        _cleanup_free_ char *target = NULL, *label = NULL;
        char *second, *separator;
        int r;

        r = sd_bus_path_decode_many(path, format, &target, &label);
        if (r <= 0)
                return r;
        separator = strchr(label, '_');
        if (!separator)
                return 0;
        *separator = 0;
        r = is_canonical(encode_pair(format, target, label, separator + 1), path);
        if (r <= 0)
                return r;
        second = strdup(separator + 1);
        if (!second)
                return -ENOMEM;
        *ret_target = TAKE_PTR(target);
        *ret_first = TAKE_PTR(label);
        *ret_second = second;
        return 1;
}

int path_parse_target(const char *path, char **ret_name)
{
        return decode1(path, FORMAT_TARGET, ret_name);
}

int path_parse_unit(const char *path, char **ret_uuid)
{
        char *uuid;

        if (strncmp(path, PATH_UNITS "/", strlen(PATH_UNITS "/")) != 0)
                return 0;
        uuid = strdup(path + strlen(PATH_UNITS "/"));
        if (!uuid)
                return -ENOMEM;
        for (char *p = uuid; *p; p++)
                if (*p == '_')
                        *p = '-';
        *ret_uuid = uuid;
        return 1;
}

int path_parse_session(const char *path, uint64_t *ret_id)
{
        const char *digits;

        if (strncmp(path, PATH_SESSIONS "/", strlen(PATH_SESSIONS "/")) != 0)
                return 0;
        digits = path + strlen(PATH_SESSIONS "/");
        /* 0x1 and 01 are numbers, but not the path of session 1 */
        if (digits[0] == '0' && digits[1])
                return 0;
        return parse_u64(digits, 0, UINT64_MAX, ret_id) >= 0;
}

int path_parse_portal(const char *path, char **ret_address)
{
        return decode1(path, FORMAT_PORTAL, ret_address);
}

int path_parse_acl(const char *path, char **ret_target, char **ret_kind, char **ret_value)
{
        return decode_pair(path, FORMAT_ACL, ret_target, ret_kind, ret_value);
}

int path_parse_account(const char *path, char **ret_target, char **ret_direction, char **ret_user)
{
        return decode_pair(path, FORMAT_ACCOUNT, ret_target, ret_direction, ret_user);
}
