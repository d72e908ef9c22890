/*
 * Two actors that know nothing of each other but a name find each other, and each calls the other.
 *
 *     cc a_trynamic_first_scene.c $(pkg-config --cflags --libs yoke) -o first_scene && ./first_scene
 */
#include <stdlib.h>
#include <string.h>
#include <yoke.h>

YOKE_RECORD(line, (str, text))
YOKE_RECORD(partner, (str, name))

static yoke_event greeted; /* in each actor: the other one has called */

static yoke_error *set_up(void) /* before anybody can call */
{
    yoke_event_init(&greeted);
    return NULL;
}

static yoke_error *hi(const yoke_type_none *args, line *result)
{
    char text[80];
    snprintf(text, sizeof text, "hi, my name is %s", yoke_current_actor()->name);
    result->text = strdup(text);
    yoke_event_set(&greeted);
    return NULL;
}

static yoke_error *say_hi(const partner *args, line *result)
{
    yoke_portal *other;
    YOKE_TRY(yoke_wait_for(args->name, &other)); /* it may not have been born yet */
    YOKE_TRY(yoke_portal_close(other, yoke_call(other, "scene:hi", NULL, result)));
    return yoke_event_wait(&greeted); /* nobody leaves the scene before he was spoken to */
}
YOKE_MODULE(scene, YOKE_OPEN(set_up), YOKE_CALL(hi, none, line), YOKE_CALL(say_hi, partner, line))

static yoke_error *play(yoke_actors *actors, line *donny, line *gretchen)
{
    YOKE_TRY(yoke_actors_run(actors, "donny", "scene:say_hi", &(partner){"gretchen"}, donny));
    return yoke_actors_run(actors, "gretchen", "scene:say_hi", &(partner){"donny"}, gretchen);
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    line donny, gretchen; /* what each has heard */
    printf("and... action!\n");
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    YOKE_TRY(yoke_actors_close(actors, play(actors, &donny, &gretchen)));
    printf("%s\n%s\ncut!\n", gretchen.text, donny.text);
    line_free(&donny);
    line_free(&gretchen);
    return NULL;
}
YOKE_MAIN(app)
