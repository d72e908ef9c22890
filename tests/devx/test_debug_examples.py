"""The examples of examples/debugging, as sessions of a person at the terminal, each without and with a ctrl-c typed
at every prompt, which must change nothing.

Usage: test_debug_examples.py FOLDER [TEST...]    (that of the built programs; no TEST: all)
"""

import functools
import itertools
import os
import re
import signal
import sys
import termios
import time

import pexpect

from prompt import DIRECT, Scene, prompt, run_tests

FOLDER = sys.argv[1]
# The log of who asks for the terminal, also while somebody is at the prompt.
LOCK_LOG = dict(DIRECT, YOKE_LOG="devx=runtime")
OVER = 2.5  # seconds: a task would have been given up (after 0.6), an actor that was asked to end killed (1.6)
ANY = r"\(yoke: ([^)\r\n]*)\) "


class Session(Scene):
    def __init__(self, program, ctrl_c, environment, argument="", wrap=None):
        super().__init__(os.path.join(FOLDER, program), argument, environment, wrap)
        self.ctrl_c = ctrl_c
        # Ctrl-c would throw away what the others have said meanwhile.
        modes = termios.tcgetattr(self.p.child_fd)
        modes[3] |= termios.NOFLSH
        termios.tcsetattr(self.p.child_fd, termios.TCSANOW, modes)

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

    def asked(self, actor, count=1):
        """Waits till actors of that name have asked for the terminal, so often in all. Needs LOCK_LOG."""
        line = r"the terminal: actor `%s` \([^)]*\), task [^ ]*, cid [^ ]* is asked for" % actor
        while len(re.findall(line, self.said)) < count:
            self.expect(line)

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


def root_crashes(s, answer):
    has(s.at("root/main"), "Assertion `doggies > 0' failed", "SIGABRT in actor `root`", "assert(doggies > 0);")
    s.ends(answer, -signal.SIGABRT)
    has(s.said, "actor root (pid %d) died of SIGABRT" % s.p.pid)


@session("root_actor_error")
def test_exd_03_root_actor_error_continue(s):
    root_crashes(s, "c")


@session("root_actor_error")
def test_exd_03_root_actor_error_quit(s):
    root_crashes(s, "q")


OWN_HANDLER = "the program's own handler"


@session("restore_builtin_breakpoint", {"YOKE_DEBUG": ""})
def test_exd_20_restore_builtin_breakpoint_continue(s):
    has(s.at("root/main"), OWN_HANDLER, "breakpoint in actor `root`", "YOKE_BREAKPOINT();")
    said = s.ends("c", 0)
    has(said, "went on inside: 1", OWN_HANDLER, "went on after the runtime")
    assert s.said.count(OWN_HANDLER) == 2 and "rror" not in said, s.said


@session("restore_builtin_breakpoint", {"YOKE_DEBUG": ""})
def test_exd_20_restore_builtin_breakpoint_quit(s):
    s.at("root/main")
    has(s.ends("q", 1), "went on inside: 1", "[DebuggerQuit]", OWN_HANDLER, "went on after the runtime")


def test_exd_20_restore_builtin_breakpoint_default():
    for ctrl_c in (False, True):
        s = Session("restore_builtin_breakpoint", ctrl_c, {"YOKE_DEBUG": ""}, "default", 'ulimit -c 0; exec "$0" "$1"')
        s.at("root/main")
        said = s.ends("c", -signal.SIGTRAP)
        has(said, "went on inside: 1")
        assert OWN_HANDLER not in s.said and "after the runtime" not in said, s.said


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
    # Before the runtime ended, meanwhile, or in the moment between that and the process' end.
    has(s.end(1, 130, -signal.SIGINT), NO_CHANNEL % s.p.pid)


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
    time.sleep(0.5)  # the other has failed
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


@session("root_timeout_while_child_crashed")
def test_exd_12_root_timeout_while_child_crashed(s):
    child = "key_error/keys:key_error"
    has(s.at(child), "error in actor `key_error`", "there is no `doggy`")
    time.sleep(1 + OVER)  # the root's deadline has passed
    has(s.ask("print 40 + 2", child), "= 42")
    s.type("c")
    has(s.at("root/main"), "error in actor `root`", "TooSlow", "there is no `doggy`")
    has(s.ends("c", 1), "TooSlow", "there is no `doggy`")


# ---- several

