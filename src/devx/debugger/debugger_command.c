#include "devx/debugger/debugger_command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static yoke_error *split(struct debugger_command *c, const char *text)
{
    if (strlen(text) >= sizeof c->text)
        return yoke_raise(&YOKE_USAGE, "YOKE_DEBUGGER is longer than %d bytes", COMMAND_BYTES - 1);
    strcpy(c->text, text);
    char *rest = c->text;
    c->count = 0;
    for (char *word; (word = strsep(&rest, " \t"));) {
        if (!*word)
            continue;
        if (c->count == COMMAND_WORDS)
            return yoke_raise(&YOKE_USAGE, "YOKE_DEBUGGER has more than %d words", COMMAND_WORDS);
        c->words[c->count++] = word;
    }
    c->words[c->count] = NULL;
    return NULL;
}

static bool is_program(struct debugger_command *c, const char *folder, int length, const char *name)
{
    int n = snprintf(c->program, sizeof c->program, "%.*s%s%s", length, folder, length ? "/" : "", name);
    return n < (int)sizeof c->program && access(c->program, X_OK) == 0;
}

static bool search(struct debugger_command *c, const char *name)
{
    if (strchr(name, '/'))
        return is_program(c, "", 0, name);
    const char *at = getenv("PATH");
    while (at && *at) {
        size_t length = strcspn(at, ":");
        if (length && is_program(c, at, (int)length, name))
            return true;
        at += length + (at[length] == ':');
    }
    return false;
}

yoke_error *debugger_command_find(struct debugger_command *c, const char *text)
{
    YOKE_TRY(split(c, text ? text : ""));
    bool is_ours = !c->count;
    if (is_ours)
        YOKE_TRY(split(c, debugger_gdb.name));
    c->kind = debugger_kind_of(c->words[0]);
    if (search(c, c->words[0]))
        return NULL;
    const char *name = c->kind->name, *package = c->kind->package;
    return is_ours ? yoke_raise(&YOKE_NOT_FOUND, "no %s in PATH: it is in %s", name, package)
                   : yoke_raise(&YOKE_NOT_FOUND, "YOKE_DEBUGGER: there is no `%s`%s; %s is in %s",
                                c->words[0], strchr(c->words[0], '/') ? "" : " in PATH", name, package);
}
