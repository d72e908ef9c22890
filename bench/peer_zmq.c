#include "peer_zmq.h"

#ifdef HAVE_ZMQ
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>

/* An abstract socket, which leaves no file; of the process that binds it. */
static void name_of(pid_t pid, char name[64])
{
    snprintf(name, 64, "ipc://@yoke-bench-%d", (int)pid);
}

bool peer_zmq_is_there(void)
{
    return true;
}

static void sink(int fd, void *arg)
{
    const struct peer_zmq *work = arg;
    char name[64], *data = malloc(work->bytes);
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_PAIR);
    name_of(getppid(), name);
    measure_must(data && zmq_connect(socket, name) == 0 && zmq_send(socket, "", 1, 0) == 1, "zmq_connect");
    for (size_t i = 0; i < work->count; i++)
        measure_must(zmq_recv(socket, data, work->bytes, 0) == (int)work->bytes, "zmq_recv");
    measure_must(zmq_send(socket, "", 1, 0) == 1, "zmq_send");
    zmq_close(socket);
    zmq_ctx_term(context);
    free(data);
}

static double send_all(void *socket, const struct peer_zmq *work)
{
    char word;
    measure_must(zmq_recv(socket, &word, 1, 0) == 1, "zmq_recv"); /* the connection stands */
    double begun = measure_now_ns();
    for (size_t i = 0; i < work->count; i++)
        measure_must(zmq_send(socket, work->content, work->bytes, 0) == (int)work->bytes, "zmq_send");
    measure_must(zmq_recv(socket, &word, 1, 0) == 1, "zmq_recv");
    return (measure_now_ns() - begun) / (double)work->count;
}

double peer_zmq_stream(const unsigned cores[2], void *arg)
{
    char name[64];
    pid_t pid;
    measure_pin(cores[0]);
    name_of(getpid(), name);
    int fd = measure_peer(sink, cores[1], arg, &pid);
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_PAIR);
    measure_must(zmq_bind(socket, name) == 0, "zmq_bind");
    double ns = send_all(socket, arg);
    zmq_close(socket);
    zmq_ctx_term(context);
    measure_peer_ended(fd, pid);
    return ns;
}
#else
#include <math.h>

bool peer_zmq_is_there(void)
{
    return false;
}

double peer_zmq_stream(const unsigned cores[2], void *arg)
{
    (void)cores;
    (void)arg;
    return (double)NAN;
}
#endif
