#include "actor/program.h"

#include <string.h>
#include <unistd.h>

static struct {
    bool taken;
    char *argv[2]; /* the first word of its command line, which is the process' for all its life */
    const struct actor_hooks *hooks;
    const struct actor *actor; /* atomic: threads may each have a run */
    char last[sizeof(yoke_uid)];
} program;

void program_take(char **argv, const struct actor_hooks *hooks)
{
    program.taken = true;
    program.argv[0] = argv[0];
    program.hooks = hooks;
}

bool program_can_be_child(void)
{
    return program.taken;
}

char **program_argv(void)
{
    return program.argv;
}

const struct actor_hooks *program_hooks(void)
{
    return program.hooks;
}

yoke_error *program_actor_begins(const struct actor *a)
{
    const struct actor *there = NULL;
    if (__atomic_compare_exchange_n(&program.actor, &there, a, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return NULL;
    char address[ADDRESS_TEXT_BYTES];
    address_print(&there->root, address);
    return yoke_raise(
        &YOKE_USAGE,
        "a process can be one actor: this one (pid %d) is actor `%s` already, of the tree whose root, "
        "the registrar, is reached at %s",
        (int)getpid(), there->uid.name, address[0] ? address : "no address");
}

void program_actor_ends(const struct actor *a)
{
    strcpy(program.last, a->uid.name);
    __atomic_store_n(&program.actor, NULL, __ATOMIC_SEQ_CST);
}

const char *program_last_actor(void)
{
    return program.last;
}
