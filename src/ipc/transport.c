#include "ipc/transport.h"

#include <string.h>

static const struct transport *const transports[] = {&transport_uds, &transport_tcp};
enum { COUNT = sizeof transports / sizeof transports[0] };

const struct transport *transport_called(const char *name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(transports[i]->name, name) == 0)
            return transports[i];
    return NULL;
}

yoke_error *transport_of(const struct address *address, const struct transport **out)
{
    char text[ADDRESS_TEXT_BYTES];
    for (size_t i = 0; i < COUNT; i++) {
        *out = transports[i];
        if (transports[i]->kind == address->kind)
            return NULL;
    }
    address_print(address, text);
    return yoke_raise(&YOKE_USAGE, "%s: no transport of this kind", text);
}
