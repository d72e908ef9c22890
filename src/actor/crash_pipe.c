#include "actor/crash_pipe.h"

#include "actor/child.h"
#include "base/memory.h"

#include <errno.h>
#include <unistd.h>

enum { REPORT_BYTES_MAX = 4 << 20 };

void crash_pipe_init(struct crash_pipe *pipe, int fd)
{
    *pipe = (struct crash_pipe){.fd = fd, .report = BUFFER_EMPTY};
    yoke_event_init(&pipe->unwatched);
}

/* What is there. Bounded: a process that the child forked has the pipe too, and may write on. False: there
 * will be no more. */
static bool read_some(struct crash_pipe *pipe)
{
    while (buffer_size(&pipe->report) < REPORT_BYTES_MAX) {
        if (!buffer_reserve(&pipe->report, 1 << 16))
            return false;
        ssize_t n = read(pipe->fd, pipe->report.data + pipe->report.end, 1 << 16);
        if (n <= 0)
            return n < 0 && errno == EAGAIN;
        pipe->report.end += (size_t)n;
    }
    return false;
}

/* ---- while it lives ---- */

static yoke_error *watch_in(struct child *c)
{
    for (;;) {
        YOKE_TRY(yoke_wait_readable(c->crash.fd));
        if (!read_some(&c->crash))
            return NULL;
        c->actor->hooks->child_writes(c);
    }
}

static yoke_error *watch(void *arg)
{
    struct child *c = arg;
    yoke_scope scope;
    yoke_error *e = yoke_scope_open(&scope);
    if (!e) {
        c->crash.wait = &scope;
        e = watch_in(c);
        c->crash.wait = NULL;
        e = yoke_scope_close(&scope, e);
    }
    yoke_error_free(e);
    yoke_event_set(&c->crash.unwatched);
    return NULL;
}

yoke_error *crash_pipe_watch(struct child *c)
{
    YOKE_TRY(yoke_spawn_system_at(__FILE__, __LINE__, "crash watch", watch, c, NULL));
    c->crash.watched = true;
    return NULL;
}

/* ---- when it is dead ---- */

void crash_pipe_finish(struct crash_pipe *pipe)
{
    if (pipe->watched) {
        if (pipe->wait)
            scope_cancel_with(pipe->wait, NULL);
        yoke_error_free(yoke_event_wait(&pipe->unwatched));
        pipe->watched = false;
    }
    read_some(pipe);
}

void crash_pipe_close(struct crash_pipe *pipe)
{
    buffer_free(&pipe->report);
    memory_free(pipe->note);
    pipe->note = NULL;
    close(pipe->fd);
    pipe->fd = -1;
}
