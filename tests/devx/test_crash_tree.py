"""Actors that crash, and what the tree says of it; with and without a debugger.

Usage: test_crash_tree.py PROGRAM SOURCE YOKE [TEST...]    (tests/devx/crash_tree.c and the command, built; no TEST: all)
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pexpect

from prompt import DIRECT, LIMIT, Scene, living, pid_of, run_tests, wait_till, wait_till_gone

PROGRAM, SOURCE, YOKE = sys.argv[1:4]
del sys.argv[2:4]
OFF = {"YOKE_DEBUG": "0"}
SANITIZED = b"__asan_init" in open(PROGRAM, "rb").read()

with open(SOURCE) as source:
    LINES = source.read().splitlines()


def line_of(comment):
    """crash_tree.c:N of the line with that comment."""
    return "crash_tree.c:%d" % next(n for n, line in enumerate(LINES, 1) if "/* %s */" % comment in line)


def crashed(scene, status=1):
    """What the root says in the end."""
    return Scene(PROGRAM, scene, OFF).end(status)


def has(said, *texts):
    for text in texts:
        assert text in said, "no %r in %s" % (text, said)


def test_crash_01_signal_in_a_child():
    for name, note in (("segv", "at address 0x10: nothing is mapped there"), ("bus", "beyond the end of a mapped file"),
                       ("fpe", "integer division by zero"), ("ill", "illegal instruction"), ("abrt", "")):
        said, where = crashed(name), line_of("the line of SIG" + name.upper())
        has(said, note, "in task `crash:work` of actor `left`", "cancelled with it: actor `right` (graceful")
        assert re.search(r"actor `left` \(pid \d+\) died of SIG%s \[ActorDied\]" % name.upper(), said), said
        assert re.search(r"at crash_%s \(\S*%s\)" % (name, where), said), said
        frames = [l.split()[0] for l in said.splitlines() if re.search(r"^ +\w+ +\S+\.c:\d+", l)]
        assert frames[:3] == ["crash_" + name, "crash_now", "work"], said


def test_crash_02_failed_assertion():
    said = crashed("assert")
    has(said, "died of SIGABRT", "Assertion `count == 43 && \"of all things\"' failed.", line_of("the line of assert"))
    assert re.search(r"note: .*Assertion", said), said


def test_crash_03_stack_overflow_of_a_task():
    said = crashed("overflow")
    assert re.search(r"note: stack overflow of task `crash:work` \(spawned at \S+:\d+\): its stack is \d+ KiB", said), said
    folded = re.search(r"\n +crash_recurse +\S*%s\r?\n +\.\.\. ([\d,]+) frames of crash_recurse\r?\n +crash_overflow " %
                       line_of("the line of overflow"), said)
    assert folded and int(folded.group(1).replace(",", "")) > 128, said
    has(said, "crash_now", "work ")


def test_crash_05_broken_heap():
    if SANITIZED:
        return
    said = crashed("heap")
    has(said, "died of SIGABRT", "note: double free or corruption", "crash_heap", line_of("the line of heap"))


def test_crash_06_inside_of_malloc_with_locks_held():
    if SANITIZED:
        return
    said = crashed("locks")
    has(said, "died of SIGSEGV", "malloc", "crash_locks", line_of("the line of locks"))


def test_crash_08_in_the_root():
    s = Scene(PROGRAM, "root", OFF)
    s.expect(pexpect.EOF)
    wait_till(lambda: not living(s.signs.name), "the end of the root's child")
    said = s.end(-signal.SIGSEGV).replace("right: sleeps\r\n", "")  # whenever it comes to say so
    assert re.search(r"yoke: actor root \(pid \d+\) died of SIGSEGV at address 0x10\r", said), said
    assert re.search(r"in task `main`, spawned at the start of the run\r\n +\S*devx-crash_tree\+0x", said), said


def test_crash_20_trace_through_tasks():
    said = crashed("nested")
    lines = [l.strip() for l in said.splitlines()]
    at = next(i for i, l in enumerate(lines) if re.match(r"crash_segv +\S*crash_tree", l))
    assert re.match(r"inner +\S*crash_tree.c:\d+$", lines[at + 1]), said
    assert re.match(r"task `inner` was spawned at \S*%s by task `outer`$" % line_of("the line that spawns inner"), lines[at + 2]), said
    assert re.match(r"task `outer` was spawned at \S*%s by task `crash:nested`$" % line_of("the line that spawns outer"),
                    lines[at + 3]), said
    assert not re.search("switch_|0x[0-9a-f]{6}|task `crash:nested` was", "\n".join(lines[at:])), said


class Stripped:
    """The program without its symbols, and a tree of those by the build-id."""

    def __init__(self, where):
        self.folder = tempfile.TemporaryDirectory()
        self.program = os.path.join(self.folder.name, "stripped_tree")
        notes = subprocess.run(["readelf", "-n", PROGRAM], check=True, capture_output=True, text=True).stdout
        self.build_id = re.search(r"Build ID: (\w+)", notes).group(1)
        debug = os.path.join(self.folder.name, where % (self.build_id[:2], self.build_id[2:]))
        os.makedirs(os.path.dirname(debug))
        subprocess.run(["objcopy", "--only-keep-debug", PROGRAM, debug], check=True)
        subprocess.run(["strip", "-o", self.program, PROGRAM], check=True)

    def crashes(self, **environment):
        s = Scene(self.program, "segv", dict(OFF, HOME=self.folder.name, **environment))
        return s.end(1)


def test_crash_21_stripped():
    stripped = Stripped(".build-id/%s/%s.debug")
    said = stripped.crashes()
    offsets = re.findall(r"\n +stripped_tree\+(0x[0-9a-f]+)\r", said)
    has(said, "no symbols of stripped_tree: its build-id is %s\r\n" % stripped.build_id)
    assert said.count("no symbols of stripped_tree") == 1, said
    places = subprocess.run(["addr2line", "-f", "-e", PROGRAM] + offsets, check=True, capture_output=True, text=True).stdout
    lines = places.splitlines()
    assert lines[0] == "crash_segv" and lines[1].endswith(line_of("the line of SIGSEGV")), places
    assert [lines[2], lines[4]] == ["crash_now", "work"], places


def test_crash_21_split_debug_information():
    for where, variable in ((".build-id/%s/%s.debug", "YOKE_DEBUG_FILES"), ("%s%s/debuginfo", "DEBUGINFOD_CACHE_PATH"),
                            ("debuginfod_client/%s%s/debuginfo", "XDG_CACHE_HOME")):
        stripped = Stripped(where)
        said = stripped.crashes(**{variable: stripped.folder.name})
        assert re.search(r"at crash_segv \(\S*%s\)" % line_of("the line of SIGSEGV"), said), said
        assert re.search(r"\n +crash_now +\S*crash_tree.c:\d+\r\n +work +\S*crash_tree.c:\d+\r", said), said
        assert "stripped_tree+0x" not in said and "build-id" not in said, said


class Cores:
    """A folder for cores, and programs that stand in the way of gdb's."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.asked = dict(OFF, YOKE_CORE=self.folder.name)

    def files(self):
        return sorted(name for name in os.listdir(self.folder.name) if name.endswith(".core"))

    def fake_gdb(self, script):
        """A program of that name, first in PATH, which can call the real one as $GDB."""
        path = os.path.join(self.folder.name, "gdb")
        with open(path, "w") as f:
            f.write("#!/bin/sh\nGDB=%s\n%s\n" % (shutil.which("gdb"), script))
        os.chmod(path, 0o700)
        return dict(self.asked, PATH=self.folder.name + ":" + os.environ["PATH"])

    def crashes(self, scene="segv", environment=None, **rest):
        return Scene(PROGRAM, scene, environment or self.asked, **rest).end(1)


