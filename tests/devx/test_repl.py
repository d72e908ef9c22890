"""What works at the prompt: frames, steps, breakpoints, calls, settings.

Usage: test_repl.py PROGRAM [TEST...]    (tests/devx/repl_tree.c, built; no TEST: all)
"""

import os
import re
import signal
import sys
import tempfile

import pexpect

from prompt import CALLS, Scene, pid_of, run_tests, wait_till

PROGRAM = sys.argv[1]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "repl_tree.c")) as source:
    LINES = {m.group(1): n for n, text in enumerate(source, 1) if (m := re.search(r"/\* (.*) \*/$", text.rstrip()))}

TEN, T5 = "left/repl:ten", "left/t5"
STAYS = "breakpoints are set: the prompt stays with this actor; `detach` gives it back"


def has(text, *patterns):
    for pattern in patterns:
        assert re.search(pattern, text.replace("\r", ""), re.M), f"no {pattern!r} in\n{text}"


def at_line(said, mark):
    """gdb has stopped in that line."""
    has(said, r"^%d\t" % LINES[mark])


def value(s, expression, name):
    return int(re.search(r"= (-?\d+)", s.ask("print " + expression, name)).group(1))


# ---- frames ----


def test_repl_02_frames_begin_at_the_users():
    at = "left/repl:frames"
    s = Scene(PROGRAM, "frames")
    has(s.at(at), r"#\d+ .*\binner \(depth=42\) at .*repl_tree.c:%d$" % LINES["inner's pause"])
    has(s.ask("frame", at), r"\binner \(depth=42\)", r"^%d\t" % LINES["inner's pause"])
    has(s.ask("info locals", at), r"^local = 43$")
    has(s.ask("print local + depth", at), r"= 85$")
    has(s.ask("up", at), r"\bouter \(", r"^%d\t" % LINES["the call of inner"])
    has(s.ask("info locals", at), r"^answer = 42$")
    has(s.ask("print word", at), r'= 0x[0-9a-f]+ (<[^>]+> )?"word"')
    has(s.ask("up", at), r"\bframes \(ctx=0x")
    has(s.ask("down", at), r"\bouter \(")
    trace = s.ask("bt", at)  # those of the runtime are there, below
    has(trace, r"^#0 ", r"\byoke_pause \(", r"\binner \(depth=42\)", r"\bouter \(")
    s.type("continue")
    s.end()


def test_repl_04_finish_of_the_frame_that_is_selected():
    at = "left/repl:frames"
    s = Scene(PROGRAM, "frames")
    s.at(at)
    s.ask("up", at)
    has(s.ask("finish", at), r"^Run till exit from #1 .*\bouter \(", r"\bframes \(ctx=", r"^Value returned is \$1 = ")
    s.type("continue")
    assert "left: local is 43" in s.end()


# ---- steps, while nine other tasks run the same lines ----


def begin_ten():
    s = Scene(PROGRAM, "ten")
    s.at(T5)
    return s


def end_ten(s):
    """It was one of ten, and went its way."""
    assert value(s, "id", T5) == 5
    assert value(s, "laps_of_others", T5) > 0
    s.type("continue")
    s.expect("left: 9 laps")
    s.end()


def moves(s, *pairs):
    """Types commands, after each of which t5 is in that line."""
    for command, mark in pairs:
        at_line(s.ask(command, T5), mark)
        assert value(s, "id", T5) == 5, command


def steps_back_to(s, mark):
    """From the end of a function: whether its last brace is a line of its own is the compiler's affair."""
    for _ in range(3):
        said = s.ask("step", T5)
        if re.search(r"^%d\t" % LINES[mark], said, re.M):
            assert value(s, "id", T5) == 5
            return
    raise AssertionError("no step comes to " + mark)


def test_repl_04_next_and_finish_stay_in_the_task():
    s = begin_ten()
    moves(s, ("next", "sleep"), ("next", "slept"), ("next", "rest"))
    at_line(s.ask("step", T5), "in rest")
    has(s.ask("finish", T5), r"^Value returned is \$\d+ = 2$")
    moves(s, ("next", "twice"), ("next", "walk"), ("next", "behind"))
    end_ten(s)


