/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/problem.h"

void problem_free(Problem *p)
{
        if (!p)
                return;
        g_free(p->target);
        g_free(p->directive);
        g_free(p->text);
        g_free(p);
}

GPtrArray *problems_new(void)
{
        return g_ptr_array_new_with_free_func((GDestroyNotify)problem_free);
}

Problem *problem_new(ProblemLevel level, Origin at, const char *target, const char *directive,
                     const char *text)
{
        Problem *p = g_new0(Problem, 1);

        p->level = level;
        p->at = at;
        /* D-Bus and JSON want UTF-8 */
        p->target = target ? g_utf8_make_valid(target, -1) : NULL;
        p->directive = directive ? g_utf8_make_valid(directive, -1) : NULL;
        p->text = g_utf8_make_valid(text, -1);
        return p;
}

void problem_addv(GPtrArray *problems, ProblemLevel level, Origin at, const char *target,
                  const char *directive, const char *format, va_list ap)
{
        g_autofree char *text = NULL;

        if (!problems)
                return;
        text = g_strdup_vprintf(format, ap);
        g_ptr_array_add(problems, problem_new(level, at, target, directive, text));
}

void problem_error(GPtrArray *problems, Origin at, const char *target, const char *directive,
                   const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        problem_addv(problems, PROBLEM_ERROR, at, target, directive, format, ap);
        va_end(ap);
}

void problem_warning(GPtrArray *problems, Origin at, const char *target, const char *directive,
                     const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        problem_addv(problems, PROBLEM_WARNING, at, target, directive, format, ap);
        va_end(ap);
}

char *problem_format(const Problem *p)
{
        GString *s = g_string_new(NULL);

        if (p->at.file && p->at.line)
                g_string_append_printf(s, "%s:%u: ", p->at.file, p->at.line);
        else if (p->at.file)
                g_string_append_printf(s, "%s: ", p->at.file);
        if (p->level == PROBLEM_WARNING)
                g_string_append(s, "warning: ");
        if (p->target)
                g_string_append_printf(s, "%s: ", p->target);
        if (p->directive)
                g_string_append_printf(s, "%s: ", p->directive);
        g_string_append(s, p->text);
        return g_string_free(s, FALSE);
}

char *origin_format(Origin at)
{
        if (!at.file)
                return g_strdup("an earlier change");
        if (!at.line)
                return g_strdup(at.file);
        return g_strdup_printf("%s:%u", at.file, at.line);
}