def looks_at_core(core, *commands):
    """`yoke debug CORE`, as a person would; what it says at its begin, and to each command."""
    p = pexpect.spawn(YOKE, ["debug", core], env=dict(os.environ, TERM="dumb", NO_COLOR="1", HOME="/nonexistent"), timeout=LIMIT,
                      encoding="utf-8", dimensions=(200, 240))
    said = []
    for command in commands + ("quit",):
        p.expect_exact("(gdb) ")
        said.append(p.before)
        p.sendline(command)
    p.expect(pexpect.EOF)
    p.close()
    assert p.exitstatus == 0, said
    return said


def test_crash_22_core_of_a_child():
    cores = Cores()
    said = cores.crashes()
    if SANITIZED:
        has(said, "note: no core file: with AddressSanitizer")
        assert not cores.files()
        return
    name, = cores.files()
    pid = re.search(r"actor `left` \(pid (\d+)\) died of SIGSEGV", said).group(1)
    core = os.path.join(cores.folder.name, name)
    assert name == "left-%s.core" % pid, name
    has(said, "note: core file: %s (yoke debug %s)" % (core, core), line_of("the line of SIGSEGV"))
    begin, local, tasks, bt = looks_at_core(core, "info locals", "yoke tasks", "bt")
    has(begin, "crash_segv (count=42)", source_line("the line of SIGSEGV"))
    has(local, "local = 44")
    assert re.search(r"crash:work +runs", tasks), tasks
    has(bt, "crash_segv (count=42)", "signal handler called", "task_entry")


