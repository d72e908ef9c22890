/* A file that the actors of a test's tree write to, a line at a time: what happened where no value comes
 * back. */
#ifndef TESTS_TREE_TOLD_H
#define TESTS_TREE_TOLD_H

#include "tree.h"

static char told[] = "/tmp/yoke-test-XXXXXX";
static char told_text[4096];

/* Any actor: one line more. */
TREE_UNUSED static void tell_in(const char *path, const char *line)
{
    char text[300];
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    int size = snprintf(text, sizeof text, "%s\n", line);
    if (fd < 0 || write(fd, text, (size_t)size) != size)
        abort();
    close(fd);
}

/* Any task: waits till `text` was told. Checkpoint. */
TREE_UNUSED static yoke_error *wait_till_told(const char *path, const char *text)
{
    for (;;) {
        char all[4096];
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = read(fd, all, sizeof all - 1);
        close(fd);
        all[n > 0 ? n : 0] = '\0';
        if (strstr(all, text))
            return NULL;
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    }
}

/* The test: the file is there and empty from here on; what is in it; and it is gone. */
TREE_UNUSED static void told_begin(void)
{
    memcpy(strrchr(told, '-') + 1, "XXXXXX", 6);
    close(mkstemp(told));
}

TREE_UNUSED static const char *told_read(void)
{
    int fd = open(told, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, told_text, sizeof told_text - 1);
    told_text[n > 0 ? n : 0] = '\0';
    close(fd);
    return told_text;
}

TREE_UNUSED static const char *told_end(void)
{
    told_read();
    unlink(told);
    return told_text;
}

TREE_UNUSED static int lines_of(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

#endif
