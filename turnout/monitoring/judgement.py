"""What is to be made of findings: is the data as before, spoiled, drifted or broken, and is the model worse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from turnout.monitoring.findings import FAIRNESS, MODEL, QUALITY, Comparison

State = Literal["as before", "spoiled", "drifted", "broken"]


@dataclass(frozen=True)
class Judgement:
    """What to say and to do.

    Attributes:
        worse: the model is, by more than is allowed.
        unfair: it treats groups otherwise, by more than is allowed.
        reasons: a line each.
    """

    state: State
    worse: bool
    unfair: bool
    reasons: tuple[str, ...]

    @property
    def alert(self) -> bool:
        return self.worse or self.unfair or self.state != "as before"

    @property
    def train(self) -> bool:
        """Whether another model may do better, learned from data that can be trusted."""
        return self.state != "broken" and (self.worse or self.state == "drifted")

    @property
    def severity(self) -> str:
        return "critical" if self.state == "broken" else "warning" if self.alert else "info"

    def __str__(self) -> str:
        model = [word for word, holds in (("worse", self.worse), ("unfair", self.unfair)) if holds]
        return f"the data is {self.state}" + (f", the model is {' and '.join(model)}" if model else "")


def judge(comparison: Comparison, rate: float, null_limit: float, least_rows: int, no_rows: str = "") -> Judgement:
    """Judge findings; `monitor` says what the arguments mean, and `no_rows` why there are none."""
    broken = list(comparison.faults)
    if few := comparison.rows < least_rows:
        fewer = f"{comparison.rows:,} rows are fewer than the {least_rows:,} that it takes to say anything"
        broken.append(fewer if comparison.rows else no_rows or fewer)
    broken += [
        str(item)
        for item in comparison.findings
        if item.check == "nulls" and item.adjusted <= rate and item.current - item.reference > null_limit
    ]
    worse, unfair = (() if few else comparison.counting(family) for family in (MODEL, FAIRNESS))
    drifted, spoiled = comparison.drifted, comparison.counting(QUALITY)
    state: State = "broken" if broken else "drifted" if drifted else "spoiled" if spoiled else "as before"
    reasons = dict.fromkeys([*broken, *map(str, [*worse, *unfair, *drifted, *spoiled])])
    return Judgement(state, bool(worse), bool(unfair), tuple(reasons))
