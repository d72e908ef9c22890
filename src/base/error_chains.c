/* What hangs on an error: its trace, its notes, the details of its kind. Chains that any thread appends to.
 */
#include "base/error_body.h"
#include "base/memory.h"

#include <string.h>

static void chain_append(struct chain *c, struct link *added)
{
    struct link *at = atomic_load(&c->near_end);
    if (!at && atomic_compare_exchange_strong(&c->first, &at, added)) {
        atomic_store(&c->near_end, added);
        return;
    }
    /* Either a link of the chain, or the first one, which came between. */
    for (;;) {
        struct link *next = NULL;
        if (atomic_compare_exchange_strong(&at->next, &next, added))
            break;
        at = next;
    }
    atomic_store(&c->near_end, added);
}

static void chain_free(struct chain *c)
{
    for (struct link *l = chain_first(c), *next; l; l = next) {
        next = link_next(l);
        memory_free(l);
    }
}

static struct hop *hop_new(const char *file, int line, const char *function)
{
    size_t file_bytes = strlen(file) + 1, function_bytes = strlen(function) + 1;
    struct hop *hop = memory_alloc(sizeof *hop + file_bytes + function_bytes);
    if (!hop)
        return NULL;
    hop->file = memcpy(hop->text, file, file_bytes);
    hop->function = memcpy(hop->text + file_bytes, function, function_bytes);
    hop->line = line;
    atomic_init(&hop->link.next, NULL);
    return hop;
}

yoke_error *yoke_error_trace(yoke_error *e, const char *file, int line, const char *function)
{
    if (!e || e->is_static)
        return e;
    error_check(e, "YOKE_TRY");
    KEEP_ERRNO;
    struct head *h = e->head;
    bool to_list = atomic_fetch_add(&h->hops_seen, 1) < HOPS_MAX - 1;
    /* The last hop takes the place of the one before it, which another holder could be reading: then it is
     * only counted. */
    if (!to_list && !error_sole_head(e))
        return e;
    struct hop *hop = hop_new(file ? file : "", line, function ? function : "");
    if (!hop)
        return e;
    if (to_list)
        chain_append(&h->hops, &hop->link);
    else
        memory_free(atomic_exchange(&h->last_hop, hop));
    return e;
}

bool yoke_error_note(yoke_error *e, const char *fmt, ...)
{
    if (!e || e->is_static)
        return false;
    error_check(e, "yoke_error_note");
    KEEP_ERRNO;
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    struct note *note = n < 0 ? NULL : memory_alloc(sizeof *note + (size_t)n + 1);
    if (note) {
        vsnprintf(note->text, (size_t)n + 1, fmt, again);
        atomic_init(&note->link.next, NULL);
        chain_append(&e->head->notes, &note->link);
    }
    va_end(again);
    va_end(args);
    return note != NULL;
}

/* ---- looking at what hangs on an error ---- */

static struct link *link_at(const struct chain *chain, size_t i)
{
    struct link *l = chain_first(chain);
    while (l && i--)
        l = link_next(l);
    return l;
}

const char *error_note_at(const yoke_error *e, size_t i)
{
    const struct note *note = (const struct note *)link_at(&e->head->notes, i);
    return note ? note->text : NULL;
}

bool error_hop_at(const yoke_error *e, size_t i, struct error_hop *out)
{
    const struct hop *hop = (const struct hop *)link_at(&e->head->hops, i);
    size_t in_list = 0;
    for (struct link *l = chain_first(&e->head->hops); l; l = link_next(l))
        in_list++;
    if (!hop && i == in_list)
        hop = atomic_load(&e->head->last_hop);
    if (hop)
        *out = (struct error_hop){hop->file, hop->function, hop->line};
    return hop != NULL;
}

static void details_free(const struct error_details_ops *ops, void *data)
{
    if (ops->free)
        ops->free(data);
}

void error_set_details(yoke_error *e, const struct error_details_ops *ops, void *data)
{
    KEEP_ERRNO;
    struct details *d = e && !e->is_static ? memory_alloc(sizeof *d) : NULL;
    if (!d) {
        details_free(ops, data);
        return;
    }
    d->ops = ops;
    d->data = data;
    atomic_init(&d->link.next, NULL);
    chain_append(&e->head->details, &d->link);
}

void *error_details(const yoke_error *e, const struct error_details_ops *ops)
{
    void *data = NULL;
    for (struct link *l = e ? chain_first(&e->head->details) : NULL; l; l = link_next(l)) {
        const struct details *d = (const struct details *)l;
        if (d->ops == ops)
            data = d->data;
    }
    return data;
}

void error_chains_free(struct head *h)
{
    for (struct link *l = chain_first(&h->details); l; l = link_next(l))
        details_free(((struct details *)l)->ops, ((struct details *)l)->data);
    chain_free(&h->details);
    chain_free(&h->notes);
    chain_free(&h->hops);
    memory_free(atomic_load(&h->last_hop));
}
