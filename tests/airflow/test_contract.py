"""The contract on the Airflow track: all of its cases, as on the local one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import DAGS, HOME, RANDOM, run_dag
from contract.cases import CASES, Case, filled
from contract.hostile import TEXTS
from test_dags import pulled

from turnout.airflow.run_view import IN_STORE
from turnout.execution.store import ArtifactStore
from turnout.spec.step_contract import Run
from turnout.task_ids import RUN_OUTPUTS

STATES = {"success": "SUCCEEDED", "failed": "FAILED", "skipped": "SKIPPED", "upstream_failed": "NOT_TRIGGERED"}


@pytest.fixture(scope="module")
def bag() -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(DAGS / "contract"), bundle_name="dags-folder")


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_the_contract(case: Case, bag: Any, tmp_path: Path) -> None:
    assert not bag.import_errors
    dag = bag.dags[case.shape.replace("_", "-")]
    run = run_dag(dag, filled(case.parameters, tmp_path))
    instances = labelled(dag, run)
    assert {label: STATES[str(item.state)] for label, item in instances.items()} == {
        label: state for label, state in case.steps.items() if label in instances or not never_was(label)
    }
    assert STATES[str(run.state)] == case.state
    outputs = outputs_of(run) if dag.has_task(RUN_OUTPUTS) else {}
    assert case.outputs(outputs) if callable(case.outputs) else outputs == case.outputs, outputs
    for label, value in case.values.items():
        assert pulled(run, instances[label].task_id, "Output", instances[label].map_index) == value


def test_the_forms_field_of_an_artifact_takes_paths_and_uris(bag: Any) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    params = bag.dags["artifact-input"].params
    for uri in ("/data/x.csv", "s3://bucket/x.csv", "models:/flights/3"):
        assert params.get_param("data").__copy__().resolve(uri) == uri
    for wrong in ("x.csv", "", " ", 3, None):
        with pytest.raises(ParamValidationError):
            params.get_param("data").__copy__().resolve(wrong)
    assert bag.dags["optional-artifact-input"].params.get_param("data").resolve() is None


def test_hostile_texts_pass_through_unchanged(bag: Any) -> None:
    struct = {text[:100] or "empty": [text, {"inner": text}] for text in TEXTS[:-1]}
    dag = bag.dags["hostile"]
    run = run_dag(dag, {"texts": TEXTS, "struct": struct})
    assert str(run.state) == "success"
    found = [pulled(run, "for-loop-1.told", "Output", index) for index in range(len(TEXTS))]
    wanted = [{"read": text, "metadata": {"text": text, "struct": struct}, "text": text} for text in TEXTS]
    assert found[:-1] == wanted[:-1]
    # The longest is not for Airflow's database.
    assert found[-1] == IN_STORE
    (path,) = (HOME / "root" / "hostile").glob(f"*/for-loop-1.told@{len(TEXTS) - 1}/outcome.json")
    assert json.loads(path.read_text())["parameters"]["Output"] == wanted[-1]


# The rest by night: on the local track, and by kfp's local runner, there are more of them in `make test`.
@pytest.mark.parametrize("index", [pytest.param(i, marks=[pytest.mark.nightly] * (i >= 4)) for i in range(RANDOM)])
def test_a_random_pipeline_ends_as_everywhere(index: int) -> None:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(DAGS / "random" / f"random_{index}.py"), bundle_name="dags-folder")
    dag = bag.dags[f"random-{index}"]
    run = run_dag(dag)
    expected = json.loads((DAGS / "random" / f"random-{index}.json").read_text())
    states, values = {}, {}
    for label, item in labelled(dag, run).items():
        path, _, where = label.partition("[")
        key = path.rpartition(".")[2], tuple(json.loads(f"[{where}") if where else [])
        states[key] = STATES[str(item.state)]
        values[key] = pulled(run, item.task_id, "Output", item.map_index)
    wanted = {(name, tuple(where)): state for name, where, state, _ in expected}
    depths = {key[0]: len(key[1]) for key in states}
    # A loop that did not begin, in one iteration of a loop around it, has no instances there.
    wanted = {key: state for key, state in wanted.items() if key in states or len(key[1]) >= depths.get(key[0], 9)}
    states = {key: state for key, state in states.items() if key in wanted or state == "SUCCEEDED"}
    assert states == wanted
    assert {key: values[key] for key in wanted} == {
        (name, tuple(where)): value for name, where, _, value in expected if (name, tuple(where)) in wanted
    }
    assert STATES[str(run.state)] == ("FAILED" if "FAILED" in wanted.values() else "SUCCEEDED")


def outputs_of(run: Any) -> dict[str, Any]:
    """The outputs of a run: of its last task, and of its record, which has those too that are too long for XCom."""
    store = ArtifactStore(str(HOME / "root"))
    recorded = store.outputs(Run(run.dag_id, run.run_id, ""))
    told = {name: pulled(run, RUN_OUTPUTS, name) for name in recorded}
    assert told == {name: IN_STORE if value == IN_STORE else recorded[name] for name, value in told.items()}
    return recorded


def never_was(label: str) -> bool:
    """Whether a step lies in a loop that did not begin, in an iteration of a loop around it: no instance at all."""
    path, _, iteration = label.partition("[")
    return 0 < len(iteration.split(",")) * bool(iteration) < path.count("for-loop")


def labelled(dag: Any, run: Any) -> dict[str, Any]:
    """The task instances of the steps of a run, by `path` or `path[iteration]`; without those that never came to be."""
    loops: dict[str, Any] = {group: _iterations(dag, run, group) for group in dag.task_group_dict}
    found = {}
    for item in run.get_task_instances():
        task = dag.get_task(item.task_id)
        if task.task_type == "Step":
            group = task.get_closest_mapped_task_group()
            if group is not None and item.map_index >= 0:
                found[f"{item.task_id}{loops[group.group_id][item.map_index]}"] = item
            elif group is None or _iterations(dag, run, group.group_id) is None:
                found[item.task_id] = item
    return found


def _iterations(dag: Any, run: Any, group: str) -> list[list[int]] | None:
    for task in (f"{group}-iterations", f"{group}-items"):
        if dag.has_task(task) and dag.get_task(task).get_closest_mapped_task_group() is None:
            return pulled(run, task, "return_value")
    return None