def test_crash_22_core_of_a_thread_and_of_an_abort():
    if SANITIZED:
        return
    for scene, frame in (("thread_segv", "crash_segv (count=42)"), ("abrt", "crash_abrt (count=42)")):
        cores = Cores()
        said = cores.crashes(scene)
        has(said, "note: core file: ")
        has(looks_at_core(os.path.join(cores.folder.name, cores.files()[0]))[0], frame)


def test_crash_22_core_of_the_root():
    if SANITIZED:
        return
    cores = Cores()
    s = Scene(PROGRAM, "root", cores.asked)
    s.expect(pexpect.EOF)
    wait_till(lambda: not living(s.signs.name), "the end of the root's child")
    said = s.end(-signal.SIGSEGV)
    name, = cores.files()
    has(said, "core file: " + os.path.join(cores.folder.name, name))
    has(looks_at_core(os.path.join(cores.folder.name, name), "info locals")[1], "local = 44")


def test_crash_22_core_then_prompt():
    if SANITIZED:
        return
    cores = Cores()
    s = Scene(PROGRAM, "segv", dict(cores.asked, YOKE_DEBUG="1"))
    has(s.at(WORK), source_line("the line of SIGSEGV"))
    assert len(cores.files()) == 1
    s.type("continue")
    has(s.end(1), "note: core file: ", "died of SIGSEGV")


def test_crash_22_no_core():
    if SANITIZED:
        return
    for script, why in (("exec sleep 1000", "gdb has not written it within 700 ms"),
                        ("echo ptrace: Operation not permitted. >&2; exit 1", "gdb has failed: ptrace: Operation not permitted."),
                        ("kill -SEGV $$", "gdb died of SIGSEGV"),
                        # As with a full disk, of which gdb speaks, and then says that all is well.
                        ('"$GDB" "$@"; truncate -s 100000 ${0%gdb}left-*.core', ".core is cut (is the disk full?)")):
        cores = Cores()
        environment = cores.fake_gdb(script)
        if "sleep" in script:
            environment["YOKE_CORE_BOUND_MS"] = "700"
        said = cores.crashes(environment=environment)
        has(said, "died of SIGSEGV", "note: no core file: ", why, line_of("the line of SIGSEGV"))
        assert said.count("no core file") == 1 and not cores.files(), said
    cores = Cores()
    has(cores.crashes(environment=dict(cores.asked, YOKE_CORE="/nonexistent/cores")),
        "note: no core file: YOKE_CORE: /nonexistent/cores: No such file or directory")
    has(cores.crashes(environment=dict(cores.asked, PATH="/nonexistent")), "note: no core file: no gdb in PATH")
    limit = 'ulimit -f 2000; exec "$0" "$1"'
    has(cores.crashes(environment=cores.asked, wrap=limit), "note: no core file: ", ".core is cut", "gdb said: warning: ", "File too large")
    assert not cores.files()


def test_crash_22_yoke_debug_refuses():
    for path, why in (("/nonexistent", "No such file"), (SOURCE, "it is no core file")):
        done = subprocess.run([YOKE, "debug", path], capture_output=True, text=True, timeout=LIMIT)
        assert done.returncode == 1 and why in done.stderr and not done.stdout, done


def test_crash_04_overflow_of_a_thread():
    said = crashed("thread_overflow")
    has(said, "died of SIGSEGV", "note: stack overflow of thread `helper`: its stack is 256 KiB")
    assert re.search(r"crash_recurse +\S*%s\r?\n +\.\.\. [\d,]+ frames of crash_recurse\r?\n +crash_overflow " %
                     line_of("the line of overflow"), said), said