@session("multi_subactors", dict(LOCK_LOG, YOKE_DEBUG="levels,direct"))
def test_exd_07_multi_subactors(s):
    pauses = "breakpoint_forever/multi:breakpoint_forever"
    rest = {"name_error/multi:name_error", "name_error_1/multi:name_error", "spawn_error/multi:spawn_error"}
    visits = 0
    name, said = s.next_prompt()
    for actor in ("breakpoint_forever", "name_error", "name_error_1"):
        s.asked(actor)
    while rest or name != pauses:
        if name == pauses:
            has(said, "pause in actor `breakpoint_forever`")
            steps(s, name, 0 if visits else 10)
            visits += 1
        else:
            has(said, "error in actor", "nobody knows `doggypants`")
            assert name in rest, (name, said)
            rest.remove(name)
            s.asked("breakpoint_forever", visits + 1)  # nobody is cancelled while somebody waits
        if name == "spawn_error/multi:spawn_error":
            has(said, "a task of actor `name_error_1` failed")
        if name == pauses and rest == {"spawn_error/multi:spawn_error"}:
            s.asked("spawn_error")
        s.type("c")
        name, said = s.next_prompt()
    s.type("q")
    all_of_them = ["a task of actor `name_error` failed", "a task of actor `name_error_1` failed", "`spawn_error`",
                   "a task of actor `breakpoint_forever` failed", "[DebuggerQuit]"]
    has(s.at("root/main"), "error in actor `root`", *all_of_them)
    has(s.ends("c", 1), *all_of_them)


@session("multi_daemon_subactors", LOCK_LOG)
def test_exd_08_multi_daemon_subactors(s):
    pauses, fails = "bp_forever/daemons:breakpoint_forever", "name_error/daemons:name_error"
    paused = failed = 0
    while failed < 2:
        name, said = s.next_prompt()
        assert name in (pauses, fails), said
        paused += name == pauses
        failed += name == fails
        has(said, "pause in actor `bp_forever`" if name == pauses else "nobody knows `doggypants`")
        # Who comes first is open; then they take turns.
        assert abs(paused - failed) <= 1, (paused, failed)
        if name == pauses:  # it has sent as many numbers, for each of which the other is called
            s.asked("name_error", paused)
        else:
            s.asked("bp_forever", paused + 1)
        s.type("c")
    s.at(pauses)
    time.sleep(OVER)  # the root has failed
    has(s.ask("print 40 + 2", pauses), "= 42")
    said = s.ends("c", 1)
    has(said, "error: a task of actor `name_error` failed", "caused by: nobody knows `doggypants`", "actor `bp_forever` (graceful")


@session("multi_subactor_root_errors", LOCK_LOG)
def test_exd_09_multi_subactor_root_errors(s):
    children = {"name_error/faults:name_error", "name_error_1/faults:name_error"}
    name, _ = s.next_prompt()
    s.asked("name_error")
    time.sleep(0.3 + OVER)  # the root has failed
    has(s.ask("print 40 + 2", name), "= 42")
    while name in children:
        children.remove(name)
        s.type("c")
        name, said = s.next_prompt()
    refused = "is shutting down this actor" in said
    assert not children or (children == {"name_error_1/faults:name_error"} and refused), (children, said)
    assert name == "root/main", (name, said)
    has(said, "error in actor `root`", "0 is not true", "a task of actor `name_error` failed")
    has(s.ends("c", 1), "0 is not true", "a task of actor `name_error` failed", "nobody knows `doggypants`")


def types_in_turn(s, *answers):
    """Each who comes to a prompt is given the next of these, round and round; what the program says at its end, and at
    whose prompts `q` was typed."""
    quits = []
    name, _ = s.next_prompt()
    for actor, count in (("name_error", 2), ("breakpoint_forever", 2)):
        s.asked(actor, count)
    for answer in itertools.cycle(answers):
        if answer == "q":
            quits.append(name.split("/")[0])
        begin = len(s.said)
        s.type(answer)
        name, _ = s.next_prompt()
        if not name:
            return s.end(1)[begin:], quits


def nested_errors(s, *answers):
    said, quits = types_in_turn(s, *answers)
    has(said, "nobody knows `doggypants` [example.NameError]", "`spawner0`", "`spawner1`", "`spawn_until_0`", "`spawn_until_2`")
    assert ("[DebuggerQuit]" in said) == ("breakpoint_forever" in quits), (quits, said)


