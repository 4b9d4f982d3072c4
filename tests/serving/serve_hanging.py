"""Serves a compiled model that hangs on the number 13, in the server's own thread: serve_hanging.py DIRECTORY PORT

With one argument it is a worker. What is not asked for here is as `turnout serve` has it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from turnout.serving import workers
from turnout.serving.envoy.listener import Listening
from turnout.serving.machine import Serving, worker_command
from turnout.serving.model import ServedModel
from turnout.serving.supervisor import Supervisor
from turnout.serving.worker import main


def hang_on_13(numbers: list[Any]) -> None:
    while 13 in numbers:
        time.sleep(1)


class Hanging(ServedModel):
    def row(self, values: Sequence[Any]) -> dict[str, Any]:
        hang_on_13(list(values))
        return super().row(values)

    def table(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        hang_on_13(batch.column(0).to_pylist())
        return super().table(batch)


def command(settings: dict[str, Any], file: Path) -> list[str]:
    return [*worker_command(settings, file)[:1], __file__, str(file)]


if len(sys.argv) == 2:
    import turnout.serving.worker

    turnout.serving.worker.ServedModel = Hanging  # type: ignore[misc]
    sys.exit(main(sys.argv[1]))
workers._HANGS_S = 4.0
told = (("inline_ms", 1000.0), ("time_out_s", 0.5))
serving = Serving(Path(sys.argv[1]), Listening(int(sys.argv[2]), try_s=1.5, drain_s=3.0), standby_s=0.0, worker=told)
Supervisor(serving, lambda line: print(line, flush=True), command=command).run()
