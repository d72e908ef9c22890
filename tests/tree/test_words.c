/*
 * The counting of examples/wordcount without actors: against a plain count made here, however the bytes are
 * cut.
 */
#include "harness.h"

#include "../../examples/wordcount/files.h"
#include "../../examples/wordcount/plan.h"
#include "../../examples/wordcount/report.h"
#include "../../examples/wordcount/words.h"

#include <yoke/task.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- a plain count: one pass, a linear search ---- */

struct plain {
    struct {
        char text[64];
        uint64_t count;
    } words[512];
    size_t count;
    uint64_t total;
};

static bool is_letter(uint8_t byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

static void plain_add(struct plain *p, const char *text)
{
    size_t i = 0;
    while (i < p->count && strcmp(p->words[i].text, text) != 0)
        i++;
    if (i == p->count) {
        assert_true(p->count < 512);
        strcpy(p->words[p->count++].text, text);
    }
    p->words[i].count++;
    p->total++;
}

static void plain_count(struct plain *p, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size;) {
        char text[64];
        size_t length = 0;
        while (i < size && is_letter(bytes[i])) {
            assert_true(length < sizeof text - 1);
            text[length++] = (char)(bytes[i] >= 'a' ? bytes[i] : bytes[i] - 'A' + 'a');
            i++;
        }
        text[length] = '\0';
        if (length)
            plain_add(p, text);
        else
            i++;
    }
}

static uint64_t count_of(const struct tally *t, const char *text)
{
    for (size_t i = 0; i < t->words.count; i++) {
        const struct word *word = &t->words.items[i];
        if (word->length == strlen(text) && memcmp(word->text, text, word->length) == 0)
            return word->count;
    }
    return 0;
}

static void assert_same(const struct tally *t, const struct plain *p)
{
    assert_int_equal(t->total, p->total);
    assert_int_equal(t->words.count, p->count);
    for (size_t i = 0; i < p->count; i++)
        assert_int_equal(count_of(t, p->words[i].text), p->words[i].count);
}

/* ---- fixtures ---- */

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

/* Few letters, so that words repeat; and bytes of every other sort between them. */
static void random_text(uint8_t *bytes, size_t size, uint32_t seed)
{
    static const char letters[] = "abzABZ";
    for (size_t i = 0; i < size; i++)
        bytes[i] =
            next_random(&seed) % 3 ? (uint8_t)letters[next_random(&seed) % 6] : (uint8_t)next_random(&seed);
}

static int temporary_file(const void *bytes, size_t size)
{
    char path[] = "/tmp/yoke-words-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_return_code(unlink(path), errno);
    assert_int_equal(write(fd, bytes, size), size);
    return fd;
}

/* One result of a worker, as it would travel. */
static void hand_over(struct counter *c, struct tally *t, struct vocabulary *v)
{
    struct bytes packed = {NULL, 0, 0};
    assert_success(counter_take(c, &packed));
    assert_success(tally_add(t, v, packed.data, packed.size));
    bytes_free(&packed);
}

/* Counts a file in ranges of `step` bytes, each a result of its own; the last one is to the end. */
static void count_in_steps(struct tally *t, int fd, uint64_t size, uint64_t step)
{
    struct counter counter = {.touched = NULL};
    struct vocabulary vocabulary = {NULL, 0, 0};
    uint64_t all = 0;
    for (uint64_t from = 0; from < size; from += step) {
        uint64_t count = 0, to = from + step < size ? from + step : UINT64_MAX;
        assert_success(counter_read(&counter, fd, "text", from, to, &count));
        assert_int_equal(count, to == UINT64_MAX ? size - from : step);
        all += count;
        hand_over(&counter, t, &vocabulary);
    }
    assert_int_equal(all, size);
    counter_free(&counter);
    vocabulary_free(&vocabulary);
}

/* ---- counting ---- */

static void test_feed_in_every_piece_size(void **state)
{
    uint8_t text[600], copy[sizeof text + KEY_LETTERS];
    random_text(text, sizeof text, 7);
    struct plain plain = {.count = 0};
    plain_count(&plain, text, sizeof text);
    for (size_t piece = 1; piece <= sizeof text; piece++) {
        struct counter counter = {.touched = NULL};
        struct tally tally = {.total = 0};
        struct vocabulary vocabulary = {NULL, 0, 0};
        for (size_t at = 0; at < sizeof text; at += piece) {
            size_t size = piece < sizeof text - at ? piece : sizeof text - at;
            memcpy(copy, text + at, size);
            assert_success(counter_feed(&counter, copy, size));
        }
        assert_success(counter_end(&counter));
        hand_over(&counter, &tally, &vocabulary);
        assert_same(&tally, &plain);
        counter_free(&counter);
        vocabulary_free(&vocabulary);
        tally_free(&tally);
    }
}

