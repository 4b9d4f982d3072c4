"""Whether a classifier treats groups alike: fairlearn's differences, with intervals, and what chance would give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from turnout.data.tables import require
from turnout.errors import ComponentError
from turnout.models.metrics import said
from turnout.models.scoring import Predictions
from turnout.monitoring.findings import Finding

Array = NDArray[np.float64]
LEAST_ROWS = 30
"""Rows of a group below which nothing is said of it."""

_DRAWS = 2_000


def group_differences(
    groups: pd.Series, found: Predictions, truth: Array | None = None, seed: int = 0
) -> list[Finding]:
    """The findings that a classifier says yes more often in one group than in another.

    Yes is the second of two classes; with more classes each is looked at. Of all rows (demographic parity), and, where
    there are labels, of those that are positive and of those that are not (equalised odds). The p-value is how often a
    difference as large comes about when groups are dealt out at random.

    Args:
        groups: each row's group, by the name of what they are groups of; shape (rows,).
        found: a classifier's predictions of the rows.
        truth: the classes by index; None where labels are not known; shape (rows,).

    Source: Hardt, Price and Srebro, Equality of Opportunity in Supervised Learning (2016); fairlearn's `MetricFrame`.
    """
    answers, several = said(found.values), len(found.classes) > 2
    result: list[Finding] = []
    for index, name in list(enumerate(found.classes))[0 if several else 1 :]:
        of_class = None if truth is None else (truth == index).astype(float)
        of, yes = (f"{groups.name} | {name}", f"'{name}'") if several else (str(groups.name), "yes")
        result += _of_class(groups, (answers == index).astype(float), of_class, of, yes, seed)
    return result


def _of_class(
    groups: pd.Series, said_so: Array, truth: Array | None, of: str, yes: str, seed: int
) -> Iterator[Finding]:
    from fairlearn.metrics import MetricFrame, selection_rate

    for given, chosen in _kinds(truth, len(said_so)):
        names = groups[chosen].astype(str).reset_index(drop=True)
        sizes = names.value_counts()
        kept = names.isin(sizes.index[sizes >= LEAST_ROWS]).to_numpy()
        answers, names = said_so[chosen][kept], names[kept]
        if names.nunique() < 2 or answers.min() == answers.max():
            continue
        frame = MetricFrame(metrics=selection_rate, y_true=answers, y_pred=answers, sensitive_features=names)
        value = float(frame.difference())
        low, high = _interval(names, answers, seed)
        least, most = (frame.by_group.idxmin(), frame.by_group.idxmax())
        text = (
            f"{yes} to {frame.by_group[most]:.1%} of '{most}' and {frame.by_group[least]:.1%} of '{least}',"
            f" a difference of {value:.3f} ({low:.3f} to {high:.3f})"
        )
        p_value = _by_chance(names, answers, value, seed)
        yield Finding(f"{of}{given}", "fairness", 0.0, value, None, value, p_value, text)


def check_groups(table: pd.DataFrame, names: Sequence[str], most: int = 100) -> None:
    """Raise ComponentError unless columns are there, and have few enough values to be groups."""
    require(table, names, "groups")
    for name in names:
        if (count := table[name].nunique()) > most:
            hint = "name a column with fewer values, such as age classes in the place of ages"
            raise ComponentError(f"'{name}' has {count:,} values, more than {most} groups", where="groups", hint=hint)


def _kinds(truth: Array | None, rows: int) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    yield "", np.ones(rows, bool)
    if truth is not None:
        yield " | positive", truth == 1
        yield " | negative", truth == 0


def _interval(names: pd.Series, yes: Array, seed: int) -> tuple[float, float]:
    """The 95 % interval of the difference by the bootstrap: to draw rows is to draw counts of groups and answers."""
    cells = pd.crosstab(names, yes).to_numpy()
    drawn = np.random.default_rng(seed).multinomial(len(yes), cells.ravel() / len(yes), _DRAWS)
    counts = drawn.reshape(-1, *cells.shape)
    rates = counts[..., 1] / np.maximum(counts.sum(axis=2), 1)
    low, high = np.quantile(np.ptp(rates, axis=1), [0.025, 0.975])
    return float(low), float(high)


def _by_chance(names: pd.Series, yes: Array, value: float, seed: int) -> float:
    """How often groups of the same sizes, dealt out at random, differ as much."""
    sizes = names.value_counts().to_numpy()
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(sizes, int(yes.sum()), _DRAWS, method="marginals")
    rates = drawn / sizes
    extreme = int((np.ptp(rates, axis=1) >= value * (1 - 1e-9)).sum())
    return (1 + extreme) / (1 + _DRAWS)
