/*
 * What test_dump.py looks at: a root `root` with two children, `left` and `middle`, and `leaf` below
 * `middle`. The first argument says what they do. It says `up` when all stand where they are to stand, and
 * ends, with a result that shows that nothing was disturbed, when there is a file `end` in $TMPDIR.
 */
#include <yoke.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool is_there(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", getenv("TMPDIR"), name);
    return access(path, F_OK) == 0;
}

static yoke_error *wait_for(const char *name)
{
    while (!is_there(name))
        YOKE_TRY(yoke_sleep(YOKE_MS(5)));
    return NULL;
}

static void say(const char *text)
{
    printf("%s\n", text);
    fflush(stdout);
}

/* ---- what the children do ---- */

YOKE_RECORD(number, (i64, n));

__attribute__((noinline)) static yoke_error *inner(int64_t n, int64_t *sum)
{
    if (n)
        YOKE_TRY(inner(n - 1, sum)); /* the line of the recursion */
    else
        YOKE_TRY(wait_for("end")); /* the line of the wait */
    *sum += n;
    return NULL;
}

static yoke_error *worker(void *arg)
{
    int64_t *sum = arg;
    return inner(3, sum); /* the line of the worker */
}

static yoke_error *work_in(yoke_context *ctx, bool is_started, number *result)
{
    yoke_scope scope;
    yoke_nursery nursery;
    YOKE_TRY(yoke_fail_after(&scope, YOKE_S(1000))); /* the line of the scope */
    yoke_error *e = yoke_nursery_open(&nursery);     /* the line of the nursery */
    if (e)
        return yoke_scope_close(&scope, e);
    for (int i = 0; i < 3 && !e; i++)
        e = yoke_spawn(&nursery, worker, &result->n); /* the line of the spawning */
    if (!e)
        e = yoke_sleep(YOKE_MS(1));
    if (!e && !is_started)
        e = yoke_context_started(ctx, NULL);
    return yoke_scope_close(&scope, yoke_nursery_close(&nursery, e)); /* the line of the close */
}

static yoke_error *work(yoke_context *ctx, const yoke_type_none *args, number *result)
{
    return work_in(ctx, false, result);
}

/* Comes to no checkpoint till it may. */
__attribute__((noinline)) static void spin(void)
{
    while (!is_there("go")) /* the line that spins */
        ;
}

static yoke_error *hang(yoke_context *ctx, const yoke_type_none *args, number *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_sleep(YOKE_MS(20)));
    spin(); /* the line that calls it */
    return work_in(ctx, true, result);
}

static yoke_error *deaf(yoke_context *ctx, const yoke_type_none *args, number *result)
{
    yoke_scope shield;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(
        yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true})); /* the line of the shield */
    yoke_error *e = yoke_scope_close(&shield, wait_for("end"));                /* the line of the deaf */
    result->n = 6;
    return e;
}

static yoke_error *mind(yoke_context *ctx, const yoke_type_none *args, number *result);
YOKE_MODULE(ends, YOKE_CONTEXT(work, none, none, number), YOKE_CONTEXT(hang, none, none, number),
            YOKE_CONTEXT(deaf, none, none, number), YOKE_CONTEXT(mind, none, none, number));

/* ---- the tree ---- */

static const yoke_actor_options with_ends = {.modules = "ends"};

/* Adds what the context's endpoint has to say. */
static yoke_error *take_result(yoke_context *ctx, yoke_error *e, int64_t *sum)
{
    number n = {0};
    if (!e)
        e = yoke_context_result(ctx, &n);
    *sum += n.n;
    return yoke_context_close(ctx, e);
}

static yoke_error *mind(yoke_context *ctx, const yoke_type_none *args, number *result)
{
    yoke_actors *actors;
    yoke_portal *leaf;
    yoke_context *below = NULL;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    yoke_error *e = yoke_actors_start(actors, "leaf", &with_ends, &leaf);
    if (!e)
        e = yoke_context_open(leaf, &below, "ends:work", NULL, NULL);
    if (!e)
        e = yoke_context_started(ctx, NULL);
    if (below)
        e = take_result(below, e, &result->n);
    if (!e)
        e = yoke_actors_cancel(actors);
    return yoke_actors_close(actors, e);
}

/* `left` is told to end, and goes on behind its shield. */
static yoke_error *cancel_left(void *left)
{
    bool acknowledged;
    return yoke_portal_cancel_actor(left, YOKE_S(500), &acknowledged);
}

static yoke_error *use(yoke_portal *left, yoke_portal *middle, const char *what, int64_t *sum)
{
    char name[64];
    yoke_context *a, *b;
    yoke_nursery n;
    snprintf(name, sizeof name, "ends:%s", what);
    YOKE_TRY(yoke_context_open(middle, &b, "ends:mind", NULL, NULL));
    yoke_error *e = yoke_context_open(left, &a, name, NULL, NULL);
    if (e)
        return yoke_context_close(b, e);
    e = yoke_nursery_open(&n);
    if (!e) {
        if (strcmp(what, "deaf") == 0)
            e = yoke_spawn(&n, cancel_left, left);
        if (!e)
            e = yoke_sleep(YOKE_MS(100));
        say("up");
        if (!e)
            e = wait_for("end"); /* the line of the root */
        e = yoke_nursery_close(&n, e);
    }
    if (strcmp(what, "deaf") == 0) { /* cancelled, so that it has no result */
        yoke_error_free(yoke_context_cancel(a));
        yoke_error_free(yoke_context_close(a, NULL));
        *sum += 6;
    } else {
        e = take_result(a, e, sum);
    }
    return take_result(b, e, sum);
}

