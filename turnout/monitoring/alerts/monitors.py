"""What alert rules and dashboards are made of: the monitors of pipelines, and the states they tell."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass

# State, severity, and what it means; `{{ }}` is Prometheus' own.
STATES = (
    ("broken", "critical", "DataBroken", "The data of {{ $labels.model }} cannot be trusted"),
    ("drifted", "warning", "DataDrifted", "The data of {{ $labels.model }} has drifted from what it was trained on"),
    ("spoiled", "warning", "DataSpoiled", "More values for {{ $labels.model }} are missing, repeated or never seen"),
    ("worse", "warning", "ModelWorse", "{{ $labels.model }} is worse than when it was judged"),
    ("unfair", "warning", "ModelUnfair", "{{ $labels.model }} treats groups otherwise"),
)


@dataclass(frozen=True)
class Monitor:
    """A monitor step of a pipeline.

    Attributes:
        name: its `check_name`, by which its metrics are told from others'.
        period: the longest time between two scheduled runs; None without a schedule.
        least_distance: from which a difference counts, by default.
    """

    pipeline: str
    name: str
    period: datetime.timedelta | None
    least_distance: float


Watched = tuple[str, Sequence[Monitor]]
"""A pipeline's name, and its monitors."""


def quoted(text: str) -> str:
    """A text as PromQL has it, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)
