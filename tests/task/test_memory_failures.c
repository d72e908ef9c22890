/*
 * Out of memory, everywhere: each path is run with its first allocation refused, then with its second, and so
 * on till none is refused any more. Each time it gives a clean error or succeeds, the same run can do it all
 * again at once, and nothing is left over.
 */
#include "child.h"
#include "task/task.h"

#include <errno.h>
#include <sys/eventfd.h>

YOKE_ERROR_KIND(APP_K, "test.K", NULL);
YOKE_ERROR_KIND(APP_L, "test.L", NULL);
YOKE_CHANNEL(number, int);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return yoke_raise(&YOKE_INTERNAL, "not true: %s (line %d)", #condition, __LINE__);               \
    } while (0)

/* Takes an error of `kind` away; what could not be raised for want of memory goes on. */
static yoke_error *without(yoke_error *e, const yoke_error_kind *kind)
{
    CHECK(e);
    if (!yoke_error_is(e, kind))
        return e;
    yoke_error_free(e);
    return NULL;
}

/* ---- paths: NULL when all goes well ---- */

static yoke_error *sleeps(void *arg)
{
    return yoke_sleep(YOKE_MS(1));
}

static yoke_error *hangs(void *arg)
{
    return yoke_sleep_forever();
}

static yoke_error *spawn_many(void *arg)
{
    enum { TASKS = 40 };
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_spawn_options options = {.name = "one of many", .stack_bytes = 128 << 10};
    yoke_error *e = NULL;
    for (int i = 0; i < TASKS && !e; i++)
        e = i % 2 ? yoke_spawn_with(&n, sleeps, NULL, &options) : yoke_spawn_value(&n, sleeps, &i, sizeof i);
    return yoke_nursery_close(&n, e);
}

static yoke_error *fails(void *arg)
{
    return yoke_raise(&APP_K, "of its own");
}

/* Real errors of several tasks, and a Cancelled for the rest: none of the errors may be lost. */
static yoke_error *failing_nursery(void *arg)
{
    enum { FAILING = 9 };
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, hangs, NULL);
    for (int i = 0; i < FAILING && !e; i++)
        e = yoke_spawn(&n, fails, NULL);
    bool all = !e;
    e = yoke_nursery_close(&n, e);
    yoke_error *ours;
    CHECK(!all || e);
    yoke_error_split(&e, &APP_K, &ours);
    CHECK(!all || ours);
    yoke_error_free(ours);
    return e;
}

static yoke_error *fails_when_cancelled(void *arg)
{
    yoke_error_free(yoke_sleep_forever());
    return yoke_raise(&APP_K, "in its cleanup");
}

/* A real error and a Cancelled together leave a nursery; the scope around absorbs the one, never the other.
 */
static yoke_error *mixed_group(void *arg)
{
    yoke_scope s;
    yoke_nursery n;
    YOKE_TRY(yoke_move_on_after(&s, YOKE_MS(1)));
    yoke_error *e = yoke_nursery_open(&n);
    bool both = false;
    if (!e) {
        e = yoke_spawn(&n, fails_when_cancelled, NULL);
        if (!e)
            e = yoke_spawn(&n, hangs, NULL);
        both = !e;
        e = yoke_nursery_close(&n, e);
    }
    e = yoke_scope_close(&s, e);
    if (!both)
        return e;
    CHECK(yoke_error_find(e, &APP_K) || yoke_error_find(e, &YOKE_NO_MEMORY));
    yoke_error_free(e);
    return NULL;
}

static yoke_error *gets_ready(void *arg)
{
    YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    YOKE_TRY(yoke_started(arg));
    return yoke_sleep(YOKE_MS(1));
}

static yoke_error *fails_before(void *arg)
{
    YOKE_TRY(yoke_checkpoint());
    return yoke_raise(&APP_K, "not ready");
}

static yoke_error *never_ready(void *arg)
{
    return NULL;
}

static yoke_error *starts(yoke_nursery *n)
{
    void *value = NULL;
    YOKE_TRY(yoke_start(n, gets_ready, n, &value));
    CHECK(value == n);
    YOKE_TRY(without(yoke_start(n, fails_before, n, &value), &APP_K));
    return without(yoke_start(n, never_ready, n, &value), &YOKE_USAGE);
}

