"""A person at a debugger's prompt in a terminal (a pty): what the tests of the pause have in common."""

import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback

import pexpect

LIMIT = int(os.environ.get("PROMPT_LIMIT", "60"))
# What others say while somebody is at the prompt is seen at once.
DIRECT = {"YOKE_DEBUG": "direct"}


# For scenes in which gdb calls functions: see tests/devx/whole_registers.c.
CALLS = {"YOKE_DEBUGGER": "env LD_PRELOAD=%s gdb" % os.path.join(os.path.dirname(os.path.abspath(sys.argv[1])),
                                                                "devx-whole_registers.so")}


def prompt(name):
    """The prompt of actor/task."""
    return r"\(yoke: %s\) " % re.escape(name)


class Scene:
    """A program in a terminal, in a folder of its own for the signs that it waits for. `wrap`: a shell's command that
    starts it, as "$0" "$1"."""

    def __init__(self, program, name, environment=None, wrap=None):
        self.signs = tempfile.TemporaryDirectory()
        env = dict(os.environ, TERM="dumb", NO_COLOR="1", HOME="/nonexistent", INPUTRC="/dev/null", SIGNS=self.signs.name,
                   YOKE_DEBUG="1")
        env.pop("DEBUGINFOD_URLS", None)
        env.update(environment or {})
        command, args = (program, [name]) if not wrap else ("/bin/sh", ["-c", wrap, program, name])
        self.p = pexpect.spawn(command, args, env=env, timeout=LIMIT, encoding="utf-8", dimensions=(50, 200))
        self.modes = None
        self.said = ""

    def expect(self, pattern):
        self.p.expect(pattern)
        self.said += self.p.before + str(self.p.after)
        return self.p.before

    def at(self, name):
        """Waits for the prompt of that actor and task; what was said before it."""
        return self.expect(prompt(name))

    def type(self, line):
        self.p.sendline(line)

    def ask(self, line, name):
        self.type(line)
        return self.at(name)

    def sign(self, name):
        with open(os.path.join(self.signs.name, name), "w"):
            pass

    def end(self, *statuses):
        """The program ends by itself with one of these (or 0), and nothing is left; all that it said."""
        self.expect(pexpect.EOF)
        pids = living(self.signs.name)
        self.p.close()
        got = self.p.exitstatus if self.p.signalstatus is None else -self.p.signalstatus
        assert got in (statuses or (0,)), "status %s in %s" % (got, self.said)
        assert not pids, "left: %s" % pids
        self.signs.cleanup()
        return self.said


def living(signs):
    """The processes that carry the scene's mark."""
    mark, found = ("SIGNS=%s" % signs).encode(), []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/environ" % pid, "rb") as f:
                if mark in f.read().split(b"\0"):
                    with open("/proc/%s/comm" % pid) as comm:
                        found.append((int(pid), comm.read().strip()))
        except OSError:
            pass
    return found


def pid_of(scene, name):
    """The one process of the scene whose command is that."""
    found = [pid for pid, comm in living(scene.signs.name) if comm == name]
    assert len(found) == 1, "%s: %s" % (name, living(scene.signs.name))
    return found[0]


def wait_till(condition, what, seconds=LIMIT):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "never: " + what
        time.sleep(0.01)


def wait_till_gone(pid, seconds=LIMIT):
    """A zombie that another has to reap is gone."""

    def gone():
        try:
            with open("/proc/%d/stat" % pid) as f:
                return ") Z " in f.read()
        except (FileNotFoundError, ProcessLookupError):  # before it was opened, or afterwards
            return True

    wait_till(gone, "the end of process %d" % pid, seconds)


def run_tests(scope, debugger="gdb"):
    tests = [(name, f) for name, f in scope.items() if name.startswith("test_")]
    tests = [t for t in tests if not sys.argv[2:] or t[0] in sys.argv[2:]]
    print("1..%d" % len(tests))
    if not shutil.which(debugger):
        print("Bail out! there is no " + debugger)
        return
    for number, (name, test) in enumerate(tests, 1):
        try:
            test()
            print("ok %d - %s" % (number, name), flush=True)
        except (AssertionError, pexpect.ExceptionPexpect, OSError) as e:
            print("not ok %d - %s" % (number, name))
            where = ["line %d of %s" % (at.lineno, at.name) for at in traceback.extract_tb(e.__traceback__)[1:]]
            print("\n".join("# " + line for line in [", ".join(where), *str(e).splitlines()]), flush=True)
