/*
 * A root that has cancelled itself: its pauses return that, but for the shielded one; and the error that it
 * then makes stops as any other.
 *
 *     cc -g root_self_cancelled_w_error.c $(pkg-config --cflags --libs yoke) -o self_cancelled
 *     YOKE_DEBUG=1 ./self_cancelled
 */
#include <yoke.h>

YOKE_ERROR_KIND(ASSERTION_FAILED, "example.AssertionFailed", NULL);

static yoke_error *app(int argc, char **argv)
{
    YOKE_TRY(yoke_actor_cancel_self());
    yoke_error *e = yoke_pause();
    printf("the pause: %s\n", yoke_error_is_cancelled(e) ? "cancelled" : "not cancelled");
    fflush(stdout);
    yoke_error_free(e);
    YOKE_TRY(yoke_pause_shielded());
    return yoke_raise(&ASSERTION_FAILED, "0 is not true");
}
YOKE_MAIN(app)
