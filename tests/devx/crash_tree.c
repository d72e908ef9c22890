/* What test_crash_tree.py runs: trees in which somebody crashes, beside somebody who sleeps. */
#include "debug_tree.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* Not known to the compiler, which would warn. */
static volatile uintptr_t bad_address = 0x10;
static volatile int zero;

#define NOINLINE __attribute__((noinline))

/* ---- the crashes ---- */

NOINLINE static void crash_segv(int count)
{
    volatile int local = count + 2;
    *(volatile int *)bad_address = local; /* the line of SIGSEGV */
}

NOINLINE static void crash_bus(int count)
{
    int fd = memfd_create("short", MFD_CLOEXEC);
    volatile char *beyond = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    *beyond = 1; /* the line of SIGBUS */
}

NOINLINE __attribute__((no_sanitize("undefined"))) static void crash_fpe(int count)
{
    zero = count / zero; /* the line of SIGFPE */
}

NOINLINE static void crash_ill(int count)
{
    __builtin_trap(); /* the line of SIGILL */
}

NOINLINE static void crash_abrt(int count)
{
    abort(); /* the line of SIGABRT */
}

NOINLINE static void crash_assert(int count)
{
    assert(count == 43 && "of all things"); /* the line of assert */
}

NOINLINE static int crash_recurse(int depth)
{
    volatile char room[256];
    room[depth & 255] = 1;
    return depth < 0 ? 0 : crash_recurse(depth + 1) + room[0]; /* the line of overflow */
}

NOINLINE static void crash_overflow(int count)
{
    zero = crash_recurse(count);
}

/* glibc finds that out, and aborts. */
NOINLINE static void crash_heap(int count)
{
    void *volatile piece = malloc(3000);
    void *volatile behind = malloc(3000);
    free(piece);
    free(piece); /* the line of heap */
    free(behind);
}

/* Inside of malloc, which has a lock where there are threads; with those of the standard streams besides. */
NOINLINE static void crash_locks(int count)
{
    void *volatile *volatile piece = malloc(3000);
    void *volatile behind = malloc(3000);
    free((void *)piece);
    piece[1] = (void *)bad_address; /* the list of free pieces */
    flockfile(stderr);
    flockfile(stdout);
    zero += malloc(5000) == behind; /* the line of locks */
}

/* In a thread of its own; the one that waits for it is not the one that crashes. */
static void *thread_main(void *fn)
{
    pthread_setname_np(pthread_self(), "helper");
    if (strncmp(getenv("SCENE"), "bare", 4) != 0)
        yoke_error_free(yoke_thread_alternate_stack());
    ((void (*)(int))fn)(42);
    return NULL;
}

static void in_thread(void (*fn)(int count))
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    if (pthread_create(&thread, &attributes, thread_main, (void *)fn) == 0)
        pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
}

static void thread_overflow(int count)
{
    in_thread(crash_overflow);
}

static void thread_segv(int count)
{
    in_thread(crash_segv);
}

static void at_exit(void)
{
    crash_overflow(42);
}

/* When the actor has ended, and no task runs. */
static void exit_overflow(int count)
{
    atexit(at_exit);
}

static const struct crash {
    const char *name;
    void (*fn)(int count);
} crashes[] = {{"segv", crash_segv},
               {"bus", crash_bus},
               {"fpe", crash_fpe},
               {"ill", crash_ill},
               {"abrt", crash_abrt},
               {"assert", crash_assert},
               {"heap", crash_heap},
               {"overflow", crash_overflow},
               {"locks", crash_locks},
               {"thread_overflow", thread_overflow},
               {"bare_thread_overflow", thread_overflow},
               {"thread_segv", thread_segv},
               {"exit_overflow", exit_overflow},
               {NULL, NULL}};

/* What the scene is called, which children know by the environment. */
static const char *scene_name(void)
{
    return getenv("SCENE");
}

static void crash_now(void)
{
    const struct crash *c = crashes;
    while (c->name && strncmp(c->name, scene_name(), strlen(c->name)) != 0)
        c++;
    if (c->name)
        c->fn(42);
}

/* ---- a program with handlers of its own ---- */

static void on_segv(int number, siginfo_t *info, void *context)
{
    char text[64];
    int n = snprintf(text, sizeof text, "own handler: signal %d at %p\n", number, info->si_addr);
    if (write(STDOUT_FILENO, text, (size_t)n) != n)
        _exit(1);
}

static void on_int(int number)
{
}

static void set_own_handlers(void)
{
    struct sigaction segv = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO};
    struct sigaction interrupt = {.sa_handler = on_int};
    sigaction(SIGSEGV, &segv, NULL);
    sigaction(SIGINT, &interrupt, NULL);
}

static bool has_own_handlers(void)
{
    struct sigaction segv, interrupt, abrt;
    sigaction(SIGSEGV, NULL, &segv);
    sigaction(SIGINT, NULL, &interrupt);
    sigaction(SIGABRT, NULL, &abrt);
    return segv.sa_sigaction == on_segv && interrupt.sa_handler == on_int && abrt.sa_handler == SIG_DFL;
}

