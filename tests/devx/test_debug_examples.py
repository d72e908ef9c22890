"""The examples of examples/debugging, as sessions of a person at the terminal, each without and with a ctrl-c typed
at every prompt, which must change nothing.

Usage: test_debug_examples.py FOLDER [TEST...]    (that of the built programs; no TEST: all)
"""

import functools
import os
import re
import sys

import pexpect

from prompt import Scene, prompt, run_tests

FOLDER = sys.argv[1]
ANY = r"\(yoke: ([^)\r\n]*)\) "


class Session(Scene):
    def __init__(self, program, ctrl_c, environment):
        super().__init__(os.path.join(FOLDER, program), program, environment)
        self.ctrl_c = ctrl_c

    def next_prompt(self):
        """Waits for whoever is next at a prompt: the name, and what was said before. No name: the program has ended."""
        if self.p.expect([ANY, pexpect.EOF]) == 1:
            self.said += self.p.before
            return None, self.p.before
        name, before = self.p.match.group(1), self.p.before
        self.said += before + self.p.after
        self.interrupt(name)
        return name, before

    def at(self, name):
        before = super().at(name)
        self.interrupt(name)
        return before

    def interrupt(self, name):
        if not self.ctrl_c:
            return
        self.p.sendintr()
        self.expect("Quit\r\n")
        self.expect(prompt(name))

    def end(self, status=0):
        """All that it said, without the echo of the last prompts."""
        said = super().end(status)
        assert "interrupted" not in said, said
        return said

    def ends(self, answer, status):
        """Typed at the last prompt; what is said from there on."""
        begin = len(self.said)
        self.type(answer)
        return self.end(status)[begin:]


def session(program, environment=None):
    def decorate(test):
        @functools.wraps(test)
        def both():
            for ctrl_c in (False, True):
                test(Session(program, ctrl_c, environment))
        return both
    return decorate


def has(said, *texts):
    for text in texts:
        assert text in said, "no %r in %s" % (text, said)


def steps(s, name, count):
    """`next`, so many times: each shows a line of the program."""
    for _ in range(count):
        shown = s.ask("next", name)
        assert re.search(r"^\d+\t", shown, re.M), shown


# ---- the root alone

@session("root_actor_breakpoint")
def test_exd_01_root_actor_breakpoint_continue(s):
    has(s.at("root/main"), "pause in actor `root`", "yoke_pause());")
    said = s.ends("c", 0)
    assert "rror" not in said, said


@session("root_actor_breakpoint")
def test_exd_01_root_actor_breakpoint_quit(s):
    s.at("root/main")
    has(s.ends("q", 1), "[DebuggerQuit]")


@session("root_actor_breakpoint_forever")
def test_exd_02_root_actor_breakpoint_forever(s):
    s.at("root/main")
    steps(s, "root/main", 10)
    s.type("c")
    has(s.at("root/main"), "pause in actor `root`")
    steps(s, "root/main", 2)
    has(s.ends("q", 1), "[DebuggerQuit]")


# ---- one child

CHILD = "breakpoint_forever/pauses:breakpoint_forever"


@session("subactor_breakpoint", {"YOKE_DEBUG": "levels"})
def test_exd_05_subactor_breakpoint(s):
    s.at(CHILD)
    steps(s, CHILD, 10)
    for _ in range(5):
        s.type("c")
        has(s.at(CHILD), "pause in actor `breakpoint_forever`")
    s.type("q")
    has(s.at("root/main"), "error in actor `root`", "a task of actor `breakpoint_forever` failed", "[DebuggerQuit]")
    has(s.ends("c", 1), "a task of actor `breakpoint_forever` failed", "[DebuggerQuit]")


@session("subactor_bp_in_ctx")
def test_exd_06_subactor_bp_in_ctx_quit(s):
    s.at("bp_boi/pauses:just_bp")
    s.type("c")
    s.at("bp_boi/pauses:just_bp")
    said = s.ends("q", 1)
    has(said, "a task of actor `bp_boi` failed", "[DebuggerQuit]")
    assert "second" not in said, said


@session("subactor_bp_in_ctx")
def test_exd_06_subactor_bp_in_ctx_without_a_channel(s):
    for _ in range(2):
        s.at("bp_boi/pauses:just_bp")
        s.type("c")
    s.at("bp_boi/pauses:just_bp")
    s.type("c")
    said = s.end(1)
    assert "2nd in the queue" not in said, said
    print(said[-600:])


# ---- threads

@session("sync_bp")
def test_exd_19_sync_bp(s):
    served = []
    while True:
        name, before = s.next_prompt()
        if not name:
            break
        has(before, "sync_pause ()", "YOKE_TRY(yoke_pause());")
        served.append(re.sub(r"\d+", "N", name))
        s.type("c")
    assert sorted(served) == ["root/pause_in_task", "root/thread N", "subactor/pause_in_task", "subactor/thread N"], served
    s.end()


run_tests(globals())