def test_repl_04_step_goes_into_the_programs_functions_alone():
    s = begin_ten()
    moves(s, ("step", "sleep"), ("step", "slept"), ("step", "rest"))
    at_line(s.ask("step", T5), "in rest")
    at_line(s.ask("step", T5), "rested")  # and not into yoke_sleep
    steps_back_to(s, "twice")
    at_line(s.ask("step", T5), "in twice")
    steps_back_to(s, "walk")
    end_ten(s)


def test_repl_04_until_and_advance_stay_in_the_task():
    s = begin_ten()
    moves(s, (f"until {LINES['rest']}", "rest"))
    at_line(s.ask("advance twice", T5), "in twice")
    assert value(s, "n", T5) == 2
    has(s.ask("advance %d" % LINES["walked"], T5), r"\bround_of \(id=5\)")  # the frame has returned before
    moves(s, (f"advance {LINES['lap']}", "lap"))
    assert value(s, "i", T5) == 0
    moves(s, ("until %d" % LINES["checkpoint"], "checkpoint"))
    assert value(s, "i", T5) == 1
    moves(s, ("advance %d" % LINES["lap"], "lap"), ("until %d" % LINES["walked"], "walked"))
    end_ten(s)


# ---- breakpoints and watchpoints ----


def at_any(s, actor="left"):
    """Waits for a prompt of that actor; (what was said before it, whose it is)."""
    said = s.expect(r"\(yoke: (%s/[^)]*)\) " % actor)
    return said, s.p.match.group(1)


def test_repl_05_a_breakpoint_that_any_task_comes_to():
    s = begin_ten()
    s.ask("break %d if id != 5" % LINES["slept"], T5)
    s.type("continue")
    said, first = at_any(s)
    has(said, "^" + re.escape(STAYS) + "$", r"hit Breakpoint 1, round_of \(id=\d\)")
    at_line(said, "slept")
    assert re.fullmatch(r"left/t[0-46-9]", first), first
    assert value(s, "id", first) == int(first[-1])
    at_line(s.ask("next", first), "rest")  # steps go on from there, in that task
    assert value(s, "id", first) == int(first[-1])
    s.type("continue")
    said, second = at_any(s)
    assert STAYS not in said and second != first, (said, first, second)
    s.type("detach")
    s.expect("left: 9 laps")
    s.end()


def test_repl_05_a_watchpoint_of_a_local_lasts_while_other_tasks_run():
    """They stop at breakpoints of gdb's own in between, where the frame of that variable is not to be found."""
    s = begin_ten()
    s.ask("next", T5)
    s.ask("watch laps", T5)
    for old, new in (0, 1), (1, 2), (2, 4), (4, 5):
        s.type("continue")
        has(s.at(T5), r"hit Hardware watchpoint \d+: -location laps$", r"^Old value = %d$" % old, r"^New value = %d$" % new)
    s.ask("delete breakpoints 2", T5)
    s.ask("up", T5)
    end_ten(s)


def test_repl_05_a_watchpoint_with_steps():
    s = begin_ten()
    s.ask("watch laps if laps > 3", T5)
    moves(s, ("next", "sleep"), ("next", "slept"), ("next", "rest"), ("next", "twice"))
    has(s.ask("next", T5), r"^New value = 4$")
    s.ask("delete 2", T5)
    s.ask("rwatch laps", T5)
    has(s.ask("info breakpoints", T5), r"read watchpoint +keep y +-location laps$")
    s.ask("delete 4", T5)
    end_ten(s)


def test_repl_05_a_watchpoint_ends_with_its_frame():
    s = begin_ten()
    s.ask("next", T5)
    s.ask("next", T5)
    s.ask("next", T5)
    at_line(s.ask("step", T5), "in rest")
    s.ask("watch n", T5)
    s.type("continue")
    said = s.at(T5)
    has(said, r"^Watchpoint 2 deleted because the program has left the block in$", r"\bround_of \(id=5\)")
    has(s.ask("info watchpoints", T5), r"^No watchpoints\.$")
    end_ten(s)


def test_repl_05_others_are_gdbs_own():
    s = begin_ten()
    has(s.ask("watch laps_of_others", T5), r"^Hardware watchpoint 1: laps_of_others$")
    s.type("continue")
    said, name = at_any(s)
    has(said, r"^New value = \d+$")
    assert re.fullmatch(r"left/t[0-46-9]", name), name
    s.type("detach")
    s.expect("left: 9 laps")
    s.end()


