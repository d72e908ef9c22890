"""The examples, run as a user runs them: test_examples.py FOLDER

Each in a session of its own, with a pipe as its input, and with each backend: both outputs, the exit status, and that
nothing is left of it: no process, no file."""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import processes

folder = os.path.abspath(sys.argv[1])
BOUND = 120  # seconds; a busy machine and the sanitizers included


class Ran:
    def __init__(self, status, out, err, left, files):
        self.status, self.out, self.err, self.left, self.files = status, out, err, left, files
        self.lines = out.splitlines()

    def __str__(self):
        return f"status {self.status}\n--- output\n{self.out}--- errors\n{self.err}--- left: {self.left} {self.files}"


def run(name, *args, backend, interrupt_after=None):
    """Runs it to its end; interrupt_after: seconds till a ctrl-c. EX-21: how each of them is run."""
    mark = f"YOKE_TEST_EXAMPLE={os.getpid()}-{name}"
    with tempfile.TemporaryDirectory() as place:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("YOKE_")}
        environment.update([mark.split("="), ("YOKE_BACKEND", backend), ("TMPDIR", place), ("XDG_RUNTIME_DIR", place)])
        # Leaks are looked for by the tests in C: here a child that is killed would say that it had not finished looking.
        environment["ASAN_OPTIONS"] = "detect_leaks=0"
        child = subprocess.Popen([f"{folder}/{name}", *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment, cwd=place)
        try:
            if interrupt_after is not None:
                time.sleep(interrupt_after)
                os.killpg(child.pid, signal.SIGINT)
            out, err = child.communicate(timeout=BOUND)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, err = child.communicate()
            err += f"\n(killed after {BOUND} s)"
        left, _ = processes.wait_till_gone(mark, child.pid, 10)
        for process in left:
            os.kill(process if isinstance(process, int) else process.pid, signal.SIGKILL)
        files = [name for _, _, names in os.walk(place) for name in names]  # sockets too
        return Ran(child.returncode, out, err, left, files)


def is_in_order(lines, wanted):
    rest = iter(lines)
    return all(any(want in line for line in rest) for want in wanted)


def good(ran, *lines):
    """It printed just these lines, and ended well."""
    return ran.status == 0 and not ran.err and ran.lines == list(lines)


# ---- what each prints

def test_ex_01_a_trynamic_first_scene(backend):
    ran = run("a_trynamic_first_scene", backend=backend)
    return good(ran, "and... action!", "hi, my name is donny", "hi, my name is gretchen", "cut!"), ran


def test_ex_02_actor_spawning_and_causality(backend):
    ran = run("actor_spawning_and_causality", backend=backend)
    return good(ran, "3"), ran


def test_ex_03_actor_spawning_and_causality_with_daemon(backend):
    ran = run("actor_spawning_and_causality_with_daemon", backend=backend)
    return good(ran, *["have you ever seen a portal?"] * 2), ran


def test_ex_04_asynchronous_generators(backend):
    ran = run("asynchronous_generators", backend=backend)
    return good(ran, "parent: got 0 to 50, that is enough; the stream ends", "child: cleaning up",
                "parent: cancelling the actor"), ran


def test_ex_05_multiple_streams_one_portal(backend):
    ran = run("multiple_streams_one_portal", backend=backend)
    return good(ran, "0 numbers were read by one reader alone"), ran


def test_ex_06_nested_actor_tree(backend):
    ran = run("nested_actor_tree", backend=backend)
    squaring = ["leaf_1: squaring 1", "leaf_2: squaring 2", "leaf_1: squaring 3", "leaf_2: squaring 4"]
    wanted = ["root", "  supervisor", "    leaf_1", "    leaf_2", "supervisor: cancelling leaf_1",
              "supervisor: cancelling leaf_2", "root: the supervisor's result: 1 4 9 16", "root: cancelling supervisor",
              "root: the end"]
    # The leaves print by themselves: all four lines stand together, after the names at the earliest.
    printed = sorted(line for line in ran.lines if "squaring" in line)
    fine = printed == sorted(squaring) and good(Ran(ran.status, "\n".join(l for l in ran.lines if "squaring" not in l),
                                                    ran.err, [], []), *wanted)
    return fine and ran.lines.index("supervisor: cancelling leaf_1") > max(ran.lines.index(l) for l in squaring), ran


def test_ex_07_quick_cluster(backend):
    ran = run("quick_cluster", backend=backend)
    *workers, last = ran.lines or [""]
    names = [f"root.worker_{i}: I am number {i}" for i in range(len(os.sched_getaffinity(0)))]
    # A quota of the control group may be below the processors that one may use.
    return (ran.status == 0 and not ran.err and last == "interrupted, and the cluster is gone" and 1 <= len(workers)
            and workers == names[:len(workers)]), ran


def test_ex_08_remote_error_propagation(backend):
    ran = run("remote_error_propagation", backend=backend)
    wanted = ["a task of actor `extra` failed [Remote]", "caused by: apples == pears: 1 == 2 [example.AssertionFailed]",
              "remote_error_propagation.c:15) in task `fruit:assert_err` of actor `extra`"]
    cancelled = [f"cancelled with it: actor `idle_{i}`" for i in range(3)]
    return (ran.status == 1 and not ran.out and is_in_order(ran.err.splitlines(), wanted)
            and all(ran.err.count(line) == 1 for line in cancelled)), ran


def test_ex_09_rpc_bidir_streaming(backend):
    ran = run("rpc_bidir_streaming", backend=backend)
    return good(ran, "started with 11", *[f"pong {i}" for i in range(1, 10)], "the child counted 10 pings"), ran


def test_ex_10_streaming_broadcast_fanout(backend):
    ran = run("streaming_broadcast_fanout", backend=backend)
    wanted = [f"reader {i}: 0 1 2 3 4" for i in (1, 2, 3)]
    return ran.status == 0 and not ran.err and sorted(ran.lines) == wanted, ran


def test_ex_11_full_fledged_streaming_service(backend):
    ran = run("full_fledged_streaming_service", backend=backend)
    m = re.fullmatch(r"streaming: (\d+\.\d\d) s\nwith starting and ending of all actors: (\d+\.\d\d) s\n"
                     r"1000 numbers, in order\n", ran.out)
    return ran.status == 0 and not ran.err and m and float(m[1]) <= float(m[2]), ran


def test_ex_12_typed_payloads(backend):
    ran = run("typed_payloads", backend=backend)
    return good(ran, "refused: started.label: 24 bytes, at most 8 are allowed", "started: origin (0, 0)",
                "doubled: a (2, 4)", "doubled: b (6, 8)", "doubled: c (-10, 12)"), ran


def is_prime(n):
    return n > 2 and n % 2 != 0 and all(n % d for d in range(3, int(n ** 0.5) + 1, 2))


def test_ex_13_concurrent_actors_primes(backend):
    ran = run("concurrent_actors_primes", backend=backend)
    *answers, last = ran.lines or [""]
    found = [re.fullmatch(r"(\d+) is (not )?prime", line) for line in answers]
    numbers = {int(m[1]): not m[2] for m in found if m}
    # Six, and the same as without actors; each known composite is told by its divisor, the primes were looked up.
    known = {112272535095293, 112582705942171, 115280095190773, 115797848077099, 110000000000027}
    fine = len(answers) == 6 and len(numbers) == 6 and {n for n, prime in numbers.items() if prime} == known
    fine = fine and not is_prime(1099726899285419) and 1099726899285419 in numbers
    return fine and ran.status == 0 and not ran.err and re.fullmatch(r"it took \d+\.\d\d s", last), ran


def test_ex_14_single_func(backend):
    ran = run("single_func", backend=backend)
    m = re.fullmatch(r"burnt in process (\d+) and in process (\d+), in \d+\.\d s together\n", ran.out)
    return ran.status == 0 and not ran.err and m and m[1] != m[2], ran


def test_ex_14_we_are_processes(backend):
    ran = run("we_are_processes", backend=backend)
    *workers, fails, left = ran.lines or ["", ""]
    found = [re.fullmatch(r"worker (\d+): I am worker_(\d+), process (\d+)", line) for line in workers]
    fine = all(m and m[1] == m[2] for m in found) and len({m[3] for m in found if m}) == os.cpu_count()
    fine = fine and {int(m[1]) for m in found} == set(range(os.cpu_count()))
    fine = fine and fails == f"root: {os.cpu_count()} processes live; now the root fails"
    return fine and left == "root: 0 processes left" and ran.status == 0 and not ran.err, ran


# ---- guests on other loops: both sides have all their turns, none of them much too late

LINE = r"(.*\S) +(\d+) times, median ([\d.]+) ms, at most ([\d.]+) ms"
MUCH = 200  # ms, in the middle: a busy machine included


def both_sides_go_on(ran):
    told = [re.fullmatch(LINE, line) for line in ran.lines]
    if ran.status or ran.err or len(told) != 3 or not all(told):
        return False
    names = [m.group(1) for m in told]
    return names == ["the host's timer was late", "a task's sleep was late", "from a task to the host's socket and back"] and all(
        int(m.group(2)) == 50 and float(m.group(3)) < MUCH for m in told)


def test_guest_04_plain_poll(backend):
    ran = run("guest_poll", backend=backend)
    return both_sides_go_on(ran), ran


def test_guest_04_libuv(backend):
    ran = run("guest_uv", backend=backend)
    return both_sides_go_on(ran), ran


def test_guest_04_glib(backend):
    ran = run("guest_glib", backend=backend)
    return both_sides_go_on(ran), ran


# ---- a channel that breaks: each plan ends, by itself or by ctrl-c

PLANS = [(c, p, first) for c, p in ((500, 0), (0, 500), (500, 500), (499, 500), (500, 499)) for first in (False, True)]


def test_ex_15_ipc_failure_during_stream(backend):
    for child, parent, first in PLANS:
        options = [f"--child-breaks={child}", f"--parent-breaks={parent}"] + ["--close-first"] * first
        ran = run("ipc_failure_during_stream", *options, backend=backend)
        if ran.status != 1 or "breaking the channel" not in ran.out or "error: " not in ran.err or ran.left or ran.files:
            return False, ran
    ran = run("ipc_failure_during_stream", "--child-breaks=0", backend=backend, interrupt_after=3)
    return ran.status == 130 and not ran.out and ran.err == "interrupted\n", ran


def test_ex_15_ipc_failure_during_stream_its_options(backend):
    told = run("ipc_failure_during_stream", "--help", backend=backend)
    wrong = run("ipc_failure_during_stream", "--child-breaks=many", backend=backend)
    if told.status != 0 or told.err or "--close-first" not in told.out:
        return False, told
    return wrong.status == 2 and not wrong.out and wrong.err == told.out, wrong


def main():
    processes.become_subreaper()
    rows = [(name, fn, backend) for name, fn in globals().items() if name.startswith("test_") for backend in ("exec", "fork")]
    print(f"1..{len(rows)}", flush=True)
    failed = 0
    for number, (name, fn, backend) in enumerate(rows, 1):
        passed, ran = fn(backend)
        passed = passed and not ran.left and not ran.files
        failed += not passed
        print(f"{'ok' if passed else 'not ok'} {number} - {name}, {backend}", flush=True)
        if not passed:
            print("\n".join("# " + line for line in str(ran).splitlines()), flush=True)
    return 1 if failed else 0


sys.exit(main())
