#!/usr/bin/env python3
"""Signals that people and supervisors send to actors, with real trees. Usage: test_signals.py REAP_TREE. Prints TAP."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import processes
from trees import PATIENCE, Tree, check, run, tap

PROGRAM = os.path.abspath(sys.argv[1])
SANITIZED = b"__asan_init" in open(PROGRAM, "rb").read()
# Bounds of time are those of the library, and this for a machine that does other things as well.
SLACK = 12.0 if SANITIZED else 6.0
TESTS = []


def scene(*arguments, **variables):
    """A test of one tree, with each backend."""

    def wrap(fn):
        for backend in "exec", "fork":
            TESTS.append((f"{fn.__name__}_{backend}",
                          lambda backend=backend: run(fn, [PROGRAM, *map(str, arguments)], backend, **variables)))
        return fn

    return wrap


def cleaned(tree):
    return sorted(line.split()[0] for line in tree.lines() if line.endswith("cleans up"))


TWO_BY_TWO = ["leaf-0", "leaf-0", "leaf-1", "leaf-1", "middle-0", "middle-1", "root"]


# ---- ctrl-c ----


@scene(2, 2, "sleep")
def test_canc_11_ctrl_c_at_the_root(tree):
    tree.wait_for("root up")
    os.killpg(tree.root.pid, signal.SIGINT)
    check(tree.wait_gone(SLACK) == 130, f"status {tree.root.returncode}")
    check(cleaned(tree) == TWO_BY_TWO, f"gracefully ended were {cleaned(tree)}")
    check(tree.errors() == "interrupted\n", "it says more than one line")


@scene(2, 2, "sleep", "nursery")
def test_canc_12_ctrl_c_while_a_background_task_holds_the_nursery(tree):
    tree.wait_for("root up")
    os.killpg(tree.root.pid, signal.SIGINT)
    check(tree.wait_gone(SLACK) == 130, f"status {tree.root.returncode}")
    check(cleaned(tree) == TWO_BY_TWO, f"gracefully ended were {cleaned(tree)}")
    check(tree.errors() == "interrupted\n", "it says more than one line")


def interrupt_and_wait(tree, text, times):
    os.killpg(tree.root.pid, signal.SIGINT)
    tree.wait_until(lambda: tree.errors().count(text) == times, f"`{text}` is said {times} times")


@scene(0, 2, "deaf", REAP_BOUNDS="100000,200000", YOKE_LOG="cancel")
def test_canc_13_second_ctrl_c_escalates(tree):
    tree.wait_for("root up")
    time.sleep(0.1)
    interrupt_and_wait(tree, "asking actor", 2)
    time.sleep(0.3)
    check("interrupted again" not in tree.errors(), "the first ctrl-c has escalated")
    interrupt_and_wait(tree, "interrupted again: the actors that have not ended get SIGTERM", 1)
    time.sleep(0.3)
    check(len(tree.find("yoke-leaf")) == 2, "they ignore SIGTERM, and are gone")
    interrupt_and_wait(tree, "interrupted again: the actors that have not ended get SIGKILL", 1)
    check(tree.wait_gone(SLACK) == 130, f"status {tree.root.returncode}")
    check(tree.errors().endswith("\ninterrupted\n"), "an error is printed")


@scene(1, 1, "deaf", REAP_BOUNDS="100000,200000", YOKE_LOG="cancel")
def test_canc_13_it_goes_down_the_tree(tree):
    """The middle does as it was asked, and its deaf leaf is ended by it and not by others."""
    tree.wait_for("root up")
    time.sleep(0.1)
    interrupt_and_wait(tree, "asking actor `leaf-0`", 1)
    interrupt_and_wait(tree, "interrupted again", 1)
    check(tree.wait_gone(SLACK) == 130, f"status {tree.root.returncode}")
    check(cleaned(tree) == ["middle-0", "root"], f"gracefully ended were {cleaned(tree)}")


# ---- SIGTERM ----


@scene(2, 2, "sleep")
def test_canc_14_sigterm_to_a_middle_actor(tree):
    tree.wait_for("root up")
    victim = tree.find("yoke-middle-0")[0]
    os.kill(victim.pid, signal.SIGTERM)
    check(tree.wait_gone(SLACK) == 1, f"status {tree.root.returncode}")
    check(cleaned(tree) == TWO_BY_TWO, f"gracefully ended were {cleaned(tree)}")
    first = tree.errors().splitlines()[0]
    check(first == f"error: actor `middle-0` (pid {victim.pid}) was ended by SIGTERM [ActorCancelled]", first)


@scene(1, 1, "shield")
def test_sigterm_to_an_actor_that_does_not_end(tree):
    """Its tasks have 3 s; then the signal does what it does by default."""
    tree.wait_for("root up")
    victim = tree.find("yoke-leaf-0")[0]
    begin = time.monotonic()
    os.kill(victim.pid, signal.SIGTERM)
    check(tree.wait_gone(3 + SLACK) == 1, f"status {tree.root.returncode}")
    check(time.monotonic() - begin >= 3, "it had not its 3 s")
    check(f"actor `leaf-0` (pid {victim.pid}) died of SIGTERM" in tree.errors(), "the report")


@scene(2, 1, "sleep")
def test_sigterm_to_the_whole_group(tree):
    """As service managers do it: the children end by themselves, and that is no second error."""
    tree.wait_for("root up")
    os.killpg(tree.root.pid, signal.SIGTERM)
    check(tree.wait_gone(SLACK) == 143, f"status {tree.root.returncode}")
    check(tree.errors() == "ended by SIGTERM\n", "it says more than one line")


def ends_gracefully_by(number, status, text):

    def fn(tree):
        tree.wait_for("root up")
        os.kill(tree.root.pid, number)
        check(tree.wait_gone(SLACK) == status, f"status {tree.root.returncode}")
        check(cleaned(tree) == TWO_BY_TWO, f"gracefully ended were {cleaned(tree)}")
        check(tree.errors() == text, "it says more than one line")

    return fn


@scene(2, 2, "sleep")
def test_reap_22_sigterm_on_the_root(tree):
    ends_gracefully_by(signal.SIGTERM, 143, "ended by SIGTERM\n")(tree)


@scene(2, 2, "sleep")
def test_reap_22_sighup_on_the_root(tree):
    ends_gracefully_by(signal.SIGHUP, 129, "ended by SIGHUP\n")(tree)


@scene(2, 2, "sleep")
def test_reap_22_the_terminal_is_gone(tree):
    """SIGHUP for the whole group."""
    tree.wait_for("root up")
    os.killpg(tree.root.pid, signal.SIGHUP)
    check(tree.wait_gone(SLACK) == 129, f"status {tree.root.returncode}")
    check(cleaned(tree) == TWO_BY_TWO, f"gracefully ended were {cleaned(tree)}")


@scene(1, 2, "spin")
def test_reap_22_sigterm_is_bounded(tree):
    """Leaves that spin are ended by the ladder."""
    tree.wait_for("root up")
    os.kill(tree.root.pid, signal.SIGTERM)
    check(tree.wait_gone(3 + SLACK) == 143, f"status {tree.root.returncode}")
    check(cleaned(tree) == ["middle-0", "root"], f"gracefully ended were {cleaned(tree)}")


@scene(1, 1, "sleep", "spin")
def test_reap_22_a_root_that_spins(tree):
    tree.wait_for("root up")
    os.kill(tree.root.pid, signal.SIGTERM)
    check(tree.wait_gone(3 + SLACK) == -signal.SIGTERM, f"status {tree.root.returncode}")
    check("task `main` has come to no checkpoint for 3000 ms: SIGTERM ends this process" in tree.errors(), "no line")


@scene(1, 1, "sleep", "spin")
def test_a_root_that_spins_and_many_ctrl_c(tree):
    tree.wait_for("root up")
    begin = time.monotonic()
    while tree.root.poll() is None:
        check(time.monotonic() - begin < PATIENCE, "ctrl-c can't end it")
        os.kill(tree.root.pid, signal.SIGINT)
        time.sleep(0.2)
    check(time.monotonic() - begin > 0.9, "the second ctrl-c has ended it")
    check(tree.wait_gone(SLACK) == -signal.SIGINT, f"status {tree.root.returncode}")


@scene(2, 2, "sleep")
def test_reap_22_sigquit_on_the_root(tree):
    tree.wait_for("root up")
    os.kill(tree.root.pid, signal.SIGQUIT)
    check(tree.wait_gone(SLACK) == -signal.SIGQUIT, f"status {tree.root.returncode}")
    check("main" in tree.errors() and "supervisor of middle-1" in tree.errors(), "no dump of the tasks")
    check(cleaned(tree) == [] or "root" not in cleaned(tree), "the root has cleaned up")


@scene(1, 1, "sleep", "spin")
def test_reap_22_sigquit_on_a_root_that_spins(tree):
    tree.wait_for("root up")
    os.kill(tree.root.pid, signal.SIGQUIT)
    check(tree.wait_gone(SLACK) == -signal.SIGQUIT, f"status {tree.root.returncode}")


@scene(1, 1, "sleep")
def test_ctrl_c_on_one_child_alone_changes_nothing(tree):
    """Nor on the zygote: what comes to the whole group is the root's."""
    tree.wait_for("root up")
    for p in processes.living(tree.mark):
        if p.pid != tree.root.pid:
            os.kill(p.pid, signal.SIGINT)
            os.kill(p.pid, signal.SIGHUP)
            os.kill(p.pid, signal.SIGPIPE)
    time.sleep(0.2)
    check(tree.root.poll() is None and len(tree.find("yoke-leaf")) == 1, "one of them has ended")
    tree.root.terminate()
    check(tree.wait_gone(SLACK) == 143, f"status {tree.root.returncode}")


