/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/log.h"

/* The journal: one MESSAGE_ID per thing that happens, explained in units/tgt.catalog. Fields beside
 * systemd's own: TARGET=, LUN=, UNIT_UUID=, INITIATOR=, PEER=, SESSION=, REASON=, CHANGE=,
 * CALLER_UID=, CALLER_PID=, CALLER_UNIT=, CALLER_NAME=, TGT_ERRNO=.
 *
 * Threads: the sink may be called on any. */

/* clang-format off */
#define MSG_STARTED     "d8c6aff775e347cab681d78107d7167d" /* serving */
#define MSG_STOPPING    "cbe0d286b17648108374046f573bd28d" /* told to stop */
#define MSG_RELOADED    "fe6640b0939949ebbe14653b6d8677e2" /* fragments read again */
#define MSG_CHANGED     "423fc147cc4d4b68a84e4869526b67ec" /* a change: who, before, after */
#define MSG_REFUSED     "afa7fb232cd34cb197102ba2300f6738" /* a change that was not made */
#define MSG_ARMED       "0c5e9dca8b2f4c0f9d0c6a6d6a3f7e52" /* a change waits to be confirmed */
#define MSG_CONFIRMED   "5b6fcb0ef0d24a7c8ad9c3b7c1f0e94a" /* ... was */
#define MSG_ROLLED_BACK "e1c7b7a0b64d4f3f9a0d9e4b3f5c2d18" /* ... was not, and is taken back */
#define MSG_LOGIN       "561d562a2c9a43ff86165effe4be497c" /* a session began */
#define MSG_REJECTED    "d82c0d7e48f1476b9f53fadbd6a50808" /* a login was refused */
#define MSG_LOGOUT      "2094532265434d23a7eeef0c9d10462b" /* a session ended in order */
#define MSG_DISCONNECT  "3a50b766e5ba42b9987d58d4879605ae" /* ... or otherwise */
#define MSG_PROTOCOL    "6c1c8f11c4ea496d980cbf4454297917" /* a peer broke the protocol */
#define MSG_IO_ERROR    "da619e7b88b14418abd6784eba1f364c" /* a backing store failed */
#define MSG_STORE_AWAY  "d2fac70c76234d15b9dc0a6b1baddc99" /* a LUN is not ready */
#define MSG_STORE_READY "d88bb3bf06d64a58ab92278cbab8f0ee" /* a LUN came ready */
#define MSG_OPERATION   "7d0b5b0a3f5f4be0a0c64d0f0b0f6c11" /* a format or sanitize began, or goes on */
#define MSG_OPERATION_DONE "b0c1a4f6e8a94b58b6a4d7a6a9c3e512" /* ... is over */
#define MSG_OPERATION_FAILED "4c0f6f5a1f8247a3a0de5f7f0c7cf713" /* ... has failed */
#define MSG_PROBLEM     "8e8290eca4344ae68d5fbc5f1a327899" /* a configuration problem */
/* clang-format on */

/* Sends what is logged to the journal's socket, with fields, where stderr is the journal's stream
 * (JOURNAL_STREAM); to stderr otherwise. Once, before threads start. */
void journal_setup(bool debug);
