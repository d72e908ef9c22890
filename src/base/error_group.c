/*
 * Groups: making, joining, splitting, collapsing, searching. No recursion: groups come from other processes,
 * as deep as those like. What several holders share is not changed but copied; what can't be had without
 * memory leaves things as they were.
 */
#include "base/error_body.h"
#include "base/memory.h"

#include <string.h>

#define JOINED "several errors"

/* ---- the walk ---- */

void walk_open(struct walk *w, const yoke_error *root, bool causes)
{
    w->causes = causes;
    w->incomplete = false;
    w->limit = WALK_LEVELS;
    w->frames = w->own;
    if (root->depth > WALK_LEVELS) {
        struct walk_frame *frames = memory_alloc(root->depth * sizeof *frames);
        if (frames) {
            w->frames = frames;
            w->limit = root->depth;
        }
    }
    w->depth = 0;
    w->own[0] = w->frames[0] = (struct walk_frame){root, 0};
}

static const yoke_error *child(const yoke_error *e, size_t i, bool causes)
{
    if (i < e->member_count)
        return e->members[i];
    return causes && i == e->member_count ? e->head->cause : NULL;
}

const yoke_error *walk_next(struct walk *w)
{
    if (!w->depth && !w->frames[0].next) {
        w->depth = 1;
        return w->frames[0].e;
    }
    while (w->depth) {
        struct walk_frame *top = &w->frames[w->depth - 1];
        const yoke_error *next = child(top->e, top->next, w->causes);
        top->next++;
        if (!next) {
            w->depth--;
        } else if (w->depth == w->limit) {
            w->incomplete = true;
        } else {
            w->frames[w->depth++] = (struct walk_frame){next, 0};
            return next;
        }
    }
    return NULL;
}

void walk_close(struct walk *w)
{
    if (w->frames != w->own)
        memory_free(w->frames);
}

const yoke_error *yoke_error_find(const yoke_error *e, const yoke_error_kind *kind)
{
    if (!e)
        return NULL;
    KEEP_ERRNO;
    struct walk w;
    walk_open(&w, e, true);
    const yoke_error *found = walk_next(&w);
    while (found && !yoke_error_is(found, kind))
        found = walk_next(&w);
    walk_close(&w);
    return found;
}

/* ---- join ---- */

/* What `e` adds to a join: its members, if join made it, else itself. */
static size_t parts(const yoke_error *e)
{
    return e->joined ? e->member_count : 1;
}

static void add_parts(yoke_error *group, yoke_error *e)
{
    if (!e->joined) {
        error_add(group, e);
        return;
    }
    for (size_t i = 0; i < e->member_count; i++)
        error_add(group, yoke_error_dup(e->members[i]));
    yoke_error_free(e);
}

/* Without memory: a group of two from the reserve; without that, too, the one that is no mere cancellation.
 */
static yoke_error *join_spare(yoke_error *first, yoke_error *second)
{
    yoke_error *group = error_spare_group(JOINED);
    if (group) {
        error_add(group, first);
        error_add(group, second);
        return group;
    }
    bool keep_second = first->only_cancelled && !second->only_cancelled;
    yoke_error_free(keep_second ? first : second);
    return keep_second ? second : first;
}

/* A new group for the parts of both; says what the group among them said, if there is one. */
static yoke_error *joined_group(const yoke_error *first, const yoke_error *second)
{
    const yoke_error *like = first->joined ? first : second->joined ? second : NULL;
    yoke_error *group = like ? error_new_like(like) : error_new_group(JOINED, false);
    if (!group)
        return NULL;
    group->joined = true;
    if (error_reserve(group, parts(first) + parts(second)))
        return group;
    yoke_error_free(group);
    return NULL;
}

yoke_error *yoke_error_join(yoke_error *first, yoke_error *second)
{
    error_check(first, "yoke_error_join");
    error_check(second, "yoke_error_join");
    if (!first || !second)
        return first ? first : second;
    KEEP_ERRNO;
    if (first->joined && error_sole(first)) {
        if (!error_reserve(first, parts(second)))
            return join_spare(first, second);
        add_parts(first, second);
        return first;
    }
    yoke_error *group = joined_group(first, second);
    if (!group)
        return join_spare(first, second);
    add_parts(group, first);
    add_parts(group, second);
    return group;
}

/* ---- group ---- */

