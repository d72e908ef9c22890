#include "devx/session.h"

#include "base/memory.h"
#include "task/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum stage { SESSION_ASKS, SESSION_READY, SESSION_OVER };

struct session {
    struct lock_client client;
    char task[96];
    volatile int answer; /* the debugger writes it */
    unsigned owners;     /* the one who stops, and the session's task */
    bool is_host;        /* the one who stops is the host of the actor's run */
    struct actor *actor;
    enum stage stage;
    pid_t debugger;
    enum lock_end how;
    yoke_error *failed;
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
    yoke_token *token;   /* of the runtime; NULL: there is none, or it is not in debug mode */
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
    pthread_cond_broadcast(&shared.news);
    pthread_mutex_unlock(&shared.mutex);
    yoke_event_set(&s->news[0]);
    if (stage == SESSION_OVER)
        yoke_event_set(&s->news[1]);
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
    yoke_event_init(&s->news[0]);
    yoke_event_init(&s->news[1]);
    YOKE_TRY(yoke_spawn_system_at(__FILE__, __LINE__, "debugger's session", speak, s, NULL));
    actor_serves(a);
    hold_begin(a, NULL);
    return NULL;
}

/* What came of it, when no answer did. */
static enum pause_answer outcome(struct session *s, yoke_error **no_debugger)
{
    *no_debugger = NULL;
    if (s->how == LOCK_CLOSED || yoke_error_find(s->failed, &YOKE_DEBUGGER_QUIT))
        return PAUSE_QUIT;
    *no_debugger = s->failed;
    s->failed = NULL;
    return PAUSE_ABANDONED;
}

/* ---- a task stops ---- */

static void wait_shielded(yoke_event *event)
{
    yoke_scope shield;
    yoke_error *e = task_shield_open(&shield, (yoke_scope_options){0});
    if (!e)
        e = task_shield_close(&shield, yoke_event_wait(event));
    yoke_error_free(e);
}

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

static enum pause_answer stop_task(struct session *s, yoke_error **no_debugger)
{
    wait_shielded(&s->news[0]);
    enum pause_answer answer = PAUSE_ABANDONED;
    if (stage_of(s) == SESSION_READY) {
        /* In the root the debugger is told to begin by the session's task. */
        yoke_error_free(yoke_cancel_shielded_checkpoint());
        answer = pause_stop(&s->answer, is_debugger_gone, s);
    }
    if (answer != PAUSE_ABANDONED)
        return answer;
    wait_shielded(&s->news[1]);
    return outcome(s, no_debugger);
}

enum pause_answer session_stop_task(struct actor *a, const struct session_stop *stop,
                                    yoke_error **no_debugger)
{
    struct session *s = session_new(stop);
    *no_debugger = s ? NULL : yoke_raise(&YOKE_NO_MEMORY, "a session");
    if (!s)
        return PAUSE_ABANDONED;
    snprintf(s->task, sizeof s->task, "%s", task_here()->name);
    *no_debugger = begin(a, s);
    if (*no_debugger)
        session_leave(s);
    enum pause_answer answer = *no_debugger ? PAUSE_ABANDONED : stop_task(s, no_debugger);
    session_leave(s);
    return answer;
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

static enum pause_answer stop_thread(struct session *s, yoke_error **no_debugger)
{
    wait_till(s, SESSION_READY);
    enum pause_answer answer = PAUSE_ABANDONED;
    if (s->is_host && stage_of(s) == SESSION_READY) {
        guest_turn(0); /* as for a task */
        answer = pause_stop(&s->answer, is_debugger_gone, s);
    } else if (!s->is_host) {
        answer = pause_stop(&s->answer, is_over, s);
    }
    if (answer != PAUSE_ABANDONED)
        return answer;
    wait_till(s, SESSION_OVER);
    return outcome(s, no_debugger);
}

/* On the actor's own thread, and in no task: a host may wait, what a tick or a pass calls may not. */
static yoke_error *check_can_wait(void)
{
    if (!actor_here() || guest_rests())
        return NULL;
    return yoke_raise(&YOKE_USAGE,
                      "what was posted, and an abort function, can't be stopped in: all tasks would "
                      "stand still");
}

enum pause_answer session_stop_thread(const struct session_stop *stop, yoke_error **no_debugger)
{
    *no_debugger = check_can_wait();
    struct session *s = *no_debugger ? NULL : session_new(stop);
    if (!s && !*no_debugger)
        *no_debugger = yoke_raise(&YOKE_NO_MEMORY, "a session");
    if (!s)
        return PAUSE_ABANDONED;
    s->is_host = actor_here() != NULL;
    snprintf(s->task, sizeof s->task, s->is_host ? "host" : "thread %d", (int)gettid());
    *no_debugger = post(s);
    if (*no_debugger)
        session_leave(s);
    enum pause_answer answer = *no_debugger ? PAUSE_ABANDONED : stop_thread(s, no_debugger);
    session_leave(s);
    return answer;
}

/* ---- what is going on in the process ---- */

bool session_is_here(void)
{
    pid_t who[2];
    pause_debuggers(getpid(), who);
    bool is_here = false;
    pthread_mutex_lock(&shared.mutex);
    list_for_each(node, &shared.sessions) {
        const struct session *s = container_of(node, struct session, in_process);
        is_here |=
            s->stage == SESSION_READY && s->debugger && (s->debugger == who[0] || s->debugger == who[1]);
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

/* Returns the one before. */
static yoke_token *exchange_token(yoke_token *token)
{
    pthread_mutex_lock(&shared.mutex);
    yoke_token *before = shared.token;
    shared.token = token;
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
    yoke_token_free(exchange_token(token));
}

void session_runtime_ends(void)
{
    yoke_token_free(exchange_token(NULL));
}

bool session_has_runtime(void)
{
    pthread_mutex_lock(&shared.mutex);
    bool has = shared.token != NULL;
    pthread_mutex_unlock(&shared.mutex);
    return has;
}
