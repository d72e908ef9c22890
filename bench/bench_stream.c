/*
 * One-way streams of 64 B and of 64 KiB messages, beside raw writes of the same sizes into a socketpair whose
 * reader takes as much as there is; the small ones beside ZeroMQ too.
 *
 * A receiver keeps 64 unread messages; beyond that a sender is failed. So each row is measured in the ways
 * that an application has: with backpressure, which bounds the memory, by 64 messages that the reader keeps,
 * and by 1000, which is the bound that ZeroMQ has; and with a reader that allows overruns, which takes what
 * memory it needs. All are timed to the reader's word that it has all.
 */
#include "measure.h"
#include "peer_zmq.h"

#include <yoke.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 11, READ_BYTES = 256 << 10, WAYS = 3 };

YOKE_RECORD(place, (u32, core));
/* count: of messages; kept: how many the reader keeps, 0: any number. */
YOKE_RECORD(job, (u64, count), (u32, kept));

static const struct way {
    const char *name;
    uint32_t kept;
} ways[WAYS] = {{"backpressure at 64", 64}, {"backpressure at 1000", 1000}, {"overruns allowed", 0}};

struct work {
    size_t bytes, count;
    uint8_t *content;
};

/* ---- ours ---- */

static yoke_error *pin(const place *args, yoke_type_none *result)
{
    measure_pin(args->core);
    return NULL;
}

static yoke_error *take_all(yoke_stream *stream, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        yoke_bytes one;
        YOKE_TRY(yoke_recv(stream, &one));
        yoke_record_free(&yoke_record_bytes, &one);
    }
    return yoke_send(stream, &count);
}

static yoke_error *sink(yoke_context *ctx, const job *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_stream *stream;
    const yoke_stream_options options = {.allow_overruns = !args->kept, .buffer = args->kept};
    YOKE_TRY(yoke_stream_open(ctx, &stream, &options));
    return yoke_stream_close(stream, take_all(stream, args->count));
}

YOKE_MODULE(flow, YOKE_CALL(pin, place, none), YOKE_CONTEXT_STREAM(sink, job, none, none, bytes, u64));

static yoke_error *send_all(yoke_stream *stream, const struct work *work)
{
    const yoke_bytes one = {work->content, work->bytes};
    for (size_t i = 0; i < work->count; i++)
        YOKE_TRY(yoke_send(stream, &one));
    uint64_t taken;
    return yoke_recv(stream, &taken);
}

static yoke_error *timed_send(yoke_context *ctx, const struct work *work, uint32_t kept, double *ns)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(ctx, &stream, &(yoke_stream_options){.backpressure = kept}));
    double begun = measure_now_ns();
    yoke_error *e = send_all(stream, work);
    *ns = (measure_now_ns() - begun) / (double)work->count;
    return yoke_stream_close(stream, e);
}

static yoke_error *one_round(yoke_portal *portal, const struct work *work, uint32_t kept, double *ns)
{
    yoke_context *ctx;
    measure_pin(measure_core(0));
    YOKE_TRY(yoke_context_open(portal, &ctx, "flow:sink", &(job){work->count, kept}, NULL));
    YOKE_TRY(yoke_context_close(ctx, timed_send(ctx, work, kept, ns)));
    measure_unpin();
    return NULL;
}

/* ---- theirs ---- */

static void plain_sink(int fd, void *arg)
{
    const struct work *work = arg;
    static char data[READ_BYTES];
    size_t left = work->bytes * work->count;
    while (left) {
        ssize_t n = read(fd, data, sizeof data);
        measure_must(n > 0, "read");
        left -= (size_t)n;
    }
    measure_must(write(fd, "", 1) == 1, "write");
}

