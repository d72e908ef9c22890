"""What others print while somebody is at the debugger's prompt, and what becomes of it.

Usage: test_output.py PROGRAM [TEST...]    (tests/devx/output_tree.c, built; no TEST: all)
"""

import os
import re
import signal
import sys
import time

import pexpect

from prompt import DIRECT, Scene, living, pid_of, run_tests, wait_till, wait_till_gone

PROGRAM = sys.argv[1]
LEFT = "left/speaks:stop"
DROPPED = r"\[yoke: ([\d,]+) lines? w(?:as|ere) dropped while the debugger was open\]"
SPEAKERS = ["n%d" % i for i in range(8)]


def has_sign(s, name):
    return os.path.exists(os.path.join(s.signs.name, name))


def wait_for_signs(s, what):
    for name in SPEAKERS:
        wait_till(lambda: has_sign(s, "%s %s" % (name, what)), "%s %s" % (name, what))


def types_slowly(s, line, answer):
    """Key by key: each echo comes before anything else does, and so does the answer, up to the next prompt."""
    for key in line:
        s.p.send(key)
        wait_till(lambda: s.p.read_nonblocking(1, 60) == key, "the echo of " + key)
    assert s.ask("", LEFT) == "\r\n" + answer + "\r\n", s.said


def read_all(s, is_all=lambda text: False):
    """What comes up to the end, or till it is all. (expect() looks for its pattern in all that has come, again and again.)"""
    text = ""
    try:
        while not is_all(text):
            text += s.p.read_nonblocking(65536, 60)
    except pexpect.EOF:
        pass
    return text


def read_to_the_end(s, pattern):
    """All of the noise, which ends when that has come, and what follows."""
    said = read_all(s, lambda text: re.search(pattern, text[-100000:]))
    s.sign("quiet")
    said += read_all(s, lambda text: len(re.findall(r"n\d ends after \d+\r\n", text[-4000:])) == len(SPEAKERS))
    s.sign("end")
    return said + read_all(s)


def check_lines(said):
    """Each line is whole. Those of an actor come in their order, and the mark says how many are not there."""
    seen, ended, missing, marked = dict.fromkeys(SPEAKERS, 0), [], 0, 0
    for line in said.splitlines():
        number = re.fullmatch(r"(n\d) line (\d+) of all that it has to say", line)
        end = re.fullmatch(r"(n\d) ends after (\d+)", line)
        mark = re.fullmatch(DROPPED, line)
        if mark:
            marked += int(mark.group(1).replace(",", ""))
        elif number or end:
            name, n = (number or end).groups()
            n = int(n) + (end is not None)
            assert n > seen[name] and name not in ended, (line, seen, ended)
            missing += n - seen[name] - 1
            seen[name] = n
            ended += [name] if end else []
        else:
            assert not re.search(r"n\d|of all that|yoke:", line), "torn: %r" % line
    assert sorted(ended) == SPEAKERS and missing == marked, (ended, missing, marked)
    return marked


def held_and_printed_after(backend):
    s = Scene(PROGRAM, "eight", {"YOKE_BACKEND": backend})
    s.sign("stop")
    before = s.at(LEFT)
    assert "left: before\r\nleft: no linepause in actor `left`" in before, before
    s.sign("loud")
    wait_for_signs(s, "loud")
    types_slowly(s, "print 40 + 2", "$1 = 42")
    # The one at the prompt is heard at once.
    steps = s.ask("next", LEFT) + s.ask("next", LEFT)
    assert "left: steps\r\n" in steps and not re.search(r"n\d line", steps), steps
    s.sign("calm")
    wait_for_signs(s, "calm")
    types_slowly(s, "print 42 + 2", "$2 = 44")
    s.type("continue")
    said = read_to_the_end(s, DROPPED)
    assert check_lines(said) > 100, said[-3000:]
    assert "left: after" in said and "left: ends" in said, said[-3000:]
    s.end()


