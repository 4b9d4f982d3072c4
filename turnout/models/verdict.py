"""Whether a model is better than the champion, on rows that neither has seen."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from turnout.models.files import load_estimator
from turnout.models.judged_rows import JudgedRows
from turnout.models.registry import ModelVersion
from turnout.models.scoring import (
    Difference,
    Predictions,
    all_scores,
    difference,
    on_the_same_classes,
    predictions,
    score,
)
from turnout.models.signature import columns_of
from turnout.models.target import Task


@dataclass(frozen=True)
class Verdict:
    """Whether the model should become the champion, and why.

    Attributes:
        scores: of the model, by metric.
        baseline: the score of predicting the mean for every row.
        ours: the model's predictions; of the classes that it or the champion knows.
        champion_scores: of the champion on the same rows; empty when there is none.
        theirs, difference: the champion's predictions, and how much better ours are; None when it is not compared.
    """

    promote: bool
    reasons: list[str]
    scores: dict[str, float]
    baseline: float
    ours: Predictions
    champion_scores: dict[str, float] = field(default_factory=dict)
    theirs: Predictions | None = None
    difference: Difference | None = None


def compare_with_champion(
    found: Predictions,
    table: pd.DataFrame,
    labels: pd.Series,
    *,
    task: Task,
    metric: str,
    minimum_improvement: float,
    registered_model: str,
    champion: ModelVersion | None,
    judged: JudgedRows,
) -> Verdict:
    """Judge a model's predictions beside the champion's; while there is none, beside predicting the mean.

    Args:
        found: the model's predictions for the rows.
        table: the rows.
        metric: what decides; higher is better.
        minimum_improvement: how much better than the champion, in the metric's own unit.
        registered_model: whose champion it is, for the reasons.
        judged: how the rows were chosen; when that makes a comparison impossible, the champion stays.

    Raises:
        ComponentError: the champion cannot be loaded, or the rows lack one of its columns.
    """
    scores = all_scores(task, labels, found)
    baseline = score(metric, labels, found.constant(labels))
    if champion is None:
        promote = scores[metric] > baseline
        reasons = [
            f"there is no champion of '{registered_model}' yet",
            f"{metric} {scores[metric]:.4f} is {'better' if promote else 'not better'} than "
            f"{baseline:.4f}, the score of predicting the mean",
        ]
        return Verdict(bool(promote), [*reasons, *judged.reasons], scores, baseline, found)
    if judged.refused:
        return Verdict(False, [judged.refused, *judged.reasons], scores, baseline, found)
    estimator, columns = load_estimator(champion)
    given = columns_of(table, columns, f"data, for the champion (version {champion.version})")
    found, theirs = on_the_same_classes(found, predictions(estimator, given, task))
    champion_scores = all_scores(task, labels, theirs)
    compared = difference(metric, labels, found, theirs)
    promote = compared.value > minimum_improvement
    reasons = [
        f"{metric} {scores[metric]:.4f} against {champion_scores[metric]:.4f} of the champion (version "
        f"{champion.version}), on the same {len(labels):,} rows",
        f"the difference {compared.value:+.4f} (95 % interval {compared.low:+.4f} to {compared.high:+.4f}) "
        f"is {'more' if promote else 'not more'} than the {minimum_improvement:g} asked for",
    ]
    everything = [*reasons, *judged.reasons]
    return Verdict(bool(promote), everything, scores, baseline, found, champion_scores, theirs, compared)
