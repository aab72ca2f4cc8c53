/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/histogram.h"
#include "ctl/context.h"

/* Statistics as the daemon tells them: arrays of objects; Statistics is an object of counters under
 * the names of dbus/.
 *
 *   units     Uuid, Mappings [{Target, Lun}], Statistics, Latency
 *   sessions  Id Target Initiator Statistics Latency
 *   nexuses   Session Target Initiator Lun Statistics
 *   workers   Worker Statistics Latency
 *
 * Latency is {read, write}, each {Sum, Ends, Counts}. */
int statistics_units(Ctl *c, json_t **ret);
int statistics_sessions(Ctl *c, json_t **ret);
int statistics_nexuses(Ctl *c, json_t **ret);
int statistics_workers(Ctl *c, json_t **ret);

/* row.Statistics.name; numbers beyond JSON's are cut. */
uint64_t statistic(const json_t *row, const char *name);
/* row.Latency.name; empty if it is not there. */
void statistic_times(const json_t *row, const char *name, TimeHistogram *ret);

/* metrics.c: everything as OpenMetrics text, newly allocated. An ExitCode; unless it is 0, what
 * failed was said, and the text is that of metrics_down(). c is connected. */
int metrics_collect(Ctl *c, char **ret);
/* There is no daemon. */
char *metrics_down(void);
