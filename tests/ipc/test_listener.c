/* Listening and connecting by socket files: who has a name, who takes it over, and what is left of it. */
#include "ends.h"

#include "ipc/listener.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static char base[] = "/tmp/yoke-listen-XXXXXX";
static struct address here; /* base/a/b/x.sock */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    return remove(path);
}

static int before(void **state)
{
    strcpy(base + strlen(base) - 6, "XXXXXX");
    if (!mkdtemp(base))
        return -1;
    here = (struct address){.kind = ADDRESS_UDS};
    snprintf(here.path, sizeof here.path, "%s/a/b/x.sock", base);
    return harness_before(state);
}

static int after(void **state)
{
    nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return harness_after(state);
}

static bool exists(void)
{
    struct stat status;
    return lstat(here.path, &status) == 0;
}

/* In a task; the listener is closed when `body` is done. */
struct scene {
    struct listener *l;
    yoke_error *(*body)(struct scene *);
};

static yoke_error *with_listener(void *arg)
{
    struct scene *s = arg;
    YOKE_TRY(listener_open(&s->l, &here));
    yoke_error *e = s->body(s);
    listener_free(s->l);
    return e;
}

static void run(yoke_error *(*body)(struct scene *))
{
    struct scene s = {.body = body};
    assert_success(yoke_run(with_listener, &s, NULL));
}

/* ---- a connection ---- */

