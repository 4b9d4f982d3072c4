"""Several searches for hyperparameters side by side, and the best of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from turnout.errors import ComponentError
from turnout.reports.page import Section
from turnout.reports.report import Report


@dataclass(frozen=True)
class Candidate:
    """The result of a search.

    Attributes:
        scores: of the folds.
        run_id: of the search in MLflow.
    """

    estimator: str
    hyperparameters: Mapping[str, Any]
    score: float
    scores: tuple[float, ...]
    run_id: str


def read_candidates(tables: Sequence[Mapping[str, Any]]) -> tuple[str, list[Candidate]]:
    """The metric and the candidates, the best first; of equal ones the first.

    Args:
        tables: the metadata of the tables that `tune` gave.

    Raises:
        ComponentError: there are none, one is no table of trials, or they were not judged alike.
    """
    if not tables:
        raise ComponentError("no candidates to choose from", where="tables", hint="give the tables of tune steps")
    for index, metadata in enumerate(tables):
        if "scores" not in metadata or "tested_on" not in metadata:
            hint = "collect the output `table` of tune"
            raise ComponentError("not a table of trials", where=f"tables[{index}]", available=metadata, hint=hint)
        for fact in ("metric", "tested_on", "data_digest"):
            if metadata.get(fact) != tables[0].get(fact):
                what = f"candidates cannot be compared: their {fact} differ"
                hint = "tune all of them on the same data, with the same metric, folds and seed"
                raise ComponentError(what, where=f"tables[0], tables[{index}]", hint=hint)
    found = [
        Candidate(item["estimator"], item["hyperparameters"], item["score"], tuple(item["scores"]),
                  item["mlflow_run_id"])
        for item in tables
    ]  # fmt: skip
    return str(tables[0]["metric"]), sorted(found, key=lambda item: -item.score)


def candidates_report(metric: str, ranked: Sequence[Candidate], tested_on: Sequence[str]) -> Report:
    """The report: the candidates side by side, the chosen one first."""
    best = ranked[0]
    reasons = [f"{metric} {best.score:.6g}, the mean of {len(best.scores)} folds"]
    if len(ranked) > 1:
        reasons.append(_lead(best, ranked[1]))
    columns = ["", "estimator", metric, "behind the best", "folds won", "hyperparameters", "MLflow run"]
    rows = [
        [index, item.estimator, item.score, best.score - item.score, _won(item, best), json.dumps(item.hyperparameters),
         item.run_id]
        for index, item in enumerate(ranked, 1)
    ]  # fmt: skip
    by_fold = [[rule, *(item.scores[index] for item in ranked)] for index, rule in enumerate(tested_on)]
    text = "All were judged by the same rows. Folds won: those in which it scores better than the best one does."
    sections = [
        Section("Candidates", text, columns, rows),
        Section("By fold", "", ["tested on", *(f"{index}: {item.estimator}" for index, item in enumerate(ranked, 1))],
                by_fold),
    ]  # fmt: skip
    return Report("Candidates", sections, f"{best.estimator} is the best of {len(ranked)}", reasons=reasons)


def _won(one: Candidate, other: Candidate) -> str:
    count = sum(mine > theirs for mine, theirs in zip(one.scores, other.scores, strict=True))
    return "" if one is other else f"{count} of {len(one.scores)}"


def _lead(best: Candidate, next_one: Candidate) -> str:
    differences = np.subtract(best.scores, next_one.scores)
    spread = float(np.std(differences, ddof=1)) if len(differences) > 1 else 0.0
    return (
        f"{best.score - next_one.score:+.4g} against the next, {next_one.estimator} "
        f"(standard deviation over the folds {spread:.2g})"
    )
