"""A person at the debugger's prompt: a real gdb, in a real terminal (a pty).

Usage: test_pause.py PROGRAM [TEST...]    (tests/devx/pause_program.c, built; no TEST: all)
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import pexpect

from prompt import run_tests, wait_till_gone

PROGRAM = sys.argv[1]
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pause_program.c")
PROMPT = r"\(yoke: left/main\) "
LIMIT = 60

with open(SOURCE) as source:
    PAUSE_LINE = next(n for n, line in enumerate(source, 1) if "the line that is shown" in line)


def start(mode="plain", environment=None):
    """The program up to its first prompt is the caller's to expect."""
    env = dict(os.environ, TERM="dumb", NO_COLOR="1", HOME="/nonexistent", INPUTRC="/dev/null")
    env.pop("DEBUGINFOD_URLS", None)
    env.update(environment or {})
    return pexpect.spawn(PROGRAM, [mode], env=env, timeout=LIMIT, encoding="utf-8", dimensions=(50, 200))


def at_prompt(mode="plain"):
    p = start(mode)
    p.expect(PROMPT)
    return p


def ask(p, command):
    p.sendline(command)
    p.expect(PROMPT)
    return p.before


def shows(p, command, text):
    said = ask(p, command)
    assert text in said, "no %r in %r" % (text, said)


def ends(p, status, *texts):
    """The program ends by itself, its terminal as it was; returns what it said."""
    p.expect(pexpect.EOF)
    said = p.before
    p.close()
    assert p.exitstatus == 0, said
    for text in (*texts, "modes same, foreground ours", "child status %d, end" % status):
        assert text in said, "no %r in %r" % (text, said)
    return said


def test_repl_01_two_lines_say_why_and_where():
    p = at_prompt()
    lines = p.before.strip().splitlines()
    assert re.match(
        r"pause in actor `left` \(pid \d+\), task `main`: #\d+ .*\bchild \(.*pause_program\.c:%d" % PAUSE_LINE, lines[0]
    ), lines
    assert len(lines) == 2, lines
    assert "the line that is shown" in lines[-1], lines
    p.sendline("continue")
    ends(p, 0)


def test_variables_can_be_printed_and_set():
    p = at_prompt()
    shows(p, "print variable", "= 42")
    ask(p, "set var variable = 100")
    p.sendline("continue")
    ends(p, 0, "variable 111, goes on")


def goes_on(how):
    p = at_prompt()
    p.sendline(how)
    assert "abandoned" not in ends(p, 0, "variable 53, goes on")


def test_repl_07_continue():
    goes_on("continue")


def test_c():
    goes_on("c")


def test_repl_10_detach_is_continue():
    goes_on("detach")


def test_repl_08_quit():
    p = at_prompt()
    p.sendline("quit")
    ends(p, 256, "the debugger was told to quit")


def test_q():
    p = at_prompt()
    p.sendline("q")
    ends(p, 256, "the debugger was told to quit")


def test_repl_10_end_of_input_is_continue():
    p = at_prompt()
    p.sendeof()
    ends(p, 0, "variable 53, goes on")


def test_repl_10_also_when_an_earlier_session_ended_with_quit():
    with tempfile.TemporaryDirectory() as home:
        with open(os.path.join(home, ".gdbinit"), "w") as init, open(os.path.join(home, "typed"), "w") as typed:
            init.write("set history save on\nset history filename %s/typed\n" % home)
            typed.write("quit\n")
        p = start("plain", {"HOME": home})
        p.expect(PROMPT)
        p.sendeof()
        ends(p, 0, "variable 53, goes on")
        p = start("plain", {"HOME": home})
        p.expect(PROMPT)
        p.sendline("quit")
        ends(p, 256, "the debugger was told to quit")


def test_ctrl_c_is_gdbs():
    p = at_prompt()
    for _ in range(3):
        p.sendintr()
        p.expect("Quit")
        p.expect(PROMPT)
    shows(p, "print variable", "= 42")
    p.sendline("continue")
    ends(p, 0, "variable 53, goes on")


def test_ctrl_z_does_not_stop():
    p = at_prompt()
    p.send("\x1a")
    time.sleep(0.3)
    shows(p, "print variable", "= 42")
    p.sendline("continue")
    ends(p, 0, "goes on")


def test_repl_03_next_starts_at_the_caller():
    p = at_prompt()
    shows(p, "next", str(PAUSE_LINE + 1))
    shows(p, "next", str(PAUSE_LINE + 2))
    shows(p, "print variable", "= 43")
    p.sendline("continue")
    ends(p, 0, "variable 53, goes on")


def test_pause_in_a_thread():
    p = at_prompt("thread")
    assert "pause_program.c:%d" % PAUSE_LINE in p.before, p.before
    shows(p, "print variable", "= 42")
    p.sendline("quit")
    ends(p, 256, "the debugger was told to quit")


def test_repl_09_kill():
    """It asks; the terminal is as it was, and nobody has to leave gdb."""
    p = at_prompt()
    p.sendline("kill")
    p.expect(r"\(y or n\) ")
    p.sendline("n")
    p.expect(PROMPT)
    shows(p, "print variable", "= 42")
    p.sendline("kill")
    p.expect(r"\(y or n\) ")
    p.sendline("y")
    ends(p, signal.SIGKILL)


def child_named(pid, name):
    """The one child of process `pid` whose command begins so."""
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        for child in f.read().split():
            with open("/proc/%s/comm" % child) as comm:
                if comm.read().startswith(name):
                    return int(child)
    raise AssertionError("no %s" % name)


def debugger_of(p):
    return child_named(p.pid, "gdb")


def test_killed_debugger():
    p = at_prompt()
    os.kill(debugger_of(p), signal.SIGKILL)
    ends(p, 0, "child: abandoned", "gdb was killed by signal 9")


def test_cancelled():
    p = at_prompt("cancel")
    gdb = debugger_of(p)
    os.kill(p.pid, signal.SIGUSR1)
    ends(p, 0, "root: cancelled", "child: abandoned")
    assert not os.path.exists("/proc/%d" % gdb)


def test_killed_root_takes_gdb_along():
    # The shell leads the session: the terminal is not hung up when the root dies, and so does not end gdb for us.
    p = pexpect.spawn("/bin/sh", ["-c", '"$0" plain; sleep 20', PROGRAM], timeout=LIMIT, encoding="utf-8")
    p.expect(PROMPT)
    root = child_named(p.pid, "devx-pause")
    gdb = child_named(root, "gdb")
    os.kill(root, signal.SIGKILL)
    wait_till_gone(gdb, 5)
    p.close(force=True)


def test_no_one_to_attach_to():
    p = start("gone")
    p.expect(pexpect.EOF)
    assert "it is gone" in p.before, p.before
    assert "modes same, foreground ours" in p.before, p.before


def test_refused_before_gdb_begins():
    p = start("refuse")
    ends(p, 0, "root: error: the child refuses", "child: abandoned")


def test_no_gdb():
    with tempfile.TemporaryDirectory() as empty:
        p = start("plain", {"PATH": empty})
        ends(p, 0, "root: error: no gdb in PATH")


def test_no_terminal():
    run = subprocess.run(
        [PROGRAM], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=LIMIT, check=True
    )
    assert "root: error: no terminal for the debugger" in run.stdout, run.stdout


run_tests(globals())
