#include "actor/module.h"

#include "base/buffer.h"
#include "base/die.h"
#include "base/memory.h"

#include <string.h>

YOKE_ERROR_KIND(YOKE_MODULE_NOT_EXPOSED, "yoke.ModuleNotExposed", NULL);
YOKE_ERROR_KIND(YOKE_ENDPOINT_NOT_FOUND, "yoke.EndpointNotFound", NULL);

/* Filled by constructors before main(), and only read after that. */
static yoke_module *modules;

void yoke_module_register(yoke_module *module)
{
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
        if (text_view_is(name, module->endpoints[i].name))
            return &module->endpoints[i];
    return NULL;
}

/* The runtime's own are served by every actor; nobody exposes them, and no list for people has them. */
static bool is_runtime(struct text_view name)
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
            if (!is_runtime(text_view(m->name)))
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
        add_name(&b, module->endpoints[i].name);
    yoke_error *e = yoke_raise(&YOKE_ENDPOINT_NOT_FOUND, "module `%s` has no endpoint `%.*s`; it has: %s",
                               module->name, (int)name.size, name.data, names_text(&b));
    buffer_free(&b);
    return e;
}

/* ---- look up ---- */

static bool is_separator(char c)
{
    return c == ' ' || c == ',' || c == '\t' || c == '\n';
}

yoke_error *module_parse(const char *names, const char ***out)
{
    size_t count = 0;
    *out = memory_calloc((names ? strlen(names) : 0) / 2 + 2, sizeof **out);
    if (!*out)
        return yoke_raise(&YOKE_NO_MEMORY, "a list of modules");
    for (const char *at = names ? names : ""; *at;) {
        if (is_separator(*at)) {
            at++;
            continue;
        }
        struct text_view name = {.data = at};
        while (at[name.size] && !is_separator(at[name.size]))
            name.size++;
        at += name.size;
        const yoke_module *module = module_find(name);
        char *copy = module ? memory_strdup(module->name) : NULL;
        if (copy) {
            (*out)[count++] = copy;
            continue;
        }
        while (count)
            memory_free((char *)(*out)[--count]);
        memory_free(*out);
        *out = NULL;
        if (module)
            return yoke_raise(&YOKE_NO_MEMORY, "a list of modules");
        return yoke_wrap(no_module(name, NULL, "in this program"), &YOKE_USAGE,
                         "an actor can't serve module `%.*s`", (int)name.size, name.data);
    }
    return NULL;
}

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
    bool is_exposed = m && is_runtime(ns);
    for (size_t i = 0; m && exposed[i]; i++)
        is_exposed |= text_view_is(ns, exposed[i]);
    if (!is_exposed)
        return no_module(ns, exposed, "is exposed by this actor");
    *out = module_endpoint(m, func);
    return *out ? NULL : no_endpoint(m, func);
}
