/*
 * A tree: the root starts a supervisor, which starts two leaves, spreads work over them and ends them.
 *
 *     cc nested_actor_tree.c $(pkg-config --cflags --libs yoke) -o nested && ./nested
 */
#include <inttypes.h>
#include <stdlib.h>
#include <yoke.h>

enum { LEAVES = 2, SQUARES = 4 };

/* Several processes print to one place: each line goes out at once, whole. */
#define SAY(...) (printf(__VA_ARGS__), fflush(stdout))

/* ---- in a leaf ---- */

YOKE_RECORD(number, (u64, value))

static yoke_error *square(const number *args, uint64_t *result)
{
    SAY("%s: squaring %" PRIu64 "\n", yoke_current_actor()->name, args->value);
    *result = args->value * args->value;
    return NULL;
}
YOKE_MODULE(leaf, YOKE_CALL(square, number, u64))

/* ---- in the supervisor ---- */

YOKE_RECORD(names, (list, str, leaves))
YOKE_RECORD(squares, (list, u64, values))

static yoke_error *spread(yoke_stream *stream, yoke_portal **leaves, squares *result)
{
    result->values.items = calloc(SQUARES, sizeof *result->values.items);
    if (!result->values.items)
        return yoke_raise(&YOKE_NO_MEMORY, "the squares");
    result->values.count = SQUARES;
    for (int i = 0; i < SQUARES; i++) {
        number n;
        YOKE_TRY(yoke_recv(stream, &n));
        YOKE_TRY(yoke_call(leaves[i % LEAVES], "leaf:square", &n, &result->values.items[i]));
    }
    return NULL;
}

static yoke_error *with_leaves(yoke_context *ctx, yoke_actors *actors, squares *result)
{
    yoke_portal *leaves[LEAVES];
    yoke_type_str up[LEAVES];
    for (int i = 0; i < LEAVES; i++) {
        char name[16];
        snprintf(name, sizeof name, "leaf_%d", i + 1);
        YOKE_TRY(yoke_actors_start(actors, name, &(yoke_actor_options){.modules = "leaf"}, &leaves[i]));
        up[i] = yoke_portal_peer(leaves[i])->name;
    }
    YOKE_TRY(yoke_context_started(ctx, &(names){{up, LEAVES}})); /* now the root's open returns */
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    YOKE_TRY(yoke_stream_close(stream, spread(stream, leaves, result)));
    for (int i = 0; i < LEAVES; i++) {
        SAY("supervisor: cancelling %s\n", up[i]);
        YOKE_TRY(yoke_portal_cancel_actor(leaves[i], 0, NULL));
    }
    return NULL;
}

static yoke_error *supervise(yoke_context *ctx, const yoke_type_none *args, squares *result)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, with_leaves(ctx, actors, result));
}
YOKE_MODULE(supervisor, YOKE_CONTEXT_STREAM(supervise, none, names, squares, number, none))

/* ---- in the root ---- */

static yoke_error *send_numbers(yoke_stream *stream)
{
    for (int i = 0; i < SQUARES; i++)
        YOKE_TRY(yoke_send(stream, &(number){i + 1}));
    return NULL;
}

static yoke_error *have_squared(yoke_context *ctx)
{
    yoke_stream *stream;
    squares result;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    YOKE_TRY(yoke_stream_close(stream, send_numbers(stream)));
    YOKE_TRY(yoke_context_result(ctx, &result));
    SAY("root: the supervisor's result:");
    for (size_t i = 0; i < result.values.count; i++)
        SAY(" %" PRIu64, result.values.items[i]);
    SAY("\n");
    squares_free(&result);
    return NULL;
}

static yoke_error *with_supervisor(yoke_actors *actors)
{
    yoke_portal *supervisor;
    yoke_context *ctx;
    names up;
    YOKE_TRY(
        yoke_actors_start(actors, "supervisor", &(yoke_actor_options){.modules = "supervisor"}, &supervisor));
    YOKE_TRY(yoke_context_open(supervisor, &ctx, "supervisor:supervise", NULL, &up));
    SAY("root\n  supervisor\n");
    for (size_t i = 0; i < up.leaves.count; i++)
        SAY("    %s\n", up.leaves.items[i]);
    names_free(&up);
    YOKE_TRY(yoke_context_close(ctx, have_squared(ctx)));
    SAY("root: cancelling supervisor\n");
    return yoke_portal_cancel_actor(supervisor, 0, NULL);
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    YOKE_TRY(yoke_actors_close(actors, with_supervisor(actors)));
    SAY("root: the end\n");
    return NULL;
}
YOKE_MAIN(app)