static yoke_error *meet(struct scene *s)
{
    int near, far;
    char got[8];
    struct transport_credentials who;
    struct sockaddr_un name;
    socklen_t size = sizeof name;
    YOKE_TRY(transport_uds.connect(&here, YOKE_S(1), &near));
    YOKE_TRY(listener_accept(s->l, &far));
    CHECK(fcntl(near, F_GETFL) & O_NONBLOCK && fcntl(far, F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(near, F_GETFD) & FD_CLOEXEC && fcntl(far, F_GETFD) & FD_CLOEXEC);
    CHECK(transport_uds.write(near, "hello", 5) == 5);
    CHECK(transport_uds.read(far, got, sizeof got) == 5 && memcmp(got, "hello", 5) == 0);
    /* Each knows the other by the kernel. */
    CHECK(transport_uds.credentials(far, &who) && who.pid == getpid() && who.uid == geteuid());
    CHECK(transport_uds.credentials(near, &who) && who.pid == getpid() && who.uid == geteuid());
    /* The end that connected has a name: there are listeners that do not serve one without. */
    CHECK(getpeername(far, (struct sockaddr *)&name, &size) == 0);
    CHECK(size > offsetof(struct sockaddr_un, sun_path));
    close(near);
    close(far);
    return NULL;
}

static void test_a_connection(void **state)
{
    run(meet);
}

/* The directories are made, for this user alone; the file goes with the listener. */
static yoke_error *look_at_files(struct scene *s)
{
    struct stat status;
    char directory[80];
    CHECK(exists());
    for (const char *part = "/a"; part; part = strcmp(part, "/a") == 0 ? "/a/b" : NULL) {
        snprintf(directory, sizeof directory, "%s%s", base, part);
        CHECK(lstat(directory, &status) == 0 && (status.st_mode & 0777) == 0700);
    }
    listener_close(s->l);
    CHECK(!exists());
    return NULL;
}

static void test_files(void **state)
{
    mode_t mask = umask(0);
    run(look_at_files);
    umask(mask);
    assert_false(exists());
}

/* ---- who has the name ---- */

/* Whoever asks whether somebody listens leaves a connection behind. */
static yoke_error *take_the_asker(struct scene *s)
{
    int fd;
    YOKE_TRY(listener_accept(s->l, &fd));
    close(fd);
    return NULL;
}

static yoke_error *listen_again(struct scene *s)
{
    struct listener *second;
    char owner[40];
    snprintf(owner, sizeof owner, "process %d listens there", (int)getpid());
    CHECK(was(listener_open(&second, &here), &YOKE_ADDRESS_IN_USE, owner));
    CHECK(exists());
    YOKE_TRY(take_the_asker(s));
    return meet(s);
}

static void test_a_name_in_use(void **state)
{
    run(listen_again);
}

static int bind_there(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    memcpy(name.sun_path, here.path, sizeof here.path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&name, sizeof name) < 0 || listen(fd, 0) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void make_parents(void)
{
    char path[80];
    snprintf(path, sizeof path, "%s/a", base);
    mkdir(path, 0700);
    strcat(path, "/b");
    mkdir(path, 0700);
}

static void test_a_stale_file_is_taken_over(void **state)
{
    make_parents();
    close(bind_there());
    assert_true(exists());
    run(meet);
    assert_false(exists());
}

static void test_what_is_no_socket_stays(void **state)
{
    struct scene s = {.body = meet};
    make_parents();
    close(open(here.path, O_CREAT | O_WRONLY, 0644));
    assert_error(yoke_run(with_listener, &s, NULL), &YOKE_ADDRESS_IN_USE);
    assert_true(exists());
}

/* Each process that gets the name holds it till all have tried: exactly one may. */
static yoke_error *race(void *arg)
{
    const int *pipes = arg;
    struct listener *l;
    char go;
    yoke_error *e = listener_open(&l, &here);
    bool won = !e;
    if (e && !yoke_error_is(e, &YOKE_ADDRESS_IN_USE))
        return e;
    yoke_error_free(e);
    if (write(pipes[1], won ? "w" : "l", 1) != 1 || read(pipes[2], &go, 1) < 0)
        return yoke_raise(&YOKE_INTERNAL, "the pipe");
    listener_free(l);
    return NULL;
}

static void test_one_of_many_wins(void **state)
{
    enum { RACERS = 6, ROUNDS = 20 };
    make_parents();
    for (int round = 0; round < ROUNDS; round++) {
        int told[2], go[2], winners = 0;
        pid_t racers[RACERS];
        if (round % 2)
            close(bind_there()); /* a stale one, which more than one of them sees */
        assert_true(pipe(told) == 0 && pipe(go) == 0);
        for (int i = 0; i < RACERS; i++) {
            racers[i] = fork();
            if (racers[i])
                continue;
            close(go[1]);
            int pipes[] = {told[0], told[1], go[0]};
            yoke_error *e = yoke_run(race, pipes, NULL);
            _exit(e != NULL);
        }
        for (int i = 0; i < RACERS; i++) {
            char outcome;
            assert_int_equal(read(told[0], &outcome, 1), 1);
            winners += outcome == 'w';
        }
        close(go[1]);
        for (int i = 0; i < RACERS; i++) {
            int status;
            waitpid(racers[i], &status, 0);
            assert_int_equal(status, 0);
        }
        close(go[0]);
        close(told[0]);
        close(told[1]);
        assert_int_equal(winners, 1);
        assert_false(exists());
    }
}

/* ---- what is left ---- */

static yoke_error *lose_the_file(struct scene *s)
{
    CHECK(unlink(here.path) == 0);
    listener_close(s->l); /* says so in the log, and that is all */
    return NULL;
}

static yoke_error *another_has_the_file(struct scene *s)
{
    CHECK(unlink(here.path) == 0);
    int fd = bind_there();
    CHECK(fd >= 0);
    listener_close(s->l);
    CHECK(exists());
    close(fd);
    return NULL;
}

static void test_only_its_own_file_goes(void **state)
{
    run(lose_the_file);
    run(another_has_the_file);
    assert_true(exists());
    transport_uds.remove_stale(&here);
    assert_false(exists());
    transport_uds.remove_stale(&here);
}

static yoke_error *is_not_stale(struct scene *s)
{
    transport_uds.remove_stale(&here);
    CHECK(exists());
    YOKE_TRY(take_the_asker(s));
    return meet(s);
}

static void test_a_live_one_is_not_stale(void **state)
{
    run(is_not_stale);
}

/* ---- nobody, and nobody who answers ---- */

static yoke_error *connect_to_nobody(void *arg)
{
    int fd;
    CHECK(was(transport_uds.connect(&here, YOKE_S(1), &fd), &YOKE_CONNECT_FAILED, "there is no such file"));
    make_parents();
    close(bind_there());
    CHECK(was(transport_uds.connect(&here, YOKE_S(1), &fd), &YOKE_CONNECT_FAILED, "nobody listens there"));
    return NULL;
}

static void test_nobody_there(void **state)
{
    assert_success(yoke_run(connect_to_nobody, NULL, NULL));
}

/* Fills the backlog of a listener that accepts nobody. */
static size_t fill(int *fds, size_t count)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    memcpy(name.sun_path, here.path, sizeof here.path);
    size_t i = 0;
    for (; i < count; i++) {
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(fds[i], (struct sockaddr *)&name, sizeof name) < 0)
            break;
    }
    close(fds[i]);
    return i;
}