def test_crash_04_overflow_of_a_thread_without_a_stack_for_it():
    if SANITIZED:  # gives each thread one
        return
    has(crashed("bare_thread_overflow"), "died of SIGSEGV",
        "note: it has left no report: did a thread overflow its stack, that had not called yoke_thread_alternate_stack")


def test_crash_04_overflow_of_the_main_thread():
    said = Scene(PROGRAM, "exit_overflow", OFF, wrap='ulimit -s 1024; exec "$0" "$1"').end(1)
    has(said, "died of SIGSEGV", "note: stack overflow of the main thread: its stack is 1024 KiB; raise it with `ulimit -s`",
        " frames of crash_recurse", "at_exit")


def test_crash_registers_on_request():
    for scene in ("segv", "root"):
        s = Scene(PROGRAM, scene, dict(OFF, YOKE_CRASH_REGISTERS="1"))
        s.expect(pexpect.EOF)
        wait_till(lambda: not living(s.signs.name), "the end of all")
        said = s.end(1 if scene == "segv" else -signal.SIGSEGV)
        assert re.search(r"(rip|pc) 0x[0-9a-f]{6}", said) and re.search(r" (rsp|sp) 0x[0-9a-f]{6}", said), said


def test_crash_24_killed_from_outside():
    for number, text in ((signal.SIGKILL, r"actor `left` \(pid \d+\) died of SIGKILL \[ActorDied\]"),
                         (signal.SIGTERM, r"actor `left` \(pid \d+\) was ended by SIGTERM \[ActorCancelled\]")):
        s = Scene(PROGRAM, "killed", OFF)
        s.expect("left: sleeps")
        os.kill(pid_of(s, "yoke-left"), number)
        said = s.end(1)
        assert re.search(text, said), said


# ---- in debug mode ----

WORK = "left/crash:work"


def source_line(comment):
    number = int(line_of(comment).split(":")[1])
    return "%d\t%s" % (number, LINES[number - 1])


def has_local(said):
    """Where a sanitizer keeps it is beyond gdb."""
    has(said, "local = " if SANITIZED else "local = 44")


def looks_around(s, name):
    """At the prompt of one who crashed by crash_segv."""
    has(s.ask("bt", name), "crash_segv (count=42)", "signal handler called", "task_entry")
    has_local(s.ask("info locals", name))
    has(s.ask("print count * 2", name), "= 84")
    has(s.ask("next", name), "it can't be moved any more")


def test_crash_09_live_before_it_dies():
    for answer in ("continue", "quit"):
        s = Scene(PROGRAM, "segv")
        header = s.at(WORK)
        assert re.search(r"SIGSEGV in actor `left` \(pid \d+\), task `crash:work`:", header), header
        has(header, "at address 0x10: nothing is mapped there", source_line("the line of SIGSEGV"))
        looks_around(s, WORK)
        left = pid_of(s, "yoke-left")
        assert pid_of(s, "yoke-right") and os.path.exists("/proc/%d" % left)
        s.type(answer)
        said = s.end(1)
        assert said.count("(yoke: ") == 5, said
        assert re.search(r"error: actor `left` \(pid %d\) died of SIGSEGV \[ActorDied\]" % left, said), said
        has(said, "at crash_segv (", "cancelled with it: actor `right` (graceful")


def test_crash_09_failed_assertion_and_overflow():
    s = Scene(PROGRAM, "assert")
    has(s.at(WORK), "SIGABRT in actor `left`", "Assertion `count == 43", source_line("the line of assert"))
    has(s.ask("print count", WORK), "= 42")
    s.type("continue")
    has(s.end(1), "died of SIGABRT")
    s = Scene(PROGRAM, "overflow")
    has(s.at(WORK), "stack overflow of task `crash:work`", "crash_recurse (depth=")
    s.type("continue")
    has(s.end(1), "frames of crash_recurse")


def test_crash_09_asked_for_by_a_parent_that_is_no_root():
    s = Scene(PROGRAM, "segv_below")
    has(s.at(WORK), "SIGSEGV in actor `left`", source_line("the line of SIGSEGV"))
    looks_around(s, WORK)
    s.type("continue")
    said = s.end(1)
    has(said, "died of SIGSEGV", "at crash_segv (")
    assert {n for n in re.findall(r"\(yoke: ([^)]*)\)", said)} == {WORK}, said


