/* The socketpair's descriptors, and what its calls answer when the peer is full, gone, or not wanted any
 * more. */
#include "ends.h"

#include <fcntl.h>
#include <signal.h>

static void open_pair(int fds[2])
{
    assert_success(transport_uds.pair(fds));
}

static void test_pair_is_nonblocking_and_private(void **state)
{
    int fds[2];
    open_pair(fds);
    for (int i = 0; i < 2; i++) {
        assert_true(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
        close(fds[i]);
    }
    assert_string_equal(transport_uds.name, "uds");
}

static void test_bytes_go_both_ways(void **state)
{
    int fds[2];
    char got[16];
    open_pair(fds);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(transport_uds.write(fds[i], "hello", 5), 5);
        assert_int_equal(transport_uds.read(fds[1 - i], got, 3), 3);
        assert_int_equal(transport_uds.read(fds[1 - i], got + 3, sizeof got - 3), 2);
        assert_memory_equal(got, "hello", 5);
    }
    close(fds[0]);
    close(fds[1]);
}

/* Also on a descriptor that somebody has set to block. */
static void test_never_blocks(void **state)
{
    static char much[1 << 20];
    int fds[2];
    char got;
    open_pair(fds);
    fcntl(fds[0], F_SETFL, 0);
    fcntl(fds[1], F_SETFL, 0);
    assert_int_equal(transport_uds.read(fds[0], &got, 1), -1);
    assert_true(errno == EAGAIN || errno == EWOULDBLOCK);
    ssize_t n;
    do {
        n = transport_uds.write(fds[0], much, sizeof much);
    } while (n > 0);
    assert_int_equal(n, -1);
    assert_true(errno == EAGAIN || errno == EWOULDBLOCK);
    close(fds[0]);
    close(fds[1]);
}

/* SIGPIPE would end this program. */
static void test_a_peer_that_is_gone(void **state)
{
    int fds[2];
    char got;
    open_pair(fds);
    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(transport_uds.write(fds[1], "x", 1), 1);
    close(fds[1]);
    assert_int_equal(transport_uds.write(fds[0], "y", 1), -1);
    assert_true(errno == EPIPE || errno == ECONNRESET);
    assert_int_equal(transport_uds.read(fds[0], &got, 1), 1);
    assert_int_equal(transport_uds.read(fds[0], &got, 1), 0);
    close(fds[0]);
}

static void test_end_of_reading_keeps_what_came(void **state)
{
    int fds[2];
    char got[8];
    open_pair(fds);
    assert_int_equal(transport_uds.write(fds[1], "last", 4), 4);
    transport_uds.end_reading(fds[0]);
    assert_int_equal(transport_uds.read(fds[0], got, sizeof got), 4);
    assert_int_equal(transport_uds.read(fds[0], got, sizeof got), 0);
    assert_int_equal(transport_uds.write(fds[0], "still", 5), 5);
    close(fds[0]);
    close(fds[1]);
}

static yoke_error *wait_and_read(void *arg)
{
    int *fd = arg;
    char got;
    YOKE_TRY(yoke_wait_readable(*fd));
    CHECK(transport_uds.read(*fd, &got, 1) == 0);
    return NULL;
}

static yoke_error *end_while_waiting(void *arg)
{
    int *fds = arg;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, wait_and_read, &fds[0]);
    settle();
    transport_uds.end_reading(fds[0]);
    return yoke_nursery_close(&n, e);
}

static void test_end_of_reading_wakes(void **state)
{
    int fds[2];
    open_pair(fds);
    assert_success(yoke_run(end_while_waiting, fds, NULL));
    close(fds[0]);
    close(fds[1]);
}

HARNESS_MAIN(TEST(test_pair_is_nonblocking_and_private), TEST(test_bytes_go_both_ways),
             TEST(test_never_blocks), TEST(test_a_peer_that_is_gone),
             TEST(test_end_of_reading_keeps_what_came), TEST(test_end_of_reading_wakes))