static yoke_error *start_some(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    return yoke_nursery_close(&n, starts(&n));
}

static yoke_error *expires(bool fail)
{
    yoke_scope s;
    YOKE_TRY(yoke_scope_open_after_at(__FILE__, __LINE__, &s, YOKE_MS(1), fail));
    return yoke_scope_close(&s, yoke_sleep_forever());
}

static yoke_error *scopes(void *arg)
{
    yoke_scope s;
    YOKE_TRY(expires(false));
    YOKE_TRY(without(expires(true), &YOKE_TOO_SLOW));
    YOKE_TRY(yoke_scope_open(&s));
    yoke_scope_cancel(&s, "by hand");
    yoke_error *e = yoke_checkpoint();
    CHECK(yoke_error_is_cancelled(e));
    YOKE_TRY(yoke_scope_close(&s, e));
    YOKE_TRY(yoke_scope_init(&s, NULL));
    yoke_scope_cancel(&s, "too early");
    YOKE_TRY(yoke_scope_enter(&s));
    e = yoke_checkpoint();
    CHECK(yoke_error_is_cancelled(e));
    return yoke_scope_close(&s, e);
}

/* More than the heap has room for at first. */
static yoke_error *timers(void *arg)
{
    enum { SCOPES = 50 };
    yoke_scope open[SCOPES];
    int count = 0;
    yoke_error *e = NULL;
    while (count < SCOPES && !e) {
        e = yoke_move_on_after(&open[count], YOKE_S(1 + count % 7));
        count += !e;
    }
    for (int i = 0; i < count && !e; i += 3)
        e = yoke_scope_set_deadline(&open[i], yoke_now() + YOKE_S(9));
    if (!e)
        e = yoke_sleep(YOKE_MS(1));
    while (count)
        e = yoke_scope_close(&open[--count], e);
    return e;
}

struct ends {
    number_sender tx;
    number_receiver rx;
};

static yoke_error *produces(void *arg)
{
    struct ends *c = arg;
    yoke_error *e = NULL;
    for (int i = 0; i < 40 && !e; i++)
        e = number_send(&c->tx, i);
    number_sender_close(&c->tx);
    return e;
}

static yoke_error *consume(struct ends *c)
{
    yoke_error *e;
    int item, next = 0;
    while (!(e = number_recv(&c->rx, &item)))
        CHECK(item == next++);
    e = yoke_end_is_fine(e);
    CHECK(e || next == 40);
    return e;
}

static yoke_error *through_a_channel(size_t capacity)
{
    struct ends c;
    yoke_nursery n;
    YOKE_TRY(number_channel(&c.tx, &c.rx, capacity));
    yoke_error *e = yoke_nursery_open(&n);
    if (!e) {
        e = yoke_spawn(&n, produces, &c);
        if (!e && capacity == YOKE_UNBOUNDED)
            e = yoke_sleep(YOKE_MS(1)); /* it fills up first */
        if (!e)
            e = consume(&c);
        e = yoke_nursery_close(&n, e);
    }
    number_sender_close(&c.tx);
    number_receiver_close(&c.rx);
    return e;
}

static yoke_error *channels(void *arg)
{
    YOKE_TRY(through_a_channel(0));
    YOKE_TRY(through_a_channel(4));
    return through_a_channel(YOKE_UNBOUNDED);
}

static yoke_error *channel_refusals(void *arg)
{
    struct ends c;
    int item;
    YOKE_TRY(number_channel(&c.tx, &c.rx, 1));
    yoke_error *e = without(number_recv_nowait(&c.rx, &item), &YOKE_WOULD_BLOCK);
    if (!e)
        e = number_send_nowait(&c.tx, 1);
    if (!e)
        e = without(number_send_nowait(&c.tx, 2), &YOKE_WOULD_BLOCK);
    number_receiver_close(&c.rx);
    if (!e)
        e = without(number_send(&c.tx, 3), &YOKE_BROKEN_RESOURCE);
    number_sender_close(&c.tx);
    if (!e)
        e = without(number_send(&c.tx, 3), &YOKE_CLOSED);
    return e;
}

