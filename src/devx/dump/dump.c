#include "devx/dump/dump.h"

#include "actor/child.h"
#include "base/memory.h"
#include "devx/crash/crash.h"
#include "devx/dump/dump_text.h"
#include "devx/dump/silent.h"
#include "devx/trace/aside.h"
#include "task/bound.h"
#include "task/signal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Who is silent for so long does not answer; who waits for others says so more often. */
#define SILENCE YOKE_S(1)
#define BEAT    YOKE_MS(200)
/* A task that has come to no checkpoint for so long since the signal runs on and on. */
#define SPIN_BOUND YOKE_MS(500)

enum { STACK_BYTES = 256 << 10, PIECE_BYTES = 64 << 10, PATH_BYTES = 1024, WRITE_PATIENCE_S = 5 };

YOKE_RECORD(dump_args, (str, path), (boolean, json));

static yoke_error *dump(yoke_stream *stream, const dump_args *args);

/* Named as no token can be, so not by YOKE_MODULE. */
static const yoke_endpoint endpoints[] = {YOKE_STREAM(dump, dump_args, bytes)};
static yoke_module module = {"yoke.dump", endpoints, 1, NULL};

__attribute__((constructor(160))) static void register_module(void)
{
    yoke_module_register(&module);
}

/* ---- a child's part ---- */

/* An actor of the tree: this one, or one of its children. */
struct part {
    struct actor *actor;
    yoke_uid uid;
    pid_t pid;
    struct peer *peer; /* of a child; NULL: it has no channel */
    bool is_ending;
    const char *path; /* of the child: to be put before its name */
    bool json;
    struct buffer out;
    const char *silent; /* why it has told nothing */
};

static yoke_error *no_memory(void)
{
    return yoke_raise(&YOKE_NO_MEMORY, "a dump");
}

static struct dump_actor actor_of(const struct part *p)
{
    return (struct dump_actor){p->uid.name, p->uid.uuid, p->path, p->pid, p->is_ending};
}

/* A tree is dumped while somebody is at a prompt, too, and its clocks may stand still for that. */
static const yoke_scope_options fails = {.fail = true};

static yoke_error *take_piece(struct part *p, yoke_stream *stream)
{
    yoke_bytes piece;
    struct bound bound;
    YOKE_TRY(bound_open(&bound, SILENCE, &fails));
    YOKE_TRY(bound_close(&bound, yoke_recv(stream, &piece)));
    bool fine = buffer_append(&p->out, piece.data, piece.size);
    yoke_record_free(&yoke_record_bytes, &piece);
    return fine ? NULL : no_memory();
}

static yoke_error *open_stream(struct part *p, yoke_stream **stream)
{
    dump_args args = {p->path, p->json};
    struct bound bound;
    YOKE_TRY(bound_open(&bound, SILENCE, &fails));
    return bound_close(&bound, yoke_portal_stream_open(&p->peer->portal, stream, "yoke.dump:dump", &args,
                                                       &(yoke_stream_options){.allow_overruns = true}));
}

static yoke_error *ask(struct part *p)
{
    yoke_stream *stream;
    YOKE_TRY(open_stream(p, &stream));
    yoke_error *e;
    while (!(e = take_piece(p, stream)))
        ;
    if (yoke_error_is(e, &YOKE_END_OF_CHANNEL)) {
        yoke_error_free(e);
        e = NULL;
    }
    return yoke_stream_close(stream, e);
}

static void look_from_outside(void *arg)
{
    struct part *p = arg;
    struct dump_actor actor = actor_of(p);
    struct buffer outside = BUFFER_EMPTY;
    if (silent_describe(&outside, p->pid) && buffer_append(&outside, "", 1))
        dump_write_silent(&p->out, &actor, p->silent, (char *)buffer_begin(&outside), p->json);
    buffer_free(&outside);
}

