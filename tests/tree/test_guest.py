#!/usr/bin/env python3
"""The runtime in a program that is not built for it: this Python, through a shared object.

Usage: test_guest.py GUEST CHILD    (tests/tree/plugins/guest.c and tests/tree/guest_child.c, built). Prints TAP.
"""

import ctypes
import os
import sys

import processes
from trees import check, tap, Failure

GUEST = ctypes.CDLL(os.path.abspath(sys.argv[1]))
GUEST.guest_run.restype = ctypes.c_char_p
CHILD = os.path.abspath(sys.argv[2])


def run(child):
    """What went wrong in the runtime, or an empty text; no process is left of it."""
    text = GUEST.guest_run(child and child.encode())
    check(not processes.children(os.getpid()), "a child is left")
    return (text or b"").decode()


def with_backend(backend, fn):
    os.environ["YOKE_BACKEND"] = backend
    try:
        fn()
    except Failure as e:
        return str(e)
    return None


def test_spawn_25_user_s_binary_as_library_user():
    said = run(None)
    check("[Usage]" in said and "YOKE_MAIN(app)" in said and ".command" in said, f"without a command: {said}")
    check(not run(CHILD), "with a command there is an error")
    said = run("/no/such/program") # and all is as good as before
    check("[SpawnFailed]" in said and "/no/such/program" in said, f"with a wrong command: {said}")
    check(not run(CHILD), "with a command there is an error, the second time")


def with_each_backend(fn):
    return [(f"{fn.__name__}_{b}", lambda b=b: with_backend(b, fn)) for b in ("exec", "fork")]


sys.exit(tap(with_each_backend(test_spawn_25_user_s_binary_as_library_user)))
