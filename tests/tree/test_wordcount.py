#!/usr/bin/env python3
"""examples/wordcount as a whole: real trees of processes. Usage: test_wordcount.py PROGRAM. Prints TAP.

What is counted is compared, all words of it, with tr, sort and uniq. After each test no process that the program started may be
left: they are found by a mark in their environment.
"""

import functools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import uuid

import pexpect

PROGRAM = os.path.abspath(sys.argv[1])
MARK = "WORDCOUNT_TEST=" + uuid.uuid4().hex
ENVIRONMENT = dict(os.environ, WORDCOUNT_TEST=MARK.split("=")[1], LC_ALL="C")
for name in ("YOKE_LOG", "YOKE_BACKEND", "YOKE_DEBUG", "NO_COLOR"):
    ENVIRONMENT.pop(name, None)
# Sanitizers and loaded machines make all of it slower; what must be fast is measured against its own bound.
PATIENCE = 120


# ---- running ----


def tree():
    """The pids of all living processes with our mark: the program and all that it started."""
    pids = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as f:
                marked = MARK.encode() in f.read().split(b"\0")
            with open(f"/proc/{entry}/stat") as f:
                state = f.read().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if marked and state != "Z":
            pids.append(int(entry))
    return pids


def wait_for_empty_tree(seconds):
    end = time.monotonic() + seconds
    while tree() and time.monotonic() < end:
        time.sleep(0.01)
    return tree()


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __str__(self):
        return f"status {self.status}\nstdout: {self.out[-3000:]}\nstderr: {self.err[-6000:]}"


