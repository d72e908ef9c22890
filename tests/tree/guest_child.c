/* The program that plugins/guest.c starts in place of the one that it is loaded in. */
#include "doubling.h"

YOKE_MODULE(guest, YOKE_CALL(twice, number, number));

static yoke_error *app(int argc, char **argv)
{
    return yoke_raise(&YOKE_USAGE, "this program is a child alone");
}
YOKE_MAIN(app)
