"""A tree ends while somebody is at the debugger's prompt: nobody is disturbed there, and everything ends.

Usage: test_end_tree.py PROGRAM [TEST...]    (tests/devx/end_tree.c, built; no TEST: all)
"""

import os
import re
import signal
import sys
import time

from prompt import DIRECT, Scene, living, pid_of, run_tests, wait_till, wait_till_gone

PROGRAM = sys.argv[1]
CANCELS = {"YOKE_LOG": "cancel"}
CANCELS_AT_ONCE = dict(DIRECT, YOKE_LOG="cancel")
LEFT = "left/ends:stop"
PAUSE = 0.4  # all of the scenes' bounds are over then


def asked(s):
    """Who was asked to end."""
    return re.findall(r"asking actor `(\w+)` \(pid", s.said)


def still_there(s, name=LEFT):
    """Nothing is said at the prompt, whose echo comes; and nobody is asked or killed."""
    before = asked(s)
    time.sleep(PAUSE)
    said = s.ask("print 40 + 2", name)
    lines = [line for line in said.splitlines() if "to cancel `" not in line]  # that of a task is told, and waits
    assert lines == ["print 40 + 2", "$1 = 42"], said
    assert asked(s) == before, s.said


def test_teardown_01_cancelled_while_a_child_is_at_the_prompt():
    s = Scene(PROGRAM, "cancelled", CANCELS_AT_ONCE)
    s.at(LEFT)
    s.sign("go")
    s.expect("root: cancels\r\n")
    still_there(s)
    assert not asked(s)
    s.type("continue")
    s.expect(r"asking actor `left` \(pid")
    s.expect("left: cancelled")
    s.expect("root: all are gone")
    assert "SIG" not in s.end()


def test_teardown_02_those_who_wait_are_served_first():
    s = Scene(PROGRAM, "queue", CANCELS_AT_ONCE)
    s.sign("go")
    s.expect("root: cancels")
    for _ in range(3):
        s.expect(r"\(yoke: ([abc])/ends:stop\) $")
        assert not asked(s), s.said
        s.type("continue")
        s.expect("%s: no error" % s.p.match.group(1))
    s.expect("root: all are gone")
    assert "SIG" not in s.end() and sorted(asked(s)) == ["a", "b", "c"]


def test_teardown_03_child_by_child():
    s = Scene(PROGRAM, "five", CANCELS)
    s.sign("go")
    s.at("a/ends:stop_in_cleanup")
    assert asked(s) == ["a"], s.said
    s.type("continue")
    s.at("c/ends:stop_in_cleanup")
    assert asked(s) == ["a", "b", "c"], s.said
    s.type("continue")
    s.expect("root: all are gone")
    assert asked(s) == ["a", "b", "c", "d", "e"], s.said
    assert "SIG" not in s.end()


def killed_sibling(name):
    """`other` is killed while `left` is at the prompt. The scene, and all that it said."""
    s = Scene(PROGRAM, name, CANCELS_AT_ONCE)
    s.at(LEFT)
    os.kill(pid_of(s, "yoke-other"), signal.SIGKILL)
    s.expect("asking actor `left` to cancel `ends:stop`\r\n")
    still_there(s)
    assert not asked(s)
    s.type("continue")
    s.expect("left: cancelled")
    said = s.end(1)
    return s, said


def test_teardown_04_failed_root_kills_nobody_in_the_debugger():
    s, said = killed_sibling("failed")
    assert asked(s) == ["left"] and "SIGTERM" not in said and "died of SIGKILL" in said, said


def test_teardown_04_nor_does_a_hard_kill():
    s = Scene(PROGRAM, "killed", CANCELS_AT_ONCE)
    s.at(LEFT)
    s.sign("go")
    s.expect("root: kills\r\n")
    still_there(s)
    s.type("continue")
    s.expect("root: all are gone")
    assert "SIGKILL" in s.end()


def test_teardown_05_after_the_prompt_it_is_killed_if_it_stays():
    s = Scene(PROGRAM, "stays", CANCELS_AT_ONCE)
    s.at("left/ends:stop_and_stay")
    s.sign("go")
    s.expect("root: cancels")
    s.type("continue")
    s.expect("left: no error")
    s.expect(r"asking actor `left` \(pid")
    s.expect("SIGTERM")
    s.expect("root: all are gone")
    s.end()


def test_teardown_06_siblings_are_reaped_meanwhile():
    s = Scene(PROGRAM, "siblings", dict(DIRECT, YOKE_LOG="cancel,actor=runtime"))
    s.at(LEFT)
    s.sign("soon")
    s.expect(r"actor `short` \(pid \d+\) is reaped")
    s.expect(r"actor `hangs` \(pid \d+\) is reaped")
    assert sorted(asked(s)) == ["hangs", "short"], s.said
    assert "= 42" in s.ask("print 40 + 2", LEFT)
    s.type("continue")
    s.expect("left: no error")
    s.end(1)


