/*
 * Errors: making them, and their end. Nothing here can fail: what finds no memory falls
 * back to the static error, or, where other errors would be lost by that, to a small reserve.
 */
#include "base/die.h"
#include "base/error_body.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- static errors ---- */

static struct head no_memory_head = {
    .kind = &YOKE_NO_MEMORY, .message = "out of memory", .place = {"", "", "", "", 0}};
static struct head cancelled_head = {
    .kind = &YOKE_CANCELLED, .message = "cancelled", .place = {"", "", "", "", 0}};
static struct head run_finished_head = {
    .kind = &YOKE_RUN_FINISHED, .message = "the run has ended", .place = {"", "", "", "", 0}};
static yoke_error no_memory = {.is_static = true, .depth = 1, .head = &no_memory_head};
static yoke_error cancelled = {
    .is_static = true, .depth = 1, .head = &cancelled_head, .only_cancelled = true};
static yoke_error run_finished = {.is_static = true, .depth = 1, .head = &run_finished_head};

yoke_error *const error_no_memory = &no_memory;
yoke_error *const error_cancelled = &cancelled;
yoke_error *const error_run_finished = &run_finished;

/* ---- the reserve ---- */

/*
 * For the errors that hold others: wrapping and joining must not lose what they were given just because
 * memory ran out, which is when errors come in numbers.
 */
#define SPARES 16

static struct spare {
    atomic_int parts; /* of shape and head, how many are in use */
    yoke_error error;
    union {
        struct head head;
        char room[sizeof(struct head) + 256];
    };
} spares[SPARES];

static struct spare *spare_take(void)
{
    for (size_t i = 0; i < SPARES; i++) {
        int unused = 0;
        if (atomic_compare_exchange_strong(&spares[i].parts, &unused, 2))
            return &spares[i];
    }
    return NULL;
}

static void spare_give(void *part)
{
    size_t i = (size_t)((char *)part - (char *)spares) / sizeof *spares;
    atomic_fetch_sub(&spares[i].parts, 1);
}

/* ---- what could not be raised ---- */

static _Thread_local char unraised[160] __attribute__((tls_model("initial-exec")));

const char *error_unraised(void)
{
    return unraised;
}

static yoke_error *unraised_error(const yoke_error_kind *kind, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0), cold));
static yoke_error *unraised_error(const yoke_error_kind *kind, const char *fmt, va_list args)
{
    int n = snprintf(unraised, sizeof unraised, "[%s] ", kind ? kind->name : "?");
    if (n > 0 && (size_t)n < sizeof unraised)
        vsnprintf(unraised + n, sizeof unraised - (size_t)n, fmt, args);
    return error_no_memory;
}

/* ---- who speaks ---- */

static _Thread_local const struct error_identity *identity __attribute__((tls_model("initial-exec")));

