/* Endpoints that give numbers back doubled, for tests in which what is asked does not matter. */
#ifndef TESTS_TREE_DOUBLING_H
#define TESTS_TREE_DOUBLING_H

#include <yoke.h>

YOKE_RECORD(number, (u64, value));

static yoke_error *twice(const number *args, number *result)
{
    result->value = 2 * args->value;
    return NULL;
}

static yoke_error *send_back(yoke_stream *stream)
{
    for (;;) {
        number item;
        YOKE_TRY(yoke_recv(stream, &item));
        item.value *= 2;
        YOKE_TRY(yoke_send(stream, &item));
    }
}

/* A first value of 1, numbers to and fro till the other side closes, a result of 3. */
__attribute__((unused)) static yoke_error *echo(yoke_context *ctx, const yoke_type_none *args, number *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, &(number){1}));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    result->value = 3;
    return yoke_stream_close(stream, yoke_end_is_fine(send_back(stream)));
}

#endif
