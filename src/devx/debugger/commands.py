# gdb's commands for actors and their tasks. It is a part of the library, as a text: gdb reads it from there, of a process
# or of a core file (see devx/debugger/commands.h). gdb 10 or later.
#
# A parked task's registers lie in its struct. The task is shown by an unwinder that says, of the frame at which the thread
# really stands, that its caller is the place where the task is parked: nothing is written, so that it works on a core, and
# on a process that goes on afterwards.

import os
import time
from itertools import dropwhile, islice
from textwrap import fill

import gdb
from gdb.unwinder import Unwinder, register_unwinder

NEVER = (1 << 63) - 1
TASKS_SHOWN = 1000
DIALOG_PREFIX, CHILD_PREFIX = "DIALOG_", "CHILD_"


# ---- reading the library's structs ----


def evaluate(text):
    try:
        return gdb.parse_and_eval(text)
    except gdb.error as e:
        raise gdb.GdbError(f"yoke: this program has no libyoke with debug information ({e})")


def offset_of(type_name, field):
    return gdb.lookup_type(type_name)[field].bitpos // 8


def container_of(link, type_name, field):
    at = int(link) - offset_of(type_name, field)
    return gdb.Value(at).cast(gdb.lookup_type(type_name).pointer())


def members(head, type_name, field):
    """The structs in a list, whose head is given."""
    link = head["next"]
    while int(link) != int(head.address):
        yield container_of(link, type_name, field)
        link = link["next"]


def rows(table, type_name, field):
    """The structs in a hash table."""
    for i in range(int(table["bucket_count"])):
        node = table["buckets"][i]
        while int(node):
            yield container_of(node, type_name, field)
            node = node["next"]


def text(value):
    """A C string, or a char array that ends with a zero; "" for what can't be read."""
    try:
        return value.string(errors="replace") if value.type.strip_typedefs().code == gdb.TYPE_CODE_ARRAY or int(value) else ""
    except gdb.error:
        return ""


def name_of_enum(value, prefix):
    return str(value).replace(prefix, "").lower().replace("_", " ")


def place(struct):
    file = text(struct["file"])
    return f"{file}:{int(struct['line'])}" if file else ""


# ---- runs, tasks, scopes ----


def runs():
    run = evaluate("scheduler_runs")
    found = []
    while int(run):
        found.append(run)
        run = run["next_run"]
    return found


def scopes_of(task):
    """Those that the task has open, from the outermost inwards."""
    found = []
    scope = task["scope"]
    while int(scope) and int(scope["owner"]) == int(task):
        found.append(scope)
        scope = scope["parent"]
    return found[::-1]


def children_of(scope):
    if not scope["is_nursery"]:
        return []
    nursery = container_of(scope, "struct yoke_nursery", "scope")
    return members(nursery["children"], "struct yoke_task", "in_nursery")


def walk(run):
    """(depth, task, scope or None), in the order of opening and spawning."""
    stack = [(0, run["first"], None)] if int(run["first"]) else []
    while stack:
        depth, task, scope = stack.pop()
        yield depth, task, scope
        if scope is None:
            inside = [(depth + 1 + i, task, s) for i, s in enumerate(scopes_of(task))]
        else:
            inside = [(depth + 1, child, None) for child in children_of(scope)]
        stack += inside[::-1]


def tasks():
    """All tasks of the process, in the order of their numbers, which begin with 1."""
    return [task for run in runs() for _, task, scope in walk(run) if scope is None]


def is_running(task):
    return int(task["scheduler"]["current"]) == int(task)


def is_ready(task):
    return name_of_enum(task["state"], "TASK_") == "ready"


def is_live():
    """Is it a process of this machine, whose clock is ours?"""
    connection = getattr(gdb.selected_inferior(), "connection", None)
    pid = gdb.selected_inferior().pid
    return (connection.type == "native" if connection else os.path.exists(f"/proc/{pid}")) and pid > 0


def now(run):
    """Of the clock of parked_at; in a core the last time that the run has looked at it."""
    return time.monotonic_ns() if is_live() else int(run["pass_at"])


