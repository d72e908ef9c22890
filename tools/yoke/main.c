/* The command `yoke`. */
#include "debug.h"
#include "dump.h"
#include "processes.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATUS_FAILED = 1, STATUS_USAGE = 2, DEPTH_MAX = 64, NAME_COLUMN = 32 };

static const char usage[] =
    "Usage: yoke COMMAND\n"
    "Looks at trees of actors.\n"
    "\n"
    "  ps         show the trees that run on this machine\n"
    "  dump PID   show what the tasks of an actor, and of those below it, are doing\n"
    "    --json     as one line of JSON\n"
    "  debug PID, debug CORE, debug PROGRAM CORE\n"
    "             gdb on an actor or on a core file, with its commands for tasks: see `help yoke` there\n"
    "\n"
    "  --help     this text\n"
    "  --version  the version\n"
    "\n"
    "Exit status: 0; 1 if something failed; 2 for a command line that makes no sense.\n";

/* ---- ps ---- */

static const char *state_text(char state)
{
    switch (state) {
    case 'R':
        return "runs";
    case 'S':
    case 'I':
        return "sleeps";
    case 'D':
        return "waits";
    case 'T':
        return "stopped";
    case 't':
        return "traced";
    case 'Z':
    case 'X':
        return "dead";
    default:
        return "?";
    }
}

/* Columns as a terminal counts them: continuation bytes of UTF-8 take none. */
static int columns(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void print_line(const char *branches, const struct process *p)
{
    printf("%s%s", branches, p->role == ROLE_ZYGOTE ? "(zygote)" : p->name);
    int used = columns(branches) + columns(p->role == ROLE_ZYGOTE ? "(zygote)" : p->name);
    printf("%*s %8d  %-7s %8.2f s %7.1f MB\n", used < NAME_COLUMN ? NAME_COLUMN - used : 0, "", (int)p->pid,
           state_text(p->state), p->cpu_s, (double)p->rss_bytes / 1e6);
}

static const struct process *next_child(const struct processes *all, pid_t parent,
                                        const struct process *after)
{
    for (const struct process *p = after ? after + 1 : all->items; p < all->items + all->count; p++)
        if (p->parent == parent && p->role != ROLE_ROOT)
            return p;
    return NULL;
}

/* `branches` is the drawing to the left of the children's names; it is lengthened in place. */
static void print_children(const struct processes *all, pid_t parent, char *branches, unsigned depth)
{
    size_t size = strlen(branches);
    const struct process *p = next_child(all, parent, NULL), *next;
    for (; p; p = next) {
        next = next_child(all, parent, p);
        strcpy(branches + size, next ? "├─ " : "└─ ");
        print_line(branches, p);
        strcpy(branches + size, next ? "│  " : "   ");
        if (depth < DEPTH_MAX)
            print_children(all, p->pid, branches, depth + 1);
        branches[size] = '\0';
    }
}

static int ps(void)
{
    struct processes all;
    if (!processes_read(&all)) {
        fprintf(stderr, "yoke: /proc can't be read: %s\n", strerror(errno));
        return STATUS_FAILED;
    }
    if (!all.count)
        printf("no trees of actors\n");
    else
        printf("%-*s %8s  %-7s %10s %10s\n", NAME_COLUMN, "ACTOR", "PID", "STATE", "CPU", "MEMORY");
    char branches[(DEPTH_MAX + 2) * 8] = "";
    for (size_t i = 0; i < all.count; i++) {
        if (all.items[i].role != ROLE_ROOT)
            continue;
        print_line("", &all.items[i]);
        print_children(&all, all.items[i].pid, branches, 0);
    }
    processes_free(&all);
    return 0;
}

/* ---- the command line ---- */

static int misuse(const char *what, const char *word)
{
    fprintf(stderr, "yoke: %s%s%s%s\nTry 'yoke --help' for more information.\n", what, *word ? " '" : "",
            word, *word ? "'" : "");
    return STATUS_USAGE;
}

static int dump_command(int count, char **words)
{
    bool json = count && strcmp(words[0], "--json") == 0;
    if (!json && count == 2 && strcmp(words[1], "--json") == 0) {
        json = true;
        count = 1;
    } else if (json) {
        words++;
        count--;
    }
    if (!count)
        return misuse("dump wants the id of a process", "");
    if (count > 1)
        return misuse("dump takes no", words[1]);
    return dump(words[0], json);
}

static int debug_command(int count, char **words)
{
    if (!count)
        return misuse("debug wants the id of a process, or a core file", "");
    if (count > 2)
        return misuse("debug takes no", words[2]);
    return debug(count, words);
}

static int command(int count, char **words)
{
    if (!count)
        return misuse("a command is missing", "");
    if (strcmp(words[0], "dump") == 0)
        return dump_command(count - 1, words + 1);
    if (strcmp(words[0], "debug") == 0)
        return debug_command(count - 1, words + 1);
    if (strcmp(words[0], "ps") != 0)
        return misuse("there is no command", words[0]);
    if (count > 1)
        return misuse("ps takes no", words[1]);
    return ps();
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'v'}, {0}};
    int option;
    while ((option = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (option == 'v') {
            puts("yoke " YOKE_VERSION);
            return 0;
        }
        fputs("Try 'yoke --help' for more information.\n", stderr);
        return STATUS_USAGE;
    }
    int status = command(argc - optind, argv + optind);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    perror("yoke: standard output");
    return STATUS_FAILED;
}
