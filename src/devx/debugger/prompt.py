# What gdb does at the prompt of an actor that stopped. It is a part of the library, as a text: the root writes it, with a call
# of begin(), into a file that gdb's Python runs (devx/debugger/gdb.c). gdb 10 or later.
#
# A stop is a call of the process' (yoke_pause and its kin) that waits for an answer. All that moves the process first lets it
# go: it answers, and runs to where the call returns. Hooks rather than redefinitions: `c`, `fg` and `q` reach them too.
#
# With breakpoints of the person's own, `continue` keeps the process: the session lasts, and a stop that the process comes to
# meanwhile asks nobody for the terminal, it meets the debugger in pause_meets_debugger (devx/debugger/pause.h), where this has a
# breakpoint.

import os
import re
import struct
import traceback

import gdb

WAITING, GO_ON, QUIT = range(3)  # enum pause_answer
NO_ATTACH, NO_SCRIPT = 91, 92  # DEBUGGER_NO_ATTACH, that of devx/debugger/gdb.c
STOP_BYTES = 64 << 10  # how far below `frame` a thread stops, at most: struct pause_request
MOVES = "next", "step", "nexti", "stepi", "until", "finish", "jump", "signal"
WATCHES = "watch", "rwatch", "awatch"
STARTS = "run", "start", "starti"
FATAL = "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT"


def say(words):
    """Of another process: what a terminal would act on is not printed."""
    shown = "".join(c if c.isprintable() or c == "\n" else "?" for c in words)
    try:
        gdb.write(shown)
    except UnicodeError:  # a locale that has no such letters
        gdb.write(shown.encode("ascii", "replace").decode())