static yoke_error *run_tree(const char *what)
{
    yoke_actors *actors;
    yoke_portal *left, *middle;
    int64_t sum = 0;
    YOKE_TRY(yoke_actors_open(&actors, &(yoke_actors_options){.kill_bound = YOKE_S(1000)}));
    yoke_error *e = yoke_actors_start(actors, "left", &with_ends, &left);
    if (!e)
        e = yoke_actors_start(actors, "middle", &with_ends, &middle);
    if (!e)
        e = use(left, middle, what, &sum);
    if (!e)
        e = yoke_actors_cancel(actors);
    printf("sum %lld\n", (long long)sum);
    return yoke_actors_close(actors, e);
}

/* ---- many tasks, and one that looks how long it waits ---- */

static yoke_error *rest(void *arg)
{
    return yoke_sleep_forever();
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* How long this thread has waited for a processor, that being others' doing (proc(5): schedstat). */
static int64_t waited_ns(int fd)
{
    char text[96] = "";
    unsigned long long ran = 0, waited = 0;
    if (fd < 0 || pread(fd, text, sizeof text - 1, 0) <= 0)
        return 0;
    return sscanf(text, "%llu %llu", &ran, &waited) == 2 ? (int64_t)waited : 0;
}

/* The longest time between two turns, without what other processes took of it. */
static yoke_error *watch_turns(int64_t *longest, int64_t *turns)
{
    int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    int64_t last = clock_ns(CLOCK_MONOTONIC) - waited_ns(fd);
    yoke_error *e = NULL;
    while (!e && !is_there("end")) {
        e = yoke_checkpoint();
        int64_t now = clock_ns(CLOCK_MONOTONIC) - waited_ns(fd);
        *longest = now - last > *longest ? now - last : *longest;
        last = now;
        ++*turns;
    }
    close(fd);
    return e;
}

static yoke_error *run_many(int count)
{
    yoke_nursery n;
    int64_t longest = 0, turns = 0;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < count && !e; i++) {
        char name[32];
        snprintf(name, sizeof name, "task %d", i);
        e = yoke_spawn_with(&n, rest, NULL, &(yoke_spawn_options){.name = name, .stack_bytes = 16 << 10});
    }
    if (!e)
        e = yoke_checkpoint(); /* in which all of them begin */
    if (!e)
        e = yoke_checkpoint();
    say("up");
    if (!e)
        e = watch_turns(&longest, &turns);
    printf("longest %lld us in %lld turns\n", (long long)(longest / 1000), (long long)turns);
    yoke_nursery_cancel(&n, NULL);
    return yoke_nursery_close(&n, e);
}

/* ---- a busy tree: what is looked at ends and begins meanwhile ---- */

static yoke_error *short_lived(void *arg)
{
    return yoke_sleep((uintptr_t)arg % 3 * 100000);
}

static yoke_error *churn(void *arg)
{
    yoke_error *e = NULL;
    for (uintptr_t i = 0; !e && !is_there("end"); i++) {
        yoke_nursery n;
        YOKE_TRY(yoke_nursery_open(&n));
        for (uintptr_t k = 0; k < 20 && !e; k++)
            e = yoke_spawn(&n, short_lived, (void *)(i + k)); /* the line of the short-lived */
        e = yoke_nursery_close(&n, e);
    }
    return e;
}

static yoke_error *run_churn(void)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 50 && !e; i++)
        e = yoke_spawn(&n, churn, NULL);
    say("up");
    e = yoke_nursery_close(&n, e);
    say("sum 0");
    return e;
}

/* ---- a program that has the signal itself ---- */

static void mine(int signal_number)
{
    static const char text[] = "mine\n";
    if (write(STDOUT_FILENO, text, sizeof text - 1) < 0)
        abort();
}

static yoke_error *app(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "work";
    if (strcmp(what, "many") == 0)
        return run_many(atoi(argv[2]));
    if (strcmp(what, "churn") == 0)
        return run_churn();
    if (strcmp(what, "own") == 0)
        signal(SIGUSR1, mine);
    return run_tree(strcmp(what, "own") == 0 ? "work" : what);
}

/* A root that is opened in a run of the program's own, with dumps or without. */
static yoke_error *plain_run(void *arg)
{
    yoke_actors *actors;
    yoke_root_options root = {.name = "implied", .no_dump = arg != NULL};
    YOKE_TRY(yoke_actors_open(&actors, &(yoke_actors_options){.root = &root}));
    yoke_portal *left;
    yoke_error *e = yoke_actors_start(actors, "left", &with_ends, &left);
    say("up");
    if (!e)
        e = wait_for("end");
    if (!e)
        e = yoke_actors_cancel(actors);
    e = yoke_actors_close(actors, e);
    say("sum 0");
    return e;
}

int main(int argc, char **argv)
{
    int status;
    if (argc < 2 || strncmp(argv[1], "implied", 7) != 0)
        return yoke_main(argc, argv, app);
    if (yoke_child_main(argc, argv, &status))
        return status;
    yoke_error *e = yoke_run(plain_run, strcmp(argv[1], "implied-off") == 0 ? argv : NULL, NULL);
    if (e)
        yoke_error_print(stderr, e);
    yoke_error_free(e);
    return e != NULL;
}
