/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Random reads, writes, unmaps and flushes on one LUN over one or more paths, every block stamped
 * and every read judged by the ledger. Exits 1 with a sentence for the first block that is wrong.
 *
 *   ledger-io [options] URL...           run, then read everything back
 *     --seconds S --depth N --blocks N --max-blocks N --seed N
 *     --fua PCT --flush PCT --unmap PCT   shares of the commands; the rest is half read, half write
 *     --save FILE                         the ledger, for --check
 *     --until-gone                        the target goes away in the end: that is no failure
 *   ledger-io --check IMAGE --load FILE   what must have survived a loss of power */

#include <glib.h>
#include <inttypes.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "ledger.h"

#define PATHS_MAX 16

typedef struct Path {
        struct iscsi_context *iscsi;
        struct iscsi_url *url;
        unsigned index, in_flight;
} Path;

typedef struct Io {
        Path *path;
        enum { IO_READ, IO_WRITE, IO_FLUSH, IO_UNMAP } kind;
        uint64_t lba, number;
        uint32_t n;
        bool fua;
        uint8_t *buf;
        struct unmap_list list;
} Io;

static int opt_seconds = 5, opt_depth = 16, opt_fua = 10, opt_flush = 2, opt_unmap,
           opt_max_blocks = 64;
static gint64 opt_blocks = 4096, opt_seed = 1;
static char *opt_save, *opt_check, *opt_load, **opt_urls;
static gboolean opt_until_gone;

static Ledger *ledger;
static uint32_t block_size;
static Path paths[PATHS_MAX];
static unsigned n_paths;
static bool stopping, gone;
static uint64_t n_done, n_failed;
static char failure[512];
static GRand *rng;

static void fail(const char *format, ...) G_GNUC_PRINTF(1, 2);
static void fail(const char *format, ...)
{
        va_list ap;

        if (failure[0])
                return;
        va_start(ap, format);
        vsnprintf(failure, sizeof(failure), format, ap);
        va_end(ap);
        stopping = true;
}

static double now(void)
{
        return (double)g_get_monotonic_time() / 1e6;
}

static void submit(Path *p);

static void io_done(struct iscsi_context *iscsi, int status, void *data, void *userdata)
{
        Io *io = userdata;
        struct scsi_task *task = data;
        char error[256];
        bool good = status == SCSI_STATUS_GOOD;

        io->path->in_flight--;
        n_done++;
        if (!good)
                n_failed++;
        /* without reconnecting, libiscsi cancels what is under way when the connection breaks */
        if (opt_until_gone && (status == SCSI_STATUS_CANCELLED || status == SCSI_STATUS_ERROR))
                gone = stopping = true;
        switch (io->kind) {
        case IO_READ:
                if (good && task->datain.size != (int)(io->n * block_size))
                        fail("read of %u blocks returned %d bytes", io->n, task->datain.size);
                else if (good && ledger_check(ledger, io->number, io->lba, io->n, task->datain.data,
                                              error, sizeof(error)) < 0)
                        fail("%s", error);
                break;
        case IO_WRITE:
        case IO_UNMAP:
                ledger_end(ledger, io->number,
                           good                              ? LEDGER_ACKNOWLEDGED
                           : status == SCSI_STATUS_CANCELLED ? LEDGER_GIVEN_UP
                                                             : LEDGER_FAILED,
                           io->fua);
                break;
        case IO_FLUSH:
                if (good)
                        ledger_flush_end(ledger, io->number);
                break;
        }
        if (!good && !opt_until_gone && status == SCSI_STATUS_CHECK_CONDITION &&
            task->sense.key != SCSI_SENSE_UNIT_ATTENTION)
                fail("LBA %" PRIu64 ": %s", io->lba, iscsi_get_error(iscsi));
        if (task)
                scsi_free_scsi_task(task);
        if (!stopping)
                submit(io->path);
        g_free(io->buf);
        g_free(io);
}

static struct scsi_task *send_write(Path *p, Io *io)
{
        io->buf = g_malloc(io->n * block_size);
        io->fua = g_rand_int_range(rng, 0, 100) < opt_fua;
        io->number = ledger_begin(ledger, p->index, io->lba, io->n, io->buf);
        return iscsi_write10_task(p->iscsi, p->url->lun, (uint32_t)io->lba, io->buf,
                                  io->n * block_size, (int)block_size, 0, 0, io->fua, 0, 0, io_done,
                                  io);
}

static struct scsi_task *send_unmap(Path *p, Io *io)
{
        io->number = ledger_begin_zero(ledger, io->lba, io->n);
        io->list = (struct unmap_list){ .lba = io->lba, .num = io->n };
        return iscsi_unmap_task(p->iscsi, p->url->lun, 0, 0, &io->list, 1, io_done, io);
}