/* ---- endpoints ---- */

static yoke_error *work(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    static const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    YOKE_TRY(yoke_context_started(ctx, NULL));
    crash_now();
    return NULL;
}

static yoke_error *sleep_long(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    SAY("%s: sleeps", my_name());
    return yoke_sleep(YOKE_S(1000));
}

static yoke_error *inner(void *arg)
{
    crash_segv(42);
    return NULL;
}

static yoke_error *outer(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, inner, NULL); /* the line that spawns inner */
    return yoke_nursery_close(&n, e);
}

static yoke_error *nested(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_nursery n;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, outer, NULL); /* the line that spawns outer */
    return yoke_nursery_close(&n, e);
}

/* At the test's sign, each of its own name. */
static yoke_error *work_at_sign(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    SAY("%s: sleeps", my_name());
    YOKE_TRY(wait_for_sign(my_name()));
    crash_segv(42);
    return NULL;
}

static yoke_error *stop(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_pause());
    SAY("%s: went on", my_name());
    return NULL;
}

static yoke_error *middle(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result);
YOKE_MODULE(crash, YOKE_CONTEXT(work_at_sign, none, none, none), YOKE_CONTEXT(stop, none, none, none),
            YOKE_CONTEXT(middle, none, none, none), YOKE_CONTEXT(work, none, none, none),
            YOKE_CONTEXT(sleep_long, none, none, none), YOKE_CONTEXT(nested, none, none, none));

/* ---- the root's scenes ---- */

static yoke_error *start(yoke_actors *actors, const char *name, const char *endpoint, int debug,
                         yoke_context **ctx)
{
    yoke_portal *portal;
    YOKE_TRY(yoke_actors_start(actors, name, &(yoke_actor_options){.modules = "crash", .debug_mode = debug},
                               &portal));
    return yoke_context_open(portal, ctx, endpoint, NULL, NULL);
}

/* `left` does it, while `right` sleeps. */
static yoke_error *two(yoke_actors *actors, const char *endpoint)
{
    yoke_context *left = NULL, *right = NULL;
    yoke_error *e = start(actors, "right", "crash:sleep_long", 0, &right);
    if (!e)
        e = start(actors, "left", endpoint, 0, &left);
    if (left)
        e = yoke_context_close(left, e);
    if (right)
        e = yoke_context_close(right, e);
    return e;
}

static yoke_error *child_crashes(yoke_actors *actors)
{
    return two(actors, "crash:work");
}

static yoke_error *child_ends(yoke_actors *actors)
{
    yoke_context *ctx;
    YOKE_TRY(start(actors, "left", "crash:work", 0, &ctx));
    YOKE_TRY(yoke_context_close(ctx, NULL));
    return yoke_actors_cancel(actors);
}

static yoke_error *nested_crash(yoke_actors *actors)
{
    return two(actors, "crash:nested");
}

static yoke_error *close_both(yoke_context *left, yoke_context *right, yoke_error *e)
{
    if (left)
        e = yoke_context_close(left, e);
    if (right)
        e = yoke_context_close(right, e);
    return e;
}

/* The root fails as well, while nobody looks. */
static yoke_error *fail_at_sign(yoke_actors *actors)
{
    YOKE_TRY(wait_for_sign("fail"));
    SAY("root: fails");
    return yoke_raise(&YOKE_BROKEN_RESOURCE, "the root has failed");
}

static yoke_error *kill_at_sign(yoke_actors *actors)
{
    YOKE_TRY(wait_for_sign("fail"));
    SAY("root: kills");
    return yoke_actors_kill(actors);
}

/* `right` has the prompt when `left` crashes. */
static yoke_error *crash_in_line(yoke_actors *actors, yoke_error *(*then)(yoke_actors *))
{
    yoke_context *left = NULL, *right = NULL;
    yoke_error *e = start(actors, "right", "crash:stop", 0, &right);
    if (!e)
        e = start(actors, "left", "crash:work_at_sign", 0, &left);
    if (!e)
        e = then(actors);
    return close_both(left, right, e);
}

static yoke_error *crash_and_stop(yoke_actors *actors)
{
    return crash_in_line(actors, fail_at_sign);
}

static yoke_error *crash_and_kill(yoke_actors *actors)
{
    return crash_in_line(actors, kill_at_sign);
}

static yoke_error *both_crash(yoke_actors *actors)
{
    yoke_context *left = NULL, *right = NULL;
    yoke_error *e = start(actors, "right", "crash:work_at_sign", 0, &right);
    if (!e)
        e = start(actors, "left", "crash:work_at_sign", 0, &left);
    return close_both(left, right, e);
}

static yoke_error *middle(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, two(actors, "crash:work"));
}

static yoke_error *below(yoke_actors *actors)
{
    yoke_context *ctx;
    YOKE_TRY(start(actors, "middle", "crash:middle", 0, &ctx));
    return yoke_context_close(ctx, NULL);
}