def has_terminal():
    """One that has gone gives the end of input, too."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def quietly(command):
    return gdb.execute(command, to_string=True)


def move_quietly(command):
    """Python is not given the frame that gdb 13 stops at: that goes to the terminal, or where this leads."""
    gdb.flush()
    terminal, nowhere = os.dup(1), os.open("/dev/null", os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        return quietly(command)
    finally:
        gdb.flush()
        os.dup2(terminal, 1)
        os.close(terminal)
        os.close(nowhere)


def undisturbed(command):
    """As the header is to look, whatever the person has set."""
    gdb.execute("with pagination off -- with print frame-info source-and-location -- " + command)


def register(name, frame=None):
    value = (frame or gdb.newest_frame()).read_register(name)
    return int(value) & (1 << 64) - 1


def is_alive():
    process = gdb.selected_inferior()
    return process.pid > 0 and bool(process.threads())


def c_string(address):
    return gdb.Value(address).cast(gdb.lookup_type("char").pointer()).string(errors="replace") if address else ""


def outwards(frame):
    while frame is not None:
        yield frame
        try:
            frame = frame.older()
        except gdb.error:
            return


class Stop:
    """A call that waits for an answer."""

    def __init__(self, answer, caller, frame, why, text="", file="", line=0):
        self.answer, self.caller, self.frame = answer, caller, frame
        self.why, self.text, self.file, self.line = why, text, file, line
        self.waits = True

    def thread(self):
        """The one that stands right below the frame of the call, or the first."""
        threads = gdb.selected_inferior().threads()
        for thread in sorted(threads, key=lambda t: t.num):
            thread.switch()
            if self.frame - STOP_BYTES < register("sp") <= self.frame:
                return thread
        return min(threads, key=lambda t: t.num)

    def stand(self):
        """Selects the frame that it returns to; in a broken stack that may not be found."""
        self.thread().switch()
        for frame in outwards(gdb.newest_frame()):
            if frame.pc() == self.caller:
                frame.select()
                return True
        return False

    def show(self, actor, task):
        say(f"{self.why} in actor `{actor}` (pid {gdb.selected_inferior().pid}), task `{task}`: ")
        if self.text:
            say("\n" + self.text.rstrip("\n") + "\n")
        if not self.file:
            undisturbed("frame")
            return
        try:
            gdb.execute(f"with pagination off -- list {self.file}:{self.line},{self.line}")
        except gdb.error:  # there is no such file here
            gdb.write("" if self.text else "\n")


class Commands:
    """Of devx/debugger/commands.py: what it knows of tasks. Nothing, in a program without debug information."""

    def __init__(self):
        self.scope = {"__name__": "yoke"}
        try:
            exec(gdb.parse_and_eval("&devx_gdb_commands[0]").string(), self.scope)
        except gdb.error:
            self.scope = None

    def come_back(self):
        """From a task that waits to what runs."""
        if self.scope:
            self.scope["parked"].select(None)

    def parked(self):
        return self.scope and self.scope["parked"].task

    def task_at(self, address):
        """The task that runs on the stack with that address, or the one that has left it last; or None."""
        if not self.scope:
            return None
        try:
            running = [run["current"] for run in self.scope["runs"]() if int(run["current"])]
            found = next((task for task in running if has_stack(task, address)), None)
            if found is None and not running:
                found = next((task for task in self.scope["tasks"]() if has_stack(task, address)), None)
            return found
        except (gdb.error, gdb.GdbError):
            return None

    def name(self, task):
        return self.scope["text"](task["name"])


def has_stack(task, address):
    return int(task["block"]) <= address < int(task["block"]) + int(task["block_bytes"])


class Session:
    def __init__(self, actor, task, owed, stop, crashed):
        self.actor, self.task, self.owed, self.stop, self.crashed = actor, task, owed, stop, crashed
        self.commands = Commands()
        self.first = self.who(), task
        self.own = False  # a command of ours moves the process, and not the person's
        self.silent = False  # and nobody is to see where it stops
        self.kept = Kept(self)
        self.moving = None  # who moves: (task, thread), or "all" after `continue`
        self.leaving = self.told = self.fatal = False
        self.stopped = self.met = False  # since the last prompt
        self.at = None  # the thread that stopped last
        self.confirm = None  # as the person has set it, while we have it otherwise
        self.meets = None
        self.over = []  # watchpoints whose block has been left
        self.last_breakpoint = newest_breakpoint()
        self.history = None

    # ---- the answer ----

    def answer(self, word):
        if not is_alive():
            return
        if self.stop.waits:
            self.stop.waits = False
            self.write(self.stop.answer, word)
        elif word == QUIT:
            self.write(self.owed, 1)

    def write(self, address, word):
        gdb.selected_inferior().write_memory(address, struct.pack("=i", word))

    def leave_stop(self):
        """To where the stop returns, with the frame selected that corresponds to the one that is."""
        self.commands.come_back()
        if not self.stop.waits:
            return
        before, level = gdb.selected_thread(), gdb.selected_frame().level()
        found = self.stop.stand()
        level = level - gdb.selected_frame().level() if gdb.selected_thread() == before else 0
        self.answer(GO_ON)
        if not found:
            return
        said = self.run_silently(f"until *{self.stop.caller:#x}")
        if not is_alive() or gdb.newest_frame().pc() != self.stop.caller:
            gdb.write(said)
            raise gdb.GdbError("it has stopped before it came out of the pause")
        if level > 0:
            quietly(f"frame {level}")

    def run_silently(self, command):
        self.own = self.silent = True
        try:
            return move_quietly(command)
        finally:
            self.own = self.silent = False

    # ---- before commands ----

    def before(self, command):
        if self.own or (self.leaving and command != "quit"):
            return
        if command in ("continue", "detach"):
            self.before_continue(command)
        elif command == "quit":
            self.before_quit()
        elif command == "kill":
            self.confirm = gdb.parameter("confirm")
            quietly("set confirm on")
        elif command in STARTS:
            raise gdb.GdbError("yoke: an actor is started by its parent, not by gdb")
        else:
            self.before_move()

    def before_continue(self, command):
        self.commands.come_back()
        if command == "continue" and is_alive() and not self.crashed and not self.fatal and self.has_breakpoints():
            self.leave_stop()
            self.will_move("all")
            self.tell_that_it_stays()
            return
        self.answer(GO_ON)
        self.leave()
        gdb.set_convenience_variable("yoke_leaves", 1)

    def before_move(self):
        if not is_alive():
            return
        if self.crashed or self.fatal:
            raise gdb.GdbError("it can't be moved any more: `continue` lets it go its way")
        self.leave_stop()
        self.will_move(self.who())

    def will_move(self, who):
        self.moving = who
        if self.meets is None:
            self.meets = Meeting.make(self)

    def before_quit(self):
        """gdb runs `quit` for the end of input (ctrl-d) too, which is to mean `continue`: then nothing new is in the history."""
        self.confirm = None
        quietly("set confirm off")
        if not self.leaving:
            ctrl_d = newest_of_history() == self.history and has_terminal()
            self.answer(GO_ON if ctrl_d else QUIT)
            self.leave()

    def leave(self):
        self.leaving = True
        if is_alive() and not self.stop.waits and self.at and self.at.is_valid():
            self.at.switch()
            if gdb.newest_frame().pc() in self.kept.addresses():  # it has stopped there, and would once more
                self.run_silently("stepi")
        self.kept.give_back()

    def has_breakpoints(self):
        """Or watchpoints, catchpoints: enabled ones, that were made at this prompt."""
        numbers = re.findall(r"^(\d+) .* (?:keep|del|dis) +y\b", quietly("info breakpoints"), re.M)
        return any(int(number) > self.last_breakpoint for number in numbers)

    def tell_that_it_stays(self):
        if not self.told:
            say("breakpoints are set: the prompt stays with this actor; `detach` gives it back\n")
        self.told = True

    # ---- stops ----

    def who(self):
        """Who stands at the newest frame: a task, or a thread without one."""
        task = self.commands.task_at(register("sp"))
        return int(task) if task is not None else None, gdb.selected_thread().num

    def on_stop(self, event):
        if self.silent:
            return
        self.moving, self.stopped, self.at = None, True, gdb.selected_thread()
        self.fatal = isinstance(event, gdb.SignalEvent) and event.stop_signal in FATAL

    def on_exit(self, event):
        """There is nobody to debug any more. (It is said of one that is left, too.)"""
        if self.leaving:
            return
        self.leaving = True
        gdb.post_event(lambda: gdb.execute("quit"))

    def before_prompt(self):
        self.moving = None
        if self.confirm is not None:
            quietly("set confirm " + ("on" if self.confirm else "off"))
            self.confirm = None
        self.history = newest_of_history()
        if self.stopped and is_alive():
            self.show_stop()
        self.stopped = self.met = False

    def show_stop(self):
        self.task = self.name()
        if self.met and self.stop.stand():
            self.stop.show(self.actor, self.task)
        if self.kept.hit:
            say(f"yoke breakpoint {self.kept.hit} in actor `{self.actor}` (pid {gdb.selected_inferior().pid}), task `{self.task}`: ")
            undisturbed("frame")
            self.kept.hit = None
        for watch in self.over:
            say(f"\nWatchpoint {watch.number} deleted because the program has left the block in\n"
                "which its expression is valid.\n")
            watch.delete()
            undisturbed("frame")
        self.over = []

    def name(self):
        task = self.commands.task_at(register("sp"))
        if task is not None:
            return self.commands.name(task)
        return self.first[1] if self.who() == self.first[0] else f"thread {gdb.selected_thread().ptid[1]}"

    def prompt(self, current):
        return f"(yoke: {self.actor}/{self.task}) "


def newest_breakpoint():
    return max(map(int, re.findall(r"^(\d+) ", quietly("info breakpoints"), re.M)), default=0)


def newest_of_history():
    numbers = re.findall(r"^ *(\d+) ", quietly("show commands"), re.M)
    return numbers[-1] if numbers else None


class Point(gdb.Breakpoint):
    """A breakpoint of ours: nobody sees it, or is told that it was hit."""

    def __init__(self, spec, is_it):
        super().__init__(spec, internal=True)
        self.silent, self.is_it, self.hit = True, is_it, False

    def stop(self):
        is_it = bool(self.is_it())
        self.hit = self.hit or is_it
        return is_it


class Meeting(Point):
    """Where the process comes to a stop while its debugger is there."""

    MEETING = "=iiQQQQQ"  # struct pause_meeting: its answer, its line, ...

    @staticmethod
    def make(session):
        try:
            return Meeting(session)
        except (gdb.error, RuntimeError):  # it has no symbols
            return None

    def __init__(self, session):
        super().__init__("*pause_meets_debugger", self.take)
        self.session = session

    def take(self):
        """Not what the debugger itself has called, nor a pause that a step goes over."""
        s, process = self.session, gdb.selected_inferior()
        if s.moving is None:
            return False
        is_arm = gdb.newest_frame().architecture().name().startswith("aarch64")
        address = register("x0" if is_arm else "rdi")
        at = bytes(process.read_memory(address, struct.calcsize(self.MEETING)))
        _, line, caller, frame, why, text, file = struct.unpack(self.MEETING, at)
        why = c_string(why)
        if why in ("pause", "post mortem") and s.moving == s.who():
            return False
        s.stop = Stop(address, caller, frame, why, c_string(text), c_string(file), line)
        s.met = True
        return True


# ---- commands that gdb has, too ----


class Advance(gdb.Command):
    """gdb's own stops whichever task comes there."""

    def __init__(self, session):
        self.__doc__ = quietly("help advance")
        super().__init__("advance", gdb.COMMAND_RUNNING, gdb.COMPLETE_LOCATION)
        self.session = session

    def invoke(self, argument, from_tty):
        if not argument:
            raise gdb.GdbError("Argument required (a location).")
        s = self.session
        s.before("advance")
        if not is_alive():
            raise gdb.GdbError("The program is not being run.")
        mover, caller = s.who(), gdb.selected_frame().older()
        points = [Point(argument, lambda: s.who() == mover)]
        if caller is not None:
            points.append(return_to(caller, s, mover))
        self.run(points)

    def run(self, points):
        self.session.own = True
        try:
            gdb.execute("continue")
        finally:
            self.session.own = False
            hit = any([point.is_valid() and point.hit for point in points])
            for point in points:
                if point.is_valid():
                    point.delete()
        if hit:
            undisturbed("frame")


