/* A shared object with two modules. */
#include <string.h>
#include <yoke.h>

static bool is_prepared;

static yoke_error *prepare(void)
{
    is_prepared = true;
    return yoke_checkpoint(); /* it runs in a task */
}

YOKE_RECORD(greeting, (str, whom))
YOKE_RECORD(answer, (str, text), (boolean, prepared))

static yoke_error *hello(const greeting *args, answer *result)
{
    char text[64];
    snprintf(text, sizeof text, "hello %s", args->whom);
    result->text = strdup(text);
    result->prepared = is_prepared;
    return NULL;
}
YOKE_MODULE(extra, YOKE_OPEN(prepare), YOKE_CALL(hello, greeting, answer))

static yoke_error *two(const yoke_type_none *args, yoke_type_u32 *result)
{
    *result = 2;
    return NULL;
}
YOKE_MODULE(more, YOKE_CALL(two, none, u32))
