"""What an actor does around its pauses, and what goes on around it meanwhile.

Usage: test_settings_tree.py PROGRAM ASAN_PROGRAM [TEST...]
(tests/devx/settings_tree.c, built; and that with AddressSanitizer; no TEST: all)
"""

import os
import re
import signal
import sys

from prompt import Scene, pid_of, run_tests

PROGRAM, ASAN_PROGRAM = sys.argv[1:3]
del sys.argv[2]
YAMA = "/proc/sys/kernel/yama/ptrace_scope"
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "settings_tree.c")) as source:
    TEXT = source.read().splitlines()


def line(mark):
    """settings_tree.c:N of the line with that comment."""
    return "settings_tree.c:%d" % next(n for n, text in enumerate(TEXT, 1) if "/* %s */" % mark in text)


def has(said, *texts):
    for text in texts:
        assert text in said, "no %r in %s" % (text, said)


def has_asan(program):
    with open(program, "rb") as f:
        return b"__asan_init" in f.read()


def goes_on(scene, *texts, environment=None):
    """One prompt, at which something is typed, and `continue`; all that was said."""
    name = "left/sets:%s" % scene
    s = Scene(PROGRAM, scene, environment)
    has(s.at(name), "pause in actor `left`")
    has(s.ask("print 40 + 2", name), "= 42")
    s.type("continue")
    said = s.end()
    has(said, *texts)
    return said


# ---- who may attach

def yama():
    try:
        with open(YAMA) as f:
            return int(f.read())
    except OSError:
        return 0


def test_pause_17_the_child_names_the_debugger_before_that_begins():
    s = Scene(PROGRAM, "stop", {"TELL_PTRACER": "1"})
    s.at("left/sets:stop")
    said = re.findall(r"process (\d+) names (\d+), which is ([a-z ]+); ([a-z ]+)\r", s.said)
    # The debugger-to-be waits, as a fork of the root, and becomes gdb under the number that was named.
    assert said == [(str(pid_of(s, "yoke-left")), str(pid_of(s, "gdb")), "a fork", "not traced yet")], s.said
    s.type("continue")
    has(s.end(), "left: 43")


def test_pause_17_so_that_it_needs_no_setting():
    """What the kernel does with it, if it has Yama at level 1 and the person is not its root: without the name gdb is
    refused. Else it makes no difference."""
    s = Scene(PROGRAM, "stop", {"TELL_PTRACER": "1", "KEEP_PTRACER": "1"})
    if yama() == 1 and os.geteuid() != 0:
        has(s.end(), "gdb may not attach to process", "kernel.yama.ptrace_scope is 1", "left: 43")
        return
    s.at("left/sets:stop")
    s.type("continue")
    has(s.end(), "left: 43")


# ---- pauses that are not always there

def prompts(s, *marks):
    """These lines come to a prompt in turn, and go on; what is said after the last."""
    for name, mark, why in marks:
        has(s.at(name), "%s in actor `%s`" % (why, name.split("/")[0]), line(mark))
        s.type("continue")
    said = s.end().split("(yoke: ")[-1]
    has(said, ": through")
    return said


IF = "left/sets:conditions", "the condition", "pause"


def test_pause_18_condition_and_no_names():
    said = prompts(Scene(PROGRAM, "conditions"), IF)
    assert "(yoke" not in said, said


def test_pause_18_condition_shows_its_variable():
    s = Scene(PROGRAM, "conditions")
    s.at(IF[0])
    has(s.ask("print i", IF[0]), "= 1")
    s.type("quit")
    has(s.end(1), "[DebuggerQuit]")
    assert ": through" not in s.said, s.said


def test_pause_18_breakpoints_by_name():
    load, store = (("left/sets:conditions", "the breakpoint %s" % name, "breakpoint `%s`" % name) for name in ("load", "store"))
    prompts(Scene(PROGRAM, "conditions", {"YOKE_BREAK": "load"}), IF, load)
    prompts(Scene(PROGRAM, "conditions", {"YOKE_BREAK": "store,,nothing,load"}), IF, load, store)
    prompts(Scene(PROGRAM, "conditions", {"YOKE_BREAK": "loa,loads,Load"}), IF)


def test_pause_18_quit_at_a_breakpoint():
    s = Scene(PROGRAM, "conditions", {"YOKE_BREAK": "store"})
    s.at(IF[0])
    s.type("continue")
    s.at("left/sets:conditions")
    s.type("quit")
    has(s.end(1), "[DebuggerQuit]")
    assert ": through" not in s.said, s.said


def test_pause_18_reaches_a_grandchild_and_the_root():
    s = Scene(PROGRAM, "below", {"YOKE_BREAK": "far"})
    has(s.at("left/sets:far_breakpoint"), "breakpoint `far` in actor `left`")
    s.type("continue")
    has(s.end(), "grandchild: through")
    prompts(Scene(PROGRAM, "root", {"YOKE_BREAK": "store"}), ("root/main", "the condition", "pause"),
            ("root/main", "the breakpoint store", "breakpoint `store`"))


def test_pause_18_names_that_are_not_there_are_in_the_log():
    said = Scene(PROGRAM, "root", {"YOKE_BREAK": "lode,store", "YOKE_DEBUG": "0", "YOKE_LOG": "devx=debug"}).end()
    has(said, "YOKE_BREAK: this actor came to no breakpoint `lode`", "yoke_breakpoint: YOKE_BREAK does not name `load`",
        "yoke_breakpoint: the debugger is off", "root: through")
    assert "no breakpoint `store`" not in said, said
    quiet = Scene(PROGRAM, "root", {"YOKE_DEBUG": "0", "YOKE_LOG": "devx=debug"}).end()
    assert "YOKE_BREAK" not in quiet and "yoke_breakpoint" not in quiet, quiet