def return_to(caller, session, who, then=None):
    """The frame that `caller` has called, in that task, has returned."""
    sp = register("sp", caller)

    def is_it():
        is_back = register("sp") >= sp and session.who() == who
        if is_back and then:
            then()
        return is_back

    return Point(f"*{caller.pc():#x}", is_it)


class Watches:
    """
    gdb looks for the frame of a local variable whenever the process goes on, does not find it while another task runs, and
    watches no more. So a variable on a task's stack is watched by its place, and till its frame has returned.
    """

    def __init__(self, session):
        self.session, self.made = session, None
        gdb.events.breakpoint_created.connect(self.note)

    def note(self, point):
        self.made = point

    def after(self, command):
        watch, self.made = self.made, None
        if watch is None or not watch.is_valid() or not watch.expression or watch.expression.startswith("-location"):
            return
        frame = self.frame_of(watch.expression)
        if frame is not None:
            self.pin(command, watch, frame)

    def pin(self, command, watch, frame):
        thread = f" thread {watch.thread}" if watch.thread else ""
        condition = f" if {watch.condition}" if watch.condition else ""
        expression = watch.expression
        watch.delete()
        gdb.execute(f"{command} -location {expression}{thread}{condition}")
        who = int(self.task()), gdb.selected_thread().num
        pinned = self.made
        return_to(frame.older(), self.session, who, lambda: self.session.over.append(pinned))

    def frame_of(self, expression):
        """That of the task on whose part of the stack the variable is, or None."""
        try:
            address = int(gdb.parse_and_eval(f"&({expression})"))
        except (gdb.error, ValueError, OverflowError):
            return None
        task = self.task()
        if task is None or not has_stack(task, address):
            return None
        for frame in outwards(gdb.selected_frame()):
            caller = frame.older()
            if caller is not None and register("sp", frame) <= address < register("sp", caller):
                return frame
        return None

    def task(self):
        """That in which the selected frame is."""
        commands = self.session.commands
        parked = commands.parked()
        return parked if parked is not None else commands.task_at(register("sp", gdb.selected_frame()))


