/*
 * Pauses in plain C, which knows nothing of tasks: called by tasks and by threads, in the root and in an
 * actor, all at once. Each gets the terminal in its turn, and its prompt says who it is.
 *
 *     cc -g sync_bp.c $(pkg-config --cflags --libs yoke) -o sync_bp && YOKE_DEBUG=1 ./sync_bp
 */
#include <pthread.h>
#include <yoke.h>

static yoke_error *sync_pause(void)
{
    YOKE_TRY(yoke_pause());
    return NULL;
}

static yoke_error *pause_in_task(void *arg)
{
    return sync_pause();
}

/* ---- a thread, and the task that waits for it ---- */

struct worker {
    yoke_token *token;
    yoke_event done;
    yoke_error *result;
};

static yoke_error *tell_done(void *done)
{
    yoke_event_set(done);
    return NULL;
}

static void *thread_main(void *arg)
{
    struct worker *w = arg;
    w->result = sync_pause();
    w->result = yoke_error_join(w->result, yoke_token_post(w->token, tell_done, &w->done));
    return NULL;
}

static yoke_error *pause_in_thread(void *arg)
{
    struct worker w;
    pthread_t thread;
    yoke_event_init(&w.done);
    YOKE_TRY(yoke_token_get(&w.token));
    pthread_create(&thread, NULL, thread_main, &w);
    yoke_error *e = yoke_event_wait(&w.done);
    pthread_join(thread, NULL);
    yoke_token_free(w.token);
    return yoke_error_join(e, w.result);
}

/* ---- both at once ---- */

static yoke_error *pause_in_both(void)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, pause_in_thread, NULL);
    if (!e)
        e = yoke_spawn(&n, pause_in_task, NULL);
    return yoke_nursery_close(&n, e);
}

static yoke_error *pause_too(const yoke_type_none *args, yoke_type_none *result)
{
    return pause_in_both();
}
YOKE_MODULE(pauses, YOKE_CALL(pause_too, none, none))

static yoke_error *start_all(yoke_actors *actors)
{
    YOKE_TRY(yoke_actors_run(actors, "subactor", "pauses:pause_too", NULL, NULL));
    return pause_in_both();
}

static yoke_error *app(int argc, char **argv)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    return yoke_actors_close(actors, start_all(actors));
}
YOKE_MAIN(app)
