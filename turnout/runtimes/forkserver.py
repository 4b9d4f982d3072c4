"""Forks a process for each step from one that has the step's imports loaded already.

Run as a script in the environment of the steps, with the descriptor of a socket. It needs nothing but
Python's standard library, so that it runs in any environment. A request is a JSON object, its length
before it, and a descriptor on which the answers go back, a line each: `{"pid": N}` as soon as a process
has the request, `{"status": N}`; or `{"error": TEXT}` when there can be no process. When nobody waits for
the answers any more, the step is ended.

The requests' keys: `program`, the way to run it (`command`: exec; `turnout`: a component of Turnout;
`outside`: what that looks at; `lightweight`: KFP's own executor on a function's source); `arguments`;
`environment`; `directory`; `log`; `modules` to import before the fork. When the socket closes, or this
process is told to end, it ends all that it started; when it is killed, the steps die with it.

What a step's own processes leave behind comes to the step, also from sessions of their own, and with its end to this
process. So whatever is here and was not forked here is of a step that has ended, and is ended too.
"""

import argparse
import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import random
import resource
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

Request = dict[str, Any]


_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGCHLD}
_SET_DEATH_SIGNAL, _SET_NAME, _SET_SUBREAPER = 1, 15, 36  # of prctl(2)
_LIBC = ctypes.CDLL(None)
_PATIENCE_S = 5.0
_GRACE_S = 0.1
HEAD = 8
"""Bytes of a request's length."""

_PAUSE_MS = 2
"""How long a process that was given a request has the cores for itself, before the next one is forked."""


