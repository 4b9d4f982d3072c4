"""Which line of the user's own code an error comes from, and not of a library that it calls."""

from __future__ import annotations

import os
import sysconfig
import traceback
from pathlib import Path

_TURNOUT = str(Path(__file__).parents[1]) + os.sep
_CATALOGUE = tuple(f"{_TURNOUT}{name}{os.sep}" for name in ("components", "pipelines"))


def own_line(error: BaseException) -> traceback.FrameSummary | None:
    """The innermost line that is neither a library's nor Turnout's; None when there is none.

    The catalogue's components and pipelines are code as users write it.
    """
    frames = traceback.extract_tb(error.__traceback__)
    libraries = tuple(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "purelib", "platlib"))

    def own(name: str) -> bool:
        return name.startswith(_CATALOGUE) or not name.startswith((*libraries, _TURNOUT, "<"))

    return next((frame for frame in reversed(frames) if own(frame.filename)), None)
