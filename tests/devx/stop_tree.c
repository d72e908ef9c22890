/* What test_stop_tree.py runs in a terminal: tasks and threads that pause, in the root and below it. */
#include "debug_tree.h"

#include "actor/context.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* ---- in the root ---- */

static yoke_error *deep(int n)
{
    if (n)
        return deep(n - 1);
    return yoke_pause(); /* the deep line */
}

static yoke_error *root_pause(yoke_actors *actors)
{
    SAY("root: before");
    YOKE_TRY(yoke_pause()); /* the root's line */
    SAY("root: after");
    return NULL;
}

static yoke_error *root_deep(yoke_actors *actors)
{
    yoke_error *e = deep(20);
    SAY("root: after");
    return e;
}

static yoke_error *root_forever(yoke_actors *actors)
{
    for (volatile int i = 0;; i++) {
        YOKE_TRY(yoke_pause());
        YOKE_TRY(yoke_checkpoint());
    }
}

/* ---- in a child ---- */

static yoke_error *lines(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    volatile int n = 0;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_pause()); /* line 0 */
    n += 1;
    n += 2;
    n += 3;
    n += 4;
    n += 5;
    n += 6;
    n += 7;
    n += 8;
    n += 9;
    n += 10; /* line 10 */
    SAY("left: %d", n);
    return NULL;
}

static yoke_error *forever(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    for (volatile int i = 0;; i++)
        YOKE_TRY(yoke_pause());
}

static yoke_error *send_after_pause(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e = yoke_pause();
    if (!e)
        e = yoke_send(stream, &(int64_t){42});
    return yoke_stream_close(stream, e);
}

static yoke_error *three_times(void)
{
    for (int i = 0; i < 3; i++) {
        YOKE_TRY(yoke_pause_shielded());
        yoke_error *e = yoke_checkpoint();
        SAY("left: the checkpoint says %s", yoke_error_is_cancelled(e) ? "Cancelled" : "something else");
        yoke_error_free(e);
    }
    return NULL;
}

static yoke_error *shielded(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_scope s;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, "for the test");
    return yoke_scope_close(&s, three_times());
}

/* Its channel is gone before it pauses, and it does not let itself be cancelled. */
static yoke_error *without_channel(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    yoke_scope shield;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true}));
    channel_break(ctx->peer->channel, yoke_raise(&YOKE_TRANSPORT_CLOSED, "by the test"));
    yoke_error *e = yoke_pause();
    SAY("left: %s", e ? yoke_error_message(e) : "no prompt");
    yoke_error_free(e);
    return yoke_scope_close(&shield, yoke_sleep_forever());
}

/* ---- threads ---- */

static atomic_long ticks;
static atomic_int thread_done;

static void pause_thread(void)
{
    volatile int own = 43;
    yoke_error *e = yoke_pause(); /* the thread's line */
    own++;
    SAY("thread: %d, %s", own, e ? yoke_error_message(e) : "goes on");
    yoke_error_free(e);
    thread_done++;
}

static void *thread_main(void *arg)
{
    pause_thread();
    return NULL;
}

static yoke_error *tick(void *arg)
{
    for (;;) {
        ticks++;
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    }
}

static yoke_error *wait_for_threads(int count)
{
    while (thread_done < count)
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    long before = ticks;
    while (ticks == before) /* the scheduler lives on */
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    SAY("the scheduler lives on");
    return NULL;
}

static yoke_error *pause_in_thread(void)
{
    pthread_t thread;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, tick, NULL);
    pthread_create(&thread, NULL, thread_main, NULL);
    if (!e)
        e = wait_for_threads(1);
    pthread_join(thread, NULL);
    yoke_nursery_cancel(&n, "done");
    return yoke_nursery_close_flat(&n, e);
}

static yoke_error *in_thread(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    return pause_in_thread();
}

static yoke_error *root_thread(yoke_actors *actors)
{
    return pause_in_thread();
}

static yoke_error *pause_task(void *name)
{
    YOKE_TRY(yoke_pause());
    SAY("task %s goes on", (const char *)name);
    return NULL;
}

