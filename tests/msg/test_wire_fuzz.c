/* Recorded frames, broken by a seeded generator: none may do more than be refused. What is accepted must be
 * stable. */
#include "msg/frames.h"
#include "msg/wire.h"

#define MUTATIONS 10000

static uint64_t random_state;

/* Marsaglia's xorshift64 (Xorshift RNGs, 2003). */
static size_t below(size_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state % bound);
}

/* The bytes whose meaning reaches furthest: heads of containers and of long texts. */
static const uint8_t nasty[] = {0x00, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xc7, 0xc9,
                                0xca, 0xcb, 0xcf, 0xd3, 0xd8, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff};

static void mutate(uint8_t *body, size_t *size)
{
    size_t at = below(*size), count = 1 + below(8);
    switch (below(5)) {
    case 0:
        body[at] ^= (uint8_t)(1u << below(8));
        break;
    case 1:
        body[at] = nasty[below(sizeof nasty)];
        break;
    case 2:
        *size = at + 1;
        break;
    case 3: /* a piece is taken out */
        if (count > *size - at - 1)
            count = *size - at - 1;
        memmove(body + at, body + at + count, *size - at - count);
        *size -= count;
        break;
    default: /* a piece is written over another */
        if (count > *size - at)
            count = *size - at;
        memmove(body + at, body + below(*size - count + 1), count);
    }
}

/* What is accepted is written in our form, and that form decodes to itself. */
static void check_stable(const struct msg *m)
{
    struct buffer once = BUFFER_EMPTY, twice = BUFFER_EMPTY;
    struct msg back;
    yoke_error *e = msg_encode(&once, m, &msg_limits_default);
    if (e) {
        assert_error(e, &YOKE_USAGE);
        return;
    }
    assert_success(msg_decode(buffer_begin(&once) + 4, buffer_size(&once) - 4, &msg_limits_default, &back));
    assert_success(msg_encode(&twice, &back, &msg_limits_default));
    assert_int_equal(buffer_size(&once), buffer_size(&twice));
    assert_memory_equal(buffer_begin(&once), buffer_begin(&twice), buffer_size(&once));
    buffer_free(&once);
    buffer_free(&twice);
}

static void test_mutated_frames(void **state)
{
    struct frames frames;
    size_t accepted = 0;
    random_state = 0x796f6b65; /* the seed */
    frames_open(&frames);
    for (unsigned i = 0; i < MUTATIONS; i++) {
        struct frame frame = frame_load(&frames, below(frames.files.gl_pathc));
        size_t size = frame.size - 4;
        for (size_t n = 1 + below(3); n > 0; n--)
            mutate(frame.bytes + 4, &size);
        uint8_t *body = malloc(size);
        memcpy(body, frame.bytes + 4, size);
        struct msg m;
        yoke_error *e = msg_decode(body, size, &msg_limits_default, &m);
        if (e)
            assert_error(e, &YOKE_PROTOCOL);
        else
            check_stable(&m);
        accepted += e == NULL;
        free(body);
        frame_free(&frame);
    }
    frames_close(&frames);
    /* Both ways were walked often. */
    assert_true(accepted > MUTATIONS / 20);
    assert_true(accepted < MUTATIONS - MUTATIONS / 20);
}

HARNESS_MAIN(TEST(test_mutated_frames))
