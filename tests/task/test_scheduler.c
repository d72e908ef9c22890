/* The scheduler: runs, passes, parking, what is and what is not a checkpoint. */
#include "child.h"
#include "task/process.h"
#include "task/task.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

static size_t count_descriptors(void)
{
    size_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static yoke_error *return_it(void *arg)
{
    return arg;
}

/* ---- run ---- */

static void test_sched_01_the_very_error_of_main(void **state)
{
    assert_null(yoke_run(return_it, NULL, NULL));
    yoke_error *e = yoke_raise(&YOKE_NOT_FOUND, "mine");
    assert_ptr_equal(yoke_run(return_it, e, NULL), e);
    yoke_error_free(e);
}

static void test_sched_01_nothing_stays_behind(void **state)
{
    struct sigaction before, after;
    sigaction(SIGINT, NULL, &before);
    size_t fds = count_descriptors(), live = memory_live();
    for (int i = 0; i < 1000; i++)
        assert_null(yoke_run(return_it, NULL, NULL));
    assert_int_equal(count_descriptors(), fds);
    assert_int_equal(memory_live(), live);
    sigaction(SIGINT, NULL, &after);
    assert_ptr_equal(before.sa_handler, after.sa_handler);
    assert_false(yoke_in_run());
    assert_null(yoke_current_task());
}

static void *run_in_thread(void *arg)
{
    return yoke_run(return_it, arg, NULL);
}

static yoke_error *run_inside(void *arg)
{
    YOKE_TRY(yoke_checkpoint());
    if (!was_kind(yoke_run(return_it, NULL, NULL), &YOKE_USAGE))
        return yoke_raise(&YOKE_INTERNAL, "a run inside of a run");
    pthread_t thread;
    void *e = NULL;
    if (pthread_create(&thread, NULL, run_in_thread, yoke_raise(&YOKE_NOT_FOUND, "of the thread")))
        return yoke_raise(&YOKE_INTERNAL, "no thread");
    pthread_join(thread, &e);
    if (!was_kind(e, &YOKE_NOT_FOUND))
        return yoke_raise(&YOKE_INTERNAL, "the thread's run");
    return yoke_checkpoint();
}

static void test_sched_02_run_inside_run(void **state)
{
    assert_success(yoke_run(run_inside, NULL, NULL));
    assert_error(yoke_run(NULL, NULL, NULL), &YOKE_USAGE);
}

static yoke_error *return_stale_cancelled(void *arg)
{
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, "kept");
    yoke_error *kept = yoke_checkpoint();
    YOKE_TRY(yoke_scope_close(&s, NULL));
    return kept;
}

static void test_scope_28_a_cancelled_of_no_scope_is_internal(void **state)
{
    assert_error_text(yoke_run(return_stale_cancelled, NULL, NULL), &YOKE_INTERNAL, "kept");
}

/* ---- passes ---- */

static int counter;

static yoke_error *count_unlocked(void *arg)
{
    for (int i = 0; i < 5; i++) {
        int seen = counter;
        for (volatile int spin = 0; spin < 10; spin++)
            ;
        counter = seen + 1;
        YOKE_TRY(yoke_checkpoint());
    }
    return NULL;
}

static yoke_error *thousand(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 1000 && !e; i++)
        e = yoke_spawn(&n, count_unlocked, NULL);
    return yoke_nursery_close(&n, e);
}

static void test_sched_03_one_runs_at_a_time(void **state)
{
    counter = 0;
    assert_success(yoke_run(thousand, NULL, NULL));
    assert_int_equal(counter, 5000);
}

struct wakers {
    yoke_task *parked[2];
    long turns;
    bool slept, read;
    int64_t slept_at;
    int fd;
};

static yoke_error *wake_each_other(void *arg)
{
    struct wakers *w = arg;
    for (;;) {
        yoke_task *self = yoke_current_task();
        int me = w->parked[0] == self ? 0 : w->parked[1] == self ? 1 : w->parked[0] ? 1 : 0;
        w->parked[me] = self;
        w->turns++;
        YOKE_TRY(yoke_checkpoint());
    }
}

static yoke_error *sleep_ten(void *arg)
{
    struct wakers *w = arg;
    YOKE_TRY(yoke_sleep(YOKE_MS(10)));
    w->slept = true;
    w->slept_at = yoke_now();
    return NULL;
}

static yoke_error *read_pipe(void *arg)
{
    struct wakers *w = arg;
    YOKE_TRY(yoke_wait_readable(w->fd));
    w->read = true;
    return NULL;
}

static yoke_error *busy_beside_waiters(void *arg)
{
    struct wakers w = {0};
    int fds[2];
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
        return yoke_raise_errno(errno, "pipe");
    w.fd = fds[0];
    int64_t begun = yoke_now();
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, wake_each_other, &w);
    if (!e)
        e = yoke_spawn(&n, wake_each_other, &w);
    if (!e)
        e = yoke_spawn(&n, sleep_ten, &w);
    if (!e)
        e = yoke_spawn(&n, read_pipe, &w);
    settle();
    if (write(fds[1], "x", 1) != 1 || w.read)
        e = yoke_error_join(e, yoke_raise(&YOKE_INTERNAL, "read before it was written"));
    for (int i = 0; i < 4; i++)
        yoke_error_free(yoke_cancel_shielded_checkpoint());
    if (!w.read)
        e = yoke_error_join(e, yoke_raise(&YOKE_INTERNAL, "the reader was not served within two passes"));
    while (!e && !w.slept && yoke_now() < begun + YOKE_S(5))
        e = yoke_checkpoint();
    if (!w.slept || w.slept_at < begun + YOKE_MS(10))
        e = yoke_error_join(e, yoke_raise(&YOKE_INTERNAL, "the sleeper was not served, or too early"));
    yoke_nursery_cancel(&n, "done");
    e = yoke_nursery_close(&n, e);
    yoke_close(fds[0]);
    close(fds[1]);
    return e;
}

