/*
 * For gdb (LD_PRELOAD) on a processor whose extended registers are more than it knows: it reads the part that
 * it knows, and may not write that alone, so that it can't call functions in any process (gdb 13, and AMX).
 * The rest is put behind it.
 */
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { WHOLE_BYTES = 64 << 10 };

typedef long (*ptrace_fn)(int request, pid_t pid, void *address, void *data);

static long set_whole(ptrace_fn real, pid_t pid, void *address, const struct iovec *part)
{
    static char bytes[WHOLE_BYTES];
    struct iovec whole = {bytes, sizeof bytes};
    if (real(PTRACE_GETREGSET, pid, address, &whole) < 0 || whole.iov_len < part->iov_len)
        return real(PTRACE_SETREGSET, pid, address, (void *)part);
    memcpy(bytes, part->iov_base, part->iov_len);
    return real(PTRACE_SETREGSET, pid, address, &whole);
}

__attribute__((visibility("default"))) long ptrace(enum __ptrace_request request, ...)
{
    va_list args;
    va_start(args, request);
    pid_t pid = va_arg(args, pid_t);
    void *address = va_arg(args, void *), *data = va_arg(args, void *);
    va_end(args);
    ptrace_fn real = (ptrace_fn)dlsym(RTLD_NEXT, "ptrace");
    if (request == PTRACE_SETREGSET && (unsigned long)address == NT_X86_XSTATE)
        return set_whole(real, pid, address, data);
    return real(request, pid, address, data);
}
