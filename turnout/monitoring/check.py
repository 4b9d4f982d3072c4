"""A whole check: a table, and the model that is used on it, held against a reference."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from turnout.errors import ComponentError
from turnout.monitoring import joint
from turnout.monitoring.concept import Detector
from turnout.monitoring.current import Current
from turnout.monitoring.drift import check_schema, column_findings
from turnout.monitoring.findings import DRIFT, MODEL, QUALITY, Check, Comparison, Finding, judged
from turnout.monitoring.model_checks import MOST_ROWS, model_findings
from turnout.monitoring.profile import Profile
from turnout.monitoring.reference import Reference


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
    stale_hours: float = 0.0


def check(
    reference: Reference, current: Current, settings: Settings, predictions: Profile | None = None, until: str = ""
) -> tuple[Comparison, Profile]:
    """Hold a table against a reference.

    Args:
        predictions: counts of the model's predictions, where they are kept apart from the table.
        until: when the newest rows should be from, ISO 8601 with a zone; now when empty.

    Returns:
        What came of it, and the table's counts.

    Raises:
        ComponentError: a column that is asked for is missing, or the model cannot be judged.
    """
    _require(current, [*settings.keys, *([settings.timestamp] if settings.stale_hours else [])])
    faults = check_schema(current.schema, reference.profile)
    faults += stale(current, settings.timestamp, settings.stale_hours, until) if settings.stale_hours else []
    counts = current.count(reference.profile)
    if predictions:
        counts |= predictions
    findings = column_findings(reference.profile, counts)
    if settings.keys and counts.rows:
        findings.append(duplicates(current, settings.keys, counts.rows))
    if counts.rows and not faults and (settings.metric or len(reference.rows.columns) > 1):
        rows = current.sample(MOST_ROWS if settings.metric else joint.MOST_ROWS)
        if settings.metric:
            findings += model_findings(
                reference, rows, settings.metric, settings.target, settings.timestamp, settings.concept, settings.groups
            )
        if apart := joint.told_apart(reference.rows, rows):
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


def stale(current: Current, timestamp: str, hours: float, until: str = "") -> list[str]:
    """What is wrong when the newest row is older than so many hours, at a time or now."""
    newest = current.newest(timestamp)
    if newest is None:
        return []
    end = datetime.datetime.fromisoformat(until) if until else datetime.datetime.now(datetime.UTC)
    end = end if end.tzinfo else end.replace(tzinfo=datetime.UTC)
    age = (end - newest).total_seconds() / 3600
    if age <= hours:
        return []
    return [f"the newest row is of {newest:%Y-%m-%d %H:%M} UTC, {age:.1f} hours before {end:%Y-%m-%d %H:%M %Z}"]


def _require(current: Current, columns: Sequence[str]) -> None:
    for name in columns:
        if name not in current.schema.names:
            raise ComponentError(f"no column '{name}'", where="data", available=current.schema.names)
