/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "bus/call.h"

/* Arguments and work of every method; the table in authority.c puts them together. */

CallParse parse_nothing, parse_page_text, parse_page_id, parse_page_nexus;
CallParse parse_get_tid, parse_get_target, parse_get_unit, parse_get_session;
CallParse parse_replace_target, parse_create_target, parse_delete_target, parse_portal;
CallParse parse_options, parse_verify, parse_verify_text, parse_dump;
CallParse parse_add_lun, parse_lun, parse_set_lun, parse_set;
CallParse parse_acl, parse_acl_object, parse_limits;
CallParse parse_account, parse_account_name, parse_account_object;
CallParse parse_new_account, parse_delete_account, parse_bind_account;
CallParse parse_flag, parse_quit;
CallParse parse_unit, parse_unit_options, parse_session;
CallParse parse_copy, parse_sanitize, parse_format, parse_exit_failure;

CallRun run_list_targets, run_list_units, run_list_sessions, run_list_portals;
CallRun run_list_unit_statistics, run_list_session_statistics;
CallRun run_list_nexus_statistics, run_list_worker_statistics;
CallRun run_get_target_by_tid, run_get_target, run_get_unit, run_get_session;
CallRun run_reload, run_verify, run_verify_text, run_dump;
CallRun run_set_offline, run_set_debugging, run_quit;
CallRun run_copy_unit, run_refresh_unit, run_configure_unit, run_operate_unit, run_end_session;

CallReply reply_target, reply_lun, reply_acl, reply_account, reply_portal;

/* methods-list.c: what lists have in common */
uint32_t page_size(uint32_t max); /* of an answer to who asks for max rows */
int append_mappings(sd_bus_message *m, Manager *manager, const char *uuid); /* a(sq) */
/* The members of the struct that stands for row. */
typedef int AppendRow(sd_bus_message *m, Manager *manager, const void *row);
/* Answers with n rows of size bytes as an array of structs with these members (a signature). */
void answer_rows(Call *call, const char *members, AppendRow *append, const void *rows, size_t n,
                 size_t size);
/* ... or with the negative errno that there is instead of them. */
void answer_no_rows(Call *call, int r);
/* With the page of units that call asks for; rows are UnitInfo. */
void answer_units(Call *call, const char *members, AppendRow *append);
