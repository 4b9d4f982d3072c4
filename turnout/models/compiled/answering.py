"""Which form of a version answers, and why: as the registry's tags say before it is loaded, and as it was opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TAG, REASON, PRECISION = "turnout.compiled", "turnout.compiled_reason", "turnout.precision"

MODEL = "model"
"""The form of a version that is not compiled: the model itself, as MLflow loads it."""


@dataclass(frozen=True)
class Answering:
    """The form that answers.

    Attributes:
        form: `compiled`, `compiled float16`, `compiled int8`, or `model`.
        why: a part of a sentence; empty when nobody has said.
    """

    form: str
    why: str = ""

    @property
    def sentence(self) -> str:
        precision = self.form.removeprefix("compiled").strip()
        who = (
            f"its compiled form{f' in {precision}' if precision else ''}" if self.form != MODEL else "the model itself"
        )
        who += " answers"
        return f"{who}: {self.why}" if self.why else who


def compiled(precision: str, why: str) -> Answering:
    return Answering("compiled" if precision == "exact" else f"compiled {precision}", why)


def of_tags(tags: Mapping[str, str]) -> Answering:
    """The form that a version's tags in the registry say is to be used."""
    said, why = tags.get(TAG, ""), tags.get(REASON, "")
    if said == "yes":
        return compiled(tags.get(PRECISION, "exact"), why)
    return Answering(MODEL, why if said else "it was not registered by the component register, which compiles")
