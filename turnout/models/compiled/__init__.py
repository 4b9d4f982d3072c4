"""Models as arrays and an ONNX graph, proved against the original: fast for one row, and loaded without pickle.

`register` compiles a model (`keeping`), and `open_scorer` opens whatever form of it may be used. Nothing is loaded
before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turnout.models.compiled.opening import open_scorer

__all__ = ["open_scorer"]


def __getattr__(name: str) -> Any:
    if name == "open_scorer":
        from turnout.models.compiled.opening import open_scorer

        return open_scorer
    raise AttributeError(f"module 'turnout.models.compiled' has no attribute '{name}'")
