"""What can be said of a model on rows that it did not learn from, with their labels or without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from turnout.data.tables import require
from turnout.errors import ComponentError
from turnout.models.files import load_estimator
from turnout.models.metrics import chance_of_truth, said
from turnout.models.scoring import Predictions, predictions
from turnout.models.signature import columns_of
from turnout.models.target import plain_target
from turnout.monitoring.checks.calibration import calibration_drift, reliability
from turnout.monitoring.checks.concept import BINARY, Detector, concept_drift
from turnout.monitoring.checks.fairness import check_groups, group_differences
from turnout.monitoring.checks.performance import estimate, held_against, measure
from turnout.monitoring.findings import Finding
from turnout.monitoring.reference import Reference


def model_findings(
    reference: Reference,
    rows: pd.DataFrame,
    metric: str,
    target: str,
    timestamp: str = "",
    concept: Detector | Literal[""] = "",
    groups: Sequence[str] = (),
    blocks: float = 1,
) -> list[Finding]:
    """Findings of a model's performance, calibration, errors in the course of time, and groups.

    Where no row has a label, the performance is estimated, and there is nothing to say of calibration and errors.

    Args:
        rows: with the model's columns; those that have the target are looked at where some have it.
        metric: by which `evaluate` judged the model.
        target: column with the labels.
        timestamp: column by which errors are put in order.
        concept: the detector for errors in the course of time; none when empty.
        groups: columns whose values are groups that should be treated alike.
        blocks: in which the rows come, such as days.

    Raises:
        ComponentError: the model cannot be loaded, was not judged by that metric, or a column is missing.
    """
    if reference.version is None or reference.scores is None:
        hint = "evaluate judges a model, and keeps what is needed here"
        raise ComponentError("the model's scores cannot be had", where=reference.name, hint=hint)
    check_groups(rows, groups)
    labelled = rows[rows[target].notna()] if target in rows else rows[:0]
    has_labels = len(labelled) > 0
    if has_labels:
        rows = labelled
    if concept and has_labels:
        require(rows, [timestamp], "timestamp")
        rows = rows.sort_values(timestamp, kind="stable")
    model, columns = load_estimator(reference.version)
    classes = len(getattr(model, "classes_", ()))
    task: Literal["classification", "regression"] = "classification" if classes else "regression"
    found = predictions(model, columns_of(rows, columns), task)
    truth = found.truth(plain_target(rows[target])) if has_labels else None
    result = []
    if was := reference.scores.of(metric, estimated=truth is None):
        now = estimate(metric, found.values) if truth is None else measure(metric, truth, found.values, was)
        result.append(held_against(was, now, blocks))
    if truth is not None:
        known = reference.scores.calibration
        for name, of, chances in found.by_class(truth):
            if before := known.get(name):
                result.append(calibration_drift(before, reliability(of, chances, before), blocks, name=name))
    if truth is not None and concept:
        wrong = _errors(found, truth, concept)
        times = rows[timestamp]
        result.append(concept_drift(wrong, concept, lambda row: str(pd.Timestamp(times.iloc[row]).floor("s"))))
    if groups and not classes:
        raise ComponentError("only a classifier's groups are compared", where="groups", hint="leave groups empty")
    for name in groups:
        result += group_differences(rows[name], found, truth)
    return result


def _errors(found: Predictions, truth: NDArray[Any], concept: Detector) -> NDArray[np.float64]:
    """How wrong each row's prediction is: of a classifier whether it is, or how little it gave to what was true."""
    if not found.classes:
        wrong: NDArray[Any] = abs(found.values - truth)
    elif concept in BINARY:
        wrong = said(found.values) != truth
    else:
        wrong = 1 - chance_of_truth(truth, found.values)
    return np.asarray(wrong, float)
