"""lldb in gdb's place (YOKE_DEBUGGER=lldb): a person at its prompt, in the trees of the other tests.

Usage: test_lldb.py STOPS CRASHES PAUSE ENDS [TEST...]
(stop_tree.c, crash_tree.c, pause_tree.c and end_tree.c, built; no TEST: all)
"""

import os
import re
import shutil
import signal
import sys
import tempfile
import termios

import pexpect

from prompt import Scene, living, pid_of, run_tests, wait_till, wait_till_gone

STOPS, CRASHES, PAUSE, ENDS = sys.argv[1:5]
del sys.argv[2:5]
SANITIZED = b"__asan_init" in open(STOPS, "rb").read()
LINES, MAIN, WORK = "left/stops:lines", "root/main", "left/crash:work"
HERE = os.path.dirname(os.path.abspath(__file__))


def line_of(source, comment):
    with open(os.path.join(HERE, source)) as f:
        return next(n for n, text in enumerate(f, 1) if "/* %s */" % comment in text)


def scene(program, name, environment=None, **more):
    return Scene(program, name, dict({"YOKE_DEBUGGER": "lldb"}, **environment or {}), **more)


def has(said, *texts):
    for text in texts:
        assert text in said, "no %r in %s" % (text, said)


def shows_line(said, source, line):
    assert re.search(r"%s:%d(:\d+)?\r" % (source, line), said), said


def ends(s, *statuses):
    """Nor is lldb's server left, which Scene.end would find."""
    wait_till(lambda: not [name for _, name in living(s.signs.name) if name.startswith("lldb")], "the end of lldb")
    return s.end(*statuses)


def test_repl_18_frame_of_the_caller():
    s = scene(STOPS, "lines")
    header = s.at(LINES)
    assert re.search(r"pause in actor `left` \(pid %d\), task `stops:lines`: frame #\d+: .*`lines\(" % pid_of(s, "yoke-left"),
                     header), header
    shows_line(header, "stop_tree.c", line_of("stop_tree.c", "line 0"))
    assert re.search(r"^ +%d +YOKE_TRY\(yoke_pause\(\)\); /\* line 0 \*/\r" % line_of("stop_tree.c", "line 0"), header, re.M), header
    has(s.ask("frame variable n", LINES), ") n = 0")
    has(s.ask("up", LINES), "serve.c")
    has(s.ask("down", LINES), "stop_tree.c")
    has(s.ask("bt", LINES), "yoke_pause", "task_entry")
    has(s.ask("frame select", LINES), "`lines(")
    s.type("continue")
    has(ends(s), "left: 55")


def test_repl_18_ways_to_go_on():
    for how in ("c", "detach", "end of input"):
        s = scene(STOPS, "lines")
        s.at(LINES)
        if how == "end of input":
            s.p.sendeof()
        else:
            s.type(how)
        has(ends(s), "left: 55")


def test_repl_18_quit_without_a_question():
    for how in ("quit", "q"):
        s = scene(STOPS, "lines")
        s.at(LINES)
        s.type(how)
        said = ends(s, 1)
        has(said, "[DebuggerQuit]")
        assert "left: 55" not in said and "[Y/n]" not in said and said.count("(yoke: ") == 1, said


def test_repl_18_steps_on_the_callers_lines():
    first = line_of("stop_tree.c", "line 0")
    s = scene(STOPS, "lines")
    s.at(LINES)
    for n, step in enumerate(("next", "n", "step", "s"), 1):
        shows_line(s.ask(step, LINES), "stop_tree.c", first + n)
    has(s.ask("frame variable n", LINES), ") n = 6")
    shows_line(s.ask("stepi", LINES), "stop_tree.c", first + 4)
    has(s.ask("finish", LINES), "left: 55", "serve.c")
    s.type("c")
    ends(s)


def test_repl_18_quit_after_a_step_is_the_next_pauses():
    s = scene(STOPS, "root_forever")
    s.at(MAIN)
    s.ask("next", MAIN)
    s.type("quit")
    has(ends(s, 1), "[DebuggerQuit]")


