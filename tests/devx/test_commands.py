#!/usr/bin/env python3
"""gdb's commands for tasks and actors: at the prompt of a pause, in a process that gdb attaches to, and on a core.

Usage: test_commands.py PROGRAM YOKE SOURCE [TEST...]    (tests/devx/commands_tree.c and the command, built; the former's source)
"""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pexpect

PROGRAM, YOKE, SOURCE = map(os.path.abspath, sys.argv[1:4])
# Its core is its address space: terabytes, with the sanitizer's.
SANITIZED = b"__asan_init" in open(PROGRAM, "rb").read()
NO_CORE = "skip: no core of a sanitizer's build"
PROMPT = r"\(yoke[^)\n]*\) "
LIMIT = 120
LOAD = ("python exec(\"try: exec(gdb.parse_and_eval('&devx_gdb_commands[0]').string(), {'__name__': 'yoke'})\\n"
        "except gdb.error: pass\")")

with open(SOURCE) as source:
    LINES = {m.group(1): n for n, text in enumerate(source, 1) if (m := re.search(r"/\* the line of the (.*) \*/", text))}


def place(what):
    return f"commands_tree.c:{LINES[what]}"


def environment(**variables):
    env = {k: v for k, v in os.environ.items() if not k.startswith("YOKE_") and k != "DEBUGINFOD_URLS"}
    return env | {"TERM": "dumb", "NO_COLOR": "1", "HOME": "/nonexistent", "INPUTRC": "/dev/null"} | variables


# ---- three ways to look ----


class Prompt:
    """The prompt of an actor that pauses, in a terminal."""

    def __enter__(self):
        self.p = pexpect.spawn(PROGRAM, ["pause"], env=environment(), timeout=LIMIT, encoding="utf-8", dimensions=(200, 240))
        self.p.expect(PROMPT)
        return self

    def ask(self, command):
        self.p.sendline(command)
        self.p.expect(PROMPT)
        return self.p.before.replace("\r", "")

    def completes(self, start, rest):
        """Tab makes that of it; the line is taken back."""
        self.p.send(start)
        self.p.expect_exact(start)
        self.p.send("\t")
        self.p.expect_exact(rest)
        self.p.send("\x15")
        self.p.sendline("echo taken back")
        self.p.expect(r"\ntaken back" + PROMPT)

    def __exit__(self, *error):
        if error[0] is None:
            self.p.sendline("continue")
            self.p.expect(r"up \d+")
            self.p.expect(pexpect.EOF)
            self.p.close()
            assert self.p.exitstatus == 0, self.p.before
        self.p.close(force=True)


class Batch:
    """gdb, not driven by a person: all commands in one go, on a process or a core."""

    def __init__(self, *target):
        self.target = target

    def run(self, *commands):
        arguments = ["gdb", "-q", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-iex", "set width 0", *self.target,
                     "-ex", LOAD]
        for command in commands:
            arguments += ["-ex", f"echo \\n>>> {command}\\n", "-ex", command]
        done = subprocess.run(arguments, capture_output=True, text=True, env=environment(), timeout=LIMIT)
        said = done.stdout + done.stderr
        parts = re.split(r"^>>> .*\n", done.stdout, flags=re.M)[1:]
        assert len(parts) == len(commands), said
        return parts

    def ask(self, command):
        return self.run(command)[0]


class Waiting:
    """A tree whose actor waits; gdb attaches to that."""

    def __enter__(self):
        # Guards by mprotect: gdb can't save memory in which there are others.
        self.root = subprocess.Popen([PROGRAM, "wait"], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL, env=environment(YOKE_MPROTECT_GUARDS="1"))
        self.pid = self.root.stdout.readline().split()[1]
        time.sleep(0.05)
        return Batch("-p", self.pid)

    def __exit__(self, *error):
        self.root.send_signal(signal.SIGINT)
        self.root.wait(LIMIT)
        self.root.stdout.close()


# ---- what is to be seen ----


def rows(table):
    """{the task's name: its line}, of `yoke tasks`."""
    found = {}
    for line in table.splitlines():
        m = re.match(r"[ *](\d+) +(\S+(?: \S+)*?)  +(.*)", line)
        if m:
            found[m.group(2)] = (int(m.group(1)), m.group(3))
    return found


def has(text, *patterns):
    for pattern in patterns:
        assert re.search(pattern, text, re.M), f"no {pattern!r} in\n{text}"


