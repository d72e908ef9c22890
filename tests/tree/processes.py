"""The processes of a tree under test, as /proc shows them. They are known by a mark in their environment, which each process
that they start inherits; zombies, which have no environment, by being children of the test, which is a subreaper."""

import ctypes
import os
import time

PR_SET_CHILD_SUBREAPER = 36


def become_subreaper():
    """From here on whatever loses its parent below this process becomes its child, and can't hide."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Process:
    def __init__(self, pid):
        with open(f"/proc/{pid}/stat") as f:
            text = f.read()
        self.pid = pid
        self.name = text[text.index("(") + 1:text.rindex(")")]
        fields = text[text.rindex(")") + 2:].split()
        self.state, self.parent = fields[0], int(fields[1])

    def option(self):
        """The last argument of its command line."""
        try:
            with open(f"/proc/{self.pid}/cmdline") as f:
                return f.read().rstrip("\0").rpartition("\0")[2]
        except OSError:
            return ""

    def __repr__(self):
        return f"{self.name} (pid {self.pid}, parent {self.parent}, {self.state})"


def carries(pid, mark):
    try:
        with open(f"/proc/{pid}/environ", "rb") as f:
            return mark.encode() in f.read().split(b"\0")
    except OSError:
        return False


def living(mark):
    """The processes that carry the mark, in the order of their numbers."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid() or not carries(entry, mark):
            continue
        try:
            found.append(Process(int(entry)))
        except OSError:
            pass
    return sorted((p for p in found if p.state not in "ZX"), key=lambda p: p.pid)


def children(pid):
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as f:
                found += map(int, f.read().split())
    except OSError:
        pass # it has ended
    return found


def below():
    """The living processes below this one. In a subreaper that tends one tree these are all of the tree, whatever became
    of their parents; cheaper than living(). One that changes its parent meanwhile may be missed."""
    found, look = [], children(os.getpid())
    while look:
        pid = look.pop()
        try:
            process = Process(pid)
        except OSError:
            continue
        look += children(pid)
        if process.state not in "ZX":
            found.append(process)
    return sorted(found, key=lambda p: p.pid)


def reap_adopted(but):
    """Reaps dead children of this process but one; returns those that still live."""
    left = []
    with open(f"/proc/self/task/{os.getpid()}/children") as f:
        for pid in map(int, f.read().split()):
            try:
                if pid != but and os.waitpid(pid, os.WNOHANG)[0] == 0:
                    left.append(pid)
            except ChildProcessError:
                pass
    return left


def wait_till_gone(mark, but, seconds):
    """Waits till nothing of the tree is alive and reaps what was adopted; returns what is left, and the seconds it took."""
    return wait_till_none(lambda: living(mark), but, seconds)


def wait_till_none(look, but, seconds):
    """The same for what `look` finds."""
    begin = time.monotonic()
    empty = 0
    while True:
        left = look()
        took = time.monotonic() - begin
        adopted = reap_adopted(but)
        # What is born while /proc is read may be missed: twice nothing is nothing.
        empty = 0 if left or adopted else empty + 1
        if empty == 2:
            return [], took
        if took > seconds:
            return left or adopted, took
        time.sleep(0.002)
