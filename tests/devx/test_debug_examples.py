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


def serve(s, *names):
    """These are at the prompt in turn, and go on."""
    for name in names:
        s.at(name)
        s.type("c")


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


NO_CHANNEL = "no debugger: the channel to actor `root` (pid %d) is closed"


@session("subactor_bp_in_ctx")
def test_exd_06_subactor_bp_in_ctx_without_a_channel(s):
    serve(s, *3 * ["bp_boi/pauses:just_bp"])
    said = s.end(1)
    has(said, "third", NO_CHANNEL % s.p.pid, "0 is not true", "error: actor `bp_boi`")
    assert "in the queue" not in said, said


@session("subactor_bp_in_ctx")
def test_exd_06_subactor_bp_in_ctx_without_a_channel_ctrl_c(s):
    serve(s, *3 * ["bp_boi/pauses:just_bp"])
    s.expect("third")
    try:
        s.p.sendintr()
    except OSError:  # all has ended meanwhile
        pass
    has(s.end(1, 130), NO_CHANNEL % s.p.pid)


@session("subactor_error")
def test_exd_04_subactor_error(s):
    has(s.at("name_error/names:name_error"), "error in actor `name_error`", "error: nobody knows `doggypants` [example.NameError]")
    has(s.ends("c", 1), "error: a task of actor `name_error` failed", "caused by: nobody knows `doggypants`")


@session("subactor_error", {"YOKE_DEBUG": "levels"})
def test_exd_04_subactor_error_levels(s):
    s.at("name_error/names:name_error")
    s.ask("n", "name_error/names:name_error")
    s.type("c")
    has(s.at("root/main"), "error in actor `root`", "a task of actor `name_error` failed", "caused by: nobody knows `doggypants`")
    has(s.ends("c", 1), "error: a task of actor `name_error` failed", "caused by: nobody knows `doggypants`")


@session("per_actor_debug", {"YOKE_DEBUG": ""})
def test_exd_15_per_actor_debug(s):
    has(s.at("debugged_boi/names:name_error"), "error in actor `debugged_boi`")
    said = s.ends("c", 1)
    assert "(yoke: " not in said, said
    has(said, "a task of actor `crash_boi` failed", "in task `names:name_error` of actor `crash_boi`")


@session("pm_in_subactor", {"YOKE_DEBUG": "levels"})
def test_exd_16_pm_in_subactor(s):
    boxed = ["a task of actor `child` failed", "caused by: nobody knows `doggypants`"]
    has(s.at("child/names:name_error"), "post mortem in actor `child`", "nobody knows `doggypants`")
    s.type("c")
    has(s.at("child/names:name_error"), "error in actor `child`", "nobody knows `doggypants`")
    s.type("c")
    has(s.at("root/main"), "post mortem in actor `root`", *boxed)
    s.type("c")
    has(s.at("root/main"), "error in actor `root`", *boxed)
    said = s.ends("c", 1)
    assert "(yoke: " not in said, said
    has(said, *boxed)


# ---- in what is cancelled

def pauses_in_cancelled_scope(s, name):
    hint = "no prompt in a scope that is cancelled: yoke_%s_shielded() opens one"
    header = "pause in actor `%s`" % name.split("/")[0]
    has(s.at(name), header)
    s.type("c")
    has(s.at(name), hint % "pause", "a pause: cancelled", header)
    for _ in range(2):
        s.type("c")
        said = s.at(name)
        has(said, header, "yoke_pause_shielded());")
        assert "cancelled:" not in said, said
    s.type("c")
    has(s.at(name), hint % "post_mortem", "a post mortem: cancelled", "post mortem in actor", "0 is not true")


@session("shielded_pause")
def test_exd_17_shielded_pause(s):
    pauses_in_cancelled_scope(s, "cancelled_before_pause/pauses:cancelled_before_pause")
    s.type("c")
    pauses_in_cancelled_scope(s, "root/main")
    said = s.ends("c", 0)
    assert "rror" not in said, said


@session("root_self_cancelled_w_error")
def test_exd_13_root_self_cancelled_w_error(s):
    has(s.at("root/main"), "no prompt in a scope that is cancelled", "the pause: cancelled", "pause in actor `root`")
    s.type("c")
    has(s.at("root/main"), "error in actor `root`", "0 is not true")
    has(s.ends("c", 1), "error: 0 is not true [example.AssertionFailed]")


@session("fast_error_in_root_after_spawn")
def test_exd_14_fast_error_in_root_after_spawn(s):
    has(s.at("root/main"), "error in actor `root`", "0 is not true")
    said = s.ends("c", 1)
    has(said, "error: 0 is not true", "actor `sleeper` (graceful")
    assert "SIG" not in said, said


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
