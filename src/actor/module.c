#include "actor/module.h"

#include "actor/module_file.h"

#include "base/buffer.h"
#include "base/die.h"
#include "base/memory.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

YOKE_ERROR_KIND(YOKE_MODULE_NOT_EXPOSED, "yoke.ModuleNotExposed", NULL);
YOKE_ERROR_KIND(YOKE_ENDPOINT_NOT_FOUND, "yoke.EndpointNotFound", NULL);

/* Filled by constructors before main(); after that modules of shared objects come and go. */
static yoke_module *modules;
static yoke_module **collected; /* while a shared object is opened: where its modules go */

void module_collect(yoke_module **into)
{
    collected = into;
}

const char *module_join(yoke_module *found, const char *file)
{
    for (const yoke_module *m = found; m; m = m->next)
        if (module_find(text_view(m->name)))
            return m->name;
    while (found) {
        yoke_module *m = found;
        found = m->next;
        m->file = file;
        m->next = modules;
        modules = m;
    }
    return NULL;
}

void module_leave(const char *file)
{
    for (yoke_module **at = &modules; *at;)
        if ((*at)->file == file)
            *at = (*at)->next;
        else
            at = &(*at)->next;
}

void yoke_module_register(yoke_module *module)
{
    if (collected) {
        module->next = *collected;
        *collected = module;
        return;
    }
    for (const yoke_module *m = modules; m; m = m->next)
        if (strcmp(m->name, module->name) == 0)
            die("two modules of this program are named `%s`", module->name);
    module->next = modules;
    modules = module;
}

const yoke_module *module_find(struct text_view name)
{
    for (const yoke_module *m = modules; m; m = m->next)
        if (text_view_is(name, m->name))
            return m;
    return NULL;
}

const yoke_endpoint *module_endpoint(const yoke_module *module, struct text_view name)
{
    for (size_t i = 0; i < module->count; i++)
        if (text_view_is(name, module->endpoints[i].name) && module->endpoints[i].type != YOKE_ENDPOINT_OPEN)
            return &module->endpoints[i];
    return NULL;
}

bool module_is_runtime(struct text_view name)
{
    return text_view_is(name, "self") || (name.size > 5 && memcmp(name.data, "yoke.", 5) == 0);
}

/* ---- lists of names for people ---- */

static void add_name(struct buffer *b, const char *name)
{
    if (buffer_size(b))
        buffer_append(b, ", ", 2);
    buffer_append(b, name, strlen(name));
}

/* A text of what is in `b`, or "none"; without memory it is cut, which is no harm. */
static const char *names_text(struct buffer *b)
{
    if (!buffer_size(b) || !buffer_append(b, "", 1))
        return "none";
    return (const char *)buffer_begin(b);
}

static yoke_error *no_module(struct text_view name, const char *const *exposed, const char *whose)
{
    struct buffer b = BUFFER_EMPTY;
    if (exposed)
        for (; *exposed; exposed++)
            add_name(&b, *exposed);
    else
        for (const yoke_module *m = modules; m; m = m->next)
            if (!module_is_runtime(text_view(m->name)))
                add_name(&b, m->name);
    yoke_error *e = yoke_raise(&YOKE_MODULE_NOT_EXPOSED, "no module `%.*s` %s; there are: %s", (int)name.size,
                               name.data, whose, names_text(&b));
    buffer_free(&b);
    return e;
}

static yoke_error *no_endpoint(const yoke_module *module, struct text_view name)
{
    struct buffer b = BUFFER_EMPTY;
    for (size_t i = 0; i < module->count; i++)
        if (module->endpoints[i].type != YOKE_ENDPOINT_OPEN)
            add_name(&b, module->endpoints[i].name);
    yoke_error *e = yoke_raise(&YOKE_ENDPOINT_NOT_FOUND, "module `%s` has no endpoint `%.*s`; it has: %s",
                               module->name, (int)name.size, name.data, names_text(&b));
    buffer_free(&b);
    return e;
}

static bool is_separator(char c)
{
    return c == ' ' || c == ',' || c == '\t' || c == '\n';
}