def test_repl_18_a_pause_that_a_step_goes_over():
    s = scene(STOPS, "root_forever")
    s.at(MAIN)
    for _ in range(10):
        if "its debugger is here already" in s.ask("next", MAIN):
            break
    has(s.said, "yoke_pause: its debugger is here already: going on")
    s.type("quit")
    has(ends(s, 1), "[DebuggerQuit]")


def test_repl_18_a_thread_that_pauses():
    s = scene(STOPS, "thread")
    s.expect(r"\(yoke: (left/thread \d+)\) ")
    name = s.p.match.group(1)
    shows_line(s.said, "stop_tree.c", line_of("stop_tree.c", "the thread's line"))
    if not SANITIZED:
        has(s.ask("frame variable own", name), ") own = 43")
    s.type("continue")
    s.expect("thread: 44, goes on")
    ends(s)


def test_repl_18_ctrl_c_is_lldbs():
    s = scene(STOPS, "lines")
    s.at(LINES)
    for _ in range(3):
        s.p.sendintr()
        s.at(LINES)
    has(s.ask("frame variable n", LINES), ") n = 0")
    s.type("continue")
    said = ends(s)
    has(said, "left: 55")
    assert "nterrupt" not in said, said


def test_repl_18_ctrl_c_stops_a_step():
    with tempfile.TemporaryDirectory() as folder:
        sign, name = os.path.join(folder, "sign"), "left/ends:stop"
        s = scene(PAUSE, sign)
        s.at(name)
        s.ask("next", name)
        s.ask("next", name)
        s.type("next")  # over a sleep of 100 s
        left = pid_of(s, "yoke-left")

        def sleeps():
            with open("/proc/%d/stat" % left) as f:
                return ") S " in f.read()

        wait_till(sleeps, "the sleep")
        s.p.sendintr()
        s.at(name)
        has(s.ask("bt", name), "yoke_sleep" if SANITIZED else "epoll")
        open(sign, "w").close()
        s.type("continue")
        has(ends(s), "left: cancelled", "root: 0 left")


def test_repl_18_crash():
    for how in ("continue", "quit"):
        s = scene(CRASHES, "segv")
        header = s.at(WORK)
        assert re.search(r"SIGSEGV in actor `left` \(pid \d+\), task `crash:work`:", header), header
        has(header, "at address 0x10: nothing is mapped there", "`crash_segv(count=42)", "/* the line of SIGSEGV */")
        shows_line(header, "crash_tree.c", line_of("crash_tree.c", "the line of SIGSEGV"))
        has(s.ask("frame variable local", WORK), "local = " if SANITIZED else "local = 44")
        has(s.ask("next", WORK), "it can't be moved any more")
        left = pid_of(s, "yoke-left")
        s.type(how)
        said = ends(s, 1)
        has(said, "error: actor `left` (pid %d) died of SIGSEGV [ActorDied]" % left, "at crash_segv (")


def test_repl_18_crash_of_the_root():
    s = scene(CRASHES, "root")
    header = s.at(MAIN)
    assert re.search(r"SIGSEGV in actor `root` \(pid \d+\), task `main`:", header), header
    has(header, "`crash_segv(count=42)", "/* the line of SIGSEGV */")
    s.type("continue")
    s.expect(pexpect.EOF)
    wait_till(lambda: not living(s.signs.name), "the end of all")
    s.end(-signal.SIGSEGV)


def test_repl_18_killed_lldb():
    s = scene(STOPS, "lines")
    s.at(LINES)
    os.kill(pid_of(s, "lldb"), signal.SIGKILL)
    has(ends(s), "the debugger of `left/stops:lines` was killed by SIGKILL: the task goes on", "left: 55")


