/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bus/arguments.h"
#include "bus/authority.h"

#include <inttypes.h>

#include "bus/apply.h"

#define DIRECTIVES_MAX 256
#define VALUES_MAX 1024

int read_failed(int r, BusError *e)
{
        return bus_error_set(e, ERROR_INVALID, "The arguments cannot be read: %s", g_strerror(-r));
}

int read_text(sd_bus_message *m, const char *what, char **ret, BusError *e)
{
        const char *s;
        int r = sd_bus_message_read_basic(m, 's', &s);

        if (r < 0)
                return read_failed(r, e);
        if (!text_is_clean(s, TEXT_MAX, false))
                return bus_error_set(e, ERROR_INVALID,
                                     "%s: expected 1 to %d bytes without control characters", what,
                                     TEXT_MAX);
        *ret = g_strdup(s);
        return 0;
}

int read_target_name(sd_bus_message *m, char **ret, BusError *e)
{
        g_autofree char *given = NULL;
        char why[256] = "";

        if (read_text(m, "name", &given, e) < 0)
                return -1;
        if (iscsi_name_normalize(given, ret, why, sizeof(why)) < 0)
                return bus_error_set(e, ERROR_INVALID, "%s: %s", given, why);
        return 0;
}

int read_texts(sd_bus_message *m, const char *what, size_t max, char ***ret, BusError *e)
{
        g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
        const char *s;
        int r = sd_bus_message_enter_container(m, 'a', "s");

        if (r < 0)
                return read_failed(r, e);
        while ((r = sd_bus_message_read_basic(m, 's', &s)) > 0) {
                if (texts->len >= max)
                        return bus_error_set(e, ERROR_LIMIT, "%s: more than %zu values", what, max);
                if (!text_is_clean(s, TEXT_MAX, true))
                        return bus_error_set(e, ERROR_INVALID,
                                             "%s: expected at most %d bytes without control "
                                             "characters",
                                             what, TEXT_MAX);
                g_ptr_array_add(texts, g_strdup(s));
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0)
                return read_failed(r, e);
        g_ptr_array_add(texts, NULL);
        *ret = (char **)g_ptr_array_free(g_steal_pointer(&texts), FALSE);
        return 0;
}

static int read_directive(sd_bus_message *m, GPtrArray *to, BusError *e)
{
        Directive *d = g_new0(Directive, 1);

        g_ptr_array_add(to, d);
        if (read_text(m, "directive", &d->name, e) < 0)
                return -1;
        return read_texts(m, d->name, VALUES_MAX, &d->values, e);
}

int read_directives(sd_bus_message *m, GPtrArray **ret, BusError *e)
{
        g_autoptr(GPtrArray) directives =
                g_ptr_array_new_with_free_func((GDestroyNotify)directive_free);
        int r = sd_bus_message_enter_container(m, 'a', "{sas}");

        if (r < 0)
                return read_failed(r, e);
        while ((r = sd_bus_message_enter_container(m, 'e', "sas")) > 0) {
                if (directives->len >= DIRECTIVES_MAX)
                        return bus_error_set(e, ERROR_LIMIT, "More than %d directives",
                                             DIRECTIVES_MAX);
                if (read_directive(m, directives, e) < 0)
                        return -1;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return read_failed(r, e);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0)
                return read_failed(r, e);
        *ret = g_steal_pointer(&directives);
        return 0;
}

/* ---- limits ---- */

static const LimitField *field_named(const char *property)
{
        for (size_t i = 0; i < n_limit_fields(); i++)
                if (STREQ(limit_fields()[i].property, property))
                        return &limit_fields()[i];
        return NULL;
}

static int unknown_limit(const char *name, BusError *e)
{
        g_autoptr(GString) known = g_string_new(NULL);

        for (size_t i = 0; i < n_limit_fields(); i++)
                g_string_append_printf(known, "%s%s", known->len ? ", " : "",
                                       limit_fields()[i].property);
        return bus_error_set(e, ERROR_INVALID, "There is no limit '%s'; there are %s", name,
                             known->str);
}

