/*
 * A daemon: an actor that serves calls till it is told to end.
 *
 *     cc actor_spawning_and_causality_with_daemon.c $(pkg-config --cflags --libs yoke) -o daemon && ./daemon
 */
#include <stdlib.h>
#include <string.h>
#include <yoke.h>

static yoke_error *movie_theatre_question(const yoke_type_none *args, yoke_type_str *result)
{
    *result = strdup("have you ever seen a portal?"); /* freed by the library when it was sent */
    return NULL;
}
YOKE_MODULE(theatre, YOKE_CALL(movie_theatre_question, none, str))

static yoke_error *ask(yoke_portal *frank)
{
    yoke_type_str answer;
    YOKE_TRY(yoke_call(frank, "theatre:movie_theatre_question", NULL, &answer));
    printf("%s\n", answer);
    free((void *)answer); /* a text that was received is the caller's */
    return NULL;
}

static yoke_error *with_frank(yoke_actors *actors)
{
    yoke_portal *frank;
    YOKE_TRY(yoke_actors_start(actors, "frank", &(yoke_actor_options){.modules = "theatre"}, &frank));
    YOKE_TRY(ask(frank));
    YOKE_TRY(ask(frank));
    /* Without this the program would not end: frank would serve for ever, and the nursery wait for him. */
    return yoke_portal_cancel_actor(frank, 0, NULL);
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, with_frank(actors));
}
YOKE_MAIN(app)
