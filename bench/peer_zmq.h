/* A one-way stream of ZeroMQ between two processes, over `ipc://` and a pair of PAIR sockets, where the
 * library is installed. */
#ifndef BENCH_PEER_ZMQ_H
#define BENCH_PEER_ZMQ_H

#include <stdbool.h>
#include <stddef.h>

#define PEER_ZMQ "libzmq3-dev"

struct peer_zmq {
    size_t bytes, count; /* of a message; of messages */
    const void *content;
};

bool peer_zmq_is_there(void);
/*
 * For measure_plain, with a struct peer_zmq: ns a message, to the reader's word that it has all. Each process
 * and ZeroMQ's own thread in it are on that process' core. Its limits are ZeroMQ's: 1000 messages wait at
 * each side.
 */
double peer_zmq_stream(const unsigned cores[2], void *arg);

#endif
