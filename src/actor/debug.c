#include "actor/debug.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *text;
    unsigned word;
} words[] = {{"1", 0},
             {"raise", DEBUG_RAISE},
             {"levels", DEBUG_LEVELS},
             {"freeze", DEBUG_FREEZE},
             {"direct", DEBUG_DIRECT}};
enum { WORDS = sizeof words / sizeof *words };

static yoke_error *take_word(struct debug *out, const char *text, size_t size)
{
    for (size_t i = 0; i < WORDS; i++)
        if (strlen(words[i].text) == size && memcmp(words[i].text, text, size) == 0) {
            out->words |= words[i].word;
            return NULL;
        }
    return yoke_raise(
        &YOKE_USAGE,
        "YOKE_DEBUG: `%.*s` is no word of it: it can be 0, or 1, raise, levels, freeze and direct, "
        "separated by commas",
        (int)size, text);
}

yoke_error *debug_parse(struct debug *out, const char *text, bool otherwise)
{
    *out = (struct debug){.on = otherwise};
    if (!text || !*text)
        return NULL;
    out->on = strcmp(text, "0") != 0;
    for (const char *at = text; out->on;) {
        size_t size = strcspn(at, ",");
        YOKE_TRY(take_word(out, at, size));
        if (!at[size])
            return NULL;
        at += size + 1;
    }
    return NULL;
}

yoke_error *debug_from_environment(struct debug *out, bool otherwise)
{
    return debug_parse(out, getenv("YOKE_DEBUG"), otherwise);
}
