# What lldb does with a process that stops. It is a part of the library, as a text: the root writes it, with a call of begin(),
# into the script that lldb runs (devx/debugger/lldb_script.c). lldb 14 or later.
#
# lldb has no hooks, and its `quit` can't be replaced. So a second debugger is made inside of it, whose prompt is run from
# here: when that returns it is known whether the person said `quit`, or ended the input. The first one has no prompt, and
# gets no signal: those come to a thread, which hands them on.

import lldb
import os
import signal
import sys
import termios
import threading
import traceback
import types

NO_ATTACH, NO_SCRIPT = 91, 1  # DEBUGGER_NO_ATTACH, and what lldb itself leaves with when it can't run this
CONTINUE, QUIT = 1, 2  # enum pause_answer
DETACH_SECONDS = 2
ROOT = os.getppid()
STACK_BYTES = 0x10000  # struct pause_request, frame

# What moves the process, as it is typed, and lldb's own command; None: it leaves. Each is an alias, which can be replaced.
COMMANDS = {
    "next": "thread step-over", "n": "thread step-over", "step": "thread step-in", "s": "thread step-in",
    "nexti": "thread step-inst-over", "ni": "thread step-inst-over", "stepi": "thread step-inst", "si": "thread step-inst",
    "finish": "thread step-out", "continue": None, "c": None, "detach": None,
}


