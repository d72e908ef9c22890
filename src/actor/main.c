#include "actor/main.h"

#include "actor/death.h"
#include "actor/debug.h"
#include "actor/guard.h"
#include "actor/interrupt.h"
#include "actor/orphan.h"
#include "actor/peer.h"
#include "actor/program.h"
#include "actor/relay.h"
#include "actor/root.h"
#include "actor/serve.h"
#include "actor/server.h"
#include "actor/spawn.h"
#include "actor/zygote.h"
#include "ipc/handshake.h"
#include "msg/uid.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { STATUS_USAGE = 2 };

/* ---- a child ---- */

struct child_run {
    pid_t parent;
    bool parent_lost; /* before this actor ended its channel */
    struct actor actor;
};

static yoke_error *meet_parent(struct child_run *run, struct channel **channel)
{
    struct actor *a = &run->actor;
    yoke_uid uid;
    fcntl(SPAWN_CHANNEL_FD, F_SETFD, FD_CLOEXEC);
    YOKE_TRY(channel_open(channel, SPAWN_CHANNEL_FD, &transport_uds, NULL));
    yoke_error *e = handshake_child(*channel, &uid, HANDSHAKE_BOUND);
    if (!e) {
        a->uid = uid;
        char comm[16];
        snprintf(comm, sizeof comm, "yoke-%.10s", uid.name);
        prctl(PR_SET_NAME, comm);
    }
    if (e)
        channel_close(*channel);
    return e;
}

/* An actor that can't be what it is to be: its parent hears why, in no dialog, for there is none yet. */
static void tell_failure(struct peer *parent, const yoke_error *failure)
{
    yoke_scope s;
    yoke_error *e = channel_takes(parent->channel);
    if (!e) {
        relay_post(parent, (struct text_view){0}, failure, NULL);
        e = yoke_move_on_after(&s, GUARD_BOUND);
        if (!e)
            e = yoke_scope_close(&s, channel_drain(parent->channel));
    }
    yoke_error_free(e);
}

static yoke_error *learn(struct peer *parent)
{
    struct msg m;
    YOKE_TRY(channel_receive(parent->channel, &m));
    yoke_error *e = spawn_take_spec(parent->actor, &m);
    if (e)
        tell_failure(parent, e);
    return e;
}

/* Serves till it is asked to end, or the parent is gone; then its tasks end, and who asked is answered. */
static yoke_error *serve(struct actor *a)
{
    yoke_error *e = yoke_event_wait(&a->cancelled);
    if (e)
        return e;
    YOKE_TRY(yoke_event_wait(&a->idle));
    serve_tell_canceller(a);
    serve_acknowledge_end(a);
    yoke_scope s;
    YOKE_TRY(yoke_move_on_after(&s, GUARD_BOUND));
    e = yoke_scope_close(&s, channel_drain(a->parent->channel));
    if (!yoke_error_is(e, &YOKE_TRANSPORT_CLOSED))
        return e;
    yoke_error_free(e);
    return NULL;
}

/* Serves, and then sees the loop end that reads the parent's channel. */
static yoke_error *serve_parent(struct child_run *run)
{
    struct actor *a = &run->actor;
    struct peer *parent = peer_keep(a->parent);
    yoke_error *e = serve(a);
    run->parent_lost = parent->lost != NULL;
    server_close(a, 0);
    if (run->parent_lost)
        server_remove_dead_parent(a, &parent->channel->peer, (pid_t)parent->channel->peer_pid);
    channel_break(parent->channel, yoke_raise(&YOKE_TRANSPORT_CLOSED, "this actor ends"));
    e = yoke_error_join(e, yoke_event_wait(&parent->ended));
    peer_release(parent);
    return e;
}

static yoke_error *begin(struct actor *a)
{
    YOKE_TRY(interrupt_begin(a));
    return a->hooks && a->hooks->runtime_begins ? a->hooks->runtime_begins(a) : NULL;
}

static yoke_error *child_task(void *arg)
{
    struct child_run *run = arg;
    struct actor *a = &run->actor;
    struct channel *channel;
    YOKE_TRY(meet_parent(run, &channel));
    scheduler_here->above = a;
    YOKE_TRY(peer_open(&a->parent, a, channel));
    struct peer *parent = a->parent;
    parent->is_parent = true;
    yoke_error *e = learn(parent);
    if (!e)
        e = guard_begin(run->parent, &a->uid);
    if (!e)
        e = begin(a);
    if (!e)
        e = peer_begin(parent);
    if (!e)
        e = serve_parent(run);
    peer_close(parent);
    a->parent = NULL;
    return e;
}

