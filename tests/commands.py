"""`turnout` commands, each in a process of its own that is forked from one in which all libraries are loaded.

To load them takes a second and a half of CPU, and tests run hundreds of commands. As a script, this is that process.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

from turnout.runtimes.forkserver import _LIBC, _SET_DEATH_SIGNAL, HEAD, receive_body, run_to_end

TURNOUT = Path(sys.executable).parent / "turnout"
COLUMNS = "200"
TIMEOUT_S = 600


class Commands:
    """Runs commands one at a time, as `turnout` on the command line does."""

    def __init__(self) -> None:
        # What is loaded sees no test's variables.
        self.variables = {**os.environ, "COLUMNS": COLUMNS}
        self.start()

    def start(self) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, __file__, str(theirs.fileno())]
        self.process = subprocess.Popen(command, env=self.variables, pass_fds=[theirs.fileno()])
        theirs.close()
        ours.settimeout(TIMEOUT_S)
        self.control = ours

    def run(self, arguments: list[str], directory: Path, environment: dict[str, str]) -> tuple[int, str, str]:
        """The exit status of a command, and what it has printed to standard output and error."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            if self._at_start(environment) != self._at_start(self.variables):
                given: dict[str, Any] = {"cwd": directory, "env": environment, "timeout": TIMEOUT_S}
                status = subprocess.run([TURNOUT, *arguments], stdout=out, stderr=err, **given).returncode
            else:
                request = {"arguments": arguments, "directory": str(directory), "environment": environment}
                body = json.dumps(request).encode()
                head = len(body).to_bytes(HEAD, "big")
                socket.send_fds(self.control, [head], [out.fileno(), err.fileno()])
                self.control.sendall(body)
                try:
                    status = int(self.control.recv(16))
                except TimeoutError:
                    self.process.kill()  # and the command dies with it
                    self.stop()
                    self.start()
                    raise
            return status, _text(out), _text(err)

    @staticmethod
    def _at_start(environment: dict[str, str]) -> dict[str, str]:
        """The variables that Python itself, or a library, looks at when it is loaded."""
        families = ("KFP", "_KFP", "LANG", "LC_", "PROTOCOL_BUFFERS", "PYTHON", "TZ")
        families += ("FORCE_COLOR", "NO_COLOR", "PY_COLORS", "TERM", "OMP_")
        return {name: value for name, value in environment.items() if name.startswith(families)}

    def stop(self) -> None:
        self.control.close()
        self.process.wait(60)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def serve(control: socket.socket) -> None:
    """Fork a process for each request, until there are no more."""
    while True:
        head, descriptors, _, _ = socket.recv_fds(control, HEAD, 2)
        request = receive_body(control, head)
        if request is None:
            return
        pid = os.fork()
        if pid == 0:
            control.close()
            become(request, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        control.sendall(str(status).encode())


def become(request: dict[str, Any], descriptors: list[int]) -> None:
    """Be the command; never returns."""
    from turnout.cli import main

    _LIBC.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    for target, descriptor in enumerate(descriptors, start=1):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["directory"])
    sys.argv = [str(TURNOUT), *request["arguments"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run_to_end(lambda: main() or 0)  # type: ignore[func-returns-value]


if __name__ == "__main__":
    sys.path[0] = str(TURNOUT.parent)
    import turnout.cli.app  # noqa: F401
    from turnout.cli import answers

    answers._prepare()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's interrupt is the tests' to handle
    serve(socket.socket(fileno=int(sys.argv[1])))
