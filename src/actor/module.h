/* The modules of this binary, and those that an actor exposes. */
#ifndef ACTOR_MODULE_H
#define ACTOR_MODULE_H

#include "actor/runtime.h"
#include "msg/wire.h"

/* The binary's module of that name, or NULL. */
const yoke_module *module_find(struct text_view name);
/* The runtime's own: served by every actor; nobody exposes them, and no list for people has them. */
bool module_is_runtime(struct text_view name);
const yoke_endpoint *module_endpoint(const yoke_module *module, struct text_view name);
/*
 * Splits "words, math ./more.so" into a NULL-terminated array of names (module_names_free). What has a slash
 * is a shared object, which is opened: all its modules. YOKE_USAGE for one that this binary does not have,
 * and as module_file_open.
 */
YOKE_MUST_USE yoke_error *module_parse(const char *names, const char ***out);
/* NULL is fine. */
void module_names_free(const char **names);

/* While `into` is not NULL, modules that register are put there, and are none of the binary's. */
void module_collect(yoke_module **into);
/* Makes them the binary's, as from `file`; or none of them, and returns the name that was there before. */
const char *module_join(yoke_module *found, const char *file);
void module_leave(const char *file);
/* Looks "module:function" up in this binary. YOKE_USAGE: malformed; YOKE_MODULE_NOT_EXPOSED,
 * YOKE_ENDPOINT_NOT_FOUND: with near names. */
YOKE_MUST_USE yoke_error *module_resolve(const char *endpoint, struct text_view *module,
                                         const yoke_endpoint **out);
/* What `a` serves under these names; the same errors, as the peer is to be told. */
YOKE_MUST_USE yoke_error *module_served(struct actor *a, struct text_view ns, struct text_view func,
                                        const yoke_endpoint **out);

#endif
