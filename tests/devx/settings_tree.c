/*
 * What test_settings_tree.py runs in a terminal: what an actor does around its pauses, and what goes on
 * around it meanwhile. Compiled a second time with AddressSanitizer.
 */
#include "debug_tree.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>

/* ---- PR_SET_PTRACER: seen on its way to the kernel ---- */

static bool is_traced(void)
{
    char line[256];
    long tracer = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "TracerPid:", 10) == 0)
            tracer = strtol(line + 10, NULL, 10);
    if (f)
        fclose(f);
    return tracer != 0;
}

static void link_of(long pid, char *out, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/exe", pid);
    ssize_t n = readlink(path, out, size - 1);
    out[n > 0 ? n : 0] = '\0';
}

/* In the C library's place, for the library that is linked in here. */
__attribute__((visibility("default"))) int prctl(int option, ...)
{
    va_list list;
    va_start(list, option);
    unsigned long a = va_arg(list, unsigned long), b = va_arg(list, unsigned long);
    unsigned long c = va_arg(list, unsigned long), d = va_arg(list, unsigned long);
    va_end(list);
    if (option == PR_SET_PTRACER && getenv("TELL_PTRACER")) {
        char theirs[512], ours[512];
        link_of((long)a, theirs, sizeof theirs);
        link_of(getpid(), ours, sizeof ours);
        SAY("process %d names %ld, which is %s; %s", getpid(), (long)a,
            strcmp(theirs, ours) ? "another" : "a fork", is_traced() ? "traced already" : "not traced yet");
        if (getenv("KEEP_PTRACER"))
            return 0;
    }
    return (int)syscall(SYS_prctl, option, a, b, c, d);
}

/* ---- in a child ---- */

static yoke_error *stop(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    volatile int local = 42;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_pause()); /* the pause */
    local++;
    SAY("left: %d", local);
    return NULL;
}

/* Of no harm without AddressSanitizer. */
static yoke_error *overflow(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    volatile size_t size = 8;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    char *text = malloc(size);
    yoke_error *e = text ? yoke_pause() : NULL;
    if (text)
        text[size] = 0; /* the overflow */
    free(text);
    return e;
}

static yoke_error *go_through(const char *who)
{
    for (volatile int i = 0; i < 3; i++)
        YOKE_TRY(yoke_pause_if(i == 1)); /* the condition */
    YOKE_TRY(yoke_breakpoint("load"));   /* the breakpoint load */
    YOKE_TRY(yoke_breakpoint("store"));  /* the breakpoint store */
    SAY("%s: through", who);
    return NULL;
}

static yoke_error *below(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result);
static yoke_error *conditions(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return go_through("left");
}

/* In a grandchild alone. */
static yoke_error *far_breakpoint(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_breakpoint("far"));
    SAY("grandchild: through");
    return NULL;
}

/* ---- hooks ---- */

static yoke_error *before(const char *why, void *arg)
{
    yoke_error *pause = yoke_pause(); /* says so, and goes on */
    yoke_error_free(pause);
    SAY("%s: before a %s, in task %s", my_name(), why,
        yoke_current_task() ? yoke_task_name(yoke_current_task()) : "none");
    return *(const bool *)arg ? yoke_raise(&YOKE_USAGE, "not now") : NULL;
}

static void after(const char *why, void *arg)
{
    SAY("%s: after a %s, in task %s", my_name(), why,
        yoke_current_task() ? yoke_task_name(yoke_current_task()) : "none");
}

static yoke_error *fail_here(void)
{
    return yoke_raise(&YOKE_NOT_FOUND, "nothing there");
}

static yoke_error *hooked(bool *refuses)
{
    yoke_debug_hooks earlier = yoke_debug_set_hooks((yoke_debug_hooks){before, after, refuses});
    if (earlier.before || earlier.after)
        return yoke_raise(&YOKE_INTERNAL, "there were hooks");
    YOKE_TRY(yoke_pause());
    SAY("left: went on");
    yoke_error *e = yoke_sleep(YOKE_MS(1));
    if (!e)
        e = fail_here();
    return e;
}

static yoke_error *with_hooks(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    static bool refuses;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return hooked(&refuses);
}

static yoke_error *pause_hooked(void *arg)
{
    return yoke_pause();
}

static yoke_error *several_hooked(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    static bool refuses;
    static const char *const names[] = {"first", "second", "third"};
    yoke_nursery n;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_debug_set_hooks((yoke_debug_hooks){before, after, &refuses});
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 3 && !e; i++)
        e = yoke_spawn_with(&n, pause_hooked, NULL, &(yoke_spawn_options){.name = names[i]});
    return yoke_nursery_close(&n, e);
}

static yoke_error *with_refusal(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    static bool refuses = true;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return hooked(&refuses);
}

static yoke_error *with_hooks_that_crash(yoke_context *ctx, const yoke_type_none *args,
                                         yoke_type_none *result)
{
    static bool refuses;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_debug_set_hooks((yoke_debug_hooks){before, after, &refuses});
    *(volatile int *)16 = 1;
    return NULL;
}

/* ---- around a pause ---- */

/* The scope around is cancelled, and a shield keeps it out: a pause is a pause there. */
static yoke_error *pause_behind_shield(void)
{
    yoke_scope shield;
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    yoke_error *e = yoke_pause();
    SAY("left: behind the shield, %s", e ? yoke_error_message(e) : "went on");
    return yoke_scope_close(&shield, e);
}

static yoke_error *shielded(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_scope s;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, "for the test");
    yoke_error *e = pause_behind_shield();
    if (!e)
        e = yoke_checkpoint();
    SAY("left: then %s", yoke_error_is_cancelled(e) ? "cancelled" : "not cancelled");
    return yoke_scope_close(&s, e);
}

