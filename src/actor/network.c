#include "actor/network.h"

#include "ipc/channel.h"
#include "msg/uid.h"
#include "msg/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { SECRET_LEAST = 16 };

void network_init(struct network *n)
{
    *n = (struct network){.transport = &transport_uds, .lost_bound = NETWORK_LOST_BOUND};
    yoke_uid random[2]; /* 122 bits of randomness each */
    uid_make(&random[0], "");
    uid_make(&random[1], "");
    snprintf(n->secret, sizeof n->secret, "%s%s", random[0].uuid, random[1].uuid);
}

/* What the environment says, else the option. */
static const char *decided(const char *variable, const char *option)
{
    const char *value = getenv(variable);
    return value && *value ? value : option;
}

static yoke_error *decide_transport(struct network *n, const char *name)
{
    if (!name)
        return NULL;
    const struct transport *transport = transport_called(name);
    if (!transport)
        return yoke_raise(&YOKE_USAGE, "transport (or YOKE_TRANSPORT) is `%s`: it can be uds or tcp", name);
    n->transport = transport;
    return NULL;
}

/* The root is the registrar: where it is reached is where the tree's actors are, or nobody finds both. */
static yoke_error *decide_listen(struct network *n, struct address *listen, const char *transport,
                                 const char *text)
{
    const struct transport *of_address;
    *listen = (struct address){.kind = ADDRESS_NONE};
    if (!text)
        return NULL;
    YOKE_TRY(address_parse(listen, text));
    YOKE_TRY(transport_of(listen, &of_address));
    if (transport && of_address != n->transport)
        return yoke_raise(
            &YOKE_USAGE,
            "transport (or YOKE_TRANSPORT) and listen (or YOKE_LISTEN) contradict: `%s` is no address of "
            "%s",
            text, transport);
    n->transport = of_address;
    return NULL;
}

static yoke_error *decide_secret(struct network *n, const char *secret)
{
    size_t size = secret ? strlen(secret) : 0;
    if (!secret)
        return NULL;
    if (size < SECRET_LEAST || size >= sizeof n->secret || !utf8_valid(secret, size))
        return yoke_raise(&YOKE_USAGE,
                          "secret (or YOKE_SECRET): %zu bytes; it is a text (UTF-8) of %d to %zu bytes", size,
                          SECRET_LEAST, sizeof n->secret - 1);
    memcpy(n->secret, secret, size + 1);
    return NULL;
}

static yoke_error *decide_lost_bound(struct network *n, int64_t bound)
{
    const char *text = decided("YOKE_LOST_MS", NULL);
    char *end = NULL;
    if (text)
        bound = YOKE_MS(strtol(text, &end, 10));
    if ((end && *end) || (bound && (bound < NETWORK_LOST_LEAST || bound > YOKE_S(86400))))
        return yoke_raise(&YOKE_USAGE, "lost_bound (or YOKE_LOST_MS): `%s`: it can be 2 s to a day",
                          text ? text : "of the options");
    if (bound)
        n->lost_bound = bound;
    return NULL;
}

yoke_error *network_configure(struct network *n, struct address *listen, const yoke_root_options *options)
{
    static const yoke_root_options defaults;
    const yoke_root_options *o = options ? options : &defaults;
    struct network decision = *n;
    const char *transport = decided("YOKE_TRANSPORT", o->transport);
    const char *strangers = decided("YOKE_STRANGERS", o->let_strangers_in > 0 ? "1" : "0");
    YOKE_TRY(decide_transport(&decision, transport));
    YOKE_TRY(decide_listen(&decision, listen, transport, decided("YOKE_LISTEN", o->listen)));
    YOKE_TRY(decide_secret(&decision, decided("YOKE_SECRET", o->secret)));
    YOKE_TRY(decide_lost_bound(&decision, o->lost_bound));
    decision.lets_strangers_in = strcmp(strangers, "0") != 0;
    *n = decision;
    return NULL;
}

void network_prepare(const struct network *n, const struct channel *c)
{
    if (c->transport->set_lost_bound)
        c->transport->set_lost_bound(c->fd, n->lost_bound);
}
