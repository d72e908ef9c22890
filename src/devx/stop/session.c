#include "devx/stop/session.h"

#include "base/memory.h"
#include "base/thread.h"
#include "devx/debugger/direct.h"
#include "devx/debugger/output.h"
#include "task/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum stage { SESSION_ASKS, SESSION_READY, SESSION_OVER };

struct session {
    struct lock_client client;
    char task[96];
    volatile int answer; /* the debugger writes it */
    unsigned owners;     /* the one who stops, and the session's task */
    bool is_task;        /* and no thread */
    bool is_host;        /* the one who stops is the host of the actor's run */
    struct actor *actor;
    enum stage stage;
    pid_t debugger;
    enum lock_end how;
    yoke_error *failed;
    void (*over)(void *arg);
    void *over_arg;
    bool steps_on;      /* the one who stopped has gone on before the end */
    bool waits;         /* it does so only by steps */
    yoke_event news[2]; /* for a task: it is ready, it is over */
    list in_process;
};

/*
 * What threads and tasks of the process share. The mutex is held for a few instructions, so a task may take
 * it.
 */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t news; /* for threads */
    pid_t actor;         /* this process, if it is one; else 0 */
    yoke_token *token;   /* of its runtime; NULL: there is none, or it is not in debug mode */
    list sessions;       /* struct session, by in_process */
} shared = {.mutex = PTHREAD_MUTEX_INITIALIZER,
            .news = PTHREAD_COND_INITIALIZER,
            .sessions = {&shared.sessions, &shared.sessions}};

/* ---- life ---- */

static struct session *session_new(const struct session_stop *stop)
{
    struct session *s = memory_calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->owners = 2;
    s->over = stop->over;
    s->over_arg = stop->arg;
    s->waits = stop->over;
    s->client.target = (struct debugger_target){.request = pause_begin(&s->answer, stop->caller, stop->frame),
                                                .task = s->task,
                                                .why = stop->why,
                                                .text = stop->text,
                                                .file = stop->file,
                                                .line = stop->line};
    pthread_mutex_lock(&shared.mutex);
    list_append(&shared.sessions, &s->in_process);
    pthread_mutex_unlock(&shared.mutex);
    return s;
}

static void session_leave(struct session *s)
{
    pthread_mutex_lock(&shared.mutex);
    bool last = --s->owners == 0;
    if (last)
        list_remove(&s->in_process);
    pthread_mutex_unlock(&shared.mutex);
    if (!last)
        return;
    yoke_error_free(s->failed);
    memory_free(s);
}

static void set_stage(struct session *s, enum stage stage)
{
    pthread_mutex_lock(&shared.mutex);
    s->stage = stage;
    bool tells = stage == SESSION_OVER && s->steps_on && s->over;
    pthread_cond_broadcast(&shared.news);
    pthread_mutex_unlock(&shared.mutex);
    if (s->is_task) {
        yoke_event_set(&s->news[0]);
        if (stage == SESSION_OVER)
            yoke_event_set(&s->news[1]);
    }
    if (tells)
        s->over(s->over_arg);
}

static enum stage stage_of(struct session *s)
{
    pthread_mutex_lock(&shared.mutex);
    enum stage stage = s->stage;
    pthread_mutex_unlock(&shared.mutex);
    return stage;
}

/* ---- the session's task ---- */

static yoke_error *debugger_is_ready(struct lock_client *client, pid_t debugger)
{
    struct session *s = container_of(client, struct session, client);
    s->debugger = debugger;
    output_session_begin(s->actor);
    set_stage(s, SESSION_READY);
    return NULL;
}

/* It keeps its actor from ending, as an endpoint's task does. */
static yoke_error *speak(void *arg)
{
    struct session *s = arg;
    struct actor *a = s->actor;
    yoke_scope shield;
    yoke_error *e = yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true});
    if (!e)
        e = yoke_scope_close(&shield, a->is_root ? lock_take_own(a, &s->client, &s->how)
                                                 : lock_ask(a, &s->client, &s->how));
    if (s->stage == SESSION_READY)
        output_session_end();
    s->failed = e;
    set_stage(s, SESSION_OVER);
    hold_end(a, NULL);
    actor_served(a);
    session_leave(s);
    return NULL;
}

