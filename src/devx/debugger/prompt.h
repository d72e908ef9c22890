/* What gdb does at an actor's prompt (devx/debugger/prompt.py), as a text for its Python. */
#ifndef DEVX_PROMPT_H
#define DEVX_PROMPT_H

/* Python, which defines begin(). Ends with a zero. */
extern const char devx_gdb_prompt[];

#endif