# ---- AddressSanitizer

def test_pause_19_in_a_program_with_address_sanitizer():
    assert has_asan(ASAN_PROGRAM)
    for answer, status in (("continue", 0), ("quit", 1)):
        s = Scene(ASAN_PROGRAM, "stop")
        has(s.at("left/sets:stop"), "pause in actor `left`", line("the pause"))
        has(s.ask("print local", "left/sets:stop"), "= 42")
        s.type(answer)
        said = s.end(status)
        has(said, "[DebuggerQuit]" if status else "left: 43")
        assert "Sanitizer" not in said, said


def test_pause_19_steps_with_address_sanitizer():
    s = Scene(ASAN_PROGRAM, "stop")
    s.at("left/sets:stop")
    first = int(line("the pause").split(":")[1])
    for step in (1, 2):
        assert re.search(r"^%d\t" % (first + step), s.ask("next", "left/sets:stop"), re.M), s.said
    s.type("continue")
    said = s.end()
    has(said, "left: 43")
    assert "Sanitizer" not in said, said


def test_pause_19_address_sanitizer_watches_on():
    s = Scene(ASAN_PROGRAM, "overflow")
    s.at("left/sets:overflow")
    s.type("continue")
    has(s.end(1), "AddressSanitizer: heap-buffer-overflow", line("the overflow"), "error: actor `left`")


# ---- hooks

def test_pause_22_hooks_in_the_task_that_stops():
    name = "left/sets:with_hooks"
    s = Scene(PROGRAM, "with_hooks")
    has(s.at(name), "left: before a pause, in task sets:with_hooks", "it is called by a hook of the debugger's: going on")
    assert ": after" not in s.said, s.said
    s.type("continue")
    has(s.at(name), "left: after a pause, in task sets:with_hooks", "left: went on", "left: before a error, in task sets:with_hooks")
    s.type("continue")
    has(s.end(1).split("(yoke: ")[-1], "left: after a error, in task sets:with_hooks", "nothing there")


def test_pause_22_after_has_the_terminal_and_comes_before_the_call_returns():
    s = Scene(PROGRAM, "with_hooks")
    s.at("left/sets:with_hooks")
    s.type("continue")
    s.expect("left: after a pause")
    s.expect("left: went on")
    s.at("left/sets:with_hooks")
    s.type("quit")
    s.end(1)


def test_pause_22_after_steps_when_the_debugger_has_left():
    name = "left/sets:with_hooks"
    s = Scene(PROGRAM, "with_hooks")
    s.at(name)
    has(s.ask("next", name), "SAY(")
    has(s.ask("next", name), "left: went on")
    assert ": after" not in s.said, s.said
    s.type("continue")
    has(s.at(name).split("left: before a error")[0], "left: after a pause, in task debugger's session")
    s.type("continue")
    s.end(1)


def test_pause_22_one_stop_after_the_other():
    s = Scene(PROGRAM, "several_hooked")
    for number in range(3):
        name = "left/" + ("first", "second", "third")[number]
        s.at(name)
        assert s.said.count(": before") == number + 1 and s.said.count(": after") == number, s.said
        s.type("continue")
    said = s.end()
    assert said.count(": after a pause") == 3, said


def test_pause_22_a_hook_refuses():
    said = Scene(PROGRAM, "with_refusal").end(1)
    has(said, "yoke_pause: the program's hook refuses it: not now: going on", "left: went on",
        "an error: the program's hook refuses it: not now: going on", "nothing there")
    assert "(yoke" not in said and ": after" not in said, said


def test_pause_22_refusing_where_errors_stop_as_they_are_raised():
    said = Scene(PROGRAM, "with_refusal", {"YOKE_DEBUG": "raise"}).end(1)
    has(said, "yoke_pause: the program's hook refuses it: not now: going on", "nothing there")
    assert "(yoke" not in said, said


def test_pause_22_a_crash_calls_none():
    # AddressSanitizer has its own handler, and leaves a status in place of the signal.
    s = Scene(PROGRAM, "with_hooks_that_crash")
    s.at("left/sets:with_hooks_that_crash")
    s.type("continue")
    has(s.end(1), "died of SIGSEGV")
    assert "left: before" not in s.said and "left: after" not in s.said, s.said


# ---- what goes on around it

def test_pause_in_a_shielded_scope():
    goes_on("shielded", "left: behind the shield, went on", "left: then cancelled")


def test_pause_with_a_thousand_tasks_parked():
    goes_on("thousand", "left: 1000 woken")


def test_pause_with_a_clock_that_interrupts_it():
    goes_on("ticking", "left: ticks on")


def test_pause_in_an_interrupted_read():
    s = Scene(PROGRAM, "interrupted_read")
    s.expect(r"\(yoke: left/(thread \d+)\) ")
    has(s.said, line("interrupted"))
    s.type("continue")
    s.sign("write")
    has(s.end(), "left: read x")


def test_pause_in_a_handler_of_the_programs():
    s = Scene(PROGRAM, "in_handler")
    for mark in ("in the handler", "interrupted"):
        before = s.expect(r"\(yoke: left/(thread \d+)\) ")
        has(before, line(mark))
        thread = s.p.match.group(1)
        if mark == "in the handler":
            has(s.ask("bt", "left/" + thread), "<signal handler called>", "read_in_loop")
        s.type("continue")
    s.sign("write")
    has(s.end(), "left: read x")


def test_pause_outside_of_any_task():
    said = Scene(PROGRAM, "in_callback").end()
    has(said, "yoke_pause: what was posted, and an abort function, can't be stopped in: all tasks would stand still: going on", "left: the callback went on")


run_tests(globals())