def time_of(run):
    """Of the clock of its deadlines, which may stand still, or have done so (YOKE_DEBUG=freeze)."""
    return int(run["frozen_at"]) if run["frozen"] else now(run) - int(run["frozen_for"])


def seconds(ns):
    return f"{ns / 1e9:.3f} s"


# ---- standing in a parked task ----


def registers():
    """(program counter, stack pointer, frame pointer), by gdb's names."""
    if gdb.selected_frame().architecture().name().startswith("aarch64"):
        return "pc", "sp", "x29"
    return "rip", "rsp", "rbp"


def parked_at(task):
    """The values of these, in the task when it goes on (task/switch.h)."""
    context = task["context"]
    fields = [field.name for field in context.type.fields()]
    if "ip" in fields:
        return context["ip"], context["sp"], context["bp"]
    if "sp" in fields:
        frame = context["sp"].cast(gdb.lookup_type("unsigned long").pointer())
        return frame[1], (frame + 20).cast(context["sp"].type), frame[0]
    general = context["context"]["uc_mcontext"]["gregs"]
    return general[16], general[15], general[10]


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class Parked(Unwinder):
    """While a task is selected, the caller of the frame where the thread stands is where the task is parked."""

    def __init__(self):
        super().__init__("yoke")
        self.task = None

    def select(self, task):
        """None: the thread's own frames again. The newest frame is selected then."""
        if self.task is not None:
            self.task = None
            gdb.invalidate_cached_frames()
        if task is None:
            return
        frame = gdb.newest_frame()
        self.names = registers()
        self.real = [int(frame.read_register(name)) for name in self.names[:2]]
        self.saved = parked_at(task)
        self.task = task
        gdb.invalidate_cached_frames()

    def __call__(self, pending):
        if self.task is None or [int(pending.read_register(name)) for name in self.names[:2]] != self.real:
            return None
        # Outer frames have higher addresses: so gdb wants it, and so it takes this one for the innermost.
        word = gdb.lookup_type("unsigned long")
        sp = gdb.Value(int(self.saved[1]) - 64).cast(word)
        info = pending.create_unwind_info(FrameId(sp, gdb.Value(self.real[0]).cast(word)))
        for name, value in zip(self.names, self.saved):
            info.add_saved_register(name, gdb.Value(int(value)).cast(pending.read_register(name).type))
        return info

    def frames(self):
        """Of the selected task, from the innermost outwards."""
        return (f for f in older(gdb.newest_frame()) if int(f.read_register(self.names[1])) != self.real[1])


class HideThread:
    """A frame filter: the backtrace of a task begins where that is parked."""

    name, priority = "yoke", 100

    def __init__(self):
        self.enabled = True
        gdb.frame_filters[self.name] = self

    def filter(self, frames):
        if parked.task is None:
            return frames
        return (f for f in frames if int(f.inferior_frame().read_register(parked.names[1])) != parked.real[1])


parked = Parked()
HideThread()


def resumed(event):
    global stacks, home
    parked.task = stacks = home = None


gdb.events.cont.connect(resumed)
gdb.events.stop.connect(resumed)


home = None  # the thread and the level of the frame that were selected before a task was
stacks = None  # of the threads, as long as the process stands still: [(thread, stack pointers)]


def look_at_threads():
    global stacks
    parked.select(None)
    before, stacks = gdb.selected_thread(), []
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        stacks.append((thread, [int(f.read_register(registers()[1])) for f in islice(older(gdb.newest_frame()), 200)]))
    before.switch()


def thread_on(task):
    """
    The thread that stands on the task's stack, or None: it runs the task; or it has left it in all but the stack. There is
    no stack of the scheduler's: the task that parked last looks for the next one, and till there is one its own registers
    are still the thread's.
    """
    if stacks is None:
        look_at_threads()
    low, high = int(task["block"]), int(task["block"]) + int(task["block_bytes"])
    return next((thread for thread, pointers in stacks if any(low <= sp < high for sp in pointers)), None)


