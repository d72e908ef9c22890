/*
 * A breakpoint that is an instruction, three times: before the runtime, where the program's own handler of
 * SIGTRAP has it; in the runtime, where it opens the prompt; and after it, where the handler is back. With
 * the argument `default` the program has none: then the last one ends it, as the system has it.
 *
 *     cc -g restore_builtin_breakpoint.c $(pkg-config --cflags --libs yoke) -o restore_builtin_breakpoint
 *     ./restore_builtin_breakpoint
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <yoke.h>

static void own_handler(int number)
{
    static const char text[] = "the program's own handler\n";
    if (write(STDOUT_FILENO, text, sizeof text - 1) < 0)
        _exit(1);
}

static yoke_error *break_inside(void)
{
    volatile int steps = 0;
    YOKE_BREAKPOINT();
    steps++;
    printf("went on inside: %d\n", steps);
    fflush(stdout);
    return yoke_checkpoint();
}

static yoke_error *with_runtime(void *arg)
{
    yoke_actors *actors;
    yoke_root_options root = {.debug_mode = true};
    YOKE_TRY(yoke_actors_open(&actors, &(yoke_actors_options){.root = &root}));
    return yoke_actors_close(actors, break_inside());
}

int main(int argc, char **argv)
{
    int status;
    if (yoke_child_main(argc, argv, &status))
        return status;
    if (argc < 2 || strcmp(argv[1], "default") != 0) {
        signal(SIGTRAP, own_handler);
        YOKE_BREAKPOINT();
    }
    yoke_error *e = yoke_run(with_runtime, NULL, NULL);
    status = e != NULL;
    if (e)
        yoke_error_print(stderr, e);
    yoke_error_free(e);
    YOKE_BREAKPOINT();
    printf("went on after the runtime\n");
    return status;
}