static void submit(Path *p)
{
        int dice = g_rand_int_range(rng, 0, 100);
        Io *io = g_new0(Io, 1);
        struct scsi_task *task;

        io->path = p;
        io->n = (uint32_t)g_rand_int_range(rng, 1, opt_max_blocks + 1);
        io->lba = (uint64_t)g_rand_int_range(rng, 0, (gint32)(opt_blocks - io->n + 1));
        if (dice < opt_flush) {
                io->kind = IO_FLUSH;
                io->number = ledger_flush_begin(ledger);
                task = iscsi_synchronizecache10_task(p->iscsi, p->url->lun, 0, 0, 0, 0, io_done,
                                                     io);
        } else if (dice < opt_flush + opt_unmap) {
                io->kind = IO_UNMAP;
                task = send_unmap(p, io);
        } else if (dice % 2) {
                io->kind = IO_WRITE;
                task = send_write(p, io);
        } else {
                io->kind = IO_READ;
                io->number = ledger_read_begin(ledger);
                task = iscsi_read10_task(p->iscsi, p->url->lun, (uint32_t)io->lba,
                                         io->n * block_size, (int)block_size, 0, 0, 0, 0, 0,
                                         io_done, io);
        }
        if (!task)
                fail("cannot send: %s", iscsi_get_error(p->iscsi));
        else
                p->in_flight++;
}

static int connect_path(Path *p, const char *url)
{
        struct scsi_task *task;
        struct scsi_readcapacity10 *rc;
        char *name = g_strdup_printf("iqn.2026-01.org.example:ledger-%u", p->index);

        p->iscsi = iscsi_create_context(name);
        g_free(name);
        p->url = iscsi_parse_full_url(p->iscsi, url);
        if (!p->url) {
                fail("%s: %s", url, iscsi_get_error(p->iscsi));
                return -1;
        }
        iscsi_set_session_type(p->iscsi, ISCSI_SESSION_NORMAL);
        iscsi_set_targetname(p->iscsi, p->url->target);
        if (opt_until_gone)
                iscsi_set_noautoreconnect(p->iscsi, 1);
        if (iscsi_full_connect_sync(p->iscsi, p->url->portal, p->url->lun) != 0) {
                fail("%s: %s", url, iscsi_get_error(p->iscsi));
                return -1;
        }
        task = iscsi_readcapacity10_sync(p->iscsi, p->url->lun, 0, 0);
        rc = task && task->status == SCSI_STATUS_GOOD ? scsi_datain_unmarshall(task) : NULL;
        if (!rc) {
                fail("%s: READ CAPACITY: %s", url, iscsi_get_error(p->iscsi));
                return -1;
        }
        block_size = rc->block_size;
        opt_blocks = MIN(opt_blocks, (gint64)rc->lba + 1);
        scsi_free_scsi_task(task);
        return 0;
}

/* One turn over all paths. false: a connection is gone. */
static bool turn(void)
{
        struct pollfd fds[PATHS_MAX];

        for (unsigned i = 0; i < n_paths; i++)
                fds[i] = (struct pollfd){ .fd = iscsi_get_fd(paths[i].iscsi),
                                          .events = (short)iscsi_which_events(paths[i].iscsi) };
        (void)poll(fds, n_paths, 20);
        for (unsigned i = 0; i < n_paths; i++)
                if (iscsi_service(paths[i].iscsi, fds[i].revents) < 0)
                        return false;
        return true;
}

static unsigned total_in_flight(void)
{
        unsigned n = 0;

        for (unsigned i = 0; i < n_paths; i++)
                n += paths[i].in_flight;
        return n;
}

static void read_back(void)
{
        for (uint64_t lba = 0; lba < (uint64_t)opt_blocks && !failure[0]; lba += 64) {
                uint32_t n = (uint32_t)MIN(64, (uint64_t)opt_blocks - lba);
                uint64_t read = ledger_read_begin(ledger);
                struct scsi_task *t =
                        iscsi_read10_sync(paths[0].iscsi, paths[0].url->lun, (uint32_t)lba,
                                          n * block_size, (int)block_size, 0, 0, 0, 0, 0);
                char error[256];

                if (!t || t->status != SCSI_STATUS_GOOD)
                        fail("reading back: %s", iscsi_get_error(paths[0].iscsi));
                else if (ledger_check(ledger, read, lba, n, t->datain.data, error, sizeof(error)) <
                         0)
                        fail("reading back: %s", error);
                if (t)
                        scsi_free_scsi_task(t);
        }
}