static yoke_error *connect_to_the_full(void *arg)
{
    int fd;
    int64_t begin = yoke_now();
    CHECK(was(transport_uds.connect(&here, YOKE_MS(60), &fd), &YOKE_CONNECT_FAILED, "no more connections"));
    CHECK(yoke_now() - begin >= YOKE_MS(60));
    yoke_scope s;
    YOKE_TRY(yoke_move_on_after(&s, YOKE_MS(10)));
    begin = yoke_now();
    YOKE_TRY(yoke_scope_close(&s, transport_uds.connect(&here, YOKE_S(100), &fd)));
    CHECK(yoke_scope_cancelled_caught(&s) && yoke_now() - begin < YOKE_S(50));
    return NULL;
}

static void test_a_full_backlog(void **state)
{
    int fds[16];
    make_parents();
    int listener = bind_there();
    size_t count = fill(fds, 16);
    assert_true(count > 0 && count < 16);
    assert_success(yoke_run(connect_to_the_full, NULL, NULL));
    while (count)
        close(fds[--count]);
    close(listener);
}

/* ---- waiting ---- */

static yoke_error *accept_one(void *arg)
{
    struct scene *s = arg;
    int fd;
    CHECK(was(listener_accept(s->l, &fd), &YOKE_CLOSED, NULL));
    return NULL;
}

static yoke_error *close_while_waiting(struct scene *s)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, accept_one, s);
    settle();
    listener_close(s->l);
    return yoke_nursery_close(&n, e);
}

static void test_closed_while_waiting(void **state)
{
    run(close_while_waiting);
}

/* ---- no descriptors left ---- */

static yoke_error *free_some(void *arg)
{
    YOKE_TRY(yoke_sleep(YOKE_MS(30)));
    struct rlimit *limit = arg;
    CHECK(setrlimit(RLIMIT_NOFILE, limit) == 0);
    return NULL;
}

static yoke_error *accept_without_descriptors(struct scene *s)
{
    struct rlimit was_limit, none;
    int near, far;
    YOKE_TRY(transport_uds.connect(&here, YOKE_S(1), &near));
    getrlimit(RLIMIT_NOFILE, &was_limit);
    none = was_limit;
    none.rlim_cur = 3;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, free_some, &was_limit);
    if (!e)
        e = listener_accept(s->l, &far); /* waits till there are some */
    YOKE_TRY(yoke_nursery_close(&n, e));
    close(near);
    close(far);
    return NULL;
}

static void test_no_descriptors(void **state)
{
    run(accept_without_descriptors);
}

#undef TEST
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, before, after)
HARNESS_MAIN(TEST(test_a_connection), TEST(test_files), TEST(test_a_name_in_use),
             TEST(test_a_stale_file_is_taken_over), TEST(test_what_is_no_socket_stays),
             TEST(test_one_of_many_wins), TEST(test_only_its_own_file_goes),
             TEST(test_a_live_one_is_not_stale), TEST(test_nobody_there), TEST(test_a_full_backlog),
             TEST(test_closed_while_waiting), TEST(test_no_descriptors))