def leaves_with(*commands):
    s = Scene(PROGRAM, "pause_twice")
    at = "left/repl:pause_twice"
    s.at(at)
    for command in commands:
        s.ask(command, at)
    s.type("continue")
    s.at(at)
    has(s.said, r"^pause in actor")
    assert STAYS not in s.said and s.said.count("pause in actor") == 2, s.said
    s.type("continue")
    s.expect("left: after both")
    s.end()


def test_repl_05_only_what_is_enabled_and_there_keeps_the_session():
    leaves_with("break bump", "disable 1")
    leaves_with("tbreak bump", "watch counter", "delete 1 2")


def test_repl_05_one_of_the_gdbinit_does_not():
    """It holds while the session lasts."""
    with tempfile.TemporaryDirectory() as home:
        with open(os.path.join(home, ".gdbinit"), "w") as init:
            init.write("set breakpoint pending on\nbreak bump\n")
        s = Scene(PROGRAM, "pause_twice", {"HOME": home})
        at = "left/repl:pause_twice"
        s.at(at)
        s.type("continue")
        s.at(at)
        assert STAYS not in s.said
        s.ask("next", at)
        at_line(s.ask("next", at), "bump")
        s.type("continue")
        s.expect("left: after both")
        s.end()


def stays(scene, where, breakpoint="bump"):
    """At the first pause of that scene; a breakpoint is set."""
    s = Scene(PROGRAM, scene)
    s.at(where)
    s.ask("break " + breakpoint, where)
    return s


def test_repl_05_the_next_pause_stops_at_the_same_prompt():
    at = "left/repl:pause_twice"
    s = stays("pause_twice", at)
    gdb = pid_of(s, "gdb")
    s.type("continue")
    at_line(s.at(at), "bump")
    s.type("continue")
    said = s.at(at)
    has(said, r"^pause in actor `left` \(pid \d+\), task `repl:pause_twice`: #\d+ .*\bpause_twice \(.*:%d$" % LINES["the second pause"])
    at_line(said, "the second pause")
    assert pid_of(s, "gdb") == gdb
    has(s.ask("frame", at), r"\bpause_twice \(")
    s.type("continue")
    at_line(s.at(at), "bump")
    s.type("detach")
    s.expect("left: after both")
    assert "its debugger is here already" not in s.end()


def test_repl_05_quit_at_a_later_pause():
    at = "left/repl:pause_twice"
    s = stays("pause_twice", at)
    s.type("continue")
    s.at(at)
    s.type("continue")
    s.at(at)
    s.type("quit")
    said = s.end(1)
    assert "DebuggerQuit" in said and "after both" not in said, said


def test_repl_05_steps_from_a_later_pause():
    at = "left/repl:pause_twice"
    s = Scene(PROGRAM, "pause_twice")
    s.at(at)
    s.ask("break %d" % LINES["the first pause"], at)
    s.type("continue")
    at_line(s.at(at), "the second pause")
    has(s.ask("next", at), r"^%d\t" % (LINES["the second pause"] + 1))
    s.type("detach")
    s.expect("left: after both")
    s.end()


def test_repl_05_in_the_root():
    s = stays("root", "root/main")
    s.type("continue")
    at_line(s.at("root/main"), "bump")
    s.type("continue")
    at_line(s.at("root/main"), "the other pause")
    s.type("continue")
    s.expect("root: no error")
    at_line(s.at("root/main"), "bump")
    s.type("detach")
    s.expect("root: after both")
    s.end()


def test_repl_05_another_tasks_pause_meanwhile():
    at = "left/repl:two_tasks"
    s = stays("two_tasks", at)
    s.type("continue")
    s.sign("later")
    at_line(s.at("left/other"), "the other pause")
    has(s.said, r"^pause in actor `left` \(pid \d+\), task `other`: ")
    s.type("continue")
    s.expect("other: no error")
    s.p.sendintr()
    s.expect("SIGINT")
    at_any(s)
    s.type("detach")
    s.sign("end")
    s.end()


def test_repl_05_another_tasks_pause_stops_a_step():
    at = "left/repl:two_tasks"
    s = Scene(PROGRAM, "two_tasks")
    s.at(at)
    s.ask("next", at)
    at_line(s.ask("next", at), "a long line")
    s.type("next")
    s.sign("later")
    at_line(s.at("left/other"), "the other pause")
    s.type("quit")
    s.expect("other: DebuggerQuit")
    assert "DebuggerQuit" in s.end(1)


