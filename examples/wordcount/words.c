/*
 * The set of words: items in an array, their text in an arena, and a hash table of (hash, id) pairs, so that
 * most look-ups are decided in one cache line.
 */
#include "words.h"

#include <stdlib.h>

YOKE_ERROR_KIND(WORDCOUNT_INPUT, "wordcount.Input", NULL);
YOKE_ERROR_KIND(WORDCOUNT_RESULT, "wordcount.Result", NULL);

#define BLOCK_BYTES (256u << 10)

struct word_block {
    struct word_block *next;
    size_t used, room;
    char text[];
};

yoke_error *array_reserve(void *items, size_t *room, size_t need, size_t item_bytes)
{
    if (need <= *room)
        return NULL;
    size_t wanted = *room ? 2 * *room : 16;
    if (wanted < need)
        wanted = need;
    void *old;
    memcpy(&old, items, sizeof old);
    void *grown = wanted > SIZE_MAX / item_bytes ? NULL : realloc(old, wanted * item_bytes);
    if (!grown)
        return yoke_raise(&YOKE_NO_MEMORY, "no memory for %zu items of %zu bytes", wanted, item_bytes);
    memcpy(items, &grown, sizeof grown);
    *room = wanted;
    return NULL;
}

yoke_error *bytes_append(struct bytes *b, const void *data, size_t size)
{
    if (!size)
        return NULL;
    YOKE_TRY(array_reserve(&b->data, &b->room, b->size + size, 1));
    memcpy(b->data + b->size, data, size);
    b->size += size;
    return NULL;
}

void bytes_free(struct bytes *b)
{
    free(b->data);
    *b = (struct bytes){NULL, 0, 0};
}

/* ---- the set ---- */

/* Lower-cased. */
static yoke_error *keep_text(struct words *w, const char *text, size_t length, const char **kept)
{
    struct word_block *block = w->blocks;
    if (!block || block->room - block->used < length) {
        size_t room = length > BLOCK_BYTES / 4 ? length : BLOCK_BYTES;
        struct word_block *fresh = malloc(sizeof *fresh + room);
        if (!fresh)
            return yoke_raise(&YOKE_NO_MEMORY, "no memory for a word of %zu letters", length);
        *fresh = (struct word_block){.used = 0, .room = room};
        /* A block made for one long word goes behind the one that still has room. */
        struct word_block **at = room != BLOCK_BYTES && block ? &block->next : &w->blocks;
        fresh->next = *at;
        *at = fresh;
        block = fresh;
    }
    char *place = block->text + block->used;
    for (size_t i = 0; i < length; i++)
        place[i] = text[i] | 0x20;
    block->used += length;
    *kept = place;
    return NULL;
}

static yoke_error *grow_slots(struct words *w)
{
    size_t count = w->slot_count ? 2 * w->slot_count : 1024;
    struct word_slot *slots = calloc(count, sizeof *slots);
    if (!slots)
        return yoke_raise(&YOKE_NO_MEMORY, "no memory for a table of %zu words", count / 2);
    for (size_t old = 0; old < w->slot_count; old++) {
        if (!w->slots[old].id_plus_1)
            continue;
        size_t i = w->slots[old].hash & (count - 1);
        while (slots[i].id_plus_1)
            i = (i + 1) & (count - 1);
        slots[i] = w->slots[old];
    }
    free(w->slots);
    w->slots = slots;
    w->slot_count = count;
    return NULL;
}

yoke_error *words_add(struct words *w, const struct word_sight *sight, uint32_t *id)
{
    if (w->count >= UINT32_MAX - 1)
        return yoke_raise(&WORDCOUNT_INPUT, "more than %zu different words", w->count);
    if (2 * (w->count + 1) > w->slot_count)
        YOKE_TRY(grow_slots(w));
    YOKE_TRY(array_reserve(&w->items, &w->room, w->count + 1, sizeof *w->items));
    const char *kept = NULL;
    YOKE_TRY(keep_text(w, sight->text, sight->length, &kept));
    *id = (uint32_t)w->count++;
    w->items[*id] = (struct word){.text = kept, .length = (uint32_t)sight->length};
    *words_slot(w, sight) = (struct word_slot){sight->key, sight->hash, *id + 1};
    return NULL;
}

void words_free(struct words *w)
{
    while (w->blocks) {
        struct word_block *next = w->blocks->next;
        free(w->blocks);
        w->blocks = next;
    }
    free(w->items);
    free(w->slots);
    *w = (struct words){.items = NULL};
}

/* What decides the order of most pairs, side by side: sorting millions of words must not look into the arena
 * for each comparison. */
struct rank {
    uint64_t count, begin; /* of the text, so that numbers compare as words do */
    uint32_t id;
};