static yoke_error *join_all(yoke_error **members, size_t count)
{
    yoke_error *all = NULL;
    for (size_t i = 0; i < count; i++)
        all = yoke_error_join(all, members[i]);
    return all;
}

yoke_error *yoke_error_group(yoke_error **members, size_t count, const char *message)
{
    KEEP_ERRNO;
    size_t some = 0;
    for (size_t i = 0; i < count; i++) {
        error_check(members[i], "yoke_error_group");
        some += members[i] != NULL;
    }
    if (!some)
        return NULL;
    yoke_error *group = error_new_group(message ? message : JOINED, message != NULL);
    if (!group || !error_reserve(group, some)) {
        yoke_error_free(group);
        return join_all(members, count);
    }
    for (size_t i = 0; i < count; i++) {
        if (members[i])
            error_add(group, members[i]);
    }
    return group;
}

/* ---- rebuilding ---- */

/* Which leaves a split takes. */
struct choice {
    bool (*takes)(const yoke_error *leaf, void *arg);
    void *arg;
};

/*
 * Split and collapse build new groups beside the old ones, from the leaves up, and give up the old tree only
 * when that has succeeded. A group that would be as it was is held once more instead.
 */
struct rebuilt {
    const yoke_error *group;
    size_t next;
    yoke_error *half[2]; /* of what stays, of what is taken */
};

struct rebuild {
    const struct choice *choice; /* which leaves are taken; NULL: collapse */
    size_t depth;
    struct rebuilt *frames;
};

static bool push(struct rebuild *r, const yoke_error *group)
{
    struct rebuilt *top = &r->frames[r->depth];
    *top = (struct rebuilt){.group = group};
    for (int i = 0; i < (r->choice ? 2 : 1); i++) {
        top->half[i] = error_new_like(group);
        if (!top->half[i] || !error_reserve(top->half[i], group->member_count)) {
            yoke_error_free(top->half[0]);
            yoke_error_free(top->half[1]);
            return false;
        }
    }
    r->depth++;
    return true;
}

static bool same_members(const yoke_error *a, const yoke_error *b)
{
    return a->member_count == b->member_count &&
           memcmp(a->members, b->members, a->member_count * sizeof *a->members) == 0;
}

/* A group that goes leaves what it knew of its cause. */
static void note_cause(yoke_error *member, const yoke_error *group)
{
    const yoke_error *cause = group->head->cause;
    if (cause)
        yoke_error_note(member, "the group that it was in was caused by: %s [%s]", cause->head->message,
                        cause->head->kind->name);
}

static yoke_error *unwrapped(const yoke_error *group)
{
    yoke_error *member = yoke_error_dup(group->members[0]);
    note_cause(member, group);
    return member;
}

/* A group of one, of what stays: what a join put together is apart again. */
static bool gives_way(const struct rebuild *r, const yoke_error *group, bool stays)
{
    return !r->choice || group->flat || (group->joined && stays);
}

/* What becomes of a half that is complete; consumes it. */
static yoke_error *settled(const struct rebuild *r, const yoke_error *group, yoke_error *half, bool stays)
{
    yoke_error *result = half;
    if (!half)
        return NULL;
    if (!half->member_count)
        result = NULL;
    else if (half->member_count == 1 && gives_way(r, group, stays))
        result = unwrapped(half);
    else if (same_members(half, group))
        result = yoke_error_dup(group);
    if (result != half)
        yoke_error_free(half);
    return result;
}

static void abandon(struct rebuild *r)
{
    while (r->depth) {
        struct rebuilt *top = &r->frames[--r->depth];
        yoke_error_free(top->half[0]);
        yoke_error_free(top->half[1]);
    }
}

/* Fills `out`, the new halves of `root`, a group; false without memory, and then nothing has been made. */
static bool run_rebuild(struct rebuild *r, const yoke_error *root, yoke_error *out[2])
{
    if (!push(r, root))
        return false;
    while (r->depth) {
        struct rebuilt *top = &r->frames[r->depth - 1];
        if (top->next < top->group->member_count) {
            const yoke_error *e = top->group->members[top->next++];
            if (!e->member_count) {
                error_add(top->half[r->choice && r->choice->takes(e, r->choice->arg)], yoke_error_dup(e));
            } else if (!push(r, e)) {
                abandon(r);
                return false;
            }
            continue;
        }
        r->depth--;
        for (int i = 0; i < 2; i++) {
            yoke_error *half = settled(r, top->group, top->half[i], i == 0);
            if (!r->depth)
                out[i] = half;
            else if (half)
                error_add(r->frames[r->depth - 1].half[i], half);
        }
    }
    return true;
}

