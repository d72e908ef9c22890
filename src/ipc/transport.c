#include "ipc/transport.h"

static const struct transport *const transports[] = {&transport_uds};

yoke_error *transport_of(const struct address *address, const struct transport **out)
{
    char text[ADDRESS_TEXT_BYTES];
    for (size_t i = 0; i < sizeof transports / sizeof transports[0]; i++) {
        *out = transports[i];
        if (transports[i]->kind == address->kind)
            return NULL;
    }
    address_print(address, text);
    return yoke_raise(&YOKE_USAGE, "%s: no transport of this kind", text);
}