static void test_ranges_of_every_size_count_each_word_once(void **state)
{
    uint8_t text[400];
    random_text(text, sizeof text, 11);
    struct plain plain = {.count = 0};
    plain_count(&plain, text, sizeof text);
    int fd = temporary_file(text, sizeof text);
    for (uint64_t step = 1; step <= sizeof text + 1; step++) {
        struct tally tally = {.total = 0};
        count_in_steps(&tally, fd, sizeof text, step);
        assert_same(&tally, &plain);
        tally_free(&tally);
    }
    close(fd);
}

static void test_long_word_across_ranges_and_blocks(void **state)
{
    size_t length = 1 << 20, size = length + 8;
    uint8_t *text = malloc(size);
    memset(text, 'X', size);
    memcpy(text, "a b ", 4);
    memcpy(text + size - 4, " a b", 4);
    int fd = temporary_file(text, size);
    free(text);
    for (uint64_t step = 65536 - 4; step < 2 * size; step = step * 3 + 1) {
        struct tally tally = {.total = 0};
        count_in_steps(&tally, fd, size, step);
        assert_int_equal(tally.total, 5);
        assert_int_equal(tally.words.count, 3);
        assert_int_equal(tally.words.items[2].length, length);
        assert_int_equal(tally.words.items[2].text[length - 1], 'x');
        tally_free(&tally);
    }
    close(fd);
}

static void test_word_that_is_too_long_is_an_error(void **state)
{
    int fd = temporary_file("", 0);
    size_t size = WORD_LONGEST + 1;
    char *text = malloc(size);
    memset(text, 'a', size);
    assert_int_equal(write(fd, text, size), size);
    free(text);
    struct counter counter = {.touched = NULL};
    uint64_t count;
    assert_error_text(counter_read(&counter, fd, "some\nfile", 0, UINT64_MAX, &count), &WORDCOUNT_INPUT,
                      "a word of more than 33554432 letters");
    counter_free(&counter);
    close(fd);
}

static void test_file_that_shrank_or_grew(void **state)
{
    int fd = temporary_file("one two", 7);
    struct counter counter = {.touched = NULL};
    uint64_t count = 99;
    assert_success(counter_read(&counter, fd, "f", 100, 200, &count));
    assert_int_equal(count, 0);
    assert_success(counter_read(&counter, fd, "f", 4, 200, &count));
    assert_int_equal(count, 3);
    assert_success(counter_read(&counter, fd, "f", 0, 2, &count));
    assert_int_equal(count, 2);
    assert_int_equal(counter.words.count, 2);
    counter_free(&counter);
    close(fd);
}

static void test_unreadable_names_the_file_and_the_reason(void **state)
{
    int fd = open("/", O_RDONLY | O_DIRECTORY);
    struct counter counter = {.touched = NULL};
    uint64_t count;
    assert_error_text(counter_read(&counter, fd, "bad\xff\n", 0, 10, &count), &WORDCOUNT_INPUT,
                      "cannot read bad\\xff\\x0a: Is a directory");
    counter_free(&counter);
    close(fd);
}

static unsigned found;

static yoke_error *found_word(const char *word)
{
    found++;
    return strcmp(word, "halt") == 0 ? yoke_raise(&YOKE_CLOSED, "enough") : NULL;
}

static void test_watched_word_is_told_once(void **state)
{
    char text[64] = "stopped Go non-stop go GO";
    struct counter counter = {.watched = "go", .found = found_word};
    found = 0;
    assert_success(counter_feed(&counter, (uint8_t *)text, strlen(text)));
    assert_success(counter_end(&counter));
    assert_int_equal(found, 1);
    struct bytes packed = {NULL, 0, 0};
    assert_success(counter_take(&counter, &packed));
    bytes_free(&packed);
    strcpy(text, "go and halt there");
    counter.watched = "halt";
    assert_error(counter_feed(&counter, (uint8_t *)text, strlen(text)), &YOKE_CLOSED);
    assert_int_equal(found, 2);
    counter_free(&counter);
}