static yoke_error *begin(struct actor *a, struct session *s)
{
    s->actor = a;
    s->client.target.actor = a->uid.name;
    s->client.ready = debugger_is_ready;
    s->waits = s->waits || a->is_root; /* whose program may read from the terminal next */
    yoke_event_init(&s->news[0]);
    yoke_event_init(&s->news[1]);
    YOKE_TRY(yoke_spawn_system_at(__FILE__, __LINE__, "debugger's session", speak, s, NULL));
    actor_serves(a);
    hold_begin(a, NULL);
    return NULL;
}

/* What came of it, when no answer did. */
static struct session_end outcome(struct session *s)
{
    if (s->how == LOCK_CLOSED || yoke_error_find(s->failed, &YOKE_DEBUGGER_QUIT))
        return (struct session_end){.answer = PAUSE_QUIT};
    yoke_error *e = s->failed;
    s->failed = NULL;
    return (struct session_end){.answer = PAUSE_ABANDONED, .no_debugger = e};
}

static struct session_end no_session(yoke_error *e)
{
    return (struct session_end){.answer = PAUSE_ABANDONED, .no_debugger = e};
}

static bool is_by(const struct session *s, const pid_t who[2])
{
    return s->debugger && (s->debugger == who[0] || s->debugger == who[1]);
}

/*
 * With an answer: goes on at once? The debugger holds on, and goes by steps; or it has let go, is about to
 * end, and nobody here needs the terminal: then the session ends without us.
 */
static bool goes_on(struct session *s)
{
    pid_t who[2];
    pause_debuggers(0, who);
    bool at_once = !s->waits || is_by(s, who);
    pthread_mutex_lock(&shared.mutex);
    at_once = s->steps_on = at_once && s->stage != SESSION_OVER;
    pthread_mutex_unlock(&shared.mutex);
    return at_once;
}

/* ---- a task stops ---- */

/* As proc(5), stat, has it. */
static bool is_zombie(pid_t pid)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    const char *at = n > 0 ? strrchr(text, ')') : NULL;
    return at && strncmp(at, ") Z", 3) == 0;
}

/* The debugger is gone. In the root, whose child it is, it stays a zombie, since nobody reaps while all
 * stands still; and when the root was killed, till somebody else does. */
static bool is_debugger_gone(void *arg)
{
    const struct session *s = arg;
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)s->debugger, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
        return info.si_pid != 0;
    return (kill(s->debugger, 0) < 0 && errno == ESRCH) || is_zombie(s->debugger);
}

static struct session_end stop_task(struct session *s)
{
    task_wait_shielded(&s->news[0]);
    enum pause_answer answer = PAUSE_ABANDONED;
    if (stage_of(s) == SESSION_READY) {
        /* In the root the debugger is told to begin by the session's task. */
        yoke_error_free(yoke_cancel_shielded_checkpoint());
        answer = pause_stop(&s->answer, is_debugger_gone, s);
    }
    if (answer != PAUSE_ABANDONED && goes_on(s))
        return (struct session_end){.answer = answer, .steps_on = true};
    task_wait_shielded(&s->news[1]);
    return answer != PAUSE_ABANDONED ? (struct session_end){.answer = answer} : outcome(s);
}

struct session_end session_stop_task(struct actor *a, const struct session_stop *stop)
{
    struct session *s = session_new(stop);
    if (!s)
        return no_session(yoke_raise(&YOKE_NO_MEMORY, "a session"));
    s->is_task = true;
    snprintf(s->task, sizeof s->task, "%s", task_here()->name);
    yoke_error *e = begin(a, s);
    if (e)
        session_leave(s);
    struct session_end end = e ? no_session(e) : stop_task(s);
    session_leave(s);
    return end;
}