static int status_of_child(const struct actor *a, yoke_error *e)
{
    if (!e)
        return a->ended_by ? DEATH_OF_SIGNAL + a->ended_by : EXIT_SUCCESS;
    bool parent_gone = yoke_error_is(e, &YOKE_TRANSPORT_CLOSED);
    yoke_log(parent_gone ? YOKE_RUNTIME : YOKE_ERROR, "this actor ends: %s", yoke_error_message(e));
    yoke_error_free(e);
    return EXIT_FAILURE;
}

static int child_main(pid_t parent, char **argv, const struct actor_hooks *hooks)
{
    if (fcntl(SPAWN_CHANNEL_FD, F_GETFD) < 0 || fcntl(SPAWN_CRASH_FD, F_SETFD, FD_CLOEXEC) < 0) {
        fprintf(stderr, "%s: this option is for the program's own use\n", argv[0] ? argv[0] : "yoke");
        return 2;
    }
    guard_birth(parent, argv[0]);
    orphan_tag_self();
    interrupt_birth();
    if (hooks && hooks->child_begins)
        hooks->child_begins(SPAWN_CRASH_FD);
    struct child_run run = {.parent = parent};
    yoke_uid nobody = {"?", ""};
    actor_init(&run.actor, &nobody, hooks, argv);
    yoke_error_free(program_actor_begins(&run.actor)); /* the first thing in its life */
    struct error_identity identity = {.actor = actor_name, .arg = &run.actor};
    error_identity_set(&identity);
    yoke_error *e = yoke_run(child_task, &run, &(yoke_run_options){.ignore_interrupt = true});
    int status = status_of_child(&run.actor, e);
    actor_free(&run.actor);
    /* A parent that is there sweeps up after this actor. */
    if (run.parent_lost || getppid() != parent)
        orphan_end_rest(run.actor.uid.uuid);
    error_identity_set(NULL);
    return status;
}

/* ---- the root ---- */

struct root_run {
    int argc;
    char **argv;
    yoke_error *(*app)(int argc, char **argv);
    struct actor actor;
};

/* In a scope that a peer's request to end cancels. */
static yoke_error *run_app(struct root_run *run)
{
    struct actor *a = &run->actor;
    yoke_scope scope;
    YOKE_TRY(yoke_scope_open(&scope));
    a->app_scope = &scope;
    yoke_error *e = task_join_owed(task_here(), run->app(run->argc, run->argv));
    actor_error_leaves(a, e, &(struct error_way){ERROR_LEAVES_TASK, NULL, NULL});
    a->app_scope = NULL;
    return yoke_scope_close(&scope, e);
}

static yoke_error *root_task(void *arg)
{
    struct root_run *run = arg;
    scheduler_here->above = &run->actor;
    yoke_error *e = begin(&run->actor);
    if (!e)
        e = server_begin_root(&run->actor);
    if (!e)
        e = run_app(run);
    root_end(&run->actor);
    return e;
}

static enum yoke_backend backend_from_environment(void)
{
    const char *name = getenv("YOKE_BACKEND");
    if (!name || !*name || strcmp(name, "exec") == 0)
        return YOKE_BACKEND_EXEC;
    if (strcmp(name, "fork") == 0)
        return YOKE_BACKEND_FORK;
    fprintf(stderr, "yoke: YOKE_BACKEND is `%s`: it can be exec or fork; exec is taken\n", name);
    return YOKE_BACKEND_EXEC;
}

/* The signal that the program's error comes of, or 0. */
static int signal_of(const struct actor *a, const yoke_error *e)
{
    if (yoke_error_find(e, &YOKE_INTERRUPTED))
        return a->ended_by ? a->ended_by : SIGINT;
    bool pipe = yoke_error_errno(e) == EPIPE && interrupt_output_is_closed();
    return pipe ? SIGPIPE : 0;
}

/* A signal for the whole process group ended children too: that says nothing more. */
static bool is_echo(const yoke_error *leaf, void *arg)
{
    return yoke_error_find(leaf, &YOKE_ACTOR_CANCELLED) || yoke_error_is(leaf, &YOKE_CONTEXT_CANCELLED);
}

