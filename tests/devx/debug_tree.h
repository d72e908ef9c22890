/* What the programs of the pause's scenes have in common: words that a test waits for, and trees that it
 * types at. */
#ifndef TESTS_DEVX_DEBUG_TREE_H
#define TESTS_DEVX_DEBUG_TREE_H

#include <yoke.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SAY(...) (printf(__VA_ARGS__), printf("\n"), fflush(stdout))

static inline const char *my_name(void)
{
    const yoke_uid *uid = yoke_current_actor();
    return uid ? uid->name : "nobody";
}

/* The test makes the file when it wants the program to go on. */
static inline yoke_error *wait_for_sign(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", getenv("SIGNS"), name);
    while (access(path, F_OK) != 0)
        YOKE_TRY(yoke_sleep(YOKE_MS(5)));
    return NULL;
}

typedef yoke_error *(*scene_fn)(yoke_actors *actors);
struct scene {
    const char *name;
    scene_fn play;
    yoke_actors_options options;
};

/* The body of a scene, in a nursery. */
static inline yoke_error *play(const struct scene *scenes, int argc, char **argv)
{
    const struct scene *s = scenes;
    while (s->name && (argc < 2 || strcmp(s->name, argv[1]) != 0))
        s++;
    if (!s->name)
        return yoke_raise(&YOKE_USAGE, "no such scene");
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, &s->options));
    return yoke_actors_close(actors, s->play(actors));
}

#endif
