"""Times that pass, or stand still, while somebody is at the debugger's prompt; and roots that fail early.

Usage: test_deadline_tree.py PROGRAM [TEST...]    (tests/devx/deadline_tree.c, built; no TEST: all)
"""

import os
import re
import signal
import sys
import time

from prompt import Scene, living, pid_of, run_tests, wait_till, wait_till_gone

PROGRAM = sys.argv[1]
BACKENDS = ("exec", "fork")
PAUSE = 0.4
OVER = 2  # seconds: all bounds of an actor's end
TIMEOUT = 1000  # ms, of the root in TEARDOWN-07
START = 1000  # ms: the bound of an actor's start
LIMIT = 3000  # ms: of deadlines that are not to pass before the prompt, on a busy machine


def scene(name, limit_ms, **environment):
    return Scene(PROGRAM, name, dict(environment, LIMIT_MS=str(limit_ms)))


def words(s):
    """What the actors have left in the folder of signs."""
    return {name for name in os.listdir(s.signs.name) if "-" in name}


def wait_for_word(s, word):
    wait_till(lambda: word in words(s), word)


# ---- the root times out, or fails, while a child is there

def typed_text_stays(s, name, happens):
    """Half of a line is typed when it happens, the rest after it: the prompt has one line, and nothing between."""
    s.p.send("print 40")
    s.expect("print 40")
    happens()
    time.sleep(OVER)
    s.type(" + 2")
    said = s.at(name)
    assert said.splitlines() == [" + 2", "$1 = 42"], said


def ends_by_roots_prompt(s, *texts):
    """Nobody is left but the root and its debugger; `continue` ends that, too."""
    said = s.at("root/main")
    for text in ("error in actor `root`",) + texts:
        assert text in said, "no %r in %s" % (text, said)
    others = [comm for _, comm in living(s.signs.name) if re.match("yoke-(?!zygote)", comm)]
    assert not others, others
    s.type("continue")
    begin = len(s.said)
    said = s.end(1)[begin:]
    for text in texts:
        assert text in said, "no %r in %s" % (text, said)


def root_times_out_beside(name, header, left):
    for backend in BACKENDS:
        s = scene(name, TIMEOUT, YOKE_BACKEND=backend)
        s.sign("go")
        assert header in s.at("left/times:%s" % name.split("_")[1])
        typed_text_stays(s, "left/times:%s" % name.split("_")[1], lambda: wait_for_word(s, "root-timeout"))
        s.type("continue")
        ends_by_roots_prompt(s, "[TooSlow]", "not done in 1000.000 ms", left)


def test_teardown_07_roots_deadline_passes_while_a_child_has_crashed():
    root_times_out_beside("timeout_crash", "SIGSEGV in actor `left`", "died of SIGSEGV")


def test_teardown_07_roots_deadline_passes_at_the_prompt_of_an_error():
    root_times_out_beside("timeout_fail", "error in actor `left`", "no luck [test.Broken]")


def child_crashes_after_the_timeout(name, header, left):
    """The child crashes because the root, which has timed out, cancels it: its prompt comes first all the same."""
    for backend in BACKENDS:
        s = scene(name, 300, YOKE_BACKEND=backend)
        at = "left/times:%s_in_cleanup" % name.split("_")[2]
        assert header in s.at(at)
        assert "root-timeout" in words(s)
        typed_text_stays(s, at, lambda: None)
        s.type("continue")
        ends_by_roots_prompt(s, "[TooSlow]", left)


def test_teardown_07_child_crashes_after_the_roots_deadline():
    child_crashes_after_the_timeout("timeout_then_crash", "SIGSEGV in actor `left`", "died of SIGSEGV")


def test_teardown_07_child_fails_after_the_roots_deadline():
    child_crashes_after_the_timeout("timeout_then_fail", "error in actor `left`", "no luck in the cleanup [test.Broken]")


def test_teardown_08_root_fails_right_after_spawn():
    for name in ("fail_in_context", "fail_after_start", "fail_after_run", "fail_while_opening"):
        for backend in BACKENDS:
            s = scene(name, 0, YOKE_BACKEND=backend, YOKE_LOG="cancel")
            ends_by_roots_prompt(s, "the root has no luck [test.Broken]")
            assert "SIGTERM" not in s.said and "SIGKILL" not in s.said, s.said


# ---- a module's first step pauses

OPENS = "left/yoke.modules:open"


def test_teardown_21_the_bound_of_a_start_stands_still():
    for backend in BACKENDS:
        s = scene("open_pauses", START, YOKE_BACKEND=backend)
        s.at(OPENS)
        time.sleep(START / 1000 + OVER)
        assert "= 42" in s.ask("print 40 + 2", OPENS)
        s.type("continue")
        s.expect("root: left has started")
        s.end()


def test_teardown_21_the_bound_of_a_start_goes_on_after_the_prompt():
    s = scene("open_pauses", START, STAY="1")
    s.at(OPENS)
    time.sleep(START / 1000)
    s.type("continue")
    left = time.monotonic()
    s.at("root/main")
    assert time.monotonic() - left > START / 1000 - 0.1
    s.type("continue")
    said = s.end(1)
    assert "actor `left` could not start" in said and "not done in %d.000 ms" % START in said, said


