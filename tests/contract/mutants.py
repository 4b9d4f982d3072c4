"""Pipelines with small faults in them: compiled YAML files of this project, each changed at random in a place or two.

    python mutants.py DIRECTORY COUNT [SEED]

writes COUNT of them that `check` passes for Airflow to DIRECTORY, as DAG files with their YAML.
"""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from turnout import verbs
from turnout.authoring.source import load
from turnout.errors import TurnoutError
from turnout.spec.document import Document, read, write

PROJECT = Path(__file__).parents[2]
SHAPES = (
    "branches", "nested_loops", "exit_after_failure", "in_spite_of_failure", "templates", "loop_over_a_field",
    "odd_outputs", "texts_in_conditions",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, "", " ", "x", "it's", "a\nb", "{{$}}", "{{$.inputs.parameters['x']}}", "ä" * 300, "NaN", "../x", "60s",
    -1, 0, 1, 1.5, 2**60, float("nan"), True, [], {}, [None], {"": ""}, {"constant": 3},
)  # fmt: skip


def originals() -> list[list[Any]]:
    """The documents of pipelines that are right, as YAML holds them."""
    sources = [f"{PROJECT}/tests/contract/shapes.py:{shape}" for shape in SHAPES]
    sources += [f"{PROJECT}/tests/examples/demanding.py:demanding", f"{PROJECT}/tests/examples/scheduled.py:nightly"]
    texts = [write(load(source)) for source in sources]
    texts += [path.read_text(encoding="utf-8") for path in sorted((PROJECT / "dags").glob("*.yaml"))]
    return [list(yaml.load_all(text, Loader=yaml.CSafeLoader)) for text in texts]


def mutants(count: int, seed: int = 0) -> Iterator[str]:
    """Texts of pipeline files, the same for the same seed."""
    chance = random.Random(seed)
    whole = originals()
    for _ in range(count):
        documents = copy.deepcopy(chance.choice(whole))
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            _change(documents, chance)
        text = yaml.dump_all(documents, Dumper=yaml.CSafeDumper, allow_unicode=True)
        yield _cut(text, chance) if chance.random() < 0.1 else text


def _change(documents: list[Any], chance: random.Random) -> None:
    """Change one place: a key or a value, taken out, twice, under another name, or another one instead."""
    places = [(holder, key) for holder in _holders(documents) for key in _keys(holder)]
    holder, key = chance.choice(places)
    other, other_key = chance.choice(places)
    match chance.randrange(6):
        case 0:
            del holder[key]
        case 1:
            holder[key] = copy.deepcopy(chance.choice(VALUES))
        case 2:
            holder[key] = copy.deepcopy(other[other_key])
        case 3 if isinstance(holder, dict):
            holder[str(key) + chance.choice(("x", " ", ".", "-2", "/../y"))] = holder.pop(key)
        case 4 if isinstance(holder, dict):
            holder[str(other_key)] = copy.deepcopy(holder[key])
        case _ if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))


def _holders(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list) and value:
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from _holders(item)


def _keys(holder: Any) -> list[Any]:
    return list(holder) if isinstance(holder, dict) else list(range(len(holder)))


def _cut(text: str, chance: random.Random) -> str:
    """The text with some characters of it gone, or with others."""
    start = chance.randrange(len(text))
    end = min(len(text), start + chance.choice((1, 1, 5, len(text))))
    return text[:start] + chance.choice(("", ":", "&a *a", "\t", "'", "\0")) + text[end:]


def passed(text: str) -> Document | None:
    """The document, if `check` says that it runs on Airflow; errors that are not Turnout's are crashes."""
    try:
        document = read(text)
        faults = verbs.check(document)["faults"]
    except TurnoutError:
        return None
    return None if any(fault["track"] in (None, "airflow") for fault in faults) else document


def main(directory: Path, count: int, seed: int = 0) -> None:
    found = 0
    for text in mutants(100 * count, seed):
        document = passed(text)
        if document is None:
            continue
        files = verbs.compile(document)
        for name, content in files.items():
            path = directory / str(found) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        found += 1
        if found == count:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
