"""`turnout`: run, compile and check pipelines; and the executor of steps.

Results go to standard output, everything else to standard error. Exit status: 0 done, 1 the pipeline,
its run or its check failed, 2 the command was not understood, 130 interrupted.
"""

from __future__ import annotations

from turnout.cli.app import app

__all__ = ["app"]
