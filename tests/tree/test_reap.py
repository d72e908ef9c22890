#!/usr/bin/env python3
"""How trees end, whatever happens to them: nothing is left, nobody is signalled without need. Usage: test_reap.py REAP_TREE.
Prints TAP. The kills at random are test_kill.py's."""

import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time

import processes
from trees import PATIENCE, Tree, check, run, tap

PROGRAM = os.path.abspath(sys.argv[1])
SANITIZED = b"__asan_init" in open(PROGRAM, "rb").read()
# Bounds of time are those of the library, and this for a machine that does other things as well.
SLACK = 12.0 if SANITIZED else 6.0
BACKENDS = "exec", "fork"
TESTS = []


def scene(*arguments, command=(), **variables):
    """A test of one tree, with each backend."""

    def wrap(fn):
        for backend in BACKENDS:
            TESTS.append((f"{fn.__name__}_{backend}",
                          lambda backend=backend: run(fn, [*command, PROGRAM, *map(str, arguments)], backend, **variables)))
        return fn

    return wrap


def cleaned(tree):
    return sorted(line.split()[0] for line in tree.lines() if line.endswith("cleans up"))


def only_child_is_root(tree):
    """This process is a subreaper: whatever the tree loses would be its child."""
    with open(f"/proc/self/task/{os.getpid()}/children") as f:
        return [int(pid) for pid in f.read().split()] in ([], [tree.root.pid])


# ---- no signal without need ----


def signals_sent(backend):
    """What strace saw of a tree of ten that ends by itself."""
    if SANITIZED or not shutil.which("strace"):
        return "skip: needs strace, and a program without sanitizers"
    folder = tempfile.mkdtemp(prefix="reap-")
    trace = os.path.join(folder, "trace")
    command = ["strace", "-f", "-qq", "-o", trace, "-e", "trace=kill,tkill,tgkill,pidfd_send_signal,rt_sigqueueinfo"]
    if subprocess.run(["strace", "-o", os.devnull, "true"], stderr=subprocess.DEVNULL).returncode:
        return "skip: strace may not trace here"

    def fn(tree):
        check(tree.wait_gone(60) == 0, f"status {tree.root.returncode}")
        check(len(cleaned(tree)) == 10, f"gracefully ended were {cleaned(tree)}")
        with open(trace) as f:
            calls = [line for line in f if "(" in line]
        # The zygote is no actor; it is ended by a SIGTERM when the root has no more use of it.
        check(len(calls) <= (backend == "fork"), "\n".join(calls))

    try:
        return run(fn, [*command, PROGRAM, "0", "10", "sleep", "end"], backend,
                   REAP_BOUNDS="50000,100000")
    finally:
        shutil.rmtree(folder)


TESTS += [("test_reap_02_no_rung_without_need_" + b, lambda b=b: signals_sent(b)) for b in BACKENDS]


# ---- children that do not end ----


@scene(1, 2, "lord", "cancel", YOKE_LOG="cancel")
def test_reap_03_child_that_ignores_sigterm_and_blocks(tree):
    """A middle with two actors below it."""
    tree.wait_for("root up")
    tree.wait_until(lambda: "asking actor `middle-0`" in tree.errors(), "the middle is asked to end")
    begin = time.monotonic()
    check(tree.wait_gone(1.6 + SLACK) == 0, f"status {tree.root.returncode}")
    check(time.monotonic() - begin > 1, "it had not its time")
    check(re.search(r"actor `middle-0` \(pid \d+\): SIGKILL", tree.errors()), "no word of the SIGKILL")
    check(only_child_is_root(tree), "something was adopted from above the root")


@scene(0, 1, "spin", "cancel")
def test_reap_17_a_task_that_never_yields_and_a_cancel(tree):
    check(tree.wait_gone(1.6 + SLACK) == 0, f"status {tree.root.returncode}")
    check("task `reap:stay` has come to no checkpoint for 500 ms" in tree.errors(), "the task is not named")


@scene(0, 1, "spin")
def test_reap_17_a_task_that_never_yields_and_a_dead_parent(tree):
    tree.wait_for("root up")
    time.sleep(0.1)
    tree.root.kill()
    tree.wait_gone(SLACK)
    check("the parent of this actor is gone" in tree.errors(), "no line")
    check("(`reap:stay` has come to no checkpoint)" in tree.errors(), "the task is not named")


# ---- kill -9 ----


def root_killed(*arguments, before=lambda tree: None):

    def fn(tree):
        tree.wait_for("root up")
        before(tree)
        tree.root.kill()
        tree.wait_gone(2 if not SANITIZED else SLACK)

    return lambda backend: run(fn, [PROGRAM, *map(str, arguments)], backend)


def stop_leaves(tree):
    for p in tree.find("yoke-leaf"):
        os.kill(p.pid, signal.SIGSTOP)


def into_cleanup(tree):
    os.killpg(tree.root.pid, signal.SIGINT)
    time.sleep(0.1)


def a_moment(tree):
    time.sleep(0.1)


for what, kill in {
        "sleeping": root_killed(2, 2, "sleep"),
        "spinning": root_killed(1, 2, "spin", before=a_moment),
        "stopped": root_killed(2, 2, "sleep", before=stop_leaves),
        "spawning": root_killed(0, 0, "sleep", "start", before=a_moment),
        "in_cleanup": root_killed(2, 1, "linger", before=into_cleanup),
        "with_processes_of_their_own": root_killed(1, 2, "fork", before=a_moment),
}.items():
    TESTS += [(f"test_reap_05_kill_9_of_the_root_{what}_{b}", lambda b=b, kill=kill: kill(b)) for b in BACKENDS]