def start(*args, **options):
    return subprocess.Popen([PROGRAM, *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=ENVIRONMENT, start_new_session=True, **options)


def finish(process, timeout=PATIENCE):
    out, err = process.communicate(timeout=timeout)
    return Result(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def run(*args, **options):
    result = finish(start(*args, **options))
    check(not tree(), f"processes left right after the end: {tree()}", result)
    return result


def check(condition, text, result=None):
    if not condition:
        raise AssertionError(text if result is None else f"{text}\n{result}")


def count(*args):
    """Runs with --json --top=0 and returns the object; it must succeed."""
    result = run("--json", "--top=0", *args)
    check(result.status == 0, f"wordcount {args} failed", result)
    check(result.out.count("\n") == 1 and result.out.endswith("}\n"), "not one line of JSON", result)
    return json.loads(result.out)


# ---- what is right ----


def files_of(*paths):
    found, seen = [], set()
    for path in paths:
        if os.path.isfile(path):
            found.append(path)
        for folder, _, names in os.walk(path):
            found += [os.path.join(folder, name) for name in names]
    once = []
    for path in found:
        try:
            status = os.stat(path)
        except FileNotFoundError:
            continue
        if os.path.isfile(path) and (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            once.append(path)
    return once


@functools.cache
def expected(*paths):
    """What the program must print for these paths, by tr, sort and uniq."""
    files = files_of(*paths)
    size = 0
    with tempfile.TemporaryFile() as text:
        for path in files:
            with open(path, "rb") as f:
                data = f.read()
            size += len(data)
            text.write(data + b"\n")
        text.seek(0)
        lines = subprocess.run("tr -cs 'A-Za-z' '\\n' | tr 'A-Z' 'a-z' | grep . | sort | uniq -c", shell=True, stdin=text,
                               stdout=subprocess.PIPE, env=ENVIRONMENT, check=False).stdout.decode("ascii").splitlines()
    words = [(word, int(number)) for number, word in (line.split() for line in lines)]
    words.sort(key=lambda entry: (-entry[1], entry[0]))
    return {"files": len(files), "bytes": size, "words": sum(n for _, n in words), "distinct": len(words),
            "top": [list(entry) for entry in words]}


def assert_same(got, wanted):
    for key in ("files", "bytes", "words", "distinct"):
        check(got[key] == wanted[key], f"{key}: {got[key]} instead of {wanted[key]}")
    check(list(got) == list(wanted), f"keys {list(got)}")
    for mine, right in zip(got["top"], wanted["top"]):
        check(mine == right, f"{str(mine)[:200]} instead of {str(right)[:200]}")
    check(len(got["top"]) == len(wanted["top"]), f"{len(got['top'])} words in top instead of {len(wanted['top'])}")


def make_corpus(folder):
    """Seeded: text, binary, empty files, a word of 1 MB, files that are just a chunk long and one byte more or less, odd names."""
    dice = random.Random(20)
    vocabulary = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ", k=dice.randint(1, 14))) for _ in range(5000)]

    def text(size):
        parts, length = [], 0
        while length < size:
            parts.append(dice.choice(vocabulary) + dice.choice([" ", "\n", "-", "1", "\xe9", "\0", ", "]))
            length += len(parts[-1])
        return "".join(parts).encode("latin-1")[:size]

    def write(name, data):
        path = os.path.join(os.fsencode(folder), name if isinstance(name, bytes) else os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)

    write("large.txt", text(9_000_000))
    write("binary", dice.randbytes(1_500_000))
    write("empty", b"")
    write("one-letter", b"Q")
    write("long-word", b"x" * 1_000_000 + b" tail " + b"Y" * 1_048_576)
    write("only-letters", b"z" * 2_500_000)
    write(".hidden/.too", text(1000))
    write("with space\nand line", text(1000))
    write(b"not-utf8-\xff\xfe", text(1000))
    for chunk in (4 << 10, 64 << 10, 1 << 20):
        for more in (-1, 0, 1):
            write(f"exact/{chunk}{more:+d}", text(chunk + more))
    for i in range(400):
        write(f"small/{i // 40}/{i}", text(dice.randint(0, 3000)))
    os.symlink("../large.txt", os.path.join(folder, "small/link-to-a-file"))
    os.symlink("..", os.path.join(folder, "small/link-to-a-folder"))
    os.symlink("nowhere", os.path.join(folder, "small/link-to-nothing"))
    os.mkfifo(os.path.join(folder, "small/fifo"))
    return folder


REPEATED = 40


def make_large(path, pattern):
    """200 MB, long enough to be caught in the middle: REPEATED times the pattern, at whose end no word goes on."""
    dice = random.Random(21)
    letters = bytes.maketrans(bytes(range(256)), bytes(b"abcdef   "[i % 9] for i in range(256)))
    data = dice.randbytes(4_999_999).translate(letters) + b"\n"
    with open(pattern, "wb") as f:
        f.write(data)
    with open(path, "wb") as f:
        for _ in range(REPEATED):
            f.write(data)
    return path


def expected_of_large(pattern):
    wanted = expected(pattern)
    return {"files": 1, "bytes": REPEATED * wanted["bytes"], "words": REPEATED * wanted["words"],
            "distinct": wanted["distinct"], "top": [[word, REPEATED * number] for word, number in wanted["top"]]}


# ---- tests ----

TESTS = []


def test(function):
    TESTS.append(function)
    return function


@test
def equals_tr_sort_uniq(place):
    wanted = expected(place.corpus)
    for backend in ("exec", "fork"):
        for workers in (1, 2, 5):
            assert_same(count(f"--backend={backend}", f"--workers={workers}", place.corpus), wanted)


@test
def equals_tr_sort_uniq_for_the_licences(place):
    licences = "/usr/share/common-licenses"
    if os.path.isdir(licences):
        assert_same(count(licences), expected(licences))


@test
def each_file_once(place):
    large = os.path.join(place.corpus, "large.txt")
    got = count(large, place.corpus, large)
    assert_same(got, expected(place.corpus))


@test
def a_file_without_a_size_is_read_to_its_end(place):
    got = count("/proc/self/limits")
    words = dict(map(tuple, got["top"]))
    check(got["files"] == 1 and got["bytes"] > 500 and words["limit"] == 3 and words["realtime"] == 2, f"{got}")


@test
def default_files(place):
    result = run("--json")
    check(result.status == 0, "default files", result)
    got = json.loads(result.out)
    check(got["bytes"] >= 5_000_000, f"only {got['bytes']} bytes")
    check(len(got["top"]) == 20, f"{len(got['top'])} words")


@test
def json_order_and_top(place):
    path = place.file("order", b"b a ab b c c abc aa A1b")
    got = count(path)
    check(got["top"] == [["b", 3], ["a", 2], ["c", 2], ["aa", 1], ["ab", 1], ["abc", 1]], f"{got}")
    result = run("--json", "--top", "2", path)
    check(result.out == '{"files":1,"bytes":23,"words":10,"distinct":6,"top":[["b",3],["a",2]]}\n', "form", result)
    check(result.err.count("\n") == 1 and result.err.startswith("counted 1 file, "), "one line of totals", result)
    result = run("--json", place.file("nothing", b""))
    check(result.out == '{"files":1,"bytes":0,"words":0,"distinct":0,"top":[]}\n' and result.status == 0, "empty", result)


@test
def text_output(place):
    result = run("--top=3", "--workers=2", place.corpus)
    check(result.status == 0 and result.err == "", "text", result)
    check("\033" not in result.out and "\r" not in result.out, "colours or a bar where there is no terminal", result)
    lines = result.out.splitlines()
    check(len(lines) == 6 and lines[0].split() == ["count", "word"] and lines[4] == "", "table", result)
    wanted = expected(place.corpus)
    for line, (word, number) in zip(lines[1:4], wanted["top"]):
        check(line.split() == [f"{number:,}", word], f"{line} instead of {word} {number}")
    totals = (rf"counted {wanted['files']:,} files, [\d.]+ MB, {wanted['words']:,} words \({wanted['distinct']:,} distinct\)"
              r" in [\d.]+ s: \d+ MB/s, 2 workers \+ 1 root")
    check(re.fullmatch(totals, lines[5]), f"totals: {lines[5]}")
    long_word = run("--top=0", os.path.join(place.corpus, "long-word"))
    check("x" * 60 + "... (1,000,000 letters)\n" in long_word.out, "a long word is cut", Result(long_word.status, "", ""))


@test
def help_and_version(place):
    result = run("--help")
    check(result.status == 0 and result.err == "" and result.out.startswith(f"Usage: {PROGRAM} "), "help", result)
    for option in ("--workers", "--top", "--json", "--backend", "--crash-after", "--retry", "--pause-at", "--help"):
        check(option in result.out, f"{option} is not in the help", result)
    result = run("--version")
    check(result.status == 0 and re.fullmatch(r"wordcount \(yoke\) [\d.]+\n", result.out), "version", result)


@test
def bad_command_lines(place):
    hint = f"Try '{PROGRAM} --help' for more information.\n"
    bad = {
        ("--no-such",): "unrecognized option '--no-such'",
        ("-x",): "invalid option -- 'x'",
        ("--workers",): "option '--workers' requires an argument",
        ("--workers=0",): "invalid argument '0' for '--workers': less than 1",
        ("--workers=9999",): "invalid argument '9999' for '--workers': more than 1024",
        ("--workers=2x",): "invalid argument '2x' for '--workers': not a number",
        ("--top=-1",): "invalid argument '-1' for '--top': not a number",
        ("--top=",): "invalid argument '' for '--top': not a number",
        ("--top=99999999999999999999",): "invalid argument '99999999999999999999' for '--top': more than",
        ("--crash-after=0",): "less than 1",
        ("--retry=many",): "not a number",
        ("--backend=thread",): "invalid argument 'thread' for '--backend'\nValid arguments are: 'exec', 'fork'",
        ("--pause-at=two words",): "a word is made of ASCII letters",
        ("--json=yes",): "option '--json' doesn't allow an argument",
    }
    for arguments, text in bad.items():
        result = run(place.corpus, *arguments)
        check(result.status == 2 and result.out == "", f"{arguments}", result)
        check(result.err.startswith(f"{PROGRAM}: ") and text in result.err and result.err.endswith(hint), f"{arguments}", result)


@test
def files_that_cannot_be_read(place):
    dangling = os.path.join(place.folder, "dangling")
    os.symlink("nowhere", dangling)
    bad = [
        (os.path.join(place.folder, "missing"), "No such file or directory"),
        (dangling, "No such file or directory"),
        ("/dev/null", "neither a file nor a folder"),
        (os.path.join(place.corpus, "one-letter", "x"), "Not a directory"),
        # These can be opened, and fail only when a worker reads: the reason comes from there.
        ("/proc/self/mem", "Input/output error"),
    ]
    for path, reason in bad:
        for backend in ("exec", "fork"):
            result = run(f"--backend={backend}", place.corpus, path)
            check(result.status == 2 and result.out == "", f"{path}", result)
            check(path in result.err and reason in result.err, f"{path}", result)


@test
def file_without_permission(place):
    if os.geteuid() == 0:
        return "root may read everything"
    path = place.file("secret", b"words")
    os.chmod(path, 0)
    result = run(path)
    check(result.status == 2 and path in result.err and "Permission denied" in result.err, "permission", result)


@test
def nothing_to_count(place):
    os.makedirs(os.path.join(place.folder, "hollow/inside"))
    result = run(os.path.join(place.folder, "hollow"))
    check(result.status == 2 and result.out == "" and "no files" in result.err and "hint:" in result.err, "empty", result)


@test
def a_full_disk_is_told(place):
    with open("/dev/full", "w") as full:
        process = subprocess.Popen([PROGRAM, "--json", place.corpus], stdout=full, stderr=subprocess.PIPE, env=ENVIRONMENT)
        result = Result(process.wait(PATIENCE), "", process.stderr.read().decode())
        process.stderr.close()
    check(result.status == 1 and "No space left on device" in result.err, "full disk", result)


@test
def crash_without_retry(place):
    for backend in ("exec", "fork"):
        result = run("--crash-after=3", "--workers=3", f"--backend={backend}", place.corpus)
        check(result.status == 1 and result.out == "", "crash", result)
        for text in ("worker-1", "SIGSEGV", "count_chunk", "worker.c:"):
            check(text in result.err, f"{text} is not in the error", result)
        line = int(re.search(r"worker\.c:(\d+)", result.err[result.err.index("count_chunk"):]).group(1))
        with open(os.path.join(SOURCES, "worker.c")) as f:
            crash = f.read().splitlines()[line - 1]
        check("this is the crash" in crash, f"line {line} is not the crash: {crash}", result)
        for sibling in ("worker-2", "worker-3"):
            check(re.search(rf"cancelled with it: .*{sibling}", result.err), f"{sibling} was cancelled", result)


@test
def crash_in_the_default_files(place):
    result = run("--crash-after=3")
    check(result.status == 1 and "SIGSEGV" in result.err, "crash", result)


@test
def crash_with_retry_is_exact(place):
    wanted = expected(place.corpus)
    for backend in ("exec", "fork"):
        for arguments in (("--crash-after=1", "--retry=1"), ("--crash-after=3", "--retry=3"),
                          ("--crash-after=4", "--retry=1", "--workers=1"), ("--crash-after=2", "--retry=1", "--workers=5")):
            result = run("--json", "--top=0", f"--backend={backend}", *arguments, place.corpus)
            check(result.status == 0, f"{arguments}", result)
            check("SIGSEGV" in result.err and "replaced (1 of" in result.err, f"{arguments}: who died?", result)
            assert_same(json.loads(result.out), wanted)


@test
def killed_workers_are_replaced_exactly(place):
    wanted = expected_of_large(place.pattern)
    dice = random.Random(22)
    for backend in ("exec", "fork"):
        process = start("--json", "--top=0", "--workers=2", "--retry=100", f"--backend={backend}", place.large)
        killed = 0
        while killed < 4 and process.poll() is None:
            time.sleep(dice.uniform(0.02, 0.15))
            # Only workers: what else the library keeps beside the root is not for --retry to replace.
            workers = [pid for pid in tree() if pid != process.pid and b"worker-" in name_of(pid)]
            if workers:
                os.kill(dice.choice(workers), signal.SIGKILL)
                killed += 1
        result = finish(process)
        check(result.status == 0 and killed, f"{killed} killed", result)
        assert_same(json.loads(result.out), wanted)


def name_of(pid):
    """What /proc tells of an actor's name: its title, or YOKE_ACTOR of its environment."""
    text = b""
    for source in ("cmdline", "comm", "environ"):
        try:
            with open(f"/proc/{pid}/{source}", "rb") as f:
                text += f.read()
        except OSError:
            pass
    return text


def interrupted(place, send, *arguments):
    process = start("--workers=2", *arguments, place.large)
    time.sleep(0.3)
    check(process.poll() is None, "it ended before it could be interrupted")
    began = time.monotonic()
    send(process)
    result = finish(process)
    took = time.monotonic() - began
    left = wait_for_empty_tree(max(0, 2 - took))
    check(result.status == 130 and result.out == "", "interrupt", result)
    check(took < 2, f"it took {took:.2f} s to end", result)
    check(not left, f"processes left: {left}", result)


@test
def interrupt(place):
    for backend in ("exec", "fork"):
        interrupted(place, lambda process: os.kill(process.pid, signal.SIGINT), f"--backend={backend}")
        # As a terminal does it: to all of the foreground group.
        interrupted(place, lambda process: os.killpg(process.pid, signal.SIGINT), f"--backend={backend}")


@test
def progress_on_a_terminal(place):
    child = pexpect.spawn(PROGRAM, ["--top=1", "--workers=2", place.large], env=ENVIRONMENT, dimensions=(24, 60),
                          encoding="latin-1", timeout=PATIENCE)
    began = time.monotonic()
    child.expect(pexpect.EOF)
    took = time.monotonic() - began
    child.close()
    check(child.exitstatus == 0, f"status {child.exitstatus}: {child.before}")
    bars = re.findall(r"\r(\[[#.]+\] +\d+%  [\d.]+ of [\d.]+ MB  \d+ MB/s)\x1b\[K", child.before)
    check(bars, f"no bar: {child.before!r}")
    check(all(len(bar) == 59 for bar in bars), f"{set(map(len, bars))} columns wide")
    check(len(bars) <= 20 * took + 2, f"{len(bars)} bars in {took:.2f} s")
    after = child.before[child.before.rindex("MB/s\x1b[K") + len("MB/s\x1b[K"):]
    check(after.startswith("\r\x1b[K"), f"the bar is not taken away: {after!r}")
    check("#" not in after and "counted 1 file," in after, f"{after!r}")


@test
def interrupt_on_a_terminal(place):
    child = pexpect.spawn(PROGRAM, ["--workers=2", place.large], env=ENVIRONMENT, encoding="latin-1", timeout=PATIENCE)
    child.expect(r"\d+%")
    began = time.monotonic()
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    check(time.monotonic() - began < 2, "too slow")
    check(child.exitstatus == 130, f"status {child.exitstatus} {child.signalstatus}: {child.before}")
    left = wait_for_empty_tree(2)
    check(not left, f"processes left: {left}")


@test
def pause_without_a_terminal(place):
    path = place.file("paused", b"one stop two Stop")
    result = run("--json", "--workers=2", "--pause-at=STOP", path)
    check(result.status == 0 and json.loads(result.out)["words"] == 4, "pause", result)


# clang says of an argument that it is in its register till the call has returned, and so gdb shows what came of that.
BY_CLANG = b"clang version" in open(PROGRAM, "rb").read()


def at_the_prompt(path, *answers):
    """Two workers stop at a word; each prompt gets an answer. Returns the ended program and the names of those that stopped."""
    child = pexpect.spawn(PROGRAM, ["--pause-at=the", "--workers=2", "--top=1", path], encoding="latin-1", timeout=PATIENCE,
                          env=dict(ENVIRONMENT, TERM="dumb"))
    stopped = []
    for answer in answers:
        child.expect(r"pause_at [^\n]*word=" if BY_CLANG else r'pause_at [^\n]*word=0x[0-9a-f]+ "the"')
        child.expect(r"\(yoke: (worker-\d)/[^)]*\)")
        stopped.append(child.match.group(1))
        child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    return child, stopped


@test
def pause_opens_the_debugger(place):
    if not shutil.which("gdb"):
        return "no gdb"
    path = place.file("the", b"the end " * 10000)
    child, stopped = at_the_prompt(path, "continue", "continue")
    check(child.exitstatus == 0 and sorted(stopped) == ["worker-1", "worker-2"], f"{stopped}: {child.before}")
    check("20,000 words (2 distinct)" in child.before, child.before)
    # The second worker asked for the terminal before it was cancelled: it gets its turn.
    child, stopped = at_the_prompt(path, "quit", "quit")
    check(child.exitstatus == 1 and "DebuggerQuit" in child.before, f"{child.exitstatus}: {child.before}")


# ---- TAP ----

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/wordcount")


class Place:
    def __init__(self, folder):
        self.folder = folder
        self.corpus = make_corpus(os.path.join(folder, "corpus"))
        self.pattern = os.path.join(folder, "pattern")
        self.large = make_large(os.path.join(folder, "large"), self.pattern)

    def file(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as f:
            f.write(data)
        return path


def end_what_is_left():
    for pid in tree():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def main():
    folder = tempfile.mkdtemp(prefix="yoke-wordcount-")
    chosen = [t for t in TESTS if len(sys.argv) < 3 or t.__name__ in sys.argv[2:]]
    print(f"1..{len(chosen)}", flush=True)
    try:
        place = Place(folder)
        for number, function in enumerate(chosen, 1):
            name, reason, began = function.__name__, None, time.monotonic()
            try:
                reason = function(place)
                left = wait_for_empty_tree(2)
                check(not left, f"processes left: {left}")
                print(f"ok {number} - {name}" + (f" # SKIP {reason}" if reason else ""), flush=True)
                print(f"# {time.monotonic() - began:.1f} s", flush=True)
            except Exception:  # a test that fails must not stop the others
                print(f"not ok {number} - {name}", flush=True)
                for line in traceback.format_exc().splitlines():
                    print("#", line)
                end_what_is_left()
    finally:
        shutil.rmtree(folder)


main()