/* A child that is gone, or serves no dumps, has at least a line. */
static yoke_error *tell_silence(struct part *p, yoke_error *e)
{
    bool is_late = yoke_error_is(e, &YOKE_TOO_SLOW);
    char *why = is_late ? memory_strdup("it does not answer") : memory_strdup(yoke_error_message(e));
    yoke_error_free(e);
    if (!why)
        return no_memory();
    buffer_consume(&p->out, buffer_size(&p->out)); /* a part of a dump would not be JSON */
    p->silent = why;
    yoke_error *failed = aside_run(look_from_outside, p);
    memory_free(why);
    return failed;
}

static yoke_error *ask_child(void *arg)
{
    struct part *p = arg;
    yoke_error *e = p->peer ? ask(p) : yoke_raise(&YOKE_CLOSED, "it is starting");
    if (!e || yoke_error_is_cancelled(e))
        return e;
    return tell_silence(p, e);
}

/* ---- this actor and all below ---- */

struct tree {
    struct part own;
    const yoke_task *asked_for; /* the task that this is done for: no part of the picture */
    char path[PATH_BYTES];      /* of the children */
    struct part *children;
    size_t count;
    struct capture capture;
    bool failed;
};

static yoke_error *list_children(struct tree *t)
{
    struct actor *a = t->own.actor;
    size_t count = 0;
    list_for_each(node, &a->children)
        count++;
    t->children = memory_calloc(count + 1, sizeof *t->children);
    if (!t->children)
        return no_memory();
    list_for_each(node, &a->children) {
        struct child *c = container_of(node, struct child, in_actor);
        t->children[t->count++] = (struct part){
            .actor = a,
            .uid = c->uid,
            .pid = c->pid,
            .peer = c->peer && c->state >= CHILD_READY ? peer_keep(c->peer) : NULL,
            .is_ending = c->state > CHILD_READY,
            .path = t->path,
            .json = t->own.json,
        };
    }
    return NULL;
}

static void write_own(void *arg)
{
    struct tree *t = arg;
    struct dump_actor actor = actor_of(&t->own);
    t->failed = !dump_write(&t->own.out, &actor, &t->capture, t->own.json);
}

static yoke_error *capture_own(struct tree *t)
{
    yoke_error *e = capture_take(&t->capture, t->asked_for);
    if (!e)
        e = aside_run(write_own, t);
    capture_free(&t->capture);
    return e ? e : t->failed ? no_memory() : NULL;
}

static yoke_error *ask_all(struct tree *t)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (size_t i = 0; i < t->count && !e; i++)
        e = yoke_spawn_with(&n, ask_child, &t->children[i], &(yoke_spawn_options){.name = "dump of a child"});
    if (!e)
        e = capture_own(t);
    return yoke_nursery_close_flat(&n, e);
}

static yoke_error *join_parts(struct tree *t)
{
    struct buffer *out = &t->own.out;
    bool fine = true;
    for (size_t i = 0; i < t->count && fine; i++) {
        const struct buffer *part = &t->children[i].out;
        if (i && t->own.json)
            fine = buffer_append(out, ",", 1);
        fine = fine && buffer_append(out, buffer_begin(part), buffer_size(part));
    }
    if (t->own.json)
        fine = fine && dump_end_json(out);
    return fine ? NULL : no_memory();
}

static yoke_error *dump_tree(struct tree *t)
{
    struct actor *a = t->own.actor;
    int n = snprintf(t->path, sizeof t->path, "%s%s / ", t->own.path, a->uid.name);
    if (n >= (int)sizeof t->path)
        strcpy(t->path, ".. / ");
    yoke_error *e = list_children(t);
    if (!e)
        e = ask_all(t);
    if (!e)
        e = join_parts(t);
    for (size_t i = 0; i < t->count; i++) {
        if (t->children[i].peer)
            peer_release(t->children[i].peer);
        buffer_free(&t->children[i].out);
    }
    memory_free(t->children);
    return e;
}

/* The dump of this actor and all below it, but for the task `asked_for`; the caller frees `*out`, also after
 * an error. */
