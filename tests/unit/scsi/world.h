/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <glib.h>

#include "fake-store.h"
#include "scsi/core.h"

/* Workers, a transport that has no wire, and initiators that wait for their answers. Loop 0 is the
 * control plane's; worker i runs on loop i + 1. */

#define WORKERS_MAX 3

typedef struct World {
        Sim *sim;
        unsigned n;
        Budget budget;
        BufferPool *buffers[WORKERS_MAX];
        ScsiWorker *workers[WORKERS_MAX];
        unsigned events[3];
        GPtrArray *closed; /* TestNexus: tasks may still be released */
} World;

void world_init(World *w, uint64_t seed, unsigned n_workers);
void world_done(World *w); /* checks that nothing is left */

typedef struct TestNexus {
        ScsiNexus nexus;
        World *world;
        bool closed;
} TestNexus;

TestNexus *nexus_new(World *w, unsigned worker, LunMap *map);
void nexus_start_close(TestNexus *n);
void nexus_free(TestNexus *n); /* closes and waits */
void nexus_remap(TestNexus *n, LunMap *map);
void nexus_limit(TestNexus *n, Throttle *by_name, Throttle *by_address);

typedef enum Outcome { PENDING, COMPLETED, ABORTED, ABORTED_WITH_STATUS } Outcome;

typedef struct Command Command;
struct Command {
        Task task;
        World *world;
        Outcome outcome;
        uint8_t *out;
        size_t out_size;
        uint8_t in[256 * 1024];
        size_t in_length;
        bool holds_data;     /* Data-Out stays away until command_send_data() */
        bool asked;          /* get_data() was called */
        bool keeps;          /* no task_release() until command_let_go() */
        const uint8_t *lent; /* Data-In was, from there; NULL: it was not */
        bool recalled;
        void (*over_now)(Command *c); /* from inside complete() and aborted() */
        bool free_when_over;
        void *userdata;
        LoopTask submit, deliver, finish;
};

#define CDB(...) ((const uint8_t[16]){ __VA_ARGS__ }), (sizeof((const uint8_t[]){ __VA_ARGS__ }))

Command *command_new(TestNexus *n, uint16_t lun, const uint8_t *cdb, size_t cdb_length);
void command_out(Command *c, const void *data, size_t n);
void command_in(Command *c, size_t n);
void command_start(Command *c);
void command_send_data(Command *c);
void command_let_go(Command *c);
void command_wait(Command *c);
void command_free(Command *c); /* over */

/* Submits and waits. */
Command *run_in(TestNexus *n, uint16_t lun, const uint8_t *cdb, size_t cdb_length, size_t in);
Command *run_out(TestNexus *n, uint16_t lun, const uint8_t *cdb, size_t cdb_length,
                 const void *data, size_t out);
/* One shot: true if it was GOOD. */
bool good(TestNexus *n, uint16_t lun, const uint8_t *cdb, size_t cdb_length);
/* Key << 16 | ASC/ASCQ of a CHECK CONDITION in either format; 0 if there is none. */
uint32_t sense_of(const Command *c);
/* Runs TEST UNIT READY until there is no unit attention; returns the last one's ASC/ASCQ or 0. */
unsigned clear_attention(TestNexus *n, uint16_t lun);
/* The conditions in the order in which they are reported. */
unsigned attentions(TestNexus *n, uint16_t lun, uint16_t *ret, unsigned max);

TmfResponse run_tmf(TestNexus *n, TmfFunction f, uint16_t lun, uint64_t tag);
typedef struct TestTmf {
        Tmf tmf;
        LoopTask submit;
        bool done, free_me;
        void (*over)(struct TestTmf *t);
        void *userdata;
} TestTmf;
TestTmf *tmf_start(TestNexus *n, TmfFunction f, uint16_t lun, uint64_t tag);

extern const LuConfig default_config;
LogicalUnit *unit_new(World *w, Store *store, const LuConfig *config);
LunMap *map_of(LogicalUnit *lu, uint16_t lun);
void unit_change(World *w, LogicalUnit *lu, LuChangeKind kind, Store *store, bool readonly,
                 bool write_cache);
void unit_limit(World *w, LogicalUnit *lu, Throttle *t); /* NULL: no limits */
bool wait_for(World *w, bool (*cond)(void *), void *userdata);
