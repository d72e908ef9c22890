"""Errors on their way out, in debug mode: who stops, and where.

Usage: test_error_stop_tree.py PROGRAM SOURCE [TEST...]    (tests/devx/error_stop_tree.c, built; no TEST: all)
"""

import os
import re
import signal
import sys
import tempfile

from prompt import Scene, run_tests

PROGRAM, SOURCE = sys.argv[1:3]
del sys.argv[2]

with open(SOURCE) as source:
    LINES = source.read().splitlines()


def number_of(comment):
    return next(n for n, line in enumerate(LINES, 1) if "/* %s */" % comment in line)


def has(said, *texts):
    for text in texts:
        assert text in said, "no %r in %s" % (text, said)


def prompts(said):
    """Who had one, in order; of several in a row the first."""
    found = re.findall(r"\(yoke: ([^)]*)\) ", said)
    return [name for i, name in enumerate(found) if not i or found[i - 1] != name]


def goes_on(scene, at, answer, environment=None):
    s = Scene(PROGRAM, scene, environment)
    header = s.at(at)
    s.type(answer)
    return header, s.end(1)


def test_crash_13_error_that_leaves_an_endpoint():
    for answer in ("continue", "quit"):
        header, said = goes_on("child", "left/err:fail", answer)
        has(header, "task `err:fail`:", "error: no luck with 44 [test.Broken]", "at fail_here (", "via fail_in (",
            "%d\t    YOKE_TRY(fail_in(42));" % number_of("the line that it leaves"))
        assert re.search(r"error in actor `left` \(pid \d+\), task `err:fail`:", header), header
        assert prompts(said) == ["left/err:fail"], said
        after = said.split("(yoke: left/err:fail)")[-1]
        has(after, "error: a task of actor `left` failed [Remote]", "caused by: no luck with 44 [test.Broken]")


def test_crash_13_error_that_leaves_the_app():
    for scene in ("root", "own_root"):
        header, said = goes_on(scene, "root/main", "continue")
        has(header, "error: no luck with 44 [test.Broken]")
        assert prompts(said) == ["root/main"], said
        has(said.split("(yoke: root/main)")[-1], "error: no luck with 44 [test.Broken]")


def test_crash_13_at_the_raise():
    s = Scene(PROGRAM, "child", {"YOKE_DEBUG": "raise"})
    header = s.at("left/err:fail")
    has(header, "error: no luck with 44 [test.Broken]", "%d\t    yoke_error *e = yoke_raise" % number_of("the line that raises"))
    assert "raised it" not in header, header
    has(s.ask("print local", "left/err:fail"), "= 44")
    has(s.ask("up", "left/err:fail"), "fail_in (count=42)")
    s.type("continue")
    said = s.end(1)
    assert prompts(said) == ["left/err:fail"], said
    has(said, "left: raised it", "caused by: no luck with 44")


def test_crash_14_cancelled_is_no_crash():
    s = Scene(PROGRAM, "cancels")
    said = s.end(1)
    assert not prompts(said), said
    has(said, "root: one's own is absorbed", "root: yoke.ContextCancelled")


def test_crash_14_ctrl_c_is_no_crash():
    s = Scene(PROGRAM, "interrupted")
    s.expect("left: sleeps")
    s.sign("interrupt")
    said = s.end(128 + signal.SIGINT)
    assert not prompts(said), said
    has(said, "interrupted")


def test_crash_14_quit_is_no_crash():
    s = Scene(PROGRAM, "pause")
    s.at("left/err:stop")
    s.type("quit")
    said = s.end(1)
    assert prompts(said) == ["left/err:stop"], said
    assert said.count("(yoke: left/err:stop)") == 1, said
    has(said, "the debugger was told to quit [DebuggerQuit]")


def test_crash_15_level_by_level():
    s = Scene(PROGRAM, "levels", {"YOKE_DEBUG": "levels"})
    has(s.at("leaf/err:fail"), "no luck with 44")
    s.type("continue")
    has(s.at("left/err:middle"), "error: a task of actor `leaf` failed", "caused by: no luck with 44")
    # Where the place is listed, and in whose frame one stands: who has closed the nursery.
    has(s.ask("frame", "left/err:middle"), " in middle (", "return yoke_actors_close(actors, ")
    s.type("continue")
    has(s.at("root/main"), "error: a task of actor `leaf` failed", "came by actors `leaf`, `left`")
    has(s.ask("frame", "root/main"), " in play (", "return yoke_actors_close(actors, ")
    s.type("continue")
    said = s.end(1)
    assert prompts(said) == ["leaf/err:fail", "left/err:middle", "root/main"], said
    assert said.count("(yoke: ") == 5, said


def test_crash_15_once_is_the_default():
    header, said = goes_on("levels", "leaf/err:fail", "continue")
    assert said.count("(yoke: ") == 1, said


