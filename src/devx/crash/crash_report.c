/* The report in the pipe: the most important sections first, since it may be cut anywhere. */
#include "devx/crash/crash_report.h"

#include "devx/trace/maps.h"
#include "devx/trace/registers.h"
#include "task/stack_info.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { LINES_BYTES = 4096 };

static void write_all(struct crash *c, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size && !c->silent) {
        ssize_t n = write(c->fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            c->silent = true;
            return;
        }
        at += n;
        size -= (size_t)n;
    }
}

static void write_section(struct crash *c, enum report_tag tag, const void *payload, size_t bytes)
{
    struct report_section section = {.magic = REPORT_MAGIC, .tag = tag, .bytes = (uint32_t)bytes};
    write_all(c, &section, sizeof section);
    write_all(c, payload, bytes);
}

struct report_head crash_head(const struct crash *c)
{
    struct report_head head = {
        .version = REPORT_VERSION,
        .signal = c->info.si_signo,
        .code = c->info.si_code,
        .pid = getpid(),
        .tid = c->tid,
        .sender = c->info.si_code <= 0 ? c->info.si_pid : 0,
        .address = c->info.si_code > 0 ? (uint64_t)(uintptr_t)c->info.si_addr : 0,
        .pc = c->pc,
        .sp = c->sp,
    };
    prctl(PR_GET_NAME, head.thread);
    return head;
}

void crash_report_head(struct crash *c)
{
    struct report_head head = crash_head(c);
    write_section(c, REPORT_HEAD, &head, sizeof head);
}

void crash_report_task(struct crash *c)
{
    if (c->stack.kind)
        write_section(c, REPORT_STACK, &c->stack, sizeof c->stack);
    if (c->has_task)
        write_section(c, REPORT_TASK, &c->task, sizeof c->task);
}

void crash_report_registers(struct crash *c)
{
    uint64_t values[REGISTERS_MAX];
    if (c->registers)
        write_section(c, REPORT_REGISTERS, values, registers_read(values, c->context) * sizeof *values);
}

void crash_report_frames(struct crash *c)
{
    const struct report_frames *frames = &c->trace.frames;
    size_t count = trace_gather(&c->trace);
    write_section(c, REPORT_FRAMES, frames, sizeof frames->total + count * sizeof frames->pc[0]);
}

void crash_report_text(struct crash *c)
{
    const struct abort_message *m = c->abort_message ? *c->abort_message : NULL;
    if (m && c->info.si_signo == SIGABRT)
        write_section(c, REPORT_TEXT, m->text, strnlen(m->text, REPORT_TEXT_MAX - 1));
}

void crash_report_spawns(struct crash *c)
{
    static struct task_spawn chain[REPORT_SPAWNS_MAX];
    static struct report_spawn spawns[REPORT_SPAWNS_MAX];
    size_t count = task_spawn_chain(chain, REPORT_SPAWNS_MAX);
    for (size_t i = 0; i < count; i++) {
        spawns[i].line = chain[i].line;
        memcpy(spawns[i].task, chain[i].task, strnlen(chain[i].task, sizeof spawns[i].task - 1));
        memcpy(spawns[i].file, chain[i].file, strnlen(chain[i].file, sizeof spawns[i].file - 1));
    }
    if (count)
        write_section(c, REPORT_SPAWNS, spawns, count * sizeof spawns[0]);
}

/* Files alone: a program with a million stacks has too many other mappings. */
void crash_report_maps(struct crash *c)
{
    static struct maps maps;
    static char lines[LINES_BYTES];
    size_t used = 0;
    maps.fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (maps.fd < 0)
        return;
    for (const char *line; (line = maps_line(&maps));) {
        if (!strchr(line, '/') && !strstr(line, "[vdso]"))
            continue;
        size_t length = strlen(line);
        if (used + length + 1 > sizeof lines) {
            write_section(c, REPORT_MAPS, lines, used);
            used = 0;
        }
        memcpy(lines + used, line, length);
        lines[used + length] = '\n';
        used += length + 1;
    }
    write_section(c, REPORT_MAPS, lines, used);
}

void crash_report_wait(struct crash *c, const struct report_wait *wait)
{
    write_section(c, REPORT_WAITS, wait, sizeof *wait);
}
