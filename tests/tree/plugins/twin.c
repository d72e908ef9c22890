/* A shared object with a module that every test program has. */
#include <yoke.h>

static yoke_error *ping(const yoke_type_none *args, yoke_type_none *result)
{
    return NULL;
}
YOKE_MODULE(tree, YOKE_CALL(ping, none, none))
