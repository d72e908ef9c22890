"""The programs of guides, compiled and run as they stand there: test_guides.py INCLUDE LIBRARY COMPILER GUIDE...

A program is a block marked as C that has a main() or a YOKE_MAIN; the plain block right behind it is what it prints."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

include, library, compiler, *guides = sys.argv[1:]

PROGRAM = re.compile(r"^```c\n(.*?)^```\n(?:\n```\n(.*?)^```\n)?", re.S | re.M)
LIBRARIES = ["-lmsgpackc", "-ldw", "-lunwind-generic", "-lunwind", "-lnettle", "-pthread"]


def programs(guide):
    """Each program's heading, text, and what it prints (None: the guide does not say)."""
    text = pathlib.Path(guide).read_text()
    for m in PROGRAM.finditer(text):
        if re.search(r"^(int main|YOKE_MAIN)\(", m.group(1), re.M):
            heading = re.findall(r"^## (.*)$", text[: m.start()], re.M)
            yield f"{pathlib.Path(guide).name}: {heading[-1] if heading else 'top'}", m.group(1), m.group(2)


def outcome(folder, program):
    """What it prints; or, if it can't be built or does not end well, why."""
    (folder / "program.c").write_text(program)
    words = [compiler, "-std=gnu11", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", f"-I{include}", "program.c", library, *LIBRARIES]
    built = subprocess.run(words + ["-o", "program"], cwd=folder, capture_output=True, text=True)
    if built.returncode:
        return built.stderr
    environment = {k: v for k, v in os.environ.items() if not k.startswith("YOKE_")}
    ran = subprocess.run(["./program"], cwd=folder, capture_output=True, text=True, timeout=60, env=environment)
    return ran.stdout if not ran.returncode and not ran.stderr else f"status {ran.returncode}\n{ran.stdout}{ran.stderr}"


def main():
    rows = [row for guide in guides for row in programs(guide)]
    print(f"1..{len(rows)}")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, program, expected) in enumerate(rows, 1):
            got = outcome(pathlib.Path(folder), program)
            failed += got != expected
            print(f"{'ok' if got == expected else 'not ok'} {number} - {name}")
            if got != expected:
                print("\n".join("# " + line for line in got.splitlines()))
    return 1 if failed or not rows else 0


sys.exit(main())
