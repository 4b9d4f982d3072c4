"""Which columns a model needs: how much worse it is when a column's values are mixed up between rows."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance

from turnout.models.metrics import RANKING
from turnout.models.scoring import predictions, score
from turnout.models.target import Task

MOST = 20
ROWS = 2_000
SECONDS = 10.0
"""About how long it may take; a slow model is asked less often, and a wide table is searched."""

_REPEATS = 5


@dataclass(frozen=True)
class Importance:
    """Columns by their importance, the largest first, and how they were found.

    Attributes:
        columns: the name, the mean fall of the metric, and the standard deviation over repeats.
        rows: how many were looked at.
        searched: how many columns the model takes, where not each of them was tried alone; else 0.
    """

    columns: Sequence[tuple[str, float, float]]
    rows: int
    repeats: int
    searched: int = 0


def importance(
    model: Any, inputs: pd.DataFrame, labels: pd.Series, *, task: Task, metric: str, seconds: float = SECONDS
) -> Importance | None:
    """The columns by permutation importance, on at most 2,000 rows; None where it cannot be measured in the time.

    Of a wide table, columns are mixed up together first: the group that matters most is halved, until the columns that
    matter stand alone. Columns that say the same stand in for one another, and each of them seems to matter little.

    Args:
        inputs: the columns as the model takes them.
        seconds: of this process, about, that it may take. Beside other busy processes it takes longer.

    Source: Breiman, Random Forests (Machine Learning 45, 2001); Fisher, Rudin and Dominici, All Models Are Wrong, but
    Many Are Useful (JMLR 20, 2019); `sklearn.inspection.permutation_importance`.
    """
    rng = np.random.default_rng(0)
    for rows in (ROWS, ROWS // 4):
        chosen = rng.permutation(len(inputs))[:rows]
        table, truth = inputs.iloc[chosen].reset_index(drop=True), labels.iloc[chosen].reset_index(drop=True)

        def judge(given: pd.DataFrame, truth: pd.Series = truth) -> float:
            return score(metric, truth, predictions(model, given, task))

        began = time.process_time()
        base = judge(table)
        asked = int(seconds / max(1e-4, time.process_time() - began))
        if asked >= 2 * MOST:
            break
    if not np.isfinite(base) or asked < MOST or (metric in RANKING and truth.nunique() < 2):
        return None
    names = [str(name) for name in table.columns]
    searched = 0
    if len(names) > asked:
        searched, asked = len(names), asked // 2
        names = _search(table, judge, base, asked, rng)
    repeats = max(1, min(_REPEATS, asked // len(names)))
    found = permutation_importance(
        model, table[names], truth, n_repeats=repeats, random_state=0,
        scoring=lambda _, mixed, __: judge(_with(table, mixed)),
    )  # fmt: skip
    order = np.argsort(-found.importances_mean, kind="stable")[:MOST]
    columns = [(names[at], float(found.importances_mean[at]), float(found.importances_std[at])) for at in order]
    return Importance(columns, len(table), repeats, searched)


def _with(table: pd.DataFrame, columns: pd.DataFrame) -> pd.DataFrame:
    """A table with other values in some of its columns."""
    if len(columns.columns) == len(table.columns):
        return columns
    rest = table.drop(columns=list(columns.columns))
    whole: pd.DataFrame = pd.concat([rest, columns], axis=1)[list(table.columns)]
    return whole


def _search(
    table: pd.DataFrame, judge: Callable[[pd.DataFrame], float], base: float, asked: int, rng: np.random.Generator
) -> list[str]:
    """The columns that matter most, by halving the group that matters most, best first.

    Args:
        asked: how often the model may be asked.
    """
    order = rng.permutation(len(table))
    found: list[str] = []
    groups: list[tuple[float, int, list[str]]] = [(-np.inf, 0, [str(name) for name in table.columns])]
    count = 0
    while groups and len(found) < MOST:
        _, _, group = heapq.heappop(groups)
        if len(group) == 1:
            found.append(group[0])
            continue
        for half in (group[: len(group) // 2], group[len(group) // 2 :]):
            count += 1
            if count > asked:
                return found or [str(name) for name in table.columns[:MOST]]
            mixed = table[half].iloc[order].reset_index(drop=True)
            heapq.heappush(groups, (judge(_with(table, mixed)) - base, count, half))
    return found
