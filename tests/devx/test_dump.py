#!/usr/bin/env python3
"""Dumps of a tree of actors. Usage: test_dump.py DUMP_TREE YOKE SOURCE    (built; the tree's source). Prints TAP."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tree"))
import processes
from trees import PATIENCE, check, run, tap

PROGRAM, YOKE, SOURCE = map(os.path.abspath, sys.argv[1:4])
SANITIZED = b"__asan_init" in open(PROGRAM, "rb").read() or b"__tsan_init" in open(PROGRAM, "rb").read()
TESTS = []

with open(SOURCE) as source:
    LINES = {m.group(1): n for n, text in enumerate(source, 1) if (m := re.search(r"/\* the line (?:of|that) (.*) \*/", text))}


def scene(*arguments, **variables):
    """A test of one tree, with each backend."""

    def wrap(fn):
        for backend in "exec", "fork":
            TESTS.append((f"{fn.__name__}_{backend}",
                          lambda backend=backend: run(fn, [PROGRAM, *map(str, arguments)], backend, **variables)))
        return fn

    return wrap


def place(what):
    return f"dump_tree.c:{LINES[what]}"


def pid_of(tree, name):
    found = tree.find("yoke-" + name)
    check(len(found) == 1, f"{name}: {found}")
    return found[0].pid


def touch(tree, name):
    open(os.path.join(tree.folder, name), "w").close()


def end(tree, result="sum 36"):
    """Nothing was changed: the tree comes to the end that it has without a dump."""
    touch(tree, "end")
    tree.wait_for(result) if result else None
    status = tree.root.wait(PATIENCE)
    for name in "end", "go":
        path = os.path.join(tree.folder, name)
        os.path.exists(path) and os.unlink(path)
    check(tree.wait_gone(PATIENCE) == status == 0, f"status {status}")


def actors_of(text):
    """[(the actor's line, the lines below)]"""
    parts = []
    for line in text.splitlines():
        if line.startswith("actor "):
            parts.append((line, []))
        elif parts:
            parts[-1][1].append(line)
    return parts


def dump_of(tree, pid, actors):
    """What a signal makes `pid` print, when so many actors are in it."""
    before = len(tree.errors())
    os.kill(pid, signal.SIGUSR1)
    tree.wait_until(lambda: len(actors_of(tree.errors()[before:])) >= actors and tree.errors().endswith("\n"), "a dump")
    return tree.errors()[before:]


def below(lines, first):
    """The lines that are deeper than the one that holds `first`, right behind it."""
    at = next((i for i, line in enumerate(lines) if first in line), None)
    check(at is not None, f"no `{first}` in\n" + "\n".join(lines))
    depth = len(lines[at]) - len(lines[at].lstrip())
    inside = []
    for line in lines[at + 1:]:
        if len(line) - len(line.lstrip()) <= depth:
            break
        inside.append(line)
    return lines[at], inside


def has(lines, *texts):
    for text in texts:
        check(any(re.search(text, line) for line in lines), f"no `{text}` in\n" + "\n".join(lines))


@scene("work")
def test_dump_01_sigusr1_on_an_actor(tree):
    tree.wait_for("up")
    text = dump_of(tree, pid_of(tree, "left"), 1)
    actors = actors_of(text)
    check(len(actors) == 1 and "`left`" in actors[0][0], text)
    _, task = below(actors[0][1], "task `ends:work` waits in yoke_nursery_close")
    has(task, rf"\bwork_in +\S*{place('the close')}$")
    nursery_at, nursery = below(task, "nursery opened at")
    check(place("the nursery") in nursery_at, nursery_at)
    has(task, rf"scope opened at \S*{place('the scope')}, deadline in 9\d\d\.\d+ s$")
    worker, calls = below(nursery, "task `worker` ") # it waits in yoke_sleep, or is about to look again
    check(" in yoke_sleep" in worker, worker)
    check(f"{place('the spawning')}; and 2 more like it" in worker, worker)
    has(calls, r"\bwait_for ", rf"\binner +\S*{place('the wait')}$", rf"\binner +\S*{place('the recursion')}    \(3 times\)$",
        rf"\bworker +\S*{place('the worker')}$")
    end(tree)


@scene("work")
def test_dump_02_the_whole_tree_at_the_root(tree):
    tree.wait_for("up")
    text = dump_of(tree, tree.root.pid, 4)
    heads = [re.sub(r" \(pid.*", "", head) for head, _ in actors_of(text)]
    check(heads == ["actor `root`", "actor root / `left`", "actor root / `middle`", "actor root / middle / `leaf`"], text)
    parts = [lines for _, lines in actors_of(text)]
    has(parts[0], "task `main` .* in yoke_sleep", place("the root"))
    has(parts[1], "task `ends:work`")
    has(parts[2], "task `ends:mind` waits in yoke_context_result")
    has(parts[3], "task `worker`")
    check("yoke.dump" not in text, "the dump shows itself:\n" + text)
    end(tree)


def silent_line(tree, text, name):
    return below(text.splitlines(), f"`{name}` (pid {pid_of(tree, name)}): it does not answer")


@scene("work")
def test_dump_02_a_silent_actor_is_named(tree):
    """Below one that answers, and so is not taken for a silent one itself."""
    tree.wait_for("up")
    leaf = pid_of(tree, "leaf")
    os.kill(leaf, signal.SIGSTOP)
    text = dump_of(tree, tree.root.pid, 4)
    os.kill(leaf, signal.SIGCONT)
    heads = [head for head, _ in actors_of(text)]
    check(heads[3] == f"actor root / middle / `leaf` (pid {leaf}): it does not answer", text)
    check("tasks" in heads[1] and "tasks" in heads[2], text)
    has(actors_of(text)[3][1], "it was stopped by a signal", "epoll|Operation not permitted")
    end(tree)


@scene("hang")
def test_dump_02_a_spinning_actor_is_seen_from_outside(tree):
    tree.wait_for("up")
    text = dump_of(tree, tree.root.pid, 4)
    _, lines = silent_line(tree, text, "left")
    has(lines, "it runs")
    if "Operation not permitted" not in text: # where a process may not be debugged
        has(lines, rf"\bspin +\S*{place('spins')}$", rf"\bhang +\S*{place('calls it')}$")
    touch(tree, "go")
    end(tree)


@scene("hang")
def test_dump_03_a_task_that_spins(tree):
    tree.wait_for("up")
    left = pid_of(tree, "left")
    os.kill(left, signal.SIGUSR1)
    head = f"yoke: yoke-left (pid {left}) comes to no checkpoint: task `ends:hang` runs, spawned at "
    tree.wait_until(lambda: head in tree.errors() and tree.errors().count("\n    ") > 2, "the task that runs is told of")
    offsets = re.findall(r"^ +(/\S+)\+(0x[0-9a-f]+)$", tree.errors()[tree.errors().index(head):], re.M)
    ours = [offset for file, offset in offsets if os.path.basename(file) == os.path.basename(PROGRAM)]
    told = subprocess.run(["addr2line", "-f", "-i", "-e", PROGRAM, *ours], capture_output=True, text=True).stdout
    check("spin" in told and place("spins") in told and "hang" in told, f"{tree.errors()}{told}")
    # What was asked for comes when it comes to a checkpoint.
    touch(tree, "go")
    tree.wait_until(lambda: "actor `left`" in tree.errors(), "the dump itself")
    end(tree)


@scene("deaf")
def test_dump_04_a_shielded_sleep(tree):
    tree.wait_for("up")
    text = dump_of(tree, tree.root.pid, 4)
    head, lines = actors_of(text)[1]
    check(re.match(r"actor root / `left` \(pid \d+\), ending: \d+ tasks", head), head)
    task, inside = below(lines, "task `ends:deaf` ")
    check(" in yoke_sleep" in task and ", shielded; spawned at" in task and ", cancelled" not in task, task)
    has(inside, rf"\bdeaf +\S*{place('the deaf')}$", rf"scope opened at \S*{place('the shield')}, shielded$",
        "cancelled by|cancelled: actor|, cancelled")
    end(tree, "sum 24")


def yoke(*arguments, status=0):
    done = subprocess.run([YOKE, "dump", *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE)
    check(done.returncode == status, f"{arguments}: status {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout if not status else done.stdout + done.stderr


def tasks_in(items):
    for item in items:
        if item["kind"] == "task":
            yield item
        yield from tasks_in(item["inside"])


@scene("work")
def test_dump_05_yoke_dump(tree):
    tree.wait_for("up")
    text = yoke(tree.root.pid)
    heads = [re.sub(r" \(pid.*", "", head) for head, _ in actors_of(text)]
    check(heads == ["actor `root`", "actor root / `left`", "actor root / `middle`", "actor root / middle / `leaf`"], text)
    check(tree.errors() == "", "something is said in the tree:\n" + tree.errors())
    check([head for head, _ in actors_of(yoke(pid_of(tree, "leaf")))][0].startswith("actor `leaf`"), "no leaf")
    end(tree)


@scene("work")
def test_dump_05_yoke_dump_json(tree):
    tree.wait_for("up")
    text = yoke("--json", tree.root.pid)
    check(text.count("\n") <= 1, "more than one line")
    root = json.loads(text)
    check((root["actor"], root["pid"], root["answers"]) == ("root", tree.root.pid, True), text)
    left, middle = root["children"]
    check([left["actor"], middle["actor"], middle["children"][0]["actor"]] == ["left", "middle", "leaf"], text)
    check(len(left["uuid"]) == 36 and left["children"] == [], text)
    worker = [task for task in tasks_in(left["tasks"]) if task["name"] == "worker"]
    check(len(worker) == 1 and worker[0]["count"] == 3 and worker[0]["in"] == "yoke_sleep", worker)
    check(worker[0]["state"] == "ready" or worker[0]["waits_ns"] >= 0, worker)
    check({"function": "worker", "line": LINES["the worker"]}.items() <= worker[0]["calls"][-1].items(), worker)
    check(sum(task["count"] for task in tasks_in(left["tasks"])) == left["task_count"], text)
    end(tree)


@scene("hang")
def test_dump_05_yoke_dump_of_one_that_does_not_answer(tree):
    tree.wait_for("up")
    left = pid_of(tree, "left")
    text = yoke(left, status=1)
    check(text.startswith(f"actor `left` (pid {left}): it does not answer\n  it runs\n"), text)
    one = json.loads(yoke(left, "--json", status=1))
    check((one["answers"], one["pid"], one["children"]) == (False, left, []), one)
    touch(tree, "go")
    end(tree)


@scene("work", YOKE_DUMP="0")
def test_dump_07_turned_off(tree):
    tree.wait_for("up")
    for pid in tree.root.pid, pid_of(tree, "leaf"):
        said = yoke(pid, status=1)
        check("its dumps are turned off" in said, said)
        with open(f"/proc/{pid}/status") as f:
            caught = int(re.search(r"SigCgt:\s+(\S+)", f.read()).group(1), 16)
        check(not caught >> (signal.SIGUSR1 - 1) & 1, "the signal was taken all the same")
    end(tree)


@scene("own")
def test_dump_07_a_handler_that_came_later_stays(tree):
    tree.wait_for("up")
    os.kill(tree.root.pid, signal.SIGUSR1)
    tree.wait_for("mine")
    check(tree.errors() == "", tree.errors())
    end(tree)


@scene("implied")
def test_dump_07_a_root_of_the_programs_own_run(tree):
    tree.wait_for("up")
    heads = [head for head, _ in actors_of(dump_of(tree, tree.root.pid, 2))]
    check(heads[0].startswith("actor `implied`") and heads[1].startswith("actor implied / `left`"), heads)
    end(tree, "sum 0")


@scene("implied-off")
def test_dump_07_turned_off_by_an_option(tree):
    tree.wait_for("up")
    for pid in tree.root.pid, pid_of(tree, "left"):
        check("its dumps are turned off" in yoke(pid, status=1), f"process {pid} has dumps")
    end(tree, "sum 0")


@scene("work")
def test_dump_08_process_titles(tree):
    tree.wait_for("up")
    root = json.loads(yoke("--json", tree.root.pid))
    for actor in root["children"][0], root["children"][1], root["children"][1]["children"][0]:
        with open(f"/proc/{actor['pid']}/cmdline") as f:
            title = f.read().split("\0")[0]
        check(title == f"{actor['actor']}[{actor['uuid'][:6]}]", title)
        with open(f"/proc/{actor['pid']}/comm") as f:
            check(f.read() == f"yoke-{actor['actor']}\n", title)
    end(tree)


@scene("churn")
def test_dump_what_ends_and_begins_meanwhile(tree):
    tree.wait_for("up")
    for _ in range(20):
        text = yoke(tree.root.pid)
        check(text.count("task `churn`") >= 1 and "task `main`" in text, text)
    end(tree, "sum 0")


def longest_wait(tree, count):
    """us, of a task that asks for a turn all the time, while 100,000 others are looked at."""
    tree.wait_for("up")
    text = yoke(tree.root.pid)
    check(text.count("\n  ") > count, "they are not all told of")
    check(f"task `task {count - 1}` waits in yoke_sleep_forever" in text, text[-3000:])
    touch(tree, "end")
    tree.wait_until(lambda: "longest" in tree.output(), "the end")
    longest, turns = map(int, re.search(r"longest (\d+) us in (\d+) turns", tree.output()).groups())
    os.unlink(os.path.join(tree.folder, "end"))
    check(tree.wait_gone(PATIENCE) == 0, f"status {tree.root.returncode}")
    check(turns > 100, f"{turns} turns")
    return longest


def many():
    """Best of three: the machine may stop a process for as long as it likes."""
    count = 3000 if SANITIZED else 100000
    seen = []
    for _ in range(3):
        wrong = run(lambda tree: seen.append(longest_wait(tree, count)), [PROGRAM, "many", str(count)], "exec")
        if wrong or SANITIZED or seen[-1] <= 10000:
            return wrong
    return f"a task waited for its turn, in us: {seen}"


TESTS.append(("test_dump_06_stops_nobody", many))


if __name__ == "__main__":
    processes.become_subreaper()
    chosen = [t for t in TESTS if not sys.argv[4:] or any(word in t[0] for word in sys.argv[4:])]
    sys.exit(tap(chosen))
