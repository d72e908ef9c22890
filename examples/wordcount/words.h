/*
 * Words and their counts. A word is a longest run of ASCII letters, lower-cased.
 *
 * Nothing here knows of actors: a worker counts with a `counter`, the root adds up with a `tally`. The two
 * speak through packed results. Within one life of a worker a word is spelled once, and is a number from then
 * on; so most of a result is small numbers, and adding it up costs an array look-up a word instead of a hash.
 */
#ifndef WORDCOUNT_WORDS_H
#define WORDCOUNT_WORDS_H

#include <yoke/base.h>

#include <endian.h>
#include <string.h>

/* A run of letters beyond this (bytes) is an error of kind WORDCOUNT_INPUT: it could not travel in one
 * message. */
#define WORD_LONGEST (32u << 20)

/* What is wrong with what we were given: files, not the program. Exit status 2. */
extern const yoke_error_kind WORDCOUNT_INPUT;

/* ---- bytes that grow ---- */

struct bytes {
    uint8_t *data;
    size_t size, room;
};

YOKE_MUST_USE yoke_error *bytes_append(struct bytes *b, const void *data, size_t size);
void bytes_free(struct bytes *b);
/* Makes room for `need` items of `item_bytes` in the array at *items, by doubling. */
YOKE_MUST_USE yoke_error *array_reserve(void *items, size_t *room, size_t need, size_t item_bytes);

/* ---- a set of words ---- */

/*
 * A word as the set looks for it. `key` holds the first eight letters, and a mark if there are more: so a
 * word of up to eight letters is told from any other by its key alone, which is in the table itself.
 */
struct word_sight {
    const char *text;
    size_t length;
    uint64_t key;
    uint32_t hash;
};

#define KEY_LETTERS 8
#define KEY_OF_LONG (1ull << 63) /* no letter has this bit */

struct word {
    const char *text; /* not terminated; in the set's arena, stays where it is */
    uint32_t length;
    uint64_t count;
};

struct word_slot {
    uint64_t key;
    uint32_t hash, id_plus_1; /* 0: empty */
};

struct words {
    struct word *items; /* by id: 0 to count - 1, in the order in which they came */
    size_t count, room;
    struct word_slot *slots; /* open addressing, a power of two of them, at most half full */
    size_t slot_count;
    struct word_block *blocks; /* the arena */
};

/* 1 to 8 letters, lower-cased, as a number. `padded`: 8 bytes can be read there; the compiler knows it at the
 * place of the call. */
static inline uint64_t letters_load(const char *text, size_t count, bool padded)
{
    uint64_t group = 0;
    memcpy(&group, text, padded ? KEY_LETTERS : count);
    group = le64toh(group) | 0x2020202020202020ull;
    return count < KEY_LETTERS ? group & ((1ull << (8 * count)) - 1) : group;
}

/* length: 1 or more letters, of which more than KEY_LETTERS must be lower-case. `padded`: KEY_LETTERS - 1
 * bytes behind them can be read. */
static inline struct word_sight word_sight(const char *text, size_t length, bool padded)
{
    const uint64_t odd = 0x9e3779b97f4a7c15ull; /* 2^64 by the golden ratio: Knuth's multiplicative hashing */
    size_t first = length < KEY_LETTERS ? length : KEY_LETTERS;
    struct word_sight sight = {text, length, letters_load(text, first, padded), 0};
    uint64_t hash = sight.key * odd;
    for (size_t at = first; at < length; at += KEY_LETTERS) {
        size_t count = length - at < KEY_LETTERS ? length - at : KEY_LETTERS;
        hash = (hash ^ (hash >> 32) ^ letters_load(text + at, count, padded)) * odd;
    }
    if (length > KEY_LETTERS)
        sight.key |= KEY_OF_LONG;
    sight.hash = (uint32_t)(hash >> 32);
    return sight;
}

