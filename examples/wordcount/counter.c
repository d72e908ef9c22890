/*
 * From bytes to counts. The one hot loop of the program is counter_feed's: a comparison and a multiplication
 * a letter, a hash look-up a word. Files are read with pread into one reused buffer, not mapped: a file that
 * shrinks meanwhile is then just shorter.
 */
#include "words.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_BYTES (256u << 10)

static inline bool is_letter(uint8_t byte)
{
    return (uint8_t)((byte | 0x20) - 'a') < 26;
}

static void make_lower(uint8_t *letters, size_t count)
{
    for (size_t i = 0; i < count; i++)
        letters[i] |= 0x20;
}

/* How many of the first bytes are letters. */
static size_t letters_at(const uint8_t *bytes, size_t size)
{
    size_t n = 0;
    while (n < size && is_letter(bytes[n]))
        n++;
    return n;
}

static yoke_error *found_new(struct counter *c, uint32_t id)
{
    const struct word *word = &c->words.items[id];
    if (!c->watched || strlen(c->watched) != word->length ||
        memcmp(c->watched, word->text, word->length) != 0)
        return NULL;
    return c->found(c->watched);
}

/* `padded` as in word_sight. */
static inline yoke_error *count_word(struct counter *c, const char *text, size_t length, bool padded)
{
    const struct word_sight sight = word_sight(text, length, padded);
    uint32_t id = 0;
    bool is_new = false;
    YOKE_TRY(words_intern(&c->words, &sight, &id, &is_new));
    if (c->words.items[id].count++ == 0) {
        YOKE_TRY(array_reserve(&c->touched, &c->touched_room, c->touched_count + 1, sizeof *c->touched));
        c->touched[c->touched_count++] = id;
    }
    return is_new ? found_new(c, id) : NULL;
}

/* Appends letters, lower-cased, to the word that is carried on. */
static yoke_error *carry_letters(struct counter *c, const uint8_t *letters, size_t count)
{
    if (c->carry.size + count > WORD_LONGEST)
        return yoke_raise(&WORDCOUNT_INPUT, "a word of more than %u letters", WORD_LONGEST);
    size_t begin = c->carry.size;
    YOKE_TRY(bytes_append(&c->carry, letters, count));
    make_lower(c->carry.data + begin, count);
    return NULL;
}

yoke_error *counter_end(struct counter *c)
{
    if (!c->carry.size)
        return NULL;
    size_t length = c->carry.size;
    c->carry.size = 0;
    return count_word(c, (const char *)c->carry.data, length, false);
}

yoke_error *counter_feed(struct counter *c, uint8_t *bytes, size_t size)
{
    uint8_t *at = bytes, *end = bytes + size;
    if (c->carry.size) {
        size_t more = letters_at(bytes, size);
        YOKE_TRY(carry_letters(c, bytes, more));
        if (more == size)
            return NULL;
        YOKE_TRY(counter_end(c));
        at += more;
    }
    memset(end, 0, KEY_LETTERS); /* no letters: the inner loop needs no second condition */
    while (at < end) {
        if (!is_letter(*at)) {
            at++;
            continue;
        }
        uint8_t *word = at;
        while (is_letter(*++at))
            continue;
        size_t length = (size_t)(at - word);
        if (at == end)
            return carry_letters(c, word, length);
        if (length > KEY_LETTERS) /* shorter ones are lower-cased as they are loaded: a store here would hold
                                     that load up */
            make_lower(word, length);
        YOKE_TRY(count_word(c, (const char *)word, length, true));
    }
    return NULL;
}

/* ---- files ---- */

static yoke_error *read_at(const struct counter *c, int fd, const char *path, uint64_t offset, size_t wanted,
                           size_t *got)
{
    ssize_t n;
    do
        n = pread(fd, c->block, wanted, (off_t)offset);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        char shown[512];
        int number = errno;
        return yoke_raise(&WORDCOUNT_INPUT, "cannot read %s: %s", path_shown(path, shown, sizeof shown),
                          strerror(number));
    }
    *got = (size_t)n;
    return NULL;
}

