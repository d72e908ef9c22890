/* Child programs: waiting by several, descriptors in every order, ends that are refused, adoption. */
#include "task/process.h"

#include "child.h"
#include "task/task.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

static void run(yoke_task_fn fn)
{
    if (RUNNING_ON_VALGRIND) /* knows no pidfd_open */
        skip();
    assert_success(yoke_run(fn, NULL, NULL));
}

static yoke_error *shell(yoke_process **p, const char *script, const yoke_process_options *options)
{
    return yoke_process_open(p, ARGV("sh", "-c", script), options);
}

static yoke_error *statuses(void *arg)
{
    yoke_process *p;
    int status;
    YOKE_TRY(shell(&p, "exit 7", NULL));
    CHECK(yoke_process_pid(p) > 0 && process_pidfd(p) >= 0);
    YOKE_TRY(yoke_process_wait(p, &status));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    YOKE_TRY(yoke_process_wait(p, &status));
    CHECK(WEXITSTATUS(status) == 7);
    YOKE_TRY(yoke_process_signal(p, SIGKILL)); /* has ended: no error */
    YOKE_TRY(yoke_process_close(p, NULL));
    YOKE_TRY(shell(&p, "kill -USR1 $$", NULL));
    YOKE_TRY(yoke_process_wait(p, &status));
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
    YOKE_TRY(yoke_process_close(p, NULL));
    YOKE_TRY(yoke_process_open(&p, ARGV("sleep", "100"), NULL));
    YOKE_TRY(yoke_process_signal(p, SIGKILL));
    YOKE_TRY(yoke_process_wait(p, &status));
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return yoke_process_close(p, yoke_process_close(NULL, NULL));
}

static void test_proc_16_statuses_and_signals(void **state)
{
    run(statuses);
}

static yoke_error *cannot_start(void *arg)
{
    yoke_process *p;
    yoke_error *e = yoke_process_open(&p, ARGV("no-such-program-here"), NULL);
    CHECK(yoke_error_is(e, &YOKE_NOT_FOUND) && strstr(yoke_error_message(e), "no-such-program-here") && !p);
    yoke_error_free(e);
    CHECK(was_kind(yoke_process_open(&p, ARGV("/etc/passwd"), NULL), &YOKE_PERMISSION));
    CHECK(was_kind(yoke_process_open(&p, ARGV(NULL), NULL), &YOKE_USAGE));
    yoke_process_options no_fds = {.fd_count = 3};
    CHECK(was_kind(yoke_process_open(&p, ARGV("true"), &no_fds), &YOKE_USAGE));
    int gone[] = {0, 1, 199};
    yoke_process_options closed = {.fds = gone, .fd_count = 3};
    CHECK(was_kind(yoke_process_open(&p, ARGV("true"), &closed), &YOKE_SYSTEM));
    return NULL;
}

static void test_proc_11_cannot_be_started(void **state)
{
    run(cannot_start);
}

/* ---- several waiters ---- */

struct waiter_task {
    yoke_process *process;
    int status;
    yoke_error *outcome;
    bool done;
};

static yoke_error *wait_for_process(void *arg)
{
    struct waiter_task *w = arg;
    w->outcome = yoke_process_wait(w->process, &w->status);
    w->done = true;
    return NULL;
}

static yoke_error *several_waiters(void *arg)
{
    yoke_process *p;
    YOKE_TRY(yoke_process_open(&p, ARGV("sleep", "100"), NULL));
    struct waiter_task gone[3], stay[3];
    yoke_nursery first, second;
    YOKE_TRY(yoke_nursery_open(&second));
    YOKE_TRY(yoke_nursery_open(&first));
    for (int i = 0; i < 3; i++) {
        gone[i] = stay[i] = (struct waiter_task){.process = p};
        YOKE_TRY(yoke_spawn(&first, wait_for_process, &gone[i]));
    }
    settle();
    for (int i = 0; i < 3; i++)
        YOKE_TRY(yoke_spawn(&second, wait_for_process, &stay[i]));
    settle();
    yoke_nursery_cancel(&first, NULL); /* with them the one that held the pidfd: another one takes it over */
    YOKE_TRY(yoke_nursery_close(&first, NULL));
    for (int i = 0; i < 3; i++)
        CHECK(gone[i].done && was_cancelled(gone[i].outcome) && !stay[i].done);
    settle();
    YOKE_TRY(yoke_process_signal(p, SIGTERM));
    YOKE_TRY(yoke_nursery_close(&second, NULL));
    for (int i = 0; i < 3; i++)
        CHECK(!stay[i].outcome && WIFSIGNALED(stay[i].status) && WTERMSIG(stay[i].status) == SIGTERM);
    return yoke_process_close(p, NULL);
}

