/*
 * One-way streams of 64 B and of 64 KiB messages, beside raw writes of the same sizes into a socketpair whose
 * reader takes as much as there is.
 *
 * A receiver keeps 64 unread messages; beyond that a sender is failed. So each row is measured in the two
 * ways that an application has: with credits (it has at most 64 messages in flight; the reader gives them
 * back 32 at a time), which bounds the memory; and with a reader that allows overruns, which takes what
 * memory it needs. Both are timed to the reader's word that it has all.
 */
#include "measure.h"

#include <yoke.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 11, WINDOW = 64, CREDIT = 32, READ_BYTES = 256 << 10 };

YOKE_RECORD(load, (bytes, data));
YOKE_RECORD(place, (u32, core));
/* count: of messages; a sender's first word of each round. */
YOKE_RECORD(job, (u64, count), (boolean, credits));

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

static yoke_error *take_all(yoke_stream *stream, const job *args)
{
    for (uint64_t i = 1; i <= args->count; i++) {
        load one;
        YOKE_TRY(yoke_recv(stream, &one));
        load_free(&one);
        if (args->credits && i % CREDIT == 0)
            YOKE_TRY(yoke_send(stream, &(uint32_t){CREDIT}));
    }
    return NULL;
}

static yoke_error *sink(yoke_context *ctx, const job *args, yoke_type_none *result)
{
    YOKE_TRY(yoke_context_started(ctx, NULL));
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(ctx, &stream, &(yoke_stream_options){.allow_overruns = !args->credits}));
    yoke_error *e = take_all(stream, args);
    if (!e)
        e = yoke_send(stream, &(uint32_t){0});
    return yoke_stream_close(stream, e);
}

YOKE_MODULE(flow, YOKE_CALL(pin, place, none), YOKE_CONTEXT_STREAM(sink, job, none, none, load, u32));

static yoke_error *send_all(yoke_stream *stream, const struct work *work, bool credits)
{
    uint32_t credit = WINDOW;
    const load one = {{work->content, work->bytes}};
    for (size_t i = 0; i < work->count; i++) {
        if (credits && credit == 0)
            YOKE_TRY(yoke_recv(stream, &credit));
        credit--;
        YOKE_TRY(yoke_send(stream, &one));
    }
    /* The credits that are still out, and then the last word. */
    for (credit = 1; credit;)
        YOKE_TRY(yoke_recv(stream, &credit));
    return NULL;
}

static yoke_error *timed_send(yoke_context *ctx, const struct work *work, bool credits, double *ns)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    double begun = measure_now_ns();
    yoke_error *e = send_all(stream, work, credits);
    *ns = (measure_now_ns() - begun) / (double)work->count;
    return yoke_stream_close(stream, e);
}

static yoke_error *one_round(yoke_portal *portal, const struct work *work, bool credits, double *ns)
{
    yoke_context *ctx;
    measure_pin(measure_core(0));
    YOKE_TRY(yoke_context_open(portal, &ctx, "flow:sink", &(job){work->count, credits}, NULL));
    YOKE_TRY(yoke_context_close(ctx, timed_send(ctx, work, credits, ns)));
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

static void print_rows(const struct work *work, double *credits, double *overruns, double *theirs)
{
    const char *size = work->bytes == 64 ? "64 B" : "64 KiB";
    char name[96], note[96];
    double raw = measure_median(theirs, ROUNDS);
    const char *const ways[2] = {"credits", "overruns allowed"};
    double *ours[2] = {credits, overruns};
    for (int i = 0; i < 2; i++) {
        double median = measure_median(ours[i], ROUNDS), mb = 1e3 * (double)work->bytes;
        snprintf(name, sizeof name, "stream of %s, %s : write and read on a socketpair", size, ways[i]);
        snprintf(note, sizeof note, "a message; %.0f MB/s beside %.0f MB/s", mb / median, mb / raw);
        measure_row(name, ours[i], theirs, ROUNDS, "", note);
    }
}

static yoke_error *measure_size(yoke_portal *portal, size_t bytes, size_t count)
{
    struct work work = {bytes, count, calloc(1, bytes)};
    if (!work.content)
        return yoke_raise(&YOKE_NO_MEMORY, "%zu bytes to send", bytes);
    const unsigned cores[2] = {measure_core(0), measure_core(1)};
    double credits[ROUNDS], overruns[ROUNDS], theirs[ROUNDS];
    yoke_error *e = NULL;
    for (int i = 0; i < ROUNDS && !e; i++) {
        e = one_round(portal, &work, true, &credits[i]);
        if (!e)
            e = one_round(portal, &work, false, &overruns[i]);
        if (!e)
            e = measure_plain(plain_send, cores, &work, &theirs[i]);
    }
    free(work.content);
    if (!e)
        print_rows(&work, credits, overruns, theirs);
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
