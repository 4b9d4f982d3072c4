"""The pages of runs and of steps, of small pipelines that were really run."""

from __future__ import annotations

import dataclasses
import html
import itertools
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import in_process
import pytest
from reported import FIGURE

import turnout
from turnout import verbs
from turnout.errors import StoreError
from turnout.plan.results import RunResult, StepResult
from turnout.reports.page import Link, Section
from turnout.reports.report import Report
from turnout.reports.run.document import run_page
from turnout.reports.run.shown import Links, ShownRun
from turnout.reports.run.step import step_page
from turnout.spec.step_contract import Artifact, Outcome, State
from turnout.tracks.local import pages

PIPELINES = Path(__file__).with_name("reported.py")


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as context:
        yield context


@pytest.fixture(scope="module")
def ran(patch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs one of the pipelines; the result."""
    runtime, root = in_process.install(patch), tmp_path_factory.mktemp("root")

    def run(name: str, **parameters: Any) -> RunResult:
        return turnout.run(f"{PIPELINES}:{name}", parameters, root=root, runtime=runtime)

    return run


@pytest.fixture(scope="module")
def succeeded(ran: Any) -> RunResult:
    return ran("sweep", depths=[1, 2, 4], least=0.5)


@pytest.fixture(scope="module")
def failed(ran: Any) -> RunResult:
    return ran("sweep", depths=[1, 2, 4], fail_at=2)


def page_of(result: RunResult, step: str = "") -> str:
    return (Path(result.path) / step / ("step.html" if step else "report.html")).read_text()


def words(page: str) -> str:
    """The text of a page, as one reads it."""
    body = page[page.index("<body>") :]
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", body).split()))


def headings(page: str) -> list[str]:
    return re.findall(r"<h2>([^<]*)", page)


def test_a_run_is_told_in_the_order_in_which_one_asks(succeeded: RunResult) -> None:
    assert succeeded.state is State.SUCCEEDED, [step.error for step in succeeded.steps]
    page = page_of(succeeded)
    assert [heading.partition(" · ")[0] for heading in headings(page) if heading != "Curve"] == [
        "Verdicts", "Metrics", "Parameters that differ from the defaults", "Gates", "Data", "Graph", "Steps",
        "Artifacts",
    ]  # fmt: skip
    told = words(page)
    assert "SUCCEEDED in" in told
    assert "6 steps: 6 SUCCEEDED" in told
    assert "each-depth.fit, 3 iterations Better than the champion" in told
    assert "depths [1, 2, 4]" not in told[: told.index("parameters that have their defaults")]
    assert "least 0.5 default 0.9" in told
    assert "good-enough passed choose > 0.7 choose = 0.8 serve" in told
    assert "load.data 1,000 2026-11-01 00:00 2026-11-08 00:00 s3://lake/flights.parquet v3" in told


def test_a_failed_run_says_first_which_error_matters_and_what_to_do(failed: RunResult) -> None:
    told = words(page_of(failed))
    first = told[: told.index("Further verdicts")]
    assert "each-depth.fit (2) failed: depth 2 does not converge @ depth What to do: choose a smaller one" in first
    assert "Did not start, since an earlier step failed: choose, good-enough.serve" in first
    assert "All of each-depth.fit (2) · Its log" in first
    assert "good-enough not asked: an earlier step failed" in told


def test_as_markdown_a_run_is_told_for_a_comment(succeeded: RunResult, failed: RunResult) -> None:
    told = turnout.verbs.markdown_report(failed.run_id, root=Path(failed.path).parents[1])
    first, *_ = told.split("###")
    assert (
        f"## sweep {failed.run_id}\n\n❌ **each-depth.fit (2) failed: depth 2 does not converge \\@ depth**\n" in first
    )
    assert "- What to do: choose a smaller one\n" in first
    assert "| good-enough | not asked: an earlier step failed |" in told
    told = turnout.verbs.markdown_report(f"sweep/{succeeded.run_id}", root=Path(succeeded.path).parents[1])
    assert "| good-enough | passed | choose \\> 0.7 | choose = 0.8 | serve |" in told
    assert "| least | 0.5 | default 0.9 |" in told[told.index("<details>") :]
    assert told.count("<details>") == told.count("</details>") > 0
    from markdown_it import MarkdownIt

    page = MarkdownIt("commonmark").enable("table").render(told)
    assert page.count("<table>") == len(re.findall(r"(?m)^\| ---.*\|$", told)) > 0


def test_the_main_figures_are_images_in_the_page(failed: RunResult) -> None:
    page = page_of(failed)
    shown = re.search(r'<figure><img src="data:image/svg\+xml;base64,[\w+/=]+" alt="The curve at depth 2\."', page)
    assert shown is not None
    assert "<iframe" not in page
    assert FIGURE not in page


def test_iterations_are_one_row_that_unfolds(succeeded: RunResult) -> None:
    page = page_of(succeeded)
    target = re.search(r'<a href="#(iterations-\d+)">each-depth.fit, 3 iterations</a>', page)
    assert target is not None
    assert page.count(f'id="{target[1]}"') == 1
    assert "<summary>The 3 iterations of each-depth.fit</summary>" in page
    assert "3 SUCCEEDED" in words(page)


def test_links_lead_to_the_pages_of_steps_and_their_logs_wherever_the_root_is_moved(succeeded: RunResult) -> None:
    folder = Path(succeeded.path)
    written = [folder / "report.html", *folder.glob("*/step.html")]
    assert len(written) == 1 + len(succeeded.steps)
    leads = {place: re.findall(r'<a href="([^"#]+)"', place.read_text()) for place in written}
    assert "each-depth.fit%400/step.html" in leads[folder / "report.html"]
    for place, addresses in leads.items():
        assert addresses
        for address in addresses:
            assert (place.parent / unquote(address)).exists(), (place, address)


def test_the_page_of_a_step_has_all_of_its_part(succeeded: RunResult) -> None:
    page = page_of(succeeded, "each-depth.fit@2")
    told = words(page)
    assert headings(page) == [
        "Metrics",
        "Fit · each-depth.fit (4)",
        "Inputs",
        "Outputs",
        "Artifacts",
        "Metadata",
        "Log",
    ]
    assert "depth 4 each-depth" not in told
    assert "data " + succeeded.artifacts["load.data"].uri in told
    assert re.search(r'<td[^>]*><a href="[./]+load/step.html">load</a></td>', page)
    assert "score 0.8000 0.5000 +0.3000" in told
    assert "Output 0.8" in told


def test_the_page_of_a_step_that_failed_has_the_error_and_the_log_open(failed: RunResult) -> None:
    page = page_of(failed, "each-depth.fit@1")
    assert "depth 2 does not converge @ depth What to do: choose a smaller one" in words(page)
    assert "<details open><summary>" in page
    assert "does not converge" in page[page.index("<pre") :]


def test_nothing_of_what_others_write_runs_or_is_fetched(ran: Any) -> None:
    attack = '<script>alert(4)</script>"><img src=x onerror=alert(5)>{{ 7 * 7 }}'
    result = ran("hostile", text=attack)
    for page in (page_of(result), page_of(result, "foreign")):
        assert "<script" not in page
        assert "<img src=x" not in page
        assert 'src="http' not in page
        assert "{{ 7 * 7 }}" in page
        assert page.count("<iframe sandbox srcdoc=") == 1
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page  # theirs, in the frame without scripts
        assert "alert(2)" in words(page)
        assert page.count("<h1>") == 1
        assert "<h3>Words</h3>" in page


@pytest.mark.parametrize("name", ["secret.html", "link.html"])
def test_an_imported_page_that_lies_elsewhere_is_named_and_neither_opened_nor_linked(
    ran: Any, tmp_path: Path, name: str
) -> None:
    (tmp_path / "secret.html").write_text("<p>a secret</p>")
    (tmp_path / "link.html").symlink_to(tmp_path / "secret.html")
    result = ran("imported", uri=str(tmp_path / name))
    assert result.state is State.SUCCEEDED
    page = page_of(result)
    assert "a secret" not in page
    assert "Not shown: it lies outside of the artifact store." in words(page)
    assert str(tmp_path / name) in words(page)
    assert f'{name}"' not in page


def test_the_page_of_a_run_under_way_is_made_of_what_has_ended(ran: Any) -> None:
    result = ran("sweep", depths=[1, 4])
    place = Path(result.path)
    record = json.loads((place / "run.json").read_text())
    ended = ("steps", "outputs", "errors", "end_time")
    record = {name: value for name, value in record.items() if name not in ended} | {"state": State.RUNNING.value}
    (place / "run.json").write_text(json.dumps(record))
    (place / "good-enough.serve" / "outcome.json").unlink()
    page, steps, _ = verbs.write_report(result.run_id, root=place.parents[1])
    assert page == str(place / "report.html")
    assert len(steps) == 4
    told = words(page_of(result))
    assert "RUNNING 4 of 5 steps have ended" in told
    assert "good-enough passed choose > 0.7 choose = 0.8 serve" in told
    assert "good-enough.serve PENDING" in told


def test_the_page_of_one_step_is_written_when_it_is_asked_for(
    succeeded: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, root = Path(succeeded.path), Path(succeeded.path).parents[1]
    monkeypatch.setattr(pages, "MOST", 2)
    for page in [*folder.glob("*/step.html"), folder / "report.html"]:
        page.unlink()
    place, steps, _ = verbs.write_report(succeeded.run_id, "each-depth.fit (4)", root=root)
    assert [step.key for step in steps] == ["each-depth.fit[2]"]
    assert place == str(folder / "each-depth.fit@2" / "step.html")
    assert "The pages of 2 of 6 steps are written; any other: turnout show" in words(page_of(succeeded))
    assert len(list(folder.glob("*/step.html"))) == 2
    with pytest.raises(StoreError, match="no step 'each-depth"):
        verbs.write_report(succeeded.run_id, "each-depth.fitt", root=root)
    monkeypatch.undo()
    (folder / "report.html").unlink()
    verbs.write_report(succeeded.run_id, root=root)


# --- runs as records tell them, of any track ------------------------------------------------------------------------


def told(
    steps: list[StepResult], record: dict[str, Any] = {}, read: Any = None, links: Links | None = None, **more: Any
) -> ShownRun:
    record = {"pipeline": "sweep", "run_id": "r1", "create_time": "2026-11-27T06:00:00+00:00", **record}
    return ShownRun(record, steps, read or (lambda uri, limit: "there is none"), links or Links(), **more)


def step(
    name: str, state: State = State.SUCCEEDED, *, iteration: tuple[int, ...] = (), error: str = "", **outcome: Any
) -> StepResult:
    made = Outcome(
        state, 1, started="2026-11-27T06:00:01+00:00", ended="2026-11-27T06:00:03+00:00", error=error, **outcome
    )
    return StepResult.of(name, iteration, made)


def report(verdict: str = "", good: bool | None = None, **said: Any) -> Artifact:
    return Artifact("report", "system.HTML", "report", {"verdict": verdict, "good": good, **said} if verdict else said)


def test_a_run_that_goes_on_says_how_far_it_is_without_a_plan() -> None:
    running = StepResult("train", state=State.RUNNING, attempts=1)
    shown = words(run_page(told([step("load"), running, StepResult("judge")], {"state": State.RUNNING.value})))
    assert "RUNNING 1 of 3 steps have ended Running: train" in shown.replace("RUNNING · ", "RUNNING ")
    assert "3 steps: 1 SUCCEEDED, 1 RUNNING, 1 PENDING" in shown


def test_a_run_of_which_only_outcomes_are_known_is_told_all_the_same() -> None:
    shown = words(run_page(told([step("load", artifacts={"report": report("All is well", True, reasons=["indeed"])})])))
    assert "All is well indeed" in shown
    assert "Gates" not in shown


def test_the_first_error_is_what_is_said_first() -> None:
    late = step("late", State.FAILED, error="KeyError: 'b'")
    late = dataclasses.replace(late, outcome=dataclasses.replace(late.outcome, ended="2026-11-27T07:00:00+00:00"))
    first = step(
        "first", State.FAILED, error="2 of 3 expectations failed:\n  not null(a): 5 of 9 rows\n  hint: look at it"
    )
    shown = words(run_page(told([late, first], {"state": "FAILED"})))
    assert (
        "first failed: 2 of 3 expectations failed not null(a): 5 of 9 rows What to do: look at it Also failed: late"
        in shown
    )


def test_metrics_stand_beside_the_champion_s_with_their_intervals() -> None:
    said = {
        "roc_auc": 0.7448,
        "champion_roc_auc": 0.7415,
        "rows": 65_499.0,
        "intervals": {"roc_auc": [0.7401, 0.7494]},
        "differences": {"roc_auc": [-0.0011, 0.0077], "other": "none"},
    }
    judged = step(
        "judge", artifacts={"metrics": Artifact("metrics", "system.Metrics", "m", said), "report": report("Yes", True)}
    )
    shown = words(run_page(told([step("fit"), judged])))
    assert "metric value champion difference" in shown
    assert "roc_auc 0.7448 (0.7401 to 0.7494) 0.7415 +0.0033 (-0.0011 to +0.0077)" in shown
    assert "rows 65,499" in shown


def test_parameters_that_differ_are_shown_and_others_fold(succeeded: RunResult) -> None:
    record = {"parameters": {"depth": 3, "seed": 0}, "changed": ["depth"]}
    page = run_page(told([step("fit")], record))
    assert page.index("depth") < page.index("<summary>1 parameter that has its default</summary>") < page.index("seed")


def test_data_is_told_by_the_times_in_it_or_those_that_were_asked_for() -> None:
    times = {"first": "2026-01-01T00:00:00+00:00", "last": "2026-10-20T23:00:00+00:00"}
    asked = {"since": "2026-11-01T00:00:00+00:00"}
    data = {
        "part": Artifact("part", "system.Dataset", "p", {"rows": 10, "times": times, "interval": asked}),
        "day": Artifact("day", "system.Dataset", "d", {"rows": 2.0, "source": "lake", "interval": asked}),
    }
    shown = words(run_page(told([step("split", artifacts=data)])))
    assert "split.part 10 2026-01-01 00:00 2026-10-20 23:00 split.day 2 2026-11-01 00:00 lake" in shown


def test_versions_and_mlflow_runs_are_links_only_to_web_pages() -> None:
    def shown(server: str) -> str:
        said = {
            "mlflow_tracking_uri": server,
            "mlflow_run_id": "abc",
            "mlflow_experiment_id": "1",
            "estimator": "Ridge",
        }
        steps = [
            step("train", artifacts={"model": Artifact("model", "system.Model", "m", said)}),
            step("deploy", parameters={"version": "2", "previous": "1"}),
            step("shadow", parameters={"version": "3", "previous": "2", "champion": ""}),
            step("pin", parameters={"version": "4", "model": "models:/delays/4"}),
        ]
        return run_page(told(steps, {"parameters": {"registered_model": "delays"}}))

    page = shown("https://mlflow.example/")
    assert '<a href="https://mlflow.example/#/experiments/1/runs/abc">MLflow run</a>' in page
    assert '<a href="https://mlflow.example/#/models/delays/versions/2">delays, version 2</a>' in page
    assert "put into service, in the place of version 1" in words(page)
    assert "delays, version 3" not in words(page)
    assert "delays, version 4" not in words(page)
    assert "javascript:" not in shown("javascript:alert(1)//")


def test_the_page_of_500_steps_stays_small_and_says_what_it_leaves_out() -> None:
    figure = FIGURE + " " * 20_000
    whole = Report("Fit", [Section("Curve", figures=[(figure, "A curve.")])], "Better", True, ["by far"]).to_html()
    steps = [
        step(
            "fit", iteration=(index,), parameters={"Output": 0.5},
            artifacts={"report": report("Better", True, reasons=["by far"]),
                       "metrics": Artifact("metrics", "system.Metrics", "m", {"score": index / 500})},
        )
        for index in range(499)
    ]  # fmt: skip
    links = Links(
        step=lambda item: f"step?iteration={item.iteration}", log=lambda item: "log", around=[Link("All", "/")]
    )
    begun = time.monotonic()
    page = run_page(told([*steps, step("choose")], read=lambda uri, limit: whole.encode(), links=links))
    assert time.monotonic() - begun < 10  # about half a second where nothing else runs
    assert len(page) < 1_000_000
    shown = words(page)
    assert "12 of 499 reports are shown; the others are on the pages of their steps." in shown
    assert "300 of 499 are listed, those that failed first." in shown
    assert "20 of 499 iterations are shown." in shown


def test_a_long_report_is_named_and_not_shown() -> None:
    long = Report("Fit", [Section("Rows", "x" * 15_000, ["a"], [["y" * 900]] * 900)]).to_html()
    page = run_page(
        told([step("fit", State.FAILED, error="no", artifacts={"report": report()})], read=lambda *_: long.encode())
    )
    assert len(page) < 600_000
    assert "It is too long for this page." in words(page)


def test_pages_have_landmarks_ids_and_headings_in_order(succeeded: RunResult, failed: RunResult) -> None:
    for page in (page_of(succeeded), page_of(failed), page_of(failed, "each-depth.fit@1")):
        levels = [int(level) for level in re.findall(r"<h(\d)>", page)]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), levels
        ids = re.findall(r' id="([^"]*)"', page)
        assert len(ids) == len(set(ids))
        assert page.count("<main>") == page.count("<h1>") == 1
        assert "<th>" not in page


def test_a_step_without_an_outcome_has_a_page_too() -> None:
    waiting = StepResult("judge", state=State.PENDING)
    assert "PENDING" in words(step_page(told([waiting]), waiting))
