"""What the items of a loop are called: a few words for each, so that its iterations can be told apart by a person."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from turnout.spec.step_contract import Artifact

LONGEST = 48
"""Letters that a label may have."""

_DOTTED = re.compile(r"(?:[A-Za-z_]\w*\.)+([A-Za-z_]\w*)", re.ASCII)


def item_labels(items: Sequence[Any]) -> list[str]:
    """A label for each item, in their order; no two are the same.

    A struct is called by the fields that tell it from the others, such as `estimator=lightgbm.LGBMClassifier`; an
    artifact by the end of its URI; anything else by itself. Long ones are cut, and alike ones numbered from 1.
    """
    structs = [item for item in items if isinstance(item, Mapping) and not _is_artifact(item)]
    alike = bool(items) and len(structs) == len(items)
    labels = _of_structs(structs) if alike else [_cut(_text(item)) for item in items]
    seen: set[str] = set()
    found = []
    for number, label in enumerate(labels, 1):
        told = label
        while not told or told in seen:
            told = f"{_cut(label, LONGEST - 8)} #{number}".strip()
            number += len(items)
        seen.add(told)
        found.append(told)
    return found


def _of_structs(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """The first fields by which the items differ, as many as it takes; all of them when they do not."""
    names = list(dict.fromkeys(name for item in items for name in item))
    plain = [name for name in names if not any(isinstance(item.get(name), dict | list) for item in items)]
    used: list[str] = []
    groups = 1
    for name in [name for name in plain or names if len({_key(item.get(name)) for item in items}) > 1]:
        count = len({tuple(_key(item.get(other)) for other in (*used, name)) for item in items})
        if count > groups:
            used.append(name)
            groups = count
        if groups == len(items):
            break
    chosen = used or (plain or names)[:1]
    labels = []
    for item in items:
        values = {_line(name): _text(item[name]) for name in chosen if name in item}
        label = ", ".join(f"{name}={value}" for name, value in values.items())
        if len(label) > LONGEST:
            short = {name: _DOTTED.sub(lambda found: found[1], value) for name, value in values.items()}
            label = ", ".join(f"{name}={value}" for name, value in short.items())
        labels.append(_cut(label))
    return labels


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _is_artifact(value: Any) -> bool:
    return isinstance(value, Artifact) or (isinstance(value, Mapping) and {"name", "type", "uri"} <= value.keys())


def _text(value: Any) -> str:
    """A value on one line."""
    if _is_artifact(value):
        uri = value.uri if isinstance(value, Artifact) else value["uri"]
        value = "/".join(str(uri).rstrip("/").split("/")[-2:])
    if isinstance(value, float):
        value = f"{value:.6g}"
    return _line(value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False))


def _line(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _cut(text: str, limit: int = LONGEST) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
