"""The pages of the plugin, in Airflow's own API server: who may see them, and what they may show."""

from __future__ import annotations

import datetime
import html
import re
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from auth_by_dag import HIDDEN, user
from conftest import HOME
from fastapi.testclient import TestClient

from turnout.airflow.addresses import PREFIX, artifact_address, results_tab, run_address, step_address
from turnout.airflow.plugin import TurnoutPlugin
from turnout.execution.store import ArtifactStore
from turnout.spec.step_contract import Artifact, Outcome, Run, State

IDS = [
    "manual__2026-11-27T06:00:00.123456+00:00",
    "a b+c:d/e%2Ff?g&h=i#j",
    "../../../etc/passwd",
    "тест-運行-🚂",
    "'\"><script>alert(1)</script>",
    "x" * 4000,
]
SCRIPT = "<script>alert('run')</script>"


def results_address(dag_id: str, run_id: str) -> str:
    return f"{PREFIX}/{run_address(dag_id, run_id)}"


@pytest.fixture(scope="module")
def client(airflow: Path) -> Iterator[TestClient]:
    """Airflow's API server with its plugins, and an auth manager that has rights by DAG."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "auth_by_dag.AuthByDag")
        from airflow.api_fastapi.app import create_app

        with TestClient(create_app(apps="core"), raise_server_exceptions=False) as made:
            yield made


@pytest.fixture
def get(client: TestClient) -> Callable[..., Any]:
    """Gets a page as a user does."""

    def get(address: str, name: str = "reader-of-training", **more: Any) -> Any:
        from airflow.api_fastapi.app import get_auth_manager

        token = get_auth_manager().generate_jwt(user(name))
        return client.get(address, headers={"Authorization": f"Bearer {token}"}, **more)

    return get


@pytest.fixture
def store() -> ArtifactStore:
    return ArtifactStore(str(HOME / "root"))


def ended(store: ArtifactStore, run: Run, step: str = "evaluate", **more: Any) -> None:
    store.write_record(store.step_path(run, step) / "outcome.json", Outcome(State.SUCCEEDED, 1, **more).to_dict())


def artifact(store: ArtifactStore, run: Run, kind: str, content: str, step: str = "evaluate") -> Artifact:
    place = store.step_path(run, step) / "attempt-1"
    place.mkdir(parents=True, exist_ok=True)
    (place / "report").write_text(content)
    return Artifact("report", kind, str(place / "report"))


@pytest.mark.parametrize("run_id", IDS)
def test_a_run_of_any_name_is_shown(run_id: str, get: Callable[..., Any], store: ArtifactStore) -> None:
    ended(store, Run("training", run_id, ""), parameters={"auc": 0.75})
    answer = get(results_address("training", run_id))
    assert answer.status_code == 200, answer.text
    assert "auc = 0.75" in answer.text
    assert html.escape(run_id, quote=False)[:100] in answer.text.replace("&#39;", "'").replace("&#34;", '"')
    assert SCRIPT.partition("(")[0] not in answer.text
    assert get(f"/turnout/{step_address('training', run_id, 'evaluate')}").status_code == 200


@pytest.mark.parametrize("name", ["reader-of-other", HIDDEN])
def test_a_run_is_shown_to_nobody_else(name: str, get: Callable[..., Any], store: ArtifactStore) -> None:
    ended(store, Run("training", "hidden", ""), parameters={"auc": 0.75})
    answer = get(results_address("training", "hidden"), name)
    assert answer.status_code == 403
    assert "0.75" not in answer.text
    assert get("/turnout/run?dag_id=other&run_id=hidden&dag_id=training", name).status_code == 403
    assert get("/turnout/run?dag_id=training&dag_id=other&run_id=hidden", name).status_code in (403, 404)


def test_nothing_is_shown_to_strangers(client: TestClient, store: ArtifactStore) -> None:
    ended(store, Run("training", "hidden", ""), parameters={"auc": 0.75})
    for token in ("", "nobody's"):
        answer = client.get(results_address("training", "hidden"), headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code in (401, 403)
        assert "0.75" not in answer.text


@pytest.mark.parametrize("path", ["docs", "redoc", "openapi.json", "docs/oauth2-redirect", "", "run/", "results/a/b"])
def test_there_is_no_page_about_the_pages(path: str, client: TestClient) -> None:
    assert client.get(f"/turnout/{path}").status_code == 404


@pytest.mark.parametrize("path", ["run", "docs"])
def test_every_answer_is_guarded(path: str, get: Callable[..., Any], store: ArtifactStore) -> None:
    ended(store, Run("training", "guarded", ""))
    headers = get(f"/turnout/{path}?dag_id=training&run_id=guarded").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert policy.count("script-src") == 1
    assert "script-src 'sha256-" in policy
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_run_that_nobody_has_started_is_not_there(get: Callable[..., Any]) -> None:
    assert get(results_address("training", "nothing")).status_code == 404


@pytest.mark.parametrize(
    "uri", ["/etc/hostname", "file:///proc/self/environ", "ROOT/other/run/evaluate/attempt-1/report"]
)
def test_an_outcome_opens_nothing_of_others(uri: str, get: Callable[..., Any], store: ArtifactStore) -> None:
    """What an importer names that a parameter of the run has set."""
    other = artifact(store, Run("other", "run", ""), "system.HTML", "<p>hush</p>")
    ended(store, Run("other", "run", ""), artifacts={"report": other})
    uri = uri.replace("ROOT", str(store.root))
    ended(store, Run("training", "importing", ""), artifacts={"it": Artifact("it", "system.HTML", uri)})
    answer = get(results_address("training", "importing"))
    assert answer.status_code == 200
    assert "Not shown: it " in answer.text
    assert "hush" not in answer.text
    assert "PATH=" not in answer.text


def test_what_an_earlier_run_made_is_shown(get: Callable[..., Any], store: ArtifactStore) -> None:
    earlier = artifact(store, Run("training", "earlier", ""), "system.HTML", "<p>of the earlier</p>")
    for run, cached in (("earlier", False), ("later", True)):
        ended(store, Run("training", run, ""), artifacts={"report": earlier}, cached=cached)
    assert "of the earlier" in get(results_address("training", "later")).text


@pytest.mark.parametrize("kind", ["HTML", "Markdown", "Metrics", "ClassificationMetrics", "Artifact"])
def test_a_script_in_an_artifact_does_not_run(kind: str, get: Callable[..., Any], store: ArtifactStore) -> None:
    run = Run("training", f"script-in-{kind}", "")
    matrix = {
        "annotationSpecs": [{"displayName": SCRIPT}],
        "rows": [{"row": [1]}],
    }
    svg = f'<svg onload="alert(1)">{SCRIPT}</svg>\n\n[x](javascript:alert(1))'
    made = artifact(store, run, f"system.{kind}", f"{SCRIPT}{svg}")
    facts = {SCRIPT: SCRIPT, **({"confusionMatrix": matrix} if kind == "ClassificationMetrics" else {})}
    made = Artifact(SCRIPT, made.type, made.uri, facts)
    more = {"error": SCRIPT, "log": "javascript:alert(1)", "parameters": {SCRIPT: SCRIPT}}
    ended(store, run, f"{SCRIPT}", artifacts={SCRIPT: made}, **more)
    page = get(results_address("training", run.run_id)).text
    assert "alert(" in page
    page = re.sub(r"<script data-again=.*?</script>", "", page, count=1, flags=re.DOTALL)  # the one of the page itself
    frames = re.findall(r'<iframe sandbox srcdoc="[^"<>]*"', page)
    outside = re.sub(r'srcdoc="[^"]*"', "", page)
    assert len(frames) == (kind == "HTML")
    assert "<script" not in outside
    assert "onload" not in outside.replace("&lt;svg onload", "")
    assert 'href="javascript' not in outside


def test_a_report_of_200_mb_is_named_not_read(get: Callable[..., Any], store: ArtifactStore) -> None:
    run = Run("training", "large", "")
    made = artifact(store, run, "system.HTML", "")
    with Path(made.uri).open("wb") as file:
        file.truncate(200 * 10**6)
    ended(store, run, artifacts={"report": made})
    answer = get(results_address("training", "large"))
    assert "Not shown: it has more than 2 MB." in answer.text
    assert len(answer.content) < 20_000


@pytest.fixture
def report(store: ArtifactStore) -> str:
    """The address of a report that holds a script."""
    run = Run("training", "by itself", "")
    ended(store, run, artifacts={"report": artifact(store, run, "system.HTML", f"<p>all of it</p>{SCRIPT}")})
    return f"/turnout/{artifact_address('training', 'by itself', 'evaluate', (), 'report')}"


def test_a_report_by_itself_has_no_rights(report: str, get: Callable[..., Any]) -> None:
    answer = get(report)
    assert answer.text.startswith("<p>all of it</p>")
    policy = answer.headers["Content-Security-Policy"]
    assert "; sandbox;" in policy
    assert "script-src" not in policy
    assert "allow-" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert get(report, "reader-of-other").status_code == 403


def test_what_is_kept_is_a_file(report: str, get: Callable[..., Any], store: ArtifactStore) -> None:
    answer = get(f"{report}&keep=true")
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''report.html"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert "; sandbox;" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Content-Length"] == str(len(answer.content))
    run = Run("training", "data", "")
    made = artifact(store, run, "system.Dataset", "<script>no page</script>")
    ended(store, run, artifacts={"data": made})
    answer = get(f"/turnout/{artifact_address('training', 'data', 'evaluate', (), 'data')}")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert get(f"/turnout/{artifact_address('training', 'data', 'evaluate', (), 'data')}", HIDDEN).status_code == 403


@pytest.mark.parametrize("keep", ["", "&keep=true"])
@pytest.mark.parametrize("kind", ["HTML", "Dataset"])
def test_a_file_of_others_is_not_kept_either(
    kind: str, keep: str, get: Callable[..., Any], store: ArtifactStore
) -> None:
    uri = "/etc/hostname"
    ended(store, Run("training", "keeping", ""), artifacts={"it": Artifact("it", f"system.{kind}", uri)})
    answer = get(f"/turnout/{artifact_address('training', 'keeping', 'evaluate', (), 'it')}{keep}")
    assert answer.status_code == 404
    assert "it lies outside of the artifact store" in answer.text


def test_a_file_of_200_mb_comes_in_pieces(get: Callable[..., Any], store: ArtifactStore) -> None:
    run = Run("training", "large file", "")
    made = artifact(store, run, "system.Dataset", "")
    with Path(made.uri).open("wb") as file:
        file.truncate(200 * 10**6)
    ended(store, run, artifacts={"data": made})
    address = f"/turnout/{artifact_address('training', 'large file', 'evaluate', (), 'data')}"
    assert len(get(address).content) == 200 * 10**6
    with Path(made.uri).open("wb") as file:
        file.truncate(2 * 2**30)
    answer = get(address)
    assert answer.status_code == 413
    assert "2.1 GB" in answer.text


def test_tabs_lead_to_pages(client: TestClient, get: Callable[..., Any], store: ArtifactStore) -> None:
    """As Airflow's page fills them in: each id as encodeURIComponent gives it, a number that there is not left out."""
    run = Run("training", "a+b:c/d e", "")
    registered(store, run.pipeline, run.run_id, "3")
    ended(store, run, "group.evaluate", parameters={"auc": 0.75})
    ids = {"{DAG_ID}": run.pipeline, "{RUN_ID}": run.run_id, "{TASK_ID}": "group.evaluate"}
    for view in TurnoutPlugin.external_views:
        address = view["href"]
        for name, value in ids.items():
            address = address.replace(name, urllib.parse.quote(value, safe="!'()*"))
        answer = get(f"/{address}")
        assert answer.status_code == 200, address
        assert client.get(f"/{address}").status_code == 401
        told = {"dag": "a+b:c/d e", "nav": "Models"}.get(view["destination"], "0.75")
        assert told in answer.text


