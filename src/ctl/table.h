/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/terminal.h"

/* Tables that fit the terminal: columns are as wide as they need; if that is too much, the widest
 * of those that may shrink do, with an ellipsis; if it still is, an ellipsis stands for the last
 * ones. */

typedef enum ColumnFlags {
        COLUMN_RIGHT = 1 << 0,  /* numbers */
        COLUMN_SHRINK = 1 << 1, /* may be cut */
        COLUMN_MIDDLE = 1 << 2, /* cut in the middle: names that differ at their ends */
} ColumnFlags;

typedef struct Column {
        const char *title;
        unsigned flags;
} Column;

typedef struct Table Table;

Table *table_new(const Column *columns, size_t n_columns); /* columns: not copied */
Table *table_free(Table *t);
DEFINE_CLEANUP(Table *, table_free);

/* The next cell, row by row; text is copied and sanitized, NULL is "-". */
void table_add(Table *t, const char *text, Color color);
size_t table_rows(const Table *t);

/* full: no ellipsis whatever the width; legend: with titles. */
void table_format(const Table *t, const Terminal *terminal, bool full, bool legend, GString *to);
