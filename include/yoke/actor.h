/*
 * Floor 4: actors. One actor is one process; the program's own binary is every actor of its tree (YOKE_MAIN).
 *
 * An actor nursery (yoke_actors) starts actors and does not close before each of them is reaped. When one
 * fails the others are cancelled. A portal is how one actor speaks to another: it calls endpoints, and opens
 * contexts: pairs of linked tasks, one on each side, in which messages stream both ways.
 *
 * All functions here are called from a task. Portals, contexts and streams belong to the actor that got them;
 * a portal lives as long as the nursery that gave it. The model is tractor's (Python); names are its names.
 */
#ifndef YOKE_ACTOR_H
#define YOKE_ACTOR_H

#include <yoke/ipc.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- kinds -------------------------------------------------------------------------------------- */

extern const yoke_error_kind
    YOKE_REMOTE; /* an error of another actor; its cause is that error as it was there */
extern const yoke_error_kind
    YOKE_CONTEXT_CANCELLED;                     /* a linked task was cancelled: see yoke_error_canceller */
extern const yoke_error_kind YOKE_ACTOR_DIED;   /* by a signal; with its backtrace where the actor crashed */
extern const yoke_error_kind YOKE_ACTOR_EXITED; /* by itself, though nobody had asked it to */
extern const yoke_error_kind
    YOKE_ACTOR_CANCELLED; /* somebody outside of this tree's rules ended it: SIGTERM */
extern const yoke_error_kind YOKE_SPAWN_FAILED;
extern const yoke_error_kind YOKE_MODULE_NOT_EXPOSED;
extern const yoke_error_kind YOKE_ENDPOINT_NOT_FOUND;
extern const yoke_error_kind YOKE_STREAM_OVERRUN;
extern const yoke_error_kind YOKE_ACTOR_NOT_FOUND;
extern const yoke_error_kind YOKE_NO_RUNTIME;
extern const yoke_error_kind
    YOKE_ACTOR_TOO_SLOW; /* it did not acknowledge in time; no kind of YOKE_TOO_SLOW, which is a deadline's */
extern const yoke_error_kind YOKE_NO_RESULT; /* the actor has no main task */

/* Who asked for the cancellation that an error of kind YOKE_CONTEXT_CANCELLED tells of; NULL for other
 * errors. A view. */
const yoke_uid *yoke_error_canceller(const yoke_error *e);
/* Of an error of kind YOKE_REMOTE: the actor in which it was first raised. NULL for other errors. A view. */
const yoke_uid *yoke_error_source(const yoke_error *e);
/* Of an error of kind YOKE_ACTOR_DIED or YOKE_ACTOR_CANCELLED: the signal; of kind YOKE_ACTOR_EXITED: minus
 * the status. 0 for other errors. */
int yoke_error_signal(const yoke_error *e);

/* ---- the program ------------------------------------------------------------------------------- */

/* The exit status of the program, 1 to 255: with an error of app's instead of 1, without one (a bad command
   line, say) instead of 0. Any task of the root. */
void yoke_exit_status(int status);
/* The exit status of a program that a signal ends (ctrl-c, SIGTERM, SIGHUP, or SIGPIPE: nobody reads its
   output any more), 1 to 255; 0, the default: 128 + the signal's number; YOKE_DIE_OF_IT: it dies of the
   signal itself when all of its end is done, so that a shell's loop around it ends too. Any task of the root.
 */
#define YOKE_DIE_OF_IT (-1)
void yoke_exit_status_of_signal(int status);

/* ---- endpoints and modules ----------------------------------------------------------------------- */

typedef struct yoke_portal yoke_portal;
typedef struct yoke_context yoke_context;
typedef struct yoke_stream yoke_stream;
typedef struct yoke_actors yoke_actors;

enum yoke_endpoint_type {
    YOKE_ENDPOINT_CALL,
    YOKE_ENDPOINT_CONTEXT,
    YOKE_ENDPOINT_STREAM,
    YOKE_ENDPOINT_OPEN /* none that can be asked: what the module wants to do first */
};

/* One endpoint: made by the macros below. */
typedef struct yoke_endpoint {
    const char *name;
    enum yoke_endpoint_type type;
    const yoke_record *args, *started, *result, *down,
        *up; /* down, up: what the opener, the endpoint streams */
    yoke_error *(*call)(const void *args, void *result);
    yoke_error *(*context)(yoke_context *ctx, const void *args, void *result);
    yoke_error *(*stream)(yoke_stream *stream, const void *args);
    yoke_error *(*open)(void);
} yoke_endpoint;

typedef struct yoke_module {
    const char *name;
    const yoke_endpoint *endpoints;
    size_t count;
    struct yoke_module *next; /* in the list of the binary's modules */
    const char *file;         /* the shared object that it came from; NULL: the program */
} yoke_module;

