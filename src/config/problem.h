/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "config/config.h"

/* Making Problems. problems may be NULL: then nobody wants to know. */

void problem_addv(GPtrArray *problems, ProblemLevel level, Origin at, const char *target,
                  const char *directive, const char *format, va_list ap)
        __attribute__((format(printf, 6, 0)));
void problem_error(GPtrArray *problems, Origin at, const char *target, const char *directive,
                   const char *format, ...) _printf_(5, 6);
void problem_warning(GPtrArray *problems, Origin at, const char *target, const char *directive,
                     const char *format, ...) _printf_(5, 6);
GPtrArray *problems_new(void);