def test_crash_09_goes_on_without_a_debugger():
    said = Scene(PROGRAM, "segv", {"YOKE_DEBUGGER": "no-such-debugger"}).end(1)
    has(said, "actor `left` died of SIGSEGV without a debugger: YOKE_DEBUGGER: there is no", "died of SIGSEGV [ActorDied]")


def test_crash_09_debugger_killed():
    s = Scene(PROGRAM, "segv")
    s.at(WORK)
    os.kill(pid_of(s, "gdb"), signal.SIGKILL)
    has(s.end(1), "died of SIGSEGV [ActorDied]", "at crash_segv (")


def test_crash_09_killed_at_its_prompt():
    for scene in ("segv", "segv_below"):
        s = Scene(PROGRAM, scene)
        s.at(WORK)
        os.kill(pid_of(s, "yoke-left"), signal.SIGKILL)
        said = s.end(1)
        assert re.search(r"actor `left` \(pid \d+\) died of SIGKILL", said), said
        has(said, "at address 0x10", line_of("the line of SIGSEGV"))


def test_crash_11_waits_while_another_has_the_prompt():
    name = "left/crash:work_at_sign"
    s = Scene(PROGRAM, "crash_and_stop", dict(DIRECT, YOKE_LOG="cancel"))
    s.at("right/crash:stop")
    s.sign("left")
    s.expect(r"left/crash:work_at_sign waits for the debugger \(2nd in the queue\)")
    s.at("right/crash:stop")  # drawn again
    left = pid_of(s, "yoke-left")
    s.sign("fail")
    s.expect("root: fails")
    time.sleep(1)  # all bounds of the teardown have passed many times
    has(s.ask("print 40 + 2", "right/crash:stop"), "= 42")
    assert os.path.exists("/proc/%d" % left)
    assert "SIGTERM" not in s.said and "(pid %d) to end" % left not in s.said, s.said
    s.type("continue")
    has(s.at(name), "SIGSEGV in actor `left` (pid %d)" % left, source_line("the line of SIGSEGV"))
    looks_around(s, name)
    s.type("continue")
    s.at("root/main")  # which has failed itself
    s.type("continue")
    said = s.end(1)
    has(said, "right: went on", "actor `left` (pid %d) died of SIGSEGV" % left, "the root has failed")
    assert "SIGTERM" not in said and "SIGKILL" not in said, said


def test_crash_11_nor_is_it_killed():
    name = "left/crash:work_at_sign"
    s = Scene(PROGRAM, "crash_and_kill", DIRECT)
    s.at("right/crash:stop")
    s.sign("left")
    s.expect(r"left/crash:work_at_sign waits for the debugger \(2nd in the queue\)")
    s.at("right/crash:stop")  # drawn again
    s.sign("fail")
    s.expect("root: kills")
    time.sleep(0.5)
    s.type("continue")
    s.at(name)
    looks_around(s, name)
    s.type("continue")
    said = s.end(1)
    assert re.search(r"actor `left` \(pid \d+\) died of SIGSEGV", said), said


def test_crash_12_two_siblings_at_once():
    s = Scene(PROGRAM, "both")
    s.expect("left: sleeps")
    s.sign("left")
    s.sign("right")
    names = ["left/crash:work_at_sign", "right/crash:work_at_sign"]
    s.expect(r"\(yoke: (left|right)/crash:work_at_sign\) ")
    if s.p.match.group(1) == "right":
        names.reverse()
    for name in names:
        looks_around(s, name)
        s.type("continue")
        if name == names[0]:
            s.at(names[1])
    said = s.end(1)
    for who in ("left", "right"):
        assert re.search(r"actor `%s` \(pid \d+\) died of SIGSEGV \[ActorDied\]" % who, said), said


def test_crash_10_in_the_root():
    s = Scene(PROGRAM, "root")
    header = s.at("root/main")
    assert re.search(r"SIGSEGV in actor `root` \(pid \d+\), task `main`:", header), header
    has(header, "died of SIGSEGV at address 0x10", source_line("the line of SIGSEGV"))
    has(s.ask("bt", "root/main"), "crash_segv (count=42)", "root_crashes (")
    has_local(s.ask("info locals", "root/main"))
    has(s.ask("next", "root/main"), "it can't be moved any more")
    right = pid_of(s, "yoke-right")
    s.type("continue")
    s.expect(pexpect.EOF)
    wait_till_gone(right)
    s.end(-signal.SIGSEGV)