def check_tasks(table):
    task = rows(table)
    has(task["walker"][1], rf"^waits in yoke_sleep_forever for \d+\.\d{{3}} s +0 +\S*{place('park')}$")
    has(task["second walker"][1], rf"^waits in yoke_sleep_forever .* 0 +\S*{place('park')}$")
    has(task["shielded"][1], r"^waits in yoke_event_wait for .* 2 +\S*commands_tree.c:\d+$")
    has(task["main"][1], r"^waits in yoke_event_wait for .* s +0 ")
    assert [number for number, _ in task.values()] == list(range(1, len(task) + 1)), table
    return task


def test_repl_12_yoke_tasks():
    with Prompt() as prompt:
        task = check_tasks(prompt.ask("yoke tasks"))
        has(task["ready"][1], r"^ready in yoke_checkpoint +0 ")
        has(task["ends:meet"][1], rf"^runs in yoke_pause +3 +\S*{place('pause')}$")


def test_repl_12_yoke_tasks_of_a_process():
    with Waiting() as gdb:
        task = check_tasks(gdb.ask("yoke tasks"))
        has(task["ends:meet"][1], r"^waits in yoke_sleep for .* 3 +\S*commands_tree.c:\d+$")


def test_repl_12_what_is_cancelled():
    """A cancellation that a shield keeps out is none for the task."""
    with Waiting() as gdb:
        said = gdb.run("call yoke_scope_set_shield(((struct yoke_task *) scheduler_runs->first)->scope, 0)", "yoke tasks",
                       "yoke scopes")
        assert "cancelled" not in said[1], said[1]
        has(said[2], rf"^ +scope +shielded +\S*commands_tree.c:\d+ +cancelled$", rf"^ +scope +shielded +\S*{place('shield')} +shielded$")


def check_task(ask):
    task = rows(ask("yoke tasks"))
    number = task["second walker"][0]
    has(ask(f"yoke task {number}"), r"^task `second walker` waits$", rf"^#\d+ .*\bpark_in \(.*{place('park')}$")
    trace = ask("bt")
    has(trace, rf"\byoke_sleep_forever \(", rf"\bpark_in \(.*\bdepth=21\) at .*{place('park')}", rf"\bwalker \(.*{place('walker')}")
    assert not re.search(r"^#0 ", trace, re.M) and "meet" not in trace, trace
    has(ask("info locals"), r"^doubled = 42$")
    has(ask("up"), rf"^#\d+ .*\bwalker \(.*{place('walker')}$")
    has(ask("print word"), r'= 0x[0-9a-f]+ (<[^>]+> )?"hidden"')
    has(ask("frame"), r"\bwalker \(")
    has(ask("down"), r"\bpark_in \(")
    has(ask("print depth * 2"), r"= 42$")
    has(ask("yoke tasks"), rf"^\*{number} +second walker ")


def test_repl_13_yoke_task():
    with Prompt() as prompt:
        stopped = prompt.ask("bt 30")
        check_task(prompt.ask)
        has(prompt.ask("yoke task"), rf"^#\d+ .*\bbe_met \(.*{place('pause')}$")
        assert prompt.ask("bt 30") == stopped, "the stopped one is not as it was"


def test_repl_13_a_step_from_a_parked_task():
    """The process goes on from where it stopped, wherever one looks."""
    with Prompt() as prompt:
        prompt.ask("yoke task walker")
        has(prompt.ask("next"), rf"^{LINES['pause'] + 1}\b")
        has(prompt.ask("bt 3"), r"^#0 +(0x\S+ in )?be_met \(")


def test_repl_13_tasks_that_run_or_have_no_frames_of_their_own():
    """The task that parked last is where the scheduler itself waits."""
    with Waiting() as gdb:
        for name in "ends:meet", "shielded", "main", "init":
            said = gdb.run(f"yoke task {name}", "bt", "yoke task walker", "info locals")
            has(said[0], rf"^task `{name}` waits$")
            has(said[3], r"^doubled = 42$")
            has(said[1], {"ends:meet": r"\bmeet \(.*commands_tree.c", "shielded": r"\bshielded \(", "main": r"\bserve ",
                          "init": r"\brun_init \("}[name])


def test_repl_13_no_such_task():
    with Prompt() as prompt:
        has(prompt.ask("yoke task 99"), "yoke: no task 99: yoke tasks lists them")
        has(prompt.ask("yoke task nobody"), "yoke: no task nobody")


def check_tables(ask, pid):
    has(ask("yoke actors"), rf"^this +left +{pid}? ", r"^parent +root +\d+ ")
    has(ask("yoke scopes"), rf"^ +scope +ends:meet +\S*{place('bound')} +in 1\d{{3}}\.\d+ s$", r"^ +nursery of [34] +ends:meet ",
        rf"^ +scope +shielded +\S*{place('shield')} +shielded$")
    has(ask("yoke channels"), r"^root +\d+ +parent +\d+ +\d+ +\d+ +\d+ +\d+ +0 +\d+$")
    has(ask("yoke contexts"), r"^root +served +ends:meet +context +served open +0 +ends:meet +[0-9a-f-]{36}$")