static void test_sched_04_busy_tasks_starve_nobody(void **state)
{
    assert_success(yoke_run(busy_beside_waiters, NULL, NULL));
}

static yoke_error *count_turns(void *arg)
{
    for (long *turns = arg;; (*turns)++)
        YOKE_TRY(yoke_checkpoint());
}

static yoke_error *ten_yielders(void *arg)
{
    long turns[10] = {0};
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 10 && !e; i++)
        e = yoke_spawn(&n, count_turns, &turns[i]);
    for (int i = 0; i < 1000 && !e; i++)
        e = yoke_checkpoint();
    long least = turns[0], most = turns[0];
    for (int i = 1; i < 10; i++) {
        least = turns[i] < least ? turns[i] : least;
        most = turns[i] > most ? turns[i] : most;
    }
    if (most - least > 1 || least < 990)
        e = yoke_error_join(e, yoke_raise(&YOKE_INTERNAL, "turns from %ld to %ld", least, most));
    yoke_nursery_cancel(&n, NULL);
    return yoke_nursery_close(&n, e);
}

static char record[16];
static size_t recorded;

static yoke_error *record_steps(void *arg)
{
    for (int i = 0; i < 3; i++) {
        record[recorded++] = *(char *)arg;
        record[recorded++] = (char)('0' + i);
        YOKE_TRY(yoke_checkpoint());
    }
    return NULL;
}

static yoke_error *two_recorders(void *arg)
{
    static char a[] = "a", b[] = "b";
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, record_steps, a);
    if (!e)
        e = yoke_spawn(&n, record_steps, b);
    return yoke_nursery_close(&n, e);
}

static void test_sched_05_fairness(void **state)
{
    assert_success(yoke_run(ten_yielders, NULL, NULL));
    recorded = 0;
    assert_success(yoke_run(two_recorders, NULL, NULL));
    assert_memory_equal(record, "a0b0a1b1a2b2", 12);
}

/* ---- checkpoints: the table ---- */

struct kit {
    yoke_event set, unset;
    yoke_sender full_tx, empty_tx;
    yoke_receiver full_rx, empty_rx;
    int readable, writable, silent;
    yoke_process *ended;
};

static yoke_error *to_checkpoint(struct kit *k)
{
    return yoke_checkpoint();
}
static yoke_error *to_if_cancelled(struct kit *k)
{
    return yoke_checkpoint_if_cancelled();
}
static yoke_error *to_sleep_zero(struct kit *k)
{
    return yoke_sleep(0);
}
static yoke_error *to_sleep(struct kit *k)
{
    return yoke_sleep(YOKE_US(100));
}
static yoke_error *to_sleep_until_past(struct kit *k)
{
    return yoke_sleep_until(-5);
}
static yoke_error *to_wait_set(struct kit *k)
{
    return yoke_event_wait(&k->set);
}
static yoke_error *to_send_with_room(struct kit *k)
{
    return yoke_channel_send(&k->empty_tx, "1");
}
static yoke_error *to_receive_ready(struct kit *k)
{
    char item;
    return yoke_channel_receive(&k->empty_rx, &item);
}
static yoke_error *to_read(struct kit *k)
{
    return yoke_wait_readable(k->readable);
}
static yoke_error *to_write(struct kit *k)
{
    return yoke_wait_writable(k->writable);
}
static yoke_error *to_wait_ended(struct kit *k)
{
    int status;
    return k->ended ? yoke_process_wait(k->ended, &status) : yoke_checkpoint();
}
static yoke_error *to_sleep_forever(struct kit *k)
{
    return yoke_sleep_forever();
}
static yoke_error *to_wait_unset(struct kit *k)
{
    return yoke_event_wait(&k->unset);
}
static yoke_error *to_send_full(struct kit *k)
{
    return yoke_channel_send(&k->full_tx, "1");
}
static yoke_error *to_receive_empty(struct kit *k)
{
    char item;
    return yoke_channel_receive(&k->empty_rx, &item);
}
static yoke_error *to_read_silent(struct kit *k)
{
    return yoke_wait_readable(k->silent);
}
static yoke_error *to_bad_descriptor(struct kit *k)
{
    return drop(yoke_wait_readable(1 << 20));
}

/* The first `AT_ONCE` can complete (in this order: what is sent is received), the others would wait for ever.
 */
static const struct {
    const char *name;
    yoke_error *(*call)(struct kit *k);
} calls[] = {
    {"checkpoint", to_checkpoint},
    {"if_cancelled", to_if_cancelled},
    {"sleep 0", to_sleep_zero},
    {"sleep", to_sleep},
    {"sleep_until", to_sleep_until_past},
    {"event_wait, set", to_wait_set},
    {"channel_send, room", to_send_with_room},
    {"channel_receive, ready", to_receive_ready},
    {"wait_readable, ready", to_read},
    {"wait_writable, ready", to_write},
    {"process_wait, ended", to_wait_ended},
    {"sleep_forever", to_sleep_forever},
    {"event_wait", to_wait_unset},
    {"channel_send", to_send_full},
    {"channel_receive", to_receive_empty},
    {"wait_readable", to_read_silent},
};
enum { CALLS = sizeof calls / sizeof calls[0], AT_ONCE = 11 };

