/* The processes of this machine that belong to trees of actors, read from /proc (proc(5)). */
#ifndef TOOLS_YOKE_PROCESSES_H
#define TOOLS_YOKE_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum role { ROLE_NONE, ROLE_ROOT, ROLE_ACTOR, ROLE_ZYGOTE };

struct process {
    pid_t pid, parent;
    enum role role;
    char name[17];
    char state;
    double cpu_s;       /* processor time used */
    uint64_t rss_bytes; /* resident memory */
};

struct processes {
    struct process *items;
    size_t count;
};

/* All members of all trees, by process id; of other users' processes too, as far as /proc shows them. False
 * (errno) if /proc can't be read. */
bool processes_read(struct processes *out);
void processes_free(struct processes *p);

#endif