def test_a_tasks_link_leads_to_the_tab_of_its_run() -> None:
    routes = {view["destination"]: view["url_route"] for view in TurnoutPlugin.external_views}
    assert results_tab("training", "a+b:c/d") == f"dags/training/runs/a%2Bb%3Ac%2Fd/plugin/{routes['dag_run']}"


def test_an_address_that_lacks_something_is_told(get: Callable[..., Any]) -> None:
    answer = get("/turnout/run?dag_id=training")
    assert answer.status_code == 400
    assert "not complete" in answer.text


def registered(store: ArtifactStore, dag_id: str, run_id: str, version: str) -> None:
    """The records of a run of Airflow that has put a version of a model into service."""
    run = Run(dag_id, run_id, "")
    model = {"registered_model": f"model-of-{dag_id}"}
    record = {"pipeline": dag_id, "run_id": run_id, "create_time": "2026-11-01T00:00:00+00:00", "parameters": model}
    store.write_record(store.run_path(run) / "run.json", {**record, "state": "SUCCEEDED", "track": "airflow"})
    ended(store, run, "deploy", parameters={"version": version, "previous": ""}, ended="2026-11-01T01:00:00+00:00")


@pytest.fixture
def dags(airflow: Path) -> tuple[str, str]:
    """Two DAGs that Airflow knows, each with a run that has put a model into service."""
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    with create_session() as session:
        session.merge(DagBundleModel(name="pages"))
        session.flush()
        for dag_id in ("training-one", "other-one"):
            session.merge(DagModel(dag_id=dag_id, bundle_name="pages"))
    store = ArtifactStore(str(HOME / "root"))
    for dag_id in ("training-one", "other-one"):
        registered(store, dag_id, "r1", "3")
    return "training-one", "other-one"