static yoke_error *kit_open(struct kit *k)
{
    yoke_event_init(&k->set);
    yoke_event_init(&k->unset);
    yoke_event_set(&k->set);
    YOKE_TRY(yoke_channel_open(&k->full_tx, &k->full_rx, 1, 1, NULL));
    YOKE_TRY(yoke_channel_send_nowait(&k->full_tx, "0"));
    YOKE_TRY(yoke_channel_open(&k->empty_tx, &k->empty_rx, 1, 1, NULL));
    int fds[2];
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) || write(fds[1], "x", 1) != 1)
        return yoke_raise_errno(errno, "pipe");
    k->readable = fds[0];
    k->writable = fds[1];
    k->silent = memfd_create("none", MFD_CLOEXEC);
    close(k->silent);
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
        return yoke_raise_errno(errno, "pipe");
    k->silent = fds[0];
    dup3(fds[1], 200, O_CLOEXEC);
    close(fds[1]);
    if (RUNNING_ON_VALGRIND) /* knows no pidfd_open */
        return NULL;
    YOKE_TRY(yoke_process_open(&k->ended, ARGV("true"), NULL));
    int status;
    return yoke_process_wait(k->ended, &status);
}

static yoke_error *kit_close(struct kit *k, yoke_error *e)
{
    yoke_sender_close(&k->full_tx);
    yoke_receiver_close(&k->full_rx);
    yoke_sender_close(&k->empty_tx);
    yoke_receiver_close(&k->empty_rx);
    yoke_close(k->readable);
    yoke_close(k->writable);
    yoke_close(k->silent);
    close(200);
    return yoke_process_close(k->ended, e);
}

static yoke_error *calls_that_succeed_yield(struct kit *k)
{
    long turns = 0;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, count_turns, &turns);
    for (int i = 0; i < AT_ONCE && !e; i++) {
        if (calls[i].call == to_if_cancelled)
            continue; /* by its contract it does not yield when there is nothing to tell */
        bool channel = calls[i].call == to_send_with_room || calls[i].call == to_receive_ready;
        long before = turns;
        for (int times = 0; times < 200 && !e; times++)
            if (channel) { /* as a pair: one fills what the other takes */
                e = to_send_with_room(k);
                if (!e)
                    e = to_receive_ready(k);
            } else {
                e = calls[i].call(k);
            }
        if (turns == before && !e)
            e = yoke_raise(&YOKE_INTERNAL, "%s never yielded in 200 calls", calls[i].name);
    }
    long before = turns;
    for (int times = 0; times < 200; times++)
        yoke_error_free(to_bad_descriptor(k));
    if (turns == before && !e)
        e = yoke_raise(&YOKE_INTERNAL, "a failing call never yielded");
    yoke_nursery_cancel(&n, NULL);
    return yoke_nursery_close(&n, e);
}

static yoke_error *calls_see_the_cancel_and_yield(struct kit *k)
{
    long turns = 0;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, count_turns, &turns);
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, "table");
    for (int i = 0; i < CALLS && !e; i++) {
        long before = turns;
        for (int times = 0; times < 200 && !e; times++)
            if (!was_cancelled(calls[i].call(k)))
                e = yoke_raise(&YOKE_INTERNAL, "%s did not return Cancelled, call %d", calls[i].name, times);
        if (turns == before && !e)
            e = yoke_raise(&YOKE_INTERNAL, "%s in a cancelled scope never yielded in 200 calls",
                           calls[i].name);
    }
    e = yoke_scope_close(&s, e);
    yoke_nursery_cancel(&n, NULL);
    return yoke_nursery_close(&n, e);
}

static yoke_error *park_and_be_cancelled(void *arg)
{
    struct kit *k = ((void **)arg)[0];
    int i = *(int *)((void **)arg)[1];
    return calls[i].call(k);
}

static yoke_error *parked_calls_are_woken_by_the_cancel(struct kit *k)
{
    yoke_error *e = NULL;
    for (int i = AT_ONCE; i < CALLS && !e; i++) {
        void *args[] = {k, &i};
        yoke_nursery n;
        YOKE_TRY(yoke_nursery_open(&n));
        e = yoke_spawn(&n, park_and_be_cancelled, args);
        settle();
        yoke_nursery_cancel(&n, NULL);
        bool waited = !list_empty(&n.children);
        e = yoke_nursery_close(&n, e);
        if (!waited)
            e = yoke_error_join(e, yoke_raise(&YOKE_INTERNAL, "%s did not wait", calls[i].name));
    }
    yoke_channel_statistics full, empty;
    yoke_sender_statistics(&k->full_tx, &full);
    yoke_receiver_statistics(&k->empty_rx, &empty);
    if (full.waiting_senders || empty.waiting_receivers || yoke_event_get_waiting(&k->unset) ||
        scheduler_here->poller.waiting)
        e = yoke_error_join(e, yoke_raise(&YOKE_INTERNAL, "a cancelled waiter is still in a list"));
    return e;
}

static yoke_error *with_kit(void *arg)
{
    yoke_error *(*fn)(struct kit *) = *(yoke_error * (**)(struct kit *)) arg;
    struct kit k = {0};
    yoke_error *e = kit_open(&k);
    return kit_close(&k, e ? e : fn(&k));
}

static void run_with_kit(yoke_error *(*fn)(struct kit *))
{
    assert_success(yoke_run(with_kit, &fn, NULL));
}

static void test_sched_07_checkpoints_yield_on_success_and_error(void **state)
{
    run_with_kit(calls_that_succeed_yield);
}

static void test_scope_30_every_checkpoint_sees_the_cancel(void **state)
{
    run_with_kit(calls_see_the_cancel_and_yield);
}

static void test_sync_10_cancelled_waiters_leave(void **state)
{
    run_with_kit(parked_calls_are_woken_by_the_cancel);
}