static int most_frequent_first(const void *left, const void *right, void *items)
{
    const struct rank *a = left, *b = right;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    const struct word *x = (const struct word *)items + a->id, *y = (const struct word *)items + b->id;
    int order = memcmp(x->text, y->text, x->length < y->length ? x->length : y->length);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

static void fill_ranks(const struct words *w, struct rank *ranks)
{
    for (size_t i = 0; i < w->count; i++) {
        const struct word *word = &w->items[i];
        size_t length = word->length < KEY_LETTERS ? word->length : KEY_LETTERS;
        uint64_t begin = __builtin_bswap64(letters_load(word->text, length, false));
        ranks[i] = (struct rank){word->count, begin, (uint32_t)i};
    }
}

uint32_t *words_sorted(const struct words *w)
{
    struct rank *ranks = calloc(w->count + 1, sizeof *ranks);
    uint32_t *ids = ranks ? calloc(w->count + 1, sizeof *ids) : NULL;
    if (ids) {
        fill_ranks(w, ranks);
        qsort_r(ranks, w->count, sizeof *ranks, most_frequent_first, w->items);
        for (size_t i = 0; i < w->count; i++)
            ids[i] = ranks[i].id;
    }
    free(ranks);
    return ids;
}

/* ---- numbers in packed results ----
 *
 * A number is written in groups of 7 bits, low ones first; the high bit says that more follow (LEB128, as in
 * DWARF). A result is count of new words, then for each: length, letters; count of words that occurred, then
 * for each: the word's number, how often.
 */

static yoke_error *number_append(struct bytes *out, uint64_t number)
{
    uint8_t group[10];
    size_t size = 0;
    do {
        group[size] = (uint8_t)(number & 0x7f);
        number >>= 7;
        group[size] |= number ? 0x80 : 0;
        size++;
    } while (number);
    return bytes_append(out, group, size);
}

struct reader {
    const uint8_t *at, *end;
    bool broken; /* it ended too early, or had a number over 64 bits */
};

static uint64_t number_read(struct reader *r)
{
    uint64_t number = 0;
    for (unsigned shift = 0; r->at < r->end && shift < 64; shift += 7) {
        uint8_t group = *r->at++;
        if (shift == 63 && group > 1)
            break;
        number |= (uint64_t)(group & 0x7f) << shift;
        if (!(group & 0x80))
            return number;
    }
    r->broken = true;
    return 0;
}

yoke_error *counter_take(struct counter *c, struct bytes *out)
{
    YOKE_TRY(number_append(out, c->words.count - c->told));
    for (size_t id = c->told; id < c->words.count; id++) {
        const struct word *word = &c->words.items[id];
        YOKE_TRY(number_append(out, word->length));
        YOKE_TRY(bytes_append(out, word->text, word->length));
    }
    YOKE_TRY(number_append(out, c->touched_count));
    for (size_t i = 0; i < c->touched_count; i++) {
        struct word *word = &c->words.items[c->touched[i]];
        YOKE_TRY(number_append(out, c->touched[i]));
        YOKE_TRY(number_append(out, word->count));
        word->count = 0;
    }
    c->told = c->words.count;
    c->touched_count = 0;
    return NULL;
}

static yoke_error *malformed(const char *what)
{
    return yoke_raise(&WORDCOUNT_RESULT, "a worker's result is malformed: %s", what);
}

static yoke_error *add_spellings(struct tally *t, struct vocabulary *v, struct reader *r)
{
    for (uint64_t left = number_read(r); left && !r->broken; left--) {
        uint64_t length = number_read(r);
        if (r->broken || !length || length > (uint64_t)(r->end - r->at))
            return malformed("a word goes beyond its end");
        const char *text = (const char *)r->at;
        r->at += length;
        YOKE_TRY(array_reserve(&v->ids, &v->room, v->count + 1, sizeof *v->ids));
        const struct word_sight sight = word_sight(text, length, false);
        bool is_new;
        YOKE_TRY(words_intern(&t->words, &sight, &v->ids[v->count], &is_new));
        v->count++;
    }
    return NULL;
}

yoke_error *tally_add(struct tally *t, struct vocabulary *v, const uint8_t *packed, size_t size)
{
    struct reader r = {packed, packed + size, false};
    YOKE_TRY(add_spellings(t, v, &r));
    for (uint64_t left = number_read(&r); left && !r.broken; left--) {
        uint64_t number = number_read(&r), count = number_read(&r);
        if (number >= v->count)
            return malformed("a word that was never spelled");
        t->words.items[v->ids[number]].count += count;
        t->total += count;
    }
    return r.broken || r.at != r.end ? malformed("its size is wrong") : NULL;
}

void vocabulary_free(struct vocabulary *v)
{
    free(v->ids);
    *v = (struct vocabulary){NULL, 0, 0};
}

void tally_free(struct tally *t)
{
    words_free(&t->words);
    t->total = 0;
}