/* ---- a thread stops ---- */

/* On the scheduler's thread, outside of any task. */
static yoke_error *begin_for_thread(void *arg)
{
    struct session *s = arg;
    struct actor *a = actor_here();
    s->failed = a ? begin(a, s) : yoke_raise(&YOKE_RUN_FINISHED, "this process is no actor any more");
    if (s->failed) {
        set_stage(s, SESSION_OVER);
        session_leave(s);
    }
    return NULL;
}

static yoke_error *post(struct session *s)
{
    pthread_mutex_lock(&shared.mutex);
    yoke_error *e = shared.token ? yoke_token_post(shared.token, begin_for_thread, s)
                                 : yoke_raise(&YOKE_RUN_FINISHED, "this process is no actor any more");
    pthread_mutex_unlock(&shared.mutex);
    return e;
}

/* What a host waits for comes of its guest's tasks, which nobody lets run but itself. */
static void wait_till(struct session *s, enum stage stage)
{
    while (s->is_host && stage_of(s) < stage)
        guest_turn(YOKE_NEVER);
    pthread_mutex_lock(&shared.mutex);
    while (s->stage < stage)
        pthread_cond_wait(&shared.news, &shared.mutex);
    pthread_mutex_unlock(&shared.mutex);
}

static bool is_over(void *arg)
{
    return stage_of(arg) == SESSION_OVER;
}

static struct session_end stop_thread(struct session *s)
{
    wait_till(s, SESSION_READY);
    enum pause_answer answer = PAUSE_ABANDONED;
    if (s->is_host && stage_of(s) == SESSION_READY) {
        guest_turn(0); /* as for a task */
        answer = pause_stop(&s->answer, is_debugger_gone, s);
    } else if (!s->is_host) {
        answer = pause_stop(&s->answer, is_over, s);
    }
    if (answer != PAUSE_ABANDONED && goes_on(s))
        return (struct session_end){.answer = answer, .steps_on = true};
    wait_till(s, SESSION_OVER);
    return answer != PAUSE_ABANDONED ? (struct session_end){.answer = answer} : outcome(s);
}

/* `begin`: makes somebody speak for it. */
static struct session_end stop_with(const struct session_stop *stop,
                                    yoke_error *(*begin_it)(struct session *s))
{
    struct session *s = session_new(stop);
    if (!s)
        return no_session(yoke_raise(&YOKE_NO_MEMORY, "a session"));
    s->is_host = actor_here() && !task_here();
    if (task_here())
        snprintf(s->task, sizeof s->task, "%s", task_here()->name);
    else
        snprintf(s->task, sizeof s->task, s->is_host ? "host" : "thread %d", (int)gettid());
    yoke_error *e = begin_it(s);
    if (e)
        session_leave(s);
    struct session_end end = e ? no_session(e) : stop_thread(s);
    session_leave(s);
    return end;
}

struct session_end session_stop_thread(const struct session_stop *stop)
{
    return stop_with(stop, post);
}

/* ---- a process debugs itself ---- */

static void direct_is_ready(void *arg, pid_t debugger)
{
    struct session *s = arg;
    s->debugger = debugger;
    set_stage(s, SESSION_READY);
}

static yoke_error *debug_directly(struct session *s)
{
    YOKE_TRY(direct_begin());
    enum direct_end end = direct_debug(&s->client.target, &s->answer, direct_is_ready, s);
    direct_end();
    switch (end) {
    case DIRECT_NO_TERMINAL:
        return yoke_raise(&YOKE_NOT_FOUND, "there is no terminal, or this program is in its background");
    case DIRECT_FAILED:
        return direct_failure();
    case DIRECT_OVER:
        break;
    }
    return s->answer != PAUSE_WAITING ? NULL
                                      : yoke_raise(&YOKE_PROCESS_FAILED, "it has ended without an answer");
}