static void test_proc_04_wait_from_several_tasks(void **state)
{
    run(several_waiters);
}

static yoke_error *closed_under_waiters(void *arg)
{
    yoke_process *p;
    YOKE_TRY(yoke_process_open(&p, ARGV("sleep", "100"), NULL));
    struct waiter_task waits[3];
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    for (int i = 0; i < 3; i++) {
        waits[i] = (struct waiter_task){.process = p};
        YOKE_TRY(yoke_spawn(&n, wait_for_process, &waits[i]));
    }
    settle();
    YOKE_TRY(yoke_process_close(p, NULL));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    for (int i = 0; i < 3; i++)
        CHECK(!waits[i].outcome && WIFSIGNALED(waits[i].status) && WTERMSIG(waits[i].status) == SIGTERM);
    return NULL;
}

static void test_closed_while_others_wait(void **state)
{
    run(closed_under_waiters);
}

static yoke_error *fast_exits(void *arg)
{
    for (int batch = 0; batch < 20; batch++) {
        yoke_process *p[10];
        for (int i = 0; i < 10; i++)
            YOKE_TRY(yoke_process_open(&p[i], ARGV("true"), NULL));
        for (int i = 0; i < 10; i++) {
            int status = -1;
            YOKE_TRY(yoke_process_wait(p[i], &status));
            CHECK(status == 0);
            YOKE_TRY(yoke_process_close(p[i], NULL));
        }
    }
    return NULL;
}

static void test_proc_05_fast_exits(void **state)
{
    run(fast_exits);
}

static yoke_error *reaped_elsewhere(void *arg)
{
    yoke_process *p;
    int status;
    YOKE_TRY(yoke_process_open(&p, ARGV("true"), NULL));
    CHECK(waitpid(yoke_process_pid(p), &status, 0) == yoke_process_pid(p));
    yoke_scope s;
    YOKE_TRY(yoke_fail_after(&s, YOKE_S(1)));
    yoke_error *e = yoke_scope_close(&s, yoke_process_wait(p, &status));
    CHECK(yoke_error_errno(e) == ECHILD);
    yoke_error_free(e);
    return yoke_process_close(p, NULL);
}

static void test_proc_19_reaped_by_someone_else(void **state)
{
    run(reaped_elsewhere);
}

/* ---- ending ---- */

static yoke_error *stubborn(yoke_process **p)
{
    int fds[2];
    char byte;
    if (pipe2(fds, O_CLOEXEC))
        return yoke_raise_errno(errno, "pipe");
    int out[] = {0, fds[1], 2};
    yoke_process_options options = {.fds = out, .fd_count = 3};
    yoke_error *e = shell(p, "trap '' TERM; echo; exec >&-; while :; do sleep 0.05; done", &options);
    close(fds[1]);
    if (!e && read(fds[0], &byte, 1) != 1)
        e = yoke_raise(&YOKE_INTERNAL, "it did not start");
    close(fds[0]);
    return e;
}

static yoke_error *term_ignored(void *arg)
{
    yoke_process *p;
    YOKE_TRY(stubborn(&p));
    pid_t pid = yoke_process_pid(p);
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, NULL);
    int64_t begun = yoke_now();
    yoke_error *e = yoke_process_close(p, NULL);
    int64_t took = yoke_now() - begun;
    YOKE_TRY(yoke_scope_close(&s, e));
    CHECK(took >= YOKE_MS(900) && took < YOKE_S(4));
    CHECK(kill(pid, 0) < 0 && errno == ESRCH);
    return NULL;
}

static void test_proc_18_sigterm_is_ignored(void **state)
{
    run(term_ignored);
}

/* A ctrl-c that comes while the close waits: the process is gone all the same, and the interrupt is told. */
static yoke_error *interrupted_close(void *arg)
{
    yoke_process *p;
    YOKE_TRY(stubborn(&p));
    pid_t pid = yoke_process_pid(p);
    raise(SIGINT);
    YOKE_TRY(yoke_cancel_shielded_checkpoint());
    yoke_error *e = yoke_process_close(p, NULL);
    CHECK(yoke_error_find(e, &YOKE_INTERRUPTED));
    yoke_error_free(e);
    CHECK(kill(pid, 0) < 0 && errno == ESRCH);
    return NULL;
}

