/*
 * What test_pause.py runs in a terminal: a child that pauses, and a root that debugs it. The argument says
 * how: `plain`, `thread` (the child pauses in a second thread), `gone` (the child has ended when the debugger
 * comes), `cancel` (the root gives up when it gets SIGUSR1), `refuse` (the child does not let the debugger
 * in).
 */
#include "base/error.h"
#include "devx/debugger/debugger.h"
#include "devx/debugger/pause.h"

#include <yoke/task.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static const char *mode;
static int to_root, from_root;
static volatile int child_status;

static bool root_has_gone(void *arg)
{
    struct pollfd p = {.fd = from_root, .events = POLLIN};
    return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP);
}

/* What the public function is made of. */
__attribute__((noinline)) static yoke_error *pause_here(void)
{
    volatile int answered;
    struct pause_request r = pause_begin(&answered, __builtin_return_address(0), __builtin_frame_address(0));
    pid_t debugger;
    if (write(to_root, &r, sizeof r) != sizeof r ||
        read(from_root, &debugger, sizeof debugger) != sizeof debugger)
        return NULL;
    YOKE_TRY(pause_allow(debugger));
    enum pause_answer answer = pause_stop(&answered, root_has_gone, NULL);
    if (answer == PAUSE_ABANDONED)
        printf("child: abandoned\n");
    return pause_result(answer);
}

static void *child(void *arg)
{
    volatile int variable = 42;
    yoke_error *e = pause_here(); /* the line that is shown */
    variable = variable + 1;
    variable = variable + 10;
    printf("child: variable %d, %s\n", variable, e ? yoke_error_message(e) : "goes on");
    child_status = e ? 1 : 0;
    yoke_error_free(e);
    return NULL;
}

static void run_child(void)
{
    if (strcmp(mode, "gone") == 0) {
        struct pause_request r = pause_begin(&child_status, NULL, NULL);
        _exit(write(to_root, &r, sizeof r) == sizeof r ? 0 : 1);
    }
    pthread_t thread;
    if (strcmp(mode, "thread") != 0)
        child(NULL);
    else if (pthread_create(&thread, NULL, child, NULL) == 0)
        pthread_join(thread, NULL);
    fflush(stdout);
    _exit(child_status);
}

struct root {
    struct pause_request request;
    int to_child;
    pid_t child;
};

static yoke_error *ready(void *arg, pid_t debugger)
{
    struct root *root = arg;
    if (strcmp(mode, "gone") == 0)
        waitpid(root->child, NULL, 0);
    else if (write(root->to_child, &debugger, sizeof debugger) != sizeof debugger)
        return yoke_raise(&YOKE_BROKEN_RESOURCE, "the child can't be told");
    return strcmp(mode, "refuse") == 0 ? yoke_raise(&YOKE_PERMISSION, "the child refuses") : NULL;
}

static volatile sig_atomic_t told;

static void note_told(int signal)
{
    told = 1;
}

static yoke_error *cancel_when_told(void *scope)
{
    while (!told)
        YOKE_TRY(yoke_sleep(YOKE_MS(20)));
    yoke_scope_cancel(scope, "told");
    return NULL;
}

static yoke_error *debug(void *root)
{
    struct debugger_target target = {((struct root *)root)->request, "left", "main", "pause"};
    int killed_by;
    yoke_error *e = debugger_run(&target, &killed_by, ready, root);
    if (killed_by)
        printf("root: gdb was killed by signal %d\n", killed_by);
    return e;
}

static yoke_error *debug_till_told(void *root)
{
    signal(SIGUSR1, note_told);
    yoke_nursery n;
    yoke_scope s;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_scope_open(&s);
    if (!e) {
        e = yoke_spawn(&n, cancel_when_told, &s);
        if (!e)
            e = debug(root);
        e = yoke_scope_close(&s, e);
        if (yoke_scope_cancelled_caught(&s))
            printf("root: cancelled\n");
    }
    return yoke_nursery_close(&n, e);
}

static bool same_modes(const struct termios *a, const struct termios *b)
{
    return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
           a->c_lflag == b->c_lflag && memcmp(a->c_cc, b->c_cc, sizeof a->c_cc) == 0;
}

int main(int argc, char **argv)
{
    int up[2], down[2];
    mode = argc > 1 ? argv[1] : "plain";
    if (pipe(up) < 0 || pipe(down) < 0)
        return 1;
    struct root root = {.to_child = down[1], .child = fork()};
    if (root.child == 0) {
        to_root = up[1];
        from_root = down[0];
        close(down[1]);
        run_child();
    }
    close(down[0]);
    if (read(up[0], &root.request, sizeof root.request) != sizeof root.request)
        return 1;
    struct termios before, after;
    bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    yoke_error *e = yoke_run(strcmp(mode, "cancel") == 0 ? debug_till_told : debug, &root, NULL);
    if (e)
        printf("root: error: %s\n", yoke_error_message(e));
    yoke_error_free(e);
    close(root.to_child);
    int status = 0;
    if (strcmp(mode, "gone") != 0)
        waitpid(root.child, &status, 0);
    if (terminal && tcgetattr(STDIN_FILENO, &after) == 0)
        printf("root: modes %s, foreground %s\n", same_modes(&before, &after) ? "same" : "changed",
               tcgetpgrp(STDIN_FILENO) == getpgrp() ? "ours" : "lost");
    printf("root: child status %d, end\n", status);
    return 0;
}
