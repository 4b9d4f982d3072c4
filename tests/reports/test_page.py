"""What pages are made of."""

from __future__ import annotations

import re

from turnout.reports.numbers import duration
from turnout.reports.page import Link, Mark, Section, Span, page


def test_parts_stand_one_heading_below_and_fold() -> None:
    inner = Section("Curve", "All of it.", folded="More <of> it", anchor="more")
    shown = page("Title", [Section("Report", "First.", parts=[inner], links=[Link("by itself", "report.html")])])
    assert re.findall(r"<h(\d)>([^<]*)", shown) == [("1", "Title"), ("2", "Report"), ("3", "Curve")]
    assert "<summary>More &lt;of&gt; it</summary>" in shown
    assert 'id="more"' in shown
    assert '<a href="report.html">by itself</a>' in shown


def test_a_part_below_no_heading_keeps_the_level() -> None:
    shown = page("Title", [Section("", parts=[Section("Part", "Text.")])])
    assert "<h2>Part</h2>" in shown


def test_cells_say_in_words_what_they_show_in_colours() -> None:
    shown = page(
        "Title", [Section("Steps", columns=["state", "time"], rows=[(Mark("FAILED", "bad"), Span(0.5, 2, "3 s"))])]
    )
    assert '<span class="mark bad">FAILED</span>' in shown
    assert '<span class="span">3 s<i style="--from: 50.0%; --share: 100.0%"></i></span>' in shown


def test_a_page_has_a_main_part_headings_of_columns_and_tables_that_the_keyboard_scrolls() -> None:
    shown = page("Title", [Section("Table", columns=["a"], rows=[["b"]])], links=[Link("Runs", "/runs")])
    assert shown.count("<main>") == 1
    assert '<th scope="col">a</th>' in shown
    assert '<div class="scroll" tabindex="0" role="group" aria-label="Table">' in shown
    assert shown.index("<nav") < shown.index("<main>")


def test_a_frame_is_as_high_as_a_document_may_need() -> None:
    def height(document: str) -> int:
        found = re.search(r'height: (\d+)rem"></iframe>', page("Title", [Section("Theirs", previews=[document])]))
        assert found
        return int(found[1])

    assert height("<p>short</p>") < 10 < height("<p>line</p>" * 10) < height("<p>line</p>" * 100) <= 44
    assert height("<style>" + "p{}" * 10_000 + "</style>short") < 10


def test_a_table_leaves_out_columns_that_say_nothing() -> None:
    table = Section("Table", columns=["a", "b", "c"], rows=[["", "", 0], ["", "x", ""]])
    assert table.without_empty().columns == ["a", "b", "c"]
    assert table.without_empty(keep=0).columns == ["b", "c"]
    assert not Section("Empty", parts=[Section("Also")]).has_content
    assert Section("Full", parts=[Section("", code="text")]).has_content


def test_durations_have_two_units_at_most() -> None:
    told = [duration(seconds) for seconds in (0.346, 9.46, 59.4, 59.7, 146.3, 120, 11_100, 7_200, 200_000, 172_800)]
    assert told == [
        "0.35 s", "9.5 s", "59 s", "1 min", "2 min 26 s", "2 min", "3 h 5 min", "2 h", "2 days 7 h", "2 days",
    ]  # fmt: skip
    assert duration(float("nan")) == duration(-1) == "–"


def test_a_document_of_others_is_shown_by_day_unless_it_knows_nights() -> None:
    shown = page("Frames", [Section("plain", previews=["<p>words"]), Section("own", previews=[page("Own", [])])])
    frames = re.findall(r'<iframe sandbox srcdoc="[^"]*"( class="modes")?', shown)
    assert frames == ["", ' class="modes"']
