"""Rows to learn from and rows to judge by, several times over: cross-validation, over time or by keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from turnout.data.rows import identify, part_of
from turnout.errors import ComponentError


@dataclass(frozen=True)
class Fold:
    """One way to part the rows of a table.

    Attributes:
        train: positions of the rows to learn from.
        test: positions of the rows to judge by.
        rule: what is tested on, for people.
    """

    train: np.ndarray
    test: np.ndarray
    rule: str


def time_folds(times: pd.Series, count: int, gap_hours: float = 0.0) -> list[Fold]:
    """Expanding windows over time: each fold learns from the past, and is judged by what came next.

    The rows are cut at `count` moments into parts of about equal size. Rows of one moment are never parted, however
    many they are; scikit-learn's TimeSeriesSplit counts rows, so that rows of one moment may be on both sides.

    Args:
        times: of each row; in any order.
        count: how many folds.
        gap_hours: hours before each test that are left out of its training, for labels known only later.

    Raises:
        ComponentError: it is not a time in every row, or a fold would have no rows.
    """
    where = f"data.{times.name}"
    if not pd.api.types.is_datetime64_any_dtype(times) or times.isna().any():
        raise ComponentError(f"column '{times.name}' is not a time in every row", where="data",
                             hint="name it in ingest's timestamps")  # fmt: skip
    cuts: list[Any] = [times.quantile(part / (count + 1), interpolation="lower") for part in range(1, count + 1)]
    found = []
    for number, (start, end) in enumerate(zip(cuts, [*cuts[1:], None], strict=True), 1):
        later = times >= start
        tested = later if end is None else later & (times < end)
        learned = times < start - pd.Timedelta(hours=gap_hours)
        for rows, purpose in ((learned, "learn from"), (tested, "judge by")):
            if not rows.any():
                what = f"fold {number} of {count} has no rows to {purpose}: it starts at {start.isoformat()}"
                hint = "ask for fewer folds or a shorter gap: the table has too few moments for these"
                raise ComponentError(what, where=where, hint=hint)
        rule = f"{start:%Y-%m-%d %H:%M} to {times[tested].max():%Y-%m-%d %H:%M}"
        found.append(Fold(np.flatnonzero(learned), np.flatnonzero(tested), rule))
    return found


def keyed_folds(table: pd.DataFrame, columns: Sequence[str], count: int, seed: int) -> list[Fold]:
    """Each row is judged by once, and learned from in all other folds; by a hash of its keys.

    So rows with the same keys are never on both sides, and a row stays in its fold whatever other rows come and go.

    Args:
        columns: what identifies a row.

    Raises:
        ComponentError: a fold would have no rows.
    """
    parts = part_of(identify(table, columns).digests, count, seed)
    found = []
    for number in range(count):
        tested = parts == number
        if not tested.any():
            what = f"fold {number + 1} of {count} has no rows; there are {len(table):,}"
            raise ComponentError(what, where="data", hint="ask for fewer folds, or for another seed")
        rule = f"part {number + 1} of {count}, by keys and seed {seed}"
        found.append(Fold(np.flatnonzero(~tested), np.flatnonzero(tested), rule))
    return found


def check_classes(found: list[Fold], labels: pd.Series) -> None:
    """Raise ComponentError unless every fold has more than one class to learn from, and to judge by."""
    for number, fold in enumerate(found, 1):
        for rows, purpose in ((fold.train, "learn from"), (fold.test, "judge by")):
            if labels.iloc[rows].nunique() < 2:
                what = f"fold {number} of {len(found)} has a single class to {purpose}"
                hint = "ask for fewer folds or another seed, or look at how the target changes over time"
                raise ComponentError(what, where=f"data.{labels.name}", hint=hint)
