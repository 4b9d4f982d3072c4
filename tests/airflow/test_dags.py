"""Compiled DAG files in a real Airflow."""

from __future__ import annotations

import importlib.metadata
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import COMPONENTS, DAGS, HOME, PROJECT, run_dag, run_program


@pytest.fixture(scope="module")
def bag() -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(DAGS), bundle_name="dags-folder")


def ended(bag: Any, name: str, conf: dict[str, Any] | None = None) -> tuple[str, dict[str, str], Any]:
    """State of a test run, states of its tasks, and the run."""
    run = run_dag(bag.dags[name], conf)
    return str(run.state), {item.task_id: str(item.state) for item in run.get_task_instances()}, run


def pulled(run: Any, task: str, key: str, map_index: int = -1) -> Any:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    query = XComModel.get_many(run_id=run.run_id, dag_ids=run.dag_id, task_ids=task, key=key, map_indexes=map_index)
    with create_session() as session:
        found = session.scalars(query).first()
        return found.value if found else None


def local(*arguments: str) -> dict[str, Any]:
    environment = {
        **os.environ,
        "TURNOUT_ROOT": str(HOME / "local"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{HOME}/local.db",
    }
    command = [str(COMPONENTS / "turnout"), "run", *arguments, "--json"]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=600)
    return json.loads(done.stdout)


def test_this_environment_has_neither_kfp_nor_science() -> None:
    installed = {item.name.lower() for item in importlib.metadata.distributions()}
    assert installed.isdisjoint({"kfp", "mlflow", "scikit-learn", "feast", "lightgbm", "great-expectations", "dvc"})


def test_every_file_loads_without_error(bag: Any) -> None:
    assert bag.import_errors == {}
    assert {"flight-delay-training", "branch", "failing", "flaky", "nested"} <= set(bag.dags)


def test_every_dag_serializes_the_same_way_each_time(bag: Any) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    for dag in bag.dags.values():
        once, again = (json.dumps(DagSerialization.to_dict(dag), sort_keys=True, default=str) for _ in range(2))
        assert once == again


@pytest.mark.parametrize("file", sorted(path.name for path in (PROJECT / "dags").glob("*.py")))
def test_files_pass_airflows_version_inflation_checker(file: str) -> None:
    from airflow.utils.dag_version_inflation_checker import check_dag_file_stability

    assert not check_dag_file_stability(str(DAGS / file)).warnings


