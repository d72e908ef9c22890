/* Names and UUIDs of actors. */
#include "msg/uid.h"

#include "base/die.h"
#include "msg/utf8.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define NAME_BYTES (sizeof((yoke_uid *)0)->name - 1)
#define UUID_BYTES (sizeof((yoke_uid *)0)->uuid - 1)

bool yoke_uid_equal(const yoke_uid *a, const yoke_uid *b)
{
    return a && b && strcmp(a->name, b->name) == 0 && strcmp(a->uuid, b->uuid) == 0;
}

static void draw(uint8_t *bytes, size_t count)
{
    ssize_t got;
    do {
        got = getrandom(bytes, count, 0);
    } while (got < 0 && errno == EINTR);
    /* Up to 256 bytes come whole or not at all (getrandom(2)); without them no actor could be told from
     * another. */
    if (got != (ssize_t)count)
        die("getrandom: %s", strerror(errno));
}

static void make_uuid(char *text)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[16];
    draw(bytes, sizeof bytes);
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40); /* version 4 */
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80); /* variant 10 */
    for (size_t i = 0; i < sizeof bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *text++ = '-';
        *text++ = digits[bytes[i] >> 4];
        *text++ = digits[bytes[i] & 0x0f];
    }
    *text = 0;
}

/* The cut is between two characters, or the peer would get broken UTF-8. */
static size_t cut(const char *name)
{
    size_t size = strnlen(name, NAME_BYTES + 1);
    if (size <= NAME_BYTES)
        return size;
    size = NAME_BYTES;
    while (size > 0 && ((uint8_t)name[size] & 0xc0) == 0x80)
        size--;
    return size;
}

void uid_make(yoke_uid *uid, const char *name)
{
    memset(uid, 0, sizeof *uid);
    memcpy(uid->name, name, cut(name));
    make_uuid(uid->uuid);
}

struct uid_view uid_view(const yoke_uid *uid)
{
    return (struct uid_view){text_view(uid->name), text_view(uid->uuid)};
}

static yoke_error *copy_part(char *to, size_t room, struct text_view text, const char *what)
{
    if (!text.data)
        return yoke_raise(&YOKE_PROTOCOL, "an actor's %s: nil", what);
    if (text.size > room)
        return yoke_raise(&YOKE_PROTOCOL, "an actor's %s: %zu bytes, at most %zu are allowed", what,
                          text.size, room);
    if (!utf8_valid(text.data, text.size) || memchr(text.data, 0, text.size))
        return yoke_raise(&YOKE_PROTOCOL, "an actor's %s: a zero byte, or no UTF-8", what);
    memcpy(to, text.data, text.size);
    return NULL;
}

yoke_error *uid_from_view(yoke_uid *uid, struct uid_view view)
{
    memset(uid, 0, sizeof *uid);
    YOKE_TRY(copy_part(uid->name, NAME_BYTES, view.name, "name"));
    return copy_part(uid->uuid, UUID_BYTES, view.uuid, "uuid");
}

yoke_error *uid_check_name(const char *name)
{
    if (!name || !*name)
        return yoke_raise(&YOKE_USAGE, "an actor needs a name");
    size_t size = strlen(name);
    if (size > NAME_BYTES)
        return yoke_raise(&YOKE_USAGE, "an actor's name of %zu bytes: at most %zu are allowed", size,
                          NAME_BYTES);
    for (size_t at = 0; at < size;) {
        uint32_t code;
        size_t length = utf8_next(name + at, size - at, &code);
        if (length == 0)
            return yoke_raise(&YOKE_USAGE, "an actor's name: no UTF-8 at byte %zu", at);
        if (code == '/' || utf8_is_control(code))
            return yoke_raise(&YOKE_USAGE, "an actor's name: %s at byte %zu",
                              code == '/' ? "'/'" : "a control character", at);
        at += length;
    }
    return NULL;
}
