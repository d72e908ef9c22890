/*
 * The actor is asked by a signal with a value, and connects to a socket of ours that is named after both
 * (devx/dump/dump.h). One that does not is looked at from outside.
 */
#include "dump.h"

#include "devx/dump/dump.h"
#include "devx/dump/dump_text.h"
#include "devx/dump/silent.h"
#include "devx/trace/aside.h"
#include "processes.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* An actor connects at once; what it has to say may take long. */
enum { PATIENCE_MS = 1000, STATUS_FAILED = 1 };

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "yoke: %s%s%s\n", what, *why ? ": " : "", why);
    return STATUS_FAILED;
}

/* ---- whom it may be asked of ---- */

/* The signal would end a process that does not expect it. */
static bool expects_signal(pid_t pid)
{
    char path[64], line[256];
    unsigned long long caught = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f) && sscanf(line, "SigCgt: %llx", &caught) != 1)
        ;
    if (f)
        fclose(f);
    return caught >> (SIGUSR1 - 1) & 1;
}

/* Its name among the actors of this machine; false if it is none of a tree that can be seen. */
static bool name_of(pid_t pid, char name[17])
{
    struct processes all;
    bool found = false;
    strcpy(name, "?");
    if (!processes_read(&all))
        return false;
    for (size_t i = 0; i < all.count; i++)
        if (all.items[i].pid == pid && all.items[i].role != ROLE_ZYGOTE) {
            strcpy(name, all.items[i].name);
            found = true;
        }
    processes_free(&all);
    return found;
}

/* A root without children can't be told from another program: if it expects the signal, it is asked. */
static const char *refusal(pid_t pid)
{
    char name[17];
    if (kill(pid, 0) < 0)
        return strerror(errno);
    if (!expects_signal(pid))
        return name_of(pid, name) ? "its dumps are turned off"
                                  : "it is no actor, or its dumps are turned off";
    return NULL;
}

/* ---- asking ---- */

static int open_socket(int value)
{
    struct sockaddr_un address;
    socklen_t size = dump_address(&address, getpid(), value);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, 4) == 0)
        return fd;
    close(fd);
    return -1;
}

static int new_value(bool json)
{
    unsigned random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (unsigned)getpid();
    return (int)(DUMP_ASKED | (random & 0xfffffe) | (json ? DUMP_JSON : 0));
}

/* The connection of process `pid`, and of nobody else; -1: it did not come. */
static int accept_from(int listener, pid_t pid, int patience_ms)
{
    struct pollfd p = {.fd = listener, .events = POLLIN};
    while (poll(&p, 1, patience_ms) == 1) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        struct ucred peer;
        socklen_t size = sizeof peer;
        if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == pid)
            return fd;
        if (fd >= 0)
            close(fd);
    }
    return -1;
}

static int copy_out(int fd)
{
    static char bytes[65536];
    ssize_t n;
    while ((n = read(fd, bytes, sizeof bytes)) > 0)
        if (fwrite(bytes, 1, (size_t)n, stdout) != (size_t)n)
            return STATUS_FAILED; /* main tells that standard output is broken */
    return n < 0 ? fail("reading the dump", strerror(errno)) : 0;
}

/* ---- one that does not answer ---- */

struct outside {
    pid_t pid;
    bool json;
    char name[17];
    struct buffer lines, out;
    bool fine;
};

static void look(void *arg)
{
    struct outside *o = arg;
    const struct dump_actor actor = {.name = o->name, .uuid = "", .path = "", .pid = o->pid};
    o->fine =
        silent_describe(&o->lines, o->pid) && buffer_append(&o->lines, "", 1) &&
        dump_write_silent(&o->out, &actor, "it does not answer", (char *)buffer_begin(&o->lines), o->json);
}

static int look_from_outside(pid_t pid, bool json)
{
    struct outside o = {.pid = pid, .json = json, .lines = BUFFER_EMPTY, .out = BUFFER_EMPTY};
    name_of(pid, o.name);
    int error = aside_wait(look, &o);
    if (!error && o.fine)
        fwrite(buffer_begin(&o.out), 1, buffer_size(&o.out), stdout);
    if (json)
        putchar('\n');
    buffer_free(&o.lines);
    buffer_free(&o.out);
    return error || !o.fine
               ? fail("looking at a process that does not answer", strerror(error ? error : ENOMEM))
               : STATUS_FAILED;
}

/* ---- the command ---- */

static int ask(pid_t pid, int listener, int value)
{
    if (sigqueue(pid, SIGUSR1, (union sigval){.sival_int = value}) < 0)
        return fail("asking for a dump", strerror(errno));
    int fd = accept_from(listener, pid, PATIENCE_MS);
    if (fd < 0)
        return look_from_outside(pid, value & DUMP_JSON);
    int status = copy_out(fd);
    if (value & DUMP_JSON)
        putchar('\n');
    close(fd);
    return status;
}

int dump(const char *text, bool json)
{
    char *end;
    long pid = strtol(text, &end, 10);
    if (pid <= 0 || *end || (pid_t)pid != pid)
        return fail("no process id", text);
    const char *why = refusal((pid_t)pid);
    if (why) {
        char what[64];
        snprintf(what, sizeof what, "process %ld", pid);
        return fail(what, why);
    }
    int value = new_value(json);
    int listener = open_socket(value);
    if (listener < 0)
        return fail("a socket for the dump", strerror(errno));
    int status = ask((pid_t)pid, listener, value);
    close(listener);
    return status;
}