def killed_on_a_terminal(backend):
    """Its settings are as they were."""
    master, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    tree = Tree([PROGRAM, "1", "1", "sleep"], backend, stdin=terminal)
    try:
        tree.wait_for("root up")
        tree.root.kill()
        tree.wait_gone(SLACK)
        check(termios.tcgetattr(terminal) == before, "the terminal's settings have changed")
        return None
    except Exception as e:
        return str(e)
    finally:
        tree.end()
        os.close(master)
        os.close(terminal)


@scene(0, 3, "sleep", YOKE_LOG="cancel")
def test_reap_07_kill_9_of_a_leaf(tree):
    tree.wait_for("root up")
    victim = tree.find("yoke-leaf-1")[0]
    os.kill(victim.pid, signal.SIGKILL)
    check(tree.wait_gone(SLACK) == 1, f"status {tree.root.returncode}")
    check(f"error: actor `leaf-1` (pid {victim.pid}) died of SIGKILL [ActorDied]" in tree.errors(), "the report")
    check([n for n in cleaned(tree) if n != "root"] == ["leaf-0", "leaf-2"], f"gracefully ended were {cleaned(tree)}")
    check("SIGTERM" not in tree.errors() and ": SIGKILL" not in tree.errors(), "others got a signal")


# ---- zombies ----


def zombies_of(root):
    """(pid, start time) of the dead children that nobody has waited for, below `root`."""
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as f:
                    fields = f.read().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] == "Z" and int(fields[1]) == root:
                found.add((int(entry), fields[19]))
    return found


@scene(0, 0, "sleep", "start500")
def test_reap_10_zombies(tree):
    """500 actors in turn, and a look at /proc again and again."""
    since, longest, looks = {}, 0, 0
    while tree.root.poll() is None:
        check(time.monotonic() - tree.begin < 20 * PATIENCE, "it takes too long")
        # A root that waits for a processor, or for its child's exec, would reap if it could.
        asleep = processes.Process(tree.root.pid).state == "S"
        now = zombies_of(tree.root.pid) if asleep else set()
        since = {z: since.get(z, time.monotonic()) for z in now}
        longest = max([longest] + [time.monotonic() - at for at in since.values()])
        looks += asleep
        time.sleep(0.002)
    check(tree.wait_gone(SLACK) == 0, f"status {tree.root.returncode}")
    check(looks > 10, "too few looks")
    check(longest < 0.25 * (8 if SANITIZED else 4), f"a zombie was there for {longest:.2f} s")


# ---- numbers that come again ----

WRAP = r"""
echo 400 > /proc/sys/kernel/pid_max || exit 77
(while :; do
    sleep 0.03 & bystander=$!
    wait $bystander || { echo "bystander HIT"; break; }
done) &
loop=$!
"$0" 0 2 sleep start200
status=$?
kill $loop
exit $status
"""


def pids_wrap(backend):
    unshare = ["unshare", "-p", "-f", "--mount-proc", "--kill-child"]
    if SANITIZED or subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL).returncode:
        return "skip: needs a pid namespace of its own, and a program without sanitizers"
    skipped = []

    def fn(tree):
        status = tree.root.wait(10 * PATIENCE)
        if status == 77:
            skipped.append("skip: the kernel has no pid_max for a namespace")
            return
        check("bystander HIT" not in tree.lines(), "a process that is none of the tree's was signalled")
        check(status == 0, f"status {status}")

    return run(fn, [*unshare, "sh", "-c", WRAP, PROGRAM], backend) or (skipped[0] if skipped else None)


TESTS += [("test_reap_11_pid_reuse_" + b, lambda b=b: pids_wrap(b)) for b in BACKENDS]

# ---- odd beginnings ----


def short_argv(backend):
    """The root's argv[0] is of one byte; its own title is left alone, and children have theirs."""

    def fn(tree):
        tree.wait_for("root up")
        with open(f"/proc/{tree.root.pid}/cmdline") as f:
            check(f.read().split("\0")[0] == "x", "the root's title has changed")
        leaf = tree.find("yoke-leaf-0")[0]
        with open(f"/proc/{leaf.pid}/cmdline") as f:
            check(re.fullmatch(r"leaf-0\[[0-9a-f]{6}\]", f.read().split("\0")[0]), "the leaf's title")
        tree.root.terminate()
        check(tree.wait_gone(SLACK) == 143, f"status {tree.root.returncode}")

    return run(fn, ["bash", "-c", 'exec -a x "$0" 1 1 sleep', PROGRAM], backend) if shutil.which("bash") else "skip: no bash"


TESTS += [("test_spawn_19_argv_of_one_byte_" + b, lambda b=b: short_argv(b)) for b in BACKENDS]
TESTS += [("test_reap_05_kill_9_of_the_root_with_a_terminal_" + b, lambda b=b: killed_on_a_terminal(b)) for b in BACKENDS]

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
processes.become_subreaper()
only = sys.argv[2:]
sys.exit(tap([t for t in TESTS if not only or any(o in t[0] for o in only)]))
