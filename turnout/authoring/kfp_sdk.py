"""Texts in conditions: KFP's SDK writes them into CEL without escaping them (kfp 2.17).

`dsl.If(x == "it's")` gives an expression that cannot be read, `dsl.If(x == "C:\\new")` one with a line end in it.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r"})


def escape_texts() -> None:
    """Let KFP's compiler escape the texts that are compared with; once is enough."""
    from kfp.compiler import pipeline_spec_builder as builder

    original = builder._single_binary_operation_to_cel_condition
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def with_escapes(operation: Any) -> str:
        escaped = {
            side: value.translate(_ESCAPES)
            for side in ("left_operand", "right_operand")
            if isinstance(value := getattr(operation, side), str)
        }
        result: str = original(dataclasses.replace(operation, **escaped))
        return result

    builder._single_binary_operation_to_cel_condition = with_escapes
