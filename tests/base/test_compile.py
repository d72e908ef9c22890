"""What the compiler must warn of: test_compile.py INCLUDE COMPILER...

ERR-03: an error that is dropped. ERR-12: a format that does not fit its arguments. And what is no record but stands for one."""
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

# name, a file's text, what the compiler must say (None: nothing)
FILES = [
    ("arguments that are a record", "YOKE_RECORD(word, (str, text))\nstatic yoke_error *f(const word *args, uint64_t *result)\n"
                                    "{\n    return NULL;\n}\nYOKE_MODULE(m, YOKE_CALL(f, word, u64))", None),
    ("arguments that are a bare str", "static yoke_error *f(const yoke_type_str *args, uint64_t *result)\n"
                                      "{\n    return NULL;\n}\nYOKE_MODULE(m, YOKE_CALL(f, str, u64))",
     "yoke_this_takes_a_record_or_none_but_not_str"),
    ("a union of an enum", "YOKE_ENUM(color, red)\nYOKE_UNION(any_color, color)",
     "yoke_this_takes_a_record_or_none_but_not_color"),
    ("a field of an unknown type", "YOKE_RECORD(word, (string, text))", "yoke_type_string"),
]


def said_of(compiler, text):
    ran = subprocess.run([compiler, "-std=c11", "-Wall", "-Wextra", "-Wno-unused-parameter", f"-I{include}", "-c", "-o",
                          "/dev/null", "-xc", "-"],
                         input=text, capture_output=True, text=True)
    return ran.stderr


def rows():
    """Each row's name, the file's text, and what must be said (None: nothing)."""
    for name, body, warning in ROWS:
        yield name, HEAD + body + "\n}\n", warning and f"-W{warning}"
    for name, text, words in FILES:
        yield name, "#include <yoke.h>\n" + text + "\n", words


def main():
    present = [c for c in compilers if shutil.which(c)]
    print(f"1..{len(list(rows())) * len(present)}")
    number = failed = 0
    for compiler in present:
        for name, text, words in rows():
            number += 1
            said = said_of(compiler, text)
            passed = words in said if words else not said
            failed += not passed
            print(f"{'ok' if passed else 'not ok'} {number} - {name}, {compiler}")
            if not passed:
                print("\n".join("# " + line for line in said.splitlines()))
    return 1 if failed or not present else 0


sys.exit(main())