def test_crash_10_while_an_actor_has_the_prompt():
    s = Scene(PROGRAM, "root_later", DIRECT)
    s.at("right/crash:stop")
    s.sign("crash")
    s.expect("yoke: actor root .* died of SIGSEGV")
    has(s.ask("print 40 + 2", "right/crash:stop"), "= 42")
    s.type("continue")
    has(s.at("root/main"), source_line("the line of SIGSEGV"))
    has_local(s.ask("info locals", "root/main"))
    s.type("quit")
    s.expect(pexpect.EOF)
    wait_till(lambda: not living(s.signs.name), "the end of all")
    s.end(-signal.SIGSEGV)


def test_crash_10_debugger_killed():
    s = Scene(PROGRAM, "root")
    s.at("root/main")
    os.kill(pid_of(s, "gdb"), signal.SIGKILL)
    s.expect(pexpect.EOF)
    wait_till(lambda: not living(s.signs.name), "the end of all")
    s.end(-signal.SIGSEGV)


def test_crash_19_endpoint_not_found():
    said = Scene(PROGRAM, "not_found").end(1)
    has(said, "no module `crash` is exposed by this actor", "[ModuleNotExposed]")
    assert "(yoke: " not in said, said


def test_crash_19_endpoint_not_found_and_ctrl_c():
    for debug in ("1", "levels", "raise"):
        said = Scene(PROGRAM, "not_found_and_ctrl_c", {"YOKE_DEBUG": debug}).end(130)
        assert "(yoke: " not in said and "interrupted" in said, said
        s = Scene(PROGRAM, "not_found_again", {"YOKE_DEBUG": debug})
        s.expect("root: is refused")
        s.p.sendintr()
        said = s.end(130)
        assert "(yoke: " not in said and "interrupted" in said, said


def test_crash_19_endpoint_not_found_and_the_task_failed():
    s = Scene(PROGRAM, "not_found_and_failed")
    has(s.at("root/main"), "error in actor `root`", "the root's own task", source_line("the line of the failure"))
    s.type("continue")
    said = s.end(1)
    has(said, "the root's own task")
    assert "left/" not in said, said


def descriptors(pid):
    """What they are, and how many of them an epoll of the process watches."""
    folder, watched = "/proc/%d/fd" % pid, 0
    for fd in os.listdir(folder):
        with open("/proc/%d/fdinfo/%s" % (pid, fd)) as f:
            watched += f.read().count("tfd:")
    return [os.readlink(os.path.join(folder, fd)) for fd in os.listdir(folder)], watched


def test_cfg_06_off_there_are_the_handlers_alone():
    watched = {}
    for debug in ("0", "1"):
        s = Scene(PROGRAM, "killed", {"YOKE_DEBUG": debug})
        for _ in range(2):
            s.expect("(left|right): sleeps")
        found = living(s.signs.name)
        copier = ["yoke output"] if debug == "1" else []
        assert sorted(name for _, name in found) == ["devx-crash_tree"] + copier + ["yoke-left", "yoke-right"], found
        for pid, name in found:
            if name in copier:
                continue
            links, watched[name, debug] = descriptors(pid)
            assert not [link for link in links if "yoke-debugger" in link], links
            with open("/proc/%d/status" % pid) as f:
                caught = int(re.search(r"SigCgt:\s*(\w+)", f.read()).group(1), 16)
            assert caught >> (signal.SIGSEGV - 1) & 1, name
        os.kill(pid_of(s, "yoke-left"), signal.SIGKILL)
        s.end(1)
    # What debug mode adds: the root looks at the two pipes in which a child says that it waits.
    assert watched["devx-crash_tree", "1"] == watched["devx-crash_tree", "0"] + 2, watched


def test_cfg_04_handlers_of_the_program_are_back():
    for scene in ("own_main", "own_root"):
        said = Scene(PROGRAM, scene, OFF).end()
        has(said, "in the runtime: the runtime's handlers", "after the runtime: own handlers")


def test_cfg_04_a_handler_of_the_program_is_called():
    if SANITIZED:  # no earlier handlers are called there: the sanitizer's own would end the process by a status
        return
    s = Scene(PROGRAM, "own_root_crash", OFF)
    s.expect(pexpect.EOF)
    wait_till(lambda: not living(s.signs.name), "the end of all")
    has(s.end(-signal.SIGSEGV), "yoke: actor root", "died of SIGSEGV at address 0x10", "own handler: signal 11 at 0x10")


run_tests(globals())
