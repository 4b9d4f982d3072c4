"""Serves small workers from a directory: python serve_small.py DIRECTORY PORT"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from turnout.errors import TurnoutError
from turnout.serving.envoy.listener import Listening
from turnout.serving.machine import Serving
from turnout.serving.state import write_whole
from turnout.serving.supervisor import Supervisor


def command(settings: dict[str, Any], file: Path) -> list[str]:
    write_whole(file, json.dumps(settings))
    return [sys.executable, str(Path(__file__).parent / "small_worker.py"), str(file)]


def say(line: str) -> None:
    print(line, flush=True)


try:
    listening = Listening(int(sys.argv[2]), try_s=1.0, drain_s=3.0)
    Supervisor(
        Serving(Path(sys.argv[1]), listening, standby_s=0.0, log_days=30), say, lambda: say("READY"), command
    ).run()
except TurnoutError as error:
    sys.exit(f"error: {error}")