static yoke_error *closes_later(void *arg)
{
    struct ends *c = arg;
    YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    number_sender_close(&c->tx);
    return NULL;
}

static yoke_error *choose_among(struct ends *c, yoke_nursery *n)
{
    int item = 0;
    size_t chosen = 0;
    yoke_clause clauses[] = {number_recv_clause(&c[0].rx, &item), number_send_clause(&c[1].tx, &item)};
    yoke_choose_options soon = {.deadline = yoke_now() + YOKE_MS(1)};
    YOKE_TRY(without(yoke_choose_nowait(clauses, 2, &chosen, NULL), &YOKE_WOULD_BLOCK));
    YOKE_TRY(without(yoke_choose(clauses, 2, &chosen, &soon), &YOKE_TOO_SLOW));
    CHECK(chosen == YOKE_NO_CLAUSE);
    YOKE_TRY(yoke_spawn(n, closes_later, c));
    YOKE_TRY(without(yoke_choose(clauses, 2, &chosen, NULL), &YOKE_END_OF_CHANNEL));
    CHECK(chosen == 0);
    return NULL;
}

static yoke_error *choosing(void *arg)
{
    struct ends c[2] = {0};
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 2 && !e; i++)
        e = number_channel(&c[i].tx, &c[i].rx, 0);
    if (!e)
        e = choose_among(c, &n);
    e = yoke_nursery_close(&n, e);
    for (int i = 0; i < 2; i++) {
        number_sender_close(&c[i].tx);
        number_receiver_close(&c[i].rx);
    }
    return e;
}

/* What is raised may be lost for want of memory, what is there already never is. */
static yoke_error *errors(void *arg)
{
    yoke_error *a = yoke_raise(&APP_K, "a"), *b = yoke_raise_errno(ENOENT, "b"), *taken;
    bool both = yoke_error_is(a, &APP_K) && yoke_error_is(b, &YOKE_NOT_FOUND);
    a = yoke_error_trace(a, "here.c", 1, "here");
    (void)yoke_error_note(a, "a note");
    yoke_error *e = yoke_wrap(a, &APP_L, "around");
    bool cause = yoke_error_find(e, &APP_K);
    e = yoke_error_join(e, b);
    e = yoke_error_join(e, yoke_raise(&APP_L, "one more"));
    e = yoke_error_group((yoke_error *[]){e, NULL}, 2, "all of them");
    bool kept = yoke_error_find(e, &APP_K) && yoke_error_find(e, &YOKE_NOT_FOUND);
    yoke_error *copy = yoke_error_dup(e);
    bool copied = yoke_error_find(copy, &APP_K) && yoke_error_find(copy, &YOKE_NOT_FOUND);
    free(yoke_error_text(copy));
    yoke_error_split(&copy, &YOKE_NOT_FOUND, &taken);
    /* Taken out, or, without memory, left where it was. */
    bool apart = copy && !taken == (yoke_error_find(copy, &YOKE_NOT_FOUND) != NULL);
    copy = yoke_error_collapse(copy);
    bool collapsed = yoke_error_find(copy, &APP_K);
    yoke_error_free(e);
    yoke_error_free(copy);
    yoke_error_free(taken);
    CHECK(!both || (cause && kept && copied && apart && collapsed));
    return NULL;
}

static yoke_error *reads_all(void *arg)
{
    yoke_subscriber *s = arg;
    yoke_error *e;
    int item, next = 0;
    while (!(e = yoke_broadcast_receive(s, &item)))
        CHECK(item == next++);
    return yoke_end_is_fine(e);
}

static yoke_error *broadcast_to_two(struct ends *c, yoke_subscriber *s, yoke_nursery *n)
{
    YOKE_TRY(yoke_broadcast_open(&s[0], &c->rx.end, 64, NULL));
    YOKE_TRY(yoke_broadcast_subscribe(&s[0], &s[1], NULL));
    YOKE_TRY(yoke_spawn(n, produces, c));
    YOKE_TRY(yoke_spawn(n, reads_all, &s[0]));
    return yoke_spawn(n, reads_all, &s[1]);
}

