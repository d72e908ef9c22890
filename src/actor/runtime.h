/*
 * The runtime of one actor: who it is, whom it speaks to, what it serves. One struct, handed on by the
 * scheduler (scheduler_above), so that nothing here is a global.
 */
#ifndef ACTOR_RUNTIME_H
#define ACTOR_RUNTIME_H

#include "actor/hooks.h"
#include "actor/network.h"
#include "actor/registry.h"
#include "base/list.h"
#include "base/table.h"
#include "ipc/address.h"
#include "ipc/directory.h"
#include "task/task.h"

#include <yoke/actor.h>

struct peer;

/* To which rung children are brought when they are asked to end, without waiting for its time. Where the
 * hurry is that of an actor's own parent, which has sent it SIGTERM, SIGKILL follows soon. */
enum hurry { HURRY_NONE, HURRY_TERM, HURRY_KILL };

struct actor {
    yoke_uid uid;
    bool is_root;
    const struct actor_hooks *hooks;
    char **argv; /* of the process */

    /* What goes down the tree. */
    bool debug_mode;
    unsigned debug_words; /* enum debug_word */
    uint64_t output; /* the device that stands for the terminal in debug mode; 0: none (the floor above) */
    bool no_dump;    /* it leaves SIGUSR1 alone, and tells nobody what its tasks do */
    enum yoke_backend backend;
    struct network network;

    char directory[DIRECTORY_PATH_BYTES]; /* of socket files; "": not asked for yet */
    struct address root;                  /* where the root listens, or would; kind ADDRESS_NONE: not known */
    struct address listen;                /* where this actor is to; kind ADDRESS_NONE: where the tree's do */

    const char **modules;      /* exposed by the parent; NULL-terminated */
    const char **module_files; /* shared objects that they are in; NULL-terminated */
    struct peer *parent;       /* NULL in the root */
    list peers;                /* struct peer, by in_actor */
    list children;             /* struct child, by in_actor */
    struct table nurseries;    /* open ones, by their address: a handle that was closed is not touched */
    bool closing;          /* an implicit root that ends: opens no nursery any more, and waits for this: */
    yoke_event all_closed; /* none is open */
    struct zygote *zygote; /* for the fork backend; NULL till it is needed */
    bool lost_status;      /* it was told that the program's own code reaps actors */

    struct server *server; /* NULL: it does not listen */
    bool server_opening;
    bool ending;         /* the server is closed, or closing */
    list server_waiters; /* tasks that wait till it has opened */
    struct registry registry;

    size_t serving;       /* tasks of endpoints that run */
    yoke_event idle;      /* set when an actor that was cancelled serves none any more */
    yoke_event cancelled; /* set when this actor was asked to end, or has lost its parent */
    bool cancel_called;
    yoke_scope *app_scope; /* the root's: around its app, while that runs */
    yoke_uid canceller;    /* who asked; this actor itself if it is not known */

    size_t dumps;       /* tasks that write one */
    yoke_event dumped;  /* set when the last of them has ended, and there will be none any more */
    bool dumps_closing; /* somebody waits for that */

    size_t holds;      /* here or below, for the debugger (hold.h) */
    list hold_waiters; /* tasks that wait till there is none */
    unsigned freezes;  /* why its clock stands still (freeze.h) */
    bool frozen_by_parent;
    struct tty_lock *tty; /* the root's: the floor above keeps in it who has the terminal; NULL: nobody yet */

    unsigned clusters, cluster_workers; /* that are open; that are numbered in them */

    uint64_t next_dialog;
    uint64_t dialogs; /* made here, on either side */
    char dialog_prefix[24];
    int exit_status;   /* what app asked for */
    int signal_status; /* the same, for a program that a signal ends: a status, or YOKE_DIE_OF_IT */
    enum hurry hurry;
    int ended_by; /* the last signal that asked it to end; 0: none */
};

/* An actor's name, for struct error_identity. */
const char *actor_name(void *actor);
/* The actor that the calling task belongs to, or NULL. */
struct actor *actor_here(void);
/* The same, or an error of kind YOKE_NO_RUNTIME that names `call`. */
YOKE_MUST_USE yoke_error *actor_expect(const char *call, struct actor **actor);

void actor_init(struct actor *a, const yoke_uid *uid, const struct actor_hooks *hooks, char **argv);
/* Frees what the actor holds; its peers and children are gone. */
void actor_free(struct actor *a);
/* Ends the actor, gracefully: its endpoints' tasks are cancelled in the name of `canceller` (NULL: itself);
 * again does nothing. */
void actor_cancel(struct actor *a, const yoke_uid *canceller);
/* For the debugger: `e` (NULL: nothing happens) is about to leave a task's function, or a nursery's close. */
void actor_error_leaves(struct actor *a, yoke_error *e, const struct error_way *way);
/* One of its endpoints' tasks begins, ends. */
void actor_serves(struct actor *a);
void actor_served(struct actor *a);
/* A text that no other dialog of this actor has or had: 36 characters and a zero, in the form of a UUID. */
void actor_dialog_id(struct actor *a, char id[37]);
/* Has this actor ever made that id? */
bool actor_made_dialog(const struct actor *a, const char *id, size_t size);

#endif