/* The slot that holds the word, or the empty one where it belongs. The table must have slots. */
static inline struct word_slot *words_slot(const struct words *w, const struct word_sight *sight)
{
    size_t mask = w->slot_count - 1;
    for (size_t i = sight->hash & mask;; i = (i + 1) & mask) {
        struct word_slot *slot = &w->slots[i];
        if (!slot->id_plus_1)
            return slot;
        if (slot->key != sight->key)
            continue;
        if (sight->length <= KEY_LETTERS)
            return slot;
        const struct word *word = &w->items[slot->id_plus_1 - 1];
        if (slot->hash == sight->hash && word->length == sight->length &&
            memcmp(word->text, sight->text, sight->length) == 0)
            return slot;
    }
}

/* A word that is not there yet, with count 0. An all-zero set is empty. *id: its number. */
YOKE_MUST_USE yoke_error *words_add(struct words *w, const struct word_sight *sight, uint32_t *id);

/* Finds the word, or adds it. */
YOKE_MUST_USE static inline yoke_error *words_intern(struct words *w, const struct word_sight *sight,
                                                     uint32_t *id, bool *is_new)
{
    const struct word_slot *slot = w->slot_count ? words_slot(w, sight) : NULL;
    *is_new = !slot || !slot->id_plus_1;
    if (*is_new)
        return words_add(w, sight, id);
    *id = slot->id_plus_1 - 1;
    return NULL;
}

void words_free(struct words *w);
/* Every id, most frequent first, ties by word; to be freed with free(). NULL without memory. */
uint32_t *words_sorted(const struct words *w);

/* ---- counting: the worker's side ---- */

struct counter {
    struct words words; /* their counts are those since the last take */
    uint32_t *touched;  /* ids whose count is not 0 */
    size_t touched_count, touched_room;
    size_t told;        /* words whose spelling was in an earlier result */
    struct bytes carry; /* the beginning of a word that the next bytes may go on with */
    uint8_t *block;     /* what is read of a file, with room for KEY_LETTERS more */
    /* Called when `watched` (lower-case; NULL: none) is counted for the first time; its error ends the
     * counting. */
    const char *watched;
    yoke_error *(*found)(const char *word);
};

/* Counts the words in bytes[0..size), which are overwritten, as are the KEY_LETTERS bytes behind them, which
   must be there. A word that touches the end is carried on. */
YOKE_MUST_USE yoke_error *counter_feed(struct counter *c, uint8_t *bytes, size_t size);
/* Nothing follows: a word that was carried on is counted. */
YOKE_MUST_USE yoke_error *counter_end(struct counter *c);
/* Appends the packed result to `out` (form: in the source) and starts from zero; spellings are remembered. */
YOKE_MUST_USE yoke_error *counter_take(struct counter *c, struct bytes *out);
void counter_free(struct counter *c);

/*
 * Counts, of fd's bytes [from, to), the words that begin there: skips the rest of a word that began before
 * `from`, and reads on behind `to` to finish the last one. `to` UINT64_MAX: to the end of the file. *count:
 * how many bytes there were. `path` is for errors.
 */
YOKE_MUST_USE yoke_error *counter_read(struct counter *c, int fd, const char *path, uint64_t from,
                                       uint64_t to, uint64_t *count);

/* ---- adding up: the root's side ---- */

struct tally {
    struct words words;
    uint64_t total; /* of all counts */
};

/* What the numbers of one life of a worker mean. All-zero is empty. */
struct vocabulary {
    uint32_t *ids; /* by the worker's number: the tally's */
    size_t count, room;
};

/* Adds one packed result. WORDCOUNT_RESULT: it is malformed. */
extern const yoke_error_kind WORDCOUNT_RESULT;
YOKE_MUST_USE yoke_error *tally_add(struct tally *t, struct vocabulary *v, const uint8_t *packed,
                                    size_t size);
void vocabulary_free(struct vocabulary *v);
void tally_free(struct tally *t);

/* A path as a message may show it: control characters, and bytes that are no UTF-8, as \xNN. Cut to `room`
 * (over 16). */
const char *path_shown(const char *path, char *shown, size_t room);

#endif