def older(frame):
    while frame is not None:
        yield frame
        try:
            frame = frame.older()
        except gdb.error:
            return


def stand_in(task):
    """Its frames, from the innermost outwards."""
    thread = thread_on(task)
    if thread is None:
        parked.select(task)
        return list(parked.frames())
    parked.select(None)
    thread.switch()
    frames = list(older(gdb.newest_frame()))
    handlers = [i for i, frame in enumerate(frames) if frame.type() == gdb.SIGTRAMP_FRAME]
    frames = frames[handlers[-1] + 1:] if handlers else frames
    left = [i for i, frame in enumerate(frames) if frame.name() == "schedule"]
    return frames if is_running(task) or not left else frames[left[0]:]


def leave_home():
    global home
    if home is None:
        home = gdb.selected_thread(), gdb.selected_frame().level()


def come_back():
    global home
    if home is None:
        return
    thread, level = home
    home = None
    parked.select(None)
    thread.switch()
    select_level(level)


def select_level(level):
    for frame in older(gdb.newest_frame()):
        if frame.level() == level:
            frame.select()
            return


class Standing:
    """with Standing(task): its frames are there to be looked at. Afterwards all is as it was."""

    def __init__(self, task):
        self.task = task

    def __enter__(self):
        self.before, self.level, self.thread = parked.task, gdb.selected_frame().level(), gdb.selected_thread()
        return stand_in(self.task)

    def __exit__(self, *error):
        parked.select(None)
        self.thread.switch()
        parked.select(self.before)
        select_level(self.level)


def is_ours(frame):
    symtab = frame.find_sal().symtab
    file = symtab.filename if symtab else ""
    return (frame.name() or "").startswith("yoke_") or any(part in file for part in ("src/task/", "src/actor/", "src/devx/", "src/ipc/"))


def is_c_library(frame):
    return "/libc.so" in (gdb.solib_name(frame.pc()) or "") or "/libc-" in (gdb.solib_name(frame.pc()) or "")


def public_of(frames):
    """(the library's function that was called last, the frame that called it); ("", the innermost) if there is none."""
    found = None
    frames = list(dropwhile(is_c_library, frames)) or frames
    for i, frame in enumerate(frames):
        if not is_ours(frame):
            break
        if (frame.name() or "").startswith("yoke_"):
            found = i
    if found is None:
        inner = ("switch_stack", "switch_registers", "schedule", "task_park", "task_yield", "wait_in")
        rest = [f for f in frames if f.name() not in inner]
        return "", (rest or [None])[0]
    name = frames[found].name()
    return name[:-3] if name.endswith("_at") else name, frames[found + 1] if found + 1 < len(frames) else frames[found]


def place_of(frame):
    sal = frame.find_sal() if frame else None
    if not sal or not sal.symtab:
        return frame.name() or "" if frame else ""
    file = sal.symtab.filename
    while file.startswith("../"):  # out of the folder that it was built in
        file = file[3:]
    return f"{file}:{sal.line}"


# ---- tables ----