def test_teardown_20_eight_actors_at_full_speed():
    held_and_printed_after("exec")


def test_teardown_20_eight_actors_at_full_speed_of_the_fork_backend():
    held_and_printed_after("fork")


def test_teardown_20_little_is_kept_whole():
    s = Scene(PROGRAM, "eight")
    s.sign("stop")
    s.at(LEFT)
    s.sign("calm")
    s.sign("loud")
    wait_for_signs(s, "calm")
    types_slowly(s, "print 40 + 2", "$1 = 42")
    s.type("continue")
    assert check_lines(read_to_the_end(s, "n7 line 1 ")) == 0
    s.end()


def test_teardown_20_a_killed_actor_leaves_the_prompt_alone():
    s = Scene(PROGRAM, "eight")
    s.sign("stop")
    s.at(LEFT)
    s.sign("loud")
    wait_for_signs(s, "loud")
    killed = pid_of(s, "yoke-n3")
    os.kill(killed, signal.SIGKILL)
    wait_till_gone(killed)
    types_slowly(s, "print 40 + 2", "$1 = 42")
    s.sign("calm")
    s.type("continue")
    said = read_all(s)
    assert re.search(DROPPED, said) and "died of SIGKILL" in said, said[-3000:]
    s.end(1)


# The shell leads the session, and stays: its terminal is not hung up.
STAYS = '"$0" "$1"; echo "status: $?"; while [ ! -e "$SIGNS/gone" ]; do sleep 0.05; done'


def wait_till_alone(s):
    wait_till(lambda: {comm for _, comm in living(s.signs.name)} <= {"sh", "sleep"}, "the end of all but the shell")


def test_teardown_20_killed_root():
    s = Scene(PROGRAM, "eight", wrap=STAYS)
    s.sign("stop")
    s.at(LEFT)
    s.sign("loud")
    wait_for_signs(s, "loud")
    os.kill(pid_of(s, "devx-output_tre"), signal.SIGKILL)
    parts = []
    while True:  # what was held has to be read, for the others to end
        try:
            parts.append(s.p.read_nonblocking(65536, 0.2))
        except pexpect.TIMEOUT:
            if {comm for _, comm in living(s.signs.name)} <= {"sh", "sleep"}:
                break
    s.sign("gone")
    said = "".join(parts) + read_all(s)
    assert "status: 137" in said and re.search(DROPPED, said), said[-3000:]
    assert said.count(" of all that it has to say\r\n") > 10000, len(said)
    s.end()


def test_teardown_20_killed_copier():
    s = Scene(PROGRAM, "left")
    s.sign("stop")
    s.at(LEFT)
    os.kill(pid_of(s, "yoke output"), signal.SIGKILL)
    assert "= 42" in s.ask("print 40 + 2", LEFT)
    s.type("continue")
    wait_till(lambda: has_sign(s, "after"), "left goes on")
    s.sign("end")
    s.end()


def test_teardown_20_a_crash_of_the_root_is_told_before_its_prompt():
    s = Scene(PROGRAM, "root_crashes")
    s.sign("stop")
    s.at(LEFT)
    s.sign("crash")
    wait_till(lambda: has_sign(s, "crashes"), "the root's crash")
    types_slowly(s, "print 40 + 2", "$1 = 42")
    s.type("continue")
    before = s.at("root/say_and_crash")
    told = re.search(r"root: while left is there\r\nyoke: actor root \(pid \d+\) died of SIGSEGV", before)
    assert told and told.start() < before.index("SIGSEGV in actor `root`"), before
    s.type("continue")
    s.expect(pexpect.EOF)
    wait_till(lambda: not living(s.signs.name), "the end of all")
    s.end(-signal.SIGSEGV)


def all_lines(said):
    numbers = [int(n) for n in re.findall(r"^root line (\d+) of all that it has to say\r$", said, re.M)]
    assert numbers == list(range(1, 20001)) and "root: no line" in said, said[-3000:]
    return said.split("root: no line")[1]