static atomic_long parked, woken;

static yoke_error *park(void *event)
{
    parked++;
    YOKE_TRY(yoke_event_wait(event));
    woken++;
    return NULL;
}

static yoke_error *park_thousand(yoke_nursery *n, yoke_event *event)
{
    for (int i = 0; i < 1000; i++)
        YOKE_TRY(yoke_spawn(n, park, event));
    while (parked < 1000)
        YOKE_TRY(yoke_checkpoint());
    YOKE_TRY(yoke_pause());
    yoke_event_set(event);
    return NULL;
}

static yoke_error *thousand(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_nursery n;
    yoke_event event;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_event_init(&event);
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = park_thousand(&n, &event);
    if (e)
        yoke_nursery_cancel(&n, "failed");
    e = yoke_nursery_close(&n, e);
    SAY("left: %ld woken", (long)woken);
    return e;
}

/* ---- signals ---- */

static atomic_int ticks;

static void note_tick(int number)
{
    ticks++;
}

static void handle(int number, void (*fn)(int))
{
    struct sigaction action = {.sa_handler = fn}; /* without SA_RESTART */
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* A clock that interrupts each call of this process every millisecond, also those that it stops in. */
static yoke_error *ticking(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    struct itimerval every = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    YOKE_TRY(yoke_context_started(ctx, NULL));
    handle(SIGALRM, note_tick);
    setitimer(ITIMER_REAL, &every, NULL);
    while (ticks < 5)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    yoke_error *e = yoke_pause();
    int at_pause = ticks;
    while (!e && ticks < at_pause + 5)
        e = yoke_sleep(YOKE_MS(1));
    setitimer(ITIMER_REAL, &never, NULL);
    SAY("left: ticks on");
    return e;
}

/* A thread that reads till a signal interrupts it, and pauses then, between two tries. */
static int pipe_ends[2];
static pthread_t reader;

static void *read_in_loop(void *done)
{
    char byte = 0;
    ssize_t n;
    while ((n = read(pipe_ends[0], &byte, 1)) < 0 && errno == EINTR)
        yoke_error_free(yoke_pause()); /* interrupted */
    SAY("left: read %c", byte);
    *(atomic_bool *)done = true;
    return NULL;
}

static void pause_in_handler(int number)
{
    int error = errno;
    yoke_error_free(yoke_pause()); /* in the handler */
    errno = error;
}

static yoke_error *interrupt_reader(void (*handler)(int))
{
    atomic_bool done = false;
    handle(SIGUSR2, handler);
    if (pipe(pipe_ends) < 0)
        return yoke_raise_errno(errno, "pipe");
    pthread_create(&reader, NULL, read_in_loop, &done);
    yoke_error *e = yoke_sleep(YOKE_MS(50));
    pthread_kill(reader, SIGUSR2);
    if (!e)
        e = wait_for_sign("write");
    if (write(pipe_ends[1], "x", 1) != 1)
        e = yoke_error_join(e, yoke_raise_errno(errno, "write"));
    while (!e && !done)
        e = yoke_sleep(YOKE_MS(2));
    pthread_join(reader, NULL);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    return e;
}

static yoke_error *interrupted_read(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return interrupt_reader(note_tick);
}

static yoke_error *in_handler(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return interrupt_reader(pause_in_handler);
}

/* ---- outside of any task ---- */

static atomic_bool called_back;

static yoke_error *pause_in_callback(void *arg)
{
    yoke_error *e = yoke_pause();
    SAY("left: the callback %s", e ? "failed" : "went on");
    yoke_error_free(e);
    called_back = true;
    return NULL;
}

static yoke_error *in_callback(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_token *token;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_token_get(&token));
    yoke_error *e = yoke_token_post(token, pause_in_callback, NULL);
    while (!e && !called_back)
        e = yoke_sleep(YOKE_MS(2));
    yoke_token_free(token);
    return e;
}

YOKE_MODULE(sets, YOKE_CONTEXT(stop, none, none, none), YOKE_CONTEXT(overflow, none, none, none),
            YOKE_CONTEXT(conditions, none, none, none), YOKE_CONTEXT(below, none, none, none),
            YOKE_CONTEXT(far_breakpoint, none, none, none), YOKE_CONTEXT(with_hooks, none, none, none),
            YOKE_CONTEXT(with_refusal, none, none, none), YOKE_CONTEXT(several_hooked, none, none, none),
            YOKE_CONTEXT(with_hooks_that_crash, none, none, none), YOKE_CONTEXT(shielded, none, none, none),
            YOKE_CONTEXT(thousand, none, none, none), YOKE_CONTEXT(ticking, none, none, none),
            YOKE_CONTEXT(interrupted_read, none, none, none), YOKE_CONTEXT(in_handler, none, none, none),
            YOKE_CONTEXT(in_callback, none, none, none));

/* ---- the root's scenes ---- */

static yoke_error *one(yoke_actors *actors, const char *endpoint)
{
    yoke_context *ctx;
    yoke_portal *portal;
    YOKE_TRY(yoke_actors_start(actors, "left", &(yoke_actor_options){.modules = "sets"}, &portal));
    YOKE_TRY(yoke_context_open(portal, &ctx, endpoint, NULL, NULL));
    YOKE_TRY(yoke_context_close(ctx, NULL));
    return yoke_actors_cancel(actors);
}

static yoke_error *below(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, one(actors, "sets:far_breakpoint"));
}

static yoke_error *app(int argc, char **argv)
{
    char endpoint[64];
    yoke_actors *actors;
    if (argc > 1 && strcmp(argv[1], "root") == 0)
        return go_through("root");
    snprintf(endpoint, sizeof endpoint, "sets:%s", argc > 1 ? argv[1] : "");
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, one(actors, endpoint));
}
YOKE_MAIN(app)
