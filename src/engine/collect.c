/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/collect.h"

typedef struct Collect {
        LoopTask task;
        const CollectKind *kind;
        Worker *workers;
        unsigned n_workers, next;
        Control *control;
        CollectFrom from;
        size_t max, n;
        CollectDone *done;
        void *userdata;
        max_align_t rows[]; /* n found so far; behind them, what the next worker has */
} Collect;

static void reply(LoopTask *task)
{
        Collect *c = CONTAINER_OF(task, Collect, task);

        if (!control_closed(c->control))
                c->kind->deliver(c->done, c->userdata, c->rows, c->n);
        (void)control_unref(c->control);
        free(c);
}

static void ask(LoopTask *task)
{
        Collect *c = CONTAINER_OF(task, Collect, task);
        uint8_t *rows = (uint8_t *)c->rows;

        c->n += c->kind->find(&c->workers[c->next++], &c->from, rows + c->n * c->kind->size,
                              c->max);
        qsort(rows, c->n, c->kind->size, c->kind->compare);
        c->n = MIN(c->n, c->max);
        if (c->next < c->n_workers) {
                loop_post(c->workers[c->next].loop, task);
        } else {
                c->task.run = reply;
                loop_post(control_loop(c->control), task);
        }
}

int collect(const CollectKind *kind, Worker *workers, unsigned n_workers, const CollectFrom *from,
            size_t max, CollectDone *done, void *userdata)
{
        Collect *c = calloc(1, sizeof(*c) + 2 * max * kind->size);

        if (!c)
                return -ENOMEM;
        c->task.run = ask;
        c->kind = kind;
        c->workers = workers;
        c->n_workers = n_workers;
        c->control = control_ref(workers[0].control);
        c->from = *from;
        c->max = max;
        c->done = done;
        c->userdata = userdata;
        loop_post(workers[0].loop, &c->task);
        return 0;
}