def way_out(scene, status, *before_prompt):
    # A program that leaves by exit() leaves memory behind.
    s = Scene(PROGRAM, scene, {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"})
    for name in before_prompt:
        s.at(name)
        s.type("continue")
    said = read_all(s)
    said = s.said + said
    wait_till(lambda: not living(s.signs.name), "the end of all")
    s.end(status)
    return all_lines(said)


def test_teardown_20_all_is_out_at_the_end():
    assert way_out("out_end", 0) == ""


def test_teardown_20_all_is_out_after_an_error():
    assert "error: the last word [Usage]" in way_out("out_error", 1, "root/main")


def test_teardown_20_all_is_out_at_exit():
    assert way_out("out_exit", 7) == ", and what was not flushed"


def test_teardown_20_all_is_out_after_a_crash():
    assert "yoke: actor root" in way_out("out_crash", -signal.SIGSEGV, "root/main")


def test_teardown_20_all_is_out_after_a_crash_without_a_debugger():
    s = Scene(PROGRAM, "out_crash", {"YOKE_DEBUGGER": "no-such-debugger"})
    wait_till(lambda: has_sign(s, "said"), "the crash")
    time.sleep(0.2)  # it could have died; but what it has said is not out yet
    said = read_all(s)
    wait_till(lambda: not living(s.signs.name), "the end of all")
    s.end(-signal.SIGSEGV)
    assert "yoke: actor root" in all_lines(said)


def test_teardown_20_all_is_out_after_sigquit():
    assert "main" in way_out("out_quit", -signal.SIGQUIT)


def test_teardown_20_all_is_out_after_sigkill():
    s = Scene(PROGRAM, "out_kill", wrap=STAYS)
    s.expect("root: no line")
    wait_till_alone(s)
    s.sign("gone")
    # The shell hears of the end at once, and may speak between.
    said = s.end()
    assert said.count("status: 137\r\n") == 1, said[-3000:]
    all_lines(re.sub(r"Killed\r\n|status: 137\r\n", "", said))


def test_teardown_20_a_program_that_goes_on_has_its_terminal_back():
    s = Scene(PROGRAM, "own")
    said = read_all(s)
    s.end()
    assert said.count("\r\nroot line 20000 of") == 2 and said.count("no lineown: the terminal, no child\r\n") == 2, said[-3000:]


def test_teardown_20_size_of_the_window():
    s = Scene(PROGRAM, "sized")
    s.expect("right: a terminal, a terminal")
    s.expect("right: 50 rows, 200 columns")
    s.p.setwinsize(30, 90)
    s.expect("right: 30 rows, 90 columns")
    s.sign("stop")
    s.at(LEFT)
    s.p.setwinsize(40, 150)
    s.type("continue")
    s.expect("right: 40 rows, 150 columns")
    s.sign("end")
    s.end()


def test_teardown_20_a_terminal_that_takes_nothing_keeps_nobody_waiting():
    s = Scene(PROGRAM, "ticks")
    s.p.send("\x13")  # ctrl-s
    s.sign("stop")
    wait_till(lambda: "gdb" in {comm for _, comm in living(s.signs.name)}, "a debugger")
    s.sign("tick")
    wait_till(lambda: has_sign(s, "ticks"), "the root goes on")
    s.p.send("\x11")  # ctrl-q
    s.at(LEFT)
    assert "= 42" in s.ask("print 40 + 2", LEFT)
    s.type("continue")
    s.sign("end")
    s.expect("left: ends")
    assert "left: before\r\nleft: no line" in s.end(), s.said


def test_teardown_20_direct():
    s = Scene(PROGRAM, "sized", DIRECT)
    s.sign("stop")
    s.at(LEFT)
    s.p.setwinsize(40, 150)
    s.expect("right: 40 rows, 150 columns")
    assert "yoke output" not in {comm for _, comm in living(s.signs.name)}
    s.type("continue")
    s.sign("end")
    s.end()


run_tests(globals())