def test_models_are_told_to_who_may_see_their_dag(dags: tuple[str, str], get: Callable[..., Any]) -> None:
    for name, told in (("training", "training-one"), ("other", "other-one")):
        page = get("/turnout/models", f"reader-of-{name}").text
        assert f"model-of-{told} 3" in page
        assert page.count("model-of-") == page.count(f"model-of-{told}")
    assert "model-of-" not in get("/turnout/models", HIDDEN).text
    assert "model-of-" not in get("/turnout/models", "reader-of-nothing").text


def test_models_are_not_told_to_strangers(client: TestClient, dags: tuple[str, str]) -> None:
    assert client.get("/turnout/models").status_code == 401


def test_the_runs_of_a_dag_are_side_by_side(dags: tuple[str, str], get: Callable[..., Any]) -> None:
    registered(ArtifactStore(str(HOME / "root")), "training-one", "r+2", "4")
    page = get("/turnout/dag?dag_id=training-one").text
    assert "run?dag_id=training-one&amp;run_id=r1" in page
    assert "run?dag_id=training-one&amp;run_id=r%2B2" in page
    assert 'action="compare"' in page
    assert get("/turnout/dag?dag_id=other-one").status_code == 403


def test_chosen_runs_are_compared(dags: tuple[str, str], get: Callable[..., Any]) -> None:
    store = ArtifactStore(str(HOME / "root"))
    for run_id, version in (("c+1", "5"), ("c 2", "6")):
        registered(store, "training-one", run_id, version)
    assert '<form method="get" action="compare">' in get("/turnout/dag?dag_id=training-one").text
    asked = urllib.parse.urlencode({"dag_id": "training-one", "run": ["c+1", "c 2"]}, doseq=True)
    page = get(f"/turnout/compare?{asked}").text
    assert "2 runs compared" in page
    assert "run?dag_id=training-one&amp;run_id=c%2B1" in page
    assert "Choose two or more runs" in get("/turnout/compare?dag_id=training-one&run=c%2B1").text
    assert get("/turnout/compare?dag_id=training-one&run=../../other-one/r1").status_code == 404
    assert get(f"/turnout/compare?{asked.replace('training-one', 'other-one')}").status_code == 403


