/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "bus/call.h"

/* Asks polkit whether call may do check, and goes on from there (authority_next(), or a refusal).
 */
void polkit_ask(Call *call, const Check *check);
/* Withdraws the question that is out, if there is one. */
void polkit_cancel(Call *call);
