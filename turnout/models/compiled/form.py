"""A compiled model's files: what it is, the graph of its estimator, and the proof that both say what the model says."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cattrs
from cattrs.strategies import configure_tagged_union

from turnout.models.compiled.preparation import Block, Preparation
from turnout.models.signature import Column

DIRECTORY = "compiled"
"""Beside the model's own files, and among the artifacts of the MLflow run."""

FORM, GRAPH, PROOF = "form.json", "estimator.onnx", "proof.json"

WHY = "compiled_reason.txt"
"""Beside a fetched model's own files: why there is a compiled form, or none, as the registry says."""

Precision = Literal["exact", "float16", "int8"]
"""Of the numbers in a network's graph; `exact` is the model's own."""

VERSION = 1
"""Of these files; those of another version are not read."""


class NotCompiled(Exception):
    """A model has no compiled form; the message is a part of a sentence that says why."""


@dataclass(frozen=True)
class Output:
    """What the predictions are.

    Attributes:
        classes: of a classifier, in the order of its probabilities; empty for a number.
        kind: Arrow's name of the type of labels, or of the number.
    """

    classes: tuple[Any, ...]
    kind: str


@dataclass(frozen=True)
class Refused:
    """What the model refuses, and the compiled form has to refuse too.

    Attributes:
        missing, infinite: columns whose missing or infinite values are refused; by their places.
        inputs: of what the estimator takes: `nan`, `infinite`, and `large` for what no float can hold.
    """

    missing: tuple[int, ...] = ()
    infinite: tuple[int, ...] = ()
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Form:
    """A compiled model but for its graph.

    Attributes:
        columns: that it takes, as its signature says.
        input, output: the graph's names.
        precision: of the graph's input.
        made_by: what made the graph: `treelite` or `skl2onnx`.
    """

    columns: tuple[Column, ...]
    preparation: Preparation
    output: Output
    refused: Refused
    graph_input: str
    graph_output: str
    precision: str
    made_by: str
    version: int = VERSION


@dataclass(frozen=True)
class Cost:
    """What a form takes: the graph's bytes, and milliseconds for one row and for a batch, on one core."""

    bytes: int
    row_ms: float
    batch_ms: float


@dataclass(frozen=True)
class Reduced:
    """How a form of lower precision was held against the exact one, by the metric of the evaluation.

    Attributes:
        score, exact_score: of the two forms on the same rows; higher is better.
        loss: of the score, in the metric's own unit, with the ends of its 95 % interval.
        unanswered: odd rows that only the exact form has a prediction for.
        calibrated_on: what the ranges of numbers come from; empty where none are needed.
        batch_rows: rows of the batch that was timed.
    """

    precision: str
    metric: str
    score: float
    exact_score: float
    loss: float
    low: float
    high: float
    unanswered: int
    calibrated_on: str
    batch_rows: int
    cost: Cost
    exact_cost: Cost

    def said_loss(self) -> str:
        return f"a loss of {self.loss:+.4f} (95 % interval {self.low:+.4f} to {self.high:+.4f})"


@dataclass(frozen=True)
class Proof:
    """How a compiled form was held against its model.

    Attributes:
        rows: of the evaluation (or of training, as `rows_of` says) that were compared.
        odd_rows: made from these: nulls, unseen categories, extremes.
        refused_rows: of the odd ones, those that the model refuses, and the compiled form too.
        largest_difference: between probabilities; between numbers in shares of the number's size.
        libraries: versions by name.
        digests: SHA-256 of the files, by name.
        reduced: of a form of lower precision, whose differences are those to the exact form.
    """

    rows: int
    rows_of: str
    odd_rows: int
    refused_rows: int
    largest_difference: float
    libraries: dict[str, str]
    digests: dict[str, str]
    reduced: Reduced | None = None

    def sentence(self) -> str:
        if (reduced := self.reduced) is not None:
            cost, exact = reduced.cost, reduced.exact_cost
            left = (
                f"; no prediction for {reduced.unanswered} of {self.odd_rows:,} odd rows" if reduced.unanswered else ""
            )
            slower = "; no faster for one row" if cost.row_ms >= exact.row_ms else ""
            return (
                f"{reduced.precision}, {reduced.metric} {reduced.score:.4f} instead of {reduced.exact_score:.4f} on"
                f" {self.rows:,} rows of {self.rows_of}, {reduced.said_loss()}; {cost.bytes:,} bytes instead of"
                f" {exact.bytes:,}; one row {cost.row_ms:.3f} ms instead of {exact.row_ms:.3f}, {reduced.batch_rows:,}"
                f" rows {cost.batch_ms:.2f} ms instead of {exact.batch_ms:.2f}{slower}{left}"
            )
        return (
            f"the same as the model on {self.rows:,} rows of {self.rows_of} and {self.odd_rows:,} odd ones,"
            f" largest difference {self.largest_difference:.1e}"
        )


_converter = cattrs.Converter()
configure_tagged_union(Block, _converter, tag_name="block")


def write_form(form: Form, graph: bytes, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / FORM).write_text(json.dumps(_converter.unstructure(form), indent=1), encoding="utf-8")
    (directory / GRAPH).write_bytes(graph)


def write_proof(proof: Proof, directory: Path) -> None:
    (directory / PROOF).write_text(json.dumps(dataclasses.asdict(proof), indent=1), encoding="utf-8")


def read_form(directory: Path) -> Form:
    return _converter.structure(json.loads((directory / FORM).read_text(encoding="utf-8")), Form)


def read_proof(directory: Path) -> Proof:
    return _converter.structure(json.loads((directory / PROOF).read_text(encoding="utf-8")), Proof)


def digests(directory: Path) -> dict[str, str]:
    """Of the files that a proof is of."""
    return {name: hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in (FORM, GRAPH)}