static yoke_error *broadcasts(void *arg)
{
    struct ends c;
    yoke_subscriber s[2] = {{0}};
    yoke_nursery n;
    YOKE_TRY(number_channel(&c.tx, &c.rx, 1));
    yoke_error *e = yoke_nursery_open(&n);
    if (!e)
        e = yoke_nursery_close(&n, broadcast_to_two(&c, s, &n));
    yoke_broadcast_close(&s[0]);
    yoke_broadcast_close(&s[1]);
    number_sender_close(&c.tx);
    number_receiver_close(&c.rx);
    return e;
}

static int resources_open;

static yoke_error *resource_open(void *arg, void **value)
{
    YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    resources_open++;
    *value = arg;
    return NULL;
}

static yoke_error *resource_close(void *arg, void *value, yoke_error *e)
{
    resources_open--;
    return e;
}

static yoke_error *gathers(void *arg)
{
    yoke_resource parts[3];
    for (int i = 0; i < 3; i++)
        parts[i] = (yoke_resource){.open = resource_open, .close = resource_close, .name = "part"};
    yoke_gather g;
    yoke_error *e = yoke_gather_open(&g, parts, 3, NULL);
    if (!e) {
        CHECK(resources_open == 3);
        e = yoke_gather_close(&g, yoke_sleep(YOKE_MS(1)));
    }
    CHECK(resources_open == 0);
    return e;
}

static yoke_error *uses(void *arg)
{
    static const yoke_resource resource = {.open = resource_open, .close = resource_close};
    yoke_cached c;
    YOKE_TRY(yoke_cached_open(&c, arg, "key", 3, &resource));
    return yoke_cached_close(&c, yoke_sleep(YOKE_MS(1)));
}

static yoke_error *caches(void *arg)
{
    yoke_cache cache;
    yoke_nursery n;
    yoke_cache_init(&cache, NULL);
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 3 && !e; i++)
        e = yoke_spawn(&n, uses, &cache);
    e = yoke_nursery_close(&n, e);
    CHECK(resources_open == 0 && !cache.table);
    return e;
}

struct things {
    yoke_lock lock;
    yoke_condition condition;
    yoke_semaphore semaphore;
    yoke_limiter limiter;
    yoke_event event;
    yoke_parking lot;
    bool ready;
};

static yoke_error *waits_for_ready(struct things *t)
{
    yoke_error *e = NULL;
    while (!t->ready && !e)
        e = yoke_condition_wait(&t->condition);
    return e;
}

static yoke_error *holds_each(void *arg)
{
    struct things *t = arg;
    YOKE_TRY(yoke_lock_acquire(&t->lock));
    yoke_error *e = waits_for_ready(t);
    e = yoke_error_join(e, yoke_lock_release(&t->lock));
    YOKE_TRY(e);
    YOKE_TRY(yoke_event_wait(&t->event));
    YOKE_TRY(yoke_semaphore_acquire(&t->semaphore));
    e = yoke_error_join(yoke_sleep(YOKE_MS(1)), yoke_semaphore_release(&t->semaphore));
    YOKE_TRY(e);
    yoke_borrower borrower = {0};
    YOKE_TRY(yoke_limiter_acquire(&t->limiter, &borrower));
    e = yoke_error_join(yoke_sleep(YOKE_MS(1)), yoke_limiter_release(&t->limiter, &borrower));
    YOKE_TRY(e);
    return yoke_parking_park(&t->lot);
}

static yoke_error *lead(struct things *t)
{
    YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    YOKE_TRY(yoke_lock_acquire(&t->lock));
    yoke_error *e = without(yoke_lock_acquire_nowait(&t->lock), &YOKE_USAGE);
    t->ready = true;
    if (!e)
        e = yoke_condition_notify(&t->condition, YOKE_ALL);
    YOKE_TRY(yoke_error_join(e, yoke_lock_release(&t->lock)));
    yoke_event_set(&t->event);
    YOKE_TRY(without(yoke_semaphore_release(&t->semaphore), &YOKE_USAGE));
    YOKE_TRY(yoke_sleep(YOKE_S(1)));
    CHECK(yoke_parking_unpark(&t->lot, YOKE_ALL) == 3);
    return NULL;
}

