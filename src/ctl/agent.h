/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* polkit asks on the terminal: pkttyagent, for as long as the program runs. */

/* Starts the agent where there is a terminal to ask on; does nothing for root, who is never asked.
 * Failure is not an error: the refusal that follows says what is missing. */
void agent_open(void);
void agent_close(void);
