/*
 * What tasks are measured beside, where it is installed: a jump of Boost.Context, and a Go program
 * (peers.go), which does the works that it is asked for in a process of its own. A missing peer's figure is
 * NAN.
 */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#define PEERS_FCONTEXT "libboost-context-dev"
#define PEERS_GO       "golang-go"

/* ns of a jump there and back, over `pairs` of them. */
double peers_fcontext_pair(unsigned pairs);
/*
 * ns an item of `work` (see peers.go), over `count` items. Blocks the thread meanwhile. The environment's
 * YOKE_BENCH_GO is the program; it is started by the first call, on the core that the caller is pinned to,
 * and ends with this one. Ends the process where the peer fails.
 */
double peers_go(const char *work, unsigned count);

#endif
