"""A search for hyperparameters as a report, and as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import pandas as pd

from turnout.models.folds import Fold
from turnout.models.search_space import Space
from turnout.models.tuning import best_of, study_of
from turnout.reports.page import Section
from turnout.reports.plots import BLUE, ORANGE, plot, svg
from turnout.reports.report import Report
from turnout.trackers.study import Trial

_SHOWN, _DRAWN = 100, 6


def tuning_report(
    estimator: str,
    metric: str,
    space: Space,
    trials: Sequence[Trial],
    folds: Sequence[Fold],
    fixed: Mapping[str, Any],
    started: bool,
) -> Report:
    """The report: what was chosen first.

    Args:
        fixed: the hyperparameters that were not searched.
        started: whether trial 0 tried values that were given.
    """
    best = best_of(trials)
    done = [item for item in trials if item.state == "COMPLETE"]
    spread = float(np.std(best.folds, ddof=1)) if len(best.folds) > 1 else 0.0
    reasons = [f"{metric} {best.score:.6g}, the mean of {len(folds)} folds (standard deviation {spread:.2g})"]
    if started and trials[0].state == "COMPLETE":
        reasons.append(f"{best.score - trials[0].score:+.4g} against the hyperparameters that were given (trial 0)")
    counts = [(sum(item.state == state for item in trials), word) for state, word in
              (("COMPLETE", "complete"), ("PRUNED", "pruned"), ("FAIL", "failed"))]  # fmt: skip
    seconds = sum(item.seconds for item in trials)
    reasons.append(f"{', '.join(f'{count} {word}' for count, word in counts if count)}, in {seconds:,.0f} s")
    sections = [_chosen(best, fixed), _judged(metric, trials, best, folds, started), _trials(metric, space, trials)]
    if len(done) > 1 and space.distributions:
        sections.insert(2, _importance(space, trials))
        sections.insert(3, _history(metric, space, trials))
    return Report("Hyperparameters", sections, f"Trial {best.number} is the best of {estimator}", reasons=reasons)


def trials_table(space: Space, trials: Sequence[Trial], folds: int) -> pd.DataFrame:
    """A row for each trial: number, state, score, the folds' scores, seconds, error, hyperparameters as JSON texts."""
    rows: list[dict[str, Any]] = [
        {
            "trial": item.number,
            "state": item.state,
            "score": item.score,
            **{f"fold_{index + 1}": _at(item.folds, index) for index in range(folds)},
            "seconds": item.seconds,
            "error": item.error,
            **{f"hyperparameters.{name}": json.dumps(item.hyperparameters.get(name)) for name in space.distributions},
        }
        for item in trials
    ]
    return pd.DataFrame(rows)


def _state(trial: Trial) -> str:
    return f"pruned after {len(trial.folds)} folds" if trial.state == "PRUNED" else trial.state.lower()


def _at(scores: Sequence[float], index: int) -> float:
    return scores[index] if index < len(scores) else float("nan")


def _chosen(best: Trial, fixed: Mapping[str, Any]) -> Section:
    rows = [[name, _text(value), "searched"] for name, value in best.hyperparameters.items()]
    rows += [[name, _text(value), "given"] for name, value in fixed.items() if name not in best.hyperparameters]
    return Section("The chosen hyperparameters", "", ["hyperparameter", "value", ""], rows)


def _judged(metric: str, trials: Sequence[Trial], best: Trial, folds: Sequence[Fold], started: bool) -> Section:
    text = (
        "Each model learned from the rows of one column and was judged by those of the next. The best of many trials "
        "is in part the luckiest: judge the model by rows that the search has not seen."
    )
    first = trials[0] if started and trials[0] is not best else None
    columns = ["tested on", "rows to learn", "rows to judge", f"{metric} of trial {best.number}"]
    rows = [
        [fold.rule, len(fold.train), len(fold.test), _at(best.folds, index),
         *([_at(first.folds, index)] if first else [])]
        for index, fold in enumerate(folds)
    ]  # fmt: skip
    return Section("How it was judged", text, [*columns, *(["of trial 0"] if first else [])], rows)


def _trials(metric: str, space: Space, trials: Sequence[Trial]) -> Section:
    order = {"COMPLETE": 0, "PRUNED": 1, "FAIL": 2}
    ranked = sorted(trials, key=lambda item: (order[item.state], -item.score if item.folds else 0, item.number))
    rows = [
        [item.number, item.score if item.folds else item.error, _state(item), item.seconds]
        + [_text(item.hyperparameters.get(name)) for name in space.distributions]
        for item in ranked[:_SHOWN]
    ]
    text = f"The best {_SHOWN} of {len(trials)}; all are in MLflow." if len(trials) > _SHOWN else ""
    bad = frozenset(index for index, item in enumerate(ranked[:_SHOWN]) if item.state == "FAIL")
    return Section("Trials", text, ["trial", metric, "", "seconds", *space.distributions], rows, bad)


def _importance(space: Space, trials: Sequence[Trial]) -> Section:
    text = (
        "How much of the difference between good trials and all trials is due to each (PED-ANOVA, Watanabe, Bansal and "
        "Hutter 2023). With few trials this is a rough guide."
    )
    found = optuna.importance.get_param_importances(study_of(space, trials))
    rows = [[name, round(float(share), 3)] for name, share in found.items()]
    figures = [(_scatter(name, space, trials), name) for name in list(found)[:_DRAWN]]
    return Section("What mattered", text, ["hyperparameter", "share"], rows, figures=figures)


def _history(metric: str, space: Space, trials: Sequence[Trial]) -> Section:
    done = [item for item in trials if item.state == "COMPLETE"]
    figure, axes = plot("trial", metric, height=3.0)
    axes.scatter([item.number for item in done], [item.score for item in done], s=14, color=BLUE)
    best = np.maximum.accumulate([item.score for item in done])
    axes.step([item.number for item in done], best, where="post", color=ORANGE)
    return Section("History", figures=[(svg(figure), "Blue a trial, orange the best so far.")])


def _scatter(name: str, space: Space, trials: Sequence[Trial]) -> str:
    done = [item for item in trials if item.state == "COMPLETE"]
    figure, axes = plot(name, "score", height=3.0)
    values = [item.hyperparameters[name] for item in done]
    if name in space.choices:
        values = [_text(value) for value in values]
    elif getattr(space.distributions[name], "log", False):
        axes.set_xscale("log")
    axes.scatter(values, [item.score for item in done], s=14, color=BLUE, alpha=0.7)
    return svg(figure)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)