const struct error_identity *error_identity_set(const struct error_identity *next)
{
    const struct error_identity *earlier = identity;
    identity = next;
    return earlier;
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

const char *error_identity_actor(void)
{
    return identity && identity->actor ? or_empty(identity->actor(identity->arg)) : "";
}

const char *error_identity_task(void)
{
    return identity && identity->task ? or_empty(identity->task(identity->arg)) : "";
}

/* ---- what the debugger knows ---- */

static _Atomic(error_raised_fn) on_raise;

void error_on_raise(error_raised_fn fn)
{
    atomic_store(&on_raise, fn);
}

static yoke_error *raised(yoke_error *e, void *caller, void *frame)
{
    error_raised_fn fn = atomic_load_explicit(&on_raise, memory_order_relaxed);
    if (__builtin_expect(fn != NULL, 0))
        fn(e, caller, frame);
    return e;
}

void error_set_shown(yoke_error *e)
{
    if (!e->is_static)
        atomic_store(&e->head->shown, true);
}

bool error_is_shown(const yoke_error *e)
{
    return atomic_load(&e->head->shown);
}

/* ---- making ---- */

/* Copies `text` to *at, which moves behind it; returns the copy. */
static const char *copied(char **at, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = memcpy(*at, text, bytes);
    *at += bytes;
    return copy;
}

static size_t place_bytes(const struct place *p)
{
    return strlen(p->file) + strlen(p->function) + strlen(p->actor) + strlen(p->task) + 4;
}

static void place_copy(struct place *to, const struct place *from, char *at)
{
    to->line = from->line;
    to->file = copied(&at, from->file);
    to->function = copied(&at, from->function);
    to->actor = copied(&at, from->actor);
    to->task = copied(&at, from->task);
}

static struct place place_here(const char *file, int line, const char *function)
{
    return (struct place){.file = or_empty(file),
                          .function = or_empty(function),
                          .actor = error_identity_actor(),
                          .task = error_identity_task(),
                          .line = line};
}

static void head_init(struct head *h, const yoke_error_kind *kind)
{
    *h = (struct head){.kind = kind, .place = {"", "", "", "", 0}};
    atomic_init(&h->count, 1);
}

static void shape_init(yoke_error *e, struct head *h)
{
    *e = (struct yoke_error){.head = h, .depth = 1, .members = e->pair, .member_capacity = 2};
    atomic_init(&e->count, 1);
}

/* A head with room for `bytes` of text besides its place. */
static struct head *head_new(const yoke_error_kind *kind, const struct place *place, size_t bytes)
{
    struct head *h = memory_alloc(sizeof *h + place_bytes(place) + bytes);
    if (!h)
        return NULL;
    head_init(h, kind);
    place_copy(&h->place, place, h->text + bytes);
    return h;
}

static yoke_error *shape_new(struct head *h)
{
    yoke_error *e = memory_alloc(sizeof *e);
    if (e)
        shape_init(e, h);
    return e;
}

/* `fmt` and `args`, then `tail`, in full. The text is formatted once if it is short, as nearly all are. */
static struct head *head_format(const yoke_error_kind *kind, const struct place *place, const char *tail,
                                const char *fmt, va_list args)
{
    char brief[256];
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(brief, sizeof brief, fmt, args);
    size_t size = n < 0 ? 0 : (size_t)n;
    size_t tail_bytes = strlen(tail) + 1;
    struct head *h = head_new(kind, place, size + tail_bytes);
    if (h) {
        if (size < sizeof brief)
            memcpy(h->text, brief, size);
        else
            vsnprintf(h->text, size + 1, fmt, again);
        memcpy(h->text + size, tail, tail_bytes);
        h->message = h->text;
    }
    va_end(again);
    return h;
}

static yoke_error *error_new(const yoke_error_kind *kind, const struct place *place, const char *tail,
                             const char *fmt, va_list args)
{
    struct head *h = head_format(kind, place, tail, fmt, args);
    if (!h)
        return NULL;
    yoke_error *e = shape_new(h);
    if (!e)
        memory_free(h);
    return e;
}

static yoke_error *error_new_plain(const yoke_error_kind *kind, const struct place *place, const char *fmt,
                                   ...) YOKE_PRINTF(3, 4);
static yoke_error *error_new_plain(const yoke_error_kind *kind, const struct place *place, const char *fmt,
                                   ...)
{
    va_list args;
    va_start(args, fmt);
    yoke_error *e = error_new(kind, place, "", fmt, args);
    va_end(args);
    return e;
}

/* Why an error of `kind` may not be raised, or NULL. */
static const char *refusal(const yoke_error_kind *kind)
{
    if (!kind)
        return "an error needs a kind";
    return error_kind_is_below(kind, &YOKE_CANCELLED)
               ? "only a cancel scope makes an error of kind yoke.Cancelled"
               : NULL;
}

/* NULL without memory. */
static yoke_error *raise_new(const struct place *place, const yoke_error_kind *kind, const char *fmt,
                             va_list args)
{
    const char *why_not = refusal(kind);
    if (why_not)
        return error_new_plain(&YOKE_USAGE, place, "yoke_raise: %s", why_not);
    return error_new(kind, place, "", fmt, args);
}

yoke_error *yoke_raise_at(const char *file, int line, const char *function, const yoke_error_kind *kind,
                          const char *fmt, ...)
{
    KEEP_ERRNO;
    struct place place = place_here(file, line, function);
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    yoke_error *e = raise_new(&place, kind, fmt, args);
    if (!e)
        e = unraised_error(kind, fmt, again);
    va_end(again);
    va_end(args);
    return raised(e, __builtin_return_address(0), __builtin_frame_address(0));
}

static const yoke_error_kind *kind_of_errno(int number)
{
    switch (number) {
    case ENOENT:
        return &YOKE_NOT_FOUND;
    case EACCES:
    case EPERM:
        return &YOKE_PERMISSION;
    case EEXIST:
        return &YOKE_EXISTS;
    case EMFILE:
    case ENFILE:
        return &YOKE_NO_DESCRIPTORS;
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
        return &YOKE_CONNECTION_LOST;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return &YOKE_CONNECT_FAILED;
    case EADDRINUSE:
        return &YOKE_ADDRESS_IN_USE;
    case ENOMEM:
        return &YOKE_NO_MEMORY;
    default:
        return &YOKE_SYSTEM;
    }
}

yoke_error *yoke_raise_errno_at(const char *file, int line, const char *function, int number, const char *fmt,
                                ...)
{
    KEEP_ERRNO;
    struct place place = place_here(file, line, function);
    char tail[128];
    errno = number; /* %m is the one spelling of strerror that is the same and safe with threads in every C
                       library */
    snprintf(tail, sizeof tail, ": %m");
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    yoke_error *e = error_new(kind_of_errno(number), &place, tail, fmt, args);
    if (e)
        e->head->number = number;
    else
        e = unraised_error(kind_of_errno(number), fmt, again);
    va_end(again);
    va_end(args);
    return raised(e, __builtin_return_address(0), __builtin_frame_address(0));
}

static void set_cause(yoke_error *e, yoke_error *cause)
{
    e->head->cause = cause;
    if (cause->depth >= e->depth)
        e->depth = cause->depth + 1;
}

/* From the reserve: the message as far as there is room, the place's function and file only if they are
   literals of the caller's, which is not known; so none. */
static yoke_error *spare_wrap(const yoke_error_kind *kind, const char *fmt, va_list args)
{
    struct spare *s = spare_take();
    if (!s)
        return NULL;
    head_init(&s->head, refusal(kind) ? &YOKE_USAGE : kind);
    shape_init(&s->error, &s->head);
    s->head.spare = s->error.spare = true;
    vsnprintf(s->head.text, sizeof s->room - sizeof s->head, fmt, args);
    s->head.message = s->head.text;
    return &s->error;
}

yoke_error *yoke_wrap_at(const char *file, int line, const char *function, yoke_error *cause,
                         const yoke_error_kind *kind, const char *fmt, ...)
{
    KEEP_ERRNO;
    error_check(cause, "yoke_wrap");
    struct place place = place_here(file, line, function);
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    yoke_error *e = raise_new(&place, kind, fmt, args);
    if (!e && cause)
        e = spare_wrap(kind, fmt, again);
    va_end(again);
    va_end(args);
    if (!e)
        return cause ? cause : error_no_memory; /* what happened matters more than how it is called */
    if (cause)
        set_cause(e, cause);
    return e;
}

yoke_error *error_make_cancelled(const char *fmt, ...)
{
    KEEP_ERRNO;
    struct place place = place_here("", 0, "");
    va_list args;
    va_start(args, fmt);
    yoke_error *e = error_new(&YOKE_CANCELLED, &place, "", fmt, args);
    va_end(args);
    if (!e)
        return error_cancelled; /* a scope that is cancelled without memory is cancelled all the same */
    e->only_cancelled = true;
    return e;
}

/* ---- groups' shapes ---- */

yoke_error *error_new_group(const char *message, bool copy)
{
    struct place place = place_here("", 0, "");
    size_t bytes = copy ? strlen(message) + 1 : 0;
    struct head *h = head_new(&YOKE_GROUP, &place, bytes);
    if (!h)
        return NULL;
    h->message = copy ? memcpy(h->text, message, bytes) : message;
    yoke_error *e = shape_new(h);
    if (!e)
        memory_free(h);
    return e;
}

yoke_error *error_new_like(const yoke_error *e)
{
    yoke_error *like = shape_new(e->head);
    if (!like)
        return NULL;
    atomic_fetch_add_explicit(&e->head->count, 1, memory_order_relaxed);
    like->joined = e->joined;
    like->flat = e->flat;
    if (e->head->cause)
        like->depth = e->head->cause->depth + 1;
    return like;
}

yoke_error *error_spare_group(const char *message)
{
    struct spare *s = spare_take();
    if (!s)
        return NULL;
    head_init(&s->head, &YOKE_GROUP);
    shape_init(&s->error, &s->head);
    s->head.spare = s->error.spare = true;
    s->head.message = message;
    return &s->error;
}

bool error_reserve(yoke_error *group, size_t more)
{
    size_t wanted = group->member_count + more;
    if (wanted <= group->member_capacity)
        return true;
    size_t capacity = wanted > group->member_capacity * 2 ? wanted : group->member_capacity * 2;
    bool inside = group->members == group->pair;
    yoke_error **members = memory_realloc(inside ? NULL : group->members, capacity * sizeof *members);
    if (!members)
        return false;
    if (inside)
        memcpy(members, group->pair, sizeof group->pair);
    group->members = members;
    group->member_capacity = capacity;
    return true;
}

void error_add(yoke_error *group, yoke_error *member)
{
    group->only_cancelled = member->only_cancelled && (group->only_cancelled || !group->member_count);
    group->members[group->member_count++] = member;
    if (member->depth >= group->depth)
        group->depth = member->depth + 1;
}

/* ---- changing what it says ---- */

void error_set_errno(yoke_error *e, int number)
{
    if (e && error_sole_head(e))
        e->head->number = number;
}

void error_set_place(yoke_error *e, const char *file, int line, const char *function, const char *actor,
                     const char *task)
{
    if (!e || !error_sole_head(e))
        return;
    KEEP_ERRNO;
    struct place *p = &e->head->place;
    struct place wanted = {.file = file ? file : p->file,
                           .function = function ? function : p->function,
                           .actor = actor ? actor : p->actor,
                           .task = task ? task : p->task,
                           .line = line};
    char *text = memory_alloc(place_bytes(&wanted));
    if (!text)
        return;
    place_copy(p, &wanted, text);
    memory_free(e->head->place_text);
    e->head->place_text = text;
}

void error_set_backtrace(yoke_error *e, const char *text)
{
    if (!e || !error_sole_head(e))
        return;
    KEEP_ERRNO;
    char *copy = memory_strdup(text);
    if (text && !copy)
        return;
    memory_free(e->head->backtrace);
    e->head->backtrace = copy;
}

/* ---- its end ---- */

yoke_error *yoke_error_dup(const yoke_error *e)
{
    error_check(e, "yoke_error_dup");
    yoke_error *same =
        (yoke_error *)(uintptr_t)e; /* shared inside: an equal error is the same one, counted once more */
    if (same && !same->is_static)
        atomic_fetch_add_explicit(&same->count, 1, memory_order_relaxed);
    return same;
}

/* Whose error is over, and where. */
struct end {
    const char *file;
    int line;
    yoke_error *doomed;
};

/*
 * Freed errors that are kept, so that their count says that they are freed; the oldest make room for the
 * next. Off unless the environment asks for it.
 */
#define KEPT 1024
static bool keeps_freed;
static _Atomic(yoke_error *) kept[KEPT];
static atomic_size_t kept_next;
static struct head freed_head = {
    .kind = &YOKE_INTERNAL, .message = "an error that was freed before", .place = {"", "", "", "", 0}};

__attribute__((constructor(150))) static void look_at_environment(void)
{
    const char *asked = getenv("YOKE_CHECK_ERRORS");
    keeps_freed = asked && *asked && strcmp(asked, "0") != 0;
}

static void keep_freed(yoke_error *e, const struct end *end)
{
    e->members = e->pair;
    e->member_count = 0;
    e->head = &freed_head;
    e->freed_file = end->file;
    e->freed_line = end->line;
    yoke_error *oldest = atomic_exchange(&kept[atomic_fetch_add(&kept_next, 1) % KEPT], e);
    memory_free(oldest);
}

void error_misused(const yoke_error *e, const char *call)
{
    die("%s: the error %p was freed before, at %s:%d", call, (const void *)e,
        e->freed_file ? e->freed_file : "an unknown place", e->freed_line);
}

/* Gives up one hold; puts what has none left on the list, which stands for the stack that recursion would
 * need. */
static void let_go(yoke_error *e, struct end *end)
{
    if (!e || e->is_static)
        return;
    error_check(e, "yoke_error_free");
    if (atomic_fetch_sub_explicit(&e->count, 1, memory_order_acq_rel) != 1)
        return;
    e->next_doomed = end->doomed;
    end->doomed = e;
}

static void head_free(struct head *h, struct end *end)
{
    if (atomic_fetch_sub_explicit(&h->count, 1, memory_order_acq_rel) != 1)
        return;
    error_chains_free(h);
    memory_free(h->place_text);
    memory_free(h->backtrace);
    let_go(h->cause, end);
    if (h->spare)
        spare_give(h);
    else
        memory_free(h);
}

static void shape_free(yoke_error *e, struct end *end)
{
    for (size_t i = 0; i < e->member_count; i++)
        let_go(e->members[i], end);
    if (e->members != e->pair)
        memory_free(e->members);
    head_free(e->head, end);
    if (e->spare)
        spare_give(e);
    else if (__builtin_expect(keeps_freed, 0))
        keep_freed(e, end);
    else
        memory_free(e);
}

void yoke_error_free_at(const char *file, int line, yoke_error *e)
{
    KEEP_ERRNO;
    struct end end = {.file = file, .line = line};
    let_go(e, &end);
    while (end.doomed) {
        yoke_error *next = end.doomed;
        end.doomed = next->next_doomed;
        shape_free(next, &end);
    }
}

void(yoke_error_free)(yoke_error *e)
{
    yoke_error_free_at(NULL, 0, e);
}
