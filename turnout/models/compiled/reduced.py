"""Forms of networks in lower precision, held against the exact form by the metric of the evaluation."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from turnout.errors import ComponentError
from turnout.models.compiled import preparation
from turnout.models.compiled.form import (
    GRAPH,
    Cost,
    NotCompiled,
    Proof,
    Reduced,
    digests,
    read_form,
    write_proof,
)
from turnout.models.compiled.graph import float_graph
from turnout.models.compiled.judged import Judged
from turnout.models.compiled.making import batch_of, odd_batch, written
from turnout.models.compiled.networks import is_network
from turnout.models.compiled.proof import answers, facts
from turnout.models.compiled.quantized import lower
from turnout.models.compiled.quiet import without_warnings
from turnout.models.compiled.reading import read
from turnout.models.compiled.scorer import CompiledScorer
from turnout.models.files import load
from turnout.models.scoring import Predictions, difference, score

FEWEST_ROWS = 50
"""With labels, below which an interval says little."""

_CALIBRATION_ROWS = 1_000
_TIMED_ROWS = 1_000
_SINGLE_ROWS = 100

_ALONE = {"float16": 2e-3, "int8": 1e-6}
"""How far a row by itself may be from the same row in a batch; FP16 has steps of 0.001 of a number's size."""


def require_network(directory: str | Path, precision: str) -> None:
    """Refuse to make a form of lower precision of what is no network.

    Args:
        directory: the model's files.

    Raises:
        ComponentError: it is no network.
    """
    model = load(directory)[1]
    if is_network(model):
        return
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    hint = "leave precision at exact: trees and linear models are compiled in the precision that they were trained in"
    what = f"{precision} is for networks, and the model is a {type(last).__name__}"
    raise ComponentError(what, where="precision", available=["exact"], hint=hint)


