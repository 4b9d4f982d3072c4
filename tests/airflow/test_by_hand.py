"""DAGs that are written by hand, with pipelines as groups in them and single steps beside Airflow's own operators."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest
from conftest import COMPONENTS, HOME, PROJECT, run_dag
from contract.cases import CASES, filled
from test_contract import STATES, labelled
from test_dags import pulled

from turnout.execution.store import ArtifactStore
from turnout.spec.step_contract import Run

GUIDE = PROJECT / "docs" / "guides" / "from_airflow.md"
BY_HAND = HOME / "by_hand"
AS_GROUPS = (
    "branches-a",
    "exit_after_failure",
    "nested_loops",
    "skipped_beside_work-x",
    "in_spite_of_failure",
    "outputs",
)


def parsed(file: Path, text: str) -> Any:
    """The DAG of a file, or the error that Airflow shows for it."""
    from airflow.dag_processing.dagbag import DagBag

    file.parent.mkdir(exist_ok=True)
    # Python would take a file of the same second and length for the one that it compiled before.
    Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)
    file.write_text(textwrap.dedent(text))
    bag = DagBag(str(file), bundle_name="dags-folder")
    if bag.import_errors:
        return "\n".join(bag.import_errors.values())
    (dag,) = bag.dags.values()
    return dag


def states(run: Any) -> dict[str, str]:
    return {item.task_id: str(item.state) for item in run.get_task_instances()}


@pytest.fixture(scope="module")
def team(airflow: Path) -> Path:
    """The files of the guide, and what its command writes."""
    team = HOME / "team"
    for text in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        file = team / text.partition("\n")[0].removeprefix("# ")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (command,) = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    path = f"{COMPONENTS}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["bash", "-e"], input=command, text=True, cwd=team, env={**os.environ, "PATH": path}, check=True)
    return team


def test_the_guides_dags_run(team: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{team / 'pipelines'}{os.pathsep}{os.environ['PYTHONPATH']}")
    dag = parsed(team / "dags" / "orders.py", (team / "dags" / "orders.py").read_text())
    run = run_dag(dag, {"directory": str(tmp_path), "digits": 1})
    assert set(states(run).values()) == {"success"}, states(run)
    assert pulled(run, "tell", "return_value") == "the mean price is 3.2"
    assert pulled(run, "prices.clean", "Output") == 2
    # Its steps are found under the DAG's run, as its Results tab looks for them.
    store, facts = ArtifactStore(str(HOME / "root")), Run("orders", run.run_id, "")
    assert {name for name, _ in store.outcomes(facts)} == {"prices.clean", "prices.mean"}
    assert store.outputs(facts) == {"prices.Output": 3.2}
    record = store.read_record(store.run_path(facts) / "run.json")
    assert record is not None
    assert (record["pipeline"], record["track"]) == ("orders", "airflow")

    steps = parsed(team / "dags" / "count_orders.py", (team / "dags" / "count_orders.py").read_text())
    run = run_dag(steps, {"source": str(tmp_path / "orders.csv")})
    assert pulled(run, "tell", "return_value") == "2 orders at 3.2"


def test_the_guides_error_is_what_airflow_shows(team: Path) -> None:
    (shown,) = re.findall(r"```text\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    told = parsed(
        team / "dags" / "wrong.py",
        """
        from airflow.sdk import DAG
        from turnout.airflow import task_group
        with DAG("wrong"):
            task_group("prices.yaml", inputs={"digit": 3})
        """,
    )
    assert shown.strip() in told


@pytest.mark.slow
@pytest.mark.parametrize("name", AS_GROUPS)
def test_a_pipeline_ends_in_a_group_as_by_itself(name: str, tmp_path: Path) -> None:
    (case,) = (case for case in CASES if case.id == name)
    inputs = filled(case.parameters, tmp_path)
    dag = parsed(
        BY_HAND / f"{case.shape}.py",
        f"""
        from airflow.sdk import DAG, TaskGroup, task
        from turnout.airflow import task_group
        with DAG("by-hand-{case.shape}"):
            @task
            def after(): pass
            with TaskGroup("outer"):
                group = task_group("../dags/contract/{case.shape}.yaml", group_id="in", inputs={inputs})
            group >> after()
        """,
    )
    run = run_dag(dag)
    ended = {label.removeprefix("outer.in."): STATES[str(item.state)] for label, item in labelled(dag, run).items()}
    assert ended == case.steps
    assert STATES[str(run.state)] == case.state
    # What follows is skipped neither with a branch nor after a failure that an exit handler has cleaned up.
    assert states(run)["after"] == ("success" if case.state == "SUCCEEDED" else "upstream_failed")


def test_groups_take_each_others_outputs_and_those_of_any_task(airflow: Path) -> None:
    dag = parsed(
        BY_HAND / "chained.py",
        """
        from airflow.sdk import DAG, task
        from turnout.airflow import Step, task_group
        with DAG("chained"):
            @task
            def texts() -> list: return ["x", "y"]
            @task(multiple_outputs=True)
            def facts() -> dict: return {"first": "p", "last": "q"}
            @task
            def nothing() -> None: return None
            @task
            def told(found): return found
            given = texts()
            twice = given.map(lambda text: text * 2)
            first = task_group("../dags/contract/parameter_loop.yaml", inputs={"items": twice})
            second = task_group("../dags/contract/parameter_loop.yaml", group_id="again",
                                inputs={"items": [facts()["last"], first.output["Output"]]})
            third = task_group("../dags/contract/branches.yaml", inputs={"x": nothing()})
            told(second.output["Output"])
            third >> told.override(task_id="last")(third.step("give-4").output["Output"])
        """,
    )
    assert not isinstance(dag, str), dag
    run = run_dag(dag)
    assert str(run.state) == "success", states(run)
    assert pulled(run, "parameter-loop.outputs-of-the-run", "Output") == "xx yy"
    assert pulled(run, "told", "return_value") == "q xx yy"
    assert pulled(run, "last", "return_value") == "first"


@pytest.mark.parametrize("happens", ["skipped", "failed"])
def test_a_group_does_not_start_after_what_was_skipped_or_failed(airflow: Path, happens: str) -> None:
    error = {"skipped": "AirflowSkipException", "failed": "AirflowFailException"}[happens]
    dag = parsed(
        BY_HAND / f"after_{happens}.py",
        f"""
        from airflow.sdk import DAG, task
        from airflow.sdk.exceptions import {error}
        from turnout.airflow import task_group
        with DAG("after-{happens}"):
            @task
            def before() -> str: raise {error}("no")
            @task
            def after(): pass
            spec = "../dags/contract/skipped_beside_work.yaml"
            inside = task_group(spec, group_id="in", inputs={{"value": before()}})
            inside >> after()
        """,
    )
    run = run_dag(dag)
    found = states(run)
    assert found.pop("before") == happens
    assert str(run.state) == {"skipped": "success", "failed": "failed"}[happens]
    assert found.pop("after") == {"skipped": "skipped", "failed": "upstream_failed"}[happens]
    assert set(found.values()) <= ({"skipped"} if happens == "skipped" else {"upstream_failed", "failed"}), found


def test_what_a_task_returns_is_checked_when_the_group_starts(airflow: Path) -> None:
    dag = parsed(
        BY_HAND / "wrong_value.py",
        """
        from airflow.sdk import DAG, task
        from turnout.airflow import task_group
        with DAG("wrong-value"):
            @task
            def number() -> dict: return {"no": "list"}
            task_group("../dags/contract/parameter_loop.yaml", inputs={"items": number()})
        """,
    )
    run = run_dag(dag)
    assert states(run)["parameter-loop.for-loop-1-items"] == "failed"
    assert str(run.state) == "failed"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('task_group("nowhere.yaml")', "the pipeline cannot be read: No such file or directory @ "),
        ('task_group("../dags/contract/branches.yaml", inputs={"y": 1})', "no input 'y' @ branches"),
        ('task_group("../dags/contract/branches.yaml", inputs={"x": 1})', "branches.x"),
        ('task_group("../dags/contract/ordered.yaml")', "input 'path' is not given, and has no default @ ordered"),
        ('task_group("../dags/contract/branches.yaml").output["z"]', "the pipeline has no output 'z' @ branches"),
        ('task_group("../dags/contract/branches.yaml").step("give4")', "did you mean give-4?"),
        ('Step(task_id="giv", spec="../dags/contract/branches.yaml")', "no step 'giv' @ branches"),
        (
            'Step(task_id="give-4", spec="../dags/contract/branches.yaml", inputs={"valu": 1})',
            "no input 'valu' @ give-4\n  available here: value\n  hint: did you mean value?",
        ),
    ],
)
def test_mistakes_are_told_when_the_dag_is_parsed(airflow: Path, call: str, message: str) -> None:
    text = f"""
    from airflow.sdk import DAG
    from turnout.airflow import Step, task_group
    with DAG("mistake"):
        {call}
    """
    assert message in parsed(BY_HAND / "mistake.py", text)


def test_a_dag_with_a_group_is_the_same_each_time_it_is_parsed(team: Path) -> None:
    import json

    from airflow.serialization.serialized_objects import DagSerialization

    text = (team / "dags" / "orders.py").read_text()
    once, again = (
        json.dumps(DagSerialization.to_dict(parsed(team / "dags" / "orders.py", text)), sort_keys=True, default=str)
        for _ in range(2)
    )
    assert once == again


def test_a_pipeline_outside_of_a_dag_or_in_a_mapped_group_is_refused(airflow: Path) -> None:
    outside = """
    from airflow.sdk import DAG
    from turnout.airflow import task_group
    task_group("../dags/contract/branches.yaml")
    """
    assert "a task group outside of a DAG" in parsed(BY_HAND / "outside.py", outside)
    mapped = """
    from airflow.sdk import DAG, task_group as group
    from turnout.airflow import task_group
    with DAG("mapped"):
        @group
        def each(x): task_group("../dags/contract/branches.yaml", inputs={"x": x})
        each.expand(x=["a", "b"])
    """
    assert "a pipeline cannot be in a mapped task group" in parsed(BY_HAND / "mapped.py", mapped)