static yoke_error *locks(void *arg)
{
    struct things t = {0};
    yoke_nursery n;
    yoke_lock_init(&t.lock);
    yoke_condition_init(&t.condition, &t.lock);
    YOKE_TRY(yoke_semaphore_init(&t.semaphore, 1, 1));
    YOKE_TRY(yoke_limiter_init(&t.limiter, 1));
    yoke_event_init(&t.event);
    yoke_parking_init(&t.lot);
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 3 && !e; i++)
        e = yoke_spawn(&n, holds_each, &t);
    if (!e)
        e = lead(&t);
    e = yoke_nursery_close(&n, e);
    yoke_lock_statistics now;
    yoke_lock_get_statistics(&t.lock, &now);
    CHECK(!now.locked && !now.broken && t.semaphore.value == 1 && t.limiter.borrowed == 0);
    return e;
}

static yoke_error *keeps(void *arg)
{
    return yoke_lock_acquire(arg);
}

/* Static, as a lock in the frame that waits for its breaking would do too. */
static yoke_error *breaks(void *arg)
{
    static yoke_lock lock;
    yoke_nursery n;
    yoke_lock_init(&lock);
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, keeps, &lock);
    bool there = !e;
    e = yoke_nursery_close(&n, e);
    return there && !e ? without(yoke_lock_acquire(&lock), &YOKE_BROKEN_RESOURCE) : e;
}

static yoke_error *waits_for_descriptors(void *arg)
{
    int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(fd >= 0);
    yoke_error *e = yoke_wait_readable(fd);
    if (!e)
        e = yoke_wait_writable(fd);
    yoke_close(fd);
    return e;
}

static yoke_error *branches(void *arg)
{
    yoke_branch both[] = {{sleeps, NULL, "short"}, {hangs, NULL, "long"}};
    yoke_branch alike[] = {{sleeps, NULL, NULL}, {sleeps, NULL, NULL}};
    yoke_branch bad[] = {{fails, NULL, NULL}, {fails, NULL, NULL}};
    YOKE_TRY(yoke_race(both, 2, NULL));
    YOKE_TRY(yoke_any(both, 2, NULL));
    YOKE_TRY(yoke_all(alike, 2));
    yoke_error *e = yoke_any(bad, 2, NULL), *ours;
    CHECK(e);
    yoke_error_split(&e, &APP_K, &ours);
    yoke_error_free(ours);
    return e;
}

static yoke_error *handles(void *arg)
{
    yoke_handle a, b;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_handle_options keep = {.keep_error = true};
    yoke_error *e = yoke_handle_open(&a, &n, hangs, NULL), *kept = NULL;
    bool opened = !e;
    if (opened)
        yoke_handle_cancel(&a, "alone");
    if (!e)
        e = without(yoke_handle_wait(&a), &YOKE_CLOSED);
    if (!e) {
        e = yoke_handle_open_with(&b, &n, fails, NULL, &keep);
        e = yoke_nursery_close(&n, e);
        if (!e)
            kept = without(yoke_handle_close(&b), &APP_K);
    } else {
        e = yoke_nursery_close(&n, e);
    }
    if (opened)
        e = yoke_error_join(e, yoke_handle_close(&a));
    return yoke_error_join(e, kept);
}

static yoke_error *posted(void *arg)
{
    ++*(int *)arg;
    return NULL;
}

static yoke_error *tokens(void *arg)
{
    yoke_token *token;
    int calls = 0, posts = 0;
    YOKE_TRY(yoke_token_get(&token));
    yoke_error *e = NULL;
    for (int i = 0; i < 20 && !e; i++) {
        e = i % 2 ? yoke_token_post(token, posted, &calls) : yoke_token_post_once(token, posted, &calls);
        posts += !e;
    }
    yoke_token_free(token);
    for (int i = 0; i < 3; i++) /* what was accepted still has to run: it points into this frame */
        yoke_error_free(yoke_cancel_shielded_checkpoint());
    CHECK(posts ? calls > 0 && calls <= posts : calls == 0);
    return e;
}

