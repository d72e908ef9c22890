#include "ipc/address.h"

#include "msg/pack.h"
#include "msg/utf8.h"

#include <arpa/inet.h>
#include <string.h>

/* ---- texts ---- */

/* What is read of a text, and where the reading stands. */
struct reading {
    const char *text, *at;
};

static yoke_error *refuse(const struct reading *r, const char *what)
{
    return yoke_raise(&YOKE_USAGE, "`%s` is no address: %s at column %zu", r->text, what,
                      (size_t)(r->at - r->text) + 1);
}

static bool take(struct reading *r, const char *word)
{
    size_t size = strlen(word);
    if (strncmp(r->at, word, size) != 0)
        return false;
    r->at += size;
    return true;
}

static yoke_error *read_path(struct reading *r, struct address *a)
{
    size_t size = strlen(r->at);
    if (*r->at != '/')
        return refuse(r, size ? "a path that is not absolute" : "no path");
    if (!r->at[1])
        return refuse(r, "no path");
    if (size >= sizeof a->path)
        return yoke_raise(&YOKE_USAGE, "`%s` is no address: its path has %zu bytes, at most %zu are allowed",
                          r->text, size, sizeof a->path - 1);
    a->kind = ADDRESS_UDS;
    memcpy(a->path, r->at, size + 1);
    return NULL;
}

static yoke_error *read_port(struct reading *r, struct address *a)
{
    unsigned long port = 0;
    const char *begin = r->at;
    for (; *r->at >= '0' && *r->at <= '9' && port <= UINT16_MAX; r->at++)
        port = port * 10 + (unsigned long)(*r->at - '0');
    if (port > UINT16_MAX || r->at == begin) {
        r->at = begin;
        return refuse(r, port ? "a port over 65535" : "no port");
    }
    if (*r->at)
        return refuse(r, "more than an address");
    a->kind = ADDRESS_TCP;
    a->port = (uint16_t)port;
    return NULL;
}

static yoke_error *keep_host(struct reading *r, struct address *a, size_t size)
{
    if (!size || size >= sizeof a->host)
        return refuse(r, size ? "a host's name of more than 255 bytes" : "no host");
    memcpy(a->host, r->at, size);
    a->host[size] = '\0';
    return NULL;
}

/* host:port, the host in brackets if it has colons. */
static yoke_error *read_host_and_port(struct reading *r, struct address *a)
{
    bool bracketed = take(r, "[");
    size_t size = strcspn(r->at, bracketed ? "]" : ":/[]");
    YOKE_TRY(keep_host(r, a, size));
    struct in6_addr v6;
    if (bracketed && inet_pton(AF_INET6, a->host, &v6) != 1)
        return refuse(r, "no IPv6 address");
    r->at += size;
    if (bracketed && !take(r, "]"))
        return refuse(r, "no closing bracket");
    if (!take(r, ":"))
        return refuse(r, *r->at ? "more than a host" : "no port");
    return read_port(r, a);
}

/* What stands behind /ip4/ or /ip6/. */
static yoke_error *read_multiaddress(struct reading *r, struct address *a, int family)
{
    struct in6_addr any;
    size_t size = strcspn(r->at, "/");
    YOKE_TRY(keep_host(r, a, size));
    if (inet_pton(family, a->host, &any) != 1)
        return refuse(r, family == AF_INET ? "no IPv4 address" : "no IPv6 address");
    r->at += size;
    if (!*r->at)
        return refuse(r, "no port");
    if (!take(r, "/tcp/"))
        return refuse(r, "a protocol that is not supported");
    return read_port(r, a);
}

yoke_error *address_parse(struct address *a, const char *text)
{
    struct reading r = {text, text};
    memset(a, 0, sizeof *a);
    if (!text)
        return yoke_raise(&YOKE_USAGE, "no address");
    if (take(&r, "unix:") || take(&r, "uds://"))
        return read_path(&r, a);
    if (take(&r, "tcp://") || take(&r, "tcp:"))
        return read_host_and_port(&r, a);
    if (take(&r, "/ip4/"))
        return read_multiaddress(&r, a, AF_INET);
    if (take(&r, "/ip6/"))
        return read_multiaddress(&r, a, AF_INET6);
    if (take(&r, "/unix")) /* its path begins with the slash that follows */
        return read_path(&r, a);
    return refuse(&r, "a protocol that is not supported");
}

void address_print(const struct address *a, char text[ADDRESS_TEXT_BYTES])
{
    if (a->kind == ADDRESS_UDS)
        snprintf(text, ADDRESS_TEXT_BYTES, "unix:%s", a->path);
    else if (a->kind == ADDRESS_TCP)
        snprintf(text, ADDRESS_TEXT_BYTES, strchr(a->host, ':') ? "tcp:[%s]:%u" : "tcp:%s:%u", a->host,
                 (unsigned)a->port);
    else
        snprintf(text, ADDRESS_TEXT_BYTES, "none");
}

bool address_equal(const struct address *a, const struct address *b)
{
    if (a->kind != b->kind)
        return false;
    return a->kind == ADDRESS_TCP ? a->port == b->port && strcmp(a->host, b->host) == 0
                                  : strcmp(a->path, b->path) == 0;
}