static int run(void)
{
        double end;

        for (char **u = opt_urls; *u && n_paths < PATHS_MAX; u++) {
                paths[n_paths].index = n_paths;
                if (connect_path(&paths[n_paths], *u) < 0)
                        return -1;
                n_paths++;
        }
        ledger = ledger_new((uint64_t)opt_blocks, block_size);
        rng = g_rand_new_with_seed((guint32)opt_seed);
        for (unsigned i = 0; i < n_paths; i++)
                for (int d = 0; d < opt_depth; d++)
                        submit(&paths[i]);
        printf("running\n");
        fflush(stdout);
        end = now() + opt_seconds;
        while (!stopping && now() < end && !gone)
                gone |= !turn();
        stopping = true;
        for (end = now() + 60; !gone && total_in_flight() > 0 && now() < end;)
                gone |= !turn();
        if (gone && !opt_until_gone)
                fail("a connection is gone: %s", iscsi_get_error(paths[0].iscsi));
        if (!gone && total_in_flight() > 0)
                fail("%u commands were not answered within 60 s", total_in_flight());
        if (!gone)
                read_back();
        if (opt_save && ledger_save(ledger, opt_save) < 0)
                fail("%s: cannot be written", opt_save);
        printf("%" PRIu64 " commands, %" PRIu64 " not good\n", n_done, n_failed);
        return failure[0] ? -1 : 0;
}

static int check_image(void)
{
        char error[256] = "";
        uint64_t wrong = 0;
        uint8_t *block;
        FILE *f;

        if (ledger_load(opt_load, &ledger) < 0) {
                fail("%s: no ledger", opt_load);
                return -1;
        }
        f = fopen(opt_check, "re");
        if (!f) {
                fail("%s: %s", opt_check, g_strerror(errno));
                return -1;
        }
        block = g_malloc(ledger_block_size(ledger));
        for (uint64_t lba = 0; lba < ledger_blocks(ledger); lba++) {
                if (fread(block, ledger_block_size(ledger), 1, f) != 1) {
                        fail("%s: too short", opt_check);
                        break;
                }
                if (ledger_check_durable(ledger, lba, 1, block, error, sizeof(error)) < 0 &&
                    wrong++ == 0)
                        fail("%s", error);
        }
        printf("%" PRIu64 " blocks, %" PRIu64 " wrong\n", ledger_blocks(ledger), wrong);
        g_free(block);
        (void)fclose(f);
        return failure[0] ? -1 : 0;
}

int main(int argc, char **argv)
{
        const GOptionEntry options[] = {
                { "seconds", 0, 0, G_OPTION_ARG_INT, &opt_seconds, NULL, NULL },
                { "depth", 0, 0, G_OPTION_ARG_INT, &opt_depth, NULL, NULL },
                { "blocks", 0, 0, G_OPTION_ARG_INT64, &opt_blocks, NULL, NULL },
                { "max-blocks", 0, 0, G_OPTION_ARG_INT, &opt_max_blocks, NULL, NULL },
                { "seed", 0, 0, G_OPTION_ARG_INT64, &opt_seed, NULL, NULL },
                { "fua", 0, 0, G_OPTION_ARG_INT, &opt_fua, NULL, NULL },
                { "flush", 0, 0, G_OPTION_ARG_INT, &opt_flush, NULL, NULL },
                { "unmap", 0, 0, G_OPTION_ARG_INT, &opt_unmap, NULL, NULL },
                { "save", 0, 0, G_OPTION_ARG_FILENAME, &opt_save, NULL, NULL },
                { "until-gone", 0, 0, G_OPTION_ARG_NONE, &opt_until_gone, NULL, NULL },
                { "check", 0, 0, G_OPTION_ARG_FILENAME, &opt_check, NULL, NULL },
                { "load", 0, 0, G_OPTION_ARG_FILENAME, &opt_load, NULL, NULL },
                { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &opt_urls, NULL, "URL..." },
                { 0 },
        };
        GOptionContext *context = g_option_context_new(NULL);
        GError *e = NULL;
        int r;

        g_option_context_add_main_entries(context, options, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &e)) {
                fprintf(stderr, "ledger-io: %s\n", e->message);
                return 2;
        }
        g_option_context_free(context);
        if (!!opt_check != !!opt_load || (!opt_check && !opt_urls)) {
                fprintf(stderr, "ledger-io: URL..., or --check IMAGE --load FILE\n");
                return 2;
        }
        signal(SIGPIPE, SIG_IGN); /* libiscsi writes to a target that has gone */
        r = opt_check ? check_image() : run();
        if (r < 0)
                fprintf(stderr, "ledger-io: %s\n", failure);
        return r < 0 ? 1 : 0;
}
