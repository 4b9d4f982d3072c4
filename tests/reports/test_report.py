"""A report is written as a page, and read back from it, whoever has made it."""

from __future__ import annotations

import json
import math
import time

import pytest
from kfp.dsl import HTML

from turnout.reports.cells import Bar, Histogram, Link, Mark, Number
from turnout.reports.embedded import LONGEST_PAGE
from turnout.reports.figures import Image, data_uri
from turnout.reports.page import Section, page
from turnout.reports.report import Report

DRAWING = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><path d="M0 0H9" stroke="var(--blue)"/></svg>'
REPORT = Report(
    "Orders of <today>",
    [
        Section("Table", "A text.", ["name", "value"], [
            ["text </script> & more", 3], ["float", 0.25], ["no number", math.nan], ["nothing", None], ["yes", True],
            ["link", Link("there", "https://example.org/?a=1&b=2")], ["number", Number("0.84 (0.83 to 0.85)")],
            ["bar", Bar(0.5, "half")], ["mark", Mark("failed", "bad")],
            ["histogram", Histogram([0.25, 0.75], [0.5, 0.5], "two parts")],
        ], frozenset({1})),
        Section("Drawings", figures=[(DRAWING, "A line"), (DRAWING, "Another <line>")]),
        Section("Words", markdown="**bold** and <b>no HTML</b>"),
    ],
    "all there", True, ["because", "and since"], "2026-11-26", [("rows", 12), ("share", 0.5)],
)  # fmt: skip


def test_a_report_is_read_back_from_its_page() -> None:
    found = Report.from_html(REPORT.to_html())
    assert found is not None
    for name in ("title", "verdict", "good", "reasons", "about", "metrics"):
        assert getattr(found, name) == getattr(REPORT, name), name
    table, drawings, words = found.sections
    ours = REPORT.sections[0]
    assert (table.heading, table.text, table.columns, table.bad) == (ours.heading, ours.text, ours.columns, ours.bad)
    assert table.rows[2][1] == Number("–")
    assert [row for index, row in enumerate(table.rows) if index != 2] == [
        row for index, row in enumerate(ours.rows) if index != 2
    ]
    assert [caption for _, caption in drawings.figures] == ["A line", "Another <line>"]
    assert words.markdown == REPORT.sections[2].markdown


def test_a_figure_stands_in_the_file_once() -> None:
    assert REPORT.to_html().count("M0 0H9") == 2  # two drawings


def test_a_figure_that_is_read_back_is_an_image_with_its_own_colours_by_day_and_by_night() -> None:
    (_, drawings, _) = Report.from_html(REPORT.to_html()).sections  # type: ignore[union-attr]
    figure = drawings.figures[0][0]
    assert isinstance(figure, Image)
    assert "--blue: #1f6fb2" in figure
    assert "prefers-color-scheme:dark" in figure
    shown = page("Run", [drawings])
    assert shown.count("<img ") == 2
    assert "M0 0H9" not in shown
    assert data_uri(figure) in shown


SCRIPT = "<script>alert(1)</script>"


def test_nothing_of_a_foreign_report_runs_in_the_page_that_shows_it() -> None:
    hostile = {
        "title": SCRIPT, "verdict": SCRIPT, "good": "yes", "reasons": [SCRIPT, 5, None], "metrics": [[SCRIPT, SCRIPT]],
        "sections": [
            {"heading": SCRIPT, "text": SCRIPT, "columns": [SCRIPT], "rows": [
                [{"link": SCRIPT, "href": " java\tscript:alert(1)"}], [{"link": "x", "href": '"><script>'}],
                [{"bar": SCRIPT, "share": '1"><script>'}], [{"number": SCRIPT}],
                [{"histogram": ["<script>", 1e999, -5, 10**400], "reference": "x", "label": f'">{SCRIPT}'}],
                [{"unknown": 1}], [[SCRIPT]],
            ], "bad": ["<script>", 0], "figures": [SCRIPT],
             "markdown": f"{SCRIPT} [x](javascript:alert(1)) ![y](//h/i)"},
            "no section", {"rows": 7, "columns": {"a": 1}, "figures": 3},
        ],
    }  # fmt: skip
    embedded = json.dumps(hostile).replace("<", "\\u003c")
    text = (
        f'<script type="application/json" id="turnout-report">{embedded}</script>'
        f'<figure><svg onload="alert(1)">{SCRIPT}</svg><figcaption>'
    )
    found = Report.from_html(text)
    assert found is not None
    assert found.good is None
    shown = page(found.title, found.sections, verdict=found.verdict, reasons=found.reasons, metrics=found.metrics)
    for bad in ("<script>", 'javascript:alert(1)"', 'href=" java', "onload=", '<img src="//'):
        assert bad not in shown, bad


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<p>another page</p>",
        '<script type="application/json" id="turnout-report">',
        '<script type="application/json" id="turnout-report">[1]</script>',
        '<script type="application/json" id="turnout-report">' + "[" * 100_000 + "</script>",
        REPORT.to_html() + " " * LONGEST_PAGE,
    ],
)
def test_another_page_is_no_report(text: str) -> None:
    assert Report.from_html(text) is None


def test_a_foreign_page_costs_little_time_and_room() -> None:
    rows = [["x" * 1_000_000]] + [["x"]] * 100_000
    embedded = json.dumps(
        {"title": "t", "sections": [{"heading": "h", "columns": ["c"], "rows": rows, "figures": ["f"]}]}
    )
    text = f'<script type="application/json" id="turnout-report">{embedded}</script>' + "<figure><svg " * 500_000
    start = time.perf_counter()
    found = Report.from_html(text)
    assert found is not None
    assert time.perf_counter() - start < 5
    assert len(found.sections[0].rows) == 1000
    assert len(found.sections[0].rows[0][0]) <= 20_000


def test_the_verdict_stands_in_the_metadata_in_a_few_lines(tmp_path) -> None:  # type: ignore[no-untyped-def]
    artifact = HTML(name="report", uri=str(tmp_path / "report"))
    Report("Many", verdict="bad", good=False, reasons=["long " * 200, *map(str, range(500))]).write(artifact)
    assert artifact.metadata["verdict"] == "bad"
    assert artifact.metadata["good"] is False
    assert artifact.metadata["reasons"][-1] == "and 496 more"
    assert len(json.dumps(artifact.metadata)) < 1000
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_links_that_would_do_something_are_texts() -> None:
    cells = [Link("x", href) for href in ("javascript:alert(1)", "data:text/html,x", "vbscript:x", "\x01javascript:x")]
    assert "<a " not in page("t", [Section("", columns=["c"], rows=[[cell] for cell in cells])])
    cells = [Link("x", href) for href in ("https://a/b:c", "../log.txt", "/tmp/a:b/log.txt", "#part")]
    assert page("t", [Section("", columns=["c"], rows=[[cell] for cell in cells])]).count("<a ") == 4
