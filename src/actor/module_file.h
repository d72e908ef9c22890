/* Modules from shared objects, and the opening of an actor's modules. */
#ifndef ACTOR_MODULE_FILE_H
#define ACTOR_MODULE_FILE_H

#include "actor/runtime.h"

/*
 * Opens a shared object and takes its modules among this process's; again does nothing. `*real` is its
 * absolute path, to be freed with free(), also after an error. YOKE_USAGE: no such file, or one that can't be
 * opened, or one without modules, or with one whose name is taken: nothing of it is kept.
 */
YOKE_MUST_USE yoke_error *module_file_open(const char *path, char **real);
/* Closes all of them. No portal and no actor uses them any more. */
void module_files_close(void);

/* Has an actor that serves these to open them (by a call of `yoke.modules:open`) before it can be used? */
bool module_wants_opening(const char *const *names);

#endif
