"""Reports of a user's own component: what libraries give, written while the step runs, kept when it fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from kfp.dsl import HTML
from matplotlib.figure import Figure

import turnout
from turnout.errors import ComponentError
from turnout.reports.report import Report

FRAME = pd.DataFrame(
    {"shop": ["north", "south"], "share": [0.12345, 12.5], "orders": [1200, np.nan], "year": [2024, 2025]}
)
CHART = {
    "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
    "data": {"values": [{"a": "<script>alert(1)</script>", "b": 2}, {"a": "y", "b": 3}]},
    "mark": "bar",
    "encoding": {"x": {"field": "a", "type": "nominal"}, "y": {"field": "b", "type": "quantitative"}},
}


def drawn() -> Figure:
    figure = Figure()
    figure.subplots().plot([1, 2], [3, 4])
    return figure


def written(path: Path) -> Report:
    found = Report.from_html(path.read_text(encoding="utf-8"))
    assert found is not None
    return found


def test_a_report_in_three_lines(tmp_path: Path) -> None:
    html = HTML(name="report", uri=str(tmp_path / "report.html"))
    with turnout.report(html, "Orders") as report:
        report.verdict("all there", good=True, reasons=["12 shops"])
        report.table(FRAME)
        report.figure(drawn(), "A line")
    found = written(tmp_path / "report.html")
    assert (found.title, found.verdict, found.good, found.reasons, found.notice) == (
        "Orders", "all there", True, ["12 shops"], "",
    )  # fmt: skip
    assert html.metadata == {"verdict": "all there", "good": True, "reasons": ["12 shops"]}
    (section,) = found.sections
    assert section.columns == ["shop", "share", "orders", "year"]
    assert section.rows == [["north", "0.12", "1,200", "2024"], ["south", "12.50", "–", "2025"]]
    assert [caption for _, caption in section.figures] == ["A line"]


def test_what_is_told_keeps_its_order(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    with turnout.report(path, "Order") as report:
        report.text("first")
        report.heading("Part")
        report.table({"a": 1})
        report.table([{"b": 2}, {"c": 3}])
        report.text("after the tables")
        report.markdown("*words*")
        report.figure(drawn())
        report.figure(drawn())
        report.markdown("after the figures")
    text = path.read_text()
    places = [text.index(part, text.index("<body>")) for part in (
        ">first<", ">Part<", ">a<", ">b<", "after the tables", "<em>words", "<svg", "after the figures",
    )]  # fmt: skip
    assert places == sorted(places)
    assert [len(section.figures) for section in written(path).sections] == [0, 0, 0, 2, 0]


@pytest.mark.parametrize(
    ("table", "columns", "rows"),
    [
        (FRAME.set_index("shop")[["year"]], ["shop", "year"], [["north", "2024"], ["south", "2025"]]),
        (FRAME.groupby(["shop", "year"])["share"].sum(), ["shop", "year", "share"],
         [["north", "2024", "0.12"], ["south", "2025", "12.50"]]),
        (pa.table({"a": [1, None], "t": [pd.Timestamp("2024-05-01"), None]}), ["a", "t"],
         [[1, "2024-05-01"], ["–", "–"]]),
        ([{"a": 1}, {"b": "<b>"}], ["a", "b"], [[1, "–"], ["–", "<b>"]]),
        ({"rows": 12, "ok": True}, ["", ""], [["rows", 12], ["ok", "yes"]]),
        ([[1, 2, 3]], ["", "", ""], [[1, 2, 3]]),
        ([{"a": np.float64("inf"), "b": np.int64(3)}], ["a", "b"], [["inf", 3]]),
        ([], [""], [["no rows"]]),
    ],
)  # fmt: skip
def test_tables_of_many_libraries(table: Any, columns: list[str], rows: list[list[Any]], tmp_path: Path) -> None:
    with turnout.report(tmp_path / "report.html", "Tables") as report:
        report.table(table)
    (section,) = written(tmp_path / "report.html").sections
    assert section.rows == rows
    assert section.columns in (columns, [])


def test_of_a_long_table_the_first_rows_are_shown_and_how_many_there_are(tmp_path: Path) -> None:
    with turnout.report(tmp_path / "report.html", "Long") as report:
        report.table(pd.DataFrame({"number": range(100_000)}))
    (section,) = written(tmp_path / "report.html").sections
    assert len(section.rows) == 200
    assert section.text == "The first 200 of 100,000 rows."
    assert (tmp_path / "report.html").stat().st_size < 30_000


def test_charts_of_vega_lite_and_altair_are_drawn(tmp_path: Path) -> None:
    import altair

    data = altair.Data(values=CHART["data"]["values"])  # type: ignore[index]
    chart = altair.Chart(data).mark_line().encode(x="a:N", y="b:Q")
    with turnout.report(tmp_path / "report.html", "Charts") as report:
        report.figure(CHART, "a specification")
        report.figure(chart, "a chart of Altair")
    text = (tmp_path / "report.html").read_text()
    assert text.count("<svg") == 2
    assert "<script>alert" not in text
    assert len(written(tmp_path / "report.html").sections[0].figures) == 2


def test_what_cannot_be_drawn_says_what_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with turnout.report(tmp_path / "report.html", "Charts") as report:
        with pytest.raises(ComponentError, match=r"not a chart: int.*\n.*Vega-Lite"):
            report.figure(3)
        with pytest.raises(ComponentError, match="not a chart of Vega-Lite"):
            report.figure({"mark": "no such mark"})
        with pytest.raises(ComponentError, match="not a table: int"):
            report.table(3)
        monkeypatch.setitem(sys.modules, "vl_convert", None)
        with pytest.raises(ComponentError, match=r"vl-convert-python, which is not installed.*\n.*turnout\[charts\]"):
            report.figure(CHART)


def test_a_drawing_of_many_marks_is_a_picture(tmp_path: Path) -> None:
    figure = Figure()
    rng = np.random.default_rng(0)
    figure.subplots().scatter(*rng.normal(size=(2, 50_000)), c=rng.normal(size=50_000))
    with turnout.report(tmp_path / "report.html", "Many") as report:
        report.figure(figure)
    assert (tmp_path / "report.html").stat().st_size < 500_000


def test_a_running_report_says_where_it_is_and_is_written_now_and_then(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    report = turnout.report(path, "Long")
    with report:
        assert "The step is running" in written(path).notice
        for done in range(1000):
            report.progress(done, 1000, "rows")
        assert "rows" not in written(path).notice  # one was written just before
        time.sleep(1.5)  # the last is written all the same
        assert "999 of 1,000 (100%) rows" in written(path).notice
        assert 'http-equiv="refresh"' in path.read_text()
    assert written(path).notice == ""
    assert 'http-equiv="refresh"' not in path.read_text()
    assert [item.name for item in tmp_path.iterdir()] == ["report.html"]


def test_the_report_of_a_failed_step_is_kept_and_says_what_failed(tmp_path: Path) -> None:
    html = HTML(name="report", uri=str(tmp_path / "report.html"))
    with pytest.raises(KeyError), turnout.report(html, "Orders") as report:  # noqa: PT012 - what it is about
        report.verdict("so far so good", good=True)
        report.heading("Until then")
        report.table({"a": 1})
        report.progress(3, 10, "shops")
        raise KeyError("<north>")
    found = written(tmp_path / "report.html")
    assert (found.verdict, found.good) == ("The step failed", False)
    assert found.reasons == ["KeyError: '<north>'", "It had said before: so far so good"]
    assert [section.heading for section in found.sections] == ["Until then", "The step failed here"]
    assert "3 of 10 (30%) shops" in found.sections[-1].text
    assert html.metadata["good"] is False


def test_a_verdict_that_is_bad_already_stays(tmp_path: Path) -> None:
    with pytest.raises(ComponentError), turnout.report(tmp_path / "report.html", "Orders") as report:  # noqa: PT012
        report.verdict("2 orders are lost", good=False)
        raise ComponentError("orders are lost", hint="find them")
    assert written(tmp_path / "report.html").verdict == "2 orders are lost"


def test_a_step_that_is_ended_from_outside_says_so(tmp_path: Path) -> None:
    code = (
        "import sys, time, turnout\n"
        "with turnout.report(sys.argv[1], 'Long') as report:\n"
        "    report.progress(7, 9)\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    path = tmp_path / "report.html"
    step = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True)
    assert step.stdout is not None
    assert step.stdout.readline() == f"report: {path}\n"
    assert step.stdout.readline() == "ready\n"
    os.kill(step.pid, signal.SIGTERM)
    assert step.wait(30) == -signal.SIGTERM
    assert written(path).reasons == ["it was ended from outside: out of time, or cancelled"]