/* Finishes the word that is carried on at `offset`, where someone else's range begins. */
static yoke_error *read_rest_of_word(struct counter *c, int fd, const char *path, uint64_t offset)
{
    size_t wanted = 256; /* most words end soon; a long one gets larger reads */
    while (c->carry.size) {
        size_t got = 0;
        YOKE_TRY(read_at(c, fd, path, offset, wanted, &got));
        size_t more = letters_at(c->block, got);
        YOKE_TRY(carry_letters(c, c->block, more));
        if (!got || more < got)
            return counter_end(c);
        offset += got;
        wanted = wanted < READ_BYTES / 2 ? 2 * wanted : READ_BYTES;
    }
    return NULL;
}

static yoke_error *begins_inside_word(const struct counter *c, int fd, const char *path, uint64_t from,
                                      bool *inside)
{
    size_t got = 0;
    if (from)
        YOKE_TRY(read_at(c, fd, path, from - 1, 1, &got));
    *inside = got && is_letter(c->block[0]);
    return NULL;
}

static yoke_error *read_range(struct counter *c, int fd, const char *path, uint64_t from, uint64_t to,
                              uint64_t *count)
{
    bool skipping = false;
    YOKE_TRY(begins_inside_word(c, fd, path, from, &skipping));
    uint64_t offset = from;
    while (offset < to) {
        size_t got = 0;
        YOKE_TRY(read_at(c, fd, path, offset, to - offset < READ_BYTES ? (size_t)(to - offset) : READ_BYTES,
                         &got));
        if (!got)
            break;
        size_t skipped = skipping ? letters_at(c->block, got) : 0;
        skipping = skipped == got;
        YOKE_TRY(counter_feed(c, c->block + skipped, got - skipped));
        offset += got;
    }
    *count = offset - from;
    return read_rest_of_word(c, fd, path, offset);
}

yoke_error *counter_read(struct counter *c, int fd, const char *path, uint64_t from, uint64_t to,
                         uint64_t *count)
{
    if (!c->block)
        c->block = malloc(READ_BYTES + KEY_LETTERS);
    if (!c->block)
        return yoke_raise(&YOKE_NO_MEMORY, "no memory for a block of %u bytes", READ_BYTES);
    yoke_error *e = read_range(c, fd, path, from, to, count);
    char shown[512];
    if (e)
        yoke_error_note(e, "while it counted %s", path_shown(path, shown, sizeof shown));
    return e;
}

void counter_free(struct counter *c)
{
    words_free(&c->words);
    bytes_free(&c->carry);
    free(c->touched);
    free(c->block);
    *c = (struct counter){.watched = c->watched, .found = c->found};
}

/* ---- names in messages ---- */

/* The length of the UTF-8 sequence at `text`, 0 if it is none (RFC 3629). */
static size_t utf8_length(const uint8_t *text)
{
    size_t length = text[0] < 0x80             ? 1
                    : (text[0] & 0xe0) == 0xc0 ? 2
                    : (text[0] & 0xf0) == 0xe0 ? 3
                    : (text[0] & 0xf8) == 0xf0 ? 4
                                               : 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    if (length == 2 && text[0] < 0xc2)
        return 0;
    if (length == 3 && ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] >= 0xa0)))
        return 0;
    if (length == 4 &&
        ((text[0] == 0xf0 && text[1] < 0x90) || text[0] > 0xf4 || (text[0] == 0xf4 && text[1] >= 0x90)))
        return 0;
    return length;
}

const char *path_shown(const char *path, char *shown, size_t room)
{
    const uint8_t *at = (const uint8_t *)path;
    size_t used = 0;
    shown[0] = '\0';
    while (*at && used + 8 < room) {
        size_t length = utf8_length(at);
        if (length && *at >= ' ' && *at != 0x7f) {
            memcpy(shown + used, at, length);
            used += length;
            at += length;
        } else {
            used += (size_t)snprintf(shown + used, room - used, "\\x%02x", *at++);
        }
        shown[used] = '\0';
    }
    return shown;
}
