"""A report: what a component tells of its work. Written as a page, read back as data by pages that show it."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnout.reports.embedded import embed, extract
from turnout.reports.page import Section, page

_REASONS, _LONGEST_REASON = 5, 300
"""What the metadata of an artifact keeps of the reasons: it travels with every reference to the artifact."""

_AGAIN = '<meta http-equiv="refresh" content="3">'
"""A page that somebody has open shows what is new."""


@dataclass(frozen=True)
class Report:
    """What a component tells of its work: the verdict first, then what it rests on.

    Attributes:
        verdict: the result in a line; empty where there is none.
        good: None where the verdict is neither good nor bad.
        reasons: of the verdict, a line each.
        about: what was looked at, such as the day, in a line below the title.
        metrics: names and values of the numbers that are seen first.
        notice: what is to be known before all else, such as that the step still runs; empty for a finished report.
        facts: what the artifact's metadata keeps beside the verdict, for lists and comparisons of runs: the `metric`
            that decided, `intervals` of metrics as `[low, high]` by name, `calibration` as pairs of a predicted
            probability and the observed share. The page does not have them.
    """

    title: str
    sections: Sequence[Section] = ()
    verdict: str = ""
    good: bool | None = None
    reasons: Sequence[str] = ()
    about: str = ""
    metrics: Sequence[tuple[str, Any]] = ()
    notice: str = ""
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def to_html(self) -> str:
        """A page that needs nothing beside it, and from which the report can be read back."""
        return page(
            self.title,
            self.sections,
            about=self.about,
            verdict=self.verdict,
            good=self.good,
            reasons=self.reasons,
            metrics=self.metrics,
            notice=self.notice,
            head=embed(self._fields()) + (_AGAIN if self.notice else ""),
        )

    @classmethod
    def from_html(cls, text: str) -> Report | None:
        """The report that a page was made of; None when it is another page, or longer than a report may be.

        The page may be anybody's: what is read is texts, numbers and drawings, in bounded numbers, and a drawing is an
        `Image`, which pages show as an image and never as a part of themselves.
        """
        found = extract(text)
        return cls(**found) if found is not None else None

    def metadata(self) -> dict[str, Any]:
        """The verdict for the metadata of the artifact, so that lists of runs need not open the page."""
        if not self.verdict:
            return dict(self.facts)
        reasons = [_cut(reason) for reason in self.reasons[:_REASONS]]
        if (more := len(self.reasons) - _REASONS) > 0:
            reasons.append(f"and {more:,} more")
        return {"verdict": _cut(self.verdict), "good": self.good, "reasons": reasons, **self.facts}

    def write(self, artifact: Any) -> str:
        """Write the page to an artifact's path, all of it or nothing, and the verdict to its metadata; the page."""
        text = self.to_html()
        put(Path(artifact.path), text)
        artifact.metadata.update(self.metadata())
        return text

    def _fields(self) -> Mapping[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "facts"}


def put(path: Path, text: str) -> None:
    """Write a file so that readers see all of it, or what was there before."""
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 1] + "…"
