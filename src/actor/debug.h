/* What the environment's YOKE_DEBUG says. */
#ifndef ACTOR_DEBUG_H
#define ACTOR_DEBUG_H

#include <yoke/base.h>

/* What debug mode does beyond pauses and one prompt for what goes wrong, where it does. */
enum debug_word {
    DEBUG_RAISE = 1,  /* an error of the program's stops where it is raised */
    DEBUG_LEVELS = 2, /* a relayed one stops in each nursery that it leaves, too */
    DEBUG_FREEZE = 4, /* clocks stand still while somebody is at a prompt */
    DEBUG_DIRECT = 8, /* what is printed goes to the terminal itself, also then */
};

struct debug {
    bool on;
    unsigned words; /* of enum debug_word, or'ed */
};

/* `text`: "0", "1", or words, separated by commas, which turn it on; NULL and "": as `otherwise` says.
 * YOKE_USAGE names a word that is none. */
YOKE_MUST_USE yoke_error *debug_parse(struct debug *out, const char *text, bool otherwise);
/* The same for the environment's. */
YOKE_MUST_USE yoke_error *debug_from_environment(struct debug *out, bool otherwise);

#endif