def test_crash_16_by_hand():
    s = Scene(PROGRAM, "by_hand")
    header = s.at("left/err:autopsy")
    has(header, "post mortem in actor `left`", "error: looked at by hand [test.Broken]",
        "%d\t    YOKE_TRY(yoke_post_mortem(e));" % number_of("the line of the autopsy"))
    s.type("continue")
    has(s.end(), "left: still looked at by hand")


def test_crash_16_in_a_cancelled_scope():
    s = Scene(PROGRAM, "by_hand_cancelled")
    header = s.at("left/err:autopsy_when_cancelled")
    has(header, "no prompt in a scope that is cancelled: yoke_post_mortem_shielded() opens one", "left: Cancelled",
        "error: looked at by hand")
    s.type("quit")
    said = s.end()
    has(said, "left: yoke.DebuggerQuit", "left: absorbed 1")
    assert said.count("(yoke: ") == 1, said


def test_crash_17_block_without_a_runtime():
    for answer in ("continue", "quit"):
        s = Scene(PROGRAM, "own_block", {"YOKE_DEBUG": ""})
        name = "devx-error_stop_tree/main"
        header = s.at(name)
        has(header, "error in actor `devx-error_stop_tree`", "error: no luck with 44 [test.Broken]",
            "%d\t    yoke_error *e = yoke_crash_handler_close" % number_of("the line of the block"))
        has(s.ask("print passes", name), "= false")
        s.type(answer)
        has(s.end(1).split("(yoke: ")[-1], "error: no luck with 44 [test.Broken]")


def test_crash_17_other_kinds_pass():
    said = Scene(PROGRAM, "own_block_passes").end(1)
    assert not prompts(said), said
    has(said, "error: no luck with 44 [test.Broken]")


def test_crash_18_per_actor():
    s = Scene(PROGRAM, "per_actor", {"YOKE_DEBUG": ""})
    s.sign("debugged")
    has(s.at("debugged/err:fail_at_sign"), "no luck for debugged")
    s.sign("plain")
    has(s.ask("print 40 + 2", "debugged/err:fail_at_sign"), "= 42")
    s.type("continue")
    said = s.end(1)
    assert prompts(said) == ["debugged/err:fail_at_sign"], said
    has(said.split("(yoke: ")[-1], "a task of actor `plain` failed", "no luck for plain")


def test_cfg_01_by_option_at_the_root():
    header, said = goes_on("own_child", "left/err:fail", "continue", {"YOKE_DEBUG": ""})
    has(said, "no luck with 44")
    off = Scene(PROGRAM, "child", {"YOKE_DEBUG": ""}).end(1)
    assert not prompts(off), off


def test_cfg_02_unknown_words():
    for scene, status in (("child", 2), ("own_child", 1)):
        for words, wrong in (("1,lvels", "lvels"), ("yes", "yes"), ("0,raise", "0")):
            said = Scene(PROGRAM, scene, {"YOKE_DEBUG": words}).end(status)
            has(said, "YOKE_DEBUG: `%s` is no word of it: it can be 0, or 1, raise, levels, freeze and direct" % wrong)
            assert "raised it" not in said, said


def test_cfg_03_debugger_command():
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "my-debugger")
        with open(script, "w") as f:
            f.write('#!/bin/sh\necho "mine: $1 $2"\nshift 2\nexec gdb "$@"\n')
        os.chmod(script, 0o700)
        for command, environment in ((script, {}), ("my-debugger", {"PATH": folder + ":" + os.environ["PATH"]})):
            header, said = goes_on("child", "left/err:fail", "continue", dict(environment, YOKE_DEBUGGER=command + "  one two"))
            has(header, "mine: one two", "error: no luck with 44")


def test_cfg_03_gdb_that_is_not_enough():
    """One in which our Python does not begin, as without Python at all; and one in which it fails, when it has attached."""
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "my-gdb")
        for fault in "import builtins; del builtins.exec", "gdb.events = None":
            with open(script, "w") as f:
                f.write(f'#!/bin/sh\nexec gdb -iex "python {fault}" "$@"\n')
            os.chmod(script, 0o700)
            said = Scene(PROGRAM, "child", {"YOKE_DEBUGGER": script}).end(1)
            has(said, f"no debugger: {script} is no gdb of version 10 or later with Python", "caused by: no luck with 44")
            assert not prompts(said) and "A debugging session" not in said, said


def test_cfg_03_no_such_debugger():
    for command, text in (("no-such-debugger -x", "YOKE_DEBUGGER: there is no `no-such-debugger` in PATH; gdb is in the package `gdb`"),
                          ("/nonexistent/gdb", "YOKE_DEBUGGER: there is no `/nonexistent/gdb`; gdb is in the package `gdb`")):
        said = Scene(PROGRAM, "child", {"YOKE_DEBUGGER": command}).end(1)
        has(said, "no debugger: " + text, "caused by: no luck with 44")
        assert not prompts(said), said


run_tests(globals())
