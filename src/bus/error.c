/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>

#include "bus/manager.h"

int bus_error_set(BusError *e, const char *name, const char *format, ...)
{
        va_list ap;
        char *text;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);

        g_free(e->text); /* after formatting: the old text may be an argument */
        e->name = name;
        e->text = text;
        return -1;
}

void bus_error_clear(BusError *e)
{
        e->name = NULL;
        g_clear_pointer(&e->text, g_free);
}
