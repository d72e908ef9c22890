#!/usr/bin/env python3
"""The tour's transcripts, typed again: test_tour.py GUIDE BUILD    (the built project). Prints TAP.

A block of the guide that is marked `console` is a session in a shell, in a folder with the guide's programs, which are its
blocks marked `c FILE`. What stands behind a prompt is typed; all the rest is what has to come, to the
letter, but for what no two runs have in common (SAME below). Each other block has to say what it is, too.
"""

import os
import pathlib
import re
import sys
import tempfile
import time

import pexpect
from prompt import LIMIT, Scene, living, run_tests

GUIDE, BUILD = map(os.path.abspath, sys.argv[1:3])
del sys.argv[2:3]

FENCE = re.compile(r"^ *```([^\n]*)\n(.*?)^ *```$", re.S | re.M)
PROMPT = re.compile(r"^(\$|\(gdb\)|\(yoke: [^)]*\)|[^()]*\(y or n\))(?: (.*))?$")
SHELL = "cd \"$1\" && unset YOKE_DEBUG && exec bash --norc --noprofile --noediting -i"
SCREEN = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


# ---- what has to come

# What differs from run to run, and has to be the same within one: processes and addresses.
PIDS = re.compile(r"(?:(?:\bpid|\bprocess|\bthread|^\[\d+\]) |\w\[|^(?:this|child|parent) +\S+ +)(\d+)\b", re.M)
SAME = r"0x[0-9a-f]{8,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# What differs, and is what it is: whether the far side has sent something just now; times; which of the library's frames and
# lines it is, which its compiler decides; and how wide a column is, which those decide.
FREE = [(r"(?<= channel) +waits for \d+\.\d{3} s\b", r" +(?:waits for \d+\.\d{3} s|ready)"),
        (r"\d+\.\d{3} s\b", r"\d+\.\d{3} s"), (r"\d\d:\d\d:\d\d\.\d{3}\b", r"\d\d:\d\d:\d\d\.\d{3}"),
        (r"#\d+ +(?=0x)", r"#\d+ +"), (r"(?<=src/)(?P<file>(?:\w+/)+\w+\.c):\d+", None), (r"(?<=\S) {2,}", " {2,}")]


def pattern_of(lines):
    """A regular expression for a session's lines."""
    said = "\n".join(lines)
    pids = sorted(set(PIDS.findall(said)), key=len, reverse=True)
    same = "|".join([SAME] + [rf"(?<![\w.]){pid}(?!\w|\.\d)" for pid in pids])
    tokens = re.compile("|".join([f"(?P<same>{same})"] + [f"(?P<free{i}>{one})" for i, (one, _) in enumerate(FREE)]))
    names, out, at = {}, [], 0
    for m in tokens.finditer(said):
        out.append(re.escape(said[at:m.start()]))
        at = m.end()
        if m.group("same"):
            known = m.group() in names
            name = names.setdefault(m.group(), f"n{len(names)}")
            out.append(f"(?P={name})" if known else f"(?P<{name}>{'[0-9]+' if m.group().isdigit() else '[0-9a-fx-]+'})")
        elif m.group("file"):
            out.append(re.escape(m.group("file")) + r":\d+")
        else:
            out.append(next(form for i, (_, form) in enumerate(FREE) if m.group(f"free{i}")))
    return re.compile("".join(out) + re.escape(said[at:]))


def screen_line(line):
    """What is to be seen of it: a return begins it again."""
    shown = ""
    for part in SCREEN.sub("", line).split("\r"):
        shown = part + shown[len(part):]
    return shown.rstrip()


def seen(lines):
    """Without prompts at which nothing was typed: they are drawn again when a line comes in between."""
    return [line for line in lines if line and not ((m := PROMPT.match(line)) and not m.group(2))]


# ---- a session