static yoke_error *quiet(void *arg)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, sleeps, NULL);
    if (!e)
        e = yoke_wait_all_tasks_blocked(0);
    return yoke_nursery_close(&n, e);
}

static yoke_error *run_tasks(void *arg)
{
    return yoke_spawn_system(sleeps, NULL);
}

static const struct path {
    const char *name;
    yoke_task_fn fn;
} paths[] = {
    {"spawning", spawn_many},
    {"a failing nursery", failing_nursery},
    {"a mixed group", mixed_group},
    {"starting", start_some},
    {"scopes", scopes},
    {"timers", timers},
    {"channels", channels},
    {"refusals of a channel", channel_refusals},
    {"choosing", choosing},
    {"errors", errors},
    {"broadcast", broadcasts},
    {"gather", gathers},
    {"cache", caches},
    {"locks", locks},
    {"a broken lock", breaks},
    {"descriptors", waits_for_descriptors},
    {"race, any, all", branches},
    {"handles", handles},
    {"tokens", tokens},
    {"quiet", quiet},
    {"the run's own tasks", run_tasks},
};
enum { PATHS = sizeof paths / sizeof paths[0] };

/* ---- the runs ---- */

struct attempt {
    const struct path *path;
    bool began, refused;
};

static bool is_clean(const yoke_error *e)
{
    static const yoke_error_kind *const no_memory[] = {&YOKE_NO_MEMORY};
    return !e || yoke_error_is_only(e, no_memory, 1);
}

/* The path with an allocation refused, and then again in peace. */
static yoke_error *try_twice(void *arg)
{
    struct attempt *a = arg;
    size_t tasks = task_here()->scheduler->live;
    a->began = true;
    yoke_error *e = a->path->fn(NULL);
    a->refused = memory_fail_after(SIZE_MAX);
    if (!is_clean(e))
        return yoke_wrap(e, &YOKE_INTERNAL, "no clean error");
    CHECK(a->refused || !e);
    yoke_error_free(e);
    if (a->path->fn != run_tasks)
        CHECK(task_here()->scheduler->live == tasks);
    return a->path->fn(NULL);
}

static void refuse_each(const struct path *path, uint64_t seed)
{
    size_t live = memory_live(), n = 0;
    struct attempt a;
    do {
        a = (struct attempt){.path = path};
        yoke_mock_clock clock;
        yoke_mock_clock_init(&clock);
        assert_success(yoke_mock_clock_set_autojump(&clock, 0));
        yoke_run_options options = {.clock = &clock.clock, .seed = seed};
        memory_fail_after(n++);
        yoke_error *e = yoke_run(try_twice, &a, &options);
        bool refused_before = memory_fail_after(SIZE_MAX);
        if (!a.began) { /* the run itself found no memory */
            assert_true(refused_before);
            assert_true(e && is_clean(e));
            yoke_error_free(e);
            a.refused = true;
        } else {
            if (e)
                print_error("%s, allocation %zu refused\n", path->name, n - 1);
            assert_success(e);
        }
        assert_int_equal(memory_live(), live);
        assert_true(n < 2000);
    } while (a.refused);
    print_message("# %s: %zu allocations\n", path->name, n - 1);
}

static void test_sys_03_every_path_with_every_allocation_refused(void **state)
{
    for (int i = 0; i < PATHS; i++)
        refuse_each(&paths[i], YOKE_IN_ORDER);
}

static void test_sys_03_the_same_in_a_shuffled_order(void **state)
{
    for (int i = 0; i < PATHS; i++)
        for (uint64_t seed = 1; seed < 4; seed++)
            refuse_each(&paths[i], seed);
}

/* All paths in one run, to its very end. */
static yoke_error *each_path(void *arg)
{
    yoke_error *e = NULL;
    for (int i = 0; i < PATHS && !e; i++)
        e = paths[i].fn(NULL);
    return e;
}