def test_teardown_09_middle_actor_fails():
    s, said = killed_sibling("nested")
    assert "left" in asked(s) and "SIGTERM" not in said and "died of SIGKILL" in said, said


def test_teardown_10_middle_actor_killed():
    s = Scene(PROGRAM, "nested", CANCELS)
    s.at(LEFT)
    os.kill(pid_of(s, "yoke-middle"), signal.SIGKILL)
    time.sleep(PAUSE + 0.6)  # what a dead actor leaves behind is given 0.6 s
    said = s.ask("print 40 + 2", LEFT)
    assert "= 42" in said, said
    left = pid_of(s, "yoke-left")
    s.type("continue")
    wait_till_gone(left)
    said = s.end(1)
    assert "died of SIGKILL" in said, said


def test_teardown_11_root_killed():
    # The shell leads the session: its terminal is not hung up.
    wait = 'while [ ! -e "$SIGNS/gone" ]; do sleep 0.05; done'
    raw = 'stty -a | grep -qw -- -icanon; echo "raw: $?"'
    s = Scene(PROGRAM, "cancelled", wrap='"$0" "$1"; echo "shell: $?"; %s; %s' % (wait, raw))
    s.at(LEFT)
    gdb, left = pid_of(s, "gdb"), pid_of(s, "yoke-left")
    os.kill(pid_of(s, "devx-end_tree"), signal.SIGKILL)
    wait_till_gone(gdb)
    wait_till_gone(left)
    s.sign("gone")
    said = s.end()
    assert "shell: 137" in said and "raw: 1" in said, said
    assert "left: cancelled" in said and "SIGKILL" not in said, said


def wait_till_it_runs(pid):
    """Long, and not from the one stop of a step to the next."""
    looks = 0
    while looks < 20:
        with open(f"/proc/{pid}/stat") as f:
            state = f.read().rpartition(")")[2].split()[0]
        looks = 0 if state in "tT" else looks + 1
        time.sleep(0.02)


def test_teardown_12_ctrl_c_at_the_prompt_is_gdbs():
    s = Scene(PROGRAM, "slowly", CANCELS)
    at = "left/ends:step_slowly"
    pid = int(re.search(r"\(pid (\d+)\)", s.at(at)).group(1))
    s.p.send("print 1")
    s.expect("print 1")  # a ctrl-c that takes back what was not yet read leaves gdb waiting for a next key
    s.p.sendintr()
    s.expect("Quit")
    s.at(at)
    s.ask("next", at)
    s.type("next")  # over the slow line
    wait_till_it_runs(pid)
    s.p.sendintr()
    s.expect("SIGINT")
    s.at(at)
    s.type("continue")
    s.sign("go")
    said = s.end()
    assert "nterrupted" not in said, said


def test_teardown_13_ctrl_c_from_elsewhere():
    s = Scene(PROGRAM, "cancelled", CANCELS)
    s.at(LEFT)
    os.kill(s.p.pid, signal.SIGINT)
    s.expect("ctrl-c: `%s` has the debugger: it does not end the program" % LEFT)
    s.at(LEFT)
    assert "= 42" in s.ask("print 40 + 2", LEFT)
    s.type("continue")
    s.expect("left: no error")
    s.sign("go")
    s.expect("root: all are gone")
    s.end()


def test_teardown_14_ctrl_c_after_the_prompt():
    s = Scene(PROGRAM, "cancelled", CANCELS)
    s.at(LEFT)
    s.type("continue")
    s.expect("left: no error")
    wait_till(lambda: "gdb" not in [comm for _, comm in living(s.signs.name)], "the end of gdb")
    time.sleep(0.1)
    s.p.sendintr()
    s.expect("left: cancelled")
    assert "interrupted" in s.end(130)


def test_teardown_16_sigterm_waits_for_the_grace():
    s = Scene(PROGRAM, "cancelled", {"YOKE_DEBUG_GRACE_MS": "1500"})
    s.at(LEFT)
    gdb, begin = pid_of(s, "gdb"), time.monotonic()
    os.kill(s.p.pid, signal.SIGTERM)
    s.expect("SIGTERM: the program ends when `%s` has left the debugger, in 2 s at most" % LEFT)
    s.at(LEFT)
    assert "= 42" in s.ask("print 40 + 2", LEFT)
    s.expect("left: DebuggerQuit")
    assert time.monotonic() - begin > 1.4
    s.end(143)
    assert not os.path.exists("/proc/%d" % gdb)


def test_teardown_16_the_prompt_left_in_the_grace_ends_it_at_once():
    s = Scene(PROGRAM, "cancelled")
    s.at(LEFT)
    os.kill(s.p.pid, signal.SIGTERM)
    s.expect("in 10 s at most")
    s.at(LEFT)
    s.type("continue")
    s.expect("left: no error")
    s.expect("left: cancelled")
    s.end(143)