static yoke_error *do_nothing(void *arg)
{
    return NULL;
}

/* None of these yields, none of these returns Cancelled. */
static yoke_error *no_checkpoints(struct kit *k)
{
    long turns = 0;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, count_turns, &turns);
    settle();
    yoke_scope s, inner;
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, NULL);
    long before = turns;
    for (int i = 0; i < 300 && !e; i++) {
        char item;
        yoke_event event;
        yoke_event_init(&event);
        yoke_event_set(&event);
        yoke_sender tx;
        yoke_receiver rx;
        if (!was_kind(yoke_channel_send_nowait(&k->full_tx, "1"), &YOKE_WOULD_BLOCK) ||
            !was_kind(yoke_channel_receive_nowait(&k->empty_rx, &item), &YOKE_WOULD_BLOCK))
            e = yoke_raise(&YOKE_INTERNAL, "nowait does not say WouldBlock");
        if (!e)
            e = yoke_channel_send_nowait(&k->empty_tx, "1");
        if (!e)
            e = yoke_channel_receive_nowait(&k->empty_rx, &item);
        if (!e)
            e = yoke_sender_clone(&k->full_tx, &tx);
        if (!e)
            e = yoke_receiver_clone(&k->full_rx, &rx);
        yoke_sender_close(&tx);
        yoke_receiver_close(&rx);
        if (!e)
            e = yoke_scope_open(&inner);
        yoke_scope_cancel(&inner, NULL);
        if (!e)
            e = yoke_scope_close(&inner, NULL);
        if (!e && i < 3)
            e = yoke_spawn(&n, do_nothing, NULL);
        yoke_error_free(yoke_raise(&YOKE_NOT_FOUND, "no matter"));
        if (!e && k->ended)
            e = yoke_process_signal(k->ended, SIGTERM);
    }
    if (turns != before && !e)
        e = yoke_raise(&YOKE_INTERNAL, "one of them yielded");
    e = yoke_scope_close(&s, e);
    yoke_nursery_cancel(&n, NULL);
    return yoke_nursery_close(&n, e);
}

static void test_sched_08_not_checkpoints(void **state)
{
    run_with_kit(no_checkpoints);
}

/* A yield by the budget lets another task cancel this one, which then parks: it must not sleep for ever. */
static yoke_error *cancel_on_turn(void *arg)
{
    yoke_scope_cancel(arg, "while the budget ran out");
    return NULL;
}

static yoke_error *cancelled_by_the_budgets_yield(void *arg)
{
    yoke_sender tx;
    yoke_receiver rx;
    YOKE_TRY(yoke_channel_open(&tx, &rx, 0, 1, NULL));
    yoke_scope s;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_scope_open(&s));
    yoke_error *e = yoke_spawn(&n, cancel_on_turn, &s);
    char item;
    if (!e)
        e = yoke_channel_receive(&rx, &item);
    bool cancelled = yoke_error_is_cancelled(e);
    e = yoke_scope_close(&s, e);
    yoke_sender_close(&tx);
    yoke_receiver_close(&rx);
    e = yoke_nursery_close(&n, e);
    return cancelled ? e : yoke_error_join(e, yoke_raise(&YOKE_INTERNAL, "not cancelled"));
}

static void test_sched_09_a_cancel_during_the_budgets_yield_is_seen(void **state)
{
    yoke_run_options options = {.budget = 1};
    assert_success(yoke_run(cancelled_by_the_budgets_yield, NULL, &options));
}

static yoke_error *operations_till_yield(void *arg)
{
    unsigned budget = *(unsigned *)arg;
    long turns = 0;
    yoke_event event;
    yoke_event_init(&event);
    yoke_event_set(&event);
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, count_turns, &turns);
    if (!e)
        e = yoke_checkpoint(); /* from here on the budget is full */
    long before = turns;
    unsigned count = 0;
    while (!e && turns == before) {
        e = yoke_event_wait(&event);
        count++;
    }
    if (count != budget && !e)
        e = yoke_raise(&YOKE_INTERNAL, "yielded at operation %u of a budget of %u", count, budget);
    yoke_nursery_cancel(&n, NULL);
    return yoke_nursery_close(&n, e);
}

static void test_sched_09_budget(void **state)
{
    unsigned standard = 128, one = 1;
    assert_success(yoke_run(operations_till_yield, &standard, NULL));
    yoke_run_options options = {.budget = 1};
    assert_success(yoke_run(operations_till_yield, &one, &options));
}

/* ---- parking ---- */

struct parked {
    yoke_task *task;
    enum yoke_abort answer;
    int aborts;
    yoke_error *got;
    bool next_cancelled;
};

static enum yoke_abort on_abort(yoke_task *task, void *arg)
{
    struct parked *p = arg;
    p->aborts++;
    return p->answer;
}

static yoke_error *park_it(void *arg)
{
    struct parked *p = arg;
    p->task = yoke_current_task();
    p->got = yoke_park(on_abort, p);
    p->next_cancelled = was_cancelled(yoke_checkpoint());
    return NULL;
}

static yoke_error *wake_with(void *arg)
{
    struct parked p = {0};
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, park_it, &p);
    settle();
    yoke_reschedule(p.task, arg);
    if (p.got)
        e = yoke_raise(&YOKE_INTERNAL, "it ran inside of reschedule");
    e = yoke_nursery_close(&n, e);
    if (p.got != arg || p.aborts)
        e = yoke_error_join(e, yoke_raise(&YOKE_INTERNAL, "another outcome"));
    return e;
}

