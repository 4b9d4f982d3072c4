"""What a data scientist does in Airflow, in a real browser: train and understand, why did it fail, which run was best.

docs/explanation/three_journeys.md tells them, with the number of clicks that are counted here. UPDATE_SCREENSHOTS=1
makes its pictures anew.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from paths import PROJECT
from playwright.sync_api import Browser, Locator, expect
from server import Server
from visitor import LOOKS, Form, Visitor, faults_of

pytestmark = pytest.mark.slow

DAG = "flight-delay-training"
TOLD = (PROJECT / "docs" / "explanation" / "three_journeys.md").read_text()
NUMBERS = {1: "one click", 2: "two clicks", 3: "three clicks"}
"""No journey takes more."""


@pytest.fixture(scope="module")
def failed(server: Server, tables: dict[str, Path], browser: Browser) -> str:
    """A training whose data has not passed its expectations."""
    server.unpause(DAG)
    run = server.trigger(DAG, source=str(tables["bad"]))
    assert server.ended(DAG, run) == "failed"
    return run


def test_why_did_it_fail(visitor: Visitor, failed: str) -> None:
    visitor.open("/dags")
    visitor.click(visitor.page.locator(f"a[href$='/runs/{failed}']").first)
    results = visitor.results("dag-run")
    expect(results.locator("main")).to_contain_text("expect_column_values_to_be_in_set")
    expect(results.locator("main")).to_contain_text("XXX")
    visitor.picture("failed")
    assert f"## Why did it fail: {NUMBERS[visitor.clicks]}\n" in TOLD
    assert not visitor.faults


def test_a_wrong_value_is_told_before_anything_starts(visitor: Visitor, failed: str, server: Server) -> None:
    before = server.runs(DAG)
    visitor.open(f"/dags/{DAG}")
    visitor.click(visitor.page.get_by_role("button", name="Trigger").first)
    form = Form(visitor)
    visitor.picture("form")
    form.fill("Test", test_fraction="3")
    form.trigger()
    expect(form.dialog).to_contain_text("test_fraction: 3 is greater than or equal to the maximum of 1")
    assert len(server.runs(DAG)) == len(before)


def test_train_and_understand(visitor: Visitor, tables: dict[str, Path], failed: str, server: Server) -> None:
    visitor.open(f"/dags/{DAG}")
    visitor.click(visitor.page.get_by_role("button", name="Trigger").first)
    form = Form(visitor)
    form.fill("Run Parameters", source=str(tables["good"]), registered_model="of-the-browser")  # Airflow's own name
    form.fill("Features", feature_service="")
    form.fill("Test", gap_hours="0", test_fraction="0.3")
    form.trigger()
    visitor.page.wait_for_url(re.compile(r"/runs/manual__"))
    run = visitor.page.url.rpartition("/runs/")[2]
    results = visitor.results("dag-run")
    assert server.ended(DAG, run, 200) == "success", server.why(DAG, run)
    visitor.page.reload()
    main = results.locator("main")
    expect(main).to_contain_text("roc_auc")
    for changed in ("0.3", str(tables["good"])):
        expect(main).to_contain_text(changed)
    expect(results.locator("figure svg, figure img").first).to_be_visible()
    visitor.picture("results")
    assert f"## Train and understand: {NUMBERS[visitor.clicks]}\n" in TOLD
    assert not visitor.faults


@pytest.fixture(scope="module")
def trained(server: Server, tables: dict[str, Path], failed: str) -> list[str]:
    """Trainings with other hyperparameters: the last of them makes the worst model."""
    conf = {"source": str(tables["good"]), "feature_service": None, "gap_hours": 0, "test_fraction": 0.3}
    conf |= {"registered_model": "of-the-browser"}
    before = [str(run["dag_run_id"]) for run in server.runs(DAG) if run["state"] == "success"]
    asked: list[dict[str, int]] = [{"n_estimators": 2}] if before else [{}, {"n_estimators": 2}]
    runs = [server.trigger(DAG, **conf, **({"hyperparameters": values} if values else {})) for values in asked]
    for run in runs:
        assert server.ended(DAG, run, 200) == "success", server.why(DAG, run)
    return [*before, *runs]


def test_which_run_was_best(visitor: Visitor, trained: list[str]) -> None:
    visitor.open("/dags")
    visitor.click(visitor.page.get_by_role("link", name="Training", exact=True))
    results = visitor.results("dag")
    expect(results.locator("main")).to_contain_text("roc_auc")
    for run in trained:
        expect(results.locator("main")).to_contain_text(run)
    visitor.picture("runs")
    assert f"## Which run was best: {NUMBERS[visitor.clicks]}\n" in TOLD
    assert not visitor.faults


def test_a_run_leads_to_mlflow(visitor: Visitor, trained: list[str], server: Server) -> None:
    visitor.open(f"/dags/{DAG}/runs/{trained[0]}")
    mlflow = visitor.results("dag-run").locator("a", has_text="MLflow run").first
    expect(mlflow).to_be_visible()
    with visitor.page.context.expect_page() as opened:
        mlflow.click()
    assert opened.value.url.startswith(f"{server.mlflow_url}/#/experiments/")


def test_every_page_fits_each_window_and_is_accessible(
    visitor: Visitor, failed: str, trained: list[str], server: Server
) -> None:
    dag = {"dag_id": DAG}
    run, red = dag | {"run_id": trained[0]}, dag | {"run_id": failed}
    pages = {
        "runs": f"dag?{urlencode(dag)}",
        "run": f"run?{urlencode(run)}",
        "run that failed": f"run?{urlencode(red)}",
        "step": f"step?{urlencode(run | {'task_id': 'evaluate', 'map_index': '-1'})}",
        "step that failed": f"step?{urlencode(red | {'task_id': 'validate', 'map_index': '-1'})}",
        "models": "models",
        "no run": f"run?{urlencode(dag | {'run_id': 'never'})}",
    }
    visitor.open("/")
    found = []
    for name, address in pages.items():
        visitor.open(f"/turnout/{address}")
        found += faults_of(visitor.page, name)
    # A report of a step has no rights where Airflow shows it, so that nobody can look into it: it is opened as a file.
    reports = {file.parts[-3]: file for file in (server.home / "root" / DAG).glob("*/*/attempt-*/*.html")}
    assert set(reports) >= {"evaluate", "validate"}
    for name, file in reports.items():
        visitor.open(file.as_uri())
        found += faults_of(visitor.page, f"report of {name}")
    assert not found, "\n".join(found)


def test_a_run_is_read_on_a_phone_by_night(browser: Browser, server: Server, trained: list[str]) -> None:
    visitor = Visitor(browser, server, LOOKS[-1])
    visitor.open("/")
    visitor.open(f"/turnout/run?{urlencode({'dag_id': DAG, 'run_id': trained[0]})}")
    expect(visitor.page.locator("main")).to_contain_text("roc_auc")
    assert is_light(visitor.page.locator("h1"))
    visitor.picture("phone")
    visitor.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_tab_has_the_colours_of_airflow(browser: Browser, server: Server, trained: list[str], scheme: str) -> None:
    look = next(look for look in LOOKS if look.scheme == scheme)
    visitor = Visitor(browser, server, look)
    visitor.open(f"/dags/{DAG}/runs/{trained[0]}")
    results = visitor.results("dag-run")
    expect(results.locator("main")).to_contain_text("roc_auc")
    assert is_light(results.locator("h1")) == (scheme == "dark")
    visitor.close()


def is_light(text: Locator) -> bool:
    """Whether the letters are light: those on a dark page."""
    colour = text.evaluate("element => getComputedStyle(element).color")
    return all(int(part) > 150 for part in re.findall(r"\d+", colour)[:3])
