"""The report of an evaluation: the verdict first, then what it rests on, then the facts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from turnout.models.evaluation_report import curves, tables
from turnout.models.evaluation_report.facts import about, compared_facts, facts_section, parameters_section
from turnout.models.evaluation_report.importance import importance
from turnout.models.evaluation_report.intervals import measure
from turnout.models.evaluation_report.slices import slice_metric, slices_of
from turnout.models.registry import ModelVersion
from turnout.models.target import Task
from turnout.models.verdict import Verdict
from turnout.reports.report import Report


def evaluation_report(
    model: Any,
    inputs: pd.DataFrame,
    table: pd.DataFrame,
    labels: pd.Series,
    verdict: Verdict,
    *,
    task: Task,
    metric: str,
    slices: Sequence[str],
    said: Mapping[str, Any],
    champion: ModelVersion | None = None,
    given: int = 0,
    data: Mapping[str, Any] = {},
) -> Report:
    """The evaluation as a report.

    Args:
        model: the fitted model.
        inputs: the columns of the rows as the model takes them.
        table: the rows that were judged by; of them are the slices.
        said: the metadata of the model's artifact.
        given: how many rows there were to choose the rows from; 0 when all were chosen.
        data: the metadata of the rows' artifact.
    """
    ours, theirs = verdict.ours, verdict.theirs
    truth = ours.truth(labels)
    measured = measure(list(verdict.scores), labels, ours, theirs)
    if verdict.difference:  # what decided is told as it was when it decided
        measured = dataclasses.replace(measured, differences={**measured.differences, metric: verdict.difference})
    mean = "the classes' shares" if len(ours.classes) > 2 else "the mean"
    sections = [tables.metrics_section(measured, metric, len(labels), verdict.baseline, mean)]
    if task == "regression":
        sections += curves.numbers(truth, ours, theirs)
    else:
        draw = curves.two_classes if len(ours.classes) == 2 else curves.several_classes
        sections += [*draw(truth, ours, theirs), *tables.class_sections(truth, ours)]
    found = importance(model, inputs, labels, task=task, metric=metric)
    sections += tables.importance_section(found, metric)
    parts = slices_of(slice_metric(metric), table, slices, labels, ours, theirs)
    sections += tables.slices_section(parts, metric, measured.ours[slice_metric(metric)])
    sections.append(facts_section(said, champion, table, given or len(table), data))
    sections += parameters_section(model, said)
    told = "Promote: this model becomes the champion" if verdict.promote else "Do not promote"
    kept = compared_facts(metric, measured, truth, ours)
    first = tables.first_numbers(measured, metric)
    return Report(
        "Evaluation", sections, told, verdict.promote, verdict.reasons, about(said, table), first, facts=kept
    )  # fmt: skip