static void test_sched_12_woken_with_success_and_with_an_error(void **state)
{
    assert_success(yoke_run(wake_with, NULL, NULL));
    yoke_error *outcome = yoke_raise(&YOKE_BROKEN_RESOURCE, "outcome");
    assert_success(yoke_run(wake_with, outcome, NULL));
    yoke_error_free(outcome);
}

static yoke_error *wake_twice(void *arg)
{
    struct parked p = {0};
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    YOKE_TRY(yoke_spawn(&n, park_it, &p));
    settle();
    yoke_reschedule(p.task, NULL);
    yoke_reschedule(p.task, NULL);
    return yoke_nursery_close(&n, NULL);
}

static yoke_error *wake_oneself(void *arg)
{
    yoke_reschedule(yoke_current_task(), NULL);
    return NULL;
}

static void die_by_waking_twice(void)
{
    yoke_error_free(yoke_run(wake_twice, NULL, NULL));
}

static void die_by_waking_the_running(void)
{
    yoke_error_free(yoke_run(wake_oneself, NULL, NULL));
}

static void test_sched_12_waking_what_is_not_parked_dies(void **state)
{
    assert_death(die_by_waking_twice, "park_it", "not parked");
    assert_death(die_by_waking_the_running, "main", "not parked");
}

static yoke_error *abort_refused(void *arg)
{
    struct parked p = {.answer = YOKE_ABORT_REFUSED};
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, park_it, &p);
    settle();
    yoke_nursery_cancel(&n, "refused");
    settle();
    settle();
    yoke_nursery_cancel(&n, "again");
    if (p.aborts != 1 || p.task == NULL || list_empty(&n.children))
        e = yoke_raise(&YOKE_INTERNAL, "%d aborts", p.aborts);
    yoke_error *outcome = yoke_raise(&YOKE_NOT_FOUND, "value");
    yoke_reschedule(p.task, outcome);
    e = yoke_nursery_close(&n, e);
    if (p.got != outcome || !p.next_cancelled)
        e = yoke_error_join(e, yoke_raise(&YOKE_INTERNAL, "not its outcome, or no Cancelled after it"));
    yoke_error_free(outcome);
    return e;
}

static void test_sched_13_abort_refused(void **state)
{
    assert_success(yoke_run(abort_refused, NULL, NULL));
}

/* ---- an abort that takes its time ---- */

struct slow {
    yoke_task *task;
    int aborts;
    bool shielded_passed;
    yoke_error *got;
};

static enum yoke_abort abort_later(yoke_task *task, void *arg)
{
    ((struct slow *)arg)->aborts++;
    return YOKE_ABORT_REFUSED;
}

/* The shield is raised between the abort and its delivery. */
static yoke_error *park_slowly(void *arg)
{
    struct slow *p = arg;
    yoke_scope s;
    YOKE_TRY(yoke_scope_open(&s));
    p->task = yoke_current_task();
    p->got = yoke_park(abort_later, p);
    yoke_scope_set_shield(&s, true);
    yoke_error *e = yoke_checkpoint();
    p->shielded_passed = !e;
    return yoke_scope_close(&s, e);
}

static yoke_error *slow_abort(void *arg)
{
    struct slow p = {.aborts = 0};
    yoke_nursery outer, inner;
    YOKE_TRY(yoke_nursery_open(&outer));
    YOKE_TRY(yoke_nursery_open(&inner));
    YOKE_TRY(yoke_spawn(&inner, park_slowly, &p));
    settle();
    yoke_nursery_cancel(&inner, "first");
    yoke_nursery_cancel(&outer, "second");
    if (p.aborts != 1)
        return yoke_raise(&YOKE_INTERNAL, "%d aborts", p.aborts);
    settle();
    yoke_reschedule(p.task, task_news(p.task));
    YOKE_TRY(yoke_nursery_close(&inner, NULL));
    bool cancelled = yoke_error_is_cancelled(p.got);
    yoke_error_free(p.got);
    YOKE_TRY(yoke_nursery_close(&outer, NULL));
    return cancelled && p.shielded_passed ? NULL
                                          : yoke_raise(&YOKE_INTERNAL, "%d %d", cancelled, p.shielded_passed);
}

static void test_sched_21_slow_abort(void **state)
{
    assert_success(yoke_run(slow_abort, NULL, NULL));
}

/* ---- what an abort function may do ---- */

static enum yoke_abort abort_by_checkpoint(yoke_task *task, void *arg)
{
    yoke_error_free(yoke_checkpoint());
    return YOKE_ABORT_DONE;
}

static enum yoke_abort abort_by_nonsense(yoke_task *task, void *arg)
{
    return (enum yoke_abort)77;
}

static yoke_error *park_under(void *arg)
{
    return yoke_park(*(yoke_abort_fn *)arg, NULL);
}

static yoke_error *cancel_the_parked(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_task *child = NULL;
    YOKE_TRY(yoke_spawn(&n, park_under, arg));
    settle();
    child = container_of(n.children.next, yoke_task, in_nursery);
    yoke_nursery_cancel(&n, NULL);
    if (child->state == TASK_PARKED)
        yoke_reschedule(child, NULL);
    return yoke_nursery_close(&n, NULL);
}

static void die_by_checkpoint_in_abort(void)
{
    yoke_abort_fn fn = abort_by_checkpoint;
    yoke_error_free(yoke_run(cancel_the_parked, &fn, NULL));
}

static void test_sched_22_what_an_abort_function_may_do(void **state)
{
    assert_death(die_by_checkpoint_in_abort, "yoke_checkpoint", "abort function", "park_under");
    yoke_abort_fn fn = abort_by_nonsense;
    yoke_error *e = yoke_run(cancel_the_parked, &fn, NULL);
    assert_true(yoke_error_is(e, &YOKE_INTERNAL));
    assert_non_null(yoke_error_find(e, &YOKE_USAGE));
    assert_error_text(e, &YOKE_INTERNAL, "park_under");
}

