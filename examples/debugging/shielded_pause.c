/*
 * Pauses in a scope that is cancelled, in an actor and then in the root: a plain one returns the cancellation
 * and says so, a shielded one opens the debugger; so do the post mortems.
 *
 *     cc -g shielded_pause.c $(pkg-config --cflags --libs yoke) -o shielded && YOKE_DEBUG=1 ./shielded
 */
#include <yoke.h>

YOKE_ERROR_KIND(ASSERTION_FAILED, "example.AssertionFailed", NULL);

static void tell(const char *what, yoke_error *e)
{
    printf("%s: %s\n", what,
           yoke_error_is_cancelled(e) ? "cancelled"
           : e                        ? yoke_error_message(e)
                                      : "went on");
    fflush(stdout);
    yoke_error_free(e);
}

static yoke_error *in_cancelled_scope(void)
{
    tell("a pause", yoke_pause());
    for (int i = 0; i < 3; i++)
        YOKE_TRY(yoke_pause_shielded());
    yoke_error *e = yoke_raise(&ASSERTION_FAILED, "0 is not true");
    tell("a post mortem", yoke_post_mortem(e));
    yoke_error *answer = yoke_post_mortem_shielded(e);
    yoke_error_free(e);
    return answer;
}

static yoke_error *pause_when_cancelled(void)
{
    yoke_scope scope;
    YOKE_TRY(yoke_pause());
    YOKE_TRY(yoke_scope_open(&scope));
    yoke_scope_cancel(&scope, "to be paused in");
    return yoke_scope_close(&scope, in_cancelled_scope());
}

static yoke_error *cancelled_before_pause(const yoke_type_none *args, yoke_type_none *result)
{
    return pause_when_cancelled();
}
YOKE_MODULE(pauses, YOKE_CALL(cancelled_before_pause, none, none))

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    yoke_error *e = yoke_actors_run(actors, NULL, "pauses:cancelled_before_pause", NULL, NULL);
    YOKE_TRY(yoke_actors_close(actors, e));
    return pause_when_cancelled();
}
YOKE_MAIN(app)