# ---- the root at its own prompt

def roots_prompt(name="root_pauses", **environment):
    s = scene(name, LIMIT, **environment)
    wait_for_word(s, "below-begun")
    s.sign("go")
    s.at("root/main")
    return s


def test_teardown_16_sigterm_at_the_roots_own_prompt():
    """It is heard when the prompt is left: then all ends in order."""
    for answer in ("continue", "quit"):
        s = roots_prompt()
        os.kill(s.p.pid, signal.SIGTERM)
        time.sleep(PAUSE)
        assert "= 42" in s.ask("print 40 + 2", "root/main")
        s.type(answer)
        left = time.monotonic()
        for who in ("right", "below"):
            wait_for_word(s, who + "-cleaned")
        s.end(143)
        assert time.monotonic() - left < 10


def test_teardown_17_the_terminal_goes_away_at_the_roots_own_prompt():
    for debug in ("1", "freeze"):
        s = roots_prompt("root_pauses_and_says", YOKE_DEBUG=debug)
        s.p.ptyproc.fileobj.close()  # and its number may be another's from here on
        s.p.closed = s.p.ptyproc.closed = True
        wait_till(lambda: not living(s.signs.name), "the end of all")
        assert {"root-DebuggerQuit", "right-cleaned", "below-cleaned"} <= words(s), words(s)
        s.p.wait()
        s.signs.cleanup()


def test_teardown_17_a_terminal_that_goes_away_from_under_a_shell():
    """Which leads the session, hands no SIGHUP on, and has its jobs in its own group."""
    for name, at, word in (("root_pauses_and_says", "root/main", "root-DebuggerQuit"),
                           ("child_pauses", "left/times:pause_in_time", "left-DebuggerQuit")):
        s = Scene(PROGRAM, name, {"LIMIT_MS": "600000"}, wrap='"$0" "$1"; exit')
        wait_for_word(s, "below-begun")
        s.sign("go")
        s.at(at)
        s.p.ptyproc.fileobj.close()
        s.p.closed = s.p.ptyproc.closed = True
        wait_till(lambda: not living(s.signs.name), "the end of all")
        assert {word, "right-cleaned", "below-cleaned"} <= words(s), words(s)
        s.p.wait()
        s.signs.cleanup()


def test_teardown_17_sighup_at_the_roots_own_prompt():
    """Of one who is not the terminal: heard when the prompt is left, as SIGTERM is."""
    s = roots_prompt()
    os.kill(s.p.pid, signal.SIGHUP)
    time.sleep(PAUSE)
    assert "= 42" in s.ask("print 40 + 2", "root/main")
    s.type("continue")
    s.end(129)


def test_teardown_11_root_killed_at_its_own_prompt():
    for debug in ("1", "freeze"):
        wait = 'while [ ! -e "$SIGNS/gone" ]; do sleep 0.05; done'
        raw = 'stty -a | grep -qw -- -icanon; echo "raw: $?"'
        s = Scene(PROGRAM, "root_pauses", {"LIMIT_MS": str(LIMIT), "YOKE_DEBUG": debug},
                  wrap='"$0" "$1"; echo "shell: $?"; %s; %s' % (wait, raw))
        wait_for_word(s, "below-begun")
        s.sign("go")
        s.at("root/main")
        others = [pid for pid, comm in living(s.signs.name) if comm == "gdb" or comm.startswith("yoke-")]
        os.kill(pid_of(s, "devx-deadline_t"), signal.SIGKILL)
        for pid in others:
            wait_till_gone(pid)
        s.sign("gone")
        said = s.end()
        assert "shell: 137" in said and "raw: 1" in said, said


# ---- the clocks of a tree

SPAN = r"(\w+): (sleep|deadline) after (\d+) ms, really (\d+) ms"
OTHERS = {"%s-%s" % (who, what) for who in ("root", "right", "below") for what in ("sleep", "deadline")}


def spans(said):
    """{(actor, what): (ms of its own clock, real ms)}"""
    return {(who, what): (int(run), int(real)) for who, what, run, real in re.findall(SPAN, said)}


def hold(s, name):
    """At that prompt for longer than all deadlines are; the ms."""
    begun = time.monotonic()
    time.sleep(LIMIT / 1000 + PAUSE)
    assert "= 42" in s.ask("print 40 + 2", name)
    return (time.monotonic() - begun) * 1000


def came_late(said, stood, expected):
    """All times were late by as long as the prompt was open, and no one's own clock has seen that."""
    got = spans(said)
    assert {"%s-%s" % key for key in got} == expected, said
    for who, (run, real) in got.items():
        assert LIMIT <= run < LIMIT + stood and real - run >= stood - 1, (who, run, real, stood)


def test_teardown_22_freeze_while_a_child_pauses():
    left = "left/times:pause_in_time"
    for backend, words_of_debug in (("exec", "freeze"), ("fork", "levels,freeze")):  # CFG-02
        s = scene("child_pauses", LIMIT, YOKE_BACKEND=backend, YOKE_DEBUG=words_of_debug)
        s.expect("root: all have begun")
        s.sign("go")
        s.at(left)
        stood = hold(s, left)
        assert not words(s) & OTHERS, words(s)
        s.type("continue")
        s.expect("left: in time")
        came_late(s.end(), stood, OTHERS | {"left-deadline"})