/* Woken and cancelled in the same pass, in either order. */
static yoke_error *woken_and_cancelled(void *arg)
{
    bool cancel_first = *(bool *)arg;
    struct parked p = {.answer = YOKE_ABORT_DONE};
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, park_it, &p);
    settle();
    if (cancel_first) {
        yoke_nursery_cancel(&n, NULL);
    } else {
        yoke_reschedule(p.task, NULL);
        yoke_nursery_cancel(&n, NULL);
    }
    e = yoke_nursery_close(&n, e);
    bool cancelled = p.got != NULL;
    yoke_error_free(p.got);
    if (cancelled != cancel_first || p.aborts != cancel_first || !p.next_cancelled)
        e = yoke_error_join(e, yoke_raise(&YOKE_INTERNAL, "cancelled %d, aborts %d", cancelled, p.aborts));
    return e;
}

static void test_sched_10_a_wake_up_is_never_reported_as_cancelled(void **state)
{
    bool cancel_first = false;
    assert_success(yoke_run(woken_and_cancelled, &cancel_first, NULL));
    cancel_first = true;
    assert_success(yoke_run(woken_and_cancelled, &cancel_first, NULL));
}

/* ---- errno ---- */

static yoke_error *spoil_errno(void *arg)
{
    for (int i = 0; i < 20; i++) {
        errno = 1000 + i;
        YOKE_TRY(yoke_checkpoint());
    }
    return NULL;
}

static yoke_error *keep_errno(void *arg)
{
    errno = 77;
    for (int i = 0; i < 10; i++) { /* alone: the pass is run on this stack, and no switch follows */
        YOKE_TRY(yoke_sleep(YOKE_US(50)));
        if (errno != 77)
            return yoke_raise(&YOKE_INTERNAL, "errno is %d after a pass", errno);
    }
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, spoil_errno, NULL);
    errno = 78;
    for (int i = 0; i < 10 && !e; i++) {
        e = yoke_checkpoint();
        if (errno != 78 && !e)
            e = yoke_raise(&YOKE_INTERNAL, "errno is %d after a switch", errno);
    }
    return yoke_nursery_close(&n, e);
}

static void spoil_errno_in_pass(struct pass_hook *hook)
{
    errno = 99;
}

static yoke_error *keep_errno_over_hooks(void *arg)
{
    struct pass_hook hook = {.fn = spoil_errno_in_pass};
    for (int i = 0; i < 3; i++) {
        pass_hook_set(scheduler_here, &hook);
        errno = 77;
        YOKE_TRY(yoke_checkpoint());
        if (errno != 77)
            return yoke_raise(&YOKE_INTERNAL, "errno is %d", errno);
    }
    return NULL;
}

static void test_task_11_errno_is_the_tasks(void **state)
{
    assert_success(yoke_run(keep_errno, NULL, NULL));
    assert_success(yoke_run(keep_errno_over_hooks, NULL, NULL));
}

/* ---- pass hooks ---- */

struct counting_hook {
    struct pass_hook hook;
    int calls;
    bool again;
};

static void count_call(struct pass_hook *hook)
{
    struct counting_hook *h = (struct counting_hook *)(void *)hook;
    h->calls++;
    if (h->again)
        pass_hook_set(scheduler_here, hook);
}

static yoke_error *hooks(void *arg)
{
    struct counting_hook once = {.hook.fn = count_call}, again = {.hook.fn = count_call, .again = true},
                         unset = {.hook.fn = count_call};
    pass_hook_set(scheduler_here, &once.hook);
    pass_hook_set(scheduler_here, &once.hook);
    pass_hook_set(scheduler_here, &again.hook);
    pass_hook_set(scheduler_here, &unset.hook);
    pass_hook_unset(&unset.hook);
    for (int i = 0; i < 5; i++)
        YOKE_TRY(yoke_checkpoint());
    pass_hook_unset(&again.hook);
    if (once.calls != 1 || again.calls != 5 || unset.calls != 0)
        return yoke_raise(&YOKE_INTERNAL, "%d %d %d calls", once.calls, again.calls, unset.calls);
    return NULL;
}

static void test_pass_hooks_run_once_each_pass(void **state)
{
    assert_success(yoke_run(hooks, NULL, NULL));
}

/* ---- idle, threads, outside ---- */

static yoke_error *idle(void *arg)
{
    struct rusage before, after;
    getrusage(RUSAGE_THREAD, &before);
    YOKE_TRY(yoke_sleep(YOKE_MS(500)));
    getrusage(RUSAGE_THREAD, &after);
    long waits = after.ru_nvcsw - before.ru_nvcsw;
    return waits > 5 ? yoke_raise(&YOKE_INTERNAL, "%ld wake-ups", waits) : NULL;
}

static void test_sched_19_idle_costs_nothing(void **state)
{
    assert_success(yoke_run(idle, NULL, NULL));
}

static yoke_error *sleep_and_yield(void *arg)
{
    for (int i = 0; i < 20; i++) {
        YOKE_TRY(yoke_checkpoint());
        YOKE_TRY(yoke_sleep(YOKE_US(10)));
    }
    return NULL;
}

static yoke_error *three_sleepers(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 3 && !e; i++)
        e = yoke_spawn(&n, sleep_and_yield, NULL);
    return yoke_nursery_close(&n, e);
}

static void *many_sleepers(void *arg)
{
    for (int i = 0; i < 20; i++) {
        yoke_error *e = yoke_run(three_sleepers, NULL, NULL);
        if (e)
            return e;
    }
    return NULL;
}

