"""What a step reads and writes, for OpenLineage: its provider asks the operator and sends the answer.

Names of datasets follow OpenLineage's specification: `file` and a path, or `s3://bucket` and a key. A step's outputs
have the names by which the next steps read them, so that lineage runs through all steps of a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow.providers.common.compat.openlineage.facet import (
    Dataset,
    InputDataset,
    OutputDataset,
    OutputStatisticsOutputDatasetFacet,
    SchemaDatasetFacet,
    SchemaDatasetFacetFields,
)
from airflow.providers.openlineage.extractors import OperatorLineage

from turnout.airflow.assets import given_to
from turnout.airflow.run_view import View, setting
from turnout.spec.airflow_facts import Asset, read_step_facts
from turnout.spec.assets import named
from turnout.spec.step_contract import Artifact, Outcome, State, Task

_MOST_COLUMNS = 1000
"""Of a table with more, the first ones: an event is sent over a network."""


def lineage(view: View, task: Task, outcome: Outcome) -> OperatorLineage:
    """The datasets of a step that has ended: its artifacts, and the assets that it reads."""
    directory = setting("directory", required=False)
    inputs = [InputDataset(*_named(item.uri), facets=_schema(item)) for item in _all(task.artifacts)]
    inputs += [InputDataset(*_named(asset.name, directory)) for asset in _read(view, task)]
    outputs: list[Dataset] = []
    # What a step that failed has written is for people to look at: no step ever takes it.
    for item in outcome.artifacts.values() if outcome.state is State.SUCCEEDED else ():
        rows = item.metadata.get("rows")
        counted = {"outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=int(rows))} if rows else {}
        outputs.append(OutputDataset(*_named(item.uri), facets=_schema(item), outputFacets=counted))
    return OperatorLineage(inputs=inputs, outputs=outputs)


def _read(view: View, task: Task) -> Iterator[Asset]:
    """The assets that the component says it reads, by what this run gives it."""
    label = view.step(task.path).executor_label
    facts = read_step_facts(view.plan.document.platform_executor("airflow", label), task.path)
    for asset in facts.reads:
        if known := named(asset, given_to(task)):
            yield known


def _all(artifacts: Mapping[str, tuple[Artifact, ...]]) -> Iterator[Artifact]:
    for items in artifacts.values():
        yield from items


def _named(uri: str, directory: str = "") -> tuple[str, str]:
    """Namespace and name of what is at a path or URI."""
    parts = urlsplit(uri)
    if "://" in uri and parts.scheme != "file":
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", parts.path.lstrip("/") or "/"
    if parts.scheme == "models":  # as MLflow names models of its registry
        return "models", parts.path.lstrip("/")
    path = parts.path if parts.scheme == "file" else uri
    return "file", str(Path(directory, path))


def _schema(artifact: Artifact) -> dict[str, Any]:
    columns = artifact.metadata.get("schema")
    if not isinstance(columns, Mapping):
        return {}
    known = list(columns.items())[:_MOST_COLUMNS]
    fields = [SchemaDatasetFacetFields(name=str(name), type=str(kind)) for name, kind in known]
    return {"schema": SchemaDatasetFacet(fields=fields)}
