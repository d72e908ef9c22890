"""What the compiler must warn of: test_compile.py INCLUDE COMPILER...

ERR-03: an error that is dropped. ERR-12: a format that does not fit its arguments."""
import shutil
import subprocess
import sys

include, *compilers = sys.argv[1:]

HEAD = "#include <yoke/task.h>\nyoke_error *f(yoke_error *e);\nyoke_error *f(yoke_error *e)\n{\n"
# name, statements, the warning that must come (None: none)
ROWS = [
    ("err_03 a kept error", "    return yoke_checkpoint();", None),
    ("err_03 a tried error", "    YOKE_TRY(yoke_checkpoint());\n    return e;", None),
    ("err_03 a dropped error", "    yoke_checkpoint();\n    return e;", "unused-result"),
    ("err_03 a dropped raise", '    yoke_raise(&YOKE_CLOSED, "x");\n    return e;', "unused-result"),
    ("err_03 a dropped close", "    yoke_nursery n;\n    YOKE_TRY(yoke_nursery_open(&n));\n"
                               "    yoke_nursery_close(&n, e);\n    return 0;", "unused-result"),
    ("err_12 a format that fits", '    return yoke_raise(&YOKE_CLOSED, "%d", 1);', None),
    ("err_12 raise", '    return yoke_raise(&YOKE_CLOSED, "%d", "x");', "format"),
    ("err_12 raise_errno", '    return yoke_raise_errno(1, "%s", 1);', "format"),
    ("err_12 wrap", '    return yoke_wrap(e, &YOKE_CLOSED, "%s", 1);', "format"),
    ("err_12 note", '    yoke_error_note(e, "%s", 1);\n    return e;', "format"),
]


def warnings(compiler, body):
    ran = subprocess.run([compiler, "-std=c11", "-Wall", "-Wextra", "-Wno-unused-parameter", f"-I{include}", "-c", "-o",
                          "/dev/null", "-xc", "-"],
                         input=HEAD + body + "\n}\n", capture_output=True, text=True)
    return ran.stderr


def main():
    present = [c for c in compilers if shutil.which(c)]
    print(f"1..{len(ROWS) * len(present)}")
    number = failed = 0
    for compiler in present:
        for name, body, warning in ROWS:
            number += 1
            said = warnings(compiler, body)
            passed = f"-W{warning}" in said if warning else not said
            failed += not passed
            print(f"{'ok' if passed else 'not ok'} {number} - {name}, {compiler}")
            if not passed:
                print("\n".join("# " + line for line in said.splitlines()))
    return 1 if failed or not present else 0


sys.exit(main())
