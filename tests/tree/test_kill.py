#!/usr/bin/env python3
"""kill -9 at any moment, on any process of a tree. Usage: test_kill.py KILL_TREE. Prints TAP.

KILL_RUNS trees (default 500) are shot at, both backends in turn, several trees at once. The seed of a run (KILL_SEED, default
drawn at random and printed) decides the victim and the moment: `KILL_SEED=s KILL_ONLY=n` plays run n of seed s again.
"""

import multiprocessing
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import uuid

import processes

PROGRAM = os.path.abspath(sys.argv[1])
RUNS = int(os.environ.get("KILL_RUNS", "500"))
SEED = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(10**6))
ONLY = os.environ.get("KILL_ONLY")
AT_ONCE = len(os.sched_getaffinity(0)) + 2
MIDDLES, LEAVES = 2, 2
SHAPES = [(2, 2), (2, 1), (1, 2), (1, 1), (3, 0)]  # of the seeded runs: middles, leaves below each
MARK = "KILL_TEST"
SANITIZED = b"__asan_init" in open(PROGRAM, "rb").read()
PATIENCE = 60.0
CAMPAIGN = uuid.uuid4().hex # in the environment of every process of this test's trees
LONG_RUN_MS, SHORT_RUN_MS = 30000, 1000 if SANITIZED else 150


class Failure(Exception):
    pass


def gone():
    """What must be gone after a kill is gone within this many seconds; sanitizers are given more, and so is a machine that
    has more to do than this test."""
    share = os.getloadavg()[0] / (4 * len(os.sched_getaffinity(0)))
    return (8.0 if SANITIZED else 2.0) * max(1, share)


def check(condition, text):
    if not condition:
        raise Failure(text)


# ---- one tree ----


class Tree:
    """A running kill_tree with its own mark, and a folder of its own for whatever it might leave."""

    def __init__(self, backend, run_ms, *special, shape=(MIDDLES, LEAVES)):
        self.folder = tempfile.mkdtemp(prefix="kill-")
        self.backend = backend
        self.mark = f"{MARK}={CAMPAIGN}"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("YOKE_")}
        environment |= {"YOKE_BACKEND": backend, "TMPDIR": self.folder, "XDG_RUNTIME_DIR": self.folder,
                        MARK: CAMPAIGN}
        self.begin = time.monotonic()
        self.words = ""
        self.out, out = os.pipe2(os.O_CLOEXEC)
        self.err = tempfile.TemporaryFile()
        self.root = subprocess.Popen([PROGRAM, *map(str, shape), str(run_ms), *special], env=environment,
                                     stdin=subprocess.DEVNULL, stdout=out, stderr=self.err, start_new_session=True)
        os.close(out)
        self.ended = os.pidfd_open(self.root.pid)

    def listen(self, seconds):
        """Reads what the tree says, if it says something in that time. False: the root has ended, and all is read."""
        ready, _, _ = select.select([self.out, self.ended], [], [], seconds)
        if self.out not in ready:
            return not ready
        said = os.read(self.out, 1 << 12).decode()
        self.words += said
        return bool(said)

    def said(self, word):
        while select.select([self.out], [], [], 0)[0] and self.listen(0):
            pass
        return word in self.words.split("\n")

    def errors(self):
        return os.pread(self.err.fileno(), 1 << 20, 0).decode(errors="replace")

    def wait_for(self, word):
        """False: the root has ended without having said it."""
        while word not in self.words.split("\n"):
            check(time.monotonic() - self.begin < PATIENCE, f"the tree never said `{word}`")
            if not self.listen(1):
                return self.said(word)
        return True

    def role_of(self, process):
        if process.pid == self.root.pid:
            return "root"
        # Between its fork and its exec a process still looks like the one that starts it.
        starting = not process.name.startswith("yoke-") or (
            process.name.startswith("yoke-middle") and process.parent != self.root.pid)
        if process.option().startswith("--yoke-zygote=") or starting and self.backend == "fork":
            return "zygote"
        for role in "middle", "leaf":
            if process.name.startswith("yoke-" + role) and not starting:
                return role
        return "newborn" # it has not met its parent yet

    def of_role(self, role):
        return [p for p in processes.below() if self.role_of(p) == role]

    def wait_gone(self):
        """Nothing is left within the bound. Returns how long that took."""
        bound = gone()
        if not select.select([self.ended], [], [], bound)[0]:
            raise Failure(f"the root did not end in {bound:.1f} s: {processes.below()}; {self.later()}")
        status = self.root.wait()
        left, took = processes.wait_till_none(processes.below, self.root.pid, bound)
        check(not left, f"{bound:.1f} s later there is still {left}")
        check(not os.listdir(self.folder), f"files are left: {os.listdir(self.folder)}")
        return status

    def later(self):
        """What is too late is not what never comes."""
        begin = time.monotonic()
        if select.select([self.ended], [], [], PATIENCE)[0]:
            return f"it ended {time.monotonic() - begin:.1f} s after that"
        return f"nor in {PATIENCE} s more: {processes.below()}"

    def end(self):
        for p in processes.below():
            strike(p)
        self.root.kill()
        self.root.wait()
        processes.wait_till_none(processes.below, self.root.pid, 5)
        os.close(self.out)
        os.close(self.ended)
        shutil.rmtree(self.folder, ignore_errors=True)


