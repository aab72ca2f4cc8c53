/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/table.h"

#define COLUMN_MIN_WIDTH 6
#define COLUMN_GAP 1

typedef struct Cell {
        char *text; /* as added; sanitized when drawn, since that depends on the terminal */
        Color color;
} Cell;

struct Table {
        const Column *columns;
        size_t n_columns;
        GArray *cells; /* Cell */
};

static void cell_clear(Cell *c)
{
        g_free(c->text);
}

Table *table_new(const Column *columns, size_t n_columns)
{
        Table *t = g_new0(Table, 1);

        t->columns = columns;
        t->n_columns = n_columns;
        t->cells = g_array_new(FALSE, TRUE, sizeof(Cell));
        g_array_set_clear_func(t->cells, (GDestroyNotify)cell_clear);
        return t;
}

Table *table_free(Table *t)
{
        if (!t)
                return NULL;
        g_array_unref(t->cells);
        g_free(t);
        return NULL;
}

void table_add(Table *t, const char *text, Color color)
{
        Cell c = { .text = g_strdup(text && *text ? text : "-"), .color = color };

        g_array_append_val(t->cells, c);
}

size_t table_rows(const Table *t)
{
        return t->cells->len / t->n_columns;
}

static unsigned sum_widths(const unsigned *widths, size_t n)
{
        unsigned sum = 0;

        for (size_t i = 0; i < n; i++)
                sum += widths[i] + (i > 0 ? COLUMN_GAP : 0);
        return sum;
}

/* Takes from the widest column that may shrink, one column of text at a time. */
static void shrink(const Table *t, unsigned *widths, unsigned width)
{
        while (sum_widths(widths, t->n_columns) > width) {
                size_t widest = t->n_columns;

                for (size_t i = 0; i < t->n_columns; i++)
                        if ((t->columns[i].flags & COLUMN_SHRINK) && widths[i] > COLUMN_MIN_WIDTH &&
                            (widest == t->n_columns || widths[i] > widths[widest]))
                                widest = i;
                if (widest == t->n_columns)
                        return;
                widths[widest]--;
        }
}

static const char *ellipsis(const Terminal *terminal)
{
        return terminal->unicode ? "\xe2\x80\xa6" : "...";
}

/* How many columns fit, with an ellipsis for the others. */
static size_t count_fitting(const Table *t, const unsigned *widths, const Terminal *terminal)
{
        unsigned room = COLUMN_GAP + text_width(ellipsis(terminal));
        size_t n = t->n_columns;

        if (sum_widths(widths, n) <= terminal->width)
                return n;
        while (n > 1 && sum_widths(widths, n) + room > terminal->width)
                n--;
        return n;
}

/* Of the first n columns. */
static void draw_cell(const Table *t, size_t n, size_t column, const char *text, Color color,
                      unsigned width, const Terminal *terminal, GString *to)
{
        unsigned flags = t->columns[column].flags;
        g_autofree char *fitted =
                text_ellipsize(text, width, flags & COLUMN_MIDDLE, terminal->unicode);
        unsigned used = text_width(fitted), pad = width > used ? width - used : 0;
        bool last = column + 1 == t->n_columns;

        if (column > 0)
                g_string_append_printf(to, "%*s", COLUMN_GAP, "");
        if (flags & COLUMN_RIGHT)
                g_string_append_printf(to, "%*s", (int)pad, "");
        g_string_append_printf(to, "%s%s%s", color_on(terminal->color, color), fitted,
                               color_off(terminal->color, color));
        if (!(flags & COLUMN_RIGHT) && !last)
                g_string_append_printf(to, "%*s", (int)pad, "");
        if (column + 1 == n)
                g_string_append_printf(to, "%s%s\n", last ? "" : " ",
                                       last ? "" : ellipsis(terminal));
}

void table_format(const Table *t, const Terminal *terminal, bool full, bool legend, GString *to)
{
        size_t n = t->n_columns, drawn = n, rows = table_rows(t);
        g_autofree unsigned *widths = g_new0(unsigned, n);
        g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);

        for (size_t i = 0; i < n && legend; i++)
                widths[i] = text_width(t->columns[i].title);
        for (size_t i = 0; i < rows * n; i++) {
                const Cell *c = &g_array_index(t->cells, Cell, i);
                char *text = text_sanitize(c->text, terminal->unicode);

                g_ptr_array_add(texts, text);
                widths[i % n] = MAX(widths[i % n], text_width(text));
        }
        if (terminal->width > 0 && !full) {
                shrink(t, widths, terminal->width);
                drawn = count_fitting(t, widths, terminal);
        }
        for (size_t i = 0; i < drawn && legend; i++)
                draw_cell(t, drawn, i, t->columns[i].title, COLOR_UNDERLINE, widths[i], terminal,
                          to);
        for (size_t i = 0; i < rows * n; i++)
                if (i % n < drawn)
                        draw_cell(t, drawn, i % n, g_ptr_array_index(texts, i),
                                  g_array_index(t->cells, Cell, i).color, widths[i % n], terminal,
                                  to);
}
