/*
 * The directory of an user's socket files: $XDG_RUNTIME_DIR/yoke, or /tmp/yoke-UID. It is made when it is
 * needed and is the user's alone (0700), since who may connect to a socket file is who may reach it.
 */
#ifndef IPC_DIRECTORY_H
#define IPC_DIRECTORY_H

#include <yoke/base.h>

enum { DIRECTORY_PATH_BYTES = 256 };

/* Where it is, as the environment says now. YOKE_USAGE: a path that is not absolute, or too long. */
YOKE_MUST_USE yoke_error *directory_path(char path[DIRECTORY_PATH_BYTES]);
/*
 * Makes it if it is not there. A looser mode is tightened; a symbolic link, something else than a directory,
 * or another owner: YOKE_PERMISSION, and nothing was changed.
 */
YOKE_MUST_USE yoke_error *directory_prepare(const char *path);
/*
 * Makes the directories of `path` that are not there, 0700 each, and opens the last one, for whatever is done
 * in it then. When something has to be made, no part of the path may be a symbolic link or "..":
 * YOKE_PERMISSION, YOKE_USAGE, before anything is made behind it.
 */
YOKE_MUST_USE yoke_error *directory_open(const char *path, int *fd);
/* Removes the socket files NAME@PID.sock there whose process is gone and where nobody answers. */
void directory_sweep(const char *path);

#endif