def checked(fn, *arguments, **options):
    """Runs one scene in a tree of its own; returns None or what went wrong."""
    tree = None
    try:
        tree = Tree(*arguments, **options)
        return fn(tree)
    except Exception as e:
        what = str(e) if isinstance(e, Failure) else traceback.format_exc()
        return f"{what}\n{tree.words + tree.errors()[-5000:] if tree else ''}"
    finally:
        if tree:
            tree.end()


# ---- the seeded runs ----


def plan(run):
    """What run `run` of the seed does: where it strikes, whom, and how long after."""
    rng = random.Random(f"{SEED}/{run}")
    backend = ["exec", "fork"][run % 2]
    phase = rng.choice(["spawn", "load", "load", "teardown"])
    roles = ["root", "middle", "leaf"] + (["zygote"] if backend == "fork" else [])
    roles += ["newborn"] if phase == "spawn" else []
    delay = {"spawn": 0.005, "load": 0.03, "teardown": 0.012}[phase] * rng.random()
    shape = rng.choice(SHAPES)
    roles = [r for r in roles if r != "leaf" or shape[1]]
    return backend, phase, rng.choice(roles), rng.random(), delay, shape


def choose(tree, role, share):
    """Waits for a process of the role; when there will be none any more, another actor; None: the tree has ended."""
    while tree.root.poll() is None:
        too_late = tree.said("teardown") or role == "newborn" and tree.said("up")
        there = processes.below()
        fit = [p for p in there if tree.role_of(p) == role]
        if not fit and too_late:
            fit = [p for p in there if tree.role_of(p) != "zygote"]
        if fit:
            return fit[int(share * len(fit))]
        time.sleep(0.0003)
    return None