static void test_sched_20_schedulers_in_threads(void **state)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, many_sleepers, NULL), 0);
    for (int i = 0; i < 4; i++) {
        void *e;
        pthread_join(threads[i], &e);
        assert_success(e);
    }
}

static yoke_nursery *foreign;

static yoke_error *spawn_into_foreign(void *arg)
{
    return yoke_spawn(foreign, do_nothing, NULL);
}

static void *foreign_without_run(void *arg)
{
    return yoke_spawn(foreign, do_nothing, NULL);
}

static void *foreign_with_run(void *arg)
{
    return yoke_run(spawn_into_foreign, NULL, NULL);
}

static yoke_error *lend_nursery(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    foreign = &n;
    yoke_error *e = NULL;
    void *(*threads[])(void *) = {foreign_without_run, foreign_with_run};
    for (int i = 0; i < 2 && !e; i++) {
        pthread_t thread;
        void *got = NULL;
        if (pthread_create(&thread, NULL, threads[i], NULL))
            return yoke_nursery_close(&n, yoke_raise(&YOKE_INTERNAL, "no thread"));
        pthread_join(thread, &got);
        if (!was_kind(got, &YOKE_USAGE) || !list_empty(&n.children))
            e = yoke_raise(&YOKE_INTERNAL, "another thread spawned into the nursery, case %d", i);
    }
    return yoke_nursery_close(&n, e);
}

static void test_nurs_40_spawn_from_another_thread(void **state)
{
    assert_success(yoke_run(lend_nursery, NULL, NULL));
}

static void close_scope_outside(void)
{
    yoke_scope s = {0};
    yoke_error_free(yoke_scope_close(&s, NULL));
}

static void close_nursery_outside(void)
{
    yoke_nursery n = {0};
    yoke_error_free(yoke_nursery_close(&n, NULL));
}

static yoke_sender kept_tx;
static yoke_receiver kept_rx;

static yoke_error *keep_channel(void *arg)
{
    return yoke_channel_open(&kept_tx, &kept_rx, 1, 1, NULL);
}

static void test_sched_31_outside_of_a_run(void **state)
{
    yoke_scope s;
    yoke_nursery n;
    yoke_event event;
    yoke_sender tx;
    yoke_receiver rx;
    yoke_process *process;
    memset(&n, 0, sizeof n);
    yoke_event_init(&event);
    assert_success(yoke_run(keep_channel, NULL, NULL));
    char item = 0;
    yoke_error *errors[] = {
        yoke_checkpoint(),
        yoke_checkpoint_if_cancelled(),
        yoke_cancel_shielded_checkpoint(),
        yoke_sleep(0),
        yoke_sleep(1),
        yoke_sleep_until(1),
        yoke_sleep_until(YOKE_NEVER),
        yoke_sleep_forever(),
        yoke_scope_open(&s),
        yoke_move_on_after(&s, 1),
        yoke_nursery_open(&n),
        yoke_spawn(&n, do_nothing, NULL),
        yoke_spawn_system(do_nothing, NULL),
        yoke_park(on_abort, NULL),
        yoke_event_wait(&event),
        yoke_channel_open(&tx, &rx, 1, 1, NULL),
        yoke_channel_send(&kept_tx, &item),
        yoke_channel_receive(&kept_rx, &item),
        yoke_channel_send_nowait(&kept_tx, &item),
        yoke_channel_receive_nowait(&kept_rx, &item),
        yoke_wait_readable(0),
        yoke_wait_writable(1),
        yoke_process_open(&process, ARGV("true"), NULL),
    };
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (!yoke_error_is(errors[i], &YOKE_USAGE))
            print_error("call %zu\n", i);
        assert_error(errors[i], &YOKE_USAGE);
    }
    assert_int_equal(yoke_current_effective_deadline(), YOKE_NEVER);
    yoke_sender_close(&kept_tx);
    yoke_receiver_close(&kept_rx);
    assert_death(close_scope_outside, "outside of a task");
    assert_death(close_nursery_outside, "outside of a task");
    assert_null(scheduler_above());
}

static yoke_error *above(void *arg)
{
    if (scheduler_above())
        return yoke_raise(&YOKE_INTERNAL, "something above");
    scheduler_here->above = arg;
    YOKE_TRY(yoke_checkpoint());
    return scheduler_above() == arg ? NULL : yoke_raise(&YOKE_INTERNAL, "not what was put there");
}

static void test_the_floor_above_finds_its_runtime(void **state)
{
    int runtime;
    assert_success(yoke_run(above, &runtime, NULL));
    assert_null(scheduler_above());
}

/* ---- system tasks ---- */

static bool system_ended;

static yoke_error *serve(void *arg)
{
    yoke_error *e = yoke_sleep_forever();
    system_ended = true;
    return e;
}

static yoke_error *fail_soon(void *arg)
{
    YOKE_TRY(yoke_checkpoint());
    return yoke_raise(&YOKE_NOT_FOUND, "of the system task");
}

static yoke_error *main_with_server(void *arg)
{
    YOKE_TRY(yoke_spawn_system(serve, NULL));
    settle();
    return system_ended ? yoke_raise(&YOKE_INTERNAL, "the server has ended") : NULL;
}

static yoke_error *main_with_failing_server(void *arg)
{
    YOKE_TRY(yoke_spawn_system(fail_soon, NULL));
    return yoke_sleep_forever();
}

static void test_sched_18_system_tasks(void **state)
{
    system_ended = false;
    assert_success(yoke_run(main_with_server, NULL, NULL));
    assert_true(system_ended);
    yoke_error *e = yoke_run(main_with_failing_server, NULL, NULL);
    assert_null(yoke_error_find(e, &YOKE_CANCELLED));
    assert_non_null(yoke_error_find(e, &YOKE_NOT_FOUND));
    assert_error(e, &YOKE_INTERNAL);
}

