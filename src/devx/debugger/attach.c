#include "devx/debugger/attach.h"

#include "devx/debugger/pause.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

/* -1: this kernel has none. */
static int read_scope(const char *yama)
{
    int scope = -1;
    FILE *f = fopen(yama, "re");
    if (f && fscanf(f, "%d", &scope) != 1)
        scope = -1;
    if (f)
        fclose(f);
    return scope;
}

static const char *how_to_allow(int scope)
{
    switch (scope) {
    case 1: /* the process has named its debugger: so it is something else */
    case 2:
        return "root may: or allow it with `sysctl kernel.yama.ptrace_scope=1`";
    case 3:
        return "it forbids every attach till the next boot: change kernel.yama.ptrace_scope in /etc/sysctl.d "
               "and boot";
    default:
        return "a container or a security module forbids it: docker and podman allow it with `--cap-add "
               "SYS_PTRACE`, and a seccomp profile has to let ptrace through";
    }
}

yoke_error *attach_refused(const char *debugger, pid_t target, const char *yama)
{
    if (kill(target, 0) < 0 && errno == ESRCH)
        return yoke_raise(&YOKE_NOT_FOUND, "%s could not attach to process %d: it is gone", debugger,
                          (int)target);
    pid_t who[2];
    pause_debuggers(target, who);
    if (who[0])
        return yoke_raise(&YOKE_PERMISSION, "%s may not attach to process %d: process %d debugs it already",
                          debugger, (int)target, (int)who[0]);
    int scope = read_scope(yama);
    if (scope < 0)
        return yoke_raise(&YOKE_PERMISSION,
                          "%s may not attach to process %d; this kernel has no kernel.yama.ptrace_scope: %s",
                          debugger, (int)target, how_to_allow(scope));
    return yoke_raise(&YOKE_PERMISSION, "%s may not attach to process %d; kernel.yama.ptrace_scope is %d: %s",
                      debugger, (int)target, scope, how_to_allow(scope));
}
