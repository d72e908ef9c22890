/* What a call, a context and a one-way stream begin with: an endpoint is looked up by its name, its arguments
 * are checked and encoded, and the peer is asked to start a task of it. */
#ifndef ACTOR_ASK_H
#define ACTOR_ASK_H

#include "actor/context.h"

struct ask {
    const char *function; /* the public one, for errors */
    const char *file;     /* where it was called */
    int line;
    yoke_portal *portal;
    const char *name; /* "module:function" */
    const void *args;
    enum dialog_kind kind;

    /* Filled by ask_open. */
    const yoke_endpoint *endpoint; /* NULL: it was not found */
    struct text_view module;
    struct buffer kwargs;
};

/* A dialog for it, not yet started. The error, if there is one, says where the caller stands; then nothing is
 * left. */
YOKE_MUST_USE yoke_error *ask_open(struct ask *ask, struct yoke_context **ctx);
/* The last step of it, for who has looked the endpoint up and encoded the arguments. */
YOKE_MUST_USE yoke_error *ask_make_dialog(const struct ask *ask, struct yoke_context **ctx);
/* Sends the Start, and frees what was encoded for it. wait: as a checkpoint, else at once. */
YOKE_MUST_USE yoke_error *ask_send(struct ask *ask, struct yoke_context *ctx, bool wait);
/* Says on `e` where the caller stands; a cancellation needs no such note. Returns `e`. */
YOKE_MUST_USE yoke_error *ask_note(const struct ask *ask, yoke_error *e);

#endif