static void test_sys_03_a_run_to_its_end(void **state)
{
    size_t live = memory_live();
    bool refused = true;
    for (size_t n = 0; refused; n++) {
        yoke_mock_clock clock;
        yoke_mock_clock_init(&clock);
        assert_success(yoke_mock_clock_set_autojump(&clock, 0));
        yoke_run_options options = {.clock = &clock.clock};
        memory_fail_after(n);
        yoke_error *e = yoke_run(each_path, NULL, &options);
        refused = memory_fail_after(SIZE_MAX);
        if (is_clean(e) && (refused || !e)) {
            yoke_error_free(e);
            e = NULL;
        }
        assert_success(e);
        assert_int_equal(memory_live(), live);
        assert_true(n < 5000);
    }
}

/* A deadlock is told, whatever of its tree finds no memory. */
static yoke_error *locks_itself_out(void *arg)
{
    yoke_event event;
    yoke_event_init(&event);
    return yoke_event_wait(&event);
}

static void test_sys_03_a_deadlock_without_memory(void **state)
{
    size_t live = memory_live();
    bool refused = true;
    for (size_t n = 0; refused; n++) {
        yoke_run_options options = {.ignore_interrupt = true};
        memory_fail_after(n);
        yoke_error *e = yoke_run(locks_itself_out, NULL, &options);
        refused = memory_fail_after(SIZE_MAX);
        assert_non_null(e);
        assert_true(yoke_error_is(e, &YOKE_DEADLOCK) || (refused && is_clean(e)));
        yoke_error_free(e);
        assert_int_equal(memory_live(), live);
    }
}

/* ---- the kernel gives none ---- */

static size_t address_space(void)
{
    size_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CHILD_CHECK(f && fscanf(f, "%zu", &pages) == 1);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void limit_address_space(rlim_t bytes)
{
    struct rlimit limit;
    CHILD_CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
    CHILD_CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

static yoke_error *counts(void *arg)
{
    ++*(int *)arg;
    return yoke_sleep(YOKE_MS(1));
}

static yoke_error *no_mappings(void *arg)
{
    enum { MOST = 200 };
    yoke_nursery n;
    int ran = 0, spawned = 0;
    yoke_spawn_options large = {.stack_bytes = 16 << 20};
    YOKE_TRY(yoke_nursery_open(&n));
    limit_address_space(address_space() + ((size_t)256 << 20));
    yoke_error *e = NULL;
    while (spawned < MOST && !(e = yoke_spawn_with(&n, counts, &ran, &large)))
        spawned++;
    CHECK(was_kind(e, &YOKE_NO_MEMORY) && spawned > 0 && spawned < MOST);
    YOKE_TRY(yoke_sleep(YOKE_MS(5)));
    CHECK(ran == spawned);
    /* The nursery goes on: what ended made room, and with the limit gone there is more. */
    YOKE_TRY(yoke_spawn_with(&n, counts, &ran, &large));
    limit_address_space(RLIM_INFINITY);
    for (int i = 0; i < MOST; i++)
        YOKE_TRY(yoke_spawn_with(&n, counts, &ran, &large));
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    CHECK(ran == spawned + 1 + MOST);
    return NULL;
}

static void run_out_of_mappings(void)
{
    yoke_error *e = yoke_run(no_mappings, NULL, NULL);
    if (e)
        yoke_error_print(stderr, e);
    CHILD_CHECK(!e);
    /* A run that finds none at all. */
    limit_address_space(address_space() + ((size_t)1 << 20));
    e = yoke_run(no_mappings, NULL, NULL);
    CHILD_CHECK(yoke_error_is(e, &YOKE_NO_MEMORY));
    yoke_error_free(e);
}

static void test_task_22_the_kernel_gives_no_stack(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* their shadows need the address space themselves */
#endif
    if (RUNNING_ON_VALGRIND)
        skip();
    static struct child_end end;
    run_child(&end, run_out_of_mappings);
    if (end.status)
        print_error("%s\n", end.text);
    assert_int_equal(end.status, 0);
}

HARNESS_MAIN(TEST(test_sys_03_every_path_with_every_allocation_refused),
             TEST(test_sys_03_the_same_in_a_shuffled_order), TEST(test_sys_03_a_run_to_its_end),
             TEST(test_sys_03_a_deadlock_without_memory), TEST(test_task_22_the_kernel_gives_no_stack))