@without_warnings()  # of what odd rows do to numbers
def reduce_model(
    model_directory: str | Path,
    exact_directory: Path,
    precision: str,
    judged: Judged,
    training: pd.DataFrame | None,
    target: Path,
) -> Proof:
    """Make a form of lower precision, and hold it against the exact one on rows of the evaluation and on odd ones.

    Args:
        model_directory: the model's files, in MLflow's format.
        exact_directory: the exact form's files, which were proved.
        precision: `float16` or `int8`.
        judged: rows of the evaluation with their labels.
        training: rows of the training, from which `int8` has its ranges; without them it is the first half of the
            evaluation's, and the second half judges.
        target: directory for the form.

    Raises:
        NotCompiled: there is none that answers as the exact one does.
    """
    if judged.labels is None:
        raise NotCompiled("no labels were kept to judge it by: evaluate the model before it is registered")
    exact, form = CompiledScorer(exact_directory), read_form(exact_directory)
    inputs, labels, ranges, ranges_of = judged.inputs, judged.labels, judged.inputs.head(0), ""
    if precision == "int8" and training is not None and len(training) and set(exact.names) <= set(training.columns):
        ranges, ranges_of = training, "the training"
    elif precision == "int8":
        half = len(inputs) // 2
        ranges, ranges_of = inputs.head(half), "the evaluation"
        inputs, labels = inputs.iloc[half:], labels.iloc[half:]
    if len(labels) < FEWEST_ROWS:
        raise NotCompiled(f"{len(labels)} rows of the evaluation say too little of it, {FEWEST_ROWS} are needed")
    batch = batch_of(inputs, exact.columns)
    graph = float_graph(read(load(model_directory)[1], exact.columns).rest, form.preparation.width)
    made = lower(graph, precision, _prepared(form.preparation, exact, ranges))
    form = dataclasses.replace(
        form, graph_input=graph.input, graph_output=graph.output, precision="float",
        made_by=f"{graph.made_by}, then onnxruntime to {precision}",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        ours = written(form, made, place)
        found, expected = _values(ours, batch), _values(exact, batch)
        _same_alone(ours, batch, found, _ALONE[precision])
        odd = odd_batch(batch, exact.columns)
        refused, unanswered = _refused(exact, ours, odd)
        lost = difference(judged.metric, labels, expected, found)
        cost, exact_cost, timed = _costs(place, ours, exact_directory, exact, batch)
        reduced = Reduced(
            precision=precision, metric=judged.metric, score=score(judged.metric, labels, found),
            exact_score=score(judged.metric, labels, expected), loss=lost.value, low=lost.low, high=lost.high,
            unanswered=unanswered, calibrated_on=ranges_of, batch_rows=timed, cost=cost, exact_cost=exact_cost,
        )  # fmt: skip
        apart = float(np.abs(_relative(found, expected)).max())
        proof = facts(batch.num_rows, "the evaluation", odd.num_rows, refused, apart, digests(place))
        proof = dataclasses.replace(proof, reduced=reduced)
        write_proof(proof, place)
        shutil.copytree(place, target, dirs_exist_ok=True)
    return proof


def within(reduced: Reduced, maximum_loss: float) -> str:
    """Why a form loses too much of the metric; empty where it does not."""
    if reduced.high <= maximum_loss:  # not a number is not
        return ""
    return (
        f"{reduced.metric} has {reduced.said_loss()} in {reduced.precision}, and the interval has to end at"
        f" {maximum_loss:g} or below"
    )


def _prepared(prepared: preparation.Preparation, exact: CompiledScorer, rows: pd.DataFrame) -> np.ndarray:
    """What the estimator takes of rows that it can take."""
    if not len(rows):
        return np.empty((0, prepared.width))
    chosen = rows.sample(min(len(rows), _CALIBRATION_ROWS), random_state=0)
    batch = batch_of(chosen, exact.columns)
    good, _ = answers(exact, batch)
    arrays = [column.cast(batch[column.name]) for column in exact.columns]
    inputs: np.ndarray = preparation.of_rows(prepared, exact.names)(arrays)[good]
    return inputs


def _values(scorer: CompiledScorer, batch: pa.RecordBatch) -> Predictions:
    """A form's predictions, as metrics take them. Raises NotCompiled where there are none for a row."""
    good, found = answers(scorer, batch)
    if not good.all():
        raise NotCompiled(f"it has no prediction for {int((~good).sum())} rows of the evaluation")
    if not scorer.classes:
        return Predictions(found["prediction"].to_numpy(zero_copy_only=False).astype(float))
    if len(scorer.classes) == 2:
        return Predictions(found["probability"].to_numpy(zero_copy_only=False), scorer.classes)
    chances = found["probabilities"].items.to_numpy(zero_copy_only=False)
    return Predictions(chances.reshape(-1, len(scorer.classes)), scorer.classes)


def _relative(found: Predictions, expected: Predictions) -> np.ndarray:
    """Differences of probabilities; of numbers in shares of their size, or of the median size where that is more."""
    size: Any = 1.0
    if not expected.classes:
        size = np.maximum(np.abs(expected.values), np.median(np.abs(expected.values)))
        size = np.where(size > 0, size, 1.0)
    return np.asarray((found.values - expected.values) / size)


def _same_alone(scorer: CompiledScorer, batch: pa.RecordBatch, found: Predictions, tolerance: float) -> None:
    """Hold rows by themselves against the same rows in a batch."""
    some = [Predictions(found.values[:_SINGLE_ROWS], found.classes)]
    parts = [_values(scorer, batch.slice(index, 1)).values for index in range(min(_SINGLE_ROWS, batch.num_rows))]
    worst = float(np.abs(_relative(Predictions(np.concatenate(parts), found.classes), some[0])).max())
    if worst > tolerance:
        raise NotCompiled(f"a row by itself has another prediction than in a batch, by {worst:.1e}")


def _refused(exact: CompiledScorer, ours: CompiledScorer, odd: pa.RecordBatch) -> tuple[int, int]:
    """How many odd rows the exact form refuses, and for how many others the reduced one has no prediction."""
    good, _ = answers(exact, odd)
    answered, _ = answers(ours, odd)
    if (answered & ~good).any():
        raise NotCompiled("the model refuses an odd row, and the form of lower precision does not")
    return int((~good).sum()), int((good & ~answered).sum())


def _costs(
    place: Path, ours: CompiledScorer, exact_place: Path, exact: CompiledScorer, batch: pa.RecordBatch
) -> tuple[Cost, Cost, int]:
    """What both forms take, timed in turn; and the rows of the batch."""
    part = batch.slice(0, _TIMED_ROWS)
    values = [column.cast(part[column.name])[0].as_py() for column in exact.columns]
    both = (ours, exact)
    rows = _median_ms([lambda one=one: one.row(values) for one in both], 200)  # type: ignore[misc]
    batches = _median_ms([lambda one=one: one(part) for one in both], 10)  # type: ignore[misc]
    sizes = [(directory / GRAPH).stat().st_size for directory in (place, exact_place)]
    costs = [Cost(*found) for found in zip(sizes, rows, batches, strict=True)]
    return costs[0], costs[1], part.num_rows


def _median_ms(calls: list[Callable[[], Any]], times: int) -> list[float]:
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(times):
        for call, kept in zip(calls, taken, strict=True):
            started = time.perf_counter()
            call()
            kept.append(1000 * (time.perf_counter() - started))
    return [float(np.median(kept)) for kept in taken]
