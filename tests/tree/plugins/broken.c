/* A shared object whose module does not want to open. */
#include <yoke.h>

YOKE_ERROR_KIND(PLUGIN_BROKEN, "test.PluginBroken", NULL);

static yoke_error *prepare(void)
{
    return yoke_raise(&PLUGIN_BROKEN, "no disk");
}

static yoke_error *use(const yoke_type_none *args, yoke_type_none *result)
{
    return NULL;
}
YOKE_MODULE(broken, YOKE_OPEN(prepare), YOKE_CALL(use, none, none))