def print_table(head, lines):
    lines = [[str(cell) for cell in line] for line in lines]
    widths = [max(len(line[i]) for line in [head] + lines) for i in range(len(head))]
    columns = gdb.parameter("width") or 0  # 0: no end
    if columns and sum(widths) + 2 * (len(head) - 1) > columns:
        print_folded(head, lines, columns)
        return
    for line in [head] + lines:
        gdb.write("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() + "\n")


def print_folded(head, lines, columns):
    """For a narrow terminal: below the first two cells of each line the others, one by one."""
    for line in lines:
        gdb.write("  ".join(line[:2]).rstrip() + "\n")
        for name, cell in zip(head[2:], line[2:]):
            if cell:
                cell = f"{name}: {cell}" if name else cell
                gdb.write(fill(cell, columns, initial_indent="  ", subsequent_indent="  ", break_long_words=False,
                               break_on_hyphens=False) + "\n")


def flags(**which):
    return ", ".join(name for name, is_set in which.items() if is_set)


def describe(task):
    """(what it does, where)"""
    with Standing(task) as frames:
        public, frame = public_of(frames)
        where = place_of(frame)
    waits_in = f" in {public}" if public else ""
    if is_running(task):
        return f"runs{waits_in}", where
    if is_ready(task):
        return f"ready{waits_in}", where
    return f"waits{waits_in} for {seconds(now(task['scheduler']) - int(task['parked_at']))}", where


# ---- the commands ----


class Yoke(gdb.Command):
    """Look at actors and their tasks.
Tasks are known by the numbers that `yoke tasks` shows."""

    def __init__(self):
        super().__init__("yoke", gdb.COMMAND_STATUS, prefix=True)

    def invoke(self, argument, from_tty):
        gdb.execute("help yoke")


class Tasks(gdb.Command):
    """List all tasks of this process.
Usage: yoke tasks [all]
Number, name, what it does and for how long, how many scopes are open in it, whether a cancellation is to be seen there, and
where it stands. The selected one has a `*`. The first 1,000, unless `all` is said."""

    def __init__(self):
        super().__init__("yoke tasks", gdb.COMMAND_STATUS)

    def complete(self, line, word):
        return ["all"]

    def invoke(self, argument, from_tty):
        found = tasks()
        shown = found if argument.strip() == "all" else found[:TASKS_SHOWN]
        lines = []
        for number, task in enumerate(shown, 1):
            state, where = describe(task)
            mark = "*" if parked.task is not None and int(parked.task) == int(task) else " "
            cancelled = "cancelled" if task["scope"]["effective"] else ""
            lines.append([f"{mark}{number}", text(task["name"]), state, len(scopes_of(task)), cancelled, where])
        print_table([" #", "task", "state", "scopes", "", "where"], lines)
        if len(shown) < len(found):
            gdb.write(f"... and {len(found) - len(shown)} more: yoke tasks all\n")


class Task(gdb.Command):
    """Stand in a task that waits.
Usage: yoke task [NUMBER | NAME]
bt, frame, up, down, info locals and print work in it then. Without an argument: back to where the thread stands, which also
happens when the process goes on."""

    def __init__(self):
        super().__init__("yoke task", gdb.COMMAND_STACK)

    def complete(self, line, word):
        found = tasks()
        return [w for w in [str(n + 1) for n in range(len(found))] + [text(t["name"]) for t in found] if w.startswith(word)]

    def find(self, argument):
        found = tasks()
        if argument.isdigit() and 0 < int(argument) <= len(found):
            return found[int(argument) - 1]
        named = [task for task in found if text(task["name"]) == argument]
        if len(named) == 1:
            return named[0]
        raise gdb.GdbError(f"yoke: there are {len(named)} tasks of that name: use a number" if named
                           else f"yoke: no task {argument}: yoke tasks lists them")

    def invoke(self, argument, from_tty):
        argument = argument.strip()
        if not argument:
            come_back()
        else:
            task = self.find(argument)
            leave_home()
            frames = stand_in(task)
            if not frames:
                parked.select(None)
                raise gdb.GdbError("yoke: its frames can't be read")
            gdb.write(f"task `{text(task['name'])}` {'runs' if is_running(task) else 'waits'}\n")
            (public_of(frames)[1] or frames[0]).select()
        gdb.execute("frame")


class Scopes(gdb.Command):
    """List the open scopes and nurseries of all tasks.
Usage: yoke scopes
Whose it is, where it was opened, shield, cancellation, deadline, and how many tasks a nursery has."""

    def __init__(self):
        super().__init__("yoke scopes", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        lines, number = [], 0
        for run in runs():
            for depth, task, scope in walk(run):
                number += scope is None
                if scope is None:
                    continue
                state = flags(shielded=scope["shield"], cancelled=scope["cancel_called"])
                deadline = int(scope["timer"]["deadline"]) if int(scope["timer"]["slot"]) else NEVER
                left = "" if deadline == NEVER or int(run["clock"]) else f"in {seconds(deadline - time_of(run))}"
                kind = f"nursery of {sum(1 for _ in children_of(scope))}" if scope["is_nursery"] else "scope"
                lines.append(["  " * (depth - 1) + kind, text(task["name"]), place(scope), state, left])
        print_table(["scope", "task", "opened at", "", "deadline"], lines)


def actors():
    found = []
    for run in runs():
        if int(run["above"]):
            found.append(run["above"].cast(gdb.lookup_type("struct actor").pointer()))
    return found


class Actors(gdb.Command):
    """List this actor, its parent and its children, and the peers that it has connected to or let in.
Usage: yoke actors"""

    def __init__(self):
        super().__init__("yoke actors", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        lines = []
        for actor in actors():
            ending = "ending" if actor["cancel_called"] else ""
            lines.append(["this", text(actor["uid"]["name"]), gdb.selected_inferior().pid, ending, text(actor["uid"]["uuid"])])
            for peer in peers_of(actor):
                if not int(peer["child"]):
                    lines.append([role(peer), *who(peer["channel"]), "lost" if int(peer["lost"]) else "", text(peer["channel"]["peer"]["uuid"])])
            for child in members(actor["children"], "struct child", "in_actor"):
                lines.append(["child", text(child["uid"]["name"]), int(child["pid"]), name_of_enum(child["state"], CHILD_PREFIX),
                              text(child["uid"]["uuid"])])
        print_table(["", "actor", "pid", "state", "uuid"], lines)


def peers_of(actor):
    return members(actor["peers"], "struct peer", "in_actor")


def role(peer):
    if int(peer["child"]):
        return "child"
    return "parent" if peer["is_parent"] else "let in" if peer["let_in"] else "connected"


def who(channel):
    return text(channel["peer"]["name"]), int(channel["peer_pid"])


class Channels(gdb.Command):
    """List the channels to other actors.
Usage: yoke channels
To whom, the descriptor, messages and bytes in each direction, what waits to be written, and dialogs that are open in it."""

    def __init__(self):
        super().__init__("yoke channels", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        lines = []
        for actor in actors():
            for peer in peers_of(actor):
                channel = peer["channel"]
                queued = int(channel["out"]["end"]) - int(channel["out"]["start"])
                dialogs = int(peer["opened"]["count"]) + int(peer["served"]["count"])
                state = "broken" if int(channel["broken"]) else "sends no more" if int(channel["mute"]) else ""
                lines.append([*who(channel), role(peer), int(channel["fd"]), int(channel["frames_in"]), int(channel["frames_out"]),
                              int(channel["bytes_in"]), int(channel["bytes_out"]), queued, dialogs, state])
        print_table(["actor", "pid", "role", "fd", "in", "out", "bytes in", "out", "queued", "dialogs", ""], lines)


class Contexts(gdb.Command):
    """List the open contexts, calls and streams.
Usage: yoke contexts
With whom, which side this is, the endpoint, the state, messages that nobody has received, and the task."""

    def __init__(self):
        super().__init__("yoke contexts", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        lines = []
        for actor in actors():
            for peer in peers_of(actor):
                for table in "opened", "served":
                    for context in rows(peer[table], "struct yoke_context", "in_peer"):
                        owner = text(context["owner"]["name"]) if int(context["owner"]) else ""
                        lines.append([text(peer["channel"]["peer"]["name"]), table, text(context["name"]),
                                      name_of_enum(context["kind"], "DIALOG_IS_"), name_of_enum(context["state"], DIALOG_PREFIX),
                                      int(context["inbox_count"]), owner, flags(cancelled=context["cancel_called"]), text(context["cid"])])
        print_table(["actor", "side", "endpoint", "kind", "state", "unread", "task", "", "id"], lines)


def begin():
    for command in Yoke, Tasks, Task, Scopes, Actors, Channels, Contexts:
        command()
    try:
        level = gdb.selected_frame().level()
    except gdb.error:
        level = None
    register_unwinder(None, parked, replace=True)  # gdb forgets which frame was selected
    if level:
        select_level(level)


begin()
