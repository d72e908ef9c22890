/*
 * From the wish for an actor to its first answer: exec beside posix_spawn of the same binary and one message,
 * fork (a clone of the zygote) beside a plain fork of this process and one message. The end of the actor is
 * not in the time, but is waited for before the next one.
 */
#include "measure.h"

#include <yoke.h>

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 101, WARM_UP = 3 };

static char plain_option[] = "--plain-child";
extern char **environ;

/* ---- ours ---- */

static yoke_error *answer(const yoke_type_none *args, yoke_type_u64 *result)
{
    *result = 1;
    return NULL;
}

YOKE_MODULE(first, YOKE_CALL(answer, none, u64));

static yoke_error *until_answer(yoke_actors *actors, double begun, double *ns)
{
    yoke_portal *portal;
    uint64_t value;
    YOKE_TRY(yoke_actors_start(actors, "one", &(yoke_actor_options){.modules = "first"}, &portal));
    YOKE_TRY(yoke_call(portal, "first:answer", NULL, &value));
    *ns = measure_now_ns() - begun;
    return yoke_actors_cancel(actors);
}

static yoke_error *start_actor(enum yoke_backend backend, double *ns)
{
    double begun = measure_now_ns();
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, &(yoke_actors_options){.backend = backend}));
    return yoke_actors_close(actors, until_answer(actors, begun, ns));
}

/* ---- theirs ---- */

static void answer_plain(int fd)
{
    char c;
    if (read(fd, &c, 1) == 1 && write(fd, &c, 1) == 1)
        _exit(0);
    _exit(1);
}

/* The plain child is this binary too: it is loaded and linked as an actor is, and answers before main(). */
static void __attribute__((constructor)) plain_child(int argc, char **argv, char **envp)
{
    if (argc == 3 && strcmp(argv[1], plain_option) == 0)
        answer_plain(atoi(argv[2]));
}

static pid_t spawn_plain(int fd)
{
    char self[] = "/proc/self/exe", number[16];
    snprintf(number, sizeof number, "%d", fd);
    char *argv[] = {self, plain_option, number, NULL};
    pid_t pid;
    int error = posix_spawn(&pid, argv[0], NULL, NULL, argv, environ);
    errno = error;
    return error ? -1 : pid;
}

static pid_t fork_plain(int fd)
{
    pid_t pid = fork();
    if (pid == 0)
        answer_plain(fd);
    return pid;
}

/* One message there and one back, as in a call. */
static yoke_error *start_plain(pid_t (*start)(int fd), double *ns)
{
    double begun = measure_now_ns();
    int ends[2];
    char c = 'x';
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        return yoke_raise_errno(errno, "socketpair");
    pid_t pid = start(ends[1]);
    int saved = errno;
    close(ends[1]);
    bool answered = pid > 0 && write(ends[0], &c, 1) == 1 && read(ends[0], &c, 1) == 1;
    *ns = measure_now_ns() - begun;
    close(ends[0]);
    if (pid < 0)
        return yoke_raise_errno(saved, "a plain child");
    int status = 1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return answered && status == 0 ? NULL : yoke_raise(&YOKE_INTERNAL, "the plain child failed");
}

/* ---- rounds ---- */

static yoke_error *compare_starts(enum yoke_backend backend, pid_t (*start)(int fd), const char *name,
                                  const char *aim)
{
    double ours[ROUNDS], theirs[ROUNDS], unused;
    for (int i = 0; i < WARM_UP; i++) {
        YOKE_TRY(start_actor(backend, &unused));
        YOKE_TRY(start_plain(start, &unused));
    }
    for (int i = 0; i < ROUNDS; i++) {
        YOKE_TRY(start_actor(backend, &ours[i]));
        YOKE_TRY(start_plain(start, &theirs[i]));
    }
    measure_row(name, ours, theirs, ROUNDS, aim, "to the first answer");
    return NULL;
}

static yoke_error *with_runtime(void)
{
    YOKE_TRY(compare_starts(YOKE_BACKEND_EXEC, spawn_plain, "actor by exec : posix_spawn and one message",
                            "<= 1.5"));
    return compare_starts(YOKE_BACKEND_FORK, fork_plain, "actor by fork : fork and one message", "<= 4");
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *outer; /* keeps the runtime open over all rounds */
    YOKE_TRY(yoke_actors_open(&outer, NULL));
    return yoke_actors_close(outer, with_runtime());
}
YOKE_MAIN(app)