static double plain_send(const unsigned cores[2], void *arg)
{
    const struct work *work = arg;
    pid_t pid;
    char done;
    int fd = measure_peer(plain_sink, cores[1], arg, &pid);
    measure_pin(cores[0]);
    double begun = measure_now_ns();
    for (size_t i = 0; i < work->count; i++)
        measure_must(write(fd, work->content, work->bytes) == (ssize_t)work->bytes, "write");
    measure_must(read(fd, &done, 1) == 1, "read");
    double ns = (measure_now_ns() - begun) / (double)work->count;
    measure_peer_ended(fd, pid);
    return ns;
}

/* ---- rounds ---- */

struct rounds {
    double ours[WAYS][ROUNDS], raw[ROUNDS], zmq[ROUNDS];
};

/*
 * The aim is half of its time. The least of all rounds: of a core that others want too ZeroMQ gets twice as
 * much as we do, since it has two threads there.
 */
static void print_beside_zmq(struct rounds *r, const struct way *way, double *ours)
{
    char name[96];
    const char *aim = way->kept == 64 ? "" : "<= 0.5";
    snprintf(name, sizeof name, "stream of 64 B, %s : ZeroMQ PAIR over ipc", way->name);
    if (peer_zmq_is_there())
        measure_row_least(name, ours, r->zmq, ROUNDS, aim, "a message; the least of all rounds");
    else
        measure_row_missing(name, ours, ROUNDS, aim, PEER_ZMQ);
}

static void print_rows(const struct work *work, struct rounds *r)
{
    const bool small = work->bytes == 64;
    char name[96], note[96];
    double raw = measure_median(r->raw, ROUNDS), mb = 1e3 * (double)work->bytes;
    for (int i = 0; i < WAYS; i++) {
        double median = measure_median(r->ours[i], ROUNDS);
        snprintf(name, sizeof name, "stream of %s, %s : write and read on a socketpair",
                 small ? "64 B" : "64 KiB", ways[i].name);
        snprintf(note, sizeof note, "a message; %.0f MB/s beside %.0f MB/s", mb / median, mb / raw);
        measure_row(name, r->ours[i], r->raw, ROUNDS, small ? "" : "<= 1.18", note);
    }
    for (int i = 0; i < WAYS && small; i++)
        print_beside_zmq(r, &ways[i], r->ours[i]);
}

static yoke_error *measure_round(yoke_portal *portal, struct work *work, struct rounds *r, int i)
{
    const unsigned cores[2] = {measure_core(0), measure_core(1)};
    for (int way = 0; way < WAYS; way++)
        YOKE_TRY(one_round(portal, work, ways[way].kept, &r->ours[way][i]));
    struct peer_zmq zmq = {work->bytes, work->count, work->content};
    if (work->bytes == 64 && peer_zmq_is_there())
        YOKE_TRY(measure_plain(peer_zmq_stream, cores, &zmq, &r->zmq[i]));
    return measure_plain(plain_send, cores, work, &r->raw[i]);
}

static yoke_error *measure_size(yoke_portal *portal, size_t bytes, size_t count)
{
    struct work work = {bytes, count, calloc(1, bytes)};
    if (!work.content)
        return yoke_raise(&YOKE_NO_MEMORY, "%zu bytes to send", bytes);
    struct rounds r;
    yoke_error *e = NULL;
    for (int i = 0; i < ROUNDS && !e; i++)
        e = measure_round(portal, &work, &r, i);
    free(work.content);
    if (!e)
        print_rows(&work, &r);
    return e;
}

static yoke_error *with_actors(yoke_actors *actors)
{
    yoke_portal *portal;
    YOKE_TRY(yoke_actors_start(actors, "flow", &(yoke_actor_options){.modules = "flow"}, &portal));
    YOKE_TRY(yoke_call(portal, "flow:pin", &(place){measure_core(1)}, NULL));
    YOKE_TRY(measure_size(portal, 64, 64000));
    YOKE_TRY(measure_size(portal, 64 << 10, 1024));
    return yoke_actors_cancel(actors);
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, with_actors(actors));
}
YOKE_MAIN(app)
