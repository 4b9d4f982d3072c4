"""What can be said of a model on rows that it did not learn from, with their labels or without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pandas as pd

from turnout.data.tables import require
from turnout.errors import ComponentError
from turnout.models.estimators import plain_types
from turnout.models.files import load_estimator
from turnout.models.scoring import predictions
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
    model = load_estimator(reference.version)
    classes = tuple(getattr(model, "classes_", ()))
    task: Literal["classification", "regression"] = "classification" if classes else "regression"
    inputs = list(model.feature_names_in_)
    require(rows, inputs, "data")
    found = predictions(model, plain_types(rows[inputs]), task)
    truth = found.truth(rows[target]) if has_labels else None
    result = []
    if was := reference.scores.of(metric, estimated=truth is None):
        now = estimate(metric, found.values) if truth is None else measure(metric, truth, found.values)
        result.append(held_against(was, now, blocks))
    if truth is not None and reference.scores.calibration:
        curve = reliability(truth, found.values, reference.scores.calibration)
        result.append(calibration_drift(reference.scores.calibration, curve, blocks))
    if truth is not None and concept:
        wrong = (found.values >= 0.5) != truth if concept in BINARY and classes else abs(found.values - truth)
        times = rows[timestamp]
        result.append(
            concept_drift(wrong.astype(float), concept, lambda row: str(pd.Timestamp(times.iloc[row]).floor("s")))
        )
    if groups and not classes:
        raise ComponentError("only a classifier's groups are compared", where="groups", hint="leave groups empty")
    for name in groups:
        result += group_differences(rows[name], found.values, truth)
    return result
