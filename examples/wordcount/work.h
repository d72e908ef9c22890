/* What the root and its workers say to each other, in the stream of the context `wordcount:count`. */
#ifndef WORDCOUNT_WORK_H
#define WORDCOUNT_WORK_H

#include <yoke/actor.h>

/* The context's arguments. crash_after: chunks, 0: never. pause_at: lower-case, "": nowhere. */
YOKE_RECORD(work_orders, (u64, crash_after), (str, pause_at))

/* Down: one chunk. Paths travel as bytes: a file's name need not be UTF-8. `to` UINT64_MAX: to the end of the
 * file. */
YOKE_RECORD(work_part, (bytes, path), (u64, from), (u64, to))
YOKE_RECORD(work_chunk, (u64, number), (list, work_part, parts))

/* Up: its result, whole. `packed` as counter_take makes it. */
YOKE_RECORD(work_counts, (u64, number), (u64, bytes), (bytes, packed))

#endif