static yoke_error *take_dump(struct actor *a, const yoke_task *asked_for, const char *path, bool json,
                             struct buffer *out)
{
    *out = BUFFER_EMPTY;
    struct tree *t = memory_calloc(1, sizeof *t);
    if (!t)
        return no_memory();
    t->own = (struct part){.actor = a,
                           .uid = a->uid,
                           .pid = getpid(),
                           .path = path,
                           .json = json,
                           .is_ending = a->cancel_called};
    t->asked_for = asked_for;
    yoke_error *e = dump_tree(t);
    *out = t->own.out;
    memory_free(t);
    return e;
}

/* ---- asked by the parent ---- */

static yoke_error *beat(void *stream)
{
    for (;;) {
        YOKE_TRY(bound_sleep(BEAT));
        YOKE_TRY(yoke_send(stream, &(yoke_bytes){0}));
    }
}

/* In a task of its own, for the stack that the unwinder wants. */
struct serving {
    struct actor *actor;
    const yoke_task *endpoint;
    const dump_args *args;
    yoke_stream *stream;
    yoke_nursery *nursery;
    struct buffer out;
};

static yoke_error *take_served(void *arg)
{
    struct serving *s = arg;
    YOKE_TRY(take_dump(s->actor, s->endpoint, s->args->path, s->args->json, &s->out));
    yoke_nursery_cancel(s->nursery, NULL); /* the beat */
    return NULL;
}

static yoke_error *take_with_beat(struct serving *s)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    s->nursery = &n;
    yoke_error *e = yoke_spawn(&n, beat, s->stream);
    if (!e)
        e = yoke_spawn_with(&n, take_served, s,
                            &(yoke_spawn_options){.name = "dump", .stack_bytes = STACK_BYTES});
    return yoke_nursery_close_flat(&n, e);
}

static yoke_error *send_pieces(yoke_stream *stream, const struct buffer *b)
{
    for (size_t at = 0, size; at < buffer_size(b); at += size) {
        size = buffer_size(b) - at < PIECE_BYTES ? buffer_size(b) - at : PIECE_BYTES;
        YOKE_TRY(yoke_send(stream, &(yoke_bytes){buffer_begin(b) + at, size}));
    }
    return NULL;
}

static yoke_error *dump(yoke_stream *stream, const dump_args *args)
{
    struct actor *a = actor_here();
    if (a->no_dump)
        return yoke_raise(&YOKE_CLOSED, "dumps are turned off");
    struct serving s = {
        .actor = a, .endpoint = task_here(), .args = args, .stream = stream, .out = BUFFER_EMPTY};
    yoke_error *e = take_with_beat(&s);
    if (!e)
        e = send_pieces(stream, &s.out);
    buffer_free(&s.out);
    return e;
}

/* ---- asked by a signal ---- */

socklen_t dump_address(struct sockaddr_un *address, pid_t asker, int value)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "yoke-dump.%d.%x", (int)asker,
                     (unsigned)value);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

struct request {
    struct actor *actor;
    pid_t asker; /* 0: somebody who wants it on stderr */
    int value;
    int fd;
    struct buffer out;
    int error;
};

/* All of it, also to a terminal or a pipe that its owner has made non-blocking. An errno, or 0. */
static int write_all(int fd, const struct buffer *b, bool is_socket)
{
    const uint8_t *at = buffer_begin(b);
    for (size_t left = buffer_size(b); left;) {
        ssize_t n = is_socket ? send(fd, at, left, MSG_NOSIGNAL) : write(fd, at, left);
        if (n >= 0) {
            at += n;
            left -= (size_t)n;
            continue;
        }
        if (errno != EINTR && (errno != EAGAIN || is_socket))
            return errno;
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (poll(&p, 1, WRITE_PATIENCE_S * 1000) == 0)
            return ETIMEDOUT;
    }
    return 0;
}

/* The asker is of this user, or root, and the process that sent the signal. */
static bool is_asker(int fd, pid_t asker)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == asker &&
           (peer.uid == geteuid() || peer.uid == 0);
}