# ---- breakpoints for the actor's life ----


class Kept:
    """
    In the process: a table of instructions that are replaced by int3 while no debugger is there (devx/stop/break_table.h). While
    one is, it puts back the code and has breakpoints of its own there.
    """

    HEAD, ENTRY, INT3 = "=II", "=QIB3x", b"\xcc"
    COUNT = 64  # BREAK_ENTRIES

    def __init__(self, session):
        self.session, self.points, self.hit = session, {}, None
        try:
            self.table = int(gdb.parse_and_eval("&devx_break_table"))
        except gdb.error:
            self.table = None
        if self.table is not None:
            self.take_over()

    def read(self, address, form):
        return struct.unpack(form, bytes(gdb.selected_inferior().read_memory(address, struct.calcsize(form))))

    def entries(self):
        """(where it stands, address, number, byte) of each place of the table."""
        size, first = struct.calcsize(self.ENTRY), self.table + struct.calcsize(self.HEAD)
        for i in range(self.COUNT):
            yield (first + i * size, *self.read(first + i * size, self.ENTRY))

    def used(self):
        return [entry for entry in self.entries() if entry[2]] if self.table is not None else []

    def addresses(self):
        return [entry[1] for entry in self.used()]

    def write(self, at, address, number, byte):
        gdb.selected_inferior().write_memory(at, struct.pack(self.ENTRY, address, number, byte))

    def take_over(self):
        if any(self.read(self.table + struct.calcsize(self.HEAD), self.ENTRY)):
            for _, address, number, byte in self.used():
                gdb.selected_inferior().write_memory(address, bytes([byte]))
                self.point(address, number)

    def give_back(self):
        """The process is left: from now on it stops itself."""
        if not is_alive():
            return
        for address in self.addresses():
            gdb.selected_inferior().write_memory(address, self.INT3)

    def point(self, address, number):
        def is_it():
            if not self.session.silent:
                self.hit = number
            return not self.session.silent

        self.points[number] = Point(f"*{address:#x}", is_it)

    def check(self):
        if self.table is None or not self.read(self.table, self.HEAD)[0]:
            raise gdb.GdbError("yoke: breakpoints for an actor's life need x86-64, debug mode and the library's symbols")

    def add(self, location):
        self.check()
        for address in addresses_of(location):
            self.add_at(address)

    def add_at(self, address):
        entries = list(self.entries())
        place = next((e for e in entries if e[1] == address), None) or next((e for e in entries if not e[1]), None) \
            or next((e for e in entries if not e[2]), None)
        if place is None:
            raise gdb.GdbError(f"yoke: there are {self.COUNT} of them already")
        if place[2] and place[1] == address:
            raise gdb.GdbError(f"yoke: breakpoint {place[2]} is there")
        number = max(entry[2] for entry in entries) + 1
        byte = self.read(address, "=B")[0]
        self.write(place[0], address, number, byte)
        self.point(address, number)
        say(f"yoke breakpoint {number} at {place_of(address)}: it stops this actor, as a pause does, till `yoke delete {number}`\n")

    def delete(self, number):
        for at, address, known, byte in self.used():
            if known == number:
                self.write(at, address, 0, byte)
                self.points.pop(number).delete()
                return
        raise gdb.GdbError(f"yoke: no breakpoint {number}: `yoke break` lists them")

    def show(self):
        for _, address, number, _ in self.used():
            say(f"{number}  {place_of(address)}\n")
        if not self.used():
            say("No yoke breakpoints.\n")