/* ---- lists of modules ---- */

struct names {
    const char **at; /* NULL-terminated */
    size_t count;
};

void module_names_free(const char **names)
{
    for (const char **name = names; name && *name; name++)
        memory_free((char *)*name);
    memory_free(names);
}

static yoke_error *keep_name(struct names *names, const char *name)
{
    const char **grown = memory_realloc(names->at, (names->count + 2) * sizeof *grown);
    if (!grown)
        return yoke_raise(&YOKE_NO_MEMORY, "a list of modules");
    names->at = grown;
    names->at[names->count] = memory_strdup(name);
    names->at[names->count + 1] = NULL;
    return names->at[names->count++] ? NULL : yoke_raise(&YOKE_NO_MEMORY, "a list of modules");
}

static yoke_error *keep_modules_of_file(struct names *names, struct text_view name)
{
    char path[PATH_MAX], *real;
    snprintf(path, sizeof path, "%.*s", (int)name.size, name.data);
    yoke_error *e = module_file_open(path, &real);
    for (const yoke_module *m = modules; m && !e; m = m->next)
        if (m->file && strcmp(m->file, real) == 0)
            e = keep_name(names, m->name);
    free(real);
    return e;
}

static yoke_error *keep(struct names *names, struct text_view name)
{
    if (memchr(name.data, '/', name.size))
        return keep_modules_of_file(names, name);
    const yoke_module *module = module_find(name);
    if (module)
        return keep_name(names, module->name);
    return yoke_wrap(no_module(name, NULL, "in this program"), &YOKE_USAGE,
                     "an actor can't serve module `%.*s`", (int)name.size, name.data);
}

yoke_error *module_parse(const char *names, const char ***out)
{
    struct names kept = {memory_calloc(1, sizeof *kept.at), 0};
    yoke_error *e = kept.at ? NULL : yoke_raise(&YOKE_NO_MEMORY, "a list of modules");
    for (const char *at = names ? names : ""; *at && !e;) {
        if (is_separator(*at)) {
            at++;
            continue;
        }
        struct text_view name = {.data = at};
        while (at[name.size] && !is_separator(at[name.size]))
            name.size++;
        at += name.size;
        e = keep(&kept, name);
    }
    if (e) {
        module_names_free(kept.at);
        kept.at = NULL;
    }
    *out = kept.at;
    return e;
}

/* ---- look up ---- */

/* No blank and no control character. */
static bool is_plain(const char *name)
{
    while ((unsigned char)*name > ' ' && *name != 0x7f)
        name++;
    return *name == '\0';
}

yoke_error *module_resolve(const char *endpoint, struct text_view *module, const yoke_endpoint **out)
{
    const char *colon = endpoint ? strchr(endpoint, ':') : NULL;
    size_t size = endpoint ? strnlen(endpoint, 256) : 0;
    if (!colon || colon == endpoint || !colon[1] || size > 255 || !is_plain(endpoint))
        return yoke_raise(&YOKE_USAGE, "`%.*s` names no endpoint: it has the form module:function", (int)size,
                          endpoint ? endpoint : "");
    *module = (struct text_view){endpoint, (size_t)(colon - endpoint)};
    const yoke_module *m = module_find(*module);
    if (!m)
        return no_module(*module, NULL, "in this program");
    struct text_view name = text_view(colon + 1);
    *out = module_endpoint(m, name);
    return *out ? NULL : no_endpoint(m, name);
}

yoke_error *module_served(struct actor *a, struct text_view ns, struct text_view func,
                          const yoke_endpoint **out)
{
    static const char *const none[] = {NULL};
    const char *const *exposed = a->modules ? a->modules : none;
    const yoke_module *m = module_find(ns);
    bool is_exposed = m && module_is_runtime(ns);
    for (size_t i = 0; m && exposed[i]; i++)
        is_exposed |= text_view_is(ns, exposed[i]);
    if (!is_exposed)
        return no_module(ns, exposed, "is exposed by this actor");
    *out = module_endpoint(m, func);
    return *out ? NULL : no_endpoint(m, func);
}
