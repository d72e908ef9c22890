"""A tree at the debugger's prompt: who stands there is not cancelled before it is left.

Usage: test_pause_tree.py PROGRAM    (tests/devx/pause_tree.c, built)
"""

import os
import shutil
import sys
import tempfile
import time

import pexpect

PROGRAM = sys.argv[1]
PROMPT = r"\(yoke: left/ends:stop\) "
LIMIT = 120


def test_canc_22_cancel_waits_for_the_prompt():
    env = dict(os.environ, TERM="dumb", NO_COLOR="1", HOME="/nonexistent", INPUTRC="/dev/null",
               YOKE_DEBUG="direct")
    env.pop("DEBUGINFOD_URLS", None)
    with tempfile.TemporaryDirectory() as folder:
        sign = os.path.join(folder, "sign")
        p = pexpect.spawn(PROGRAM, [sign], env=env, timeout=LIMIT, encoding="utf-8", dimensions=(50, 200))
        p.expect(PROMPT)
        open(sign, "w").close()
        p.expect("root: cancels")
        time.sleep(1.5)  # all of its bounds are over
        p.sendline("print 40 + 2")
        p.expect("= 42")
        p.expect(PROMPT)
        assert "root:" not in p.before and "SIG" not in p.before, p.before
        p.sendline("continue")
        p.expect("left: out of the prompt")
        p.expect("left: cancelled")
        p.expect("root: 0 left")
        p.expect(pexpect.EOF)
        p.close()
        assert p.exitstatus == 0, p.before


def main():
    print("1..1")
    if not shutil.which("gdb"):
        print("Bail out! there is no gdb")
        return
    try:
        test_canc_22_cancel_waits_for_the_prompt()
        print("ok 1 - test_canc_22_cancel_waits_for_the_prompt")
    except (AssertionError, pexpect.ExceptionPexpect, OSError) as e:
        print("not ok 1 - test_canc_22_cancel_waits_for_the_prompt")
        print("\n".join("# " + line for line in str(e).splitlines()), flush=True)


main()
