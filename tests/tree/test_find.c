/* Actors that are neither parent nor child find each other by name, speak, and end each other. */
#include "tree.h"

/* ---- what the actors serve ---- */

YOKE_RECORD(line, (str, text));
YOKE_RECORD(who, (str, name));

static yoke_error *hi(const who *args, line *result)
{
    char *text;
    if (asprintf(&text, "hi %s, i am %s", args->name, yoke_current_actor()->name) < 0)
        return yoke_raise(&YOKE_NO_MEMORY, "a line");
    yoke_value copy;
    line mine = {text};
    yoke_error *e = yoke_value_from(&copy, &yoke_record_line, &mine);
    if (!e)
        e = yoke_value_to(&copy, &yoke_record_line, result);
    yoke_value_free(&copy);
    free(text);
    return e;
}

/* Waits for the other's name and calls it. */
static yoke_error *greet(const who *args, line *result)
{
    yoke_portal *other;
    YOKE_TRY(yoke_wait_for(args->name, &other));
    return yoke_portal_close(other,
                             yoke_call(other, "dialogue:hi", &(who){yoke_current_actor()->name}, result));
}

/* Ends another actor, that is neither its parent nor its child. */
static yoke_error *end_other(const who *args, yoke_type_boolean *result)
{
    yoke_portal *other;
    YOKE_TRY(yoke_wait_for(args->name, &other));
    return yoke_portal_close(other, yoke_portal_cancel_actor(other, 0, result));
}

YOKE_MODULE(dialogue, YOKE_CALL(hi, who, line), YOKE_CALL(greet, who, line),
            YOKE_CALL(end_other, who, boolean));

static yoke_error *start(struct scene *s, const char *name, yoke_portal **portal)
{
    return yoke_actors_start(s->actors, name, &(yoke_actor_options){.modules = "dialogue"}, portal);
}

static yoke_error *expect_line(line *l, const char *text)
{
    bool same = strcmp(l->text, text) == 0;
    line_free(l);
    return same ? NULL : yoke_raise(&CHECK_FAILED, "another line than: %s", text);
}

/* ---- SPAWN-09 ---- */

struct greeting {
    yoke_portal *portal;
    const char *other;
    line line;
};

static yoke_error *ask_to_greet(void *arg)
{
    struct greeting *g = arg;
    return yoke_call(g->portal, "dialogue:greet", &(who){g->other}, &g->line);
}

static yoke_error *two_siblings(struct scene *s)
{
    struct greeting donny = {.other = "gretchen"}, gretchen = {.other = "donny"};
    yoke_nursery n;
    YOKE_TRY(start(s, "donny", &donny.portal));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, ask_to_greet, &donny);
    if (!e) /* donny waits already, as far as that can be made sure */
        e = yoke_sleep(YOKE_MS(20));
    if (!e)
        e = start(s, "gretchen", &gretchen.portal);
    if (!e)
        e = yoke_spawn(&n, ask_to_greet, &gretchen);
    YOKE_TRY(yoke_nursery_close(&n, e));
    YOKE_TRY(expect_line(&donny.line, "hi donny, i am gretchen"));
    return expect_line(&gretchen.line, "hi gretchen, i am donny");
}

static void test_spawn_09_two_actors_talk(void **state)
{
    assert_success(tree_with_actors(two_siblings, NULL));
}

/* ---- cancelled by a third actor ---- */

static yoke_error *cancelled_by_a_sibling(struct scene *s)
{
    yoke_portal *canceller, *victim;
    bool acknowledged = false;
    YOKE_TRY(start(s, "canceller", &canceller));
    YOKE_TRY(start(s, "victim", &victim));
    YOKE_TRY(yoke_call(canceller, "dialogue:end_other", &(who){"victim"}, &acknowledged));
    CHECK(acknowledged);
    int64_t begin = yoke_now();
    while (yoke_actors_count(s->actors) == 2 && tree_ms_since(begin) < 500 * TREE_SLOW)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    CHECK(yoke_actors_count(s->actors) == 1);
    line l;
    YOKE_TRY(yoke_call(canceller, "dialogue:hi", &(who){"root"}, &l));
    return expect_line(&l, "hi root, i am canceller");
}

/* Its end is no failure: the nursery goes on and closes in peace. */
static void test_cancelled_by_a_sibling(void **state)
{
    assert_success(tree_with_actors(cancelled_by_a_sibling, NULL));
}

TREE_MAIN(TEST(test_spawn_09_two_actors_talk), TEST(test_cancelled_by_a_sibling))
