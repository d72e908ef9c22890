/*
 * The tree goes as a flat list, each part with the place of its parent in it: children come after their
 * parent. So neither side needs recursion, and the nesting limit of messages does not matter. Kinds go by
 * name; one that this program does not know comes back as YOKE_REMOTE.
 */
#include "actor/error_tree.h"

#include "actor/death.h"
#include "base/error.h"
#include "base/memory.h"
#include "msg/record.h"
#include "msg/utf8.h"

#include <yoke/actor.h>

#include <string.h>

YOKE_RECORD(relayed_hop, (str, file), (i32, line), (str, function));
YOKE_RECORD(relayed_part, (i32, parent), (boolean, is_cause), (str, kind), (str, message), (i32, number),
            (str, file), (i32, line), (str, function), (str, actor), (str, task), (str, backtrace),
            (list, str, notes), (list, relayed_hop, hops));
YOKE_RECORD(relayed_tree, (list, relayed_part, parts));

/* ---- out ---- */

/* A text of an error that could not travel as it is. */
struct copy {
    struct copy *next;
    char *text;
};

struct flat {
    relayed_tree tree;
    const yoke_error *errors[ERROR_TREE_PARTS];
    size_t left_out;
    char left_out_note[64];
    struct copy *copies;
    bool failed;
};

/* Texts are whatever a program put in: a file's name in an old encoding must not keep the error from its way.
 */
static const char *fit(struct flat *f, const char *text)
{
    size_t size = text ? strlen(text) : 0;
    if (!size)
        return "";
    if (size <= ERROR_TREE_TEXT_BYTES && utf8_valid(text, size))
        return text;
    struct copy *copy = memory_alloc(sizeof *copy);
    char *repaired = copy ? utf8_shortened(text, ERROR_TREE_TEXT_BYTES) : NULL;
    if (!repaired) {
        memory_free(copy);
        f->failed = true;
        return "";
    }
    *copy = (struct copy){f->copies, repaired};
    f->copies = copy;
    return repaired;
}

/* The parts' own arrays; the texts in them are views into the errors. */
static bool fill_lists(struct flat *f, relayed_part *part, const yoke_error *e)
{
    size_t notes = 0, hops = 0;
    struct error_hop hop;
    while (error_note_at(e, notes))
        notes++;
    while (error_hop_at(e, hops, &hop))
        hops++;
    part->notes.items = memory_calloc(notes + 1, sizeof *part->notes.items);
    part->hops.items = memory_calloc(hops, sizeof *part->hops.items);
    if (!part->notes.items || !part->hops.items)
        return false;
    for (; part->notes.count < notes; part->notes.count++)
        part->notes.items[part->notes.count] = fit(f, error_note_at(e, part->notes.count));
    for (; part->hops.count < hops; part->hops.count++) {
        error_hop_at(e, part->hops.count, &hop);
        part->hops.items[part->hops.count] = (relayed_hop){fit(f, hop.file), hop.line, fit(f, hop.function)};
    }
    return true;
}

static bool fill_part(struct flat *f, relayed_part *part, const yoke_error *e, int parent, bool is_cause)
{
    int signal = yoke_error_signal(e);
    *part = (relayed_part){
        .parent = parent,
        .is_cause = is_cause,
        .kind = yoke_error_kind_of(e)->name,
        .message = fit(f, yoke_error_message(e)),
        .number = signal ? signal : yoke_error_errno(e),
        .file = fit(f, yoke_error_file(e)),
        .line = yoke_error_line(e),
        .function = fit(f, yoke_error_function(e)),
        .actor = fit(f, yoke_error_actor(e)),
        .task = fit(f, yoke_error_task(e)),
        .backtrace = fit(f, error_backtrace(e)),
    };
    return fill_lists(f, part, e);
}

static void append(struct flat *f, const yoke_error *e, int parent, bool is_cause)
{
    if (f->tree.parts.count == ERROR_TREE_PARTS) {
        f->left_out++;
        return;
    }
    size_t i = f->tree.parts.count++;
    f->errors[i] = e;
    f->failed |= !fill_part(f, &f->tree.parts.items[i], e, parent, is_cause);
}

static void flat_free(struct flat *f)
{
    for (size_t i = 0; i < f->tree.parts.count; i++) {
        memory_free(f->tree.parts.items[i].notes.items);
        memory_free(f->tree.parts.items[i].hops.items);
    }
    memory_free(f->tree.parts.items);
    while (f->copies) {
        struct copy *copy = f->copies;
        f->copies = copy->next;
        memory_free(copy->text);
        memory_free(copy);
    }
    memory_free(f);
}

