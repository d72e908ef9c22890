"""The README's first program, compiled and run as it stands there: test_readme.py README INCLUDE LIBRARY COMPILER"""
import pathlib
import re
import subprocess
import sys
import tempfile

readme, include, library, compiler = sys.argv[1:5]
text = pathlib.Path(readme).read_text()


def check(number, name, passed, why=""):
    print(f"{'ok' if passed else 'not ok'} {number} - {name}")
    if not passed:
        print(f"# {why}")
    return passed


def main():
    program = re.search(r"```c\n(.*?)```", text, re.S).group(1)
    command, expected = re.search(r"    \$ (cc .*?) && \./primes\n    (.*)\n", text).groups()
    print("1..3")
    results = [check(1, "the program is about 40 lines", 30 <= len([l for l in program.splitlines() if l.strip()]) <= 55)]
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "primes.c").write_text(program)
        words = [compiler if w == "cc" else w.replace("-Iinclude", f"-I{include}").replace("build/libyoke.a", library)
                 for w in command.split()]
        built = subprocess.run(words + ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror"], cwd=folder,
                               capture_output=True, text=True)
        results.append(check(2, "it compiles with the command given", built.returncode == 0, built.stderr))
        if results[-1]:
            ran = subprocess.run(["./primes"], cwd=folder, capture_output=True, text=True, timeout=60)
            results.append(check(3, "it prints what the README says", (ran.returncode, ran.stdout) == (0, expected + "\n"),
                                 ran.stdout + ran.stderr))
    return 0 if all(results) and len(results) == 3 else 1


sys.exit(main())
