#include "peers.h"

#include "measure.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- Boost.Context ---- */

#ifdef HAVE_BOOST_CONTEXT
typedef void *fcontext_t;
typedef struct transfer {
    fcontext_t from;
    void *data;
} transfer_t;
/* C symbols of libboost_context. */
extern transfer_t jump_fcontext(fcontext_t to, void *data);
extern fcontext_t make_fcontext(void *top, size_t size, void (*fn)(transfer_t));

static void jump_back(transfer_t t)
{
    for (;;)
        t = jump_fcontext(t.from, NULL);
}

double peers_fcontext_pair(unsigned pairs)
{
    static char stack[64 << 10] __attribute__((aligned(4096)));
    transfer_t t = {.from = make_fcontext(stack + sizeof stack, sizeof stack, jump_back)};
    t = jump_fcontext(t.from, NULL);
    double begun = measure_now_ns();
    for (unsigned i = 0; i < pairs; i++)
        t = jump_fcontext(t.from, NULL);
    return (measure_now_ns() - begun) / pairs;
}
#else
double peers_fcontext_pair(unsigned pairs)
{
    (void)pairs;
    return (double)NAN;
}
#endif

/* ---- Go ---- */

static FILE *asked, *answered;

/* Its standard input ends with this process, and it with that. */
static void start_go(const char *program)
{
    int questions[2], answers[2];
    measure_must(pipe2(questions, O_CLOEXEC) == 0 && pipe2(answers, O_CLOEXEC) == 0, "pipe2");
    pid_t pid = fork();
    measure_must(pid >= 0, "fork");
    if (pid == 0) {
        dup2(questions[0], 0);
        dup2(answers[1], 1);
        execl(program, program, (char *)NULL);
        measure_must(0, program);
    }
    close(questions[0]);
    close(answers[1]);
    asked = fdopen(questions[1], "w");
    answered = fdopen(answers[0], "r");
    measure_must(asked && answered, "fdopen");
}

double peers_go(const char *work, unsigned count)
{
    const char *program = getenv("YOKE_BENCH_GO");
    if (!program)
        return (double)NAN;
    if (!asked)
        start_go(program);
    double ns;
    measure_must(fprintf(asked, "%s %u\n", work, count) > 0 && fflush(asked) == 0, "asking the Go program");
    measure_must(fscanf(answered, "%lf", &ns) == 1, "the Go program's answer");
    return ns;
}
