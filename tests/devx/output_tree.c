/* What test_output.py runs in a terminal: actors that print while somebody is at the debugger's prompt. */
#include "debug_tree.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

static bool has_sign(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", getenv("SIGNS"), name);
    return access(path, F_OK) == 0;
}

static void leave_sign(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", getenv("SIGNS"), name);
    FILE *f = fopen(path, "w");
    if (f)
        fclose(f);
}

/* ---- what children do ---- */

/* As fast as it can from the sign `loud` on, slowly from `calm` on, till `quiet`. It says how far it is by
 * signs: `NAME loud` after many lines, `NAME calm`. */
enum { LOUD_LINES = 20000 };

static void mark(const char *what)
{
    char sign[64];
    snprintf(sign, sizeof sign, "%s %s", my_name(), what);
    leave_sign(sign);
}

static yoke_error *say_line(int number)
{
    char text[96];
    int n = snprintf(text, sizeof text, "%s line %d of all that it has to say\n", my_name(), number);
    return write(STDOUT_FILENO, text, (size_t)n) == n ? NULL : yoke_raise_errno(errno, "a line");
}

static yoke_error *noise(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(wait_for_sign("loud"));
    int number = 0;
    while (!has_sign("calm")) {
        YOKE_TRY(say_line(++number));
        YOKE_TRY(yoke_checkpoint());
        if (number == LOUD_LINES)
            mark("loud");
    }
    mark("calm");
    while (!has_sign("quiet")) {
        YOKE_TRY(say_line(++number));
        YOKE_TRY(yoke_sleep(YOKE_MS(20)));
    }
    SAY("%s ends after %d", my_name(), number);
    return yoke_sleep_forever();
}

static yoke_error *stop(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(wait_for_sign("stop"));
    SAY("left: before");
    printf("left: no line");
    fflush(stdout);
    YOKE_TRY(yoke_pause());
    SAY("left: steps");
    SAY("left: steps again");
    SAY("left: after");
    leave_sign("after");
    YOKE_TRY(wait_for_sign("end"));
    SAY("left: ends");
    return NULL;
}

static yoke_error *size(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    struct winsize now = {0}, before = {0};
    YOKE_TRY(yoke_context_started(ctx, NULL));
    SAY("right: %s, %s", isatty(STDOUT_FILENO) ? "a terminal" : "none",
        isatty(STDERR_FILENO) ? "a terminal" : "none");
    while (!has_sign("end")) {
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &now) == 0 &&
            (now.ws_row != before.ws_row || now.ws_col != before.ws_col))
            SAY("right: %d rows, %d columns", now.ws_row, now.ws_col);
        before = now;
        YOKE_TRY(yoke_sleep(YOKE_MS(5)));
    }
    return NULL;
}

YOKE_MODULE(speaks, YOKE_CONTEXT(noise, none, none, none), YOKE_CONTEXT(stop, none, none, none),
            YOKE_CONTEXT(size, none, none, none));

/* ---- scenes ---- */

static const yoke_actor_options speaker = {.modules = "speaks"};

/* The one at the prompt, and whoever is beside it. */
static yoke_error *with_left(yoke_actors *actors)
{
    yoke_portal *left;
    yoke_context *ctx;
    YOKE_TRY(yoke_actors_start(actors, "left", &speaker, &left));
    YOKE_TRY(yoke_context_open(left, &ctx, "speaks:stop", NULL, NULL));
    YOKE_TRY(yoke_context_close(ctx, yoke_context_result(ctx, NULL)));
    return yoke_actors_cancel(actors);
}

static yoke_error *beside(yoke_actors *actors, const char *name, const char *endpoint,
                          yoke_error *(*rest)(yoke_actors *))
{
    yoke_portal *portal;
    yoke_context *ctx;
    YOKE_TRY(yoke_actors_start(actors, name, &speaker, &portal));
    YOKE_TRY(yoke_context_open(portal, &ctx, endpoint, NULL, NULL));
    yoke_error *e = rest(actors);
    yoke_error_free(yoke_context_cancel(ctx));
    yoke_error_free(yoke_context_close(ctx, NULL));
    return e;
}