/* ---- results ---- */

static void test_spelled_once_in_a_life(void **state)
{
    struct counter counter = {.touched = NULL};
    struct bytes packed = {NULL, 0, 0};
    char text[64] = "word word other.";
    assert_success(counter_feed(&counter, (uint8_t *)text, strlen(text)));
    assert_success(counter_take(&counter, &packed));
    assert_int_equal(packed.size, 1 + 5 + 6 + 1 + 4);
    packed.size = 0;
    char again[64] = "word.";
    assert_success(counter_feed(&counter, (uint8_t *)again, strlen(again)));
    assert_success(counter_take(&counter, &packed));
    assert_int_equal(packed.size, 4);
    assert_memory_equal(packed.data, "\0\1\0\1", 4);
    bytes_free(&packed);
    counter_free(&counter);
}

static void test_malformed_results(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {{"", 0},                                             /* nothing */
               {"\0", 1},                                           /* no second part */
               {"\1\5abc", 5},                                      /* a word beyond the end */
               {"\1\0\0", 3},                                       /* an empty word */
               {"\1\1a\1\1\1", 6},                                  /* a word that was never spelled */
               {"\1\1a\1\0", 5},                                    /* no count */
               {"\1\1a\1\0\1\0", 7},                                /* something behind */
               {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10},    /* over 64 bits */
               {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10},    /* a great many words */
               {"\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}}; /* a great many counts */
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct tally tally = {.total = 0};
        struct vocabulary vocabulary = {NULL, 0, 0};
        uint8_t *exact = malloc(bad[i].size + 1);
        memcpy(exact, bad[i].bytes, bad[i].size);
        assert_error(tally_add(&tally, &vocabulary, exact, bad[i].size), &WORDCOUNT_RESULT);
        free(exact);
        vocabulary_free(&vocabulary);
        tally_free(&tally);
    }
}

static void test_order(void **state)
{
    struct tally tally = {.total = 0};
    struct counter counter = {.touched = NULL};
    struct vocabulary vocabulary = {NULL, 0, 0};
    char text[64] = "b a ab b c c abc aa sameletterb sameletters sameletter";
    assert_success(counter_feed(&counter, (uint8_t *)text, strlen(text)));
    assert_success(counter_end(&counter));
    hand_over(&counter, &tally, &vocabulary);
    uint32_t *order = words_sorted(&tally.words);
    static const char *const expected[] = {"b",   "c",          "a",           "aa",         "ab",
                                           "abc", "sameletter", "sameletterb", "sameletters"};
    assert_int_equal(tally.words.count, 9);
    for (size_t i = 0; i < 9; i++) {
        const struct word *word = &tally.words.items[order[i]];
        assert_int_equal(word->length, strlen(expected[i]));
        assert_memory_equal(word->text, expected[i], word->length);
    }
    free(order);
    counter_free(&counter);
    vocabulary_free(&vocabulary);
    tally_free(&tally);
}

/* ---- files and chunks ---- */

static void make_file(const char *folder, const char *name, size_t size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_return_code(ftruncate(fd, (off_t)size), errno);
    close(fd);
}

static void make_link(const char *folder, const char *name, const char *target)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_return_code(symlink(target, path), errno);
}

static void make_folder(const char *folder, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_return_code(mkdir(path, 0700), errno);
}