def test_repl_05_an_error_that_leaves_meanwhile():
    at = "left/repl:fail"
    s = stays("fail", at)
    s.type("continue")
    has(s.at(at), r"^error in actor `left`", r"on purpose", r"^%d\t.*the raise" % LINES["the raise"])
    s.type("detach")
    assert "on purpose" in s.end(1)


def test_repl_05_a_crash_stops_it_as_a_signal():
    at = "left/repl:crash"
    s = stays("crash", at)
    s.type("continue")
    said = s.at(at)
    has(said, r"received signal SIGSEGV", r"\bcrash \(ctx=")
    at_line(said, "the crash")
    has(s.ask("next", at), r"it can't be moved any more: `continue` lets it go its way")
    s.type("continue")  # to the crash's own prompt
    has(s.at(at), r"^SIGSEGV in actor `left`")
    s.type("continue")
    assert "died of SIGSEGV" in s.end(1)


def test_repl_05_the_process_ends_meanwhile():
    s = stays("leave", "left/repl:leave")
    s.type("continue")
    s.expect("left: leaves")  # and gdb, by itself or because the root has seen it first
    said = s.end(1)
    assert "actor `left`" in said, said


def test_repl_05_it_is_killed_meanwhile():
    s = stays("wait", "left/repl:wait")
    s.type("continue")
    s.expect("Continuing")
    os.kill(pid_of(s, "yoke-left"), signal.SIGKILL)
    assert "died of SIGKILL" in s.end(1)


def test_repl_05_others_wait_till_the_session_ends():
    at = "left/repl:pause_twice"
    s = stays("pair", at)
    s.type("continue")
    at_line(s.at(at), "bump")
    s.sign("right")
    s.expect(r"right/repl:wait waits for the debugger \(2nd in the queue\)")
    s.at(at)  # drawn again
    s.type("continue")
    at_line(s.at(at), "the second pause")
    s.type("detach")
    s.at("right/repl:wait")
    s.type("continue")
    s.sign("end")
    said = s.end()
    assert "left: after both" in said and "right: waited" in said, said


# ---- breakpoints for the actor's life ----


def keeps(scene, at, location="bump"):
    s = Scene(PROGRAM, scene)
    s.at(at)
    has(s.ask("yoke break " + location, at), r"^yoke breakpoint 1 at %s at .*repl_tree.c:%d: " % (location, LINES[{"bump": "bump", "twice": "in twice"}[location]]))
    return s


def test_repl_06_it_stops_the_actor_when_nobody_debugs_it():
    at = "left/repl:three"
    s = keeps("three", at)
    debuggers = set()
    for count in range(3):
        debuggers.add(pid_of(s, "gdb"))
        s.type("continue")
        said = s.at(at)
        has(said, r"detached\]", r"^breakpoint in actor `left` \(pid \d+\), task `repl:three`: #\d+ .*\bbump \(\)")
        at_line(said, "bump")
        got = value(s, "counter", at)
        assert got == count, (got, count, s.said)
    assert len(debuggers) == 3, debuggers
    has(s.ask("yoke break", at), r"^1  bump at .*repl_tree.c:%d$" % LINES["bump"])
    s.ask("next", at)  # it can be stepped from
    assert value(s, "counter", at) == 3
    s.type("continue")
    s.expect("left: counter 3")
    s.end()


def test_repl_06_it_can_be_deleted():
    at = "left/repl:three"
    s = keeps("three", at)
    s.type("continue")
    s.at(at)
    has(s.ask("yoke delete 7", at), r"^yoke: no breakpoint 7: `yoke break` lists them$")
    s.ask("yoke delete 1", at)
    has(s.ask("yoke break", at), r"^No yoke breakpoints\.$")
    has(s.ask("yoke break no_such_function", at), "no_such_function")
    s.type("continue")
    s.expect("left: counter 3")
    s.end()


def test_repl_06_while_the_session_lasts_it_is_gdbs():
    at = "left/repl:three"
    s = keeps("three", at)
    s.ask("break %d" % LINES["bump"], at)
    s.ask("disable 1", at)
    s.ask("tbreak abort", at)
    s.type("continue")
    for count in range(3):
        said = s.at(at)
        has(said, r"^yoke breakpoint 1 in actor `left` \(pid \d+\), task `repl:three`: #0 +bump \(\)")
        assert value(s, "counter", at) == count and "detached" not in said
        s.type("continue" if count < 2 else "detach")
    s.expect("left: counter 3")
    s.end()


