/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/ctl.h"
#include "ctl/message.h"

static json_t *json_u64(uint64_t v)
{
        char text[32];

        if (v <= INT64_MAX)
                return json_integer((json_int_t)v);
        (void)snprintf(text, sizeof(text), "%" PRIu64, v);
        return json_string(text);
}

static int read_basic(sd_bus_message *m, char type, json_t **ret)
{
        union {
                uint8_t y;
                int b;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                double d;
                const char *s;
                int fd;
        } v;
        int r = sd_bus_message_read_basic(m, type, &v);

        if (r < 0)
                return r;
        if (r == 0)
                return -EBADMSG;
        switch (type) {
        case 'y':
                *ret = json_integer(v.y);
                break;
        case 'b':
                *ret = json_boolean(v.b);
                break;
        case 'n':
                *ret = json_integer(v.n);
                break;
        case 'q':
                *ret = json_integer(v.q);
                break;
        case 'i':
                *ret = json_integer(v.i);
                break;
        case 'u':
                *ret = json_integer(v.u);
                break;
        case 'x':
                *ret = json_integer(v.x);
                break;
        case 't':
                *ret = json_u64(v.t);
                break;
        case 'd':
                *ret = json_real(v.d);
                break;
        case 's':
        case 'o':
        case 'g':
                *ret = json_string(v.s);
                break;
        case 'h':
                *ret = json_null();
                break;
        default:
                return -EBADMSG;
        }
        return *ret ? 0 : -ENOMEM;
}

static int read_bytes(sd_bus_message *m, json_t **ret)
{
        const uint8_t *bytes;
        size_t n;
        GString *hex;
        int r = sd_bus_message_read_array(m, 'y', (const void **)&bytes, &n);

        if (r < 0)
                return r;
        hex = g_string_sized_new(n * 2);
        for (size_t i = 0; i < n; i++)
                g_string_append_printf(hex, "%02x", bytes[i]);
        *ret = json_string(hex->str);
        g_string_free(hex, TRUE);
        return *ret ? 0 : -ENOMEM;
}

/* Inside a container: everything up to its end. */
static int read_sequence(sd_bus_message *m, json_t **ret)
{
        _cleanup_json_ json_t *array = json_array();

        if (!array)
                return -ENOMEM;
        for (;;) {
                json_t *value;
                int r = sd_bus_message_at_end(m, false);

                if (r < 0)
                        return r;
                if (r > 0)
                        break;
                r = message_read_json(m, &value);
                if (r < 0)
                        return r;
                if (json_array_append_new(array, value) < 0)
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(array);
        return 0;
}

/* Inside an array of {s*} or {o*}. */
static int read_entries(sd_bus_message *m, const char *entry, json_t **ret)
{
        _cleanup_json_ json_t *object = json_object();
        int r;

        if (!object)
                return -ENOMEM;
        while ((r = sd_bus_message_enter_container(m, 'e', entry)) > 0) {
                const char *key;
                json_t *value;

                r = sd_bus_message_read_basic(m, entry[0], &key);
                if (r < 0)
                        return r;
                r = message_read_json(m, &value);
                if (r < 0)
                        return r;
                if (json_object_set_new(object, key, value) < 0)
                        return -ENOMEM;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(object);
        return 0;
}

static int read_array(sd_bus_message *m, const char *contents, json_t **ret)
{
        g_autofree char *entry = NULL;
        int r;

        if (STREQ(contents, "y"))
                return read_bytes(m, ret);
        r = sd_bus_message_enter_container(m, 'a', contents);
        if (r < 0)
                return r;
        if (contents[0] == '{' && strchr("so", contents[1])) {
                entry = g_strndup(contents + 1, strlen(contents) - 2);
                r = read_entries(m, entry, ret);
        } else
                r = read_sequence(m, ret);
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(m);
}

static int read_variant(sd_bus_message *m, const char *contents, json_t **ret)
{
        int r = sd_bus_message_enter_container(m, 'v', contents);

        if (r < 0)
                return r;
        r = message_read_json(m, ret);
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(m);
}

int message_read_json(sd_bus_message *m, json_t **ret)
{
        const char *contents;
        char type;
        int r = sd_bus_message_peek_type(m, &type, &contents);

        if (r < 0)
                return r;
        if (r == 0)
                return -ENXIO;
        switch (type) {
        case 'a':
                return read_array(m, contents, ret);
        case 'v':
                return read_variant(m, contents, ret);
        case 'r':
        case 'e':
                r = sd_bus_message_enter_container(m, type, contents);
                if (r < 0)
                        return r;
                r = read_sequence(m, ret);
                if (r < 0)
                        return r;
                return sd_bus_message_exit_container(m);
        default:
                return read_basic(m, type, ret);
        }
}

int message_read_all(sd_bus_message *m, json_t **ret)
{
        return read_sequence(m, ret);
}