@pytest.fixture
def large(airflow: Path, store: ArtifactStore) -> Run:
    """A run of 500 task instances, each with a report and metrics."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunType

    run, now = Run("training", "manual__2026-11-27T06:43:11.321721+00:00", ""), datetime.datetime.now(datetime.UTC)
    kind = DagRunType.MANUAL
    with create_session() as session:
        row = DagRun(dag_id=run.pipeline, run_id=run.run_id, run_type=kind, run_after=now, start_date=now)
        row.state, row.end_date = "success", now
        session.add(row)
        session.flush()
        facts = {"dag_id": run.pipeline, "run_id": run.run_id, "task_id": "fit", "operator": "Step", "try_number": 1}
        facts |= {"state": "success", "start_date": now, "end_date": now, "pool": "default_pool"}
        rows = [{**facts, "id": uuid.uuid4(), "map_index": index} for index in range(500)]
        session.execute(TaskInstance.__table__.insert(), rows)
    for index in range(500):
        place = store.step_path(run, "fit", (index,))
        (place / "attempt-1").mkdir(parents=True)
        (place / "attempt-1" / "report.html").write_text(f"<h1>Report {index}</h1>" + "<p>of a fit</p>" * 2000)
        made = {
            "report": Artifact("report", "system.HTML", f"{place}/attempt-1/report.html"),
            "metrics": Artifact("metrics", "system.Metrics", f"{place}/attempt-1/metrics", {"auc": 0.5 + index / 1000}),
        }
        outcome = Outcome(State.SUCCEEDED, 1, {"score": 0.5}, made, now.isoformat(), now.isoformat())
        store.write_record(place / "outcome.json", outcome.to_dict())
    return run


def test_a_run_of_500_tasks_is_a_page_of_less_than_1_mb(large: Run, get: Callable[..., Any]) -> None:
    get(results_address(large.pipeline, large.run_id))  # modules are loaded once
    began = time.process_time()
    answer = get(results_address(large.pipeline, large.run_id))
    took = time.process_time() - began
    assert answer.status_code == 200
    assert len(answer.content) < 10**6, len(answer.content)
    assert took < 1.5, took
