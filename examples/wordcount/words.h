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

/* ---- hashing ---- */

/* FNV-1a in 64 bits, a step a letter, since the counter hashes while it scans; the end folds the better mixed
 * high half in. */
#define HASH_START 14695981039346656037ull

static inline uint64_t hash_step(uint64_t hash, uint8_t letter)
{
    return (hash ^ letter) * 1099511628211ull;
}

static inline uint32_t hash_end(uint64_t hash)
{
    return (uint32_t)(hash >> 32) ^ (uint32_t)hash;
}

static inline uint32_t word_hash(const char *text, size_t length)
{
    uint64_t hash = HASH_START;
    for (size_t i = 0; i < length; i++)
        hash = hash_step(hash, (uint8_t)text[i]);
    return hash_end(hash);
}

/* ---- a set of words ---- */

struct word {
    const char *text; /* not terminated; in the set's arena, stays where it is */
    uint32_t length, hash;
    uint64_t count;
};

struct word_slot {
    uint32_t hash, id_plus_1; /* 0: empty */
};

struct words {
    struct word *items; /* by id: 0 to count - 1, in the order in which they came */
    size_t count, room;
    struct word_slot *slots; /* open addressing, a power of two of them, at most half full */
    size_t slot_count;
    struct word_block *blocks; /* the arena */
};

/* All-zero is an empty set. `hash` must be word_hash of the text. *id: its number; *is_new: it was not there,
 * its count is 0. */
YOKE_MUST_USE yoke_error *words_intern(struct words *w, const char *text, size_t length, uint32_t hash,
                                       uint32_t *id, bool *is_new);
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
    uint8_t *block;     /* what is read of a file, and one byte more */
    /* Called when `watched` (lower-case; NULL: none) is counted for the first time; its error ends the
     * counting. */
    const char *watched;
    yoke_error *(*found)(const char *word);
};

/* Counts the words in bytes[0..size), which are overwritten; one byte behind them must be writable too. A
   word that touches the end is carried on. */
YOKE_MUST_USE yoke_error *counter_feed(struct counter *c, uint8_t *bytes, size_t size);
/* How many of the first bytes are letters. */
size_t letters_at(const uint8_t *bytes, size_t size);
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
