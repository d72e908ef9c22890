/*
 * A channel that breaks in the middle of a stream: neither side hangs, and nothing is left.
 *
 *     cc ipc_failure_during_stream.c $(pkg-config --cflags --libs yoke) -o ipc_failure && ./ipc_failure
 *
 * Without options the child breaks it after 500 messages. If nobody does it streams till ctrl-c.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <yoke.h>

static const char help[] = "usage: ipc_failure_during_stream [OPTION]...\n"
                           "  --child-breaks=N    the child breaks the channel after N messages\n"
                           "  --parent-breaks=N   the parent does\n"
                           "  --close-first       whoever breaks it closes its stream before\n"
                           "  --help              this text\n";

YOKE_RECORD(break_plan, (u64, child_breaks), (u64, parent_breaks), (boolean, close_first))

/* As if a cable was cut: every connection of this process is shut down, behind the library's back. */
static void break_channels(void)
{
    for (int fd = 3; fd < 1024; fd++)
        shutdown(fd, SHUT_RDWR);
}

/* ---- both sides ---- */

static yoke_error *break_now(yoke_stream **stream, const break_plan *plan, const char *who)
{
    printf("%s: breaking the channel%s\n", who, plan->close_first ? ", after closing the stream" : "");
    fflush(stdout);
    if (plan->close_first) {
        YOKE_TRY(yoke_stream_close(*stream, NULL));
        *stream = NULL;
    }
    break_channels();
    return NULL;
}

/* ---- in the child ---- */

static yoke_error *echo_all(yoke_stream **stream, const break_plan *plan)
{
    for (uint64_t i = 1;; i++) {
        uint64_t number;
        YOKE_TRY(yoke_recv(*stream, &number));
        if (i == plan->child_breaks) {
            YOKE_TRY(break_now(stream, plan, "child"));
            return yoke_sleep_forever(); /* it hangs; its parent is to see to it */
        }
        YOKE_TRY(yoke_send(*stream, &number));
    }
}

static yoke_error *echo(yoke_context *ctx, const break_plan *args, yoke_type_none *result)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_context_started(ctx, NULL));
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_stream_close(stream, echo_all(&stream, args));
}
YOKE_MODULE(echoes, YOKE_CONTEXT_STREAM(echo, break_plan, none, none, u64, u64))

/* ---- in the parent ---- */

static yoke_error *send_all(yoke_stream **stream, const break_plan *plan)
{
    for (uint64_t i = 1;; i++) {
        uint64_t back;
        YOKE_TRY(yoke_send(*stream, &i));
        YOKE_TRY(yoke_recv(*stream, &back));
        if (i == plan->parent_breaks) {
            YOKE_TRY(break_now(stream, plan, "parent"));
            return NULL;
        }
    }
}

static yoke_error *in_context(yoke_context *ctx, const break_plan *plan)
{
    yoke_stream *stream;
    YOKE_TRY(yoke_stream_open(ctx, &stream, NULL));
    return yoke_stream_close(stream, send_all(&stream, plan));
}

static yoke_error *with_child(yoke_actors *actors, const break_plan *plan)
{
    yoke_portal *portal;
    yoke_context *ctx;
    YOKE_TRY(yoke_actors_start(actors, "echo", &(yoke_actor_options){.modules = "echoes"}, &portal));
    YOKE_TRY(yoke_context_open(portal, &ctx, "echoes:echo", plan, NULL));
    return yoke_context_close(ctx, in_context(ctx, plan));
}

static bool read_count(const char *arg, const char *option, uint64_t *count)
{
    size_t size = strlen(option);
    char *end;
    if (strncmp(arg, option, size) != 0 || !arg[size])
        return false;
    *count = strtoull(arg + size, &end, 10);
    return !*end;
}

static bool read_options(char **argv, break_plan *plan)
{
    for (char **arg = argv + 1; *arg; arg++) {
        if (strcmp(*arg, "--close-first") == 0)
            plan->close_first = true;
        else if (!read_count(*arg, "--child-breaks=", &plan->child_breaks) &&
                 !read_count(*arg, "--parent-breaks=", &plan->parent_breaks))
            return false;
    }
    return true;
}

static yoke_error *app(int argc, char **argv)
{
    break_plan plan = {.child_breaks = argc == 1 ? 500 : 0};
    yoke_actors *actors;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return NULL;
    }
    if (!read_options(argv, &plan)) {
        fputs(help, stderr);
        yoke_exit_status(2);
        return NULL;
    }
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, with_child(actors, &plan));
}
YOKE_MAIN(app)