/* Called by YOKE_MODULE before main(). Two modules of one name end the program. */
void yoke_module_register(yoke_module *module);

/*
 * YOKE_MODULE(words, YOKE_CALL(total, total_args, u64), YOKE_CONTEXT(count, part, none, sum)) defines and
 * registers a module of the endpoints `words:total` and `words:count`, made of the functions yoke_error
 * *total(const total_args *args, yoke_type_u64 *result); yoke_error *count(yoke_context *ctx, const part
 * *args, sum *result); The types are records (YOKE_RECORD) or u64, str, any, none, ... as in <yoke/msg.h>.
 * `result` is zeroed before the call; what it then owns is freed after it was sent. `args` lives during the
 * call. YOKE_CONTEXT takes the first value (started) as well; its stream carries generic values (yoke_value).
 * YOKE_CONTEXT_STREAM names the records of its stream too: `down` from the opener to the endpoint, `up` back.
 *
 * YOKE_STREAM(lines, lines_args, str) is a one-way stream, made of yoke_error *lines(yoke_stream *stream,
 * const lines_args *args); The endpoint sends its values by yoke_send and the stream ends with its return: in
 * peace, or with its error. A reader that leaves early cancels it (in a yoke_send, say). See
 * yoke_portal_stream_open.
 *
 * YOKE_OPEN(prepare) in the list is no endpoint: yoke_error *prepare(void) runs in each actor that serves the
 * module, before anybody can ask anything of it. Its error is what yoke_actors_start then returns.
 *
 * A module may be in a shared object too: one compiled with -shared -fPIC, whose path stands in an actor's
 * `.modules`. It and the program share one libyoke: link the program with the shared library, or with
 * -rdynamic.
 */
