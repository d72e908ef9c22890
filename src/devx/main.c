/* The program's main(): the actor floor's, with what this floor adds to it. */
#include "actor/main.h"
#include "devx/crash.h"
#include "devx/report.h"

#include <yoke/devx.h>

static void root_begins(void)
{
    crash_install(-1);
}

/*
 * In the zygote (-1) nothing is set up. libunwind opens a pipe at its first use, and remembers its numbers; a
 * clone has other descriptors at these numbers, the pipe of its crash report among them, and libunwind would
 * close them in the crash.
 */
static void child_begins(int crash_fd)
{
    if (crash_fd >= 0)
        crash_install(crash_fd);
}

static const struct actor_hooks hooks = {
    .child_begins = child_begins,
    .root_begins = root_begins,
    .child_crashed = crash_describe,
};

int yoke_main(int argc, char **argv, yoke_error *(*app)(int argc, char **argv))
{
    return actor_main(argc, argv, app, &hooks);
}
