#include "devx/trace/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

const char *maps_line(struct maps *m)
{
    for (;;) {
        char *line = m->text + m->next;
        char *end = memchr(line, '\n', m->used - m->next);
        if (end) {
            *end = '\0';
            m->next = (size_t)(end + 1 - m->text);
            return line;
        }
        memmove(m->text, line, m->used - m->next);
        m->used -= m->next;
        m->next = 0;
        if (m->used == sizeof m->text)
            m->used = 0;
        ssize_t n = read(m->fd, m->text + m->used, sizeof m->text - m->used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return NULL;
        m->used += (size_t)n;
    }
}

static const char *hex(const char *at, uint64_t *value)
{
    *value = 0;
    for (;; at++) {
        unsigned digit = (unsigned)*at - '0', letter = (unsigned)*at - 'a';
        if (digit > 9 && letter > 5)
            return at;
        *value = *value << 4 | (digit <= 9 ? digit : letter + 10);
    }
}

/* "low-high perms offset device inode   path" */
bool maps_parse(const char *line, uint64_t *low, uint64_t *high, uint64_t *offset, const char **path)
{
    const char *at = hex(line, low);
    if (*at != '-')
        return false;
    at = hex(at + 1, high);
    if (strnlen(at, 6) < 6)
        return false;
    at = hex(at + 6, offset);
    *path = strchr(at, '/');
    if (!*path)
        *path = strchr(at, '[');
    return *path != NULL;
}

bool maps_has(uint64_t pc, const char *file)
{
    static struct maps maps;
    memset(&maps, 0, sizeof maps);
    maps.fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    uint64_t low, high, offset;
    const char *path;
    bool found = false;
    for (const char *text; maps.fd >= 0 && !found && (text = maps_line(&maps));)
        found = maps_parse(text, &low, &high, &offset, &path) && pc >= low && pc < high &&
                strcmp(path, file) == 0;
    close(maps.fd);
    return found;
}
