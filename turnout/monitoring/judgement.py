"""What is to be made of findings: is the data as before, spoiled, drifted or broken, and is the model worse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from turnout.monitoring.drift import Comparison, Finding

State = Literal["as before", "spoiled", "drifted", "broken"]


@dataclass(frozen=True)
class Judgement:
    """What to say and to do.

    Attributes:
        worse: the model is, by more than is allowed.
        reasons: a line each.
    """

    state: State
    worse: bool
    reasons: tuple[str, ...]

    @property
    def alert(self) -> bool:
        return self.worse or self.state != "as before"

    @property
    def train(self) -> bool:
        """Whether another model may do better, learned from data that can be trusted."""
        return self.state != "broken" and (self.worse or self.state == "drifted")

    @property
    def severity(self) -> str:
        return "critical" if self.state == "broken" else "warning" if self.alert else "info"

    def __str__(self) -> str:
        return f"the data is {self.state}" + (", the model is worse" if self.worse else "")


def judge(
    comparison: Comparison, performance: Finding | None, rate: float, null_limit: float, least_rows: int
) -> Judgement:
    """Judge findings; `monitor` says what the arguments mean."""
    broken = list(comparison.faults)
    if comparison.rows < least_rows:
        broken.append(f"{comparison.rows:,} rows are fewer than the {least_rows:,} that it takes to say anything")
    broken += [
        _line(item)
        for item in comparison.findings
        if item.check == "nulls" and item.adjusted <= rate and item.current - item.reference > null_limit
    ]
    worse = performance is not None and performance.counts and comparison.rows >= least_rows
    counting = [*([performance] if performance and worse else []), *comparison.drifted, *comparison.spoiled]
    state: State = (
        "broken" if broken else "drifted" if comparison.drifted else "spoiled" if comparison.spoiled else "as before"
    )
    return Judgement(state, worse, tuple(dict.fromkeys([*broken, *map(_line, counting)])))


def _line(item: Finding) -> str:
    return item.text if item.check == "performance" else f"{item.column}: {item.text}"
