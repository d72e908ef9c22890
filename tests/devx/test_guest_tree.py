"""Callbacks of a host that pause, on the thread of the actor that is its guest.

Usage: test_guest_tree.py PROGRAM [TEST...]    (tests/devx/guest_tree.c, built)
"""

import os
import signal
import sys

from prompt import Scene, pid_of, run_tests, wait_till

PROGRAM = sys.argv[1]
HOST = "root/host"


def test_exd_23_the_debugger_is_killed_at_the_host_s_prompt():
    s = Scene(PROGRAM, "callback")
    s.at(HOST)
    os.kill(pid_of(s, "gdb"), signal.SIGKILL)
    s.expect("host: goes on")
    s.end()


def test_exd_23_steps_in_a_callback():
    s = Scene(PROGRAM, "callback")
    s.at(HOST)
    assert "SAY(" in s.ask("next", HOST)
    assert "= (yoke_error *) 0x0" in s.ask("print e", HOST)
    s.type("c")
    s.expect("host: goes on")
    s.end()


def test_exd_23_quit_in_a_callback_is_the_callback_s_error():
    s = Scene(PROGRAM, "callback")
    s.at(HOST)
    s.type("q")
    s.expect("host: ")
    assert "DebuggerQuit" in s.end(1), s.said


def test_exd_23_a_host_waits_its_turn_and_its_guest_goes_on():
    s = Scene(PROGRAM, "turn")
    s.at("child/stops:stop")
    s.sign("child_has_it")
    s.expect("root/host waits for the debugger")
    s.sign("host_waits")
    wait_till(lambda: os.path.exists(os.path.join(s.signs.name, "worked")), "the guest's task at work")
    s.type("c")
    s.at(HOST)
    s.type("c")
    s.expect("host: goes on")
    s.end()


def test_exd_23_what_was_posted_does_not_stop():
    s = Scene(PROGRAM, "post")
    said = s.end()
    assert "what was posted, and an abort function, can't be stopped in" in said and "post: goes on" in said, said


run_tests(globals())
