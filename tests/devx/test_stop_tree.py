"""Pauses: of tasks and threads, in the root and below it.

Usage: test_stop_tree.py PROGRAM [TEST...]    (tests/devx/stop_tree.c, built; no TEST: all)
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time

from prompt import CALLS, LIMIT, Scene, living, pid_of, run_tests

PROGRAM = sys.argv[1]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "stop_tree.c")) as source:
    TEXT = source.read().splitlines()


def line(mark):
    """The number of the line with that comment."""
    return next(n for n, text in enumerate(TEXT, 1) if "/* %s */" % mark in text)


def test_pause_01_continue_in_the_root():
    s = Scene(PROGRAM, "root")
    said = s.at("root/main")
    header = said.strip().splitlines()[-2:]
    assert re.match(r"pause in actor `root` \(pid \d+\), task `main`: #\d+ .* root_pause .*:%d$" % line("the root's line"),
                    header[0]), header
    assert header[1].startswith("%d\t" % line("the root's line")), header
    s.type("continue")
    said = s.end()
    assert "root: after" in said and "rror" not in said.split("continue")[-1], said


def test_pause_02_quit_in_the_root():
    s = Scene(PROGRAM, "root")
    s.at("root/main")
    s.type("quit")
    said = s.end(1)
    assert "DebuggerQuit" in said and "root: after" not in said, said


def test_pause_03_from_any_depth():
    s = Scene(PROGRAM, "root_deep")
    s.at("root/main")
    assert "deep" in s.ask("up", "root/main")
    s.type("continue")
    assert "root: after" in s.end()


def test_pause_04_steps_in_a_child():
    s = Scene(PROGRAM, "lines")
    said = s.at("left/stops:lines")
    assert re.search(r"pause in actor `left` \(pid %d\), task `stops:lines`" % pid_of(s, "yoke-left"), said), said
    for step in range(1, 11):
        said = s.ask("next", "left/stops:lines")
        assert re.search(r"^%d\t" % (line("line 0") + step), said, re.M), (step, said)
    assert "= 45" in s.ask("print n", "left/stops:lines")
    s.type("continue")
    assert "left: 55" in s.end()


def test_pause_05_forever_in_a_child():
    s = Scene(PROGRAM, "forever")
    s.at("left/stops:forever")
    for _ in range(10):
        said = s.ask("next", "left/stops:forever")
        assert re.search(r"^\d+\t", said, re.M), said
    for i in range(5):
        s.type("continue")
        s.expect(r"pause in actor `left`")
        s.at("left/stops:forever")
    s.type("quit")
    said = s.end(1)
    assert "DebuggerQuit" in said and re.search(r"actor `left`", said), said


def test_pause_05_quit_after_a_step_ends_it_too():
    s = Scene(PROGRAM, "root_forever")
    s.at("root/main")
    s.ask("next", "root/main")
    s.ask("next", "root/main")
    s.type("quit")
    assert "DebuggerQuit" in s.end(1)


def test_pause_06_the_other_side_of_a_stream_waits():
    s = Scene(PROGRAM, "stream")
    s.at("left/stops:send_after_pause")
    time.sleep(0.7)  # the runtime's bounds are 20 ms here
    assert "= 2" in s.ask("print 1 + 1", "left/stops:send_after_pause")
    s.type("continue")
    s.expect("root: 42")
    said = s.end()
    assert "SIG" not in said, said


def test_pause_07_three_times_shielded_in_a_cancelled_scope():
    s = Scene(PROGRAM, "shielded")
    for _ in range(3):
        s.at("left/stops:shielded")
        s.type("continue")
        s.expect("left: the checkpoint says Cancelled")
    s.end()


def thread_pauses(scene, actor):
    s = Scene(PROGRAM, scene)
    said = s.expect(r"\(yoke: %s/thread \d+\) " % actor)
    at = s.p.after[len("(yoke: "):-len(") ")]
    assert ":%d\r" % line("the thread's line") in said and "pause_thread" in said, said
    assert "= 43" in s.ask("print own", at)
    first = s.ask("print ticks", at)
    time.sleep(0.2)
    assert re.findall("= [0-9]+", first) == re.findall("= [0-9]+", s.ask("print ticks", at)), first
    s.type("continue")
    s.expect("thread: 44, goes on")
    s.expect("the scheduler lives on")
    s.end()


def test_pause_09_a_thread_of_a_child():
    thread_pauses("thread", "left")


def test_pause_09_a_thread_of_the_root():
    thread_pauses("root_thread", "root")


def test_pause_10_three_threads_and_two_tasks_of_one_actor():
    s = Scene(PROGRAM, "several")
    seen = []
    for _ in range(5):
        s.expect(r"\(yoke: left/(thread \d+|first|second)\) ")
        seen.append(s.p.match.group(1))
        s.type("continue")
        s.expect(r"goes on")
    s.sign("end")
    s.end()
    assert len(set(seen)) == 5 and sum(name.startswith("thread") for name in seen) == 3, seen


def test_pause_11_twenty_actors():
    s = Scene(PROGRAM, "twenty", {"YOKE_LOG": "devx=runtime"})
    served = []
    for _ in range(20):
        s.expect(r"\(yoke: (w\d+)/stops:lines\) $")
        served.append(s.p.match.group(1))
        s.type("continue")
        s.expect("left: 55")
    s.expect("root: all twenty have ended")
    said = s.end()
    asked = re.findall(r"actor `(w\d+)` \S+ task `stops:lines`, cid \S+ is asked for", said)
    assert served == asked and len(set(served)) == 20, (served, asked)


def test_pause_12_called_from_the_debugger():
    s = Scene(PROGRAM, "lines", CALLS)
    s.at("left/stops:lines")
    said = s.ask("call yoke_pause()", "left/stops:lines")
    assert "its debugger is here already" in said and "0x0" in said, said
    s.type("continue")
    assert "left: 55" in s.end()


def test_pause_13_debug_mode_off():
    said = Scene(PROGRAM, "root", {"YOKE_DEBUG": "0"}).end()
    assert said.count("the debugger is off (YOKE_DEBUG=1 in the environment turns it on)") == 1, said
    assert "root: after" in said and "(yoke" not in said, said


def test_pause_14_no_terminal():
    with tempfile.TemporaryDirectory() as signs:
        run = subprocess.run([PROGRAM, "lines"], env=dict(os.environ, SIGNS=signs, YOKE_DEBUG="1"), timeout=LIMIT, text=True,
                             stdin=subprocess.DEVNULL, capture_output=True, start_new_session=True, check=True)
    assert "left: 55" in run.stdout, run
    assert run.stderr.count("no terminal for the debugger: /dev/tty can't be opened") == 1, run


def test_pause_14_a_terminal_that_is_not_the_standard_input():
    s = Scene(PROGRAM, "lines", wrap='"$0" "$1" </dev/null')
    s.at("left/stops:lines")
    s.type("continue")
    assert "left: 55" in s.end()


def test_pause_15_no_debugger_installed():
    with tempfile.TemporaryDirectory() as empty:
        said = Scene(PROGRAM, "lines", {"PATH": empty}).end()
    assert said.count("no gdb in PATH: it is in the package `gdb`") == 1 and "left: 55" in said, said


def test_pause_16_attach_refused():
    # The leak checker of a build with AddressSanitizer looks by ptrace, too.
    said = Scene(PROGRAM, "no_ptrace", {"ASAN_OPTIONS": "detect_leaks=0"}).end()
    assert "left: 55" in said and "gdb may not attach to process" in said, said
    assert re.search(r"kernel\.yama\.ptrace_scope( is \d:|: a container)", said), said
    assert "(yoke" not in said, said


def test_pause_20_no_channel_any_more():
    said = Scene(PROGRAM, "no_channel").end(1)
    assert "left: no prompt" in said and "yoke_pause: no debugger: " in said, said
    assert "(yoke" not in said and "`left`" in said, said


run_tests(globals())