/* ---- what a task owes ---- */

static yoke_error *owe_and_checkpoint(void *arg)
{
    yoke_scope s;
    task_owe(task_here(), yoke_raise(&YOKE_NOT_FOUND, "owed"));
    YOKE_TRY(task_shield_open(&s, (yoke_scope_options){0}));
    yoke_error *inside = yoke_checkpoint();
    YOKE_TRY(task_shield_close(&s, inside));
    if (!was_kind(yoke_sleep(YOKE_MS(1)), &YOKE_NOT_FOUND))
        return yoke_raise(&YOKE_INTERNAL, "the first checkpoint has not told it");
    return yoke_checkpoint();
}

static yoke_error *owe_and_end(void *arg)
{
    task_owe(task_here(), yoke_raise(&YOKE_NOT_FOUND, "owed"));
    return arg;
}

static yoke_error *owe_and_close(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, sleep_ten, NULL);
    task_owe(task_here(), yoke_raise(&YOKE_NOT_FOUND, "owed"));
    return yoke_nursery_close_flat(&n, e);
}

static yoke_error *owe_in_a_child(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    return yoke_nursery_close_flat(&n, yoke_spawn(&n, owe_and_end, NULL));
}

static void test_what_a_task_owes_is_told_once(void **state)
{
    assert_success(yoke_run(owe_and_checkpoint, NULL, NULL));
    assert_error(yoke_run(owe_and_end, NULL, NULL), &YOKE_NOT_FOUND);
    assert_error(yoke_run(owe_and_close, NULL, NULL), &YOKE_NOT_FOUND);
    assert_error(yoke_run(owe_in_a_child, NULL, NULL), &YOKE_NOT_FOUND);
    yoke_error *both = yoke_run(owe_and_end, yoke_raise(&YOKE_USAGE, "own"), NULL);
    assert_non_null(yoke_error_find(both, &YOKE_USAGE));
    assert_non_null(yoke_error_find(both, &YOKE_NOT_FOUND));
    yoke_error_free(both);
}

/* ---- no memory ---- */

static yoke_error *a_bit_of_everything(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_scope s;
    yoke_error *e = yoke_move_on_after(&s, YOKE_MS(1));
    if (!e) {
        e = yoke_spawn(&n, two_recorders, NULL);
        for (int i = 0; i < 3 && !e; i++)
            e = yoke_spawn(&n, fail_soon, NULL);
        if (!e)
            e = yoke_sleep_forever();
        e = yoke_scope_close(&s, e);
    }
    return yoke_nursery_close(&n, e);
}

static yoke_error *everything(void *arg)
{
    recorded = 0;
    YOKE_TRY(yoke_spawn_system(serve, NULL));
    yoke_sender tx;
    yoke_receiver rx;
    YOKE_TRY(yoke_channel_open(&tx, &rx, YOKE_UNBOUNDED, 8, NULL));
    yoke_error *e = NULL;
    for (int i = 0; i < 40 && !e; i++)
        e = yoke_channel_send(&tx, "12345678");
    e = yoke_error_join(e, a_bit_of_everything(NULL));
    yoke_sender_close(&tx);
    yoke_receiver_close(&rx);
    int fds[2];
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
        return e;
    e = yoke_error_join(e, yoke_wait_writable(fds[1]));
    yoke_close(fds[0]);
    yoke_close(fds[1]);
    yoke_process *process;
    yoke_error *failed = yoke_process_open(&process, ARGV("true"), NULL);
    if (!failed) {
        int status;
        failed = yoke_process_close(process, yoke_process_wait(process, &status));
    }
    return yoke_error_join(e, failed);
}

static void test_sys_03_no_memory_at_each_allocation(void **state)
{
    refuse_each_allocation(everything, NULL);
}

HARNESS_MAIN(TEST(test_sched_01_the_very_error_of_main), TEST(test_sched_01_nothing_stays_behind),
             TEST(test_sched_02_run_inside_run), TEST(test_scope_28_a_cancelled_of_no_scope_is_internal),
             TEST(test_sched_03_one_runs_at_a_time), TEST(test_sched_04_busy_tasks_starve_nobody),
             TEST(test_sched_05_fairness), TEST(test_sched_07_checkpoints_yield_on_success_and_error),
             TEST(test_scope_30_every_checkpoint_sees_the_cancel), TEST(test_sync_10_cancelled_waiters_leave),
             TEST(test_sched_08_not_checkpoints),
             TEST(test_sched_09_a_cancel_during_the_budgets_yield_is_seen), TEST(test_sched_09_budget),
             TEST(test_sched_12_woken_with_success_and_with_an_error),
             TEST(test_sched_12_waking_what_is_not_parked_dies), TEST(test_sched_13_abort_refused),
             TEST(test_sched_21_slow_abort), TEST(test_sched_22_what_an_abort_function_may_do),
             TEST(test_sched_10_a_wake_up_is_never_reported_as_cancelled),
             TEST(test_task_11_errno_is_the_tasks), TEST(test_pass_hooks_run_once_each_pass),
             TEST(test_sched_19_idle_costs_nothing), TEST(test_sched_20_schedulers_in_threads),
             TEST(test_nurs_40_spawn_from_another_thread), TEST(test_sched_31_outside_of_a_run),
             TEST(test_the_floor_above_finds_its_runtime), TEST(test_sched_18_system_tasks),
             TEST(test_what_a_task_owes_is_told_once), TEST(test_sys_03_no_memory_at_each_allocation))
