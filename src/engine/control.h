/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "engine/engine.h"

/* The way from the workers to the control thread: copies of events, and answers. Reference-counted,
 * because tasks may still wait in the control loop when the engine is gone; they then do nothing.
 */

typedef struct Control Control;

int control_new(Loop *loop, const EngineEvents *events, void *userdata, Control **ret);
Control *control_ref(Control *c);   /* any thread */
Control *control_unref(Control *c); /* any thread */
/* Control thread: no callback any more. */
void control_close(Control *c);
bool control_closed(const Control *c);
Loop *control_loop(const Control *c);

/* Any thread: */
void control_iscsi_event(Control *c, const IscsiEvent *event);
void control_scsi_event(Control *c, const ScsiEvent *event);
void control_sessions_changed(Control *c);
