/*
 * Modules from shared objects, and the opening of modules. A file registers its modules as the program does,
 * by constructors, which run inside of dlopen(3); here they are told from the program's own. An actor that
 * starts another with such a file opens it itself too: so it sees what is wrong with it before there is a
 * process, and knows the records of its endpoints.
 */
#include "actor/module_file.h"

#include "actor/module.h"
#include "base/memory.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct file {
    struct file *next;
    void *handle;
    char path[]; /* absolute */
};

/* As the modules themselves these are the process's: what is mapped is so for all of it. */
static struct file *files;

static bool is_open(const char *path)
{
    for (const struct file *f = files; f; f = f->next)
        if (strcmp(f->path, path) == 0)
            return true;
    return false;
}

static yoke_error *refused(const char *path, const char *why)
{
    return yoke_raise(&YOKE_USAGE, "no modules from the shared object `%s`: %s", path, why);
}

static yoke_error *take_modules(struct file *f)
{
    yoke_module *found = NULL;
    module_collect(&found);
    f->handle = dlopen(f->path, RTLD_NOW | RTLD_LOCAL);
    module_collect(NULL);
    if (!f->handle)
        return refused(f->path, dlerror());
    if (!found)
        return refused(f->path, "it defines none (YOKE_MODULE)");
    const char *twin = module_join(found, f->path);
    if (twin)
        return yoke_raise(&YOKE_USAGE, "the shared object `%s` has a module `%s`, and so has this program",
                          f->path, twin);
    return NULL;
}

yoke_error *module_file_open(const char *path, char **real)
{
    *real = realpath(path, NULL);
    if (!*real)
        return refused(path, strerror(errno));
    if (is_open(*real))
        return NULL;
    struct file *f = memory_calloc(1, sizeof *f + strlen(*real) + 1);
    if (!f)
        return yoke_raise(&YOKE_NO_MEMORY, "a shared object");
    memcpy(f->path, *real, strlen(*real));
    yoke_error *e = take_modules(f);
    if (!e) {
        f->next = files;
        files = f;
        return NULL;
    }
    if (f->handle)
        dlclose(f->handle);
    memory_free(f);
    return e;
}

void module_files_close(void)
{
    while (files) {
        struct file *f = files;
        files = f->next;
        module_leave(f->path);
        dlclose(f->handle);
        memory_free(f);
    }
}

/* ---- the opening of an actor's modules ---- */

static bool has_hook(const yoke_module *m)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->endpoints[i].type == YOKE_ENDPOINT_OPEN)
            return true;
    return false;
}

bool module_wants_opening(const char *const *names)
{
    for (; *names; names++) {
        const yoke_module *m = module_find(text_view(*names));
        if (m && (m->file || has_hook(m)))
            return true;
    }
    return false;
}

static yoke_error *run_hooks(const yoke_module *m)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->endpoints[i].type == YOKE_ENDPOINT_OPEN)
            YOKE_TRY(m->endpoints[i].open());
    return NULL;
}

static yoke_error *open_files(const struct actor *a)
{
    for (const char **path = a->module_files; path && *path; path++) {
        char *real;
        yoke_error *e = module_file_open(*path, &real);
        free(real);
        YOKE_TRY(e);
    }
    return NULL;
}

static yoke_error *open_modules(const struct actor *a)
{
    YOKE_TRY(open_files(a));
    for (const char **name = a->modules; name && *name; name++) {
        const yoke_module *m = module_find(text_view(*name));
        yoke_error *e = m ? run_hooks(m) : yoke_raise(&YOKE_USAGE, "this program has no module `%s`", *name);
        if (e) {
            yoke_error_note(e, "module `%s` did not open", *name);
            return e;
        }
    }
    return NULL;
}

/* A call that the parent makes before it lets anybody use the actor. An actor whose modules did not open is
 * of no use: it ends by itself. */
static yoke_error *open_all(const void *args, void *result)
{
    struct actor *a = actor_here();
    yoke_error *e = open_modules(a);
    if (e)
        actor_cancel(a, NULL);
    return e;
}

static const yoke_endpoint endpoints[] = {{.name = "open",
                                           .type = YOKE_ENDPOINT_CALL,
                                           .args = &yoke_record_none,
                                           .started = &yoke_record_none,
                                           .result = &yoke_record_none,
                                           .call = open_all}};
static yoke_module runtime_module = {.name = "yoke.modules", .endpoints = endpoints, .count = 1};

__attribute__((constructor)) static void register_runtime_module(void)
{
    yoke_module_register(&runtime_module);
}