def addresses_of(location):
    """Where gdb would set a breakpoint, behind the prologue of a function."""
    try:
        point = gdb.Breakpoint(location, internal=True)
    except RuntimeError as e:
        raise gdb.GdbError(str(e))
    text = quietly("maint info breakpoints")
    point_number = point.number
    point.delete()
    found = re.findall(rf"^{point_number}(?:\.\d+)? +.*?(0x[0-9a-f]+) in ", text, re.M)
    if not found:
        raise gdb.GdbError(f"yoke: no code at {location}")
    return [int(address, 16) for address in dict.fromkeys(found)]


def place_of(address):
    block, sal = gdb.block_for_pc(address), gdb.find_pc_line(address)
    name = f"{block.function} at " if block and block.function else ""
    return f"{name}{sal.symtab.filename}:{sal.line}" if sal.symtab else f"{address:#x}"


class Break(gdb.Command):
    """Set a breakpoint that lasts as long as the actor.
Usage: yoke break [LOCATION]
It holds when the prompt has been left: a task or thread that comes there stops as by yoke_pause, and waits for the terminal.
Other threads may pass in the moment in which one goes over it. Without an argument: lists them."""

    def __init__(self, kept):
        super().__init__("yoke break", gdb.COMMAND_BREAKPOINTS, gdb.COMPLETE_LOCATION)
        self.kept = kept

    def invoke(self, argument, from_tty):
        self.kept.add(argument) if argument else self.kept.show()


