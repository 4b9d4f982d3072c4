"""Which rows a model and the champion are judged by: those that neither has learned."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from turnout.data.times import series_in_utc
from turnout.errors import ComponentError
from turnout.models.learned import Learned
from turnout.models.registry import ModelVersion
from turnout.models.target import Task

_MISTAKES = 1e-4
"""Share of rows in common that is none: it may be the fingerprints' error."""


@dataclass(frozen=True)
class JudgedRows:
    """The rows to judge by.

    Attributes:
        chosen: which rows of the table they are; shape (rows,), bool.
        refused: why the model cannot be compared with the champion; empty when it can.
        reasons: what was left out and why, and what could not be found out.
    """

    chosen: np.ndarray
    refused: str = ""
    reasons: list[str] = field(default_factory=list)


def judged_rows(
    table: pd.DataFrame,
    ours: Learned | None,
    champion: ModelVersion | None,
    theirs: Learned | None,
    *,
    target: str,
    task: Task,
    minimum_rows: int,
    timestamp: str = "",
) -> JudgedRows:
    """The rows of a table that neither a model nor the champion has learned.

    When too few of them are left to compare the two, they are the rows that the model has not learned.

    Args:
        ours: what the model has learned; None when there is no record of it.
        theirs: what the champion has learned; None when there is no record of it.
        minimum_rows: fewer rows are too few to compare two models by.
        timestamp: column with each row's time; may be empty.

    Raises:
        ComponentError: the model has learned all of the rows, or those that it has not learned have one class only.
    """
    known, unchecked = _learned(ours, table)
    unseen = ~known
    if not unseen.any():
        hint = "give evaluate rows that train did not get, such as the test rows of split"
        raise ComponentError(f"this model has learned all {len(table):,} rows that it should be judged by",
                             where="data", hint=hint)  # fmt: skip
    if task == "classification" and table[target][unseen].nunique() < 2:
        raise ComponentError(f"the {int(unseen.sum()):,} rows to judge by have one class only", where=f"data.{target}",
                             hint="test on more rows: a larger test_fraction")  # fmt: skip
    reasons = [_told("this model", ours, known, unchecked)] if unchecked or known.any() else []
    if champion is None:
        return JudgedRows(unseen, "", reasons)
    name = f"the champion (version {champion.version})"
    known, unchecked = _learned(theirs, table)
    told = [_told(name, theirs, known, unchecked), *_strangers(name, ours, theirs)]
    common = unseen & ~known
    refused = ""
    if common.sum() < minimum_rows:
        refused = f"{int(common.sum()):,} rows are left, and minimum_rows asks for {minimum_rows:,}"
    elif task == "classification" and table[target][common].nunique() < 2:
        refused = f"the {int(common.sum()):,} rows that are left have one class only"
    if refused:
        what = f"not compared with {name}: of {len(table):,} rows it has learned {int(known.sum()):,}; {refused}"
        return JudgedRows(unseen, what, [*reasons, *told, *_way_out(theirs, known)])
    return JudgedRows(common, "", [*reasons, *told, *_later(name, theirs, table[common], timestamp)])


def _learned(record: Learned | None, table: pd.DataFrame) -> tuple[np.ndarray, str]:
    """Which rows a model has learned; or none, and why that is not known."""
    nothing = np.zeros(len(table), dtype=bool)
    if record is None:
        return nothing, "it was trained without a record of its rows"
    try:
        return record.knows(table), ""
    except ComponentError as error:
        return nothing, error.faults[0].what


def _told(name: str, record: Learned | None, known: np.ndarray, unchecked: str) -> str:
    if record is None or unchecked:
        return f"whether {name} has learned some of the rows could not be checked: {unchecked}"
    if not known.any():
        return f"{name} has learned none of the {len(known):,} rows"
    chance = f"and each other row by mistake, with a chance of {record.false_positive_rate:.1g}"
    return f"{name} has learned {int(known.sum()):,} of the {len(known):,} rows, which are left out ({chance})"


def _strangers(name: str, ours: Learned | None, theirs: Learned | None) -> list[str]:
    """Two models of one table have most rows in common, unless rows cannot be told again."""
    share = ours.share_of(theirs) if ours and theirs else None
    if share is None or share > _MISTAKES:
        return []
    return [
        f"this model and {name} have learned no row in common. If their tables are not different, rows are told by a "
        "column that changes from one export to the next: give split the keys"
    ]


def _way_out(record: Learned | None, known: np.ndarray) -> list[str]:
    """How to get rows that the champion has not learned."""
    if record is None or not known.any():
        return []
    by = f"a row is its {', '.join(record.columns)}" if len(record.columns) <= 5 else "a row is all of its columns"
    return [f"split as for the champion, by the same keys (for it {by}), seed and test_fraction; or wait for new rows"]


def _later(name: str, record: Learned | None, rows: pd.DataFrame, timestamp: str) -> list[str]:
    """A champion that knows the time of the rows, through others, has an advantage."""
    if record is None or record.until is None or timestamp not in rows:
        return []
    first = series_in_utc(rows[timestamp]).min()
    if not first <= record.until:
        return []
    return [f"{name} has learned rows until {record.until:%Y-%m-%d %H:%M}, and these begin at {first:%Y-%m-%d %H:%M}"]