def test_teardown_16_second_sigterm_waits_no_more():
    s = Scene(PROGRAM, "cancelled")
    s.at(LEFT)
    os.kill(s.p.pid, signal.SIGTERM)
    s.expect("in 10 s at most")
    os.kill(s.p.pid, signal.SIGTERM)
    s.expect("left: DebuggerQuit")
    s.end(143)


def test_teardown_17_sighup():
    s = Scene(PROGRAM, "queue", DIRECT)
    s.expect(r"\(yoke: [abc]/ends:stop\) $")
    present = {"yoke-a", "yoke-b", "yoke-c", "gdb"}
    wait_till(lambda: present <= {comm for _, comm in living(s.signs.name)}, "three children and a debugger")
    s.sign("go")
    s.expect("root: cancels")
    os.kill(s.p.pid, signal.SIGHUP)
    for _ in range(3):
        s.expect("[abc]: DebuggerQuit")
    s.end(129)


def test_teardown_17_the_terminal_goes_away():
    s = Scene(PROGRAM, "cancelled")
    s.at(LEFT)
    os.close(s.p.child_fd)
    wait_till(lambda: not living(s.signs.name), "the end of all")
    assert os.path.exists(os.path.join(s.signs.name, "DebuggerQuit"))
    s.p.closed, s.p.child_fd = True, -1
    s.p.wait()


def test_teardown_18_killed_debugger():
    s = Scene(PROGRAM, "queue")
    s.expect(r"\(yoke: ([abc])/ends:stop\) $")
    first = s.p.match.group(1)
    os.kill(pid_of(s, "gdb"), signal.SIGKILL)
    s.expect("the debugger of `%s/ends:stop` was killed by SIGKILL: the task goes on" % first)
    for _ in range(2):
        s.expect(r"\(yoke: [abc]/ends:stop\) $")
        s.type("continue")
    s.sign("go")
    s.expect("root: all are gone")
    said = s.end()
    assert "%s: no error" % first in said and said.count("was killed by") == 1, said


def ends_by_typing(word, question=None, answer=None):
    def way(s):
        s.type(word)
        if question:
            s.expect(question)
            s.type(answer)

    return way


def ends_by_killing(command):
    return lambda s: os.kill(pid_of(s, command), signal.SIGKILL)


def stays_and_detaches(s):
    s.ask("tbreak abort", LEFT)
    s.type("continue")
    s.expect("Continuing")
    s.p.sendintr()
    s.expect("SIGINT")
    s.expect(r"\(yoke: left/[^)]*\) ")
    s.type("detach")


def test_teardown_19_the_terminal_is_as_it_was():
    ways = {
        "continue": ends_by_typing("continue"),
        "a session that stays": stays_and_detaches,
        "quit": ends_by_typing("quit"),
        "kill": ends_by_typing("kill", r"\(y or n\) ", "y"),
        "gdb killed": ends_by_killing("gdb"),
        "child killed": ends_by_killing("yoke-left"),
        "root cancelled": lambda s: os.kill(pid_of(s, "devx-end_tree"), signal.SIGHUP),
    }
    show = 'stty -a; ps -o tpgid= -p $$ | tr -d " " | sed "s/^$$\\$/foreground ours/"'
    for name, way in ways.items():
        s = Scene(PROGRAM, "cancelled", wrap='%s; echo =1=; "$0" "$1"; echo =2=; %s; echo =3=' % (show, show))
        s.expect("=1=")
        s.at(LEFT)
        s.p.setwinsize(40, 150)
        s.p.setwinsize(50, 200)
        s.sign("go")
        way(s)
        s.end()
        before, rest = s.said.split("=1=")
        after = rest.split("=2=")[1].split("=3=")[0]
        assert before.split() == after.split() and "foreground ours" in after, (name, before, after)


def test_teardown_21_no_bound_passes_in_the_debugger():
    s = Scene(PROGRAM, "in_cleanup", CANCELS)
    s.sign("go")
    at = "left/ends:stop_in_cleanup"
    s.at(at)
    assert asked(s) == ["left"], s.said
    still_there(s, at)
    s.type("continue")
    s.expect("left: cancelled")
    s.expect("root: all are gone")
    assert "SIG" not in s.end()


def test_teardown_21_nor_the_one_for_the_cancel_of_a_task():
    s = Scene(PROGRAM, "context_cancelled", CANCELS_AT_ONCE)
    s.at(LEFT)
    s.sign("go")
    s.expect("root: cancels the task\r\n")
    time.sleep(0.8)
    assert "= 42" in s.ask("print 40 + 2", LEFT)
    s.type("continue")
    s.expect("left: cancelled")
    s.expect("root: the task has ended")
    assert "did not say within" not in s.end()


def test_teardown_22_deadlines_of_the_program_go_on():
    s = Scene(PROGRAM, "deadline", DIRECT)
    s.at(LEFT)
    s.sign("go")
    s.expect("root: the deadline has passed")
    assert "= 42" in s.ask("print 40 + 2", LEFT)
    s.type("continue")
    s.end()


run_tests(globals())