/* Killed by the test. */
static yoke_error *killed(yoke_actors *actors)
{
    return two(actors, "crash:sleep_long");
}

static yoke_error *root_crashes(yoke_actors *actors)
{
    yoke_context *ctx;
    static const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    YOKE_TRY(start(actors, "right", "crash:sleep_long", 0, &ctx));
    crash_segv(42);
    return yoke_context_close(ctx, NULL);
}

#define SHORT                                                                                                \
    {                                                                                                        \
        .acknowledge_bound = YOKE_MS(50), .kill_bound = YOKE_MS(100)                                         \
    }
static yoke_error *nothing(yoke_actors *actors)
{
    SAY("in the runtime: %s", has_own_handlers() ? "own handlers" : "the runtime's handlers");
    return NULL;
}

static yoke_error *root_crashes_later(yoke_actors *actors)
{
    yoke_context *right;
    YOKE_TRY(start(actors, "right", "crash:stop", 0, &right));
    YOKE_TRY(wait_for_sign("crash"));
    crash_segv(42);
    return yoke_context_close(right, NULL);
}

/* ---- what the runtime refuses ---- */

static yoke_error *open_unexposed(yoke_portal *portal)
{
    yoke_context *ctx;
    YOKE_TRY(yoke_context_open(portal, &ctx, "crash:work", NULL, NULL));
    return yoke_context_close(ctx, NULL);
}

/* `left` serves no module. */
static yoke_error *not_found(yoke_actors *actors)
{
    yoke_portal *portal;
    YOKE_TRY(yoke_actors_start(actors, "left", NULL, &portal));
    return open_unexposed(portal);
}

static yoke_error *interrupt(void *arg)
{
    raise(SIGINT);
    return NULL;
}

/* The request is on its way when ctrl-c comes. */
static yoke_error *not_found_and_ctrl_c(yoke_actors *actors)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, interrupt, NULL);
    return yoke_nursery_close(&n, yoke_error_join(e, not_found(actors)));
}

/* Till ctrl-c, whenever that comes. */
static yoke_error *not_found_again(yoke_actors *actors)
{
    yoke_portal *portal;
    YOKE_TRY(yoke_actors_start(actors, "left", NULL, &portal));
    for (bool said = false;; said = true) {
        yoke_error *e = open_unexposed(portal);
        if (!yoke_error_find(e, &YOKE_MODULE_NOT_EXPOSED))
            return e;
        yoke_error_free(e);
        if (!said)
            SAY("root: is refused");
    }
}

static yoke_error *not_found_and_failed(yoke_actors *actors)
{
    yoke_error *refusal = not_found(actors);
    yoke_error_free(refusal);
    return yoke_raise(&YOKE_BROKEN_RESOURCE, "the root's own task"); /* the line of the failure */
}

static const struct scene scenes[] = {
    {"not_found", not_found},
    {"not_found_and_ctrl_c", not_found_and_ctrl_c},
    {"not_found_again", not_found_again},
    {"not_found_and_failed", not_found_and_failed},
    {"nothing", nothing},
    {"root_later", root_crashes_later},
    {"segv", child_crashes},
    {"bus", child_crashes},
    {"fpe", child_crashes},
    {"ill", child_crashes},
    {"abrt", child_crashes},
    {"assert", child_crashes},
    {"heap", child_crashes},
    {"locks", child_crashes},
    {"overflow", child_crashes},
    {"thread_overflow", child_crashes},
    {"bare_thread_overflow", child_crashes},
    {"thread_segv", child_crashes},
    {"exit_overflow", child_ends},
    {"nested", nested_crash},
    {"killed", killed},
    {"root", root_crashes},
    {"crash_and_stop", crash_and_stop, SHORT},
    {"crash_and_kill", crash_and_kill, SHORT},
    {"both", both_crash},
    {"segv_below", below},
    {NULL},
};

static yoke_error *app(int argc, char **argv)
{
    return play(scenes, argc, argv);
}

static yoke_error *with_root(void *arg)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    SAY("in the runtime: %s", has_own_handlers() ? "own handlers" : "the runtime's handlers");
    return yoke_actors_close(actors, strcmp(scene_name(), "own_root_crash") ? NULL : root_crashes(actors));
}

static int run_own(int argc, char **argv)
{
    set_own_handlers();
    if (strcmp(argv[1], "own_main") == 0) {
        argv[1] = (char *)"nothing";
        return yoke_main(argc, argv, app);
    }
    yoke_error *e = yoke_run(with_root, NULL, NULL);
    yoke_error_print(stderr, e);
    int status = e != NULL;
    yoke_error_free(e);
    return status;
}

int main(int argc, char **argv)
{
    int status;
    if (yoke_child_main(argc, argv, &status))
        return status;
    setenv("SCENE", argc > 1 ? argv[1] : "", 1);
    if (argc < 2 || strncmp(argv[1], "own", 3) != 0)
        return yoke_main(argc, argv, app);
    status = run_own(argc, argv);
    SAY("after the runtime: %s", has_own_handlers() ? "own handlers" : "the runtime's handlers");
    return status;
}