static void test_close_ends_the_process_over_a_ctrl_c(void **state)
{
    run(interrupted_close);
}

static yoke_process *outliving;

static yoke_error *leave_process(void *arg)
{
    return yoke_process_open(&outliving, ARGV("sleep", "100"), NULL);
}

static void test_closed_after_the_run(void **state)
{
    run(leave_process);
    pid_t pid = yoke_process_pid(outliving);
    yoke_error *e = yoke_process_close(outliving, NULL);
    yoke_error_free(e); /* that it had to be killed at once may be told */
    assert_int_equal(kill(pid, 0), -1);
}

/* ---- descriptors ---- */

/* A file that holds one letter. */
static int letter(char c)
{
    int fd = memfd_create("letter", MFD_CLOEXEC);
    if (write(fd, &c, 1) != 1)
        return -1;
    return fd;
}

/* The program prints the letters of its descriptors 3, 4, 5 into 1, and lists what else is open. */
static yoke_error *letters_of(const int *fds, size_t count, const char *expected)
{
    int out[2];
    if (pipe2(out, O_CLOEXEC))
        return yoke_raise_errno(errno, "pipe");
    for (int i = 0; i < 2; i++) { /* leaves the low numbers free */
        int low = out[i];
        out[i] = fcntl(low, F_DUPFD_CLOEXEC, 50);
        close(low);
    }
    int all[8] = {-1, out[1], -1};
    memcpy(all + 3, fds, count * sizeof *fds);
    yoke_process_options options = {.fds = all, .fd_count = 3 + count};
    yoke_process *p;
    yoke_error *e =
        shell(&p,
              "for f in 3 4 5; do test -e /proc/self/fd/$f && printf %s \"$(cat /proc/self/fd/$f)\"; done; "
              "for f in 6 7 8 9 11 12 13 14 15 20; do test -e /proc/$$/fd/$f && printf +; done; true",
              &options);
    close(out[1]);
    char text[64] = {0};
    int status = -1;
    size_t size = 0;
    for (ssize_t n;
         !e && size < sizeof text - 1 && (n = read(out[0], text + size, sizeof text - 1 - size)) > 0;)
        size += (size_t)n;
    close(out[0]);
    if (!e)
        e = yoke_process_close(p, yoke_process_wait(p, &status));
    if (!e && strcmp(text, expected))
        e = yoke_raise(&YOKE_INTERNAL, "`%s` where `%s` was expected", text, expected);
    return e;
}

/* Numbers that are wanted by others: letters at 3, 4, 5 in each order, so that a plain dup2 would overwrite.
 */
static yoke_error *permutations(void *arg)
{
    if (arg)
        close(0); /* the lowest number is free: nothing of the plan may land on it */
    static const int orders[][3] = {{3, 4, 5}, {3, 5, 4}, {4, 3, 5}, {4, 5, 3},
                                    {5, 3, 4}, {5, 4, 3}, {3, 3, 3}};
    for (int o = 0; o < 7; o++) {
        char expected[4] = {0};
        for (int i = 0; i < 3; i++)
            expected[i] = (char)('a' + orders[o][i] - 3);
        YOKE_TRY(letters_of(orders[o], 3, expected));
    }
    for (int fd = 3; fd < 6; fd++)
        CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC); /* ours are as they were */
    return NULL;
}

/* In a child: before the run, whose own descriptors come after them. */
static void letters_open(void)
{
    for (int i = 0; i < 3; i++) {
        int fd = letter((char)('a' + i));
        if (fd != 3 + i) {
            CHILD_CHECK(dup3(fd, 3 + i, O_CLOEXEC) == 3 + i);
            close(fd);
        }
    }
}

static void permutations_in_child(void)
{
    letters_open();
    yoke_error *e =
        yoke_error_join(yoke_run(permutations, NULL, NULL), yoke_run(permutations, (char[]){"close"}, NULL));
    if (e)
        yoke_error_print(stderr, e);
    CHILD_CHECK(!e);
}

/* With 0, 1 and 2 closed, the library's own descriptors take these numbers. */
static void permutations_without_standard_ones(void)
{
    letters_open();
    int err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
    close(0);
    close(1);
    close(2);
    yoke_error *e = yoke_run(permutations, NULL, NULL);
    dup2(err, STDERR_FILENO);
    if (e)
        yoke_error_print(stderr, e);
    CHILD_CHECK(!e);
}

