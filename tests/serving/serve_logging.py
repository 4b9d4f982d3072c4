"""Serves as `turnout serve` does, but what is kept can be read after seconds: serve_logging.py DIRECTORY MODEL PORT"""

from __future__ import annotations

import sys
from pathlib import Path

from turnout.serving.envoy.listener import Listening
from turnout.serving.machine import Serving
from turnout.serving.start import prepare
from turnout.serving.supervisor import Supervisor

directory, model, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
prepare(directory, f"{model}@champion", "")
serving = Serving(directory, Listening(port), workers=1, envoys=1, standby_s=0.0, worker=(("log_flush_s", 3.0),))
Supervisor(serving, lambda line: print(line, flush=True), lambda: print("READY", flush=True)).run()
