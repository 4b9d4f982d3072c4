"""Pages of several runs: side by side, compared, and the models that they made; drawn without numpy and matplotlib."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest
from judged_runs import make_runs

from turnout.execution.run_summaries import find_run, run_details, run_summaries
from turnout.execution.store import ArtifactStore
from turnout.plan.comparison import Comparison, compared
from turnout.plan.run_summary import RunSummary
from turnout.plan.run_table import best_run
from turnout.reports.compare import compare_page
from turnout.reports.models import models_page
from turnout.reports.page import Form
from turnout.reports.runs import runs_page


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ArtifactStore:
    root = tmp_path_factory.mktemp("root")
    make_runs(root)
    return ArtifactStore(str(root))


@pytest.fixture(scope="module")
def runs(store: ArtifactStore) -> list[RunSummary]:
    return run_summaries(store)


def of(runs: list[RunSummary], pipeline: str) -> list[RunSummary]:
    return [run for run in runs if run.pipeline == pipeline]


def comparison(store: ArtifactStore, runs: list[RunSummary], *names: str) -> Comparison:
    return compared([run_details(store, find_run(runs, name, "")) for name in names])


def words(page: str) -> str:
    """What a reader sees of a page."""
    return " ".join(re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<style>.*?</style>", "", page)).split())


def test_the_page_of_runs_says_first_which_was_best_and_leads_there(runs: list[RunSummary]) -> None:
    page = runs_page("judged", of(runs, "judged"), run_link=lambda run: f"run?id={run.run_id}")
    assert "Runs of judged The best run by roc_auc is three: 0.9000" in words(page)
    assert '<a href="run?id=three">Open the best run</a>' in page
    assert "3 succeeded, 1 failed" in words(page)
    assert "settings.depth" in page


def test_of_equal_runs_the_first_that_was_promoted_is_the_best(runs: list[RunSummary]) -> None:
    three = find_run(runs, "judged/three", "")
    refused = [dataclasses.replace(item, good=False) for item in three.verdicts]
    later = dataclasses.replace(three, run_id="later")
    found = [dataclasses.replace(three, run_id="before", verdicts=tuple(refused)), three, later]
    assert best_run(found, "roc_auc") is three


def test_another_metric_can_decide(runs: list[RunSummary]) -> None:
    page = runs_page("judged", of(runs, "judged"), metric="log_loss", by_metric=lambda name: f"?metric={name}")
    assert "The best run by log_loss is three: 0.1000" in words(page)
    assert '<a href="?metric=accuracy">accuracy</a>' in page


def test_runs_are_chosen_and_compared_without_a_script(runs: list[RunSummary]) -> None:
    form = Form("compare", "Compare", {"dag_id": "judged"})
    page = runs_page("judged", of(runs, "judged"), compare=form)
    assert '<form method="get" action="compare">' in page
    assert '<input type="hidden" name="dag_id" value="judged">' in page
    assert page.count('<input type="checkbox" name="run"') == 4
    assert 'value="three" aria-label="compare three"' in page
    assert "<script" not in page


def test_drift_is_a_curve_over_days_with_the_threshold(runs: list[RunSummary]) -> None:
    page = runs_page("watched", of(runs, "watched"))
    assert "Runs of watched 2026-11-22: the data is drifted" in words(page)
    assert "dashed: 0.1, from which on a difference counts; in red the days that were told of" in page
    assert "<title>2026-11-22: the data is drifted, 0.4000</title>" in page
    assert "hour: 40% of the rows would have to change" in page


def test_models_have_versions_and_one_serves(runs: list[RunSummary]) -> None:
    page = models_page(runs, version_link=lambda model, version: f"https://mlflow/{model}/{version}")
    text = words(page)
    assert "In service: toy 2" in text
    assert "toy: the data is drifted on 2026-11-22" in text
    assert "Version 2 serves" in text
    assert "by judged three" in text
    assert '<a href="https://mlflow/toy/1">open</a>' in page


def test_a_comparison_draws_the_curves_of_all_runs_in_one_plot(store: ArtifactStore, runs: list[RunSummary]) -> None:
    page = compare_page(comparison(store, runs, "one", "two", "three"))
    assert page.count("<polyline") == 3
    text = words(page)
    assert "three is the best by roc_auc: 0.9000" in text
    assert "one: yes" in text  # a column of its confusion matrix
    assert "prepare.data 3 rows" in text


def test_a_difference_within_the_intervals_may_be_an_accident(store: ArtifactStore, runs: list[RunSummary]) -> None:
    from dataclasses import replace

    def measured(name: str, half: float) -> RunSummary:
        run = find_run(runs, name, "")
        first = run.metrics[0]
        return replace(run, metrics=(replace(first, low=first.value - half, high=first.value + half),))

    rows = {}
    for half in (0.3, 0.01):
        details = [
            replace(run_details(store, run), summary=run) for run in (measured("one", half), measured("three", half))
        ]
        found = compared(details)
        rows[half] = (found.metrics[0].within_interval(1), words(compare_page(found)))
    assert rows[0.3][0] is True
    assert "as if on different rows, that may be an accident" in rows[0.3][1]
    assert rows[0.01][0] is False
    assert "that is more than chance" in rows[0.01][1]


def test_what_a_run_says_is_text_on_every_page(store: ArtifactStore, runs: list[RunSummary]) -> None:
    from dataclasses import replace

    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    first = of(runs, "judged")[0]
    run = replace(
        first, run_id=evil, tags={evil: evil}, parameters={evil: evil}, errors={evil: evil},
        verdicts=tuple(replace(item, text=evil, step=evil, reasons=(evil,)) for item in first.verdicts),
        metrics=tuple(replace(item, name=evil, step=evil) for item in first.metrics),
        versions=tuple(replace(item, model=evil, version=evil) for item in first.versions),
        drift=tuple(replace(item, subject=f"{evil}/1", text=evil) for item in of(runs, "watched")[0].drift),
    )  # fmt: skip
    details = [replace(run_details(store, first), summary=item) for item in (run, first)]
    pages = [
        runs_page(
            evil, [run, first], run_link=lambda run: f"javascript:{evil}", compare=Form(evil, evil, {evil: evil})
        ),
        models_page([run]),
        compare_page(compared(details)),
    ]
    for page in pages:
        assert "<script" not in page
        assert "<img" not in page
        assert 'href="javascript' not in page


def test_pages_of_nothing_are_pages() -> None:
    assert "No runs yet" in runs_page("judged", [])
    assert "No model is in service" in models_page([])


def test_the_pages_load_no_science(store: ArtifactStore, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from turnout.execution.run_summaries import run_summaries\n"
        "from turnout.reports import compare, models, runs\n"
        "print([name for name in ('numpy', 'pandas', 'matplotlib', 'mlflow', 'kfp', 'airflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
