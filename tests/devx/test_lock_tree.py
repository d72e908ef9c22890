"""The one terminal of a tree, and who has it.

Usage: test_lock_tree.py PROGRAM [TEST...]    (tests/devx/lock_tree.c, built; no TEST: all)
"""

import os
import re
import signal
import sys
import time

import pexpect

from prompt import DIRECT, Scene, living, pid_of, run_tests, wait_till, wait_till_gone

PROGRAM = sys.argv[1]
SLOW = 20  # the machine may be busy


def test_lock_01_started_says_that_it_is_ours_and_lock_02_release_gives_it_back():
    s = Scene(PROGRAM, "by_hand")
    said = s.at("left/by hand")
    assert "started: LockStatus, uid mine, cid of 36, locked 1" in said, said
    s.type("quit")
    s.sign("release")
    s.expect("wrong release: Usage")
    assert "started: LockStatus" in s.at("left/by hand"), s.said
    s.type("quit")
    s.expect("result: LockStatus, uid mine, cid of 36, locked 0")
    s.end()


def test_lock_02_not_free_before_the_release():
    s = Scene(PROGRAM, "by_hand", {"YOKE_LOG": "devx=runtime"})
    s.at("left/by hand")
    s.type("quit")
    s.expect("detached")
    assert s.p.expect(["has given it back", pexpect.TIMEOUT], timeout=0.4) == 1
    s.sign("release")
    s.expect("has given it back")
    s.at("left/by hand")
    s.type("quit")
    s.end()


def test_lock_03_served_in_the_order_of_asking_and_lock_16_waiters_are_shown():
    s = Scene(PROGRAM, "six")
    s.at("a/lock:stop")
    s.sign("prompt")
    for place, name in (("2nd", "b"), ("3rd", "c"), ("4th", "d"), ("5th", "e"), ("6th", "f")):
        s.expect(r"%s/lock:stop waits for the debugger \(%s in the queue\)" % (name, place))
    s.at("a/lock:stop")  # drawn again
    for name in "abcdef":
        if name != "a":
            s.at("%s/lock:stop" % name)
        s.type("continue")
        s.expect("%s: went on" % name)
    s.end()


def test_lock_05_cancelled_as_it_waits():
    s = Scene(PROGRAM, "cancelled_in_line", DIRECT)
    s.at("a/lock:stop")
    s.sign("prompt")
    s.expect("root: cancels b")
    s.type("continue")
    s.at("b/lock:stop")
    assert "b: " not in s.said, s.said
    s.type("continue")
    s.expect("b: went on")
    s.expect("b: is cancelled")
    s.end()


LOG = {"YOKE_LOG": "devx=runtime"}


def cut(s):
    """The request has been cut; whoever asks next has the terminal, and nothing of it is left."""
    s.expect("left: cut")
    s.at("left/lock:stop_after_cut")
    s.type("continue")
    said = s.end()
    for what in ("has it", "has given it back"):
        lines = re.findall(r"actor `left` \S+ task `by hand`, cid \S+ %s\r" % what, said)
        assert len(lines) == 1, (what, said)


def test_lock_cut_as_it_is_sent():
    s = Scene(PROGRAM, "cut", dict(LOG, CUT="sent"))
    s.expect("left: cut")
    s.at("left/lock:stop_after_cut")
    s.type("continue")
    said = s.end()
    # The root may have granted it before it read that it was cut.
    for what in ("has it", "has given it back"):
        assert len(re.findall(r"task `by hand`, cid \S+ %s\r" % what, said)) in (0, 1), said
    assert "is granted" not in said, said


def test_lock_cut_in_the_line():
    s = Scene(PROGRAM, "cut_in_line", dict(LOG, CUT="queued", **DIRECT))
    s.at("a/lock:stop")
    s.sign("prompt")
    s.expect(r"left/by hand waits for the debugger \(2nd in the queue\)")
    s.sign("cut")
    s.expect("left: cut")
    s.expect(r"left/lock:stop_after_cut waits for the debugger \(2nd in the queue\)")
    s.type("print 40 + 2")
    s.expect("= 42")
    s.type("continue")
    s.expect("a: went on")
    s.at("left/lock:stop_after_cut")
    s.type("continue")
    said = s.end()
    assert not re.search(r"task `by hand`, cid \S+ has it\r", said) and "is granted" not in said, said


def test_lock_cut_when_granted_and_not_read():
    s = Scene(PROGRAM, "cut", dict(LOG, CUT="granted"))
    s.expect(r"actor `left` \S+ task `by hand`, cid \S+ has it\r")
    s.sign("cut")
    cut(s)
    assert "is granted" not in s.said, s.said


