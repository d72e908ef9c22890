#include "devx/crash/crash_stop.h"

#include "actor/death.h"
#include "actor/hold.h"
#include "base/error.h"
#include "base/memory.h"
#include "devx/crash/core.h"
#include "devx/crash/crash_wait.h"
#include "devx/stop/lock.h"
#include "devx/trace/backtrace.h"
#include "devx/trace/oom.h"
#include "devx/trace/report.h"

#include <stdlib.h>
#include <string.h>

void crash_stop_child_starts(struct child *c)
{
    oom_begin();
    yoke_error *e = c->debug_mode || core_file_is_wanted() ? crash_pipe_watch(c) : NULL;
    if (e)
        yoke_log(YOKE_WARNING, "a crash of actor `%s` will open no prompt, and write no core: %s",
                 c->uid.name, yoke_error_message(e));
    yoke_error_free(e);
}

/* ---- what is shown ---- */

/* What the signal says, without the frames: those the debugger has. */
static char *describe(const struct report *r)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return NULL;
    yoke_error *e = yoke_raise_at("", 0, "", &YOKE_ACTOR_DIED, "crash");
    report_note(e, r);
    const char *note;
    for (size_t i = 0; (note = error_note_at(e, i)); i++)
        fprintf(f, "%s\n", note);
    yoke_error_free(e);
    fclose(f);
    return text;
}

static uint64_t frame_of_program(const struct report *r)
{
    struct backtrace b;
    yoke_error *e = backtrace_read(&b, r);
    uint64_t pc = e ? 0 : b.pc;
    if (!e)
        backtrace_free(&b);
    yoke_error_free(e);
    return pc ? pc : r->frames.pc[0];
}

/* ---- its core ---- */

static char *core_note(const char *path, const yoke_error *e)
{
    char *note = NULL;
    int n = path ? asprintf(&note, "core file: %s (yoke debug %s)", path, path)
                 : asprintf(&note, "no core file: %s", yoke_error_message(e));
    char *copy = n < 0 ? NULL : memory_strdup(note);
    free(note);
    return copy;
}

static void write_core(struct child *c)
{
    char *path = NULL;
    yoke_scope shield;
    yoke_error *e = yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true});
    if (!e)
        e = yoke_scope_close(&shield, core_write(c->uid.name, c->pid, &path));
    memory_free(c->crash.note);
    c->crash.note = core_note(path, e);
    memory_free(path);
    yoke_error_free(e);
}

/* ---- the session ---- */

/* The crashed one has allowed everybody, and hears of nothing. */
static yoke_error *debugger_is_ready(struct lock_client *client, pid_t debugger)
{
    return NULL;
}

static yoke_error *ask(struct child *c, const struct report *r, const char *text)
{
    char why[32];
    enum lock_end how;
    snprintf(why, sizeof why, "SIG%s", sigabbrev_np(r->head.signal));
    struct lock_client client = {
        .target = {.request = {.pid = c->pid,
                               .answer = r->wait.answer,
                               .owed = r->wait.owed,
                               .caller = frame_of_program(r),
                               .frame = r->wait.frame},
                   .actor = c->uid.name,
                   .task = r->has_task ? r->task.name : r->head.thread,
                   .why = why,
                   .text = text,
                   .crashed = true},
        .ready = debugger_is_ready,
    };
    return c->actor->is_root ? lock_take_own(c->actor, &client, &how) : lock_ask(c->actor, &client, &how);
}

static yoke_error *ask_shielded(struct child *c, const struct report *r)
{
    char *text = describe(r);
    yoke_scope shield;
    yoke_error *e = yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true});
    if (!e)
        e = yoke_scope_close(&shield, ask(c, r, text ? text : ""));
    free(text);
    return e;
}

static void debug(struct child *c, const struct report *r)
{
    yoke_error *e = ask_shielded(c, r);
    if (e)
        yoke_log(YOKE_WARNING, "actor `%s` died of SIG%s without a debugger: %s", c->uid.name,
                 sigabbrev_np(r->head.signal), yoke_error_message(e));
    yoke_error_free(e);
}

/* Nobody disturbs it while its core is written, or it waits for the terminal, or has it. Then it dies of its
 * signal. */
static void attend(struct child *c, const struct report *r)
{
    hold_begin(c->actor, c->peer);
    if (r->wait.wants & CRASH_WAIT_CORE)
        write_core(c);
    if (r->wait.wants & CRASH_WAIT_DEBUGGER)
        debug(c, r);
    yoke_error_free(yoke_process_signal(c->process, r->head.signal));
    hold_end(c->actor, c->peer);
}

void crash_stop_child_writes(struct child *c)
{
    struct report r;
    yoke_error *e = report_decode(&r, buffer_begin(&c->crash.report), buffer_size(&c->crash.report));
    yoke_error_free(e);
    if (e)
        return;
    if (r.wait.answer && !c->peer)
        yoke_error_free(yoke_process_signal(c->process, r.head.signal));
    else if (r.wait.answer)
        attend(c, &r);
    report_free(&r);
}

void crash_stop_child_died(yoke_error *e, struct child *c)
{
    crash_describe(e, buffer_begin(&c->crash.report), buffer_size(&c->crash.report));
    if (c->crash.note)
        yoke_error_note(e, "%s", c->crash.note);
    else if (core_file_is_refused())
        yoke_error_note(e, "no core file: with AddressSanitizer it would be terabytes");
}
