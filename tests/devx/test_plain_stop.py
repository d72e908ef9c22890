"""Pauses of a process that is no actor, and breakpoints that are instructions.

Usage: test_plain_stop.py PROGRAM [TEST...]    (tests/devx/plain_stop.c, built; no TEST: all)
"""

import os
import re
import signal
import subprocess
import sys
import tempfile

from prompt import CALLS, LIMIT, Scene, pid_of, run_tests

PROGRAM = sys.argv[1]
NAME = "devx-plain_stop"
NO_CORE = 'ulimit -c 0; exec "$0" "$1"'
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "plain_stop.c")) as source:
    TEXT = source.read().splitlines()


def line(mark):
    """The number of the line with that comment."""
    return next(n for n, text in enumerate(TEXT, 1) if "/* %s */" % mark in text)


def has(said, *texts):
    for text in texts:
        assert text in said, "no %r in %s" % (text, said)


# ---- without an actor

def plain(scene, task, mark, environment=None):
    """At the first prompt, which shows that line."""
    s = Scene(PROGRAM, scene, environment)
    has(s.at("%s/%s" % (NAME, task)), "pause in actor `%s` (pid %d), task `%s`" % (NAME, s.p.pid, task),
        "plain_stop.c:%d" % line(mark))
    return s


def test_pause_21_before_the_runtime():
    s = plain("before", "main", "the line before the runtime")
    has(s.ask("print n", NAME + "/main"), "= 42")
    s.type("continue")
    has(s.end(), "n 44", "before: goes on")


def test_pause_21_before_the_runtime_quit():
    s = plain("before", "main", "the line before the runtime")
    s.type("quit")
    has(s.end(), "before: the debugger was told to quit")


def test_pause_21_before_the_runtime_next():
    s = plain("before", "main", "the line before the runtime")
    for step in (1, 2, 3):
        assert re.search(r"^%d\t" % (line("the line before the runtime") + step), s.ask("next", NAME + "/main"), re.M), s.said
    has(s.ask("print n", NAME + "/main"), "= 44")
    s.type("continue")
    has(s.end(), "before: goes on")


def test_pause_21_in_a_static_constructor():
    s = plain("", "main", "the constructor's line", {"PAUSE_IN_CONSTRUCTOR": "1"})
    s.type("continue")
    has(s.end(), "constructor: goes on")


def test_pause_21_in_a_run_without_actors():
    s = plain("run", "main", "the line in the run")
    s.type("continue")
    has(s.end(), "run: goes on")
    s = plain("run", "main", "the line in the run")
    s.type("quit")
    has(s.end(), "run: the debugger was told to quit")


def test_pause_21_after_the_runtime():
    s = plain("after", "main", "the line after the runtime")
    has(s.said, "run: goes on")
    s.type("continue")
    has(s.end(), "after: goes on")


def test_pause_21_threads_one_by_one():
    s = Scene(PROGRAM, "threads")
    seen = []
    for _ in range(3):
        s.expect(r"\(yoke: %s/(thread \d+)\) " % NAME)
        seen.append(s.p.match.group(1))
        has(s.ask("print 40 + 2", "%s/%s" % (NAME, seen[-1])), "= 42")
        s.type("continue")
        s.expect("thread: goes on")
    s.end()
    assert len(set(seen)) == 3, seen


def test_pause_21_called_from_the_debugger():
    s = plain("before", "main", "the line before the runtime", CALLS)
    has(s.ask("call yoke_pause()", NAME + "/main"), "its debugger is here already", "0x0")
    s.type("continue")
    has(s.end(), "before: goes on")


def reads(scene, name):
    s = Scene(PROGRAM, scene)
    s.at(name)
    s.type("continue")
    s.expect("detached")
    s.type("hello")
    has(s.end(), "read hello", "before: goes on")


def test_pause_21_the_terminal_is_the_programs_again():
    reads("read", NAME + "/main")


def test_teardown_19_the_terminal_is_the_roots_again_when_its_pause_returns():
    reads("read_in_root", "root/main")


def test_pause_21_killed_debugger():
    s = plain("before", "main", "the line before the runtime")
    os.kill(pid_of(s, "gdb"), signal.SIGKILL)
    has(s.end(), "no debugger: it has ended without an answer", "before: goes on")


def test_pause_21_off():
    for off in ("", "0"):
        said = Scene(PROGRAM, "before", {"YOKE_DEBUG": off}).end()
        assert said.count("the debugger is off (YOKE_DEBUG=1 in the environment turns it on)") == 1, said
        has(said, "before: goes on")
    has(Scene(PROGRAM, "before", {"YOKE_DEBUG": "2"}).end(), "YOKE_DEBUG: `2` is no word of it", "before: goes on")