int read_limits(sd_bus_message *m, LimitSpec *ret, BusError *e)
{
        int r = sd_bus_message_enter_container(m, 'a', "{st}");

        if (r < 0)
                return read_failed(r, e);
        while ((r = sd_bus_message_enter_container(m, 'e', "st")) > 0) {
                const LimitField *f;
                const char *name;
                uint64_t v = 0;

                r = sd_bus_message_read(m, "st", &name, &v);
                if (r < 0)
                        return read_failed(r, e);
                f = field_named(name);
                if (!f)
                        return unknown_limit(name, e);
                if (v != 0 && (v < f->min || v > f->max))
                        return bus_error_set(e, ERROR_INVALID,
                                             "%s: expected 0, or %" PRIu64 " to %" PRIu64, name,
                                             f->min, f->max);
                *limit_field(ret, f) = v;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return read_failed(r, e);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? read_failed(r, e) : 0;
}

int append_limits(sd_bus_message *m, const LimitSpec *limits)
{
        int r = sd_bus_message_open_container(m, 'a', "{st}");

        for (size_t i = 0; r >= 0 && i < n_limit_fields(); i++) {
                const LimitField *f = &limit_fields()[i];
                uint64_t v = limit_value(limits, f);

                if (v != 0)
                        r = sd_bus_message_append(m, "{st}", f->property, v);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* ---- options ---- */

static int set_flag(sd_bus_message *m, bool *ret)
{
        int value;
        int r = sd_bus_message_read(m, "b", &value);

        *ret = value;
        return r;
}

static int set_runtime(Call *call, sd_bus_message *m)
{
        int r = set_flag(m, &call->options.runtime);

        call->edit.runtime = call->options.runtime;
        return r;
}

static int set_force(Call *call, sd_bus_message *m)
{
        int r = set_flag(m, &call->options.force);

        call->edit.force = call->options.force;
        return r;
}

static int set_dry_run(Call *call, sd_bus_message *m)
{
        return set_flag(m, &call->options.dry_run);
}

static int set_generation(Call *call, sd_bus_message *m)
{
        call->options.has_generation = true;
        return sd_bus_message_read(m, "t", &call->options.generation);
}

static int set_with_secrets(Call *call, sd_bus_message *m)
{
        return set_flag(m, &call->with_secrets);
}

static int set_with_identities(Call *call, sd_bus_message *m)
{
        return set_flag(m, &call->with_identities);
}

static int set_target(Call *call, sd_bus_message *m)
{
        const char *s;
        int r = sd_bus_message_read(m, "s", &s);

        if (r < 0)
                return r;
        g_free(call->edit.target);
        call->edit.target = g_strdup(s);
        return 0;
}

static int set_transient(Call *call, sd_bus_message *m)
{
        return set_flag(m, &call->options.transient);
}

static int set_confirm_within(Call *call, sd_bus_message *m)
{
        return sd_bus_message_read(m, "t", &call->options.confirm_usec);
}

static int set_size(Call *call, sd_bus_message *m)
{
        return sd_bus_message_read(m, "t", &call->file_size);
}

static int set_preallocate(Call *call, sd_bus_message *m)
{
        return set_flag(m, &call->preallocate);
}

static int set_directory(Call *call, sd_bus_message *m)
{
        const char *s;
        int r = sd_bus_message_read(m, "s", &s);

        if (r < 0)
                return r;
        g_free(call->directory);
        call->directory = g_strdup(s);
        return 0;
}

static int set_targets(Call *call, sd_bus_message *m)
{
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        const char *s;
        int r = sd_bus_message_enter_container(m, 'a', "s");

        while (r >= 0 && (r = sd_bus_message_read_basic(m, 's', &s)) > 0) {
                char why[256], *name = NULL;

                /* one that cannot be a name is none of those there are */
                if (iscsi_name_normalize(s, &name, why, sizeof(why)) < 0)
                        name = g_strdup(s);
                g_ptr_array_add(names, name);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        g_ptr_array_add(names, NULL);
        g_strfreev(call->files);
        call->files = (char **)g_ptr_array_free(g_steal_pointer(&names), FALSE);
        call->options.only = call->files;
        return 0;
}

static int set_absent(Call *call, sd_bus_message *m)
{
        return set_flag(m, &call->options.absent);
}

static int set_revert(Call *call, sd_bus_message *m)
{
        int r = set_flag(m, &call->options.revert);

        /* takes away what was made with it */
        if (r >= 0 && call->options.revert)
                call_add_check(call, ACTION_TARGET, NULL);
        return r;
}

static int set_passes(Call *call, sd_bus_message *m)
{
        return sd_bus_message_read(m, "u", &call->operation.passes);
}

static int set_invert(Call *call, sd_bus_message *m)
{
        return set_flag(m, &call->operation.invert);
}

static int set_restricted(Call *call, sd_bus_message *m)
{
        return set_flag(m, &call->operation.restricted);
}

static int set_pattern(Call *call, sd_bus_message *m)
{
        const void *bytes;
        size_t n;
        int r = sd_bus_message_read_array(m, 'y', &bytes, &n);

        if (r < 0)
                return r;
        g_free(call->pattern);
        call->operation.pattern = call->pattern = g_memdup2(bytes, n);
        call->operation.n_pattern = n;
        return 0;
}

static const struct {
        const char *name, *type;
        unsigned bit;
        int (*set)(Call *call, sd_bus_message *m);
} options_table[] = {
        { "runtime", "b", OPTION_RUNTIME, set_runtime },
        { "force", "b", OPTION_FORCE, set_force },
        { "dry-run", "b", OPTION_DRY_RUN, set_dry_run },
        { "generation", "t", OPTION_GENERATION, set_generation },
        { "with-secrets", "b", OPTION_WITH_SECRETS, set_with_secrets },
        { "with-identities", "b", OPTION_WITH_IDENTITIES, set_with_identities },
        { "target", "s", OPTION_TARGET, set_target },
        { "transient", "b", OPTION_TRANSIENT, set_transient },
        { "prune", "b", OPTION_PRUNE, apply_set_prune },
        { "confirm-within", "t", OPTION_CONFIRM, set_confirm_within },
        { "size", "t", OPTION_SIZE, set_size },
        { "preallocate", "b", OPTION_PREALLOCATE, set_preallocate },
        { "directory", "s", OPTION_DIRECTORY, set_directory },
        { "targets", "as", OPTION_TARGETS, set_targets },
        { "absent", "b", OPTION_ABSENT, set_absent },
        { "revert", "b", OPTION_REVERT, set_revert },
        { "passes", "u", OPTION_PASSES, set_passes },
        { "pattern", "ay", OPTION_PATTERN, set_pattern },
        { "invert", "b", OPTION_INVERT, set_invert },
        { "restricted", "b", OPTION_RESTRICTED, set_restricted },
};

static int unknown_option(const Call *call, const char *name, BusError *e)
{
        g_autoptr(GString) known = g_string_new(NULL);

        for (size_t i = 0; i < ELEMENTSOF(options_table); i++)
                if (call->row->options & options_table[i].bit)
                        g_string_append_printf(known, "%s%s", known->len ? ", " : "",
                                               options_table[i].name);
        return bus_error_set(e, ERROR_INVALID, "%s has no option '%s'; it has %s",
                             call->row->member, name, known->len ? known->str : "none");
}

static int read_option(Call *call, sd_bus_message *m, BusError *e)
{
        const char *name, *contents;
        size_t i;
        char type;
        int r;

        r = sd_bus_message_read_basic(m, 's', &name);
        if (r < 0)
                return read_failed(r, e);
        for (i = 0; i < ELEMENTSOF(options_table); i++)
                if (STREQ(options_table[i].name, name))
                        break;
        if (i == ELEMENTSOF(options_table) || !(call->row->options & options_table[i].bit))
                return unknown_option(call, name, e);

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r < 0)
                return read_failed(r, e);
        if (!STREQ(contents, options_table[i].type))
                return bus_error_set(e, ERROR_INVALID, "The option %s has type '%s', not '%s'",
                                     name, options_table[i].type, contents);
        r = sd_bus_message_enter_container(m, 'v', options_table[i].type);
        if (r >= 0)
                r = options_table[i].set(call, m);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? read_failed(r, e) : 0;
}

int read_options(Call *call, sd_bus_message *m, BusError *e)
{
        int r = sd_bus_message_enter_container(m, 'a', "{sv}");

        if (r < 0)
                return read_failed(r, e);
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                if (read_option(call, m, e) < 0)
                        return -1;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return read_failed(r, e);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? read_failed(r, e) : 0;
}
