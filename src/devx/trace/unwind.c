#define UNW_LOCAL_ONLY
#include "devx/trace/unwind.h"

#include <libunwind.h>

size_t unwind_task(const yoke_task *task, uint64_t *pcs, size_t room)
{
    ucontext_t registers;
    unw_cursor_t cursor;
    unw_word_t pc, sp;
    switch_describe(&task->context, &registers);
    if (unw_init_local2(&cursor, (unw_context_t *)&registers, UNW_INIT_SIGNAL_FRAME) < 0)
        return 0;
    uintptr_t low = (uintptr_t)task->block, high = low + task->block_bytes;
    size_t count = 0;
    while (count < room) {
        if (unw_get_reg(&cursor, UNW_REG_IP, &pc) < 0 || unw_get_reg(&cursor, UNW_REG_SP, &sp) < 0)
            break;
        /* What an unwind table tells wrongly leads off the task's stack, sooner or later. */
        if (!pc || sp < low || sp > high)
            break;
        pcs[count] = pc - (count > 0);
        count++;
        if (unw_step(&cursor) <= 0)
            break;
    }
    return count;
}
