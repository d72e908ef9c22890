/* The recorded frames of real peers, one after the other. */
#ifndef TESTS_MSG_FRAMES_H
#define TESTS_MSG_FRAMES_H

#include "harness.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

struct frames {
    glob_t files;
};

struct frame {
    const char *file;
    uint8_t *bytes; /* with the length */
    size_t size;
};

static inline void frames_open(struct frames *f)
{
    assert_int_equal(glob("frames/*.frame", 0, NULL, &f->files), 0);
    assert_true(f->files.gl_pathc >= 484);
}

static inline void frames_close(struct frames *f)
{
    globfree(&f->files);
}

/* The frame's bytes end where their memory ends, so that a sanitizer sees what is read behind them. */
static inline struct frame frame_load(const struct frames *f, size_t i)
{
    struct frame frame = {f->files.gl_pathv[i], NULL, 0};
    FILE *file = fopen(frame.file, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    frame.size = (size_t)ftell(file);
    rewind(file);
    frame.bytes = malloc(frame.size);
    assert_non_null(frame.bytes);
    assert_int_equal(fread(frame.bytes, 1, frame.size, file), frame.size);
    fclose(file);
    return frame;
}

static inline void frame_free(struct frame *frame)
{
    free(frame->bytes);
}

#endif