/* On a thread of its own, which has to give the terminal back when the one who stopped has gone on by steps.
 * The others' wait for their turn here. */
static void *speak_directly(void *arg)
{
    static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
    struct session *s = arg;
    pthread_mutex_lock(&turn);
    s->failed = debug_directly(s);
    pthread_mutex_unlock(&turn);
    set_stage(s, SESSION_OVER);
    session_leave(s);
    return NULL;
}

/* A thread went on by steps, and the debugger has let go of the process since. */
static bool is_debugger_leaving(void)
{
    pid_t who[2];
    pause_debuggers(0, who);
    bool leaving = false;
    pthread_mutex_lock(&shared.mutex);
    list_for_each(node, &shared.sessions) {
        const struct session *s = container_of(node, struct session, in_process);
        leaving |= !s->actor && s->steps_on && s->stage == SESSION_READY && !is_by(s, who);
    }
    pthread_mutex_unlock(&shared.mutex);
    return leaving;
}

/* When the process exits: the terminal is to be given back before. */
static void let_it_leave(void)
{
    while (is_debugger_leaving())
        nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
}

static void register_exit(void)
{
    atexit(let_it_leave);
}

static yoke_error *begin_directly(struct session *s)
{
    pthread_t thread;
    pthread_attr_t attributes;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_exit);
    s->client.target.actor = program_invocation_short_name;
    s->waits = true;
    s->is_host = false; /* it needs no guest that goes on */
    if (!task_here() && gettid() == getpid())
        strcpy(s->task, "main");
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int error = thread_start(&thread, &attributes, speak_directly, s);
    pthread_attr_destroy(&attributes);
    return error ? yoke_raise_errno(error, "a thread for the debugger") : NULL;
}

struct session_end session_stop_direct(const struct session_stop *stop)
{
    return stop_with(stop, begin_directly);
}

/* ---- what is going on in the process ---- */

bool session_is_here(void)
{
    pid_t who[2];
    pause_debuggers(0, who);
    bool is_here = false;
    pthread_mutex_lock(&shared.mutex);
    list_for_each(node, &shared.sessions) {
        const struct session *s = container_of(node, struct session, in_process);
        is_here |= s->stage == SESSION_READY && is_by(s, who);
    }
    pthread_mutex_unlock(&shared.mutex);
    return is_here;
}

enum pause_answer session_meet(const struct session_stop *stop)
{
    struct pause_meeting m = {.answer = PAUSE_WAITING,
                              .line = stop->line,
                              .caller = (uint64_t)(uintptr_t)stop->caller,
                              .frame = (uint64_t)(uintptr_t)stop->frame,
                              .why = stop->why,
                              .text = stop->text,
                              .file = stop->file};
    pause_meets_debugger(&m);
    return (enum pause_answer)m.answer;
}

/* Returns the token before. */
static yoke_token *set_actor(pid_t actor, yoke_token *token)
{
    pthread_mutex_lock(&shared.mutex);
    yoke_token *before = shared.token;
    shared.token = token;
    shared.actor = actor;
    pthread_mutex_unlock(&shared.mutex);
    return before;
}

void session_runtime_begins(struct actor *a)
{
    yoke_token *token = NULL;
    yoke_error *e = a->debug_mode ? yoke_token_get(&token) : NULL;
    if (e)
        yoke_log(YOKE_WARNING, "threads of this actor can't pause: %s", yoke_error_message(e));
    yoke_error_free(e);
    yoke_token_free(set_actor(getpid(), token));
}

void session_runtime_ends(void)
{
    yoke_token_free(set_actor(0, NULL));
}

enum session_process session_process(void)
{
    pthread_mutex_lock(&shared.mutex);
    enum session_process is = !shared.actor              ? SESSION_NO_ACTOR
                              : shared.actor != getpid() ? SESSION_FORK
                              : shared.token             ? SESSION_DEBUG_ACTOR
                                                         : SESSION_ACTOR;
    pthread_mutex_unlock(&shared.mutex);
    return is;
}
