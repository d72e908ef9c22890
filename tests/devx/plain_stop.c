/*
 * What test_plain_stop.py runs in a terminal: a program with a main() of its own, which pauses before its
 * runtime, in a run without actors, and after it; and whose breakpoints are instructions.
 */
#include "debug_tree.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <termios.h>

static void say_result(const char *where, yoke_error *e)
{
    SAY("%s: %s", where, e ? yoke_error_message(e) : "goes on");
    yoke_error_free(e);
}

/* ---- without an actor ---- */

__attribute__((constructor)) static void before_main(void)
{
    if (getenv("PAUSE_IN_CONSTRUCTOR"))
        say_result("constructor", yoke_pause()); /* the constructor's line */
}

static int before_runtime(void)
{
    volatile int n = 42;
    yoke_error *e = yoke_pause(); /* the line before the runtime */
    n++;
    n++;
    SAY("n %d", n);
    say_result("before", e);
    return 0;
}

/* The terminal is this program's again when the call returns: else reading from it would stop us. */
static int read_after(void)
{
    char line[64] = "";
    yoke_error *e = yoke_pause();
    SAY("read %s", fgets(line, sizeof line, stdin) ? line : "nothing");
    say_result("before", e);
    return 0;
}

static yoke_error *read_as_root(void *arg)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    read_after();
    return yoke_actors_close(actors, NULL);
}

static int read_in_root(void)
{
    say_result("run", yoke_run(read_as_root, NULL, NULL));
    return 0;
}

static yoke_error *pause_in_run(void *arg)
{
    yoke_error *e = yoke_pause(); /* the line in the run */
    return e;
}

static int in_run(void)
{
    yoke_error *e = yoke_run(pause_in_run, NULL, NULL);
    say_result("run", e);
    return 0;
}

static yoke_error *open_and_close(void *arg)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, NULL);
}

static int after_runtime(void)
{
    say_result("run", yoke_run(open_and_close, NULL, NULL));
    say_result("after", yoke_pause()); /* the line after the runtime */
    return 0;
}

static void *pause_thread(void *arg)
{
    say_result("thread", yoke_pause());
    return NULL;
}

static int threads(void)
{
    enum { THREADS = 3 };
    pthread_t all[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&all[i], NULL, pause_thread, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(all[i], NULL);
    return 0;
}

/* The actor of this process is not there for a process that it forks. */
static yoke_error *fork_and_pause(void *arg)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, &(yoke_actors_options){.debug_mode = 1}));
    pid_t pid = fork();
    if (pid == 0) {
        say_result("fork", yoke_pause());
        _exit(0);
    }
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return yoke_actors_close(actors, NULL);
}

static int in_fork(void)
{
    say_result("run", yoke_run(fork_and_pause, NULL, NULL));
    return 0;
}

/* ---- hooks: a program that has the terminal in raw mode ---- */

static struct termios cooked;
static atomic_bool entered;

static void set_raw(void)
{
    struct termios raw = cooked;
    cfmakeraw(&raw);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

static bool is_raw(void)
{
    struct termios now;
    return tcgetattr(STDIN_FILENO, &now) == 0 && !(now.c_lflag & ICANON);
}

static yoke_error *leave_raw(const char *why, void *arg)
{
    tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
    SAY("%s before a %s", (char *)arg, why);
    return NULL;
}

static void enter_raw(const char *why, void *arg)
{
    SAY("%s after a %s, foreground %s", (char *)arg, why,
        tcgetpgrp(STDIN_FILENO) == getpgrp() ? "ours" : "lost");
    set_raw();
    entered = true;
}

static int raw_mode(void)
{
    tcgetattr(STDIN_FILENO, &cooked);
    yoke_debug_set_hooks((yoke_debug_hooks){leave_raw, enter_raw, (void *)"hook"});
    set_raw();
    yoke_error *e = yoke_pause();
    bool raw = is_raw(); /* the line with the hooks */
    while (!entered)
        usleep(1000);
    tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
    SAY("mode %s", raw ? "raw" : "cooked");
    say_result("pause", e);
    return 0;
}

/* ---- breakpoints that are instructions ---- */

static void own_handler(int number)
{
    static const char text[] = "own handler\n";
    ssize_t ignored = write(STDOUT_FILENO, text, sizeof text - 1);
    (void)ignored;
}

static void say_whose(const char *where)
{
    struct sigaction now;
    sigaction(SIGTRAP, NULL, &now);
    SAY("%s: SIGTRAP is %s", where,
        now.sa_handler == own_handler ? "the program's"
        : now.sa_handler == SIG_DFL   ? "by default"
                                      : "another's");
}

static yoke_error *run_into_it(void)
{
    volatile int local = 42;
    errno = ENOTTY;
    YOKE_BREAKPOINT(); /* the breakpoint in the task */
    local++;
    SAY("task: %d, errno %s", local, errno == ENOTTY ? "kept" : "lost");
    yoke_error *e = yoke_checkpoint();
    SAY("task: checkpoint says %s", e ? yoke_error_message(e) : "nothing");
    return e;
}

static void *run_into_it_in_thread(void *done)
{
    YOKE_BREAKPOINT(); /* the breakpoint in the thread */
    SAY("thread: goes on");
    __atomic_store_n((int *)done, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static yoke_error *breakpoints(yoke_actors *actors)
{
    pthread_t thread;
    int done = 0;
    say_whose("inside");
    YOKE_TRY(run_into_it());
    pthread_create(&thread, NULL, run_into_it_in_thread, &done);
    yoke_error *e = NULL;
    while (!e && !__atomic_load_n(&done, __ATOMIC_SEQ_CST))
        e = yoke_sleep(YOKE_MS(5));
    pthread_join(thread, NULL);
    if (!e)
        raise(SIGTRAP); /* raised in the task */
    return e;
}

static yoke_error *with_actors(void *debug_mode)
{
    yoke_actors *actors;
    yoke_root_options root = {.debug_mode = *(const int *)debug_mode};
    YOKE_TRY(yoke_actors_open(&actors, &(yoke_actors_options){.root = &root}));
    return yoke_actors_close(actors, breakpoints(actors));
}

/* Before the runtime, in it, and after. */
static int instructions(int debug_mode, bool own)
{
    if (own) {
        signal(SIGTRAP, own_handler);
        YOKE_BREAKPOINT();
    }
    say_result("run", yoke_run(with_actors, &debug_mode, NULL));
    say_whose("after");
    YOKE_BREAKPOINT();
    SAY("after");
    return 0;
}

int main(int argc, char **argv)
{
    int status;
    if (yoke_child_main(argc, argv, &status))
        return status;
    const char *scene = argc > 1 ? argv[1] : "";
    if (strcmp(scene, "before") == 0)
        return before_runtime();
    if (strcmp(scene, "read") == 0)
        return read_after();
    if (strcmp(scene, "read_in_root") == 0)
        return read_in_root();
    if (strcmp(scene, "run") == 0)
        return in_run();
    if (strcmp(scene, "after") == 0)
        return after_runtime();
    if (strcmp(scene, "threads") == 0)
        return threads();
    if (strcmp(scene, "fork") == 0)
        return in_fork();
    if (strcmp(scene, "raw") == 0)
        return raw_mode();
    if (strcmp(scene, "instructions") == 0)
        return instructions(1, true);
    if (strcmp(scene, "instructions_default") == 0)
        return instructions(1, false);
    if (strcmp(scene, "instructions_off") == 0)
        return instructions(-1, true);
    return 0;
}