def strike(victim):
    try:
        os.kill(victim.pid, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False


def seeded(tree, run):
    backend, phase, role, share, delay, shape = plan(run)
    if phase != "spawn":
        check(tree.wait_for({"load": "up", "teardown": "teardown"}[phase]), "the tree did not come up")
    if phase == "spawn":
        choose(tree, role, share)
    time.sleep(delay)
    victim = choose(tree, role, share)
    role = victim and tree.role_of(victim)
    ending = tree.said("teardown")
    if not victim or not strike(victim):
        check(tree.wait_gone() == 0, "a tree that nobody touched failed")
        return None
    try:
        status = tree.wait_gone()
    except Failure as e:
        raise Failure(f"{victim} was killed: {e}") from None
    reported = re.search(rf"actor `[^`]+` \(pid {victim.pid}\) died of SIGKILL", tree.errors())
    if role == "root":
        # In the teardown it may have got to its exit before the signal.
        check(status == -signal.SIGKILL or ending and status == 0, f"the root was killed, and its status is {status}")
    elif ending or tree.said("teardown"):
        check(status in (0, 1), f"status {status}")
        check(status == 0 or reported or role == "zygote", f"{victim} was killed in the teardown, and is not in the report")
    elif role == "zygote":
        check(status in (0, 1), f"status {status}")
    else:
        check(status == 1 and reported, f"{victim} was killed, status {status}, and it is not in the report")
    return None


# In the seeded runs; what is left is looked for in main() too.
def test_reap_13_random_kills(run):
    backend, phase, role, share, delay, shape = plan(run)
    run_ms = 20 if phase == "teardown" else SHORT_RUN_MS if role == "zygote" else LONG_RUN_MS
    wrong = checked(lambda tree: seeded(tree, run), backend, run_ms, shape=shape)
    return run, wrong and f"run {run} ({backend}, {phase}, {role}, {1000 * delay:.1f} ms): {wrong}"


# ---- special scenes ----


def stopped(role, signals):
    """A process that is stopped can't end by itself; when its parent goes, it does."""

    def scene(tree):
        check(tree.wait_for("up"), "the tree did not come up")
        for p in tree.of_role(role):
            os.kill(p.pid, signal.SIGSTOP)
        time.sleep(0.05)
        for target in signals:
            for p in tree.of_role(target):
                os.kill(p.pid, signal.SIGKILL)
        tree.wait_gone()

    return scene


def root_killed(tree):
    check(tree.wait_for("up"), "the tree did not come up")
    time.sleep(0.05)
    tree.root.kill()
    tree.wait_gone()


def middle_killed(tree):
    check(tree.wait_for("up"), "the tree did not come up")
    time.sleep(0.05)
    victim = tree.of_role("middle")[0]
    strike(victim)
    check(tree.wait_gone() == 1, "the root's status")
    check(f"(pid {victim.pid}) died of SIGKILL" in tree.errors(), "the report")


def leaf_killed_with_its_sleeper(tree):
    check(tree.wait_for("up"), "the tree did not come up")
    while not [p for p in processes.below() if p.name == "sleep"]: # from its exec on
        check(time.monotonic() - tree.begin < PATIENCE, "no leaf has forked a sleep")
    for victim in tree.of_role("leaf"):
        strike(victim)
    check(tree.wait_gone() == 1, "the root's status")


def all_at_once(tree):
    check(tree.wait_for("up"), "the tree did not come up")
    for p in tree.of_role("root") + tree.of_role("middle"):
        strike(p)
    tree.wait_gone()


def zygotes_killed(tree):
    """Those that serve no request are not needed any more; the tree goes on to its end."""
    check(tree.wait_for("up"), "the tree did not come up")
    for p in tree.of_role("zygote"):
        strike(p)
    check(tree.wait_gone() == 0, "the tree needs the zygote though it starts nothing")


def interrupted(word, delay):
    """ctrl-c: SIGINT for the whole process group."""

    def scene(tree):
        check(not word or tree.wait_for(word), f"the tree never said `{word}`")
        while len(processes.below()) < 2: # from then on the root catches it
            check(tree.root.poll() is None, "the tree did not come up")
        time.sleep(delay * (8 if SANITIZED else 1))
        os.killpg(tree.root.pid, signal.SIGINT)
        begin = time.monotonic()
        check(tree.wait_gone() == 130, f"the status is {tree.root.returncode}")
        check(time.monotonic() - begin < gone(), "it took too long")
        # Those of a task that spins, which is told to its parent where that is slow to end itself.
        lines = [l for l in tree.errors().splitlines()
                 if "has come to no checkpoint" not in l and not l.endswith(": SIGKILL")]
        check(lines == ["interrupted"], "it says more than one line")

    return scene


def ended_by_itself(tree):
    check(tree.wait_gone() == 0, "a tree that nobody touched failed")
    check(tree.errors() == "", "a tree that ends by itself says something")


SCENES = [
    ("a tree that nobody touches", ended_by_itself, SHORT_RUN_MS),
    ("root and middles at once", all_at_once, LONG_RUN_MS),
    ("stopped leaves, then the root", stopped("leaf", ["root"]), LONG_RUN_MS),
    ("stopped leaves, then the middles", stopped("leaf", ["middle"]), LONG_RUN_MS),
    ("stopped middles, then the root", stopped("middle", ["root"]), LONG_RUN_MS),
    ("a stopped root", stopped("root", ["root"]), LONG_RUN_MS),
    ("stopped zygotes, then the root", stopped("zygote", ["root"]), LONG_RUN_MS),
    ("a leaf that spins, the root", root_killed, LONG_RUN_MS, "spin"),
    ("a leaf that spins, a middle", middle_killed, LONG_RUN_MS, "spin"),
    ("a leaf with a process of its own, the root", root_killed, LONG_RUN_MS, "fork"),
    ("a leaf with a process of its own, a middle", middle_killed, LONG_RUN_MS, "fork"),
    ("a leaf with a process of its own, the leaf", leaf_killed_with_its_sleeper, LONG_RUN_MS, "fork"),
    ("ctrl-c under load", interrupted("up", 0.05), LONG_RUN_MS),
    ("ctrl-c in the middle of the spawning", interrupted("", 0.001), LONG_RUN_MS),
    ("ctrl-c, and a leaf that spins", interrupted("up", 0.05), LONG_RUN_MS, "spin"),
    ("a leaf with a process of its own, none", ended_by_itself, SHORT_RUN_MS, "fork"),
]


def scene_run(item):
    number, backend = item
    name, fn, *arguments = (SCENES + [("zygotes", zygotes_killed, 2 * SHORT_RUN_MS)])[number]
    return f"{name} ({backend})", checked(fn, backend, *arguments)


# ---- the whole ----


def shared_memory():
    return sorted(os.listdir("/dev/shm"))


def tap(number, fine, name, wrong=None):
    print(f"{'ok' if fine else 'not ok'} {number} - {name}", flush=True)
    for line in (wrong or "").splitlines():
        print("# " + line, flush=True)


def main():
    scenes = [(i, b) for i in range(len(SCENES)) for b in ("exec", "fork")] + [(len(SCENES), "fork")]
    runs = [int(ONLY)] if ONLY else range(RUNS)
    print(f"1..{len(scenes) + 3}")
    print(f"# KILL_SEED={SEED} KILL_RUNS={RUNS}", flush=True)
    before = shared_memory()
    begin = time.monotonic()
    failures = 0
    fork = multiprocessing.get_context("fork")
    # Some scenes have tasks that spin: fewer at once, for the bounds of time are as on a machine with a core to spare.
    with fork.Pool(2, processes.become_subreaper) as pool:
        for number, (name, wrong) in enumerate(pool.imap(scene_run, scenes), 1):
            tap(number, not wrong, name, wrong)
            failures += bool(wrong)
    with fork.Pool(AT_ONCE, processes.become_subreaper) as pool:
        wrongs = [wrong for _, wrong in pool.imap(test_reap_13_random_kills, runs, chunksize=1) if wrong]
    tap(len(scenes) + 1, not wrongs, f"{len(runs)} kills of seed {SEED}", "\n".join(wrongs[:5]))
    print(f"# {len(wrongs)} of {len(runs)} failed; {time.monotonic() - begin:.0f} s in all", flush=True)
    left = sorted(set(shared_memory()) - set(before))
    tap(len(scenes) + 2, not left, "no shared memory is left", " ".join(left))
    # The workers have looked below themselves; this looks everywhere.
    left = left or processes.living(f"{MARK}={CAMPAIGN}")
    tap(len(scenes) + 3, not left, "no process is left", "\n".join(map(str, left)))
    return 1 if failures or wrongs or left else 0


sys.exit(main())