/* The same for a tree of any depth. */
static bool rebuild(const yoke_error *root, const struct choice *choice, yoke_error *out[2])
{
    struct rebuilt own[WALK_LEVELS];
    struct rebuild r = {.choice = choice, .frames = own};
    if (root->depth > WALK_LEVELS)
        r.frames = memory_alloc(root->depth * sizeof *r.frames);
    if (!r.frames)
        return false;
    bool done = run_rebuild(&r, root, out);
    if (r.frames != own)
        memory_free(r.frames);
    return done;
}

/* ---- collapse ---- */

/* Is there a group of one? Also true when that can't be found out. */
static bool collapsible(const yoke_error *e)
{
    struct walk w;
    walk_open(&w, e, false);
    const yoke_error *at = walk_next(&w);
    while (at && at->member_count != 1)
        at = walk_next(&w);
    walk_close(&w);
    return at || w.incomplete;
}

yoke_error *yoke_error_collapse(yoke_error *e)
{
    if (!e || !e->member_count)
        return e;
    KEEP_ERRNO;
    /* The usual case, at no cost: one around one. */
    while (e->member_count == 1) {
        yoke_error *member = unwrapped(e);
        yoke_error_free(e);
        e = member;
    }
    yoke_error *out[2];
    if (!e->member_count || !collapsible(e) || !rebuild(e, NULL, out))
        return e;
    yoke_error_free(e);
    return out[0];
}

yoke_error *error_flatten(yoke_error *e)
{
    e = yoke_error_collapse(e);
    if (e && e->member_count && error_sole(e))
        e->flat = true;
    return e;
}

/* ---- split ---- */

struct leaves {
    bool some_taken, some_others;
};

/* False if the tree was too deep to look at all of it. */
static bool look_at_leaves(const yoke_error *e, const struct choice *choice, struct leaves *leaves)
{
    *leaves = (struct leaves){false, false};
    struct walk w;
    walk_open(&w, e, false);
    for (const yoke_error *at; (at = walk_next(&w));) {
        if (at->member_count)
            continue;
        bool takes = choice->takes(at, choice->arg);
        leaves->some_taken |= takes;
        leaves->some_others |= !takes;
    }
    walk_close(&w);
    return !w.incomplete;
}

static void split_by(yoke_error **e, const struct choice *choice, yoke_error **taken)
{
    *taken = NULL;
    if (!*e)
        return;
    KEEP_ERRNO;
    struct leaves leaves;
    if (!look_at_leaves(*e, choice, &leaves))
        return;
    if (!leaves.some_others) {
        *taken = *e;
        *e = NULL;
        return;
    }
    yoke_error *out[2];
    if (!leaves.some_taken || !rebuild(*e, choice, out))
        return;
    yoke_error_free(*e);
    *e = out[0];
    *taken = out[1];
}

void yoke_error_split_by(yoke_error **e, bool (*takes)(const yoke_error *leaf, void *arg), void *arg,
                         yoke_error **taken)
{
    split_by(e, &(struct choice){takes, arg}, taken);
}

static bool is_of_kind(const yoke_error *leaf, void *kind)
{
    return yoke_error_is(leaf, kind);
}

void yoke_error_split(yoke_error **e, const yoke_error_kind *kind, yoke_error **taken)
{
    if (*e && kind == &YOKE_CANCELLED && (*e)->only_cancelled) {
        *taken = *e;
        *e = NULL;
        return;
    }
    split_by(e, &(struct choice){is_of_kind, (void *)kind}, taken);
}

/* ---- all of some kinds ---- */

struct kinds {
    const yoke_error_kind *const *list;
    size_t count;
};

static bool is_one_of(const yoke_error *leaf, void *arg)
{
    const struct kinds *kinds = arg;
    for (size_t i = 0; i < kinds->count; i++) {
        if (yoke_error_is(leaf, kinds->list[i]))
            return true;
    }
    return false;
}

bool yoke_error_is_only(const yoke_error *e, const yoke_error_kind *const kinds[], size_t count)
{
    if (!e)
        return false;
    KEEP_ERRNO;
    struct kinds wanted = {kinds, count};
    struct leaves leaves;
    return look_at_leaves(e, &(struct choice){is_one_of, &wanted}, &leaves) && !leaves.some_others;
}
