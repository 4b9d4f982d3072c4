"""Models: how they are made, judged, logged and found again. `log` is for train steps of your own.

Nothing is loaded before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turnout.models.contract import log

__all__ = ["log"]


def __getattr__(name: str) -> Any:
    if name == "log":
        from turnout.models.contract import log

        return log
    raise AttributeError(f"module 'turnout.models' has no attribute '{name}'")
