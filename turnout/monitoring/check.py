"""A whole check: a table, and the model that is used on it, held against a reference."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from turnout.data.tables import require_among
from turnout.data.times import count_days
from turnout.errors import ComponentError
from turnout.monitoring.checked_table import Current
from turnout.monitoring.checks import joint
from turnout.monitoring.checks.concept import Detector
from turnout.monitoring.checks.drift import check_schema, column_findings
from turnout.monitoring.checks.model import model_findings
from turnout.monitoring.checks.performance import MOST_ROWS
from turnout.monitoring.findings import DRIFT, MODEL, QUALITY, Check, Comparison, Finding, judged
from turnout.monitoring.profile import Profile
from turnout.monitoring.reference import Reference

_SHARED = 2.0
"""Rows of a day that tell no more than one independent row; with more, any day can be told by what its rows share."""


@dataclass(frozen=True)
class Settings:
    """What is looked at, and what matters; `monitor` says what each means."""

    rate: float = 0.05
    least_distance: float = 0.1
    metric: str = ""
    target: str = ""
    least_loss: float = 0.01
    concept: Detector | Literal[""] = ""
    groups: Sequence[str] = ()
    least_unfairness: float = 0.1
    keys: Sequence[str] = ()
    timestamp: str = ""
    timezone: str = "UTC"
    stale_hours: float = 0.0


def require_questions(model: str, reference: str, settings: Settings) -> None:
    """Raise ComponentError unless what is asked can be answered by what there is to compare with.

    Args:
        model: URI of a registered model; empty for none.
        reference: path or URI of a table; empty for none.
    """
    if bool(model) == bool(reference):
        hint = "leave one of them empty"
        raise ComponentError("give a model or a reference, and not both", where="model, reference", hint=hint)
    if (settings.metric or settings.concept or settings.groups) and not model:
        raise ComponentError("only a model's performance can be measured", where="metric", hint="give a model")
    if (settings.concept or settings.groups) and not settings.metric:
        hint = "give the metric by which evaluate judged the model"
        raise ComponentError("a model's errors and groups are looked at with its metric", where="metric", hint=hint)


def check(
    reference: Reference,
    current: Current,
    settings: Settings,
    predictions: Profile | None = None,
    until: datetime.datetime | None = None,
) -> tuple[Comparison, Profile]:
    """Hold a table against a reference.

    Args:
        predictions: counts of the model's predictions, where they are kept apart from the table.
        until: when the newest rows should be from; None for now.

    Returns:
        What came of it, and the table's counts.

    Raises:
        ComponentError: a column that is asked for is missing, or the model cannot be judged.
    """
    needed = [*settings.keys, *([settings.timestamp] if settings.stale_hours else [])]
    require_among(current.schema.names, needed, "data")
    counts = current.count(reference.profile)
    # Without rows nothing is known of a column's kind, and there are too few of them anyway.
    faults = check_schema(current.schema, reference.profile) if counts.rows else []
    span = current.span(settings.timestamp) if settings.timestamp in current.schema.names else None
    days = count_days(*span, settings.timezone) if span else 1
    faults += stale(span[1], settings.stale_hours, until) if span and settings.stale_hours else []
    if predictions:
        counts |= predictions
    findings = column_findings(reference.profile, counts, days)
    if settings.keys and counts.rows:
        findings.append(duplicates(current, settings.keys, counts.rows))
    if counts.rows and not faults and (settings.metric or len(reference.rows.columns) > 1):
        rows = current.sample(MOST_ROWS if settings.metric else joint.MOST_ROWS)
        if settings.metric:
            findings += model_findings(
                reference, rows, settings.metric, settings.target, settings.timestamp, settings.concept,
                settings.groups, days,
            )  # fmt: skip
        if apart := joint.told_apart(_independent(reference, min(len(rows), joint.MOST_ROWS) / days), rows):
            findings.append(apart)
    least: dict[Check, float] = dict.fromkeys([*DRIFT, *QUALITY], settings.least_distance)
    least |= {"duplicates": 0.0, **dict.fromkeys(MODEL, settings.least_loss), "fairness": settings.least_unfairness}
    found = judged(findings, settings.rate, least)
    return Comparison(counts.rows, reference.profile.rows, tuple(faults), found), counts


def duplicates(current: Current, keys: Sequence[str], rows: int) -> Finding:
    """The finding of rows whose keys another row has; no two should, so that one is no accident."""
    repeated = current.repeated(keys)
    share = repeated / rows
    text = f"{repeated:,} of {rows:,} rows have the key of another"
    return Finding(", ".join(keys), "duplicates", 0.0, share, None, share, 0.0 if repeated else 1.0, text)


def stale(newest: datetime.datetime, hours: float, until: datetime.datetime | None = None) -> list[str]:
    """What is wrong when the newest row is older than so many hours, at a time in UTC or now."""
    end = until or datetime.datetime.now(datetime.UTC)
    age = (end - newest).total_seconds() / 3600
    if age <= hours:
        return []
    return [f"the newest row is of {newest:%Y-%m-%d %H:%M} UTC, {age:.1f} hours before {end:%Y-%m-%d %H:%M %Z}"]


def _independent(reference: Reference, rows: float) -> pd.DataFrame:
    """The reference's rows, but for columns by which any day of so many rows can be told from the others."""
    known = reference.profile.columns
    shared = [
        name for name, column in known.items() if column.dependence and column.dependence.inflation(rows) > _SHARED
    ]
    return reference.rows.drop(columns=shared, errors="ignore")
