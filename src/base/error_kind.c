/*
 * The kinds: yoke's own, and the register by name. It is filled by constructors before main() and by those of
 * objects that are loaded later, and read from any thread: an append-only array in pieces, so that neither
 * needs a lock.
 */
#include "base/die.h"
#include "base/error_body.h"
#include "base/memory.h"

#include <stdatomic.h>
#include <string.h>

#define PIECE_KINDS 128

struct piece {
    _Atomic(const yoke_error_kind *) kinds[PIECE_KINDS];
    _Atomic(struct piece *) next;
};

/* Kept for the life of the program: a register that shrinks would pull names from under their readers. */
static struct piece first_piece;

/* Puts `kind` into the slot if it is free; true if the search ends here. */
static bool settle(_Atomic(const yoke_error_kind *) *slot, const yoke_error_kind *kind)
{
    const yoke_error_kind *there = NULL;
    if (atomic_compare_exchange_strong(slot, &there, kind) || there == kind)
        return true;
    if (strcmp(there->name, kind->name) == 0)
        die("two kinds of error are named `%s`: %p (parent %s) and %p (parent %s)", kind->name,
            (const void *)there, there->parent ? there->parent->name : "none", (const void *)kind,
            kind->parent ? kind->parent->name : "none");
    return false;
}

static struct piece *piece_after(struct piece *p, const yoke_error_kind *kind)
{
    struct piece *next = atomic_load(&p->next);
    if (next)
        return next;
    struct piece *fresh = memory_calloc(1, sizeof *fresh);
    if (!fresh)
        die("no memory to register the kind of error `%s`", kind->name);
    if (atomic_compare_exchange_strong(&p->next, &next, fresh))
        return fresh;
    memory_free(fresh);
    return next;
}

void yoke_error_kind_register(const yoke_error_kind *kind)
{
    for (struct piece *p = &first_piece;; p = piece_after(p, kind)) {
        for (size_t i = 0; i < PIECE_KINDS; i++) {
            if (settle(&p->kinds[i], kind))
                return;
        }
    }
}

const yoke_error_kind *yoke_error_kind_find(const char *name)
{
    for (struct piece *p = &first_piece; p; p = atomic_load(&p->next)) {
        for (size_t i = 0; i < PIECE_KINDS; i++) {
            const yoke_error_kind *kind = atomic_load(&p->kinds[i]);
            if (!kind)
                return NULL;
            if (strcmp(kind->name, name) == 0)
                return kind;
        }
    }
    return NULL;
}

bool error_kind_is_below(const yoke_error_kind *kind, const yoke_error_kind *family)
{
    for (; kind; kind = kind->parent) {
        if (kind == family)
            return true;
    }
    return false;
}

YOKE_ERROR_KIND(YOKE_CANCELLED, "yoke.Cancelled", NULL);
YOKE_ERROR_KIND(YOKE_NO_MEMORY, "yoke.NoMemory", NULL);
YOKE_ERROR_KIND(YOKE_GROUP, "yoke.Group", NULL);
YOKE_ERROR_KIND(YOKE_USAGE, "yoke.Usage", NULL);
YOKE_ERROR_KIND(YOKE_INTERNAL, "yoke.Internal", NULL);
YOKE_ERROR_KIND(YOKE_TOO_SLOW, "yoke.TooSlow", NULL);
YOKE_ERROR_KIND(YOKE_WOULD_BLOCK, "yoke.WouldBlock", NULL);
YOKE_ERROR_KIND(YOKE_CLOSED, "yoke.Closed", NULL);
YOKE_ERROR_KIND(YOKE_BROKEN_RESOURCE, "yoke.BrokenResource", NULL);
YOKE_ERROR_KIND(YOKE_END_OF_CHANNEL, "yoke.EndOfChannel", NULL);
YOKE_ERROR_KIND(YOKE_BUSY_RESOURCE, "yoke.BusyResource", NULL);
YOKE_ERROR_KIND(YOKE_LAGGED, "yoke.Lagged", NULL);
YOKE_ERROR_KIND(YOKE_INTERRUPTED, "yoke.Interrupted", NULL);
YOKE_ERROR_KIND(YOKE_DEADLOCK, "yoke.Deadlock", NULL);
YOKE_ERROR_KIND(YOKE_RUN_FINISHED, "yoke.RunFinished", NULL);
YOKE_ERROR_KIND(YOKE_PROCESS_FAILED, "yoke.ProcessFailed", NULL);
YOKE_ERROR_KIND(YOKE_SYSTEM, "yoke.System", NULL);
YOKE_ERROR_KIND(YOKE_NOT_FOUND, "yoke.NotFound", &YOKE_SYSTEM);
YOKE_ERROR_KIND(YOKE_PERMISSION, "yoke.Permission", &YOKE_SYSTEM);
YOKE_ERROR_KIND(YOKE_EXISTS, "yoke.Exists", &YOKE_SYSTEM);
YOKE_ERROR_KIND(YOKE_NO_DESCRIPTORS, "yoke.NoDescriptors", &YOKE_SYSTEM);
YOKE_ERROR_KIND(YOKE_CONNECTION_LOST, "yoke.ConnectionLost", &YOKE_SYSTEM);
YOKE_ERROR_KIND(YOKE_CONNECT_FAILED, "yoke.ConnectFailed", &YOKE_SYSTEM);
YOKE_ERROR_KIND(YOKE_ADDRESS_IN_USE, "yoke.AddressInUse", &YOKE_SYSTEM);
