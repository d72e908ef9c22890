/*
 * Where an actor listens. Text forms:
 *     unix:/path   uds:///path   /unix/path                          a socket file
 *     tcp:host:port   tcp://host:port   tcp:[::1]:port   /ip4/1.2.3.4/tcp/80   /ip6/::1/tcp/80
 * The first of each is what is printed. On the wire it is a pair: [directory, file name] or [host, port].
 */
#ifndef IPC_ADDRESS_H
#define IPC_ADDRESS_H

#include "base/buffer.h"
#include "msg/cursor.h"

#include <yoke/msg.h>

#include <sys/types.h>

enum address_kind { ADDRESS_NONE, ADDRESS_UDS, ADDRESS_TCP };

enum {
    ADDRESS_PATH_BYTES = 108, /* of sockaddr_un, its zero included */
    ADDRESS_HOST_BYTES = 256,
    ADDRESS_TEXT_BYTES = 272
};

struct address {
    enum address_kind kind;
    char path[ADDRESS_PATH_BYTES]; /* uds: absolute */
    char host[ADDRESS_HOST_BYTES]; /* tcp: a literal IPv4 or IPv6 address, or (from a text alone) a name */
    uint16_t port;
};

/* YOKE_USAGE that says at which column what is wrong. */
YOKE_MUST_USE yoke_error *address_parse(struct address *address, const char *text);
void address_print(const struct address *address, char text[ADDRESS_TEXT_BYTES]);
bool address_equal(const struct address *a, const struct address *b);
/* Of a tcp address: does it never leave this host? */
bool address_is_loopback(const struct address *address);
/* Of one that listens: where this host connects to it. "Any address" is none to connect to. */
struct address address_from_here(const struct address *address);
/* Appends the pair; false without memory. */
bool address_pack(struct buffer *out, const struct address *address);
/* Reads one pair of a peer's. YOKE_MSG_TYPE: it is none, or one that nobody can connect to. */
YOKE_MUST_USE yoke_error *address_unpack(struct address *address, struct cursor *c);
/*
 * The socket file of actor `name` in process `pid`: NAME@PID.sock in `directory`; a name that does not fit a
 * socket's path, or a file's name, is compacted to actor.HEX@PID.sock, always in the same way. YOKE_USAGE:
 * the directory's path is so long that not even this fits.
 */
YOKE_MUST_USE yoke_error *address_of_actor(struct address *address, const char *directory, const char *name,
                                           pid_t pid);

#endif
