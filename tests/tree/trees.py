"""A tree of processes that a test program starts, watches and ends: the root's output, its status, and that nothing is left."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import traceback
import uuid

import processes

PATIENCE = 60.0


class Failure(Exception):
    pass


def check(condition, text):
    if not condition:
        raise Failure(text)


class Tree:
    """A running program with a mark of its own, and a folder of its own for whatever it might leave."""

    def __init__(self, command, backend, stdin=subprocess.DEVNULL, **variables):
        self.folder = tempfile.mkdtemp(prefix="tree-")
        mark = uuid.uuid4().hex
        self.mark = "TREE_TEST=" + mark
        environment = {k: v for k, v in os.environ.items() if not k.startswith("YOKE_")}
        environment |= {"YOKE_BACKEND": backend, "TMPDIR": self.folder, "XDG_RUNTIME_DIR": self.folder, "TREE_TEST": mark}
        self.begin = time.monotonic()
        self.out = open(os.path.join(self.folder, "out"), "a+b")
        self.err = open(os.path.join(self.folder, "err"), "a+b")
        self.root = subprocess.Popen(command, env=environment | variables, stdin=stdin, stdout=self.out,
                                     stderr=self.err, start_new_session=True)

    def output(self):
        return os.pread(self.out.fileno(), 1 << 20, 0).decode(errors="replace")

    def errors(self):
        return os.pread(self.err.fileno(), 1 << 20, 0).decode(errors="replace")

    def lines(self):
        return self.output().splitlines()

    def wait_for(self, line):
        while line not in self.lines():
            check(time.monotonic() - self.begin < PATIENCE, f"the tree never said `{line}`")
            check(self.root.poll() is None, f"the root has ended without saying `{line}`")
            time.sleep(0.002)

    def wait_until(self, condition, what):
        begin = time.monotonic()
        while not condition():
            check(time.monotonic() - begin < PATIENCE, f"not: {what}")
            time.sleep(0.002)

    def find(self, name):
        """Processes whose command name begins with `name`, which the actor's own has set."""
        return [p for p in processes.living(self.mark) if p.name.startswith(name)]

    def wait_gone(self, seconds):
        """Nothing is left within the bound. Returns the root's status."""
        try:
            status = self.root.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"the root did not end: {processes.living(self.mark)}") from None
        left, _ = processes.wait_till_gone(self.mark, self.root.pid, seconds)
        check(not left, f"{seconds} s later there is still {left}")
        files = sorted(set(os.listdir(self.folder)) - {"out", "err"})
        files = [f for f in files if not (f == "yoke" and not os.listdir(os.path.join(self.folder, f)))]
        check(not files, f"files are left: {files}")
        return status

    def end(self):
        for p in processes.living(self.mark):
            try:
                os.kill(p.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.root.kill()
        self.root.wait()
        processes.wait_till_gone(self.mark, self.root.pid, 5)
        self.out.close()
        self.err.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def run(fn, *arguments, **variables):
    """Runs `fn` on a tree of its own; returns None or what went wrong."""
    tree = None
    try:
        tree = Tree(*arguments, **variables)
        fn(tree)
        return None
    except Exception as e:
        what = str(e) if isinstance(e, Failure) else traceback.format_exc()
        return f"{what}\n{tree.output()[-3000:] + tree.errors()[-5000:] if tree else ''}"
    finally:
        if tree:
            tree.end()


def tap(tests):
    """Runs (name, function) pairs; a function returns None, what went wrong, or a text that begins with `skip: `."""
    print(f"1..{len(tests)}", flush=True)
    failures = 0
    for number, (name, fn) in enumerate(tests, 1):
        wrong = fn()
        skipped = wrong and wrong.startswith("skip: ")
        failures += bool(wrong and not skipped)
        print(f"{'ok' if not wrong or skipped else 'not ok'} {number} - {name}" + (f" # SKIP {wrong[6:]}" if skipped else ""),
              flush=True)
        if wrong and not skipped:
            for line in wrong.splitlines():
                print("# " + line, flush=True)
    return 1 if failures else 0