static yoke_error *several(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    yoke_nursery n;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, thread_main, NULL);
    yoke_error *e = yoke_spawn(&n, tick, NULL);
    for (int i = 0; i < 2 && !e; i++)
        e = yoke_spawn_with(&n, pause_task, (void *)(i ? "second" : "first"),
                            &(yoke_spawn_options){.name = i ? "second" : "first"});
    if (!e)
        e = wait_for_threads(THREADS);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    YOKE_TRY(wait_for_sign("end"));
    yoke_nursery_cancel(&n, "done");
    return yoke_nursery_close_flat(&n, e);
}

YOKE_MODULE(stops, YOKE_CONTEXT(lines, none, none, none), YOKE_CONTEXT(forever, none, none, none),
            YOKE_CONTEXT_STREAM(send_after_pause, none, none, none, none, i64),
            YOKE_CONTEXT(shielded, none, none, none), YOKE_CONTEXT(without_channel, none, none, none),
            YOKE_CONTEXT(in_thread, none, none, none), YOKE_CONTEXT(several, none, none, none));

/* ---- scenes with children ---- */

static yoke_error *start(yoke_actors *actors, const char *name, const char *endpoint, yoke_context **ctx)
{
    yoke_portal *portal;
    YOKE_TRY(yoke_actors_start(actors, name, &(yoke_actor_options){.modules = "stops"}, &portal));
    return yoke_context_open(portal, ctx, endpoint, NULL, NULL);
}

static yoke_error *one(yoke_actors *actors, const char *endpoint)
{
    yoke_context *ctx;
    YOKE_TRY(start(actors, "left", endpoint, &ctx));
    YOKE_TRY(yoke_context_close(ctx, NULL));
    return yoke_actors_cancel(actors);
}

#define ONE(scene, endpoint)                                                                                 \
    static yoke_error *scene(yoke_actors *actors)                                                            \
    {                                                                                                        \
        return one(actors, endpoint);                                                                        \
    }
ONE(child_lines, "stops:lines")
ONE(child_forever, "stops:forever")
ONE(child_shielded, "stops:shielded")
ONE(child_thread, "stops:in_thread")
ONE(child_several, "stops:several")
ONE(no_channel, "stops:without_channel")

static yoke_error *receive_one(yoke_context *ctx)
{
    yoke_stream *stream;
    int64_t got = 0;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e = yoke_recv(stream, &got);
    SAY("root: %d", (int)got);
    return yoke_stream_close(stream, e);
}

static yoke_error *with_stream(yoke_actors *actors)
{
    yoke_context *ctx;
    YOKE_TRY(start(actors, "left", "stops:send_after_pause", &ctx));
    YOKE_TRY(yoke_context_close(ctx, receive_one(ctx)));
    return yoke_actors_cancel(actors);
}

static yoke_error *open_twenty(yoke_actors *actors, yoke_context **contexts, size_t n)
{
    char name[8];
    snprintf(name, sizeof name, "w%zu", n);
    YOKE_TRY(start(actors, name, "stops:lines", &contexts[n]));
    yoke_error *e = n + 1 < 20 ? open_twenty(actors, contexts, n + 1) : NULL;
    return yoke_context_close(contexts[n], e);
}

static yoke_error *twenty(yoke_actors *actors)
{
    yoke_context *contexts[20];
    YOKE_TRY(open_twenty(actors, contexts, 0));
    SAY("root: all twenty have ended");
    return yoke_actors_cancel(actors);
}

/* As a container that forbids it: ptrace(2) is EPERM from here on, for what is started here too. */
static yoke_error *no_ptrace(yoke_actors *actors)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof code[0], code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return yoke_raise_errno(errno, "seccomp");
    return one(actors, "stops:lines");
}

static const struct scene scenes[] = {
    {"root", root_pause},
    {"root_deep", root_deep},
    {"root_forever", root_forever},
    {"root_thread", root_thread},
    {"lines", child_lines},
    {"forever", child_forever},
    {"shielded", child_shielded},
    {"thread", child_thread},
    {"several", child_several},
    {"no_channel", no_channel, {.acknowledge_bound = YOKE_MS(200), .kill_bound = YOKE_MS(400)}},
    {"stream", with_stream, {.acknowledge_bound = YOKE_MS(20), .kill_bound = YOKE_MS(50)}},
    {"twenty", twenty},
    {"no_ptrace", no_ptrace},
    {NULL},
};

static yoke_error *app(int argc, char **argv)
{
    return play(scenes, argc, argv);
}
YOKE_MAIN(app)