def test_repl_06_any_task_that_comes_there():
    s = keeps("ten", T5, "twice")
    names = set()
    for _ in range(8):
        s.type("continue")
        said, name = at_any(s)
        has(said, r"^breakpoint in actor `left`")
        value(s, "n", name)
        names.add(name)
    assert len(names) > 5, names
    s.ask("yoke delete 1", name)
    while True:  # those that came there before are still to be served
        s.type("continue")
        if s.p.expect([r"\(yoke: left/t\d\) ", pexpect.EOF]):
            break
        s.said += s.p.before
    assert "left: 9 laps" in s.said + s.p.before, s.said
    s.end()


def test_repl_06_quit_is_told_by_the_next_checkpoint():
    at = "left/repl:three"
    s = keeps("three", at)
    s.type("continue")
    s.at(at)
    s.type("quit")
    said = s.end(1)
    assert "DebuggerQuit" in said and "left: counter" not in said, said


def test_repl_06_it_waits_for_the_terminal():
    at = "left/repl:pause_twice"
    s = Scene(PROGRAM, "pair")
    s.at(at)
    s.ask("yoke break bump", at)
    s.sign("right")
    s.expect(r"right/repl:wait waits for the debugger")
    s.at(at)
    s.type("continue")
    s.at("right/repl:wait")
    s.type("continue")
    at_line(s.at(at), "bump")
    s.ask("yoke delete 1", at)
    s.type("continue")
    s.at(at)
    s.type("continue")
    s.sign("end")
    assert "left: after both" in s.end()


# ---- calls ----


def test_repl_11_functions_can_be_called():
    at = "left/repl:calls"
    s = Scene(PROGRAM, "calls", {**CALLS, "ASAN_OPTIONS": "detect_leaks=0"})  # nobody frees what a print has made
    s.at(at)
    has(s.ask("call twice(21)", at), r"^\$1 = 42$")
    has(s.ask("print yoke_error_text(err)", at), r'= 0x[0-9a-f]+ "error: on purpose \[test.Broken\]')
    has(s.ask("print (char *) yoke_error_message(err)", at), r'"on purpose"')
    s.ask("call bump()", at)
    has(s.ask("print counter", at), r"= 1$")
    s.ask("next", at)
    has(s.ask("call rest(4)", at), r"^\$\d+ = 5$")  # it parks the task, and the scheduler runs others meanwhile
    s.type("continue")
    s.expect("left: counter 1")
    s.end()


# ---- whatever the person has set ----


class Home:
    """A folder with that .gdbinit."""

    def __init__(self, init):
        self.folder = tempfile.TemporaryDirectory()
        with open(os.path.join(self.folder.name, ".gdbinit"), "w") as f:
            f.write(init.replace("HOME", self.folder.name) + "\n")

    def __enter__(self):
        return {"HOME": self.folder.name}

    def __exit__(self, *error):
        self.folder.cleanup()


HABITS = (
    "set pagination on\nset height 3", "set confirm on", "set confirm off", "set width 40", "set print frame-info short-location",
    "set print frame-info location-and-address", "set print address off", "set prompt mine>", "set extended-prompt mine>",
    "python raise ValueError('an error of the init file')", "python gdb.prompt_hook = lambda prompt: 'mine>'",
    "no_such_command", "set history size 0", "set history remove-duplicates unlimited", "set editing off",
    "define hook-continue\necho mine\\n\nend\ndefine hook-quit\necho mine\\n\nend", "set non-stop on", "set language pascal",
    "set verbose on", "set listsize 3", "set trace-commands on", "set python print-stack full", "set print thread-events off",
    "set scheduler-locking step", "set breakpoint pending off", "set can-use-hw-watchpoints 0", "set logging enabled off",
    "python stop = attach = begin = session = None")


def test_repl_17_no_habit_of_the_init_file_breaks_the_prompt():
    at = "left/repl:pause_twice"
    for habit in HABITS:
        with Home(habit) as home:
            s = Scene(PROGRAM, "pause_twice", home)
            said = s.at(at)
            has(said, r"pause in actor `left` \(pid \d+\), task `repl:pause_twice`: ", r"^%d\t.*the first" % LINES["the first pause"])
            assert "--Type" not in said and "y or n" not in said, (habit, said)
            s.ask("next", at)
            at_line(s.ask("with print frame-info source-line -- frame", at), "bump one")
            s.type("continue")
            at_line(s.at(at), "the second pause")
            s.type("quit")
            said = s.end(1)
            assert "DebuggerQuit" in said and "y or n" not in said.split("quit")[-1], (habit, said)