def test_teardown_22_without_freeze_they_pass():
    left = "left/times:pause_in_time"
    s = scene("child_pauses", LIMIT)
    s.expect("root: all have begun")
    s.sign("go")
    s.at(left)
    stood = hold(s, left)
    wait_till(lambda: OTHERS <= words(s), "all deadlines")
    s.type("continue")
    s.expect("left: too late")
    got = spans(s.end())
    assert all(abs(real - run) <= 1 for run, real in got.values()), got
    assert got["left", "deadline"][0] > stood, (got, stood)


def test_teardown_22_freeze_below_one_that_pauses():
    middle = "middle/times:middle_pauses"
    s = scene("parent_pauses", LIMIT, YOKE_DEBUG="freeze")
    s.expect("root: all have begun")
    s.sign("go")
    s.at(middle)
    stood = hold(s, middle)
    assert not words(s) & OTHERS, words(s)
    s.type("continue")
    came_late(s.end(), stood, OTHERS)


def test_teardown_22_freeze_while_the_root_pauses():
    s = scene("root_pauses", LIMIT, YOKE_DEBUG="freeze")
    wait_for_word(s, "below-begun")
    s.sign("go")
    s.at("root/main")
    stood = hold(s, "root/main")
    assert not words(s) & OTHERS, words(s)
    s.type("continue")
    came_late(s.end(), stood, OTHERS)


def test_teardown_22_freeze_while_a_child_has_crashed():
    s = scene("child_crashes", LIMIT, YOKE_DEBUG="freeze")
    s.expect("root: all have begun")
    s.sign("go")
    s.at("left/times:crash")
    hold(s, "left/times:crash")
    assert not words(s) & OTHERS, words(s)
    s.type("continue")
    said = s.end(1)
    assert "died of SIGSEGV" in said and not spans(said), said  # they were cancelled before


def test_teardown_22_freeze_and_a_crash_in_a_step():
    """The crashed one can't say that it has done with its first session, and is not waited for."""
    at = "left/times:pause_then_crash"
    s = scene("child_crashes_in_a_step", LIMIT, YOKE_DEBUG="freeze")
    s.at(at)
    s.type("next")
    s.at(at)
    s.type("next")
    s.expect("received signal SIGSEGV")
    s.at(at)
    s.type("continue")
    s.expect("SIGSEGV in actor `left`")
    s.at(at)
    s.type("continue")
    assert "died of SIGSEGV" in s.end(1)


def test_teardown_22_who_starts_meanwhile_begins_frozen():
    left = "left/times:pause_in_time"
    s = scene("child_starts_late", LIMIT, YOKE_DEBUG="freeze,direct")
    wait_till(lambda: os.path.exists(os.path.join(s.signs.name, "more")), "the root's wait")
    s.sign("go")
    s.at(left)
    with open(os.path.join(s.signs.name, "more"), "w") as more:
        more.write("!")
    wait_for_word(s, "late-begun")
    s.expect("root: all have begun")
    stood = hold(s, left)
    late = {"%s-%s" % (who, what) for who in ("root", "late") for what in ("sleep", "deadline")}
    assert not words(s) & late, words(s)
    s.type("continue")
    s.expect("left: in time")
    came_late(s.end(), stood, late | {"left-deadline"})


def test_teardown_22_freeze_does_not_stop_the_grace():
    left = "left/times:pause_in_time"
    s = scene("child_pauses", LIMIT, YOKE_DEBUG="freeze", YOKE_DEBUG_GRACE_MS="700")
    s.expect("root: all have begun")
    s.sign("go")
    s.at(left)
    os.kill(s.p.pid, signal.SIGTERM)
    s.expect("in 1 s at most")
    s.end(143)


def test_teardown_22_freeze_ends_with_the_root():
    left = "left/times:pause_in_time"
    s = scene("child_pauses", LIMIT, YOKE_DEBUG="freeze")
    s.expect("root: all have begun")
    s.sign("go")
    s.at(left)
    os.kill(pid_of(s, "devx-deadline_t"), signal.SIGKILL)
    wait_till(lambda: not living(s.signs.name), "the end of all")
    assert "right-cleaned" in words(s), words(s)  # which slept for it
    s.end(-signal.SIGKILL)


def test_dump_02_comes_while_one_stands_in_the_debugger():
    left = "left/times:pause_in_time"
    for word in ("direct", "freeze,direct"):
        s = scene("child_pauses", LIMIT, YOKE_DEBUG=word)
        s.expect("root: all have begun")
        s.sign("go")
        s.at(left)
        os.kill(s.p.pid, signal.SIGUSR1)
        s.expect(r"actor root / middle / `below` \(pid \d+\)")
        s.expect(r"actor root / `left` \(pid \d+\): it does not answer")
        s.type("continue")
        s.expect("left: (in time|too late)")
        s.end()


run_tests(globals())
