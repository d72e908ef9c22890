/* What a language binding would load: a shared object that opens the runtime in a program which knows nothing
 * of it. */
#include "doubling.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

YOKE_ERROR_KIND(GUEST_FAILED, "test.GuestFailed", NULL);
YOKE_MODULE(guest, YOKE_CALL(twice, number, number))

__attribute__((visibility("default"))) char *guest_run(const char *child);

static yoke_error *use(yoke_portal *portal)
{
    number result = {0};
    YOKE_TRY(yoke_call(portal, "guest:twice", &(number){21}, &result));
    if (result.value == 42 && yoke_portal_pid(portal) != getpid())
        return NULL;
    return yoke_raise(&GUEST_FAILED, "the child did not answer as it should");
}

static yoke_error *start(yoke_actors *actors, const char *child)
{
    char *command[] = {(char *)child, NULL};
    yoke_actor_options options = {.modules = "guest", .command = child ? command : NULL};
    yoke_portal *portal;
    YOKE_TRY(yoke_actors_start(actors, "child", &options, &portal));
    YOKE_TRY(use(portal));
    return yoke_actors_cancel(actors);
}

static yoke_error *body(void *child)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, start(actors, child));
}

/* With the program to start as a child, or NULL. Returns the error's text, or NULL. */
char *guest_run(const char *child)
{
    yoke_error *e = yoke_run(body, (void *)child, NULL);
    char *text = e ? yoke_error_text(e) : NULL;
    yoke_error_free(e);
    return text;
}
