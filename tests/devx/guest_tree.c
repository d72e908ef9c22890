/*
 * Scenes for test_guest_tree.py: an actor that is a guest on a loop of plain poll(2), whose callbacks pause.
 * The argument names the scene.
 */
#include "debug_tree.h"

#include <fcntl.h>
#include <poll.h>
#include <time.h>

/* What the loop calls next, if it is asked to: outside of the guest's ticks, as any callback of a host. */
static void (*callback)(void);
static yoke_event called;
static yoke_error *failed;
static bool over;

static void pause_in_callback(void)
{
    SAY("host: pauses");
    yoke_error *e = yoke_pause();
    SAY("host: %s", e ? yoke_error_message(e) : "goes on");
    failed = yoke_error_join(failed, e);
    yoke_event_set(&called);
}

static yoke_error *call_host(void)
{
    callback = pause_in_callback;
    return yoke_event_wait(&called);
}

/* ---- the scenes ---- */

static yoke_error *callback_alone(yoke_actors *actors)
{
    return call_host();
}

static yoke_error *pause_in_post(void *arg)
{
    yoke_error *e = yoke_pause();
    SAY("post: %s", e ? yoke_error_message(e) : "goes on");
    yoke_event_set(&called);
    return e;
}

static yoke_error *posted(yoke_actors *actors)
{
    yoke_token *token;
    YOKE_TRY(yoke_token_get(&token));
    yoke_error *e = yoke_token_post(token, pause_in_post, NULL);
    yoke_token_free(token);
    return e ? e : yoke_event_wait(&called);
}

/* In place of words: the terminal is somebody else's just then. */
static yoke_error *give_sign(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", getenv("SIGNS"), name);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return yoke_raise(&YOKE_INTERNAL, "no sign");
    close(fd);
    return NULL;
}

static yoke_error *stop(const yoke_type_none *args, yoke_type_none *result)
{
    return yoke_pause();
}
YOKE_MODULE(stops, YOKE_CALL(stop, none, none))

/* While the host waits for the terminal, which the child has. */
static yoke_error *work_beside(void *arg)
{
    YOKE_TRY(wait_for_sign("child_has_it"));
    callback = pause_in_callback;
    YOKE_TRY(wait_for_sign("host_waits"));
    for (int i = 0; i < 20; i++)
        YOKE_TRY(yoke_sleep(YOKE_MS(5)));
    return give_sign("worked");
}

static yoke_error *waits_its_turn(yoke_actors *actors)
{
    yoke_nursery n;
    YOKE_TRY(yoke_actors_run(actors, "child", "stops:stop", NULL, NULL));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, work_beside, NULL);
    return yoke_nursery_close(&n, e ? e : yoke_event_wait(&called));
}

static const struct scene scenes[] = {{"callback", callback_alone, {0}},
                                      {"post", posted, {0}},
                                      {"turn", waits_its_turn, {0}},
                                      {NULL, NULL, {0}}};

/* ---- the host ---- */

struct arguments {
    int argc;
    char **argv;
};

static yoke_error *main_task(void *arg)
{
    struct arguments *a = arg;
    return play(scenes, a->argc, a->argv);
}

static void ended(void *arg, yoke_error *e)
{
    failed = yoke_error_join(failed, e);
    over = true;
}

static void wait_for(yoke_guest *guest)
{
    struct timespec now, most = {1, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t ns = yoke_guest_deadline(guest) - (now.tv_sec * YOKE_S(1) + now.tv_nsec);
    if (ns < YOKE_S(1))
        most = (struct timespec){0, ns > 0 ? ns : 0};
    struct pollfd fd = {.fd = yoke_guest_fd(guest), .events = POLLIN};
    ppoll(&fd, 1, &most, NULL);
}

static yoke_error *loop(yoke_guest *guest)
{
    while (!over) {
        wait_for(guest);
        YOKE_TRY(yoke_guest_tick(guest));
        void (*fn)(void) = callback;
        callback = NULL;
        if (fn)
            fn();
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int status;
    if (yoke_child_main(argc, argv, &status))
        return status;
    yoke_guest *guest;
    struct arguments a = {argc, argv};
    yoke_error *e = yoke_guest_start(&guest, main_task, &a, ended, NULL, NULL);
    if (!e) {
        yoke_event_init(&called);
        e = yoke_guest_close(guest, loop(guest));
    }
    e = yoke_error_join(e, failed);
    if (!e)
        return 0;
    yoke_error_print(stderr, e);
    yoke_error_free(e);
    return 1;
}