NESTED = session("multi_nested_subactors_error_up_through_nurseries", LOCK_LOG)


@NESTED
def test_exd_10_multi_nested_subactors_error_up_through_nurseries(s):
    nested_errors(s, "c", "q")


@NESTED
def test_exd_10_multi_nested_subactors_error_up_through_nurseries_quit_first(s):
    nested_errors(s, "q", "c")


@session("root_cancelled_but_child_is_in_tty_lock", LOCK_LOG)
def test_exd_11_root_cancelled_but_child_is_in_tty_lock(s):
    name, _ = s.next_prompt()
    s.asked("name_error", 2)
    while name:
        assert name == "name_error/branches:name_error", name
        s.type("c")
        name, _ = s.next_prompt()
    said = s.end(1)
    has(said, "error: ", "`spawner0`", "a task of actor `name_error` failed", "caused by: nobody knows `doggypants`")
    assert "several errors" not in said, said  # each branch has one


# ---- no prompt

@session("shield_hang_in_sub", {"YOKE_DEBUG": ""})
def test_exd_18_shield_hang_in_sub(s):
    hangs = r"task `hangs:hang` waits in yoke_sleep_forever for \S+ s, shielded.*hang .*shield_hang_in_sub\.c:\d+"
    s.expect(r"(?s)actor `hanger` \(pid \d+\).*" + hangs)
    s.expect(r"actor `root` \(pid \d+\)")
    s.expect(r"(?s)task `main` waits in yoke_sleep_forever.*with_child .*shield_hang_in_sub\.c:\d+")
    s.expect(r"(?s)actor root / `hanger` \(pid \d+\).*" + hangs)
    s.p.sendintr()
    has(s.end(130), "actor `hanger` (pid ", "SIGKILL", "interrupted")


def test_exd_21_open_ctx_modnofound_ctrl_c():
    said = Session("open_ctx_modnofound", False, None, "ctrl-c").end(130)
    has(said, "interrupted")
    assert "(yoke: " not in said, said


@session("open_ctx_modnofound", {"YOKE_DEBUG": "levels"})
def test_exd_21_open_ctx_modnofound(s):
    name, said = s.next_prompt()
    assert name == "root/main", (name, said)
    has(said, "error in actor `root`", "no module `sleeps` is exposed by this actor", "[ModuleNotExposed]")
    has(s.ends("c", 1), "no module `sleeps` is exposed by this actor")


@session("debug_mode_hang", {"YOKE_DEBUG": ""})
def test_exd_22_debug_mode_hang(s):
    said = s.end()
    assert said.splitlines()[0] == "42" and "SIG" not in said, said


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


# ---- on a loop that is not ours

HOSTED = "child/child:task_of_the_child"


@session("foreign_loop_bp")
def test_exd_23_foreign_loop_bp_continue(s):
    has(s.at("root/main"), "pause in actor `root`", "YOKE_TRY(yoke_pause());")
    s.type("c")
    has(s.at(HOSTED), "pause in actor `child`", "return yoke_pause();")
    s.type("c")
    has(s.at("root/host"), "pause in actor `root`", "yoke_error *e = yoke_pause();")
    has(s.ask("bt", "root/host"), "on_call", "uv_run")
    assert re.search(r"main +waits in yoke_event_wait for .*foreign_loop_bp\.c", s.ask("yoke tasks", "root/host"))
    said = s.ends("c", 0)
    has(said, "the loop's heart has beaten")
    assert "rror" not in said, said


@session("foreign_loop_bp")
def test_exd_23_foreign_loop_bp_quit_in_the_root_s_task(s):
    s.at("root/main")
    has(s.ends("q", 1), "[DebuggerQuit]", "in task `main`")


@session("foreign_loop_bp")
def test_exd_23_foreign_loop_bp_quit_in_the_child(s):
    serve(s, "root/main")
    s.at(HOSTED)
    has(s.ends("q", 1), "[DebuggerQuit]", "task_of_the_child")


@session("foreign_loop_bp")
def test_exd_23_foreign_loop_bp_quit_in_a_callback_of_the_loop(s):
    serve(s, "root/main", HOSTED)
    s.at("root/host")
    said = s.ends("q", 1)
    has(said, "[DebuggerQuit]")
    assert said.count("DebuggerQuit") == 1, said


run_tests(globals())