# ---- the program's status ----


def status(body, choice, number, expected):

    def fn(tree):
        if number:
            tree.wait_for("root up")
            os.killpg(tree.root.pid, number)
        check(tree.wait_gone(SLACK) == expected, f"{body} {choice} {number}: status {tree.root.returncode}")

    return lambda: run(fn, [PROGRAM, "0", "1", "sleep", body, choice], "exec")


def test_reap_14_exit_status_of_the_program():
    for case in [("end", "0", 0, 0), ("fail", "0", 0, 1), ("fail", "7", 0, 7), ("end", "7", 0, 7),
                 ("sleep", "7", signal.SIGINT, 130), ("sleep", "0", signal.SIGTERM, 143), ("sleep", "0", signal.SIGHUP, 129),
                 ("sleep", "s9", signal.SIGINT, 9), ("sleep", "s9", signal.SIGTERM, 9), ("end", "s9", 0, 0), ("fail", "s9", 0, 1),
                 ("sleep", "s-1", signal.SIGINT, -signal.SIGINT), ("sleep", "s-1", signal.SIGTERM, -signal.SIGTERM),
                 ("end", "s-1", 0, 0)]:
        wrong = status(*case)()
        if wrong:
            return wrong
    return None


def loop(choice):
    """What a shell's loop around the program says after one ctrl-c."""
    bash = shutil.which("bash")
    script = f'for i in 1 2; do "$0" 0 1 sleep "$([ $i = 1 ] && echo sleep || echo end)" {choice}; done; echo done'
    tree = Tree([bash, "-c", script, PROGRAM], "exec")
    try:
        tree.wait_for("root up")
        os.killpg(tree.root.pid, signal.SIGINT)
        tree.wait_gone(2 * SLACK)
        return tree.lines()
    finally:
        tree.end()


def test_reap_14_a_shell_loop_ends_with_it():
    if not shutil.which("bash"):
        return "skip: no bash"
    if "done" not in loop("0"):
        return "a program that exits ends the loop too: nothing can be seen here"
    return "the loop went on" if "done" in loop("s-1") else None


TESTS += [(fn.__name__, fn) for fn in (test_reap_14_exit_status_of_the_program, test_reap_14_a_shell_loop_ends_with_it)]


# ---- a closed output ----


def closed_output(backend):

    def fn(tree):
        status = tree.wait_gone(SLACK)
        check(status == 0, f"the shell's status {status}")
        check(tree.lines() == ["root up", "141"], f"it says {tree.lines()}")
        check(tree.errors() == "", "a trace is printed")

    return lambda: run(fn, [shutil.which("bash"), "-c", '"$0" 1 1 sleep write | head -1; echo ${PIPESTATUS[0]}', PROGRAM], backend)


TESTS += [("test_reap_28_closed_pipe_on_the_output_" + b, closed_output(b)) for b in ("exec", "fork")]

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
processes.become_subreaper()
only = sys.argv[2:]
sys.exit(tap([t for t in TESTS if not only or any(o in t[0] for o in only)]))
