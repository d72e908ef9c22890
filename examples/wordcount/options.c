/*
 * The command line, read by getopt_long, so that it behaves as that of other GNU programs: long options can
 * be shortened, operands and options can be mixed, `--` ends the options.
 */
#include "options.h"

#include "files.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS_MOST 1024u

static void print_help(const char *program)
{
    printf("Usage: %s [OPTION]... [FILE OR FOLDER]...\n"
           "Counts the words of files with a tree of processes: one worker a core, supervised by this one.\n"
           "A word is a longest run of ASCII letters, lower-cased.\n"
           "\n"
           "Folders are walked, hidden files too; links to folders are not followed there. Each file is\n"
           "counted once, however many names lead to it. Without a name, these folders are counted,\n"
           "without what is compressed or a picture there:\n",
           program);
    for (const char *const *path = files_default; *path; path++)
        printf("  %s\n", *path);
    fputs("\n"
          "      --workers=N        start N workers (default: the number of cores available)\n"
          "      --top=N            show the N most frequent words (default: 20; 0: all)\n"
          "      --json             print one JSON object instead of a table\n"
          "      --backend=BACKEND  how workers are started: exec (default) or fork\n"
          "      --crash-after=N    let worker-1 take a real SIGSEGV when it has counted N chunks;\n"
          "                           a worker that replaces it does not crash\n"
          "      --retry=N          replace dead workers, N times in all; their unfinished chunks are\n"
          "                           counted again, each exactly once in the result (default: 0)\n"
          "      --pause-at=WORD    let each worker stop in the debugger at the first WORD it counts;\n"
          "                           no progress is shown then\n"
          "      --help             display this help and exit\n"
          "      --version          output version information and exit\n"
          "\n"
          "Exit status: 0 if all was counted, 1 if a worker failed, 2 for a bad command line or a file\n"
          "that cannot be read, 130 after ctrl-c.\n",
          stdout);
}

static enum options_outcome try_help(const char *program)
{
    fprintf(stderr, "Try '%s --help' for more information.\n", program);
    return OPTIONS_BAD;
}

static bool read_number(const char *program, const char *name, const char *text, uint64_t least,
                        uint64_t most, uint64_t *number)
{
    char *end;
    errno = 0;
    unsigned long long read = strtoull(text, &end, 10);
    bool is_number = text[0] >= '0' && text[0] <= '9' && !*end;
    if (is_number && !errno && read >= least && read <= most) {
        *number = read;
        return true;
    }
    if (!is_number)
        fprintf(stderr, "%s: invalid argument '%s' for '--%s': not a number\n", program, text, name);
    else if (errno || read > most)
        fprintf(stderr, "%s: invalid argument '%s' for '--%s': more than %llu\n", program, text, name,
                (unsigned long long)most);
    else
        fprintf(stderr, "%s: invalid argument '%s' for '--%s': less than %llu\n", program, text, name,
                (unsigned long long)least);
    return false;
}

static bool read_backend(const char *program, const char *text, enum yoke_backend *backend)
{
    if (strcmp(text, "exec") == 0)
        *backend = YOKE_BACKEND_EXEC;
    else if (strcmp(text, "fork") == 0)
        *backend = YOKE_BACKEND_FORK;
    else {
        fprintf(stderr, "%s: invalid argument '%s' for '--backend'\nValid arguments are: 'exec', 'fork'\n",
                program, text);
        return false;
    }
    return true;
}

static bool read_word(const char *program, const char *text, char **word)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    char *copy = length && !text[length] ? strdup(text) : NULL;
    if (!copy) {
        fprintf(stderr, "%s: invalid argument '%s' for '--pause-at': a word is made of ASCII letters\n",
                program, text);
        return false;
    }
    for (size_t i = 0; i < length; i++)
        copy[i] |= 0x20;
    free(*word);
    *word = copy;
    return true;
}

static unsigned cores_available(void)
{
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) < 0)
        return 1; /* more cores than the set has bits */
    return (unsigned)CPU_COUNT(&cores);
}

enum { WORKERS = 256, TOP, JSON, BACKEND, CRASH_AFTER, RETRY, PAUSE_AT, HELP, VERSION };

static const struct option long_options[] = {{"workers", required_argument, NULL, WORKERS},
                                             {"top", required_argument, NULL, TOP},
                                             {"json", no_argument, NULL, JSON},
                                             {"backend", required_argument, NULL, BACKEND},
                                             {"crash-after", required_argument, NULL, CRASH_AFTER},
                                             {"retry", required_argument, NULL, RETRY},
                                             {"pause-at", required_argument, NULL, PAUSE_AT},
                                             {"help", no_argument, NULL, HELP},
                                             {"version", no_argument, NULL, VERSION},
                                             {NULL, 0, NULL, 0}};

/* Takes one option with its argument; false: it was said what is wrong. */
static bool take_option(struct options *o, const char *program, int option, const char *argument)
{
    uint64_t number = 0;
    switch (option) {
    case WORKERS:
        if (!read_number(program, "workers", argument, 1, WORKERS_MOST, &number))
            return false;
        o->workers = (unsigned)number;
        return true;
    case TOP:
        return read_number(program, "top", argument, 0, UINT64_MAX, &o->top);
    case JSON:
        o->json = true;
        return true;
    case BACKEND:
        return read_backend(program, argument, &o->backend);
    case CRASH_AFTER:
        return read_number(program, "crash-after", argument, 1, UINT64_MAX, &o->crash_after);
    case RETRY:
        if (!read_number(program, "retry", argument, 0, UINT32_MAX, &number))
            return false;
        o->retry = (unsigned)number;
        return true;
    case PAUSE_AT:
        return read_word(program, argument, &o->pause_at);
    default:
        return false; /* getopt has said it */
    }
}

enum options_outcome options_read(struct options *options, int argc, char **argv)
{
    const char *program = argc ? argv[0] : "wordcount";
    *options = (struct options){.workers = cores_available(), .top = 20};
    optind = 0; /* from the start, also when this is not the first time */
    for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        if (option == HELP) {
            print_help(program);
            return OPTIONS_DONE;
        }
        if (option == VERSION) {
            puts("wordcount (yoke) " WORDCOUNT_VERSION);
            return OPTIONS_DONE;
        }
        if (!take_option(options, program, option, optarg))
            return try_help(program);
    }
    options->paths = argv + optind;
    options->path_count = (size_t)(argc - optind);
    return OPTIONS_RUN;
}

void options_free(struct options *options)
{
    free(options->pause_at);
    options->pause_at = NULL;
}
