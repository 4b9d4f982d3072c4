"""A compiled model's files: what it is, the graph of its estimator, and the proof that both say what the model says."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cattrs
from cattrs.strategies import configure_tagged_union

from turnout.models.compiled.preparation import Block, Preparation
from turnout.models.signature import Column

DIRECTORY = "compiled"
"""Beside the model's own files, and among the artifacts of the MLflow run."""

FORM, GRAPH, PROOF = "form.json", "estimator.onnx", "proof.json"

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
class Proof:
    """How a compiled form was held against its model.

    Attributes:
        rows: of the evaluation (or of training, as `rows_of` says) that were compared.
        odd_rows: made from these: nulls, unseen categories, extremes.
        refused_rows: of the odd ones, those that the model refuses, and the compiled form too.
        largest_difference: between probabilities; between numbers in shares of the number's size.
        libraries: versions by name.
        digests: SHA-256 of the files, by name.
    """

    rows: int
    rows_of: str
    odd_rows: int
    refused_rows: int
    largest_difference: float
    libraries: dict[str, str]
    digests: dict[str, str]

    def sentence(self) -> str:
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