static void test_proc_06_descriptors_in_every_order(void **state)
{
    static struct child_end end;
    if (RUNNING_ON_VALGRIND)
        skip();
    run_child(&end, permutations_in_child);
    if (end.status)
        print_error("%s\n", end.text);
    assert_int_equal(end.status, 0);
    run_child(&end, permutations_without_standard_ones);
    if (end.status)
        print_error("%s\n", end.text);
    assert_int_equal(end.status, 0);
}

/* Mask and dispositions of a child are clean whatever ours are (but for 32 and 33, which are the C library's
 * own). */
static yoke_error *clean_child(void *arg)
{
    sigset_t mask, before;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigprocmask(SIG_BLOCK, &mask, &before);
    void (*pipe_before)(int) = signal(SIGPIPE, SIG_IGN);
    yoke_process *p;
    int status = -1;
    yoke_error *e =
        shell(&p,
              "grep -q '^SigBlk:.0000000000000000' /proc/self/status && "
              "grep -q '^SigIgn:.0000000[01][08]0000000' /proc/self/status && test \"$X\" = y",
              &(yoke_process_options){.environment = ARGV("X=y", "PATH=/usr/bin:/bin"), .new_group = true});
    pid_t group = e ? 0 : getpgid(yoke_process_pid(p));
    pid_t pid = e ? -1 : yoke_process_pid(p);
    if (!e)
        e = yoke_process_close(p, yoke_process_wait(p, &status));
    signal(SIGPIPE, pipe_before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    YOKE_TRY(e);
    CHECK(status == 0);
    CHECK(group == pid);
    return NULL;
}

static void test_proc_25_a_clean_child(void **state)
{
    run(clean_child);
}

/* ---- adoption ---- */

static yoke_error *adopt_a_clone(void *arg)
{
    /* As fork, but without an exit signal, and with a pidfd. */
    int pidfd = -1;
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PIDFD, NULL, &pidfd, NULL, NULL);
    if (pid == 0)
        _exit(9);
    CHECK(pid > 0);
    yoke_process *p;
    int status = 0;
    memory_fail_after(0);
    yoke_error *refused = process_adopt(&p, pid, pidfd);
    memory_fail_after(SIZE_MAX);
    CHECK(was_kind(refused, &YOKE_NO_MEMORY) && fcntl(pidfd, F_GETFD) >= 0);
    YOKE_TRY(process_adopt(&p, pid, pidfd));
    CHECK(process_pidfd(p) == pidfd && yoke_process_pid(p) == pid);
    YOKE_TRY(yoke_process_wait(p, &status));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 9);
    YOKE_TRY(yoke_process_close(p, NULL));
    CHECK(fcntl(pidfd, F_GETFD) < 0);

    pid = (pid_t)syscall(SYS_clone, CLONE_PIDFD, NULL, &pidfd, NULL, NULL);
    if (pid == 0)
        for (;;)
            pause();
    CHECK(pid > 0);
    YOKE_TRY(process_adopt(&p, pid, pidfd));
    YOKE_TRY(yoke_process_close(p, NULL));
    CHECK(kill(pid, 0) < 0);
    return NULL;
}

static void test_adopted_clones_are_reaped(void **state)
{
    run(adopt_a_clone);
}

/* ---- no memory ---- */

static yoke_error *run_a_program(void *arg)
{
    yoke_process *p;
    int status;
    int fds[] = {-1, 1, 2};
    YOKE_TRY(yoke_process_open(&p, ARGV("sleep", "100"), &(yoke_process_options){.fds = fds, .fd_count = 3}));
    yoke_scope s;
    yoke_error *e = yoke_move_on_after(&s, YOKE_MS(2));
    if (!e)
        e = yoke_scope_close(&s, yoke_process_wait(p, &status));
    return yoke_process_close(p, e);
}

static void test_sys_03_no_memory_on_each_path(void **state)
{
    if (RUNNING_ON_VALGRIND)
        skip();
    refuse_each_allocation(run_a_program, NULL);
}

HARNESS_MAIN(TEST(test_proc_16_statuses_and_signals), TEST(test_proc_11_cannot_be_started),
             TEST(test_proc_04_wait_from_several_tasks), TEST(test_closed_while_others_wait),
             TEST(test_proc_05_fast_exits), TEST(test_proc_19_reaped_by_someone_else),
             TEST(test_proc_18_sigterm_is_ignored), TEST(test_close_ends_the_process_over_a_ctrl_c),
             TEST(test_closed_after_the_run), TEST(test_proc_06_descriptors_in_every_order),
             TEST(test_proc_25_a_clean_child), TEST(test_adopted_clones_are_reaped),
             TEST(test_sys_03_no_memory_on_each_path))
