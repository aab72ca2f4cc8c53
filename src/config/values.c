/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/values.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "base/parse.h"

int setting_error(Setting *s, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(s->text, sizeof(s->text), format, ap);
        va_end(ap);
        return -EINVAL;
}

int setting_warning(Setting *s, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(s->text, sizeof(s->text), format, ap);
        va_end(ap);
        return 1;
}

void *setting_field(const Setting *s)
{
        return (char *)s->object + s->directive->offset;
}

static const void *field(const Directive *d, const void *object)
{
        return (const char *)object + d->offset;
}

/* The field of the object that has every default. */
static const void *default_field(const Directive *d)
{
        return field(d, directive_default(d));
}

bool word_in_list(const char *word, const char *list)
{
        size_t n = strlen(word);

        while (list && n > 0) {
                const char *bar = strchrnul(list, '|');

                if ((size_t)(bar - list) == n && strncasecmp(list, word, n) == 0)
                        return true;
                list = *bar ? bar + 1 : NULL;
        }
        return false;
}

/* The n-th word of "a|b|c"; newly allocated. */
static char *nth_word(const char *list, unsigned n)
{
        g_auto(GStrv) words = g_strsplit(list, "|", -1);

        return n < g_strv_length(words) ? g_strdup(words[n]) : NULL;
}

/* ---- yes and no ------------------------------------------------------------------------------ */

static int set_bool(Setting *s)
{
        g_autofree char *yes = nth_word(s->directive->values, 0);
        g_autofree char *no = nth_word(s->directive->values, 1);
        bool *b = setting_field(s);

        if (strcasecmp(s->value, yes) == 0)
                *b = true;
        else if (strcasecmp(s->value, no) == 0)
                *b = false;
        else if (parse_bool(s->value, b) < 0)
                return setting_error(s, "\"%s\": %s or %s expected", s->value, yes, no);
        return 0;
}

static void get_bool(const Directive *d, const void *object, GPtrArray *values)
{
        const bool *b = field(d, object), *standard = default_field(d);

        if (*b != *standard)
                g_ptr_array_add(values, nth_word(d->values, *b ? 0 : 1));
}

static void clear_bool(const Directive *d, void *object)
{
        *(bool *)field(d, object) = *(const bool *)default_field(d);
}

const DirectiveType type_bool = { .set = set_bool, .get = get_bool, .clear = clear_bool };

/* ---- numbers --------------------------------------------------------------------------------- */

static int number(Setting *s, uint64_t *ret)
{
        int r = parse_u64(s->value, s->directive->min, s->directive->max, ret);

        if (r < 0)
                return setting_error(s, "\"%s\": a number from %" PRIu64 " to %" PRIu64 " expected",
                                     s->value, s->directive->min, s->directive->max);
        return 0;
}

static int set_int(Setting *s)
{
        uint64_t v = 0;
        int r = number(s, &v);

        if (r == 0)
                *(int *)setting_field(s) = (int)v;
        return r;
}

void value_get_int(const Directive *d, const void *object, GPtrArray *values)
{
        const int *v = field(d, object);

        if (*v != -1)
                g_ptr_array_add(values, g_strdup_printf("%d", *v));
}

void value_clear_int(const Directive *d, void *object)
{
        *(int *)field(d, object) = -1;
}

const DirectiveType type_int = { .set = set_int, .get = value_get_int, .clear = value_clear_int };

static int set_u32(Setting *s)
{
        uint64_t v = 0;
        int r = number(s, &v);

        if (r == 0)
                *(uint32_t *)setting_field(s) = (uint32_t)v;
        return r;
}

void value_get_u32(const Directive *d, const void *object, GPtrArray *values)
{
        const uint32_t *v = field(d, object);

        if (*v != 0)
                g_ptr_array_add(values, g_strdup_printf("%" PRIu32, *v));
}

void value_clear_u32(const Directive *d, void *object)
{
        *(uint32_t *)field(d, object) = 0;
}

const DirectiveType type_u32 = { .set = set_u32, .get = value_get_u32, .clear = value_clear_u32 };

static int set_size(Setting *s)
{
        uint64_t v = 0;

        if (parse_size(s->value, &v) < 0 || v == 0 || v > INT64_MAX)
                return setting_error(s, "\"%s\": a size in bytes or with K, M, G, T or P expected",
                                     s->value);
        *(uint64_t *)setting_field(s) = v;
        return 0;
}

static void get_size(const Directive *d, const void *object, GPtrArray *values)
{
        const uint64_t *v = field(d, object);

        if (*v != 0)
                g_ptr_array_add(values, g_strdup_printf("%" PRIu64, *v));
}

static void clear_size(const Directive *d, void *object)
{
        *(uint64_t *)field(d, object) = 0;
}

const DirectiveType type_size = { .set = set_size, .get = get_size, .clear = clear_size };

/* ---- texts ----------------------------------------------------------------------------------- */

static void replace_string(Setting *s, char *value)
{
        char **f = setting_field(s);

        g_free(*f);
        *f = value;
}

static int set_text(Setting *s)
{
        if (strlen(s->value) > s->directive->max)
                return setting_error(s, "longer than %" PRIu64 " bytes", s->directive->max);
        replace_string(s, g_strdup(s->value));
        return 0;
}