static void tell_signal(yoke_error *e, int number)
{
    yoke_error *echoes;
    yoke_error_split_by(&e, is_echo, NULL, &echoes);
    yoke_error_free(echoes);
    e = yoke_error_collapse(e);
    if (!yoke_error_is(e, &YOKE_INTERRUPTED))
        yoke_error_print(stderr, e);
    else if (number == SIGINT)
        fprintf(stderr, "interrupted\n");
    else
        fprintf(stderr, "ended by SIG%s\n", sigabbrev_np(number));
    yoke_error_free(e);
}

static int status_of_signal(const struct actor *a, int number)
{
    if (a->signal_status == YOKE_DIE_OF_IT)
        interrupt_exit_by(number);
    return a->signal_status > 0 ? a->signal_status : DEATH_OF_SIGNAL + number;
}

/* Tells the person how the program ended. */
static int report(const struct actor *a, yoke_error *e)
{
    if (!e)
        return a->exit_status;
    int number = signal_of(a, e);
    fflush(stdout);
    if (!number) {
        e = yoke_error_collapse(e);
        yoke_error_print(stderr, e);
        yoke_error_free(e);
        return a->exit_status ? a->exit_status : EXIT_FAILURE;
    }
    if (number == SIGPIPE) /* whoever read it has left, and wants to hear no more */
        yoke_error_free(e);
    else
        tell_signal(e, number);
    return status_of_signal(a, number);
}

void yoke_exit_status(int status)
{
    struct actor *a = actor_here();
    if (a && status > 0 && status < 256)
        a->exit_status = status;
}

void yoke_exit_status_of_signal(int status)
{
    struct actor *a = actor_here();
    if (a && status >= YOKE_DIE_OF_IT && status < 256)
        a->signal_status = status;
}

/* Else the runtime's own descriptors would have these numbers, and every child would inherit them. */
static void open_standard_fds(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO && fcntl(fd, F_SETFD, 0) == 0);
    if (fd > STDERR_FILENO)
        close(fd);
}

static int root_main(int argc, char **argv, yoke_error *(*app)(int, char **), const struct actor_hooks *hooks)
{
    struct root_run run = {.argc = argc, .argv = argv, .app = app};
    yoke_uid uid;
    uid_make(&uid, "root");
    actor_init(&run.actor, &uid, hooks, argv);
    run.actor.is_root = true;
    struct debug debug;
    yoke_error *refused = debug_from_environment(&debug, false);
    if (!refused)
        refused = network_configure(&run.actor.network, &run.actor.listen, NULL);
    if (!refused)
        refused = program_actor_begins(&run.actor);
    if (refused) {
        yoke_error_print(stderr, refused);
        yoke_error_free(refused);
        actor_free(&run.actor);
        return STATUS_USAGE;
    }
    run.actor.backend = backend_from_environment();
    run.actor.debug_mode = debug.on;
    run.actor.debug_words = debug.words;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    open_standard_fds();
    interrupt_prepare_exit();
    if (hooks && hooks->root_begins)
        hooks->root_begins();
    struct error_identity identity = {.actor = actor_name, .arg = &run.actor};
    error_identity_set(&identity);
    yoke_error *e = yoke_run(root_task, &run, &(yoke_run_options){.ignore_interrupt = true});
    int status = report(&run.actor, e);
    program_actor_ends(&run.actor);
    actor_free(&run.actor);
    error_identity_set(NULL);
    return status;
}

/* ---- which of them ---- */

/* The parent's process id behind `option`, or 0. */
static pid_t role(const char *arg, const char *option)
{
    size_t size = strlen(option);
    return arg && strncmp(arg, option, size) == 0 ? (pid_t)strtol(arg + size, NULL, 10) : 0;
}

bool actor_child_main(int argc, char **argv, const struct actor_hooks *hooks, int *status)
{
    const char *last = argc >= 2 ? argv[argc - 1] : NULL; /* after those of yoke_actor_options.command */
    pid_t parent = role(last, SPAWN_CHILD_OPTION);
    program_take(argv, hooks);
    if (!parent && argc == 2 && (parent = role(last, SPAWN_ZYGOTE_OPTION)))
        zygote_serve(parent, argv);
    if (parent)
        *status = child_main(parent, argv, hooks);
    return parent != 0;
}

int actor_main(int argc, char **argv, yoke_error *(*app)(int argc, char **argv),
               const struct actor_hooks *hooks)
{
    int status;
    if (!actor_child_main(argc, argv, hooks, &status))
        status = root_main(argc, argv, app, hooks);
    return status;
}
