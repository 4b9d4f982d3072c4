"""What a check found: how large each difference is, how sure, and which of them count."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from turnout.monitoring import statistics

Check = Literal[
    "distribution",
    "joint",
    "nulls",
    "range",
    "unseen",
    "duplicates",
    "performance",
    "calibration",
    "concept",
    "fairness",
]

DRIFT: tuple[Check, ...] = ("distribution", "joint")
QUALITY: tuple[Check, ...] = ("nulls", "range", "unseen", "duplicates")
MODEL: tuple[Check, ...] = ("performance", "calibration", "concept")
FAIRNESS: tuple[Check, ...] = ("fairness",)
FAMILIES = (DRIFT, QUALITY, MODEL, FAIRNESS)
"""Checks whose false discoveries are held together."""


@dataclass(frozen=True)
class Finding:
    """How something differs from the reference.

    Attributes:
        column: of the data; of the model the metric, its errors or its probabilities; columns of groups or of a key.
        check: of the data: `distribution` of a column's values, all columns' `joint` one, the share of `nulls`, out of
            the reference's `range`, of categories `unseen` in it, or of `duplicates`. Of the model: `performance`,
            `calibration`, `concept` (its errors in the course of time), `fairness` (between groups).
        reference, current: of numbers the median, or the mean where they have few values or the median is the same; of
            a model what the check is about; else the share.
        moved: how far a value moved on average, in the column's own unit (the Wasserstein distance); None for others.
        distance: between 0 and 1, the largest difference of the shares of rows up to some value (Kolmogorov-Smirnov),
            or of the shares of categories together (total variation); of shares, their difference; of the model, how
            much worse it is, in the unit of `current`.
        p_value: how likely a difference as large is where there is none, for as many rows as there are.
        adjusted: the p-value that accounts for the number of findings of the same family.
        counts: it is no accident, and large enough to matter.
        text: what a person would say.
    """

    column: str
    check: Check
    reference: float
    current: float
    moved: float | None
    distance: float
    p_value: float
    text: str
    adjusted: float = 1.0
    counts: bool = False

    def __str__(self) -> str:
        return self.text if self.check in ("performance", "joint") else f"{self.column}: {self.text}"


@dataclass(frozen=True)
class Comparison:
    """What came of holding a table against a reference.

    Attributes:
        faults: what no statistic is needed for, such as columns that are missing, or of another kind.
        findings: those that count first, by size. What cannot differ has none: a constant, or missing values where
            there are none at all.
    """

    rows: int
    reference_rows: int
    faults: tuple[str, ...]
    findings: tuple[Finding, ...]

    def counting(self, family: tuple[Check, ...]) -> tuple[Finding, ...]:
        """The findings of a family that count."""
        return tuple(finding for finding in self.findings if finding.counts and finding.check in family)

    @property
    def drifted(self) -> tuple[Finding, ...]:
        """Distributions that are others."""
        return self.counting(DRIFT)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def judged(findings: Iterable[Finding], rate: float, least: Mapping[Check, float]) -> tuple[Finding, ...]:
    """Findings with what accounts for their number, those that count first.

    Args:
        rate: of false discoveries among those of a family that count.
        least: distance below which a difference does not matter, by check; 0 where none is given.
    """
    found = list(findings)
    result: list[Finding] = []
    for family in FAMILIES:
        family_findings = [item for item in found if item.check in family]
        for item, p_value in zip(
            family_findings, statistics.adjusted([item.p_value for item in family_findings]), strict=True
        ):
            counts = p_value <= rate and item.distance >= max(least.get(item.check, 0.0), 1e-12)
            result.append(dataclasses.replace(item, adjusted=p_value, counts=counts))
    return tuple(sorted(result, key=lambda finding: (not finding.counts, -finding.distance, finding.column)))