void value_get_text(const Directive *d, const void *object, GPtrArray *values)
{
        char *const *v = field(d, object), *const *standard = default_field(d);

        if (*v && g_strcmp0(*v, *standard) != 0)
                g_ptr_array_add(values, g_strdup(*v));
}

void value_clear_text(const Directive *d, void *object)
{
        char **v = (char **)field(d, object), *const *standard = default_field(d);

        g_free(*v);
        *v = g_strdup(*standard);
}

const DirectiveType type_text = { .set = set_text,
                                  .get = value_get_text,
                                  .clear = value_clear_text };

/* SPC-4 4.4.1: ASCII data fields hold 20h to 7Eh and are padded with blanks; stgt cuts what is too
 * long, and its own example counts on that. */
static int set_inquiry(Setting *s)
{
        char *value;
        size_t n = strlen(s->value);
        bool cut = n > s->directive->max;

        for (const char *p = s->value; *p; p++)
                if (*p < 0x20 || *p > 0x7e)
                        return setting_error(s, "printable ASCII characters expected");
        value = g_strchomp(g_strndup(s->value, s->directive->max));
        if (!*value) {
                g_free(value);
                return setting_error(s, "at least one character that is not a blank expected");
        }
        replace_string(s, value);
        if (cut)
                return setting_warning(s, "\"%s\" is cut to %" PRIu64 " characters", s->value,
                                       s->directive->max);
        return 0;
}

const DirectiveType type_inquiry = { .set = set_inquiry,
                                     .get = value_get_text,
                                     .clear = value_clear_text };

static int set_word(Setting *s)
{
        if (word_in_list(s->value, s->directive->refused))
                return setting_error(s, "\"%s\" is not supported by this build; %s expected",
                                     s->value, s->directive->values);
        if (!word_in_list(s->value, s->directive->values))
                return setting_error(s, "\"%s\": %s expected", s->value, s->directive->values);
        replace_string(s, g_ascii_strdown(s->value, -1));
        return 0;
}

const DirectiveType type_word = { .set = set_word,
                                  .get = value_get_text,
                                  .clear = value_clear_text };

static int check_path(Setting *s)
{
        if (s->value[0] != '/')
                return setting_error(s, "\"%s\": an absolute path expected", s->value);
        if (strlen(s->value) >= 4096)
                return setting_error(s, "a path longer than 4095 bytes");
        return 0;
}

/* What else may stand here depends on bs-type: verification looks at it. */
static int set_path(Setting *s)
{
        if (!*s->value || strlen(s->value) >= 4096)
                return setting_error(s, "a path of 1 to 4095 bytes expected, or NONE");
        replace_string(s, STREQ(s->value, "NONE") ? NULL : g_strdup(s->value));
        return 0;
}

const DirectiveType type_path = { .set = set_path,
                                  .get = value_get_text,
                                  .clear = value_clear_text };

static int set_paths(Setting *s)
{
        GPtrArray *paths = *(GPtrArray **)setting_field(s);
        int r = check_path(s);

        if (r == 0 && !g_ptr_array_find_with_equal_func(paths, s->value, g_str_equal, NULL))
                g_ptr_array_add(paths, g_strdup(s->value));
        return r;
}

static void get_paths(const Directive *d, const void *object, GPtrArray *values)
{
        GPtrArray *const *paths = field(d, object);

        for (guint i = 0; i < (*paths)->len; i++)
                g_ptr_array_add(values, g_strdup((*paths)->pdata[i]));
}

static void clear_paths(const Directive *d, void *object)
{
        g_ptr_array_set_size(*(GPtrArray **)field(d, object), 0);
}

const DirectiveType type_paths = { .set = set_paths, .get = get_paths, .clear = clear_paths };

/* ---- taken for stgt's sake ------------------------------------------------------------------- */

static int set_ignored(Setting *s)
{
        g_autofree char *quiet = nth_word(s->directive->values, 0);

        if (word_in_list(s->value, s->directive->refused))
                return setting_error(s, "\"%s\" is not supported by this build; %s expected",
                                     s->value, s->directive->values);
        if (strcasecmp(s->value, quiet) == 0)
                return 0;
        if (s->directive->refused)
                return setting_error(s, "\"%s\": %s expected", s->value, s->directive->values);
        return setting_warning(s, "\"%s\" has no effect here: %s", s->value, s->directive->help);
}

static void get_ignored(const Directive *d, const void *object, GPtrArray *values)
{
}

static void clear_ignored(const Directive *d, void *object)
{
}

static int set_file_port(Setting *s)
{
        int r = set_u32(s);

        if (r < 0 || *(uint32_t *)setting_field(s) == 0)
                return r;
        return setting_warning(
                s, "\"%s\" is for tgt-admin; a daemon that reads this file serves it", s->value);
}

const DirectiveType type_file_port = { .set = set_file_port,
                                       .get = get_ignored,
                                       .clear = value_clear_u32 };
const DirectiveType type_file_bool = { .set = set_bool, .get = get_ignored, .clear = clear_bool };

const DirectiveType type_ignored = { .set = set_ignored,
                                     .get = get_ignored,
                                     .clear = clear_ignored };