class Delete(gdb.Command):
    """Delete a breakpoint that `yoke break` has set.
Usage: yoke delete NUMBER"""

    def __init__(self, kept):
        super().__init__("yoke delete", gdb.COMMAND_BREAKPOINTS)
        self.kept = kept

    def invoke(self, argument, from_tty):
        if not argument.isdigit():
            raise gdb.GdbError("yoke: which number? `yoke break` lists them")
        self.kept.delete(int(argument))


# ---- the beginning ----


class Part(gdb.Command):
    """yoke's part of what a command of gdb's does."""

    def __init__(self, name, act):
        super().__init__(name, gdb.COMMAND_OBSCURE)
        self.act = act

    def invoke(self, argument, from_tty):
        self.act(argument)


def define_hooks():
    leave = "if $yoke_leaves\nquit\nend\n"
    gdb.set_convenience_variable("yoke_leaves", 0)
    for command in (*MOVES, *STARTS, "continue", "detach", "quit", "kill"):
        gdb.execute(f"define hook-{command}\nyoke-before {command}\n"
                    f"{leave if command in ('continue', 'detach') else ''}end")
    for command in WATCHES:
        gdb.execute(f"define hookpost-{command}\nyoke-after {command}\nend")
    # A step does not go into the library.
    quietly("skip -rfu ^yoke_")


def count_history():
    """Each line that is typed counts, even if the person wants to keep none: see before_quit."""
    quietly("set history remove-duplicates 0")
    if gdb.parameter("history size") == 0:
        quietly("set history size 1")


def attach(pid):
    try:
        move_quietly(f"attach {pid}")
    except gdb.error as e:
        gdb.write(f"{e}\n", gdb.STDERR)
    if not is_alive():
        gdb.execute(f"quit {NO_ATTACH}")
    # Its parent's death is no news of the process that is debugged.
    quietly("handle SIGCONT nostop noprint pass")


def open_prompt(actor, task, pid, owed, crashed, **stop):
    attach(pid)
    stop = Stop(**stop)
    stop.stand()
    session = Session(actor, task, owed, stop, crashed)
    Part("yoke-before", session.before)
    Part("yoke-after", Watches(session).after)
    Advance(session)
    if session.commands.scope:
        Break(session.kept)
        Delete(session.kept)
    define_hooks()
    count_history()
    gdb.events.stop.connect(session.on_stop)
    gdb.events.exited.connect(session.on_exit)
    gdb.events.before_prompt.connect(session.before_prompt)
    gdb.prompt_hook = session.prompt
    stop.show(actor, task)


def begin(**call):
    """gdb's next command after this script would leave it (devx/debugger/gdb.c)."""
    try:
        open_prompt(**call)
    except Exception:
        traceback.print_exc()
        quietly("set confirm off")
        gdb.execute(f"quit {NO_SCRIPT}")
    Part("yoke-no-prompt", lambda status: None)