class Server:
    """Hands each request to a process that it forked before, and forks the next one when that is at work."""

    def __init__(self, control: socket.socket):
        self.control = control
        self.pid = os.getpid()
        self.children: dict[int, socket.socket] = {}
        self.abandoned: dict[int, float] = {}
        self.lasting: set[int] = set()
        self.modules: set[str] = set()
        self.asked = False
        self.spare: tuple[int, socket.socket] | None = None
        wakeup, self.signalled = socket.socketpair()
        wakeup.setblocking(False)
        self.signalled.setblocking(False)
        self.wakeup = wakeup
        signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's interrupt is the runner's to handle
        signal.signal(signal.SIGTERM, lambda *_: self.close())
        self.files = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.files[1], self.files[1]))  # each step at work has one here
        _LIBC.prctl(_SET_SUBREAPER, 1)
        self.poll = select.poll()
        for item in (control, self.signalled):
            self.poll.register(item, select.POLLIN)

    def serve(self) -> None:
        while True:
            readable = {descriptor for descriptor, _ in self.poll.poll(self.pause())}
            if not readable:
                self.rest()
            if self.signalled.fileno() in readable:
                with contextlib.suppress(BlockingIOError):
                    self.signalled.recv(4096)
                self.reap()
            for pid, answers in [*self.children.items()] if readable else ():
                if answers.fileno() in readable:  # nobody waits for the step any more
                    self.poll.unregister(answers)
                    self.abandoned[pid] = time.monotonic() + _GRACE_S
            self.end_abandoned()
            if self.control.fileno() in readable:
                self.take()

    def pause(self) -> float | None:
        """Milliseconds to wait for something to do; None: until there is something."""
        # A fork holds up the process that was just given a request, so the next one comes a little later.
        if self.asked and self.spare is None:
            return _PAUSE_MS
        return _GRACE_S * 1000 if self.abandoned else None

    def rest(self) -> None:
        """Prepare for the next request, while there is none."""
        if self.asked and self.spare is None:
            with contextlib.suppress(OSError):
                self.spare = self.fork()

    def end_abandoned(self) -> None:
        """End steps for which nobody waits; those that have told their end themselves are about to."""
        for pid, deadline in self.abandoned.items():
            if time.monotonic() > deadline:
                end_group(pid)

    def take(self) -> None:
        """Take a request, or the end of them."""
        received = receive(self.control)
        if received is None:
            self.close()
        else:
            self.start(*received)

    def start(self, request: Request, answers: socket.socket) -> int | None:
        """The process that has a request; None when there can be none."""
        self.asked = True
        new = [module for module in request["modules"] if module not in self.modules]
        if new:
            self.load(new)
        try:
            return self.hand_over(request, answers)
        except OSError as error:  # no more processes, or no memory for one
            answer(answers, {"error": f"a process for the step cannot be started: {error.strerror}"})
            answers.close()
            return None

    def load(self, new: list[str]) -> None:
        """Import modules, for the processes that are forked from now on."""
        self.discard()
        self.modules.update(new)
        light = dict(LIGHT)
        for module in new:
            load(module)
        for module in self.modules if light != LIGHT else ():
            load(module)
        argparse.ArgumentParser().parse_args([])  # its first use loads and compiles for milliseconds
        gc.collect()
        gc.freeze()  # a step's collections then leave alone, and unshared, what was loaded here

    def hand_over(self, request: Request, answers: socket.socket) -> int:
        """Give a request to a process that waits for one. One that was lost while it waited has a successor."""
        while True:
            pid, socket_to_it = self.spare or self.fork()
            self.spare = None
            with socket_to_it, contextlib.suppress(ConnectionError):
                send(socket_to_it, request, answers)
                self.children[pid] = answers
                self.poll.register(answers, select.POLLRDHUP)
                return pid

    def fork(self) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        # No signal may find the new process with the handlers of this one.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            _LIBC.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
            if os.getppid() != self.pid:
                os._exit(1)
            _LIBC.prctl(_SET_SUBREAPER, 1)
            resource.setrlimit(resource.RLIMIT_NOFILE, self.files)
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
        # A group of its own, made here and there: whoever is first, it exists when its number is told.
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(pid, pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        if pid == 0:
            for item in (self.control, self.signalled, self.wakeup, ours, *self.children.values()):
                item.close()
            received = receive(theirs)
            if received is None:
                os._exit(0)
            child(*received)
        theirs.close()
        return pid, ours

    def discard(self) -> None:
        """End the spare process, which lacks what is about to be loaded."""
        if self.spare is not None:
            pid, socket_to_it = self.spare
            socket_to_it.close()
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self.spare = None

    def reap(self) -> None:
        """Tell how processes ended: those that did not come to tell it themselves."""
        ended = []
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                ended.append(found)
        if self.spare is not None and self.spare[0] in dict(ended):
            self.spare[1].close()
            self.spare = None
        steps = [(pid, status) for pid, status in ended if pid in self.children]
        for pid, _ in steps:
            end_group(pid)
        if steps:
            self.end_leftovers()
        for pid, status in steps:
            self.ended(pid, os.waitstatus_to_exitcode(status))

    def ended(self, pid: int, status: int) -> None:
        answers = self.children.pop(pid)
        if not self.abandoned.pop(pid, None):
            self.poll.unregister(answers)
        answer(answers, {"status": status})
        answers.close()

    def end_leftovers(self) -> None:
        """End what ended steps have left; as something ends, what it had started comes here."""
        deadline = time.monotonic() + _PATIENCE_S
        while left := children() - self.children.keys() - self.lasting - ({self.spare[0]} if self.spare else set()):
            if time.monotonic() > deadline:  # another user's, or it waits for a disk: nobody else shall wait for it
                self.lasting |= left
                return
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            time.sleep(0.001)

    def close(self) -> None:
        self.discard()
        for pid in self.children:
            end_group(pid)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        os._exit(0)


def end_group(pid: int) -> None:
    """End the processes of a step. Its own was not waited for yet, so that its number is still its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def send(control: socket.socket, request: Request, answers: socket.socket) -> None:
    body = json.dumps(request).encode()
    socket.send_fds(control, [len(body).to_bytes(HEAD, "big")], [answers.fileno()])
    control.sendall(body)


def receive(control: socket.socket) -> tuple[Request, socket.socket] | None:
    """A request and the socket for the answers; None when there will be no more."""
    try:
        head, descriptors, _, _ = socket.recv_fds(control, HEAD, 1)
    except ConnectionError:
        return None
    request = receive_body(control, head)
    return (request, socket.socket(fileno=descriptors[0])) if descriptors and request is not None else None


def receive_body(control: socket.socket, head: bytes) -> Request | None:
    """The rest of a request; None when it breaks off.

    Args:
        head: its length.
    """
    if len(head) < HEAD:
        return None
    length, chunks = int.from_bytes(head, "big"), []
    while length:
        chunk = control.recv(min(length, 1 << 20))
        if not chunk:
            return None
        chunks.append(chunk)
        length -= len(chunk)
    request: Request = json.loads(b"".join(chunks))
    return request


def answer(answers: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # nobody waits for it any more
        answers.sendall(json.dumps(message).encode() + b"\n")


def children() -> set[int]:
    """The processes whose parent is this one; those that have ended but were not waited for are among them."""
    found: set[int] = set()
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found.update(map(int, (thread / "children").read_text().split()))
    return found


KFP_RUNTIME = "_KFP_RUNTIME"
"""KFP's own switch: when true it loads what a running step needs, and no compiler."""

LIGHT = {KFP_RUNTIME: "true"}


def load(module: str) -> None:
    """Import a module; one that cannot be imported says so in the step that needs it."""
    before = os.environ.copy()
    os.environ.update(LIGHT)
    try:
        with Path(os.devnull).open("w") as quiet, contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            try:
                importlib.import_module(module)
            except (AttributeError, ImportError) as error:
                from turnout.execution.executor import wants_all_of_kfp

                if not wants_all_of_kfp(error) or LIGHT[KFP_RUNTIME] != "true":
                    raise
                # A module that defines KFP pipelines too: from now on, with all of KFP.
                os.environ[KFP_RUNTIME] = LIGHT[KFP_RUNTIME] = "false"
                forget("kfp", "turnout", module.partition(".")[0])
                importlib.import_module(module)
    except BaseException:
        forget(module)
    os.environ.clear()
    os.environ.update(before)


def forget(*packages: str) -> None:
    """Leave packages to be imported anew."""
    for name in list(sys.modules):
        if any(name == package or name.startswith(f"{package}.") for package in packages):
            del sys.modules[name]


def child(request: Request, answers: socket.socket) -> NoReturn:
    """Become the step; never returns."""

    def told(status: int) -> None:
        if not children():  # or else the server ends them first, and tells then
            answer(answers, {"status": status})

    answer(answers, {"pid": os.getpid()})
    run_to_end(lambda: become(request, answers), told)


def become(request: Request, answers: socket.socket) -> int:
    """Run a request's program in this process; its exit status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(log)
    os.close(nothing)
    os.environ.clear()
    os.environ.update(request["environment"] | (LIGHT if request["program"] == "turnout" else {}))
    os.chdir(request["directory"])
    answers.set_inheritable(False)
    if request["program"] == "command":
        os.execve(request["arguments"][0], request["arguments"], os.environ)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    # Siblings must not draw the same numbers. Python's own generator sees to itself.
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    return PROGRAMS[request["program"]](request["arguments"])


def run_to_end(program: Callable[[], int], told: Callable[[int], object] = lambda status: None) -> NoReturn:
    """Run a program, and end this process with its exit status as Python would, but for the libraries' destructors.

    Threads are waited for, and functions registered for the exit are called. In the destructors that follow, Arrow's
    pools of threads abort now and then (apache/arrow issue 34314): a step that has done its work would have failed.

    Args:
        told: called with the exit status, as the last thing.
    """
    status = 1
    try:
        status = program()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            ctypes.CDLL(None).fflush(None)  # what libraries in C have printed
            told(status)
        finally:
            os._exit(status)


def turnout(arguments: list[str]) -> int:
    """A component of Turnout: the arguments of `turnout exec`."""
    from turnout.execution.executor import main

    _LIBC.prctl(_SET_NAME, arguments[0].rpartition(":")[2].encode())  # for `ps` and `top`, its first 15 bytes
    sys.argv = ["turnout", "exec", *arguments]
    sys.orig_argv = [sys.executable, "-c", "from turnout.cli import main; main()", "exec", *arguments]
    return main(arguments)


def lightweight(arguments: list[str]) -> int:
    """A function's source, then the arguments of KFP's executor."""
    source, *rest = arguments
    with tempfile.TemporaryDirectory(prefix="turnout-") as directory:
        path = Path(directory, "ephemeral_component.py")
        path.write_text(source, encoding="utf-8")
        os.environ[KFP_RUNTIME] = "true"
        sys.dont_write_bytecode = True  # of a file that is gone when the step ends
        sys.argv = ["kfp", "--component_module_path", str(path), *rest]
        from kfp.dsl.executor_main import executor_main

        executor_main()
    return 0


def outside(arguments: list[str]) -> int:
    """The state of what a component looks at: its `outside` function, parameters as JSON, a file for the answer."""
    from turnout.execution.executor import describe_outside

    return describe_outside(arguments)


PROGRAMS = {"turnout": turnout, "lightweight": lightweight, "outside": outside}

if __name__ == "__main__":
    sys.path[0] = str(Path.cwd())  # not the directory of this file
    Server(socket.socket(fileno=int(sys.argv[1]))).serve()