def test_parsing_a_file_opens_no_other_file_and_imports_no_core(bag: Any) -> None:
    code = (
        "import sys, airflow.sdk, turnout.airflow\n"
        "before = set(sys.modules); opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        f"exec(compile(open({str(DAGS / 'branch.py')!r}).read(), 'branch.py', 'exec'))\n"
        "print([name for name in opened if name.endswith('.yaml')])\n"
        "heavy = ('turnout.plan', 'turnout.spec', 'yaml')\n"
        "print([name for name in set(sys.modules) - before if name.startswith(heavy)])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["[]", "[]"]


def test_parameters_are_the_form(bag: Any) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    params = bag.dags["branch"].params
    assert list(params) == ["rows", "mode", "day", "note"]
    checks = {key: value for key, value in params.get_param("rows").schema.items() if key not in ("title", "section")}
    assert checks == {"type": "integer", "minimum": 1, "maximum": 10}
    assert params.get_param("mode").schema["enum"] == ["a", "b"]
    assert params.get_param("day").schema["format"] == "date"
    with pytest.raises(ParamValidationError, match="11 is greater than the maximum of 10"):
        params.get_param("rows").__copy__().resolve(11)


def test_values_that_do_not_go_together_are_refused_before_any_work(
    bag: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    state, tasks, run = ended(bag, "flight-delay-training", {"task": "regression"})
    assert state == "failed"
    assert [tasks.pop(first) for first in ("ingest", "require-target")] == ["failed", "failed"]
    assert set(tasks.values()) == {"upstream_failed"}
    assert not (HOME / "root" / "flight-delay-training" / run.run_id).exists()
    assert "metric 'roc_auc' does not go with task 'regression'" in "".join(capsys.readouterr())


def test_the_form_asks_for_the_interval_of_a_scheduled_run_once(bag: Any) -> None:
    dag = bag.dags["flight-delay-batch-inference"]
    assert "source" in dag.params
    assert not {"since", "until"} & set(dag.params)


def test_instances_in_a_loop_are_called_by_their_items(bag: Any) -> None:
    tune = bag.dags["flight-delay-candidates"].get_task("each-candidate.tune")
    assert "loop_item" in tune.map_index_template
    assert bag.dags["flight-delay-candidates"].get_task("train").map_index_template is None


def test_a_run_ends_as_on_the_local_track(bag: Any) -> None:
    note = "{{ 1 + 1 }} {{$.pipeline_root}} $(shell) \"'"
    state, tasks, run = ended(bag, "branch", {"rows": 3, "note": note})
    assert state == "success"
    assert set(tasks.values()) == {"success"}
    assert pulled(run, "count", "Output") == 3
    assert pulled(run, "make", "data")["metadata"] == {"rows": 3}
    (log,) = (HOME / "root" / "branch").glob("*/count/attempt-*/log.txt")
    assert log.read_text() == f"note={note} on 2024-01-02 in a\n"


def test_a_false_condition_skips_its_group(bag: Any) -> None:
    state, tasks, _ = ended(bag, "branch", {"rows": 1})
    assert state == "success"
    assert tasks == {
        "make": "success",
        "count": "success",
        "condition-1-when": "skipped",
        "condition-1.count-2": "skipped",
        "outputs-of-the-run": "success",
    }


def test_a_failure_stops_what_depends_on_it(bag: Any) -> None:
    state, tasks, _ = ended(bag, "failing")
    assert state == "failed"
    assert tasks == {"fail": "failed", "count": "upstream_failed", "make": "success", "count-2": "success"}


def test_nested_pipelines_and_numbers(bag: Any) -> None:
    state, tasks, run = ended(bag, "nested")
    assert state == "success"
    assert tasks["condition-1.inner-2.count"] == "success"
    assert tasks["condition-2.inner-3.make"] == "skipped"
    assert json.loads(pulled(run, "echo", "Output")) == {"a": [1, 2.5], "b": {"c": "d"}}


def test_retries_are_the_pipelines(bag: Any) -> None:
    task = bag.dags["flaky"].get_task("fail-once")
    assert task.retries == 2
    assert task.retry_delay.total_seconds() == 1
    assert task.retry_exponential_backoff == 2.0


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda old: old + b"\n", "not the pipeline that the DAG file was compiled with"),
        (lambda old: old[: len(old) // 2], "not the pipeline that the DAG file was compiled with"),
        (lambda old: b"\xff" + old, "not the pipeline that the DAG file was compiled with"),
        (lambda old: b"", "not the pipeline that the DAG file was compiled with"),
        (lambda old: None, "the pipeline cannot be read: No such file or directory"),
    ],
    ids=["newer", "truncated", "unreadable", "empty", "missing"],
)
def test_another_yaml_than_the_file_was_compiled_with_is_refused(
    bag: Any, change: Any, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = DAGS / "nested.yaml"
    old = path.read_bytes()
    new = change(old)
    path.write_bytes(new) if new is not None else path.unlink()
    from turnout.airflow.run_view import read_plan

    read_plan.cache_clear()
    try:
        state, tasks, run = ended(bag, "nested")
    finally:
        path.write_bytes(old)
        read_plan.cache_clear()
    assert state == "failed"
    assert set(tasks.values()) == {"failed", "upstream_failed"}  # nothing has worked
    assert not (HOME / "root" / "nested" / run.run_id).exists()
    said = "".join(capsys.readouterr())
    assert f"{what} @ {path}" in said
    assert "deploy" in said


@pytest.mark.slow
def test_training_reaches_the_metrics_of_the_local_run(bag: Any) -> None:
    days = HOME / "days.parquet"
    code = (
        "import pandas; t = pandas.read_parquet('data/flights/flights.parquet')\n"
        f"t[t['event_timestamp'] < '2013-01-08'].to_parquet({str(days)!r})"
    )
    run_program(code)
    state, tasks, run = ended(
        bag, "flight-delay-training", {"source": str(days), "hyperparameters": {"n_estimators": 20}}
    )
    assert state == "success", tasks
    assert set(tasks.values()) == {"success"}
    ours = local("pipelines/training.py", "-p", f"source={days}", "-p", 'hyperparameters={"n_estimators": 20}')
    (evaluated,) = [step for step in ours["steps"] if step["name"] == "evaluate"]
    assert pulled(run, "evaluate", "score") == evaluated["outputs"]["score"]
    assert pulled(run, "promote.deploy", "version") == "1"
    assert Path(pulled(run, "evaluate", "report")["uri"]).is_file()


# In `make test`: `test_candidates_are_tuned_side_by_side_and_the_best_is_trained` on the local track, and the loops of
# the contract on Airflow.
@pytest.mark.slow
@pytest.mark.nightly
def test_candidates_are_tuned_in_mapped_tasks_and_the_best_is_trained(bag: Any) -> None:
    rng = random.Random(0)
    lines = ["number,target"]
    for _ in range(400):
        number = rng.gauss(0, 1)
        lines.append(f"{number},{int(number + rng.gauss(0, 1) > 0)}")
    (HOME / "candidates.csv").write_text("\n".join(lines))
    logistic = {"estimator": "sklearn.linear_model.LogisticRegression", "hyperparameters": {},
                "space": {"C": {"type": "float", "low": 0.01, "high": 1, "log": True}}}  # fmt: skip
    nothing = {"estimator": "sklearn.dummy.DummyClassifier", "hyperparameters": {}, "space": {}}
    state, tasks, run = ended(bag, "flight-delay-candidates", {
        "source": str(HOME / "candidates.csv"), "suite": "", "feature_service": "", "target": "target", "ignore": [],
        "timestamp": "", "slices": [], "trials": 2, "folds": 2, "candidates": [nothing, logistic],
        "registered_model": "candidates",
    })  # fmt: skip
    assert state == "success", tasks
    scores = [pulled(run, "each-candidate.tune", "score", index) for index in (0, 1)]
    assert pulled(run, "choose", "score") == max(scores) == scores[1] > 0.7
    assert pulled(run, "train", "model")["metadata"]["estimator"] == logistic["estimator"]
    assert pulled(run, "promote.deploy", "version") == "1"


def test_results_are_shared_with_later_runs(bag: Any) -> None:
    _, _, first = ended(bag, "branch", {"rows": 5, "note": "shared"})
    _, tasks, second = ended(bag, "branch", {"rows": 5, "note": "shared"})
    assert set(tasks.values()) == {"success"}
    assert pulled(second, "make", "data")["uri"] == pulled(first, "make", "data")["uri"]
    outcomes = [json.loads(path.read_text()) for path in (HOME / "root" / "branch").glob("*/make/outcome.json")]
    assert any(outcome["cached"] for outcome in outcomes)
