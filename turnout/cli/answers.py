"""What `check` and `compile` say of sources: as it was kept, where nothing has changed since."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from turnout.recall.answers import Answer, answers

Cache = Annotated[
    bool, typer.Option(help="Use what was found before, for pipelines where nothing that it came from has changed.")
]

_LIBRARIES = (
    "turnout.verbs",
    "turnout.authoring.component",
    "turnout.authoring.pipeline",
    "turnout.tracks.airflow.dag_file",
    "turnout.tracks.kfp",
    "turnout.tracks.local",
    "kfp.kubernetes",
    "kfp.compiler",
    "google.protobuf.descriptor_pb2",
    "cel",
    "croniter",
    "jsonschema",
)
"""What every pipeline needs: loaded once, before each source has a process of its own."""


def answers_of(sources: Sequence[str], verb: str, options: dict[str, Any], cache: bool) -> list[Answer]:
    """What a function of `turnout.verbs` gives for each source, in JSON's types.

    Args:
        verb: the function's name.
        options: its other arguments.
    """
    found = answers(sources, [verb, options], lambda source: _ask(source, verb, options), _prepare, use_kept=cache)
    for source, answer in zip(sources, found, strict=True):
        if answer.doubts:
            more = f", and {len(answer.doubts) - 1} more" if len(answer.doubts) > 1 else ""
            typer.echo(f"note: {source} is compiled each time, because of {answer.doubts[0]}{more}", err=True)
    return found


def _prepare() -> None:
    for module in _LIBRARIES:
        importlib.import_module(module)
    from turnout.spec import document

    document.prepare()


def _ask(source: str, verb: str, options: dict[str, Any]) -> Any:
    from turnout import verbs

    value = getattr(verbs, verb)(source, **options)
    if verb == "compile":
        value = {str(path): text for path, text in value.items()}
    return json.loads(json.dumps(value, default=str))
