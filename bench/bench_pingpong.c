/*
 * Two actors that send 64 bytes to and fro in a stream, beside two plain processes with epoll on a
 * socketpair; and a call, which starts and ends a far task for each message, beside the same stream.
 */
#include "measure.h"

#include <yoke.h>

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { ROUNDS = 11, TRIPS = 10000, WARM_UP = 500, BYTES = 64 };

YOKE_RECORD(ball, (bytes, data));
YOKE_RECORD(place, (u32, core));

static const uint8_t content[BYTES];

/* ---- ours ---- */

static yoke_error *pin(const place *args, yoke_type_none *result)
{
    measure_pin(args->core);
    return NULL;
}

/* The result owns what it holds, so it is a copy. */
static yoke_error *echo_call(const ball *args, ball *result)
{
    yoke_value value;
    YOKE_TRY(yoke_value_from(&value, &yoke_record_ball, args));
    yoke_error *e = yoke_value_to(&value, &yoke_record_ball, result);
    yoke_value_free(&value);
    return e;
}

static yoke_error *return_balls(yoke_stream *stream)
{
    for (;;) {
        ball item;
        YOKE_TRY(yoke_recv(stream, &item));
        yoke_error *e = yoke_send(stream, &item);
        ball_free(&item);
        YOKE_TRY(e);
    }
}

static yoke_error *echo(yoke_context *ctx, const yoke_type_none *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    yoke_error *e = yoke_stream_close(stream, return_balls(stream));
    return yoke_end_is_fine(e);
}

YOKE_MODULE(pong, YOKE_CALL(pin, place, none), YOKE_CALL(echo_call, ball, ball),
            YOKE_CONTEXT_STREAM(echo, none, none, none, ball, ball));

static yoke_error *trips(yoke_stream *stream, int count)
{
    for (int i = 0; i < count; i++) {
        ball item = {{content, BYTES}};
        YOKE_TRY(yoke_send(stream, &item));
        YOKE_TRY(yoke_recv(stream, &item));
        ball_free(&item);
    }
    return NULL;
}

static yoke_error *timed_trips(yoke_stream *stream, double *ns)
{
    YOKE_TRY(trips(stream, WARM_UP));
    double begun = measure_now_ns();
    YOKE_TRY(trips(stream, TRIPS));
    *ns = (measure_now_ns() - begun) / TRIPS;
    return NULL;
}

static yoke_error *calls(yoke_portal *portal, int count)
{
    for (int i = 0; i < count; i++) {
        ball item;
        YOKE_TRY(yoke_call(portal, "pong:echo_call", &(ball){{content, BYTES}}, &item));
        ball_free(&item);
    }
    return NULL;
}

static yoke_error *timed_calls(yoke_portal *portal, double *ns)
{
    YOKE_TRY(calls(portal, WARM_UP));
    double begun = measure_now_ns();
    YOKE_TRY(calls(portal, TRIPS));
    *ns = (measure_now_ns() - begun) / TRIPS;
    return NULL;
}

/* ---- theirs ---- */

struct end {
    int fd, epoll;
};

static struct end end_of(int fd)
{
    struct end end = {fd, epoll_create1(EPOLL_CLOEXEC)};
    struct epoll_event event = {.events = EPOLLIN};
    measure_must(end.epoll >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 &&
                     epoll_ctl(end.epoll, EPOLL_CTL_ADD, fd, &event) == 0,
                 "epoll");
    return end;
}

/* False: the other end was closed. 64 bytes in an empty socket are never torn. */
static int take(struct end end, char *data)
{
    struct epoll_event event;
    measure_must(epoll_wait(end.epoll, &event, 1, -1) == 1, "epoll_wait");
    ssize_t n = read(end.fd, data, BYTES);
    measure_must(n == BYTES || n == 0, "read");
    return n == BYTES;
}

static void plain_echo(int fd, void *arg)
{
    char data[BYTES];
    struct end end = end_of(fd);
    while (take(end, data))
        measure_must(write(fd, data, BYTES) == BYTES, "write");
}

static void plain_trips(struct end end, int count)
{
    char data[BYTES] = "";
    for (int i = 0; i < count; i++) {
        measure_must(write(end.fd, data, BYTES) == BYTES, "write");
        measure_must(take(end, data), "the peer has ended");
    }
}

static double plain_pair(const unsigned cores[2], void *arg)
{
    pid_t pid;
    struct end end = end_of(measure_peer(plain_echo, cores[1], NULL, &pid));
    measure_pin(cores[0]);
    plain_trips(end, WARM_UP);
    double begun = measure_now_ns();
    plain_trips(end, TRIPS);
    double ns = (measure_now_ns() - begun) / TRIPS;
    measure_peer_ended(end.fd, pid);
    return ns;
}

/* ---- rounds ---- */

static yoke_error *measure_cores_pair(yoke_portal *portal, yoke_stream *stream, const unsigned cores[2],
                                      bool one)
{
    double ours[ROUNDS], call[ROUNDS], theirs[ROUNDS], stream_again[ROUNDS];
    YOKE_TRY(yoke_call(portal, "pong:pin", &(place){cores[1]}, NULL));
    for (int i = 0; i < ROUNDS; i++) {
        measure_pin(cores[0]);
        YOKE_TRY(timed_trips(stream, &ours[i]));
        YOKE_TRY(timed_calls(portal, &call[i]));
        measure_unpin();
        YOKE_TRY(measure_plain(plain_pair, cores, NULL, &theirs[i]));
        stream_again[i] = ours[i];
    }
    measure_row(one ? "ping-pong of 64 B in a stream, one core : epoll on a socketpair"
                    : "ping-pong of 64 B in a stream, two cores : epoll on a socketpair",
                ours, theirs, ROUNDS, one ? "<= 1.5" : "<= 1.15", "a round trip");
    measure_row(one ? "call with 64 B, one core : our ping-pong in a stream"
                    : "call with 64 B, two cores : our ping-pong in a stream",
                call, stream_again, ROUNDS, "<= 1.5", "a round trip; starts and ends a far task");
    return NULL;
}

static yoke_error *with_stream(yoke_portal *portal, yoke_stream *stream)
{
    YOKE_TRY(measure_cores_pair(portal, stream, (unsigned[2]){measure_core(0), measure_core(0)}, true));
    if (measure_cores() < 2)
        return NULL;
    return measure_cores_pair(portal, stream, (unsigned[2]){measure_core(0), measure_core(1)}, false);
}

static yoke_error *with_context(yoke_portal *portal, yoke_context *ctx)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_stream_close(stream, with_stream(portal, stream));
}

static yoke_error *with_actors(yoke_actors *actors)
{
    yoke_portal *portal;
    yoke_context *ctx;
    YOKE_TRY(yoke_actors_start(actors, "pong", &(yoke_actor_options){.modules = "pong"}, &portal));
    YOKE_TRY(yoke_context_open(portal, &ctx, "pong:echo", NULL, NULL));
    YOKE_TRY(yoke_context_close(ctx, with_context(portal, ctx)));
    return yoke_actors_cancel(actors);
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, with_actors(actors));
}
YOKE_MAIN(app)