def shown(text):
    """Of another process: what the terminal would act on is not printed."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def say(text):
    os.write(1, (shown(text.expandtabs()) + "\n").encode())


def put_back_after_the_end(modes):
    """The terminal's: till the end lldb's editor changes them as it likes."""
    end, living = os.pipe()
    if os.fork() == 0:
        os.close(living)
        os.read(end, 1)
        termios.tcsetattr(0, termios.TCSANOW, modes)
        os._exit(0)


class Session:
    def __init__(self, target):
        self.target = target
        self.debugger = lldb.SBDebugger.Create(True)
        self.debugger.SetAsync(False)
        self.inside = self.debugger.CreateTarget("")
        self.process = None
        self.is_answered = False
        self.leaves = False
        self.is_moving = False  # and a command waits for it

    def attach(self):
        error = lldb.SBError()
        self.process = self.inside.AttachToProcessWithID(self.debugger.GetListener(), self.target["pid"], error)
        return error.Success()

    def run(self, line):
        """(output, error) of one of lldb's commands, which has come to its end by then."""
        result = lldb.SBCommandReturnObject()
        self.debugger.GetCommandInterpreter().HandleCommand(line, result)
        return result.GetOutput() or "", result.GetError() or ""

    def is_stopped(self):
        return self.process.GetState() in (lldb.eStateStopped, lldb.eStateCrashed, lldb.eStateSuspended)

    # ---- where it stands ----

    def thread_that_stops(self):
        """The one that stands right below the frame of the pause."""
        for thread in self.process:
            below = self.target["frame"] - thread.GetFrameAtIndex(0).GetSP()
            if 0 <= below < STACK_BYTES:
                return thread
        return self.process.GetThreadAtIndex(0)

    def select_caller(self):
        thread = self.thread_that_stops()
        self.process.SetSelectedThread(thread)
        for frame in thread:  # of a broken stack it may not be found
            if frame.GetPC() == self.target["caller"]:
                thread.SetSelectedFrame(frame.GetFrameID())
                return
        thread.SetSelectedFrame(0)

    def frame(self):
        return self.process.GetSelectedThread().GetSelectedFrame()

    def source_line(self, file, line):
        stream = lldb.SBStream()
        self.inside.GetSourceManager().DisplaySourceLinesWithLineNumbers(file, line, 0, 0, "", stream)
        return (stream.GetData() or "").rstrip("\n")

    def file_of_error(self):
        """The compiler's, which may have another folder before it; None: not in this program."""
        name = self.target["file"]
        for context in self.inside.FindCompileUnits(lldb.SBFileSpec(os.path.basename(name), False)):
            file = context.GetCompileUnit().GetFileSpec()
            if ("/" + file.fullpath).endswith("/" + name):
                return file
        return None

    def status(self):
        """Of the thread that has stopped: the others have nothing to tell."""
        stream = lldb.SBStream()
        if self.is_stopped():
            self.process.GetSelectedThread().GetStatus(stream)
        return (stream.GetData() or self.run("process status")[0]).rstrip()

    def say_place(self):
        if self.target["file"]:
            file, line = self.file_of_error(), self.target["line"]
        else:
            entry = self.frame().GetLineEntry()
            file, line = entry.GetFileSpec(), entry.GetLine()
        source = self.source_line(file, line) if file and line else ""
        if source:
            say(source)

    def say_header(self):
        head = "{why} in actor `{actor}` (pid {pid}), task `{task}`:".format(**self.target)
        text = self.target["text"].rstrip("\n")
        frame = "" if self.target["file"] else str(self.frame()).strip()
        say("\n".join([head, text] + [frame] * bool(frame)) if text else (head + " " + frame).rstrip())
        self.say_place()

    # ---- the answer ----

    def write(self, address, number):
        error = lldb.SBError()
        self.process.WriteMemory(address, number.to_bytes(4, sys.byteorder), error)

    def answer(self, how):
        """Nothing if that is done, or if the process has gone; but a `quit` is owed then."""
        if self.process.GetState() == lldb.eStateRunning:
            self.process.Stop()
        if not self.is_stopped():
            return
        if not self.is_answered:
            self.write(self.target["answer"], how)
        elif how == QUIT:
            self.write(self.target["owed"], 1)
        self.is_answered = True

    def leave_pause(self):
        """The pause is over before a step: its thread goes to the caller. False: it did not come to there."""
        if self.is_answered:
            return True
        thread, error = self.process.GetSelectedThread(), lldb.SBError()
        self.answer(CONTINUE)
        thread.RunToAddress(self.target["caller"], error)
        return self.is_stopped() and thread.GetFrameAtIndex(0).GetPC() == self.target["caller"]

    # ---- commands ----

    def leave(self, result):
        self.answer(CONTINUE)
        self.leaves = True
        result.SetStatus(lldb.eReturnStatusQuit)

    def move(self, command, args, result):
        if self.target["crashed"]:
            result.SetError("it can't be moved any more: `continue` lets it go its way")
            return
        self.is_moving = True
        self.debugger.SetAsync(False)
        error = self.run((command + " " + args).strip())[1] if self.leave_pause() else ""
        self.debugger.SetAsync(True)
        self.is_moving = False
        if error:
            result.SetError(error.strip())
        else:
            result.AppendMessage(self.status())

    def add_command(self, name, own):
        """lldb finds the functions of commands by name, in modules, and looks at how many arguments they take."""
        function = (lambda _debugger, args, result, _names: self.move(own, args, result)) if own else (
            lambda _debugger, _args, result, _names: self.leave(result))
        setattr(sys.modules["yoke_session"], "do_" + name, function)
        self.run("command unalias " + name)
        self.run("command script add -f yoke_session.do_%s %s" % (name, name))

    def add_commands(self):
        sys.modules["yoke_session"] = types.ModuleType("yoke_session")
        self.run("script import yoke_session")
        for name, own in COMMANDS.items():
            self.add_command(name, own)

    # ---- signals ----

    def end_by_signal(self, modes):
        """The root wants it so, or is gone: nothing is answered. Breakpoints are taken out, if that can be had."""
        detach = threading.Thread(target=self.process.Detach, daemon=True)
        detach.start()
        detach.join(DETACH_SECONDS)
        if os.getppid() != ROOT:
            put_back_after_the_end(modes)
        os._exit(0)

    def hand_on(self, numbers, modes):
        while True:
            number = os.read(numbers, 1)[0]
            if number == signal.SIGINT and self.is_moving:
                self.process.SendAsyncInterrupt()
            elif number == signal.SIGINT:
                self.debugger.DispatchInputInterrupt()
            elif number == signal.SIGWINCH:
                self.debugger.SetTerminalWidth(os.get_terminal_size(0).columns)
            elif number == signal.SIGTERM:
                self.end_by_signal(modes)

    def watch_signals(self):
        numbers, wakeup = os.pipe()
        os.set_blocking(wakeup, False)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # the modes are put back from the background, too
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGWINCH):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        threading.Thread(target=self.hand_on, args=(numbers, termios.tcgetattr(0)), daemon=True).start()

    # ---- its life ----

    def prepare(self):
        self.run("settings set auto-confirm true")
        # Its parent's death is no news of the process that is debugged.
        self.run("process handle SIGCONT -s false -n false -p true")
        self.run('settings set prompt "(yoke: %s) "' % shown("{actor}/{task}".format(**self.target)).translate(
            {ord(c): "?" for c in '"\\\n'}))
        self.add_commands()
        self.select_caller()
        self.say_header()

    def prompt(self):
        """Did the person say `quit`?"""
        self.debugger.SetAsync(True)
        options = lldb.SBCommandInterpreterRunOptions()
        _, quits, _ = self.debugger.RunCommandInterpreter(True, False, options, 0, False, False)
        self.debugger.SetAsync(False)
        return quits and not self.leaves

    def end(self, quits):
        if not self.leaves:
            self.answer(QUIT if quits else CONTINUE)
        self.process.Detach()
        lldb.SBDebugger.Destroy(self.debugger)  # which keeps the history


def debug(target):
    session = Session(target)
    if not session.attach():
        return NO_ATTACH
    session.watch_signals()
    session.prepare()
    session.end(session.prompt())
    return 0


def begin(**target):
    try:
        os._exit(debug(target))
    except BaseException:
        traceback.print_exc()
        os._exit(NO_SCRIPT)
