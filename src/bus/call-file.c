/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bus/call.h"
#include "bus/edits.h"

/* Methods that add a LUN can have a file made for it: it is made before the change, whose
 * backing-store it is, and removed again if the change comes to nothing or nobody waits any more.
 */

static const Directive *find_directive(const Call *call, const char *name)
{
        for (guint i = 0; i < call->edit.directives->len; i++) {
                const Directive *d = g_ptr_array_index(call->edit.directives, i);

                if (STREQ(d->name, name))
                        return d;
        }
        return NULL;
}

static bool store_is_a_file(const Call *call)
{
        const Directive *d = find_directive(call, "bs-type");

        return !d || !d->values[0] || STREQ(d->values[0], "rdwr") || STREQ(d->values[0], "aio");
}

static void set_path(Call *call, const char *path)
{
        const char *const values[] = { path, NULL };
        Directive *d = (Directive *)find_directive(call, "backing-store");

        if (!d) {
                d = g_new0(Directive, 1);
                d->name = g_strdup("backing-store");
                g_ptr_array_add(call->edit.directives, d);
        }
        g_strfreev(d->values);
        d->values = g_strdupv((char **)values);
}

int call_wish_file(Call *call, bool numbered, BusError *e)
{
        g_autofree char *path = NULL;
        const char *folder = call->directory;

        if (call->file_size == 0) {
                if (call->preallocate || call->directory)
                        return bus_error_set(e, ERROR_INVALID,
                                             "The options preallocate and directory go with size");
                return 0;
        }
        if (find_directive(call, "backing-store") || find_directive(call, "direct-store") ||
            !store_is_a_file(call))
                return bus_error_set(e, ERROR_INVALID,
                                     "The option size makes the file behind the LUN: it goes "
                                     "neither with backing-store nor with a store without files");
        if (folder && folder[0] != '/')
                return bus_error_set(e, ERROR_INVALID, "%s: expected an absolute name", folder);
        if (folder && !text_is_clean(folder, PATH_MAX, false))
                return bus_error_set(e, ERROR_INVALID, "directory: expected no control characters");
        call->numbered = numbered;
        /* the checks of paths look at this; what it is in the end lies in the same folder */
        path = manager_file_path(folder ? folder : manager_file_folder(call->server->manager),
                                 call->edit.target);
        set_path(call, path);
        return 0;
}

static void file_done(const char *path, const BusError *e, void *userdata)
{
        Call *call = userdata;

        call->made = true;
        if (!call->connection) {
                call_free(call); /* removes what was made */
                return;
        }
        if (e->name) {
                call_fail(call, e);
                return;
        }
        set_path(call, path);
        call->options.made = call->making;
        call_run(call);
}

/* A change that is refused is refused before its file is made, which may take long. */
static int try_edit(const Call *call, BusError *e)
{
        g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

        return edit_new_paths(manager_desired(call->server->manager), call->row->edit, &call->edit,
                              paths, e);
}

void call_make_file(Call *call)
{
        BusError e = { 0 };
        const FileWish wish = {
                .folder = call->directory,
                .target = call->edit.target,
                .numbered = call->numbered,
                .size = call->file_size,
                .preallocate = call->preallocate,
                .overcommit = call->options.force,
                .dry_run = call->options.dry_run,
        };

        if (try_edit(call, &e) < 0) {
                call_fail(call, &e);
                bus_error_clear(&e);
                return;
        }
        call->making = manager_make_file(call->server->manager, &wish, file_done, call);
}

void call_give_up_file(Call *call)
{
        if (call->making && !call->made)
                manager_cancel_file(call->making);
}

void call_end_file(Call *call, bool keep)
{
        manager_end_file(call->making, keep);
        call->making = NULL;
}