/* fill_lists has kept room for it. */
static void note_left_out(struct flat *f)
{
    relayed_part *root = &f->tree.parts.items[0];
    snprintf(f->left_out_note, sizeof f->left_out_note, "%zu more errors were left out on the way",
             f->left_out);
    root->notes.items[root->notes.count++] = f->left_out_note;
}

yoke_error *error_tree_encode(struct buffer *out, const yoke_error *e)
{
    struct flat *f = memory_calloc(1, sizeof *f);
    if (!f)
        return yoke_raise(&YOKE_NO_MEMORY, "an error to relay");
    f->tree.parts.items = memory_calloc(ERROR_TREE_PARTS, sizeof *f->tree.parts.items);
    f->failed = !f->tree.parts.items;
    if (!f->failed)
        append(f, e, -1, false);
    for (size_t i = 0; !f->failed && i < f->tree.parts.count; i++) {
        const yoke_error *at = f->errors[i];
        for (size_t k = 0; k < yoke_error_count(at); k++)
            append(f, yoke_error_member(at, k), (int)i, false);
        if (yoke_error_cause(at))
            append(f, yoke_error_cause(at), (int)i, true);
    }
    if (f->left_out && !f->failed)
        note_left_out(f);
    yoke_error *failed = f->failed ? yoke_raise(&YOKE_NO_MEMORY, "an error to relay")
                                   : record_encode(out, &yoke_record_relayed_tree, &f->tree, "error");
    flat_free(f);
    return failed;
}

/* ---- in ---- */

/* The error of part i, from those of its children, which come after it in the list and are built already. */
static yoke_error *build(const relayed_part *parts, size_t count, size_t i, yoke_error **built)
{
    const relayed_part *p = &parts[i];
    yoke_error *members[ERROR_TREE_PARTS], *cause = NULL;
    size_t member_count = 0;
    for (size_t k = i + 1; k < count; k++) {
        if (parts[k].parent != (int)i)
            continue;
        if (parts[k].is_cause)
            cause = yoke_error_join(cause, built[k]);
        else
            members[member_count++] = built[k];
        built[k] = NULL;
    }
    const yoke_error_kind *kind = yoke_error_kind_find(p->kind);
    yoke_error *e;
    if (member_count)
        e = yoke_error_join(yoke_error_group(members, member_count, p->message), cause);
    else if (kind == &YOKE_CANCELLED) {
        yoke_error_free(cause); /* no scope gives its own one; a peer may send one */
        e = error_make_cancelled("%s", p->message);
    } else if (kind)
        e = cause ? yoke_wrap_at("", 0, "", cause, kind, "%s", p->message)
                  : yoke_raise_at("", 0, "", kind, "%s", p->message);
    else
        e = yoke_wrap_at("", 0, "", cause, &YOKE_REMOTE, "%s: %s", p->kind, p->message);
    error_set_place(e, p->file, p->line, p->function, p->actor, p->task);
    if (p->backtrace[0])
        error_set_backtrace(e, p->backtrace);
    for (size_t k = 0; k < p->notes.count; k++)
        yoke_error_note(e, "%s", p->notes.items[k]);
    for (size_t k = 0; k < p->hops.count; k++)
        e = yoke_error_trace(e, p->hops.items[k].file, p->hops.items[k].line, p->hops.items[k].function);
    if (yoke_error_is(e, &YOKE_SYSTEM))
        error_set_errno(e, p->number);
    death_restore(e, p->number);
    return e;
}

static yoke_error *check(const relayed_tree *tree)
{
    size_t count = tree->parts.count;
    if (count < 1 || count > ERROR_TREE_PARTS)
        return yoke_raise(&YOKE_PROTOCOL, "an error of %zu parts", count);
    for (size_t i = 0; i < count; i++)
        if (tree->parts.items[i].parent < -1 || tree->parts.items[i].parent >= (int)i ||
            (i && tree->parts.items[i].parent < 0))
            return yoke_raise(&YOKE_PROTOCOL, "part %zu of an error has parent %d", i,
                              (int)tree->parts.items[i].parent);
    return NULL;
}

yoke_error *error_tree_decode(const uint8_t *data, size_t size, yoke_error **out)
{
    relayed_tree tree;
    *out = NULL;
    YOKE_TRY(record_decode(&yoke_record_relayed_tree, data, size, "error", &tree));
    yoke_error *bad = check(&tree);
    if (!bad) {
        yoke_error *built[ERROR_TREE_PARTS];
        for (size_t i = tree.parts.count; i-- > 0;)
            built[i] = build(tree.parts.items, tree.parts.count, i, built);
        *out = built[0];
    }
    relayed_tree_free(&tree);
    return bad;
}