bool address_is_loopback(const struct address *a)
{
    return strncmp(a->host, "127.", 4) == 0 || strcmp(a->host, "::1") == 0 ||
           strcmp(a->host, "localhost") == 0;
}

struct address address_from_here(const struct address *a)
{
    struct address from_here = *a;
    struct in6_addr v6;
    if (a->kind == ADDRESS_TCP && strcmp(a->host, "0.0.0.0") == 0)
        strcpy(from_here.host, "127.0.0.1");
    if (a->kind == ADDRESS_TCP && inet_pton(AF_INET6, a->host, &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6))
        strcpy(from_here.host, "::1");
    return from_here;
}

/* ---- pairs ---- */

bool address_pack(struct buffer *out, const struct address *a)
{
    struct pack p;
    pack_begin(&p, out, SIZE_MAX);
    msgpack_pack_array(&p.packer, 2);
    if (a->kind == ADDRESS_UDS) {
        const char *file = strrchr(a->path, '/') + 1;
        size_t directory = (size_t)(file - a->path) - 1;
        pack_text(&p, a->path, directory ? directory : 1);
        pack_text(&p, file, strlen(file));
    } else {
        pack_text(&p, a->host, strlen(a->host));
        pack_int(&p, a->port);
    }
    if (p.fault == PACK_FINE)
        return true;
    pack_undo(&p);
    return false;
}

static yoke_error *no_pair(const char *what)
{
    return yoke_raise(&YOKE_MSG_TYPE, "an address: %s", what);
}

static bool is_text(const struct token *t)
{
    return t->type == TOKEN_STR && utf8_valid((const char *)t->bytes, t->size) &&
           !memchr(t->bytes, 0, t->size);
}

static yoke_error *unpack_file(struct address *a, const struct token *directory, const struct token *file)
{
    if (!directory->size || directory->bytes[0] != '/' || !file->size || memchr(file->bytes, '/', file->size))
        return no_pair("expected an absolute directory and the name of a file in it");
    bool at_root = directory->size == 1;
    if (directory->size + file->size + 2 > sizeof a->path)
        return no_pair("a path that is too long for a socket");
    a->kind = ADDRESS_UDS;
    snprintf(a->path, sizeof a->path, "%.*s%s%.*s", (int)directory->size, (const char *)directory->bytes,
             at_root ? "" : "/", (int)file->size, (const char *)file->bytes);
    return NULL;
}

static yoke_error *unpack_host(struct address *a, const struct token *host, uint64_t port)
{
    struct in6_addr any;
    if (!host->size || host->size >= sizeof a->host || port > UINT16_MAX)
        return no_pair("expected a host and a port");
    memcpy(a->host, host->bytes, host->size);
    a->host[host->size] = '\0';
    if (inet_pton(AF_INET, a->host, &any) != 1 && inet_pton(AF_INET6, a->host, &any) != 1)
        return no_pair("the host is no literal address");
    a->kind = ADDRESS_TCP;
    a->port = (uint16_t)port;
    return NULL;
}

yoke_error *address_unpack(struct address *a, struct cursor *c)
{
    struct token pair, first, second;
    memset(a, 0, sizeof *a);
    if (cursor_next(c, &pair) || pair.type != TOKEN_ARRAY || pair.count != 2 || cursor_next(c, &first) ||
        !is_text(&first) || cursor_next(c, &second))
        return no_pair("expected a pair");
    if (second.type == TOKEN_UINT)
        return unpack_host(a, &first, second.uint);
    return is_text(&second) ? unpack_file(a, &first, &second) : no_pair("expected a pair");
}

/* ---- an actor's own ---- */

/* FNV-1a (Fowler, Noll, Vo) in 64 bits, begun with `basis`. */
static uint64_t fnv(uint64_t basis, const char *text)
{
    for (; *text; text++)
        basis = (basis ^ (uint8_t)*text) * 0x100000001b3u;
    return basis;
}

yoke_error *address_of_actor(struct address *a, const char *directory, const char *name, pid_t pid)
{
    memset(a, 0, sizeof *a); /* none yet */
    char file[sizeof a->path];
    int size = snprintf(file, sizeof file, "%s@%d.sock", name, (int)pid);
    if (strlen(directory) + 1 + (size_t)size >= sizeof a->path || strchr(name, '/') || name[0] == '.')
        size = snprintf(file, sizeof file, "actor.%016llx%016llx@%d.sock",
                        (unsigned long long)fnv(0xcbf29ce484222325u, name),
                        (unsigned long long)fnv(0x6c62272e07bb0142u, name), (int)pid);
    size_t at = strlen(directory), needed = at + 1 + (size_t)size;
    if (needed >= sizeof a->path)
        return yoke_raise(&YOKE_USAGE,
                          "the directory %s is too deep for a socket: a path of %zu bytes, at most %zu",
                          directory, needed, sizeof a->path - 1);
    a->kind = ADDRESS_UDS;
    memcpy(a->path, directory, at);
    a->path[at] = '/';
    memcpy(a->path + at + 1, file, (size_t)size + 1);
    return NULL;
}
