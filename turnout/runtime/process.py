"""The process runtime: a step's command as a process group of this machine, in a chosen environment."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from turnout.errors import Fault, StepError


class ProcessRuntime:
    """Runs one command at a time; another thread, or a signal handler, may cancel it.

    Args:
        python: the interpreter of the environment to run in. Its directory comes first on the PATH, so
            that `turnout`, `python3` and the environment's other commands are that environment's.
        directory: the working directory of the command; this process's when None.
    """

    def __init__(self, python: str = sys.executable, directory: str | None = None):
        if not Path(python).is_file():
            hint = "name an existing python3, such as .venv/bin/python"
            raise StepError(
                str(Fault("the interpreter of the components' environment does not exist", python, (), hint))
            )
        # Not resolved: a virtual environment's interpreter is a link, and its place is the environment.
        self.python = Path(python).absolute()
        self.directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = threading.Event()

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path, on_line: Callable[[str], None]
    ) -> int:
        """Run a command to its end.

        Args:
            environment: variables beside those of this process.
            log: file that receives all the command prints.
            on_line: called with each line, as it comes.

        Returns:
            Its exit status; negative when a signal ended it.

        Raises:
            StepError: the command does not exist here.
        """
        variables = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        variables["PATH"] = f"{self.python.parent}{os.pathsep}{variables.get('PATH', os.defpath)}"
        try:
            process = subprocess.Popen(
                self._located(command, variables["PATH"]),
                env=variables,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            hint = f"install it into the environment of {self.python}"
            raise StepError(str(Fault(f"the command cannot be run: {error.strerror}", command[0], (), hint))) from error
        self._process = process
        assert process.stdout is not None
        if self._cancelled.is_set():
            self.cancel()
        try:
            with process.stdout, log.open("wb") as file:
                for line in process.stdout:
                    file.write(line)
                    file.flush()
                    on_line(line.decode(errors="replace").rstrip("\n"))
            return process.wait()
        finally:
            self._end(process, grace=0)
            self._process = None

    def cancel(self, grace: float = 5.0) -> None:
        """End the command and all it started: SIGTERM, and SIGKILL after `grace` seconds."""
        self._cancelled.set()
        if self._process is not None:
            self._end(self._process, grace)

    @staticmethod
    def _located(command: Sequence[str], path: str) -> list[str]:
        return [shutil.which(command[0], path=path) or command[0], *command[1:]]

    @staticmethod
    def _end(process: subprocess.Popen[bytes], grace: float) -> None:
        """Nothing of a step outlives it, also not what it left in the background."""
        try:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=grace)
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