class Shell(Scene):
    def __init__(self, folder):
        super().__init__("sh", folder, {"PS1": "$ ", "PATH": f"{BUILD}:{os.environ['PATH']}", "LD_LIBRARY_PATH": BUILD,
                                        "PKG_CONFIG_PATH": f"{BUILD}/meson-uninstalled", "COLUMNS": "200"}, SHELL)

    def lines(self):
        return [screen_line(line).replace(FOLDER.name, "/home/me") for line in self.said.split("\n")]

    def read(self):
        try:
            self.said += self.p.read_nonblocking(65536, 0.1)
        except pexpect.TIMEOUT:
            pass

    def rest(self):
        """A person types when nothing moves any more; what spins does so for ever."""
        deadline, before = time.monotonic() + 5, None
        while time.monotonic() < deadline:
            now = [usage(pid) for pid, _ in living(self.signs.name)]
            if now == before and not any(state == "R" for state, _ in now):
                return
            before = now
            self.read()
            time.sleep(0.3)

    def wait_for(self, prompt, lines):
        """Till all of these lines have come, and the prompt below, with its blank: a ctrl-c ahead of that would take its place."""
        pattern, deadline = pattern_of(seen(lines)), time.monotonic() + LIMIT
        while True:
            now = self.lines()
            if now[-1] == prompt and SCREEN.sub("", self.said).endswith(" ") and pattern.fullmatch("\n".join(seen(now[:-1]))):
                return
            assert time.monotonic() < deadline, difference(seen(lines) + [prompt], seen(now[:-1]) + now[-1:])
            self.read()

    def play(self, lines):
        for i, line in enumerate(lines):
            m = PROMPT.match(line)
            if not m or not m.group(2):
                continue
            self.wait_for(m.group(1), lines[:i])
            if line.startswith("$ ") and i:
                self.rest()
            # gdb's answer is all that there is to be seen of ctrl-c
            self.p.sendintr() if m.group(2) == "Quit" else self.p.sendline(m.group(2))
        self.wait_for("$", lines)
        said = seen(self.lines()[:-1])
        self.p.sendline("exit 0")
        self.end()
        return said


def usage(pid):
    """Its state, and the time that it has run (proc(5): stat)."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "gone", 0
    return fields[0], int(fields[11]) + int(fields[12])


def difference(expected, got):
    for i in range(len(expected)):
        if not pattern_of(expected[:i + 1]).fullmatch("\n".join(got[:i + 1])):
            break
    return "line %d is not as the guide says; the guide:\n%s\nand it was:\n%s" % (
        i + 1, "\n".join(expected[max(0, i - 3):i + 2]), "\n".join(got[max(0, i - 3):]))


def altered(lines):
    """The transcript with one of its lines made another one, for each of its lines."""
    for i, line in enumerate(lines):
        yield i, lines[:i] + [line + " or not"] + lines[i + 1:]
        yield i, lines[:i] + lines[i + 1:]


# ---- the guide

FOLDER = tempfile.TemporaryDirectory()
TEXT = pathlib.Path(GUIDE).read_text()
BLOCKS = [(m.group(1).strip(), m.group(2), TEXT[:m.start()].count("\n") + 1) for m in FENCE.finditer(TEXT)]


def test_the_guide_marks_its_blocks():
    unknown = [at for kind, _, at in BLOCKS if not re.fullmatch(r"console|c|c \w+\.c", kind)]
    assert not unknown, "blocks without a mark, at the lines %s" % unknown
    outside = FENCE.sub("", TEXT)
    stray = [line for line in outside.split("\n") if re.match(r"^ {4,}(\$|\(gdb\)|\(yoke: |error: )", line)]
    assert not stray, "sessions that are no blocks: %s" % stray


def transcript(content):
    def test():
        lines = content.rstrip("\n").split("\n")
        assert lines[0].startswith("$ "), "it does not begin with a command"
        said = "\n".join(Shell(FOLDER.name).play(lines))
        for i, other in altered(seen(lines)):
            assert not pattern_of(other).fullmatch(said), "this line is not compared: " + seen(lines)[i]
    return test


def prepare():
    for kind, content, at in BLOCKS:
        if kind.startswith("c "):
            (pathlib.Path(FOLDER.name) / kind.split()[1]).write_text(content)
        elif kind == "console":
            heading = re.findall(r"^#+ (.*)$", TEXT[:TEXT.index(content)], re.M)[-1]
            name = "test_%s" % re.sub(r"\W+", "_", heading).lower()
            count = sum(known.startswith(name) for known in globals())
            globals()["%s_%d" % (name, count + 1)] = transcript(content)


prepare()
run_tests(globals())
FOLDER.cleanup()