static int noises;

static yoke_error *eight(yoke_actors *actors)
{
    char name[8];
    if (noises == 8)
        return with_left(actors);
    snprintf(name, sizeof name, "n%d", noises++);
    return beside(actors, name, "speaks:noise", eight);
}

static yoke_error *sized(yoke_actors *actors)
{
    return beside(actors, "right", "speaks:size", with_left);
}

/* The root speaks while its child is at the prompt, and then crashes. */
static yoke_error *say_and_crash(void *arg)
{
    YOKE_TRY(wait_for_sign("crash"));
    SAY("root: while left is there");
    leave_sign("crashes");
    raise(SIGSEGV);
    return NULL;
}

static yoke_error *root_crashes(yoke_actors *actors)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, say_and_crash, NULL);
    return yoke_nursery_close(&n, e ? e : with_left(actors));
}

/* The root goes on while the terminal takes nothing. */
static yoke_error *tick(void *arg)
{
    YOKE_TRY(wait_for_sign("tick"));
    leave_sign("ticks");
    return NULL;
}

static yoke_error *ticks(yoke_actors *actors)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, tick, NULL);
    return yoke_nursery_close(&n, e ? e : with_left(actors));
}

/* ---- ways out ---- */

static void say_much(void)
{
    for (int i = 1; i <= 20000; i++)
        printf("root line %d of all that it has to say\n", i);
    printf("root: no line");
    fflush(stdout);
}

static yoke_error *out_end(yoke_actors *actors)
{
    say_much();
    return NULL;
}

static yoke_error *out_error(yoke_actors *actors)
{
    say_much();
    return yoke_raise(&YOKE_USAGE, "the last word");
}

static yoke_error *out_exit(yoke_actors *actors)
{
    say_much();
    printf(", and what was not flushed");
    exit(7);
}

static yoke_error *out_crash(yoke_actors *actors)
{
    say_much();
    leave_sign("said");
    raise(SIGSEGV);
    return NULL;
}

static yoke_error *out_quit(yoke_actors *actors)
{
    say_much();
    raise(SIGQUIT);
    return yoke_sleep_forever();
}

static yoke_error *out_kill(yoke_actors *actors)
{
    say_much();
    raise(SIGKILL);
    return NULL;
}

static const struct scene scenes[] = {
    {"left", with_left},      {"eight", eight},
    {"sized", sized},         {"root_crashes", root_crashes},
    {"ticks", ticks},         {"out_end", out_end},
    {"out_error", out_error}, {"out_exit", out_exit},
    {"out_crash", out_crash}, {"out_quit", out_quit},
    {"out_kill", out_kill},   {NULL},
};

static yoke_error *app(int argc, char **argv)
{
    return play(scenes, argc, argv);
}

/* ---- a program that goes on without the runtime ---- */

static yoke_error *with_root(void *arg)
{
    yoke_actors *actors;
    yoke_portal *portal;
    const yoke_root_options root = {.debug_mode = 1};
    YOKE_TRY(yoke_actors_open(&actors, &(yoke_actors_options){.root = &root}));
    yoke_error *e = yoke_actors_start(actors, "left", &speaker, &portal);
    say_much();
    return yoke_actors_close(actors, e ? e : yoke_actors_cancel(actors));
}

static bool has_children(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

static int run_own(void)
{
    char before[64] = "", after[64] = "";
    snprintf(before, sizeof before, "%s", ttyname(STDOUT_FILENO));
    for (int i = 0; i < 2; i++) {
        yoke_error *e = yoke_run(with_root, NULL, NULL);
        if (e)
            yoke_error_print(stderr, e);
        yoke_error_free(e);
        snprintf(after, sizeof after, "%s", ttyname(STDOUT_FILENO));
        SAY("own: %s, %s", strcmp(before, after) ? "another terminal" : "the terminal",
            has_children() ? "a child is left" : "no child");
    }
    return 0;
}

int main(int argc, char **argv)
{
    int status;
    if (yoke_child_main(argc, argv, &status))
        return status;
    return argc > 1 && strcmp(argv[1], "own") == 0 ? run_own() : yoke_main(argc, argv, app);
}
