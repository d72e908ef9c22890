/* The breakpoints that have names, and which of them the environment's YOKE_BREAK names. */
#ifndef DEVX_BREAKPOINT_H
#define DEVX_BREAKPOINT_H

/* This actor ends: the log says (at level `info`) which of those it has never come to. */
void breakpoint_tell_unused(void);

#endif