def test_pause_21_no_terminal_and_no_debugger():
    for scene in ("before", "run", "after"):
        with tempfile.TemporaryDirectory() as signs:
            run = subprocess.run([PROGRAM, scene], env=dict(os.environ, SIGNS=signs, YOKE_DEBUG="1"), timeout=LIMIT, text=True,
                                 stdin=subprocess.DEVNULL, capture_output=True, start_new_session=True, check=True)
        has(run.stdout, "%s: goes on" % scene)
        assert run.stderr.count("no debugger: there is no terminal, or this program is in its background") == 1, run
    with tempfile.TemporaryDirectory() as empty:
        has(Scene(PROGRAM, "before", {"PATH": empty}).end(), "no gdb in PATH: it is in the package `gdb`", "before: goes on")


def test_pause_21_another_debugger_is_there():
    said = Scene(PROGRAM, "before", None, 'exec gdb -nx -q -batch -ex run --args "$0" "$1"').end()
    assert re.search(r"gdb may not attach to process \d+: process \d+ debugs it already: going on", said), said
    has(said, "before: goes on")


def test_pause_21_in_a_fork_of_an_actor():
    has(Scene(PROGRAM, "fork").end(), "yoke_pause: this process was forked from an actor, and is none: going on", "fork: goes on")


# ---- hooks

def test_pause_22_raw_mode_is_left_and_entered_again():
    s = Scene(PROGRAM, "raw")
    has(s.at(NAME + "/main"), "hook before a pause")
    s.type("continue")
    said = s.end()
    has(said.split("(yoke: ")[-1], "hook after a pause, foreground ours", "mode raw", "pause: goes on")
    assert said.count("hook before") == 1 and said.count("hook after") == 1, said


def test_pause_22_after_it_has_gone_on_by_steps():
    s = Scene(PROGRAM, "raw")
    s.at(NAME + "/main")
    assert re.search(r"^%d\t" % line("the line with the hooks"), s.ask("next", NAME + "/main"), re.M), s.said
    has(s.ask("print 40 + 2", NAME + "/main"), "= 42")
    assert "hook after" not in s.said, s.said
    s.type("continue")
    said = s.end()
    has(said, "mode cooked", "pause: goes on", "hook after a pause, foreground ours")
    assert said.count("hook after") == 1, said


# ---- breakpoints that are instructions

def test_cfg_05_breakpoint_hook_while_the_runtime_runs():
    s = Scene(PROGRAM, "instructions", {"YOKE_DEBUG": ""})
    before = s.at("root/main")
    has(before, "own handler", "breakpoint in actor `root`", "plain_stop.c:%d" % line("the breakpoint in the task"))
    has(s.ask("print local", "root/main"), "= 42")
    assert re.search(r"^%d\t" % (line("the breakpoint in the task") + 1), s.ask("next", "root/main"), re.M), s.said
    s.type("continue")
    s.expect("task: 43, errno kept")
    s.expect(r"\(yoke: root/(thread \d+)\) ")
    has(s.said, "plain_stop.c:%d" % line("the breakpoint in the thread"))
    s.type("continue")
    s.expect("thread: goes on")
    s.at("root/main")
    has(s.ask("bt", "root/main"), "plain_stop.c:%d" % line("raised in the task"))
    s.type("continue")
    said = s.end().split("(yoke: ")[-1]
    has(said, "run: goes on", "after: SIGTRAP is the program's", "own handler\r\nafter")
    has(s.said, "inside: SIGTRAP is another's")
    assert s.said.count("own handler") == 2, s.said


def test_cfg_05_quit_at_a_breakpoint():
    s = Scene(PROGRAM, "instructions", {"YOKE_DEBUG": ""})
    s.at("root/main")
    s.type("quit")
    has(s.end(), "task: 43", "task: checkpoint says the debugger was told to quit", "run: the debugger was told to quit",
        "own handler\r\nafter")


def test_cfg_05_the_default_is_back():
    s = Scene(PROGRAM, "instructions_default", {"YOKE_DEBUG": ""}, NO_CORE)
    s.at("root/main")
    s.type("quit")
    said = s.end(-signal.SIGTRAP)
    has(said, "run: the debugger was told to quit", "after: SIGTRAP is by default")
    assert "\nafter\r" not in said, said


def test_cfg_05_without_debug_mode():
    said = Scene(PROGRAM, "instructions_off", {"YOKE_DEBUG": ""}).end()
    assert said.count("YOKE_BREAKPOINT: the debugger is off") == 2 and "(yoke: " not in said, said
    has(said, "inside: SIGTRAP is the program's", "task: 43, errno kept", "thread: goes on", "run: goes on", "own handler\r\nafter")
    assert said.count("own handler") == 3, said  # before, raised in the task, after


run_tests(globals())