def test_repl_18_lldb_that_is_asked_to_end_takes_its_breakpoints_out():
    s = scene(STOPS, "lines")
    s.at(LINES)
    s.ask("breakpoint set -f stop_tree.c -l %d" % line_of("stop_tree.c", "line 10"), LINES)
    s.ask("next", LINES)
    os.kill(pid_of(s, "lldb"), signal.SIGTERM)
    has(ends(s), "left: 55")


def test_repl_18_lldb_is_asked_to_end_when_the_terminal_goes():
    s, name = scene(ENDS, "cancelled"), "left/ends:stop"
    s.at(name)
    s.ask("breakpoint set -n pause_result", name)
    os.kill(pid_of(s, os.path.basename(ENDS)[:15]), signal.SIGHUP)
    has(ends(s, 129), "left: DebuggerQuit")


def test_repl_18_one_actor_after_the_other():
    s, seen = scene(ENDS, "queue"), set()
    for _ in range(3):
        s.expect(r"\(yoke: ([abc])/ends:stop\) ")
        seen.add(s.p.match.group(1))
        has(s.ask("frame select", s.p.match.group(1) + "/ends:stop"), "end_tree.c")
        s.sign("go")
        s.type("continue")
    assert seen == set("abc"), seen
    ends(s)


def test_repl_18_killed_actor_ends_lldb():
    s = scene(STOPS, "lines")
    s.at(LINES)
    left = pid_of(s, "yoke-left")
    os.kill(left, signal.SIGKILL)
    has(ends(s, 1), "actor `left` (pid %d) died of SIGKILL" % left)


def test_repl_18_killed_root_takes_lldb_along():
    # The shell leads the session: the terminal is not hung up when the root dies, and so does not end lldb for us.
    s = scene(STOPS, "lines", wrap='"$0" "$1"; until [ -e "$SIGNS/seen" ]; do sleep 0.1; done')
    s.at(LINES)
    flags = lambda: termios.tcgetattr(s.p.child_fd)[3] & (termios.ICANON | termios.ECHO)
    assert not flags() & termios.ICANON
    lldb = [pid for pid, name in living(s.signs.name) if name.startswith("lldb")]
    assert len(lldb) == 2, living(s.signs.name)
    os.kill(pid_of(s, os.path.basename(STOPS)[:15]), signal.SIGKILL)
    for pid in lldb:
        wait_till_gone(pid)
    wait_till(lambda: flags() == termios.ICANON | termios.ECHO, "the terminal's modes")
    wait_till(lambda: not [name for _, name in living(s.signs.name) if name == "yoke-left"], "the end of left")
    s.sign("seen")
    s.end()


def test_repl_18_attach_refused():
    # The leak checker of a build with AddressSanitizer looks by ptrace, too.
    said = scene(STOPS, "no_ptrace", {"ASAN_OPTIONS": "detect_leaks=0"}).end()
    has(said, "left: 55", "lldb may not attach to process")
    assert "(yoke" not in said, said


def test_repl_18_by_path_with_arguments_and_the_users_settings():
    with tempfile.TemporaryDirectory() as home:
        with open(os.path.join(home, ".lldbinit"), "w") as f:
            f.write("command alias mine version\n")
        s = scene(STOPS, "lines", {"YOKE_DEBUGGER": os.path.realpath(shutil.which("lldb")) + " --no-use-colors", "HOME": home})
        s.at(LINES)
        has(s.ask("mine", LINES), "lldb version")
        s.type("continue")
        has(ends(s), "left: 55")


def test_repl_18_lldb_without_its_python():
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "lldb-1"), "w") as f:
            f.write("#!/bin/sh\nexit 1\n")
        os.chmod(f.name, 0o700)
        said = scene(STOPS, "lines", {"YOKE_DEBUGGER": f.name}).end()
        has(said, "%s is no lldb of version 14 or later with Python" % f.name, "left: 55")
    said = scene(STOPS, "lines", {"YOKE_DEBUGGER": "lldb-0"}).end()
    has(said, "there is no `lldb-0` in PATH; lldb is in the package `lldb`", "left: 55")


run_tests(globals(), "lldb")
