#include "devx/crash/core.h"

#include "base/memory.h"
#include "devx/debugger/debugger_child.h"
#include "devx/debugger/direct.h"
#include "task/bound.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- of a child ---- */

/* Of what gdb has said: its last warning, or else what it ended by. */
static void pick_line(int log, char *out, size_t size)
{
    char text[4096];
    off_t end = lseek(log, 0, SEEK_END), begin = end - (off_t)sizeof text + 1;
    ssize_t n = pread(log, text, sizeof text - 1, begin > 0 ? begin : 0);
    text[n > 0 ? n : 0] = '\0';
    char *rest = text;
    bool is_warning = false;
    *out = '\0';
    for (char *line; (line = strsep(&rest, "\n"));) {
        bool warns = strncmp(line, "warning:", 8) == 0;
        if (!*line || (is_warning && !warns))
            continue;
        is_warning = warns;
        snprintf(out, size, "%s", line);
    }
}

static yoke_error *outcome(const struct core_file *f, int status, int log)
{
    char said[256];
    pick_line(log, said, sizeof said);
    if (WIFSIGNALED(status))
        return yoke_raise(&YOKE_PROCESS_FAILED, "gdb died of SIG%s", sigabbrev_np(WTERMSIG(status)));
    if (WEXITSTATUS(status) != 0)
        return yoke_raise(&YOKE_PROCESS_FAILED, "gdb has failed: %s", said);
    if (!core_file_is_whole(f))
        return yoke_raise(&YOKE_PROCESS_FAILED, "%s is cut (is the disk full?); gdb said: %s", f->path, said);
    return NULL;
}

static yoke_error *wait_for_gdb(yoke_process *gdb, int *status)
{
    struct bound bound;
    YOKE_TRY(bound_open(&bound, core_file_bound_ns(), &(yoke_scope_options){.fail = true}));
    yoke_error *e = bound_close(&bound, yoke_process_wait(gdb, status));
    if (!e || !yoke_error_is(e, &YOKE_TOO_SLOW))
        return e;
    yoke_error_free(e);
    return yoke_raise(&YOKE_TOO_SLOW, "gdb has not written it within %lld ms (YOKE_CORE_BOUND_MS)",
                      (long long)(core_file_bound_ns() / 1000000));
}

/* In a process group of its own: ctrl-c is not for it. */
static yoke_error *run_gdb(const struct core_file *f, int log)
{
    yoke_process *gdb;
    int status = 0;
    const int fds[] = {-1, log, log};
    YOKE_TRY(yoke_process_open(
        &gdb, f->argv,
        &(yoke_process_options){.program = f->gdb.program, .fds = fds, .fd_count = 3, .new_group = true}));
    YOKE_TRY(yoke_process_close(gdb, wait_for_gdb(gdb, &status)));
    return outcome(f, status, log);
}

static yoke_error *write_claimed(const struct core_file *f)
{
    int log = memfd_create("yoke-core", MFD_CLOEXEC);
    if (log < 0)
        return yoke_raise_errno(errno, "what gdb says");
    yoke_error *e = run_gdb(f, log);
    close(log);
    if (e)
        unlink(f->path);
    return e;
}

static yoke_error *write_to(struct core_file *f, const char *actor, pid_t pid, char **path)
{
    YOKE_TRY(core_file_plan(f, actor, pid));
    if (!core_file_claim(f))
        return yoke_raise_errno(errno, "%s", f->path);
    YOKE_TRY(write_claimed(f));
    *path = memory_strdup(f->path);
    return *path ? NULL : yoke_raise(&YOKE_NO_MEMORY, "the name of a core file");
}

yoke_error *core_write(const char *actor, pid_t pid, char **path)
{
    struct core_file *f = memory_alloc(sizeof *f);
    *path = NULL;
    if (!f)
        return yoke_raise(&YOKE_NO_MEMORY, "a core file");
    yoke_error *e = write_to(f, actor, pid, path);
    memory_free(f);
    return e;
}

/* ---- of this process ---- */

static struct {
    struct core_file file;
    int64_t bound_ns;
    char why_not[256]; /* "": it is prepared */
} own;

void core_prepare_own(const char *actor)
{
    own.bound_ns = core_file_bound_ns();
    yoke_error *e = core_file_plan(&own.file, actor, getpid());
    snprintf(own.why_not, sizeof own.why_not, "%s", e ? yoke_error_message(e) : "");
    yoke_error_free(e);
}

static void become_gdb(void) __attribute__((noreturn));
static void become_gdb(void)
{
    debugger_child_reset_signals();
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int nowhere = open("/dev/null", O_RDWR);
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        dup2(nowhere, fd);
    close_range(STDERR_FILENO + 1, ~0U, 0);
    execv(own.file.gdb.program, own.file.argv);
    _exit(127);
}

/* False: it has taken too long, and was killed. */
static bool wait_bounded(pid_t gdb, int *status)
{
    enum { POLL_NS = 20 * 1000 * 1000 };
    for (int64_t waited = 0; waited < own.bound_ns; waited += POLL_NS) {
        pid_t ended = waitpid(gdb, status, WNOHANG);
        if (ended == gdb)
            return true;
        if (ended < 0 && errno != EINTR)
            break;
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
    kill(gdb, SIGKILL);
    while (waitpid(gdb, status, 0) < 0 && errno == EINTR)
        ;
    return false;
}

static const char *run_own(void)
{
    int status = 0;
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    pid_t gdb = direct_fork();
    if (gdb == 0)
        become_gdb();
    if (gdb < 0)
        return "no process for gdb";
    if (!wait_bounded(gdb, &status))
        return "gdb has not written it in time (YOKE_CORE_BOUND_MS)";
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return "gdb has failed: may it attach?";
    return core_file_is_whole(&own.file) ? NULL : "it is cut: is the disk full?";
}

const char *core_write_own(const char **why_not)
{
    *why_not = own.why_not[0] ? own.why_not : NULL;
    if (!*why_not && !core_file_claim(&own.file))
        *why_not = "the file can't be made";
    if (*why_not)
        return NULL;
    *why_not = run_own();
    if (!*why_not)
        return own.file.path;
    unlink(own.file.path);
    return NULL;
}
