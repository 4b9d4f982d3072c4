"""What a launcher asks of a runtime: run a step's command, and end it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol


class Runtime(Protocol):
    """Runs one command at a time; another thread, or a signal handler, may cancel it."""

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        on_line: Callable[[str], None],
        timeout: float | None = None,
    ) -> int:
        """Run a command to its end.

        Args:
            environment: variables beside those of this process.
            log: file that receives all the command prints.
            on_line: called with each line, soon after it came.
            timeout: seconds after which the command is ended.

        Returns:
            Its exit status; negative when a signal ended it.

        Raises:
            StepError: the command does not exist here, took too long, or was cancelled.
        """

    def cancel(self, grace: float = 5.0) -> None:
        """End the command and all it started: SIGTERM, and SIGKILL after `grace` seconds."""
