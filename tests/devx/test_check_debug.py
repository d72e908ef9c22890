"""`make check-debug REPEAT=N` runs each session at a debugger's prompt, N times, and fails with any run that does.

Usage: test_check_debug.py SOURCE BUILD
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SOURCE, BUILD = sys.argv[1:3]

FLAKY = """
project('flaky')
test('session', find_program('session.sh'), protocol: 'tap')
test('steady', find_program('steady.sh'), protocol: 'tap')
"""
# Fails in its third run alone, whichever that is of those that run at once.
SESSION = """#!/bin/sh
n=1
while ! mkdir "$RUNS$n" 2>/dev/null; do n=$((n + 1)); done
echo 1..1
[ $n = 3 ] && echo "not ok 1 - flake" || echo "ok 1 - flake"
"""
STEADY = """#!/bin/sh
echo 1..1
echo "ok 1 - steady"
"""


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def has_terminal(command):
    """Is it a session: does its script, which may be any argument, have a person at a terminal?"""
    scripts = [arg for arg in command if arg.endswith(".py")]
    return any(re.search(r"\b(pexpect|from prompt)\b", pathlib.Path(script).read_text()) for script in scripts
               if os.path.realpath(script) != os.path.realpath(__file__))


def test_teardown_23_the_whole_set_is_what_is_run():
    known = json.loads(run("meson", "introspect", BUILD, "--tests", check=True).stdout)
    sessions = {t["name"] for t in known if any(s.endswith(":devx") for s in t["suite"]) and has_terminal(t["cmd"])}
    # Without what it builds first, and in no case with the jobs of a make around this test.
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    said = run("make", "-n", "-C", SOURCE, "check-debug", "REPEAT=20", "BUILD=%s" % BUILD, env=env, check=True).stdout
    line = [words for words in map(str.split, said.splitlines()) if words[:1] == ["tools/check"]]
    assert len(line) == 1 and line[0][1:4] == [BUILD, "--repeat", "20"], said
    assert len(sessions) > 5 and set(line[0][4:]) == sessions, (sorted(line[0][4:]), sorted(sessions))


def flaky(folder, *names):
    """The last line, and the status, of five runs of these."""
    for name, text in (("meson.build", FLAKY), ("session.sh", SESSION), ("steady.sh", STEADY)):
        path = pathlib.Path(folder, name)
        path.write_text(text)
        path.chmod(0o755)
    build = os.path.join(folder, "build")
    run("meson", "setup", build, folder, check=True)
    env = dict(os.environ, RUNS=os.path.join(folder, "runs"))
    done = run(os.path.join(SOURCE, "tools", "check"), build, "--repeat", "5", *names, env=env)
    return (done.stdout or done.stderr).splitlines()[-1], done.returncode


def test_teardown_23_one_flake_of_many_runs_fails_them_all():
    with tempfile.TemporaryDirectory() as folder:
        last, status = flaky(folder, "session", "steady")
        assert last.endswith(" passed, 1 failed") and status == 1, (last, status)
    with tempfile.TemporaryDirectory() as folder:
        got = flaky(folder, "steady")
        assert got == ("5 passed, 0 failed", 0), got


def main():
    tests = [(name, f) for name, f in globals().items() if name.startswith("test_")]
    print("1..%d" % len(tests))
    for number, (name, test) in enumerate(tests, 1):
        try:
            test()
            print("ok %d - %s" % (number, name), flush=True)
        except (AssertionError, OSError, subprocess.CalledProcessError) as e:
            print("not ok %d - %s" % (number, name))
            print("\n".join("# " + line for line in str(e).splitlines()), flush=True)


main()