def test_lock_cut_while_it_is_held():
    s = Scene(PROGRAM, "cut", dict(LOG, CUT="holding"))
    s.at("left/by hand")
    gdb = pid_of(s, "gdb")
    s.sign("cut")
    cut(s)
    wait_till_gone(gdb)


def test_lock_cut_as_it_is_released():
    s = Scene(PROGRAM, "cut", dict(LOG, CUT="releasing"))
    s.at("left/by hand")
    s.type("continue")
    cut(s)


def test_lock_06_and_pause_08_no_prompt_in_a_cancelled_scope():
    said = Scene(PROGRAM, "cancelled_scope").end()
    assert "left: pause 1: Cancelled" in said and "left: pause 2: Cancelled" in said, said
    assert said.count("yoke_pause_shielded() opens one") == 2 and "(yoke" not in said, said


def test_lock_08_killed_holder():
    s = Scene(PROGRAM, "three", {"YOKE_LOG": "devx=runtime"})
    s.at("a/lock:stop")
    s.sign("prompt")
    s.expect(r"3rd in the queue")
    gdb = pid_of(s, "gdb")
    begin = time.monotonic()
    os.kill(pid_of(s, "yoke-a"), signal.SIGKILL)
    s.expect(r"actor `b` \S+ task `lock:stop`, cid \S+ has it\r")
    assert time.monotonic() - begin < 0.2 * SLOW
    assert not os.path.exists("/proc/%d" % gdb)
    s.at("b/lock:stop")
    s.type("continue")
    s.expect("b: went on")
    s.at("c/lock:stop")
    s.type("continue")
    s.expect("c: went on")
    said = s.end(1)
    assert "died of SIGKILL" in said, said


def test_lock_09_killed_waiter():
    s = Scene(PROGRAM, "three")
    s.at("a/lock:stop")
    s.sign("prompt")
    s.expect(r"3rd in the queue")
    s.at("a/lock:stop")
    b = pid_of(s, "yoke-b")
    os.kill(b, signal.SIGKILL)
    wait_till_gone(b)
    assert "= 42" in s.ask("print 40 + 2", "a/lock:stop")
    s.type("continue")
    s.expect("a: went on")
    s.at("c/lock:stop")
    s.type("continue")
    s.expect("c: went on")
    assert "yoke: b/" not in s.end(1)


def test_lock_10_the_root_queues_with_the_rest():
    s = Scene(PROGRAM, "root_too")
    s.at("a/lock:stop")
    s.sign("prompt")
    s.expect(r"root/asker waits for the debugger \(2nd in the queue\)")
    s.expect(r"b/lock:stop waits for the debugger \(3rd in the queue\)")
    s.type("continue")
    s.at("root/asker")
    s.type("continue")
    s.expect("root: went on")
    s.at("b/lock:stop")
    s.type("continue")
    s.expect("b: went on")
    s.end()


def test_lock_12_two_tasks_of_one_actor():
    s = Scene(PROGRAM, "two_tasks")
    s.at("left/parse")
    s.type("continue")
    s.at("left/print")
    s.type("continue")
    s.end()


def test_lock_13_an_actor_that_is_being_ended_is_refused():
    said = Scene(PROGRAM, "too_late").end()
    assert "no debugger: the root is shutting down this actor" in said, said
    assert "left: no prompt" in said and "(yoke" not in said, said


def test_lock_15_one_line_for_each_step_at_level_runtime():
    s = Scene(PROGRAM, "three", {"YOKE_LOG": "devx=runtime"})
    for name in "abc":
        s.at("%s/lock:stop" % name)
        if name == "a":
            s.sign("prompt")
            s.expect(r"3rd in the queue")
        s.type("continue")
        s.expect("%s: went on" % name)
    said = s.end()
    who = r"RUNTIME +root\[\d+\].* the terminal: actor `%s` \([0-9a-f-]{36}\), task `lock:stop`, cid [0-9a-f-]{36} %s\r"
    for name, behind in (("a", None), ("b", "a"), ("c", "b")):
        for what in ("is asked for", "has it", "has given it back"):
            assert len(re.findall(who % (name, what), said)) == 1, (name, what, said)
        waits = re.findall(who % (name, "waits behind `%s/lock:stop`" % behind), said)
        assert len(waits) == (behind is not None), (name, said)
    quiet = Scene(PROGRAM, "one", {"YOKE_LOG": "info"})
    quiet.at("left/lock:stop")
    quiet.type("continue")
    assert "the terminal:" not in quiet.end()


def test_lock_17_a_grandchild_asks_the_root():
    s = Scene(PROGRAM, "grandchild")
    s.at("left/lock:stop")
    assert "middle: debug mode 0" in s.said, s.said
    s.type("continue")
    s.expect("left: went on")
    s.end()


run_tests(globals())