/* At once, so that the asker knows that there will be an answer. -1 and errno. */
static int connect_asker(const struct request *r)
{
    struct sockaddr_un address;
    socklen_t size = dump_address(&address, r->asker, r->value);
    struct timeval patience = {.tv_sec = WRITE_PATIENCE_S};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    bool fine = connect(fd, (struct sockaddr *)&address, size) == 0;
    if (fine && !is_asker(fd, r->asker)) {
        errno = EPERM;
        fine = false;
    }
    if (fine && fcntl(fd, F_SETFL, 0) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static void deliver(void *arg)
{
    struct request *r = arg;
    r->error = write_all(r->fd, &r->out, r->asker != 0);
}

static yoke_error *serve_request(struct request *r)
{
    bool json = r->asker && r->value & DUMP_JSON;
    r->fd = r->asker ? connect_asker(r) : STDERR_FILENO;
    if (r->fd < 0)
        return yoke_raise_errno(errno, "connecting to process %d, which wants it", (int)r->asker);
    yoke_error *e = take_dump(r->actor, task_here(), "", json, &r->out);
    if (!e)
        e = aside_run(deliver, r);
    if (r->asker)
        close(r->fd);
    if (!e && r->error)
        e = yoke_raise_errno(r->error, "writing it");
    return e;
}

/* A task of the run's own: what it fails with is not to end the run. */
static yoke_error *request_task(void *arg)
{
    struct request *r = arg;
    struct actor *a = r->actor;
    yoke_error *e = serve_request(r);
    buffer_free(&r->out);
    memory_free(r);
    if (--a->dumps == 0 && a->dumps_closing)
        yoke_event_set(&a->dumped);
    if (!e || yoke_error_is_cancelled(e))
        return e;
    yoke_log(YOKE_ERROR, "no dump: %s", yoke_error_message(e));
    yoke_error_free(e);
    return NULL;
}

static void asked(void *arg, int number, unsigned count)
{
    union sigval value;
    pid_t asker = signal_last_queued(number, &value);
    struct request *r = memory_calloc(1, sizeof *r);
    if (!r)
        return;
    r->actor = arg;
    if (asker && (value.sival_int & DUMP_ASKED_MASK) == DUMP_ASKED) {
        r->asker = asker;
        r->value = value.sival_int;
    }
    yoke_error *e = yoke_spawn_system_at(__FILE__, __LINE__, "dump", request_task, r,
                                         &(yoke_spawn_options){.stack_bytes = STACK_BYTES});
    r->actor->dumps += !e;
    if (!e)
        return;
    memory_free(r); /* the run ends */
    yoke_error_free(e);
}

static void tell_spinning(int number, void *context)
{
    crash_tell_running(context);
}

/* Without a timer (a user has so many) a task that spins is not told of: no reason for an actor not to begin.
 */
static void watch_for_spinning(void)
{
    yoke_error *e = signal_bound(scheduler_here, SIGUSR1, SPIN_BOUND, false);
    if (e)
        yoke_log(YOKE_RUNTIME, "a task that runs on and on will not be told of: %s", yoke_error_message(e));
    yoke_error_free(e);
    signal_overdue(scheduler_here, SIGUSR1, tell_spinning);
}

yoke_error *dump_begin(struct actor *a)
{
    const char *value = getenv("YOKE_DUMP");
    if (value && strcmp(value, "0") == 0)
        a->no_dump = true;
    if (a->no_dump)
        return NULL;
    YOKE_TRY(signal_watch(scheduler_here, SIGUSR1, SIGNAL_ENDS, asked, a, NULL));
    watch_for_spinning();
    return NULL;
}

void dump_end(struct actor *a)
{
    yoke_scope shield;
    signal_unwatch(scheduler_here, SIGUSR1);
    a->dumps_closing = true;
    yoke_error *e = a->dumps ? task_shield_open(&shield, (yoke_scope_options){0}) : NULL;
    if (a->dumps && !e)
        e = task_shield_close(&shield, yoke_event_wait(&a->dumped));
    yoke_error_free(e);
}
