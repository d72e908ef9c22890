/* The root's side: a worker actor for each core, fed with chunks, replaced when it dies. */
#ifndef WORDCOUNT_TEAM_H
#define WORDCOUNT_TEAM_H

#include "options.h"
#include "plan.h"
#include "report.h"
#include "words.h"

struct team_result {
    struct tally tally;
    uint64_t bytes;    /* that were really read */
    unsigned replaced; /* workers */
};

/*
 * Counts every chunk of the plan exactly once. Starts options->workers actors; returns when each of them is
 * reaped. Without a replacement left, the first failure cancels them all. Checkpoint. The result is to be
 * freed (tally_free), also after an error.
 */
YOKE_MUST_USE yoke_error *team_count(const struct options *options, const struct plan *plan,
                                     struct progress *progress, struct team_result *result);

#endif