#define YOKE_MODULE(module_name, ...)                                                                        \
    static const yoke_endpoint yoke_endpoints_##module_name##_[] = {__VA_ARGS__};                            \
    static yoke_module yoke_module_##module_name##_ = {                                                      \
        #module_name, yoke_endpoints_##module_name##_,                                                       \
        sizeof yoke_endpoints_##module_name##_ / sizeof yoke_endpoints_##module_name##_[0], NULL, NULL};     \
    __attribute__((constructor(160))) static void yoke_module_##module_name##_register_(void)                \
    {                                                                                                        \
        yoke_module_register(&yoke_module_##module_name##_);                                                 \
    }

/* clang-format off */
/* The conditional lets the compiler compare the function's type with the records' before it is cast. */
#define YOKE_CALL(fn, args_type, result_type)                                                                \
    {                                                                                                        \
        #fn, YOKE_ENDPOINT_CALL, YOKE_TAKES_(args_type), &yoke_record_none, &yoke_record_##result_type,     \
            NULL, NULL,                                                                                      \
            (yoke_error * (*)(const void *, void *))(                                                        \
                1 ? (fn)                                                                                     \
                  : (yoke_error * (*)(const yoke_type_##args_type *, yoke_type_##result_type *))0),          \
            NULL, NULL, NULL                                                                                 \
    }
#define YOKE_OPEN(fn)                                                                                        \
    {                                                                                                        \
        #fn, YOKE_ENDPOINT_OPEN, &yoke_record_none, &yoke_record_none, &yoke_record_none, NULL, NULL, NULL,  \
            NULL, NULL, 1 ? (fn) : (yoke_error * (*)(void))0                                                       \
    }
/* Arguments travel by name: of another type the compiler says that yoke_this_takes_a_record_or_none_but_not_... */
#define YOKE_TAKES_(type) &yoke_record_##type + yoke_this_takes_a_record_or_none_but_not_##type
#define YOKE_CONTEXT(fn, args_type, started_type, result_type)                                               \
    YOKE_CONTEXT_STREAM(fn, args_type, started_type, result_type, any, any)
#define YOKE_CONTEXT_STREAM(fn, args_type, started_type, result_type, down_type, up_type)                    \
    {                                                                                                        \
        #fn, YOKE_ENDPOINT_CONTEXT, YOKE_TAKES_(args_type), &yoke_record_##started_type,                     \
            &yoke_record_##result_type, &yoke_record_##down_type, &yoke_record_##up_type, NULL,              \
            (yoke_error * (*)(yoke_context *, const void *, void *))(                                        \
                1 ? (fn)                                                                                     \
                  : (yoke_error * (*)(yoke_context *, const yoke_type_##args_type *,                         \
                                      yoke_type_##result_type *))0),                                         \
            NULL, NULL                                                                                       \
    }
#define YOKE_STREAM(fn, args_type, item_type)                                                                \
    {                                                                                                        \
        #fn, YOKE_ENDPOINT_STREAM, YOKE_TAKES_(args_type), &yoke_record_none, &yoke_record_none,             \
            &yoke_record_none, &yoke_record_##item_type, NULL, NULL,                                         \
            (yoke_error * (*)(yoke_stream *, const void *))(                                                 \
                1 ? (fn) : (yoke_error * (*)(yoke_stream *, const yoke_type_##args_type *))0),               \
            NULL                                                                                             \
    }
/* clang-format on */

/* ---- actor nurseries ------------------------------------------------------------------------------ */

enum yoke_backend {
    YOKE_BACKEND_DEFAULT, /* the environment's YOKE_BACKEND (exec, fork), else the parent's, else exec */
    YOKE_BACKEND_EXEC,    /* the same executable, started anew */
    YOKE_BACKEND_FORK /* cloned from a bare image of the program that waits for that: faster, same behaviour
                       */
};

/* How a nursery has ended. */
typedef struct yoke_actors_outcome {
    bool cancel_called; /* by yoke_actors_cancel, a failure, or the close because of an error of the body */
    bool cancelled_caught;  /* a failure of a child has cut the body short */
    size_t started, failed; /* actors; each error that one had of its own counts */
} yoke_actors_outcome;

/*
 * What an actor nursery is given for the root that it opens. The environment wins (YOKE_BACKEND, YOKE_DEBUG,
 * YOKE_DUMP=0, YOKE_TRANSPORT, YOKE_LISTEN, YOKE_SECRET, YOKE_STRANGERS, YOKE_LOST_MS), and is all that a
 * program of YOKE_MAIN has.
 *
 * Over tcp the kernel does not say who somebody is: who connects, and who is connected to, proves to know the
 * tree's secret; else the connection is refused. Nothing that is said over tcp is encrypted.
 */
typedef struct yoke_root_options {
    const char *name;    /* NULL: root */
    const char *modules; /* that it serves to its tree; as an actor's */
    enum yoke_backend backend;
    int debug_mode;         /* > 0: on */
    const char *log_filter; /* till the close; as yoke_log_set; NULL: as it is */
    bool no_dump;           /* SIGUSR1 is left alone, here and in the tree below; else it makes an actor print
                               what its tasks, and those of the actors below it, are doing */
    const char *transport;  /* on which the tree's actors listen when they are found: uds or tcp (ports of the
                               loopback interface, the root from its open on); NULL: that of
                               `listen`, else uds */
    const char *listen; /* where the root listens, from its open on, and is found; as for yoke_connect, with
                           port 0 for any; NULL: when somebody wants its address */
    const char *secret; /* 16 to 128 bytes, the same in programs that are to reach each other over tcp; NULL:
                           a random one */
    int let_strangers_in; /* > 0: who does not know the secret is spoken to over tcp as well: it may ask for
                             what an actor's modules have, and for nothing of the runtime */
    int64_t lost_bound; /* ns; 0: 60 s, at least 2 s: over tcp a peer whose host has vanished is found within
                           it; so is one that leaves what was sent to it unread for as long */
} yoke_root_options;

typedef struct yoke_actors_options {
    enum yoke_backend backend;
    int debug_mode; /* > 0: on, for the tree below; 0: as the environment's YOKE_DEBUG or the parent has it; <
                       0: off */
    int64_t acknowledge_bound; /* 0: 0.5 s: for the answer to a cancel request */
    int64_t kill_bound;        /* 0: 1.6 s: from the request to SIGKILL */
    size_t starts_at_once; /* how many children may be between their start and the handshake; 0: any number */
    const yoke_root_options *root; /* NULL: defaults. YOKE_USAGE where a root is open already */
    yoke_actors_outcome *outcome;  /* filled by the close; NULL: nobody asks */
} yoke_actors_options;

typedef struct yoke_actor_options {
    const char *modules;       /* names, and paths (with a slash) of shared objects, whose modules are all
                                  served; separated by spaces or commas; NULL: none */
    enum yoke_backend backend; /* default: the nursery's */
    const char *log_filter;    /* as yoke_log_set; NULL: the parent's */
    int debug_mode;            /* as above; 0: the nursery's */
    int64_t start_bound;       /* 0: 10 s: from the start to the handshake */
    const char *listen; /* where it listens from its start on, and is found; as for yoke_connect, with port 0
                           for any; NULL: as the root decided, when somebody wants its address */
    /* The program to start in place of this one, and its arguments, NULL-terminated; searched in PATH if it
     * has no slash. It is given one argument more, the last, which its YOKE_MAIN takes. Always by exec. */
    char *const *command;
} yoke_actor_options;

/*
 * Opens an actor nursery in the calling task; the body is inside of a scope of the nursery, which is
 * cancelled when a child fails. options NULL: defaults. Where no actor runs (a program that is not one of
 * YOKE_MAIN, in its yoke_run) it opens a root too, and the close ends that: an implicit root. YOKE_USAGE: an
 * option that can't be; nothing was opened.
 */
/* yoke_actors_open(actors, options) */
#define yoke_actors_open(...) yoke_actors_open_at(__FILE__, __LINE__, __VA_ARGS__)
YOKE_MUST_USE yoke_error *yoke_actors_open_at(const char *file, int line, yoke_actors **actors,
                                              const yoke_actors_options *options);
/*
 * Waits till every child is reaped, given the body's error; frees the nursery and its portals; returns what
 * remains. With an error, or after yoke_actors_cancel, the children are cancelled; otherwise the close waits
 * till they end: an actor that was started, and not run for one call, does so when it is cancelled, and the
 * log says at level `cancel` for whom it waits. One error comes as it is, several as a group, in the order in
 * which they came. YOKE_USAGE (with `e`): it is closed already, or another task's; the nursery stays as it
 * is.
 */
YOKE_MUST_USE yoke_error *yoke_actors_close(yoke_actors *actors, yoke_error *e);
/*
 * Cancels all children at once and waits till each is reaped: request (acknowledge_bound), SIGTERM, SIGKILL
 * (kill_bound). Not interrupted by a cancellation. YOKE_CLOSED: it was closed.
 */
YOKE_MUST_USE yoke_error *yoke_actors_cancel(yoke_actors *actors);
/* The same without asking: SIGKILL to each child at once. What is below them ends by itself. */
YOKE_MUST_USE yoke_error *yoke_actors_kill(yoke_actors *actors);
/*
 * Starts an actor; returns when its portal can be used. name: 1 to 64 bytes of UTF-8 without '/' and control
 * characters. Checkpoint. YOKE_USAGE: a bad name, or a module that is not in this binary; YOKE_CLOSED: the
 * nursery was cancelled or closed; YOKE_SPAWN_FAILED: with the reason, and the limit if it was one. After an
 * error, cancellation included, nothing of the actor is left.
 */
YOKE_MUST_USE yoke_error *yoke_actors_start(yoke_actors *actors, const char *name,
                                            const yoke_actor_options *options, yoke_portal **portal);
/*
 * An actor for one call: starts one that serves the endpoint's module, makes `endpoint` ("module:function")
 * its main task and returns; as yoke_actors_start and yoke_portal_run. name NULL: the function's.
 */
/* yoke_actors_run(actors, name, endpoint, args, result) */
#define yoke_actors_run(...) yoke_actors_run_at(__FILE__, __LINE__, __VA_ARGS__)
YOKE_MUST_USE yoke_error *yoke_actors_run_at(const char *file, int line, yoke_actors *actors,
                                             const char *name, const char *endpoint, const void *args,
                                             void *result);
/* Did it open the root? */
bool yoke_actors_is_implicit_root(const yoke_actors *actors);
/* How many children are not yet reaped; has it been told to end? Of an open one. */
size_t yoke_actors_count(const yoke_actors *actors);
bool yoke_actors_cancel_called(const yoke_actors *actors);

/* ---- portals -------------------------------------------------------------------------------------- */

/* Views; valid as long as the portal. */
const yoke_uid *yoke_portal_peer(const yoke_portal *portal);
/* By the kernel's word; over tcp by its own, and perhaps of another host. */
pid_t yoke_portal_pid(const yoke_portal *portal);
/* The user whose process it is; (uid_t)-1 over tcp, where nobody knows. */
uid_t yoke_portal_user(const yoke_portal *portal);
bool yoke_portal_is_connected(const yoke_portal *portal);

/*
 * Calls `endpoint` ("module:function", known to this binary too) and waits for the value. args and result: as
 * the endpoint's records say; NULL where they are `none`. The result's contents are the caller's
 * (yoke_record_free, or the record's own free function). Checkpoint: when the wait is cancelled the far task
 * is asked to cancel as well. YOKE_REMOTE: it failed; YOKE_TRANSPORT_CLOSED: the peer is gone.
 */
/* yoke_call(portal, endpoint, args, result) */
#define yoke_call(...) yoke_call_at(__FILE__, __LINE__, __VA_ARGS__)
YOKE_MUST_USE yoke_error *yoke_call_at(const char *file, int line, yoke_portal *portal, const char *endpoint,
                                       const void *args, void *result);
/*
 * Makes the call of `endpoint` the main task of an actor that this one has started, and returns: when the
 * task has ended the actor is cancelled and reaped. Its failure is the nursery's, which cancels the others.
 * args and result as for yoke_call; `result` (may be NULL) is zeroed, filled when the value comes, and must
 * live till the nursery's close, after which it is the caller's. YOKE_USAGE: it has a main task already, it
 * is not this actor's child, or the endpoint is no call; YOKE_MSG_TYPE.
 */
/* yoke_portal_run(portal, endpoint, args, result) */
#define yoke_portal_run(...) yoke_portal_run_at(__FILE__, __LINE__, __VA_ARGS__)
YOKE_MUST_USE yoke_error *yoke_portal_run_at(const char *file, int line, yoke_portal *portal,
                                             const char *endpoint, const void *args, void *result);
/*
 * Waits for the result of the actor's main task and gives a copy, as often as asked. Checkpoint while it
 * waits; that the wait is cancelled does nothing to the task. YOKE_NO_RESULT: it has none; else as yoke_call.
 * The task's error is the nursery's too: let out of the body it is returned by the close once.
 */
YOKE_MUST_USE yoke_error *yoke_portal_result(yoke_portal *portal, void *result);
/*
 * Asks the actor to cancel itself; `*acknowledged` (may be NULL): it answered within `bound` (0: 0.5 s).
 * Shielded. A peer that is gone is no error. The nursery that started it does not take its end as a failure.
 * YOKE_REMOTE, of a YOKE_PERMISSION: it refuses, since it is this actor's parent, or this one a stranger to
 * it.
 */
YOKE_MUST_USE yoke_error *yoke_portal_cancel_actor(yoke_portal *portal, int64_t bound, bool *acknowledged);
/* The same; YOKE_ACTOR_TOO_SLOW, with the peer and the bound, if it has not answered within it. */
YOKE_MUST_USE yoke_error *yoke_portal_must_cancel_actor(yoke_portal *portal, int64_t bound);

/* ---- clusters -------------------------------------------------------------------------------------- */

/* Several actors of one kind. */
typedef struct yoke_cluster yoke_cluster;

typedef struct yoke_cluster_options {
    int count;                /* 0: one for each name; without names, for each processor that this process may
                                 use (affinity, quota of its control group) */
    const char *const *names; /* ends with NULL; NULL: "<this actor>.worker_<i>", i from 0, counted on over
                                 the clusters that this actor has open */
    bool pin;                 /* each worker to one processor, round and round */
    bool kill;                /* the close ends them as yoke_actors_kill */
    yoke_actors_options actors; /* of their nursery */
    yoke_actor_options actor;   /* of each of them: the modules, ... */
} yoke_cluster_options;

/*
 * Starts the actors, all at once, and returns when each can be used. The body is in their nursery, as after
 * yoke_actors_open. YOKE_USAGE: count is negative or not the number of names, no names, two that are equal,
 * or a bad one: nothing was started; else as yoke_actors_open and yoke_actors_start: the error of the one
 * that did not start, and nothing of the others is left. Checkpoint.
 */
/* yoke_cluster_open(cluster, options) */
#define yoke_cluster_open(...) yoke_cluster_open_at(__FILE__, __LINE__, __VA_ARGS__)
YOKE_MUST_USE yoke_error *yoke_cluster_open_at(const char *file, int line, yoke_cluster **cluster,
                                               const yoke_cluster_options *options);
/* Cancels all of them, waits till each is reaped, and returns what remains, as yoke_actors_close. */
YOKE_MUST_USE yoke_error *yoke_cluster_close(yoke_cluster *cluster, yoke_error *e);
int yoke_cluster_count(const yoke_cluster *cluster);
/* Views, till the close; NULL: no such one. `i` in the order of the names. */
yoke_portal *yoke_cluster_portal(const yoke_cluster *cluster, int i);
yoke_portal *yoke_cluster_find(const yoke_cluster *cluster, const char *name);

/* ---- portals to any actor ------------------------------------------------------------------------- */

/*
 * An actor is found by its name, or its uuid. Its tree's root is the registrar: it knows every actor of the
 * tree from the moment that its start has returned. No actor listens before somebody wants its address.
 *
 * What these give is a portal like any other: calls, contexts, yoke_portal_cancel_actor. It is closed by
 * yoke_portal_close, at the latest when the task ends that runs in this actor. Portals to one actor may share
 * a channel: a channel that is there (to the parent, to a child, to whom this side has connected before) is
 * taken first. One to this actor itself needs no connection; what it calls runs here, as if another had
 * called.
 */
/* The first registered of that name. `*portal` is NULL, and that is no error: there is none, or it does not
 * answer. Checkpoint. */
YOKE_MUST_USE yoke_error *yoke_find(const char *name, yoke_portal **portal);
/* The same, waiting till there is one. */
YOKE_MUST_USE yoke_error *yoke_wait_for(const char *name, yoke_portal **portal);
/* As yoke_find; YOKE_ACTOR_NOT_FOUND, which tells the names that there are, when there is none. */
YOKE_MUST_USE yoke_error *yoke_find_existing(const char *name, yoke_portal **portal);
/* All of that name which can be reached, in the order of their registration: an array of `*count` portals,
 * each over a channel of its own. yoke_portals_close closes them and frees the array. Checkpoint. */
YOKE_MUST_USE yoke_error *yoke_find_all(const char *name, yoke_portal ***portals, size_t *count);
YOKE_MUST_USE yoke_error *yoke_portals_close(yoke_portal **portals, size_t count, yoke_error *e);
/*
 * Where it listens, as a text for yoke_connect, to be freed with free(); NULL: there is none. `*age` (may be
 * NULL): how many ns ago it was registered; it may have ended since. Does not connect to it. Checkpoint.
 */
YOKE_MUST_USE yoke_error *yoke_query(const char *name, char **address, int64_t *age);
/* Where this actor listens and is found, from now on if it did not; to be freed with free(). Checkpoint. */
YOKE_MUST_USE yoke_error *yoke_listen(char **address);
/*
 * Begins to listen at one more address (as for yoke_connect, with port 0 for any) till the actor ends;
 * `*address` (may be NULL) is the complete one, to be freed with free(). Where it listens already it goes on
 * to. Checkpoint. YOKE_USAGE: no address; YOKE_ADDRESS_IN_USE.
 */
YOKE_MUST_USE yoke_error *yoke_listen_at(const char *at, char **address);

typedef struct yoke_connect_options {
    int64_t bound;           /* 0: 3 s: till the connection is there */
    int64_t handshake_bound; /* 0: 10 s: from there till it is known who that is */
} yoke_connect_options;

/*
 * Connects to the actor that listens at `address`: unix:/path, tcp:host:port, or as a multiaddress
 * (/unix/path, /ip4/127.0.0.1/tcp/80). Checkpoint. YOKE_USAGE: no address; YOKE_CONNECT_FAILED: nobody
 * listens there, or it is no actor of this user, or it did not answer in time; the text says which.
 */
YOKE_MUST_USE yoke_error *yoke_connect(const char *address, yoke_portal **portal,
                                       const yoke_connect_options *options);
/*
 * Closes a portal that one of these gave, given the error so far, which it returns; the handle is gone. With
 * the last portal over a channel that this side has opened the channel ends: dialogs that are still open in
 * it are cancelled, and their ends awaited for 0.6 s. Does nothing to a nursery's portal; NULL is fine.
 * Shielded.
 */
YOKE_MUST_USE yoke_error *yoke_portal_close(yoke_portal *portal, yoke_error *e);

/* ---- contexts ------------------------------------------------------------------------------------- */

/*
 * Opens a context: starts the endpoint's task in the peer and waits for its first value
 * (yoke_context_started). The body is inside of the context's scope: when the far task fails, the body's
 * blocking calls return YOKE_CANCELLED and close returns the far error.
 *
 * Calls below that return an error return YOKE_USAGE outside of tasks (but for yoke_recv_nowait), and for a
 * context or stream that is NULL; the two closes take NULL for nothing to close.
 */
/* yoke_context_open(portal, ctx, endpoint, args, started) */
#define yoke_context_open(...) yoke_context_open_at(__FILE__, __LINE__, __VA_ARGS__, NULL)
/* yoke_context_open_with(portal, ctx, endpoint, args, started, options); options NULL: defaults */
#define yoke_context_open_with(...) yoke_context_open_at(__FILE__, __LINE__, __VA_ARGS__)

typedef struct yoke_context_options {
    bool cancel_on_close; /* a close without an error cancels the far task, instead of waiting for its result
                           */
} yoke_context_options;

YOKE_MUST_USE yoke_error *yoke_context_open_at(const char *file, int line, yoke_portal *portal,
                                               yoke_context **ctx, const char *endpoint, const void *args,
                                               void *started, const yoke_context_options *options);
/*
 * Ends it, given the body's error. Without one, and if nobody asked for a cancel (yoke_context_cancel,
 * cancel_on_close): waits for the far task's result, dropping what was still in flight. Otherwise the far
 * task is cancelled first. What comes back from the own request is absorbed; any other error of the far side
 * is returned, unless the body has one of its own (the far one is then noted on it). The handle is gone,
 * unless it is kept. While it waits, a far task that receives has the end of this side's stream, also of one
 * that was never opened here (in a yoke actor); one that only sends hears of nothing, and is waited for as
 * long as it goes on: such a one is to be cancelled.
 */
YOKE_MUST_USE yoke_error *yoke_context_close(yoke_context *ctx, yoke_error *e);
/*
 * Keeps the handle beyond its close, and gives it: yoke_context_result gives the result again, and what is
 * told of a context below stays to be asked. To be released as often as kept, before or after the close; any
 * task of this actor. release: NULL is fine.
 */
yoke_context *yoke_context_keep(yoke_context *ctx);
void yoke_context_release(yoke_context *ctx);
/*
 * The far task's result, as often as asked. Waits for it; what was still in flight is dropped, and what comes
 * yet: nobody receives from the stream any more. A far task that itself waits for the end of this side's
 * stream comes to none while that is open, or was never opened: close it first, or let another task do so;
 * that can't be told from a stream on which another task goes on sending. After a cancel of one's own that
 * the far side obeyed there is no result: `result` is zeroed and `yoke_context_outcome` tells. YOKE_CLOSED:
 * of a kept context whose far side had not ended when it was closed.
 */
YOKE_MUST_USE yoke_error *yoke_context_result(yoke_context *ctx, void *result);
/* Has the far task's last message come (opener), has this task's gone out (endpoint)? Till then the outcome
 * is unresolved. */
bool yoke_context_has_ended(const yoke_context *ctx);
/* How it failed: NULL while it has not ended, or when it did with a value. A view, valid as long as the
 * handle. */
const yoke_error *yoke_context_outcome(const yoke_context *ctx);
/*
 * Opener's side: asks the far task to cancel and waits for its answer, 0.616 s at most, shielded. Endpoint's
 * side: cancels its own task, which tells the opener. Again, or after the close of a kept one, does nothing.
 */
YOKE_MUST_USE yoke_error *yoke_context_cancel(yoke_context *ctx);
/* By this side: an explicit cancel, or a close that had to ask for one. */
bool yoke_context_cancel_called(const yoke_context *ctx);
/* The far task's last message was the answer to that. */
bool yoke_context_cancel_acked(const yoke_context *ctx);
/*
 * Who cancelled it, or NULL. Endpoint's side: the actor that asked. Opener's side: in whose name this side
 * asked (its own, or that of who had the near task cancelled); if another had the far task cancelled: the far
 * actor, whose end reached this side (its error says who asked there: yoke_error_canceller). A view.
 */
const yoke_uid *yoke_context_canceller(const yoke_context *ctx);
/* The scope around the body, for yoke_scope_cancel_called and the like; NULL before and after it. A view. */
const yoke_scope *yoke_context_scope(const yoke_context *ctx);
/* The innermost context whose body, or whose endpoint, the calling task is in; NULL: none. Tasks of a nursery
 * are in what its opener was in. */
yoke_context *yoke_context_current(void);
/* Writes how a context stands: its side, id, endpoint, peer, state, stream, cancellation and outcome, on one
 * line or on several. */
void yoke_context_print(FILE *out, const yoke_context *ctx, bool lines);
/* Endpoint's side: the first value, exactly once, before any stream. NULL for `none`. */
YOKE_MUST_USE yoke_error *yoke_context_started(yoke_context *ctx, const void *value);

/*
 * Whether the texts and limits of what this side sends from here on are looked at before they go (they are,
 * unless `unchecked`). What is not, the receiver finds: the YOKE_MSG_TYPE is then raised there. For speed.
 */
void yoke_context_set_unchecked(yoke_context *ctx, bool unchecked);

/* ---- streams -------------------------------------------------------------------------------------- */

#define YOKE_NO_BUFFER SIZE_MAX /* a message is handed to a task that waits for it, or is one too many */

typedef struct yoke_stream_options {
    bool allow_overruns; /* keep what comes beyond the buffer, instead of failing the sender */
    size_t buffer; /* unread messages that are kept: 0: 64; YOKE_NO_BUFFER: one for each task that waits */
    bool keep_on_type_error; /* a message that does not fit its record fails its receive alone, not the
                                sender: the next receive gives the next one */
    /*
     * yoke_send waits while the far side has as many unread messages as it keeps (its `buffer`; 64 before it
     * has opened its stream; one where it has no buffer), and nobody is failed. Two sides that both do, and
     * do not receive meanwhile, wait for each other. Of a one-way stream it is the endpoint's sends that
     * wait. Ignored towards an actor that is not of yoke: see allow_overruns for its side.
     */
    bool backpressure;
} yoke_stream_options;

/* One stream a context, after started. Each side opens and closes its own end; what came before is waiting in
 * it. */
YOKE_MUST_USE yoke_error *yoke_stream_open(yoke_context *ctx, yoke_stream **stream,
                                           const yoke_stream_options *options);
/*
 * Ends this side's stream and tells the peer once, also in a cancelled scope; the peer gets what was sent
 * before, then YOKE_END_OF_CHANNEL. What came and was not received is dropped (who wants it asks
 * yoke_recv_nowait first); nothing is waited for. Returns `e`, or what else went wrong; a peer that is gone
 * already is no error. The handle is gone.
 */
YOKE_MUST_USE yoke_error *yoke_stream_close(yoke_stream *stream, yoke_error *e);
/*
 * Opens a one-way stream (YOKE_STREAM): starts the endpoint's task in the peer; returns when that is there.
 * Then yoke_recv, till YOKE_END_OF_CHANNEL or how the far task failed, each after the values that it sent
 * before; and yoke_stream_close, which may come early: it cancels the far task and waits for its end, 0.616 s
 * at most. An error of the far task that no receive has told is returned by the close. A start that fails
 * does so as in yoke_call.
 */
/* yoke_portal_stream_open(portal, stream, endpoint, args, options) */
#define yoke_portal_stream_open(...) yoke_portal_stream_open_at(__FILE__, __LINE__, __VA_ARGS__)
YOKE_MUST_USE yoke_error *yoke_portal_stream_open_at(const char *file, int line, yoke_portal *portal,
                                                     yoke_stream **stream, const char *endpoint,
                                                     const void *args, const yoke_stream_options *options);
/* Checkpoint. The message is sent whole or not at all. YOKE_END_OF_CHANNEL: the peer closed its stream, and a
 * receive of this side has met that; who sends alone does not hear of it, and what he sends is dropped there.
 * The item stays the caller's. With backpressure it waits for the far side to receive, till there is room
 * there, the stream is closed here, or the far task has ended; another task may close it meanwhile. */
YOKE_MUST_USE yoke_error *yoke_send(yoke_stream *stream, const void *item);
/* Checkpoint. What the item then owns is the caller's. YOKE_END_OF_CHANNEL: the peer closed, and all was
 * received; each time. YOKE_MSG_TYPE: the message does not fit the record; its sender is told, and fails (see
 * keep_on_type_error). */
YOKE_MUST_USE yoke_error *yoke_recv(yoke_stream *stream, void *item);
/* The same at once: YOKE_WOULD_BLOCK when nothing has come. Not a checkpoint. */
YOKE_MUST_USE yoke_error *yoke_recv_nowait(yoke_stream *stream, void *item);

/*
 * Several tasks read one stream, and each is given every message, as a copy of its own. The subscriber that
 * needs the next message first reads the stream for all; there is no task behind it. From the first
 * subscription on yoke_recv is one of the readers, for one task at a time. A reader that falls more than
 * `keep` messages behind is told so once, by YOKE_LAGGED (yoke_broadcast_missed(&s->end): how many), and goes
 * on with the oldest kept.
 *
 * A subscriber lies in the caller's frame, is not copied while open, and is used by one task at a time; it is
 * closed by yoke_stream_unsubscribe, before or after the stream. The fields are the library's; the calls of
 * <yoke/task.h> that only look (yoke_broadcast_missed, yoke_subscriber_statistics) take `end`.
 */
typedef struct yoke_stream_subscriber {
    yoke_subscriber end;
    struct yoke_fanout *fanout; /* NULL: closed */
} yoke_stream_subscriber;

typedef struct yoke_subscribe_options {
    size_t keep; /* 0: 64 messages. The first subscription of a stream decides for all */
    bool no_lag; /* this subscriber's lags are logged as warnings, and its receive goes on */
} yoke_subscribe_options;

/* It gets what is received from now on. YOKE_CLOSED: the stream was closed on this side. */
YOKE_MUST_USE yoke_error *yoke_stream_subscribe(yoke_stream *stream, yoke_stream_subscriber *s,
                                                const yoke_subscribe_options *options);
/*
 * Checkpoint; as yoke_recv. YOKE_END_OF_CHANNEL, YOKE_CLOSED (the stream was closed on this side) and how the
 * far side failed are told to each subscriber, the first two after the messages that it had not had;
 * YOKE_LAGGED: see above; YOKE_CLOSED: this subscriber was closed; YOKE_BUSY_RESOURCE: another task receives
 * on it.
 */
YOKE_MUST_USE yoke_error *yoke_stream_next(yoke_stream_subscriber *s, void *item);
/* Not a checkpoint, again does nothing; a task that receives on `s` is woken with YOKE_CLOSED. The stream and
 * the other subscribers are untouched. */
void yoke_stream_unsubscribe(yoke_stream_subscriber *s);

/* ---- this actor ------------------------------------------------------------------------------------ */

/* This actor's name and uuid; NULL without a runtime. */
const yoke_uid *yoke_current_actor(void);
bool yoke_is_root(void);
/*
 * Ends this actor gracefully, and returns at once: its endpoints' tasks are cancelled, in the root the app
 * (or the body of the nursery that opened it), with all below. A child ends with status 0, which is no
 * failure for its parent. Any task.
 */
YOKE_MUST_USE yoke_error *yoke_actor_cancel_self(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
