/*
 * From yoke_pause() in a child to the debugger's prompt, beside a bare `gdb -q -p` on the same actor of the
 * same program, which stands in nanosleep(2) as a paused one does. Both on a pty of their own, both without
 * the user's .gdbinit and without servers of debug information.
 */
#include "measure.h"

#include <yoke.h>

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 41, PATIENCE_MS = 60000 };

/* ---- the tree: a root and the child that stops ---- */

YOKE_RECORD(how, (boolean, pauses));

static yoke_error *stop(const how *args, yoke_type_none *result)
{
    printf("begun %.0f pid %d\n", measure_now_ns(), (int)getpid());
    fflush(stdout);
    if (args->pauses)
        return yoke_pause();
    for (;;)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

YOKE_MODULE(stops, YOKE_CALL(stop, how, none));

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    yoke_portal *left;
    bool pauses = strcmp(argv[1], "pause") == 0;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    yoke_error *e = yoke_actors_start(actors, "left", &(yoke_actor_options){.modules = "stops"}, &left);
    if (!e)
        e = yoke_call(left, "stops:stop", &(how){pauses}, NULL);
    if (!e)
        e = yoke_actors_cancel(actors);
    return yoke_actors_close(actors, e);
}

/* ---- a program on a pty ---- */

struct scene {
    pid_t pid;
    int master;
    char said[65536];
    size_t size;
};

static void begin(struct scene *s, const char *const *argv)
{
    struct winsize size = {.ws_row = 50, .ws_col = 200};
    s->size = 0;
    s->pid = forkpty(&s->master, NULL, NULL, &size);
    measure_must(s->pid >= 0, "forkpty");
    if (s->pid == 0) {
        execvp(argv[0], (char *const *)argv);
        measure_must(0, argv[0]);
    }
    fcntl(s->master, F_SETFD, FD_CLOEXEC);
}

/* False: there is no one left at the other end. */
static bool hear(struct scene *s)
{
    struct pollfd p = {.fd = s->master, .events = POLLIN};
    measure_must(s->size < sizeof s->said - 1 && poll(&p, 1, PATIENCE_MS) == 1, "the words of a program");
    ssize_t n = read(s->master, s->said + s->size, sizeof s->said - 1 - s->size);
    s->size += n > 0 ? (size_t)n : 0;
    s->said[s->size] = '\0';
    return n > 0;
}

/* Where these words begin, and when they had come. */
static const char *hear_words(struct scene *s, const char *words, double *ns)
{
    const char *at = NULL;
    while (!(at = s->size ? strstr(s->said, words) : NULL))
        if (!hear(s)) {
            fprintf(stderr, "bench_pause: never `%s` in:\n%s\n", words, s->said);
            _exit(1);
        }
    *ns = measure_now_ns();
    return at;
}

static void end(struct scene *s)
{
    while (hear(s))
        continue;
    measure_must(waitpid(s->pid, NULL, 0) == s->pid, "waitpid");
    close(s->master);
}

/* ---- rounds ---- */

static void begin_tree(struct scene *s, const char *what, double *begun, int *pid)
{
    double now;
    begin(s, (const char *[]){"/proc/self/exe", what, NULL});
    while (sscanf(hear_words(s, "begun ", &now), "begun %lf pid %d\r", begun, pid) != 2 ||
           !strchr(s->said, '\n'))
        measure_must(hear(s), "the tree");
}

static double pause_once(struct scene *s)
{
    double begun, at_prompt;
    int pid;
    begin_tree(s, "pause", &begun, &pid);
    hear_words(s, "(yoke: left/stops:stop) ", &at_prompt);
    measure_must(write(s->master, "continue\n", 9) == 9, "write");
    end(s);
    return at_prompt - begun;
}

/* The tree ends when its child is killed. */
static double attach_once(struct scene *s)
{
    static struct scene gdb;
    char number[16];
    double unused, at_prompt;
    int pid;
    begin_tree(s, "sleep", &unused, &pid);
    snprintf(number, sizeof number, "%d", pid);
    double begun = measure_now_ns();
    begin(&gdb, (const char *[]){"gdb", "-q", "-iex", "set debuginfod enabled off", "-p", number, NULL});
    hear_words(&gdb, "(gdb) ", &at_prompt);
    kill(gdb.pid, SIGKILL);
    end(&gdb);
    kill(pid, SIGKILL);
    end(s);
    return at_prompt - begun;
}

static void compare(void)
{
    static struct scene tree;
    double ours[ROUNDS], theirs[ROUNDS];
    pause_once(&tree);
    attach_once(&tree);
    for (int i = 0; i < ROUNDS; i++) {
        ours[i] = pause_once(&tree);
        theirs[i] = attach_once(&tree);
    }
    measure_row("from yoke_pause() in a child to the prompt : gdb -q -p on the same actor", ours, theirs,
                ROUNDS, "<= 1.2", "");
}

int main(int argc, char **argv)
{
    int status;
    if (yoke_child_main(argc, argv, &status))
        return status;
    if (argc > 1)
        return yoke_main(argc, argv, app);
    setenv("YOKE_DEBUG", "1", 1);
    setenv("HOME", "/nonexistent", 1);
    setenv("TERM", "dumb", 1);
    unsetenv("YOKE_DEBUGGER");
    unsetenv("DEBUGINFOD_URLS");
    compare();
    return 0;
}
