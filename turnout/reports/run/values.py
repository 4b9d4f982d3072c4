"""Values as texts, as long as one reads them."""

from __future__ import annotations

import json
from typing import Any

from turnout.spec.step_contract import Artifact


def short(value: Any, limit: int = 300) -> str:
    """A value on one line: a text as it is, an artifact by its URI, anything else as JSON."""
    if isinstance(value, Artifact):
        value = value.uri
    elif isinstance(value, dict) and {"uri", "type", "metadata"} <= value.keys():
        value = value["uri"]
    if isinstance(value, float):
        value = f"{value:.6g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= limit else text[: limit - 1] + "…"
