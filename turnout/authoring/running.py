"""What `@pipeline` is inside a running step, whose component stands beside a pipeline.

No pipeline is made there, and nothing is loaded that only making one needs: that keeps the start of a step short.
"""

from __future__ import annotations

from typing import Any


def pipeline(function: Any = None, **_: Any) -> Any:
    """Leave the function as it is."""
    return function if function is not None else lambda function: function
