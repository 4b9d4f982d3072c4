"""What became of a suite of expectations, as a report: the failed ones first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from turnout.data.expectations import Outcome
from turnout.reports.cells import Mark, Number
from turnout.reports.page import Section
from turnout.reports.report import Report


def validation_report(outcomes: Sequence[Outcome], suite: Mapping[str, Any], rows: int, columns: int) -> Report:
    """The report.

    Args:
        outcomes: in the suite's order.
        rows, columns: of the table that was checked.
    """
    failed = [outcome for outcome in outcomes if not outcome.passed]
    passed = [outcome for outcome in outcomes if outcome.passed]
    sections = []
    if failed:
        head = ["column", "expectation", "", "what it asks for", "rows that fail", "found"]
        table = [
            [*_named(item), Mark("failed", "bad"), item.wanted, _rows(item, rows), _found(item)] for item in failed
        ]
        text = "Correct the data, or the suite where it asks too much."
        sections.append(Section("Failed", text, head, table, frozenset(range(len(failed))), stacked=True))
    if passed:
        head = ["column", "expectation", "", "what it asks for", "rows that fail", "found"]
        table = [
            [*_named(item), Mark("passed", "good"), item.wanted, _rows(item, rows), _found(item)] for item in passed
        ]
        sections.append(Section("Passed", "", head, table, stacked=True).without_empty(3))
    verdict = (
        f"{len(failed)} of {len(outcomes)} expectations failed" if failed else f"All {len(outcomes)} expectations hold"
    )
    about = f"Suite {suite['name']}, held against {rows:,} rows of {columns:,} columns"
    metrics = [("expectations", len(outcomes)), ("failed", len(failed)), ("rows", rows)]
    return Report("Validation", sections, verdict, not failed, [str(outcome) for outcome in failed], about, metrics)


def _named(outcome: Outcome) -> tuple[str, str]:
    """The column, and the expectation in words."""
    words = outcome.name.removeprefix("expect_").replace("_", " ")
    for subject in ("column values ", "column pair values ", "column ", "table "):
        if words.startswith(subject) and (outcome.column or subject == "table "):
            words = words.removeprefix(subject)
            break
    return outcome.column or "the table", words


def _rows(outcome: Outcome, rows: int) -> Any:
    """How many rows fail it, and their share; nothing for an expectation that is not about single rows."""
    if not outcome.unexpected:
        return ""
    share = outcome.unexpected / max(1, rows)
    percent = f"{share:.1%}" if share >= 0.001 else "< 0.1%"
    return Number(f"{outcome.unexpected:,} ({percent})")


def _found(outcome: Outcome) -> str:
    """Examples of values that fail it, or the statistic that it is about."""
    if outcome.unexpected and outcome.observed:
        return f"such as {outcome.observed}"
    return outcome.observed or outcome.complaint
