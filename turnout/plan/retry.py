"""How long a step waits before its next attempt."""

from __future__ import annotations

from dataclasses import dataclass

from turnout.spec.pipeline_spec import RetryPolicy


@dataclass(frozen=True)
class Backoff:
    """KFP's retry policy in seconds. Its defaults: no delay, factor 2, at most an hour."""

    first: float
    factor: float
    most: float

    @classmethod
    def of(cls, retry: RetryPolicy) -> Backoff:
        return cls(
            _seconds(retry.backoff_duration, 0.0),
            retry.backoff_factor or 2.0,
            _seconds(retry.backoff_max_duration, 3600.0),
        )

    def seconds(self, attempt: int) -> float:
        """The wait after an attempt, counted from 1."""
        return min(self.first * self.factor ** (attempt - 1), self.most)


def _seconds(duration: str | None, default: float) -> float:
    return float(duration.removesuffix("s")) if duration else default