static void remove_tree(const char *folder)
{
    char command[600];
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static yoke_error *list_folder(void *folder)
{
    struct files files = {.items = NULL};
    char path[600];
    snprintf(path, sizeof path, "%s/top", (const char *)folder);
    assert_success(files_add(&files, path));
    snprintf(path, sizeof path, "%s/top/b", (const char *)folder);
    assert_success(files_add(&files, path));
    assert_success(files_unique(&files));
    static const char *const expected[] = {"top/.hidden", "top/b", "top/deep/er/x", "top/linked"};
    assert_int_equal(files.count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(files.items[i].path + strlen(folder) + 1, expected[i]);
    assert_int_equal(files.bytes, 1 + 2 + 3 + 4);

    snprintf(path, sizeof path, "%s/missing", (const char *)folder);
    assert_error_text(files_add(&files, path), &WORDCOUNT_INPUT, "missing: No such file or directory");
    snprintf(path, sizeof path, "%s/top/nowhere", (const char *)folder);
    assert_error_text(files_add(&files, path), &WORDCOUNT_INPUT, "nowhere: No such file or directory");
    assert_error_text(files_add(&files, "/dev/null"), &WORDCOUNT_INPUT,
                      "/dev/null: it is neither a file nor a folder");
    files_free(&files);
    return NULL;
}

static void test_folders_are_walked(void **state)
{
    char folder[] = "/tmp/yoke-words-XXXXXX";
    assert_non_null(mkdtemp(folder));
    make_folder(folder, "top");
    make_folder(folder, "top/deep");
    make_folder(folder, "top/deep/er");
    make_folder(folder, "outside");
    make_file(folder, "top/.hidden", 1);
    make_file(folder, "top/b", 2);
    make_file(folder, "top/deep/er/x", 3);
    make_file(folder, "outside/y", 4);
    make_link(folder, "top/linked", "../outside/y");
    make_link(folder, "top/second-name", "b");
    make_link(folder, "top/nowhere", "not-there");
    make_link(folder, "top/folder", "../outside");
    make_link(folder, "top/loop", ".");
    char fifo[600];
    snprintf(fifo, sizeof fifo, "%s/top/fifo", folder);
    assert_return_code(mkfifo(fifo, 0600), errno);
    assert_success(yoke_run(list_folder, folder, NULL));
    remove_tree(folder);
}

static void test_chunks_hold_every_byte_once(void **state)
{
    struct file items[400];
    struct files files = {.items = items, .count = 400};
    uint32_t seed = 3;
    for (size_t i = 0; i < files.count; i++)
        items[i] = (struct file){.size = i % 5 ? next_random(&seed) % 3000 : i * 1000};
    struct plan plan = {.parts = NULL};
    assert_success(plan_make(&plan, &files, 10000));
    size_t next_part = 0;
    for (size_t i = 0; i < plan.chunk_count; i++) {
        assert_int_equal(plan.chunks[i].first, next_part);
        assert_in_range(plan.chunks[i].count, 1, 128);
        assert_in_range(plan.chunks[i].bytes, 0, 10000);
        next_part += plan.chunks[i].count;
    }
    assert_int_equal(next_part, plan.part_count);
    size_t part = 0;
    for (size_t i = 0; i < files.count; i++) {
        uint64_t at = 0;
        do {
            assert_ptr_equal(plan.parts[part].file, &items[i]);
            assert_int_equal(plan.parts[part].from, at);
            at = plan.parts[part++].to;
        } while (at != UINT64_MAX);
        assert_in_range(items[i].size - plan.parts[part - 1].from, 0, 10000);
    }
    assert_int_equal(part, plan.part_count);
    plan_free(&plan);
    assert_int_equal(plan_chunk_bytes(0, 1), 4096);
    assert_int_equal(plan_chunk_bytes(UINT64_MAX, 4), 1 << 20);
    assert_int_equal(plan_chunk_bytes(64 * 50000, 2), 50000);
}

/* ---- the bar ---- */

static void test_bar_fits_its_terminal(void **state)
{
    char text[512];
    for (int columns = 0; columns < 1000; columns++) {
        progress_text(text, sizeof text, columns, 25000000, 100000000, YOKE_S(1));
        assert_in_range(strlen(text), 0, columns > 0 ? columns - 1 : 511);
    }
    progress_text(text, sizeof text, 60, 25000000, 100000000, YOKE_S(1));
    assert_string_equal(text, "[######...................]  25%  25.0 of 100.0 MB  25 MB/s");
    progress_text(text, sizeof text, 60, 250000000, 100000000, 0);
    assert_string_equal(text, "[#########################] 100%  250.0 of 100.0 MB  0 MB/s");
}

HARNESS_MAIN(TEST(test_feed_in_every_piece_size), TEST(test_ranges_of_every_size_count_each_word_once),
             TEST(test_long_word_across_ranges_and_blocks), TEST(test_word_that_is_too_long_is_an_error),
             TEST(test_file_that_shrank_or_grew), TEST(test_unreadable_names_the_file_and_the_reason),
             TEST(test_watched_word_is_told_once), TEST(test_spelled_once_in_a_life),
             TEST(test_malformed_results), TEST(test_order), TEST(test_folders_are_walked),
             TEST(test_chunks_hold_every_byte_once), TEST(test_bar_fits_its_terminal))
