/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/module.h"

#include <dlfcn.h>
#include <stdio.h>

static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

/* secure_getenv: a program with more rights than its caller loads nothing that the caller names. */
static const char *folder(void)
{
        const char *named = secure_getenv("TGT_MODULE_DIR");

        return named && *named ? named : STORE_MODULE_DIR;
}

static bool same_build(const StoreModule *m)
{
        return STREQ(m->version, TGT_VERSION) && m->store_size == sizeof(Store) &&
               m->io_size == sizeof(StoreIo);
}

static int not_loadable(const StoreModuleName *name, const char *path, StoreError *reterr)
{
        const char *why = dlerror();

        if (access(path, F_OK) < 0 && !name->built)
                return store_error(reterr, -EOPNOTSUPP,
                                   "this build of tgt has no store type %s: it was configured "
                                   "without %s (meson setup -D%s=enabled)",
                                   name->type, name->library, name->library);
        if (access(path, F_OK) < 0)
                return store_error(reterr, -EOPNOTSUPP,
                                   "store type %s is a module that is not installed, %s: install "
                                   "the package of tgt that has it",
                                   name->type, path);
        return store_error(reterr, -EOPNOTSUPP,
                           "store type %s cannot be loaded; install %s: %.150s", name->type,
                           name->package, why ? why : path);
}

typedef struct Loading {
        const StoreModuleName *name;
        const StoreModule *module;
        StoreError *error;
        int result;
} Loading;

static int load(const StoreModuleName *name, const StoreModule **ret, StoreError *reterr)
{
        const StoreModule *module;
        char path[256];
        void *library;

        if (snprintf(path, sizeof(path), "%s/store-%s.so", folder(), name->type) >=
            (int)sizeof(path))
                return store_error(reterr, -ENAMETOOLONG, "TGT_MODULE_DIR is too long");
        /* what has threads and thread-local state of its own is never unloaded */
        library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        if (!library)
                return not_loadable(name, path, reterr);
        module = dlsym(library, "tgt_store_module");
        if (!module || !same_build(module)) {
                (void)dlclose(library);
                return store_error(reterr, -EOPNOTSUPP,
                                   "%s is of another version of tgt: install the one that goes "
                                   "with tgtd " TGT_VERSION,
                                   path);
        }
        *ret = module;
        return 0;
}

static void *loading_main(void *userdata)
{
        Loading *l = userdata;

        l->result = load(l->name, &l->module, l->error);
        return NULL;
}

/* On a thread with a large stack: libraries have initialisers that need more than our threads have.
 */
static int load_apart(Loading *l)
{
        pthread_attr_t attr;
        pthread_t thread;
        int r;

        (void)pthread_attr_init(&attr);
        (void)pthread_attr_setstacksize(&attr, STORE_MODULE_STACK);
        r = -pthread_create(&thread, &attr, loading_main, l);
        (void)pthread_attr_destroy(&attr);
        if (r < 0)
                return r;
        (void)pthread_join(thread, NULL);
        return l->result;
}

int store_module_open(const StoreModuleName *name, const StoreSpec *spec, Store **ret,
                      StoreError *reterr)
{
        Loading l = { .name = name, .error = reterr };
        int r;

        /* What is loaded already is found again; a module that was installed since is found too. */
        pthread_mutex_lock(&loading);
        r = load_apart(&l);
        pthread_mutex_unlock(&loading);
        return r < 0 ? r : l.module->open(spec, ret, reterr);
}
