#include "harness.h"

int harness_before(void **state)
{
    return 0;
}

int harness_after(void **state)
{
    return 0;
}
