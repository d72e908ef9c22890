/*
 * A crowd of processes, started side by side; an error of the root's ends every one of them.
 *
 *     cc we_are_processes.c $(pkg-config --cflags --libs yoke) -o processes && ./processes
 */
#include <signal.h>
#include <unistd.h>
#include <yoke.h>

enum { MOST = 64 };

YOKE_ERROR_KIND(ON_PURPOSE, "example.OnPurpose", NULL);

/* ---- in a worker ---- */

YOKE_RECORD(place, (i32, index))

static yoke_error *introduce(const place *args, yoke_type_none *result)
{
    printf("worker %d: I am %s, process %d\n", (int)args->index, yoke_current_actor()->name, (int)getpid());
    fflush(stdout);
    return NULL; /* and the actor goes on serving */
}
YOKE_MODULE(crowd, YOKE_CALL(introduce, place, none))

/* ---- in the root ---- */

struct seat {
    yoke_actors *actors;
    int index;
    pid_t pid;
};

static yoke_error *start_one(void *arg)
{
    struct seat *seat = arg;
    char name[16];
    yoke_portal *portal;
    snprintf(name, sizeof name, "worker_%d", seat->index);
    YOKE_TRY(yoke_actors_start(seat->actors, name, &(yoke_actor_options){.modules = "crowd"}, &portal));
    seat->pid = yoke_portal_pid(portal);
    return yoke_call(portal, "crowd:introduce", &(place){seat->index}, NULL);
}

/* Side by side: the whole crowd is there in about the time of one. */
static yoke_error *start_all(yoke_actors *actors, struct seat *seats, int count)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < count && !e; i++) {
        seats[i] = (struct seat){.actors = actors, .index = i};
        e = yoke_spawn(&n, start_one, &seats[i]);
    }
    return yoke_nursery_close(&n, e);
}

static int count_living(const struct seat *seats, int count)
{
    int living = 0;
    for (int i = 0; i < count; i++)
        living += seats[i].pid > 0 && kill(seats[i].pid, 0) == 0;
    return living;
}

static yoke_error *with_actors(yoke_actors *actors, struct seat *seats, int count)
{
    YOKE_TRY(start_all(actors, seats, count));
    YOKE_TRY(yoke_sleep(YOKE_MS(2000)));
    printf("root: %d processes live; now the root fails\n", count_living(seats, count));
    return yoke_raise(&ON_PURPOSE, "enough");
}

static yoke_error *app(int argc, char **argv)
{
    struct seat seats[MOST];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int count = processors < MOST ? (int)processors : MOST;
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    yoke_error *e = yoke_actors_close(actors, with_actors(actors, seats, count));
    if (!yoke_error_is(e, &ON_PURPOSE))
        return e;
    yoke_error_free(e);
    printf("root: %d processes left\n", count_living(seats, count));
    return NULL;
}
YOKE_MAIN(app)