def test_repl_14_tables():
    with Prompt() as prompt:
        check_tables(prompt.ask, r"\d+")


def core_of(folder):
    """A core of a process that waits, written by gdb."""
    core = os.path.join(folder, "core")
    with Waiting() as gdb:
        gdb.ask(f"generate-core-file {core}")
    assert os.path.exists(core), "no core"
    return Batch(PROGRAM, core)


def test_repl_15_on_a_core_file():
    if SANITIZED:
        return NO_CORE
    with tempfile.TemporaryDirectory() as folder:
        gdb = core_of(folder)
        check_tasks(gdb.ask("yoke tasks"))
        commands = ["yoke task walker", "bt", "info locals", "up", "print depth", "yoke task", "bt 1"]
        said = dict(zip(commands, gdb.run(*commands)))
        has(said["bt"], rf"\bpark_in \(.*{place('park')}", rf"\bwalker \(.*{place('walker')}")
        has(said["info locals"], r"^doubled = 42$")
        has(said["print depth"], r"= 21$")
        has(said["bt 1"], r"^#0 ")
        assert "walker" not in said["bt 1"], said["bt 1"]
        check_tables(gdb.ask, r"\d+")
    return None


def yoke_debug(*arguments):
    """What gdb says when a person types these words, and leaves."""
    done = subprocess.run([YOKE, "debug", *arguments], capture_output=True, text=True, env=environment(), timeout=LIMIT,
                          input="yoke task walker\ninfo locals\nquit\n")
    return done.stdout


def test_repl_15_yoke_debug():
    with Waiting() as gdb:
        has(yoke_debug(gdb.target[1]), r"task `walker` waits$", r"doubled = 42$")
    assert subprocess.run([YOKE, "debug"], capture_output=True).returncode == 2


def test_repl_15_yoke_debug_of_a_core():
    if SANITIZED:
        return NO_CORE
    with tempfile.TemporaryDirectory() as folder:
        target = core_of(folder).target
        has(yoke_debug(*target), r"task `walker` waits$", r"doubled = 42$")
        has(yoke_debug(target[-1]), r"task `walker` waits$", r"doubled = 42$")
    return None


def test_repl_15_on_the_core_of_a_crash():
    """As the kernel writes it, where it writes one into the working directory."""
    if SANITIZED:
        return NO_CORE
    with open("/proc/sys/kernel/core_pattern") as f:
        if f.read().strip() != "core":
            return "skip: the kernel writes cores to another place"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([PROGRAM, "crash"], cwd=folder, env=environment(YOKE_DEBUG="0"), stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LIMIT,
                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2))
        cores = [os.path.join(folder, name) for name in os.listdir(folder) if name.startswith("core")]
        if not cores:
            return "skip: the kernel writes no core"
        said = Batch(PROGRAM, cores[0]).run("yoke tasks", "yoke task walker", "info locals")
        task = rows(said[0])
        has(task["ends:meet"][1], r"^runs +3 ")
        has(task["walker"][1], rf"^waits in yoke_sleep_forever .*{place('park')}$")
        has(said[2], r"^doubled = 42$")
    return None


def test_repl_16_help_and_completion():
    with Prompt() as prompt:
        listed = prompt.ask("help yoke")
        for name in "actors", "channels", "contexts", "scopes", "task", "tasks":
            has(listed, rf"^yoke {name} -- [A-Z].*\.$")
            has(prompt.ask(f"help yoke {name}"), rf"^Usage: yoke {name}")
        has(prompt.ask("yoke"), r"^yoke actors -- ")
        prompt.completes("yoke sc", "opes")
        prompt.completes("yoke cha", "nnels")
        prompt.completes("yoke task walk", "er")
        prompt.completes("yoke tasks a", "ll")


def main():
    tests = [(name, f) for name, f in globals().items() if name.startswith("test_")]
    tests = [t for t in tests if not sys.argv[4:] or any(word in t[0] for word in sys.argv[4:])]
    print("1..%d" % len(tests))
    if not shutil.which("gdb"):
        print("Bail out! there is no gdb")
        return
    for number, (name, test) in enumerate(tests, 1):
        try:
            skipped = test()
            print("ok %d - %s%s" % (number, name, " # SKIP " + skipped[6:] if skipped else ""), flush=True)
        except (AssertionError, KeyError, pexpect.ExceptionPexpect, OSError, subprocess.SubprocessError) as e:
            print("not ok %d - %s" % (number, name))
            print("\n".join("# " + line for line in (repr(e) if isinstance(e, KeyError) else str(e)).splitlines()), flush=True)


main()