def test_repl_17_the_init_file_is_honoured():
    at = "left/repl:frames"
    with Home("define hello\necho good day\\n\nend\nset $mine = 77\nset listsize 1\nalias np = next") as home:
        s = Scene(PROGRAM, "frames", home)
        s.at(at)
        has(s.ask("hello", at), "^good day$")
        has(s.ask("print $mine", at), "= 77$")
        assert len(s.ask("list", at).strip().splitlines()) == 2
        has(s.ask("np", at), r"^\d+\t.*SAY")
        s.type("continue")
        s.end()


def test_repl_17_confirm_is_as_it_was_set():
    at = "left/repl:frames"
    for asks in "on", "off":
        with Home("set confirm " + asks) as home:
            s = Scene(PROGRAM, "frames", home)
            s.at(at)
            has(s.ask("show confirm", at), r"operations is %s\." % asks)
            s.type("kill")
            s.expect(r"\(y or n\) ")
            s.type("n")
            s.at(at)
            has(s.ask("show confirm", at), r"operations is %s\." % asks)
            s.type("continue")
            s.end()


def test_repl_17_the_history_is_kept():
    at = "left/repl:pause_twice"
    with Home("set history save on\nset history filename HOME/typed") as home:
        s = Scene(PROGRAM, "pause_twice", home)
        s.at(at)
        s.ask("print 1234", at)
        s.type("continue")
        s.at(at)
        has(s.ask("show commands", at), r"^ *\d+ +print 1234$", r"^ *\d+ +continue$")
        s.type("continue")
        s.end()


# ---- the terminal ----


def test_repl_19_gdbs_own_colours():
    s = Scene(PROGRAM, "frames", {"TERM": "xterm-256color", "NO_COLOR": ""})
    said = s.at("left/repl:frames")
    has(said, r"\x1b\[33minner\x1b\[m", r"\x1b\[32m\S*repl_tree.c\x1b\[m")
    s.type("continue")
    s.end()


def test_repl_19_forty_columns():
    s = Scene(PROGRAM, "ten")
    s.p.setwinsize(50, 40)
    s.at(T5)
    has(s.ask("show width", T5), r"is (39|40)\.")  # a plain terminal's last column is left free
    s.ask("set pagination off", T5)
    tables = {"yoke tasks": (r"^ ?\d+  t7$", r"^ +state: waits in yoke_"), "yoke scopes": (r"^ *nursery of \d+", r"^ +opened at: \S+"),
              "yoke actors": (r"^this  left$", r"^ +pid: \d+$"), "yoke channels": (r"^root  \d+$", r"^ +bytes in: \d+$"),
              "yoke contexts": (r"^root  served$", r"^ +endpoint: repl:ten$")}
    for command, patterns in tables.items():
        said = s.ask(command, T5)
        has(said, *patterns)
        words = [line for line in said.replace("\r", "").splitlines() if len(line) > 40]
        assert not words, (command, words)
    s.type("continue")
    s.end()


def width_is(s, columns):
    """The prompt may have been drawn again, any number of times; it stands there once afterwards."""
    s.type("show width")
    s.expect(r"in a line is (\d+)\.")
    return int(s.p.match.group(1)) in (columns - 1, columns)


def width_becomes(s, columns, at):
    wait_till(lambda: width_is(s, columns), f"{columns} columns")
    s.type("echo in step\\n")
    s.expect(r"\nin step\r\n")
    s.at(at)


def test_repl_19_resizing_is_passed_on():
    s = begin_ten()
    s.p.setwinsize(200, 90)
    width_becomes(s, 90, T5)
    assert "pid: " not in s.ask("yoke actors", T5)
    s.p.setwinsize(200, 44)
    width_becomes(s, 44, T5)
    has(s.ask("yoke actors", T5), "^ +pid: ")
    s.ask("break twice if 0", T5)
    s.type("continue")  # and while it runs
    s.expect("Continuing")
    s.p.setwinsize(200, 133)
    s.p.sendintr()
    s.expect("SIGINT")
    width_becomes(s, 133, at_any(s)[1])
    s.type("detach")
    s.end()


run_tests(globals())
